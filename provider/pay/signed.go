package pay

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/wechatpay-apiv3/wechatpay-go/services/payments"
	"github.com/wechatpay-apiv3/wechatpay-go/services/refunddomestic"

	"github.com/yuncaidun/yuncaidun/order"
)

// ParseNotification verifies, decrypts and reads a payment notification; header
// has canonical keys. order.Forbidden: not WeChat Pay's word to this merchant;
// the error says what was wrong without quoting the request. order.Conflict
// ("notification_irrelevant"): genuine, but not about a payment.
func (w *WeChat) ParseNotification(ctx context.Context, header http.Header, body []byte) (order.Receipt, error) {
	// Replies to our own requests carry the same kind of signature. One of them
	// played back as a notification would make the SDK panic.
	var shape struct {
		Resource struct{ Nonce, Ciphertext string }
	}
	if err := json.Unmarshal(body, &shape); err != nil || len(shape.Resource.Nonce) != 12 || shape.Resource.Ciphertext == "" {
		return order.Receipt{}, forged("not a notification")
	}
	var content json.RawMessage
	req := &http.Request{Header: header, Body: io.NopCloser(bytes.NewReader(body))}
	notice, err := w.notices.ParseNotifyRequest(ctx, req, &content)
	if err != nil {
		return order.Receipt{}, forged(whyRefused(err))
	}
	if notice.EventType != "TRANSACTION.SUCCESS" {
		return order.Receipt{}, irrelevant()
	}
	var tx payments.Transaction
	if err := json.Unmarshal(content, &tx); err != nil {
		return order.Receipt{}, forged("content is not a transaction")
	}
	status, receipt, err := w.read(&tx)
	switch {
	case err != nil:
		return order.Receipt{}, forged(err.Error())
	case status != order.TradePaid:
		return order.Receipt{}, forged("trade is not paid")
	}
	return receipt, nil
}

// read takes a signed transaction and refuses one that is not ours.
func (w *WeChat) read(tx *payments.Transaction) (order.TradeStatus, order.Receipt, error) {
	status, known := tradeStates[deref(tx.TradeState)]
	switch {
	case deref(tx.Mchid) != w.cfg.MchID:
		return "", order.Receipt{}, errors.New("another merchant's trade")
	case deref(tx.Appid) != w.cfg.AppID && (w.cfg.MiniAppID == "" || deref(tx.Appid) != w.cfg.MiniAppID):
		return "", order.Receipt{}, errors.New("another account's trade")
	case deref(tx.OutTradeNo) == "" || !known:
		return "", order.Receipt{}, errors.New("trade has no number or an unknown state")
	case status != order.TradePaid:
		return status, order.Receipt{}, nil
	}
	paidAt, err := time.Parse(time.RFC3339, deref(tx.SuccessTime))
	switch {
	case deref(tx.TradeType) != w.tradeType(deref(tx.Appid)):
		return "", order.Receipt{}, fmt.Errorf("trade is not of type %s", w.tradeType(deref(tx.Appid)))
	case tx.Amount == nil || deref(tx.Amount.Currency) != currency || deref(tx.Amount.Total) <= 0:
		return "", order.Receipt{}, errors.New("trade is not in CNY")
	case deref(tx.TransactionId) == "" || err != nil:
		return "", order.Receipt{}, errors.New("payment has no id or time")
	}
	return status, order.Receipt{
		Channel: order.WeChatPay, TradeNo: *tx.OutTradeNo, TransactionID: *tx.TransactionId,
		Amount: order.Fen(*tx.Amount.Total), PaidAt: paidAt.UTC(),
	}, nil
}

// tradeType is how one of our accounts is paid.
func (w *WeChat) tradeType(appID string) string {
	if appID == w.cfg.AppID {
		return "NATIVE"
	}
	return "JSAPI"
}

// tradeStates reads trade_state. Money that has since gone back was paid all the
// same.
var tradeStates = map[string]order.TradeStatus{
	"NOTPAY":     order.TradeUnpaid,
	"USERPAYING": order.TradeUnpaid,
	"ACCEPT":     order.TradeUnpaid,
	"SUCCESS":    order.TradePaid,
	"REFUND":     order.TradePaid,
	"CLOSED":     order.TradeShut,
	"REVOKED":    order.TradeShut,
	"PAYERROR":   order.TradeFailed,
}

// refundStatus reads a signed refund and refuses one we did not ask for.
func refundStatus(op string, p order.Payment, amount order.Fen, r *refunddomestic.Refund) (order.RefundStatus, error) {
	if deref(r.OutRefundNo) != p.RefundNo || deref(r.OutTradeNo) != p.TradeNo || r.Amount == nil || deref(r.Amount.Refund) != int64(amount) {
		return "", unavailable(op, errors.New("reply is about another refund"))
	}
	switch deref(r.Status) {
	case refunddomestic.STATUS_PROCESSING:
		return order.RefundProcessing, nil
	case refunddomestic.STATUS_SUCCESS:
		if strings.HasPrefix(deref(r.UserReceivedAccount), "商户") { // an abnormal one that the merchant took back
			return order.RefundAbnormal, nil
		}
		return order.RefundDone, nil
	case refunddomestic.STATUS_ABNORMAL:
		return order.RefundAbnormal, nil
	case refunddomestic.STATUS_CLOSED:
		return order.RefundClosed, nil
	}
	return "", unavailable(op, errors.New("refund has an unknown status"))
}

func irrelevant() error {
	return order.Errorf(order.Conflict, "notification_irrelevant", "通知与支付结果无关")
}

func forged(why string) error {
	return &order.Error{Kind: order.Forbidden, Code: "notification_refused", Detail: "通知未通过验证", Err: errors.New(why)}
}

// whyRefused names the check that failed. The SDK's own text embeds the whole
// request.
func whyRefused(err error) string {
	for _, c := range []struct{ text, why string }{
		{"is empty in header", "unsigned"},
		{" expires", "stale timestamp"},
		{"does not match serial number", "unknown key id"},
		{"validate verify fail", "bad signature"},
		{"Wechatpay-Signature-Type", "unknown signature type"},
		{"decrypt error", "does not decrypt"},
	} {
		if strings.Contains(err.Error(), c.text) {
			return c.why
		}
	}
	return "malformed"
}

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
