package order_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/issuance"
	"github.com/yuncaidun/yuncaidun/order"
)

// desk follows parcels for the tests.
type courierDesk struct {
	mu       sync.Mutex
	followed []string
	down     bool
}

func (d *courierDesk) Follow(_ context.Context, carrier, no, tail string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.down {
		return order.Errorf(order.Unavailable, "courier_unavailable", "物流查询暂时不可用")
	}
	d.followed = append(d.followed, carrier+" "+no+" "+tail)
	return nil
}

// byShipper is a member of staff.
var byShipper = order.Actor{Role: order.Shipper, StaffID: "shipper", PersonID: "p-shipper", Channel: order.Web}

const parcelNo = "SF1234567890123"

// made is a paid order of two keys that are made.
func (h *house) made(t *testing.T) order.Order {
	t.Helper()
	return h.madeOf(t, h.approved(t, map[order.Field]string{order.InvoiceWant: order.No}))
}

// madeOf makes the keys of an approved order.
func (h *house) madeOf(t *testing.T, o order.Order) order.Order {
	t.Helper()
	items, err := h.db.Items(t.Context(), o.ID)
	if err != nil {
		t.Fatal(err)
	}
	for i, it := range items {
		h.mustApply(t, o.ID, order.Command{On: order.MakeKey, By: order.BySystem, Item: it.ID})
		o = h.mustApply(t, o.ID, order.Command{On: order.KeyVerified, By: order.BySystem, Item: it.ID, TokenSerial: fmt.Sprintf("TW%014d", i), CertSerial: fmt.Sprintf("%040d", i), Proven: []order.Fact{order.ReadBack}})
	}
	return o
}

// approved is a paid order of two keys whose keys may be made.
func (h *house) approved(t *testing.T, change map[order.Field]string) order.Order {
	t.Helper()
	reviewer := h.staff(t, "李审核", "13800000011", order.Reviewer)
	o := h.confirm(t, h.draft(t, change))
	h.pays(t, o)
	if err := h.RecordRealName(t.Context(), o.ID, 1, order.RealNameMatch); err != nil {
		t.Fatal(err)
	}
	h.mustApply(t, o.ID, order.Command{On: order.Claim, By: reviewer})
	return h.mustApply(t, o.ID, order.Command{On: order.Approve, By: reviewer, Snapshot: o.Snapshot, Ticks: order.Ticks})
}

func (h *house) sent(t *testing.T, o order.Order, no string) order.Order {
	t.Helper()
	return h.mustApply(t, o.ID, order.Command{On: order.Ship, By: byShipper, Carrier: "sf", TrackingNo: no})
}

func (h *house) shipments(t *testing.T, id order.ID) []order.Shipment {
	t.Helper()
	all, err := h.db.Shipments(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func (h *house) count(t *testing.T, id order.ID, on order.Event) int {
	t.Helper()
	events, err := h.db.Events(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return len(slices.DeleteFunc(events, func(e order.EventRecord) bool { return e.Event != on }))
}

// Row 48: a parcel is followed once; what its courier reports arrives once, in
// whichever order, and an order that is refunded meanwhile only records it.
func TestCourierReports(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		o := h.sent(t, h.made(t), parcelNo)
		if o.Parcel != order.ParcelPosted {
			t.Fatalf("parcel is %q", o.Parcel)
		}
		h.courier.down = true
		if err := h.FollowParcel(ctx, o.ID); !errors.Is(err, order.Unavailable) {
			t.Fatalf("courier down: %v", err)
		}
		h.courier.down = false
		for range 3 { // the job runs at least once
			if err := h.FollowParcel(ctx, o.ID); err != nil {
				t.Fatal(err)
			}
		}
		if want := []string{"sf " + parcelNo + " 0099"}; !slices.Equal(h.courier.followed, want) { // the recipient's, not the agent's
			t.Errorf("followed %v, want %v", h.courier.followed, want)
		}

		line := func(minutes int, text string) order.TrackLine {
			return order.TrackLine{At: h.now().Add(time.Duration(minutes) * time.Minute), Text: text}
		}
		one, two, three := line(1, "已揽收，揽收员 测试甲"), line(2, "运输中"), line(3, "派送中")
		hear := func(s order.ParcelState, track ...order.TrackLine) order.Order {
			t.Helper()
			if err := h.CourierReported(ctx, order.CourierReport{TrackingNo: parcelNo, State: s, Track: track}); err != nil {
				t.Fatal(err)
			}
			return h.order(t, o.ID)
		}
		hear(order.ParcelPickedUp, one)
		before := hear(order.ParcelDelivering, three, two, one)
		for range 10 {
			after := hear(order.ParcelInTransit, two, one)
			if after.Parcel != order.ParcelDelivering || after.Rev != before.Rev || after.Seq != before.Seq {
				t.Fatalf("an old report moved the parcel to %s", after.Parcel)
			}
		}
		if n := h.count(t, o.ID, order.CourierMoved); n != 2 {
			t.Errorf("%d courier events, want 2", n)
		}
		after := hear(order.ParcelDelivering, line(4, "派送中，请保持电话畅通"), three, two, one)
		if after.Rev != before.Rev+1 || after.Seq != before.Seq { // whoever looks sees it; the history stays short
			t.Errorf("a new line: rev %d → %d, seq %d → %d", before.Rev, after.Rev, before.Seq, after.Seq)
		}
		if s := h.shipments(t, o.ID); len(s) != 1 || len(s[0].Track) != 4 || s[0].Track[0] != one || s[0].State != order.ParcelDelivering || s[0].TrackedAt.IsZero() {
			t.Errorf("shipments %+v", s)
		}
		if got := hear(order.ParcelSigned, line(5, "已签收")); got.Status != order.Completed || got.Guide(got.UpdatedAt).Next != "已签收。" {
			t.Errorf("signed: %s, %q", got.State, got.Guide(got.UpdatedAt).Next)
		}
		if err := h.CourierReported(ctx, order.CourierReport{TrackingNo: "SF0000000000000", State: order.ParcelSigned}); !errors.Is(err, order.Conflict) {
			t.Errorf("unknown parcel: %v", err)
		}
	})
}

// issued gives the certificates of an order's keys to the CA's ledger.
func (h *house) issued(t *testing.T, o order.Order) []order.Item {
	t.Helper()
	items, err := h.db.Items(t.Context(), o.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, it := range items {
		h.issue(t, it.ID, it.CertSerial, issuance.CompanyP256, "2027-11-20")
	}
	return items
}

// Row 49: a parcel that came back is counted and sent again, as a second parcel with
// a second SMS, and the applicant is asked to look at the address meanwhile.
func TestReturnedParcelIsSentAgain(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		o := h.sent(t, h.made(t), parcelNo)
		by := order.Actor{Role: order.Applicant, PersonID: o.PersonID}
		back := order.Command{On: order.ParcelReturned, By: byShipper, Keys: 2}
		for name, wrong := range map[string]order.Command{
			"one key is missing": {On: order.ParcelReturned, By: byShipper, Keys: 1},
			"one key too many":   {On: order.ParcelReturned, By: byShipper, Keys: 3},
			"not counted":        {On: order.ParcelReturned, By: byShipper},
		} {
			if _, err := h.Apply(t.Context(), o.ID, wrong); codeOf(err) != "keys_intact_required" {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := h.Apply(t.Context(), o.ID, order.Command{On: order.ParcelReturned, By: by, Keys: 2}); codeOf(err) != "role_not_allowed" {
			t.Errorf("by the applicant: %v", err)
		}
		h.advance(10 * 24 * time.Hour)
		due := o.DueAt
		o = h.mustApply(t, o.ID, back)
		if o.Stage != order.ToPost || o.TrackingNo != "" || o.Parcel != order.ParcelReceived || !o.CompletedAt.IsZero() || !o.DueAt.After(due) {
			t.Fatalf("returned: %s, %q, %s, due %s", o.State, o.TrackingNo, o.Parcel, o.DueAt)
		}
		if _, err := h.Apply(t.Context(), o.ID, back); codeOf(err) != "order_not_ready" {
			t.Errorf("returned twice: %v", err)
		}
		// Its courier has not finished talking; row 69: recorded only.
		if err := h.CourierReported(t.Context(), order.CourierReport{TrackingNo: parcelNo, State: order.ParcelSentBack, Track: []order.TrackLine{{At: h.now(), Text: "已退回"}}}); err != nil {
			t.Fatal(err)
		}
		if o = h.order(t, o.ID); o.Parcel != order.ParcelReceived || o.Stage != order.ToPost || !o.DeliveryChangeable() {
			t.Errorf("after a late report: %s, %s", o.State, o.Parcel)
		}
		h.mustApply(t, o.ID, order.Command{On: order.ChangeDelivery, By: by, Form: form(map[order.Field]string{order.ShipAddress: "新地址 2 号"})})
		o = h.sent(t, o, "SF1234567890124")
		if o.Status != order.Completed || o.Form.Get(order.ShipAddress) != "新地址 2 号" {
			t.Fatalf("sent again: %s", o.State)
		}
		s := h.shipments(t, o.ID)
		if len(s) != 2 || s[0].State != order.ParcelReceived || s[1].State != order.ParcelPosted || s[1].TrackingNo != "SF1234567890124" {
			t.Errorf("shipments %+v", s)
		}
		notices := map[order.Notice]int{}
		all, err := h.db.Notifications(t.Context(), o.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range all {
			if n.Medium == order.SMS {
				notices[n.Notice]++
			}
		}
		if notices[order.NoticeParcelReturned] != 1 || notices[order.NoticeShipped] != 4 { // recipient and agent, twice
			t.Errorf("SMS %v", notices)
		}
	})
}

// Row 50: a lost key's certificate is revoked, and a free replacement with the same
// materials waits for its review, for each key that was lost.
func TestLostParcelIsReplaced(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		reviewer := h.staff(t, "周复核", "13800000012", order.Reviewer)
		o := h.sent(t, h.made(t), parcelNo)
		items := h.issued(t, o)
		lost := order.Command{On: order.ParcelMissed, By: byShipper, Items: []string{items[1].ID}, Claim: "SF-LP-1", Note: "快递外包装破损，一个 UKEY 断裂"}
		for name, change := range map[string]func(*order.Command){
			"lost_named_required":     func(c *order.Command) { c.Items = nil },
			"claim_recorded_required": func(c *order.Command) { c.Claim = "" },
			"role_not_allowed":        func(c *order.Command) { c.By.Role = order.Issuer },
		} {
			c := lost
			change(&c)
			if _, err := h.Apply(t.Context(), o.ID, c); codeOf(err) != name {
				t.Errorf("%s: %v", name, err)
			}
		}
		foreign := lost
		foreign.Items = []string{items[1].ID, "another"}
		if _, err := h.Apply(t.Context(), o.ID, foreign); codeOf(err) != "lost_named_required" {
			t.Errorf("somebody else's key: %v", err)
		}
		o = h.mustApply(t, o.ID, lost)
		if o.Status != order.Completed || o.Parcel != order.ParcelLost {
			t.Fatalf("lost: %s, %s", o.State, o.Parcel)
		}
		for i, want := range []certificate.State{certificate.Valid, certificate.Revoked} {
			if c, err := h.db.Certificate(t.Context(), items[i].CertSerial); err != nil || c.State() != want || want == certificate.Revoked && c.Reason != certificate.KeyCompromise {
				t.Errorf("certificate %d is %s, %v", i+1, c.State(), err)
			}
		}
		if _, err := h.Apply(t.Context(), o.ID, lost); codeOf(err) != "lost_named_required" {
			t.Errorf("lost twice: %v", err)
		}
		page, err := h.db.Orders(t.Context(), order.Filter{PersonID: o.PersonID, Business: order.Reissue})
		if err != nil || len(page.Orders) != 1 {
			t.Fatalf("replacements: %d, %v", len(page.Orders), err)
		}
		r := page.Orders[0]
		if r.Stage != order.Queued || r.Amount != 0 || r.No == "" || r.No == o.No || r.Certificate != items[1].CertSerial || r.Quantity() != 1 ||
			r.Form.Get(order.LicenseImage) != "01LICENSE" || r.Form.Get(order.ShipAddress) != o.Form.Get(order.ShipAddress) || r.DueAt.IsZero() {
			t.Fatalf("replacement %s: %s, %d fen, no %q, about %s", r.ID, r.State, r.Amount, r.No, r.Certificate)
		}

		// Whoever gets a new key for nothing does not get his money, too (row 65).
		refund := order.Command{On: order.RefundProposed, By: finance, Note: "不再需要", End: order.KeysReturned}
		if _, err := h.Apply(t.Context(), o.ID, refund); codeOf(err) != "not_replaced_required" {
			t.Errorf("a refund beside a replacement: %v", err)
		}

		// One whole key is left of the parcel, and comes back.
		if got := h.mustApply(t, o.ID, order.Command{On: order.ParcelReturned, By: byShipper, Keys: 1}); got.Stage != order.ToPost {
			t.Errorf("the rest came back: %s", got.State)
		}

		// The replacement goes the way of every replacement.
		r = h.approve(t, r, reviewer)
		if r.Stage != order.Unclaimed {
			t.Fatalf("approved: %s", r.State)
		}
		made, err := h.db.Items(t.Context(), r.ID)
		if err != nil || len(made) != 1 {
			t.Fatalf("%d items, %v", len(made), err)
		}
		serial := strings.Repeat("F", 40)
		h.issue(t, made[0].ID, serial, issuance.CompanyP256, "2027-11-20")
		h.mustApply(t, r.ID, order.Command{On: order.MakeKey, By: order.BySystem, Item: made[0].ID})
		r = h.mustApply(t, r.ID, order.Command{On: order.KeyVerified, By: order.BySystem, Item: made[0].ID, TokenSerial: "TW9", CertSerial: serial, Proven: []order.Fact{order.ReadBack}})
		if r.Stage != order.ToPost {
			t.Errorf("made: %s", r.State)
		}
		if c, err := h.db.Certificate(t.Context(), items[1].CertSerial); err != nil || c.SupersededBy != serial {
			t.Errorf("the lost one's successor is %q, %v", c.SupersededBy, err)
		}
	})
}

// Orders of one customer travel in one parcel: each hears what the courier says of it, and
// what the counter finds of one is not told of the other. Years later couriers give the
// number again.
func TestOrdersInOneParcel(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		_, reviewer := h.holder(t, "2027-11-20") // whose key has left under this number
		first, err := h.db.Orders(ctx, order.Filter{Tracking: parcelNo})
		if err != nil || len(first.Orders) != 1 {
			t.Fatal(first, err)
		}
		one := first.Orders[0].ID
		made := func(name string) order.Order {
			t.Helper()
			o := h.confirm(t, h.draft(t, map[order.Field]string{order.InvoiceWant: order.No}))
			h.pays(t, o)
			o = h.approve(t, o, reviewer)
			items, err := h.db.Items(ctx, o.ID)
			if err != nil {
				t.Fatal(err)
			}
			for _, it := range items {
				h.mustApply(t, o.ID, order.Command{On: order.MakeKey, By: order.BySystem, Item: it.ID})
				h.mustApply(t, o.ID, order.Command{On: order.KeyVerified, By: order.BySystem, Item: it.ID, TokenSerial: name + it.ID, CertSerial: it.ID, Proven: []order.Fact{order.ReadBack}})
			}
			return o
		}
		two := h.sent(t, made("T"), parcelNo).ID
		hear := func(s order.ParcelState, want ...order.ParcelState) {
			t.Helper()
			h.advance(time.Minute)
			if err := h.CourierReported(ctx, order.CourierReport{TrackingNo: parcelNo, State: s, Track: []order.TrackLine{{At: h.now(), Text: s.Label()}}}); err != nil {
				t.Fatal(err)
			}
			for i, id := range []order.ID{one, two}[:len(want)] {
				if o, all := h.order(t, id), h.shipments(t, id); o.Parcel != want[i] || all[0].State != want[i] {
					t.Errorf("after %s: order %d is %q, its parcel %q; want %q", s, i+1, o.Parcel, all[0].State, want[i])
				}
			}
		}
		for _, id := range []order.ID{one, two} {
			if err := h.FollowParcel(ctx, id); err != nil {
				t.Fatal(err)
			}
			if all := h.shipments(t, id); all[0].TrackedAt.IsZero() {
				t.Errorf("order %s is not followed", id)
			}
		}
		hear(order.ParcelInTransit, order.ParcelInTransit, order.ParcelInTransit)
		hear(order.ParcelReturning, order.ParcelReturning, order.ParcelReturning)
		h.mustApply(t, one, order.Command{On: order.ParcelReturned, By: byShipper, Keys: 1})
		hear(order.ParcelSentBack, order.ParcelReceived, order.ParcelSentBack)

		h.advance(366 * 24 * time.Hour)
		three, before := h.sent(t, made("U"), parcelNo), h.order(t, two)
		hear(order.ParcelSigned)
		if o := h.order(t, three.ID); o.Parcel != order.ParcelSigned {
			t.Errorf("the number was given again: %s", o.Parcel)
		}
		if after := h.order(t, two); after.Rev != before.Rev {
			t.Error("an order of long ago heard of it")
		}
	})
}
