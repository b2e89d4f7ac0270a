package main

import (
	"os"
	"syscall"
)

const enableEchoInput = 0x0004

var setConsoleMode = syscall.NewLazyDLL("kernel32.dll").NewProc("SetConsoleMode")

// hideEcho keeps what is typed from appearing until restore is called.
func hideEcho(tty *os.File) (restore func(), err error) {
	h := syscall.Handle(tty.Fd())
	var mode uint32
	if err := syscall.GetConsoleMode(h, &mode); err != nil {
		return nil, err
	}
	set := func(m uint32) error {
		if ok, _, err := setConsoleMode.Call(uintptr(h), uintptr(m)); ok == 0 {
			return err
		}
		return nil
	}
	if err := set(mode &^ enableEchoInput); err != nil {
		return nil, err
	}
	return func() { _ = set(mode) }, nil
}
