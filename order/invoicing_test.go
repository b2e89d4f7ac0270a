package order_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

const invoiceNo = "26530000000000000001"

// finished runs a purchase of two keys to its end.
func (h *house) finished(t *testing.T, change map[order.Field]string) (order.Order, order.Payment) {
	t.Helper()
	reviewer, shipper := h.staff(t, "李审核", "13800000011", order.Reviewer), h.staff(t, "赵发货", "13800000014", order.Shipper)
	o := h.confirm(t, h.draft(t, change))
	p := h.pays(t, o)
	if err := h.RecordRealName(t.Context(), o.ID, 1, order.RealNameMatch); err != nil {
		t.Fatal(err)
	}
	h.mustApply(t, o.ID, order.Command{On: order.Claim, By: reviewer})
	h.mustApply(t, o.ID, order.Command{On: order.Approve, By: reviewer, Snapshot: h.order(t, o.ID).Snapshot, Ticks: order.Ticks})
	items, err := h.db.Items(t.Context(), o.ID)
	if err != nil {
		t.Fatal(err)
	}
	for i, it := range items {
		h.mustApply(t, o.ID, order.Command{On: order.MakeKey, By: order.BySystem, Item: it.ID})
		h.mustApply(t, o.ID, order.Command{On: order.KeyVerified, By: order.BySystem, Item: it.ID, TokenSerial: fmt.Sprintf("TW%014d", i), CertSerial: fmt.Sprintf("%040d", i), Proven: []order.Fact{order.ReadBack}})
	}
	return h.mustApply(t, o.ID, order.Command{On: order.Ship, By: shipper, Carrier: "sf", TrackingNo: "SF1234567890123"}), p
}

func (h *house) invoice(t *testing.T, id order.ID) order.Invoice {
	t.Helper()
	i, err := h.db.InvoiceOf(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// says has the platform answer about the invoice as it is now.
func (h *house) says(t *testing.T, i order.Invoice, s order.InvoiceStatus) {
	t.Helper()
	a := order.InvoiceAnswer{Status: s, Number: invoiceNo, Amount: i.Amount, At: h.now(), Why: "税号不存在"}
	if err := h.InvoiceAnswered(t.Context(), i, a); err != nil {
		t.Fatal(err)
	}
}

func (h *house) owner(o order.Order) order.Actor {
	return order.Actor{Role: order.Applicant, PersonID: o.PersonID, Channel: order.Web}
}

func wantCode(t *testing.T, what string, err error, code string) {
	t.Helper()
	if e, ok := order.AsError(err); !ok || e.Code != code {
		t.Errorf("%s: %v, want %s", what, err, code)
	}
}

// F48, row 45: a paid order that is done has its invoice issued, made out to the
// company, over what was paid; the answer that comes twice changes nothing.
func TestInvoiceIsIssuedWhenTheOrderIsDone(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		o, p := h.finished(t, nil)
		i := h.invoice(t, o.ID)
		want := order.Buyer{Title: "云岭测试科技（昆明）有限公司", TaxNo: "91110108MA00TEN18F"} // F48, F50
		if i.State != order.InvoiceIssuing || i.Amount != 60000 || i.Buyer != want || i.TradeNo != p.TradeNo || i.OrderNo != o.No {
			t.Fatalf("%+v", i)
		}
		if err := h.InvoiceSubmitted(t.Context(), i); err != nil {
			t.Fatal(err)
		}
		h.says(t, i, order.InvoicePending)
		for range 3 {
			h.says(t, i, order.InvoiceDone)
		}
		h.says(t, i, order.InvoiceRejected) // out of order
		if got := h.invoice(t, o.ID); got.State != order.InvoiceIssued || got.Number != invoiceNo || got.IssuedAt.IsZero() || !got.NextQuery.IsZero() {
			t.Errorf("%+v", got)
		}
		events, err := h.db.Events(t.Context(), o.ID)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(events); events[n-1].Event != order.InvoiceReady || events[n-2].Event != order.Ship { // once
			t.Errorf("history ends with %s, %s", events[n-2].Event, events[n-1].Event)
		}
		if now := h.order(t, o.ID); now.State != o.State || now.Rev == o.Rev { // pages that look learn of it
			t.Errorf("order %s, rev %d after %d", now.State, now.Rev, o.Rev)
		}
	})
}

// G7: the switch was off, so there is none; the applicant may still ask, for another
// title, and sees what is wrong with it.
func TestInvoiceByHand(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		o, _ := h.finished(t, map[order.Field]string{order.InvoiceWant: order.No})
		if _, err := h.db.InvoiceOf(t.Context(), o.ID); !errors.Is(err, order.NotFound) {
			t.Fatalf("an invoice that nobody wanted: %v", err)
		}
		me := h.owner(o)
		_, err := h.RequestInvoice(t.Context(), o.ID, order.Actor{Role: order.Applicant, PersonID: "somebody"}, order.Buyer{})
		wantCode(t, "somebody else", err, "order_not_found") // F23
		_, err = h.RequestInvoice(t.Context(), o.ID, me, order.Buyer{Title: "<b>", TaxNo: "123"})
		e, ok := order.AsError(err)
		if !ok || e.Kind != order.Invalid || len(e.Fields) != 2 || e.Fields[0].Field != order.InvoiceTitle || e.Fields[1].Field != order.InvoiceTaxNo {
			t.Errorf("bad buyer: %v", err)
		}
		i, err := h.RequestInvoice(t.Context(), o.ID, me, order.Buyer{Title: "云岭集团有限公司"})
		if err != nil || i.Title != "云岭集团有限公司" || i.TaxNo != "91110108MA00TEN18F" {
			t.Fatalf("%+v, %v", i, err)
		}
		again, err := h.RequestInvoice(t.Context(), o.ID, me, order.Buyer{Title: "云岭集团有限公司"}) // the answer was lost
		if err != nil || again.ID != i.ID || again.Attempt != 1 {
			t.Errorf("the same again: %+v, %v", again, err)
		}
		_, err = h.RequestInvoice(t.Context(), o.ID, me, order.Buyer{Title: "云岭置业有限公司"})
		wantCode(t, "a second one", err, "invoice_not_ready")

		h.says(t, i, order.InvoiceRejected)
		failed := h.invoice(t, o.ID)
		if failed.State != order.InvoiceFailed || failed.Why != "税号不存在" {
			t.Errorf("%+v", failed)
		}
		again, err = h.RequestInvoice(t.Context(), o.ID, me, order.Buyer{})
		if err != nil || again.ID != i.ID || again.Attempt != 2 || again.Title != "云岭集团有限公司" || again.Why != "" {
			t.Fatalf("%+v, %v", again, err)
		}
		h.says(t, i, order.InvoiceRejected) // about the first attempt
		if got := h.invoice(t, o.ID); got.State != order.InvoiceIssuing {
			t.Errorf("an answer about an earlier attempt: %s", got.State)
		}
	})
}

// F50: nothing was paid, or nothing is left of it, so there is no invoice.
func TestNoInvoiceOfNothing(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		o, p := h.finished(t, map[order.Field]string{order.InvoiceWant: order.No})
		err := h.db.InTx(t.Context(), func(tx order.Tx) error {
			return tx.AppendLedger(t.Context(), order.LedgerEntry{TradeNo: p.TradeNo, OrderID: o.ID, Kind: "part", Amount: -30000, At: h.now()})
		})
		if err != nil {
			t.Fatal(err)
		}
		i, err := h.RequestInvoice(t.Context(), o.ID, h.owner(o), order.Buyer{}) // row 40: what was given back is not invoiced
		if err != nil || i.Amount != 30000 {
			t.Errorf("after half went back: %d, %v", i.Amount, err)
		}
		h.says(t, i, order.InvoiceRejected)
		free := h.draft(t, nil)
		_, err = h.RequestInvoice(t.Context(), free.ID, order.Actor{Role: order.Finance, StaffID: "f"}, order.Buyer{})
		wantCode(t, "an unpaid draft", err, "nothing_to_invoice")
	})
}

// Amounts are compared: another one is a refusal that finance hears of.
func TestInvoiceOverAnotherAmount(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		h.staff(t, "孙财务", "13800000015", order.Finance)
		o, _ := h.finished(t, nil)
		i := h.invoice(t, o.ID)
		err := h.InvoiceAnswered(t.Context(), i, order.InvoiceAnswer{Status: order.InvoiceDone, Number: invoiceNo, Amount: i.Amount - 1, At: h.now()})
		if err != nil {
			t.Fatal(err)
		}
		if got := h.invoice(t, o.ID); got.State != order.InvoiceFailed || got.Number != "" {
			t.Errorf("%+v", got)
		}
		ns, err := h.db.Notifications(t.Context(), o.ID)
		if err != nil || !slices.ContainsFunc(ns, func(n order.Notification) bool {
			return n.Notice == order.NoticeInvoiceFailed && n.To == order.ToFinance
		}) {
			t.Errorf("finance was not told: %v", err)
		}
	})
}

// The platform's notification is a reason to ask, once; the sweep asks without one.
func TestInvoiceIsAskedAbout(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		o, _ := h.finished(t, nil)
		i := h.invoice(t, o.ID)
		due := func() int {
			t.Helper()
			all, err := h.db.DueInvoices(t.Context(), h.now(), 10)
			if err != nil {
				t.Fatal(err)
			}
			return len(all)
		}
		if due() != 0 {
			t.Error("asked at once")
		}
		if err := h.InvoiceHeard(t.Context(), order.InvoiceNotice{ID: i.ID, Amount: i.Amount + 1}); !errors.Is(err, order.Forbidden) {
			t.Errorf("another amount: %v", err)
		}
		if err := h.InvoiceHeard(t.Context(), order.InvoiceNotice{ID: "01NOBODY"}); !errors.Is(err, order.NotFound) {
			t.Errorf("no such invoice: %v", err)
		}
		if due() != 0 {
			t.Error("a refused notification had an effect")
		}
		for range 3 {
			if err := h.InvoiceHeard(t.Context(), order.InvoiceNotice{ID: i.ID, Amount: i.Amount}); err != nil {
				t.Fatal(err)
			}
		}
		if due() != 1 {
			t.Error("not asked after a notification")
		}
		if err := h.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		asked := h.invoice(t, o.ID)
		if asked.Queries != 1 || due() != 0 {
			t.Errorf("asked %d times, %d due", asked.Queries, due())
		}
		h.advance(time.Minute) // the notification was lost
		if due() != 1 {
			t.Error("never asked again")
		}
		h.says(t, asked, order.InvoiceDone)
		if err := h.InvoiceHeard(t.Context(), order.InvoiceNotice{ID: i.ID, Amount: i.Amount}); err != nil || due() != 0 {
			t.Errorf("a late notification: %v, %d due", err, due())
		}
	})
}

// Rows 64 and 65: an issued invoice is taken back before the money moves.
func TestRedInvoiceBeforeTheRefund(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		o, p := h.finished(t, nil)
		h.says(t, h.invoice(t, o.ID), order.InvoiceDone)
		if err := h.Owe(t.Context(), o.ID, p.TradeNo); err != nil {
			t.Fatal(err)
		}
		i := h.invoice(t, o.ID)
		if i.State != order.InvoiceRedIssuing {
			t.Fatalf("invoice is %s", i.State)
		}
		if err := h.RunRefund(t.Context(), p.TradeNo); err != nil || len(h.pay.refunds) != 0 {
			t.Fatalf("money moved before the red invoice: %v, %v", h.pay.refunds, err)
		}
		h.says(t, i, order.InvoiceRejected)
		if err := h.RunRefund(t.Context(), p.TradeNo); err != nil || len(h.pay.refunds) != 0 {
			t.Fatalf("money moved though the red invoice failed: %v, %v", h.pay.refunds, err)
		}
		_, err := h.RetryInvoice(t.Context(), o.ID, h.owner(o), order.Buyer{})
		wantCode(t, "the applicant retries", err, "role_not_allowed")
		if _, err := h.RetryInvoice(t.Context(), o.ID, order.Actor{Role: order.Finance, StaffID: "f"}, order.Buyer{}); err != nil {
			t.Fatal(err)
		}
		i = h.invoice(t, o.ID)
		h.says(t, i, order.InvoiceDone)
		h.says(t, i, order.InvoiceDone)
		if got := h.invoice(t, o.ID); got.State != order.InvoiceReversed || got.Reversal != invoiceNo || got.ReversedAt.IsZero() {
			t.Errorf("%+v", got)
		}
		if err := h.RunRefund(t.Context(), p.TradeNo); err != nil {
			t.Fatal(err)
		}
		if now := h.order(t, o.ID); now.Status != order.Refunded || len(h.pay.refunds) != 1 {
			t.Errorf("order %s, refunds %v", now.State, h.pay.refunds)
		}
		_, err = h.RequestInvoice(t.Context(), o.ID, h.owner(o), order.Buyer{})
		wantCode(t, "after the refund", err, "nothing_to_invoice")
	})
}

// The refund begins while the invoice is on its way: whatever becomes of it, no money
// moves while one might stand.
func TestRefundWhileTheInvoiceIsOnItsWay(t *testing.T) {
	for _, becomes := range []order.InvoiceStatus{order.InvoiceDone, order.InvoiceRejected} {
		t.Run(string(becomes), func(t *testing.T) {
			eachDB(t, func(t *testing.T, h *house) {
				o, p := h.finished(t, nil)
				if err := h.Owe(t.Context(), o.ID, p.TradeNo); err != nil {
					t.Fatal(err)
				}
				if err := h.RunRefund(t.Context(), p.TradeNo); err != nil || len(h.pay.refunds) != 0 {
					t.Fatalf("money moved: %v, %v", h.pay.refunds, err)
				}
				h.says(t, h.invoice(t, o.ID), becomes)
				i := h.invoice(t, o.ID)
				if becomes == order.InvoiceDone {
					if i.State != order.InvoiceRedIssuing || i.Number != invoiceNo {
						t.Fatalf("%+v", i)
					}
					h.says(t, i, order.InvoiceDone)
				}
				if err := h.RunRefund(t.Context(), p.TradeNo); err != nil || len(h.pay.refunds) != 1 {
					t.Errorf("refunds %v, %v", h.pay.refunds, err)
				}
			})
		})
	}
}

// rules.md §3.6: another title takes the invoice back and issues a new one, once.
func TestInvoiceToAnotherTitle(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		o, _ := h.finished(t, nil)
		first := h.invoice(t, o.ID)
		h.says(t, first, order.InvoiceDone)
		other := order.Buyer{Title: "云岭集团有限公司", TaxNo: "91350100M000100Y43"}
		for _, same := range []order.Buyer{{}, first.Buyer} { // would use up the one correction
			_, err := h.CorrectInvoice(t.Context(), o.ID, h.owner(o), same)
			if e, ok := order.AsError(err); !ok || len(e.Fields) != 1 || e.Fields[0].Field != order.InvoiceTitle || h.invoice(t, o.ID).State != order.InvoiceIssued {
				t.Fatalf("the same title: %v", err)
			}
		}
		asked := func() (rev int64) {
			t.Helper()
			if _, err := h.CorrectInvoice(t.Context(), o.ID, h.owner(o), other); err != nil {
				t.Fatal(err)
			}
			return h.invoice(t, o.ID).Rev
		}
		if rev := asked(); asked() != rev { // the answer was lost
			t.Error("it is taken back twice")
		}
		h.says(t, h.invoice(t, o.ID), order.InvoiceDone)
		second := h.invoice(t, o.ID)
		if second.ID == first.ID || second.State != order.InvoiceIssuing || second.Buyer != other || second.Amount != first.Amount || second.Corrects != first.ID {
			t.Fatalf("%+v", second)
		}
		h.says(t, second, order.InvoiceDone)
		if asked(); h.invoice(t, o.ID).ID != second.ID {
			t.Error("asked late, it is issued a third time")
		}
		_, err := h.CorrectInvoice(t.Context(), o.ID, h.owner(o), order.Buyer{Title: "云岭置业有限公司", TaxNo: other.TaxNo})
		wantCode(t, "a third title", err, "invoice_corrected_once")
		page, err := h.db.Invoices(t.Context(), order.InvoiceFilter{PersonID: o.PersonID})
		if err != nil || len(page.Invoices) != 2 || page.Invoices[1].State != order.InvoiceReversed {
			t.Errorf("%d invoices, %v", len(page.Invoices), err)
		}
	})
}

// All who ask at once get one and the same invoice.
func TestOneInvoiceOfAnOrder(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		o, _ := h.finished(t, map[order.Field]string{order.InvoiceWant: order.No})
		var wg sync.WaitGroup
		var mu sync.Mutex
		got := map[string]bool{}
		for range 16 {
			wg.Go(func() {
				i, err := h.RequestInvoice(context.Background(), o.ID, h.owner(o), order.Buyer{})
				if err != nil && !errors.Is(err, order.Conflict) {
					t.Errorf("asking: %v", err)
				}
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					got[i.ID] = true
				}
			})
		}
		wg.Wait()
		page, err := h.db.Invoices(t.Context(), order.InvoiceFilter{Orders: []order.ID{o.ID}})
		if err != nil || len(got) != 1 || len(page.Invoices) != 1 {
			t.Errorf("told of %v, %d invoices, %v", got, len(page.Invoices), err)
		}
	})
}

// A parcel that comes back while a title is changed holds the new invoice not up.
func TestInvoiceToAnotherTitleOfAReturnedParcel(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		o, _ := h.finished(t, nil)
		h.says(t, h.invoice(t, o.ID), order.InvoiceDone)
		if _, err := h.CorrectInvoice(t.Context(), o.ID, h.owner(o), order.Buyer{Title: "云岭集团有限公司", TaxNo: "91350100M000100Y43"}); err != nil {
			t.Fatal(err)
		}
		h.mustApply(t, o.ID, order.Command{On: order.ParcelReturned, By: byShipper, Keys: o.Quantity()})
		h.says(t, h.invoice(t, o.ID), order.InvoiceDone)
		if i := h.invoice(t, o.ID); i.State != order.InvoiceIssuing || i.Title != "云岭集团有限公司" {
			t.Errorf("%s to %q", i.State, i.Title)
		}
	})
}
