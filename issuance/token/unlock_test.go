package token

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base32"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// subscriber is a personalised token whose PIN nobody remembers.
type subscriber struct {
	m           *Module
	serial      string
	certificate []byte
	secret      []byte
}

var soPIN0 = PIN("ABCDEFGHIJKLMNOP")

func newSubscriber(t testing.TB, m *Module) subscriber {
	t.Helper()
	serial, err := Serial(made.Add(1) + 5000)
	if err != nil {
		t.Fatal(err)
	}
	s := subscriber{m: m, serial: serial, secret: bytes.Repeat([]byte{7}, 32)}
	if err := m.Ensure(t.Context(), serial, soPIN0, "87654321"); err != nil {
		t.Fatal(err)
	}
	err = m.Exclusive(t.Context(), serial, func(tk *Token) error {
		if err := tk.Login("87654321"); err != nil {
			return err
		}
		if err := tk.PutSecret(s.secret); err != nil {
			return err
		}
		key, err := tk.EnsureKey([]byte("id"), P256)
		if err != nil {
			return err
		}
		template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: serial}, NotAfter: time.Now().Add(time.Hour)}
		if s.certificate, err = x509.CreateCertificate(rand.Reader, template, template, key.Public(), key); err != nil {
			return err
		}
		return tk.PutCertificate([]byte("id"), s.certificate)
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func quiet(UnlockStep) error { return nil }

// unlock is one whole unlock with a secret of the server.
func (s subscriber) unlock(t testing.TB, u UnlockSecret, pin PIN, tell func(UnlockStep) error) error {
	t.Helper()
	return s.m.Exclusive(t.Context(), s.serial, func(tk *Token) error {
		digest := ChallengeDigest(s.serial, []byte("challenge"))
		sig, err := tk.Unlock(u, pin, s.certificate, digest, tell)
		if err != nil {
			return err
		}
		cert, err := x509.ParseCertificate(s.certificate)
		if err != nil {
			return err
		}
		if !ecdsa.VerifyASN1(cert.PublicKey.(*ecdsa.PublicKey), digest, sig) {
			return errors.New("the proof does not verify")
		}
		return nil
	})
}

// opens reports whether the key works under that PIN.
func (s subscriber) opens(t testing.TB, pin PIN) error {
	t.Helper()
	return s.m.Exclusive(t.Context(), s.serial, func(tk *Token) error {
		if err := tk.Login(pin); err != nil {
			return err
		}
		key, err := tk.Key([]byte("id"))
		if err != nil {
			return err
		}
		_, err = key.Sign(nil, make([]byte, 32), crypto.SHA256)
		return err
	})
}

var (
	next1 = SOCandidate{1, "QRSTUVWXYZ234567"}
	from0 = UnlockSecret{Candidates: []SOCandidate{{0, soPIN0}}, Next: next1}
)

// F87: unlocking keeps the key pair and sets the PIN; the SO PIN changes.
func TestUnlock(t *testing.T) {
	s := newSubscriber(t, load(t))
	var steps []UnlockStep
	if err := s.unlock(t, from0, "2468", func(st UnlockStep) error { steps = append(steps, st); return nil }); err != nil {
		t.Fatal(err)
	}
	if want := []UnlockStep{UnlockStarted, UnlockPINSet, UnlockMarked, UnlockRotated, UnlockNoted, UnlockProven}; !slices.Equal(steps, want) {
		t.Errorf("steps %v, want %v", steps, want)
	}
	if err := s.opens(t, "2468"); err != nil {
		t.Errorf("with the new PIN: %v", err)
	}
	if err := s.opens(t, "87654321"); !errors.Is(err, PINIncorrect) {
		t.Errorf("with the old PIN: %v", err)
	}
	old := UnlockSecret{Candidates: []SOCandidate{{0, soPIN0}}, Next: SOCandidate{2, "ZZZZZZZZZZZZZZZZ"}}
	if err := s.unlock(t, old, "1357", quiet); !errors.Is(err, SOPINIncorrect) {
		t.Errorf("with the old SO PIN: %v", err)
	}
	if err := s.opens(t, "2468"); err != nil {
		t.Errorf("after a refused unlock: %v", err)
	}
}

// A token that is not the one, or a PIN that the token does not take, is refused
// before anything changes.
func TestUnlockRefused(t *testing.T) {
	m := load(t)
	s, other := newSubscriber(t, m), newSubscriber(t, m)
	wrong := s
	wrong.certificate = other.certificate
	if err := wrong.unlock(t, from0, "2468", quiet); !errors.Is(err, WrongToken) {
		t.Errorf("another token: %v", err)
	}
	if err := s.unlock(t, from0, "123", quiet); !errors.Is(err, PINLength) { // G5: SoftHSM wants four
		t.Errorf("a PIN too short for the token: %v", err)
	}
	if err := s.opens(t, "87654321"); err != nil {
		t.Error(err)
	}
}

var errCut = errors.New("cut short")

// Cut short at any step, the next ticket, which carries the same SO PINs, opens
// the token.
func TestUnlockCutShort(t *testing.T) {
	m := load(t)
	for _, at := range []UnlockStep{UnlockStarted, UnlockPINSet, UnlockMarked, UnlockRotated, UnlockNoted, UnlockProven} {
		t.Run(string(at), func(t *testing.T) {
			s := newSubscriber(t, m)
			err := s.unlock(t, from0, "2468", func(st UnlockStep) error {
				if st == at {
					return errCut
				}
				return nil
			})
			if !errors.Is(err, errCut) {
				t.Fatal(err)
			}
			if err := s.unlock(t, from0, "1357", quiet); err != nil {
				t.Fatalf("the next ticket: %v", err)
			}
			if err := s.opens(t, "1357"); err != nil {
				t.Error(err)
			}
		})
	}
}

const killAtEnv = "YCD_TEST_KILL_AT"

// TestUnlockChild is the process that is killed: it unlocks, and dies at the step
// that the environment names.
func TestUnlockChild(t *testing.T) {
	at, serial, file := os.Getenv(killAtEnv), os.Getenv("YCD_TEST_SERIAL"), os.Getenv("YCD_TEST_CERTIFICATE")
	if at == "" {
		return // this is not the child
	}
	t.Setenv("SOFTHSM2_CONF", os.Getenv("YCD_TEST_CONF"))
	cert, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := subscriber{m: load(t), serial: serial, certificate: cert}
	err = s.unlock(t, from0, "2468", func(st UnlockStep) error {
		if string(st) == at {
			return errors.Join(syscall.Kill(os.Getpid(), syscall.SIGKILL))
		}
		return nil
	})
	t.Fatal("not killed", err)
}

// Reliability: kill -9 at every step of an unlock leaves a token that the next
// ticket opens.
func TestUnlockKilled(t *testing.T) {
	m := load(t)
	for _, at := range []UnlockStep{UnlockStarted, UnlockPINSet, UnlockMarked, UnlockRotated, UnlockNoted, UnlockProven} {
		t.Run(string(at), func(t *testing.T) {
			s := newSubscriber(t, m)
			file := t.TempDir() + "/certificate"
			if err := os.WriteFile(file, s.certificate, 0o600); err != nil {
				t.Fatal(err)
			}
			child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestUnlockChild$")
			child.Env = append(os.Environ(), killAtEnv+"="+string(at), "YCD_TEST_SERIAL="+s.serial, "YCD_TEST_CERTIFICATE="+file, "YCD_TEST_CONF="+os.Getenv("SOFTHSM2_CONF"))
			out, err := child.CombinedOutput()
			if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatalf("the child ended with %v\n%s", err, out)
			}
			if err := s.unlock(t, from0, "1357", quiet); err != nil {
				t.Fatalf("the next ticket: %v", err)
			}
			if err := s.opens(t, "1357"); err != nil {
				t.Error(err)
			}
		})
	}
}

// F79, G5: what a subscriber may choose, and what is warned about.
func TestUserPIN(t *testing.T) {
	for pin, want := range map[PIN]struct{ ok, weak bool }{
		"": {false, true}, "1": {true, true}, "12345678": {true, true}, "123456789": {false, false}, "12a4": {false, true},
		"000000": {true, true}, "654321": {true, true}, "121212": {true, true}, "890123": {true, true}, "20261125": {true, false}, "739164": {true, false}, "１２３４": {false, false},
	} {
		if ok := CheckUserPIN(pin) == nil; ok != want.ok {
			t.Errorf("%q may be chosen: %v", pin.Reveal(), ok)
		}
		if want.ok && WeakPIN(pin) != want.weak {
			t.Errorf("%q is weak: %v", pin.Reveal(), !want.weak)
		}
	}
}

// What is sealed for one ticket and token opens with the helper's key for these only.
func TestSealUnlock(t *testing.T) {
	e, err := NewEphemeral()
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewEphemeral()
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := SealUnlock(e.Public(), "ticket", "TW00000000000001", from0)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte(soPIN0)) {
		t.Error("the SO PIN is in the clear")
	}
	got, err := e.OpenUnlock("ticket", "TW00000000000001", sealed)
	if err != nil || got.Next != from0.Next || !slices.Equal(got.Candidates, from0.Candidates) {
		t.Errorf("%v, %v", got, err)
	}
	changed := bytes.Clone(sealed)
	changed[len(changed)-1] ^= 1
	for name, open := range map[string]func() (UnlockSecret, error){
		"another ticket": func() (UnlockSecret, error) { return e.OpenUnlock("ticket2", "TW00000000000001", sealed) },
		"another token":  func() (UnlockSecret, error) { return e.OpenUnlock("ticket", "TW00000000000002", sealed) },
		"another helper": func() (UnlockSecret, error) { return other.OpenUnlock("ticket", "TW00000000000001", sealed) },
		"changed":        func() (UnlockSecret, error) { return e.OpenUnlock("ticket", "TW00000000000001", changed) },
		"cut off":        func() (UnlockSecret, error) { return e.OpenUnlock("ticket", "TW00000000000001", sealed[:20]) },
	} {
		if _, err := open(); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
	if _, err := SealUnlock([]byte("no key"), "ticket", "TW00000000000001", from0); err == nil {
		t.Error("sealed to what is no key")
	}
}

// Test vectors of the challenge code: both sides of it, now and in later versions.
func TestCodeVectors(t *testing.T) {
	secret := bytes.Repeat([]byte{7}, 32)
	response, err := Respond(soPIN0, secret, "0ABCDEFG", "TW00000000000001")
	if err != nil {
		t.Fatal(err)
	}
	next, err := NextSOPIN(soPIN0, "0ABCDEFG")
	if err != nil {
		t.Fatal(err)
	}
	if response != vectorResponse || next.Reveal() != vectorNext {
		t.Errorf("response %s, next %s", response, next.Reveal())
	}
	opened, err := OpenResponse(strings.ToLower(GroupCode(response)), secret, "0ABCDEFG", "TW00000000000001")
	if err != nil || opened != soPIN0 {
		t.Errorf("opened %q, %v", opened.Reveal(), err)
	}
}

// A response that is changed in one character, or for another challenge, token or
// secret, is refused or gives another SO PIN, never this one.
func TestResponseTampered(t *testing.T) {
	secret := bytes.Repeat([]byte{7}, 32)
	response, err := Respond(soPIN0, secret, "0ABCDEFG", "TW00000000000001")
	if err != nil {
		t.Fatal(err)
	}
	noticed := 0
	for i := range response {
		for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567" {
			if byte(c) == response[i] {
				continue
			}
			changed := response[:i] + string(c) + response[i+1:]
			pin, err := OpenResponse(changed, secret, "0ABCDEFG", "TW00000000000001")
			if errors.Is(err, CodeInvalid) {
				noticed++
			} else if err != nil || pin == soPIN0 {
				t.Errorf("%s: %v", changed, err)
			}
		}
	}
	if all := len(response) * 31; noticed < all-5 {
		t.Errorf("%d of %d typing errors were noticed", noticed, all)
	}
	for name, open := range map[string]func() (PIN, error){
		"another challenge": func() (PIN, error) { return OpenResponse(response, secret, "1ABCDEFG", "TW00000000000001") },
		"another token":     func() (PIN, error) { return OpenResponse(response, secret, "0ABCDEFG", "TW00000000000002") },
		"too short":         func() (PIN, error) { return OpenResponse(response[1:], secret, "0ABCDEFG", "TW00000000000001") },
		"not base32":        func() (PIN, error) { return OpenResponse(response[:17]+"!", secret, "0ABCDEFG", "TW00000000000001") },
	} {
		if _, err := open(); !errors.Is(err, CodeInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if pin, err := OpenResponse(response, bytes.Repeat([]byte{8}, 32), "0ABCDEFG", "TW00000000000001"); err != nil || pin == soPIN0 {
		t.Errorf("another secret: %v", err)
	}
}

func FuzzCodes(f *testing.F) {
	f.Add("0abc-defg", "ABCD-EFGH-IJKL-MNOP-QR")
	f.Add("9 81O0", "")
	secret := bytes.Repeat([]byte{7}, 32)
	f.Fuzz(func(t *testing.T, challenge, response string) {
		c, err := ParseChallenge(challenge)
		if err != nil {
			c = "0ABCDEFG"
		} else if again, err := ParseChallenge(GroupCode(c)); err != nil || again != c {
			t.Errorf("%q reads as %q and then as %q, %v", challenge, c, again, err)
		}
		if pin, err := OpenResponse(response, secret, c, "TW00000000000001"); err == nil {
			if _, err := base32.StdEncoding.DecodeString(pin.Reveal()); err != nil {
				t.Errorf("%q gives no SO PIN", response)
			}
		}
	})
}

// byCode is one unlock by code: ask, let the server answer, type.
func (s subscriber) byCode(t testing.TB, server map[int][]PIN, pin PIN, tell func(UnlockStep) error) (challenge string, err error) {
	t.Helper()
	err = s.m.Exclusive(t.Context(), s.serial, func(tk *Token) error {
		if challenge, err = tk.Challenge(); err != nil {
			return err
		}
		generation := int(challenge[0] - '0')
		known := server[generation]
		current := known[0]
		server[generation] = append(known[1:], current) // another one next time
		next, err := NextSOPIN(current, challenge)
		if err != nil {
			return err
		}
		if !slices.Contains(server[generation+1], next) {
			server[generation+1] = append([]PIN{next}, server[generation+1]...)
		}
		response, err := Respond(current, s.secret, challenge, s.serial)
		if err != nil {
			return err
		}
		return tk.UnlockWithCode(s.serial, GroupCode(response), pin, s.certificate, tell)
	})
	return challenge, err
}

// Unlocking by code, again and again; the server only ever sees challenges.
func TestUnlockByCode(t *testing.T) {
	s := newSubscriber(t, load(t))
	server := map[int][]PIN{0: {soPIN0}}
	for i := range 12 { // past the tenth, where the digit begins again
		pin := PIN(fmt.Sprintf("%06d", 246800+i))
		if i == 10 {
			server[0], server[1] = server[10], nil
		}
		challenge, err := s.byCode(t, server, pin, quiet)
		if err != nil {
			t.Fatalf("unlock %d, challenge %s: %v", i, challenge, err)
		}
		if err := s.opens(t, pin); err != nil {
			t.Fatalf("unlock %d: %v", i, err)
		}
	}
}

// A response that was never typed changes nothing: the token asks the same again.
func TestCodeNeverUsed(t *testing.T) {
	s := newSubscriber(t, load(t))
	var first, second string
	ask := func(to *string) {
		err := s.m.Exclusive(t.Context(), s.serial, func(tk *Token) (err error) { *to, err = tk.Challenge(); return err })
		if err != nil {
			t.Fatal(err)
		}
	}
	ask(&first)
	ask(&second)
	if first != second || first[0] != '0' {
		t.Errorf("asked %s, then %s", first, second)
	}
	err := s.m.Exclusive(t.Context(), s.serial, func(tk *Token) error {
		return tk.UnlockWithCode(s.serial, "ABCD-EFGH-IJKL-MNOP-QR", "2468", s.certificate, quiet)
	})
	if !errors.Is(err, CodeInvalid) {
		t.Errorf("a made-up response: %v", err)
	}
	if err := s.opens(t, "87654321"); err != nil {
		t.Error(err)
	}
}

// Cut short at any step, the token asks so that the server, which knows nothing of
// the accident, still opens it.
func TestCodeCutShort(t *testing.T) {
	m := load(t)
	for _, at := range []UnlockStep{UnlockStarted, UnlockPINSet, UnlockMarked, UnlockRotated, UnlockNoted, UnlockProven} {
		for _, first := range []string{"code", "ticket"} {
			t.Run(first+" "+string(at), func(t *testing.T) {
				s := newSubscriber(t, m)
				server := map[int][]PIN{0: {soPIN0}, 1: {next1.PIN}} // the server keeps what it sealed for the ticket
				cut := func(st UnlockStep) error {
					if st == at {
						return errCut
					}
					return nil
				}
				var err error
				if first == "code" {
					delete(server, 1)
					_, err = s.byCode(t, server, "2468", cut)
				} else {
					err = s.unlock(t, from0, "2468", cut)
				}
				if !errors.Is(err, errCut) {
					t.Fatal(err)
				}
				for try := range 3 {
					if _, err = s.byCode(t, server, "1357", quiet); err == nil {
						break
					}
					if !errors.Is(err, SOPINIncorrect) {
						t.Fatalf("try %d: %v", try, err)
					}
				}
				if err != nil {
					t.Fatal(err)
				}
				if err := s.opens(t, "1357"); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

const (
	vectorResponse = "NGYJT55BFW4NCXHVUP" // also computed by an implementation in another language
	vectorNext     = "WIFJFHONIERHTO7L"
)
