package certificate

import (
	"slices"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

// Every cell names something that exists, and a revocation is for ever.
func TestTable(t *testing.T) {
	states := []State{Valid, Frozen, Revoked}
	seen := map[[2]string]bool{}
	for _, tr := range lifecycle {
		if tr.On.Label() == "" || tr.Do == nil || len(tr.By) == 0 || !slices.Contains(states, tr.To) {
			t.Errorf("row %s → %s is incomplete", tr.On, tr.To)
		}
		if tr.Event.Label() == "" || len(order.Notices[tr.Notice].Media) != 2 {
			t.Errorf("row %s: event %q or notice %q", tr.On, tr.Event, tr.Notice)
		}
		for _, from := range tr.From {
			if from == Revoked {
				t.Errorf("row %s leaves 已吊销", tr.On)
			}
			if key := [2]string{string(from), string(tr.On)}; seen[key] {
				t.Errorf("two rows for %v", key)
			} else {
				seen[key] = true
			}
		}
	}
	for _, e := range Events {
		if !slices.ContainsFunc(lifecycle, func(tr transition) bool { return tr.On == e }) {
			t.Errorf("event %s is in no row", e)
		}
	}
	for _, s := range states {
		if s.Label() == "" {
			t.Errorf("state %s has no label", s)
		}
	}
}

// RFC 5280 §5.3.1: the reasons on offer, and nobody may choose a freeze or what
// is about a CA.
func TestReasons(t *testing.T) {
	want := map[order.Role][]Reason{
		order.Applicant: {KeyCompromise, AffiliationChanged, Superseded, CessationOfOperation, Unspecified},
		order.Issuer:    {KeyCompromise, AffiliationChanged, Superseded, CessationOfOperation, PrivilegeWithdrawn, Unspecified},
		order.Reviewer:  nil,
	}
	for role, reasons := range want {
		if got := ReasonsFor(role); !slices.Equal(got, reasons) {
			t.Errorf("%s: %v, want %v", role, got, reasons)
		}
	}
	for _, r := range append(Reasons, Hold) {
		if got, ok := ReasonNamed(r.Name()); !ok || got != r || r.Label() == "" {
			t.Errorf("reason %d: %q is %d, label %q", r, r.Name(), got, r.Label())
		}
	}
	for _, name := range []string{"", "removeFromCRL", "cACompromise"} {
		if _, ok := ReasonNamed(name); ok {
			t.Errorf("%q is a reason", name)
		}
	}
}

// F102, flows 4.5: who may do what to a certificate in which state.
func TestNext(t *testing.T) {
	now := time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)
	earlier := now.Add(-time.Hour)
	valid := Certificate{NotAfter: now.AddDate(1, 0, 0)}
	frozen, revoked, expired := valid, valid, valid
	frozen.RevokedAt, frozen.Reason = earlier, Hold
	revoked.RevokedAt, revoked.Reason = earlier, KeyCompromise
	expired.NotAfter = earlier
	by := func(r order.Role) order.Actor { return order.Actor{Role: r} }
	holder := Command{By: by(order.Applicant), MobileProven: true, Bid: NoOpenBid}
	issuer := Command{By: by(order.Issuer), Note: "来电挂失"}
	with := func(c Command, e Event, r Reason) Command { c.On, c.Reason, c.at = e, r, now; return c }
	unproven, unasked, silent := holder, holder, issuer
	unproven.MobileProven, unasked.Bid, silent.Note = false, "", ""
	losing := unasked
	losing.Bid = BidAtStake
	for _, test := range []struct {
		name string
		cert Certificate
		c    Command
		want State
		code string
	}{
		{"holder freezes", valid, with(holder, Freeze, 0), Frozen, ""},
		{"issuer freezes", valid, with(issuer, Freeze, 0), Frozen, ""},
		{"holder without code", valid, with(unproven, Freeze, 0), "", "certificate_code_required"},
		{"issuer without a word", valid, with(silent, Freeze, 0), "", "certificate_note_required"},
		{"reviewer", valid, with(Command{By: by(order.Reviewer), Note: "x"}, Freeze, 0), "", "certificate_role"},
		{"frozen again", frozen, with(holder, Freeze, 0), "", "certificate_not_ready"},
		{"expired", expired, with(holder, Freeze, 0), "", "certificate_expired"},
		{"holder revokes", valid, with(holder, Revoke, Superseded), Revoked, ""},
		{"holder who was not asked about bids", valid, with(unasked, Revoke, Superseded), "", "open_bid_unanswered"},
		{"holder gives a bid up", valid, with(losing, Revoke, Superseded), Revoked, ""},
		{"holder freezes without being asked", valid, with(unasked, Freeze, 0), Frozen, ""},
		{"holder revokes what is frozen", frozen, with(holder, Revoke, Unspecified), Revoked, ""},
		{"holder withdraws a privilege", valid, with(holder, Revoke, PrivilegeWithdrawn), "", "revocation_reason_unknown"},
		{"issuer withdraws a privilege", valid, with(issuer, Revoke, PrivilegeWithdrawn), Revoked, ""},
		{"revoked for a freeze", valid, with(issuer, Revoke, Hold), "", "revocation_reason_unknown"},
		{"revoked twice", revoked, with(holder, Revoke, Superseded), "", "certificate_not_ready"},
		{"frozen after revocation", revoked, with(holder, Freeze, 0), "", "certificate_not_ready"},
		{"holder resumes", frozen, with(holder, Resume, 0), "", "certificate_role"},
		{"issuer resumes", frozen, with(issuer, Resume, 0), Valid, ""},
		{"issuer resumes what was never frozen", valid, with(issuer, Resume, 0), "", "certificate_not_ready"},
		{"resumed after revocation", revoked, with(issuer, Resume, 0), "", "certificate_not_ready"},
	} {
		t.Run(test.name, func(t *testing.T) {
			tr, err := next(test.cert, test.c)
			if e, _ := order.AsError(err); err != nil && (e == nil || e.Code != test.code) || err == nil && test.code != "" {
				t.Fatalf("refusal %v, want %q", err, test.code)
			}
			if err != nil {
				return
			}
			cert := test.cert
			tr.Do(&cert, test.c)
			if cert.State() != test.want || tr.To != test.want {
				t.Errorf("%s, row says %s, want %s", cert.State(), tr.To, test.want)
			}
			if at := test.cert.RevokedAt; !at.IsZero() && test.want != Valid && !cert.RevokedAt.Equal(at) {
				t.Errorf("revoked at %v, frozen since %v", cert.RevokedAt, at)
			}
		})
	}
	for name, test := range map[string]struct {
		cert Certificate
		want []Event
	}{"valid": {valid, []Event{Freeze, Revoke}}, "frozen": {frozen, []Event{Revoke}}, "revoked": {revoked, nil}, "expired": {expired, nil}} {
		if got := test.cert.Allowed(order.Applicant, now); !slices.Equal(got, test.want) {
			t.Errorf("%s: allowed %v, want %v", name, got, test.want)
		}
	}
}
