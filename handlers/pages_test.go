package handlers

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

var update = flag.Bool("update", false, "write the golden pages anew")

// secrets are what differs from run to run in a page.
var secrets = []struct {
	find *regexp.Regexp
	put  string
}{
	{regexp.MustCompile(`\?until=\w+&amp;sig=[\w-]+`), "?SIGNED"},
	{regexp.MustCompile(`/pictures/\w+/[\w-]{43}/`), "/pictures/ORDER/PICTURE/"},
	{regexp.MustCompile(`value="[\w-]{43}\.[\w-]{43}"`), `value="PICTURE"`},
	{regexp.MustCompile(`data:image/png;base64,[^"]+`), "data:QR"},
	{regexp.MustCompile(`(name="_csrf" value="|"X-CSRF-Token":")[\w-]{43}`), "${1}CSRF"},
	{regexp.MustCompile(`name="offer" value="[0-9a-f]{64}"`), `name="offer" value="OFFER"`},
	{regexp.MustCompile(`\.[0-9a-f]{10}\.(css|js|svg)`), ".HASH.$1"},
	{regexp.MustCompile(`[0-9A-HJKMNP-TV-Z]{26}`), "ULID"},
	{regexp.MustCompile(`SAAS1\d{20}`), "ORDERNO"},
	{regexp.MustCompile(`[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){4}`), "CODE"},
}

// Golden pages: a change of what people see is a change of a file.
func TestPages(t *testing.T) {
	w := newWeb(t)
	b := w.browser()
	pages := map[string]answer{"home": b.get("/"), "login": b.get("/login"), "login-sms": b.get("/login?mode=sms"), "help": b.get("/help"), "text": b.get("/texts/privacy")}
	pages["edit-new"] = b.get(b.draft() + "/edit")
	path := b.filled()
	pages["edit-filled"] = b.get(path + "/edit")
	pages["confirm"] = b.get(path + "/confirm")
	other := w.browser()
	path = other.rejected()
	pages["order-rejected"] = other.get(path)
	pages["edit-rejected"] = other.get(path + "/edit")
	pages["orders"] = other.get("/orders")
	pages["certificates"] = other.get("/certificates")
	pages["not-found"] = other.get("/orders/nothing")
	_, code, _ := other.receipt(path)
	pages["receipt"] = w.browser().get("/receipts/" + code)
	pages["receipt-none"] = w.browser().get("/receipts/0123-4567-89AB-CDEF-GHJK")
	pages["order-receipt"] = other.get(path)
	w.clock.advance(2 * time.Hour)
	path = other.confirmed()
	pages["pay-choose"] = other.get(path + "/pay")
	other.post(path+"/pay", nil)
	pages["pay-scan"] = other.get(path + "/pay")
	for name, a := range pages {
		t.Run(name, func(t *testing.T) {
			got := a.Body
			for _, s := range secrets {
				got = s.find.ReplaceAllString(got, s.put)
			}
			golden(t, name+".html", got)
			if strings.Contains(got, "<no value>") || strings.Contains(got, "%!") || strings.Contains(got, "ZgotmplZ") {
				t.Error("the template shows a fault")
			}
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "pages", name)
	if *update {
		must(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	must(t, err)
	if got != string(want) {
		t.Errorf("%s differs; look at it, then go test ./handlers -update\n%s", name, got)
	}
}

// F60, F62: the page shows a failure, an expired code and the way to pay again.
func TestPaymentPageStates(t *testing.T) {
	w := newWeb(t)
	b := w.browser()
	path := b.confirmed()
	b.post(path+"/pay", nil)
	first := b.order(path).TradeNo
	if a := b.get(path + "/pay/state"); a.Status != 200 || !strings.Contains(a.Body, "微信扫码支付") {
		t.Errorf("waiting: %d %s", a.Status, a.Body)
	}
	w.clock.advance(time.Minute)
	_, err := w.service.Apply(t.Context(), b.order(path).ID, order.Command{On: order.PayFailed, By: order.Actor{Role: order.Gateway, Channel: order.Internal}, Trade: first})
	must(t, err)
	if a := b.get(path + "/pay"); !strings.Contains(a.Body, "支付没有成功") || !strings.Contains(a.Body, "重新支付") {
		t.Errorf("failed: %s", a.Body)
	}
	b.login(agentMobile) // two hours idle would end the session
	w.clock.advance(29 * time.Minute)
	for range 4 {
		b.get("/orders")
		w.clock.advance(25 * time.Minute)
	}
	b.get("/orders")
	if a := b.post(path+"/pay", nil); a.location() != path+"/pay" || b.order(path).TradeNo == first {
		t.Errorf("pay again: %d, trade %s after %s", a.Status, b.order(path).TradeNo, first)
	}
	if a := b.get(path + "/pay"); !strings.Contains(a.Body, "微信扫码支付") {
		t.Errorf("after paying again: %s", a.Body)
	}
}

// F58, G32: the page offers both channels and shows the code of the one that was
// chosen; inside WeChat there is only WeChat Pay.
func TestPaymentPageOffers(t *testing.T) {
	w := newWeb(t)
	b := w.browser()
	path := b.confirmed()
	inWeChat := []string{"User-Agent", "Mozilla/5.0 (iPhone) MicroMessenger/8.0.50"}
	choose := func(channel string, header ...string) answer {
		return b.do(http.MethodPost, path+"/pay", "application/x-www-form-urlencoded", strings.NewReader("_csrf="+b.csrf+"&channel="+channel), header...)
	}
	wantIn(t, "choice", b.get(path+"/pay").Body, `value="wechatpay" checked`, `value="alipay"`)
	choose("alipay")
	wantIn(t, "Alipay's code", b.get(path+"/pay").Body, "支付宝扫码支付", `alt="支付宝二维码"`, "改用微信支付", "every 5s")
	page := b.do(http.MethodGet, path+"/pay", "", nil, inWeChat...).Body
	wantIn(t, "the same inside WeChat", page, `value="wechatpay" checked`)
	wantNotIn(t, "the same inside WeChat", page, "支付宝", `class="qr"`, "every 5s")
	trade := b.order(path).TradeNo
	if a := choose("alipay", inWeChat...); a.Status != http.StatusConflict || b.order(path).TradeNo != trade {
		t.Errorf("Alipay inside WeChat: %d", a.Status)
	}
	choose("wechatpay")
	wantIn(t, "WeChat Pay's code", b.get(path+"/pay").Body, "微信扫码支付", "改用支付宝")
	if b.order(path).TradeNo == trade {
		t.Error("one trade for both channels")
	}
	// After a failure the channel that was used is chosen, and the page asks no more by
	// itself, which would undo another choice.
	choose("alipay")
	w.clock.advance(time.Minute)
	_, err := w.service.Apply(t.Context(), b.order(path).ID, order.Command{On: order.PayFailed, By: order.Actor{Role: order.Gateway, Channel: order.Internal}, Trade: b.order(path).TradeNo})
	must(t, err)
	failed := b.get(path + "/pay/state")
	wantIn(t, "failure", failed.Body, "支付没有成功", `value="alipay" checked`)
	if failed.Status != stopPolling {
		t.Errorf("the page keeps asking: %d", failed.Status)
	}
}

// F89–F91, F94: tabs, search, columns and pages of 我的订单.
func TestOrderList(t *testing.T) {
	w := newWeb(t)
	b := w.browser()
	b.login(agentMobile)
	var paths []string
	for range pageSize + 3 {
		w.clock.advance(time.Second)
		paths = append(paths, b.draft())
	}
	first := b.get("/orders")
	if n := strings.Count(first.Body, `data-label="订单号"`); n != pageSize {
		t.Errorf("%d rows on the first page", n)
	}
	if strings.Index(first.Body, paths[len(paths)-1]) > strings.Index(first.Body, paths[len(paths)-2]) {
		t.Error("not newest first")
	}
	next := regexp.MustCompile(`href="([^"]+)" rel="next"`).FindStringSubmatch(first.Body)
	if next == nil {
		t.Fatal("no next page")
	}
	second := b.get(strings.ReplaceAll(next[1], "&amp;", "&"))
	if n := strings.Count(second.Body, `data-label="订单号"`); n != 3 || !strings.Contains(second.Body, paths[0]) || strings.Contains(second.Body, `rel="next"`) {
		t.Errorf("%d rows on the second page", n)
	}
	tabs := regexp.MustCompile(`(?s)<nav class="tabs".*?</nav>`).FindString(first.Body)
	for _, label := range []string{"全部", "填写中", "待支付", "待审核", "审核拒绝", "待制证", "待更新", "待恢复", "待配送", "已完成", "已退款", "待下载", "待解锁"} {
		at := strings.Index(tabs, ">"+label+"<")
		if at < 0 {
			t.Fatalf("the tab %s is missing or out of order", label)
		}
		tabs = tabs[at:]
	}
	for query, rows := range map[string]int{"status=draft": pageSize, "status=completed": 0, "company=没有": 0, "product=初购": pageSize, "from=2026-11-24": 0, "to=2026-11-22": 0, "from=2026-11-23&to=2026-11-23": pageSize} {
		if n := strings.Count(b.get("/orders?"+strings.NewReplacer("没有", url.QueryEscape("没有"), "初购", url.QueryEscape("初购")).Replace(query)).Body, `data-label="订单号"`); n != rows {
			t.Errorf("%s: %d rows, want %d", query, n, rows)
		}
	}
	w.clock.advance(time.Minute)
	o := b.order(b.paid())
	for _, query := range []string{"no=" + url.QueryEscape(o.No[:5]+" "+strings.ToLower(o.No[5:])), "company=" + url.QueryEscape(" 新疆 云岭")} {
		if !strings.Contains(b.get("/orders?"+query).Body, o.No) {
			t.Errorf("%s: not found", query)
		}
	}
	for _, bad := range []string{"status=nonsense", "from=yesterday", "after=x", "after=zz"} {
		if a := b.get("/orders?" + bad); a.Status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d", bad, a.Status)
		}
	}
}

// F37–F39, G33: the letter carries what the form says, and nothing is missing.
func TestLetterDownload(t *testing.T) {
	b := newWeb(t).browser()
	path := b.draft()
	if a := b.get(path + "/letter.pdf"); a.Status != http.StatusUnprocessableEntity || !strings.Contains(a.Body, "请填写电子邮件") {
		t.Errorf("empty form: %d", a.Status)
	}
	form := filledForm()
	form.Set("do", "save")
	b.post(path+"/form", form)
	a := b.get(path + "/letter.pdf")
	if a.Status != 200 || a.Header.Get("Content-Type") != "application/pdf" || !strings.HasPrefix(a.Header.Get("Content-Disposition"), "attachment") {
		t.Fatalf("%d %v", a.Status, a.Header)
	}
	file := filepath.Join(t.TempDir(), "letter.pdf")
	must(t, os.WriteFile(file, []byte(a.Body), 0o600))
	text, err := exec.CommandContext(t.Context(), "pdftotext", file, "-").Output()
	must(t, err)
	for _, want := range []string{"云采盾认证中心实名认证申请授权书", "新疆云岭能源科技有限公司", "王小琪", agentMobile, "wang@example.com", "2026年11月23日"} {
		if !strings.Contains(strings.ReplaceAll(string(text), "\n", ""), want) {
			t.Errorf("the letter lacks %q", want)
		}
	}
	form.Set("org.name", "𬭚业有限公司")
	b.post(path+"/form", form)
	if a := b.get(path + "/letter.pdf"); a.Status != http.StatusUnprocessableEntity || !strings.Contains(a.Body, "生僻字“𬭚”") {
		t.Errorf("rare character: %d %s", a.Status, a.Body)
	}
}

// The API says the same as the pages, in JSON, without personal data.
func TestAPI(t *testing.T) {
	w := newWeb(t)
	b := w.browser()
	path := b.rejected()
	var spec struct {
		OpenAPI string         `json:"openapi"`
		Paths   map[string]any `json:"paths"`
	}
	must(t, json.Unmarshal([]byte(b.get("/openapi.json").Body), &spec))
	if !strings.HasPrefix(spec.OpenAPI, "3.1") || spec.Paths["/api/v1/orders"] == nil || spec.Paths["/api/v1/orders/{id}"] == nil {
		t.Errorf("OpenAPI %s: %v", spec.OpenAPI, spec.Paths)
	}
	var list struct{ Orders []OrderJSON }
	must(t, json.Unmarshal([]byte(b.get("/api/v1/orders?limit=1").Body), &list))
	a := b.get("/api/v1" + path)
	var o OrderJSON
	must(t, json.Unmarshal([]byte(a.Body), &o))
	if len(list.Orders) != 1 || list.Orders[0].ID != o.ID || o.Label != "审核拒绝" || o.Action != "fix" || o.Next == "" || len(o.Reasons) != 2 || len(o.Timeline) < 4 || o.Amount != 60000 {
		t.Errorf("order %+v", o)
	}
	for _, personal := range []string{agentMobile, "王小琪", "11010519491231002X"} {
		if strings.Contains(a.Body, personal) {
			t.Errorf("the API shows %q", personal)
		}
	}
	stranger := w.browser()
	stranger.login("13900139000")
	theirs, missing := stranger.get("/api/v1"+path), stranger.get("/api/v1/orders/"+newID())
	if theirs.Status != 404 || volatile.ReplaceAllString(theirs.Body, "") != volatile.ReplaceAllString(missing.Body, "") || theirs.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("somebody else's: %d %s; missing: %s", theirs.Status, theirs.Body, missing.Body)
	}
	for query, status := range map[string]int{"limit=0": 422, "limit=101": 422, "status=x": 422, "after=x": 422, "limit=5": 200} {
		if a := b.get("/api/v1/orders?" + query); a.Status != status {
			t.Errorf("%s: %d %s", query, a.Status, a.Body)
		}
	}
}

// The order's page hears of a change at once (server-sent events).
func TestLive(t *testing.T) {
	w := newWeb(t)
	b := w.browser()
	path := b.paid()
	conn := w.dial(t)
	var cookies []string
	u := &url.URL{Scheme: "http", Host: "127.0.0.1:8080", Path: "/"}
	for _, c := range b.jar.Cookies(u) {
		cookies = append(cookies, c.Name+"="+c.Value)
	}
	_, err := conn.Write([]byte("GET " + path + "/live HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nAccept: text/event-stream\r\nCookie: " + strings.Join(cookies, "; ") + "\r\n\r\n"))
	must(t, err)
	must(t, conn.SetReadDeadline(time.Now().Add(20*time.Second)))
	heard := ""
	until := func(want string) {
		t.Helper()
		buf := make([]byte, 4096)
		for !strings.Contains(heard, want) {
			n, err := conn.Read(buf)
			if err != nil {
				t.Fatalf("no %q in %q: %v", want, heard, err)
			}
			heard += string(buf[:n])
		}
	}
	until("event: hello")
	if !strings.Contains(heard, "text/event-stream") || strings.Contains(heard, "event: changed") {
		t.Errorf("the stream begins %q", heard)
	}
	_, err = w.service.Apply(t.Context(), b.order(path).ID, order.Command{On: order.Claim, By: order.Actor{Role: order.Reviewer, StaffID: "S1", Channel: order.Internal}})
	must(t, err)
	until("event: changed")
	close(w.closing) // a stop of the server ends the stream
	until("\r\n0\r\n\r\n")
	w.closing = make(chan struct{})
}

// Liveness, readiness that names the failed part and hides why, metrics, assets.
func TestOperations(t *testing.T) {
	w := newWeb(t)
	b := w.browser()
	if a := b.get("/healthz"); a.Status != 200 || a.Header.Get("Set-Cookie") != "" {
		t.Errorf("healthz: %d", a.Status)
	}
	if a := b.get("/readyz"); a.Status != 200 {
		t.Errorf("readyz: %d %s", a.Status, a.Body)
	}
	w.Checks = append(w.Checks, Check{"redis", func(context.Context) error { return errors.New("dial 10.0.0.7: refused") }})
	if a := b.get("/readyz"); a.Status != http.StatusServiceUnavailable || !strings.Contains(a.Body, `["redis"]`) || strings.Contains(a.Body, "10.0.0.7") {
		t.Errorf("readyz: %d %s", a.Status, a.Body)
	}
	b.get("/login")
	if a := b.get("/metrics"); !strings.Contains(a.Body, `ycd_http_request_duration_seconds_count{method="GET",route="/login",status="200"} 1`) {
		t.Errorf("metrics: %s", a.Body)
	}
	css := regexp.MustCompile(`/static/app\.[0-9a-f]{10}\.css`).FindString(b.get("/").Body)
	if a := b.get(css); a.Status != 200 || a.Header.Get("Cache-Control") != "public, max-age=31536000, immutable" || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/css") || a.Header.Get("Set-Cookie") != "" {
		t.Errorf("%s: %d %v", css, a.Status, a.Header)
	}
	for _, bad := range []string{"/static/app.css", "/static/../html/edit.html", "/static/%2e%2e/templates.go"} {
		if a := b.get(bad); a.Status != http.StatusNotFound {
			t.Errorf("%s: %d", bad, a.Status)
		}
	}
}

// rules.md §3.2, reliability 23: after a purchase, a rejection and a phone upload
// the log holds no personal data, no code and no secret of a cookie or an address.
func TestLogHoldsNothingPersonal(t *testing.T) {
	w := newWeb(t)
	b := w.browser()
	path := b.rejected()
	a := b.upload(path+"/pictures/letter", "photo.jpg", photo(t))
	address := strings.ReplaceAll(pictureAddress.FindString(a.Body), "&amp;", "&")
	b.get(address)
	b.get("/login?next=/orders")
	offer := b.post(path+"/phone/letter", nil, "HX-Request", "true", csrfHeader, b.csrf)
	poll := pollAddress.FindAllString(offer.Body, -1)
	log := w.log.String()
	canaries := []string{
		agentMobile, "王小琪", "11010519491231002X", "wang@example.com", "中关村", "李明", w.code(agentMobile), b.csrf,
		cookie(b, "ycd_applicant"), cookie(b, "ycd_browser"), address, strings.Split(address, "sig=")[1], strings.TrimPrefix(path, "/orders/"),
	}
	canaries = append(canaries, poll...)
	for _, c := range canaries {
		if c == "" || strings.Contains(log, c) {
			t.Errorf("the log holds %q", c)
		}
	}
	if !strings.Contains(log, `"route":"/orders/:id/confirm"`) {
		t.Errorf("no access log: %s", log)
	}
}

// F92, F81: what can be done with an order, on the portal and in the mini-program, and
// what the steps of an approved unlock are called.
func TestActions(t *testing.T) {
	s := &Server{Deps: Deps{Now: time.Now}}
	for _, test := range []struct {
		business order.Business
		state    order.State
		button   string // beside 查看, which always is
	}{
		{order.Initial, order.State{Status: order.Draft}, "继续填写"},
		{order.Initial, order.State{Status: order.AwaitingPayment}, "去支付"},
		{order.Initial, order.State{Status: order.InReview, Stage: order.Queued}, ""},
		{order.Initial, order.State{Status: order.Rejected, Stage: order.Fixable}, "立即修改"},
		{order.Initial, order.State{Status: order.Rejected, Stage: order.Closed}, ""},
		{order.Initial, order.State{Status: order.ToDownload, Stage: order.Ready}, "下载证书"},
		{order.Reissue, order.State{Status: order.ToDownload, Stage: order.Interrupted}, "下载证书"},
		{order.Renewal, order.State{Status: order.ToRenew, Stage: order.Ready}, "更新"},
		{order.Resume, order.State{Status: order.ToRestore}, "恢复"},
		{order.UnlockApproval, order.State{Status: order.ToUnlock}, "解锁"},
		{order.Initial, order.State{Status: order.ToShip, Stage: order.ToPost}, "查看物流"},
		{order.Initial, order.State{Status: order.ToShip, Stage: order.ToPickUp}, ""},
		{order.Initial, order.State{Status: order.Completed}, "查看物流"},
		{order.UnlockSelf, order.State{Status: order.Completed}, ""},
		{order.Initial, order.State{Status: order.Refunded}, ""},
	} {
		o := order.Order{ID: "o1", Business: test.business, State: test.state}
		if test.button == "查看物流" && o.Status == order.Completed {
			o.TrackingNo = "SF1234567890123"
		}
		var labels []string
		for _, a := range s.rowOf(o).Actions {
			labels = append(labels, a.Label)
		}
		if got := strings.Join(labels, " "); got != strings.TrimSpace(test.button+" 查看") {
			t.Errorf("%s in %s: %s", test.business, test.state, got)
		}
		if got := s.orderJSON(o, nil).Button; got != test.button {
			t.Errorf("%s in %s: %q in the mini-program", test.business, test.state, got)
		}
	}
	for amount, want := range map[order.Fen]string{0: "填写资料 等待审核* 设置新口令 完成", 5000: "填写资料 支付 等待审核* 设置新口令 完成"} {
		var steps []string
		for _, s := range stepsOf(order.Order{Business: order.UnlockApproval, Product: order.Product{Business: order.UnlockApproval}, State: order.State{Status: order.InReview}, Amount: amount}) {
			steps = append(steps, s.Label+map[bool]string{true: "*"}[s.Current])
		}
		if got := strings.Join(steps, " "); got != want {
			t.Errorf("steps of an unlock for %d fen: %s", amount, got)
		}
	}
}

// F110 to F117: the duties of whoever holds a USBKEY, where anybody can read them.
func TestDuties(t *testing.T) {
	page := newWeb(t).browser().get("/help").Body
	for _, says := range []string{"真实、准确、完整", "信用代码或法定代表人变更", "约定的范围内使用", "用完及时拔下", "避免摔打", "像保管公章一样", "不要出借", "损坏、丢失或怀疑泄露", "补办", "到期前主动办理更新", "不得用于任何违法活动", "400-666-3999", "9:00–17:30"} {
		if !strings.Contains(page, says) {
			t.Errorf("the help does not say %s", says)
		}
	}
}
