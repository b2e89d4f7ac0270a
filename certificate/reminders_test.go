package certificate_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store"
)

// reminding is an office whose two certificates end on 23 November 2027.
type reminding struct {
	*office
	*certificate.Reminders
	at time.Time
}

func newReminding(t *testing.T, f *office) *reminding {
	t.Helper()
	cal, err := order.DefaultCalendar()
	must(t, err)
	r := &reminding{office: f, at: now}
	r.Reminders = certificate.NewReminders(f.trail, cal, func() time.Time { return r.at }, f.newID)
	return r
}

func (r *reminding) sweep(t *testing.T, day string) {
	t.Helper()
	var err error
	r.at, err = time.ParseInLocation("2006-01-02 15:04", day, order.Shanghai)
	must(t, err)
	for range 2 { // and once more, as every second
		must(t, r.Sweep(t.Context()))
	}
}

func (r *reminding) rows(t *testing.T, serial string) (out []string) {
	t.Helper()
	rows, err := r.db.Reminders(t.Context(), serial)
	must(t, err)
	for _, row := range rows {
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s", row.Step, row.State, row.Why)))
	}
	return out
}

func (r *reminding) messages(t *testing.T) (out []string) {
	t.Helper()
	ns, err := r.db.Notifications(t.Context(), orderID)
	must(t, err)
	for _, n := range ns {
		if n.PersonID != r.person || n.To != order.ToHolder {
			t.Errorf("%s to %s %q", n.Notice, n.To, n.PersonID)
		}
		out = append(out, string(n.Notice)+" "+string(n.Medium))
	}
	return out
}

func same(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, ", ") != strings.Join(want, ", ") {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// Flows 4.7: one message for many keys of one company, with evidence for each;
// the ladder goes on and stops at the renewal.
func TestReminders(t *testing.T) {
	eachDB(t, func(t *testing.T, f *office) {
		r := newReminding(t, f)
		r.sweep(t, "2026-11-23 10:00")
		same(t, "new", r.messages(t))
		r.sweep(t, "2027-09-24 09:29")
		same(t, "a minute before D-60", r.messages(t))
		r.sweep(t, "2027-09-24 09:30")
		same(t, "D-60", r.messages(t), "renew_plan wechat")
		r.sweep(t, "2027-10-25 09:30")
		same(t, "D-29", r.messages(t), "renew_plan wechat", "renew_open sms", "renew_open wechat")
		for _, serial := range []string{serialA, serialB} {
			same(t, serial, r.rows(t, serial), "D-60 sent", "D-29 sent")
		}
		ns, err := f.db.Notifications(t.Context(), orderID)
		must(t, err)
		both, err := f.db.Reminded(t.Context(), orderID, ns[1].Seq)
		must(t, err)
		if len(both) != 2 {
			t.Errorf("the message is about %d certificates", len(both))
		}

		must(t, store.Certificates{DB: f.db}.Change(t.Context(), func(tx certificate.Tx) error { return tx.SetSuccessor(t.Context(), serialA, serialB) }))
		must(t, r.SetOptOut(t.Context(), f.holder(), true))
		r.sweep(t, "2027-11-08 09:30") // D-15, optional
		same(t, "D-15", r.messages(t)[3:])
		same(t, "renewed", r.rows(t, serialA), "D-60 sent", "D-29 sent", "D-15 stopped renewed")
		same(t, "opted out", r.rows(t, serialB), "D-60 sent", "D-29 sent", "D-15 declined opted_out")
		r.sweep(t, "2027-11-16 09:30")
		same(t, "D-7", r.messages(t)[3:], "renew_week sms", "renew_week wechat")
		must(t, r.SetOptOut(t.Context(), f.holder(), false))

		if _, err := f.Apply(t.Context(), serialB, certificate.Command{On: certificate.Revoke, By: f.holder(), MobileProven: true, Reason: certificate.KeyCompromise, Bid: certificate.NoOpenBid}); err != nil {
			t.Fatal(err)
		}
		r.sweep(t, "2027-11-22 10:00")
		same(t, "revoked", r.rows(t, serialB), "D-60 sent", "D-29 sent", "D-15 declined opted_out", "D-7 sent", "D-3 stopped revoked")
		due, err := f.db.DueReminders(t.Context(), r.at.AddDate(10, 0, 0), 9)
		must(t, err)
		if len(due) != 0 {
			t.Errorf("still looked at: %v", due)
		}
		e, err := r.Of(t.Context(), certificate.Certificate{Serial: serialB, NotAfter: now.AddDate(1, 0, 0), PersonID: f.person})
		must(t, err)
		if len(e.Rows) != 5 || len(e.Rows[1].Messages) != 2 || len(e.Rows[4].Messages) != 0 {
			t.Errorf("evidence %+v", e.Rows)
		}
	})
}

// What a refund has reinstated is reminded of again, from the next rung on.
func TestRemindersAfterReinstatement(t *testing.T) {
	eachDB(t, func(t *testing.T, f *office) {
		r := newReminding(t, f)
		change := func(fn func(tx certificate.Tx) error) {
			t.Helper()
			must(t, store.Certificates{DB: f.db}.Change(t.Context(), fn))
		}
		change(func(tx certificate.Tx) error { return tx.SetSuccessor(t.Context(), serialA, serialB) })
		r.sweep(t, "2027-11-08 09:30")
		stopped := r.rows(t, serialA)
		change(func(tx certificate.Tx) error {
			did, err := tx.ClearSuccessor(t.Context(), serialA, "another order")
			if did {
				t.Error("cleared by another order")
			}
			return err
		})
		change(func(tx certificate.Tx) error {
			did, err := tx.ClearSuccessor(t.Context(), serialA, orderID)
			if !did {
				t.Error("not cleared")
			}
			return errors.Join(err, tx.LookAgain(t.Context(), serialA, r.at))
		})
		r.sweep(t, "2027-11-16 09:30")
		if got := r.rows(t, serialA); len(got) <= len(stopped) || got[len(got)-1] != "D-7 sent" {
			t.Errorf("after: %v, before %v", got, stopped)
		}
	})
}

// Flows 4.7: at D-7 a second contact is reminded, too, and at D-3 who answers for the
// company; whom the holder names for one company is for that company.
func TestContactsAreReminded(t *testing.T) {
	eachDB(t, func(t *testing.T, f *office) {
		r := newReminding(t, f)
		cert, err := f.db.Certificate(t.Context(), serialA)
		must(t, err)
		other := cert
		other.USCC = "91530100MA00OTHER0"
		name := func(c certificate.Certificate, role order.Audience, mobile string) {
			t.Helper()
			must(t, r.SetContact(t.Context(), f.holder(), c, role, identity.NewMobile(mobile)))
		}
		if err := r.SetContact(t.Context(), f.holder(), cert, order.ToReviewers, identity.NewMobile("13700137001")); !errors.Is(err, order.Invalid) {
			t.Errorf("reviewers as a contact: %v", err)
		}
		name(cert, order.ToSecond, "13700137001")
		name(cert, order.ToSecond, "13700137002") // instead of the first
		name(cert, order.ToLeader, "13700137003")
		name(other, order.ToLeader, "13700137004")
		known, err := r.Contacts(t.Context(), f.person, cert.USCC)
		must(t, err)
		if len(known) != 2 || known[0].Mobile.Reveal() != "13700137003" || known[1].Mobile.Reveal() != "13700137002" {
			t.Errorf("contacts %+v", known)
		}
		to := func(day string) (out []string) {
			t.Helper()
			r.sweep(t, day)
			ns, err := f.db.Notifications(t.Context(), orderID)
			must(t, err)
			for _, n := range ns {
				if n.Notice == order.NoticeRenewContact {
					out = append(out, string(n.To)+" "+string(n.Medium))
				}
			}
			return out
		}
		same(t, "D-29", to("2027-10-25 09:30"))
		same(t, "D-7", to("2027-11-16 09:30"), "second_contact sms")
		same(t, "D-1, which overtakes D-3 after two days off", to("2027-11-22 09:30"), "second_contact sms", "leader_contact sms")
		name(cert, order.ToSecond, "")
		if known, err = r.Contacts(t.Context(), f.person, cert.USCC); err != nil || len(known) != 1 {
			t.Errorf("after removing one: %+v, %v", known, err)
		}
	})
}

// A clock that leaps over the whole ladder says one thing.
func TestRemindersAfterALeap(t *testing.T) {
	eachDB(t, func(t *testing.T, f *office) {
		r := newReminding(t, f)
		r.sweep(t, "2027-11-24 10:00") // D+1
		same(t, "messages", r.messages(t), "renew_expired sms")
		rows := r.rows(t, serialA)
		if len(rows) != 8 || rows[6] != "D0 skipped overtaken" || rows[7] != "D+1 sent" {
			t.Errorf("rows %v", rows)
		}
	})
}

// A process killed between the evidence and the message has done neither; the next
// one does both, once.
func TestReminderAfterAKill(t *testing.T) {
	eachDB(t, func(t *testing.T, f *office) {
		r := newReminding(t, f)
		r.sweep(t, "2027-09-24 09:00")
		r.at = r.at.Add(time.Hour)
		killed := errors.New("killed")
		cal, err := order.DefaultCalendar()
		must(t, err)
		dies := certificate.NewReminders(&failing{store.Certificates{DB: f.db}, killed, 2}, cal, func() time.Time { return r.at }, f.newID)
		if err := dies.Sweep(t.Context()); !errors.Is(err, killed) {
			t.Fatalf("the sweep did not die: %v", err)
		}
		same(t, "rows after the kill", r.rows(t, serialA))
		same(t, "messages after the kill", r.messages(t))
		r.sweep(t, "2027-09-24 10:01")
		same(t, "rows", r.rows(t, serialA), "D-60 sent")
		same(t, "messages", r.messages(t), "renew_plan wechat")
	})
}

// A certificate that nobody can be reminded of steps back, so that a hundred of them
// hold no other up.
func TestReminderThatFails(t *testing.T) {
	eachDB(t, func(t *testing.T, f *office) {
		r := newReminding(t, f)
		r.sweep(t, "2027-09-24 09:00")
		r.at = r.at.Add(time.Hour)
		due := func(at time.Time) []string {
			serials, err := f.db.DueReminders(t.Context(), at, 9)
			must(t, err)
			return serials
		}
		same(t, "before", due(r.at), serialB, serialA)
		broken := errors.New("broken")
		cal, err := order.DefaultCalendar()
		must(t, err)
		fails := certificate.NewReminders(&failing{store.Certificates{DB: f.db}, broken, 1}, cal, func() time.Time { return r.at }, f.newID)
		if err := fails.Sweep(t.Context()); !errors.Is(err, broken) {
			t.Fatalf("the sweep says %v", err)
		}
		same(t, "after the failure", due(r.at), serialA)
		same(t, "ten minutes later", due(r.at.Add(10*time.Minute)), serialA, serialB)
	})
}

// failing is a store whose first transactions die when all is written.
type failing struct {
	certificate.Store
	err  error
	left int
}

func (s *failing) Change(ctx context.Context, fn func(certificate.Tx) error) error {
	return s.Store.Change(ctx, func(tx certificate.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		if s.left--; s.left >= 0 {
			return s.err
		}
		return nil
	})
}
