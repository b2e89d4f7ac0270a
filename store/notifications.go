package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

const notificationColumns = `id, order_id, seq, notice, medium, audience, staff_id, person_id, state, way, attempts, provider_id, fallback_of, told, why, send_at, read_at, created_at, updated_at`

type notificationRow struct {
	ID         string              `db:"id"`
	OrderID    sql.NullString      `db:"order_id"`
	Seq        int64               `db:"seq"`
	Notice     order.Notice        `db:"notice"`
	Medium     order.Medium        `db:"medium"`
	To         order.Audience      `db:"audience"`
	StaffID    string              `db:"staff_id"`
	PersonID   string              `db:"person_id"`
	State      order.DeliveryState `db:"state"`
	Way        order.Way           `db:"way"`
	Attempts   int                 `db:"attempts"`
	ProviderID string              `db:"provider_id"`
	FallbackOf string              `db:"fallback_of"`
	Told       string              `db:"told"`
	Why        string              `db:"why"`
	SendAt     sql.NullTime        `db:"send_at"`
	ReadAt     sql.NullTime        `db:"read_at"`
	CreatedAt  time.Time           `db:"created_at"`
	UpdatedAt  time.Time           `db:"updated_at"`
}

func rowOfNotification(n order.Notification) notificationRow {
	return notificationRow{
		n.ID, nullString(n.OrderID), n.Seq, n.Notice, n.Medium, n.To, n.StaffID, n.PersonID, n.State, n.Way, n.Attempts, n.ProviderID, n.FallbackOf,
		n.Told, n.Why, nullTime(n.SendAt), nullTime(n.ReadAt), dbTime(n.CreatedAt), dbTime(n.UpdatedAt),
	}
}

func (r notificationRow) notification() order.Notification {
	return order.Notification{
		ID: r.ID, OrderID: order.ID(r.OrderID.String), Seq: r.Seq, Notice: r.Notice, Medium: r.Medium, To: r.To, StaffID: r.StaffID, PersonID: r.PersonID,
		State: r.State, Way: r.Way, Attempts: r.Attempts, ProviderID: r.ProviderID, FallbackOf: r.FallbackOf, Told: r.Told, Why: r.Why,
		SendAt: fromNull(r.SendAt), ReadAt: fromNull(r.ReadAt), CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
}

// Notification implements [order.Queries].
func (q queries) Notification(ctx context.Context, id string) (order.Notification, error) {
	return q.notification(ctx, `id = ?`, id)
}

// NotificationByProvider implements [order.Queries].
func (q queries) NotificationByProvider(ctx context.Context, m order.Medium, providerID string) (order.Notification, error) {
	return q.notification(ctx, `medium = ? AND provider_id = ? AND provider_id <> ''`, m, providerID)
}

func (q queries) notification(ctx context.Context, where string, args ...any) (order.Notification, error) {
	var r notificationRow
	err := q.get(ctx, &r, `SELECT `+notificationColumns+` FROM notifications WHERE `+where, args...)
	if errors.Is(err, sql.ErrNoRows) {
		return order.Notification{}, order.Errorf(order.NotFound, "notification_not_found", "没有找到该通知")
	}
	return r.notification(), failed(err, "reading notification %v", args)
}

// Notifications implements [order.Queries].
func (q queries) Notifications(ctx context.Context, id order.ID) ([]order.Notification, error) {
	var rows []notificationRow
	if err := q.all(ctx, &rows, `SELECT `+notificationColumns+` FROM notifications WHERE order_id = ? ORDER BY created_at, id`, id); err != nil {
		return nil, failed(err, "reading notifications of order %s", id)
	}
	return convert(rows, notificationRow.notification), nil
}

// Messages implements [order.Queries]. A person's are those about his orders
// and those addressed to himself.
func (q queries) Messages(ctx context.Context, f order.MessageFilter) ([]order.Notification, error) {
	limit := pageLimit(f.Limit)
	where, args := `staff_id = ? AND staff_id <> ''`, []any{f.StaffID}
	if f.PersonID != "" {
		where = `staff_id = '' AND id IN (
			SELECT id FROM notifications WHERE person_id = ? AND person_id <> ''
			UNION ALL
			SELECT n.id FROM notifications n JOIN orders o ON o.id = n.order_id WHERE o.person_id = ? AND o.deleted_at IS NULL AND n.person_id = '')`
		args = []any{f.PersonID, f.PersonID}
	}
	if f.Before != "" {
		where, args = where+` AND id < ?`, append(args, f.Before)
	}
	var rows []notificationRow
	err := q.all(ctx, &rows, `
		SELECT `+notificationColumns+`
		FROM notifications
		WHERE `+where+`
		ORDER BY id DESC
		LIMIT ?`, append(args, limit)...)
	if err != nil {
		return nil, failed(err, "listing messages")
	}
	return convert(rows, notificationRow.notification), nil
}

// HeldNotifications implements [order.Queries].
func (q queries) HeldNotifications(ctx context.Context, now time.Time, limit int) ([]order.Notification, error) {
	var rows []notificationRow
	err := q.all(ctx, &rows, `
		SELECT `+notificationColumns+`
		FROM notifications
		WHERE state = 'held' AND send_at <= ?
		ORDER BY send_at, id
		LIMIT ?`, dbTime(now), limit)
	if err != nil {
		return nil, failed(err, "listing held messages")
	}
	return convert(rows, notificationRow.notification), nil
}

// Unread implements [order.Queries]. A message and its copy on another medium
// are one.
func (q queries) Unread(ctx context.Context, staffID string, limit int) (n int, err error) {
	err = q.get(ctx, &n, `
		SELECT COUNT(*)
		FROM (SELECT 1 FROM notifications WHERE staff_id = ? AND staff_id <> '' AND read_at IS NULL AND fallback_of = '' LIMIT ?) AS unread`, staffID, limit)
	return n, failed(err, "counting the messages of staff %s", staffID)
}

// ReadMessages implements [order.Tx].
func (tx *Tx) ReadMessages(ctx context.Context, staffID string, at time.Time) error {
	_, err := tx.exec(ctx, `UPDATE notifications SET read_at = ? WHERE staff_id = ? AND staff_id <> '' AND read_at IS NULL`, dbTime(at), staffID)
	return failed(err, "marking the messages of staff %s", staffID)
}

// InsertNotification implements [order.Tx].
func (tx *Tx) InsertNotification(ctx context.Context, n order.Notification) (added bool, err error) {
	rows, err := tx.execNamed(ctx, `
		INSERT INTO notifications (`+notificationColumns+`)
		VALUES (:id, :order_id, :seq, :notice, :medium, :audience, :staff_id, :person_id, :state, :way, :attempts, :provider_id, :fallback_of,
			:told, :why, :send_at, :read_at, :created_at, :updated_at)
		ON CONFLICT (COALESCE(order_id, ''), seq, notice, medium, audience, staff_id, person_id) DO NOTHING`, rowOfNotification(n))
	return rows == 1, failed(err, "recording notification %s", n.ID)
}

// UpdateNotification implements [order.Tx]. Every state of every attempt is
// kept beside the current one.
func (tx *Tx) UpdateNotification(ctx context.Context, n order.Notification, was order.DeliveryState) error {
	rows, err := tx.execNamed(ctx, `
		UPDATE notifications
		SET state = :state, way = :way, attempts = :attempts, provider_id = :provider_id, told = :told, why = :why, updated_at = :updated_at
		WHERE id = :id AND state = :was_state`, struct {
		notificationRow
		Was order.DeliveryState `db:"was_state"`
	}{rowOfNotification(n), was})
	if err != nil {
		return failed(err, "moving notification %s from %s to %s", n.ID, was, n.State)
	}
	if rows != 1 {
		return order.Errorf(order.Conflict, "notification_changed", "通知状态已变更").Raced()
	}
	_, err = tx.exec(ctx, `
		INSERT INTO notification_attempts (notification_id, attempt, state, way, provider_id, why, at)
		VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (notification_id, attempt, state) DO UPDATE SET provider_id = excluded.provider_id, why = excluded.why, at = excluded.at`,
		n.ID, n.Attempts, n.State, n.Way, n.ProviderID, n.Why, dbTime(n.UpdatedAt))
	return failed(err, "keeping attempt %d of notification %s", n.Attempts, n.ID)
}

type attemptRow struct {
	N     int                 `db:"attempt"`
	State order.DeliveryState `db:"state"`
	Way   order.Way           `db:"way"`
	Why   string              `db:"why"`
	At    time.Time           `db:"at"`
}

func (r attemptRow) attempt() order.Attempt {
	r.At = r.At.UTC()
	return order.Attempt(r)
}

// Attempts implements [order.Queries].
func (q queries) Attempts(ctx context.Context, notificationID string) ([]order.Attempt, error) {
	var rows []attemptRow
	err := q.all(ctx, &rows, `SELECT attempt, state, way, why, at FROM notification_attempts WHERE notification_id = ? ORDER BY attempt, at, CASE state WHEN 'sending' THEN 0 ELSE 1 END`, notificationID)
	if err != nil {
		return nil, failed(err, "reading the attempts of notification %s", notificationID)
	}
	return convert(rows, attemptRow.attempt), nil
}

type timerRow struct {
	OrderID order.ID     `db:"order_id"`
	Seq     int64        `db:"seq"`
	On      order.Event  `db:"event"`
	Notice  order.Notice `db:"notice"`
	At      time.Time    `db:"at"`
	Tries   int          `db:"tries"`
}

func (r timerRow) timer() order.Timer {
	r.At = r.At.UTC()
	return order.Timer(r)
}

// DueTimers implements [order.Queries].
func (q queries) DueTimers(ctx context.Context, now time.Time, limit int) ([]order.Timer, error) {
	var rows []timerRow
	err := q.all(ctx, &rows, `
		SELECT order_id, seq, event, notice, at, tries
		FROM timers
		WHERE at <= ?
		ORDER BY at, order_id, seq
		LIMIT ?`, dbTime(now), limit)
	if err != nil {
		return nil, failed(err, "listing due timers")
	}
	return convert(rows, timerRow.timer), nil
}

// SetTimers implements [order.Tx].
func (tx *Tx) SetTimers(ctx context.Context, ts ...order.Timer) error {
	if len(ts) == 0 {
		return nil
	}
	rows := convert(ts, func(t order.Timer) timerRow {
		t.At = dbTime(t.At)
		return timerRow(t)
	})
	return tx.laterNamed(ctx, must("setting timers of order %s", ts[0].OrderID), `
		INSERT INTO timers (order_id, seq, event, notice, at, tries)
		VALUES (:order_id, :seq, :event, :notice, :at, :tries)
		ON CONFLICT (order_id, seq, event, notice) DO UPDATE SET at = excluded.at, tries = excluded.tries`, rows)
}

// DropTimers implements [order.Tx].
func (tx *Tx) DropTimers(ctx context.Context, id order.ID) error {
	return tx.later(ctx, must("dropping timers of order %s", id), `DELETE FROM timers WHERE order_id = ?`, id)
}

// DropTimer implements [order.Tx].
func (tx *Tx) DropTimer(ctx context.Context, t order.Timer) error {
	return tx.later(ctx, must("dropping a timer of order %s", t.OrderID),
		`DELETE FROM timers WHERE order_id = ? AND seq = ? AND event = ? AND notice = ?`, t.OrderID, t.Seq, t.On, t.Notice)
}

// PostponeTimer implements [order.Tx].
func (tx *Tx) PostponeTimer(ctx context.Context, t order.Timer) error {
	return tx.later(ctx, must("postponing a timer of order %s", t.OrderID),
		`UPDATE timers SET at = ?, tries = ? WHERE order_id = ? AND seq = ? AND event = ? AND notice = ?`,
		dbTime(t.At), t.Tries, t.OrderID, t.Seq, t.On, t.Notice)
}

// Enqueue implements [order.Tx].
func (tx *Tx) Enqueue(_ context.Context, j order.Job) error {
	tx.insert(JobArgs{JobKind: string(j.Kind), Ref: j.Ref, Seq: j.Seq}, queueOf(j))
	return nil
}

// queueOf chooses the queue of a job, so that each provider has its own.
func queueOf(j order.Job) string {
	switch {
	case j.Kind == order.JobIssuerRequest:
		return QueueIssuer
	case j.Kind == order.JobIssue, j.Kind == order.JobStation:
		return QueueIssue
	case j.Medium == order.SMS:
		return QueueSMS
	case j.Medium == order.WeChat:
		return QueueWechat
	default:
		return QueueDefault
	}
}
