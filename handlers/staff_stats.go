package handlers

import (
	"cmp"
	"slices"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/order"
)

// statsView is a day of reviewing.
type statsView struct {
	Day     time.Time
	Today   bool
	Stats   order.ReviewStats
	By      []shareView
	Overdue []taskView
}

type shareView struct {
	Name string
	N    int
}

// stats is 今日统计, or of another day; what waits is always as of now.
func (k *console) stats(c *fiber.Ctx) error {
	ctx, now := c.UserContext(), k.Now()
	day := now
	if text := c.Query("day"); text != "" {
		var err error
		if day, err = time.ParseInLocation(time.DateOnly, text, order.Shanghai); err != nil {
			return order.Errorf(order.Invalid, "date_invalid", "日期格式应为 2026-01-31")
		}
	}
	s, err := order.DayStats(ctx, k.Records, day, now)
	if err != nil {
		return err
	}
	v := statsView{Day: day, Today: day.In(order.Shanghai).Format(time.DateOnly) == now.In(order.Shanghai).Format(time.DateOnly), Stats: s}
	for id, n := range s.By {
		v.By = append(v.By, shareView{k.staffName(ctx, id), n})
	}
	slices.SortFunc(v.By, func(a, b shareView) int { return cmp.Or(b.N-a.N, cmp.Compare(a.Name, b.Name)) })
	late, err := k.Records.Orders(ctx, order.Filter{Status: order.InReview, ReviewDueBefore: now, Sort: order.OldestFirst, Limit: pageSize})
	if err != nil {
		return err
	}
	for _, o := range late.Orders {
		v.Overdue = append(v.Overdue, k.taskView(c, o))
	}
	return k.show(c, "stats", "审核统计", v, nil)
}
