package order

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// InvoiceState is where one electronic invoice (数电票) stands.
type InvoiceState string

// The states of an invoice. An order may have several, of which at most one is not
// reversed; the database sees to that.
const (
	InvoiceIssuing    InvoiceState = "issuing"
	InvoiceIssued     InvoiceState = "issued"
	InvoiceFailed     InvoiceState = "failed"
	InvoiceRedIssuing InvoiceState = "red_issuing" // the red invoice that takes it back is on its way
	InvoiceRedFailed  InvoiceState = "red_failed"
	InvoiceReversed   InvoiceState = "reversed"
)

var invoiceLabels = map[InvoiceState]string{
	InvoiceIssuing: "开具中", InvoiceIssued: "已开具", InvoiceFailed: "开具失败", InvoiceRedIssuing: "红冲中", InvoiceRedFailed: "红冲失败", InvoiceReversed: "已红冲",
}

// Label is the state as people read it.
func (s InvoiceState) Label() string { return invoiceLabels[s] }

// InvoiceEvent is something that happens to an invoice.
type InvoiceEvent string

// The events of an invoice.
const (
	InvoiceAsked     InvoiceEvent = "asked"
	InvoiceMade      InvoiceEvent = "made"    // the platform issued it, or the red one
	InvoiceRefused   InvoiceEvent = "refused" // the platform says that it never will as it is
	InvoiceTakenBack InvoiceEvent = "taken_back"
	InvoiceCorrected InvoiceEvent = "corrected" // taken back, to be issued anew to another title
)

// invoiceLifecycle is the whole life of an invoice: one row says who may do what to
// it in which state and where it goes, what must be true, and how the order's
// history calls it. Anything not in a row is refused. docs/lifecycle.md draws it.
var invoiceLifecycle = []invoiceStep{
	{From: none, On: InvoiceAsked, To: InvoiceIssuing, By: roles(Applicant, Finance, System), If: mayInvoice, Order: InvoiceRequested},
	{From: InvoiceFailed, On: InvoiceAsked, To: InvoiceIssuing, By: roles(Applicant, Finance), If: mayInvoice, Order: InvoiceRequested},
	{From: InvoiceIssuing, On: InvoiceMade, To: InvoiceIssued, By: roles(System), Order: InvoiceReady},
	{From: InvoiceIssuing, On: InvoiceRefused, To: InvoiceFailed, By: roles(System), Order: InvoiceNotReady},
	{From: InvoiceIssued, On: InvoiceCorrected, To: InvoiceRedIssuing, By: roles(Applicant, Finance), If: mayCorrect, Order: InvoiceCorrection},
	{From: InvoiceIssued, On: InvoiceTakenBack, To: InvoiceRedIssuing, By: roles(System)},
	{From: InvoiceRedIssuing, On: InvoiceMade, To: InvoiceReversed, By: roles(System), Order: InvoiceVoid},
	{From: InvoiceRedIssuing, On: InvoiceRefused, To: InvoiceRedFailed, By: roles(System)},
	{From: InvoiceRedFailed, On: InvoiceTakenBack, To: InvoiceRedIssuing, By: roles(Finance)},
}

// none is the state of an invoice that there is not yet.
const none InvoiceState = ""

// An invoiceStep is one row of the table.
type invoiceStep struct {
	From InvoiceState
	On   InvoiceEvent
	To   InvoiceState
	By   []Role
	// If must hold of the order and the invoice; the first that does not is the
	// refusal people read.
	If []invoiceRule
	// Order is the line in the order's history; empty for none.
	Order Event
}

// An invoiceRule is something that must be true of an order and its invoice.
type invoiceRule struct {
	holds   func(Order, Invoice) bool
	refusal *Error
}

var (
	chargedSomething = invoiceRule{func(_ Order, i Invoice) bool { return i.Amount > 0 }, Errorf(Conflict, "nothing_to_invoice", "订单没有支付金额，不需要开具发票")} // F50
	// What takes the place of an earlier invoice does not wait for a parcel that came back.
	orderCompleted  = invoiceRule{func(o Order, i Invoice) bool { return !o.CompletedAt.IsZero() || i.Corrects != "" }, Errorf(Conflict, "invoice_too_early", "订单完成后才能开具发票")}
	moneyStays      = invoiceRule{func(o Order, _ Invoice) bool { return o.Refund == NoRefund && o.Status != Refunded }, Errorf(Conflict, "invoice_refunded", "订单正在退款或已退款，不能开具发票")}
	firstCorrection = invoiceRule{func(_ Order, i Invoice) bool { return i.Corrects == "" }, Errorf(Conflict, "invoice_corrected_once", "发票抬头已更改过一次，如需再次更改请联系客服 400-666-3999")}

	mayInvoice = []invoiceRule{chargedSomething, orderCompleted, moneyStays}
	mayCorrect = []invoiceRule{orderCompleted, moneyStays, firstCorrection}
)

// Invoice is one electronic invoice (电子发票，普通发票) of an order. It names the
// buyer's unit, which is public, and nobody in person.
type Invoice struct {
	ID      string // also what the platform knows it by, whatever is tried again
	OrderID ID
	OrderNo string // as read with it
	// TradeNo is the payment it is about: before that goes back, it is reversed.
	TradeNo string
	State   InvoiceState
	Rev     int64
	Attempt int // how often it was asked for, from 1
	Amount  Fen // tax included
	Buyer
	Item string // what was sold, as printed
	// Number has twenty digits, once issued; Reversal is that of the red invoice.
	Number   string
	Reversal string
	// Why says in the platform's words what it refused; no personal data.
	Why string
	// Next is whom it is issued to once it has been taken back; zero when to nobody.
	Next Buyer
	// Corrects is the reversed invoice that this one replaces.
	Corrects string

	CreatedAt   time.Time
	UpdatedAt   time.Time
	SubmittedAt time.Time // when the platform took this attempt
	IssuedAt    time.Time
	ReversedAt  time.Time
	// NextQuery is when the platform is asked next, in case its notification was
	// lost; zero when there is nothing to ask.
	NextQuery time.Time
	Queries   int
}

// Buyer is whom an invoice is made out to.
type Buyer struct {
	Title string // 发票抬头
	TaxNo string // 购方税号
}

// InvoiceKind is the only kind that is issued (F48), as it is printed.
const InvoiceKind = "电子发票（普通发票）"

// Waiting reports whether the platform has still to answer.
func (i Invoice) Waiting() bool { return i.State == InvoiceIssuing || i.Red() }

// Red reports whether it is the red invoice that is being issued.
func (i Invoice) Red() bool { return i.State == InvoiceRedIssuing }

// Stands reports whether money may not go back yet: it is valid, or might become so.
func (i Invoice) Stands() bool {
	return slices.Contains([]InvoiceState{InvoiceIssuing, InvoiceIssued, InvoiceRedIssuing, InvoiceRedFailed}, i.State)
}

// Downloadable reports whether there is a file that is worth having.
func (i Invoice) Downloadable() bool { return i.State == InvoiceIssued }

// Retryable reports whether it may be asked for again.
func (i Invoice) Retryable() bool { return i.State == InvoiceFailed }

// Correctable reports whether its title may be changed by whoever bought.
func (i Invoice) Correctable() bool { return i.State == InvoiceIssued && i.Corrects == "" }

// already reports whether an invoice is, or is becoming, what is asked for.
func (i Invoice) already(on InvoiceEvent, b Buyer) bool {
	if on == InvoiceCorrected && i.State == InvoiceRedIssuing {
		return i.Next == b
	}
	made := i.State == InvoiceIssuing || i.State == InvoiceIssued
	return made && i.Buyer == b && (on == InvoiceAsked || on == InvoiceCorrected && i.Corrects != "")
}

// Object is its PDF in the object store.
func (i Invoice) Object() string { return i.ID + "-invoice" }

// InvoiceBuyer is whom an order's invoice is made out to: what the form says, else
// the company.
func (o Order) InvoiceBuyer() Buyer {
	return Buyer{cmp.Or(o.Form.Get(InvoiceTitle), o.Company), cmp.Or(o.Form.Get(InvoiceTaxNo), o.USCC)}
}

// Invoiceable reports whether the applicant may ask for an invoice of an order that
// has none.
func (o Order) Invoiceable() bool {
	return o.Amount > 0 && orderCompleted.holds(o, Invoice{}) && moneyStays.holds(o, Invoice{})
}

// nextInvoice finds the row for an event, or says in the reader's terms why there is
// none.
func nextInvoice(o Order, i Invoice, on InvoiceEvent, by Role) (invoiceStep, error) {
	n := slices.IndexFunc(invoiceLifecycle, func(t invoiceStep) bool { return t.On == on && t.From == i.State })
	if n < 0 {
		return invoiceStep{}, Errorf(Conflict, "invoice_not_ready", "发票当前为「%s」，不能执行该操作，请刷新后查看", i.State.Label())
	}
	t := invoiceLifecycle[n]
	if !slices.Contains(t.By, by) {
		return t, Errorf(Forbidden, "role_not_allowed", "您没有执行该操作的权限")
	}
	for _, r := range t.If {
		if !r.holds(o, i) {
			return t, r.refusal
		}
	}
	return t, nil
}

// InvoiceStatus is what the platform answers about an invoice.
type InvoiceStatus string

// The answers we tell apart.
const (
	InvoicePending  InvoiceStatus = "pending"
	InvoiceDone     InvoiceStatus = "done"
	InvoiceRejected InvoiceStatus = "rejected"
	InvoiceUnknown  InvoiceStatus = "unknown" // the platform has no such invoice
)

// InvoiceAnswer is the platform's word about an invoice, or about the red one that
// takes it back.
type InvoiceAnswer struct {
	Status InvoiceStatus
	Number string // of the invoice that was asked about
	Amount Fen
	At     time.Time
	File   string // where the PDF is to be had
	Why    string
}

// InvoicePlatform issues electronic invoices. Its errors are of kind Unavailable when
// asking again may help, and Invalid when the platform refuses the invoice as it is.
type InvoicePlatform interface {
	// Submit asks for the invoice, or for the red one while it is red; doing so again
	// makes no second one.
	Submit(ctx context.Context, i Invoice) error
	// Ask asks what became of it.
	Ask(ctx context.Context, i Invoice) (InvoiceAnswer, error)
	// File fetches the PDF of an answer.
	File(ctx context.Context, address string) ([]byte, error)
}

// InvoiceNotice is what the platform's notification claims. It decides nothing: it is
// a reason to ask.
type InvoiceNotice struct {
	ID     string
	Amount Fen // zero when it tells of none
}

// InvoiceFilter chooses invoices for a list; zero values do not filter.
type InvoiceFilter struct {
	PersonID string
	Orders   []ID
	States   []InvoiceState
	// After continues behind the last invoice of the page before.
	After Cursor
	Limit int // default 20, at most 100
}

// InvoicePage is one page of invoices; Next is zero on the last one.
type InvoicePage struct {
	Invoices []Invoice
	Next     Cursor
}
