package story

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Instance is a private process of the product, with its own data and port.
type Instance struct {
	URL     string // of its pages, without a trailing slash
	DataDir string
	// Settings are more of its configuration, as environment variables; the next
	// start reads them.
	Settings []string

	binary string
	listen string
	cmd    *exec.Cmd
	log    *os.File
	ended  chan error
}

// logName is where an instance's log goes, in its data folder.
const logName = "serve.log"

// NewInstance prepares an instance of the executable on a free loopback port.
func NewInstance(ctx context.Context, binary, dataDir string) (*Instance, error) {
	dataDir, err := filepath.Abs(dataDir)
	if err != nil {
		return nil, err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	listen := l.Addr().String()
	return &Instance{URL: "http://" + listen, DataDir: dataDir, binary: binary, listen: listen}, l.Close()
}

// Environ is the environment in which commands work on the instance's data.
func (i *Instance) Environ() []string {
	return slices.Concat(os.Environ(), []string{"YCD_DATA_DIR=" + i.DataDir, "YCD_LISTEN=" + i.listen, "YCD_PUBLIC_URL=" + i.URL}, i.Settings)
}

// Start runs the instance until ctx ends or Stop, and returns once it is ready.
func (i *Instance) Start(ctx context.Context) error {
	if err := os.MkdirAll(i.DataDir, 0o700); err != nil {
		return err
	}
	log, err := os.OpenFile(i.LogFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	i.log = log
	i.cmd = exec.CommandContext(ctx, i.binary, "serve") //nolint:gosec // the executable under test
	i.cmd.Env, i.cmd.Stdout, i.cmd.Stderr = i.Environ(), log, log
	i.cmd.Cancel = func() error { return i.cmd.Process.Signal(syscall.SIGTERM) }
	i.cmd.WaitDelay = patience
	if err := i.cmd.Start(); err != nil {
		return errors.Join(err, log.Close())
	}
	ended := make(chan error, 1)
	i.ended = ended
	go func(cmd *exec.Cmd) { ended <- errors.Join(cmd.Wait(), log.Close()) }(i.cmd)
	err = Poll(ctx, patience, func(ctx context.Context) (bool, error) {
		select {
		case err := <-ended:
			ended <- err
			return false, fmt.Errorf("the instance ended: %w", err)
		default:
			return i.ready(ctx), nil
		}
	})
	if err != nil {
		return errors.Join(fmt.Errorf("starting the product: %w (see %s)", err, i.LogFile()), i.Stop(ctx))
	}
	return nil
}

// LogFile holds everything that the instance logged.
func (i *Instance) LogFile() string { return filepath.Join(i.DataDir, logName) }

func (i *Instance) ready(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, i.URL+"/readyz", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
}

// Stop ends the instance as an operator does, with SIGTERM, and waits. An exit
// code other than 0 is an error.
func (i *Instance) Stop(ctx context.Context) error {
	if i.ended == nil {
		return nil
	}
	if err := i.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	select {
	case err := <-i.ended:
		i.ended = nil
		return err
	case <-ctx.Done():
		i.ended = nil
		return errors.Join(errors.New("the instance did not stop after SIGTERM"), i.cmd.Process.Kill())
	}
}

// Command runs a subcommand of the executable on the instance's data and
// returns what it printed.
func (i *Instance) Command(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, i.binary, args...) //nolint:gosec // the executable under test
	cmd.Env = i.Environ()
	return output(cmd)
}

// output runs a command; what it says on stderr is part of the error.
func output(cmd *exec.Cmd) (string, error) {
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Path), err, strings.TrimSpace(said.String()))
	}
	return string(out), err
}

// patience is how long anything that the product promises may take.
const patience = 30 * time.Second

// pace is how often a condition is looked at again.
const pace = 50 * time.Millisecond

// errTooLong says that a condition did not come true in time.
var errTooLong = errors.New("it took too long")

// Poll looks at a condition until it holds, fails or has had its time.
func Poll(ctx context.Context, atMost time.Duration, holds func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, atMost, errTooLong)
	defer cancel()
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for {
		ok, err := holds(ctx)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case ok || err != nil:
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
