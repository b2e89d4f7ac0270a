package store

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

// holdWriter takes the turn to write until release is called, so that those who
// come meanwhile are one group.
func holdWriter(t *testing.T, db *DB) (release func()) {
	t.Helper()
	db.writers.turn <- struct{}{}
	return func() { <-db.writers.turn }
}

// waitFor waits until n transactions wait for the writer.
func waitFor(t *testing.T, db *DB, n int) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		db.writers.mu.Lock()
		waiting := len(db.writers.waiting)
		db.writers.mu.Unlock()
		if waiting == n {
			return
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("they do not come")
		}
	}
}

func openGroup(t *testing.T) *DB {
	t.Helper()
	db, err := Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "group.db"), nil)
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

// Of a group, each member has its own fate: one that fails, gives up or panics
// takes nobody with it and leaves nothing behind.
func TestGroupMembersHaveTheirOwnFate(t *testing.T) {
	db := openGroup(t)
	refused := errors.New("refused")
	tests := []struct {
		name  string
		give  func(ctx context.Context, cancel context.CancelFunc, tx *Tx) error
		want  error
		panic bool
		kept  bool
	}{
		{name: "first", kept: true},
		{name: "refused", give: func(context.Context, context.CancelFunc, *Tx) error { return refused }, want: refused},
		{name: "broken statement", give: func(ctx context.Context, _ context.CancelFunc, tx *Tx) error {
			_, err := tx.exec(ctx, `INSERT INTO counters (name, value) VALUES ('first', 1)`)
			if isUnique(err) {
				return refused
			}
			return err
		}, want: refused},
		{name: "panics", give: func(context.Context, context.CancelFunc, *Tx) error { panic("out of order") }, panic: true},
		{name: "gives up", give: func(ctx context.Context, cancel context.CancelFunc, tx *Tx) error {
			cancel()
			_, err := tx.exec(ctx, `INSERT INTO counters (name, value) VALUES ('more', 1)`)
			return err
		}, want: context.Canceled},
		{name: "last", kept: true},
	}
	release := holdWriter(t, db)
	var wg sync.WaitGroup
	for i, test := range tests {
		wg.Go(func() {
			defer func() {
				if p := recover(); (p != nil) != test.panic {
					t.Errorf("%s: panic %v", test.name, p)
				}
			}()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			err := db.inTx(ctx, func(tx *Tx) error {
				var n int
				if err := tx.count(ctx, test.name, &n); err != nil || test.give == nil {
					return err
				}
				return test.give(ctx, cancel, tx)
			})
			if !errors.Is(err, test.want) {
				t.Errorf("%s: %v, want %v", test.name, err, test.want)
			}
		})
		waitFor(t, db, i+1) // in this order
	}
	release()
	wg.Wait()
	for _, test := range tests {
		var n int
		if err := db.get(t.Context(), &n, `SELECT count(*) FROM counters WHERE name = ?`, test.name); err != nil || (n == 1) != test.kept {
			t.Errorf("%s: kept %d times, %v", test.name, n, err)
		}
	}
}

// A group that cannot be committed as one is committed one by one.
func TestGroupThatBreaksIsRunOneByOne(t *testing.T) {
	db := openGroup(t)
	release := holdWriter(t, db)
	var wg sync.WaitGroup
	var runs [3]int
	for i := range runs {
		wg.Go(func() {
			err := db.inTx(t.Context(), func(tx *Tx) error {
				runs[i]++
				if i == 1 && runs[i] == 1 { // SQLite does so by itself when the disk is full
					if _, err := tx.exec(t.Context(), `ROLLBACK`); err != nil {
						return err
					}
					return errors.New("rolled back")
				}
				var n int
				return tx.count(t.Context(), "broken", &n)
			})
			if err != nil {
				t.Errorf("member %d: %v", i, err)
			}
		})
		waitFor(t, db, i+1)
	}
	release()
	wg.Wait()
	var n int
	if err := db.get(t.Context(), &n, `SELECT value FROM counters WHERE name = 'broken'`); err != nil || n != len(runs) {
		t.Errorf("%d counted, %v", n, err)
	}
}

// A caller alone runs in a plain transaction, with its own context.
func TestGroupOfOneWhoGaveUp(t *testing.T) {
	db := openGroup(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := db.InTx(ctx, func(order.Tx) error { return errors.New("ran") })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
