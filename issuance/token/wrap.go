package token

import (
	"context"
	"crypto/rand"

	"github.com/miekg/pkcs11"
)

const (
	gcmIV  = 12
	gcmTag = 16
)

// AEAD is AES-256-GCM with a key that never leaves the token. It has the methods
// of Tink's AEAD, so that a keyset can be wrapped by it.
type AEAD struct {
	pool  *Pool
	label string
}

// EnsureAEAD returns the AEAD whose key is called label, and makes the key when
// the token has none that works. Call it only before anything is sealed.
func (pl *Pool) EnsureAEAD(ctx context.Context, label string) (*AEAD, error) {
	return pl.aead(ctx, label, func(p *driver, s *session) (pkcs11.ObjectHandle, error) {
		h, err := s.secret(p, label)
		if err == nil {
			_, err = seal(p, s.handle, h, newIV(), nil, []byte("trial"))
		}
		if !unusable(err) {
			return h, err
		}
		delete(s.secrets, label)
		if err := destroy(p, s.handle, attr(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY), attr(pkcs11.CKA_LABEL, label)); err != nil {
			return 0, err
		}
		h, err = p.GenerateKey(s.handle, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_KEY_GEN, nil)}, []*pkcs11.Attribute{
			attr(pkcs11.CKA_LABEL, label),
			attr(pkcs11.CKA_ID, []byte(label)),
			attr(pkcs11.CKA_VALUE_LEN, 32),
			attr(pkcs11.CKA_TOKEN, true),
			attr(pkcs11.CKA_PRIVATE, true),
			attr(pkcs11.CKA_SENSITIVE, true),
			attr(pkcs11.CKA_EXTRACTABLE, false),
			attr(pkcs11.CKA_ENCRYPT, true),
			attr(pkcs11.CKA_DECRYPT, true),
		})
		return h, fail("making AES key", err)
	})
}

// AEAD returns the AEAD whose key is called label, which must exist.
func (pl *Pool) AEAD(ctx context.Context, label string) (*AEAD, error) {
	return pl.aead(ctx, label, func(p *driver, s *session) (pkcs11.ObjectHandle, error) { return s.secret(p, label) })
}

func (pl *Pool) aead(ctx context.Context, label string, find func(*driver, *session) (pkcs11.ObjectHandle, error)) (*AEAD, error) {
	if _, err := use(ctx, pl, find); err != nil {
		return nil, err
	}
	return &AEAD{pool: pl, label: label}, nil
}

func (s *session) secret(p *driver, label string) (pkcs11.ObjectHandle, error) {
	if h, ok := s.secrets[label]; ok {
		return h, nil
	}
	h, err := findOne(p, s.handle, attr(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY), attr(pkcs11.CKA_LABEL, label))
	if err == nil {
		s.secrets[label] = h
	}
	return h, err
}

func newIV() []byte {
	iv := make([]byte, gcmIV)
	rand.Read(iv) // never fails (crypto/rand)
	return iv
}

// Encrypt seals plaintext and binds associatedData to it. The answer begins with
// the random nonce.
func (a *AEAD) Encrypt(plaintext, associatedData []byte) ([]byte, error) {
	iv := newIV()
	sealed, err := a.run(func(p *driver, sh pkcs11.SessionHandle, key pkcs11.ObjectHandle) ([]byte, error) {
		return seal(p, sh, key, iv, associatedData, plaintext)
	})
	if err != nil {
		return nil, err
	}
	return append(iv, sealed...), nil
}

// Decrypt opens what Encrypt sealed.
func (a *AEAD) Decrypt(ciphertext, associatedData []byte) ([]byte, error) {
	if len(ciphertext) < gcmIV+gcmTag {
		return nil, &Error{Kind: Mismatch, Op: "opening sealed data: too short"}
	}
	return a.run(func(p *driver, sh pkcs11.SessionHandle, key pkcs11.ObjectHandle) ([]byte, error) {
		return unseal(p, sh, key, ciphertext[:gcmIV], associatedData, ciphertext[gcmIV:])
	})
}

func (a *AEAD) run(fn func(*driver, pkcs11.SessionHandle, pkcs11.ObjectHandle) ([]byte, error)) ([]byte, error) {
	return use(context.Background(), a.pool, func(p *driver, s *session) ([]byte, error) {
		key, err := s.secret(p, a.label)
		if err != nil {
			return nil, err
		}
		return fn(p, s.handle, key)
	})
}

func seal(p *driver, sh pkcs11.SessionHandle, key pkcs11.ObjectHandle, iv, ad, plaintext []byte) ([]byte, error) {
	params := pkcs11.NewGCMParams(iv, ad, 8*gcmTag)
	defer params.Free()
	if err := p.EncryptInit(sh, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_GCM, params)}, key); err != nil {
		return nil, fail("sealing", err)
	}
	done := p.watch(pkcs11.CKM_AES_GCM)
	sealed, err := p.Encrypt(sh, plaintext)
	err = fail("sealing", err)
	done(err)
	return sealed, err
}

func unseal(p *driver, sh pkcs11.SessionHandle, key pkcs11.ObjectHandle, iv, ad, sealed []byte) ([]byte, error) {
	params := pkcs11.NewGCMParams(iv, ad, 8*gcmTag)
	defer params.Free()
	if err := p.DecryptInit(sh, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_GCM, params)}, key); err != nil {
		return nil, fail("opening sealed data", err)
	}
	done := p.watch(pkcs11.CKM_AES_GCM)
	plaintext, err := p.Decrypt(sh, sealed)
	err = fail("opening sealed data", err)
	done(err)
	return plaintext, err
}
