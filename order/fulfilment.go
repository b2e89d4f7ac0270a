package order

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// FulfilmentState is how far WeChat is told that what a payment in the mini-program
// bought was delivered (发货信息管理). It keeps the money until then.
type FulfilmentState string

// The states of a fulfilment.
const (
	FulfilmentDue      FulfilmentState = "due"
	FulfilmentTold     FulfilmentState = "told"
	FulfilmentRefused  FulfilmentState = "refused"  // waits for a person
	FulfilmentNeedless FulfilmentState = "needless" // WeChat keeps nothing back
)

var fulfilmentStateLabels = map[FulfilmentState]string{FulfilmentDue: "正在告知微信", FulfilmentTold: "微信已记录", FulfilmentRefused: "需要人工处理", FulfilmentNeedless: "不需要告知"}

// Label is the state as people read it.
func (s FulfilmentState) Label() string { return fulfilmentStateLabels[s] }

// FulfilledBy is how what was bought reached its buyer.
type FulfilledBy string

// The ways.
const (
	FulfilledByCourier FulfilledBy = "courier"
	FulfilledAtCounter FulfilledBy = "counter"
	FulfilledOnline    FulfilledBy = "online"
)

// fulfilledBy are the events that hand something over; all others end online.
var fulfilledBy = map[Event]FulfilledBy{Ship: FulfilledByCourier, CorrectTracking: FulfilledByCourier, PickUp: FulfilledAtCounter}

// Fulfilled is how an order reached its buyer: what WeChat is told, and compares.
type Fulfilled struct {
	By         FulfilledBy
	Carrier    string // of a parcel; one that is none of ours by WeChat's code
	TrackingNo string
}

// Words are it as people read it, in the words of WeChat's own page.
func (f Fulfilled) Words() string {
	if f.By == FulfilledByCourier {
		return "快递 " + Carriers[f.Carrier].Name + " " + f.TrackingNo
	}
	return map[FulfilledBy]string{FulfilledAtCounter: "用户自提", FulfilledOnline: "虚拟发货"}[f.By]
}

// Fulfilment is what WeChat has to know of one payment in the mini-program.
type Fulfilment struct {
	TradeNo string
	OrderID ID
	Fulfilled
	State FulfilmentState
	Why   string // of what waits for a person, or needs nothing
	Rev   int64
	At    time.Time // since when it is so; WeChat takes the latest
	// SignedAt is when the courier delivered it; then WeChat reminds the buyer to confirm
	// that, once.
	SignedAt   time.Time
	RemindedAt time.Time
	UpdatedAt  time.Time
}

// Enterable reports whether a person can still enter in WeChat what it was not told.
func (f Fulfilment) Enterable() bool { return f.State == FulfilmentRefused && f.Why != changedOnce }

// FulfilmentReport is a fulfilment as WeChat is told it.
type FulfilmentReport struct {
	Fulfilled
	Goods   string // what was sold, at most [maxGoods] characters, nothing about people
	Contact string // of a parcel's recipient, masked but for the last four digits
	At      time.Time
}

// maxGoods is how many characters WeChat takes of what was sold.
const maxGoods = 120

// FulfilmentRecord is what WeChat knows of a payment.
type FulfilmentRecord struct {
	Fulfilled
	Times    int  // how often it was told: it takes one change
	Settled  bool // the buyer has confirmed, or WeChat has: the money is free
	Refunded bool
}

// FulfilmentDesk is WeChat's, about payments in the mini-program. Its errors are of kind
// Unavailable or RateLimited when asking again may help, Conflict when what WeChat knows
// cannot be changed any more, and Invalid, with the reason in words, when it takes none of it.
type FulfilmentDesk interface {
	// KeepsMoney reports whether WeChat keeps money until it is told.
	KeepsMoney(ctx context.Context) (bool, error)
	// FulfilmentOf is what WeChat knows of a payment.
	FulfilmentOf(ctx context.Context, p Payment) (FulfilmentRecord, error)
	// ReportFulfilment tells it. The first report that differs from what WeChat knows is
	// the one change that it takes; the same again is none.
	ReportFulfilment(ctx context.Context, p Payment, r FulfilmentReport) error
	// RemindReceipt has WeChat ask the buyer to confirm what a courier has delivered.
	RemindReceipt(ctx context.Context, p Payment, signedAt time.Time) error
}

// fulfilling is the follow-up that has WeChat told how a paid order reached its buyer.
var fulfilling = followUp{fulfils: true}

// fulfil notes what WeChat has to know of the order's payment, and has it told.
func (s *Service) fulfil(ctx context.Context, tx Tx, o Order, c Command) error {
	if s.fulfilments == nil || o.TradeNo == "" {
		return nil
	}
	p, err := tx.Payment(ctx, o.TradeNo)
	if err != nil || p.Way != PayInMiniProgram {
		return err
	}
	f, err := tx.Fulfilment(ctx, p.TradeNo)
	if err != nil && !errors.Is(err, NotFound) {
		return err
	}
	if c.On == CourierMoved {
		if f.TradeNo == "" || o.Parcel != ParcelSigned {
			return nil
		}
		f.SignedAt = c.at // the courier's own time may lie before ours of the shipment
		return s.report(ctx, tx, f)
	}
	by, handedOver := fulfilledBy[c.On]
	if !handedOver {
		by = FulfilledOnline
	}
	f.TradeNo, f.OrderID, f.Fulfilled, f.At = p.TradeNo, o.ID, Fulfilled{By: by}, c.at
	if by == FulfilledByCourier {
		f.Carrier, f.TrackingNo = o.Carrier, o.TrackingNo
	}
	f.State, f.Why, f.SignedAt = FulfilmentDue, "", time.Time{}
	return s.report(ctx, tx, f)
}

// report keeps a fulfilment and enqueues what there is to tell.
func (s *Service) report(ctx context.Context, tx Tx, f Fulfilment) error {
	f.Rev++
	f.UpdatedAt = s.now()
	if err := tx.SaveFulfilment(ctx, f); err != nil {
		return err
	}
	return tx.Enqueue(ctx, Job{Kind: JobFulfilment, Ref: f.TradeNo, Seq: f.Rev})
}

// RunFulfilment tells WeChat what it does not know yet of a payment. It asks first: what
// was told before a crash, or entered by hand, is not told again, which would be the one
// change that WeChat takes.
func (s *Service) RunFulfilment(ctx context.Context, tradeNo string) error {
	f, err := s.store.Fulfilment(ctx, tradeNo)
	if err != nil || s.fulfilments == nil {
		return err
	}
	p, err := s.store.Payment(ctx, tradeNo)
	if err != nil {
		return err
	}
	if f.State == FulfilmentDue {
		if f.State, f.Why, err = s.tellWeChat(ctx, p, f); err != nil {
			f.State, f.Why, err = s.unanswered(f, err)
		}
		if err != nil {
			return err
		}
		if f, err = s.keepFulfilment(ctx, f); err != nil {
			return err
		}
	}
	if f.State != FulfilmentTold || f.SignedAt.IsZero() || !f.RemindedAt.IsZero() || p.State != PaymentPaid {
		return nil
	}
	// A reminder that WeChat refuses is no loss: it settles by itself some days later.
	if err := s.fulfilments.RemindReceipt(ctx, p, f.SignedAt); err != nil && !final(err) && s.now().Sub(f.SignedAt) < fulfilmentLate {
		return err
	}
	f.RemindedAt = s.now()
	_, err = s.keepFulfilment(ctx, f)
	return err
}

// fulfilmentLate is how long WeChat may not answer before finance is told.
const fulfilmentLate = 24 * time.Hour

// Why a fulfilment needs nothing, or a person.
const (
	moneyWentBack = "款项已退回或正在退回"
	keepsNoMoney  = "小程序没有开通「发货信息管理」，款项不受限制"
	changedOnce   = "微信只接受一次更正，已经用过：微信里仍是之前的发货信息。收件人已收到正确单号的短信；买家在微信里问起时请以这里的单号答复，款项被扣留时联系微信支付商户客服 95017"
	weChatSilent  = "一天没有得到微信的确认"
	handledByHand = "已人工处理"
)

// tellWeChat asks what WeChat knows of a payment, and tells it what it does not.
func (s *Service) tellWeChat(ctx context.Context, p Payment, f Fulfilment) (FulfilmentState, string, error) {
	if p.State != PaymentPaid {
		return FulfilmentNeedless, moneyWentBack, nil
	}
	state, why, err := s.askWeChat(ctx, p, f.Fulfilled)
	if err != nil || state != FulfilmentDue {
		return state, why, err
	}
	err = s.reportFulfilment(ctx, p, f)
	if errors.Is(err, Conflict) { // told meanwhile, by hand or by a report whose answer was lost
		state, why, asked := s.askWeChat(ctx, p, f.Fulfilled)
		if asked != nil || state != FulfilmentDue {
			return state, why, asked
		}
	}
	return FulfilmentTold, "", err
}

// askWeChat is what follows from what WeChat knows; FulfilmentDue: it has to be told.
func (s *Service) askWeChat(ctx context.Context, p Payment, f Fulfilled) (FulfilmentState, string, error) {
	keeps, err := s.fulfilments.KeepsMoney(ctx)
	if err != nil || !keeps {
		return FulfilmentNeedless, keepsNoMoney, err
	}
	known, err := s.fulfilments.FulfilmentOf(ctx, p)
	switch {
	case err != nil:
		return "", "", err
	case known.Refunded:
		return FulfilmentNeedless, moneyWentBack, nil
	case known.Settled, known.Times > 0 && known.Fulfilled == f:
		return FulfilmentTold, "", nil
	case known.Times > 1:
		return FulfilmentRefused, changedOnce, nil
	}
	return FulfilmentDue, "", nil
}

// final reports whether asking again cannot help.
func final(err error) bool { return errors.Is(err, Invalid) || errors.Is(err, Conflict) }

// unanswered is what an error of WeChat's makes of a fulfilment: it is tried again, unless
// that cannot help, or has not for long.
func (s *Service) unanswered(f Fulfilment, cause error) (FulfilmentState, string, error) {
	e, ok := AsError(cause)
	switch {
	case !final(cause) && s.now().Sub(f.At) < fulfilmentLate:
		return "", "", cause
	case ok:
		return FulfilmentRefused, e.Detail, nil
	default:
		return FulfilmentRefused, weChatSilent, nil
	}
}

func (s *Service) reportFulfilment(ctx context.Context, p Payment, f Fulfilment) error {
	o, err := s.store.Order(ctx, f.OrderID)
	if err != nil {
		return err
	}
	goods := o.Product.Name
	if n := o.Quantity() - o.GivenUp; n > 1 {
		goods = fmt.Sprintf("%s × %d", atMostRunes(maxGoods-5, goods), n)
	}
	r := FulfilmentReport{Fulfilled: f.Fulfilled, Goods: atMostRunes(maxGoods, goods), At: f.At}
	if f.By == FulfilledByCourier {
		r.Contact = o.MobileFor(ToRecipient).Mask()
	}
	return s.fulfilments.ReportFulfilment(ctx, p, r)
}

// keepFulfilment writes what became of one, unless there is something new to tell
// meanwhile, and tells finance of what needs a person.
func (s *Service) keepFulfilment(ctx context.Context, f Fulfilment) (Fulfilment, error) {
	f.Rev++
	f.UpdatedAt = s.now()
	return f, s.store.InTx(ctx, func(tx Tx) error {
		if err := tx.SaveFulfilment(ctx, f); err != nil || f.State != FulfilmentRefused {
			return err
		}
		return s.tellOfRefund(ctx, tx, f.OrderID, NoticeFulfilmentRefused)
	})
}

// RetryFulfilment has WeChat asked, and told, again: somebody has corrected what was
// wrong, or entered it by hand.
func (s *Service) RetryFulfilment(ctx context.Context, id ID, by Actor) error {
	return s.handleFulfilment(ctx, id, "fulfilment_retry", by, func(f *Fulfilment) { f.State, f.Why, f.At = FulfilmentDue, "", s.now() })
}

// SettleFulfilment records that finance has seen to it, and nothing more can be told.
func (s *Service) SettleFulfilment(ctx context.Context, id ID, by Actor) error {
	return s.handleFulfilment(ctx, id, "fulfilment_by_hand", by, func(f *Fulfilment) { f.State, f.Why = FulfilmentNeedless, handledByHand })
}

func (s *Service) handleFulfilment(ctx context.Context, id ID, action string, by Actor, handle func(*Fulfilment)) error {
	return s.store.InTx(ctx, func(tx Tx) error {
		o, err := tx.Order(ctx, id)
		if err != nil {
			return err
		}
		f, err := tx.Fulfilment(ctx, o.TradeNo)
		if err != nil {
			return err
		}
		if f.State != FulfilmentRefused || by.Role != Finance {
			return Errorf(Conflict, "fulfilment_not_refused", "发货信息不需要处理，请刷新后查看")
		}
		handle(&f)
		if err := tx.AppendAudit(ctx, by.Did(id, action, s.now())); err != nil {
			return err
		}
		return s.report(ctx, tx, f)
	})
}
