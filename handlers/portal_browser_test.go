package handlers

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/yuncaidun/yuncaidun/order"
)

// browse opens Chromium at a width on the real server. What the console says,
// such as a violation of the content security policy, fails the test, but for what
// is expected.
func (w *web) browse(t *testing.T, width int64, expected ...string) *tab {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	go w.App.Listener(l)
	t.Cleanup(func() { must(t, w.Shutdown(context.Background())) })
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, still...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	b := &tab{t, ctx, "http://" + l.Addr().String()}
	b.do(chromedp.EmulateViewport(width, 800))
	var listening sync.WaitGroup
	listening.Go(func() {
		for m, err := range chromedp.Console(ctx) {
			if err != nil {
				return
			}
			expected := append([]string{"422"}, expected...) // a form at fault is no fault of the page
			if !slices.ContainsFunc(expected, func(e string) bool { return strings.Contains(m.Text, e) }) {
				t.Errorf("console: %s", m.Text)
			}
		}
	})
	t.Cleanup(func() { cancel(); listening.Wait() })
	return b
}

// fill types into a field as a person does and leaves it.
func (b *tab) fill(f order.Field, value string) {
	b.t.Helper()
	at := "#in-" + strings.ReplaceAll(string(f), ".", "-")
	b.do(chromedp.SendKeys(at, value), chromedp.Blur(at))
}

// choose picks an entry of a list and waits for what follows from it.
func (b *tab) choose(f order.Field, value, then string) {
	b.t.Helper()
	b.js(`(s => { s.value = "` + value + `"; s.dispatchEvent(new Event("change", {bubbles: true})); })(document.getElementsByName("` + string(f) + `")[0])`)
	b.until("document.querySelector(`" + then + "`)")
}

// The whole first part of a purchase in a real browser, scripts running, on a
// phone and on a desk: the form that saves itself, pictures, the dialogs, and the
// page that turns to 已支付 by itself (F7, F14, F25, F46, F47, F54–F59).
func TestPurchaseInABrowser(t *testing.T) {
	photoFile := filepath.Join(t.TempDir(), "photo.jpg")
	must(t, os.WriteFile(photoFile, photo(t), 0o600))
	for name, width := range map[string]int64{"phone": 375, "desk": 1440} {
		t.Run(name, func(t *testing.T) {
			w := newWeb(t)
			b := w.browse(t, width)
			fits := func(page string) {
				t.Helper()
				if wide := b.js(`document.documentElement.scrollWidth > innerWidth`); wide != "false" {
					t.Errorf("%s is wider than the screen", page)
				}
			}
			b.goTo("/")
			fits("home")
			b.press(".offer .btn.main")
			b.shown("#agent")
			fits("form")

			// A submission too early leads to the first fault.
			b.press("[value=submit]")
			b.shown("#faults")
			if got := b.js(`document.activeElement.id`); got != "faults" {
				t.Errorf("the focus is on %q", got)
			}
			// What is wrong is told at once, what is right is priced by the server.
			b.fill(order.OrgUSCC, "91110108MA00TEN18G")
			b.until(`document.querySelector("#err-org-uscc").textContent.includes("校验")`)
			b.js(`document.querySelector("#in-org-uscc").value = ""`)
			b.fill(order.OrgUSCC, "91110108MA00TEN18F")
			b.press("[data-step='1']")
			b.until(`document.querySelector("#amount").textContent.includes("600.00")`)
			for f, v := range map[order.Field]string{
				order.AgentName: "王小琪", order.AgentMobile: agentMobile, order.AgentEmail: "wang@example.com", order.IDNo: "11010519491231002X",
				order.OrgName: "新疆云岭能源科技有限公司", order.LegalName: "李明",
			} {
				b.fill(f, v)
			}
			b.choose(order.OrgIndustry, "C", "#in-org-industry")
			for _, f := range []string{"id-front", "id-back", "license", "letter"} {
				b.do(chromedp.SetUploadFiles("#file-"+f, []string{photoFile}))
				b.shown("#shot-" + f + " .thumb")
			}
			b.press("[data-copy]")
			b.choose(order.ShipProvince, "北京市", `#in-ship-city option[value="北京市"]`)
			b.choose(order.ShipCity, "北京市", `#in-ship-district option[value="海淀区"]`)
			b.choose(order.ShipDistrict, "海淀区", "#in-ship-address")
			b.fill(order.ShipAddress, "中关村大街1号")
			b.press("[value=submit]")
			b.shown("[name=agree]")
			fits("confirmation")

			// Unticked, the SMS dialog does not open (F52).
			b.press("[data-open=sms]")
			if open := b.js(`document.querySelector("#sms").open`); open != "false" {
				t.Error("the dialog opens without the tick")
			}
			b.press("[name=agree]")
			b.press("[data-open=sms]")
			b.press("#sms .ask-code button")
			b.shown("#sms .hint")
			if left := b.js(`document.querySelector("#sms .ask-code button").disabled`); left != "true" {
				t.Error("the next code can be asked for at once")
			}
			b.do(chromedp.SendKeys("#sms #code", w.code(agentMobile)))
			b.press("#sms .btn.main")
			b.shown("#pay .btn.main")
			fits("payment")
			b.press("#pay .btn.main")
			b.shown("#pay .qr")

			page, err := w.db.Orders(t.Context(), order.Filter{})
			must(t, err)
			o := page.Orders[0]
			must(t, w.service.PaymentSucceeded(t.Context(), order.Receipt{Channel: order.WeChatPay, TradeNo: o.TradeNo, TransactionID: "4200", Amount: o.Amount, PaidAt: w.clock.now()}))
			b.shown("#pay .mark")
			b.press("#pay .btn.main")
			b.shown("#panel")
			fits("order")
			if o.Form.Get(order.ShipName) != "王小琪" || o.Form.Get(order.ShipMobile) != agentMobile || o.Quantity() != 2 || o.Amount != 60000 {
				t.Errorf("%d keys, %d fen, 收件人 %q", o.Quantity(), o.Amount, o.Form.Get(order.ShipName))
			}

			// The order's page follows the order by itself.
			_, err = w.service.Apply(t.Context(), o.ID, order.Command{On: order.Claim, By: order.Actor{Role: order.Reviewer, StaffID: "S1", Channel: order.Internal}})
			must(t, err)
			b.until(`document.querySelector("#panel").textContent.includes("正在审核")`)
		})
	}
}

// tabTo goes to an element as people do who have no mouse, and sees where it is.
func (b *tab) tabTo(selector string) {
	b.t.Helper()
	b.shown(selector)
	for range 90 {
		b.do(chromedp.KeyEvent(kb.Tab))
		if b.js("document.activeElement.matches(`"+selector+"`)") == "true" {
			if b.js(`getComputedStyle(document.activeElement).outlineStyle`) == "none" {
				b.t.Errorf("the focus on %s is not to be seen", selector)
			}
			return
		}
	}
	b.t.Fatalf("Tab never reaches %s", selector)
}

// From the login to the first fault of a form and its correction by keyboard alone;
// what changes is said, and what is wrong is bound to its field as long as it is.
func TestPurchaseByKeyboard(t *testing.T) {
	w := newWeb(t)
	b := w.browse(t, 720) // a desk at 200 %
	b.goTo("/login?mode=sms")
	b.tabTo("#mobile")
	b.do(chromedp.KeyEvent(agentMobile))
	b.tabTo(".ask-code button")
	b.do(chromedp.KeyEvent(kb.Enter))
	b.until(`document.querySelector("#voice").textContent.includes("已发送")`)
	b.until(`document.activeElement.id == "code"`)
	b.do(chromedp.KeyEvent(w.code(agentMobile)), chromedp.KeyEvent(kb.Enter))
	b.until(`location.pathname != "/login"`)
	b.goTo("/")
	b.tabTo(".offer .btn.main")
	b.do(chromedp.KeyEvent(kb.Enter))
	b.tabTo("#in-org-uscc")
	b.do(chromedp.KeyEvent("91110108MA00TEN18G"))
	b.do(chromedp.KeyEvent(kb.Tab))
	b.until(`document.querySelector("#in-org-uscc[aria-invalid=true][aria-describedby~=err-org-uscc]") && document.querySelector("#err-org-uscc[role=alert]").textContent.includes("校验")`)
	b.tabTo("[value=submit]")
	b.do(chromedp.KeyEvent(" "))
	b.until(`document.activeElement.id == "faults"`)
	b.tabTo("#faults a[href='#org.uscc']")
	b.do(chromedp.KeyEvent(kb.Enter))
	b.tabTo("#in-org-uscc") // the link leads to where Tab goes on
	b.js(`document.activeElement.select()`)
	b.do(chromedp.KeyEvent("91110108MA00TEN18F"))
	b.do(chromedp.KeyEvent(kb.Tab))
	b.until(`document.querySelector("#err-org-uscc").textContent == "" && document.querySelector("#in-org-uscc:not([aria-invalid])")`)
	if wide := b.js(`document.documentElement.scrollWidth > innerWidth`); wide != "false" {
		t.Error("the form is wider than the screen")
	}
}

// until waits for a condition of the page, also across a change of pages.
func (b *tab) until(condition string) {
	b.t.Helper()
	tick, enough := time.NewTicker(50*time.Millisecond), time.After(time.Minute)
	defer tick.Stop()
	for {
		v, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool]("!!("+condition+")"))
		if err == nil && v {
			return
		}
		select {
		case <-b.ctx.Done():
			b.t.Fatalf("never: %s (%v)", condition, err)
		case <-enough:
			b.t.Fatalf("never: %s (%v); the page: %.800s", condition, err, b.js("location.pathname + document.body.innerText"))
		case <-tick.C:
		}
	}
}

// shown waits until an element is there to be seen.
func (b *tab) shown(selector string) {
	b.t.Helper()
	b.until(`document.readyState == "complete" && document.querySelector("` + selector + `")?.checkVisibility()`)
}

// press clicks an element when it is there to be seen; unlike a click at a place
// of the screen it does not miss while what was typed before moves the page.
func (b *tab) press(selector string) {
	b.t.Helper()
	b.shown(selector)
	b.js("document.querySelector(`" + selector + "`).click()")
}
