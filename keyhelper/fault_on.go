//go:build faults

package main

import (
	"os"
	"syscall"
)

// failpoint dies like a PC that loses power when the environment names it:
// FAILPOINT=renew-key-made. It exists in test builds only (-tags faults).
func failpoint(name string) {
	if os.Getenv("FAILPOINT") == name {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}
