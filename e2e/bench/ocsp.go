package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"fmt"

	"github.com/gofiber/fiber/v2"
	"golang.org/x/crypto/ocsp"

	"github.com/yuncaidun/yuncaidun/issuance"
	"github.com/yuncaidun/yuncaidun/store"
)

const (
	// signers is how many answers are asked for at once: as many as the responder
	// lets sign, half of the token's sessions.
	signers = 8
	// asked is how many certificates are asked about.
	asked = 200
)

// ocspRows issue some certificates and ask about them: with an answer that was
// signed ahead, over HTTP, and with one that has to be signed.
func (w *world) ocspRows(ctx context.Context, a *authority) (kept, signed row, err error) {
	ledger := issuance.Remember(store.NewLedger(w.db), now)
	ready := issueRow(ctx, "certificates to ask about", a.pipeline, writers, asked)
	if _, err := ready.prepare(); err != nil {
		return row{}, row{}, err
	}
	for n := range asked {
		if err := ready.do(0, n); err != nil {
			return row{}, row{}, err
		}
	}
	publisher := issuance.NewPublisher(a.ca, ledger)
	for range asked/100 + 1 { // it signs a hundred at a time
		if err := publisher.Refresh(ctx); err != nil {
			return row{}, row{}, err
		}
	}
	var ahead, fresh [][]byte
	err = w.db.EachCertificate(ctx, func(is issuance.Issue) error {
		cert, err := x509.ParseCertificate(is.Certificate)
		if err != nil {
			return err
		}
		for hash, list := range map[crypto.Hash]*[][]byte{crypto.SHA1: &ahead, crypto.SHA256: &fresh} { // signed ahead is what names by SHA-1 (RFC 5019)
			der, err := ocsp.CreateRequest(cert, a.issuer, &ocsp.RequestOptions{Hash: hash})
			if err != nil {
				return err
			}
			*list = append(*list, der)
		}
		return nil
	})
	if err != nil {
		return row{}, row{}, err
	}
	r := issuance.NewResponder(a.ca.Chain, a.ca, ledger, now)
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Post("/pki/ocsp", func(c *fiber.Ctx) error {
		der, _, err := r.Answer(c.UserContext(), c.Body())
		if err != nil {
			return err
		}
		return c.Send(der)
	})
	addr, err := w.listen(ctx, app)
	if err != nil {
		return row{}, row{}, err
	}
	good := func(der []byte) error {
		resp, err := ocsp.ParseResponse(der, a.issuer)
		if err == nil && resp.Status != ocsp.Good {
			err = fmt.Errorf("OCSP status %d", resp.Status)
		}
		return err
	}
	kept = httpRow(ocspKept, addr, false, func() ([]request, error) {
		out := make([]request, len(ahead))
		for i, der := range ahead {
			out[i] = request{path: []byte("/pki/ocsp"), body: der}
		}
		return out, nil
	}, good)
	signed = row{name: ocspSigned, workers: signers, do: func(_, n int) error {
		der, once, err := r.Answer(ctx, fresh[n%len(fresh)])
		if err == nil && !once {
			err = fmt.Errorf("%s: it was signed ahead", ocspSigned)
		}
		if err != nil || n > 0 {
			return err
		}
		return good(bytes.Clone(der))
	}}
	return kept, signed, nil
}
