package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store/storetest"
)

// t0 is when tests begin; its sub-millisecond part must not survive storage.
var t0 = time.Date(2026, 3, 2, 9, 30, 0, 123_456_789, time.UTC)

// testSealer has keys that are the same in parent and child processes.
func testSealer(t testing.TB) *Sealer {
	t.Helper()
	s, err := NewSealer(testKeyset(t), testMaster, []byte(strings.Repeat("i", KeySize)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var (
	testMaster = []byte(strings.Repeat("m", KeySize))
	testKeys   = sync.OnceValues(func() ([]byte, error) { return NewKeyset(testMaster) })
)

func testKeyset(t testing.TB) []byte {
	t.Helper()
	keys, err := testKeys()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// eachDB runs the test on a fresh SQLite file and on a fresh PostgreSQL
// database: one suite, two databases. A missing server fails the test.
func eachDB(t *testing.T, test func(t *testing.T, db *DB)) {
	t.Helper()
	for _, name := range storetest.Dialects {
		t.Run(name, func(t *testing.T) {
			dsn := freshDSN(t, name)
			db := openTest(t, dsn)
			test(t, db)
		})
	}
}

func openTest(t testing.TB, dsn string) *DB {
	t.Helper()
	db, err := Open(t.Context(), dsn, testSealer(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db
}

// freshDSN is a database with the schema and nothing else.
func freshDSN(t testing.TB, dialect string) string {
	t.Helper()
	return storetest.DSN(t, dialect, MigrateAt)
}

// inTx is a transaction that must succeed.
func inTx(t testing.TB, db *DB, fn func(tx order.Tx) error) {
	t.Helper()
	if err := db.InTx(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

// sameValue lets personal values and forms be compared by what they hide.
var sameValue = cmp.Options{
	cmp.Comparer(func(a, b order.Form) bool { return a.Equal(b) }),
	cmp.Comparer(func(a, b identity.Mobile) bool { return a.Reveal() == b.Reveal() }),
}

func wantSame(t testing.TB, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got, sameValue); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func wantKind(t testing.TB, what string, err error, kind order.Kind) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("%s = %v, want %s", what, err, kind)
	}
}

func TestOpenRefusesOtherURLs(t *testing.T) {
	for _, dsn := range []string{"", "sqlite:", "mysql://x", "/var/lib/x.db", "postgres://user:hunter2@%zz/x"} {
		db, err := Open(t.Context(), dsn, nil)
		if err == nil {
			t.Errorf("Open(%q) succeeded", dsn)
			db.Close()
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("Open(%q) leaks the password: %v", dsn, err)
		}
	}
}

// The settings that durability rests on are in force on every pool.
func TestSQLitePragmas(t *testing.T) {
	db := openTest(t, freshDSN(t, "sqlite"))
	if n := db.write.Stats().MaxOpenConnections; n != 1 {
		t.Errorf("%d write connections, want 1", n)
	}
	if err := checkPragmas(t.Context(), db.read); err != nil {
		t.Error(err)
	}
	if _, err := db.read.Exec(`INSERT INTO counters (name, value) VALUES ('x', 1)`); err == nil {
		t.Error("the read pool can write")
	}
	sqlitePragmas = append(sqlitePragmas, struct{ name, value string }{"cache_spill", "7777"})
	defer func() { sqlitePragmas = sqlitePragmas[:len(sqlitePragmas)-1] }()
	if err := checkPragmas(t.Context(), db.write); err == nil {
		t.Error("a pragma that is not in force goes unnoticed")
	}
}

// The file is nobody else's to read, and its path may hold any character.
func TestSQLiteFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a b?c#d%41&e")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	openTest(t, "sqlite:"+filepath.Join(dir, "x.db"))
	files, err := os.ReadDir(dir)
	if err != nil || len(files) < 2 {
		t.Fatalf("files %v, %v; want the database and its WAL", files, err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %s, want 0600", f.Name(), info.Mode())
		}
	}
}

// Any number of processes may start at once on an empty database.
func TestMigrateAtOnce(t *testing.T) {
	for name, empty := range map[string]func(t *testing.T) string{
		"sqlite":   func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "test.db") },
		"postgres": func(t *testing.T) string { return storetest.EmptyPostgres(t) },
	} {
		t.Run(name, func(t *testing.T) {
			dsn := empty(t)
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					db, err := Open(context.Background(), dsn, nil)
					if err != nil {
						t.Error(err)
						return
					}
					defer db.Close()
					if err := db.Migrate(context.Background()); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
		})
	}
}

// Production asks before it serves whether the schema is there, and only asks.
func TestMigrated(t *testing.T) {
	for name, empty := range map[string]func(t *testing.T) string{
		"sqlite":   func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "test.db") },
		"postgres": func(t *testing.T) string { return storetest.EmptyPostgres(t) },
	} {
		t.Run(name, func(t *testing.T) {
			db, err := Open(t.Context(), empty(t), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			for range 2 {
				if ok, err := db.Migrated(t.Context()); ok || err != nil {
					t.Errorf("an empty database: %t, %v", ok, err)
				}
			}
			if err := db.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			if ok, err := db.Migrated(t.Context()); !ok || err != nil {
				t.Errorf("after migrating: %t, %v", ok, err)
			}
			if _, err := db.write.Exec(`DELETE FROM goose_db_version WHERE version_id = (SELECT max(version_id) FROM goose_db_version)`); err != nil {
				t.Fatal(err)
			}
			if ok, err := db.Migrated(t.Context()); ok || err != nil {
				t.Errorf("with one migration missing: %t, %v", ok, err)
			}
		})
	}
}

// A failure inside a transaction takes everything back with it, the job too.
func TestRollback(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		boom := errors.New("power cut")
		o := draft("o1")
		err := db.InTx(t.Context(), func(tx order.Tx) error {
			if err := tx.InsertOrder(t.Context(), o); err != nil {
				return err
			}
			if err := tx.Enqueue(t.Context(), order.Job{Kind: order.JobPurge, Ref: "o1"}); err != nil {
				return err
			}
			return boom
		})
		if !errors.Is(err, boom) {
			t.Errorf("InTx = %v, want the failure", err)
		}
		_, err = db.Order(t.Context(), "o1")
		wantKind(t, "Order after rollback", err, order.NotFound)
		if n := countJobs(t, db); n != 0 {
			t.Errorf("%d jobs survived the rollback", n)
		}
	})
}

// A database that is gone is Unavailable with a time to come back, not a
// nameless failure (reliability 10).
func TestDownIsUnavailable(t *testing.T) {
	db, admin := openTest(t, freshDSN(t, "postgres")), openTest(t, freshDSN(t, "postgres"))
	var name string
	if err := db.get(t.Context(), &name, `SELECT current_database()`); err != nil {
		t.Fatal(err)
	}
	for _, stmt := range []string{
		`ALTER DATABASE ` + name + ` WITH ALLOW_CONNECTIONS false`,
		`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '` + name + `'`,
	} {
		if _, err := admin.write.Exec(stmt); err != nil {
			t.Fatal(err)
		}
	}
	_, read := db.Order(t.Context(), "x")
	for what, err := range map[string]error{
		"Ping":  db.Ping(t.Context()),
		"InTx":  db.InTx(t.Context(), func(order.Tx) error { return nil }),
		"Order": read,
	} {
		e, ok := order.AsError(err)
		if !ok || e.Kind != order.Unavailable || e.RetryAfter == 0 {
			t.Errorf("%s = %v, want Unavailable with Retry-After", what, err)
		}
	}
}

func countJobs(t testing.TB, db *DB) (n int) {
	t.Helper()
	if err := db.get(t.Context(), &n, `SELECT count(*) FROM river_job`); err != nil {
		t.Fatal(err)
	}
	return n
}
