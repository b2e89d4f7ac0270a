package handlers

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

// sent is an order of two keys, paid in the browser, that is on its way.
func (d *desk) sent(b *browser) order.Order {
	d.t.Helper()
	o := d.order(b.paid())
	must(d.t, d.service.RecordRealName(d.t.Context(), o.ID, o.Submission, order.RealNameMatch))
	d.clock.advance(2 * time.Minute)
	o = d.made(d.read(o.ID))
	d.issued(o)
	d.apply(o.ID, order.Command{On: order.Ship, By: d.staff["孙发货"].Actor(order.Shipper, order.Web, "192.0.2.1"), Carrier: "sf", TrackingNo: "SF1234567890123"})
	return d.read(o.ID)
}

// Row 49, through the pages: found by its number, counted, sent again.
func TestParcelComesBack(t *testing.T) {
	d := newDesk(t).hire()
	b := d.browser()
	o := d.sent(b)
	page := "/staff/shipping/" + string(o.ID)
	s := d.login("孙发货")
	wantIn(t, "on its way", s.get("/staff/shipping?stage=sent").Body, page, "已寄出", "2 个")
	wantNotIn(t, "to be sent", s.get("/staff/shipping").Body, page)
	wantIn(t, "by its number", s.get("/staff/shipping?tracking=sf%201234567890123").Body, page)
	wantIn(t, "another number", s.get("/staff/shipping?tracking=SF1").Body, "没有找到快递单号 SF1")
	if a := s.get("/staff/shipping?stage=nowhere"); a.Status != http.StatusUnprocessableEntity {
		t.Errorf("unknown list: %d", a.Status)
	}
	wantIn(t, "parcel", s.get(page).Body, "退件已收到", "丢失或损坏", "SF1234567890123")

	for name, keys := range map[string]string{"清点到的 UKEY 数量": "two", "与寄出的不符": "1"} {
		if a := s.post(page+"/returned", url.Values{"keys": {keys}}); a.Status != http.StatusUnprocessableEntity {
			t.Errorf("%s keys: %d", keys, a.Status)
		} else {
			wantIn(t, keys, a.Body, name)
		}
	}
	s.mustPost(page+"/returned", url.Values{"keys": {"2"}}, page)
	s.mustPost(page+"/returned", url.Values{"keys": {"2"}}, page) // double click
	if n := countEvents(t, d, o.ID, order.ParcelReturned); n != 1 {
		t.Errorf("returned %d times", n)
	}
	wantIn(t, "the shipper's page", s.get(page).Body, "确认寄出", "退件已收到")
	wantIn(t, "the applicant's page", b.get("/orders/"+string(o.ID)).Body, "包裹被退回，UKEY 完好", "请核对收件地址", "/delivery", "退件已收到")
	s.mustPost(page+"/ship", url.Values{"carrier": {"sf"}, "tracking": {"SF1234567890124"}}, page)
	wantIn(t, "the applicant's page", b.get("/orders/"+string(o.ID)).Body, "SF1234567890124", "SF1234567890123", "此前的包裹")
}

// Row 47: the applicant may change the address until the parcel is posted; a label that
// was printed before is not sent.
func TestAddressChangesAfterTheLabel(t *testing.T) {
	d := newDesk(t).hire()
	b := d.browser()
	o := d.order(b.paid())
	must(t, d.service.RecordRealName(t.Context(), o.ID, o.Submission, order.RealNameMatch))
	d.clock.advance(2 * time.Minute)
	o = d.made(d.read(o.ID))
	page := "/staff/shipping/" + string(o.ID)
	s := d.login("孙发货")
	moves := func(to string) {
		d.clock.advance(time.Minute)
		d.apply(o.ID, order.Command{On: order.ChangeDelivery, By: order.Actor{Role: order.Applicant, PersonID: o.PersonID, Channel: order.Web}, Form: d.read(o.ID).Form.With(order.ShipAddress, to)})
		d.clock.advance(time.Minute)
	}
	ship := func() answer {
		s.get(page)
		return s.post(page+"/ship", url.Values{"carrier": {"sf"}, "tracking": {"SF1234567890123"}})
	}

	moves("测试路 1 号") // no label was printed yet
	wantNotIn(t, "before the label", s.get(page).Body, "修改了收件信息")
	wantIn(t, "the label", s.post(page+"/reveal", nil).Body, "测试路 1 号")
	moves("测试路 2 号")
	wantIn(t, "after the change", s.get(page).Body, "修改了收件信息", "之前打的面单作废")
	if a := ship(); a.Status != http.StatusConflict || d.read(o.ID).Status != order.ToShip {
		t.Errorf("under the old label: %d, the order is %s", a.Status, d.read(o.ID).State)
	} else {
		wantIn(t, "refusal", a.Body, "请重新显示完整收件信息", "SF1234567890123")
		wantNotIn(t, "refusal", a.Body, "测试路")
	}
	shown := s.post(page+"/reveal", nil).Body
	wantIn(t, "the new label", shown, "测试路 2 号")
	wantNotIn(t, "the new label", shown, "修改了收件信息")
	if a := ship(); a.Status != http.StatusSeeOther || d.read(o.ID).Status != order.Completed {
		t.Errorf("under the new label: %d, the order is %s", a.Status, d.read(o.ID).State)
	}
	s.mustPost(page+"/returned", url.Values{"keys": {"2"}}, page)
	moves("测试路 3 号") // as he was asked to
	if a := ship(); a.Status != http.StatusConflict {
		t.Errorf("sent again under the label that came back: %d", a.Status)
	}
}

// Orders of one customer travel in one parcel: who types the number of another order's is
// shown which, before and after, and is not refused.
func TestTrackingNumberOfTwoOrders(t *testing.T) {
	d := newDesk(t).hire()
	other := d.sent(d.browser())
	o := d.made(d.inReview())
	page, says := "/staff/shipping/"+string(o.ID), []string{"其他订单也用这个快递单号", "/staff/shipping/" + string(other.ID), order.TailOf(other.No)}
	s := d.login("孙发货")
	wantNotIn(t, "nothing typed", s.get(page).Body, says...)
	wantNotIn(t, "its own number", s.get(page+"?tracking=SF1234567890124").Body, says...)
	wantIn(t, "typed", s.get(page+"?tracking=sf+1234567890123").Body, says...)
	s.mustPost(page+"/ship", url.Values{"carrier": {"sf"}, "tracking": {"sf1234567890123"}}, page)
	wantIn(t, "sent", s.get(page).Body, says...)
	wantIn(t, "the other one", s.get("/staff/shipping/"+string(other.ID)).Body, says[0], page)
}

// Row 72, through the pages: a wrong number is corrected for both orders in the parcel, by
// whoever comes first; the applicant sees the right one.
func TestTrackingNumberIsCorrected(t *testing.T) {
	d := newDesk(t).hire()
	b := d.browser()
	o := d.sent(b)
	other := d.made(d.inReview())
	page := "/staff/shipping/" + string(o.ID)
	s := d.login("孙发货")
	s.get("/staff/shipping/" + string(other.ID))
	s.mustPost("/staff/shipping/"+string(other.ID)+"/ship", url.Values{"carrier": {"sf"}, "tracking": {"SF1234567890123"}}, "/staff/shipping/"+string(other.ID))
	wantIn(t, "parcel", s.get(page).Body, "更正快递单号", `name="with" value="`+string(other.ID)+`"`)
	right := url.Values{"wrong": {"SF1234567890123"}, "rightful": {"jd"}, "right": {"jd 0123456789012"}, "with": {string(other.ID)}}
	for says, change := range map[string]url.Values{
		"没有改动":      {"rightful": {"sf"}, "right": {"SF1234567890123"}},
		"填写正确的快递单号": {"right": {"12"}},
		"刚刚被同事更正":   {"wrong": {"SF1234567890120"}},
	} {
		form := url.Values{}
		for _, v := range []url.Values{right, change} {
			for key, value := range v {
				form[key] = value
			}
		}
		a := s.post(page+"/correct", form)
		if a.Status == http.StatusSeeOther {
			t.Errorf("%s: taken", says)
		}
		wantIn(t, says, a.Body, says, `value="`+form.Get("right")+`"`)
	}
	for range 2 { // a double click
		s.mustPost(page+"/correct", right, page)
	}
	for _, id := range []order.ID{o.ID, other.ID} {
		if got := d.read(id); got.TrackingNo != "JD0123456789012" || got.Carrier != "jd" || countEvents(t, d, id, order.CorrectTracking) != 1 {
			t.Errorf("order %s: %s %s", got.No, got.Carrier, got.TrackingNo)
		}
	}
	body := b.get("/orders/" + string(o.ID)).Body
	wantIn(t, "order page", body, "京东快递", "JD0123456789012", "更正快递单号：SF1234567890123 更正为 京东快递 JD0123456789012")
	wantIn(t, "order in the API", b.get("/api/v1/orders/"+string(o.ID)).Body, `"no":"JD0123456789012"`)
	wantIn(t, "the list", s.get("/staff/shipping?tracking=JD0123456789012").Body, page)
	wantIn(t, "the wrong number", s.get("/staff/shipping?tracking=SF1234567890123").Body, "该单号已更正", page, "京东快递", "JD0123456789012")
	wantIn(t, "nobody's number", s.get("/staff/shipping?tracking=SF1234567890100").Body, "没有找到快递单号 SF1234567890100")
	if a := d.login("周财务").post(page+"/correct", right); a.Status != http.StatusForbidden {
		t.Errorf("finance: %d", a.Status)
	}
}

// Row 72, through the pages: what the courier calls signed for is corrected by an admin only,
// with a reason.
func TestSignedTrackingNumberIsCorrected(t *testing.T) {
	d := newDesk(t).hire()
	o := d.sent(d.browser())
	page := "/staff/shipping/" + string(o.ID)
	must(t, d.service.CourierReported(t.Context(), order.CourierReport{TrackingNo: "SF1234567890123", State: order.ParcelSigned, Track: []order.TrackLine{{At: d.clock.now().Add(time.Minute), Text: "已签收"}}}))
	right := url.Values{"wrong": {"SF1234567890123"}, "rightful": {"sf"}, "right": {"SF1234567890124"}, "why": {"该单号是别人的包裹"}}
	s := d.login("孙发货")
	wantNotIn(t, "shipper", s.get(page).Body, "更正快递单号")
	wantIn(t, "shipper", s.post(page+"/correct", right).Body, "请由管理员核实后更正")
	admin := d.login("吴管理")
	wantIn(t, "admin", admin.get(page).Body, "更正快递单号", `name="why"`)
	reason := right["why"]
	right["why"] = nil
	wantIn(t, "no reason", admin.post(page+"/correct", right).Body, "请写明更正原因", "SF1234567890124")
	right["why"] = reason
	admin.mustPost(page+"/correct", right, page)
	if got := d.read(o.ID); got.TrackingNo != "SF1234567890124" || got.Parcel != order.ParcelPosted {
		t.Errorf("%s %s", got.TrackingNo, got.Parcel)
	}
}

// Row 50, through the pages: the claim is recorded, the certificate is revoked, and
// the applicant finds the free replacement in his list.
func TestParcelIsLost(t *testing.T) {
	d := newDesk(t).hire()
	b := d.browser()
	o := d.sent(b)
	page := "/staff/shipping/" + string(o.ID)
	s := d.login("孙发货")
	s.get(page)
	items := d.items(o.ID)
	whole := url.Values{"item": {items[0].ID, items[1].ID}, "claim": {"SF-LP-20261126"}, "note": {"车辆起火，整件灭失"}, "sure": {"yes"}}
	for field, says := range map[string]string{"item": "请勾选丢失或损坏的 UKEY", "claim": "理赔单号", "note": "情况说明", "sure": "请勾选确认"} {
		form := url.Values{}
		for k, v := range whole {
			if k != field {
				form[k] = v
			}
		}
		a := s.post(page+"/lost", form)
		if a.Status != http.StatusUnprocessableEntity {
			t.Errorf("without %s: %d", field, a.Status)
		}
		wantIn(t, "without "+field, a.Body, says)
	}
	if a := b.get("/certificates"); a.Status == http.StatusOK {
		wantNotIn(t, "certificates", a.Body, "已吊销")
	}
	s.mustPost(page+"/lost", whole, page)
	wantIn(t, "list", s.get("/staff/shipping?stage=lost").Body, page)
	wantIn(t, "parcel", s.get(page).Body, "丢失或损坏")
	wantIn(t, "order page", b.get("/orders/"+string(o.ID)).Body, "已为您免费补办", "不需要再次付款")
	wantIn(t, "certificates", b.get("/certificates").Body, "已吊销")
	reviewer := d.login("李审核")
	for _, r := range d.replacements(o) {
		if r.Stage != order.Queued || r.Amount != 0 {
			t.Errorf("replacement: %s, %d fen", r.State, r.Amount)
		}
		wantIn(t, "replacement", b.get("/orders/"+string(r.ID)).Body, "等待审核员受理")
		wantIn(t, "review", reviewer.get("/staff/review/"+string(r.ID)).Body, o.Company, "UKEY 丢失或被盗")
	}
	for name, who := range map[string]*browser{"issuer": d.login("钱制证"), "finance": d.login("周财务")} {
		if a := who.post(page+"/lost", whole); a.Status != http.StatusForbidden {
			t.Errorf("%s: %d", name, a.Status)
		}
	}
}

func (d *desk) replacements(o order.Order) []order.Order {
	d.t.Helper()
	page, err := d.db.Orders(d.t.Context(), order.Filter{PersonID: o.PersonID, Business: order.Reissue})
	must(d.t, err)
	if len(page.Orders) != o.Quantity() {
		d.t.Fatalf("%d replacements", len(page.Orders))
	}
	return page.Orders
}
