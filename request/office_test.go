package request

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

// waiting is a store with one request that nobody has answered.
type waiting struct {
	Store
	now time.Time
}

func (w waiting) Request(_ context.Context, id string) (Request, error) {
	return New(id, MakeKey, "issue", nil, w.now), nil
}

func (waiting) InsertRequest(context.Context, Request) error { return nil }

func (waiting) AnswerRequest(context.Context, Request) error { return nil }

// Whoever asks and the job may execute a request at once, and again after a fault:
// one of them touches the HSM at a time.
func TestOneExecutes(t *testing.T) {
	at := time.Date(2026, 11, 23, 2, 30, 0, 0, time.UTC)
	var inside, most atomic.Int32
	office := NewOffice(waiting{now: at}, func() time.Time { return at }, map[Kind]Executor{
		MakeKey: func(context.Context, Request) ([]byte, error) {
			most.Store(max(most.Load(), inside.Add(1)))
			defer inside.Add(-1)
			for range 100 { // others get a chance to come in
				if most.Load() > 1 {
					break
				}
				runtime.Gosched()
			}
			return nil, order.Errorf(order.Unavailable, "usbkey_failed", "x")
		},
	})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 20 {
				if err := office.Execute(t.Context(), "r1"); !errors.Is(err, order.Unavailable) {
					t.Errorf("executed with %v", err)
				}
			}
		})
	}
	all.Wait()
	if n := most.Load(); n != 1 {
		t.Errorf("%d executed one request at once", n)
	}
}

// Reliability 8: an HSM that hangs does not hold whoever asks it in its own process.
func TestHungIssuer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		s := waiting{now: begun}
		office := NewOffice(s, time.Now, map[Kind]Executor{
			MakeKey: func(ctx context.Context, _ Request) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() },
		})
		_, err := NewDesk(s, time.Now, time.After, office).Ask(context.Background(), "r1", MakeKey, "issue", nil)
		if took := time.Since(begun); !errors.Is(err, order.Unavailable) || took > time.Minute+Patience {
			t.Errorf("after %s: %v", took, err)
		}
	})
}
