// Package notice holds the texts of SMS and WeChat messages: one table, in the
// words people read. It works out a message from an order; numbers and names of
// people never appear in a text (F109).
package notice

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

// CodeTemplate is the SMS template of verification codes: {1} code, {2} what it
// is for, {3} seconds it lives.
const CodeTemplate = "code"

// Links makes the addresses that messages point at.
type Links struct {
	PublicURL string // without a trailing slash
	// Authorization is the link of one message to a legal representative.
	Authorization string
	// Web is the same without WeChat.
	Web string
	// Until is when the request to the legal representative expires.
	Until time.Time
	// Token is the serial of the USBKEY that one message is about, where it is known.
	Token string
}

// Authorize is the legal representative's page for a token.
func (l Links) Authorize(token string) string { return l.PublicURL + "/auth/" + token }

// Order is the applicant's page of an order.
func (l Links) Order(id order.ID) string { return l.PublicURL + "/orders/" + string(id) }

// Certificates is 我的证书, where a lost or stolen key is frozen.
func (l Links) Certificates() string { return l.PublicURL + "/certificates" }

// Review is the reviewer's page of an order.
func (l Links) Review(id order.ID) string { return l.PublicURL + "/staff/review/" + string(id) }

// Day is the statistics of a day of reviewing.
func (l Links) Day(t time.Time) string {
	return l.PublicURL + "/staff/stats?day=" + t.In(order.Shanghai).Format(time.DateOnly)
}

// Making is the issuers' work list.
func (l Links) Making() string { return l.PublicURL + "/staff/making" }

// Shipping is the shippers' work list.
func (l Links) Shipping() string { return l.PublicURL + "/staff/shipping" }

// Finance is the list of refunds to look after.
func (l Links) Finance() string { return l.PublicURL + "/staff/finance" }

// Invoices is where finance sees to invoices that failed.
func (l Links) Invoices() string { return l.PublicURL + "/staff/invoices" }

// Reconciliation is where finance explains how the platforms' bills differ.
func (l Links) Reconciliation() string { return l.PublicURL + "/staff/reconciliation" }

// MiniPage is the mini-program's page for a link of ours: its own one, or the one
// that shows the web's.
func (l Links) MiniPage(link string) string {
	path := strings.TrimPrefix(link, l.PublicURL)
	if id, ok := strings.CutPrefix(path, "/orders/"); ok {
		return "pages/order/index?id=" + url.QueryEscape(id)
	}
	if path == "/certificates" {
		return "pages/certificates/index"
	}
	if path == "/invoices" {
		return "pages/invoices/index"
	}
	return "pages/web/index?path=" + url.QueryEscape(path)
}

// text is the wording of one notice. SMS templates are approved by the carrier
// beforehand, so only their parameters vary.
type text struct {
	sms    string
	params func(o order.Order, l Links) []string
	// status and next are the lines of the WeChat card; at most 5 and 20 characters.
	status, next string
}

func tail(o order.Order, _ Links) []string { return []string{order.TailOf(o.No)} }

// which names the USBKEY that a message is about, or the order where that is not known.
func which(o order.Order, l Links) string {
	if l.Token != "" {
		return tokenTail(l.Token)
	}
	return "订单尾号 " + order.TailOf(o.No)
}

// tokenTail is a USBKEY as people know it.
func tokenTail(serial string) string { return "UKEY 尾号 " + serial[max(0, len(serial)-4):] }

func whichOne(o order.Order, l Links) []string { return []string{which(o, l)} }

func whichAndCertificates(o order.Order, l Links) []string {
	return []string{which(o, l), l.Certificates()}
}

func tailAndLink(o order.Order, l Links) []string {
	return []string{order.TailOf(o.No), l.Order(o.ID)}
}

// tailEndAndLink names the day on which what was approved runs out.
func tailEndAndLink(o order.Order, l Links) []string {
	return []string{order.TailOf(o.No), order.Day(o.GrantEnd(time.Time{})), l.Order(o.ID)}
}

func tailAndDay(o order.Order, _ Links) []string {
	return []string{order.TailOf(o.No), o.PromisedBy()}
}

// legalRep are the parameters of what a legal representative receives: the
// masked name of who applies, his own company, and his link.
func legalRep(o order.Order, l Links) []string {
	return []string{o.Form.Masked(order.AgentName), o.Company, l.Authorization, l.Web}
}

func legalRepUntil(o order.Order, l Links) []string {
	return append(legalRep(o, l), l.Until.In(order.Shanghai).Format("1月2日15:04"))
}

var texts = map[order.Notice]text{
	order.NoticeUnpaid:         {"您的订单（尾号{1}）还没有支付，明天将退回填写状态，请尽快支付：{2}", tailAndLink, "待支付", "请尽快支付，明天将退回填写"},
	order.NoticeUnpaidReturned: {"您的订单（尾号{1}）超过 7 天未支付，已退回填写状态，资料已保留，可随时重新提交：{2}", tailAndLink, "未支付", "已退回填写，资料已保留"},
	order.NoticeApprovedIssue:  {"您的订单（尾号{1}）已审核通过，正在制作 UKEY，预计{2}前寄出或可领取，届时会短信通知您。", tailAndDay, "审核通过", "正在制作 UKEY"},
	order.NoticeApprovedLate:   {"您的订单（尾号{1}）已审核通过，正在制作 UKEY。比承诺的{2}晚了，很抱歉，我们会尽快办理，寄出或可领取时会短信通知您。", tailAndDay, "审核通过", "正在制作 UKEY，已延迟"},
	order.NoticeExpressMissed: {"您的订单（尾号{1}）没能在加急承诺的时间内办好，很抱歉。加急费{2}元将原路退回，一般 1 至 3 个工作日到账，订单办理不受影响。", func(o order.Order, _ Links) []string {
		return []string{order.TailOf(o.No), o.ExpressFee().Yuan()}
	}, "加急超时", "加急费将原路退回，办理不受影响"},
	order.NoticeApprovedDownload: {"您的订单（尾号{1}）已审核通过，请在 30 天内插好 UKEY 下载证书：{2}", tailAndLink, "审核通过", "请插好 UKEY 下载证书"},
	order.NoticeFetch:            {"您的订单（尾号{1}）的证书还没有下载，请在{2}前插好 UKEY 下载：{3}", tailEndAndLink, "待下载", "请插好 UKEY 下载证书"},
	order.NoticeFetchLast:        {"您的订单（尾号{1}）的证书还有 7 天可以下载，{2}后须重新提交审核。请尽快插好 UKEY 下载：{3}", tailEndAndLink, "待下载", "还有 7 天，请插好 UKEY 下载"},
	order.NoticeApprovedRenew:    {"您的更新申请（尾号{1}）已审核通过，请插好 UKEY 完成更新：{2}", tailAndLink, "审核通过", "请插好 UKEY 完成更新"},
	order.NoticeApprovedUnlock:   {"您的解锁申请（尾号{1}）已审核通过，请在 7 天内插好 UKEY 设置新口令：{2}", tailAndLink, "审核通过", "请设置 UKEY 新口令"},
	order.NoticeApprovedRestore:  {"您的恢复申请（尾号{1}）已审核通过，请在 7 天内完成恢复：{2}", tailAndLink, "审核通过", "请在 7 天内完成恢复"},
	order.NoticeRejected: {"您的订单（尾号{1}）未通过审核：{2}。请修改后重新提交，不需要再次付款：{3}", func(o order.Order, l Links) []string {
		return []string{order.TailOf(o.No), shortReason(o), l.Order(o.ID)}
	}, "审核拒绝", "请修改后重新提交"},
	order.NoticeLapsed:  {"您的订单（尾号{1}）超过办理期限，没有办完。仍要办理请重新提交，不需要再次付款：{2}", tailAndLink, "已过期限", "请重新提交"},
	order.NoticeFixLast: {"您的订单（尾号{1}）还有 7 天未修改将关闭并退款，请尽快修改后重新提交：{2}", tailAndLink, "待修改", "请在 7 天内修改后重新提交"},
	order.NoticeFix: {"您的订单（尾号{1}）等待修改后重新提交，退回后 {2}：{3}", func(o order.Order, l Links) []string {
		return []string{order.TailOf(o.No), o.ClosesUnfixed(), l.Order(o.ID)}
	}, "待修改", "请修改后重新提交"},
	order.NoticeCalledOff: {"您的订单（尾号{1}）不再办理：{2}。详情：{3}", func(o order.Order, l Links) []string {
		return []string{order.TailOf(o.No), o.CalledOff(), l.Order(o.ID)}
	}, "不再办理", "请在订单中查看原因"},
	order.NoticePickUpReady: {"您的 UKEY 已制作完成（订单尾号{1}），请凭取件码{2}和本人证件到柜台领取，柜台的地址和时间请致电400-666-3999。", func(o order.Order, _ Links) []string {
		return []string{order.TailOf(o.No), o.Form.Get(order.PickUpCode)}
	}, "可领取", "取件码见短信"},
	order.NoticeShipped: {"您的 UKEY 已寄出（订单尾号{1}），{2}，单号{3}，请注意查收。", func(o order.Order, _ Links) []string {
		return []string{order.TailOf(o.No), o.CarrierName(), o.TrackingNo}
	}, "已发货", "请注意查收快递"},
	order.NoticeTrackingCorrected: {"您的快递单号有更正（订单尾号{1}）：{2}，单号{3}。之前告知的单号有误，请以此为准。", func(o order.Order, _ Links) []string {
		return []string{order.TailOf(o.No), o.CarrierName(), o.TrackingNo}
	}, "单号更正", "快递单号已更正，请查看"},
	order.NoticePickedUp: {"您的 UKEY 已被领取（订单尾号{1}）。如非本人领取，请立即联系客服 400-666-3999。", tail, "已领取", "请妥善保管 UKEY"},
	order.NoticeParcelReturned: {"您的包裹被退回，UKEY 完好（订单尾号{1}）。请核对收件地址，我们会在{3}前重新寄出：{2}", func(o order.Order, l Links) []string {
		return []string{order.TailOf(o.No), l.Order(o.ID), o.PromisedBy()}
	}, "已退回", "请核对地址，将重新寄出"},
	order.NoticeParcelLost:       {"您的包裹（订单尾号{1}）在运输途中丢失或损坏，其中的证书已吊销。我们已为您免费补办，不需要再次付款：{2}", tailAndLink, "免费补办", "快递丢失或损坏，已免费补办"},
	order.NoticeGiveUpProposed:   {"您的订单（尾号{1}）有 UKEY 未能制成，我们建议取消其中一部分并退回相应款项。请查看并决定是否同意：{2}", tailAndLink, "待确认", "请确认是否取消部分 UKEY"},
	order.NoticeKeysGivenUp:      {"您的订单（尾号{1}）已取消部分 UKEY，相应款项原路退回，一般 1 至 3 个工作日到账，其余照常办理。", tail, "部分取消", "相应款项将原路退回"},
	order.NoticePartRefundFailed: {"订单（尾号{1}）的部分退款失败，请到财务台处理。", tail, "部分退款失败", ""},
	order.NoticeRefundProposed:   {"订单（尾号{1}）的退款等待另一人复核，请到财务台处理。", tail, "退款待复核", ""},
	order.NoticeLateRefundFailed: {"订单（尾号{1}）的重复支付未能退回，请到财务台处理。", tail, "重复支付未退回", ""},
	order.NoticeLatePayment:      {"您的订单（尾号{1}）收到一笔重复或过期的支付，将原路全额退回，无需操作。", tail, "多付退回", "重复支付将原路退回"},
	order.NoticeRefundHeld:       {"商户账户余额不足，订单（尾号{1}）的退款一天没有退出。请到财务台查看并充值，系统会继续重试。", tail, "退款等待余额", ""},
	order.NoticeRefundStarted:    {"您的订单（尾号{1}）正在退款，款项将原路退回，一般 1 至 3 个工作日到账。", tail, "退款中", "款项将原路退回"},
	order.NoticeRefunded:         {"您的订单（尾号{1}）退款成功，款项已原路退回。", tail, "已退款", "款项已原路退回"},

	order.NoticeWritten: {"您的证书已写入 UKEY 并通过验证（{1}），可以使用了。如非本人操作，请立即联系客服 400-666-3999。", whichOne, "已完成", "证书已写入，可以使用"},
	order.NoticeBidOpened: {"您预约的提醒：投标已经开标，现在可以更新证书了，之前填写的内容已保留：{1}", func(o order.Order, l Links) []string {
		return []string{l.Order(o.ID)}
	}, "可更新", "已开标，可以更新证书"},
	order.NoticeBidOpenedRevoke: {"您预约的提醒：投标已经开标，仍需要吊销证书的，现在可以办理了：{1}", func(_ order.Order, l Links) []string {
		return []string{l.Certificates()}
	}, "已开标", "已开标，可以吊销证书"},
	order.NoticeOpeningAhead: {"您的证书登记的投标即将开标：请提前插上 UKEY 试登录招标平台，口令锁定或证书异常请立即办理：{1}", func(_ order.Order, l Links) []string {
		return []string{l.Certificates()}
	}, "即将开标", "请提前插上 UKEY 试登录"},

	order.NoticeLoanOverdue: {"您登记领用的 UKEY 过了归还日，还没有登记归还：请向领用人收回，并登记归还：{1}", func(_ order.Order, l Links) []string {
		return []string{l.Certificates()}
	}, "未归还", "领用的 UKEY 过了归还日"},
	order.NoticeForeignEnding: {"您登记的其他 CA 的 UKEY 证书即将到期，请尽快向原发证机构申请更新，以免影响投标：{1}", func(_ order.Order, l Links) []string {
		return []string{l.Certificates()}
	}, "即将到期", "请向原发证机构申请更新"},

	order.NoticeUnlocked: {"您的 UKEY 已办理解锁、重设口令（{1}）。如非本人操作，请立即冻结证书：{2}", whichAndCertificates, "已解锁", "如非本人操作请立即冻结"},
	order.NoticeFrozen:   {"您的证书（{1}）已冻结，暂时不能使用。如非本人操作，请立即联系客服 400-666-3999。详情：{2}", whichAndCertificates, "已冻结", "证书已冻结，暂时不能使用"},
	order.NoticeResumed:  {"您的证书（{1}）已恢复，可以继续使用。如非本人要求，请立即联系客服 400-666-3999。详情：{2}", whichAndCertificates, "已恢复", "证书已恢复，可以使用"},
	order.NoticeRevoked:  {"您的证书（{1}）已吊销，不能再使用，也不能恢复。如非本人操作，请立即联系客服 400-666-3999。详情：{2}", whichAndCertificates, "已吊销", "证书已吊销，不能再使用"},
	order.NoticeRebound:  {"证书（{1}）的绑定用户已更换，以后的验证码和提醒将发送到新的手机号。如非本人或本单位办理，请立即联系客服 400-666-3999。", whichOne, "已换绑", "绑定用户已更换"},

	order.NoticeAuthorize:     {"{1}正在为「{2}」办理投标数字证书，需要您（法定代表人）授权。微信点击 {3} 办理，没有微信点击 {4} ，{5}前有效。如不知情请忽略，或打开后点击拒绝。", legalRepUntil, "待授权", "请法定代表人授权"},
	order.NoticeAuthorizeSoon: {"提醒：{1}为「{2}」办理投标数字证书，正在等待您（法定代表人）授权。微信点击 {3} 办理，没有微信点击 {4} 。如不知情请打开后点击拒绝。", legalRep, "待授权", "请法定代表人授权"},
	order.NoticeAuthorizeDay:  {"提醒：{1}为「{2}」办理投标数字证书，已等待您（法定代表人）授权一天。微信点击 {3} 办理，没有微信点击 {4} 。如不知情请打开后点击拒绝。", legalRep, "待授权", "请法定代表人授权"},
	order.NoticeAuthorizeLast: {"最后提醒：{1}为「{2}」办理投标数字证书的授权请求即将过期。微信点击 {3} 办理，没有微信点击 {4} 。如不知情请打开后点击拒绝。", legalRep, "待授权", "请法定代表人授权"},
	order.NoticeMandateUsed:   {"{1}依据您的长期授权，为「{2}」提交了一笔数字证书申请。查看或撤回：微信点击 {3} ，没有微信点击 {4} 。制证开始前可以撤回。", legalRep, "已授权", "已依据长期授权提交"},
	order.NoticeAuthorized:    {"您的订单（尾号{1}）已获法定代表人授权，进入审核，预计{2}前办好，届时会短信通知您。", tailAndDay, "法人已授权", "已进入审核"},

	order.NoticeReviewTask:        {"有一笔订单（尾号{1}）等待审核，请打开审核台处理。", tail, "待审核", ""},
	order.NoticeSecondReview:      {"有一笔订单（尾号{1}）等待复核，请打开审核台处理。", tail, "待复核", ""},
	order.NoticeAssigned:          {"订单（尾号{1}）的审核任务已指派给您，请打开审核台处理。", tail, "指派给您", ""},
	order.NoticeReviewHalf:        {"订单（尾号{1}）的审核时限已过半，请尽快处理。", tail, "时限过半", ""},
	order.NoticeReviewSoon:        {"订单（尾号{1}）的审核即将超时，请督促处理。", tail, "即将超时", ""},
	order.NoticeReviewOverdue:     {"订单（尾号{1}）的审核已超时，请督促处理并向申请人说明原因。", tail, "审核超时", ""},
	order.NoticeKeyFailed:         {"订单（尾号{1}）有 UKEY 制作失败，请到制证台处理。", tail, "制证失败", ""},
	order.NoticeShipTask:          {"订单（尾号{1}）已制证完成，等待寄出。", tail, "待寄出", ""},
	order.NoticeRefundFailed:      {"订单（尾号{1}）退款失败，请到财务台处理。", tail, "退款失败", ""},
	order.NoticeInvoiceFailed:     {"订单（尾号{1}）发票开具失败，请到财务台处理。", tail, "发票开具失败", ""},
	order.NoticeFulfilmentRefused: {"订单（尾号{1}）的发货信息没有录入微信，款项可能被微信扣留，请到财务台处理。", tail, "发货信息待处理", ""},
}

// shortReason is the first reason, short enough for an SMS.
func shortReason(o order.Order) string {
	if len(o.Reasons) == 0 {
		return "材料需要修改"
	}
	spec, _ := o.Reasons[0].Spec()
	s := spec.Text
	if spec.Code == "R20" {
		s = "请查看订单中的说明"
	}
	if n := len(o.Reasons); n > 1 {
		s += fmt.Sprintf("等 %d 处", n)
	}
	return s
}

// SMSTemplates are the texts to have approved by the carrier, by our name.
func SMSTemplates() map[string]string {
	out := map[string]string{CodeTemplate: "验证码{1}，用于{2}，{3}秒内有效。任何人索要验证码都是诈骗，请勿告诉他人。"}
	for n, t := range texts {
		out[string(n)] = t.sms
	}
	for n, t := range renewals {
		if t.sms != "" {
			out[string(n)] = t.sms
		}
	}
	return out
}

// SMS returns the template name and parameters of a notice about an order.
func SMS(n order.Notice, o order.Order, l Links) (template string, params []string, err error) {
	t, ok := texts[n]
	if !ok {
		return "", nil, fmt.Errorf("notice %s has no text", n)
	}
	return string(n), t.params(o, l), nil
}

// The WeChat templates, by our name.
const (
	ProgressTemplate = "order_progress"
	TaskTemplate     = "staff_task"
)

// WeChatTemplates are the messages to set up, as template messages and
// subscription notices of the official account and as subscription messages of the
// mini-program: our name → title and content as WeChat's console wants them.
func WeChatTemplates() map[string][2]string {
	return map[string][2]string{
		ProgressTemplate: {"订单进度通知", "订单编号：{{character_string1.DATA}}\n办理业务：{{thing2.DATA}}\n当前状态：{{phrase3.DATA}}\n说明：{{thing4.DATA}}"},
		TaskTemplate:     {"待办任务提醒", "任务：{{thing1.DATA}}\n单号尾号：{{character_string2.DATA}}\n单位：{{thing3.DATA}}\n说明：{{thing4.DATA}}\n时限：{{time5.DATA}}"},
	}
}

// Card is a WeChat template message about an order.
type Card struct {
	Template string // ProgressTemplate or TaskTemplate
	URL      string
	Data     map[string]string
}

// taskPage is where a staff card leads; reviews open their own page.
var taskPage = map[order.Notice]func(Links, order.ID) string{
	order.NoticeReviewTask:        Links.Review,
	order.NoticeSecondReview:      Links.Review,
	order.NoticeAssigned:          Links.Review,
	order.NoticeReviewHalf:        Links.Review,
	order.NoticeReviewSoon:        Links.Review,
	order.NoticeReviewOverdue:     Links.Review,
	order.NoticeKeyFailed:         func(l Links, _ order.ID) string { return l.Making() },
	order.NoticeShipTask:          func(l Links, _ order.ID) string { return l.Shipping() },
	order.NoticeRefundProposed:    func(l Links, _ order.ID) string { return l.Finance() },
	order.NoticePartRefundFailed:  func(l Links, _ order.ID) string { return l.Finance() },
	order.NoticeLateRefundFailed:  func(l Links, _ order.ID) string { return l.Finance() },
	order.NoticeRefundHeld:        func(l Links, _ order.ID) string { return l.Finance() },
	order.NoticeFulfilmentRefused: func(l Links, _ order.ID) string { return l.Finance() },
	order.NoticeRefundFailed:      func(l Links, _ order.ID) string { return l.Finance() },
	order.NoticeInvoiceFailed:     func(l Links, _ order.ID) string { return l.Invoices() },
}

// WeChat returns the card of a notice. A staff card says what is to be done, how
// long it may take and for which company, and nothing about people (flows.md 4.4).
func WeChat(n order.Notice, o order.Order, l Links) (Card, error) {
	t, ok := texts[n]
	if !ok {
		return Card{}, fmt.Errorf("notice %s has no text", n)
	}
	if page, isTask := taskPage[n]; isTask {
		return Card{TaskTemplate, page(l, o.ID), map[string]string{
			"thing1":            clip(fmt.Sprintf("%s%s · %s · ¥%s", hurry(o), t.status, o.Business.Label(), o.Amount.Yuan()), 20),
			"character_string2": order.TailOf(o.No),
			"thing3":            clip(cmp.Or(o.Company, o.Product.Name), 20),
			"thing4":            clip(taskNote(o), 20),
			"time5":             dueText(due(o)),
		}}, nil
	}
	about, page := o.Business.Label()+"（共 "+fmt.Sprint(o.Quantity())+" 个 UKEY）", l.Order(o.ID)
	if l.Token != "" {
		about, page = tokenTail(l.Token), l.Certificates()
	}
	return Card{ProgressTemplate, page, map[string]string{
		"character_string1": o.No,
		"thing2":            clip(about, 20),
		"phrase3":           clip(t.status, 5),
		"thing4":            clip(t.next, 20),
	}}, nil
}

// Cabinet is the card about what comes to its end in somebody's cabinet (钥匙柜); it
// names neither the USBKEY nor anybody.
func Cabinet(n order.Notice, at time.Time, l Links) Card {
	t := texts[n]
	return Card{ProgressTemplate, l.Certificates(), map[string]string{
		"character_string1": at.In(order.Shanghai).Format(time.DateOnly),
		"thing2":            order.Notices[n].Label,
		"phrase3":           t.status,
		"thing4":            t.next,
	}}
}

// AboutCabinet are the notices about somebody's cabinet: they are about no order.
func AboutCabinet(n order.Notice) bool {
	return n == order.NoticeLoanOverdue || n == order.NoticeForeignEnding
}

// namesToken are the notices about what became of one USBKEY or its certificate.
var namesToken = []order.Notice{order.NoticeWritten, order.NoticeUnlocked, order.NoticeFrozen, order.NoticeResumed, order.NoticeRevoked, order.NoticeRebound}

// NamesToken are the notices about one USBKEY, which they name where it is known.
func NamesToken(n order.Notice) bool { return slices.Contains(namesToken, n) }

// BillDiffers is the card about what the payment platforms' bills and our books disagree
// about, to be explained by finance.
func BillDiffers(at time.Time, open int, l Links) Card {
	return Card{TaskTemplate, l.Reconciliation(), map[string]string{
		"thing1":            "支付对账有差异",
		"character_string2": at.In(order.Shanghai).Format(time.DateOnly),
		"thing3":            fmt.Sprintf("待处理 %d 笔", open),
		"thing4":            "请到对账页核实并说明",
		"time5":             dueText(time.Time{}),
	}}
}

// Summary is the card about a day of reviewing.
func Summary(day time.Time, s order.ReviewStats, l Links) Card {
	return Card{TaskTemplate, l.Day(day), map[string]string{
		"thing1":            "今日审核汇总",
		"character_string2": day.In(order.Shanghai).Format("2006-01-02"),
		"thing3":            clip(fmt.Sprintf("通过 %d · 拒绝 %d", s.Approved, s.Rejected), 20),
		"thing4":            clip(fmt.Sprintf("待受理 %d · 待复核 %d · 超时 %d", s.Queued, s.Second, s.Overdue), 20),
		"time5":             dueText(day.Add(17*time.Hour + 30*time.Minute)),
	}}
}

// Brief is a notice as one line of an inbox: what it says, in the words of its
// card, and where it leads.
func Brief(n order.Notice, o order.Order, l Links) (text, url string) {
	if r, ok := renewals[n]; ok {
		return r.next, l.Certificates()
	}
	t := texts[n]
	if AboutCabinet(n) {
		return t.next, l.Certificates()
	}
	if page, isTask := taskPage[n]; isTask {
		about := o.Business.Label()
		if o.Company != "" { // an unlock names none (F84)
			about += " · " + o.Company
		}
		return hurry(o) + t.status + "：" + about, page(l, o.ID)
	}
	return t.next, l.Order(o.ID)
}

// hurry marks a task that was paid for to be done soon.
func hurry(o order.Order) string {
	if o.Express == order.ExpressPromised {
		return "加急 · "
	}
	return ""
}

func taskNote(o order.Order) string {
	way := "纸质授权书"
	if o.Form.Get(order.AuthWay) == order.AuthMiniProgram {
		way = "法人小程序授权"
	}
	if o.Submission > 1 {
		return fmt.Sprintf("%s · 第 %d 次提交", way, o.Submission)
	}
	return way
}

// due is when the task should be done: the review, else the whole order.
func due(o order.Order) time.Time {
	if o.Status == order.InReview && !o.ReviewDue.IsZero() {
		return o.ReviewDue
	}
	return o.DueAt
}

func dueText(t time.Time) string {
	if t.IsZero() {
		return "尽快"
	}
	return t.In(order.Shanghai).Format("2006年01月02日 15:04")
}

// clip shortens s to n characters, the last one an ellipsis: WeChat refuses
// longer values.
func clip(s string, n int) string {
	r := []rune(strings.TrimSpace(s))
	if len(r) <= n {
		return string(r)
	}
	return string(r[:n-1]) + "…"
}
