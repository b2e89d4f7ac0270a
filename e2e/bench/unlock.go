package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/issuance"
	"github.com/yuncaidun/yuncaidun/issuance/token"
	"github.com/yuncaidun/yuncaidun/order"
	desk "github.com/yuncaidun/yuncaidun/request"
	"github.com/yuncaidun/yuncaidun/store"
)

// The PINs that the rows set in turn.
var benchPINs = []token.PIN{"73916428", "51827364"}

func noSteps(token.UnlockStep) error { return nil }

// unlockRows are an unlock in the key helper, and one from the ticket to the
// completed order over HTTP.
func (w *world) unlockRows(ctx context.Context, a *authority) ([]row, error) {
	helper, err := a.helperRow(ctx)
	if err != nil {
		return nil, err
	}
	whole, err := w.roundTripRow(ctx, a)
	return []row{helper, whole}, err
}

// helperRow is what the helper does to a USBKEY: SO login, C_InitPIN, rotation of
// the SO PIN, user login, signature.
func (a *authority) helperRow(ctx context.Context) (row, error) {
	const serial = "TW00000000900001"
	current := token.SOCandidate{PIN: token.NewSOPIN()}
	if err := a.hsm.Ensure(ctx, serial, current.PIN, benchPINs[0]); err != nil {
		return row{}, err
	}
	var der []byte
	err := a.hsm.Exclusive(ctx, serial, func(t *token.Token) error {
		if err := t.Login(benchPINs[0]); err != nil {
			return err
		}
		key, err := t.EnsureKey([]byte("id"), token.P256)
		if err != nil {
			return err
		}
		template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: serial}, NotAfter: now().AddDate(1, 0, 0)}
		if der, err = x509.CreateCertificate(rand.Reader, template, template, key.Public(), key); err != nil {
			return err
		}
		return t.PutCertificate([]byte("id"), der)
	})
	return row{
		name: unlockHelper, workers: 1,
		do: func(_, n int) error {
			next := token.SOCandidate{Generation: current.Generation + 1, PIN: token.NewSOPIN()}
			digest := sha256.Sum256([]byte(fmt.Sprint(n)))
			err := a.hsm.Exclusive(ctx, serial, func(t *token.Token) error {
				_, err := t.Unlock(token.UnlockSecret{Candidates: []token.SOCandidate{current}, Next: next}, benchPINs[n%2], der, digest[:], noSteps)
				return err
			})
			current = next
			return err
		},
	}, err
}

// roundTripRow is a self-service unlock as the key helper sees it: ticket shown,
// secret sealed by the issuer, USBKEY changed, proof reported, order completed.
func (w *world) roundTripRow(ctx context.Context, a *authority) (row, error) {
	is, err := w.usbkey(ctx, a)
	if err != nil {
		return row{}, err
	}
	// Every unlock is a month after the one before: three in thirty days are allowed.
	var months atomic.Int64
	clock := func() time.Time { return now().AddDate(0, 0, int(31*months.Load())) }
	certificates := certificate.NewService(store.Certificates{DB: w.db}, clock, newID, nil)
	requests := store.Requests{DB: w.db}
	office := desk.NewOffice(requests, clock, map[desk.Kind]desk.Executor{
		desk.UnlockSecret: func(ctx context.Context, r desk.Request) ([]byte, error) {
			var in desk.SecretBody
			if err := json.Unmarshal(r.Body, &in); err != nil {
				return nil, err
			}
			return a.pipeline.UnlockSecret(ctx, r.Subject, in.Ticket, in.PublicKey)
		},
	})
	catalogue, err := order.ReadCatalogue(bytes.NewReader(order.SeededCatalogue()))
	if err != nil {
		return row{}, err
	}
	u := certificate.NewUnlocks(certificate.UnlockDeps{
		Certificates: certificates, Issuer: desk.NewDesk(requests, clock, time.After, office),
		Orders: order.NewService(order.Deps{Store: w.db, Certificates: certificates, Catalogue: func() order.Catalogue { return catalogue }, Now: clock, NewID: newID}),
		DER:    func(context.Context, string) ([]byte, error) { return is.Certificate, nil },
		Verify: issuance.VerifyChallenge,
	})
	w.web.Unlocks = u
	addr, err := w.listen(ctx, w.web.App)
	if err != nil {
		return row{}, err
	}
	return row{
		name: unlockRound, workers: 1,
		do: func(_, n int) error {
			months.Add(1)
			s, err := u.Lookup(ctx, is.TokenSerial)
			if err != nil {
				return err
			}
			t, secret, err := u.BeginSelf(ctx, s, order.Actor{Role: order.Applicant, Channel: order.Web})
			if err != nil {
				return err
			}
			if err := helperUnlocks(ctx, a, is, "http://"+addr+"/helper/v1/", t, secret, benchPINs[n%2]); err != nil {
				return err
			}
			return a.pipeline.ConfirmUnlock(ctx, is.TokenSerial, t.ID) // the job of the report
		},
	}, nil
}

// usbkey makes one by the pipeline, with the order that it was bought with.
func (w *world) usbkey(ctx context.Context, a *authority) (issuance.Issue, error) {
	id := newID()
	hash := sha256.Sum256([]byte(id))
	r := issuance.Request{
		ID: id + "-1", Item: id, SnapshotHash: hash[:], Profile: issuance.CompanyP256, Subject: issuance.Subject{Company: company, USCC: uscc}, Years: 1,
	}
	if _, err := a.pipeline.Open(ctx, r); err != nil {
		return issuance.Issue{}, err
	}
	is, err := a.pipeline.Run(ctx, r.ID)
	if err != nil {
		return is, err
	}
	catalogue, err := order.ReadCatalogue(bytes.NewReader(order.SeededCatalogue()))
	if err != nil {
		return is, err
	}
	p, err := catalogue.Product("yd-initial")
	if err != nil {
		return is, err
	}
	return is, w.db.InTx(ctx, func(tx order.Tx) error {
		o := order.Order{ID: order.ID(newID()), Business: order.Initial, State: order.State{Status: order.Completed}, PersonID: w.applicants[0].person, Product: p, Rev: 1, Seq: 1, CreatedAt: now(), UpdatedAt: now()}
		if err := tx.InsertOrder(ctx, o); err != nil {
			return err
		}
		return tx.ReplaceItems(ctx, o.ID, []order.Item{{ID: id, OrderID: o.ID, N: 1, Stage: order.ItemVerified, TokenSerial: is.TokenSerial, CertSerial: is.Serial, UpdatedAt: now()}})
	})
}

// helperUnlocks does what the key helper does with a ticket.
func helperUnlocks(ctx context.Context, a *authority, is issuance.Issue, base string, t certificate.Ticket, secret string, pin token.PIN) error {
	e, err := token.NewEphemeral()
	if err != nil {
		return err
	}
	var opened struct{ Challenge []byte }
	if err := helperCall(ctx, base+"open", secret, map[string]any{"public_key": e.Public()}, &opened); err != nil {
		return err
	}
	var answer struct{ Sealed []byte }
	if err := helperCall(ctx, base+"unlock/secret", secret, map[string]any{}, &answer); err != nil {
		return err
	}
	u, err := e.OpenUnlock(t.ID, is.TokenSerial, answer.Sealed)
	if err != nil {
		return err
	}
	var signature []byte
	err = a.hsm.Exclusive(ctx, is.TokenSerial, func(tk *token.Token) (err error) {
		signature, err = tk.Unlock(u, pin, is.Certificate, token.ChallengeDigest(is.TokenSerial, opened.Challenge), noSteps)
		return err
	})
	if err != nil {
		return err
	}
	return helperCall(ctx, base+"unlock/report", secret, map[string]any{"signature": signature}, nil)
}

func helperCall(ctx context.Context, address, secret string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Ticket "+secret)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(address + ": " + resp.Status)
	}
	if out == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(out)
}
