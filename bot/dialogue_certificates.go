package bot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/yuncaidun/yuncaidun/bot/intent"
	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store/session"
)

// certificates answers an intent from the person's own certificates: the one that
// was named, or talked about, or the only one; a few as a list; many on the page.
// Somebody unbound gets the general advice, and may bind.
func (t *turn) certificates(ctx context.Context, about intent.Intent) (string, error) {
	if about == intent.CertExpiry && whoHas(t.text) {
		return t.cabinet(ctx)
	}
	switch {
	case about == intent.Unlock && asksInitialPIN.MatchString(t.text):
		return t.fill(textInitialPIN), nil
	case about == intent.BidSafety && cannotDecrypt.MatchString(t.text):
		return textCannotDecrypt, nil
	}
	p, err := t.who(ctx)
	if err != nil {
		return "", err
	}
	if p.ID == "" {
		return t.unboundCertificates(about), nil
	}
	all, err := t.Certs.HeldBy(ctx, p.ID)
	if err != nil {
		return "", err
	}
	now := t.Now()
	if named := t.namedCertificate(all); named != nil {
		return t.aboutCertificate(ctx, *named, about)
	}
	if t.meant.Slots[intent.SlotTokenSerial] != "" || t.meant.Slots[intent.SlotCertSerial] != "" {
		return textCertNotYours, nil
	}
	concerned := slices.DeleteFunc(slices.Clone(all), func(c certificate.Certificate) bool { return !t.concerned(c, all, about, now) })
	switch n := len(concerned); {
	case len(all) == 0:
		return t.noCertificates(ctx)
	case n == 0:
		return t.aboutCertificate(ctx, all[0], about)
	case n == 1:
		return t.aboutCertificate(ctx, concerned[0], about)
	case n > maxChoices:
		return t.fill(fillIn(textManyCertificates, "{n}", strconv.Itoa(n))), nil
	default:
		return t.listCertificates(concerned, about), nil
	}
}

var (
	asksInitialPIN = regexp.MustCompile(`(?i)(?:初始|出厂|默认|原始|起始|一开始|第一次)[^,，。]{0,6}(?:密码|口令|pin)|(?:密码|口令|pin码?)(?:是|为)?(?:什么|多少|啥|几)|(?:密码|口令|pin码?)[^,，。]{0,4}(?:在哪|没告诉|没给|没发|写在)`)
	cannotDecrypt  = regexp.MustCompile(`解密?[^,，。]{0,4}(?:失败|不了|不开|不出|报错|出错|不成功)|(?:无法|没法|不能)解密`)
)

// noCertificates answers who has none: what he asks about is mostly still being made.
func (t *turn) noCertificates(ctx context.Context) (string, error) {
	open, err := t.mine(ctx, order.Filter{Open: true, Limit: 1})
	if err != nil || len(open) == 0 {
		return textNoCertificates, err
	}
	text, err := t.aboutOrder(ctx, open[0], intent.OrderStatus)
	return textNoCertificateYet + "\n\n" + text, err
}

// unboundCertificates is the general advice, with what it takes to say more. How
// long something is expired can be judged without knowing whose it is.
func (t *turn) unboundCertificates(about intent.Intent) string {
	t.state.Asked, t.state.Topic = askedMobile, about
	text := t.fill(advice[about])
	if over, err := strconv.Atoi(t.meant.Slots[intent.SlotOverdueDays]); err == nil && about == intent.CertExpiry {
		text = fillIn(either(over <= 90, textOverdueRenewable, textOverdueTooLate), "{days}", strconv.Itoa(over))
	}
	return text + "\n" + textBindForMore
}

// toldToReply are the words that an answer about one certificate asks for, by what the
// answer was about: they are about the same one.
var toldToReply = map[string][]intent.Intent{"冻结": {intent.LostReissue, intent.Revoke}, "更新": {intent.CertExpiry}}

// namedCertificate is the one of the certificates that the message names by a
// serial or its end, or points back at.
func (t *turn) namedCertificate(all []certificate.Certificate) *certificate.Certificate {
	name, back := "", t.pointed().Cert
	if slices.Contains(toldToReply[strings.TrimSpace(t.text)], t.state.Topic) {
		back = cmp.Or(back, t.state.Last.Cert)
	}
	for _, slot := range []intent.Slot{intent.SlotOrderTail, intent.SlotTokenSerial, intent.SlotCertSerial} {
		name = cmp.Or(t.meant.Slots[slot], name)
	}
	i := slices.IndexFunc(all, func(c certificate.Certificate) bool {
		return name != "" && called(c, name) || name == "" && back != "" && c.Serial == back
	})
	if i < 0 {
		return nil
	}
	return &all[i]
}

// called reports whether people call a certificate so: by its serial, or by that of its
// USBKEY or the end of that.
func called(c certificate.Certificate, name string) bool {
	switch name = strings.ToUpper(name); {
	case len(name) == 39: // a leading zero got lost (G3)
		return c.Serial == "0"+name
	case len(name) == 40:
		return c.Serial == name
	case strings.HasPrefix(name, "TW"):
		return c.TokenSerial == name
	default:
		return strings.HasSuffix(c.TokenSerial, name)
	}
}

// concerned reports whether an intent can be about one of all certificates: nobody
// freezes what is revoked. Of a renewed one only the end is left, and that comes with
// its successor's unless it is on a USBKEY of its own.
func (t *turn) concerned(c certificate.Certificate, all []certificate.Certificate, about intent.Intent, now time.Time) bool {
	renewed := c.SupersededBy != ""
	switch about {
	case intent.Revoke, intent.LostReissue:
		if renewed && slices.ContainsFunc(all, func(by certificate.Certificate) bool {
			return by.Serial == c.SupersededBy && by.TokenSerial == c.TokenSerial
		}) {
			return false
		}
		frozen := func(c certificate.Certificate) bool { return c.State() == certificate.Frozen }
		if takingBack.MatchString(t.text) || hasFound(t.text) && slices.ContainsFunc(all, frozen) {
			return frozen(c)
		}
		return len(c.Allowed(order.Applicant, now)) > 0
	case intent.Unlock:
		return !renewed && c.State() == certificate.Valid
	default:
		return !renewed && c.State() != certificate.Revoked
	}
}

// listCertificates offers a choice by digit, with what people mostly want to know.
func (t *turn) listCertificates(cs []certificate.Certificate, about intent.Intent) string {
	t.state.List, t.state.Topic = nil, about
	var b strings.Builder
	fmt.Fprintf(&b, "您有 %d 把相关的 UKEY：\n", len(cs))
	for i, c := range cs {
		t.state.List = append(t.state.List, thing{Cert: c.Serial, Tail: c.KeyTail()})
		fmt.Fprintf(&b, "%d. …%s %s　%s\n", i+1, c.KeyTail(), c.Holder, t.validity(c))
	}
	b.WriteString("回复数字选择。")
	return b.String()
}

// validity is until when a certificate is good, in one line.
func (t *turn) validity(c certificate.Certificate) string {
	now := t.Now()
	switch left := c.DaysLeft(now); {
	case c.State() != certificate.Valid:
		return c.State().Label()
	case c.Expired(now):
		return fmt.Sprintf("%s 已过期", dayOf(c.NotAfter))
	case left <= 0:
		return dayOf(c.NotAfter) + " 今天到期"
	default:
		return fmt.Sprintf("有效期至 %s，还有 %d 天", dayOf(c.NotAfter), left)
	}
}

// dayOf is a date with its year, in Shanghai.
func dayOf(t time.Time) string { return t.In(order.Shanghai).Format(time.DateOnly) }

func (t *turn) chooseCertificate(ctx context.Context, p order.Person, serial string) (string, error) {
	all, err := t.Certs.HeldBy(ctx, p.ID)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(all, func(c certificate.Certificate) bool { return c.Serial == serial })
	if i < 0 {
		return textCertNotYours, nil
	}
	return t.aboutCertificate(ctx, all[i], t.state.Topic)
}

// aboutCertificate says what an intent means for one certificate.
func (t *turn) aboutCertificate(ctx context.Context, c certificate.Certificate, about intent.Intent) (string, error) {
	t.state.Last, t.state.Topic = thing{Cert: c.Serial, Tail: c.KeyTail()}, about
	head := fmt.Sprintf("UKEY …%s（%s）\n%s\n", c.KeyTail(), c.Holder, t.validity(c))
	registered, err := t.registered(ctx, c)
	if err != nil {
		return "", err
	}
	switch about {
	case intent.Revoke:
		if wantsBack(t.text) {
			return head + t.resuming(c), nil
		}
		if wantsRevocation(t.text) {
			return head + t.revocation(c, registered), nil
		}
		return t.freeze(ctx, c, head)
	case intent.LostReissue:
		return head + t.loss(c), nil
	case intent.Unlock:
		return head + t.unlocking(c), nil
	case intent.BidSafety:
		return head + t.bidSafety(c, registered), nil
	default:
		o, going, err := t.renewing(ctx, c)
		if err != nil {
			return "", err
		}
		if going {
			return t.aboutOrder(ctx, o, intent.OrderStatus)
		}
		return head + t.renewal(c, about, registered), nil
	}
}

// renewing is the renewal of a certificate that was submitted and is open (F72).
func (t *turn) renewing(ctx context.Context, c certificate.Certificate) (order.Order, bool, error) {
	open, err := t.mine(ctx, order.Filter{Certificate: c.Serial, Business: order.Renewal, Open: true, Limit: 1})
	if err != nil || len(open) == 0 || open[0].Status == order.Draft {
		return order.Order{}, false, err
	}
	return open[0], true, nil
}

// renewal says whether a certificate can be renewed (F65, F66), and if so asks
// about bids first (flows 4.7).
func (t *turn) renewal(c certificate.Certificate, about intent.Intent, registered time.Time) string {
	now := t.Now()
	switch {
	case c.SupersededBy != "":
		return c.Replacement(now)
	case c.State() == certificate.Revoked:
		return t.fill("已吊销的证书不能更新，需要使用请重新办理。\n<a href=\"{portal}/\">新办证书</a>")
	case c.State() == certificate.Frozen && c.Expired(now):
		return t.fill(textFrozenOver)
	case c.State() == certificate.Frozen:
		return t.fill("冻结期间不能更新，找到 UKEY 后可以先申请恢复。\n<a href=\"{portal}/certificates\">我的证书</a>")
	case c.InRenewalWindow(now) && about == intent.CertExpiry:
		return t.fill("现在可以更新，最晚 " + dayOf(c.RenewableUntil()) + "。要更新请回复「更新」。")
	case c.InRenewalWindow(now):
		return "可以更新，最晚 " + dayOf(c.RenewableUntil()) + "。\n" + t.bids(c, registered)
	case c.Expired(now):
		return t.fill("已过期超过 90 天，不能再更新，请重新办理。\n<a href=\"{portal}/\">新办证书</a>")
	default:
		return "还不能更新：到期前不足 30 天才开放，" + dayOf(c.RenewableFrom()) + " 起可以更新，届时会提醒您。"
	}
}

// textFrozenOver is for what was frozen until it expired.
const textFrozenOver = "冻结期间已过期，不能恢复，也不能更新，请重新办理。\n<a href=\"{portal}/\">新办证书</a>"

// wantsRevocation tells 吊销 from 挂失: what can be taken back is assumed unless
// the other is said.
func wantsRevocation(text string) bool {
	for _, w := range []string{"冻", "挂失", "停"} {
		if strings.Contains(text, w) {
			return false
		}
	}
	for _, w := range []string{"销", "作废", "撤", "废", "掐", "不要了"} {
		if strings.Contains(text, w) {
			return true
		}
	}
	return false
}

var (
	takingBack = regexp.MustCompile(`解冻|恢复|解除|(?:取消|撤)[^,，。]{0,3}(?:冻结|挂失)|(?:冻结|挂失)[^,，。不别]{0,6}(?:取消|撤)`)
	foundAgain = regexp.MustCompile(`找(?:到|着)(?:了|啦)|找回|没有?(?:弄|搞)?丢|翻(?:出来|到了)|摸(?:着|到)了`)
	notFound   = regexp.MustCompile(`[没未](?:有|能)?找|找不`)
)

// wantsBack tells 解冻 from 冻结.
func wantsBack(text string) bool { return takingBack.MatchString(text) || hasFound(text) }

// hasFound tells a USBKEY that is there again from one that is lost.
func hasFound(text string) bool { return foundAgain.MatchString(text) && !notFound.MatchString(text) }

// resuming says how a freeze is taken back.
func (t *turn) resuming(c certificate.Certificate) string {
	if c.State() != certificate.Frozen && strings.Contains(t.text, "吊销") {
		return t.fill("吊销不能撤回，也不能恢复；还要使用的，请重新办理。只有冻结的证书可以恢复。\n<a href=\"{portal}/\">新办证书</a>")
	}
	if c.State() != certificate.Frozen {
		return "这张证书没有冻结，不需要恢复，可以照常使用。担心别人用过，请回复「冻结」，查清后再恢复。\n补办过的，请用补办后的那把：旧的已经吊销，找回来也不能再用。"
	}
	if c.Expired(t.Now()) {
		return t.fill(textFrozenOver)
	}
	return t.fill("在「我的证书」点击恢复，审核通过后即可使用。\n<a href=\"{portal}/certificates\">我的证书</a>")
}

// revocation never ends in chat (rule 5); bids that were not opened yet are asked
// about first.
func (t *turn) revocation(c certificate.Certificate, registered time.Time) string {
	if !slices.Contains(c.Allowed(order.Applicant, t.Now()), certificate.Revoke) {
		return "这张证书不需要再吊销。"
	}
	return "吊销立即生效，永远不可恢复。\n" + t.bids(c, registered)
}

// loss freezes first, and then tells how to get another key.
func (t *turn) loss(c certificate.Certificate) string {
	another := textReissue
	if c.SupersededBy != "" {
		another = textReplaced
	}
	if wantsBack(t.text) && !broken(t.text) {
		return t.resuming(c)
	}
	if broken(t.text) {
		return t.fill("坏了不用着急：先换一个 USB 口、换一台电脑试试；确实损坏可以补办，原证书随补办作废，用它加密的投标文件将无法解密。\n" + another)
	}
	if slices.Contains(c.Allowed(order.Applicant, t.Now()), certificate.Freeze) {
		return t.fill("请先冻结，防止被他人使用：回复「冻结」，验证短信后立即生效，找到后可以恢复。\n" + another)
	}
	return t.fill(another)
}

// broken tells 坏了 from 丢了.
func broken(text string) bool {
	for _, w := range []string{"坏", "断", "水", "摔", "烧", "裂", "弯", "松", "折", "烂", "没反应", "不亮"} {
		if strings.Contains(text, w) {
			return true
		}
	}
	return false
}

// unlocking says how this key is unlocked; the bot cannot reach it.
func (t *turn) unlocking(c certificate.Certificate) string {
	if c.State() != certificate.Valid {
		return "证书" + c.State().Label() + "，不能解锁。"
	}
	text := strings.ReplaceAll(advice[intent.Unlock], "{portal}/unlock", "{portal}/unlock?serial="+c.TokenSerial)
	if t.meant.Slots[intent.SlotUrgency] != "" || urgent(t.text) {
		text += "\n等着开标的，请同时回复「人工」，我们优先给您回电。"
	}
	return t.fill(text)
}

// challengePattern is what the key helper shows on a PC without a network (flows
// 4.6): the generation of the key's secret and seven characters of base32.
var challengePattern = regexp.MustCompile(`^(?i)(\d[a-z2-7]{3})[ -]?([a-z2-7]{4})$`)

// challenge takes the code that the key helper shows, which leads to the page that
// asks for the SMS and gives the response (rule 5: unlocking does not end in chat).
func (t *turn) challenge(ctx context.Context) (string, bool, error) {
	m := challengePattern.FindStringSubmatch(t.text)
	if m == nil || !strings.ContainsFunc(t.text, unicode.IsLetter) {
		return "", false, nil
	}
	query := url.Values{"challenge": {strings.ToUpper(m[1] + m[2])}}
	p, err := t.who(ctx)
	if err != nil {
		return "", true, err
	}
	if p.ID != "" {
		all, err := t.Certs.HeldBy(ctx, p.ID)
		if err != nil {
			return "", true, err
		}
		mine := slices.DeleteFunc(all, func(c certificate.Certificate) bool { return !t.concerned(c, all, intent.Unlock, t.Now()) })
		if len(mine) == 1 {
			query.Set("serial", mine[0].TokenSerial)
		}
	}
	return t.fill(fillIn(textChallenge, "{query}", query.Encode())), true, nil
}

// bidSafety judges a renewal against the opening that somebody names or has registered
// (flows.md 4.7).
func (t *turn) bidSafety(c certificate.Certificate, registered time.Time) string {
	named, _ := dateOf(t.meant.Slots[intent.SlotBidOpen], t.Now())
	if named.IsZero() && !registered.IsZero() {
		return t.bids(c, registered)
	}
	t.state.BidOpening = named
	if uploadedAlready(t.text) {
		return t.uploaded(c)
	}
	t.state.Asked = askedUploaded
	return askBid
}

const askBid = "先确认一件事：" + order.BidQuestion + "？回复「有」或「没有」。"

// bids asks about bids that are not opened yet, unless an opening is registered.
func (t *turn) bids(c certificate.Certificate, registered time.Time) string {
	t.state.BidOpening = registered
	if !registered.IsZero() {
		return "该证书登记的投标 " + t.uploaded(c)
	}
	t.state.Asked = askedUploaded
	return askBid
}

// registered is the day of the last opening that the holder of a certificate has
// registered and that is ahead; zero for none.
func (t *turn) registered(ctx context.Context, c certificate.Certificate) (time.Time, error) {
	ahead, err := t.Certs.Openings(ctx, c.Serial)
	if err != nil || len(ahead) == 0 {
		return time.Time{}, err
	}
	return day(ahead[len(ahead)-1].At.In(order.Shanghai).Date()), nil
}

func uploadedAlready(text string) bool {
	for _, w := range []string{"已上传", "上传了", "传上去", "已经上传", "已递交", "投了标", "投完标", "已投标", "标书传", "投上去", "加密完"} {
		if strings.Contains(text, w) {
			return true
		}
	}
	return false
}

var (
	yesWords = []string{"有", "是", "是的", "有的", "传了", "上传了", "已上传", "投了", "嗯", "对", "对的", "在的", "有呢", "有啊"}
	noWords  = []string{"没有", "没", "无", "否", "不是", "没有的", "没传", "还没", "没上传", "没投", "没有呢", "没有啊", "暂时没有", "现在没有", "没了"}
)

// aboutBid takes an answer to the bid question.
func (t *turn) aboutBid(ctx context.Context, asked question) (string, bool, error) {
	said := strings.Trim(t.text, "。.!！~，, ")
	opening, dated := dateIn(said, t.Now())
	yes, no := slices.Contains(yesWords, said), slices.Contains(noWords, said)
	if len([]rune(said)) > 20 || !yes && !no && !dated || t.state.Last.Cert == "" {
		return "", false, nil // something else is on their mind
	}
	p, err := t.who(ctx)
	if err != nil || p.ID == "" {
		return "", false, err
	}
	all, err := t.Certs.HeldBy(ctx, p.ID)
	if err != nil {
		return "", false, err
	}
	i := slices.IndexFunc(all, func(c certificate.Certificate) bool { return c.Serial == t.state.Last.Cert })
	switch {
	case i < 0:
		return textCertNotYours, true, nil
	case no && asked == askedUploaded:
		return t.safe(all[i]), true, nil
	case dated:
		t.state.BidOpening = opening
	}
	return t.uploaded(all[i]), true, nil
}

// safe is where to go when no bid is at stake.
func (t *turn) safe(c certificate.Certificate) string {
	page := t.PublicURL + "/certificates"
	if t.state.Topic == intent.Revoke {
		return `请在页面选择原因并验证短信后吊销：<a href="` + page + "/" + c.Serial + `/revoke">吊销证书</a>`
	}
	if !c.InRenewalWindow(t.Now()) {
		return "没有待开标的文件就不受影响。" + t.renewal(c, intent.CertExpiry, time.Time{})
	}
	return `可以放心更新。在「我的证书」点击更新提交申请，审核通过后插好 UKEY 完成。` + "\n" + `<a href="` + page + `">我的证书</a>`
}

// uploaded is the advice when there are bids that were not opened yet.
func (t *turn) uploaded(c certificate.Certificate) string {
	if t.state.BidOpening.IsZero() {
		t.state.Asked = askedOpening
		return "开标是哪一天？请回复日期，例如「12月3日」。"
	}
	opening := t.state.BidOpening
	advice := order.AdviseOnBid(true, opening.Add(24*time.Hour-time.Second), c.NotAfter, t.Now())
	if advice == order.BidOpened {
		t.state.Asked, t.state.BidOpening = askedUploaded, time.Time{}
		return order.Day(opening) + " 已经过了。还有没开标的吗？有的话请回复其中最晚的开标日期，没有请回复「没有」。"
	}
	if t.state.Topic == intent.Revoke {
		return order.Day(opening) + " 开标。" + advice.RevocationText() + "\n冻结请回复「冻结」；开标后提醒您、或仍要现在吊销：<a href=\"" + t.PublicURL + "/certificates/" + c.Serial + "/revoke\">吊销证书</a>，拿不准请回复「人工」。"
	}
	last := "最晚 " + dayOf(c.RenewableUntil()) + " 前更新。"
	switch advice {
	case order.BidFirst:
		return order.Day(opening) + " 开标。" + advice.Text() + "\n" + last + "拿不准请回复「人工」。"
	case order.BidAgain:
		return order.Day(opening) + " 开标。" + advice.Text() + "\n拿不准请回复「人工」。"
	default:
		return t.safe(c)
	}
}

// CodeFreeze is the purpose of the SMS code that freezes a certificate from chat.
const CodeFreeze = "freeze"

func freezeKey(openid string) string { return "freeze:" + openid }

// freeze sends a code to the bound mobile; typing it freezes (rule 5: what can be
// taken back may end in chat).
func (t *turn) freeze(ctx context.Context, c certificate.Certificate, head string) (string, error) {
	if !slices.Contains(c.Allowed(order.Applicant, t.Now()), certificate.Freeze) {
		return head + either(c.State() == certificate.Frozen, t.fill("已经是冻结状态，无法被使用。找到 UKEY 后可以申请恢复。\n<a href=\"{portal}/certificates\">我的证书</a>"), "这张证书不需要冻结。"), nil
	}
	p, err := t.who(ctx)
	if err != nil {
		return "", err
	}
	code, err := t.Codes.Issue(ctx, freezeChallenge(p, c.Serial))
	if err != nil {
		return "", err
	}
	if err := t.Memory.Remember(ctx, freezeKey(t.openid), []byte(c.Serial), challengeTTL); err != nil {
		return "", err
	}
	t.state.Coded = CodeFreeze
	if err := t.SendCode(ctx, p.Mobile, CodeFreeze, code); err != nil {
		return "", err
	}
	return head + fillIn(textFreezeCode, "{mobile}", p.Mobile.Mask()), nil
}

func freezeChallenge(p order.Person, serial string) session.Challenge {
	return session.Challenge{Purpose: CodeFreeze, Mobile: p.Mobile, Subject: serial}
}

// freezeCode takes six digits as the code to freeze with, if one is pending.
func (t *turn) freezeCode(ctx context.Context) (string, error) {
	serial, err := t.Memory.Recall(ctx, freezeKey(t.openid))
	if err != nil {
		return "", err
	}
	if len(serial) == 0 {
		return "", errNoChallenge
	}
	p, err := t.who(ctx)
	if err != nil {
		return "", err
	}
	if p.ID == "" {
		return "", errNoChallenge
	}
	err = t.Codes.Verify(ctx, freezeChallenge(p, string(serial)), t.text)
	if e, ok := order.AsError(err); ok && e.Kind == order.Invalid {
		return "", wrongCode(e.Detail + "。重新获取请回复「冻结」。")
	}
	if err != nil {
		return "", err
	}
	by := order.Actor{Role: order.Applicant, PersonID: p.ID, Channel: order.OfficialAcc}
	c, err := t.Certs.Apply(ctx, string(serial), certificate.Command{On: certificate.Freeze, By: by, MobileProven: true})
	if err != nil && (!errors.Is(err, order.Conflict) || c.State() != certificate.Frozen) { // somebody else may have been first
		return "", err
	}
	if err := t.Memory.Remember(ctx, freezeKey(t.openid), nil, 0); err != nil {
		t.Log.WarnContext(ctx, "forgetting a challenge", "err", err) // the code is used up anyway
	}
	t.state.Last = thing{Cert: c.Serial, Tail: c.KeyTail()}
	return t.fill(fillIn(textFrozen, "{tail}", c.KeyTail())), nil
}
