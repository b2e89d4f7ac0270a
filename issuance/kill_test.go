package issuance

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/issuance/token"
)

// fileLedger is a memoryLedger that survives its process: each change is written
// to a file before it is acknowledged.
type fileLedger struct {
	*memoryLedger
	file string
}

type ledgerFile struct {
	Issues  map[string]Issue
	Tokens  map[string]TokenRecord
	Number  uint64
	History []string
}

func openFileLedger(file string) (*fileLedger, error) {
	l := &fileLedger{newMemoryLedger(), file}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return nil, err
	}
	var stored ledgerFile
	if err := json.Unmarshal(text, &stored); err != nil {
		return nil, err
	}
	l.issues, l.tokens, l.number, l.history = stored.Issues, stored.Tokens, stored.Number, stored.History
	return l, nil
}

func (l *fileLedger) save(err error) error {
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	text, err := json.Marshal(ledgerFile{l.issues, l.tokens, l.number, l.history})
	if err != nil {
		return err
	}
	return writeFile(l.file, text, 0o600)
}

func (l *fileLedger) OpenIssue(ctx context.Context, is Issue) (Issue, error) {
	is, err := l.memoryLedger.OpenIssue(ctx, is)
	return is, l.save(err)
}

func (l *fileLedger) AdvanceIssue(ctx context.Context, from Stage, is Issue, tok *TokenRecord) error {
	return l.save(l.memoryLedger.AdvanceIssue(ctx, from, is, tok))
}

func (l *fileLedger) NextTokenNumber(ctx context.Context) (uint64, error) {
	n, err := l.memoryLedger.NextTokenNumber(ctx)
	return n, l.save(err)
}

const killDirEnv = "YCD_TEST_KILL_DIR"

// makeKeys is what the process does that will be killed: it makes the CA if there
// is none, and one USBKEY after another.
func makeKeys(ctx context.Context, dir string) error {
	if err := token.ConfigureSoftHSM(dir); err != nil {
		return err
	}
	m, err := token.Load(softHSM)
	if err != nil {
		return err
	}
	defer m.Close()
	cfg := config(dir, m)
	fmt.Println("making CA")
	if err := InitCA(ctx, cfg); err != nil {
		return err
	}
	ca, err := OpenCA(ctx, cfg)
	if err != nil {
		return err
	}
	defer ca.Close()
	ledger, err := openFileLedger(filepath.Join(dir, "ledger.json"))
	if err != nil {
		return err
	}
	p := NewPipeline(ca, m, ledger, time.Now)
	fmt.Println("making keys")
	for item := 0; ; item++ {
		r := request(fmt.Sprintf("k%d.1", item), fmt.Sprintf("k%d", item), CompanyP256)
		if _, err := p.Open(ctx, r); err != nil {
			return err
		}
		if _, err := p.Run(ctx, r.ID); err != nil {
			return err
		}
	}
}

// TestKillVictim is the process that the tests below kill; alone it does nothing.
func TestKillVictim(t *testing.T) {
	if dir := os.Getenv(killDirEnv); dir != "" {
		t.Fatal(makeKeys(t.Context(), dir))
	}
}

// kill starts the victim and ends it with SIGKILL a while after it says word.
func kill(t *testing.T, dir, word string, after time.Duration) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKillVictim$")
	cmd.Env = append(os.Environ(), killDirEnv+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for said := ""; said != word && lines.Scan(); {
		said = lines.Text()
	}
	<-time.After(after)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
		if text := lines.Text(); text != "making keys" {
			t.Error(text) // it stopped before it was killed
		}
	}
	_ = cmd.Wait()
}

// Reliability 7: a process that makes keys is killed with SIGKILL again and again,
// wherever it is; afterwards every issue that was opened ends with exactly one
// certificate and a key that answers, and every serial is accounted for.
func TestKill9(t *testing.T) {
	const kills = 30
	f := newFixture(t)
	if err := f.hsm.Close(); err != nil { // the victims use the folder alone
		t.Fatal(err)
	}
	file := filepath.Join(f.dir, "ledger.json")
	left := map[Stage]int{}
	for i := range kills {
		// Later and later, in steps that fall between the pipeline's own.
		kill(t, f.dir, "making keys", time.Duration(i*3100)*time.Microsecond)
		ledger, err := openFileLedger(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, is := range ledger.issues {
			if is.Stage != StageDone {
				left[is.Stage]++
			}
		}
	}
	t.Logf("killed at: %v", left)
	f.hsm = emptyHSM(t, f.dir)
	ledger, err := openFileLedger(file)
	if err != nil {
		t.Fatal(err)
	}
	f.ledger = ledger.memoryLedger
	p := f.mustPipeline(t)
	issued := map[string]bool{}
	for id, is := range f.ledger.issues {
		done, err := p.Run(t.Context(), id)
		if err != nil {
			t.Errorf("issue %s, left at %s: %v", id, is.Stage, err)
			continue
		}
		checkDone(t, f, p, done)
		issued[done.Serial] = true
	}
	if len(f.ledger.history) != len(issued) || len(issued) == 0 {
		t.Errorf("%d serials were reserved for %d certificates", len(f.ledger.history), len(issued))
	}
}

// The making of the CA, killed again and again, ends with one whole CA.
func TestKill9WhileMakingTheCA(t *testing.T) {
	const kills = 15
	dir := t.TempDir()
	for i := range kills {
		kill(t, dir, "making CA", time.Duration(i*7)*time.Millisecond)
	}
	cfg := config(dir, emptyHSM(t, dir))
	if err := InitCA(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	ca, err := OpenCA(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer ca.Close()
	if err := ca.Health(t.Context()); err != nil {
		t.Error(err)
	}
}
