package certificate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

// ReminderQueries read what is known of reminders.
type ReminderQueries interface {
	// DueReminders returns up to limit serials of certificates that are to be looked
	// at, the longest due first.
	DueReminders(ctx context.Context, now time.Time, limit int) ([]string, error)
	// Reminders is the evidence about a certificate, oldest first.
	Reminders(ctx context.Context, serial string) ([]Reminder, error)
	// OptedOut reports whether a person wants no optional reminders.
	OptedOut(ctx context.Context, personID string) (bool, error)
	// Contacts are whom a holder wants reminded, too, of a company's certificates.
	Contacts(ctx context.Context, personID, uscc string) ([]Contact, error)
}

// ReminderTx writes it.
type ReminderTx interface {
	// InsertReminder keeps what became of a rung; one that is decided stays.
	InsertReminder(ctx context.Context, r Reminder) error
	// LookAgain sets when a certificate is looked at next; zero is never.
	LookAgain(ctx context.Context, serial string, at time.Time) error
	// SetOptOut keeps whether a person wants no optional reminders.
	SetOptOut(ctx context.Context, personID string, out bool, at time.Time) error
	// SetContact keeps a contact instead of the one in its role; without a mobile
	// there is none any more.
	SetContact(ctx context.Context, c Contact) error
}

// Reminders sends the renewal reminders of the ladder.
type Reminders struct {
	store    Store
	workdays Workdays
	now      func() time.Time
	newID    func() string
}

// NewReminders returns the reminders of the certificates in s.
func NewReminders(s Store, w Workdays, now func() time.Time, newID func() string) *Reminders {
	return &Reminders{s, w, now, newID}
}

const (
	// remindBatch bounds the work of one sweep.
	remindBatch = 100
	// unknownFor is when to look again at a certificate that has no order yet: its
	// key is being verified.
	unknownFor = time.Hour
	// failedFor is when to look again at one that nobody could be reminded of, so that
	// it holds up no other.
	failedFor = 10 * time.Minute
)

// Sweep looks at the certificates and cabinets whose time has come, and forgets openings
// of bids and entries of cabinets that have long passed. It is safe to run in
// several processes at once, and a process killed in between has done all of a
// message or nothing: the evidence, the message and the next look are one
// transaction.
func (s *Reminders) Sweep(ctx context.Context) error {
	serials, err := s.store.DueReminders(ctx, s.now(), remindBatch)
	if err != nil {
		return err
	}
	faults := []error{s.forgetOpenings(ctx), s.remindOfCabinets(ctx), s.forgetCabinets(ctx)}
	done := map[string]bool{}
	for _, serial := range serials {
		if done[serial] {
			continue
		}
		err := s.store.Change(ctx, func(tx Tx) error {
			together, err := s.look(ctx, tx, serial)
			for _, c := range together {
				done[c.Serial] = true
			}
			return err
		})
		if err != nil {
			later := s.store.Change(ctx, func(tx Tx) error { return tx.LookAgain(ctx, serial, s.now().Add(failedFor)) })
			faults = append(faults, fmt.Errorf("reminding of certificate %s: %w", serial, err), later)
		}
	}
	return errors.Join(faults...)
}

// look decides about a certificate and about all others that its holder has for
// the same company, so that one message tells of all (flows.md 4.7).
func (s *Reminders) look(ctx context.Context, tx Tx, serial string) ([]Certificate, error) {
	now := s.now()
	c, err := tx.Certificate(ctx, serial)
	if errors.Is(err, order.NotFound) {
		return nil, tx.LookAgain(ctx, serial, now.Add(unknownFor))
	}
	if err != nil {
		return nil, err
	}
	together, optedOut := []Certificate{c}, false
	if c.PersonID != "" {
		held, err := tx.HeldBy(ctx, c.PersonID)
		if err != nil {
			return nil, err
		}
		together = slices.DeleteFunc(held, func(o Certificate) bool { return o.USCC != c.USCC })
		if optedOut, err = tx.OptedOut(ctx, c.PersonID); err != nil {
			return nil, err
		}
	}
	var said []message
	for _, c := range together {
		if said, err = s.settle(ctx, tx, c, optedOut, now, said); err != nil {
			return nil, err
		}
	}
	for _, m := range said {
		if err := s.say(ctx, tx, m, now); err != nil {
			return nil, err
		}
	}
	return together, nil
}

// message is one notice about one or more certificates of one holder.
type message struct {
	rung   Rung
	about  []Certificate
	anchor Certificate // whose order the message stands by
	seq    int64

	contacts []order.Audience
}

// settle writes what the ladder says of one certificate and adds it to the message
// of its rung.
func (s *Reminders) settle(ctx context.Context, tx Tx, c Certificate, optedOut bool, now time.Time, said []message) ([]message, error) {
	rows, err := tx.Reminders(ctx, c.Serial)
	if err != nil {
		return said, err
	}
	known := make([]RungName, len(rows))
	for i, r := range rows {
		if known[i] = r.Step; r.State == ReminderStopped && c.over() != "" {
			return said, tx.LookAgain(ctx, c.Serial, time.Time{})
		}
	}
	renewing, err := renewing(ctx, tx, c, now)
	if err != nil {
		return said, err
	}
	out := Remind(c, known, Circumstances{OptedOut: optedOut, Renewing: renewing}, now, s.workdays)
	for _, r := range out.Settled {
		if err := tx.InsertReminder(ctx, r); err != nil {
			return said, err
		}
	}
	if out.Send != nil {
		i := slices.IndexFunc(said, func(m message) bool { return m.rung.Step == out.Send.Step })
		if i < 0 {
			i = len(said)
			said = append(said, message{rung: *out.Send, anchor: c, seq: now.UnixMilli()})
		}
		said[i].about = append(said[i].about, c)
		said[i].contacts = append(said[i].contacts, out.Contacts...)
		r := Reminder{Serial: c.Serial, Step: out.Send.Step, State: ReminderSent, OrderID: said[i].anchor.OrderID, Seq: said[i].seq, PlannedAt: out.PlannedAt, At: now}
		if err := tx.InsertReminder(ctx, r); err != nil {
			return said, err
		}
	}
	return said, tx.LookAgain(ctx, c.Serial, out.Next)
}

// renewing reports whether a certificate that has ended is being renewed beyond the window:
// its order is with us, or may be acted on for longer (F66).
func renewing(ctx context.Context, tx Tx, c Certificate, now time.Time) (bool, error) {
	if !c.Expired(now) {
		return false, nil
	}
	page, err := tx.Orders(ctx, order.Filter{Certificate: c.Serial, Business: order.Renewal, Open: true})
	return slices.ContainsFunc(page.Orders, func(o order.Order) bool {
		switch {
		case o.Refund != order.NoRefund:
			return false
		case o.Status == order.ToRenew:
			return o.Stage == order.Running || o.GrantEnd(c.NotAfter).After(c.RenewableUntil())
		default:
			return o.Status == order.InReview || o.Status == order.ToIssue || o.Status == order.ToShip
		}
	}), err
}

func (s *Reminders) say(ctx context.Context, tx Tx, m message, now time.Time) error {
	spec := order.Notices[m.rung.Notice]
	n := order.Notification{OrderID: m.anchor.OrderID, Seq: m.seq, Notice: m.rung.Notice, To: spec.To, PersonID: m.anchor.PersonID, CreatedAt: now}
	for _, medium := range spec.Media {
		n.ID, n.Medium = s.newID(), medium
		if err := order.Send(ctx, tx, n); err != nil {
			return err
		}
	}
	contacts, err := tx.Contacts(ctx, m.anchor.PersonID, m.anchor.USCC)
	if err != nil {
		return err
	}
	for _, c := range contacts {
		if !slices.Contains(m.contacts, c.Role) {
			continue
		}
		n.ID, n.Notice, n.Medium, n.To = s.newID(), order.NoticeRenewContact, order.SMS, c.Role
		if err := order.Send(ctx, tx, n); err != nil {
			return err
		}
	}
	return nil
}

// Evidence is what was and will be said about a certificate.
type Evidence struct {
	Rows    []EvidenceRow
	Planned []Reminder
}

// EvidenceRow is a rung with the messages that told of it.
type EvidenceRow struct {
	Reminder
	Messages []order.Notification
}

// Of returns the evidence about a certificate.
func (s *Reminders) Of(ctx context.Context, c Certificate) (Evidence, error) {
	rows, err := s.store.Reminders(ctx, c.Serial)
	if err != nil {
		return Evidence{}, err
	}
	var out Evidence
	var known []RungName
	for _, r := range rows {
		row := EvidenceRow{Reminder: r}
		if r.State == ReminderSent {
			all, err := s.store.Notifications(ctx, r.OrderID)
			if err != nil {
				return out, err
			}
			row.Messages = slices.DeleteFunc(all, func(n order.Notification) bool { return n.Seq != r.Seq })
		}
		known = append(known, r.Step)
		out.Rows = append(out.Rows, row)
	}
	out.Planned = Planned(c, known, s.now(), s.workdays)
	return out, nil
}

// OptedOut reports whether a person wants no optional reminders.
func (s *Reminders) OptedOut(ctx context.Context, personID string) (bool, error) {
	return s.store.OptedOut(ctx, personID)
}

// SetOptOut keeps whether a person wants no optional reminders. The others have to
// be given.
func (s *Reminders) SetOptOut(ctx context.Context, by order.Actor, out bool) error {
	action := "reminders_all"
	if out {
		action = "reminders_fewer"
	}
	return s.store.Change(ctx, func(tx Tx) error {
		if err := tx.SetOptOut(ctx, by.PersonID, out, s.now()); err != nil {
			return err
		}
		return tx.AppendAudit(ctx, by.Did("", action, s.now()))
	})
}

// Contacts are whom a holder wants reminded, too, of a company's certificates.
func (s *Reminders) Contacts(ctx context.Context, personID, uscc string) ([]Contact, error) {
	return s.store.Contacts(ctx, personID, uscc)
}

// SetContact names a contact, or with the zero mobile no contact any more, for
// everything that the holder of c, who is by, has for its company.
func (s *Reminders) SetContact(ctx context.Context, by order.Actor, c Certificate, role order.Audience, mobile identity.Mobile) error {
	if !slices.Contains(ContactRoles(), role) {
		return order.Errorf(order.Invalid, "contact_unknown", "请选择备用联系人或单位负责人")
	}
	step := "name_" // the mobile is somebody else's, and does not belong on the audit trail
	if mobile.IsZero() {
		step = "drop_"
	}
	return s.store.Change(ctx, func(tx Tx) error {
		if err := tx.SetContact(ctx, Contact{c.PersonID, c.USCC, role, mobile, s.now()}); err != nil {
			return err
		}
		return tx.AppendAudit(ctx, by.Did(c.OrderID, "certificate:"+step+string(role)+":"+c.Serial, s.now()))
	})
}
