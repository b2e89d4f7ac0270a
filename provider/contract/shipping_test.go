package contract

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/provider/sim"
)

// bought is a payment made in the mini-program, as the product knows it once WeChat's
// index does, too.
func (w *world) bought(tradeNo string) order.Payment {
	w.t.Helper()
	p := w.trade(tradeNo)
	p.Payer = miniAgent
	w.control(http.MethodPost, "mini/pay", w.request(p, agent, "pay"), nil)
	_, receipt := w.status(p.TradeNo)
	p.TransactionID = receipt.TransactionID
	w.sim.Advance(time.Minute)
	return p
}

// report is how a payment was fulfilled, at the simulator's time.
func (w *world) report(f order.Fulfilled) order.FulfilmentReport {
	r := order.FulfilmentReport{Fulfilled: f, Goods: "招标项目证书 × 2", At: w.sim.Now()}
	if f.By == order.FulfilledByCourier {
		r.Contact = mobile.Mask()
	}
	return r
}

func (w *world) shippings() (all []sim.ShippingView) {
	w.t.Helper()
	w.control(http.MethodGet, "shippings", nil, &all)
	return all
}

var (
	parcelSF  = order.Fulfilled{By: order.FulfilledByCourier, Carrier: "sf", TrackingNo: parcel}
	parcelEMS = order.Fulfilled{By: order.FulfilledByCourier, Carrier: "ems", TrackingNo: "EA123456789CN"}
	parcelJD  = order.Fulfilled{By: order.FulfilledByCourier, Carrier: "jd", TrackingNo: "JDX0123456789"}
)

// What WeChat is told is what it knows afterwards, whichever way it was delivered; the
// recipient's mobile is masked.
func TestFulfilmentIsReported(t *testing.T) {
	w := newWorld(t)
	if keeps, err := w.mini.KeepsMoney(t.Context()); err != nil || !keeps {
		t.Fatalf("keeps %v %v", keeps, err)
	}
	for i, f := range []order.Fulfilled{parcelSF, parcelEMS, parcelJD, {By: order.FulfilledAtCounter}, {By: order.FulfilledOnline}} {
		p := w.bought(fmt.Sprintf("T0000000010%d", i))
		if known, err := w.mini.FulfilmentOf(t.Context(), p); err != nil || known != (order.FulfilmentRecord{}) {
			t.Fatalf("before: %+v %v", known, err)
		}
		for range 2 { // the same again is no change
			if err := w.mini.ReportFulfilment(t.Context(), p, w.report(f)); err != nil {
				t.Fatalf("%v: %v", f, err)
			}
			if known, err := w.mini.FulfilmentOf(t.Context(), p); err != nil || known != (order.FulfilmentRecord{Fulfilled: f, Times: 1}) {
				t.Fatalf("%v: WeChat knows %+v %v", f, known, err)
			}
		}
	}
	raw := string(must(json.Marshal(w.shippings())))
	if strings.Contains(raw, mobile.Reveal()) || !strings.Contains(raw, mobile.Mask()) {
		t.Errorf("contacts: %s", raw)
	}
}

// WeChat takes one change, and what is older than what it knows is none.
func TestFulfilmentIsCorrectedOnce(t *testing.T) {
	w := newWorld(t)
	p := w.bought("T00000000200")
	known := func() order.FulfilmentRecord { return must(w.mini.FulfilmentOf(t.Context(), p)) }
	old := w.report(parcelSF)
	w.sim.Advance(time.Minute)
	if err := w.mini.ReportFulfilment(t.Context(), p, w.report(parcelEMS)); err != nil {
		t.Fatal(err)
	}
	if err := w.mini.ReportFulfilment(t.Context(), p, old); err != nil || known() != (order.FulfilmentRecord{Fulfilled: parcelEMS, Times: 1}) {
		t.Errorf("overtaken: %+v %v", known(), err)
	}
	w.sim.Advance(time.Minute)
	if err := w.mini.ReportFulfilment(t.Context(), p, w.report(parcelSF)); err != nil || known() != (order.FulfilmentRecord{Fulfilled: parcelSF, Times: 2}) {
		t.Errorf("corrected: %+v %v", known(), err)
	}
	w.sim.Advance(time.Minute)
	if err := w.mini.ReportFulfilment(t.Context(), p, w.report(parcelJD)); problem(err) != "conflict/wechat_shipped_before" || known().Fulfilled != parcelSF {
		t.Errorf("corrected again: %+v %v", known(), err)
	}
	w.control(http.MethodPost, "mini/confirm", map[string]string{"out_trade_no": p.TradeNo}, nil)
	if !known().Settled {
		t.Errorf("confirmed: %+v", known())
	}
}

// An answer that is lost, as when the process is killed, uses up nothing: what WeChat knows
// says that it was told, and telling it again is no change.
func TestReportWhoseAnswerIsLost(t *testing.T) {
	w := newWorld(t)
	p := w.bought("T00000000250")
	r := w.report(parcelSF)
	if known, err := w.mini.FulfilmentOf(t.Context(), p); err != nil || known.Times != 0 {
		t.Fatalf("before: %+v %v", known, err)
	}
	w.fault(sim.Fault{Family: "mini.shipping", After: true})
	if err := w.mini.ReportFulfilment(t.Context(), p, r); !errors.Is(err, order.Unavailable) {
		t.Fatalf("lost: %v", err)
	}
	for range 2 {
		if known, err := w.mini.FulfilmentOf(t.Context(), p); err != nil || known != (order.FulfilmentRecord{Fulfilled: parcelSF, Times: 1}) {
			t.Errorf("WeChat knows %+v %v", known, err)
		}
		if err := w.mini.ReportFulfilment(t.Context(), p, r); err != nil {
			t.Errorf("told again: %v", err)
		}
	}
}

// What becomes of a call that WeChat does not take: it is made again, its state is asked
// for, or a person has to look.
func TestFulfilmentThatIsNotTaken(t *testing.T) {
	w := newWorld(t)
	for i, tt := range []struct {
		name  string
		spoil func(*order.Payment, *order.FulfilmentReport)
		want  string
	}{
		{"its payment is not known yet", func(p *order.Payment, _ *order.FulfilmentReport) { p.TransactionID = "4200000000000000" }, "unavailable/wechat_payment_unknown"},
		{"somebody else's payment", func(p *order.Payment, _ *order.FulfilmentReport) { p.Payer = "mReviewer" }, "invalid/wechat_shipping"},
		{"too many words", func(_ *order.Payment, r *order.FulfilmentReport) { r.Goods = strings.Repeat("证", 121) }, "invalid/wechat_shipping"},
		{"no word", func(_ *order.Payment, r *order.FulfilmentReport) { r.Goods = "" }, "invalid/wechat_shipping"},
		{"a whole mobile", func(_ *order.Payment, r *order.FulfilmentReport) { r.Contact = mobile.Reveal() }, "invalid/wechat_shipping"},
		{"no number", func(_ *order.Payment, r *order.FulfilmentReport) { r.TrackingNo = "" }, "invalid/wechat_shipping"},
		{"WeChat is busy", func(*order.Payment, *order.FulfilmentReport) { w.fault(sim.Fault{Family: "mini.shipping", Code: "-1"}) }, "unavailable/wechat_unavailable"},
		{"WeChat has a fault", func(*order.Payment, *order.FulfilmentReport) {
			w.fault(sim.Fault{Family: "mini.shipping", Code: "10060012"})
		}, "unavailable/wechat_unavailable"},
		{"WeChat has another fault", func(*order.Payment, *order.FulfilmentReport) {
			w.fault(sim.Fault{Family: "mini.shipping", Code: "10060019"})
		}, "unavailable/wechat_unavailable"},
		{"its server is down", func(*order.Payment, *order.FulfilmentReport) {
			w.fault(sim.Fault{Family: "mini.shipping", Status: 502})
		}, "unavailable/wechat_unavailable"},
		{"too many calls", func(*order.Payment, *order.FulfilmentReport) {
			w.fault(sim.Fault{Family: "mini.shipping", Code: "44990"})
		}, "rate_limited/wechat_quota"},
		{"finished, WeChat says", func(*order.Payment, *order.FulfilmentReport) {
			w.fault(sim.Fault{Family: "mini.shipping", Code: "10060002"})
		}, "conflict/wechat_shipped_before"},
		{"a stale token", func(*order.Payment, *order.FulfilmentReport) {
			w.fault(sim.Fault{Family: "mini.shipping", Code: "40001"})
		}, ""},
		{"the money went back", func(p *order.Payment, _ *order.FulfilmentReport) {
			p.RefundNo = "R" + p.TradeNo
			if _, err := w.pay.Refund(t.Context(), *p, p.Amount); err != nil {
				t.Fatal(err)
			}
		}, "invalid/wechat_shipping"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := w.bought(fmt.Sprintf("T000000003%02d", i))
			r := w.report(parcelSF)
			tt.spoil(&p, &r)
			err := w.mini.ReportFulfilment(t.Context(), p, r)
			if problem(err) != tt.want {
				t.Errorf("%s %v, want %s", problem(err), err, tt.want)
			}
			if e, ok := order.AsError(err); ok && errors.Is(err, order.Invalid) && (!strings.Contains(e.Detail, "微信错误码") || strings.Contains(e.Detail, mobile.Reveal())) {
				t.Errorf("detail %q", e.Detail)
			}
		})
	}
	known, err := w.mini.FulfilmentOf(t.Context(), func() order.Payment { p := w.bought("T00000000399"); p.TransactionID = "none"; return p }())
	if problem(err) != "unavailable/wechat_payment_unknown" {
		t.Errorf("unknown payment: %+v %v", known, err)
	}
}

// An account without 发货信息管理 says so; a payment that went back is known to have.
func TestFulfilmentThatIsNotNeeded(t *testing.T) {
	w := newWorld(t)
	p := w.bought("T00000000400")
	p.RefundNo = "R1"
	if _, err := w.pay.Refund(t.Context(), p, p.Amount); err != nil {
		t.Fatal(err)
	}
	if known, err := w.mini.FulfilmentOf(t.Context(), p); err != nil || !known.Refunded {
		t.Errorf("refunded: %+v %v", known, err)
	}
	w.control(http.MethodPost, "mini/managed", map[string]bool{"managed": false}, nil)
	if keeps, err := w.mini.KeepsMoney(t.Context()); err != nil || keeps {
		t.Errorf("keeps %v %v", keeps, err)
	}
	if _, err := w.mini.FulfilmentOf(t.Context(), p); problem(err) != "invalid/wechat_shipping" {
		t.Errorf("asked in spite of it: %v", err)
	}
}

// WeChat reminds the buyer once, of a parcel only, and not before it was sent.
func TestReminderOfTheReceipt(t *testing.T) {
	w := newWorld(t)
	p, counter := w.bought("T00000000500"), w.bought("T00000000501")
	before := w.sim.Now().Add(-time.Hour)
	check := func(name string, p order.Payment, at time.Time, want string) {
		t.Helper()
		if err := w.mini.RemindReceipt(t.Context(), p, at); problem(err) != want {
			t.Errorf("%s: %s %v, want %s", name, problem(err), err, want)
		}
	}
	check("not shipped", p, w.sim.Now(), "invalid/wechat_shipping")
	for p, f := range map[*order.Payment]order.Fulfilled{&p: parcelSF, &counter: {By: order.FulfilledAtCounter}} {
		if err := w.mini.ReportFulfilment(t.Context(), *p, w.report(f)); err != nil {
			t.Fatal(err)
		}
	}
	check("at the counter", counter, w.sim.Now(), "invalid/wechat_shipping")
	check("before it was sent", p, before, "invalid/wechat_shipping")
	w.sim.Advance(time.Hour)
	check("signed for", p, w.sim.Now(), "")
	check("again", p, w.sim.Now(), "invalid/wechat_shipping")
}

// The simulator refuses what WeChat refuses, by WeChat's codes. A body that is changed in
// one place is about one fault.
func TestShippingCodes(t *testing.T) {
	w := newWorld(t)
	p := w.bought("T00000000600")
	native := w.trade("T00000000601")
	w.operate(must(w.pay.Prepay(t.Context(), native, "招标项目证书")), "pay", 1)
	_, receipt := w.status(native.TradeNo)
	fresh := w.trade("T00000000602")
	fresh.Payer = miniAgent
	w.control(http.MethodPost, "mini/pay", w.request(fresh, agent, "pay"), nil)
	var token struct {
		Value string `json:"access_token"`
	}
	call := func(path, body string, out any) {
		t.Helper()
		req := must(http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+"/api.weixin.qq.com"+path, strings.NewReader(body)))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
			t.Fatal(err)
		}
	}
	call("/cgi-bin/stable_token", `{"grant_type":"client_credential","appid":"`+miniAppID+`","secret":"mini-secret"}`, &token)
	code := func(api, body string) int {
		t.Helper()
		var answer struct {
			Code int `json:"errcode"`
		}
		call("/wxa/sec/order/"+api+"?access_token="+token.Value, body, &answer)
		return answer.Code
	}
	whole := `{"order_key":{"order_number_type":2,"transaction_id":"` + p.TransactionID + `"},"logistics_type":1,"delivery_mode":1,"is_all_delivered":true,` +
		`"shipping_list":[{"tracking_no":"SF1","express_company":"SF","item_desc":"证书","contact":{"receiver_contact":"138****0001"}}],` +
		`"upload_time":"2026-11-28T13:29:35.120+08:00","payer":{"openid":"` + miniAgent + `"}}`
	item := `{"tracking_no":"SF1","express_company":"SF","item_desc":"证书","contact":{"receiver_contact":"138****0001"}}`
	uploads := map[string]struct {
		from, to string
		want     int
	}{
		"no JSON":                    {whole, `{`, 47001},
		"a third kind of key":        {`"order_number_type":2`, `"order_number_type":3`, 268485194},
		"no transaction":             {p.TransactionID, ``, 268485195},
		"no merchant":                {`"order_number_type":2`, `"order_number_type":1,"out_trade_no":"x"`, 268485196},
		"no trade number":            {`"order_number_type":2`, `"order_number_type":1,"mchid":"` + mchID + `"`, 268485197},
		"another merchant's":         {`"order_number_type":2,"transaction_id":"` + p.TransactionID + `"`, `"order_number_type":1,"mchid":"1","out_trade_no":"` + p.TradeNo + `"`, 10060001},
		"a third mode":               {`"delivery_mode":1`, `"delivery_mode":3`, 268485224},
		"a fifth type":               {`"logistics_type":1`, `"logistics_type":5`, 10060005},
		"split but no parcel":        {`"logistics_type":1,"delivery_mode":1`, `"logistics_type":4,"delivery_mode":2`, 10060006},
		"split, not said whether":    {`"delivery_mode":1,"is_all_delivered":true`, `"delivery_mode":2`, 10060007},
		"two parcels at once":        {item, item + "," + item, 268485228},
		"sixteen parcels":            {`"delivery_mode":1,"is_all_delivered":true,"shipping_list":[`, `"delivery_mode":2,"is_all_delivered":true,"shipping_list":[` + strings.Repeat(item+",", 15), 10060024},
		"no goods":                   {`"item_desc":"证书"`, `"item_desc":""`, 10060008},
		"too many goods":             {`"item_desc":"证书"`, `"item_desc":"` + strings.Repeat("证", 121) + `"`, 10060009},
		"no number":                  {`"SF1"`, `""`, 268485226},
		"a long number":              {`"SF1"`, `"` + strings.Repeat("1", 129) + `"`, 10060026},
		"no courier":                 {`"express_company":"SF"`, `"express_company":""`, 268485227},
		"a long courier":             {`"express_company":"SF"`, `"express_company":"` + strings.Repeat("S", 129) + `"`, 10060025},
		"an unknown courier":         {`"express_company":"SF"`, `"express_company":"shunfeng"`, 10060014},
		"SF without a contact":       {`"138****0001"`, `""`, 10060014},
		"a contact that is readable": {`"138****0001"`, `"13800000001"`, 10060014},
		"a time without a zone":      {`+08:00`, ``, 268485216},
		"no payer":                   {`"openid":"` + miniAgent + `"`, `"openid":""`, 10060014},
		"another payer":              {`"openid":"` + miniAgent + `"`, `"openid":"mReviewer"`, 10060031},
		"a payment by QR code":       {p.TransactionID, receipt.TransactionID, 10060001},
		"a payment of this moment":   {`"order_number_type":2,"transaction_id":"` + p.TransactionID + `"`, `"order_number_type":1,"mchid":"` + mchID + `","out_trade_no":"` + fresh.TradeNo + `"`, 10060001},
	}
	for name, tt := range uploads {
		body := strings.Replace(whole, tt.from, tt.to, 1)
		if got := code("upload_shipping_info", body); body == whole || got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
	}
	if n := len(w.shippings()); n != 0 {
		t.Fatalf("%d were taken", n)
	}
	for i, want := range []int{0, 10060023} {
		if got := code("upload_shipping_info", whole); got != want {
			t.Errorf("upload %d: %d, want %d", i+1, got, want)
		}
	}
	for name, tt := range map[string]struct {
		api, body string
		want      int
	}{
		"managed, no app":      {"is_trade_managed", `{}`, 40097},
		"managed, another app": {"is_trade_managed", `{"appid":"` + appID + `"}`, 40013},
		"order, no key":        {"get_order", `{"merchant_id":"` + mchID + `"}`, 10060014},
		"order, by ours":       {"get_order", `{"merchant_id":"` + mchID + `","merchant_trade_no":"` + p.TradeNo + `"}`, 0},
		"reminder, unknown":    {"notify_confirm_receive", `{"transaction_id":"1"}`, 10060001},
	} {
		if got := code(tt.api, tt.body); got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
	}
	token.Value = "stale"
	for _, api := range []string{"is_trade_managed", "get_order", "upload_shipping_info", "notify_confirm_receive"} {
		if got := code(api, `{}`); got != 40001 {
			t.Errorf("%s with a stale token: %d", api, got)
		}
	}
}
