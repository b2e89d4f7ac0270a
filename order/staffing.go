package order

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/yuncaidun/yuncaidun/identity"
)

// StaffRoles are the roles a member of staff can hold.
var StaffRoles = []Role{Reviewer, Issuer, Shipper, Finance, Admin}

// StaffSessions ends every login of a member of staff at once.
type StaffSessions func(ctx context.Context, staffID string) error

// Staffing keeps the accounts of staff: who they are and what they may do. A
// change of rights ends the logins made with the old ones (reliability.md #20).
type Staffing struct {
	store Store
	end   StaffSessions
	now   func() time.Time
	newID func() string
}

// NewStaffing returns the accounts kept in store.
func NewStaffing(store Store, end StaffSessions, now func() time.Time, newID func() string) *Staffing {
	return &Staffing{store: store, end: end, now: now, newID: newID}
}

// NewMember describes a member of staff to [Staffing.Add].
type NewMember struct {
	Name    string
	Mobile  string
	Roles   []Role
	Company string // unit code of his own company; may be empty
	Leader  bool   // hears of what is late and may assign tasks
	// TOTPSecret is used when the account is new or has none; base32.
	TOTPSecret string
}

// Add makes the account of a member of staff, known by the mobile. Adding a
// known one again brings name, roles and company up to date, enables the account
// and keeps its TOTP secret.
func (s *Staffing) Add(ctx context.Context, n NewMember) (Staff, error) {
	mobile, err := n.check()
	if err != nil {
		return Staff{}, err
	}
	var was, m Staff
	err = s.store.InTx(ctx, func(tx Tx) error {
		person, err := tx.PersonByMobile(ctx, Person{ID: s.newID(), Mobile: mobile, CreatedAt: s.now()})
		if err != nil {
			return err
		}
		was, err = tx.StaffByPerson(ctx, person.ID)
		if e, ok := AsError(err); ok && e.Kind == NotFound {
			was = Staff{ID: s.newID(), PersonID: person.ID, CreatedAt: s.now()}
		} else if err != nil {
			return err
		}
		m = was
		m.Name, m.Roles, m.Company, m.Leader, m.Disabled = n.Name, n.Roles, n.Company, n.Leader, false
		m.TOTPSecret = cmp.Or(was.TOTPSecret, n.TOTPSecret)
		return s.save(ctx, tx, m, "staff_add")
	})
	if err != nil || slices.Equal(was.Roles, m.Roles) && was.Company == m.Company && was.Leader == m.Leader {
		return m, err
	}
	return m, s.end(ctx, m.ID)
}

// check normalises the description in place and names what is wrong with it.
func (n *NewMember) check() (identity.Mobile, error) {
	mobile, err := identity.ParseMobile(n.Mobile)
	if err != nil {
		return mobile, Errorf(Invalid, "staff_invalid", "%s", err.Error())
	}
	name, err := identity.ParsePersonName(n.Name)
	if err != nil {
		return mobile, Errorf(Invalid, "staff_invalid", "%s", err.Error())
	}
	n.Name = name.Reveal()
	if n.Company != "" {
		unit, err := identity.CheckUnitCode(n.Company)
		if err != nil {
			return mobile, Errorf(Invalid, "staff_invalid", "%s", err.Error())
		}
		n.Company = unit.Value
	}
	if len(n.Roles) == 0 {
		return mobile, Errorf(Invalid, "staff_invalid", "请至少给出一个角色")
	}
	for _, r := range n.Roles {
		if !slices.Contains(StaffRoles, r) {
			return mobile, Errorf(Invalid, "staff_invalid", "角色「%s」不存在，可用：%v", r, StaffRoles)
		}
	}
	n.Roles = slices.Compact(slices.Sorted(slices.Values(n.Roles)))
	return mobile, nil
}

// Disable closes the account with that mobile: every login ends now, and none is
// possible until the account is added again.
func (s *Staffing) Disable(ctx context.Context, mobile string) (Staff, error) {
	number, err := identity.ParseMobile(mobile)
	if err != nil {
		return Staff{}, Errorf(Invalid, "staff_invalid", "%s", err.Error())
	}
	var m Staff
	err = s.store.InTx(ctx, func(tx Tx) error {
		person, err := tx.PersonByMobile(ctx, Person{ID: s.newID(), Mobile: number, CreatedAt: s.now()})
		if err != nil {
			return err
		}
		if m, err = tx.StaffByPerson(ctx, person.ID); err != nil {
			return err
		}
		m.Disabled = true
		return s.save(ctx, tx, m, "staff_disable")
	})
	if err != nil {
		return m, err
	}
	return m, s.end(ctx, m.ID)
}

// SetQuiet sets the hours in which a member of staff wants no messages; they wait
// in the inbox and go out afterwards.
func (s *Staffing) SetQuiet(ctx context.Context, by Actor, q Quiet) error {
	return s.store.InTx(ctx, func(tx Tx) error {
		m, err := tx.Staff(ctx, by.StaffID)
		if err != nil {
			return err
		}
		m.Quiet = q
		if err := tx.SaveStaff(ctx, m); err != nil {
			return err
		}
		return tx.AppendAudit(ctx, AuditRecord{Action: "staff_quiet:" + m.ID, ActorID: m.ID, Role: by.Role, Channel: by.Channel, IP: by.IP, Outcome: "ok", At: s.now()})
	})
}

// ReadInbox marks everything sent to a member of staff so far as seen.
func (s *Staffing) ReadInbox(ctx context.Context, staffID string) error {
	return s.store.InTx(ctx, func(tx Tx) error { return tx.ReadMessages(ctx, staffID, s.now()) })
}

func (s *Staffing) save(ctx context.Context, tx Tx, m Staff, action string) error {
	if err := tx.SaveStaff(ctx, m); err != nil {
		return err
	}
	return tx.AppendAudit(ctx, AuditRecord{Action: action + ":" + m.ID, ActorID: string(System), Role: System, Channel: Internal, Outcome: "ok", At: s.now()})
}

// List returns everybody who can log in, the longest serving first.
func (s *Staffing) List(ctx context.Context) ([]Staff, error) {
	var all []Staff
	for _, r := range StaffRoles {
		with, err := s.store.StaffWithRole(ctx, r)
		if err != nil {
			return nil, err
		}
		for _, m := range with {
			if !slices.ContainsFunc(all, func(known Staff) bool { return known.ID == m.ID }) {
				all = append(all, m)
			}
		}
	}
	slices.SortFunc(all, func(a, b Staff) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return all, nil
}

// BindWeChat lets the person with a mobile that was just proven by SMS log in
// through a WeChat user from now on. Whoever is no member of staff is refused.
func (s *Staffing) BindWeChat(ctx context.Context, mobile identity.Mobile, w WeChatIdentity, ip string) (Staff, error) {
	var m Staff
	err := s.store.InTx(ctx, func(tx Tx) error {
		person, err := tx.PersonByMobile(ctx, Person{ID: s.newID(), Mobile: mobile, CreatedAt: s.now()})
		if err != nil {
			return err
		}
		m, err = tx.StaffByPerson(ctx, person.ID)
		if e, ok := AsError(err); ok && e.Kind == NotFound || err == nil && m.Disabled {
			return errNotStaff
		}
		if err != nil {
			return err
		}
		w.PersonID, w.UpdatedAt = person.ID, s.now()
		if err := tx.LinkWeChat(ctx, w); err != nil {
			return err
		}
		return tx.AppendAudit(ctx, AuditRecord{Action: "staff_bind_wechat", ActorID: m.ID, Role: System, Channel: OfficialAcc, IP: ip, Outcome: "ok", At: s.now()})
	})
	return m, err
}

var errNotStaff = Errorf(Forbidden, "not_staff", "该手机号不是工作人员，请联系管理员开通")

// ByWeChat returns the member of staff behind a WeChat user; NotFound when the
// user is not bound to one.
func (s *Staffing) ByWeChat(ctx context.Context, appID, openID string) (Staff, error) {
	person, err := s.store.PersonByWeChat(ctx, appID, openID)
	if err != nil {
		return Staff{}, err
	}
	m, err := s.store.StaffByPerson(ctx, person.ID)
	if err == nil && m.Disabled {
		return Staff{}, errNotStaff
	}
	return m, err
}

// Record keeps in the audit trail what a member of staff did or tried that moves
// no order, such as seeing personal data in the clear.
func (s *Staffing) Record(ctx context.Context, id ID, action string, by Actor, outcome string) error {
	return s.store.InTx(ctx, func(tx Tx) error {
		return tx.AppendAudit(ctx, AuditRecord{OrderID: id, Action: action, ActorID: by.ID(), Role: by.Role, Channel: by.Channel, IP: by.IP, Outcome: outcome, At: s.now()})
	})
}
