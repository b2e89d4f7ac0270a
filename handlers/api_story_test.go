package handlers

import (
	"encoding/json"
	"math"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store/session"
)

// fields is the form of [filledForm] as the API takes it.
func fields() map[string]string {
	out := map[string]string{}
	for name, values := range filledForm() {
		if strings.Contains(name, ".") {
			out[name] = values[0]
		}
	}
	return out
}

func (f FormJSON) field(name string) FieldJSON {
	for _, g := range f.Groups {
		for _, f := range g.Fields {
			if f.Name == name {
				return f
			}
		}
	}
	return FieldJSON{}
}

// applied is a complete draft made through the API, with its form.
func (m *mini) applied() (at string, form FormJSON) {
	m.t.Helper()
	m.ok(http.MethodPost, "/orders", map[string]string{"product": "yd-initial"}, &form)
	at = "/orders/" + form.Order.ID
	for _, f := range imageFields {
		var p PictureJSON
		if a := m.photo(at+"/pictures/"+f, "photo.jpg", photo(m.t), &p); a.Status != http.StatusOK || p.Ref == "" || len(p.Warnings) != 0 {
			m.t.Fatalf("picture %s: %d %s", f, a.Status, a.Body)
		}
	}
	m.ok(http.MethodPost, at+"/form", map[string]any{"fields": fields(), "lines": []LineInput{{Seal: form.Lines[0].Seal, Quantity: 2}}, "check": true}, &form)
	if !form.Complete {
		m.t.Fatalf("not complete: %+v", form)
	}
	return at, form
}

// What is typed is judged, priced and kept by the server (F7, F14, G30).
func TestFormThroughTheAPI(t *testing.T) {
	w := newWeb(t)
	m := w.mini("m1", "").login(agentMobile)
	var form FormJSON
	m.ok(http.MethodPost, "/orders", map[string]string{"product": "yd-initial"}, &form)
	at := "/orders/" + form.Order.ID
	if f := form.field("agent.mobile"); f.Value != agentMobile || !f.Required || f.Label != "手机号" || f.Input != "tel" {
		t.Errorf("mobile field %+v", f)
	}
	m.ok(http.MethodPost, at+"/form", map[string]any{"check": true}, &form)
	if form.Complete || form.field("agent.name").Fault == "" || form.field("license").Fault == "" || form.field("agent.mobile").Fault != "" {
		t.Errorf("an empty form: %+v", form)
	}
	save := map[string]any{
		"fields": map[string]string{"org.uscc": "91110108MA00TEN18G", "agent.name": "王小琪", "license": "someone-elses", "status": "completed", "ship.code": "1"},
		"lines":  []LineInput{{Seal: form.Lines[0].Seal, Quantity: 3}},
	}
	m.ok(http.MethodPost, at+"/form", save, &form)
	if f := form.field("org.uscc"); !strings.Contains(f.Fault, "校验") || form.field("agent.name").Fault != "" || form.field("agent.email").Fault != "" {
		t.Errorf("uscc %+v", f)
	}
	o := w.order(at)
	if form.Order.Amount != 90000 || o.Form.Get(order.AgentName) != "王小琪" || o.Form.Get(order.LicenseImage) != "" || o.Form.Get(order.PickUpCode) != "" || o.Form.Get(order.OrgUSCC) != "" {
		t.Errorf("kept: %d fen, %v", form.Order.Amount, o.Form.Get(order.LicenseImage))
	}
	save["lines"] = []LineInput{{Quantity: 999}}
	m.ok(http.MethodPost, at+"/form", save, &form)
	if form.LineFault == "" || w.order(at).Quantity() != 3 {
		t.Errorf("999 keys: %+v", form)
	}
	save["lines"] = []LineInput{{Quantity: math.MaxInt}, {Seal: "unit", Quantity: math.MaxInt}, {Seal: "legal_rep", Quantity: 3}} // together one, in 64 bits
	m.ok(http.MethodPost, at+"/form", save, &form)
	if !strings.Contains(form.LineFault, "最多购买 20 个") || w.order(at).Quantity() != 3 {
		t.Errorf("more keys than an integer holds: %s %+v", form.LineFault, form.Lines)
	}
	var odd FormJSON // F30, F31
	m.ok(http.MethodPost, at+"/form", map[string]any{"fields": map[string]string{"agent.name": "阿卜杜拉．买买提", "agent.mobile": "17012347069", "org.uscc": "92440300MA00000074"}}, &odd)
	if name, mobile := odd.field("agent.name"), odd.field("agent.mobile"); name.Value != "阿卜杜拉·买买提" || !strings.Contains(mobile.Doubt, "虚拟运营商") || mobile.Fault != "" || !strings.Contains(odd.field("org.type").Doubt, "个体工商户") {
		t.Errorf("doubts: %+v %+v %+v", name, mobile, odd.field("org.type"))
	}
	odd = FormJSON{}
	m.ok(http.MethodPost, at+"/form", map[string]any{"fields": map[string]string{"org.uscc": "9111OIO8MAOOTEN18F"}}, &odd)
	if f := odd.field("org.uscc"); f.Suggestion != "91110108MA00TEN18F" || f.Fault == "" || f.Value != "9111OIO8MAOOTEN18F" {
		t.Errorf("suggestion: %+v", f)
	}
	// Other fields follow from a choice.
	m.ok(http.MethodPost, at+"/form", map[string]any{"fields": map[string]string{"ship.province": "北京市"}}, &form)
	if f := form.field("ship.city"); f.Input != "select" || len(f.Options) == 0 || !form.field("ship.province").Redraw {
		t.Errorf("city %+v", f)
	}
	for name, raw := range map[string][]byte{"a text": []byte("not a picture"), "nothing": {}} {
		if a := m.photo(at+"/pictures/license", "photo.jpg", raw, nil); a.Status != http.StatusUnprocessableEntity || problemIn(t, a).Code != "picture_refused" {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	if a := m.photo(at+"/pictures/agent.name", "photo.jpg", photo(t), nil); a.Status != http.StatusNotFound {
		t.Errorf("no picture field: %d", a.Status)
	}
	m.ok(http.MethodPost, at+"/delete", nil, nil)
	if a := m.call(http.MethodGet, at, nil, nil); a.Status != http.StatusNotFound {
		t.Errorf("deleted: %d", a.Status)
	}
}

// The rest of 初购 in the mini-program: read, agree, prove the mobile, pay
// (F52–F62), and the event says through which surface (F125).
func TestPurchaseThroughTheAPI(t *testing.T) {
	w := newWeb(t)
	m := w.mini("m1", "").login(agentMobile)
	at, _ := m.applied()
	var summary SummaryJSON // F54: everything, also for how long
	m.ok(http.MethodGet, at+"/summary", nil, &summary)
	if summary.Mobile != "138****8000" || summary.Order.Amount != 60000 || len(summary.Groups) < 4 || summary.Term != 1 || summary.Verified != "基本信息认证" {
		t.Errorf("summary %+v", summary)
	}
	var texts AgreementsJSON
	m.ok(http.MethodGet, "/agreements", nil, &texts)
	m.ok(http.MethodPost, at+"/code", map[string]any{}, nil)
	code := w.code(agentMobile)
	for name, test := range map[string]struct {
		code, hash string
		want       int
	}{
		"not ticked":           {code, "", http.StatusUnprocessableEntity},
		"other words":          {code, strings.Repeat("0", 64), http.StatusConflict},
		"wrong code":           {"000000", texts.Hash, http.StatusUnprocessableEntity},
		"no code":              {"", texts.Hash, http.StatusUnprocessableEntity},
		"code with the letter": {"12345x", texts.Hash, http.StatusUnprocessableEntity},
	} {
		if a := m.call(http.MethodPost, at+"/confirm", map[string]string{"code": test.code, "agreements": test.hash, "offer": summary.Offer}, nil); a.Status != test.want || w.order(at).Status != order.Draft {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	var placed PlacedJSON
	m.ok(http.MethodPost, at+"/confirm", map[string]string{"code": code, "agreements": texts.Hash, "offer": summary.Offer}, &placed)
	if placed.Order.Action != "pay" || placed.Order.No == "" || placed.Token != "" {
		t.Errorf("placed %+v", placed)
	}
	var paying PayingJSON
	m.ok(http.MethodPost, at+"/pay", nil, &paying)
	o := w.order(at)
	if paying.State != "unpaid" || paying.Request.Package != "prepay_id=wx"+o.TradeNo || paying.Request.SignType != "RSA" {
		t.Errorf("paying %+v", paying)
	}
	m.ok(http.MethodPost, at+"/pay", nil, &paying)
	if again := w.order(at); again.TradeNo != o.TradeNo {
		t.Error("paying again opened another trade")
	}
	must(t, w.service.PaymentSucceeded(t.Context(), order.Receipt{Channel: order.WeChatPay, TradeNo: o.TradeNo, TransactionID: "42" + o.TradeNo, Amount: o.Amount, PaidAt: w.clock.now()}))
	m.ok(http.MethodGet, at+"/payment", nil, &paying)
	var seen OrderJSON
	m.ok(http.MethodGet, at, nil, &seen)
	if paying.State != "paid" || seen.Status != string(order.InReview) || len(seen.Timeline) < 3 || len(seen.Steps) == 0 {
		t.Errorf("paid: %s, order %+v", paying.State, seen)
	}
	events, err := w.db.Events(t.Context(), o.ID)
	must(t, err)
	if e := events[1]; e.Event != order.Confirm || e.Channel != order.MiniProgram {
		t.Errorf("event %+v", e)
	}
	if a := m.call(http.MethodPost, at+"/pay", nil, nil); a.Status != http.StatusConflict {
		t.Errorf("paying twice: %d", a.Status)
	}
}

// A trade opened on the PC and one in the mini-program are two: the first is
// closed, and money that comes for it all the same goes back (F62).
func TestPayingMovesToThePhone(t *testing.T) {
	w := newWeb(t)
	b := w.browser()
	path := b.confirmed()
	b.post(path+"/pay", nil)
	onPC := w.order(path).TradeNo
	m := w.mini("m1", "").login(agentMobile)
	var paying PayingJSON
	m.ok(http.MethodPost, path+"/pay", nil, &paying)
	onPhone := w.order(path).TradeNo
	if onPC == onPhone {
		t.Fatal("one trade for both")
	}
	// Another WeChat user of the same person pays a trade of his own.
	second := w.mini("m2", "").login(agentMobile)
	second.ok(http.MethodPost, path+"/pay", nil, &paying)
	if w.order(path).TradeNo == onPhone {
		t.Error("one trade for two payers")
	}
	p, err := w.db.Payment(t.Context(), onPhone)
	must(t, err)
	if p.Way != order.PayInMiniProgram || p.Payer != "m1" || p.CodeURL != "" {
		t.Errorf("payment %+v", p)
	}
	if page := b.get(path + "/pay").Body; strings.Contains(page, "微信支付二维码") || !strings.Contains(page, "立即支付") {
		t.Error("the PC shows a QR code of a trade on the phone")
	}
	// The mini-program pays in WeChat, a portal's session by QR code, through what it chooses (G32).
	if a := m.call(http.MethodPost, path+"/pay", map[string]string{"channel": "alipay"}, nil); a.Status != http.StatusConflict || problemIn(t, a).Code != "pay_channel_unavailable" {
		t.Errorf("Alipay in the mini-program: %d %s", a.Status, a.Body)
	}
	for _, channel := range []string{"alipay", "wechatpay"} {
		a := b.do(http.MethodPost, "/api/v1"+path+"/pay", "application/json", strings.NewReader(`{"channel":"`+channel+`"}`), csrfHeader, b.csrf)
		paying = PayingJSON{}
		must(t, json.Unmarshal([]byte(a.Body), &paying))
		if a.Status != http.StatusOK || paying.Request != nil || paying.Code == nil || paying.Code.Channel != channel || !strings.HasSuffix(paying.Code.Text, w.order(path).TradeNo) || len(paying.Channels) != 2 {
			t.Errorf("paying through the portal's session: %d %s", a.Status, a.Body)
		}
	}
	m.ok(http.MethodGet, path+"/payment", nil, &paying)
	if len(paying.Channels) != 1 || paying.Channels[0] != (PayChannelJSON{"wechatpay", "微信支付"}) {
		t.Errorf("the mini-program offers %+v", paying.Channels)
	}
	if a := b.do(http.MethodPost, "/api/v1"+path+"/pay", "application/json", strings.NewReader(`{"channel":"cash"}`), csrfHeader, b.csrf); a.Status != http.StatusUnprocessableEntity {
		t.Errorf("an unknown channel: %d %s", a.Status, a.Body)
	}
}

// F95, F96: a rejected order is put right by its field, without paying again.
func TestFixThroughTheAPI(t *testing.T) {
	w := newWeb(t)
	at := w.browser().rejected()
	m := w.mini("m1", "").login(agentMobile)
	var form FormJSON
	m.ok(http.MethodGet, at+"/form", nil, &form)
	if !form.Fixing || form.field("letter").Reason == "" || len(form.Order.Reasons) != 2 || form.Order.Reasons[0].Field != "letter" {
		t.Errorf("form %+v", form.Order)
	}
	var p PictureJSON
	if a := m.photo(at+"/pictures/letter", "letter.jpg", photo(t), &p); a.Status != http.StatusOK {
		t.Fatalf("letter: %d %s", a.Status, a.Body)
	}
	before := w.order(at).Form.Get(order.LetterImage)
	// A new mobile must be proven.
	changed := map[string]string{"letter": p.Ref, "agent.mobile": agentMobile2, "license": p.Ref}
	m.ok(http.MethodPost, at+"/form", map[string]any{"fields": changed, "check": true}, &form)
	if !form.Complete || !form.NeedsCode || w.order(at).Form.Get(order.LetterImage) != before {
		t.Errorf("checked %+v", form)
	}
	if a := m.call(http.MethodPost, at+"/resubmit", map[string]any{"fields": changed}, nil); a.Status != http.StatusUnprocessableEntity {
		t.Errorf("unproven mobile: %d %s", a.Status, a.Body)
	}
	if a := m.call(http.MethodPost, at+"/resubmit", map[string]any{"fields": map[string]string{"org.name": "x"}}, nil); a.Status != http.StatusUnprocessableEntity || len(problemIn(t, a).Fields) == 0 {
		t.Errorf("a bad name: %d %s", a.Status, a.Body)
	}
	license := w.order(at).Form.Get(order.LicenseImage)
	m.ok(http.MethodPost, at+"/code", map[string]string{"mobile": agentMobile2}, nil)
	var placed PlacedJSON
	m.ok(http.MethodPost, at+"/resubmit", map[string]any{"fields": changed, "code": w.code(agentMobile2)}, &placed)
	o := w.order(at)
	if o.Status != order.InReview || o.Submission != 2 || o.Form.Get(order.LetterImage) == before || o.Form.Get(order.LicenseImage) != license {
		t.Errorf("resubmitted: %s, submission %d", o.Status, o.Submission)
	}
	// The order follows the mobile, and the phone follows the order (F19).
	if placed.Token == "" {
		t.Fatal("no token for the order's new owner")
	}
	if a := m.call(http.MethodGet, at, nil, nil); a.Status != http.StatusNotFound {
		t.Errorf("with the old token: %d", a.Status)
	}
	m.token = placed.Token
	m.ok(http.MethodGet, at, nil, nil)
	if a := m.call(http.MethodPost, at+"/resubmit", map[string]any{}, nil); a.Status != http.StatusConflict {
		t.Errorf("resubmitting twice: %d", a.Status)
	}
}

func TestLetterThroughTheAPI(t *testing.T) { // F37
	w := newWeb(t)
	m := w.mini("m1", "").login(agentMobile)
	at, _ := m.applied()
	if a := m.call(http.MethodGet, at+"/letter.pdf", nil, nil); a.Status != http.StatusOK || !strings.HasPrefix(a.Body, "%PDF") {
		t.Errorf("letter: %d", a.Status)
	}
}

// scanned starts a login by QR code in a browser and returns its ticket.
func (b *browser) scanning() string {
	b.t.Helper()
	b.get("/login")
	a := b.post("/login/scan", nil, "HX-Request", "true")
	_, rest, ok := strings.Cut(a.Body, "http://127.0.0.1:8080/scan/")
	if !ok || len(rest) < 43 || !strings.Contains(a.Body, "data:image/png") {
		b.t.Fatalf("scan: %d %s", a.Status, a.Body)
	}
	return rest[:43]
}

func (b *browser) watch(ticket, seen string) answer {
	b.t.Helper()
	return b.post("/login/scan/"+ticket, url.Values{"seen": {seen}, "next": {"/certificates"}}, "HX-Request", "true")
}

// F16, F17, F20: the QR code of the login page through all its states.
func TestScanLogin(t *testing.T) {
	w := newWeb(t)
	m := w.mini("m1", "").login(agentMobile)
	b, other := w.browser(), w.browser()
	other.get("/login")
	if page := b.get("/login").Body; !strings.Contains(page, `hx-post="/login/scan"`) || strings.Contains(page, `id="mobile"`) || !strings.Contains(page, "短信登录") {
		t.Errorf("login page:\n%s", page)
	}
	if page := b.get("/login?mode=sms&next=/orders").Body; !strings.Contains(page, `id="mobile"`) || strings.Contains(page, "/login/scan") {
		t.Errorf("SMS mode:\n%s", page)
	}
	ticket := b.scanning()
	if a := b.watch(ticket, "waiting"); a.Status != http.StatusNoContent {
		t.Errorf("nothing happened: %d", a.Status)
	}
	var scan ScanJSON
	m.ok(http.MethodPost, "/scans/"+ticket+"/scan", nil, &scan)
	if scan.State != "scanned" || scan.Mobile != "138****8000" || scan.Device == "" {
		t.Errorf("scan %+v", scan)
	}
	if a := b.watch(ticket, "waiting"); !strings.Contains(a.Body, "已扫码") {
		t.Errorf("scanned: %d %s", a.Status, a.Body)
	}
	thief := w.mini("m2", "").login(agentMobile2)
	if a := thief.call(http.MethodPost, "/scans/"+ticket+"/confirm", nil, nil); a.Status != http.StatusConflict {
		t.Errorf("confirmed by another: %d", a.Status)
	}
	m.ok(http.MethodPost, "/scans/"+ticket+"/confirm", nil, &scan)
	if a := other.watch(ticket, "waiting"); !strings.Contains(a.Body, "已过期") || cookie(other, "ycd_applicant") != "" {
		t.Errorf("another browser: %d %s", a.Status, a.Body)
	}
	if a := b.watch(ticket, "scanned"); a.Header.Get("HX-Redirect") != "/certificates" || cookie(b, "ycd_applicant") == "" {
		t.Errorf("confirmed: %d %v", a.Status, a.Header)
	}
	if a := b.get("/certificates"); a.Status != http.StatusOK {
		t.Errorf("logged in: %d", a.Status)
	}
	if a := b.watch(ticket, "scanned"); a.Header.Get("HX-Redirect") != "" {
		t.Error("one code logged in twice")
	}

	ticket = other.scanning()
	m.ok(http.MethodPost, "/scans/"+ticket+"/scan", nil, nil)
	m.ok(http.MethodPost, "/scans/"+ticket+"/cancel", nil, nil)
	if a := other.watch(ticket, "scanned"); !strings.Contains(a.Body, "已在手机上取消") {
		t.Errorf("cancelled: %s", a.Body)
	}
	ticket = other.scanning()
	if a := other.get("/scan/" + ticket); !strings.Contains(a.Body, "请用微信扫码") {
		t.Errorf("in an ordinary browser: %s", a.Body)
	}
	w.clock.advance(session.ScanLife)
	if a := other.watch(ticket, "waiting"); !strings.Contains(a.Body, "刷新二维码") {
		t.Errorf("expired: %s", a.Body)
	}
	if a := m.call(http.MethodPost, "/scans/"+ticket+"/scan", nil, nil); a.Status != http.StatusNotFound {
		t.Errorf("scanned too late: %d %s", a.Status, a.Body)
	}
}

func TestDeviceOf(t *testing.T) {
	for agent, want := range map[string]string{
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36":           "Chrome · Windows",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 Edg/131.0": "Edge · Windows",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Safari/605.1.15":     "Safari · macOS",
		"<script>alert(1)</script>": "浏览器 · 未知系统",
	} {
		if got := deviceOf(agent); got != want {
			t.Errorf("%s: %s, want %s", agent, got, want)
		}
	}
}

// F25, F26: the photo for a form on a PC, taken in the mini-program by the same
// one-time address and without a login.
func TestPhotoForThePC(t *testing.T) {
	w := newWeb(t)
	b := w.browser()
	path := b.draft()
	a := b.post(path+"/phone/license", nil, "HX-Request", "true", csrfHeader, b.csrf)
	_, rest, ok := strings.Cut(a.Body, path+"/phone/license/")
	if !ok {
		t.Fatalf("phone: %d %s", a.Status, a.Body)
	}
	ticket, waiting := rest[:43], rest[:87]
	phone := &mini{web: w} // nobody
	var p PhotoJSON
	phone.ok(http.MethodGet, "/photos/"+ticket, nil, &p)
	if p.Label != "营业执照图片" || p.Done {
		t.Errorf("photo %+v", p)
	}
	if a := phone.photo("/photos/"+ticket, "x.jpg", []byte("no picture"), nil); a.Status != http.StatusUnprocessableEntity {
		t.Errorf("a text: %d", a.Status)
	}
	if a := phone.photo("/photos/"+ticket, "x.jpg", fog(t), &p); a.Status != http.StatusOK || !p.Done || len(p.Warnings) != 1 {
		t.Errorf("upload: %d %s", a.Status, a.Body)
	}
	if a := b.get(path + "/phone/license/" + waiting); !strings.Contains(a.Body, "thumb") {
		t.Errorf("the PC: %d %s", a.Status, a.Body)
	}
	for _, ticket := range []string{ticket, secret()} {
		if a := phone.photo("/photos/"+ticket, "x.jpg", photo(t), nil); a.Status != http.StatusNotFound {
			t.Errorf("a used or unknown ticket: %d", a.Status)
		}
	}
}

// flows.md 4.4: the inbox of staff shows what a task card shows and nothing personal.
func TestTasks(t *testing.T) {
	w := newWeb(t)
	w.browser().paid()
	m := w.mini("m1", "").login("13800000011")
	if a := m.call(http.MethodGet, "/staff/tasks", nil, nil); a.Status != http.StatusForbidden {
		t.Errorf("an applicant: %d", a.Status)
	}
	must(t, w.db.InTx(t.Context(), func(tx order.Tx) error {
		p, err := tx.PersonByMobile(t.Context(), order.Person{ID: newID(), Mobile: identity.NewMobile("13800000011"), CreatedAt: w.clock.now()})
		if err != nil {
			return err
		}
		return tx.SaveStaff(t.Context(), order.Staff{ID: "S1", PersonID: p.ID, Name: "李审核", Roles: []order.Role{order.Reviewer}, CreatedAt: w.clock.now()})
	}))
	var out struct{ Desks []DeskJSON }
	a := m.call(http.MethodGet, "/staff/tasks", nil, &out)
	if len(out.Desks) != 1 || len(out.Desks[0].Tasks) != 1 {
		t.Fatalf("tasks: %d %s", a.Status, a.Body)
	}
	if task := out.Desks[0].Tasks[0]; task.Title != "初购 · ¥600.00" || task.Company == "" || task.Path != "/staff/review/"+task.ID || task.Due == nil || task.Mine {
		t.Errorf("task %+v", task)
	}
	for _, personal := range []string{agentMobile, "王小琪", "11010519491231002X"} {
		if strings.Contains(a.Body, personal) {
			t.Errorf("the inbox tells %s", personal)
		}
	}
	var me PersonJSON
	if m.ok(http.MethodGet, "/me", nil, &me); !me.Staff {
		t.Error("not known as staff")
	}
}

func (l certificateList) only(t *testing.T) CertificateJSON {
	t.Helper()
	if len(l.Certificates) != 1 {
		t.Fatalf("%d certificates", len(l.Certificates))
	}
	return l.Certificates[0]
}

type certificateList struct{ Certificates []CertificateJSON }

// F64–F73: the renewal of a certificate begins in the mini-program and comes to
// 待审核; the second tap finds the first order, the bid question is answered.
func TestRenewalThroughTheAPI(t *testing.T) {
	w := newWeb(t)
	w.holder()
	m := w.mini("m1", "").login(agentMobile)
	var list certificateList
	m.ok(http.MethodGet, "/certificates", nil, &list)
	renewal := func(c CertificateJSON) (out []OfferJSON) {
		for _, o := range c.Offers {
			if o.Business == string(order.Renewal) {
				out = append(out, o)
			}
		}
		return out
	}
	begin := map[string]string{"business": string(order.Renewal)}
	at := "/certificates/" + heldSerial + "/orders"
	if c := list.only(t); len(renewal(c)) != 0 || c.Note == "" {
		t.Errorf("a year before its end: %+v", c)
	}
	if a := m.call(http.MethodPost, at, begin, nil); a.Status != http.StatusConflict {
		t.Errorf("renewal a year early: %d %s", a.Status, a.Body)
	}
	w.clock.advance(350 * 24 * time.Hour)
	m.begin()
	m.ok(http.MethodGet, "/certificates", nil, &list)
	offers := renewal(list.only(t))
	if len(offers) != 1 || offers[0].Label != "更新" || len(offers[0].Products) < 2 {
		t.Fatalf("offers %+v", offers)
	}
	var o, again OrderJSON
	m.ok(http.MethodPost, at, begin, &o)
	m.ok(http.MethodPost, at, begin, &again)
	m.ok(http.MethodGet, "/certificates", nil, &list)
	if offers := renewal(list.only(t)); o.ID != again.ID || len(offers) != 1 || offers[0].Order == nil || offers[0].Order.ID != o.ID {
		t.Errorf("begun: %s, again %s, offers %+v", o.ID, again.ID, offers)
	}
	path := "/orders/" + o.ID
	var form FormJSON
	m.ok(http.MethodGet, path+"/form", nil, &form)
	if form.About == nil || form.About.Serial != heldSerial || !form.Fixed || !form.field("org.name").Locked || form.field("org.name").Value == "" {
		t.Errorf("form %+v", form)
	}
	opening := w.clock.now().In(order.Shanghai).AddDate(0, 0, 3).Format("2006-01-02T15:04")
	m.ok(http.MethodPost, path+"/form", map[string]any{"fields": map[string]string{"about.bid": "yes", "about.bid_opening": opening, "org.name": "另一家公司"}}, &form)
	if form.Bid == nil || !form.Bid.Wait || form.field("org.name").Value == "另一家公司" {
		t.Errorf("bid %+v", form.Bid)
	}
	m.ok(http.MethodPost, path+"/remind", nil, nil)
	m.ok(http.MethodPost, path+"/form", map[string]any{"fields": map[string]string{"about.bid": "no"}, "check": true}, &form)
	if !form.Complete || form.Bid != nil {
		t.Errorf("not complete: %+v", form)
	}
	var texts AgreementsJSON
	m.ok(http.MethodGet, "/agreements", nil, &texts)
	w.clock.advance(2 * time.Minute)
	m.ok(http.MethodPost, path+"/code", map[string]any{}, nil)
	var placed PlacedJSON
	m.ok(http.MethodPost, path+"/confirm", map[string]string{"code": w.code(agentMobile), "agreements": texts.Hash, "offer": w.order(path).Hash()}, &placed)
	if placed.Order.Status != string(order.InReview) { // F61
		t.Errorf("placed %+v", placed.Order)
	}
}

// The bound user's freeze is taken back in the mini-program, once it is approved.
func TestRestoreThroughTheAPI(t *testing.T) {
	w := newWeb(t)
	b := w.holder()
	m := w.mini("m1", "").login(agentMobile)
	m.ok(http.MethodPost, "/certificates/"+heldSerial+"/freeze/code", nil, nil)
	m.ok(http.MethodPost, "/certificates/"+heldSerial+"/freeze", map[string]string{"code": w.code(agentMobile)}, nil)
	w.clock.advance(2 * time.Minute)
	b.login(agentMobile)
	w.clock.advance(2 * time.Minute)
	path := strings.TrimSuffix(b.post("/orders", begin(heldSerial, order.Resume)).location(), "/edit")
	if a := m.call(http.MethodPost, path+"/restore/code", nil, nil); a.Status != http.StatusConflict {
		t.Errorf("before the approval: %d %s", a.Status, a.Body)
	}
	b.submitted(path+"/edit", url.Values{})
	b.approved(path)
	m.begin()
	var o OrderJSON
	m.ok(http.MethodGet, path, nil, &o)
	if o.Action != "restore" {
		t.Fatalf("approved: %+v", o)
	}
	m.ok(http.MethodPost, path+"/restore/code", nil, nil)
	if a := m.call(http.MethodPost, path+"/restore", map[string]string{"code": "000000"}, nil); a.Status != http.StatusUnprocessableEntity {
		t.Errorf("a wrong code: %d", a.Status)
	}
	for range 2 { // the answer was lost
		m.ok(http.MethodPost, path+"/restore", map[string]string{"code": w.code(agentMobile)}, &o)
	}
	if w.held().State() != certificate.Valid || o.Status != string(order.Completed) {
		t.Errorf("%s, order %s", w.held().State(), o.Status)
	}
}

// What the person was told, without a word about anybody else.
func TestMessagesThroughTheAPI(t *testing.T) {
	w := newWeb(t)
	w.browser().rejected()
	m, other := w.mini("m1", "").login(agentMobile), w.mini("m2", "").login(agentMobile2)
	var out struct{ Messages []MessageJSON }
	m.ok(http.MethodGet, "/messages", nil, &out)
	if len(out.Messages) == 0 || out.Messages[0].Title == "" || out.Messages[0].Order == "" {
		t.Errorf("messages %+v", out)
	}
	other.ok(http.MethodGet, "/messages", nil, &out)
	if len(out.Messages) != 0 {
		t.Errorf("somebody else's messages: %+v", out)
	}
}

// F41, F44: while the legal representative is waited for, the mini-program says so,
// sends the SMS again and to another mobile, as often as allowed.
func TestAuthorizationThroughTheAPI(t *testing.T) {
	w := newWeb(t)
	m := w.mini("m1", "").login(agentMobile)
	at, form := m.applied()
	m.ok(http.MethodPost, at+"/form", map[string]any{
		"fields": map[string]string{"auth.way": order.AuthMiniProgram, "legal.mobile": "13900139000", "legal.id_no": "110101199003070011"}, "check": true,
	}, &form)
	if !form.Complete {
		t.Fatalf("not complete: %+v", form)
	}
	var texts AgreementsJSON
	m.ok(http.MethodGet, "/agreements", nil, &texts)
	m.ok(http.MethodPost, at+"/code", map[string]any{}, nil)
	m.ok(http.MethodPost, at+"/confirm", map[string]string{"code": w.code(agentMobile), "agreements": texts.Hash, "offer": w.order(at).Hash()}, nil)
	var o OrderJSON
	if m.ok(http.MethodGet, at, nil, &o); o.Authorization != nil {
		t.Errorf("asked before it was paid: %+v", o.Authorization) // G8
	}
	m.ok(http.MethodPost, at+"/pay", nil, nil)
	paid := w.order(at)
	must(t, w.service.PaymentSucceeded(t.Context(), order.Receipt{Channel: order.WeChatPay, TradeNo: paid.TradeNo, TransactionID: "42" + paid.TradeNo, Amount: paid.Amount, PaidAt: w.clock.now()}))
	m.ok(http.MethodGet, at, nil, &o)
	if a := o.Authorization; a == nil || !a.Waiting || a.Mobile != "139****9000" || a.Label == "" || a.Left == 0 {
		t.Fatalf("waiting: %+v", a)
	}
	left := o.Authorization.Left
	if a := m.call(http.MethodPost, at+"/authorization/mobile", map[string]string{"mobile": "12"}, nil); a.Status != http.StatusUnprocessableEntity {
		t.Errorf("no mobile: %d", a.Status)
	}
	m.ok(http.MethodPost, at+"/authorization/mobile", map[string]string{"mobile": "13900139001"}, nil)
	m.ok(http.MethodGet, at, nil, &o)
	if a := o.Authorization; a == nil || a.Mobile != "139****9001" || a.Left != left-1 {
		t.Errorf("another mobile: %+v", a)
	}
	for range left - 1 {
		m.ok(http.MethodPost, at+"/authorization/resend", nil, nil)
	}
	if a := m.call(http.MethodPost, at+"/authorization/resend", nil, nil); a.Status != http.StatusTooManyRequests && a.Status != http.StatusConflict {
		t.Errorf("too often: %d %s", a.Status, a.Body)
	}
	// Row 13: whoever cannot be reached signs on paper, here as on the web.
	m.ok(http.MethodGet, at, nil, &o)
	if a := o.Authorization; a == nil || !a.Paper || a.Email != (w.order(at).Form.Get(order.AgentEmail) == "") {
		t.Fatalf("on paper: %+v", a)
	}
	if a := m.photo(at+"/authorization/paper", "letter.jpg", []byte("no picture"), nil); a.Status != http.StatusUnprocessableEntity {
		t.Errorf("no picture: %d %s", a.Status, a.Body)
	}
	if a := m.photo(at+"/authorization/paper", "letter.jpg", photo(t), &o); a.Status != http.StatusOK || w.order(at).Stage != order.Queued {
		t.Errorf("on paper: %d %s, the order %s", a.Status, a.Body, w.order(at).State)
	}
	if a := m.photo(at+"/authorization/paper", "letter.jpg", photo(t), nil); a.Status != http.StatusConflict {
		t.Errorf("twice: %d", a.Status)
	}
}
