package story

import (
	"net/http"
	"slices"
	"strings"
)

// financier is the second person of finance; the first is the administrator.
const financier = "吴财务"

// lateRefund is a refund after the key has reached its owner: one person of finance
// proposes it, another confirms it, and the certificate ends before the money goes.
func (p *player) lateRefund() {
	try(p.world.Advance(p.ctx, "25h")) // the codes of earlier stories are forgotten
	before := p.serials()
	o := p.bought()
	bought := p.certificates(before, 1)[0]
	no := p.posted(o)
	p.moves(no, "sign")
	answer := p.chat("订单" + o.no + "不办了，能退钱吗") // by its number: there may be others
	p.check(strings.Contains(answer, "两位工作人员核实") && strings.Contains(answer, "…"+o.tail()), "公众号说明制证后怎么退款", answer)

	page := p.visit(admin, p.instance.URL+"/staff/finance/"+o.id)
	p.check(page.Says("由另一位财务人员确认"), "已制证的订单，一个人不能退款", page.Text())
	p.say(admin, "客户退回了 UKEY，提出退款")
	p.shown(p.send(p.staff[admin], page, "/propose", map[string]string{"end": "returned", "note": "单位合并，不再投标"}))
	page = p.shown(must(p.staff[admin].Get(p.ctx, p.instance.URL+"/staff/finance/"+o.id)))
	p.check(page.Says("须由另一位财务人员确认"), "提出的人自己不能确认", page.Text())
	forced := must(p.staff[admin].Post(p.ctx, page, "/staff/finance/"+o.id+"/confirm", map[string][]string{"sure": {"yes"}}))
	p.check(forced.Status == http.StatusForbidden, "绕过页面也不能", forced.Status)

	page = p.visit(financier, p.instance.URL+"/staff/finance/"+o.id)
	p.say(financier, "核实 UKEY 已收回，确认退款")
	decided := p.clock()
	p.shown(p.send(p.staff[financier], page, "/confirm", map[string]string{"sure": "yes"}))
	p.published(bought, decided, ended)
	p.becomes(o, "已退款")
	p.eventually("微信支付原路退回 300 元，恰好一次", func() (bool, any) {
		r := p.refunds(o)
		return len(r) == 1 && r[0].Status == "SUCCESS" && r[0].Amount == 30000, short(r)
	})
	p.told(mobile, "退款成功", decided)
	p.check(p.cardOf(bought).says("已吊销"), "我的证书里显示已吊销")
	p.say("快递", "迟到的物流推送")
	parcel := must(p.world.Courier(p.ctx, no, "repeat"))
	p.check(parcel.Pushes[len(parcel.Pushes)-1].Taken && p.state(o).Label == "已退款", "已退款的订单不再变化", short(p.state(o)))
	got := strings.Join(slices.DeleteFunc(p.state(o).events(), func(e string) bool { return e == "courier_moved" }), " ")
	p.check(strings.HasSuffix(got, "ship refund_proposed refund_start certificate_revoked refund_succeeded"), "办理记录完整有序："+got)
}
