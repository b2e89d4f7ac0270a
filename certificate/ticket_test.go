package certificate_test

import (
	"context"
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
		later := certificate.NewService(store.Certificates{DB: f.db}, func() time.Time { return now.Add(10 * time.Minute) }, f.newID, nil)
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

// overtaken is a store in which who reads a ticket is overtaken before he writes.
type overtaken struct {
	certificate.Store
	was certificate.Ticket
}

func (o overtaken) Change(ctx context.Context, fn func(certificate.Tx) error) error {
	return o.Store.Change(ctx, func(tx certificate.Tx) error { return fn(overtakenTx{tx, o.was}) })
}

func (o overtaken) TicketBySecret(context.Context, string) (certificate.Ticket, error) {
	return o.was, nil
}

type overtakenTx struct {
	certificate.Tx
	was certificate.Ticket
}

func (o overtakenTx) TicketBySecret(context.Context, string) (certificate.Ticket, error) {
	return o.was, nil
}

// Of two helpers that show one ticket at once, one has it, and who gives it up meanwhile
// does not end it. This is the twin of what is tried with goroutines.
func TestTicketOvertaken(t *testing.T) {
	eachDB(t, func(t *testing.T, f *office) {
		ctx := t.Context()
		issued, secret := f.ticket(t)
		late := certificate.NewService(overtaken{store.Certificates{DB: f.db}, issued}, func() time.Time { return now }, f.newID, nil)
		_, err := f.OpenTicket(ctx, secret, []byte("the helper"))
		must(t, err)
		if _, err := late.OpenTicket(ctx, secret, []byte("another helper")); !errors.Is(err, order.ErrRaced) {
			t.Errorf("opened by another: %v", err)
		}
		if err := certificate.NewRuns(certificate.RunDeps{Certificates: late}).Fail(ctx, secret, "cancelled", ""); !errors.Is(err, order.ErrRaced) {
			t.Errorf("given up by another: %v", err)
		}
		if stored, err := f.TicketByID(ctx, issued.ID); err != nil || stored.State != certificate.TicketOpen || string(stored.PublicKey) != "the helper" {
			t.Errorf("%+v, %v", stored, err)
		}
	})
}

// quicker are orders that somebody else moves first.
type quicker struct{}

func (quicker) ApplyIn(context.Context, order.Tx, order.ID, order.Command) (order.Order, error) {
	return order.Order{}, order.Errorf(order.Conflict, "order_changed", "订单状态已变更，请刷新后重试").Raced()
}

func (quicker) Catalogue() order.Catalogue { return order.Catalogue{} }

// A helper that gives up while its order is being moved says so again: neither the ticket
// nor the order is left half-way.
func TestFailOvertaken(t *testing.T) {
	eachDB(t, func(t *testing.T, f *office) {
		ctx := t.Context()
		runs := certificate.NewRuns(certificate.RunDeps{Certificates: f.Service, Orders: quicker{}})
		unlocks := certificate.NewUnlocks(certificate.UnlockDeps{Certificates: f.Service, Orders: quicker{}})
		for name, fail := range map[string]func(ctx context.Context, secret, code, ip string) error{"run": runs.Fail, "unlock": unlocks.Fail} {
			var issued certificate.Ticket
			var secret string
			must(t, f.db.InTx(ctx, func(tx order.Tx) (err error) {
				issued, secret, err = f.IssueTicket(ctx, tx.(*store.Tx), certificate.Ticket{Purpose: certificate.ForUnlock, CertSerial: serialA, TokenSerial: "TW00000000000001", OrderID: orderID, PersonID: f.person})
				return err
			}))
			if err := fail(ctx, secret, "cancelled", ""); !errors.Is(err, order.ErrRaced) {
				t.Errorf("%s: %v", name, err)
			}
			if stored, err := f.TicketByID(ctx, issued.ID); err != nil || stored.State != certificate.TicketIssued {
				t.Errorf("%s: the ticket is %s, %v", name, stored.State, err)
			}
		}
	})
}
