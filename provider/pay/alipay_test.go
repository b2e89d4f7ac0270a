package pay

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/yuncaidun/yuncaidun/order"
)

const (
	alipayApp = "2021000000000001"
	seller    = "2088000000000001"
	alipayNo  = "2026112322001400000000000001"
	qrCode    = "https://qr.alipay.com/bax00000000000000001"
)

var paidByAlipay = order.Receipt{Channel: order.Alipay, TradeNo: payment.TradeNo, TransactionID: alipayNo, Amount: 30000, PaidAt: paid.PaidAt}

// fields are those of a JSON object or a form.
type fields map[string]string

func (f fields) with(more fields) fields {
	f = maps.Clone(f)
	maps.Copy(f, more)
	maps.DeleteFunc(f, func(_, v string) bool { return v == "" })
	return f
}

// reply10000 is a success of a method.
func reply10000(more fields) fields {
	return fields{"code": "10000", "msg": "Success", "out_trade_no": payment.TradeNo}.with(more)
}

func reply40004(sub string) fields {
	return fields{"code": "40004", "msg": "Business Failed", "sub_code": sub, "sub_msg": "canary-of-the-body"}
}

// found is what a query says of the paid trade.
var found = reply10000(fields{"trade_no": alipayNo, "trade_status": "TRADE_SUCCESS", "total_amount": "300.00", "send_pay_date": "2026-11-23 12:00:00"})

// alipayGateway is a minimal Alipay that verifies the application's signature. A
// method's reply is an object, which it signs, or what it sends as it stands.
type alipayGateway struct {
	t       *testing.T
	replies map[string]any
	sign    func(raw string) string

	mu   sync.Mutex
	seen map[string]string // biz_content by method
}

func newAlipay(t *testing.T, replies map[string]any) (*Alipay, *alipayGateway) {
	t.Helper()
	g := &alipayGateway{t: t, replies: replies, sign: func(raw string) string { return rsa2(keys().platform, raw) }, seen: map[string]string{}}
	srv := httptest.NewServer(g)
	t.Cleanup(srv.Close)
	a, err := NewAlipay(alipayConfig(srv.URL + "/playground/openapi.alipay.com/gateway.do"))
	if err != nil {
		t.Fatal(err)
	}
	return a, g
}

// alipayConfig has the keys as Alipay's tool writes them: base64 without PEM.
func alipayConfig(gateway string) AlipayConfig {
	public, _ := x509.MarshalPKIXPublicKey(&keys().platform.PublicKey)
	return AlipayConfig{
		AppID: alipayApp, SellerID: seller, GatewayURL: gateway, NotifyURL: "https://shop.example/callbacks/alipay",
		PrivateKey: base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PrivateKey(keys().merchant)),
		PublicKey:  base64.StdEncoding.EncodeToString(public),
	}
}

func rsa2(key *rsa.PrivateKey, text string) string {
	sum := sha256.Sum256([]byte(text))
	sig, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	if err != nil {
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(sig)
}

// signText is what both sides sign of a form.
func signText(form url.Values, leave ...string) string {
	var lines []string
	for k := range form {
		if !slices.Contains(leave, k) {
			lines = append(lines, k+"="+form.Get(k))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "&")
}

func (g *alipayGateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	form, err := url.ParseQuery(string(body))
	sum := sha256.Sum256([]byte(signText(form, "sign")))
	sig, _ := base64.StdEncoding.DecodeString(form.Get("sign"))
	if err != nil || rsa.VerifyPKCS1v15(&keys().merchant.PublicKey, crypto.SHA256, sum[:], sig) != nil {
		g.t.Errorf("the application's signature: %v, %s", err, form)
	}
	for k, v := range map[string]string{"app_id": alipayApp, "sign_type": "RSA2", "charset": "utf-8", "format": "JSON", "version": "1.0"} {
		if form.Get(k) != v {
			g.t.Errorf("%s = %q, want %q", k, form.Get(k), v)
		}
	}
	method := form.Get("method")
	g.mu.Lock()
	g.seen[method] = form.Get("notify_url") + " " + form.Get("biz_content")
	g.mu.Unlock()
	switch a := g.replies[strings.TrimPrefix(method, "alipay.trade.")].(type) {
	case string:
		_, _ = io.WriteString(w, a)
	case int:
		http.Error(w, "<html>canary", a)
	default:
		raw, _ := json.Marshal(a)
		// The signature comes first here: nothing depends on the order.
		fmt.Fprintf(w, `{"sign":%q,%q:%s}`, g.sign(string(raw)), strings.ReplaceAll(method, ".", "_")+"_response", raw)
	}
}

func TestAlipayPrepay(t *testing.T) { // F58
	a, g := newAlipay(t, map[string]any{"precreate": reply10000(fields{"qr_code": qrCode})})
	code, err := a.Prepay(t.Context(), payment, strings.Repeat("云采盾/证书&", 30))
	if err != nil || code != qrCode {
		t.Fatalf("prepay = %q, %v", code, err)
	}
	notify, biz, _ := strings.Cut(g.seen["alipay.trade.precreate"], " ")
	var sent fields
	if err := json.Unmarshal([]byte(biz), &sent); err != nil {
		t.Fatal(err)
	}
	if s := sent["subject"]; len(s) > 256 || !utf8.ValidString(s) || strings.ContainsAny(s, "/&=") || !strings.HasPrefix(s, "云采盾 证书") {
		t.Errorf("subject of %d bytes: %q", len(s), s)
	}
	want := fields{
		"subject": sent["subject"], "out_trade_no": payment.TradeNo, "total_amount": "300.00", "product_code": "FACE_TO_FACE_PAYMENT", "seller_id": seller,
		"time_expire": "2026-11-30 12:00:00", "merchant_order_no": string(payment.OrderID),
	}
	if diff := cmp.Diff(want, sent.with(nil)); diff != "" || notify != "https://shop.example/callbacks/alipay" {
		t.Errorf("notify %s, request (-want +got):\n%s", notify, diff)
	}
}

func TestAlipayPrepayRefused(t *testing.T) {
	tests := map[string]struct {
		reply any
		want  string
	}{
		"paid":                    {reply40004("ACQ.TRADE_HAS_SUCCESS"), "conflict/trade_paid"},
		"closed":                  {reply40004("ACQ.TRADE_HAS_CLOSE"), "conflict/trade_closed"},
		"number used":             {reply40004("ACQ.CONTEXT_INCONSISTENT"), "error"},
		"system error":            {reply40004("ACQ.SYSTEM_ERROR"), "unavailable/payment_unavailable"},
		"system error, aop":       {reply40004("aop.ACQ.SYSTEM_ERROR"), "unavailable/payment_unavailable"},
		"out of service":          {fields{"code": "20000", "sub_code": "isp.unknow-error"}, "unavailable/payment_unavailable"},
		"too fast":                {fields{"code": "40005", "sub_code": "isv.call-limited"}, "unavailable/payment_unavailable"},
		"our signature is wrong":  {fields{"code": "40002", "sub_code": "isv.invalid-signature"}, "error"},
		"a reply without a code":  {fields{"out_trade_no": payment.TradeNo, "qr_code": qrCode}, "error"},
		"no qr_code":              {reply10000(nil), "unavailable/payment_unavailable"},
		"a code of somebody else": {reply10000(fields{"qr_code": "https://evil.example/bax"}), "unavailable/payment_unavailable"},
		"another trade":           {reply10000(fields{"qr_code": qrCode, "out_trade_no": "T2"}), "unavailable/payment_unavailable"},
		"an error page":           {http.StatusBadGateway, "unavailable/payment_unavailable"},
		"a redirect":              {http.StatusTemporaryRedirect, "unavailable/payment_unavailable"},
		"nothing":                 {"", "unavailable/payment_unavailable"},
		"a list":                  {"[]", "unavailable/payment_unavailable"},
		"null":                    {`{"alipay_trade_precreate_response":null}`, "unavailable/payment_unavailable"},
		"null, signed":            {nil, "error"},
		"encrypted":               {`{"alipay_trade_precreate_response":"AAAA","sign":"AAAA"}`, "unavailable/payment_unavailable"},
		"an error of the gateway": {`{"error_response":{"code":"40002","sub_code":"canary"}}`, "unavailable/payment_unavailable"},
		"another method's":        {`{"alipay_trade_query_response":{"code":"10000"},"sign":"AAAA"}`, "unavailable/payment_unavailable"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a, _ := newAlipay(t, map[string]any{"precreate": tt.reply})
			_, err := a.Prepay(t.Context(), payment, "证书")
			if got := problem(err); got != tt.want {
				t.Errorf("error %v is %q, want %q", err, got, tt.want)
			}
			checkQuiet(t, err)
		})
	}
}

// A reply that Alipay did not sign is no reply.
func TestAlipaysUnsignedRepliesAreRefused(t *testing.T) {
	for name, sign := range map[string]func(string) string{
		"unsigned":     func(string) string { return "" },
		"no base64":    func(string) string { return "%" },
		"foreign key":  func(raw string) string { return rsa2(keys().foreign, raw) },
		"another body": func(string) string { return rsa2(keys().platform, `{"code":"10000"}`) },
	} {
		t.Run(name, func(t *testing.T) {
			a, g := newAlipay(t, map[string]any{
				"precreate": reply10000(fields{"qr_code": qrCode}), "query": found, "close": reply10000(nil), "refund": reply10000(nil), "fastpay.refund.query": returned(nil),
			})
			g.sign = sign
			_, prepay := a.Prepay(t.Context(), payment, "证书")
			_, _, query := a.Query(t.Context(), payment.TradeNo)
			_, refund := a.Refund(t.Context(), payment, payment.Amount)
			for op, err := range map[string]error{"prepay": prepay, "query": query, "refund": refund, "close": a.Close(t.Context(), payment.TradeNo)} {
				if !errors.Is(err, order.Unavailable) {
					t.Errorf("%s: %v", op, err)
				}
				checkQuiet(t, err)
			}
		})
	}
}

func TestAlipayQuery(t *testing.T) { // F62: the query is the fallback for a lost notification
	state := func(s string) fields { return reply10000(fields{"trade_no": alipayNo, "trade_status": s}) }
	tests := map[string]struct {
		reply  any
		status order.TradeStatus
		want   string
	}{
		"paid":                        {found, order.TradePaid, ""},
		"paid long ago":               {found.with(fields{"trade_status": "TRADE_FINISHED"}), order.TradePaid, ""},
		"paid and gone back":          {found.with(fields{"trade_status": "TRADE_CLOSED"}), order.TradePaid, ""},
		"scanned":                     {state("WAIT_BUYER_PAY"), order.TradeUnpaid, ""},
		"closed":                      {state("TRADE_CLOSED"), order.TradeShut, ""},
		"not scanned":                 {reply40004("ACQ.TRADE_NOT_EXIST"), order.TradeUnknown, ""},
		"not scanned, but not signed": {`{"alipay_trade_query_response":{"code":"40004","sub_code":"ACQ.TRADE_NOT_EXIST"}}`, "", "unavailable/payment_unavailable"},
		"unknown state":               {state("TRADE_PENDING"), "", "unavailable/payment_unavailable"},
		"system error":                {reply40004("ACQ.SYSTEM_ERROR"), "", "unavailable/payment_unavailable"},
		"another trade":               {found.with(fields{"out_trade_no": "T2"}), "", "unavailable/payment_unavailable"},
		"no amount":                   {found.with(fields{"total_amount": ""}), "", "unavailable/payment_unavailable"},
		"a foreign amount":            {found.with(fields{"total_amount": "300,00"}), "", "unavailable/payment_unavailable"},
		"no time":                     {found.with(fields{"send_pay_date": ""}), "", "unavailable/payment_unavailable"},
		"no id":                       {found.with(fields{"trade_no": ""}), "", "unavailable/payment_unavailable"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a, _ := newAlipay(t, map[string]any{"query": tt.reply})
			status, receipt, err := a.Query(t.Context(), payment.TradeNo)
			if status != tt.status || problem(err) != tt.want {
				t.Errorf("query = %s, %v; want %s, %q", status, err, tt.status, tt.want)
			}
			want := order.Receipt{}
			if tt.status == order.TradePaid {
				want = paidByAlipay
			}
			if diff := cmp.Diff(want, receipt); diff != "" {
				t.Errorf("receipt (-want +got):\n%s", diff)
			}
			checkQuiet(t, err)
		})
	}
}

func TestAlipayClose(t *testing.T) { // lifecycle row 7
	shut := reply10000(fields{"trade_no": alipayNo, "trade_status": "TRADE_CLOSED"})
	tests := map[string]struct {
		close, query any
		want         string
	}{
		"closed":                      {reply10000(nil), shut, ""},
		"closed before":               {reply40004("ACQ.TRADE_STATUS_ERROR"), shut, ""},
		"never scanned":               {reply40004("ACQ.TRADE_NOT_EXIST"), reply40004("ACQ.TRADE_NOT_EXIST"), ""},
		"paid":                        {reply40004("ACQ.TRADE_STATUS_ERROR"), found, "conflict/trade_paid"},
		"paid while we closed":        {reply10000(nil), found, "conflict/trade_paid"},
		"refused, is open":            {reply40004("ACQ.REASON_ILLEGAL_STATUS"), reply10000(fields{"trade_status": "WAIT_BUYER_PAY"}), "unavailable/payment_unavailable"},
		"system error, closed anyway": {reply40004("ACQ.SYSTEM_ERROR"), shut, ""},
		"closed, cannot ask":          {reply10000(nil), http.StatusBadGateway, "unavailable/payment_unavailable"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a, _ := newAlipay(t, map[string]any{"close": tt.close, "query": tt.query})
			err := a.Close(t.Context(), payment.TradeNo)
			if got := problem(err); got != tt.want {
				t.Errorf("error %v is %q, want %q", err, got, tt.want)
			}
			checkQuiet(t, err)
		})
	}
}

// returned is what a query says of a refund that has gone through.
func returned(more fields) fields {
	return reply10000(fields{"trade_no": alipayNo, "out_request_no": payment.RefundNo, "refund_amount": "300.00", "total_amount": "300.00", "refund_status": "REFUND_SUCCESS"}).with(more)
}

func TestAlipayRefund(t *testing.T) { // F62: a second payment goes back, once
	yes, no := reply10000(fields{"fund_change": "Y", "refund_fee": "300.00"}), reply10000(fields{"fund_change": "N"})
	pending := reply10000(nil) // of the query: no such refund, or not yet
	tests := map[string]struct {
		refund, query any
		status        order.RefundStatus
		want          string
	}{
		"done":                          {yes, returned(nil), order.RefundDone, ""},
		"done before":                   {no, returned(nil), order.RefundDone, ""},
		"accepted":                      {yes, pending, order.RefundProcessing, ""},
		"refused, done before":          {reply40004("ACQ.TRADE_STATUS_ERROR"), returned(nil), order.RefundDone, ""},
		"refused":                       {reply40004("ACQ.REFUND_AMT_NOT_EQUAL_TOTAL"), pending, "", "conflict/refund_refused"},
		"our signature is refused":      {reply10000(nil).with(fields{"code": "40002", "sub_code": "isv.invalid-signature"}), pending, "", "error"},
		"refused, cannot ask":           {reply40004("ACQ.TRADE_STATUS_ERROR"), http.StatusBadGateway, "", "unavailable/payment_unavailable"},
		"too long ago":                  {reply40004("ACQ.TRADE_HAS_FINISHED"), pending, "", "conflict/refund_refused"},
		"the payer's account is closed": {reply40004("ACQ.BUYER_ERROR"), pending, "", "conflict/refund_refused"},
		"too long ago, unsigned":        {`{"alipay_trade_refund_response":{"code":"40004","sub_code":"ACQ.TRADE_HAS_FINISHED"}}`, pending, "", "unavailable/payment_unavailable"},
		"balance too low for now":       {reply40004("ACQ.SELLER_BALANCE_NOT_ENOUGH"), pending, "", "unavailable/merchant_balance_low"},
		"system error":                  {reply40004("ACQ.SYSTEM_ERROR"), pending, "", "unavailable/payment_unavailable"},
		"trade unknown":                 {reply40004("ACQ.TRADE_NOT_EXIST"), reply40004("ACQ.TRADE_NOT_EXIST"), "", "conflict/refund_refused"},
		"another refund":                {yes, returned(fields{"out_request_no": "R2"}), "", "unavailable/payment_unavailable"},
		"another trade":                 {yes, returned(fields{"out_trade_no": "T2"}), "", "unavailable/payment_unavailable"},
		"another amount":                {yes, returned(fields{"refund_amount": "0.01"}), "", "unavailable/payment_unavailable"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a, g := newAlipay(t, map[string]any{"refund": tt.refund, "fastpay.refund.query": tt.query})
			status, err := a.Refund(t.Context(), payment, payment.Amount)
			if status != tt.status || problem(err) != tt.want {
				t.Errorf("refund = %q, %v; want %q, %q", status, err, tt.status, tt.want)
			}
			checkQuiet(t, err)
			for _, want := range []string{`"refund_amount":"300.00"`, `"out_request_no":"` + payment.RefundNo + `"`, "重复支付"} {
				if !strings.Contains(g.seen["alipay.trade.refund"], want) {
					t.Errorf("request %s lacks %s", g.seen["alipay.trade.refund"], want)
				}
			}
		})
	}
}

// A part of the money goes back under a number of its own.
func TestAlipayReturnsAPart(t *testing.T) {
	a, g := newAlipay(t, map[string]any{"refund": reply10000(fields{"fund_change": "Y", "refund_fee": "150.05"}), "fastpay.refund.query": returned(fields{"out_request_no": "P1-7", "refund_amount": "150.05"})})
	p := payment
	p.RefundNo, p.RefundReason = "P1-7", "取消 1 个 UKEY"
	if status, err := a.Refund(t.Context(), p, 15005); status != order.RefundDone || err != nil {
		t.Errorf("refund = %s, %v", status, err)
	}
	if sent := g.seen["alipay.trade.refund"]; !strings.Contains(sent, `"refund_amount":"150.05"`) || !strings.Contains(sent, `"out_request_no":"P1-7"`) {
		t.Errorf("request %s", sent)
	}
}

func TestAlipayCallsGiveUpWithTheirContext(t *testing.T) {
	a, _ := newAlipay(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := a.Query(ctx, payment.TradeNo)
	if !errors.Is(err, order.Unavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v", err)
	}
	checkQuiet(t, err)
}

func TestNewAlipayNamesItsFault(t *testing.T) {
	pkcs8, _ := x509.MarshalPKCS8PrivateKey(keys().merchant)
	for name, spoil := range map[string]func(*AlipayConfig){
		"": func(*AlipayConfig) {},
		" with PEM": func(c *AlipayConfig) {
			c.PrivateKey = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
		},
		" with PKCS#8":        func(c *AlipayConfig) { c.PrivateKey = base64.StdEncoding.EncodeToString(pkcs8) },
		"relative gateway":    func(c *AlipayConfig) { c.GatewayURL = "openapi.alipay.com" },
		"no private key":      func(c *AlipayConfig) { c.PrivateKey = "" },
		"keys mixed up":       func(c *AlipayConfig) { c.PublicKey = c.PrivateKey },
		"no application":      func(c *AlipayConfig) { c.AppID = "" },
		"no seller":           func(c *AlipayConfig) { c.SellerID = "" },
		"notify URL, a query": func(c *AlipayConfig) { c.NotifyURL += "?a=b" },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := alipayConfig("https://openapi.example/gateway.do")
			spoil(&cfg)
			_, err := NewAlipay(cfg)
			if fine := name == "" || name[0] == ' '; fine != (err == nil) {
				t.Errorf("error %v", err)
			}
			if err != nil && strings.Contains(err.Error(), cfg.PrivateKey) && cfg.PrivateKey != "" {
				t.Errorf("error quotes the key: %v", err)
			}
		})
	}
}

// told is what Alipay tells of the paid trade.
var told = fields{
	"gmt_create": "2026-11-23 11:59:30", "charset": "utf-8", "gmt_payment": "2026-11-23 12:00:00", "notify_time": "2026-11-23 12:00:01", "subject": "云采盾 证书",
	"buyer_id": "2088000000000099", "invoice_amount": "300.00", "version": "1.0", "notify_id": "2026112300222120001099990000000001", "fund_bill_list": `[{"amount":"300.00","fundChannel":"ALIPAYACCOUNT"}]`,
	"notify_type": "trade_status_sync", "out_trade_no": payment.TradeNo, "total_amount": "300.00", "trade_status": "TRADE_SUCCESS", "trade_no": alipayNo,
	"auth_app_id": alipayApp, "receipt_amount": "300.00", "point_amount": "0.00", "app_id": alipayApp, "buyer_pay_amount": "300.00", "seller_id": seller,
}

// form signs a notification as Alipay does, whatever sign_type it says.
func (f fields) form(key *rsa.PrivateKey) url.Values {
	v := url.Values{"sign_type": {"RSA2"}}
	for k, text := range f {
		v.Set(k, text)
	}
	v.Set("sign", rsa2(key, signText(v, "sign", "sign_type")))
	return v
}

func TestAlipayNotification(t *testing.T) { // F62
	a, _ := newAlipay(t, nil)
	good := told.form(keys().platform)
	signed := func(more fields) string { return told.with(more).form(keys().platform).Encode() }
	set := func(k, v string) string {
		form := maps.Clone(good)
		form[k] = []string{v}
		return form.Encode()
	}
	without := func(k string) string {
		form := maps.Clone(good)
		delete(form, k)
		return form.Encode()
	}
	sum := sha1.Sum([]byte(signText(good, "sign", "sign_type")))
	weak, err := rsa.SignPKCS1v15(nil, keys().platform, crypto.SHA1, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	rsa1 := maps.Clone(good)
	rsa1["sign_type"], rsa1["sign"] = []string{"RSA"}, []string{base64.StdEncoding.EncodeToString(weak)}

	tests := map[string]struct{ body, want string }{
		"genuine":                       {good.Encode(), ""},
		"finished":                      {signed(fields{"trade_status": "TRADE_FINISHED"}), ""},
		"whole yuan":                    {signed(fields{"total_amount": "300"}), ""},
		"a part has gone back":          {signed(fields{"refund_fee": "150.00", "gmt_refund": "2026-11-24 12:00:00", "out_biz_no": "P1"}), ""},
		"foreign key":                   {told.form(keys().foreign).Encode(), "bad signature"},
		"unsigned":                      {without("sign"), "not a signed form"},
		"no signature type":             {without("sign_type"), "unknown signature type"},
		"downgraded, SHA-1":             {rsa1.Encode(), "unknown signature type"},
		"downgraded in name only":       {set("sign_type", "RSA"), "unknown signature type"},
		"said RSA2, signed with SHA-1":  {set("sign", rsa1.Get("sign")), "bad signature"},
		"a stranger's certificate":      {set("alipay_cert_sn", "0123456789abcdef0123456789abcdef"), "it names a certificate"},
		"amount changed":                {set("total_amount", "0.01"), "bad signature"},
		"trade changed":                 {set("out_trade_no", "T2"), "bad signature"},
		"a field dropped":               {without("buyer_id"), "bad signature"},
		"a field added":                 {set("body", "x"), "bad signature"},
		"a field twice":                 {good.Encode() + "&out_trade_no=T2", "a field is there twice"},
		"the signature twice":           {good.Encode() + "&sign=AAAA", "a field is there twice"},
		"another application":           {signed(fields{"app_id": "2021000000000002"}), "another application's trade"},
		"another seller":                {signed(fields{"seller_id": "2088000000000002"}), "another seller's trade"},
		"no seller":                     {signed(fields{"seller_id": ""}), "another seller's trade"},
		"no trade number":               {signed(fields{"out_trade_no": ""}), "trade has no number or an unknown state"},
		"unknown state":                 {signed(fields{"trade_status": "trade_success"}), "trade has no number or an unknown state"},
		"no amount":                     {signed(fields{"total_amount": ""}), "amount is not in yuan"},
		"negative amount":               {signed(fields{"total_amount": "-300.00"}), "amount is not in yuan"},
		"a third of a fen":              {signed(fields{"total_amount": "300.003"}), "amount is not in yuan"},
		"nothing":                       {signed(fields{"total_amount": "0.00"}), "amount is nothing"},
		"an amount beyond all bounds":   {signed(fields{"total_amount": "99999999999999999999.00"}), "amount is not in yuan"},
		"no time":                       {signed(fields{"gmt_payment": "noon"}), "payment has no id or time"},
		"no id of Alipay's":             {signed(fields{"trade_no": ""}), "payment has no id or time"},
		"scanned, not paid":             {signed(fields{"trade_status": "WAIT_BUYER_PAY", "gmt_payment": ""}), "notification_irrelevant"},
		"closed, not paid":              {signed(fields{"trade_status": "TRADE_CLOSED", "gmt_payment": ""}), "notification_irrelevant"},
		"closed after it was paid":      {signed(fields{"trade_status": "TRADE_CLOSED", "refund_fee": "300.00"}), "notification_irrelevant"},
		"something else":                {signed(fields{"notify_type": "dut_user_sign"}), "notification_irrelevant"},
		"no form":                       {"%zz", "not a signed form"},
		"JSON":                          {`{"sign":"x"}`, "not a signed form"},
		"empty":                         {"", "not a signed form"},
		"a signed reply, as a callback": {url.Values{"sign": {rsa2(keys().platform, `{}`)}, "sign_type": {"RSA2"}}.Encode(), "bad signature"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := a.ParseNotification([]byte(tt.body))
			if tt.want == "" {
				if diff := cmp.Diff(paidByAlipay, got); err != nil || diff != "" {
					t.Errorf("error %v, receipt (-want +got):\n%s", err, diff)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("parsed %+v, error %v; want %q", got, err, tt.want)
			}
			checkQuiet(t, err)
		})
	}
}

// Reliability 2: of 10,000 forged notifications none counts as payment of the order.
// Properly signed ones about another trade or amount are read, and the domain, which
// compares both, sees the difference.
func TestNoMutantOfAlipayIsAccepted(t *testing.T) {
	a, _ := newAlipay(t, nil)
	good := told.form(keys().platform)
	names := slices.Sorted(maps.Keys(good))
	tried := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		for range 100 {
			form := url.Values{}
			for k := range good {
				form.Set(k, good.Get(k))
			}
			resign := func(key *rsa.PrivateKey, more fields) { form = told.with(more).form(key) }
			name := rapid.SampledFrom(names).Draw(t, "field")
			ways := map[string]func(){
				"field changed": func() { form.Set(name, form.Get(name)+rapid.StringMatching(`[0-9A-Za-z]{1,5}`).Draw(t, "more")) },
				"field emptied": func() { form.Set(name, "") },
				"field dropped": func() { form.Del(name) },
				"field doubled": func() { form.Add(name, rapid.String().Draw(t, "other")) },
				"field added":   func() { form.Set(rapid.StringMatching(`x[a-z_]{3,9}`).Draw(t, "name"), "1") },
				"signature byte": func() {
					sig, _ := base64.StdEncoding.DecodeString(form.Get("sign"))
					sig[rapid.IntRange(0, len(sig)-1).Draw(t, "at")] ^= rapid.ByteRange(1, 255).Draw(t, "flip")
					form.Set("sign", base64.StdEncoding.EncodeToString(sig))
				},
				"foreign key": func() { resign(keys().foreign, nil) },
				"other application, signed": func() {
					resign(keys().platform, fields{"app_id": rapid.StringMatching(`20[3-9][0-9]{13}`).Draw(t, "app")})
				},
				"other seller, signed": func() {
					resign(keys().platform, fields{"seller_id": rapid.StringMatching(`2089[0-9]{12}`).Draw(t, "seller")})
				},
				"other trade, signed": func() {
					resign(keys().platform, fields{"out_trade_no": rapid.StringMatching(`T2025[0-9]{13}`).Draw(t, "trade")})
				},
				"other amount, signed": func() {
					resign(keys().platform, fields{"total_amount": rapid.SampledFrom([]string{"299.99", "300.01", "0.01", "30000", "3e2", "300.000"}).Draw(t, "yuan")})
				},
				"not paid, signed": func() {
					resign(keys().platform, fields{"trade_status": rapid.SampledFrom([]string{"WAIT_BUYER_PAY", "TRADE_CLOSED", "success"}).Draw(t, "state")})
				},
				"another type, signed alike": func() {
					form.Set("sign_type", rapid.SampledFrom([]string{"", "RSA", "rsa2", "MD5", "HMAC"}).Draw(t, "type"))
				},
			}
			how := rapid.SampledFrom(slices.Sorted(maps.Keys(ways))).Draw(t, "how")
			ways[how]()
			tried[how]++
			got, err := a.ParseNotification([]byte(form.Encode()))
			if err == nil && got.TradeNo == payment.TradeNo && got.Amount == payment.Amount {
				t.Fatalf("mutant %q was accepted: %+v", how, got)
			}
		}
	})
	total := 0
	for _, n := range tried {
		total += n
	}
	if total < 10_000 || len(tried) < 13 {
		t.Errorf("only %d mutants of %d kinds tried: %v", total, len(tried), tried)
	}
}

// FuzzAlipayNotification: whatever strangers send, the answer is an error with a kind
// and no panic, unless it says what Alipay signed.
func FuzzAlipayNotification(f *testing.F) {
	a, err := NewAlipay(alipayConfig("https://openapi.example/gateway.do"))
	if err != nil {
		f.Fatal(err)
	}
	good := told.form(keys().platform)
	f.Add([]byte(good.Encode()))
	f.Add([]byte("sign=AAAA&sign_type=RSA2&alipay_cert_sn=1"))
	f.Add([]byte("sign=%&sign_type=RSA2;a=b"))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := a.ParseNotification(body)
		if err != nil {
			if _, ok := order.AsError(err); !ok {
				t.Errorf("error without a kind: %v", err)
			}
			return
		}
		sent, _ := url.ParseQuery(string(body))
		if !maps.EqualFunc(sent, good, slices.Equal) {
			t.Fatalf("accepted %q as %+v", body, got)
		}
	})
}
