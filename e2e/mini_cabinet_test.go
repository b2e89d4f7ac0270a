package e2e

import (
	"crypto/ed25519"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

const cabinetAt = "#/pages/cabinet/index"

// posts calls the API as the page does, one after the other, and waits for all of it.
func (m mini) posts(what, script string) {
	m.t.Helper()
	m.js(fmt.Sprintf(`((async () => {
		window.posted = undefined;
		const call = async (method, path, body) => {
			const a = await fetch("/api/v1" + path, {method, body: body && JSON.stringify(body), headers: {"Content-Type": "application/json", Authorization: "Bearer " + localStorage.getItem("token:applicant")}});
			if (!a.ok) throw new Error(path + " " + a.status);
			return a.status === 204 ? {} : a.json();
		};
		%s
		window.posted = true;
	})(), "")`, script))
	m.until(what, "window.posted")
}

// shows waits until what a selector finds says something.
func (m mini) shows(selector, says string) {
	m.t.Helper()
	m.until(selector+" says "+says, fmt.Sprintf(`(%s)?.innerText.includes(%q)`, top(selector), says))
}

// The cabinet on the phone lists our USBKEYs and those of other CAs, says who has which,
// takes a loan and its return once, keeps what was typed, says what is wrong beside the
// field, and pages its log; without a network it says so and goes on afterwards.
func TestCabinetInTheMiniProgram(t *testing.T) {
	dir := t.TempDir()
	if said, code := demo(t, binary, "YCD_DATA_DIR="+dir, "STORY=initial", "FAULT="); code != 0 { // makes two certificates
		t.Fatalf("exit code %d\n%s", code, said)
	}
	i, _ := productIn(t, dir)
	const label = "新疆维吾尔自治区公共资源交易中心投标专用锁（ABCDEFGHIJKLMNOPQRSTUVWXYZ01234）"
	purpose := strings.Repeat("新疆达坂城三期风电场", 5) + "塔筒采购（第二批）"

	m := mini{chromium(t, i.URL, 375, 812)}
	m.wire()
	m.open(miniAt + "#/pages/certificates/index")
	m.signIn(".lend")
	m.fits()
	m.picture("mini-certificates-cabinet")
	m.press(".cabinet")
	m.page("cabinet", top(".token"))
	if got := m.js(`[...document.querySelectorAll("uni-page")].at(-1).querySelectorAll(".token").length`); got != "2" {
		t.Errorf("%s USBKEYs of ours", got)
	}
	m.picture("mini-cabinet-ours")

	// One of ours that is out is so on the card of its certificate, and back again.
	m.posts("one of ours is lent", `
		const {ours} = await call("GET", "/cabinet");
		await call("POST", "/cabinet/" + ours[0].token + "/loans", {borrower: "欧阳震华", department: "工程管理与招标采购中心", purpose: "达坂城三期塔筒采购", due: new Date(Date.now() + 864e5).toISOString().slice(0, 10)});`)
	m.open(miniAt + "#/pages/certificates/index")
	m.signIn(".certificate")
	m.shows(".certificate .loan", "借出 欧阳震华（工程管理与招标采购中心），应于")
	m.fits()
	m.picture("mini-certificates-lent")
	m.posts("it comes back", `
		const {out} = await call("GET", "/cabinet");
		await call("POST", "/cabinet/" + out[0].token + "/loans/" + out[0].id + "/return");`)
	m.open(miniAt + cabinetAt)
	m.signIn(".add")

	// One of another CA: refused, kept over a reload, registered once.
	m.press(".add")
	m.page("foreign", top(field("label")))
	m.enter(field("label"), label)
	m.enter(field("issuer"), "某省数字证书认证中心")
	m.until("there is no day yet", fmt.Sprintf(`(%s)?.className.includes("is-disabled")`, top(".submit")))
	m.nextYear("ends")
	m.press(".read")
	m.do(chromedp.SetUploadFiles("body > input[type=file]", []string{filed(t, "text.cer", []byte("no certificate"))}))
	m.shows(".fault", "不是可以读取的证书文件")
	m.fits()
	m.press(".read")
	m.do(chromedp.SetUploadFiles("body > input[type=file]:last-of-type", []string{filed(t, "ca.cer", foreignCertificate(t))}))
	m.until("the certificate is read", fmt.Sprintf(`(%s)?.value === "云岭投标专用章"`, top(field("label")+" input")))
	m.shows(field("ends"), "2031-05-31")
	m.until("the refusal is gone", "!"+top(".fault"))
	m.fits()
	m.picture("mini-foreign-read")
	m.enter(field("label"), label)
	m.enter(field("issuer"), "某省数字证书认证中心")
	m.enter(field("number"), "")
	m.reload("foreign", fmt.Sprintf(`(%s)?.value === %q`, top(field("label")+" input"), label))
	m.enter(field("holder"), "新疆达坂城云岭能源科技发展集团有限责任公司乌鲁木齐第一分公司")
	m.enter(field("label"), " ")
	m.press(".submit")
	m.shows(field("label")+" .fault", "请填写名称")
	m.fits()
	m.picture("mini-foreign-refused")
	m.enter(field("label"), label)
	m.until("the page knows it", `localStorage.getItem("typed:foreign:@applicant")?.includes("ABCDEFGH")`) // uni waits a tenth of a second between two inputs
	m.count()
	m.twice(top(".submit"))
	m.page("cabinet", fmt.Sprintf(`(%s)?.innerText.includes("ABCDEFGH")`, top(".page")))
	if got := m.js(`window.sent.filter(s => s.endsWith("/cabinet")).length`); got != "1" {
		t.Errorf("two taps registered it %s times", got)
	}
	m.fits()

	// It is lent and comes back, twenty-one times before and once here.
	m.press(".token:has(.edit) .log")
	m.page("token", top(".lend"))
	m.says("还没有归还过的记录")
	m.picture("mini-token")
	m.posts("a long log", `
		const id = location.hash.split("token=")[1];
		for (let n = 0; n < 21; n++) {
			await call("POST", "/cabinet/" + id + "/loans", {borrower: "赵大山", department: "工程部", purpose: "第" + (n + 1) + "次投标", due: new Date(Date.now() + 864e5).toISOString().slice(0, 10)});
			const {out} = await call("GET", "/cabinet");
			await call("POST", "/cabinet/" + id + "/loans/" + out[0].id + "/return");
		}`)
	m.enter(field("borrower"), "13900000022")
	m.enter(field("department"), "工程管理与招标采购中心")
	m.enter(field("purpose"), purpose)
	m.nextYear("due")
	m.press(".submit")
	m.shows(field("borrower")+" .fault", "真实姓名")
	m.fits()
	m.picture("mini-token-refused")
	m.reload("token", fmt.Sprintf(`(%s)?.value === %q`, top(field("purpose")+" input"), purpose))
	if got := m.js(top(field("borrower")+" input") + ".value"); got != "" {
		t.Errorf("the phone keeps who takes it: %s", got)
	}
	m.shows(".past", "第21次投标")
	m.press(".list-end")
	m.shows(".past", "第1次投标")
	m.until("the log has ended", "!"+top(".list-end"))
	m.enter(field("borrower"), "欧阳震华")
	m.net("down")
	m.press(".submit")
	m.told("网络不通")
	m.net("up")
	m.press(".submit")
	m.shows(".out", "借出 欧阳震华（工程管理与招标采购中心），应于")
	m.fits()
	m.picture("mini-token-out")

	m.open(miniAt + cabinetAt)
	m.signIn(".token")
	m.shows(".token", "欧阳震华") // what is out comes first
	m.until("its lamp is yellow", top(".token .lamp.yellow"))
	m.fits()
	m.picture("mini-cabinet")
	m.net("down")
	m.press(".token .log")
	m.says("网络不通")
	m.net("up")
	m.press(".retry")
	m.page("token", top(".give-back"))
	m.count()
	m.twice(top(".give-back"))
	m.shows(".past", "欧阳震华")
	if got := m.js(`window.sent.filter(s => s.endsWith("/return")).length`); got != "1" {
		t.Errorf("two taps gave it back %s times", got)
	}
	m.js(top(".past") + `.scrollIntoView({block: "start", behavior: "instant"})`)
	m.picture("mini-token-log")
	m.press(".drop")
	m.yes("不能恢复")
	m.until("the line is gone", fmt.Sprintf(`!(%s).innerText.includes("欧阳震华")`, top(".past")))

	// Changed and forgotten, in large type.
	m.open(miniAt + "#/pages/me/index")
	m.signIn(".unbind")
	m.press(".large-type")
	m.until("the type is large", top(".page.large"))
	m.open(miniAt + cabinetAt)
	m.signIn(".edit")
	m.fits()
	m.picture("mini-cabinet-large")
	m.press(".edit")
	m.page("foreign", fmt.Sprintf(`(%s)?.value.startsWith("新疆维吾尔")`, top(field("label")+" input")))
	m.enter(field("number"), "A1B2")
	m.fits()
	m.press(".submit")
	m.page("cabinet", fmt.Sprintf(`(%s)?.innerText.includes("A1B2")`, top(".page")))
	m.press(".edit")
	m.page("foreign", top(".drop"))
	m.picture("mini-foreign-large")
	m.press(".drop")
	m.yes("连同领用记录")
	m.page("cabinet", "!"+top(".edit"))

	// Nobody else has any of it.
	m.open("/playground/mp/?persona=oDevApplicant00000000000002" + cabinetAt)
	m.signIn(".add")
	m.says("钥匙柜还是空的")
	m.picture("mini-cabinet-empty")
	m.open(miniAt + "#/pages/token/index?token=01HZZZZZZZZZZZZZZZZZZZZZZZ")
	m.says("没有找到这把 UKEY")
	m.quiet()
}

// filed is a file with that content.
func filed(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// foreignCertificate is one of another CA.
func foreignCertificate(t *testing.T) []byte {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	issuer := &x509.Certificate{Subject: pkix.Name{Organization: []string{"某省数字证书认证中心"}}}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(0xA1B2), Subject: pkix.Name{CommonName: "云岭投标专用章", Organization: []string{"云岭测试公司"}},
		NotBefore: time.Date(2026, 5, 31, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2031, 5, 31, 15, 59, 59, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(nil, cert, issuer, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// What unbinding WeChat means is read before it is done, on the page and in the dialog.
func TestUnbindingInTheMiniProgram(t *testing.T) {
	i, _ := product(t)
	m := mini{chromium(t, i.URL, 375, 812)}
	m.open(miniAt + "#/pages/me/index")
	m.signIn(".unbind")
	m.fits()
	m.js(top(".unbind") + `.scrollIntoView({block: "center", behavior: "instant"})`)
	m.picture("mini-me-unbind")
	m.press(".unbind")
	m.until("it asks", `document.querySelector(".uni-modal")?.innerText.includes("可以用验证码重新绑定")`)
	m.until("it is shown", `[...document.querySelectorAll("uni-modal, uni-modal *")].every(e => getComputedStyle(e).opacity === "1")`)
	m.tab.picture("mini-unbind")
	m.yes("可以用验证码重新绑定")
	m.until("home is shown", top(".product")+"?.offsetParent")
	m.open(miniAt + "#/pages/me/index")
	m.until("nobody is logged in", top(".go-login"))
	m.quiet()
}
