package handlers

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

// F11, F12: the bar of who is logged in names him, and what it leads to is there.
func TestAccountPages(t *testing.T) {
	d := newDesk(t).hire()
	me := d.browser()
	bar := []string{">我的服务<", ">在线客服<", ">小程序<", ">费用中心<", ">工单<", "个人中心"}
	wantNotIn(t, "the bar of a stranger", me.get("/service").Body, ">费用中心<", ">工单<")
	for _, path := range []string{"/fees", "/enquiries", "/me"} {
		if a := me.get(path); a.Status != http.StatusSeeOther {
			t.Errorf("%s without a login: %d", path, a.Status)
		}
	}
	o := d.order(me.paid())
	for _, path := range []string{"/orders", "/certificates", "/service", "/mini", "/fees", "/enquiries", "/me"} {
		a := me.get(path)
		wantIn(t, path, a.Body, append(bar, "138****8000")...)
		if strings.Contains(a.Body, agentMobile) {
			t.Errorf("%s shows the whole mobile", path)
		}
	}
	for _, path := range []string{"/orders", "/certificates"} {
		wantIn(t, path, me.get(path).Body, `<a href="/orders"`, ">我的订单<", `<a href="/certificates"`, ">我的证书<")
	}
	wantIn(t, "fees", me.get("/fees").Body, "¥600.00", "微信支付", "已支付", o.No)
	stranger := d.browser()
	d.clock.advance(2 * time.Minute)
	stranger.login("13900139000")
	wantIn(t, "the stranger's fees", stranger.get("/fees").Body, "还没有费用")
}

// F11, F15: an enquiry asks to be called back, by when is promised, and staff find it.
func TestOwnEnquiries(t *testing.T) {
	d := newDesk(t).hire()
	me := d.browser()
	me.login(agentMobile)
	wantIn(t, "none yet", me.get("/enquiries").Body, "还没有工单")
	for _, test := range []struct{ name, topic, said, want string }{
		{"no topic", "", "请回电", "请选择事由"},
		{"a topic of his own", "聊聊", "请回电", "请选择事由"},
		{"nothing said", "发票", " ", "请写明"},
		{"too much", "发票", strings.Repeat("长", maxEnquiry+1), "最多 200 字"},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := me.post("/enquiries", url.Values{"topic": {test.topic}, "said": {test.said}, "urgent": {"yes"}})
			if a.Status != http.StatusUnprocessableEntity {
				t.Errorf("status %d", a.Status)
			}
			wantIn(t, "the refusal", a.Body, test.want, strings.TrimSpace(test.said), "checked")
		})
	}
	if a := me.post("/enquiries", url.Values{"topic": {"UKEY 使用"}, "said": {"插上没反应，证件号110101199003070011"}}); a.Status != http.StatusSeeOther {
		t.Fatalf("status %d: %s", a.Status, a.Body)
	}
	page := me.get("/enquiries").Body
	wantIn(t, "the enquiry", page, "插上没反应", "处理中", "前致电", "会更新这张工单")
	wantNotIn(t, "the enquiry", page, "110101199003070011")
	reviewer := d.login("李审核")
	wantIn(t, "the reviewer's list", reviewer.get("/staff/enquiries").Body, "UKEY 使用", "插上没反应")
	es, err := d.db.OpenEnquiries(t.Context(), order.EnquiryCursor{}, 10)
	must(t, err)
	if len(es) != 1 {
		t.Fatalf("%d enquiries", len(es))
	}
	reviewer.post("/staff/enquiries/"+es[0].ID+"/done", nil)
	wantIn(t, "the enquiry that was answered", me.get("/enquiries").Body, "已回电")
}

// F15: the page says whether somebody answers the telephone now.
func TestServiceHours(t *testing.T) {
	w := newWeb(t)
	b := w.browser()
	wantIn(t, "on a Monday morning", b.get("/service").Body, "服务中")
	w.clock.advance(12 * time.Hour)
	wantIn(t, "at night", b.get("/service").Body, "休息中", "11月24日 09:00 恢复服务")
}
