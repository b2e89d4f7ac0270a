package order

import (
	"context"
	"fmt"
	"time"
)

// KeysRefund is the price of keys that were given up, on its way back. It is a part
// of a trade; the rest of the trade is not touched by it.
type KeysRefund struct {
	RefundNo string // out_refund_no
	TradeNo  string
	OrderID  ID
	Keys     int
	Amount   Fen
	// State is one of PaymentRefundDue, PaymentRefunding, PaymentRefundFailed and
	// PaymentRefunded.
	State     PaymentState
	Reason    string
	CreatedAt time.Time
	UpdatedAt time.Time
}

// oweKeys has the price of m keys go back from the order's trade.
func (s *Service) oweKeys(ctx context.Context, tx Tx, o Order, m int, c Command) error {
	p, err := tx.Payment(ctx, o.TradeNo)
	if err != nil {
		return err
	}
	amount := o.unitPrice() * Fen(m)
	if p.State != PaymentPaid || amount <= 0 || p.Returned+amount >= p.Amount {
		return Errorf(Conflict, "nothing_to_refund", "该笔支付没有可退的金额")
	}
	p.Returned += amount
	p.UpdatedAt = c.at
	if err := tx.UpdatePayment(ctx, p, PaymentPaid); err != nil {
		return err
	}
	r := KeysRefund{
		RefundNo: fmt.Sprintf("P%s-%d", p.TradeNo, o.Seq), TradeNo: p.TradeNo, OrderID: o.ID, Keys: m, Amount: amount, State: PaymentRefundDue,
		Reason: fmt.Sprintf("取消 %d 个 UKEY", m), CreatedAt: c.at, UpdatedAt: c.at,
	}
	if err := tx.InsertKeysRefund(ctx, r); err != nil {
		return err
	}
	return tx.Enqueue(ctx, Job{Kind: JobKeysRefund, Ref: r.RefundNo, Seq: o.Seq})
}

// RunKeysRefund asks the gateway for the price of keys back and records the answer.
// It returns Unavailable while the gateway is still working on it.
func (s *Service) RunKeysRefund(ctx context.Context, refundNo string) error {
	r, err := s.store.KeysRefund(ctx, refundNo)
	if err != nil || r.State != PaymentRefundDue && r.State != PaymentRefunding {
		return err
	}
	if r.State == PaymentRefundDue {
		if r, err = s.moveKeysRefund(ctx, r, PaymentRefunding); err != nil {
			return err
		}
	}
	p, err := s.store.Payment(ctx, r.TradeNo)
	if err != nil {
		return err
	}
	p.RefundNo, p.RefundReason = r.RefundNo, r.Reason
	switch status, err := s.refund(ctx, p, r.Amount); {
	case err != nil:
		return err
	case status == RefundProcessing:
		return Errorf(Unavailable, "refund_processing", "退款处理中")
	case status == RefundAbnormal:
		_, err = s.moveKeysRefund(ctx, r, PaymentRefundFailed)
		return err
	default:
		_, err = s.moveKeysRefund(ctx, r, PaymentRefunded)
		return err
	}
}

// RetryKeysRefund asks again for what the gateway could not return.
func (s *Service) RetryKeysRefund(ctx context.Context, id ID, refundNo string, by Actor) error {
	r, err := s.store.KeysRefund(ctx, refundNo)
	if err != nil {
		return err
	}
	if r.OrderID != id || r.State != PaymentRefundFailed || by.Role != Finance {
		return Errorf(Conflict, "refund_not_failed", "该笔退款没有失败，不需要重试")
	}
	r.State, r.UpdatedAt = PaymentRefundDue, s.now()
	return s.store.InTx(ctx, func(tx Tx) error {
		if err := tx.UpdateKeysRefund(ctx, r, PaymentRefundFailed); err != nil {
			return err
		}
		if err := tx.AppendAudit(ctx, AuditRecord{OrderID: id, Action: "keys_refund_retry", ActorID: by.ID(), Role: by.Role, Channel: by.Channel, IP: by.IP, Outcome: "ok", At: s.now()}); err != nil {
			return err
		}
		return tx.Enqueue(ctx, Job{Kind: JobKeysRefund, Ref: r.RefundNo, Seq: s.now().UnixMilli()})
	})
}

// moveKeysRefund records how far it is: what came back is booked, what did not is
// told to finance.
func (s *Service) moveKeysRefund(ctx context.Context, r KeysRefund, to PaymentState) (KeysRefund, error) {
	was := r.State
	r.State, r.UpdatedAt = to, s.now()
	return r, s.store.InTx(ctx, func(tx Tx) error {
		if err := tx.UpdateKeysRefund(ctx, r, was); err != nil || to == PaymentRefunding {
			return err
		}
		o, err := tx.Order(ctx, r.OrderID)
		if err != nil {
			return err
		}
		if to == PaymentRefundFailed {
			return s.notify(ctx, tx, o, NoticeKeysRefundFailed)
		}
		if err := tx.AppendLedger(ctx, LedgerEntry{TradeNo: r.TradeNo, OrderID: r.OrderID, Kind: "refunded " + r.RefundNo, Amount: -r.Amount, At: s.now()}); err != nil {
			return err
		}
		return s.touch(ctx, tx, o)
	})
}
