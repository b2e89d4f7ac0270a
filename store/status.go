package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/yuncaidun/yuncaidun/issuance"
)

var _ issuance.StatusLedger = (*Ledger)(nil)

// urgent is the due time of a changed status. It lies before that of new
// certificates (the column's default), so that a revocation overtakes any number
// of them.
var urgent = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)

const statusColumns = `serial, issuer, not_after, revoked_at, revocation_reason, status_rev`

type statusRow struct {
	issuance.CertStatus
	RevokedAt sql.NullTime `db:"revoked_at"`
}

func (r statusRow) status() issuance.CertStatus {
	s := r.CertStatus
	s.NotAfter, s.RevokedAt = s.NotAfter.UTC(), fromNull(r.RevokedAt)
	return s
}

// spoken are the serials that the CA speaks about: an issue that is about to be
// signed has a serial that nobody holds yet.
const spoken = `serial IS NOT NULL AND (certificate IS NOT NULL OR revoked_at IS NOT NULL)`

func (q queries) statuses(ctx context.Context, rest string, args ...any) ([]issuance.CertStatus, error) {
	var rows []statusRow
	if err := q.all(ctx, &rows, `SELECT `+statusColumns+` FROM issues WHERE `+spoken+` AND `+rest, args...); err != nil {
		return nil, failed(err, "reading statuses of certificates")
	}
	out := make([]issuance.CertStatus, len(rows))
	for i, r := range rows {
		out[i] = r.status()
	}
	return out, nil
}

// CertStatus implements [issuance.StatusLedger].
func (l *Ledger) CertStatus(ctx context.Context, serial string) (issuance.CertStatus, error) {
	return one(l.db.statuses(ctx, `serial = ?`, serial))
}

func one(s []issuance.CertStatus, err error) (issuance.CertStatus, error) {
	if err != nil || len(s) == 0 {
		return issuance.CertStatus{}, errors.Join(err, issuance.ErrUnknownIssue)
	}
	return s[0], nil
}

// Revoked implements [issuance.StatusLedger].
func (l *Ledger) Revoked(ctx context.Context, issuer string, since time.Time) ([]issuance.CertStatus, error) {
	return l.db.statuses(ctx, `issuer = ? AND revoked_at IS NOT NULL AND not_after >= ? ORDER BY revoked_at, serial`, issuer, dbTime(since))
}

// DueStatuses implements [issuance.StatusLedger].
func (l *Ledger) DueStatuses(ctx context.Context, now time.Time, limit int) ([]issuance.CertStatus, error) {
	return l.db.statuses(ctx, `status_due IS NOT NULL AND status_due <= ? ORDER BY status_due LIMIT ?`, dbTime(now), limit)
}

const crlColumns = `issuer, number, this_update, next_update, der, changes, included`

// CRL implements [issuance.StatusLedger].
func (l *Ledger) CRL(ctx context.Context, issuer string) (issuance.CRL, error) {
	var r struct {
		issuance.CRL
		ThisUpdate sql.NullTime `db:"this_update"`
		NextUpdate sql.NullTime `db:"next_update"`
	}
	err := l.db.get(ctx, &r, `SELECT `+crlColumns+` FROM crls WHERE issuer = ?`, issuer)
	if errors.Is(err, sql.ErrNoRows) {
		return issuance.CRL{Issuer: issuer}, nil
	}
	if err != nil {
		return issuance.CRL{}, failed(err, "reading the CRL of %s", issuer)
	}
	c := r.CRL
	c.ThisUpdate, c.NextUpdate = fromNull(r.ThisUpdate), fromNull(r.NextUpdate)
	return c, nil
}

// PutCRL implements [issuance.StatusLedger].
func (l *Ledger) PutCRL(ctx context.Context, c issuance.CRL) error {
	c.ThisUpdate, c.NextUpdate = dbTime(c.ThisUpdate), dbTime(c.NextUpdate)
	return l.db.inTx(ctx, func(tx *Tx) error {
		if _, err := tx.exec(ctx, `INSERT INTO crls (issuer, number, changes, included) VALUES (?, 0, 0, 0) ON CONFLICT (issuer) DO NOTHING`, c.Issuer); err != nil {
			return failed(err, "making room for the CRL of %s", c.Issuer)
		}
		n, err := tx.execNamed(ctx, `
			UPDATE crls
			SET number = :number, this_update = :this_update, next_update = :next_update, der = :der, included = :included
			WHERE issuer = :issuer AND number = :number - 1`, c)
		if err != nil {
			return failed(err, "keeping CRL %d of %s", c.Number, c.Issuer)
		}
		if n == 0 {
			return issuance.ErrStale
		}
		return nil
	})
}

// PutResponses implements [issuance.StatusLedger].
func (l *Ledger) PutResponses(ctx context.Context, responses []issuance.Response) error {
	return l.db.inTx(ctx, func(tx *Tx) error {
		for _, r := range responses {
			n, err := tx.exec(ctx, `UPDATE issues SET status_due = ? WHERE serial = ? AND status_rev = ?`, nullTime(r.Due), r.Of.Serial, r.Of.Rev)
			if err != nil {
				return failed(err, "keeping the status of %s", r.Of.Serial)
			}
			if n == 0 {
				continue // changed meanwhile
			}
			if _, err := tx.exec(ctx, `INSERT INTO ocsp_responses (serial, der) VALUES (?, ?) ON CONFLICT (serial) DO UPDATE SET der = excluded.der`, r.Of.Serial, r.DER); err != nil {
				return failed(err, "keeping the status of %s", r.Of.Serial)
			}
		}
		return nil
	})
}

// Response implements [issuance.StatusLedger].
func (l *Ledger) Response(ctx context.Context, serial string) (der []byte, err error) {
	err = l.db.get(ctx, &der, `SELECT der FROM ocsp_responses WHERE serial = ?`, serial)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, issuance.ErrUnknownIssue
	}
	return der, failed(err, "reading the status of %s", serial)
}

// statusChanged says in the transaction of a revocation or a freeze that what is
// published about the certificate is no longer true.
func (tx *Tx) statusChanged(ctx context.Context, serial, issuer string) error {
	if _, err := tx.exec(ctx, `UPDATE issues SET status_rev = status_rev + 1, status_due = ? WHERE serial = ?`, urgent, serial); err != nil {
		return failed(err, "marking %s for publication", serial)
	}
	_, err := tx.exec(ctx, `
		INSERT INTO crls (issuer, number, changes, included) VALUES (?, 0, 1, 0)
		ON CONFLICT (issuer) DO UPDATE SET changes = crls.changes + 1`, issuer)
	return failed(err, "marking the CRL of %s for publication", issuer)
}
