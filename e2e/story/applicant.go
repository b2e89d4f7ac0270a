package story

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/yuncaidun/yuncaidun/provider/sim"
)

// The applicant, as the playground knows him, and his company.
const (
	applicant = "王小琪"
	mobile    = "17700007069"
	company   = "云南示例工程有限公司"
	unitCode  = "91110108MA00TEN18F"
)

// form is what the applicant fills in; people and places are invented.
var form = map[string]string{
	"agent.name": applicant, "agent.mobile": mobile, "agent.email": "wang.xiaoqi@bid.example.com",
	"id.type": "resident_id", "id.no": "110101199003070011",
	"org.name": company, "org.uscc": unitCode, "org.type": "enterprise",
	"auth.way": "paper", "legal.name": "段正明",
	"ship.way": "courier", "ship.name": "马收件", "ship.mobile": "13900000021",
	"ship.province": "云南省", "ship.city": "昆明市", "ship.district": "五华区", "ship.address": "护国路66号示例大厦502室",
}

// Application is what the applicant fills in, by field.
func Application() map[string]string { return maps.Clone(form) }

// Personal are the fields that are nobody's business who does not need them.
var Personal = []string{"agent.name", "agent.mobile", "agent.email", "id.no", "legal.name", "ship.name", "ship.mobile", "ship.address"}

// leaks are the personal fields whose values a text holds.
func leaks(text string) []string {
	return slices.DeleteFunc(slices.Clone(Personal), func(f string) bool { return !strings.Contains(text, form[f]) })
}

// pictures are the fields that take photographs.
var pictures = []string{"id.front", "id.back", "license", "letter"}

// purchase is an order on its way, as its applicant knows it.
type purchase struct {
	id, no string
	since  time.Time // on the playground's clock
}

// begun is the order whose form a page shows.
func (p *player) begun(page *Page) purchase {
	return purchase{id: strings.TrimSuffix(strings.TrimPrefix(page.URL.Path, "/orders/"), "/edit"), since: p.clock()}
}

func (o purchase) page() string { return "/orders/" + o.id }
func (o purchase) tail() string { return o.no[max(0, len(o.no)-4):] }

// open shows a page of the portal to the applicant.
func (p *player) open(path string) *Page {
	return p.shown(must(p.browser.Get(p.ctx, p.instance.URL+path)))
}

// shown fails for a page that says that something went wrong.
func (p *player) shown(page *Page) *Page {
	if page.Status >= http.StatusBadRequest {
		p.check(false, page.URL.Path+" opens", page.Status, page.Text())
	}
	return page
}

// send fills in a form of a page and sends it.
func (p *player) send(b *Browser, from *Page, suffix string, values map[string]string) *Page {
	return must(b.Submit(p.ctx, from, must(from.Form(suffix)).With(values)))
}

// draft fills in an application for so many keys of a product, up to the
// confirmation page.
func (p *player) draft(product, quantity string) (purchase, *Page) {
	return p.draftWith(product, quantity, nil)
}

// owner is a company with one key: the certificate, and the USBKEY it is on.
func (p *player) owner() (issued, string) { return p.ownerOf("yd-initial") }

// ownerOf is owner of a key that was bought as a product.
func (p *player) ownerOf(product string) (issued, string) {
	before := p.serials()
	o := p.confirm(p.draft(product, "1"))
	p.bind()
	p.pay(o)
	p.becomes(o, "待审核")
	p.approve(o, p.claim(o))
	p.becomes(o, "待配送")
	return p.certificates(before, 1)[0], p.ship(o, p.label())[0]
}

// draftWith fills in an application that differs from the usual one.
func (p *player) draftWith(product, quantity string, change map[string]string) (purchase, *Page) {
	p.say(applicant, "在首页点“开始申请”，填写初购表单（"+quantity+" 个 UKEY）")
	home := p.open("/")
	page := p.shown(must(p.browser.Submit(p.ctx, home, must(home.Form("/orders", "product="+product)))))
	o := p.begun(page)
	for i, field := range pictures {
		p.upload(page, o, field, Photo(i+1))
	}
	page = p.open(o.page() + "/edit")
	values := map[string]string{"quantity": quantity, "do": "save", "org.industry": page.Choices("org.industry")[0]}
	for name, v := range form {
		values[name] = v
	}
	for name, v := range change {
		values[name] = v
	}
	saved := p.shown(p.send(p.browser, page, o.page()+"/form", values))
	p.check(saved.Value("agent.mobile") == mobile && saved.Value("quantity") == quantity, "草稿已保存，离开后可以继续填写", saved.Text())
	return o, saved
}

// upload adds a photograph to the form, as the page's script does.
func (p *player) upload(page *Page, o purchase, field string, content []byte) *Page {
	answer := p.shown(must(p.browser.Upload(p.ctx, page, o.page()+"/pictures/"+field, "photo.jpg", content)))
	if answer.Value(field) == "" {
		p.check(false, "photograph "+field+" is taken", answer.Text())
	}
	return answer
}

// confirm submits the form, reads everything again, agrees and proves the mobile.
func (p *player) confirm(o purchase, page *Page) purchase {
	page = p.shown(p.send(p.browser, page, o.page()+"/form", map[string]string{"do": "submit"}))
	p.check(strings.HasSuffix(page.URL.Path, "/confirm") && page.Says(company) && page.Says(form["ship.address"]), "确认页列出全部信息", page.Text())
	return p.agree(o, page)
}

// agree is the confirmation page: read again, agreed to, proven by SMS.
func (p *player) agree(o purchase, page *Page) purchase {
	code := p.code("提交订单", func() *Page { return must(p.browser.Post(p.ctx, page, o.page()+"/code", nil)) })
	page = p.shown(p.send(p.browser, page, "/confirm", map[string]string{"agree": "yes", "code": code}))
	p.check(strings.HasSuffix(page.URL.Path, "/pay"), "勾选协议并通过短信验证后进入支付页", page.URL.Path, page.Text())
	o.no = p.state(o).No
	p.check(strings.HasPrefix(o.no, "SAAS1") && len(o.no) == 25, "订单已提交，订单号 "+o.no)
	return o
}

// code has an SMS code sent to the applicant and reads it from his telephone.
func (p *player) code(purpose string, ask func() *Page) string { return p.codeTo(mobile, purpose, ask) }

// codeTo is code for another telephone. Codes to one number are a minute apart,
// which the playground's clock makes short.
func (p *player) codeTo(mobile, purpose string, ask func() *Page) string {
	page := ask()
	if len(page.Texts("fault")) > 0 {
		try(p.world.Advance(p.ctx, "61s"))
		page = ask()
	}
	p.shown(page)
	p.check(page.Says("已发送"), "短信验证码已发出（"+purpose+"）", page.Text())
	return must(p.world.Code(p.ctx, mobile, purpose)).Params[0]
}

// signIn logs the applicant in by SMS.
func (p *player) signIn() { p.signInAs(mobile) }

// signInAs logs in whoever reads the SMS of a mobile.
func (p *player) signInAs(mobile string) {
	page := p.open("/login?mode=sms")
	code := p.codeTo(mobile, "登录", func() *Page { return must(p.browser.Post(p.ctx, page, "/login/code", url.Values{"mobile": {mobile}})) })
	page = p.shown(p.send(p.browser, page, "/login", map[string]string{"mobile": mobile, "code": code}))
	p.check(page.URL.Path == "/orders", "短信验证码登录成功", page.URL.Path, page.Text())
}

// orderState is an order as the API tells its owner.
type orderState struct {
	ID, No, Status, Label, What, Business string
	Amount                                int64 `json:"amount_fen"`
	Reasons                               []struct{ Text string }
	Timeline                              []struct{ Event string }
}

// state asks the API how far the order is.
func (p *player) state(o purchase) (s orderState) {
	page := p.open("/api/v1/orders/" + o.id)
	try(json.Unmarshal(page.Body, &s))
	return s
}

// events are the names of what happened to the order, oldest first, without the
// saving of the draft.
func (s orderState) events() []string {
	var out []string
	for _, e := range s.Timeline {
		if e.Event != "save" && !strings.HasPrefix(e.Event, "invoice_") {
			out = append(out, e.Event)
		}
	}
	return out
}

// invoiced is what became of the order's invoice, which comes when it comes.
func (s orderState) invoiced() []string {
	var out []string
	for _, e := range s.Timeline {
		if what, ok := strings.CutPrefix(e.Event, "invoice_"); ok {
			out = append(out, what)
		}
	}
	return out
}

// becomes waits for a state of the order.
func (p *player) becomes(o purchase, label string) {
	p.eventually("订单变为「"+label+"」", func() (bool, any) {
		s := p.state(o)
		return s.Label == label, short(s)
	})
}

// showQR opens the page with the order's QR code of WeChat Pay and returns the trade
// behind it.
func (p *player) showQR(o purchase) sim.Trade { return p.showCode(o, "微信支付") }

// showCode is showQR of a channel, which it takes when it is not the one shown.
func (p *player) showCode(o purchase, channel string) sim.Trade {
	page := p.open(o.page() + "/pay")
	shown := channel + "二维码"
	if !strings.Contains(string(page.Body), shown) {
		name := map[string]string{"微信支付": string(sim.ViaWeChat), "支付宝": string(sim.ViaAlipay)}[channel]
		page = p.shown(p.send(p.browser, page, "/pay", map[string]string{"channel": name}))
	}
	p.check(len(page.Texts("qr")) == 1 && strings.Contains(string(page.Body), shown), "支付页显示"+shown, page.Text())
	return must(p.world.OpenTrade(p.ctx, o.id))
}

// trades are the order's trades, newest first.
func (p *player) trades(o purchase) []sim.Trade {
	return slices.DeleteFunc(must(p.world.Trades(p.ctx)), func(t sim.Trade) bool { return t.Attach != o.id })
}

// pay scans the QR code and pays, and watches the page turn.
func (p *player) pay(o purchase) {
	t := p.showQR(o)
	how := "pay"
	if p.Fault == FaultWrongAmount {
		how = FaultWrongAmount
	}
	p.say(applicant, "用微信扫码支付")
	must(p.world.Pay(p.ctx, t.OutTradeNo, how, 0))
	p.paid(o)
}

// paid watches the payment page, which asks by itself, turn.
func (p *player) paid(o purchase) {
	p.eventually("支付页自己变为「已支付」", func() (bool, any) {
		page := p.open(o.page() + "/pay/state")
		return page.Status == 286 && page.Says("已支付"), page.Text()
	})
}

// letter checks the text of the authorisation letter.
func (p *player) letter(o purchase) {
	p.say(applicant, "下载预填的授权书 PDF")
	pdf := p.open(o.page() + "/letter.pdf")
	file := filepath.Join(p.scratch, "letter.pdf")
	try(os.WriteFile(file, pdf.Body, 0o600))
	text := strings.Join(strings.Fields(must(output(exec.CommandContext(p.ctx, "pdftotext", "-layout", file, "-")))), "") //nolint:gosec // our own file
	for _, f := range []string{"org.name", "agent.name", "agent.mobile", "agent.email"} {
		p.check(strings.Contains(text, form[f]), "授权书上有："+form[f], text)
	}
}

// ask puts a question about an order to the official account; the answer names
// the order and says what it should.
func (p *player) ask(o purchase, question string, says ...string) {
	answer := p.answer(o, question)
	for _, what := range says {
		p.check(strings.Contains(answer, what), "公众号回答「"+question+"」："+what, answer)
	}
}

// askState asks how far the order is. An order that the station moves on while
// it is talked about may be named in either state.
func (p *player) askState(o purchase) {
	const question = "我的订单到哪一步了"
	before := p.state(o).Label
	answer := p.answer(o, question)
	after := p.state(o).Label
	p.check(strings.Contains(answer, "状态："+before) || strings.Contains(answer, "状态："+after),
		"公众号回答「"+question+"」：状态为"+strings.Join(slices.Compact([]string{before, after}), "或"), answer)
}

// answer is what the official account says about the order. When it speaks of
// others too, the applicant says which one he means; of a list the newest comes
// first.
func (p *player) answer(o purchase, question string) string {
	answer := p.chat(question)
	if one := !strings.Contains(answer, "个相关订单"); !one || !strings.Contains(answer, "…"+o.tail()) {
		answer = p.chat("尾号" + o.tail())
	}
	if strings.Contains(answer, "回复数字") {
		answer = p.chat("1")
	}
	if !strings.Contains(answer, "…"+o.tail()) {
		p.check(false, "the official account talks about order "+o.no, answer)
	}
	return answer
}

// chat says something to the official account and returns its answer; the
// simulator refuses one that is not signed and encrypted.
func (p *player) chat(text string) string { return p.chatAs(applicant, text) }

// chatAs is chat for somebody else.
func (p *player) chatAs(name, text string) string {
	x := must(p.world.Chat(p.ctx, name, text))
	if len(x.Attempts) != 1 || x.Attempts[0].Status != http.StatusOK || len(x.Replies) != 1 {
		p.check(false, "the official account answers once, signed and encrypted", short(x))
	}
	return x.Replies[0].Text
}

// bind ties the applicant's WeChat to his mobile, in the chat.
func (p *player) bind() {
	if !strings.Contains(p.chat("我的订单到哪一步了"), "绑定手机号") {
		return // bound in an earlier story
	}
	p.say(applicant, "在公众号对话中绑定手机号")
	answer := p.chat(mobile)
	if strings.Contains(answer, "操作太频繁") {
		try(p.world.Advance(p.ctx, "61s"))
		answer = p.chat(mobile)
	}
	p.check(strings.Contains(answer, "验证码已发送") && !strings.Contains(answer, mobile), "公众号发出短信验证码，不复述完整手机号", answer)
	answer = p.chat(must(p.world.Code(p.ctx, mobile, "绑定微信")).Params[0])
	p.check(strings.Contains(answer, "已绑定"), "回复验证码后绑定成功", answer)
}
