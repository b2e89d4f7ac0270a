package order_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/issuance"
	"github.com/yuncaidun/yuncaidun/order"
)

func (h *house) cert(t *testing.T) certificate.Certificate {
	t.Helper()
	c, err := h.db.Certificate(t.Context(), heldSerial)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (h *house) freeze(t *testing.T, by order.Actor) {
	t.Helper()
	if _, err := h.certificates.Apply(t.Context(), heldSerial, certificate.Command{On: certificate.Freeze, By: by, MobileProven: true}); err != nil {
		t.Fatal(err)
	}
}

// Row 34: what cost nothing waits ninety days to be put right, and nobody is told of thirty.
func TestFreeOrderIsPutRight(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		by, reviewer := h.holder(t, "2027-11-20")
		h.freeze(t, by)
		o, err := h.about("yd-resume", by)
		if err != nil {
			t.Fatal(err)
		}
		h.confirm(t, o)
		h.mustApply(t, o.ID, order.Command{On: order.Claim, By: reviewer})
		rejected := h.now()
		o = h.mustApply(t, o.ID, order.Command{On: order.Reject, By: reviewer, Reasons: []order.Reason{{Code: "R10"}}})
		if got, want := o.ClosesUnfixed(), "90 天内未修改将关闭"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
		h.advance(24 * 24 * time.Hour)
		if err := h.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if first, last := len(h.heard(t, o.ID, order.NoticeFix)), len(h.heard(t, o.ID, order.NoticeFixLast)); first != 2 || last != 0 {
			t.Errorf("after 24 days: %d and %d reminders", first, last)
		}
		events, err := h.db.Events(t.Context(), o.ID)
		if err != nil {
			t.Fatal(err)
		}
		if got := o.FixUntil(events); !got.Equal(rejected.Add(90 * 24 * time.Hour)) {
			t.Errorf("to be put right until %s", got)
		}
		h.advance(67 * 24 * time.Hour)
		if err := h.Sweep(t.Context()); err != nil || h.order(t, o.ID).Stage != order.Closed {
			t.Errorf("after 91 days: %s, %v", h.order(t, o.ID).State, err)
		}
	})
}

// Path "恢复 resume" (rows 4, 29, 44, 58; G1): a frozen certificate is put back by
// its bound user after an approval, within seven days.
func TestResume(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		by, reviewer := h.holder(t, "2027-11-20")
		if _, err := h.about("yd-resume", by); codeOf(err) != "certificate_not_frozen" {
			t.Errorf("nothing to resume: %v", err)
		}
		h.freeze(t, by)
		o, err := h.about("yd-resume", by)
		if err != nil {
			t.Fatal(err)
		}
		o = h.approve(t, h.confirm(t, o), reviewer)
		if o.Status != order.ToRestore || o.Guide(o.UpdatedAt).Action != order.ActionRestore {
			t.Fatalf("approved: %s, %q", o.State, o.Guide(o.UpdatedAt).Action)
		}
		restore := order.Command{On: order.Restore, By: by, Proven: []order.Fact{order.MobileProven}}
		unproven := restore
		unproven.Proven = nil
		if _, err := h.Apply(t.Context(), o.ID, unproven); codeOf(err) != "mobile_proven_required" {
			t.Errorf("without a code: %v", err)
		}

		h.advance(7*24*time.Hour + time.Minute)
		if _, err := h.Apply(t.Context(), o.ID, restore); codeOf(err) != "grant_alive_required" {
			t.Errorf("after seven days: %v", err)
		}
		if err := h.Sweep(t.Context()); err != nil || h.order(t, o.ID).Stage != order.Fixable { // row 58
			t.Fatalf("after seven days: %s, %v", h.order(t, o.ID).State, err)
		}
		if g := h.order(t, o.ID).Guide(h.now()); strings.Contains(g.What, "未通过") || !strings.Contains(g.What, "超过期限") { // nobody refused it
			t.Errorf("the guide: %+v", g)
		}
		told, err := h.db.Notifications(t.Context(), o.ID)
		if err != nil || slices.ContainsFunc(told, func(n order.Notification) bool { return n.Notice == order.NoticeRejected }) || told[len(told)-1].Notice != order.NoticeLapsed {
			t.Errorf("told %+v, %v", told, err)
		}
		o = h.mustApply(t, o.ID, order.Command{On: order.Resubmit, By: by, Form: h.order(t, o.ID).Form})
		o = h.approve(t, o, reviewer)
		if got := h.cert(t).State(); got != certificate.Frozen {
			t.Fatalf("before it is resumed: %s", got)
		}
		rev := h.cert(t).Rev
		o = h.mustApply(t, o.ID, restore)
		if cert := h.cert(t); o.Status != order.Completed || cert.State() != certificate.Valid || cert.Rev != rev+1 { // a new status is published
			t.Errorf("resumed: %s, %s, revision %d after %d", o.State, cert.State(), cert.Rev, rev)
		}
		if _, err := h.Apply(t.Context(), o.ID, restore); codeOf(err) != "order_not_ready" {
			t.Errorf("resumed twice: %v", err)
		}
	})
}

// Staff took the freeze back meanwhile: there is nothing left to resume, and the
// order says so.
func TestResumeOfWhatIsValid(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		by, reviewer := h.holder(t, "2027-11-20")
		h.freeze(t, by)
		o, err := h.about("yd-resume", by)
		if err != nil {
			t.Fatal(err)
		}
		o = h.approve(t, h.confirm(t, o), reviewer)
		if _, err := h.certificates.Apply(t.Context(), heldSerial, certificate.Command{On: certificate.Resume, By: h.staff(t, "钱制证", "13800000013", order.Issuer), Note: "来电"}); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Apply(t.Context(), o.ID, order.Command{On: order.Restore, By: by, Proven: []order.Fact{order.MobileProven}}); codeOf(err) != "still_frozen_required" {
			t.Errorf("restored: %v", err)
		}
	})
}

// Path "补办" (G27, rows 3, 30, 36, 41, 45): the old certificate is frozen at the
// confirmation, revoked at the approval and has a successor when the new key is
// verified; the address may change until the parcel is posted (row 47).
func TestReissue(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		by, reviewer := h.holder(t, "2027-11-20")
		o, err := h.about("yd-reissue", by)
		if err != nil {
			t.Fatal(err)
		}
		if o.Form.Get(order.ShipName) != "赵大山" || o.Form.Get(order.AuthNeed) != order.No {
			t.Errorf("recipient %q, authorisation %q", o.Form.Masked(order.ShipName), o.Form.Get(order.AuthNeed))
		}
		confirm := order.Command{On: order.Confirm, By: by, Snapshot: o.Hash(), Consent: order.Consent{Version: "1", Hash: "h", At: h.now()}, Proven: []order.Fact{order.MobileProven}}
		if _, err := h.Apply(ctx, o.ID, confirm); codeOf(err) != "form_incomplete" { // why it is needed
			t.Errorf("without a cause: %v", err)
		}
		o = h.confirm(t, h.save(t, o, by, map[order.Field]string{order.Cause: "lost"}))
		if got := h.cert(t).State(); got != certificate.Frozen || o.Status != order.AwaitingPayment {
			t.Fatalf("confirmed: %s, the certificate is %s", o.State, got)
		}
		h.pays(t, o)
		o = h.approve(t, o, reviewer)
		if cert := h.cert(t); cert.State() != certificate.Revoked || cert.Reason != certificate.Superseded || o.Stage != order.Unclaimed {
			t.Fatalf("approved: %s, the certificate is %s", o.State, cert.State())
		}
		if err := h.CertificateChanged(ctx, heldSerial); err != nil || h.order(t, o.ID).Stage != order.Unclaimed {
			t.Errorf("its own revocation closed the order: %s, %v", h.order(t, o.ID).State, err)
		}

		move := func(change map[order.Field]string) order.Order {
			t.Helper()
			f := h.order(t, o.ID).Form
			for k, v := range change {
				f = f.With(k, v)
			}
			return h.mustApply(t, o.ID, order.Command{On: order.ChangeDelivery, By: by, Form: f})
		}
		if o = move(map[order.Field]string{order.ShipAddress: "测试路 2 号", order.AgentName: "张三"}); o.Form.Get(order.ShipAddress) != "测试路 2 号" || o.Form.Get(order.AgentName) != "王小琪" || o.Snapshot != o.Hash() {
			t.Errorf("address changed: snapshot %v", o.Snapshot == o.Hash())
		}
		items, err := h.db.Items(ctx, o.ID)
		if err != nil {
			t.Fatal(err)
		}
		h.mustApply(t, o.ID, order.Command{On: order.MakeKey, By: order.BySystem, Item: items[0].ID})
		successor := strings.Repeat("5B", 20)
		o = h.mustApply(t, o.ID, order.Command{On: order.KeyVerified, By: order.BySystem, Item: items[0].ID, TokenSerial: "TW11782207000009", CertSerial: successor, Proven: []order.Fact{order.ReadBack}})
		if o.Stage != order.ToPost || h.cert(t).SupersededBy != successor {
			t.Fatalf("made: %s, superseded by %q", o.State, h.cert(t).SupersededBy)
		}
		if o = move(map[order.Field]string{order.ShipWay: order.ShipPickUp}); o.Stage != order.ToPickUp || len(o.Form.Get(order.PickUpCode)) != 6 {
			t.Errorf("picked up instead: %s", o.State)
		}
		if o = move(map[order.Field]string{order.ShipWay: order.ShipCourier}); o.Stage != order.ToPost {
			t.Errorf("posted after all: %s", o.State)
		}
		shipper := h.staff(t, "孙发货", "13800000015", order.Shipper)
		o = h.mustApply(t, o.ID, order.Command{On: order.Ship, By: shipper, Carrier: "sf", TrackingNo: "SF1234567890124"})
		if _, err := h.Apply(ctx, o.ID, order.Command{On: order.ChangeDelivery, By: by, Form: o.Form}); codeOf(err) != "order_not_ready" || o.Status != order.Completed {
			t.Errorf("after it was posted: %s, %v", o.State, err)
		}
		if _, err := h.about("yd-reissue", by); codeOf(err) != "certificate_replaced" {
			t.Errorf("a second replacement: %v", err)
		}
	})
}

var newSerial = strings.Repeat("5B", 20)

// renewedOnNewKey is a paid renewal onto a new USBKEY that was shipped; its certificate is
// newSerial.
func (h *house) renewedOnNewKey(t *testing.T) (order.Order, order.Actor) {
	t.Helper()
	by, reviewer := h.holder(t, "2026-12-20")
	o, err := h.about("yd-renewal-key", by)
	if err != nil {
		t.Fatal(err)
	}
	o = h.confirm(t, h.save(t, o, by, map[order.Field]string{order.BidUploaded: order.No}))
	h.pays(t, o)
	o = h.approve(t, o, reviewer)
	items, err := h.db.Items(t.Context(), o.ID)
	if err != nil {
		t.Fatal(err)
	}
	h.mustApply(t, o.ID, order.Command{On: order.MakeKey, By: order.BySystem, Item: items[0].ID})
	h.issue(t, items[0].ID, newSerial, issuance.CompanyP256, "2027-12-20")
	h.mustApply(t, o.ID, order.Command{On: order.KeyVerified, By: order.BySystem, Item: items[0].ID, TokenSerial: "TW11782207000009", CertSerial: newSerial, Proven: []order.Fact{order.ReadBack}})
	return h.mustApply(t, o.ID, order.Command{On: order.Ship, By: h.staff(t, "孙发货", "13800000015", order.Shipper), Carrier: "sf", TrackingNo: "SF1234567890124"}), by
}

// F9: a renewal onto a new USBKEY retires the old certificate thirty days after that was
// delivered, wherever it was meanwhile; it is not revoked before.
func TestRenewalOntoNewKey(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		o, _ := h.renewedOnNewKey(t)
		retired := func(days int, want int) {
			t.Helper()
			h.advance(time.Duration(days) * 24 * time.Hour)
			if err := h.Sweep(ctx); err != nil || h.cert(t).State() != certificate.Valid { // it ended on 12-20 by itself
				t.Errorf("%s, %v", h.cert(t).State(), err)
			}
			if n := h.count(t, o.ID, order.OldRetired); n != want {
				t.Errorf("%s: retired %d times, want %d", h.now(), n, want)
			}
		}
		reports := func(s order.ParcelState) {
			t.Helper()
			r := order.CourierReport{TrackingNo: o.TrackingNo, State: s, Track: []order.TrackLine{{At: h.now(), Text: s.Label()}}}
			if err := h.CourierReported(ctx, r); err != nil {
				t.Fatal(err)
			}
		}
		retired(20, 0)
		reports(order.ParcelDelivering)
		retired(11, 0) // it is not there yet
		reports(order.ParcelSigned)
		retired(29, 0)
		retired(1, 1)
	})
}

// Row 50 of a renewal: what was renewed is not retired for a key that nobody has, and is
// what its holder has left when that is not made again.
func TestLostRenewalKeepsTheOldCertificate(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		o, by := h.renewedOnNewKey(t)
		items, err := h.db.Items(ctx, o.ID)
		if err != nil {
			t.Fatal(err)
		}
		h.mustApply(t, o.ID, order.Command{On: order.ParcelMissed, By: byShipper, Items: []string{items[0].ID}, Claim: "SF-LP-1", Note: "包裹在中转站丢失"})
		page, err := h.db.Orders(ctx, order.Filter{PersonID: o.PersonID, Business: order.Reissue})
		if err != nil || len(page.Orders) != 1 {
			t.Fatalf("%d replacements, %v", len(page.Orders), err)
		}
		old := h.cert(t)
		if old.State() != certificate.Valid || !old.NewKeyLost || !strings.Contains(old.Replacement(h.now()), "免费补办") {
			t.Errorf("the old one: %s, %q", old.State(), old.Replacement(h.now()))
		}
		if _, err := h.about("yd-renewal-key", by); codeOf(err) != "certificate_replaced" {
			t.Errorf("renewed again while the key is made again: %v", err)
		}
		r := page.Orders[0].ID
		reviewer := h.staff(t, "周复核", "13800000012", order.Reviewer)
		h.mustApply(t, r, order.Command{On: order.Claim, By: reviewer})
		h.mustApply(t, r, order.Command{On: order.Reject, By: reviewer, Reasons: []order.Reason{{Code: "R07"}}})
		h.mustApply(t, r, order.Command{On: order.Close, By: by})
		if old = h.cert(t); old.SupersededBy != "" || old.State() != certificate.Valid {
			t.Errorf("the old one, when there is no new one: %s, replaced by %q", old.State(), old.SupersededBy)
		}
		if n := h.count(t, old.OrderID, order.CertificateReinstated); n != 1 {
			t.Errorf("%d lines in the history of its order", n)
		}
		if again, err := h.about("yd-renewal-key", by); err != nil || again.Status != order.Draft {
			t.Errorf("renewed again: %s, %v", again.State, err)
		}
		h.advance(31 * 24 * time.Hour)
		if err := h.Sweep(ctx); err != nil || h.count(t, o.ID, order.OldRetired) != 0 {
			t.Errorf("retired %d times, %v", h.count(t, o.ID, order.OldRetired), err)
		}
	})
}

// No money is taken for a renewal that cannot go on: the certificate was frozen, or ended,
// after it was submitted.
func TestNoPaymentForAFrozenCertificate(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		by, _ := h.holder(t, "2026-12-20")
		o, err := h.about("yd-renewal-key", by)
		if err != nil {
			t.Fatal(err)
		}
		o = h.confirm(t, h.save(t, o, by, map[order.Field]string{order.BidUploaded: order.No}))
		h.freeze(t, by)
		if _, err := h.OpenPayment(t.Context(), o.ID, by, order.WeChatPay); codeOf(err) != "certificate_is_frozen" {
			t.Errorf("paid for a frozen certificate: %v", err)
		}
		if got := h.order(t, o.ID); got.TradeNo != "" {
			t.Errorf("a trade was opened: %s", got.TradeNo)
		}
	})
}
