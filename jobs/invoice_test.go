package jobs

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/yuncaidun/yuncaidun/order"
)

// platform is the invoice platform of the tests: it knows invoices by their id.
type platform struct {
	w       *world
	issued  map[string]int // how many were made, by id; red ones as id+"-red"
	calls   []string
	refuse  string // its words
	pending bool
	down    error
	lost    bool // the request is taken, its answer lost
	file    error
}

func (p *platform) key(i order.Invoice) string {
	if i.Red() {
		return i.ID + "-red"
	}
	return i.ID
}

func (p *platform) Submit(_ context.Context, i order.Invoice) error {
	p.calls = append(p.calls, "submit")
	if p.down != nil {
		return p.down
	}
	if p.refuse != "" {
		return order.Errorf(order.Invalid, "invoice_refused", "%s", p.refuse)
	}
	if p.issued[p.key(i)] == 0 { // idempotent by id
		p.issued[p.key(i)]++
	}
	if p.lost {
		p.lost = false
		return order.Errorf(order.Unavailable, "invoice_unavailable", "没有应答")
	}
	return nil
}

func (p *platform) Ask(_ context.Context, i order.Invoice) (order.InvoiceAnswer, error) {
	p.calls = append(p.calls, "ask")
	switch {
	case p.down != nil:
		return order.InvoiceAnswer{}, p.down
	case p.issued[p.key(i)] == 0:
		return order.InvoiceAnswer{Status: order.InvoiceUnknown}, nil
	case p.pending:
		return order.InvoiceAnswer{Status: order.InvoicePending}, nil
	}
	return order.InvoiceAnswer{Status: order.InvoiceDone, Number: "26530000000000000001", Amount: i.Amount, At: p.w.at, File: "https://files/" + i.ID}, nil
}

func (p *platform) File(context.Context, string) ([]byte, error) {
	p.calls = append(p.calls, "file")
	return []byte("%PDF-1.4 test"), p.file
}

// paidInvoice is an order that is done, with its payment and an invoice to be issued.
func (w *world) paidInvoice(t *testing.T) (order.Invoice, *platform) {
	t.Helper()
	p := &platform{w: w, issued: map[string]int{}}
	w.Invoices = p
	o := w.approved(t, order.State{Status: order.Completed})
	i := order.Invoice{
		ID: w.newID(), OrderID: o.ID, TradeNo: "t1", State: order.InvoiceIssuing, Rev: 1, Attempt: 1, Amount: 30000,
		Buyer: order.Buyer{Title: "云岭测试科技（昆明）有限公司", TaxNo: "91110108MA00TEN18F"}, Item: "初购", CreatedAt: w.at, UpdatedAt: w.at, NextQuery: w.at,
	}
	err := w.db.InTx(t.Context(), func(tx order.Tx) error {
		if err := tx.InsertPayment(t.Context(), order.Payment{TradeNo: "t1", OrderID: o.ID, Amount: 30000, State: order.PaymentPaid, Way: order.PayByQRCode, CreatedAt: w.at, UpdatedAt: w.at}); err != nil {
			return err
		}
		return tx.InsertInvoice(t.Context(), i)
	})
	if err != nil {
		t.Fatal(err)
	}
	return i, p
}

func (w *world) invoiceNow(t *testing.T, id string) order.Invoice {
	t.Helper()
	i, err := w.db.Invoice(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// F48: an invoice is submitted, asked about and kept, once however often the job runs.
func TestInvoiceJob(t *testing.T) {
	w := newWorld(t)
	i, p := w.paidInvoice(t)
	p.pending = true
	for range 2 {
		if err := w.invoice(t.Context(), i.ID); err != nil {
			t.Fatal(err)
		}
	}
	if now := w.invoiceNow(t, i.ID); now.State != order.InvoiceIssuing || now.SubmittedAt.IsZero() || !slices.Equal(p.calls, []string{"submit", "ask", "ask"}) {
		t.Fatalf("%s after %v", now.State, p.calls)
	}
	p.pending = false
	for range 3 {
		if err := w.invoice(t.Context(), i.ID); err != nil {
			t.Fatal(err)
		}
	}
	if now := w.invoiceNow(t, i.ID); now.State != order.InvoiceIssued || now.Number == "" {
		t.Errorf("%+v", now)
	}
	if string(w.objects[i.Object()]) != "%PDF-1.4 test" || p.issued[i.ID] != 1 || p.calls[len(p.calls)-1] != "file" {
		t.Errorf("kept %q, made %d, calls %v", w.objects[i.Object()], p.issued[i.ID], p.calls)
	}
}

// Cut short anywhere, the next run goes on and no second invoice is made.
func TestInvoiceJobCutShort(t *testing.T) {
	down := order.Errorf(order.Unavailable, "invoice_unavailable", "停机")
	for _, tc := range []struct {
		name  string
		spoil func(*platform)
		mend  func(*platform)
	}{
		{"the platform is down", func(p *platform) { p.down = down }, func(p *platform) { p.down = nil }},
		{"the answer is lost", func(p *platform) { p.lost = true }, func(*platform) {}},
		{"the file is not there yet", func(p *platform) { p.file = down }, func(p *platform) { p.file = nil }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			i, p := w.paidInvoice(t)
			tc.spoil(p)
			if err := w.invoice(t.Context(), i.ID); !errors.Is(err, order.Unavailable) {
				t.Fatalf("first run: %v", err)
			}
			if now := w.invoiceNow(t, i.ID); now.State != order.InvoiceIssuing {
				t.Fatalf("%s", now.State)
			}
			tc.mend(p)
			if err := w.invoice(t.Context(), i.ID); err != nil {
				t.Fatal(err)
			}
			if now := w.invoiceNow(t, i.ID); now.State != order.InvoiceIssued || p.issued[i.ID] != 1 {
				t.Errorf("%s, made %d", now.State, p.issued[i.ID])
			}
		})
	}
}

// The platform forgot an invoice that it took: it is submitted again.
func TestInvoiceJobForgotten(t *testing.T) {
	w := newWorld(t)
	i, p := w.paidInvoice(t)
	p.pending = true
	if err := w.invoice(t.Context(), i.ID); err != nil {
		t.Fatal(err)
	}
	delete(p.issued, i.ID)
	if err := w.invoice(t.Context(), i.ID); err != nil {
		t.Fatal(err)
	}
	if now := w.invoiceNow(t, i.ID); !now.SubmittedAt.IsZero() || now.NextQuery.IsZero() {
		t.Fatalf("%+v", now)
	}
	p.pending = false
	if err := w.invoice(t.Context(), i.ID); err != nil || w.invoiceNow(t, i.ID).State != order.InvoiceIssued {
		t.Errorf("%v", err)
	}
}

// A refusal is kept in the platform's words, for whoever puts it right.
func TestInvoiceJobRefused(t *testing.T) {
	w := newWorld(t)
	i, p := w.paidInvoice(t)
	p.refuse = "购方税号不存在"
	if err := w.invoice(t.Context(), i.ID); err != nil {
		t.Fatal(err)
	}
	if now := w.invoiceNow(t, i.ID); now.State != order.InvoiceFailed || now.Why != p.refuse {
		t.Errorf("%+v", now)
	}
	if err := w.invoice(t.Context(), i.ID); err != nil || len(p.calls) != 1 {
		t.Errorf("asked again: %v, %v", p.calls, err)
	}
}
