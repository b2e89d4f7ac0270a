package handlers

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

// trackedPush is the only push of the tests that is genuine.
const trackedPush = "sign=right&param=delivering"

func (w *web) parsePush(body []byte) (order.CourierReport, error) {
	switch string(body) {
	case trackedPush:
		return order.CourierReport{TrackingNo: "SF1234567890123", State: order.ParcelDelivering, Track: []order.TrackLine{
			{At: w.clock.now().Add(-time.Hour), Text: "快件已揽收"}, {At: w.clock.now(), Text: "【昆明市】<b>正在派送</b>"},
		}}, nil
	case "sign=right&param=unknown":
		return order.CourierReport{TrackingNo: "SF0000000000000", State: order.ParcelSigned}, nil
	case "sign=right&param=nothing":
		return order.CourierReport{}, order.Errorf(order.Conflict, "courier_push_empty", "物流推送没有轨迹")
	default:
		return order.CourierReport{}, order.Errorf(order.Forbidden, "courier_push_refused", "物流推送签名不正确")
	}
}

// push is a courier's, and the answer to it.
func (w *web) push(body string) answer {
	w.t.Helper()
	return w.browser().do(http.MethodPost, "/callbacks/courier", "application/x-www-form-urlencoded", strings.NewReader(body))
}

// Row 48: what a courier pushes is on the order's page, in the API and in its
// history; what is not its word changes nothing.
func TestCourierPush(t *testing.T) {
	d := newDesk(t).hire()
	d.MountCourier(d.parsePush, d.service.CourierReported)
	b := d.browser()
	o := d.order(b.paid())
	must(t, d.service.RecordRealName(t.Context(), o.ID, o.Submission, order.RealNameMatch))
	d.clock.advance(2 * time.Minute)
	o = d.made(d.read(o.ID))
	if a := d.push(trackedPush); a.Status != http.StatusOK || !strings.Contains(a.Body, `"result":true`) { // it changes nothing, and need not be repeated
		t.Errorf("a parcel that is not ours: %d %s", a.Status, a.Body)
	}
	d.apply(o.ID, order.Command{On: order.Ship, By: d.staff["孙发货"].Actor(order.Shipper, order.Web, "192.0.2.1"), Carrier: "sf", TrackingNo: "SF1234567890123"})
	wantIn(t, "order page", b.get("/orders/"+string(o.ID)).Body, "SF1234567890123", "已寄出", "揽收后会显示在这里")

	tests := []struct {
		name, body string
		status     int
		result     string
	}{
		{"a wrong sign", "sign=wrong&param=delivering", http.StatusForbidden, `"result":false`},
		{"an empty body", "", http.StatusForbidden, `"result":false`},
		{"nothing to tell", "sign=right&param=nothing", http.StatusOK, `"result":true`},
		{"unknown parcel", "sign=right&param=unknown", http.StatusOK, `"result":true`},
		{"genuine", trackedPush, http.StatusOK, `"result":true`},
		{"again", trackedPush, http.StatusOK, `"result":true`},
	}
	for _, tt := range tests {
		if a := d.push(tt.body); a.Status != tt.status || !strings.Contains(a.Body, tt.result) {
			t.Errorf("%s: %d %s", tt.name, a.Status, a.Body)
		}
	}
	if n := countEvents(t, d, o.ID, order.CourierMoved); n != 1 {
		t.Errorf("%d courier events", n)
	}
	page := b.get("/orders/" + string(o.ID)).Body
	wantIn(t, "order page", page, "派送中", "快件已揽收", "正在派送，请保持电话畅通", "物流更新：派送中", "&lt;b&gt;正在派送")
	wantNotIn(t, "order page", page, "<b>正在派送", "揽收后会显示在这里")
	if strings.Index(page, "正在派送&lt;") > strings.Index(page, "快件已揽收") {
		t.Error("the newest line is not on top")
	}
	wantNotIn(t, "log", d.log.String(), "SF1234567890123", "派送")
}

// F62: what Alipay tells is answered with the word success once it is kept or changes
// nothing, and with anything else when it is not its word.
func TestAlipayNotification(t *testing.T) {
	w := newWeb(t)
	b := w.browser()
	path := b.confirmed()
	b.do(http.MethodPost, path+"/pay", "application/x-www-form-urlencoded", strings.NewReader("_csrf="+b.csrf+"&channel=alipay"))
	o := b.order(path)
	genuine := order.Receipt{Channel: order.Alipay, TradeNo: o.TradeNo, TransactionID: "2026112322001400000000000001", Amount: o.Amount, PaidAt: w.clock.now()}
	fails := 1
	w.MountAlipay(func(body []byte) (order.Receipt, error) {
		r := genuine
		switch string(body) {
		case "a fen short":
			r.Amount--
		case "unknown trade":
			r.TradeNo = "T2"
		case "closed":
			return r, order.Errorf(order.Conflict, "notification_irrelevant", "通知与支付结果无关")
		case "genuine":
		default:
			return r, order.Errorf(order.Forbidden, "notification_refused", "通知未通过验证")
		}
		return r, nil
	}, func(ctx context.Context, r order.Receipt) error {
		if r == genuine && fails > 0 {
			fails--
			return order.Errorf(order.Conflict, "order_changed", "订单已变更").Raced()
		}
		return w.service.PaymentSucceeded(ctx, r)
	})
	for _, tt := range []struct {
		body, answer string
		status       int
		paid         bool
	}{
		{"forged", "failure", http.StatusForbidden, false},
		{"", "failure", http.StatusForbidden, false},
		{"a fen short", "failure", http.StatusForbidden, false},
		{"unknown trade", "failure", http.StatusNotFound, false},
		{"closed", "success", http.StatusOK, false},
		{"genuine", "failure", http.StatusConflict, false}, // a race was lost: told again
		{"genuine", "success", http.StatusOK, true},
		{"genuine", "success", http.StatusOK, true},
		{"closed", "success", http.StatusOK, true},
		{"a fen short", "success", http.StatusOK, true}, // heard before
	} {
		a := w.browser().do(http.MethodPost, "/callbacks/alipay", "application/x-www-form-urlencoded; text/html; charset=utf-8", strings.NewReader(tt.body))
		if a.Status != tt.status || a.Body != tt.answer || !b.order(path).PaidAt.IsZero() != tt.paid {
			t.Errorf("%q: %d %q, paid %t", tt.body, a.Status, a.Body, !b.order(path).PaidAt.IsZero())
		}
	}
	if p, err := w.db.Payment(t.Context(), o.TradeNo); err != nil || p.State != order.PaymentPaid || p.TransactionID != genuine.TransactionID || p.Channel != order.Alipay {
		t.Errorf("payment %+v, %v", p, err)
	}
}
