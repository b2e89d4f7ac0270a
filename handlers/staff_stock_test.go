package handlers

import (
	"bytes"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/issuance"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store"
)

// issued records a certificate on a USBKEY for each made item of an order.
func (w *web) issued(o order.Order) {
	w.t.Helper()
	ctx, now, ledger := w.t.Context(), w.clock.now(), store.NewLedger(w.db)
	items, err := w.db.Items(ctx, o.ID)
	must(w.t, err)
	for _, i := range items {
		is := issuance.Issue{
			ID: i.ID + "-1", Item: i.ID, SnapshotHash: bytes.Repeat([]byte{1}, 32), Profile: "company-p256", Company: o.Company, USCC: o.USCC, Years: 1,
			Stage: issuance.StageRequested, CreatedAt: now, UpdatedAt: now,
		}
		_, err := ledger.OpenIssue(ctx, is)
		must(w.t, err)
		is.Stage, is.Serial, is.Issuer, is.TBS, is.Certificate = issuance.StageDone, i.CertSerial, issuance.P256Token, []byte("tbs"), []byte("der")
		is.TokenSerial, is.NotBefore, is.NotAfter = i.TokenSerial, now, now.AddDate(1, 0, 0)
		tok := issuance.TokenRecord{
			Serial: i.TokenSerial, State: issuance.TokenPersonalized, IssueID: is.ID,
			SealedSOPIN: []byte{1}, SealedUserPIN: []byte{2}, SealedSecret: []byte{3}, CreatedAt: now, UpdatedAt: now,
		}
		must(w.t, ledger.AdvanceIssue(ctx, issuance.StageRequested, is, &tok))
	}
}

// F119: the issuer books deliveries, all of one or nothing, and scraps keys with a
// reason; who did it stands there.
func TestStockOfBlankKeys(t *testing.T) {
	d := newDesk(t).hire()
	b := d.login("钱制证")
	wantIn(t, "empty stock", b.get("/staff/stock").Body, "没有在库的空白 UKEY")
	b.mustPost("/staff/stock", url.Values{"batch": {"SF-2026-11"}, "serials": {"TW00521605010001-TW00521605010003\ntw00521605010010"}}, "/staff/stock")
	page := b.get("/staff/stock").Body
	wantIn(t, "stock", page, "在库 4", "TW00521605010002", "TW00521605010010", "SF-2026-11", "钱制证")
	for name, test := range map[string]struct {
		form url.Values
		says string
	}{
		"a known one":        {url.Values{"batch": {"B"}, "serials": {"TW00521605010099 TW00521605010002"}}, "TW00521605010002 已登记过"},
		"no batch":           {url.Values{"serials": {"TW00521605010099"}}, "批次号"},
		"nothing":            {url.Values{"batch": {"B"}, "serials": {" "}}, "请填写 UKEY 序列号"},
		"a wrong form":       {url.Values{"batch": {"B"}, "serials": {"TW0052160501"}}, "格式不正确"},
		"backwards":          {url.Values{"batch": {"B"}, "serials": {"TW00521605010009-TW00521605010008"}}, "小于末个"},
		"the same one twice": {url.Values{"batch": {"B"}, "serials": {"TW00521605010099,TW00521605010099"}}, "重复"},
		"far too many":       {url.Values{"batch": {"B"}, "serials": {"TW00521605010099-TW99999999999999"}}, "最多登记 1000 个"},
	} {
		if a := b.post("/staff/stock", test.form); a.Status < 400 || !strings.Contains(alertIn(a.Body), test.says) {
			t.Errorf("%s: %d %s", name, a.Status, alertIn(a.Body))
		}
	}
	wantIn(t, "stock after refusals", b.get("/staff/stock").Body, "在库 4")

	scrap := "/staff/stock/TW00521605010002/scrap"
	for name, form := range map[string]url.Values{"no reason": {}, "other without a word": {"reason": {"other"}}, "the station's own": {"reason": {"failed"}}} {
		if a := b.post(scrap, form); a.Status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d", name, a.Status)
		}
	}
	b.mustPost(scrap, url.Values{"reason": {"damaged"}, "note": {"外壳裂开"}}, "/staff/stock?state=scrapped")
	wantIn(t, "scrapped", b.get("/staff/stock?state=scrapped").Body, "TW00521605010002", "外观损坏", "外壳裂开", "钱制证", "已报废 1")
	if a := b.post(scrap, url.Values{"reason": {"damaged"}}); a.Status != http.StatusConflict {
		t.Errorf("scrapped twice: %d", a.Status)
	}
	if a := d.login("孙发货").get("/staff/stock"); a.Status != http.StatusForbidden {
		t.Errorf("the shipper sees the stock: %d", a.Status)
	}
}

// F119: a label has serial number, QR code and company, and nothing about a person.
func TestLabels(t *testing.T) {
	d := newDesk(t).hire()
	o := d.inReview()
	b := d.login("钱制证")
	if a := b.get("/staff/making/" + string(o.ID) + "/labels"); a.Status != http.StatusNotFound {
		t.Errorf("labels before there are keys: %d", a.Status)
	}
	o = d.made(o)
	d.issued(o)
	page := b.get("/staff/making/" + string(o.ID) + "/labels").Body
	wantIn(t, "labels", page, "TW11782207000000", "TW11782207000001", o.Company, "data:image/png;base64,", "有效期至")
	wantNotIn(t, "labels", page, agentMobile, o.Form.Get(order.AgentName))
}

// G25: the initial PIN is shown once, to the bound user who says that he has the
// key and proves the mobile, after the key left the house; never again, and to
// nobody else.
func TestInitialPINIsShownOnce(t *testing.T) {
	d := newDesk(t).hire()
	b := d.browser()
	o := d.order(b.paid())
	must(t, d.service.RecordRealName(t.Context(), o.ID, o.Submission, order.RealNameMatch))
	d.clock.advance(2 * 60e9)
	o = d.made(d.read(o.ID))
	d.issued(o)
	path := "/certificates/" + d.items(o.ID)[0].CertSerial + "/pin"
	if a := b.get(path); a.Status != http.StatusConflict || !strings.Contains(a.Body, "寄出或领取之后") {
		t.Errorf("before the key is sent: %d", a.Status)
	}
	wantNotIn(t, "certificates before", b.get("/certificates").Body, path)
	d.apply(o.ID, order.Command{On: order.Ship, By: d.staff["孙发货"].Actor(order.Shipper, order.Web, "192.0.2.1"), Carrier: "sf", TrackingNo: "SF1234567890123"})
	wantIn(t, "certificates", b.get("/certificates").Body, path)
	b.get(path)
	d.HelperURL = "http://127.0.0.1:27180"
	code := b.codeFor(path)
	for name, form := range map[string]url.Values{"no tick": {"code": {code}}, "wrong code": {"got": {"yes"}, "code": {"000000"}}} {
		if a := b.post(path, form); a.Status != http.StatusUnprocessableEntity || strings.Contains(a.Body, heldPIN) {
			t.Errorf("%s: %d", name, a.Status)
		}
	}
	other := d.browser()
	other.login("13900139000")
	if a := other.get(path); a.Status != http.StatusNotFound {
		t.Errorf("somebody else: %d", a.Status)
	}
	a := b.post(path, url.Values{"got": {"yes"}, "code": {code}})
	wantIn(t, "the page", a.Body, heldPIN, "只显示这一次", "修改")
	if a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("the page may be kept: %s", a.Header.Get("Cache-Control"))
	}
	if csp := a.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "connect-src 'self' "+d.HelperURL+";") {
		t.Errorf("the page may not ask the key helper: %q", csp)
	}
	again := b.get(path)
	wantNotIn(t, "the page afterwards", again.Body, heldPIN)
	if csp := again.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "connect-src 'self';") {
		t.Errorf("a page without a PIN may connect to this PC: %q", csp)
	}
	if a := b.post(path, url.Values{"got": {"yes"}, "code": {code}}); a.Status != http.StatusConflict || strings.Contains(a.Body, heldPIN) {
		t.Errorf("again: %d", a.Status)
	}
	wantNotIn(t, "certificates afterwards", b.get("/certificates").Body, path)
	if strings.Contains(d.log.String(), heldPIN) {
		t.Error("the PIN is in the log")
	}
	if first, err := certificate.ParseSerials("TW00000000000001 - TW00000000000002"); err != nil || len(first) != 2 {
		t.Errorf("a range with spaces: %v, %v", first, err)
	}
}

// F124: what takes four eyes is begun by a person, though the station works by itself,
// and not by the one who approved it.
func TestMakingWithFourEyes(t *testing.T) {
	d := newDesk(t, func(c *ConsoleDeps) { c.StationAuto = true }).hire()
	waits := func(id order.ID, fourEyes bool, reviewer string) {
		d.posted(1, d.clock.now(), d.clock.now(), func(o *order.Order) {
			o.ID, o.No, o.State = id, "SAAS1202611231030000"+string(id[len(id)-5:]), order.State{Status: order.ToIssue, Stage: order.Unclaimed}
			o.Product.FourEyes, o.ReviewerID = fourEyes, d.staff[reviewer].ID
		})
		must(t, d.db.InTx(t.Context(), func(tx order.Tx) error {
			return tx.ReplaceItems(t.Context(), id, []order.Item{{ID: "item-" + string(id), OrderID: id, N: 1, Stage: order.ItemWaiting, UpdatedAt: d.clock.now()}})
		}))
	}
	b := d.login("钱制证")
	start := func(id order.ID) string { return "/staff/making/" + string(id) + "/item-" + string(id) + "/start" }

	waits("01MAKE00001", false, "李审核")
	page := b.get("/staff/making").Body
	wantNotIn(t, "what the station makes alone", page, start("01MAKE00001"), "须两人", "请另一位制证员制作")
	waits("01MAKE00002", true, "李审核")
	waits("01MAKE00003", true, "钱制证")
	page = b.get("/staff/making").Body
	wantIn(t, "making", page, start("01MAKE00002"), "审核、制证须两人", "请另一位制证员制作", "点「开始制证」")
	wantNotIn(t, "making", page, start("01MAKE00001"), start("01MAKE00003"))
}

// The ticket of a station on another PC is shown to issuers, once, where stations
// are in use.
func TestStationTicket(t *testing.T) {
	d := newDesk(t).hire()
	b := d.login("钱制证")
	page := b.get("/staff/making").Body
	wantNotIn(t, "making without stations", page, "连接制证电脑")
	b.get("/staff/making")
	a := b.post("/staff/making/station", nil)
	wantIn(t, "station", a.Body, "yuncaidun station --server http://127.0.0.1:8080 --ticket "+d.staff["钱制证"].ID+".")
	if a.Header.Get("Cache-Control") != "no-store" {
		t.Error("the ticket may be kept")
	}
	ticket := d.StationTicket(d.staff["钱制证"].ID, d.clock.now().Add(stationLife))
	ask := func(ticket string) int {
		return d.browser().do(http.MethodPost, "/station/certify", "application/json", strings.NewReader("{}"), "Authorization", "Bearer "+ticket, "Accept", "application/json").Status
	}
	if got := ask(ticket); got != http.StatusUnprocessableEntity {
		t.Errorf("with a ticket, without a task: %d", got)
	}
	for name, bad := range map[string]string{
		"none": "", "a shipper's": d.StationTicket(d.staff["孙发货"].ID, d.clock.now().Add(stationLife)), "another end": strings.Replace(ticket, ".", ".9", 1),
	} {
		if got := ask(bad); got != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, got)
		}
	}
	for path, accept := range map[string]string{"/station/take": "", "/station/fail": "*/*"} {
		a := d.browser().do(http.MethodPost, path, "application/json", strings.NewReader("{}"), "Accept", accept)
		if a.Status != http.StatusUnauthorized || problemIn(t, a).Code != "station_ticket" {
			t.Errorf("%s as %q: %d %s", path, accept, a.Status, a.location())
		}
	}
	d.clock.advance(stationLife)
	if got := ask(ticket); got != http.StatusUnauthorized {
		t.Errorf("the next day: %d", got)
	}
	_, err := d.staffing.Disable(t.Context(), "13900000003")
	must(t, err)
	if got := ask(d.StationTicket(d.staff["钱制证"].ID, d.clock.now().Add(stationLife))); got != http.StatusUnauthorized {
		t.Errorf("of a disabled account: %d", got)
	}
}
