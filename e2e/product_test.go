package e2e

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/e2e/story"
)

// binary is the product's executable, built once for all tests.
var binary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "yuncaidun-e2e-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "yuncaidun")
	helper := filepath.Join(dir, "keyhelper") // where the demonstration looks for it
	if err := errors.Join(dependOn(".."), build(context.Background(), binary), buildPackage(context.Background(), helper, "/keyhelper")); err != nil {
		panic(err)
	}
	return m.Run()
}

// dependOn looks at every source file, which tells go test that a remembered
// result is void when one of them changes.
func dependOn(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && slices.Contains([]string{".git", "node_modules", "bin", "var"}, d.Name()) {
			return fs.SkipDir
		}
		if err == nil {
			_, err = os.Stat(path)
		}
		return err
	})
}

// build makes an executable of the product.
func build(ctx context.Context, out string, flags ...string) error {
	return buildPackage(ctx, out, "", flags...)
}

func buildPackage(ctx context.Context, out, path string, flags ...string) error {
	args := append([]string{"build", "-o", out}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, "github.com/yuncaidun/yuncaidun"+path)...)
	said, err := cmd.CombinedOutput()
	if err != nil {
		return errors.Join(err, errors.New(string(said)))
	}
	return nil
}

// demo runs the demonstration and returns what it printed and its exit code.
func demo(t *testing.T, binary string, environ ...string) (string, int) {
	t.Helper()
	return demoWith(t, binary, nil, environ...)
}

// demoWith is demo with flags.
func demoWith(t *testing.T, binary string, flags []string, environ ...string) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, append([]string{"demo"}, flags...)...)
	cmd.Env = append(os.Environ(), environ...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	said, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(said), cmd.ProcessState.ExitCode()
}

// product starts an instance of the product for one test.
func product(t *testing.T) (*story.Instance, story.Playground) {
	t.Helper()
	return productIn(t, t.TempDir())
}

// productIn is product on the data of a folder, with more settings.
func productIn(t *testing.T, dir string, settings ...string) (*story.Instance, story.Playground) {
	t.Helper()
	i, err := story.NewInstance(t.Context(), binary, dir)
	if err != nil {
		t.Fatal(err)
	}
	i.Settings = settings
	// The test's own context ends before its clean-up.
	if err := i.Start(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := i.Stop(context.Background()); err != nil {
			t.Error("stopping the product:", err)
		}
		if t.Failed() {
			log, _ := os.ReadFile(i.LogFile())
			t.Logf("the end of the product's log:\n%s", log[max(0, len(log)-4000):])
		}
	})
	return i, story.Playground{URL: i.URL}
}
