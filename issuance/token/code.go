package token

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strings"
)

// Challenge codes unlock a token on a PC without a network. The token shows a
// challenge: the last digit of its generation (how often its SO PIN has changed)
// and seven random base32 characters. The server's response is the SO PIN of that
// generation, XORed with a mask that only the token's secret K gives for this
// challenge and serial number, and two check characters. Then both sides take the
// next SO PIN from the current one and the challenge, so that no report is needed.
//
// Whoever holds the token can read K: what keeps him out is that the response is
// shown only to the bound mobile.
const (
	challengeLength = 8
	responseLength  = 18
	checkLengthOf   = 2
	soBytes         = 10 // of an SO PIN: 16 base32 characters
)

// alphabet is base32, in which people mistake these for letters.
var confused = strings.NewReplacer("0", "O", "1", "I", "8", "B")

// newChallenge returns a random challenge for a token of that generation.
func newChallenge(generation int) string {
	b := make([]byte, 5)
	rand.Read(b) // never fails (crypto/rand)
	return digitOf(generation) + base32.StdEncoding.EncodeToString(b)[:challengeLength-1]
}

// digitOf is what a challenge says of the generation.
func digitOf(generation int) string { return fmt.Sprint(generation % 10) }

// ParseChallenge reads a challenge as people type it: any case, spaces and
// dashes, and digits that base32 does not have taken for the letters they look like.
func ParseChallenge(typed string) (string, error) {
	s := plain(typed)
	if len(s) != challengeLength || s[0] < '0' || s[0] > '9' {
		return "", &Error{Kind: CodeInvalid, Op: "reading a challenge"}
	}
	s = s[:1] + confused.Replace(s[1:])
	if !isBase32(s[1:]) {
		return "", &Error{Kind: CodeInvalid, Op: "reading a challenge"}
	}
	return s, nil
}

// plain is a code as people type it without what they put between its characters.
func plain(typed string) string {
	return strings.ToUpper(strings.NewReplacer(" ", "", "-", "", "\t", "", "　", "").Replace(strings.TrimSpace(typed)))
}

func isBase32(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return (r < 'A' || r > 'Z') && (r < '2' || r > '7') }) < 0
}

// GroupCode writes a challenge or a response in groups of four, to be read aloud.
func GroupCode(code string) string {
	var groups []string
	for len(code) > 4 {
		groups, code = append(groups, code[:4]), code[4:]
	}
	return strings.Join(append(groups, code), "-")
}

// Respond makes the response to a challenge: the SO PIN under a mask.
func Respond(soPIN PIN, secret []byte, challenge, serial string) (string, error) {
	plain, err := base32.StdEncoding.DecodeString(string(soPIN))
	if err != nil || len(plain) != soBytes {
		return "", &Error{Kind: Mismatch, Op: "making a response: not an SO PIN of ours"}
	}
	body, err := masked(plain, secret, challenge, serial)
	if err != nil {
		return "", err
	}
	text := base32.StdEncoding.EncodeToString(body)
	return text + checkOf(text, challenge, serial), nil
}

// OpenResponse takes the SO PIN out of a response as people type it. A typing
// error, or a response to another challenge or token, is CodeInvalid.
func OpenResponse(typed string, secret []byte, challenge, serial string) (PIN, error) {
	s := confused.Replace(plain(typed))
	if len(s) != responseLength || !isBase32(s) {
		return "", &Error{Kind: CodeInvalid, Op: "reading a response"}
	}
	text, check := s[:responseLength-checkLengthOf], s[responseLength-checkLengthOf:]
	if check != checkOf(text, challenge, serial) {
		return "", &Error{Kind: CodeInvalid, Op: "reading a response: check characters"}
	}
	body, err := base32.StdEncoding.DecodeString(text)
	if err != nil {
		return "", &Error{Kind: CodeInvalid, Op: "reading a response"}
	}
	plain, err := masked(body, secret, challenge, serial)
	return PIN(base32.StdEncoding.EncodeToString(plain)), err
}

func masked(b, secret []byte, challenge, serial string) ([]byte, error) {
	mask, err := hkdf.Key(sha256.New, secret, nil, "yuncaidun response v1\x00"+challenge+"\x00"+serial, len(b))
	if err != nil {
		return nil, fmt.Errorf("masking an SO PIN: %w", err)
	}
	out := make([]byte, len(b))
	for i := range b {
		out[i] = b[i] ^ mask[i]
	}
	return out, nil
}

func checkOf(text, challenge, serial string) string {
	sum := sha256.Sum256([]byte("yuncaidun check v1\x00" + text + "\x00" + challenge + "\x00" + serial))
	return base32.StdEncoding.EncodeToString(sum[:5])[:checkLengthOf]
}

// NextSOPIN is the SO PIN that follows the current one after a challenge.
func NextSOPIN(current PIN, challenge string) (PIN, error) {
	plain, err := base32.StdEncoding.DecodeString(string(current))
	if err != nil || len(plain) != soBytes {
		return "", &Error{Kind: Mismatch, Op: "taking the next SO PIN: not an SO PIN of ours"}
	}
	next, err := hkdf.Key(sha256.New, plain, nil, "yuncaidun next SO PIN v1\x00"+challenge, soBytes)
	return PIN(base32.StdEncoding.EncodeToString(next)), err
}
