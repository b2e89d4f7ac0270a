package story

import (
	"bufio"
	"bytes"
	"cmp"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/provider/sim"
)

// The PINs of the story; nobody else may ever see one.
const (
	pinByTicket   = "73916428"
	pinByCode     = "51827364"
	pinByApproval = "96203751"
)

// unlock is a company that forgets the PIN of its key, three times: the key
// helper sets a new one after an SMS code, then with a challenge code as if the PC
// had no network, then after a review.
func (p *player) unlock() {
	try(p.world.Advance(p.ctx, "25h")) // the codes of earlier stories are forgotten
	_, token := p.owner()
	initial := must(p.Token(p.ctx, p.instance.Environ(), token)).PIN
	p.check(p.opens(token, initial), "新 UKEY 用初始口令可以打开")

	before, told := p.unlocks()
	p.byTicket(token)
	p.unlocked(before+1, told+1)
	p.check(p.opens(token, pinByTicket) && !p.opens(token, initial), "新口令可以打开 UKEY，旧口令不能")
	p.byCode(token)
	p.unlocked(before+2, told+2)
	p.check(p.opens(token, pinByCode) && !p.opens(token, pinByTicket), "离线设置的口令可以打开 UKEY")
	p.byApproval(token)
	p.check(p.opens(token, pinByApproval) && !p.opens(token, pinByCode), "审批解锁设置的口令可以打开 UKEY")
	found, err := filesWith(p.instance.DataDir, []string{pinByTicket, pinByCode, pinByApproval})
	try(err)
	p.check(len(found) == 0, "数据文件与日志中没有任何新口令", strings.Join(found, "; "))
}

// opens reports whether a program that shares no code with us logs in with a PIN
// and finds a private key.
func (p *player) opens(token, pin string) bool {
	said, err := p.withPIN(token, pin, "--type", "privkey")
	return err == nil && strings.Contains(said, "Private Key Object")
}

// logsIn is opens for a USBKEY that need not hold a key.
func (p *player) logsIn(token, pin string) bool {
	_, err := p.withPIN(token, pin)
	return err == nil
}

func (p *player) withPIN(token, pin string, args ...string) (string, error) {
	access := must(p.Token(p.ctx, p.instance.Environ(), token))
	cmd := exec.CommandContext(p.ctx, "pkcs11-tool", append([]string{"--module", access.Module, "--token-label", token, "--login", "--pin", "env:YCD_STORY_PIN", "--list-objects"}, args...)...) //nolint:gosec // as an operator would
	cmd.Env = append(p.softHSM(), "YCD_STORY_PIN="+pin)
	return output(cmd)
}

// softHSM is the environment in which programs see the USBKEYs that are plugged in.
func (p *player) softHSM() []string {
	return append(os.Environ(), "SOFTHSM2_CONF="+filepath.Join(cmp.Or(p.tokens, p.instance.DataDir), "softhsm2.conf"))
}

// strangers checks that nobody learns from the page which USBKEYs exist (G19).
func (p *player) strangers() {
	b := newBrowser("Mozilla/5.0 (Macintosh)")
	page := must(b.Get(p.ctx, p.instance.URL+"/unlock"))
	answer := must(b.Post(p.ctx, page, "/unlock/sms", url.Values{"serial": {"TW99999999999999"}}))
	p.check(answer.Says("已发送"), "不存在的序列号与存在的得到同样的回答", answer.Text())
}

// prove asks for a code to the bound mobile and sends the form of a page with it.
func (p *player) prove(path, token string, more map[string]string) *Page {
	page := p.open(path)
	values := map[string]string{"serial": token, "code": p.unlockCode(page, mobile, token)}
	for k, v := range more {
		values[k] = v
	}
	return p.shown(p.send(p.browser, page, path, values))
}

// unlockCode has a code to unlock a USBKEY sent, and reads it from the telephone that
// it must come to.
func (p *player) unlockCode(page *Page, mobile, token string) string {
	try(p.world.Advance(p.ctx, "61s"))                 // codes are a minute apart
	older, _ := p.world.Code(p.ctx, mobile, "解锁 UKEY") // none is as good as one
	answer := p.shown(must(p.browser.Post(p.ctx, page, "/unlock/sms", url.Values{"serial": {token}})))
	p.check(answer.Says("已发送"), "短信验证码已发出（解锁）", answer.Text())
	var sms sim.SMSMessage // texted by a job, so that no answer tells which serials exist
	p.eventually("绑定手机收到验证码", func() (bool, any) {
		var err error
		sms, err = p.world.Code(p.ctx, mobile, "解锁 UKEY")
		return err == nil && sms.SerialNo != older.SerialNo, err
	})
	return sms.Params[0]
}

// byTicket unlocks with the key helper, as the page says.
func (p *player) byTicket(token string) {
	p.say(applicant, "忘记口令，在首页点“自助解锁”，按页面运行证书助手")
	before := p.unlockCodes()
	p.strangers()
	page := p.prove("/unlock", token, nil)
	sent := p.unlockCodes() - before
	p.check(sent == 1, "为不存在的序列号没有发出短信，只有绑定手机收到一条", sent)
	p.helped(page, pinByTicket)
}

// unlockCodes counts the SMS codes to unlock that went out, to anybody.
func (p *player) unlockCodes() (n int) {
	for _, m := range must(p.world.SMS(p.ctx)) {
		if strings.Contains(m.Text, "用于解锁 UKEY") {
			n++
		}
	}
	return n
}

// helped runs the command that the page shows, and types the new PIN.
func (p *player) helped(page *Page, pin string) {
	p.check(page.Says("不要拔出") && page.Says(token(page)), "页面提示不要拔出 UKEY", page.Text())
	cmd := p.unlockCommand(page)
	cmd.Stdin = strings.NewReader(pin + "\n" + pin + "\n")
	said, err := output(cmd)
	p.check(err == nil && strings.Contains(said, "解锁成功") && !strings.Contains(said, pin), "证书助手设置了新口令，不显示口令", said, err)
	state := p.open(page.Attribute("run", "data-progress"))
	p.check(strings.Contains(string(state.Body), `"state":"done"`), "网页得知已完成", string(state.Body))
	again, err := output(p.unlockCommand(page))
	p.check(err != nil && strings.Contains(err.Error(), "已失效"), "办理凭证只能用一次", again, err)
}

// unlockCommand is the command that the page shows.
func (p *player) unlockCommand(page *Page) *exec.Cmd {
	command := strings.Fields(strings.Join(page.Texts("cmd"), " "))
	p.check(len(command) == 6 && command[0] == "keyhelper", "没有证书助手服务时给出命令行", command)
	cmd := exec.CommandContext(p.ctx, p.Helper, command[1:]...) //nolint:gosec // the page is ours
	cmd.Env = p.softHSM()
	return cmd
}

func token(page *Page) string { return page.Attribute("run", "data-serial") }

// unlocks counts the orders of self-service unlocks, and the notices about unlocks.
func (p *player) unlocks() (orders, told int) {
	orders = strings.Count(p.open("/orders?product="+url.QueryEscape("自助解锁")).Text(), "SAAS1")
	for _, m := range must(p.world.SMS(p.ctx)) {
		if m.Mobile == mobile && strings.Contains(m.Text, "已办理解锁") {
			told++
		}
	}
	return orders, told
}

// unlocked checks that an unlock is an order, completed for nothing (F84), and that
// the bound mobile hears of it.
func (p *player) unlocked(orders, told int) {
	page := p.open("/orders?product=" + url.QueryEscape("自助解锁"))
	p.check(strings.Count(page.Text(), "SAAS1") == orders && page.Says("已完成"), "自助解锁是一个已完成的订单", page.Text())
	p.eventually("绑定手机收到解锁通知", func() (bool, any) {
		_, got := p.unlocks()
		return got == told, got
	})
}

// byCode unlocks as on a PC without a network: the helper shows a challenge, the
// phone page answers it.
func (p *player) byCode(token string) {
	p.say(applicant, "电脑断网：助手显示挑战码，用手机换取响应码")
	cmd := exec.CommandContext(p.ctx, p.Helper, "unlock", "--offline", "--token", token) //nolint:gosec // as a person would
	cmd.Env = p.softHSM()
	stdin := must(cmd.StdinPipe())
	stdout := must(cmd.StdoutPipe())
	var said bytes.Buffer
	cmd.Stderr = &said
	try(cmd.Start())
	lines := bufio.NewReader(stdout)
	_, challenge, ok := strings.Cut(strings.TrimSpace(must(lines.ReadString('\n'))), "：")
	p.check(ok && len(challenge) == 9, "助手显示 8 位挑战码 "+challenge)
	page := p.prove("/unlock/code", token, map[string]string{"challenge": challenge})
	response := strings.Join(page.Texts("groups"), "")
	response = strings.Join(strings.Fields(response), "")
	p.check(len(response) == 18, "手机页面给出响应码", page.Text())
	must(io.WriteString(stdin, response+"\n"+pinByCode+"\n"+pinByCode+"\n"))
	try(stdin.Close())
	rest := must(io.ReadAll(lines))
	err := cmd.Wait()
	p.check(err == nil && strings.Contains(string(rest), "解锁成功"), "断网的电脑上解锁成功", string(rest), said.String(), err)
}

// byApproval unlocks with a review (rows 28 and 56).
func (p *player) byApproval(token string) {
	p.say(applicant, "在“我的证书”申请审批解锁，支付 50 元")
	page := p.open("/certificates")
	card := must(page.Form("/orders", "business=unlock_approval"))
	page = p.shown(must(p.browser.Submit(p.ctx, page, card)))
	o := p.begun(page)
	for i, field := range []string{"id.front", "id.back", "license", "letter"} {
		if page.Has(field) {
			p.upload(page, o, field, Photo(i+1))
		}
	}
	page = p.open(o.page() + "/edit")
	page = p.shown(p.send(p.browser, page, o.page()+"/form", map[string]string{"do": "submit"}))
	p.check(strings.HasSuffix(page.URL.Path, "/confirm") && page.Says(token) && page.Says("50.00"), "确认页写明为哪个 UKEY 解锁", page.Text())
	o = p.agree(o, page)
	p.pay(o)
	p.becomes(o, "待审核")
	p.approve(o, p.claimWith(o, 2))
	p.becomes(o, "待解锁")
	p.check(p.open(o.page()).Says("解锁"), "订单页有“解锁”按钮")
	page = p.open(o.page() + "/unlock")
	p.check(page.Says("填写资料") && page.Says("等待审核") && page.Says("设置新口令") && page.Says(identity.MaskHolder(company)) && !page.Says(company) && page.Says(token), "步骤条和证书使用者", page.Text())
	if p.Kills {
		p.killedAt(unlockSteps, token, func() (*exec.Cmd, string) {
			page := p.shown(p.send(p.browser, p.open(o.page()+"/unlock"), o.page()+"/unlock", nil))
			return p.unlockCommand(page), pinByApproval
		}, pinByCode, pinByApproval)
		p.check(p.state(o).Label == "待解锁", "订单仍是「待解锁」", short(p.state(o)))
	}
	page = p.shown(p.send(p.browser, page, o.page()+"/unlock", nil))
	p.diesReporting(p.unlockCommand(page), pinByApproval)
	state := p.open(page.Attribute("run", "data-progress"))
	p.check(strings.Contains(string(state.Body), `"state":"done"`), "网页得知已完成", string(state.Body))
	p.becomes(o, "已完成")
	p.check(p.logsIn(token, pinByApproval), "新口令可以打开 UKEY")
}
