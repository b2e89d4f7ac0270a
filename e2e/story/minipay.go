package story

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"github.com/yuncaidun/yuncaidun/provider/sim"
)

// paidInMini is an order that is paid in the mini-program: WeChat keeps the money until
// it knows where the parcel is.
func (p *player) paidInMini() {
	try(p.world.Advance(p.ctx, "25h")) // the codes of earlier stories are forgotten
	o := p.confirm(p.draft("yd-initial", "1"))
	p.bind()
	p.payInMini(o)
	p.becomes(o, "待审核")
	p.approve(o, p.claim(o))
	p.becomes(o, "待配送")
	p.check(len(p.shippings(o)) == 0, "寄出之前，微信没有发货信息")

	p.say("微信", "一时繁忙，没有受理")
	try(p.world.Fail(p.ctx, sim.Fault{Family: "mini.shipping", Times: 2, Code: "-1"}))
	wrong := p.posted(o)
	p.weChatKnows(o, wrong, 1)
	no := p.corrected(o, wrong)
	p.weChatKnows(o, no, 2)
	p.say(shipper, "又更正一次：微信不再接受")
	again, since := p.label(), p.clock()
	p.shown(p.send(p.staff[shipper], p.parcel(o), "/correct", map[string]string{"rightful": "sf", "right": again}))
	p.told(mobile, again, since)
	p.eventually("财务在订单页看到原因和处理方法", func() (bool, any) {
		page := p.visit(admin, p.instance.URL+"/staff/finance/"+o.id)
		return page.Says("微信只接受一次更正") && page.Says(again), page.Text()
	})
	p.weChatKnows(o, no, 2)
	p.check(p.onlyMini(), "扫码支付的订单与此无关")

	second := p.confirm(p.draft("yd-initial", "1"))
	p.payInMini(second)
	p.becomes(second, "待审核")
	p.approve(second, p.claim(second))
	p.becomes(second, "待配送")
	sent := p.posted(second)
	p.weChatKnows(second, sent, 1)
	for _, how := range []string{"deliver", "sign"} {
		try(p.world.Advance(p.ctx, "5m"))
		p.moves(sent, how)
	}
	p.eventually("签收后微信提醒买家确认收货", func() (bool, any) {
		known := p.shippings(second)
		return len(known) == 1 && known[0].Reminded, short(known)
	})
}

// weChatKnows waits until WeChat knows the order as shipped under a number, in so many
// uploads.
func (p *player) weChatKnows(o purchase, no string, times int) {
	p.eventually(fmt.Sprintf("微信的订单状态为「已发货」，单号 %s", no), func() (bool, any) {
		known := p.shippings(o)
		return len(known) == 1 && known[0].State == sim.HasShipped && known[0].LogisticsType == 1 && known[0].Count == times &&
			known[0].List[0].ExpressCompany == "SF" && known[0].List[0].TrackingNo == no && known[0].List[0].Contact.Receiver == form["ship.mobile"][:3]+"****"+form["ship.mobile"][7:], short(known)
	})
}

// shippings is what WeChat was told of the order's payments.
func (p *player) shippings(o purchase) []sim.ShippingView {
	trades := p.trades(o)
	return slices.DeleteFunc(must(p.world.Shippings(p.ctx)), func(s sim.ShippingView) bool {
		return !slices.ContainsFunc(trades, func(t sim.Trade) bool { return t.OutTradeNo == s.OutTradeNo })
	})
}

// onlyMini reports whether WeChat was told of nothing but payments in the mini-program.
func (p *player) onlyMini() bool {
	trades := must(p.world.Trades(p.ctx))
	return !slices.ContainsFunc(must(p.world.Shippings(p.ctx)), func(s sim.ShippingView) bool {
		return !slices.ContainsFunc(trades, func(t sim.Trade) bool { return t.OutTradeNo == s.OutTradeNo && t.Type == "JSAPI" })
	})
}

// payInMini logs the applicant's phone in to the mini-program and pays there.
func (p *player) payInMini(o purchase) {
	p.say(applicant, "在小程序里打开订单，用微信支付")
	var handed struct{ Code string }
	try(p.world.Call(p.ctx, http.MethodPost, "control/mini/login", map[string]string{"persona": "applicant"}, &handed))
	var login struct{ Token string }
	try(p.api("/login", "", map[string]string{"code": handed.Code}, &login))
	p.check(login.Token != "", "绑定过公众号的用户在小程序里直接登录")
	var paying struct{ Request map[string]string }
	try(p.api("/orders/"+o.id+"/pay", login.Token, struct{}{}, &paying))
	request := paying.Request
	request["persona"], request["how"] = "applicant", "pay"
	try(p.world.Call(p.ctx, http.MethodPost, "control/mini/pay", request, nil))
	p.paid(o)
}

// api makes a call as the mini-program does.
func (p *player) api(path, token string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(p.ctx, http.MethodPost, p.instance.URL+"/api/v1"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s: %s", path, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(out)
}
