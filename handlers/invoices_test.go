package handlers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

const invoiceNumber = "26530000000000000001"

var testPDF = []byte("%PDF-1.4 a test invoice")

// sold is an order of b that is done and paid for, with its invoice on its way.
func (d *desk) sold(b *browser) order.Order {
	d.t.Helper()
	path := b.paid()
	o := d.order(path)
	must(d.t, d.service.RecordRealName(d.t.Context(), o.ID, o.Submission, order.RealNameMatch))
	d.made(d.read(o.ID))
	d.apply(o.ID, order.Command{On: order.Ship, By: d.staff["孙发货"].Actor(order.Shipper, order.Web, "192.0.2.1"), Carrier: "sf", TrackingNo: "SF1234567890123"})
	return d.read(o.ID)
}

// answer has the invoice platform say what became of the order's invoice.
func (d *desk) answer(id order.ID, s order.InvoiceStatus) order.Invoice {
	d.t.Helper()
	i, err := d.db.InvoiceOf(d.t.Context(), id)
	must(d.t, err)
	if s == order.InvoiceDone && !i.Red() {
		must(d.t, d.Objects.Put(d.t.Context(), i.Object(), testPDF))
	}
	must(d.t, d.service.InvoiceAnswered(d.t.Context(), i, order.InvoiceAnswer{Status: s, Number: invoiceNumber, Amount: i.Amount, At: d.clock.now(), Why: "购方税号不存在"}))
	i, err = d.db.InvoiceOf(d.t.Context(), id)
	must(d.t, err)
	return i
}

// F48, F49, F92, G7: from the order's page the applicant sees the invoice being
// issued, puts right what was refused, downloads it, and changes its title once.
func TestInvoiceOnThePortal(t *testing.T) {
	d := newDesk(t).hire()
	b := d.browser()
	o := d.sold(b)
	page := "/orders/" + string(o.ID)
	wantIn(t, "issuing", b.get(page).Body, "发票开具中", o.Company, "600.00")
	wantIn(t, "the list of orders, issuing", b.get("/orders").Body, "发票开具中")
	if a := b.get(page + "/invoice/file"); a.Status != http.StatusConflict {
		t.Errorf("download before it is issued: %d", a.Status)
	}

	d.answer(o.ID, order.InvoiceRejected)
	wantIn(t, "failed", b.get(page).Body, "发票未能开具", "开票平台说明：购方税号不存在", "重新开具")
	wantIn(t, "the list of orders, failed", b.get("/orders").Body, "开具发票")
	wantIn(t, "my invoices, failed", b.get("/invoices").Body, "开具失败", "重新开具")
	a := b.post(page+"/invoice", url.Values{"title": {""}, "tax_no": {"12"}}, "Accept", "application/json")
	if p := problemIn(t, a); a.Status != http.StatusUnprocessableEntity || len(p.Fields) == 0 {
		t.Errorf("a bad tax number: %d %s", a.Status, a.Body)
	}
	a = b.post(page+"/invoice", url.Values{"title": {"云岭集团有限公司"}, "tax_no": {"12"}})
	if a.Status != http.StatusUnprocessableEntity || !strings.Contains(a.Body, `value="云岭集团有限公司"`) || !strings.Contains(a.Body, `id="ask-tax-fault"`) {
		t.Errorf("a bad tax number on the page: %d %s", a.Status, a.Body)
	}
	for range 2 { // the answer was lost
		b.mustPost(page+"/invoice", url.Values{"title": {"云岭集团有限公司"}, "tax_no": {"91350100M000100Y43"}}, page+"#invoice")
	}

	d.answer(o.ID, order.InvoiceDone)
	wantIn(t, "issued", b.get(page).Body, "下载发票", invoiceNumber, "云岭集团有限公司", "更改抬头")
	wantIn(t, "the list of orders, issued", b.get("/orders").Body, "下载发票")
	wantIn(t, "my invoices", b.get("/invoices").Body, invoiceNumber, o.No, "云岭集团有限公司")
	a = b.get(page + "/invoice/file")
	if a.Status != 200 || a.Header.Get("Content-Type") != "application/pdf" || !strings.HasPrefix(a.Header.Get("Content-Disposition"), "attachment") ||
		!strings.Contains(a.Header.Get("Content-Disposition"), invoiceNumber) || !strings.Contains(a.Header.Get("Content-Security-Policy"), "sandbox") || a.Body != string(testPDF) { // reliability 14
		t.Errorf("download: %d %v", a.Status, a.Header)
	}

	for range 2 {
		b.mustPost(page+"/invoice/correct", url.Values{"title": {o.Company}, "tax_no": {o.USCC}}, page+"#invoice")
	}
	wantIn(t, "being corrected", b.get(page).Body, "正在作废原发票")
	d.answer(o.ID, order.InvoiceDone) // the red one
	d.answer(o.ID, order.InvoiceDone)
	got := b.get(page).Body
	wantIn(t, "corrected", got, "下载发票")
	wantNotIn(t, "corrected", got, "更改抬头，重新开具")
	wantIn(t, "both invoices", b.get("/invoices").Body, "已红冲", "已开具")
}

// F23: nobody else downloads an invoice or lists it; a link for a few minutes works
// for whoever holds it, and no longer.
func TestInvoiceBelongsToItsBuyer(t *testing.T) {
	d := newDesk(t).hire()
	mine := d.browser()
	o := d.sold(mine)
	d.answer(o.ID, order.InvoiceDone)
	other := d.browser()
	other.login("13900139000")
	stranger := d.browser()
	file := "/orders/" + string(o.ID) + "/invoice/file"
	if a := other.get(file); a.Status != http.StatusNotFound {
		t.Errorf("somebody else: %d", a.Status)
	}
	if a := stranger.get(file); a.Status != http.StatusSeeOther {
		t.Errorf("nobody: %d", a.Status)
	}
	wantNotIn(t, "somebody else's list", other.get("/invoices").Body, invoiceNumber)

	m := d.mini("m1", "").login(agentMobile)
	var link InvoiceLinkJSON
	m.ok(http.MethodPost, "/orders/"+string(o.ID)+"/invoice/link", nil, &link)
	path := strings.TrimPrefix(link.URL, "http://127.0.0.1:8080")
	if strings.Contains(path, string(o.ID)) || strings.Contains(path, o.USCC) {
		t.Errorf("the link names what it is about: %s", path)
	}
	if a := stranger.get(path); a.Status != 200 || a.Body != string(testPDF) {
		t.Errorf("by link: %d", a.Status)
	}
	if a := stranger.get("/invoices/file/" + secret()); a.Status != http.StatusNotFound {
		t.Errorf("by no link of ours: %d", a.Status)
	}
	d.clock.advance(6 * time.Minute)
	if a := stranger.get(path); a.Status != http.StatusNotFound || !strings.Contains(a.Body, "下载链接已失效") {
		t.Errorf("by an old link: %d", a.Status)
	}
}

// The same through the API, with what the mini-program needs.
func TestInvoicesThroughTheAPI(t *testing.T) {
	d := newDesk(t).hire()
	o := d.sold(d.browser())
	m := d.mini("m1", "").login(agentMobile)
	at := "/orders/" + string(o.ID) + "/invoice"
	var i InvoiceJSON
	m.ok(http.MethodGet, at, nil, &i)
	if i.State != "issuing" || i.Amount != int64(o.Amount) || i.Title != o.Company || i.CanDownload || i.CanAsk || i.What == "" {
		t.Errorf("%+v", i)
	}
	d.answer(o.ID, order.InvoiceRejected)
	m.ok(http.MethodGet, at, nil, &i)
	if i.State != "failed" || !i.CanAsk || i.Why == "" {
		t.Errorf("%+v", i)
	}
	m.ok(http.MethodPost, at, map[string]string{"title": "云岭集团有限公司"}, &i)
	if i.State != "issuing" || i.Title != "云岭集团有限公司" || i.TaxNo != o.USCC {
		t.Errorf("%+v", i)
	}
	d.answer(o.ID, order.InvoiceDone)
	var list struct {
		Invoices []InvoiceJSON
		Next     string
	}
	m.ok(http.MethodGet, "/invoices?limit=1", nil, &list)
	if len(list.Invoices) != 1 || list.Invoices[0].Number != invoiceNumber || !list.Invoices[0].CanDownload || list.Next != "" {
		t.Errorf("%+v", list)
	}
	d.clock.advance(2 * time.Minute)
	draft := d.browser().paid()
	if a := m.call(http.MethodGet, draft+"/invoice", nil, nil); a.Status != http.StatusNotFound || !strings.Contains(a.Body, "invoice_not_found") {
		t.Errorf("an order that is not done: %d %s", a.Status, a.Body)
	}
}

// Finance sees what failed and tries it again; others do not.
func TestInvoicesOfFinance(t *testing.T) {
	d := newDesk(t).hire()
	o := d.sold(d.browser())
	d.answer(o.ID, order.InvoiceRejected)
	finance := d.login("周财务")
	page := finance.get("/staff/invoices").Body
	wantIn(t, "failed invoices", page, "开具失败", "购方税号不存在", o.Company)
	if found := leaksIn(page, o); found != "" { // rules.md §3.2, 8
		t.Errorf("the page names a person: %s", found)
	}
	finance.mustPost("/staff/invoices/"+string(o.ID)+"/retry", url.Values{"title": {o.Company}, "tax_no": {o.USCC}}, "/staff/invoices")
	wantIn(t, "nothing failed", finance.get("/staff/invoices").Body, "没有这类发票")
	wantIn(t, "on its way", finance.get("/staff/invoices?list=waiting").Body, "开具中")
	if a := finance.post("/staff/invoices/"+string(o.ID)+"/retry", nil); a.Status != http.StatusConflict {
		t.Errorf("retry of one on its way: %d", a.Status)
	}
	if a := finance.get("/staff/invoices?list=nonsense"); a.Status != http.StatusUnprocessableEntity {
		t.Errorf("no such list: %d", a.Status)
	}
	if a := d.login("李审核").get("/staff/invoices"); a.Status != http.StatusForbidden {
		t.Errorf("a reviewer: %d", a.Status)
	}
}

// leaksIn is what a page says of a person.
func leaksIn(page string, o order.Order) string {
	for _, f := range []order.Field{order.AgentName, order.AgentMobile, order.IDNo, order.ShipName, order.ShipMobile} {
		if v := o.Form.Get(f); v != "" && strings.Contains(page, v) {
			return string(f)
		}
	}
	return ""
}

// Notifications: what is not the platform's is refused, the rest is acknowledged as
// often as it comes, and none decides anything.
func TestInvoiceCallback(t *testing.T) {
	d := newDesk(t).hire()
	o := d.sold(d.browser())
	i, err := d.db.InvoiceOf(t.Context(), o.ID)
	must(t, err)
	read := func(q url.Values, body []byte) (order.InvoiceNotice, error) {
		if q.Get("seal") != "good" {
			return order.InvoiceNotice{}, order.Errorf(order.Forbidden, "notification_refused", "通知未通过验证。")
		}
		var n struct{ Amount order.Fen }
		if err := json.Unmarshal(body, &n); err != nil {
			return order.InvoiceNotice{}, err
		}
		return order.InvoiceNotice{ID: q.Get("invoice"), Amount: n.Amount}, nil
	}
	heard := d.service.InvoiceHeard
	down := false
	d.MountInvoices(read, func(ctx context.Context, n order.InvoiceNotice) error {
		if down {
			return errors.New("the database is away")
		}
		return heard(ctx, n)
	})
	post := func(query, body string) (int, string) {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/callbacks/invoice?"+query, strings.NewReader(body))
		resp, err := d.App.Test(req, 10_000)
		must(t, err)
		defer resp.Body.Close()
		var b bytes.Buffer
		_, err = b.ReadFrom(resp.Body)
		must(t, err)
		return resp.StatusCode, b.String()
	}
	good := "invoice=" + i.ID + "&seal=good"
	for _, tc := range []struct {
		name, query, body string
		status            int
	}{
		{"forged", "invoice=" + i.ID + "&seal=bad", `{"Amount":60000}`, http.StatusForbidden},
		{"another amount", good, `{"Amount":59999}`, http.StatusForbidden},
		{"no such invoice", "invoice=01NOBODY&seal=good", `{"Amount":60000}`, http.StatusNotFound},
		{"malformed", good, `{`, http.StatusInternalServerError},
		{"genuine", good, `{"Amount":60000}`, http.StatusOK},
		{"repeated", good, `{"Amount":60000}`, http.StatusOK},
	} {
		status, body := post(tc.query, tc.body)
		if want := map[bool]string{true: `{"code":0`, false: `{"code":1`}[tc.status == http.StatusOK]; status != tc.status || !strings.HasPrefix(body, want) {
			t.Errorf("%s: %d %s", tc.name, status, body)
		}
	}
	if down = true; true {
		if status, _ := post(good, `{"Amount":60000}`); status != http.StatusInternalServerError {
			t.Errorf("not kept, but acknowledged: %d", status)
		}
	}
	now, err := d.db.InvoiceOf(t.Context(), o.ID)
	must(t, err)
	if now.State != order.InvoiceIssuing || now.NextQuery.After(d.clock.now()) {
		t.Errorf("%s, asked at %s", now.State, now.NextQuery)
	}
}

// 我的发票 goes by keyset.
func TestInvoiceListPages(t *testing.T) {
	d := newDesk(t).hire()
	b := d.browser()
	o := d.sold(b)
	first, err := d.db.InvoiceOf(t.Context(), o.ID)
	must(t, err)
	must(t, d.db.InTx(t.Context(), func(tx order.Tx) error {
		for n := range pageSize {
			i := first
			i.ID, i.State, i.CreatedAt = newID(), order.InvoiceReversed, first.CreatedAt.Add(-time.Duration(n+1)*time.Hour)
			if err := tx.InsertInvoice(t.Context(), i); err != nil {
				return err
			}
		}
		return nil
	}))
	page := b.get("/invoices").Body
	next := regexp.MustCompile(`href="([^"]+)" rel="next"`).FindStringSubmatch(page)
	if strings.Count(page, `data-label="订单号"`) != pageSize || next == nil {
		t.Fatalf("%d rows", strings.Count(page, `data-label="订单号"`))
	}
	if last := b.get(next[1]).Body; strings.Count(last, `data-label="订单号"`) != 1 || strings.Contains(last, `rel="next"`) {
		t.Errorf("the second page: %s", last)
	}
	if a := b.get("/invoices?after=x"); a.Status != http.StatusUnprocessableEntity {
		t.Errorf("a bad cursor: %d", a.Status)
	}
}
