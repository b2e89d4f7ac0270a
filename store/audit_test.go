package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/yuncaidun/yuncaidun/order"
)

func auditRecord(i int) order.AuditRecord {
	return order.AuditRecord{OrderID: order.ID(fmt.Sprint("o", i)), Action: "claim", ActorID: "s1", Role: order.Reviewer, Channel: order.Web, IP: "192.0.2.7", Outcome: "ok", At: t0}
}

func appendAudit(ctx context.Context, db *DB, i int) error {
	return db.InTx(ctx, func(tx order.Tx) error { return tx.AppendAudit(ctx, auditRecord(i)) })
}

func TestAuditChains(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		var wg sync.WaitGroup
		for i := range 60 {
			wg.Go(func() {
				if err := appendAudit(context.Background(), db, i); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if err := db.VerifyAudit(t.Context(), nil); err != nil {
			t.Error(err)
		}
		heads, err := db.AuditHeads(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		rows := int64(0)
		for _, h := range heads {
			rows += h.Seq
		}
		if rows != 60 {
			t.Errorf("the heads account for %d rows, want 60", rows)
		}
		for _, stmt := range []string{`UPDATE audit SET outcome = 'x'`, `DELETE FROM audit`} {
			if _, err := db.write.Exec(stmt); err == nil {
				t.Errorf("%s succeeded", stmt)
			}
		}
	})
}

// The trail can be proved while it grows.
func TestVerifyAuditWhileWriting(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		ctx, stop := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for i := 0; ctx.Err() == nil; i++ {
					if err := appendAudit(ctx, db, i); err != nil && ctx.Err() == nil {
						t.Error(err)
					}
				}
			})
		}
		for range 20 {
			if err := db.VerifyAudit(t.Context(), nil); err != nil {
				t.Error(err)
			}
		}
		stop()
		wg.Wait()
	})
}

// Somebody with full rights on the database puts back an older copy, or grows a
// chain anew: the heads that were kept elsewhere tell.
func TestAuditHeadsKeptElsewhere(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		for i := range 3 {
			if err := appendAudit(t.Context(), db, i); err != nil {
				t.Fatal(err)
			}
		}
		kept, err := db.AuditHeads(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := db.VerifyAudit(t.Context(), kept); err != nil {
			t.Fatal(err)
		}
		breakOpen(t, db)
		for _, stmt := range []string{
			`DELETE FROM audit WHERE seq = 3`,
			`UPDATE audit_chains SET seq = 2, mac = (SELECT mac FROM audit WHERE chain = 0 AND seq = 2) WHERE chain = 0`,
		} {
			if _, err := db.write.Exec(stmt); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.VerifyAudit(t.Context(), nil); err != nil {
			t.Fatalf("a consistent older copy: %v", err)
		}
		if err := db.VerifyAudit(t.Context(), kept); !errors.Is(err, ErrAuditBroken) {
			t.Errorf("shortened behind the kept head: %v", err)
		}
		if err := appendAudit(t.Context(), db, 99); err != nil {
			t.Fatal(err)
		}
		if err := db.VerifyAudit(t.Context(), kept); !errors.Is(err, ErrAuditBroken) {
			t.Errorf("rewritten behind the kept head: %v", err)
		}
	})
}

// breakOpen removes what stops even the table's owner from editing it.
func breakOpen(t *testing.T, db *DB) {
	t.Helper()
	stmts := []string{`DROP TRIGGER audit_is_append_only_update`, `DROP TRIGGER audit_is_append_only_delete`}
	if db.pool != nil {
		stmts = []string{`DROP TRIGGER audit_is_append_only ON audit`}
	}
	for _, stmt := range stmts {
		if _, err := db.write.Exec(stmt); err != nil {
			t.Fatal(err)
		}
	}
}

// Reliability 24: any edit, deletion, insertion, swap or truncation of any row
// is found, in 1,000 random mutations.
func TestAuditMutations(t *testing.T) {
	db := openTest(t, freshDSN(t, "sqlite"))
	const rows = 12
	for i := range rows {
		if err := appendAudit(t.Context(), db, i); err != nil {
			t.Fatal(err)
		}
	}
	breakOpen(t, db)
	columns := []string{"order_id", "action", "actor_id", "role", "channel", "ip", "outcome", "at", "mac", "seq", "chain"}
	mutate := func(r *rapid.T) string {
		n := rapid.IntRange(1, rows).Draw(r, "row")
		m := rapid.IntRange(1, rows).Filter(func(m int) bool { return m != n }).Draw(r, "other row")
		switch rapid.SampledFrom([]string{"edit", "delete", "insert", "swap", "truncate", "head"}).Draw(r, "mutation") {
		case "edit":
			column := rapid.SampledFrom(columns).Draw(r, "column")
			value := map[string]string{"at": `'2026-03-02 09:30:00.124+00:00'`, "mac": `x'00'`, "seq": `seq + 100`, "chain": `31`}[column]
			if value == "" {
				value = column + ` || 'x'`
			}
			return fmt.Sprintf(`UPDATE audit SET %s = %s WHERE seq = %d`, column, value, n)
		case "delete":
			return fmt.Sprintf(`DELETE FROM audit WHERE seq = %d`, n)
		case "insert":
			chain := rapid.SampledFrom([]int{0, 5, 77}).Draw(r, "chain") // in use, empty, none of ours
			return fmt.Sprintf(`INSERT INTO audit (%s) SELECT %d, %d, order_id, action, actor_id, role, channel, ip, outcome, at, mac FROM audit WHERE seq = %d`, auditColumns, chain, rows+1, n)
		case "swap":
			return fmt.Sprintf(`UPDATE audit SET order_id = CASE seq WHEN %[1]d THEN 'o%[3]d' ELSE 'o%[4]d' END WHERE seq IN (%[1]d, %[2]d)`, n, m, m-1, n-1)
		case "truncate":
			return fmt.Sprintf(`DELETE FROM audit WHERE seq >= %d`, n)
		default:
			return fmt.Sprintf(`UPDATE audit_chains SET seq = seq - 1, mac = (SELECT mac FROM audit WHERE seq = %d) WHERE chain = 0`, max(1, n-1))
		}
	}
	tried := 0
	check := func(r *rapid.T) {
		stmt := mutate(r)
		tried++
		err := db.inTx(context.Background(), func(tx *Tx) error {
			if _, err := tx.exec(context.Background(), stmt); err != nil {
				return err
			}
			if err := tx.verifyAudit(context.Background(), nil); !errors.Is(err, ErrAuditBroken) {
				r.Errorf("%s: %v", stmt, err)
			}
			return errDeliberate // each mutation starts from the true trail
		})
		if !errors.Is(err, errDeliberate) {
			r.Errorf("%s: %v", stmt, err)
		}
	}
	for tried < 1000 {
		rapid.Check(t, check)
	}
	if err := db.VerifyAudit(t.Context(), nil); err != nil {
		t.Errorf("the true trail: %v", err)
	}
}
