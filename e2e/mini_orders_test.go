package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/e2e/story"
)

// yes presses the button of a dialog that says what it should; another may follow.
func (m mini) yes(says string) {
	m.t.Helper()
	m.until("it asks "+says, fmt.Sprintf(`document.querySelector(".uni-modal__btn_primary")?.offsetParent && document.querySelector(".uni-modal").innerText.includes(%q)`, says))
	m.js(`document.querySelector(".uni-modal__btn_primary").click()`)
}

// says waits until the page that is shown says something.
func (m mini) says(what string) {
	m.t.Helper()
	m.until("the page says "+what, fmt.Sprintf(`(%s)?.innerText.includes(%q)`, top(".page"), what))
}

// An issued invoice is in the list and on its order, is put once to another title, and
// what is wrong with the title is beside the field.
func TestInvoicesInTheMiniProgram(t *testing.T) {
	dir := t.TempDir()
	if said, code := demo(t, binary, "YCD_DATA_DIR="+dir, "STORY=invoice", "FAULT="); code != 0 {
		t.Fatalf("exit code %d\n%s", code, said)
	}
	i, world := productIn(t, dir)
	m := mini{chromium(t, i.URL, 375, 812)}
	m.open(miniAt + "#/pages/invoices/index")
	m.signIn(".invoice")
	m.says("已开具")
	m.fits()
	m.picture("mini-invoices")
	m.press(".invoice .link")
	m.page("order", top(".invoice .download"))
	m.js(top(".invoice") + `.scrollIntoView({block: "center", behavior: "instant"})`)
	m.picture("mini-order-invoice")
	m.receipt()
	m.press(".invoice .center .link")
	m.page("invoice", top(".tax-no"))
	m.picture("mini-invoice")
	m.enter(".tax-no", "1234")
	m.press(".submit")
	m.yes("只能更改一次")
	m.told("填写有误")
	m.until("the fault is beside the field", top(".tax-no")+".parentElement.innerText.includes('税号') && "+top(".fault"))
	m.fits()
	m.picture("mini-invoice-fault")
	m.enter(".title", "新疆云岭能源科技有限公司第一分公司")
	m.enter(".tax-no", "91110108MA00TEN18F")
	m.press(".submit")
	m.told("只能更改一次")
	m.page("order", fmt.Sprintf(`(%s)?.innerText.includes("第一分公司")`, top(".invoice")))
	err := story.Poll(m.ctx, 20*time.Second, func(ctx context.Context) (bool, error) {
		all, err := world.Invoices(ctx)
		return len(all) == 2 && all[1].Red.Number != "" && all[0].Blue.Number != "" && all[0].Title == "新疆云岭能源科技有限公司第一分公司", err
	})
	if err != nil {
		t.Error("the platform has no red invoice and new one:", err)
	}
	m.open(miniAt + "#/pages/invoices/index")
	m.signIn(".invoice")
	m.says("第一分公司")
	m.says("已红冲")
	m.fits()
	m.picture("mini-invoices-corrected")
	m.openings(world)
	m.smallPages()
	m.quiet()
}

// openings registers when bids are opened and is refused, sees the three lamps, is
// warned where the certificate is frozen or revoked, and takes one back.
func (m mini) openings(world story.Playground) {
	m.t.Helper()
	if err := world.Advance(m.ctx, "72h"); err != nil { // the end of a new certificate is more than a year away
		m.t.Fatal(err)
	}
	m.open(miniAt + "#/pages/certificates/index")
	m.signIn(".register")
	m.press(".register")
	m.page("opening", fmt.Sprintf(`(%s)?.innerText.includes("还没有登记")`, top(".openings")))
	m.picture("mini-openings-empty")
	m.enter(field("project"), "塔筒采购 13900000022")
	m.nextYear("opening")
	m.press(".submit")
	m.until("the fault is beside the field", fmt.Sprintf(`(%s)?.innerText.includes("请不要填写手机号")`, top(field("project")+" .fault")))
	m.fits()
	m.picture("mini-openings-refused")
	far := strings.Repeat("新疆达坂城三期风电场", 5) + "塔筒采购（第二批）"
	m.enter(field("project"), far)
	m.press(".submit")
	m.says(far)
	m.until("the form is empty", fmt.Sprintf(`(%s)?.value === ""`, top(field("project")+" input")))
	ends := fmt.Sprintf(`((%s).innerText.match(/(\d+)\/(\d+)\/(\d+) 到期/) ?? []).slice(1).join("-")`, top(".page"))
	for project, at := range map[string]string{"临近的投标": "Date.parse(" + ends + ") - 360 * 864e5", "过期后的投标": "Date.parse(" + ends + ") + 864e5"} {
		m.js(fmt.Sprintf(`(fetch("/api/v1/certificates/" + location.hash.split("serial=")[1] + "/openings", {method: "POST", body: JSON.stringify({project: %q, opening: new Date(%s).toISOString().slice(0, 16)}),
			headers: {"Content-Type": "application/json", Authorization: "Bearer " + localStorage.getItem("token:applicant")}}).then(a => { window.registered = (window.registered ?? 0) + (a.ok ? 1 : 0); }), "")`, project, at))
	}
	m.until("two more are registered", "window.registered === 2")
	m.open(miniAt + "#/pages/certificates/index")
	m.signIn(".register")
	for _, light := range []string{"green", "yellow", "red"} {
		m.until("a lamp is "+light, top(".lamp."+light))
	}
	m.says("早于开标")
	m.fits()
	m.js(top(".openings") + `.scrollIntoView({block: "center", behavior: "instant"})`)
	m.picture("mini-certificates-openings")
	m.press(".register")
	m.page("opening", top(".drop"))
	m.picture("mini-openings")
	m.press(".drop")
	m.yes("临近的投标")
	m.until("it is gone", fmt.Sprintf(`!(%s)?.innerText.includes("临近的投标")`, top(".openings")))
}

// nextYear turns the wheels of a moment to a month before today in a year, at nine. What
// wheel is where depends on the browser's language: years are more than a hundred, months twelve.
func (m mini) nextYear(name string) {
	m.t.Helper()
	m.press(field(name) + " uni-picker")
	m.until("the wheels are there", `document.querySelectorAll(".uni-picker-toggle .uni-picker-view-group").length === 3 && document.querySelector(".uni-picker-toggle .uni-picker-view-indicator").offsetHeight`)
	m.js(`[...document.querySelectorAll(".uni-picker-toggle .uni-picker-view-group")].map(e => {
		const choices = e.querySelectorAll(".uni-picker-item").length, r = e.getBoundingClientRect(), row = e.querySelector(".uni-picker-view-indicator").offsetHeight;
		const clientY = r.y + r.height / 2 + row * (choices > 100 ? 1 : choices === 12 ? -1 : 0);
		e.dispatchEvent(new MouseEvent("click", {bubbles: true, clientX: r.x + r.width / 2, clientY}));
	})`)
	m.js(`document.querySelector(".uni-picker-toggle .uni-picker-action-confirm").click()`)
	m.until("the date is chosen", fmt.Sprintf(`(%s)?.innerText.startsWith("%d-")`, top(field(name)+" .input"), time.Now().Year()+1))
}

// receipt issues a progress receipt on an order's page and withdraws it.
func (m mini) receipt() {
	m.t.Helper()
	m.press(".issue-receipt")
	m.until("a receipt is listed", top(".show-receipt"))
	m.js(top(".receipts") + `.scrollIntoView({block: "center", behavior: "instant"})`)
	m.fits()
	m.picture("mini-order-receipt")
	m.press(".withdraw-receipt")
	m.yes("已撤回")
	m.until("no receipt is listed", "!"+top(".show-receipt"))
}

// smallPages are those that explain something or take one answer: they fit a phone.
func (m mini) smallPages() {
	m.t.Helper()
	m.open(miniAt + "#/pages/certificates/index")
	m.signIn(".freeze")
	m.fits()
	m.picture("mini-certificates")
	for _, event := range []string{"freeze", "revoke"} {
		m.press("." + event)
		m.page("change", top(".submit"))
		m.says("过期后的投标")
		m.until("what is registered answers", fmt.Sprintf("%t === Boolean(%s)", event == "revoke", top(".bid-open.on")))
		m.picture("mini-" + event)
		m.js("history.back()")
		m.page("certificates", top(".freeze"))
	}
	m.open(miniAt + "#/pages/orders/index")
	m.signIn(".order-card")
	m.press(".order-card")
	m.page("order", top(".state-label"))
	order := m.js(`location.hash.split("id=")[1]`)
	for name, open := range map[string]struct{ query, says string }{
		"restore": {"?id=" + order, "恢复证书"}, "text": {"?name=privacy", "版本"}, "photo": {"?ticket=gone", "二维码"}, "messages": {"", "已"},
	} {
		m.open(miniAt + "#/pages/" + name + "/index" + open.query)
		m.says(open.says)
		m.fits()
		m.picture("mini-" + name)
	}
}

// What finance proposes the applicant agrees to on his phone: the card says how many
// keys and how much money, and goes; the money comes back (row 40).
func TestApplicantGivesUpAKeyInTheMiniProgram(t *testing.T) {
	i, world := productIn(t, t.TempDir(), "YCD_STATION_AUTO=false")
	stage := story.On(t.Context(), i, t.Output(), time.Now)
	order, err := stage.Approved("yd-initial", 2)
	if err == nil {
		err = stage.ProposeFewer(order, 1, "空白 UKEY 缺货，补货要两周")
	}
	if err != nil {
		t.Fatal(err)
	}
	m := mini{chromium(t, i.URL, 375, 812)}
	m.open(miniAt + "#/pages/order/index?id=" + order)
	m.signIn(".give-up")
	m.says("取消 1 个 UKEY，退回 ¥300.00，其余 1 个照常办理")
	m.says("空白 UKEY 缺货，补货要两周")
	m.fits()
	m.picture("mini-give-up")
	m.press(".agree")
	m.told("退回 ¥300.00")
	m.until("the card is gone", "!"+top(".give-up"))
	m.says("部分取消")
	m.fits()
	err = story.Poll(m.ctx, 20*time.Second, func(ctx context.Context) (bool, error) {
		all, err := world.Refunds(ctx)
		return len(all) == 1 && all[0].Amount == 30000 && all[0].Status == "SUCCESS", err
	})
	if err != nil {
		t.Error("the money does not come back:", err)
	}
	m.quiet()
}
