package pay

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/yuncaidun/yuncaidun/order"
)

var payment = order.Payment{
	TradeNo: "T20261123000000001", OrderID: "01JD8ZK3V0Q4M6Y2T9R7W5X1AB", Amount: 30000, RefundNo: "R20261123000000001", RefundReason: "重复支付",
	ExpiresAt: time.Date(2026, 11, 30, 4, 0, 0, 123456789, time.UTC),
}

var paid = order.Receipt{
	Channel: order.WeChatPay, TradeNo: payment.TradeNo, TransactionID: "4200000000202611230000000001", Amount: 30000,
	PaidAt: time.Date(2026, 11, 23, 4, 0, 0, 0, time.UTC),
}

const (
	prepayPath = "POST /v3/pay/transactions/native"
	queryPath  = "GET /v3/pay/transactions/out-trade-no/T20261123000000001"
	closePath  = "POST /v3/pay/transactions/out-trade-no/T20261123000000001/close"
	refundPath = "POST /v3/refund/domestic/refunds"
	refundGet  = "GET /v3/refund/domestic/refunds/R20261123000000001"
)

func ok(body string) reply { return reply{status: http.StatusOK, body: body} }

func refuse(status int, code string) reply {
	return reply{status: status, body: `{"code":"` + code + `","message":"canary-of-the-body"}`}
}

func state(s string) reply {
	return ok(transaction(payment.TradeNo, map[string]any{"trade_state": s, "success_time": nil, "transaction_id": nil, "amount": nil}))
}

// problem renders an error as "kind/code", "error" without a kind, or "".
func problem(err error) string {
	if err == nil {
		return ""
	}
	if e, ok := order.AsError(err); ok {
		return string(e.Kind) + "/" + e.Code
	}
	return "error"
}

func checkQuiet(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	for _, secret := range []string{"canary", "Signature", apiKey, "Wechatpay-", "api.mch.weixin.qq.com"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("error quotes %q: %v", secret, err)
		}
	}
}

func TestPrepay(t *testing.T) { // F58
	w, g := newMerchant(t, map[string]reply{prepayPath: ok(`{"code_url":"weixin://wxpay/bizpayurl?pr=abc"}`)})
	url, err := w.Prepay(t.Context(), payment, strings.Repeat("云采盾证书", 20))
	if err != nil || url != "weixin://wxpay/bizpayurl?pr=abc" {
		t.Fatalf("prepay = %q, %v", url, err)
	}
	var sent struct {
		AppID, MchID string
		Attach       string
		Description  string
		OutTradeNo   string `json:"out_trade_no"`
		TimeExpire   string `json:"time_expire"`
		NotifyURL    string `json:"notify_url"`
		Amount       map[string]any
	}
	if err := json.Unmarshal([]byte(strings.TrimPrefix(g.seen[0], prepayPath+" ")), &sent); err != nil {
		t.Fatal(err)
	}
	if len(sent.Description) > 127 || !utf8.ValidString(sent.Description) {
		t.Errorf("description of %d bytes: %q", len(sent.Description), sent.Description)
	}
	sent.Description = ""
	want := sent
	want.AppID, want.MchID, want.OutTradeNo, want.Attach = appID, mchID, payment.TradeNo, string(payment.OrderID)
	want.TimeExpire, want.NotifyURL = "2026-11-30T12:00:00+08:00", "https://shop.example/callbacks/wechatpay"
	want.Amount = map[string]any{"total": 30000.0, "currency": "CNY"}
	if diff := cmp.Diff(want, sent); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}

func TestPrepayRefused(t *testing.T) {
	tests := map[string]struct {
		replies map[string]reply
		want    string
	}{
		"system error":             {map[string]reply{prepayPath: refuse(500, "SYSTEM_ERROR")}, "unavailable/payment_unavailable"},
		"too fast":                 {map[string]reply{prepayPath: refuse(429, "FREQUENCY_LIMITED")}, "unavailable/payment_unavailable"},
		"our signature is wrong":   {map[string]reply{prepayPath: refuse(401, "SIGN_ERROR")}, "error"},
		"said paid, is paid":       {map[string]reply{prepayPath: refuse(400, "ORDERPAID"), queryPath: ok(transaction(payment.TradeNo, nil))}, "conflict/trade_paid"},
		"said paid, is not":        {map[string]reply{prepayPath: refuse(400, "ORDERPAID"), queryPath: state("NOTPAY")}, "error"},
		"said closed, is closed":   {map[string]reply{prepayPath: refuse(400, "ORDER_CLOSED"), queryPath: state("CLOSED")}, "conflict/trade_closed"},
		"number used, cannot ask":  {map[string]reply{prepayPath: refuse(403, "OUT_TRADE_NO_USED"), queryPath: refuse(500, "SYSTEM_ERROR")}, "unavailable/payment_unavailable"},
		"no code_url":              {map[string]reply{prepayPath: ok(`{}`)}, "unavailable/payment_unavailable"},
		"a code_url of the web":    {map[string]reply{prepayPath: ok(`{"code_url":"https://evil.example"}`)}, "unavailable/payment_unavailable"},
		"an error without a code":  {map[string]reply{prepayPath: {status: 400, body: "<html>"}}, "error"},
		"a gateway's error page":   {map[string]reply{prepayPath: {status: 502, body: "<html>canary"}}, "unavailable/payment_unavailable"},
		"a redirect, not followed": {map[string]reply{prepayPath: {status: 302, body: ""}}, "error"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w, _ := newMerchant(t, tt.replies)
			_, err := w.Prepay(t.Context(), payment, "证书")
			if got := problem(err); got != tt.want {
				t.Errorf("error %v is %q, want %q", err, got, tt.want)
			}
			checkQuiet(t, err)
		})
	}
}

// A reply that WeChat Pay did not sign is no reply.
func TestUnsignedRepliesAreRefused(t *testing.T) {
	signers := map[string]func(http.Header, string){
		"unsigned":    func(http.Header, string) {},
		"foreign key": func(h http.Header, body string) { signAs(keys().foreign, keyID, time.Now(), h, body) },
		"unknown key": func(h http.Header, body string) { signAs(keys().platform, "PUB_KEY_ID_1", time.Now(), h, body) },
		"stale": func(h http.Header, body string) {
			signAs(keys().platform, keyID, time.Now().Add(-301*time.Second), h, body)
		},
		"another body": func(h http.Header, _ string) { genuine(h, `{}`) },
	}
	for name, sign := range signers {
		t.Run(name, func(t *testing.T) {
			w, _ := newMerchant(t, map[string]reply{
				prepayPath: {200, `{"code_url":"weixin://canary"}`, sign},
				queryPath:  {200, transaction(payment.TradeNo, nil), sign},
				closePath:  {204, "", sign},
				refundPath: {200, refundBody("SUCCESS", nil), sign},
			})
			_, prepay := w.Prepay(t.Context(), payment, "证书")
			_, _, query := w.Query(t.Context(), payment.TradeNo)
			_, refund := w.Refund(t.Context(), payment, payment.Amount)
			for op, err := range map[string]error{"prepay": prepay, "query": query, "refund": refund, "close": w.Close(t.Context(), payment.TradeNo)} {
				if !errors.Is(err, order.Unavailable) {
					t.Errorf("%s: %v", op, err)
				}
				checkQuiet(t, err)
			}
		})
	}
}

func TestQuery(t *testing.T) { // F62: the query is the fallback for a lost notification
	with := func(k string, v any) reply { return ok(transaction(payment.TradeNo, map[string]any{k: v})) }
	tests := map[string]struct {
		reply  reply
		status order.TradeStatus
		want   string
	}{
		"paid":                {ok(transaction(payment.TradeNo, nil)), order.TradePaid, ""},
		"paid and gone back":  {with("trade_state", "REFUND"), order.TradePaid, ""},
		"not paid":            {state("NOTPAY"), order.TradeUnpaid, ""},
		"typing the password": {state("USERPAYING"), order.TradeUnpaid, ""},
		"closed":              {state("CLOSED"), order.TradeShut, ""},
		"failed":              {state("PAYERROR"), order.TradeFailed, ""},
		"unknown trade":       {refuse(404, "ORDER_NOT_EXIST"), order.TradeUnknown, ""},
		"unknown, old name":   {refuse(404, "ORDERNOTEXIST"), order.TradeUnknown, ""},
		"unknown state":       {state("SOMETHING_NEW"), "", "unavailable/payment_unavailable"},
		"system error":        {refuse(500, "SYSTEM_ERROR"), "", "unavailable/payment_unavailable"},
		"another trade":       {ok(transaction("T2", nil)), "", "unavailable/payment_unavailable"},
		"another merchant":    {with("mchid", "1900000002"), "", "unavailable/payment_unavailable"},
		"another account":     {with("appid", "wx2"), "", "unavailable/payment_unavailable"},
		"other currency":      {with("amount", map[string]any{"total": 30000, "currency": "USD"}), "", "unavailable/payment_unavailable"},
		"other way of paying": {with("trade_type", "JSAPI"), "", "unavailable/payment_unavailable"},
		"no amount":           {with("amount", nil), "", "unavailable/payment_unavailable"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w, _ := newMerchant(t, map[string]reply{queryPath: tt.reply})
			status, receipt, err := w.Query(t.Context(), payment.TradeNo)
			if status != tt.status || problem(err) != tt.want {
				t.Errorf("query = %s, %v; want %s, %q", status, err, tt.status, tt.want)
			}
			want := order.Receipt{}
			if tt.status == order.TradePaid {
				want = paid
			}
			if diff := cmp.Diff(want, receipt); diff != "" {
				t.Errorf("receipt (-want +got):\n%s", diff)
			}
			checkQuiet(t, err)
		})
	}
}

func TestClose(t *testing.T) { // lifecycle row 7: "gateway trade closed first; if already paid → row 5"
	closed := reply{status: http.StatusNoContent}
	tests := map[string]struct {
		close, query reply
		want         string
	}{
		"closed":                      {closed, state("CLOSED"), ""},
		"closed before":               {refuse(400, "ORDER_CLOSED"), state("CLOSED"), ""},
		"never opened":                {refuse(404, "ORDER_NOT_EXIST"), refuse(404, "ORDER_NOT_EXIST"), ""},
		"paid":                        {refuse(400, "ORDERPAID"), ok(transaction(payment.TradeNo, nil)), "conflict/trade_paid"},
		"paid while we closed":        {closed, ok(transaction(payment.TradeNo, nil)), "conflict/trade_paid"},
		"said paid, is closed":        {refuse(400, "ORDERPAID"), state("CLOSED"), ""},
		"said paid, is open":          {refuse(400, "ORDERPAID"), state("NOTPAY"), "unavailable/payment_unavailable"},
		"typing the password":         {reply{status: 202, body: `{"code":"USERPAYING"}`}, state("USERPAYING"), "unavailable/payment_unavailable"},
		"system error, open":          {refuse(500, "SYSTEM_ERROR"), state("NOTPAY"), "unavailable/payment_unavailable"},
		"system error, closed anyway": {refuse(500, "SYSTEM_ERROR"), state("CLOSED"), ""},
		"closed, cannot ask":          {closed, refuse(500, "SYSTEM_ERROR"), "unavailable/payment_unavailable"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w, _ := newMerchant(t, map[string]reply{closePath: tt.close, queryPath: tt.query})
			err := w.Close(t.Context(), payment.TradeNo)
			if got := problem(err); got != tt.want {
				t.Errorf("error %v is %q, want %q", err, got, tt.want)
			}
			checkQuiet(t, err)
		})
	}
}

func refundBody(status string, with map[string]any) string {
	r := map[string]any{
		"refund_id": "50000000382019052709732678859", "out_refund_no": payment.RefundNo, "transaction_id": paid.TransactionID,
		"out_trade_no": payment.TradeNo, "channel": "ORIGINAL", "user_received_account": "支付用户零钱",
		"create_time": "2026-11-23T12:00:00+08:00", "status": status,
		"amount": map[string]any{"total": 30000, "refund": 30000, "payer_total": 30000, "payer_refund": 30000, "settlement_refund": 30000, "settlement_total": 30000, "discount_refund": 0, "currency": "CNY"},
	}
	for k, v := range with {
		r[k] = v
	}
	b, _ := json.Marshal(r)
	return string(b)
}

func TestRefund(t *testing.T) { // F62: a second payment goes back, once
	tests := map[string]struct {
		create, query reply
		status        order.RefundStatus
		want          string
	}{
		"accepted":                 {create: ok(refundBody("PROCESSING", nil)), status: order.RefundProcessing},
		"done":                     {create: ok(refundBody("SUCCESS", nil)), status: order.RefundDone},
		"closed account":           {create: ok(refundBody("ABNORMAL", nil)), status: order.RefundAbnormal},
		"closed for good":          {create: ok(refundBody("CLOSED", nil)), status: order.RefundClosed},
		"taken back by merchant":   {create: ok(refundBody("SUCCESS", map[string]any{"user_received_account": "商户结算银行账户"})), status: order.RefundAbnormal},
		"settled on another card":  {create: ok(refundBody("SUCCESS", map[string]any{"channel": "OTHER_BANKCARD", "user_received_account": "招商银行借记卡0403"})), status: order.RefundDone},
		"refused, done before":     {create: refuse(400, "INVALID_REQUEST"), query: ok(refundBody("SUCCESS", nil)), status: order.RefundDone},
		"refused, never existed":   {create: refuse(403, "NO_AUTH"), query: refuse(404, "RESOURCE_NOT_EXISTS"), want: "conflict/refund_refused"},
		"our signature is refused": {create: refuse(401, "SIGN_ERROR"), query: refuse(404, "RESOURCE_NOT_EXISTS"), want: "error"},
		"refused, cannot ask":      {create: refuse(400, "INVALID_REQUEST"), query: refuse(500, "SYSTEM_ERROR"), want: "unavailable/payment_unavailable"},
		"balance too low for now":  {create: refuse(403, "NOT_ENOUGH"), want: "unavailable/merchant_balance_low"},
		"system error":             {create: refuse(500, "SYSTEM_ERROR"), want: "unavailable/payment_unavailable"},
		"another refund":           {create: ok(refundBody("SUCCESS", map[string]any{"out_refund_no": "R2"})), want: "unavailable/payment_unavailable"},
		"another trade":            {create: ok(refundBody("SUCCESS", map[string]any{"out_trade_no": "T2"})), want: "unavailable/payment_unavailable"},
		"another amount":           {create: ok(refundBody("SUCCESS", map[string]any{"amount": map[string]any{"refund": 1}})), want: "unavailable/payment_unavailable"},
		"a state we do not know":   {create: ok(refundBody("SOMETHING_NEW", nil)), want: "unavailable/payment_unavailable"},
		"trade unknown to gateway": {create: refuse(404, "RESOURCE_NOT_EXISTS"), query: refuse(404, "RESOURCE_NOT_EXISTS"), want: "conflict/refund_refused"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w, g := newMerchant(t, map[string]reply{refundPath: tt.create, refundGet: tt.query})
			status, err := w.Refund(t.Context(), payment, payment.Amount)
			if status != tt.status || problem(err) != tt.want {
				t.Errorf("refund = %q, %v; want %q, %q", status, err, tt.status, tt.want)
			}
			checkQuiet(t, err)
			if !strings.Contains(g.seen[0], `"refund":30000`) || !strings.Contains(g.seen[0], `"total":30000`) || !strings.Contains(g.seen[0], "重复支付") {
				t.Errorf("request = %s", g.seen[0])
			}
		})
	}
}

func TestCallsGiveUpWithTheirContext(t *testing.T) {
	w, _ := newMerchant(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := w.Query(ctx, payment.TradeNo)
	if !errors.Is(err, order.Unavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v", err)
	}
	checkQuiet(t, err)
}

func TestNewWeChatNamesItsFault(t *testing.T) {
	for name, spoil := range map[string]func(*WeChatConfig){
		"relative address":    func(c *WeChatConfig) { c.BaseURL = "pay.example" },
		"no private key":      func(c *WeChatConfig) { c.PrivateKey = "" },
		"keys mixed up":       func(c *WeChatConfig) { c.PublicKey = c.PrivateKey },
		"short APIv3 key":     func(c *WeChatConfig) { c.APIv3Key = "short" },
		"no merchant":         func(c *WeChatConfig) { c.MchID = "" },
		"no certificate":      func(c *WeChatConfig) { c.CertSerial = "" },
		"no platform key id":  func(c *WeChatConfig) { c.PublicKeyID = "" },
		"notify URL, a query": func(c *WeChatConfig) { c.NotifyURL += "?a=b" },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config("https://pay.example")
			spoil(&cfg)
			w, err := NewWeChat(cfg)
			if err == nil {
				t.Errorf("accepted: %v", w)
			} else if strings.Contains(err.Error(), "PRIVATE KEY") && strings.Contains(err.Error(), "BEGIN") {
				t.Errorf("error quotes the key: %v", err)
			}
		})
	}
}
