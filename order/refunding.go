package order

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// PartRefund is a part of a trade on its way back: the price of keys that were given up, or
// the surcharge of an express order that was late. The rest of the trade is not touched by it.
type PartRefund struct {
	RefundNo string
	Number   string // out_refund_no of the present try, or the next one
	TradeNo  string
	OrderID  ID
	Keys     int // that were given up
	Amount   Fen
	// State is one of PaymentRefundDue, PaymentRefunding, PaymentRefundFailed and
	// PaymentRefunded.
	State     PaymentState
	Reason    string
	Refused   string    // why the gateway does not return it, for finance
	NextQuery time.Time // when the gateway is asked about an abnormal one; else zero
	CreatedAt time.Time
	UpdatedAt time.Time
}

// oweKeys has the price of m keys go back from the order's trade; at least one is left.
func (s *Service) oweKeys(ctx context.Context, tx Tx, o Order, m int, c Command) error {
	if o.unitPrice() == 0 { // only the surcharge was paid for
		return nil
	}
	return s.owePart(ctx, tx, o, PartRefund{
		RefundNo: fmt.Sprintf("P%s-%d", o.TradeNo, o.Seq), Keys: m, Amount: o.unitPrice() * Fen(m), Reason: fmt.Sprintf("取消 %d 个 UKEY", m),
	}, c)
}

// owePart has a part of the order's trade go back.
func (s *Service) owePart(ctx context.Context, tx Tx, o Order, r PartRefund, c Command) error {
	p, err := tx.Payment(ctx, o.TradeNo)
	if err != nil {
		return err
	}
	if p.State != PaymentPaid || r.Amount <= 0 || p.Returned+r.Amount > p.Amount {
		return Errorf(Conflict, "nothing_to_refund", "该笔支付没有可退的金额")
	}
	p.Returned += r.Amount
	p.UpdatedAt = c.at
	if err := tx.UpdatePayment(ctx, p, PaymentPaid); err != nil {
		return err
	}
	r.Number, r.TradeNo, r.OrderID, r.State, r.CreatedAt, r.UpdatedAt = r.RefundNo, o.TradeNo, o.ID, PaymentRefundDue, c.at, c.at
	if err := tx.InsertPartRefund(ctx, r); err != nil {
		return err
	}
	return tx.Enqueue(ctx, Job{Kind: JobPartRefund, Ref: r.RefundNo, Seq: o.Seq})
}

// RunPartRefund asks the gateway for a part of a trade back and records the answer.
// It returns Unavailable while the gateway is still working on it.
func (s *Service) RunPartRefund(ctx context.Context, refundNo string) error {
	r, err := s.store.PartRefund(ctx, refundNo)
	follow := err == nil && r.State == PaymentRefundFailed && !r.NextQuery.IsZero()
	if err != nil || !follow && r.State != PaymentRefundDue && r.State != PaymentRefunding {
		return err
	}
	p, err := s.store.Payment(ctx, r.TradeNo)
	if err != nil {
		return err
	}
	p.RefundNo, p.RefundReason, p.Refused = r.Number, r.Reason, r.Refused
	if follow {
		return s.followRefund(ctx, p, r.Amount, func() error { return s.RetryPartRefund(ctx, r.OrderID, refundNo, BySystem) })
	}
	if r.State == PaymentRefundDue {
		if r, err = s.movePartRefund(ctx, r, r, PaymentRefunding); err != nil {
			return err
		}
	}
	status, why, err := s.refund(ctx, p, r.Amount, r.UpdatedAt)
	if err != nil && why != r.Refused {
		r.Refused = why
		return errors.Join(err, s.holdRefund(ctx, r.OrderID, why, func(tx Tx) error { return tx.UpdatePartRefund(ctx, r, r) }))
	}
	if err != nil {
		return err
	}
	was, to := r, PaymentRefunded
	if status != RefundDone {
		to = PaymentRefundFailed
		r.Number, r.NextQuery = s.afterFailure(status, r.Number)
	}
	r.Refused = why
	_, err = s.movePartRefund(ctx, was, r, to)
	if now, unread := s.store.PartRefund(ctx, refundNo); errors.Is(err, ErrRaced) && unread == nil && now.Number != was.Number {
		return nil // another try is under way
	}
	return err
}

// RetryPartRefund asks again for what the gateway could not return.
func (s *Service) RetryPartRefund(ctx context.Context, id ID, refundNo string, by Actor) error {
	was, err := s.store.PartRefund(ctx, refundNo)
	if err != nil {
		return err
	}
	if was.OrderID != id || was.State != PaymentRefundFailed || by.Role != Finance && by.Role != System {
		return refundNotFailed
	}
	r := was
	r.State, r.Refused, r.NextQuery, r.UpdatedAt = PaymentRefundDue, "", time.Time{}, s.now()
	return s.store.InTx(ctx, func(tx Tx) error {
		if err := tx.UpdatePartRefund(ctx, r, was); err != nil {
			return err
		}
		if err := tx.AppendAudit(ctx, by.Did(id, "keys_refund_retry", s.now())); err != nil {
			return err
		}
		return tx.Enqueue(ctx, Job{Kind: JobPartRefund, Ref: r.RefundNo, Seq: s.now().UnixMilli()})
	})
}

var refundNotFailed = Errorf(Conflict, "refund_not_failed", "该笔退款没有失败，不需要重试")

// byHand adds to why money went back how it did.
func byHand(reason, note string) string { return reason + "；线下退回：" + note }

// noteOfTransfer is finance's word on a transfer: it is needed, and short.
func noteOfTransfer(note string) error {
	if !hasNote(Command{Note: note}) {
		return Errorf(Invalid, "has_note_required", "请写明转账日期和流水号，不超过 100 字")
	}
	return nil
}

// SettlePartRefund records that a part of a trade, which the gateway could not return,
// went back by a transfer.
func (s *Service) SettlePartRefund(ctx context.Context, id ID, refundNo, note string, by Actor) error {
	if err := noteOfTransfer(note); err != nil {
		return err
	}
	was, err := s.store.PartRefund(ctx, refundNo)
	if err != nil {
		return err
	}
	if was.OrderID != id || was.State != PaymentRefundFailed || by.Role != Finance {
		return refundNotFailed
	}
	r := was
	r.Reason, r.NextQuery = byHand(r.Reason, note), time.Time{}
	_, err = s.movePartRefund(ctx, was, r, PaymentRefunded, by.Did(id, "keys_refund_by_hand", s.now()))
	return err
}

// failedLate is a payment that went back for no order and did not arrive.
func failedLate(ctx context.Context, tx Tx, tradeNo string, by Actor) (Payment, error) {
	p, err := tx.Payment(ctx, tradeNo)
	if err != nil {
		return p, err
	}
	o, err := tx.Order(ctx, p.OrderID)
	if err != nil && !errors.Is(err, NotFound) {
		return p, err
	}
	if p.State != PaymentRefundFailed || by.Role != Finance && by.Role != System || o.TradeNo == tradeNo && o.Refund != NoRefund {
		return p, refundNotFailed
	}
	return p, nil
}

// RetryLateRefund asks again for what the gateway could not return of a payment that
// belongs to no order any more (row 10).
func (s *Service) RetryLateRefund(ctx context.Context, tradeNo string, by Actor) error {
	return s.store.InTx(ctx, func(tx Tx) error {
		p, err := failedLate(ctx, tx, tradeNo, by)
		if err != nil {
			return err
		}
		p.State, p.Refused, p.NextQuery, p.UpdatedAt = PaymentRefundDue, "", time.Time{}, s.now()
		if err := tx.UpdatePayment(ctx, p, PaymentRefundFailed); err != nil {
			return err
		}
		if err := tx.AppendAudit(ctx, by.Did(p.OrderID, "late_refund_retry", s.now())); err != nil {
			return err
		}
		return tx.Enqueue(ctx, Job{Kind: JobRefund, Ref: tradeNo, Seq: s.now().UnixMilli()})
	})
}

// SettleLateRefund records that it went back by a transfer.
func (s *Service) SettleLateRefund(ctx context.Context, tradeNo, note string, by Actor) error {
	if err := noteOfTransfer(note); err != nil {
		return err
	}
	return s.store.InTx(ctx, func(tx Tx) error {
		p, err := failedLate(ctx, tx, tradeNo, by)
		if err != nil {
			return err
		}
		p.RefundReason = byHand(p.RefundReason, note)
		if err := s.refunded(ctx, tx, p); err != nil {
			return err
		}
		return tx.AppendAudit(ctx, by.Did(p.OrderID, "late_refund_by_hand", s.now()))
	})
}

// refundByHand books that finance has sent an order's money back by a transfer (row 67).
func (s *Service) refundByHand(ctx context.Context, tx Tx, _, o Order, _ Command) error {
	p, err := tx.Payment(ctx, o.TradeNo)
	if err != nil {
		return err
	}
	return s.refunded(ctx, tx, p)
}

// tellOfRefund tells finance of a refund that needs it. Of an order that is gone there is
// nobody to tell by; the list shows it.
func (s *Service) tellOfRefund(ctx context.Context, tx Tx, id ID, n Notice) error {
	o, err := tx.Order(ctx, id)
	if errors.Is(err, NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	o.Seq = s.now().UnixMilli() // no event of the order: a second failure is news, too
	return s.notify(ctx, tx, o, n)
}

// movePartRefund records how far it is: what came back is booked, what did not is
// told to finance.
func (s *Service) movePartRefund(ctx context.Context, was, r PartRefund, to PaymentState, lines ...AuditRecord) (PartRefund, error) {
	r.State, r.UpdatedAt = to, s.now()
	return r, s.store.InTx(ctx, func(tx Tx) error {
		if err := tx.UpdatePartRefund(ctx, r, was); err != nil || to == PaymentRefunding {
			return err
		}
		for _, line := range lines {
			if err := tx.AppendAudit(ctx, line); err != nil {
				return err
			}
		}
		if to == PaymentRefundFailed {
			return s.tellOfRefund(ctx, tx, r.OrderID, NoticePartRefundFailed)
		}
		o, err := tx.Order(ctx, r.OrderID)
		if err != nil {
			return err
		}
		if err := tx.AppendLedger(ctx, LedgerEntry{TradeNo: r.TradeNo, OrderID: r.OrderID, Kind: wayBack(was.State) + " " + r.Number, Amount: -r.Amount, At: s.now()}); err != nil {
			return err
		}
		return s.touch(ctx, tx, o)
	})
}

// followParts has the gateway asked about the parts whose refund ended as abnormal.
func (s *Service) followParts(ctx context.Context) error {
	due, err := s.store.DuePartRefunds(ctx, s.now(), sweepBatch)
	if err != nil {
		return err
	}
	for _, was := range due {
		r := was
		r.NextQuery = s.now().Add(followEvery)
		err := s.store.InTx(ctx, func(tx Tx) error {
			if err := tx.UpdatePartRefund(ctx, r, was); err != nil {
				return err
			}
			return tx.Enqueue(ctx, Job{Kind: JobPartRefund, Ref: r.RefundNo, Seq: s.now().UnixMilli()})
		})
		if err != nil && !errors.Is(err, Conflict) {
			return fmt.Errorf("query of refund %s: %w", r.RefundNo, err)
		}
	}
	return nil
}
