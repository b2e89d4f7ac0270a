package order

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// sweepBatch bounds the work of one sweep.
const sweepBatch = 100

// Sweep keeps the promises whose time has come: timers, and questions to the
// payment gateway. It is safe to run in several processes at once.
func (s *Service) Sweep(ctx context.Context) error {
	timers, err := s.store.DueTimers(ctx, s.now(), sweepBatch)
	if err != nil {
		return err
	}
	var faults []error
	for _, t := range timers {
		if err := s.fire(ctx, t); err != nil {
			faults = append(faults, s.postpone(ctx, t, err))
		}
	}
	payments, err := s.store.DueQueries(ctx, s.now(), sweepBatch)
	if err != nil {
		return errors.Join(append(faults, err)...)
	}
	for _, f := range []func(context.Context) error{s.wake, s.summarise, s.askInvoices, s.followParts, s.missExpress} {
		if err := f(ctx); err != nil {
			faults = append(faults, err)
		}
	}
	for _, p := range payments {
		if err := s.askGateway(ctx, p); err != nil && !errors.Is(err, Conflict) {
			faults = append(faults, fmt.Errorf("query of trade %s: %w", p.TradeNo, err))
		}
	}
	return errors.Join(faults...)
}

// maxStepBack is how long a promise that fails is left alone at most.
const maxStepBack = 10 * time.Minute

// postpone has a timer that failed step back behind the others, further each time, and
// returns what is to be told.
func (s *Service) postpone(ctx context.Context, t Timer, cause error) error {
	t.At = s.now().Add(min(time.Second<<min(t.Tries, 10), maxStepBack))
	t.Tries++
	err := s.store.InTx(ctx, func(tx Tx) error { return tx.PostponeTimer(ctx, t) })
	return errors.Join(fmt.Errorf("timer of order %s (%s%s), try %d: %w", t.OrderID, t.On, t.Notice, t.Tries, cause), err)
}

// fire applies one timer. A timer that no longer fits the order is dropped.
func (s *Service) fire(ctx context.Context, t Timer) error {
	var err error
	switch {
	case t.Notice != "":
		return s.store.InTx(ctx, func(tx Tx) error {
			o, err := tx.Order(ctx, t.OrderID)
			if err == nil && o.Refund == NoRefund && t.Notice.matters(o) { // else nobody can do any more what he is reminded of
				o.Seq = t.Seq
				err = s.notify(ctx, tx, o, t.Notice)
			}
			if err != nil && !errors.Is(err, NotFound) {
				return err
			}
			return tx.DropTimer(ctx, t)
		})
	case t.On == Unpaid:
		_, err = s.withTradeClosed(ctx, t.OrderID, Command{On: Unpaid, By: BySystem})
	default:
		_, err = s.Apply(ctx, t.OrderID, Command{On: t.On, By: BySystem})
	}
	if err != nil && !movesNothing(err) {
		return err
	}
	return s.store.InTx(ctx, func(tx Tx) error { return tx.DropTimer(ctx, t) })
}
