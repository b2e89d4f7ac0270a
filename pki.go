package main

import (
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/handlers"
	"github.com/yuncaidun/yuncaidun/issuance"
	"github.com/yuncaidun/yuncaidun/store"
)

// openPKI publishes below /pki/ what the certificates' addresses point to: CA
// certificates, revocation lists (RFC 5280 §4.2.2.1 and §4.2.1.13: DER) and
// OCSP. None of it is secret; a process without the CA's folder publishes nothing.
func (a *app) openPKI() error {
	files, err := filepath.Glob(filepath.Join(caDir(a.cfg), "*.pem"))
	if err != nil {
		return err
	}
	published := map[string][]byte{}
	for _, f := range files {
		text, err := os.ReadFile(f) //nolint:gosec // a file of our own data directory
		if err != nil {
			return err
		}
		block, _ := pem.Decode(text)
		if block == nil || block.Type != "CERTIFICATE" {
			return errors.New(f + " is not a certificate")
		}
		published[strings.TrimSuffix(filepath.Base(f), ".pem")+".crt"] = block.Bytes
	}
	ledger := store.NewLedger(a.db)
	a.web.Mount(fiber.MethodGet, "/pki/:file", handlers.Plain, func(c *fiber.Ctx) error {
		file := c.Params("file")
		if name, ok := strings.CutSuffix(file, ".crl"); ok {
			return a.sendCRL(c, ledger, name)
		}
		der, ok := published[file]
		if !ok {
			return fiber.ErrNotFound
		}
		c.Set(fiber.HeaderContentType, "application/pkix-cert")
		c.Set(fiber.HeaderCacheControl, "public, max-age=86400")
		return c.Send(der)
	})
	if len(published) == 0 {
		return nil
	}
	chain, err := issuance.ReadChain(caDir(a.cfg))
	if err != nil {
		return err
	}
	ocsp := answerOCSP(issuance.NewResponder(chain, a.ca, a.statuses, a.clock.Now), a.log)
	a.web.Mount(fiber.MethodPost, "/pki/ocsp", handlers.Plain, ocsp)
	a.web.Mount(fiber.MethodGet, "/pki/ocsp/*", handlers.Plain, ocsp)
	return nil
}

// fresh is how long proxies may keep a list or a response: a revocation is seen
// by everybody within a minute.
const fresh = "public, max-age=30"

// sendCRL sends the newest list of an issuing CA, or the root's, which was signed
// offline.
func (a *app) sendCRL(c *fiber.Ctx, ledger *store.Ledger, name string) error {
	var der []byte
	if issuer, ok := issuance.IssuerNamed(name); ok {
		list, err := ledger.CRL(c.UserContext(), issuer)
		if err != nil {
			return err
		}
		der = list.DER
	} else if name == "root" {
		list, err := issuance.ReadRootCRL(caDir(a.cfg))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		der = list
	}
	if der == nil {
		return fiber.ErrNotFound
	}
	c.Set(fiber.HeaderContentType, "application/pkix-crl")
	c.Set(fiber.HeaderCacheControl, fresh)
	return c.Send(der)
}

// answerOCSP speaks OCSP over HTTP (RFC 6960 appendix A): DER in the body, or in
// base64 in the path, where some clients escape it and some do not.
func answerOCSP(r *issuance.Responder, log *slog.Logger) fiber.Handler {
	return func(c *fiber.Ctx) error {
		request := c.Body()
		if c.Method() == fiber.MethodGet {
			_, path, _ := strings.Cut(c.OriginalURL(), "/pki/ocsp/")
			text, err := url.PathUnescape(path)
			if err == nil {
				request, err = base64.StdEncoding.DecodeString(text)
			}
			if err != nil {
				request = nil // the responder calls it malformed
			}
		}
		der, once, err := r.Answer(c.UserContext(), request)
		if err != nil {
			log.Error("answering OCSP", "err", err)
		}
		c.Set(fiber.HeaderContentType, "application/ocsp-response")
		c.Set(fiber.HeaderCacheControl, fresh)
		if once || c.Method() == fiber.MethodPost {
			c.Set(fiber.HeaderCacheControl, "no-store")
		}
		return c.Send(der)
	}
}
