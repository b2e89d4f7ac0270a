package identity

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

type personalValue interface {
	Mask() string
	Reveal() string
}

func TestMasks(t *testing.T) {
	tests := []struct {
		name  string
		value personalValue
		want  string
	}{
		{"mobile", NewMobile("17712347069"), "177****7069"},
		{"short mobile", NewMobile("1771234"), "*******"},
		{"no mobile", Mobile{}, ""},
		{"resident ID", NewDocNo("11010519491231002X"), "110***********002X"},
		{"permit", NewDocNo("H12345678"), "H1*****78"},
		{"shortest passport", NewDocNo("E1234"), "*****"},
		{"name of three", NewPersonName("王小琪"), "王*琪"},
		{"name of two", NewPersonName("李雷"), "李*"},
		{"name of four", NewPersonName("欧阳娜娜"), "欧**娜"},
		{"name of one", NewPersonName("王"), "*"},
		{"Latin name", NewPersonName("Ann Lee"), "A*****e"},
		{"e-mail", NewEmail("alice@x.com"), "a***@x.com"},
		{"e-mail of one letter", NewEmail("a@x.com"), "***@x.com"},
		{"no e-mail at all", NewEmail("alice"), "***"},
		{"address", addressOf("浙江省", "杭州市", "西湖区", "文三路1号"), "浙江省杭州市西湖区****"},
		{"address in a municipality", addressOf("北京市", "北京市", "东城区", "长安街1号"), "北京市东城区****"},
		{"no address", Address{}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.value.Mask(); got != tt.want {
				t.Errorf("Mask = %q, want %q", got, tt.want)
			}
		})
	}
}

// No way of printing shows the clear text, least of all the ones that look
// into fields without asking.
func TestPersonalValuesHideThemselves(t *testing.T) {
	type xmlHolder struct{ M Mobile }
	type holder struct {
		Mobile  Mobile
		mobile  Mobile
		doc     *DocNo
		name    []PersonName
		address map[string]Address
		email   any
	}
	mobile, doc, name := NewMobile("17712347069"), NewDocNo("11010519491231002X"), NewPersonName("王小琪")
	address, email := addressOf("浙江省", "杭州市", "西湖区", "文三路99号"), NewEmail("alice@x.com")
	h := holder{mobile, mobile, &doc, []PersonName{name}, map[string]Address{"home": address}, email}
	revealed := []string{"17712347069", "11010519491231002X", "王小琪", "文三路", "alice", "3137373132333437303639"} // the last is %x of the mobile

	printed := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10s", "%t"} {
		printed["holder "+verb] = fmt.Sprintf(verb, h)
		for _, v := range []any{mobile, doc, name, address, email, &mobile} {
			printed[fmt.Sprintf("%T %s", v, verb)] = fmt.Sprintf(verb, v)
		}
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "mobile", mobile, "doc", doc, "name", name, "address", address, "email", email, "h", h)
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "mobile", mobile, "doc", doc, "name", name, "address", address, "email", email, "h", h)
	printed["slog"] = log.String()
	asJSON, err := json.Marshal(map[string]any{"m": mobile, "d": doc, "n": name, "a": address, "e": email, "h": h, "k": map[Mobile]int{mobile: 1}})
	if err != nil {
		t.Fatal(err)
	}
	printed["json"] = string(asJSON)
	asXML, err := xml.Marshal(xmlHolder{mobile})
	if err != nil {
		t.Fatal(err)
	}
	printed["xml"] = string(asXML)
	for how, out := range printed {
		for _, c := range revealed {
			if strings.Contains(out, c) {
				t.Errorf("%s shows the value: %s", how, out)
			}
		}
	}
	if got := fmt.Sprintf("%v %s %q %#v", mobile, &mobile, mobile, mobile); got != `177****7069 177****7069 "177****7069" "177****7069"` {
		t.Errorf("printed %s", got)
	}
	if !strings.Contains(printed["json"], `"m":"177****7069"`) {
		t.Errorf("json %s", printed["json"])
	}
}

func TestPersonalValuesCompare(t *testing.T) {
	a, b := NewMobile("17712347069"), NewMobile("177"+"12347069")
	if a != b || !cmp.Equal(a, b) || cmp.Equal(a, NewMobile("17712347060")) || NewMobile("") != (Mobile{}) || !NewMobile("").IsZero() {
		t.Error("equality is not that of clear texts")
	}
}

func TestMasksOfAnythingHideSomething(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "s")
		for _, v := range []personalValue{NewMobile(s), NewDocNo(s), NewPersonName(s), NewEmail(s), addressOf("", "", "", s)} {
			mask := v.Mask()
			if s != "" && !strings.Contains(s, "*") && (mask == s || !strings.Contains(mask, "*")) {
				t.Fatalf("%T of %q shows %q", v, s, mask)
			}
			if utf8.ValidString(s) && !utf8.ValidString(mask) {
				t.Fatalf("%T breaks a character", v)
			}
		}
	})
}

// F28: 11 digits, however they were typed.
func TestParseMobile(t *testing.T) {
	tests := []struct {
		name, in, want string
		bad            Fault
	}{
		{"plain", "17712347069", "17712347069", ""},
		{"country code", "+86 177-1234-7069", "17712347069", ""},
		{"another country's code", "+1 380 013 8000", "", BadFormat},
		{"country code without plus", "8617712347069", "17712347069", ""},
		{"country code with zeros", "008617712347069", "17712347069", ""},
		{"full width", "＋８６（１７７）１２３４—７０６９", "17712347069", ""},
		{"invisible mark of the address book", "\u202d17712347069\u202c", "17712347069", ""},
		{"landline", "01088886666", "", BadFormat},
		{"prefix 12", "12012347069", "", BadFormat},
		{"ten digits", "1771234706", "", BadLength},
		{"twelve digits", "177123470690", "", BadLength},
		{"other country", "+85261234567", "", BadFormat},
		{"letters", "1771234706O", "", BadCharacter},
		{"Arabic digits", "١٧٧١٢٣٤٧٠٦٩", "", BadCharacter},
		{"nothing", " - ", "", Missing},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseMobile(tt.in)
			wantFault(t, err, tt.bad)
			if got.Reveal() != tt.want {
				t.Errorf("got %q, want %q", got.Reveal(), tt.want)
			}
		})
	}
	for no, want := range map[string]int{"16512347069": 1, "17012347069": 1, "17112347069": 1, "16712347069": 1, "16212347069": 1, "17712347069": 0} {
		if got := len(NewMobile(no).Warnings()); got != want {
			t.Errorf("%s: %d warnings, want %d", no, got, want)
		}
	}
}

func TestParseEmail(t *testing.T) {
	for in, want := range map[string]string{
		"alice@example.com": "alice@example.com", " Alice.B+tag@Mail.Example.COM ": "Alice.B+tag@mail.example.com",
		"ａ＠ｘ．ｃｏｍ": "a@x.com", "o'neil@x-y.co": "o'neil@x-y.co",
		"": "", "alice": "", "@x.com": "", "a@": "", "a@x": "", "a@@x.com": "", "a b@x.com": "", "a@x..com": "", ".a@x.com": "", "a.@x.com": "",
		"a@-x.com": "", "a@x.c": "", "a@1.2.3.4": "", "a@[1.2.3.4]": "", "张三@x.com": "", "Alice <a@x.com>": "", `"a b"@x.com`: "", "a@x.com\r\nBcc: b@x.com": "",
		strings.Repeat("a", 65) + "@x.com": "",
	} {
		got, err := ParseEmail(in)
		if got.Reveal() != want || (err == nil) != (want != "") {
			t.Errorf("ParseEmail(%q) = %q, %v; want %q", in, got.Reveal(), err, want)
		}
	}
}

// F24: whichever dot an input method offers, the name is the one on the document.
func TestMiddleDotOfNames(t *testing.T) {
	for dot, of := range map[string]string{
		"·": "GB 18030", "．": "full-width full stop", ".": "full stop", "•": "bullet", "・": "katakana", "･": "half-width katakana", "‧": "hyphenation point",
		"∙": "bullet operator", "⋅": "dot operator", "․": "one dot leader", " · ": "spaced", " . ": "spaced full stop",
	} {
		t.Run(of, func(t *testing.T) {
			got, err := ParsePersonName("阿卜杜拉" + dot + "买买提" + dot + "艾力")
			if got.Reveal() != "阿卜杜拉·买买提·艾力" || err != nil {
				t.Errorf("%q, %v", got.Reveal(), err)
			}
		})
	}
	for in, want := range map[string]string{"John A. Smith Jr.": "John A. Smith Jr.", "Ｊ．Ｓｍｉｔｈ": "J.Smith", "Mary•Ann": "Mary·Ann"} { // Latin names keep their full stops
		if got, err := ParsePersonName(in); got.Reveal() != want || err != nil {
			t.Errorf("%q: %q, %v", in, got.Reveal(), err)
		}
	}
}

func TestParsePersonName(t *testing.T) {
	for in, want := range map[string]string{
		"王小琪": "王小琪", " 王 琪 ": "王琪", "阿卜杜拉•买买提": "阿卜杜拉·买买提", "John  O'Neil-Smith Jr.": "John O'Neil-Smith Jr.", "䶮㐂": "䶮㐂", "José": "José",
		"": "", "王": "", "王3": "", "王<b>": "", "··": "", strings.Repeat("王", 51): "",
	} {
		got, err := ParsePersonName(in)
		if got.Reveal() != want || (err == nil) != (want != "") {
			t.Errorf("ParsePersonName(%q) = %q, %v; want %q", in, got.Reveal(), err, want)
		}
	}
}

func TestParseAddress(t *testing.T) {
	a, err := ParseAddress("浙江省", " 杭州市 ", "西湖区", " 文三路　９９号 ")
	if err != nil || a.Reveal() != "浙江省杭州市西湖区文三路 99号" || a.City() != "杭州市" || a.RevealDetail() != "文三路 99号" {
		t.Errorf("%q, %v", a.Reveal(), err)
	}
	for _, bad := range [][4]string{{"", "杭州市", "西湖区", "文三路99号"}, {"浙江省", "杭州市", "", "文三路99号"}, {"浙江省", "杭州市", "西湖区", " "}, {"浙江省", "杭州市", "西湖区", "路"}, {"浙江省", "杭州市", "西湖区", strings.Repeat("路", 121)}} {
		if _, err := ParseAddress(bad[0], bad[1], bad[2], bad[3]); err == nil {
			t.Errorf("%v accepted", bad)
		}
	}
}

func FuzzParseContact(f *testing.F) {
	for _, s := range []string{"+86 177-1234-7069", "alice@example.com", "王小琪", "a@", "＠"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if m, err := ParseMobile(s); err == nil {
			if again, err := ParseMobile(m.Reveal()); err != nil || again != m || m.Mask() == m.Reveal() {
				t.Errorf("mobile %q", m.Reveal())
			}
		}
		if e, err := ParseEmail(s); err == nil {
			if again, err := ParseEmail(e.Reveal()); err != nil || again != e || strings.ContainsAny(e.Reveal(), "\r\n ") {
				t.Errorf("e-mail %q", e.Reveal())
			}
		}
		if n, err := ParsePersonName(s); err == nil {
			if again, err := ParsePersonName(n.Reveal()); err != nil || again != n || n.Mask() == n.Reveal() {
				t.Errorf("name %q", n.Reveal())
			}
		}
	})
}

// G20: the holder of a certificate, company or person.
func TestMaskHolder(t *testing.T) {
	for name, want := range map[string]string{"云南示例工程有限公司": "云南******公司", "云岭供电所": "云岭*电所", "王小琪": "王*琪", "李四": "李*", "": ""} {
		if got := MaskHolder(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
