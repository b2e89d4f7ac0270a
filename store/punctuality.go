package store

import (
	"context"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

// Postings implements [order.Queries].
func (q queries) Postings(ctx context.Context, from, to time.Time) ([]order.Posting, error) {
	var rows []struct {
		Due time.Time `db:"due_at"`
		At  time.Time `db:"shipped_at"`
	}
	err := q.all(ctx, &rows, `SELECT due_at, shipped_at FROM orders
		WHERE shipped_at >= ? AND shipped_at < ? AND due_at IS NOT NULL AND express NOT IN (?, ?)`,
		dbTime(from), dbTime(to), order.ExpressPromised, order.ExpressKept)
	if err != nil {
		return nil, failed(err, "listing what was posted")
	}
	posted := make([]order.Posting, len(rows))
	for i, r := range rows {
		posted[i] = order.Posting{Due: r.Due, At: r.At}
	}
	return posted, nil
}

// ExpressPromises implements [order.Queries].
func (q queries) ExpressPromises(ctx context.Context, from, to time.Time) (kept, missed int, err error) {
	var n struct{ Kept, Missed int }
	err = q.get(ctx, &n, `
		SELECT COUNT(CASE WHEN express = ? THEN 1 END) AS kept, COUNT(CASE WHEN express = ? THEN 1 END) AS missed
		FROM orders
		WHERE express IN (?, ?) AND due_at >= ? AND due_at < ?`,
		order.ExpressKept, order.ExpressMissed, order.ExpressKept, order.ExpressMissed, dbTime(from), dbTime(to))
	return n.Kept, n.Missed, failed(err, "counting express promises")
}
