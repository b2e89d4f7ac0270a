package handlers

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/order"
)

// second hires another member of finance.
func (d *desk) second() *browser {
	d.t.Helper()
	secret, err := NewTOTPSecret()
	must(d.t, err)
	m, err := d.staffing.Add(d.t.Context(), order.BySystem, order.NewMember{Name: "郑财务", Mobile: "13900000007", Roles: []order.Role{order.Finance}, TOTPSecret: secret})
	must(d.t, err)
	d.staff["郑财务"] = m
	members = append(members, order.NewMember{Name: "郑财务", Mobile: "13900000007"})
	d.t.Cleanup(func() { members = members[:len(members)-1] })
	return d.login("郑财务")
}

// F122, row 65, through the pages: one proposes, another confirms, and the certificates
// are revoked before the money goes.
func TestLateRefundByTwoPeople(t *testing.T) {
	d := newDesk(t).hire()
	b := d.browser()
	o := d.sent(b)
	page := "/staff/finance/" + string(o.ID)
	one, two := d.login("周财务"), d.second()
	wantIn(t, "account", one.get(page).Body, "提出退款 ¥600.00", "由另一位财务人员确认", "UKEY 已收回")
	note := url.Values{"note": {"单位合并"}}
	if a := one.post(page+"/refund", note); a.Status != http.StatusForbidden {
		t.Errorf("refund by one: %d", a.Status)
	}
	if a := one.post(page+"/propose", note); a.Status != http.StatusUnprocessableEntity {
		t.Errorf("the parcel unaccounted for: %d", a.Status)
	} else {
		wantIn(t, "refusal", a.Body, "请选择包裹已拦截", "单位合并")
	}
	one.mustPost(page+"/propose", url.Values{"note": {"单位合并"}, "end": {"returned"}}, page)
	wantIn(t, "list", two.get("/staff/finance?refund=proposals").Body, page, "待确认")
	mine := one.get(page).Body
	wantIn(t, "own proposal", mine, "须由另一位财务人员确认", "撤回提议")
	wantNotIn(t, "own proposal", mine, "确认退款")
	if a := one.post(page+"/confirm", url.Values{"sure": {"yes"}}); a.Status != http.StatusForbidden {
		t.Errorf("confirmed by whoever proposed it: %d", a.Status)
	}
	wantIn(t, "the other's page", two.get(page).Body, "周财务", "单位合并", "UKEY 已收回", "确认退款 ¥600.00")
	if a := two.post(page+"/confirm", nil); a.Status != http.StatusUnprocessableEntity {
		t.Errorf("without the tick: %d", a.Status)
	}
	two.mustPost(page+"/confirm", url.Values{"sure": {"yes"}}, page)
	wantIn(t, "certificates", b.get("/certificates").Body, "已吊销")
	panel := b.get("/orders/" + string(o.ID) + "/panel").Body
	wantIn(t, "order", panel, "退款正在处理")
	if state, _, _ := strings.Cut(panel, "退款正在处理"); strings.Count(state, "退款中") != 1 {
		t.Errorf("its state, said once: %s", state)
	}
	for name, who := range map[string]*browser{"shipper": d.login("孙发货"), "reviewer": d.login("李审核")} {
		for _, path := range []string{"/propose", "/confirm", "/drop", "/give-up"} {
			if a := who.post(page+path, note); a.Status != http.StatusForbidden {
				t.Errorf("%s %s: %d", name, path, a.Status)
			}
		}
	}
}

// Row 65 with an issued invoice, through the pages: the red invoice comes before the
// money. When the platform refuses it, the money waits, finance sees why and has it tried
// again.
func TestLateRefundWaitsForTheRedInvoice(t *testing.T) {
	d := newDesk(t).hire()
	b := d.browser()
	o := d.sent(b)
	issued := d.answer(o.ID, order.InvoiceDone)
	mine, page := "/orders/"+string(o.ID), "/staff/finance/"+string(o.ID)
	wantIn(t, "issued", b.get(mine).Body, "下载发票")
	one, two := d.login("周财务"), d.second()
	wantIn(t, "account", one.get(page).Body, "提出退款")
	one.mustPost(page+"/propose", url.Values{"note": {"单位合并"}, "end": {"returned"}}, page)
	wantIn(t, "the other's page", two.get(page).Body, "确认退款")
	two.mustPost(page+"/confirm", url.Values{"sure": {"yes"}}, page)
	pays := func(what string, times int) {
		t.Helper()
		must(t, d.service.RunRefund(t.Context(), issued.TradeNo))
		if d.gateway.asked != times {
			t.Errorf("%s: money asked back %d times, want %d", what, d.gateway.asked, times)
		}
	}
	red, err := d.db.InvoiceOf(t.Context(), o.ID)
	must(t, err)
	if red.State != order.InvoiceRedIssuing {
		t.Fatalf("the invoice is %s", red.State)
	}
	wantIn(t, "waiting", b.get(mine).Body, "退款正在处理")
	wantNotIn(t, "an invoice that goes back", b.get(mine).Body, "下载发票")
	pays("before the red invoice", 0)

	d.answer(o.ID, order.InvoiceRejected)
	pays("though the red invoice was refused", 0)
	wantIn(t, "finance", one.get("/staff/invoices").Body, "红冲失败", "购方税号不存在", string(o.ID))
	if a := b.post("/staff/invoices/"+string(o.ID)+"/retry", nil); a.Status == http.StatusSeeOther && strings.HasSuffix(a.location(), "/staff/invoices") {
		t.Errorf("the applicant tries it again: %d", a.Status)
	}
	one.mustPost("/staff/invoices/"+string(o.ID)+"/retry", url.Values{"title": {issued.Title}, "tax_no": {issued.TaxNo}}, "/staff/invoices")
	pays("while it is tried again", 0)
	if got := d.answer(o.ID, order.InvoiceDone); got.State != order.InvoiceReversed {
		t.Errorf("the invoice is %s", got.State)
	}
	pays("after the red invoice", 1)
	wantIn(t, "reversed", b.get(mine).Body, "已红冲")
}

// Row 40, through the pages: finance proposes, the applicant agrees, and his API says
// the same.
func TestGiveUpKeysByConsent(t *testing.T) {
	d := newDesk(t).hire()
	b := d.browser()
	o := d.order(b.paid())
	must(t, d.service.RecordRealName(t.Context(), o.ID, o.Submission, order.RealNameMatch))
	d.clock.advance(2 * time.Minute)
	o = d.read(o.ID)
	by := d.staff["李审核"].Actor(order.Reviewer, order.Web, "192.0.2.1")
	d.apply(o.ID, order.Command{On: order.Claim, By: by})
	d.apply(o.ID, order.Command{On: order.Approve, By: by, Snapshot: o.Snapshot, Ticks: order.Ticks})
	page, mine := "/staff/finance/"+string(o.ID), "/orders/"+string(o.ID)
	f := d.login("周财务")
	wantIn(t, "account", f.get(page).Body, "取消部分 UKEY", "最多 1 个，每个退回 ¥300.00")
	for _, wrong := range []url.Values{{"keys": {"x"}, "note": {"缺货"}}, {"keys": {"2"}, "note": {"缺货"}}, {"keys": {"1"}}, {"keys": {"1"}, "do": {"agreed"}}} {
		if a := f.post(page+"/give-up", wrong); a.Status != http.StatusUnprocessableEntity {
			t.Errorf("%v: %d", wrong, a.Status)
		}
	}
	wantNotIn(t, "order", b.get(mine).Body, "同意取消并退款")
	if a := b.post(mine+"/give-up", nil); a.Status != http.StatusUnprocessableEntity {
		t.Errorf("agreed to what nobody proposed: %d", a.Status)
	}
	f.mustPost(page+"/give-up", url.Values{"keys": {"1"}, "note": {"空白 UKEY 缺货"}, "do": {"ask"}}, page)
	wantIn(t, "account", f.get(page).Body, "等待经办人在订单页同意")
	wantIn(t, "order", b.get(mine).Body, "建议取消 1 个 UKEY", "¥300.00", "其余 1 个照常办理", "空白 UKEY 缺货")
	wantIn(t, "api", b.get("/api/v1"+mine).Body, `"give_up":{`, `"amount_fen":30000`, `"left":1`)
	if a := d.browser().post(mine+"/give-up", nil); a.Status == http.StatusSeeOther && strings.HasSuffix(a.location(), mine) {
		t.Errorf("a stranger: %d", a.Status)
	}
	b.mustPost(mine+"/give-up", nil, mine)
	wantNotIn(t, "order", b.get(mine).Body, "同意取消并退款")
	if got := d.read(o.ID); got.GivenUp != 1 || got.Stage != order.Unclaimed {
		t.Errorf("given up %d in %s", got.GivenUp, got.State)
	}
	wantIn(t, "account", f.get(page).Body, "部分退款", "¥300.00", "待退款", "发起退款 ¥300.00")
}

// Before the money of a renewal goes back finance reads what it leaves to the applicant.
func TestRefundSaysWhatIsLeft(t *testing.T) {
	d := newDesk(t).hire()
	b := d.holder()
	b.later(350 * 24 * time.Hour)
	form := begin(heldSerial, order.Renewal)
	form.Set("product", "yd-renewal-key")
	path := b.submitted(b.post("/orders", form).location(), url.Values{"about.bid": {"no"}})
	b.post(path+"/pay", nil)
	o := d.order(path)
	must(t, d.service.PaymentSucceeded(t.Context(), order.Receipt{Channel: order.WeChatPay, TradeNo: o.TradeNo, TransactionID: "42" + o.TradeNo, Amount: o.Amount, PaidAt: d.clock.now()}))
	wantIn(t, "account", d.login("周财务").get("/staff/finance/"+string(o.ID)).Body, "发起退款 ¥200.00", "仍然有效：退款后，用户继续使用它")

	now := d.clock.now()
	old := d.held()
	with := func(change func(*certificate.Certificate)) certificate.Certificate {
		c := old
		change(&c)
		return c
	}
	for want, c := range map[string]certificate.Certificate{
		"已吊销，不能恢复":   with(func(c *certificate.Certificate) { c.RevokedAt, c.Reason = now, certificate.Superseded }),
		"可以再次申请更新":   with(func(c *certificate.Certificate) { c.NotAfter = now.AddDate(0, 0, -1) }),
		"已过期，也不能再更新": with(func(c *certificate.Certificate) { c.NotAfter = now.AddDate(0, 0, -100) }),
		"用户先申请恢复":    with(func(c *certificate.Certificate) { c.RevokedAt, c.Reason = now, certificate.Hold }),
	} {
		wantIn(t, want, leftOver(c, now), want)
	}
}
