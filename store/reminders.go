package store

import (
	"context"
	"time"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

// DueReminders implements [certificate.ReminderQueries].
func (q queries) DueReminders(ctx context.Context, now time.Time, limit int) ([]string, error) {
	var serials []string
	err := q.all(ctx, &serials, `
		SELECT serial
		FROM issues
		WHERE certificate IS NOT NULL AND remind_at IS NOT NULL AND remind_at <= ?
		ORDER BY remind_at, serial
		LIMIT ?`, dbTime(now), limit)
	return serials, failed(err, "listing due reminders")
}

type reminderRow struct {
	Serial    string                    `db:"serial"`
	Step      certificate.RungName      `db:"step"`
	State     certificate.ReminderState `db:"state"`
	Why       string                    `db:"why"`
	OrderID   order.ID                  `db:"order_id"`
	Seq       int64                     `db:"seq"`
	PlannedAt time.Time                 `db:"planned_at"`
	At        time.Time                 `db:"at"`
}

func (r reminderRow) reminder() certificate.Reminder {
	r.PlannedAt, r.At = r.PlannedAt.UTC(), r.At.UTC()
	return certificate.Reminder(r)
}

// Reminders implements [certificate.ReminderQueries].
func (q queries) Reminders(ctx context.Context, serial string) ([]certificate.Reminder, error) {
	var rows []reminderRow
	err := q.all(ctx, &rows, `
		SELECT serial, step, state, why, order_id, seq, planned_at, at
		FROM reminders
		WHERE serial = ?
		ORDER BY planned_at, step`, serial)
	if err != nil {
		return nil, failed(err, "reading the reminders of %s", serial)
	}
	return convert(rows, reminderRow.reminder), nil
}

// Reminded are the certificates that one reminder is about.
func (q queries) Reminded(ctx context.Context, id order.ID, seq int64) ([]certificate.Certificate, error) {
	return q.holders(ctx, `i.serial IN (SELECT serial FROM reminders WHERE order_id = ? AND seq = ? AND seq <> 0) ORDER BY i.not_after, i.serial`, id, seq)
}

// OptedOut implements [certificate.ReminderQueries].
func (q queries) OptedOut(ctx context.Context, personID string) (out bool, err error) {
	err = q.get(ctx, &out, `SELECT EXISTS (SELECT 1 FROM reminder_optouts WHERE person_id = ?)`, personID)
	return out, failed(err, "reading whether person %s wants reminders", personID)
}

// InsertReminder implements [certificate.ReminderTx].
func (tx *Tx) InsertReminder(ctx context.Context, r certificate.Reminder) error {
	r.PlannedAt, r.At = dbTime(r.PlannedAt), dbTime(r.At)
	_, err := tx.execNamed(ctx, `
		INSERT INTO reminders (serial, step, state, why, order_id, seq, planned_at, at)
		VALUES (:serial, :step, :state, :why, :order_id, :seq, :planned_at, :at)
		ON CONFLICT (serial, step) DO NOTHING`, reminderRow(r))
	return failed(err, "recording reminder %s of %s", r.Step, r.Serial)
}

// LookAgain implements [certificate.ReminderTx].
func (tx *Tx) LookAgain(ctx context.Context, serial string, at time.Time) error {
	_, err := tx.exec(ctx, `UPDATE issues SET remind_at = ? WHERE serial = ?`, nullTime(at), serial)
	return failed(err, "planning the next reminder of %s", serial)
}

// SetOptOut implements [certificate.ReminderTx].
func (tx *Tx) SetOptOut(ctx context.Context, personID string, out bool, at time.Time) error {
	var err error
	if out {
		_, err = tx.exec(ctx, `INSERT INTO reminder_optouts (person_id, at) VALUES (?, ?) ON CONFLICT (person_id) DO NOTHING`, personID, dbTime(at))
	} else {
		_, err = tx.exec(ctx, `DELETE FROM reminder_optouts WHERE person_id = ?`, personID)
	}
	return failed(err, "keeping whether person %s wants reminders", personID)
}

type contactRow struct {
	PersonID     string         `db:"person_id"`
	USCC         string         `db:"uscc"`
	Role         order.Audience `db:"role"`
	SealedMobile []byte         `db:"sealed_mobile"`
	At           time.Time      `db:"at"`
}

func (r contactRow) cell() cell {
	return cell{"reminder_contacts", "sealed_mobile", r.PersonID + " " + r.USCC + " " + string(r.Role)}
}

// Contacts implements [certificate.ReminderQueries].
func (q queries) Contacts(ctx context.Context, personID, uscc string) ([]certificate.Contact, error) {
	var rows []contactRow
	err := q.all(ctx, &rows, `
		SELECT person_id, uscc, role, sealed_mobile, at
		FROM reminder_contacts
		WHERE person_id = ? AND uscc = ?
		ORDER BY role`, personID, uscc)
	if err != nil {
		return nil, failed(err, "reading whom person %s wants reminded", personID)
	}
	contacts := make([]certificate.Contact, len(rows))
	for i, r := range rows {
		mobile, err := q.seal.openBytes(r.SealedMobile, r.cell())
		if err != nil {
			return nil, err
		}
		contacts[i] = certificate.Contact{PersonID: r.PersonID, USCC: r.USCC, Role: r.Role, Mobile: identity.NewMobile(string(mobile)), At: r.At.UTC()}
	}
	return contacts, nil
}

// SetContact implements [certificate.ReminderTx].
func (tx *Tx) SetContact(ctx context.Context, c certificate.Contact) error {
	_, err := tx.exec(ctx, `DELETE FROM reminder_contacts WHERE person_id = ? AND uscc = ? AND role = ?`, c.PersonID, c.USCC, c.Role)
	if err != nil || c.Mobile.IsZero() {
		return failed(err, "removing a contact of person %s", c.PersonID)
	}
	r := contactRow{PersonID: c.PersonID, USCC: c.USCC, Role: c.Role, At: dbTime(c.At)}
	if r.SealedMobile, err = tx.seal.sealBytes([]byte(c.Mobile.Reveal()), r.cell()); err != nil {
		return err
	}
	_, err = tx.execNamed(ctx, `
		INSERT INTO reminder_contacts (person_id, uscc, role, sealed_mobile, at)
		VALUES (:person_id, :uscc, :role, :sealed_mobile, :at)`, r)
	return failed(err, "keeping a contact of person %s", c.PersonID)
}
