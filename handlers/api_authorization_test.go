package handlers

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

// legal is the legal representative's phone: no login, only what an authorisation gives.
func (w *web) legal() *mini { return w.mini("m-legal", "") }

// proves goes through screen 2 by WeChat's phone-number button.
func (m *mini) proves(at string) *mini {
	m.t.Helper()
	var out ProvenJSON
	m.ok(http.MethodPost, at+"/open", nil, nil)
	m.ok(http.MethodPost, at+"/phone", map[string]string{"login": m.wechat.login("code-"+newID(), m.user), "phone": m.wechat.phone("phone-"+newID(), legalMobile)}, &out)
	m.token = out.Token
	return m
}

// refused is call for what must be refused.
func (m *mini) refused(method, path string, in any, status int, code string) Problem {
	m.t.Helper()
	a := m.call(method, path, in, nil)
	p := problemIn(m.t, a)
	if a.Status != status || p.Code != code {
		m.t.Errorf("%s %s: %d %s, want %d %s", method, path, a.Status, a.Body, status, code)
	}
	return p
}

// signs goes from the proven phone to the signature.
func (m *mini) signs(at, until string) {
	m.t.Helper()
	m.ok(http.MethodPost, at+"/identity", map[string]string{"tail": "31002x"}, nil)
	m.ok(http.MethodPost, at+"/letter", map[string]string{"until": until}, nil)
	m.clock.advance(61 * time.Second) // read, and another code may be asked for
	m.ok(http.MethodPost, at+"/sign/code", nil, nil)
	m.ok(http.MethodPost, at+"/sign", map[string]any{"until": until, "read": true, "agreed": true, "signature": drawn(5), "code": m.code(legalMobile)}, nil)
}

// ofLink is the ticket's path in the API.
func ofLink(link string) string { return "/authorizations/" + strings.TrimPrefix(link, "/auth/") }

// Flows 4.5, screen 3 in the mini-program: who opens a face check gets a token that its
// result counts for, nobody else; a wrong face is a wrong guess.
func TestLegalRepShowsHisFaceThroughTheAPI(t *testing.T) {
	w := newWeb(t)
	o, link := w.asked(map[order.Field]string{order.LegalName: "段疑明"}) // the carriers know another name
	at, m := ofLink(link), w.legal()
	var first LegalJSON
	if m.ok(http.MethodPost, at+"/open", nil, &first); !first.Face {
		t.Error("no face check is offered")
	}
	m.proves(at)
	p := m.refused(http.MethodPost, at+"/identity", map[string]string{"tail": "31002x"}, http.StatusUnprocessableEntity, "identity_refused")
	if !strings.Contains(p.Detail, "改用人脸核验") {
		t.Errorf("the carriers say no: %s", p.Detail)
	}
	m.refused(http.MethodPost, at+"/face", map[string]string{"tail": "000000"}, http.StatusUnprocessableEntity, "document_tail_wrong")
	if w.faceFor != "" {
		t.Error("a face check for who does not know the document")
	}
	m.refused(http.MethodPost, at+"/face/result", nil, http.StatusConflict, "face_not_begun")
	var face FaceJSON
	m.ok(http.MethodPost, at+"/face", map[string]string{"tail": "31002x"}, &face)
	if face.Page != "https://faceid.example/face-1" || face.Token == m.token || w.faceBack != w.absolute(link+"/face/end") {
		t.Errorf("opened: %+v, comes back to %s", face, w.faceBack)
	}
	wantIn(t, "the end of the check", w.browser().get(link+"/face/end").Body, "返回小程序")
	m.refused(http.MethodPost, at+"/face/result", nil, http.StatusUnauthorized, "session_expired") // the token of before
	other := w.legal().proves(at)
	other.refused(http.MethodPost, at+"/face/result", nil, http.StatusConflict, "face_not_begun")
	m.token = face.Token
	m.refused(http.MethodPost, at+"/face/result", nil, http.StatusUnprocessableEntity, "face_unfinished")
	w.faceSays = order.RealNameMismatch
	m.refused(http.MethodPost, at+"/face/result", nil, http.StatusUnprocessableEntity, "face_refused")
	w.faceSays = order.RealNameMatch
	var next struct{ Step string }
	if m.ok(http.MethodPost, at+"/face/result", nil, &next); next.Step != "application" {
		t.Errorf("himself: %+v", next)
	}
	m.refused(http.MethodPost, at+"/face/result", nil, http.StatusConflict, "authorization_not_ready")
	all, err := w.db.Authorizations(t.Context(), o.ID)
	must(t, err)
	got := all[len(all)-1]
	if got.State != order.AtIdentityVerified || got.Guesses != 3 || got.Proof.Identity.Provider != "faces" || got.Proof.Identity.ID != "face-1" {
		t.Errorf("%s after %d guesses, %+v", got.State, got.Guesses, got.Proof.Identity)
	}
}

// Without a face check of the provider's none is offered, and none begins; nor for a
// document whose holder it does not know.
func TestNoFaceCheckThroughTheAPI(t *testing.T) {
	w := newWeb(t)
	w.Face = nil
	_, link := w.asked(nil)
	at, m := ofLink(link), w.legal()
	var first LegalJSON
	if m.ok(http.MethodPost, at+"/open", nil, &first); first.Face {
		t.Error("a face check is offered")
	}
	m.proves(at).refused(http.MethodPost, at+"/face", map[string]string{"tail": "31002x"}, http.StatusNotFound, "face_not_offered")
}

// Flows 4.5, screens 1 to 7 in the mini-program, and what is refused on the way.
func TestLegalRepSignsThroughTheAPI(t *testing.T) {
	w := newWeb(t)
	o, link := w.asked(nil)
	at, m := ofLink(link), w.legal()
	var first LegalJSON
	m.ok(http.MethodPost, at+"/open", nil, &first)
	if first.Company != o.Company || first.Mobile != "138****0021" || first.Step != "identity" || first.Document != "居民身份证" || first.Photographed || len(first.Reasons) != 4 || len(first.Facts) != 6 {
		t.Errorf("the first screen: %+v", first)
	}
	if a := m.call(http.MethodPost, at+"/open", nil, nil); strings.Contains(a.Body, "王小琪") || strings.Contains(a.Body, legalMobile) || strings.Contains(a.Body, "段正明") || strings.Contains(a.Body, legalID) {
		t.Errorf("before he has proven anything: %s", a.Body)
	}
	m.refused(http.MethodPost, at+"/phone", map[string]string{"phone": w.wechat.phone("p1", "13900000099")}, http.StatusUnprocessableEntity, "legal_mobile_differs")
	p := m.refused(http.MethodPost, at+"/phone/code", map[string]string{"mobile": "13900000099"}, http.StatusUnprocessableEntity, "legal_mobile_differs")
	if strings.Contains(p.Detail, legalMobile) || !strings.Contains(p.Detail, "138****0021") || w.code("13900000099") != "" {
		t.Errorf("another number: %s", p.Detail)
	}
	m.refused(http.MethodPost, at+"/phone/code", map[string]string{"mobile": "12"}, http.StatusUnprocessableEntity, "mobile_invalid")
	m.refused(http.MethodPost, at+"/phone", map[string]string{"mobile": legalMobile, "code": "000000"}, http.StatusUnprocessableEntity, "code_expired") // none was sent
	m.proves(at)
	for range 6 { // slips, which do not count as guesses
		m.refused(http.MethodPost, at+"/identity", map[string]string{"tail": "1002x"}, http.StatusUnprocessableEntity, "document_tail_short")
	}
	m.refused(http.MethodPost, at+"/identity", map[string]string{"tail": "123456"}, http.StatusUnprocessableEntity, "document_tail_wrong")
	m.refused(http.MethodGet, at+"/application", nil, http.StatusConflict, "authorization_not_ready")
	m.refused(http.MethodPost, at+"/sign/code", nil, http.StatusConflict, "authorization_not_ready")
	var next struct{ Step string }
	if m.ok(http.MethodPost, at+"/identity", map[string]string{"tail": "31002x"}, &next); next.Step != "application" {
		t.Errorf("identified: %+v", next)
	}
	var application struct{ Facts []FactJSON }
	m.ok(http.MethodGet, at+"/application", nil, &application)
	if !slices.Contains(application.Facts, FactJSON{"经办人", "王小琪", false}) || !slices.Contains(application.Facts, FactJSON{"经办人手机", "138****8000", true}) {
		t.Errorf("the application: %+v", application)
	}
	m.ok(http.MethodPost, at+"/sign/code", nil, nil)
	sign := func(change map[string]any) map[string]any {
		in := map[string]any{"read": true, "agreed": true, "signature": drawn(5), "code": w.code(legalMobile)}
		for k, v := range change {
			in[k] = v
		}
		return in
	}
	m.refused(http.MethodPost, at+"/sign", sign(nil), http.StatusUnprocessableEntity, "letter_unread") // never shown
	var letter LetterJSON
	m.ok(http.MethodPost, at+"/letter", map[string]string{}, &letter)
	if letter.Wait != 5 || len(letter.Scopes) != 3 || !letter.Scopes[0].Chosen || len(letter.Paragraphs) < 5 || letter.Consent == "" {
		t.Errorf("the letter: %+v", letter)
	}
	for name, r := range map[string]struct {
		change map[string]any
		code   string
	}{
		"too soon": {nil, "letter_unread"}, "no tick": {map[string]any{"agreed": false}, "sensitive_consent_required"}, "nothing drawn": {map[string]any{"signature": drawn(0)}, "signature_refused"},
		"no picture": {map[string]any{"signature": "data:image/png;base64,AAAA"}, "signature_refused"}, "a far day": {map[string]any{"until": "2030-01-01"}, "mandate_invalid"},
	} {
		t.Run(name, func(*testing.T) {
			m.refused(http.MethodPost, at+"/sign", sign(r.change), http.StatusUnprocessableEntity, r.code)
		})
	}
	w.clock.advance(5 * time.Second)
	m.refused(http.MethodPost, at+"/sign", sign(map[string]any{"read": false}), http.StatusUnprocessableEntity, "letter_unread")
	m.refused(http.MethodPost, at+"/sign", sign(map[string]any{"code": "000000"}), http.StatusUnprocessableEntity, "code_wrong")
	if m.ok(http.MethodPost, at+"/sign", sign(nil), &next); next.Step != "done" { // what was refused has not used up the code
		t.Errorf("signed: %+v", next)
	}
	var done SignedJSON
	m.ok(http.MethodGet, at+"/done", nil, &done)
	if !strings.HasPrefix(done.Receipt, "SQ") || !done.Withdraw || done.Ready || done.Mandate != nil || done.No != w.order("/orders/"+string(o.ID)).No {
		t.Errorf("done: %+v", done)
	}
	m.refused(http.MethodGet, at+"/letter.pdf", nil, http.StatusConflict, "letter_pending") // no issuer here
	if o := w.order("/orders/" + string(o.ID)); o.Stage != order.Queued {
		t.Errorf("the order is %s", o.State)
	}
	a, err := w.db.ActiveAuthorization(t.Context(), o.ID)
	must(t, err)
	for name, d := range map[string]order.Device{"phone": a.Proof.Phone, "signed": a.Proof.Signed} { // the evidence knows through which WeChat
		if d.OpenID != "m-legal" || d.Channel != order.MiniProgram {
			t.Errorf("%s: %+v", name, d)
		}
	}
	m.ok(http.MethodPost, at+"/withdraw", nil, nil)
	if o := w.order("/orders/" + string(o.ID)); o.Stage != order.Fixable || o.Reasons[0].Code != "R16" {
		t.Errorf("the order is %s", o.State)
	}
	m.token = ""
	m.refused(http.MethodPost, at+"/open", nil, http.StatusConflict, "authorization_withdrawn")
	if strings.Contains(w.log.String(), "段正明") || strings.Contains(w.log.String(), legalMobile) || strings.Contains(w.log.String(), strings.TrimPrefix(link, "/auth/")) {
		t.Error("the log holds personal data or a ticket")
	}
}

// Screen 2: what proves the mobile of one authorisation opens that one, for half an hour.
func TestLegalRepsSession(t *testing.T) {
	w := newWeb(t)
	_, link := w.asked(nil)
	at, m := ofLink(link), w.legal()
	m.ok(http.MethodPost, at+"/open", nil, nil)
	m.ok(http.MethodPost, at+"/phone/code", map[string]string{"mobile": legalMobile}, nil)
	var proven ProvenJSON
	m.ok(http.MethodPost, at+"/phone", map[string]string{"mobile": legalMobile, "code": w.code(legalMobile)}, &proven) // without the button
	_, other := w.asked(map[order.Field]string{order.IDNo: "11010119900307002X"})
	applicant := w.mini("m1", "").login(agentMobile)
	for name, token := range map[string]string{"nobody": secret(), "the applicant": applicant.token, "another's": w.legal().proves(ofLink(other)).token} {
		for _, r := range apiRoutes(w.Server, OfLegalRep) {
			path := strings.Replace(strings.TrimPrefix(r.Path, "/api/v1/authorizations/:ticket"), "", at, 1)
			who := &mini{web: w, token: token}
			if a := who.call(r.Method, path, map[string]string{}, nil); a.Status != http.StatusUnauthorized {
				t.Errorf("%s, %s %s: %d %s", name, r.Method, path, a.Status, a.Body)
			}
		}
	}
	if n := len(apiRoutes(w.Server, OfLegalRep)); n < 10 {
		t.Errorf("only %d routes", n)
	}
	m.token = proven.Token
	if a := m.call(http.MethodPost, ofLink("/auth/"+strings.Repeat("x", 32))+"/letter", nil, nil); a.Status != http.StatusNotFound {
		t.Errorf("an invented ticket: %d", a.Status)
	}
	if a := m.call(http.MethodGet, "/orders", nil, nil); a.Status != http.StatusUnauthorized {
		t.Errorf("an order list: %d", a.Status)
	}
	m.ok(http.MethodPost, at+"/identity", map[string]string{"tail": "31002X"}, nil)
	w.clock.advance(31 * time.Minute)
	if a := m.call(http.MethodGet, at+"/application", nil, nil); a.Status != http.StatusUnauthorized {
		t.Errorf("after half an hour: %d", a.Status)
	}
	m.ok(http.MethodPost, at+"/open", nil, &struct{ Step string }{}) // the bearer decides nothing here
}

// Screen 3: what the provider does not know is photographed, five wrong guesses lock.
func TestLegalRepIsIdentifiedThroughTheAPI(t *testing.T) {
	w := newWeb(t)
	_, link := w.asked(map[order.Field]string{order.LegalName: "段无明"})
	at := ofLink(link)
	m := w.legal().proves(at)
	m.refused(http.MethodPost, at+"/identity", map[string]string{"tail": "31002X"}, http.StatusUnprocessableEntity, "document_photo_required")
	if a := m.document(at, "123456", photo(t)); a.Status != http.StatusUnprocessableEntity || problemIn(t, a).Code != "document_tail_wrong" {
		t.Errorf("a photo with a wrong tail: %d %s", a.Status, a.Body)
	}
	if a := m.document(at, "31002X", []byte("text")); a.Status != http.StatusUnprocessableEntity || problemIn(t, a).Code != "picture_refused" {
		t.Errorf("no picture: %d %s", a.Status, a.Body)
	}
	if a := m.document(at, "31002X", photo(t)); a.Status != http.StatusOK || !strings.Contains(a.Body, "application") {
		t.Errorf("the photo: %d %s", a.Status, a.Body)
	}

	w.clock.advance(2 * time.Hour)
	_, link = w.asked(map[order.Field]string{order.LegalName: "段疑明", order.IDNo: "11010119900307002X"})
	at = ofLink(link)
	m.proves(at)
	for range 5 {
		m.refused(http.MethodPost, at+"/identity", map[string]string{"tail": "31002X"}, http.StatusUnprocessableEntity, "identity_refused")
	}
	m.refused(http.MethodPost, at+"/identity", map[string]string{"tail": "31002X"}, http.StatusTooManyRequests, "identity_locked")
}

// document sends the photo of a document with the digits of its number.
func (m *mini) document(at, tail string, raw []byte) answer {
	m.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	must(m.t, w.WriteField("tail", tail))
	part, err := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {`form-data; name="file"; filename="a.jpg"`}, "Content-Type": {"image/jpeg"}})
	must(m.t, err)
	_, err = part.Write(raw)
	must(m.t, err)
	must(m.t, w.Close())
	return m.send(http.MethodPost, at+"/identity/photo", w.FormDataContentType(), &body, nil)
}

// Rows 14 and 15: declining needs no proof and a reason, sending back a proof and a note.
func TestLegalRepDeclinesThroughTheAPI(t *testing.T) {
	w := newWeb(t)
	o, link := w.asked(nil)
	at, m := ofLink(link), w.legal()
	m.ok(http.MethodPost, at+"/open", nil, nil)
	m.refused(http.MethodPost, at+"/decline", map[string]string{"reason": "because"}, http.StatusUnprocessableEntity, "decline_reason_required")
	m.ok(http.MethodPost, at+"/decline", map[string]string{"reason": "unknown"}, nil)
	m.refused(http.MethodPost, at+"/open", nil, http.StatusConflict, "authorization_declined")
	if o := w.order("/orders/" + string(o.ID)); o.Stage != order.Fixable || o.Form.Get(order.LegalIDNo) != "" || o.Reasons[0].Code != "R16" {
		t.Errorf("the order is %s", o.State)
	}

	o, link = w.asked(map[order.Field]string{order.IDNo: "11010119900307002X"})
	at = ofLink(link)
	m.proves(at)
	m.refused(http.MethodPost, at+"/return", map[string]string{"note": " "}, http.StatusUnprocessableEntity, "has_note_required")
	m.refused(http.MethodPost, at+"/return", map[string]string{"note": strings.Repeat("错", 101)}, http.StatusUnprocessableEntity, "has_note_required")
	m.ok(http.MethodPost, at+"/return", map[string]string{"note": "经办人写错了"}, nil)
	if o := w.order("/orders/" + string(o.ID)); o.Stage != order.Fixable || o.Reasons[0] != (order.Reason{Code: "R05", Note: "经办人写错了"}) {
		t.Errorf("the order is %s, %v", o.State, o.Reasons)
	}
	if a := m.call(http.MethodGet, at+"/application", nil, nil); a.Status != http.StatusUnauthorized {
		t.Errorf("the session afterwards: %d", a.Status)
	}
}

// Flows 4.5, fallback for a lost SMS: after a login the menu's page lists what waits
// for this mobile, and leads to it; a lasting authorisation is ended there.
func TestLegalRepFindsWhatWaits(t *testing.T) {
	w := newWeb(t)
	var list struct {
		Authorizations []AskedJSON
		Next           string
	}
	rep, agent := w.legal().login(legalMobile), w.mini("m1", "").login(agentMobile)
	if rep.ok(http.MethodGet, "/authorizations", nil, &list); list.Authorizations == nil || len(list.Authorizations) != 0 {
		t.Errorf("nothing yet: %+v", list)
	}
	o, link := w.asked(nil)
	rep.ok(http.MethodGet, "/authorizations", nil, &list)
	if len(list.Authorizations) != 1 || list.Next != "" {
		t.Fatalf("one: %+v", list)
	}
	one := list.Authorizations[0]
	if ofLink("/auth/"+one.Ticket) != ofLink(link) || one.Company != o.Company || !one.Waiting || one.Until == nil || one.Label != "未发送" && one.Label != "已发送" || one.Agent == "王小琪" {
		t.Errorf("it is %+v", one)
	}
	if agent.ok(http.MethodGet, "/authorizations", nil, &list); len(list.Authorizations) != 0 {
		t.Errorf("the applicant's: %+v", list)
	}
	until := w.clock.now().In(order.Shanghai).AddDate(0, 3, 0).Format(time.DateOnly)
	at, m := "/authorizations/"+one.Ticket, w.legal()
	m.proves(at)
	m.signs(at, until)
	var done SignedJSON
	if m.ok(http.MethodGet, at+"/done", nil, &done); done.Mandate == nil || done.Mandate.In(order.Shanghai).Format(time.DateOnly) != until {
		t.Errorf("lasting: %+v", done)
	}
	m.ok(http.MethodPost, at+"/revoke", nil, nil)
	if m.ok(http.MethodGet, at+"/done", nil, &done); done.Mandate != nil {
		t.Errorf("revoked: %+v", done)
	}
	if rep.ok(http.MethodGet, "/authorizations", nil, &list); len(list.Authorizations) != 1 || list.Authorizations[0].Waiting {
		t.Errorf("signed: %+v", list)
	}
	if rep.ok(http.MethodGet, "/authorizations?before="+url.QueryEscape(newID()[:1]), nil, &list); len(list.Authorizations) != 0 {
		t.Errorf("before the first: %+v", list)
	}
}
