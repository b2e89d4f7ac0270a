package order_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

// books is a house whose platforms' bills the test writes.
type books struct {
	*house
	*order.Reconciler
	bills map[string][]order.BillLine // by day
	err   error
	asked int
}

func (b *books) Bill(_ context.Context, t time.Time) ([]order.BillLine, error) {
	b.asked++
	lines, ok := b.bills[t.In(order.Shanghai).Format(time.DateOnly)]
	if b.err == nil && !ok {
		return nil, order.Errorf(order.NotFound, "bill_missing", "没有账单")
	}
	return lines, b.err
}

func newBooks(h *house) *books {
	b := &books{house: h, bills: map[string][]order.BillLine{}}
	b.Reconciler = b.reconciler()
	return b
}

// reconciler is one as of a process that has just started.
func (b *books) reconciler() *order.Reconciler {
	return order.NewReconciler(b.db, map[order.PayChannel]order.BillSource{order.WeChatPay: b}, b.now, b.newID)
}

// until moves the clock to an hour of a day in Shanghai and does what is due then.
func (b *books) until(t *testing.T, day string, hour int) {
	t.Helper()
	at, err := time.ParseInLocation(time.DateOnly, day, order.Shanghai)
	if err != nil {
		t.Fatal(err)
	}
	b.advance(at.Add(time.Duration(hour) * time.Hour).Sub(b.now()))
	b.sweeps(t)
}

// sweeps sweeps, and compares whatever is due.
func (b *books) sweeps(t *testing.T) {
	t.Helper()
	if err := b.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, bill := range b.list(t) {
		if bill.ComparedAt.IsZero() && bill.Tries > 0 {
			if err := b.Compare(t.Context(), string(bill.Channel)+" "+bill.Day); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func (b *books) list(t *testing.T) []order.Bill {
	t.Helper()
	bills, err := b.db.Bills(t.Context(), "", 200)
	if err != nil {
		t.Fatal(err)
	}
	return bills
}

// differences are the open or the resolved ones, sorted, in words.
func (b *books) differences(t *testing.T, resolved bool) []string {
	t.Helper()
	page, err := b.db.Differences(t.Context(), order.DifferenceFilter{Resolved: resolved, Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, d := range page.Differences {
		out = append(out, fmt.Sprintf("%s %s %d %d", d.Kind, d.Number, d.Ours, d.Theirs))
	}
	slices.Sort(out)
	return out
}

func (b *books) want(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %s\nwant %s", what, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
}

func in(p order.Payment) order.BillLine {
	return order.BillLine{TradeNo: p.TradeNo, Amount: p.Amount}
}

func out(p order.Payment) order.BillLine {
	return order.BillLine{TradeNo: p.TradeNo, RefundNo: p.RefundNo, Amount: p.Amount}
}

func (b *books) sale(t *testing.T) order.Payment {
	t.Helper()
	return b.pays(t, b.confirm(t, b.draft(t, nil)))
}

// back is a sale whose money has gone back as well.
func (b *books) back(t *testing.T) order.Payment {
	t.Helper()
	p := b.sale(t)
	b.mustApply(t, p.OrderID, order.Command{On: order.RefundStart, By: finance, Note: "不办了"})
	if err := b.RunRefund(t.Context(), p.TradeNo); err != nil {
		t.Fatal(err)
	}
	p, err := b.db.Payment(t.Context(), p.TradeNo)
	if err != nil || p.State != order.PaymentRefunded {
		t.Fatalf("%s, %v", p.State, err)
	}
	return p
}

const (
	monday    = "2026-11-23" // when the house opens
	tuesday   = "2026-11-24"
	wednesday = "2026-11-25"
	thursday  = "2026-11-26"
)

// Every way in which a bill can differ is found, once, and told to finance once; what
// agrees is not.
func TestReconcile(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		b, ctx := newBooks(h), t.Context()
		member := h.staff(t, "周财务", "13900000005", order.Finance)
		good, dear, lost, backed := b.sale(t), b.sale(t), b.sale(t), b.back(t)
		unpaid := b.opens(t, b.confirm(t, b.draft(t, nil)), order.WeChatPay)
		wrong := in(dear)
		wrong.Amount++
		b.bills[monday] = []order.BillLine{in(good), wrong, in(backed), out(backed), in(unpaid), {TradeNo: "SOMEBODY", Amount: 8800}, {TradeNo: good.TradeNo, RefundNo: "SOMETHING", Amount: 1}}

		b.until(t, tuesday, 10)
		if slices.ContainsFunc(b.list(t), func(bill order.Bill) bool { return bill.Day == monday }) { // Sunday's is the first
			t.Errorf("at ten: %+v", b.list(t))
		}
		b.advance(6 * time.Minute)
		b.sweeps(t)
		want := []string{
			fmt.Sprintf("amounts_differ %s %d %d", dear.TradeNo, dear.Amount, dear.Amount+1), fmt.Sprintf("unbooked_here %s %d %d", unpaid.TradeNo, unpaid.Amount, unpaid.Amount),
			"unknown_here SOMEBODY 0 8800", "unknown_here SOMETHING 0 1", fmt.Sprintf("unknown_there %s %d 0", lost.TradeNo, lost.Amount),
		}
		b.want(t, "differences", b.differences(t, false), want...)
		bill := b.list(t)[0]
		if bill.Lines != 7 || bill.Received != good.Amount+dear.Amount+1+backed.Amount+unpaid.Amount+8800 || bill.Returned != backed.Amount+1 || bill.Found != 5 || !bill.NextTry.IsZero() || bill.ComparedAt.IsZero() {
			t.Errorf("bill %+v", bill)
		}
		asked := b.asked
		if err := b.Compare(ctx, "wechatpay "+monday); err != nil || b.asked != asked {
			t.Errorf("again: %v", err)
		}
		messages, err := h.db.Messages(ctx, order.MessageFilter{StaffID: member.StaffID, Limit: 10})
		if err != nil || len(messages) != 1 || messages[0].Notice != order.NoticeBillDiffers {
			t.Errorf("finance was told %+v, %v", messages, err)
		}
		if n, err := h.db.OpenDifferences(ctx); err != nil || n != 5 {
			t.Errorf("%d open, %v", n, err)
		}

		// A later bill names what the first did not.
		b.bills[tuesday] = []order.BillLine{in(lost)}
		b.until(t, wednesday, 11)
		b.want(t, "open", b.differences(t, false), want[:4]...)
		b.want(t, "resolved", b.differences(t, true), want[4])

		page, err := h.db.Differences(ctx, order.DifferenceFilter{Limit: 3})
		if err != nil || len(page.Differences) != 3 || page.Next == (order.Cursor{}) {
			t.Fatalf("%+v, %v", page, err)
		}
		rest, err := h.db.Differences(ctx, order.DifferenceFilter{Limit: 3, After: page.Next})
		if err != nil || len(rest.Differences) != 1 || rest.Next != (order.Cursor{}) {
			t.Errorf("the rest: %+v, %v", rest, err)
		}
		id := rest.Differences[0].ID
		for name, c := range map[string]struct {
			by   order.Actor
			note string
			want order.Kind
		}{"a reviewer": {order.Actor{Role: order.Reviewer}, "x", order.Forbidden}, "no words": {member, "  ", order.Invalid}, "too many": {member, strings.Repeat("字", 201), order.Invalid}} {
			if err := b.Resolve(ctx, id, c.by, c.note); !errors.Is(err, c.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := b.Resolve(ctx, id, member, " 测试收款 "); err != nil {
			t.Fatal(err)
		}
		if d, err := h.db.Difference(ctx, id); err != nil || d.Note != "测试收款" || d.ResolvedBy != member.StaffID || d.ResolvedAt.IsZero() {
			t.Errorf("%+v, %v", d, err)
		}
		if err := b.Resolve(ctx, id, member, "又一次"); !errors.Is(err, order.Conflict) {
			t.Errorf("twice: %v", err)
		}
	})
}

// Refunds are dated by both sides as they learn of them: a day apart is no difference,
// a refund that no bill names is one once both days' bills are there.
func TestReconcileRefunds(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		b := newBooks(h)
		late, lost := b.back(t), b.back(t)
		b.bills[monday] = []order.BillLine{in(late), in(lost)}
		b.bills[tuesday] = []order.BillLine{out(late)}
		b.until(t, tuesday, 11)
		b.want(t, "on Tuesday", b.differences(t, false))
		b.until(t, wednesday, 11)
		b.want(t, "on Wednesday", b.differences(t, false), fmt.Sprintf("unknown_there %s %d 0", lost.RefundNo, lost.Amount))
	})
}

// What finance returned by a transfer is in no bill, which is no difference; in one it was
// returned twice.
func TestReconcileTransfers(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		b, ctx := newBooks(h), t.Context()
		byHand := func() order.Payment {
			t.Helper()
			p := b.sale(t)
			b.mustApply(t, p.OrderID, order.Command{On: order.RefundStart, By: finance, Note: "不办了"})
			b.pay.refund = order.RefundAbnormal
			if err := b.RunRefund(ctx, p.TradeNo); err != nil {
				t.Fatal(err)
			}
			b.pay.refund = order.RefundDone
			b.mustApply(t, p.OrderID, order.Command{On: order.RefundByHand, By: finance, Note: "回单 0021"})
			p, err := b.db.Payment(ctx, p.TradeNo)
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		once, twice, part := byHand(), byHand(), b.approved(t, nil)
		b.mustApply(t, part.ID, order.Command{On: order.GiveUpKeys, By: finance, Keys: 1, Note: "电话同意"})
		parts, err := h.db.PartRefunds(ctx, part.ID)
		if err != nil || len(parts) != 1 {
			t.Fatalf("parts %+v, %v", parts, err)
		}
		b.pay.refund = order.RefundAbnormal
		if err := b.RunPartRefund(ctx, parts[0].RefundNo); err != nil {
			t.Fatal(err)
		}
		if err := b.SettlePartRefund(ctx, part.ID, parts[0].RefundNo, "回单 0022", finance); err != nil {
			t.Fatal(err)
		}
		whole, err := h.db.Payment(ctx, part.TradeNo)
		if err != nil {
			t.Fatal(err)
		}
		b.bills[monday] = []order.BillLine{in(once), in(twice), in(whole)}
		b.bills[tuesday] = []order.BillLine{out(twice), {TradeNo: whole.TradeNo, RefundNo: parts[0].RefundNo, Amount: parts[0].Amount}}
		b.until(t, tuesday, 11)
		b.want(t, "on Tuesday", b.differences(t, false))
		b.until(t, wednesday, 11)
		b.want(t, "on Wednesday", b.differences(t, false), fmt.Sprintf("returned_twice %s %d %d", twice.RefundNo, twice.Amount, twice.Amount),
			fmt.Sprintf("returned_twice %s %d %d", parts[0].RefundNo, parts[0].Amount, parts[0].Amount))
	})
}

// A bill that is late is asked for again; one that a day later still does not exist is
// empty. Days that were missed are caught up, as far back as platforms remember.
func TestReconcileLater(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		b := newBooks(h)
		p := b.sale(t)
		b.until(t, tuesday, 11)
		if bill := b.list(t)[0]; bill.Why != "bill_missing" || !bill.ComparedAt.IsZero() {
			t.Fatalf("missing: %+v", bill)
		}
		b.sweeps(t)
		if tries := b.list(t)[0].Tries; tries != 1 {
			t.Errorf("due again at once: %d", tries)
		}
		b.err = order.Errorf(order.Unavailable, "payment_unavailable", "稍后再试")
		b.until(t, tuesday, 12)
		if bill := b.list(t)[0]; bill.Why != "payment_unavailable" || bill.Tries != 2 {
			t.Errorf("being made: %+v", bill)
		}
		b.err = errors.New("NO_AUTH")
		b.advance(31 * time.Minute)
		if err := b.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := b.Compare(t.Context(), "wechatpay "+monday); !errors.Is(err, order.Conflict) || b.list(t)[0].Why != "bill_refused" {
			t.Errorf("refused: %v, %+v", err, b.list(t)[0])
		}
		b.err = nil
		b.want(t, "meanwhile", b.differences(t, false))
		b.Reconciler = b.reconciler()
		b.until(t, thursday, 11) // the process was down for two days
		bills := b.list(t)
		if len(bills) != 3 || bills[0].Day != wednesday || bills[2].Day != monday || bills[2].ComparedAt.IsZero() || bills[1].ComparedAt.IsZero() || !bills[0].ComparedAt.IsZero() {
			t.Errorf("%+v", bills)
		}
		b.want(t, "no bill at all", b.differences(t, false), fmt.Sprintf("unknown_there %s %d 0", p.TradeNo, p.Amount))

		b.err = errors.New("PARAM_ERROR")
		b.advance(200 * 24 * time.Hour)
		b.sweepsOver(t)
		bills = b.list(t)
		if oldest := bills[len(bills)-4]; len(bills) != 3+90 || !oldest.NextTry.After(b.now()) {
			t.Errorf("%d bills, %+v", len(bills), bills[len(bills)-4:])
		}
		if given := bills[len(bills)-3]; given.Why != order.BillTooOld || !given.NextTry.IsZero() || !given.ComparedAt.IsZero() {
			t.Errorf("too old: %+v", given)
		}
	})
}

// sweepsOver sweeps, and compares whatever is due and refused.
func (b *books) sweepsOver(t *testing.T) {
	t.Helper()
	if err := b.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, bill := range b.list(t) {
		if err := b.Compare(t.Context(), string(bill.Channel)+" "+bill.Day); err != nil && !errors.Is(err, order.Conflict) {
			t.Fatal(err)
		}
	}
}
