// Package store keeps everything of value in SQLite or PostgreSQL. Each query
// is written once, with ? placeholders; what truly differs between the two
// lives in dialect.go, pgtx.go and migrations/<dialect>/. Personal data is
// sealed on the way in and opened on the way out (sealing.go). Jobs for River
// are inserted in the transaction of the change that asks for them.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/jmoiron/sqlx"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"

	"github.com/yuncaidun/yuncaidun/order"
)

// Pool sizes. SQLite has one writer: a pool of one connection queues in Go
// instead of in busy handlers, which wait longer and unfairly.
const (
	sqliteReaders = 4
	pgConns       = 20
	pgRiverConns  = 10
)

// retryAfter is what callers are told to wait when the database is down.
const retryAfter = 5 * time.Second

// DB is the database outside any transaction: it reads. Changes go through InTx.
type DB struct {
	queries
	read, write *sqlx.DB
	pool        *pgxpool.Pool // River's own on PostgreSQL: it listens and fetches
	lockFile    string        // serialises migrations on SQLite
	writers     *group        // SQLite only

	liteJobs *river.Client[*sql.Tx] // insert only; one of the two is nil
	pgJobs   *river.Client[pgx.Tx]
}

// Tx is the database inside one transaction. It has the same queries as DB,
// and those that write.
type Tx struct {
	queries
	db      *DB
	lite    *sql.Tx  // SQLite only
	waiting *waiting // PostgreSQL only

	// What the transaction writes last: see settle.
	audits []order.AuditRecord
	jobs   []river.InsertManyParams
}

// queries holds the SQL of the product. conn is the pool or the transaction;
// methods cannot tell and need not care.
type queries struct {
	conn   conn
	dia    dialect
	seal   *Sealer
	memory *orderMemory // of orders read outside transactions; nil inside
}

// Open connects to dsn, "sqlite:PATH" or a postgres:// URL, and seals personal
// data with seal.
func Open(ctx context.Context, dsn string, seal *Sealer) (*DB, error) {
	path, isSQLite := strings.CutPrefix(dsn, "sqlite:")
	var db *DB
	var err error
	switch {
	case isSQLite && path != "":
		db, err = openSQLite(ctx, path)
	case strings.HasPrefix(dsn, "postgres://"), strings.HasPrefix(dsn, "postgresql://"):
		db, err = openPostgres(ctx, dsn)
	default:
		return nil, errors.New(`database URL must be "sqlite:PATH" or "postgres://…"`)
	}
	if err != nil {
		return nil, err
	}
	db.seal, db.memory = seal, newOrderMemory()
	if err := db.openInserters(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func openSQLite(ctx context.Context, path string) (*DB, error) {
	// Nobody else reads it; SQLite gives its WAL the same mode.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the operator names the database
	if err != nil {
		return nil, fmt.Errorf("opening sqlite: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("opening sqlite: %w", err)
	}
	write, err := openStatements(sqliteSource(path, false))
	if err != nil {
		return nil, fmt.Errorf("opening sqlite: %w", err)
	}
	write.SetMaxOpenConns(1)
	if err := checkFirst(ctx, write, path+lockSuffix); err != nil {
		return nil, errors.Join(err, write.Close())
	}
	read, err := openStatements(sqliteSource(path, true))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening sqlite for reading: %w", err), write.Close())
	}
	read.SetMaxOpenConns(sqliteReaders)
	read.SetMaxIdleConns(sqliteReaders)
	db := &DB{queries: queries{conn: unwatched{plain{read}}, dia: sqliteDialect}, read: read, write: write, lockFile: path + lockSuffix}
	db.writers = newGroup(db)
	if err := checkPragmas(ctx, read); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// lockSuffix ends the name of the file that is locked while a database is made.
const lockSuffix = ".migrate"

// checkFirst makes the first connection, which turns a new file's journal into a
// WAL. SQLite does not wait there for another process that is doing the same, so
// they take turns.
func checkFirst(ctx context.Context, pool *sqlx.DB, lock string) (err error) {
	unlock, err := lockFile(ctx, lock)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	return checkPragmas(ctx, pool)
}

func checkPragmas(ctx context.Context, pool *sqlx.DB) error {
	for _, p := range sqlitePragmas {
		var got string
		if err := pool.GetContext(ctx, &got, "PRAGMA "+p.name); err != nil {
			return fmt.Errorf("reading pragma %s: %w", p.name, err)
		}
		if got != p.value {
			return fmt.Errorf("sqlite pragma %s is %s, want %s", p.name, got, p.value)
		}
	}
	return nil
}

// idleInTx is how long PostgreSQL keeps the locks of a process that stands still in the
// middle of a transaction. Ours never wait for anything but the database.
const idleInTx = time.Minute

func openPostgres(ctx context.Context, dsn string) (*DB, error) {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, errors.New("database URL cannot be parsed") // pgx's error quotes it, password and all
	}
	cfg.RuntimeParams["idle_in_transaction_session_timeout"] = strconv.FormatInt(idleInTx.Milliseconds(), 10)
	write := sqlx.NewDb(stdlib.OpenDB(*cfg), "pgx")
	write.SetMaxOpenConns(pgConns)
	write.SetMaxIdleConns(pgConns)
	if err := write.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("connecting to postgres: %w", err), write.Close())
	}
	poolCfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, errors.Join(errors.New("database URL cannot be parsed"), write.Close())
	}
	poolCfg.MaxConns = pgRiverConns
	pool, err := pgxpool.NewWithConfig(ctx, poolCfg)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("connecting River to postgres: %w", err), write.Close())
	}
	return &DB{queries: queries{conn: plain{write}, dia: postgresDialect}, read: write, write: write, pool: pool}, nil
}

// openInserters makes the clients that insert jobs. They run none, so any kind
// may be inserted, and they notify workers as often as those fetch.
func (db *DB) openInserters() (err error) {
	cfg := &river.Config{FetchCooldown: fetchCooldown, FetchPollInterval: fetchPollInterval, MaxAttempts: MaxAttempts}
	if db.pool != nil {
		db.pgJobs, err = river.NewClient(riverpgxv5.New(db.pool), cfg)
	} else {
		db.liteJobs, err = river.NewClient(riversqlite.New(db.write.DB), cfg)
	}
	if err != nil {
		return fmt.Errorf("preparing job insertion: %w", err)
	}
	return nil
}

// Close releases the connections. Stop the [Jobs] first.
func (db *DB) Close() error {
	if db.pool != nil {
		db.pool.Close()
		return db.write.Close()
	}
	return errors.Join(db.read.Close(), db.write.Close())
}

// Ping reports whether the database answers; readiness asks it.
func (db *DB) Ping(ctx context.Context) error {
	var one int
	return failed(db.get(ctx, &one, `SELECT 1`), "pinging %s", db.dia.name)
}

// attempts is how often a transaction is run that lost against another one.
const attempts = 4

// InTx runs fn in one transaction: committed when fn returns nil, rolled back
// otherwise. fn may run more than once; it must touch nothing but its
// transaction and must not wait for anything outside the database.
func (db *DB) InTx(ctx context.Context, fn func(order.Tx) error) error {
	return db.inTx(ctx, func(tx *Tx) error { return fn(tx) })
}

func (db *DB) inTx(ctx context.Context, fn func(*Tx) error) (err error) {
	whole := func(tx *Tx) error {
		own := *tx // SQLite may commit several together
		if err := fn(&own); err != nil {
			return own.first(err)
		}
		if err := own.settle(ctx); err != nil {
			return own.first(err)
		}
		return ctx.Err() // nobody waits for it any more
	}
	for range attempts {
		if err = db.once(ctx, whole); !isRetryable(err) {
			return err
		}
	}
	return err
}

// first prefers the failure of a write that waited to what it led to.
func (tx *Tx) first(err error) error {
	if tx.waiting != nil && tx.waiting.failed != nil {
		return tx.waiting.failed
	}
	return err
}

// settle writes what comes last: the audit lines, whose chain is locked no longer
// than it must be, and the jobs.
func (tx *Tx) settle(ctx context.Context) error {
	head, err := tx.lockChain(ctx)
	if err != nil {
		return err
	}
	if err := tx.insertJobs(ctx); err != nil {
		return err
	}
	return tx.writeAudits(ctx, head)
}

func (db *DB) once(ctx context.Context, fn func(*Tx) error) error {
	if db.pool != nil {
		return db.oncePostgres(ctx, fn)
	}
	return db.writers.run(ctx, fn)
}

// dbTime is how every instant is stored: UTC, whole milliseconds, so that both
// databases compare and return the same value.
func dbTime(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// nullTime stores the zero time as NULL.
func nullTime(t time.Time) sql.NullTime {
	return sql.NullTime{Time: dbTime(t), Valid: !t.IsZero()}
}

// fromNull is nullTime backwards.
func fromNull(t sql.NullTime) time.Time {
	if !t.Valid {
		return time.Time{}
	}
	return t.Time.UTC()
}

// nullString stores the empty string as NULL, so that unique columns and
// foreign keys may be empty.
func nullString[S ~string](s S) sql.NullString {
	return sql.NullString{String: string(s), Valid: s != ""}
}

// exec runs one statement written with ? placeholders.
func (q queries) exec(ctx context.Context, stmt string, args ...any) (rows int64, err error) {
	return q.conn.exec(ctx, sqlx.Rebind(q.dia.bind, stmt), args)
}

// execNamed is exec with :name placeholders taken from a struct.
func (q queries) execNamed(ctx context.Context, stmt string, arg any) (rows int64, err error) {
	stmt, args, err := q.bindNamed(stmt, arg)
	if err != nil {
		return 0, err
	}
	return q.conn.exec(ctx, stmt, args)
}

// get reads one row; sql.ErrNoRows when there is none.
func (q queries) get(ctx context.Context, dest any, stmt string, args ...any) error {
	one := reflect.ValueOf(dest).Elem()
	list := reflect.New(reflect.SliceOf(one.Type())).Elem()
	if err := q.read(ctx, list, stmt, args); err != nil {
		return err
	}
	if list.Len() == 0 {
		return sql.ErrNoRows
	}
	one.Set(list.Index(0))
	return nil
}

// all reads every row.
func (q queries) all(ctx context.Context, dest any, stmt string, args ...any) error {
	return q.read(ctx, reflect.ValueOf(dest).Elem(), stmt, args)
}

func (q queries) read(ctx context.Context, list reflect.Value, stmt string, args []any) error {
	rows, err := q.conn.query(ctx, sqlx.Rebind(q.dia.bind, stmt), args)
	if err != nil {
		return err
	}
	return readAll(rows, list)
}
