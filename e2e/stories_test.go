package e2e

import (
	"database/sql"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // PostgreSQL
	"github.com/redis/go-redis/v9"

	"github.com/yuncaidun/yuncaidun/e2e/story"
	"github.com/yuncaidun/yuncaidun/store/storetest"
)

// The stories that make demo tells, one after the other on the same data: the
// second time, everything of the first is still there.
func TestDemoStories(t *testing.T) {
	t.Parallel()
	dir := "YCD_DATA_DIR=" + t.TempDir()
	for _, round := range []string{"on an empty folder", "on the same data again"} {
		if said, code := demo(t, binary, dir, "STORY=", "FAULT="); code != 0 {
			t.Fatalf("%s: exit code %d\n%s", round, code, said)
		}
	}
}

// A company buys two USBKEYs, from the empty form to the shipped keys (F1–F107),
// on PostgreSQL and Redis. Nothing personal is left there in the clear.
func TestApplicantReceivesToken(t *testing.T) {
	t.Parallel()
	dsn := storetest.EmptyPostgres(t)
	said, code := demo(t, binary, "STORY=initial", "FAULT=", "YCD_DATABASE_URL="+dsn, "YCD_REDIS_URL="+emptyRedis(t, 12))
	if code != 0 {
		t.Fatalf("exit code %d\n%s", code, said)
	}
	kept, answers := dump(t, dsn), story.Application()
	if !strings.Contains(kept, answers["org.name"]) {
		t.Error("the company, which is no secret, is not in the database: this test sees nothing")
	}
	for _, field := range story.Personal {
		if v := answers[field]; strings.Contains(kept, v) || strings.Contains(kept, hex.EncodeToString([]byte(v))) {
			t.Errorf("%s is in the database in the clear", field)
		}
	}
}

// dump is everything in a PostgreSQL database, as text.
func dump(t *testing.T, dsn string) string {
	t.Helper()
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	texts := func(query string) (out []string) {
		rows, err := db.QueryContext(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var s string
			if err := rows.Scan(&s); err != nil {
				t.Fatal(err)
			}
			out = append(out, s)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		return out
	}
	var all []string
	for _, table := range texts("SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public'") {
		all = append(all, texts("SELECT to_jsonb(r)::text FROM "+table+" r")...)
	}
	return strings.Join(all, "\n")
}

// emptyRedis empties a Redis database and returns its address. The number must be the
// test's alone, for tests and packages run side by side.
func emptyRedis(t *testing.T, number int) string {
	t.Helper()
	u, err := url.Parse(required(t, "TEST_REDIS_URL"))
	if err != nil {
		t.Fatal(err)
	}
	u.Path = fmt.Sprint("/", number)
	opts, err := redis.ParseURL(u.String())
	if err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClient(opts)
	defer rdb.Close()
	if err := rdb.FlushDB(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	return u.String()
}

func required(t *testing.T, name string) string {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		t.Fatalf("%s is not set; make test starts the servers and sets it", name)
	}
	return v
}

// A demonstration that cannot fail proves nothing: each planted fault ends it,
// at the check that is there for it.
func TestFaultsAreCaught(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ fault, check string }{
		{"skip-sign", "openssl verify"},
		{"drop-job", "收到任务卡片「待审核」"},
		{"wrong-amount", "支付页自己变为「已支付」"},
	} {
		t.Run(tt.fault, func(t *testing.T) {
			t.Parallel()
			faulty := filepath.Join(t.TempDir(), "yuncaidun-fault")
			if err := build(t.Context(), faulty, "-tags", "fault_"+strings.ReplaceAll(tt.fault, "-", "_")); err != nil {
				t.Fatal(err)
			}
			said, code := demo(t, faulty, "STORY=initial", "FAULT="+tt.fault)
			if code != 1 || !strings.Contains(said, "✗ check failed: ") || !strings.Contains(said, tt.check) {
				t.Errorf("exit code %d, want 1 for the check of %q\n%s", code, tt.check, said)
			}
		})
	}
}

// Reliability 6 and 7, F74: a key helper that is killed with SIGKILL at each of its
// steps leaves an order that is gone on with, one certificate per order, and a USBKEY
// that can be opened.
func TestKilledHelper(t *testing.T) {
	t.Parallel()
	helper := filepath.Join(t.TempDir(), "keyhelper")
	if err := buildPackage(t.Context(), helper, "/keyhelper", "-tags", "faults"); err != nil {
		t.Fatal(err)
	}
	for _, story := range []string{"unlock", "renewal", "renewal-rsa", "own-key", "download"} {
		t.Run(story, func(t *testing.T) {
			t.Parallel()
			if said, code := demoWith(t, binary, []string{"--helper", helper, "--kills"}, "STORY="+story, "FAULT="); code != 0 {
				t.Errorf("exit code %d\n%s", code, said)
			}
		})
	}
}

// A fault that is not in the executable cannot be asked for.
func TestFaultsAreNotInTheShippedBinary(t *testing.T) {
	t.Parallel()
	for _, fault := range []string{"skip-sign", "drop-job", "no-such-fault"} {
		if said, code := demo(t, binary, "FAULT="+fault, "STORY=initial"); code != 2 {
			t.Errorf("FAULT=%s: exit code %d, want 2\n%s", fault, code, said)
		}
	}
}
