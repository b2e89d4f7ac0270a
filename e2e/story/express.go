package story

import "strings"

// hurried is an express order that nobody reviews in time: the surcharge goes back by
// itself, and the order goes on.
func (p *player) hurried() {
	o, page := p.draftWith("yd-initial", "1", map[string]string{"about.speed": "yes"})
	p.check(page.Says("加急：8 个工作小时内寄出，另收 ¥80.00，超时自动退还") && page.Says("¥ 380.00"), "表单可以选加急，应付金额随之改变", page.Text())
	o = p.confirm(o, page)
	p.bind()
	t := p.showQR(o)
	p.check(t.Total == 38000, "支付 380 元", t.Total)
	p.pay(o)
	p.becomes(o, "待审核")
	answer := p.answer(o, "我的订单到哪一步了")
	p.check(strings.Contains(answer, ":") && strings.Contains(answer, "前寄出"), "公众号说到几点前寄出", answer)
	queue := p.visit(reviewer, p.instance.URL+"/staff/review?stage=express")
	p.check(queue.Says(o.tail()) && queue.Says("加急"), "审核员在「加急」里看到它", queue.Text())

	p.say("体验场", "五天过去，没有人审核")
	late := p.clock()
	try(p.world.Advance(p.ctx, "120h"))
	p.eventually("加急费 80 元自动原路退回，恰好一次", func() (bool, any) {
		r := p.refunds(o)
		return len(r) == 1 && r[0].Status == "SUCCESS" && r[0].Amount == 8000 && r[0].Total == 38000, short(r)
	})
	p.told(mobile, "没能在加急承诺的时间内办好", late)
	answer = p.answer(o, "我的订单到哪一步了")
	p.check(strings.Contains(answer, "加急费 ¥80.00 原路退回"), "公众号道歉，说明加急费退回", answer)
	p.signIn() // the session has ended meanwhile
	p.approve(o, p.claim(o))
	p.becomes(o, "待配送")
	p.ship(o, p.label())
	p.check(len(p.refunds(o)) == 1, "订单照常办完，没有第二次退款", short(p.refunds(o)))
}
