package request

import (
	"crypto/ecdh"
	"crypto/hpke"
	"fmt"
)

// InitialPIN asks for the initial PIN of a USBKEY, which is told once. Subject is
// the key's serial number, Body the public key of a [PINKey], the answer the PIN
// sealed to it.
const InitialPIN Kind = "initial_pin"

// PINKey opens one answer. It lives in the memory of whoever asks.
type PINKey struct{ private hpke.PrivateKey }

// NewPINKey returns a key for one question.
func NewPINKey() (PINKey, error) {
	k, err := hpke.DHKEM(ecdh.X25519()).GenerateKey()
	return PINKey{k}, err
}

// Public is the Body of the request.
func (k PINKey) Public() []byte { return k.private.PublicKey().Bytes() }

// Open opens the answer about a USBKEY.
func (k PINKey) Open(tokenSerial string, answer []byte) (string, error) {
	pin, err := hpke.Open(k.private, hpke.HKDFSHA256(), hpke.AES256GCM(), pinInfo(tokenSerial), answer)
	if err != nil {
		return "", fmt.Errorf("opening the initial PIN of %s: %w", tokenSerial, err)
	}
	return string(pin), nil
}

// SealPIN seals the PIN of a USBKEY to the key of whoever asked.
func SealPIN(public []byte, tokenSerial, pin string) ([]byte, error) {
	k, err := hpke.DHKEM(ecdh.X25519()).NewPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("sealing the initial PIN of %s: %w", tokenSerial, err)
	}
	return hpke.Seal(k, hpke.HKDFSHA256(), hpke.AES256GCM(), pinInfo(tokenSerial), []byte(pin))
}

// pinInfo binds what is sealed to its purpose and its USBKEY.
func pinInfo(tokenSerial string) []byte { return []byte("yuncaidun initial pin v1\x00" + tokenSerial) }
