package handlers

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/order"
)

func TestEveryKindHasAStatus(t *testing.T) {
	for _, k := range []order.Kind{order.Invalid, order.Unauthenticated, order.Forbidden, order.NotFound, order.Conflict, order.RateLimited, order.Unavailable} {
		if statusOf[k] == 0 {
			t.Errorf("%s has no HTTP status", k)
		}
	}
}

// One map from errors to answers: a problem document for programs, a message for
// scripts, a page for people; only a domain error says why.
func TestErrors(t *testing.T) {
	w := newWeb(t)
	faults := map[string]error{
		"invalid":   &order.Error{Kind: order.Invalid, Code: "form_incomplete", Detail: "请补全", Fields: []order.FieldError{{Field: order.OrgName, Detail: "请填写单位名称"}}},
		"limited":   &order.Error{Kind: order.RateLimited, Code: "sms_mobile_limit", Detail: "请稍后", RetryAfter: 90 * time.Second},
		"down":      &order.Error{Kind: order.Unavailable, Code: "x", Detail: "稍后处理", RetryAfter: 1500 * time.Millisecond, Err: errors.New("dial tcp: secret-host")},
		"internal":  errors.New("pq: password secret-word"),
		"forbidden": order.Errorf(order.Forbidden, "role_missing", "没有权限"),
	}
	for name, err := range faults {
		w.get("/fault/"+name, Plain, func(*fiber.Ctx) error { return err })
	}
	w.get("/fault/panic", Plain, func(*fiber.Ctx) error { panic("secret-word") })
	b := w.browser()
	for name, want := range map[string]Problem{
		"invalid":   {Status: 422, Code: "form_incomplete", Detail: "请补全"},
		"limited":   {Status: 429, Code: "sms_mobile_limit", Detail: "请稍后"},
		"down":      {Status: 503, Code: "x", Detail: "稍后处理"},
		"internal":  {Status: 500, Code: "internal"},
		"panic":     {Status: 500, Code: "internal"},
		"forbidden": {Status: 403, Code: "role_missing", Detail: "没有权限"},
		"nowhere":   {Status: 404, Code: "http"},
	} {
		a := b.get("/fault/"+name, "Accept", "application/json")
		p := problemIn(t, a)
		if a.Status != want.Status || p.Status != want.Status || p.Code != want.Code || want.Detail != "" && p.Detail != want.Detail ||
			a.Header.Get("Content-Type") != "application/problem+json" || p.Instance == "" || p.Instance != a.Header.Get("X-Request-Id") {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
		page, fragment := b.get("/fault/"+name), b.get("/fault/"+name, "HX-Request", "true")
		for kind, a := range map[string]answer{"page": page, "fragment": fragment} {
			if a.Status != want.Status || !strings.Contains(a.Body, p.Detail) || strings.Contains(a.Body, "secret") || strings.Contains(a.Body, "<html") != (kind == "page") {
				t.Errorf("%s, %s: %d %s", name, kind, a.Status, a.Body)
			}
		}
		if strings.Contains(a.Body, "secret") {
			t.Errorf("%s: %s", name, a.Body)
		}
	}
	if a := b.get("/fault/invalid", "Accept", "application/json"); len(problemIn(t, a).Fields) != 1 {
		t.Errorf("no fields: %s", a.Body)
	}
	for name, want := range map[string]string{"limited": "90", "down": "2", "internal": ""} {
		if got := b.get("/fault/" + name).Header.Get("Retry-After"); got != want {
			t.Errorf("%s: Retry-After %q, want %q", name, got, want)
		}
	}
	if log := w.log.String(); strings.Contains(log, `"secret-word"`) || !strings.Contains(log, "panic: string") {
		t.Errorf("a panic's value is logged, or the panic is not: %s", log)
	}
}

// A phone cannot scan what it shows: there the login begins with the SMS, elsewhere
// with the QR code (F16, F17).
func TestLoginOnAPhone(t *testing.T) {
	w := newWeb(t)
	for name, tc := range map[string]struct {
		header, value, path string
		sms                 bool
	}{
		"PC":                   {"User-Agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/140.0", "/login", false},
		"WeChat on a phone":    {"User-Agent", "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Mobile/15E148 MicroMessenger/8.0", "/login", true},
		"says so in a hint":    {"Sec-CH-UA-Mobile", "?1", "/login", true},
		"asks for the QR code": {"Sec-CH-UA-Mobile", "?1", "/login?mode=scan", false},
		"PC asks for the SMS":  {"Sec-CH-UA-Mobile", "?0", "/login?mode=sms", true},
		"a hint that says no":  {"Sec-CH-UA-Mobile", "?0", "/login", false},
		"keeps where to go on": {"Sec-CH-UA-Mobile", "?1", "/login?next=/certificates", true},
	} {
		req := httptest.NewRequest(http.MethodGet, tc.path, nil)
		req.Header.Set(tc.header, tc.value)
		req.Header.Set("Accept", "text/html")
		resp, err := w.App.Test(req, -1)
		must(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		must(t, err)
		if sms := strings.Contains(string(body), `id="mobile"`); sms != tc.sms || resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %d, SMS %v", name, resp.StatusCode, sms)
		}
	}
}

// What is not there says so on a page of the console to whoever looks there.
func TestNotFoundInTheConsole(t *testing.T) {
	b := newWeb(t).browser()
	for path, console := range map[string]bool{"/staff/nothing": true, "/staffing": false, "/nothing": false} {
		a := b.get(path)
		if got := strings.Contains(a.Body, "返回审核台") && !strings.Contains(a.Body, "/orders"); a.Status != http.StatusNotFound || got != console {
			t.Errorf("%s: %d, the console's page: %v", path, a.Status, got)
		}
	}
}

// Who is logged in stays so in the head of a page that is not there.
func TestNotFoundKnowsTheLogin(t *testing.T) {
	b := newWeb(t).browser()
	b.login("13800138000")
	if a := b.get("/nothing"); a.Status != http.StatusNotFound || !strings.Contains(a.Body, `action="/logout"`) {
		t.Errorf("%d, a way to log out: %v", a.Status, strings.Contains(a.Body, `action="/logout"`))
	}
}

// Somebody not logged in is led to the login and back; a program gets 401.
func TestLoginFirst(t *testing.T) {
	b := newWeb(t).browser()
	if a := b.get("/orders?status=draft"); a.Status != http.StatusSeeOther || a.location() != "/login?next=%2Forders%3Fstatus%3Ddraft" {
		t.Errorf("page: %d %s", a.Status, a.location())
	}
	if a := b.get("/orders/x/panel", "HX-Request", "true"); a.Status != http.StatusUnauthorized || a.Header.Get("Hx-Redirect") != "/login?next=%2Forders" {
		t.Errorf("fragment: %d %v", a.Status, a.Header)
	}
	if a := b.get("/api/v1/orders"); a.Status != http.StatusUnauthorized || problemIn(t, a).Code != "login_required" {
		t.Errorf("API: %d %s", a.Status, a.Body)
	}
}

// Nobody waits for ever for a database, or a provider, that takes the question and is silent.
func TestHandlersHaveADeadline(t *testing.T) {
	w := newWeb(t)
	var left time.Duration
	w.get("/fault/silent", Plain, func(c *fiber.Ctx) error {
		if end, ok := c.UserContext().Deadline(); ok {
			left = time.Until(end)
		}
		return context.DeadlineExceeded
	})
	w.browser().get("/fault/silent")
	if left <= 0 || left >= writeTimeout {
		t.Errorf("a handler may take %s, and its answer has to be written within %s", left, writeTimeout)
	}
}
