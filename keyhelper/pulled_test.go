package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/issuance/token"
)

// site is the server's side of one errand; during says what happens when the helper
// is in the middle of it.
type site struct {
	*httptest.Server
	during  func()
	failed  string // the code that the helper gave up with
	reports int
}

func newSite(t *testing.T, serial string, certificate []byte) *site {
	t.Helper()
	s := &site{during: func() {}}
	var public []byte
	subject, err := asn1.Marshal(pkix.Name{CommonName: "云岭公司"}.ToRDNSequence())
	if err != nil {
		t.Fatal(err)
	}
	var made []byte
	answers := map[string]func(in map[string][]byte) any{
		"/helper/v1/open": func(in map[string][]byte) any {
			public = in["public_key"]
			return map[string]any{"id": "t1", "purpose": "unlock", "token_serial": serial, "certificate": certificate, "challenge": []byte("challenge")}
		},
		"/helper/v1/unlock/secret": func(map[string][]byte) any {
			sealed, err := token.SealUnlock(public, "t1", serial, token.UnlockSecret{Candidates: []token.SOCandidate{{Generation: 0, PIN: "ABCDEFGHIJKLMNOP"}}, Next: token.SOCandidate{Generation: 1, PIN: "PONMLKJIHGFEDCBA"}})
			if err != nil {
				t.Error(err)
			}
			s.during()
			return map[string]any{"sealed": sealed}
		},
		"/helper/v1/run/open": func(map[string][]byte) any {
			return map[string]any{"id": "t1", "purpose": "renew", "token_serial": serial, "old": certificate, "algorithm": "p256", "subject": subject, "container": []byte("new"), "challenge": []byte("challenge")}
		},
		"/helper/v1/run/issue": func(in map[string][]byte) any {
			if made == nil {
				made = certified(t, in["csr"])
			}
			s.during()
			return map[string]any{"certificate": made}
		},
	}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var raw map[string]any
		if err := json.NewDecoder(r.Body).Decode(&raw); err != nil {
			t.Error(err)
		}
		switch path := r.URL.Path; {
		case strings.HasSuffix(path, "/fail"):
			s.failed, _ = raw["code"].(string)
			w.WriteHeader(http.StatusNoContent)
		case strings.HasSuffix(path, "/step"):
			w.WriteHeader(http.StatusNoContent)
		case strings.HasSuffix(path, "/report"):
			s.reports++
			_ = json.NewEncoder(w).Encode(map[string]any{"order_no": "SAAS120261123000001"})
		default:
			in := map[string][]byte{}
			for _, name := range []string{"public_key", "csr"} {
				quoted, _ := json.Marshal(raw[name])
				var b []byte
				_ = json.Unmarshal(quoted, &b)
				in[name] = b
			}
			_ = json.NewEncoder(w).Encode(answers[path](in))
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func certified(t *testing.T, der []byte) []byte {
	t.Helper()
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parent := &x509.Certificate{Subject: pkix.Name{CommonName: "CA"}}
	out, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(2), Subject: csr.Subject, NotBefore: time.Now(), NotAfter: time.Now().AddDate(1, 0, 0)}, parent, csr.PublicKey, ca)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// folders are where SoftHSM keeps its USBKEYs.
func folders(t *testing.T) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(filepath.Dir(os.Getenv("SOFTHSM2_CONF")), "tokens", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A USBKEY that is pulled out in the middle is called that, with what to do next,
// here and on the page that watches; plugged in again the next ticket finishes.
// One that is not plugged in to begin with spends no ticket.
func TestPulledOut(t *testing.T) {
	for what, path := range map[string]string{"an unlock": "/v1/unlock", "a renewal": "/v1/run"} {
		t.Run(what, func(t *testing.T) {
			k := openSoftHSM(t)
			before := folders(t)
			serial := newKey(t, k, 7, time.Now().Add(-time.Hour), time.Now().AddDate(1, 0, 0))
			var home string
			for _, f := range folders(t) {
				if len(before) == 0 || f != before[0] {
					home = f
				}
			}
			away := filepath.Join(t.TempDir(), "away")
			p, err := k.find(serial)
			if err != nil {
				t.Fatal(err)
			}
			certificate, err := newest(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			s := newSite(t, serial, certificate)
			helped := func(k *keyring, ticket string) (int, string) {
				d := &desk{at: time.Now()}
				d.Handler = newService(k, testListen, []string{s.URL}, func() time.Time { return d.at })
				header := map[string]string{"Origin": s.URL, "Content-Type": "application/json"}
				var hello struct{ Nonce string }
				if err := json.Unmarshal(d.ask(http.MethodGet, "/v1/hello", "", header).Body.Bytes(), &hello); err != nil {
					t.Fatal(err)
				}
				header["X-Helper-Nonce"] = hello.Nonce
				got := d.ask(http.MethodPost, path, `{"ticket":"`+ticket+`","pin":"87654321"}`, header)
				return got.Code, got.Body.String()
			}
			pulled := func(from, to string) {
				if err := os.Rename(from, to); err != nil {
					t.Error(err)
				}
			}
			s.during = func() { pulled(home, away) }
			status, said := helped(k, "first")
			if status != http.StatusUnprocessableEntity || !strings.Contains(said, "被拔出") || !strings.Contains(said, "重新开始") || strings.Contains(said, `"again":true`) {
				t.Errorf("pulled out: %d %s", status, said)
			}
			if s.failed != string(token.Pulled) {
				t.Errorf("the page is told %q", s.failed)
			}
			s.during = func() {}
			if err := k.close(); err != nil {
				t.Fatal(err)
			}

			s.failed = ""
			again := openSoftHSM(t)
			if status, said := helped(again, "second"); status != http.StatusUnprocessableEntity || !strings.Contains(said, `"again":true`) || !strings.Contains(said, "重试") || s.failed != "" {
				t.Errorf("not plugged in: %d %s, given up with %q", status, said, s.failed)
			}
			pulled(away, home)
			if err := again.close(); err != nil {
				t.Fatal(err)
			}
			third := openSoftHSM(t)
			if status, said := helped(third, "second"); status != http.StatusOK || s.reports != 1 {
				t.Errorf("plugged in again: %d %s, %d reports", status, said, s.reports)
			}
			pulled(home, away)
		})
	}
}
