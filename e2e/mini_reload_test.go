package e2e

import (
	"fmt"
	"testing"
)

// reload loads the page anew, as WeChat does with a mini-program that it has ended, and
// waits until it is there again.
func (m mini) reload(name, condition string) {
	m.t.Helper()
	m.js(`(window.before = true, location.reload(), "")`)
	m.until("the page is loaded anew", "!window.before && document.readyState === 'complete'")
	m.page(name, condition)
}

// count keeps in window.sent what the page posts from now on.
func (m mini) count() {
	m.t.Helper()
	m.js(`((open, send) => {
		window.sent = [];
		XMLHttpRequest.prototype.open = function (method, url) { this.asks = method + " " + url; return open.apply(this, arguments); };
		XMLHttpRequest.prototype.send = function () { if (this.asks.startsWith("POST")) window.sent.push(this.asks); return send.apply(this, arguments); };
	})(XMLHttpRequest.prototype.open, XMLHttpRequest.prototype.send)`)
}

// twice taps something twice before the page can show that it is under way.
func (m mini) twice(selector string) {
	m.t.Helper()
	m.until(selector+" can be pressed", "("+selector+")?.offsetParent")
	m.js("(e => { e.click(); e.click(); })(" + selector + ")")
}

// Whoever is interrupted in the middle of a form goes on where he was, but for the code
// and the tick; and two taps on a button are one.
func TestTypedIsKeptAndTapsCountOnceInTheMiniProgram(t *testing.T) {
	dir := t.TempDir()
	if said, code := demo(t, binary, "YCD_DATA_DIR="+dir, "STORY=invoice", "FAULT="); code != 0 {
		t.Fatalf("exit code %d\n%s", code, said)
	}
	i, _ := productIn(t, dir)
	m := mini{chromium(t, i.URL, 320, 640)}
	const title = "新疆达坂城云岭能源科技发展集团有限责任公司乌鲁木齐第一分公司"

	m.open(miniAt + "#/pages/certificates/index")
	m.signIn(".revoke")
	m.press(".revoke")
	m.page("change", top(".submit"))
	m.press(".choice")
	m.press(".bid-none")
	m.press(".tickbox")
	m.until("it is ticked", top(".tickbox.on"))
	m.reload("change", top(".bid-none.on"))
	if got := m.js(top(".choice.on") + `.innerText + ` + fmt.Sprintf("Boolean(%s)", top(".tickbox.on"))); got != "UKEY 丢失、被盗或口令泄露false" {
		t.Errorf("after the reload the reason and the tick are %s", got)
	}

	m.open(miniAt + "#/pages/certificates/index")
	m.signIn(".register")
	m.press(".register")
	m.page("opening", top(field("project")+" input"))
	m.enter(field("project"), "达坂城三期塔筒采购")
	m.reload("opening", fmt.Sprintf(`(%s)?.value === "达坂城三期塔筒采购"`, top(field("project")+" input")))

	m.open(miniAt + "#/pages/certificates/index")
	m.signIn(".offer-unlock_approval")
	m.count()
	m.twice(top(".offer-unlock_approval"))
	m.page("apply", top(field("agent.name")))
	if got := m.js(`window.sent.filter(s => s.endsWith("/orders")).length`); got != "1" {
		t.Errorf("two taps began %s applications", got)
	}

	m.open(miniAt + "#/pages/invoices/index")
	m.signIn(".invoice")
	m.press(".invoice .link")
	m.page("order", top(".invoice .download"))
	m.press(".invoice .center .link")
	m.page("invoice", top(".tax-no"))
	m.enter(".title", title)
	m.reload("invoice", fmt.Sprintf(`(%s)?.value === %q`, top(".title input"), title))
	m.count()
	m.twice(top(".submit"))
	m.until("it asks once more", `document.querySelector(".uni-modal__btn_primary")?.offsetParent`)
	m.twice(`document.querySelector(".uni-modal__btn_primary")`)
	m.page("order", fmt.Sprintf(`(%s)?.innerText.includes(%q)`, top(".invoice"), title))
	if got := m.js(`window.sent.filter(s => s.endsWith("/correct")).length`); got != "1" {
		t.Errorf("two taps asked %s times for another title", got)
	}
	m.quiet()
}
