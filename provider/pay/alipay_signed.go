package pay

import (
	"errors"
	"net/url"
	"regexp"
	"strconv"
	"time"

	"github.com/smartwalle/alipay/v3"

	"github.com/yuncaidun/yuncaidun/order"
)

// ParseNotification verifies and reads a payment notification, a form. order.Forbidden:
// not Alipay's word to this merchant; the error says what was wrong without quoting the
// form. order.Conflict ("notification_irrelevant"): genuine, but not that a trade was paid.
func (a *Alipay) ParseNotification(body []byte) (order.Receipt, error) {
	form, err := url.ParseQuery(string(body))
	if err != nil || form.Get("sign") == "" {
		return order.Receipt{}, forged("not a signed form")
	}
	for _, values := range form {
		if len(values) != 1 {
			return order.Receipt{}, forged("a field is there twice")
		}
	}
	switch {
	case form.Get("sign_type") != "RSA2":
		return order.Receipt{}, forged("unknown signature type")
	case form.Has("alipay_cert_sn"): // not signed; and we agreed on a key
		return order.Receipt{}, forged("it names a certificate")
	case a.client.VerifySign(form) != nil:
		return order.Receipt{}, forged("bad signature")
	case form.Get("app_id") != a.cfg.AppID:
		return order.Receipt{}, forged("another application's trade")
	case form.Get("seller_id") != a.cfg.SellerID:
		return order.Receipt{}, forged("another seller's trade")
	case form.Get("notify_type") != alipay.NotifyTypeTradeStatusSync:
		return order.Receipt{}, irrelevant()
	}
	status, receipt, err := readAlipay(alipayReply{
		TradeNo: form.Get("out_trade_no"), AlipayNo: form.Get("trade_no"), Status: form.Get("trade_status"), Total: form.Get("total_amount"), PaidAt: form.Get("gmt_payment"),
	})
	switch {
	case err != nil:
		return order.Receipt{}, forged(err.Error())
	case status != order.TradePaid || form.Get("trade_status") == string(alipay.TradeStatusClosed):
		return order.Receipt{}, irrelevant()
	}
	return receipt, nil
}

// alipayStates reads trade_status.
var alipayStates = map[string]order.TradeStatus{
	string(alipay.TradeStatusWaitBuyerPay): order.TradeUnpaid,
	string(alipay.TradeStatusSuccess):      order.TradePaid,
	string(alipay.TradeStatusFinished):     order.TradePaid,
	string(alipay.TradeStatusClosed):       order.TradeShut,
}

// readAlipay takes what Alipay signed about a trade. A trade is closed when it was not
// paid and also when all of its money has gone back, which was paid all the same.
func readAlipay(r alipayReply) (order.TradeStatus, order.Receipt, error) {
	status, known := alipayStates[r.Status]
	if status == order.TradeShut && r.PaidAt != "" {
		status = order.TradePaid
	}
	switch {
	case r.TradeNo == "" || !known:
		return "", order.Receipt{}, errors.New("trade has no number or an unknown state")
	case status != order.TradePaid:
		return status, order.Receipt{}, nil
	}
	total, err := fen(r.Total)
	if err != nil {
		return "", order.Receipt{}, err
	}
	paidAt, err := time.ParseInLocation(time.DateTime, r.PaidAt, order.Shanghai)
	if err != nil || r.AlipayNo == "" {
		return "", order.Receipt{}, errors.New("payment has no id or time")
	}
	return status, order.Receipt{Channel: order.Alipay, TradeNo: r.TradeNo, TransactionID: r.AlipayNo, Amount: total, PaidAt: paidAt.UTC()}, nil
}

var yuan = regexp.MustCompile(`^(\d{1,9})(?:\.(\d{1,2}))?$`)

// fen reads an amount as Alipay writes it, in yuan.
func fen(text string) (order.Fen, error) {
	m := yuan.FindStringSubmatch(text)
	if m == nil {
		return 0, errors.New("amount is not in yuan")
	}
	n, err := strconv.ParseInt(m[1]+(m[2] + "00")[:2], 10, 64)
	if err != nil || n == 0 {
		return 0, errors.New("amount is nothing")
	}
	return order.Fen(n), nil
}
