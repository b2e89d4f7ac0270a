package contract

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/provider/sim"
)

func byNumber(a, b order.BillLine) int { return strings.Compare(a.Number(), b.Number()) }

// dayWithRefund pays two trades and returns a part of the first, then lets the next day's
// noon come. It returns the day, and its lines by number.
func (w *world) dayWithRefund() (time.Time, []order.BillLine) {
	w.t.Helper()
	day := w.sim.Now()
	one, two := w.trade("T00000000001"), w.trade("T00000000002")
	for _, p := range []order.Payment{one, two} {
		w.operate(w.prepay(p), "pay", 0)
	}
	if _, err := w.gateway.Refund(w.t.Context(), one, 12345); err != nil {
		w.t.Fatal(err)
	}
	w.settle()
	w.noon(day)
	return day, []order.BillLine{{TradeNo: one.TradeNo, RefundNo: one.RefundNo, Amount: 12345}, {TradeNo: one.TradeNo, Amount: 30000}, {TradeNo: two.TradeNo, Amount: 30000}}
}

// noon moves the platforms' clock to noon of the day after.
func (w *world) noon(day time.Time) {
	y, m, d := day.In(order.Shanghai).Date()
	w.sim.Advance(time.Date(y, m, d+1, 12, 0, 0, 0, order.Shanghai).Sub(w.sim.Now()))
}

func (w *world) bill(day time.Time) ([]order.BillLine, error) {
	return w.gateway.(order.BillSource).Bill(w.t.Context(), day)
}

func TestBill(t *testing.T) {
	eachGateway(t, func(t *testing.T, w *world) {
		day := w.sim.Now()
		if _, err := w.bill(day); err == nil {
			t.Errorf("today's: %v", err)
		}
		day, want := w.dayWithRefund()
		got, err := w.bill(day)
		if err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(got, byNumber)
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
		if _, err := w.bill(day.AddDate(0, 0, -1)); !errors.Is(err, order.NotFound) {
			t.Errorf("of a day without trades: %v", err)
		}
	})
}

// A bill that is not what the platform made is not used; what the platform says wrongly
// in it is.
func TestBillFaults(t *testing.T) {
	eachGateway(t, func(t *testing.T, w *world) {
		day, want := w.dayWithRefund()
		for _, code := range []string{"cut-off", "wrong-sum"} {
			if code == "wrong-sum" && w.through == order.Alipay { // which says none
				continue
			}
			w.fault(sim.Fault{Family: w.family("bill.file"), Code: code})
			if _, err := w.bill(day); !errors.Is(err, order.Unavailable) || strings.Contains(err.Error(), "177") {
				t.Errorf("%s: %v", code, err)
			}
		}
		for code, lines := range map[string]int{"line-more": 4, "line-less": 2, "wrong-amount": 3} {
			w.fault(sim.Fault{Family: w.family("bill.file"), Code: code})
			got, err := w.bill(day)
			slices.SortFunc(got, byNumber)
			if err != nil || len(got) != lines || cmp.Equal(got, want) {
				t.Errorf("%s: %+v, %v", code, got, err)
			}
		}
		for code, kind := range map[string]order.Kind{"SYSTEM_ERROR": order.Unavailable, "STATEMENT_CREATING": order.Unavailable, "NO_STATEMENT_EXIST": order.NotFound} {
			if w.through == order.Alipay && code != "SYSTEM_ERROR" {
				continue
			}
			w.fault(sim.Fault{Family: w.family("bill"), Status: 400, Code: code})
			if w.through == order.Alipay {
				w.fault(sim.Fault{Family: w.family("bill"), Code: code})
			}
			if _, err := w.bill(day); !errors.Is(err, kind) {
				t.Errorf("%s: %v", code, err)
			}
		}
		if _, err := w.gatewayOf(w.through, keys().foreign).(order.BillSource).Bill(t.Context(), day); err == nil {
			t.Error("a stranger got it")
		}
		if got, err := w.bill(day); err != nil || len(got) != 3 {
			t.Errorf("afterwards: %+v, %v", got, err)
		}
	})
}

// Before the platform has made it, there is none yet.
func TestBillNotReady(t *testing.T) {
	eachGateway(t, func(t *testing.T, w *world) {
		day, _ := w.dayWithRefund()
		day = day.AddDate(0, 0, 1)
		p := w.trade("T00000000003")
		w.operate(w.prepay(p), "pay", 0)
		y, m, d := day.In(order.Shanghai).Date()
		w.sim.Advance(time.Date(y, m, d+1, 8, 0, 0, 0, order.Shanghai).Sub(w.sim.Now()))
		if _, err := w.bill(day); !errors.Is(err, order.NotFound) && !errors.Is(err, order.Unavailable) {
			t.Errorf("at eight: %v", err)
		}
		w.noon(day)
		if got, err := w.bill(day); err != nil || len(got) != 1 {
			t.Errorf("at noon: %+v, %v", got, err)
		}
	})
}
