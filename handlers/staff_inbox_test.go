package handlers

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

// Issue 4, 3: every task is in the inbox, with how far its card came; quiet hours
// hold the next one back.
func TestInbox(t *testing.T) {
	d := newDesk(t).hire()
	o := d.inReview()
	li := d.login("李审核")
	page := li.get(inboxPath).Body
	wantIn(t, "inbox", page, "审核任务", "尾号 "+order.TailOf(o.No), o.Company, "/staff/review/"+string(o.ID), "微信等待发送", `<span class="count">1</span>`, "未开启")
	li.mustPost(inboxPath+"/read", nil, inboxPath)
	wantNotIn(t, "inbox", li.get(inboxPath).Body, `class="count"`, `class="new"`)
	wantIn(t, "the other's inbox", d.login("赵复核").get(inboxPath).Body, `<span class="count">1</span>`)
	wantNotIn(t, "the shipper's inbox", d.login("孙发货").get(inboxPath).Body, o.Company)

	if a := li.post(inboxPath+"/quiet", url.Values{"from": {"22:00"}, "to": {""}}); a.Status != http.StatusUnprocessableEntity {
		t.Errorf("half a time: %d", a.Status)
	} else {
		wantIn(t, "refusal", a.Body, "请填写开始和结束时间", `value="22:00"`)
	}
	li.mustPost(inboxPath+"/quiet", url.Values{"from": {"09:00"}, "to": {"12:00"}}, inboxPath)
	wantIn(t, "inbox", li.get(inboxPath).Body, "09:00–12:00")
	d.inReview()
	wantIn(t, "inbox", li.get(inboxPath).Body, "微信免打扰，稍后发送")
	li.mustPost(inboxPath+"/quiet", url.Values{"off": {"yes"}, "from": {"09:00"}, "to": {"12:00"}}, inboxPath)
	wantIn(t, "inbox", li.get(inboxPath).Body, "未开启")
}

// Who was told what, when and how; numbers are masked (F109).
func TestNoticesOfAnOrder(t *testing.T) {
	d := newDesk(t).hire()
	o := d.inReview()
	by := d.staff["李审核"].Actor(order.Reviewer, order.Web, "192.0.2.1")
	d.apply(o.ID, order.Command{On: order.Claim, By: by})
	d.apply(o.ID, order.Command{On: order.Approve, By: by, Snapshot: o.Snapshot, Ticks: order.Ticks})
	ns, err := d.db.Notifications(t.Context(), o.ID)
	must(t, err)
	for _, n := range ns {
		if n.Medium == order.SMS {
			n.Told, n.State, n.Attempts, n.Why, n.UpdatedAt = "138****8000", order.DeliverySending, 1, "", d.clock.now()
			must(t, d.service.RecordDelivery(t.Context(), n, order.DeliveryPending))
			d.clock.advance(time.Second)
			n.State = order.DeliverySent
			must(t, d.service.RecordDelivery(t.Context(), n, order.DeliverySending))
		}
	}
	page := d.login("李审核").get("/staff/notices/" + string(o.ID)).Body
	wantIn(t, "notices", page, "审核任务", "李审核", "赵复核", "审核通过", "经办人", "138****8000", "短信", "已发送", "第 1 次")
	wantNotIn(t, "notices", page, agentMobile, "王小琪")
	if a := d.login("孙发货").get("/staff/notices/" + string(o.ID)); a.Status != http.StatusForbidden {
		t.Errorf("the shipper: %d", a.Status)
	}
}

// 我的消息 shows what was said to oneself and to nobody else (F23).
func TestMyMessages(t *testing.T) {
	d := newDesk(t).hire()
	me := d.browser()
	o := d.order(me.paid())
	must(t, d.service.RecordRealName(t.Context(), o.ID, o.Submission, order.RealNameMatch))
	wantIn(t, "no messages yet", me.get("/messages").Body, "还没有消息")
	d.made(d.read(o.ID))
	page := me.get("/messages").Body
	wantIn(t, "messages", page, "审核通过", "订单尾号 "+order.TailOf(o.No), "/orders/"+string(o.ID), "短信等待发送", "微信等待发送")
	wantNotIn(t, "messages", page, "审核任务")
	stranger := d.browser()
	d.clock.advance(2 * time.Minute)
	stranger.login("13900139000")
	wantNotIn(t, "the stranger's messages", stranger.get("/messages").Body, "审核通过")
}

func (d *desk) lead(name string) {
	d.t.Helper()
	m := d.staff[name]
	m.Leader = true
	must(d.t, d.db.InTx(d.t.Context(), func(tx order.Tx) error { return tx.SaveStaff(d.t.Context(), m) }))
	d.staff[name] = m
}

// Flows 4.4: ticks are kept, a task changes hands, an overdue one is explained to
// the applicant.
func TestManagingReviews(t *testing.T) {
	d := newDesk(t).hire()
	d.lead("赵复核")
	me := d.browser()
	o := d.order(me.paid())
	must(t, d.service.RecordRealName(t.Context(), o.ID, o.Submission, order.RealNameMatch))
	o = d.read(o.ID)
	page := "/staff/review/" + string(o.ID)
	li, zhao := d.login("李审核"), d.login("赵复核")

	wantNotIn(t, "the page of who does not lead", li.get(page).Body, "指派给")
	if a := li.post(page+"/ticks", url.Values{"snapshot": {o.Snapshot}, "tick": allTicks}); a.Status != http.StatusConflict {
		t.Errorf("ticks without a claim: %d", a.Status)
	}
	zhao.get(page)
	zhao.mustPost(page+"/assign", url.Values{"to": {d.staff["李审核"].ID}}, page)
	wantIn(t, "history", zhao.get(page).Body, "指派审核员：李审核", "李审核正在审核")
	wantIn(t, "li's inbox", li.get(inboxPath).Body, "指派给您")
	if a := li.post(page+"/ticks", url.Values{"snapshot": {o.Snapshot}, "tick": allTicks[:2]}, "HX-Request", "true"); a.Status != http.StatusNoContent {
		t.Errorf("ticks: %d %s", a.Status, a.Body)
	}
	wantIn(t, "the page again", li.get(page).Body, `value="subject" required checked`, `value="agent" required checked`, `value="images" required>`)

	wantNotIn(t, "in time", zhao.get(page).Body, "延迟原因")
	d.clock.advance(3 * 24 * time.Hour)
	me.login(agentMobile)
	wantIn(t, "the applicant's page", me.get("/orders/"+string(o.ID)).Body, "审核延迟：应于 11月24日 17:30 前完成")
	zhao = d.login("赵复核")
	wantIn(t, "overdue", zhao.get("/staff/review?stage=overdue").Body, page)
	wantIn(t, "stats", zhao.get("/staff/stats").Body, "今日统计", "超时任务", page)
	wantIn(t, "stats of a day", zhao.get("/staff/stats?day=2026-11-23").Body, "2026-11-23 审核统计")
	if a := zhao.get("/staff/stats?day=x"); a.Status != http.StatusUnprocessableEntity {
		t.Errorf("a day that is none: %d", a.Status)
	}
	zhao.get(page)
	zhao.mustPost(page+"/delay", url.Values{"delay": {"verify"}}, page)
	wantIn(t, "the applicant's page", me.get("/orders/"+string(o.ID)).Body, "原因：需要进一步核实申请材料")
}
