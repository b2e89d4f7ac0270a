package certificate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

// DueKind is what comes to its end in a cabinet.
type DueKind string

// What comes to its end.
const (
	DueBack DueKind = "loan"    // a USBKEY that was given out is due back
	DueEnd  DueKind = "foreign" // the certificate of another CA's USBKEY ends
)

// cabinetLadders are the reminders of each kind, by days from the end. What was there to
// be said before its end is not said after it.
var cabinetLadders = map[DueKind][]Rung{
	DueBack: {{Day: 1, Notice: order.NoticeLoanOverdue}, {Day: 8, Notice: order.NoticeLoanOverdue}},
	DueEnd:  {{Day: -30, Notice: order.NoticeForeignEnding}, {Day: -7, Notice: order.NoticeForeignEnding}, {Day: -1, Notice: order.NoticeForeignEnding, AnyDay: true}},
}

// DueEntry is an entry of a cabinet of whose end its person is to be told.
type DueEntry struct {
	Kind     DueKind
	ID       string
	PersonID string
	EndsAt   time.Time
	RemindAt time.Time
}

// firstReminder is the first day of the ladder that is not over yet.
func firstReminder(k DueKind, end, now time.Time) time.Time {
	for _, r := range cabinetLadders[k] {
		if day := r.dayOf(end); day.After(now) {
			return day
		}
	}
	return time.Time{}
}

// remind says whether to tell of an entry now, and when to look at it again.
func (d DueEntry) remind(now time.Time, w Workdays) (say *Rung, next time.Time) {
	for _, r := range cabinetLadders[d.Kind] {
		if day := r.dayOf(d.EndsAt); day.After(now) {
			next = earlier(next, day)
		} else {
			say = &r
		}
	}
	switch {
	case say == nil, say.Day < 0 && now.After(d.EndsAt):
		return nil, next
	case say.allowed(now, w).After(now): // at night, or on a day off
		return nil, earlier(next, say.allowed(now, w))
	default:
		return say, next
	}
}

// remindOfCabinets tells people of what comes to its end in their cabinets: of all that
// is due at once in one message for each notice.
func (s *Reminders) remindOfCabinets(ctx context.Context) error {
	due, err := s.store.DueCabinets(ctx, s.now(), remindBatch)
	if err != nil {
		return err
	}
	var faults []error
	for len(due) > 0 {
		n := 1
		for n < len(due) && due[n].PersonID == due[0].PersonID {
			n++
		}
		err := s.store.Change(ctx, func(tx Tx) error { return s.remindOfCabinet(ctx, tx, due[:n]) })
		if err != nil {
			faults = append(faults, fmt.Errorf("reminding of a cabinet: %w", err))
		}
		due = due[n:]
	}
	return errors.Join(faults...)
}

// remindOfCabinet is about one person.
func (s *Reminders) remindOfCabinet(ctx context.Context, tx Tx, due []DueEntry) error {
	now, said := s.now(), map[order.Notice]bool{}
	for _, d := range due {
		rung, next := d.remind(now, s.workdays)
		still, err := tx.RemindAgain(ctx, d, next)
		if err != nil {
			return err
		}
		if rung == nil || !still || said[rung.Notice] {
			continue
		}
		said[rung.Notice] = true
		spec := order.Notices[rung.Notice]
		for _, medium := range spec.Media {
			n := order.Notification{ID: s.newID(), Seq: now.UnixMilli(), Notice: rung.Notice, Medium: medium, To: spec.To, PersonID: d.PersonID, CreatedAt: now}
			if err := order.Send(ctx, tx, n); err != nil {
				return err
			}
		}
	}
	return nil
}

// forgetCabinets deletes what has been over for as long as was promised.
func (s *Reminders) forgetCabinets(ctx context.Context) error {
	over := s.now().AddDate(-order.KeepCabinet.Years, 0, 0)
	some, err := s.store.CabinetBefore(ctx, over)
	if err != nil || !some {
		return err
	}
	return s.store.Change(ctx, func(tx Tx) error { return tx.ForgetCabinets(ctx, over) })
}
