package sim_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wechatpay-apiv3/wechatpay-go/core"
	"github.com/wechatpay-apiv3/wechatpay-go/core/auth/verifiers"
	"github.com/wechatpay-apiv3/wechatpay-go/core/notify"
	"github.com/wechatpay-apiv3/wechatpay-go/core/option"
	"github.com/wechatpay-apiv3/wechatpay-go/services/payments"
	"github.com/wechatpay-apiv3/wechatpay-go/services/payments/native"
	"github.com/wechatpay-apiv3/wechatpay-go/services/refunddomestic"

	"github.com/yuncaidun/yuncaidun/provider/sim"
)

// merchant is the published SDK talking to the simulator, and the product's end of the notifications.
type merchant struct {
	*world
	native  native.NativeApiService
	refunds refunddomestic.RefundsApiService

	mu       sync.Mutex
	heard    []payments.Transaction // accepted notifications
	refused  []error
	statuses []int // answers still to give instead of checking, one per notification
}

func newMerchant(t *testing.T, edit ...func(*sim.Config)) *merchant {
	w := newWorld(t, edit...)
	c, err := core.NewClient(context.Background(), option.WithWechatPayPublicKeyAuthCipher(w.cfg.Pay.MchID, merchantSerial, merchantKey(),
		w.cfg.Pay.PlatformKeyID, &platformKey().PublicKey), option.WithHTTPClient(w.client()))
	if err != nil {
		t.Fatal(err)
	}
	handler, err := notify.NewRSANotifyHandler(apiV3Key, verifiers.NewSHA256WithRSAPubkeyVerifier(w.cfg.Pay.PlatformKeyID, platformKey().PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	m := &merchant{world: w, native: native.NativeApiService{Client: c}, refunds: refunddomestic.RefundsApiService{Client: c}}
	w.answer(func(rw http.ResponseWriter, r *http.Request) {
		m.mu.Lock()
		defer m.mu.Unlock()
		if r.URL.Path != "/callbacks/wechatpay" {
			t.Errorf("notified at %s", r.URL.Path)
		}
		if len(m.statuses) > 0 {
			rw.WriteHeader(m.statuses[0])
			m.statuses = m.statuses[1:]
			return
		}
		var tx payments.Transaction
		if _, err := handler.ParseNotifyRequest(r.Context(), r, &tx); err != nil {
			m.refused = append(m.refused, err)
			rw.WriteHeader(http.StatusUnauthorized)
			return
		}
		m.heard = append(m.heard, tx)
		rw.WriteHeader(http.StatusNoContent)
	})
	return m
}

func (m *merchant) prepay(no string, fen int64, edit ...func(*native.PrepayRequest)) (string, error) {
	req := native.PrepayRequest{
		Appid: core.String(m.cfg.Pay.AppID), Mchid: core.String(m.cfg.Pay.MchID), Description: core.String("USBKEY 证书"), OutTradeNo: core.String(no),
		Attach: core.String("order-1"), NotifyUrl: core.String("https://public.example/callbacks/wechatpay"),
		Amount: &native.Amount{Total: core.Int64(fen), Currency: core.String("CNY")},
	}
	for _, e := range edit {
		e(&req)
	}
	resp, _, err := m.native.Prepay(context.Background(), req)
	if err != nil {
		return "", err
	}
	return *resp.CodeUrl, nil
}

func (m *merchant) mustPrepay(no string) string {
	m.t.Helper()
	code, err := m.prepay(no, 30000)
	if err != nil {
		m.t.Fatal(err)
	}
	return code
}

func (m *merchant) state(no string) string {
	m.t.Helper()
	tx, _, err := m.native.QueryOrderByOutTradeNo(context.Background(), native.QueryOrderByOutTradeNoRequest{
		OutTradeNo: core.String(no), Mchid: core.String(m.cfg.Pay.MchID),
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return *tx.TradeState
}

func (m *merchant) close(no string) error {
	_, err := m.native.CloseOrder(context.Background(), native.CloseOrderRequest{OutTradeNo: core.String(no), Mchid: core.String(m.cfg.Pay.MchID)})
	return err
}

func (m *merchant) phone(how, no string) sim.PayResult {
	m.t.Helper()
	return post[sim.PayResult](m.world, "pay", map[string]any{"out_trade_no": no, "how": how})
}

func code(err error) string {
	if e := new(core.APIError); errors.As(err, &e) {
		return e.Code
	}
	return "not an API error"
}

func TestScanAndPay(t *testing.T) {
	m := newMerchant(t)
	codeURL := m.mustPrepay("ORDER-0001")
	if again := m.mustPrepay("ORDER-0001"); again != codeURL {
		t.Error("the same order again has another code_url")
	}
	if got := m.state("ORDER-0001"); got != "NOTPAY" {
		t.Errorf("before: %s", got)
	}
	got := post[sim.PayResult](m.world, "pay", map[string]any{"code_url": codeURL, "how": "pay"})
	if !got.Notices[0].Delivered || len(m.heard) != 1 {
		t.Fatalf("result %+v, refused %v", got, m.refused)
	}
	tx := m.heard[0]
	if *tx.OutTradeNo != "ORDER-0001" || *tx.Amount.Total != 30000 || *tx.Mchid != m.cfg.Pay.MchID || *tx.Appid != m.cfg.Pay.AppID ||
		*tx.TradeState != "SUCCESS" || *tx.Attach != "order-1" || *tx.SuccessTime != "2026-11-23T09:00:00+08:00" || *tx.Payer.Openid != "oApplicant" {
		t.Errorf("notified %+v", tx)
	}
	if got := m.state("ORDER-0001"); got != "SUCCESS" {
		t.Errorf("after: %s", got)
	}
	if status, _ := m.call(http.MethodPost, "pay", map[string]any{"out_trade_no": "ORDER-0001", "how": "pay"}); status != http.StatusConflict {
		t.Errorf("paying one trade twice: %d", status)
	}
	m.phone("repeat", "ORDER-0001")
	if len(m.heard) != 2 || *m.heard[1].TransactionId != *tx.TransactionId {
		t.Errorf("repeated notification %+v", m.heard)
	}
}

func TestPaymentsThatGoWrong(t *testing.T) {
	m := newMerchant(t)
	for _, no := range []string{"ORDER-fail", "ORDER-lose", "ORDER-less", "ORDER-fake"} {
		m.mustPrepay(no)
	}
	m.phone("fail", "ORDER-fail")
	if got := m.state("ORDER-fail"); got != "PAYERROR" {
		t.Errorf("fail: %s", got)
	}
	m.phone("lose", "ORDER-lose")
	if got := m.state("ORDER-lose"); got != "SUCCESS" || len(m.heard) != 0 {
		t.Errorf("lose: %s, heard %v", got, m.heard)
	}
	m.phone("wrong-amount", "ORDER-less")
	if len(m.heard) != 1 || *m.heard[0].Amount.Total != 29999 || m.state("ORDER-less") != "NOTPAY" {
		t.Errorf("wrong-amount: heard %+v, %s", m.heard, m.state("ORDER-less"))
	}
	if got := m.phone("forged", "ORDER-fake"); got.Notices[0].Delivered || got.Notices[0].NextAt != nil || len(m.refused) != 1 {
		t.Errorf("forged: %+v, refused %v", got, m.refused)
	}
	m.statuses = []int{http.StatusBadRequest}
	if got := m.phone("wrong-amount", "ORDER-less"); got.Notices[0].NextAt != nil {
		t.Errorf("a refused forgery is to be retried: %+v", got.Notices)
	}
	m.phone("pay", "ORDER-fail")
	if got := m.state("ORDER-fail"); got != "SUCCESS" {
		t.Errorf("tried again: %s", got)
	}
}

// Paying twice needs two open trades of one order; a closed one cannot be paid.
func TestPayTwice(t *testing.T) {
	m := newMerchant(t)
	m.mustPrepay("ORDER-1-a")
	if status, body := m.call(http.MethodPost, "pay", map[string]any{"out_trade_no": "ORDER-1-a", "how": "twice"}); status != http.StatusConflict {
		t.Errorf("without a second code: %d %s", status, body)
	}
	m.mustPrepay("ORDER-1-b")
	got := m.phone("twice", "ORDER-1-b")
	if len(m.heard) != 2 || *m.heard[0].TransactionId == *m.heard[1].TransactionId || len(got.Trades) != 2 {
		t.Errorf("heard %+v", m.heard)
	}
	m.mustPrepay("ORDER-2-a")
	if err := m.close("ORDER-2-a"); err != nil {
		t.Fatal(err)
	}
	if status, _ := m.call(http.MethodPost, "pay", map[string]any{"out_trade_no": "ORDER-2-a", "how": "pay"}); status != http.StatusConflict {
		t.Errorf("paying a closed trade: %d", status)
	}
}

// A close can come too late: the payer was typing the password.
func TestPayTwiceAfterTheClose(t *testing.T) {
	m := newMerchant(t)
	m.mustPrepay("ORDER-3-a")
	if err := m.close("ORDER-3-a"); err != nil {
		t.Fatal(err)
	}
	m.mustPrepay("ORDER-3-b")
	m.phone("twice", "ORDER-3-b")
	for _, no := range []string{"ORDER-3-a", "ORDER-3-b"} {
		if got := m.state(no); got != "SUCCESS" {
			t.Errorf("%s is %s", no, got)
		}
	}
}

// A notification that is not accepted is retried on the simulator's clock until it is.
func TestNotificationIsRetried(t *testing.T) {
	m := newMerchant(t)
	m.mustPrepay("ORDER-retry")
	m.statuses = []int{500, 503}
	if got := m.phone("pay", "ORDER-retry"); got.Notices[0].Delivered || got.Notices[0].NextAt == nil {
		t.Errorf("first attempt %+v", got.Notices)
	}
	for range 2 {
		post[sim.Clock](m.world, "advance", map[string]any{"advance": "15s"})
		post[struct{}](m.world, "settle", nil)
	}
	notices := get[[]sim.Notice](m.world, "notices?out_trade_no=ORDER-retry")
	if len(notices) != 1 || len(notices[0].Attempts) != 3 || !notices[0].Delivered || len(m.heard) != 1 {
		t.Errorf("notices %+v", notices)
	}
}

// A payment whose notification was not accepted before a restart is notified after it.
func TestNotificationSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	keep := func(c *sim.Config) { c.Dir = dir }
	m := newMerchant(t, keep)
	m.mustPrepay("ORDER-restart")
	m.statuses = []int{500}
	m.phone("pay", "ORDER-restart")
	if err := m.sim.Close(); err != nil {
		t.Fatal(err)
	}
	again := newMerchant(t, keep)
	post[sim.Clock](again.world, "advance", map[string]any{"advance": "15s"})
	post[struct{}](again.world, "settle", nil)
	if len(again.heard) != 1 || again.state("ORDER-restart") != "SUCCESS" {
		t.Errorf("heard %+v", again.heard)
	}
}

func TestPayErrors(t *testing.T) {
	m := newMerchant(t)
	for _, no := range []string{"ORDER-paid", "ORDER-closed", "ORDER-open", "ORDER-late"} {
		m.mustPrepay(no)
	}
	m.phone("lose", "ORDER-paid")
	if err := m.close("ORDER-closed"); err != nil {
		t.Fatal(err)
	}
	prepay := func(no string, fen int64, edit ...func(*native.PrepayRequest)) func() error {
		return func() error { _, err := m.prepay(no, fen, edit...); return err }
	}
	cases := []struct {
		name string
		call func() error
		want string
	}{
		{"prepay a paid order", prepay("ORDER-paid", 30000), "ORDERPAID"},
		{"prepay a closed order", prepay("ORDER-closed", 30000), "ORDER_CLOSED"},
		{"prepay with another amount", prepay("ORDER-open", 1), "OUT_TRADE_NO_USED"},
		{"nothing to pay", prepay("ORDER-zero", 0), "PARAM_ERROR"},
		{"short number", prepay("A", 1), "PARAM_ERROR"},
		{"another appid", prepay("ORDER-appid", 1, func(r *native.PrepayRequest) { r.Appid = core.String("wxother") }), "APPID_MCHID_NOT_MATCH"},
		{"expired before it began", prepay("ORDER-exp", 1, func(r *native.PrepayRequest) {
			r.TimeExpire = core.Time(m.sim.Now().Add(-time.Minute))
		}), "PARAM_ERROR"},
		{"close a paid order", func() error { return m.close("ORDER-paid") }, "ORDERPAID"},
		{"close an unknown order", func() error { return m.close("ORDER-none") }, "ORDERNOTEXIST"},
		{"query an unknown order", func() error {
			_, _, err := m.native.QueryOrderByOutTradeNo(context.Background(), native.QueryOrderByOutTradeNoRequest{
				OutTradeNo: core.String("ORDER-none"), Mchid: core.String(m.cfg.Pay.MchID),
			})
			return err
		}, "ORDERNOTEXIST"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := code(c.call()); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
	post[sim.Clock](m.world, "advance", map[string]any{"advance": "3h"})
	if got := m.state("ORDER-late"); got != "CLOSED" {
		t.Errorf("after its time: %s", got)
	}
}

func TestRefund(t *testing.T) {
	m := newMerchant(t)
	m.mustPrepay("ORDER-back")
	m.phone("pay", "ORDER-back")
	refund := func(no string, fen int64) (*refunddomestic.Refund, error) {
		r, _, err := m.refunds.Create(context.Background(), refunddomestic.CreateRequest{
			OutTradeNo: core.String("ORDER-back"), OutRefundNo: core.String(no), Reason: core.String("重复支付"),
			NotifyUrl: core.String("https://public.example/callbacks/wechatpay"),
			Amount:    &refunddomestic.AmountReq{Refund: core.Int64(fen), Total: core.Int64(30000), Currency: core.String("CNY")},
		})
		return r, err
	}
	first, err := refund("REFUND-1", 30000)
	if err != nil {
		t.Fatal(err)
	}
	again, err := refund("REFUND-1", 30000)
	if err != nil || *again.RefundId != *first.RefundId {
		t.Errorf("the same refund again: %+v, %v", again, err)
	}
	if _, err := refund("REFUND-1", 1); code(err) != "INVALID_REQUEST" {
		t.Errorf("the same number with another amount: %v", err)
	}
	if _, err := refund("REFUND-2", 1); code(err) != "INVALID_REQUEST" {
		t.Errorf("more than was paid: %v", err)
	}
	post[struct{}](m.world, "settle", nil)
	got, _, err := m.refunds.QueryByOutRefundNo(context.Background(), refunddomestic.QueryByOutRefundNoRequest{OutRefundNo: core.String("REFUND-1")})
	if err != nil || *got.Status != refunddomestic.STATUS_SUCCESS || *got.Amount.Refund != 30000 {
		t.Errorf("refund %+v, %v", got, err)
	}
	if notices := get[[]sim.Notice](m.world, "notices"); notices[0].Event != "REFUND.SUCCESS" || !notices[0].Delivered {
		t.Errorf("notices %+v", notices)
	}
	if got := m.state("ORDER-back"); got != "REFUND" {
		t.Errorf("trade state %s", got)
	}
}

// A refund that the payer's bank sends back waits until somebody says where to; one for which
// the merchant's balance stays too low is closed, and only another number is paid.
func TestRefundEnds(t *testing.T) {
	m := newMerchant(t)
	m.mustPrepay("ORDER-back")
	m.phone("pay", "ORDER-back")
	refund := func(no string) (*refunddomestic.Refund, error) {
		r, _, err := m.refunds.Create(context.Background(), refunddomestic.CreateRequest{
			OutTradeNo: core.String("ORDER-back"), OutRefundNo: core.String(no),
			NotifyUrl: core.String("https://public.example/callbacks/wechatpay"),
			Amount:    &refunddomestic.AmountReq{Refund: core.Int64(30000), Total: core.Int64(30000), Currency: core.String("CNY")},
		})
		return r, err
	}
	ends := func(no, want string) {
		t.Helper()
		post[struct{}](m.world, "settle", nil)
		r, err := refund(no)
		if err != nil || string(*r.Status) != want {
			t.Fatalf("%s: %+v, %v; want %s", no, r, err, want)
		}
		if notices := get[[]sim.Notice](m.world, "notices"); notices[0].Event != "REFUND."+want || !notices[0].Delivered {
			t.Errorf("%s: notices %+v", no, notices)
		}
	}
	post[[]sim.Fault](m.world, "faults", map[string]any{"family": "pay.refund.end", "code": "CLOSED"})
	if _, err := refund("R"); err != nil {
		t.Fatal(err)
	}
	ends("R", "CLOSED")
	post[[]sim.Fault](m.world, "faults", map[string]any{"family": "pay.refund.end", "code": "ABNORMAL"})
	second, err := refund("R_2")
	if err != nil {
		t.Fatal(err)
	}
	ends("R_2", "ABNORMAL")
	if _, err := refund("R_3"); code(err) != "INVALID_REQUEST" {
		t.Errorf("twice the money: %v", err)
	}
	settle := func(id, no string) error {
		_, err := m.native.Client.Post(context.Background(), "https://api.mch.weixin.qq.com/v3/refund/domestic/refunds/"+id+"/apply-abnormal-refund",
			map[string]string{"out_refund_no": no, "type": "USER_BANK_CARD", "bank_type": "CMB_DEBIT", "bank_account": "sealed", "real_name": "sealed"})
		return err
	}
	if err := settle("1", "R_2"); code(err) != "RESOURCE_NOT_EXISTS" {
		t.Errorf("another refund: %v", err)
	}
	if err := settle(*second.RefundId, "R_2"); err != nil {
		t.Fatal(err)
	}
	if err := settle(*second.RefundId, "R_2"); code(err) != "INVALID_REQUEST" {
		t.Errorf("settled twice: %v", err)
	}
	if r, err := refund("R_2"); err != nil || *r.Status != refunddomestic.STATUS_SUCCESS || *r.UserReceivedAccount != "招商银行借记卡0403" {
		t.Errorf("settled: %+v, %v", r, err)
	}
}

// Only the merchant's own, fresh and unrepeated signature is accepted.
func TestMerchantSignature(t *testing.T) {
	m := newMerchant(t)
	m.mustPrepay("ORDER-sig")
	const query = "/v3/pay/transactions/out-trade-no/ORDER-sig?mchid=1900000001"
	var captured http.Header
	c := m.client()
	inner := c.Transport
	c.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		captured = r.Header.Clone()
		return inner.RoundTrip(r)
	})
	signed, err := core.NewClient(context.Background(), option.WithWechatPayPublicKeyAuthCipher(m.cfg.Pay.MchID, merchantSerial, merchantKey(),
		m.cfg.Pay.PlatformKeyID, &platformKey().PublicKey), option.WithHTTPClient(c))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := signed.Get(context.Background(), "https://api.mch.weixin.qq.com"+query); err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]func(http.Header){
		"repeated nonce": func(http.Header) {},
		"no header":      func(h http.Header) { h.Del("Authorization") },
		"other nonce":    replace(`nonce_str="`, `nonce_str="x`),
		"other serial":   replace(`serial_no="3`, `serial_no="4`),
		"other merchant": replace(`mchid="1`, `mchid="2`),
		"old timestamp":  replace(`timestamp="1`, `timestamp="0`),
		"other scheme":   replace("RSA2048", "RSA1024"),
	} {
		req, err := http.NewRequest(http.MethodGet, m.url+"/playground/api.mch.weixin.qq.com"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = captured.Clone()
		edit(req.Header)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized || !strings.Contains(string(body), "SIGN_ERROR") {
			t.Errorf("%s: %d %s", name, resp.StatusCode, body)
		}
	}
}

func replace(from, to string) func(http.Header) {
	return func(h http.Header) { h.Set("Authorization", strings.Replace(h.Get("Authorization"), from, to, 1)) }
}

func TestPayFaults(t *testing.T) {
	m := newMerchant(t)
	post[[]sim.Fault](m.world, "faults", sim.Fault{Family: "pay.native", Times: -1, Code: "FREQUENCY_LIMITED", Status: 429})
	if _, err := m.prepay("ORDER-fault", 1); code(err) != "FREQUENCY_LIMITED" {
		t.Errorf("struck call: %v", err)
	}
	if left := control[[]sim.Fault](m.world, http.MethodDelete, "faults?family=pay.native", nil); len(left) != 0 {
		t.Errorf("left %+v", left)
	}
	post[[]sim.Fault](m.world, "faults", sim.Fault{Family: "pay.native", After: true})
	if _, err := m.prepay("ORDER-fault", 1); err == nil {
		t.Error("the answer was not lost")
	}
	if got := m.state("ORDER-fault"); got != "NOTPAY" {
		t.Errorf("the order whose answer was lost: %s", got)
	}
	post[[]sim.Fault](m.world, "faults", sim.Fault{Family: "notify", Repeat: 2})
	m.phone("pay", "ORDER-fault")
	if len(m.heard) != 3 {
		t.Errorf("heard %d notifications, want 3", len(m.heard))
	}
}
