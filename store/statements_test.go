package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jmoiron/sqlx"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

func openKept(t *testing.T) *sql.DB {
	t.Helper()
	db, err := openStatements(sqliteSource(filepath.Join(t.TempDir(), "kept.db"), false))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	db.SetMaxOpenConns(1)
	if _, err := db.Exec(`CREATE TABLE n (v INTEGER); INSERT INTO n (v) VALUES (1), (2), (3)`); err != nil {
		t.Fatal(err)
	}
	return db.DB
}

// keptBy is what the only connection of db keeps.
func keptBy(t *testing.T, db *sql.DB) map[string]*preparedStmt {
	t.Helper()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var kept map[string]*preparedStmt
	if err := conn.Raw(func(c any) error { kept = c.(*preparedConn).kept; return nil }); err != nil {
		t.Fatal(err)
	}
	return kept
}

// A statement whose rows are being read may be asked again on the same
// connection, and both readers see every row.
func TestKeptStatementInUse(t *testing.T) {
	db := openKept(t)
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	const all = `SELECT v FROM n ORDER BY v`
	read := func(rows *sql.Rows) (vs []int) {
		defer rows.Close()
		for rows.Next() {
			var v int
			if err := rows.Scan(&v); err != nil {
				t.Fatal(err)
			}
			vs = append(vs, v)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		return vs
	}
	outer, err := tx.Query(all) //nolint:rowserrcheck // read checks it
	if err != nil || !outer.Next() {
		t.Fatal("no first row", err)
	}
	inner, err := tx.Query(all) //nolint:rowserrcheck // read checks it
	if err != nil {
		t.Fatal(err)
	}
	if vs := read(inner); len(vs) != 3 {
		t.Errorf("the second reader sees %v", vs)
	}
	if vs := read(outer); len(vs) != 2 || vs[1] != 3 {
		t.Errorf("the first reader sees %v after the first row", vs)
	}
	again, err := tx.Query(all) //nolint:rowserrcheck // read checks it
	if err != nil {
		t.Fatal(err)
	}
	if vs := read(again); len(vs) != 3 {
		t.Errorf("kept and asked again: %v", vs)
	}
}

// A kept statement notices that the table has changed its columns.
func TestKeptStatementAfterMigration(t *testing.T) {
	db := openKept(t)
	count := func() (n int) {
		rows, err := db.Query(`SELECT * FROM n`) //nolint:rowserrcheck // one row at most is read
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		rows.Next()
		columns, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		return len(columns)
	}
	before := count()
	if _, err := db.Exec(`ALTER TABLE n ADD COLUMN w TEXT`); err != nil {
		t.Fatal(err)
	}
	if after := count(); before != 1 || after != 2 {
		t.Errorf("%d columns before, %d after", before, after)
	}
}

// An error leaves a kept statement usable.
func TestKeptStatementAfterError(t *testing.T) {
	db := openKept(t)
	if _, err := db.Exec(`CREATE UNIQUE INDEX n_v ON n (v)`); err != nil {
		t.Fatal(err)
	}
	const insert = `INSERT INTO n (v) VALUES (?)`
	for i, v := range []int{4, 4, 5} {
		_, err := db.Exec(insert, v)
		if isUnique(err) != (i == 1) || err != nil && i != 1 {
			t.Errorf("insert %d of %d: %v", i, v, err)
		}
	}
	if keptBy(t, db)[insert] == nil {
		t.Error("the statement is not kept")
	}
}

// A connection keeps a bounded number of statements; more of them work too.
func TestKeptStatementsAreBounded(t *testing.T) {
	db := openKept(t)
	for i := range maxKept + 10 {
		var v int
		if err := db.QueryRow(fmt.Sprintf(`SELECT %d`, i)).Scan(&v); err != nil || v != i {
			t.Fatalf("SELECT %d: %d, %v", i, v, err)
		}
	}
	if n := len(keptBy(t, db)); n != maxKept {
		t.Errorf("%d statements are kept, want %d", n, maxKept)
	}
}

// A statement is not begun for somebody who has gone, and not broken off for one who goes.
func TestReadIsFinished(t *testing.T) {
	db := unwatched{plain{sqlx.NewDb(openKept(t), "sqlite")}}
	ctx, leave := context.WithCancel(t.Context())
	rows, err := db.query(ctx, `SELECT v FROM n`, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	leave()
	n := 0
	for rows.Next() {
		n++
	}
	if err := rows.Err(); err != nil || n != 3 {
		t.Errorf("%d rows, %v; want all 3", n, err)
	}
	if err := rows.Close(); err != nil {
		t.Error(err)
	}
	if _, err := db.query(ctx, `SELECT 1`, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a read for nobody: %v, want %v", err, context.Canceled)
	}
	if _, err := db.exec(ctx, `DELETE FROM n`, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a write for nobody: %v, want %v", err, context.Canceled)
	}
}

// What grows is not read whole, not even for what is asked rarely.
func TestNothingThatGrowsIsScanned(t *testing.T) {
	db, ctx := openTest(t, freshDSN(t, "sqlite")), t.Context()
	db.read.SetMaxOpenConns(1)
	_, err := db.Looks(ctx, "o1", order.Cursor{}, 20)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Booked(ctx, "t1"); err != nil {
		t.Fatal(err)
	}
	err = db.inTx(ctx, func(tx *Tx) error {
		p, err := tx.PersonByMobile(ctx, order.Person{ID: "p1", Mobile: identity.NewMobile("17712347069"), CreatedAt: t0})
		if err != nil {
			return err
		}
		_, err = tx.PurgePerson(ctx, p.ID)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, pool := range []*sqlx.DB{db.read, db.write} {
		for stmt := range keptBy(t, pool.DB) {
			var plan []struct {
				ID, Parent, NotUsed int
				Detail              string
			}
			if strings.HasPrefix(stmt, "PRAGMA") || strings.Contains(stmt, "CREATE") || strings.Contains(stmt, "goose") || strings.Contains(stmt, "river") {
				continue
			}
			if err := pool.SelectContext(ctx, &plan, `EXPLAIN QUERY PLAN `+stmt, make([]any, strings.Count(stmt, "?"))...); err != nil {
				continue // of the migrations, whose tables are no more
			}
			for _, p := range plan {
				for _, table := range []string{"audit", "notifications", "wechat_consents", "keys_refunds", "orders", "people"} {
					if p.Detail == "SCAN "+table {
						t.Errorf("%s: %s", p.Detail, stmt)
					}
				}
			}
		}
	}
}
