package handlers

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

// compared has the platform's bills of the days up to yesterday compared.
func (d *desk) compared() {
	d.t.Helper()
	ctx := d.t.Context()
	must(d.t, d.books.Sweep(ctx))
	bills, err := d.db.Bills(ctx, "", 100)
	must(d.t, err)
	for _, b := range bills {
		must(d.t, d.books.Compare(ctx, string(b.Channel)+" "+b.Day))
	}
}

// Finance sees how a bill differs from the books, explains it, and sees the bills; others
// see nothing, and nobody sees who paid.
func TestReconciliation(t *testing.T) {
	d := newDesk(t).hire()
	o := d.sold(d.browser())
	finance := d.login("周财务")
	wantIn(t, "before", finance.get(reconciliationPath).Body, "没有对账差异", "对账</a>")
	for i := range pageSize {
		d.bill = append(d.bill, order.BillLine{TradeNo: fmt.Sprintf("STRAY%03d", i), Amount: 8800})
	}
	d.clock.advance(30 * time.Hour)
	d.compared()
	finance = d.login("周财务")
	page := finance.get(reconciliationPath)
	wantIn(t, "first page", page.Body, "我方没有", "STRAY", "¥88.00", "下一页", "处理说明")
	if found := leaksIn(page.Body, o); found != "" {
		t.Errorf("the page names a person: %s", found)
	}
	next := between(t, page.Body, `rel="next" href="`, `"`)
	open, err := d.db.Differences(t.Context(), order.DifferenceFilter{Limit: 100})
	must(t, err)
	second := finance.get(strings.ReplaceAll(next, "&amp;", "&"))
	wantIn(t, "both pages", page.Body+second.Body, "账单没有", "/staff/finance/"+string(o.ID))
	wantNotIn(t, "second page", second.Body, "下一页")
	if n := strings.Count(page.Body, "处理说明") + strings.Count(second.Body, "处理说明"); n != len(open.Differences) {
		t.Errorf("%d on the pages, %d in all", n, len(open.Differences))
	}

	id := open.Differences[0].ID
	if a := finance.post(reconciliationPath+"/"+id+"/resolve", url.Values{"note": {" "}}); a.Status != http.StatusUnprocessableEntity {
		t.Errorf("no words: %d", a.Status)
	}
	finance.mustPost(reconciliationPath+"/"+id+"/resolve", url.Values{"note": {"<b>门店</b>收款"}}, reconciliationPath)
	wantIn(t, "resolved", finance.get(reconciliationPath+"?list=resolved").Body, "&lt;b&gt;门店&lt;/b&gt;收款", "周财务")
	if a := finance.post(reconciliationPath+"/"+id+"/resolve", url.Values{"note": {"x"}}); a.Status != http.StatusConflict {
		t.Errorf("twice: %d", a.Status)
	}
	wantIn(t, "bills", finance.get(reconciliationPath+"?list=bills").Body, "微信支付 2", "笔差异")
	wantIn(t, "inbox", finance.get(inboxPath).Body, "对账差异", "平台账单与本系统的记账有差异")
	for path, want := range map[string]int{"?list=nonsense": http.StatusUnprocessableEntity, "?after=x": http.StatusUnprocessableEntity} {
		if a := finance.get(reconciliationPath + path); a.Status != want {
			t.Errorf("%s: %d", path, a.Status)
		}
	}
	if a := d.login("李审核").get(reconciliationPath); a.Status != http.StatusForbidden {
		t.Errorf("a reviewer: %d", a.Status)
	}
}

func between(t *testing.T, text, before, after string) string {
	t.Helper()
	_, rest, ok := strings.Cut(text, before)
	found, _, ended := strings.Cut(rest, after)
	if !ok || !ended {
		t.Fatalf("%q is not there", before)
	}
	return found
}

// Of a page that ends within a day, the day begins the next page whole.
func TestBillsPages(t *testing.T) {
	d := newDesk(t).hire()
	must(t, d.db.InTx(t.Context(), func(tx order.Tx) error {
		for i := range billsShown {
			for _, c := range []order.PayChannel{order.WeChatPay, order.Alipay} {
				if c == order.Alipay && i == 3 { // so that a page ends within a day
					continue
				}
				b := order.Bill{Channel: c, Day: time.Date(2026, 9, 1+i, 0, 0, 0, 0, order.Shanghai).Format(time.DateOnly), NextTry: d.clock.now(), CreatedAt: d.clock.now()}
				if err := tx.InsertBill(t.Context(), b); err != nil {
					return err
				}
			}
		}
		return nil
	}))
	finance := d.login("周财务")
	seen, path := map[string]int{}, reconciliationPath+"?list=bills"
	for range 5 {
		page := finance.get(path).Body
		for i := range billsShown {
			for _, c := range []order.PayChannel{order.WeChatPay, order.Alipay} {
				day := c.Label() + " " + time.Date(2026, 9, 1+i, 0, 0, 0, 0, order.Shanghai).Format(time.DateOnly)
				seen[day] += strings.Count(page, "<strong>"+day)
			}
		}
		if !strings.Contains(page, "下一页") {
			break
		}
		path = strings.ReplaceAll(between(t, page, `rel="next" href="`, `"`), "&amp;", "&")
	}
	for day, n := range seen {
		if want := 1; n != want && day != "支付宝 2026-09-04" {
			t.Errorf("%s is shown %d times", day, n)
		}
	}
}
