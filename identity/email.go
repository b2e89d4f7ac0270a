package identity

import (
	"net/mail"
	"regexp"
	"strings"
)

// Email is an e-mail address.
type Email struct{ personal[emailText] }

type emailText string

func (t emailText) clear() string { return string(t) }

// mask keeps the first letter and the domain: a***@x.com. A local part of one
// letter is hidden whole.
func (t emailText) mask() string {
	local, domain, ok := strings.Cut(string(t), "@")
	switch r := []rune(local); {
	case t == "":
		return ""
	case !ok:
		return "***"
	case len(r) > 1:
		return string(r[:1]) + "***@" + domain
	default:
		return "***@" + domain
	}
}

// NewEmail wraps a value that was checked before, such as one read back from
// the store.
func NewEmail(checked string) Email { return Email{hide(emailText(checked))} }

// domainPattern is a DNS name of two labels or more (RFC 1035 §2.3.1, with the
// leading digit of RFC 1123 §2.1).
var domainPattern = regexp.MustCompile(`^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])$`)

// localPattern is the dot-atom of RFC 5322 §3.2.3. Quoted local parts are legal
// there, but no mailbox that we could write to has one.
var localPattern = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*$")

// ParseEmail checks an address and writes its domain in lower case.
func ParseEmail(s string) (Email, error) {
	s = strings.TrimSpace(HalfWidth(s))
	if s == "" {
		return Email{}, fault(Missing, "请填写电子邮箱。")
	}
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return Email{}, fault(BadFormat, "电子邮箱缺少“@”，请填写完整地址，例如 name@example.com。")
	}
	local, domain := s[:at], strings.ToLower(s[at+1:])
	if len(local) > 64 || len(s) > 254 { // RFC 5321 §4.5.3.1
		return Email{}, fault(BadLength, "电子邮箱过长，请检查后重新填写。")
	}
	whole := local + "@" + domain
	parsed, err := mail.ParseAddress(whole)
	if err != nil || parsed.Address != whole || !localPattern.MatchString(local) || !domainPattern.MatchString(domain) {
		return Email{}, fault(BadFormat, "电子邮箱格式不正确，请检查“@”前后的内容，不要包含空格和中文。")
	}
	return NewEmail(whole), nil
}
