package intent

import "testing"

// Pinyin is read as characters; what is no pinyin stays.
func TestTyped(t *testing.T) {
	r := recogniser(t)
	for _, tt := range []struct{ name, in, want string }{
		{"a sentence", "ji tian neng hao", "几天能好"},
		{"written together", "duoshaoqian yiba", "多少钱一把"},
		{"no lexicon word", "ni shi shui", "你是谁"},
		{"names and numbers stay", "fapiao 0152 kai le ma", "发票0152开了吗"},
		{"a name of ours", "ukey suozhu le", "ukey锁住了"},
		{"a word in a Chinese sentence", "我的zhengshu过期了", "我的证书过期了"},
		{"a sign between syllables", "xi'an de dizhi", "息按的地址"},
		{"English", "can you send me the key", "can you send me the key"},
		{"English that could be pinyin", "can you", "can you"},
		{"English with a word in pinyin", "check zhengshu status", "check证书status"},
		{"an address", "www.fapiao.com", "www.fapiao.com"},
		{"a mailbox", "zhang@fapiao.cn", "zhang@fapiao.cn"},
		{"one syllable may be anything", "a公司", "a公司"},
		{"a number with letters", "sf1234567890123", "sf1234567890123"},
		{"no pinyin", "xyzzy plugh", "xyzzy plugh"},
	} {
		if got := r.typed(normalise(tt.in)); got != tt.want {
			t.Errorf("%s: %q is read as %q, want %q", tt.name, tt.in, got, tt.want)
		}
	}
}
