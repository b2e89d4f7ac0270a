package faults

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// redisServer is a private Redis that can be killed and started again.
type redisServer struct {
	port, dir string
	cmd       *exec.Cmd
}

func newRedis(t *testing.T) *redisServer {
	t.Helper()
	_, port, _ := strings.Cut(freeAddress(t), ":")
	r := &redisServer{port: port, dir: t.TempDir()}
	r.start(t)
	t.Cleanup(func() { r.kill(t) })
	return r
}

func (r *redisServer) url() string { return "redis://127.0.0.1:" + r.port + "/0" }

func (r *redisServer) start(t *testing.T) {
	t.Helper()
	r.cmd = exec.Command("redis-server", "--port", r.port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", r.dir)
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := r.client(t)
	defer c.Close()
	eventually(t, 10*time.Second, "Redis", func() error { return c.Ping(t.Context()).Err() })
}

// kill ends the server by its pid, with everything it knew.
func (r *redisServer) kill(t *testing.T) {
	if r.cmd == nil {
		return
	}
	if err := r.cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = r.cmd.Wait() // it was killed
	r.cmd = nil
}

func (r *redisServer) client(t *testing.T) *redis.Client {
	t.Helper()
	o, err := redis.ParseURL(r.url())
	if err != nil {
		t.Fatal(err)
	}
	return redis.NewClient(o)
}

// dump is everything that Redis holds, as text.
func (r *redisServer) dump(t *testing.T) string {
	t.Helper()
	c, ctx := r.client(t), t.Context()
	defer c.Close()
	keys, err := c.Keys(ctx, "*").Result()
	if err != nil || len(keys) == 0 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	var b strings.Builder
	for _, k := range keys {
		var v any
		switch kind := c.Type(ctx, k).Val(); kind {
		case "string":
			v = c.Get(ctx, k).Val()
		case "hash":
			v = c.HGetAll(ctx, k).Val()
		case "set":
			v = c.SMembers(ctx, k).Val()
		case "zset":
			v = c.ZRangeWithScores(ctx, k, 0, -1).Val()
		case "list":
			v = c.LRange(ctx, k, 0, -1).Val()
		default:
			t.Errorf("a Redis key of type %s", kind)
		}
		fmt.Fprintf(&b, "%s = %v\n", k, v)
	}
	return b.String()
}

// postgresServer is a private PostgreSQL that can be restarted.
type postgresServer struct {
	bin, dir, port string
	as             []string // how to run its commands: it refuses root
}

// newPostgres makes one as user postgres when run as root, as scripts/with-servers does.
func newPostgres(t *testing.T) *postgresServer {
	t.Helper()
	p := &postgresServer{bin: postgresBin(t)}
	var err error
	if p.dir, err = os.MkdirTemp("", "ycd-pg-"); err != nil { //nolint:usetesting // user postgres must reach it, and a socket's path is short
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(p.dir) })
	if os.Geteuid() == 0 {
		p.as = []string{"runuser", "-u", "postgres", "--"}
		if out, err := exec.Command("chown", "postgres", p.dir).CombinedOutput(); err != nil {
			t.Fatalf("chown: %v %s", err, out)
		}
	}
	_, p.port, _ = strings.Cut(freeAddress(t), ":")
	p.run(t, "initdb", "-D", p.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
	p.ctl(t, "start")
	t.Cleanup(func() { p.ctl(t, "stop") })
	return p
}

func postgresBin(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if path, lookErr := exec.LookPath("initdb"); lookErr == nil {
		found = append(found, path)
	}
	if err != nil || len(found) == 0 {
		t.Fatal("PostgreSQL is missing; run: scripts/setup test")
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path)))) // 0 for one in PATH
		return n
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) }))
}

func (p *postgresServer) data() string { return filepath.Join(p.dir, "data") }

func (p *postgresServer) run(t *testing.T, name string, args ...string) {
	t.Helper()
	argv := append(append(slices.Clone(p.as), filepath.Join(p.bin, name)), args...)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = "/"
	// A file, not a pipe: the server inherits it and would keep a pipe open.
	out, err := os.CreateTemp(t.TempDir(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		text, _ := os.ReadFile(out.Name())
		t.Fatalf("%s: %v\n%s", name, err, text)
	}
}

// ctl starts, stops or restarts the server; what runs is aborted, as in a crash.
func (p *postgresServer) ctl(t *testing.T, what string) {
	t.Helper()
	args := []string{"-D", p.data(), "-s", "-w", "-m", "immediate"}
	if what != "stop" {
		args = append(args, "-l", filepath.Join(p.dir, "log"),
			"-o", "-p "+p.port+" -c listen_addresses=127.0.0.1 -c unix_socket_directories="+p.dir+" -c max_connections=200")
	}
	p.run(t, "pg_ctl", append(args, what)...)
}

func (p *postgresServer) dsn() string {
	return "postgres://postgres@127.0.0.1:" + p.port + "/postgres?sslmode=disable"
}
