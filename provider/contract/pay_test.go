package contract

import (
	"context"
	"crypto/rsa"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/provider/sim"
)

func (w *world) trade(no string) order.Payment {
	return order.Payment{
		TradeNo: no, OrderID: "01JD8ZK3V0Q4M6Y2T9R7W5X1AB", Amount: 30000, RefundNo: "R" + no, RefundReason: "重复支付",
		ExpiresAt: w.sim.Now().Add(2 * time.Hour),
	}
}

// eachGateway runs a test with each client as the gateway.
func eachGateway(t *testing.T, test func(t *testing.T, w *world)) {
	for _, c := range []order.PayChannel{order.WeChatPay, order.Alipay} {
		t.Run(string(c), func(t *testing.T) {
			w := newWorld(t)
			w.through, w.gateway = c, w.gatewayOf(c, keys().merchant)
			test(t, w)
		})
	}
}

func (w *world) gatewayOf(c order.PayChannel, key *rsa.PrivateKey) order.PaymentGateway {
	if c == order.Alipay {
		return w.shop(key)
	}
	return w.merchant(key)
}

// unpaid is what the gateway says of a trade whose code nobody has scanned.
func (w *world) unpaid() order.TradeStatus {
	if w.through == order.Alipay {
		return order.TradeUnknown
	}
	return order.TradeUnpaid
}

// family is the simulator's name of the gateway's calls of a kind.
func (w *world) family(kind string) string {
	if w.through == order.Alipay {
		return "alipay." + strings.Replace(kind, "native", "precreate", 1)
	}
	return "pay." + kind
}

func (w *world) prepay(p order.Payment) string {
	w.t.Helper()
	code, err := w.gateway.Prepay(w.t.Context(), p, "招标项目证书")
	if err != nil {
		w.t.Fatal(err)
	}
	return code
}

func (w *world) status(tradeNo string) (order.TradeStatus, order.Receipt) {
	w.t.Helper()
	status, receipt, err := w.gateway.Query(w.t.Context(), tradeNo)
	if err != nil {
		w.t.Fatal(err)
	}
	return status, receipt
}

func TestPaymentIsNotifiedAndFoundByQuery(t *testing.T) { // F58, F62
	eachGateway(t, func(t *testing.T, w *world) {
		p := w.trade("T00000000001")
		code := w.prepay(p)
		if again := w.prepay(p); again != code {
			t.Errorf("asking again gave another code: %s, %s", code, again)
		}
		if status, _ := w.status(p.TradeNo); status != w.unpaid() {
			t.Errorf("status = %s", status)
		}
		w.operate(code, "pay", 0)

		status, queried := w.status(p.TradeNo)
		receipts, refused := w.heard()
		if status != order.TradePaid || len(receipts) != 1 || len(refused) != 0 {
			t.Fatalf("status %s, receipts %v, refused %v", status, receipts, refused)
		}
		if diff := cmp.Diff(queried, receipts[0]); diff != "" {
			t.Errorf("query and notification differ:\n%s", diff)
		}
		if queried.TradeNo != p.TradeNo || queried.Amount != p.Amount || queried.TransactionID == "" || w.sim.Now().Sub(queried.PaidAt) > time.Minute {
			t.Errorf("receipt = %+v", queried)
		}
	})
}

func TestLostNotificationIsFoundByQuery(t *testing.T) { // F62
	eachGateway(t, func(t *testing.T, w *world) {
		p := w.trade("T00000000001")
		w.operate(w.prepay(p), "lose", 0)
		w.settle()
		status, receipt := w.status(p.TradeNo)
		if receipts, _ := w.heard(); len(receipts) != 0 || status != order.TradePaid || receipt.Amount != p.Amount {
			t.Errorf("heard %v, queried %s %+v", receipts, status, receipt)
		}
	})
}

func TestRepeatedNotificationSaysTheSame(t *testing.T) { // F62
	eachGateway(t, func(t *testing.T, w *world) {
		code := w.prepay(w.trade("T00000000001"))
		w.operate(code, "pay", 0)
		w.operate(code, "repeat", 3)
		receipts, _ := w.heard()
		if len(receipts) != 4 {
			t.Fatalf("receipts: %v", receipts)
		}
		for _, r := range receipts[1:] {
			if r != receipts[0] {
				t.Errorf("%+v and %+v differ", receipts[0], r)
			}
		}
	})
}

func TestForgedNotificationIsRefused(t *testing.T) { // reliability 2
	eachGateway(t, func(t *testing.T, w *world) {
		p := w.trade("T00000000001")
		w.operate(w.prepay(p), "forged", 0)
		receipts, refused := w.heard()
		if len(receipts) != 0 || len(refused) != 1 || refused[0] != "notification_refused: bad signature" {
			t.Errorf("receipts %v, refused %v", receipts, refused)
		}
		if status, _ := w.status(p.TradeNo); status != w.unpaid() {
			t.Errorf("status = %s", status)
		}
	})
}

// Signed by the gateway, one fen short: the receipt says so and the domain, which
// knows the price, refuses it.
func TestWrongAmountIsReported(t *testing.T) {
	eachGateway(t, func(t *testing.T, w *world) {
		p := w.trade("T00000000001")
		w.operate(w.prepay(p), "wrong-amount", 0)
		if receipts, _ := w.heard(); len(receipts) != 1 || receipts[0].Amount != p.Amount-1 {
			t.Errorf("receipts %+v", receipts)
		}
	})
}

func TestTwoTradesOfOneOrderPaid(t *testing.T) { // F62
	eachGateway(t, func(t *testing.T, w *world) {
		first := w.prepay(w.trade("T00000000001"))
		w.prepay(w.trade("T00000000002"))
		w.operate(first, "twice", 0)
		receipts, _ := w.heard()
		if len(receipts) != 2 || receipts[0].TradeNo == receipts[1].TradeNo || receipts[0].TransactionID == receipts[1].TransactionID {
			t.Errorf("receipts %+v", receipts)
		}
	})
}

func TestBankRefusalLeavesTheTradeOpen(t *testing.T) { // F60
	w := newWorld(t)
	p := w.trade("T00000000001")
	code := w.prepay(p)
	w.operate(code, "fail", 0)
	if status, _ := w.status(p.TradeNo); status != order.TradeFailed {
		t.Errorf("status = %s", status)
	}
	w.operate(code, "pay", 0)
	if status, _ := w.status(p.TradeNo); status != order.TradePaid {
		t.Errorf("status = %s", status)
	}
}

func TestClosing(t *testing.T) { // lifecycle rows 7, 8, 9
	tests := map[string]struct {
		before func(w *world, code string)
		want   string
		then   order.TradeStatus
		again  string // Prepay afterwards
	}{
		"unpaid":      {func(*world, string) {}, "", order.TradeShut, "conflict/trade_closed"},
		"paid":        {func(w *world, code string) { w.operate(code, "lose", 0) }, "conflict/trade_paid", order.TradePaid, "conflict/trade_paid"},
		"failed":      {func(w *world, code string) { w.operate(code, "fail", 0) }, "", order.TradeShut, "conflict/trade_closed"},
		"expired":     {func(w *world, _ string) { w.sim.Advance(3 * time.Hour) }, "", order.TradeShut, "conflict/trade_closed"},
		"answer lost": {func(w *world, _ string) { w.fault(sim.Fault{Family: "pay.close", After: true}) }, "", order.TradeShut, "conflict/trade_closed"},
		"gateway ill": {func(w *world, _ string) { w.fault(sim.Fault{Family: "pay.close", Status: 500}) }, "unavailable/payment_unavailable", order.TradeUnpaid, ""},
		"query ill":   {func(w *world, _ string) { w.fault(sim.Fault{Family: "pay.query", Status: 502}) }, "unavailable/payment_unavailable", order.TradeShut, "conflict/trade_closed"},
		"too many questions": {func(w *world, _ string) {
			w.fault(sim.Fault{Family: "pay.query", Status: 429, Code: "FREQUENCY_LIMITED"})
		}, "unavailable/payment_unavailable", order.TradeShut, "conflict/trade_closed"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p := w.trade("T00000000001")
			tt.before(w, w.prepay(p))
			if err := w.gateway.Close(t.Context(), p.TradeNo); problem(err) != tt.want {
				t.Errorf("close: %v, want %q", err, tt.want)
			}
			if status, _ := w.status(p.TradeNo); status != tt.then {
				t.Errorf("status = %s, want %s", status, tt.then)
			}
			p.ExpiresAt = w.sim.Now().Add(time.Hour)
			if _, err := w.gateway.Prepay(t.Context(), p, "招标项目证书"); problem(err) != tt.again && tt.again != "" {
				t.Errorf("prepay again: %v, want %q", err, tt.again)
			}
		})
	}
}

func TestUnknownTrade(t *testing.T) {
	eachGateway(t, func(t *testing.T, w *world) {
		if status, _ := w.status("T00000000009"); status != order.TradeUnknown {
			t.Errorf("status = %s", status)
		}
		if err := w.gateway.Close(t.Context(), "T00000000009"); err != nil {
			t.Errorf("close: %v", err)
		}
		if _, err := w.gateway.Refund(t.Context(), w.trade("T00000000009"), 1); problem(err) != "conflict/refund_refused" {
			t.Errorf("refund: %v", err)
		}
	})
}

func TestRefundHappensOnce(t *testing.T) { // F62
	eachGateway(t, func(t *testing.T, w *world) {
		p := w.trade("T00000000001")
		w.operate(w.prepay(p), "pay", 0)

		w.fault(sim.Fault{Family: w.family("refund"), Status: 500})
		if _, err := w.gateway.Refund(t.Context(), p, p.Amount); !errors.Is(err, order.Unavailable) {
			t.Errorf("gateway ill: %v", err)
		}
		w.fault(sim.Fault{Family: w.family("refund"), After: true}) // done, and the answer is lost
		if _, err := w.gateway.Refund(t.Context(), p, p.Amount); !errors.Is(err, order.Unavailable) {
			t.Errorf("answer lost: %v", err)
		}
		w.settle()
		for range 3 {
			if status, err := w.gateway.Refund(t.Context(), p, p.Amount); status != order.RefundDone {
				t.Errorf("refund = %s, %v", status, err)
			}
		}
		var refunds []sim.Refund
		w.control(http.MethodGet, "refunds", nil, &refunds)
		if len(refunds) != 1 || refunds[0].Amount != 30000 || refunds[0].OutRefundNo != p.RefundNo || refunds[0].Reason != "重复支付" {
			t.Errorf("refunds: %+v", refunds)
		}
		if status, receipt := w.status(p.TradeNo); status != order.TradePaid || receipt.Amount != 30000 {
			t.Errorf("the trade was paid all the same: %s %+v", status, receipt)
		}
		if receipts, refused := w.heard(); len(receipts) != 1 || len(refused) != 0 {
			t.Errorf("receipts %v, refused %v", receipts, refused)
		}
		second := p
		second.RefundNo = "R2"
		if _, err := w.gateway.Refund(t.Context(), second, second.Amount); problem(err) != "conflict/refund_refused" {
			t.Errorf("a second refund of the whole amount: %v", err)
		}
	})
}

func TestSlowGatewayIsUnavailable(t *testing.T) {
	eachGateway(t, func(t *testing.T, w *world) {
		p := w.trade("T00000000001")
		w.fault(sim.Fault{Family: w.family("native"), DelayMS: 300})
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := w.gateway.Prepay(ctx, p, "证书"); !errors.Is(err, order.Unavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error = %v", err)
		}
		w.prepay(p) // nothing is left of the failure
	})
}

func TestForeignMerchantKeyIsRefused(t *testing.T) {
	eachGateway(t, func(t *testing.T, w *world) {
		_, err := w.gatewayOf(w.through, keys().foreign).Prepay(t.Context(), w.trade("T00000000001"), "证书")
		if problem(err) != "error" {
			t.Errorf("error = %v", err)
		}
	})
}

// Alipay knows a trade once its code was scanned. One that was not cannot be closed,
// and can be paid until its time is over; the query tells.
func TestClosingAtAlipay(t *testing.T) {
	tests := map[string]struct {
		before func(w *world, code string)
		want   string
		then   order.TradeStatus
	}{
		"not scanned": {func(*world, string) {}, "", order.TradeUnknown},
		"scanned":     {func(w *world, code string) { w.operate(code, "scan", 0) }, "", order.TradeShut},
		"paid":        {func(w *world, code string) { w.operate(code, "lose", 0) }, "conflict/trade_paid", order.TradePaid},
		"given up":    {func(w *world, code string) { w.operate(code, "fail", 0) }, "", order.TradeShut},
		"answer lost": {func(w *world, code string) {
			w.operate(code, "scan", 0)
			w.fault(sim.Fault{Family: "alipay.close", After: true})
		}, "", order.TradeShut},
		"gateway ill": {func(w *world, code string) {
			w.operate(code, "scan", 0)
			w.fault(sim.Fault{Family: "alipay.close", Code: "ACQ.SYSTEM_ERROR"})
		}, "unavailable/payment_unavailable", order.TradeUnpaid},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.through, w.gateway = order.Alipay, w.shop(keys().merchant)
			p := w.trade("T00000000001")
			code := w.prepay(p)
			tt.before(w, code)
			if err := w.gateway.Close(t.Context(), p.TradeNo); problem(err) != tt.want {
				t.Errorf("close: %v, want %q", err, tt.want)
			}
			if status, _ := w.status(p.TradeNo); status != tt.then {
				t.Errorf("status = %s, want %s", status, tt.then)
			}
			if tt.then == order.TradeUnknown {
				w.operate(code, "pay", 0)
				if status, receipt := w.status(p.TradeNo); status != order.TradePaid || receipt.Amount != p.Amount {
					t.Errorf("paid after the close: %s %+v", status, receipt)
				}
			}
		})
	}
}

// A part of a payment goes back, then the rest; each once.
func TestPartsGoBack(t *testing.T) {
	eachGateway(t, func(t *testing.T, w *world) {
		p := w.trade("T00000000001")
		w.operate(w.prepay(p), "pay", 0)
		for _, part := range []struct {
			no     string
			amount order.Fen
		}{{"P1-7", 10001}, {"RT1", 19999}} {
			p.RefundNo = part.no
			for range 2 {
				if _, err := w.gateway.Refund(t.Context(), p, part.amount); err != nil {
					t.Fatal(err)
				}
				w.settle()
			}
			if status, err := w.gateway.Refund(t.Context(), p, part.amount); status != order.RefundDone || err != nil {
				t.Errorf("%s: %s, %v", part.no, status, err)
			}
		}
		var refunds []sim.Refund
		w.control(http.MethodGet, "refunds", nil, &refunds)
		if len(refunds) != 2 || refunds[0].Amount != 19999 || refunds[1].Amount != 10001 {
			t.Errorf("refunds: %+v", refunds)
		}
		if status, _ := w.status(p.TradeNo); status != order.TradePaid {
			t.Errorf("it was paid all the same: %s", status)
		}
		if receipts, refused := w.heard(); len(receipts) == 0 || len(refused) != 0 {
			t.Errorf("receipts %v, refused %v", receipts, refused)
		}
	})
}
