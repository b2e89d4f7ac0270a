package order

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// maxWhy bounds what is kept of the platform's words, in characters.
const maxWhy = 200

// RequestInvoice asks for the invoice of a completed order that has none, or whose
// last attempt failed (开具发票). An empty title or tax number is the order's.
func (s *Service) RequestInvoice(ctx context.Context, id ID, by Actor, b Buyer) (Invoice, error) {
	return s.askInvoice(ctx, id, by, InvoiceAsked, b)
}

// CorrectInvoice has an issued invoice taken back and issued anew to b, once
// (rules.md §3.6).
func (s *Service) CorrectInvoice(ctx context.Context, id ID, by Actor, b Buyer) (Invoice, error) {
	return s.askInvoice(ctx, id, by, InvoiceCorrected, b)
}

func (s *Service) askInvoice(ctx context.Context, id ID, by Actor, on InvoiceEvent, b Buyer) (Invoice, error) {
	var i Invoice
	err := s.store.InTx(ctx, func(tx Tx) error {
		o, was, err := s.invoiceOf(ctx, tx, id)
		if err != nil {
			return err
		}
		if by.Role == Applicant && !o.OwnedBy(by.PersonID, "") {
			return orderNotFound
		}
		if b, err = checkBuyer(Buyer{cmp.Or(strings.TrimSpace(b.Title), was.Title), cmp.Or(strings.TrimSpace(b.TaxNo), was.TaxNo)}); err != nil {
			return err
		}
		if was.already(on, b) { // asked once more because the answer was lost
			i = was
			return nil
		}
		if on == InvoiceCorrected && was.State == InvoiceIssued && was.Corrects == "" && b == was.Buyer {
			return FormFaults([]FieldError{{InvoiceTitle, "与现在的发票相同；更改只能做一次，请填写新的抬头或税号"}})
		}
		i, err = s.moveInvoice(ctx, tx, &o, was, invoiceCommand{on: on, by: by, buyer: b, told: true})
		return err
	})
	if refusal, ok := AsError(err); ok {
		s.auditRefusal(ctx, id, Command{On: "invoice_" + Event(on), By: by}, refusal)
	}
	return i, err
}

// checkBuyer checks whom an invoice is made out to; a fault names the field.
func checkBuyer(b Buyer) (Buyer, error) {
	var faults []FieldError
	title, err := checkOrgName(b.Title, Form{}, time.Time{})
	if err != nil {
		faults = append(faults, FieldError{InvoiceTitle, err.Error()})
	}
	if utf8.RuneCountInString(title) > maxInvoiceTitle {
		faults = append(faults, FieldError{InvoiceTitle, "发票抬头不能超过 100 字"})
	}
	number, err := checkUnitCode(b.TaxNo, Form{}, time.Time{})
	if err != nil {
		faults = append(faults, FieldError{InvoiceTaxNo, err.Error()})
	}
	if len(faults) > 0 {
		return b, FormFaults(faults)
	}
	return Buyer{title, number}, nil
}

// maxInvoiceTitle is what platforms take, in characters.
const maxInvoiceTitle = 100

// invoiceOf reads the order, locked as by everybody who moves its invoice, and the
// invoice that counts: without one, what one would be.
func (s *Service) invoiceOf(ctx context.Context, tx Tx, id ID) (Order, Invoice, error) {
	o, err := tx.Order(ctx, id)
	if err != nil {
		return o, Invoice{}, err
	}
	i, err := tx.InvoiceOf(ctx, id)
	if errors.Is(err, NotFound) || err == nil && i.State == InvoiceReversed {
		i, err = s.blankInvoice(ctx, tx, o)
	}
	return o, i, err
}

// blankInvoice is the invoice of an order before anybody asked for it: of what was
// paid and has not gone back, made out to whom the form names, else to the company,
// which an unlock's form does not name (F84): it is the certificate's.
func (s *Service) blankInvoice(ctx context.Context, tx Tx, o Order) (Invoice, error) {
	i := Invoice{OrderID: o.ID, OrderNo: o.No, TradeNo: o.TradeNo, Item: "数字证书服务（" + o.Business.Label() + "）", Buyer: o.InvoiceBuyer()}
	if o.TradeNo == "" {
		return i, nil
	}
	if o.Certificate != "" && (i.Title == "" || i.TaxNo == "") {
		about, err := s.certificates.About(ctx, tx, o.Certificate)
		if err != nil {
			return i, err
		}
		i.Title, i.TaxNo = cmp.Or(i.Title, about.Holder), cmp.Or(i.TaxNo, about.USCC)
	}
	var err error
	i.Amount, err = tx.Booked(ctx, o.TradeNo)
	return i, err
}

// invoicing is the follow-up that issues the invoice of an order that is done, if it
// was paid for and one was wanted (F48). A second end of the same order, as after a
// returned parcel, brings no second invoice.
var invoicing = followUp{invoices: true}

func (s *Service) invoiceIfPaid(ctx context.Context, tx Tx, o Order) error {
	if o.Amount == 0 || o.Form.Get(InvoiceWant) == No {
		return nil
	}
	if _, err := tx.InvoiceOf(ctx, o.ID); !errors.Is(err, NotFound) {
		return err
	}
	i, err := s.blankInvoice(ctx, tx, o)
	if err != nil {
		return err
	}
	b, err := checkBuyer(i.Buyer)
	if errors.Is(err, Invalid) {
		return nil // nobody to make it out to: the applicant says who, in 开具发票
	}
	_, err = s.moveInvoice(ctx, tx, &o, i, invoiceCommand{on: InvoiceAsked, by: BySystem, buyer: b})
	if e, ok := AsError(err); ok && e == chargedSomething.refusal {
		return nil // nothing is left of the money
	}
	return err
}

// invoiceCommand is one thing that happens to an invoice.
type invoiceCommand struct {
	on     InvoiceEvent
	by     Actor
	buyer  Buyer
	answer InvoiceAnswer
	told   bool // the order's history gets a line
}

// moveInvoice makes a command happen to an invoice, with the audit line, the job and,
// where o is not being moved itself, the line in the order's history.
func (s *Service) moveInvoice(ctx context.Context, tx Tx, o *Order, was Invoice, c invoiceCommand) (Invoice, error) {
	t, err := nextInvoice(*o, was, c.on, c.by.Role)
	if err != nil {
		return was, err
	}
	now := s.now()
	i := was
	i.State, i.UpdatedAt = t.To, now
	i.Rev++
	i.SubmittedAt, i.NextQuery, i.Queries, i.Why = time.Time{}, time.Time{}, 0, ""
	switch {
	case i.Waiting():
		i.Attempt++
		i.NextQuery = now.Add(firstQuery)
	case i.State == InvoiceIssued:
		i.Number, i.IssuedAt = c.answer.Number, c.answer.At
	case i.State == InvoiceReversed:
		i.Reversal, i.ReversedAt = c.answer.Number, c.answer.At
	default:
		i.Why = atMostRunes(maxWhy, c.answer.Why)
	}
	switch c.on {
	case InvoiceAsked:
		i.Buyer = c.buyer
	case InvoiceCorrected:
		i.Next = c.buyer
	default:
	}
	if was.ID == "" {
		i.ID, i.CreatedAt = s.newID(), now
		err = tx.InsertInvoice(ctx, i)
	} else {
		err = tx.UpdateInvoice(ctx, i, was)
	}
	if err != nil {
		return was, err
	}
	if err := tx.AppendAudit(ctx, c.by.Did(i.OrderID, "invoice_"+string(c.on), now).Ending(string(i.State))); err != nil {
		return was, err
	}
	if c.told && t.Order != "" {
		if err := Remember(ctx, tx, o, t.Order, c.by, "", now); err != nil {
			return was, err
		}
	}
	if !i.Waiting() {
		return i, nil
	}
	return i, tx.Enqueue(ctx, Job{Kind: JobInvoice, Ref: i.ID, Seq: i.Rev})
}

func atMostRunes(n int, s string) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n])
	}
	return s
}

// InvoiceSubmitted records that the platform took an invoice: from then on it is
// asked what became of it.
func (s *Service) InvoiceSubmitted(ctx context.Context, asked Invoice) error {
	return s.setSubmitted(ctx, asked, s.now())
}

// InvoiceLost records that the platform does not know an invoice that it took: it is
// submitted again when its time comes.
func (s *Service) InvoiceLost(ctx context.Context, asked Invoice) error {
	return s.setSubmitted(ctx, asked, time.Time{})
}

func (s *Service) setSubmitted(ctx context.Context, asked Invoice, at time.Time) error {
	return s.store.InTx(ctx, func(tx Tx) error {
		was, err := tx.Invoice(ctx, asked.ID)
		if err != nil || !was.same(asked) {
			return err
		}
		i := was
		i.SubmittedAt, i.UpdatedAt = at, s.now()
		i.Rev++
		return tx.UpdateInvoice(ctx, i, was)
	})
}

// same reports whether an answer about asked is still one about i: the same attempt
// at the same thing.
func (i Invoice) same(asked Invoice) bool {
	return i.State == asked.State && i.Attempt == asked.Attempt
}

// InvoiceAnswered records what the platform says about an invoice. An answer that
// comes twice or too late changes nothing. An amount that is not ours is a refusal:
// people have to look.
func (s *Service) InvoiceAnswered(ctx context.Context, asked Invoice, a InvoiceAnswer) error {
	return s.store.InTx(ctx, func(tx Tx) error {
		o, err := tx.Order(ctx, asked.OrderID)
		if err != nil {
			return err
		}
		was, err := tx.Invoice(ctx, asked.ID)
		if err != nil || !was.same(asked) || !was.Waiting() {
			return err
		}
		c := invoiceCommand{on: InvoiceMade, by: BySystem, answer: a, told: true}
		switch {
		case a.Status == InvoiceDone && a.Amount != was.Amount:
			c.on, c.answer.Why = InvoiceRefused, "开票平台返回的金额 ¥"+a.Amount.Yuan()+" 与订单不符"
		case a.Status == InvoiceRejected:
			c.on = InvoiceRefused
		case a.Status != InvoiceDone:
			return nil
		}
		i, err := s.moveInvoice(ctx, tx, &o, was, c)
		if err != nil {
			return err
		}
		if slices.Contains(brokenInvoices, i.State) {
			if err := s.notify(ctx, tx, o, NoticeInvoiceFailed); err != nil {
				return err
			}
		}
		return s.afterInvoice(ctx, tx, &o, i)
	})
}

// brokenInvoices wait for a person.
var brokenInvoices = []InvoiceState{InvoiceFailed, InvoiceRedFailed}

// BrokenInvoices are the states in which an invoice waits for finance.
func BrokenInvoices() []InvoiceState { return slices.Clone(brokenInvoices) }

// afterInvoice is what an answer of the platform lets happen: money that waited for
// the red invoice goes back, a title that was corrected gets its new invoice.
func (s *Service) afterInvoice(ctx context.Context, tx Tx, o *Order, i Invoice) error {
	p, err := tx.Payment(ctx, i.TradeNo)
	switch {
	case err != nil:
		return err
	case p.State == PaymentRefundDue && i.State == InvoiceIssued: // issued while the refund began
		_, err := s.moveInvoice(ctx, tx, o, i, invoiceCommand{on: InvoiceTakenBack, by: BySystem})
		return err
	case p.State == PaymentRefundDue && !i.Stands():
		return tx.Enqueue(ctx, Job{Kind: JobRefund, Ref: p.TradeNo, Seq: o.Seq})
	case i.State == InvoiceReversed && i.Next != Buyer{} && o.Refund == NoRefund:
		anew, err := s.blankInvoice(ctx, tx, *o)
		if err != nil {
			return err
		}
		anew.Corrects = i.ID
		_, err = s.moveInvoice(ctx, tx, o, anew, invoiceCommand{on: InvoiceAsked, by: BySystem, buyer: i.Next})
		return err
	default:
		return nil
	}
}

// takeBackInvoice sees to it that no invoice stands for money that goes back (rows 64
// and 65). It reports whether the money has to wait for the red invoice.
func (s *Service) takeBackInvoice(ctx context.Context, tx Tx, p Payment) (waits bool, err error) {
	i, err := tx.InvoiceOf(ctx, p.OrderID)
	if errors.Is(err, NotFound) || err == nil && (i.TradeNo != p.TradeNo || !i.Stands()) {
		return false, nil
	}
	if err != nil || i.State != InvoiceIssued {
		return true, err
	}
	o := Order{ID: p.OrderID} // it is being moved by whoever asks
	_, err = s.moveInvoice(ctx, tx, &o, i, invoiceCommand{on: InvoiceTakenBack, by: BySystem})
	return true, err
}

// invoiceStands reports whether a payment's money has still to wait.
func (s *Service) invoiceStands(ctx context.Context, p Payment) (bool, error) {
	i, err := s.store.InvoiceOf(ctx, p.OrderID)
	if errors.Is(err, NotFound) {
		return false, nil
	}
	return err == nil && i.TradeNo == p.TradeNo && i.Stands(), err
}

// RetryInvoice has finance try again what failed: the invoice, or the red one.
func (s *Service) RetryInvoice(ctx context.Context, id ID, by Actor, b Buyer) (Invoice, error) {
	i, err := s.store.InvoiceOf(ctx, id)
	if err != nil {
		return i, err
	}
	if i.State == InvoiceFailed {
		return s.askInvoice(ctx, id, by, InvoiceAsked, Buyer{cmp.Or(b.Title, i.Title), cmp.Or(b.TaxNo, i.TaxNo)})
	}
	return s.askInvoice(ctx, id, by, InvoiceTakenBack, i.Buyer)
}

// InvoiceHeard takes a notification that is the platform's, about an invoice whose
// amount it knows: the platform is asked at once. Hearing it a thousand times asks
// once; what is settled already is not asked about.
func (s *Service) InvoiceHeard(ctx context.Context, n InvoiceNotice) error {
	return s.store.InTx(ctx, func(tx Tx) error {
		was, err := tx.Invoice(ctx, n.ID)
		if err != nil {
			return err
		}
		if n.Amount != 0 && n.Amount != was.Amount {
			return Errorf(Forbidden, "invoice_amount_differs", "通知中的金额与发票不符")
		}
		now := s.now()
		if !was.Waiting() || !was.NextQuery.After(now) {
			return nil
		}
		i := was
		i.NextQuery, i.UpdatedAt = now, now
		i.Rev++
		return tx.UpdateInvoice(ctx, i, was)
	})
}

// askInvoices enqueues a question to the platform about every invoice whose time has
// come, and plans the next one, less and less often.
func (s *Service) askInvoices(ctx context.Context) error {
	due, err := s.store.DueInvoices(ctx, s.now(), sweepBatch)
	if err != nil {
		return err
	}
	var faults []error
	for _, was := range due {
		err := s.store.InTx(ctx, func(tx Tx) error {
			i := was
			i.NextQuery, i.UpdatedAt = s.now().Add(min(firstQuery<<min(was.Queries, 6), slowQuery)), s.now()
			i.Queries++
			i.Rev++
			if err := tx.UpdateInvoice(ctx, i, was); err != nil {
				return err
			}
			return tx.Enqueue(ctx, Job{Kind: JobInvoice, Ref: i.ID, Seq: i.Rev})
		})
		if err != nil && !errors.Is(err, Conflict) {
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}
