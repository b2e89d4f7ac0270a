package order

import (
	"context"
	"slices"
	"time"

	"github.com/yuncaidun/yuncaidun/identity"
)

// Person is somebody with a verified mobile: an applicant, a legal
// representative or a member of staff.
type Person struct {
	ID        string
	Mobile    identity.Mobile
	CreatedAt time.Time
}

// WeChatIdentity joins a WeChat user of one app to a person.
type WeChatIdentity struct {
	AppID    string
	OpenID   string
	UnionID  string
	PersonID string
	// Subscribed is false after an unsubscribe event: nothing can be delivered.
	Subscribed bool
	UpdatedAt  time.Time
}

// WeChatConsent is a person's decision about the notices of one template. A yes
// pays for one notice.
type WeChatConsent struct {
	AppID, OpenID, TemplateID string

	Accepted bool
	// Left is for how many notices the consents given so far still pay.
	Left int
	At   time.Time
}

// Staff is a member of the CA's staff.
type Staff struct {
	ID         string
	PersonID   string
	Name       string // shown to colleagues, such as 李审核
	Roles      []Role
	Company    string // unit code of his own company, whose orders he may not review
	TOTPSecret string // base32; sealed by store
	Disabled   bool
	// Leader hears of what is late and may assign tasks to others.
	Leader    bool
	Quiet     Quiet
	CreatedAt time.Time
}

// Has reports whether the member of staff holds a role; admins hold every role.
func (s Staff) Has(r Role) bool {
	return !s.Disabled && (slices.Contains(s.Roles, r) || slices.Contains(s.Roles, Admin))
}

// MainRole is the role in which the member of staff does what needs none.
func (s Staff) MainRole() Role {
	if len(s.Roles) == 0 {
		return ""
	}
	return s.Roles[0]
}

// Actor returns the member of staff acting in a role.
func (s Staff) Actor(r Role, ch Channel, ip string) Actor {
	return Actor{Role: r, PersonID: s.PersonID, StaffID: s.ID, Company: s.Company, Leader: s.Leader, Channel: ch, IP: ip}
}

// Approval is one reviewer's yes to one submission, bound to the snapshot's
// hash (F124). The database refuses an applicant's own and a second one by the
// same person.
type Approval struct {
	OrderID     ID
	Submission  int
	Step        int // 1, or 2 for the second approver
	StaffID     string
	PersonID    string
	ApplicantID string // person
	Snapshot    string
	At          time.Time
}

// AuditRecord is one line of the append-only audit trail: also what was refused.
type AuditRecord struct {
	OrderID ID
	Action  string
	ActorID string
	Role    Role
	Channel Channel
	IP      string
	Outcome string // "ok" or the code of the refusal
	At      time.Time
}

// Did is the line that says that the actor did something and that it went well: to an
// order, or to none ("").
func (a Actor) Did(to ID, action string, at time.Time) AuditRecord {
	return AuditRecord{OrderID: to, Action: action, ActorID: a.ID(), Role: a.Role, Channel: a.Channel, IP: a.IP, Outcome: "ok", At: at}
}

// Ending is the line with another outcome.
func (r AuditRecord) Ending(outcome string) AuditRecord {
	r.Outcome = outcome
	return r
}

// BindWeChat ties a WeChat user to the person whose mobile he has proven. A mobile has
// one WeChat: binding another ends the one before it, and a WeChat that binds another
// mobile leaves its old one, in all accounts of ours that know it by its union id. Whose
// binding ends is logged out wherever he was; who logs in by what he binds, stays. The
// audit trail says who bound it, where, and by which action.
func BindWeChat(ctx context.Context, tx Tx, w WeChatIdentity, by Actor, action string) error {
	ended, err := tx.EndWeChats(ctx, w)
	if err != nil {
		return err
	}
	if err := tx.LinkWeChat(ctx, w); err != nil {
		return err
	}
	for _, id := range ended {
		if err := endSessions(ctx, tx, id, w.UpdatedAt); err != nil {
			return err
		}
	}
	return tx.AppendAudit(ctx, by.Did("", action, w.UpdatedAt))
}

// UnbindWeChat ends what ties a person to WeChat and logs him out everywhere; he may bind
// again, by a code to his mobile.
func UnbindWeChat(ctx context.Context, tx Tx, by Actor, at time.Time) error {
	if err := tx.UnlinkWeChats(ctx, by.PersonID); err != nil {
		return err
	}
	if err := endSessions(ctx, tx, by.PersonID, at); err != nil {
		return err
	}
	return tx.AppendAudit(ctx, by.Did("", "unbind_wechat", at))
}

// endSessions ends the logins of a person or of a member of staff that began before at.
func endSessions(ctx context.Context, tx Tx, of string, at time.Time) error {
	return tx.Enqueue(ctx, Job{Kind: JobEndSessions, Ref: of, Seq: at.UnixMilli()})
}
