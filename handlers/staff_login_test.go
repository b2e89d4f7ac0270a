package handlers

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

// RFC 6238 appendix B (SHA-1), the last six of the eight digits given there.
func TestTOTPCode(t *testing.T) {
	const secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ" // "12345678901234567890"
	for unix, want := range map[int64]string{59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037"} {
		if got, err := TOTPCode(secret, time.Unix(unix, 0)); err != nil || got != want {
			t.Errorf("code at %d = %q, %v; want %s", unix, got, err, want)
		}
	}
	now := time.Unix(1111111111, 0)
	for _, c := range []struct {
		name string
		off  time.Duration
		ok   bool
	}{{"two steps ago", -60 * time.Second, false}, {"a step ago", -30 * time.Second, true}, {"now", 0, true}, {"a step ahead", 30 * time.Second, true}, {"two steps ahead", 60 * time.Second, false}} {
		code, err := TOTPCode(secret, now.Add(c.off))
		must(t, err)
		step, ok, err := totpStep(secret, code, now)
		if err != nil || ok != c.ok || ok && step != now.Add(c.off).Unix()/30 {
			t.Errorf("%s: step %d, %v, %v", c.name, step, ok, err)
		}
	}
	uri, err := url.Parse(TOTPURI("李审核", secret))
	if err != nil || uri.Scheme != "otpauth" || uri.Query().Get("secret") != secret || uri.Query().Get("issuer") != "云采盾" {
		t.Errorf("URI %s, %v", uri, err)
	}
}

// A login needs WeChat and TOTP; only the first also binds by SMS. Nothing of it
// stays in an address.
func TestStaffLogin(t *testing.T) {
	d := newDesk(t).hire()
	b := d.login("李审核") // binds
	if a := b.get("/staff"); a.location() != "/staff/review" {
		t.Errorf("start: %d %s", a.Status, a.location())
	}
	id := cookie(b, "ycd_staff")
	d.clock.advance(time.Minute)
	state := b.state("/staff/orders?no=1")
	a := b.get("/staff/login/callback?code=code-of-13900000001&state=" + state)
	if a.location() != "/staff/login/totp" {
		t.Fatalf("bound user: %d %s", a.Status, a.location())
	}
	b.get("/staff/login/totp")
	b.mustPost("/staff/login/totp", url.Values{"code": {d.totp("李审核")}}, "/staff/orders?no=1")
	if again := cookie(b, "ycd_staff"); again == id || len(again) < 43 { // reliability 20
		t.Errorf("session %q after %q", again, id)
	}
	old := d.browser()
	setCookie(old, "ycd_staff", id)
	if a := old.get("/staff/review"); a.Status != http.StatusSeeOther || !strings.HasPrefix(a.location(), "/staff/login?next=") {
		t.Errorf("the session before: %d %s", a.Status, a.location())
	}
	b.get("/staff/review")
	b.mustPost("/staff/logout", nil, "/staff/login")
	if a := b.get("/staff/review"); a.Status != http.StatusSeeOther {
		t.Errorf("after logout: %d", a.Status)
	}
}

func TestStaffLoginInsideWeChat(t *testing.T) {
	d := newDesk(t)
	phone := []string{"User-Agent", "Mozilla/5.0 (iPhone) MicroMessenger/8.0.50"}
	b := d.browser()
	a := b.get("/staff/review/01J", phone...)
	a = b.get(a.location(), phone...)
	if a.location() != "/staff/login/wechat?next=%2Fstaff%2Freview%2F01J" {
		t.Fatalf("login page inside WeChat: %d %s", a.Status, a.location())
	}
	if a = b.get(a.location(), phone...); !strings.HasPrefix(a.location(), "https://open.weixin.qq.com/") {
		t.Errorf("to WeChat: %d %s", a.Status, a.location())
	}
}

// The state parameter is good once and in its own browser only.
func TestOAuthState(t *testing.T) {
	d := newDesk(t).hire()
	d.login("李审核")
	for _, c := range []struct {
		name  string
		state func(b *browser) string
	}{
		{"none", func(*browser) string { return "" }},
		{"invented", func(*browser) string { return secret() }},
		{"of another browser", func(*browser) string { return d.browser().state("/staff") }},
		{"used before", func(b *browser) string {
			s := b.state("/staff")
			b.get("/staff/login/callback?code=void&state=" + s)
			return s
		}},
		{"too old", func(b *browser) string {
			s := b.state("/staff")
			d.clock.advance(loginLife)
			return s
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := d.browser()
			b.get("/staff/login")
			a := b.get("/staff/login/callback?code=code-of-13900000001&state=" + c.state(b))
			if a.Status != http.StatusUnauthorized || !strings.Contains(a.Body, "登录已过期") {
				t.Errorf("callback: %d %s", a.Status, a.location())
			}
			if a := b.get("/staff/login/totp"); a.Status != http.StatusUnauthorized {
				t.Errorf("next step: %d", a.Status)
			}
		})
	}
}

// Each code works once, and guessing ends after a few tries, also of right codes.
func TestTOTPReplayAndGuessing(t *testing.T) {
	d := newDesk(t).hire()
	d.login("李审核")
	enter := func(code string) answer {
		t.Helper()
		b := d.browser()
		b.get("/staff/login/callback?code=code-of-13900000001&state=" + b.state("/staff"))
		b.get("/staff/login/totp")
		return b.post("/staff/login/totp", url.Values{"code": {code}})
	}
	if a := enter(d.totp("李审核")); a.Status != http.StatusUnprocessableEntity || !strings.Contains(a.Body, "已使用过") {
		t.Errorf("replay: %d", a.Status)
	}
	d.clock.advance(30 * time.Second)
	right := d.totp("李审核")
	wrong := "000000"
	if right == wrong {
		wrong = "000001"
	}
	for i := 2; i < totpTries; i++ {
		if a := enter(wrong); a.Status != http.StatusUnprocessableEntity {
			t.Fatalf("try %d: %d", i, a.Status)
		}
	}
	if a := enter(right); a.Status != http.StatusTooManyRequests {
		t.Errorf("after %d tries: %d", totpTries, a.Status)
	}
}

func TestBindingIsForStaffOnly(t *testing.T) {
	d := newDesk(t).hire()
	b := d.browser()
	if a := b.get("/staff/login/callback?code=code-of-stranger&state=" + b.state("/staff")); a.location() != "/staff/login/bind" {
		t.Fatalf("unknown WeChat user: %d %s", a.Status, a.location())
	}
	b.get("/staff/login/bind")
	b.post("/staff/login/bind/code", url.Values{"mobile": {"13712345678"}})
	if a := b.post("/staff/login/bind", url.Values{"mobile": {"13712345678"}, "code": {d.code("13712345678")}}); a.Status != http.StatusForbidden || !strings.Contains(a.Body, "不是工作人员") {
		t.Errorf("binding an applicant: %d", a.Status)
	}
	b.post("/staff/login/bind/code", url.Values{"mobile": {"13900000001"}})
	if a := b.post("/staff/login/bind", url.Values{"mobile": {"13900000001"}, "code": {"000000x"}}); a.Status == http.StatusSeeOther {
		t.Error("bound with a wrong code")
	}
	if a := b.get("/staff/login/totp"); a.Status != http.StatusUnauthorized {
		t.Errorf("TOTP without binding: %d", a.Status)
	}
}

// Reliability 20 and 26: disabling and a change of roles end every session at once.
func TestAccountChangesEndSessions(t *testing.T) {
	d := newDesk(t).hire()
	b := d.login("李审核")
	if a := b.get("/staff/review"); a.Status != http.StatusOK {
		t.Fatalf("before: %d", a.Status)
	}
	shipper := members[0]
	shipper.Roles = []order.Role{order.Shipper}
	m, err := d.staffing.Add(t.Context(), order.BySystem, shipper)
	must(t, err)
	if m.ID != d.staff["李审核"].ID || m.TOTPSecret != d.staff["李审核"].TOTPSecret {
		t.Error("adding again made another account or another secret")
	}
	if a := b.get("/staff/shipping"); a.Status != http.StatusSeeOther {
		t.Errorf("after a change of roles: %d", a.Status)
	}
	d.clock.advance(time.Minute)
	b = d.login("李审核")
	_, err = d.staffing.Disable(t.Context(), members[0].Mobile)
	must(t, err)
	if a := b.get("/staff/shipping"); a.Status != http.StatusSeeOther {
		t.Errorf("after disabling: %d", a.Status)
	}
	if a := b.get("/staff/login/callback?code=code-of-13900000001&state=" + b.state("/staff")); a.Status != http.StatusForbidden {
		t.Errorf("login when disabled: %d %s", a.Status, a.location())
	}
}

// Reliability 15: every route of the console, for every role and for strangers.
// A route admits its roles and admins, nobody else.
func TestConsoleAccess(t *testing.T) {
	d := newDesk(t).hire()
	if missing := d.Unlisted(); missing != nil {
		t.Errorf("routes without access: %v", missing)
	}
	o := d.inReview()
	visitors := map[string]*browser{"": d.browser()}
	for _, n := range members {
		visitors[n.Name] = d.login(n.Name)
	}
	applicant := d.browser()
	applicant.login("13700137000")
	visitors["经办人"] = applicant
	routes := 0
	for _, r := range d.matrix {
		if !strings.HasPrefix(r.Path, "/staff") {
			continue
		}
		if r.Access != OfStaff {
			if !strings.HasPrefix(r.Path, "/staff/login") {
				t.Errorf("%s %s is open to %s", r.Method, r.Path, r.Access)
			}
			continue
		}
		if r.Path == "/staff/logout" {
			continue
		}
		routes++
		for name, b := range visitors {
			path := strings.NewReplacer(":id", string(o.ID), ":item", "no-such-item").Replace(r.Path)
			b.get("/staff/orders") // a page with the token
			a := b.try(r, path)
			m, known := d.staff[name]
			switch {
			case !known && r.Method == http.MethodGet && !strings.HasPrefix(a.location(), "/staff/login"),
				!known && r.Method != http.MethodGet && a.Status != http.StatusForbidden && !strings.HasPrefix(a.location(), "/staff/login"):
				t.Errorf("%q on %s %s: %d %s", name, r.Method, r.Path, a.Status, a.location())
			case known && len(r.Roles) > 0 && !slices.ContainsFunc(r.Roles, m.Has) && !refusedByRole(a):
				t.Errorf("%s on %s %s: %d", name, r.Method, r.Path, a.Status)
			case known && slices.ContainsFunc(r.Roles, m.Has) && refusedByRole(a):
				t.Errorf("%s on %s %s: refused", name, r.Method, r.Path)
			}
		}
	}
	if routes < 20 {
		t.Errorf("only %d routes walked", routes)
	}
}

func refusedByRole(a answer) bool {
	return a.Status == http.StatusForbidden && strings.Contains(a.Body, "没有此项权限")
}

// Reliability 21: no action of the console works without the token or from elsewhere.
func TestConsoleForgery(t *testing.T) {
	d := newDesk(t).hire()
	o := d.inReview()
	admin := d.login("吴管理")
	admin.get("/staff/orders")
	for _, r := range d.matrix {
		if r.Access != OfStaff || !unsafeMethod(r.Method) {
			continue
		}
		path := strings.NewReplacer(":id", string(o.ID), ":item", "i").Replace(r.Path)
		if a := admin.post(path, url.Values{csrfField: {"wrong"}}); a.Status != http.StatusForbidden {
			t.Errorf("%s with a wrong token: %d", r.Path, a.Status)
		}
		if a := admin.post(path, nil, "Origin", "https://evil.example"); a.Status != http.StatusForbidden {
			t.Errorf("%s from elsewhere: %d", r.Path, a.Status)
		}
	}
	if got := d.read(o.ID); got.Rev != o.Rev {
		t.Error("a forged request moved the order")
	}
}

func TestStaffPath(t *testing.T) {
	for next, want := range map[string]string{
		"/staff/review/01J": "/staff/review/01J", "/staff": "/staff", "": "/staff", "/orders": "/staff", "//evil.example/staff/": "/staff", "https://evil.example/staff/": "/staff", "/staffx": "/staff", "/staff/../orders": "/staff",
		"/staff/%2e%2e/orders": "/staff", "/staff/orders?no=1&company=x": "/staff/orders?no=1&company=x",
	} {
		if got := staffPath(next); got != want {
			t.Errorf("staffPath(%q) = %q, want %q", next, got, want)
		}
	}
}

// Whatever a link says, the login ends on a page of the console.
func FuzzStaffPath(f *testing.F) {
	for _, seed := range []string{"/staff/review/01J", "//evil.example/staff", "/staff/../orders", "/staff\\@evil.example", "/staff/\r\nSet-Cookie: x=1"} {
		f.Add(seed)
	}
	own := &url.URL{Scheme: "https", Host: "shop.example", Path: "/staff/login"}
	f.Fuzz(func(t *testing.T, next string) {
		got := staffPath(next)
		to, err := own.Parse(got)
		if err != nil || to.Host != own.Host || to.Scheme != own.Scheme || strings.ContainsAny(got, "\r\n\\") || !strings.HasPrefix(to.Path, "/staff") {
			t.Errorf("staffPath(%q) = %q", next, got)
		}
	})
}
