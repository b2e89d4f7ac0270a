package story

import (
	"strings"

	"github.com/yuncaidun/yuncaidun/provider/sim"
)

// reconciliation is the morning after a day with two sales: the bill of one platform is
// late and names money that is not ours, the other's differs by a fen.
func (p *player) reconciliation() {
	bills := func() *Page { return p.visit(financier, p.instance.URL+"/staff/reconciliation") }
	p.morning()
	try(p.world.Advance(p.ctx, "36m"))
	yesterday := p.clock().In(shanghai).AddDate(0, 0, -1).Format("2006-01-02") // may wait, if nothing was traded
	p.eventually("之前的账都对上了，没有差异", func() (bool, any) {
		page := bills()
		return page.Says("没有对账差异") && strings.Count(page.Text(), "尚未核对") == strings.Count(page.Text(), yesterday+" 的账单尚未核对"), page.Text()
	})
	p.bind()
	wechat := p.confirm(p.draft("yd-initial", "1"))
	p.pay(wechat)
	p.becomes(wechat, "待审核")
	alipay := p.confirm(p.draft("yd-initial", "1"))
	t := p.showCode(alipay, "支付宝")
	must(p.world.Pay(p.ctx, t.OutTradeNo, "pay", 0))
	p.paid(alipay)
	day := p.clock().In(shanghai).Format("2006-01-02")

	p.say("体验场", "支付宝的账单晚到，多出一笔；微信支付的账单里金额差了一分")
	for _, f := range []sim.Fault{
		{Family: "pay.bill.file", Code: "wrong-amount"}, {Family: "alipay.bill", Code: "isp.bill_not_exist", Times: -1}, {Family: "alipay.bill.file", Code: "line-more"},
	} {
		try(p.world.Fail(p.ctx, f))
	}
	p.morning()
	morning := p.clock()
	p.check(!strings.Contains(bills().Text(), "微信支付 "+day), "九点半还没有对前一天的账")
	try(p.world.Advance(p.ctx, "36m"))
	p.eventually("十点过后，微信支付的一笔金额不一致，支付宝的账单还没有", func() (bool, any) {
		page := bills()
		return page.Says("金额不一致") && page.Says("¥300.01") && page.Says("支付宝 "+day+" 的账单尚未核对"), page.Text()
	})
	page := bills()
	p.check(strings.Contains(string(page.Body), "/staff/finance/"+wechat.id) && !strings.Contains(string(page.Body), alipay.id), "差异链接到订单，没有差异的订单不在其中", page.Text())
	p.eventually("财务收到微信通知", func() (bool, any) {
		for _, c := range must(p.world.Cards(p.ctx)) {
			if c.OpenID == p.persona(financier).OpenID && !c.At.Before(morning) && strings.Contains(short(c.Data), "支付对账有差异") {
				return true, nil
			}
		}
		return false, short(must(p.world.Cards(p.ctx)))
	})

	try(p.world.Fail(p.ctx, sim.Fault{Family: "alipay.bill", DelayMS: 1}))
	try(p.world.Advance(p.ctx, "31m"))
	p.eventually("半小时后支付宝的账单到了，多出的一笔是我方没有的", func() (bool, any) {
		page := bills()
		return page.Says("我方没有") && page.Says("¥88.00") && !page.Says("支付宝 "+day+" 的账单尚未核对"), page.Text()
	})
	p.say(financier, "在商户平台核实后，写下说明")
	for range 2 {
		page := bills()
		p.shown(p.send(p.staff[financier], page, "/resolve", map[string]string{"note": "已在商户平台核实"}))
	}
	p.check(bills().Says("没有对账差异"), "差异都有了说明", bills().Text())
	listed := p.shown(must(p.staff[financier].Get(p.ctx, p.instance.URL+"/staff/reconciliation?list=bills")))
	p.check(listed.Says("微信支付 "+day) && listed.Says("支付宝 "+day) && listed.Says("1 笔差异"), "两份账单都已核对", listed.Text())
	metrics := must(newBrowser("").Get(p.ctx, p.instance.URL+"/metrics"))
	p.check(strings.Contains(string(metrics.Body), "ycd_differences_open 0") && strings.Contains(string(metrics.Body), "ycd_bills_waiting"), "监控指标")
}
