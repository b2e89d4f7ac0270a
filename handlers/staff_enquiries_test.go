package handlers

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

// Flows 4.1, rule 7: who asked for a person stands here until somebody has called;
// the number is shown on request and on record.
func TestEnquiries(t *testing.T) {
	d := newDesk(t).hire()
	o := d.inReview()
	li, zhao := d.login("李审核"), d.login("赵复核")
	wantIn(t, "the empty desk", li.get("/staff/enquiries").Body, "没有等待回电的用户")
	e, err := d.db.Enquire(t.Context(), order.Enquiry{
		ID: newID(), PersonID: o.PersonID, OrderID: o.ID, Topic: "退款", Said: "钱什么时候退", Urgent: true, DueAt: d.clock.now().Add(15 * time.Minute), CreatedAt: d.clock.now(),
	})
	must(t, err)
	page := li.get("/staff/enquiries").Body
	wantIn(t, "the desk", page, "钱什么时候退", "退款", "紧急", order.TailOf(o.No))
	wantNotIn(t, "the desk", page, agentMobile, "已超时")
	before := auditRows(t, d)
	wantIn(t, "the number", li.post("/staff/enquiries/"+e.ID+"/reveal", nil).Body, "tel:"+agentMobile)
	if n := auditRows(t, d) - before; n != 1 {
		t.Errorf("%d audit rows for one look", n)
	}
	d.clock.advance(16 * time.Minute)
	wantIn(t, "the desk later", li.get("/staff/enquiries").Body, "已超时")
	zhao.get("/staff/enquiries")
	li.mustPost("/staff/enquiries/"+e.ID+"/done", nil, "/staff/enquiries")
	if a := zhao.post("/staff/enquiries/"+e.ID+"/done", nil); a.Status != 409 {
		t.Errorf("done twice: %d", a.Status)
	} else {
		wantIn(t, "done twice", a.Body, "已由其他同事回电")
	}
	if a := d.login("钱制证").get("/staff/enquiries"); a.Status != 403 {
		t.Errorf("an issuer sees who wants to be called: %d", a.Status)
	}
	if a := li.post("/staff/enquiries/none/reveal", nil); a.Status != 404 {
		t.Errorf("unknown: %d", a.Status)
	}
}

// A long list goes on behind its page.
func TestEnquiryPages(t *testing.T) {
	d := newDesk(t).hire()
	for i := range pageSize + 1 {
		p := order.Person{ID: newID(), Mobile: identity.NewMobile(fmt.Sprintf("1390000%04d", 1000+i)), CreatedAt: d.clock.now()}
		must(t, d.db.InTx(t.Context(), func(tx order.Tx) error {
			_, err := tx.PersonByMobile(t.Context(), p)
			return err
		}))
		_, err := d.db.Enquire(t.Context(), order.Enquiry{ID: newID(), PersonID: p.ID, Topic: "其他", DueAt: d.clock.now(), CreatedAt: d.clock.now()})
		must(t, err)
	}
	li := d.login("李审核")
	first := li.get("/staff/enquiries").Body
	_, next, found := strings.Cut(first, `rel="next" href="`)
	if !found {
		t.Fatal("no next page")
	}
	next, _, _ = strings.Cut(next, `"`)
	wantIn(t, "the last page", li.get(next).Body, "已回电")
	wantNotIn(t, "the last page", li.get(next).Body, `rel="next"`)
}
