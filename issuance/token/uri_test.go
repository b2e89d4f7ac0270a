package token

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseURI(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       URI
	}{
		{"a token", "pkcs11:token=ycd-root", URI{Token: "ycd-root"}},
		{"token and serial", "pkcs11:token=The%20CA;serial=DECC0401648", URI{Token: "The CA", Serial: "DECC0401648"}},
		{"module and PIN", "pkcs11:serial=1?module-path=/usr/lib/hsm.so&pin-source=file:/run/secrets/pin", URI{Serial: "1", ModulePath: "/usr/lib/hsm.so", PINSource: "/run/secrets/pin"}},
		{"PIN file with authority", "pkcs11:?pin-source=file:///run/pin", URI{PINSource: "/run/pin"}},
		{"PIN file as a plain path", "pkcs11:?pin-source=/run/pin", URI{PINSource: "/run/pin"}},
		{"plus stands for itself", "pkcs11:token=a+b", URI{Token: "a+b"}},
		{"Chinese label", "pkcs11:token=%E6%A0%B9", URI{Token: "根"}},
		{"nothing named", "pkcs11:", URI{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got, err := ParseURI(tc.text); err != nil || got != tc.want {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	for _, tc := range []struct{ name, text, says string }{
		{"another scheme", "http:token=a", "pkcs11:"},
		{"PIN in the open", "pkcs11:token=a?pin-value=1234", "pin-value"},
		{"PIN from a program", "pkcs11:token=a?pin-source=%7Ccat%20/run/pin", "pin-source"},
		{"PIN from the network", "pkcs11:token=a?pin-source=https://example.cn/pin", "pin-source"},
		{"relative PIN file", "pkcs11:token=a?pin-source=pin", "pin-source"},
		{"twice", "pkcs11:token=a;token=b", "twice"},
		{"what we do not act on", "pkcs11:token=a;manufacturer=b", "manufacturer"},
		{"no value", "pkcs11:token", "without a value"},
		{"empty value", "pkcs11:token=", "no valid value"},
		{"broken escape", "pkcs11:token=%zz", "no valid value"},
		{"NUL", "pkcs11:token=a%00b", "no valid value"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := ParseURI(tc.text); err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %v, want %q", err, tc.says)
			}
		})
	}
}

func FuzzParseURI(f *testing.F) {
	f.Add("pkcs11:token=The%20CA;serial=1?module-path=/usr/lib/hsm.so&pin-source=file:/run/secrets/pin")
	f.Fuzz(func(t *testing.T, text string) {
		u, err := ParseURI(text)
		if err == nil && u.PINSource != "" && !filepath.IsAbs(u.PINSource) {
			t.Errorf("PIN from %q", u.PINSource)
		}
	})
}

func TestURIsAreCompletedAndPINsRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pin")
	if err := os.WriteFile(file, []byte("87654321\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	base, err := ParseURI("pkcs11:?module-path=/usr/lib/hsm.so&pin-source=file:" + file)
	if err != nil {
		t.Fatal(err)
	}
	u := URI{Token: "ycd-root"}.Or(base)
	if want := (URI{Token: "ycd-root", ModulePath: "/usr/lib/hsm.so", PINSource: file}); u != want {
		t.Errorf("got %+v", u)
	}
	if pin, err := u.PIN(); err != nil || pin.Reveal() != "87654321" {
		t.Errorf("PIN %v", err)
	}
	if _, err := (URI{PINSource: file + "-not"}).PIN(); err == nil {
		t.Error("a PIN from a file that is not there")
	}
}

// A URI with label and serial number finds the token that has both, and no other.
func TestTokenIsFoundByURI(t *testing.T) {
	m := load(t)
	pl := newPool(t, m, "named", 1)
	var serial string
	err := m.withToken(pl.label, func(tk *Token) error {
		serial = trim(tk.info.SerialNumber)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		uri  URI
		want bool
	}{
		{URI{Token: pl.label}, true},
		{URI{Serial: serial}, true},
		{URI{Token: pl.label, Serial: serial}, true},
		{URI{Token: pl.label, Serial: "0000"}, false},
		{URI{Token: "other", Serial: serial}, false},
	} {
		if ok, err := m.Present(tc.uri.Name()); err != nil || ok != tc.want {
			t.Errorf("%s: %v, %v", tc.uri.Name(), ok, err)
		}
	}
}
