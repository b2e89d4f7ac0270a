package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/yuncaidun/yuncaidun/issuance/token"
)

// DefaultListen is where pages look for the helper.
const DefaultListen = "127.0.0.1:27180"

// defaultOrigins are the portals whose pages may use the helper, separated by
// spaces. A distributor sets them with -ldflags "-X main.defaultOrigins=https://…".
var defaultOrigins = "http://127.0.0.1:8080"

type serveCmd struct {
	Listen string   `help:"监听地址，只能是本机。" default:"127.0.0.1:27180" placeholder:"HOST:PORT"`
	Origin []string `help:"允许使用助手的网站地址，可写多个。" placeholder:"URL" env:"KEYHELPER_ORIGINS"`
}

// Run serves the portal's pages on this PC until it is told to stop.
func (s serveCmd) Run(ctx context.Context, c *cli) error {
	host, _, err := net.SplitHostPort(s.Listen)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		return usageError{errors.New("--listen 只能是本机地址，例如 " + DefaultListen)}
	}
	origins := s.Origin
	if len(origins) == 0 {
		origins = strings.Fields(defaultOrigins)
	}
	for _, o := range origins {
		if !private(o) {
			return usageError{errors.New("--origin 须以 https:// 开头，例如 https://ra.example.cn")}
		}
	}
	k, err := openKeyring(c.Module)
	if err != nil {
		return err
	}
	defer k.close()
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.Listen)
	if err != nil {
		return fmt.Errorf("端口 %s 已被占用，证书助手可能已在运行: %w", s.Listen, err)
	}
	srv := &http.Server{Handler: newService(k, l.Addr().String(), origins, time.Now), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		stopped <- srv.Shutdown(stop) // a USBKEY that is being changed is finished first
	}()
	fmt.Fprintf(os.Stderr, "证书助手已启动（%s），请回到网页办理。按 Ctrl-C 退出。\n", l.Addr())
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}

// service answers the portal's pages on this PC, and no other page.
type service struct {
	keys    *keyring
	hosts   []string
	origins []string
	now     func() time.Time

	mu     sync.Mutex
	nonces map[string]time.Time // when each ends

	one  sync.Mutex // one errand at a time
	jobs map[string]*job
	runs map[string]*writing
}

// A page asks for a nonce with hello and uses it once, soon.
const (
	nonceLife = 2 * time.Minute
	maxNonces = 64
	maxBody   = 4 << 10
)

func newService(k *keyring, listen string, origins []string, now func() time.Time) http.Handler {
	_, port, _ := net.SplitHostPort(listen)
	s := &service{keys: k, hosts: []string{"127.0.0.1:" + port, "localhost:" + port, "[::1]:" + port}, origins: origins, now: now, nonces: map[string]time.Time{}, jobs: map[string]*job{}, runs: map[string]*writing{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/hello", s.hello)
	for path, do := range actions {
		mux.HandleFunc("POST /v1/"+path, func(w http.ResponseWriter, r *http.Request) { s.act(w, r, do) })
	}
	return s.guard(mux)
}

// action is what a page may have done. It returns what the page is told.
type action func(s *service, ctx context.Context, server string, in order) (any, error)

// actions by the last part of their path.
var actions = map[string]action{"unlock": (*service).unlock, "run": (*service).write, "pin": (*service).change}

// order is the body of an action: with a ticket, or about a USBKEY and its old PIN.
type order struct {
	Ticket string `json:"ticket"`
	Token  string `json:"token"`
	Old    string `json:"old"`
	PIN    string `json:"pin"`
}

// guard lets the listed origins through, from a browser that means this host: a
// name that an attacker points at 127.0.0.1 has another Host (DNS rebinding).
func (s *service) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin := r.Header.Get("Origin")
		if !slices.Contains(s.hosts, r.Host) || !slices.Contains(s.origins, origin) {
			http.Error(w, "forbidden", http.StatusForbidden)
			return
		}
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Vary", "Origin")
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		if r.Method == http.MethodOptions {
			h.Set("Access-Control-Allow-Methods", "GET, POST")
			h.Set("Access-Control-Allow-Headers", "Content-Type, X-Helper-Nonce")
			h.Set("Access-Control-Allow-Private-Network", "true")
			h.Set("Access-Control-Max-Age", "60")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // whoever asked may have gone
}

// hello says which USBKEYs are plugged in and what PIN each takes, and gives a nonce.
func (s *service) hello(w http.ResponseWriter, _ *http.Request) {
	serials, pins := []string{}, map[string]pinLength{}
	s.one.Lock()
	ours, err := s.keys.ours()
	s.one.Unlock()
	if err == nil {
		for _, p := range ours {
			serials = append(serials, p.Name)
			least, most := p.PINLength()
			pins[p.Name] = pinLength{least, most}
		}
	}
	reply(w, http.StatusOK, map[string]any{"nonce": s.nonce(), "tokens": serials, "pins": pins, "version": 1})
}

// pinLength is how many digits a new PIN may have on a USBKEY.
type pinLength struct {
	Least int `json:"least"`
	Most  int `json:"most"`
}

func (s *service) nonce() string {
	b := make([]byte, 16)
	rand.Read(b) // never fails
	n := base64.RawURLEncoding.EncodeToString(b)
	s.mu.Lock()
	defer s.mu.Unlock()
	for old, end := range s.nonces {
		if !s.now().Before(end) || len(s.nonces) >= maxNonces {
			delete(s.nonces, old)
		}
	}
	s.nonces[n] = s.now().Add(nonceLife)
	return n
}

// spend uses a nonce up.
func (s *service) spend(n string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	end, ok := s.nonces[n]
	delete(s.nonces, n)
	return ok && s.now().Before(end)
}

// act does one action for a page. The server that the ticket is shown to is the
// page's own origin: no page can send the helper elsewhere.
func (s *service) act(w http.ResponseWriter, r *http.Request, do action) {
	if !s.spend(r.Header.Get("X-Helper-Nonce")) || r.Header.Get("Content-Type") != "application/json" {
		reply(w, http.StatusForbidden, map[string]any{"code": "nonce", "detail": "页面已过期，请刷新后重试。"})
		return
	}
	var in order
	if err := json.NewDecoder(io.LimitReader(r.Body, maxBody)).Decode(&in); err != nil {
		reply(w, http.StatusBadRequest, map[string]any{"code": "malformed", "detail": "请求内容有误，请刷新页面后重试。"})
		return
	}
	s.one.Lock()
	defer s.one.Unlock()
	// A page that is closed meanwhile does not cut a USBKEY short.
	out, err := do(s, context.WithoutCancel(r.Context()), r.Header.Get("Origin"), in)
	if err != nil {
		_, again := errors.AsType[errCorrectable](err)
		reply(w, http.StatusUnprocessableEntity, map[string]any{"detail": plain(err), "again": again})
		return
	}
	reply(w, http.StatusOK, out)
}

// kept returns what was begun with a ticket before, or begins it. A few tickets are
// remembered.
func kept[T any](begun map[string]*T, id string, begin func() (*T, error)) (*T, error) {
	if t, ok := begun[id]; ok {
		return t, nil
	}
	t, err := begin()
	if err != nil {
		return nil, err
	}
	if len(begun) >= maxNonces {
		clear(begun)
	}
	begun[id] = t
	return t, nil
}

// find returns the USBKEY of a ticket; one that is not there can be plugged in.
func (s *service) find(serial string) (plugged, error) {
	p, err := s.keys.find(serial)
	if absent(err) {
		err = errCorrectable{err}
	}
	return p, err
}

func (s *service) unlock(ctx context.Context, server string, in order) (any, error) {
	id := server + " " + in.Ticket
	j, err := kept(s.jobs, id, func() (*job, error) { return newJob(server, in.Ticket) })
	if err != nil {
		return nil, err
	}
	if err := j.begin(ctx, "unlock"); err != nil {
		return nil, err
	}
	p, err := s.find(j.errand.TokenSerial)
	if err != nil {
		return nil, err
	}
	no, err := j.unlock(ctx, p, token.PIN(in.PIN))
	if err != nil {
		return nil, err
	}
	delete(s.jobs, id)
	return map[string]any{"order_no": no}, nil
}
