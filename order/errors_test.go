package order

import "testing"

// Only the runtime's own words leave a panic: its value may be somebody's number.
func TestPanicText(t *testing.T) {
	caught := func(f func()) (text string) {
		defer func() { text = PanicText(recover()) }()
		f()
		return ""
	}
	var none []int
	for want, f := range map[string]func(){
		"runtime error: index out of range [0] with length 0": func() { _ = none[0] },
		"string": func() { panic("11010119900307001X") },
	} {
		if got := caught(f); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
