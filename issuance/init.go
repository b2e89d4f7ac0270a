package issuance

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/yuncaidun/yuncaidun/issuance/token"
)

const (
	rootYears    = 20
	issuingYears = 10
	caBackdate   = time.Hour
)

// oidDocumentSigning is id-kp-documentSigning (RFC 9336).
var oidDocumentSigning = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 36}

// InitCA makes the CA: a root, an issuing CA per algorithm, the seal key and the
// keyset for token secrets. What exists is kept, what is missing is made, so that
// it may be run again after a crash, and beside another one.
func InitCA(ctx context.Context, cfg Config) error {
	in, err := newInitializer(cfg)
	if err != nil {
		return err
	}
	defer in.close()

	root, err := in.root(ctx)
	if err != nil {
		return err
	}
	for _, a := range issuingAuthorities {
		if root.signer == nil {
			if _, err := readCertificate(cfg.Dir, a.name); err != nil {
				return fmt.Errorf("the root is offline and has not signed %s yet, see docs/ceremony.md: %w", a.name, err)
			}
		}
	}
	var issuing []*signed
	for _, a := range issuingAuthorities {
		iss, err := in.authority(ctx, a, root, issuingTemplate(), issuingYears)
		if err != nil {
			return err
		}
		issuing = append(issuing, iss)
	}
	if _, err := in.authority(ctx, sealAuthority, issuing[0], x509.Certificate{
		KeyUsage:           x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment,
		UnknownExtKeyUsage: []asn1.ObjectIdentifier{oidDocumentSigning},
	}, issuingYears); err != nil {
		return err
	}
	return ensureKeyset(ctx, cfg.Dir, in.pools[len(in.pools)-1])
}

func rootTemplate() x509.Certificate {
	return x509.Certificate{KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, IsCA: true}
}

func issuingTemplate() x509.Certificate {
	return x509.Certificate{
		KeyUsage:       x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		IsCA:           true,
		MaxPathLenZero: true,
		Policies:       []x509.OID{anyPolicy},
	}
}

// root makes sure that the root exists, with its list. A root whose certificate is
// here and whose token is not is offline: it signs in ceremonies only.
func (in *initializer) root(ctx context.Context) (*signed, error) {
	cert, err := readCertificate(in.cfg.Dir, rootAuthority.name)
	if err == nil {
		at := in.cfg.place(rootAuthority.label)
		present, err := at.HSM.Present(at.Name)
		if err != nil {
			return nil, err
		}
		if !present {
			_, err := readCRL(in.cfg.Dir, cert)
			return &signed{authority: rootAuthority, cert: cert}, err
		}
	}
	root, err := in.authority(ctx, rootAuthority, nil, rootTemplate(), rootYears)
	if err != nil {
		return nil, err
	}
	return root, in.ensureRootCRL(root)
}

// anyPolicy (RFC 5280 §4.2.1.4) lets an issuing CA issue under any policy.
var anyPolicy = func() x509.OID {
	oid, err := x509.OIDFromInts([]uint64{2, 5, 29, 32, 0})
	if err != nil {
		panic(err)
	}
	return oid
}()

// initializer makes the CA's keys and certificates.
type initializer struct {
	cfg    Config
	soPIN  token.PIN
	base   string
	pools  []*token.Pool
	unlock func()
}

// newInitializer locks the CA's folder until it is closed.
func newInitializer(cfg Config) (*initializer, error) {
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("making CA: %w", err)
	}
	unlock, err := lockDir(cfg.Dir)
	if err != nil {
		return nil, err
	}
	in := &initializer{cfg: cfg, base: strings.TrimSuffix(cfg.BaseURL, "/"), unlock: unlock}
	if in.soPIN, err = ensureSOPIN(cfg.Dir); err != nil {
		unlock()
		return nil, err
	}
	return in, nil
}

// signed is an authority with its certificate.
type signed struct {
	authority
	cert   *x509.Certificate
	signer *token.Signer
}

// authority makes sure that the token, the key and the certificate of a exist.
// by signs the certificate; it is nil for the root.
func (in *initializer) authority(ctx context.Context, a authority, by *signed, template x509.Certificate, years int) (*signed, error) {
	pool, err := in.token(ctx, a)
	if err != nil {
		return nil, err
	}
	cert, err := readCertificate(in.cfg.Dir, a.name)
	if err == nil {
		// A published certificate whose key is gone must not get a new key by accident.
		signer, err := pool.Signer(ctx, signatureKey)
		if err != nil {
			return nil, fmt.Errorf("opening CA key %s: %w", a.label, err)
		}
		if !samePublicKey(cert.PublicKey, signer.Public()) {
			return nil, fmt.Errorf("CA key %s: %s.pem is for another key", a.label, a.name)
		}
		return &signed{a, cert, signer}, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	signer, err := pool.EnsureKey(ctx, signatureKey, a.algorithm)
	if err != nil {
		return nil, fmt.Errorf("making CA key %s: %w", a.label, err)
	}
	s := &signed{authority: a, signer: signer}
	if by == nil {
		by = s
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if s.cert, err = in.certify(a, signer.Public(), by, template, years); err != nil {
		return nil, err
	}
	return s, writeFile(certificateFile(in.cfg.Dir, a.name), encodePEM(s.cert.Raw), 0o644)
}

// token makes sure that the token of a exists and opens it.
func (in *initializer) token(ctx context.Context, a authority) (*token.Pool, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	at := in.cfg.place(a.label)
	if err := at.HSM.Ensure(ctx, at.Name, in.soPIN, at.PIN); err != nil {
		return nil, fmt.Errorf("making CA token %s: %w", a.label, err)
	}
	pool := at.HSM.NewPool(at.Name, at.PIN, 1)
	in.pools = append(in.pools, pool)
	return pool, nil
}

// certify has by sign a certificate for a key of a. The root signs its own: by has
// no certificate then.
func (in *initializer) certify(a authority, public crypto.PublicKey, by *signed, t x509.Certificate, years int) (*x509.Certificate, error) {
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("certifying %s: %w", a.label, err)
	}
	now := in.cfg.Now().UTC().Truncate(time.Second)
	t.SerialNumber = serialNumber(newSerial())
	t.Subject = in.subject(a)
	t.NotBefore, t.NotAfter = now.Add(-caBackdate), now.AddDate(years, 0, 0)
	t.BasicConstraintsValid = true
	t.SubjectKeyId = keyID(spki)
	t.SignatureAlgorithm = signatureAlgorithms[by.algorithm]
	parent := by.cert
	if parent == nil {
		parent = &t
	} else {
		if t.NotAfter.After(parent.NotAfter) {
			t.NotAfter = parent.NotAfter
		}
		t.CRLDistributionPoints = []string{in.base + "/" + by.name + ".crl"}
		t.IssuingCertificateURL = []string{in.base + "/" + by.name + ".crt"}
	}
	der, err := x509.CreateCertificate(rand.Reader, &t, parent, public, by.signer)
	if err != nil {
		return nil, fmt.Errorf("certifying %s: %w", a.label, err)
	}
	if err := lintCertificate(der); err != nil {
		return nil, fmt.Errorf("certifying %s: %w", a.label, err)
	}
	return x509.ParseCertificate(der)
}

// subject is the name of one of the CA's own certificates.
func (in *initializer) subject(a authority) pkix.Name {
	return pkix.Name{Country: []string{"CN"}, Organization: []string{in.cfg.Name}, CommonName: in.cfg.Name + a.suffix}
}

func (in *initializer) close() {
	for _, pl := range in.pools {
		pl.Close()
	}
	in.unlock()
}

// ensureSOPIN keeps the SO PIN of the CA's tokens in a file of its own. It is
// durable before any token is initialised, so that an interrupted initialisation
// can be completed.
func ensureSOPIN(dir string) (token.PIN, error) {
	file := filepath.Join(dir, "so-pin")
	text, err := os.ReadFile(file) //nolint:gosec // a file of the CA's own folder
	if err == nil {
		return token.PIN(strings.TrimSpace(string(text))), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("reading the CA's SO PIN: %w", err)
	}
	pin := token.NewSOPIN()
	return pin, writeFile(file, []byte(pin.Reveal()+"\n"), 0o600)
}

// lockDir keeps two processes from making one CA at the same time.
func lockDir(dir string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, "init.lock"), os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // a file of the CA's own folder
	if err != nil {
		return nil, fmt.Errorf("locking CA directory: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("locking CA directory: %w", err), f.Close())
	}
	return func() { _ = f.Close() }, nil // closing gives the lock up
}

// writeFile writes a file whole and durably, or not at all.
func writeFile(name string, data []byte, mode fs.FileMode) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("writing %s: %w", filepath.Base(name), err)
		}
	}()
	f, err := os.CreateTemp(filepath.Dir(name), ".tmp-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
