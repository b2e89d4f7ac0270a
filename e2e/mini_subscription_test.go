package e2e

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/e2e/story"
	"github.com/yuncaidun/yuncaidun/provider/sim"
)

// declines has the legal representative of an order decline, which its applicant is told.
func (a *applicant) declines(mobile string) {
	a.t.Helper()
	link := a.linkTo(mobile)
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	req, err := http.NewRequestWithContext(a.t.Context(), http.MethodGet, a.url+link, http.NoBody)
	if err != nil {
		a.t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer resp.Body.Close()
	_, query, _ := strings.Cut(resp.Header.Get("Location"), "pages/auth/index?")
	q, err := url.ParseQuery(query)
	if err != nil || q.Get("ticket") == "" {
		a.t.Fatalf("the link leads to %s: %v", resp.Header.Get("Location"), err)
	}
	at := "/authorizations/" + q.Get("ticket")
	a.call(at+"/open", map[string]any{}, nil)
	a.call(at+"/decline", map[string]string{"reason": "unknown"}, nil)
}

// heard is what tells the applicant: subscription messages of the mini-program, template
// messages of the official account, and text messages about the authorisation.
type heard struct{ mini, account, texts int }

func (a *applicant) heard(openID, mobile string) (n heard) {
	a.t.Helper()
	cards, err := a.world.Cards(a.t.Context())
	if err != nil {
		a.t.Fatal(err)
	}
	sms, err := a.world.SMS(a.t.Context())
	if err != nil {
		a.t.Fatal(err)
	}
	for _, c := range cards {
		switch {
		case c.OpenID != openID:
		case c.Via == "mini_subscription":
			n.mini++
		default:
			n.account++
		}
	}
	for _, m := range sms {
		if m.Mobile == mobile && strings.Contains(m.Text, "法定代表人") {
			n.texts++
		}
	}
	return n
}

// One yes in the mini-program pays for one message: it is delivered there, once, and
// nowhere else in WeChat. Whoever claims a yes that WeChat does not know of (43101) is told by
// the official account. The text message about an order that was refused goes out
// either way.
func TestOneTimeSubscription(t *testing.T) {
	i, world := product(t)
	a := &applicant{t: t, url: i.URL, world: world}
	const openID, mobile = "oDevApplicant00000000000001", "17700007069"
	a.follows(mobile)
	told := func(what string, want heard) {
		t.Helper()
		var have heard
		err := story.Poll(t.Context(), 20*time.Second, func(context.Context) (bool, error) {
			have = a.heard(openID, mobile)
			return have == want, nil
		})
		if err != nil {
			t.Fatalf("%s: %+v, want %+v: %v", what, have, want, err)
		}
	}
	const first, second = "13800000031", "13800000032"
	a.asks(first, nil)
	var may struct{ Notices map[string]string }
	a.call("/subscriptions", nil, &may)
	template := may.Notices["order_progress"]
	if template == "" {
		t.Fatalf("no messages about orders: %v", may.Notices)
	}
	var prompt sim.Subscribed
	if err := world.Call(t.Context(), http.MethodPost, "control/subscribe", map[string]any{"persona": "applicant", "where": "mini", "accept": []string{template}}, &prompt); err != nil {
		t.Fatal(err)
	}
	a.call("/subscriptions", map[string]any{"answers": prompt.Result}, nil)
	before := a.heard(openID, mobile)
	start := before
	a.declines(first)
	told("with a consent", heard{before.mini + 1, before.account, before.texts + 1})

	if err := world.Advance(t.Context(), "61s"); err != nil { // until the next code may be sent
		t.Fatal(err)
	}
	a.asks(second, nil)
	a.call("/subscriptions", map[string]any{"answers": map[string]string{template: "accept"}}, nil)
	before = a.heard(openID, mobile)
	a.declines(second)
	told("with a consent that is none", heard{before.mini, before.account + 1, before.texts + 1})
	if now := a.heard(openID, mobile); now.mini != start.mini+1 {
		t.Errorf("one consent paid for %d messages", now.mini-start.mini)
	}
}

// follows binds the applicant's mobile in the official account's chat.
func (a *applicant) follows(mobile string) {
	a.t.Helper()
	for _, says := range []func() string{func() string { return mobile }, func() string {
		sms, err := a.world.Code(a.t.Context(), mobile, "绑定微信")
		if err != nil {
			a.t.Fatal(err)
		}
		return sms.Params[0]
	}} {
		if _, err := a.world.Chat(a.t.Context(), "applicant", says()); err != nil {
			a.t.Fatal(err)
		}
	}
	if err := a.world.Advance(a.t.Context(), "61s"); err != nil { // until the next code may be sent
		a.t.Fatal(err)
	}
}
