package bot

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

// Whoever has bound another WeChat since, or no longer wants to be bound, is asked for a
// mobile again before anything is told.
func TestBindingEnds(t *testing.T) {
	c := newChat(t)
	p := c.bind("o-old", applicant)
	c.insert(anOrder(p, 1, order.AwaitingPayment, order.NoStage))
	c.clock.set(c.clock.Now().Add(2 * time.Minute))
	c.bind("o-new", applicant)
	if got := c.says("o-old", "我的订单"); got != textBindingCard {
		t.Errorf("the WeChat of before hears %s", got)
	}
	if got := c.says("o-new", "我的订单"); !strings.Contains(got, "待支付") {
		t.Errorf("the new one hears %s", got)
	}
	for _, words := range []string{"解绑", "我要解绑微信", "微信怎么解绑", "解除绑定。", "把我的微信解绑"} {
		if got := c.says("o-new", words); !strings.Contains(got, "确认解绑") {
			t.Errorf("%s: %s", words, got)
		}
	}
	for _, words := range []string{"确认解绑？", "确认怎么解绑"} { // questions, no confirmation
		if got := c.says("o-new", words); got == textUnbound {
			t.Errorf("%s: %s", words, got)
		}
	}
	if got := c.says("o-new", "我的订单"); !strings.Contains(got, "待支付") {
		t.Errorf("asking ended the binding: %s", got)
	}
	if got := c.says("o-new", "确认解绑"); got != textUnbound {
		t.Errorf("confirmed: %s", got)
	}
	if got := c.says("o-new", "我的订单"); got != textBindingCard {
		t.Errorf("unbound: %s", got)
	}
	if _, err := c.db.PersonByWeChat(t.Context(), testAccount.AppID, "o-new"); !errors.Is(err, order.NotFound) {
		t.Errorf("still bound: %v", err)
	}
	if got := c.says("o-new", "解绑"); got != textNotBound {
		t.Errorf("nobody: %s", got)
	}
}
