package handlers

import (
	"context"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/yuncaidun/yuncaidun/order"
)

// InvoiceJSON is one electronic invoice. It names the buyer's unit and nobody in person.
type InvoiceJSON struct {
	ID          string     `json:"id,omitempty" doc:"Absent while nobody has asked for one"`
	Order       string     `json:"order"`
	OrderNo     string     `json:"order_no,omitempty"`
	Item        string     `json:"item,omitempty" doc:"What was sold"`
	State       string     `json:"state,omitempty" enum:"issuing,issued,failed,red_issuing,red_failed,reversed"`
	Label       string     `json:"label,omitempty" doc:"State in Chinese" example:"已开具"`
	What        string     `json:"what,omitempty" doc:"What happens now and what to do, in Chinese"`
	Why         string     `json:"why,omitempty" doc:"Why it was refused, in the platform's words"`
	Amount      int64      `json:"amount_fen"`
	Kind        string     `json:"kind" example:"电子发票（普通发票）"`
	Title       string     `json:"title"`
	TaxNo       string     `json:"tax_no"`
	Number      string     `json:"number,omitempty" doc:"Twenty digits, once issued"`
	IssuedAt    *time.Time `json:"issued_at,omitempty"`
	CreatedAt   *time.Time `json:"created_at,omitempty"`
	CanAsk      bool       `json:"can_ask,omitempty" doc:"It can be asked for now"`
	CanCorrect  bool       `json:"can_correct,omitempty" doc:"It can be issued anew to another title, once"`
	CanDownload bool       `json:"can_download,omitempty"`
}

// InvoiceLinkJSON is where the PDF can be fetched for a few minutes.
type InvoiceLinkJSON struct {
	URL   string    `json:"url"`
	Until time.Time `json:"until"`
}

type (
	invoicesInput struct {
		After string `query:"after" maxLength:"64" doc:"Cursor of the page before"`
		Limit int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
	}
	invoicesOutput struct {
		Body struct {
			Invoices []InvoiceJSON `json:"invoices"`
			Next     string        `json:"next,omitempty" doc:"Cursor of the next page; absent on the last"`
		}
	}
	buyerInput struct {
		ID   string `path:"id" maxLength:"26"`
		Body struct {
			Title string `json:"title,omitempty" maxLength:"200" doc:"Empty: the company"`
			TaxNo string `json:"tax_no,omitempty" maxLength:"40" doc:"Empty: the company's"`
		}
	}
	invoiceOutput     struct{ Body InvoiceJSON }
	invoiceLinkOutput struct{ Body InvoiceLinkJSON }
)

func (s *Server) apiInvoiceRoutes(api huma.API) {
	operation(s, api, apiGet("/invoices"), "list-invoices", "The caller's invoices, newest first", s.apiInvoices)
	operation(s, api, apiGet("/orders/:id/invoice"), "get-invoice", "The invoice of an order, or what one would be", s.apiInvoice)
	operation(s, api, apiPost("/orders/:id/invoice"), "request-invoice", "Ask for the invoice of a completed order that has none, or whose last attempt failed",
		s.apiAskInvoice(func(ctx context.Context, id order.ID, by order.Actor, b order.Buyer) error {
			_, err := s.Orders.RequestInvoice(ctx, id, by, b)
			return err
		}))
	operation(s, api, apiPost("/orders/:id/invoice/correct"), "correct-invoice", "Take an invoice back and issue it anew to another title, once",
		s.apiAskInvoice(func(ctx context.Context, id order.ID, by order.Actor, b order.Buyer) error {
			_, err := s.Orders.CorrectInvoice(ctx, id, by, b)
			return err
		}))
	operation(s, api, apiPost("/orders/:id/invoice/link"), "invoice-link", "A link to the PDF that works for five minutes", s.apiInvoiceLink)
}

func invoiceJSON(c invoiceCard, o order.ID) InvoiceJSON {
	i := c.Invoice
	out := InvoiceJSON{
		ID: i.ID, Order: string(o), OrderNo: i.OrderNo, Item: i.Item, State: string(i.State), Label: i.State.Label(), What: c.What, Why: i.Why,
		Amount: int64(i.Amount), Kind: order.InvoiceKind, Title: i.Title, TaxNo: i.TaxNo, Number: i.Number, CanAsk: c.Ask,
		CanCorrect: i.Correctable(), CanDownload: i.Downloadable(),
	}
	if !i.IssuedAt.IsZero() {
		out.IssuedAt = &i.IssuedAt
	}
	if !i.CreatedAt.IsZero() {
		out.CreatedAt = &i.CreatedAt
	}
	return out
}

func (s *Server) apiInvoices(ctx context.Context, in *invoicesInput) (*invoicesOutput, error) {
	after, err := parseCursor(in.After)
	if err != nil {
		return nil, err
	}
	page, err := s.Store.Invoices(ctx, order.InvoiceFilter{PersonID: callOf(ctx).v.PersonID(), After: after, Limit: in.Limit})
	if err != nil {
		return nil, err
	}
	var out invoicesOutput
	out.Body.Invoices = []InvoiceJSON{}
	for _, i := range page.Invoices {
		out.Body.Invoices = append(out.Body.Invoices, invoiceJSON(invoiceCard{Invoice: i, What: whatOfInvoice(i), Ask: i.Retryable()}, i.OrderID))
	}
	out.Body.Next = cursorText(page.Next)
	return &out, nil
}

var noInvoiceYet = order.Errorf(order.NotFound, "invoice_not_found", "这个订单没有发票：订单完成后才能开具，没有支付金额的订单不开发票")

func (s *Server) apiInvoice(ctx context.Context, _ *idInput) (*invoiceOutput, error) {
	o := callOf(ctx).order
	card, err := s.invoiceCard(ctx, o)
	if err != nil {
		return nil, err
	}
	if card == nil {
		return nil, noInvoiceYet
	}
	return &invoiceOutput{invoiceJSON(*card, o.ID)}, nil
}

func (s *Server) apiAskInvoice(ask func(context.Context, order.ID, order.Actor, order.Buyer) error) func(context.Context, *buyerInput) (*invoiceOutput, error) {
	return func(ctx context.Context, in *buyerInput) (*invoiceOutput, error) {
		k := callOf(ctx)
		if err := ask(ctx, k.order.ID, k.actor(), order.Buyer{Title: in.Body.Title, TaxNo: in.Body.TaxNo}); err != nil {
			return nil, err
		}
		return s.apiInvoice(ctx, nil)
	}
}

func (s *Server) apiInvoiceLink(ctx context.Context, _ *idInput) (*invoiceLinkOutput, error) {
	i, err := s.Store.InvoiceOf(ctx, callOf(ctx).order.ID)
	if err != nil {
		return nil, err
	}
	var out invoiceLinkOutput
	out.Body.URL, out.Body.Until, err = s.invoiceLink(ctx, i)
	return &out, err
}
