package jobs

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store"
)

// Every follow-up of the lifecycle has a registered worker, and no worker waits
// for a job that nobody enqueues. An issuer alone knows all kinds as well: when it
// leads, River discards the stuck jobs of kinds that it does not know.
func TestEveryJobHasAWorker(t *testing.T) {
	w := newWorld(t)
	for name, d := range map[string]Deps{"all roles": w.Deps, "issuer": {Office: w}} {
		t.Run(name, func(t *testing.T) {
			runners := d.runners()
			for _, kind := range order.JobKinds {
				if runners[kind] == nil {
					t.Errorf("no worker for %s", kind)
				}
				delete(runners, kind)
			}
			for kind := range runners {
				t.Errorf("worker for %s, which nobody enqueues", kind)
			}
			Register(river.NewWorkers(), d) // panics when two workers share a kind
		})
	}
}

// Logins end that began before what ended them: the job knows when that was, however late
// it runs.
func TestLoginsEndBeforeTheirMoment(t *testing.T) {
	w := newWorld(t)
	var person string
	var before time.Time
	w.EndSessions = func(_ context.Context, id string, at time.Time) error {
		person, before = id, at
		return nil
	}
	at := w.Now()
	err := w.runners()[order.JobEndSessions](t.Context(), attempt{ref: "p1", seq: at.UnixMilli(), n: 1})
	if err != nil || person != "p1" || !before.Equal(at.Truncate(time.Millisecond)) {
		t.Errorf("%s before %s, %v", person, before, err)
	}
}

// What becomes of a job says the kind of its error.
func TestErrorsDecide(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"done", nil, "done"},
		{"done by somebody else", order.Errorf(order.Conflict, "order_not_ready", "x"), "done"},
		{"lost a race", order.Errorf(order.Conflict, "payment_changed", "x").Raced(), "retry"},
		{"provider down", order.Errorf(order.Unavailable, "x", "x"), "retry"},
		{"our own fault", errors.New("bug"), "retry"},
		{"limit", &order.Error{Kind: order.RateLimited, Code: "x", RetryAfter: time.Minute}, "snooze"},
		{"limit, wrapped", errors.Join(&order.Error{Kind: order.RateLimited, Code: "x"}, nil), "snooze"},
		{"never", order.Errorf(order.NotFound, "x", "x"), "cancel"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var log strings.Builder
			wk := worker{run: func(context.Context, attempt) error { return tt.err }, log: slog.New(slog.NewTextHandler(&log, nil))}
			err := wk.Work(t.Context(), &river.Job[args]{JobRow: &rivertype.JobRow{Attempt: 1, Kind: "refund"}})
			got := "retry"
			switch {
			case err == nil:
				got = "done"
			case errors.Is(err, &river.JobSnoozeError{}):
				got = "snooze"
			case errors.Is(err, &river.JobCancelError{}):
				got = "cancel"
			}
			if got != tt.want {
				t.Errorf("%s, want %s (%v)", got, tt.want, err)
			}
			if said := strings.Contains(log.String(), "level=ERROR") && strings.Contains(log.String(), "kind=refund"); said != (got == "cancel") {
				t.Errorf("it was logged that the job is given up: %t; the log is %q", said, log.String()) // River says nothing
			}
		})
	}
}

// A provider that is away for a week is asked again as often as River asks us.
func TestRetriesLastForDays(t *testing.T) {
	now := time.Date(2026, 11, 23, 2, 30, 0, 0, time.UTC)
	at := now
	wk := worker{clock: func() time.Time { return at }}
	for n := 1; n < store.MaxAttempts; n++ {
		at = wk.NextRetry(&river.Job[args]{JobRow: &rivertype.JobRow{Attempt: n}})
	}
	if days := at.Sub(now).Hours() / 24; days < 13 || days > 15 {
		t.Errorf("a job is given up after %.1f days, want two weeks", days)
	}
}

// The real-name answer belongs to the submission it was asked for; a deleted
// order loses its images and its form.
func TestMaterials(t *testing.T) {
	w := newWorld(t)
	o := w.approved(t, order.State{Status: order.InReview, Stage: order.Queued})
	for range 2 {
		if err := w.realName(t.Context(), string(o.ID)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := w.db.Order(t.Context(), o.ID)
	if err != nil || got.RealName != order.RealNameMatch {
		t.Fatalf("real name %q, %v", got.RealName, err)
	}
	draft := w.approved(t, order.State{Status: order.Draft})
	if err := w.Orders.RecordUpload(t.Context(), draft.ID, "01REPLACED", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Orders.Delete(t.Context(), draft.ID, order.Actor{Role: order.Applicant, PersonID: draft.PersonID}, ""); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.purge(t.Context(), string(draft.ID)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.purge(t.Context(), string(o.ID)); err != nil { // still alive
		t.Fatal(err)
	}
	if !slices.Equal(w.erased, []string{"01FRONT", "01LETTER", "01REPLACED"}) {
		t.Errorf("erased %v", w.erased)
	}
	gone, err := w.db.Kept(t.Context(), draft.ID)
	if err != nil || len(gone.Form.Reveal()) != 0 {
		t.Errorf("%s left of the form, %v", gone.Form, err)
	}
}

// Finance is told of differences that are still open, on a card that names no trade.
func TestBillDiffers(t *testing.T) {
	for _, open := range []bool{true, false} {
		w := newWorld(t)
		var id string
		err := w.db.InTx(t.Context(), func(tx order.Tx) error {
			p, err := tx.PersonByMobile(t.Context(), order.Person{ID: w.newID(), Mobile: identity.NewMobile("13900139000"), CreatedAt: w.at})
			if err != nil {
				return err
			}
			m := order.Staff{ID: w.newID(), PersonID: p.ID, Name: "周财务", Roles: []order.Role{order.Finance}, CreatedAt: w.at}
			err = errors.Join(tx.SaveStaff(t.Context(), m), tx.LinkWeChat(t.Context(), order.WeChatIdentity{AppID: "wx1", OpenID: "o9", PersonID: p.ID, Subscribed: true, UpdatedAt: w.at}))
			if open {
				err = errors.Join(err, tx.InsertDifference(t.Context(), order.Difference{ID: w.newID(), Channel: order.Alipay, Day: "2026-11-22", Kind: order.UnknownHere, Number: "X", FoundAt: w.at}))
			}
			id = w.newID()
			return errors.Join(err, order.Send(t.Context(), tx, order.Notification{ID: id, Seq: w.at.UnixMilli(), Notice: order.NoticeBillDiffers, Medium: order.WeChat, To: order.ToFinance, StaffID: m.ID, CreatedAt: w.at}))
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.notify(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		want, cards := order.DeliveryDropped, 0
		if open {
			want, cards = order.DeliverySent, 1
		}
		if got := w.state(t, id); got.State != want || len(w.cards) != cards {
			t.Errorf("open %v: %s, %v", open, got.State, w.cards)
		}
	}
}

// The summary of a day is a card about no order, and not worth an SMS.
func TestDaySummary(t *testing.T) {
	w := newWorld(t)
	o := w.approved(t, order.State{Status: order.InReview, Stage: order.Queued})
	w.task(t, o)
	for i, following := range []bool{true, false} {
		err := w.db.InTx(t.Context(), func(tx order.Tx) error {
			m, err := tx.Staff(t.Context(), "s1")
			if err != nil {
				return err
			}
			return tx.LinkWeChat(t.Context(), order.WeChatIdentity{AppID: "wx1", OpenID: "o1", PersonID: m.PersonID, Subscribed: following, UpdatedAt: w.at})
		})
		if err != nil {
			t.Fatal(err)
		}
		n := w.notification(t, order.Order{}, order.Notification{Seq: int64(20261123 + i), Notice: order.NoticeDaySummary, Medium: order.WeChat, To: order.ToReviewers, StaffID: "s1"})
		if err := w.notify(t.Context(), n.ID); err != nil {
			t.Fatal(err)
		}
		if got := w.state(t, n.ID); (got.State == order.DeliverySent) != following {
			t.Errorf("following %t: %s", following, got.State)
		}
	}
	if len(w.cards) != 1 || !strings.HasSuffix(w.cards[0], "/staff/stats?day=2026-11-23") {
		t.Errorf("cards %v", w.cards)
	}
	ns, err := w.db.Messages(t.Context(), order.MessageFilter{StaffID: "s1"})
	if err != nil || len(ns) != 3 {
		t.Errorf("%d messages, %v", len(ns), err)
	}
}
