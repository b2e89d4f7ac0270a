package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/yuncaidun/yuncaidun/e2e/story"
)

// tab is one tab of a real browser.
type tab struct {
	t     *testing.T
	ctx   context.Context //nolint:containedctx // it is the tab: chromedp keeps it there
	base  string
	width int64
	used  string // the last SMS code

	mu         sync.Mutex
	complaints []string // what the browser's console reported
}

// chromium starts a browser without a past, at a width.
func chromium(t *testing.T, base string, width, height int64) *tab {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()), chromedp.Flag("disable-gpu", true), chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("lang", "zh-CN"))...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx, base: base, width: width}
	b.do(chromedp.EmulateViewport(width, height))
	if err := chromedp.Listen(ctx, b.listen); err != nil {
		t.Fatal(err)
	}
	return b
}

// listen keeps what the console reports: script errors and what the security
// policy blocked.
func (b *tab) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		b.complaints = append(b.complaints, e.ExceptionDetails.Text)
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError {
			b.complaints = append(b.complaints, e.Entry.Text)
		}
	}
}

func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// open goes to a page.
func (b *tab) open(path string) { b.t.Helper(); b.do(chromedp.Navigate(b.base + path)) }

// js is the value of an expression, as text.
func (b *tab) js(expression string) string {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[string]("String("+expression+")"))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// until waits for a condition of the page.
func (b *tab) until(what, condition string) {
	b.t.Helper()
	err := story.Poll(b.ctx, 20*time.Second, func(ctx context.Context) (bool, error) {
		v, err := chromedp.Run(ctx, chromedp.Evaluate[string]("String(Boolean("+condition+"))"))
		return v == "true" && err == nil, nil // while a page loads there is nothing to ask
	})
	if err != nil {
		b.t.Fatalf("%s: %v; the page: %.600s", what, err, b.js("document.body.innerText"))
	}
}

// arrive waits until the tab shows the page that a path ends with, scripts and
// all: an address changes before its page does.
func (b *tab) arrive(end string) {
	b.t.Helper()
	b.until("the page "+end+" opens", fmt.Sprintf(`location.pathname.endsWith(%q) && document.readyState === "complete"`, end))
}

// press clicks what a selector finds, once it is there.
func (b *tab) press(selector string) {
	b.t.Helper()
	b.until(selector+" can be pressed", fmt.Sprintf(`document.readyState === "complete" && document.querySelector(%q)`, selector))
	b.js(fmt.Sprintf(`document.querySelector(%q).click()`, selector))
}

// path is where the tab is.
func (b *tab) path() string { b.t.Helper(); return b.js("location.pathname") }

// fits checks that the page is no wider than the tab.
func (b *tab) fits() {
	b.t.Helper()
	if got := b.js("document.documentElement.scrollWidth"); got != fmt.Sprint(b.width) {
		b.t.Errorf("%s is %s pixels wide in a tab of %d", b.path(), got, b.width)
	}
}

// set fills in a control as a person does, so that the page's scripts notice.
func (b *tab) set(field, value string) {
	b.t.Helper()
	b.js(fmt.Sprintf(`(() => { const e = document.getElementsByName(%q)[0]; e.focus(); e.value = %q;
		for (const n of ["input", "change"]) e.dispatchEvent(new Event(n, {bubbles: true})); })()`, field, value))
}

// picture saves what the tab shows as docs/screenshots/NAME.png when
// SCREENSHOTS is set.
func (b *tab) picture(name string) {
	b.t.Helper()
	if os.Getenv("SCREENSHOTS") == "" {
		return
	}
	png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Fatal(err)
	}
	dir := filepath.Join("..", "docs", "screenshots")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// An applicant buys with a real browser, on a desk and on a telephone: the form
// saves itself, the payment page turns to 已支付 by itself, and the order's page
// tells what happened (F24–F62, F91).
func TestApplicantBuysInABrowser(t *testing.T) {
	i, world := product(t)
	photos := photographs(t)
	for _, screen := range []struct {
		name          string
		width, height int64
	}{{"desk", 1440, 900}, {"phone", 375, 812}} {
		t.Run(screen.name, func(t *testing.T) {
			b := chromium(t, i.URL, screen.width, screen.height)
			b.buy(world, photos, screen.name)
			b.mu.Lock()
			defer b.mu.Unlock()
			if len(b.complaints) > 0 {
				t.Errorf("the console reports: %s", strings.Join(b.complaints, "\n"))
			}
		})
		if err := world.Advance(t.Context(), "61s"); err != nil { // until the next code may be sent
			t.Fatal(err)
		}
	}
}

// photographs are the four pictures of the form, as files.
func photographs(t *testing.T) map[string]string {
	dir, out := t.TempDir(), map[string]string{}
	for n, field := range []string{"id-front", "id-back", "license", "letter"} {
		out[field] = filepath.Join(dir, field+".jpg")
		if err := os.WriteFile(out[field], story.Photo(n+1), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func (b *tab) buy(world story.Playground, photos map[string]string, screen string) {
	b.t.Helper()
	b.open("/")
	b.fits()
	b.picture("home-" + screen)
	b.press("form.offer button")
	b.arrive("/edit")
	order := strings.TrimSuffix(strings.TrimPrefix(b.path(), "/orders/"), "/edit")
	b.fill(photos)
	b.open("/orders/" + order + "/edit") // leaving and coming back loses nothing
	b.until("the draft is there again", fmt.Sprintf(`document.getElementsByName("ship.address")[0]?.value === %q`, story.Application()["ship.address"]))
	b.fits()
	b.picture("form-" + screen)
	b.press("button.main[name=do][value=submit]")
	b.arrive("/confirm")
	b.fits()
	b.confirm(world)
	b.pay(world, order, screen)
	b.press("#pay a.main")
	b.until("the order's page tells what happened", `document.querySelector("#panel .time")?.innerText.includes("支付成功")`)
	b.fits()
	b.picture("order-" + screen)
	b.ask(world)
	b.open("/playground/")
	b.until("the playground shows the conversation", `document.body.innerText.includes("已收到申请，等待审核员受理")`)
	b.until("the phones in sight have started", `[...document.querySelectorAll("iframe")].every(f => !f.offsetParent || f.contentDocument?.querySelector(".product, .card"))`)
	b.picture("playground-" + screen)
}

// ask asks the official account how far the order is, after binding the mobile
// where that has not been done.
func (b *tab) ask(world story.Playground) {
	b.t.Helper()
	say := func(text string) {
		if _, err := world.Chat(b.ctx, "王小琪", text); err != nil {
			b.t.Fatal(err)
		}
	}
	const question = "我的订单到哪一步了"
	mobile := story.Application()["agent.mobile"]
	if _, err := world.Code(b.ctx, mobile, "绑定微信"); err != nil {
		if err := world.Advance(b.ctx, "61s"); err != nil {
			b.t.Fatal(err)
		}
		say(mobile)
		sms, err := world.Code(b.ctx, mobile, "绑定微信")
		if err != nil {
			b.t.Fatal(err)
		}
		say(sms.Params[0])
	}
	say(question)
}

// fill fills in the form as it is shown; places follow one another.
func (b *tab) fill(photos map[string]string) {
	b.t.Helper()
	for field, file := range photos {
		b.do(chromedp.SetUploadFiles("#file-"+field, []string{file}))
		b.until("the photograph "+field+" is taken", fmt.Sprintf(`document.querySelector("#shot-%s.has img")`, field))
	}
	answers := story.Application()
	for _, field := range []string{
		"agent.name", "agent.mobile", "agent.email", "id.no", "org.name", "org.uscc", "legal.name",
		"ship.name", "ship.mobile", "ship.province", "ship.city", "ship.district", "ship.address",
	} {
		b.until(field+" can be filled in", fmt.Sprintf(`(e => e && (e.tagName !== "SELECT" || [...e.options].some(o => o.value === %[2]q)))(document.getElementsByName(%[1]q)[0])`, field, answers[field]))
		b.set(field, answers[field])
	}
	b.js(`(e => { e.selectedIndex = 1; e.dispatchEvent(new Event("change", {bubbles: true})); })(document.getElementsByName("org.industry")[0])`)
	b.press("[data-step='1']")
	b.until("the amount follows the quantity", `document.querySelector("#amount").innerText.includes("600.00")`)
	b.until("the form saved itself", `document.querySelector("#saved").innerText.includes("已保存")`)
}

// confirm agrees and proves the mobile.
func (b *tab) confirm(world story.Playground) {
	b.t.Helper()
	b.press("[name=agree]")
	b.press("[data-open=sms]")
	b.do(chromedp.WaitVisible("#sms .ask-code button"))
	b.press("#sms .ask-code button")
	b.until("the code is on its way", `document.querySelector("#sms .ask-code").innerText.includes("已发送")`)
	sms, err := world.Code(b.ctx, story.Application()["agent.mobile"], "提交订单")
	if err != nil {
		b.t.Fatal(err)
	}
	b.do(chromedp.SendKeys("#code", sms.Params[0]))
	b.press("#sms button.main")
	b.arrive("/pay")
}

// pay scans the QR code and watches the page turn. On a desk it is Alipay's, which the
// keyboard chooses (F58); the choice stays while the page asks how things are.
func (b *tab) pay(world story.Playground, order, screen string) {
	b.t.Helper()
	channel := `document.querySelector("#pay [name=channel]:checked").value`
	b.until("WeChat Pay is chosen at first", channel+` === "wechatpay"`)
	b.fits()
	b.picture("pay-choice-" + screen)
	app := "微信"
	if screen == "desk" {
		b.do(chromedp.Focus("#pay [name=channel]"), chromedp.KeyEvent(kb.ArrowDown))
		b.until("the arrow key chooses Alipay", channel+` === "alipay"`)
		app = "支付宝"
	}
	b.press("#pay form button.main")
	b.do(chromedp.WaitVisible("#pay img.qr"))
	b.until("the code is of the chosen channel", fmt.Sprintf(`document.querySelector("#pay h1").innerText === "%s扫码支付"`, app))
	b.fits()
	b.picture("pay-" + screen)
	trade, err := world.OpenTrade(b.ctx, order)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := world.Pay(b.ctx, trade.OutTradeNo, "pay", 0); err != nil {
		b.t.Fatal(err)
	}
	b.until("the page turns by itself", `document.querySelector("#pay h1").innerText === "已支付"`)
}
