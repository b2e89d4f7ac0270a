package main

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/yuncaidun/yuncaidun/evidence"
)

type evidenceVerifyCmd struct {
	File string `arg:"" help:"Evidence pack (zip) as staff download it."`
	Root string `help:"Certificate of the CA's root in PEM; default: ca/root.pem in the data directory." type:"path" placeholder:"FILE"`
}

// Run says item by item what a pack proves. It needs no network, no database and
// no key: only the pack and the root certificate.
func (e evidenceVerifyCmd) Run(c *cli) error {
	pack, err := os.ReadFile(e.File)
	if err != nil {
		return usageError{err}
	}
	root, err := e.root(c)
	if err != nil {
		return usageError{err}
	}
	r := evidence.Verify(pack, root)
	for _, item := range r.Proved {
		fmt.Printf("proved  %-22s  %s\n", item.Name, item.Detail)
	}
	if r.Broken != nil {
		return fmt.Errorf("broken: %s: %s", r.Broken.Name, r.Broken.Detail)
	}
	fmt.Printf("all %d items hold: authorisation %s of order %s\n", len(r.Proved), r.Facts.Receipt, r.Facts.Order)
	return nil
}

func (e evidenceVerifyCmd) root(c *cli) (*x509.Certificate, error) {
	file := e.Root
	if file == "" {
		cfg, err := c.load(nil)
		if err != nil {
			return nil, err
		}
		file = filepath.Join(caDir(cfg), "root.pem")
	}
	text, err := os.ReadFile(file) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("the CA's root certificate cannot be read, name it with --root: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New(file + " is not a certificate in PEM")
	}
	return x509.ParseCertificate(block.Bytes)
}
