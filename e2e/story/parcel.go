package story

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/yuncaidun/yuncaidun/provider/sim"
)

// parcels is what can become of a key after it has left the house.
func (p *player) parcels() {
	try(p.world.Advance(p.ctx, "25h")) // the codes of earlier stories are forgotten
	before := p.serials()
	o := p.bought()
	bought := p.certificates(before, 1)[0]
	no := p.corrected(o, p.posted(o))
	p.followed(o, no)
	p.sentBack(o, no)
	p.posted(o)
	p.check(p.open(o.page()).Says("此前的包裹") && p.state(o).Label == "已完成", "第二个包裹在路上，第一个也看得到")
	p.lostOnTheWay(o, bought)
}

// bought is an order of one key that waits to be shipped.
func (p *player) bought() purchase {
	o := p.confirm(p.draft("yd-initial", "1"))
	p.bind()
	p.pay(o)
	p.becomes(o, "待审核")
	p.approve(o, p.claim(o))
	p.becomes(o, "待配送")
	return o
}

// posted ships the order's key, and waits until the courier has been asked to report.
func (p *player) posted(o purchase) string {
	no := p.label()
	p.ship(o, no)
	p.eventually("寄出后向快递100订阅了该单号的物流", func() (bool, any) {
		parcels := must(p.world.Parcels(p.ctx))
		return slices.ContainsFunc(parcels, func(s sim.Parcel) bool { return s.Number == no && s.Phone == form["ship.mobile"][7:] }), short(parcels)
	})
	return no
}

// corrected has the shipper correct a number that was a slip: what happens to the parcel
// of that number, somebody else's, is not told of the order's.
func (p *player) corrected(o purchase, wrong string) string {
	p.say(shipper, "单号填错了，更正")
	no, since := p.label(), p.clock()
	p.shown(p.send(p.staff[shipper], p.parcel(o), "/correct", map[string]string{"rightful": "sf", "right": no}))
	p.told(mobile, no, since)
	p.eventually("更正后向快递100订阅了正确的单号", func() (bool, any) {
		parcels := must(p.world.Parcels(p.ctx))
		return slices.ContainsFunc(parcels, func(s sim.Parcel) bool { return s.Number == no }), short(parcels)
	})
	p.moves(wrong, "sign")
	page := p.open(o.page())
	p.check(page.Says(no) && page.Says("更正快递单号") && !page.Says("已签收"), "订单页显示正确的单号；原单号的包裹被签收与它无关", page.Text())
	p.ask(o, "快递到哪了", no)
	return no
}

// moves has the courier do something with a parcel and tell us.
func (p *player) moves(no, how string) sim.ParcelPush {
	parcel := must(p.world.Courier(p.ctx, no, how))
	push := parcel.Pushes[len(parcel.Pushes)-1]
	if how != "forge" {
		p.check(push.Taken, "快递推送已确认："+parcel.Label, short(push.Attempts))
	}
	return push
}

// parcel is the shipper's page of the order's parcel.
func (p *player) parcel(o purchase) *Page {
	return p.shown(must(p.staff[shipper].Get(p.ctx, p.instance.URL+"/staff/shipping/"+o.id)))
}

// sentBack has the parcel come back: it is counted, and waits to be sent again
// while the applicant looks at the address.
func (p *player) sentBack(o purchase, no string) {
	p.say("快递", "派送失败，退回寄件人")
	for _, how := range []string{"trouble", "return", "back"} {
		try(p.world.Advance(p.ctx, "5m"))
		p.moves(no, how)
	}
	p.check(p.open(o.page()).Says("包裹已退回"), "订单页说明包裹已退回")
	page := p.shown(must(p.staff[shipper].Get(p.ctx, p.instance.URL+"/staff/shipping?stage=back")))
	p.check(strings.Contains(string(page.Body), "/staff/shipping/"+o.id), "发货台的「退回」里有这个包裹", page.Text())
	p.say(shipper, "拆开退件清点，先多数了一把")
	page = p.send(p.staff[shipper], p.parcel(o), "/returned", map[string]string{"keys": "2"})
	p.check(page.Status == http.StatusUnprocessableEntity && page.Says("与寄出的不符"), "数量不符，不予登记", page.Status)
	since := p.clock()
	p.shown(p.send(p.staff[shipper], p.parcel(o), "/returned", map[string]string{"keys": "1"}))
	p.becomes(o, "待配送")
	p.told(mobile, "请核对收件地址", since)
	p.ask(o, "快递到哪了", "请核对收件地址")
	page = p.open(o.page() + "/delivery")
	p.say(applicant, "修改收件地址")
	p.shown(p.send(p.browser, page, "/delivery", map[string]string{"ship.address": "改后的测试路 8 号"}))
}

// lostOnTheWay has the courier lose a parcel: the certificate is revoked, and a free
// replacement goes its way.
func (p *player) lostOnTheWay(o purchase, old issued) {
	p.say(shipper, "快递公司确认包裹丢失，登记理赔")
	page := p.parcel(o)
	f := must(page.Form("/lost")).With(map[string]string{"claim": "LP20261126001", "note": "转运途中遗失"})
	f.Values["item"], f.Values["sure"] = page.Choices("item"), page.Choices("sure")
	before, decided := p.serials(), p.clock()
	p.shown(must(p.staff[shipper].Submit(p.ctx, page, f)))
	p.published(old, decided, lost)
	p.told(mobile, "免费补办", decided)
	p.check(p.open(o.page()).Says("已为您免费补办"), "原订单页说明已免费补办")
	r := p.newest("reissue")
	r.since = decided
	p.check(p.state(r).Label == "待审核" && p.state(r).Amount == 0, "免费补办的订单已进入审核，应付 0 元", short(p.state(r)))
	p.approve(r, p.claim(r))
	p.becomes(r, "待配送")
	fresh := p.certificates(before, 1)[0]
	p.replaces(fresh, old)
	p.posted(r)
	got := strings.Join(p.state(r).events(), " ")
	p.check(got == "replace_lost claim approve make_key key_verified ship", "补办订单的办理记录完整有序："+got)
}

// newest is the applicant's newest order of a business.
func (p *player) newest(business string) purchase {
	var list struct{ Orders []orderState }
	page := p.open("/api/v1/orders")
	try(json.Unmarshal(page.Body, &list))
	i := slices.IndexFunc(list.Orders, func(o orderState) bool { return o.Business == business })
	p.check(i >= 0, "我的订单里有补办订单", short(list))
	return purchase{id: list.Orders[i].ID, no: list.Orders[i].No}
}

// followed lets the courier report in every way that happens, and in one that must
// not be believed.
func (p *player) followed(o purchase, no string) {
	p.say("快递", "揽收，到达昆明")
	p.moves(no, "pick_up")
	try(p.world.Advance(p.ctx, "5m"))
	p.moves(no, "transit")
	try(p.world.Advance(p.ctx, "5m"))
	p.say("快递", "派送；先前的推送迟到，并重复")
	p.moves(no, "deliver")
	for _, how := range []string{"late", "repeat", "repeat"} {
		p.moves(no, how)
	}
	forged := p.moves(no, "forge")
	p.check(!forged.Taken && forged.Attempts[0].Status == http.StatusForbidden, "伪造的“签收”被拒绝", short(forged.Attempts))
	page := p.open(o.page())
	p.check(page.Says("派送中") && page.Says("昆明转运中心") && !page.Says("快件已签收"), "订单页显示物流轨迹，状态没有倒退", page.Text())
	p.ask(o, "快递到哪了", "正在派送")
	moved := slices.DeleteFunc(p.state(o).events(), func(e string) bool { return e != "courier_moved" })
	p.check(len(moved) == 3, "揽收、在途、派送各记录一次", p.state(o).events())
}
