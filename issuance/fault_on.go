//go:build faults

package issuance

import (
	"os"
	"syscall"
)

// failpoint dies like a machine that loses power when the environment names it:
// FAILPOINT=after-sign. It exists in test builds only (-tags faults).
func failpoint(name string) {
	if os.Getenv("FAILPOINT") == name {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}
