package order

import (
	"context"
	"slices"
	"time"
)

// PayChannel is whose gateway a trade is paid through, and its money goes back through.
type PayChannel string

// The channels.
const (
	WeChatPay PayChannel = "wechatpay"
	Alipay    PayChannel = "alipay"
)

// payChannel is one line of payChannels: what people call it, the app that scans its
// codes, and the surfaces that may offer it.
type payChannel struct {
	Channel    PayChannel
	Label, App string
	On         []Channel
}

// payChannels are all channels, in the order in which they are offered. Alipay does not
// open inside WeChat (G32).
var payChannels = []payChannel{
	{WeChatPay, "微信支付", "微信", []Channel{Web, OfficialAcc, MiniProgram}},
	{Alipay, "支付宝", "支付宝", []Channel{Web}},
}

func (c PayChannel) line() payChannel {
	i := slices.IndexFunc(payChannels, func(l payChannel) bool { return l.Channel == c })
	if i < 0 {
		return payChannel{Channel: c}
	}
	return payChannels[i]
}

// Label is the channel as people read it.
func (c PayChannel) Label() string { return c.line().Label }

// App is the program on the payer's phone that scans the channel's codes.
func (c PayChannel) App() string { return c.line().App }

// PayChannels are those that a surface may offer and whose gateway there is; the first
// is the usual one.
func (s *Service) PayChannels(on Channel) []PayChannel {
	var out []PayChannel
	for _, l := range payChannels {
		if s.gateways[l.Channel] != nil && slices.Contains(l.On, on) {
			out = append(out, l.Channel)
		}
	}
	return out
}

// gatewayOf is where a trade was opened. A channel that is configured no longer leaves
// its trades as they are.
func (s *Service) gatewayOf(p Payment) (PaymentGateway, error) {
	if g := s.gateways[p.Channel]; g != nil {
		return g, nil
	}
	return nil, Errorf(Unavailable, "payment_unavailable", "支付服务暂时不可用，请稍后再试")
}

// PaymentState is where one payment trade stands. Money owed back is a state of
// the payment, shown over the order's state.
type PaymentState string

// The payment states.
const (
	PaymentPending      PaymentState = "pending"
	PaymentClosed       PaymentState = "closed" // closed at the gateway, unpaid
	PaymentPaid         PaymentState = "paid"
	PaymentRefundDue    PaymentState = "refund_due"
	PaymentRefunding    PaymentState = "refunding"
	PaymentRefundFailed PaymentState = "refund_failed"
	PaymentRefunded     PaymentState = "refunded"
)

var paymentLabels = map[PaymentState]string{
	PaymentPending: "待支付", PaymentClosed: "已关闭", PaymentPaid: "已支付", PaymentRefundDue: "待退款",
	PaymentRefunding: "退款中", PaymentRefundFailed: "退款失败", PaymentRefunded: "已退款",
}

// Label is what people call the state.
func (s PaymentState) Label() string { return paymentLabels[s] }

// PayWay is how a trade is paid; a trade that was opened for one way cannot be
// paid another.
type PayWay string

// The ways.
const (
	PayByQRCode      PayWay = "qr"
	PayInMiniProgram PayWay = "mini"
)

// Payment is one trade at a payment gateway.
type Payment struct {
	TradeNo       string // out_trade_no, our id of the trade
	OrderID       ID
	Amount        Fen
	State         PaymentState
	Channel       PayChannel
	Way           PayWay
	CodeURL       string // what the QR code says; empty until the gateway answered
	PrepayID      string // in the mini-program: what wx.requestPayment is called with; empty until the gateway answered
	Payer         string // in the mini-program: the only OpenID that may pay
	TransactionID string // the gateway's id, once paid
	RefundNo      string // out_refund_no of the present try, or the next one, once money is owed back
	RefundReason  string
	Refused       string // why the gateway does not return it, for finance
	Returned      Fen    // in parts: see PartRefund
	CreatedAt     time.Time
	ExpiresAt     time.Time
	PaidAt        time.Time
	// NextQuery is when the gateway is asked next, in case its notification was
	// lost; zero when there is nothing to ask. A closed trade is asked about once more
	// when its time is over: somebody may have paid as it was closed. A refund that ended
	// as abnormal is asked about until somebody has settled it there.
	NextQuery time.Time
	Queries   int
	UpdatedAt time.Time
}

// Opened reports whether the gateway knows the trade.
func (p Payment) Opened() bool { return p.CodeURL != "" || p.PrepayID != "" }

// Receipt is a gateway's word, signature verified, that a trade was paid.
type Receipt struct {
	Channel       PayChannel
	TradeNo       string
	TransactionID string
	Amount        Fen
	PaidAt        time.Time
}

// TradeStatus is what the gateway answers to a query.
type TradeStatus string

// The trade states we tell apart.
const (
	TradeUnpaid  TradeStatus = "unpaid"
	TradePaid    TradeStatus = "paid"
	TradeShut    TradeStatus = "closed"
	TradeFailed  TradeStatus = "failed"
	TradeUnknown TradeStatus = "unknown" // the gateway has no such trade
)

// RefundStatus is what the gateway answers about a refund.
type RefundStatus string

// The refund states we tell apart.
const (
	RefundProcessing RefundStatus = "processing"
	RefundDone       RefundStatus = "done"
	RefundAbnormal   RefundStatus = "abnormal" // the payer's bank sent it back: a person settles it at the platform
	RefundClosed     RefundStatus = "closed"   // for good, without money: the next try needs a new number
	refundNever      RefundStatus = "never"    // not begun, and not to be tried by itself
)

// RefundRefused is the error of a gateway that will not return the money, for a reason
// in words: asking again helps only when somebody has changed something.
func RefundRefused(why string, cause error) error {
	return &Error{Kind: Conflict, Code: refundRefused, Detail: why, Err: cause}
}

// BalanceLow is the error of a gateway that returns the money as soon as the merchant's
// account holds enough.
func BalanceLow(cause error) error {
	return &Error{Kind: Unavailable, Code: balanceLow, Detail: "商户账户余额不足", Err: cause}
}

const (
	refundRefused = "refund_refused"
	balanceLow    = "merchant_balance_low"
)

const (
	// balanceTold is how long a refund waits for the merchant's balance before finance is
	// told: the day's payments often bring it.
	balanceTold = 24 * time.Hour
	// balanceOver is when it is tried no longer by itself, well before its job is given up.
	balanceOver = 10 * day
)

// HeldRefund is money on its way back for whose lack of balance finance is to care.
type HeldRefund struct {
	OrderID ID
	Channel PayChannel
	Amount  Fen
	Why     string
}

// PaymentGateway is a payment provider. Its errors are of kind Unavailable when
// asking again may help.
type PaymentGateway interface {
	// Prepay opens a trade and returns the text of its QR code. Asking again
	// for the same trade returns the same code.
	Prepay(ctx context.Context, p Payment, description string) (codeURL string, err error)
	// Query asks what became of a trade; the receipt is set when it is paid.
	Query(ctx context.Context, tradeNo string) (TradeStatus, Receipt, error)
	// Close closes an unpaid trade. A trade that turns out to be paid is a
	// Conflict with code "trade_paid".
	Close(ctx context.Context, tradeNo string) error
	// Refund asks for an amount of the trade back under p.RefundNo; idempotent.
	Refund(ctx context.Context, p Payment, amount Fen) (RefundStatus, error)
}

// MiniGateway opens trades that are paid inside the mini-program; the rest is
// [PaymentGateway]'s.
type MiniGateway interface {
	// PrepayMini opens a trade for the payer p names and returns its id; asking
	// again for the same trade is harmless.
	PrepayMini(ctx context.Context, p Payment, description string) (prepayID string, err error)
}
