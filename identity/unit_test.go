package identity

import (
	"errors"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// F31, G23: one box takes three kinds of codes.
func TestCheckUnitCode(t *testing.T) {
	odd := "91990000MA0000001"
	odd += string(usccCheck(odd))
	tests := []struct {
		name, in, want string
		kind           UnitCodeKind
		fault          Fault
		suggestion     string
		warnings       int
	}{
		{name: "example of the standard", in: "91350100M000100Y43", want: "91350100M000100Y43", kind: KindUSCC},
		{name: "letter outside the alphabet", in: "91350100M000100Y4Z", fault: BadCharacter},
		{name: "company", in: "91110108MA00TEN18F", want: "91110108MA00TEN18F", kind: KindUSCC},
		{name: "wrong check character", in: "91110108MA00TEN18G", fault: BadCheckDigit},
		{name: "sole trader", in: "92440300MA00000074", want: "92440300MA00000074", kind: KindUSCC},
		{name: "public institution", in: "12110000MA0000007C", want: "12110000MA0000007C", kind: KindUSCC},
		{name: "region and organisation code look odd", in: odd, want: odd, kind: KindUSCC, warnings: 2},
		{name: "lower case and spaces", in: " 91110108 ma00ten18f ", want: "91110108MA00TEN18F", kind: KindUSCC},
		{name: "full width", in: "９１１１０１０８ＭＡ００ＴＥＮ１８Ｆ", want: "91110108MA00TEN18F", kind: KindUSCC},
		{name: "I and O for 1 and 0", in: "9IIIOIO8MAOOTENI8F", fault: BadCharacter, suggestion: "91110108MA00TEN18F"},
		{name: "O, but not valid either way", in: "9111O108MA00TEN18G", fault: BadCharacter},
		{name: "organisation code", in: "MA00TEN1-8", want: "MA00TEN18", kind: KindOrgCode},
		{name: "organisation code, mistyped", in: "MA00TEN17", fault: BadCheckDigit},
		{name: "organisation code, letter at the end", in: "MA00TEN1A", fault: BadCharacter},
		{name: "registration number", in: "110108000000016", want: "110108000000016", kind: KindRegistrationNo},
		{name: "registration number, mistyped", in: "110108000000017", fault: BadCheckDigit},
		{name: "registration number with a letter", in: "11010800000001A", fault: BadCharacter},
		{name: "17 characters", in: "91110108MA00TEN18", fault: BadLength},
		{name: "nothing", in: " 　", fault: Missing},
		{name: "Chinese", in: "统一社会信用代码", fault: BadLength},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := CheckUnitCode(tt.in)
			wantFault(t, err, tt.fault)
			if got.Value != tt.want || got.Kind != tt.kind || len(got.Warnings) != tt.warnings {
				t.Errorf("got %+v, want %s %s with %d warnings", got, tt.kind, tt.want, tt.warnings)
			}
			if e, ok := errors.AsType[*Error](err); ok && e.Suggestion != tt.suggestion {
				t.Errorf("suggestion %q, want %q", e.Suggestion, tt.suggestion)
			}
			if err == nil && got.NeedsReview() != (tt.kind != KindUSCC) {
				t.Error("flag for the reviewer")
			}
		})
	}
}

func wantFault(t *testing.T, err error, want Fault) {
	t.Helper()
	if want == "" && err == nil {
		return
	}
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %q", err, want)
	}
	if s := err.Error(); !strings.HasSuffix(s, "。") {
		t.Errorf("%q is no sentence", s)
	}
}

// F30: the code preselects the type of the unit; G22 puts social organisations
// under the nearest.
func TestUnitTypeHint(t *testing.T) {
	for prefix, want := range map[string]UnitType{"91": Enterprise, "93": Enterprise, "92": SoleTrader, "11": PublicBody, "12": PublicBody, "52": PublicBody, "Y1": ""} {
		got, ok := UnitCode{Value: prefix + "110108MA00TEN18F", Kind: KindUSCC}.UnitType()
		if got != want || ok != (want != "") {
			t.Errorf("%s hints %q, want %q", prefix, got, want)
		}
	}
	if _, ok := (UnitCode{Value: "MA00TEN18", Kind: KindOrgCode}).UnitType(); ok {
		t.Error("an organisation code has no prefix")
	}
	for _, u := range []UnitType{Enterprise, SoleTrader, PublicBody} {
		if u.Label() == "" {
			t.Errorf("%s has no label", u)
		}
	}
}

// The check character, by the closed formula instead of our running weights.
func TestUSCCCheckAgainstPowers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		body := rapid.StringOfN(rapid.RuneFrom([]rune(usccAlphabet)), 17, 17, -1).Draw(t, "body")
		sum := new(big.Int)
		for i, c := range body {
			w := new(big.Int).Exp(big.NewInt(3), big.NewInt(int64(i)), nil)
			sum.Add(sum, w.Mul(w, big.NewInt(int64(strings.IndexRune(usccAlphabet, c)))))
		}
		check := new(big.Int).Mod(sum.Neg(sum), big.NewInt(31)).Int64()
		code := body + usccAlphabet[check:check+1]
		if got, err := CheckUSCC(strings.ToLower(code)); got != code || err != nil {
			t.Fatalf("%s: %v", code, err)
		}
		oneWrong(t, code, usccAlphabet, 18, func(s string) error { _, err := CheckUSCC(s); return err })
	})
}

// oneWrong changes one of the first n characters: every check system here
// promises to notice that.
func oneWrong(t *rapid.T, code, alphabet string, n int, check func(string) error) {
	i := rapid.IntRange(0, n-1).Draw(t, "position")
	c := rapid.SampledFrom([]byte(alphabet)).Draw(t, "character")
	if wrong := code[:i] + string(c) + code[i+1:]; wrong != code && check(wrong) == nil {
		t.Fatalf("%s passes as well as %s", wrong, code)
	}
}

// The recursive definition of ISO 7064 MOD 11,10: a valid number ends at 1.
func TestRegistrationNoAgainstDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		body := rapid.StringMatching(`[0-9]{14}`).Draw(t, "body")
		valid := 0
		for _, last := range digits {
			p := 10
			for _, c := range body {
				p = (p + int(c-'0')) % 10
				if p == 0 {
					p = 10
				}
				p = p * 2 % 11
			}
			_, err := CheckRegistrationNo(body + string(last))
			if ok := (p+int(last-'0'))%10 == 1; ok != (err == nil) {
				t.Fatalf("%s%c: %v, want valid = %v", body, last, err, ok)
			}
			if err == nil {
				valid++
				oneWrong(t, body+string(last), digits, 15, func(s string) error { _, err := CheckRegistrationNo(s); return err })
			}
		}
		if valid != 1 {
			t.Fatalf("%d check digits fit", valid)
		}
	})
}

func TestOrgCodeHasOneCheck(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		body := rapid.StringMatching(`[0-9A-Z]{8}`).Draw(t, "body")
		valid := ""
		for _, last := range digits + "X" {
			if _, err := CheckOrgCode(body + "-" + string(last)); err == nil {
				valid += string(last)
			}
		}
		// GB 11714: the weighted sum with the check character is a multiple of 11.
		sum := 0
		for i, w := range []int{3, 7, 9, 10, 5, 8, 4, 2} {
			sum += w * strings.IndexByte(digits+letters, body[i])
		}
		if len(valid) != 1 || (sum+strings.IndexByte("0123456789X", valid[0]))%11 != 0 {
			t.Fatalf("%s: checks %q", body, valid)
		}
	})
}

func FuzzCheckUnitCode(f *testing.F) {
	f.Add("91350100M000100Y43")
	f.Add("MA00TEN1-8")
	f.Add("９１１１０１０８ＭＡ００ＴＥＮ１８Ｆ")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := CheckUnitCode(s)
		if err != nil {
			return
		}
		if again, err := CheckUnitCode(c.Value); err != nil || again.Value != c.Value || again.Kind != c.Kind {
			t.Errorf("%q is not stable: %v", c.Value, err)
		}
	})
}
