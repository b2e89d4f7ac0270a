package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const (
	testListen = "127.0.0.1:27180"
	portal     = "https://ra.example.cn"
)

// desk is a service without USBKEYs, on a clock of the test's own.
type desk struct {
	http.Handler
	at time.Time
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{at: time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)}
	d.Handler = newService(&keyring{}, testListen, []string{portal}, func() time.Time { return d.at })
	return d
}

func (d *desk) ask(method, path, body string, header map[string]string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, "http://"+testListen+path, strings.NewReader(body))
	req.Header.Set("Origin", portal)
	for k, v := range header {
		if k == "Host" {
			req.Host = v
			continue
		}
		req.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, req)
	return w
}

func (d *desk) nonce(t *testing.T) string {
	t.Helper()
	var hello struct {
		Nonce  string   `json:"nonce"`
		Tokens []string `json:"tokens"`
	}
	if err := json.Unmarshal(d.ask(http.MethodGet, "/v1/hello", "", nil).Body.Bytes(), &hello); err != nil || hello.Nonce == "" || hello.Tokens == nil {
		t.Fatalf("%+v, %v", hello, err)
	}
	return hello.Nonce
}

// Only the portal's own pages may talk to the helper, under its own name: a page
// elsewhere, and a foreign name that leads to this PC (DNS rebinding), may not.
func TestOnlyThePortal(t *testing.T) {
	d := newDesk(t)
	for name, tt := range map[string]struct {
		header map[string]string
		want   int
	}{
		"the portal":        {nil, http.StatusOK},
		"by localhost":      {map[string]string{"Host": "localhost:27180"}, http.StatusOK},
		"another page":      {map[string]string{"Origin": "https://evil.example"}, http.StatusForbidden},
		"a part of it":      {map[string]string{"Origin": "https://ra.example.cn.evil.example"}, http.StatusForbidden},
		"without TLS":       {map[string]string{"Origin": "http://ra.example.cn"}, http.StatusForbidden},
		"no page":           {map[string]string{"Origin": ""}, http.StatusForbidden},
		"a file":            {map[string]string{"Origin": "null"}, http.StatusForbidden},
		"rebound name":      {map[string]string{"Host": "evil.example:27180"}, http.StatusForbidden},
		"another port":      {map[string]string{"Host": "127.0.0.1:80"}, http.StatusForbidden},
		"rebound, portal's": {map[string]string{"Host": "ra.example.cn"}, http.StatusForbidden},
	} {
		got := d.ask(http.MethodGet, "/v1/hello", "", tt.header)
		if got.Code != tt.want {
			t.Errorf("%s: %d, want %d", name, got.Code, tt.want)
		}
		if allowed := got.Header().Get("Access-Control-Allow-Origin"); (allowed == portal) != (tt.want == http.StatusOK) {
			t.Errorf("%s: allowed origin %q", name, allowed)
		}
	}
	pre := d.ask(http.MethodOptions, "/v1/unlock", "", map[string]string{"Access-Control-Request-Method": "POST", "Access-Control-Request-Private-Network": "true"})
	if h := pre.Header(); pre.Code != http.StatusNoContent || h.Get("Access-Control-Allow-Private-Network") != "true" || !strings.Contains(h.Get("Access-Control-Allow-Headers"), "X-Helper-Nonce") {
		t.Errorf("preflight: %d %v", pre.Code, h)
	}
}

// Every action costs a nonce of its own, which a page must have asked for lately.
func TestNonces(t *testing.T) {
	d := newDesk(t)
	act := func(nonce, kind string) int {
		return d.ask(http.MethodPost, "/v1/unlock", `{"ticket":"","pin":"1"}`, map[string]string{"X-Helper-Nonce": nonce, "Content-Type": kind}).Code
	}
	n := d.nonce(t)
	if got := act(n, "application/json"); got != http.StatusUnprocessableEntity { // the ticket is refused, the nonce was good
		t.Errorf("with a nonce: %d", got)
	}
	late := d.nonce(t)
	for name, got := range map[string]int{
		"used twice": act(n, "application/json"),
		"without":    act("", "application/json"),
		"guessed":    act("AAAAAAAAAAAAAAAAAAAAAA", "application/json"),
		"as a form":  act(d.nonce(t), "text/plain"),
	} {
		if got != http.StatusForbidden {
			t.Errorf("%s: %d", name, got)
		}
	}
	d.at = d.at.Add(nonceLife)
	if got := act(late, "application/json"); got != http.StatusForbidden {
		t.Errorf("too late: %d", got)
	}
	for range 3 * maxNonces { // nobody fills the memory
		d.nonce(t)
	}
	if got := act(d.nonce(t), "application/json"); got != http.StatusUnprocessableEntity {
		t.Errorf("after many: %d", got)
	}
}

// The server that a ticket is shown to is the page's own, and errors of the way
// there name neither ticket nor PIN.
func TestTicketGoesToThePage(t *testing.T) {
	asked := make(chan *http.Request, 4)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusNotFound)
		_ = json.NewEncoder(w).Encode(map[string]any{"code": "ticket_gone", "detail": "办理凭证已失效", "status": 404})
	}))
	defer server.Close()
	d := &desk{at: time.Now()}
	d.Handler = newService(&keyring{}, testListen, []string{server.URL}, func() time.Time { return d.at })
	origin := map[string]string{"Origin": server.URL, "Content-Type": "application/json"}
	var hello struct{ Nonce string }
	if err := json.Unmarshal(d.ask(http.MethodGet, "/v1/hello", "", origin).Body.Bytes(), &hello); err != nil {
		t.Fatal(err)
	}
	origin["X-Helper-Nonce"] = hello.Nonce
	got := d.ask(http.MethodPost, "/v1/unlock", `{"ticket":"the-ticket","pin":"246810"}`, origin)
	r := <-asked
	if r.URL.Path != "/helper/v1/open" || r.Header.Get("Authorization") != "Ticket the-ticket" {
		t.Errorf("asked %s with %q", r.URL.Path, r.Header.Get("Authorization"))
	}
	if body := got.Body.String(); got.Code != http.StatusUnprocessableEntity || !strings.Contains(body, "办理凭证已失效") || strings.Contains(body, "246810") || strings.Contains(body, "the-ticket") {
		t.Errorf("%d %s", got.Code, body)
	}
	server.Close()
	c, err := newClient(server.URL, "the-ticket")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.call(context.Background(), "/helper/v1/open", nil, nil); err == nil || strings.Contains(err.Error(), "the-ticket") {
		t.Errorf("a server that is gone: %v", err)
	}
}
