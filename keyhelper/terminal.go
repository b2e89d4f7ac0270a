package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/yuncaidun/yuncaidun/issuance/token"
)

// terminal is the person at the keyboard. What is typed as a PIN does not appear.
type terminal struct {
	in  *bufio.Reader
	tty *os.File // nil when the input is no keyboard
	out io.Writer
}

func newTerminal(in *os.File, out io.Writer) *terminal {
	t := &terminal{in: bufio.NewReader(in), out: out}
	if info, err := in.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		t.tty = in
	}
	return t
}

func (t *terminal) say(format string, args ...any) { fmt.Fprintf(t.out, format+"\n", args...) }

// ask reads one line, unless ctx ends first: whoever presses Ctrl-C does not wait for
// Enter. Nothing is asked after that.
func (t *terminal) ask(ctx context.Context, prompt string) (string, error) {
	fmt.Fprint(t.out, prompt)
	typed := make(chan string, 1)
	go func() {
		line, _ := t.in.ReadString('\n') // what came before an error counts
		typed <- line
	}()
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case line := <-typed:
		if line == "" {
			return "", errors.New("没有输入")
		}
		return strings.TrimSpace(line), nil
	}
}

// secretly is ask without an echo.
func (t *terminal) secretly(ctx context.Context, prompt string) (string, error) {
	if t.tty == nil {
		return t.ask(ctx, prompt)
	}
	restore, err := hideEcho(t.tty)
	if err != nil {
		return "", fmt.Errorf("无法关闭回显，不在此输入口令: %w", err)
	}
	defer func() { restore(); fmt.Fprintln(t.out) }()
	return t.ask(ctx, prompt)
}

// pinTries is how often somebody may mistype the new PIN.
const pinTries = 3

// newPIN asks for a new PIN, twice (F79), and warns of a weak one (G5).
func (t *terminal) newPIN(ctx context.Context, p plugged) (token.PIN, error) {
	least, most := p.PINLength()
	for range pinTries {
		first, err := t.secretly(ctx, fmt.Sprintf("新口令（%d 至 %d 位数字，建议 6 位以上）：", least, most))
		if err != nil {
			return "", err
		}
		pin := token.PIN(first)
		if err := checkPIN(p, pin); err != nil {
			t.say("%s", plain(err))
			continue
		}
		second, err := t.secretly(ctx, "再次确认新口令：")
		if err != nil {
			return "", err
		}
		if first != second {
			t.say("两次输入的口令不一致。")
			continue
		}
		if token.WeakPIN(pin) {
			t.say("提醒：这个口令容易被猜到，建议以后换一个。")
		}
		return pin, nil
	}
	return "", errors.New("口令没有设置，UKEY 没有改变")
}
