package order_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

var online = map[order.Field]string{
	order.AuthWay: order.AuthMiniProgram, order.LegalName: "李建国", order.LegalIDType: "resident_id", order.LegalIDNo: "11010519491231002X", order.LegalMobile: "138 0000 0021",
	order.LetterImage: "", order.AgentEmail: "",
}

var legalRep = order.Actor{Role: order.LegalRep, Channel: order.Web, IP: "192.0.2.7"}

// asked brings an order to where the legal representative is waited for.
func (h *house) asked(t *testing.T) order.Order {
	t.Helper()
	o := h.confirm(t, h.draft(t, online))
	h.pays(t, o)
	return h.order(t, o.ID)
}

// link is the token of the order's newest SMS.
func (h *house) link(t *testing.T, o order.Order) string {
	t.Helper()
	all, err := h.db.Notifications(t.Context(), o.ID)
	if err != nil {
		t.Fatal(err)
	}
	all = slices.DeleteFunc(all, func(n order.Notification) bool { return n.To != order.ToLegalRep })
	if len(all) == 0 {
		t.Fatal("nothing was sent to the legal representative")
	}
	token, _, err := h.SendingToken(t.Context(), all[len(all)-1].ID)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (h *house) authorize(t *testing.T, id string, c order.AuthorizationCommand) order.Authorization {
	t.Helper()
	c.By = legalRep
	a, err := h.Authorize(t.Context(), id, c)
	if err != nil {
		t.Fatalf("%s: %v", c.On, err)
	}
	return a
}

// identify goes through the screens up to the letter.
func (h *house) identify(t *testing.T, o order.Order) order.Authorization {
	t.Helper()
	a, _, err := h.AuthorizationByLink(t.Context(), h.link(t, o))
	if err != nil {
		t.Fatal(err)
	}
	h.authorize(t, a.ID, order.AuthorizationCommand{On: order.LetterOpened})
	h.authorize(t, a.ID, order.AuthorizationCommand{On: order.PhoneVerified, CodeProven: true})
	h.authorize(t, a.ID, order.AuthorizationCommand{On: order.IdentityVerified, Identity: order.Identity{Result: order.RealNameMatch, ID: "r1"}})
	h.authorize(t, a.ID, order.AuthorizationCommand{On: order.LetterShown})
	h.advance(6 * time.Second)
	return a
}

func (h *house) sign(t *testing.T, o order.Order, m order.Mandate) order.Authorization {
	t.Helper()
	a := h.identify(t, o)
	return h.authorize(t, a.ID, order.AuthorizationCommand{
		On: order.LetterSigned, CodeProven: true, Read: true, Consent: order.Consent{Version: "1", Hash: "h"}, Mandate: m,
		Signature: order.Signature{Object: "01SIG", SHA256: "00"}, TextVersion: "1", TextSHA256: "t",
	})
}

// Rows 5 and 11, G8, G10: the SMS goes out with the payment, and with the
// signature the order is queued and the clock starts.
func TestLegalRepSigns(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		o := h.confirm(t, h.draft(t, online))
		if all, err := h.db.Authorizations(t.Context(), o.ID); err != nil || len(all) != 0 { // G8
			t.Fatalf("asked before the payment: %d, %v", len(all), err)
		}
		h.pays(t, o)
		o = h.order(t, o.ID)
		if o.Stage != order.AwaitingAuthorization || !o.DueAt.IsZero() { // G9, G10
			t.Fatalf("paid: %s due %s", o.State, o.DueAt)
		}
		if err := h.RecordSending(t.Context(), h.lastToLegalRep(t, o), "prov-1"); err != nil {
			t.Fatal(err)
		}
		a := h.sign(t, o, order.Mandate{})
		o = h.order(t, o.ID)
		if o.Stage != order.Queued || o.DueAt.IsZero() || a.State != order.AtSigned || !strings.HasPrefix(a.Proof.Receipt, "SQ20261123") {
			t.Fatalf("signed: order %s, authorisation %s, receipt %q", o.State, a.State, a.Proof.Receipt)
		}
		a, err := h.db.Authorization(t.Context(), a.ID)
		if err != nil || a.Signer.Name != "李建国" || a.Proof.SMS[0].ProviderID != "prov-1" || a.Proof.Identity.ID != "r1" || a.Proof.Phone.IP != "192.0.2.7" {
			t.Fatalf("kept: %+v, %v", a.Proof, err)
		}
		if kept, err := h.KeepLetter(t.Context(), a.ID, "01PDF", "01ZIP"); err != nil || !kept {
			t.Fatalf("letter kept %v, %v", kept, err)
		}
		if kept, err := h.KeepLetter(t.Context(), a.ID, "01PDF2", "01ZIP2"); err != nil || kept {
			t.Fatalf("letter replaced %v, %v", kept, err)
		}
		// Withdrawn in review (row 17): rejected, and the next request is a new one.
		h.authorize(t, a.ID, order.AuthorizationCommand{On: order.LetterWithdrawn})
		if o = h.order(t, o.ID); o.Stage != order.Fixable || o.Reasons[0].Code != "R16" {
			t.Fatalf("withdrawn: %s %v", o.State, o.Reasons)
		}
		h.mustApply(t, o.ID, order.Command{On: order.Resubmit, By: order.Actor{Role: order.Applicant, PersonID: o.PersonID}, Form: o.Form})
		if all, err := h.db.Authorizations(t.Context(), o.ID); err != nil || len(all) != 2 || all[1].State != order.AtCreated {
			t.Fatalf("after resubmission: %v, %v", all, err)
		}
	})
}

// Presses at the same moment send the legal representative no more SMS than one after the other.
func TestResendsAtOnce(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		o := h.asked(t)
		by := order.Actor{Role: order.Applicant, PersonID: o.PersonID, Channel: order.Web}
		var (
			sent atomic.Int32
			wg   sync.WaitGroup
			gate = make(chan struct{})
		)
		for range 8 {
			wg.Go(func() {
				<-gate
				switch _, err := h.ResendAuthorization(t.Context(), o.ID, by); {
				case err == nil:
					sent.Add(1)
				case !errors.Is(err, order.Conflict) && !errors.Is(err, order.RateLimited):
					t.Error(err)
				}
			})
		}
		close(gate)
		wg.Wait()
		left, err := h.ResendsLeft(t.Context(), o.ID)
		if err != nil || left != 0 || sent.Load() != 3 {
			t.Errorf("%d of 8 were sent, %d are left, %v", sent.Load(), left, err)
		}
	})
}

func (h *house) lastToLegalRep(t *testing.T, o order.Order) string {
	t.Helper()
	all, err := h.db.Notifications(t.Context(), o.ID)
	if err != nil {
		t.Fatal(err)
	}
	all = slices.DeleteFunc(all, func(n order.Notification) bool { return n.To != order.ToLegalRep })
	return all[len(all)-1].ID
}

func (h *house) events(t *testing.T, id order.ID) (out []order.Event) {
	t.Helper()
	all, err := h.db.Events(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		out = append(out, e.Event)
	}
	return out
}

// Row 12: three a day, each SMS kills the link before, another number starts anew.
func TestResend(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		ctx, o := t.Context(), h.asked(t)
		by := order.Actor{Role: order.Applicant, PersonID: o.PersonID}
		first := h.link(t, o)
		if _, err := h.ResendAuthorization(ctx, o.ID, by); err != nil {
			t.Fatal(err)
		}
		if _, _, err := h.AuthorizationByLink(ctx, first); !errors.Is(err, order.Conflict) {
			t.Fatalf("the first link still works: %v", err)
		}
		mobile, err := identity.ParseMobile("13800000022")
		if err != nil {
			t.Fatal(err)
		}
		second := h.link(t, o)
		if _, err := h.ChangeLegalMobile(ctx, o.ID, by, identity.NewMobile(o.Form.Get(order.AgentMobile))); codeOf(err) != "legal_mobile_his_required" {
			t.Fatalf("the applicant's own number: %v", err)
		}
		if _, _, err := h.AuthorizationByLink(ctx, second); err != nil {
			t.Fatalf("refused, and the link is dead: %v", err)
		}
		o, err = h.ChangeLegalMobile(ctx, o.ID, by, mobile)
		if err != nil || o.Form.Get(order.LegalMobile) != "13800000022" || o.Snapshot != o.Hash() {
			t.Fatalf("changed: %v", err)
		}
		if a, _, err := h.AuthorizationByLink(ctx, second); !errors.Is(err, order.Conflict) || a.Why != order.WhyReplaced {
			t.Fatalf("the old number's link: %s %v", a.Why, err)
		}
		if a, _, err := h.AuthorizationByLink(ctx, h.link(t, o)); err != nil || a.Signer.Mobile != "13800000022" {
			t.Fatalf("the new number's link: %v", err)
		}
		if _, err := h.ResendAuthorization(ctx, o.ID, by); err != nil {
			t.Fatal(err)
		}
		if got := h.events(t, o.ID); !slices.Equal(got[len(got)-3:], []order.Event{order.AuthResend, order.AuthMobile, order.AuthResend}) {
			t.Fatalf("the history: %v", got)
		}
		if left, err := h.ResendsLeft(ctx, o.ID); err != nil || left != 0 {
			t.Fatalf("%d left, %v", left, err)
		}
		if _, err := h.ResendAuthorization(ctx, o.ID, by); !errors.Is(err, order.RateLimited) {
			t.Fatalf("a fourth: %v", err)
		}
		if _, err := h.ResendAuthorization(ctx, o.ID, order.Actor{Role: order.Applicant, PersonID: "somebody"}); !errors.Is(err, order.NotFound) {
			t.Fatalf("somebody else: %v", err)
		}
		h.advance(24 * time.Hour)
		if _, err := h.ResendAuthorization(ctx, o.ID, by); err != nil {
			t.Fatalf("the next day: %v", err)
		}
		h.sign(t, o, order.Mandate{})
	})
}

// Row 17: who withdraws while the application is being put right is asked again with the
// next submission; its reasons and its time stay.
func TestWithdrawnWhileItIsPutRight(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		a := h.sign(t, h.asked(t), order.Mandate{})
		reviewer := h.staff(t, "李审核", "13800000011", order.Reviewer)
		h.mustApply(t, a.OrderID, order.Command{On: order.Claim, By: reviewer})
		h.mustApply(t, a.OrderID, order.Command{On: order.Reject, By: reviewer, Reasons: []order.Reason{{Code: "R07"}}})
		a = h.authorize(t, a.ID, order.AuthorizationCommand{On: order.LetterWithdrawn, Why: "withdrawn"})
		o := h.order(t, a.OrderID)
		if got := h.events(t, o.ID); a.State != order.AtWithdrawn || o.Stage != order.Fixable || o.Reasons[0].Code != "R07" || got[len(got)-1] != order.AuthWithdrawn {
			t.Fatalf("withdrawn: %s, the order %s %v, %v", a.State, o.State, o.Reasons, got)
		}
		o = h.mustApply(t, o.ID, order.Command{On: order.Resubmit, By: order.Actor{Role: order.Applicant, PersonID: o.PersonID}, Form: o.Form})
		if o.Stage != order.AwaitingAuthorization {
			t.Errorf("submitted again: %s", o.State)
		}
		h.until(t, h.now().Add(31*24*time.Hour))
		if o = h.order(t, o.ID); o.Refund != order.NoRefund {
			t.Errorf("a timer of the time before: %s %s", o.State, o.Refund)
		}
	})
}

// Row 12: who is asked at another number has seven days and every reminder, as the SMS
// says; one that is sent again names the day that stands.
func TestAnotherNumberHasItsTime(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		ctx, o := t.Context(), h.asked(t) // Monday 10:30
		by := order.Actor{Role: order.Applicant, PersonID: o.PersonID, Channel: order.Web}
		until := func() time.Time {
			t.Helper()
			_, at, err := h.SendingToken(ctx, h.lastToLegalRep(t, o))
			if err != nil {
				t.Fatal(err)
			}
			return at
		}
		h.until(t, shanghai(11, 28, 10, 30))
		if _, err := h.ResendAuthorization(ctx, o.ID, by); err != nil || !until().Equal(shanghai(11, 30, 10, 30)) {
			t.Fatalf("sent again: until %s, %v", until(), err)
		}
		h.until(t, shanghai(11, 29, 10, 30))
		if _, err := h.ChangeLegalMobile(ctx, o.ID, by, identity.NewMobile("13800000022")); err != nil || !until().Equal(shanghai(12, 6, 10, 30)) {
			t.Fatalf("another number: until %s, %v", until(), err)
		}
		before, err := h.db.Notifications(ctx, o.ID)
		if err != nil {
			t.Fatal(err)
		}
		for at := shanghai(11, 29, 11, 30); at.Before(shanghai(12, 6, 10, 30)); at = at.Add(time.Hour) {
			h.until(t, at)
		}
		if now := h.order(t, o.ID); now.Stage != order.AwaitingAuthorization {
			t.Fatalf("an hour before: %s", now.State)
		}
		all, err := h.db.Notifications(ctx, o.ID)
		if err != nil {
			t.Fatal(err)
		}
		var sent []order.Notice
		for _, n := range all[len(before):] {
			sent = append(sent, n.Notice)
		}
		if slices.Sort(sent); !slices.Equal(sent, []order.Notice{order.NoticeAuthorizeSoon, order.NoticeAuthorizeDay, order.NoticeAuthorizeLast}) {
			t.Errorf("reminded: %v", sent)
		}
		h.until(t, shanghai(12, 6, 10, 30))
		if now := h.order(t, o.ID); now.Stage != order.Fixable {
			t.Errorf("over: %s", now.State)
		}
	})
}

// Rows 13 to 16: paper instead, returned with a note, declined, expired with its
// reminders; every link says what became of it.
func TestLegalRepDoesNotSign(t *testing.T) {
	t.Run("paper", func(t *testing.T) {
		eachDB(t, func(t *testing.T, h *house) {
			o := h.asked(t)
			by, link := order.Actor{Role: order.Applicant, PersonID: o.PersonID}, h.link(t, o)
			if _, err := h.AuthorizeOnPaper(t.Context(), o.ID, by, "01LETTER", ""); !errors.Is(err, order.Invalid) { // G33
				t.Fatalf("without an e-mail: %v", err)
			}
			o, err := h.AuthorizeOnPaper(t.Context(), o.ID, by, "01LETTER", "wangxq@example.com")
			if err != nil || o.Stage != order.Queued || o.DueAt.IsZero() || o.Form.Get(order.LegalIDNo) != "" || o.Snapshot != o.Hash() {
				t.Fatalf("on paper: %s, %v", o.State, err)
			}
			if _, _, err := h.AuthorizationByLink(t.Context(), link); err == nil || !strings.Contains(detail(err), "纸质") {
				t.Fatalf("the link says %v", err)
			}
		})
	})
	t.Run("returned", func(t *testing.T) {
		eachDB(t, func(t *testing.T, h *house) {
			o := h.asked(t)
			a := h.identify(t, o)
			if _, err := h.Authorize(t.Context(), a.ID, order.AuthorizationCommand{On: order.LetterReturned, By: legalRep}); !errors.Is(err, order.Invalid) {
				t.Fatalf("without a note: %v", err)
			}
			h.authorize(t, a.ID, order.AuthorizationCommand{On: order.LetterReturned, Note: "数量应为 3 个"})
			if o = h.order(t, o.ID); o.Stage != order.Fixable || o.Reasons[0].Code != "R05" || o.Reasons[0].Note != "数量应为 3 个" {
				t.Fatalf("returned: %s %v", o.State, o.Reasons)
			}
		})
	})
	t.Run("declined", func(t *testing.T) {
		eachDB(t, func(t *testing.T, h *house) {
			o := h.asked(t)
			link := h.link(t, o)
			a, _, err := h.AuthorizationByLink(t.Context(), link)
			if err != nil {
				t.Fatal(err)
			}
			h.authorize(t, a.ID, order.AuthorizationCommand{On: order.LetterOpened})
			h.authorize(t, a.ID, order.AuthorizationCommand{On: order.LetterDeclined})
			if o = h.order(t, o.ID); o.Stage != order.Fixable || o.Reasons[0].Code != "R16" || o.Form.Get(order.LegalIDNo) != "" {
				t.Fatalf("declined: %s %v", o.State, o.Reasons)
			}
			a, _, err = h.AuthorizationByLink(t.Context(), link)
			if a.State != order.AtDeclined || a.Signer != (order.LegalSigner{}) || !strings.Contains(detail(err), "拒绝") {
				t.Fatalf("the link: %s, %v", a.State, err)
			}
			events, err := h.db.Events(t.Context(), o.ID)
			if err != nil || events[len(events)-1].Event != order.AuthDeclined { // the record stays
				t.Fatalf("history: %v, %v", events, err)
			}
		})
	})
	t.Run("declined after earlier requests", func(t *testing.T) {
		eachDB(t, func(t *testing.T, h *house) {
			ctx, o := t.Context(), h.asked(t)
			by := order.Actor{Role: order.Applicant, PersonID: o.PersonID, Channel: order.Web}
			// Returned with a photographed document, asked at another number, of which somebody else was.
			h.authorize(t, h.identify(t, o).ID, order.AuthorizationCommand{On: order.LetterReturned, Note: "数量应为 3 个"})
			o = h.order(t, o.ID)
			o = h.mustApply(t, o.ID, order.Command{On: order.Resubmit, By: by, Form: o.Form})
			for _, m := range []string{"13800000022", "13800000021"} {
				var err error
				if o, err = h.ChangeLegalMobile(ctx, o.ID, by, identity.NewMobile(m)); err != nil {
					t.Fatal(err)
				}
			}
			last := h.identify(t, o)
			h.authorize(t, last.ID, order.AuthorizationCommand{On: order.LetterDeclined, Why: "declined"})
			all, err := h.db.Authorizations(ctx, o.ID)
			if err != nil || len(all) != 4 {
				t.Fatalf("%d requests, %v", len(all), err)
			}
			var states []order.AuthorizationState
			for _, a := range all {
				if states = append(states, a.State); !a.Forgotten() || !a.Proof.Opened.At.IsZero() || a.Proof.Identity.ID != "" {
					t.Errorf("%s %s: kept %#v", a.ID, a.State, a.Proof)
				}
			}
			if !slices.Equal(states, []order.AuthorizationState{order.AtReturned, order.AtExpired, order.AtExpired, order.AtDeclined}) || all[0].Why != "" || all[1].Why != order.WhyReplaced {
				t.Errorf("what became of them: %v", states)
			}
		})
	})
	t.Run("declined, and others stand on what he signed", func(t *testing.T) {
		eachDB(t, func(t *testing.T, h *house) {
			o := h.asked(t)
			by := order.Actor{Role: order.Applicant, PersonID: o.PersonID, Channel: order.Web}
			first := h.sign(t, o, order.Mandate{Until: h.now().Add(90 * 24 * time.Hour)})
			if other := h.asked(t); other.Stage != order.Queued {
				t.Fatalf("the other: %s", other.State)
			}
			if err := h.RevokeMandate(t.Context(), first.ID, legalRep); err != nil {
				t.Fatal(err)
			}
			reviewer := h.staff(t, "李审核", "13800000011", order.Reviewer)
			h.mustApply(t, o.ID, order.Command{On: order.Claim, By: reviewer})
			o = h.mustApply(t, o.ID, order.Command{On: order.Reject, By: reviewer, Reasons: []order.Reason{{Code: "R14"}}})
			o = h.mustApply(t, o.ID, order.Command{On: order.Resubmit, By: by, Form: o.Form.With(order.AgentName, "王大琪")})
			a, _, err := h.AuthorizationByLink(t.Context(), h.link(t, o))
			if err != nil {
				t.Fatal(err)
			}
			h.authorize(t, a.ID, order.AuthorizationCommand{On: order.LetterOpened})
			h.authorize(t, a.ID, order.AuthorizationCommand{On: order.LetterDeclined})
			if got, err := h.db.Authorization(t.Context(), first.ID); err != nil || got.Forgotten() || got.Proof.Receipt != first.Proof.Receipt {
				t.Errorf("what the other stands on: %#v, %v", got.Proof, err)
			}
		})
	})
	t.Run("over a weekend", func(t *testing.T) { // the first reminder would come after the second
		eachDB(t, func(t *testing.T, h *house) {
			h.advance(shanghai(11, 28, 10, 0).Sub(h.now()))
			o := h.asked(t)
			for range 3 * 24 {
				h.advance(time.Hour)
				if err := h.Sweep(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			all, err := h.db.Notifications(t.Context(), o.ID)
			if err != nil || slices.ContainsFunc(all, func(n order.Notification) bool { return n.Notice == order.NoticeAuthorizeSoon }) {
				t.Errorf("sent %+v, %v", all, err)
			}
		})
	})
	t.Run("expired", func(t *testing.T) {
		eachDB(t, func(t *testing.T, h *house) {
			o := h.asked(t)
			for range 8 {
				h.advance(24 * time.Hour)
				if err := h.Sweep(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if o = h.order(t, o.ID); o.Stage != order.Fixable || o.Reasons[0].Code != "R16" {
				t.Fatalf("expired: %s %v", o.State, o.Reasons)
			}
			all, err := h.db.Notifications(t.Context(), o.ID)
			if err != nil {
				t.Fatal(err)
			}
			var sent []order.Notice
			for _, n := range all {
				if n.To == order.ToLegalRep {
					sent = append(sent, n.Notice)
				}
			}
			want := []order.Notice{order.NoticeAuthorize, order.NoticeAuthorizeSoon, order.NoticeAuthorizeDay, order.NoticeAuthorizeLast}
			if !slices.Equal(slices.Sorted(slices.Values(sent)), slices.Sorted(slices.Values(want))) {
				t.Errorf("sent %v, want %v", sent, want)
			}
			all2, err := h.db.Authorizations(t.Context(), o.ID)
			if err != nil || len(all2) != 1 || all2[0].State != order.AtExpired || all2[0].Why != order.WhyTimeout {
				t.Fatalf("authorisations %v, %v", all2, err)
			}
		})
	})
}

// Flows 4.5, screen 8: he is reminded after two working hours, one day and three, and has
// seven days, to the minute.
func TestLegalRepIsReminded(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		o := h.asked(t) // Monday 10:30
		told := []order.Notice{order.NoticeAuthorize}
		for _, next := range []struct {
			at     time.Time
			notice order.Notice
		}{
			{shanghai(11, 23, 12, 30), order.NoticeAuthorizeSoon},
			{shanghai(11, 24, 10, 30), order.NoticeAuthorizeDay},
			{shanghai(11, 26, 10, 30), order.NoticeAuthorizeLast},
			{shanghai(11, 30, 10, 30), ""},
		} {
			for _, at := range []time.Time{next.at.Add(-time.Minute), next.at} {
				h.until(t, at)
				if at.Equal(next.at) && next.notice != "" {
					told = append(told, next.notice)
				}
				all, err := h.db.Notifications(t.Context(), o.ID)
				if err != nil {
					t.Fatal(err)
				}
				var have []order.Notice
				for _, n := range all {
					if n.To == order.ToLegalRep {
						have = append(have, n.Notice)
					}
				}
				slices.Sort(have)
				if want := slices.Sorted(slices.Values(told)); !slices.Equal(have, want) {
					t.Errorf("%s: told %v, want %v", at, have, want)
				}
				over := at.Equal(next.at) && next.notice == ""
				if now := h.order(t, o.ID); (now.Status == order.Rejected) != over {
					t.Errorf("%s: %s", at, now.State)
				}
			}
		}
	})
}

func detail(err error) string {
	if e, ok := order.AsError(err); ok {
		return e.Detail
	}
	return ""
}

// Idea 4: a mandate covers the next application of the same company, 经办人 and
// legal representative until its day, unless it is revoked.
func TestMandate(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		first := h.sign(t, h.asked(t), order.Mandate{Until: h.now().Add(90 * 24 * time.Hour)})
		o := h.asked(t)
		if o.Stage != order.Queued || o.DueAt.IsZero() {
			t.Fatalf("covered: %s", o.State)
		}
		a, err := h.db.ActiveAuthorization(t.Context(), o.ID)
		if err != nil || a.State != order.AtSigned || a.ReuseOf != first.ID {
			t.Fatalf("reused %q, %v", a.ReuseOf, err)
		}
		if got := h.events(t, o.ID); got[len(got)-1] != order.MandateUsed {
			t.Fatalf("the history: %v", got)
		}
		reviewer := h.staff(t, "李审核", "13800000011", order.Reviewer)
		if err := h.RecordRealName(t.Context(), o.ID, 1, order.RealNameMatch); err != nil {
			t.Fatal(err)
		}
		h.mustApply(t, o.ID, order.Command{On: order.Claim, By: reviewer})
		h.mustApply(t, o.ID, order.Command{On: order.Approve, By: reviewer, Snapshot: o.Snapshot, Ticks: order.Ticks})

		other := h.confirm(t, h.draft(t, with(online, order.IDNo, "11010119900307002X")))
		h.pays(t, other)
		if o = h.order(t, other.ID); o.Stage != order.AwaitingAuthorization {
			t.Errorf("another 经办人: %s", o.State)
		}
		if err := h.RevokeMandate(t.Context(), first.ID, legalRep); err != nil {
			t.Fatal(err)
		}
		if o = h.asked(t); o.Stage != order.AwaitingAuthorization {
			t.Errorf("after it was revoked: %s", o.State)
		}
	})
	// Flows 4.5, rows 17 and 18: who gave the mandate is told of every use, by the number
	// that he proved, and withdraws it like a signature of his own. Then it covers no more.
	t.Run("withdrawn", func(t *testing.T) {
		eachDB(t, func(t *testing.T, h *house) {
			first := h.sign(t, h.asked(t), order.Mandate{Until: h.now().Add(90 * 24 * time.Hour)})
			o := h.confirm(t, h.draft(t, with(online, order.LegalMobile, "13800000023"))) // typed by the 经办人
			h.pays(t, o)
			a, _, err := h.AuthorizationByLink(t.Context(), h.link(t, o))
			if err != nil || a.ReuseOf != first.ID || a.Signer != first.Signer {
				t.Fatalf("the link leads to %s of %q, %v", a.State, a.ReuseOf, err)
			}
			h.authorize(t, a.ID, order.AuthorizationCommand{On: order.LetterWithdrawn})
			if o = h.order(t, o.ID); o.Stage != order.Fixable || o.Reasons[0].Code != "R16" {
				t.Fatalf("withdrawn: %s %v", o.State, o.Reasons)
			}
			if base, err := h.db.Authorization(t.Context(), first.ID); err != nil || base.State != order.AtSigned || base.Mandate.Covers(h.now()) {
				t.Fatalf("the mandate: %s until %s revoked %s, %v", base.State, base.Mandate.Until, base.Mandate.RevokedAt, err)
			}
			h.mustApply(t, o.ID, order.Command{On: order.Resubmit, By: order.Actor{Role: order.Applicant, PersonID: o.PersonID}, Form: o.Form})
			if o = h.order(t, o.ID); o.Stage != order.AwaitingAuthorization {
				t.Errorf("submitted again: %s", o.State)
			}
		})
	})
	t.Run("too late", func(t *testing.T) {
		eachDB(t, func(t *testing.T, h *house) {
			h.sign(t, h.asked(t), order.Mandate{Until: h.now().Add(90 * 24 * time.Hour)})
			o := h.asked(t)
			reviewer := h.staff(t, "李审核", "13800000011", order.Reviewer)
			if err := h.RecordRealName(t.Context(), o.ID, 1, order.RealNameMatch); err != nil {
				t.Fatal(err)
			}
			h.mustApply(t, o.ID, order.Command{On: order.Claim, By: reviewer})
			h.mustApply(t, o.ID, order.Command{On: order.Approve, By: reviewer, Snapshot: o.Snapshot, Ticks: order.Ticks})
			items, err := h.db.Items(t.Context(), o.ID)
			if err != nil {
				t.Fatal(err)
			}
			h.mustApply(t, o.ID, order.Command{On: order.MakeKey, By: order.BySystem, Item: items[0].ID})
			a, _, err := h.AuthorizationByLink(t.Context(), h.link(t, o))
			if err != nil {
				t.Fatal(err)
			}
			_, err = h.Authorize(t.Context(), a.ID, order.AuthorizationCommand{On: order.LetterWithdrawn, By: legalRep})
			if e, ok := order.AsError(err); !ok || e.Code != "too_late_to_withdraw" {
				t.Errorf("withdrawn while the key is made: %v", err)
			}
			if a, err = h.db.Authorization(t.Context(), a.ID); err != nil || a.State != order.AtSigned {
				t.Errorf("authorisation %s, %v", a.State, err)
			}
		})
	})
	// What ends the authorisation of an order takes nothing from the mandate: he gave it until
	// a day, and its page, where he may revoke it, stays.
	t.Run("outlives its order", func(t *testing.T) {
		eachDB(t, func(t *testing.T, h *house) {
			o := h.asked(t)
			link := h.link(t, o)
			first := h.sign(t, o, order.Mandate{Until: h.now().Add(90 * 24 * time.Hour)})
			reviewer := h.staff(t, "李审核", "13800000011", order.Reviewer)
			h.mustApply(t, o.ID, order.Command{On: order.Claim, By: reviewer})
			o = h.mustApply(t, o.ID, order.Command{On: order.Reject, By: reviewer, Reasons: []order.Reason{{Code: "R14"}}})
			// A signed field changes, and the mandate covers the order's next submission.
			o = h.mustApply(t, o.ID, order.Command{On: order.Resubmit, By: order.Actor{Role: order.Applicant, PersonID: o.PersonID}, Form: o.Form.With(order.AgentName, "王大琪")})
			now, err := h.db.ActiveAuthorization(t.Context(), o.ID)
			if err != nil || o.Stage != order.Queued || now.ReuseOf != first.ID {
				t.Fatalf("submitted again: %s by %q, %v", o.State, now.ReuseOf, err)
			}
			finance := h.staff(t, "周财务", "13800000012", order.Finance)
			h.mustApply(t, o.ID, order.Command{On: order.RefundStart, By: finance, Note: "申请人要求"})
			if other := h.asked(t); other.Stage != order.Queued {
				t.Errorf("another application after the refund: %s", other.State)
			}
			a, _, err := h.AuthorizationByLink(t.Context(), link)
			if err != nil || a.ID != first.ID || !a.Lapsed(h.now()) {
				t.Errorf("its page: %s, %v", a.State, err)
			}
			if _, err := h.Authorize(t.Context(), first.ID, order.AuthorizationCommand{On: order.LetterWithdrawn, By: legalRep}); !errors.Is(err, order.Conflict) {
				t.Errorf("withdrawn, and the order is refunded: %v", err)
			}
			his, err := h.AskedOf(t.Context(), identity.NewMobile(first.Signer.Mobile), "", 9)
			if err != nil || !slices.ContainsFunc(his, func(a order.Asked) bool { return a.Authorization.ID == first.ID }) {
				t.Errorf("his list: %d, %v", len(his), err)
			}
			if err := h.RevokeMandate(t.Context(), first.ID, legalRep); err != nil {
				t.Fatal(err)
			}
			if other := h.asked(t); other.Stage != order.AwaitingAuthorization {
				t.Errorf("after it was revoked: %s", other.State)
			}
			if _, _, err := h.AuthorizationByLink(t.Context(), link); !errors.Is(err, order.Conflict) {
				t.Errorf("its page, revoked: %v", err)
			}
		})
	})
	t.Run("over", func(t *testing.T) {
		eachDB(t, func(t *testing.T, h *house) {
			h.sign(t, h.asked(t), order.Mandate{Until: h.now().Add(24 * time.Hour)})
			h.advance(25 * time.Hour)
			if o := h.asked(t); o.Stage != order.AwaitingAuthorization {
				t.Errorf("after its day: %s", o.State)
			}
		})
	})
}

func with(m map[order.Field]string, f order.Field, v string) map[order.Field]string {
	out := map[order.Field]string{f: v}
	for k, old := range m {
		if k != f {
			out[k] = old
		}
	}
	return out
}
