package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/yuncaidun/yuncaidun/config"
	"github.com/yuncaidun/yuncaidun/issuance"
)

const softHSM = "/usr/lib/softhsm/libsofthsm2.so"

// The HSM may be named by URIs: module and PIN file for all, and another name, PIN
// or module for a single token.
func TestHSMByURI(t *testing.T) {
	dir := t.TempDir()
	pin, other := filepath.Join(dir, "pin"), filepath.Join(dir, "root pin")
	for file, text := range map[string]string{pin: "11112222\n", other: "33334444\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg := &config.Config{Env: config.Development, DataDir: dir, CA: config.CA{PKI: "http://127.0.0.1:8080/pki"}}
	cfg.CA.Name, cfg.CA.PolicyOID = "云采盾测试", "2.999.1.1"
	cfg.HSM.URI = "pkcs11:?module-path=" + softHSM + "&pin-source=file:" + pin
	cfg.HSM.Tokens = map[string]string{
		issuance.RootToken: "pkcs11:token=%E6%A0%B9?pin-source=file:" + strings.ReplaceAll(other, " ", "%20"),
		issuance.SealToken: "pkcs11:",
	}
	h, err := openHSM(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := h.close(); err != nil {
			t.Error(err)
		}
	}()
	if h.pin.Reveal() != "11112222" {
		t.Error("not the PIN in the file")
	}
	if at := h.tokens[issuance.RootToken]; at.Name != "根" || at.PIN.Reveal() != "33334444" || at.HSM != h.module {
		t.Errorf("root at %s", at.Name)
	}
	if at := h.tokens[issuance.SealToken]; at.Name != issuance.SealToken || at.PIN.Reveal() != "11112222" {
		t.Errorf("seal at %s", at.Name)
	}
	clk, err := openClock("")
	if err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	h.observe(reg)
	cc := caConfig(cfg, h, clk.Now)
	if err := issuance.InitCA(t.Context(), cc); err != nil {
		t.Fatal(err)
	}
	ca, err := issuance.OpenCA(t.Context(), cc)
	if err != nil {
		t.Fatal(err)
	}
	defer ca.Close()
	if err := ca.Health(t.Context()); err != nil {
		t.Error(err)
	}
	if ok, err := h.module.Present("根"); !ok || err != nil {
		t.Errorf("the root's token: %v, %v", ok, err)
	}
	if ok, err := h.module.Present(issuance.RootToken); ok || err != nil {
		t.Errorf("a token by the default label: %v, %v", ok, err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	for _, f := range families {
		for _, m := range f.GetMetric() {
			seen = append(seen, f.GetName()+" "+m.GetLabel()[0].GetValue())
		}
	}
	for _, want := range []string{"ycd_hsm_seconds CKM_ECDSA", "ycd_hsm_seconds CKM_AES_GCM", "ycd_hsm_seconds CKM_RSA_PKCS"} {
		if !slices.Contains(seen, want) {
			t.Errorf("no %s in %q", want, seen)
		}
	}
}

// All faults of the URIs are told at once, by the variable that has them.
func TestFaultsOfHSMURIs(t *testing.T) {
	cfg := &config.Config{}
	cfg.HSM.URI = "pkcs11:?module-path=/nonexistent/hsm.so&pin-source=file:/nonexistent/pin"
	cfg.HSM.Tokens = map[string]string{"ycd-other": "pkcs11:token=a", issuance.RootToken: "pkcs11:token=a?pin-value=1234"}
	_, _, faults := hsmURIs(cfg)
	text := faults.Error()
	for _, want := range []string{"no file at /nonexistent/hsm.so", "no file at /nonexistent/pin", "ycd-other is no token", "pin-value would show the PIN"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q lacks %q", text, want)
		}
	}
	if strings.Contains(text, "1234") {
		t.Error("the PIN is shown")
	}
	cfg = &config.Config{}
	cfg.HSM.URI = "pkcs11:token=a"
	if _, _, faults := hsmURIs(cfg); len(faults) != 1 {
		t.Errorf("%d faults of a URI without module and PIN", len(faults))
	}
	if _, err := openHSM(cfg); !errors.As(err, &usageError{}) {
		t.Errorf("opened: %v", err)
	}
}

func mustRead(t *testing.T, file string) []byte {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
