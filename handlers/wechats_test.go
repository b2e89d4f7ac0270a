package handlers

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/yuncaidun/yuncaidun/order"
)

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
