package order_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store"
	"github.com/yuncaidun/yuncaidun/store/storetest"
)

var now = time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)

// staffing is the real thing over SQLite; ended collects whose sessions ended.
func staffing(t *testing.T) (s *order.Staffing, db *store.DB, ended *[]string) {
	t.Helper()
	key := bytes.Repeat([]byte("k"), store.KeySize)
	keyset, err := store.NewKeyset(key)
	must(t, err)
	sealer, err := store.NewSealer(keyset, key, key)
	must(t, err)
	db, err = store.Open(t.Context(), storetest.DSN(t, "sqlite", store.MigrateAt), sealer)
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	ended = &[]string{}
	end := func(_ context.Context, id string) error {
		*ended = append(*ended, id)
		return nil
	}
	return order.NewStaffing(db, end, func() time.Time { return now }, func() string { return ulid.Make().String() }), db, ended
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var li = order.NewMember{Name: "李审核", Mobile: "138 0000 0001", Roles: []order.Role{order.Shipper, order.Reviewer}, TOTPSecret: "JBSWY3DPEHPK3PXP"}

// F126: staff and their roles.
func TestAddStaff(t *testing.T) {
	s, db, ended := staffing(t)
	first, err := s.Add(t.Context(), order.BySystem, li)
	must(t, err)
	if !slices.Equal(first.Roles, []order.Role{order.Reviewer, order.Shipper}) || first.TOTPSecret != li.TOTPSecret {
		t.Errorf("added %+v", first.Roles)
	}
	again := li
	again.Name, again.TOTPSecret = "李复核", "OTHERSECRET"
	*ended = nil
	second, err := s.Add(t.Context(), order.BySystem, again)
	must(t, err)
	if second.ID != first.ID || second.Name != "李复核" || second.TOTPSecret != li.TOTPSecret {
		t.Error("the same mobile made another account, or lost its secret")
	}
	if len(*ended) != 0 {
		t.Errorf("a change of name ended sessions of %v", *ended)
	}
	again.Roles = []order.Role{order.Finance}
	_, err = s.Add(t.Context(), order.BySystem, again)
	must(t, err)
	if !slices.Equal(*ended, []string{first.ID}) { // reliability 20
		t.Errorf("a change of roles ended sessions of %v", *ended)
	}
	stored, err := db.Staff(t.Context(), first.ID)
	must(t, err)
	if !stored.Has(order.Finance) || stored.Has(order.Reviewer) {
		t.Errorf("stored roles %v", stored.Roles)
	}
	must(t, db.VerifyAudit(t.Context(), nil))
}

func TestAddStaffRefuses(t *testing.T) {
	s, _, _ := staffing(t)
	for _, c := range []struct {
		name   string
		change func(*order.NewMember)
	}{
		{"no name", func(n *order.NewMember) { n.Name = "" }},
		{"no mobile", func(n *order.NewMember) { n.Mobile = "12345" }},
		{"no role", func(n *order.NewMember) { n.Roles = nil }},
		{"a role of the system", func(n *order.NewMember) { n.Roles = []order.Role{order.Reviewer, order.System} }},
		{"a role of applicants", func(n *order.NewMember) { n.Roles = []order.Role{order.Applicant} }},
		{"a wrong unit code", func(n *order.NewMember) { n.Company = "91110108MA00TEN18G" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := li
			c.change(&n)
			if _, err := s.Add(t.Context(), order.BySystem, n); !errors.Is(err, order.Invalid) || strings.Contains(err.Error(), n.Mobile) {
				t.Errorf("err = %v", err)
			}
		})
	}
	if all, err := s.Page(t.Context(), order.Cursor{}, 0); err != nil || len(all.Colleagues) != 0 {
		t.Errorf("%d accounts, %v", len(all.Colleagues), err)
	}
}

func TestDisableStaff(t *testing.T) {
	s, _, ended := staffing(t)
	zhao := order.NewMember{Name: "赵管理", Mobile: "13800000002", Roles: []order.Role{order.Admin}}
	for _, n := range []order.NewMember{li, zhao} {
		_, err := s.Add(t.Context(), order.BySystem, n)
		must(t, err)
	}
	*ended = nil
	m, err := s.Disable(t.Context(), "+86 13800000001")
	must(t, err)
	if !m.Disabled || m.Has(order.Reviewer) || !slices.Equal(*ended, []string{m.ID}) {
		t.Errorf("disabled %v, sessions ended: %v", m.Disabled, *ended)
	}
	all, err := s.Page(t.Context(), order.Cursor{}, 0)
	if err != nil || len(all.Colleagues) != 2 || !all.Colleagues[0].Disabled || all.Colleagues[1].Disabled || all.Colleagues[0].Mobile.Reveal() != "13800000001" {
		t.Errorf("accounts %+v, %v", all, err)
	}
	if _, err := s.Disable(t.Context(), "13800000009"); !errors.Is(err, order.NotFound) {
		t.Errorf("disabling a stranger: %v", err)
	}
	again, err := s.Add(t.Context(), order.BySystem, li)
	if err != nil || again.Disabled || again.ID != m.ID {
		t.Errorf("enabling again: %v", err)
	}
}

// F126: an admin manages the accounts of his colleagues; the audit trail names him.
func TestManageStaff(t *testing.T) {
	_, db, ended := staffing(t)
	trail := &[]string{}
	s := order.NewStaffing(audited{db, trail}, func(_ context.Context, id string) error { *ended = append(*ended, id); return nil }, func() time.Time { return now }, func() string { return ulid.Make().String() })
	boss, err := s.Add(t.Context(), order.BySystem, order.NewMember{Name: "赵管理", Mobile: "13800000002", Roles: []order.Role{order.Admin}, TOTPSecret: "A"})
	must(t, err)
	mate, err := s.Add(t.Context(), order.BySystem, li)
	must(t, err)
	by, other := boss.Actor(order.Admin, order.Web, "192.0.2.1"), mate.Actor(order.Reviewer, order.Web, "192.0.2.2")
	rights := order.Rights{Name: "李审核", Roles: []order.Role{order.Finance}, Leader: true}
	invited := order.NewMember{Name: "孙发货", Mobile: "13800000003", Roles: []order.Role{order.Shipper}}

	for name, c := range map[string]struct {
		do   func() error
		kind order.Kind
	}{
		"whom nobody made an admin adds": {func() error { _, err := s.Add(t.Context(), other, invited); return err }, order.Forbidden},
		"whom nobody made an admin changes": {func() error {
			_, err := s.Change(t.Context(), other, mate.ID, mate.Rights().Mark(), rights)
			return err
		}, order.Forbidden},
		"whom nobody made an admin closes": {func() error { _, err := s.SetDisabled(t.Context(), other, boss.ID, true); return err }, order.Forbidden},
		"an admin adds whom there is":      {func() error { _, err := s.Add(t.Context(), by, li); return err }, order.Conflict},
		"an admin closes himself":          {func() error { _, err := s.SetDisabled(t.Context(), by, boss.ID, true); return err }, order.Conflict},
		"an admin is an admin no more":     {func() error { _, err := s.Change(t.Context(), by, boss.ID, boss.Rights().Mark(), rights); return err }, order.Conflict},
		"nobody's account":                 {func() error { _, err := s.Change(t.Context(), by, "nope", "", rights); return err }, order.NotFound},
		"an admin has seen other rights":   {func() error { _, err := s.Change(t.Context(), by, mate.ID, rights.Mark(), rights); return err }, order.Conflict},
		"no role": {func() error {
			_, err := s.Change(t.Context(), by, mate.ID, mate.Rights().Mark(), order.Rights{Name: "李审核"})
			return err
		}, order.Invalid},
	} {
		*ended = nil
		if err := c.do(); !errors.Is(err, c.kind) || len(*ended) != 0 {
			t.Errorf("%s: %v, sessions ended of %v", name, err, *ended)
		}
	}

	for _, c := range []struct {
		name string
		do   func() (order.Staff, error)
		want func(order.Staff) bool
	}{
		{"change", func() (order.Staff, error) { return s.Change(t.Context(), by, mate.ID, mate.Rights().Mark(), rights) }, func(m order.Staff) bool { return m.Leader && m.Has(order.Finance) && !m.Has(order.Reviewer) }},
		{"another secret", func() (order.Staff, error) { return s.SetTOTP(t.Context(), by, mate.ID, "B") }, func(m order.Staff) bool { return m.TOTPSecret == "B" }},
		{"close", func() (order.Staff, error) { return s.SetDisabled(t.Context(), by, mate.ID, true) }, func(m order.Staff) bool { return m.Disabled }},
		{"open again", func() (order.Staff, error) { return s.SetDisabled(t.Context(), by, mate.ID, false) }, func(m order.Staff) bool { return !m.Disabled && m.Leader }},
	} {
		*ended = nil
		_, err := c.do()
		must(t, err)
		stored, err := db.Staff(t.Context(), mate.ID)
		must(t, err)
		if !c.want(stored) || !slices.Equal(*ended, []string{mate.ID}) { // reliability 20
			t.Errorf("%s: stored %+v, sessions ended of %v", c.name, stored, *ended)
		}
	}

	want := []string{"staff_change:" + mate.ID, "staff_totp:" + mate.ID, "staff_disable:" + mate.ID, "staff_enable:" + mate.ID}
	if !slices.Equal(*trail, want) {
		t.Errorf("audit of the admin: %v, want %v", *trail, want)
	}
}

// audited is a store that tells what admins leave in the audit trail.
type audited struct {
	order.Store
	trail *[]string
}

func (a audited) InTx(ctx context.Context, fn func(order.Tx) error) error {
	return a.Store.InTx(ctx, func(tx order.Tx) error { return fn(auditedTx{tx, a.trail}) })
}

type auditedTx struct {
	order.Tx
	trail *[]string
}

func (tx auditedTx) AppendAudit(ctx context.Context, r order.AuditRecord) error {
	if r.Role == order.Admin && r.IP != "" {
		*tx.trail = append(*tx.trail, r.Action)
	}
	return tx.Tx.AppendAudit(ctx, r)
}

// Two admins who close each other at once: one of them stays.
func TestAnAdminIsLeft(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		end := func(context.Context, string) error { return nil }
		s := order.NewStaffing(h.db, end, h.now, func() string { return ulid.Make().String() })
		var admins [2]order.Staff
		for i, mobile := range []string{"13800000001", "13800000002"} {
			var err error
			admins[i], err = s.Add(t.Context(), order.BySystem, order.NewMember{Name: "赵管理", Mobile: mobile, Roles: []order.Role{order.Admin}, TOTPSecret: "A"})
			must(t, err)
		}
		for range 10 {
			var (
				errs [2]error
				wg   sync.WaitGroup
				gate = make(chan struct{})
			)
			for i := range admins {
				wg.Go(func() {
					<-gate
					_, errs[i] = s.SetDisabled(t.Context(), admins[i].Actor(order.Admin, order.Web, ""), admins[1-i].ID, true)
				})
			}
			close(gate)
			wg.Wait()
			left := slices.IndexFunc(errs[:], func(err error) bool { return err == nil })
			if left < 0 || !errors.Is(errs[1-left], order.Forbidden) {
				t.Fatalf("both closed each other, or neither: %v", errs)
			}
			_, err := s.SetDisabled(t.Context(), admins[left].Actor(order.Admin, order.Web, ""), admins[1-left].ID, false)
			must(t, err)
		}
	})
}

// enqueuing is a store that tells of the jobs.
type enqueuing struct {
	order.Store
	told func(order.Job)
}

func (s enqueuing) InTx(ctx context.Context, fn func(order.Tx) error) error {
	return s.Store.InTx(ctx, func(tx order.Tx) error { return fn(enqueuingTx{tx, s.told}) })
}

type enqueuingTx struct {
	order.Tx
	told func(order.Job)
}

func (tx enqueuingTx) Enqueue(ctx context.Context, j order.Job) error {
	tx.told(j)
	return tx.Tx.Enqueue(ctx, j)
}

// Whoever is closed while Redis is away is logged out by a job, also when nothing is left to
// change; a change of the name alone ends nothing.
func TestLoginsEndAlsoWithoutRedis(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		li := h.staff(t, "李审核", "13800000011", order.Reviewer)
		m, err := h.db.Staff(t.Context(), li.StaffID)
		must(t, err)
		var jobs []order.Job
		s := order.NewStaffing(enqueuing{h.db, func(j order.Job) {
			if j.Kind == order.JobEndSessions {
				jobs = append(jobs, j)
			}
		}}, func(context.Context, string) error { return errors.New("redis is away") }, h.now, h.newID)
		_, err = s.Change(t.Context(), order.BySystem, m.ID, m.Rights().Mark(), order.Rights{Name: "李复核", Roles: m.Roles})
		if err != nil || len(jobs) != 0 {
			t.Errorf("another name: %v, %v", jobs, err)
		}
		_, err = s.SetDisabled(t.Context(), order.BySystem, m.ID, true)
		if want := (order.Job{Kind: order.JobEndSessions, Ref: m.ID, Seq: h.now().UnixMilli()}); err != nil || len(jobs) != 1 || jobs[0] != want {
			t.Errorf("closed: %v, %v", jobs, err)
		}
	})
}

// Who may not review any more keeps no task: it is back in the pool at once, and its
// history says why.
func TestClaimsOfAFormerReviewer(t *testing.T) {
	tests := map[string]struct {
		change func(ctx context.Context, s *order.Staffing, m order.Staff) error
		note   string // empty: the claim stays
	}{
		"account closed": {func(ctx context.Context, s *order.Staffing, m order.Staff) error {
			_, err := s.SetDisabled(ctx, order.BySystem, m.ID, true)
			return err
		}, "审核员的账号已停用，任务退回待受理"},
		"role taken": {func(ctx context.Context, s *order.Staffing, m order.Staff) error {
			_, err := s.Change(ctx, order.BySystem, m.ID, m.Rights().Mark(), order.Rights{Name: m.Name, Roles: []order.Role{order.Shipper}})
			return err
		}, "审核员不再有审核权限，任务退回待受理"},
		"role taken at the command line": {func(ctx context.Context, s *order.Staffing, m order.Staff) error {
			_, err := s.Add(ctx, order.BySystem, order.NewMember{Name: m.Name, Mobile: "13800000011", Roles: []order.Role{order.Shipper}})
			return err
		}, "审核员不再有审核权限，任务退回待受理"},
		"closed and opened again meanwhile": {func(ctx context.Context, s *order.Staffing, m order.Staff) error {
			_, err := s.SetDisabled(ctx, order.BySystem, m.ID, true)
			if err == nil {
				_, err = s.SetDisabled(ctx, order.BySystem, m.ID, false)
			}
			return err
		}, ""},
		"another name": {func(ctx context.Context, s *order.Staffing, m order.Staff) error {
			_, err := s.Change(ctx, order.BySystem, m.ID, m.Rights().Mark(), order.Rights{Name: "李复核", Roles: m.Roles})
			return err
		}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			eachDB(t, func(t *testing.T, h *house) {
				li, zhou := h.staff(t, "李审核", "13800000011", order.Reviewer), h.staff(t, "周复核", "13800000012", order.Reviewer)
				var orders []order.Order
				for _, by := range []order.Actor{li, li, zhou} {
					o := h.confirm(t, h.draft(t, nil))
					h.pays(t, o)
					orders = append(orders, h.mustApply(t, o.ID, order.Command{On: order.Claim, By: by}))
				}
				m, err := h.db.Staff(t.Context(), li.StaffID)
				must(t, err)
				var due bool
				s := order.NewStaffing(enqueuing{h.db, func(j order.Job) {
					due = due || j == order.Job{Kind: order.JobReleaseClaims, Ref: li.StaffID, Seq: j.Seq}
				}}, func(context.Context, string) error { return nil }, h.now, h.newID)
				must(t, tt.change(t.Context(), s, m))
				for range 2 { // the job runs at least once
					must(t, h.ReleaseClaims(t.Context(), li.StaffID))
				}
				for i, o := range orders {
					o = h.order(t, o.ID)
					events, err := h.db.Events(t.Context(), o.ID)
					must(t, err)
					last := events[len(events)-1]
					switch released := tt.note != "" && i < 2; {
					case released && (!due || o.Stage != order.Queued || o.ReviewerID != "" || last.Event != order.Release || last.Note != tt.note || last.Role != order.System):
						t.Errorf("task %d: %s, job %t, last %s %q", i, o.State, due, last.Event, last.Note)
					case !released && (o.Stage != order.Claimed || last.Event != order.Claim):
						t.Errorf("task %d: %s, last %s", i, o.State, last.Event)
					}
				}
				if tt.note != "" {
					h.mustApply(t, orders[0].ID, order.Command{On: order.Claim, By: zhou})
				}
			})
		})
	}
}

func TestBindWeChat(t *testing.T) {
	s, _, _ := staffing(t)
	m, err := s.Add(t.Context(), order.BySystem, li)
	must(t, err)
	user := order.WeChatIdentity{AppID: "wx1", OpenID: "open1"}
	if _, err := s.ByWeChat(t.Context(), user.AppID, user.OpenID); !errors.Is(err, order.NotFound) {
		t.Errorf("before: %v", err)
	}
	if _, err := s.BindWeChat(t.Context(), identity.NewMobile("13800000009"), user, "192.0.2.1"); !errors.Is(err, order.Forbidden) {
		t.Errorf("binding a stranger: %v", err)
	}
	bound, err := s.BindWeChat(t.Context(), identity.NewMobile("13800000001"), user, "192.0.2.1")
	if err != nil || bound.ID != m.ID {
		t.Fatalf("binding: %v", err)
	}
	if got, err := s.ByWeChat(t.Context(), user.AppID, user.OpenID); err != nil || got.ID != m.ID {
		t.Errorf("after: %v", err)
	}
	if _, err := s.ByWeChat(t.Context(), "wx2", user.OpenID); !errors.Is(err, order.NotFound) {
		t.Errorf("another app: %v", err)
	}
	_, err = s.Disable(t.Context(), li.Mobile)
	must(t, err)
	if _, err := s.ByWeChat(t.Context(), user.AppID, user.OpenID); !errors.Is(err, order.Forbidden) {
		t.Errorf("disabled: %v", err)
	}
	if _, err := s.BindWeChat(t.Context(), identity.NewMobile("13800000001"), user, ""); !errors.Is(err, order.Forbidden) {
		t.Errorf("binding a disabled account: %v", err)
	}
}
