package token

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"testing"

	"github.com/miekg/pkcs11"
)

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
