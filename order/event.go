package order

import (
	"context"
	"time"
)

// Event is something that happens to an order.
type Event string

// The events of the lifecycle.
const (
	Save       Event = "save"
	Delete     Event = "delete"
	Confirm    Event = "confirm"
	Paid       Event = "paid"
	PayFailed  Event = "pay_failed"
	Edit       Event = "edit"
	Unpaid     Event = "unpaid"
	AuthSigned Event = "auth_signed"
	AuthResend Event = "auth_resend"
	// AuthMobile sends the SMS to another number.
	AuthMobile         Event = "auth_mobile"
	AuthToPaper        Event = "auth_to_paper"
	AuthReturned       Event = "auth_returned"
	AuthDeclined       Event = "auth_declined"
	AuthExpired        Event = "auth_expired"
	AuthWithdrawn      Event = "auth_withdrawn"
	Claim              Event = "claim"
	Release            Event = "release"
	Assign             Event = "assign"
	ExplainDelay       Event = "explain_delay"
	ExpressOver        Event = "express_over"
	Approve            Event = "approve"
	Reject             Event = "reject"
	Resubmit           Event = "resubmit"
	Close              Event = "close"
	FixExpired         Event = "fix_expired"
	MakeKey            Event = "make_key"
	KeyVerified        Event = "key_verified"
	KeyFailed          Event = "key_failed"
	RetryKey           Event = "retry_key"
	GiveUpKeys         Event = "give_up_keys"
	Recovered          Event = "recovered"
	ArchiveUnusable    Event = "archive_unusable"
	Restore            Event = "restore"
	Ship               Event = "ship"
	PickUp             Event = "pick_up"
	ChangeDelivery     Event = "change_delivery"
	CourierMoved       Event = "courier_moved"
	CorrectTracking    Event = "correct_tracking"
	ParcelReturned     Event = "parcel_returned"
	ParcelMissed       Event = "parcel_lost"
	ReplaceLost        Event = "replace_lost"
	Run                Event = "run"
	Interrupt          Event = "interrupt"
	ReadBackOK         Event = "read_back_ok"
	GrantOver          Event = "grant_over"
	OldRetired         Event = "old_retired"
	PINSet             Event = "pin_set"
	UnlockFailed       Event = "unlock_failed"
	CodeGiven          Event = "code_given"
	CertificateRevoked Event = "certificate_revoked"
	CertificateFrozen  Event = "certificate_frozen"
	CertificateResumed Event = "certificate_resumed"
	CertificateRebound Event = "certificate_rebound"
	// CertificateReinstated: what had replaced it was refunded.
	CertificateReinstated Event = "certificate_reinstated"
	// RevocationPutOff: a holder waits for the opening of his bids.
	RevocationPutOff Event = "revocation_put_off"
	// MandateUsed: what the legal representative has signed before covers the order.
	MandateUsed Event = "mandate_used"
	// OpeningRegistered and OpeningDropped: when a holder's bids are opened.
	OpeningRegistered Event = "opening_registered"
	OpeningDropped    Event = "opening_dropped"
	RefundProposed    Event = "refund_proposed"
	GiveUpProposed    Event = "give_up_proposed"
	ProposalDropped   Event = "proposal_dropped"
	RefundStart       Event = "refund_start"
	RefundSucceeded   Event = "refund_succeeded"
	RefundFails       Event = "refund_failed"
	RefundRetry       Event = "refund_retry"
	RefundByHand      Event = "refund_by_hand"
	// LatePayment is row 10: money that belongs to no current trade. It is
	// recorded in the history and moves no order.
	LatePayment Event = "late_payment"
	// What became of the invoice is recorded in the history and moves no order.
	InvoiceRequested  Event = "invoice_requested"
	InvoiceReady      Event = "invoice_issued"
	InvoiceNotReady   Event = "invoice_failed"
	InvoiceCorrection Event = "invoice_correction"
	InvoiceVoid       Event = "invoice_reversed"
)

var eventLabels = map[Event]string{
	Save: "保存草稿", Delete: "删除订单", Confirm: "提交订单", Paid: "支付成功", PayFailed: "支付失败", Edit: "返回修改", Unpaid: "超时未支付，退回填写",
	AuthSigned: "法定代表人已授权", AuthResend: "重新发送授权短信", AuthMobile: "更换法定代表人手机号",
	MandateUsed: "使用法定代表人的长期授权", AuthToPaper: "改用纸质授权书", AuthReturned: "法定代表人退回", AuthDeclined: "法定代表人拒绝授权",
	AuthExpired: "授权超时", AuthWithdrawn: "法定代表人撤回授权", Claim: "开始审核", Release: "释放审核任务", Assign: "指派审核员", ExplainDelay: "说明延迟原因", ExpressOver: "加急超时，退还加急费", Approve: "审核通过", Reject: "审核拒绝",
	Resubmit: "修改后重新提交", Close: "关闭订单", FixExpired: "超时未修改", MakeKey: "开始制证", KeyVerified: "UKEY 制作完成并验证", KeyFailed: "UKEY 制作失败",
	RetryKey: "重新制作", GiveUpKeys: "部分取消", Recovered: "密钥已恢复", ArchiveUnusable: "密钥无法恢复", Restore: "恢复证书", Ship: "已寄出", PickUp: "已自取",
	ChangeDelivery: "修改收件信息", CourierMoved: "物流更新", CorrectTracking: "更正快递单号", ParcelReturned: "退件已收到", ParcelMissed: "运输丢失或损坏", ReplaceLost: "免费补办", Run: "开始写入", Interrupt: "写入中断",
	ReadBackOK: "写入完成并验证", GrantOver: "办理期限已过", OldRetired: "停用原证书", PINSet: "新口令已设置", UnlockFailed: "解锁未完成",
	CertificateRevoked: "证书已吊销", CertificateFrozen: "证书已冻结", CertificateResumed: "证书已恢复", CertificateRebound: "绑定用户已更换",
	CertificateReinstated: "恢复为在用证书", RevocationPutOff: "开标后再吊销", OpeningRegistered: "登记开标", OpeningDropped: "删除开标登记",
	CodeGiven:      "已给出离线解锁的响应码",
	RefundProposed: "提出退款，待复核", GiveUpProposed: "提议取消部分 UKEY", ProposalDropped: "撤回提议",
	RefundStart: "发起退款", RefundSucceeded: "退款成功", RefundFails: "退款失败", RefundRetry: "重新退款", RefundByHand: "线下退款", LatePayment: "重复或过期支付，原路退回",
	InvoiceRequested: "申请开具发票", InvoiceReady: "发票已开具", InvoiceNotReady: "发票未能开具", InvoiceCorrection: "申请更改发票抬头", InvoiceVoid: "发票已红冲",
}

// Label is the event as people read it in the timeline.
func (e Event) Label() string { return eventLabels[e] }

// Command is one thing somebody wants to happen to an order, with what it
// brings along. Which fields matter is said by the row's facts and effect.
type Command struct {
	On Event
	By Actor

	Form    Form   // save, resubmit, change_delivery
	Product string // save: product code
	Term    int    // save: years
	Lines   []Line // save
	// Certificate is the serial that a new draft is about (save).
	Certificate string
	// DraftToken owns a new anonymous draft (SHA-256, hex); see Order.DraftToken.
	DraftToken string

	Consent  Consent
	Snapshot string   // confirm: the hash of the form whose mobile was proven; approve: the hash the reviewer saw
	Ticks    []Tick   // approve
	Reasons  []Reason // reject
	Item     string   // make_key, key_verified, key_failed, retry_key: item id
	Assignee string   // assign: staff id
	Delay    Delay    // explain_delay
	Note     string   // why, for people; never personal data

	TokenSerial string      // key_verified
	CertSerial  string      // key_verified
	Carrier     string      // ship, correct_tracking
	TrackingNo  string      // ship, correct_tracking
	Why         string      // correct_tracking: the reason, once the parcel was signed for
	WrongNo     string      // correct_tracking: the number that whoever corrects it saw
	PickUpCode  string      // pick_up
	Parcel      ParcelState // courier_moved
	Keys        int         // parcel_returned: how many came back whole; give_up_…: how many
	End         KeysEnd     // refund_proposed: what became of what had left
	Items       []string    // parcel_lost: item ids
	Claim       string      // parcel_lost: the courier's number of the claim

	Trade  string // paid: which trade; refunds: idem
	PaidAt time.Time

	// Proven lists what the caller has verified outside of the order: a code
	// that was typed, a trade that was closed, a challenge that was answered.
	Proven []Fact

	// Filled in by the service.
	at     time.Time
	about  *About // the certificate the order is about
	items  []Item
	known  *Product // the product as on offer now, nil when withdrawn
	second SecondRule
	due    func(Order, time.Time) time.Time
	pickup string // a fresh pick-up code
	// replaces is the order whose lost key is replaced, seal that of the key.
	replaces *Order
	seal     Seal
	// proposal is what somebody wanted and who is now asked.
	proposal *Proposal
	replaced bool // a lost key has a free replacement
	// unlocking: a helper is setting the USBKEY of the order a new PIN.
	unlocking bool
	relabel   bool // the address has changed since it was shown for the label
	// auth is the order's authorisation, mandate the id of one whose mandate
	// covers the order.
	auth    *Authorization
	mandate string
	review  func(Order, time.Time) time.Time // when a review that begins then should end
	// assignee is the member of staff of Assignee; nil without one.
	assignee *Staff
}

// EventRecord is one line of an order's history (F125).
type EventRecord struct {
	OrderID ID
	Seq     int64
	Event   Event
	From    State
	To      State
	ActorID string
	Role    Role
	Channel Channel
	// Note says what people need to know of it; never personal data.
	Note string
	At   time.Time
}

// Label is what happened as people read it: the approval of an order that somebody else
// has to approve as well is only the first.
func (e EventRecord) Label() string {
	if e.Event == Approve && e.To == secondApproval {
		return "初审通过"
	}
	return e.Event.Label()
}

// Remember adds a line to the history of an order that goes nowhere by it.
func Remember(ctx context.Context, tx Tx, o *Order, e Event, by Actor, note string, at time.Time) error {
	was := *o
	o.Seq++
	o.Rev++
	o.UpdatedAt = at
	if err := tx.UpdateOrder(ctx, *o, was); err != nil {
		return err
	}
	return tx.AppendEvent(ctx, EventRecord{OrderID: o.ID, Seq: o.Seq, Event: e, From: o.State, To: o.State, ActorID: by.ID(), Role: by.Role, Channel: by.Channel, Note: note, At: at})
}
