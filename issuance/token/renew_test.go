package token

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"slices"
	"testing"
	"time"
)

// A renewal that is cut short at any step leaves a token whose old certificate
// works, and the next one ends with the same new key pair; the old one stays.
func TestRunCutShortAnywhere(t *testing.T) {
	m := load(t)
	subject, err := asn1.Marshal(pkix.Name{CommonName: "云岭测试"}.ToRDNSequence())
	if err != nil {
		t.Fatal(err)
	}
	cut := errors.New("unplugged")
	for _, step := range []RunStep{RunStarted, RunProven, RunKeyMade, RunWritten, RunRead, ""} {
		s := newSubscriber(t, m)
		digest := ChallengeDigest(s.serial, []byte("challenge"))
		fresh := Fresh{Container: []byte("container of the new one"), Algorithm: P256, Subject: subject}
		var keys [][]byte
		// run is one helper's run; the certificate for a key is always the same.
		run := func(at RunStep) (signature []byte, err error) {
			tell := func(now RunStep) error {
				if now == at {
					return cut
				}
				return nil
			}
			err = m.Exclusive(t.Context(), s.serial, func(tk *Token) error {
				if err := tk.Login("87654321"); err != nil {
					return err
				}
				csr, proof, err := tk.Propose(s.certificate, digest, fresh, tell)
				if err != nil {
					return err
				}
				old, err := x509.ParseCertificate(s.certificate)
				if err != nil {
					return err
				}
				if !Verify(old.PublicKey, crypto.SHA256, digest, proof) {
					t.Errorf("cut at %q: the old key's proof is wrong", at)
				}
				request, err := x509.ParseCertificateRequest(csr)
				if err != nil {
					return err
				}
				if request.CheckSignature() != nil || !bytes.Equal(request.RawSubject, subject) {
					t.Errorf("cut at %q: the request is wrong", at)
				}
				keys = append(keys, request.RawSubjectPublicKeyInfo)
				signature, err = tk.Adopt(fresh.Container, certify(t, request), digest, tell)
				return err
			})
			return signature, err
		}
		if _, err := run(step); step != "" && !errors.Is(err, cut) {
			t.Fatalf("cut at %q: %v", step, err)
		}
		signature, err := run("")
		if err != nil {
			t.Fatalf("after a cut at %q: %v", step, err)
		}
		for _, k := range keys {
			if !bytes.Equal(k, keys[0]) {
				t.Errorf("after a cut at %q: another key pair was made", step)
			}
		}
		pub, err := x509.ParsePKIXPublicKey(keys[0])
		if err != nil || !Verify(pub, crypto.SHA256, digest, signature) {
			t.Errorf("after a cut at %q: the new key does not answer, %v", step, err)
		}
		err = m.Exclusive(t.Context(), s.serial, func(tk *Token) error {
			if err := tk.Login("87654321"); err != nil {
				return err
			}
			old, err := tk.Certificate([]byte("id"))
			if err == nil && !bytes.Equal(old, s.certificate) {
				t.Errorf("after a cut at %q: the old certificate has changed", step)
			}
			if _, keyErr := tk.Key([]byte("id")); keyErr != nil {
				t.Errorf("after a cut at %q: the old key is gone: %v", step, keyErr)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// testCA signs the certificates of the tests.
var testCA = func() crypto.Signer {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
}()

// certify issues what a request asks for, signed by the tests' CA.
func certify(t *testing.T, r *x509.CertificateRequest) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(2), RawSubject: r.RawSubject, NotAfter: time.Unix(2e9, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, r.PublicKey, testCA)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// Another USBKEY than the one that holds the certificate is left alone.
func TestRunOnAnotherToken(t *testing.T) {
	m := load(t)
	mine, other := newSubscriber(t, m), newSubscriber(t, m)
	var steps []RunStep
	err := m.Exclusive(t.Context(), other.serial, func(tk *Token) error {
		if err := tk.Login("87654321"); err != nil {
			return err
		}
		_, _, err := tk.Propose(mine.certificate, make([]byte, 32), Fresh{Container: []byte("new"), Algorithm: P256}, func(s RunStep) error { steps = append(steps, s); return nil })
		return err
	})
	if e, ok := errors.AsType[*Error](err); !ok || e.Kind != WrongToken || slices.Contains(steps, RunKeyMade) {
		t.Errorf("%v, at %v", err, steps)
	}
}
