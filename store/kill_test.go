package store

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/riverqueue/river"

	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store/storetest"
)

// The kill harness runs this test binary as a child that moves orders and works
// their jobs as fast as it can, and kills it at random. A checker then asks the
// database whether anything was lost, doubled or half done (reliability 6, 12).

const (
	killMode = "STORE_KILL_MODE" // what the child does; empty in the parent
	killDSN  = "STORE_KILL_DSN"
	killKeys = "STORE_KILL_KEYSET"

	modeLoad   = "load"   // move orders and work jobs until killed
	modeBroken = "broken" // the same, but enqueue in a second transaction
	modeDrain  = "drain"  // work the jobs that are left, then end
)

func TestMain(m *testing.M) {
	if mode := os.Getenv(killMode); mode != "" {
		if err := killChild(context.Background(), mode); err != nil {
			log.Fatal(err)
		}
		return
	}
	storetest.Main(m)
}

// TestKill: 50 kills on each database, nothing lost.
func TestKill(t *testing.T) {
	for name, kills := range map[string]int{"sqlite": 50, "postgres": 50} {
		t.Run(name, func(t *testing.T) {
			dsn := freshDSN(t, name)
			db := killDB(t, dsn)
			for range kills {
				runAndKill(t, dsn, modeLoad)
			}
			drain(t, dsn)
			found := inspect(t, db)
			t.Logf("%d orders moved, %d jobs run again", found.moved, found.again)
			if found.faults() != 0 {
				t.Errorf("%+v", found)
			}
			if found.moved < kills || found.again == 0 {
				t.Errorf("only %d orders moved and %d jobs run again: the harness did not bite", found.moved, found.again)
			}
			if err := db.VerifyAudit(t.Context(), nil); err != nil {
				t.Error(err)
			}
			if name == "sqlite" {
				var ok string
				if err := db.get(t.Context(), &ok, `PRAGMA integrity_check`); err != nil || ok != "ok" {
					t.Errorf("integrity_check: %s, %v", ok, err)
				}
			}
		})
	}
}

// TestKillCheckerSees is the negative control: where the job is enqueued outside
// of the transaction, the checker must find orders without one.
func TestKillCheckerSees(t *testing.T) {
	for _, name := range []string{"sqlite", "postgres"} {
		t.Run(name, func(t *testing.T) {
			dsn := freshDSN(t, name)
			db := killDB(t, dsn)
			for range 40 {
				runAndKill(t, dsn, modeBroken)
				if inspect(t, db).ordersWithoutJob > 0 {
					return
				}
			}
			t.Error("40 kills between commit and enqueue went unseen")
		})
	}
}

func killDB(t *testing.T, dsn string) *DB {
	t.Helper()
	db := openTest(t, dsn)
	// Without a unique key: an effect that happens twice must show.
	if _, err := db.write.Exec(`CREATE TABLE effects (item_id TEXT NOT NULL)`); err != nil {
		t.Fatal(err)
	}
	return db
}

func child(t *testing.T, dsn, mode string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), killMode+"="+mode, killDSN+"="+dsn, killKeys+"="+hex.EncodeToString(testKeyset(t)))
	cmd.Stderr = os.Stderr
	return cmd
}

// runAndKill starts a child and kills it a random moment later: mostly after
// some moves, sometimes while it is still starting.
func runAndKill(t *testing.T, dsn, mode string) {
	t.Helper()
	cmd := child(t, dsn, mode)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	soon := 20 * time.Millisecond
	if rand.IntN(5) == 0 {
		soon = 300 * time.Millisecond // somewhere in opening, migrating, requeueing
	} else {
		moves := bufio.NewScanner(out)
		for range 1 + rand.IntN(20) {
			if !moves.Scan() {
				t.Fatalf("the child ended by itself: %v", moves.Err())
			}
		}
	}
	<-time.After(rand.N(soon))
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); cmd.ProcessState.Exited() {
		t.Fatalf("the child ended by itself: %v", err)
	}
}

func drain(t *testing.T, dsn string) {
	t.Helper()
	if err := child(t, dsn, modeDrain).Run(); err != nil {
		t.Fatal(err)
	}
}

// findings counts what must not be.
type findings struct {
	moved, again                                     int
	ordersWithoutJob, jobsWithoutOrder, doubledJobs  int
	halfMoved, effectsMissing, effectsDoubled, stray int
}

func (f findings) faults() int {
	return f.ordersWithoutJob + f.jobsWithoutOrder + f.doubledJobs + f.halfMoved + f.effectsMissing + f.effectsDoubled + f.stray
}

func inspect(t *testing.T, db *DB) (f findings) {
	t.Helper()
	ref := `json_extract(args, '$.ref')`
	if db.pool != nil {
		ref = `args ->> 'ref'`
	}
	const moved = `(SELECT i.id FROM order_items i JOIN orders o ON o.id = i.order_id WHERE o.status = 'in_review')`
	for _, q := range []struct {
		to   *int
		stmt string
	}{
		{&f.moved, `SELECT count(*) FROM ` + moved + ` m`},
		{&f.again, `SELECT count(*) FROM river_job WHERE attempt > 1`},
		{&f.ordersWithoutJob, `SELECT count(*) FROM ` + moved + ` m WHERE id NOT IN (SELECT ` + ref + ` FROM river_job)`},
		{&f.jobsWithoutOrder, `SELECT count(*) FROM river_job WHERE ` + ref + ` NOT IN ` + moved},
		{&f.doubledJobs, `SELECT count(*) - count(DISTINCT ` + ref + `) FROM river_job`},
		{&f.halfMoved, `SELECT count(*) FROM orders o WHERE (o.status = 'in_review') <> EXISTS (SELECT 1 FROM order_events e WHERE e.order_id = o.id AND e.seq = 2)`},
		{&f.effectsMissing, `SELECT count(*) FROM ` + moved + ` m WHERE id NOT IN (SELECT item_id FROM effects)`},
		{&f.effectsDoubled, `SELECT count(*) - count(DISTINCT item_id) FROM effects`},
		{&f.stray, `SELECT count(*) FROM effects WHERE item_id NOT IN ` + moved},
	} {
		if err := db.get(t.Context(), q.to, q.stmt); err != nil {
			t.Fatalf("%s: %v", q.stmt, err)
		}
	}
	return f
}

// killChild is the child process.
func killChild(ctx context.Context, mode string) error {
	keys, err := hex.DecodeString(os.Getenv(killKeys))
	if err != nil {
		return err
	}
	seal, err := NewSealer(keys, testMaster, []byte(strings.Repeat("i", KeySize)))
	if err != nil {
		return err
	}
	db, err := Open(ctx, os.Getenv(killDSN), seal)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.Migrate(ctx); err != nil {
		return err
	}
	if mode == modeRetain || mode == modeRetained {
		return retainUntilKilled(ctx, db, mode == modeRetained)
	}
	workers := river.NewWorkers()
	river.AddWorkerArgs(workers, JobArgs{JobKind: string(order.JobRealName)}, river.WorkFunc(func(ctx context.Context, j *river.Job[JobArgs]) error {
		return db.workOnce(ctx, j.Args.Ref)
	}))
	jobs, err := db.Jobs(workers, JobsConfig{ClientID: "kill-child"})
	if err != nil {
		return err
	}
	if err := jobs.Start(ctx); err != nil {
		return err
	}
	if mode == modeDrain {
		return db.awaitIdle(ctx)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				switch err := db.moveOne(ctx, mode == modeBroken); {
				case err == nil:
					fmt.Println("moved")
				case !errors.Is(err, errDeliberate):
					log.Print(err)
				}
			}
		})
	}
	wg.Wait()
	return nil
}

var errDeliberate = errors.New("rolled back on purpose")

// moveOne makes a draft and moves it on, with everything that goes with it; one
// in ten fails at the last moment.
func (db *DB) moveOne(ctx context.Context, broken bool) error {
	was := draft(order.ID(ulid.Make().String()))
	item := order.Item{ID: ulid.Make().String(), OrderID: was.ID, N: 1, Stage: order.ItemWaiting, UpdatedAt: t0}
	err := db.InTx(ctx, func(tx order.Tx) error {
		if err := tx.InsertOrder(ctx, was); err != nil {
			return err
		}
		return tx.ReplaceItems(ctx, was.ID, []order.Item{item})
	})
	if err != nil {
		return err
	}
	enqueue := func(tx order.Tx) error {
		return tx.Enqueue(ctx, order.Job{Kind: order.JobRealName, Ref: item.ID, Seq: 2})
	}
	err = db.InTx(ctx, func(tx order.Tx) error {
		o := was
		o.State = order.State{Status: order.InReview, Stage: order.Queued}
		o.Rev, o.Seq = 2, 2
		if err := tx.UpdateOrder(ctx, o, was); err != nil {
			return err
		}
		if !broken {
			if err := enqueue(tx); err != nil {
				return err
			}
		}
		if err := tx.AppendAudit(ctx, order.AuditRecord{OrderID: o.ID, Action: "confirm", Outcome: "ok", At: t0}); err != nil {
			return err
		}
		if rand.IntN(10) == 0 {
			return errDeliberate
		}
		return tx.AppendEvent(ctx, order.EventRecord{OrderID: o.ID, Seq: 2, Event: order.Confirm, From: was.State, To: o.State, At: t0})
	})
	if err != nil || !broken {
		return err
	}
	return db.InTx(ctx, enqueue)
}

// workOnce is a job as ours are: it may run again, and what it does is guarded
// by the state it moves.
func (db *DB) workOnce(ctx context.Context, itemID string) error {
	err := db.inTx(ctx, func(tx *Tx) error {
		item, err := tx.Item(ctx, itemID)
		if err != nil {
			return err
		}
		was := order.ItemWaiting
		item.Stage = order.ItemVerified
		if err := tx.UpdateItem(ctx, item, was); err != nil {
			return err
		}
		_, err = tx.exec(ctx, `INSERT INTO effects (item_id) VALUES (?)`, itemID)
		return err
	})
	if errors.Is(err, order.Conflict) {
		return nil // done already
	}
	return err
}

// awaitIdle returns when no job is left to run.
func (db *DB) awaitIdle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		var left int
		if err := db.get(ctx, &left, `SELECT count(*) FROM river_job WHERE state <> 'completed'`); err != nil {
			return err
		}
		if left == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d jobs left: %w", left, ctx.Err())
		case <-tick.C:
		}
	}
}
