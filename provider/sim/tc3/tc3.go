// Package tc3 verifies requests signed with TC3-HMAC-SHA256, the signature of Tencent Cloud API 3.0.
package tc3

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// skew is how far a request's timestamp may be from the clock.
const skew = 5 * time.Minute

// Error is a refusal as Tencent Cloud words it.
type Error struct{ Code, Message string }

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Verify checks that a POST to the root of a service was signed by the holder of this secret, recently.
// The canonical URI is always "/" and the canonical query empty.
func Verify(r *http.Request, body []byte, service, secretID, secretKey string, now time.Time) error {
	rest, ok := strings.CutPrefix(r.Header.Get("Authorization"), "TC3-HMAC-SHA256 ")
	if !ok {
		return &Error{"AuthFailure.InvalidAuthorization", "The request header \"Authorization\" is not TC3-HMAC-SHA256."}
	}
	parts := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		k, v, _ := strings.Cut(strings.TrimSpace(part), "=")
		parts[k] = v
	}
	scope := strings.Split(parts["Credential"], "/")
	if len(scope) != 4 || scope[2] != service || scope[3] != "tc3_request" {
		return &Error{"AuthFailure.InvalidAuthorization", "The Credential scope is not " + service + "/tc3_request."}
	}
	if scope[0] != secretID {
		return &Error{"AuthFailure.SecretIdNotFound", "The SecretId is not found, please ensure that your SecretId is correct."}
	}
	stamp := r.Header.Get("X-TC-Timestamp")
	unix, err := strconv.ParseInt(stamp, 10, 64)
	if at := time.Unix(unix, 0); err != nil || now.Sub(at) > skew || at.Sub(now) > skew || scope[1] != at.UTC().Format(time.DateOnly) {
		return &Error{"AuthFailure.SignatureExpire", "The provided credentials have expired: the timestamp differs from the server time by more than five minutes."}
	}

	signed := strings.Split(parts["SignedHeaders"], ";")
	if !slices.Contains(signed, "host") || !slices.Contains(signed, "content-type") || !slices.IsSorted(signed) {
		return &Error{"AuthFailure.InvalidAuthorization", "SignedHeaders must be sorted and contain content-type and host."}
	}
	want := Signature(secretKey, service, unix, canonical(r, signed, body))
	if !hmac.Equal([]byte(want), []byte(parts["Signature"])) {
		return &Error{"AuthFailure.SignatureFailure", "The provided credentials could not be validated. Please check your signature is correct."}
	}
	return nil
}

// Signature is the hex signature over a canonical request.
func Signature(secretKey, service string, unix int64, canonicalRequest string) string {
	date := time.Unix(unix, 0).UTC().Format(time.DateOnly)
	scope := date + "/" + service + "/tc3_request"
	toSign := "TC3-HMAC-SHA256\n" + strconv.FormatInt(unix, 10) + "\n" + scope + "\n" + hash(canonicalRequest)
	key := []byte("TC3" + secretKey)
	for _, step := range []string{date, service, "tc3_request", toSign} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(step))
		key = mac.Sum(nil)
	}
	return hex.EncodeToString(key)
}

func canonical(r *http.Request, signed []string, body []byte) string {
	var headers strings.Builder
	for _, name := range signed {
		value := r.Header.Get(name)
		if name == "host" {
			value = r.Host
		}
		headers.WriteString(name + ":" + strings.ToLower(strings.TrimSpace(value)) + "\n")
	}
	return strings.Join([]string{r.Method, "/", "", headers.String(), strings.Join(signed, ";"), hash(string(body))}, "\n")
}

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}
