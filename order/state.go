package order

// Status is where an order stands; lifecycle.go says how it gets there. The
// labels are the filter tabs of F89.
type Status string

// The statuses of an order.
const (
	Draft           Status = "draft"
	AwaitingPayment Status = "awaiting_payment"
	InReview        Status = "in_review"
	Rejected        Status = "rejected"
	ToIssue         Status = "to_issue"
	ToRenew         Status = "to_renew"
	ToRestore       Status = "to_restore"
	ToShip          Status = "to_ship"
	Completed       Status = "completed"
	Refunded        Status = "refunded"
	ToDownload      Status = "to_download"
	ToUnlock        Status = "to_unlock"
)

// Statuses lists every status in the order of the filter tabs (F89).
var Statuses = []Status{Draft, AwaitingPayment, InReview, Rejected, ToIssue, ToRenew, ToRestore, ToShip, Completed, Refunded, ToDownload, ToUnlock}

var statusLabels = map[Status]string{
	Draft: "填写中", AwaitingPayment: "待支付", InReview: "待审核", Rejected: "审核拒绝", ToIssue: "待制证", ToRenew: "待更新",
	ToRestore: "待恢复", ToShip: "待配送", Completed: "已完成", Refunded: "已退款", ToDownload: "待下载", ToUnlock: "待解锁",
}

// Label is the status as people read it.
func (s Status) Label() string { return statusLabels[s] }

// Stage is the sub-state inside a status; most statuses have several, some none.
type Stage string

// The stages. Each belongs to the statuses named beside it.
const (
	NoStage               Stage = ""
	AwaitingAuthorization Stage = "awaiting_authorization" // in_review
	Queued                Stage = "queued"                 // in_review
	Claimed               Stage = "claimed"                // in_review
	SecondApproval        Stage = "second_approval"        // in_review
	Fixable               Stage = "fixable"                // rejected
	Closed                Stage = "closed"                 // rejected
	Unclaimed             Stage = "unclaimed"              // to_issue
	Making                Stage = "making"                 // to_issue
	MakingFailed          Stage = "making_failed"          // to_issue
	Ready                 Stage = "ready"                  // to_renew, to_download
	Running               Stage = "running"                // to_renew, to_download
	Interrupted           Stage = "interrupted"            // to_renew, to_download
	ToPost                Stage = "to_post"                // to_ship
	ToPickUp              Stage = "to_pick_up"             // to_ship
)

var stageLabels = map[Stage]string{
	AwaitingAuthorization: "待法人授权", Queued: "待受理", Claimed: "审核中", SecondApproval: "待复核",
	Fixable: "可修改", Closed: "已关闭", Unclaimed: "待领取", Making: "制证中", MakingFailed: "制证失败",
	Ready: "待执行", Running: "执行中", Interrupted: "中断", ToPost: "待寄出", ToPickUp: "待自取",
}

// Label is the stage as people read it; empty for [NoStage].
func (s Stage) Label() string { return stageLabels[s] }

// State is a status with its stage: what the guarded UPDATE compares.
type State struct {
	Status Status
	Stage  Stage
}

// Label is the state as people read it, such as 待审核·审核中.
func (s State) Label() string {
	if s.Stage == NoStage {
		return s.Status.Label()
	}
	return s.Status.Label() + "·" + s.Stage.Label()
}

// String is the state as logs and diagrams show it.
func (s State) String() string {
	if s.Stage == NoStage {
		return string(s.Status)
	}
	return string(s.Status) + "/" + string(s.Stage)
}

// None is the state of an order that does not exist yet.
var None = State{}

// Business is what an order is about; it comes from the product and is never parsed from a name (F3).
type Business string

// The businesses.
const (
	Initial        Business = "initial"
	Renewal        Business = "renewal"
	UnlockSelf     Business = "unlock_self"
	UnlockApproval Business = "unlock_approval"
	Resume         Business = "resume"
	Recover        Business = "recover"
	Reissue        Business = "reissue"
	Rebind         Business = "rebind"
)

// Businesses lists every business.
var Businesses = []Business{Initial, Renewal, UnlockSelf, UnlockApproval, Resume, Recover, Reissue, Rebind}

var businessLabels = map[Business]string{
	Initial: "初购", Renewal: "更新", UnlockSelf: "自助解锁", UnlockApproval: "审批解锁",
	Resume: "解冻恢复", Recover: "补办且恢复加密密钥", Reissue: "补办", Rebind: "换绑",
}

// Label is the business as people read it.
func (b Business) Label() string { return businessLabels[b] }

// IssueMode says who makes the certificate: our station or the subscriber (F9).
type IssueMode string

// The issue modes.
const (
	ByAdmin IssueMode = "admin"
	BySelf  IssueMode = "self"
)

// RefundState overlays any state while money is on its way back.
type RefundState string

// The refund states. While it is not NoRefund almost every row is refused.
const (
	NoRefund     RefundState = ""
	Refunding    RefundState = "refunding"
	RefundFailed RefundState = "refund_failed"
)

var refundLabels = map[RefundState]string{NoRefund: "", Refunding: "退款中", RefundFailed: "退款失败"}

// Label is the refund state as people read it.
func (r RefundState) Label() string { return refundLabels[r] }
