package handlers

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/order"
)

// ticketing gives out one ticket, whose state the test decides.
type ticketing struct {
	ticket certificate.Ticket
	state  atomic.Pointer[certificate.TicketState]
}

type beginning struct {
	runService

	of *ticketing
}

func (b beginning) Begin(context.Context, order.ID, order.Actor) (certificate.Ticket, string, error) {
	return b.of.ticket, "the-secret", nil
}

type watching struct {
	unlockService

	of *ticketing
}

func (w watching) Watch(context.Context, string) (certificate.Ticket, error) {
	now := w.of.ticket
	now.State = *w.of.state.Load()
	return now, nil
}

// helperOn stands in for the key helper on a subscriber's PC: its USBKEY is there once
// plugged says so, and answers the call of a ticket as answer does.
type helperOn struct {
	plugged atomic.Bool
	answer  atomic.Pointer[func(w http.ResponseWriter, pin string)]
}

func (h *helperOn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for name, value := range map[string]string{"Origin": "*", "Headers": "Content-Type, X-Helper-Nonce", "Private-Network": "true"} {
		w.Header().Set("Access-Control-Allow-"+name, value)
	}
	var in struct{ Ticket, PIN string }
	switch {
	case r.Method == http.MethodOptions:
	case r.URL.Path == "/v1/hello":
		tokens := []string{}
		if h.plugged.Load() {
			tokens = append(tokens, boundKey)
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"nonce": "n1", "tokens": tokens})
	case json.NewDecoder(r.Body).Decode(&in) != nil || in.Ticket != "the-secret" || r.Header.Get("X-Helper-Nonce") != "n1":
		http.Error(w, `{"detail":"bad call"}`, http.StatusBadRequest)
	default:
		(*h.answer.Load())(w, in.PIN)
	}
}

func (h *helperOn) answers(f func(w http.ResponseWriter, pin string)) { h.answer.Store(&f) }

// F71: the page that has a certificate written waits for the right USBKEY, lets a wrong
// PIN be corrected, tells what went wrong, and when the helper is gone asks the server
// how it ended.
func TestWritingInABrowser(t *testing.T) {
	says := func(status int, body string) func(http.ResponseWriter, string) {
		return func(w http.ResponseWriter, _ string) { http.Error(w, body, status) }
	}
	for name, tc := range map[string]struct {
		width int64
		last  func(http.ResponseWriter, string)
		end   certificate.TicketState // as the server knows it
		shown string
	}{
		"written":                         {375, says(http.StatusOK, `{}`), certificate.TicketOpen, "#finished"},
		"refused":                         {1440, says(http.StatusConflict, `{"detail":"UKEY 在办理过程中被拔出"}`), certificate.TicketOpen, "#failed"},
		"gone, and the server heard done": {1440, func(http.ResponseWriter, string) { panic(http.ErrAbortHandler) }, certificate.TicketDone, "#finished"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWeb(t)
			owner := w.holder()
			owner.later(350 * 24 * time.Hour)
			path := owner.submitted(owner.post("/orders", begin(heldSerial, order.Renewal)).location(), url.Values{"about.bid": {"no"}})
			owner.approved(path)
			desk := &ticketing{ticket: certificate.Ticket{ID: "01TICKET", OrderID: order.ID(path[len("/orders/"):]), TokenSerial: boundKey, ExpiresAt: w.clock.now().Add(time.Hour)}}
			begun := certificate.TicketOpen
			desk.state.Store(&begun)
			w.Runs, w.Unlocks = beginning{of: desk}, watching{of: desk}
			helper := &helperOn{}
			pc := httptest.NewServer(helper)
			t.Cleanup(pc.Close)
			w.HelperURL = pc.URL

			b := w.browse(t, tc.width, "409", "ERR_EMPTY_RESPONSE")
			for _, cookie := range owner.jar.Cookies(&url.URL{Scheme: "http", Host: "127.0.0.1:8080", Path: "/"}) {
				_, err := chromedp.Call(b.ctx, network.SetCookie, network.SetCookieParams{Name: cookie.Name, Value: cookie.Value, URL: b.base})
				must(t, err)
			}
			b.goTo(path + "/run")
			b.press("form .btn.main")
			b.until(`document.querySelector("#said")?.innerText.includes("请插入 UKEY")`)
			helper.plugged.Store(true)
			b.shown("#pin-form")
			b.picture("writing-pin-" + name)
			helper.answers(says(http.StatusConflict, `{"detail":"UKEY 口令不正确","again":true}`))
			b.do(chromedp.SendKeys("#pin", "1111"))
			b.press("#go")
			b.until(`document.querySelector("#pin-fault").innerText.includes("不正确") && document.querySelector("#pin").value == ""`)
			helper.answers(func(rw http.ResponseWriter, pin string) {
				if pin != "2222" {
					t.Errorf("the helper got the PIN %q", pin)
				}
				desk.state.Store(&tc.end)
				tc.last(rw, pin)
			})
			b.do(chromedp.SendKeys("#pin", "2222"))
			b.press("#go")
			b.shown(tc.shown)
			if b.js(`document.documentElement.scrollWidth > innerWidth`) != "false" {
				t.Error("the page is wider than the screen")
			}
			b.picture("writing-end-" + name)
		})
	}
}
