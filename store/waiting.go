package store

import (
	"cmp"
	"context"
	"database/sql/driver"
	"reflect"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jmoiron/sqlx"
)

// waiting is a transaction on PostgreSQL. Statements whose answers nobody needs yet
// wait here and travel together, in one round trip, with the next one that is
// answered or with the commit; the BEGIN waits, too. SQLite lives in this process:
// there nothing waits.
type waiting struct {
	pg     *pgx.Conn
	batch  pgx.Batch
	judges []judge
	failed error // the first failure; it fails the transaction
}

// judge says what the outcome of a statement means.
type judge struct {
	failure func(error) error
	rows    func(int64) error // nil: any number may have been written
	read    func(rows) error  // nil: it answers without rows
}

// decides reports whether the outcome can fail the transaction although the
// database saw no error.
func (j judge) decides() bool { return j.rows != nil || j.read != nil }

// hear judges the next of the results.
func (j judge) hear(results pgx.BatchResults) error {
	if j.read == nil {
		tag, err := results.Exec()
		return j.judge(tag.RowsAffected(), err)
	}
	answer, err := results.Query()
	if err == nil {
		err = j.read(pgRows{answer, nil})
	}
	return j.judge(0, err)
}

func (j judge) judge(rows int64, err error) error {
	if err != nil {
		return j.failure(err)
	}
	if j.rows != nil {
		return j.rows(rows)
	}
	return nil
}

// add puts a statement in the queue.
func (w *waiting) add(stmt string, args []any, j judge) error {
	values, err := driverValues(args)
	if err != nil {
		return err
	}
	w.batch.Queue(stmt, values...)
	w.judges = append(w.judges, j)
	return nil
}

// driverValues are arguments as database/sql would send them: a type that hides
// itself in its String method must not be stored so.
func driverValues(args []any) ([]any, error) {
	values := make([]any, len(args))
	for i, arg := range args {
		v, err := driver.DefaultParameterConverter.ConvertValue(arg)
		if err != nil {
			return nil, err
		}
		values[i] = v
	}
	return values, nil
}

// send sends what waits and judges the outcomes. After a failure the transaction
// cannot be committed any more: [DB.inTx] returns it, whatever came after.
func (w *waiting) send(ctx context.Context) error {
	if len(w.judges) == 0 || w.failed != nil {
		return w.failed
	}
	results, err := w.dispatch(ctx)
	if e := results.Close(); err == nil {
		w.failed = e
	}
	return w.failed
}

// dispatch sends what waits and judges it; what was queued without a judge is still
// to be read from the results.
func (w *waiting) dispatch(ctx context.Context) (pgx.BatchResults, error) {
	batch, judges := w.batch, w.judges
	w.batch, w.judges = pgx.Batch{}, nil
	results := w.pg.SendBatch(ctx, &batch)
	for _, j := range judges {
		if w.failed = j.hear(results); w.failed != nil {
			break
		}
	}
	return results, w.failed
}

// exec implements [conn].
func (w *waiting) exec(ctx context.Context, stmt string, args []any) (rows int64, err error) {
	answer, err := w.query(ctx, stmt, args)
	if err != nil {
		return 0, err
	}
	err = answer.Close()
	return answer.(pgRows).CommandTag().RowsAffected(), err
}

// query implements [conn]. A failure of what waited is kept and ends the
// transaction; one of the statement is the caller's.
func (w *waiting) query(ctx context.Context, stmt string, args []any) (rows, error) {
	if w.failed != nil {
		return nil, w.failed
	}
	values, err := driverValues(args)
	if err != nil {
		return nil, err
	}
	if len(w.judges) == 0 {
		answer, err := w.pg.Query(ctx, stmt, values...)
		return pgRows{answer, nil}, err
	}
	w.batch.Queue(stmt, values...)
	results, err := w.dispatch(ctx)
	if err != nil {
		_ = results.Close() // says the same
		return nil, err
	}
	answer, err := results.Query()
	if err != nil {
		_ = results.Close() // likewise
		return nil, err
	}
	return pgRows{answer, results}, nil
}

// commit ends the transaction. The COMMIT travels with the statements that wait,
// unless the outcome of one of them decides. PostgreSQL answers the COMMIT of a
// transaction in which a statement failed by taking it back, without an error.
func (w *waiting) commit(ctx context.Context) error {
	if w.pg.PgConn().TxStatus() == 'E' {
		return failed(pgx.ErrTxCommitRollback, "committing")
	}
	if slices.ContainsFunc(w.judges, judge.decides) {
		if err := w.send(ctx); err != nil {
			return err
		}
	}
	if err := w.add(`COMMIT`, nil, must("committing")); err != nil {
		return err
	}
	return w.send(ctx)
}

// pgRows are rows of pgx, as database/sql would have them.
type pgRows struct {
	pgx.Rows
	batch pgx.BatchResults // that they are the last of, or nil
}

// Columns implements [rows].
func (r pgRows) Columns() ([]string, error) {
	fields := r.FieldDescriptions()
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	return names, nil
}

// Close implements [rows].
func (r pgRows) Close() error {
	r.Rows.Close()
	err := r.Err()
	if r.batch != nil {
		err = cmp.Or(err, r.batch.Close())
	}
	return err
}

// later is exec for a write that the transaction needs no answer of to go on:
// judge hears of its outcome before the commit at the latest.
func (tx *Tx) later(ctx context.Context, j judge, stmt string, args ...any) error {
	if tx.waiting == nil {
		return j.judge(tx.exec(ctx, stmt, args...))
	}
	return tx.waiting.add(sqlx.Rebind(tx.dia.bind, stmt), args, j)
}

// laterNamed is later with :name placeholders taken from a struct, or from each
// of a list of them.
func (tx *Tx) laterNamed(ctx context.Context, j judge, stmt string, arg any) error {
	if tx.waiting == nil {
		return j.judge(tx.execNamed(ctx, stmt, arg))
	}
	stmt, args, err := tx.bindNamed(stmt, arg)
	if err != nil {
		return err
	}
	return tx.waiting.add(stmt, args, j)
}

// allLater is all for an answer that is needed further on: dest has it when
// [Tx.answered] returns.
func (tx *Tx) allLater(ctx context.Context, j judge, dest any, stmt string, args ...any) error {
	if tx.waiting == nil {
		return j.judge(0, tx.all(ctx, dest, stmt, args...))
	}
	j.read = func(r rows) error { return readAll(r, reflect.ValueOf(dest).Elem()) }
	return tx.waiting.add(sqlx.Rebind(tx.dia.bind, stmt), args, j)
}

// answered returns when everything that the transaction has asked is answered.
func (tx *Tx) answered(ctx context.Context) error {
	if tx.waiting == nil {
		return nil
	}
	return tx.waiting.send(ctx)
}

// must judges a statement that has to succeed, whatever it changes.
func must(format string, args ...any) judge {
	return judge{failure: func(err error) error { return failed(err, format, args...) }}
}
