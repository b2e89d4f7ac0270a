package story

import (
	"context"
	"io"
	"strconv"
	"time"
)

// Stage plays parts of the stories against an instance that a test has started: how
// things stood before what the test is about.
type Stage struct{ p *player }

// On is the stage of an instance; what is played there is told to out.
func On(ctx context.Context, i *Instance, out io.Writer, now func() time.Time) Stage {
	return Stage{&player{ctx: ctx, Options: Options{Out: out, Now: now}, instance: i, world: Playground{URL: i.URL}, staff: map[string]*Browser{}}}
}

// Approved is the id of an order for so many keys that is paid and approved.
func (s Stage) Approved(product string, keys int) (id string, err error) {
	err = s.p.play(func(p *player) { id = p.approved(product, keys).id })
	return id, err
}

func (p *player) approved(product string, keys int) purchase {
	o := p.confirm(p.draft(product, strconv.Itoa(keys)))
	p.pay(o)
	p.becomes(o, "待审核")
	p.approve(o, p.claim(o))
	return o
}

// ProposeFewer has finance propose to the applicant to do without so many keys (row 40).
func (s Stage) ProposeFewer(id string, keys int, why string) error {
	return s.p.play(func(p *player) {
		page := p.visit(financier, p.instance.URL+"/staff/finance/"+id)
		p.shown(p.send(p.staff[financier], page, "/give-up", map[string]string{"keys": strconv.Itoa(keys), "note": why, "do": "ask"}))
	})
}

// Shipped is the id of an order that is shipped under that number, whose invoice the
// platform has been asked for and has not answered.
func (s Stage) Shipped(product, tracking string) (id string, err error) {
	err = s.p.play(func(p *player) {
		o := p.approved(product, 1)
		p.becomes(o, "待配送")
		must(p.world.PlanInvoice(p.ctx, "hold"))
		p.ship(o, tracking)
		p.eventually("已向税务平台申请开票，快递开始跟踪", func() (bool, any) {
			return len(p.invoices(o)) == 1 && len(must(p.world.Parcels(p.ctx))) == 1, short(p.invoices(o))
		})
		id = o.id
	})
	return id, err
}
