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

var heldSerial = strings.Repeat("4A", 20)

// holder is a logged-in browser with an issued certificate.
func (w *web) holder() *browser {
	w.t.Helper()
	b := w.browser()
	o := w.order(b.paid())
	now := w.clock.now()
	ledger := store.NewLedger(w.db)
	is := issuance.Issue{ID: "i-1", Item: "i", SnapshotHash: bytes.Repeat([]byte{1}, 32), Profile: "company-p256", Company: o.Company, USCC: o.USCC, Years: 1, Stage: issuance.StageRequested, CreatedAt: now, UpdatedAt: now}
	_, err := ledger.OpenIssue(w.t.Context(), is)
	must(w.t, err)
	is.Stage, is.Serial, is.Issuer, is.TBS, is.Certificate = issuance.StageDone, heldSerial, issuance.P256Token, []byte("tbs"), []byte("der")
	is.NotBefore, is.NotAfter = now, now.AddDate(1, 0, 0)
	must(w.t, ledger.AdvanceIssue(w.t.Context(), issuance.StageRequested, is, nil))
	must(w.t, w.db.InTx(w.t.Context(), func(tx order.Tx) error {
		items, err := tx.Items(w.t.Context(), o.ID)
		if err != nil {
			return err
		}
		items[0].CertSerial = heldSerial
		return tx.ReplaceItems(w.t.Context(), o.ID, items)
	}))
	return b
}

func (w *web) held() certificate.Certificate {
	w.t.Helper()
	cert, err := w.db.Certificate(w.t.Context(), heldSerial)
	must(w.t, err)
	return cert
}

// code asks for a code on a page and returns it.
func (b *browser) codeFor(path string) string {
	b.t.Helper()
	b.get(path)
	if a := b.post(path+"/code", nil, "HX-Request", "true"); !strings.Contains(a.Body, "已发送") {
		b.t.Fatalf("code: %d %s", a.Status, a.Body)
	}
	return b.code(agentMobile)
}

// F102: reason, tick and a code of the bound mobile; each that is missing is
// asked for and nothing happens. A freeze can still become a revocation, which
// is for ever.
func TestFreezeAndRevokePages(t *testing.T) {
	w := newWeb(t)
	b := w.holder()
	freeze, revoke := "/certificates/"+heldSerial+"/freeze", "/certificates/"+heldSerial+"/revoke"
	if page := b.get(revoke).Body; !strings.Contains(page, "吊销后不能恢复") || strings.Contains(page, agentMobile) || strings.Contains(page, "privilegeWithdrawn") {
		t.Errorf("revocation page:\n%s", page)
	}
	draft := strings.TrimSuffix(b.post("/orders", begin(heldSerial, order.UnlockApproval)).location(), "/edit")
	leads := func() bool { return strings.Contains(b.get("/certificates").Body, draft) }
	if !leads() {
		t.Error("the card does not lead to the draft")
	}
	code := b.codeFor(freeze)
	for name, test := range map[string]struct {
		path string
		form url.Values
		says string
	}{
		"no tick":              {freeze, url.Values{"code": {code}}, "请勾选确认"},
		"wrong code":           {freeze, url.Values{"sure": {"yes"}, "code": {"000000"}}, "验证码"},
		"no reason":            {revoke, url.Values{"sure": {"yes"}, "code": {code}}, "请选择吊销原因"},
		"a freeze as reason":   {revoke, url.Values{"sure": {"yes"}, "code": {code}, "reason": {"certificateHold"}, "bid": {"none"}}, "请选择吊销原因"},
		"no word about bids":   {revoke, url.Values{"sure": {"yes"}, "code": {code}, "reason": {"superseded"}}, "尚未开标的投标文件"},
		"any word about bids":  {revoke, url.Values{"sure": {"yes"}, "code": {code}, "reason": {"superseded"}, "bid": {"maybe"}}, "尚未开标的投标文件"},
		"code for the other":   {revoke, url.Values{"sure": {"yes"}, "code": {code}, "reason": {"superseded"}, "bid": {"none"}}, "验证码"},
		"reason of staff only": {revoke, url.Values{"sure": {"yes"}, "code": {code}, "reason": {"privilegeWithdrawn"}, "bid": {"none"}}, "请选择吊销原因"},
	} {
		if a := b.post(test.path, test.form); a.Status != http.StatusUnprocessableEntity || !strings.Contains(a.Body, test.says) || w.held().State() != certificate.Valid {
			t.Errorf("%s: %d, %s\n%s", name, a.Status, w.held().State(), a.Body)
		}
	}
	if a := b.post(freeze, url.Values{"sure": {"yes"}, "code": {code}}); a.location() != "/certificates" || w.held().State() != certificate.Frozen {
		t.Fatalf("freeze: %d %s, %s", a.Status, a.location(), w.held().State())
	}
	if a := b.get(freeze); a.Status != http.StatusConflict {
		t.Errorf("freezing twice: %d", a.Status)
	}
	if leads() { // to what cannot be submitted
		t.Error("the card of a frozen certificate leads to the draft of an unlock")
	}
	code = b.codeFor(revoke)
	if page := b.get(revoke).Body; !strings.Contains(page, "将无法解密") || strings.Index(page, `name="bid"`) > strings.Index(page, `name="code"`) {
		t.Errorf("open bids are not asked about before the code:\n%s", page)
	}
	days := func(n int) string {
		return w.clock.now().In(order.Shanghai).AddDate(0, 0, n).Format("2006-01-02T15:04")
	}
	for name, test := range map[string]struct {
		bid, opening, says string
		waiting            bool
	}{
		"nothing at stake": {"none", "", "没有", false},
		"not said when":    {"open", "", "开标解密完成后再吊销", false},
		"no such moment":   {"open", "soon", "时间格式应为", false},
		"before the end":   {"open", days(3), "开标解密完成后再吊销", true},
		"opened already":   {"open", days(-1), "开标时间已过", false},
		"after the end":    {"open", days(400), "请用新证书重新生成", false},
	} {
		a := b.post(revoke+"/bid", url.Values{"bid": {test.bid}, "opening": {test.opening}}, "HX-Request", "true")
		if a.Status != http.StatusOK || !strings.Contains(a.Body, test.says) || strings.Contains(a.Body, "bid-reminder") != test.waiting || (test.bid == "open") != strings.Contains(a.Body, `name="opening"`) {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	if a := b.post(revoke+"/bid-reminder", url.Values{"bid": {"open"}, "opening": {days(400)}}); a.Status != http.StatusConflict {
		t.Errorf("a reminder after the end: %d", a.Status)
	}
	if a := b.post(revoke+"/bid-reminder", url.Values{"bid": {"open"}, "opening": {days(3)}}); a.location() != "/certificates" || w.held().State() != certificate.Frozen {
		t.Errorf("put off: %d %s, %s", a.Status, a.location(), w.held().State())
	}
	if a := b.post(revoke, url.Values{"sure": {"yes"}, "code": {code}, "reason": {"keyCompromise"}}); a.Status != http.StatusUnprocessableEntity || w.held().State() != certificate.Frozen {
		t.Errorf("without a word about bids: %d, %s", a.Status, w.held().State())
	}
	if a := b.post(revoke, url.Values{"sure": {"yes"}, "code": {code}, "reason": {"keyCompromise"}, "bid": {"open"}}); a.location() != "/certificates" {
		t.Fatalf("revoke: %d %s", a.Status, a.Body)
	}
	if got := w.held(); got.State() != certificate.Revoked || got.Reason != certificate.KeyCompromise {
		t.Errorf("%s, reason %s", got.State(), got.Reason.Name())
	}
	if page := b.get("/certificates").Body; leads() || !strings.Contains(page, "已吊销") || strings.Contains(page, "更新</") || strings.Contains(page, "更新提醒") || strings.Contains(page, "开标登记") {
		t.Errorf("the card of the revoked certificate:\n%s", page)
	}
	for _, path := range []string{freeze, revoke} {
		if a := b.post(path, url.Values{"sure": {"yes"}, "code": {code}, "reason": {"superseded"}}); a.Status != http.StatusConflict {
			t.Errorf("%s after revocation: %d", path, a.Status)
		}
	}
	if strings.Contains(w.log.String(), agentMobile) {
		t.Error("the mobile is in the log")
	}
}

// F23: somebody else's certificate answers exactly like none; without a login
// and without a CSRF token nothing happens.
func TestOthersCertificatesDoNotExist(t *testing.T) {
	w := newWeb(t)
	owner := w.holder()
	bob := w.browser()
	bob.login("13900139000")
	stranger := w.browser()
	stranger.get("/")
	form := url.Values{"sure": {"yes"}, "code": {"123456"}, "reason": {"superseded"}}
	routes := 0
	for _, r := range w.matrix {
		if !strings.HasPrefix(r.Path, "/certificates/:serial") {
			continue
		}
		routes++
		ask := func(b *browser, serial string) answer {
			path := strings.ReplaceAll(r.Path, ":serial", serial)
			if r.Method == http.MethodGet {
				return b.get(path)
			}
			return b.post(path, form)
		}
		theirs, missing := ask(bob, heldSerial), ask(bob, strings.Repeat("00", 20))
		if theirs.Status != http.StatusNotFound || theirs.Status != missing.Status || volatile.ReplaceAllString(theirs.Body, "") != volatile.ReplaceAllString(missing.Body, "") {
			t.Errorf("%s %s: %d, a missing one %d", r.Method, r.Path, theirs.Status, missing.Status)
		}
		if a := ask(stranger, heldSerial); a.Status != http.StatusUnauthorized && !strings.HasPrefix(a.location(), "/login") {
			t.Errorf("%s %s without login: %d %s", r.Method, r.Path, a.Status, a.location())
		}
		if r.Method == http.MethodPost {
			owner.csrf = "forged"
			if a := ask(owner, heldSerial); a.Status != http.StatusForbidden {
				t.Errorf("%s without its token: %d", r.Path, a.Status)
			}
		}
	}
	if routes != 23 || w.held().State() != certificate.Valid {
		t.Errorf("%d routes about a certificate, which is %s", routes, w.held().State())
	}
}

// A certificate is found, frozen and revoked by issuers and admins alone, with a
// word why; both decisions are audited and told to the holder.
func TestStaffRevokes(t *testing.T) {
	d := newDesk(t).hire()
	d.holder()
	page := "/staff/certificates/" + heldSerial
	for _, name := range []string{"李审核", "孙发货", "周财务"} {
		b := d.login(name)
		for _, a := range []answer{b.get("/staff/certificates?q=" + heldSerial), b.get(page), b.post(page, url.Values{"do": {"freeze"}, "note": {"x"}})} {
			if a.Status != http.StatusForbidden {
				t.Errorf("%s: %d, want 403", name, a.Status)
			}
		}
	}
	b := d.login("钱制证")
	if a := b.get("/staff/certificates?q=" + url.QueryEscape("云岭")); !strings.Contains(a.Body, page) {
		t.Errorf("search: %d %s", a.Status, a.Body)
	}
	if a := b.get(page); strings.Contains(a.Body, agentMobile) || strings.Contains(a.Body, "王小琪") || !strings.Contains(a.Body, heldSerial) {
		t.Errorf("page: %d %s", a.Status, a.Body)
	}
	for name, form := range map[string]url.Values{
		"no note":   {"do": {"freeze"}},
		"no tick":   {"do": {"revoke"}, "reason": {"superseded"}, "note": {"来函"}},
		"no reason": {"do": {"revoke"}, "sure": {"yes"}, "note": {"来函"}},
		"a freeze":  {"do": {"revoke"}, "sure": {"yes"}, "note": {"来函"}, "reason": {"certificateHold"}},
	} {
		if a := b.post(page, form); a.Status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d", name, a.Status)
		}
	}
	if a := b.post(page, url.Values{"do": {"resume"}, "note": {"x"}}); a.Status != http.StatusConflict || d.held().State() != certificate.Valid {
		t.Errorf("resume: %d, %s", a.Status, d.held().State())
	}
	if a := b.post(page, url.Values{"do": {"freeze"}, "note": {"来电挂失"}}); a.location() != page || d.held().State() != certificate.Frozen {
		t.Errorf("freeze: %d %s", a.Status, a.Body)
	}
	if a := b.post(page, url.Values{"do": {"resume"}, "note": {"本人来电，已找到"}}); a.location() != page || d.held().State() != certificate.Valid {
		t.Errorf("resume: %d, %s", a.Status, d.held().State())
	}
	if a := b.post(page, url.Values{"do": {"freeze"}, "note": {"来电挂失"}}); a.location() != page || d.held().State() != certificate.Frozen {
		t.Errorf("freeze: %d %s", a.Status, a.Body)
	}
	admin := d.login("吴管理")
	admin.get(page)
	if a := admin.post(page, url.Values{"do": {"revoke"}, "sure": {"yes"}, "reason": {"privilegeWithdrawn"}, "note": {"资料不实"}}); a.location() != page || d.held().State() != certificate.Revoked {
		t.Errorf("revoke: %d %s", a.Status, a.Body)
	}
	events, err := d.db.Events(t.Context(), d.held().OrderID)
	must(t, err)
	last := events[len(events)-1]
	if last.Event != order.CertificateRevoked || last.ActorID != d.staff["吴管理"].ID || !strings.Contains(last.Note, "资料不实") {
		t.Errorf("history ends with %+v", last)
	}
}
