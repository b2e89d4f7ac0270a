package handlers

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/order"
)

// The cabinet is the same over the API: registered, changed, lent, overdue, given back
// and forgotten; nobody else's is there.
func TestCabinetOverTheAPI(t *testing.T) {
	w := newWeb(t)
	m := w.mini("m1", "").login(agentMobile)
	good := map[string]string{"label": "省交易中心 CA 锁", "issuer": "某省 CA", "ends": "2027-05-31"}
	for field, wrong := range map[string]string{"label": "", "issuer": "", "holder": strings.Repeat("长", certificate.MaxLabel+1), "ends": "soon"} {
		typed := maps.Clone(good)
		typed[field] = wrong
		if a := m.call(http.MethodPost, "/cabinet", typed, nil); a.Status != http.StatusUnprocessableEntity || !about(t, a, field) {
			t.Errorf("%s %q: %d %s", field, wrong, a.Status, a.Body)
		}
	}
	var added struct{ ID string }
	if a := m.call(http.MethodPost, "/cabinet", good, &added); a.Status >= 300 || added.ID == "" {
		t.Fatalf("registered: %d %s", a.Status, a.Body)
	}
	one := "/cabinet/" + added.ID
	good["number"] = "0088"
	lent := map[string]string{"borrower": borrower, "department": "工程部", "purpose": "三期风电投标", "due": "2026-11-25"}
	for field, wrong := range map[string]string{"borrower": "13800138000", "department": "13800138000", "purpose": "", "due": "2026-11-22"} {
		typed := maps.Clone(lent)
		typed[field] = wrong
		if a := m.call(http.MethodPost, one+"/loans", typed, nil); a.Status != http.StatusUnprocessableEntity || !about(t, a, field) {
			t.Errorf("%s %q: %d %s", field, wrong, a.Status, a.Body)
		}
	}
	bob := w.mini("m2", "").login(agentMobile2)
	for _, a := range []answer{
		bob.call(http.MethodPost, one, good, nil), bob.call(http.MethodPost, one+"/loans", lent, nil),
		bob.call(http.MethodGet, one+"/loans", nil, nil), bob.call(http.MethodPost, one+"/delete", nil, nil),
	} {
		if a.Status != http.StatusNotFound {
			t.Errorf("somebody else: %d %s", a.Status, a.Body)
		}
	}
	for _, step := range []struct {
		path string
		body map[string]string
	}{{one, good}, {one + "/loans", lent}} {
		if a := m.call(http.MethodPost, step.path, step.body, nil); a.Status >= 300 {
			t.Fatalf("%s: %d %s", step.path, a.Status, a.Body)
		}
	}
	if a := m.call(http.MethodPost, one+"/loans", lent, nil); a.Status != http.StatusConflict {
		t.Errorf("lent twice: %d %s", a.Status, a.Body)
	}
	type cabinet struct {
		Ours    []OurTokenJSON
		Foreign []ForeignJSON
		Out     []LoanJSON
	}
	see := func() (c cabinet) {
		t.Helper()
		if a := m.call(http.MethodGet, "/cabinet", nil, &c); a.Status != http.StatusOK {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		return c
	}
	c := see()
	if len(c.Foreign) != 1 || c.Foreign[0].Number != "0088" || c.Foreign[0].Ends != good["ends"] || c.Foreign[0].Days != 189 {
		t.Errorf("of other CAs: %+v", c.Foreign)
	}
	if len(c.Out) != 1 || c.Out[0].Token != added.ID || c.Out[0].Due != lent["due"] || c.Out[0].Light != string(certificate.Yellow) || !strings.Contains(c.Out[0].Says, "应于 11月25日 归还") {
		t.Errorf("out: %+v", c.Out)
	}
	if len(c.Ours) != 0 {
		t.Errorf("ours: %+v", c.Ours)
	}
	w.clock.advance(72 * time.Hour)
	m.login(agentMobile)
	bob.login(agentMobile2)
	if c = see(); len(c.Out) != 1 || c.Out[0].Light != string(certificate.Red) {
		t.Fatalf("overdue: %+v", c.Out)
	}
	loan := one + "/loans/" + c.Out[0].ID
	if a := m.call(http.MethodPost, loan+"/delete", nil, nil); a.Status != http.StatusNotFound {
		t.Errorf("deleted while it is out: %d", a.Status)
	}
	if a := bob.call(http.MethodPost, loan+"/return", nil, nil); a.Status != http.StatusNotFound {
		t.Errorf("given back by somebody else: %d", a.Status)
	}
	if a := m.call(http.MethodPost, loan+"/return", nil, nil); a.Status >= 300 || len(see().Out) != 0 {
		t.Errorf("given back: %d %s", a.Status, a.Body)
	}
	var log struct{ Loans []LoanJSON }
	if a := m.call(http.MethodGet, one+"/loans", nil, &log); a.Status != http.StatusOK || len(log.Loans) != 1 || log.Loans[0].Borrower != borrower || log.Loans[0].ReturnedAt == nil || log.Loans[0].Light != "" {
		t.Errorf("the log: %d %+v", a.Status, log.Loans)
	}
	if a := bob.call(http.MethodPost, loan+"/delete", nil, nil); a.Status != http.StatusNotFound {
		t.Errorf("taken out of the log by somebody else: %d", a.Status)
	}
	if a := m.call(http.MethodGet, one+"/loans?after=nonsense", nil, nil); a.Status != http.StatusUnprocessableEntity {
		t.Errorf("a cursor that is none: %d %s", a.Status, a.Body)
	}
	if a := m.call(http.MethodPost, loan+"/delete", nil, nil); a.Status >= 300 {
		t.Errorf("taken out of the log: %d", a.Status)
	}
	for n := 0; ; n++ {
		a := m.call(http.MethodPost, one, good, nil)
		if a.Status == http.StatusTooManyRequests {
			break
		}
		if a.Status >= 300 || n > 120 {
			t.Fatalf("changed %d times within the hour: %d %s", n, a.Status, a.Body)
		}
	}
	if a := m.call(http.MethodPost, one+"/delete", nil, nil); a.Status >= 300 || len(see().Foreign) != 0 {
		t.Errorf("forgotten: %d", a.Status)
	}
	if strings.Contains(w.log.String(), borrower) {
		t.Error("the log of the process names who has it")
	}
}

// A USBKEY of ours is in the cabinet of whoever its certificate is bound to.
func TestOurTokensOverTheAPI(t *testing.T) {
	w := newWeb(t)
	w.holder()
	const token = "TW11782207000008"
	must(t, w.db.InTx(t.Context(), func(tx order.Tx) error {
		items, err := tx.Items(t.Context(), w.held().OrderID)
		if err != nil {
			return err
		}
		items[0].TokenSerial = token
		return tx.ReplaceItems(t.Context(), w.held().OrderID, items)
	}))
	// The card of the certificate says who has the USBKEY, while it is out.
	m := w.mini("m1", "").login(agentMobile)
	var list struct{ Certificates []CertificateJSON }
	loan := func() *LoanJSON {
		t.Helper()
		m.ok(http.MethodGet, "/certificates", nil, &list)
		return list.Certificates[0].Loan
	}
	if l := loan(); l != nil {
		t.Errorf("out before it was lent: %+v", l)
	}
	m.ok(http.MethodPost, "/cabinet/"+token+"/loans", map[string]string{"borrower": borrower, "department": "工程部", "purpose": "三期风电投标", "due": "2026-11-25"}, nil)
	if l := loan(); l == nil || l.Token != token || l.Light != "yellow" || !strings.Contains(l.Says, borrower) || !strings.Contains(l.Says, "应于") {
		t.Errorf("lent: %+v", l)
	}
	m.ok(http.MethodPost, "/cabinet/"+token+"/loans/"+loan().ID+"/return", nil, nil)
	if l := loan(); l != nil {
		t.Errorf("out after it came back: %+v", l)
	}
	for mobile, want := range map[string]int{agentMobile: 1, agentMobile2: 0} {
		var c struct{ Ours []OurTokenJSON }
		if a := w.mini("m"+mobile, "").login(mobile).call(http.MethodGet, "/cabinet", nil, &c); a.Status != http.StatusOK || len(c.Ours) != want {
			t.Fatalf("%s: %d %s", mobile, a.Status, a.Body)
		}
		for _, o := range c.Ours {
			if held := w.held(); o.Token != token || o.Holder != held.Holder || o.Days != held.DaysLeft(w.clock.now()) || o.Ends != held.NotAfter.In(order.Shanghai).Format(time.DateOnly) {
				t.Errorf("%+v", o)
			}
		}
	}
}

// about reports whether a refusal names one field, in the words of all of it.
func about(t *testing.T, a answer, field string) bool {
	t.Helper()
	var p Problem
	must(t, json.Unmarshal([]byte(a.Body), &p))
	return len(p.Fields) == 1 && string(p.Fields[0].Field) == field && p.Fields[0].Detail == p.Detail
}

// A log of more than a page is read to its end by its cursors, newest first.
func TestLogOverTheAPIIsPaged(t *testing.T) {
	w := newWeb(t)
	m := w.mini("m1", "").login(agentMobile)
	var added struct{ ID string }
	if a := m.call(http.MethodPost, "/cabinet", map[string]string{"label": "锁", "issuer": "某省 CA", "ends": "2027-05-31"}, &added); a.Status >= 300 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	loans := "/cabinet/" + added.ID + "/loans"
	const lines = pageSize + 1
	for range lines {
		var c struct{ Out []LoanJSON }
		if a := m.call(http.MethodPost, loans, map[string]string{"borrower": borrower, "purpose": "投标", "due": "2026-12-20"}, nil); a.Status >= 300 {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		m.call(http.MethodGet, "/cabinet", nil, &c)
		if a := m.call(http.MethodPost, loans+"/"+c.Out[0].ID+"/return", nil, nil); a.Status >= 300 {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		w.clock.advance(time.Second)
	}
	seen := map[string]bool{}
	last := w.clock.now()
	for after, pages := "", 0; pages == 0 || after != ""; pages++ {
		var page struct {
			Loans []LoanJSON
			Next  string
		}
		if a := m.call(http.MethodGet, loans+"?after="+after, nil, &page); a.Status != http.StatusOK || pages > 1 {
			t.Fatalf("page %d: %d %s", pages, a.Status, a.Body)
		}
		for _, l := range page.Loans {
			if seen[l.ID] || !l.LentAt.Before(last) {
				t.Errorf("page %d: %s of %s after %s", pages, l.ID, l.LentAt, last)
			}
			seen[l.ID], last = true, l.LentAt
		}
		after = page.Next
	}
	if len(seen) != lines {
		t.Errorf("%d lines of %d", len(seen), lines)
	}
}
