package order

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// F93: prefix, Shanghai time, six digits.
func TestFormatNo(t *testing.T) {
	at := time.Date(2026, 12, 31, 16, 0, 1, 0, time.UTC) // already the new year in Shanghai
	if got, want := FormatNo(at, 152), "SAAS120270101000001000152"; got != want {
		t.Errorf("FormatNo = %s, want %s", got, want)
	}
}

// G2: what people do to a number.
func TestPrintedNo(t *testing.T) {
	const no = "SAAS120230811175755000152"
	for _, tt := range []struct{ name, in, want string }{
		{"as printed", no, no},
		{"lower case", "saas120230811175755000152", no},
		{"spaces", " SAAS1 20230811175755 000152\n", no},
		{"full width", "ＳＡＡＳ１２０２３０８１１１７５７５５０００１５２", no},
		{"its end", " 0152 ", "0152"},
		{"empty", "", ""},
	} {
		if got := PrintedNo(tt.in); got != tt.want {
			t.Errorf("%s: %q", tt.name, got)
		}
	}
}

// F93: every number has 25 places and is found however it is typed.
func TestNumbersRoundTrip(t *testing.T) {
	shape := regexp.MustCompile(`^SAAS1\d{20}$`)
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "at"), 0)
		seq := rapid.IntRange(0, 2_000_000).Draw(t, "seq")
		no := FormatNo(at, seq)
		if got := PrintedNo(strings.ToLower(no)); got != no || !shape.MatchString(no) {
			t.Fatalf("%s reads as %s", no, got)
		}
		if no[len(no)-4:] != TailOf(no) {
			t.Fatal("tail")
		}
	})
}

func TestWholeNo(t *testing.T) {
	no := FormatNo(time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC), 7)
	for text, whole := range map[string]bool{no: true, "": false, no[1:]: false, TailOf(no): false, no[:24]: false, no + "0": false} {
		if WholeNo(text) != whole {
			t.Errorf("WholeNo(%q) is %t", text, !whole)
		}
	}
}

func TestTailOf(t *testing.T) {
	for in, want := range map[string]string{"SAAS120230811175755000152": "0152", "12": "12", "": ""} {
		if got := TailOf(in); got != want {
			t.Errorf("TailOf(%q) = %q, want %q", in, got, want)
		}
	}
}

// G3: 39 digits lost a leading zero.
func TestNormalizeCertSerial(t *testing.T) {
	full := "0C99" + strings.Repeat("AB", 16) + "3B20"
	tests := []struct{ name, in, want string }{
		{"whole", full, full},
		{"39 digits", full[1:], full},
		{"lower case, spaces and colons", "0c:99 " + strings.ToLower(full[4:]), full},
		{"38 digits", full[2:], ""},
		{"41 digits", full + "0", ""},
		{"not hexadecimal", "G" + full[1:], ""},
		{"empty", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := NormalizeCertSerial(tt.in)
			if got != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func FuzzNormalizeCertSerial(f *testing.F) {
	f.Add("0C99" + strings.Repeat("AB", 16) + "3B20")
	f.Fuzz(func(t *testing.T, s string) {
		if serial, err := NormalizeCertSerial(s); err == nil && len(serial) != certSerialLength {
			t.Errorf("%q", serial)
		}
	})
}
