package store

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jmoiron/sqlx"
	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/yuncaidun/yuncaidun/order"
)

// dialect is everything the two databases do differently.
type dialect struct {
	name       string // also the folder under migrations/
	goose      goose.Dialect
	bind       int    // how sqlx writes placeholders
	forUpdate  string // locks the rows a transaction is about to change
	skipLocked string // the same, leaving out rows that others are changing
	counters   int    // how many rows count a day's orders: as many can be placed at once
}

var (
	// SQLite has one writer at a time and needs no row locks.
	sqliteDialect   = dialect{name: "sqlite", goose: goose.DialectSQLite3, bind: sqlx.QUESTION, counters: 1}
	postgresDialect = dialect{name: "postgres", goose: goose.DialectPostgres, bind: sqlx.DOLLAR, forUpdate: " FOR UPDATE", skipLocked: " FOR UPDATE SKIP LOCKED", counters: 16}
)

// sqlitePragmas are set on every connection and asserted at boot, because an
// unknown or misspelt one is ignored without a word. synchronous=FULL (2): an
// acknowledged payment survives power loss.
var sqlitePragmas = []struct{ name, value string }{
	{"busy_timeout", "5000"},
	{"journal_mode", "wal"},
	{"synchronous", "2"},
	{"foreign_keys", "1"},
	{"journal_size_limit", "67108864"},
	{"temp_store", "2"}, // what a savepoint would undo is kept in memory
}

// sqliteSource is the driver's name for the database file. The write pool
// begins its transactions IMMEDIATE; the read pool cannot write at all.
func sqliteSource(path string, readOnly bool) string {
	q := url.Values{"_time_format": {"sqlite"}}
	for _, p := range sqlitePragmas {
		q.Add("_pragma", p.name+"("+p.value+")")
	}
	if readOnly {
		q.Add("_pragma", "query_only(1)")
	} else {
		q.Set("_txlock", "immediate")
	}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

// PostgreSQL error codes we act on: https://www.postgresql.org/docs/15/errcodes-appendix.html
const (
	pgUniqueViolation      = "23505"
	pgCheckViolation       = "23514"
	pgForeignKeyViolation  = "23503"
	pgSerializationFailure = "40001"
	pgDeadlock             = "40P01"
)

// isDuplicate reports whether err violates the unique constraint on a column.
// SQLite names table and column; on PostgreSQL our constraints and unique
// indexes are named <table>_<column>_key.
func isDuplicate(err error, table, column string) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code == pgUniqueViolation && pg.ConstraintName == table+"_"+column+"_key"
	}
	// "constraint failed: UNIQUE constraint failed: issues.item (2067)"
	return isUnique(err) && strings.Contains(err.Error(), " "+table+"."+column+" ")
}

// isUnique reports whether err violates any unique constraint.
func isUnique(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code == pgUniqueViolation
	}
	lite, ok := errors.AsType[*sqlite.Error](err)
	return ok && (lite.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || lite.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
}

// isForeignKey reports whether err violates a foreign key; SQLite does not say which.
func isForeignKey(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code == pgForeignKeyViolation
	}
	lite, ok := errors.AsType[*sqlite.Error](err)
	return ok && lite.Code() == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY
}

// isCheck reports whether err violates the named CHECK constraint.
func isCheck(err error, name string) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code == pgCheckViolation && pg.ConstraintName == name
	}
	lite, ok := errors.AsType[*sqlite.Error](err)
	return ok && lite.Code() == sqlite3.SQLITE_CONSTRAINT_CHECK && strings.Contains(lite.Error(), name)
}

// isRetryable reports whether the transaction lost against another one and may
// simply be run again.
func isRetryable(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pg.Code == pgSerializationFailure || pg.Code == pgDeadlock)
}

// isDown reports whether the database, not the statement, is the trouble:
// unreachable, shutting down, out of connections, disk full, read-only.
func isDown(err error) bool {
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch pg.Code[:2] {
		case "08", "53", "57": // connection exception, insufficient resources, operator intervention
			return pg.Code != "57014" // a cancelled query is the caller's
		}
		return pg.Code == "25006" // read-only
	}
	if lite, ok := errors.AsType[*sqlite.Error](err); ok {
		switch lite.Code() & 0xff {
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN:
			return true
		}
		return false
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, driver.ErrBadConn) {
		return true // the server went away on an open connection
	}
	_, ok := errors.AsType[net.Error](err)
	return ok || pgconn.SafeToRetry(err)
}

// failed says what we were doing when err happened. A database that is down
// becomes Unavailable; an order error passes as it is.
func failed(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	doing := fmt.Sprintf(format, args...)
	if _, ok := order.AsError(err); !ok && isDown(err) {
		return &order.Error{Kind: order.Unavailable, Code: "database_unavailable", Detail: "系统繁忙，请稍后重试", RetryAfter: retryAfter, Err: fmt.Errorf("%s: %w", doing, err)}
	}
	return fmt.Errorf("%s: %w", doing, err)
}
