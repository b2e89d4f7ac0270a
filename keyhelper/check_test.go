package main

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/issuance/token"
)

// Before bids are opened every certificate of a USBKEY is tried once: RSA opens what was
// encrypted for it, a curve signs; what does not work is said, and a wrong PIN tries nothing.
func TestCheck(t *testing.T) {
	from, to := time.Now().Add(-time.Hour), time.Now().AddDate(1, 0, 0)
	for n, tt := range []struct {
		name  string
		alg   token.Algorithm
		pin   token.PIN
		now   time.Time
		says  []string
		fault error
	}{
		{"RSA", token.RSA2048, "87654321", time.Now(), []string{"✓ 口令正确", "✓ 云岭公司", "加密后能解密"}, nil},
		{"a curve", token.P256, "87654321", time.Now(), []string{"✓ 云岭公司", "签名正常"}, nil},
		{"over", token.RSA2048, "87654321", to.AddDate(0, 0, 1), []string{"✓ 云岭公司", "证书已到期"}, nil},
		{"a wrong PIN", token.P256, "11111111", time.Now(), nil, token.PINIncorrect},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pullOutAfter(t)
			k := openSoftHSM(t)
			serial := newKeyOf(t, k, tt.alg, uint64(100+n), from, to)
			p, err := k.find(serial)
			if err != nil {
				t.Fatal(err)
			}
			found, err := p.rehearse(t.Context(), tt.pin, tt.now)
			if !errors.Is(err, tt.fault) {
				t.Fatalf("%v, want %v", err, tt.fault)
			}
			got := words(found)
			for _, s := range tt.says {
				if !strings.Contains(got, s) {
					t.Errorf("lacks %q: %s", s, got)
				}
			}
			if tt.fault != nil && len(found) != 0 {
				t.Errorf("tried after %v: %s", tt.fault, got)
			}
		})
	}
}

// A certificate that does not work is named, with what to do.
func TestCheckFindsWhatDoesNotWork(t *testing.T) {
	pullOutAfter(t)
	k := openSoftHSM(t)
	p, err := k.find(newKey(t, k, 120, time.Now().Add(-time.Hour), time.Now().AddDate(1, 0, 0)))
	if err != nil {
		t.Fatal(err)
	}
	foreign := &x509.Certificate{Subject: pkix.Name{CommonName: "别家公司"}}
	err = p.use(t.Context(), func(tk *token.Token) error {
		if got := words([]finding{tried(tk, foreign, time.Now())}); !strings.Contains(got, "✗ 别家公司") || !strings.Contains(got, "下一步") {
			t.Errorf("a certificate that is not on the USBKEY: %s", got)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// pullOutAfter takes the USBKEYs of a test away at its end; other tests count them.
func pullOutAfter(t *testing.T) {
	t.Helper()
	before := folders(t)
	t.Cleanup(func() {
		for _, f := range folders(t) {
			if !slices.Contains(before, f) {
				if err := os.RemoveAll(f); err != nil {
					t.Error(err)
				}
			}
		}
	})
}
