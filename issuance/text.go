package issuance

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Status is how a certificate stands.
type Status string

// The statuses of a certificate.
const (
	Valid   Status = "valid"
	Frozen  Status = "frozen"
	Revoked Status = "revoked"
	Expired Status = "expired"
)

// The revocation reasons that this package gives or tells apart (RFC 5280 §5.3.1).
const (
	reasonSuperseded = 4
	// CertificateHold is that of a frozen certificate, the only one that can be taken back.
	CertificateHold = 6
)

// Status returns how the certificate of is stands at now.
func (is Issue) Status(now time.Time) Status {
	switch {
	case !is.RevokedAt.IsZero() && is.RevocationReason != CertificateHold:
		return Revoked
	case now.After(is.NotAfter):
		return Expired
	case !is.RevokedAt.IsZero():
		return Frozen
	}
	return Valid
}

// Line is the certificate of is as `yuncaidun cert list` prints it, without a line
// end: serial, subject (RFC 4514), not-after (RFC 3339, UTC) and status, with TABs between.
func (is Issue) Line(now time.Time) (string, error) {
	cert, err := x509.ParseCertificate(is.Certificate)
	if err != nil {
		return "", fmt.Errorf("reading certificate %s: %w", is.Serial, err)
	}
	subject, err := FormatName(cert.RawSubject)
	if err != nil {
		return "", err
	}
	return strings.Join([]string{
		FormatSerial(cert.SerialNumber), subject, cert.NotAfter.UTC().Format(time.RFC3339), string(is.Status(now)),
	}, "\t"), nil
}

// nameTypes are the descriptors of RFC 4514 §3, and organizationIdentifier from
// the same IANA registry.
var nameTypes = map[string]string{
	"2.5.4.3": "CN", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.9": "STREET", "2.5.4.10": "O", "2.5.4.11": "OU",
	"0.9.2342.19200300.100.1.1": "UID", "0.9.2342.19200300.100.1.25": "DC",
	"2.5.4.97": "organizationIdentifier",
}

// FormatName writes a name (DER) as RFC 4514 does: the last attribute first.
func FormatName(raw []byte) (string, error) {
	var rdns []rdnSET
	if rest, err := asn1.Unmarshal(raw, &rdns); err != nil || len(rest) > 0 {
		return "", fmt.Errorf("reading name: not a sequence of attributes")
	}
	parts := make([]string, len(rdns))
	for i, rdn := range rdns {
		attributes := make([]string, len(rdn))
		for j, a := range rdn {
			name, known := nameTypes[a.Type.String()]
			if known && isText(a.Value) && utf8.Valid(a.Value.Bytes) {
				attributes[j] = name + "=" + escapeName(string(a.Value.Bytes))
			} else {
				attributes[j] = a.Type.String() + "=#" + hex.EncodeToString(a.Value.FullBytes)
			}
		}
		parts[i] = strings.Join(attributes, "+")
	}
	slices.Reverse(parts)
	return strings.Join(parts, ","), nil
}

// escapeName escapes a value (RFC 4514 §2.4). Control characters are escaped too,
// so that a name cannot break a line or a column.
func escapeName(s string) string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\%02x`, r)
			continue
		case strings.ContainsRune(`"+,;<>\`, r), i == 0 && (r == '#' || r == ' '), i == len(s)-1 && r == ' ':
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
