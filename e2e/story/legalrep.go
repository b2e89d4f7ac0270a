package story

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/color"
	"image/png"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// The legal representative, as the playground knows him.
const (
	legalRep       = "段正明"
	legalRepMobile = "13800000021"
	legalRepID     = "11010519491231002X"
	aPhone         = "Mozilla/5.0 (Linux; Android 14; zh-CN) Mobile"
)

// online is what the application asks for instead of a stamped letter.
var online = map[string]string{
	"auth.way": "miniprogram", "legal.name": legalRep, "legal.id_type": "resident_id", "legal.id_no": legalRepID, "legal.mobile": legalRepMobile,
}

// legalRep is the authorisation without paper: his number was wrong and is put right; he
// signs, once for several applications; he declines, and a stamped letter takes the place; he lets it lie.
func (p *player) legalRep() {
	try(p.world.Advance(p.ctx, "25h")) // the codes of earlier stories are forgotten
	first := p.submitOnlineFor(otherPhone)
	p.bind()
	p.wrongPhone(first)
	p.signs(first)

	try(p.world.Advance(p.ctx, "1h1m"))
	second := p.submitOnline()
	p.check(strings.Contains(p.open(second.page()).Text(), "使用长期授权"), "授权期内的下一单直接进入审核，不再发授权短信")
	p.pack(second)
	page := p.legal(p.rep, p.repLink+"/done")
	p.check(strings.HasSuffix(page.URL.Path, "/phone"), "半小时后须重新验证手机才能查看和撤销", page.URL.Path)
	code := p.legalCode(p.rep, page, page.URL.Path+"/code", "法定代表人验证手机号")
	page = p.shown(p.send(p.rep, page, "/phone", map[string]string{"mobile": legalRepMobile, "code": code}))
	p.say(legalRep, "撤销长期授权")
	p.shown(p.send(p.rep, page, "/revoke", nil))

	p.declines()
	p.expires()
}

// submitOnline applies for a key with a legal representative online, and pays.
func (p *player) submitOnline() purchase { return p.submitOnlineFor(legalRepMobile) }

// submitOnlineFor is submitOnline with a number for the legal representative.
func (p *player) submitOnlineFor(mobile string) purchase {
	answers := maps.Clone(online)
	answers["legal.mobile"] = mobile
	o := p.confirm(p.draftWith("yd-initial", "1", answers))
	p.pay(o)
	p.becomes(o, "待审核")
	return o
}

var legalLink = regexp.MustCompile(`https?://[\w.:-]+/auth/[\w-]+`)

// legalSMS waits for the newest SMS to the legal representative about an order, and
// returns his link.
func (p *player) legalSMS(o purchase, says string) string {
	return p.legalSMSTo(legalRepMobile, o, says)
}

// legalSMSTo is legalSMS on another telephone.
func (p *player) legalSMSTo(mobile string, o purchase, says string) string {
	var link string
	p.eventually("法定代表人的手机 "+mobile[:3]+"****"+mobile[7:]+" 收到授权短信", func() (bool, any) {
		for _, m := range must(p.world.SMS(p.ctx)) {
			if m.Mobile == mobile && !m.At.Before(o.since) && strings.Contains(m.Text, says) {
				p.check(!strings.Contains(m.Text, applicant) && strings.Contains(m.Text, company), "短信只写遮盖的姓名和单位名称", m.Text)
				link = legalLink.FindString(m.Text)
				return link != "", m.Text
			}
		}
		return false, short(must(p.world.SMS(p.ctx)))
	})
	return link
}

var weChatLink = regexp.MustCompile(`https?://[\w.:-]+/playground/wxaurl\.cn/\w+`)

// miniLink is the link of the newest SMS that opens the mini-program.
func (p *player) miniLink(o purchase) string {
	for _, m := range must(p.world.SMS(p.ctx)) {
		if m.Mobile == legalRepMobile && !m.At.Before(o.since) && weChatLink.MatchString(m.Text) {
			return weChatLink.FindString(m.Text)
		}
	}
	p.check(false, "短信里有小程序链接", short(must(p.world.SMS(p.ctx))))
	return ""
}

// legal opens a page of the legal representative's on his phone.
func (p *player) legal(b *Browser, address string) *Page { return p.shown(must(b.Get(p.ctx, address))) }

// legalCode has a code sent to the legal representative and reads it.
func (p *player) legalCode(b *Browser, page *Page, path, purpose string) string {
	ask := func() *Page { return p.shown(must(b.Post(p.ctx, page, path, url.Values{"mobile": {legalRepMobile}}))) }
	answer := ask()
	if len(answer.Texts("fault")) > 0 {
		try(p.world.Advance(p.ctx, "61s"))
		answer = ask()
	}
	p.check(answer.Says("已发送"), "验证码已发出（"+purpose+"）", answer.Text())
	return must(p.world.Code(p.ctx, legalRepMobile, purpose)).Params[0]
}

// proves goes from the SMS to the application: the right phone, the right person.
func (p *player) proves(b *Browser, link string) *Page {
	p.say(legalRep, "点短信链接，阅读说明，验证手机")
	page := p.legal(b, link)
	p.check(page.Says(company) && page.Says("您的手机号来源") && page.Says("保存多久") && !page.Says(applicant) && !page.Says(legalRepMobile),
		"说明页写明谁在申请、号码来源、用途和保存期限", page.Text())
	page = p.legal(b, must(page.Link("继续")))
	wrong := must(b.Post(p.ctx, page, page.URL.Path+"/code", url.Values{"mobile": {"13900000099"}}))
	p.check(wrong.Says("不一致") && !wrong.Says(legalRepMobile), "不是这个手机号时说明原因，不泄露号码", wrong.Text())
	code := p.legalCode(b, page, page.URL.Path+"/code", "法定代表人验证手机号")
	page = p.shown(p.send(b, page, "/phone", map[string]string{"mobile": legalRepMobile, "code": code}))
	page = p.send(b, page, "/identity", map[string]string{"tail": "000000"})
	p.check(page.Status == http.StatusUnprocessableEntity && page.Says("不一致"), "证件后六位不对时不能继续", page.Text())
	page = p.showsFace(b, page, "是别人", "1004")
	p.check(page.Status == http.StatusUnprocessableEntity && page.Says("人脸核验没有通过"), "镜头前不是本人时不能继续", page.Text())
	page = p.shown(p.showsFace(b, page, "是本人", "0"))
	p.check(strings.HasSuffix(page.URL.Path, "/application") && page.Says(unitCode) && page.Says(applicant), "人脸核验通过，核对申请内容", page.URL.Path, page.Text())
	return page
}

// showsFace goes to the provider's page and back.
func (p *player) showsFace(b *Browser, page *Page, who, code string) *Page {
	p.say(legalRep, "改用人脸核验，镜头前"+who)
	page = p.shown(p.send(b, page, "/identity", map[string]string{"tail": "31002x", "way": "face"}))
	camera := p.legal(b, must(page.Link("开始人脸核验")))
	p.check(!camera.Says(legalRep), "核验页只显示遮盖的姓名", camera.Text())
	return must(b.Post(p.ctx, camera, camera.URL.Path, url.Values{"code": {code}}))
}

// otherPhone is a number that the applicant typed wrongly.
const otherPhone = "13800000029"

// wrongPhone is an application with a legal representative's number that is not his: the
// link that he is passed on does not work with his own phone, he is told what to do, and
// the applicant puts it right. The order goes on.
func (p *player) wrongPhone(o purchase) {
	link := p.legalSMSTo(otherPhone, o, "需要您（法定代表人）授权")
	p.say(legalRep, "打开别人转来的授权链接，用自己的手机号验证")
	b := newBrowser(aPhone)
	page := p.legal(b, must(p.legal(b, link).Link("继续")))
	older, _ := p.world.Code(p.ctx, legalRepMobile, "法定代表人验证手机号") // none is as good as one
	refused := must(b.Post(p.ctx, page, page.URL.Path+"/code", url.Values{"mobile": {legalRepMobile}}))
	newest, _ := p.world.Code(p.ctx, legalRepMobile, "法定代表人验证手机号")
	p.check(refused.Says("不一致") && refused.Says("联系经办人更换手机号") && !refused.Says(otherPhone) && newest.SerialNo == older.SerialNo,
		"手机号与申请不一致：不发验证码，告诉他联系经办人更换，不泄露号码", refused.Text())
	page = must(b.Get(p.ctx, link+"/sign"))
	p.check(page.Status != http.StatusOK || !strings.HasSuffix(page.URL.Path, "/sign"), "没有验证手机不能签署", page.URL, page.Text())

	p.say(applicant, "在订单页把法定代表人的手机号改对")
	p.shown(p.send(p.browser, p.open(o.page()), "/authorization/mobile", map[string]string{"mobile": legalRepMobile}))
	page = must(newBrowser(aPhone).Get(p.ctx, link))
	p.check(page.Says("已失效") && page.Says("经办人更换了接收授权短信的手机号"), "发给错误号码的链接不再有效", page.Text())
}

// signs is the main way: read, sign by hand, confirm by SMS.
func (p *player) signs(o purchase) {
	link := p.legalSMS(o, "需要您（法定代表人）授权")
	b := newBrowser(aPhone)
	opened := p.legal(b, p.miniLink(o))
	token := must(url.Parse(link)).Path[len("/auth/"):]
	p.check(opened.URL.Path == "/playground/mp/" && opened.URL.Fragment == "/pages/auth/index?ticket="+token, "短信里的小程序链接打开小程序的授权页", opened.URL.String())
	page := p.proves(b, link)
	page = p.legal(b, must(page.Link("阅读授权书")))
	scope := page.Choices("until") // three choices, and the one chosen
	p.check(len(scope) == 4 && page.Says("仅限本次申请") && page.Says("具有同等效力"), "授权书全文与纸质版五项承诺一致，可选授权范围", page.Text())
	p.say(legalRep, "选择三个月授权，阅读全文")
	page = p.legal(b, link+"/letter?until="+url.QueryEscape(scope[1]))
	try(p.world.Advance(p.ctx, "6s"))
	page = p.legal(b, must(page.URL.Parse("sign?read=yes&until="+url.QueryEscape(scope[1]))).String())
	code := p.legalCode(b, page, page.URL.Path+"/code", "签署授权书")
	p.say(legalRep, "手写签名，勾选单独同意，短信确认")
	page = p.send(b, page, "/sign", map[string]string{"signature": "", "agree": "yes", "code": code})
	p.check(page.Status == http.StatusUnprocessableEntity && page.Says("手写签名"), "没有签名不能提交", page.Text())
	page = p.shown(p.send(b, page, "/sign", map[string]string{"signature": signature(), "agree": "yes", "code": code}))
	p.check(page.Says("授权完成") && page.Says("SQ"), "授权完成，得到回执号", page.Text())
	p.rep, p.repLink = b, link
	p.check(strings.Contains(strings.Join(p.state(o).events(), " "), "auth_signed"), "订单进入待受理", short(p.state(o)))

	p.eventually("授权书 PDF 已生成", func() (bool, any) {
		page = p.legal(b, link+"/done")
		return page.Says("下载授权书"), page.Text()
	})
	p.letterSealed(p.legal(b, must(page.Link("下载授权书"))).Body)
	p.pack(o)
	task := p.claimOnline(o)
	p.approve(o, task)
	p.becomes(o, "待配送")
	page = must(b.Post(p.ctx, p.legal(b, link+"/done"), link+"/withdraw", nil))
	p.check(page.Says("证书已制作"), "证书制作后不能撤回，提示办理吊销", page.Text())
}

// letterSealed has an independent program look at the letter's electronic seal.
func (p *player) letterSealed(pdf []byte) {
	sig := func(content []byte) string {
		file := filepath.Join(p.scratch, "authorization.pdf")
		try(os.WriteFile(file, content, 0o600))
		out, _ := exec.CommandContext(p.ctx, "pdfsig", file).CombinedOutput() //nolint:gosec // our own file; its exit code says too little
		return string(out)
	}
	said := sig(pdf)
	p.check(strings.Contains(said, "Signature is Valid") && strings.Contains(said, "Total document signed"), "pdfsig：签名有效，覆盖全文", said)
	broken := bytes.Clone(pdf)
	broken[bytes.Index(broken, []byte("/MediaBox"))+1] ^= 1
	p.check(!strings.Contains(sig(broken), "Signature is Valid"), "改动一个字节，pdfsig 判定签名无效", sig(broken))
}

// pack downloads the evidence as a reviewer and has it verified offline.
func (p *player) pack(o purchase) {
	address := p.instance.URL + "/staff/review/" + o.id
	p.visit(reviewer, address)
	var pack []byte
	p.eventually("审核员下载证据包", func() (bool, any) {
		page := must(p.staff[reviewer].Get(p.ctx, address+"/evidence.zip"))
		pack = page.Body
		return page.Status == http.StatusOK, page.Status
	})
	verify := func(content []byte) (string, error) {
		file := filepath.Join(p.scratch, "evidence.zip")
		try(os.WriteFile(file, content, 0o600))
		out, err := exec.CommandContext(p.ctx, p.Binary, "evidence", "verify", file, "--root", filepath.Join(p.instance.DataDir, "ca", "root.pem")).CombinedOutput() //nolint:gosec // our own
		return string(out), err
	}
	said, err := verify(pack)
	p.check(err == nil && strings.Contains(said, "letter seal"), "evidence verify 离线证明每一项", said)
	said, err = verify(append(bytes.Clone(pack[:len(pack)/2]), pack[len(pack)/2+1:]...))
	p.check(err != nil && strings.Contains(said, "broken"), "改动后的证据包指出第一处损坏", said)
}

// claimOnline opens the review with the evidence of the signature and takes it.
func (p *player) claimOnline(o purchase) *Page {
	card := p.card(reviewer, o, "待审核")
	page := p.visit(reviewer, card.Card.URL)
	p.check(page.Says("法定代表人授权") && page.Says("已签署") && len(leaks(page.Text())) == 0, "审核页列出授权证据，个人信息已遮盖", page.Text())
	p.eventually("经办人实名核验已通过", func() (bool, any) {
		page = p.shown(must(p.staff[reviewer].Get(p.ctx, card.Card.URL)))
		return !page.Says("等待"), page.Text()
	})
	return p.shown(p.send(p.staff[reviewer], page, "/claim", nil))
}

// declines is R16, and the stamped letter that takes its place.
func (p *player) declines() {
	try(p.world.Advance(p.ctx, "1h1m"))
	o := p.submitOnline()
	link := p.legalSMS(o, "需要您（法定代表人）授权")
	p.check(p.open(o.page()).Says("正在等待法定代表人授权"), "订单页显示等待法人授权", p.open(o.page()).Text())
	p.visit(reviewer, p.instance.URL+"/staff/review")
	queue := p.shown(must(p.staff[reviewer].Get(p.ctx, p.instance.URL+"/staff/review?stage=awaiting_authorization")))
	p.check(queue.Says(o.tail()) && queue.Says("暂不能受理"), "审核员看到待法人授权的订单，不能受理", queue.Text())
	b := newBrowser(aPhone)
	page := p.legal(b, link)
	p.say(legalRep, "点“我不知情，拒绝授权”")
	ended := p.send(b, page, "/decline", map[string]string{"reason": "unknown"})
	p.check(ended.Says("已拒绝"), "拒绝后链接说明结果，个人信息已删除", ended.Text())
	p.becomes(o, "审核拒绝")
	p.check(strings.Contains(short(p.state(o).Reasons), "法定代表人未完成或已拒绝授权"), "订单上的原因是 R16", short(p.state(o)))
	p.say(applicant, "改用纸质授权书，重新提交")
	page = p.open(o.page() + "/edit")
	p.check(page.Value("legal.id_no") == "" && page.Value("legal.mobile") == "", "表单里不再有法定代表人的证件和手机号", page.Text())
	letter := p.upload(page, o, "letter", Photo(7)).Value("letter")
	p.shown(p.send(p.browser, page, o.page()+"/form", map[string]string{"auth.way": "paper", "legal.name": legalRep, "letter": letter, "do": "submit"}))
	p.becomes(o, "待审核")
	p.check(len(p.trades(o)) == 1, "没有再次付款", short(p.trades(o)))
	p.check(strings.HasSuffix(strings.Join(p.state(o).events(), " "), "auth_declined resubmit"), "办理记录完整有序", short(p.state(o)))
}

// expires lets seven days pass without an answer.
func (p *player) expires() {
	try(p.world.Advance(p.ctx, "1h1m"))
	o := p.submitOnline()
	link := p.legalSMS(o, "需要您（法定代表人）授权")
	for _, wait := range []struct{ by, says, what string }{{"25h", "已等待您（法定代表人）授权一天", "一天后的提醒短信"}, {"49h", "最后提醒", "三天后的最后提醒"}} {
		p.say("体验场", "时间前进 "+wait.by+"：法定代表人没有理会")
		try(p.world.Advance(p.ctx, wait.by))
		p.legalSMS(o, wait.says)
		p.check(true, wait.what)
	}
	p.say(applicant, "在订单页重发授权短信")
	p.signIn()
	page := p.open(o.page())
	p.check(page.Says("今天还可发送 3 次"), "订单页显示授权状态和剩余次数", page.Text())
	p.shown(p.send(p.browser, page, "/authorization/resend", nil))
	page = must(newBrowser(aPhone).Get(p.ctx, link))
	p.check(page.Says("最新一条短信"), "重发后，旧短信里的链接提示打开最新一条", page.Text())
	p.say("体验场", "时间再前进五天")
	try(p.world.Advance(p.ctx, "120h"))
	p.signIn()
	p.becomes(o, "审核拒绝")
	p.check(strings.HasSuffix(strings.Join(p.state(o).events(), " "), "auth_expired"), "七天未授权，订单退回修改", short(p.state(o)))
	page = must(newBrowser(aPhone).Get(p.ctx, link))
	p.check(page.Says("已过期"), "过期的链接说明原因", page.Text())
}

// signature is something like a handwritten name, as the page's canvas sends it.
func signature() string {
	img := image.NewNRGBA(image.Rect(0, 0, 600, 300))
	ink := color.NRGBA{16, 24, 32, 255}
	for stroke := range 5 {
		for t := range 400 {
			x, y := 60+stroke*100+t/5, 60+(t*(stroke+2))%180
			for dx := range 5 {
				for dy := range 5 {
					img.SetNRGBA(x+dx, y+dy, ink)
				}
			}
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		panic(err) // a bytes.Buffer takes everything
	}
	return "data:image/png;base64," + base64.StdEncoding.EncodeToString(b.Bytes())
}
