package handlers

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

// KeepsMoney, and what follows, implement [order.FulfilmentDesk].
func (*gateway) KeepsMoney(context.Context) (bool, error) { return true, nil }

func (*gateway) FulfilmentOf(context.Context, order.Payment) (order.FulfilmentRecord, error) {
	return order.FulfilmentRecord{}, nil
}

func (g *gateway) ReportFulfilment(context.Context, order.Payment, order.FulfilmentReport) error {
	return g.taken
}

func (*gateway) RemindReceipt(context.Context, order.Payment, time.Time) error { return nil }

// sentFromMini is an order like sent, paid in the mini-program.
func (d *desk) sentFromMini(b *browser) order.Order {
	d.t.Helper()
	ctx := d.t.Context()
	o := b.order(b.confirmed())
	p, err := d.service.OpenMiniPayment(ctx, o.ID, order.Actor{Role: order.Applicant, PersonID: o.PersonID, Channel: order.MiniProgram}, "m1")
	must(d.t, err)
	must(d.t, d.service.PaymentSucceeded(ctx, order.Receipt{Channel: order.WeChatPay, TradeNo: p.TradeNo, TransactionID: "42" + p.TradeNo, Amount: p.Amount, PaidAt: d.clock.now()}))
	must(d.t, d.service.RecordRealName(ctx, o.ID, o.Submission, order.RealNameMatch))
	d.clock.advance(2 * time.Minute)
	o = d.made(d.read(o.ID))
	d.issued(o)
	d.apply(o.ID, order.Command{On: order.Ship, By: d.staff["孙发货"].Actor(order.Shipper, order.Web, "192.0.2.1"), Carrier: "sf", TrackingNo: "SF1234567890123"})
	return d.read(o.ID)
}

// What WeChat was told is on the order's page; what it does not take is listed with what
// to do, and asked about again or settled, by finance only.
func TestFulfilmentOnThePage(t *testing.T) {
	d := newDesk(t).hire()
	b := d.browser()
	o := d.sentFromMini(b)
	page := "/staff/finance/" + string(o.ID)
	money := d.login("周财务")
	run := func() {
		t.Helper()
		must(t, d.service.RunFulfilment(t.Context(), o.TradeNo))
	}
	wantIn(t, "due", money.get(page).Body, "微信发货信息", "正在告知微信", "顺丰速运 SF1234567890123")
	wantNotIn(t, "due", money.get("/staff/finance").Body, "微信发货信息待处理")
	d.gateway.taken = order.Errorf(order.Invalid, "wechat_shipping", "这笔支付的付款人与微信的记录不一致（微信错误码 10060031）")
	run()
	wantIn(t, "list", money.get("/staff/finance").Body, "微信发货信息待处理", page)
	wantIn(t, "refused", money.get(page).Body, "需要人工处理", "微信错误码 10060031", "42"+o.TradeNo, "录入「快递 顺丰速运 SF1234567890123」", "重新核对")
	for name, who := range map[string]*browser{"shipper": d.login("孙发货"), "reviewer": d.login("李审核")} {
		for _, path := range []string{"/fulfilment/retry", "/fulfilment/by-hand"} {
			if a := who.post(page+path, nil); a.Status != http.StatusForbidden {
				t.Errorf("%s %s: %d", name, path, a.Status)
			}
		}
	}
	money.mustPost(page+"/fulfilment/retry", nil, page)
	run()
	money.mustPost(page+"/fulfilment/retry", nil, page)
	d.gateway.taken = nil
	run()
	told := money.get(page).Body
	wantIn(t, "told", told, "微信已记录")
	wantNotIn(t, "told", told, "重新核对")
	wantNotIn(t, "list", money.get("/staff/finance").Body, "微信发货信息待处理")
	if a := money.post(page+"/fulfilment/by-hand", nil); a.Status != http.StatusConflict {
		t.Errorf("settled though WeChat knows: %d", a.Status)
	}
	wantNotIn(t, "an order paid by QR code", money.get("/staff/finance/"+string(d.order(b.paid()).ID)).Body, "微信发货信息")
}

// What nobody can tell WeChat any more is settled by hand.
func TestFulfilmentIsSettled(t *testing.T) {
	d := newDesk(t).hire()
	o := d.sentFromMini(d.browser())
	page := "/staff/finance/" + string(o.ID)
	d.gateway.taken = order.Errorf(order.Conflict, "wechat_shipped_before", "微信里这笔支付已录入过发货信息，不能再改")
	must(t, d.service.RunFulfilment(t.Context(), o.TradeNo))
	money := d.login("周财务")
	wantIn(t, "refused", money.get(page).Body, "不能再改")
	money.mustPost(page+"/fulfilment/by-hand", nil, page)
	wantIn(t, "settled", money.get(page).Body, "已人工处理", "不需要告知")
}
