package issuance

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/issuance/token"
)

const (
	softHSM = "/usr/lib/softhsm/libsofthsm2.so"
	testPIN = token.PIN("12345678")
)

// pristine is a folder with a CA in it, made once and copied for each test.
var pristine struct {
	sync.Once
	dir string
	err error
}

func TestMain(m *testing.M) {
	if pristine.dir, pristine.err = os.MkdirTemp("", "issuance-test"); pristine.err != nil {
		panic(pristine.err)
	}
	code := m.Run()
	_ = os.RemoveAll(pristine.dir)
	os.Exit(code)
}

func config(dir string, hsm *token.Module) Config {
	return Config{
		Dir: filepath.Join(dir, "ca"), HSM: hsm, PIN: testPIN, Name: "云采盾测试", BaseURL: "http://127.0.0.1:8080/pki",
		PolicyOID: "2.999.1.1", Sessions: 4, Now: time.Now,
	}
}

// emptyHSM loads SoftHSM on the folder. A module exists once per process, so tests
// that use it do not run in parallel.
func emptyHSM(t testing.TB, dir string) *token.Module {
	t.Helper()
	return loadHSM(t, dir, softHSM)
}

func loadHSM(t testing.TB, dir, module string) *token.Module {
	t.Helper()
	if err := token.ConfigureSoftHSM(dir); err != nil {
		t.Fatal(err)
	}
	m, err := token.Load(module)
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

// fixture is a CA of its own, its HSM and a ledger.
type fixture struct {
	dir    string
	hsm    *token.Module
	ledger *memoryLedger
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	return newFixtureOn(t, softHSM)
}

func newFixtureOn(t testing.TB, module string) *fixture {
	t.Helper()
	pristine.Do(func() { pristine.err = makePristine(pristine.dir) })
	if pristine.err != nil {
		t.Fatal(pristine.err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(pristine.dir)); err != nil {
		t.Fatal(err)
	}
	return &fixture{dir: dir, hsm: loadHSM(t, dir, module), ledger: newMemoryLedger()}
}

func makePristine(dir string) error {
	if err := token.ConfigureSoftHSM(dir); err != nil {
		return err
	}
	m, err := token.Load(softHSM)
	if err != nil {
		return err
	}
	return errors.Join(InitCA(context.Background(), config(dir, m)), m.Close())
}

// pipeline opens the CA anew, as a process does that has just started.
func (f *fixture) pipeline(t testing.TB, ledger Ledger) (p *Pipeline, shut func()) {
	t.Helper()
	ca, err := OpenCA(t.Context(), config(f.dir, f.hsm))
	if err != nil {
		t.Fatal(err)
	}
	return NewPipeline(ca, f.hsm, ledger, time.Now), ca.Close
}

func (f *fixture) mustPipeline(t testing.TB) *Pipeline {
	t.Helper()
	p, shut := f.pipeline(t, f.ledger)
	t.Cleanup(shut)
	return p
}

var company = Subject{Company: "新疆云采工程有限公司", USCC: "91650100MA77DABC1D"}

func request(id, item, profile string) Request {
	hash := sha256.Sum256([]byte("snapshot of " + item))
	return Request{ID: id, Item: item, SnapshotHash: hash[:], Profile: profile, Subject: company, Years: 1}
}

// run executes a program and returns what it prints.
func run(t *testing.T, stdin []byte, name string, args ...string) string {
	t.Helper()
	out, err := output(stdin, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

func output(stdin []byte, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func writeTemp(t *testing.T, data []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// countdown is a context that ends at the n-th time somebody asks whether it has:
// a crash at each place in turn where the code can stop.
type countdown struct {
	context.Context //nolint:containedctx // it is a context
	left            atomic.Int64
}

func newCountdown(ctx context.Context, n int) *countdown {
	c := &countdown{Context: ctx}
	c.left.Store(int64(n))
	return c
}

func (c *countdown) Err() error {
	if c.left.Add(-1) < 0 {
		return context.Canceled
	}
	return nil
}
