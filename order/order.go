package order

import (
	"time"

	"github.com/yuncaidun/yuncaidun/identity"
)

// ID identifies an order inside the product: a ULID, opaque and sortable. The
// order number (F93) is for people.
type ID string

// Fen is an amount of money in fen (1/100 CNY).
type Fen int64

// Order is one application with everything decided about it.
type Order struct {
	ID ID
	// No is the order number people read; empty until the first confirmation.
	No string
	Business
	// Certificate is the serial of the certificate the order is about; empty for
	// a first purchase.
	Certificate string
	// PersonID is the 经办人; empty while an anonymous draft.
	PersonID string
	// DraftToken is the SHA-256 (hex) of the browser token that owns an
	// anonymous draft; empty once it belongs to a person.
	DraftToken string

	State
	Refund RefundState
	// Rev counts writes; the guarded UPDATE compares it.
	Rev int64
	// Seq numbers the order's events; follow-ups are unique per (order, seq).
	Seq int64

	Product Product // as it was when the draft was last priced
	Lines   []Line
	Amount  Fen
	Form    Form
	// Company and USCC repeat the form in the clear: both are public (§5).
	Company string
	USCC    string

	// Submission counts confirmations and resubmissions, from 1.
	Submission int
	// Snapshot is the SHA-256 (hex) of what was submitted; see Order.Hash.
	Snapshot string
	Consent  Consent
	RealName RealNameResult

	ReviewerID    string // staff holding or having held the claim
	FirstApprover string // staff who approved first, when two are needed
	Reasons       []Reason

	TradeNo  string // current payment trade
	Verified int    // items whose key is verified
	GivenUp  int    // items given up and refunded

	Carrier    string // courier code, see Carriers
	TrackingNo string
	Parcel     ParcelState

	// ReviewSince and ReviewDue are when the review could begin and should have
	// ended, Delay why it has not.
	ReviewSince, ReviewDue time.Time
	Delay                  Delay

	// DueAt is when the promise of F63 runs out; zero while no clock runs. Express says
	// whether the surcharge bought a shorter one.
	DueAt   time.Time
	Express ExpressState

	CreatedAt   time.Time
	UpdatedAt   time.Time
	PlacedAt    time.Time // 下单时间: first confirmation
	PaidAt      time.Time
	ApprovedAt  time.Time
	ShippedAt   time.Time
	CompletedAt time.Time

	// EraseAskedAt is when its person asked for its personal data to be erased: nobody
	// opens it from then on, and it goes as soon as no law keeps it.
	EraseAskedAt time.Time

	// NewCompany is true when no earlier order of this company was completed.
	// It is looked up when the order is read for a decision and is not stored.
	NewCompany bool
}

// Mark tells the states of an order apart: who sees the same mark again would
// read the same order with the same history.
type Mark struct {
	Rev    int64 // of the order
	Events int64 // number of the last event
}

// Line is one product line: a number of keys with one kind of seal (F4, F10).
type Line struct {
	Seal     Seal `json:"seal"`
	Quantity int  `json:"quantity"`
}

// Seal is the optional seal type of a product line.
type Seal string

// The seal types of F10.
const (
	NoSeal     Seal = ""
	UnitSeal   Seal = "unit"
	PersonSeal Seal = "legal_rep"
)

// Seals are all seal types.
var Seals = []Seal{NoSeal, UnitSeal, PersonSeal}

// Label is the seal type as people read it.
func (s Seal) Label() string {
	switch s {
	case UnitSeal:
		return "单位公章"
	case PersonSeal:
		return "法人章"
	default:
		return "无"
	}
}

// Quantity is the number of keys over all lines.
func (o Order) Quantity() int {
	n := 0
	for _, l := range o.Lines {
		n += l.Quantity
	}
	return n
}

// Shipped reports whether the order ends with something to hand over.
func (o Order) Shipped() bool {
	return o.Product.IssueMode == ByAdmin && (o.Business == Initial || o.Business == Renewal || o.Business == Reissue || o.Business == Recover)
}

// Mobile is the 经办人's mobile; the zero value while the form has none.
func (o Order) Mobile() identity.Mobile {
	m, err := identity.ParseMobile(o.Form.Get(AgentMobile))
	if err != nil {
		return identity.Mobile{}
	}
	return m
}

// Consent records which agreement was accepted, when and from where (F52).
type Consent struct {
	Version string    `json:"version"`
	Hash    string    `json:"hash"` // SHA-256 (hex) of the documents' text
	At      time.Time `json:"at"`
	IP      string    `json:"ip"`
}

// RealNameResult is what the real-name provider said of the 经办人 (F24).
type RealNameResult string

// The results. Manual means the provider cannot tell, so the reviewer compares by
// eye.
const (
	RealNameUnknown  RealNameResult = ""
	RealNameMatch    RealNameResult = "match"
	RealNameMismatch RealNameResult = "mismatch"
	RealNameManual   RealNameResult = "manual"
)

// Label is the result as a reviewer reads it.
func (r RealNameResult) Label() string {
	switch r {
	case RealNameMatch:
		return "姓名、证件、手机号一致"
	case RealNameMismatch:
		return "姓名、证件、手机号不一致"
	case RealNameManual:
		return "需人工核对"
	default:
		return "核验中"
	}
}

// Role is the capacity in which an actor acts.
type Role string

// The roles.
const (
	Applicant Role = "applicant"
	LegalRep  Role = "legal_rep"
	Reviewer  Role = "reviewer"
	Issuer    Role = "issuer"
	Shipper   Role = "shipper"
	Finance   Role = "finance"
	Admin     Role = "admin"
	Gateway   Role = "gateway"
	Courier   Role = "courier"
	Helper    Role = "key_helper"
	System    Role = "system"
)

var roleLabels = map[Role]string{
	Applicant: "经办人", LegalRep: "法定代表人", Reviewer: "审核员", Issuer: "制证员", Shipper: "发货员", Finance: "财务",
	Admin: "管理员", Gateway: "支付平台", Courier: "快递", Helper: "证书助手", System: "系统",
}

// Label is the role as people read it.
func (r Role) Label() string { return roleLabels[r] }

// Channel says through which surface something was done (F125).
type Channel string

// The channels.
const (
	Web         Channel = "web"
	MiniProgram Channel = "miniprogram"
	OfficialAcc Channel = "official_account"
	Internal    Channel = "internal"
)

// Actor is who does something: a person, a member of staff or a machine.
type Actor struct {
	Role     Role
	PersonID string
	StaffID  string
	// Company is the unit code of the company a member of staff belongs to; he
	// may not review its orders.
	Company string
	// Leader says that a member of staff leads others.
	Leader  bool
	Channel Channel
	IP      string
}

// ID is the staff id, else the person id, else the role.
func (a Actor) ID() string {
	switch {
	case a.StaffID != "":
		return a.StaffID
	case a.PersonID != "":
		return a.PersonID
	default:
		return string(a.Role)
	}
}

// BySystem is the actor of timers and jobs.
var BySystem = Actor{Role: System, Channel: Internal}
