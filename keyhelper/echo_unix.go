//go:build !windows

package main

import (
	"os"
	"os/exec"
)

// hideEcho keeps what is typed from appearing, through the stty that every Unix
// has, until restore is called.
func hideEcho(tty *os.File) (restore func(), err error) {
	stty := func(arg string) error {
		cmd := exec.Command("stty", arg) //nolint:noctx,gosec // it ends by itself; arg is ours
		cmd.Stdin = tty
		return cmd.Run()
	}
	if err := stty("-echo"); err != nil {
		return nil, err
	}
	return func() { _ = stty("echo") }, nil
}
