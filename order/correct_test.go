package order_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

const rightNo = "SF1234567890124"

func correction(wrong, right string) order.Command {
	return order.Command{By: byShipper, Carrier: "sf", TrackingNo: right, WrongNo: wrong}
}

// Row 72: a wrong number is corrected. What its courier said, and will say, is about
// another parcel; the right one is followed and told.
func TestTrackingIsCorrected(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		o := h.sent(t, h.made(t), parcelNo)
		if err := h.FollowParcel(ctx, o.ID); err != nil {
			t.Fatal(err)
		}
		said := func(no string, s order.ParcelState) error {
			h.advance(time.Minute)
			return h.CourierReported(ctx, order.CourierReport{TrackingNo: no, State: s, Track: []order.TrackLine{{At: h.now(), Text: s.Label()}}})
		}
		if err := said(parcelNo, order.ParcelDelivering); err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]order.Command{
			"has_tracking_required":        correction(parcelNo, "SF12"),
			"number_differs_required":      correction(parcelNo, parcelNo),
			"wrong_number_stands_required": correction(rightNo, "SF1234567890125"),
			"role_not_allowed":             {By: order.Actor{Role: order.Finance, StaffID: "f"}, Carrier: "sf", TrackingNo: rightNo, WrongNo: parcelNo},
		} {
			if err := h.CorrectTracking(ctx, o.ID, nil, c); codeOf(err) != name {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := h.CorrectTracking(ctx, o.ID, nil, correction(parcelNo, rightNo)); err != nil {
			t.Fatal(err)
		}
		o = h.order(t, o.ID)
		all := h.shipments(t, o.ID)
		if o.TrackingNo != rightNo || o.Parcel != order.ParcelPosted || o.Status != order.Completed || len(all) != 1 || all[0].TrackingNo != rightNo || len(all[0].Track) != 0 || !all[0].TrackedAt.IsZero() {
			t.Fatalf("corrected: %s %s, %+v", o.TrackingNo, o.Parcel, all)
		}
		if err := said(parcelNo, order.ParcelSigned); !errors.Is(err, order.Conflict) {
			t.Errorf("a word about the wrong parcel: %v", err)
		}
		if o = h.order(t, o.ID); o.Parcel != order.ParcelPosted {
			t.Errorf("the wrong parcel was signed for: %s", o.Parcel)
		}
		for range 2 {
			if err := h.FollowParcel(ctx, o.ID); err != nil {
				t.Fatal(err)
			}
		}
		if want := []string{"sf " + parcelNo + " 0099", "sf " + rightNo + " 0099"}; !slices.Equal(h.courier.followed, want) {
			t.Errorf("followed %v", h.courier.followed)
		}
		events, err := h.db.Events(ctx, o.ID)
		if err != nil {
			t.Fatal(err)
		}
		if last := events[len(events)-1]; last.Event != order.CorrectTracking || !strings.Contains(last.Note, parcelNo) || !strings.Contains(last.Note, rightNo) {
			t.Errorf("the history ends with %+v", last)
		}
		told := map[order.Audience]int{}
		notices, err := h.db.Notifications(ctx, o.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range notices {
			if n.Notice == order.NoticeTrackingCorrected && n.Medium == order.SMS {
				told[n.To]++
			}
		}
		if told[order.ToRecipient] != 1 || told[order.ToAgent] != 1 {
			t.Errorf("told %v", told)
		}
		if err := said(rightNo, order.ParcelSigned); err != nil {
			t.Fatal(err)
		}
		if err := h.CorrectTracking(ctx, o.ID, nil, correction(rightNo, parcelNo)); codeOf(err) != "admin_corrects_required" {
			t.Errorf("after it was signed for: %v", err)
		}
		for asked, want := range map[string]int{parcelNo: 1, rightNo: 0, "SF": 0, "%": 0} {
			page, err := h.db.Orders(ctx, order.Filter{Corrected: asked})
			if err != nil || len(page.Orders) != want {
				t.Errorf("%s: %d orders, %v", asked, len(page.Orders), err)
			}
		}
	})
}

// Row 72: a stranger's parcel that was signed for says nothing about ours. An admin corrects
// its number with a reason, for thirty days, also while money is on its way back; once it is
// back, nothing is corrected.
func TestSignedTrackingIsCorrected(t *testing.T) {
	admin := order.Actor{Role: order.Admin, StaffID: "admin", Channel: order.Web}
	tests := map[string]struct {
		change func(t *testing.T, h *house, o order.Order, c *order.Command)
		want   string
	}{
		"by an admin, with a reason": {nil, "<nil>"},
		"by a shipper":               {func(_ *testing.T, _ *house, _ order.Order, c *order.Command) { c.By = byShipper }, "admin_corrects_required"},
		"without a reason":           {func(_ *testing.T, _ *house, _ order.Order, c *order.Command) { c.Why = "" }, "why_corrected_required"},
		"a reason with a mobile":     {func(_ *testing.T, _ *house, _ order.Order, c *order.Command) { c.Why = "联系 13800138000" }, "why_corrected_required"},
		"on the thirtieth day": {func(_ *testing.T, h *house, _ order.Order, _ *order.Command) {
			h.advance(30*24*time.Hour - time.Minute)
		}, "<nil>"},
		"after thirty days": {func(_ *testing.T, h *house, _ order.Order, _ *order.Command) {
			h.advance(30*24*time.Hour + time.Minute)
		}, "sent_lately_required"},
		"while money goes back": {refunds(false), "<nil>"},
		"once it is back":       {refunds(true), "order_not_ready"},
		"a parcel that is lost": {func(t *testing.T, h *house, o order.Order, _ *order.Command) {
			items := h.issued(t, o)
			h.mustApply(t, o.ID, order.Command{On: order.ParcelMissed, By: byShipper, Items: []string{items[0].ID}, Claim: "C1", Note: "压坏", Proven: nil})
		}, "not_lost_required"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			eachDB(t, func(t *testing.T, h *house) {
				o := h.sent(t, h.made(t), parcelNo)
				signed := order.CourierReport{TrackingNo: parcelNo, State: order.ParcelSigned, Track: []order.TrackLine{{At: h.now().Add(time.Minute), Text: "已签收"}}}
				if err := h.CourierReported(t.Context(), signed); err != nil || h.order(t, o.ID).Parcel != order.ParcelSigned {
					t.Fatalf("%s, %v", h.order(t, o.ID).Parcel, err)
				}
				c := correction(parcelNo, rightNo)
				c.By, c.Why = admin, "该单号是别人的包裹"
				if tt.change != nil {
					tt.change(t, h, o, &c)
				}
				offered := h.order(t, o.ID).TrackingCorrectable(c.By.Role, h.now())
				if err := h.CorrectTracking(t.Context(), o.ID, nil, c); codeOf(err) != tt.want {
					t.Fatalf("corrected: %v, want %s", err, tt.want)
				}
				if offered != (tt.want == "<nil>" || tt.want == "why_corrected_required") {
					t.Errorf("offered: %t", offered)
				}
				if tt.want != "<nil>" {
					return
				}
				if o = h.order(t, o.ID); o.TrackingNo != rightNo || o.Parcel != order.ParcelPosted {
					t.Errorf("%s %s", o.TrackingNo, o.Parcel)
				}
				events, err := h.db.Events(t.Context(), o.ID)
				if err != nil || !strings.HasSuffix(events[len(events)-1].Note, rightNo+"（该单号是别人的包裹）") {
					t.Errorf("the history ends with %+v, %v", events[len(events)-1], err)
				}
			})
		})
	}
}

// refunds has an order's money go back, and arrive.
func refunds(arrived bool) func(*testing.T, *house, order.Order, *order.Command) {
	return func(t *testing.T, h *house, o order.Order, _ *order.Command) {
		h.issued(t, o)
		h.mustApply(t, o.ID, order.Command{On: order.RefundProposed, By: finance, Note: "不办了", End: order.KeysWaived})
		h.mustApply(t, o.ID, order.Command{On: order.RefundStart, By: finance2})
		if arrived {
			if err := h.RunRefund(t.Context(), o.TradeNo); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Row 72: orders that travel in one parcel are corrected together or not at all.
func TestTrackingOfSeveralOrdersIsCorrected(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		_, reviewer := h.holder(t, "2027-11-20") // whose key has left under this number
		first, err := h.db.Orders(t.Context(), order.Filter{Tracking: parcelNo})
		if err != nil || len(first.Orders) != 1 {
			t.Fatal(first, err)
		}
		one := first.Orders[0].ID
		o := h.confirm(t, h.draft(t, map[order.Field]string{order.InvoiceWant: order.No}))
		h.pays(t, o)
		o = h.approve(t, o, reviewer)
		items, err := h.db.Items(t.Context(), o.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range items {
			h.mustApply(t, o.ID, order.Command{On: order.MakeKey, By: order.BySystem, Item: it.ID})
			h.mustApply(t, o.ID, order.Command{On: order.KeyVerified, By: order.BySystem, Item: it.ID, TokenSerial: it.ID, CertSerial: it.ID, Proven: []order.Fact{order.ReadBack}})
		}
		two := h.sent(t, o, "SF1234567890129").ID
		refused, _ := order.AsError(h.CorrectTracking(t.Context(), one, []order.ID{two}, correction(parcelNo, rightNo)))
		if refused == nil || refused.Code != "wrong_number_stands_required" || !strings.Contains(refused.Detail, order.TailOf(h.order(t, two).No)) {
			t.Errorf("of another parcel: %v", refused)
		}
		if got := h.order(t, one).TrackingNo; got != parcelNo {
			t.Errorf("half of it was corrected: %s", got)
		}
		if err := h.CorrectTracking(t.Context(), two, nil, correction("SF1234567890129", parcelNo)); err != nil {
			t.Fatal(err)
		}
		if err := h.CorrectTracking(t.Context(), one, []order.ID{two, one}, correction(parcelNo, rightNo)); err != nil {
			t.Fatal(err)
		}
		for _, id := range []order.ID{one, two} {
			if got := h.order(t, id).TrackingNo; got != rightNo {
				t.Errorf("order %s has %s", id, got)
			}
		}
	})
}

// Row 72: of two who correct a number at once, one wins and the other is told.
func TestTwoCorrectATrackingNumber(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		o := h.sent(t, h.made(t), parcelNo)
		codes := make([]string, 2)
		var both sync.WaitGroup
		for i, right := range []string{rightNo, "SF1234567890125"} {
			both.Go(func() { codes[i] = codeOf(h.CorrectTracking(t.Context(), o.ID, nil, correction(parcelNo, right))) })
		}
		both.Wait()
		slices.Sort(codes)
		if codes[0] != "<nil>" || codes[1] != "wrong_number_stands_required" && codes[1] != "order_changed" {
			t.Errorf("answers %v", codes)
		}
		if n := h.count(t, o.ID, order.CorrectTracking); n != 1 {
			t.Errorf("corrected %d times", n)
		}
	})
}
