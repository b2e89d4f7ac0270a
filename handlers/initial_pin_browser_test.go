package handlers

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/yuncaidun/yuncaidun/order"
)

// pinHelper stands in for the key helper on a PC where the USBKEY of that serial is plugged in.
type pinHelper struct {
	serial string
	status atomic.Int32
	body   atomic.Pointer[string] // of the answer to a change
	asked  atomic.Pointer[string] // for which
}

func (h *pinHelper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for name, value := range map[string]string{"Origin": "*", "Headers": "Content-Type, X-Helper-Nonce", "Private-Network": "true"} {
		w.Header().Set("Access-Control-Allow-"+name, value)
	}
	switch {
	case r.Method == http.MethodOptions:
	case r.URL.Path == "/v1/hello":
		_ = json.NewEncoder(w).Encode(map[string]any{"nonce": "n1", "tokens": []string{h.serial}, "pins": map[string]any{h.serial: map[string]int{"least": 4, "most": 8}}})
	default:
		var in struct{ Token, Old, PIN string }
		_ = json.NewDecoder(r.Body).Decode(&in)
		asked := strings.Join([]string{r.URL.Path, r.Header.Get("X-Helper-Nonce"), in.Token, in.Old, in.PIN}, " ")
		h.asked.Store(&asked)
		http.Error(w, *h.body.Load(), int(h.status.Load()))
	}
}

func (h *pinHelper) answers(status int32, body string) {
	h.status.Store(status)
	h.body.Store(&body)
}

// The page that shows an initial PIN has the helper on this PC change it into the holder's own,
// which goes nowhere else; without a helper it says how.
func TestInitialPINIsChangedInABrowser(t *testing.T) {
	for name, tc := range map[string]struct {
		width   int64
		running bool
	}{"with the helper": {1440, true}, "without it": {375, false}} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t).hire()
			owner := d.browser()
			o := d.order(owner.paid())
			must(t, d.service.RecordRealName(t.Context(), o.ID, o.Submission, order.RealNameMatch))
			d.clock.advance(2 * 60e9)
			o = d.made(d.read(o.ID))
			d.issued(o)
			d.apply(o.ID, order.Command{On: order.Ship, By: d.staff["孙发货"].Actor(order.Shipper, order.Web, "192.0.2.1"), Carrier: "sf", TrackingNo: "SF1234567890123"})
			item := d.items(o.ID)[0]
			path := "/certificates/" + item.CertSerial + "/pin"
			helper := &pinHelper{serial: item.TokenSerial}
			pc := httptest.NewServer(helper)
			t.Cleanup(pc.Close)
			if d.HelperURL = pc.URL; !tc.running {
				pc.Close()
			}

			b := d.browse(t, tc.width, "409", "ERR_CONNECTION_REFUSED")
			for _, cookie := range owner.jar.Cookies(&url.URL{Scheme: "http", Host: "127.0.0.1:8080", Path: "/"}) {
				_, err := chromedp.Call(b.ctx, network.SetCookie, network.SetCookieParams{Name: cookie.Name, Value: cookie.Value, URL: b.base})
				must(t, err)
			}
			code := owner.codeFor(path)
			b.goTo(path)
			b.picture("initial-pin-ask-" + name)
			b.press("input[name=got]")
			b.do(chromedp.SendKeys("#code", code))
			b.press("form .btn.main")
			b.until(`document.querySelector(".pin-code")?.innerText == "` + heldPIN + `"`)
			if !tc.running {
				b.until(`document.querySelector("#said").innerText.includes("没有检测到证书助手")`)
				if got := b.js(`document.querySelector("#command").innerText`); !strings.Contains(got, "keyhelper pin --token "+item.TokenSerial) {
					t.Errorf("how to do it: %s", got)
				}
			} else {
				b.shown("#pin-form")
				b.picture("initial-pin-form")
				for _, pin := range []string{"739164", "739165"} { // mistyped
					b.do(chromedp.SendKeys(map[bool]string{true: "#pin", false: "#again"}[pin == "739164"], pin))
				}
				b.press("#go")
				b.until(`document.querySelector("#pin-fault").innerText.includes("不一致")`)
				helper.answers(http.StatusUnprocessableEntity, `{"detail":"新口令不能与原口令相同，请换一个。","again":true}`)
				b.js(`document.querySelector("#again").value = "739164"`)
				b.press("#go")
				b.until(`document.querySelector("#pin-fault").innerText.includes("不能与原口令相同") && document.querySelector("#pin").value == ""`)
				helper.answers(http.StatusOK, `{}`)
				b.do(chromedp.SendKeys("#pin", "739164"), chromedp.SendKeys("#again", "739164"))
				b.press("#go")
				b.shown("#finished")
				if got, want := *helper.asked.Load(), "/v1/pin n1 "+item.TokenSerial+" "+heldPIN+" 739164"; got != want {
					t.Errorf("the helper was asked %q, want %q", got, want)
				}
			}
			if b.js(`document.documentElement.scrollWidth > innerWidth`) != "false" {
				t.Error("the page is wider than the screen")
			}
			b.picture("initial-pin-" + name)
		})
	}
}
