package order_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

// person makes a person with a proven mobile.
func (h *house) person(t *testing.T, mobile string) order.Actor {
	t.Helper()
	var p order.Person
	err := h.db.InTx(t.Context(), func(tx order.Tx) (err error) {
		p, err = tx.PersonByMobile(t.Context(), order.Person{ID: h.newID(), Mobile: identity.NewMobile(mobile), CreatedAt: h.now()})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return order.Actor{Role: order.Applicant, PersonID: p.ID, Channel: order.Web, IP: "127.0.0.1"}
}

// told are the people whom a notice about an order goes to.
func (h *house) told(t *testing.T, id order.ID, n order.Notice) []string {
	t.Helper()
	sent, err := h.db.Notifications(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	var people []string
	for _, m := range sent {
		if m.Notice == n {
			people = append(people, m.PersonID)
		}
	}
	slices.Sort(people)
	return people
}

// Path "rebind with approval" (F101, row 31): whoever has not the bound mobile names
// USBKEY and company, brings a letter, and needs two reviewers. Then the
// certificate and the open orders about it are his, and both numbers are told.
func TestRebindWithApproval(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		old, reviewer := h.holder(t, "2026-12-10")
		second := h.staff(t, "王审核", "13800000012", order.Reviewer)
		renewal, err := h.about("yd-renewal", old)
		if err != nil {
			t.Fatal(err)
		}
		heir := h.person(t, "13900139000")
		if _, err := h.about("yd-rebind", heir); codeOf(err) != "company_named_required" {
			t.Errorf("without naming the company: %v", err)
		}
		if _, err := h.about("yd-rebind", old); codeOf(err) != "rebind_yourself" {
			t.Errorf("the bound user: %v", err)
		}
		if _, err := h.about("yd-renewal", heir, order.CompanyNamed); !errors.Is(err, order.NotFound) {
			t.Errorf("a renewal without the bound mobile: %v", err)
		}
		o, err := h.about("yd-rebind", heir, order.CompanyNamed)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range []order.Field{order.AgentName, order.IDNo, order.LegalName, order.AgentEmail} {
			if o.Form.Get(f) != "" {
				t.Errorf("%s of the former user is shown to whoever asks", f)
			}
		}
		if o.Form.Get(order.AgentMobile) != "13900139000" || o.Form.Get(order.AuthNeed) != order.Yes || o.Company == "" {
			t.Errorf("form: need %q, company %q", o.Form.Get(order.AuthNeed), o.Company)
		}
		o = h.save(t, o, heir, map[order.Field]string{
			order.AgentName: "赵大山", order.IDNo: "11010519491231002X", order.AgentEmail: "zhao@example.com", order.LegalName: "李建国",
			order.OrgIndustry: "I", order.LetterImage: "03LETTER", order.LicenseImage: "03LICENSE",
		})
		o = h.confirm(t, o)
		o = h.approve(t, o, reviewer)
		if o.Stage != order.SecondApproval || h.cert(t).PersonID != old.PersonID { // always two
			t.Fatalf("after one reviewer: %s", o.State)
		}
		approve := order.Command{On: order.Approve, By: reviewer, Snapshot: o.Snapshot, Ticks: order.Ticks}
		if _, err := h.Apply(t.Context(), o.ID, approve); codeOf(err) != "not_first_approver_required" {
			t.Errorf("the same reviewer twice: %v", err)
		}
		approve.By = second
		if o = h.mustApply(t, o.ID, approve); o.Status != order.Completed {
			t.Fatalf("after two: %s", o.State)
		}
		if got := h.cert(t).PersonID; got != heir.PersonID {
			t.Errorf("bound to %s", got)
		}
		if got := h.order(t, renewal.ID).PersonID; got != heir.PersonID {
			t.Errorf("the open renewal is still of %s", got)
		}
		want := []string{old.PersonID, heir.PersonID}
		slices.Sort(want)
		if got := h.told(t, h.cert(t).OrderID, order.NoticeRebound); !slices.Equal(got, want) {
			t.Errorf("told %v, want %v", got, want)
		}
		if held, err := h.certificates.HeldBy(t.Context(), old.PersonID); err != nil || len(held) != 0 { // F23
			t.Errorf("the former user still sees %d, %v", len(held), err)
		}

		// Who renews it now finds his own data, not that of the former user.
		if _, err := h.Delete(t.Context(), renewal.ID, heir, ""); err != nil {
			t.Fatal(err)
		}
		again, err := h.about("yd-renewal", heir)
		if err != nil || again.Form.Get(order.AgentName) != "赵大山" || again.Form.Get(order.IDNo) != "11010519491231002X" {
			t.Errorf("renewal by the heir: %v", err)
		}
	})
}

// F100: on the bound user's own word, proven by both numbers, a certificate changes
// hands without an order; later messages about it go to the new user.
func TestRebindByItself(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		old, _ := h.holder(t, "2027-11-20")
		heir := h.person(t, "13900139000")
		for name, test := range map[string]struct {
			by   order.Actor
			to   string
			code string
		}{
			"a stranger":  {heir, heir.PersonID, "certificate_not_found"},
			"to himself":  {old, old.PersonID, "same_holder"},
			"to nobody":   {old, "", "same_holder"},
			"nobody asks": {order.Actor{Role: order.Applicant}, heir.PersonID, "certificate_not_found"},
		} {
			if err := h.certificates.Rebind(t.Context(), heldSerial, test.by, test.to); codeOf(err) != test.code {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := h.certificates.Rebind(t.Context(), heldSerial, old, heir.PersonID); err != nil {
			t.Fatal(err)
		}
		if err := h.certificates.Rebind(t.Context(), heldSerial, old, heir.PersonID); codeOf(err) != "certificate_not_found" {
			t.Errorf("twice: %v", err)
		}
		if _, err := h.certificates.Apply(t.Context(), heldSerial, certificate.Command{On: certificate.Freeze, By: old, MobileProven: true}); !errors.Is(err, order.NotFound) {
			t.Errorf("the former user freezes it: %v", err)
		}
		h.freeze(t, heir)
		if got := h.told(t, h.cert(t).OrderID, order.NoticeFrozen); len(got) != 2 || got[0] != heir.PersonID || got[1] != heir.PersonID {
			t.Errorf("of the freeze are told %v, want %s", got, heir.PersonID)
		}
		h.mustRevoke(t, heir)
		if err := h.certificates.Rebind(t.Context(), heldSerial, heir, old.PersonID); codeOf(err) != "certificate_is_revoked" {
			t.Errorf("a revoked one: %v", err)
		}
	})
}

func (h *house) mustRevoke(t *testing.T, by order.Actor) {
	t.Helper()
	if _, err := h.certificates.Apply(t.Context(), heldSerial, certificate.Command{On: certificate.Revoke, Reason: certificate.KeyCompromise, Bid: certificate.NoOpenBid, By: by, MobileProven: true}); err != nil {
		t.Fatal(err)
	}
}

// A replacement asked for without the bound mobile stops no key before somebody
// has seen the papers; an unlock so asked for needs two reviewers.
func TestCompanyEntry(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		_, reviewer := h.holder(t, "2027-11-20")
		heir := h.person(t, "13900139000")
		fill := map[order.Field]string{
			order.AgentName: "赵大山", order.IDNo: "11010519491231002X", order.AgentEmail: "zhao@example.com", order.LegalName: "李建国",
			order.OrgIndustry: "I", order.LetterImage: "03LETTER", order.LicenseImage: "03LICENSE", order.Cause: "lost", order.IDFront: "03F", order.IDBack: "03B",
			order.ShipName: "赵大山", order.ShipMobile: "13900139000", order.ShipProvince: "云南省", order.ShipCity: "昆明市", order.ShipDistrict: "五华区", order.ShipAddress: "测试路 3 号",
		}
		reissue, err := h.about("yd-reissue", heir, order.CompanyNamed)
		if err != nil {
			t.Fatal(err)
		}
		h.confirm(t, h.save(t, reissue, heir, fill))
		if got := h.cert(t).State(); got != certificate.Valid {
			t.Errorf("a stranger's application made the certificate %s", got)
		}
		unlock, err := h.about("yd-unlock-approval", heir, order.CompanyNamed)
		if err != nil {
			t.Fatal(err)
		}
		unlock = h.confirm(t, h.save(t, unlock, heir, fill))
		if unlock.Company != "" || unlock.USCC == "" { // F84
			t.Errorf("unlock of company %q", unlock.Company)
		}
		h.pay.amount = unlock.Amount
		h.pays(t, unlock)
		if unlock = h.approve(t, unlock, reviewer); unlock.Stage != order.SecondApproval {
			t.Errorf("unlock by a changed contact: %s", unlock.State)
		}
	})
}

// Rows 31 and 33: a rejected application about a certificate that has changed hands is the
// new holder's, with his mobile, which he proved when it was bound to him.
func TestRebindThenResubmitted(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		old, reviewer := h.holder(t, "2026-12-10")
		o, err := h.about("yd-renewal", old)
		if err != nil {
			t.Fatal(err)
		}
		o = h.confirm(t, h.save(t, o, old, map[order.Field]string{order.BidUploaded: order.No}))
		h.mustApply(t, o.ID, order.Command{On: order.Claim, By: reviewer})
		o = h.mustApply(t, o.ID, order.Command{On: order.Reject, By: reviewer, Reasons: []order.Reason{{Code: "R03"}}})
		heir := h.person(t, "13900139000")
		if err := h.certificates.Rebind(t.Context(), heldSerial, old, heir.PersonID); err != nil {
			t.Fatal(err)
		}

		fix, err := h.Correct(t.Context(), o.ID, heir, o.Form)
		if err != nil || fix.NeedsCode || fix.Form.Get(order.AgentMobile) != "13900139000" || fix.Form.Get(order.AuthNeed) != order.Yes {
			t.Fatalf("shown: needs a code %t, authorisation %q, %v", fix.NeedsCode, fix.Form.Get(order.AuthNeed), err)
		}
		if e, ok := order.AsError(fix.Refusal); !ok || len(e.Fields) != 2 || e.Fields[0].Field != order.LicenseImage || e.Fields[1].Field != order.LetterImage {
			t.Errorf("without a letter that names the mobile: %v", fix.Refusal)
		}
		mended := fix.Form.With(order.LicenseImage, "04LICENSE").With(order.LetterImage, "04LETTER")
		if fix, err = h.Correct(t.Context(), o.ID, heir, mended); err != nil || fix.Refusal != nil {
			t.Errorf("mended: %v, %v", fix.Refusal, err)
		}
		if got := h.order(t, o.ID); got.State != o.State || got.Form.Get(order.AgentMobile) != "17700007069" {
			t.Errorf("asking has changed it: %s", got.State)
		}
		if _, err := h.Correct(t.Context(), o.ID, old, mended); !errors.Is(err, order.NotFound) {
			t.Errorf("the former user: %v", err)
		}
		done := h.mustApply(t, o.ID, order.Command{On: order.Resubmit, By: heir, Form: mended})
		if done.Stage != order.Queued || done.PersonID != heir.PersonID || done.Form.Get(order.AgentMobile) != "13900139000" {
			t.Errorf("resubmitted: %s, of %s", done.State, done.PersonID)
		}
	})
}

// What a helper of the former user was given ends with his logins.
func TestRebindEndsTickets(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		o, old := h.toRenew(t)
		runs, issuer := h.runs(t)
		k := h.helper(t, runs, o.ID)
		if err := h.certificates.Rebind(t.Context(), heldSerial, old, h.person(t, "13900139000").PersonID); err != nil {
			t.Fatal(err)
		}
		if _, err := runs.Issue(t.Context(), k.secret, k.proposal(), ""); codeOf(err) != "ticket_gone" || len(issuer.asked) > 0 {
			t.Errorf("the former user's helper: %v, the CA was asked %d times", err, len(issuer.asked))
		}
	})
}
