package handlers

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/yuncaidun/yuncaidun/order"
)

// Reliability 15: a route without an entry in the authorisation matrix fails.
func TestEveryRouteHasAccess(t *testing.T) {
	s := newWeb(t).Server
	if missing := s.Unlisted(); missing != nil {
		t.Errorf("routes without access: %v", missing)
	}
	for _, r := range s.matrix {
		if !slices.Contains([]Access{Plain, Public, Browser, Applicant, Ticket, Proof, Signed, Helper, OfLegalRep, OfStaff}, r.Access) {
			t.Errorf("%s %s: access %q", r.Method, r.Path, r.Access)
		}
	}
	s.App.Get("/forgotten", func(*fiber.Ctx) error { return nil }) // the check must be able to fail
	if missing := s.Unlisted(); len(missing) == 0 {
		t.Error("a route outside of the matrix was not noticed")
	}
}

// owned are the routes about an order of somebody.
func owned(s *Server) (out []route) {
	for _, r := range s.matrix {
		if strings.Contains(r.Path, ":id") && (r.Access == Browser || r.Access == Applicant) {
			out = append(out, r)
		}
	}
	return out
}

func fill(path, id string) string {
	return strings.NewReplacer(":id", id, ":field", "license", ":ticket", secret()).Replace(path)
}

var volatile = regexp.MustCompile(`href="/login\?next=[^"]*"|[0-9A-HJKMNP-TV-Z]{26}|name="_csrf" value="[^"]+"|"X-CSRF-Token":"[^"]+"`)

// F23, reliability 15: somebody else's order answers exactly like one that does
// not exist, on every route with an id, for a login and for a mere browser.
func TestOthersOrdersDoNotExist(t *testing.T) {
	w := newWeb(t)
	alice := w.browser()
	draft, paid := alice.draft(), w.browser().paid()
	bob := w.browser()
	bob.login("13900139000")
	stranger := w.browser()
	stranger.get("/")
	routes := owned(w.Server)
	if len(routes) < 15 {
		t.Fatalf("only %d routes about orders", len(routes))
	}
	for name, visitor := range map[string]*browser{"login": bob, "browser": stranger} {
		for _, r := range routes {
			for _, of := range []string{draft, paid} {
				theirs := visitor.try(r, fill(r.Path, strings.TrimPrefix(of, "/orders/")))
				missing := visitor.try(r, fill(r.Path, newID()))
				if theirs.Status != missing.Status || volatile.ReplaceAllString(theirs.Body, "") != volatile.ReplaceAllString(missing.Body, "") {
					t.Errorf("%s, %s %s: %d, missing one %d", name, r.Method, r.Path, theirs.Status, missing.Status)
				}
				if loggedOut := r.Access == Applicant && visitor == stranger; theirs.Status != http.StatusNotFound && !loggedOut {
					t.Errorf("%s, %s %s: status %d, want 404", name, r.Method, r.Path, theirs.Status)
				}
			}
		}
	}
}

func (b *browser) try(r route, path string) answer {
	b.t.Helper()
	if r.Method == http.MethodGet {
		return b.get(path)
	}
	return b.post(path, nil)
}

// login logs in by SMS.
func (b *browser) login(mobile string) {
	b.t.Helper()
	b.get("/login")
	b.post("/login/code", url.Values{"mobile": {mobile}}, "HX-Request", "true")
	if a := b.post("/login", url.Values{"mobile": {mobile}, "code": {b.code(mobile)}, "next": {"/orders"}}); a.location() != "/orders" {
		b.t.Fatalf("login: %d %s", a.Status, a.Body)
	}
	b.get("/orders")
}

// Reliability 21: no state-changing route of a browser works without the token,
// from elsewhere, or with a body that no form of ours sends.
func TestForgedRequestsAreRefused(t *testing.T) {
	w := newWeb(t)
	b := w.browser()
	id := strings.TrimPrefix(b.paid(), "/orders/")
	checked := 0
	for _, r := range w.matrix {
		if !unsafeMethod(r.Method) || r.Access == Signed || r.Access == Proof || r.Access == Helper || r.Access == OfStaff {
			continue
		}
		checked++
		path := fill(r.Path, id)
		form := url.Values{csrfField: {b.csrf}}.Encode()
		for name, headers := range map[string][]string{
			"without token":       {"body", "x=1"},
			"with another token":  {"body", csrfField + "=" + secret()},
			"from elsewhere":      {"body", form, "Origin", "https://evil.example"},
			"from another port":   {"body", form, "Origin", "http://127.0.0.1:8081"},
			"from an opaque page": {"body", form, "Origin", "null"},
			"without origin":      {"body", form, "Origin", ""},
			"as plain text":       {"body", form, "Content-Type", "text/plain", csrfHeader, b.csrf},
		} {
			if a := b.do(r.Method, path, fiber.MIMEApplicationForm, strings.NewReader(headers[1]), headers[2:]...); a.Status != http.StatusForbidden && (name != "as plain text" || a.Status != http.StatusUnsupportedMediaType) {
				t.Errorf("%s %s %s: %d, want a refusal", r.Method, r.Path, name, a.Status)
			}
		}
	}
	if checked < 10 {
		t.Errorf("only %d routes checked", checked)
	}
}

// Reliability 21: no GET changes anything.
func TestReadingChangesNothing(t *testing.T) {
	w := newWeb(t)
	b := w.browser()
	paths := []string{b.draft(), b.filled(), w.browser().paid()}
	before := w.everything(t)
	for _, r := range w.matrix {
		if r.Method != http.MethodGet || strings.HasSuffix(r.Path, "/live") {
			continue
		}
		for _, p := range paths {
			b.get(fill(r.Path, strings.TrimPrefix(p, "/orders/")))
		}
	}
	if after := w.everything(t); !maps.Equal(before, after) {
		t.Errorf("orders before %v, after %v", before, after)
	}
}

func (w *web) everything(t *testing.T) map[order.ID]int64 {
	t.Helper()
	page, err := w.db.Orders(t.Context(), order.Filter{Limit: 100})
	must(t, err)
	out := map[order.ID]int64{}
	for _, o := range page.Orders {
		out[o.ID] = o.Rev
	}
	return out
}

// F18, F22: the secret of a session, which a login by SMS begins, changes at login and
// dies at logout and after 30 idle minutes.
func TestSessions(t *testing.T) {
	w := newWeb(t)
	b := w.browser()
	b.login(agentMobile)
	id := cookie(b, "ycd_applicant")
	b.login(agentMobile2)
	if again := cookie(b, "ycd_applicant"); again == id || len(id) < 43 {
		t.Errorf("session %q after %q", again, id)
	}
	old := w.browser()
	setCookie(old, "ycd_applicant", id)
	if a := old.get("/orders"); a.Status != http.StatusSeeOther {
		t.Errorf("the session before: %d", a.Status)
	}
	id = cookie(b, "ycd_applicant")
	b.post("/logout", nil)
	setCookie(old, "ycd_applicant", id)
	if a := old.get("/orders"); a.Status != http.StatusSeeOther || a.location() != "/login?next=%2Forders" {
		t.Errorf("after logout: %d %s", a.Status, a.location())
	}
	w.clock.advance(2 * codeWait * 1e9)
	b.login(agentMobile)
	w.clock.advance(30 * 60 * 1e9)
	if a := b.get("/orders"); a.Status != http.StatusSeeOther {
		t.Errorf("after 30 idle minutes: %d", a.Status)
	}
}

const agentMobile2 = "13700137000"

// On a shared computer 退出 takes along what was typed before the login. What the login
// has gone on with is its own; what it has not is nobody's any more.
func TestLogoutLeavesNoDraft(t *testing.T) {
	w := newWeb(t)
	b := w.browser()
	kept, left := b.draft(), b.draft()
	b.login(agentMobile)
	if a := b.post(kept+"/form", url.Values{"org.name": {"自家测试有限公司"}, "do": {"save"}}); a.Status >= http.StatusBadRequest {
		t.Fatalf("saved after the login: %d %s", a.Status, a.Body)
	}
	b.post("/logout", nil)
	for name, path := range map[string]string{"kept": kept, "left": left} {
		if a := b.get(path + "/edit"); a.Status != http.StatusNotFound && a.Status != http.StatusSeeOther {
			t.Errorf("%s is shown to who comes next: %d", name, a.Status)
		}
	}
	if a := b.get("/"); strings.Contains(a.Body, kept) || strings.Contains(a.Body, left) {
		t.Error("the drafts are listed for who comes next")
	}
	w.clock.advance(2 * codeWait * 1e9)
	elsewhere := w.browser()
	elsewhere.login(agentMobile)
	if a := elsewhere.get(kept + "/edit"); a.Status != http.StatusOK {
		t.Errorf("what he went on with is gone: %d", a.Status)
	}
}

func cookie(b *browser, name string) string {
	u := &url.URL{Scheme: "http", Host: "127.0.0.1:8080", Path: "/"}
	for _, c := range b.jar.Cookies(u) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

func setCookie(b *browser, name, value string) {
	u := &url.URL{Scheme: "http", Host: "127.0.0.1:8080", Path: "/"}
	b.jar.SetCookies(u, []*http.Cookie{{Name: name, Value: value, Path: "/"}})
}

func TestCookiesAndHeaders(t *testing.T) {
	w := newWeb(t)
	b := w.browser()
	a := b.get("/login")
	for header, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin", "Cache-Control": "no-store",
	} {
		if got := a.Header.Get(header); got != want {
			t.Errorf("%s = %q, want %q", header, got, want)
		}
	}
	if csp := a.Header.Get("Content-Security-Policy"); strings.Contains(csp, "unsafe") || !strings.Contains(csp, "default-src 'none'") {
		t.Errorf("CSP %q", csp)
	}
	if c := a.Header.Get("Set-Cookie"); !strings.Contains(c, "HttpOnly") || !strings.Contains(c, "SameSite=Lax") {
		t.Errorf("cookie %q", c)
	}
	for _, inline := range []string{"<script>", "onclick=", "style=\"", "javascript:"} {
		if strings.Contains(a.Body, inline) {
			t.Errorf("the page has %s", inline)
		}
	}
	w.PublicURL = &url.URL{Scheme: "https", Host: "shop.example"}
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/login", nil)
	resp, err := w.App.Test(req)
	must(t, err)
	defer resp.Body.Close()
	if c := resp.Header.Get("Set-Cookie"); !strings.HasPrefix(c, "__Host-ycd_browser=") || !strings.Contains(c, "secure") || resp.Header.Get("Strict-Transport-Security") == "" {
		t.Errorf("cookie over https %q", c)
	}
}

// Reliability 18: nobody says himself where he comes from.
func TestForwardedHeadersChangeNothing(t *testing.T) {
	w := newWeb(t)
	w.get("/ip", Plain, func(c *fiber.Ctx) error { return c.SendString(c.IP()) })
	b := w.browser()
	want := b.get("/ip").Body
	for _, h := range []string{"X-Real-Ip", "X-Forwarded-For", "Forwarded"} {
		if got := b.get("/ip", h, "203.0.113.9").Body; got != want {
			t.Errorf("with %s: %s, want %s", h, got, want)
		}
	}
}

// Behind a proxy of ours the visitor is whom it names, or itself when it names nobody.
func TestTrustedProxy(t *testing.T) {
	d := newWeb(t).Deps
	d.Metrics, d.TrustedProxies = prometheus.NewRegistry(), []string{"0.0.0.0"} // where App.Test comes from
	s, err := New(d)
	must(t, err)
	s.get("/ip", Plain, func(c *fiber.Ctx) error { return c.SendString(c.IP()) })
	b := (&web{Server: s, t: t}).browser()
	for real, want := range map[string]string{"203.0.113.9": "203.0.113.9", "2001:db8::9": "2001:db8::9", "": "0.0.0.0", "nobody": "0.0.0.0"} {
		if got := b.get("/ip", "X-Real-Ip", real).Body; got != want {
			t.Errorf("X-Real-IP %q: %s, want %s", real, got, want)
		}
	}
}

func TestLocalPath(t *testing.T) {
	for next, want := range map[string]string{
		"/orders/1?x=2": "/orders/1?x=2", "": "/orders", "https://evil.example/": "/orders", "//evil.example": "/orders", "/\\evil.example": "/orders",
		"javascript:alert(1)": "/orders", "orders": "/orders", "/a\r\nSet-Cookie: x": "/orders",
	} {
		if got := localPath(next); got != want {
			t.Errorf("localPath(%q) = %q, want %q", next, got, want)
		}
	}
}
