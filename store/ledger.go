package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/yuncaidun/yuncaidun/issuance"
)

// Ledger is the CA's memory. It knows no orders; its item column is opaque.
type Ledger struct{ db *DB }

var _ issuance.Ledger = (*Ledger)(nil)

// NewLedger returns the ledger kept in db.
func NewLedger(db *DB) *Ledger { return &Ledger{db} }

const issueColumns = `id, item, snapshot_hash, profile, company, uscc, years, continues, renews, stage, token_serial, csr, key_hash,
	serial, issuer, tbs, tbs_hash, not_before, not_after, certificate, revoked_at, revocation_reason, failure, created_at, updated_at`

// issueRow is an issue with its nullable columns as they are stored.
type issueRow struct {
	issuance.Issue
	TokenSerial sql.NullString `db:"token_serial"`
	KeyHash     sql.NullString `db:"key_hash"`
	Renews      sql.NullString `db:"renews"`
	Serial      sql.NullString `db:"serial"`
	Issuer      sql.NullString `db:"issuer"`
	Failure     sql.NullString `db:"failure"`
	Continues   sql.NullTime   `db:"continues"`
	NotBefore   sql.NullTime   `db:"not_before"`
	NotAfter    sql.NullTime   `db:"not_after"`
	RevokedAt   sql.NullTime   `db:"revoked_at"`
}

func rowOfIssue(is issuance.Issue) issueRow {
	is.CreatedAt, is.UpdatedAt = dbTime(is.CreatedAt), dbTime(is.UpdatedAt)
	return issueRow{
		Issue:       is,
		TokenSerial: nullString(is.TokenSerial), KeyHash: nullString(is.KeyHash), Renews: nullString(is.Renews), Serial: nullString(is.Serial),
		Issuer: nullString(is.Issuer), Failure: nullString(is.Failure),
		Continues: nullTime(is.Continues),
		NotBefore: nullTime(is.NotBefore), NotAfter: nullTime(is.NotAfter), RevokedAt: nullTime(is.RevokedAt),
	}
}

func (r issueRow) issue() issuance.Issue {
	is := r.Issue
	is.TokenSerial, is.KeyHash, is.Renews, is.Serial = r.TokenSerial.String, r.KeyHash.String, r.Renews.String, r.Serial.String
	is.Issuer, is.Failure = r.Issuer.String, r.Failure.String
	is.Continues = fromNull(r.Continues)
	is.NotBefore, is.NotAfter, is.RevokedAt = fromNull(r.NotBefore), fromNull(r.NotAfter), fromNull(r.RevokedAt)
	is.CreatedAt, is.UpdatedAt = is.CreatedAt.UTC(), is.UpdatedAt.UTC()
	return is
}

// OpenIssue implements [issuance.Ledger].
func (l *Ledger) OpenIssue(ctx context.Context, is issuance.Issue) (issuance.Issue, error) {
	row, there := rowOfIssue(is), false
	err := l.db.inTx(ctx, func(tx *Tx) error {
		n, err := tx.execNamed(ctx, `
			INSERT INTO issues (`+issueColumns+`)
			VALUES (:id, :item, :snapshot_hash, :profile, :company, :uscc, :years, :continues, :renews, :stage, :token_serial, :csr, :key_hash,
				:serial, :issuer, :tbs, :tbs_hash, :not_before, :not_after, :certificate, :revoked_at, :revocation_reason, :failure, :created_at, :updated_at)
			ON CONFLICT (id) DO NOTHING`, row)
		there = n == 0
		if isForeignKey(err) && is.Renews != "" {
			return issuance.ErrOtherKey
		}
		return issueFault(err, "opening issue %s", is.ID)
	})
	if err == nil && !there {
		return row.issue(), nil
	}
	// It was opened before. A database may complain of its item or its key first.
	stored, unread := l.Issue(ctx, is.ID)
	if err != nil && errors.Is(unread, issuance.ErrUnknownIssue) {
		return issuance.Issue{}, err
	}
	return stored, unread
}

// Issue implements [issuance.Ledger].
func (l *Ledger) Issue(ctx context.Context, id string) (issuance.Issue, error) {
	return l.db.issue(ctx, id)
}

func (q queries) issue(ctx context.Context, id string) (issuance.Issue, error) {
	var r issueRow
	err := q.get(ctx, &r, `SELECT `+issueColumns+` FROM issues WHERE id = ?`, id)
	if errors.Is(err, sql.ErrNoRows) {
		return issuance.Issue{}, issuance.ErrUnknownIssue
	}
	if err != nil {
		return issuance.Issue{}, failed(err, "reading issue %s", id)
	}
	return r.issue(), nil
}

// KeyOf implements [issuance.Ledger].
func (l *Ledger) KeyOf(ctx context.Context, serial string) (since, ends time.Time, err error) {
	var r struct {
		Since time.Time `db:"not_before"`
		Ends  time.Time `db:"not_after"`
	}
	err = l.db.get(ctx, &r, `
		SELECT f.not_before, i.not_after
		FROM issues i JOIN issues f ON f.key_hash = i.key_hash AND f.renews IS NULL
		WHERE i.serial = ? AND i.certificate IS NOT NULL`, serial)
	if errors.Is(err, sql.ErrNoRows) {
		return since, ends, issuance.ErrUnknownIssue
	}
	return r.Since.UTC(), r.Ends.UTC(), failed(err, "reading the key of certificate %s", serial)
}

// AdvanceIssue implements [issuance.Ledger]. The WHERE clause is the guarantee:
// of two workers at the same stage, one goes on.
func (l *Ledger) AdvanceIssue(ctx context.Context, from issuance.Stage, is issuance.Issue, tok *issuance.TokenRecord) error {
	return l.db.inTx(ctx, func(tx *Tx) error {
		if tok != nil {
			if err := tx.putToken(ctx, *tok); err != nil {
				return err
			}
			if tok.State == issuance.TokenScrapped {
				if err := tx.blankDied(ctx, *tok, is.Failure); err != nil {
					return err
				}
			}
		}
		n, err := tx.execNamed(ctx, `
			UPDATE issues
			SET stage = :stage, token_serial = :token_serial, csr = :csr, key_hash = :key_hash,
				serial = :serial, issuer = :issuer, tbs = :tbs, tbs_hash = :tbs_hash, not_before = :not_before, not_after = :not_after,
				certificate = :certificate, revoked_at = :revoked_at, revocation_reason = :revocation_reason, failure = :failure, updated_at = :updated_at
			WHERE id = :id AND stage = :from_stage`, struct {
			issueRow
			From issuance.Stage `db:"from_stage"`
		}{rowOfIssue(is), from})
		if err != nil {
			return issueFault(err, "advancing issue %s from %s", is.ID, from)
		}
		if n == 0 {
			return issuance.ErrStale
		}
		if is.Serial != "" && !is.RevokedAt.IsZero() {
			return tx.statusChanged(ctx, is.Serial, is.Issuer)
		}
		return nil
	})
}

// issueFault turns broken unique columns into the ledger's answers.
func issueFault(err error, format string, args ...any) error {
	switch {
	case isDuplicate(err, "issues", "item"):
		return issuance.ErrItemBusy
	case isDuplicate(err, "issues", "serial"):
		return issuance.ErrSerialTaken
	case isDuplicate(err, "issues", "key_hash"):
		return issuance.ErrKeyReused
	case isDuplicate(err, "tokens", "issue_id"): // another worker has chosen a token for this issue
		return issuance.ErrStale
	}
	return failed(err, format, args...)
}

const tokenColumns = `serial, state, issue_id, sealed_so_pin, sealed_user_pin, sealed_secret, created_at, updated_at`

func (tx *Tx) putToken(ctx context.Context, t issuance.TokenRecord) error {
	t.CreatedAt, t.UpdatedAt = dbTime(t.CreatedAt), dbTime(t.UpdatedAt)
	_, err := tx.execNamed(ctx, `
		INSERT INTO tokens (`+tokenColumns+`)
		VALUES (:serial, :state, :issue_id, :sealed_so_pin, :sealed_user_pin, :sealed_secret, :created_at, :updated_at)
		ON CONFLICT (serial) DO UPDATE
		SET state = excluded.state, issue_id = excluded.issue_id, sealed_so_pin = excluded.sealed_so_pin,
			sealed_user_pin = excluded.sealed_user_pin, sealed_secret = excluded.sealed_secret, updated_at = excluded.updated_at`, t)
	return issueFault(err, "recording token %s", t.Serial)
}

// Token implements [issuance.Ledger].
func (l *Ledger) Token(ctx context.Context, serial string) (issuance.TokenRecord, error) {
	var t issuance.TokenRecord
	err := l.db.get(ctx, &t, `SELECT `+tokenColumns+` FROM tokens WHERE serial = ?`, serial)
	if errors.Is(err, sql.ErrNoRows) {
		return t, issuance.ErrUnknownToken
	}
	if err != nil {
		return t, failed(err, "reading token %s", serial)
	}
	t.CreatedAt, t.UpdatedAt = t.CreatedAt.UTC(), t.UpdatedAt.UTC()
	return t, nil
}

// SOPINs implements [issuance.Ledger].
func (l *Ledger) SOPINs(ctx context.Context, serial string) (sealed []byte, rev int64, err error) {
	var r struct {
		Sealed []byte `db:"sealed_so_pins"`
		Rev    int64  `db:"so_pins_rev"`
	}
	err = l.db.get(ctx, &r, `SELECT sealed_so_pins, so_pins_rev FROM tokens WHERE serial = ?`, serial)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, 0, issuance.ErrUnknownToken
	}
	return r.Sealed, r.Rev, failed(err, "reading SO PINs of token %s", serial)
}

// PutSOPINs implements [issuance.Ledger]. The WHERE clause is the guarantee: of
// two who change them at once, one begins again.
func (l *Ledger) PutSOPINs(ctx context.Context, serial string, sealed []byte, rev int64) error {
	return l.db.inTx(ctx, func(tx *Tx) error {
		n, err := tx.exec(ctx, `UPDATE tokens SET sealed_so_pins = ?, so_pins_rev = so_pins_rev + 1 WHERE serial = ? AND so_pins_rev = ?`, sealed, serial, rev)
		if err == nil && n == 0 {
			return issuance.ErrStale
		}
		return failed(err, "keeping SO PINs of token %s", serial)
	})
}

// NextTokenNumber implements [issuance.Ledger].
func (l *Ledger) NextTokenNumber(ctx context.Context) (n uint64, err error) {
	err = l.db.inTx(ctx, func(tx *Tx) error {
		for taken := true; taken; {
			if err := tx.count(ctx, "token", &n); err != nil {
				return err
			}
			var err error
			if taken, err = tx.inStock(ctx, n); err != nil {
				return err
			}
		}
		return nil
	})
	return n, err
}

// count writes the next value of a counter to n, 1 first. Rolling back gives the
// value back, so that a counter used in the transaction of its purpose has no
// gaps.
func (tx *Tx) count(ctx context.Context, name string, n any) error {
	return failed(tx.get(ctx, n, `
		INSERT INTO counters (name, value) VALUES (?, 1)
		ON CONFLICT (name) DO UPDATE SET value = counters.value + 1
		RETURNING value`, name), "counting %s", name)
}
