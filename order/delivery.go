package order

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/yuncaidun/yuncaidun/identity"
)

// Send adds a message, made at n.CreatedAt, to what is to be delivered: at once or
// at n.SendAt, and after the quiet hours of whoever gets it. The same message twice
// is one.
func Send(ctx context.Context, tx Tx, n Notification) error {
	quiet := Quiet{}
	switch {
	case n.StaffID != "":
		m, err := tx.Staff(ctx, n.StaffID)
		if err != nil {
			return err
		}
		quiet = m.Quiet
	case patient[n.Notice]:
		quiet = peopleQuiet
	}
	n.State, n.UpdatedAt = DeliveryPending, n.CreatedAt
	if n.SendAt.Before(n.CreatedAt) {
		n.SendAt = n.CreatedAt
	}
	at := quiet.Until(n.SendAt)
	n.SendAt = time.Time{}
	if at.After(n.CreatedAt) {
		n.State, n.SendAt = DeliveryHeld, at
	}
	if added, err := tx.InsertNotification(ctx, n); err != nil || !added || n.State == DeliveryHeld {
		return err
	}
	return tx.Enqueue(ctx, Job{Kind: JobNotify, Medium: n.Medium, Ref: n.ID})
}

// FallBack sends a notification that could not be delivered over SMS instead.
func (s *Service) FallBack(ctx context.Context, n Notification) error {
	sms := Notification{OrderID: n.OrderID, Seq: n.Seq, Notice: n.Notice, Medium: SMS, To: n.To, StaffID: n.StaffID, PersonID: n.PersonID, FallbackOf: n.ID}
	return s.store.InTx(ctx, func(tx Tx) error { return s.sendLater(ctx, tx, sms) })
}

// RecordDelivery writes how far a notification has come, unless somebody else
// did meanwhile (Conflict).
func (s *Service) RecordDelivery(ctx context.Context, n Notification, was DeliveryState) error {
	n.UpdatedAt = s.now()
	return s.store.InTx(ctx, func(tx Tx) error { return tx.UpdateNotification(ctx, n, was) })
}

// SpendConsent records that a subscription notice is about to go out, and takes
// the consent that pays for it: both or neither. NotFound: no consent is left.
func (s *Service) SpendConsent(ctx context.Context, n Notification, was DeliveryState, c WeChatConsent) error {
	n.UpdatedAt = s.now()
	return s.store.InTx(ctx, func(tx Tx) error {
		if err := tx.SpendConsent(ctx, c); err != nil {
			return err
		}
		return tx.UpdateNotification(ctx, n, was)
	})
}

// NotTaken records that WeChat did not take a subscription notice. The consent is
// given back, unless WeChat says that there was none.
func (s *Service) NotTaken(ctx context.Context, n Notification, was DeliveryState, c WeChatConsent, none bool) error {
	n.UpdatedAt = s.now()
	return s.store.InTx(ctx, func(tx Tx) error {
		settle := tx.ReturnConsent
		if none {
			settle = tx.VoidConsents
		}
		if err := settle(ctx, c); err != nil {
			return err
		}
		return tx.UpdateNotification(ctx, n, was)
	})
}

// GoOn lets a subscription notice that did not arrive, for a reason that was
// reported afterwards, go out by the next way.
func (s *Service) GoOn(ctx context.Context, n Notification, why string) error {
	was := n.State
	n.State, n.Why, n.UpdatedAt = DeliveryPending, why, s.now()
	return s.store.InTx(ctx, func(tx Tx) error {
		if err := tx.UpdateNotification(ctx, n, was); err != nil {
			return err
		}
		return tx.Enqueue(ctx, Job{Kind: JobNotify, Medium: n.Medium, Ref: n.ID, Seq: int64(n.Attempts)})
	})
}

// Day is the Shanghai day of a message whose number is one.
func (n Notification) Day() time.Time {
	day := int(n.Seq)
	return time.Date(day/10000, time.Month(day/100%100), day%100, 0, 0, 0, 0, Shanghai)
}

// wake sends the messages whose quiet hours are over.
func (s *Service) wake(ctx context.Context) error {
	held, err := s.store.HeldNotifications(ctx, s.now(), sweepBatch)
	if err != nil {
		return err
	}
	var faults []error
	for _, n := range held {
		err := s.store.InTx(ctx, func(tx Tx) error {
			n.State, n.UpdatedAt = DeliveryPending, s.now()
			if err := tx.UpdateNotification(ctx, n, DeliveryHeld); err != nil {
				return err
			}
			return tx.Enqueue(ctx, Job{Kind: JobNotify, Medium: n.Medium, Ref: n.ID})
		})
		if err != nil && !errors.Is(err, Conflict) {
			faults = append(faults, fmt.Errorf("waking message %s: %w", n.ID, err))
		}
	}
	return errors.Join(faults...)
}

// MessageFilter chooses messages for a list, newest first; one of StaffID and
// PersonID is set.
type MessageFilter struct {
	StaffID  string
	PersonID string
	Before   string // id of the last message of the page before
	Limit    int    // default 20, at most 100
}

// Attempt is one state of one attempt to deliver a message.
type Attempt struct {
	N     int // from 1; 0 before the first
	State DeliveryState
	Way   Way    // of a WeChat message
	Why   string // the provider's code
	At    time.Time
}

// notify adds the notifications of a notice, one per person and medium.
func (s *Service) notify(ctx context.Context, tx Tx, o Order, n Notice) error {
	switch {
	case n == NoticeApprovedIssue && o.Overdue(s.now()):
		n = NoticeApprovedLate
	case n == NoticeRejected && o.RanOut():
		n = NoticeLapsed
	}
	spec := Notices[n]
	if spec.To == ToLegalRep {
		return s.remindLegalRep(ctx, tx, o, n)
	}
	type target struct {
		to    Audience
		staff string
		media []Medium
	}
	var targets []target
	switch {
	case spec.To.ofStaff():
		staff, err := membersFor(ctx, tx, spec.To, o)
		if err != nil {
			return err
		}
		for _, m := range staff {
			targets = append(targets, target{spec.To, m.ID, spec.Media})
		}
	case spec.To == ToRecipient && o.Form.Get(ShipMobile) == o.Form.Get(AgentMobile):
		targets = []target{{ToRecipient, "", []Medium{SMS}}, {ToAgent, "", []Medium{WeChat}}}
	case spec.To == ToRecipient:
		targets = []target{{ToRecipient, "", []Medium{SMS}}, {ToAgent, "", spec.Media}}
	default:
		targets = []target{{spec.To, "", spec.Media}}
	}
	for _, t := range targets {
		for _, medium := range t.media {
			err := s.sendLater(ctx, tx, Notification{OrderID: o.ID, Seq: o.Seq, Notice: n, Medium: medium, To: t.to, StaffID: t.staff})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Service) sendLater(ctx context.Context, tx Tx, n Notification) error {
	n.ID, n.CreatedAt = s.newID(), s.now()
	return Send(ctx, tx, n)
}

// MobileFor is the number a notification goes to; the zero value when the order
// has none for that audience.
func (o Order) MobileFor(to Audience) identity.Mobile {
	field := AgentMobile
	if to == ToLegalRep {
		field = LegalMobile
	}
	if to == ToRecipient && o.Form.Get(ShipMobile) != "" {
		field = ShipMobile
	}
	return identity.NewMobile(o.Form.Get(field))
}
