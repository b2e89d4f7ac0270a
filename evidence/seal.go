// Package evidence makes and checks what the legal representative's signature
// leaves behind: the sealed letter (PAdES) and the evidence pack, which anybody
// can verify offline with the CA's root certificate. It knows formats only:
// signing itself is a function of the caller, because the seal key never leaves
// the HSM of the issuer.
package evidence

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/digitorus/pkcs7"
)

// Sealer signs digests with the seal key.
type Sealer struct {
	// Chain is the seal certificate followed by its issuer's.
	Chain []*x509.Certificate
	// Sign signs one SHA-256 digest; it may be far away.
	Sign func(digest []byte) (signature []byte, err error)
}

// remote is the seal key as [crypto.Signer].
type remote struct{ Sealer }

func (r remote) Public() crypto.PublicKey { return r.Chain[0].PublicKey }

func (r remote) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts.HashFunc() != crypto.SHA256 {
		return nil, errors.New("the seal key signs SHA-256 digests only")
	}
	return r.Sealer.Sign(digest)
}

// oidSigningCertificateV2 binds the certificate into what is signed (RFC 5035),
// as PAdES asks (ETSI EN 319 142-1 §6.3).
var oidSigningCertificateV2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 47}

type essCertIDv2 struct{ CertHash []byte } // the hash algorithm's default is SHA-256

type signingCertificateV2 struct{ Certs []essCertIDv2 }

// seal returns a detached CMS signature of content.
func (s Sealer) seal(content []byte) ([]byte, error) {
	if len(s.Chain) < 2 {
		return nil, errors.New("sealing needs the seal certificate and its issuer's")
	}
	signed, err := pkcs7.NewSignedData(content)
	if err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	signed.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	hash := sha256.Sum256(s.Chain[0].Raw)
	err = signed.AddSignerChain(s.Chain[0], remote{s}, s.Chain[1:], pkcs7.SignerInfoConfig{
		ExtraSignedAttributes: []pkcs7.Attribute{{Type: oidSigningCertificateV2, Value: signingCertificateV2{[]essCertIDv2{{hash[:]}}}}},
	})
	if err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	signed.Detach()
	der, err := signed.Finish()
	if err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	return der, nil
}

// room is how long a signature can be. No more is kept for it in a PDF: what is behind it
// there is covered by nothing that other readers look at.
func (s Sealer) room() (int, error) {
	if len(s.Chain) > 0 {
		longest := make([]byte, longestSignature(s.Chain[0].PublicKey))
		s.Sign = func([]byte) ([]byte, error) { return longest, nil }
	}
	der, err := s.seal(nil)
	return len(der), err
}

func longestSignature(of crypto.PublicKey) int {
	switch key := of.(type) {
	case *ecdsa.PublicKey:
		return 3 + 2*(3+(key.Curve.Params().BitSize+7)/8) // a sequence of two integers
	case *rsa.PublicKey:
		return key.Size()
	default:
		return 0
	}
}

// anyPurpose: a seal certificate is for document signing (RFC 9336), a purpose
// that package x509 does not know.
var anyPurpose = []x509.ExtKeyUsage{x509.ExtKeyUsageAny}

// checkSeal verifies a detached CMS signature of content by a certificate that
// leads to root and was valid at an instant, and returns the certificate.
func checkSeal(der, content []byte, root *x509.Certificate, at time.Time) (*x509.Certificate, error) {
	p7, err := pkcs7.Parse(der)
	if err != nil {
		return nil, fmt.Errorf("the signature cannot be read: %w", err)
	}
	p7.Content = content
	if err := p7.Verify(); err != nil {
		return nil, fmt.Errorf("the signature does not fit: %w", err)
	}
	signer := p7.GetOnlySigner()
	if signer == nil {
		return nil, errors.New("there is not exactly one signer")
	}
	var bound signingCertificateV2
	if err := p7.UnmarshalSignedAttribute(oidSigningCertificateV2, &bound); err != nil || len(bound.Certs) == 0 {
		return nil, errors.New("the signature names no certificate")
	}
	if hash := sha256.Sum256(signer.Raw); string(bound.Certs[0].CertHash) != string(hash[:]) {
		return nil, errors.New("the signature names another certificate")
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(root)
	for _, c := range p7.Certificates {
		between.AddCert(c)
	}
	_, err = signer.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: at, KeyUsages: anyPurpose})
	if err != nil {
		return signer, chainError{err}
	}
	return signer, nil
}

// chainError is a signature that holds, by somebody whom the root does not vouch for.
type chainError struct{ error }
