package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

// ReviewChecks implements [order.Queries].
func (q queries) ReviewChecks(ctx context.Context, id order.ID, staffID string) (order.Checks, error) {
	var r struct {
		Snapshot string    `db:"snapshot"`
		Ticks    string    `db:"ticks"`
		At       time.Time `db:"at"`
	}
	err := q.get(ctx, &r, `SELECT snapshot, ticks, at FROM review_checks WHERE order_id = ? AND staff_id = ?`, id, staffID)
	if errors.Is(err, sql.ErrNoRows) {
		return order.Checks{}, nil
	}
	if err != nil {
		return order.Checks{}, failed(err, "reading the checks of order %s", id)
	}
	c := order.Checks{Snapshot: r.Snapshot, At: r.At.UTC()}
	if err := json.Unmarshal([]byte(r.Ticks), &c.Ticks); err != nil {
		return order.Checks{}, fmt.Errorf("decoding the checks of order %s: %w", id, err)
	}
	return c, nil
}

// SaveReviewChecks implements [order.Tx].
func (tx *Tx) SaveReviewChecks(ctx context.Context, id order.ID, staffID string, c order.Checks) error {
	ticks, err := toJSON(c.Ticks)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, `
		INSERT INTO review_checks (order_id, staff_id, snapshot, ticks, at)
		VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (order_id, staff_id) DO UPDATE SET snapshot = excluded.snapshot, ticks = excluded.ticks, at = excluded.at`,
		id, staffID, c.Snapshot, ticks, dbTime(c.At))
	return failed(err, "keeping the checks of order %s", id)
}

// ReviewStats implements [order.Queries].
func (q queries) ReviewStats(ctx context.Context, from, to, now time.Time) (order.ReviewStats, error) {
	s := order.ReviewStats{By: map[string]int{}}
	var decided []struct {
		Event   order.Event `db:"event"`
		ActorID string      `db:"actor_id"`
		N       int         `db:"n"`
	}
	err := q.all(ctx, &decided, `
		SELECT event, actor_id, COUNT(*) AS n
		FROM order_events
		WHERE event IN ('approve', 'reject') AND at >= ? AND at < ?
		GROUP BY event, actor_id`, dbTime(from), dbTime(to))
	if err != nil {
		return s, failed(err, "counting decisions")
	}
	for _, d := range decided {
		s.By[d.ActorID] += d.N
		if d.Event == order.Approve {
			s.Approved += d.N
		} else {
			s.Rejected += d.N
		}
	}
	for stage, n := range map[order.Stage]*int{order.Queued: &s.Queued, order.SecondApproval: &s.Second} {
		if err := q.get(ctx, n, `SELECT COUNT(*) FROM orders WHERE status = 'in_review' AND stage = ? AND deleted_at IS NULL`, stage); err != nil {
			return s, failed(err, "counting reviews")
		}
	}
	err = q.get(ctx, &s.Overdue, `SELECT COUNT(*) FROM orders WHERE status = 'in_review' AND deleted_at IS NULL AND review_due IS NOT NULL AND review_due < ?`, dbTime(now))
	return s, failed(err, "counting overdue reviews")
}
