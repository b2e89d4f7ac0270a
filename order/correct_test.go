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
		if err := h.CorrectTracking(ctx, o.ID, nil, correction(rightNo, parcelNo)); codeOf(err) != "not_signed_for_required" {
			t.Errorf("after it was signed for: %v", err)
		}
	})
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
