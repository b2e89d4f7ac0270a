package identity

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// PersonName is the name of a natural person as on the document.
type PersonName struct{ personal[nameText] }

type nameText string

func (t nameText) clear() string { return string(t) }

// mask keeps the first and the last character: 王*琪. Of two characters only
// the first stays: 李*.
func (t nameText) mask() string {
	if utf8.RuneCountInString(string(t)) == 2 {
		return keep(string(t), 1, 0, 1)
	}
	return keep(string(t), 1, 1, 1)
}

// NewPersonName wraps a value that was checked before, such as one read back
// from the store.
func NewPersonName(checked string) PersonName { return PersonName{hide(nameText(checked))} }

// MaskHolder is how the holder of a certificate, a company or a person, is named to
// somebody who knows him: 云南******公司, 王*琪.
func MaskHolder(name string) string {
	if utf8.RuneCountInString(name) > 4 {
		return keep(name, 2, 2, 1)
	}
	return NewPersonName(name).Mask()
}

const maxNameLength = 50

// chineseName writes 王 琪, spaced for alignment, and 阿卜杜拉．买买提. Like every replacer
// it builds a table of 5 KiB on its first use, so there is one.
var chineseName = strings.NewReplacer(" ", "", ".", "·")

// ParsePersonName accepts Chinese names, names of minorities with the middle dot,
// whichever dot was typed, and names in Latin letters.
func ParsePersonName(s string) (PersonName, error) {
	n := strings.Join(strings.Fields(strings.Map(middleDot, HalfWidth(s))), " ")
	if strings.ContainsFunc(n, func(r rune) bool { return unicode.Is(unicode.Han, r) }) {
		n = chineseName.Replace(n)
	}
	switch length := utf8.RuneCountInString(n); {
	case n == "":
		return PersonName{}, fault(Missing, "请填写姓名。")
	case length < 2 || length > maxNameLength:
		return PersonName{}, fault(BadLength, "姓名应为2至50个字，请按证件填写全名。")
	case strings.ContainsFunc(n, notInName) || !strings.ContainsFunc(n, unicode.IsLetter):
		return PersonName{}, fault(BadCharacter, "姓名只能包含汉字、字母和间隔号“·”，请按证件填写。")
	}
	return NewPersonName(n), nil
}

// middleDot maps the dots that input methods offer to the one of GB 18030 names. The
// full stop is none of them: Jr. is written with it, and only Chinese names are not.
func middleDot(r rune) rune {
	if strings.ContainsRune("•‧・･∙⋅․", r) {
		return '·'
	}
	return r
}

func notInName(r rune) bool {
	return !unicode.Is(unicode.Han, r) && !unicode.Is(unicode.Latin, r) && !strings.ContainsRune("· -'.", r)
}
