package handlers

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

const legalMobile, legalID = "13800000021", "11010519491231002X"

// identify knows one legal representative; a name with 疑 in it is somebody else's,
// one with 无 nobody's.
func (w *web) identify(_ context.Context, name identity.PersonName, doc identity.DocType, no identity.DocNo, mobile identity.Mobile) (order.Identity, error) {
	id := order.Identity{Result: order.RealNameMismatch, Provider: "test", ID: "r-1", At: w.clock.now()}
	switch {
	case doc != identity.ResidentID || strings.Contains(name.Reveal(), "无"):
		id.Result = order.RealNameManual
	case no.Reveal() == legalID && mobile.Reveal() == legalMobile && !strings.Contains(name.Reveal(), "疑"):
		id.Result = order.RealNameMatch
	}
	return id, nil
}

// StartFace opens the only face check there is.
func (w *web) StartFace(_ context.Context, about string, name identity.PersonName, no identity.DocNo, back string) (token, page string, err error) {
	w.faceFor, w.faceBack = about+" "+name.Reveal()+" "+no.Reveal(), back
	return "face-1", "https://faceid.example/face-1", nil
}

// FaceResult says of it what the test wants.
func (w *web) FaceResult(_ context.Context, token, about string, name identity.PersonName, no identity.DocNo) (order.Identity, error) {
	if token != "face-1" || about+" "+name.Reveal()+" "+no.Reveal() != w.faceFor || w.faceSays == "" {
		return order.Identity{}, order.Errorf(order.Invalid, "face_unfinished", "人脸核验还没有完成，请重新核验，或改用手机号核验")
	}
	return order.Identity{Result: w.faceSays, Provider: "faces", ID: token, At: w.clock.now()}, nil
}

// Flows 4.5, screen 3: whose mobile is not registered in his own name shows his face;
// only what this session has begun counts, and a wrong face is a wrong guess.
func TestLegalRepShowsHisFace(t *testing.T) {
	w := newWeb(t)
	o, link := w.asked(map[order.Field]string{order.LegalName: "段疑明"}) // the carriers know another name
	b := w.browser()
	b.proves(link)
	page := b.post(link+"/identity", url.Values{"tail": {"31002x"}})
	wantIn(t, "the carriers say no", page.Body, "改用人脸核验", `value="31002x"`)
	if a := b.post(link+"/identity", url.Values{"tail": {"000000"}, "way": {"face"}}); a.Status != http.StatusUnprocessableEntity || w.faceFor != "" {
		t.Errorf("a face check for who does not know the document: %d", a.Status)
	}
	if a := b.get(link + "/face"); a.location() != link+"/identity" {
		t.Errorf("back from a check that was not begun: %d %s", a.Status, a.location())
	}
	page = b.post(link+"/identity", url.Values{"tail": {"31002x"}, "way": {"face"}})
	wantIn(t, "the way to the check", page.Body, `href="https://faceid.example/face-1"`)
	if !strings.HasSuffix(w.faceBack, link+"/face") || !strings.HasPrefix(w.faceBack, "http") {
		t.Errorf("comes back to %s", w.faceBack)
	}
	wantIn(t, "not done", b.get(link+"/face").Body, "还没有完成")
	w.faceSays = order.RealNameMismatch
	wantIn(t, "somebody else", b.get(link+"/face").Body, "人脸核验没有通过", "改用人脸核验")
	w.faceSays = order.RealNameMatch
	if a := b.get(link + "/face"); a.location() != link+"/application" {
		t.Fatalf("himself: %d %s", a.Status, a.location())
	}
	all, err := w.db.Authorizations(t.Context(), o.ID)
	must(t, err)
	got := all[len(all)-1]
	if got.State != order.AtIdentityVerified || got.Guesses != 3 || got.Proof.Identity.Provider != "faces" || got.Proof.Identity.ID != "face-1" {
		t.Errorf("%s after %d guesses, %+v", got.State, got.Guesses, got.Proof.Identity)
	}
}

// asked is a paid order that waits for the legal representative; the link is his.
func (w *web) asked(change map[order.Field]string) (o order.Order, link string) {
	w.t.Helper()
	form := map[order.Field]string{
		order.AgentName: "王小琪", order.AgentMobile: agentMobile, order.IDType: "resident_id", order.IDNo: "110101199003070011", order.IDFront: "01FRONT0000000000", order.IDBack: "01BACK00000000000",
		order.LicenseImage: "01LICENSE00000000", order.OrgName: "新疆云岭能源科技有限公司", order.OrgType: "enterprise", order.OrgUSCC: "91110108MA00TEN18F", order.OrgIndustry: "C",
		order.AuthWay: order.AuthMiniProgram, order.LegalName: "段正明", order.LegalIDType: "resident_id", order.LegalIDNo: legalID, order.LegalMobile: legalMobile, order.ShipWay: order.ShipPickUp,
		order.ShipName: "王小琪", order.ShipMobile: agentMobile, order.InvoiceWant: order.No,
	}
	for k, v := range change {
		form[k] = v
	}
	ctx, anybody := w.t.Context(), order.Actor{Role: order.Applicant, Channel: order.Web}
	o, err := w.service.Apply(ctx, "", order.Command{On: order.Save, By: anybody, DraftToken: "b", Product: "yd-initial", Form: order.NewForm(form)})
	w.must(err)
	o, err = w.service.Apply(ctx, o.ID, order.Command{On: order.Confirm, By: anybody, DraftToken: "b", Snapshot: o.Hash(), Consent: order.Consent{Version: "1", Hash: "h", At: w.clock.now()}, Proven: []order.Fact{order.MobileProven}})
	w.must(err)
	p, err := w.service.OpenPayment(ctx, o.ID, order.Actor{Role: order.Applicant, PersonID: o.PersonID, Channel: order.Web}, order.WeChatPay)
	w.must(err)
	w.must(w.service.PaymentSucceeded(ctx, order.Receipt{Channel: order.WeChatPay, TradeNo: p.TradeNo, TransactionID: "w-" + p.TradeNo, Amount: p.Amount, PaidAt: w.clock.now()}))
	return o, "/auth/" + w.token(o)
}

func (w *web) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// token is that of the newest SMS to the legal representative.
func (w *web) token(o order.Order) string {
	w.t.Helper()
	all, err := w.db.Notifications(w.t.Context(), o.ID)
	w.must(err)
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].To == order.ToLegalRep {
			token, _, err := w.service.SendingToken(w.t.Context(), all[i].ID)
			w.must(err)
			return token
		}
	}
	w.t.Fatal("nothing was sent to the legal representative")
	return ""
}

// proves takes a browser through the SMS code.
func (b *browser) proves(link string) answer {
	b.t.Helper()
	b.get(link)
	b.get(link + "/phone")
	b.post(link+"/phone/code", url.Values{"mobile": {legalMobile}}, "HX-Request", "true")
	a := b.post(link+"/phone", url.Values{"mobile": {legalMobile}, "code": {b.code(legalMobile)}})
	b.get(a.location()) // with the token of the new session
	return a
}

// drawn is a signature; ink is how thick, 0 draws nothing.
func drawn(ink int) string {
	img := image.NewNRGBA(image.Rect(0, 0, 600, 240))
	for x := 60; x < 540; x++ {
		for d := range ink {
			img.SetNRGBA(x, 40+(x*7)%160+d, color.NRGBA{16, 24, 32, 255})
		}
	}
	var out bytes.Buffer
	_ = png.Encode(&out, img) // a bytes.Buffer takes everything
	return signaturePrefix + base64.StdEncoding.EncodeToString(out.Bytes())
}

// Flows 4.5, screens 1 to 7, and what is refused on the way.
func TestLegalRepSignsOnTheWeb(t *testing.T) {
	w := newWeb(t)
	o, link := w.asked(nil)
	b := w.browser()
	page := b.get(link)
	for _, leak := range []string{"王小琪", legalMobile, legalID, "段正明"} { // before he has proven anything
		if strings.Contains(page.Body, leak) {
			t.Errorf("the first page shows %s", leak)
		}
	}
	for _, step := range []string{"identity", "application", "letter", "sign", "done", "letter.pdf"} {
		if a := b.get(link + "/" + step); a.location() != link+"/phone" {
			t.Errorf("%s without a proven phone: %d %s", step, a.Status, a.location())
		}
	}
	if a := b.post(link+"/phone/code", url.Values{"mobile": {"13900000099"}}, "HX-Request", "true"); !strings.Contains(a.Body, "不一致") || strings.Contains(a.Body, legalMobile) || w.code("13900000099") != "" {
		t.Errorf("another number: %s", a.Body)
	}
	if a := b.proves(link); a.location() != link+"/identity" {
		t.Fatalf("proven phone leads to %d %s", a.Status, a.location())
	}
	if a := b.post(link+"/identity", url.Values{"tail": {"123456"}}); a.Status != http.StatusUnprocessableEntity {
		t.Errorf("a wrong tail: %d", a.Status)
	}
	if a := b.post(link+"/identity", url.Values{"tail": {"31002x"}}); a.location() != link+"/application" {
		t.Fatalf("the right tail: %d %s", a.Status, a.Body)
	}
	if a := b.get(link + "/sign?read=yes"); a.location() != link+"/letter" {
		t.Errorf("signing before the letter: %d %s", a.Status, a.location())
	}
	b.get(link + "/letter")
	b.post(link+"/sign/code", nil, "HX-Request", "true")
	sign := func(change url.Values) answer {
		v := url.Values{"signature": {drawn(5)}, "agree": {"yes"}, "read": {"yes"}, "until": {""}, "code": {w.code(legalMobile)}}
		for k, x := range change {
			v[k] = x
		}
		return b.post(link+"/sign", v)
	}
	for name, refused := range map[string]struct {
		change url.Values
		says   string
	}{
		"too soon": {nil, "阅读授权书全文"}, "no tick": {url.Values{"agree": {""}}, "单独同意"}, "nothing drawn": {url.Values{"signature": {drawn(0)}}, "手写签名"},
		"no picture": {url.Values{"signature": {"data:image/png;base64,AAAA"}}, "无法识别"}, "a far day": {url.Values{"until": {"2030-01-01"}}, "授权范围"},
	} {
		if a := sign(refused.change); a.Status != http.StatusUnprocessableEntity || !strings.Contains(a.Body, refused.says) {
			t.Errorf("%s: %d, does not say %s", name, a.Status, refused.says)
		}
	}
	w.clock.advance(5 * time.Second)
	if a := sign(url.Values{"code": {"000000"}}); a.Status != http.StatusUnprocessableEntity {
		t.Errorf("a wrong code: %d", a.Status)
	}
	if a := sign(url.Values{"read": {""}}); a.Status != http.StatusUnprocessableEntity {
		t.Errorf("unread: %d", a.Status)
	}
	w.clock.advance(61 * time.Second)
	b.post(link+"/sign/code", nil, "HX-Request", "true")
	if a := sign(nil); a.location() != link+"/done" {
		t.Fatalf("signed: %d %s", a.Status, a.Body)
	}
	if o, err := w.db.Order(t.Context(), o.ID); err != nil || o.Stage != order.Queued {
		t.Errorf("the order is %s, %v", o.State, err)
	}
	if a := b.get(link + "/letter.pdf"); a.Status != http.StatusConflict { // no issuer here
		t.Errorf("a letter that is not made: %d", a.Status)
	}
	// Half an hour later the phone has to be proven anew; somebody else's link shows nothing.
	w.clock.advance(31 * time.Minute)
	if a := b.get(link + "/done"); a.location() != link+"/phone" {
		t.Errorf("after half an hour: %d %s", a.Status, a.location())
	}
	_, other := w.asked(map[order.Field]string{order.IDNo: "11010119900307002X"})
	b.proves(link)
	if a := b.get(other + "/application"); a.location() != other+"/phone" {
		t.Errorf("the session of one authorisation opens another: %d %s", a.Status, a.location())
	}
	if a := b.get("/auth/" + strings.Repeat("x", 32)); a.Status != http.StatusNotFound {
		t.Errorf("an invented link: %d", a.Status)
	}
	if strings.Contains(w.log.String(), "段正明") || strings.Contains(w.log.String(), legalMobile) || strings.Contains(w.log.String(), strings.TrimPrefix(link, "/auth/")) {
		t.Error("the log holds personal data or a link")
	}
}

// Screen 3: five wrong guesses lock, the provider may refuse, and what it does not
// know is photographed.
func TestLegalRepIsIdentified(t *testing.T) {
	w := newWeb(t)
	o, link := w.asked(nil)
	b := w.browser()
	b.proves(link)
	for range 5 {
		b.post(link+"/identity", url.Values{"tail": {"000000"}})
	}
	if a := b.post(link+"/identity", url.Values{"tail": {"31002X"}}); !strings.Contains(a.Body, "次数过多") {
		t.Errorf("the sixth, right: %d", a.Status)
	}
	if _, err := w.service.ResendAuthorization(t.Context(), o.ID, order.Actor{Role: order.Applicant, PersonID: o.PersonID}); err != nil {
		t.Fatal(err)
	}
	again := "/auth/" + w.token(o)
	if a := b.get(link); a.Status != http.StatusGone || !strings.Contains(a.Body, "最新一条") {
		t.Errorf("the old link: %d", a.Status)
	}
	if a := b.post(again+"/identity", url.Values{"tail": {"31002X"}}); a.location() != again+"/application" {
		t.Errorf("after a new SMS: %d %s", a.Status, a.Body)
	}

	w.clock.advance(2 * time.Hour)
	_, link = w.asked(map[order.Field]string{order.LegalName: "段疑明", order.IDNo: "11010119900307002X"})
	b = w.browser()
	b.proves(link)
	if a := b.post(link+"/identity", url.Values{"tail": {"31002X"}}); a.Status != http.StatusUnprocessableEntity || !strings.Contains(a.Body, "核验不一致") {
		t.Errorf("refused by the provider: %d", a.Status)
	}

	w.clock.advance(2 * time.Hour)
	_, link = w.asked(map[order.Field]string{order.LegalName: "段无明", order.IDNo: "11010119900307002X"})
	b = w.browser()
	b.proves(link)
	if a := b.post(link+"/identity", url.Values{"tail": {"31002X"}}); a.Status != http.StatusUnprocessableEntity || !strings.Contains(a.Body, "照片页") {
		t.Errorf("unknown to the provider: %d", a.Status)
	}
}

// signs goes through all the screens; until is the last day of the mandate.
func (b *browser) signs(link, until string) {
	b.t.Helper()
	b.proves(link)
	if a := b.post(link+"/identity", url.Values{"tail": {"31002X"}}); a.location() != link+"/application" {
		b.t.Fatalf("identity: %d %s", a.Status, a.Body)
	}
	b.get(link + "/letter")
	b.clock.advance(61 * time.Second) // read, and another code may be asked for
	b.post(link+"/sign/code", nil, "HX-Request", "true")
	if a := b.post(link+"/sign", url.Values{"signature": {drawn(5)}, "agree": {"yes"}, "read": {"yes"}, "until": {until}, "code": {b.code(legalMobile)}}); a.location() != link+"/done" {
		b.t.Fatalf("signed: %d %s", a.Status, a.Body)
	}
}

// Flows 4.5, screen 7: an application that a mandate covers is withdrawn from the
// phone, by the link of the SMS that tells of it.
func TestCoveredApplicationIsWithdrawnOnTheWeb(t *testing.T) {
	w := newWeb(t)
	_, link := w.asked(nil)
	w.browser().signs(link, w.clock.now().In(order.Shanghai).AddDate(0, 3, 0).Format(time.DateOnly))
	w.clock.advance(time.Hour)

	o, link := w.asked(map[order.Field]string{order.LegalMobile: "13800000023"})
	if o, err := w.db.Order(t.Context(), o.ID); err != nil || o.Stage != order.Queued {
		t.Fatalf("covered: %s, %v", o.State, err)
	}
	b := w.browser()
	if a := b.get(link); a.Status != http.StatusOK || !strings.Contains(a.Body, "您的长期授权已用于一笔申请") || strings.Contains(a.Body, "/decline") {
		t.Errorf("the first page: %d %s", a.Status, a.Body)
	}
	b.get(link + "/phone")
	if a := b.post(link+"/phone/code", url.Values{"mobile": {"13800000023"}}, "HX-Request", "true"); !strings.Contains(a.Body, "不一致") {
		t.Errorf("the number that the 经办人 typed: %s", a.Body)
	}
	if a := b.proves(link); a.location() != link+"/done" {
		t.Fatalf("proven phone leads to %d %s", a.Status, a.location())
	}
	if a := b.get(link + "/done"); !strings.Contains(a.Body, "已依据您的长期授权") || !strings.Contains(a.Body, o.No) || !strings.Contains(a.Body, link+"/withdraw") {
		t.Errorf("done: %d %s", a.Status, a.Body)
	}
	if a := b.post(link+"/withdraw", nil); a.location() != link {
		t.Fatalf("withdrawn: %d %s", a.Status, a.Body)
	}
	if o, err := w.db.Order(t.Context(), o.ID); err != nil || o.Stage != order.Fixable || o.Reasons[0].Code != "R16" {
		t.Errorf("the order is %s, %v", o.State, err)
	}
	if a := b.get(link); a.Status != http.StatusGone || !strings.Contains(a.Body, "已撤回") {
		t.Errorf("afterwards: %d %s", a.Status, a.Body)
	}
}

// Screen 7: nothing is offered that would be refused, and what counts beyond its order can
// be revoked although it does not count for it any more.
func TestSignedPageOffersWhatCanBeDone(t *testing.T) {
	w := newWeb(t)
	o, link := w.asked(nil)
	b := w.browser()
	b.signs(link, w.clock.now().In(order.Shanghai).AddDate(0, 3, 0).Format(time.DateOnly))
	if a := b.get(link + "/done"); !strings.Contains(a.Body, link+"/withdraw") || !strings.Contains(a.Body, link+"/revoke") {
		t.Errorf("in review: %s", a.Body)
	}
	was, err := w.db.Order(t.Context(), o.ID)
	must(t, err)
	put := func(s order.State, r order.RefundState) {
		t.Helper()
		now := was
		now.State, now.Refund, now.Rev = s, r, was.Rev+1
		must(t, w.db.InTx(t.Context(), func(tx order.Tx) error { return tx.UpdateOrder(t.Context(), now, was) }))
		was = now
	}
	for _, tt := range []struct {
		state  order.State
		refund order.RefundState
		says   string
	}{
		{order.State{Status: order.Rejected, Stage: order.Closed}, order.NoRefund, "该申请已关闭"},
		{order.State{Status: order.Refunded}, order.NoRefund, "该申请已退款"},
		{order.State{Status: order.Rejected, Stage: order.Fixable}, order.Refunding, "该申请正在退款"},
		{order.State{Status: order.Completed}, order.NoRefund, "证书已制作"},
		{order.State{Status: order.Rejected, Stage: order.Fixable}, order.NoRefund, ""},
	} {
		put(tt.state, tt.refund)
		if a := b.get(link + "/done"); strings.Contains(a.Body, link+"/withdraw") != (tt.says == "") || !strings.Contains(a.Body, tt.says) {
			t.Errorf("%s %s: %s", tt.state, tt.refund, a.Body)
		}
	}
	// Money goes back: the signature is void, the mandate is not.
	by := order.Actor{Role: order.Finance, StaffID: "f1", PersonID: "pf1", Channel: order.Internal}
	_, err = w.service.Apply(t.Context(), o.ID, order.Command{On: order.RefundStart, By: by, Note: "申请人要求"})
	must(t, err)
	a := b.get(link + "/done")
	wantIn(t, "after the refund", a.Body, "您的长期授权", "仍然有效", link+"/revoke", "不需要撤回")
	if strings.Contains(a.Body, link+"/withdraw") || strings.Contains(a.Body, "授权完成") {
		t.Errorf("after the refund: %s", a.Body)
	}
	if a := b.get(link); strings.Contains(a.Body, "/decline") {
		t.Errorf("the first page: %s", a.Body)
	}
	b.post(link+"/revoke", nil)
	if a := b.get(link); a.Status != http.StatusGone {
		t.Errorf("revoked: %d", a.Status)
	}
}

// Row 14: what the legal representative sends back is put right where the form asks
// for it: an application authorised online has no stamped letter.
func TestReturnedApplicationLeadsToTheAuthorisation(t *testing.T) {
	w := newWeb(t)
	o, link := w.asked(nil)
	b := w.browser()
	b.proves(link)
	if a := b.post(link+"/return", url.Values{"note": {"经办人写错了"}}); a.location() != link {
		t.Fatalf("returned: %d %s", a.Status, a.Body)
	}
	agent := w.browser()
	agent.login(agentMobile)
	path := "/orders/" + string(o.ID)
	if a := agent.get(path); !strings.Contains(a.Body, `href="`+path+`/edit#auth.way">`) || strings.Contains(a.Body, "#letter") {
		t.Errorf("the order's page: %d %s", a.Status, a.Body)
	}
	if a := agent.get(path + "/edit"); !strings.Contains(a.Body, `href="#auth.way">`) || !strings.Contains(a.Body, `id="auth.way"`) || strings.Contains(a.Body, `href="#letter"`) {
		t.Errorf("the form: %d %s", a.Status, a.Body)
	}
}

// Row 15: declining needs no proof, deletes, and the link says so afterwards.
func TestLegalRepDeclinesOnTheWeb(t *testing.T) {
	w := newWeb(t)
	o, link := w.asked(nil)
	b := w.browser()
	b.get(link)
	if a := b.post(link+"/decline", nil); a.Status != http.StatusUnprocessableEntity {
		t.Errorf("without a reason: %d", a.Status)
	}
	if a := b.post(link+"/decline", url.Values{"reason": {"unknown"}}); a.location() != link {
		t.Fatalf("declined: %d %s", a.Status, a.Body)
	}
	if a := b.get(link); a.Status != http.StatusGone || !strings.Contains(a.Body, "已拒绝") {
		t.Errorf("afterwards: %d", a.Status)
	}
	if o, err := w.db.Order(t.Context(), o.ID); err != nil || o.Stage != order.Fixable || o.Form.Get(order.LegalIDNo) != "" {
		t.Errorf("the order is %s, %v", o.State, err)
	}
}

// What strangers draw: only a plausible signature passes, and what is kept is a
// picture of our own making.
func TestReadSignature(t *testing.T) {
	for name, tt := range map[string]struct {
		in string
		ok bool
	}{
		"signature": {drawn(5), true}, "nothing": {"", false}, "blank": {drawn(0), false}, "another kind": {"data:image/svg+xml;base64,PHN2Zy8+", false},
		"not base64": {signaturePrefix + "***", false}, "huge": {signaturePrefix + strings.Repeat("A", 400<<10), false},
	} {
		got, err := readSignature(tt.in)
		if (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
		if tt.ok && !bytes.HasPrefix(got, []byte("\x89PNG")) {
			t.Errorf("%s: %q…", name, got[:8])
		}
	}
}

func FuzzReadSignature(f *testing.F) {
	f.Add(drawn(5))
	f.Add(signaturePrefix)
	f.Fuzz(func(t *testing.T, in string) {
		if out, err := readSignature(in); err == nil && len(out) == 0 {
			t.Error("nothing was accepted")
		}
	})
}

// picture keeps what the page looks like, for a person to look at.
func (b *tab) picture(name string) {
	b.t.Helper()
	dir := os.Getenv("YCD_TEST_OUT")
	if dir == "" {
		return
	}
	shot, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	must(b.t, err)
	must(b.t, os.WriteFile(filepath.Join(dir, name+".png"), shot, 0o600))
}

// Flows 4.5 on a phone of 375 px, scripts running: reading to the end, drawing the
// name, and the pages fit the screen.
func TestLegalRepOnAPhone(t *testing.T) {
	for name, width := range map[string]int64{"phone": 375, "desk": 1440} {
		t.Run(name, func(t *testing.T) {
			w := newWeb(t)
			_, link := w.asked(nil)
			b := w.browse(t, width)
			look := func(step string) {
				t.Helper()
				if b.js(`document.documentElement.scrollWidth > innerWidth`) != "false" {
					t.Errorf("%s is wider than the screen", step)
				}
				b.picture("auth-" + step + "-" + name)
			}
			b.goTo(link)
			b.shown(".auth .btn.main")
			look("1-welcome")
			b.press(".auth .btn.main")
			b.shown("#mobile")
			look("2-phone")
			b.do(chromedp.SendKeys("#mobile", legalMobile))
			b.press(".ask-code .btn")
			b.shown(".ask-code .hint")
			b.do(chromedp.SendKeys("#code", w.code(legalMobile)))
			b.press("form .btn.main")
			b.shown("#tail")
			look("3-identity")
			b.do(chromedp.SendKeys("#tail", "31002X"))
			b.press("form .btn.main")
			b.shown("[href$='/letter']")
			look("4-application")
			b.press(".stack .btn.main")
			b.shown("#paper")
			if b.js(`document.querySelector("[data-reading] button").disabled`) != "true" {
				t.Error("the letter can be signed unread")
			}
			look("5-letter")
			w.clock.advance(6 * time.Second)
			b.do(chromedp.Navigate(b.base + link + "/letter"))
			b.shown("#paper")
			b.js(`document.getElementById("end").scrollIntoView()`)
			b.until(`!document.querySelector("[data-reading] button").disabled`)
			b.press("[data-reading] button")
			b.shown("#pad")
			b.press(".ask-code .btn")
			b.shown(".ask-code .hint")
			b.do(chromedp.SendKeys("#code", w.code(legalMobile)))
			b.press("[name=agree]")
			b.press("form .btn.main.wide")
			b.shown("[data-unsigned]") // nothing is sent without a signature
			b.js(`document.getElementById("pad").scrollIntoView({block: "center", behavior: "instant"})`)
			b.js(`(p => { p.setPointerCapture = () => {}; const r = p.getBoundingClientRect(); const at = (n, x, y) => p.dispatchEvent(new PointerEvent(n, {clientX: r.left + x, clientY: r.top + y, pointerId: 1, bubbles: true}));
				for (let s = 0; s < 3; s++) { at("pointerdown", 40 + s * 70, 40); for (let i = 0; i < 60; i++) at("pointermove", 40 + s * 70 + i, 40 + (i * (s + 2)) % 110); at("pointerup", 0, 0); } })(document.getElementById("pad"))`)
			look("6-sign")
			b.press("form .btn.main.wide")
			b.shown("#pdf")
			look("7-done")
		})
	}
}

// Reliability 17: many guesses at once at the legal representative's document tell no
// more than a few.
func TestParallelGuessesAtADocument(t *testing.T) {
	w := newWeb(t)
	_, link := w.asked(nil)
	b := w.browser()
	b.proves(link)
	var wg sync.WaitGroup
	var told atomic.Int32
	for i := range 200 {
		wg.Go(func() {
			guess := &browser{web: w, jar: b.jar, csrf: b.csrf}
			if a := guess.post(link+"/identity", url.Values{"tail": {fmt.Sprintf("%06d", i)}}); strings.Contains(a.Body, "不一致") {
				told.Add(1)
			}
		})
	}
	wg.Wait()
	if n := told.Load(); n < 1 || n > tailTries {
		t.Errorf("%d guesses were answered, want at most %d", n, tailTries)
	}
}
