package token

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yuncaidun/yuncaidun/issuance/token/tokenfault"
)

// loadFaulty loads the module that fails when told to, with SoftHSM behind it.
func loadFaulty(t *testing.T) (*Module, *tokenfault.Module) {
	t.Helper()
	f := tokenfault.Build(t)
	m, err := Load(f.Path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m, f
}

// Reliability 8: a fault that goes away is survived at once, wherever it strikes;
// one that stays opens the breaker, after which the module is left in peace, and
// when it has gone the pool signs again within a minute, without a restart.
func TestFaultsOfTheModule(t *testing.T) {
	m, f := loadFaulty(t)
	setUp := newPool(t, m, "faulty", 1)
	if _, err := setUp.EnsureKey(t.Context(), "k", P256); err != nil {
		t.Fatal(err)
	}
	codes := []string{"0x30", "0x32", "0x82", "0xB3", "0xE0", "0xE1", "0xA4"}
	for _, function := range []string{"C_Sign", "C_SignInit", "C_OpenSession", "C_Login", "C_FindObjectsInit", "C_GetSlotList"} {
		for _, code := range codes {
			t.Run(function+" "+code, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					pl := m.NewPool(setUp.label, testPIN, 1)
					defer pl.Close()
					sg := &Signer{pool: pl, label: "k"}
					sg.public = mustPublic(t, pl)
					m.forget(pl.label) // the slot list is read again, too
					evictOne(pl)

					f.Set(t, function+" error "+code+" times=1")
					if err := sg.Health(t.Context()); err != nil && code != "0xA4" && function != "C_GetSlotList" {
						t.Errorf("once: %v", err)
					}
					f.Set(t, function+" error "+code)
					if function != "C_Sign" && function != "C_SignInit" {
						m.forget(pl.label)
						evictOne(pl)
					}
					failures := 0
					for !pl.breaker.IsOpen() && failures < 10 {
						if err := sg.Health(t.Context()); err == nil {
							t.Fatal("healthy in spite of the fault")
						}
						failures++
					}
					if failures > 5 {
						t.Errorf("the breaker opened after %d failures", failures)
					}
					if err := sg.Health(t.Context()); !errors.Is(err, Resting) {
						t.Errorf("with the breaker open: %v", err)
					}
					f.Set(t)
					gone := time.Now()
					for sg.Health(t.Context()) != nil && time.Since(gone) < 2*time.Minute {
						<-time.After(time.Second)
					}
					if took := time.Since(gone); took > time.Minute {
						t.Errorf("it took %v to recover", took)
					}
				})
			})
		}
	}
}

func mustPublic(t *testing.T, pl *Pool) (public any) {
	t.Helper()
	sg, err := pl.Signer(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	return sg.public
}

// A session that the module closed behind our back is replaced, unseen.
func TestDroppedSession(t *testing.T) {
	m, f := loadFaulty(t)
	pl := newPool(t, m, "dropped", 2)
	sg, err := pl.EnsureKey(t.Context(), "k", P256)
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		f.Set(t, "C_SignInit drop times=1")
		if err := sg.Health(t.Context()); err != nil {
			t.Error(err)
		}
		f.Set(t, "C_Sign drop times=1")
		if err := sg.Health(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// Reliability 8: when every session hangs, callers are let go, others take the
// place of the sessions, a re-initialisation does not wait for the calls that hang,
// and when the module lives again what hung is cleaned away.
func TestHungModule(t *testing.T) {
	m, f := loadFaulty(t)
	pl := newPool(t, m, "hung-module", 2)
	sg, err := pl.EnsureKey(t.Context(), "k", P256)
	if err != nil {
		t.Fatal(err)
	}
	f.Set(t, "C_Sign hang times=2")
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if err := sg.Health(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		})
	}
	for f.Hangs(t) < 2 { // later calls pass
		<-time.After(time.Millisecond)
	}
	cancel()
	wg.Wait()
	if err := sg.Health(t.Context()); err != nil {
		t.Errorf("a spare session: %v", err)
	}
	if err := m.reinitialize(m.generation); !errors.Is(err, Busy) {
		t.Errorf("re-initialised under a call that hangs: %v", err)
	}
	f.Set(t)
	for m.use.hung.Load() > 0 {
		<-time.After(time.Millisecond)
	}
	hold(t, pl, 2)()
	if err := m.reinitialize(m.generation); err != nil {
		t.Error(err)
	}
	if err := sg.Health(t.Context()); err != nil {
		t.Error(err)
	}
}

// A wrong PIN is tried once, not until the token locks itself.
func TestWrongPINIsTriedOnce(t *testing.T) {
	m, f := loadFaulty(t)
	right := newPool(t, m, "pin-once", 1)
	if _, err := right.EnsureKey(t.Context(), "k", P256); err != nil {
		t.Fatal(err)
	}
	evictOne(right)
	wrong := m.NewPool(right.label, "00000000", 2)
	defer wrong.Close()
	if _, err := wrong.Signer(t.Context(), "k"); !errors.Is(err, PINIncorrect) {
		t.Errorf("got %v", err)
	}
	f.Set(t, "C_Login error 0xA4") // what a second login would hear
	for range 3 {
		if _, err := wrong.Signer(t.Context(), "k"); !errors.Is(err, PINIncorrect) {
			t.Errorf("got %v", err)
		}
	}
}

// F127: what a person can do something about is said in plain Chinese.
func TestLockedAndMissingTokensAreExplained(t *testing.T) {
	m, f := loadFaulty(t)
	serial := fmt.Sprintf("TW%014d", made.Add(1)+5_000_000)
	so, pin := NewSOPIN(), NewUserPIN()
	if err := m.Ensure(t.Context(), serial, so, pin); err != nil {
		t.Fatal(err)
	}
	login := func() error {
		return m.Exclusive(t.Context(), serial, func(tk *Token) error { return tk.Login(pin) })
	}
	for _, tc := range []struct{ rule, says string }{
		{"C_Login error 0xA4", "锁定"},
		{"C_Login error 0xA0", "不正确"},
		{"C_OpenSession error 0xE0", "未检测到"},
		{"C_OpenSession error 0xE1", "无法识别"},
		{"C_Login error 0x30", "重新插拔"},
	} {
		f.Set(t, tc.rule)
		detail, ok := Detail(login())
		if !ok || !strings.Contains(detail, tc.says) {
			t.Errorf("%s: %q", tc.rule, detail)
		}
	}
	f.Set(t)
	if err := login(); err != nil {
		t.Error(err)
	}
}

// Each mechanism's uses are counted, with the code when one fails.
func TestObserver(t *testing.T) {
	m, f := loadFaulty(t)
	pl := newPool(t, m, "observed", 1)
	sg, err := pl.EnsureKey(t.Context(), "k", P256)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var seen []string
	m.Observe(func(mechanism string) func(error) {
		return func(err error) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, mechanism+" "+Code(err))
		}
	})
	t.Cleanup(func() { m.Observe(func(string) func(error) { return func(error) {} }) })
	f.Set(t, "C_Sign error 0x30 times=1")
	if err := sg.Health(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := []string{"CKM_ECDSA 0x30", "CKM_ECDSA "}; !slices.Equal(seen, want) {
		t.Errorf("seen %q, want %q", seen, want)
	}
}
