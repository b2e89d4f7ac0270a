package issuance

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// signCRL signs a list of what is revoked.
func (ca *CA) signCRL(c CRL, revoked []CertStatus) ([]byte, error) {
	iss, ok := ca.issuers[c.Issuer]
	if !ok {
		return nil, fmt.Errorf("no issuing CA %s", c.Issuer)
	}
	list := &x509.RevocationList{
		SignatureAlgorithm: iss.how.algorithm, Number: big.NewInt(c.Number), ThisUpdate: c.ThisUpdate, NextUpdate: c.NextUpdate,
		RevokedCertificateEntries: make([]x509.RevocationListEntry, 0, len(revoked)),
	}
	for _, r := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{
			SerialNumber: serialNumber(r.Serial), RevocationTime: r.RevokedAt.UTC().Truncate(time.Second), ReasonCode: r.Reason,
		})
	}
	return x509.CreateRevocationList(rand.Reader, list, iss.cert, iss.signer)
}

// IssuerNamed returns the label of the issuing CA that is called name in the
// addresses of its certificates.
func IssuerNamed(name string) (label string, ok bool) {
	for _, a := range issuingAuthorities {
		if a.name == name {
			return a.label, true
		}
	}
	return "", false
}

// The root signs offline, so its list lives long and is renewed whenever the CA
// is initialised again in its second half.
const rootCRLLife = 365 * 24 * time.Hour

func crlFile(dir string) string { return filepath.Join(dir, rootAuthority.name+".crl") }

// ensureRootCRL makes sure that the root's list is there and young. No issuing
// CA has ever been revoked, so it is empty.
func (in *initializer) ensureRootCRL(root *signed) error {
	now := in.cfg.Now().UTC().Truncate(time.Second)
	number := big.NewInt(1)
	switch was, err := readCRL(in.cfg.Dir, root.cert); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case now.Before(was.ThisUpdate.Add(rootCRLLife / 2)):
		return nil
	default:
		number.Add(was.Number, number)
	}
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		SignatureAlgorithm: signatureAlgorithms[root.algorithm], Number: number, ThisUpdate: now, NextUpdate: now.Add(rootCRLLife),
	}, root.cert, root.signer)
	if err != nil {
		return fmt.Errorf("signing the root's CRL: %w", err)
	}
	return writeFile(crlFile(in.cfg.Dir), pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}), 0o644)
}

func readCRL(dir string, root *x509.Certificate) (*x509.RevocationList, error) {
	text, err := os.ReadFile(crlFile(dir))
	if err != nil {
		return nil, fmt.Errorf("reading the root's CRL: %w", err)
	}
	block, rest := pem.Decode(text)
	if block == nil || block.Type != "X509 CRL" || len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("reading the root's CRL: not one list")
	}
	list, err := x509.ParseRevocationList(block.Bytes)
	if err == nil {
		err = list.CheckSignatureFrom(root)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the root's CRL: %w", err)
	}
	return list, nil
}

// ReadRootCRL returns the root's list (DER) from the CA's folder.
func ReadRootCRL(dir string) ([]byte, error) {
	root, err := readCertificate(dir, rootAuthority.name)
	if err != nil {
		return nil, err
	}
	list, err := readCRL(dir, root)
	if err != nil {
		return nil, err
	}
	return list.Raw, nil
}
