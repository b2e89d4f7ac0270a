package order_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
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
	first, err := s.Add(t.Context(), li)
	must(t, err)
	if !slices.Equal(first.Roles, []order.Role{order.Reviewer, order.Shipper}) || first.TOTPSecret != li.TOTPSecret {
		t.Errorf("added %+v", first.Roles)
	}
	again := li
	again.Name, again.TOTPSecret = "李复核", "OTHERSECRET"
	*ended = nil
	second, err := s.Add(t.Context(), again)
	must(t, err)
	if second.ID != first.ID || second.Name != "李复核" || second.TOTPSecret != li.TOTPSecret {
		t.Error("the same mobile made another account, or lost its secret")
	}
	if len(*ended) != 0 {
		t.Errorf("a change of name ended sessions of %v", *ended)
	}
	again.Roles = []order.Role{order.Finance}
	_, err = s.Add(t.Context(), again)
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
			if _, err := s.Add(t.Context(), n); !errors.Is(err, order.Invalid) || strings.Contains(err.Error(), n.Mobile) {
				t.Errorf("err = %v", err)
			}
		})
	}
	all, err := s.List(t.Context())
	if err != nil || len(all) != 0 {
		t.Errorf("%d accounts, %v", len(all), err)
	}
}

func TestDisableStaff(t *testing.T) {
	s, _, ended := staffing(t)
	zhao := order.NewMember{Name: "赵管理", Mobile: "13800000002", Roles: []order.Role{order.Admin}}
	for _, n := range []order.NewMember{li, zhao} {
		_, err := s.Add(t.Context(), n)
		must(t, err)
	}
	all, err := s.List(t.Context())
	if err != nil || len(all) != 2 {
		t.Fatalf("%d accounts, %v", len(all), err)
	}
	*ended = nil
	m, err := s.Disable(t.Context(), "+86 13800000001")
	must(t, err)
	if !m.Disabled || m.Has(order.Reviewer) || !slices.Equal(*ended, []string{m.ID}) {
		t.Errorf("disabled %v, sessions ended: %v", m.Disabled, *ended)
	}
	if all, err = s.List(t.Context()); err != nil || len(all) != 1 || all[0].Name != "赵管理" {
		t.Errorf("%d accounts, %v", len(all), err)
	}
	if _, err := s.Disable(t.Context(), "13800000009"); !errors.Is(err, order.NotFound) {
		t.Errorf("disabling a stranger: %v", err)
	}
	again, err := s.Add(t.Context(), li)
	if err != nil || again.Disabled || again.ID != m.ID {
		t.Errorf("enabling again: %v", err)
	}
}

func TestBindWeChat(t *testing.T) {
	s, _, _ := staffing(t)
	m, err := s.Add(t.Context(), li)
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
