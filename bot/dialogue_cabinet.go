package bot

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/yuncaidun/yuncaidun/bot/intent"
	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/order"
)

// maxOut is how many USBKEYs that are out an answer names.
const maxOut = 5

const (
	aKey     = `(?:u\s*盾|u\s*-?\s*key|usb\s*-?\s*key|ca\s*(?:锁|key|钥匙)?|(?:加密|证书|电子)?锁|钥匙|key)`
	somebody = `(?:谁|哪个(?:人|同事|部门)|哪位|什么人|何人)`
	hasIt    = `(?:拿着|拿了|拿走了?|拿去了?|拿的|借走了?|借去了?|借了|领走了?|领用了?|领了|领的|保管着?|管着|收着|带走了?)`
	lent     = `(?:都|被|又|现在|是|已经?)*(?:借给?|交给|给|发给|转给)(?:了|到)?`
)

// askedWhoHas are questions after who has a USBKEY, whole: 谁拿着我的U盾, 财务那把key在谁手上,
// U盾借给谁了, 借出去的锁还了吗, and the names of the pages that tell.
var askedWhoHas = []*regexp.Regexp{
	regexp.MustCompile(`(?i)^.{0,12}` + aKey + `(?:现在|目前|都|还|是|究竟|到底)*在` + somebody + `(?:的|那)?(?:手上|手里|手中|里|儿|边|这|这里|身上|保管|管)?(?:呢|啊|呀|了)?$`),
	regexp.MustCompile(`(?i)^.{0,8}` + somebody + `(?:现在|还|正|又|把)*` + hasIt + `.{0,8}` + aKey + `(?:呢|啊|呀|了|没还|还没还)?$`),
	regexp.MustCompile(`(?i)^.{0,12}` + aKey + `(?:现在|目前|都|是|由|被|让|给)*` + somebody + `(?:现在|还|正|来|给)*` + hasIt + `(?:呢|啊|呀|了|的)?$`),
	regexp.MustCompile(`(?i)^.{0,12}` + aKey + lent + somebody + `(?:了|呢|啊|呀|用了?|保管)*$`),
	regexp.MustCompile(`(?i)^.{0,8}` + aKey + `(?:都|现在|已经)*(?:借出去?|领走|借走)了(?:吗|没有?|么)(?:呢|啊|呀)?$`),
	regexp.MustCompile(`(?i)^.{0,8}(?:借出去?的)?` + aKey + `(?:什么时候|哪天|几号)(?:该|要|应该)?(?:归还|还回来|收回)(?:来|呢|啊|呀|了)?$`),
	regexp.MustCompile(`(?i)^(?:哪|有哪|还有哪|有没有|还有|有)(?:几|一|些)?(?:把|个)?` + aKey + `(?:还|在外面|借)*(?:没有?|未)?(?:还|归还|收回|借出去?)(?:来|的|了)*(?:吗|么|呢)?$`),
	regexp.MustCompile(`(?i)^.{0,8}(?:借出去?|借走|拿走|领走|领用)了?的` + aKey + `(?:都|现在)*(?:还了?(?:吗|没有?|么)|归还了?(?:吗|没有?|么)|有哪些|有几把|在哪|什么时候(?:该|要|应该)?(?:还|归还))(?:呢|啊|呀|了)?$`),
	regexp.MustCompile(`^(?:查一?下?|看一?下?|打开|我的)?(?:钥匙柜|领用登记|领用记录|(?i:ukey|u盾)领用(?:登记|记录|情况)?)$`),
}

// alarming are words of somebody who fears for his USBKEY: he is told how to stop it.
var alarming = regexp.MustCompile(`丢|偷|盗|抢|骗|冒|不见|找不|挂失|冻|停用|吊销|注销|泄|密码|口令|(?i:pin)|报警|陌生|不认识|离职`)

// whoHas reports whether a message asks who has which USBKEY.
func whoHas(text string) bool {
	text = strings.TrimRight(strings.Join(strings.Fields(text), ""), "。.!！?？~")
	return !alarming.MatchString(text) && slices.ContainsFunc(askedWhoHas, func(r *regexp.Regexp) bool { return r.MatchString(text) })
}

// cabinet says who has which USBKEY of the person's, and until when (ADR 0041).
func (t *turn) cabinet(ctx context.Context) (string, error) {
	p, err := t.who(ctx)
	if err != nil {
		return "", err
	}
	if p.ID == "" {
		t.state.Asked, t.state.Topic = askedMobile, intent.CertExpiry
		return textCabinetUnbound, nil
	}
	all, err := t.Certs.Cabinet(ctx, p.ID)
	switch {
	case err != nil:
		return "", err
	case len(all.Tokens) == 0:
		return t.fill(textCabinetEmpty), nil
	case len(all.Out) == 0:
		return t.fill(fillIn(textNothingOut, "{n}", strconv.Itoa(len(all.Tokens)))), nil
	}
	var b strings.Builder
	for _, l := range all.Out[:min(len(all.Out), maxOut)] {
		b.WriteString(t.loan(l, all.Tokens) + "\n")
	}
	if more := len(all.Out) - maxOut; more > 0 {
		fmt.Fprintf(&b, "另有 %d 把借出。\n", more)
	}
	if back := len(all.Tokens) - len(all.Out); back > 0 {
		fmt.Fprintf(&b, "其余 %d 把没有借出。\n", back)
	}
	next := fillIn(textLog, "{token}", all.Out[0].Token)
	if len(all.Out) > 1 {
		next = textCabinet
	}
	return b.String() + t.fill(next), nil
}

// quoted is what somebody else wrote, as words: WeChat would make a link of its <a>.
func quoted(text string) string { return strings.NewReplacer("<", "＜", ">", "＞").Replace(text) }

// short is as much of a name as is read at a glance.
func short(name string, most int) string {
	name = quoted(name)
	if r := []rune(name); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return name
}

// loan is a USBKEY with who has it, masked, since when and until when.
func (t *turn) loan(l certificate.Loan, tokens []certificate.Token) string {
	name := "…" + l.Token[max(0, len(l.Token)-4):]
	if i := slices.IndexFunc(tokens, func(k certificate.Token) bool { return k.ID == l.Token }); i >= 0 {
		if name += "（" + short(tokens[i].Name, 20) + "）"; tokens[i].Foreign != nil {
			name = short(tokens[i].Name, 20)
		}
	}
	who := l.Borrower.Mask()
	if l.Department != "" {
		who += "（" + short(l.Department, 12) + "）"
	}
	says := fmt.Sprintf("UKEY %s：%s %s领用，应于 %s 归还", name, who, order.Day(l.LentAt), order.Day(l.DueAt))
	if l.Overdue(t.Now()) {
		says += fmt.Sprintf("，已超过 %d 天", -(certificate.Certificate{NotAfter: l.DueAt}).DaysLeft(t.Now()))
	}
	return says + "。"
}
