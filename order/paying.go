package order

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	tradeLife  = 2 * time.Hour
	firstQuery = 10 * time.Second
	slowQuery  = 10 * time.Minute
	lastQuery  = time.Minute // after a trade's time is over

	followEvery = time.Hour // an abnormal refund is asked about
)

// OpenPayment returns the payment whose QR code the applicant scans now with the app
// of a channel, opening a trade at its gateway when there is none that still works.
func (s *Service) OpenPayment(ctx context.Context, id ID, by Actor, channel PayChannel) (Payment, error) {
	if !slices.Contains(s.PayChannels(by.Channel), channel) {
		return Payment{}, Errorf(Conflict, "pay_channel_unavailable", "这里不能使用该支付方式，请换一种")
	}
	return s.openTrade(ctx, id, by, Payment{Channel: channel, Way: PayByQRCode}, func(p *Payment, description string) (err error) {
		p.CodeURL, err = s.gateways[channel].Prepay(ctx, *p, description)
		return err
	})
}

// OpenMiniPayment returns the payment that the WeChat user payer makes inside the
// mini-program. A trade open for another channel, way or payer is closed.
func (s *Service) OpenMiniPayment(ctx context.Context, id ID, by Actor, payer string) (Payment, error) {
	if s.mini == nil || payer == "" {
		return Payment{}, Errorf(Conflict, "mini_payment_unavailable", "请在微信小程序中打开后支付，或在电脑上扫码支付")
	}
	return s.openTrade(ctx, id, by, Payment{Channel: WeChatPay, Way: PayInMiniProgram, Payer: payer}, func(p *Payment, description string) (err error) {
		p.PrepayID, err = s.mini.PrepayMini(ctx, *p, description)
		return err
	})
}

// openTrade returns the order's open trade of this channel, way and payer; ask opens it at
// the gateway when there is none that still works.
func (s *Service) openTrade(ctx context.Context, id ID, by Actor, of Payment, ask func(*Payment, string) error) (Payment, error) {
	p, err := s.currentTrade(ctx, id, by, of)
	if err != nil || p.Opened() {
		return p, err
	}
	o, err := s.store.Order(ctx, id)
	if err != nil {
		return Payment{}, err
	}
	if err := ask(&p, o.Product.Name); err != nil {
		return Payment{}, err
	}
	p.UpdatedAt = s.now()
	err = s.store.InTx(ctx, func(tx Tx) error { return tx.UpdatePayment(ctx, p, PaymentPending) })
	return p, err
}

// currentTrade returns the order's open trade or records the intent to open
// one, before the gateway is asked.
func (s *Service) currentTrade(ctx context.Context, id ID, by Actor, of Payment) (Payment, error) {
	var p Payment
	err := s.store.InTx(ctx, func(tx Tx) error {
		was, err := tx.Order(ctx, id)
		if err != nil {
			return err
		}
		if !was.OwnedBy(by.PersonID, "") {
			return orderNotFound
		}
		if was.State != awaitingPayment || was.Refund != NoRefund {
			return Errorf(Conflict, "nothing_to_pay", "订单当前状态为「%s」，不需要支付", was.State.Label())
		}
		if was.Certificate != "" { // no money for what cannot be done
			a, err := s.certificates.About(ctx, tx, was.Certificate)
			if err == nil {
				err = a.Obstacle(was)
			}
			if err != nil {
				return err
			}
		}
		now := s.now()
		if was.TradeNo != "" {
			if p, err = tx.Payment(ctx, was.TradeNo); err != nil {
				return err
			}
			if p.State == PaymentPending && now.Before(p.ExpiresAt) && p.Channel == of.Channel && p.Way == of.Way && p.Payer == of.Payer {
				return nil
			}
			if p.State == PaymentPending {
				if err := tx.Enqueue(ctx, Job{Kind: JobCloseTrade, Ref: p.TradeNo}); err != nil {
					return err
				}
			}
		}
		o := was
		o.TradeNo = s.newID()
		o.Rev++
		o.UpdatedAt = now
		p = Payment{
			TradeNo: o.TradeNo, OrderID: o.ID, Amount: o.Amount, State: PaymentPending, Channel: of.Channel, Way: of.Way, Payer: of.Payer,
			CreatedAt: now, ExpiresAt: now.Add(tradeLife), NextQuery: now.Add(firstQuery), UpdatedAt: now,
		}
		if err := tx.UpdateOrder(ctx, o, was); err != nil {
			return err
		}
		return tx.InsertPayment(ctx, p)
	})
	return p, err
}

// PaymentSucceeded takes a gateway's verified word that a trade was paid: the
// order moves on (row 5), or, when the money belongs to no current trade, goes
// back (row 10). Hearing it again changes nothing.
func (s *Service) PaymentSucceeded(ctx context.Context, r Receipt) error {
	return s.store.InTx(ctx, func(tx Tx) error {
		p, err := tx.Payment(ctx, r.TradeNo)
		if err != nil {
			return err
		}
		if p.State != PaymentPending && p.State != PaymentClosed {
			return nil // heard before
		}
		switch {
		case r.Channel != p.Channel:
			return Errorf(Forbidden, "channel_differs", "支付渠道与订单不符")
		case r.Amount != p.Amount:
			return Errorf(Forbidden, "amount_differs", "支付金额与订单不符")
		}
		was := p.State
		p.State, p.TransactionID, p.PaidAt, p.NextQuery, p.UpdatedAt = PaymentPaid, r.TransactionID, r.PaidAt, time.Time{}, s.now()
		if err := tx.UpdatePayment(ctx, p, was); err != nil {
			return err
		}
		if err := tx.AppendLedger(ctx, LedgerEntry{TradeNo: p.TradeNo, OrderID: p.OrderID, Kind: "paid", Amount: p.Amount, At: r.PaidAt}); err != nil {
			return err
		}
		c := Command{On: Paid, By: Actor{Role: Gateway, Channel: Internal}, Trade: r.TradeNo, PaidAt: r.PaidAt}
		if _, err = s.ApplyIn(ctx, tx, p.OrderID, c); movesNothing(err) {
			return s.latePayment(ctx, tx, p, c)
		}
		return err
	})
}

// latePayment is row 10: money for a trade that is not current goes back, once,
// whatever the order's state and even when it is gone.
func (s *Service) latePayment(ctx context.Context, tx Tx, p Payment, c Command) error {
	c.On = LatePayment
	o, err := tx.Order(ctx, p.OrderID)
	if errors.Is(err, NotFound) {
		return s.owe(ctx, tx, p.TradeNo, c, 0)
	}
	if err != nil {
		return err
	}
	if err := Remember(ctx, tx, &o, LatePayment, Actor{Role: Gateway, Channel: Internal}, "", s.now()); err != nil {
		return err
	}
	if err := s.notify(ctx, tx, o, NoticeLatePayment); err != nil {
		return err
	}
	return s.owe(ctx, tx, p.TradeNo, c, o.Seq)
}

// owe marks a paid trade's money as owed back and enqueues its refund, which waits
// while an invoice stands for it.
func (s *Service) owe(ctx context.Context, tx Tx, tradeNo string, c Command, seq int64) error {
	p, err := tx.Payment(ctx, tradeNo)
	if err != nil {
		return err
	}
	was := p.State
	if !slices.Contains([]PaymentState{PaymentPaid, PaymentRefundFailed}, was) {
		return Errorf(Conflict, "nothing_to_refund", "该笔支付没有可退的金额")
	}
	p.State, p.RefundNo, p.RefundReason, p.UpdatedAt = PaymentRefundDue, cmp.Or(p.RefundNo, "R"+p.TradeNo), cmp.Or(c.Note, p.RefundReason, c.On.Label()), s.now()
	p.Refused, p.NextQuery = "", time.Time{}
	if err := tx.UpdatePayment(ctx, p, was); err != nil {
		return err
	}
	if waits, err := s.takeBackInvoice(ctx, tx, p); err != nil || waits {
		return err // see afterInvoice
	}
	return tx.Enqueue(ctx, Job{Kind: JobRefund, Ref: tradeNo, Seq: seq})
}

// RunRefund asks the gateway for the money back and records the answer. It
// returns Unavailable while the gateway is still working on it.
func (s *Service) RunRefund(ctx context.Context, tradeNo string) error {
	p, err := s.store.Payment(ctx, tradeNo)
	if err == nil && p.State == PaymentRefundFailed && !p.NextQuery.IsZero() {
		return s.followRefund(ctx, p, p.Amount-p.Returned, func() error { return s.retryRefund(ctx, p) })
	}
	if err != nil || p.State != PaymentRefundDue && p.State != PaymentRefunding {
		return err
	}
	if p.State == PaymentRefundDue {
		if stands, err := s.invoiceStands(ctx, p); err != nil || stands {
			return err // the red invoice first; it brings this job again
		}
		p.State, p.UpdatedAt = PaymentRefunding, s.now()
		if err := s.store.InTx(ctx, func(tx Tx) error { return tx.UpdatePayment(ctx, p, PaymentRefundDue) }); err != nil {
			return err
		}
	}
	status, why, err := s.refund(ctx, p, p.Amount-p.Returned, p.UpdatedAt)
	if err != nil && why != p.Refused {
		p.Refused = why
		return errors.Join(err, s.holdRefund(ctx, p.OrderID, why, func(tx Tx) error { return tx.UpdatePayment(ctx, p, PaymentRefunding) }))
	}
	if err != nil {
		return err
	}
	return s.store.InTx(ctx, func(tx Tx) error {
		if now, err := tx.Payment(ctx, tradeNo); err != nil || now.RefundNo != p.RefundNo {
			return err // another try is under way
		}
		c := Command{On: RefundSucceeded, By: Actor{Role: Gateway, Channel: Internal}, Trade: tradeNo}
		p.Refused = why
		if status != RefundDone {
			c.On = RefundFails
			p.State, p.UpdatedAt = PaymentRefundFailed, s.now()
			p.RefundNo, p.NextQuery = s.afterFailure(status, p.RefundNo)
			err = tx.UpdatePayment(ctx, p, PaymentRefunding)
		} else {
			err = s.refunded(ctx, tx, p)
		}
		if err != nil {
			return err
		}
		if _, err = s.ApplyIn(ctx, tx, p.OrderID, c); movesNothing(err) { // a late payment's refund
			if p.State != PaymentRefundFailed {
				return nil
			}
			return s.tellOfRefund(ctx, tx, p.OrderID, NoticeLateRefundFailed)
		}
		return err
	})
}

// refund has the gateway that a trade was paid through return an amount of it, which was
// first tried at since. It returns an error while the gateway has not decided. Of one that
// will not arrive it says why, and of one that has waited for the merchant's balance for
// long: only a person can do something about that.
func (s *Service) refund(ctx context.Context, p Payment, amount Fen, since time.Time) (status RefundStatus, why string, err error) {
	if amount == 0 { // it has gone back in parts
		return RefundDone, "", nil
	}
	gateway, err := s.gatewayOf(p)
	if err == nil {
		status, err = gateway.Refund(ctx, p, amount)
	}
	code, waited := "", s.now().Sub(since)
	e, ok := AsError(err)
	if ok {
		code = e.Code
	}
	switch {
	case code == refundRefused, code == balanceLow && waited >= balanceOver:
		return refundNever, e.Detail, nil
	case code == balanceLow && waited >= balanceTold:
		return "", e.Detail, err
	case err != nil:
		return "", p.Refused, err // as it was
	case status == RefundProcessing:
		return "", "", Errorf(Unavailable, "refund_processing", "退款处理中")
	}
	return status, failures[status], nil
}

// failures say what finance does about a refund that has begun and did not arrive.
var failures = map[RefundStatus]string{
	RefundAbnormal: "付款人的银行卡已失效或冻结，款项停在支付平台。请在商户平台的「交易中心」处理这笔异常退款，退到付款人的另一张银行卡；办好后本页自动变为已退款，请勿再线下转账。" +
		"选择退回商户账户的，转账给付款人后再登记线下退款",
	RefundClosed: "商户账户余额不足超过 7 天，平台关闭了这笔退款。请充值后点重新退款，系统会换一个新的退款单号",
}

// afterFailure is the number of the next try of a refund, and when the gateway is asked
// about this one: only of what is closed for good it is certain that no money moves under
// its number any more.
func (s *Service) afterFailure(status RefundStatus, no string) (next string, query time.Time) {
	if status == RefundClosed {
		no = nextRefundNo(no)
	}
	if status == RefundAbnormal {
		query = s.now().Add(followEvery)
	}
	return no, query
}

// nextRefundNo follows no: R1, R1_2, R1_3.
func nextRefundNo(no string) string {
	base, n := no, 1
	if i := strings.LastIndexByte(no, '_'); i >= 0 {
		if last, err := strconv.Atoi(no[i+1:]); err == nil {
			base, n = no[:i], last
		}
	}
	return base + "_" + strconv.Itoa(n+1)
}

// followRefund asks what has become of a refund that ended as abnormal. Its number is
// known to the gateway, so that asking moves no money; once somebody has settled it there,
// it is taken up again.
func (s *Service) followRefund(ctx context.Context, p Payment, amount Fen, takeUp func() error) error {
	gateway, err := s.gatewayOf(p)
	if err != nil {
		return err
	}
	status, err := gateway.Refund(ctx, p, amount)
	if err != nil || status == RefundAbnormal {
		return err
	}
	return takeUp()
}

// retryRefund takes up the refund of a payment, be it its order's own or a late one's.
func (s *Service) retryRefund(ctx context.Context, p Payment) error {
	o, err := s.store.Order(ctx, p.OrderID)
	if err == nil && o.TradeNo == p.TradeNo && o.Refund == RefundFailed {
		_, err = s.Apply(ctx, o.ID, Command{On: RefundRetry, By: BySystem})
		return err
	}
	if err != nil && !errors.Is(err, NotFound) {
		return err
	}
	return s.RetryLateRefund(ctx, p.TradeNo, BySystem)
}

// holdRefund keeps why a refund waits, and tells finance; an empty why is that it does not
// wait any more.
func (s *Service) holdRefund(ctx context.Context, id ID, why string, keep func(Tx) error) error {
	return s.store.InTx(ctx, func(tx Tx) error {
		if err := keep(tx); err != nil || why == "" {
			return err
		}
		return s.tellOfRefund(ctx, tx, id, NoticeRefundHeld)
	})
}

// movesNothing reports whether the lifecycle has no row for what the gateway
// said; a lost race is another matter and is tried again.
func movesNothing(err error) bool {
	return !errors.Is(err, ErrRaced) && (errors.Is(err, Conflict) || errors.Is(err, NotFound))
}

// wayBack is how the ledger calls money that went back: of a refund that had failed it was
// a transfer by hand, which no bill names.
func wayBack(was PaymentState) string {
	if was == PaymentRefundFailed {
		return "by hand"
	}
	return "refunded"
}

// refunded books that a trade's money is back with the payer.
func (s *Service) refunded(ctx context.Context, tx Tx, p Payment) error {
	was := p.State
	p.State, p.NextQuery, p.UpdatedAt = PaymentRefunded, time.Time{}, s.now()
	if err := tx.UpdatePayment(ctx, p, was); err != nil {
		return err
	}
	return tx.AppendLedger(ctx, LedgerEntry{TradeNo: p.TradeNo, OrderID: p.OrderID, Kind: wayBack(was), Amount: p.Returned - p.Amount, At: s.now()})
}

// CheckPayment asks the gateway what became of a trade: the way out when its
// notification was lost.
func (s *Service) CheckPayment(ctx context.Context, tradeNo string) error {
	p, err := s.store.Payment(ctx, tradeNo)
	if err != nil || p.State != PaymentPending && p.State != PaymentClosed {
		return err
	}
	gateway, err := s.gatewayOf(p)
	if err != nil {
		return err
	}
	status, receipt, err := gateway.Query(ctx, tradeNo)
	switch {
	case err != nil:
		return err
	case status == TradePaid:
		return s.PaymentSucceeded(ctx, receipt)
	case p.State == PaymentClosed:
		return nil
	case status == TradeFailed, status == TradeShut && s.now().Before(p.ExpiresAt): // by the payer, for it was not by us
		return s.failed(ctx, gateway, tradeNo)
	case status == TradeShut:
		return s.shut(ctx, tradeNo)
	}
	return nil
}

// failed takes a gateway's word that the bank refused or the payer gave up (row 6,
// F60): the trade is closed, so that only the next QR code can be paid, and the page
// says so.
func (s *Service) failed(ctx context.Context, gateway PaymentGateway, tradeNo string) error {
	if err := gateway.Close(ctx, tradeNo); err != nil {
		return err
	}
	return s.store.InTx(ctx, func(tx Tx) error {
		p, err := s.shutIn(ctx, tx, tradeNo)
		if err != nil || p.State != PaymentClosed {
			return err
		}
		if o, err := tx.Order(ctx, p.OrderID); err != nil || o.TradeNo != tradeNo || o.State != awaitingPayment {
			if errors.Is(err, NotFound) {
				return nil // deleted meanwhile
			}
			return err
		}
		_, err = s.ApplyIn(ctx, tx, p.OrderID, Command{On: PayFailed, By: Actor{Role: Gateway, Channel: Internal}})
		return err
	})
}

// CloseTrade closes an unpaid trade at the gateway. A trade that turns out to
// be paid is booked as paid, and reported as a Conflict with code "trade_paid".
func (s *Service) CloseTrade(ctx context.Context, tradeNo string) error {
	p, err := s.store.Payment(ctx, tradeNo)
	if err != nil || p.State == PaymentClosed {
		return err
	}
	if p.State != PaymentPending {
		return tradePaid
	}
	if err := s.CheckPayment(ctx, tradeNo); err != nil { // also says whether it was paid meanwhile
		return err
	}
	if p, err = s.store.Payment(ctx, tradeNo); err != nil || p.State == PaymentClosed {
		return err
	}
	if p.State != PaymentPending {
		return tradePaid
	}
	if p.Opened() {
		gateway, err := s.gatewayOf(p)
		if err != nil {
			return err
		}
		if err := gateway.Close(ctx, tradeNo); err != nil {
			return err
		}
	}
	return s.shut(ctx, tradeNo)
}

var tradePaid = Errorf(Conflict, "trade_paid", "订单已支付成功，请刷新后查看")

func (s *Service) shut(ctx context.Context, tradeNo string) error {
	return s.store.InTx(ctx, func(tx Tx) error {
		_, err := s.shutIn(ctx, tx, tradeNo)
		return err
	})
}

// shutIn records that an open trade was closed, and returns the trade as it now is.
func (s *Service) shutIn(ctx context.Context, tx Tx, tradeNo string) (Payment, error) {
	p, err := tx.Payment(ctx, tradeNo)
	if err != nil || p.State != PaymentPending {
		return p, err
	}
	now := s.now()
	p.State, p.NextQuery, p.UpdatedAt = PaymentClosed, time.Time{}, now
	if p.Opened() {
		p.NextQuery = slices.MaxFunc([]time.Time{now, p.ExpiresAt}, time.Time.Compare).Add(lastQuery)
	}
	return p, tx.UpdatePayment(ctx, p, PaymentPending)
}

// Edit takes an unpaid order back to the form (row 7).
func (s *Service) Edit(ctx context.Context, id ID, by Actor) (Order, error) {
	return s.withTradeClosed(ctx, id, Command{On: Edit, By: by})
}

// Delete removes a draft or an unpaid order (rows 2 and 9).
func (s *Service) Delete(ctx context.Context, id ID, by Actor, draftToken string) (Order, error) {
	return s.withTradeClosed(ctx, id, Command{On: Delete, By: by, DraftToken: draftToken})
}

// withTradeClosed closes the order's open trade at the gateway, outside of any
// transaction, and applies the command with that proven.
func (s *Service) withTradeClosed(ctx context.Context, id ID, c Command) (Order, error) {
	o, err := s.store.Order(ctx, id)
	if err != nil {
		return Order{}, err
	}
	if c.By.Role == Applicant && !o.OwnedBy(c.By.PersonID, c.DraftToken) {
		return Order{}, orderNotFound
	}
	if o.State == awaitingPayment && o.TradeNo != "" {
		if err := s.CloseTrade(ctx, o.TradeNo); err != nil {
			return o, err
		}
	}
	c.Proven = append(c.Proven, TradeClosed)
	return s.Apply(ctx, id, c)
}

// askGateway enqueues a question to the gateway and plans the next one: ten
// seconds after the QR code was shown, then less and less often. A trade whose time
// is over is closed; of a closed one this was the last question.
func (s *Service) askGateway(ctx context.Context, p Payment) error {
	now := s.now()
	wait := min(firstQuery<<min(p.Queries, 6), slowQuery)
	p.Queries++
	p.NextQuery, p.UpdatedAt = now.Add(wait), now
	kind := JobQueryPayment
	if p.State == PaymentRefundFailed {
		kind, p.NextQuery = JobRefund, now.Add(followEvery)
	}
	expired := p.State != PaymentRefundFailed && now.After(p.ExpiresAt.Add(lastQuery))
	if expired || p.State == PaymentClosed {
		p.NextQuery = time.Time{}
	}
	if expired && p.State == PaymentPending {
		kind = JobCloseTrade
	}
	return s.store.InTx(ctx, func(tx Tx) error {
		if err := tx.UpdatePayment(ctx, p, p.State); err != nil {
			return fmt.Errorf("planning the next query: %w", err)
		}
		return tx.Enqueue(ctx, Job{Kind: kind, Ref: p.TradeNo, Seq: int64(p.Queries)})
	})
}
