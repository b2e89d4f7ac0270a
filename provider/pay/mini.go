package pay

import (
	"context"
	"crypto/rand"
	"errors"
	"strconv"
	"time"

	"github.com/wechatpay-apiv3/wechatpay-go/core"
	"github.com/wechatpay-apiv3/wechatpay-go/services/payments/jsapi"
	"github.com/wechatpay-apiv3/wechatpay-go/utils"

	"github.com/yuncaidun/yuncaidun/order"
)

// PrepayMini opens a trade that p.Payer, a user of the mini-program, pays there.
// Errors as in Prepay.
func (w *WeChat) PrepayMini(ctx context.Context, p order.Payment, description string) (string, error) {
	if w.cfg.MiniAppID == "" {
		return "", errors.New("wechat pay: no mini-program")
	}
	expires := p.ExpiresAt.In(order.Shanghai).Truncate(time.Second)
	var resp *jsapi.PrepayResponse
	err := w.call("prepay_mini", func() (err error) {
		resp, _, err = w.jsapi.Prepay(ctx, jsapi.PrepayRequest{
			Appid:       &w.cfg.MiniAppID,
			Mchid:       &w.cfg.MchID,
			Description: core.String(atMost(127, description)),
			OutTradeNo:  &p.TradeNo,
			TimeExpire:  &expires,
			NotifyUrl:   &w.cfg.NotifyURL,
			Attach:      core.String(string(p.OrderID)),
			Amount:      &jsapi.Amount{Total: core.Int64(int64(p.Amount)), Currency: core.String(currency)},
			Payer:       &jsapi.Payer{Openid: &p.Payer},
		})
		return err
	})
	switch {
	case spent[codeOf(err)]:
		return "", w.whySpent(ctx, p.TradeNo, err)
	case err != nil:
		return "", err
	case deref(resp.PrepayId) == "":
		return "", unavailable("wechat pay prepay_mini", errors.New("reply has no prepay_id"))
	}
	return *resp.PrepayId, nil
}

// MiniRequest is what the mini-program calls wx.requestPayment with.
type MiniRequest struct {
	TimeStamp, NonceStr, Package, SignType, PaySign string
}

// RequestPayment signs the call of wx.requestPayment for an open trade, anew each
// time: its time stamp is the phone's business, its signature ours
// (pay.weixin.qq.com, "小程序调起支付").
func (w *WeChat) RequestPayment(prepayID string, now time.Time) (MiniRequest, error) {
	r := MiniRequest{
		TimeStamp: strconv.FormatInt(now.Unix(), 10), NonceStr: rand.Text(), Package: "prepay_id=" + prepayID, SignType: "RSA",
	}
	var err error
	r.PaySign, err = utils.SignSHA256WithRSA(w.cfg.MiniAppID+"\n"+r.TimeStamp+"\n"+r.NonceStr+"\n"+r.Package+"\n", w.private)
	return r, err
}
