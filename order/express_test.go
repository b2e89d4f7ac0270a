package order_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store"
	"github.com/yuncaidun/yuncaidun/store/storetest"
)

var express = map[order.Field]string{order.Speed: order.Yes}

// hurried is an express order of two keys in the queue, complete on Monday at 10:30: eight
// office hours end on Tuesday at 10:00.
func (h *house) hurried(t *testing.T, change map[order.Field]string) order.Order {
	t.Helper()
	o := h.confirm(t, h.draft(t, change))
	h.pays(t, o)
	return h.order(t, o.ID)
}

func (h *house) sweep(t *testing.T) {
	t.Helper()
	if err := h.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// F7, F63: the surcharge is paid once per order and buys a promise in office hours, of which
// the review may take half.
func TestExpressIsPricedAndPromised(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		o := h.draft(t, nil)
		if o.Amount != 60000 || o.Express != order.NotExpress {
			t.Errorf("usual: %d fen, %q", o.Amount, o.Express)
		}
		if o := h.draft(t, express); o.Amount != 68000 {
			t.Errorf("a draft that hurries: %d fen", o.Amount)
		}
		before := h.hurried(t, nil)
		o = h.hurried(t, express)
		if o.Amount != 68000 || o.Express != order.ExpressPromised || o.ExpressFee() != 8000 {
			t.Errorf("express: %d fen, %q, fee %d", o.Amount, o.Express, o.ExpressFee())
		}
		if due := shanghai(11, 24, 10, 0); !o.DueAt.Equal(due) {
			t.Errorf("promised for %s", o.DueAt.In(order.Shanghai))
		}
		if due := shanghai(11, 23, 14, 30); !o.ReviewDue.Equal(due) {
			t.Errorf("review until %s", o.ReviewDue.In(order.Shanghai))
		}
		if next := o.Guide(h.now()).Next; next != "预计 11月24日 10:00 前寄出，届时会短信通知。" {
			t.Error(next)
		}
		urgent, err := h.db.Orders(t.Context(), order.Filter{Status: order.InReview, Express: order.ExpressPromised})
		if err != nil || len(urgent.Orders) != 1 || urgent.Orders[0].ID != o.ID {
			t.Errorf("the reviewers' tab: %d orders, %v", len(urgent.Orders), err)
		}
		queue, err := h.db.Orders(t.Context(), order.Filter{Status: order.InReview, Stage: order.Queued, Sort: order.DueFirst})
		if err != nil || len(queue.Orders) != 2 || queue.Orders[0].ID != o.ID || queue.Orders[1].ID != before.ID {
			t.Errorf("the queue: %d orders, %v", len(queue.Orders), err)
		}
	})
}

// Row 73: the surcharge of a promise that has run out goes back by itself, once, whoever
// notices it; the rest of the order goes on as if it had never been express.
func TestExpressIsMissed(t *testing.T) {
	reviewerOf := func(t *testing.T, h *house) order.Actor {
		return h.staff(t, "李审核", "13800000011", order.Reviewer)
	}
	for name, notice := range map[string]func(*testing.T, *house, order.Order){
		"the sweep": func(t *testing.T, h *house, _ order.Order) { h.sweep(t) },
		"who claims it": func(t *testing.T, h *house, o order.Order) {
			h.mustApply(t, o.ID, order.Command{On: order.Claim, By: reviewerOf(t, h)})
		},
		"who rejects it": func(t *testing.T, h *house, o order.Order) {
			by := reviewerOf(t, h)
			h.at = shanghai(11, 24, 9, 59)
			h.mustApply(t, o.ID, order.Command{On: order.Claim, By: by})
			h.at = shanghai(11, 24, 10, 1)
			h.mustApply(t, o.ID, order.Command{On: order.Reject, By: by, Reasons: []order.Reason{{Code: "R01"}}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, storetest.DSN(t, "sqlite", store.MigrateAt))
			o := h.hurried(t, express)
			h.at = shanghai(11, 24, 10, 0)
			h.sweep(t)
			if o = h.order(t, o.ID); o.Express != order.ExpressPromised {
				t.Fatalf("on the hour: %q", o.Express)
			}
			h.at = shanghai(11, 24, 10, 1)
			notice(t, h, o)
			for range 2 {
				h.sweep(t)
			}
			o = h.order(t, o.ID)
			parts, err := h.db.PartRefunds(t.Context(), o.ID)
			if err != nil || len(parts) != 1 || parts[0].Amount != 8000 || parts[0].Keys != 0 {
				t.Fatalf("parts %+v, %v", parts, err)
			}
			if label := o.Express.Label(); strings.Contains(label, "已退") { // the gateway has not been asked yet
				t.Error(label)
			}
			if o.Express != order.ExpressMissed || o.Refund != order.NoRefund {
				t.Errorf("%q, %q", o.Express, o.Refund)
			}
			for range 2 { // the job runs at least once
				if err := h.RunPartRefund(t.Context(), parts[0].RefundNo); err != nil {
					t.Fatal(err)
				}
			}
			if h.pay.returned[parts[0].RefundNo] != 8000 || h.ledger(t, o.ID) != 60000 {
				t.Errorf("%d fen back, ledger %d", h.pay.returned[parts[0].RefundNo], h.ledger(t, o.ID))
			}
			if told := h.told(t, o.ID, order.NoticeExpressMissed); len(told) != 2 {
				t.Errorf("told by %v", told)
			}
			events, err := h.db.Events(t.Context(), o.ID)
			if n := len(slices.DeleteFunc(events, func(e order.EventRecord) bool { return e.Event != order.ExpressOver || e.Role != order.System })); err != nil || n != 1 {
				t.Errorf("%d lines in its history, %v", n, err)
			}
			if o.Status == order.InReview {
				if due := shanghai(11, 26, 17, 30); !o.DueAt.Equal(due) {
					t.Errorf("now promised for %s", o.DueAt.In(order.Shanghai))
				}
				if next := o.Guide(h.now()).Next; !strings.HasPrefix(next, "没能在加急承诺的时间内办好，很抱歉，加急费 ¥80.00 原路退回。预计 11月26日 前寄出") {
					t.Error(next)
				}
			}
		})
	}
}

// What is posted in time keeps the surcharge; a parcel that comes back begins no new express
// promise.
func TestExpressIsKept(t *testing.T) {
	h := newHouse(t, storetest.DSN(t, "sqlite", store.MigrateAt))
	o := h.madeOf(t, h.approved(t, express))
	if o.Express != order.ExpressPromised {
		t.Fatalf("made: %q", o.Express)
	}
	o = h.sent(t, o, "SF1234567890123")
	if o.Express != order.ExpressKept {
		t.Errorf("posted: %q", o.Express)
	}
	h.mustApply(t, o.ID, order.Command{On: order.ParcelReturned, By: byShipper, Keys: 2})
	h.at = shanghai(12, 10, 10, 0)
	h.sweep(t)
	if o = h.order(t, o.ID); o.Express != order.ExpressKept || h.ledger(t, o.ID) != 68000 {
		t.Errorf("after a return: %q, %d fen", o.Express, h.ledger(t, o.ID))
	}
}

// Posted late, before the sweep came by: missed, and the invoice tells of what was kept.
func TestExpressIsPostedLate(t *testing.T) {
	h := newHouse(t, storetest.DSN(t, "sqlite", store.MigrateAt))
	o := h.madeOf(t, h.approved(t, express))
	h.at = shanghai(11, 24, 10, 1)
	o = h.sent(t, o, "SF1234567890123")
	if o.Express != order.ExpressMissed {
		t.Fatalf("posted late: %q", o.Express)
	}
	if i := h.invoice(t, o.ID); i.Amount != 60000 {
		t.Errorf("invoice of %d fen", i.Amount)
	}
}

// The clock stands while the applicant corrects, and the promise he paid for begins anew; he
// cannot choose another then.
func TestExpressWaitsForTheApplicant(t *testing.T) {
	h := newHouse(t, storetest.DSN(t, "sqlite", store.MigrateAt))
	o := h.hurried(t, express)
	by := h.staff(t, "李审核", "13800000011", order.Reviewer)
	h.mustApply(t, o.ID, order.Command{On: order.Claim, By: by})
	h.mustApply(t, o.ID, order.Command{On: order.Reject, By: by, Reasons: []order.Reason{{Code: "R01"}}})
	h.at = shanghai(11, 25, 9, 30)
	h.sweep(t)
	o = h.order(t, o.ID)
	o = h.mustApply(t, o.ID, order.Command{On: order.Resubmit, By: order.Actor{Role: order.Applicant, PersonID: o.PersonID, Channel: order.Web}, Form: o.Form.With(order.Speed, order.No)})
	if due := shanghai(11, 25, 17, 30); o.Express != order.ExpressPromised || !o.DueAt.Equal(due) {
		t.Errorf("%q, promised for %s", o.Express, o.DueAt.In(order.Shanghai))
	}
	if o.Form.Get(order.Speed) != order.Yes || o.Amount != 68000 {
		t.Errorf("%q for %d fen", o.Form.Get(order.Speed), o.Amount)
	}
}

// Money that goes back altogether takes the promise with it, and a fee that has gone back is
// not returned twice: nothing is left to ask the gateway for when it was all that was paid.
func TestExpressAndRefunds(t *testing.T) {
	finance := order.Actor{Role: order.Finance, StaffID: "f", Channel: order.Web}
	refund := order.Command{On: order.RefundStart, By: finance, Note: "客户取消"}
	late := func(t *testing.T, h *house, o order.Order) order.Order { // and then given back altogether
		t.Helper()
		h.at = shanghai(11, 24, 10, 1)
		h.sweep(t)
		parts, err := h.db.PartRefunds(t.Context(), o.ID)
		if err != nil || len(parts) != 1 {
			t.Fatalf("parts %+v, %v", parts, err)
		}
		if err := h.RunPartRefund(t.Context(), parts[0].RefundNo); err != nil {
			t.Fatal(err)
		}
		h.mustApply(t, o.ID, refund)
		if err := h.RunRefund(t.Context(), o.TradeNo); err != nil {
			t.Fatal(err)
		}
		return h.order(t, o.ID)
	}
	t.Run("before", func(t *testing.T) {
		h := newHouse(t, storetest.DSN(t, "sqlite", store.MigrateAt))
		o := h.hurried(t, express)
		o = h.mustApply(t, o.ID, refund)
		if o.Express != order.NotExpress {
			t.Errorf("%q", o.Express)
		}
		h.at = shanghai(11, 25, 9, 0)
		h.sweep(t)
		if parts, err := h.db.PartRefunds(t.Context(), o.ID); err != nil || len(parts) > 0 {
			t.Errorf("parts %+v, %v", parts, err)
		}
	})
	t.Run("after", func(t *testing.T) {
		h := newHouse(t, storetest.DSN(t, "sqlite", store.MigrateAt))
		o := h.hurried(t, express)
		if o = late(t, h, o); o.Status != order.Refunded || h.ledger(t, o.ID) != 0 {
			t.Errorf("%s, ledger %d", o.State, h.ledger(t, o.ID))
		}
	})
	t.Run("the fee was all", func(t *testing.T) {
		h := newHouse(t, storetest.DSN(t, "sqlite", store.MigrateAt))
		on := h.Catalogue().Products
		i := slices.IndexFunc(on, func(p order.Product) bool { return p.Code == "yd-initial" })
		on[i].Price = 0
		o := h.hurried(t, express)
		if o.Amount != 8000 {
			t.Fatalf("%d fen", o.Amount)
		}
		if o = late(t, h, o); o.Status != order.Refunded || h.ledger(t, o.ID) != 0 || len(h.pay.returned) != 1 {
			t.Errorf("%s, ledger %d, %d refunds", o.State, h.ledger(t, o.ID), len(h.pay.returned))
		}
	})
}

// An express promise is no part of what is said of the usual one.
func TestExpressAndPunctuality(t *testing.T) {
	h := newHouse(t, storetest.DSN(t, "sqlite", store.MigrateAt))
	h.sent(t, h.madeOf(t, h.approved(t, express)), "SF1234567890123")
	h.advance(7 * 24 * time.Hour)
	if p, err := h.Punctuality(t.Context()); err != nil || p.Posted != 0 || p.ExpressKept != 1 || p.ExpressMissed != 0 {
		t.Errorf("%+v, %v", p, err)
	}
}

// Office hours since a moment, by hand.
func TestCalendarAfter(t *testing.T) {
	c, err := order.DefaultCalendar()
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		from, want time.Time
		hours      int
	}{
		"within a day":            {shanghai(11, 23, 9, 30), shanghai(11, 23, 13, 30), 4},
		"to the closing":          {shanghai(11, 23, 9, 0), shanghai(11, 23, 17, 30), 0},
		"over a night":            {shanghai(11, 23, 16, 30), shanghai(11, 24, 10, 0), 2},
		"from before the opening": {shanghai(11, 23, 3, 0), shanghai(11, 23, 11, 0), 2},
		"over a weekend":          {shanghai(11, 27, 17, 0), shanghai(11, 30, 10, 30), 2},
		"from a Saturday":         {shanghai(11, 28, 12, 0), shanghai(11, 30, 13, 0), 4},
	} {
		span := time.Duration(tt.hours) * time.Hour
		if name == "to the closing" {
			span = 8*time.Hour + 30*time.Minute
		}
		if got := c.After(tt.from, span); !got.Equal(tt.want) {
			t.Errorf("%s: %s", name, got.In(order.Shanghai))
		}
	}
}

// What was read before the confirmation is what is sold: another price or another time has to
// be read first, and what is no longer offered is not chosen any more.
func TestExpressChangesBeforeTheConfirmation(t *testing.T) {
	h := newHouse(t, storetest.DSN(t, "sqlite", store.MigrateAt))
	on := h.Catalogue().Products
	i := slices.IndexFunc(on, func(p order.Product) bool { return p.Code == "yd-initial" })
	for name, tt := range map[string]struct {
		now    *order.Express
		amount order.Fen
	}{
		"dearer":             {&order.Express{Fee: 9000, Hours: 8}, 69000},
		"slower":             {&order.Express{Fee: 8000, Hours: 12}, 68000},
		"no longer on offer": {nil, 60000},
	} {
		on[i].Express = &order.Express{Fee: 8000, Hours: 8}
		o := h.draft(t, express)
		on[i].Express = tt.now
		confirm := order.Command{
			On: order.Confirm, By: order.Actor{Role: order.Applicant, Channel: order.Web}, DraftToken: browser, Snapshot: o.Hash(),
			Consent: order.Consent{Version: "2026-11", Hash: "h", At: h.now()}, Proven: []order.Fact{order.MobileProven},
		}
		if _, err := h.Apply(t.Context(), o.ID, confirm); codeOf(err) != "form_changed" {
			t.Errorf("%s: %v", name, err)
		}
		shown, err := h.Offer(o)
		if confirm.Snapshot = shown.Hash(); err != nil || shown.Amount != tt.amount {
			t.Errorf("%s: shown for %d fen, %v", name, shown.Amount, err)
		}
		o = h.mustApply(t, o.ID, order.Command{On: order.Save, By: confirm.By, DraftToken: browser, Product: "yd-initial", Lines: o.Lines, Form: o.Form})
		if chosen := o.Form.Get(order.Speed) == order.Yes; chosen != (tt.now != nil) { // nor comes back with the offer
			t.Errorf("%s: chosen: %t", name, chosen)
		}
		if o = h.confirm(t, o); o.Amount != tt.amount || (o.Express == order.ExpressPromised) != (tt.now != nil) {
			t.Errorf("%s, read again: %d fen, %q", name, o.Amount, o.Express)
		}
	}
}

// The sweep and a reviewer at the same instant: the guarded UPDATE lets one of them find the
// promise missed, and one surcharge goes back.
func TestExpressIsMissedOnce(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		by := h.staff(t, "李审核", "13800000011", order.Reviewer)
		o := h.hurried(t, express)
		h.at = shanghai(11, 24, 10, 1)
		var both sync.WaitGroup
		for range 4 {
			both.Go(func() { _ = h.Sweep(context.Background()) })
			both.Go(func() {
				_, _ = h.Apply(context.Background(), o.ID, order.Command{On: order.Claim, By: by})
			})
		}
		both.Wait()
		parts, err := h.db.PartRefunds(t.Context(), o.ID)
		if err != nil || len(parts) != 1 || parts[0].Amount != 8000 {
			t.Errorf("parts %+v, %v", parts, err)
		}
		if told := h.told(t, o.ID, order.NoticeExpressMissed); len(told) != 2 {
			t.Errorf("told by %v", told)
		}
	})
}
