package tencent

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

const algorithm = "TC3-HMAC-SHA256"

// signature is what one Authorization header vouches for.
type signature struct {
	secretID, secretKey string
	service             string // "sms", the first label of the official host
	host                string // the Host header as sent
	contentType         string
	action              string // "" leaves X-TC-Action unsigned
	at                  time.Time
	body                []byte
}

// authorization returns the header value of the v3 signature method. The
// canonical URI of API 3.0 is always "/", whatever the address in use.
func (s signature) authorization() string {
	headers, signed := s.canonicalHeaders()
	request := strings.Join([]string{"POST", "/", "", headers, signed, sha256Hex(s.body)}, "\n")

	date := s.at.UTC().Format(time.DateOnly)
	scope := date + "/" + s.service + "/tc3_request"
	toSign := strings.Join([]string{algorithm, fmt.Sprint(s.at.Unix()), scope, sha256Hex([]byte(request))}, "\n")

	key := mac([]byte("TC3"+s.secretKey), date)
	key = mac(key, s.service)
	key = mac(key, "tc3_request")
	return fmt.Sprintf("%s Credential=%s/%s, SignedHeaders=%s, Signature=%s",
		algorithm, s.secretID, scope, signed, hex.EncodeToString(mac(key, toSign)))
}

// canonicalHeaders lists the signed headers in lower case, sorted by name.
func (s signature) canonicalHeaders() (lines, names string) {
	lines = "content-type:" + strings.ToLower(s.contentType) + "\nhost:" + strings.ToLower(s.host) + "\n"
	names = "content-type;host"
	if s.action != "" {
		lines += "x-tc-action:" + strings.ToLower(s.action) + "\n"
		names += ";x-tc-action"
	}
	return lines, names
}

func mac(key []byte, message string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(message))
	return h.Sum(nil)
}

func sha256Hex(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
