package order

import "time"

// Fee is money that somebody paid for an order, and what became of it, as he sees it.
type Fee struct {
	OrderID  ID
	OrderNo  string
	Product  string
	Amount   Fen
	Returned Fen // in parts, see PartRefund
	State    PaymentState
	Channel  PayChannel
	PaidAt   time.Time
	TradeNo  string
}

// FeePage is a page of them, newest first.
type FeePage struct {
	Fees []Fee
	Next Cursor // zero on the last page; its ID is a trade number
}
