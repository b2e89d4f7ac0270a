package faults

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binDir holds the binaries under test.
var binDir string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if binDir, err = os.MkdirTemp("", "ycd-faults-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(binDir)
		return m.Run()
	}())
}

// The binaries, each built once: as it is shipped, and with failpoints.
var (
	shipped = sync.OnceValues(func() (string, error) { return build("shipped", "") })
	faulty  = sync.OnceValues(func() (string, error) { return build("faulty", "faults") })
)

func build(name, tags string) (string, error) {
	if err := dependOn("../.."); err != nil {
		return "", err
	}
	path := filepath.Join(binDir, name)
	cmd := exec.Command("go", "build", "-tags", tags, "-o", path, ".")
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w\n%s", name, err, out)
	}
	return path, nil
}

// dependOn looks at every source file, which tells go test that a cached result
// is void when one of them changes.
func dependOn(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (path != root && strings.HasPrefix(d.Name(), ".") || d.Name() == "var" || d.Name() == "bin" || d.Name() == "node_modules"):
			return filepath.SkipDir
		case d.Type().IsRegular():
			_, err = os.Stat(path)
		}
		return err
	})
}

// process is one process of the product. It can be started again after it ended.
type process struct {
	bin, url string
	watch    string // where it says whether it is ready
	env      []string
	roles    string
	log      string

	cmd   *exec.Cmd
	ended chan struct{}
}

// newProcess prepares a process of a binary on a port of its own; with roles, it
// plays only those. Its log is kept from start to start.
func newProcess(t *testing.T, binary func() (string, error), roles string, env ...string) *process {
	t.Helper()
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	listen := freeAddress(t)
	p := &process{
		bin: bin, url: "http://" + listen, watch: "http://" + listen, roles: roles, log: filepath.Join(t.TempDir(), "log"),
		env: append([]string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir(), "YCD_LISTEN=" + listen, "YCD_MAX_DRAFTS=0"}, env...),
	}
	t.Cleanup(func() {
		if p.running() {
			p.kill(t)
		}
		if t.Failed() {
			text, _ := os.ReadFile(p.log)
			t.Logf("log of %s:\n%s", roles, text[max(0, len(text)-20_000):])
		}
	})
	return p
}

// errorsBesides are the errors in the log of a process that are not about something.
func (p *process) errorsBesides(t *testing.T, expected string) string {
	t.Helper()
	text, err := os.ReadFile(p.log)
	if err != nil {
		t.Error(err)
	}
	lines := slices.DeleteFunc(strings.Split(string(text), "\n"), func(line string) bool {
		return !strings.Contains(line, "level=ERROR") || strings.Contains(line, expected)
	})
	return strings.Join(lines, "\n")
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// launch starts the process and does not wait.
func (p *process) launch(t *testing.T, env ...string) {
	t.Helper()
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	p.cmd = exec.Command(p.bin, "serve", "--roles", p.roles)
	p.cmd.Env = append(p.env[:len(p.env):len(p.env)], env...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) {
		_ = cmd.Wait() // how it ended is in its state
		close(ended)
	}(p.cmd, p.ended)
}

// start launches the process and waits until it is ready.
func (p *process) start(t *testing.T, env ...string) {
	t.Helper()
	p.launch(t, env...)
	eventually(t, time.Minute, "readiness of "+p.roles, func() error {
		if !p.running() {
			return stop{fmt.Errorf("it ended: %v", p.cmd.ProcessState)}
		}
		return p.ready()
	})
}

// ready asks the process.
func (p *process) ready() error {
	status, _, body, err := get(p.watch + "/readyz")
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%d %s", status, body)
	}
	return err
}

func (p *process) running() bool {
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// wait waits for the end of the process and returns the signal that ended it, or
// 0 when it exited by itself.
func (p *process) wait(t *testing.T, atMost time.Duration) syscall.Signal {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(atMost):
		t.Fatalf("the process did not end within %s", atMost)
	}
	if s := p.cmd.ProcessState.Sys().(syscall.WaitStatus); s.Signaled() {
		return s.Signal()
	}
	return 0
}

// kill ends the process like a power cut does.
func (p *process) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	p.wait(t, 10*time.Second)
}

// stop ends the process as an operator does.
func (p *process) stop(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if p.wait(t, 30*time.Second); p.cmd.ProcessState.ExitCode() != 0 {
		t.Errorf("stopped with %s", p.cmd.ProcessState)
	}
}

// run runs a command of the product with the process's environment.
func (p *process) run(t *testing.T, args ...string) (code int, out string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), p.bin, args...)
	cmd.Env = p.env
	b, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	} else if ok {
		return exit.ExitCode(), string(b)
	}
	return 0, string(b)
}

// must is run for a command that has to succeed.
func (p *process) must(t *testing.T, args ...string) string {
	t.Helper()
	code, out := p.run(t, args...)
	if code != 0 {
		t.Fatalf("%v exited with %d: %s", args, code, out)
	}
	return out
}

// stop is an error that no waiting can mend.
type stop struct{ error }

// eventually looks again and again until holds returns nil.
func eventually(t testing.TB, atMost time.Duration, what string, holds func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), atMost)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := holds()
		if err == nil {
			return
		}
		if _, hopeless := errors.AsType[stop](err); hopeless {
			t.Fatalf("%s: %v", what, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: not within %s: %v", what, atMost, err)
		}
	}
}
