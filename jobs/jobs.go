// Package jobs does what the lifecycle promises to do afterwards: each kind of
// job has one worker here. Jobs run at least once, so every worker either asks
// what has been done already or carries an idempotency key.
package jobs

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/riverqueue/river"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/evidence"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/templates/font"
	"github.com/yuncaidun/yuncaidun/templates/notice"
)

// args is the payload of every job: ids only. store inserts the same form.
type args struct {
	kind order.JobKind
	Ref  string `json:"ref"`
	Seq  int64  `json:"seq"`
}

// Kind implements [river.JobArgs].
func (a args) Kind() string { return string(a.kind) }

// attempt is one run of a job: what it is about, and how often it was tried.
type attempt struct {
	ref string
	seq int64
	n   int // from 1
}

// worker runs one kind of job.
type worker struct {
	river.WorkerDefaults[args]
	run     func(ctx context.Context, a attempt) error
	timeout time.Duration
	clock   func() time.Time
	log     *slog.Logger
}

// Timeout implements [river.Worker].
func (w worker) Timeout(*river.Job[args]) time.Duration { return w.timeout }

// Work implements [river.Worker]. The kind of an error says what becomes of the
// job: what somebody else has done already is done, a limit is waited for, a
// provider that is down is asked again, and what can never succeed is given up,
// which is logged here: River tells no error handler of it.
func (w worker) Work(ctx context.Context, j *river.Job[args]) error {
	err := w.run(ctx, attempt{j.Args.Ref, j.Args.Seq, j.Attempt})
	e, isDomain := order.AsError(err)
	switch {
	case err == nil:
		return nil
	case !isDomain, errors.Is(err, order.Unavailable), errors.Is(err, order.ErrRaced):
		return err // River retries, see NextRetry
	case errors.Is(err, order.Conflict):
		return nil
	case errors.Is(err, order.RateLimited):
		return river.JobSnooze(max(e.RetryAfter, time.Second))
	default:
		w.log.ErrorContext(ctx, "job given up", "kind", j.Kind, "job", j.ID, "attempt", j.Attempt, "err", err)
		return river.JobCancel(err)
	}
}

// NextRetry implements [river.Worker]: soon at first, then every ten minutes; a
// provider is rarely down for days, and an order must not wait for one that is
// back. River keeps wall time.
func (w worker) NextRetry(j *river.Job[args]) time.Time {
	wait := time.Second << min(j.Attempt-1, 10)
	return w.clock().Add(min(wait, 10*time.Minute))
}

// certificates reads issued certificates; *store.DB.
type certificates interface {
	// Reminded are the certificates that one reminder is about.
	Reminded(ctx context.Context, id order.ID, seq int64) ([]certificate.Certificate, error)
	// HeldBy are the certificates that a person is the user of.
	HeldBy(ctx context.Context, personID string) ([]certificate.Certificate, error)
	Certificate(ctx context.Context, serial string) (certificate.Certificate, error)
	// Contacts are whom a holder wants reminded of a company's certificates.
	Contacts(ctx context.Context, personID, uscc string) ([]certificate.Contact, error)
	// OpeningsOf are what is ahead of the bids of a person at now.
	OpeningsOf(ctx context.Context, personID string, now time.Time) ([]certificate.Opening, error)
}

// Deps is what the workers act on.
type Deps struct {
	// Orders is nil in a process that only executes requests to the issuer; then
	// nothing else is needed but Office, Wall and Log.
	Orders *order.Service
	Store  order.Queries
	// Certificates are those that orders are about.
	Certificates certificates
	Objects      Objects
	SMS          SMS
	WeChat       WeChat
	RealName     RealName
	Invoices     order.InvoicePlatform
	Reconciler   *order.Reconciler
	Links        notice.Links
	// Sealer opens the seal key, which another process may hold; id names the attempt.
	Sealer func(ctx context.Context, id string) (evidence.Sealer, error)
	Font   *font.Font
	CA     string // name of the certification authority, on letters
	// MiniProgramLink makes a link that opens the mini-program with a token of the
	// legal representative; nil without a mini-program.
	MiniProgramLink func(ctx context.Context, token string) (string, error)
	// Templates are the official account's template ids by our names.
	Templates map[string]string
	AppID     string // of the official account
	// Subscriptions are the ways to send for a consent, in the order in which they
	// are tried; behind them is the template message.
	Subscriptions []Subscription
	// EndSessions ends the logins of a person or of a member of staff that began before a
	// moment.
	EndSessions func(ctx context.Context, id string, before time.Time) error
	// Desk asks the issuer, here or in another process.
	Desk  Desk
	NewID func() string
	// Office executes requests to the issuer; nil in a process that is no issuer.
	Office Office
	// StationRemote says that keys are made on other PCs, which ask for them.
	StationRemote bool
	// StationAuto says that blank keys are taken at once, without a person.
	StationAuto bool
	Now         func() time.Time // the product's clock
	Wall        func() time.Time // the machine's clock, which River keeps
	Log         *slog.Logger
}

// Office executes what other processes ask of the issuer; *request.Office.
type Office interface {
	Execute(ctx context.Context, id string) error
}

// timeouts by kind; the rest have half a minute. A USBKEY takes its time over a key pair.
var timeouts = map[order.JobKind]time.Duration{order.JobIssuerRequest: time.Minute, order.JobIssue: 2 * time.Minute, order.JobBill: 2 * time.Minute}

// Register adds a worker for every kind of job. A process does those of the queues
// that it works; it knows the others because of all processes one leads, and River
// there discards the stuck jobs of kinds that it does not know.
func Register(workers *river.Workers, d Deps) {
	for kind, run := range d.runners() {
		w := worker{run: run, timeout: 30 * time.Second, clock: d.Wall, log: d.Log}
		if t, ok := timeouts[kind]; ok {
			w.timeout = t
		}
		river.AddWorkerArgs(workers, args{kind: kind}, w)
	}
}

func (d Deps) runners() map[order.JobKind]func(context.Context, attempt) error {
	byRef := func(f func(context.Context, string) error) func(context.Context, attempt) error {
		return func(ctx context.Context, a attempt) error { return f(ctx, a.ref) }
	}
	return map[order.JobKind]func(context.Context, attempt) error{
		order.JobIssue:        d.issue,
		order.JobNotify:       byRef(d.notify),
		order.JobStation:      byRef(d.station),
		order.JobRefund:       byRef(d.Orders.RunRefund),
		order.JobCloseTrade:   byRef(d.Orders.CloseTrade),
		order.JobQueryPayment: byRef(d.Orders.CheckPayment),
		order.JobRealName:     byRef(d.realName),
		order.JobPurge:        byRef(d.purge),
		order.JobCertificate:  byRef(d.Orders.CertificateChanged),
		order.JobPartRefund:   byRef(d.Orders.RunPartRefund),
		order.JobForget:       byRef(d.forget),

		order.JobEndSessions: func(ctx context.Context, a attempt) error { return d.EndSessions(ctx, a.ref, time.UnixMilli(a.seq)) },

		order.JobReleaseClaims: byRef(d.Orders.ReleaseClaims),

		order.JobParcel:  byRef(func(ctx context.Context, id string) error { return d.Orders.FollowParcel(ctx, order.ID(id)) }),
		order.JobInvoice: byRef(d.invoice),

		order.JobFulfilment: byRef(d.Orders.RunFulfilment),

		order.JobAuthorization: d.authorization,
		order.JobBill:          byRef(func(ctx context.Context, ref string) error { return d.Reconciler.Compare(ctx, ref) }),
		order.JobIssuerRequest: byRef(func(ctx context.Context, id string) error { return d.Office.Execute(ctx, id) }),
	}
}
