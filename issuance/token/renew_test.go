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

	"github.com/miekg/pkcs11"
)

// A renewal that is cut short at any step leaves a token whose old certificate
// works, and the next one ends with the same key pair: a new one beside the old, or
// the old one, which has both certificates then.
func TestRunCutShortAnywhere(t *testing.T) {
	m := load(t)
	subject, err := asn1.Marshal(pkix.Name{CommonName: "云岭测试"}.ToRDNSequence())
	if err != nil {
		t.Fatal(err)
	}
	cut := errors.New("unplugged")
	for name, container := range map[string][]byte{"new key pair": []byte("container of the new one"), "same key pair": nil} {
		for _, step := range []RunStep{RunStarted, RunProven, RunKeyMade, RunWritten, RunRead, ""} {
			t.Run(name+" "+string(step), func(t *testing.T) {
				s := newSubscriber(t, m)
				old, err := x509.ParseCertificate(s.certificate)
				if err != nil {
					t.Fatal(err)
				}
				digest := ChallengeDigest(s.serial, []byte("challenge"))
				fresh := Fresh{Container: container, Algorithm: P256, Subject: subject}
				var keys [][]byte
				var made []byte
				// run is one helper's run; the CA makes one certificate.
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
						if !Verify(old.PublicKey, crypto.SHA256, digest, proof) {
							t.Error("the old key's proof is wrong")
						}
						request, err := x509.ParseCertificateRequest(csr)
						if err != nil {
							return err
						}
						if request.CheckSignature() != nil || !bytes.Equal(request.RawSubject, subject) {
							t.Error("the request is wrong")
						}
						keys = append(keys, request.RawSubjectPublicKeyInfo)
						if made == nil {
							made = certify(t, request)
						}
						signature, err = tk.Adopt(s.certificate, container, made, digest, tell)
						return err
					})
					return signature, err
				}
				if _, err := run(step); step != "" && !errors.Is(err, cut) {
					t.Fatalf("cut: %v", err)
				}
				signature, err := run("")
				if err != nil {
					t.Fatalf("after the cut: %v", err)
				}
				for _, k := range keys {
					if !bytes.Equal(k, keys[0]) || bytes.Equal(k, old.RawSubjectPublicKeyInfo) != (container == nil) {
						t.Error("it is another key pair")
					}
				}
				pub, err := x509.ParsePKIXPublicKey(keys[0])
				if err != nil || !Verify(pub, crypto.SHA256, digest, signature) {
					t.Errorf("the new certificate's key does not answer, %v", err)
				}
				pairs := 2
				if container == nil {
					pairs = 1
				}
				err = m.Exclusive(t.Context(), s.serial, func(tk *Token) error {
					if err := tk.Login("87654321"); err != nil {
						return err
					}
					certificates, err := tk.Certificates()
					if err != nil {
						return err
					}
					private, err := find(tk.p, tk.sh, attr(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY))
					if len(certificates) != 2 || len(private) != pairs {
						t.Errorf("%d certificates and %d private keys, want 2 and %d", len(certificates), len(private), pairs)
					}
					for _, der := range [][]byte{s.certificate, made} { // both answer
						cert, parsed := x509.ParseCertificate(der)
						answer, answered := tk.answerFor(der, digest)
						if err := errors.Join(parsed, answered); err != nil || !Verify(cert.PublicKey, crypto.SHA256, digest, answer) {
							t.Errorf("the key of %s does not answer: %v", cert.Subject, err)
						}
					}
					return err
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// A half-written or foreign object in the place of the new certificate is replaced;
// the old certificate of the same key pair is not touched.
func TestAdoptReplacesOnlyItsOwn(t *testing.T) {
	m := load(t)
	s := newSubscriber(t, m)
	err := m.Exclusive(t.Context(), s.serial, func(tk *Token) error {
		if err := tk.Login("87654321"); err != nil {
			return err
		}
		csr, _, err := tk.Propose(s.certificate, make([]byte, 32), Fresh{Algorithm: P256}, func(RunStep) error { return nil })
		if err != nil {
			return err
		}
		request, err := x509.ParseCertificateRequest(csr)
		if err != nil {
			return err
		}
		first, second := certify(t, request), certify(t, request) // same issuer and serial number, another signature
		for _, der := range [][]byte{first, second} {
			if err := tk.addCertificate([]byte("id"), der); err != nil {
				return err
			}
		}
		_, gone := tk.containerOf(first)
		_, stays := tk.containerOf(s.certificate)
		if _, err := tk.containerOf(second); err != nil || stays != nil || !errors.Is(gone, WrongToken) {
			t.Errorf("second %v, old %v, first %v", err, stays, gone)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
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
