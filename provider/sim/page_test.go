package sim_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func (w *world) page(path string, cookies ...*http.Cookie) (http.Header, string) {
	w.t.Helper()
	req, err := http.NewRequest(http.MethodGet, w.url+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, c := range cookies {
		req.AddCookie(c)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		w.t.Errorf("%s: %d", path, resp.StatusCode)
	}
	return resp.Header, string(body)
}

func TestPage(t *testing.T) {
	w := newWorld(t)
	header, page := w.page("/playground/")
	if !strings.Contains(header.Get("Content-Security-Policy"), "default-src 'self'") {
		t.Errorf("header %v", header)
	}
	for _, want := range []string{"申请人的微信", "审核员的微信", "微信支付", "支付宝", "短信", "同意接收一次", "时间线", `href="http://product.test:8080/"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	for path, kind := range map[string]string{"app.js": "text/javascript", "style.css": "text/css"} {
		if header, _ := w.page("/playground/assets/" + path); !strings.HasPrefix(header.Get("Content-Type"), kind) {
			t.Errorf("%s: %s", path, header.Get("Content-Type"))
		}
	}
}

// A link tapped in the reviewer's window offers the reviewer first.
func TestChooserRemembersWhoTapped(t *testing.T) {
	w := newWorld(t)
	path := "/playground/open.weixin.qq.com/connect/oauth2/authorize?" + url.Values{
		"appid": {w.cfg.WeChat.AppID}, "redirect_uri": {"http://product.test:8080/cb"}, "response_type": {"code"}, "scope": {"snsapi_base"},
		"state": {`"><script>`},
	}.Encode()
	_, page := w.page(path, &http.Cookie{Name: "sim_persona", Value: "oReviewer"})
	if first, second := strings.Index(page, "沈合规"), strings.Index(page, "申小采"); first < 0 || first > second {
		t.Errorf("order in %s", page)
	}
	if strings.Contains(page, "<script>") {
		t.Error("the state reached the page unescaped")
	}
}
