package handlers

import (
	"net/url"
	"strings"
	"testing"

	"github.com/yuncaidun/yuncaidun/order"
)

// A form that saves itself says so when it could not, wherever the page is scrolled to,
// and takes a new token without a word.
func TestAutosaveInABrowser(t *testing.T) {
	w := newWeb(t)
	b := w.browse(t, 375, "403", "404", "htmx:sendError", "htmx:afterRequest")
	b.goTo("/")
	b.press(".offer .btn.main")
	b.shown("#agent")
	saved := func() order.Order {
		page, err := w.db.Orders(t.Context(), order.Filter{})
		must(t, err)
		return page.Orders[0]
	}

	b.js(`document.body.setAttribute("hx-headers", '{"X-CSRF-Token":"of the login before"}'), document.getElementsByName("_csrf").forEach(i => i.value = "of the login before")`)
	b.fill(order.OrgName, "新疆云岭能源科技有限公司")
	b.until(`document.querySelector("#saved").textContent.includes("已保存")`)
	if got := saved().Form.Get(order.OrgName); got != "新疆云岭能源科技有限公司" {
		t.Errorf("saved with the new token: %q", got)
	}
	if got := b.js(`JSON.parse(document.querySelector("#drawn").value).fields["org.name"]`); got != "新疆云岭能源科技有限公司" {
		t.Errorf("the page takes %q for what it shows", got)
	}

	b.js(`window.asked = window.XMLHttpRequest.prototype.send, window.XMLHttpRequest.prototype.send = function () { setTimeout(() => this.onerror(), 0) }`)
	b.fill(order.LegalName, "李明")
	b.until(`document.querySelector("#notice").textContent.includes("网络不通")`)
	b.js(`window.XMLHttpRequest.prototype.send = window.asked`)
	b.fill(order.AgentName, "王小琪")
	b.until(`document.querySelector("#notice").textContent === ""`)
	if got := saved().Form.Get(order.LegalName); got != "李明" {
		t.Errorf("saved after the network came back: %q", got)
	}

	id := string(saved().ID)
	b.js(`fetch("/orders/` + id + `/delete", {method: "POST", headers: JSON.parse(document.body.getAttribute("hx-headers"))}).then(() => { window.gone = true })`)
	b.until(`window.gone`)
	b.fill(order.AgentEmail, "wang@example.com")
	b.until(`document.querySelector("#notice").textContent.includes("没有找到该订单")`)
	if at := b.js(`(r => r.top >= 0 && r.bottom <= innerHeight)(document.querySelector("#notice .note").getBoundingClientRect())`); at != "true" {
		t.Error("the notice is not on the screen")
	}
	if next := b.js(`document.querySelector("#notice a").getAttribute("href")`); !strings.Contains(next, "/login?next="+url.QueryEscape("/orders")) {
		t.Errorf("the login: %s", next)
	}
	b.press("#notice [data-dismiss]")
	b.until(`document.querySelector("#notice").textContent === ""`)
}
