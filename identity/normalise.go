package identity

import (
	"strings"
	"unicode"
)

// HalfWidth turns full-width ASCII and the ideographic space into their
// half-width forms and drops invisible characters, which copying from chat
// windows and office documents leaves behind.
func HalfWidth(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= '!'+fullWidth && r <= '~'+fullWidth:
			return r - fullWidth
		case r == '\u3000' || r == '\u00a0':
			return ' '
		case unicode.Is(unicode.Cf, r) || unicode.IsControl(r) && !unicode.IsSpace(r):
			return -1
		}
		return r
	}, s)
}

// fullWidth is the distance from an ASCII character to its full-width form.
const fullWidth = '\uff01' - '!'

// compact is HalfWidth in upper case and without spaces: how codes are compared.
func compact(s string) string {
	return strings.ToUpper(without(HalfWidth(s), unicode.IsSpace))
}

func without(s string, drop func(rune) bool) string {
	return strings.Map(func(r rune) rune {
		if drop(r) {
			return -1
		}
		return r
	}, s)
}

// isDash knows the hyphens and dashes that input methods produce.
func isDash(r rune) bool { return unicode.Is(unicode.Pd, r) || r == '\u2212' }

// only reports whether s is made of characters of set.
func only(s, set string) bool { return strings.Trim(s, set) == "" }

const (
	digits  = "0123456789"
	letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
)
