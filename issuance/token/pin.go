package token

import (
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"log/slog"
	"math/big"
	"strings"

	"github.com/miekg/pkcs11"
)

// PIN is a user PIN or an SO PIN. It shows itself only through Reveal.
type PIN string

// Reveal returns the PIN in clear.
func (p PIN) Reveal() string { return string(p) }

// String hides the PIN.
func (PIN) String() string { return "[PIN]" }

// GoString hides the PIN.
func (PIN) GoString() string { return "[PIN]" }

// LogValue hides the PIN.
func (PIN) LogValue() slog.Value { return slog.StringValue("[PIN]") }

// MarshalText hides the PIN, in JSON too.
func (PIN) MarshalText() ([]byte, error) { return []byte("[PIN]"), nil }

// NewSOPIN returns a random SO PIN: 16 base32 characters, 80 bits.
func NewSOPIN() PIN {
	b := make([]byte, 10)
	rand.Read(b) // never fails (crypto/rand)
	return PIN(base32.StdEncoding.EncodeToString(b))
}

// NewUserPIN returns a random initial user PIN: 8 digits.
func NewUserPIN() PIN {
	n, err := rand.Int(rand.Reader, big.NewInt(1e8))
	if err != nil {
		panic(err) // crypto/rand never fails
	}
	return PIN(fmt.Sprintf("%08d", n))
}

// How many digits a subscriber's PIN may have, whatever the token (F79).
const (
	minUserPIN = 1
	maxUserPIN = 8
)

// CheckUserPIN refuses what no subscriber may choose (F79). The token's own limits come
// on top, see Info.PINLength.
func CheckUserPIN(p PIN) error {
	if n := len(p); n < minUserPIN || n > maxUserPIN || strings.IndexFunc(string(p), func(r rune) bool { return r < '0' || r > '9' }) >= 0 {
		return &Error{Kind: PINForm, Op: "reading a new PIN"}
	}
	return nil
}

// WeakPIN reports whether a PIN is one that people try first: short, one digit
// repeated, or digits in a row (G5).
func WeakPIN(p PIN) bool {
	if len(p) < 6 {
		return true
	}
	steps := map[int]bool{}
	for i := 1; i < len(p); i++ {
		steps[(int(p[i])-int(p[i-1])+10)%10] = true
	}
	return len(steps) == 1 && (steps[0] || steps[1] || steps[9]) || strings.Count(string(p), string(p[:2]))*2 == len(p)
}

// checkLength refuses a PIN that the token would refuse, before the token counts
// it as a wrong try.
func checkLength(p PIN, info pkcs11.TokenInfo) error {
	if n := uint(len(p)); n < info.MinPinLen || info.MaxPinLen != 0 && n > info.MaxPinLen {
		return &Error{Kind: PINLength, Op: fmt.Sprintf("PIN length (token allows %d to %d)", info.MinPinLen, info.MaxPinLen)}
	}
	return nil
}
