package token

import (
	"crypto/ecdh"
	"crypto/hpke"
	"errors"
	"fmt"
)

// The suite of everything that is sealed to an ephemeral key: X25519,
// HKDF-SHA256, AES-256-GCM (RFC 9180).
func suite() (hpke.KEM, hpke.KDF, hpke.AEAD) {
	return hpke.DHKEM(ecdh.X25519()), hpke.HKDFSHA256(), hpke.AES256GCM()
}

// Ephemeral is a key pair that lives as long as one conversation.
type Ephemeral struct{ key hpke.PrivateKey }

// NewEphemeral makes a key pair.
func NewEphemeral() (*Ephemeral, error) {
	kem, _, _ := suite()
	k, err := kem.GenerateKey()
	if err != nil {
		return nil, fmt.Errorf("making an ephemeral key: %w", err)
	}
	return &Ephemeral{k}, nil
}

// Public returns the public key, to be sent to whoever shall seal.
func (e *Ephemeral) Public() []byte { return e.key.PublicKey().Bytes() }

// Open opens what SealTo sealed to this key in that context.
func (e *Ephemeral) Open(context string, sealed []byte) ([]byte, error) {
	_, kdf, aead := suite()
	plain, err := hpke.Open(e.key, kdf, aead, []byte(context), sealed)
	if err != nil {
		return nil, errors.New("opening sealed data: it is for another key or another purpose, or was changed")
	}
	return plain, nil
}

// SealTo seals to the public key of an [Ephemeral]; it opens in that context only.
func SealTo(publicKey []byte, context string, plain []byte) ([]byte, error) {
	kem, kdf, aead := suite()
	pub, err := kem.NewPublicKey(publicKey)
	if err != nil {
		return nil, &Error{Kind: CodeInvalid, Op: "reading an ephemeral public key"}
	}
	sealed, err := hpke.Seal(pub, kdf, aead, []byte(context), plain)
	if err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	return sealed, nil
}
