package handlers

import (
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/yuncaidun/yuncaidun/order"
)

// posted puts orders into the database that were promised and posted; a zero time is
// not posted yet.
func (w *web) posted(n int, due, at time.Time, change func(*order.Order)) {
	w.t.Helper()
	for range n {
		id := ulid.Make().String()
		o := order.Order{
			ID: order.ID(id), No: "NO" + id, Business: order.Initial, State: order.State{Status: order.Completed}, Rev: 1, Seq: 1,
			Product: order.Product{Code: "p", Project: "k", Name: "运达能源-初购", Business: order.Initial, IssueMode: order.ByAdmin},
			DueAt:   due, ShippedAt: at, CreatedAt: w.clock.now(), UpdatedAt: w.clock.now(),
		}
		if at.IsZero() {
			o.State = order.State{Status: order.ToIssue, Stage: order.Making}
		}
		if change != nil {
			change(&o)
		}
		must(w.t, w.db.InTx(w.t.Context(), func(tx order.Tx) error { return tx.InsertOrder(w.t.Context(), o) }))
	}
}

// Who promises a day says in public how often he keeps it (F63): what is late and not
// posted yet counts, single customers cannot be told, and the figures are minutes old at most.
func TestPunctualityInPublic(t *testing.T) {
	w := newWeb(t)
	b := w.browser()
	now := w.clock.now() // Monday, 23 November 2026
	page := func() string { t.Helper(); return b.get("/punctuality").Body }
	wantIn(t, "the promise", page(), "2026-11-26</strong> 前寄出", "不到 20 个")

	w.posted(18, now.AddDate(0, 0, 1), now.Add(-time.Hour), nil)
	w.clock.advance(11 * time.Minute)
	wantIn(t, "eighteen", page(), "不到 20 个")

	w.posted(1, now.AddDate(0, 0, -10), now.AddDate(0, 0, -3), nil)
	w.posted(1, now.AddDate(0, 0, -1), time.Time{}, nil)
	w.posted(5, now.AddDate(0, 0, -40), now.AddDate(0, 0, -40), nil) // long ago
	w.posted(5, now.AddDate(0, 0, -1), time.Time{}, func(o *order.Order) { o.Form = order.NewForm(map[order.Field]string{order.ShipWay: order.ShipPickUp}) })
	w.posted(5, now.AddDate(0, 0, -1), time.Time{}, func(o *order.Order) { o.Refund = order.Refunding })
	w.posted(5, now.AddDate(0, 0, -1), time.Time{}, func(o *order.Order) { o.Business, o.Product.IssueMode = order.UnlockApproval, "" })
	w.posted(5, now.AddDate(0, 0, -40), time.Time{}, func(o *order.Order) { o.Express = order.ExpressPromised }) // another promise
	wantIn(t, "a moment later", page(), "不到 20 个")
	w.clock.advance(11 * time.Minute)
	got := page()
	wantIn(t, "twenty", got, "90%", "一半的订单在 2 个工作日内寄出", "2026-10-24 至 2026-11-23，19 个已寄出的订单，1 个超时还没有寄出",
		"18 单，90%", "1 单，5%", "已超时，还没有寄出")
	wantNotIn(t, "twenty", got, "不到 20 个", "的加急订单")

	express := func(s order.ExpressState) func(*order.Order) { return func(o *order.Order) { o.Express = s } }
	w.posted(18, now.AddDate(0, 0, -1), now.AddDate(0, 0, -2), express(order.ExpressKept))
	w.posted(2, now.AddDate(0, 0, -1), now.Add(-time.Hour), express(order.ExpressMissed))
	w.posted(5, now.AddDate(0, 0, -40), now.AddDate(0, 0, -41), express(order.ExpressMissed)) // long ago
	w.clock.advance(11 * time.Minute)
	wantIn(t, "express", page(), "最近 30 天的加急订单 90% 按时办好")
}
