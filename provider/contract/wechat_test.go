package contract

import (
	"errors"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/provider/sim"
	"github.com/yuncaidun/yuncaidun/provider/wechat"
)

const cardID = "01JD8ZK3V0Q4M6Y2T9R7W5X1AB"

// card is one call of SendTemplate.
type card struct{ id, openID, templateID string }

var task = card{cardID, "oReviewer", "tpl-review"}

func (w *world) send(c card) (string, error) {
	return w.account.SendTemplate(w.t.Context(), c.id, c.openID, c.templateID, w.product.URL+"/staff/review/1",
		map[string]string{"character_string1": "YCD20261123000001", "phrase2": "待审核"})
}

func (w *world) cards() []sim.TemplateMessage {
	w.t.Helper()
	var cards []sim.TemplateMessage
	w.control(http.MethodGet, "templates?persona=reviewer", nil, &cards)
	return cards
}

func TestTaskCardArrivesOnce(t *testing.T) {
	w := newWorld(t)
	first, err := w.send(task)
	if err != nil {
		t.Fatal(err)
	}
	again, err := w.send(task)
	if err != nil || again != first {
		t.Errorf("repeated: %s and %s, %v", first, again, err)
	}
	cards := w.cards()
	if len(cards) != 1 || cards[0].Data["phrase2"] != "待审核" || cards[0].ClientMsgID != task.id {
		t.Errorf("cards: %+v", cards)
	}
}

// The card went out and the answer was lost: sending again is harmless.
func TestLostAnswerDoesNotDoubleTheCard(t *testing.T) {
	w := newWorld(t)
	w.fault(sim.Fault{Family: "template", After: true})
	if _, err := w.send(task); !errors.Is(err, order.Unavailable) {
		t.Errorf("error = %v", err)
	}
	if _, err := w.send(task); err != nil {
		t.Error(err)
	}
	if cards := w.cards(); len(cards) != 1 {
		t.Errorf("cards: %+v", cards)
	}
}

// The cache still holds a token that WeChat has let expire.
func TestExpiredTokenIsReplaced(t *testing.T) {
	w := newWorld(t)
	if _, err := w.send(task); err != nil {
		t.Fatal(err)
	}
	w.sim.Advance(3 * time.Hour)
	next := task
	next.id = "01JD8ZK3V0Q4M6Y2T9R7W5X1CD"
	if _, err := w.send(next); err != nil {
		t.Errorf("error = %v", err)
	}
	if cards := w.cards(); len(cards) != 2 {
		t.Errorf("cards: %+v", cards)
	}
}

func TestTemplateErrors(t *testing.T) {
	tests := map[string]struct {
		before func(w *world, m *card)
		want   string
	}{
		"not a follower": {func(w *world, _ *card) {
			w.control("POST", "unfollow", map[string]string{"persona": "reviewer"}, nil)
		}, "not_found/wechat_unreachable"},
		"nobody":            {func(_ *world, m *card) { m.openID = "oNobody" }, "not_found/wechat_unreachable"},
		"unknown template":  {func(_ *world, m *card) { m.templateID = "tpl-x" }, "invalid/wechat_message"},
		"system busy":       {func(w *world, _ *card) { w.fault(sim.Fault{Family: "template", Code: "-1"}) }, "unavailable/wechat_unavailable"},
		"quota used up":     {func(w *world, _ *card) { w.fault(sim.Fault{Family: "template", Code: "45009"}) }, "rate_limited/wechat_quota"},
		"proxy error":       {func(w *world, _ *card) { w.fault(sim.Fault{Family: "template", Status: 502}) }, "unavailable/wechat_unavailable"},
		"no token":          {func(w *world, _ *card) { w.fault(sim.Fault{Family: "token", Code: "-1"}) }, "unavailable/wechat_unavailable"},
		"token refused one": {func(w *world, _ *card) { w.fault(sim.Fault{Family: "template", Code: "40001"}) }, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			m := task
			tt.before(w, &m)
			if _, err := w.send(m); problem(err) != tt.want {
				t.Errorf("error = %v, want %q", err, tt.want)
			}
		})
	}
}

func TestServiceTextNeedsAnOpenWindow(t *testing.T) {
	w := newWorld(t)
	w.sim.Advance(72 * time.Hour) // past whatever following opened
	if err := w.account.SendText(t.Context(), agent, "您好"); problem(err) != "not_found/wechat_unreachable" {
		t.Errorf("nobody spoke: %v", err)
	}
	w.control(http.MethodPost, "chat", map[string]string{"persona": agent, "text": "人工"}, nil)
	if err := w.account.SendText(t.Context(), agent, "您好"); err != nil {
		t.Errorf("after a message: %v", err)
	}
	var chat []sim.ChatMessage
	w.control(http.MethodGet, "chat?persona="+agent, nil, &chat)
	if len(chat) < 2 || chat[len(chat)-1].Text != "您好" {
		t.Errorf("chat: %+v", chat)
	}
}

// authorize plays the browser of a persona and returns what WeChat adds.
func (w *world) authorize(state, persona string) url.Values {
	w.t.Helper()
	address := must(url.Parse(w.account.AuthorizeURL(w.product.URL+"/staff/login?next=%2Fa", state)))
	address.RawQuery += "&persona=" + persona
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(must(http.NewRequestWithContext(w.t.Context(), http.MethodGet, address.String(), http.NoBody)))
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	back, err := resp.Location()
	if err != nil {
		w.t.Fatalf("%s: %v", resp.Status, err)
	}
	return back.Query()
}

func TestLoginByOAuth(t *testing.T) {
	w := newWorld(t)
	const state = "a-b_c.d~&appid=x"
	back := w.authorize(state, agent)
	if back.Get("state") != state || back.Get("next") != "/a" {
		t.Errorf("returned with %v", back)
	}
	if union, err := w.account.UnionID(t.Context(), agent); err != nil || union != "uAgent" {
		t.Errorf("union id %q, %v", union, err)
	}
	if _, err := w.account.UnionID(t.Context(), "oNobody"); err == nil {
		t.Error("a stranger has a union id")
	}
	openID, _, err := w.account.Follower(t.Context(), back.Get("code"))
	if err != nil || openID != agent {
		t.Errorf("login = %q, %v", openID, err)
	}
	if _, _, err := w.account.Follower(t.Context(), back.Get("code")); problem(err) != "unauthenticated/wechat_code" {
		t.Errorf("used twice: %v", err)
	}
	if _, _, err := w.account.Follower(t.Context(), "0123456789abcdef"); problem(err) != "unauthenticated/wechat_code" {
		t.Errorf("invented: %v", err)
	}
	late := w.authorize(state, agent).Get("code")
	w.sim.Advance(10 * time.Minute)
	if _, _, err := w.account.Follower(t.Context(), late); problem(err) != "unauthenticated/wechat_code" {
		t.Errorf("late: %v", err)
	}
}

func TestQRCodeIsScanned(t *testing.T) {
	w := newWorld(t)
	qr, err := w.account.QRCode(t.Context(), "bind:1", 10*time.Minute)
	if err != nil || qr.Lives != 10*time.Minute {
		t.Fatalf("qr = %+v, %v", qr, err)
	}
	w.control(http.MethodPost, "scan", map[string]string{"persona": agent, "url": qr.Content}, nil)
	resp, err := http.DefaultClient.Do(must(http.NewRequestWithContext(t.Context(), http.MethodGet, qr.ImageURL, http.NoBody)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("image: %s", resp.Status)
	}
}

func TestMenuIsShown(t *testing.T) {
	w := newWorld(t)
	if err := w.account.SetMenu(t.Context(), []wechat.Button{
		{Name: "我的订单", Key: "order_status"},
		{Name: "办理", Sub: []wechat.Button{{Name: "初购", URL: w.product.URL + "/?a=1&b=2"}}},
	}); err != nil {
		t.Fatal(err)
	}
	var personas []sim.PersonaView
	w.control(http.MethodGet, "personas", nil, &personas)
	if b := personas[0].Menu.Buttons; len(b) != 2 || b[0].Name != "我的订单" {
		t.Errorf("menu: %+v", personas[0].Menu)
	}
}
