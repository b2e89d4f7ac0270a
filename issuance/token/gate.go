package token

import (
	"context"
	"math"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

// gate lets many share a module or one have it alone, like a sync.RWMutex, but who
// wants it alone does not wait for ever: a call that hangs in a module never gives
// its share back, and must not take everybody else's with it.
type gate struct {
	shares *semaphore.Weighted
	hung   atomic.Int32 // calls whose callers have given up on them
}

// gatePatience is how long one waits to have a module alone; making an RSA key pair
// takes some tokens half a minute.
const gatePatience = time.Minute

func newGate() *gate { return &gate{shares: semaphore.NewWeighted(math.MaxInt64)} }

// RLock takes a share.
func (g *gate) RLock() {
	_ = g.shares.Acquire(context.Background(), 1) // ends when the share is there
}

// RUnlock gives a share back.
func (g *gate) RUnlock() { g.shares.Release(1) }

// Lock waits until nobody has a share. It fails with Busy when somebody will not
// give it back, and at once when a call is known to hang.
func (g *gate) Lock() error {
	if g.shares.TryAcquire(math.MaxInt64) {
		return nil
	}
	if g.hung.Load() > 0 {
		return errHung
	}
	return g.LockWithin(gatePatience)
}

// LockWithin is Lock that waits so long, whatever hangs.
func (g *gate) LockWithin(d time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	if g.shares.Acquire(ctx, math.MaxInt64) != nil {
		return errHung
	}
	return nil
}

var errHung = &Error{Kind: Busy, Op: "waiting for the module: a call hangs in it"}

// Unlock ends Lock.
func (g *gate) Unlock() { g.shares.Release(math.MaxInt64) }
