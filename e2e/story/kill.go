package story

import (
	"errors"
	"os/exec"
	"slices"
	"strings"
	"syscall"
)

// The steps at which a key helper built with -tags faults can be killed.
var (
	writeSteps  = []string{"write-started", "write-proven", "write-key-made", "write-certified", "write-written", "write-read"}
	unlockSteps = []string{"unlock-secret", "unlock-started", "unlock-pin-set", "unlock-marked", "unlock-so-rotated", "unlock-noted", "unlock-proven"}
)

// killedAt kills a helper at each of the steps, one run after the other; after each
// the USBKEY can be opened, with one of the PINs if there are any.
func (p *player) killedAt(steps []string, token string, begin func() (cmd *exec.Cmd, pin string), pins ...string) {
	for _, step := range steps {
		cmd, pin := begin()
		cmd.Env = append(cmd.Env, "FAILPOINT="+step)
		cmd.Stdin = strings.NewReader(pin + "\n" + pin + "\n")
		said, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		var status syscall.WaitStatus
		if errors.As(err, &exit) {
			status, _ = exit.Sys().(syscall.WaitStatus)
		}
		p.check(status.Signal() == syscall.SIGKILL, "证书助手在 "+step+" 断电", string(said), err)
		if len(pins) == 0 {
			pins = []string{pin}
		}
		p.check(slices.ContainsFunc(pins, func(pin string) bool { return p.logsIn(token, pin) }), "断电后 UKEY 可以打开")
	}
}
