package order

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Guidance says in plain words where an order stands and what comes next; the
// portal, the bot and the API all say the same.
type Guidance struct {
	// State is the label people see: the applicant is not shown our inner stages
	// beyond what he can act on.
	State string
	// What happens now, in one sentence.
	What string
	// Next step, in one sentence: whose move it is and by when.
	Next string
	// Action is what the applicant himself can do now, if anything.
	Action Action
	// FirstUse leads who has a new USBKEY, or soon will, to its initial PIN (G25): the end
	// of Next while there is one to be told, which the order does not know.
	FirstUse string
}

// Action is something the applicant can do with an order (F92).
type Action string

// The actions of F92 that exist so far.
const (
	NoAction       Action = ""
	ActionView     Action = "view"
	ActionContinue Action = "continue"
	ActionPay      Action = "pay"
	ActionFix      Action = "fix"
	ActionTrack    Action = "track"
	ActionRestore  Action = "restore"
	ActionUnlock   Action = "unlock"
	ActionRun      Action = "run"
)

var actionLabels = map[Action]string{ActionView: "查看", ActionContinue: "继续填写", ActionPay: "去支付", ActionFix: "立即修改", ActionTrack: "查看物流", ActionRestore: "恢复", ActionRun: "写入证书", ActionUnlock: "解锁"}

// Label is the action as the applicant reads it.
func (a Action) Label() string { return actionLabels[a] }

type guide struct {
	what, next string
	action     Action
}

// guides is the text per state; {until} is when the applicant has to have acted.
var guides = map[State]guide{
	draft:                 {"申请还没有提交。", "填写完成后提交并支付。", ActionContinue},
	awaitingPayment:       {"订单已提交，还没有支付。", "请在 {until} 前完成支付，支付后进入审核。", ActionPay},
	awaitingAuthorization: {"正在等待法定代表人授权。", "法定代表人点击短信中的链接完成授权后进入审核，7 天内有效。", NoAction},
	queued:                {"已收到申请，等待审核员受理。", "", NoAction},
	claimed:               {"审核员正在审核您的材料。", "", NoAction},
	secondApproval:        {"初审已通过，正在复核。", "", NoAction},
	fixable:               {"申请未通过审核。", "请按原因修改后重新提交", ActionFix},
	closed:                {"订单已关闭。", "如需办理请重新提交申请。", NoAction},
	unclaimed:             {"审核已通过，等待制证。", "", NoAction},
	making:                {"正在制作 UKEY。", "", NoAction},
	makingFailed:          {"制证遇到问题，工作人员正在处理。", "", NoAction},
	toPost:                {"UKEY 已制作完成，等待寄出。", "", ActionTrack},
	toPickUp:              {"UKEY 已制作完成，可以领取。", "请凭短信中的取件码和证件到柜台领取，柜台的地址和时间请致电 400-666-3999。", NoAction},
	renewReady:            {"更新申请已通过。", "请在插着 UKEY 的电脑上点击更新，写入新证书。", ActionRun},
	renewRunning:          {"正在写入新证书。", "请保持 UKEY 插入，不要拔出。", ActionRun},
	renewInterrupted:      {"写入被中断，原证书仍然有效。", "请重新插好 UKEY 后继续，不需要重新申请。", ActionRun},
	downloadReady:         {"审核已通过，可以下载证书。", "请在 {until} 前，在插着 UKEY 的电脑上下载。", ActionRun},
	downloadRunning:       {"正在写入证书。", "请保持 UKEY 插入，不要拔出。", ActionRun},
	downloadInterrupted:   {"写入被中断。", "请重新插好 UKEY 后继续。", ActionRun},
	toUnlock:              {"解锁申请已通过。", "请在 {until} 前插好 UKEY 设置新口令，过期后重新提交审核即可，不需要再次付款。", ActionUnlock},
	toRestore:             {"恢复申请已通过。", "请在 {until} 前通过绑定手机的短信验证完成恢复，证书立即可用。过期后重新提交审核即可。", ActionRestore},
	completed:             {"订单已完成。", "", ActionTrack},
	refunded:              {"款项已原路退回。", "", NoAction},
}

// done is what a completed order has brought about on {day}, where nothing was handed over.
// What has become of it since is told by 我的证书: the certificate may be frozen by now.
var done = map[Business]string{
	Initial: "证书已于 {day} 写入 UKEY，有效期和现在的状态见「我的证书」。", Reissue: "新证书已于 {day} 写入 UKEY，有效期和现在的状态见「我的证书」。",
	Renewal:    "证书已于 {day} 更新，新的有效期和现在的状态见「我的证书」。",
	UnlockSelf: "自助解锁已办理，请使用新口令。", UnlockApproval: "UKEY 已解锁，请使用新口令。",
	Resume: "证书已于 {day} 恢复，现在的状态见「我的证书」。", Rebind: "证书已于 {day} 换绑到您的手机号。",
}

// Guide says where the order stands and what comes next. A promise that was not kept
// is not repeated.
func (o Order) Guide(now time.Time) Guidance {
	g := guides[o.State]
	out := Guidance{State: o.Status.Label(), What: g.what, Next: strings.Replace(g.next, "{until}", moment(o.until()), 1), Action: g.action}
	switch {
	case o.Refund == Refunding:
		return Guidance{State: o.Status.Label() + "（退款中）", What: "退款正在处理。", Next: "款项将原路退回，一般 1–3 个工作日到账。"}
	case o.Refund == RefundFailed:
		return Guidance{State: o.Status.Label() + "（退款处理中）", What: "退款正在人工处理。", Next: "如有疑问请联系客服 400-666-3999。"}
	case o.RanOut():
		out.What, out.Next = "已经审核通过，但超过期限没有办完。", "仍要办理，重新提交即可，审核后继续"+o.leftToFix()
	case o.State == fixable:
		out.Next += o.leftToFix()
	case o.State == making:
		out.What = fmt.Sprintf("正在制作 UKEY（已完成 %d/%d）。", o.Verified, o.Quantity()-o.GivenUp)
	case o.State == toPost && o.Parcel == ParcelReceived:
		out.What = "包裹被退回，UKEY 完好，等待重新寄出。请核对收件地址，需要修改请点「修改收件信息」。"
	case o.Status == Completed && o.TrackingNo != "":
		out.What = fmt.Sprintf("UKEY 已于 %s 由%s寄出，单号 %s。", o.ShippedAt.In(Shanghai).Format("01-02 15:04"), o.CarrierName(), o.TrackingNo)
		out.Next = parcelStates[o.Parcel].told
		if o.Refund == NoRefund && !slices.Contains([]ParcelState{ParcelTroubled, ParcelReturning, ParcelSentBack, ParcelReceived, ParcelLost}, o.Parcel) {
			when := "收到后"
			if o.Parcel == ParcelSigned {
				when = beforeUse
			}
			out.FirstUse = when + firstPIN
		}
	case o.Status == Completed && !o.Shipped():
		out.What, out.Action = strings.Replace(cmp.Or(done[o.Business], g.what), "{day}", Day(o.CompletedAt), 1), NoAction
	case o.Status == Completed:
		if out.What, out.Action = "UKEY 已领取。", NoAction; o.Refund == NoRefund {
			out.FirstUse = beforeUse + firstPIN
		}
	}
	if out.Next == "" && o.promised() {
		promise := o.promise()
		out.Next = fmt.Sprintf("预计 %s 前%s，届时会短信通知。", o.PromisedBy(), promise)
		if o.Overdue(now) {
			out.Next = fmt.Sprintf("已超过承诺的 %s，很抱歉，我们会尽快办理，%s时会短信通知。着急请致电 400-666-3999。", o.PromisedBy(), promise)
		}
	}
	if o.Express == ExpressMissed && !slices.Contains([]Status{Rejected, Completed, Refunded}, o.Status) {
		out.Next = "没能在加急承诺的时间内办好，很抱歉，加急费 ¥" + o.ExpressFee().Yuan() + " 原路退回。" + out.Next
	}
	return out
}

// until is when the applicant has to have done what his order waits for: paid, or used what
// was approved. What was approved about a certificate that can be renewed ends with it.
func (o Order) until() time.Time {
	if o.State == awaitingPayment {
		return o.Consent.At.Add(payWithin)
	}
	return o.GrantEnd(time.Time{})
}

// fixWithin is how long the order waits to be put right.
func (o Order) fixWithin() time.Duration {
	if o.Amount > 0 {
		return fixPaidWithin
	}
	return fixFreeWithin
}

// leftToFix says what a correction costs, and what becomes of the order without one
// (rows 34 and 35).
func (o Order) leftToFix() string {
	days := o.fixWithin() / day
	if o.Amount > 0 {
		return fmt.Sprintf("，不需要再次付款。退回后 %d 天内没有重新提交的，订单关闭，款项原路退回。", days)
	}
	return fmt.Sprintf("，仍然免费。退回后 %d 天内没有重新提交的，订单关闭，之后可以重新申请。", days)
}

// ClosesUnfixed says when and how an order that waits to be put right ends without that.
func (o Order) ClosesUnfixed() string {
	what := "将关闭"
	if o.Amount > 0 {
		what += "并退款"
	}
	return fmt.Sprintf("%d 天内未修改%s", o.fixWithin()/day, what)
}

// FixUntil is when a rejected order of that history closes by itself; zero when it waits
// for no correction.
func (o Order) FixUntil(events []EventRecord) time.Time {
	if o.State != fixable || o.Refund != NoRefund {
		return time.Time{}
	}
	for _, e := range slices.Backward(events) {
		if e.To == fixable && e.From != fixable {
			return e.At.Add(o.fixWithin())
		}
	}
	return time.Time{}
}

// moment is a time as people read it.
func moment(t time.Time) string { return t.In(Shanghai).Format("1月2日 15:04") }

// firstPIN leads to the initial PIN, without which nobody can use a new USBKEY (G25).
const (
	firstPIN  = "在电脑上打开「我的证书」，查看初始口令（只显示一次）。"
	beforeUse = "第一次使用前"
)

// promise is what the order is promised to be when its promise runs out.
func (o Order) promise() string {
	switch {
	case !o.Shipped():
		return "完成审核"
	case o.Form.Get(ShipWay) == ShipPickUp:
		return "可以领取"
	default:
		return "寄出"
	}
}

// PromisedBy is when the promise runs out as people read it: a day, of an express order
// also the hour.
func (o Order) PromisedBy() string {
	if o.Express == ExpressPromised {
		return moment(o.DueAt)
	}
	return Day(o.DueAt)
}

// PromisedWithin is how soon after its submission the order is promised to be done.
func (o Order) PromisedWithin() string {
	if o.ExpressFee() > 0 && o.Express != ExpressMissed {
		return fmt.Sprintf("%d 个工作小时内%s", o.Product.Express.Hours, o.promise())
	}
	return fmt.Sprintf("%d 个工作日内%s", slaDays, o.promise())
}

// promised reports whether a day that was promised is still to be kept, by us.
func (o Order) promised() bool {
	return !o.DueAt.IsZero() && o.Refund == NoRefund && o.State != toPickUp && o.State != awaitingAuthorization && slices.Contains([]Status{InReview, ToIssue, ToShip}, o.Status)
}

// Overdue reports whether we are late with what was promised.
func (o Order) Overdue(now time.Time) bool { return o.promised() && now.After(o.DueAt) }

// DelayNotice says that the review takes longer than it should and why; empty
// while it does not.
func (o Order) DelayNotice(now time.Time) string {
	if !o.Late(now) {
		return ""
	}
	text := "审核延迟：应于 " + moment(o.ReviewDue) + " 前完成，已交由负责人督办。"
	if o.Delay != NoDelay {
		text += "原因：" + o.Delay.Label() + "。"
	}
	return text
}

// Day is a date as people read it, in Shanghai: 11月26日.
func Day(t time.Time) string { return t.In(Shanghai).Format("1月2日") }

// Closable reports whether the applicant may give the order up (row 34).
func (o Order) Closable() bool {
	_, err := next(o, Command{On: Close, By: Actor{Role: Applicant}})
	return err == nil
}

// DeliveryChangeable reports whether the applicant may still say where the keys
// go (row 47).
func (o Order) DeliveryChangeable() bool {
	_, err := next(o, Command{On: ChangeDelivery, By: Actor{Role: Applicant}, Form: o.Form})
	return err == nil && o.Refund == NoRefund
}

// Verb is the action on an order of this business, as the applicant reads it
// (F92).
func (a Action) Verb(b Business) string {
	if verb, ok := runVerbs[b]; ok && a == ActionRun {
		return verb
	}
	return a.Label()
}

var runVerbs = map[Business]string{Renewal: "更新", Initial: "下载证书", Reissue: "下载证书"}

// Actions are what the applicant can do with an order, the main one first (F92).
func (o Order) Actions(now time.Time) []Action {
	if a := o.Guide(now).Action; a != NoAction {
		return []Action{a, ActionView}
	}
	return []Action{ActionView}
}
