package story

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/yuncaidun/yuncaidun/provider/sim"
)

// The members of staff, as the playground knows them.
const (
	reviewer       = "李审核"
	secondReviewer = "周复核"
	shipper        = "赵发货"
	admin          = "孙管理"
)

// persona is how somebody is known to the playground.
func (p *player) persona(name string) sim.PersonaView {
	all := must(p.world.Personas(p.ctx))
	i := slices.IndexFunc(all, func(v sim.PersonaView) bool { return v.Name == name })
	if i < 0 {
		p.check(false, name+" is in the playground", short(all))
	}
	return all[i]
}

// visit opens an address of the console inside WeChat, logging in where needed:
// by OAuth and the code of the authenticator.
func (p *player) visit(name, address string) *Page {
	b := p.staff[name]
	if b == nil {
		b = newBrowser(insideWeChat)
		p.staff[name] = b
	}
	page := must(b.Get(p.ctx, address))
	if page.Status == http.StatusOK && page.URL.String() == address {
		return page
	}
	p.say(name, "微信授权登录，输入动态口令")
	at := must(url.Parse(address))
	chooser := p.shown(must(b.Get(p.ctx, p.instance.URL+"/staff/login?next="+url.QueryEscape(at.Path))))
	q := chooser.URL.Query()
	q.Set("persona", name)
	chooser.URL.RawQuery = q.Encode()
	page = p.shown(must(b.Get(p.ctx, chooser.URL.String())))
	p.check(page.URL.Path == "/staff/login/totp" && page.Says(name), "微信认出 "+name+"，要求动态口令", page.URL.Path, page.Text())
	page = p.shown(p.send(b, page, "/staff/login/totp", map[string]string{"code": p.persona(name).TOTP}))
	p.check(page.URL.Path == at.Path, "登录后回到任务页", page.URL.Path, page.Text())
	return page
}

// card is the newest task card of a member of staff about an order.
func (p *player) card(name string, o purchase, task string) (card sim.TemplateMessage) {
	openID := p.persona(name).OpenID
	p.eventually(name+" 收到任务卡片「"+task+"」", func() (bool, any) {
		for _, c := range p.cards(o) {
			if c.OpenID == openID && strings.Contains(short(c.Data), task) {
				card = c
				return true, nil
			}
		}
		return false, short(p.cards(o))
	})
	p.check(len(leaks(short(card))) == 0, "任务卡片不含个人信息", leaks(short(card)))
	return card
}

// claim opens the reviewer's task from its card and takes it.
func (p *player) claim(o purchase) *Page { return p.claimWith(o, len(pictures)) }

// claimWith is claim for an application with so many pictures.
func (p *player) claimWith(o purchase, photographs int) *Page {
	card := p.card(reviewer, o, "待审核")
	p.say(reviewer, "从卡片打开审核页")
	page := p.visit(reviewer, card.Card.URL)
	p.check(page.Says(company) && len(page.Texts("doc")) == photographs, "审核页并列显示图片与填写内容", page.Text())
	p.check(len(leaks(page.Text())) == 0, "审核页默认遮盖个人信息", leaks(page.Text()))
	p.eventually("经办人实名核验已通过", func() (bool, any) {
		page = p.shown(must(p.staff[reviewer].Get(p.ctx, card.Card.URL)))
		return strings.Contains(page.Text(), "实名") && !page.Says("等待"), page.Text()
	})
	page = p.shown(p.send(p.staff[reviewer], page, "/claim", nil))
	p.check(page.Says("您已领取"), "领取审核，锁定 15 分钟", page.Text())
	return page
}

// approve ticks the four checks on the claimed task's page and approves.
func (p *player) approve(o purchase, page *Page) {
	f := must(page.Form("/approve"))
	f.Values["tick"] = page.Choices("tick")
	p.check(len(f.Values["tick"]) == 4 && !f.Blocked, "四项核对可以勾选", f)
	p.say(reviewer, "勾选四项核对，点“通过”")
	p.shown(must(p.staff[reviewer].Submit(p.ctx, page, f)))
	p.check(slices.Contains(p.state(o).events(), "approve"), "审核通过", short(p.state(o)))
}

// reject refuses with reasons from the list.
func (p *player) reject(page *Page, codes ...string) {
	f := must(page.Form("/reject"))
	f.Values["reason"] = codes
	p.say(reviewer, "选择原因 "+strings.Join(codes, "、")+"，点“确认拒绝”")
	p.shown(must(p.staff[reviewer].Submit(p.ctx, page, f)))
}

// label is a tracking number that no earlier parcel had.
func (p *player) label() string { return fmt.Sprintf("SF%013d", p.clock().UnixMilli()) }

// ship sends the keys, and returns their serial numbers as the shipper reads them.
func (p *player) ship(o purchase, tracking string) []string {
	card := p.card(shipper, o, "待寄出")
	p.say(shipper, "打开发货台，核对 UKEY，录入顺丰单号 "+tracking)
	page := p.visit(shipper, card.Card.URL)
	p.check(len(leaks(page.Text())) == 0, "发货列表遮盖收件人信息", leaks(page.Text()))
	page = p.shown(must(p.staff[shipper].Get(p.ctx, p.instance.URL+"/staff/shipping/"+o.id)))
	keys := strings.Fields(strings.Join(page.Texts("keys"), " "))
	p.shown(p.send(p.staff[shipper], page, "/ship", map[string]string{"carrier": "sf", "tracking": tracking}))
	p.becomes(o, "已完成")
	return keys
}
