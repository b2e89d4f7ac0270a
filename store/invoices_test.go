package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

func testInvoice(id string, of order.ID) order.Invoice {
	at := t0.Truncate(time.Millisecond).UTC()
	return order.Invoice{
		ID: id, OrderID: of, OrderNo: full("o2").No, TradeNo: "t1", State: order.InvoiceIssuing, Rev: 1, Attempt: 1, Amount: 60000,
		Buyer: order.Buyer{Title: "新疆运达有限公司", TaxNo: "91110108MA00TEN18F"}, Item: "运达能源-初购", CreatedAt: at, UpdatedAt: at, NextQuery: at.Add(time.Second),
	}
}

func TestInvoices(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		insertPerson(t, db, "person1", mobile)
		insertOrders(t, db, full("o2"))
		was := testInvoice("i1", "o2")
		inTx(t, db, func(tx order.Tx) error { return tx.InsertInvoice(t.Context(), was) })
		got, err := db.Invoice(t.Context(), "i1")
		if err != nil {
			t.Fatal(err)
		}
		wantSame(t, "invoice", was, got)

		err = db.InTx(t.Context(), func(tx order.Tx) error { return tx.InsertInvoice(t.Context(), testInvoice("i2", "o2")) })
		wantKind(t, "a second valid one", err, order.Conflict)

		now := was
		at := was.CreatedAt.Add(time.Hour)
		now.State, now.Rev, now.Attempt, now.Queries, now.Number, now.Reversal, now.Why = order.InvoiceReversed, 2, 3, 4, "26530000000000000001", "26530000000000000002", "w"
		now.Buyer, now.Next = order.Buyer{Title: "甲", TaxNo: "1"}, order.Buyer{Title: "乙", TaxNo: "2"}
		now.UpdatedAt, now.SubmittedAt, now.IssuedAt, now.ReversedAt, now.NextQuery = at, at, at, at, time.Time{}
		for name, other := range map[string]order.Invoice{"state": {ID: "i1", State: order.InvoiceIssued, Rev: 1}, "rev": {ID: "i1", State: order.InvoiceIssuing, Rev: 7}} {
			err = db.InTx(t.Context(), func(tx order.Tx) error { return tx.UpdateInvoice(t.Context(), now, other) })
			wantKind(t, "UpdateInvoice from another "+name, err, order.Conflict)
		}
		inTx(t, db, func(tx order.Tx) error { return tx.UpdateInvoice(t.Context(), now, was) })
		if got, err = db.InvoiceOf(t.Context(), "o2"); err != nil {
			t.Fatal(err)
		}
		wantSame(t, "reversed invoice", now, got)

		// A reversed one makes room, and is behind the one that counts.
		anew := testInvoice("i0", "o2")
		anew.CreatedAt, anew.Corrects = was.CreatedAt.Add(-time.Hour), "i1"
		inTx(t, db, func(tx order.Tx) error { return tx.InsertInvoice(t.Context(), anew) })
		inTx(t, db, func(tx order.Tx) error {
			got, err = tx.InvoiceOf(t.Context(), "o2")
			return err
		})
		wantSame(t, "the one that counts", anew, got)
		_, err = db.Invoice(t.Context(), "nope")
		wantKind(t, "Invoice(nope)", err, order.NotFound)
	})
}

// Lists go by keyset: no invoice twice, none left out, nobody else's.
func TestInvoiceLists(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		insertPerson(t, db, "person1", mobile)
		at := t0.Truncate(time.Millisecond).UTC()
		for n := range 5 {
			o := full(order.ID(fmt.Sprintf("p%d", n)))
			o.No = fmt.Sprintf("SAAS12026030217300000000%d", n)
			if n == 4 {
				o.PersonID, o.DraftToken = "", "token"
			}
			i := testInvoice(fmt.Sprintf("i%d", n), o.ID)
			i.CreatedAt, i.NextQuery = at.Add(time.Duration(n/2)*time.Minute), at.Add(time.Duration(n)*time.Minute)
			if n == 1 {
				i.State, i.NextQuery = order.InvoiceFailed, time.Time{}
			}
			insertOrders(t, db, o)
			inTx(t, db, func(tx order.Tx) error { return tx.InsertInvoice(t.Context(), i) })
		}
		var seen []string
		f := order.InvoiceFilter{PersonID: "person1", Limit: 3}
		for {
			page, err := db.Invoices(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range page.Invoices {
				seen = append(seen, i.ID)
			}
			if page.Next == (order.Cursor{}) {
				break
			}
			f.After = page.Next
		}
		if got := fmt.Sprint(seen); got != "[i3 i2 i1 i0]" {
			t.Errorf("pages %s", got)
		}
		for _, tc := range []struct {
			f    order.InvoiceFilter
			want int
		}{
			{order.InvoiceFilter{}, 5},
			{order.InvoiceFilter{States: order.BrokenInvoices()}, 1},
			{order.InvoiceFilter{Orders: []order.ID{"p0", "p4", "nope"}}, 2},
			{order.InvoiceFilter{PersonID: "nobody"}, 0},
		} {
			if page, err := db.Invoices(t.Context(), tc.f); err != nil || len(page.Invoices) != tc.want {
				t.Errorf("%+v: %d, %v", tc.f, len(page.Invoices), err)
			}
		}
		for minutes, want := range map[int]int{-1: 0, 0: 1, 2: 2, 10: 3} {
			if due, err := db.DueInvoices(t.Context(), at.Add(time.Duration(minutes)*time.Minute), 3); err != nil || len(due) != want {
				t.Errorf("due after %d minutes: %d, %v", minutes, len(due), err)
			}
		}
	})
}

func TestBooked(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		insertOrders(t, db, draft("o1"))
		inTx(t, db, func(tx order.Tx) error {
			for _, no := range []string{"t1", "t2"} {
				if err := tx.InsertPayment(t.Context(), order.Payment{TradeNo: no, OrderID: "o1", Amount: 60000, State: order.PaymentPaid, Way: order.PayByQRCode, CreatedAt: t0, UpdatedAt: t0}); err != nil {
					return err
				}
			}
			for _, e := range []order.LedgerEntry{{TradeNo: "t1", Kind: "paid", Amount: 60000}, {TradeNo: "t1", Kind: "part", Amount: -20000}, {TradeNo: "t2", Kind: "paid", Amount: 1}} {
				e.OrderID, e.At = "o1", t0
				if err := tx.AppendLedger(t.Context(), e); err != nil {
					return err
				}
			}
			n, err := tx.Booked(t.Context(), "t1")
			if n != 40000 {
				t.Errorf("booked %d within the transaction", n)
			}
			return err
		})
		if n, err := db.Booked(t.Context(), "none"); n != 0 || err != nil {
			t.Errorf("of no trade: %d, %v", n, err)
		}
	})
}
