package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

const enquiryColumns = `id, person_id, order_id, topic, sealed_said, urgent, due_at, created_at, done_at, done_by`

type enquiryRow struct {
	ID         string       `db:"id"`
	PersonID   string       `db:"person_id"`
	OrderID    order.ID     `db:"order_id"`
	Topic      string       `db:"topic"`
	SealedSaid []byte       `db:"sealed_said"`
	Urgent     bool         `db:"urgent"`
	DueAt      time.Time    `db:"due_at"`
	CreatedAt  time.Time    `db:"created_at"`
	DoneAt     sql.NullTime `db:"done_at"`
	DoneBy     string       `db:"done_by"`
}

func saidCell(id string) cell { return cell{"enquiries", "sealed_said", id} }

func (q queries) enquiry(r enquiryRow) (order.Enquiry, error) {
	said, err := q.seal.openBytes(r.SealedSaid, saidCell(r.ID))
	return order.Enquiry{
		ID: r.ID, PersonID: r.PersonID, OrderID: r.OrderID, Topic: r.Topic, Said: string(said), Urgent: r.Urgent,
		DueAt: r.DueAt.UTC(), CreatedAt: r.CreatedAt.UTC(), DoneAt: fromNull(r.DoneAt), DoneBy: r.DoneBy,
	}, err
}

var _ order.Enquiries = (*DB)(nil)

// Enquire implements [order.Enquiries].
func (db *DB) Enquire(ctx context.Context, e order.Enquiry) (out order.Enquiry, err error) {
	err = db.inTx(ctx, func(tx *Tx) error {
		out, err = tx.enquire(ctx, e)
		return err
	})
	return out, err
}

// enquire brings the person's open enquiry up to date, which nobody closes meanwhile, or
// makes one. Of two who make it at once, one begins again and finds the other's.
func (tx *Tx) enquire(ctx context.Context, e order.Enquiry) (order.Enquiry, error) {
	sealed, err := tx.seal.sealBytes([]byte(e.Said), saidCell(e.ID))
	if err != nil {
		return order.Enquiry{}, err
	}
	added := enquiryRow{
		ID: e.ID, PersonID: e.PersonID, OrderID: e.OrderID, Topic: e.Topic, SealedSaid: sealed, Urgent: e.Urgent, DueAt: dbTime(e.DueAt), CreatedAt: dbTime(e.CreatedAt),
	}
	for {
		var open enquiryRow
		err := tx.get(ctx, &open, `SELECT `+enquiryColumns+` FROM enquiries WHERE person_id = ? AND done_at IS NULL`+tx.dia.forUpdate, e.PersonID)
		if err == nil {
			return tx.enquireAgain(ctx, open, e)
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return order.Enquiry{}, failed(err, "reading an enquiry")
		}
		n, err := tx.execNamed(ctx, `
			INSERT INTO enquiries (`+enquiryColumns+`)
			VALUES (:id, :person_id, :order_id, :topic, :sealed_said, :urgent, :due_at, :created_at, :done_at, :done_by)
			ON CONFLICT (person_id) WHERE done_at IS NULL DO NOTHING`, added)
		if err != nil {
			return order.Enquiry{}, failed(err, "recording an enquiry")
		}
		if n == 1 {
			return tx.enquiry(added)
		}
	}
}

// enquireAgain keeps the earlier promise and what was said last.
func (tx *Tx) enquireAgain(ctx context.Context, r enquiryRow, e order.Enquiry) (order.Enquiry, error) {
	if e.Said != "" {
		sealed, err := tx.seal.sealBytes([]byte(e.Said), saidCell(r.ID))
		if err != nil {
			return order.Enquiry{}, err
		}
		r.SealedSaid, r.Topic = sealed, e.Topic
	}
	if e.OrderID != "" {
		r.OrderID = e.OrderID
	}
	r.Urgent = r.Urgent || e.Urgent
	if due := dbTime(e.DueAt); due.Before(r.DueAt) {
		r.DueAt = due
	}
	_, err := tx.execNamed(ctx, `
		UPDATE enquiries
		SET order_id = :order_id, topic = :topic, sealed_said = :sealed_said, urgent = :urgent, due_at = :due_at
		WHERE id = :id AND done_at IS NULL`, r)
	if err != nil {
		return order.Enquiry{}, failed(err, "bringing enquiry %s up to date", r.ID)
	}
	return tx.enquiry(r)
}

// Enquiry implements [order.Enquiries].
func (q queries) Enquiry(ctx context.Context, id string) (order.Enquiry, error) {
	var r enquiryRow
	err := q.get(ctx, &r, `SELECT `+enquiryColumns+` FROM enquiries WHERE id = ?`, id)
	if errors.Is(err, sql.ErrNoRows) {
		return order.Enquiry{}, order.Errorf(order.NotFound, "enquiry_not_found", "没有找到该回电登记")
	}
	if err != nil {
		return order.Enquiry{}, failed(err, "reading enquiry %s", id)
	}
	return q.enquiry(r)
}

// OpenEnquiries implements [order.Enquiries].
func (q queries) OpenEnquiries(ctx context.Context, after order.EnquiryCursor, limit int) ([]order.Enquiry, error) {
	var rows []enquiryRow
	at := dbTime(after.DueAt)
	err := q.all(ctx, &rows, `
		SELECT `+enquiryColumns+`
		FROM enquiries
		WHERE done_at IS NULL AND (due_at > ? OR due_at = ? AND id > ?)
		ORDER BY due_at, id
		LIMIT ?`, at, at, after.ID, limit)
	if err != nil {
		return nil, failed(err, "listing enquiries")
	}
	return q.enquiries(rows)
}

func (q queries) enquiries(rows []enquiryRow) (out []order.Enquiry, err error) {
	out = make([]order.Enquiry, len(rows))
	for i, r := range rows {
		if out[i], err = q.enquiry(r); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// EnquiriesOf implements [order.Enquiries].
func (q queries) EnquiriesOf(ctx context.Context, personID string, after order.Cursor, limit int) (page order.EnquiryPage, err error) {
	limit = pageLimit(limit)
	where, args := `person_id = ?`, []any{personID}
	if after != (order.Cursor{}) {
		where, args = where+` AND (created_at, id) < (?, ?)`, append(args, dbTime(after.At), after.ID)
	}
	var rows []enquiryRow
	err = q.all(ctx, &rows, `SELECT `+enquiryColumns+` FROM enquiries WHERE `+where+` ORDER BY created_at DESC, id DESC LIMIT ?`, append(args, limit+1)...)
	if err != nil {
		return page, failed(err, "listing somebody's enquiries")
	}
	rows, page.Next = pageOf(rows, limit, func(r enquiryRow) order.Cursor { return order.Cursor{At: r.CreatedAt.UTC(), ID: order.ID(r.ID)} })
	page.Enquiries, err = q.enquiries(rows)
	return page, err
}

// CloseEnquiry implements [order.Enquiries]. Of two who close it at once, one does.
func (db *DB) CloseEnquiry(ctx context.Context, id string, by order.Actor, at time.Time) error {
	return db.inTx(ctx, func(tx *Tx) error {
		n, err := tx.exec(ctx, `UPDATE enquiries SET done_at = ?, done_by = ?, sealed_said = NULL WHERE id = ? AND done_at IS NULL`, dbTime(at), by.StaffID, id)
		if err != nil {
			return failed(err, "closing enquiry %s", id)
		}
		if err := oneRow(n, order.Errorf(order.Conflict, "enquiry_done", "已由其他同事回电")); err != nil {
			return err
		}
		return tx.AppendAudit(ctx, by.Did("", "enquiry_done:"+id, at))
	})
}
