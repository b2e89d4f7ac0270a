package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/issuance/token"
	"github.com/yuncaidun/yuncaidun/issuance/token/tokenfault"
)

// firstPIN is the PIN of every USBKEY of newKey.
const firstPIN token.PIN = "87654321"

func opens(t *testing.T, p plugged, pin token.PIN) bool {
	t.Helper()
	err := p.use(t.Context(), func(tk *token.Token) error { return tk.Login(pin) })
	if err != nil && !errors.Is(err, token.PINIncorrect) {
		t.Fatal(err)
	}
	return err == nil
}

// A holder sets his own PIN under the old one. Whatever is wrong is said, with what to do,
// and changes nothing.
func TestChangePIN(t *testing.T) {
	pullOutAfter(t)
	k := openSoftHSM(t)
	p, err := k.find(newKey(t, k, 130, time.Now().Add(-time.Hour), time.Now().AddDate(1, 0, 0)))
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		old, pin token.PIN
		says     string
	}{
		"a wrong old PIN":     {"11111111", "739164", "连续输错会锁定"},
		"an old PIN too long": {token.PIN(strings.Repeat("1", 300)), "739164", "原口令不正确"},
		"no old PIN":          {"", "739164", "原口令不正确"},
		"the same":            {firstPIN, firstPIN, "不能与原口令相同"},
		"letters":             {firstPIN, "abcdef", "数字"},
		"too short":           {firstPIN, "12", "须为 4 至 8 位数字"},
		"too long":            {firstPIN, "123456789", "须为 4 至 8 位数字"},
	} {
		err := k.changePIN(t.Context(), p, tt.old, tt.pin)
		_, again := errors.AsType[errCorrectable](err)
		if wrong := tt.pin == "739164"; again == wrong || !strings.Contains(plain(err), tt.says) { // the old PIN must not be tried again
			t.Errorf("%s: %v", name, err)
		}
	}
	if !opens(t, p, firstPIN) {
		t.Fatal("what was refused changed the PIN")
	}
	if err := k.changePIN(t.Context(), p, firstPIN, "739164"); err != nil {
		t.Fatal(err)
	}
	if !opens(t, p, "739164") || opens(t, p, firstPIN) {
		t.Error("the PIN is not the new one")
	}
	last := plugged{Info: token.Info{UserPINLow: true, UserPINLast: true}}
	if got := last.wrongPIN(); !strings.Contains(got, "再输错一次就会锁定") || !strings.Contains(got, "解锁") {
		t.Errorf("before it locks: %s", got)
	}
}

// A locked USBKEY leads to the unlock; one that is pulled out meanwhile can be tried again.
func TestChangePINOfALockedUSBKEY(t *testing.T) {
	pullOutAfter(t)
	whole, err := openKeyring([]string{softHSM})
	if err != nil {
		t.Fatal(err)
	}
	serial := newKey(t, whole, 131, time.Now().Add(-time.Hour), time.Now().AddDate(1, 0, 0))
	if err := whole.close(); err != nil {
		t.Fatal(err)
	}
	f := tokenfault.Build(t)
	k, err := openKeyring([]string{f.Path})
	if err != nil {
		t.Fatal(err)
	}
	defer k.close()
	p, err := k.find(serial)
	if err != nil {
		t.Fatal(err)
	}
	for rule, says := range map[string]string{"C_Login error 0xA4": "打开「解锁」", "C_SetPIN lose 0x32": "新口令已经生效"} {
		f.Set(t, rule)
		err := k.changePIN(t.Context(), p, firstPIN, "739164")
		_, again := errors.AsType[errCorrectable](err)
		if !strings.Contains(plain(err), says) || again == (rule == "C_Login error 0xA4") {
			t.Errorf("%s: %v", rule, err)
		}
	}
	f.Set(t)
	if !opens(t, p, "739164") {
		t.Error("the answer was lost, not the new PIN")
	}
}

// A page changes the PIN through the helper, which asks no server, and hears no PIN again.
func TestPageChangesPIN(t *testing.T) {
	pullOutAfter(t)
	k := openSoftHSM(t)
	serial := newKey(t, k, 132, time.Now().Add(-time.Hour), time.Now().AddDate(1, 0, 0))
	d := &desk{at: time.Now()}
	d.Handler = newService(k, testListen, []string{portal}, func() time.Time { return d.at })
	ask := func(body string) (int, string) {
		got := d.ask(http.MethodPost, "/v1/pin", body, map[string]string{"X-Helper-Nonce": d.nonce(t), "Content-Type": "application/json"})
		return got.Code, got.Body.String()
	}
	change := func(serial, old, pin string) (int, string) {
		body, err := json.Marshal(map[string]string{"token": serial, "old": old, "pin": pin})
		if err != nil {
			t.Fatal(err)
		}
		return ask(string(body))
	}
	if got := d.ask(http.MethodPost, "/v1/pin", `{}`, map[string]string{"Content-Type": "application/json"}); got.Code != http.StatusForbidden {
		t.Errorf("without a nonce: %d", got.Code)
	}
	for name, tt := range map[string]struct {
		serial, old string
		again       bool
	}{"a wrong old PIN": {serial, "11111111", false}, "another USBKEY": {"TW00000000009999", string(firstPIN), true}, "no USBKEY named": {"", string(firstPIN), false}} {
		if status, said := change(tt.serial, tt.old, "739164"); status != http.StatusUnprocessableEntity || strings.Contains(said, `"again":true`) != tt.again || strings.Contains(said, "739164") {
			t.Errorf("%s: %d %s", name, status, said)
		}
	}
	if status, said := change(serial, string(firstPIN), "739164"); status != http.StatusOK || strings.Contains(said, "739164") {
		t.Errorf("changed: %d %s", status, said)
	}
	p, err := k.find(serial)
	if err != nil {
		t.Fatal(err)
	}
	if !opens(t, p, "739164") {
		t.Error("the PIN is not the new one")
	}
}

// At the keyboard the old PIN is asked once and the new one twice; none is shown.
func TestChangePINAtTheKeyboard(t *testing.T) {
	pullOutAfter(t)
	k := openSoftHSM(t)
	p, err := k.find(newKey(t, k, 133, time.Now().Add(-time.Hour), time.Now().AddDate(1, 0, 0)))
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := w.WriteString("87654321\n739164\n739164\n"); err != nil {
		t.Fatal(err)
	}
	w.Close()
	var out bytes.Buffer
	if err := newTerminal(r, &out).changePIN(t.Context(), k, p); err != nil {
		t.Fatal(err)
	}
	if said := out.String(); !strings.Contains(said, p.Name) || strings.Contains(said, "739164") || strings.Contains(said, string(firstPIN)) {
		t.Errorf("said %q", said)
	}
	if !opens(t, p, "739164") {
		t.Error("the PIN is not the new one")
	}
}
