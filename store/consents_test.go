package store

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

// The last decision counts, whichever report comes last.
func TestConsents(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		at := time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)
		record := func(template string, accepted bool, at time.Time) {
			t.Helper()
			if err := db.RecordConsents(t.Context(), []order.WeChatConsent{{AppID: "wx", OpenID: "o", TemplateID: template, Accepted: accepted, At: at}}); err != nil {
				t.Fatal(err)
			}
		}
		record("t1", true, at)
		record("t2", false, at)
		record("t1", false, at.Add(time.Minute))
		record("t1", true, at) // late
		for template, want := range map[string]bool{"t1": false, "t2": false} {
			got, err := db.Consent(t.Context(), "wx", "o", template)
			if err != nil || got.Accepted != want {
				t.Errorf("%s: %+v, %v", template, got, err)
			}
		}
		record("t2", true, at.Add(time.Hour))
		if got, err := db.Consent(t.Context(), "wx", "o", "t2"); err != nil || !got.Accepted || !got.At.Equal(at.Add(time.Hour)) {
			t.Errorf("t2: %+v, %v", got, err)
		}
		if got, err := db.Consent(t.Context(), "wx", "o", "t2"); err != nil || got.Left != 1 {
			t.Errorf("t2: %+v, %v", got, err)
		}
		if _, err := db.Consent(t.Context(), "wx", "o", "t3"); !errors.Is(err, order.NotFound) {
			t.Errorf("t3: %v", err)
		}
	})
}

// Issue 4: a yes pays for one notice, whoever asks for it first; a report that comes
// twice is one yes, and a no ends what was left.
func TestSpendingConsents(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		at := time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)
		key := order.WeChatConsent{AppID: "wx", OpenID: "o", TemplateID: "t"}
		in := func(f func(tx order.Tx) error) error { return db.InTx(t.Context(), f) }
		spend := func() error {
			return in(func(tx order.Tx) error { return tx.SpendConsent(t.Context(), key) })
		}
		say := func(accepted bool, minute int) {
			t.Helper()
			c := key
			c.Accepted, c.At = accepted, at.Add(time.Duration(minute)*time.Minute)
			if err := db.RecordConsents(t.Context(), []order.WeChatConsent{c}); err != nil {
				t.Fatal(err)
			}
		}
		left := func(want int) {
			t.Helper()
			if got, err := db.Consent(t.Context(), "wx", "o", "t"); err != nil || got.Left != want {
				t.Errorf("%d left, %v; want %d", got.Left, err, want)
			}
		}
		if err := spend(); !errors.Is(err, order.NotFound) {
			t.Errorf("nobody was asked: %v", err)
		}
		say(true, 1)
		say(true, 1) // WeChat repeats an event that we answered too late
		left(1)
		say(true, 2)
		left(2)
		for i, want := range []error{nil, nil, order.NotFound, order.NotFound} {
			if err := spend(); !errors.Is(err, want) {
				t.Errorf("spending %d: %v, want %v", i, err, want)
			}
		}
		left(0)
		if err := in(func(tx order.Tx) error { return tx.ReturnConsent(t.Context(), key) }); err != nil {
			t.Fatal(err)
		}
		left(1)
		say(false, 3)
		left(0)
		if err := in(func(tx order.Tx) error { return tx.ReturnConsent(t.Context(), key) }); err != nil {
			t.Fatal(err)
		}
		left(0) // taken back meanwhile
		say(true, 4)
		say(true, 5)
		if err := in(func(tx order.Tx) error { return tx.VoidConsents(t.Context(), key) }); err != nil {
			t.Fatal(err)
		}
		left(0)
		say(true, 6)
		say(true, 7)
		var spent atomic.Int32
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				switch err := spend(); {
				case err == nil:
					spent.Add(1)
				case !errors.Is(err, order.NotFound):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if spent.Load() != 2 {
			t.Errorf("two consents paid for %d notices", spent.Load())
		}
		left(0)
	})
}
