package store

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
)

// The queues. A slow provider fills its own and no other.
const (
	QueueSMS     = "sms"
	QueueWechat  = "wechat"
	QueueIssue   = "issue"
	QueueIssuer  = "issuer" // worked where the HSM is; the others where personal data may be read
	QueueMail    = "mail"
	QueueDefault = river.QueueDefault
)

// How jobs run. A queue starts at most MaxWorkers jobs per cooldown, so the
// cooldown bounds its throughput.
const (
	fetchCooldown     = 10 * time.Millisecond
	fetchPollInterval = 200 * time.Millisecond
	jobTimeout        = 30 * time.Second
	rescueAfter       = 60 * time.Second
	queueWorkers      = 10
)

// MaxAttempts is how often a job is tried before it is given up: two weeks at the
// ten minutes that package jobs waits in the end. A refund takes a bank days.
const MaxAttempts = 2000

// JobArgs is the whole payload of any job: what it is about and which event
// asked for it. Ids only; no personal data.
type JobArgs struct {
	JobKind string `json:"-"`   // River keeps it beside the payload
	Ref     string `json:"ref"` // order, item, notification … id
	Seq     int64  `json:"seq"` // tells repeats of the same follow-up apart
}

// Kind implements [river.JobArgs].
func (a JobArgs) Kind() string { return a.JobKind }

// insert adds one job to the transaction. The same kind, ref and seq is
// inserted once, however often it is asked for.
func (tx *Tx) insert(args JobArgs, queue string) {
	if !dropJobs {
		tx.jobs = append(tx.jobs, river.InsertManyParams{Args: args, InsertOpts: &river.InsertOpts{Queue: queue, UniqueOpts: river.UniqueOpts{ByArgs: true}}})
	}
}

// insertJobs hands the transaction's jobs to River.
func (tx *Tx) insertJobs(ctx context.Context) (err error) {
	if len(tx.jobs) == 0 {
		return nil
	}
	if tx.lite != nil {
		_, err = tx.db.liteJobs.InsertManyTx(ctx, tx.lite, tx.jobs)
	} else if err = tx.waiting.send(ctx); err == nil {
		_, err = tx.db.pgJobs.InsertManyTx(ctx, &sharedTx{conn: tx.waiting.pg, savepoints: new(int)}, tx.jobs)
	}
	return failed(err, "enqueueing %d jobs", len(tx.jobs))
}

// JobsConfig is how a process works jobs.
type JobsConfig struct {
	// ClientID names this process among those that share the database. It must
	// be the same after a restart (PostgreSQL: its orphans are found by it) and
	// different from every other running process.
	ClientID string
	// Queues are the queues to work and how many jobs of each at once; nil
	// means all of them, ten at a time.
	Queues map[string]int
	// Logger receives what River has to say; nil discards it.
	Logger *slog.Logger
	// OnError hears of every failed attempt; may be nil.
	OnError river.ErrorHandler
}

// Jobs works the jobs of this database.
type Jobs struct {
	db   *DB
	id   string
	lite *river.Client[*sql.Tx] // one of the two is nil
	pg   *river.Client[pgx.Tx]
}

// Jobs prepares to work jobs with workers. Register each kind with
// [river.AddWorkerArgs] and JobArgs{JobKind: kind}.
func (db *DB) Jobs(workers *river.Workers, cfg JobsConfig) (*Jobs, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Queues == nil {
		cfg.Queues = map[string]int{QueueSMS: queueWorkers, QueueWechat: queueWorkers, QueueIssue: queueWorkers, QueueIssuer: queueWorkers, QueueMail: queueWorkers, QueueDefault: queueWorkers}
	}
	queues := make(map[string]river.QueueConfig, len(cfg.Queues))
	for name, n := range cfg.Queues {
		queues[name] = river.QueueConfig{MaxWorkers: n}
	}
	rc := &river.Config{
		ID:                   cfg.ClientID,
		Queues:               queues,
		Workers:              workers,
		Logger:               cfg.Logger,
		ErrorHandler:         cfg.OnError,
		FetchCooldown:        fetchCooldown,
		FetchPollInterval:    fetchPollInterval,
		JobTimeout:           jobTimeout,
		RescueStuckJobsAfter: rescueAfter,
	}
	j := &Jobs{db: db, id: cfg.ClientID}
	var err error
	if db.pool != nil {
		j.pg, err = river.NewClient(riverpgxv5.New(db.pool), rc)
	} else {
		j.lite, err = river.NewClient(riversqlite.New(db.write.DB), rc)
	}
	if err != nil {
		return nil, fmt.Errorf("preparing jobs: %w", err)
	}
	return j, nil
}

// Start requeues what a killed predecessor left running and begins to work, until
// Stop: the end of ctx would cut the running jobs short.
func (j *Jobs) Start(ctx context.Context) error {
	if err := j.requeueOrphans(ctx); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	var err error
	if j.pg != nil {
		err = j.pg.Start(ctx)
	} else {
		err = j.lite.Start(ctx)
	}
	if err != nil {
		return fmt.Errorf("starting jobs: %w", err)
	}
	return nil
}

// Stop lets running jobs finish; when ctx ends first, it cancels them and
// returns once they have ended.
func (j *Jobs) Stop(ctx context.Context) error {
	if j.pg != nil {
		return stopClient(ctx, j.pg.Stop, j.pg.StopAndCancel)
	}
	return stopClient(ctx, j.lite.Stop, j.lite.StopAndCancel)
}

func stopClient(ctx context.Context, stop, stopAndCancel func(context.Context) error) error {
	if err := stop(ctx); err == nil {
		return nil
	}
	hard, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return stopAndCancel(hard)
}

// requeueOrphans makes jobs available that were running when this process was
// killed. SQLite has one process that works jobs, so all of them are ours.
func (j *Jobs) requeueOrphans(ctx context.Context) error {
	stmt, args := `UPDATE river_job SET state = 'available' WHERE state = 'running'`, []any(nil)
	if j.pg != nil {
		stmt += ` AND attempted_by[array_upper(attempted_by, 1)] = $1`
		args = []any{j.id}
	}
	_, err := j.db.write.ExecContext(ctx, stmt, args...)
	return failed(err, "requeueing orphaned jobs")
}
