package handlers

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/order"
)

var hidden = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)">`)

// carried is the form that a page would send once more.
func carried(page string) url.Values {
	f := url.Values{}
	for _, m := range hidden.FindAllStringSubmatch(page, -1) {
		f.Add(m[1], html.UnescapeString(m[2]))
	}
	return f
}

// A login that ends in the middle of a form loses nothing of it (F22): the refusal carries
// what was typed until a new login takes it, and a script is told the new token.
func TestNothingTypedIsLostWithTheLogin(t *testing.T) {
	w := newWeb(t)
	b := w.browser()
	b.login(agentMobile)
	path := b.draft()
	typed := filledForm()
	typed.Set("do", "save")
	typed.Set("ship.address", `中关村大街1号 "A座" <3层>`)
	w.clock.advance(31 * time.Minute)

	if a := b.get(path + "/edit"); a.Status != http.StatusNotFound || !strings.Contains(a.Body, `href="/login?next=`+strings.ReplaceAll(path, "/", "%2F")+`%2Fedit"`) {
		t.Errorf("the form after the login: %d %s", a.Status, a.Body)
	}
	stale := w.browser()
	stale.jar, stale.csrf = b.jar, "of the login before"
	refused := func(what string, form url.Values, status int, login bool) url.Values {
		t.Helper()
		a := stale.post(path+"/form", form)
		again := carried(a.Body)
		if a.Status != status || !strings.Contains(a.Body, `action="`+path+`/form"`) || strings.Contains(a.Body, `target="_blank"`) != login {
			t.Fatalf("%s: %d %s", what, a.Status, a.Body)
		}
		if stale.csrf = again.Get(csrfField); again.Get("ship.address") != typed.Get("ship.address") || again.Get("do") != "save" || len(again) != len(typed)+1 {
			t.Fatalf("%s: carried %v", what, again)
		}
		again.Del(csrfField)
		return again
	}
	again := refused("with the token of the login", typed, http.StatusForbidden, true)
	again = refused("still without a login", again, http.StatusNotFound, true)
	w.clock.advance(2 * time.Minute)
	b.login(agentMobile)
	again = refused("with the token from before the new login", again, http.StatusForbidden, false)
	if a := stale.post(path+"/form", again); a.Status != http.StatusOK {
		t.Fatalf("sent again: %d %s", a.Status, a.Body)
	}
	if got := w.order(path).Form.Get(order.ShipAddress); !strings.Contains(got, "中关村大街1号") {
		t.Errorf("saved %q", got)
	}

	a := stale.do(http.MethodPost, path+"/form", fiber.MIMEApplicationForm, strings.NewReader("do=auto"), csrfHeader, "stale", "HX-Request", "true")
	if a.Status != http.StatusForbidden || a.Header.Get(csrfHeader) != stale.csrf {
		t.Errorf("a script is told %d, %q", a.Status, a.Header.Get(csrfHeader))
	}
	a = stale.do(http.MethodPost, path+"/form", fiber.MIMEApplicationForm, strings.NewReader("agent.name=x"), "Origin", "https://evil.example")
	if a.Status != http.StatusForbidden || carried(a.Body).Has("agent.name") {
		t.Errorf("a foreign page's form: %d %s", a.Status, a.Body)
	}
	w.clock.advance(31 * time.Minute)
	a = stale.post(path+"/authorization/resend", nil, "HX-Request", "true")
	if a.Status != http.StatusUnauthorized || a.Header.Get("HX-Redirect") != "" || !strings.Contains(a.Body, `target="_blank"`) {
		t.Errorf("a button of a page that needs a login: %d %s", a.Status, a.Body)
	}
	a = stale.post(path+"/delivery", url.Values{"ship.name": {"王小琪"}})
	if a.Status != http.StatusUnauthorized || carried(a.Body).Get("ship.name") != "王小琪" {
		t.Errorf("a form that needs a login: %d %s", a.Status, a.Body)
	}
}

// The draft of a browser without a login is kept from its last save on, and so is the
// cookie that opens it.
func TestBrowserKeepsItsDraft(t *testing.T) {
	b := newWeb(t).browser()
	path := b.draft()
	a := b.post(path+"/form", url.Values{"do": {"save"}})
	if c := a.Header.Get("Set-Cookie"); !strings.HasPrefix(c, "ycd_browser="+cookie(b, "ycd_browser")) || !strings.Contains(c, "max-age=2592000") {
		t.Errorf("after a save: cookie %q", c)
	}
}

// RFC 9110 §9.1: what answers GET answers HEAD, with the same status and no body.
func TestHead(t *testing.T) {
	w := newWeb(t)
	b := w.browser()
	for _, r := range w.matrix {
		if r.Method != http.MethodGet || strings.HasPrefix(r.Path, "/api/") || strings.HasSuffix(r.Path, "/live") || strings.HasPrefix(r.Path, "/openapi") {
			continue
		}
		path := fill(r.Path, newID())
		get, head := b.get(path), b.do(http.MethodHead, path, "", nil)
		if head.Status != get.Status || head.Body != "" {
			t.Errorf("HEAD %s: %d, GET %d", r.Path, head.Status, get.Status)
		}
	}
}

// A link to pay, in a message or in the history, leads to where the order goes on when
// there is nothing to pay.
func TestOldPaymentLink(t *testing.T) {
	b := newWeb(t).browser()
	path := b.confirmed()
	b.post(path+"/reopen", nil)
	if a := b.get(path + "/pay"); a.Status != http.StatusSeeOther || a.location() != path+"/edit" {
		t.Errorf("%d %s", a.Status, a.location())
	}
}

// What the API refuses before a handler sees it is said in Chinese, names where, and does
// not repeat what was sent.
func TestMalformedRequests(t *testing.T) {
	b := newWeb(t).browser()
	for body, field := range map[string]string{
		`{"ticket":`: "", `[1]`: "", ``: "", `{"bind":1,"mobile":"` + agentMobile + `"}`: "bind",
		`{"bind":"x","mobile":"` + strings.Repeat(agentMobile, 9) + `"}`: "mobile",
	} {
		a := b.do(http.MethodPost, "/api/v1/login/sms/code", fiber.MIMEApplicationJSON, strings.NewReader(body))
		p := problemIn(t, a)
		if a.Status < 400 || a.Status > 422 || p.Code != "http" || p.Status != a.Status || !strings.Contains(p.Detail, "请") || p.Instance == "" || strings.Contains(a.Body, agentMobile) {
			t.Errorf("%s: %d %s", body, a.Status, a.Body)
		}
		if field != "" && (len(p.Fields) == 0 || string(p.Fields[0].Field) != field) {
			t.Errorf("%s: fields %v", body, p.Fields)
		}
	}
}

// A number that is none of ours is refused by the field's name, with what is expected there.
func TestNumbersOfBodies(t *testing.T) {
	m := newWeb(t).mini("m1", "").login(agentMobile)
	at, _ := m.applied()
	for _, number := range []string{"1e9", "1.5", "1.0", "9223372036854775808", "1e400", `"1"`} {
		for field, body := range map[string]string{"term": `{"term":` + number + `}`, "lines.quantity": `{"lines":[{"quantity":` + number + `}]}`} {
			a := m.send(http.MethodPost, at+"/form", fiber.MIMEApplicationJSON, strings.NewReader(body), nil)
			p := problemIn(t, a)
			if a.Status != http.StatusUnprocessableEntity || len(p.Fields) != 1 || strings.Replace(string(p.Fields[0].Field), "[0]", "", 1) != field || !strings.Contains(p.Fields[0].Detail, "整数") || strings.Contains(p.Fields[0].Detail, number) {
				t.Errorf("%s: %d %s", body, a.Status, a.Body)
			}
		}
	}
	a := m.call(http.MethodGet, "/orders?limit=1e1", nil, nil)
	if p := problemIn(t, a); a.Status != http.StatusUnprocessableEntity || len(p.Fields) != 1 || p.Fields[0].Field != "limit" {
		t.Errorf("of a query: %d %s", a.Status, a.Body)
	}
}

// A body of a kind that is not read is refused for that, not as a page that is too old.
func TestContentTypes(t *testing.T) {
	w := newWeb(t)
	b := w.browser()
	b.login(agentMobile)
	const want = "application/json"
	for name, kind := range map[string]string{"plain text": "text/plain", "none": "", "XML": "application/xml", "no kind": "x;;"} {
		page := b.do(http.MethodPost, "/logout", kind, strings.NewReader(csrfField+"="+b.csrf))
		api := b.do(http.MethodPost, "/api/v1/orders", kind, strings.NewReader(`{"product":"x"}`), csrfHeader, b.csrf)
		if page.Status != http.StatusUnsupportedMediaType || !strings.Contains(page.Body, want) {
			t.Errorf("page, %s: %d %s", name, page.Status, page.Body)
		}
		if p := problemIn(t, api); api.Status != http.StatusUnsupportedMediaType || !strings.Contains(p.Detail, want) {
			t.Errorf("API, %s: %d %s", name, api.Status, api.Body)
		}
	}
	m := w.mini("m1", "").login(agentMobile2)
	for _, kind := range []string{"text/plain", fiber.MIMEApplicationForm} { // as a form the gate lets it pass
		if a := m.send(http.MethodPost, "/orders", kind, strings.NewReader("product=x"), nil); a.Status != http.StatusUnsupportedMediaType || !strings.Contains(problemIn(t, a).Detail, want) {
			t.Errorf("mini-program, %s: %d %s", kind, a.Status, a.Body)
		}
	}
}
