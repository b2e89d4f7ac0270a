package handlers

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store/session"
)

// Who binds another WeChat to his mobile stays where he did so; his other logins end.
func TestBindingKeepsTheLoginThatBinds(t *testing.T) {
	w := newWeb(t)
	old := w.mini("m1", "").login(agentMobile)
	b := w.browser()
	b.login(agentMobile)
	w.clock.advance(time.Minute)
	m := w.mini("m2", "").login(agentMobile)
	p, err := w.db.PersonByWeChat(t.Context(), "wxmini", "m2")
	must(t, err)
	bound, err := w.db.WeChats(t.Context(), p.ID)
	must(t, err)
	for _, kind := range []session.Kind{session.Applicant, session.Mini} { // as the job does, after the answer
		must(t, w.Sessions.(*session.Sessions).DeleteBefore(t.Context(), kind, p.ID, bound[0].UpdatedAt))
	}
	if a := m.call(http.MethodGet, "/me", nil, nil); a.Status != http.StatusOK {
		t.Errorf("the one that binds: %d", a.Status)
	}
	if a := old.call(http.MethodGet, "/me", nil, nil); a.Status != http.StatusUnauthorized {
		t.Errorf("the WeChat of before: %d", a.Status)
	}
	if a := b.get("/me"); a.Status != http.StatusSeeOther {
		t.Errorf("another browser: %d", a.Status)
	}
}

// Whoever is bound sees where, and ends it: in 个人中心, or in the mini-program.
func TestUnbinding(t *testing.T) {
	for name, unbind := range map[string]func(w *web, m *mini){
		"portal": func(w *web, _ *mini) {
			b := w.browser()
			b.login(agentMobile)
			page := b.get("/me")
			if !strings.Contains(page.Body, "小程序") || !strings.Contains(page.Body, "解除微信绑定") {
				t.Errorf("个人中心 does not show the binding: %s", page.Body)
			}
			if a := b.post("/me/unbind", nil); a.Status != http.StatusSeeOther {
				t.Errorf("unbind: %d", a.Status)
			}
		},
		"mini-program": func(_ *web, m *mini) { m.ok(http.MethodPost, "/me/unbind", nil, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWeb(t)
			m := w.mini("m1", "u1").login(agentMobile)
			unbind(w, m)
			if _, err := w.db.PersonByWeChat(t.Context(), "wxmini", "m1"); !errors.Is(err, order.NotFound) {
				t.Errorf("still bound: %v", err)
			}
			if at := m.begin(); at.Token != "" {
				t.Error("the mini-program logs in without a mobile")
			}
		})
	}
}
