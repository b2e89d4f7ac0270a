package story

import (
	"fmt"
	"slices"
	"strings"

	"github.com/yuncaidun/yuncaidun/provider/sim"
)

// cards are the template messages about an order, newest first.
func (p *player) cards(o purchase) []sim.TemplateMessage {
	return slices.DeleteFunc(must(p.world.Cards(p.ctx)), func(c sim.TemplateMessage) bool {
		named := c.Data["character_string1"] == o.no || c.Data["character_string2"] == o.tail()
		return !named || c.At.Before(o.since)
	})
}

// texts are the notices about an order by SMS, newest first.
func (p *player) texts(o purchase) []sim.SMSMessage {
	return slices.DeleteFunc(must(p.world.SMS(p.ctx)), func(m sim.SMSMessage) bool {
		return !strings.Contains(m.Text, "尾号"+o.tail()) || m.At.Before(o.since)
	})
}

// notice is a message that somebody must have got.
type notice struct{ who, says string }

// The task cards of a submission and of a finished order; an administrator has
// every role.
var (
	everyReviewer = []notice{{reviewer, "待审核"}, {secondReviewer, "待审核"}, {admin, "待审核"}}
	everyShipper  = []notice{{shipper, "待寄出"}, {admin, "待寄出"}}
)

// delivered checks that every notice about the order arrived once and nothing
// else did.
func (p *player) delivered(o purchase, texts, cards []notice) {
	names := map[string]string{}
	for _, v := range must(p.world.Personas(p.ctx)) {
		names[v.OpenID] = v.Name
	}
	p.eventually(fmt.Sprintf("%d 条短信、%d 条微信通知都已送达，每条恰好一次", len(texts), len(cards)), func() (bool, any) {
		var gotTexts, gotCards []notice
		for _, m := range p.texts(o) {
			gotTexts = append(gotTexts, notice{m.Mobile, m.Text})
		}
		for _, c := range p.cards(o) {
			gotCards = append(gotCards, notice{names[c.OpenID], short(c.Data)})
		}
		return same(texts, gotTexts) && same(cards, gotCards), fmt.Sprint("SMS: ", gotTexts, " | WeChat: ", gotCards)
	})
}

// same reports whether each wanted notice is among the got ones, and no other.
func same(want, got []notice) bool {
	left := slices.Clone(got)
	for _, w := range want {
		i := slices.IndexFunc(left, func(g notice) bool { return g.who == w.who && strings.Contains(g.says, w.says) })
		if i < 0 {
			return false
		}
		left = slices.Delete(left, i, i+1)
	}
	return len(left) == 0
}
