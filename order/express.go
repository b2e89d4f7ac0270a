package order

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Express is what a product offers to who cannot wait (加急): for a surcharge per order the
// promise of F63 runs out after so many office hours instead of days. When it is not kept,
// the surcharge goes back without being asked for.
type Express struct {
	Fee   Fen `json:"fee_fen"`
	Hours int `json:"hours"`
}

// ExpressState is how the promise of an order that paid the surcharge stands.
type ExpressState string

// The states.
const (
	NotExpress      ExpressState = "" // it never was, or its money goes back altogether
	ExpressPromised ExpressState = "promised"
	ExpressKept     ExpressState = "kept"
	ExpressMissed   ExpressState = "missed" // the surcharge goes back
)

var expressStateLabels = map[ExpressState]string{ExpressPromised: "加急", ExpressKept: "加急，已按时", ExpressMissed: "加急超时，加急费退回"}

// Label is the state as people read it.
func (e ExpressState) Label() string { return expressStateLabels[e] }

func offersExpress(p Product, _ Form) bool { return p.Express != nil }

// expressOptions are the two ways of waiting, with what the faster one costs.
func expressOptions(p Product, f Form) []Option {
	if p.Express == nil {
		return nil
	}
	usual, fast := Order{Business: p.Business, Product: p, Form: f.With(Speed, No)}, Order{Business: p.Business, Product: p, Form: f.With(Speed, Yes)}
	return []Option{
		{No, "普通：" + usual.PromisedWithin()},
		{Yes, fmt.Sprintf("加急：%s，另收 ¥%s，超时自动退还", fast.PromisedWithin(), p.Express.Fee.Yuan())},
	}
}

// ExpressFee is the surcharge in the order's amount; zero when it is not express.
func (o Order) ExpressFee() Fen {
	if o.Product.Express == nil || o.Form.Get(Speed) != Yes {
		return 0
	}
	return o.Product.Express.Fee
}

// expressHours are the office hours of an express order's promise; zero when it is not
// express.
func (o Order) expressHours() int {
	if o.ExpressFee() == 0 {
		return 0
	}
	return o.Product.Express.Hours
}

// due is when what was complete at t is promised for.
func (s *Service) due(o Order, t time.Time) time.Time {
	if o.Express == ExpressPromised {
		return s.calendar.After(t, time.Duration(o.Product.Express.Hours)*time.Hour)
	}
	return s.calendar.Due(t, slaDays)
}

// reviewDue is when the review of what was complete at t should have ended: the half of
// an express promise belongs to the making.
func (s *Service) reviewDue(o Order, t time.Time) time.Time {
	if o.Express == ExpressPromised {
		return s.calendar.Share(t, s.due(o, t), 0.5)
	}
	return s.calendar.Due(t, reviewDays)
}

// handedOver reports whether an order is where F63 wants it: posted, ready to be fetched
// or, without a key of ours, reviewed.
func (o Order) handedOver() bool {
	return o.Status == Completed || o.State == toPickUp || !o.Shipped() && !o.ApprovedAt.IsZero() && o.Status != InReview && o.Status != Rejected
}

// settleExpress judges the promise after a move. What is missed is promised as if it had
// never been express.
func (s *Service) settleExpress(was Order, o *Order, c Command) {
	switch {
	case was.Express != ExpressPromised || o.Express != ExpressPromised:
	case o.Refund != NoRefund:
		o.Express = NotExpress
	case c.On == ExpressOver:
		o.Express = ExpressMissed
		if !o.DueAt.IsZero() {
			o.DueAt = later(o.DueAt, s.calendar.Due(was.ReviewSince, slaDays))
		}
	case o.handedOver():
		o.Express = ExpressKept
	default:
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// returnExpress has the surcharge go back and says so, once the promise is missed.
func (s *Service) returnExpress(ctx context.Context, tx Tx, was, o Order, c Command) error {
	if was.Express == o.Express || o.Express != ExpressMissed {
		return nil
	}
	if err := s.owePart(ctx, tx, o, PartRefund{RefundNo: "E" + o.TradeNo, Amount: o.ExpressFee(), Reason: "加急未按时完成，退还加急费"}, c); err != nil {
		return err
	}
	return s.notify(ctx, tx, o, NoticeExpressMissed)
}

// missExpress finds the express orders whose promise has run out and nobody has moved since.
func (s *Service) missExpress(ctx context.Context) error {
	page, err := s.store.Orders(ctx, Filter{Express: ExpressPromised, DueBefore: s.now(), Sort: OldestFirst, Limit: sweepBatch})
	if err != nil {
		return err
	}
	var faults []error
	for _, o := range page.Orders {
		if _, err := s.Apply(ctx, o.ID, Command{On: ExpressOver, By: BySystem}); err != nil && !movesNothing(err) {
			faults = append(faults, fmt.Errorf("express promise of order %s: %w", o.ID, err))
		}
	}
	return errors.Join(faults...)
}

// expressLate: the promise has run out and stands unkept.
func expressLate(o Order, c Command) bool {
	return o.Express == ExpressPromised && o.Overdue(c.at)
}

// maxExpressHours are the most office hours that an express promise may have: two days, so
// that it is shorter than what is promised to everybody.
const maxExpressHours = 16
