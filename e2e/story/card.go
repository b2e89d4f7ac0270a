package story

import (
	"slices"
	"strings"
	"time"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// card is a certificate of 我的证书: what people read on it, and the buttons.
type card struct {
	text    string
	buttons []string
}

func (c card) says(what string) bool { return strings.Contains(c.text, what) }

// offers reports whether the card has all of these buttons.
func (c card) offers(verbs ...string) bool {
	return !slices.ContainsFunc(verbs, func(v string) bool { return !slices.Contains(c.buttons, v) })
}

// cardOf opens 我的证书 at a certificate.
func (p *player) cardOf(c issued) card {
	page := p.open("/certificates")
	n := first(page.root, func(n *html.Node) bool { return attr(n, "id") == "c-"+c.serial })
	if n == nil {
		p.check(false, "the certificate is listed", c.serial, page.Text())
	}
	out := card{text: textOf(n)}
	for _, b := range all(n, func(n *html.Node) bool { return n.DataAtom == atom.A || n.DataAtom == atom.Button }) {
		out.buttons = append(out.buttons, textOf(b))
	}
	return out
}

// told waits for an SMS that says something, sent after an instant.
func (p *player) told(mobile, says string, since time.Time) {
	p.eventually("短信告知 "+mobile[:3]+"****"+mobile[7:]+"：「"+says+"」", func() (bool, any) {
		all := must(p.world.SMS(p.ctx))
		for _, m := range all {
			if m.Mobile == mobile && strings.Contains(m.Text, says) && !m.At.Before(since) {
				return true, nil
			}
		}
		return false, short(all)
	})
}

// texted waits for an SMS about an order that says something and links to it.
func (p *player) texted(o purchase, says string) {
	p.eventually("短信告知「"+says+"」，附订单链接", func() (bool, any) {
		all := must(p.world.SMS(p.ctx))
		for _, m := range all {
			if m.Mobile == mobile && strings.Contains(m.Text, says) && strings.Contains(m.Text, p.instance.URL+o.page()) {
				return true, nil
			}
		}
		return false, short(all)
	})
}
