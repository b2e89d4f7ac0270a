package token

import "testing"

// F79: one to eight digits, and what the token itself allows; what it does not say
// limits nothing.
func TestPINLength(t *testing.T) {
	for name, tt := range map[string]struct{ min, max, least, most int }{
		"a token that says nothing": {0, 0, 1, 8},
		"SoftHSM":                   {4, 255, 4, 8},
		"a short one":               {2, 6, 2, 6},
	} {
		t.Run(name, func(t *testing.T) {
			if least, most := (Info{MinPIN: tt.min, MaxPIN: tt.max}).PINLength(); least != tt.least || most != tt.most {
				t.Errorf("%d to %d, want %d to %d", least, most, tt.least, tt.most)
			}
		})
	}
}
