package main

import (
	"flag"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/yuncaidun/yuncaidun/config"
)

var update = flag.Bool("update", false, "rewrite testdata")

// openApp opens a whole process in development, over a data directory of its own.
func openApp(t *testing.T) *app {
	t.Helper()
	cfg, err := config.Load(config.Options{Environ: []string{"YCD_DATA_DIR=" + t.TempDir(), "YCD_LISTEN=127.0.0.1:18400"}})
	if err != nil {
		t.Fatal(err)
	}
	a := &app{cfg: cfg, log: slog.New(slog.DiscardHandler)}
	t.Cleanup(a.close)
	if err := a.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return a
}

// asked are the routes of a web, GET and what changes something, with what each answers
// somebody who has nothing to show.
func asked(t *testing.T, a *app) map[string]int {
	t.Helper()
	parameter := regexp.MustCompile(`[:*][a-z]*`)
	out := map[string]int{}
	for _, r := range a.web.App.GetRoutes(true) {
		if !slices.Contains([]string{http.MethodGet, http.MethodPost}, r.Method) {
			continue
		}
		req := httptest.NewRequestWithContext(t.Context(), r.Method, parameter.ReplaceAllString(r.Path, "x"), strings.NewReader(""))
		req.Header.Set("Accept", "application/json")
		resp, err := a.web.App.Test(req, 60_000)
		if err != nil {
			t.Fatalf("%s %s: %v", r.Method, r.Path, err)
		}
		_ = resp.Body.Close()
		out[r.Method+" "+r.Path] = resp.StatusCode
	}
	return out
}

// Reliability 15: what production answers who has nothing to show is the list in testdata,
// whoever mounts it: pages, what takes a proof, and the ends of links; no playground, no
// simulator, no metrics. Every other route asks for a login, and no machine's call is taken
// without its signature.
func TestOpenRoutes(t *testing.T) {
	a := openApp(t)
	playground := 0
	for route := range asked(t, a) {
		if strings.Contains(route, " /playground") {
			playground++
		}
	}
	if open := a.web.Unlisted(); playground == 0 || open != nil {
		t.Errorf("development has %d routes of the playground, and without access %v", playground, open)
	}

	a.cfg.Env, a.cfg.WatchListen, a.dev, a.metrics = config.Production, "127.0.0.1:18401", nil, prometheus.NewRegistry()
	if err := a.openWeb(); err != nil {
		t.Fatal(err)
	}
	var open []string
	for route, status := range asked(t, a) {
		method, path, _ := strings.Cut(route, " ")
		switch {
		case strings.HasPrefix(path, "/playground") || path == "/metrics" || path == "/readyz":
			t.Errorf("%s is there in production", route)
		case status == http.StatusUnauthorized || method == http.MethodPost && status == http.StatusForbidden: // no login, not from a page of ours
		case status >= http.StatusInternalServerError:
			t.Errorf("%s: %d", route, status)
		case method == http.MethodPost && status < http.StatusBadRequest && path != "/pki/ocsp": // which says so in OCSP
			t.Errorf("%s is taken from anybody: %d", route, status)
		default:
			open = append(open, route)
		}
	}
	slices.Sort(open)
	got := strings.Join(open, "\n") + "\n"
	const golden = "testdata/open_routes.txt"
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := gocmp.Diff(string(want), got); d != "" {
		t.Errorf("open to everybody (-update rewrites %s):\n%s", golden, d)
	}
}
