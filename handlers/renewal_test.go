package handlers

import (
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

// begin is what the button of a certificate's card sends.
func begin(serial string, b order.Business) url.Values {
	return url.Values{"certificate": {serial}, "business": {string(b)}}
}

// later moves the clock and logs the applicant in again.
func (b *browser) later(d time.Duration) {
	b.t.Helper()
	b.clock.advance(d)
	b.login(agentMobile)
	b.clock.advance(2 * time.Minute) // until the next code may be sent
}

// portalPage compares a page of the portal with its file, without what differs
// from run to run.
func portalPage(t *testing.T, name, page string) {
	t.Helper()
	for _, s := range secrets {
		page = s.find.ReplaceAllString(page, s.put)
	}
	golden(t, name+".html", page)
}

// F64–F73, F98, F103: from the card to 待审核. The button appears when the window
// opens, a second click finds the first order, what is known is not typed again.
func TestRenewalPages(t *testing.T) {
	w := newWeb(t)
	b := w.holder()
	pages := map[string]answer{"certificates-early": b.get("/certificates")}
	if page := pages["certificates-early"].Body; strings.Contains(page, `value="renewal"`) || !strings.Contains(page, "2027-10-25 起可以更新") || !strings.Contains(page, "138****8000") {
		t.Errorf("a year before its end:\n%s", page)
	}
	if a := b.post("/orders", begin(heldSerial, order.Renewal)); a.Status != http.StatusConflict {
		t.Errorf("renewal a year early: %d %s", a.Status, a.Body)
	}
	b.later(350 * 24 * time.Hour)
	pages["certificates-renewable"] = b.get("/certificates")
	if page := pages["certificates-renewable"].Body; !strings.Contains(page, "/offers/renewal") || !strings.Contains(page, "即将过期") {
		t.Errorf("15 days before its end:\n%s", page)
	}
	bob := w.browser()
	bob.login("13900139000")
	if a := bob.post("/orders", begin(heldSerial, order.Renewal)); a.Status != http.StatusNotFound { // F23
		t.Errorf("somebody else: %d", a.Status)
	}
	if a := w.browser().post("/orders", begin(heldSerial, order.Renewal)); a.Status == http.StatusSeeOther && strings.HasPrefix(a.location(), "/orders") {
		t.Errorf("without a login: %d %s", a.Status, a.location())
	}

	edit := b.post("/orders", begin(heldSerial, order.Renewal)).location()
	path := strings.TrimSuffix(edit, "/edit")
	if again := b.post("/orders", begin(heldSerial, order.Renewal)).location(); again != edit { // F72
		t.Errorf("the second click leads to %s, not %s", again, edit)
	}
	pages["edit-renewal"] = b.get(edit)
	page := pages["edit-renewal"].Body
	if !strings.Contains(page, `value="138`) || strings.Count(page, " readonly") != 3 || !strings.Contains(page, "之前的授权书仍然有效") || strings.Contains(page, `name="ship.name"`) || strings.Contains(page, `name="quantity"`) {
		t.Errorf("the form:\n%s", page)
	}
	first, own := w.order(string(w.held().OrderID)), w.order(path)
	for _, f := range []order.Field{order.IDFront, order.IDBack} { // F67: pictures of its own
		if own.Form.Get(f) == "" || own.Form.Get(f) == first.Form.Get(f) {
			t.Errorf("%s is %q", f, own.Form.Get(f))
		}
	}

	// The bid question, and putting the renewal off.
	opening := b.clock.now().In(order.Shanghai).AddDate(0, 0, 3).Format("2006-01-02T15:04")
	form := url.Values{"about.bid": {"yes"}, "about.bid_opening": {opening}, "do": {"auto"}}
	if a := b.post(path+"/form", form, "HX-Request", "true", "X-Changed", "about.bid_opening"); !strings.Contains(a.Body, "建议开标后再更新") {
		t.Errorf("advice: %s", a.Body)
	}
	pages["edit-renewal-bid"] = b.get(edit)
	if a := b.post(path+"/bid-reminder", nil); a.location() != path {
		t.Errorf("reminder: %d %s", a.Status, a.Body)
	}

	// A new legal representative needs a new letter; the old one does not.
	if a := b.post(path+"/form", url.Values{"legal.name": {"张新"}, "do": {"auto"}}, "HX-Request", "true", "X-Changed", "legal.name"); !strings.Contains(a.Body, "盖章授权书") {
		t.Errorf("a new legal representative: %s", a.Body)
	}
	if a := b.post(path+"/form", url.Values{"legal.name": {"张新"}, "do": {"submit"}}); a.Status != http.StatusUnprocessableEntity || !strings.Contains(a.Body, "请上传盖章授权书") {
		t.Errorf("submitted without a letter: %d", a.Status)
	}
	form = url.Values{"legal.name": {first.Form.Get(order.LegalName)}, "about.bid": {"no"}, "do": {"submit"}}
	if a := b.post(path+"/form", form); a.Status != http.StatusUnprocessableEntity || !strings.Contains(faultsIn(a.Body), `href="#agree"`) { // F52: on the form
		t.Errorf("submitted without the tick: %d %s", a.Status, faultsIn(a.Body))
	}
	form.Set("agree", "yes")
	confirm := b.post(path+"/form", form)
	if confirm.location() != path+"/confirm?agreed=yes" {
		t.Fatalf("submit: %d %s", confirm.Status, faultsIn(confirm.Body))
	}
	pages["confirm-renewal"] = b.get(confirm.location())
	b.post(path+"/code", nil, "HX-Request", "true")
	if a := b.post(path+"/confirm", b.agreeing(path, b.code(agentMobile))); a.location() != path { // F61
		t.Fatalf("confirm: %d %s", a.Status, a.Body)
	}
	if o := w.order(path); o.Stage != order.Queued || o.No == "" {
		t.Errorf("confirmed: %s", o.State)
	}
	pages["order-renewal"] = b.get(path)
	if page := b.get("/certificates").Body; !strings.Contains(page, "继续更新") || !strings.Contains(page, `href="`+path+`"`) {
		t.Errorf("the card does not lead to the open order:\n%s", page)
	}
	for name, a := range pages {
		if a.Status != http.StatusOK {
			t.Errorf("%s: %d", name, a.Status)
		}
		portalPage(t, name, a.Body)
	}
}

// Row 34: a refused order that cost nothing can be given up, and the certificate
// is free for a new one.
func TestCloseRefusedRenewal(t *testing.T) {
	w := newWeb(t)
	b := w.holder()
	b.later(350 * 24 * time.Hour)
	path := strings.TrimSuffix(b.post("/orders", begin(heldSerial, order.Renewal)).location(), "/edit")
	b.post(path+"/form", url.Values{"about.bid": {"no"}, "agree": {"yes"}, "do": {"submit"}})
	b.post(path+"/code", nil, "HX-Request", "true")
	b.post(path+"/confirm", b.agreeing(path, b.code(agentMobile)))
	if a := b.post(path+"/close", nil); a.Status != http.StatusConflict {
		t.Errorf("closed in review: %d", a.Status)
	}
	staff := order.Actor{Role: order.Reviewer, StaffID: "S1", Channel: order.Internal}
	for _, c := range []order.Command{{On: order.Claim, By: staff}, {On: order.Reject, By: staff, Reasons: []order.Reason{{Code: "R10"}}}} {
		_, err := w.service.Apply(t.Context(), w.order(path).ID, c)
		must(t, err)
	}
	if page := b.get(path).Body; !strings.Contains(page, "关闭订单") || !strings.Contains(page, "立即修改") {
		t.Errorf("the refused order:\n%s", page)
	}
	if a := b.post(path+"/close", nil); a.location() != path || w.order(path).Stage != order.Closed {
		t.Fatalf("close: %d, %s", a.Status, w.order(path).State)
	}
	if again := b.post("/orders", begin(heldSerial, order.Renewal)).location(); again == path+"/edit" || !strings.HasSuffix(again, "/edit") {
		t.Errorf("a new renewal leads to %s", again)
	}
}

// approved takes an order in review to its approval, past the staff's pages.
func (b *browser) approved(path string) {
	b.t.Helper()
	id := b.order(path).ID
	must(b.t, b.service.RecordRealName(b.t.Context(), id, b.order(path).Submission, order.RealNameMatch))
	var staff order.Actor
	must(b.t, b.db.InTx(b.t.Context(), func(tx order.Tx) error {
		p, err := tx.PersonByMobile(b.t.Context(), order.Person{ID: newID(), Mobile: identity.NewMobile("13800000011"), CreatedAt: b.clock.now()})
		if err != nil {
			return err
		}
		m, err := tx.StaffByPerson(b.t.Context(), p.ID)
		if errors.Is(err, order.NotFound) {
			m = order.Staff{ID: newID(), PersonID: p.ID, Name: "李审核", Roles: []order.Role{order.Reviewer}, CreatedAt: b.clock.now()}
			err = tx.SaveStaff(b.t.Context(), m)
		}
		staff = m.Actor(order.Reviewer, order.Web, "127.0.0.1")
		return err
	}))
	for _, c := range []order.Command{{On: order.Claim, By: staff}, {On: order.Approve, By: staff, Snapshot: b.order(path).Snapshot, Ticks: order.Ticks}} {
		_, err := b.service.Apply(b.t.Context(), id, c)
		must(b.t, err)
	}
}

// submitted fills in what a form about a certificate still asks for and confirms it.
func (b *browser) submitted(edit string, form url.Values) string {
	b.t.Helper()
	path := strings.TrimSuffix(edit, "/edit")
	form.Set("do", "submit")
	form.Set("agree", "yes")
	if a := b.post(path+"/form", form); !strings.HasPrefix(a.location(), path+"/confirm") {
		b.t.Fatalf("submit: %d %s", a.Status, faultsIn(a.Body))
	}
	b.clock.advance(2 * time.Minute)
	b.post(path+"/code", nil, "HX-Request", "true")
	if a := b.post(path+"/confirm", b.agreeing(path, b.code(agentMobile))); !strings.HasPrefix(a.location(), path) {
		b.t.Fatalf("confirm: %d %s", a.Status, a.Body)
	}
	return path
}

// Row 33: whoever holds a certificate since a rejected application about it finds his own
// mobile on the form, and what that makes necessary; he need not prove it once more.
func TestRejectedRenewalOfANewHolder(t *testing.T) {
	w := newWeb(t)
	b := w.holder()
	b.later(350 * 24 * time.Hour)
	path := strings.TrimSuffix(b.post("/orders", begin(heldSerial, order.Renewal)).location(), "/edit")
	b.submitted(path+"/edit", url.Values{"about.bid": {"no"}})
	staff := order.Actor{Role: order.Reviewer, StaffID: "S1", Channel: order.Internal}
	for _, c := range []order.Command{{On: order.Claim, By: staff}, {On: order.Reject, By: staff, Reasons: []order.Reason{{Code: "R06"}}}} {
		_, err := w.service.Apply(t.Context(), w.order(path).ID, c)
		must(t, err)
	}
	heir := w.browser()
	heir.login(agentMobile2)
	was := w.held()
	must(t, w.db.InTx(t.Context(), func(tx order.Tx) error {
		p, err := tx.PersonByMobile(t.Context(), order.Person{ID: newID(), Mobile: identity.NewMobile(agentMobile2), CreatedAt: w.clock.now()})
		if err != nil {
			return err
		}
		return tx.(certificate.Tx).SetHolder(t.Context(), was, p.ID, w.clock.now())
	}))

	edit := heir.get(path + "/edit").Body
	wantIn(t, "the form", edit, `value="`+agentMobile2+`"`, `name="auth.way"`, path+"/letter.pdf")
	wantNotIn(t, "the form", edit, agentMobile)
	m := w.mini("m1", "").login(agentMobile2)
	var form FormJSON
	m.ok(http.MethodGet, path+"/form", nil, &form)
	if f := form.field("agent.mobile"); form.NeedsCode || f.Value != agentMobile2 || !f.Locked || form.field("letter").Name == "" {
		t.Errorf("over the API: needs a code %t, %+v", form.NeedsCode, f)
	}
	m.ok(http.MethodPost, path+"/form", map[string]any{"fields": map[string]string{}, "check": true}, &form)
	if form.Complete || form.field("letter").Fault == "" {
		t.Errorf("checked without a letter: %+v", form.field("letter"))
	}
	send := url.Values{"do": {"submit"}, "about.bid": {"no"}, "agent.mobile": {agentMobile2}}
	a := heir.post(path+"/form", send)
	if a.Status != http.StatusUnprocessableEntity || !strings.Contains(faultsIn(a.Body), "请上传盖章授权书") {
		t.Errorf("without a letter: %d %s", a.Status, faultsIn(a.Body))
	}
	for _, f := range []string{"license", "letter"} {
		up := heir.upload(path+"/pictures/"+f, f+".jpg", photo(t))
		send.Set(f, regexp.MustCompile(`name="` + f + `" value="([^"]+)"`).FindStringSubmatch(up.Body)[1])
	}
	send.Set("org.industry", "I")
	if a := heir.post(path+"/form", send); a.location() != path {
		t.Fatalf("resubmit: %d %s", a.Status, faultsIn(a.Body))
	}
	if o := w.order(path); o.Stage != order.Queued || o.Form.Get(order.AgentMobile) != agentMobile2 {
		t.Errorf("resubmitted: %s", o.State)
	}
}

// Row 44: a frozen certificate is put back by a code of the bound mobile, once it
// is approved.
func TestResumePages(t *testing.T) {
	w := newWeb(t)
	b := w.holder()
	if page := b.get("/certificates").Body; strings.Contains(page, `value="resume"`) {
		t.Error("a valid certificate is offered to be resumed")
	}
	freeze := "/certificates/" + heldSerial + "/freeze"
	b.post(freeze, url.Values{"sure": {"yes"}, "code": {b.codeFor(freeze)}})
	pages := map[string]answer{"certificates-frozen": b.get("/certificates")}
	if page := pages["certificates-frozen"].Body; !strings.Contains(page, `value="resume"`) || !strings.Contains(page, "已冻结") || strings.Contains(page, `value="renewal"`) {
		t.Errorf("the card:\n%s", page)
	}
	b.clock.advance(2 * time.Minute)
	path := b.submitted(b.post("/orders", begin(heldSerial, order.Resume)).location(), url.Values{})
	restore := path + "/restore"
	if a := b.get(restore); a.Status != http.StatusConflict {
		t.Errorf("before the approval: %d", a.Status)
	}
	b.approved(path)
	pages["order-resume"], pages["restore"] = b.get(path), b.get(restore)
	if page := pages["order-resume"].Body; !strings.Contains(page, `href="`+restore+`"`) {
		t.Errorf("no way to resume:\n%s", page)
	}
	b.clock.advance(2 * time.Minute)
	code := b.codeFor(restore)
	if a := b.post(restore, url.Values{"code": {"000000"}}); a.Status != http.StatusUnprocessableEntity || w.held().State() != certificate.Frozen {
		t.Errorf("a wrong code: %d, %s", a.Status, w.held().State())
	}
	if a := b.post(restore, url.Values{"code": {code}}); a.location() != path || w.held().State() != certificate.Valid || w.order(path).Status != order.Completed {
		t.Fatalf("restore: %d, %s, %s", a.Status, w.held().State(), w.order(path).State)
	}
	for name, a := range map[string]answer{"sent again": b.post(restore, url.Values{"code": {code}}), "opened again": b.get(restore)} { // the answer was lost
		if a.location() != path {
			t.Errorf("restored, %s: %d %s", name, a.Status, a.Body)
		}
	}
	for name, a := range pages {
		portalPage(t, name, a.Body)
	}
}

// Rows 3, 30, 47: a replacement freezes the key, costs money, goes to an address
// that may still change.
func TestReissuePages(t *testing.T) {
	w := newWeb(t)
	b := w.holder()
	edit := b.post("/orders", begin(heldSerial, order.Reissue)).location()
	pages := map[string]answer{"edit-reissue": b.get(edit)}
	if a := b.post(strings.TrimSuffix(edit, "/edit")+"/form", url.Values{"do": {"submit"}}); a.Status != http.StatusUnprocessableEntity || !strings.Contains(a.Body, "请选择补办原因") {
		t.Errorf("without a cause: %d", a.Status)
	}
	b.clock.advance(2 * time.Minute)
	path := b.submitted(edit, url.Values{"about.cause": {"lost"}})
	if got := w.held().State(); got != certificate.Frozen || w.order(path).Status != order.AwaitingPayment {
		t.Errorf("confirmed: %s, the certificate is %s", w.order(path).State, got)
	}
	b.get(path + "/pay")
	b.post(path+"/pay", nil)
	o := w.order(path)
	must(t, w.service.PaymentSucceeded(t.Context(), order.Receipt{Channel: order.WeChatPay, TradeNo: o.TradeNo, TransactionID: "42" + o.TradeNo, Amount: o.Amount, PaidAt: w.clock.now()}))
	pages["order-reissue"], pages["delivery"] = b.get(path), b.get(path+"/delivery")
	bad := url.Values{"ship.name": {"赵大山"}, "ship.mobile": {"123"}, "do": {"submit"}}
	if a := b.post(path+"/delivery", bad); a.Status != http.StatusUnprocessableEntity || w.order(path).Form.Get(order.ShipName) == "赵大山" {
		t.Errorf("a bad mobile: %d", a.Status)
	}
	bad.Set("ship.mobile", "13900139000")
	if a := b.post(path+"/delivery", bad); a.location() != path || w.order(path).Form.Get(order.ShipName) != "赵大山" {
		t.Errorf("another recipient: %d %s", a.Status, faultsIn(a.Body))
	}
	b.approved(path)
	if got := w.held(); got.State() != certificate.Revoked || got.Reason != certificate.Superseded {
		t.Errorf("approved: the certificate is %s", got.State())
	}
	for name, a := range pages {
		portalPage(t, name, a.Body)
	}
}

// F9: where a project sells two kinds of renewal, the applicant chooses.
func TestOffersPage(t *testing.T) {
	w := newWeb(t)
	b := w.holder()
	b.later(350 * 24 * time.Hour)
	at := "/certificates/" + heldSerial + "/offers/renewal"
	if page := b.get("/certificates").Body; !strings.Contains(page, `href="`+at+`"`) {
		t.Errorf("the card:\n%s", page)
	}
	page := b.get(at)
	portalPage(t, "offers", page.Body)
	if page := b.get("/certificates/" + heldSerial + "/offers/reissue").Body; !strings.Contains(page, "制作一把新的 UKEY 寄给您，原证书同时吊销") || !strings.Contains(page, "下载新证书，不寄送，原证书同时吊销") {
		t.Errorf("the two ways of a replacement (G27):\n%s", page)
	}
	form := begin(heldSerial, order.Renewal)
	form.Set("product", "yd-renewal-key")
	edit := b.post("/orders", form).location()
	path := strings.TrimSuffix(edit, "/edit")
	if o := w.order(path); o.Product.Code != "yd-renewal-key" || o.Amount != 20000 {
		t.Errorf("chosen: %s, %d fen", o.Product.Code, o.Amount)
	}
	if page := b.get(edit).Body; !strings.Contains(page, `<select id="term-0" name="term">`) || strings.Contains(page, `name="quantity"`) { // F5, F7: a price per year, and the years that are offered
		t.Errorf("the form of a renewal for one to three years:\n%s", page)
	}
	b.post(path+"/form", url.Values{"do": {"auto"}, "term": {"3"}}, "HX-Request", "true", "X-Changed", "term")
	if o := w.order(path); o.Product.Term != 3 || o.Amount != 60000 {
		t.Errorf("for three years: %d, %d fen", o.Product.Term, o.Amount)
	}
	if a := b.get("/certificates/" + heldSerial + "/offers/initial"); a.Status == http.StatusInternalServerError {
		t.Errorf("a business without a certificate: %d", a.Status)
	}
}

// A certificate is offered the renewal of its own algorithm, so that its key pair can
// be kept; of a kind that the project has in another algorithm only, that one.
func TestRenewalStaysWithTheAlgorithm(t *testing.T) {
	w := newWeb(t)
	for algorithm, want := range map[order.Algorithm]string{order.P256: "yd-renewal yd-renewal-key", order.RSA2048: "yd-renewal-rsa yd-renewal-key"} {
		cert := certificate.Certificate{Product: order.Product{Project: "ydnyCA7m2k", Algorithm: algorithm}}
		var codes []string
		for _, p := range w.productsFor(cert, order.Renewal) {
			codes = append(codes, p.Code)
		}
		if got := strings.Join(codes, " "); got != want {
			t.Errorf("%s is offered %s, want %s", algorithm, got, want)
		}
		if p, err := w.productFor(cert, order.Resume, ""); err != nil || p.Code != "yd-resume" {
			t.Errorf("%s: resumed by %s, %v", algorithm, p.Code, err)
		}
	}
}

// F66, F103: what the card says of a certificate that is renewed already, or was frozen
// until it expired.
func TestCardNotes(t *testing.T) {
	now := time.Date(2026, 11, 23, 4, 0, 0, 0, time.UTC)
	late := certificate.Certificate{NotAfter: now.AddDate(0, 0, -95)}
	frozen := certificate.Certificate{NotAfter: now.AddDate(0, 0, -1), RevokedAt: now.AddDate(0, 0, -9), Reason: certificate.Hold}
	for _, test := range []struct {
		cert     certificate.Certificate
		renewing bool
		want     string
	}{
		{late, false, "已超过更新期限"},
		{late, true, "更新正在办理"},
		{certificate.Certificate{NotAfter: now.Add(time.Hour)}, false, "今天到期，请马上更新"},
		{certificate.Certificate{NotAfter: now.AddDate(0, 0, -1)}, false, "仍可更新至"},
		{frozen, false, "不能恢复"},
		{certificate.Certificate{NotAfter: now.AddDate(0, 0, 9), TokenSerial: "TW1", SupersededBy: "02", NewToken: "TW1"}, false, "替代，请使用新证书"},
		{certificate.Certificate{NotAfter: now.AddDate(0, 0, 9), TokenSerial: "TW1", SupersededBy: "02", NewToken: "TW2"}, false, "收到新 UKEY 后"},
		{certificate.Certificate{NotAfter: now.AddDate(0, 0, 9), TokenSerial: "TW1", SupersededBy: "02", NewToken: "TW2", NewKeyLost: true}, false, "这张仍可使用"},
		{certificate.Certificate{NotAfter: now.AddDate(0, 0, -9), TokenSerial: "TW1", SupersededBy: "02", NewToken: "TW2", NewKeyLost: true}, false, "请使用补办的证书"},
	} {
		if got := cardNote(test.cert, test.renewing, now); !strings.Contains(got, test.want) {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}

// Row 63: the order of a certificate that was frozen meanwhile says so, and leads to where
// the freeze is taken back.
func TestOrderOfAFrozenCertificate(t *testing.T) {
	w := newWeb(t)
	b := w.holder()
	b.later(350 * 24 * time.Hour)
	path := b.submitted(b.post("/orders", begin(heldSerial, order.Renewal)).location(), url.Values{"about.bid": {"no"}})
	const says = "证书已冻结，请先恢复。"
	wantNotIn(t, "before", b.get(path).Body, says)
	told := func() string {
		t.Helper()
		var o OrderJSON
		w.mini("m1", "").login(agentMobile).ok(http.MethodGet, path, nil, &o)
		return o.Obstacle
	}
	if got := told(); got != "" {
		t.Errorf("before, over the API: %q", got)
	}
	b.clock.advance(2 * time.Minute)
	freeze := "/certificates/" + heldSerial + "/freeze"
	b.post(freeze, url.Values{"sure": {"yes"}, "code": {b.codeFor(freeze)}})
	wantIn(t, "frozen", b.get(path).Body, says, `<a href="/certificates">我的证书</a>`)
	if got := told(); got+"。" != says {
		t.Errorf("frozen, over the API: %q", got)
	}
}
