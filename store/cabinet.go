package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

// foreignRow is a USBKEY of another CA; what its person typed is sealed, as people write
// names into labels.
type foreignRow struct {
	ID        string       `db:"id"`
	PersonID  string       `db:"person_id"`
	Sealed    []byte       `db:"sealed"`
	NotAfter  time.Time    `db:"not_after"`
	RemindAt  sql.NullTime `db:"remind_at"`
	CreatedAt time.Time    `db:"created_at"`
}

type foreignSealed struct {
	Label  string `json:"label"`
	Issuer string `json:"issuer"`
	Holder string `json:"holder,omitempty"`
	Number string `json:"number,omitempty"`
}

const foreignColumns = `id, person_id, sealed, not_after, remind_at, created_at`

func (r foreignRow) cell() cell { return cell{"foreign_tokens", "sealed", r.ID} }

func (q queries) rowOfForeign(f certificate.Foreign) (r foreignRow, err error) {
	r = foreignRow{ID: f.ID, PersonID: f.PersonID, NotAfter: dbTime(f.NotAfter), RemindAt: nullTime(f.RemindAt), CreatedAt: dbTime(f.CreatedAt)}
	r.Sealed, err = q.seal.sealJSON(foreignSealed{f.Label, f.Issuer, f.Holder, f.Number}, r.cell())
	return r, err
}

func (q queries) foreign(ctx context.Context, where string, args ...any) ([]certificate.Foreign, error) {
	var rows []foreignRow
	if err := q.all(ctx, &rows, `SELECT `+foreignColumns+` FROM foreign_tokens WHERE `+where+` ORDER BY not_after, id`, args...); err != nil {
		return nil, failed(err, "reading USBKEYs of other CAs")
	}
	out := make([]certificate.Foreign, len(rows))
	for i, r := range rows {
		var s foreignSealed
		if err := q.seal.openJSON(r.Sealed, &s, r.cell()); err != nil {
			return nil, err
		}
		out[i] = certificate.Foreign{
			ID: r.ID, PersonID: r.PersonID, Label: s.Label, Issuer: s.Issuer, Holder: s.Holder, Number: s.Number,
			NotAfter: r.NotAfter.UTC(), RemindAt: fromNull(r.RemindAt), CreatedAt: r.CreatedAt.UTC(),
		}
	}
	return out, nil
}

var errNoForeign = order.Errorf(order.NotFound, "token_not_found", "没有找到这把 UKEY，请在「我的证书」中查看")

// Foreign implements [certificate.CabinetQueries].
func (q queries) Foreign(ctx context.Context, id string) (certificate.Foreign, error) {
	found, err := q.foreign(ctx, `id = ?`, id)
	if err != nil {
		return certificate.Foreign{}, err
	}
	if len(found) == 0 {
		return certificate.Foreign{}, errNoForeign
	}
	return found[0], nil
}

// ForeignOf implements [certificate.CabinetQueries]; they are few.
func (q queries) ForeignOf(ctx context.Context, personID string) ([]certificate.Foreign, error) {
	return q.foreign(ctx, `person_id = ?`, personID)
}

// InsertForeign implements [certificate.CabinetTx].
func (tx *Tx) InsertForeign(ctx context.Context, f certificate.Foreign) error {
	r, err := tx.rowOfForeign(f)
	if err != nil {
		return err
	}
	_, err = tx.execNamed(ctx, `
		INSERT INTO foreign_tokens (`+foreignColumns+`)
		VALUES (:id, :person_id, :sealed, :not_after, :remind_at, :created_at)`, r)
	return failed(err, "registering a USBKEY of another CA")
}

// UpdateForeign implements [certificate.CabinetTx].
func (tx *Tx) UpdateForeign(ctx context.Context, f certificate.Foreign) error {
	r, err := tx.rowOfForeign(f)
	if err != nil {
		return err
	}
	n, err := tx.execNamed(ctx, `
		UPDATE foreign_tokens
		SET sealed = :sealed, not_after = :not_after, remind_at = :remind_at
		WHERE id = :id AND person_id = :person_id`, r)
	if err != nil {
		return failed(err, "changing USBKEY %s of another CA", f.ID)
	}
	return oneRow(n, errNoForeign)
}

// DeleteForeign implements [certificate.CabinetTx].
func (tx *Tx) DeleteForeign(ctx context.Context, personID, id string) error {
	n, err := tx.exec(ctx, `DELETE FROM foreign_tokens WHERE id = ? AND person_id = ?`, id, personID)
	if err != nil {
		return failed(err, "deleting USBKEY %s of another CA", id)
	}
	if n != 1 {
		return errNoForeign
	}
	_, err = tx.exec(ctx, `DELETE FROM loans WHERE token = ?`, id)
	return failed(err, "deleting the log of USBKEY %s", id)
}

// loanRow is a line of the log; who, where and what for are sealed.
type loanRow struct {
	ID         string       `db:"id"`
	Token      string       `db:"token"`
	PersonID   string       `db:"person_id"`
	Sealed     []byte       `db:"sealed"`
	LentAt     time.Time    `db:"lent_at"`
	DueAt      time.Time    `db:"due_at"`
	ReturnedAt sql.NullTime `db:"returned_at"`
	RemindAt   sql.NullTime `db:"remind_at"`
}

type loanSealed struct {
	Borrower   string `json:"borrower"`
	Department string `json:"department,omitempty"`
	Purpose    string `json:"purpose"`
}

const loanColumns = `id, token, person_id, sealed, lent_at, due_at, returned_at, remind_at`

func (r loanRow) cell() cell { return cell{"loans", "sealed", r.ID} }

func (q queries) loans(rows []loanRow) ([]certificate.Loan, error) {
	out := make([]certificate.Loan, len(rows))
	for i, r := range rows {
		var s loanSealed
		if err := q.seal.openJSON(r.Sealed, &s, r.cell()); err != nil {
			return nil, err
		}
		out[i] = certificate.Loan{
			ID: r.ID, Token: r.Token, PersonID: r.PersonID, Borrower: identity.NewPersonName(s.Borrower), Department: s.Department, Purpose: s.Purpose,
			LentAt: r.LentAt.UTC(), DueAt: r.DueAt.UTC(), ReturnedAt: fromNull(r.ReturnedAt), RemindAt: fromNull(r.RemindAt),
		}
	}
	return out, nil
}

// LoansOut implements [certificate.CabinetQueries]; a USBKEY is out once.
func (q queries) LoansOut(ctx context.Context, personID string) ([]certificate.Loan, error) {
	var rows []loanRow
	err := q.all(ctx, &rows, `SELECT `+loanColumns+` FROM loans WHERE person_id = ? AND returned_at IS NULL ORDER BY due_at, id LIMIT 500`, personID)
	if err != nil {
		return nil, failed(err, "reading who has the USBKEYs of person %s", personID)
	}
	return q.loans(rows)
}

// Loans implements [certificate.CabinetQueries].
func (q queries) Loans(ctx context.Context, personID, token string, after order.Cursor, limit int) (page certificate.LoanPage, err error) {
	limit = pageLimit(limit)
	where, args := `person_id = ?`, []any{personID}
	if token != "" {
		where, args = where+` AND token = ?`, append(args, token)
	}
	if after != (order.Cursor{}) {
		where, args = where+` AND (lent_at, id) < (?, ?)`, append(args, dbTime(after.At), after.ID)
	}
	var rows []loanRow
	if err := q.all(ctx, &rows, `SELECT `+loanColumns+` FROM loans WHERE `+where+` ORDER BY lent_at DESC, id DESC LIMIT ?`, append(args, limit+1)...); err != nil {
		return page, failed(err, "reading the log of person %s", personID)
	}
	rows, page.Next = pageOf(rows, limit, func(r loanRow) order.Cursor { return order.Cursor{At: r.LentAt.UTC(), ID: order.ID(r.ID)} })
	page.Loans, err = q.loans(rows)
	return page, err
}

// InsertLoan implements [certificate.CabinetTx]. The index decides who has a USBKEY.
func (tx *Tx) InsertLoan(ctx context.Context, l certificate.Loan) error {
	r := loanRow{ID: l.ID, Token: l.Token, PersonID: l.PersonID, LentAt: dbTime(l.LentAt), DueAt: dbTime(l.DueAt), ReturnedAt: nullTime(l.ReturnedAt), RemindAt: nullTime(l.RemindAt)}
	var err error
	if r.Sealed, err = tx.seal.sealJSON(loanSealed{l.Borrower.Reveal(), l.Department, l.Purpose}, r.cell()); err != nil {
		return err
	}
	n, err := tx.execNamed(ctx, `
		INSERT INTO loans (`+loanColumns+`)
		VALUES (:id, :token, :person_id, :sealed, :lent_at, :due_at, :returned_at, :remind_at)
		ON CONFLICT (token) WHERE returned_at IS NULL DO NOTHING`, r)
	if err != nil {
		return failed(err, "writing down who takes USBKEY %s", l.Token)
	}
	return oneRow(n, order.Errorf(order.Conflict, "token_lent", "这把 UKEY 已登记借出，请先登记归还"))
}

var errNoLoan = order.Errorf(order.NotFound, "loan_not_found", "没有找到这条领用记录，它可能已经归还或删除，请刷新后查看")

// ReturnLoan implements [certificate.CabinetTx].
func (tx *Tx) ReturnLoan(ctx context.Context, personID, token, id string, at time.Time) error {
	n, err := tx.exec(ctx, `
		UPDATE loans
		SET returned_at = ?, remind_at = NULL
		WHERE id = ? AND token = ? AND person_id = ? AND returned_at IS NULL`, dbTime(at), id, token, personID)
	if err != nil {
		return failed(err, "writing down that USBKEY %s is back", token)
	}
	return oneRow(n, errNoLoan)
}

// DeleteLoan implements [certificate.CabinetTx].
func (tx *Tx) DeleteLoan(ctx context.Context, personID, token, id string) error {
	n, err := tx.exec(ctx, `DELETE FROM loans WHERE id = ? AND token = ? AND person_id = ? AND returned_at IS NOT NULL`, id, token, personID)
	if err != nil {
		return failed(err, "deleting from the log of USBKEY %s", token)
	}
	return oneRow(n, errNoLoan)
}

type dueRow struct {
	Kind     certificate.DueKind `db:"kind"`
	ID       string              `db:"id"`
	PersonID string              `db:"person_id"`
	EndsAt   time.Time           `db:"ends_at"`
	RemindAt time.Time           `db:"remind_at"`
}

func (r dueRow) entry() certificate.DueEntry {
	r.EndsAt, r.RemindAt = r.EndsAt.UTC(), r.RemindAt.UTC()
	return certificate.DueEntry(r)
}

// DueCabinets implements [certificate.CabinetQueries].
func (q queries) DueCabinets(ctx context.Context, now time.Time, limit int) ([]certificate.DueEntry, error) {
	var rows []dueRow
	at := dbTime(now)
	err := q.all(ctx, &rows, `
		SELECT 'loan' AS kind, id, person_id, due_at AS ends_at, remind_at FROM loans WHERE remind_at IS NOT NULL AND remind_at <= ?
		UNION ALL
		SELECT 'foreign' AS kind, id, person_id, not_after AS ends_at, remind_at FROM foreign_tokens WHERE remind_at IS NOT NULL AND remind_at <= ?
		ORDER BY person_id, kind, id
		LIMIT ?`, at, at, limit)
	return convert(rows, dueRow.entry), failed(err, "listing what is due in cabinets")
}

// dueTables are where the entries of each kind are.
var dueTables = map[certificate.DueKind]string{certificate.DueBack: `loans`, certificate.DueEnd: `foreign_tokens`}

// RemindAgain implements [certificate.CabinetTx].
func (tx *Tx) RemindAgain(ctx context.Context, d certificate.DueEntry, next time.Time) (bool, error) {
	n, err := tx.exec(ctx, `UPDATE `+dueTables[d.Kind]+` SET remind_at = ? WHERE id = ? AND person_id = ? AND remind_at = ?`, nullTime(next), d.ID, d.PersonID, dbTime(d.RemindAt))
	return n == 1, failed(err, "planning the next reminder of %s", d.ID)
}

// overLoans and overForeign are what is over in each table before a moment.
const (
	overLoans   = `FROM loans WHERE returned_at < ?`
	overForeign = `FROM foreign_tokens WHERE not_after < ?`
)

// CabinetBefore implements [certificate.CabinetQueries].
func (q queries) CabinetBefore(ctx context.Context, over time.Time) (some bool, err error) {
	err = q.get(ctx, &some, `SELECT EXISTS (SELECT 1 `+overLoans+`) OR EXISTS (SELECT 1 `+overForeign+`)`, dbTime(over), dbTime(over))
	return some, failed(err, "looking for what is over in cabinets")
}

// ForgetCabinets implements [certificate.CabinetTx]. The log of a USBKEY goes with it.
func (tx *Tx) ForgetCabinets(ctx context.Context, over time.Time) error {
	for _, stmt := range []string{
		`DELETE ` + overLoans,
		`DELETE FROM loans WHERE token IN (SELECT id ` + overForeign + `)`,
		`DELETE ` + overForeign,
	} {
		if _, err := tx.exec(ctx, stmt, dbTime(over)); err != nil {
			return failed(err, "forgetting what is over in cabinets")
		}
	}
	return nil
}

// EmptyCabinet implements [certificate.CabinetTx].
func (tx *Tx) EmptyCabinet(ctx context.Context, personID string) error {
	for _, stmt := range []string{`DELETE FROM loans WHERE person_id = ?`, `DELETE FROM foreign_tokens WHERE person_id = ?`} {
		if _, err := tx.exec(ctx, stmt, personID); err != nil {
			return failed(err, "emptying the cabinet of person %s", personID)
		}
	}
	return nil
}
