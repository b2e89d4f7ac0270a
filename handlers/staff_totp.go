package handlers

import (
	"crypto/subtle"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"
)

// totpPeriod and totpSkew are the RFC 6238 step and how many steps either side
// of ours are accepted, for telephones whose clock is off.
const (
	totpPeriod = 30 * time.Second
	totpSkew   = 1
)

// NewTOTPSecret returns a fresh secret (160 bits, base32) for a member of staff.
func NewTOTPSecret() (string, error) {
	key, err := totp.Generate(totp.GenerateOpts{Issuer: "yuncaidun", AccountName: "staff"})
	if err != nil {
		return "", fmt.Errorf("making a TOTP secret: %w", err)
	}
	return key.Secret(), nil
}

// TOTPURI is the otpauth address of a secret: what an authenticator app scans.
func TOTPURI(account, secret string) string {
	return "otpauth://totp/" + url.QueryEscape("云采盾") + ":" + strings.ReplaceAll(url.QueryEscape(account), "+", "%20") +
		"?secret=" + secret + "&issuer=" + url.QueryEscape("云采盾") + "&algorithm=SHA1&digits=6&period=30"
}

// TOTPCode is the code of a secret at a moment: what the owner's telephone shows.
func TOTPCode(secret string, at time.Time) (string, error) {
	return totp.GenerateCodeCustom(secret, at, totp.ValidateOpts{Period: uint(totpPeriod.Seconds()), Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
}

// totpStep finds the time step of a code, so that the caller can see to it that
// each is used once (RFC 6238 §5.2); ok is false for a wrong code. Every step is
// always compared.
func totpStep(secret, code string, now time.Time) (step int64, ok bool, err error) {
	for skew := -totpSkew; skew <= totpSkew; skew++ {
		at := now.Add(time.Duration(skew) * totpPeriod)
		want, err := TOTPCode(secret, at)
		if err != nil {
			return 0, false, fmt.Errorf("computing a TOTP code: %w", err)
		}
		if subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			step, ok = at.Unix()/int64(totpPeriod.Seconds()), true
		}
	}
	return step, ok, nil
}
