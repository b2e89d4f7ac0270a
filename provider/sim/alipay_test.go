package sim_test

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/smartwalle/alipay/v3"

	"github.com/yuncaidun/yuncaidun/provider/sim"
)

// shop is the published SDK talking to the simulated Alipay, and the product's end of
// the notifications.
type shop struct {
	*world
	*alipay.Client

	mu      sync.Mutex
	heard   []*alipay.Notification
	refused int
	answers []string // still to give instead of checking
}

func newShop(t *testing.T, edit ...func(*sim.Config)) *shop {
	w := newWorld(t, append(slices.Clone(edit), func(c *sim.Config) {
		c.Alipay = sim.Alipay{AppID: "2021000000000001", SellerID: "2088000000000001", AppKey: &merchantKey().PublicKey, PlatformKey: platformKey()}
	})...)
	c, err := alipay.New(w.cfg.Alipay.AppID, base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PrivateKey(merchantKey())), false,
		alipay.WithSandboxGateway(w.url+"/playground/openapi.alipay.com/gateway.do"))
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&platformKey().PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.LoadAliPayPublicKey(base64.StdEncoding.EncodeToString(public)); err != nil {
		t.Fatal(err)
	}
	s := &shop{world: w, Client: c}
	w.answer(func(rw http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if r.URL.Path != "/callbacks/alipay" {
			t.Errorf("notified at %s", r.URL.Path)
		}
		if len(s.answers) > 0 {
			_, _ = io.WriteString(rw, s.answers[0])
			s.answers = s.answers[1:]
			return
		}
		body, _ := io.ReadAll(r.Body) // Alipay's Content-Type is more than ParseForm takes
		form, err := url.ParseQuery(string(body))
		if err != nil {
			t.Error(err)
		}
		n, err := c.DecodeNotification(form)
		if err != nil {
			s.refused++
			http.Error(rw, "failure", http.StatusForbidden)
			return
		}
		s.heard = append(s.heard, n)
		_, _ = io.WriteString(rw, "success")
	})
	return s
}

func (s *shop) precreate(no, yuan string, edit ...func(*alipay.TradePreCreate)) (*alipay.TradePreCreateRsp, error) {
	p := alipay.TradePreCreate{Trade: alipay.Trade{
		NotifyURL: "https://public.example/callbacks/alipay", OutTradeNo: no, TotalAmount: yuan, Subject: "USBKEY 证书", ProductCode: "FACE_TO_FACE_PAYMENT", MerchantOrderNo: "order-1",
	}}
	for _, e := range edit {
		e(&p)
	}
	return s.TradePreCreate(context.Background(), p)
}

func (s *shop) open(no string) string {
	s.t.Helper()
	r, err := s.precreate(no, "300.00")
	if err != nil || !r.IsSuccess() {
		s.t.Fatalf("precreate: %+v, %v", r, err)
	}
	return r.QRCode
}

// status is that of a query: its trade_status, or its sub_code.
func (s *shop) status(no string) string {
	s.t.Helper()
	r, err := s.TradeQuery(context.Background(), alipay.TradeQuery{OutTradeNo: no})
	if err != nil {
		s.t.Fatal(err)
	}
	return string(r.TradeStatus) + r.SubCode
}

func (s *shop) close(no string) string {
	s.t.Helper()
	r, err := s.TradeClose(context.Background(), alipay.TradeClose{OutTradeNo: no})
	if err != nil {
		s.t.Fatal(err)
	}
	return r.SubCode
}

func (s *shop) phone(how, no string) sim.PayResult {
	s.t.Helper()
	return post[sim.PayResult](s.world, "pay", map[string]any{"out_trade_no": no, "how": how})
}

func TestAlipayScanAndPay(t *testing.T) {
	s := newShop(t)
	code := s.open("T1")
	if again := s.open("T1"); again != code || !strings.HasPrefix(code, "https://qr.alipay.com/") {
		t.Errorf("codes %s, %s", code, again)
	}
	if got := s.status("T1"); got != "ACQ.TRADE_NOT_EXIST" {
		t.Errorf("before it is scanned: %s", got)
	}
	s.phone("scan", "T1")
	if got := s.status("T1"); got != "WAIT_BUYER_PAY" {
		t.Errorf("scanned: %s", got)
	}
	if got := s.phone("pay", "T1"); !got.Notices[0].Delivered || len(s.heard) != 1 {
		t.Fatalf("result %+v", got)
	}
	n := s.heard[0]
	if n.OutTradeNo != "T1" || n.TotalAmount != "300.00" || n.TradeStatus != alipay.TradeStatusSuccess || n.AppId != s.cfg.Alipay.AppID || n.SellerId != s.cfg.Alipay.SellerID ||
		n.GmtPayment != "2026-11-23 09:00:00" || n.SignType != "RSA2" || len(n.TradeNo) != 28 {
		t.Errorf("notified %+v", n)
	}
	if got := s.status("T1"); got != "TRADE_SUCCESS" {
		t.Errorf("after: %s", got)
	}
	s.phone("repeat", "T1")
	if len(s.heard) != 2 || s.heard[1].TradeNo != n.TradeNo {
		t.Errorf("repeated %+v", s.heard)
	}
	if trades := get[[]sim.Trade](s.world, "trades"); len(trades) != 1 || trades[0].Channel != sim.ViaAlipay || trades[0].Attach != "order-1" {
		t.Errorf("trades %+v", trades)
	}
}

func TestAlipayPaymentsThatGoWrong(t *testing.T) {
	s := newShop(t)
	for _, no := range []string{"Tfail", "Tlose", "Tless", "Tfake"} {
		s.open(no)
	}
	s.phone("fail", "Tfail")
	post[struct{}](s.world, "settle", nil)
	if got := s.status("Tfail"); got != "TRADE_CLOSED" || len(s.heard) != 1 || s.heard[0].TradeStatus != alipay.TradeStatusClosed || s.heard[0].GmtPayment != "" {
		t.Errorf("given up: %s, heard %+v", got, s.heard)
	}
	s.phone("lose", "Tlose")
	if got := s.status("Tlose"); got != "TRADE_SUCCESS" || len(s.heard) != 1 {
		t.Errorf("lost: %s", got)
	}
	s.phone("wrong-amount", "Tless")
	if len(s.heard) != 2 || s.heard[1].TotalAmount != "299.99" || s.status("Tless") != "ACQ.TRADE_NOT_EXIST" {
		t.Errorf("one fen short: %+v", s.heard)
	}
	if got := s.phone("forged", "Tfake"); got.Notices[0].Delivered || got.Notices[0].NextAt != nil || s.refused != 1 {
		t.Errorf("forged: %+v", got)
	}
}

// A code that nobody has scanned cannot be closed; one that was can.
func TestAlipayClosing(t *testing.T) {
	s := newShop(t)
	s.open("T1")
	if got := s.close("T1"); got != "ACQ.TRADE_NOT_EXIST" {
		t.Errorf("not scanned: %s", got)
	}
	s.phone("pay", "T1")
	if got := s.close("T1"); got != "ACQ.TRADE_STATUS_ERROR" {
		t.Errorf("paid: %s", got)
	}
	s.open("T2")
	s.phone("scan", "T2")
	if got := s.close("T2") + s.status("T2"); got != "TRADE_CLOSED" {
		t.Errorf("scanned: %s", got)
	}
	for no, want := range map[string]string{"T1": "ACQ.TRADE_HAS_SUCCESS", "T2": "ACQ.TRADE_HAS_CLOSE"} {
		if r, err := s.precreate(no, "300.00"); err != nil || r.SubCode != want {
			t.Errorf("%s again: %+v, %v", no, r, err)
		}
	}
	s.open("T3")
	post[sim.Clock](s.world, "advance", map[string]any{"advance": "3h"})
	if status, _ := s.call(http.MethodPost, "pay", map[string]any{"out_trade_no": "T3", "how": "pay"}); status != http.StatusConflict {
		t.Errorf("after its time: %d", status)
	}
}

// Only the word success ends the repeats, on Alipay's schedule and over a restart.
func TestAlipayNotificationIsRetried(t *testing.T) {
	dir := t.TempDir()
	keep := func(c *sim.Config) { c.Dir = dir }
	s := newShop(t, keep)
	s.open("T1")
	s.answers = []string{"SUCCESS", "fail"}
	if got := s.phone("pay", "T1"); got.Notices[0].Delivered || got.Notices[0].NextAt == nil {
		t.Errorf("first attempt %+v", got.Notices)
	}
	post[sim.Clock](s.world, "advance", map[string]any{"advance": "4m"})
	post[struct{}](s.world, "settle", nil)
	if err := s.sim.Close(); err != nil {
		t.Fatal(err)
	}
	again := newShop(t, keep)
	post[sim.Clock](again.world, "advance", map[string]any{"advance": "20m"})
	post[struct{}](again.world, "settle", nil)
	if notices := get[[]sim.Notice](again.world, "notices?out_trade_no=T1"); len(notices) != 1 || len(notices[0].Attempts) != 3 || !notices[0].Delivered || len(again.heard) != 1 {
		t.Errorf("notices %+v", notices)
	}
}

func TestAlipayRefund(t *testing.T) {
	s := newShop(t)
	ctx := context.Background()
	refund := func(no, yuan string) string {
		r, err := s.TradeRefund(ctx, alipay.TradeRefund{OutTradeNo: "T1", RefundAmount: yuan, OutRequestNo: no, RefundReason: "重复支付"})
		if err != nil {
			t.Fatal(err)
		}
		return r.SubCode + r.FundChange + " " + r.RefundFee
	}
	query := func(no string) string {
		r, err := s.TradeFastPayRefundQuery(ctx, alipay.TradeFastPayRefundQuery{OutTradeNo: "T1", OutRequestNo: no})
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(r.RefundStatus + " " + r.RefundAmount)
	}
	s.open("T1")
	if got := refund("R1", "1.00"); got != "ACQ.TRADE_NOT_EXIST " {
		t.Errorf("not paid: %s", got)
	}
	s.phone("pay", "T1")
	for _, step := range []struct{ got, want string }{
		{query("R1"), ""},
		{refund("R1", "100.00"), "Y 100.00"},
		{refund("R1", "100.00"), "N 100.00"},
		{refund("R1", "99.00"), "ACQ.DISCORDANT_REPEAT_REQUEST "},
		{refund("R2", "200.01"), "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL "},
		{s.status("T1"), "TRADE_SUCCESS"},
		{refund("R2", "200.00"), "Y 300.00"},
		{s.status("T1"), "TRADE_CLOSED"},
		{query("R1"), "REFUND_SUCCESS 100.00"},
	} {
		if step.got != step.want {
			t.Errorf("got %q, want %q", step.got, step.want)
		}
	}
	post[struct{}](s.world, "settle", nil)
	var told []string
	for _, n := range s.heard {
		told = append(told, string(n.TradeStatus)+" "+n.RefundFee)
	}
	if want := []string{"TRADE_SUCCESS ", "TRADE_SUCCESS 100.00", "TRADE_CLOSED 300.00"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

// Only the application's own signature over the whole form is accepted.
func TestAlipayApplicationSignature(t *testing.T) {
	s := newShop(t)
	s.open("T1")
	good, err := s.URLValues(alipay.TradeQuery{OutTradeNo: "T1"})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ key, value, want string }{
		"genuine":           {"sign_type", "RSA2", "ACQ.TRADE_NOT_EXIST"},
		"another signature": {"sign", "AAAA", "isv.invalid-signature"},
		"another content":   {"biz_content", `{"out_trade_no":"T2"}`, "isv.invalid-signature"},
		"downgraded":        {"sign_type", "RSA", "isv.invalid-sign-type"},
		"another app":       {"app_id", "2021000000000002", "isv.invalid-app-id"},
		"another charset":   {"charset", "GBK", "isv.invalid-charset"},
		"no time":           {"timestamp", "now", "isv.invalid-timestamp"},
		"another method":    {"method", "alipay.trade.pay", "isv.invalid-method"},
	} {
		form := url.Values{}
		for k := range good {
			form.Set(k, good.Get(k))
		}
		form.Set(tt.key, tt.value)
		resp, err := http.PostForm(s.url+"/playground/openapi.alipay.com/gateway.do", form)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if !strings.Contains(string(body), `"sub_code":"`+tt.want+`"`) {
			t.Errorf("%s: %s", name, body)
		}
	}
	for name, edit := range map[string]func(*alipay.TradePreCreate){
		"another seller": func(p *alipay.TradePreCreate) { p.SellerId = "2088000000000002" },
		"another amount": func(p *alipay.TradePreCreate) { p.OutTradeNo, p.TotalAmount = "T1", "1.00" },
		"no amount":      func(p *alipay.TradePreCreate) { p.TotalAmount = "0.00" },
		"a bad subject":  func(p *alipay.TradePreCreate) { p.Subject = "a&b" },
		"in the past":    func(p *alipay.TradePreCreate) { p.TimeExpire = "2026-11-23 08:59:59" },
	} {
		if r, err := s.precreate("T9", "300.00", edit); err != nil || r.IsSuccess() {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

func TestAlipayFaults(t *testing.T) {
	s := newShop(t)
	post[[]sim.Fault](s.world, "faults", sim.Fault{Family: "alipay.precreate", Code: "ACQ.SYSTEM_ERROR"})
	if r, err := s.precreate("T1", "1.00"); err != nil || r.SubCode != "ACQ.SYSTEM_ERROR" {
		t.Errorf("%+v, %v", r, err)
	}
	post[[]sim.Fault](s.world, "faults", sim.Fault{Family: "alipay.precreate", Status: http.StatusBadGateway})
	if r, err := s.precreate("T1", "1.00"); err == nil {
		t.Errorf("%+v", r)
	}
	s.open("T1")
}
