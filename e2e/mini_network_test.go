package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// network stands between the page and the API: up, held (nothing comes until it is
// let through), down, or deaf (the server hears and does, the answer is lost).
const network = `(() => {
	const { open, send } = XMLHttpRequest.prototype;
	const net = window.net = { mode: sessionStorage.net || "up", held: [] };
	const lose = (x) => setTimeout(() => x.dispatchEvent(new ProgressEvent("error")));
	net.turn = (mode) => {
		net.mode = sessionStorage.net = mode;
		for (const x of net.held.splice(0)) mode === "down" ? lose(x) : send.apply(x, x.sent);
	};
	XMLHttpRequest.prototype.open = function (method, url, ...rest) {
		this.ours = url.includes("/api/v1/");
		this.addEventListener("load", (e) => {
			if (this.ours && net.mode === "deaf") {
				e.stopImmediatePropagation();
				lose(this);
			}
		});
		return open.call(this, method, url, ...rest);
	};
	XMLHttpRequest.prototype.send = function (...sent) {
		this.sent = sent;
		if (this.ours && net.mode === "held") net.held.push(this);
		else if (this.ours && net.mode === "down") lose(this);
		else send.apply(this, sent);
	};
})()`

// net turns the phone's network.
func (m mini) net(mode string) { m.t.Helper(); m.js(fmt.Sprintf("(net.turn(%q), 0)", mode)) }

// fresh starts the mini-program on a page, as the network is now.
func (m mini) fresh(n int, page string) {
	m.t.Helper()
	m.open(fmt.Sprintf("/playground/mp/?persona=applicant&start=%d#/pages/%s", n, page))
}

// pagesOfMini are the pages that the mini-program declares.
func pagesOfMini(t *testing.T) (names []string) {
	t.Helper()
	b, err := os.ReadFile("../miniprogram/src/pages.json")
	if err != nil {
		t.Fatal(err)
	}
	var declared struct {
		Pages []struct{ Path string }
	}
	if err := json.Unmarshal(b, &declared); err != nil {
		t.Fatal(err)
	}
	for _, p := range declared.Pages {
		names = append(names, strings.Split(p.Path, "/")[1])
	}
	return names
}

// pageOfMini is how a page is opened and what is there once it is.
type pageOfMini struct{ query, shown string }

// everyPage logs in after the story of an invoice; alone are the pages that ask nobody.
func (m mini) everyPage() (pages map[string]pageOfMini, alone map[string]string) {
	m.t.Helper()
	m.open(miniAt + "#/pages/certificates/index")
	m.signIn(".certificate")
	serial := m.ask("GET", "/certificates", "a.certificates[0].serial")
	order := m.ask("GET", "/orders", "a.orders[0].id")
	token := m.ask("GET", "/cabinet", "a.ours[0].token")
	draft := m.ask("POST", "/orders", "a.order.id", `{"product": "yd-initial"}`)

	refused := top(".go-home")
	return map[string]pageOfMini{
		"home":         {"", top(".product")},
		"orders":       {"", top(".order-card")},
		"certificates": {"", top(".certificate")},
		"me":           {"", top(".my-mobile")},
		"order":        {"id=" + order, top(".state-label")},
		"apply":        {"id=" + draft, top(field("agent.name"))},
		"confirm":      {"id=" + draft, refused}, // it is not filled in yet
		"pay":          {"id=" + order, top(".paid")},
		"delivery":     {"id=" + order, refused}, // it was sent
		"change":       {"event=revoke&serial=" + serial, top(".bid-none")},
		"opening":      {"serial=" + serial, top(".openings")},
		"rebind":       {"serial=" + serial, top(".send-code")},
		"handover":     {"", top(".begin")},
		"restore":      {"id=" + order, refused}, // nothing is frozen
		"messages":     {"", top(".message")},
		"invoices":     {"", top(".invoice")},
		"invoice":      {"id=" + order, top(".tax-no")},
		"scan":         {"ticket=" + strings.Repeat("a", 43), refused},
		"auth":         {"", top(".nothing")},
		"photo":        {"ticket=" + strings.Repeat("a", 43), refused},
		"tasks":        {"", refused}, // not of the staff
		"text":         {"name=privacy", top(".card .h1")},
		"cabinet":      {"", top(".add")},
		"token":        {"token=" + token, top(".lend .submit")},
		"foreign":      {"", top(".submit")},
	}, map[string]string{"guide": top(".h1"), "login": top(".begin"), "web": top(".go-home")}
}

// Every page of the mini-program says that it is loading while answers are slow, says
// what is wrong and offers to try again when there is no network, and is there after
// that; what is shown stays while a newer answer does not come.
func TestEveryPageOfTheMiniProgramWithoutNetwork(t *testing.T) {
	dir := t.TempDir()
	if said, code := demo(t, binary, "YCD_DATA_DIR="+dir, "STORY=invoice", "FAULT="); code != 0 {
		t.Fatalf("exit code %d\n%s", code, said)
	}
	i, _ := productIn(t, dir)
	m := mini{chromium(t, i.URL, 375, 812)}
	m.wire()
	pages, alone := m.everyPage()
	for n, name := range pagesOfMini(t) {
		if shown, ok := alone[name]; ok {
			m.net("down")
			m.fresh(n, name+"/index")
			m.until(name+" is there without a network", shown)
			continue
		}
		p, ok := pages[name]
		if !ok {
			t.Errorf("nobody has said what the page %s shows without a network", name)
			continue
		}
		m.net("held")
		m.fresh(n, name+"/index?"+p.query)
		m.until(name+" says that it is loading", top("[aria-busy=true]")+"?.offsetParent")
		m.fits()
		m.net("down")
		m.until(name+" says that there is no network", fmt.Sprintf(`(%s)?.offsetParent && (%s).innerText.includes("网络不通")`, top(".retry"), top(".page")))
		m.fits()
		m.net("up")
		m.press(".retry")
		m.until(name+" is there", "("+p.shown+")?.offsetParent")
		m.fits()
	}
	for name, shown := range map[string]string{"orders": ".order-card", "certificates": ".certificate", "messages": ".message", "invoices": ".invoice", "order": ".state-label"} {
		m.fresh(100, name+"/index?"+pages[name].query)
		m.until(name+" is there", "("+top(shown)+")?.offsetParent")
		m.net("down")
		m.js(`(location.hash = "#/pages/guide/index", 0)`)
		m.page("guide", alone["guide"])
		m.js("history.back()")
		m.until(name+" says that this is from before", fmt.Sprintf(`(%s)?.offsetParent && (%s)?.innerText.includes("显示的是之前的内容")`, top(shown), top(".note.warn")))
		m.net("up")
		m.press(".note.warn .link")
		m.until(name+" is of now", "!"+top(".note.warn"))
	}
	m.quiet()
}

// wire puts the network into a test's hand, for every page that is loaded from now on.
func (m mini) wire() {
	m.t.Helper()
	if _, err := chromedp.Call(m.ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: network}); err != nil {
		m.t.Fatal(err)
	}
}

// ask asks the API as the mini-program does, and returns what an expression picks from
// the answer a.
func (m mini) ask(method, path, pick string, body ...string) string {
	m.t.Helper()
	return m.js(fmt.Sprintf(`((x) => {
		x.open(%q, "/api/v1" + %q, false);
		x.setRequestHeader("Authorization", "Bearer " + localStorage["token:applicant"]);
		x.setRequestHeader("Content-Type", "application/json");
		x.send(%q);
		const a = JSON.parse(x.responseText);
		return %s;
	})(new XMLHttpRequest())`, method, path, strings.Join(body, ""), pick))
}

// Whoever has taken his freeze back, and did not get to see it, sees that and no form.
func TestRestoredInTheMiniProgram(t *testing.T) {
	dir := t.TempDir()
	if said, code := demo(t, binary, "YCD_DATA_DIR="+dir, "STORY=freeze", "FAULT="); code != 0 {
		t.Fatalf("exit code %d\n%s", code, said)
	}
	i, _ := productIn(t, dir)
	m := mini{chromium(t, i.URL, 375, 812)}
	m.open(miniAt + "#/pages/orders/index")
	m.signIn(".order-card")
	m.open(miniAt + "#/pages/restore/index?id=" + m.ask("GET", "/orders", `a.orders.find((o) => o.business === "resume").id`))
	m.page("restore", top(".restored"))
	m.until("there is no form", "!"+top(".submit"))
	m.fits()
	m.picture("mini-restored")
	m.quiet()
}

// What was done though its answer was lost is not done twice, and whoever tries again
// is told how it stands.
func TestLostAnswersInTheMiniProgram(t *testing.T) {
	dir := t.TempDir()
	if said, code := demo(t, binary, "YCD_DATA_DIR="+dir, "STORY=invoice", "FAULT="); code != 0 {
		t.Fatalf("exit code %d\n%s", code, said)
	}
	i, world := productIn(t, dir)
	if err := world.Advance(t.Context(), "25h"); err != nil { // the codes of the story are forgotten
		t.Fatal(err)
	}
	m := mini{chromium(t, i.URL, 375, 812)}
	m.wire()

	// An application is begun once.
	m.open(miniAt)
	m.until("the products are there", top(".product"))
	m.open(miniAt + "#/pages/certificates/index")
	m.signIn(".offer-unlock_approval")
	m.net("deaf")
	m.press(".offer-unlock_approval")
	m.told("网络不通")
	m.net("up")
	m.press(".offer-unlock_approval")
	m.page("apply", top(field("agent.name")))
	if n := m.ask("GET", "/orders?status=draft", "a.orders.length"); n != "1" {
		t.Errorf("%s applications were begun", n)
	}

	// An opening is registered once, though it is tried again.
	m.open(miniAt + "#/pages/certificates/index")
	m.press(".register")
	m.page("opening", top(field("project")+" input"))
	m.enter(field("project"), "达坂城三期塔筒采购")
	m.nextYear("opening")
	m.net("deaf")
	m.press(".submit")
	m.told("网络不通")
	m.net("up")
	m.press(".submit")
	m.until("it is registered", top(".drop"))
	if n := m.js(`[...document.querySelectorAll("uni-page")].at(-1).querySelectorAll(".drop").length`); n != "1" {
		t.Errorf("%s openings are registered", n)
	}

	// A certificate is frozen once, and whoever tries again sees that it is.
	m.open(miniAt + "#/pages/certificates/index")
	m.press(".freeze")
	m.page("change", top(".tickbox"))
	m.press(".tickbox")
	m.code(world, "17700007069", "冻结证书")
	m.net("deaf")
	m.press(".submit")
	m.yes("冻结")
	m.told("网络不通")
	m.net("up")
	m.press(".submit")
	m.yes("冻结")
	m.told("已不能办理此项业务")
	m.until("it is frozen", top(".over")+`?.innerText.includes("已冻结")`)

	// An order that was placed goes on to its payment.
	a := &applicant{t: t, url: i.URL, world: world}
	draft, _ := a.fills(legalRepMobile, nil)
	m.open(miniAt + "#/pages/confirm/index?id=" + strings.TrimPrefix(draft, "/orders/"))
	m.page("confirm", top(".tickbox"))
	m.press(".tickbox")
	m.code(world, "17700007069", "提交订单")
	m.net("deaf")
	m.press(".submit")
	m.told("网络不通")
	m.net("up")
	m.press(".submit")
	m.page("pay", top(".pay"))
	m.quiet()
}
