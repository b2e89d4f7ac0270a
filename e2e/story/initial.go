package story

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// initial is the product's main job from end to end: two keys, bought, reviewed,
// made and shipped, with the official account asked at every step.
func (p *player) initial() {
	issuedBefore := p.serials()
	o, page := p.draft("yd-initial", "2")
	answer := p.shown(must(p.browser.Upload(p.ctx, page, o.page()+"/pictures/license", "license.jpg", []byte("%PDF-1.7 this is no picture"))))
	p.check(strings.Contains(answer.Text(), "只支持 jpg、jpeg、png"), "文件头不是图片的“营业执照”被拒收", answer.Text())
	page = p.open(o.page() + "/edit")
	p.check(page.Value("license") != "", "原来的图片没有被替换")
	p.letter(o)
	o = p.confirm(o, page)
	p.bind()
	p.askState(o)

	p.refuseWrongAmount(o)
	p.pay(o)
	p.becomes(o, "待审核")
	p.askState(o)
	code := p.receipt(o)

	rival := p.visit(secondReviewer, p.card(secondReviewer, o, "待审核").Card.URL)
	task := p.claim(o)
	p.askState(o)
	p.tooLate(rival)
	p.approve(o, task)
	p.askState(o)
	p.becomes(o, "待配送")
	p.askState(o)

	certificates := p.certificates(issuedBefore, 2)
	no := p.label()
	keys := p.ship(o, no)
	p.askState(o)
	p.ask(o, "快递到哪了", no)
	p.check(len(keys) == 2, "发货台列出两把 UKEY", keys)
	answered := map[string]bool{}
	for _, token := range keys {
		answered[p.challenge(token, certificates).serial] = true
	}
	p.check(len(answered) == 2, "两把 UKEY 各持一张证书", answered)

	texts := []notice{{mobile, "审核通过"}, {mobile, no}, {form["ship.mobile"], no}}
	cards := slices.Concat(everyReviewer, everyShipper, []notice{{applicant, "审核通过"}, {applicant, "已发货"}})
	p.delivered(o, texts, cards)
	p.history(o)
	p.check(p.receiptSays(code, "已制证，UKEY 已寄出", "已签发 2 张，均有效", "凭证出具后情况已有变化"), "订单完成后，凭证页显示当前进度与出具时的不同")
	p.restart(o)
	p.delivered(o, texts, cards) // and nothing again after the restart
	p.sealed()
}

// refuseWrongAmount sends notifications that must not move the order: one a fen
// short, and one signed by somebody else.
func (p *player) refuseWrongAmount(o purchase) {
	t := p.showQR(o)
	for _, n := range []struct{ how, what string }{{FaultWrongAmount, "少一分钱的"}, {"forged", "他人伪造的"}} {
		p.say("体验场", "发送"+n.what+"支付通知")
		r := must(p.world.Pay(p.ctx, t.OutTradeNo, n.how, 0))
		p.check(len(r.Notices) == 1 && len(r.Notices[0].Attempts) == 1 && r.Notices[0].Attempts[0].Status/100 == 4, n.what+"支付通知被拒绝", short(r))
		p.check(p.state(o).Label == "待支付", "订单仍是「待支付」", short(p.state(o)))
	}
}

// tooLate has the second reviewer claim, on a page of before, what the first has
// claimed meanwhile.
func (p *player) tooLate(page *Page) {
	p.say(secondReviewer, "在先前打开的页面上点“领取审核”")
	page = p.send(p.staff[secondReviewer], page, "/claim", nil)
	p.check(page.Status == http.StatusConflict && page.Says(reviewer+"正在审核"), "后到的审核员被告知是谁在审", page.Status, page.Text())
}

// history checks the order's events, in order.
func (p *player) history(o purchase) {
	got := strings.Join(p.state(o).events(), " → ") // two keys made side by side are one line
	p.check(got == "confirm → paid → claim → approve → make_key → key_verified → ship", "办理记录完整有序："+got)
	page := p.open(o.page())
	p.check(page.Says("提交订单") && page.Says("支付成功") && page.Says("审核通过") && page.Says("2 个 UKEY 制作完成并验证") && page.Says("已寄出"), "订单页显示同样的办理记录", page.Text())
}

// readyAgain is how soon an instance is back on existing data; a busy machine
// gets five tries.
const (
	readyAgain = 2 * time.Second
	readyTries = 5
)

// restart stops the instance as an operator does and starts it on the same data.
func (p *player) restart(o purchase) {
	took := readyAgain
	for n := 0; n < readyTries && took >= readyAgain; n++ {
		p.say("运维", "SIGTERM 停止实例，再用同一份数据启动")
		try(p.instance.Stop(p.ctx))
		p.check(true, "实例正常退出（退出码 0）")
		began := p.Now()
		try(p.instance.Start(p.ctx))
		took = p.Now().Sub(began)
	}
	p.check(took < readyAgain, "重新就绪用时 "+took.Round(time.Millisecond).String(), "the limit is", readyAgain)
	if must(p.browser.Get(p.ctx, p.instance.URL+o.page())).URL.Path != o.page() { // sessions were in memory
		p.signIn()
	}
	p.check(p.state(o).Label == "已完成" && p.open("/orders").Says(o.no), "订单还在，状态不变", short(p.state(o)))
}
