package identity

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestRedactText(t *testing.T) {
	tests := []struct {
		name, in, want string
		kinds          []SecretKind
	}{
		{"ID number", "我的身份证11010519491231002X谢谢", "我的身份证****谢谢", []SecretKind{SecretDocNo}},
		{"ID number with spaces, small x", "id 110105 19491231 002x", "id ****", []SecretKind{SecretDocNo}},
		{"mistyped ID number", "110105199913320021是我的,11010519991332002X也是", "****是我的,****也是", []SecretKind{SecretDocNo}},
		{"old ID number", "110105491231003", "****", []SecretKind{SecretDocNo}},
		{"permit and passport", "H12345678 和 E12345678", "**** 和 ****", []SecretKind{SecretDocNo}},
		{"mobile", "换绑到17712347069", "换绑到****", []SecretKind{SecretMobile}},
		{"mobile in groups", "+86 177-1234-7069、138 1234 5678", "****、****", []SecretKind{SecretMobile}},
		{"mobile beside a letter", "tel17712347069ok", "tel****ok", []SecretKind{SecretMobile}},
		{"full width", "手机１７７１２３４７０６９", "手机****", []SecretKind{SecretMobile}},
		{"split by an invisible character", "177\u200b12347069", "****", []SecretKind{SecretMobile}},
		{"a number of its own before it", "1 17712347069", "1 ****", []SecretKind{SecretMobile}},
		{"ID number and mobile glued together", "11010519491231002X17712347069", "********", []SecretKind{SecretDocNo, SecretMobile}},
		{"bank card", "卡号6222 0212 3456 7890 123", "卡号****", []SecretKind{SecretBankCard}},
		{"code", "验证码是 4821", "验证码是 ****", []SecretKind{SecretCode}},
		{"bare code", "123456", "****", []SecretKind{SecretCode}},
		{"PIN", "密码是12345678", "密码是****", []SecretKind{SecretPIN}},
		{"short PIN", "我的口令：1，解不开", "我的口令：****，解不开", []SecretKind{SecretPIN}},
		{"PIN in Latin", "PIN=8888 or pin 654321", "PIN=**** or pin ****", []SecretKind{SecretPIN}},
		{"PIN without a word", "口令88888888锁了", "口令****锁了", []SecretKind{SecretPIN}},
		{"PIN before the word", "1234是我的密码", "****是我的密码", []SecretKind{SecretPIN}},
		{"PIN as it is told", "密码幺二三四五六登不进去", "密码****登不进去", []SecretKind{SecretPIN}},
		{"PIN digit by digit", "pin 码 9 0 2 1 4 4", "pin 码 ****", []SecretKind{SecretPIN}},
		{"PIN in capital numerals", "口令壹贰叁肆伍陆", "口令****", []SecretKind{SecretPIN}},
		{"PIN that is handed over", "我把ukey口令写这了 Zy880917 你们登一下", "我把ukey口令写这了 **** 你们登一下", []SecretKind{SecretPIN}},
		{"PIN that is sent", "密码我发你们了：ab12cd", "密码我发你们了：****", []SecretKind{SecretPIN}},
		{"where to send a PIN", "初始密码发到 test@example.com 行吗，用windows10", "初始密码发到 test@example.com 行吗，用windows10", nil},
		{"PIN behind more words", "新口令 设的 20262026，密码现在是1234qwer，密码我记得是7788", "新口令 设的 ****，密码现在是****，密码我记得是****", []SecretKind{SecretPIN}},
		{"documents of other shapes", "台胞证01234567、护照号 P1234567、军官证 南字第12345678号", "台胞证****、护照号 ****、军官证 南字第****号", []SecretKind{SecretDocNo}},
		{"no document", "证件照2张，证件号码18位，护照2026年到期", "证件照2张，证件号码18位，护照2026年到期", nil},
		{"no PIN", "密码我改了3次，口令用的是几位，密码换过，尾号0152", "密码我改了3次，口令用的是几位，密码换过，尾号0152", nil},
		{"code as it is told", "验证码六六零二五八", "验证码****", []SecretKind{SecretCode}},
		{"several", "密码是1234，手机17712347069", "密码是****，手机****", []SecretKind{SecretPIN, SecretMobile}},

		{"forgotten PIN", "密码忘了，输错3次", "密码忘了，输错3次", nil},
		{"rule of the PIN", "口令 1 到 8 位", "口令 1 到 8 位", nil},
		{"question", "密码是什么", "密码是什么", nil},
		{"order number", "SAAS120230811175755000152到哪了", "SAAS120230811175755000152到哪了", nil},
		{"order number in groups", "SAAS1 20230811175755 000152到哪了", "SAAS1 20230811175755 000152到哪了", nil},
		{"order number without prefix", "20230811175755000152", "20230811175755000152", nil},
		{"tail", "订单0152", "订单0152", nil},
		{"USBKEY serial", "TW11782207000008", "TW11782207000008", nil},
		{"USBKEY serial in groups", "tw 1178 2207 000008", "tw 1178 2207 000008", nil},
		{"certificate serial", "2C99138123456781234567812345678123453B20", "2C99138123456781234567812345678123453B20", nil},
		{"unified code", "税号91110108MA00TEN18F", "税号91110108MA00TEN18F", nil},
		{"unified code of digits", "91110108" + "123456783" + string(usccCheck("91110108123456783")), "91110108" + "123456783" + string(usccCheck("91110108123456783")), nil},
		{"registration number", "110108000000016", "110108000000016", nil},
		{"hotline", "400-666-3999", "400-666-3999", nil},
		{"already redacted", "密码是****", "密码是****", nil},
		{"code of a hotline", "12306的验证码收不到，95588短信验证码也是", "12306的验证码收不到，95588短信验证码也是", nil},
		{"sender of a code", "验证码是12306发来的，验证码由10690333发送的", "验证码是12306发来的，验证码由10690333发送的", nil},
		{"senders' numbers", "验证码是1069开头的号码", "验证码是1069开头的号码", nil},
		{"hotline to call", "收不到验证码就拨打95533", "收不到验证码就拨打95533", nil},
		{"code that could be a hotline", "验证码是12306", "验证码是****", []SecretKind{SecretCode}},
		{"code that could be a hotline, told on", "验证码12345发给你了", "验证码****发给你了", []SecretKind{SecretCode}},
		{"code beside a hotline", "12306的验证码是8842", "12306的验证码是****", []SecretKind{SecretCode}},
		{"code after its sender", "95588发来的验证码482913", "95588发来的验证码****", []SecretKind{SecretCode}},
		{"code of six digits", "106902的验证码", "****的验证码", []SecretKind{SecretCode}},
		{"code as long as ours, sent", "验证码是106902发来的", "验证码是****发来的", []SecretKind{SecretCode}},
		{"hotline in a longer number", "验证码123067发的", "验证码****发的", []SecretKind{SecretCode}},
		{"PIN that is a hotline", "密码是12306发来的", "密码是****发来的", []SecretKind{SecretPIN}},
		{"shipping", "shipping2026", "shipping2026", nil},
		{"PIN told by how often", "PIN码为八个一，登录一下", "PIN码为****，登录一下", []SecretKind{SecretPIN}},
		{"PIN told by how often, twice", "密码是四个8两个6", "密码是****", []SecretKind{SecretPIN}},
		{"four of one year", "密码没问题，要四个一年期的", "密码没问题，要四个一年期的", nil},
		{"two ones", "密码锁两个一样吗，买四个12", "密码锁两个一样吗，买四个12", nil},
		{"tail as it is told", "洞幺六二通过", "0162通过", nil},
		{"nothing", "", "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, kinds := RedactText(tt.in)
			if got != tt.want || !sameKinds(kinds, tt.kinds) {
				t.Errorf("got %q %v, want %q %v", got, kinds, tt.want, tt.kinds)
			}
		})
	}
}

func sameKinds(a, b []SecretKind) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(a, b)
}

func TestRedactTextFindsWhatIsPlanted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SampledFrom([]string{"", "你好", "我的", "，", " ", "订单 SAAS120230811175755000152 ", "TW11782207000008 ", "ok ", "3个", "\n", "“"})
		secret := rapid.SampledFrom([]string{
			"17712347069", "+8613912345678", "11010519491231002X", "810000199001010019", "6222021234567890123", "USA840123456789",
		}).Draw(t, "secret")
		text := words.Draw(t, "before") + words.Draw(t, "between") + secret + rapid.SampledFrom([]string{"", "。", "，谢谢", " 1", "\n2", "号"}).Draw(t, "after")
		clean, kinds := RedactText(text)
		if strings.Contains(clean, secret) || len(kinds) == 0 {
			t.Fatalf("%q leaves %q", text, clean)
		}
		if again, kinds := RedactText(clean); again != clean || len(kinds) != 0 {
			t.Fatalf("%q is redacted again to %q", clean, again)
		}
	})
}

func FuzzRedactText(f *testing.F) {
	for _, s := range []string{"密码是12345678", "１７７１２３４７０６９", "11010519491231002X17712347069", "6222 0212 3456 7890", "\xff138"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		// Whatever strangers write around it, a separate mobile does not survive.
		clean, _ := RedactText(s + "\n17712347069\n")
		if strings.Contains(clean, "\n17712347069\n") {
			t.Errorf("%q", clean)
		}
	})
}
