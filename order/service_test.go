package order_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store"
	"github.com/yuncaidun/yuncaidun/store/storetest"
)

// A purchase of two keys runs from the form to the shipped key, with its number,
// its money, its history and its notices.
func TestPurchase(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		reviewer, shipper := h.staff(t, "李审核", "13800000011", order.Reviewer), h.staff(t, "赵发货", "13800000014", order.Shipper)
		o := h.draft(t, nil)
		if o.Amount != 60000 || o.USCC != "91110108MA00TEN18F" || o.Company != "云岭测试科技（昆明）有限公司" || o.Form.Get(order.IDNo) != "110101199003070011" { // F7
			t.Fatalf("draft: %d fen, %s, %s", o.Amount, o.USCC, o.Company)
		}
		o = h.confirm(t, o)
		if o.No != "SAAS120261123103000000001" || o.PersonID == "" || o.DraftToken != "" || o.Status != order.AwaitingPayment { // F93, F19
			t.Fatalf("confirmed: %q person %q status %s", o.No, o.PersonID, o.State)
		}
		p := h.pays(t, o)
		o = h.order(t, o.ID)
		if o.Stage != order.Queued || !o.DueAt.Equal(time.Date(2026, 11, 26, 9, 30, 0, 0, time.UTC)) { // F59, F63: three working days, 17:30
			t.Fatalf("paid: %s due %s", o.State, o.DueAt)
		}
		if err := h.RecordRealName(ctx, o.ID, 1, order.RealNameMatch); err != nil { // F24
			t.Fatal(err)
		}
		h.mustApply(t, o.ID, order.Command{On: order.Claim, By: reviewer})
		o = h.mustApply(t, o.ID, order.Command{On: order.Approve, By: reviewer, Snapshot: o.Snapshot, Ticks: order.Ticks})
		items, err := h.db.Items(ctx, o.ID)
		if err != nil || len(items) != 2 { // F120
			t.Fatalf("items: %d, %v", len(items), err)
		}
		for i, it := range items {
			h.mustApply(t, o.ID, order.Command{On: order.MakeKey, By: order.BySystem, Item: it.ID})
			o = h.mustApply(t, o.ID, order.Command{On: order.KeyVerified, By: order.BySystem, Item: it.ID, TokenSerial: fmt.Sprintf("TW%014d", i), CertSerial: fmt.Sprintf("%040d", i), Proven: []order.Fact{order.ReadBack}})
		}
		if o.Status != order.ToShip || o.Verified != 2 {
			t.Fatalf("made: %s, %d verified", o.State, o.Verified)
		}
		o = h.mustApply(t, o.ID, order.Command{On: order.Ship, By: shipper, Carrier: "sf", TrackingNo: "SF1234567890123"})
		if o.Status != order.Completed { // F121
			t.Fatalf("shipped: %s", o.State)
		}

		events, err := h.db.Events(ctx, o.ID)
		if err != nil {
			t.Fatal(err)
		}
		var history []order.Event
		for _, e := range events {
			history = append(history, e.Event)
		}
		want := []order.Event{order.Save, order.Confirm, order.Paid, order.Claim, order.Approve, order.MakeKey, order.KeyVerified, order.MakeKey, order.KeyVerified, order.Ship}
		if !slices.Equal(history, want) { // F125
			t.Errorf("history %v, want %v", history, want)
		}
		sent := map[string]int{}
		notifications, err := h.db.Notifications(ctx, o.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range notifications {
			sent[fmt.Sprint(n.Notice, " ", n.Medium, " ", n.To)]++
		}
		wantSent := map[string]int{ // F105: the recipient's number differs, so both hear of the parcel
			"review_task wechat reviewers": 1, "approved_issue sms agent": 1, "approved_issue wechat agent": 1, "ship_task wechat shippers": 1,
			"shipped sms recipient": 1, "shipped sms agent": 1, "shipped wechat agent": 1,
		}
		if fmt.Sprint(sent) != fmt.Sprint(wantSent) {
			t.Errorf("notices %v, want %v", sent, wantSent)
		}
		if got, err := h.db.Payment(ctx, p.TradeNo); err != nil || got.State != order.PaymentPaid {
			t.Errorf("payment %s, %v", got.State, err)
		}
	})
}

// Promises that cannot be kept hold up nobody else's: they step back, are told of at
// each try, and are kept when they can be.
func TestPromisesThatFail(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		stuck, waiting := h.confirm(t, h.draft(t, nil)), h.confirm(t, h.draft(t, nil))
		h.opens(t, stuck, order.WeChatPay)
		h.pay.down = true
		timers := []order.Timer{{OrderID: waiting.ID, Seq: waiting.Seq + 1, On: order.Unpaid, At: h.now()}}
		for i := range int64(100) { // as many as a sweep looks at
			timers = append(timers, order.Timer{OrderID: stuck.ID, Seq: stuck.Seq + 1 + i, On: order.Unpaid, At: h.now().Add(-time.Hour)})
		}
		if err := h.db.InTx(ctx, func(tx order.Tx) error { return tx.SetTimers(ctx, timers...) }); err != nil {
			t.Fatal(err)
		}
		if err := h.Sweep(ctx); !errors.Is(err, order.Unavailable) || !strings.Contains(err.Error(), string(stuck.ID)+" (unpaid), try 1") {
			t.Fatalf("the first sweep says %v", err)
		}
		if err := h.Sweep(ctx); err != nil || h.order(t, waiting.ID).Status != order.Draft {
			t.Fatalf("behind a hundred that fail: %s, %v", h.order(t, waiting.ID).State, err)
		}
		var tried []int // at which minutes
		for minute := range 45 {
			if err := h.Sweep(ctx); err != nil {
				tried = append(tried, minute)
			}
			h.advance(time.Minute)
		}
		if want := []int{1, 2, 3, 4, 5, 6, 8, 11, 16, 25, 35}; !slices.Equal(tried, want) {
			t.Errorf("tried at minutes %v, want %v", tried, want)
		}
		h.pay.down = false
		h.advance(10 * time.Minute)
		if err := h.Sweep(ctx); err != nil || h.order(t, stuck.ID).Status != order.Draft {
			t.Errorf("the gateway is back: %s, %v", h.order(t, stuck.ID).State, err)
		}
	})
}

// A notification that was lost is made up for by asking (issue: query as a
// fallback), and an order unpaid for seven days goes back to the form (row 8).
func TestTimersAndQueries(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		o := h.confirm(t, h.draft(t, nil))
		p := h.opens(t, o, order.WeChatPay)
		h.advance(6*24*time.Hour + time.Minute)
		if err := h.Sweep(ctx); err != nil {
			t.Fatal(err)
		}
		ns, err := h.db.Notifications(ctx, o.ID)
		if err != nil || len(ns) != 2 || ns[0].Notice != order.NoticeUnpaid {
			t.Fatalf("day 6: %d notices, %v", len(ns), err)
		}
		h.advance(24 * time.Hour)
		if err := h.Sweep(ctx); err != nil {
			t.Fatal(err)
		}
		if o := h.order(t, o.ID); o.Status != order.Draft || h.pay.trades[p.TradeNo] != order.TradeShut {
			t.Fatalf("day 7: %s, trade %s", o.State, h.pay.trades[p.TradeNo])
		}

		o = h.confirm(t, h.order(t, o.ID))
		p, err = h.OpenPayment(ctx, o.ID, order.Actor{Role: order.Applicant, PersonID: o.PersonID, Channel: order.Web}, order.WeChatPay)
		if err != nil {
			t.Fatal(err)
		}
		h.pay.trades[p.TradeNo] = order.TradePaid // and nobody tells us
		if err := h.CheckPayment(ctx, p.TradeNo); err != nil {
			t.Fatal(err)
		}
		if o := h.order(t, o.ID); o.Stage != order.Queued {
			t.Fatalf("after the query: %s", o.State)
		}
	})
}

// Two reviewers decide at once: the second finds it decided (deterministic twin
// below), and of many in parallel one wins.
func TestOneReviewerWins(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		a, b := h.staff(t, "李审核", "13800000011", order.Reviewer), h.staff(t, "周复核", "13800000012", order.Reviewer)
		o := h.confirm(t, h.draft(t, nil))
		h.pays(t, o)
		var wg sync.WaitGroup
		var mu sync.Mutex
		won := 0
		for _, who := range []order.Actor{a, b, a, b, a, b} {
			wg.Go(func() {
				if _, err := h.Apply(context.Background(), o.ID, order.Command{On: order.Claim, By: who}); err == nil {
					mu.Lock()
					defer mu.Unlock()
					won++
				} else if !errors.Is(err, order.Conflict) {
					t.Errorf("claim: %v", err)
				}
			})
		}
		wg.Wait()
		if won != 1 {
			t.Fatalf("%d reviewers claimed", won)
		}
		h.advance(16 * time.Minute)
		if err := h.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if o := h.order(t, o.ID); o.Stage != order.Queued { // row 21
			t.Fatalf("after 15 minutes: %s", o.State)
		}
		if err := h.RecordRealName(t.Context(), o.ID, 1, order.RealNameMatch); err != nil {
			t.Fatal(err)
		}
		h.mustApply(t, o.ID, order.Command{On: order.Claim, By: a})
		h.mustApply(t, o.ID, order.Command{On: order.Approve, By: a, Snapshot: o.Snapshot, Ticks: order.Ticks})
		if _, err := h.Apply(t.Context(), o.ID, order.Command{On: order.Reject, By: b, Reasons: []order.Reason{{Code: "R03"}}}); !errors.Is(err, order.Conflict) {
			t.Fatalf("second decision: %v", err)
		}
	})
}

// A rejected order is corrected and resubmitted without paying again (F95, F96).
func TestRejectedAndResubmitted(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		reviewer := h.staff(t, "李审核", "13800000011", order.Reviewer)
		o := h.confirm(t, h.draft(t, nil))
		h.pays(t, o)
		me := order.Actor{Role: order.Applicant, PersonID: o.PersonID}
		h.mustApply(t, o.ID, order.Command{On: order.Claim, By: reviewer})
		o = h.mustApply(t, o.ID, order.Command{On: order.Reject, By: reviewer, Reasons: []order.Reason{{Code: "R03"}, {Code: "R20", Note: "请补拍"}}})
		if o.Status != order.Rejected || !o.DueAt.IsZero() || o.Reasons[1].Text() != "请补拍" {
			t.Fatalf("rejected: %s %v", o.State, o.Reasons)
		}
		if _, err := h.Apply(t.Context(), o.ID, order.Command{On: order.Resubmit, By: me, Form: form(nil).With(order.AgentMobile, "13900000001")}); !errors.Is(err, order.Invalid) {
			t.Fatalf("unproven mobile: %v", err)
		}
		// What was signed has changed, so the stamped letter is void, too; the address has not.
		for field, value := range map[order.Field]string{order.OrgName: "云岭测试科技（大理）有限公司", order.AgentName: "王大琪"} {
			_, err := h.Apply(t.Context(), o.ID, order.Command{On: order.Resubmit, By: me, Form: o.Form.With(field, value)})
			if e, ok := order.AsError(err); !ok || len(e.Fields) != 1 || e.Fields[0].Field != order.LetterImage {
				t.Errorf("another %s with the old letter: %v", field, err)
			}
		}
		before := o.Snapshot
		o = h.mustApply(t, o.ID, order.Command{On: order.Resubmit, By: me, Form: form(nil).With(order.LetterImage, "01LETTER2")})
		if o.Stage != order.Queued || o.Submission != 2 || o.Snapshot == before || len(o.Reasons) != 0 || o.DueAt.IsZero() {
			t.Fatalf("resubmitted: %s, submission %d", o.State, o.Submission)
		}
		payments, err := h.db.Payments(t.Context(), o.ID)
		if err != nil || len(payments) != 1 {
			t.Fatalf("%d payments, %v", len(payments), err)
		}
	})
}

// F23: somebody else's order does not exist.
func TestOthersOrders(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		o := h.draft(t, nil)
		stranger := order.Actor{Role: order.Applicant, PersonID: "somebody", Channel: order.Web}
		for _, c := range []order.Command{{On: order.Save, Product: "yd-initial", By: stranger}, {On: order.Confirm, By: stranger}, {On: order.Delete, By: stranger, DraftToken: "other"}} {
			if _, err := h.Apply(t.Context(), o.ID, c); !errors.Is(err, order.NotFound) {
				t.Errorf("%s: %v", c.On, err)
			}
		}
		if _, err := h.OpenPayment(t.Context(), o.ID, stranger, order.WeChatPay); !errors.Is(err, order.NotFound) {
			t.Errorf("pay: %v", err)
		}
	})
}

// F19, F55: a code proves the mobile of the form that it was asked for. Whoever puts
// another's mobile into the draft meanwhile does not become that person.
func TestConfirmationIsOfTheFormThatWasProven(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		seen := h.draft(t, nil)
		by := order.Actor{Role: order.Applicant, Channel: order.Web}
		h.mustApply(t, seen.ID, order.Command{On: order.Save, By: by, DraftToken: browser, Product: seen.Product.Code, Term: seen.Product.Term, Lines: seen.Lines, Form: seen.Form.With(order.AgentMobile, "13700137000")})
		confirm := order.Command{On: order.Confirm, By: by, DraftToken: browser, Snapshot: seen.Hash(), Proven: []order.Fact{order.MobileProven}, Consent: order.Consent{Version: "1", Hash: "h", At: h.now()}}
		if _, err := h.Apply(t.Context(), seen.ID, confirm); !errors.Is(err, order.Conflict) {
			t.Errorf("another mobile than the one proven: %v", err)
		}
		now := h.order(t, seen.ID)
		if now.Status != order.Draft || now.PersonID != "" {
			t.Fatalf("refused, yet %s of %q", now.State, now.PersonID)
		}
		confirm.Snapshot = now.Hash()
		if o := h.mustApply(t, seen.ID, confirm); o.Status != order.AwaitingPayment {
			t.Errorf("the form as it is: %s", o.State)
		}
	})
}

// A save with something wrong names every field and changes nothing (F14, G30).
func TestDraftFaults(t *testing.T) {
	h := newHouse(t, storetest.DSN(t, "sqlite", store.MigrateAt))
	_, err := h.Apply(t.Context(), "", order.Command{
		On: order.Save, By: order.Actor{Role: order.Applicant}, DraftToken: browser, Product: "yd-initial",
		Form: order.NewForm(map[order.Field]string{order.AgentMobile: "123", order.OrgUSCC: "91110108MA00TEN18G", order.AgentName: "王小琪"}),
	})
	e, ok := order.AsError(err)
	if !ok || len(e.Fields) != 2 || e.Fields[0].Field != order.AgentMobile || e.Fields[1].Field != order.OrgUSCC {
		t.Fatalf("faults: %v", err)
	}
	o := h.draft(t, map[order.Field]string{order.LetterImage: "", order.AgentEmail: "", order.ShipAddress: ""})
	_, err = h.Apply(t.Context(), o.ID, order.Command{On: order.Confirm, By: order.Actor{Role: order.Applicant}, DraftToken: browser, Snapshot: o.Hash(), Proven: []order.Fact{order.MobileProven}, Consent: order.Consent{Version: "1", Hash: "h", At: h.now()}})
	e, ok = order.AsError(err)
	if !ok || len(e.Fields) != 3 {
		t.Fatalf("incomplete: %v", err)
	}
	if o := h.order(t, o.ID); o.Status != order.Draft || o.No != "" {
		t.Fatalf("refused, yet %s %q", o.State, o.No)
	}
}

// Row 67: a refund that the gateway cannot make is settled by hand, with a reason;
// the books say so.
func TestRefundByHand(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		finance := h.staff(t, "孙管理", "13800000015", order.Finance)
		o := h.confirm(t, h.draft(t, nil))
		p := h.pays(t, o)
		h.mustApply(t, o.ID, order.Command{On: order.RefundStart, By: finance, Note: "客户不再需要"})
		h.pay.refund = order.RefundProcessing
		if err := h.RunRefund(t.Context(), p.TradeNo); !errors.Is(err, order.Unavailable) {
			t.Fatalf("processing: %v", err)
		}
		h.pay.refund = order.RefundAbnormal
		if err := h.RunRefund(t.Context(), p.TradeNo); err != nil {
			t.Fatal(err)
		}
		if o := h.order(t, o.ID); o.Refund != order.RefundFailed {
			t.Fatalf("after the gateway's refusal: %s, refund %q", o.State, o.Refund)
		}
		o = h.mustApply(t, o.ID, order.Command{On: order.RefundByHand, By: finance, Note: "已转账，回单 0017"})
		got, err := h.db.Payment(t.Context(), p.TradeNo)
		if err != nil || o.Status != order.Refunded || o.Refund != order.NoRefund || got.State != order.PaymentRefunded || got.RefundReason != "客户不再需要" {
			t.Fatalf("by hand: %s, payment %s for %q, %v", o.State, got.State, got.RefundReason, err)
		}
	})
}

// Row 35: who does not correct a rejected order is reminded on day 7 and on day
// 23, and gets the money back on day 30.
func TestRejectedAndForgotten(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		reviewer := h.staff(t, "李审核", "13800000011", order.Reviewer)
		o := h.confirm(t, h.draft(t, nil))
		h.pays(t, o)
		h.mustApply(t, o.ID, order.Command{On: order.Claim, By: reviewer})
		h.mustApply(t, o.ID, order.Command{On: order.Reject, By: reviewer, Reasons: []order.Reason{{Code: "R03"}}})
		day := 0
		for _, due := range []struct {
			day         int
			first, last int // messages, one per medium
			refund      order.RefundState
		}{{6, 0, 0, order.NoRefund}, {7, 2, 0, order.NoRefund}, {22, 2, 0, order.NoRefund}, {23, 2, 2, order.NoRefund}, {30, 2, 2, order.Refunding}} {
			h.advance(time.Duration(due.day-day)*24*time.Hour + time.Second)
			day = due.day
			if err := h.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			first, last := len(h.heard(t, o.ID, order.NoticeFix)), len(h.heard(t, o.ID, order.NoticeFixLast))
			if got := h.order(t, o.ID).Refund; first != due.first || last != due.last || got != due.refund {
				t.Errorf("day %d: %d and %d reminders, refund %q", due.day, first, last, got)
			}
		}
	})
}
