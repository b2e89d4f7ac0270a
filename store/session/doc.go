// Package session keeps in Redis what may be lost without losing business:
// login sessions, SMS codes and their limits, one-time tickets, the bot's short
// memory and the WeChat access token. Losing Redis costs a new login.
//
// Every deadline is judged against the injected clock and stored beside the
// value; Redis' own expiry only sweeps up. Keys never carry personal data: a
// mobile number appears as an HMAC, a session id or ticket as its hash.
// No command touches two keys, so the package works on Redis Cluster unchanged.
package session

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

// prefix keeps our keys apart from those of other programs in the same Redis.
const prefix = "ycd:"

// newToken returns 256 random bits, safe in cookies and URLs.
func newToken() string {
	b := make([]byte, 32)
	rand.Read(b) // never fails; it would end the program instead
	return base64.RawURLEncoding.EncodeToString(b)
}

// hashed is how a secret token appears in a key: whoever reads Redis cannot
// use what they find.
func hashed(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// unavailable is what callers get when Redis does not answer: nothing here
// works open when it cannot count.
func unavailable(err error) error {
	return &order.Error{Kind: order.Unavailable, Code: "session_store_unavailable", Detail: "服务繁忙，请稍后重试", RetryAfter: 10 * time.Second, Err: err}
}
