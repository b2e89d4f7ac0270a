package issuance

import (
	"cmp"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/yuncaidun/yuncaidun/issuance/token"
)

// Config is what the CA is told.
type Config struct {
	// Dir holds the CA's certificates and wrapped keyset ($YCD_DATA_DIR/ca).
	Dir string
	// HSM holds the CA's keys.
	HSM *token.Module
	// PIN is the user PIN of the CA's tokens.
	PIN token.PIN
	// Tokens says where the tokens are, by label, that are not called so or not in
	// HSM or have another PIN.
	Tokens map[string]Place
	// Name is the CA's display name; it becomes part of its certificates.
	Name string
	// BaseURL is where CA certificates, CRLs and OCSP are published, e.g.
	// "https://example.cn/pki".
	BaseURL string
	// PolicyOID is the certificate policy, in dotted form.
	PolicyOID string
	// Sessions is how many signatures each CA token may make at once (default 4).
	Sessions int
	Now      func() time.Time
}

// Place is where a token of the CA is.
type Place struct {
	HSM *token.Module
	// Name is what the module finds it by; see [token.URI.Name].
	Name string
	PIN  token.PIN
}

func (cfg Config) sessions() int { return cmp.Or(cfg.Sessions, 4) }

// place returns where the token with that label is.
func (cfg Config) place(label string) Place {
	if p, ok := cfg.Tokens[label]; ok {
		return p
	}
	return Place{HSM: cfg.HSM, Name: label, PIN: cfg.PIN}
}

// Labels are the labels that the CA's tokens have by default.
func Labels() []string {
	labels := []string{rootAuthority.label, sealAuthority.label}
	for _, a := range issuingAuthorities {
		labels = append(labels, a.label)
	}
	return labels
}

// authority is one row of the table of the CA's own keys.
type authority struct {
	label     string // of the token
	algorithm token.Algorithm
	name      string // of the file and in URLs
	suffix    string // of the common name, after the display name
}

var (
	rootAuthority      = authority{RootToken, token.P384, "root", "根CA"}
	issuingAuthorities = []authority{
		{P256Token, token.P256, "issuing-p256", "签发CA P-256"},
		{RSAToken, token.RSA2048, "issuing-rsa", "签发CA RSA-2048"},
	}
	sealAuthority = authority{SealToken, token.P256, "seal", "授权书签章"}
)

// CA is the certification authority, opened for signing.
type CA struct {
	Chain
	issuers map[string]*issuer // by token label
	seal    *token.Signer
	keyset  tink.AEAD
	pools   []*token.Pool
	baseURL string
	policy  x509.OID
	weak    weakKeys
	now     func() time.Time
}

// OpenCA opens the CA that [InitCA] made. The root's token is left alone.
func OpenCA(ctx context.Context, cfg Config) (_ *CA, err error) {
	policy, err := x509.ParseOID(cfg.PolicyOID)
	if err != nil {
		return nil, fmt.Errorf("certificate policy %q: %w", cfg.PolicyOID, err)
	}
	chain, err := ReadChain(cfg.Dir)
	if err != nil {
		return nil, err
	}
	ca := &CA{Chain: chain, issuers: map[string]*issuer{}, baseURL: strings.TrimSuffix(cfg.BaseURL, "/"), policy: policy, now: cfg.Now}
	defer func() {
		if err != nil {
			ca.Close()
		}
	}()
	if ca.weak, err = readWeakKeys(cfg.Dir); err != nil {
		return nil, err
	}
	for _, a := range issuingAuthorities {
		signer, err := ca.open(ctx, cfg, a, chain.Issuing[a.label])
		if err != nil {
			return nil, err
		}
		ca.issuers[a.label] = newIssuer(chain.Issuing[a.label], signer, a.algorithm, a.name, cfg.sessions())
	}
	if ca.seal, err = ca.open(ctx, cfg, sealAuthority, chain.Seal); err != nil {
		return nil, err
	}
	ca.keyset, err = openKeyset(ctx, cfg.Dir, ca.pools[len(ca.pools)-1])
	return ca, err
}

// open opens the key of one authority and checks that the certificate is for it.
func (ca *CA) open(ctx context.Context, cfg Config, a authority, cert *x509.Certificate) (*token.Signer, error) {
	at := cfg.place(a.label)
	pool := at.HSM.NewPool(at.Name, at.PIN, cfg.sessions())
	ca.pools = append(ca.pools, pool)
	signer, err := pool.Signer(ctx, signatureKey)
	if err != nil {
		return nil, fmt.Errorf("opening CA key %s: %w", a.label, err)
	}
	if !samePublicKey(cert.PublicKey, signer.Public()) {
		return nil, fmt.Errorf("opening CA key %s: %s.pem is for another key", a.label, a.name)
	}
	return signer, nil
}

// Close closes the CA's sessions.
func (ca *CA) Close() {
	for _, pl := range ca.pools {
		pl.Close()
	}
}

// Health proves by a signature each that all keys of the CA work.
func (ca *CA) Health(ctx context.Context) error {
	var errs []error
	for _, a := range issuingAuthorities {
		errs = append(errs, ca.issuers[a.label].signer.Health(ctx))
	}
	return errors.Join(append(errs, ca.seal.Health(ctx))...)
}

// Seal returns the key and the certificate that seal documents.
func (ca *CA) Seal() (*token.Signer, *x509.Certificate) { return ca.seal, ca.Chain.Seal }

// Chain is the CA's certificates; none of them is secret.
type Chain struct {
	Root    *x509.Certificate
	Issuing map[string]*x509.Certificate // by token label
	Seal    *x509.Certificate
}

// ReadChain reads the certificates that [InitCA] wrote to dir; it needs no HSM.
func ReadChain(dir string) (Chain, error) {
	c := Chain{Issuing: map[string]*x509.Certificate{}}
	var err error
	if c.Root, err = readCertificate(dir, rootAuthority.name); err != nil {
		return c, err
	}
	for _, a := range issuingAuthorities {
		if c.Issuing[a.label], err = readCertificate(dir, a.name); err != nil {
			return c, err
		}
	}
	c.Seal, err = readCertificate(dir, sealAuthority.name)
	return c, err
}

// PEM returns the certificate of an issue followed by the issuing CA's and the root's.
func (c Chain) PEM(is Issue) ([]byte, error) {
	issuing := c.Issuing[is.Issuer]
	if len(is.Certificate) == 0 || issuing == nil {
		return nil, fmt.Errorf("issue %s has no certificate", is.ID)
	}
	var out []byte
	for _, der := range [][]byte{is.Certificate, issuing.Raw, c.Root.Raw} {
		out = append(out, encodePEM(der)...)
	}
	return out, nil
}

func encodePEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func certificateFile(dir, name string) string { return filepath.Join(dir, name+".pem") }

func readCertificate(dir, name string) (*x509.Certificate, error) {
	file := certificateFile(dir, name)
	text, err := os.ReadFile(file) //nolint:gosec // a file of the CA's own folder
	if err != nil {
		return nil, fmt.Errorf("reading CA certificate: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("reading CA certificate: %s holds none", file)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading CA certificate %s: %w", file, err)
	}
	return cert, nil
}

func samePublicKey(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

// newSoftwareKey makes a key outside the HSM, for the linter.
func newSoftwareKey(alg token.Algorithm) (crypto.Signer, error) {
	if alg == token.RSA2048 {
		return rsa.GenerateKey(rand.Reader, 2048)
	}
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}
