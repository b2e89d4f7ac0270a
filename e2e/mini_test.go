package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/yuncaidun/yuncaidun/e2e/story"
	"github.com/yuncaidun/yuncaidun/miniprogram"
)

const miniAt = "/playground/mp/?persona=applicant"

// mini is the mini-program's H5 build in a phone frame.
type mini struct{ *tab }

// uncovered says that nothing lies over the page: no wait, no message.
const uncovered = `![...document.querySelectorAll("uni-toast, uni-modal, .overlay")].some(e => e.offsetHeight && getComputedStyle(e).display !== "none")`

// picture waits until nothing lies over the page.
func (m mini) picture(name string) {
	m.t.Helper()
	m.until("nothing lies over the page", uncovered)
	m.until("the pictures are there", `[...document.querySelectorAll("uni-page:last-of-type uni-image > div")].every(e => e.style.backgroundImage !== "none")`)
	m.tab.picture(name)
}

// page waits until a page of the mini-program is shown with its content.
func (m mini) page(name, condition string) {
	m.t.Helper()
	m.until("the page "+name+" is shown", fmt.Sprintf(`location.hash.startsWith("#/pages/%s/index") && (%s)`, name, condition))
	m.fits()
}

// top finds in the page that is shown: pages below it stay in the document.
func top(selector string) string {
	return fmt.Sprintf(`[...document.querySelectorAll("uni-page")].at(-1).querySelector(%q)`, selector)
}

func (m mini) press(selector string) {
	m.t.Helper()
	m.until(selector+" can be pressed", "("+top(selector)+")?.offsetParent")
	m.js(top(selector) + `.click()`)
}

// enter types into an input and leaves it. The H5 build hands on at once only the first
// of what is typed within a tenth of a second.
func (m mini) enter(selector, value string) {
	m.t.Helper()
	m.until(selector+" can be filled in", top(selector+" input"))
	m.js(fmt.Sprintf(`(e => { e.focus(); e.value = %q; e.dispatchEvent(new Event("input", {bubbles: true})); e.dispatchEvent(new Event("blur")); window.entered = performance.now(); })(%s)`, value, top(selector+" input")))
	m.until("it is handed on", "performance.now() - window.entered > 150")
}

// choose picks an entry of a list by its text, or the first one. A person turns the
// wheel; the list behind it takes a click.
func (m mini) choose(name, text string) {
	m.t.Helper()
	m.press(field(name) + " uni-picker")
	item := fmt.Sprintf(`[...document.querySelectorAll(".uni-picker-toggle .uni-picker-select .uni-picker-item")].find(e => %[1]q === "" || e.textContent.trim() === %[1]q)`, text)
	m.until("the choices of "+name+" are shown", item)
	m.js(item + `.click()`)
	m.until(name+" is chosen", fmt.Sprintf(`(%s)?.innerText !== "请选择" && !document.querySelector(".uni-picker-toggle")`, top(field(name)+" .input")))
}

func field(name string) string { return fmt.Sprintf(`[data-field="%s"]`, name) }

// The applicant does everything on the phone: logs in with the number that WeChat
// knows, fills the form with photos, confirms, pays, and the order's page turns by
// itself (G34). It is the same source that is uploaded to WeChat.
func TestApplicantBuysInTheMiniProgram(t *testing.T) {
	if _, ok := miniprogram.H5(); !ok {
		t.Fatal("the H5 build is missing: make miniprogram")
	}
	i, world := product(t)
	photos := photographs(t)
	m := mini{chromium(t, i.URL, 375, 812)}
	m.open(miniAt)
	m.until("the home page is shown", top(".product"))
	m.picture("mini-home")
	m.press(".product .start")

	// Nobody knows this WeChat user yet.
	m.page("login", top(".phone-login"))
	m.picture("mini-login")
	m.press(".phone-login")
	m.until("back at home, logged in", `location.hash.startsWith("#/pages/home") || location.hash === "#/"`)
	m.press(".product .start")
	m.page("apply", top(field("agent.name")))
	if got := m.js(top(field("agent.mobile")+" input") + ".value"); got != "17700007069" {
		t.Errorf("the form starts with the mobile %s", got)
	}

	// A submission too early names what is missing.
	m.press(".submit")
	m.until("the faults are shown", fmt.Sprintf(`(%s)?.innerText.includes("请填写姓名")`, top(field("agent.name")+" .fault")))

	answers := story.Application()
	for name, file := range map[string]string{"id.front": photos["id-front"], "id.back": photos["id-back"], "license": photos["license"], "letter": photos["letter"]} {
		m.press(field(name) + " .camera")
		m.until("a file can be chosen", `document.querySelector("body > input[type=file]")`)
		m.do(chromedp.SetUploadFiles("body > input[type=file]", []string{file}))
		m.until("the photo "+name+" is there", top(field(name)+" .photo div")+`?.style.backgroundImage.includes("/pictures/")`)
	}
	for _, name := range []string{"agent.name", "agent.email", "id.no", "org.name", "org.uscc", "legal.name"} {
		m.enter(field(name), answers[name])
	}
	m.choose("org.industry", "")
	m.press(".copy-agent")
	for _, name := range []string{"ship.province", "ship.city", "ship.district"} {
		m.choose(name, answers[name])
	}
	m.enter(field("ship.address"), answers["ship.address"])
	m.press(".step.add")
	m.until("the amount follows the quantity", fmt.Sprintf(`(%s)?.innerText.includes("600.00")`, top(".bar .money")))
	m.fits()
	m.js("window.scrollTo(0, 0)")
	m.picture("mini-apply")
	m.press(".submit")

	m.page("confirm", top(".send-code"))
	m.picture("mini-confirm")
	m.press(".tickbox")
	m.press(".send-code")
	m.until("the code is sent", fmt.Sprintf(`(%s).innerText.includes("验证码已发送")`, top(".page")))
	sms, err := world.Code(m.ctx, "17700007069", "提交订单")
	if err != nil {
		t.Fatal(err)
	}
	m.enter(".code-input", sms.Params[0])
	m.press(".submit")

	m.page("pay", top(".pay"))
	m.picture("mini-pay")
	m.press(".pay")
	m.until("WeChat Pay asks", `document.querySelector(".uni-modal__btn_primary")?.offsetParent`)
	m.js(`document.querySelector(".uni-modal__btn_primary").click()`)
	m.until("the payment is confirmed by the server", top(".paid"))
	m.picture("mini-paid")
	m.press(".show-order")
	m.page("order", fmt.Sprintf(`(%s)?.innerText.includes("待审核")`, top(".state-label")))
	m.until("the order tells what happened", fmt.Sprintf(`(%s)?.innerText.includes("支付成功")`, top(".moment")))
	m.picture("mini-order")

	// Until it is sent it may go to somebody else (row 47).
	m.press(".delivery")
	m.page("delivery", top(field("ship.name")))
	m.picture("mini-delivery")
	m.enter(field("ship.mobile"), "12")
	m.press(".save")
	m.until("the fault is beside the field", top(field("ship.mobile")+" .fault"))
	m.enter(field("ship.mobile"), "13900000022")
	m.until("the fault is gone", "!"+top(field("ship.mobile")+" .fault"))
	m.press(".save")
	m.page("order", fmt.Sprintf(`(%s)?.innerText.includes("待审核")`, top(".state-label")))
	m.until("the order tells of it", fmt.Sprintf(`(%s)?.innerText.includes("修改收件信息")`, top(".moment")))

	// The portal in another browser is logged in by this phone (F20).
	m.scanIn(i.URL)

	m.open(miniAt + "#/pages/orders/index")
	m.until("the list has the order", top(".order-card"))
	m.fits()
	m.picture("mini-orders")
	m.open(miniAt + "#/pages/certificates/index")
	m.until("no certificate yet", fmt.Sprintf(`(%s)?.innerText.includes("还没有证书")`, top(".page")))
	m.open(miniAt + "#/pages/me/index")
	m.until("who is logged in", fmt.Sprintf(`(%s)?.innerText === "177****7069"`, top(".my-mobile")))
	m.picture("mini-me")
	m.press(".large-type")
	m.until("the type is large", top(".page.large"))
	m.fits()
	m.picture("mini-large")
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.complaints) > 0 {
		t.Errorf("the console reports: %s", strings.Join(m.complaints, "\n"))
	}
}

// scanIn logs a PC in by the QR code of its login page.
func (m mini) scanIn(url string) {
	m.t.Helper()
	pc := chromium(m.t, url, 1440, 900)
	pc.open("/login?next=/orders")
	pc.until("the QR code is shown", `document.querySelector("#scan a img.qr")`)
	pc.picture("login-scan")
	link := pc.js(`document.querySelector("#scan a").href`)
	ticket := link[strings.LastIndex(link, "/")+1:]
	m.open(miniAt + "#/pages/scan/index?ticket=" + ticket)
	m.page("scan", top(".confirm"))
	m.picture("mini-scan")
	pc.until("the PC knows that it was scanned", `document.querySelector("#scan").innerText.includes("已扫码")`)
	m.press(".confirm")
	m.until("confirmed", fmt.Sprintf(`(%s)?.innerText.includes("已确认")`, top(".done")))
	pc.arrive("/orders")
	pc.until("the PC shows the order", `document.body.innerText.includes("待审核")`)
	pc.mu.Lock()
	defer pc.mu.Unlock()
	if len(pc.complaints) > 0 {
		m.t.Errorf("the console of the PC reports: %s", strings.Join(pc.complaints, "\n"))
	}
}

// The playground shows the mini-program beside the chat windows, one phone per
// persona, and staff find their tasks in theirs.
func TestPhoneFrames(t *testing.T) {
	i, _ := product(t)
	b := chromium(t, i.URL, 1440, 900)
	b.open("/playground/")
	frame := `document.querySelector("#mini-%d iframe")?.contentDocument`
	b.until("the applicant's phone shows the products", fmt.Sprintf(frame+`?.querySelector(".product")`, 0))
	b.until("the reviewer's phone knows that he is staff", fmt.Sprintf(frame+`?.body?.innerText.includes("待我处理")`, 1))
	b.picture("playground-mini")

	// The menu of the official account opens pages of it, each on the phone of whoever presses.
	press := func(chat int, name string) {
		t.Helper()
		button := fmt.Sprintf(`[...document.querySelectorAll("#chat-%d .menu button")].find(b => b.textContent === %q)`, chat, name)
		b.until("the menu has "+name, button)
		b.js(button + `.click()`)
	}
	for _, entry := range []struct {
		chat       int
		name, page string
	}{{0, "我的发票", "pages/invoices/index"}, {0, "更新续期", "pages/guide/index?of=renew"}, {1, "我的证书", "pages/certificates/index"}} {
		press(entry.chat, entry.name)
		b.until(entry.name+" is open", fmt.Sprintf(`document.querySelector("#mini-%d iframe")?.contentWindow.location.hash === "#/%s"`, entry.chat, entry.page))
	}
	b.until("the page shows what it is about", fmt.Sprintf(frame+`?.body?.innerText.includes("申请更新")`, 0))
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.complaints) > 0 {
		t.Errorf("the console reports: %s", strings.Join(b.complaints, "\n"))
	}
}

// A phone that draws no frame for a while still gets rid of what said that something
// was under way: between two slow frames uni's own loading stayed for good.
func TestOverlayGoesWithoutAFrame(t *testing.T) {
	i, _ := product(t)
	m := mini{chromium(t, i.URL, 375, 812)}
	m.open(miniAt + "#/pages/orders/index")
	m.press(".go-login")
	m.page("login", top(".phone-login"))
	m.js(`(window.requestAnimationFrame = () => 0)`)
	m.press(".phone-login")
	m.page("orders", `document.querySelectorAll("uni-page").length === 1`)
	m.until("nothing lies over the page", uncovered)
	m.quiet()
}

// Whoever is in a hurry loses nothing: after the login the page stands there once, as it
// was left, what was typed last is saved by going back, and what is refused leads home.
func TestHurryInTheMiniProgram(t *testing.T) {
	i, _ := product(t)
	m := mini{chromium(t, i.URL, 375, 812)}
	m.open(miniAt)
	m.press(".entries .entry:nth-child(4)")
	m.page("auth", top(".go-login"))
	m.signIn(".nothing")
	m.js("history.back()")
	m.until("home lies below", top(".product")+"?.offsetParent")
	before := m.js(top(".product") + ".getBoundingClientRect().top")
	m.press(".product .start")
	m.page("apply", top(field("agent.email")+" input"))
	form := m.js("location.hash")
	m.js(fmt.Sprintf(`(e => { e.focus(); e.value = "wang@example.com"; e.dispatchEvent(new Event("input", {bubbles: true})); })(%s)`, top(field("agent.email")+" input")))
	m.js("history.back()")
	m.until("the draft is at home", top(".draft")+"?.offsetParent")
	if after := m.js(top(".product") + ".getBoundingClientRect().top"); after != before {
		t.Errorf("the draft that came late moved the products from %s to %s", before, after)
	}
	m.open(miniAt + form)
	m.page("apply", fmt.Sprintf(`(%s)?.value === "wang@example.com"`, top(field("agent.email")+" input")))
	m.open(miniAt + "#/pages/order/index?id=01HZZZZZZZZZZZZZZZZZZZZZZZ")
	m.says("没有找到该订单")
	m.press(".go-home")
	m.until("home is shown", top(".product")+"?.offsetParent")
	m.quiet()
}

// signIn goes on with the number that WeChat knows, if the page asks who is there.
func (m mini) signIn(selector string) {
	m.t.Helper()
	m.until(selector+" or the login is shown", top(selector)+"?.offsetParent || "+top(".go-login")+"?.offsetParent")
	if m.js(fmt.Sprintf(`String(!(%s)?.offsetParent)`, top(selector))) == "true" {
		m.press(".go-login")
		m.page("login", top(".phone-login"))
		m.press(".phone-login")
	}
	m.until(selector+" is shown", top(selector)+"?.offsetParent")
}

// code asks for the SMS code of a page and types it in.
func (m mini) code(world story.Playground, mobile, purpose string) {
	m.t.Helper()
	m.press(".send-code")
	m.until("the code is sent", fmt.Sprintf(`(%s).innerText.includes("验证码已发送")`, top(".page")))
	sms, err := world.Code(m.ctx, mobile, purpose)
	if err != nil {
		m.t.Fatal(err)
	}
	m.enter(".code-input", sms.Params[0])
}

// The bound user gives his certificate to another mobile on the phone, by a code of
// each; afterwards he has it no longer, and whoever has not the bound mobile must
// name a USBKEY that there is (F101).
func TestRebindInTheMiniProgram(t *testing.T) {
	dir := t.TempDir()
	if said, code := demo(t, binary, "YCD_DATA_DIR="+dir, "STORY=initial", "FAULT="); code != 0 { // makes two certificates
		t.Fatalf("exit code %d\n%s", code, said)
	}
	i, world := productIn(t, dir)
	if err := world.Advance(t.Context(), "25h"); err != nil { // the codes of the story are forgotten
		t.Fatal(err)
	}
	m := mini{chromium(t, i.URL, 375, 812)}
	m.wire()
	m.open(miniAt + "#/pages/certificates/index")
	m.signIn(".rebind")
	m.fits()
	before := m.js(`String([...document.querySelectorAll("uni-page")].at(-1).querySelectorAll(".certificate").length)`)
	m.press(".rebind")
	m.page("rebind", top(".send-code"))
	m.code(world, "17700007069", "更换绑定用户")
	m.picture("mini-rebind")
	m.press(".next")
	m.until("the new mobile is asked for", top(".new-mobile"))
	m.enter(".new-mobile", "17700007070")
	m.code(world, "17700007070", "绑定新手机号")
	m.fits()
	m.net("deaf")
	m.press(".submit")
	m.yes("更换")
	m.told("网络不通")
	m.net("up")
	m.press(".submit") // done already: he hears so
	m.yes("更换")
	m.until("it is done", top(".rebound"))
	m.fits()

	m.open(miniAt + "#/pages/certificates/index")
	m.signIn(".handover")
	if before != "2" {
		t.Errorf("%s certificates before", before)
	}
	m.until("one of them is gone", `[...document.querySelectorAll("uni-page")].at(-1).querySelectorAll(".certificate").length === 1`)
	m.press(".handover")
	m.page("handover", top(".begin"))
	m.picture("mini-handover")
	m.enter(".uscc", "91110108MA00TEN18F")
	m.press(".begin")
	m.until("the fault is beside the field", fmt.Sprintf(`(%s)?.innerText.includes("请填写 UKEY 序列号")`, top(".fault")))
	m.enter(".token", "TW99999999999999")
	m.press(".begin")
	m.until("the refusal is shown", `document.querySelector(".uni-modal")?.innerText.includes("没有找到该 UKEY")`)
}
