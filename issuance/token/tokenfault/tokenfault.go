// Package tokenfault makes a PKCS#11 module for tests that fails when told to. It
// is a small C library around SoftHSM (testdata/fault.c says what it can do),
// compiled when it is first needed.
package tokenfault

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

//go:embed testdata/fault.c
var source []byte

// Module is the compiled module and the files by which a test talks to it.
type Module struct {
	// Path is what token.Load wants. Its name is SoftHSM's, for what is known of
	// SoftHSM holds for it too.
	Path  string
	rules string
	log   string
	hangs string
}

// built is the module of this process: a PKCS#11 module is initialised once per
// process, so all tests share one.
var built struct {
	sync.Once
	path string
	err  error
}

// Build returns the module, without rules and with an empty log. Without a C
// compiler the test fails.
func Build(t testing.TB) *Module {
	t.Helper()
	built.Do(func() { built.path, built.err = compile(t.Context()) })
	if built.err != nil {
		t.Fatal(built.err)
	}
	dir := t.TempDir()
	m := &Module{Path: built.path, rules: filepath.Join(dir, "rules"), log: filepath.Join(dir, "signatures"), hangs: filepath.Join(dir, "hangs")}
	t.Setenv("YCD_FAULT_RULES", m.rules)
	t.Setenv("YCD_FAULT_LOG", m.log)
	t.Setenv("YCD_FAULT_HANGS", m.hangs)
	return m
}

func compile(ctx context.Context) (string, error) {
	headers, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/miekg/pkcs11").Output()
	if err != nil {
		return "", fmt.Errorf("finding the PKCS#11 headers: %w", err)
	}
	dir, err := os.MkdirTemp("", "tokenfault-")
	if err != nil {
		return "", err
	}
	src, lib := filepath.Join(dir, "fault.c"), filepath.Join(dir, "libsofthsm2-fault.so")
	if err := os.WriteFile(src, source, 0o600); err != nil {
		return "", err
	}
	cc := os.Getenv("CC")
	if cc == "" {
		cc = "cc"
	}
	args := []string{"-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-Wno-unused-function", "-pthread", "-I", strings.TrimSpace(string(headers)), "-o", lib, src, "-ldl"}
	cmd := exec.CommandContext(ctx, cc, args...) //nolint:gosec // the compiler that cgo uses, too
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("compiling the fault module: %w\n%s", err, out)
	}
	return lib, nil
}

// Set replaces the rules; without any, every call passes. The module reads them
// before its next call.
func (m *Module) Set(t testing.TB, rules ...string) {
	t.Helper()
	next := m.rules + ".next" // renamed, so that no call sees half of it
	if err := os.WriteFile(next, []byte(strings.Join(rules, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, m.rules); err != nil {
		t.Fatal(err)
	}
}

// Signature is one successful C_Sign, whether or not its caller heard of it.
type Signature struct {
	Token string // the label
	Data  string // what was signed, lower-case hex
}

// Signatures returns what was signed since Build.
func (m *Module) Signatures(t testing.TB) []Signature {
	t.Helper()
	var out []Signature
	for line := range strings.Lines(read(t, m.log)) {
		label, data, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			t.Fatalf("signature log: %q", line)
		}
		out = append(out, Signature{label, data})
	}
	return out
}

// Hangs returns how many calls have begun to hang since Build.
func (m *Module) Hangs(t testing.TB) int {
	t.Helper()
	return strings.Count(read(t, m.hangs), "\n")
}

// read returns what the module has written to a file, which it makes when it first
// has something to say.
func read(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path) //nolint:gosec // in the folder that Build made
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(text)
}
