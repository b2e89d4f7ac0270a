package order_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

// Reliability 1: the same notification a thousand times is one change.
func TestPaidOnce(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		o := h.confirm(t, h.draft(t, nil))
		p := h.opens(t, o, order.WeChatPay)
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				for range 20 {
					if err := h.PaymentSucceeded(context.Background(), h.receipt(p)); err != nil {
						t.Errorf("repeat: %v", err)
						return
					}
				}
			})
		}
		wg.Wait()
		events, err := h.db.Events(t.Context(), o.ID)
		if err != nil {
			t.Fatal(err)
		}
		paid := slices.DeleteFunc(events, func(e order.EventRecord) bool { return e.Event != order.Paid })
		if len(paid) != 1 {
			t.Errorf("%d payments in the history", len(paid))
		}
	})
}

// Another amount is refused and changes nothing (reliability 2).
func TestWrongAmount(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		o := h.confirm(t, h.draft(t, nil))
		p := h.opens(t, o, order.WeChatPay)
		for _, off := range []order.Fen{-1, 1} {
			r := h.receipt(p)
			r.Amount += off
			if err := h.PaymentSucceeded(t.Context(), r); !errors.Is(err, order.Forbidden) {
				t.Errorf("off by %d: %v", off, err)
			}
		}
		if o := h.order(t, o.ID); o.Status != order.AwaitingPayment {
			t.Errorf("order is %s", o.State)
		}
	})
}

// Row 10: money for a trade that is not current goes back, once.
func TestLatePaymentGoesBack(t *testing.T) {
	tests := []struct {
		name  string
		after func(t *testing.T, h *house, o order.Order) // after the first trade was opened
		want  order.Status
	}{
		{"second trade of a paid order", func(t *testing.T, h *house, o order.Order) {
			h.advance(3 * time.Hour)
			h.pays(t, o)
		}, order.InReview},
		{"back in the form", func(t *testing.T, h *house, o order.Order) {
			if _, err := h.Edit(t.Context(), o.ID, order.Actor{Role: order.Applicant, PersonID: o.PersonID}); err != nil {
				t.Fatal(err)
			}
		}, order.Draft},
		{"deleted", func(t *testing.T, h *house, o order.Order) {
			if _, err := h.Delete(t.Context(), o.ID, order.Actor{Role: order.Applicant, PersonID: o.PersonID}, ""); err != nil {
				t.Fatal(err)
			}
		}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			eachChannel(t, func(t *testing.T, h *house, g *gateway) {
				o := h.confirm(t, h.draft(t, nil))
				first := h.opens(t, o, h.through)
				tt.after(t, h, o)
				for range 2 {
					if err := h.PaymentSucceeded(t.Context(), h.receipt(first)); err != nil {
						t.Fatal(err)
					}
				}
				for range 2 {
					if err := h.RunRefund(t.Context(), first.TradeNo); err != nil {
						t.Fatal(err)
					}
				}
				p, err := h.db.Payment(t.Context(), first.TradeNo)
				if err != nil || p.State != order.PaymentRefunded || g.refunds[p.RefundNo] != 1 {
					t.Errorf("payment %s, refunded %d times, %v", p.State, g.refunds[p.RefundNo], err)
				}
				if tt.want != "" && h.order(t, o.ID).Status != tt.want {
					t.Errorf("order is %s, want %s", h.order(t, o.ID).State, tt.want)
				}
			})
		})
	}
}

// F62: one order paid by WeChat Pay and by Alipay is paid once. The other money goes
// back through the gateway it came through, and only there.
func TestPaidThroughBothChannels(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		o := h.confirm(t, h.draft(t, nil))
		open := func(c order.PayChannel) order.Payment {
			p := h.opens(t, o, c)
			return p
		}
		wechat := open(order.WeChatPay)
		alipay := open(order.Alipay)
		if again := open(order.Alipay); wechat.TradeNo == alipay.TradeNo || again.TradeNo != alipay.TradeNo {
			t.Errorf("trades %s, %s, %s", wechat.TradeNo, alipay.TradeNo, again.TradeNo)
		}
		if got, err := h.db.Payment(ctx, alipay.TradeNo); err != nil || got.Channel != order.Alipay || h.pay.trades[alipay.TradeNo] != "" {
			t.Errorf("payment %+v, %v", got, err)
		}
		// Each gateway speaks for its own trades only.
		foreign := h.receipt(alipay)
		foreign.Channel = order.WeChatPay
		if err := h.PaymentSucceeded(ctx, foreign); !errors.Is(err, order.Forbidden) {
			t.Errorf("WeChat Pay about a trade of Alipay's: %v", err)
		}
		for _, p := range []order.Payment{alipay, wechat, alipay, wechat} {
			if err := h.PaymentSucceeded(ctx, h.receipt(p)); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			if err := h.RunRefund(ctx, wechat.TradeNo); err != nil {
				t.Fatal(err)
			}
		}
		if now := h.order(t, o.ID); now.Stage != order.Queued || now.TradeNo != alipay.TradeNo {
			t.Errorf("order %s, paid by trade %s", now.State, now.TradeNo)
		}
		if len(h.pay.refunds) != 1 || h.pay.refunds["R"+wechat.TradeNo] != 1 || len(h.alipay.refunds) != 0 {
			t.Errorf("refunds: WeChat Pay %v, Alipay %v", h.pay.refunds, h.alipay.refunds)
		}
		if got := h.ledger(t, o.ID); got != o.Amount {
			t.Errorf("%d fen in the ledger", got)
		}
	})
}

// G32: what a surface offers, and that it takes nothing else.
func TestPayChannels(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		o := h.confirm(t, h.draft(t, nil))
		open := func(on order.Channel, c order.PayChannel) string {
			_, err := h.OpenPayment(t.Context(), o.ID, order.Actor{Role: order.Applicant, PersonID: o.PersonID, Channel: on}, c)
			return codeOf(err)
		}
		both, wechat := []order.PayChannel{order.WeChatPay, order.Alipay}, []order.PayChannel{order.WeChatPay}
		offers := func(what string, want map[order.Channel][]order.PayChannel) {
			t.Helper()
			for on, channels := range want {
				if got := h.PayChannels(on); !slices.Equal(got, channels) {
					t.Errorf("%s: %q offers %v, want %v", what, on, got, channels)
				}
				for _, c := range append(both, "cash", "") {
					refused := open(on, c) == "pay_channel_unavailable"
					if refused == slices.Contains(channels, c) {
						t.Errorf("%s: %q through %q, refused: %t", what, c, on, refused)
					}
				}
			}
		}
		offers("both configured", map[order.Channel][]order.PayChannel{order.Web: both, order.OfficialAcc: wechat, order.MiniProgram: wechat, "": nil})
		h.Service = order.NewService(order.Deps{Store: h.db, Gateways: map[order.PayChannel]order.PaymentGateway{order.WeChatPay: h.pay}, Calendar: h.calendar(t), Catalogue: h.Catalogue, Now: h.now, NewID: h.newID})
		offers("without Alipay", map[order.Channel][]order.PayChannel{order.Web: wechat, order.OfficialAcc: wechat})
	})
}

// A trade of a channel that is configured no longer waits for it; nothing is lost or
// asked of another gateway.
func TestChannelSwitchedOff(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		h.through = order.Alipay
		o := h.confirm(t, h.draft(t, nil))
		p := h.pays(t, o)
		h.mustApply(t, o.ID, order.Command{On: order.RefundStart, By: finance, Note: "不办了"})
		h.Service = order.NewService(order.Deps{Store: h.db, Gateways: map[order.PayChannel]order.PaymentGateway{order.WeChatPay: h.pay}, Calendar: h.calendar(t), Catalogue: h.Catalogue, Now: h.now, NewID: h.newID})
		if err := h.RunRefund(t.Context(), p.TradeNo); !errors.Is(err, order.Unavailable) || len(h.pay.refunds) != 0 {
			t.Errorf("refund: %v, WeChat Pay was asked for %v", err, h.pay.refunds)
		}
		h.Service = order.NewService(order.Deps{Store: h.db, Gateways: h.gateways(), Calendar: h.calendar(t), Catalogue: h.Catalogue, Now: h.now, NewID: h.newID})
		if err := h.RunRefund(t.Context(), p.TradeNo); err != nil || h.order(t, o.ID).Status != order.Refunded {
			t.Errorf("configured again: %v, order %s", err, h.order(t, o.ID).State)
		}
	})
}

// A code that nobody had scanned when its trade was closed can still be paid at Alipay
// until its time is over. When the notification is lost too, the last question finds
// the money, and it goes back.
func TestPaidAfterTheClose(t *testing.T) {
	eachChannel(t, func(t *testing.T, h *house, g *gateway) {
		ctx := t.Context()
		o := h.confirm(t, h.draft(t, nil))
		by := order.Actor{Role: order.Applicant, PersonID: o.PersonID, Channel: order.Web}
		p := h.opens(t, o, h.through)
		if _, err := h.Edit(ctx, o.ID, by); err != nil {
			t.Fatal(err)
		}
		g.trades[p.TradeNo] = order.TradePaid
		due := func() bool {
			ps, err := h.db.DueQueries(ctx, h.now(), 9)
			if err != nil {
				t.Fatal(err)
			}
			return len(ps) == 1 && ps[0].TradeNo == p.TradeNo
		}
		if h.advance(time.Hour); due() {
			t.Error("asked about while it may still be paid")
		}
		h.advance(time.Hour + time.Minute)
		if !due() {
			t.Fatal("nobody asks about the closed trade")
		}
		if err := h.Sweep(ctx); err != nil {
			t.Fatal(err)
		}
		if due() {
			t.Error("asked about more than once")
		}
		for range 2 {
			if err := h.CheckPayment(ctx, p.TradeNo); err != nil { // what the sweep has enqueued
				t.Fatal(err)
			}
			if err := h.RunRefund(ctx, p.TradeNo); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := h.db.Payment(ctx, p.TradeNo); err != nil || got.State != order.PaymentRefunded || g.refunds[got.RefundNo] != 1 || h.order(t, o.ID).Status != order.Draft {
			t.Errorf("payment %s, refunds %v, order %s, %v", got.State, g.refunds, h.order(t, o.ID).State, err)
		}
	})
}

// F60: Alipay says nothing of a bank's refusal. A payer who gives up closes the trade,
// which we did not; the page says so, and once.
func TestPayerGivesUp(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		o := h.confirm(t, h.draft(t, nil))
		p := h.opens(t, o, order.Alipay)
		h.alipay.trades[p.TradeNo] = order.TradeShut
		for range 3 {
			if err := h.CheckPayment(ctx, p.TradeNo); err != nil {
				t.Fatal(err)
			}
		}
		events, err := h.db.Events(ctx, o.ID)
		if err != nil {
			t.Fatal(err)
		}
		failed := slices.DeleteFunc(slices.Clone(events), func(e order.EventRecord) bool { return e.Event != order.PayFailed })
		if len(failed) != 1 || events[len(events)-1].Event != order.PayFailed || h.order(t, o.ID).Status != order.AwaitingPayment {
			t.Errorf("%d failures of %d events, order %s", len(failed), len(events), h.order(t, o.ID).State)
		}
	})
}

// F60: a payment that the bank refused shows, leaves the order to be paid, and the
// next QR code is another trade; the refused one can no longer be paid.
func TestPaymentFails(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		o := h.confirm(t, h.draft(t, nil))
		by := order.Actor{Role: order.Applicant, PersonID: o.PersonID, Channel: order.Web}
		first := h.opens(t, o, order.WeChatPay)
		h.pay.trades[first.TradeNo] = order.TradeFailed
		for range 2 { // the second question finds it settled
			if err := h.CheckPayment(ctx, first.TradeNo); err != nil {
				t.Fatal(err)
			}
		}
		events, err := h.db.Events(ctx, o.ID)
		if err != nil {
			t.Fatal(err)
		}
		if last, now := events[len(events)-1], h.order(t, o.ID); last.Event != order.PayFailed || now.Status != order.AwaitingPayment {
			t.Errorf("after the failure: %s, %s", last.Event, now.State)
		}
		if events[len(events)-2].Event == order.PayFailed || h.pay.trades[first.TradeNo] != order.TradeShut {
			t.Errorf("told twice, or the trade is %s", h.pay.trades[first.TradeNo])
		}
		second, err := h.OpenPayment(ctx, o.ID, by, order.WeChatPay)
		if err != nil || second.TradeNo == first.TradeNo {
			t.Fatalf("paying again: trade %s, %v", second.TradeNo, err)
		}
		h.pays(t, h.order(t, o.ID))
		if o := h.order(t, o.ID); o.Stage != order.Queued {
			t.Errorf("paid at last: %s", o.State)
		}
	})
}
