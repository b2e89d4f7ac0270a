package identity

import "strings"

// keep shows the first and last runes of s and one * for each rune between. If
// that would hide fewer than hidden runes it shows nothing at all.
func keep(s string, first, last, hidden int) string {
	r := []rune(s)
	between := len(r) - first - last
	if between < hidden {
		return stars(len(r))
	}
	return string(r[:first]) + stars(between) + string(r[len(r)-last:])
}

func stars(n int) string { return strings.Repeat("*", n) }
