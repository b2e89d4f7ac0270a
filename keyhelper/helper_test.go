package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/issuance/token"
)

const softHSM = "/usr/lib/softhsm/libsofthsm2.so"

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "keyhelper-test")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		if err := token.ConfigureSoftHSM(dir); err != nil {
			panic(err)
		}
		return m.Run()
	}())
}

// newKey makes a USBKEY with a certificate of that validity.
func newKey(t *testing.T, k *keyring, number uint64, from, to time.Time) string {
	t.Helper()
	return newKeyOf(t, k, token.P256, number, from, to)
}

func newKeyOf(t *testing.T, k *keyring, alg token.Algorithm, number uint64, from, to time.Time) string {
	t.Helper()
	serial, err := token.Serial(number)
	if err != nil {
		t.Fatal(err)
	}
	m := k.modules[softHSM]
	if err := m.Ensure(t.Context(), serial, "ABCDEFGHIJKLMNOP", "87654321"); err != nil {
		t.Fatal(err)
	}
	err = m.Exclusive(t.Context(), serial, func(tk *token.Token) error {
		if err := tk.Login("87654321"); err != nil {
			return err
		}
		key, err := tk.EnsureKey([]byte("id"), alg)
		if err != nil {
			return err
		}
		template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "云岭公司"}, NotBefore: from, NotAfter: to}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			return err
		}
		return tk.PutCertificate([]byte("id"), der)
	})
	if err != nil {
		t.Fatal(err)
	}
	return serial
}

func openSoftHSM(t *testing.T) *keyring {
	t.Helper()
	k, err := openKeyring([]string{softHSM})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.close(); err != nil {
			t.Error(err)
		}
	})
	return k
}

func words(findings []finding) string {
	var b bytes.Buffer
	report(&b, findings)
	return b.String()
}

// What was followed by a newer certificate may be over; what nothing follows may not.
func TestDoctorSeesEveryCertificate(t *testing.T) {
	cert := func(name string, from, to int) *x509.Certificate {
		day := func(year int) time.Time { return time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC) }
		return &x509.Certificate{Subject: pkix.Name{CommonName: name}, NotBefore: day(from), NotAfter: day(to)}
	}
	old, renewed, other := cert("甲公司", 2025, 2026), cert("甲公司", 2026, 2028), cert("乙公司", 2025, 2026)
	now := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	all := []*x509.Certificate{old, renewed, other}
	for c, says := range map[*x509.Certificate]string{old: "保留用于打开以前加密的文件", renewed: "证书有效至", other: "已于 2026-01-01 到期"} {
		if got := dated(c, all, now); !strings.Contains(got.what, says) || got.ok != (c != other) {
			t.Errorf("%s until %s: %+v", c.Subject.CommonName, c.NotAfter, got)
		}
	}
}

// The doctor says what is wrong with driver, USBKEY and clock, and what to do.
func TestDoctor(t *testing.T) {
	k := openSoftHSM(t)
	if got := words(k.examineTokens(t.Context(), time.Now())); !strings.Contains(got, "没有检测到 UKEY") || !strings.Contains(got, "下一步") {
		t.Errorf("nothing plugged in: %s", got)
	}
	from, to := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	serial := newKey(t, k, 1, from, to)
	p, err := k.find("")
	if err != nil || p.Name != serial {
		t.Fatalf("the only USBKEY: %s, %v", p.Name, err)
	}
	for name, tt := range map[string]struct {
		now  time.Time
		says string
		ok   bool
	}{
		"well":        {from.AddDate(0, 6, 0), "证书有效至", true},
		"clock early": {from.AddDate(-1, 0, 0), "校准电脑的日期和时间", false},
		"expired":     {to.AddDate(0, 0, 1), "到期 90 天内可在网站", false},
	} {
		if got := words(k.examineTokens(t.Context(), tt.now)); !strings.Contains(got, tt.says) || strings.Contains(got, "✗") == tt.ok {
			t.Errorf("%s: %s", name, got)
		}
	}
	for name, tt := range map[string]struct {
		change func(*plugged)
		says   string
	}{
		"locked":    {func(p *plugged) { p.UserPINLocked = true }, "网站打开「解锁」"},
		"SO locked": {func(p *plugged) { p.SOPINLocked = true }, "补办"},
	} {
		q := p
		tt.change(&q)
		if got := words(q.examine(t.Context(), from.AddDate(0, 6, 0))); !strings.Contains(got, tt.says) {
			t.Errorf("%s: %s", name, got)
		}
	}
	if _, err := k.find("TW00000000000009"); !errors.Is(err, token.WrongToken) {
		t.Errorf("another USBKEY: %v", err)
	}
}

// A driver that is missing or is none is explained; the list names only drivers
// with a path for some system.
func TestDrivers(t *testing.T) {
	if _, err := openKeyring([]string{"/nowhere/driver.so"}); err == nil || !strings.Contains(err.Error(), "--module") {
		t.Errorf("a driver that is not there: %v", err)
	}
	file := filepath.Join(t.TempDir(), "driver.so")
	if err := os.WriteFile(file, []byte("no driver"), 0o600); err != nil {
		t.Fatal(err)
	}
	k, err := openKeyring([]string{file})
	if err != nil {
		t.Fatal(err)
	}
	if got := words(k.examineDrivers()); !strings.Contains(got, "重新安装驱动") {
		t.Errorf("no driver: %s", got)
	}
	if got := words((&keyring{}).examineDrivers()); !strings.Contains(got, runtime.GOOS) {
		t.Errorf("no drivers at all: %s", got)
	}
	if found, err := drivers(nil); err != nil || len(found) == 0 {
		t.Errorf("known drivers here: %v, %v", found, err)
	}
}

// The server's Date tells whether this PC's clock is right.
func TestClock(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", "Mon, 23 Nov 2026 02:00:00 GMT")
	}))
	defer server.Close()
	at := time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		now time.Time
		ok  bool
	}{"right": {at.Add(time.Minute), true}, "an hour fast": {at.Add(time.Hour), false}, "a day slow": {at.AddDate(0, 0, -1), false}} {
		if got := examineServer(t.Context(), server.URL, func() time.Time { return tt.now }); got.ok != tt.ok {
			t.Errorf("%s: %+v", name, got)
		}
	}
	server.Close()
	if got := examineServer(t.Context(), server.URL, time.Now); got.ok || !strings.Contains(got.next, "挑战码") {
		t.Errorf("no network: %+v", got)
	}
}

// F79, G5: the PIN is asked for twice, refused when it breaks a rule, and never
// shown.
func TestNewPIN(t *testing.T) {
	for name, tt := range map[string]struct {
		typed string
		want  token.PIN
		says  string
	}{
		"good":            {"739164\n739164\n", "739164", ""},
		"mistyped":        {"739164\n739165\n739164\n739164\n", "739164", "不一致"},
		"letters":         {"abcdef\n739164\n739164\n", "739164", "数字"},
		"too short":       {"12\n739164\n739164\n", "739164", "口令须为 4 至 8 位"},
		"weak":            {"123456\n123456\n", "123456", "容易被猜到"},
		"never agreed":    {"1\n1\n1\n", "", "4 至 8 位"},
		"nobody answered": {"", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if _, err := w.WriteString(tt.typed); err != nil {
				t.Fatal(err)
			}
			w.Close()
			var out bytes.Buffer
			pin, err := newTerminal(r, &out).newPIN(t.Context(), plugged{Info: token.Info{MinPIN: 4, MaxPIN: 255}})
			if pin != tt.want || (err == nil) != (tt.want != "") || !strings.Contains(out.String(), tt.says) {
				t.Errorf("%q, %v\n%s", pin.Reveal(), err, out.String())
			}
			if strings.Contains(out.String(), "739164") {
				t.Error("the PIN was shown")
			}
		})
	}
}

// What is wrong with the command line is usage, not failure.
func TestUsage(t *testing.T) {
	for _, u := range []unlockCmd{{}, {Offline: true, Ticket: "x"}, {Ticket: "x", Server: "ftp://x"}, {Ticket: strings.Repeat("x", 65), Server: "http://x"}} {
		if _, ok := errors.AsType[usageError](u.Run(context.Background(), &cli{Module: []string{softHSM}})); !ok {
			t.Errorf("%+v is not refused as usage", u)
		}
	}
	for _, foreign := range []string{"http://ra.example.cn", "http://127.0.0.1.example.cn:8080", "http://[2001:db8::1]"} {
		if _, err := newClient(foreign, "x"); err == nil {
			t.Errorf("PINs would travel in the open to %s", foreign)
		}
		cancelled, cancel := context.WithCancel(t.Context())
		cancel() // it would end at once, and well
		if _, ok := errors.AsType[usageError](serveCmd{Listen: "127.0.0.1:0", Origin: []string{foreign}}.Run(cancelled, &cli{Module: []string{softHSM}})); !ok {
			t.Errorf("pages of %s may use the helper", foreign)
		}
	}
	for _, own := range []string{"https://ra.example.cn", "http://127.0.0.1:8080", "http://localhost:8080", "http://[::1]:8080"} {
		if _, err := newClient(own, "x"); err != nil {
			t.Errorf("%s: %v", own, err)
		}
	}
	if _, ok := errors.AsType[usageError](serveCmd{Listen: "0.0.0.0:27180"}.Run(context.Background(), &cli{})); !ok {
		t.Error("the helper would listen on every address")
	}
}

// Ctrl-C ends a question without Enter, and says so.
func TestCancelledQuestion(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = r.Close(), w.Close() })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newTerminal(r, io.Discard).secretly(ctx, "口令："); !errors.Is(err, context.Canceled) || plain(err) != "已取消。" {
		t.Errorf("%v", err)
	}
}
