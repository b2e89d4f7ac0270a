package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// idleTime is how long a started process rests before its memory is read.
const idleTime = 10 * time.Second

// process is what one product process costs.
type process struct {
	ready time.Duration // from start on existing data to /readyz 200; median
	idle  int64         // resident bytes at rest
}

// measureProcess starts the binary on a fresh folder once, to make the data, and
// then starts times on that data.
func measureProcess(ctx context.Context, binary, dir string, starts int) (process, error) {
	dir = filepath.Join(dir, "process")
	var took []time.Duration
	var idle int64
	for i := range starts + 1 {
		err := func() error {
			p, err := start(ctx, binary, dir)
			if err != nil {
				return err
			}
			ready, err := p.waitReady(ctx)
			if err == nil && i > 0 {
				took = append(took, ready)
			}
			if err == nil && i == starts {
				pause(ctx, idleTime)
				idle, err = p.resident()
			}
			return errors.Join(err, p.stop())
		}()
		if err != nil {
			return process{}, fmt.Errorf("start %d of %s: %w", i+1, binary, err)
		}
	}
	return process{median(took), idle}, nil
}

// started is a running product.
type started struct {
	cmd   *exec.Cmd
	since time.Time
	url   string
	log   string
}

func start(ctx context.Context, binary, dir string) (*started, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	listen := l.Addr().String()
	if err := l.Close(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	p := &started{cmd: exec.CommandContext(ctx, binary, "serve"), url: "http://" + listen, log: filepath.Join(dir, "bench.log")}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the child has its own
	p.cmd.Stderr = log
	p.cmd.Env = append(withoutOurs(os.Environ()), "YCD_DATA_DIR="+dir, "YCD_LISTEN="+listen, "YCD_PUBLIC_URL="+p.url)
	p.since = now()
	return p, p.cmd.Start()
}

// withoutOurs drops the settings of whoever runs the benchmark.
func withoutOurs(environ []string) []string {
	var out []string
	for _, e := range environ {
		if !strings.HasPrefix(e, "YCD_") && !strings.HasPrefix(e, "SOFTHSM2_CONF=") {
			out = append(out, e)
		}
	}
	return out
}

// waitReady asks /readyz until it says yes.
func (p *started) waitReady(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/readyz", nil)
		if err != nil {
			return 0, err
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return now().Sub(p.since), nil
			}
		}
		if pause(ctx, 10*time.Millisecond); ctx.Err() != nil {
			log, _ := os.ReadFile(p.log)
			return 0, fmt.Errorf("not ready after a minute: %w\n%s", ctx.Err(), log)
		}
	}
}

// resident is the process's resident set.
func (p *started) resident() (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("no VmRSS")
}

func (p *started) stop() error {
	return errors.Join(p.cmd.Process.Signal(syscall.SIGTERM), p.cmd.Wait())
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
