package token

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"

	"github.com/miekg/pkcs11"
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Algorithm is a kind of key pair.
type Algorithm string

// The key pairs that the CA and its subscribers use.
const (
	P256    Algorithm = "EC-P256"
	P384    Algorithm = "EC-P384"
	RSA2048 Algorithm = "RSA-2048"
)

// scheme is what PKCS#11 has to be told to make a key pair of an algorithm and to
// sign with it. A vendor's algorithm is one more row of [schemes].
type scheme struct {
	keyType  uint
	generate uint
	params   asn1.ObjectIdentifier // EC: the curve
	bits     int                   // RSA: the modulus
	sign     uint
	input    input
	output   output
}

// input is what a mechanism signs.
type input int

const (
	digestOnly   input = iota // the digest as it is
	digestInfo                // the digest with its algorithm (EMSA-PKCS1-v1_5)
	wholeMessage              // the message: the token makes the digest
)

// output is the form in which a mechanism gives its signature.
type output int

const (
	asIs  output = iota // as certificates want it
	rAndS               // r‖s, which certificates want as a SEQUENCE
)

var schemes = map[Algorithm]scheme{
	P256:    {pkcs11.CKK_EC, pkcs11.CKM_EC_KEY_PAIR_GEN, oidP256, 0, pkcs11.CKM_ECDSA, digestOnly, rAndS},
	P384:    {pkcs11.CKK_EC, pkcs11.CKM_EC_KEY_PAIR_GEN, oidP384, 0, pkcs11.CKM_ECDSA, digestOnly, rAndS},
	RSA2048: {pkcs11.CKK_RSA, pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN, nil, 2048, pkcs11.CKM_RSA_PKCS, digestInfo, asIs},
}

// schemeOf returns the scheme of a key that is there already.
func schemeOf(pub crypto.PublicKey) (scheme, error) {
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			return schemes[P256], nil
		case elliptic.P384():
			return schemes[P384], nil
		}
	case *rsa.PublicKey:
		return schemes[RSA2048], nil // the bits matter only when a key is made
	}
	return scheme{}, &Error{Kind: Unsupported, Op: "signing: key type"}
}

var (
	oidP256 = asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7}
	oidP384 = asn1.ObjectIdentifier{1, 3, 132, 0, 34}
)

var publicExponent = []byte{1, 0, 1} // 65537

func attr(typ uint, value any) *pkcs11.Attribute { return pkcs11.NewAttribute(typ, value) }

// find returns the objects that match the template; it always ends the search,
// because a session has room for one only.
func find(p *driver, sh pkcs11.SessionHandle, template ...*pkcs11.Attribute) ([]pkcs11.ObjectHandle, error) {
	if err := p.FindObjectsInit(sh, template); err != nil {
		return nil, fail("finding objects", err)
	}
	handles, _, err := p.FindObjects(sh, 16)
	return handles, fail("finding objects", errors.Join(err, p.FindObjectsFinal(sh)))
}

// findOne returns the only object that matches the template.
func findOne(p *driver, sh pkcs11.SessionHandle, template ...*pkcs11.Attribute) (pkcs11.ObjectHandle, error) {
	handles, err := find(p, sh, template...)
	switch {
	case err != nil:
		return 0, err
	case len(handles) == 0:
		return 0, &Error{Kind: NoObject, Op: "finding object"}
	case len(handles) > 1:
		return 0, &Error{Kind: Ambiguous, Op: "finding object: more than one"}
	}
	return handles[0], nil
}

// keyPair is a private key on a token, usable with the session that found it.
type keyPair struct {
	private pkcs11.ObjectHandle
	public  crypto.PublicKey
	how     scheme
}

// pairOf is the key pair of two objects, of a kind that we can sign with.
func pairOf(private pkcs11.ObjectHandle, public crypto.PublicKey) (keyPair, error) {
	how, err := schemeOf(public)
	return keyPair{private, public, how}, err
}

// findKeyPair returns the key pair that name (a label or an id) selects.
func findKeyPair(p *driver, sh pkcs11.SessionHandle, name *pkcs11.Attribute) (keyPair, error) {
	private, err := findOne(p, sh, attr(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY), name)
	if err != nil {
		return keyPair{}, err
	}
	public, err := findOne(p, sh, attr(pkcs11.CKA_CLASS, pkcs11.CKO_PUBLIC_KEY), name)
	if errors.Is(err, NoObject) {
		return keyPair{}, &Error{Kind: Mismatch, Op: "finding key pair: a private key without its public key"}
	}
	if err != nil {
		return keyPair{}, err
	}
	pub, err := publicKey(p, sh, public)
	if err != nil {
		return keyPair{}, err
	}
	return pairOf(private, pub)
}

// purpose says what a key pair may do besides signing.
type purpose bool

const (
	signOnly   purpose = false
	alsoUnseal purpose = true // RSA: open what was encrypted for it (keyEncipherment)
)

// ensureKeyPair returns the key pair that name selects, and makes it when there is
// none that works. A process that dies while a token makes a key pair can leave
// half of it behind, or a private key without its value; neither was ever used, so
// it is removed.
func ensureKeyPair(p *driver, sh pkcs11.SessionHandle, alg Algorithm, unseal purpose, name *pkcs11.Attribute, extra ...*pkcs11.Attribute) (keyPair, error) {
	kp, err := findKeyPair(p, sh, name)
	if err == nil {
		err = tryKeyPair(p, sh, kp)
	}
	if !unusable(err) {
		return kp, err
	}
	for _, class := range []uint{pkcs11.CKO_PRIVATE_KEY, pkcs11.CKO_PUBLIC_KEY} {
		if err := destroy(p, sh, attr(pkcs11.CKA_CLASS, class), name); err != nil {
			return keyPair{}, err
		}
	}
	g, ok := schemes[alg]
	if !ok {
		return keyPair{}, &Error{Kind: Unsupported, Op: "making key pair " + string(alg)}
	}
	public := append([]*pkcs11.Attribute{
		name,
		attr(pkcs11.CKA_TOKEN, true),
		attr(pkcs11.CKA_VERIFY, true),
	}, extra...)
	private := append([]*pkcs11.Attribute{
		name,
		attr(pkcs11.CKA_TOKEN, true),
		attr(pkcs11.CKA_PRIVATE, true),
		attr(pkcs11.CKA_SENSITIVE, true),
		attr(pkcs11.CKA_EXTRACTABLE, false),
		attr(pkcs11.CKA_SIGN, true),
	}, extra...)
	if g.bits != 0 {
		public = append(public, attr(pkcs11.CKA_MODULUS_BITS, g.bits), attr(pkcs11.CKA_PUBLIC_EXPONENT, publicExponent),
			attr(pkcs11.CKA_ENCRYPT, bool(unseal)), attr(pkcs11.CKA_WRAP, bool(unseal)))
		private = append(private, attr(pkcs11.CKA_DECRYPT, bool(unseal)), attr(pkcs11.CKA_UNWRAP, bool(unseal)))
	} else {
		params, err := asn1.Marshal(g.params)
		if err != nil {
			return keyPair{}, fmt.Errorf("encoding curve: %w", err)
		}
		public = append(public, attr(pkcs11.CKA_EC_PARAMS, params))
	}
	mechanism := []*pkcs11.Mechanism{pkcs11.NewMechanism(g.generate, nil)}
	done := p.watch(g.generate)
	pub, priv, err := p.GenerateKeyPair(sh, mechanism, public, private)
	err = fail("making key pair "+string(alg), err)
	done(err)
	if err != nil {
		return keyPair{}, err
	}
	key, err := publicKey(p, sh, pub)
	if err != nil {
		return keyPair{}, err
	}
	return pairOf(priv, key)
}

// unusable reports whether err says that an object is not there or does not work,
// rather than that the token cannot be talked to.
func unusable(err error) bool {
	return errors.Is(err, NoObject) || errors.Is(err, Mismatch) || errors.Is(err, Failed) || errors.Is(err, Unsupported)
}

// tryKeyPair makes a signature and verifies it.
func tryKeyPair(p *driver, sh pkcs11.SessionHandle, kp keyPair) error {
	digest := make([]byte, crypto.SHA256.Size())
	rand.Read(digest)
	sig, err := sign(p, sh, kp, digest, crypto.SHA256)
	if err != nil {
		return err
	}
	if !Verify(kp.public, crypto.SHA256, digest, sig) {
		return &Error{Kind: Mismatch, Op: "trying key: the signature does not verify"}
	}
	return nil
}

// destroy removes the objects that match the template.
func destroy(p *driver, sh pkcs11.SessionHandle, template ...*pkcs11.Attribute) error {
	handles, err := find(p, sh, template...)
	if err != nil {
		return err
	}
	for _, h := range handles {
		if err := p.DestroyObject(sh, h); err != nil {
			return fail("removing object", err)
		}
	}
	return nil
}

// publicKey reads a public key object.
func publicKey(p *driver, sh pkcs11.SessionHandle, h pkcs11.ObjectHandle) (crypto.PublicKey, error) {
	const op = "reading public key"
	kind, err := p.GetAttributeValue(sh, h, []*pkcs11.Attribute{attr(pkcs11.CKA_KEY_TYPE, nil)})
	if err != nil {
		return nil, fail(op, err)
	}
	switch {
	case bytes.Equal(kind[0].Value, attr(0, pkcs11.CKK_RSA).Value):
		a, err := p.GetAttributeValue(sh, h, []*pkcs11.Attribute{attr(pkcs11.CKA_MODULUS, nil), attr(pkcs11.CKA_PUBLIC_EXPONENT, nil)})
		if err != nil {
			return nil, fail(op, err)
		}
		e := new(big.Int).SetBytes(a[1].Value)
		if e.BitLen() > 31 {
			return nil, &Error{Kind: Mismatch, Op: op + ": public exponent too large"}
		}
		return &rsa.PublicKey{N: new(big.Int).SetBytes(a[0].Value), E: int(e.Int64())}, nil
	case bytes.Equal(kind[0].Value, attr(0, pkcs11.CKK_EC).Value):
		a, err := p.GetAttributeValue(sh, h, []*pkcs11.Attribute{attr(pkcs11.CKA_EC_PARAMS, nil), attr(pkcs11.CKA_EC_POINT, nil)})
		if err != nil {
			return nil, fail(op, err)
		}
		return ecPublicKey(a[0].Value, a[1].Value)
	}
	return nil, &Error{Kind: Unsupported, Op: op + ": key type"}
}

func ecPublicKey(params, point []byte) (*ecdsa.PublicKey, error) {
	var oid asn1.ObjectIdentifier
	if rest, err := asn1.Unmarshal(params, &oid); err != nil || len(rest) > 0 {
		return nil, &Error{Kind: Unsupported, Op: "reading public key: curve parameters"}
	}
	var curve elliptic.Curve
	switch {
	case oid.Equal(oidP256):
		curve = elliptic.P256()
	case oid.Equal(oidP384):
		curve = elliptic.P384()
	default:
		return nil, &Error{Kind: Unsupported, Op: "reading public key: curve " + oid.String()}
	}
	// CKA_EC_POINT is a DER OCTET STRING; some tokens give the bare point.
	var raw []byte
	if rest, err := asn1.Unmarshal(point, &raw); err != nil || len(rest) > 0 {
		raw = point
	}
	pub, err := ecdsa.ParseUncompressedPublicKey(curve, raw)
	if err != nil {
		return nil, &Error{Kind: Mismatch, Op: "reading public key: " + err.Error()}
	}
	return pub, nil
}

// digestPrefix is the DER before the digest in EMSA-PKCS1-v1_5 (RFC 8017 §9.2).
var digestPrefix = map[crypto.Hash][]byte{
	crypto.SHA256: {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20},
	crypto.SHA384: {0x30, 0x41, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00, 0x04, 0x30},
	crypto.SHA512: {0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03, 0x05, 0x00, 0x04, 0x40},
}

// sign makes a signature in the form crypto.Signer promises: PKCS #1 v1.5 for
// RSA, an ASN.1 SEQUENCE of r and s for ECDSA.
func sign(p *driver, sh pkcs11.SessionHandle, kp keyPair, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return kp.how.signWith(p, sh, kp.private, digest, opts)
}

func (s scheme) signWith(p *driver, sh pkcs11.SessionHandle, key pkcs11.ObjectHandle, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	data, err := s.prepare(digest, opts)
	if err != nil {
		return nil, err
	}
	raw, err := rawSign(p, sh, key, s.sign, data)
	if err != nil || s.output == asIs {
		return raw, err
	}
	return ecdsaDER(raw)
}

// prepare turns a digest, or for wholeMessage a message, into what the mechanism signs.
func (s scheme) prepare(digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	hash := opts.HashFunc()
	if s.input == wholeMessage {
		if hash != 0 {
			return nil, &Error{Kind: Unsupported, Op: "signing: a digest, where the token wants the message"}
		}
		return digest, nil
	}
	if hash == 0 || hash.Size() != len(digest) {
		return nil, &Error{Kind: Mismatch, Op: "signing: digest of the wrong length"}
	}
	if s.input == digestOnly {
		return digest, nil
	}
	prefix, ok := digestPrefix[hash]
	if _, pss := opts.(*rsa.PSSOptions); pss || !ok {
		return nil, &Error{Kind: Unsupported, Op: "signing: RSA padding or hash"}
	}
	return append(prefix[:len(prefix):len(prefix)], digest...), nil
}

func rawSign(p *driver, sh pkcs11.SessionHandle, key pkcs11.ObjectHandle, mechanism uint, data []byte) (sig []byte, err error) {
	done := p.watch(mechanism)
	defer func() { done(err) }()
	if err := p.SignInit(sh, []*pkcs11.Mechanism{pkcs11.NewMechanism(mechanism, nil)}, key); err != nil {
		return nil, fail("starting signature", err)
	}
	sig, err = p.Sign(sh, data)
	return sig, fail("signing", err)
}

// ecdsaDER turns r‖s, as PKCS#11 gives it, into the ASN.1 form of RFC 3279 §2.2.3.
func ecdsaDER(raw []byte) ([]byte, error) {
	if len(raw) == 0 || len(raw)%2 != 0 {
		return nil, &Error{Kind: Mismatch, Op: "signing: ECDSA signature of odd length"}
	}
	n := len(raw) / 2
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1BigInt(new(big.Int).SetBytes(raw[:n]))
		b.AddASN1BigInt(new(big.Int).SetBytes(raw[n:]))
	})
	return b.Bytes()
}

// Verify checks a signature over digest in the form that this package makes.
func Verify(pub crypto.PublicKey, hash crypto.Hash, digest, sig []byte) bool {
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(k, digest, sig)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(k, hash, digest, sig) == nil
	}
	return false
}
