package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

type personRow struct {
	ID           string    `db:"id"`
	SealedMobile []byte    `db:"sealed_mobile"`
	CreatedAt    time.Time `db:"created_at"`
}

func mobileCell(id string) cell { return cell{"people", "sealed_mobile", id} }

// Person implements [order.Queries].
func (q queries) Person(ctx context.Context, id string) (order.Person, error) {
	return q.person(ctx, `id = ?`, id)
}

// PersonByWeChat implements [order.Queries].
func (q queries) PersonByWeChat(ctx context.Context, appID, openID string) (order.Person, error) {
	return q.person(ctx, `id = (SELECT person_id FROM wechat_identities WHERE app_id = ? AND open_id = ?)`, appID, openID)
}

// PersonByUnionID implements [order.Queries]; the identity used last decides.
func (q queries) PersonByUnionID(ctx context.Context, unionID string) (order.Person, error) {
	return q.person(ctx, `id = (SELECT person_id FROM wechat_identities WHERE union_id = ? AND union_id <> '' ORDER BY updated_at DESC, app_id LIMIT 1)`, unionID)
}

func (q queries) person(ctx context.Context, where string, args ...any) (order.Person, error) {
	var r personRow
	err := q.get(ctx, &r, `SELECT id, sealed_mobile, created_at FROM people WHERE `+where, args...)
	if errors.Is(err, sql.ErrNoRows) {
		return order.Person{}, order.Errorf(order.NotFound, "person_not_found", "没有找到该用户")
	}
	if err != nil {
		return order.Person{}, failed(err, "reading person")
	}
	mobile, err := q.seal.openBytes(r.SealedMobile, mobileCell(r.ID))
	if err != nil {
		return order.Person{}, err
	}
	return order.Person{ID: r.ID, Mobile: identity.NewMobile(string(mobile)), CreatedAt: r.CreatedAt.UTC()}, nil
}

// PersonByMobile implements [order.Tx].
func (tx *Tx) PersonByMobile(ctx context.Context, p order.Person) (order.Person, error) {
	index, err := tx.seal.index(indexMobile, p.Mobile.Reveal())
	if err != nil {
		return order.Person{}, err
	}
	if index == "" {
		return order.Person{}, errors.New("person without a mobile")
	}
	sealed, err := tx.seal.sealBytes([]byte(p.Mobile.Reveal()), mobileCell(p.ID))
	if err != nil {
		return order.Person{}, err
	}
	added, err := tx.exec(ctx, `
		INSERT INTO people (id, sealed_mobile, mobile_index, created_at, keep_until)
		VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (mobile_index) DO NOTHING`, p.ID, sealed, index, dbTime(p.CreatedAt), dbTime(p.CreatedAt.Add(order.FirstLook)))
	switch {
	case err != nil:
		return order.Person{}, failed(err, "recording person %s", p.ID)
	case added == 1:
		p.CreatedAt = dbTime(p.CreatedAt)
		return p, nil
	}
	return tx.person(ctx, `mobile_index = ?`, index)
}

type wechatRow struct {
	AppID      string    `db:"app_id"`
	OpenID     string    `db:"open_id"`
	UnionID    string    `db:"union_id"`
	PersonID   string    `db:"person_id"`
	Subscribed bool      `db:"subscribed"`
	UpdatedAt  time.Time `db:"updated_at"`
}

// WeChatOf implements [order.Queries].
func (q queries) WeChatOf(ctx context.Context, appID, personID string) (order.WeChatIdentity, error) {
	var r wechatRow
	err := q.get(ctx, &r, `
		SELECT app_id, open_id, union_id, person_id, subscribed, updated_at
		FROM wechat_identities
		WHERE person_id = ? AND app_id = ?`, personID, appID)
	if errors.Is(err, sql.ErrNoRows) {
		return order.WeChatIdentity{}, order.Errorf(order.NotFound, "wechat_not_bound", "尚未绑定微信")
	}
	r.UpdatedAt = r.UpdatedAt.UTC()
	return order.WeChatIdentity(r), failed(err, "reading WeChat identity of person %s", personID)
}

// WeChats implements [order.Queries].
func (q queries) WeChats(ctx context.Context, personID string) ([]order.WeChatIdentity, error) {
	var rows []wechatRow
	err := q.all(ctx, &rows, `
		SELECT app_id, open_id, union_id, person_id, subscribed, updated_at
		FROM wechat_identities
		WHERE person_id = ?
		ORDER BY updated_at DESC, app_id`, personID)
	all := make([]order.WeChatIdentity, len(rows))
	for i, r := range rows {
		r.UpdatedAt = r.UpdatedAt.UTC()
		all[i] = order.WeChatIdentity(r)
	}
	return all, failed(err, "listing WeChat identities of person %s", personID)
}

// EndWeChats implements [order.Tx].
func (tx *Tx) EndWeChats(ctx context.Context, w order.WeChatIdentity) ([]string, error) {
	const others = `
		person_id = ? AND (app_id = ? AND open_id <> ? OR union_id <> '' AND ? <> '' AND union_id <> ?)
		OR person_id <> ? AND (app_id = ? AND open_id = ? OR union_id <> '' AND union_id = ?)`
	args := []any{w.PersonID, w.AppID, w.OpenID, w.UnionID, w.UnionID, w.PersonID, w.AppID, w.OpenID, w.UnionID}
	var ended []string
	if err := tx.all(ctx, &ended, `SELECT DISTINCT person_id FROM wechat_identities WHERE `+others+` ORDER BY person_id`, args...); err != nil || len(ended) == 0 {
		return nil, failed(err, "looking for what the WeChat of person %s ends", w.PersonID)
	}
	_, err := tx.exec(ctx, `
		DELETE FROM wechat_consents
		WHERE (app_id, open_id) IN (SELECT app_id, open_id FROM wechat_identities WHERE `+others+`) AND NOT (app_id = ? AND open_id = ?)`, append(args, w.AppID, w.OpenID)...)
	if err == nil {
		_, err = tx.exec(ctx, `DELETE FROM wechat_identities WHERE `+others, args...)
	}
	return ended, failed(err, "ending the WeChats before that of person %s", w.PersonID)
}

// UnlinkWeChats implements [order.Tx].
func (tx *Tx) UnlinkWeChats(ctx context.Context, personID string) error {
	for _, stmt := range []string{
		`DELETE FROM wechat_consents WHERE (app_id, open_id) IN (SELECT app_id, open_id FROM wechat_identities WHERE person_id = ?)`,
		`DELETE FROM wechat_identities WHERE person_id = ?`,
	} {
		if _, err := tx.exec(ctx, stmt, personID); err != nil {
			return failed(err, "unlinking the WeChats of person %s", personID)
		}
	}
	return nil
}

// LinkWeChat implements [order.Tx].
func (tx *Tx) LinkWeChat(ctx context.Context, w order.WeChatIdentity) error {
	r := wechatRow(w)
	r.UpdatedAt = dbTime(r.UpdatedAt)
	_, err := tx.execNamed(ctx, `
		INSERT INTO wechat_identities (app_id, open_id, union_id, person_id, subscribed, updated_at)
		VALUES (:app_id, :open_id, :union_id, :person_id, :subscribed, :updated_at)
		ON CONFLICT (app_id, open_id) DO UPDATE
		SET union_id = excluded.union_id, person_id = excluded.person_id, subscribed = excluded.subscribed, updated_at = excluded.updated_at`, r)
	if isUnique(err) { // two of one person at once
		return order.Errorf(order.Conflict, "wechat_bound_meanwhile", "这个手机号刚刚绑定了另一个微信，请稍后再试")
	}
	return failed(err, "linking WeChat to person %s", w.PersonID)
}

const staffColumns = `id, person_id, sealed_name, roles, company, sealed_totp, disabled, leader, quiet_from, quiet_to, created_at`

type staffRow struct {
	ID         string    `db:"id"`
	PersonID   string    `db:"person_id"`
	SealedName []byte    `db:"sealed_name"`
	Roles      string    `db:"roles"`
	Company    string    `db:"company"`
	SealedTOTP []byte    `db:"sealed_totp"`
	Disabled   bool      `db:"disabled"`
	Leader     bool      `db:"leader"`
	QuietFrom  int       `db:"quiet_from"`
	QuietTo    int       `db:"quiet_to"`
	CreatedAt  time.Time `db:"created_at"`
}

func nameCell(id string) cell { return cell{"staff", "sealed_name", id} }
func totpCell(id string) cell { return cell{"staff", "sealed_totp", id} }

func (q queries) staffOfRow(r staffRow) (order.Staff, error) {
	s := order.Staff{
		ID: r.ID, PersonID: r.PersonID, Company: r.Company, Disabled: r.Disabled, Leader: r.Leader, Quiet: order.Quiet{From: r.QuietFrom, To: r.QuietTo},
		CreatedAt: r.CreatedAt.UTC(),
	}
	if err := json.Unmarshal([]byte(r.Roles), &s.Roles); err != nil {
		return order.Staff{}, fmt.Errorf("decoding roles of staff %s: %w", r.ID, err)
	}
	name, err := q.seal.openBytes(r.SealedName, nameCell(r.ID))
	if err != nil {
		return order.Staff{}, err
	}
	totp, err := q.seal.openBytes(r.SealedTOTP, totpCell(r.ID))
	if err != nil {
		return order.Staff{}, err
	}
	s.Name, s.TOTPSecret = string(name), string(totp)
	return s, nil
}

// Staff implements [order.Queries].
func (q queries) Staff(ctx context.Context, id string) (order.Staff, error) {
	return q.oneStaff(ctx, `id = ?`, id)
}

// StaffByPerson implements [order.Queries].
func (q queries) StaffByPerson(ctx context.Context, personID string) (order.Staff, error) {
	return q.oneStaff(ctx, `person_id = ?`, personID)
}

func (q queries) oneStaff(ctx context.Context, where, arg string) (order.Staff, error) {
	var r staffRow
	err := q.get(ctx, &r, `SELECT `+staffColumns+` FROM staff WHERE `+where, arg)
	if errors.Is(err, sql.ErrNoRows) {
		return order.Staff{}, order.Errorf(order.NotFound, "staff_not_found", "没有找到该工作人员")
	}
	if err != nil {
		return order.Staff{}, failed(err, "reading staff")
	}
	return q.staffOfRow(r)
}

// StaffWithRole implements [order.Queries]: every enabled member of staff who
// may act in that role, the longest serving first.
func (q queries) StaffWithRole(ctx context.Context, role order.Role) ([]order.Staff, error) {
	var rows []staffRow
	if err := q.all(ctx, &rows, `SELECT `+staffColumns+` FROM staff WHERE NOT disabled ORDER BY created_at, id`); err != nil {
		return nil, failed(err, "listing staff")
	}
	var with []order.Staff
	for _, r := range rows {
		s, err := q.staffOfRow(r)
		if err != nil {
			return nil, err
		}
		if s.Has(role) {
			with = append(with, s)
		}
	}
	return with, nil
}

// HoldStaff implements [order.Tx]. Two who hold the same do so in the same order.
func (tx *Tx) HoldStaff(ctx context.Context, ids ...string) (map[string]order.Staff, error) {
	list, args := among(ids)
	var rows []staffRow
	if err := tx.all(ctx, &rows, `SELECT `+staffColumns+` FROM staff WHERE id IN `+list+` ORDER BY id`+tx.dia.forUpdate, args...); err != nil {
		return nil, failed(err, "reading staff")
	}
	held := map[string]order.Staff{}
	for _, r := range rows {
		var err error
		if held[r.ID], err = tx.staffOfRow(r); err != nil {
			return nil, err
		}
	}
	return held, nil
}

// Colleagues implements [order.Queries].
func (q queries) Colleagues(ctx context.Context, after order.Cursor, limit int) (order.ColleaguePage, error) {
	limit = pageLimit(limit)
	where, args := `TRUE`, []any{}
	if after != (order.Cursor{}) {
		where, args = `(s.created_at, s.id) > (?, ?)`, []any{dbTime(after.At), after.ID}
	}
	var rows []struct {
		staffRow
		SealedMobile []byte `db:"sealed_mobile"`
	}
	err := q.all(ctx, &rows, `
		SELECT s.`+strings.ReplaceAll(staffColumns, ", ", ", s.")+`, p.sealed_mobile
		FROM staff s JOIN people p ON p.id = s.person_id
		WHERE `+where+`
		ORDER BY s.created_at, s.id LIMIT ?`, append(args, limit+1)...)
	if err != nil {
		return order.ColleaguePage{}, failed(err, "listing staff")
	}
	page := order.ColleaguePage{}
	for _, r := range rows {
		s, err := q.staffOfRow(r.staffRow)
		if err != nil {
			return page, err
		}
		mobile, err := q.seal.openBytes(r.SealedMobile, mobileCell(r.PersonID))
		if err != nil {
			return page, err
		}
		page.Colleagues = append(page.Colleagues, order.Colleague{Staff: s, Mobile: identity.NewMobile(string(mobile))})
	}
	page.Colleagues, page.Next = pageOf(page.Colleagues, limit, func(c order.Colleague) order.Cursor { return order.Cursor{At: c.CreatedAt, ID: order.ID(c.ID)} })
	return page, nil
}

// SaveStaff implements [order.Tx].
func (tx *Tx) SaveStaff(ctx context.Context, s order.Staff) error {
	r := staffRow{
		ID: s.ID, PersonID: s.PersonID, Company: s.Company, Disabled: s.Disabled, Leader: s.Leader, QuietFrom: s.Quiet.From, QuietTo: s.Quiet.To,
		CreatedAt: dbTime(s.CreatedAt),
	}
	var err error
	if r.Roles, err = toJSON(s.Roles); err != nil {
		return err
	}
	if r.SealedName, err = tx.seal.sealBytes([]byte(s.Name), nameCell(s.ID)); err != nil {
		return err
	}
	if r.SealedTOTP, err = tx.seal.sealBytes([]byte(s.TOTPSecret), totpCell(s.ID)); err != nil {
		return err
	}
	_, err = tx.execNamed(ctx, `
		INSERT INTO staff (`+staffColumns+`)
		VALUES (:id, :person_id, :sealed_name, :roles, :company, :sealed_totp, :disabled, :leader, :quiet_from, :quiet_to, :created_at)
		ON CONFLICT (id) DO UPDATE
		SET person_id = excluded.person_id, sealed_name = excluded.sealed_name, roles = excluded.roles, company = excluded.company,
			sealed_totp = excluded.sealed_totp, disabled = excluded.disabled, leader = excluded.leader,
			quiet_from = excluded.quiet_from, quiet_to = excluded.quiet_to`, r)
	if isDuplicate(err, "staff", "person_id") {
		return order.Errorf(order.Conflict, "staff_exists", "该手机号已是工作人员")
	}
	return failed(err, "saving staff %s", s.ID)
}
