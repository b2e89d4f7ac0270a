package identity

import (
	"regexp"
	"slices"
	"strings"
)

// Mobile is a mobile number of the Chinese mainland, 11 digits.
type Mobile struct{ personal[mobileText] }

type mobileText string

func (t mobileText) clear() string { return string(t) }
func (t mobileText) mask() string  { return keep(string(t), 3, 4, 4) } // 177****7069

// NewMobile wraps a value that was checked before, such as one read back from
// the store.
func NewMobile(checked string) Mobile { return Mobile{hide(mobileText(checked))} }

var mobilePattern = regexp.MustCompile(`^1[3-9]\d{9}$`)

// ParseMobile accepts what people type and paste: country code, spaces, dashes,
// parentheses, full-width digits.
func ParseMobile(s string) (Mobile, error) {
	n := without(compact(s), func(r rune) bool { return isDash(r) || r == '(' || r == ')' })
	if n == "" {
		return Mobile{}, fault(Missing, "请填写手机号。")
	}
	if bare, ok := strings.CutPrefix(n, "+"); ok || len(n) > 11 {
		home, ours := strings.CutPrefix(strings.TrimPrefix(bare, "00"), "86")
		if ok && !ours && only(home, digits) { // +1 380 013 8000 is somebody's number elsewhere
			return Mobile{}, fault(BadFormat, "目前只支持中国大陆手机号，国家代码为+86，请重新填写。")
		}
		n = home
	}
	switch {
	case !only(n, digits):
		return Mobile{}, fault(BadCharacter, "手机号只能包含数字，请重新填写。")
	case len(n) != 11:
		return Mobile{}, fault(BadLength, "手机号应为11位数字，请检查是否多填或漏填。")
	case !mobilePattern.MatchString(n):
		return Mobile{}, fault(BadFormat, "手机号格式不正确，请填写中国大陆手机号（以13至19开头）。")
	}
	return NewMobile(n), nil
}

// virtualPrefixes belong to resellers of mobile service; their SMS arrive late or
// never more often than others.
var virtualPrefixes = []string{"162", "165", "167", "170", "171"}

// Warnings tells of a number that works but may miss our messages.
func (m Mobile) Warnings() []Warning {
	n := m.Reveal()
	if slices.ContainsFunc(virtualPrefixes, func(p string) bool { return strings.HasPrefix(n, p) }) {
		return []Warning{{"virtual_mobile", "这是虚拟运营商号段，短信可能延迟或收不到，建议换用常用手机号。"}}
	}
	return nil
}
