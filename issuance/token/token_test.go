package token

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

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
		pkcs11.CKR_PIN_LOCKED:        "口令已被锁定，请办理解锁后再使用。",
		pkcs11.CKR_TOKEN_NOT_PRESENT: "未检测到 USBKEY，请确认已插好后重试。",
		pkcs11.CKR_PIN_INCORRECT:     "口令不正确，请核对后重试。",
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
