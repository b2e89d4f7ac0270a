package contract

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/provider/invoice"
	"github.com/yuncaidun/yuncaidun/provider/sim"
)

const seller = "91110108MA00TEN18F"

// seller is the product's client of the invoice platform, with a secret.
func (w *world) golden(secret string) *invoice.Golden {
	return must(invoice.NewGolden(invoice.Config{
		AppKey: "gd_1", AppSecret: secret, SellerTaxNo: seller, TypeCode: "082", TaxCode: "3040203000000000000", TaxRate: 60,
		CallbackURL: w.product.URL + "/callbacks/invoice", BaseURL: w.url + "/apigw.goldentec.com", Now: w.sim.Now,
	}))
}

func blue(id string) order.Invoice {
	return order.Invoice{
		ID: id, OrderNo: "SAAS120261123103000000001", State: order.InvoiceIssuing, Amount: 30001, Item: "运达能源集团电子招投标CA认证项目-初购（一年期）",
		Buyer: order.Buyer{Title: "云岭测试科技（昆明）有限公司", TaxNo: "91350100M000100Y43"},
	}
}

func red(id string) order.Invoice {
	i := blue(id)
	i.State = order.InvoiceRedIssuing
	return i
}

// notices are what the platform told about an invoice, newest first.
func (w *world) notices(id string) (ns []sim.InvoiceNotice) {
	w.t.Helper()
	w.control(http.MethodGet, "invoice-notices?order_id="+id, nil, &ns)
	return ns
}

func (w *world) plan(plan string) {
	w.t.Helper()
	w.control(http.MethodPost, "invoice", map[string]any{"plan": plan}, nil)
}

func (w *world) tell(id, how string, times int) sim.InvoiceResult {
	w.t.Helper()
	var r sim.InvoiceResult
	w.control(http.MethodPost, "invoice", map[string]any{"order_id": id, "how": how, "times": times}, &r)
	return r
}

// F48: an invoice is asked for, issued, told of, fetched, and taken back.
func TestInvoiceFromRequestToReversal(t *testing.T) {
	w := newWorld(t)
	g, id := w.golden("golden-secret"), "01INVOICE0000000000000000A"
	if a := must(g.Ask(t.Context(), blue(id))); a.Status != order.InvoiceUnknown {
		t.Errorf("before it was asked for: %+v", a)
	}
	for range 2 { // asking again makes no second one
		if err := g.Submit(t.Context(), blue(id)); err != nil {
			t.Fatal(err)
		}
	}
	w.settle()
	a := must(g.Ask(t.Context(), blue(id)))
	if a.Status != order.InvoiceDone || a.Amount != 30001 || !regexp.MustCompile(`^\d{20}$`).MatchString(a.Number) || w.sim.Now().Sub(a.At).Abs() > time.Minute {
		t.Fatalf("%+v", a)
	}
	pdf := must(g.File(t.Context(), a.File))
	if !bytes.HasPrefix(pdf, []byte("%PDF-")) || len(pdf) < 800 {
		t.Errorf("a file of %d bytes", len(pdf))
	}
	ns := w.notices(id)
	if len(ns) != 1 || !ns[0].Delivered || len(ns[0].Attempts) != 1 {
		t.Fatalf("notifications %+v", ns)
	}

	var list []sim.Invoice
	w.control(http.MethodGet, "invoices", nil, &list)
	if len(list) != 1 || list[0].Total != 30001 || list[0].Tax != 1698 || list[0].Title != blue(id).Title { // 300.01 = 283.03 + 16.98
		t.Errorf("invoices %+v", list)
	}
	if a := must(g.Ask(t.Context(), red(id))); a.Status != order.InvoiceUnknown {
		t.Errorf("the red one before it was asked for: %+v", a)
	}
	for range 2 {
		if err := g.Submit(t.Context(), red(id)); err != nil {
			t.Fatal(err)
		}
	}
	w.settle()
	back := must(g.Ask(t.Context(), red(id)))
	if back.Status != order.InvoiceDone || back.Amount != 30001 || back.Number == a.Number {
		t.Errorf("reversal %+v", back)
	}
	if ns := w.notices(id); len(ns) != 2 || !ns[0].Delivered || ns[0].Type != "invoice.red" {
		t.Errorf("notifications %+v", ns)
	}
	if a := must(g.Ask(t.Context(), blue(id))); a.Status != order.InvoiceDone {
		t.Errorf("the blue one afterwards: %+v", a)
	}
}

// What the platform refuses is told in its words; what helps to try again is
// Unavailable; a lost answer to a request makes no second invoice.
func TestInvoiceTroubles(t *testing.T) {
	w := newWorld(t)
	g, id := w.golden("golden-secret"), "01INVOICE0000000000000000B"
	if err := w.golden("another").Submit(t.Context(), blue(id)); !errors.Is(err, order.Invalid) {
		t.Errorf("a wrong signature: %v", err)
	}
	bad := blue(id)
	bad.Title = ""
	if e, ok := order.AsError(g.Submit(t.Context(), bad)); !ok || e.Kind != order.Invalid || e.Detail != "购方名称或税号不完整" {
		t.Errorf("no title: %v", e)
	}
	if err := g.Submit(t.Context(), red(id)); !errors.Is(err, order.Invalid) {
		t.Errorf("taking back what there is not: %v", err)
	}
	for name, f := range map[string]sim.Fault{"outage": {Family: "invoice.issue", Status: 502}, "lost answer": {Family: "invoice.issue", After: true}} {
		w.fault(f)
		if err := g.Submit(t.Context(), blue(id)); !errors.Is(err, order.Unavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := g.Submit(t.Context(), blue(id)); err != nil {
		t.Fatal(err)
	}
	w.settle()
	var list []sim.Invoice
	w.control(http.MethodGet, "invoices", nil, &list)
	if len(list) != 1 || len(w.notices(id)) != 1 {
		t.Errorf("%d invoices, %d notifications", len(list), len(w.notices(id)))
	}
	w.fault(sim.Fault{Family: "invoice.query", Status: 500})
	if _, err := g.Ask(t.Context(), blue(id)); !errors.Is(err, order.Unavailable) {
		t.Errorf("query in an outage: %v", err)
	}
	for _, address := range []string{"http://127.0.0.1:1/x.pdf", "file:///etc/passwd", "::", w.url + "/control/invoices"} {
		if _, err := g.File(t.Context(), address); !errors.Is(err, order.Unavailable) {
			t.Errorf("file %q: %v", address, err)
		}
	}

	// Refused by the tax office, then tried again under the same id.
	other := "01INVOICE0000000000000000C"
	w.plan("fail")
	if err := g.Submit(t.Context(), blue(other)); err != nil {
		t.Fatal(err)
	}
	w.settle()
	if a := must(g.Ask(t.Context(), blue(other))); a.Status != order.InvoiceRejected || a.Why == "" {
		t.Errorf("refused: %+v", a)
	}
	w.plan("hold")
	if err := g.Submit(t.Context(), blue(other)); err != nil {
		t.Fatal(err)
	}
	if a := must(g.Ask(t.Context(), blue(other))); a.Status != order.InvoicePending {
		t.Errorf("held: %+v", a)
	}
	w.tell(other, "lose", 1)
	if a := must(g.Ask(t.Context(), blue(other))); a.Status != order.InvoiceDone { // F62's like: the query is the way out
		t.Errorf("issued, not told: %+v", a)
	}
	if ns := w.notices(other); len(ns) != 1 { // of the refusal
		t.Errorf("notifications %+v", ns)
	}
}

// A notification that is due and not yet on its way is still something to wait for.
func TestSettleWaitsForWhatIsDue(t *testing.T) {
	w := newWorld(t)
	g, id := w.golden("golden-secret"), "01INVOICE0000000000000000F"
	w.fault(sim.Fault{Family: "invoice.notify", DelayMS: 300, Times: 1})
	if err := g.Submit(t.Context(), blue(id)); err != nil {
		t.Fatal(err)
	}
	w.settle()
	if ns := w.notices(id); len(ns) != 1 || !ns[0].Delivered {
		t.Errorf("notifications %+v", ns)
	}
}

// Notifications that are not the platform's, or are about another amount, are
// refused; repeats are accepted; one that is not answered comes again.
func TestInvoiceNotifications(t *testing.T) {
	w := newWorld(t)
	g, id := w.golden("golden-secret"), "01INVOICE0000000000000000D"
	w.plan("hold")
	if err := g.Submit(t.Context(), blue(id)); err != nil {
		t.Fatal(err)
	}
	for _, how := range []string{"forged", "wrong-amount"} {
		r := w.tell(id, how, 1)
		if n := r.Notices[0]; n.Delivered || n.Attempts[0].Status != http.StatusForbidden {
			t.Errorf("%s: %+v", how, n)
		}
	}
	w.tell(id, "issue", 1)
	if r := w.tell(id, "repeat", 3); len(r.Notices) != 3 || !r.Notices[2].Delivered {
		t.Errorf("repeats: %+v", r)
	}
	heard := 0
	w.mu.Lock()
	for _, n := range w.invoices {
		if n.ID == id && n.Amount == 30001 {
			heard++
		}
	}
	w.mu.Unlock()
	if heard != 4 {
		t.Errorf("heard %d times", heard)
	}
	w.fault(sim.Fault{Family: "invoice.notify", Repeat: 2})
	other := "01INVOICE0000000000000000E"
	if err := g.Submit(t.Context(), blue(other)); err != nil {
		t.Fatal(err)
	}
	w.settle()
	if ns := w.notices(other); len(ns) != 1 || len(ns[0].Attempts) != 3 {
		t.Errorf("notifications %+v", ns)
	}
}

// serveInvoices is what the product does with a notification.
func (w *world) serveInvoices(rw http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	n, err := w.golden("golden-secret").ParseNotification(r.URL.Query(), body)
	if err == nil && n.Amount != 0 && n.Amount != 30001 {
		err = errors.New("another amount")
	}
	if err != nil {
		http.Error(rw, `{"code":1}`, http.StatusForbidden)
		return
	}
	w.mu.Lock()
	w.invoices = append(w.invoices, n)
	w.mu.Unlock()
	_, _ = io.WriteString(rw, `{"code":0}`)
}
