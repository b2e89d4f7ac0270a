package token

import "crypto/sha256"

// ChallengeDigest is what a token signs to prove that its key answers. The prefix
// keeps such a signature from meaning anything else.
func ChallengeDigest(serial string, challenge []byte) []byte {
	h := sha256.New()
	h.Write([]byte("yuncaidun challenge v1\x00" + serial + "\x00"))
	h.Write(challenge)
	return h.Sum(nil)
}
