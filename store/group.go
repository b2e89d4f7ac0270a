package store

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/jmoiron/sqlx"
)

// group lets the transactions that wait for SQLite's only writer commit
// together, so that they share one wait for the disk and the pages they both
// change. Each keeps its own fate: it runs in a savepoint, and one that fails is
// undone alone. None returns before what it wrote is on the disk.
type group struct {
	db   *DB
	turn chan struct{} // held by who writes

	mu      sync.Mutex
	waiting []*member
}

// member is one transaction of a group.
type member struct {
	ctx  context.Context //nolint:containedctx // of the caller, who waits
	fn   func(*Tx) error
	err  error
	done chan struct{}
}

func newGroup(db *DB) *group { return &group{db: db, turn: make(chan struct{}, 1)} }

// run returns when fn is committed, together with whoever else waits, or undone.
func (g *group) run(ctx context.Context, fn func(*Tx) error) error {
	m := &member{ctx: ctx, fn: fn, done: make(chan struct{})}
	g.mu.Lock()
	g.waiting = append(g.waiting, m)
	g.mu.Unlock()
	select {
	case <-m.done:
	case g.turn <- struct{}{}:
		g.write()
	}
	<-m.done
	if p, ok := errors.AsType[panicked](m.err); ok {
		panic(p.value) // where it would have happened without the group
	}
	return m.err
}

// write commits everybody who waits.
func (g *group) write() {
	defer func() { <-g.turn }()
	runtime.Gosched() // whom the last group let go may come again at once
	g.mu.Lock()
	members := g.waiting
	g.waiting = nil
	g.mu.Unlock()
	if len(members) < 2 || g.together(members) != nil {
		// What broke may be the fault of one: everybody for himself.
		for _, m := range members {
			m.err = g.alone(m)
		}
	}
	for _, m := range members {
		close(m.done)
	}
}

func (g *group) alone(m *member) error {
	tx, err := g.db.write.BeginTxx(m.ctx, nil)
	if err != nil {
		return failed(err, "beginning transaction")
	}
	return g.finish(tx, m.call)
}

// finish runs fn and ends the transaction one way or the other.
func (g *group) finish(tx *sqlx.Tx, fn func(*Tx) error) error {
	defer tx.Rollback() //nolint:errcheck // after Commit this is a no-op; before it, fn's error matters more
	if err := fn(&Tx{queries: queries{conn: unwatched{plain{tx}}, dia: g.db.dia, seal: g.db.seal}, db: g.db, lite: tx.Tx}); err != nil {
		return err
	}
	return failed(tx.Commit(), "committing")
}

// together runs the members in one transaction. An error means that nothing was
// committed, for anybody.
func (g *group) together(members []*member) error {
	ctx := context.Background() // one caller who gives up must not undo the others
	tx, err := g.db.write.BeginTxx(ctx, nil)
	if err != nil {
		return err
	}
	return g.finish(tx, func(tx *Tx) error {
		for _, m := range members {
			if m.err = m.ctx.Err(); m.err != nil {
				continue
			}
			if _, err := tx.exec(ctx, `SAVEPOINT member`); err != nil {
				return err
			}
			if m.err = m.call(tx); m.err != nil {
				if _, err := tx.exec(ctx, `ROLLBACK TO member`); err != nil {
					return err
				}
			}
			if _, err := tx.exec(ctx, `RELEASE member`); err != nil {
				return err
			}
		}
		return nil
	})
}

// call runs fn. A panic is the caller's, not that of who happens to write.
func (m *member) call(tx *Tx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked{p}
		}
	}()
	return m.fn(tx)
}

// panicked carries a panic to the goroutine whose it is.
type panicked struct{ value any }

func (p panicked) Error() string { return fmt.Sprintf("panic: %v", p.value) }
