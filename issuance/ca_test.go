package issuance

import (
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/yuncaidun/yuncaidun/issuance/token"
)

func TestInitCA(t *testing.T) {
	f := newFixture(t)
	cfg := config(f.dir, f.hsm)
	before := files(t, cfg.Dir)
	if err := InitCA(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if after := files(t, cfg.Dir); after != before {
		t.Errorf("running it again changed the CA:\n%s\n%s", before, after)
	}
	ca, err := OpenCA(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer ca.Close()
	if err := ca.Health(t.Context()); err != nil {
		t.Error(err)
	}
	root := certificateFile(cfg.Dir, "root")
	for _, name := range []string{"root", "issuing-p256", "issuing-rsa"} {
		run(t, nil, "openssl", "verify", "-x509_strict", "-CAfile", root, certificateFile(cfg.Dir, name))
	}
	run(t, nil, "openssl", "verify", "-x509_strict", "-CAfile", root, "-untrusted", certificateFile(cfg.Dir, "issuing-p256"), certificateFile(cfg.Dir, "seal"))
	for _, cert := range append([]*certificateView{{ca.Root.Raw, "root"}, {ca.Chain.Seal.Raw, "seal"}}, views(ca)...) {
		if err := lintCertificate(cert.der); err != nil {
			t.Errorf("%s: %v", cert.name, err)
		}
	}
	key, cert := ca.Seal()
	digest := sha256.Sum256([]byte("letter"))
	sig, err := key.Sign(nil, digest[:], crypto.SHA256)
	if err != nil || !token.Verify(cert.PublicKey, crypto.SHA256, digest[:], sig) {
		t.Errorf("seal: %v", err)
	}
}

type certificateView struct {
	der  []byte
	name string
}

func views(ca *CA) (list []*certificateView) {
	for name, cert := range ca.Issuing {
		list = append(list, &certificateView{cert.Raw, name})
	}
	return list
}

// files is the content of a folder, without what differs for no reason.
func files(t *testing.T, dir string) string {
	t.Helper()
	out, err := exec.Command("sh", "-c", `cd "$1" && sha256sum *.pem *.json so-pin`, "sh", dir).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// A CA whose making was cut short at any place is completed by making it again,
// with the same keys.
func TestInitCAResumes(t *testing.T) {
	dir := t.TempDir()
	cfg := config(dir, emptyHSM(t, dir))
	published := map[string]string{}
	places := 0
	for n := 0; ; n++ {
		err := InitCA(newCountdown(t.Context(), n), cfg)
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Fatalf("cut at %d: %v", n, err)
		}
		list, _ := filepath.Glob(filepath.Join(cfg.Dir, "*.pem"))
		for _, file := range list {
			text, _ := os.ReadFile(file)
			if old, ok := published[file]; ok && old != string(text) {
				t.Errorf("cut at %d: %s changed", n, file)
			}
			published[file] = string(text)
		}
		if err == nil {
			break
		}
		places++
	}
	if places < 10 || len(published) != 4 {
		t.Errorf("%d places, %d certificates", places, len(published))
	}
	ca, err := OpenCA(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer ca.Close()
	if err := ca.Health(t.Context()); err != nil {
		t.Error(err)
	}
	for file, mode := range map[string]os.FileMode{"so-pin": 0o600, "token-keyset.json": 0o600, "root.pem": 0o644} {
		info, err := os.Stat(filepath.Join(cfg.Dir, file))
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", file, info.Mode(), err)
		}
	}
	temporary, _ := filepath.Glob(filepath.Join(cfg.Dir, ".tmp-*"))
	if len(temporary) > 0 {
		t.Errorf("left behind: %v", temporary)
	}
}

// A CA that does not fit its HSM is not opened, and not silently replaced.
func TestCAAndHSMMustFit(t *testing.T) {
	for _, tc := range []struct {
		name string
		harm func(t *testing.T, f *fixture)
	}{
		{"certificate of another key", func(t *testing.T, f *fixture) {
			copyFile(t, certificateFile(filepath.Join(f.dir, "ca"), "seal"), certificateFile(filepath.Join(f.dir, "ca"), "issuing-p256"))
		}},
		{"keyset of another purpose", func(t *testing.T, f *fixture) {
			file := keysetFile(filepath.Join(f.dir, "ca"))
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			i := strings.Index(string(text), `"encryptedKeyset":"`) + 40
			text[i] ^= 1
			if err := os.WriteFile(file, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t)
			tc.harm(t, f)
			cfg := config(f.dir, f.hsm)
			if ca, err := OpenCA(t.Context(), cfg); err == nil {
				ca.Close()
				t.Error("opened")
			}
			if err := InitCA(t.Context(), cfg); err == nil {
				t.Error("made anew")
			}
		})
	}
	t.Run("no CA yet", func(t *testing.T) {
		dir := t.TempDir()
		if _, err := OpenCA(t.Context(), config(dir, emptyHSM(t, dir))); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("wrong PIN", func(t *testing.T) {
		f := newFixture(t)
		cfg := config(f.dir, f.hsm)
		cfg.PIN = "87654321"
		if _, err := OpenCA(t.Context(), cfg); !errors.Is(err, token.PINIncorrect) {
			t.Errorf("got %v", err)
		}
	})
}

// The CA's health fails when any of its tokens is gone.
func TestCAHealth(t *testing.T) {
	f := newFixture(t)
	p := f.mustPipeline(t)
	if err := p.ca.Health(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(f.dir, "tokens")); err != nil {
		t.Fatal(err)
	}
	if err := p.ca.Health(t.Context()); err == nil {
		t.Error("healthy without tokens")
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Secrets of a USBKEY open only in their own place.
func TestSealedSecretsAreBoundToTheirPlace(t *testing.T) {
	f := newFixture(t)
	keys := f.mustPipeline(t).ca.keyset
	rec := TokenRecord{Serial: "TW00000000000001"}
	want := tokenSecrets{token.NewSOPIN(), token.NewUserPIN(), []byte("0123456789abcdef0123456789abcdef")}
	if err := sealToken(keys, &rec, want); err != nil {
		t.Fatal(err)
	}
	got, err := openToken(keys, rec)
	if err != nil || got.soPIN != want.soPIN || got.userPIN != want.userPIN || string(got.secret) != string(want.secret) {
		t.Errorf("opened other secrets, %v", err)
	}
	moved := rec
	moved.Serial = "TW00000000000002"
	if _, err := openToken(keys, moved); err == nil {
		t.Error("opened for another token")
	}
	swapped := rec
	swapped.SealedSOPIN, swapped.SealedUserPIN = rec.SealedUserPIN, rec.SealedSOPIN
	if _, err := openToken(keys, swapped); err == nil {
		t.Error("opened as another secret")
	}
}
