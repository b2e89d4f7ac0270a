package identity

import (
	"math/big"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var testDay = time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)

// F28: 证件号码 is checked by its type.
func TestParseDocNo(t *testing.T) {
	tests := []struct {
		name string
		typ  DocType
		in   string
		want string
		bad  Fault
	}{
		{"ends in X", ResidentID, "11010519491231002X", "11010519491231002X", ""},
		{"small x, spaces, full width", ResidentID, " 110105 19491231 ００２x", "11010519491231002X", ""},
		{"valid", ResidentID, "110101199003070011", "110101199003070011", ""},
		{"wrong check digit", ResidentID, "110101199003070012", "", BadCheckDigit},
		{"30 February", ResidentID, withCheck("11010119900230001"), "", BadDate},
		{"month 13", ResidentID, withCheck("11010119901301001"), "", BadDate},
		{"29 February of a leap year", ResidentID, withCheck("11010120000229001"), withCheck("11010120000229001"), ""},
		{"29 February of 1900", ResidentID, withCheck("11010119000229001"), "", BadDate},
		{"born tomorrow", ResidentID, withCheck("11010120261124001"), "", BadDate},
		{"121 years old", ResidentID, withCheck("11010119051123001"), "", BadAge},
		{"120 years old", ResidentID, withCheck("11010119051124001"), withCheck("11010119051124001"), ""},
		{"unknown region", ResidentID, withCheck("17010119900307001"), "", BadRegion},
		{"15 digits", ResidentID, "110105491231002", "", BadLength},
		{"17 digits", ResidentID, "11010519491231002", "", BadLength},
		{"letter inside", ResidentID, "1101051949123100X2", "", BadCharacter},
		{"nothing", ResidentID, "　", "", Missing},
		{"Hong Kong resident", HKMTResidence, "810000199001010019", "810000199001010019", ""},
		{"Taiwan resident", HKMTResidence, "830000199001010012", "830000199001010012", ""},
		{"mainland resident", HKMTResidence, "110101199003070011", "", BadRegion},
		{"nine characters", HKMacaoPermit, "H12345678", "H12345678", ""},
		{"eleven characters", HKMacaoPermit, "m1234567800", "M1234567800", ""},
		{"ten characters", HKMacaoPermit, "H123456789", "", BadFormat},
		{"other letter", HKMacaoPermit, "A12345678", "", BadFormat},
		{"new permit", TaiwanPermit, "12345678", "12345678", ""},
		{"old permit", TaiwanPermit, "1234567890(B)", "1234567890B", ""},
		{"nine digits", TaiwanPermit, "123456789", "", BadFormat},
		{"2023 layout", ForeignPermanent, "911840198101010010", "911840198101010010", ""},
		{"2023 layout, mistyped", ForeignPermanent, "911840198101010011", "", BadCheckDigit},
		{"2023 layout, no such day", ForeignPermanent, withCheck("91184019811301001"), "", BadDate},
		{"2017 layout", ForeignPermanent, "USA840123456789", "USA840123456789", ""},
		{"neither layout", ForeignPermanent, "110101199003070011", "", BadFormat},
		{"Chinese passport", Passport, "e12345678", "E12345678", ""},
		{"too short", Passport, "E123", "", BadFormat},
		{"Chinese characters", Passport, "护照号码号码", "", BadFormat},
		{"no such type", "driving_licence", "E12345678", "", UnknownType},
	}
	for _, tt := range tests {
		t.Run(string(tt.typ)+" "+tt.name, func(t *testing.T) {
			got, err := ParseDocNo(tt.typ, tt.in, MinHolderAge, testDay)
			wantFault(t, err, tt.bad)
			if got.Reveal() != tt.want {
				t.Errorf("got %q, want %q", got.Reveal(), tt.want)
			}
			if err != nil && len(tt.in) > 4 && strings.Contains(err.Error(), tt.in) {
				t.Error("the error repeats the value")
			}
		})
	}
}

// withCheck computes the check digit by the definition of ISO 7064 MOD 11-2:
// the number, read with weights 2^(17-i), is 1 modulo 11.
func withCheck(body string) string {
	sum := new(big.Int)
	for i, c := range body {
		w := new(big.Int).Lsh(big.NewInt(int64(c-'0')), uint(17-i))
		sum.Add(sum, w)
	}
	check := new(big.Int).Mod(sum.Sub(big.NewInt(1), sum), big.NewInt(11)).Int64()
	return body + "0123456789X"[check:check+1]
}

func TestAges(t *testing.T) {
	born := withCheck("11010120081123001")
	tests := []struct {
		name   string
		minAge int
		today  time.Time
		bad    Fault
	}{
		{"18 today", MinApplicantAge, testDay, ""},
		{"18 today, just after midnight in Shanghai", MinApplicantAge, time.Date(2026, 11, 22, 16, 0, 0, 0, time.UTC), ""},
		{"18 tomorrow", MinApplicantAge, time.Date(2026, 11, 22, 15, 59, 59, 0, time.UTC), BadAge},
		{"17 holds a card", MinHolderAge, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), ""},
		{"15 holds none", MinHolderAge, time.Date(2024, 11, 22, 0, 0, 0, 0, time.UTC), BadAge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseDocNo(ResidentID, born, tt.minAge, tt.today)
			wantFault(t, err, tt.bad)
		})
	}
}

// F27: with another document than 身份证 the images are photo pages.
func TestDocTypes(t *testing.T) {
	for _, d := range DocTypes {
		if d.Label == "" || d.check == nil || d.Type.Label() != d.Label || d.IDCard != (d.Type == ResidentID) {
			t.Errorf("%s is incomplete", d.Type)
		}
		if _, err := d.Parse("?", MinHolderAge, testDay); err == nil {
			t.Errorf("%s takes anything", d.Type)
		}
	}
	if DocTypes[0].Type != ResidentID {
		t.Error("身份证 is the default")
	}
	d, _ := DocumentOf(Passport)
	if len(d.Warnings(NewDocNo("E12345678"))) != 0 || len(d.Warnings(NewDocNo("K1234567"))) != 1 {
		t.Error("hint for foreign passports")
	}
}

func TestCitizenCheckFindsEveryWrongDigit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		body := rapid.StringMatching(`11010119(8[0-9]|9[0-9])(0[1-9]|1[0-2])(0[1-9]|1[0-9]|2[0-8])[0-9]{3}`).Draw(t, "body")
		no := withCheck(body)
		check := func(s string) error { _, err := ParseDocNo(ResidentID, s, MinApplicantAge, testDay); return err }
		if err := check(no); err != nil {
			t.Fatal(err)
		}
		oneWrong(t, no, digits, 18, check)
		i := rapid.IntRange(0, 15).Draw(t, "swap")
		if swapped := no[:i] + no[i+1:i+2] + no[i:i+1] + no[i+2:]; swapped != no && check(swapped) == nil {
			t.Fatal("swapped neighbours pass")
		}
	})
}

func FuzzParseDocNo(f *testing.F) {
	for _, s := range []string{"11010519491231002X", "H12345678", "1234567890(B)", "USA840123456789", "９", "E12345678"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, d := range DocTypes {
			no, err := d.Parse(s, MinHolderAge, testDay)
			if err != nil {
				continue
			}
			if again, err := d.Parse(no.Reveal(), MinHolderAge, testDay); err != nil || again != no {
				t.Errorf("%s is not stable: %v", d.Type, err)
			}
			if no.Mask() == no.Reveal() {
				t.Errorf("%s is not masked", d.Type)
			}
		}
	})
}
