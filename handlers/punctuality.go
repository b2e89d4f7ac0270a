package handlers

import (
	"fmt"
	"net/http"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/order"
)

// punctualityView is how the promise of F63 was kept of late, in public.
type punctualityView struct {
	order.Punctuality
	Today time.Time // the day by which an order that is complete now is posted
	Bars  []barView
}

// barView is how many orders took so long.
type barView struct {
	Label   string
	N       int
	Percent int // rounded
	Late    bool
}

// punctualityPage is 办理时效. Whoever promises a day should say how often he keeps it.
func (s *Server) punctualityPage(c *fiber.Ctx) error {
	p, err := s.Orders.Punctuality(c.UserContext())
	if err != nil {
		return err
	}
	v := punctualityView{Punctuality: p, Today: s.Orders.PostedBy(s.Now())}
	bar := func(label string, n int, late bool) {
		all := p.Posted + p.Overdue
		v.Bars = append(v.Bars, barView{label, n, (200*n + all) / max(1, 2*all), late})
	}
	last := len(p.Took) - 1
	for days, n := range p.Took[:last] {
		label := fmt.Sprintf("%d 个工作日", days)
		if days == 0 {
			label = "当天"
		}
		bar(label, n, false)
	}
	bar(fmt.Sprintf("超过 %d 个工作日", last-1), p.Took[last], true)
	if p.Overdue > 0 {
		bar("已超时，还没有寄出", p.Overdue, true)
	}
	return s.render(c, http.StatusOK, "punctuality", "办理时效", v)
}
