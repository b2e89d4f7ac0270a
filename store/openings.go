package store

import (
	"context"
	"time"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/order"
)

type openingRow struct {
	ID        string    `db:"id"`
	Serial    string    `db:"cert_serial"`
	Project   string    `db:"project"`
	At        time.Time `db:"opens_at"`
	OrderID   order.ID  `db:"order_id"`
	Seq       int64     `db:"seq"`
	CreatedAt time.Time `db:"created_at"`
}

func (r openingRow) opening() certificate.Opening {
	r.At, r.CreatedAt = r.At.UTC(), r.CreatedAt.UTC()
	return certificate.Opening(r)
}

func (q queries) openings(ctx context.Context, now time.Time, whose string, args ...any) ([]certificate.Opening, error) {
	var rows []openingRow
	err := q.all(ctx, &rows, `
		SELECT id, cert_serial, project, opens_at, order_id, seq, created_at
		FROM openings
		WHERE opens_at > ? AND `+whose+`
		ORDER BY opens_at, id`, append([]any{dbTime(now)}, args...)...)
	return convert(rows, openingRow.opening), failed(err, "listing openings")
}

// Openings implements [certificate.OpeningQueries]; they are few.
func (q queries) Openings(ctx context.Context, serial string, now time.Time) ([]certificate.Opening, error) {
	return q.openings(ctx, now, `cert_serial = ?`, serial)
}

// heldByPerson are the openings of what a person, named twice, holds.
const heldByPerson = `cert_serial IN (SELECT cert_serial FROM order_items WHERE id IN (` + heldItems + `))`

// OpeningsOf implements [certificate.OpeningQueries].
func (q queries) OpeningsOf(ctx context.Context, personID string, now time.Time) ([]certificate.Opening, error) {
	return q.openings(ctx, now, heldByPerson, personID, personID)
}

// OpeningsBefore implements [certificate.OpeningQueries].
func (q queries) OpeningsBefore(ctx context.Context, passed time.Time) (some bool, err error) {
	err = q.get(ctx, &some, `SELECT EXISTS (SELECT 1 FROM openings WHERE opens_at < ?)`, dbTime(passed))
	return some, failed(err, "looking for openings that have passed")
}

// ForgetOpenings implements [certificate.OpeningTx].
func (tx *Tx) ForgetOpenings(ctx context.Context, passed time.Time) error {
	_, err := tx.exec(ctx, `DELETE FROM openings WHERE opens_at < ?`, dbTime(passed))
	return failed(err, "forgetting openings that have passed")
}

// InsertOpening implements [certificate.OpeningTx].
func (tx *Tx) InsertOpening(ctx context.Context, o certificate.Opening) error {
	o.At, o.CreatedAt = dbTime(o.At), dbTime(o.CreatedAt)
	_, err := tx.execNamed(ctx, `
		INSERT INTO openings (id, cert_serial, project, opens_at, order_id, seq, created_at)
		VALUES (:id, :cert_serial, :project, :opens_at, :order_id, :seq, :created_at)`, openingRow(o))
	return failed(err, "registering an opening of %s", o.Serial)
}

// DeleteOpening implements [certificate.OpeningTx].
func (tx *Tx) DeleteOpening(ctx context.Context, serial, id string) (bool, error) {
	n, err := tx.exec(ctx, `DELETE FROM openings WHERE cert_serial = ? AND id = ?`, serial, id)
	return n > 0, failed(err, "deleting opening %s", id)
}
