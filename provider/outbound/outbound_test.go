package outbound

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
)

func TestOnlyOneHostIsReached(t *testing.T) {
	var asked string
	stand := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.EscapedPath()
		_, _ = io.WriteString(w, "0123456789")
	}))
	t.Cleanup(stand.Close)
	base, err := url.Parse(stand.URL + "/stand/")
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]struct{ path, reply string }{
		"https://api.weixin.qq.com/cgi-bin/token":  {"/stand/cgi-bin/token", "0123456789"},
		"https://api.weixin.qq.com/v3/a%2Fb?x=1":   {"/stand/v3/a%2Fb", "0123456789"},
		"https://evil.example/":                    {},
		"http://api.weixin.qq.com/":                {},
		"https://api.weixin.qq.com.evil.example/":  {},
		"https://api.weixin.qq.com:8443/":          {},
		"https://mp.weixin.qq.com/":                {},
		"https://evil.example@mp.weixin.qq.com/":   {},
		"https://evil.example/?api.weixin.qq.com/": {},
	} {
		t.Run(address, func(t *testing.T) {
			asked = ""
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := Only("api.weixin.qq.com", base, 10).RoundTrip(req)
			var reply []byte
			if err == nil {
				reply, err = io.ReadAll(resp.Body)
				_ = resp.Body.Close()
			}
			if asked != want.path || string(reply) != want.reply || (err != nil) != (want.path == "") {
				t.Errorf("asked %q, reply %q, %v", asked, reply, err)
			}
		})
	}
}

func TestLongRepliesFail(t *testing.T) {
	stand := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "0123456789") }))
	t.Cleanup(stand.Close)
	for limit, fails := range map[int64]bool{9: true, 10: false} {
		resp, err := (&http.Client{Transport: Limited(limit)}).Get(stand.URL)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if (err != nil) != fails {
			t.Errorf("%d: %v", limit, err)
		}
	}
}
