package token

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/miekg/pkcs11"
)

// Token is a subscriber's token in the hands of its one owner; see [Module.Exclusive].
type Token struct {
	m    *Module
	p    *driver
	sh   pkcs11.SessionHandle
	info pkcs11.TokenInfo
}

// Exclusive waits until nobody else in this process uses the token called serial
// and lends it to fn, with one session that is closed (and logged out) afterwards.
// fn must not keep the Token, nor call the Module.
func (m *Module) Exclusive(ctx context.Context, serial string, fn func(t *Token) error) error {
	release, err := m.own(ctx, serial)
	if err != nil {
		return err
	}
	defer release()
	return m.withToken(serial, fn)
}

// withToken opens a session on the named token. When the slot turns out to hold
// another token, or none, the slot list is read again, once.
func (m *Module) withToken(name string, fn func(t *Token) error) error {
	opened, err := m.tryToken(name, fn)
	if !opened && (errors.Is(err, Missing) || errors.Is(err, Dead)) {
		m.forget(name)
		_, err = m.tryToken(name, fn)
	}
	return err
}

func (m *Module) tryToken(name string, fn func(t *Token) error) (opened bool, err error) {
	slot, err := m.slot(name)
	if err != nil {
		return false, err
	}
	m.use.RLock()
	defer m.use.RUnlock()
	info, err := m.p.GetTokenInfo(slot)
	if err != nil {
		return false, fail("reading token info of "+name, err)
	}
	if !slices.Contains(names(info), name) {
		return false, &Error{Kind: Missing, Op: "another token is in the slot of " + name}
	}
	sh, err := m.p.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	if err != nil {
		return false, fail("opening session on "+name, err)
	}
	err = fn(&Token{m: m, p: m.p, sh: sh, info: info})
	// Closing the last session logs out.
	closed := m.p.CloseSession(sh)
	if closed != nil {
		_ = m.p.CloseAllSessions(slot) // the token is ours alone; one left open would stay logged in
	}
	return true, errors.Join(err, fail("closing session on "+name, closed))
}

// SetUserPIN sets the user PIN under the SO PIN: the first one of a blank, or a
// new one of a locked token (unlock). The key pair stays as it is.
func (t *Token) SetUserPIN(soPIN, userPIN PIN) error {
	if err := errors.Join(checkLength(soPIN, t.info), checkLength(userPIN, t.info)); err != nil {
		return err
	}
	if err := t.p.Login(t.sh, pkcs11.CKU_SO, soPIN.Reveal()); err != nil {
		return fail("logging in as SO", err)
	}
	err := t.p.InitPIN(t.sh, userPIN.Reveal())
	if err := errors.Join(fail("setting user PIN", err), fail("logging out", t.p.Logout(t.sh))); err != nil {
		return err
	}
	return t.m.preserve(trim(t.info.SerialNumber))
}

// ChangeUserPIN has the user set his own PIN. A wrong old one is tried once and changes nothing.
func (t *Token) ChangeUserPIN(old, pin PIN) error {
	if err := checkLength(pin, t.info); err != nil {
		return err
	}
	if err := t.Login(old); err != nil {
		return err
	}
	if err := t.p.SetPIN(t.sh, old.Reveal(), pin.Reveal()); err != nil {
		return fail("changing user PIN", err)
	}
	return t.m.preserve(trim(t.info.SerialNumber))
}

// Login logs the user in until the owner gives the token back.
func (t *Token) Login(pin PIN) error {
	if err := checkLength(pin, t.info); err != nil {
		return err
	}
	err := t.p.Login(t.sh, pkcs11.CKU_USER, pin.Reveal())
	if is(err, pkcs11.CKR_USER_ALREADY_LOGGED_IN) {
		// By a session that could not be closed. Whether the PIN is right is still to be asked.
		_ = t.p.Logout(t.sh)
		err = t.p.Login(t.sh, pkcs11.CKU_USER, pin.Reveal())
	}
	return fail("logging in", err)
}

// secretLabel names the data object that holds K, the secret for challenge codes.
// It is not private: whoever needs a challenge code cannot log in.
const secretLabel = "ycd-secret"

// PutSecret makes sure that the token holds exactly this secret.
func (t *Token) PutSecret(secret []byte) error {
	public, err := find(t.p, t.sh, attr(pkcs11.CKA_CLASS, pkcs11.CKO_DATA), attr(pkcs11.CKA_LABEL, secretLabel), attr(pkcs11.CKA_PRIVATE, false))
	if err != nil {
		return err
	}
	if len(public) == 1 {
		if old, err := t.value(public[0], "reading secret"); err == nil && bytes.Equal(old, secret) {
			return nil
		}
	}
	if err := destroy(t.p, t.sh, attr(pkcs11.CKA_CLASS, pkcs11.CKO_DATA), attr(pkcs11.CKA_LABEL, secretLabel)); err != nil {
		return err
	}
	_, err = t.p.CreateObject(t.sh, []*pkcs11.Attribute{
		attr(pkcs11.CKA_CLASS, pkcs11.CKO_DATA),
		attr(pkcs11.CKA_LABEL, secretLabel),
		attr(pkcs11.CKA_TOKEN, true),
		attr(pkcs11.CKA_PRIVATE, false),
		attr(pkcs11.CKA_VALUE, secret),
	})
	return fail("writing secret", err)
}

// Secret reads the secret that PutSecret wrote.
func (t *Token) Secret() ([]byte, error) {
	h, err := findOne(t.p, t.sh, attr(pkcs11.CKA_CLASS, pkcs11.CKO_DATA), attr(pkcs11.CKA_LABEL, secretLabel))
	if err != nil {
		return nil, err
	}
	return t.value(h, "reading secret")
}

func (t *Token) value(h pkcs11.ObjectHandle, op string) ([]byte, error) {
	a, err := t.p.GetAttributeValue(t.sh, h, []*pkcs11.Attribute{attr(pkcs11.CKA_VALUE, nil)})
	if err != nil {
		return nil, fail(op, err)
	}
	return a[0].Value, nil
}

// Key is the subscriber's key pair, a crypto.Signer as long as the owner has the Token.
type Key struct {
	t    *Token
	pair keyPair
}

// EnsureKey returns the key pair of that CKA_ID, and makes it in the token when
// there is none that works: sensitive, and not extractable. Call it only for keys
// that are not certified yet.
func (t *Token) EnsureKey(id []byte, alg Algorithm) (*Key, error) {
	kp, err := ensureKeyPair(t.p, t.sh, alg, alsoUnseal, attr(pkcs11.CKA_ID, id), attr(pkcs11.CKA_LABEL, keyLabel))
	return &Key{t: t, pair: kp}, err
}

// keyLabel is what other programs show beside the key pair and the certificate.
const keyLabel = "yuncaidun"

// Key returns the key pair of that CKA_ID.
func (t *Token) Key(id []byte) (*Key, error) {
	kp, err := findKeyPair(t.p, t.sh, attr(pkcs11.CKA_ID, id))
	return &Key{t: t, pair: kp}, err
}

// Public implements crypto.Signer.
func (k *Key) Public() crypto.PublicKey { return k.pair.public }

// Sign implements crypto.Signer.
func (k *Key) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return sign(k.t.p, k.t.sh, k.pair, digest, opts)
}

// PutCertificate makes sure that the token holds this certificate, and no other,
// under that CKA_ID. It is refused unless the token holds the key that the
// certificate is for.
func (t *Token) PutCertificate(id, der []byte) error {
	return t.putCertificate(id, der, attr(pkcs11.CKA_CLASS, pkcs11.CKO_CERTIFICATE), attr(pkcs11.CKA_ID, id))
}

// addCertificate is PutCertificate that leaves what else is under that CKA_ID: other
// certificates of the same key pair.
func (t *Token) addCertificate(id, der []byte) error {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("writing certificate: %w", err)
	}
	serial, err := asn1.Marshal(cert.SerialNumber)
	if err != nil {
		return fmt.Errorf("writing certificate: %w", err)
	}
	return t.putCertificate(id, der, attr(pkcs11.CKA_CLASS, pkcs11.CKO_CERTIFICATE), attr(pkcs11.CKA_ID, id),
		attr(pkcs11.CKA_ISSUER, cert.RawIssuer), attr(pkcs11.CKA_SERIAL_NUMBER, serial))
}

// putCertificate writes a certificate in the place of those that the template selects.
func (t *Token) putCertificate(id, der []byte, instead ...*pkcs11.Attribute) error {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("writing certificate: %w", err)
	}
	key, err := t.Key(id)
	if err != nil {
		return err
	}
	if pub, ok := cert.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || !pub.Equal(key.Public()) {
		return &Error{Kind: Mismatch, Op: "writing certificate: it is for another key"}
	}
	old, err := find(t.p, t.sh, instead...)
	if err != nil {
		return err
	}
	if len(old) == 1 {
		if have, err := t.value(old[0], "reading certificate"); err == nil && bytes.Equal(have, der) {
			return nil
		}
	}
	if err := destroy(t.p, t.sh, instead...); err != nil {
		return err
	}
	serial, err := asn1.Marshal(cert.SerialNumber)
	if err != nil {
		return fmt.Errorf("writing certificate: %w", err)
	}
	_, err = t.p.CreateObject(t.sh, []*pkcs11.Attribute{
		attr(pkcs11.CKA_CLASS, pkcs11.CKO_CERTIFICATE),
		attr(pkcs11.CKA_CERTIFICATE_TYPE, pkcs11.CKC_X_509),
		attr(pkcs11.CKA_TOKEN, true),
		attr(pkcs11.CKA_PRIVATE, false),
		attr(pkcs11.CKA_ID, id),
		attr(pkcs11.CKA_LABEL, keyLabel),
		attr(pkcs11.CKA_SUBJECT, cert.RawSubject),
		attr(pkcs11.CKA_ISSUER, cert.RawIssuer),
		attr(pkcs11.CKA_SERIAL_NUMBER, serial),
		attr(pkcs11.CKA_VALUE, der),
	})
	return fail("writing certificate", err)
}

// Certificate reads the certificate (DER) under that CKA_ID.
func (t *Token) Certificate(id []byte) ([]byte, error) {
	h, err := findOne(t.p, t.sh, attr(pkcs11.CKA_CLASS, pkcs11.CKO_CERTIFICATE), attr(pkcs11.CKA_ID, id))
	if err != nil {
		return nil, err
	}
	return t.value(h, "reading certificate")
}
