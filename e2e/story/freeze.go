package story

// freeze is a company that cannot find its key: its bound user freezes the
// certificate at once, finds the key, and takes the freeze back after a review.
func (p *player) freeze() {
	try(p.world.Advance(p.ctx, "25h")) // the codes of earlier stories are forgotten
	c, token := p.owner()
	p.published(c, p.clock(), good)

	p.say(applicant, "找不到 UKEY，在“我的证书”点“冻结”")
	at := "/certificates/" + c.serial + "/freeze"
	page := p.open(at)
	code := p.code("冻结证书", func() *Page { return must(p.browser.Post(p.ctx, page, at+"/code", nil)) })
	decided := p.clock()
	p.shown(p.send(p.browser, page, at, map[string]string{"sure": "yes", "code": code}))
	card := p.cardOf(c)
	p.check(card.says("已冻结") && card.offers("恢复", "补办") && !card.offers("自助解锁") && !card.offers("更新"), "证书已冻结，可以恢复或补办，不能解锁", card.text)
	p.told(mobile, "已冻结", decided)
	p.published(c, decided, held)

	p.say(applicant, "UKEY 找到了，申请恢复")
	o := p.apply(c, "resume", "yd-resume", nil)
	p.check(p.state(o).Label == "待审核" && len(p.trades(o)) == 0, "恢复免费，直接进入审核", short(p.state(o)))
	p.published(c, p.clock(), held)
	p.approve(o, p.claimWith(o, 2))
	p.becomes(o, "待恢复")
	at = o.page() + "/restore"
	page = p.open(at)
	wrong := p.send(p.browser, page, at, map[string]string{"code": "000000"})
	p.check(wrong.Says("验证码") && p.state(o).Label == "待恢复", "没有绑定手机的验证码不能恢复", wrong.Text())
	code = p.code("恢复证书", func() *Page { return must(p.browser.Post(p.ctx, page, at+"/code", nil)) })
	decided = p.clock()
	p.shown(p.send(p.browser, page, at, map[string]string{"code": code}))
	p.becomes(o, "已完成")
	card = p.cardOf(c)
	p.check(card.says("有效") && card.offers("自助解锁"), "证书恢复有效", card.text)
	p.told(mobile, "已恢复", decided)
	p.published(c, decided, good)
	p.challenge(token, []issued{c})
}
