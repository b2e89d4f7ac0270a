package handlers

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store/session"
)

// phones is WeChat around the mini-program: the codes it has handed out.
type phones struct {
	mu      sync.Mutex
	users   map[string]miniUser
	mobiles map[string]string
}

func (p *phones) login(code string, u miniUser) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.users == nil {
		p.users, p.mobiles = map[string]miniUser{}, map[string]string{}
	}
	p.users[code] = u
	return code
}

func (p *phones) phone(code, mobile string) string {
	p.login("", miniUser{})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mobiles[code] = mobile
	return code
}

var codeVoid = order.Errorf(order.Unauthenticated, "wechat_code", "微信登录已失效，请重新登录。")

func (w *web) miniProgram() MiniProgram {
	p := w.wechat
	return MiniProgram{
		AppID: "wxmini",
		User: func(_ context.Context, code string) (string, string, error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			u, ok := p.users[code]
			delete(p.users, code)
			if !ok {
				return "", "", codeVoid
			}
			return u.OpenID, u.UnionID, nil
		},
		Mobile: func(_ context.Context, code string) (identity.Mobile, error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			m, ok := p.mobiles[code]
			delete(p.mobiles, code)
			if !ok {
				return identity.Mobile{}, codeVoid
			}
			return identity.NewMobile(m), nil
		},
		RequestPayment: func(id string) (PaymentJSON, error) {
			return PaymentJSON{Package: "prepay_id=" + id, SignType: "RSA"}, nil
		},
		Subscriptions: map[string]string{"order_progress": "T-progress", "staff_task": "T-task"}, Consents: w.db,
	}
}

// mini is the mini-program on one phone.
type mini struct {
	*web
	user  miniUser
	token string
}

func (w *web) mini(openID, unionID string) *mini {
	return &mini{web: w, user: miniUser{openID, unionID}}
}

// call sends JSON and reads the answer into out, which may be nil.
func (m *mini) call(method, path string, in, out any, more ...string) answer {
	m.t.Helper()
	var body bytes.Buffer
	if in != nil {
		must(m.t, json.NewEncoder(&body).Encode(in))
	}
	return m.send(method, path, "application/json", &body, out, more...)
}

func (m *mini) send(method, path, kind string, body io.Reader, out any, more ...string) answer {
	m.t.Helper()
	req := httptest.NewRequestWithContext(m.t.Context(), method, "http://127.0.0.1:8080/api/v1"+path, body)
	if method != http.MethodGet {
		req.Header.Set("Content-Type", kind)
	}
	if m.token != "" {
		req.Header.Set("Authorization", "Bearer "+m.token)
	}
	for i := 0; i+1 < len(more); i += 2 {
		req.Header.Set(more[i], more[i+1])
	}
	resp, err := m.App.Test(req, 60_000)
	must(m.t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	must(m.t, err)
	if out != nil && resp.StatusCode < 300 {
		reflect.ValueOf(out).Elem().SetZero() // what the answer leaves out is not there
		must(m.t, json.Unmarshal(raw, out))
	}
	return answer{resp.StatusCode, resp.Header, string(raw)}
}

// ok is call for what must succeed.
func (m *mini) ok(method, path string, in, out any) {
	m.t.Helper()
	if a := m.call(method, path, in, out); a.Status >= 300 {
		m.t.Fatalf("%s %s: %d %s", method, path, a.Status, a.Body)
	}
}

// photo sends a picture.
func (m *mini) photo(path, name string, raw []byte, out any) answer {
	m.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	part, err := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {`form-data; name="file"; filename="` + name + `"`}, "Content-Type": {"image/jpeg"}})
	must(m.t, err)
	_, err = part.Write(raw)
	must(m.t, err)
	must(m.t, w.Close())
	return m.send(http.MethodPost, path, w.FormDataContentType(), &body, out)
}

// begin logs in silently and returns the answer.
func (m *mini) begin() LoginJSON {
	m.t.Helper()
	var out LoginJSON
	m.ok(http.MethodPost, "/login", map[string]string{"code": m.wechat.login("code-"+newID(), m.user)}, &out)
	m.token = out.Token
	return out
}

// login logs in with a mobile that WeChat knows.
func (m *mini) login(mobile string) *mini {
	m.t.Helper()
	var out LoginJSON
	if at := m.begin(); at.Bind != "" {
		m.ok(http.MethodPost, "/login/phone", map[string]string{"bind": at.Bind, "code": m.wechat.phone("phone-"+newID(), mobile)}, &out)
		m.token = out.Token
	}
	return m
}

// F21: a new WeChat user proves a mobile once; afterwards, and whenever the token
// has run out, a code of wx.login is enough.
func TestMiniProgramLogin(t *testing.T) {
	w := newWeb(t)
	m := w.mini("m1", "")
	at := m.begin()
	if at.Token != "" || at.Bind == "" {
		t.Fatalf("a new user: %+v", at)
	}
	var done LoginJSON
	m.ok(http.MethodPost, "/login/phone", map[string]string{"bind": at.Bind, "code": w.wechat.phone("p1", agentMobile)}, &done)
	if len(done.Token) < 43 || done.Bind != "" || done.Me.Mobile != "138****8000" || done.Me.Staff {
		t.Errorf("bound: %+v", done)
	}
	if a := m.call(http.MethodPost, "/login/phone", map[string]string{"bind": at.Bind, "code": w.wechat.phone("p2", agentMobile2)}, nil); a.Status != http.StatusUnauthorized {
		t.Errorf("the ticket a second time: %d %s", a.Status, a.Body)
	}
	m.token = done.Token
	w.clock.advance(session.IdleTimeout)
	if a := m.call(http.MethodGet, "/me", nil, nil); a.Status != http.StatusUnauthorized || problemIn(t, a).Code == "" {
		t.Errorf("after 30 idle minutes: %d %s", a.Status, a.Body)
	}
	if again := m.begin(); again.Token == "" || again.Token == done.Token || again.Me.Mobile != "138****8000" {
		t.Errorf("renewed: %+v", again)
	}
	var me PersonJSON
	m.ok(http.MethodGet, "/me", nil, &me)
	m.ok(http.MethodPost, "/logout", nil, nil)
	if a := m.call(http.MethodGet, "/me", nil, nil); a.Status != http.StatusUnauthorized {
		t.Errorf("after logout: %d", a.Status)
	}
	// Another mobile for the same WeChat user, on request only.
	var other LoginJSON
	m.ok(http.MethodPost, "/login", map[string]any{"code": w.wechat.login("c9", m.user), "switch": true}, &other)
	if other.Bind == "" || other.Token != "" {
		t.Errorf("switch: %+v", other)
	}
	if a := m.call(http.MethodPost, "/login", map[string]string{"code": "never-issued"}, nil); a.Status != http.StatusUnauthorized {
		t.Errorf("a void code: %d %s", a.Status, a.Body)
	}
}

// The SMS way, bound to the WeChat user who asked (F57).
func TestMiniProgramLoginBySMS(t *testing.T) {
	w := newWeb(t)
	m, thief := w.mini("m1", ""), w.mini("m2", "")
	at, his := m.begin(), thief.begin()
	step := func(m *mini, bind, path, code string, out any) answer {
		return m.call(http.MethodPost, "/login/sms"+path, map[string]string{"bind": bind, "mobile": agentMobile, "code": code}, out)
	}
	var wait CodeJSON
	if a := m.call(http.MethodPost, "/login/sms/code", map[string]string{"bind": at.Bind, "mobile": agentMobile}, &wait); a.Status != http.StatusOK || wait.Wait != codeWait {
		t.Fatalf("code: %d %s", a.Status, a.Body)
	}
	if a := m.call(http.MethodPost, "/login/sms/code", map[string]string{"bind": at.Bind, "mobile": agentMobile}, nil); a.Status != http.StatusTooManyRequests || a.Header.Get("Retry-After") == "" {
		t.Errorf("at once again: %d %v", a.Status, a.Header)
	}
	if a := m.call(http.MethodPost, "/login/sms/code", map[string]string{"bind": at.Bind, "mobile": "12"}, nil); a.Status != http.StatusUnprocessableEntity {
		t.Errorf("no mobile: %d", a.Status)
	}
	if a := step(thief, his.Bind, "", w.code(agentMobile), nil); a.Status < 400 {
		t.Errorf("another WeChat user used the code: %s", a.Body)
	}
	var done LoginJSON
	if a := step(m, at.Bind, "", w.code(agentMobile), &done); a.Status != http.StatusOK || done.Token == "" {
		t.Errorf("login: %d %s", a.Status, a.Body)
	}
}

// One union id is one person, in the official account and in the mini-program.
func TestUnionIDJoinsTheAccounts(t *testing.T) {
	w := newWeb(t)
	var p order.Person
	must(t, w.db.InTx(t.Context(), func(tx order.Tx) (err error) {
		if p, err = tx.PersonByMobile(t.Context(), order.Person{ID: newID(), Mobile: identity.NewMobile(agentMobile), CreatedAt: w.clock.now()}); err != nil {
			return err
		}
		return tx.LinkWeChat(t.Context(), order.WeChatIdentity{AppID: "wxofficial", OpenID: "o1", UnionID: "u1", PersonID: p.ID, Subscribed: true, UpdatedAt: w.clock.now()})
	}))
	if at := w.mini("m1", "u1").begin(); at.Token == "" || at.Me.Mobile != "138****8000" {
		t.Errorf("known by the union id: %+v", at)
	}
	if at := w.mini("m2", "").begin(); at.Token != "" {
		t.Errorf("without a union id: %+v", at)
	}
	if got, err := w.db.PersonByWeChat(t.Context(), "wxmini", "m1"); err != nil || got.ID != p.ID {
		t.Errorf("the mini-program's user is not linked: %v", err)
	}
}

// Issue 4: the mini-program tells what its user allows; staff may allow tasks too,
// a browser nothing.
func TestSubscriptions(t *testing.T) {
	w := newWeb(t)
	m := w.mini("m1", "").login(agentMobile)
	var may SubscriptionsJSON
	m.ok(http.MethodGet, "/subscriptions", nil, &may)
	if !slices.Equal(may.Templates, []string{"T-progress"}) {
		t.Errorf("an applicant may allow %v", may.Templates)
	}
	if want := map[string]string{"order_progress": "T-progress"}; !maps.Equal(may.Notices, want) {
		t.Errorf("notices %v, want %v", may.Notices, want)
	}
	left := func() int {
		t.Helper()
		c, err := w.db.Consent(t.Context(), "wxmini", "m1", "T-progress")
		must(t, err)
		return c.Left
	}
	answer := func(template, answer string) answer {
		t.Helper()
		w.clock.advance(time.Second)
		return m.call(http.MethodPost, "/subscriptions", map[string]any{"answers": map[string]string{template: answer}}, nil)
	}
	for i, tt := range []struct {
		answer string
		left   int
	}{{"accept", 1}, {"accept", 2}, {"ban", 0}, {"accept", 1}} {
		if a := answer("T-progress", tt.answer); a.Status >= 300 || left() != tt.left {
			t.Errorf("answer %d: %d %s, %d left, want %d", i, a.Status, a.Body, left(), tt.left)
		}
	}
	if a := answer("T-task", "accept"); a.Status != http.StatusUnprocessableEntity || !strings.Contains(a.Body, "answers") {
		t.Errorf("an applicant allows tasks: %d %s", a.Status, a.Body)
	}
	w.Mini.Subscriptions = nil
	if m.ok(http.MethodGet, "/subscriptions", nil, &may); len(may.Templates) != 0 {
		t.Errorf("without templates: %v", may.Templates)
	}
}

// Reliability 21: a bearer request needs no CSRF token and its cookies count for
// nothing; a cookie request without the token is refused; a bad bearer does not
// fall back to the cookie; a session of one door opens no other.
func TestBearerAndCookie(t *testing.T) {
	w := newWeb(t)
	b := w.browser()
	b.login(agentMobile)
	m := w.mini("m1", "").login(agentMobile2)
	applicant := "ycd_applicant=" + cookie(b, "ycd_applicant")
	var me PersonJSON
	if a := m.call(http.MethodGet, "/me", nil, &me, "Cookie", applicant); a.Status != http.StatusOK || me.Mobile != "137****7000" {
		t.Errorf("bearer beside a cookie: %d %+v", a.Status, me)
	}
	nobody := &mini{web: w}
	if a := nobody.call(http.MethodGet, "/me", nil, &me, "Cookie", applicant); a.Status != http.StatusOK || me.Mobile != "138****8000" {
		t.Errorf("cookie alone: %d %+v", a.Status, me)
	}
	if a := nobody.call(http.MethodPost, "/logout", nil, nil, "Cookie", applicant); a.Status != http.StatusForbidden {
		t.Errorf("cookie without a token: %d", a.Status)
	}
	for name, token := range map[string]string{"of nobody": secret(), "empty": "", "of the portal's cookie": cookie(b, "ycd_applicant")} {
		if a := nobody.call(http.MethodGet, "/me", nil, nil, "Cookie", applicant, "Authorization", "Bearer "+token); a.Status != http.StatusUnauthorized {
			t.Errorf("bearer %s: %d", name, a.Status)
		}
	}
	if a := b.get("/orders", "Authorization", "Bearer "+m.token); a.Status != http.StatusOK || !strings.Contains(a.Body, "我的订单") {
		t.Errorf("a page: %d", a.Status)
	}
	setCookie(b, "ycd_applicant", m.token)
	if a := b.get("/orders"); a.Status != http.StatusSeeOther {
		t.Errorf("the mini-program's token as a cookie: %d", a.Status)
	}
}

// apiRoutes are the routes of the API with that access.
func apiRoutes(s *Server, a Access) (out []route) {
	for _, r := range s.matrix {
		if strings.HasPrefix(r.Path, "/api/v1/") && r.Access == a {
			out = append(out, r)
		}
	}
	return out
}

// F23, reliability 15: through the API too, somebody else's order or certificate
// answers like one that does not exist, whatever is sent.
func TestAPIOfOthersDoesNotExist(t *testing.T) {
	w := newWeb(t)
	theirs := strings.TrimPrefix(w.browser().paid(), "/orders/")
	m := w.mini("m1", "").login(agentMobile2)
	routes := slices.DeleteFunc(apiRoutes(w.Server, Applicant), func(r route) bool {
		return !strings.Contains(r.Path, ":id") && !strings.Contains(r.Path, ":serial")
	})
	if len(routes) < 15 {
		t.Fatalf("only %d routes", len(routes))
	}
	for _, r := range routes {
		for _, body := range []string{"", "{}", `{"code":"123456"}`, "no json"} {
			var answers []answer
			for _, id := range []string{theirs, newID()} {
				path := strings.NewReplacer(":serial", strings.Repeat("0B", 20)).Replace(fill(strings.TrimPrefix(r.Path, "/api/v1"), id))
				answers = append(answers, m.send(r.Method, path, "application/json", strings.NewReader(body), nil))
			}
			if a, b := answers[0], answers[1]; a.Status != http.StatusNotFound || b.Status != a.Status || volatile.ReplaceAllString(a.Body, "") != volatile.ReplaceAllString(b.Body, "") {
				t.Errorf("%s %s with %q: %d %s, missing: %d", r.Method, r.Path, body, a.Status, a.Body, b.Status)
			}
		}
	}
	before := w.everything(t)
	for _, r := range apiRoutes(w.Server, Applicant) {
		m.send(r.Method, fill(strings.TrimPrefix(r.Path, "/api/v1"), theirs), "application/json", strings.NewReader(`{"status":"completed","amount_fen":1,"person_id":"x"}`), nil)
	}
	if after := w.everything(t); !maps.Equal(before, after) {
		t.Error("somebody else's order was changed")
	}
}

// Without a login there is nothing, whatever is sent.
func TestAPINeedsALogin(t *testing.T) {
	w := newWeb(t)
	m := &mini{web: w}
	for _, r := range apiRoutes(w.Server, Applicant) {
		path := fill(strings.TrimPrefix(r.Path, "/api/v1"), newID())
		if a := m.send(r.Method, path, "application/json", strings.NewReader("{}"), nil); a.Status != http.StatusUnauthorized {
			t.Errorf("%s %s: %d %s", r.Method, r.Path, a.Status, a.Body)
		}
	}
	for _, r := range append(apiRoutes(w.Server, Proof), apiRoutes(w.Server, Plain)...) {
		path := strings.NewReplacer(":ticket", secret(), ":name", "x").Replace(strings.TrimPrefix(r.Path, "/api/v1"))
		a := m.send(r.Method, path, "text/plain", strings.NewReader(`{"code":"x"}`), nil)
		if a.Header.Get("Set-Cookie") != "" || r.Method != http.MethodGet && a.Status < 400 {
			t.Errorf("%s %s: %d, cookie %q", r.Method, r.Path, a.Status, a.Header.Get("Set-Cookie"))
		}
	}
}

// What is missing in a body is named in the refusal, whatever the operation: all that its
// description requires, each by its own name, so that a client can mark it.
func TestMissingPropertiesAreNamed(t *testing.T) {
	w := newWeb(t)
	w.holder()
	m := w.mini("m1", "").login(agentMobile)
	type schema struct {
		Ref      string `json:"$ref"`
		Required []string
	}
	var described struct {
		Paths map[string]map[string]struct {
			RequestBody struct {
				Content map[string]struct{ Schema schema }
			}
		}
		Components struct{ Schemas map[string]schema }
	}
	must(t, json.Unmarshal([]byte(w.browser().get("/openapi.json").Body), &described))
	asked := 0
	for path, operations := range described.Paths {
		body := operations["post"].RequestBody.Content["application/json"].Schema
		body = described.Components.Schemas[strings.TrimPrefix(body.Ref, "#/components/schemas/")]
		at := strings.ReplaceAll(strings.TrimPrefix(path, "/api/v1"), "{serial}", heldSerial)
		if len(body.Required) == 0 || strings.Contains(at, "{") {
			continue
		}
		asked++
		a := m.call(http.MethodPost, at, map[string]string{}, nil)
		p := problemIn(t, a)
		var named []string
		for _, f := range p.Fields {
			named = append(named, string(f.Field))
			if !strings.Contains(f.Detail, "缺少") {
				t.Errorf("%s: %s: %s", path, f.Field, f.Detail)
			}
		}
		slices.Sort(named)
		slices.Sort(body.Required)
		if a.Status != http.StatusUnprocessableEntity || !slices.Equal(named, body.Required) {
			t.Errorf("%s: %d names %v of %v", path, a.Status, named, body.Required)
		}
	}
	if asked < 15 {
		t.Errorf("only %d operations asked", asked)
	}
}

// F98, F102: the card names the bound user, masked; freezing through the API takes a code of the bound mobile.
func TestAPICertificates(t *testing.T) {
	w := newWeb(t)
	w.holder()
	w.clock.advance(2 * time.Minute) // until the next code may be sent
	m := w.mini("m1", "").login(agentMobile)
	var list struct {
		Certificates []CertificateJSON
		Reasons      []OptionJSON
		Bid          BidQuestionJSON
	}
	m.ok(http.MethodGet, "/certificates", nil, &list)
	if len(list.Certificates) != 1 || list.Certificates[0].Days != 365 || list.Certificates[0].Mobile != "138****8000" || list.Certificates[0].Label != "有效" || len(list.Reasons) < 4 {
		t.Errorf("certificates %+v", list)
	}
	for _, r := range list.Reasons {
		if r.Value == "privilegeWithdrawn" {
			t.Error("a reason of staff is offered")
		}
	}
	at := "/certificates/" + heldSerial
	if a := list.Bid.Answers; list.Bid.Question == "" || len(a) != 2 || a[0].Value != "none" || a[1].Value != "open" || !strings.Contains(a[1].Label, "无法解密") {
		t.Errorf("the question about bids: %+v", list.Bid)
	}
	opening := map[string]string{"bid": "open", "opening": w.clock.now().In(order.Shanghai).AddDate(0, 0, 3).Format("2006-01-02T15:04")}
	var advice BidJSON
	if m.ok(http.MethodPost, at+"/bid", opening, &advice); !advice.Wait || !strings.Contains(advice.Text, "再吊销") {
		t.Errorf("advice %+v", advice)
	}
	m.ok(http.MethodPost, at+"/bid-reminder", opening, nil)
	for _, path := range []string{"/bid", "/bid-reminder"} {
		if a := m.call(http.MethodPost, at+path, map[string]string{"bid": "open", "opening": "soon"}, nil); a.Status != http.StatusUnprocessableEntity || !strings.Contains(a.Body, "bad_moment") {
			t.Errorf("%s with no moment: %d %s", path, a.Status, a.Body)
		}
	}
	bid := ""
	change := func(what, code, reason string, want int, state certificate.State) {
		t.Helper()
		if a := m.call(http.MethodPost, at+what, map[string]string{"code": code, "reason": reason, "bid": bid}, nil); a.Status != want || w.held().State() != state {
			t.Errorf("%s: %d %s, now %s", what, a.Status, a.Body, w.held().State())
		}
	}
	m.ok(http.MethodPost, at+"/freeze/code", nil, nil)
	code := w.code(agentMobile)
	change("/freeze", "000000", "", http.StatusUnprocessableEntity, certificate.Valid)
	bid = "none"
	change("/revoke", code, "superseded", http.StatusUnprocessableEntity, certificate.Valid) // a code to freeze revokes nothing
	change("/freeze", code, "", http.StatusNoContent, certificate.Frozen)
	change("/freeze", code, "", http.StatusConflict, certificate.Frozen)
	m.ok(http.MethodPost, at+"/revoke/code", nil, nil)
	code = w.code(agentMobile)
	change("/revoke", code, "", http.StatusUnprocessableEntity, certificate.Frozen)
	change("/revoke", code, "privilegeWithdrawn", http.StatusUnprocessableEntity, certificate.Frozen)
	for _, bid = range []string{"", "yes"} {
		if a := m.call(http.MethodPost, at+"/revoke", map[string]string{"code": code, "reason": "superseded", "bid": bid}, nil); a.Status != http.StatusUnprocessableEntity || !strings.Contains(a.Body, "open_bid_unanswered") {
			t.Errorf("revoked with %q about bids: %d %s", bid, a.Status, a.Body)
		}
	}
	bid = "none"
	change("/revoke", code, "superseded", http.StatusNoContent, certificate.Revoked)
	m.ok(http.MethodGet, "/certificates", nil, &list)
}

// Reliability 16: whatever anybody sends to an operation of the API, it is refused
// or done; the server neither fails nor gives away what is not his.
func FuzzAPI(f *testing.F) {
	w := newWeb(f)
	m := w.mini("m1", "").login(agentMobile2)
	stranger := strings.TrimPrefix(w.browser().paid(), "/orders/")
	draft := strings.TrimPrefix(w.browser().draft(), "/orders/")
	var form FormJSON
	m.ok(http.MethodPost, "/orders", map[string]string{"product": "yd-initial"}, &form)
	routes := slices.Concat(apiRoutes(w.Server, Applicant), apiRoutes(w.Server, Proof), apiRoutes(w.Server, OfLegalRep), apiRoutes(w.Server, Plain))
	for i := range routes {
		f.Add(i, form.Order.ID, `{"fields":{"agent.name":"王小琪","status":"completed"},"lines":[{"quantity":-1}],"term":99}`)
		f.Add(i, draft, `{"code":"123456","mobile":"13800138000","bind":"x","agreements":"","reason":"certificateHold","business":"renewal"}`)
		f.Add(i, "..%2f..", `[`)
	}
	f.Fuzz(func(t *testing.T, n int, id, body string) {
		r := routes[int(uint(n)%uint(len(routes)))]
		path := strings.NewReplacer(":id", url.PathEscape(id), ":serial", url.PathEscape(id), ":ticket", url.PathEscape(id), ":field", url.PathEscape(body)).Replace(strings.TrimPrefix(r.Path, "/api/v1"))
		if strings.HasSuffix(r.Path, "/logout") || len(path) > 2000 {
			return
		}
		phone := &mini{web: &web{Server: w.Server, t: t}, token: m.token}
		before, err := w.db.Order(t.Context(), order.ID(stranger))
		must(t, err)
		a := phone.send(r.Method, path, "application/json", strings.NewReader(body), nil)
		if a.Status >= 500 {
			t.Errorf("%s %s: %d %s", r.Method, r.Path, a.Status, a.Body)
		}
		after, err := w.db.Order(t.Context(), order.ID(stranger))
		must(t, err)
		if strings.Contains(a.Body, stranger) && !strings.Contains(id+body, stranger) || after.Rev != before.Rev {
			t.Errorf("%s %s reached another's order", r.Method, r.Path)
		}
	})
}
