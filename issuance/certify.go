package issuance

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/yuncaidun/yuncaidun/issuance/token"
)

// issuer is one issuing CA: its certificate, its key in the HSM, and how it signs.
type issuer struct {
	cert   *x509.Certificate
	signer *token.Signer
	how    signature
	name   string        // in URLs, e.g. "issuing-p256"
	turns  chan struct{} // of those who sign for strangers

	// rehearsal is made once, when first needed.
	rehearsal func() (rehearsal, error)
}

// rehearsal stands in for the issuer when a certificate is signed for the linter:
// a throw-away key of the same kind, and the issuer's certificate with that key.
type rehearsal struct {
	key    crypto.Signer
	parent *x509.Certificate
}

// signature is an algorithm in the three forms that are needed.
type signature struct {
	algorithm x509.SignatureAlgorithm
	hash      crypto.Hash
	der       []byte // AlgorithmIdentifier
}

var signatures = map[token.Algorithm]signature{
	// RFC 5758 §3.2 and RFC 4055 §5, whose parameters are NULL.
	token.P256:    {x509.ECDSAWithSHA256, crypto.SHA256, []byte("\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02")},
	token.RSA2048: {x509.SHA256WithRSA, crypto.SHA256, []byte("\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00")},
}

// newIssuer returns an issuer with a key in a token of so many sessions.
func newIssuer(cert *x509.Certificate, signer *token.Signer, alg token.Algorithm, name string, sessions int) *issuer {
	return &issuer{
		cert: cert, signer: signer, how: signatures[alg], name: name, turns: make(chan struct{}, max(1, sessions/2)),
		rehearsal: sync.OnceValues(func() (rehearsal, error) {
			key, err := newSoftwareKey(alg)
			if err != nil {
				return rehearsal{}, fmt.Errorf("making a key for the linter: %w", err)
			}
			parent := *cert
			parent.PublicKey = key.Public()
			return rehearsal{key, &parent}, nil
		}),
	}
}

// certificate is the outermost SEQUENCE of RFC 5280 §4.1, with the TBS as it is.
type certificate struct {
	TBS       asn1.RawValue
	Algorithm asn1.RawValue
	Signature asn1.BitString
}

// plan fills in what will be signed: serial, validity, TBS. It signs the TBS with
// a throw-away key and lints the result, so that a certificate that breaks a rule
// never reaches the HSM; what the HSM signs later are these very bytes.
func (ca *CA) plan(is Issue, now time.Time) (Issue, error) {
	p, err := LookupProfile(is.Profile)
	if err != nil {
		return is, err
	}
	from, err := is.validFrom(now, p.MaxYears)
	if err != nil {
		return is, err
	}
	s := Subject{Company: is.Company, USCC: is.USCC}
	csr, err := CheckCSR(is.CSR, p, s)
	if err != nil {
		return is, err
	}
	if err := ca.weak.check(csr); err != nil {
		return is, err
	}
	iss, ok := ca.issuers[p.Issuer]
	if !ok {
		return is, fmt.Errorf("profile %s: no issuing CA %s", p.Name, p.Issuer)
	}
	is.Issuer = p.Issuer
	is.KeyHash = keyHash(csr)
	is.Serial = newSerial()
	is.NotBefore = now.Add(-p.Backdate).UTC().Truncate(time.Second)
	is.NotAfter = p.NotAfter(from, is.Years)
	if is.NotAfter.After(iss.cert.NotAfter) {
		return is, refuse("validity_issuer", "证书有效期超出签发机构证书的有效期。", "beyond the issuing CA's certificate")
	}
	rawSubject, err := p.rawSubject(s)
	if err != nil {
		return is, err
	}
	stand, err := iss.rehearsal()
	if err != nil {
		return is, err
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SignatureAlgorithm:    iss.how.algorithm,
		SerialNumber:          serialNumber(is.Serial),
		RawSubject:            rawSubject,
		NotBefore:             is.NotBefore,
		NotAfter:              is.NotAfter,
		KeyUsage:              p.KeyUsage,
		ExtKeyUsage:           p.ExtKeyUsage,
		BasicConstraintsValid: true,
		SubjectKeyId:          keyID(csr.RawSubjectPublicKeyInfo),
		CRLDistributionPoints: []string{ca.baseURL + "/" + iss.name + ".crl"},
		IssuingCertificateURL: []string{ca.baseURL + "/" + iss.name + ".crt"},
		OCSPServer:            []string{ca.baseURL + "/ocsp"},
		Policies:              []x509.OID{ca.policy},
	}, stand.parent, csr.PublicKey, stand.key)
	if err != nil {
		return is, fmt.Errorf("encoding certificate: %w", err)
	}
	if err := lintCertificate(der); err != nil {
		return is, err
	}
	if is.TBS, err = tbsOf(der); err != nil {
		return is, err
	}
	sum := sha256.Sum256(is.TBS)
	is.TBSHash = sum[:]
	return is, nil
}

// validFrom is the instant that the years of an issue are counted from: now, or
// the end of the certificate that it continues while that one is still valid (F75).
func (is Issue) validFrom(now time.Time, most int) (time.Time, error) {
	replaces := !is.Continues.IsZero()
	switch {
	case is.Years < 0 || is.Years > most || is.Years == 0 && !replaces:
		return now, refuse("validity_years", "证书年限超出允许范围。", "%d years", is.Years)
	case is.Years == 0 && !is.Continues.After(now):
		return now, refuse("validity_over", "原证书已到期，不能补办相同有效期的证书。", "the replaced certificate ended at %s", is.Continues)
	case replaces && is.Continues.After(now):
		return is.Continues, nil
	default:
		return now, nil
	}
}

// sign has the HSM sign the recorded TBS and returns the certificate. It checks
// the signature: a faulty RSA signature could give the CA's key away.
func (ca *CA) sign(ctx context.Context, is Issue) ([]byte, error) {
	iss, ok := ca.issuers[is.Issuer]
	if !ok {
		return nil, fmt.Errorf("signing %s: no issuing CA %s", is.Serial, is.Issuer)
	}
	if sum := sha256.Sum256(is.TBS); !bytes.Equal(sum[:], is.TBSHash) {
		return nil, fmt.Errorf("signing %s: the recorded TBS does not have its recorded hash", is.Serial)
	}
	sig, err := iss.signTBS(ctx, is.TBS)
	if err != nil {
		return nil, fmt.Errorf("signing %s: %w", is.Serial, err)
	}
	der, err := asn1.Marshal(certificate{
		TBS:       asn1.RawValue{FullBytes: is.TBS},
		Algorithm: asn1.RawValue{FullBytes: iss.how.der},
		Signature: asn1.BitString{Bytes: sig, BitLength: 8 * len(sig)},
	})
	if err != nil {
		return nil, fmt.Errorf("encoding certificate %s: %w", is.Serial, err)
	}
	if tbs, err := tbsOf(der); err != nil || !bytes.Equal(tbs, is.TBS) {
		return nil, errors.Join(err, fmt.Errorf("certificate %s does not hold the recorded TBS", is.Serial))
	}
	return der, nil
}

// signTBS signs what is kept, and verifies the signature: what the database holds
// as signed is.
func (iss *issuer) signTBS(ctx context.Context, tbs []byte) ([]byte, error) {
	sig, err := iss.signUnverified(ctx, tbs)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(tbs)
	if !skipSign && !token.Verify(iss.cert.PublicKey, iss.how.hash, digest[:], sig) {
		return nil, errors.New("the HSM's signature does not verify")
	}
	return sig, nil
}

// signAnswer signs an answer that is given once and not kept. An ECDSA signature
// is left to the client to verify, which doubles what a software token can
// answer: a wrong one is refused there, and asked for again. RSA is verified,
// since a fault in it can give the key away.
func (iss *issuer) signAnswer(ctx context.Context, tbs []byte) ([]byte, error) {
	if _, ok := iss.cert.PublicKey.(*ecdsa.PublicKey); ok {
		return iss.signUnverified(ctx, tbs)
	}
	return iss.signTBS(ctx, tbs)
}

func (iss *issuer) signUnverified(ctx context.Context, tbs []byte) ([]byte, error) {
	if skipSign {
		garbage := make([]byte, 64)
		rand.Read(garbage)
		return garbage, nil
	}
	digest := sha256.Sum256(tbs)
	return iss.signer.SignContext(ctx, digest[:], iss.how.hash)
}

func tbsOf(der []byte) ([]byte, error) {
	var c certificate
	if rest, err := asn1.Unmarshal(der, &c); err != nil || len(rest) > 0 {
		return nil, fmt.Errorf("splitting certificate: %w", errors.Join(err, errTrailing(rest)))
	}
	return c.TBS.FullBytes, nil
}

func errTrailing(rest []byte) error {
	if len(rest) > 0 {
		return errors.New("trailing data")
	}
	return nil
}

// keyID is the leftmost 160 bits of the SHA-256 of the SubjectPublicKeyInfo's key
// bits (RFC 7093 §2, method 1).
func keyID(spki []byte) []byte {
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(spki, &info); err != nil {
		panic("issuance: SubjectPublicKeyInfo that x509 accepted: " + err.Error())
	}
	sum := sha256.Sum256(info.Key.Bytes)
	return sum[:20]
}
