package story

import (
	"net/http"
	"slices"
	"strings"

	"github.com/yuncaidun/yuncaidun/provider/sim"
)

// paidByAlipay is about money that comes through Alipay, and goes back through it.
func (p *player) paidByAlipay() {
	o := p.confirm(p.draft("yd-initial", "1"))
	p.bind()
	p.bothChannels(o)
	o = p.confirm(p.draft("yd-initial", "1"))
	p.givenUp(o)
	p.lostByAlipay(o)
	p.returnedByAlipay(o)
}

// bothChannels has the applicant take Alipay, and pay the WeChat code that he had
// first too.
func (p *player) bothChannels(o purchase) {
	page := p.open(o.page() + "/pay")
	p.check(slices.Equal(page.Choices("channel"), []string{"wechatpay", "alipay"}) && page.Value("channel") == "wechatpay" && must(page.Form("/pay")).Values.Get("channel") == "wechatpay",
		"支付页提供微信支付和支付宝，默认微信支付", page.Text())
	wechat := p.showQR(o)
	p.say(applicant, "改用支付宝")
	alipay := p.showCode(o, "支付宝")
	p.check(alipay.Channel == sim.ViaAlipay && alipay.Total == wechat.Total && alipay.OutTradeNo != wechat.OutTradeNo, "同一订单在支付宝另有一笔交易，金额相同", short(p.trades(o)))
	p.eventually("原来的微信支付单已关闭", func() (bool, any) {
		i := slices.IndexFunc(p.trades(o), func(t sim.Trade) bool { return t.OutTradeNo == wechat.OutTradeNo })
		return p.trades(o)[i].State == sim.Closed, short(p.trades(o))
	})
	for _, how := range []string{"forged", FaultWrongAmount} {
		attempt := must(p.world.Pay(p.ctx, alipay.OutTradeNo, how, 0)).Notices[0].Attempts[0]
		p.check(attempt.Status == http.StatusForbidden && attempt.Body != "success" && p.state(o).Label == "待支付", "支付宝的可疑通知不算数："+how, short(attempt))
	}
	p.say(applicant, "用支付宝扫码支付；关闭之前，另一部手机也付了微信的那一笔")
	paid := must(p.world.Pay(p.ctx, alipay.OutTradeNo, "twice", 0))
	p.check(len(paid.Notices) == 2 && paid.Notices[0].Channel == sim.ViaAlipay && paid.Notices[0].Attempts[0].Body == "success", "支付宝的通知得到 success 应答", short(paid.Notices))
	p.paid(o)
	p.becomes(o, "待审核")
	p.eventually("微信的一笔由微信全额退回，恰好一次；支付宝的一笔不动", func() (bool, any) {
		r := p.refunds(o)
		return len(r) == 1 && r[0].Channel == sim.ViaWeChat && r[0].OutTradeNo == wechat.OutTradeNo && r[0].Status == "SUCCESS" && r[0].Amount == wechat.Total, short(r)
	})
	p.say("体验场", "两边的支付通知各再重复 20 次")
	for _, t := range []sim.Trade{alipay, wechat} {
		attempts := must(p.world.Pay(p.ctx, t.OutTradeNo, "repeat", 20)).Notices[0].Attempts
		p.check(len(attempts) >= 20 && !slices.ContainsFunc(attempts, func(a sim.Attempt) bool { return a.Status/100 != 2 }), "重复的通知都得到确认", short(attempts))
	}
	p.moved(o, "confirm", "paid", "late_payment")
	p.check(len(p.refunds(o)) == 1, "没有第二次退款", short(p.refunds(o)))
	p.approve(o, p.claim(o))
	p.becomes(o, "待配送")
}

// givenUp has the payer give up at Alipay: the page says so, and there is another code.
func (p *player) givenUp(o purchase) {
	t := p.showCode(o, "支付宝")
	p.say(applicant, "扫码后余额不足，取消了支付")
	must(p.world.Pay(p.ctx, t.OutTradeNo, "fail", 0))
	try(p.world.Advance(p.ctx, "15s"))
	p.eventually("支付页提示支付没有成功", func() (bool, any) {
		page := p.open(o.page() + "/pay")
		return page.Says("支付没有成功") && page.Says("重新支付"), page.Text()
	})
	p.check(p.state(o).Label == "待支付", "订单仍可支付", short(p.state(o)))
}

// lostByAlipay has Alipay never say that an order was paid.
func (p *player) lostByAlipay(o purchase) {
	list := p.open("/orders")
	p.check(strings.Contains(string(list.Body), o.page()+"/pay"), "我的订单里可以再次去支付", list.Text())
	t := p.showCode(o, "支付宝")
	p.say(applicant, "再次扫码支付，但支付宝的通知丢失了")
	must(p.world.Pay(p.ctx, t.OutTradeNo, "lose", 0))
	try(p.world.Advance(p.ctx, "15s"))
	p.paid(o)
	p.becomes(o, "待审核")
}

// returnedByAlipay has finance return the money of an order that nobody has begun.
func (p *player) returnedByAlipay(o purchase) {
	page := p.visit(admin, p.instance.URL+"/staff/finance/"+o.id)
	p.check(page.Says("支付宝"), "财务页写明每笔款项的支付渠道", page.Text())
	p.say(admin, "客户不办了，制证前退款")
	p.shown(p.send(p.staff[admin], page, "/refund", map[string]string{"note": "单位合并，不再投标"}))
	p.becomes(o, "已退款")
	p.eventually("支付宝原路退回，恰好一次", func() (bool, any) {
		r := p.refunds(o)
		return len(r) == 1 && r[0].Channel == sim.ViaAlipay && r[0].Status == "SUCCESS" && r[0].Amount == r[0].Total, short(r)
	})
	p.moved(o, "confirm", "pay_failed", "paid", "refund_start", "refund_succeeded")
}
