package issuance

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Reliability 29: a key whose fingerprint is published is refused, in either form
// of the list; one that is not passes. OpenSSL makes the fingerprint in the form of
// Debian's lists.
func TestPublishedKeysAreRefused(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := makeCSR(key, profiles[CompanyRSA], company)
	if err != nil {
		t.Fatal(err)
	}
	_, ecDER := softwareCSR(t)
	ec, err := x509.ParseCertificateRequest(ecDER)
	if err != nil {
		t.Fatal(err)
	}
	printed := run(t, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), "openssl", "req", "-noout", "-modulus")
	debian := fmt.Sprintf("%x", sha1.Sum([]byte(printed)))[20:]
	leaked := fmt.Sprintf("%x", sha256.Sum256(ec.RawSubjectPublicKeyInfo))
	for _, tc := range []struct {
		name, list string
		der        []byte
		profile    string
		want       string
	}{
		{"no list", "", der, CompanyRSA, ""},
		{"Debian's form", "# RSA-2048\n" + debian + " # test\n", der, CompanyRSA, "csr_weak_key"},
		{"upper case", strings.ToUpper(debian), der, CompanyRSA, "csr_weak_key"},
		{"another key's", strings.Repeat("0", 20), der, CompanyRSA, ""},
		{"by its public key", leaked + "\n", ecDER, CompanyP256, "csr_weak_key"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t)
			if tc.list != "" {
				if err := os.WriteFile(filepath.Join(f.dir, "ca", weakKeysFile), []byte(tc.list), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			r := request("w-1", "w", tc.profile)
			r.CSR = tc.der
			_, err := f.mustPipeline(t).Make(t.Context(), r)
			refusal, refused := errors.AsType[*Refusal](err)
			if (tc.want == "") != (err == nil) || refused && refusal.Code != tc.want {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, weakKeysFile), []byte("not a fingerprint\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readWeakKeys(dir); err == nil {
		t.Error("a list that cannot be read is taken for an empty one")
	}
}

// Reliability 29: a key is certified once, whoever asks and whatever became of it.
func TestReusedKeyIsRefused(t *testing.T) {
	f := newFixture(t)
	p := f.mustPipeline(t)
	r := request("r1-1", "r1", CompanyP256)
	_, r.CSR = softwareCSR(t)
	if _, err := p.Make(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	again := request("r2-1", "r2", CompanyP256)
	again.CSR = r.CSR
	if _, err := p.Make(t.Context(), again); !errors.Is(err, ErrKeyReused) {
		t.Errorf("got %v", err)
	}
	if len(f.ledger.history) != 1 {
		t.Errorf("%d serials", len(f.ledger.history))
	}
}
