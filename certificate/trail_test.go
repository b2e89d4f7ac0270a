package certificate_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

// visitor is somebody without a login, at a page.
var visitor = order.Actor{Role: order.Applicant, Channel: order.Web, IP: "192.0.2.7"}

// trail is a store that tells which lines it has put on the audit trail.
type trail struct {
	certificate.Store
	mu    sync.Mutex
	lines []order.AuditRecord
	away  error // why no line can be written
}

// Change implements [certificate.Store]; what is not committed leaves no line.
func (s *trail) Change(ctx context.Context, fn func(certificate.Tx) error) error {
	tx := &trailTx{away: s.away}
	err := s.Store.Change(ctx, func(in certificate.Tx) error {
		tx.Tx, tx.lines = in, nil
		return fn(tx)
	})
	if err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.lines = append(s.lines, tx.lines...)
	}
	return err
}

// said are the lines since it was asked last: what, about which order, by whom and from
// where, and how it ended.
func (s *trail) said() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, r := range s.lines {
		out = append(out, fmt.Sprint(strings.ReplaceAll(r.Action, serialA, "A"), " ", r.OrderID, " ", r.Role, " ", r.ActorID, " ", r.IP, " ", r.Outcome))
	}
	s.lines = nil
	return out
}

// expect compares the lines since the last time with what has to be there.
func (s *trail) expect(t *testing.T, what string, want ...string) {
	t.Helper()
	if got := s.said(); !slices.Equal(got, want) {
		t.Errorf("%s: the audit trail has\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

type trailTx struct {
	certificate.Tx
	lines []order.AuditRecord
	away  error
}

func (tx *trailTx) AppendAudit(ctx context.Context, r order.AuditRecord) error {
	tx.lines = append(tx.lines, r)
	return errors.Join(tx.away, tx.Tx.AppendAudit(ctx, r))
}

// Who lays hands on somebody else's certificate hears that there is none, and is on record.
func TestTrespassIsOnRecord(t *testing.T) {
	eachDB(t, func(t *testing.T, f *office) {
		other := order.Actor{Role: order.Applicant, PersonID: "01OTHER", IP: "192.0.2.9"}
		got, err := f.Apply(t.Context(), serialA, certificate.Command{On: certificate.Freeze, By: other, MobileProven: true})
		if !errors.Is(err, order.NotFound) || got.Serial != "" {
			t.Errorf("%v, and he is told of %q", err, got.Serial)
		}
		f.trail.expect(t, "a trespass", "certificate:freeze:A 01JORDER applicant 01OTHER 192.0.2.9 certificate_not_found")
	})
}

// A refusal that cannot be recorded is told to whoever watches, and the refusal itself to
// who asked.
func TestRefusalIsNotLostInSilence(t *testing.T) {
	eachDB(t, func(t *testing.T, f *office) {
		f.trail.away = errors.New("the database is away")
		_, err := f.Apply(t.Context(), serialA, certificate.Command{On: certificate.Resume, By: f.holder()})
		if _, refused := order.AsError(err); !refused {
			t.Errorf("he hears %v", err)
		}
		if len(f.lost) != 1 || !errors.Is(f.lost[0], f.trail.away) || !strings.Contains(f.lost[0].Error(), "certificate:resume:"+serialA+` of order "01JORDER"`) {
			t.Errorf("lost: %v", f.lost)
		}
	})
}

// Each step that brings somebody nearer to a USBKEY's PIN is on record, also when it ends
// there; so is each that was refused.
func TestUnlocksAreOnRecord(t *testing.T) {
	eachDB(t, func(t *testing.T, f *office) {
		ctx, c := t.Context(), f.counter(t)
		s, err := c.Lookup(ctx, usbkey)
		must(t, err)
		_, secret, err := c.BeginSelf(ctx, s, visitor)
		must(t, err)
		f.trail.expect(t, "a ticket", "certificate:unlock_ticket:A 01JORDER applicant "+f.person+" 192.0.2.7 ok")
		e, err := c.Open(ctx, secret, []byte("key"))
		must(t, err)
		_, err = c.Secret(ctx, secret, "192.0.2.8")
		must(t, err)
		f.trail.expect(t, "a helper takes the secret and falls silent", "certificate:unlock_secret:A 01JORDER key_helper "+f.person+" 192.0.2.8 ok")
		if _, err := c.Report(ctx, secret, []byte("forged"), "192.0.2.8"); !errors.Is(err, order.Invalid) {
			t.Errorf("a forged proof: %v", err)
		}
		f.trail.expect(t, "a forged proof", "certificate:pin_set:A 01JORDER key_helper "+f.person+" 192.0.2.8 proof_invalid")
		_, err = c.Report(ctx, secret, e.Challenge, "192.0.2.8")
		must(t, err)
		f.trail.said()

		_, err = c.CodeFor(ctx, s, "0ABCDEFG", visitor)
		must(t, err)
		if got := f.trail.said(); len(got) != 2 || got[0] != "certificate:unlock_code:A 01JORDER applicant "+f.person+" 192.0.2.7 ok" || !strings.HasPrefix(got[1], "code_given ") {
			t.Errorf("a code: %q", got)
		}
		_, err = c.CodeFor(ctx, s, "0ABCDEFG", visitor)
		must(t, err)
		f.trail.said()
		if _, err := c.CodeFor(ctx, s, "0ABCDEFG", visitor); code(err) != "unlocks_used_up" {
			t.Errorf("the fourth by code: %v", err)
		}
		f.trail.expect(t, "the fourth by code", "certificate:unlock_code:A 01JORDER applicant "+f.person+" 192.0.2.7 unlocks_used_up")
		if _, _, err := c.BeginSelf(ctx, s, visitor); code(err) != "unlocks_used_up" {
			t.Errorf("the fourth ticket: %v", err)
		}
		f.trail.expect(t, "the fourth ticket", "certificate:unlock_ticket:A 01JORDER applicant "+f.person+" 192.0.2.7 unlocks_used_up")
	})
}

// An unlock after a review is on record by its own order.
func TestApprovedUnlocksAreOnRecord(t *testing.T) {
	eachDB(t, func(t *testing.T, f *office) {
		ctx, c := t.Context(), f.counter(t)
		o := order.Order{ID: "01JUNLOCK", No: "SAAS120261123000009", Business: order.UnlockApproval, State: order.State{Status: order.ToUnlock}, PersonID: f.person, Certificate: serialA, Rev: 1, Seq: 1, CreatedAt: now, UpdatedAt: now}
		must(t, f.db.InTx(ctx, func(tx order.Tx) error { return tx.InsertOrder(ctx, o) }))
		_, secret, err := c.BeginApproved(ctx, o, f.holder())
		must(t, err)
		_, err = c.Open(ctx, secret, []byte("key"))
		must(t, err)
		_, err = c.Secret(ctx, secret, "192.0.2.8")
		must(t, err)
		f.trail.expect(t, "ticket and secret",
			"certificate:unlock_ticket:A 01JUNLOCK applicant "+f.person+" 192.0.2.1 ok",
			"certificate:unlock_secret:A 01JUNLOCK key_helper "+f.person+" 192.0.2.8 ok")
		must(t, f.db.InTx(ctx, func(tx order.Tx) error {
			closed := o
			closed.Rev++
			closed.Refund = order.Refunding
			return tx.UpdateOrder(ctx, closed, o)
		}))
		if _, err := c.Secret(ctx, secret, "192.0.2.8"); code(err) != "order_not_ready" {
			t.Errorf("the secret while the money goes back: %v", err)
		}
		if _, _, err := c.BeginApproved(ctx, o, f.holder()); code(err) != "order_not_ready" {
			t.Errorf("another ticket: %v", err)
		}
		f.trail.expect(t, "refused",
			"certificate:unlock_secret:A 01JUNLOCK key_helper "+f.person+" 192.0.2.8 order_not_ready",
			"certificate:unlock_ticket:A 01JUNLOCK applicant "+f.person+" 192.0.2.1 order_not_ready")
	})
}

// Whom the holder has named, and that he wants fewer reminders, is on record; the mobile is
// not.
func TestReminderSettingsAreOnRecord(t *testing.T) {
	eachDB(t, func(t *testing.T, f *office) {
		ctx, r := t.Context(), newReminding(t, f)
		cert, err := f.db.Certificate(ctx, serialA)
		must(t, err)
		must(t, r.SetOptOut(ctx, f.holder(), true))
		must(t, r.SetOptOut(ctx, f.holder(), false))
		must(t, r.SetContact(ctx, f.holder(), cert, order.ToSecond, identity.NewMobile("13700137001")))
		must(t, r.SetContact(ctx, f.holder(), cert, order.ToSecond, identity.Mobile{}))
		by := " applicant " + f.person + " 192.0.2.1 ok"
		f.trail.expect(t, "reminders", "reminders_fewer "+by, "reminders_all "+by,
			"certificate:name_second_contact:A 01JORDER"+by, "certificate:drop_second_contact:A 01JORDER"+by)
	})
}
