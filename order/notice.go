package order

import (
	"slices"
	"time"
)

// Notice names a message to people about an order. The text lives in templates;
// this table says who gets it and over which channels.
type Notice string

// The notices.
const (
	NoticeUnpaid           Notice = "unpaid_reminder"
	NoticeUnpaidReturned   Notice = "unpaid_returned"
	NoticeReviewTask       Notice = "review_task"
	NoticeSecondReview     Notice = "second_review_task"
	NoticeAssigned         Notice = "review_assigned"
	NoticeReviewHalf       Notice = "review_half"
	NoticeReviewSoon       Notice = "review_soon"
	NoticeReviewOverdue    Notice = "review_overdue"
	NoticeDaySummary       Notice = "day_summary" // about no order
	NoticeApprovedIssue    Notice = "approved_issue"
	NoticeApprovedLate     Notice = "approved_late" // instead of it, once the promised day has passed
	NoticeApprovedDownload Notice = "approved_download"
	NoticeFetch            Notice = "download_reminder"
	NoticeFetchLast        Notice = "download_reminder_last"
	NoticeExpressMissed    Notice = "express_missed" // the surcharge goes back
	NoticeApprovedRenew    Notice = "approved_renew"
	NoticeApprovedUnlock   Notice = "approved_unlock"
	NoticeApprovedRestore  Notice = "approved_restore"
	NoticeRejected         Notice = "rejected"
	NoticeLapsed           Notice = "lapsed" // in place of the former: what was approved was not done in time
	NoticeFix              Notice = "fix_reminder"
	NoticeFixLast          Notice = "fix_reminder_last" // a notice of its own: the same one twice would be one message
	NoticeCalledOff        Notice = "called_off"        // nothing will come of the order, and it cost nothing
	NoticeKeyFailed        Notice = "key_failed"
	NoticeShipTask         Notice = "ship_task"
	NoticePickUpReady      Notice = "pick_up_ready"
	NoticeShipped          Notice = "shipped"
	// NoticeTrackingCorrected tells the right number to whoever was told a wrong one.
	NoticeTrackingCorrected Notice = "tracking_corrected"
	NoticePickedUp          Notice = "picked_up"
	NoticeParcelReturned    Notice = "parcel_returned"
	NoticeParcelLost        Notice = "parcel_lost"
	NoticeGiveUpProposed    Notice = "give_up_proposed"
	NoticeKeysGivenUp       Notice = "keys_given_up"
	NoticeRefundProposed    Notice = "refund_proposed"
	NoticePartRefundFailed  Notice = "keys_refund_failed"
	NoticeLateRefundFailed  Notice = "late_refund_failed"
	NoticeRefundHeld        Notice = "refund_held"
	NoticeLatePayment       Notice = "late_payment"
	NoticeRefundStarted     Notice = "refund_started"
	NoticeRefunded          Notice = "refunded"
	NoticeRefundFailed      Notice = "refund_failed"
	NoticeInvoiceFailed     Notice = "invoice_failed"
	NoticeFulfilmentRefused Notice = "fulfilment_refused"
	NoticeBillDiffers       Notice = "bill_differs" // about no order
	NoticeBidOpened         Notice = "bid_opened"
	NoticeBidOpenedRevoke   Notice = "bid_opened_revoke" // package certificate sends it
	NoticeOpeningAhead      Notice = "opening_ahead"     // likewise
	NoticeLoanOverdue       Notice = "loan_overdue"      // likewise, about no order
	NoticeForeignEnding     Notice = "foreign_ending"    // likewise, about no order
	NoticeUnlocked          Notice = "unlocked"
	NoticeWritten           Notice = "certificate_written"
	// Package certificate sends these.
	NoticeFrozen  Notice = "certificate_frozen"
	NoticeResumed Notice = "certificate_resumed"
	NoticeRevoked Notice = "certificate_revoked"
	NoticeRebound Notice = "certificate_rebound"
	// To the legal representative. Each reminder is a notice of its own, as one
	// order event brings all three.
	NoticeAuthorize     Notice = "authorize"
	NoticeAuthorizeSoon Notice = "authorize_reminder_1"
	NoticeAuthorizeDay  Notice = "authorize_reminder_2"
	NoticeAuthorizeLast Notice = "authorize_reminder_3"
	NoticeAuthorized    Notice = "authorized"
	NoticeMandateUsed   Notice = "mandate_used"
	NoticeRenewPlan     Notice = "renew_plan"
	NoticeRenewOpen     Notice = "renew_open"
	NoticeRenewSoon     Notice = "renew_soon"
	NoticeRenewWeek     Notice = "renew_week"
	NoticeRenewDays     Notice = "renew_days"
	NoticeRenewTomorrow Notice = "renew_tomorrow"
	NoticeRenewToday    Notice = "renew_today"
	NoticeRenewExpired  Notice = "renew_expired"
	NoticeRenewMonth    Notice = "renew_month"
	NoticeRenewMonths   Notice = "renew_months"
	NoticeRenewLast     Notice = "renew_last"
	NoticeRenewOver     Notice = "renew_over"
	NoticeRenewContact  Notice = "renew_contact"
)

// Audience is whom a notice is for.
type Audience string

// The audiences. Staff audiences are every enabled member of staff with that
// role; a notice to the recipient also goes to the 经办人 when the number differs.
const (
	ToAgent     Audience = "agent"
	ToRecipient Audience = "recipient"
	ToReviewers Audience = "reviewers"
	ToIssuers   Audience = "issuers"
	ToShippers  Audience = "shippers"
	ToFinance   Audience = "finance"
	// ToHolder is the person that the notification names, ToFormer the one who held
	// the certificate before him.
	ToHolder Audience = "holder"
	ToFormer Audience = "former_holder"
	// ToSecond and ToLeader are whom the holder wants reminded, too: somebody who
	// stands in for him, and who answers for the company.
	ToSecond Audience = "second_contact"
	ToLeader Audience = "leader_contact"
	// ToLegalRep is the legal representative, by SMS with a link of his own.
	ToLegalRep Audience = "legal_rep"
	// ToOwner is whoever holds the claim, else everybody who could take it.
	ToOwner Audience = "owner"
	// ToLeaders are the reviewers who lead; without any, the admins.
	ToLeaders Audience = "leaders"
)

var audienceLabels = map[Audience]string{
	ToAgent: "经办人", ToRecipient: "收件人", ToLegalRep: "法定代表人",
	ToHolder: "绑定用户", ToFormer: "原绑定用户", ToSecond: "备用联系人", ToLeader: "单位负责人",
	ToReviewers: "审核员", ToIssuers: "制证员", ToShippers: "发货员", ToFinance: "财务", ToOwner: "审核员", ToLeaders: "组长",
}

// Label is the audience as people read it.
func (a Audience) Label() string { return audienceLabels[a] }

// staffRole is the role behind a staff audience.
var staffRole = map[Audience]Role{ToReviewers: Reviewer, ToIssuers: Issuer, ToShippers: Shipper, ToFinance: Finance}

// Medium is a way to reach people.
type Medium string

// The media. A WeChat message that cannot be delivered falls back to SMS.
const (
	SMS    Medium = "sms"
	WeChat Medium = "wechat"
)

// Way is how a WeChat message goes out.
type Way string

// The ways. A subscription notice costs a consent of whoever gets it, a template
// message wants a follower of the official account.
const (
	BySubscription     Way = "subscription"      // the official account's
	ByMiniSubscription Way = "mini_subscription" // the mini-program's
	ByTemplate         Way = "template"
)

var wayLabels = map[Way]string{BySubscription: "订阅通知", ByMiniSubscription: "小程序订阅消息", ByTemplate: "模板消息"}

// Label is the way as people read it.
func (w Way) Label() string { return wayLabels[w] }

// NoticeSpec says who gets a notice and how.
type NoticeSpec struct {
	To    Audience
	Media []Medium
	Label string
}

// inboxWillDo are the notices that are not worth an SMS.
var inboxWillDo = map[Notice]bool{NoticeDaySummary: true, NoticeBillDiffers: true, NoticeRenewPlan: true, NoticeRenewSoon: true, NoticeRenewMonth: true, NoticeRenewMonths: true}

// FallsBack reports whether SMS takes the place of a WeChat message that cannot
// be delivered; not when it goes out as SMS anyway.
func (n Notice) FallsBack() bool { return !slices.Contains(Notices[n].Media, SMS) && !inboxWillDo[n] }

var both = []Medium{SMS, WeChat}

// Notices is the table of all notices. SMS on approval, rejection and shipping
// is promised by F105 and F107.
var Notices = map[Notice]NoticeSpec{
	NoticeUnpaid:            {ToAgent, both, "待支付提醒"},
	NoticeUnpaidReturned:    {ToAgent, both, "超时未支付"},
	NoticeReviewTask:        {ToReviewers, []Medium{WeChat}, "审核任务"},
	NoticeSecondReview:      {ToReviewers, []Medium{WeChat}, "复核任务"},
	NoticeAssigned:          {ToOwner, []Medium{WeChat}, "指派给您"},
	NoticeReviewHalf:        {ToOwner, []Medium{WeChat}, "审核过半"},
	NoticeReviewSoon:        {ToLeaders, []Medium{WeChat}, "审核将超时"},
	NoticeReviewOverdue:     {ToLeaders, []Medium{WeChat}, "审核超时"},
	NoticeDaySummary:        {ToReviewers, []Medium{WeChat}, "今日汇总"},
	NoticeApprovedIssue:     {ToAgent, both, "审核通过"},
	NoticeApprovedLate:      {ToAgent, both, "审核通过（已延迟）"},
	NoticeApprovedDownload:  {ToAgent, both, "审核通过"},
	NoticeFetch:             {ToAgent, both, "下载提醒"},
	NoticeFetchLast:         {ToAgent, both, "最后下载提醒"},
	NoticeExpressMissed:     {ToAgent, both, "加急超时，退还加急费"},
	NoticeApprovedRenew:     {ToAgent, both, "审核通过"},
	NoticeApprovedUnlock:    {ToAgent, both, "审核通过"},
	NoticeApprovedRestore:   {ToAgent, both, "审核通过"},
	NoticeRejected:          {ToAgent, both, "审核拒绝"},
	NoticeLapsed:            {ToAgent, both, "办理期限已过"},
	NoticeFix:               {ToAgent, both, "修改提醒"},
	NoticeFixLast:           {ToAgent, both, "最后修改提醒"},
	NoticeCalledOff:         {ToAgent, both, "不再办理"},
	NoticeKeyFailed:         {ToIssuers, []Medium{WeChat}, "制证失败"},
	NoticeShipTask:          {ToShippers, []Medium{WeChat}, "发货任务"},
	NoticePickUpReady:       {ToRecipient, both, "可领取"},
	NoticeShipped:           {ToRecipient, both, "已发货"},
	NoticeTrackingCorrected: {ToRecipient, both, "更正快递单号"},
	NoticePickedUp:          {ToAgent, both, "已领取"},
	NoticeParcelReturned:    {ToAgent, both, "退件，请核对地址"},
	NoticeParcelLost:        {ToAgent, both, "免费补办"},
	NoticeGiveUpProposed:    {ToAgent, both, "请确认取消部分 UKEY"},
	NoticeKeysGivenUp:       {ToAgent, both, "部分取消，部分退款"},
	NoticeRefundProposed:    {ToFinance, []Medium{WeChat}, "退款待复核"},
	NoticePartRefundFailed:  {ToFinance, []Medium{WeChat}, "部分退款失败"},
	NoticeLateRefundFailed:  {ToFinance, []Medium{WeChat}, "重复支付未能退回"},
	NoticeRefundHeld:        {ToFinance, []Medium{WeChat}, "退款等待余额"},
	NoticeLatePayment:       {ToAgent, both, "重复支付退回"},
	NoticeRefundStarted:     {ToAgent, both, "退款处理中"},
	NoticeRefunded:          {ToAgent, both, "退款成功"},
	NoticeRefundFailed:      {ToFinance, []Medium{WeChat}, "退款失败"},
	NoticeInvoiceFailed:     {ToFinance, []Medium{WeChat}, "发票开具失败"},
	NoticeFulfilmentRefused: {ToFinance, []Medium{WeChat}, "微信发货信息待处理"},
	NoticeBillDiffers:       {ToFinance, []Medium{WeChat}, "对账差异"},
	NoticeWritten:           {ToAgent, both, "证书已写入"},
	NoticeBidOpened:         {ToAgent, []Medium{SMS}, "开标后更新"},
	NoticeBidOpenedRevoke:   {ToHolder, []Medium{SMS}, "开标后吊销"},
	NoticeOpeningAhead:      {ToHolder, both, "开标前一天"},
	NoticeLoanOverdue:       {ToHolder, both, "UKEY 未归还"},
	NoticeForeignEnding:     {ToHolder, both, "其他 CA 的 UKEY 到期"},
	NoticeUnlocked:          {ToAgent, both, "UKEY 已解锁"},
	NoticeRenewPlan:         {ToHolder, []Medium{WeChat}, "到期规划提醒"},
	NoticeRenewOpen:         {ToHolder, both, "可以更新了"},
	NoticeRenewSoon:         {ToHolder, []Medium{WeChat}, "到期提醒"},
	NoticeRenewWeek:         {ToHolder, both, "到期提醒"},
	NoticeRenewDays:         {ToHolder, []Medium{SMS}, "到期提醒"},
	NoticeRenewTomorrow:     {ToHolder, []Medium{SMS}, "明天到期"},
	NoticeRenewToday:        {ToHolder, []Medium{SMS}, "今天到期"},
	NoticeRenewExpired:      {ToHolder, []Medium{SMS}, "已过期"},
	NoticeRenewMonth:        {ToHolder, []Medium{WeChat}, "过期提醒"},
	NoticeRenewMonths:       {ToHolder, []Medium{WeChat}, "过期提醒"},
	NoticeRenewLast:         {ToHolder, []Medium{SMS}, "更新期限将满"},
	NoticeRenewOver:         {ToHolder, []Medium{SMS}, "需重新办理"},
	NoticeRenewContact:      {ToSecond, []Medium{SMS}, "到期提醒联系人"},
	NoticeFrozen:            {ToAgent, both, "证书已冻结"},
	NoticeResumed:           {ToAgent, both, "证书已恢复"},
	NoticeRevoked:           {ToAgent, both, "证书已吊销"},
	NoticeRebound:           {ToHolder, []Medium{SMS}, "绑定用户已更换"},
	NoticeAuthorize:         {ToLegalRep, []Medium{SMS}, "法人授权"},
	NoticeAuthorizeSoon:     {ToLegalRep, []Medium{SMS}, "法人授权提醒"},
	NoticeAuthorizeDay:      {ToLegalRep, []Medium{SMS}, "法人授权提醒"},
	NoticeAuthorizeLast:     {ToLegalRep, []Medium{SMS}, "法人授权提醒"},
	NoticeAuthorized:        {ToAgent, both, "法人已授权"},
	NoticeMandateUsed:       {ToLegalRep, []Medium{SMS}, "长期授权使用提醒"},
}

// DeliveryState is how far one notification has come.
type DeliveryState string

// The delivery states. Sending is recorded before the provider is called, so
// that a crash in between is seen and asked about rather than repeated.
const (
	DeliveryHeld        DeliveryState = "held" // waits for the end of quiet hours
	DeliveryPending     DeliveryState = "pending"
	DeliverySending     DeliveryState = "sending"
	DeliverySent        DeliveryState = "sent"      // taken by the provider
	DeliveryDelivered   DeliveryState = "delivered" // confirmed by the provider
	DeliveryUnreachable DeliveryState = "unreachable"
	DeliveryFailed      DeliveryState = "failed"
	DeliveryDropped     DeliveryState = "dropped" // was held until nobody needed it any more
)

var deliveryStateLabels = map[DeliveryState]string{
	DeliveryHeld: "免打扰，稍后发送", DeliveryPending: "等待发送", DeliverySending: "发送中", DeliverySent: "已发送", DeliveryDelivered: "已送达",
	DeliveryUnreachable: "无法送达", DeliveryFailed: "发送失败", DeliveryDropped: "已不需要",
}

// Label is the state as people read it.
func (d DeliveryState) Label() string { return deliveryStateLabels[d] }

var mediumLabels = map[Medium]string{SMS: "短信", WeChat: "微信"}

// Label is the medium as people read it.
func (m Medium) Label() string { return mediumLabels[m] }

// patient are the notices to people that may wait for the morning.
var patient = map[Notice]bool{
	NoticeUnpaid: true, NoticeUnpaidReturned: true, NoticeFix: true, NoticeFixLast: true, NoticeFetch: true, NoticeFetchLast: true,
	NoticeAuthorizeSoon: true, NoticeAuthorizeDay: true, NoticeAuthorizeLast: true,
}

func toFetchStill(o Order) bool { return o.Status == ToDownload }

func awaitsAuthorization(o Order) bool { return o.State == awaitingAuthorization }

// stillMatters says of a notice that was held whether it is worth sending now;
// notices without an entry always are.
var stillMatters = map[Notice]func(Order) bool{
	NoticeUnpaid:  func(o Order) bool { return o.Status == AwaitingPayment },
	NoticeFix:     func(o Order) bool { return o.State == fixable },
	NoticeFixLast: func(o Order) bool { return o.State == fixable && o.Amount > 0 }, // what cost nothing is kept longer
	NoticeFetch:   toFetchStill, NoticeFetchLast: toFetchStill,
	NoticeReviewTask:    func(o Order) bool { return o.Stage == Queued },
	NoticeSecondReview:  func(o Order) bool { return o.Stage == SecondApproval },
	NoticeAssigned:      func(o Order) bool { return o.Stage == Claimed },
	NoticeReviewHalf:    func(o Order) bool { return o.Status == InReview },
	NoticeReviewSoon:    func(o Order) bool { return o.Status == InReview },
	NoticeReviewOverdue: func(o Order) bool { return o.Status == InReview },
	NoticeShipTask:      func(o Order) bool { return o.Stage == ToPost },
	NoticeKeyFailed:     func(o Order) bool { return o.Stage == MakingFailed },
	NoticeRefundFailed:  func(o Order) bool { return o.Refund == RefundFailed },
	NoticeAuthorizeSoon: awaitsAuthorization, NoticeAuthorizeDay: awaitsAuthorization, NoticeAuthorizeLast: awaitsAuthorization,
}

// Outdated reports whether a message that was held says what is no longer so.
func (n Notification) Outdated(o Order) bool {
	return !n.SendAt.IsZero() && !n.Notice.matters(o)
}

// matters reports whether a notice is worth sending as the order is now.
func (n Notice) matters(o Order) bool {
	still, ok := stillMatters[n]
	return !ok || still(o)
}

// Notification is one message to one person over one medium, with its delivery
// state. It names no number and no text: both are worked out at sending.
type Notification struct {
	ID      string // ULID; also the provider's idempotency key
	OrderID ID     // empty: it is about no order
	// Seq is the order event it belongs to; of what no event of an order decided, the day
	// (yyyymmdd) or the instant (Unix milliseconds).
	Seq    int64
	Notice Notice
	Medium Medium
	// To is the audience; StaffID names the member of staff of a staff audience.
	To      Audience
	StaffID string
	// PersonID is the addressee when he is not the order's 经办人 or recipient.
	PersonID string
	State    DeliveryState
	// Way is how the last attempt at a WeChat message went out.
	Way      Way
	Attempts int
	// ProviderID is the provider's message id.
	ProviderID string
	// FallbackOf is the notification this one replaces.
	FallbackOf string
	// Told is the masked number of whoever was told, Why the provider's code when
	// it was not taken.
	Told string
	Why  string
	// SendAt is the end of what it waits for; zero when it need not.
	SendAt time.Time
	// ReadAt is when a member of staff saw it in the inbox.
	ReadAt    time.Time
	CreatedAt time.Time
	UpdatedAt time.Time
}
