package token

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/pkcs11"
)

const softHSM = "/usr/lib/softhsm/libsofthsm2.so"

// tokenDir is where SoftHSM keeps the tokens of this test process: a PKCS#11
// module is initialised once per process, so all tests share it.
var tokenDir string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "token-test")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		if err := ConfigureSoftHSM(dir); err != nil {
			panic(err)
		}
		tokenDir = filepath.Join(dir, "tokens")
		return m.Run()
	}())
}

func load(t *testing.T) *Module {
	t.Helper()
	m, err := Load(softHSM)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

const (
	testSOPIN = PIN("ABCDEFGHIJKLMNOP")
	testPIN   = PIN("12345678")
)

// with is use for what has no result.
func with(ctx context.Context, pl *Pool, fn func(p *driver, s *session) error) error {
	_, err := use(ctx, pl, func(p *driver, s *session) (struct{}, error) { return struct{}{}, fn(p, s) })
	return err
}

// made counts tokens, so that a test that runs twice gets a new one.
var made atomic.Uint64

func newPool(t *testing.T, m *Module, label string, size int) *Pool {
	t.Helper()
	label = fmt.Sprintf("%s-%d", label, made.Add(1))
	if err := m.Ensure(t.Context(), label, testSOPIN, testPIN); err != nil {
		t.Fatal(err)
	}
	pl := m.NewPool(label, testPIN, size)
	t.Cleanup(pl.Close)
	return pl
}

func TestLoadTwiceIsOneModule(t *testing.T) {
	a, b := load(t), load(t)
	if a != b {
		t.Error("two modules for one path")
	}
	if _, err := Load(filepath.Join(t.TempDir(), "none.so")); err == nil {
		t.Error("a module that does not exist was loaded")
	}
}

func TestSignersSignWhatOthersVerify(t *testing.T) {
	m := load(t)
	for _, alg := range []Algorithm{P256, P384, RSA2048} {
		t.Run(string(alg), func(t *testing.T) {
			pl := newPool(t, m, "sign-"+string(alg), 2)
			sg, err := pl.EnsureKey(t.Context(), "k", alg)
			if err != nil {
				t.Fatal(err)
			}
			again, err := pl.EnsureKey(t.Context(), "k", alg)
			if err != nil {
				t.Fatal(err)
			}
			if !sg.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(again.Public()) {
				t.Error("EnsureKey made a second key")
			}
			for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
				d := h.New()
				d.Write([]byte("message"))
				digest := d.Sum(nil)
				sig, err := sg.Sign(nil, digest, h)
				if err != nil {
					t.Fatal(err)
				}
				if !Verify(sg.Public(), h, digest, sig) {
					t.Errorf("%v: signature does not verify", h)
				}
				digest[0] ^= 1
				if Verify(sg.Public(), h, digest, sig) {
					t.Errorf("%v: signature verifies another digest", h)
				}
			}
			if _, err := sg.Sign(nil, []byte("short"), crypto.SHA256); !errors.Is(err, Mismatch) {
				t.Errorf("a digest of the wrong length: %v", err)
			}
			if err := sg.Health(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// F127: the key never leaves its token.
func TestPrivateKeyCannotBeRead(t *testing.T) {
	m := load(t)
	pl := newPool(t, m, "unreadable", 1)
	if _, err := pl.EnsureKey(t.Context(), "k", P256); err != nil {
		t.Fatal(err)
	}
	err := with(t.Context(), pl, func(p *driver, s *session) error {
		kp, err := s.key(p, "k")
		if err != nil {
			return err
		}
		if _, err = p.GetAttributeValue(s.handle, kp.private, []*pkcs11.Attribute{attr(pkcs11.CKA_VALUE, nil)}); !is(err, pkcs11.CKR_ATTRIBUTE_SENSITIVE) {
			t.Errorf("reading CKA_VALUE: %v", err)
		}
		a, err := p.GetAttributeValue(s.handle, kp.private, []*pkcs11.Attribute{attr(pkcs11.CKA_NEVER_EXTRACTABLE, nil)})
		if err != nil || !bytes.Equal(a[0].Value, []byte{1}) {
			t.Errorf("CKA_NEVER_EXTRACTABLE = %v, %v", a, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

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
		before := m.generation
		for range 3 {
			err := with(t.Context(), pl, func(*driver, *session) error {
				return fail("testing", pkcs11.Error(pkcs11.CKR_DEVICE_ERROR))
			})
			if !errors.Is(err, Dead) {
				t.Errorf("got %v", err)
			}
		}
		if got := m.generation - before; got < 1 || got > 2 {
			t.Errorf("%d re-initialisations for 3 failures at once", got)
		}
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

func TestAEAD(t *testing.T) {
	m := load(t)
	pl := newPool(t, m, "seal", 2)
	if _, err := pl.EnsureAEAD(t.Context(), "wrap"); err != nil {
		t.Fatal(err)
	}
	a, err := pl.EnsureAEAD(t.Context(), "wrap") // the same key again
	if err != nil {
		t.Fatal(err)
	}
	plain, ad := []byte("keyset"), []byte("context")
	sealed, err := a.Encrypt(plain, ad)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := a.Decrypt(sealed, ad); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("opened %q, %v", got, err)
	}
	if _, err := a.Decrypt(sealed, []byte("other")); err == nil {
		t.Error("opened in another context")
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, err := a.Decrypt(bad, ad); err == nil {
			t.Errorf("opened with byte %d changed", i)
		}
	}
	if _, err := a.Decrypt(sealed[:20], ad); !errors.Is(err, Mismatch) {
		t.Errorf("opened a fragment: %v", err)
	}
}

func TestSubscriberToken(t *testing.T) {
	m := load(t)
	serial, err := Serial(made.Add(1))
	if err != nil {
		t.Fatal(err)
	}
	so, pin, id, secret := NewSOPIN(), NewUserPIN(), []byte("key one"), bytes.Repeat([]byte{7}, 32)
	if ok, err := m.Present(serial); ok || err != nil {
		t.Fatalf("present before it was made: %v, %v", ok, err)
	}
	for range 2 { // the second time nothing is left to do
		if err := m.Ensure(t.Context(), serial, so, pin); err != nil {
			t.Fatal(err)
		}
		var pub crypto.PublicKey
		err := m.Exclusive(t.Context(), serial, func(tk *Token) error {
			if err := tk.Login(pin); err != nil {
				return err
			}
			if err := tk.PutSecret(secret); err != nil {
				return err
			}
			key, err := tk.EnsureKey(id, P256)
			if err != nil {
				return err
			}
			if pub != nil && !pub.(interface{ Equal(crypto.PublicKey) bool }).Equal(key.Public()) {
				t.Error("a second key under one id")
			}
			pub = key.Public()
			der := selfSigned(t, key)
			if err := tk.PutCertificate(id, der); err != nil {
				return err
			}
			if got, err := tk.Certificate(id); err != nil || !bytes.Equal(got, der) {
				t.Errorf("certificate read back differs: %v", err)
			}
			if got, err := tk.Secret(); err != nil || !bytes.Equal(got, secret) {
				t.Errorf("secret read back differs: %v", err)
			}
			other, err := tk.EnsureKey([]byte("key two"), P256)
			if err != nil {
				return err
			}
			if err := tk.PutCertificate(id, selfSigned(t, other)); !errors.Is(err, Mismatch) {
				t.Errorf("a certificate of another key was written: %v", err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}

	t.Run("unlock keeps the key", func(t *testing.T) {
		login := func(p PIN) error {
			return m.Exclusive(t.Context(), serial, func(tk *Token) error {
				if err := tk.Login(p); err != nil {
					return err
				}
				key, err := tk.Key(id)
				if err != nil {
					return err
				}
				digest := sha256.Sum256([]byte("still here"))
				sig, err := key.Sign(nil, digest[:], crypto.SHA256)
				if err != nil {
					return err
				}
				if !Verify(key.Public(), crypto.SHA256, digest[:], sig) {
					t.Error("signature does not verify")
				}
				return nil
			})
		}
		set := func(so, pin PIN) error {
			return m.Exclusive(t.Context(), serial, func(tk *Token) error { return tk.SetUserPIN(so, pin) })
		}
		if err := set("WRONGWRONGWRONG2", "87654321"); !errors.Is(err, PINIncorrect) {
			t.Errorf("wrong SO PIN: %v", err)
		}
		if err := set(so, "123"); !errors.Is(err, PINLength) {
			t.Errorf("short PIN: %v", err)
		}
		if err := set(so, "87654321"); err != nil {
			t.Fatal(err)
		}
		if err := login(pin); !errors.Is(err, PINIncorrect) {
			t.Errorf("old PIN: %v", err)
		}
		if err := login("87654321"); err != nil {
			t.Errorf("new PIN: %v", err)
		}
	})
	t.Run("no such token", func(t *testing.T) {
		err := m.Exclusive(t.Context(), "TW99999999999999", func(*Token) error { t.Error("called"); return nil })
		if !errors.Is(err, Missing) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("one owner at a time", func(t *testing.T) {
		err := m.Exclusive(t.Context(), serial, func(*Token) error {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := m.Exclusive(ctx, serial, func(*Token) error { t.Error("a second owner"); return nil }); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(m.owners) != 0 {
			t.Errorf("%d owners are remembered", len(m.owners))
		}
	})
}

// A generation cut short leaves a public key without a private one.
func TestHalfAKeyPairIsReplaced(t *testing.T) {
	m := load(t)
	pl := newPool(t, m, "half", 1)
	if _, err := pl.EnsureKey(t.Context(), "k", P256); err != nil {
		t.Fatal(err)
	}
	err := with(t.Context(), pl, func(p *driver, s *session) error {
		kp, err := s.key(p, "k")
		if err != nil {
			return err
		}
		s.keys = map[string]keyPair{}
		return p.DestroyObject(s.handle, kp.private)
	})
	if err != nil {
		t.Fatal(err)
	}
	sg, err := pl.EnsureKey(t.Context(), "k", P256)
	if err != nil {
		t.Fatal(err)
	}
	if err := sg.Health(t.Context()); err != nil {
		t.Error(err)
	}
}

func selfSigned(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(5), Subject: pkix.Name{CommonName: "x"}}, &x509.Certificate{}, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestSerial(t *testing.T) {
	for _, tc := range []struct {
		n    uint64
		want string
	}{
		{1, "TW00000000000001"},
		{521605010188, "TW00521605010188"},
		{99_999_999_999_999, "TW99999999999999"},
		{0, ""},
		{100_000_000_000_000, ""},
	} {
		got, err := Serial(tc.n)
		if got != tc.want || (err != nil) != (tc.want == "") {
			t.Errorf("Serial(%d) = %q, %v", tc.n, got, err)
		}
		if tc.want != "" && !ValidSerial(got) {
			t.Errorf("%q is not valid", got)
		}
	}
	for _, bad := range []string{"", "TW", "TW0052160501018", "TW005216050101888", "tw00521605010188", "TW0052160501018x", "c3664c6eefdf65fd"} {
		if ValidSerial(bad) {
			t.Errorf("%q is valid", bad)
		}
	}
}

func TestPINsHideThemselves(t *testing.T) {
	pin := NewSOPIN()
	if len(pin) != 16 || len(NewUserPIN()) != 8 {
		t.Errorf("lengths %d and %d", len(pin), len(NewUserPIN()))
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "pin", pin)
	js, err := json.Marshal(map[string]any{"pin": pin})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{fmt.Sprint(pin), fmt.Sprintf("%v %+v %#v %s %q", pin, pin, pin, pin, pin), log.String(), string(js)} {
		if strings.Contains(s, pin.Reveal()) {
			t.Errorf("PIN shown in %s", s)
		}
	}
}

// F127: return values become plain Chinese sentences.
func TestErrorsSpeakPlainly(t *testing.T) {
	for ckr, want := range map[uint]string{
		pkcs11.CKR_PIN_LOCKED:        "PIN 码已被锁定，请办理解锁后再使用。",
		pkcs11.CKR_TOKEN_NOT_PRESENT: "未检测到 USBKEY，请确认已插好后重试。",
		pkcs11.CKR_PIN_INCORRECT:     "PIN 码不正确，请核对后重试。",
		0x80000001:                   "USBKEY 操作失败，请稍后重试。",
	} {
		if got, ok := Detail(fmt.Errorf("wrapped: %w", fail("testing", pkcs11.Error(ckr)))); !ok || got != want {
			t.Errorf("0x%X: %q", ckr, got)
		}
	}
	for ckr, kind := range kinds {
		if details[kind] == "" {
			t.Errorf("0x%X has no sentence", ckr)
		}
	}
	if _, ok := Detail(errors.New("other")); ok {
		t.Error("a sentence for an error that is not ours")
	}
}

// A process that dies while SoftHSM writes leaves litter behind; neither the other
// tokens nor the other objects suffer from it.
func TestLitterIsHarmless(t *testing.T) {
	m := load(t)
	before := entries(t)
	pl := newPool(t, m, "littered", 1)
	sg, err := pl.EnsureKey(t.Context(), "k", P256)
	if err != nil {
		t.Fatal(err)
	}
	var dir string
	for name := range entries(t) {
		if !before[name] {
			dir = filepath.Join(tokenDir, name)
		}
	}
	litter := func(parts ...string) {
		t.Helper()
		file := filepath.Join(parts...)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte("\x00\x00garbage"), 0o600)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Remove(file) })
	}
	empty := filepath.Join(tokenDir, "00000000-0000-0000-0000-000000000000")
	if err := os.MkdirAll(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(empty) })
	litter(tokenDir, "00000000-0000-0000-0000-000000000001", "token.object")
	t.Cleanup(func() { _ = os.RemoveAll(filepath.Join(tokenDir, "00000000-0000-0000-0000-000000000001")) })
	litter(dir, "00000000-0000-0000-0000-000000000002.object")
	if err := m.reinitialize(m.generation); err != nil {
		t.Fatalf("the module does not start: %v", err)
	}
	if err := sg.Health(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := pl.EnsureKey(t.Context(), "k2", P256); err != nil {
		t.Error(err)
	}
	newPool(t, m, "beside-litter", 1)
}

// A key pair whose halves do not belong together is made anew.
func TestBrokenKeyPairIsReplaced(t *testing.T) {
	m := load(t)
	serial, err := Serial(made.Add(1))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Ensure(t.Context(), serial, testSOPIN, testPIN); err != nil {
		t.Fatal(err)
	}
	for name, class := range map[string]uint{"public key exchanged": pkcs11.CKO_PRIVATE_KEY, "public key lost": pkcs11.CKO_PUBLIC_KEY} {
		t.Run(name, func(t *testing.T) {
			err := m.Exclusive(t.Context(), serial, func(tk *Token) error {
				if err := tk.Login(testPIN); err != nil {
					return err
				}
				id, other := []byte("id of "+name), []byte("other of "+name)
				old, err := tk.EnsureKey(id, P256)
				if err != nil {
					return err
				}
				if _, err := tk.EnsureKey(other, P256); err != nil {
					return err
				}
				half := func(id []byte, class uint) pkcs11.ObjectHandle {
					h, err := findOne(tk.p, tk.sh, attr(pkcs11.CKA_CLASS, class), attr(pkcs11.CKA_ID, id))
					if err != nil {
						t.Fatal(err)
					}
					return h
				}
				if err := tk.p.DestroyObject(tk.sh, half(id, class)); err != nil {
					return err
				}
				if class == pkcs11.CKO_PRIVATE_KEY {
					// The other pair's private key takes its place.
					if err := tk.p.SetAttributeValue(tk.sh, half(other, class), []*pkcs11.Attribute{attr(pkcs11.CKA_ID, id)}); err != nil {
						return err
					}
				}
				key, err := tk.EnsureKey(id, P256)
				if err != nil {
					return err
				}
				if key.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(old.Public()) {
					t.Error("the broken key pair is still there")
				}
				return tryKeyPair(tk.p, tk.sh, key.pair)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// SoftHSM truncates a token's main file at each login before it writes it: a token
// that was left empty comes back at the next start, with the PIN set last.
func TestTornTokenIsRestored(t *testing.T) {
	m := load(t)
	before := entries(t)
	pl := newPool(t, m, "torn", 1)
	sg, err := pl.EnsureKey(t.Context(), "k", P256)
	if err != nil {
		t.Fatal(err)
	}
	for name := range entries(t) {
		if !before[name] {
			if err := os.Truncate(filepath.Join(tokenDir, name, "token.object"), 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := m.reinitialize(m.generation); err != nil {
		t.Fatal(err)
	}
	if err := sg.Health(t.Context()); err != nil {
		t.Error(err)
	}
}

// A token that has its label but not yet its SO PIN cannot be completed: another is
// made in its place. One that ever had a user PIN is left alone.
func TestHalfMadeTokenIsReplaced(t *testing.T) {
	m := load(t)
	label := fmt.Sprintf("half-made-%d", made.Add(1))
	if err := m.initBlank(label, "OTHEROTHEROTHER2"); err != nil {
		t.Fatal(err)
	}
	if err := m.Ensure(t.Context(), label, testSOPIN, testPIN); err != nil {
		t.Fatal(err)
	}
	count := len(entries(t))
	err := m.Exclusive(t.Context(), label, func(tk *Token) error { return tk.SetUserPIN("OTHEROTHEROTHER2", testPIN) })
	if !errors.Is(err, PINIncorrect) {
		t.Errorf("the new token has the old SO PIN: %v", err)
	}
	if ok, err := m.discard(label); ok || err != nil {
		t.Errorf("a whole token was discarded: %v, %v", ok, err)
	}
	if now := len(entries(t)); now != count {
		t.Errorf("%d tokens, were %d", now, count)
	}
}

// A mechanism that hashes by itself, as vendors' mechanisms often do, is one more
// row: the message goes in, the signature comes out as it is.
func TestSchemeThatSignsTheMessage(t *testing.T) {
	m := load(t)
	pl := newPool(t, m, "message", 1)
	if _, err := pl.EnsureKey(t.Context(), "k", RSA2048); err != nil {
		t.Fatal(err)
	}
	vendor := scheme{keyType: pkcs11.CKK_RSA, sign: pkcs11.CKM_SHA256_RSA_PKCS, input: wholeMessage, output: asIs}
	message := []byte("to be signed")
	err := with(t.Context(), pl, func(p *driver, s *session) error {
		kp, err := s.key(p, "k")
		if err != nil {
			return err
		}
		sig, err := vendor.signWith(p, s.handle, kp.private, message, crypto.Hash(0))
		if err != nil {
			return err
		}
		digest := sha256.Sum256(message)
		if !Verify(kp.public, crypto.SHA256, digest[:], sig) {
			t.Error("the signature does not verify")
		}
		if _, err := vendor.signWith(p, s.handle, kp.private, digest[:], crypto.SHA256); !errors.Is(err, Unsupported) {
			t.Errorf("a digest was signed as a message: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
