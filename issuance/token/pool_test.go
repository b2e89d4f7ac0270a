package token

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/pkcs11"
)

func TestManySignersShareFewSessions(t *testing.T) {
	m := load(t)
	pl := newPool(t, m, "crowd", 3)
	sg, err := pl.EnsureKey(t.Context(), "k", P256)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 20 {
				if err := sg.Health(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func TestWaitingForASessionEndsWithTheContext(t *testing.T) {
	m := load(t)
	pl := newPool(t, m, "patience", 1)
	sg, err := pl.EnsureKey(t.Context(), "k", P256)
	if err != nil {
		t.Fatal(err)
	}
	release := hold(t, pl, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := sg.Health(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	release()
}

// hold keeps n sessions busy, which must be all there are.
func hold(t *testing.T, pl *Pool, n int) (release func()) {
	t.Helper()
	held := make(chan struct{})
	call := func(*session) bool { <-held; return true }
	for range n {
		pl.calls <- call
	}
	select {
	case pl.calls <- call:
		t.Errorf("more than %d sessions are free", n)
	default:
	}
	return func() { close(held) }
}

// evictOne closes a session that is free.
func evictOne(pl *Pool) {
	done := make(chan struct{})
	pl.calls <- func(s *session) bool {
		pl.m.evict(s)
		close(done)
		return true
	}
	<-done
}

// Reliability 8: a call that hangs in the HSM holds its session, not its caller.
func TestHungCallLetsItsCallerGo(t *testing.T) {
	m := load(t)
	pl := newPool(t, m, "hung", 2)
	sg, err := pl.EnsureKey(t.Context(), "k", P256)
	if err != nil {
		t.Fatal(err)
	}
	hangs, release := make(chan struct{}), make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-hangs
		cancel()
	}()
	err = with(ctx, pl, func(*driver, *session) error {
		close(hangs)
		<-release
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	hold(t, pl, 2)() // another takes the place of the hung one
	if err := sg.Health(t.Context()); err != nil {
		t.Errorf("the other session suffers: %v", err)
	}
	close(release)
	for len(pl.spares) > 0 { // the hung one is closed, not kept besides
		<-time.After(time.Millisecond)
	}
	hold(t, pl, 2)()
}

// A session may die in many ways; each is answered by a new one, unseen by the caller.
func TestPoolRevivesDeadSessions(t *testing.T) {
	m := load(t)
	pl := newPool(t, m, "mortal", 1)
	sg, err := pl.EnsureKey(t.Context(), "k", P256)
	if err != nil {
		t.Fatal(err)
	}
	harm := func(do func(p *driver, s *session) error) func(t *testing.T) {
		return func(t *testing.T) {
			if err := with(t.Context(), pl, do); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, tc := range []struct {
		name string
		harm func(t *testing.T)
	}{
		{"session closed (0xB3)", harm(func(p *driver, s *session) error { return p.CloseSession(s.handle) })},
		{"logged out elsewhere (0x82, 0x101)", harm(func(p *driver, s *session) error { return p.Logout(s.handle) })},
		{"key handle dead (0x82)", harm(func(_ *driver, s *session) error {
			kp := s.keys["k"]
			kp.private = 999_999
			s.keys["k"] = kp
			return nil
		})},
		{"operation left active (0x90)", harm(func(p *driver, s *session) error {
			return p.SignInit(s.handle, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_ECDSA, nil)}, s.keys["k"].private)
		})},
		{"module re-initialised by another pool", func(t *testing.T) {
			if err := m.reinitialize(m.generation); err != nil {
				t.Fatal(err)
			}
		}},
		{"module finalised behind our back (0x190)", func(t *testing.T) {
			if err := m.p.Finalize(); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := sg.Health(t.Context()); err != nil {
				t.Fatalf("before: %v", err)
			}
			tc.harm(t)
			if err := sg.Health(t.Context()); err != nil {
				t.Errorf("after: %v", err)
			}
		})
	}
}

// What a device can answer while it is away: each code must lead to a new session,
// and the last resort is a module initialised anew, tried once per backoff.
func TestPoolRetriesEveryDeadlyCode(t *testing.T) {
	m := load(t)
	pl := newPool(t, m, "codes", 1)
	for _, ckr := range []uint{
		pkcs11.CKR_DEVICE_ERROR, pkcs11.CKR_DEVICE_REMOVED, pkcs11.CKR_OBJECT_HANDLE_INVALID,
		pkcs11.CKR_SESSION_HANDLE_INVALID, pkcs11.CKR_TOKEN_NOT_PRESENT, pkcs11.CKR_TOKEN_NOT_RECOGNIZED,
		pkcs11.CKR_FUNCTION_FAILED,
	} {
		t.Run(fmt.Sprintf("0x%X", ckr), func(t *testing.T) {
			runs := 0
			var first pkcs11.SessionHandle
			err := with(t.Context(), pl, func(_ *driver, s *session) error {
				if runs++; runs == 1 {
					first = s.handle
					return fail("testing", pkcs11.Error(ckr))
				}
				if s.handle == first {
					t.Error("the dead session was used again")
				}
				return nil
			})
			if err != nil || runs != 2 {
				t.Errorf("%d runs, %v", runs, err)
			}
		})
	}
	t.Run("for ever", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { // three failures at the same time, however slow the machine is
			dead := newPool(t, m, "dead", 1)
			before := m.generation
			for range 3 {
				err := with(t.Context(), dead, func(*driver, *session) error {
					return fail("testing", pkcs11.Error(pkcs11.CKR_DEVICE_ERROR))
				})
				if !errors.Is(err, Dead) {
					t.Errorf("got %v", err)
				}
			}
			if got := m.generation - before; got != 1 {
				t.Errorf("%d re-initialisations for 3 failures at once", got)
			}
		})
	})
	t.Run("a wrong PIN is not retried", func(t *testing.T) {
		evictOne(pl) // whoever is logged in lends his login to all
		wrong := m.NewPool(pl.label, "00000000", 1)
		defer wrong.Close()
		if _, err := wrong.Signer(t.Context(), "k"); !errors.Is(err, PINIncorrect) {
			t.Errorf("got %v", err)
		}
	})
}

// Health is a real signature: SoftHSM would still list slots and open sessions.
func TestHealthFailsWhenTheTokenIsGone(t *testing.T) {
	m := load(t)
	synctest.Test(t, func(t *testing.T) { healthOfVanishingToken(t, m) })
}

func healthOfVanishingToken(t *testing.T, m *Module) {
	before := entries(t)
	pl := newPool(t, m, "vanishing", 2)
	sg, err := pl.EnsureKey(t.Context(), "k", P256)
	if err != nil {
		t.Fatal(err)
	}
	if err := sg.Health(t.Context()); err != nil {
		t.Fatal(err)
	}
	var dir string
	for name := range entries(t) {
		if !before[name] {
			dir = filepath.Join(tokenDir, name)
		}
	}
	away := filepath.Join(t.TempDir(), "away")
	if err := os.Rename(dir, away); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := sg.Health(t.Context()); err == nil {
			t.Fatal("healthy without a token")
		}
	}
	if err := os.Rename(away, dir); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	for err = sg.Health(t.Context()); err != nil && time.Since(back) < time.Minute; err = sg.Health(t.Context()) {
		<-time.After(100 * time.Millisecond) // backoff and breaker let a new attempt through after a while
	}
	if err != nil {
		t.Errorf("the token came back, its health did not: %v", err)
	}
}

func entries(t *testing.T) map[string]bool {
	t.Helper()
	list, err := os.ReadDir(tokenDir)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, e := range list {
		names[e.Name()] = true
	}
	return names
}
