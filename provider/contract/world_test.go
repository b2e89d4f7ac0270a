// Package contract holds the real provider clients against the simulator, each
// over its real protocol. Neither side imports the other: here they meet.
package contract

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/provider/courier"
	"github.com/yuncaidun/yuncaidun/provider/pay"
	"github.com/yuncaidun/yuncaidun/provider/realname"
	"github.com/yuncaidun/yuncaidun/provider/sim"
	"github.com/yuncaidun/yuncaidun/provider/sms"
	"github.com/yuncaidun/yuncaidun/provider/wechat"
)

const (
	appID     = "wx00000000000000ab"
	miniAppID = "wx00000000000000bc"
	mchID     = "1900000001"
	serial    = "5157F09EFDC096DE15EBE81A47057A7232F1B8E1"
	alipayApp = "2021000000000001"
	sellerID  = "2088000000000001"
	keyID     = "PUB_KEY_ID_0000000000000024101100397200000006"
	apiV3Key  = "0123456789abcdef0123456789ABCDEF"
	agent     = "oAgent"
	agentID   = "11010519491231002X"
)

var mobile = identity.NewMobile("13800000001")

// keys are made once; the tests care about who signs, not about the numbers.
var keys = sync.OnceValue(func() (k struct{ merchant, platform, foreign *rsa.PrivateKey }) {
	for _, p := range []**rsa.PrivateKey{&k.merchant, &k.platform, &k.foreign} {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		*p = key
	}
	return k
})

// world is the simulator, the clients under test, and a product that accepts
// payment notifications with the client and everything else with "success".
type world struct {
	t       *testing.T
	sim     *sim.Server
	url     string // of the simulator, with /playground
	product *httptest.Server

	pay      *pay.WeChat
	alipay   *pay.Alipay
	through  order.PayChannel
	gateway  order.PaymentGateway // that the test is about
	account  *wechat.OfficialAccount
	mini     *wechat.MiniProgram
	sms      *sms.Tencent
	realname *realname.Tencent
	courier  *courier.Kuaidi100

	mu       sync.Mutex
	receipts []order.Receipt
	reports  []order.CourierReport
	invoices []order.InvoiceNotice
	refused  []string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t}
	w.product = httptest.NewServer(http.HandlerFunc(w.serveProduct))
	t.Cleanup(w.product.Close)

	var err error
	w.sim, err = sim.New(sim.Config{
		ProductURL: w.product.URL, PublicURL: w.product.URL,
		WeChat: sim.WeChat{
			AppID: appID, AppSecret: "app-secret", Token: "token", EncodingAESKey: strings.Repeat("a", 43), OriginalID: "gh_1",
			Templates:     map[string]sim.Template{"tpl-review": {Title: "审核任务", Content: "单号：{{character_string1.DATA}}\n状态：{{phrase2.DATA}}"}},
			Subscriptions: map[string]sim.Template{"sub-progress": progress},
		},
		MiniProgram: sim.MiniProgram{AppID: miniAppID, AppSecret: "mini-secret", Pages: []string{"pages/home/index", "pages/auth/index", "pages/invoices/index"}, Subscriptions: map[string]sim.Template{"mini-progress": progress}},
		Pay: sim.Pay{
			MchID: mchID, AppID: appID, APIv3Key: apiV3Key, MerchantSerial: serial, MerchantKey: &keys().merchant.PublicKey,
			PlatformKeyID: keyID, PlatformKey: keys().platform,
		},
		Alipay: sim.Alipay{AppID: alipayApp, SellerID: sellerID, AppKey: &keys().merchant.PublicKey, PlatformKey: keys().platform},
		SMS: sim.SMS{
			SecretID: "sms-id", SecretKey: "sms-key", SdkAppID: "1400000001", SignName: "云采盾",
			Templates: map[string]string{"1001": "您的订单已由{1}发出，运单号{2}。"},
		},
		FaceID:  sim.FaceID{SecretID: "face-id", SecretKey: "face-key", RuleID: "7"},
		Courier: sim.Courier{Key: "courier-key"},
		Golden:  sim.Golden{AppKey: "gd_1", AppSecret: "golden-secret", SellerTaxNo: seller, SellerName: "云采示范电子认证有限公司"},
		Personas: []sim.Persona{
			{Name: "王测试", Role: sim.Applicant, OpenID: agent, UnionID: "uAgent", Mobile: mobile.Reveal(), IDNumber: agentID},
			{Name: "审核员", Role: sim.Reviewer, OpenID: "oReviewer", Mobile: "13800000002"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	outside := httptest.NewServer(w.sim)
	t.Cleanup(func() {
		outside.Close()
		_ = w.sim.Close()
	})
	w.url = outside.URL + "/playground"

	w.pay = w.merchant(keys().merchant)
	w.alipay = w.shop(keys().merchant)
	w.gateway = w.pay
	w.account = must(wechat.NewOfficialAccount(wechat.Config{
		AppID: appID, AppSecret: "app-secret", BaseURL: w.url + "/api.weixin.qq.com", OpenURL: w.url + "/open.weixin.qq.com", MPURL: w.url + "/mp.weixin.qq.com",
	}, &memory{values: map[string]any{}}))
	w.mini = must(wechat.NewMiniProgram(wechat.MiniConfig{AppID: miniAppID, AppSecret: "mini-secret", BaseURL: w.url + "/api.weixin.qq.com"}, &memory{values: map[string]any{}}))
	w.sms = w.texts("sms-key")
	w.realname = must(realname.NewTencent(realname.Config{
		SecretID: "face-id", SecretKey: "face-key", FaceRuleID: "7", BaseURL: w.url + "/faceid.tencentcloudapi.com", Now: w.sim.Now,
	}))
	w.courier = w.follower("courier-key")
	return w
}

func (w *world) follower(key string) *courier.Kuaidi100 {
	return must(courier.NewKuaidi100(courier.Config{
		Key: key, Salt: "salt", CallbackURL: w.product.URL + "/callbacks/courier", BaseURL: w.url + "/poll.kuaidi100.com",
	}))
}

func (w *world) merchant(key *rsa.PrivateKey) *pay.WeChat {
	private := must(x509.MarshalPKCS8PrivateKey(key))
	public := must(x509.MarshalPKIXPublicKey(&keys().platform.PublicKey))
	return must(pay.NewWeChat(pay.WeChatConfig{
		AppID: appID, MiniAppID: miniAppID, MchID: mchID, CertSerial: serial, PublicKeyID: keyID, APIv3Key: apiV3Key,
		PrivateKey: string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})),
		PublicKey:  string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})),
		NotifyURL:  w.product.URL + "/callbacks/wechatpay", BaseURL: w.url + "/api.mch.weixin.qq.com",
	}))
}

func (w *world) shop(key *rsa.PrivateKey) *pay.Alipay {
	return must(pay.NewAlipay(pay.AlipayConfig{
		AppID: alipayApp, SellerID: sellerID, NotifyURL: w.product.URL + "/callbacks/alipay", GatewayURL: w.url + "/openapi.alipay.com/gateway.do",
		PrivateKey: string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(key))})),
		PublicKey:  string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(&keys().platform.PublicKey))})),
	}))
}

func (w *world) texts(secretKey string) *sms.Tencent {
	return must(sms.NewTencent(sms.Config{
		SecretID: "sms-id", SecretKey: secretKey, SdkAppID: "1400000001", SignName: "云采盾",
		Template: func(name string) string { return map[string]string{"shipped": "1001", "unapproved": "9999"}[name] }, BaseURL: w.url + "/sms.tencentcloudapi.com", Now: w.sim.Now,
	}))
}

func (w *world) serveProduct(rw http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/callbacks/courier" {
		w.servePush(rw, r)
		return
	}
	if r.URL.Path == "/callbacks/invoice" {
		w.serveInvoices(rw, r)
		return
	}
	body, _ := io.ReadAll(r.Body)
	var receipt order.Receipt
	var err error
	switch r.URL.Path {
	case "/callbacks/wechatpay":
		receipt, err = w.pay.ParseNotification(r.Context(), r.Header, body)
	case "/callbacks/alipay":
		receipt, err = w.alipay.ParseNotification(body)
		if err == nil || errors.Is(err, order.Conflict) {
			_, _ = io.WriteString(rw, "success")
		}
	default:
		_, _ = io.WriteString(rw, "success")
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if errors.Is(err, order.Conflict) {
		return
	}
	if err != nil {
		w.refused = append(w.refused, err.Error())
		http.Error(rw, `{"code":"FAIL"}`, http.StatusForbidden)
		return
	}
	w.receipts = append(w.receipts, receipt)
}

// control sends a command to the simulator and decodes its answer into out.
func (w *world) control(method, path string, in, out any) {
	w.t.Helper()
	if status, answer := w.ask(method, path, in, out); status != http.StatusOK {
		w.t.Fatalf("control %s: %d: %s", path, status, answer)
	}
}

// ask is control for a command that may be refused.
func (w *world) ask(method, path string, in, out any) (status int, answer string) {
	w.t.Helper()
	body := must(json.Marshal(in))
	req := must(http.NewRequestWithContext(w.t.Context(), method, w.url+"/control/"+path, bytes.NewReader(body)))
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, _ := io.ReadAll(resp.Body)
	if resp.StatusCode == http.StatusOK && out != nil {
		if err := json.Unmarshal(raw, out); err != nil {
			w.t.Fatalf("control %s: %v", path, err)
		}
	}
	return resp.StatusCode, string(raw)
}

func (w *world) fault(f sim.Fault) {
	w.t.Helper()
	w.control(http.MethodPost, "faults", f, nil)
}

func (w *world) operate(codeURL, how string, times int) {
	w.t.Helper()
	w.control(http.MethodPost, "pay", map[string]any{"code_url": codeURL, "how": how, "times": times}, nil)
}

func (w *world) settle() {
	w.t.Helper()
	w.control(http.MethodPost, "settle", struct{}{}, nil)
}

// heard returns what the product was told so far.
func (w *world) heard() (receipts []order.Receipt, refused []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append(receipts, w.receipts...), append(refused, w.refused...)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
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

// memory is a token cache without expiry.
type memory struct {
	mu     sync.Mutex
	values map[string]any
}

func (m *memory) Get(key string) any {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.values[key]
}

func (m *memory) Set(key string, val any, _ time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.values[key] = val
	return nil
}

func (m *memory) IsExist(key string) bool { return m.Get(key) != nil }

func (m *memory) Delete(key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.values, key)
	return nil
}
