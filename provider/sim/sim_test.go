package sim_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/provider/sim"
)

var (
	merchantKey = sync.OnceValue(newKey)
	platformKey = sync.OnceValue(newKey)
)

func newKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

const (
	merchantSerial = "3775B6A45ACD588826D15E583A95F5DD0000AAAA"
	aesKey         = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
	apiV3Key       = "0123456789abcdef0123456789abcdef"
	cardTemplate   = "tpl-review"
)

// world is a simulator and the product it talks to, here a handler that the test sets.
type world struct {
	t       *testing.T
	sim     *sim.Server
	url     string // of the simulator, without a path
	cfg     sim.Config
	product atomic.Pointer[http.HandlerFunc]
}

func (w *world) answer(h http.HandlerFunc) { w.product.Store(&h) }

// newWorld starts a simulator whose clock stands still until it is advanced.
func newWorld(t *testing.T, edit ...func(*sim.Config)) *world {
	t.Helper()
	w := &world{t: t}
	w.answer(func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, "success") })
	product := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { (*w.product.Load())(rw, r) }))
	t.Cleanup(product.Close)

	start := time.Date(2026, 11, 23, 1, 0, 0, 0, time.UTC)
	w.cfg = sim.Config{
		ProductURL: product.URL, PublicURL: "http://product.test:8080",
		WeChat: sim.WeChat{
			AppID: "wx1234567890abcdef", AppSecret: "app-secret", Token: "callback-token", EncodingAESKey: aesKey, OriginalID: "gh_0123456789ab",
			Templates: map[string]sim.Template{cardTemplate: {
				Title: "待审核提醒", Content: "单号：{{character_string1.DATA}}\n状态：{{phrase2.DATA}}\n单位：{{thing3.DATA}}",
			}},
		},
		Pay: sim.Pay{
			MchID: "1900000001", AppID: "wx1234567890abcdef", APIv3Key: apiV3Key, MerchantSerial: merchantSerial,
			MerchantKey: &merchantKey().PublicKey, PlatformKeyID: "PUB_KEY_ID_0119000000012026", PlatformKey: platformKey(),
		},
		SMS: sim.SMS{
			SecretID: "AKIDsms", SecretKey: "sms-secret", SdkAppID: "1400006666", SignName: "云采盾",
			Templates: map[string]string{"1001": "您的验证码是{1}，{2}分钟内有效。"},
		},
		FaceID: sim.FaceID{SecretID: "AKIDface", SecretKey: "face-secret"},
		Personas: []sim.Persona{
			{Name: "申小采", Role: sim.Applicant, OpenID: "oApplicant", UnionID: "uApplicant", Mobile: "13800000001", IDNumber: "110101199003070016"},
			{Name: "沈合规", Role: sim.Reviewer, OpenID: "oReviewer", UnionID: "uReviewer", Mobile: "13800000002", TOTPSecret: "JBSWY3DPEHPK3PXP"},
		},
		Now: func() time.Time { return start },
	}
	for _, e := range edit {
		e(&w.cfg)
	}
	s, err := sim.New(w.cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.sim = s
	srv := httptest.NewServer(s)
	w.url = srv.URL
	t.Cleanup(func() {
		srv.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// client reaches api hosts at the simulator, as the product's RoundTripper does.
func (w *world) client() *http.Client {
	base, err := url.Parse(w.url)
	if err != nil {
		w.t.Fatal(err)
	}
	return &http.Client{Timeout: 10 * time.Second, Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		r = r.Clone(r.Context())
		r.URL.Path = "/playground/" + r.URL.Host + r.URL.Path
		r.URL.Scheme, r.URL.Host, r.Host = base.Scheme, base.Host, base.Host
		return http.DefaultTransport.RoundTrip(r)
	})}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// get and post call the control API and decode its answer.
func get[T any](w *world, path string) T { return control[T](w, http.MethodGet, path, nil) }

func post[T any](w *world, path string, body any) T {
	return control[T](w, http.MethodPost, path, body)
}

func control[T any](w *world, method, path string, body any) T {
	w.t.Helper()
	status, raw := w.call(method, path, body)
	var v T
	if status != http.StatusOK {
		w.t.Fatalf("%s %s: %d %s", method, path, status, raw)
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	return v
}

func (w *world) call(method, path string, body any) (int, []byte) {
	w.t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		w.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(context.Background(), method, w.url+"/playground/control/"+path, bytes.NewReader(raw))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, answer
}

func TestNewNamesEveryFault(t *testing.T) {
	_, err := sim.New(sim.Config{Pay: sim.Pay{MchID: "1900000001"}})
	if err == nil {
		t.Fatal("an empty configuration was accepted")
	}
	for _, want := range []string{"ProductURL", "PublicURL", "WeChat.AppID", "EncodingAESKey", "APIv3Key", "SMS.SecretID", "Personas"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not named in %v", want, err)
		}
	}
}

// Where the product uses the real WeChat Pay, nobody can talk to the simulated one.
func TestNoMerchant(t *testing.T) {
	w := newWorld(t, func(c *sim.Config) { c.Pay = sim.Pay{} })
	auth := `WECHATPAY2-SHA256-RSA2048 mchid="",serial_no="",nonce_str="n",timestamp="1",signature="c2ln"`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+"/playground/api.mch.weixin.qq.com/v3/pay/transactions/out-trade-no/T-000001?mchid=", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", auth)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("answered %d", resp.StatusCode)
	}
}

// A second run continues the first: followers, chat, texts, trades; a torn last line does not hurt.
func TestSecondRunKeepsHistory(t *testing.T) {
	dir := t.TempDir()
	keep := func(c *sim.Config) { c.Dir = dir }
	w := newWorld(t, keep)
	post[sim.Exchange](w, "chat", map[string]any{"persona": "applicant", "text": "我的订单"})
	post[sim.Exchange](w, "unfollow", map[string]any{"persona": "reviewer"})
	before := get[[]sim.ChatMessage](w, "chat?persona=applicant")
	if err := w.sim.Close(); err != nil {
		t.Fatal(err)
	}
	appendTo(t, dir+"/sim.jsonl", `{"kind":"message","key":"1","ro`)

	again := newWorld(t, keep)
	after := get[[]sim.ChatMessage](again, "chat?persona=applicant")
	if len(after) != 1 || len(before) != 1 || after[0].Text != "我的订单" || !after[0].At.Equal(before[0].At) {
		t.Errorf("chat before %+v, after %+v", before, after)
	}
	for _, p := range get[[]sim.PersonaView](again, "personas") {
		if want := p.Role == sim.Applicant; p.Following != want {
			t.Errorf("%s following = %v, want %v", p.Name, p.Following, want)
		}
	}
}

func TestControlRefusesForms(t *testing.T) {
	w := newWorld(t)
	resp, err := http.Post(w.url+"/playground/control/chat", "text/plain", strings.NewReader(`{"persona":"applicant","text":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusUnsupportedMediaType {
		t.Errorf("a cross-site form got %d", resp.StatusCode)
	}
	if status, _ := w.call(http.MethodPost, "chat", map[string]any{"persona": "nobody", "text": "x"}); status != http.StatusConflict {
		t.Errorf("unknown persona got %d", status)
	}
	if status, _ := w.call(http.MethodPost, "advance", map[string]any{"advance": "-1h"}); status != http.StatusConflict {
		t.Errorf("a backward clock got %d", status)
	}
}

// The page polls: the same revision answers 204, anything new answers everything.
func TestStateTellsWhatChanged(t *testing.T) {
	w := newWorld(t)
	state := get[sim.State](w, "state")
	same := func() int {
		status, _ := w.call(http.MethodGet, "state?rev="+jsonText(state.Rev), nil)
		return status
	}
	if got := same(); got != http.StatusNoContent {
		t.Errorf("unchanged: %d", got)
	}
	post[sim.Clock](w, "advance", map[string]any{"advance": "168h"})
	if got := same(); got != http.StatusOK {
		t.Errorf("changed: %d", got)
	}
	if got := get[sim.Clock](w, "clock"); !got.Now.Equal(w.cfg.Now().Add(168 * time.Hour)) {
		t.Errorf("clock %v", got.Now)
	}
}

func TestFaults(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	ask := func() (int, string) {
		resp, err := c.Post("https://api.weixin.qq.com/cgi-bin/stable_token", "application/json",
			strings.NewReader(`{"grant_type":"client_credential","appid":"wx1234567890abcdef","secret":"app-secret"}`))
		if err != nil {
			return 0, err.Error()
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(body)
	}
	post[[]sim.Fault](w, "faults", sim.Fault{Family: "token", Times: 2, Status: 502})
	for range 2 {
		if status, _ := ask(); status != 502 {
			t.Errorf("struck call: %d", status)
		}
	}
	post[[]sim.Fault](w, "faults", sim.Fault{Family: "token", Code: "-1"})
	if _, body := ask(); !strings.Contains(body, `"errcode":-1`) {
		t.Errorf("struck call: %s", body)
	}
	post[[]sim.Fault](w, "faults", sim.Fault{Family: "token", After: true})
	if status, body := ask(); status != 0 || !strings.Contains(body, "EOF") {
		t.Errorf("lost answer: %d %s", status, body)
	}
	if status, body := ask(); status != 200 || !strings.Contains(body, "access_token") {
		t.Errorf("after the faults: %d %s", status, body)
	}
	for _, f := range []sim.Fault{{Family: "nonsense"}, {Family: "callback", Status: 500}, {Family: "token", Repeat: 1}} {
		if status, _ := w.call(http.MethodPost, "faults", f); status != http.StatusConflict {
			t.Errorf("%+v was accepted: %d", f, status)
		}
	}
}

func jsonText(v any) string {
	raw, _ := json.Marshal(v)
	return string(raw)
}
