package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/yuncaidun/yuncaidun/e2e/story"
)

// freeAddress is one that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// serveHelper runs the key helper as a service for the pages of an instance.
func serveHelper(t *testing.T, i *story.Instance, listen string) {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), filepath.Join(filepath.Dir(binary), "keyhelper"), "serve", "--listen", listen, "--origin", i.URL)
	cmd.Env = append(os.Environ(), "SOFTHSM2_CONF="+filepath.Join(i.DataDir, "softhsm2.conf"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Error("the helper ended with", err)
		}
	})
	err := story.Poll(t.Context(), 20*time.Second, func(ctx context.Context) (bool, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+listen+"/v1/hello", nil)
		if err != nil {
			return false, err
		}
		req.Header.Set("Origin", i.URL)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false, nil //nolint:nilerr // not yet
		}
		return resp.StatusCode == http.StatusOK, resp.Body.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A subscriber sets a new PIN with a real browser and a real key helper (F78–F83):
// the page finds the helper on this PC, shows each step, refuses a PIN that was
// mistyped, and never shows the new one (G18). Without a helper it shows the command.
func TestUnlockInABrowser(t *testing.T) {
	listen := freeAddress(t)
	t.Setenv("YCD_HELPER_URL", "http://"+listen)
	dir := t.TempDir()
	if said, code := demo(t, binary, "YCD_DATA_DIR="+dir, "STORY=unlock", "FAULT="); code != 0 { // makes the USBKEY
		t.Fatalf("exit code %d\n%s", code, said)
	}
	i, world := productIn(t, dir)
	tokens, err := filepath.Glob(filepath.Join(dir, "tokens", "*"))
	if err != nil || len(tokens) == 0 {
		t.Fatal(tokens, err)
	}
	const serial = "TW00000000000001"
	for n, screen := range []struct {
		name          string
		width, height int64
	}{{"desk", 1440, 900}, {"phone", 375, 812}} {
		t.Run(screen.name, func(t *testing.T) {
			if err := world.Advance(t.Context(), "1488h"); err != nil { // past the limit of thirty days
				t.Fatal(err)
			}
			b := chromium(t, i.URL, screen.width, screen.height)
			b.unlock(world, serial, screen.name, fmt.Sprint("7391640", n), func() { serveHelper(t, i, listen) })
			b.mu.Lock()
			defer b.mu.Unlock()
			for _, c := range b.complaints {
				if !strings.Contains(c, "ERR_CONNECTION_REFUSED") { // the helper that is not there yet
					t.Error("the console reports:", c)
				}
			}
		})
	}
}

func (b *tab) unlock(world story.Playground, serial, screen, pin string, start func()) {
	b.t.Helper()
	b.open("/unlock")
	b.fits()
	b.picture("unlock-" + screen)
	b.set("serial", serial)
	b.press(".ask-code button")
	b.until("the code is on its way", `document.querySelector(".ask-code").innerText.includes("已发送")`)
	var code string
	err := story.Poll(b.ctx, 20*time.Second, func(ctx context.Context) (bool, error) {
		texts, err := world.SMS(ctx)
		if err != nil || len(texts) == 0 || !strings.Contains(texts[0].Text, "解锁 UKEY") || texts[0].Params[0] == b.used {
			return false, err
		}
		code = texts[0].Params[0]
		return true, nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.used = code
	b.set("code", code)
	b.press("form button.main")
	b.until("the page asks for the helper", `document.getElementById("by-hand") && !document.getElementById("by-hand").hidden`)
	b.fits()
	b.picture("unlock-command-" + screen)
	start()
	b.press("#probe")
	b.until("the USBKEY is found", `!document.getElementById("pin-form").hidden`)
	b.fits()
	b.picture("unlock-pin-" + screen)
	b.do(chromedp.SendKeys("#pin", pin), chromedp.SendKeys("#again", pin[:6]))
	b.press("#go")
	b.until("a mistyped PIN is refused", `document.getElementById("pin-fault").innerText.includes("不一致")`)
	b.js(`document.getElementById("again").value = ""`)
	b.do(chromedp.SendKeys("#again", pin))
	b.press("#go")
	b.until("the key is unlocked", `!document.getElementById("finished").hidden`)
	b.fits()
	b.picture("unlock-done-" + screen)
	if text := b.js("document.documentElement.outerHTML"); strings.Contains(text, pin) {
		b.t.Error("the page shows the new PIN")
	}
}
