package token

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"errors"
)

// RunStep is a point of a renewal or download at which it may be cut short. After
// each the token is as good as before, and the next run goes on where this one
// ended: the key pair that was made is found again.
type RunStep string

// The steps, in order.
const (
	RunStarted RunStep = "started"  // nothing has changed
	RunProven  RunStep = "proven"   // the old certificate's key has answered
	RunKeyMade RunStep = "key-made" // there is a new key pair, or the old one is kept, and nothing else
	RunWritten RunStep = "written"  // the new certificate is there, beside the old one
	RunRead    RunStep = "read"     // it was read back, and its key has answered
)

// Fresh is a key pair to certify: where, of what kind, and for which name (DER).
// Without a container it is the one of the old certificate, which is kept.
type Fresh struct {
	Container []byte
	Algorithm Algorithm
	Subject   []byte
}

var requestAlgorithms = map[Algorithm]x509.SignatureAlgorithm{P256: x509.ECDSAWithSHA256, RSA2048: x509.SHA256WithRSA}

// Propose makes the new key pair, beside the old one, unless that is kept, and the
// request for its certificate (PKCS#10, DER). With an old certificate (DER) its key answers first:
// a token that does not hold it is left alone. The user must be logged in.
func (t *Token) Propose(old, digest []byte, f Fresh, tell func(RunStep) error) (csr, proof []byte, err error) {
	if err := tell(RunStarted); err != nil {
		return nil, nil, err
	}
	if old != nil {
		if proof, err = t.answerFor(old, digest); err != nil {
			return nil, nil, err
		}
	}
	if err := tell(RunProven); err != nil {
		return nil, nil, err
	}
	key, err := t.keyFor(old, f)
	if err != nil {
		return nil, nil, err
	}
	if err := tell(RunKeyMade); err != nil {
		return nil, nil, err
	}
	csr, err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		RawSubject: f.Subject, SignatureAlgorithm: requestAlgorithms[f.Algorithm],
	}, key)
	return csr, proof, err
}

// keyFor is the key pair to certify.
func (t *Token) keyFor(old []byte, f Fresh) (*Key, error) {
	if len(f.Container) > 0 {
		return t.EnsureKey(f.Container, f.Algorithm)
	}
	id, err := t.containerOf(old)
	if err != nil {
		return nil, err
	}
	return t.Key(id)
}

// answerFor has the key of a certificate on the token sign a digest.
func (t *Token) answerFor(der, digest []byte) ([]byte, error) {
	id, err := t.containerOf(der)
	if err != nil {
		return nil, err
	}
	key, err := t.Key(id)
	if err != nil {
		return nil, err
	}
	return key.Sign(nil, digest, crypto.SHA256)
}

// Adopt writes the new certificate (DER) to its key pair, which without a container
// is that of the old certificate, reads it back and has its key sign the digest. What
// the token held before stays on it: a key pair that is kept has both certificates.
func (t *Token) Adopt(old, container, der, digest []byte, tell func(RunStep) error) (signature []byte, err error) {
	if len(container) == 0 {
		if container, err = t.containerOf(old); err != nil {
			return nil, err
		}
	}
	if err := t.addCertificate(container, der); err != nil {
		return nil, err
	}
	if err := tell(RunWritten); err != nil {
		return nil, err
	}
	if at, err := t.containerOf(der); err != nil || !bytes.Equal(at, container) {
		return nil, errors.Join(err, &Error{Kind: Mismatch, Op: "reading the certificate back"})
	}
	key, err := t.Key(container)
	if err != nil {
		return nil, err
	}
	if signature, err = key.Sign(nil, digest, crypto.SHA256); err != nil {
		return nil, err
	}
	return signature, tell(RunRead)
}
