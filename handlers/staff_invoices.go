package handlers

import (
	"net/http"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/order"
)

// invoiceRoutes are finance's: invoices that wait for a person.
func (k *console) invoiceRoutes() {
	k.get("/staff/invoices", OfStaff, k.invoices, order.Finance)
	k.post("/staff/invoices/:id/retry", OfStaff, k.retryInvoice, order.Finance)
}

// invoiceLists are the lists of the page: what failed comes first.
var invoiceLists = []struct {
	name, label string
	states      []order.InvoiceState
}{
	{"failed", "需要处理", order.BrokenInvoices()},
	{"waiting", "处理中", []order.InvoiceState{order.InvoiceIssuing, order.InvoiceRedIssuing}},
	{"issued", "已开具", []order.InvoiceState{order.InvoiceIssued}},
	{"reversed", "已红冲", []order.InvoiceState{order.InvoiceReversed}},
}

type staffInvoicesView struct {
	Tabs []tabView
	Rows []order.Invoice
	Next string
}

func (k *console) invoices(c *fiber.Ctx) error { return k.showInvoices(c, nil) }

func (k *console) showInvoices(c *fiber.Ctx, refusal error) error {
	after, err := parseCursor(c.Query("after"))
	if err != nil {
		return err
	}
	list := c.Query("list", invoiceLists[0].name)
	var v staffInvoicesView
	f := order.InvoiceFilter{After: after, Limit: pageSize}
	for _, l := range invoiceLists {
		v.Tabs = append(v.Tabs, tabView{l.label, "/staff/invoices?list=" + l.name, l.name == list})
		if l.name == list {
			f.States = l.states
		}
	}
	if f.States == nil {
		return order.Errorf(order.Invalid, "invoice_list_unknown", "没有该发票分类，请重新选择")
	}
	page, err := k.Store.Invoices(c.UserContext(), f)
	if err != nil {
		return err
	}
	v.Rows = page.Invoices
	v.Next = link("/staff/invoices?list="+list+"&after=", page.Next)
	return k.show(c, "invoices", "发票", v, refusal)
}

// retryInvoice tries again what failed, perhaps with a title that was put right.
func (k *console) retryInvoice(c *fiber.Ctx) error {
	if _, err := k.Orders.RetryInvoice(c.UserContext(), order.ID(c.Params("id")), actor(c, order.Finance), buyerOf(c)); err != nil {
		return k.orNotice(c, err, k.showInvoices)
	}
	return c.Redirect("/staff/invoices", http.StatusSeeOther)
}
