//go:build faults

package issuance

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// Reliability 6: killed at each named failpoint in turn, the next process completes
// the issue with one certificate under the serial that was reserved.
// Run with: go test -tags faults -run TestFailpoints ./issuance
func TestFailpoints(t *testing.T) {
	f := newFixture(t)
	if err := f.hsm.Close(); err != nil { // the victims use the folder alone
		t.Fatal(err)
	}
	file := filepath.Join(f.dir, "ledger.json")
	points := []string{"key-made"}
	for _, s := range steps {
		points = append(points, "before-"+s.name, "after-"+s.name, "committed-"+s.name)
	}
	reserved := map[string]string{} // serial by issue
	for _, point := range points {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKillVictim$")
		cmd.Env = append(os.Environ(), killDirEnv+"="+f.dir, "FAILPOINT="+point)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("%s: %v\n%s", point, err, out)
		}
		ledger, err := openFileLedger(file)
		if err != nil {
			t.Fatal(err)
		}
		for id, is := range ledger.issues {
			if old := reserved[id]; old != "" && old != is.Serial {
				t.Errorf("%s: issue %s had serial %s, now %s", point, id, old, is.Serial)
			}
			reserved[id] = is.Serial
		}
	}
	f.hsm = emptyHSM(t, f.dir)
	ledger, err := openFileLedger(file)
	if err != nil {
		t.Fatal(err)
	}
	f.ledger = ledger.memoryLedger
	p := f.mustPipeline(t)
	for id := range f.ledger.issues {
		is, err := p.Run(t.Context(), id)
		if err != nil {
			t.Errorf("issue %s: %v", id, err)
			continue
		}
		checkDone(t, f, p, is)
	}
	if len(f.ledger.history) != len(f.ledger.issues) {
		t.Errorf("%d serials for %d issues", len(f.ledger.history), len(f.ledger.issues))
	}
}
