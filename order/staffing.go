package order

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
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

// Rights are what a member of staff is called and may do.
type Rights struct {
	Name    string
	Roles   []Role
	Company string // unit code of his own company; may be empty
	Leader  bool   // hears of what is late and may assign tasks
}

// Rights are those of the account.
func (s Staff) Rights() Rights { return Rights{s.Name, s.Roles, s.Company, s.Leader} }

// Mark tells rights from others: an admin's form was made from those with its mark.
func (r Rights) Mark() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %t", r.Name, slices.Sorted(slices.Values(r.Roles)), r.Company, r.Leader))
	return hex.EncodeToString(sum[:8])
}

// RightsChanged refuses a change of what somebody else has changed since it was seen.
var RightsChanged = Errorf(Conflict, "rights_changed", "其他管理员刚刚修改过该账号，请核对后再保存")

// NewMember describes a member of staff to [Staffing.Add].
type NewMember struct {
	Name    string
	Mobile  string
	Roles   []Role
	Company string // as in [Rights]
	Leader  bool
	// TOTPSecret is used when the account is new or has none; base32.
	TOTPSecret string
}

// Add makes the account of a member of staff, known by the mobile. The system may
// add a known one again: that brings name, roles and company up to date, enables the
// account and keeps its TOTP secret. Admins change a known one with [Staffing.Change].
func (s *Staffing) Add(ctx context.Context, by Actor, n NewMember) (Staff, error) {
	mobile, err := identity.ParseMobile(n.Mobile)
	if err != nil {
		return Staff{}, Errorf(Invalid, "staff_invalid", "%s", err.Error())
	}
	r, err := Rights{n.Name, n.Roles, n.Company, n.Leader}.check()
	if err != nil {
		return Staff{}, err
	}
	var was, m Staff
	err = s.store.InTx(ctx, func(tx Tx) error {
		if err := s.mayManage(ctx, tx, by); err != nil {
			return err
		}
		person, err := tx.PersonByMobile(ctx, Person{ID: s.newID(), Mobile: mobile, CreatedAt: s.now()})
		if err != nil {
			return err
		}
		was, err = tx.StaffByPerson(ctx, person.ID)
		switch e, ok := AsError(err); {
		case ok && e.Kind == NotFound:
			was = Staff{ID: s.newID(), PersonID: person.ID, CreatedAt: s.now()}
		case err != nil:
			return err
		case by.Role != System:
			return Errorf(Conflict, "staff_exists", "该手机号已有账号（%s），请在列表中修改", was.Name)
		}
		m = was
		m.set(r)
		m.Disabled = false
		m.TOTPSecret = cmp.Or(was.TOTPSecret, n.TOTPSecret)
		return s.save(ctx, tx, was, m, by, "staff_add")
	})
	return s.ended(ctx, was, m, err)
}

// Change gives an account another name and other rights; seen is the mark of those that the
// admin saw.
func (s *Staffing) Change(ctx context.Context, by Actor, id, seen string, r Rights) (Staff, error) {
	r, err := r.check()
	if err != nil {
		return Staff{}, err
	}
	return s.change(ctx, by, id, "staff_change", func(m *Staff) error {
		if m.Rights().Mark() != seen {
			return RightsChanged
		}
		m.set(r)
		return nil
	})
}

// SetDisabled closes an account, or opens a closed one again. Every login of a closed
// one ends now, and none is possible.
func (s *Staffing) SetDisabled(ctx context.Context, by Actor, id string, disabled bool) (Staff, error) {
	action := "staff_enable"
	if disabled {
		action = "staff_disable"
	}
	return s.change(ctx, by, id, action, func(m *Staff) error { m.Disabled = disabled; return nil })
}

// SetTOTP gives an account another secret, in base32, for one that was lost with its
// telephone: the codes of the old one are void.
func (s *Staffing) SetTOTP(ctx context.Context, by Actor, id, secret string) (Staff, error) {
	return s.change(ctx, by, id, "staff_totp", func(m *Staff) error { m.TOTPSecret = secret; return nil })
}

// change does what fn says to an account. Who is no admin any more at that very moment
// may not, and nobody takes his own rights away: so there is always an admin left, also
// when two close each other.
func (s *Staffing) change(ctx context.Context, by Actor, id, action string, fn func(*Staff) error) (Staff, error) {
	var was, m Staff
	err := s.store.InTx(ctx, func(tx Tx) error {
		held, err := tx.HoldStaff(ctx, id, by.StaffID)
		if err != nil {
			return err
		}
		if by.Role != System && !held[by.StaffID].Has(Admin) {
			return errNotAdmin
		}
		var known bool
		if was, known = held[id]; !known {
			return errNoStaff
		}
		m = was
		if err := fn(&m); err != nil {
			return err
		}
		if id == by.StaffID && !m.Has(Admin) {
			return Errorf(Conflict, "own_rights", "不能停用自己，也不能取消自己的管理员角色，请由另一位管理员操作")
		}
		return s.save(ctx, tx, was, m, by, action)
	})
	return s.ended(ctx, was, m, err)
}

var (
	errNotAdmin = Errorf(Forbidden, "not_admin", "只有管理员可以管理同事的账号")
	errNoStaff  = Errorf(NotFound, "staff_not_found", "没有找到该工作人员")
)

// mayManage refuses who is no admin; the system may.
func (s *Staffing) mayManage(ctx context.Context, tx Tx, by Actor) error {
	if by.Role == System {
		return nil
	}
	held, err := tx.HoldStaff(ctx, by.StaffID)
	if err == nil && !held[by.StaffID].Has(Admin) {
		err = errNotAdmin
	}
	return err
}

// ended ends the logins that were made with other rights than m has now, at once. When it
// cannot, the job does that was enqueued with the change.
func (s *Staffing) ended(ctx context.Context, was, m Staff, err error) (Staff, error) {
	if err == nil && !m.mayAsMuchAs(was) {
		_ = s.end(ctx, m.ID)
	}
	return m, err
}

// mayAsMuchAs reports whether logins that were made as was may go on.
func (s Staff) mayAsMuchAs(was Staff) bool {
	return slices.Equal(was.Roles, s.Roles) && was.Company == s.Company && was.Leader == s.Leader && was.Disabled == s.Disabled && was.TOTPSecret == s.TOTPSecret
}

func (s *Staff) set(r Rights) {
	s.Name, s.Roles, s.Company, s.Leader = r.Name, r.Roles, r.Company, r.Leader
}

// check returns the rights in normal form, or names what is wrong with them.
func (r Rights) check() (Rights, error) {
	name, err := identity.ParsePersonName(r.Name)
	if err != nil {
		return r, Errorf(Invalid, "staff_invalid", "%s", err.Error())
	}
	r.Name = name.Reveal()
	if r.Company != "" {
		unit, err := identity.CheckUnitCode(r.Company)
		if err != nil {
			return r, Errorf(Invalid, "staff_invalid", "%s", err.Error())
		}
		r.Company = unit.Value
	}
	if len(r.Roles) == 0 {
		return r, Errorf(Invalid, "staff_invalid", "请至少给出一个角色")
	}
	for _, role := range r.Roles {
		if !slices.Contains(StaffRoles, role) {
			return r, Errorf(Invalid, "staff_invalid", "角色「%s」不存在，可用：%v", role, StaffRoles)
		}
	}
	r.Roles = slices.Compact(slices.Sorted(slices.Values(r.Roles)))
	return r, nil
}

// Disable closes the account with that mobile, for an operator at the command line.
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
		m, err = tx.StaffByPerson(ctx, person.ID)
		return err
	})
	if err != nil {
		return m, err
	}
	return s.SetDisabled(ctx, BySystem, m.ID, true)
}

// SetQuiet sets the hours in which a member of staff wants no messages; they wait
// in the inbox and go out afterwards.
func (s *Staffing) SetQuiet(ctx context.Context, by Actor, q Quiet) error {
	return s.store.InTx(ctx, func(tx Tx) error {
		held, err := tx.HoldStaff(ctx, by.StaffID)
		if err != nil {
			return err
		}
		m, known := held[by.StaffID]
		if !known {
			return errNoStaff
		}
		m.Quiet = q
		if err := tx.SaveStaff(ctx, m); err != nil {
			return err
		}
		return tx.AppendAudit(ctx, by.Did("", "staff_quiet:"+m.ID, s.now()))
	})
}

// ReadInbox marks everything sent to a member of staff so far as seen.
func (s *Staffing) ReadInbox(ctx context.Context, staffID string) error {
	return s.store.InTx(ctx, func(tx Tx) error { return tx.ReadMessages(ctx, staffID, s.now()) })
}

// save keeps an account; the tasks of who may not review any more go back to the pool, and
// logins that were made with other rights end.
func (s *Staffing) save(ctx context.Context, tx Tx, was, m Staff, by Actor, action string) error {
	if err := tx.SaveStaff(ctx, m); err != nil {
		return err
	}
	if was.Has(Reviewer) && !m.Has(Reviewer) {
		if err := tx.Enqueue(ctx, Job{Kind: JobReleaseClaims, Ref: m.ID, Seq: s.now().UnixMilli()}); err != nil {
			return err
		}
	}
	if !m.mayAsMuchAs(was) {
		if err := endSessions(ctx, tx, m.ID, s.now()); err != nil {
			return err
		}
	}
	return tx.AppendAudit(ctx, by.Did("", action+":"+m.ID, s.now()))
}

// Colleague is an account of staff with the mobile that identifies it.
type Colleague struct {
	Staff
	Mobile identity.Mobile
}

// ColleaguePage is one page of a list of accounts.
type ColleaguePage struct {
	Colleagues []Colleague
	Next       Cursor // zero at the end
}

// Page returns accounts, open and closed, the longest serving first.
func (s *Staffing) Page(ctx context.Context, after Cursor, limit int) (ColleaguePage, error) {
	return s.store.Colleagues(ctx, after, limit)
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
		return BindWeChat(ctx, tx, w, Actor{Role: System, StaffID: m.ID, Channel: OfficialAcc, IP: ip}, "staff_bind_wechat")
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
		return tx.AppendAudit(ctx, by.Did(id, action, s.now()).Ending(outcome))
	})
}
