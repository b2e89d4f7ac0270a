package order_test

import (
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

// A promise is told until its day is over; from then on that it was not kept.
func TestGuideKeepsToTheClock(t *testing.T) {
	due := time.Date(2026, 11, 26, 9, 30, 0, 0, time.UTC)
	for way, want := range map[string][2]string{
		order.ShipCourier: {"预计 11月26日 前寄出，届时会短信通知。", "已超过承诺的 11月26日，很抱歉，我们会尽快办理，寄出时会短信通知。"},
		order.ShipPickUp:  {"预计 11月26日 前可以领取，届时会短信通知。", "已超过承诺的 11月26日，很抱歉，我们会尽快办理，可以领取时会短信通知。"},
	} {
		o := order.Order{State: order.State{Status: order.InReview, Stage: order.Queued}, DueAt: due, Form: order.NewForm(map[order.Field]string{order.ShipWay: way})}
		if got := o.Guide(due).Next; got != want[0] {
			t.Errorf("%s, in time: %s", way, got)
		}
		if got := o.Guide(due.Add(time.Second)).Next; !strings.HasPrefix(got, want[1]) {
			t.Errorf("%s, late: %s", way, got)
		}
	}
}
