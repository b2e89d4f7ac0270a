package story

import (
	"strings"
)

// Who takes over from the applicant, as the playground knows him.
const (
	heir       = "钱二宝"
	heirMobile = "17700007070"
	heirID     = "110101199208150023"
)

// rebind is a company whose handler has left with his telephone: a colleague asks
// for the key with a stamped letter, two reviewers agree, and it is his (F101).
func (p *player) rebind() {
	try(p.world.Advance(p.ctx, "25h")) // the codes of earlier stories are forgotten
	c, token := p.owner()
	former := p.browser
	p.check(p.cardOf(c).says(token), "证书绑定在原经办人名下")

	p.browser = newBrowser("Mozilla/5.0 (Windows NT 10.0; Win64; x64)")
	p.say(heir, "原经办人已离职：用自己的手机登录，凭 UKEY 序列号和单位代码申请换绑")
	p.signInAs(heirMobile)
	page := p.open("/handover")
	name := map[string]string{"business": "rebind", "token": token, "uscc": unitCode}
	wrong := p.send(p.browser, page, "/handover", map[string]string{"business": "rebind", "token": "TW99999999999999", "uscc": unitCode})
	p.check(wrong.Says("没有找到该 UKEY"), "说不出 UKEY 序列号的人不能申请", wrong.Text())
	page = p.shown(p.send(p.browser, page, "/handover", name))
	o := p.begun(page)
	p.check(len(leaks(page.Text())) == 0 && page.Value("agent.name") == "" && page.Value("agent.mobile") == heirMobile, "表单里没有原经办人的任何资料", leaks(page.Text()), page.Text())
	for i, field := range pictures {
		p.upload(page, o, field, Photo(i+11))
	}
	page = p.open(o.page() + "/edit")
	page = p.shown(p.send(p.browser, page, o.page()+"/form", map[string]string{
		"agent.name": heir, "agent.email": "qian.erbao@bid.example.com", "id.type": "resident_id", "id.no": heirID, "org.type": "enterprise", "org.industry": page.Choices("org.industry")[0],
		"auth.way": "paper", "legal.name": form["legal.name"], "do": "submit",
	}))
	p.check(strings.HasSuffix(page.URL.Path, "/confirm") && page.Says(company) && page.Says(token), "确认页写明要换绑的 UKEY", page.URL.Path, page.Text())
	code := p.codeTo(heirMobile, "提交订单", func() *Page { return must(p.browser.Post(p.ctx, page, o.page()+"/code", nil)) })
	p.shown(p.send(p.browser, page, "/confirm", map[string]string{"agree": "yes", "code": code}))
	o.no = p.state(o).No
	p.becomes(o, "待审核")

	p.approve(o, p.claim(o))
	p.check(p.state(o).Label == "待审核" && !p.open("/certificates").Says(token), "一位审核员通过后还不能换绑", short(p.state(o)))
	decided := p.clock()
	p.approveSecond(o)
	p.becomes(o, "已完成")
	p.check(p.cardOf(c).says(token), "证书已归新经办人")
	p.told(mobile, "绑定用户已更换", decided)
	p.told(heirMobile, "绑定用户已更换", decided)

	p.browser, former = former, p.browser
	p.eventually("原经办人的登录已经失效", func() (bool, any) {
		page := must(p.browser.Get(p.ctx, p.instance.URL+"/certificates"))
		return page.URL.Path == "/login", page.URL.Path
	})
	p.browser = former
	p.unlockCode(p.open("/unlock"), heirMobile, token)
	p.check(true, "以后解锁的验证码发到新经办人的手机")
}

// approveSecond is the second reviewer's part: the same four checks by another person.
func (p *player) approveSecond(o purchase) {
	card := p.card(secondReviewer, o, "待复核")
	p.say(secondReviewer, "从卡片打开复核页，勾选四项核对，点“通过”")
	page := p.visit(secondReviewer, card.Card.URL)
	f := must(page.Form("/approve"))
	f.Values["tick"] = page.Choices("tick")
	p.check(len(f.Values["tick"]) == 4 && !f.Blocked, "四项核对可以勾选", f)
	p.shown(must(p.staff[secondReviewer].Submit(p.ctx, page, f)))
}
