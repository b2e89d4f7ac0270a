package handlers

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"maps"
	"math/big"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

const borrower = "赵大山"

// certificateOf is a certificate of another CA, DER.
func certificateOf(t testing.TB, ends time.Time) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	subject := pkix.Name{CommonName: "云岭投标专用章", Organization: []string{"云岭测试公司"}, Country: []string{"CN"}}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(0xA1B2), Subject: subject, NotBefore: ends.AddDate(-1, 0, 0), NotAfter: ends},
		&x509.Certificate{Subject: pkix.Name{CommonName: "某省根", Organization: []string{"某省数字证书认证中心"}}}, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// beside reports whether a page says beside a field, and only there, what is wrong.
func beside(page, field string) bool {
	return strings.Count(page, `aria-invalid="true"`) == 1 && strings.Contains(page, `aria-describedby="`+field+`-fault"`) && strings.Contains(page, `href="#`+field+`"`)
}

// A person sees who has his USBKEY, lends it, gets it back and exports the log; nobody
// else sees or changes it, and nobody's name is in the log of the process.
func TestWhoHasTheUSBKEY(t *testing.T) {
	w := newWeb(t)
	b := w.holder()
	const token = "TW11782207000008"
	must(t, w.db.InTx(t.Context(), func(tx order.Tx) error {
		items, err := tx.Items(t.Context(), w.held().OrderID)
		if err != nil {
			return err
		}
		items[0].TokenSerial = token
		return tx.ReplaceItems(t.Context(), w.held().OrderID, items)
	}))
	page := "/cabinet/" + token
	day := func(days int) string {
		return w.clock.now().In(order.Shanghai).AddDate(0, 0, days).Format(time.DateOnly)
	}
	good := func() url.Values {
		return url.Values{"borrower": {borrower}, "department": {"=工程部"}, "purpose": {"三期风电投标"}, "due": {day(9)}}
	}
	wantIn(t, "the card", b.get("/certificates").Body, `href="`+page+`"`)
	wantIn(t, "an empty log", b.get(page).Body, "还没有归还过的记录", token)
	for name, test := range map[string]struct{ field, typed string }{
		"to nobody":   {"borrower", ""},
		"to a number": {"borrower", "13800138000"},
		"for nothing": {"purpose", ""},
		"no day":      {"due", "soon"},
		"yesterday":   {"due", day(-1)},
	} {
		form := good()
		form.Set(test.field, test.typed)
		if a := b.post(page+"/lend", form); a.Status != http.StatusUnprocessableEntity || !beside(a.Body, test.field) || !strings.Contains(a.Body, `value="`+form.Get("borrower")) {
			t.Errorf("%s: %d", name, a.Status)
		}
	}
	b.mustPost(page+"/lend", good(), page)
	wantIn(t, "the page", b.get(page).Body, borrower, "=工程部", "应于 12月2日 归还", "登记归还")
	wantIn(t, "the card", b.get("/certificates").Body, "借出", borrower, "应于 12月2日 归还", "lamp yellow")
	if a := b.post(page+"/lend", good()); a.Status != http.StatusUnprocessableEntity || !strings.Contains(a.Body, "已登记借出") {
		t.Errorf("lent twice: %d", a.Status)
	}
	openings := "/certificates/" + heldSerial + "/openings"
	b.mustPost(openings, url.Values{"opening": {order.TypedMoment(w.clock.now().AddDate(0, 0, 7))}}, openings)
	wantIn(t, "an opening before it is back", b.get("/certificates").Body, "UKEY 借出中，应于 12月2日 归还：请在开标前收回")

	loan := regexp.MustCompile(`/loans/([0-9A-Z]{26})/return`).FindStringSubmatch(b.get(page).Body)[1]
	bob := w.browser()
	bob.login(agentMobile2)
	for _, a := range []answer{bob.get(page), bob.get(page + "/log.csv"), bob.get(page + "/edit"), bob.post(page+"/lend", good()), bob.post(page+"/loans/"+loan+"/return", nil)} {
		if a.Status != http.StatusNotFound || strings.Contains(a.Body, borrower) {
			t.Errorf("somebody else: %d", a.Status)
		}
	}
	csv := b.get(page + "/log.csv")
	wantIn(t, "the table", csv.Body, "\ufeffUKEY,领用人,部门", borrower+",'=工程部,三期风电投标")
	b.mustPost(page+"/loans/"+loan+"/return", nil, page)
	wantIn(t, "given back", b.get(page).Body, "登记领用", borrower, "/loans/"+loan+"/delete")
	wantNotIn(t, "the card", b.get("/certificates").Body, borrower)
	wantIn(t, "what is kept", b.get("/me/data").Body, "/me/data/cabinet")
	b.mustPost(page+"/loans/"+loan+"/delete", nil, page)
	wantNotIn(t, "deleted", b.get(page).Body, borrower)
	if strings.Contains(w.log.String(), borrower) || strings.Contains(w.log.String(), "三期风电") {
		t.Error("the log of the process names who has it, or what for")
	}
}

// A USBKEY of another CA is typed or read from the file of its certificate, which is not
// kept; it is on the list, in the calendar and in the copy of all data, and can be
// deleted, alone or with everything.
func TestForeignTokensOnTheWeb(t *testing.T) {
	w := newWeb(t)
	b := w.browser()
	b.login(agentMobile)
	wantIn(t, "nothing yet", b.get("/certificates").Body, "/cabinet/new", "其他 CA 的 UKEY")
	der := certificateOf(t, time.Date(2027, 5, 31, 15, 59, 59, 0, time.UTC))
	for name, file := range map[string][]byte{"DER": der, "PEM": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})} {
		wantIn(t, name, b.upload("/cabinet/read", "a.cer", file).Body, `value="云岭投标专用章"`, `value="某省数字证书认证中心"`, `value="云岭测试公司"`, `value="A1B2"`, `value="2027-05-31"`, "请核对后登记")
	}
	for name, file := range map[string][]byte{"nothing": nil, "a picture": photo(t), "half": der[:len(der)/2], "too large": bytes.Repeat([]byte{'0'}, maxCertificateFile+1)} {
		if a := b.upload("/cabinet/read", "a.cer", file); a.Status != http.StatusUnprocessableEntity || !strings.Contains(a.Body, "不是可以读取的证书文件") {
			t.Errorf("%s: %d", name, a.Status)
		}
	}
	m := w.mini("m1", "").login(agentMobile)
	var read foreignForm
	if a := m.photo("/cabinet/read", "a.cer", der, &read); a.Status != http.StatusOK || read != (foreignForm{"云岭投标专用章", "某省数字证书认证中心", "云岭测试公司", "A1B2", "2027-05-31"}) {
		t.Errorf("on the phone: %d %+v", a.Status, read)
	}
	for name, file := range map[string][]byte{"a picture": photo(t), "too large": bytes.Repeat([]byte{'0'}, maxCertificateFile+1)} {
		if a := m.photo("/cabinet/read", "a.cer", file, nil); a.Status != http.StatusUnprocessableEntity || !about(t, a, "file") {
			t.Errorf("%s on the phone: %d %s", name, a.Status, a.Body)
		}
	}
	if a := m.call(http.MethodPost, "/cabinet/read", map[string]string{}, nil); a.Status != http.StatusUnprocessableEntity || !about(t, a, "file") {
		t.Errorf("no file on the phone: %d %s", a.Status, a.Body)
	}
	form := url.Values{"label": {"省交易中心 CA 锁"}, "issuer": {"某省 CA"}, "ends": {"2027-05-31"}}
	for name, test := range map[string]struct{ field, typed string }{"no day": {"ends", "later"}, "no name": {"label", ""}, "over": {"ends", "2026-11-22"}} {
		wrong := maps.Clone(form)
		wrong.Set(test.field, test.typed)
		if a := b.post("/cabinet/new", wrong); a.Status != http.StatusUnprocessableEntity || !beside(a.Body, test.field) {
			t.Errorf("%s: %d", name, a.Status)
		}
	}
	b.mustPost("/cabinet/new", form, "/certificates")
	list := b.get("/certificates").Body
	wantIn(t, "the list", list, "省交易中心CA锁", "某省CA", "2027/05/31", "/certificates/calendar")
	page := regexp.MustCompile(`/cabinet/[0-9A-Z]{26}`).FindString(list)
	wantIn(t, "the calendar", b.get("/certificates/calendar").Body, "证书到期：省交易中心CA锁", "20270531")
	wantIn(t, "the form", b.get(page+"/edit").Body, `value="2027-05-31"`)
	form.Set("number", "0088")
	b.mustPost(page+"/edit", form, "/certificates")
	wantIn(t, "changed", b.get("/certificates").Body, "0088")
	b.mustPost(page+"/lend", url.Values{"borrower": {borrower}, "purpose": {"投标"}, "due": {"2026-11-24"}}, page)
	w.clock.advance(72 * time.Hour)
	b.login(agentMobile)
	wantIn(t, "overdue", b.get("/certificates").Body, "lamp red", "已超过 2 天")
	bob := w.browser()
	bob.login(agentMobile2)
	for _, a := range []answer{bob.get(page + "/edit"), bob.post(page+"/edit", form), bob.post(page+"/delete", nil)} {
		if a.Status != http.StatusNotFound {
			t.Errorf("somebody else: %d", a.Status)
		}
	}
	b.mustPost(page+"/delete", nil, "/certificates")
	if a := b.get(page); a.Status != http.StatusNotFound {
		t.Errorf("deleted: %d", a.Status)
	}

	b.mustPost("/cabinet/new", form, "/certificates")
	const all = "/me/data/cabinet"
	wantIn(t, "what is kept", b.get(all).Body, "省交易中心CA锁", "全部删除")
	w.clock.advance(2 * time.Minute)
	if a := b.post(all, url.Values{"sure": {"yes"}, "code": {"000000"}}); a.Status != http.StatusUnprocessableEntity {
		t.Errorf("without a code: %d", a.Status)
	}
	b.mustPost(all, url.Values{"sure": {"yes"}, "code": {b.codeFor(all)}}, "/me/data")
	wantIn(t, "nothing is left", b.get(all).Body, "没有登记过什么")
}

// FuzzReadCertificate: whatever file somebody sends is a USBKEY whose texts fit or an
// error, never a panic.
func FuzzReadCertificate(f *testing.F) {
	f.Add(certificateOf(f, time.Date(2027, 5, 31, 15, 59, 59, 0, time.UTC)))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		got, err := readCertificate(file)
		if _, known := order.AsError(err); err != nil && !known {
			t.Errorf("not an error of ours: %v", err)
		}
		for _, text := range []string{got.Label, got.Issuer, got.Holder} {
			if len([]rune(text)) > 60 {
				t.Errorf("%q does not fit", text)
			}
		}
	})
}

// What somebody typed is no formula in a spreadsheet, in whatever width.
func TestInert(t *testing.T) {
	for typed, want := range map[string]string{"=1+1": "'=1+1", "＝1+1": "'＝1+1", "＠SUM(A1)": "'＠SUM(A1)", "\n=1": "'\n=1", "-1": "'-1", "工程部": "工程部", "": ""} {
		if got := inert(typed); got != want {
			t.Errorf("inert(%q) = %q, want %q", typed, got, want)
		}
	}
}
