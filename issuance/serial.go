package issuance

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
)

const serialBytes = 20 // the most RFC 5280 §4.1.2.2 allows

// newSerial returns a random serial number of exactly 20 octets: positive, and
// beginning with a digit that no tool strips (0x40 to 0x7F). 158 bits are random.
func newSerial() string {
	b := make([]byte, serialBytes)
	rand.Read(b) // never fails (crypto/rand)
	b[0] = 0x40 | b[0]&0x3f
	return strings.ToUpper(hex.EncodeToString(b))
}

// FormatSerial writes a serial number as the ledger does: 40 upper-case hex digits.
func FormatSerial(n *big.Int) string { return fmt.Sprintf("%040X", n) }

func serialNumber(s string) *big.Int {
	n, ok := new(big.Int).SetString(s, 16)
	if !ok {
		panic("issuance: serial number is not hexadecimal: " + s)
	}
	return n
}
