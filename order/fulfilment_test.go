package order_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/yuncaidun/yuncaidun/order"
)

// fulfilmentDesk is WeChat of the tests: it takes one change, and nothing older than what
// it knows.
type fulfilmentDesk struct {
	mu       sync.Mutex
	managed  bool
	known    map[string]order.FulfilmentRecord // by transaction
	last     map[string]order.FulfilmentReport
	reports  int
	reminded []string
	// fail is what it answers instead; lost: after it has done what was asked.
	fail error
	lost bool
	// asked runs after each answer about a payment.
	asked func()
}

func newFulfilmentDesk() *fulfilmentDesk {
	return &fulfilmentDesk{managed: true, known: map[string]order.FulfilmentRecord{}, last: map[string]order.FulfilmentReport{}}
}

func (d *fulfilmentDesk) KeepsMoney(context.Context) (bool, error) { return d.managed, nil }

func (d *fulfilmentDesk) FulfilmentOf(_ context.Context, p order.Payment) (order.FulfilmentRecord, error) {
	d.mu.Lock()
	known := d.known[p.TransactionID]
	d.mu.Unlock()
	if d.asked != nil {
		d.asked()
	}
	return known, nil
}

func (d *fulfilmentDesk) ReportFulfilment(_ context.Context, p order.Payment, r order.FulfilmentReport) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil && !d.lost {
		return d.fail
	}
	d.reports++
	known := d.known[p.TransactionID]
	if known.Fulfilled == r.Fulfilled && known.Times > 0 || r.At.Before(d.last[p.TransactionID].At) {
		return d.fail
	}
	if known.Times > 1 {
		return order.Errorf(order.Conflict, "shipped_before", "不能再改")
	}
	d.known[p.TransactionID] = order.FulfilmentRecord{Fulfilled: r.Fulfilled, Times: known.Times + 1}
	d.last[p.TransactionID] = r
	return d.fail
}

func (d *fulfilmentDesk) RemindReceipt(_ context.Context, p order.Payment, _ time.Time) error {
	if d.fail != nil {
		return d.fail
	}
	d.reminded = append(d.reminded, p.TradeNo)
	return nil
}

var (
	firstParcel = order.Fulfilled{By: order.FulfilledByCourier, Carrier: "sf", TrackingNo: parcelNo}
	rightParcel = order.Fulfilled{By: order.FulfilledByCourier, Carrier: "sf", TrackingNo: rightNo}
	often       = order.Errorf(order.RateLimited, "wechat_quota", "微信接口调用过于频繁")
	busy        = order.Errorf(order.Unavailable, "wechat_unavailable", "微信服务暂时不可用")
)

func (h *house) fulfilment(t *testing.T, o order.Order) order.Fulfilment {
	t.Helper()
	f, err := h.db.Fulfilment(t.Context(), o.TradeNo)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// tells runs the job, and returns what has become of the fulfilment.
func (h *house) tells(t *testing.T, o order.Order) order.Fulfilment {
	t.Helper()
	if err := h.RunFulfilment(t.Context(), o.TradeNo); err != nil {
		t.Fatal(err)
	}
	return h.fulfilment(t, o)
}

// record is what WeChat knows of the order's payment.
func (h *house) record(t *testing.T, o order.Order) order.FulfilmentRecord {
	t.Helper()
	h.wechat.mu.Lock()
	defer h.wechat.mu.Unlock()
	return h.wechat.known["w-"+o.TradeNo]
}

func (h *house) correct(t *testing.T, o order.Order, wrong, right string) {
	t.Helper()
	h.advance(time.Minute)
	if err := h.CorrectTracking(t.Context(), o.ID, nil, correction(wrong, right)); err != nil {
		t.Fatal(err)
	}
}

// boughtInMini is a sent order of two keys that was paid in the mini-program.
func (h *house) boughtInMini(t *testing.T) order.Order {
	t.Helper()
	h.mini = true
	return h.sent(t, h.made(t), parcelNo)
}

// WeChat is told of a parcel once, however often the job runs; a corrected number is the
// one change, a second correction is finance's to see to.
func TestWeChatIsToldOfAParcel(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		money := h.staff(t, "周财务", "13800000012", order.Finance)
		o := h.boughtInMini(t)
		if f := h.fulfilment(t, o); f.State != order.FulfilmentDue || f.Fulfilled != firstParcel {
			t.Fatalf("due: %+v", f)
		}
		for range 3 {
			if f := h.tells(t, o); f.State != order.FulfilmentTold || h.wechat.reports != 1 {
				t.Fatalf("told: %+v after %d reports", f, h.wechat.reports)
			}
		}
		told := h.wechat.last["w-"+o.TradeNo]
		if told.Contact != "138****0099" || !strings.Contains(told.Goods, o.Product.Name) || !strings.HasSuffix(told.Goods, "× 2") || !told.At.Equal(h.now()) {
			t.Errorf("told %+v", told)
		}
		h.correct(t, o, parcelNo, rightNo)
		if f := h.tells(t, o); f.State != order.FulfilmentTold || h.record(t, o) != (order.FulfilmentRecord{Fulfilled: rightParcel, Times: 2}) {
			t.Errorf("corrected: %+v, WeChat knows %+v", f, h.record(t, o))
		}
		h.correct(t, o, rightNo, "SF1234567890125")
		f := h.tells(t, o)
		if f.State != order.FulfilmentRefused || f.Enterable() || !strings.Contains(f.Why, "只接受一次更正") || h.wechat.reports != 2 {
			t.Errorf("corrected again: %+v after %d reports", f, h.wechat.reports)
		}
		if got := h.heard(t, o.ID, order.NoticeFulfilmentRefused); !slices.Equal(got, []string{money.StaffID}) {
			t.Errorf("told: %v", got)
		}
		if all, err := h.db.RefusedFulfilments(t.Context(), 10); err != nil || len(all) != 1 || all[0].TradeNo != o.TradeNo {
			t.Errorf("waiting for a person: %v %v", all, err)
		}
		shipper := money
		shipper.Role = order.Shipper
		if err := h.SettleFulfilment(t.Context(), o.ID, shipper); codeOf(err) != "fulfilment_not_refused" {
			t.Errorf("settled by a shipper: %v", err)
		}
		if err := h.SettleFulfilment(t.Context(), o.ID, money); err != nil || h.tells(t, o).State != order.FulfilmentNeedless {
			t.Errorf("settled: %v", err)
		}
		if err := h.RetryFulfilment(t.Context(), o.ID, money); codeOf(err) != "fulfilment_not_refused" {
			t.Errorf("tried again after it was settled: %v", err)
		}
	})
}

// Whatever is cut short, the one change is not used up: WeChat is asked first.
func TestReportIsCutShort(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		o := h.boughtInMini(t)
		h.wechat.fail, h.wechat.lost = busy, true // told, but nobody heard the answer: as after kill -9
		if err := h.RunFulfilment(t.Context(), o.TradeNo); !errors.Is(err, order.Unavailable) {
			t.Fatalf("answer lost: %v", err)
		}
		h.wechat.fail = nil
		if f := h.tells(t, o); f.State != order.FulfilmentTold || h.wechat.reports != 1 || h.record(t, o).Times != 1 {
			t.Errorf("afterwards: %+v, %d reports, WeChat knows %+v", f, h.wechat.reports, h.record(t, o))
		}
	})
}

// A number that is corrected while the wrong one is being told is told after it.
func TestNumberIsCorrectedMeanwhile(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		o := h.boughtInMini(t)
		corrected := false
		h.wechat.asked = func() {
			if !corrected {
				corrected = true
				h.correct(t, o, parcelNo, rightNo)
			}
		}
		if err := h.RunFulfilment(t.Context(), o.TradeNo); codeOf(err) != "order_changed" { // which is tried again
			t.Fatalf("corrected meanwhile: %v", err)
		}
		for range 2 {
			if f := h.tells(t, o); f.State != order.FulfilmentTold || h.record(t, o) != (order.FulfilmentRecord{Fulfilled: rightParcel, Times: 2}) {
				t.Errorf("then: %+v, WeChat knows %+v", f, h.record(t, o))
			}
		}
	})
}

// What becomes of a fulfilment by what WeChat knows and answers.
func TestWhatWeChatAnswers(t *testing.T) {
	other := order.Fulfilled{By: order.FulfilledByCourier, Carrier: "YTO", TrackingNo: "YT1"}
	refusal := order.Errorf(order.Invalid, "wechat_shipping", "付款人不一致（微信错误码 10060031）")
	for _, tt := range []struct {
		name    string
		prepare func(*house, order.Order)
		err     error // of the job
		want    order.FulfilmentState
		why     string
		reports int
	}{
		{"it knows nothing", func(*house, order.Order) {}, nil, order.FulfilmentTold, "", 1},
		{"it was entered by hand", func(h *house, o order.Order) {
			h.wechat.known["w-"+o.TradeNo] = order.FulfilmentRecord{Fulfilled: firstParcel, Times: 1}
		}, nil, order.FulfilmentTold, "", 0},
		{"it was entered wrong by hand", func(h *house, o order.Order) {
			h.wechat.known["w-"+o.TradeNo] = order.FulfilmentRecord{Fulfilled: other, Times: 1}
		}, nil, order.FulfilmentTold, "", 1},
		{"it was entered wrong twice", func(h *house, o order.Order) {
			h.wechat.known["w-"+o.TradeNo] = order.FulfilmentRecord{Fulfilled: other, Times: 2}
		}, nil, order.FulfilmentRefused, "只接受一次更正", 0},
		{"the buyer has confirmed", func(h *house, o order.Order) {
			h.wechat.known["w-"+o.TradeNo] = order.FulfilmentRecord{Fulfilled: other, Times: 2, Settled: true}
		}, nil, order.FulfilmentTold, "", 0},
		{"the money went back there", func(h *house, o order.Order) {
			h.wechat.known["w-"+o.TradeNo] = order.FulfilmentRecord{Refunded: true}
		}, nil, order.FulfilmentNeedless, "款项已退回", 0},
		{"it keeps no money", func(h *house, _ order.Order) { h.wechat.managed = false }, nil, order.FulfilmentNeedless, "没有开通", 0},
		{"it is busy", func(h *house, _ order.Order) { h.wechat.fail = busy }, busy, order.FulfilmentDue, "", 0},
		{"it is busy for a day", func(h *house, _ order.Order) {
			h.wechat.fail = busy
			h.advance(24 * time.Hour)
		}, nil, order.FulfilmentRefused, "暂时不可用", 0},
		{"its answer is strange for a day", func(h *house, _ order.Order) {
			h.wechat.fail = errors.New("strange")
			h.advance(24 * time.Hour)
		}, nil, order.FulfilmentRefused, "一天没有得到微信的确认", 0},
		{"it is called too often", func(h *house, _ order.Order) { h.wechat.fail = often }, often, order.FulfilmentDue, "", 0},
		{"it refuses", func(h *house, _ order.Order) { h.wechat.fail = refusal }, nil, order.FulfilmentRefused, "10060031", 0},
		{"it can be told no more", func(h *house, _ order.Order) { h.wechat.fail = order.Errorf(order.Conflict, "x", "不能再改") }, nil, order.FulfilmentRefused, "不能再改", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			eachDB(t, func(t *testing.T, h *house) {
				money := h.staff(t, "周财务", "13800000012", order.Finance)
				o := h.boughtInMini(t)
				tt.prepare(h, o)
				if err := h.RunFulfilment(t.Context(), o.TradeNo); codeOf(err) != codeOf(tt.err) {
					t.Fatalf("job: %v, want %v", err, tt.err)
				}
				f := h.fulfilment(t, o)
				if f.State != tt.want || !strings.Contains(f.Why, tt.why) || (tt.why == "") != (f.Why == "") || h.wechat.reports != tt.reports {
					t.Errorf("%s %q after %d reports, want %s %q after %d", f.State, f.Why, h.wechat.reports, tt.want, tt.why, tt.reports)
				}
				if told := len(h.heard(t, o.ID, order.NoticeFulfilmentRefused)); (told == 1) != (tt.want == order.FulfilmentRefused) {
					t.Errorf("finance was told %d times", told)
				}
				if tt.want != order.FulfilmentRefused {
					return
				}
				h.wechat.fail = nil // somebody has seen to it
				h.wechat.known["w-"+o.TradeNo] = order.FulfilmentRecord{Fulfilled: firstParcel, Times: 2}
				if err := h.RetryFulfilment(t.Context(), o.ID, money); err != nil || h.tells(t, o).State != order.FulfilmentTold {
					t.Errorf("tried again: %v", err)
				}
			})
		})
	}
}

// Nobody tells WeChat of a payment that went back, or that was not made in the mini-program.
func TestWhatWeChatIsNotTold(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		o := h.sent(t, h.made(t), parcelNo) // by QR code
		if _, err := h.db.Fulfilment(t.Context(), o.TradeNo); !errors.Is(err, order.NotFound) {
			t.Errorf("a QR code: %v", err)
		}
	})
	eachDB(t, func(t *testing.T, h *house) {
		o := h.boughtInMini(t)
		h.issued(t, o)
		h.mustApply(t, o.ID, order.Command{On: order.RefundProposed, By: finance, Note: "单位合并", End: order.KeysReturned})
		h.mustApply(t, o.ID, order.Command{On: order.RefundStart, By: finance2})
		if f := h.tells(t, o); f.State != order.FulfilmentNeedless || h.wechat.reports != 0 {
			t.Errorf("refunded: %+v", f)
		}
	})
}

// A parcel that came back and is sent again is the change; handed over at the counter it
// would be one, too.
func TestParcelIsSentAgainToWeChat(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		o := h.boughtInMini(t)
		h.tells(t, o)
		h.advance(time.Hour)
		h.mustApply(t, o.ID, order.Command{On: order.ParcelReturned, By: byShipper, Keys: 2})
		h.sent(t, h.order(t, o.ID), rightNo)
		if f := h.tells(t, o); f.State != order.FulfilmentTold || h.record(t, o) != (order.FulfilmentRecord{Fulfilled: rightParcel, Times: 2}) {
			t.Errorf("sent again: %+v, WeChat knows %+v", f, h.record(t, o))
		}
	})
}

// WeChat reminds the buyer once the courier has delivered, once.
func TestBuyerIsReminded(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		o := h.boughtInMini(t)
		report := func(s order.ParcelState) {
			t.Helper()
			h.advance(time.Minute)
			if err := h.CourierReported(t.Context(), order.CourierReport{TrackingNo: parcelNo, State: s, Track: []order.TrackLine{{At: h.now(), Text: s.Label()}}}); err != nil {
				t.Fatal(err)
			}
		}
		report(order.ParcelDelivering)
		if f := h.tells(t, o); !f.SignedAt.IsZero() || len(h.wechat.reminded) != 0 {
			t.Fatalf("on its way: %+v", f)
		}
		report(order.ParcelSigned)
		h.wechat.fail = busy
		if err := h.RunFulfilment(t.Context(), o.TradeNo); !errors.Is(err, order.Unavailable) {
			t.Errorf("busy: %v", err)
		}
		h.wechat.fail = nil
		for range 3 {
			if f := h.tells(t, o); f.RemindedAt.IsZero() || !slices.Equal(h.wechat.reminded, []string{o.TradeNo}) {
				t.Fatalf("signed for: %+v, reminded %v", f, h.wechat.reminded)
			}
		}
	})
}

// At the counter and online are ways, too; the words that WeChat takes are few.
func TestWaysOfFulfilment(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		h.mini = true
		o := h.made(t)
		h.mustApply(t, o.ID, order.Command{On: order.ChangeDelivery, By: h.owner(o), Form: o.Form.With(order.ShipWay, order.ShipPickUp)})
		o = h.order(t, o.ID)
		o = h.mustApply(t, o.ID, order.Command{On: order.PickUp, By: byShipper, PickUpCode: o.Form.Get(order.PickUpCode)})
		if f := h.tells(t, o); f.Fulfilled != (order.Fulfilled{By: order.FulfilledAtCounter}) || f.State != order.FulfilmentTold || h.wechat.last["w-"+o.TradeNo].Contact != "" {
			t.Errorf("counter: %+v", f)
		}
		if n := utf8.RuneCountInString(h.wechat.last["w-"+o.TradeNo].Goods); n == 0 || n > 120 {
			t.Errorf("%d characters of goods", n)
		}
	})
}
