package store

import (
	"database/sql"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store/storetest"
)

// Reliability 30: the backup that docs/operations.md names, taken while people work, is
// restored onto an empty host in well under fifteen minutes: what was committed before
// it began is there and opens, and the audit chain verifies.
func TestRestoreDrill(t *testing.T) {
	for _, name := range []string{"sqlite", "postgres"} {
		t.Run(name, func(t *testing.T) {
			dsn := freshDSN(t, name)
			db := openTest(t, dsn)
			save := func(id string) error {
				return db.InTx(t.Context(), func(tx order.Tx) error {
					if err := tx.InsertOrder(t.Context(), draft(order.ID(id))); err != nil {
						return err
					}
					return tx.AppendAudit(t.Context(), order.AuditRecord{OrderID: order.ID(id), Action: "save", Outcome: "ok", At: t0})
				})
			}
			for n := range 50 {
				if err := save(fmt.Sprintf("before-%02d", n)); err != nil {
					t.Fatal(err)
				}
			}
			heads, err := db.AuditHeads(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			stop, stopped := make(chan struct{}), make(chan struct{})
			go func() { // somebody works meanwhile
				defer close(stopped)
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
						if err := save(fmt.Sprintf("meanwhile-%d", n)); err != nil {
							t.Error(err)
							return
						}
					}
				}
			}()
			began := time.Now()
			restored := backedUp(t, name, dsn)
			close(stop)
			<-stopped
			again := openTest(t, restored) // an empty host: migrations find nothing to do
			if took := time.Since(began); took > 15*time.Minute {
				t.Errorf("it took %s", took)
			}
			var before int
			if err := again.get(t.Context(), &before, `SELECT count(*) FROM orders WHERE id LIKE 'before-%'`); err != nil || before != 50 {
				t.Errorf("%d orders of 50, %v", before, err)
			}
			if o, err := again.Order(t.Context(), "before-00"); err != nil || o.Form.Get(order.AgentName) != "王小琪" {
				t.Errorf("the form %v, %v", o.Form, err)
			}
			if err := again.VerifyAudit(t.Context(), heads); err != nil {
				t.Error(err)
			}
		})
	}
}

// backedUp takes a backup of a database in use and restores it into a new one.
func backedUp(t *testing.T, dialect, dsn string) (restored string) {
	t.Helper()
	if dialect == "sqlite" {
		file := filepath.Join(t.TempDir(), "backup.db")
		// Another process, like the operator's sqlite3.
		own, err := sql.Open("sqlite", strings.TrimPrefix(dsn, "sqlite:"))
		if err != nil {
			t.Fatal(err)
		}
		defer own.Close()
		if _, err := own.ExecContext(t.Context(), `VACUUM INTO '`+file+`'`); err != nil {
			t.Fatal(err)
		}
		return "sqlite:" + file
	}
	file, empty := filepath.Join(t.TempDir(), "backup"), storetest.EmptyPostgres(t)
	for _, cmd := range []*exec.Cmd{
		exec.CommandContext(t.Context(), "pg_dump", "--format=custom", "--file="+file, dsn),
		exec.CommandContext(t.Context(), "pg_restore", "--exit-on-error", "--no-owner", "--dbname="+empty, file),
	} {
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", cmd.Args[0], err, said)
		}
	}
	return empty
}
