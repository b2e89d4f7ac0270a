package story

import (
	"bytes"
	"io"
	"maps"
	"os/exec"
	"strings"
	"time"
)

// renewal is a certificate that is about to end: bought, made and shipped, a year
// passes, and its bound user renews it on the same USBKEY with the key helper.
func (p *player) renewal() { p.renewed("yd-initial", "yd-renewal", false) }

// renewalRSA is a renewal that keeps the key pair.
func (p *player) renewalRSA() { p.renewed("yd-initial-rsa", "yd-renewal-rsa", true) }

// renewed is a renewal of what was bought as a product by another.
func (p *player) renewed(bought, product string, keeps bool) {
	before := p.serials()
	old, token := p.ownerOf(bought)

	p.say("体验场", "时间过去 340 天")
	try(p.world.Advance(p.ctx, "8160h"))
	p.staff = map[string]*Browser{} // their logins have ended
	p.signIn()
	page := p.open("/certificates")
	p.check(page.Says("即将过期") && page.Says(token), "我的证书提示即将过期，可以更新", page.Text())
	p.registers(old)
	renewal := p.apply(old, "renewal", product, map[string]string{"about.bid": "no"})
	p.check(p.state(renewal).Label == "待审核", "提交后直接进入审核", short(p.state(renewal)))
	page = p.open("/certificates")
	p.check(page.Says("继续更新"), "再点更新会回到同一张订单", page.Text())
	p.check(len(p.trades(renewal)) == 0, "更新费用为 0，不需要支付")
	p.approve(renewal, p.claimWith(renewal, 2))
	p.becomes(renewal, "待更新")
	p.texted(renewal, "更新申请") // F70
	p.write(renewal, "renew", token)
	fresh := p.certificates(append(before, old.serial), 1)[0]
	want := old.leaf.NotAfter.In(shanghai).AddDate(1, 0, 0)
	p.check(fresh.leaf.NotAfter.Equal(want), "新证书的有效期在原来的基础上延长一年："+want.Format(time.DateOnly), fresh.leaf.NotAfter)
	same := bytes.Equal(fresh.leaf.RawSubjectPublicKeyInfo, old.leaf.RawSubjectPublicKeyInfo)
	p.check(same == keeps && bytes.Equal(fresh.leaf.SubjectKeyId, old.leaf.SubjectKeyId) == keeps, map[bool]string{false: "新证书用的是新密钥", true: "新证书沿用原来的密钥"}[keeps])
	p.check(strings.Contains(must(p.instance.Command(p.ctx, "cert", "list")), old.serial+"\t"+old.subject+"\t"+old.leaf.NotAfter.UTC().Format(time.RFC3339)+"\tvalid"), "原证书没有被吊销，到期前仍可使用")
	keys := 2
	if keeps {
		keys = 1
	}
	p.onToken(token, keys, old, fresh)
	p.rehearses(token, keeps)
	page = p.open("/certificates")
	p.check(page.Says("已由新证书替代") && page.Says(fresh.serial), "我的证书列出新证书，旧证书标记为已替代", page.Text())
	ends := fresh.leaf.NotAfter.In(shanghai).Format("2006/01/02")
	p.check(strings.Contains(p.open(renewal.page()).Text(), "新证书有效期") && p.open(renewal.page()).Says(ends), "订单页写明新证书的到期日 "+ends)
	p.sealed()
}

// registers an opening of bids after the certificate's end, is warned wherever it
// matters, and takes it back.
func (p *player) registers(c issued) {
	p.say(applicant, "登记一个开标，时间在证书到期之后")
	path := "/certificates/" + c.serial + "/openings"
	page := p.open(path)
	at := c.leaf.NotAfter.In(shanghai).AddDate(0, 0, 2).Format("2006-01-02T15:04")
	page = p.shown(p.send(p.browser, page, path, map[string]string{"project": "测试风电场塔筒采购", "opening": at}))
	p.check(page.Says("测试风电场塔筒采购") && page.Says("早于开标：请先更新"), "开标登记页亮红灯：证书在开标前到期，请先更新", page.Text())
	p.check(p.open("/certificates").Says("测试风电场塔筒采购"), "我的证书的卡片上亮灯")
	p.check(p.open("/certificates/"+c.serial+"/freeze").Says("测试风电场塔筒采购"), "冻结前提醒有待开标的投标")
	page = p.open(path)
	press := must(page.Form("/delete"))
	page = p.shown(must(p.browser.Submit(p.ctx, page, press)))
	p.check(page.Says("还没有登记"), "登记可以删除", page.Text())
}

// rehearses an opening with the USBKEY: both certificates on it still sign, and those of
// an RSA key pair open what was encrypted for them.
func (p *player) rehearses(token string, opens bool) {
	p.say(applicant, "开标前用证书助手自检 UKEY")
	access := must(p.Token(p.ctx, p.instance.Environ(), token))
	cmd := exec.CommandContext(p.ctx, p.Helper, "check", "--module", access.Module, "--token", token) //nolint:gosec // our own program
	cmd.Env = p.softHSM()
	cmd.Stdin = strings.NewReader(access.PIN + "\n")
	said := must(output(cmd))
	works := map[bool]string{true: "签名正常，加密后能解密", false: "签名正常"}[opens]
	p.check(strings.Count(said, works) == 2 && strings.Contains(said, "一切正常") && !strings.Contains(said, access.PIN), "两张证书都"+works, said)
}

var shanghai = time.FixedZone("Asia/Shanghai", 8*60*60)

// apply begins an application about a certificate on its card, fills in what is
// not known yet, and submits it.
func (p *player) apply(c issued, business, product string, values map[string]string) purchase {
	p.say(applicant, "在我的证书选择证书，核对预填的资料后提交")
	page := p.offered(c, business, product)
	o := p.begun(page)
	p.check(page.Value("agent.name") == applicant && page.Value("id.no") == form["id.no"] && page.Value("id.front") != "", "经办人资料和证件照片已预填", page.Text())
	p.check(page.Says("之前的授权书仍然有效"), "资料没有变化，不需要重新授权", page.Text())
	all := map[string]string{"do": "submit"}
	if page.Has("agree") { // on the form of a renewal
		all["agree"] = "yes"
	}
	maps.Copy(all, values)
	page = p.shown(p.send(p.browser, page, o.page()+"/form", all))
	p.check(strings.HasSuffix(page.URL.Path, "/confirm") && page.Says(c.serial), "确认页写明要办理的证书", page.URL.Path, page.Text())
	code := p.code("提交订单", func() *Page { return must(p.browser.Post(p.ctx, page, o.page()+"/code", nil)) })
	p.shown(p.send(p.browser, page, "/confirm", map[string]string{"agree": "yes", "code": code}))
	o.no = p.state(o).No
	return o
}

// offered presses a business of a certificate's card, and chooses the product where
// there are several.
func (p *player) offered(c issued, business, product string) *Page {
	page := p.open("/certificates")
	press, err := page.Form("/orders", "certificate="+c.serial, "business="+business)
	if err != nil {
		page = p.open("/certificates/" + c.serial + "/offers/" + business)
		press = must(page.Form("/orders", "product="+product))
	}
	return p.shown(must(p.browser.Submit(p.ctx, page, press)))
}

// write has the key helper write the certificate of an approved order onto a
// USBKEY: the power goes first, then somebody pulls the key out, and then it works.
func (p *player) write(o purchase, verb, token string) {
	before := p.state(o).Label
	p.say(applicant, "打开写入页，启动证书助手，在输入口令前断电")
	p.killedHelper(verb, p.ticket(o), token)
	p.check(p.state(o).Label == before, "订单仍是「"+before+"」", short(p.state(o)))
	p.say(applicant, "重新开始，输入口令前拔掉了 UKEY")
	p.pulledOut(verb, p.ticket(o), token)
	p.check(p.state(o).Label == before, "订单仍是「"+before+"」，可以重新开始", short(p.state(o)))
	if p.Kills {
		p.killedAt(writeSteps, token, func() (*exec.Cmd, string) {
			access := must(p.Token(p.ctx, p.instance.Environ(), token))
			return p.helperCommand(verb, p.ticket(o), token, access), access.PIN
		})
	}
	p.say(applicant, "插好 UKEY 重新开始，输入口令")
	if verb == "renew" {
		access := must(p.Token(p.ctx, p.instance.Environ(), token))
		p.diesReporting(p.helperCommand(verb, p.ticket(o), token, access), access.PIN)
		p.becomes(o, "已完成")
		return
	}
	said := p.helper(verb, p.ticket(o), token)
	p.check(strings.Contains(said, "新证书已写入并通过验证"), "证书助手写入新证书并验证", said)
	p.becomes(o, "已完成")
}

// ticket opens the page that talks to the key helper and returns its ticket.
func (p *player) ticket(o purchase) string {
	page := p.open(o.page() + "/run")
	page = p.shown(p.send(p.browser, page, o.page()+"/run", nil))
	fields := strings.Fields(strings.Join(page.Texts("cmd"), " "))
	p.check(len(fields) > 2 && fields[len(fields)-2] == "--ticket", "写入页给出证书助手的命令和一次性凭证", page.Text())
	return fields[len(fields)-1]
}

// helperCommand is the key helper with the module of the playground's USBKEYs.
func (p *player) helperCommand(verb, ticket, token string, access TokenAccess) *exec.Cmd {
	cmd := exec.CommandContext(p.ctx, p.Helper, verb, "--module", access.Module, "--server", p.instance.URL, "--ticket", ticket, "--token", token) //nolint:gosec // our own program
	cmd.Env = p.softHSM()
	return cmd
}

// helper has the key helper write the certificate onto a USBKEY.
func (p *player) helper(verb, ticket, token string) string {
	access := must(p.Token(p.ctx, p.instance.Environ(), token))
	cmd := p.helperCommand(verb, ticket, token, access)
	cmd.Stdin = strings.NewReader(access.PIN + "\n")
	said := must(output(cmd))
	p.check(!strings.Contains(said, access.PIN), "证书助手不显示口令")
	return said
}

// asking is a helper that waits for the PIN.
type asking struct {
	*exec.Cmd

	pin   io.WriteCloser
	said  io.Reader
	heard strings.Builder
}

// asksPIN starts the helper, up to where it asks for the PIN.
func (p *player) asksPIN(verb, ticket, token string, access TokenAccess) *asking {
	a := &asking{Cmd: p.helperCommand(verb, ticket, token, access)}
	a.pin, a.said = must(a.StdinPipe()), must(a.StderrPipe())
	try(a.Start())
	buffer := make([]byte, 256)
	for !strings.Contains(a.heard.String(), "请输入 UKEY 口令") {
		n, err := a.said.Read(buffer)
		a.heard.Write(buffer[:n])
		if err != nil {
			p.check(false, "the helper asks for the PIN", a.heard.String(), err)
		}
	}
	return a
}

// killedHelper is a helper that is killed while it waits for the PIN.
func (p *player) killedHelper(verb, ticket, token string) {
	a := p.asksPIN(verb, ticket, token, must(p.Token(p.ctx, p.instance.Environ(), token)))
	try(a.Process.Kill())
	p.check(a.Wait() != nil, "证书助手在写入前被强行结束")
}

// pulledOut is a helper whose USBKEY is pulled out while it waits for the PIN, and
// plugged in again when it has said so.
func (p *player) pulledOut(verb, ticket, token string) {
	access := must(p.Token(p.ctx, p.instance.Environ(), token))
	a := p.asksPIN(verb, ticket, token, access)
	plugIn := p.unplug(token)
	must(io.WriteString(a.pin, access.PIN+"\n"))
	try(a.pin.Close())
	rest := must(io.ReadAll(a.said))
	err := a.Wait()
	plugIn()
	p.check(err != nil && !strings.Contains(string(rest), access.PIN), "证书助手没有写入，说明原因："+strings.TrimSpace(string(rest)), err)
}

// onToken checks with pkcs11-tool what is on a USBKEY: both certificates.
func (p *player) onToken(token string, keys int, certificates ...issued) {
	access := must(p.Token(p.ctx, p.instance.Environ(), token))
	said := p.pkcs11(token, access, "--list-objects")
	p.check(strings.Count(said, "Certificate Object") == len(certificates) && strings.Count(said, "Private Key Object") == keys, "UKEY 上新旧证书与密钥都在", said)
}
