package order_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

// issueReceipt issues one without its paper.
func (h *house) issueReceipt(t *testing.T, id order.ID, by order.Actor) (order.ProgressReceipt, string, error) {
	t.Helper()
	r, code, err := h.NewReceipt(t.Context(), id, by)
	if err != nil {
		return r, code, err
	}
	r, err = h.IssueReceipt(t.Context(), r, by)
	return r, code, err
}

// statement is how an order stands now.
func (h *house) statement(t *testing.T, id order.ID) order.Statement {
	t.Helper()
	events, err := h.db.Events(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return order.StatementOf(h.order(t, id), events)
}

// A code is twenty characters of which none is mistaken, however it is typed.
func TestReceiptCode(t *testing.T) {
	for typed, want := range map[string]string{
		"0123-4567-89AB-CDEF-GHJK": "0123456789ABCDEFGHJK", " o1i3 4567 89ab cdef ghjl ": "011345678" + "9ABCDEFGHJ1",
	} {
		if got, ok := order.ReceiptCode(typed); !ok || got != want {
			t.Errorf("%q is %q, %t", typed, got, ok)
		}
	}
	for _, typed := range []string{"", "0123", "0123456789ABCDEFGHJU", "0123456789ABCDEFGHJKM", "二维码"} {
		if _, ok := order.ReceiptCode(typed); ok {
			t.Errorf("%q is taken for a code", typed)
		}
	}
	if got := order.GroupedCode("0123456789ABCDEFGHJK"); got != "0123-4567-89AB-CDEF-GHJK" {
		t.Error(got)
	}
}

// A receipt is issued for a paid order, says how it stands and since when, holds
// thirty days or until it is withdrawn, and five of an order hold at a time.
func TestProgressReceipt(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		reviewer := h.staff(t, "李审核", "13800000011", order.Reviewer)
		o := h.confirm(t, h.draft(t, nil))
		mine := h.owner(o)
		if _, _, err := h.issueReceipt(t, o.ID, mine); codeOf(err) != "receipt_too_early" {
			t.Errorf("before it is paid: %v", err)
		}
		h.pays(t, o)
		r, code, err := h.issueReceipt(t, o.ID, mine)
		if err != nil {
			t.Fatal(err)
		}
		kept, err := h.db.ReceiptByCode(ctx, order.ReceiptHash(code))
		if err != nil || kept.ID != r.ID || !kept.Equal(r.Statement) || !kept.Holds(h.now()) || kept.Company != o.Company || kept.USCC != o.USCC || kept.OrderNo != o.No || kept.State != "已受理，等待审核" {
			t.Errorf("kept %+v, %v", kept, err)
		}
		if !kept.ExpiresAt.Equal(kept.IssuedAt.Add(30 * 24 * time.Hour)) {
			t.Errorf("issued %s, until %s", kept.IssuedAt, kept.ExpiresAt)
		}
		if _, _, err := h.issueReceipt(t, o.ID, order.Actor{Role: order.Applicant, PersonID: "somebody", Channel: order.Web}); !errors.Is(err, order.NotFound) {
			t.Errorf("somebody else: %v", err)
		}

		h.advance(time.Hour)
		claimed := h.now()
		if err := h.RecordRealName(ctx, o.ID, 1, order.RealNameMatch); err != nil {
			t.Fatal(err)
		}
		h.mustApply(t, o.ID, order.Command{On: order.Claim, By: reviewer})
		h.advance(time.Minute)
		if s := h.statement(t, o.ID); s.State != "审核中" || !s.Since.Equal(claimed) {
			t.Errorf("under review: %+v, want since %s", s, claimed)
		}
		h.mustApply(t, o.ID, order.Command{On: order.Reject, By: reviewer, Reasons: []order.Reason{{Code: "R03"}}})
		if s := h.statement(t, o.ID); s.State != "审核未通过，等待补正材料" {
			t.Errorf("rejected: %+v", s)
		}

		for range order.MaxReceipts - 1 {
			h.advance(time.Minute)
			if _, _, err := h.issueReceipt(t, o.ID, mine); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := h.issueReceipt(t, o.ID, mine); codeOf(err) != "too_many_receipts" {
			t.Errorf("one too many: %v", err)
		}
		if _, err := h.WithdrawReceipt(ctx, o.ID, r.ID, order.Actor{Role: order.Applicant, PersonID: "somebody"}); !errors.Is(err, order.NotFound) {
			t.Errorf("somebody else withdraws: %v", err)
		}
		for range 2 {
			if _, err := h.WithdrawReceipt(ctx, o.ID, r.ID, mine); err != nil {
				t.Fatal(err)
			}
		}
		if kept, err = h.db.Receipt(ctx, o.ID, r.ID); err != nil || kept.Holds(h.now()) || !kept.WithdrawnAt.Equal(h.now()) {
			t.Errorf("withdrawn: %+v, %v", kept, err)
		}
		h.advance(time.Minute)
		last, _, err := h.issueReceipt(t, o.ID, mine)
		if err != nil {
			t.Errorf("in the place of the withdrawn one: %v", err)
		}
		if all, err := h.db.Receipts(ctx, o.ID); err != nil || len(all) != order.MaxReceipts+1 || all[0].ID != last.ID {
			t.Errorf("%d receipts, %v", len(all), err)
		}
		h.advance(order.ReceiptLife)
		if last.Holds(h.now()) {
			t.Error("it holds for ever")
		}
	})
}

// What is said of an order that has come to its end: shipped, and paid back.
func TestStatementOfTheEnd(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		o, _ := h.finished(t, nil)
		shipped := h.now()
		h.advance(time.Hour)
		h.mustApply(t, o.ID, order.Command{On: order.CourierMoved, By: order.Actor{Role: order.Courier, Channel: order.Internal}, TrackingNo: o.TrackingNo, Parcel: order.ParcelInTransit, Note: "已揽收"})
		if s := h.statement(t, o.ID); s.State != "已制证，UKEY 已寄出" || !s.Since.Equal(shipped) {
			t.Errorf("shipped: %+v, want since %s", s, shipped)
		}
		o2 := h.confirm(t, h.draft(t, nil))
		h.pays(t, o2)
		h.advance(time.Minute)
		began := h.now()
		finance := h.staff(t, "钱财务", "13800000015", order.Finance)
		h.mustApply(t, o2.ID, order.Command{On: order.RefundStart, By: finance, Note: "不办了"})
		if s := h.statement(t, o2.ID); s.State != "正在退款，不再办理" || !s.Since.Equal(began) {
			t.Errorf("in refund: %+v, want since %s", s, began)
		}
		if _, _, err := h.issueReceipt(t, o2.ID, h.owner(o2)); codeOf(err) != "receipt_order_ended" {
			t.Errorf("a receipt of it: %v", err)
		}
	})
}

// Who presses the button twice, at once or one after the other, has one receipt, also
// when it was the last that he may have.
func TestReceiptIssuedTwice(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		o := h.confirm(t, h.draft(t, nil))
		mine := h.owner(o)
		h.pays(t, o)
		for n := 1; n <= order.MaxReceipts; n++ {
			h.advance(time.Minute)
			var made [3]order.ProgressReceipt
			for i := range made {
				var err error
				if made[i], _, err = h.NewReceipt(ctx, o.ID, mine); err != nil {
					t.Fatal(err)
				}
			}
			for i, r := range made {
				if got, err := h.IssueReceipt(ctx, r, mine); err != nil || got.ID != made[0].ID {
					t.Errorf("receipt %d, press %d: %s, want %s, %v", n, i, got.ID, made[0].ID, err)
				}
			}
			if all, err := h.db.Receipts(ctx, o.ID); err != nil || len(all) != n {
				t.Errorf("%d receipts, want %d, %v", len(all), n, err)
			}
		}
		var all sync.WaitGroup
		h2 := h.confirm(t, h.draft(t, nil))
		h.pays(t, h2)
		for range 4 {
			r, _, err := h.NewReceipt(ctx, h2.ID, mine)
			if err != nil {
				t.Fatal(err)
			}
			all.Go(func() {
				if _, err := h.IssueReceipt(ctx, r, mine); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if got, err := h.db.Receipts(ctx, h2.ID); err != nil || len(got) != 1 {
			t.Errorf("in parallel: %d receipts, %v", len(got), err)
		}
	})
}
