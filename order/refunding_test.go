package order_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/issuance"
	"github.com/yuncaidun/yuncaidun/order"
)

// Two people of finance.
var (
	finance  = order.Actor{Role: order.Finance, StaffID: "finance", PersonID: "p-finance", Channel: order.Web}
	finance2 = order.Actor{Role: order.Finance, StaffID: "finance2", PersonID: "p-finance2", Channel: order.Web}
)

func (h *house) ledger(t *testing.T, id order.ID) (sum order.Fen) {
	t.Helper()
	entries, err := h.db.Ledger(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		sum += e.Amount
	}
	return sum
}

// F122, row 65: after a serial was reserved one person proposes, another confirms, the
// certificates end before the money goes, and what has left is accounted for.
func TestLateRefund(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		o := h.sent(t, h.made(t), parcelNo)
		items := h.issued(t, o)
		start := order.Command{On: order.RefundStart, By: finance2}
		if _, err := h.Apply(ctx, o.ID, start); codeOf(err) != "refund_confirmed_required" {
			t.Errorf("proposed by nobody: %v", err)
		}
		propose := order.Command{On: order.RefundProposed, By: finance, Note: "单位合并，不再需要"}
		if _, err := h.Apply(ctx, o.ID, propose); codeOf(err) != "keys_settled_required" {
			t.Errorf("the parcel is unaccounted for: %v", err)
		}
		propose.End = order.KeysReturned
		o = h.mustApply(t, o.ID, propose)
		if o.Refund != order.NoRefund {
			t.Errorf("proposed: %s", o.Refund)
		}
		own := start
		own.By = finance
		if _, err := h.Apply(ctx, o.ID, own); codeOf(err) != "refund_confirmed_required" {
			t.Errorf("confirmed by whoever proposed it: %v", err)
		}
		for _, it := range items {
			if c, err := h.db.Certificate(ctx, it.CertSerial); err != nil || c.State() != certificate.Valid {
				t.Errorf("before: %s, %v", c.State(), err)
			}
		}
		o = h.mustApply(t, o.ID, start)
		if o.Refund != order.Refunding || o.Status != order.Completed {
			t.Fatalf("confirmed: %s %s", o.State, o.Refund)
		}
		for _, it := range items {
			if c, err := h.db.Certificate(ctx, it.CertSerial); err != nil || c.State() != certificate.Revoked || c.Reason != certificate.CessationOfOperation {
				t.Errorf("after: %s, %v", c.State(), err)
			}
		}
		p, err := h.db.Payment(ctx, o.TradeNo)
		if err != nil || p.State != order.PaymentRefundDue || p.RefundReason != "单位合并，不再需要" {
			t.Fatalf("payment %s, %q, %v", p.State, p.RefundReason, err)
		}
		if err := h.RunRefund(ctx, o.TradeNo); err != nil {
			t.Fatal(err)
		}
		if o = h.order(t, o.ID); o.Status != order.Refunded || h.pay.returned[p.RefundNo] != 60000 || h.ledger(t, o.ID) != 0 {
			t.Errorf("refunded: %s, %d fen back, ledger %d", o.State, h.pay.returned[p.RefundNo], h.ledger(t, o.ID))
		}
		if _, err := h.db.Proposal(ctx, o.ID); !errors.Is(err, order.NotFound) {
			t.Errorf("the proposal is still there: %v", err)
		}
		if err := h.CourierReported(ctx, order.CourierReport{TrackingNo: parcelNo, State: order.ParcelSigned, Track: []order.TrackLine{{At: h.now(), Text: "已签收"}}}); err != nil || h.order(t, o.ID).Status != order.Refunded { // row 69
			t.Errorf("a late report: %v", err)
		}
	})
}

// A proposal can be dropped; what is shipped meanwhile has to be proposed anew.
func TestLateRefundDropped(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		o := h.made(t)
		h.issued(t, o)
		propose := order.Command{On: order.RefundProposed, By: finance, Note: "客户要求"}
		h.mustApply(t, o.ID, propose)
		h.mustApply(t, o.ID, order.Command{On: order.ProposalDropped, By: finance2})
		start := order.Command{On: order.RefundStart, By: finance2}
		if _, err := h.Apply(t.Context(), o.ID, start); codeOf(err) != "refund_confirmed_required" {
			t.Errorf("dropped: %v", err)
		}
		if _, err := h.Apply(t.Context(), o.ID, order.Command{On: order.ProposalDropped, By: finance2}); codeOf(err) != "proposed_required" {
			t.Errorf("dropped twice: %v", err)
		}
		h.mustApply(t, o.ID, propose)
		h.sent(t, o, parcelNo)
		if _, err := h.Apply(t.Context(), o.ID, start); codeOf(err) != "keys_settled_required" {
			t.Errorf("shipped meanwhile: %v", err)
		}
	})
}

// Row 40: of two keys one cannot be made; the applicant agrees to do without it,
// gets its price back, and the other one is shipped. Row 66: a refund of the rest is
// what is left.
func TestKeysGivenUp(t *testing.T) {
	eachChannel(t, func(t *testing.T, h *house, g *gateway) {
		ctx := t.Context()
		o := h.approved(t, map[order.Field]string{order.InvoiceWant: order.No}) // its invoice is another test's
		by := order.Actor{Role: order.Applicant, PersonID: o.PersonID, Channel: order.Web}
		items, err := h.db.Items(ctx, o.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range items {
			h.mustApply(t, o.ID, order.Command{On: order.MakeKey, By: order.BySystem, Item: it.ID})
		}
		h.mustApply(t, o.ID, order.Command{On: order.KeyVerified, By: order.BySystem, Item: items[0].ID, TokenSerial: "TW1", CertSerial: "A000000000000000000000000000000000000001", Proven: []order.Fact{order.ReadBack}})
		h.issue(t, items[0].ID, "A000000000000000000000000000000000000001", issuance.CompanyP256, "2027-11-20")
		h.mustApply(t, o.ID, order.Command{On: order.KeyFailed, By: order.BySystem, Item: items[1].ID, Note: "空白 UKEY 损坏"})

		give := order.Command{On: order.GiveUpKeys, By: by}
		if _, err := h.Apply(ctx, o.ID, give); codeOf(err) != "applicant_agreed_required" {
			t.Errorf("agreed to what nobody proposed: %v", err)
		}
		for _, m := range []int{0, 2} {
			if _, err := h.Apply(ctx, o.ID, order.Command{On: order.GiveUpProposed, By: finance, Keys: m, Note: "缺货"}); codeOf(err) != "keys_to_give_required" {
				t.Errorf("%d keys: %v", m, err)
			}
		}
		h.mustApply(t, o.ID, order.Command{On: order.GiveUpProposed, By: finance, Keys: 1, Note: "空白 UKEY 缺货"})
		stranger := give
		stranger.By.PersonID = "somebody"
		if _, err := h.Apply(ctx, o.ID, stranger); !errors.Is(err, order.NotFound) {
			t.Errorf("somebody else: %v", err)
		}
		o = h.mustApply(t, o.ID, give)
		if o.Stage != order.ToPost || o.GivenUp != 1 || o.Refund != order.NoRefund {
			t.Fatalf("agreed: %s, %d given up", o.State, o.GivenUp)
		}
		parts, err := h.db.PartRefunds(ctx, o.ID)
		if err != nil || len(parts) != 1 || parts[0].Amount != 30000 || parts[0].State != order.PaymentRefundDue {
			t.Fatalf("parts %+v, %v", parts, err)
		}
		g.refund = order.RefundAbnormal
		if err := h.RunPartRefund(ctx, parts[0].RefundNo); err != nil {
			t.Fatal(err)
		}
		if failed, err := h.db.FailedPartRefunds(ctx, 10); err != nil || len(failed) != 1 {
			t.Fatalf("failed: %+v, %v", failed, err)
		}
		g.refund = order.RefundDone
		if err := h.RetryPartRefund(ctx, o.ID, parts[0].RefundNo, by); codeOf(err) != "refund_not_failed" {
			t.Errorf("retried by the applicant: %v", err)
		}
		if err := h.RetryPartRefund(ctx, o.ID, parts[0].RefundNo, finance); err != nil {
			t.Fatal(err)
		}
		for range 3 { // the job runs at least once
			if err := h.RunPartRefund(ctx, parts[0].RefundNo); err != nil {
				t.Fatal(err)
			}
		}
		if err := h.SettlePartRefund(ctx, o.ID, parts[0].RefundNo, "回单 0019", finance); codeOf(err) != "refund_not_failed" {
			t.Errorf("settled though it is back: %v", err)
		}
		if g.returned[parts[0].RefundNo] != 30000 || h.ledger(t, o.ID) != 30000 {
			t.Errorf("%d fen back, ledger %d", g.returned[parts[0].RefundNo], h.ledger(t, o.ID))
		}

		o = h.sent(t, o, parcelNo)
		h.mustApply(t, o.ID, order.Command{On: order.RefundProposed, By: finance, Note: "退货", End: order.KeysWaived})
		h.mustApply(t, o.ID, order.Command{On: order.RefundStart, By: finance2})
		if err := h.RunRefund(ctx, o.TradeNo); err != nil {
			t.Fatal(err)
		}
		if o = h.order(t, o.ID); o.Status != order.Refunded || g.returned["R"+o.TradeNo] != 30000 || h.ledger(t, o.ID) != 0 {
			t.Errorf("refunded: %s, %d fen back, ledger %d", o.State, g.returned["R"+o.TradeNo], h.ledger(t, o.ID))
		}
	})
}

// Finance records how the applicant agreed, before the first key is begun.
func TestKeysGivenUpByWord(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		o := h.approved(t, nil)
		c := order.Command{On: order.GiveUpKeys, By: finance, Keys: 1}
		if _, err := h.Apply(t.Context(), o.ID, c); codeOf(err) != "applicant_agreed_required" {
			t.Errorf("nothing recorded: %v", err)
		}
		c.Note = "11 月 26 日经办人电话同意"
		o = h.mustApply(t, o.ID, c)
		if o.Stage != order.Unclaimed || o.GivenUp != 1 {
			t.Errorf("recorded: %s, %d given up", o.State, o.GivenUp)
		}
		// Its price does not go back through the gateway, but by a transfer.
		parts, err := h.db.PartRefunds(t.Context(), o.ID)
		if err != nil || len(parts) != 1 {
			t.Fatalf("parts %+v, %v", parts, err)
		}
		h.pay.refused = order.RefundRefused("平台拒绝退款（X）", nil)
		if err := h.RunPartRefund(t.Context(), parts[0].RefundNo); err != nil {
			t.Fatal(err)
		}
		h.pay.refused = nil
		if parts, err = h.db.PartRefunds(t.Context(), o.ID); err != nil || parts[0].State != order.PaymentRefundFailed || parts[0].Refused != "平台拒绝退款（X）" {
			t.Errorf("refused: %+v, %v", parts, err)
		}
		if err := h.SettlePartRefund(t.Context(), o.ID, parts[0].RefundNo, "回单 0020", finance); err != nil {
			t.Fatal(err)
		}
		if parts, err = h.db.PartRefunds(t.Context(), o.ID); err != nil || parts[0].State != order.PaymentRefunded || !strings.Contains(parts[0].Reason, "回单 0020") || h.ledger(t, o.ID) != 30000 {
			t.Errorf("settled: %+v, ledger %d, %v", parts, h.ledger(t, o.ID), err)
		}
		// Nothing is made yet: the rest goes back without a second person (row 64).
		h.mustApply(t, o.ID, order.Command{On: order.RefundStart, By: finance, Note: "不再需要"})
		if err := h.RunRefund(t.Context(), o.TradeNo); err != nil || h.pay.returned["R"+o.TradeNo] != 30000 {
			t.Errorf("the rest: %d fen, %v", h.pay.returned["R"+o.TradeNo], err)
		}
	})
}

// Nobody is reminded to correct an order whose money is on its way back.
func TestNoReminderDuringRefund(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		reviewer := h.staff(t, "李审核", "13800000011", order.Reviewer)
		o := h.confirm(t, h.draft(t, nil))
		h.pays(t, o)
		h.mustApply(t, o.ID, order.Command{On: order.Claim, By: reviewer})
		h.mustApply(t, o.ID, order.Command{On: order.Reject, By: reviewer, Reasons: []order.Reason{{Code: "R03"}}})
		h.mustApply(t, o.ID, order.Command{On: order.RefundStart, By: finance, Note: "客户要求"})
		h.advance(8 * 24 * time.Hour)
		if err := h.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if heard := h.heard(t, o.ID, order.NoticeFix); len(heard) > 0 {
			t.Errorf("%d reminders", len(heard))
		}
	})
}

// A gateway that refuses to return money for good is no fault to try for two weeks:
// finance reads why, tries again, or records how it went back (row 67).
func TestRefundRefused(t *testing.T) {
	eachChannel(t, func(t *testing.T, h *house, g *gateway) {
		ctx := t.Context()
		finance := h.staff(t, "吴财务", "13800000016", order.Finance)
		o := h.confirm(t, h.draft(t, nil))
		p := h.pays(t, o)
		h.mustApply(t, o.ID, order.Command{On: order.RefundStart, By: finance, Note: "客户不再需要"})
		g.refused = order.RefundRefused("已超过平台的可退款期限（X）", nil)
		if err := h.RunRefund(ctx, p.TradeNo); err != nil {
			t.Fatalf("tried again and again: %v", err)
		}
		if got, err := h.db.Payment(ctx, p.TradeNo); err != nil || got.Refused != "已超过平台的可退款期限（X）" || h.order(t, o.ID).Refund != order.RefundFailed {
			t.Fatalf("payment %s refused for %q, order %q, %v", got.State, got.Refused, h.order(t, o.ID).Refund, err)
		}
		if late, err := h.db.FailedLateRefunds(ctx, 9); err != nil || len(late) != 0 {
			t.Errorf("the order's own refund is listed as a late payment's: %+v, %v", late, err)
		}
		g.refused = nil
		h.mustApply(t, o.ID, order.Command{On: order.RefundRetry, By: finance})
		if err := h.RunRefund(ctx, p.TradeNo); err != nil {
			t.Fatal(err)
		}
		if got, err := h.db.Payment(ctx, p.TradeNo); err != nil || got.Refused != "" || h.order(t, o.ID).Status != order.Refunded {
			t.Errorf("tried again: %s %q, order %s, %v", got.State, got.Refused, h.order(t, o.ID).State, err)
		}
	})
}

// Row 10: a late payment that does not go back is no order's, and finance has it all
// the same.
func TestLateRefundRefused(t *testing.T) {
	for name, gone := range map[string]bool{"order": false, "order gone": true} {
		t.Run(name, func(t *testing.T) {
			eachDB(t, func(t *testing.T, h *house) {
				ctx := t.Context()
				finance := h.staff(t, "吴财务", "13800000016", order.Finance)
				o := h.confirm(t, h.draft(t, nil))
				p := h.opens(t, o, order.WeChatPay)
				owner := order.Actor{Role: order.Applicant, PersonID: o.PersonID, Channel: order.Web}
				if _, err := h.Edit(ctx, o.ID, owner); err != nil {
					t.Fatal(err)
				}
				if gone {
					if _, err := h.Delete(ctx, o.ID, owner, ""); err != nil {
						t.Fatal(err)
					}
				}
				if err := h.PaymentSucceeded(ctx, h.receipt(p)); err != nil {
					t.Fatal(err)
				}
				h.pay.refused = order.RefundRefused("付款人的账户异常或已注销（X）", nil)
				if err := h.RunRefund(ctx, p.TradeNo); err != nil {
					t.Fatal(err)
				}
				late, err := h.db.FailedLateRefunds(ctx, 9)
				if err != nil || len(late) != 1 || late[0].TradeNo != p.TradeNo || late[0].Refused != "付款人的账户异常或已注销（X）" {
					t.Fatalf("finance has %+v, %v", late, err)
				}
				ns, err := h.db.Notifications(ctx, o.ID)
				if told := slices.ContainsFunc(ns, func(n order.Notification) bool {
					return n.Notice == order.NoticeLateRefundFailed && n.StaffID == finance.StaffID
				}); err != nil || told == gone {
					t.Errorf("finance told: %v, %v", told, err)
				}

				if err := h.RetryLateRefund(ctx, p.TradeNo, owner); codeOf(err) != "refund_not_failed" {
					t.Errorf("retried by the applicant: %v", err)
				}
				if err := h.RetryLateRefund(ctx, p.TradeNo, finance); err != nil {
					t.Fatal(err)
				}
				h.advance(time.Minute)
				if err := h.RunRefund(ctx, p.TradeNo); err != nil { // refused once more
					t.Fatal(err)
				}
				ns, err = h.db.Notifications(ctx, o.ID)
				again := len(slices.DeleteFunc(ns, func(n order.Notification) bool { return n.Notice != order.NoticeLateRefundFailed }))
				if want := map[bool]int{false: 2, true: 0}[gone]; err != nil || again != want {
					t.Errorf("finance told %d times of two failures, want %d, %v", again, want, err)
				}
				if err := h.SettleLateRefund(ctx, p.TradeNo, "", finance); codeOf(err) != "has_note_required" {
					t.Errorf("without a word: %v", err)
				}
				if err := h.SettleLateRefund(ctx, p.TradeNo, "回单 0018", finance); err != nil {
					t.Fatal(err)
				}
				got, err := h.db.Payment(ctx, p.TradeNo)
				if err != nil || got.State != order.PaymentRefunded || !strings.Contains(got.RefundReason, "回单 0018") || h.ledger(t, o.ID) != 0 {
					t.Errorf("settled: %s %q, ledger %d, %v", got.State, got.RefundReason, h.ledger(t, o.ID), err)
				}
				if err := h.SettleLateRefund(ctx, p.TradeNo, "回单 0018", finance); codeOf(err) != "refund_not_failed" {
					t.Errorf("settled twice: %v", err)
				}
			})
		})
	}
}

// Row 65 of a renewal: the new certificate ends, and the one that it had replaced is what
// its holder has left, to use and to renew again.
func TestRefundedRenewalLeavesTheOldCertificate(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		o, by := h.renewedOnNewKey(t)
		if c := h.cert(t); c.SupersededBy == "" {
			t.Fatal("the renewal has replaced nothing")
		}
		h.mustApply(t, o.ID, order.Command{On: order.RefundProposed, By: finance, Note: "客户要求", End: order.KeysReturned})
		h.mustApply(t, o.ID, order.Command{On: order.RefundStart, By: finance2})
		if c, err := h.db.Certificate(t.Context(), newSerial); err != nil || c.State() != certificate.Revoked {
			t.Errorf("the new one: %s, %v", c.State(), err)
		}
		old := h.cert(t)
		if old.SupersededBy != "" || old.State() != certificate.Valid {
			t.Errorf("the old one: %s, replaced by %q", old.State(), old.SupersededBy)
		}
		if n := h.count(t, old.OrderID, order.CertificateReinstated); n != 1 {
			t.Errorf("%d lines in the history of its order", n)
		}
		if due, err := h.db.DueReminders(t.Context(), h.now(), 10); err != nil || !slices.Contains(due, heldSerial) {
			t.Errorf("no reminder looks at it again: %v, %v", due, err)
		}
		if err := h.RunRefund(t.Context(), o.TradeNo); err != nil {
			t.Fatal(err)
		}
		h.advance(31 * 24 * time.Hour) // when the old one would have been retired; it has expired
		if err := h.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if c := h.cert(t); c.State() != certificate.Valid {
			t.Errorf("the old one, a month later: %s", c.State())
		}
		if again, err := h.about("yd-renewal-key", by); err != nil || again.Status != order.Draft {
			t.Errorf("renewed again: %s, %v", again.State, err)
		}
	})
}

// What was revoked before the refund stays so.
func TestRefundedRenewalOfARevokedCertificate(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		o, by := h.renewedOnNewKey(t)
		h.mustRevoke(t, by)
		h.mustApply(t, o.ID, order.Command{On: order.RefundProposed, By: finance, Note: "客户要求", End: order.KeysReturned})
		h.mustApply(t, o.ID, order.Command{On: order.RefundStart, By: finance2})
		old := h.cert(t)
		if old.SupersededBy != "" || old.State() != certificate.Revoked || old.Reason != certificate.KeyCompromise {
			t.Errorf("%s for %s, replaced by %q", old.State(), old.Reason.Name(), old.SupersededBy)
		}
		if n := h.count(t, old.OrderID, order.CertificateReinstated); n != 0 {
			t.Errorf("reinstated %d times", n)
		}
	})
}

// A merchant account that holds too little is asked again and again; on the second day
// finance is told, once, and sees it until there is enough. What is never returned fails
// before its job is given up.
func TestRefundWaitsForBalance(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		finance := h.staff(t, "吴财务", "13800000016", order.Finance)
		h.pay.refused = order.BalanceLow(errors.New("NOT_ENOUGH"))
		whole := h.confirm(t, h.draft(t, nil))
		trade := h.pays(t, whole).TradeNo
		h.mustApply(t, whole.ID, order.Command{On: order.RefundStart, By: finance, Note: "不办了"})
		part := h.approved(t, nil)
		h.mustApply(t, part.ID, order.Command{On: order.GiveUpKeys, By: finance, Keys: 1, Note: "电话同意"})
		parts, err := h.db.PartRefunds(ctx, part.ID)
		if err != nil || len(parts) != 1 {
			t.Fatalf("parts %+v, %v", parts, err)
		}
		told := func(id order.ID) (n int) {
			t.Helper()
			all, err := h.db.Notifications(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			for _, one := range all {
				if one.Notice == order.NoticeRefundHeld && one.StaffID == finance.StaffID {
					n++
				}
			}
			return n
		}
		run := func(when string, after time.Duration, failure string, held int) {
			t.Helper()
			h.advance(after)
			for name, err := range map[string]error{"whole": h.RunRefund(ctx, trade), "part": h.RunPartRefund(ctx, parts[0].RefundNo)} {
				if codeOf(err) != failure {
					t.Errorf("%s: %s: %v, want %q", when, name, err, failure)
				}
			}
			waiting, err := h.db.HeldRefunds(ctx, 9)
			if err != nil || len(waiting) != held {
				t.Errorf("%s: finance sees %+v, %v", when, waiting, err)
			}
		}
		const low = "merchant_balance_low"
		run("at once", 0, low, 0)
		run("in the evening", 8*time.Hour, low, 0)
		run("on the second day", 16*time.Hour, low, 2)
		h.pay.refused = order.Errorf(order.Unavailable, "payment_unavailable", "稍后再试")
		run("the line is down", time.Hour, "payment_unavailable", 2)
		h.pay.refused = order.BalanceLow(errors.New("NOT_ENOUGH"))
		run("an hour later", time.Hour, low, 2)
		if a, b := told(whole.ID), told(part.ID); a != 1 || b != 1 {
			t.Errorf("finance was told %d and %d times", a, b)
		}
		h.pay.refused, h.pay.refund = nil, order.RefundProcessing
		run("topped up", time.Hour, "refund_processing", 0)
		h.pay.refused, h.pay.refund = order.BalanceLow(errors.New("NOT_ENOUGH")), order.RefundDone
		run("after ten days", 10*24*time.Hour, codeOf(nil), 0)
		got, err := h.db.PartRefunds(ctx, part.ID)
		if o := h.order(t, whole.ID); err != nil || o.Refund != order.RefundFailed || got[0].State != order.PaymentRefundFailed {
			t.Errorf("given up: %q, %s, %v", o.Refund, got[0].State, err)
		}
		h.pay.refused = nil
		h.mustApply(t, whole.ID, order.Command{On: order.RefundRetry, By: finance})
		run("again", 0, codeOf(nil), 0)
		if p, err := h.db.Payment(ctx, trade); err != nil || p.State != order.PaymentRefunded || p.Refused != "" {
			t.Errorf("at last: %s %q, %v", p.State, p.Refused, err)
		}
	})
}

// refunding is one way in which money goes back: of a whole order, of keys that were given
// up, of a payment that is no order's.
type refunding struct {
	id    order.ID
	no    string // of its first refund
	run   func() error
	retry func() error
	hand  func() error // settles it by a transfer
	state func() order.PaymentState
	told  order.Notice
}

// eachRefunding runs the test for each of them, on both databases.
func eachRefunding(t *testing.T, test func(t *testing.T, h *house, r refunding)) {
	ways := map[string]func(t *testing.T, h *house, finance order.Actor) refunding{
		"an order": func(t *testing.T, h *house, finance order.Actor) refunding {
			o := h.confirm(t, h.draft(t, nil))
			p := h.pays(t, o)
			h.mustApply(t, o.ID, order.Command{On: order.RefundStart, By: finance, Note: "不办了"})
			apply := func(c order.Command) error { _, err := h.Apply(t.Context(), o.ID, c); return err }
			return refunding{
				id: o.ID, no: "R" + p.TradeNo, run: func() error { return h.RunRefund(t.Context(), p.TradeNo) }, told: order.NoticeRefundFailed,
				retry: func() error { return apply(order.Command{On: order.RefundRetry, By: finance}) },
				hand:  func() error { return apply(order.Command{On: order.RefundByHand, By: finance, Note: "回单 1"}) },
				state: func() order.PaymentState { return h.payment(t, p.TradeNo).State },
			}
		},
		"a late payment": func(t *testing.T, h *house, finance order.Actor) refunding {
			o := h.confirm(t, h.draft(t, nil))
			p := h.opens(t, o, order.WeChatPay)
			if _, err := h.Edit(t.Context(), o.ID, order.Actor{Role: order.Applicant, PersonID: o.PersonID, Channel: order.Web}); err != nil {
				t.Fatal(err)
			}
			if err := h.PaymentSucceeded(t.Context(), h.receipt(p)); err != nil {
				t.Fatal(err)
			}
			return refunding{
				id: o.ID, no: "R" + p.TradeNo, run: func() error { return h.RunRefund(t.Context(), p.TradeNo) }, told: order.NoticeLateRefundFailed,
				retry: func() error { return h.RetryLateRefund(t.Context(), p.TradeNo, finance) },
				hand:  func() error { return h.SettleLateRefund(t.Context(), p.TradeNo, "回单 1", finance) },
				state: func() order.PaymentState { return h.payment(t, p.TradeNo).State },
			}
		},
		"keys": func(t *testing.T, h *house, finance order.Actor) refunding {
			o := h.approved(t, nil)
			h.mustApply(t, o.ID, order.Command{On: order.GiveUpKeys, By: finance, Keys: 1, Note: "电话同意"})
			part := func() order.PartRefund {
				parts, err := h.db.PartRefunds(t.Context(), o.ID)
				if err != nil || len(parts) != 1 {
					t.Fatalf("parts %+v, %v", parts, err)
				}
				return parts[0]
			}
			no := part().RefundNo
			return refunding{
				id: o.ID, no: no, run: func() error { return h.RunPartRefund(t.Context(), no) }, told: order.NoticePartRefundFailed,
				retry: func() error { return h.RetryPartRefund(t.Context(), o.ID, no, finance) },
				hand:  func() error { return h.SettlePartRefund(t.Context(), o.ID, no, "回单 1", finance) },
				state: func() order.PaymentState { return part().State },
			}
		},
	}
	for name, begin := range ways {
		t.Run(name, func(t *testing.T) {
			eachDB(t, func(t *testing.T, h *house) {
				test(t, h, begin(t, h, h.staff(t, "吴财务", "13800000016", order.Finance)))
			})
		})
	}
}

func (h *house) payment(t *testing.T, tradeNo string) order.Payment {
	t.Helper()
	p, err := h.db.Payment(t.Context(), tradeNo)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// toldFinance is how often finance was told a notice.
func (h *house) toldFinance(t *testing.T, id order.ID, n order.Notice) (count int) {
	t.Helper()
	all, err := h.db.Notifications(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		if one.Notice == n && one.StaffID != "" {
			count++
		}
	}
	return count
}

// A refund that the platform has closed never moves money: the next try has a number of
// its own, the same one however often it is made, and comes only when finance asks.
func TestRefundClosed(t *testing.T) {
	eachRefunding(t, func(t *testing.T, h *house, r refunding) {
		h.pay.ends[r.no] = order.RefundClosed
		// Two workers ask at once; the slower one hears the old number's end last.
		h.pay.meanwhile = func() {
			if err := r.run(); err != nil {
				t.Error(err)
			}
		}
		if err := r.run(); err != nil {
			t.Errorf("the slower worker: %v", err)
		}
		h.advance(48 * time.Hour)
		if err := errors.Join(h.Sweep(t.Context()), r.run()); err != nil {
			t.Fatal(err)
		}
		if r.state() != order.PaymentRefundFailed || h.pay.refunds[r.no] != 2 || h.toldFinance(t, r.id, r.told) != 1 {
			t.Fatalf("closed: %s, asked %v, finance told %d times", r.state(), h.pay.refunds, h.toldFinance(t, r.id, r.told))
		}
		h.pay.ends[r.no+"_2"] = order.RefundClosed // still no balance
		if err := errors.Join(r.retry(), r.run(), r.retry()); err != nil {
			t.Fatal(err)
		}
		for range 3 { // the job runs at least once
			if err := r.run(); err != nil {
				t.Fatal(err)
			}
		}
		if got := h.pay.back(); r.state() != order.PaymentRefunded || !slices.Equal(got, []string{r.no + "_3"}) || h.pay.refunds[r.no] != 2 {
			t.Errorf("at last: %s, money back under %v, asked %v", r.state(), got, h.pay.refunds)
		}
		if err := r.hand(); err == nil {
			t.Error("a transfer beside it")
		}
	})
}

// A worker that heard of a closed number while the next one is already under way does not
// take the money back a second time.
func TestRefundClosedHeardLate(t *testing.T) {
	eachRefunding(t, func(t *testing.T, h *house, r refunding) {
		h.pay.ends[r.no] = order.RefundClosed
		h.pay.ends[r.no+"_2"] = order.RefundProcessing
		h.pay.meanwhile = func() {
			if err := errors.Join(r.run(), r.retry()); err != nil {
				t.Error(err)
			}
			if err := r.run(); !errors.Is(err, order.Unavailable) {
				t.Errorf("under way: %v", err)
			}
		}
		if err := r.run(); err != nil {
			t.Errorf("the slower worker: %v", err)
		}
		if r.state() != order.PaymentRefunding {
			t.Fatalf("the second try is %s", r.state())
		}
		h.pay.ends[r.no+"_2"] = order.RefundDone
		if err := r.run(); err != nil {
			t.Fatal(err)
		}
		if got := h.pay.back(); r.state() != order.PaymentRefunded || !slices.Equal(got, []string{r.no + "_2"}) {
			t.Errorf("%s, money back under %v", r.state(), got)
		}
	})
}

// A refund that the payer's bank has sent back waits at the platform for a person: finance
// is told once, it is asked about under its number until it has arrived, and booked then.
func TestRefundAbnormal(t *testing.T) {
	eachRefunding(t, func(t *testing.T, h *house, r refunding) {
		h.pay.ends[r.no] = order.RefundAbnormal
		if err := r.run(); err != nil || r.state() != order.PaymentRefundFailed {
			t.Fatalf("%s, %v", r.state(), err)
		}
		for range 5 {
			h.advance(time.Hour + time.Second)
			if err := errors.Join(h.Sweep(t.Context()), r.run()); err != nil {
				t.Fatal(err)
			}
		}
		if asked := h.pay.refunds[r.no]; asked < 6 || r.state() != order.PaymentRefundFailed || h.toldFinance(t, r.id, r.told) != 1 {
			t.Fatalf("not settled yet: %s, asked %d times, told %d times", r.state(), asked, h.toldFinance(t, r.id, r.told))
		}
		h.pay.ends[r.no] = order.RefundDone // somebody has seen to it in the merchant's console
		for range 3 {
			h.advance(time.Hour + time.Second)
			if err := errors.Join(h.Sweep(t.Context()), r.run()); err != nil {
				t.Fatal(err)
			}
		}
		if got := h.pay.back(); r.state() != order.PaymentRefunded || len(h.pay.refunds) != 1 || !slices.Equal(got, []string{r.no}) {
			t.Errorf("%s, asked %v", r.state(), h.pay.refunds)
		}
		asked := h.pay.refunds[r.no]
		h.advance(24 * time.Hour)
		if err := errors.Join(h.Sweep(t.Context()), r.run()); err != nil || h.pay.refunds[r.no] != asked {
			t.Errorf("asked on, %v", err)
		}
	})
}

// What finance has settled by a transfer is not asked about any more.
func TestRefundAbnormalByHand(t *testing.T) {
	eachRefunding(t, func(t *testing.T, h *house, r refunding) {
		h.pay.ends[r.no] = order.RefundAbnormal
		if err := errors.Join(r.run(), r.hand()); err != nil {
			t.Fatal(err)
		}
		asked := h.pay.refunds[r.no]
		h.advance(24 * time.Hour)
		if err := errors.Join(h.Sweep(t.Context()), r.run()); err != nil || r.state() != order.PaymentRefunded || h.pay.refunds[r.no] != asked {
			t.Errorf("%s, asked %d times, %v", r.state(), h.pay.refunds[r.no]-asked, err)
		}
	})
}
