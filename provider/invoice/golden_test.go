package invoice

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

func testGolden(t testing.TB) *Golden {
	t.Helper()
	g, err := NewGolden(Config{
		AppKey: "gd_1", AppSecret: "secret", SellerTaxNo: "91110108MA00TEN18F", TypeCode: "082", TaxCode: "3040203000000000000", TaxRate: 60,
		CallbackURL: "https://ca.example.cn/callbacks/invoice", BaseURL: "http://127.0.0.1:1", Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// The string to sign is the documentation's example (签名方法 §3.2); the signature was
// made with openssl dgst -sha256 -hmac.
func TestAuthorization(t *testing.T) {
	got := authorization("gd_abcdefghijklmn", "secret", 398888, 1590719810, "/invoice/v1", []byte(`{"name":"高灯云"}`))
	want := "algorithm=HMAC-SHA256,appkey=gd_abcdefghijklmn,nonce=398888,timestamp=1590719810,signature=rEypEWFhNKPIeNN7T22VFiZ3BSfQB6r8xi9EjTIpM9c="
	if got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// Prices include the tax: its parts add up to what was paid, to the fen.
func TestSplit(t *testing.T) {
	for _, tc := range []struct {
		total        int64
		rate         int
		without, tax int64
	}{{30000, 60, 28302, 1698}, {1, 60, 1, 0}, {30000, 0, 30000, 0}, {100, 130, 88, 12}, {106, 60, 100, 6}, {999_999_999, 60, 943_396_225, 56_603_774}} {
		if without, tax := split(tc.total, tc.rate); without != tc.without || tax != tc.tax {
			t.Errorf("%d at %d: %d + %d, want %d + %d", tc.total, tc.rate, without, tax, tc.without, tc.tax)
		}
	}
}

func TestFen(t *testing.T) {
	for text, want := range map[string]int64{"300.00": 30000, "0.01": 1, "-300.00": -30000, "12": 1200, "1.5": 150, "1.": 100} {
		if got, err := fen(text); err != nil || got != want || (strings.Contains(text, ".0") && yuan(want) != text) {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "-", "1.234", "1e3", " 1", "１", "1,000.00", "99999999999999"} {
		if got, err := fen(text); err == nil {
			t.Errorf("%q became %d", text, got)
		}
	}
}

// notification is one that is accepted; edit changes it.
func notification(g *Golden, edit func(map[string]any, url.Values)) (url.Values, []byte) {
	const id = "01INVOICE0000000000000000A"
	query := url.Values{"invoice": {id}, "seal": {g.seal(id)}}
	body := map[string]any{"appkey": "gd_1", "notify_type": "invoice.blue", "order_id": id, "ticket_status": "3", "ticket_total_amount_has_tax": "300.01", "ticket_sn": "26530000000000000001"}
	if edit != nil {
		edit(body, query)
	}
	raw, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return query, raw
}

// Reliability 2: each way in which a notification can be somebody else's is refused.
func TestParseNotification(t *testing.T) {
	g := testGolden(t)
	for _, tc := range []struct {
		name string
		edit func(map[string]any, url.Values)
		kind order.Kind // empty: accepted
		want order.Fen
	}{
		{"genuine", nil, "", 30001},
		{"a red one", func(b map[string]any, _ url.Values) {
			b["notify_type"], b["ticket_total_amount_has_tax"] = "invoice.red", "-300.01"
		}, "", 30001},
		{"a refusal", func(b map[string]any, _ url.Values) { b["ticket_status"], b["ticket_total_amount_has_tax"] = "2", "" }, "", 0},
		{"a status as a number", func(b map[string]any, _ url.Values) { b["ticket_status"] = 3 }, "", 30001},
		{"no seal", func(_ map[string]any, q url.Values) { q.Del("seal") }, order.Forbidden, 0},
		{"another seal", func(_ map[string]any, q url.Values) { q.Set("seal", g.seal("other")) }, order.Forbidden, 0},
		{"another invoice's address", func(_ map[string]any, q url.Values) { q.Set("invoice", "other"); q.Set("seal", g.seal("other")) }, order.Forbidden, 0},
		{"no invoice", func(_ map[string]any, q url.Values) { q.Set("invoice", ""); q.Set("seal", g.seal("")) }, order.Forbidden, 0},
		{"another seller's", func(b map[string]any, _ url.Values) { b["appkey"] = "gd_2" }, order.Forbidden, 0},
		{"about another order", func(b map[string]any, _ url.Values) { b["order_id"] = "other" }, order.Forbidden, 0},
		{"issued without an amount", func(b map[string]any, _ url.Values) { b["ticket_total_amount_has_tax"] = "" }, order.Forbidden, 0},
		{"a blue one below nothing", func(b map[string]any, _ url.Values) { b["ticket_total_amount_has_tax"] = "-300.01" }, order.Forbidden, 0},
		{"an amount that is none", func(b map[string]any, _ url.Values) { b["ticket_total_amount_has_tax"] = "300.01元" }, order.Forbidden, 0},
		{"about something else", func(b map[string]any, _ url.Values) { b["notify_type"] = "invoice.invalid" }, order.Conflict, 0},
	} {
		query, body := notification(g, tc.edit)
		n, err := g.ParseNotification(query, body)
		switch {
		case tc.kind == "" && (err != nil || n.Amount != tc.want || n.ID != query.Get("invoice")):
			t.Errorf("%s: %+v, %v", tc.name, n, err)
		case tc.kind != "" && !errors.Is(err, tc.kind):
			t.Errorf("%s: %v, want %s", tc.name, err, tc.kind)
		}
	}
	query, _ := notification(g, nil)
	for _, body := range []string{"", "null", "[]", "{", `"x"`} {
		if _, err := g.ParseNotification(query, []byte(body)); !errors.Is(err, order.Forbidden) {
			t.Errorf("body %q: %v", body, err)
		}
	}
}

// Whatever body strangers send, nothing is accepted without the seal, and with it
// only what is about that invoice.
func FuzzParseNotification(f *testing.F) {
	g := testGolden(f)
	query, body := notification(g, nil)
	f.Add(query.Get("invoice"), query.Get("seal"), body)
	f.Add("", "", []byte(`{"appkey":"gd_1"}`))
	f.Fuzz(func(t *testing.T, id, seal string, body []byte) {
		n, err := g.ParseNotification(url.Values{"invoice": {id}, "seal": {seal}}, body)
		if err == nil && (n.ID != id || seal != g.seal(id) || n.Amount < 0) {
			t.Errorf("accepted %+v", n)
		}
		if e, ok := order.AsError(err); err != nil && (!ok || e.Kind != order.Forbidden && e.Kind != order.Conflict) {
			t.Errorf("error %v", err)
		}
	})
}

func TestGoods(t *testing.T) {
	got := goods(strings.Repeat("证", 20) + "<a>&/")
	if len(got) > 50 || !strings.HasPrefix(got, "证") || strings.ContainsAny(goods("<证>&/"), "<>&/") {
		t.Errorf("%q", got)
	}
}

// A file's address leads only where it may begin: over TLS, or at the platform's own.
func TestFileIsNotFetchedElsewhere(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("%s %s went elsewhere", r.Method, r.URL)
		_, _ = io.WriteString(w, "%PDF-1.7")
	}))
	t.Cleanup(elsewhere.Close)
	here := httptest.NewServer(nil)
	here.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/file", http.StatusFound)
		case "/file":
			_, _ = io.WriteString(w, "%PDF-1.7")
		default:
			http.Redirect(w, r, elsewhere.URL, http.StatusFound)
		}
	})
	t.Cleanup(here.Close)
	g := testGolden(t)
	var err error
	if g.base, err = url.Parse(here.URL); err != nil {
		t.Fatal(err)
	}
	if pdf, err := g.File(t.Context(), here.URL+"/moved"); err != nil || string(pdf) != "%PDF-1.7" {
		t.Errorf("moved on the platform: %q, %v", pdf, err)
	}
	if _, err := g.File(t.Context(), here.URL+"/elsewhere"); !errors.Is(err, order.Unavailable) {
		t.Errorf("moved elsewhere: %v", err)
	}
}
