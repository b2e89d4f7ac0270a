package order

import "testing"

// An amount that somebody owes us has one sign, in front.
func TestYuan(t *testing.T) {
	for f, want := range map[Fen]string{0: "0.00", 5: "0.05", 30000: "300.00", -5: "-0.05", -150: "-1.50"} {
		if got := f.Yuan(); got != want {
			t.Errorf("%d fen are %s, want %s", int(f), got, want)
		}
	}
}
