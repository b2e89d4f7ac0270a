package handlers

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

const boundKey = "TW00000000000001"

// counter plays the service behind the pages: one USBKEY, bound to a person.
type counter struct {
	unlockService
	person string
	refuse error
	ticket certificate.Ticket
}

func (u *counter) Lookup(_ context.Context, serial string) (certificate.Subject, error) {
	if serial != boundKey {
		return certificate.Subject{}, certificate.NotFound()
	}
	c := certificate.Certificate{Serial: strings.Repeat("0A", 20), TokenSerial: boundKey, Holder: "云岭公司", PersonID: u.person}
	return certificate.Subject{Certificate: c, Self: order.Product{Code: "s"}, Approval: order.Product{Code: "a", Name: "审批解锁"}}, nil
}

func (u *counter) BeginSelf(context.Context, certificate.Subject, order.Actor) (certificate.Ticket, string, error) {
	return u.ticket, "the-secret", u.refuse
}

func (u *counter) CodeFor(_ context.Context, _ certificate.Subject, _ string, _ order.Actor) (string, error) {
	return "ABCDEFGHIJKLMNOPQR", u.refuse
}

func (u *counter) CodeForApproved(_ context.Context, _ order.Order, _ string, _ order.Actor) (string, error) {
	return "ABCDEFGHIJKLMNOPQR", u.refuse
}

func (u *counter) Of(ctx context.Context, _ order.Order) (certificate.Certificate, error) {
	s, err := u.Lookup(ctx, boundKey)
	return s.Certificate, err
}

func (u *counter) Watch(_ context.Context, id string) (certificate.Ticket, error) {
	if id != u.ticket.ID {
		return certificate.Ticket{}, order.Errorf(order.NotFound, "ticket_gone", "办理凭证已失效")
	}
	return u.ticket, nil
}

func (w *web) counter(mobile string) *counter {
	w.t.Helper()
	p, err := w.personByMobile(w.t.Context(), identity.NewMobile(mobile))
	if err != nil {
		w.t.Fatal(err)
	}
	u := &counter{person: p.ID, ticket: certificate.Ticket{ID: "01TICKET", TokenSerial: boundKey, State: certificate.TicketOpen, Step: certificate.StepWrite, ExpiresAt: w.clock.now().Add(time.Hour)}}
	w.Unlocks, w.HelperURL = u, "http://127.0.0.1:27180"
	return u
}

var changing = regexp.MustCompile(`name="_csrf" value="[^"]+"|X-CSRF-Token":"[^"]+"|TW\d{14}`)

// G19: to whoever has no code, a serial number that exists answers exactly like
// one that does not; only the bound mobile hears of it.
func TestUnlockTellsNobody(t *testing.T) {
	w := newWeb(t)
	w.counter("13900139000")
	answers := func(serial string) (out []string) {
		b := w.browser()
		b.get("/unlock")
		for range 2 { // the second time is too soon, for either
			out = append(out, b.post("/unlock/sms", url.Values{"serial": {serial}}).Body)
		}
		for _, path := range []string{"/unlock", "/unlock/code"} {
			out = append(out, b.post(path, url.Values{"serial": {serial}, "code": {"000000"}, "challenge": {"0ABCDEFG"}}).Body)
		}
		for i := range out {
			out[i] = changing.ReplaceAllString(out[i], "…")
		}
		return out
	}
	known, unknown := answers(boundKey), answers("TW99999999999999")
	w.behind.Wait()
	for i := range known {
		if known[i] != unknown[i] {
			t.Errorf("answer %d differs:\n%s\n---\n%s", i, known[i], unknown[i])
		}
	}
	if !strings.Contains(known[0], "已发送") || !strings.Contains(known[1], "操作太频繁") {
		t.Errorf("%q, then %q", known[0], known[1])
	}
	if w.code("13900139000") == "" || len(w.sent) != 1 {
		t.Errorf("codes went to %d mobiles, want the bound one", len(w.sent))
	}
	b := w.browser()
	b.get("/unlock")
	if got := b.post("/unlock/sms", url.Values{"serial": {"12345"}}); !strings.Contains(got.Body, "TW 加 14 位数字") {
		t.Error("what is no serial number is not explained")
	}
}

// Who knows a serial number, which is printed on the USBKEY, uses up its codes without
// a login; whom it belongs to logs in and unlocks it.
func TestStrangersKeepNobodyFromUnlocking(t *testing.T) {
	w := newWeb(t)
	w.counter(agentMobile)
	owner, stranger := w.browser(), w.browser()
	owner.login(agentMobile)
	ask := func(b *browser) string {
		b.get("/unlock")
		said := b.post("/unlock/sms", url.Values{"serial": {boundKey}}).Body
		w.behind.Wait()
		return said
	}
	for range 10 {
		ask(stranger)
		owner.get("/orders") // stays logged in
		w.clock.advance(13 * time.Minute)
	}
	if said := ask(stranger); !strings.Contains(said, "操作太频繁") {
		t.Fatalf("the stranger goes on: %s", said)
	}
	clear(w.sent)
	if said := ask(owner); !strings.Contains(said, "已发送") || w.code(agentMobile) == "" {
		t.Fatalf("the holder: %s", said)
	}
	code := url.Values{"serial": {boundKey}, "code": {w.code(agentMobile)}}
	stranger.get("/unlock")
	if a := stranger.post("/unlock", code); a.Status != http.StatusUnprocessableEntity {
		t.Errorf("his code in another's hands: %d", a.Status)
	}
	if a := owner.post("/unlock", code); a.Status != http.StatusOK || !strings.Contains(a.Body, `data-secret="the-secret"`) {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

// F78: the right code leads to the page that talks to the helper, which alone may
// connect to this PC; F86: a refusal names the other way.
func TestUnlockPages(t *testing.T) {
	w := newWeb(t)
	u := w.counter("13900139000")
	b := w.browser()
	prove := func(path string) answer {
		w.clock.advance(2 * time.Minute)
		b.get("/unlock")
		b.post("/unlock/sms", url.Values{"serial": {" tw0000 0000 0000 01 "}})
		w.behind.Wait()
		return b.post(path, url.Values{"serial": {boundKey}, "code": {w.code("13900139000")}, "challenge": {"0abc-defg"}})
	}
	run := prove("/unlock")
	if run.Status != http.StatusOK || !strings.Contains(run.Body, `data-secret="the-secret"`) || !strings.Contains(run.Body, "不要拔出") {
		t.Fatalf("%d\n%s", run.Status, run.Body)
	}
	if csp := run.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "connect-src 'self' "+w.HelperURL+";") {
		t.Errorf("policy %q", csp)
	}
	if csp := b.get("/unlock").Header.Get("Content-Security-Policy"); strings.Contains(csp, "127.0.0.1") {
		t.Errorf("another page may connect to this PC: %q", csp)
	}
	if got := prove("/unlock/code"); !strings.Contains(got.Body, "<span>ABCD</span>") || got.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d\n%s", got.Status, got.Body)
	}
	u.refuse = order.Errorf(order.RateLimited, "unlocks_used_up", "次数已用完")
	if got := prove("/unlock"); got.Status != http.StatusUnprocessableEntity || !strings.Contains(got.Body, "次数已用完") || !strings.Contains(got.Body, "审批解锁") {
		t.Errorf("%d\n%s", got.Status, got.Body)
	}
}

// Row 56: who was approved and has no network at his PC gets a response to its challenge, and
// another one if that did not fit; nobody else does.
func TestApprovedUnlockByCode(t *testing.T) {
	w := newWeb(t)
	u := w.counter(agentMobile)
	o := order.Order{State: order.State{Status: order.ToUnlock}}
	w.posted(1, w.clock.now(), w.clock.now(), func(n *order.Order) {
		n.ID, n.PersonID, n.Business, n.State, n.ApprovedAt = "01APPROVED", u.person, order.UnlockApproval, o.State, w.clock.now()
		o = *n
	})
	const page = "/orders/01APPROVED/unlock/code"
	b := w.browser()
	if a := b.get(page); a.Status == http.StatusOK {
		t.Fatalf("a stranger: %d", a.Status)
	}
	b.login(agentMobile)
	wantIn(t, "online", b.get("/orders/01APPROVED/unlock").Body, page)
	wantIn(t, "offline", b.get(page).Body, "挑战码", boundKey, "直接在线解锁")
	if a := b.post(page, url.Values{"challenge": {"0ABC"}}); a.Status != http.StatusUnprocessableEntity {
		t.Errorf("half a challenge: %d", a.Status)
	}
	got := b.post(page, url.Values{"challenge": {"0abc-defg"}})
	wantIn(t, "response", got.Body, "<span>ABCD</span>", "0ABC-DEFG", `href="`+page+`"`)
	if got.Header.Get("Cache-Control") != "no-store" {
		t.Error("the response may be kept")
	}
	u.refuse = order.Errorf(order.Invalid, "challenge_unknown", "挑战码与该 UKEY 不符")
	b.get(page)
	if a := b.post(page, url.Values{"challenge": {"0ABCDEFG"}}); a.Status != http.StatusUnprocessableEntity || !strings.Contains(a.Body, "挑战码与该 UKEY 不符") || !strings.Contains(a.Body, `value="0ABCDEFG"`) {
		t.Errorf("another USBKEY's challenge: %d", a.Status)
	}
	must(t, w.db.InTx(t.Context(), func(tx order.Tx) error {
		was, err := tx.Order(t.Context(), o.ID)
		if err != nil {
			return err
		}
		done := was
		done.Rev++
		done.State = order.State{Status: order.Completed}
		return tx.UpdateOrder(t.Context(), done, was)
	}))
	if a := b.get(page); a.location() != "/orders/01APPROVED" {
		t.Errorf("with the helper: %d %s", a.Status, a.location())
	}
	wantNotIn(t, "the order's page", b.get("/orders/01APPROVED").Body, page)
	must(t, w.db.InTx(t.Context(), func(tx order.Tx) error {
		return tx.AppendEvent(t.Context(), order.EventRecord{OrderID: o.ID, Seq: 2, Event: order.CodeGiven, From: o.State, To: order.State{Status: order.Completed}, Role: order.Applicant, Channel: order.Web, At: w.clock.now()})
	}))
	wantIn(t, "the order's page", b.get("/orders/01APPROVED").Body, page)
	wantIn(t, "once more", b.get(page).Body, "取得响应码")
}

// The page that watches sees how far the helper is, and a failure in plain words.
func TestUnlockProgress(t *testing.T) {
	w := newWeb(t)
	u := w.counter("13900139000")
	b := w.browser()
	progress := func() (p progressView) {
		if err := json.Unmarshal([]byte(b.get("/unlock/progress/01TICKET").Body), &p); err != nil {
			t.Fatal(err)
		}
		return p
	}
	if p := progress(); p.State != certificate.TicketOpen || p.Step != certificate.StepWrite || p.Detail != "" {
		t.Errorf("%+v", p)
	}
	u.ticket.State, u.ticket.Failure = certificate.TicketFailed, "so_pin_locked"
	if p := progress(); p.State != certificate.TicketFailed || !strings.Contains(p.Detail, "补办") {
		t.Errorf("%+v", p)
	}
	u.ticket.State, u.ticket.Failure, u.ticket.ExpiresAt = certificate.TicketOpen, "", w.clock.now()
	if p := progress(); p.State != certificate.TicketFailed || p.Detail == "" {
		t.Errorf("expired: %+v", p)
	}
	u.ticket.State = certificate.TicketReplaced
	if p := progress(); p.State != certificate.TicketReplaced || !strings.Contains(p.Detail, "另一个窗口") {
		t.Errorf("begun again in another window: %+v", p)
	}
	w.posted(1, w.clock.now(), w.clock.now(), func(o *order.Order) {
		o.ID, o.PersonID, o.State = "01APPROVED", u.person, order.State{Status: order.Completed}
	})
	if u.ticket.OrderID = "01APPROVED"; progress().State != certificate.TicketDone {
		t.Errorf("done in another window: %+v", progress())
	}
	if got := b.get("/unlock/progress/01OTHER"); got.Status != http.StatusNotFound {
		t.Errorf("another ticket: %d", got.Status)
	}
}

// A helper without a ticket is told in JSON that it has none.
func TestHelperNeedsATicket(t *testing.T) {
	w := newWeb(t)
	w.counter("13900139000")
	for _, path := range []string{"open", "step", "fail", "unlock/secret", "unlock/report"} {
		for _, header := range []string{"", "Bearer x", "Ticket ", "Ticket " + strings.Repeat("x", 65)} {
			req := httptest.NewRequest(http.MethodPost, "/helper/v1/"+path, strings.NewReader("{}"))
			req.Header.Set("Content-Type", "application/json")
			if header != "" {
				req.Header.Set("Authorization", header)
			}
			resp, err := w.App.Test(req)
			if err != nil {
				t.Fatal(err)
			}
			var p Problem
			if err := json.NewDecoder(resp.Body).Decode(&p); err != nil || resp.StatusCode != http.StatusNotFound || p.Code != "ticket_gone" {
				t.Errorf("%s with %q: %d, %+v, %v", path, header, resp.StatusCode, p, err)
			}
			resp.Body.Close()
		}
	}
}
