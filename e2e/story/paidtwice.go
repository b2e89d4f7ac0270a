package story

import (
	"net/http"
	"slices"
	"strings"

	"github.com/yuncaidun/yuncaidun/provider/sim"
)

// paidTwice is about money that arrives twice, or without a word.
func (p *player) paidTwice() {
	o := p.confirm(p.draft("yd-initial", "1"))
	p.bind()
	p.bothTrades(o)
	p.lostNotification()
}

// bothTrades has the applicant pay two QR codes of one order: WeChat Pay says
// nothing about the first until the second is paid too.
func (p *player) bothTrades(o purchase) {
	first := p.showQR(o)
	p.say(applicant, "扫码支付；微信支付没有发出通知，查询接口也正在故障")
	try(p.world.Fail(p.ctx, sim.Fault{Family: "pay.query", Times: -1, Status: http.StatusInternalServerError}))
	must(p.world.Pay(p.ctx, first.OutTradeNo, "lose", 0))
	try(p.world.Advance(p.ctx, "2h1m"))
	p.say(applicant, "两小时后二维码失效，页面仍显示未支付，于是又付了一次")
	if p.open(o.page()+"/pay").URL.Path != o.page()+"/pay" {
		p.signIn()
	}
	p.check(p.open(o.page()+"/pay").Says("二维码已失效"), "支付页提示二维码已失效")
	second := p.showQR(o)
	p.check(first.OutTradeNo != second.OutTradeNo && len(p.trades(o)) == 2, "同一订单有了两笔交易", short(p.trades(o)))
	must(p.world.Pay(p.ctx, second.OutTradeNo, "pay", 0))
	p.paid(o)
	p.becomes(o, "待审核")
	p.say("体验场", "微信支付恢复正常")
	try(p.world.Recover(p.ctx))

	p.eventually("多付的一笔已全额退回，恰好一次", func() (bool, any) {
		r := p.refunds(o)
		return len(r) == 1 && r[0].OutTradeNo == first.OutTradeNo && r[0].Status == "SUCCESS" && r[0].Amount == first.Total && r[0].Total == first.Total, short(r)
	})
	p.say("体验场", "两笔交易的支付通知各再重复 20 次")
	for _, t := range []sim.Trade{first, second} {
		r := must(p.world.Pay(p.ctx, t.OutTradeNo, "repeat", 20))
		attempts := r.Notices[len(r.Notices)-1].Attempts
		p.check(len(attempts) >= 20 && !slices.ContainsFunc(attempts, func(a sim.Attempt) bool { return a.Status/100 != 2 }), "重复的通知都得到确认", short(attempts))
	}
	p.moved(o, "confirm", "paid", "late_payment")
	p.check(len(p.refunds(o)) == 1, "没有第二次退款", short(p.refunds(o)))
	p.delivered(o, []notice{{mobile, "重复或过期的支付"}}, append(slices.Clone(everyReviewer), notice{applicant, "多付退回"}))
	p.askState(o)
	p.approve(o, p.claim(o))
	p.becomes(o, "待配送")
	p.ship(o, p.label())
}

// lostNotification has WeChat Pay never say that an order was paid.
func (p *player) lostNotification() {
	o := p.confirm(p.draft("yd-initial", "1"))
	t := p.showQR(o)
	p.say(applicant, "扫码支付，但微信的支付通知丢失了")
	must(p.world.Pay(p.ctx, t.OutTradeNo, "lose", 0))
	try(p.world.Advance(p.ctx, "15s"))
	p.paid(o)
	p.becomes(o, "待审核")
	p.say("体验场", "丢失的通知迟到，并重复 20 次")
	must(p.world.Pay(p.ctx, t.OutTradeNo, "repeat", 20))
	p.moved(o, "confirm", "paid")
	p.check(len(p.refunds(o)) == 0, "没有误退款", short(p.refunds(o)))
	p.askState(o)
}

// moved checks exactly what happened to the order.
func (p *player) moved(o purchase, events ...string) {
	got := p.state(o).events()
	p.check(slices.Equal(got, events), "订单只变化了一次："+strings.Join(got, " → "), "want", events)
}

// refunds are the order's refunds, newest first.
func (p *player) refunds(o purchase) []sim.Refund {
	trades := p.trades(o)
	return slices.DeleteFunc(must(p.world.Refunds(p.ctx)), func(r sim.Refund) bool {
		return !slices.ContainsFunc(trades, func(t sim.Trade) bool { return t.OutTradeNo == r.OutTradeNo })
	})
}
