package handlers

import (
	"net/http"
	"strings"
	"testing"

	"github.com/yuncaidun/yuncaidun/order"
)

// Row 47: until its label is printed a submitted order goes to another recipient, or
// another way; what is wrong is said beside the fields, what is signed stays.
func TestDeliveryThroughTheAPI(t *testing.T) {
	w := newWeb(t)
	m := w.mini("m1", "").login(agentMobile)
	draft, _ := m.applied()
	m.refused(http.MethodGet, draft+"/delivery", nil, http.StatusConflict, "delivery_fixed") // its form does that
	w.browser().paid()
	var list struct{ Orders []OrderJSON }
	m.ok(http.MethodGet, "/orders", nil, &list)
	at := ""
	for _, o := range list.Orders {
		if o.Deliverable {
			at = "/orders/" + o.ID
		}
	}
	if at == "" {
		t.Fatalf("no order can be sent elsewhere: %+v", list.Orders)
	}
	before := w.order(at)
	var d DeliveryJSON
	field := func(name string) FieldJSON { return FormJSON{Groups: []GroupJSON{d.Group}}.field(name) }
	if m.ok(http.MethodGet, at+"/delivery", nil, &d); field("ship.way").Value != order.ShipCourier || field("ship.name").Value == "" || field("org.name").Name != "" {
		t.Errorf("it goes to %+v", d.Group)
	}
	look := map[string]any{"fields": map[string]string{"ship.way": order.ShipPickUp}}
	if m.ok(http.MethodPost, at+"/delivery", look, &d); d.Saved || field("ship.address").Name != "" || w.order(at).Rev != before.Rev {
		t.Errorf("looked at another way: %+v", d)
	}
	bad := map[string]any{"save": true, "fields": map[string]string{"ship.mobile": "12", "ship.name": "赵大山"}}
	if m.ok(http.MethodPost, at+"/delivery", bad, &d); d.Saved || field("ship.mobile").Fault == "" || w.order(at).Rev != before.Rev {
		t.Errorf("a bad mobile: %+v", d)
	}
	good := map[string]any{"save": true, "fields": map[string]string{"ship.way": order.ShipPickUp, "ship.mobile": "13900139000", "ship.name": "赵大山", "org.name": "别的单位", "ship.code": "123456"}}
	m.ok(http.MethodPost, at+"/delivery", good, &d)
	after := w.order(at)
	if !d.Saved || after.Form.Get(order.ShipWay) != order.ShipPickUp || after.Form.Get(order.ShipName) != "赵大山" || after.Company != before.Company || after.Snapshot != before.Snapshot {
		t.Errorf("saved %t: %s", d.Saved, after.Form.Get(order.ShipName))
	}
	if strings.Contains(after.Form.Get(order.PickUpCode), "123456") || after.Form.Get(order.OrgName) != before.Form.Get(order.OrgName) {
		t.Error("more than the delivery was written")
	}
	w.browser().login(agentMobile2)
	other := w.mini("m2", "").login(agentMobile2)
	if a := other.call(http.MethodPost, at+"/delivery", good, nil); a.Status != http.StatusNotFound {
		t.Errorf("somebody else: %d", a.Status)
	}
}
