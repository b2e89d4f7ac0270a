package order

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"

	"github.com/yuncaidun/yuncaidun/identity"
)

const (
	noPrefix    = "SAAS1"
	noTimestamp = "20060102150405"
	noSequences = 1_000_000
)

// FormatNo makes the order number that people read: 25 characters of prefix,
// time in Shanghai and a tail. seq counts the orders of a Shanghai day; should it
// ever outgrow six digits it wraps, and the time before it keeps numbers apart.
func FormatNo(at time.Time, seq int) string {
	return fmt.Sprintf("%s%s%06d", noPrefix, at.In(Shanghai).Format(noTimestamp), seq%noSequences)
}

// PrintedNo writes an order's number, or the end of one, as it is printed, whatever
// case, spaces and width somebody typed it in. Numbers are kept and searched in this form.
func PrintedNo(typed string) string {
	return strings.ToUpper(withoutSpace(identity.HalfWidth(typed)))
}

// WholeNo reports whether no is a whole number as it is printed, not the end of one.
func WholeNo(no string) bool {
	return strings.HasPrefix(no, noPrefix) && len(no) == len(FormatNo(time.Time{}, 0))
}

// TailOf returns the last four digits of a number, by which people name an order
// in a conversation.
func TailOf(no string) string {
	return no[max(0, len(no)-4):]
}

// certSerialLength is 20 octets in hexadecimal (RFC 5280 §4.1.2.2).
const certSerialLength = 40

var certSerialPattern = regexp.MustCompile(`^[0-9A-F]{39,40}$`)

// NormalizeCertSerial reads a certificate serial that somebody typed or that lost
// its leading zero on the way, and returns it as it is stored and shown.
func NormalizeCertSerial(s string) (string, error) {
	serial := strings.ToUpper(strings.ReplaceAll(withoutSpace(identity.HalfWidth(s)), ":", ""))
	if !certSerialPattern.MatchString(serial) {
		return "", Errorf(Invalid, "cert_serial_malformed", "证书序列号应为40位字母A至F和数字，请在“我的证书”中复制后再试")
	}
	return strings.Repeat("0", certSerialLength-len(serial)) + serial, nil
}

func withoutSpace(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, s)
}
