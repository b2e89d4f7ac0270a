package order_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/issuance"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store"
)

var heldSerial = strings.Repeat("4A", 20)

// holder is the bound user of a certificate that was bought, made and shipped, and
// ends on a day; its serial is heldSerial.
func (h *house) holder(t *testing.T, ends string) (holder, reviewer order.Actor) {
	t.Helper()
	return h.holderOf(t, "yd-initial", ends)
}

// holderOf is the holder of what was bought as a product.
func (h *house) holderOf(t *testing.T, product, ends string) (holder, reviewer order.Actor) {
	t.Helper()
	reviewer = h.staff(t, "李审核", "13800000011", order.Reviewer)
	shipper := h.staff(t, "赵发货", "13800000014", order.Shipper)
	o, err := h.Apply(t.Context(), "", order.Command{
		On: order.Save, By: order.Actor{Role: order.Applicant, Channel: order.Web}, DraftToken: browser,
		Product: product, Lines: []order.Line{{Quantity: 1}}, Form: form(nil),
	})
	if err != nil {
		t.Fatal(err)
	}
	o = h.confirm(t, o)
	h.pays(t, o)
	o = h.approve(t, o, reviewer)
	items, err := h.db.Items(t.Context(), o.ID)
	if err != nil {
		t.Fatal(err)
	}
	h.mustApply(t, o.ID, order.Command{On: order.MakeKey, By: order.BySystem, Item: items[0].ID})
	h.issue(t, items[0].ID, heldSerial, "company-"+string(o.Product.Algorithm), ends)
	h.mustApply(t, o.ID, order.Command{On: order.KeyVerified, By: order.BySystem, Item: items[0].ID, TokenSerial: "TW11782207000008", CertSerial: heldSerial, Proven: []order.Fact{order.ReadBack}})
	h.mustApply(t, o.ID, order.Command{On: order.Ship, By: shipper, Carrier: "sf", TrackingNo: "SF1234567890123"})
	return order.Actor{Role: order.Applicant, PersonID: o.PersonID, Channel: order.Web, IP: "127.0.0.1"}, reviewer
}

// issue records what the CA records of a finished certificate.
func (h *house) issue(t *testing.T, item, serial, profile, ends string) {
	t.Helper()
	notAfter, err := time.ParseInLocation(time.DateOnly, ends, order.Shanghai)
	if err != nil {
		t.Fatal(err)
	}
	at := h.now()
	is := issuance.Issue{ID: item + "-1", Item: item, SnapshotHash: bytes.Repeat([]byte{1}, 32), Profile: profile, Company: "云岭测试科技（昆明）有限公司", USCC: "91110108MA00TEN18F", Years: 1, KeyHash: "of " + item, Stage: issuance.StageRequested, CreatedAt: at, UpdatedAt: at}
	ledger := store.NewLedger(h.db)
	if _, err := ledger.OpenIssue(t.Context(), is); err != nil {
		t.Fatal(err)
	}
	is.Stage, is.Serial, is.Issuer, is.TBS, is.Certificate = issuance.StageDone, serial, issuance.P256Token, []byte("tbs"), []byte("der of "+serial)
	is.NotBefore, is.NotAfter = notAfter.AddDate(-max(h.keyAge, 1), 0, 0), notAfter.Add(24*time.Hour-time.Second)
	if err := ledger.AdvanceIssue(t.Context(), issuance.StageRequested, is, nil); err != nil {
		t.Fatal(err)
	}
}

// approve takes a queued order through the review.
func (h *house) approve(t *testing.T, o order.Order, by order.Actor) order.Order {
	t.Helper()
	o = h.order(t, o.ID)
	if err := h.RecordRealName(t.Context(), o.ID, o.Submission, order.RealNameMatch); err != nil {
		t.Fatal(err)
	}
	h.mustApply(t, o.ID, order.Command{On: order.Claim, By: by})
	return h.mustApply(t, o.ID, order.Command{On: order.Approve, By: by, Snapshot: o.Snapshot, Ticks: order.Ticks})
}

// about begins an application about the certificate.
func (h *house) about(product string, by order.Actor, proven ...order.Fact) (order.Order, error) {
	return h.Apply(context.Background(), "", order.Command{On: order.Save, By: by, Product: product, Certificate: heldSerial, Form: pictures, Proven: proven})
}

// pictures are what the applicant uploads again.
var pictures = order.NewForm(map[order.Field]string{order.IDFront: "02FRONT", order.IDBack: "02BACK"})

// save fills in fields of a draft.
func (h *house) save(t *testing.T, o order.Order, by order.Actor, change map[order.Field]string) order.Order {
	t.Helper()
	f := o.Form
	for k, v := range change {
		f = f.With(k, v)
	}
	return h.mustApply(t, o.ID, order.Command{On: order.Save, By: by, Product: o.Product.Code, Form: f})
}

func codeOf(err error) string {
	e, ok := order.AsError(err)
	if !ok {
		return fmt.Sprint(err)
	}
	return e.Code
}

// Path "更新 self ¥0" up to 待更新: the form is filled from the earlier order, the
// authorisation stands while nothing signed changes, nothing is paid, and the
// grant ends when it should (F64–F73, rows 1, 4, 26, 54).
func TestRenewalOrder(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		by, reviewer := h.holder(t, "2026-12-10")
		o, err := h.about("yd-renewal", by)
		if err != nil {
			t.Fatal(err)
		}
		if o.Form.Get(order.AgentName) != "王小琪" || o.Form.Get(order.IDNo) != "110101199003070011" || o.Form.Get(order.LegalName) != "李建国" || o.Form.Get(order.IDFront) != "02FRONT" { // F69, F67
			t.Errorf("not filled in: %v", o.Form)
		}
		if o.Form.Get(order.AuthNeed) != order.No || o.Amount != 0 { // F66
			t.Errorf("authorisation asked for: %q, %d fen", o.Form.Get(order.AuthNeed), o.Amount)
		}
		for _, f := range []order.Field{order.LetterImage, order.LicenseImage, order.ShipName, order.InvoiceWant} { // F73, F50
			if spec, _ := f.Spec(); spec.IsAsked(o.Product, o.Form) {
				t.Errorf("%s is asked for", f)
			}
		}

		o = h.save(t, o, by, map[order.Field]string{order.OrgName: "他人公司", order.OrgUSCC: "91350100M000100Y43", order.AgentMobile: "13900139000", order.LegalName: "张新法人"})
		if o.Company != "云岭测试科技（昆明）有限公司" || o.USCC != "91110108MA00TEN18F" || o.Form.Get(order.AgentMobile) != "17700007069" { // F69
			t.Errorf("company %s, code %s, mobile changed", o.Company, o.USCC)
		}
		if o.Form.Get(order.AuthNeed) != order.Yes { // F66: the legal representative changed
			t.Error("a new legal representative needs no authorisation")
		}
		o = h.save(t, o, by, map[order.Field]string{order.LegalName: "李建国", order.BidUploaded: order.No})

		o = h.confirm(t, o)
		if o.State != (order.State{Status: order.InReview, Stage: order.Queued}) || o.PersonID != by.PersonID { // F61, row 4
			t.Fatalf("confirmed: %s", o.State)
		}
		o = h.approve(t, o, reviewer)
		if o.Status != order.ToRenew || o.Stage != order.Ready { // row 26
			t.Fatalf("approved: %s", o.State)
		}
		cert, err := h.db.Certificate(t.Context(), heldSerial)
		if err != nil {
			t.Fatal(err)
		}
		h.advance(o.GrantEnd(cert.NotAfter).Sub(h.now()) - time.Minute)
		if err := h.Sweep(t.Context()); err != nil || h.order(t, o.ID).Status != order.ToRenew {
			t.Fatalf("before the grant ends: %s, %v", h.order(t, o.ID).State, err)
		}
		h.advance(2 * time.Minute)
		err = h.Sweep(t.Context())
		if got := h.order(t, o.ID); err != nil || got.State != (order.State{Status: order.Rejected, Stage: order.Closed}) || got.ReasonTexts() != "更新期限已过，请重新办理" { // row 54, F97
			t.Fatalf("after it: %s because of %q, %v", got.State, got.ReasonTexts(), err)
		}
		if told := h.heard(t, o.ID, order.NoticeCalledOff); len(told) != 2 {
			t.Errorf("of its end are told %d", len(told))
		}
	})
}

// F65, F66, F72, F23: what cannot be begun.
func TestRenewalRefused(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		by, _ := h.holder(t, "2026-12-23")
		if _, err := h.about("yd-renewal", by); codeOf(err) != "not_in_renewal_window" { // 30 days left
			t.Errorf("too early: %v", err)
		}
		h.advance(24 * time.Hour)
		stranger := order.Actor{Role: order.Applicant, PersonID: h.staff(t, "他人", "13900139000", order.Reviewer).PersonID}
		for name, who := range map[string]order.Actor{"a stranger": stranger, "nobody": {Role: order.Applicant}} {
			if _, err := h.about("yd-renewal", who); codeOf(err) != "order_not_found" {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := h.Apply(t.Context(), "", order.Command{On: order.Save, By: by, Product: "yd-renewal", Form: form(nil)}); codeOf(err) != "certificate_required" {
			t.Errorf("a renewal of nothing: %v", err)
		}
		if _, err := h.Apply(t.Context(), "", order.Command{On: order.Save, By: by, Product: "yd-initial", Certificate: heldSerial, Form: form(nil)}); codeOf(err) != "certificate_required" {
			t.Errorf("a first purchase of a certificate: %v", err)
		}
		o, err := h.about("yd-renewal", by)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Apply(t.Context(), o.ID, order.Command{On: order.Save, By: by, Product: "yd-renewal", Lines: []order.Line{{Quantity: 2}}, Form: o.Form}); codeOf(err) != "quantity_invalid" { // G28
			t.Errorf("two of them: %v", err)
		}

		// F72: many clicks at once begin one renewal, because the database says so.
		if _, err := h.Delete(t.Context(), o.ID, by, ""); err != nil {
			t.Fatal(err)
		}
		const clicks = 6
		errs := make([]error, clicks)
		var wg sync.WaitGroup
		for i := range clicks {
			wg.Go(func() { _, errs[i] = h.about("yd-renewal", by) })
		}
		wg.Wait()
		refused := slices.DeleteFunc(slices.Clone(errs), func(err error) bool { return err == nil })
		if len(refused) != clicks-1 || slices.ContainsFunc(refused, func(err error) bool { return codeOf(err) != "renewal_open" }) {
			t.Errorf("%d clicks: %v", clicks, errs)
		}
	})
}

// Two windows that begin the same business about a certificate at once begin one application,
// whichever business it is; another business, and another person, are on their own.
func TestOneApplicationAboutACertificate(t *testing.T) {
	for product, b := range map[string]order.Business{"yd-unlock-approval": order.UnlockApproval, "yd-reissue": order.Reissue, "yd-resume": order.Resume} {
		t.Run(string(b), func(t *testing.T) {
			eachDB(t, func(t *testing.T, h *house) {
				by, _ := h.holder(t, "2027-11-20")
				if b == order.Resume {
					if _, err := h.certificates.Apply(t.Context(), heldSerial, certificate.Command{On: certificate.Freeze, By: by, MobileProven: true}); err != nil {
						t.Fatal(err)
					}
				}
				const clicks = 6
				errs := make([]error, clicks)
				var wg sync.WaitGroup
				for i := range clicks {
					wg.Go(func() { _, errs[i] = h.about(product, by) })
				}
				wg.Wait()
				refused := slices.DeleteFunc(slices.Clone(errs), func(err error) bool { return err == nil })
				if len(refused) != clicks-1 || slices.ContainsFunc(refused, func(err error) bool { return codeOf(err) != "order_open" }) {
					t.Errorf("%d clicks: %v", clicks, errs)
				}
				page, err := h.db.Orders(t.Context(), order.Filter{PersonID: by.PersonID, Certificate: heldSerial, Business: b, Open: true})
				if err != nil || len(page.Orders) != 1 {
					t.Fatalf("%d applications, %v", len(page.Orders), err)
				}
				if _, err := h.Delete(t.Context(), page.Orders[0].ID, by, ""); err != nil {
					t.Fatal(err)
				}
				if _, err := h.about(product, by); err != nil {
					t.Errorf("after it was deleted: %v", err)
				}
			})
		})
	}
}

// Rows 61 to 63: the certificate is frozen or revoked while an order about it is
// open.
func TestCertificateChangesMeanwhile(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		by, reviewer := h.holder(t, "2026-12-10")
		change := func(c certificate.Command) {
			t.Helper()
			c.By, c.MobileProven = by, true
			if _, err := h.certificates.Apply(t.Context(), heldSerial, c); err != nil {
				t.Fatal(err)
			}
			for range 2 { // a job runs at least once
				if err := h.CertificateChanged(t.Context(), heldSerial); err != nil {
					t.Fatal(err)
				}
			}
		}
		o, err := h.about("yd-renewal", by)
		if err != nil {
			t.Fatal(err)
		}
		o = h.confirm(t, h.save(t, o, by, map[order.Field]string{order.BidUploaded: order.No}))
		change(certificate.Command{On: certificate.Freeze})
		events, err := h.db.Events(t.Context(), o.ID)
		if err != nil || events[len(events)-1].Event != order.CertificateFrozen || h.order(t, o.ID).Stage != order.Queued { // row 63
			t.Fatalf("frozen: %s, %v", h.order(t, o.ID).State, err)
		}
		if err := h.RecordRealName(t.Context(), o.ID, 1, order.RealNameMatch); err != nil {
			t.Fatal(err)
		}
		h.mustApply(t, o.ID, order.Command{On: order.Claim, By: reviewer})
		if _, err := h.Apply(t.Context(), o.ID, order.Command{On: order.Approve, By: reviewer, Snapshot: o.Snapshot, Ticks: order.Ticks}); codeOf(err) != "certificate_is_frozen" { // K at approve
			t.Errorf("approved for a frozen certificate: %v", err)
		}
		change(certificate.Command{On: certificate.Revoke, Reason: certificate.KeyCompromise, Bid: certificate.NoOpenBid})
		if got := h.order(t, o.ID); got.State != (order.State{Status: order.Rejected, Stage: order.Closed}) || got.Reasons[0].Note != "证书已吊销" { // row 62
			t.Errorf("revoked: %s %v", got.State, got.Reasons)
		}
		if called, refund := len(h.heard(t, o.ID, order.NoticeCalledOff)), len(h.heard(t, o.ID, order.NoticeRefundStarted)); called != 2 || refund != 0 {
			t.Errorf("told %d times of the end, %d times of a refund", called, refund)
		}
		if _, err := h.about("yd-renewal", by); !errors.Is(err, order.Conflict) { // F66
			t.Errorf("renewal of a revoked certificate: %v", err)
		}
	})
}

// flows.md 4.7: "开标后再更新" reminds an hour after the opening, once.
func TestRemindAfterBid(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		by, _ := h.holder(t, "2026-12-10")
		o, err := h.about("yd-renewal", by)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.RemindAfterBid(t.Context(), o.ID, by); codeOf(err) != "no_bid_to_wait_for" {
			t.Errorf("without an opening: %v", err)
		}
		for _, opening := range []string{"2026-11-30T09:00", "2026-12-01T10:00"} { // it was put off
			h.save(t, o, by, map[order.Field]string{order.BidUploaded: order.Yes, order.BidOpening: opening})
			if err := h.RemindAfterBid(t.Context(), o.ID, by); err != nil {
				t.Fatal(err)
			}
		}
		if err := h.RemindAfterBid(t.Context(), o.ID, order.Actor{Role: order.Applicant, PersonID: "other"}); !errors.Is(err, order.NotFound) {
			t.Errorf("somebody else: %v", err)
		}
		reminders := func() int {
			t.Helper()
			if err := h.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			sent, err := h.db.Notifications(t.Context(), o.ID)
			if err != nil {
				t.Fatal(err)
			}
			return len(slices.DeleteFunc(sent, func(n order.Notification) bool { return n.Notice != order.NoticeBidOpened }))
		}
		h.advance(time.Date(2026, 12, 1, 2, 59, 0, 0, time.UTC).Sub(h.now())) // 10:59
		if n := reminders(); n != 0 {
			t.Errorf("%d reminders before the opening and an hour", n)
		}
		h.advance(2 * time.Minute)
		if n := reminders(); n != 1 {
			t.Errorf("%d reminders after it", n)
		}
		if err := h.RemindAfterBid(t.Context(), o.ID, by); codeOf(err) != "bid_is_open" {
			t.Errorf("after the opening: %v", err)
		}
	})
}

// Row 62: an order that turns out to be paid just as its certificate was revoked is told
// of it, too.
func TestRevokedWhilePaid(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		by, _ := h.holder(t, "2026-12-20")
		o, err := h.about("yd-renewal-key", by)
		if err != nil {
			t.Fatal(err)
		}
		o = h.confirm(t, h.save(t, o, by, map[order.Field]string{order.BidUploaded: order.No}))
		p := h.opens(t, o, order.WeChatPay)
		h.pay.trades[p.TradeNo], h.pay.amount = order.TradePaid, p.Amount // and nobody has told us
		h.mustRevoke(t, by)
		if err := h.CertificateChanged(t.Context(), heldSerial); err != nil {
			t.Fatal(err)
		}
		if o = h.order(t, o.ID); o.Stage != order.Closed || o.Refund != order.Refunding {
			t.Errorf("paid for a revoked certificate: %s, refund %q", o.State, o.Refund)
		}
		if told := h.heard(t, o.ID, order.NoticeRefundStarted); len(told) != 2 {
			t.Errorf("of the refund are told %d", len(told))
		}
	})
}

// Row 61: who was about to pay for a certificate that is revoked reads that he need not;
// a draft is only a draft.
func TestRevokedWhileUnpaid(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		by, _ := h.holder(t, "2026-12-20")
		unpaid, err := h.about("yd-renewal-key", by)
		if err != nil {
			t.Fatal(err)
		}
		unpaid = h.confirm(t, h.save(t, unpaid, by, map[order.Field]string{order.BidUploaded: order.No}))
		draft, err := h.about("yd-unlock-approval", by)
		if err != nil {
			t.Fatal(err)
		}
		h.mustRevoke(t, by)
		if err := h.CertificateChanged(t.Context(), heldSerial); err != nil {
			t.Fatal(err)
		}
		if unpaid = h.order(t, unpaid.ID); unpaid.Status != order.Draft || unpaid.CalledOff() != "证书已吊销" {
			t.Errorf("%s, because of %q", unpaid.State, unpaid.CalledOff())
		}
		if told, typed := h.heard(t, unpaid.ID, order.NoticeCalledOff), h.heard(t, draft.ID, order.NoticeCalledOff); len(told) != 2 || len(typed) != 0 {
			t.Errorf("told %d times of what was to be paid, %d times of the draft", len(told), len(typed))
		}
	})
}

// However many orders are about a certificate, all of them hear of it.
func TestRevokedWithManyOrders(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		by, _ := h.holder(t, "2026-12-10")
		o, err := h.about("yd-renewal", by)
		if err != nil {
			t.Fatal(err)
		}
		o = h.confirm(t, h.save(t, o, by, map[order.Field]string{order.BidUploaded: order.No}))
		h.advance(time.Second)
		for n := range 101 { // one has one: these are people of the company
			var p order.Person
			err := h.db.InTx(t.Context(), func(tx order.Tx) (err error) {
				p, err = tx.PersonByMobile(t.Context(), order.Person{ID: h.newID(), Mobile: identity.NewMobile(fmt.Sprintf("13900001%03d", n)), CreatedAt: h.now()})
				return err
			})
			if err == nil {
				_, err = h.about("yd-unlock-approval", order.Actor{Role: order.Applicant, PersonID: p.ID, Channel: order.Web}, order.CompanyNamed)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		h.mustRevoke(t, by)
		if err := h.CertificateChanged(t.Context(), heldSerial); err != nil {
			t.Fatal(err)
		}
		if o = h.order(t, o.ID); o.Stage != order.Closed {
			t.Errorf("the oldest order: %s", o.State)
		}
	})
}

// F66 and flows 4.7: whoever may still write his renewal, or waits for its review, is not told
// that it is too late; who has to begin anew is.
func TestRemindersOfALateRenewal(t *testing.T) {
	for name, tt := range map[string]struct {
		do   func(t *testing.T, h *house, o order.Order, reviewer order.Actor)
		told int
	}{
		"approved": {func(t *testing.T, h *house, o order.Order, reviewer order.Actor) { h.approve(t, o, reviewer) }, 0},
		"waiting":  {func(*testing.T, *house, order.Order, order.Actor) {}, 0},
		"rejected": {func(t *testing.T, h *house, o order.Order, reviewer order.Actor) {
			h.mustApply(t, o.ID, order.Command{On: order.Claim, By: reviewer})
			h.mustApply(t, o.ID, order.Command{On: order.Reject, By: reviewer, Reasons: []order.Reason{{Code: "R03"}}})
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			eachDB(t, func(t *testing.T, h *house) {
				by, reviewer := h.holder(t, "2026-12-10")
				h.until(t, time.Date(2027, 3, 5, 2, 0, 0, 0, time.UTC)) // D+85
				o, err := h.about("yd-renewal", by)
				if err != nil {
					t.Fatal(err)
				}
				o = h.confirm(t, h.save(t, o, by, map[order.Field]string{order.BidUploaded: order.No, order.AuthWay: order.AuthPaper, order.LetterImage: "02LETTER", order.LicenseImage: "02LICENSE"}))
				tt.do(t, h, o, reviewer)
				h.until(t, time.Date(2027, 3, 11, 2, 0, 0, 0, time.UTC)) // D+91
				r := certificate.NewReminders(store.Certificates{DB: h.db}, h.calendar(t), h.now, h.newID)
				if err := r.Sweep(t.Context()); err != nil {
					t.Fatal(err)
				}
				if n := len(h.heard(t, h.cert(t).OrderID, order.NoticeRenewOver)); n != tt.told {
					t.Errorf("told %d times that it is too late, want %d", n, tt.told)
				}
			})
		})
	}
}
