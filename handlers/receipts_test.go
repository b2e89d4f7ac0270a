package handlers

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/evidence"
	"github.com/yuncaidun/yuncaidun/order"
)

// sealer is a seal key in memory, with a root of its own.
func (w *web) sealer(context.Context, string) (evidence.Sealer, error) {
	at := time.Now()
	issue := func(cn string, parent *x509.Certificate, by *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(w.t, err)
		tpl := &x509.Certificate{
			SerialNumber: big.NewInt(at.UnixNano()), Subject: pkix.Name{CommonName: cn}, NotBefore: at.Add(-time.Hour), NotAfter: at.Add(24 * time.Hour),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		}
		if parent == nil {
			parent, by = tpl, key
		}
		der, err := x509.CreateCertificate(rand.Reader, tpl, parent, key.Public(), by)
		must(w.t, err)
		c, err := x509.ParseCertificate(der)
		must(w.t, err)
		return c, key
	}
	root, rootKey := issue("测试根CA", nil, nil)
	seal, key := issue("测试签章", root, rootKey)
	return evidence.Sealer{Chain: []*x509.Certificate{seal, root}, Sign: func(digest []byte) ([]byte, error) { return key.Sign(rand.Reader, digest, crypto.SHA256) }}, nil
}

var (
	receiptLinks = regexp.MustCompile(`/orders/\w+/receipts/(\w+)/file`)
	printedCode  = regexp.MustCompile(`[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){4}`)
)

// receipt has b issue a receipt of an order, and returns its id, the code on its
// paper and what pdfsig says of that.
func (b *browser) receipt(page string) (id, code, sig string) {
	b.t.Helper()
	b.get(page)
	b.mustPost(page+"/receipts", nil, page+"#receipts")
	found := receiptLinks.FindStringSubmatch(b.get(page).Body)
	if found == nil {
		b.t.Fatal("the order's page has no receipt to download")
	}
	a := b.get(found[0])
	if a.Status != http.StatusOK || a.Header.Get("Content-Type") != "application/pdf" || !strings.HasPrefix(a.Header.Get("Content-Disposition"), "attachment") || !strings.Contains(a.Header.Get("Content-Security-Policy"), "sandbox") {
		b.t.Fatalf("download: %d %v", a.Status, a.Header)
	}
	file := filepath.Join(b.t.TempDir(), "receipt.pdf")
	must(b.t, os.WriteFile(file, []byte(a.Body), 0o600))
	if dir := os.Getenv("YCD_TEST_OUT"); dir != "" {
		must(b.t, os.WriteFile(filepath.Join(dir, "receipt-sealed.pdf"), []byte(a.Body), 0o600))
	}
	text, err := exec.CommandContext(b.t.Context(), "pdftotext", "-layout", file, "-").Output()
	must(b.t, err)
	said, _ := exec.CommandContext(b.t.Context(), "pdfsig", file).CombinedOutput() // its exit code says too little
	return found[1], printedCode.FindString(string(text)), string(said)
}

// Flows, idea 10: the owner issues a sealed receipt; whoever has its code sees what it
// said and how the order stands now, and nobody's personal data.
func TestReceiptOnThePortal(t *testing.T) {
	d := newDesk(t).hire()
	b := d.browser()
	page := b.paid()
	o := d.order(page)
	_, code, sig := b.receipt(page)
	wantIn(t, "pdfsig", sig, "Signature is Valid", "Total document signed", "ETSI.CAdES.detached")
	if _, ok := order.ReceiptCode(code); !ok {
		t.Fatalf("the paper's code is %q", code)
	}
	anybody := d.browser()
	look := func(what string, parts ...string) string {
		t.Helper()
		a := anybody.get("/receipts/" + code)
		wantIn(t, what, a.Body, append(parts, o.Company, o.USCC, o.No, o.Product.Name, "凭证出具时", "已受理，等待审核", code)...)
		wantNotIn(t, what, a.Body, "王小琪", agentMobile, "138****8000", "李明", "11010519491231002X", "TW0000", "no value", "&lt;")
		if a.Status != http.StatusOK || !strings.Contains(a.Header.Get("X-Robots-Tag"), "noindex") || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v", what, a.Status, a.Header)
		}
		return a.Body
	}
	now := look("as issued", "正在办理", "尚未签发")
	wantNotIn(t, "as issued", now, "情况已有变化")
	if a := anybody.get("/receipts?code=" + url.QueryEscape(strings.ToLower(code))); a.location() != "/receipts/"+strings.ReplaceAll(code, "-", "") {
		t.Errorf("typed: %d %s", a.Status, a.location())
	}

	must(t, d.service.RecordRealName(t.Context(), o.ID, o.Submission, order.RealNameMatch))
	d.made(d.read(o.ID))
	look("made", "情况已有变化", "已制证，等待寄出")
	d.apply(o.ID, order.Command{On: order.Ship, By: d.staff["孙发货"].Actor(order.Shipper, order.Web, "192.0.2.1"), Carrier: "sf", TrackingNo: "SF1234567890123"})
	wantNotIn(t, "shipped", look("shipped", "已制证，UKEY 已寄出"), "SF1234567890123")
}

// An order that is refused or paid back is said to be so, plainly.
func TestReceiptOfARefusedOrder(t *testing.T) {
	d := newDesk(t).hire()
	b := d.browser()
	page := b.paid()
	o := d.order(page)
	_, code, _ := b.receipt(page)
	by := d.staff["李审核"].Actor(order.Reviewer, order.Web, "192.0.2.1")
	d.apply(o.ID, order.Command{On: order.Claim, By: by})
	d.apply(o.ID, order.Command{On: order.Reject, By: by, Reasons: []order.Reason{{Code: "R20", Note: "请补盖骑缝章"}}})
	a := d.browser().get("/receipts/" + code)
	wantIn(t, "rejected", a.Body, "审核未通过，等待补正材料", "情况已有变化", `badge warn">审核未通过`)
	wantNotIn(t, "rejected", a.Body, "骑缝章")
	d.apply(o.ID, order.Command{On: order.RefundStart, By: order.Actor{Role: order.Finance, StaffID: "F1", Channel: order.Web}, Note: "不办了"})
	wantIn(t, "paid back", d.browser().get("/receipts/"+code).Body, "正在退款，不再办理", `badge bad">不再办理`)
	if a := b.get(page); strings.Contains(a.Body, "出具进度凭证</button>") {
		t.Error("an order that is paid back offers a receipt")
	}
}

// A code that is none, and a receipt that was withdrawn or is over, get a sentence
// and no data; whoever tries codes is stopped, and who has one is not.
func TestReceiptThatProvesNothing(t *testing.T) {
	d := newDesk(t).hire()
	b := d.browser()
	page := b.paid()
	o := d.order(page)
	first, code, _ := b.receipt(page)
	anybody := d.browser()
	nothing := func(what string, status int, at string, sentence string) {
		t.Helper()
		a := anybody.get(at)
		wantIn(t, what, a.Body, sentence)
		wantNotIn(t, what, a.Body, o.Company, o.No)
		if a.Status != status {
			t.Errorf("%s: %d", what, a.Status)
		}
	}
	nothing("no code of ours", http.StatusNotFound, "/receipts/0123-4567-89AB-CDEF-GHJK", "没有这个编号的凭证")
	nothing("no code at all", http.StatusNotFound, "/receipts/abc", "没有这个编号的凭证")
	nothing("half a code", http.StatusUnprocessableEntity, "/receipts?code=12", "凭证编号应为 20 位")
	nothing("nothing typed", http.StatusOK, "/receipts", "凭证编号")

	other := d.browser()
	other.login("13900139000")
	for _, at := range []string{"/file", "/withdraw"} {
		a := other.get(page + "/receipts/" + first + at)
		if at == "/withdraw" {
			a = other.post(page+"/receipts/"+first+at, nil)
		}
		if a.Status != http.StatusNotFound {
			t.Errorf("somebody else, %s: %d", at, a.Status)
		}
	}
	b.get(page)
	b.mustPost(page+"/receipts/"+first+"/withdraw", nil, page+"#receipts")
	nothing("withdrawn", http.StatusGone, "/receipts/"+code, "撤回")
	if a := b.get(page + "/receipts/" + first + "/file"); a.Status != http.StatusConflict {
		t.Errorf("the paper of a withdrawn one: %d", a.Status)
	}
	if _, err := d.Objects.Get(t.Context(), first+"-receipt"); err == nil {
		t.Error("the paper of a withdrawn one is kept")
	}

	_, code, _ = b.receipt(page)
	for range missesAnHour {
		anybody.get("/receipts/0123-4567-89AB-CDEF-GHJK")
	}
	if a := anybody.get("/receipts/0123-4567-89AB-CDEF-GHJK"); a.Status != http.StatusTooManyRequests {
		t.Errorf("after many tries: %d", a.Status)
	}
	wantIn(t, "a good code after many tries", anybody.get("/receipts/"+code).Body, o.Company)
	d.clock.advance(order.ReceiptLife)
	nothing("over", http.StatusGone, "/receipts/"+code, "过期")
}

// Certificates that hold no longer are said to, without their serial numbers.
func TestReceiptSaysWhatBecameOfTheCertificates(t *testing.T) {
	w := newWeb(t)
	now := w.clock.now()
	good := certificate.Certificate{Serial: "0A", NotAfter: now.Add(time.Hour)}
	with := func(r certificate.Reason) certificate.Certificate {
		c := good
		c.RevokedAt, c.Reason = now, r
		return c
	}
	old := good
	old.NotAfter = now.Add(-time.Hour)
	for _, c := range []struct {
		of    []certificate.Certificate
		words string
		bad   bool
	}{
		{nil, "尚未签发", false},
		{[]certificate.Certificate{good, good}, "已签发 2 张，均有效", false},
		{[]certificate.Certificate{good, with(certificate.KeyCompromise)}, "已签发 2 张，其中 1 张已吊销（2026-11-23 10:00:00）", true},
		{[]certificate.Certificate{with(certificate.Hold), old}, "已签发 2 张，其中 1 张已冻结（2026-11-23 10:00:00），其中 1 张已过期", true},
	} {
		if words, bad := w.wordsOf(c.of); words != c.words || bad != c.bad {
			t.Errorf("%s, %t; want %s", words, bad, c.words)
		}
	}
}

// The same through the API, with what the mini-program needs.
func TestReceiptsThroughTheAPI(t *testing.T) {
	d := newDesk(t).hire()
	b := d.browser()
	page := b.paid()
	m := d.mini("m1", "").login(agentMobile)
	at := page + "/receipts"
	var list struct {
		Receipts []ReceiptJSON
		CanIssue bool `json:"can_issue"`
	}
	m.ok(http.MethodGet, at, nil, &list)
	if len(list.Receipts) != 0 || !list.CanIssue {
		t.Errorf("before: %+v", list)
	}
	var r ReceiptJSON
	m.ok(http.MethodPost, at, nil, &r)
	if r.ID == "" || r.State != "已受理，等待审核" || r.ExpiresAt.Sub(r.IssuedAt) != order.ReceiptLife {
		t.Errorf("issued: %+v", r)
	}
	var link InvoiceLinkJSON
	m.ok(http.MethodPost, at+"/"+r.ID+"/link", nil, &link)
	path := strings.TrimPrefix(link.URL, "http://127.0.0.1:8080")
	if a := d.browser().get(path); a.Status != http.StatusOK || !strings.HasPrefix(a.Body, "%PDF") || strings.Contains(path, r.ID) {
		t.Errorf("by link %s: %d", path, a.Status)
	}
	m.refused(http.MethodPost, at+"/"+newID()+"/link", nil, http.StatusNotFound, "receipt_not_found")
	m.ok(http.MethodPost, at+"/"+r.ID+"/withdraw", nil, &list)
	if len(list.Receipts) != 0 || !list.CanIssue {
		t.Errorf("after: %+v", list)
	}
	if a := d.browser().get(path); a.Status != http.StatusConflict {
		t.Errorf("by link, withdrawn: %d", a.Status)
	}
	d.clock.advance(2 * time.Minute)
	m.refused(http.MethodPost, b.confirmed()+"/receipts", nil, http.StatusConflict, "receipt_too_early")
}
