package store

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/riverqueue/river"

	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/request"
)

const echo request.Kind = "echo"

// echoing counts how often it executes.
func echoing(runs *atomic.Int32) map[request.Kind]request.Executor {
	return map[request.Kind]request.Executor{echo: func(_ context.Context, r request.Request) ([]byte, error) {
		runs.Add(1)
		return append([]byte("answer to "), r.Body...), nil
	}}
}

func fixed(at time.Time) func() time.Time { return func() time.Time { return at } }

// never is a patience that does not end; polls are real.
func never(d time.Duration) <-chan time.Time {
	if d == request.Patience {
		return nil
	}
	return time.After(d)
}

// What web asks is answered by another process through the issue queue, and by
// this one without waiting for the queue.
func TestAsk(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		s := Requests{db}
		var runs atomic.Int32
		office := request.NewOffice(s, fixed(t0), echoing(&runs))
		here := request.NewDesk(s, fixed(t0), never, office)
		got, err := here.Ask(t.Context(), "r1", echo, "TW1", []byte("one"))
		if err != nil || string(got) != "answer to one" || runs.Load() != 1 {
			t.Fatalf("in one process: %q, %v, %d runs", got, err, runs.Load())
		}
		runJobs(t, db, "issuer", order.JobIssuerRequest, func(ctx context.Context, j *river.Job[JobArgs]) error { return office.Execute(ctx, j.Args.Ref) })
		away := request.NewDesk(s, fixed(t0), never, nil)
		if got, err = away.Ask(t.Context(), "r2", echo, "TW1", []byte("two")); err != nil || string(got) != "answer to two" {
			t.Fatalf("from another process: %q, %v", got, err)
		}
		// The same ID is the same request: nothing is executed again.
		before := runs.Load()
		if got, err = away.Ask(t.Context(), "r2", echo, "TW1", []byte("two")); err != nil || string(got) != "answer to two" || runs.Load() != before {
			t.Errorf("asked again: %q, %v, %d more runs", got, err, runs.Load()-before)
		}
		if _, err = away.Ask(t.Context(), "r2", echo, "TW1", []byte("other")); !errors.Is(err, order.Conflict) {
			t.Errorf("the same ID with another body: %v", err)
		}
		if err := away.Forget(t.Context(), "r2"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Request(t.Context(), "r2"); !errors.Is(err, order.NotFound) {
			t.Errorf("a forgotten request: %v", err)
		}
		if got, err = here.AskOnce(t.Context(), "r3", echo, "TW1", []byte("three")); err != nil || string(got) != "answer to three" {
			t.Errorf("asked once: %q, %v", got, err)
		}
		if _, err := s.Request(t.Context(), "r3"); !errors.Is(err, order.NotFound) {
			t.Errorf("an answer that was used is kept: %v", err)
		}
	})
}

// A refusal is an answer; a fault is not, and whoever waits is told to come back.
func TestAskRefused(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		s := Requests{db}
		refusal := order.Errorf(order.Conflict, "token_unknown", "没有找到该 UKEY")
		fault := errors.New("the HSM is gone")
		telling := order.Errorf(order.Unavailable, "usbkey_failed", "UKEY 空间不足")
		enough := make(chan time.Time)
		close(enough)
		office := request.NewOffice(s, fixed(t0), map[request.Kind]request.Executor{
			"refuses": func(context.Context, request.Request) ([]byte, error) { return nil, refusal },
			"breaks":  func(context.Context, request.Request) ([]byte, error) { return nil, fault },
			"tells":   func(context.Context, request.Request) ([]byte, error) { return nil, telling },
		})
		desk := request.NewDesk(s, fixed(t0), func(d time.Duration) <-chan time.Time {
			if d == request.Patience {
				return enough
			}
			return nil
		}, office)
		for _, tt := range []struct {
			kind request.Kind
			want string
		}{{"refuses", "token_unknown"}, {"breaks", "issuer_unavailable"}, {"tells", "usbkey_failed"}, {"unheard", "request_unknown"}} {
			_, err := desk.Ask(t.Context(), string(tt.kind), tt.kind, "TW1", nil)
			if e, ok := order.AsError(err); !ok || e.Code != tt.want {
				t.Errorf("%s: %v, want %s", tt.kind, err, tt.want)
			}
		}
		if err := office.Execute(t.Context(), "breaks"); !errors.Is(err, fault) {
			t.Errorf("the job hears %v, want the fault, so that it is tried again", err)
		}
		if r, err := s.Request(t.Context(), "tells"); err != nil || r.State != request.Waiting {
			t.Errorf("what failed and says why is %s, %v; want waiting to be tried again", r.State, err)
		}
		if r, err := s.Request(t.Context(), "refuses"); err != nil || r.Refusal.Detail != refusal.Detail {
			t.Errorf("kept: %+v, %v", r.Refusal, err)
		}
	})
}

// unanswering loses every answer, like an issuer killed after it executed.
type unanswering struct{ Requests }

func (unanswering) AnswerRequest(context.Context, request.Request) error { return errors.New("killed") }

// An issuer that dies between execution and answer is followed by one that
// executes again; the first answer that was kept stays.
func TestIssuerDies(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		s := Requests{db}
		var runs atomic.Int32
		if err := s.InsertRequest(t.Context(), request.New("r1", echo, "TW1", []byte("x"), t0)); err != nil {
			t.Fatal(err)
		}
		if err := request.NewOffice(unanswering{s}, fixed(t0), echoing(&runs)).Execute(t.Context(), "r1"); err == nil {
			t.Fatal("an answer that was not kept is no success")
		}
		office := request.NewOffice(s, fixed(t0), echoing(&runs))
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if err := office.Execute(t.Context(), "r1"); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if runs.Load() != 2 {
			t.Errorf("executed %d times, want once before and once after the crash", runs.Load())
		}
		r, err := s.Request(t.Context(), "r1")
		if err != nil || r.State != request.Answered {
			t.Fatalf("%+v, %v", r, err)
		}
		late := r
		late.Answer = []byte("late")
		if err := s.AnswerRequest(t.Context(), late); err != nil {
			t.Fatal(err)
		}
		if r, err = s.Request(t.Context(), "r1"); err != nil || string(r.Answer) != "answer to x" {
			t.Errorf("the answer became %q, %v", r.Answer, err)
		}
	})
}

// What has expired is not executed any more, and is removed with its answer.
func TestRequestsExpire(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		s := Requests{db}
		var runs atomic.Int32
		if err := s.InsertRequest(t.Context(), request.New("r1", echo, "TW1", nil, t0)); err != nil {
			t.Fatal(err)
		}
		later := fixed(t0.Add(request.Life))
		if err := request.NewOffice(s, later, echoing(&runs)).Execute(t.Context(), "r1"); err != nil || runs.Load() != 0 {
			t.Errorf("executed %d times after its time, %v", runs.Load(), err)
		}
		desk := request.NewDesk(s, later, never, nil)
		if _, err := desk.Ask(t.Context(), "r1", echo, "TW1", nil); !errors.Is(err, order.Conflict) {
			t.Errorf("asked again after its time: %v", err)
		}
		if err := desk.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Request(t.Context(), "r1"); !errors.Is(err, order.NotFound) {
			t.Errorf("an expired request: %v", err)
		}
	})
}
