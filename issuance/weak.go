package issuance

import (
	"bufio"
	"bytes"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // the form of the published list
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// weakKeys are the fingerprints of keys whose private halves are known, such as
// those of Debian's broken generator (CVE-2008-0166) or keys that leaked. They are
// data: one fingerprint a line in weak-keys.txt of the CA's folder, either 20 hex
// digits as in openssl-blacklist (the end of the SHA-1 of "Modulus=…" and a line
// end) or 64 (SHA-256 of the SubjectPublicKeyInfo).
type weakKeys map[string]bool

const weakKeysFile = "weak-keys.txt"

var weakKeyForm = regexp.MustCompile(`^([0-9a-f]{20}|[0-9a-f]{64})$`)

// readWeakKeys reads the list of a CA's folder; there need not be one.
func readWeakKeys(dir string) (weakKeys, error) {
	text, err := os.ReadFile(filepath.Join(dir, weakKeysFile)) //nolint:gosec // a file of the CA's own folder
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading weak keys: %w", err)
	}
	keys := weakKeys{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line, _, _ := strings.Cut(lines.Text(), "#")
		if line = strings.ToLower(strings.TrimSpace(line)); line == "" {
			continue
		}
		if !weakKeyForm.MatchString(line) {
			return nil, fmt.Errorf("%s: line %d is no fingerprint", weakKeysFile, n)
		}
		keys[line] = true
	}
	return keys, lines.Err()
}

// check refuses a request for a key that is on the list.
func (w weakKeys) check(csr *x509.CertificateRequest) error {
	sum := sha256.Sum256(csr.RawSubjectPublicKeyInfo)
	weak := w[hex.EncodeToString(sum[:])]
	if k, ok := csr.PublicKey.(*rsa.PublicKey); ok {
		sum := sha1.Sum(fmt.Appendf(nil, "Modulus=%X\n", k.N)) //nolint:gosec // the form of the published list
		weak = weak || w[hex.EncodeToString(sum[10:])]
	}
	if weak {
		return refuse("csr_weak_key", "密钥已被公开，请重新生成密钥。", "the key is on the list of weak keys")
	}
	return nil
}
