package store

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/riverqueue/river"

	"github.com/yuncaidun/yuncaidun/order"
)

// patience bounds every wait for something that must happen.
const patience = 20 * time.Second

// runJobs works the given kind with work until the test ends.
func runJobs(t *testing.T, db *DB, clientID string, kind order.JobKind, work func(context.Context, *river.Job[JobArgs]) error) *Jobs {
	t.Helper()
	workers := river.NewWorkers()
	river.AddWorkerArgs(workers, JobArgs{JobKind: string(kind)}, river.WorkFunc(work))
	jobs, err := db.Jobs(workers, JobsConfig{ClientID: clientID})
	if err != nil {
		t.Fatal(err)
	}
	if err := jobs.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := jobs.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return jobs
}

// A job runs once its transaction has committed, soon, and once however often
// it was asked for; another sequence number is another job.
func TestJobRunsOnce(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		ran := make(chan JobArgs, 10)
		runJobs(t, db, "test", order.JobPurge, func(_ context.Context, j *river.Job[JobArgs]) error {
			ran <- j.Args
			return nil
		})
		for range 3 {
			inTx(t, db, func(tx order.Tx) error {
				return tx.Enqueue(t.Context(), order.Job{Kind: order.JobPurge, Ref: "o1", Seq: 1})
			})
		}
		inTx(t, db, func(tx order.Tx) error {
			return tx.Enqueue(t.Context(), order.Job{Kind: order.JobPurge, Ref: "o1", Seq: 2})
		})
		got := map[JobArgs]int{}
		for range 2 {
			select {
			case a := <-ran:
				got[a]++
			case <-time.After(patience):
				t.Fatal("the job did not run")
			}
		}
		wantSame(t, "runs", map[JobArgs]int{{Ref: "o1", Seq: 1}: 1, {Ref: "o1", Seq: 2}: 1}, got)
		if n := countJobs(t, db); n != 2 {
			t.Errorf("%d jobs, want 2", n)
		}
	})
}

// Each provider has its queue, so that a slow one holds up no other.
func TestQueues(t *testing.T) {
	tests := []struct {
		job   order.Job
		queue string
	}{
		{order.Job{Kind: order.JobIssue, Ref: "i1"}, QueueIssue},
		{order.Job{Kind: order.JobStation, Ref: "o1"}, QueueIssue},
		{order.Job{Kind: order.JobIssuerRequest, Ref: "r1"}, QueueIssuer},
		{order.Job{Kind: order.JobNotify, Ref: "n1", Medium: order.SMS}, QueueSMS},
		{order.Job{Kind: order.JobNotify, Ref: "n2", Medium: order.WeChat}, QueueWechat},
		{order.Job{Kind: order.JobRefund, Ref: "t1"}, QueueDefault},
	}
	eachDB(t, func(t *testing.T, db *DB) {
		inTx(t, db, func(tx order.Tx) error {
			for _, tt := range tests {
				if err := tx.Enqueue(t.Context(), tt.job); err != nil {
					return err
				}
			}
			return nil
		})
		var queues []string
		if err := db.all(t.Context(), &queues, `SELECT queue FROM river_job ORDER BY id`); err != nil {
			t.Fatal(err)
		}
		for i, tt := range tests {
			if queues[i] != tt.queue {
				t.Errorf("%s goes to %s, want %s", tt.job.Kind, queues[i], tt.queue)
			}
		}
	})
}

// A message that was to be sent already, as the day's summary is after a restart,
// leaves no job that would look for a second one.
func TestSaidTwiceIsOneJob(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		for _, id := range []string{"n1", "n2"} {
			n := order.Notification{ID: id, Seq: 20261123, Notice: order.NoticeDaySummary, Medium: order.WeChat, To: order.ToReviewers, CreatedAt: t0}
			inTx(t, db, func(tx order.Tx) error { return order.Send(t.Context(), tx, n) })
		}
		var jobs []string
		if err := db.all(t.Context(), &jobs, `SELECT args ->> 'ref' || ' to ' || queue FROM river_job`); err != nil {
			t.Fatal(err)
		}
		wantSame(t, "jobs", []string{"n1 to wechat"}, jobs)
	})
}

// Reliability 12: what a killed process left running is taken up at the next
// start, not after a minute; on PostgreSQL only one's own.
func TestRequeueOrphans(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		inTx(t, db, func(tx order.Tx) error {
			return errors.Join(
				tx.Enqueue(t.Context(), order.Job{Kind: order.JobPurge, Ref: "mine"}),
				tx.Enqueue(t.Context(), order.Job{Kind: order.JobPurge, Ref: "theirs"}))
		})
		by := `jsonb_array(CASE WHEN json_extract(args, '$.ref') = 'mine' THEN 'me' ELSE 'them' END)`
		if db.pool != nil {
			by = `ARRAY[CASE WHEN args ->> 'ref' = 'mine' THEN 'me' ELSE 'them' END]`
		}
		if _, err := db.write.Exec(`UPDATE river_job SET state = 'running', attempt = 1, attempted_at = CURRENT_TIMESTAMP, attempted_by = ` + by); err != nil {
			t.Fatal(err)
		}
		ran := make(chan string, 2)
		runJobs(t, db, "me", order.JobPurge, func(_ context.Context, j *river.Job[JobArgs]) error {
			ran <- j.Args.Ref
			return nil
		})
		want := 1
		if db.pool == nil {
			want = 2 // SQLite has one worker process: both are ours
		}
		for range want {
			select {
			case ref := <-ran:
				if want == 1 && ref != "mine" {
					t.Errorf("%s was taken up", ref)
				}
			case <-time.After(patience):
				t.Fatal("the orphan was not taken up")
			}
		}
		if db.pool != nil {
			var state string
			if err := db.get(t.Context(), &state, `SELECT state FROM river_job WHERE args ->> 'ref' = 'theirs'`); err != nil || state != "running" {
				t.Errorf("another process's job is %s, %v; want running", state, err)
			}
		}
	})
}

// A refund takes a bank days, and a provider may be away over a holiday: a job is
// not given up before.
func TestJobIsTriedForDays(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		inTx(t, db, func(tx order.Tx) error { return tx.Enqueue(t.Context(), order.Job{Kind: order.JobRefund, Ref: "t1"}) })
		var tries int
		if err := db.get(t.Context(), &tries, `SELECT max_attempts FROM river_job`); err != nil {
			t.Fatal(err)
		}
		if tries != MaxAttempts {
			t.Errorf("given up after %d tries, want %d", tries, MaxAttempts)
		}
	})
}

// What Start was given may end, as it does when the process is told to stop: a job
// that runs goes on until it is done, and Stop waits for it.
func TestStopLetsJobsFinish(t *testing.T) {
	db := openTest(t, freshDSN(t, "sqlite"))
	started, finish := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	workers := river.NewWorkers()
	river.AddWorkerArgs(workers, JobArgs{JobKind: string(order.JobPurge)}, river.WorkFunc(func(ctx context.Context, _ *river.Job[JobArgs]) error {
		close(started)
		<-finish
		ended <- ctx.Err()
		return nil
	}))
	jobs, err := db.Jobs(workers, JobsConfig{ClientID: "test"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, told := context.WithCancel(t.Context())
	if err := jobs.Start(ctx); err != nil {
		t.Fatal(err)
	}
	inTx(t, db, func(tx order.Tx) error { return tx.Enqueue(t.Context(), order.Job{Kind: order.JobPurge, Ref: "x"}) })
	select {
	case <-started:
	case <-time.After(patience):
		t.Fatal("the job did not run")
	}
	told()
	stopped := make(chan error, 1)
	go func() {
		stop, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		stopped <- jobs.Stop(stop)
	}()
	close(finish)
	if err := <-ended; err != nil {
		t.Errorf("the running job was cut short: %v", err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// Stop returns in time although a job does not want to end, and cancels it.
func TestStopCancels(t *testing.T) {
	db := openTest(t, freshDSN(t, "sqlite"))
	started := make(chan struct{})
	jobs := runJobs(t, db, "test", order.JobPurge, func(ctx context.Context, _ *river.Job[JobArgs]) error {
		close(started)
		<-ctx.Done()
		return ctx.Err()
	})
	inTx(t, db, func(tx order.Tx) error { return tx.Enqueue(t.Context(), order.Job{Kind: order.JobPurge, Ref: "x"}) })
	<-started
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := jobs.Stop(ctx); err != nil {
		t.Error(err)
	}
}
