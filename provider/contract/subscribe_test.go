package contract

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/provider/sim"
)

var progress = sim.Template{Title: "订单进度通知", Content: "单号：{{character_string1.DATA}}\n状态：{{phrase2.DATA}}"}

// notifying are the two accounts that send subscription notices.
func (w *world) notifying() map[string]struct {
	openID, template, where, via string
	send                         func(ctx context.Context, openID, templateID, link string, data map[string]string) (string, error)
} {
	type account = struct {
		openID, template, where, via string
		send                         func(ctx context.Context, openID, templateID, link string, data map[string]string) (string, error)
	}
	return map[string]account{
		"official account": {agent, "sub-progress", "account", "subscription", w.account.SendSubscription},
		"mini-program":     {sim.MiniOpenID(sim.Persona{OpenID: agent}), "mini-progress", "mini", "mini_subscription", w.mini.SendSubscription},
	}
}

// Issue 4: a notice needs a consent, each consent is good for one, and WeChat says
// why it took none.
func TestSubscriptionNotices(t *testing.T) {
	good := map[string]string{"character_string1": "YCD1", "phrase2": "已发货"}
	for _, name := range []string{"official account", "mini-program"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			by := w.notifying()[name]
			send := func(openID, template string, data map[string]string) (string, error) {
				return by.send(t.Context(), openID, template, "pages/order/index?id=1", data)
			}
			refused := func(what string, kind order.Kind, code string, openID, template string, data map[string]string) {
				t.Helper()
				_, err := send(openID, template, data)
				refusal, ok := errors.AsType[interface {
					error
					ProviderCode() string
				}](err)
				if !errors.Is(err, kind) || !ok || refusal.ProviderCode() != code {
					t.Errorf("%s: %v", what, err)
				}
			}
			refused("nobody was asked", order.NotFound, "wechat 43101", by.openID, by.template, good)
			ask := func(where string, reject ...string) {
				t.Helper()
				w.control(http.MethodPost, "subscribe", map[string]any{"persona": agent, "where": where, "reject": reject}, nil)
			}
			ask(by.where)
			refused("a field is missing", order.Invalid, "wechat 47003", by.openID, by.template, map[string]string{"phrase2": "已发货"})
			refused("a value is too long", order.Invalid, "wechat 47003", by.openID, by.template, map[string]string{"character_string1": "YCD1", "phrase2": "已经发货了呀"})
			refused("no such template", order.Invalid, "wechat 40037", by.openID, "other", good)
			refused("nobody of this account", order.NotFound, "wechat 40003", "o-nobody", by.template, good)
			first, err := send(by.openID, by.template, good)
			if err != nil || first == "" {
				t.Fatalf("with a consent: %q, %v", first, err)
			}
			refused("the consent is spent", order.NotFound, "wechat 43101", by.openID, by.template, good)
			ask(by.where)
			ask(by.where)
			second, err := send(by.openID, by.template, good)
			if err != nil || second == "" || second == first {
				t.Errorf("two more, one used: %q, %v", second, err)
			}
			if by.where == "account" {
				ask("settings")
				refused("refused in the settings", order.NotFound, "wechat 43101", by.openID, by.template, good)
			}
			var notices []sim.TemplateMessage
			w.control(http.MethodGet, "templates?persona="+agent, nil, &notices)
			if len(notices) != 2 || notices[0].Via != by.via || notices[0].OpenID != agent || notices[0].Card.Lines[1].Value != "已发货" {
				t.Errorf("notices %+v", notices)
			}
		})
	}
}
