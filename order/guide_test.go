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
		o := order.Order{Business: order.Initial, Product: order.Product{IssueMode: order.ByAdmin}, State: order.State{Status: order.InReview, Stage: order.Queued}, DueAt: due, Form: order.NewForm(map[order.Field]string{order.ShipWay: way})}
		if got := o.Guide(due).Next; got != want[0] {
			t.Errorf("%s, in time: %s", way, got)
		}
		if got := o.Guide(due.Add(time.Second)).Next; !strings.HasPrefix(got, want[1]) {
			t.Errorf("%s, late: %s", way, got)
		}
	}
}

// Only what is made and handed over is promised to be sent; and nobody is told of a day
// that was missed once it is his move, or the order is done or on its way back.
func TestGuidePromisesWhatComes(t *testing.T) {
	due := time.Date(2026, 11, 26, 9, 30, 0, 0, time.UTC)
	review := order.State{Status: order.InReview, Stage: order.Queued}
	o := order.Order{Business: order.Renewal, Product: order.Product{IssueMode: order.BySelf}, State: review, DueAt: due}
	if got := o.Guide(due).Next; got != "预计 11月26日 前完成审核，届时会短信通知。" {
		t.Errorf("a renewal onto the own USBKEY: %s", got)
	}
	o.Product.IssueMode = order.ByAdmin
	for name, test := range map[string]struct {
		state   order.State
		refund  order.RefundState
		overdue bool
	}{
		"in review":       {review, order.NoRefund, true},
		"to post":         {order.State{Status: order.ToShip, Stage: order.ToPost}, order.NoRefund, true},
		"to pick up":      {order.State{Status: order.ToShip, Stage: order.ToPickUp}, order.NoRefund, false},
		"to renew":        {order.State{Status: order.ToRenew, Stage: order.Ready}, order.NoRefund, false},
		"completed":       {order.State{Status: order.Completed}, order.NoRefund, false},
		"on its way back": {review, order.Refunding, false},
	} {
		o.State, o.Refund = test.state, test.refund
		if o.Overdue(due) || o.Overdue(due.Add(time.Second)) != test.overdue {
			t.Errorf("%s: overdue %v", name, o.Overdue(due.Add(time.Second)))
		}
	}
}

// Rows 34, 35 and 58: who is told to put an order right reads until when, what it costs
// and what becomes of it otherwise; what ran out is not applied for, or paid, again.
func TestGuideSaysHowLongToPutRight(t *testing.T) {
	for name, tt := range map[string]struct {
		amount order.Fen
		want   string
	}{
		"paid": {30000, "请按原因修改后重新提交，不需要再次付款。退回后 30 天内没有重新提交的，订单关闭，款项原路退回。"},
		"free": {0, "请按原因修改后重新提交，仍然免费。退回后 90 天内没有重新提交的，订单关闭，之后可以重新申请。"},
	} {
		o := order.Order{State: order.State{Status: order.Rejected, Stage: order.Fixable}, Amount: tt.amount, Reasons: []order.Reason{{Code: "R03"}}}
		if got := o.Guide(time.Time{}).Next; got != tt.want {
			t.Errorf("%s: %s", name, got)
		}
	}
	unlock := order.Order{Business: order.UnlockApproval, State: order.State{Status: order.ToUnlock}, Amount: 5000}
	if got := unlock.Guide(time.Time{}).Next; strings.Contains(got, "重新申请") || !strings.Contains(got, "不需要再次付款") {
		t.Errorf("an approved unlock: %s", got)
	}
}

// G25: who has a new USBKEY on its way or in his hands is led to its initial PIN, which no
// SMS and no parcel tells; not who renewed onto his own, or whose parcel comes back. Whether
// there is a PIN to be told is not for the order to say.
func TestGuideLeadsToTheInitialPIN(t *testing.T) {
	at := time.Date(2026, 11, 26, 9, 30, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		change func(*order.Order)
		want   string
	}{
		"posted":     {func(*order.Order) {}, "收到后在电脑上"},
		"signed":     {func(o *order.Order) { o.Parcel = order.ParcelSigned }, "第一次使用前在电脑上"},
		"collected":  {func(o *order.Order) { o.TrackingNo, o.ShippedAt, o.UpdatedAt = "", time.Time{}, at }, "第一次使用前在电脑上"},
		"comes back": {func(o *order.Order) { o.Parcel = order.ParcelReturning }, ""},
		"given back": {func(o *order.Order) { o.Refund = order.Refunding }, ""},
		"own USBKEY": {func(o *order.Order) { o.Product.IssueMode, o.TrackingNo = order.BySelf, "" }, ""},
		"no parcel":  {func(o *order.Order) { o.Business, o.TrackingNo = order.UnlockApproval, "" }, ""},
	} {
		o := order.Order{
			Business: order.Initial, Product: order.Product{IssueMode: order.ByAdmin}, State: order.State{Status: order.Completed},
			Carrier: "sf", TrackingNo: "SF1234567890123", Parcel: order.ParcelPosted, ShippedAt: at,
		}
		tt.change(&o)
		g := o.Guide(at)
		if !strings.HasPrefix(g.FirstUse, tt.want) || strings.Contains(g.FirstUse, "初始口令") != (tt.want != "") || strings.Contains(g.Next, "初始口令") {
			t.Errorf("%s: %q, then %q", name, g.Next, g.FirstUse)
		}
	}
}

// A completed order says what it brought about and when, in the words of its business; not
// that a certificate can be used, which may be frozen by the time that this is read.
func TestGuideSaysWhatWasBroughtAbout(t *testing.T) {
	at := time.Date(2026, 11, 26, 9, 30, 0, 0, time.UTC)
	for b, want := range map[order.Business]string{
		order.Initial: "证书已于 11月26日 写入 UKEY，有效期和现在的状态见「我的证书」。", order.Renewal: "证书已于 11月26日 更新，新的有效期和现在的状态见「我的证书」。",
		order.Reissue: "新证书已于 11月26日 写入 UKEY，有效期和现在的状态见「我的证书」。", order.Resume: "证书已于 11月26日 恢复，现在的状态见「我的证书」。", order.Rebind: "证书已于 11月26日 换绑到您的手机号。",
		order.UnlockSelf: "自助解锁已办理，请使用新口令。", order.UnlockApproval: "UKEY 已解锁，请使用新口令。",
	} {
		o := order.Order{Business: b, Product: order.Product{IssueMode: order.BySelf}, State: order.State{Status: order.Completed}, CompletedAt: at}
		if g := o.Guide(at); g.What != want || g.Action != order.NoAction {
			t.Errorf("%s: %q, then %q", b, g.What, g.Action)
		}
	}
	o := order.Order{Business: order.Reissue, Product: order.Product{IssueMode: order.ByAdmin}, State: order.State{Status: order.Completed}}
	if g := o.Guide(time.Time{}); g.What != "UKEY 已领取。" || g.Action != order.NoAction {
		t.Errorf("collected: %q, then %q", g.What, g.Action)
	}
}

// What the applicant has to do in time is told with the time.
func TestGuideSaysUntilWhen(t *testing.T) {
	at := time.Date(2026, 11, 30, 2, 15, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		o    order.Order
		want string
	}{
		"to pay":     {order.Order{Business: order.Initial, State: order.State{Status: order.AwaitingPayment}, PlacedAt: at.Add(-time.Hour), Consent: order.Consent{At: at}}, "12月7日 10:15 前完成支付"},
		"to unlock":  {order.Order{Business: order.UnlockApproval, State: order.State{Status: order.ToUnlock}, ApprovedAt: at}, "12月7日 10:15 前插好"},
		"to restore": {order.Order{Business: order.Resume, State: order.State{Status: order.ToRestore}, ApprovedAt: at}, "12月7日 10:15 前通过"},
		"to fetch":   {order.Order{Business: order.Initial, State: order.State{Status: order.ToDownload, Stage: order.Ready}, ApprovedAt: at}, "12月30日 10:15 前，在插着"},
	} {
		t.Run(name, func(t *testing.T) {
			if g := tt.o.Guide(at.Add(5 * 24 * time.Hour)); !strings.Contains(g.Next, tt.want) {
				t.Errorf("%s, want %s", g.Next, tt.want)
			}
		})
	}
}
