package story

import (
	"bytes"
	"net/http"
	"slices"
	"strings"

	"github.com/yuncaidun/yuncaidun/provider/sim"
)

// invoice is about the electronic invoice: it is issued when the order is done,
// whatever the platform's notifications claim, and belongs to whoever bought.
func (p *player) invoice() {
	o := p.confirm(p.draft("yd-initial", "1"))
	p.bind()
	p.pay(o)
	p.becomes(o, "待审核")
	p.approve(o, p.claim(o))
	p.becomes(o, "待配送")
	p.check(!p.open(o.page()).Says("下载发票"), "订单完成前没有发票")
	p.say("体验场", "税务平台先不处理下一张发票")
	must(p.world.PlanInvoice(p.ctx, "hold"))
	p.ship(o, p.label())
	p.eventually("订单完成后自动申请开票，订单页显示“发票开具中”", func() (bool, any) {
		page := p.open(o.page())
		return page.Says("发票开具中") && page.Says(company) && len(p.invoices(o)) == 1, page.Text()
	})
	p.forgedInvoices(o)
	p.say("体验场", "税务平台开具发票，并把通知再重复 20 次")
	must(p.world.Invoice(p.ctx, p.invoices(o)[0].OrderID, "issue", 1))
	p.eventually("订单页可以下载发票", func() (bool, any) {
		page := p.open(o.page())
		return page.Says("下载发票"), page.Text()
	})
	told := must(p.world.Invoice(p.ctx, p.invoices(o)[0].OrderID, "repeat", 20))
	attempts := told.Notices[len(told.Notices)-1].Attempts
	p.check(len(attempts) == 21 && !slices.ContainsFunc(attempts, func(a sim.Attempt) bool { return a.Status != http.StatusOK }), "重复的通知都得到确认", short(attempts))
	p.check(len(p.invoices(o)) == 1 && slices.Equal(p.state(o).invoiced(), []string{"issued"}), "平台上只有一张发票，办理记录只有一次", short(p.invoices(o)), p.state(o).invoiced())
	p.fetch(o)
	p.ask(o, "订单"+o.no+"的发票", p.invoices(o)[0].Blue.Number)
}

// forgedInvoices sends notifications that must not be believed.
func (p *player) forgedInvoices(o purchase) {
	for _, n := range []struct{ how, what string }{{"wrong-amount", "少一分钱的"}, {"forged", "他人伪造的"}} {
		p.say("体验场", "发送"+n.what+"开票通知")
		r := must(p.world.Invoice(p.ctx, p.invoices(o)[0].OrderID, n.how, 1))
		p.check(len(r.Notices) == 1 && r.Notices[0].Attempts[0].Status/100 == 4, n.what+"开票通知被拒绝", short(r))
	}
	p.check(p.open(o.page()).Says("发票开具中"), "发票仍是“开具中”")
}

// fetch downloads the invoice, and sees that nobody else can.
func (p *player) fetch(o purchase) {
	number := p.invoices(o)[0].Blue.Number
	page := p.open("/invoices")
	p.check(page.Says(number) && page.Says(o.no) && page.Says("下载"), "「我的发票」列出发票号码 "+number, page.Text())
	address := p.instance.URL + o.page() + "/invoice/file"
	p.say(applicant, "点“下载发票”")
	file := must(p.browser.Get(p.ctx, address))
	p.check(file.Status == http.StatusOK && bytes.HasPrefix(file.Body, []byte("%PDF-")) && strings.Contains(file.Header.Get("Content-Disposition"), number), "得到 PDF，文件名含发票号码", file.Status, file.Header)
	stranger := must(newBrowser("").Get(p.ctx, address))
	p.check(!bytes.HasPrefix(stranger.Body, []byte("%PDF-")), "没有登录的人下载不到", stranger.Status)
}

// invoices are the order's invoices at the platform.
func (p *player) invoices(o purchase) []sim.Invoice {
	return slices.DeleteFunc(must(p.world.Invoices(p.ctx)), func(i sim.Invoice) bool { return !strings.Contains(i.Remark, o.no) })
}
