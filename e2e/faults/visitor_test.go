package faults

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/provider/sim"
)

// client is for single questions; a product that hangs must not hang the test.
var client = &http.Client{Timeout: 10 * time.Second}

func get(address string) (status int, header http.Header, body string, err error) {
	resp, err := client.Get(address)
	if err != nil {
		return 0, nil, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, string(b), err
}

// visitor is a browser on the portal.
type visitor struct {
	client http.Client
	url    string
	csrf   string
}

func newVisitor(url string) *visitor {
	jar, _ := cookiejar.New(nil) // fails for options only
	return &visitor{url: url, client: http.Client{
		Jar: jar, Timeout: 15 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// answer is what came back, without following redirects.
type answer struct {
	status int
	header http.Header
	body   string
}

func (v *visitor) do(req *http.Request) (answer, error) {
	req.Header.Set("Accept", "text/html")
	resp, err := v.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(b)}, err
}

var csrfToken = regexp.MustCompile(`name="_csrf" value="([^"]+)"`)

// open reads a page and remembers the token of its forms.
func (v *visitor) open(path string) (answer, error) {
	req, err := http.NewRequest(http.MethodGet, v.url+path, nil)
	if err != nil {
		return answer{}, err
	}
	a, err := v.do(req)
	if m := csrfToken.FindStringSubmatch(a.body); m != nil {
		v.csrf = m[1]
	}
	return a, err
}

// post sends a form.
func (v *visitor) post(path string, values url.Values) (answer, error) {
	values.Set("_csrf", v.csrf)
	req, err := http.NewRequest(http.MethodPost, v.url+path, strings.NewReader(values.Encode()))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", v.url)
	return v.do(req)
}

// signIn logs in by SMS and returns the code that was sent.
func (v *visitor) signIn(t *testing.T, w world, mobile string) (code string) {
	t.Helper()
	if a, err := v.open("/login"); err != nil || a.status != http.StatusOK {
		t.Fatalf("login page: %d %v", a.status, err)
	}
	before := len(w.texts(t, mobile))
	if a, err := v.post("/login/code", url.Values{"mobile": {mobile}}); err != nil || a.status != http.StatusOK {
		t.Fatalf("asking for a code: %d %v %s", a.status, err, a.body)
	}
	inbox := w.texts(t, mobile)
	if len(inbox) != before+1 {
		t.Fatalf("%d texts, want %d", len(inbox), before+1)
	}
	code = inbox[0].Params[0] // newest first
	a, err := v.post("/login", url.Values{"mobile": {mobile}, "code": {code}, "next": {"/orders"}})
	if err != nil || a.status != http.StatusSeeOther {
		t.Fatalf("login: %d %v %s", a.status, err, a.body)
	}
	return code
}

// session is the secret of the visitor's login.
func (v *visitor) session() string {
	u, _ := url.Parse(v.url)
	for _, c := range v.client.Jar.Cookies(u) {
		if strings.HasSuffix(c.Name, "applicant") {
			return c.Value
		}
	}
	return ""
}

// world is the control of the simulators, at the address of a playground.
type world string

// call asks the control of the simulators.
func (w world) call(method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequest(method, string(w)+"/playground/control/"+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %d %s", path, resp.StatusCode, b)
	}
	return json.Unmarshal(b, out)
}

// pay scans the code and pays.
func (w world) pay(codeURL string) error {
	var r sim.PayResult
	return w.call(http.MethodPost, "pay", map[string]string{"code_url": codeURL, "how": "pay"}, &r)
}

// texts is the SMS inbox of a number, or of everybody, newest first.
func (w world) texts(t testing.TB, mobile string) (texts []sim.SMSMessage) {
	t.Helper()
	if err := w.call(http.MethodGet, "sms?mobile="+mobile, nil, &texts); err != nil {
		t.Fatal(err)
	}
	return texts
}

// cards are all template messages, newest first.
func (w world) cards(t testing.TB) (cards []sim.TemplateMessage) {
	t.Helper()
	if err := w.call(http.MethodGet, "templates", nil, &cards); err != nil {
		t.Fatal(err)
	}
	return cards
}

// trades are all trades at the payment platform, newest first.
func (w world) trades(t testing.TB) (trades []sim.Trade) {
	t.Helper()
	if err := w.call(http.MethodGet, "trades", nil, &trades); err != nil {
		t.Fatal(err)
	}
	return trades
}
