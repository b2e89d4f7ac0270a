package issuance

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/yuncaidun/yuncaidun/issuance/token"
)

// machine is one of the two machines of a ceremony, with tokens of its own.
type machine struct {
	t   *testing.T
	dir string
}

// play plays an act there; the witnesses answer with answers.
func (m machine) play(act, folder, answers string) (screen, transcript string, err error) {
	m.t.Helper()
	hsm, shut := m.open()
	defer shut()
	var out bytes.Buffer
	c := Ceremony{Config: config(m.dir, hsm), Folder: folder, Witnesses: []string{"李见证", "周见证"}, In: strings.NewReader(answers), Out: &out}
	file, err := c.Run(m.t.Context(), act)
	if file == "" {
		return out.String(), "", err
	}
	text, readErr := os.ReadFile(file)
	if readErr != nil {
		m.t.Fatal(readErr)
	}
	// As docs/ceremony.md has people check it.
	if body, last, _ := bytes.Cut(text, []byte("sha256\t")); strings.TrimSpace(string(last)) != fmt.Sprintf("%x", sha256.Sum256(body)) {
		m.t.Error("the transcript is not whole, or was changed")
	}
	return out.String(), string(text), err
}

func (m machine) open() (*token.Module, func()) {
	m.t.Helper()
	if err := token.ConfigureSoftHSM(m.dir); err != nil {
		m.t.Fatal(err)
	}
	hsm, err := token.Load(softHSM)
	if err != nil {
		m.t.Fatal(err)
	}
	return hsm, func() {
		if err := hsm.Close(); err != nil {
			m.t.Error(err)
		}
	}
}

// The whole ceremony on two machines that share nothing but a folder: afterwards the
// issuer issues, its chain verifies, and the root's key never was on its host.
func TestCeremony(t *testing.T) {
	offline, online, folder := machine{t, t.TempDir()}, machine{t, t.TempDir()}, t.TempDir()
	yes := strings.Repeat("yes\n", 20)
	for _, act := range []struct {
		at   machine
		name string
		says []string
	}{
		{offline, "root", []string{"未联网", "SHA-256"}},
		{online, "request", []string{"证书请求"}},
		{offline, "sign", []string{"签发CA P-256", "签发CA RSA-2048", "序列号"}},
		{online, "install", []string{"安装完成"}},
	} {
		screen, transcript, err := act.at.play(act.name, folder, yes)
		if err != nil {
			t.Fatalf("%s: %v\n%s", act.name, err, screen)
		}
		for _, want := range append(act.says, "李见证", "周见证") {
			if !strings.Contains(screen, want) {
				t.Errorf("%s: the screen lacks %q", act.name, want)
			}
		}
		for _, want := range []string{"confirmed\t李见证", "confirmed\t周见证", "end\tcomplete", "sha256 "} {
			if !strings.Contains(transcript, want) {
				t.Errorf("%s: the transcript lacks %q:\n%s", act.name, want, transcript)
			}
		}
	}

	hsm, shut := online.open()
	defer shut()
	if there, err := hsm.Present(RootToken); there || err != nil {
		t.Errorf("the root's token is on the issuer's host: %v, %v", there, err)
	}
	f := &fixture{dir: online.dir, hsm: hsm, ledger: newMemoryLedger()}
	if err := InitCA(t.Context(), config(online.dir, hsm)); err != nil {
		t.Errorf("ca init beside an offline root: %v", err)
	}
	p := f.mustPipeline(t)
	is, err := p.Make(t.Context(), request("c1-1", "c1", CompanyP256))
	if err != nil {
		t.Fatal(err)
	}
	checkDone(t, f, p, is)
	root, issuing := writeTemp(t, encodePEM(p.ca.Root.Raw)), writeTemp(t, encodePEM(p.ca.Issuing[P256Token].Raw))
	run(t, nil, "openssl", "verify", "-x509_strict", "-CAfile", root, "-untrusted", issuing, writeTemp(t, encodePEM(is.Certificate)))
	crl, err := ReadRootCRL(filepath.Join(online.dir, "ca"))
	if err != nil {
		t.Fatal(err)
	}
	if list, err := x509.ParseRevocationList(crl); err != nil || len(list.RevokedCertificateEntries) != 0 {
		t.Errorf("the root's list: %v", err)
	}
}

// A witness who does not confirm ends the act, and the transcript says who; the act
// can be played again, and what was made stays.
func TestWitnessRefuses(t *testing.T) {
	m, folder := machine{t, t.TempDir()}, t.TempDir()
	_, transcript, err := m.play("root", folder, "yes\nyes\nyes\nno\n")
	if err == nil || !strings.Contains(transcript, "refused\t周见证") || !strings.Contains(transcript, "broken off") {
		t.Errorf("%v\n%s", err, transcript)
	}
	first, err := os.ReadFile(filepath.Join(folder, "root.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := m.play("root", folder, strings.Repeat("yes\n", 20)); err != nil {
		t.Fatal(err)
	}
	if again, err := os.ReadFile(filepath.Join(folder, "root.pem")); err != nil || !bytes.Equal(first, again) {
		t.Errorf("another root the second time: %v", err)
	}
}

// What the root signs is exactly what the table says: a request by another name, a
// weak or foreign key or a damaged file is refused, and so is another root.
func TestCeremonyRefuses(t *testing.T) {
	offline, online, folder := machine{t, t.TempDir()}, machine{t, t.TempDir()}, t.TempDir()
	yes := strings.Repeat("yes\n", 20)
	if _, _, err := online.play("request", folder, yes); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("requests without a root: %v", err)
	}
	for _, act := range []struct {
		at   machine
		name string
	}{{offline, "root"}, {online, "request"}} {
		if _, _, err := act.at.play(act.name, folder, yes); err != nil {
			t.Fatal(err)
		}
	}
	file := requestFile(folder, "issuing-p256")
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	foreign := machine{t, t.TempDir()}
	other := t.TempDir()
	if err := os.CopyFS(other, os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	rsaRequest, err := os.ReadFile(requestFile(folder, "issuing-rsa"))
	if err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Clone(good)
	damaged[len(damaged)/2] ^= 1
	for name, text := range map[string][]byte{
		"the other CA's request": rsaRequest, "a damaged file": damaged, "no request": []byte("nothing"), "two requests": append(bytes.Clone(good), good...),
		"a subscriber's request": []byte(run(t, nil, "openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "/dev/null", "-subj", "/C=CN/O=evil/CN=evil", "-batch")),
	} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := offline.play("sign", folder, yes); err == nil {
			t.Errorf("signed %s", name)
		}
	}
	if err := os.WriteFile(file, good, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := offline.play("sign", folder, yes); err != nil {
		t.Fatal(err)
	}
	if _, _, err := foreign.play("install", folder, yes); err == nil {
		t.Error("certificates were installed beside other keys")
	}
	if _, _, err := online.play("install", folder, yes); err != nil {
		t.Fatal(err)
	}
	second := machine{t, t.TempDir()}
	if _, _, err := second.play("root", other, yes); err != nil {
		t.Fatal(err)
	}
	if _, _, err := online.play("request", other, yes); err == nil {
		t.Error("a second root was accepted")
	}
	for _, witnesses := range [][]string{{"李见证"}, {"李见证", "李见证"}, {"", "周见证"}, {"a\tb", "周见证"}} {
		if checkWitnesses(witnesses) == nil {
			t.Errorf("witnesses %q", witnesses)
		}
	}
}
