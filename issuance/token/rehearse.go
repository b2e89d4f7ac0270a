package token

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"

	"github.com/miekg/pkcs11"
)

// Rehearse tries what a certificate on the token is for, as it will be used when bids
// are opened: its key signs, and the certificate verifies it; and what is encrypted for
// an RSA certificate (RSAES-PKCS1-v1_5, RFC 8017 §7.2) is decrypted. opens reports
// whether the latter was tried; keys on a curve only sign. The user must be logged in.
func (t *Token) Rehearse(cert *x509.Certificate) (opens bool, err error) {
	id, err := t.containerOf(cert.Raw)
	if err != nil {
		return false, err
	}
	key, err := t.Key(id)
	if err != nil {
		return false, err
	}
	key.pair.public = cert.PublicKey // that is what verifies for others
	if err := tryKeyPair(t.p, t.sh, key.pair); err != nil {
		return false, err
	}
	public, ok := cert.PublicKey.(*rsa.PublicKey)
	if !ok {
		return false, nil
	}
	secret := []byte(rand.Text())
	sealed, err := rsa.EncryptPKCS1v15(rand.Reader, public, secret) //nolint:staticcheck // what tendering software does; nobody else sees it
	if err != nil {
		return true, fmt.Errorf("encrypting for the certificate: %w", err)
	}
	opened, err := decrypt(t.p, t.sh, key.pair.private, sealed)
	if err == nil && !bytes.Equal(opened, secret) {
		err = &Error{Kind: Mismatch, Op: "rehearsing: another text was decrypted"}
	}
	return true, err
}

// decrypt opens what was encrypted for an RSA key.
func decrypt(p *driver, sh pkcs11.SessionHandle, key pkcs11.ObjectHandle, sealed []byte) ([]byte, error) {
	const op = "decrypting"
	if err := p.DecryptInit(sh, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS, nil)}, key); err != nil {
		return nil, fail(op, err)
	}
	opened, err := p.Decrypt(sh, sealed)
	return opened, fail(op, err)
}
