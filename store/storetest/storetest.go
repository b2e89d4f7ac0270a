// Package storetest hands out databases with the schema and nothing else, each a
// copy of one that was migrated once per test binary: migrating takes SQLite
// seconds under the race detector.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Migrate makes the schema of a database; [store.Prepare] does. This package does
// not import store, whose own tests use it.
type Migrate func(ctx context.Context, dsn string) error

// Dialects are the databases that every test of the store runs on.
var Dialects = []string{"sqlite", "postgres"}

// DSN is where a database is that lives as long as the test.
func DSN(t testing.TB, dialect string, migrate Migrate) string {
	t.Helper()
	if dialect == "postgres" {
		name, err := template(migrate)
		if err != nil {
			t.Fatal(err)
		}
		return createPostgres(t, " TEMPLATE "+name)
	}
	migrated, err := migratedFile(migrate)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "test.db")
	if err := os.WriteFile(path, migrated, 0o600); err != nil {
		t.Fatal(err)
	}
	return "sqlite:" + path
}

// EmptyPostgres is where a PostgreSQL database without a schema is that lives as
// long as the test.
func EmptyPostgres(t testing.TB) string {
	t.Helper()
	return createPostgres(t, "")
}

// Main runs the tests of a package that asks for PostgreSQL databases, and cleans
// up after them.
func Main(m *testing.M) { os.Exit(Run(m)) }

// Run is Main that returns the exit code.
func Run(m *testing.M) int {
	code := m.Run()
	mu.Lock()
	defer mu.Unlock()
	if templateMade {
		if err := admin("DROP DATABASE " + templateName + " WITH (FORCE)"); err != nil {
			log.Print(err)
			return 1
		}
	}
	return code
}

var (
	mu           sync.Mutex // of what is made once
	file         []byte
	templateMade bool
	templateName = fmt.Sprintf("test_%d_template", os.Getpid())
	number       atomic.Int64 // of databases
)

func migratedFile(migrate Migrate) ([]byte, error) {
	mu.Lock()
	defer mu.Unlock()
	if file != nil {
		return file, nil
	}
	dir, err := os.MkdirTemp("", "storetest")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "template.db")
	if err := migrate(context.Background(), "sqlite:"+path); err != nil {
		return nil, err
	}
	file, err = os.ReadFile(path) //nolint:gosec // made above
	return file, err
}

func template(migrate Migrate) (string, error) {
	mu.Lock()
	defer mu.Unlock()
	if templateMade {
		return templateName, nil
	}
	if err := admin("CREATE DATABASE " + templateName); err != nil {
		return "", err
	}
	templateMade = true
	dsn, err := dsnOf(templateName)
	if err != nil {
		return "", err
	}
	return templateName, migrate(context.Background(), dsn)
}

func createPostgres(t testing.TB, how string) string {
	t.Helper()
	name := fmt.Sprintf("test_%d_%d", os.Getpid(), number.Add(1))
	if err := admin("CREATE DATABASE " + name + how); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := admin("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	dsn, err := dsnOf(name)
	if err != nil {
		t.Fatal(err)
	}
	return dsn
}

// server is the PostgreSQL server of the tests, which must be there.
func server() (string, error) {
	if dsn := os.Getenv("TEST_POSTGRES_DSN"); dsn != "" {
		return dsn, nil
	}
	return "", errors.New("TEST_POSTGRES_DSN is not set: run `make test`, which starts a server")
}

// admin runs one statement on the server.
func admin(stmt string) error {
	dsn, err := server()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, stmt)
	return errors.Join(err, conn.Close(ctx))
}

// dsnOf is the server's URL with another database.
func dsnOf(database string) (string, error) {
	dsn, err := server()
	if err != nil {
		return "", err
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return "", err
	}
	u.Path = "/" + database
	return u.String(), nil
}
