package sim_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/provider/sim"
)

// A URL Link opens a page of the mini-program with its query, on the phone of the
// persona in whose SMS it was tapped, for as many days as it was made for.
func TestURLLinkOpensThePage(t *testing.T) {
	at := time.Date(2026, 11, 23, 1, 0, 0, 0, time.UTC)
	w := newWorld(t, func(c *sim.Config) {
		c.MiniProgram = sim.MiniProgram{AppID: "wxmini", AppSecret: "mini-secret", Pages: []string{"pages/auth/index"}}
		c.Now = func() time.Time { return at }
	})
	var token struct {
		Value string `json:"access_token"`
	}
	w.wire(http.MethodGet, "/cgi-bin/token?grant_type=client_credential&appid=wxmini&secret=mini-secret", "", &token)
	var made struct {
		Link string `json:"url_link"`
	}
	w.wire(http.MethodPost, "/wxa/generate_urllink?access_token="+url.QueryEscape(token.Value),
		`{"path":"pages/auth/index","query":"ticket=T","is_expire":true,"expire_type":1,"expire_interval":2}`, &made)
	path, ok := strings.CutPrefix(made.Link, w.cfg.PublicURL)
	if !ok {
		t.Fatalf("link %q", made.Link)
	}
	open := func(cookies ...*http.Cookie) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range cookies {
			req.AddCookie(c)
		}
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode, resp.Header.Get("Location")
	}
	page := w.cfg.PublicURL + "/playground/mp/"
	if status, to := open(); status != http.StatusFound || to != page+"#/pages/auth/index?ticket=T" {
		t.Errorf("opened by anybody: %d %s", status, to)
	}
	if status, to := open(&http.Cookie{Name: "sim_persona", Value: "oReviewer"}); status != http.StatusFound || to != page+"?persona=oReviewer#/pages/auth/index?ticket=T" {
		t.Errorf("opened from an SMS of the reviewer's: %d %s", status, to)
	}
	at = at.Add(48 * time.Hour)
	if status, _ := open(); status != http.StatusGone {
		t.Errorf("two days later: %d", status)
	}
}

// wire is a call of WeChat's API.
func (w *world) wire(method, path, body string, out any) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, w.url+"/playground/api.weixin.qq.com"+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		w.t.Fatal(err)
	}
}
