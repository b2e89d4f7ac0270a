package handlers

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/order"
)

// Flows 4.7: the holder and staff see what was said about the end of a
// certificate, to whom, and what is still planned; the optional ones can be left.
func TestReminderPages(t *testing.T) {
	d := newDesk(t).hire()
	me := d.holder()
	path := "/certificates/" + heldSerial + "/reminders"
	wantIn(t, "my certificates", me.get("/certificates").Body, path)
	wantIn(t, "nothing said yet", me.get(path).Body, "还没有发过提醒", "之后的提醒（12 次）", "到期前 60 天：到期规划提醒", "2027-09-24 09:30:00", "微信，可退订", "到期前 29 天：可以更新了", "短信、微信")

	must(t, d.Reminders.(*certificate.Reminders).Sweep(t.Context()))
	d.clock.advance(time.Date(2027, 10, 25, 9, 30, 0, 0, order.Shanghai).Sub(d.clock.now()))
	for range 2 {
		must(t, d.Reminders.(*certificate.Reminders).Sweep(t.Context()))
	}
	ns, err := d.db.Notifications(t.Context(), d.held().OrderID)
	must(t, err)
	for _, n := range ns {
		if n.Notice == order.NoticeRenewOpen && n.Medium == order.SMS {
			n.State, n.Attempts, n.Told, n.UpdatedAt = order.DeliverySent, 1, "138****8000", d.clock.now()
			must(t, d.service.RecordDelivery(t.Context(), n, order.DeliveryPending))
		}
	}
	me.login(agentMobile)
	page := me.get(path).Body
	wantIn(t, "said", page, "到期前 60 天：到期规划提醒", "已跳过", "由之后的提醒代替", "到期前 29 天：可以更新了", "短信已发送", "138****8000", "微信等待发送", "之后的提醒（10 次）")
	wantNotIn(t, "said", page, agentMobile)
	wantIn(t, "my messages", me.get("/messages").Body, "可以更新了", "现在可以更新了")

	me.mustPost(path, url.Values{"optional": {"no"}}, path)
	wantIn(t, "left", me.get(path).Body, "您已退订非必要提醒")
	me.mustPost(path, url.Values{"optional": {"yes"}}, path)
	wantNotIn(t, "taken again", me.get(path).Body, "您已退订非必要提醒")

	contact := path + "/contact"
	for _, bad := range []struct {
		form url.Values
		says string
	}{
		{url.Values{"role": {"second_contact"}, "mobile": {"12345"}, "agreed": {"yes"}}, "手机号"},
		{url.Values{"role": {"second_contact"}, "mobile": {"13700137001"}}, "请先征得对方同意"},
	} {
		if a := me.post(contact, bad.form); a.Status != http.StatusUnprocessableEntity {
			t.Errorf("%v: %d", bad.form, a.Status)
		} else {
			wantIn(t, "refused", a.Body, bad.says, bad.form.Get("mobile"))
		}
	}
	me.mustPost(contact, url.Values{"role": {"second_contact"}, "mobile": {"137 0013 7001"}, "agreed": {"yes"}}, path)
	page = me.get(path).Body
	wantIn(t, "a second contact", page, "备用联系人", "到期前 7 天", "137****7001", "单位负责人", "到期前 3 天")
	wantNotIn(t, "a second contact", page, "13700137001")
	me.mustPost(contact, url.Values{"role": {"second_contact"}, "remove": {"yes"}}, path)
	wantNotIn(t, "removed", me.get(path).Body, "137****7001")

	stranger := d.browser()
	d.clock.advance(2 * time.Minute)
	stranger.login("13900139000")
	for _, a := range []answer{stranger.get(path), stranger.post(path, url.Values{"optional": {"no"}}), stranger.post(contact, url.Values{"role": {"leader_contact"}, "remove": {"yes"}})} {
		if a.Status != http.StatusNotFound {
			t.Errorf("a stranger: %d", a.Status)
		}
	}
	wantIn(t, "staff", d.login("钱制证").get("/staff/certificates/"+heldSerial).Body, "更新提醒", "到期前 29 天：可以更新了", "短信已发送", "138****8000")
}
