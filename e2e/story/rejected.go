package story

import (
	"slices"
	"strings"
)

// rejected is an order that comes back for a better photograph of the letter.
func (p *player) rejected() {
	issuedBefore := p.serials()
	o := p.confirm(p.draft("yd-initial-rsa", "1"))
	p.bind()
	p.pay(o)
	p.becomes(o, "待审核")
	p.reject(p.claim(o), "R03")
	p.becomes(o, "审核拒绝")
	p.check(strings.Contains(short(p.state(o).Reasons), "授权书公章不清晰"), "订单上有拒绝原因", short(p.state(o)))
	rejection := notice{mobile, "授权书公章不清晰或不完整"}
	p.eventually("短信告知原因和修改链接", func() (bool, any) {
		for _, m := range p.texts(o) {
			if m.Mobile == mobile && strings.Contains(m.Text, rejection.says) && strings.Contains(m.Text, p.instance.URL+o.page()) {
				return true, nil
			}
		}
		return false, short(p.texts(o))
	})
	p.ask(o, "为什么被退回", "授权书公章不清晰或不完整", "R03", "修改项：盖章授权书", o.page()+"/edit#letter")
	p.askState(o)

	p.say(applicant, "打开短信里的链接，重新拍授权书，重新提交")
	page := p.open(o.page())
	fix := must(page.Link("立即修改"))
	page = p.shown(must(p.browser.Get(p.ctx, fix)))
	p.check(page.Says("审核意见：授权书公章不清晰或不完整"), "修改页在授权书一栏标出审核意见", page.Text())
	before := page.Value("letter")
	fixed := p.upload(page, o, "letter", Photo(9)).Value("letter")
	p.check(fixed != before, "新的授权书图片已上传")
	p.shown(p.send(p.browser, page, o.page()+"/form", map[string]string{"letter": fixed, "do": "submit"}))
	p.becomes(o, "待审核")
	p.check(len(p.trades(o)) == 1, "没有再次付款", short(p.trades(o)))
	p.askState(o)

	p.again(o)
	p.approve(o, p.claim(o))
	p.becomes(o, "待配送")
	certificates := p.certificates(issuedBefore, 1)
	no := p.label()
	keys := p.ship(o, no)
	p.check(len(keys) == 1, "发货台列出一把 UKEY", keys)
	p.challenge(keys[0], certificates)
	p.askState(o)
	p.delivered(o,
		[]notice{rejection, {mobile, "审核通过"}, {mobile, no}, {form["ship.mobile"], no}},
		slices.Concat(everyReviewer, everyReviewer, everyShipper, []notice{{applicant, "审核拒绝"}, {applicant, "审核通过"}, {applicant, "已发货"}}))
	p.check(strings.Join(p.state(o).events(), " ") == "confirm paid claim reject resubmit claim approve make_key key_verified ship",
		"办理记录完整有序："+strings.Join(p.state(o).events(), " → "))
}

// again waits for the task cards of the second submission.
func (p *player) again(o purchase) {
	for _, name := range []string{reviewer, secondReviewer} {
		p.card(name, o, "第 2 次提交")
	}
}
