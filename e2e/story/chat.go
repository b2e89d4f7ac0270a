package story

import (
	"regexp"
	"slices"
	"strings"
)

// pinByChat is the PIN that the key gets in the end.
const pinByChat = "40918273"

// inChat is what ends and what begins in the conversation with the official account:
// a reviewer approves there what was checked on the page, and a subscriber who
// forgot the PIN is led from there to the key helper.
func (p *player) inChat() {
	try(p.world.Advance(p.ctx, "25h")) // the codes of earlier stories are forgotten
	o := p.confirm(p.draft("yd-initial", "1"))
	p.bind()
	p.pay(o)
	p.becomes(o, "待审核")
	p.approveInChat(o, p.claim(o))
	p.becomes(o, "待配送")
	p.unlockFromChat(p.ship(o, p.label())[0])
}

var confirmation = regexp.MustCompile(`确认码 (\d{4})`)

// approveInChat says 通过 and the tail, which works once the four checks are ticked,
// and for nobody else.
func (p *player) approveInChat(o purchase, page *Page) {
	const undecided = "待审核"
	p.say(reviewer, "没有勾选核对，就在公众号回复“通过 "+o.tail()+"”")
	answer := p.approval(o)
	p.check(strings.Contains(answer, "勾选四项检查") && strings.Contains(answer, "/staff/review/"+o.id) && p.state(o).Label == undecided,
		"公众号请他先在页面核对并勾选，给出任务的链接", answer)

	f := must(page.Form("/approve"))
	f.Values["tick"] = page.Choices("tick")
	p.say(reviewer, "在页面勾选四项核对，回到公众号再说一次")
	p.shown(must(p.staff[reviewer].Post(p.ctx, page, "/staff/review/"+o.id+"/ticks", f.Values)))
	answer = p.approval(o)
	code := confirmation.FindStringSubmatch(answer)
	p.check(code != nil && strings.Contains(answer, "…"+o.tail()) && strings.Contains(answer, company) && len(leaks(answer)) == 0,
		"公众号复述任务，要一个 4 位确认码，不含个人信息", answer)
	p.check(p.state(o).Label == undecided, "没有确认之前订单不变", short(p.state(o)))

	p.chatAs(secondReviewer, code[1])
	p.chatAs(reviewer, otherCode(code[1]))
	p.check(p.state(o).Label == undecided, "别人回复确认码、确认码不对，都不算数", short(p.state(o)))
	p.say(reviewer, "回复确认码")
	answer = p.chatAs(reviewer, code[1])
	p.check(strings.Contains(answer, "已通过 …"+o.tail()) && slices.Contains(p.state(o).events(), "approve"), "回复确认码后审核通过", answer, short(p.state(o)))
}

// approval is what a reviewer hears who says 通过. Of several tasks with this tail the
// whole number says which.
func (p *player) approval(o purchase) string {
	answer := p.chatAs(reviewer, "通过 "+o.tail())
	if strings.Contains(answer, "尾号相同") {
		answer = p.chatAs(reviewer, "通过 "+o.no)
	}
	return answer
}

// unlockFromChat asks for help and follows the link; the PIN is set in the helper, never
// in the conversation.
func (p *player) unlockFromChat(token string) {
	before, told := p.unlocks()
	p.say(applicant, "在公众号里说：口令忘了，UKEY 锁死了")
	answer := p.chat("口令忘了，" + token + " 锁死了，怎么解锁")
	link := regexp.MustCompile(`href="([^"]+/unlock\?serial=` + token + `)"`).FindStringSubmatch(answer)
	p.check(link != nil && strings.Contains(answer, "…"+token[len(token)-4:]) && strings.Contains(answer, "不要把口令发给任何人"),
		"公众号说明怎么解锁，提醒不要发送口令，给出这把 UKEY 的解锁链接", answer)
	p.say(applicant, "在插着 UKEY 的电脑上打开链接")
	page := p.shown(must(p.browser.Get(p.ctx, link[1])))
	p.check(page.URL.Path == "/unlock" && page.Value("serial") == token, "解锁页已填好序列号", page.URL, page.Text())
	page = p.shown(p.send(p.browser, page, "/unlock", map[string]string{"code": p.unlockCode(page, mobile, token)}))
	p.helped(page, pinByChat)
	p.unlocked(before+1, told+1)
	p.check(p.opens(token, pinByChat), "新口令可以打开 UKEY")
	p.say(applicant, "把新口令发到了公众号")
	answer = p.chat("我的口令是" + pinByChat)
	found, err := filesWith(p.instance.DataDir, []string{pinByChat})
	try(err)
	p.check(strings.Contains(answer, "请不要在聊天里发送密码或口令") && len(found) == 0, "公众号提醒他改掉口令，哪里也没有留下它", answer, strings.Join(found, "; "))
}

// otherCode is a code that differs.
func otherCode(code string) string {
	return strings.Map(func(r rune) rune { return '0' + (r-'0'+1)%10 }, code)
}
