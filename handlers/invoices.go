package handlers

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/order"
)

// invoiceRoutes are what an applicant does about invoices (F48–F50, F92, G7).
func (s *Server) invoiceRoutes() {
	s.get("/invoices", Applicant, s.listInvoices)
	s.post("/orders/:id/invoice", Applicant, s.requestInvoice)
	s.post("/orders/:id/invoice/correct", Applicant, s.correctInvoice)
	s.get("/orders/:id/invoice/file", Applicant, s.invoiceFile)
	s.get("/invoices/file/:ticket", Ticket, s.invoiceByTicket)
}

// invoiceService moves invoices; *order.Service.
type invoiceService interface {
	RequestInvoice(ctx context.Context, id order.ID, by order.Actor, b order.Buyer) (order.Invoice, error)
	CorrectInvoice(ctx context.Context, id order.ID, by order.Actor, b order.Buyer) (order.Invoice, error)
	RetryInvoice(ctx context.Context, id order.ID, by order.Actor, b order.Buyer) (order.Invoice, error)
}

// invoiceReader reads invoices; *store.DB.
type invoiceReader interface {
	InvoiceOf(ctx context.Context, id order.ID) (order.Invoice, error)
	Invoice(ctx context.Context, id string) (order.Invoice, error)
	Invoices(ctx context.Context, f order.InvoiceFilter) (order.InvoicePage, error)
}

// invoiceCard is the invoice on the order's page. The zero Invoice: there is none yet.
type invoiceCard struct {
	order.Invoice
	What string // what happens now, and what to do
	// Ask: it can be asked for now, with the title and number of Invoice.
	Ask bool
	// Typed is what was sent and is wrong, Faults why by field; Correcting: it was to
	// change the title of one that is issued.
	Typed      order.Buyer
	Faults     map[string]string
	Correcting bool
}

// Shown is what the form shows: what was typed, else what is known.
func (c invoiceCard) Shown() order.Buyer {
	if c.Faults != nil {
		return c.Typed
	}
	return c.Buyer
}

// invoiceCard is nil for an order that has no invoice and cannot have one yet.
func (s *Server) invoiceCard(ctx context.Context, o order.Order) (*invoiceCard, error) {
	if o.Amount == 0 {
		return nil, nil //nolint:nilnil // no card is no fault
	}
	i, err := s.Store.InvoiceOf(ctx, o.ID)
	switch {
	case err == nil:
		return &invoiceCard{Invoice: i, What: whatOfInvoice(i), Ask: i.Retryable() && o.Invoiceable()}, nil
	case !errors.Is(err, order.NotFound):
		return nil, err
	case !o.Invoiceable():
		return nil, nil //nolint:nilnil // see above
	}
	i = order.Invoice{Amount: o.Amount, Buyer: o.InvoiceBuyer()}
	if i.Title == "" && o.Certificate != "" { // an unlock's form does not name the company (F84)
		cert, err := s.Store.Certificate(ctx, o.Certificate)
		if err != nil {
			return nil, err
		}
		i.Title, i.TaxNo = cert.Holder, cert.USCC
	}
	return &invoiceCard{Invoice: i, What: "这个订单还没有开具发票。", Ask: true}, nil
}

// whatOfInvoice says in plain words where an invoice stands and what to do.
func whatOfInvoice(i order.Invoice) string {
	switch i.State {
	case order.InvoiceIssuing:
		return "发票开具中，一般几分钟内完成，开好后可在这里下载。"
	case order.InvoiceFailed:
		return "发票未能开具。请核对抬头和税号后重新开具；仍不成功请联系客服 400-666-3999。"
	case order.InvoiceRedIssuing:
		if i.Next != (order.Buyer{}) {
			return "正在作废原发票，随后按新抬头重新开具，一般几分钟内完成。"
		}
		return "退款前需要先红冲发票，完成后款项自动原路退回，无需您操作。"
	case order.InvoiceRedFailed:
		return "发票红冲遇到问题，工作人员正在处理，无需您操作。"
	case order.InvoiceReversed:
		return "发票已红冲作废，请勿再用于报销。"
	default:
		return ""
	}
}

func buyerOf(c *fiber.Ctx) order.Buyer {
	return order.Buyer{Title: c.FormValue("title"), TaxNo: c.FormValue("tax_no")}
}

func (s *Server) requestInvoice(c *fiber.Ctx) error {
	return s.askInvoice(c, s.Orders.RequestInvoice)
}

func (s *Server) correctInvoice(c *fiber.Ctx) error {
	return s.askInvoice(c, s.Orders.CorrectInvoice)
}

func (s *Server) askInvoice(c *fiber.Ctx, ask func(context.Context, order.ID, order.Actor, order.Buyer) (order.Invoice, error)) error {
	o, err := s.ownOrder(c)
	if err != nil {
		return err
	}
	if _, err := ask(c.UserContext(), o.ID, visitorOf(c).Actor(c), buyerOf(c)); err != nil {
		if e, ok := order.AsError(err); ok && e.Fields != nil && c.Get("HX-Request") == "" && !wantsJSON(c) {
			return s.showBuyerFaults(c, e)
		}
		return err
	}
	return s.goTo(c, "/orders/"+string(o.ID)+"#invoice")
}

// showBuyerFaults is the order's page again, with what is wrong beside the fields.
func (s *Server) showBuyerFaults(c *fiber.Ctx, e *order.Error) error {
	v, err := s.orderView(c)
	if err != nil || v.Invoice == nil {
		return errors.Join(err, e)
	}
	v.Invoice.Typed, v.Invoice.Faults, v.Invoice.Correcting = buyerOf(c), faultsByField(e), v.Invoice.Correctable()
	return s.render(c, http.StatusUnprocessableEntity, "order", "订单详情", v)
}

// invoiceFile is the PDF for the order's owner.
func (s *Server) invoiceFile(c *fiber.Ctx) error {
	o, err := s.ownOrder(c)
	if err != nil {
		return err
	}
	i, err := s.Store.InvoiceOf(c.UserContext(), o.ID)
	if err != nil {
		return err
	}
	return s.sendInvoice(c, i)
}

func (s *Server) sendInvoice(c *fiber.Ctx, i order.Invoice) error {
	if !i.Downloadable() {
		return order.Errorf(order.Conflict, "invoice_not_ready", "发票当前为「%s」，不能下载，请刷新后查看", i.State.Label())
	}
	return s.sendObject(c, i.Object(), "application/pdf", "invoice-"+i.Number+".pdf", "电子发票-"+i.Number+".pdf")
}

// A link to an invoice is for a program that cannot show its login to a download, such
// as a mini-program: it works for a few minutes and names nothing.
const (
	invoicePurpose  = "invoice"
	invoiceLinkLife = 5 * time.Minute
)

// invoiceLink makes such a link.
func (s *Server) invoiceLink(ctx context.Context, i order.Invoice) (address string, until time.Time, err error) {
	if !i.Downloadable() {
		return "", until, order.Errorf(order.Conflict, "invoice_not_ready", "发票当前为「%s」，不能下载，请刷新后查看", i.State.Label())
	}
	ticket, err := s.Tickets.Put(ctx, invoicePurpose, []byte(i.ID), invoiceLinkLife)
	return s.absolute("/invoices/file/" + ticket), s.Now().Add(invoiceLinkLife), err
}

func (s *Server) invoiceByTicket(c *fiber.Ctx) error {
	id, err := s.Tickets.Peek(c.UserContext(), invoicePurpose, c.Params("ticket"))
	if errors.Is(err, order.NotFound) {
		return order.Errorf(order.NotFound, "invoice_link_expired", "下载链接已失效，请回到「我的发票」重新下载")
	}
	if err != nil {
		return err
	}
	i, err := s.Store.Invoice(c.UserContext(), string(id))
	if err != nil {
		return err
	}
	return s.sendInvoice(c, i)
}

type invoicesView struct {
	Rows []order.Invoice
	Next string // address of the next page
}

// listInvoices is 我的发票, newest first.
func (s *Server) listInvoices(c *fiber.Ctx) error {
	after, err := parseCursor(c.Query("after"))
	if err != nil {
		return err
	}
	page, err := s.Store.Invoices(c.UserContext(), order.InvoiceFilter{PersonID: visitorOf(c).PersonID(), After: after, Limit: pageSize})
	if err != nil {
		return err
	}
	v := invoicesView{Rows: page.Invoices}
	v.Next = link("/invoices?after=", page.Next)
	return s.render(c, http.StatusOK, "invoices", "我的发票", v)
}

// invoiceActions adds what can be done about the invoices of a page of orders (F92).
func (s *Server) invoiceActions(ctx context.Context, rows []rowView) error {
	var ids []order.ID
	for _, r := range rows {
		if r.Order.Amount > 0 && !r.Order.CompletedAt.IsZero() {
			ids = append(ids, r.Order.ID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	page, err := s.Store.Invoices(ctx, order.InvoiceFilter{Orders: ids, Limit: 100})
	if err != nil {
		return err
	}
	of := map[order.ID]order.Invoice{}
	for _, i := range page.Invoices {
		if was, known := of[i.OrderID]; !known || was.State == order.InvoiceReversed {
			of[i.OrderID] = i
		}
	}
	for n, r := range rows {
		i, known := of[r.Order.ID]
		at := "/orders/" + string(r.Order.ID)
		switch {
		case known && i.Downloadable():
			rows[n].Actions = append(r.Actions, actionView{"下载发票", at + "/invoice/file", false})
		case known && i.Waiting():
			rows[n].Actions = append(r.Actions, actionView{"发票" + i.State.Label(), at + "#invoice", false})
		case r.Order.Invoiceable() && (!known || i.Retryable()):
			rows[n].Actions = append(r.Actions, actionView{"开具发票", at + "#invoice", false})
		}
	}
	return nil
}
