package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
)

//go:embed migrations
var migrations embed.FS

// migrationLock is the PostgreSQL advisory lock of whoever migrates: "ycd".
const migrationLock = 0x796364

// MigrateAt brings the schema of the database at dsn up to date; it needs no keys.
func MigrateAt(ctx context.Context, dsn string) error {
	db, err := Open(ctx, dsn, nil)
	if err != nil {
		return err
	}
	return errors.Join(db.Migrate(ctx), db.Close())
}

// Migrate brings River's tables and ours up to date. Any number of processes
// may start at once: one migrates, the others wait and find nothing to do.
func (db *DB) Migrate(ctx context.Context) (err error) {
	unlock, err := db.lockMigrations(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if err := db.migrateRiver(ctx); err != nil {
		return fmt.Errorf("migrating River's tables: %w", err)
	}
	provider, err := db.migrator()
	if err != nil {
		return err
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrating: %w", err)
	}
	return nil
}

// migrator knows our migrations for this kind of database.
func (db *DB) migrator() (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations/"+db.dia.name)
	if err != nil {
		return nil, fmt.Errorf("reading migrations: %w", err)
	}
	p, err := goose.NewProvider(db.dia.goose, db.write.DB, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, fmt.Errorf("preparing migrations: %w", err)
	}
	return p, nil
}

// Migrated reports whether all of this program's migrations were applied; a
// later program may have applied more, while it takes over. It only reads.
func (db *DB) Migrated(ctx context.Context) (bool, error) {
	p, err := db.migrator()
	if err != nil {
		return false, err
	}
	var applied int64
	switch err := db.get(ctx, &applied, `SELECT coalesce(max(version_id), 0) FROM goose_db_version`); {
	case isDown(err):
		return false, failed(err, "reading the version of the schema")
	case err != nil: // there is no such table
		return false, nil //nolint:nilerr // it is what was asked
	}
	sources := p.ListSources() // in order
	return applied >= sources[len(sources)-1].Version, nil
}

func (db *DB) migrateRiver(ctx context.Context) error {
	if db.pool != nil {
		m, err := rivermigrate.New(riverpgxv5.New(db.pool), nil)
		if err != nil {
			return err
		}
		_, err = m.Migrate(ctx, rivermigrate.DirectionUp, nil)
		return err
	}
	m, err := rivermigrate.New(riversqlite.New(db.write.DB), nil)
	if err != nil {
		return err
	}
	_, err = m.Migrate(ctx, rivermigrate.DirectionUp, nil)
	return err
}

// lockMigrations waits for its turn. Both locks end with their owner, however
// that dies: one with the connection, one with the process.
func (db *DB) lockMigrations(ctx context.Context) (unlock func() error, err error) {
	if db.pool == nil {
		return lockFile(ctx, db.lockFile)
	}
	conn, err := db.write.Connx(ctx)
	if err != nil {
		return nil, failed(err, "taking a connection")
	}
	if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, migrationLock); err != nil {
		return nil, errors.Join(fmt.Errorf("locking migrations: %w", err), conn.Close())
	}
	return func() error {
		_, err := conn.ExecContext(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, migrationLock)
		return errors.Join(err, conn.Close())
	}, nil
}

func lockFile(ctx context.Context, path string) (unlock func() error, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // beside the database that the operator named
	if err != nil {
		return nil, fmt.Errorf("opening migration lock: %w", err)
	}
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f.Close, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("locking migrations: %w", err), f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		case <-again.C:
		}
	}
}
