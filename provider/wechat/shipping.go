package wechat

import (
	"context"
	"errors"
	"fmt"
	"time"

	shipping "github.com/silenceper/wechat/v2/miniprogram/order"

	"github.com/yuncaidun/yuncaidun/order"
)

// 发货信息管理 of the mini-program: developers.weixin.qq.com/miniprogram/dev/server/API/order_shipping/.

var _ order.FulfilmentDesk = (*MiniProgram)(nil)

// expressCompanies are WeChat's codes (get_delivery_list) of our couriers.
var expressCompanies = map[string]string{"sf": "SF", "ems": "EMS", "jd": "JD"}

var logisticsTypes = map[order.FulfilledBy]shipping.LogisticsType{
	order.FulfilledByCourier: shipping.LogisticsTypeExpress, order.FulfilledAtCounter: shipping.LogisticsTypeSelfPickup, order.FulfilledOnline: shipping.LogisticsTypeVirtual,
}

// KeepsMoney implements [order.FulfilmentDesk].
func (m *MiniProgram) KeepsMoney(ctx context.Context) (bool, error) {
	var answer struct {
		Managed bool `json:"is_trade_managed"`
	}
	err := m.caller.ask(ctx, "mini.is_trade_managed", "/wxa/sec/order/is_trade_managed", m.account.GetAccessToken, map[string]string{"appid": m.appID}, &answer) // the SDK lacks it
	return answer.Managed, shippingRefused(err)
}

// FulfilmentOf implements [order.FulfilmentDesk].
func (m *MiniProgram) FulfilmentOf(ctx context.Context, p order.Payment) (order.FulfilmentRecord, error) {
	var answer shipping.ShippingOrderResponse
	err := m.caller.call(ctx, "mini.get_order", func() (err error) {
		answer, err = m.shipping.GetShippingOrder(&shipping.GetShippingOrderRequest{TransactionID: p.TransactionID})
		return err
	})
	if err != nil {
		return order.FulfilmentRecord{}, shippingRefused(err)
	}
	o := answer.Order
	if o.TransactionID != p.TransactionID {
		return order.FulfilmentRecord{}, unavailable("mini.get_order", errors.New("reply is about another payment"))
	}
	r := order.FulfilmentRecord{Refunded: o.OrderState == shipping.StateRefund, Settled: o.OrderState == shipping.StateConfirm || o.OrderState == shipping.StateComplete}
	if s := o.Shipping; s != nil && s.FinishShipping {
		r.Times = max(1, s.FinishShippingCount)
		r.Fulfilled = fulfilledOf(s)
	}
	return r, nil
}

// fulfilledOf is what WeChat knows, in our words; a courier that is none of ours keeps
// WeChat's code.
func fulfilledOf(s *shipping.ShippingDetail) (f order.Fulfilled) {
	for by, t := range logisticsTypes {
		if t == s.LogisticsType {
			f.By = by
		}
	}
	if f.By != order.FulfilledByCourier || len(s.ShippingList) != 1 {
		return f
	}
	f.Carrier, f.TrackingNo = s.ShippingList[0].ExpressCompany, s.ShippingList[0].TrackingNo
	for carrier, code := range expressCompanies {
		if code == f.Carrier {
			f.Carrier = carrier
		}
	}
	return f
}

// ReportFulfilment implements [order.FulfilmentDesk].
func (m *MiniProgram) ReportFulfilment(ctx context.Context, p order.Payment, r order.FulfilmentReport) error {
	parcel := &shipping.ShippingInfo{ItemDesc: r.Goods}
	if r.By == order.FulfilledByCourier {
		company, ok := expressCompanies[r.Carrier]
		if !ok {
			return fmt.Errorf("wechat: no company code for carrier %q", r.Carrier)
		}
		parcel.TrackingNo, parcel.ExpressCompany, parcel.Contact.ReceiverContact = r.TrackingNo, company, r.Contact
	}
	at := r.At.In(order.Shanghai).Truncate(time.Millisecond)
	err := m.caller.call(ctx, "mini.upload_shipping_info", func() error {
		return m.shipping.UploadShippingInfo(&shipping.UploadShippingInfoRequest{
			OrderKey:      &shipping.ShippingOrderKey{OrderNumberType: shipping.NumberTypeTransactionID, TransactionID: p.TransactionID},
			LogisticsType: logisticsTypes[r.By], DeliveryMode: shipping.DeliveryModeUnifiedDelivery, IsAllDelivered: true,
			ShippingList: []*shipping.ShippingInfo{parcel}, UploadTime: &at, Payer: &shipping.ShippingPayer{Openid: p.Payer},
		})
	})
	if e, ok := errors.AsType[*Error](err); ok && e.Code == nothingUpdated {
		return nil
	}
	return shippingRefused(err)
}

// RemindReceipt implements [order.FulfilmentDesk].
func (m *MiniProgram) RemindReceipt(ctx context.Context, p order.Payment, signedAt time.Time) error {
	return shippingRefused(m.caller.call(ctx, "mini.notify_confirm_receive", func() error {
		return m.shipping.NotifyConfirmReceive(&shipping.NotifyConfirmReceiveRequest{TransactionID: p.TransactionID, ReceivedTime: signedAt.Unix()})
	}))
}

// nothingUpdated is WeChat's code for an upload that it knows already.
const nothingUpdated = 10060023

// shippingFaults say, of the refusals that a person can do something about, what is wrong.
var shippingFaults = map[int]string{
	48001:    "微信小程序没有「发货信息管理」的接口权限",
	10060004: "这笔支付在微信里已退款或关闭，不能录入发货信息",
	10060005: "微信不接受这种发货方式",
	10060014: "微信认为快递公司、单号或联系方式有误",
	10060026: "微信认为快递单号太长",
	10060031: "这笔支付的付款人与微信的记录不一致",
}

// shippingRefused makes a refusal that will stay one, and that no other table knows, the
// words for the person who has to look.
func shippingRefused(err error) error {
	e, refused := errors.AsType[*Error](err)
	if _, known := order.AsError(err); known || !refused {
		return err
	}
	says, ok := shippingFaults[e.Code]
	if !ok {
		says = "微信没有接受发货信息"
	}
	return &order.Error{Kind: order.Invalid, Code: "wechat_shipping", Detail: fmt.Sprintf("%s（微信错误码 %d）", says, e.Code), Err: err}
}
