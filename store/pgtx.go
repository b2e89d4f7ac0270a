package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// oncePostgres runs fn in a transaction on one connection of the pool, through pgx:
// database/sql cannot send statements together, and River has no driver of this
// version for it. A connection that is given back inside a transaction is closed by
// the pool.
func (db *DB) oncePostgres(ctx context.Context, fn func(*Tx) error) error {
	c, err := db.write.Connx(ctx)
	if err != nil {
		return failed(err, "taking a connection")
	}
	defer c.Close() // gives it back to the pool
	return c.Raw(func(driverConn any) error {
		c, ok := driverConn.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("driver connection is a %T", driverConn)
		}
		w := &waiting{pg: c.Conn()}
		err := w.add(`BEGIN`, nil, must("beginning transaction"))
		if err == nil {
			err = fn(&Tx{queries: queries{conn: w, dia: db.dia, seal: db.seal}, db: db, waiting: w})
		}
		if err == nil {
			err = w.commit(ctx)
		}
		if err != nil && w.pg.PgConn().TxStatus() != 'I' {
			_, _ = w.pg.Exec(context.WithoutCancel(ctx), `ROLLBACK`) // what led here matters more
		}
		return err
	})
}

// sharedTx is the pgx.Tx view of a transaction that we have begun and will end.
// Nested transactions are savepoints.
type sharedTx struct {
	conn       *pgx.Conn
	savepoint  string // "" is the outer transaction
	savepoints *int
}

var errOuterTx = errors.New("the outer transaction is ended by its owner")

// Begin implements [pgx.Tx].
func (t *sharedTx) Begin(ctx context.Context) (pgx.Tx, error) {
	*t.savepoints++
	name := "sp" + strconv.Itoa(*t.savepoints)
	if _, err := t.conn.Exec(ctx, "SAVEPOINT "+name); err != nil {
		return nil, err
	}
	return &sharedTx{conn: t.conn, savepoint: name, savepoints: t.savepoints}, nil
}

// Commit implements [pgx.Tx].
func (t *sharedTx) Commit(ctx context.Context) error {
	if t.savepoint == "" {
		return errOuterTx
	}
	_, err := t.conn.Exec(ctx, "RELEASE SAVEPOINT "+t.savepoint)
	return err
}

// Rollback implements [pgx.Tx].
func (t *sharedTx) Rollback(ctx context.Context) error {
	if t.savepoint == "" {
		return errOuterTx
	}
	_, err := t.conn.Exec(ctx, "ROLLBACK TO SAVEPOINT "+t.savepoint)
	return err
}

// CopyFrom implements [pgx.Tx].
func (t *sharedTx) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, src pgx.CopyFromSource) (int64, error) {
	return t.conn.CopyFrom(ctx, table, columns, src)
}

// SendBatch implements [pgx.Tx].
func (t *sharedTx) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	return t.conn.SendBatch(ctx, b)
}

// LargeObjects implements [pgx.Tx]; nobody uses them.
func (t *sharedTx) LargeObjects() pgx.LargeObjects { return pgx.LargeObjects{} }

// Prepare implements [pgx.Tx].
func (t *sharedTx) Prepare(ctx context.Context, name, stmt string) (*pgconn.StatementDescription, error) {
	return t.conn.Prepare(ctx, name, stmt)
}

// Exec implements [pgx.Tx].
func (t *sharedTx) Exec(ctx context.Context, stmt string, args ...any) (pgconn.CommandTag, error) {
	return t.conn.Exec(ctx, stmt, args...)
}

// Query implements [pgx.Tx].
func (t *sharedTx) Query(ctx context.Context, stmt string, args ...any) (pgx.Rows, error) {
	return t.conn.Query(ctx, stmt, args...)
}

// QueryRow implements [pgx.Tx].
func (t *sharedTx) QueryRow(ctx context.Context, stmt string, args ...any) pgx.Row {
	return t.conn.QueryRow(ctx, stmt, args...)
}

// Conn implements [pgx.Tx].
func (t *sharedTx) Conn() *pgx.Conn { return t.conn }
