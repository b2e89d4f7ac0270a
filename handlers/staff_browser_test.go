package handlers

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/yuncaidun/yuncaidun/order"
)

// tab is a real browser on the real server.
type tab struct {
	t    *testing.T
	ctx  context.Context //nolint:containedctx // chromedp keeps a tab in one
	base string
}

// still is a Chromium whose pages do not glide: a click at a place of the screen
// misses what is still moving there.
var still = append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.NoSandbox, chromedp.Flag("force-prefers-reduced-motion", true))

// open starts Chromium at a width with somebody's cookies.
func (d *desk) open(t *testing.T, as *browser, width int64) *tab {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	go d.App.Listener(l)
	t.Cleanup(func() { must(t, d.App.Shutdown()) })
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, still...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &tab{t, ctx, "http://" + l.Addr().String()}
	b.do(chromedp.EmulateViewport(width, 800))
	for _, c := range as.jar.Cookies(&url.URL{Scheme: "http", Host: "127.0.0.1:8080", Path: "/"}) {
		_, err := chromedp.Call(ctx, network.SetCookie, network.SetCookieParams{Name: c.Name, Value: c.Value, URL: b.base})
		must(t, err)
	}
	return b
}

func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	must(b.t, chromedp.Do(b.ctx, actions...))
}

func (b *tab) goTo(path string) { b.t.Helper(); b.do(chromedp.Navigate(b.base + path)) }

// js is the value of an expression, as text.
func (b *tab) js(expression string) string {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[string]("String("+expression+")"))
	must(b.t, err)
	return v
}

// A reviewer's work on a phone, with the scripts running: claim, look closely,
// tick, and an impatient double tap that decides once.
func TestReviewOnAPhone(t *testing.T) {
	d := newDesk(t).hire()
	o := d.inReview()
	b := d.open(t, d.login("李审核"), 375)
	b.goTo("/staff/review/" + string(o.ID))
	b.do(chromedp.Click(".thumb-bar button"), chromedp.WaitVisible("#go button"))
	b.do(chromedp.Click("#panel-license [data-zoom]"), chromedp.WaitVisible("#zoom .zoom-facts dd"))
	if got := b.js(`document.querySelector("#zoom-title").textContent`); got != "营业执照图片" {
		t.Errorf("zoomed %q", got)
	}
	b.do(chromedp.Click("#zoom [data-zoom-by='1']"), chromedp.Click("#zoom [data-turn]"), chromedp.Click("#zoom [data-close]"), chromedp.WaitNotVisible("#zoom"))
	b.js(`document.querySelectorAll("[name=tick]").forEach(c => c.click())`)
	b.js(`(g => { g.click(); g.click(); })(document.querySelector("#go button"))`)
	b.do(chromedp.WaitNotPresent("#go"), chromedp.WaitVisible("#decide .note"))
	if n := countEvents(t, d, o.ID, order.Approve); n != 1 {
		t.Errorf("%d approvals", n)
	}
}

// The preview follows what is chosen, and masks come off in place.
func TestReviewScripts(t *testing.T) {
	d := newDesk(t).hire()
	o := d.inReview()
	li := d.login("李审核")
	page := "/staff/review/" + string(o.ID)
	li.get(page)
	li.mustPost(page+"/claim", nil, page)
	b := d.open(t, li, 1440)
	b.goTo(page)
	b.do(chromedp.Click("details.reject > summary"), chromedp.Click("[value=R03]"), chromedp.WaitVisible(".preview .note"))
	b.do(chromedp.Click("[value=R03]"), chromedp.WaitNotPresent(".preview .note"))
	b.js(`document.querySelector("#why").value = "compare"`)
	b.do(chromedp.Click(".unmask button"), chromedp.WaitVisible(".unmask [role=status]"))
	if got := b.js(`document.querySelector("#f-agent-mobile dd").textContent`); got != agentMobile {
		t.Errorf("mobile in the clear: %q", got)
	}
}

// No page of the console is wider than a phone or loses its heading.
func TestConsoleFitsPhones(t *testing.T) {
	d := newDesk(t).hire()
	ready := d.made(d.inReview())
	waiting := d.inReview()
	admin := d.login("吴管理")
	paths := []string{
		"/staff/login", "/staff/review", "/staff/review/" + string(waiting.ID), "/staff/making", "/staff/shipping", "/staff/shipping/" + string(ready.ID),
		"/staff/finance", "/staff/finance/" + string(waiting.ID), "/staff/orders?company=" + url.QueryEscape("云岭"),
		"/staff/enquiries",
	}
	b := d.open(t, admin, 375)
	for _, path := range paths {
		if a := admin.get(path); a.Status != http.StatusOK {
			t.Errorf("%s: %d", path, a.Status)
		}
		b.goTo(path)
		if got := b.js(`document.documentElement.scrollWidth + " " + document.querySelectorAll("h1").length`); got != "375 1" {
			t.Errorf("%s: width and headings %s", path, got)
		}
	}
}
