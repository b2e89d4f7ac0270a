package session

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/yuncaidun/yuncaidun/order"
)

// F20: the whole lifecycle of a login by QR code, and what it refuses.
func TestScan(t *testing.T) {
	type step struct {
		on   ScanEvent
		who  string
		want ScanState
		kind order.Kind
	}
	for name, steps := range map[string][]step{
		"confirmed": {
			{ScanOpen, "alice", ScanScanned, ""},
			{ScanOpen, "alice", ScanScanned, ""},
			{ScanConfirm, "alice", ScanConfirmed, ""},
			{ScanConfirm, "alice", ScanConfirmed, ""},
			{ScanTake, "browser", ScanUsed, ""},
		},
		"cancelled":              {{ScanOpen, "alice", ScanScanned, ""}, {ScanCancel, "alice", ScanCancelled, ""}, {ScanConfirm, "alice", ScanCancelled, order.Conflict}},
		"confirmed before seen":  {{ScanConfirm, "alice", ScanWaiting, order.Conflict}},
		"taken before confirmed": {{ScanOpen, "alice", ScanScanned, ""}, {ScanTake, "browser", ScanScanned, order.Conflict}},
		"scanned by a second":    {{ScanOpen, "alice", ScanScanned, ""}, {ScanOpen, "mallory", ScanScanned, order.Conflict}},
		"confirmed by a second":  {{ScanOpen, "alice", ScanScanned, ""}, {ScanConfirm, "mallory", ScanScanned, order.Conflict}},
		"cancelled by a second":  {{ScanOpen, "alice", ScanScanned, ""}, {ScanCancel, "mallory", ScanScanned, order.Conflict}},
		"taken by another browser": {
			{ScanOpen, "alice", ScanScanned, ""},
			{ScanConfirm, "alice", ScanConfirmed, ""},
			{ScanTake, "another", ScanConfirmed, order.Conflict},
		},
		"taken twice": {
			{ScanOpen, "alice", ScanScanned, ""},
			{ScanConfirm, "alice", ScanConfirmed, ""},
			{ScanTake, "browser", ScanUsed, ""},
			{ScanTake, "browser", ScanUsed, order.Conflict},
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachRedis(t, func(t *testing.T, rdb redis.UniversalClient, clk *clock) {
				scans := NewScans(rdb, clk.now)
				token, err := scans.Start(t.Context(), "browser", "Chrome · Windows")
				if err != nil {
					t.Fatal(err)
				}
				for i, s := range steps {
					_, err := scans.Move(t.Context(), token, s.on, s.who)
					if e, _ := order.AsError(err); (err != nil) != (s.kind != "") || err != nil && e.Kind != s.kind {
						t.Errorf("step %d: %v, want %q", i, err, s.kind)
					}
					if got, err := scans.Look(t.Context(), token); err != nil || got.State != s.want || got.Device != "Chrome · Windows" {
						t.Errorf("step %d: %+v, %v; want %s", i, got, err, s.want)
					}
				}
				clk.advance(ScanLife)
				if _, err := scans.Look(t.Context(), token); !errors.Is(err, order.NotFound) {
					t.Errorf("after its time: %v", err)
				}
				if _, err := scans.Move(t.Context(), token, ScanOpen, "alice"); !errors.Is(err, order.NotFound) {
					t.Errorf("scanned after its time: %v", err)
				}
			})
		})
	}
}

// F20: one ticket logs in one browser once, also when it asks many times at once.
// Moving does not lengthen its life.
func TestScanIsTakenOnce(t *testing.T) {
	eachRedis(t, func(t *testing.T, rdb redis.UniversalClient, clk *clock) {
		scans := NewScans(rdb, clk.now)
		token, err := scans.Start(t.Context(), "browser", "")
		if err != nil {
			t.Fatal(err)
		}
		clk.advance(100 * time.Second)
		for _, on := range []ScanEvent{ScanOpen, ScanConfirm} {
			if _, err := scans.Move(t.Context(), token, on, "alice"); err != nil {
				t.Fatal(err)
			}
		}
		var taken atomic.Int32
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if _, err := scans.Move(t.Context(), token, ScanTake, "browser"); err == nil {
					taken.Add(1)
				}
			})
		}
		all.Wait()
		if n := taken.Load(); n != 1 {
			t.Errorf("taken %d times", n)
		}
		clk.advance(20 * time.Second)
		if _, err := scans.Look(t.Context(), token); !errors.Is(err, order.NotFound) {
			t.Errorf("120 s after it was shown: %v", err)
		}
	})
}
