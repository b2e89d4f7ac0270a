package intent

import "testing"

// What is written in another language reads like ours; numbers, addresses and names stay.
func TestPlain(t *testing.T) {
	r := recogniser(t)
	for in, want := range map[string]string{
		"怎么renew证书":                      "怎么续期证书",
		"how to renew":                   "怎么续期",
		"verification code 一直没收到":        "验证码一直没收到",
		"application被reject了 why":        "申请被驳回了为什么",
		"invoice请email到ap@greenfield.cn": "发票请邮箱到ap@greenfield.cn",
		"唔该晒":                            "谢谢",
		"我嗰张单而家点样":                       "我那张单现在怎么",
		"tw20261120000322 锁死":            "tw20261120000322锁死",
		"r04 0266":                       "r04 0266",
		"a公司":                            "a公司",
		"用chrome打不开":                     "用chrome打不开",
		"完整":                             "完整",
		"thanks.":                        "谢谢.",
		"i want a refund":                "我想要退款",
	} {
		if got := r.other.plain(normalise(in)); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}
