package story

import (
	"slices"
	"strings"
)

// download is a buyer who has a USBKEY already: the product's issue mode leads to
// 待下载, the key helper writes the certificate, nothing is made or shipped, and the
// key holds two certificates (F9, F99, row 25).
func (p *player) download() {
	try(p.world.Advance(p.ctx, "25h")) // the codes of earlier stories are forgotten
	first, token := p.owner()
	before := p.serials()
	o, page := p.draft("yd-initial-own", "1")
	p.check(!page.Has("ship.way") && !page.Has("ship.address"), "下载到自己的 UKEY 不填收件信息")
	page = p.shown(p.send(p.browser, page, o.page()+"/form", map[string]string{"do": "submit"}))
	p.check(strings.HasSuffix(page.URL.Path, "/confirm") && page.Says(company) && page.Says("200.00"), "确认页列出全部信息", page.Text())
	o = p.agree(o, page)
	p.pay(o)
	p.becomes(o, "待审核")
	p.approve(o, p.claim(o))
	p.becomes(o, "待下载")
	p.texted(o, "下载")
	p.write(o, "download", token)
	second := p.certificates(before, 1)[0]
	p.onToken(token, 2, first, second)
	p.published(first, p.clock(), good)
	p.published(second, p.clock(), good)
	p.check(p.cardOf(first).says(token) && p.cardOf(second).says(token), "我的证书里，两张证书在同一把 UKEY 上", p.cardOf(second).text)
	shipped := slices.ContainsFunc(p.state(o).events(), func(e string) bool { return e == "ship" || e == "make_key" })
	p.check(!shipped, "没有制证，也没有寄送", p.state(o).events())
}
