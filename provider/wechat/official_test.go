package wechat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/yuncaidun/yuncaidun/order"
)

// The SDK keeps its HTTP client in a package variable: no test here is parallel.

const prefix = "/playground/api.weixin.qq.com"

// tokenCache is a cache.Cache without expiry.
type tokenCache struct {
	mu     sync.Mutex
	values map[string]any
}

func (c *tokenCache) Get(key string) any {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.values[key]
}

func (c *tokenCache) Set(key string, val any, _ time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.values[key] = val
	return nil
}

func (c *tokenCache) IsExist(key string) bool { return c.Get(key) != nil }

func (c *tokenCache) Delete(key string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.values, key)
	return nil
}

// api is a minimal WeChat: it hands out tokens t1, t2, … and answers each other
// path with the first of its replies that is left.
type api struct {
	mu      sync.Mutex
	issued  int
	replies map[string][]string
	seen    []string // "path?query body"
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	path := strings.TrimPrefix(r.URL.Path, prefix)
	a.mu.Lock()
	defer a.mu.Unlock()
	if path == "/cgi-bin/stable_token" {
		a.issued++
		if !bytes.Contains(body, []byte(`"force_refresh":false`)) || !bytes.Contains(body, []byte(`"secret":"secret-canary"`)) {
			http.Error(w, "bad request", http.StatusBadRequest)
			return
		}
		_, _ = io.WriteString(w, `{"access_token":"token-canary-`+string(rune('0'+a.issued))+`","expires_in":7200}`)
		return
	}
	a.seen = append(a.seen, path+"?"+r.URL.RawQuery+" "+string(body))
	left := a.replies[path]
	if len(left) == 0 {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	if len(left) > 1 {
		a.replies[path] = left[1:]
	}
	_, _ = io.WriteString(w, left[0])
}

func newAccount(t *testing.T, replies map[string][]string) (*OfficialAccount, *api) {
	t.Helper()
	a := &api{replies: replies}
	srv := httptest.NewServer(a)
	t.Cleanup(srv.Close)
	account, err := NewOfficialAccount(Config{
		AppID: "wx0000000000000001", AppSecret: "secret-canary",
		BaseURL: srv.URL + prefix, OpenURL: "http://127.0.0.1:8080/playground/open.weixin.qq.com", MPURL: "http://127.0.0.1:8080/playground/mp.weixin.qq.com/",
	}, &tokenCache{values: map[string]any{}})
	if err != nil {
		t.Fatal(err)
	}
	return account, a
}

const (
	sendPath   = "/cgi-bin/message/template/send"
	customPath = "/cgi-bin/message/custom/send"
	qrPath     = "/cgi-bin/qrcode/create"
	menuPath   = "/cgi-bin/menu/create"
	codePath   = "/sns/oauth2/access_token"
)

const (
	cardID   = "01JD8ZK3V0Q4M6Y2T9R7W5X1AB"
	cardLink = "https://shop.example/staff/review/1?a=b&c=d"
)

func sendCard(ctx context.Context, w *OfficialAccount) (string, error) {
	return w.SendTemplate(ctx, cardID, "oReviewer", "tpl", cardLink, map[string]string{"character_string1": "YCD1", "phrase2": "待审核"})
}

func TestSendTemplate(t *testing.T) {
	w, a := newAccount(t, map[string][]string{sendPath: {`{"errcode":0,"errmsg":"ok","msgid":200228332}`}})
	id, err := sendCard(t.Context(), w)
	if err != nil || id != "200228332" {
		t.Fatalf("send = %q, %v", id, err)
	}
	query, body, _ := strings.Cut(a.seen[0], " ")
	if query != sendPath+"?access_token=token-canary-1" {
		t.Errorf("request to %s", query)
	}
	var sent map[string]any
	if err := json.Unmarshal([]byte(body), &sent); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"touser": "oReviewer", "template_id": "tpl", "url": cardLink, "client_msg_id": cardID,
		"data":        map[string]any{"character_string1": map[string]any{"value": "YCD1"}, "phrase2": map[string]any{"value": "待审核"}},
		"miniprogram": map[string]any{"appid": "", "pagepath": ""}, // the SDK always sends it
	}
	if diff := cmp.Diff(want, sent); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
}

func TestTokenIsFetchedOnceAndReplacedWhenStale(t *testing.T) {
	const ok, stale = `{"errcode":0,"errmsg":"ok","msgid":1}`, `{"errcode":40001,"errmsg":"invalid credential, access_token is invalid or not latest rid: 1"}`
	tests := map[string]struct {
		replies []string
		calls   int
		issued  int
		seen    int
		failed  bool
	}{
		"one token for many calls": {[]string{ok}, 3, 1, 3, false},
		"stale once":               {[]string{stale, ok}, 1, 2, 2, false},
		"expired":                  {[]string{`{"errcode":42001,"errmsg":"access_token expired"}`, ok}, 1, 2, 2, false},
		"stale for good":           {[]string{stale}, 1, 2, 2, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w, a := newAccount(t, map[string][]string{sendPath: tt.replies})
			for range tt.calls {
				if _, err := sendCard(t.Context(), w); errors.Is(err, order.Unavailable) != tt.failed {
					t.Errorf("error = %v", err)
				}
			}
			if a.issued != tt.issued || len(a.seen) != tt.seen {
				t.Errorf("%d tokens and %d calls, want %d and %d", a.issued, len(a.seen), tt.issued, tt.seen)
			}
			if last := a.seen[len(a.seen)-1]; !strings.Contains(last, "access_token=token-canary-"+string(rune('0'+tt.issued))) {
				t.Errorf("last call with an old token: %s", last)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	tests := map[string]struct {
		reply string
		kind  order.Kind // "" for a fault of ours
	}{
		"system busy":        {`{"errcode":-1,"errmsg":"system error"}`, order.Unavailable},
		"daily quota":        {`{"errcode":45009,"errmsg":"reach max api daily quota limit"}`, order.RateLimited},
		"minute quota":       {`{"errcode":45011,"errmsg":"api minute-quota reach limit"}`, order.RateLimited},
		"not a follower":     {`{"errcode":43004,"errmsg":"require subscribe"}`, order.NotFound},
		"unknown openid":     {`{"errcode":40003,"errmsg":"invalid openid"}`, order.NotFound},
		"outside the window": {`{"errcode":45015,"errmsg":"response out of time limit"}`, order.NotFound},
		"said enough":        {`{"errcode":45047,"errmsg":"out of response count limit"}`, order.NotFound},
		"no consent":         {`{"errcode":43101,"errmsg":"user refuse to accept the msg"}`, order.NotFound},
		"unknown template":   {`{"errcode":40037,"errmsg":"invalid template_id"}`, order.Invalid},
		"wrong fields":       {`{"errcode":47003,"errmsg":"argument invalid! data.thing1.value is too long"}`, order.Invalid},
		"fault of ours":      {`{"errcode":44002,"errmsg":"empty post data"}`, ""},
		"not JSON":           {`<html>`, order.Unavailable},
		"empty":              {``, order.Unavailable},
		"too long a reply":   {`{"errmsg":"` + strings.Repeat("x", maxReply) + `"}`, order.Unavailable},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w, _ := newAccount(t, map[string][]string{sendPath: {tt.reply}, customPath: {tt.reply}, menuPath: {tt.reply}})
			_, send := sendCard(t.Context(), w)
			for op, err := range map[string]error{"template": send, "custom": w.SendText(t.Context(), "oUser", "你好"), "menu": w.SetMenu(t.Context(), []Button{{Name: "a", Key: "b"}})} {
				e, ok := order.AsError(err)
				if err == nil || ok != (tt.kind != "") || ok && e.Kind != tt.kind {
					t.Errorf("%s: error %v, want kind %q", op, err, tt.kind)
				}
				checkQuiet(t, err)
			}
		})
	}
}

func checkQuiet(t *testing.T, err error) {
	t.Helper()
	for _, secret := range []string{"token-canary", "secret-canary", "code-canary", "127.0.0.1"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("error quotes %q: %v", secret, err)
		}
	}
}

// Reliability 23: the SDK's own errors quote the URL with token, secret and code.
func TestErrorsKeepSecrets(t *testing.T) {
	w, a := newAccount(t, nil) // 502 to everything
	calls := map[string]func() error{
		"template": func() error { _, err := sendCard(t.Context(), w); return err },
		"oauth":    func() error { _, _, err := w.Follower(t.Context(), "code-canary"); return err },
		"qr":       func() error { _, err := w.QRCode(t.Context(), "scene", time.Hour); return err },
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, order.Unavailable) {
			t.Errorf("%s: %v", name, err)
		} else {
			checkQuiet(t, err)
		}
	}
	if len(a.seen) != 3 {
		t.Errorf("calls: %v", a.seen)
	}
}

// A URL error of the standard library quotes the URL as well.
func TestUnreachableAPIKeepsSecrets(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	srv.Close()
	w, err := NewOfficialAccount(Config{AppID: "wx1", AppSecret: "secret-canary", BaseURL: srv.URL}, &tokenCache{values: map[string]any{}})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = w.Follower(t.Context(), "code-canary")
	if !errors.Is(err, order.Unavailable) || strings.Contains(err.Error(), "canary") {
		t.Errorf("error = %v", err)
	}
}

func TestAuthorizeURL(t *testing.T) {
	w, _ := newAccount(t, nil)
	got := w.AuthorizeURL("https://shop.example/staff/login?next=/a&b=c", "state&appid=evil#x y")
	want := "http://127.0.0.1:8080/playground/open.weixin.qq.com/connect/oauth2/authorize?appid=wx0000000000000001" +
		"&redirect_uri=https%3A%2F%2Fshop.example%2Fstaff%2Flogin%3Fnext%3D%2Fa%26b%3Dc&response_type=code&scope=snsapi_base" +
		"&state=state%26appid%3Devil%23x+y#wechat_redirect"
	if got != want {
		t.Errorf("url =\n%s, want\n%s", got, want)
	}
}

func TestFollower(t *testing.T) {
	tests := map[string]struct {
		code, reply string
		open, union string
		kind        order.Kind
		calls       int
	}{
		"known":             {"abc_-1", `{"access_token":"u","expires_in":7200,"openid":"oUser","scope":"snsapi_base","unionid":"u1"}`, "oUser", "u1", "", 1},
		"no union":          {"abc", `{"openid":"oUser"}`, "oUser", "", "", 1},
		"virtual user":      {"abc", `{"openid":"oUser","is_snapshotuser":1}`, "", "", order.Forbidden, 1},
		"used before":       {"abc", `{"errcode":40163,"errmsg":"code been used"}`, "", "", order.Unauthenticated, 1},
		"never issued":      {"abc", `{"errcode":40029,"errmsg":"invalid code"}`, "", "", order.Unauthenticated, 1},
		"nobody":            {"abc", `{}`, "", "", order.Unavailable, 1},
		"parameters inside": {"a&secret=b", ``, "", "", order.Unauthenticated, 0},
		"no code":           {"", ``, "", "", order.Unauthenticated, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w, a := newAccount(t, map[string][]string{codePath: {tt.reply}})
			open, union, err := w.Follower(t.Context(), tt.code)
			e, ok := order.AsError(err)
			if open != tt.open || union != tt.union || ok != (tt.kind != "") || ok && e.Kind != tt.kind {
				t.Errorf("follower = %q, %q, %v; want %q, %q, %q", open, union, err, tt.open, tt.union, tt.kind)
			}
			if len(a.seen) != tt.calls {
				t.Errorf("calls: %v", a.seen)
			}
		})
	}
}

func TestQRCode(t *testing.T) {
	for name, reply := range map[string]string{
		"without errmsg":                `{"ticket":"a+b/c==","expire_seconds":604800,"url":"http://weixin.qq.com/q/x"}`,
		"errmsg ok is taken as success": `{"errcode":0,"errmsg":"ok","ticket":"a+b/c==","expire_seconds":604800,"url":"http://weixin.qq.com/q/x"}`,
	} {
		t.Run(name, func(t *testing.T) {
			w, a := newAccount(t, map[string][]string{qrPath: {reply}})
			got, err := w.QRCode(t.Context(), "order:1", 7*24*time.Hour)
			want := QRCode{
				Content:  "http://weixin.qq.com/q/x",
				ImageURL: "http://127.0.0.1:8080/playground/mp.weixin.qq.com/cgi-bin/showqrcode?ticket=a%2Bb%2Fc%3D%3D",
				Lives:    7 * 24 * time.Hour,
			}
			if err != nil || got != want {
				t.Errorf("qr = %+v, %v", got, err)
			}
			if !strings.Contains(a.seen[0], `{"expire_seconds":604800,"action_name":"QR_STR_SCENE","action_info":{"scene":{"scene_str":"order:1"}}}`) {
				t.Errorf("request = %s", a.seen[0])
			}
		})
	}
}

func TestSetMenu(t *testing.T) {
	w, a := newAccount(t, map[string][]string{menuPath: {`{"errcode":0,"errmsg":"ok"}`}})
	err := w.SetMenu(t.Context(), []Button{
		{Name: "我的订单", Key: "order_status"},
		{Name: "办理", Sub: []Button{{Name: "初购", URL: "https://shop.example/?a=1&b=2"}, {Name: "续期", AppID: "wx2", Page: "pages/guide/index?of=renew", URL: "https://shop.example/"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"button":[{"type":"click","name":"我的订单","key":"order_status"},{"name":"办理","sub_button":[{"type":"view","name":"初购","url":"https://shop.example/?a=1&b=2"},{"type":"miniprogram","name":"续期","url":"https://shop.example/","appid":"wx2","pagepath":"pages/guide/index?of=renew"}]}]}`
	if _, body, _ := strings.Cut(a.seen[0], " "); strings.TrimSpace(body) != want {
		t.Errorf("menu = %s, want %s", body, want)
	}
}

func TestCancelledCallsAreNotMade(t *testing.T) {
	w, a := newAccount(t, map[string][]string{sendPath: {`{}`}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := sendCard(ctx, w); !errors.Is(err, order.Unavailable) || !errors.Is(err, context.Canceled) || len(a.seen) != 0 {
		t.Errorf("error %v, calls %v", err, a.seen)
	}
}

func TestLatencyIsObserved(t *testing.T) {
	w, _ := newAccount(t, map[string][]string{customPath: {`{"errcode":45015,"errmsg":"out"}`}})
	latency := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "latency"}, []string{"op", "outcome"})
	w.latency = latency
	_ = w.SendText(t.Context(), "oUser", "x")
	reg := prometheus.NewRegistry()
	reg.MustRegister(latency)
	families, err := reg.Gather()
	if err != nil || len(families) != 1 || len(families[0].GetMetric()) != 1 {
		t.Fatalf("families = %v, %v", families, err)
	}
	labels := map[string]string{}
	for _, l := range families[0].GetMetric()[0].GetLabel() {
		labels[l.GetName()] = l.GetValue()
	}
	if diff := cmp.Diff(map[string]string{"op": "custom.send", "outcome": "45015"}, labels); diff != "" {
		t.Error(diff)
	}
}

// Many senders, no token yet: one token is fetched and nothing races (-race).
func TestConcurrentSenders(t *testing.T) {
	w, a := newAccount(t, map[string][]string{sendPath: {`{"errcode":0,"errmsg":"ok","msgid":1}`}, customPath: {`{"errcode":0}`}, qrPath: {`{"ticket":"t"}`}})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := sendCard(t.Context(), w); err != nil {
				t.Error(err)
			}
			if err := w.SendText(t.Context(), "oUser", "x"); err != nil {
				t.Error(err)
			}
			if _, err := w.QRCode(t.Context(), "s", time.Hour); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if a.issued != 1 || len(a.seen) != 60 {
		t.Errorf("%d tokens, %d calls", a.issued, len(a.seen))
	}
}

type brokenCache struct{ tokenCache }

func (*brokenCache) Set(string, any, time.Duration) error {
	return errors.New("redis: connection refused")
}

// Reliability 9: a lost Redis is an outage to wait out, not an error to give up on.
func TestTokenCacheDown(t *testing.T) {
	srv := httptest.NewServer(&api{})
	t.Cleanup(srv.Close)
	w, err := NewOfficialAccount(Config{AppID: "wx1", AppSecret: "secret-canary", BaseURL: srv.URL}, &brokenCache{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sendCard(t.Context(), w); !errors.Is(err, order.Unavailable) {
		t.Errorf("error = %v", err)
	}
}
