package order

import (
	"testing"
	"time"
)

// Guard K of the design, business by business, at the submission and at the
// approval.
func TestFit(t *testing.T) {
	good := About{Renewable: true}
	with := func(change func(*About)) About {
		a := good
		change(&a)
		return a
	}
	frozen, revoked := with(func(a *About) { a.Frozen = true }), with(func(a *About) { a.Revoked = true })
	expired, early := with(func(a *About) { a.Expired = true }), with(func(a *About) { a.Renewable = false })
	replaced := with(func(a *About) { a.Replaced = true })
	for _, test := range []struct {
		name            string
		b               Business
		a               About
		submit, approve string
	}{
		{"renewal in its window", Renewal, good, "", ""},
		{"renewal too early or too late", Renewal, early, "not_in_renewal_window", ""}, // F66: judged at the submission
		{"renewal after the end", Renewal, expired, "", ""},
		{"renewal, revoked", Renewal, revoked, "certificate_is_revoked", "certificate_is_revoked"},
		{"renewal, frozen", Renewal, frozen, "certificate_is_frozen", "certificate_is_frozen"},
		{"renewal, renewed already", Renewal, replaced, "certificate_replaced", "certificate_replaced"},
		{"unlock", UnlockApproval, good, "", ""},
		{"unlock after the end", UnlockApproval, expired, "", ""}, // F88
		{"unlock, frozen", UnlockApproval, frozen, "certificate_is_frozen", "certificate_is_frozen"},
		{"unlock, revoked", UnlockApproval, revoked, "certificate_is_revoked", "certificate_is_revoked"},
		{"resume, frozen", Resume, frozen, "", ""},
		{"resume, not frozen", Resume, good, "certificate_not_frozen", "certificate_not_frozen"},
		{"resume, frozen and over", Resume, with(func(a *About) { a.Frozen, a.Expired = true, true }), "certificate_is_expired", "certificate_is_expired"},
		{"replacement", Reissue, good, "", ""},
		{"replacement of what was revoked for a loss", Reissue, revoked, "", ""},
		{"replacement after the end", Reissue, expired, "certificate_is_expired", "certificate_is_expired"},
		{"second replacement", Reissue, replaced, "certificate_replaced", "certificate_replaced"},
		{"rebind", Rebind, expired, "", ""},
		{"rebind, revoked", Rebind, revoked, "certificate_is_revoked", "certificate_is_revoked"},
		{"first purchase", Initial, About{}, "", ""},
		{"renewal of a worn out key by a new one", Renewal, with(func(a *About) { a.KeyWornOut, a.Algorithm = true, P256 }), "", ""},
		{"renewal of a worn out key", Renewal, with(func(a *About) { a.KeyWornOut, a.Algorithm = true, RSA2048 }), "key_worn_out", ""},
	} {
		for on, want := range map[Event]string{Confirm: test.submit, Resubmit: test.submit, Approve: test.approve, Run: test.approve} {
			err := fit(Order{Business: test.b, Product: Product{Business: test.b, IssueMode: BySelf, Algorithm: RSA2048}}, Command{On: on, about: &test.a})
			if e, _ := AsError(err); err == nil && want != "" || err != nil && (e == nil || e.Code != want) {
				t.Errorf("%s, %s: %v, want %q", test.name, on, err, want)
			}
		}
	}
	if err := fit(Order{Business: Renewal}, Command{On: Confirm}); err == nil {
		t.Error("a renewal of no certificate fits")
	}
}

// F66, rows 25 to 29: how long an approval may be acted on.
func TestGrantEnd(t *testing.T) {
	for _, test := range []struct {
		name string
		b    Business
		left time.Duration // until the certificate ends
		want time.Duration // after the approval
	}{
		{"renewal before the end", Renewal, 20 * day, 110 * day},
		{"renewal long after it", Renewal, -80 * day, 30 * day},
		{"unlock", UnlockApproval, 0, 7 * day},
		{"resume", Resume, 0, 7 * day},
		{"download", Initial, 0, 30 * day},
	} {
		o := Order{Business: test.b, ApprovedAt: t0}
		end := o.GrantEnd(t0.Add(test.left))
		if !end.Equal(t0.Add(test.want)) {
			t.Errorf("%s: %s after the approval", test.name, end.Sub(t0))
		}
		about := &About{NotAfter: t0.Add(test.left)}
		if !grantAlive(o, Command{about: about, at: end.Add(-time.Second)}) || grantAlive(o, Command{about: about, at: end}) {
			t.Errorf("%s: the last moment is not %s", test.name, end)
		}
	}
	if end := (Order{Business: Renewal}).GrantEnd(t0); !end.IsZero() {
		t.Errorf("not approved, yet granted until %s", end)
	}
}

// flows.md 4.7: the bid question, asked at t0 about a certificate that ends a day later.
func TestAdviseOnBid(t *testing.T) {
	for name, test := range map[string]struct {
		uploaded bool
		opening  time.Time
		want     BidAdvice
	}{
		"no bids":               {false, t0, BidFree},
		"opening unknown":       {true, time.Time{}, BidFree},
		"opened yesterday":      {true, t0.Add(-day), BidOpened},
		"opened now":            {true, t0, BidOpened},
		"opened before the end": {true, t0.Add(time.Hour), BidFirst},
		"opened after the end":  {true, t0.Add(day + time.Hour), BidAgain},
	} {
		got := AdviseOnBid(test.uploaded, test.opening, t0.Add(day), t0)
		if got != test.want || (got.Text() == "" || got.RevocationText() == "") && got != BidFree {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// Row 63: an order says what keeps it from going on while that is so, and asks nothing of
// a certificate once it is made, closed or refunded.
func TestObstacle(t *testing.T) {
	frozen, revoked, early := About{Frozen: true, Renewable: true}, About{Revoked: true, Renewable: true}, About{}
	for _, test := range []struct {
		name string
		o    Order
		a    About
		want string
	}{
		{"unpaid, frozen", Order{Business: Renewal, State: awaitingPayment}, frozen, "certificate_is_frozen"},
		{"in review, frozen", Order{Business: Renewal, State: queued}, frozen, "certificate_is_frozen"},
		{"approved, frozen", Order{Business: UnlockApproval, State: toUnlock}, frozen, "certificate_is_frozen"},
		{"to correct, frozen", Order{Business: UnlockApproval, State: fixable}, frozen, "certificate_is_frozen"},
		{"draft, revoked", Order{Business: Renewal, State: draft}, revoked, "certificate_is_revoked"},
		{"draft, out of the window", Order{Business: Renewal, State: draft}, early, "not_in_renewal_window"},
		{"in review, out of the window", Order{Business: Renewal, State: queued}, early, ""},
		{"restoring what is frozen", Order{Business: Resume, State: toRestore}, frozen, ""},
		{"replacing what is frozen", Order{Business: Reissue, State: queued}, frozen, ""},
		{"done", Order{Business: Renewal, State: completed}, revoked, ""},
		{"closed", Order{Business: Renewal, State: closed}, revoked, ""},
		{"on its way back", Order{Business: Renewal, State: queued, Refund: Refunding}, revoked, ""},
		{"about none", Order{Business: Initial, State: queued}, frozen, ""},
	} {
		err := test.a.Obstacle(test.o)
		if e, _ := AsError(err); err == nil && test.want != "" || err != nil && (e == nil || e.Code != test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}
