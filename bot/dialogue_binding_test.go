package bot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

// Rule 2: nothing of an order reaches somebody unbound, whatever is asked.
func TestUnboundLearnsNothing(t *testing.T) {
	c := newChat(t)
	o := anOrder(c.bind("o-other", colleague), 1, order.Rejected, order.Fixable)
	o.Reasons = []order.Reason{{Code: "R03"}}
	c.insert(o)
	for _, text := range []string{o.No, "尾号0101", "为什么被拒绝", "快递到哪了", "1", "我的订单", "待办", "驳回0101", "我手机" + colleague + "下的单现在啥状态"} {
		got := c.says("o-stranger", text)
		for _, fact := range []string{"运达", "审核拒绝", "R03", string(o.ID)} {
			if strings.Contains(got, fact) {
				t.Errorf("%q told %q: %s", text, fact, got)
			}
		}
	}
}

// A code works once, for the openid that asked, within 60 s (F55, F57); typed at
// any other time six digits are not a code.
func TestBindingCode(t *testing.T) {
	c := newChat(t)
	c.says("o-a", "绑定 "+applicant)
	code := c.sms[0]
	bound := func(openid string) bool {
		_, err := c.db.PersonByWeChat(t.Context(), testAccount.AppID, openid)
		return err == nil
	}
	if c.says("o-b", code); bound("o-b") {
		t.Error("somebody else's openid was bound")
	}
	if got := c.says("o-a", applicant); !strings.Contains(got, "太频繁") {
		t.Errorf("a second code at once: %s", got)
	}
	c.clock.set(c.clock.Now().Add(61 * time.Second))
	if c.says("o-a", code); bound("o-a") {
		t.Error("an expired code was taken")
	}
	c.says("o-a", "绑定 "+applicant)
	for range 5 {
		c.says("o-a", "000000")
	}
	if c.says("o-a", c.sms[1]); bound("o-a") {
		t.Error("a code was taken after five wrong guesses")
	}
	c.clock.set(c.clock.Now().Add(2 * time.Minute))
	c.says("o-a", "绑定 "+applicant)
	if c.says("o-a", c.sms[2]); !bound("o-a") {
		t.Error("the right code was not taken")
	}
	if got := c.says("o-a", c.sms[2]); strings.Contains(got, "已绑定") {
		t.Errorf("the code worked twice: %s", got)
	}
}

// Reliability 18: one follower cannot have us send codes to one mobile after another.
func TestBindingManyMobiles(t *testing.T) {
	c := newChat(t)
	for n := range 20 {
		c.says("o-a", fmt.Sprintf("绑定 177123470%02d", n))
	}
	if got := c.says("o-a", "绑定 17712347020"); len(c.sms) != 20 || !strings.Contains(got, "太频繁") {
		t.Errorf("%d codes in an hour: %s", len(c.sms), got)
	}
	if c.says("o-b", "绑定 17712347020"); len(c.sms) != 21 {
		t.Error("somebody else is refused, too")
	}
}

// Whoever has bound another WeChat to his mobile is told things there, whatever becomes
// of the one of before.
func TestBoundLastIsTold(t *testing.T) {
	for name, events := range map[string][][2]string{
		"nothing happens":                   nil,
		"the old one follows again":         {{"o-old", EventSubscribe}},
		"the old one left and follows":      {{"o-old", EventUnsubscribe}, {"o-old", EventSubscribe}},
		"the new one left":                  {{"o-new", EventUnsubscribe}},
		"the new one left, the old follows": {{"o-new", EventUnsubscribe}, {"o-old", EventSubscribe}},
	} {
		t.Run(name, func(t *testing.T) {
			c := newChat(t)
			p := c.bind("o-old", applicant)
			c.clock.set(c.clock.Now().Add(2 * time.Minute))
			c.bind("o-new", applicant)
			reachable := true
			for _, e := range events {
				c.clock.set(c.clock.Now().Add(time.Minute))
				c.event(e[0], e[1], "")
				if e[0] == "o-new" {
					reachable = e[1] == EventSubscribe
				}
			}
			w, err := c.db.WeChatOf(t.Context(), testAccount.AppID, p.ID)
			c.must(err)
			if w.OpenID != "o-new" || w.Subscribed != reachable {
				t.Errorf("told on %s, following %v", w.OpenID, w.Subscribed)
			}
		})
	}
}

func TestMenuAndFollowers(t *testing.T) {
	c := newChat(t)
	if got := c.event("o-a", EventSubscribe, ""); got != textWelcome {
		t.Errorf("subscribe: %s", got)
	}
	if got := c.event("o-a", EventClick, MenuOrders); got != textBindingCard {
		t.Errorf("orders: %s", got)
	}
	p := c.bind("o-a", applicant)
	o := anOrder(p, 1, order.AwaitingPayment, order.NoStage)
	c.insert(o)
	for key, want := range map[string]string{
		MenuOrders: "待支付", MenuShipping: "待支付", MenuHuman: "400-666-3999", MenuTodo: "/orders/01JORDER01/pay", "gone": "这个我还不会",
	} {
		if got := c.event("o-a", EventClick, key); !strings.Contains(got, want) {
			t.Errorf("%s: %s", key, got)
		}
	}
	if got := c.event("o-a", EventSubscribe, "qrscene_1"); got != textWelcomeBack {
		t.Errorf("subscribe again: %s", got)
	}
	subscribed := func() bool {
		w, err := c.db.WeChatOf(t.Context(), testAccount.AppID, p.ID)
		c.must(err)
		return w.Subscribed
	}
	if c.event("o-a", EventUnsubscribe, ""); subscribed() {
		t.Error("still subscribed")
	}
	if c.event("o-a", EventSubscribe, ""); !subscribed() {
		t.Error("not subscribed again")
	}
	if got := c.event("o-stranger", EventUnsubscribe, ""); got != "" {
		t.Errorf("unsubscribe: %q", got)
	}
}

// Flows 4.3: three columns of five entries, of which each does one thing, with and without
// a mini-program; staff have their desk in the place of the first.
func TestMenuThreeByFive(t *testing.T) {
	progress, help := "查进度: 我的订单 我的证书 物流查询 我的发票 待我处理", "帮助: 常见问题 驱动与检测 换绑与变更 挂失冻结 人工客服"
	for _, mini := range []bool{false, true} {
		m := Menus{PublicURL: "https://ycd.example", MiniProgram: mini}
		for first, menu := range map[string][]Button{
			"办业务: 新办证书 更新续期 解锁重设 丢失补办 法人授权": m.Common(), "审核台: 待办列表 超时任务 制证任务 今日统计 免打扰": m.Staff(),
		} {
			var have []string
			for _, column := range menu {
				names := column.Name + ":"
				for _, b := range column.Sub {
					if (b.Key == "") == (b.URL == "") || b.Page != "" && b.URL == "" || !mini && b.Page != "" {
						t.Errorf("entry %+v", b)
					}
					names += " " + b.Name
				}
				have = append(have, names)
			}
			if want := []string{first, progress, help}; !slices.Equal(have, want) {
				t.Errorf("menu %q, want %q", have, want)
			}
		}
	}
}

// F25: whom the mini-program knows by the same union id need not prove his mobile in
// the chat; WeChat is asked now and then, and what it does not tell stops nobody.
func TestUnionIDJoinsAccounts(t *testing.T) {
	c := newChat(t)
	asked, answer := 0, func() (string, error) { return "u-1", nil }
	c.dialogue.binding.union = func(ctx context.Context, openid string) (string, error) {
		asked++
		if openid != "o-user" {
			return "", errors.New("who?")
		}
		if _, limited := ctx.Deadline(); !limited {
			t.Error("the answer is waited for without end")
		}
		return answer()
	}
	known := func(openid string) (order.Person, error) {
		return c.db.PersonByWeChat(t.Context(), testAccount.AppID, openid)
	}
	if got := c.says("o-user", "我的订单到哪一步了"); !strings.Contains(got, "手机号") {
		t.Errorf("nobody knows the union id: %s", got)
	}
	c.says("o-user", "我的订单到哪一步了")
	c.says("o-other", "我的订单到哪一步了") // WeChat fails
	if asked != 2 {
		t.Errorf("WeChat was asked %d times, want once for each", asked)
	}
	var p order.Person
	c.must(c.db.InTx(t.Context(), func(tx order.Tx) (err error) {
		if p, err = tx.PersonByMobile(t.Context(), order.Person{ID: "mini-person", Mobile: identity.NewMobile("13800138000"), CreatedAt: talkTime}); err != nil {
			return err
		}
		return tx.LinkWeChat(t.Context(), order.WeChatIdentity{AppID: "wx-mini", OpenID: "m-user", UnionID: "u-1", PersonID: p.ID, Subscribed: true, UpdatedAt: talkTime})
	}))
	c.clock.set(talkTime.Add(unionTTL + time.Second))
	if got := c.says("o-user", "我的订单到哪一步了"); strings.Contains(got, "手机号") {
		t.Errorf("known by the mini-program: %s", got)
	}
	if got, err := known("o-user"); err != nil || got.ID != p.ID {
		t.Errorf("bound to %q, %v", got.ID, err)
	}
	if w, err := c.db.WeChatOf(t.Context(), testAccount.AppID, p.ID); err != nil || w.UnionID != "u-1" || !w.Subscribed {
		t.Errorf("kept %+v, %v", w, err)
	}
	if _, err := known("o-other"); !errors.Is(err, order.NotFound) {
		t.Errorf("the other is bound: %v", err)
	}
	answer = func() (string, error) { t.Error("asked about who is bound"); return "", nil }
	c.says("o-user", "你好")
}

// F70, F92: what waits for the applicant is named with the one step that he has to take;
// an order that was closed says why.
func TestOrdersThatWaitForTheirOwner(t *testing.T) {
	for _, test := range []struct {
		business order.Business
		state    order.State
		want     string
	}{
		{order.Renewal, order.State{Status: order.ToRenew, Stage: order.Ready}, `/orders/01JORDER01/run">更新</a>`},
		{order.Initial, order.State{Status: order.ToDownload, Stage: order.Ready}, `/orders/01JORDER01/run">下载证书</a>`},
		{order.UnlockApproval, order.State{Status: order.ToUnlock}, `/orders/01JORDER01/unlock">解锁</a>`},
		{order.Resume, order.State{Status: order.ToRestore}, `/orders/01JORDER01/restore">恢复</a>`},
		{order.Initial, order.State{Status: order.ToShip, Stage: order.ToPost}, textNothingToDo},
		{order.Initial, order.State{Status: order.InReview, Stage: order.Queued}, textNothingToDo},
	} {
		c := newChat(t)
		o := anOrder(c.bind("o-a", applicant), 1, test.state.Status, test.state.Stage)
		o.Business = test.business
		c.insert(o)
		if got := c.event("o-a", EventClick, MenuTodo); !strings.Contains(got, test.want) {
			t.Errorf("%s: %s", test.state, got)
		}
	}
	c := newChat(t)
	o := anOrder(c.bind("o-a", applicant), 1, order.Rejected, order.Closed)
	o.Reasons = []order.Reason{{Code: "R20", Note: "证书已吊销"}}
	c.insert(o)
	if got := c.says("o-a", "我的订单"+order.TailOf(o.No)+"怎么样了"); !strings.Contains(got, "原因：证书已吊销") {
		t.Errorf("closed: %s", got)
	}
}

// Rule 6: six digits are a code for a minute; afterwards nobody waits for them, and they are
// no try at anything.
func TestCodeAfterItsMinute(t *testing.T) {
	c := newChat(t)
	c.says("o-a", "绑定"+applicant)
	c.clock.set(c.clock.Now().Add(61 * time.Second))
	if got := c.says("o-a", c.sms[0]); !strings.HasPrefix(got, leakWarnings["code"]) {
		t.Error(got)
	}
}
