package story

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// issuer makes the keys.
const issuer = "陈制证"

// station is a purchase of three keys that are made on another PC: the delivery of
// blanks is entered into stock, `yuncaidun station` makes the keys with a ticket of
// the issuer's, they are labelled and shipped, and each initial PIN is shown once
// (F119, F120, G25).
func (p *player) station() {
	p.restarted("YCD_STATION_REMOTE=true")
	try(p.world.Advance(p.ctx, "25h")) // the codes of earlier stories are forgotten
	before := p.serials()
	blanks := p.receive(4)
	p.scrap(blanks[0])

	o := p.confirm(p.draft("yd-initial", "3"))
	p.bind()
	p.pay(o)
	p.becomes(o, "待审核")
	p.approve(o, p.claim(o))
	p.becomes(o, "待制证")
	p.tokens = filepath.Join(p.scratch, "station")
	defer func() { p.tokens = "" }()
	said := p.runStation(p.stationTicket())
	p.check(strings.Count(said, "done") == 3, "制证程序领取并完成三个任务", said)
	p.becomes(o, "待配送")

	certificates := p.certificates(before, 3)
	p.labels(o)
	keys := p.ship(o, p.label())
	p.check(len(keys) == 3, "发货台列出三把 UKEY", keys)
	used := p.stock("used")
	for _, token := range keys {
		p.check(used.Says(token) && token != blanks[0], "UKEY "+token+" 出自库存，库存记为已使用", used.Text())
		p.challenge(token, certificates)
	}
	p.check(p.stock("scrapped").Says(blanks[0]), "报废的空白 UKEY 没有被取用")
	p.elsewhere(keys[0])
	for _, c := range certificates {
		p.initialPIN(c, keys)
	}
	p.restarted()
}

// restarted starts the instance anew with other settings.
func (p *player) restarted(settings ...string) {
	p.say("运维", strings.TrimSpace("重新启动实例 "+strings.Join(settings, " ")))
	try(p.instance.Stop(p.ctx))
	p.instance.Settings = settings
	try(p.instance.Start(p.ctx))
}

// stock opens the stock book at a state, as the issuer.
func (p *player) stock(state string) *Page {
	p.visit(issuer, p.instance.URL+"/staff/stock")
	return p.shown(must(p.staff[issuer].Get(p.ctx, p.instance.URL+"/staff/stock?state="+state)))
}

// receive enters a delivery of n blanks. Their numbers have never been there before.
func (p *player) receive(n int) (serials []string) {
	first := p.clock().UnixMilli() / 100
	for i := range int64(n) {
		serials = append(serials, fmt.Sprintf("TW%014d", first+i))
	}
	p.say(issuer, "登记到货的空白 UKEY "+serials[0]+"-"+serials[n-1])
	page := p.stock("received")
	page = p.shown(p.send(p.staff[issuer], page, "/staff/stock", map[string]string{"batch": "到货单 " + serials[0][6:], "serials": serials[0] + "-" + serials[n-1]}))
	p.check(!slices.ContainsFunc(serials, func(s string) bool { return !page.Says(s) }), "空白 UKEY 已入库", page.Text())
	return serials
}

// scrap takes a damaged blank out of stock.
func (p *player) scrap(serial string) {
	p.say(issuer, "一把外观损坏，报废")
	page := p.shown(p.send(p.staff[issuer], p.stock("received"), "/"+serial+"/scrap", map[string]string{"reason": "damaged"}))
	p.check(page.Says(serial) && page.Says("外观损坏"), "报废后不再取用", page.Text())
}

// stationTicket is the command that the console shows for the station's PC.
func (p *player) stationTicket() []string {
	p.say(issuer, "在“制证”页点“连接制证电脑”，得到一次性显示的命令")
	page := p.visit(issuer, p.instance.URL+"/staff/making")
	p.check(page.Says(company) && page.Says("待领取") && len(leaks(page.Text())) == 0, "制证页列出任务，不含个人信息", leaks(page.Text()), page.Text())
	page = p.shown(p.send(p.staff[issuer], page, "/staff/making/station", nil))
	command := strings.Fields(strings.Join(page.Texts("cmd"), " "))
	p.check(len(command) == 6 && command[1] == "station", "页面给出制证程序的命令", page.Text())
	return command[1:]
}

// runStation makes keys until none waits, in a folder of USBKEYs of its own.
func (p *player) runStation(args []string) string {
	p.say("制证电脑", "yuncaidun station，直到没有任务")
	args = append(args, "--soft-hsm", p.tokens, "--once")
	cmd := exec.CommandContext(p.ctx, p.Binary, args...) //nolint:gosec // the page is ours
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "YCD_") })
	said, err := cmd.CombinedOutput()
	p.check(err == nil, "制证程序正常结束", string(said), err)
	return string(said)
}

// labels is the sheet to be printed and put on the keys.
func (p *player) labels(o purchase) {
	p.visit(issuer, p.instance.URL+"/staff/making")
	page := p.shown(must(p.staff[issuer].Get(p.ctx, p.instance.URL+"/staff/making/"+o.id+"/labels")))
	p.check(len(page.Texts("label-serial")) == 3 && page.Says(company) && len(leaks(page.Text())) == 0, "三张标签：单位、序列号、有效期，没有个人信息", page.Text())
}

// elsewhere checks that the server has never held a key.
func (p *player) elsewhere(token string) {
	access := must(p.Token(p.ctx, p.instance.Environ(), token))
	p.check(p.opens(token, access.PIN), "UKEY 在制证电脑上，可以打开")
	there := p.tokens
	p.tokens = ""
	p.check(!p.opens(token, access.PIN), "服务器上没有这把 UKEY，私钥从未离开它")
	p.tokens = there
}

// initialPIN has a PIN shown, once, to the bound user who has the key in his hands.
func (p *player) initialPIN(c issued, keys []string) {
	i := slices.IndexFunc(keys, func(token string) bool { return p.cardOf(c).says(token) })
	p.check(i >= 0 && p.cardOf(c).offers("查看初始口令"), "收到 UKEY 后可以查看初始口令", p.cardOf(c).text)
	at := "/certificates/" + c.serial + "/pin"
	page := p.open(at)
	code := p.code("查看初始口令", func() *Page { return must(p.browser.Post(p.ctx, page, at+"/code", nil)) })
	page = p.shown(p.send(p.browser, page, at, map[string]string{"got": "yes", "code": code}))
	pin := strings.Join(page.Texts("pin-code"), "")
	p.check(pin != "" && p.opens(keys[i], pin), "页面显示的初始口令可以打开 UKEY "+keys[i], page.Status)
	p.changesPIN(keys[i], pin, strings.Join(page.Texts("cmd"), ""))
	page = p.open(at)
	p.check(page.Says("已经显示过") && len(page.Texts("pin-code")) == 0 && !p.cardOf(c).offers("查看初始口令"), "初始口令只显示一次", page.Status)
}

// changesPIN has the holder make the initial PIN his own, by the command that the page names.
func (p *player) changesPIN(token, initial, command string) {
	const own = "62840517"
	p.say(applicant, "用页面给出的命令把初始口令改成自己的")
	args := strings.Fields(command)
	p.check(len(args) == 4 && args[0] == "keyhelper" && args[1] == "pin", "页面给出修改口令的命令", command)
	access := must(p.Token(p.ctx, p.instance.Environ(), token))
	cmd := exec.CommandContext(p.ctx, p.Helper, append(args[1:], "--module", access.Module)...) //nolint:gosec // the page is ours
	cmd.Env = p.softHSM()
	cmd.Stdin = strings.NewReader(initial + "\n" + own + "\n" + own + "\n")
	said := must(output(cmd))
	p.check(strings.Contains(said, "口令修改成功") && !strings.Contains(said, own) && !strings.Contains(said, initial), "修改成功，口令没有显示", said)
	p.check(p.opens(token, own) && !p.opens(token, initial), "新口令可以打开 UKEY，初始口令不能")
}
