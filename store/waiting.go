package store

import (
	"context"
	"database/sql"
	"database/sql/driver"

	"github.com/jackc/pgx/v5"
	"github.com/jmoiron/sqlx"
)

// waiting holds the writes of a transaction on PostgreSQL whose answers nobody
// needs yet. They travel together, in one round trip, before the next statement
// that is answered and before the commit. SQLite lives in this process: there
// nothing waits.
type waiting struct {
	conn   *pgx.Conn
	batch  pgx.Batch
	judges []judge
	failed error // the first failure; it fails the transaction
}

// judge says what the outcome of a write means.
type judge func(rows int64, err error) error

// add puts a write in the queue. Its arguments become what database/sql would
// send: a type that hides itself in its String method must not be stored so.
func (w *waiting) add(stmt string, args []any, j judge) error {
	plain := make([]any, len(args))
	for i, arg := range args {
		v, err := driver.DefaultParameterConverter.ConvertValue(arg)
		if err != nil {
			return err
		}
		plain[i] = v
	}
	w.batch.Queue(stmt, plain...)
	w.judges = append(w.judges, j)
	return nil
}

// send sends what waits and judges the outcomes. After a failure the transaction
// cannot be committed any more: [DB.inTx] returns it, whatever came after.
func (w *waiting) send(ctx context.Context) error {
	if len(w.judges) == 0 || w.failed != nil {
		return w.failed
	}
	results := w.conn.SendBatch(ctx, &w.batch)
	for _, j := range w.judges {
		tag, err := results.Exec()
		if w.failed = j(tag.RowsAffected(), err); w.failed != nil {
			break
		}
	}
	if err := results.Close(); w.failed == nil {
		w.failed = err
	}
	w.batch, w.judges = pgx.Batch{}, nil
	return w.failed
}

// inOrder is a transaction whose statements come after the writes that wait. A
// failure of those is kept and ends the transaction; it needs no answer here.
type inOrder struct {
	*sqlx.Tx
	waiting *waiting
}

// ExecContext implements [sqlx.ExecerContext].
func (o inOrder) ExecContext(ctx context.Context, stmt string, args ...any) (sql.Result, error) {
	if err := o.waiting.send(ctx); err != nil {
		return nil, err
	}
	return o.Tx.ExecContext(ctx, stmt, args...)
}

// QueryContext implements [sqlx.QueryerContext].
func (o inOrder) QueryContext(ctx context.Context, stmt string, args ...any) (*sql.Rows, error) {
	if err := o.waiting.send(ctx); err != nil {
		return nil, err
	}
	return o.Tx.QueryContext(ctx, stmt, args...)
}

// QueryxContext implements [sqlx.QueryerContext].
func (o inOrder) QueryxContext(ctx context.Context, stmt string, args ...any) (*sqlx.Rows, error) {
	if err := o.waiting.send(ctx); err != nil {
		return nil, err
	}
	return o.Tx.QueryxContext(ctx, stmt, args...)
}

// QueryRowxContext implements [sqlx.QueryerContext]. Its row can carry no error
// of ours; the failure of what waited is kept.
func (o inOrder) QueryRowxContext(ctx context.Context, stmt string, args ...any) *sqlx.Row {
	_ = o.waiting.send(ctx)
	return o.Tx.QueryRowxContext(ctx, stmt, args...)
}

// later is exec for a write that the transaction needs no answer of to go on:
// judge hears of its outcome before the commit at the latest.
func (tx *Tx) later(ctx context.Context, j judge, stmt string, args ...any) error {
	if tx.waiting == nil {
		return j(tx.exec(ctx, stmt, args...))
	}
	return tx.waiting.add(tx.ext.Rebind(stmt), args, j)
}

// laterNamed is later with :name placeholders taken from a struct, or from each
// of a list of them.
func (tx *Tx) laterNamed(ctx context.Context, j judge, stmt string, arg any) error {
	if tx.waiting == nil {
		return j(tx.execNamed(ctx, stmt, arg))
	}
	stmt, args, err := tx.bindNamed(stmt, arg)
	if err != nil {
		return err
	}
	return tx.waiting.add(stmt, args, j)
}

// must judges a write that has to succeed, whatever it changes.
func must(format string, args ...any) judge {
	return func(_ int64, err error) error { return failed(err, format, args...) }
}
