package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"

	"github.com/jmoiron/sqlx"
	"modernc.org/sqlite"
)

// openStatements opens a pool on the SQLite file of source whose connections
// keep what they have prepared. Compiling a statement costs SQLite more than
// running it; pgx does the same for PostgreSQL by itself.
func openStatements(source string) (*sqlx.DB, error) {
	c, err := sqlite.NewConnector(source)
	if err != nil {
		return nil, err
	}
	return sqlx.NewDb(sql.OpenDB(preparing{c}), "sqlite"), nil
}

// unwatched runs statements of SQLite. One is short and waits for nobody, and to
// watch whether somebody still wants it takes a goroutine or two and as long as the
// statement. So it is not begun for nobody, and once begun it is finished.
type unwatched struct{ plain }

func toTheEnd(ctx context.Context) context.Context {
	if ctx.Err() != nil {
		return ctx
	}
	return context.WithoutCancel(ctx)
}

func (u unwatched) exec(ctx context.Context, stmt string, args []any) (int64, error) {
	return u.plain.exec(toTheEnd(ctx), stmt, args)
}

func (u unwatched) query(ctx context.Context, stmt string, args []any) (rows, error) {
	return u.plain.query(toTheEnd(ctx), stmt, args)
}

// preparing makes connections that keep prepared statements.
type preparing struct{ driver.Connector }

// Connect implements [driver.Connector].
func (p preparing) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := p.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &preparedConn{sqliteConn: c.(sqliteConn), kept: map[string]*preparedStmt{}}, nil
}

// sqliteConn is what the driver's connections can do.
type sqliteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// maxKept bounds the statements that one connection keeps. Ours are fewer, but
// for the combinations of a list's filters.
const maxKept = 256

// preparedConn is one connection. database/sql calls it from one goroutine at a
// time.
type preparedConn struct {
	sqliteConn
	kept map[string]*preparedStmt
}

// preparedStmt is a statement that is kept.
type preparedStmt struct {
	sqliteStmt
	busy bool // its rows are being read
}

type sqliteStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// prepared returns the statement of a query, or nil when it is busy, or one too
// many, and the query must go its own way.
func (c *preparedConn) prepared(ctx context.Context, query string) (*preparedStmt, error) {
	s := c.kept[query]
	if s == nil && len(c.kept) < maxKept {
		made, err := c.PrepareContext(ctx, query)
		if err != nil {
			return nil, err
		}
		s = &preparedStmt{sqliteStmt: made.(sqliteStmt)}
		c.kept[query] = s
	}
	if s == nil || s.busy {
		return nil, nil
	}
	return s, nil
}

// ExecContext implements [driver.ExecerContext].
func (c *preparedConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	s, err := c.prepared(ctx, query)
	switch {
	case err != nil:
		return nil, err
	case s == nil:
		return c.sqliteConn.ExecContext(ctx, query, args)
	}
	return s.ExecContext(ctx, args)
}

// QueryContext implements [driver.QueryerContext].
func (c *preparedConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := c.prepared(ctx, query)
	switch {
	case err != nil:
		return nil, err
	case s == nil:
		return c.sqliteConn.QueryContext(ctx, query, args)
	}
	rows, err := s.QueryContext(ctx, args)
	if err != nil {
		return nil, err
	}
	s.busy = true
	return &preparedRows{rows, s}, nil
}

// Close implements [driver.Conn].
func (c *preparedConn) Close() error {
	var errs []error
	for _, s := range c.kept {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, c.sqliteConn.Close())...)
}

// preparedRows gives the statement back when the rows are closed.
type preparedRows struct {
	driver.Rows
	stmt *preparedStmt
}

// Close implements [driver.Rows].
func (r *preparedRows) Close() error {
	r.stmt.busy = false
	return r.Rows.Close()
}
