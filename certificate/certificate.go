// Package certificate is what happens to a certificate and its USBKEY after they
// were issued: freezing and revoking. It knows orders, because a certificate
// belongs to whoever its order belongs to, and no HSM: the CA publishes what is
// decided here.
package certificate

import (
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

// Certificate is an issued certificate as its holder sees it (F98).
type Certificate struct {
	Serial      string // 40 upper-case hex digits
	Issuer      string // label of the issuing CA
	TokenSerial string // of the USBKEY
	Holder      string // company
	USCC        string
	NotBefore   time.Time
	NotAfter    time.Time
	// RevokedAt is zero unless frozen or revoked, for Reason.
	RevokedAt time.Time
	Reason    Reason
	// Rev counts the changes of RevokedAt and Reason.
	Rev int64

	OrderID order.ID
	OrderNo string
	Product order.Product // that it was bought as
	// PersonID is the bound user: the order's person, or whom it was given to since.
	PersonID string
	// KeyLost says that its USBKEY was lost on the way to its holder, or damaged there.
	KeyLost bool
	// SupersededBy is the serial of the certificate that it was renewed by, which is on the
	// USBKEY NewToken; NewKeyLost is that one's KeyLost.
	SupersededBy string
	NewToken     string
	NewKeyLost   bool
	// KeyUntil is until when its key pair may be certified again; zero when its
	// profile has each certificate have its own.
	KeyUntil time.Time
}

// KeepsKey reports whether its renewal may be for the same key pair.
func (c Certificate) KeepsKey() bool { return c.NotAfter.Before(c.KeyUntil) }

// State is what was decided about a certificate. Whether it has expired is no
// decision; see [Certificate.Expired] (G17).
type State string

// The states.
const (
	Valid   State = "valid"
	Frozen  State = "frozen"
	Revoked State = "revoked"
)

var stateLabels = map[State]string{Valid: "有效", Frozen: "已冻结", Revoked: "已吊销"}

// Label is the state as people read it.
func (s State) Label() string { return stateLabels[s] }

// State returns the certificate's state.
func (c Certificate) State() State {
	switch {
	case c.RevokedAt.IsZero():
		return Valid
	case c.Reason == Hold:
		return Frozen
	default:
		return Revoked
	}
}

// Expired reports whether the certificate's time is over at now.
func (c Certificate) Expired(now time.Time) bool { return now.After(c.NotAfter) }

// Replacement says in a sentence what has taken the certificate's place; empty when nothing
// has. On another USBKEY that may be on its way still.
func (c Certificate) Replacement(now time.Time) string {
	switch good := c.Good(now); {
	case c.SupersededBy == "":
		return ""
	case c.NewKeyLost && good:
		return "新 UKEY 在运输途中丢失或损坏，已免费补办，收到后请使用补办的证书；到期前这张仍可使用。"
	case c.NewKeyLost:
		return "新 UKEY 在运输途中丢失或损坏，已免费补办，请使用补办的证书。"
	case c.NewToken != c.TokenSerial && good:
		return "已由新证书替代，收到新 UKEY 后请使用新证书；到期前这张仍可使用。"
	default:
		return "已由新证书替代，请使用新证书。"
	}
}

// KeyTail is how people call the USBKEY: the end of the serial printed on it.
func (c Certificate) KeyTail() string { return c.TokenSerial[max(0, len(c.TokenSerial)-4):] }

// Reason is why a certificate is revoked, by the numbers of RFC 5280 §5.3.1.
type Reason int

// The reasons that a certificate of a subscriber can have. Those about a CA are
// not among them.
const (
	Unspecified          Reason = 0
	KeyCompromise        Reason = 1
	AffiliationChanged   Reason = 3
	Superseded           Reason = 4
	CessationOfOperation Reason = 5
	Hold                 Reason = 6 // frozen
	PrivilegeWithdrawn   Reason = 9
)

// Reasons are the reasons to choose from when revoking, in the order in which
// they are offered.
var Reasons = []Reason{KeyCompromise, AffiliationChanged, Superseded, CessationOfOperation, PrivilegeWithdrawn, Unspecified}

// reasons says how a reason is called and who may give it.
var reasons = map[Reason]struct {
	name, label string
	by          []order.Role
}{
	KeyCompromise:        {"keyCompromise", "UKEY 丢失、被盗或口令泄露", everybody},
	AffiliationChanged:   {"affiliationChanged", "单位信息或使用人变更", everybody},
	Superseded:           {"superseded", "已有新证书替代", everybody},
	CessationOfOperation: {"cessationOfOperation", "单位注销或不再使用", everybody},
	PrivilegeWithdrawn:   {"privilegeWithdrawn", "违反服务协议或申请资料不实", staff},
	Unspecified:          {"unspecified", "其他原因", everybody},
	Hold:                 {"certificateHold", "冻结", nil},
}

// Name is the reason as RFC 5280 calls it; empty for none of ours.
func (r Reason) Name() string { return reasons[r].name }

// Label is the reason as people read it.
func (r Reason) Label() string { return reasons[r].label }

// ReasonNamed returns the reason that RFC 5280 calls name.
func ReasonNamed(name string) (Reason, bool) {
	for r, spec := range reasons {
		if spec.name == name {
			return r, true
		}
	}
	return Unspecified, false
}

// ReasonsFor are the reasons that a role may choose.
func ReasonsFor(role order.Role) []Reason {
	var out []Reason
	for _, r := range Reasons {
		if r.openTo(role) {
			out = append(out, r)
		}
	}
	return out
}
