package order_test

import (
	"errors"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

func shanghai(month time.Month, day, hour, minute int) time.Time {
	return time.Date(2026, month, day, hour, minute, 0, 0, order.Shanghai)
}

// Flows 4.4: quiet hours, also over midnight.
func TestQuiet(t *testing.T) {
	night, noon := order.Quiet{From: 22 * 60, To: 8 * 60}, order.Quiet{From: 12 * 60, To: 13*60 + 30}
	for _, tt := range []struct {
		name      string
		quiet     order.Quiet
		now, want time.Time
	}{
		{"never", order.Quiet{}, shanghai(11, 23, 3, 0), shanghai(11, 23, 3, 0)},
		{"before", night, shanghai(11, 23, 21, 59), shanghai(11, 23, 21, 59)},
		{"begins", night, shanghai(11, 23, 22, 0), shanghai(11, 24, 8, 0)},
		{"after midnight", night, shanghai(11, 24, 0, 0), shanghai(11, 24, 8, 0)},
		{"last minute", night, shanghai(11, 24, 7, 59), shanghai(11, 24, 8, 0)},
		{"over", night, shanghai(11, 24, 8, 0), shanghai(11, 24, 8, 0)},
		{"last day of the month", night, shanghai(11, 30, 23, 0), shanghai(12, 1, 8, 0)},
		{"at noon", noon, shanghai(11, 23, 12, 30), shanghai(11, 23, 13, 30)},
		{"after noon", noon, shanghai(11, 23, 13, 30), shanghai(11, 23, 13, 30)},
	} {
		if got := tt.quiet.Until(tt.now.UTC()); !got.Equal(tt.want) {
			t.Errorf("%s: %s, want %s", tt.name, got.In(order.Shanghai), tt.want)
		}
	}
	for _, tt := range []struct {
		from, to, want string // empty: refused
	}{{"22:00", "08:00", "22:00–08:00"}, {"", "", "未开启"}, {"22:00", "", ""}, {"8点", "9点", ""}, {"09:00", "09:00", ""}, {"24:00", "08:00", ""}} {
		q, err := order.ParseQuiet(tt.from, tt.to)
		if (err == nil) != (tt.want != "") || err == nil && q.String() != tt.want || err != nil && !errors.Is(err, order.Invalid) {
			t.Errorf("%s to %s: %s, %v", tt.from, tt.to, q, err)
		}
	}
}

// A message to a member of staff in his quiet hours waits in the inbox and goes
// out afterwards, once; a task that is done by then is known to be.
func TestQuietHoursHoldMessages(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		quiet, awake := h.staff(t, "李审核", "13800000011", order.Reviewer), h.staff(t, "周复核", "13800000012", order.Reviewer)
		staffing := order.NewStaffing(h.db, nil, h.now, h.newID)
		if err := staffing.SetQuiet(t.Context(), quiet, order.Quiet{From: 10 * 60, To: 12 * 60}); err != nil { // it is 10:30
			t.Fatal(err)
		}
		o := h.confirm(t, h.draft(t, nil))
		h.pays(t, o)
		of := func(staff string) order.Notification {
			t.Helper()
			ns, err := h.db.Messages(t.Context(), order.MessageFilter{StaffID: staff})
			if err != nil || len(ns) != 1 {
				t.Fatalf("%d messages, %v", len(ns), err)
			}
			return ns[0]
		}
		if n := of(awake.StaffID); n.State != order.DeliveryPending || !n.SendAt.IsZero() {
			t.Errorf("awake: %+v", n)
		}
		if n := of(quiet.StaffID); n.State != order.DeliveryHeld || !n.SendAt.Equal(shanghai(11, 23, 12, 0)) {
			t.Errorf("quiet: %+v", n)
		}
		h.advance(time.Hour)
		if err := h.Sweep(t.Context()); err != nil || of(quiet.StaffID).State != order.DeliveryHeld {
			t.Errorf("woken at 11:30, %v", err)
		}
		h.advance(30 * time.Minute)
		for range 2 {
			if err := h.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		n := of(quiet.StaffID)
		if n.State != order.DeliveryPending {
			t.Errorf("at 12:00: %s", n.State)
		}
		attempts, err := h.db.Attempts(t.Context(), n.ID)
		if err != nil || len(attempts) != 1 {
			t.Errorf("attempts %+v, %v", attempts, err)
		}
		got, err := h.db.Order(t.Context(), o.ID)
		if err != nil || n.Outdated(got) {
			t.Errorf("outdated while it waits, %v", err)
		}
		if n.Outdated(h.mustApply(t, o.ID, order.Command{On: order.Claim, By: awake})) != true {
			t.Error("not outdated although claimed")
		}
	})
}

// Reminders to applicants do not wake them; what they wait for does.
func TestReminderWaitsForTheMorning(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		h.advance(12 * time.Hour) // 22:30
		o := h.confirm(t, h.draft(t, nil))
		h.advance(6 * 24 * time.Hour)
		if err := h.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		ns, err := h.db.Notifications(t.Context(), o.ID)
		if err != nil || len(ns) != 2 {
			t.Fatalf("%d messages, %v", len(ns), err)
		}
		for _, n := range ns {
			if n.State != order.DeliveryHeld || !n.SendAt.Equal(shanghai(11, 30, 8, 0)) {
				t.Errorf("%s: %s until %s", n.Medium, n.State, n.SendAt.In(order.Shanghai))
			}
		}
	})
}
