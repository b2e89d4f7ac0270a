package certificate_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store"
)

// ticket issues a ticket to unlock certificate A.
func (f *office) ticket(t *testing.T) (certificate.Ticket, string) {
	t.Helper()
	var out certificate.Ticket
	var secret string
	must(t, f.db.InTx(t.Context(), func(tx order.Tx) (err error) {
		out, secret, err = f.IssueTicket(t.Context(), tx.(*store.Tx), certificate.Ticket{Purpose: certificate.ForUnlock, CertSerial: serialA, TokenSerial: "TW00000000000001", PersonID: f.person})
		return err
	}))
	return out, secret
}

// A ticket works for the helper that showed it first, until what it was for has
// happened, and for nobody else.
func TestTicket(t *testing.T) {
	eachDB(t, func(t *testing.T, f *office) {
		ctx, key := t.Context(), []byte("public key of the helper")
		tk, secret := f.ticket(t)
		// Behind --ticket a secret that begins with a dash would be another option.
		if strings.ContainsFunc(secret, func(r rune) bool { return !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", r) }) || len(secret) < 26 {
			t.Errorf("the secret %q has other characters than letters and digits, or fewer than 128 bits", secret)
		}
		if stored, err := f.TicketByID(ctx, tk.ID); err != nil || stored.SecretHash == secret || len(stored.Challenge) != 32 || stored.State != certificate.TicketIssued {
			t.Fatalf("issued %+v, %v", stored, err)
		}
		if _, err := f.Ticket(ctx, secret, certificate.ForUnlock); !errors.Is(err, order.NotFound) {
			t.Errorf("asked before it was opened: %v", err)
		}
		for range 2 { // the first answer may be lost
			opened, err := f.OpenTicket(ctx, secret, key)
			if err != nil || opened.TokenSerial != tk.TokenSerial {
				t.Fatalf("%+v, %v", opened, err)
			}
		}
		if _, err := f.OpenTicket(ctx, secret, []byte("another helper")); !errors.Is(err, order.NotFound) {
			t.Errorf("opened by somebody else: %v", err)
		}
		if _, err := f.OpenTicket(ctx, "guessed", key); !errors.Is(err, order.NotFound) {
			t.Errorf("guessed: %v", err)
		}
		if _, err := f.Ticket(ctx, secret, certificate.ForRenew); !errors.Is(err, order.NotFound) {
			t.Errorf("used for something else: %v", err)
		}
		must(t, f.TellStep(ctx, secret, certificate.StepWrite))
		if err := f.TellStep(ctx, secret, "made up"); !errors.Is(err, order.Invalid) {
			t.Errorf("a step that does not exist: %v", err)
		}
		open, err := f.Ticket(ctx, secret, certificate.ForUnlock)
		if err != nil || open.Step != certificate.StepWrite {
			t.Fatalf("%+v, %v", open, err)
		}
		errs := make([]error, 8) // of many reports one gets through
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() {
				errs[i] = f.db.InTx(ctx, func(tx order.Tx) error { return f.FinishTicketIn(ctx, tx.(*store.Tx), open) })
			})
		}
		wg.Wait()
		if n := len(slices.DeleteFunc(errs, func(err error) bool { return err != nil })); n != 1 {
			t.Errorf("%d reports got through, want 1", n)
		}
		if _, err := f.OpenTicket(ctx, secret, key); !errors.Is(err, order.NotFound) {
			t.Errorf("used twice: %v", err)
		}
	})
}

// Tickets end: by time, by a newer one, by failure.
func TestTicketsEnd(t *testing.T) {
	eachDB(t, func(t *testing.T, f *office) {
		ctx := t.Context()
		first, old := f.ticket(t)
		_, newer := f.ticket(t)
		if _, err := f.OpenTicket(ctx, old, []byte("k")); !errors.Is(err, order.NotFound) {
			t.Errorf("the earlier ticket: %v", err)
		}
		if stored, err := f.TicketByID(ctx, first.ID); err != nil || stored.State != certificate.TicketReplaced {
			t.Errorf("the earlier ticket is %s, %v", stored.State, err)
		}
		later := certificate.NewService(store.Certificates{DB: f.db}, func() time.Time { return now.Add(10 * time.Minute) }, f.newID)
		if _, err := later.OpenTicket(ctx, newer, []byte("k")); !errors.Is(err, order.NotFound) {
			t.Errorf("opened after ten minutes: %v", err)
		}
		opened, err := f.OpenTicket(ctx, newer, []byte("k"))
		must(t, err)
		if _, err := later.Ticket(ctx, newer, certificate.ForUnlock); err != nil {
			t.Errorf("a helper that works has longer: %v", err)
		}
		must(t, f.db.InTx(ctx, func(tx order.Tx) error {
			_, err := f.FailTicketIn(ctx, tx.(*store.Tx), newer, "token_missing")
			return err
		}))
		if stored, err := f.TicketByID(ctx, opened.ID); err != nil || stored.State != certificate.TicketFailed || stored.Failure != "token_missing" {
			t.Errorf("%+v, %v", stored, err)
		}
		if err := f.TellStep(ctx, newer, certificate.StepProof); !errors.Is(err, order.NotFound) {
			t.Errorf("a step of a failed ticket: %v", err)
		}
	})
}
