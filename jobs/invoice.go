package jobs

import (
	"context"
	"errors"

	"github.com/yuncaidun/yuncaidun/order"
)

// invoice brings one invoice, or the red one that takes it back, a step on: it is
// submitted, or the platform is asked what became of it; the sweep and the platform's
// notifications bring the next step. The platform knows an invoice by our id, so that
// a step taken twice, or cut short anywhere, makes no second invoice.
func (d Deps) invoice(ctx context.Context, id string) error {
	i, err := d.Store.Invoice(ctx, id)
	if err != nil || !i.Waiting() {
		return err
	}
	if i.SubmittedAt.IsZero() {
		err := d.Invoices.Submit(ctx, i)
		if e, ok := order.AsError(err); ok && e.Kind == order.Invalid {
			return d.Orders.InvoiceAnswered(ctx, i, order.InvoiceAnswer{Status: order.InvoiceRejected, Why: e.Detail})
		}
		if err != nil {
			return err
		}
		if err := d.Orders.InvoiceSubmitted(ctx, i); err != nil {
			return err
		}
	}
	a, err := d.Invoices.Ask(ctx, i)
	if err != nil {
		return err
	}
	if a.Status == order.InvoiceUnknown {
		return d.Orders.InvoiceLost(ctx, i)
	}
	if a.Status == order.InvoiceDone && a.Amount == i.Amount && !i.Red() {
		if err := d.keepInvoice(ctx, i, a.File); err != nil {
			return err
		}
	}
	return d.Orders.InvoiceAnswered(ctx, i, a)
}

// keepInvoice puts the PDF into our own store, once: the platform's address is a
// secret that gives it to anybody.
func (d Deps) keepInvoice(ctx context.Context, i order.Invoice, address string) error {
	_, err := d.Objects.Get(ctx, i.Object())
	if !errors.Is(err, order.NotFound) {
		return err
	}
	pdf, err := d.Invoices.File(ctx, address)
	if err != nil {
		return err
	}
	return d.Objects.Put(ctx, i.Object(), pdf)
}
