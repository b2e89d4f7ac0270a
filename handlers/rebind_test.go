package handlers

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

const heirMobile = "13900139000"

var proofField = regexp.MustCompile(`name="proof" value="([^"]+)"`)

// F100, F101: a code of the old mobile, then one of the new; in any other order, or
// with somebody else's proof, nothing happens.
func TestRebindPages(t *testing.T) {
	w := newWeb(t)
	b := w.holder()
	at := "/certificates/" + heldSerial + "/rebind"
	owner := w.held().PersonID
	unmoved := func(what string) {
		t.Helper()
		if w.held().PersonID != owner {
			t.Fatalf("%s: the certificate has moved", what)
		}
	}
	if page := b.get("/certificates").Body; !strings.Contains(page, `href="`+at+`"`) {
		t.Errorf("the card:\n%s", page)
	}
	pages := map[string]answer{"rebind-old": b.get(at)}
	if a := b.post(at+"/new", url.Values{"mobile": {heirMobile}, "code": {"123456"}, "proof": {"made-up"}}); a.Status != http.StatusConflict {
		t.Errorf("without the old mobile: %d", a.Status)
	}
	if a := b.post(at+"/new/code", url.Values{"mobile": {heirMobile}}, "HX-Request", "true"); a.Status != http.StatusConflict || w.code(heirMobile) != "" {
		t.Errorf("a code to a stranger without the old mobile: %d", a.Status)
	}
	code := b.codeFor(at)
	if a := b.post(at, url.Values{"code": {"000000"}}); a.Status != http.StatusUnprocessableEntity {
		t.Errorf("a wrong code: %d", a.Status)
	}
	second := b.post(at, url.Values{"code": {code}})
	pages["rebind-new"] = second
	found := proofField.FindStringSubmatch(second.Body)
	if second.Status != http.StatusOK || found == nil {
		t.Fatalf("second step: %d %s", second.Status, second.Body)
	}
	proof := found[1]
	if a := b.post(at+"/new/code", url.Values{"mobile": {"12"}, "proof": {proof}}, "HX-Request", "true"); !strings.Contains(a.Body, "手机号") {
		t.Errorf("a bad mobile: %d %s", a.Status, a.Body)
	}
	if a := b.post(at+"/new/code", url.Values{"mobile": {heirMobile}, "proof": {proof}}, "HX-Request", "true"); !strings.Contains(a.Body, "已发送") {
		t.Fatalf("code to the new mobile: %d %s", a.Status, a.Body)
	}
	form := url.Values{"mobile": {heirMobile}, "code": {"000000"}, "proof": {proof}}
	if a := b.post(at+"/new", form); a.Status != http.StatusUnprocessableEntity {
		t.Errorf("a wrong code of the new mobile: %d", a.Status)
	}
	unmoved("a wrong code")
	form.Set("code", w.code(heirMobile))
	done := b.post(at+"/new", form)
	if done.Status != http.StatusOK || w.held().PersonID == owner {
		t.Fatalf("rebind: %d, bound to %s", done.Status, w.held().PersonID)
	}
	pages["rebound"] = done
	if a := b.post(at+"/new", form); a.Status != http.StatusOK || a.Body != done.Body { // the answer was lost
		t.Errorf("the same again: %d", a.Status)
	}
	stranger := w.browser()
	stranger.login(agentMobile2)
	if a := stranger.post(at+"/new", form); a.Status != http.StatusNotFound {
		t.Errorf("the same by a stranger: %d", a.Status)
	}
	if a := b.post(at+"/new", url.Values{"mobile": {agentMobile2}, "code": {"123456"}, "proof": {proof}}); a.Status != http.StatusNotFound { // no longer his
		t.Errorf("to yet another: %d", a.Status)
	}
	heir := w.browser()
	w.clock.advance(2 * time.Minute)
	heir.login(heirMobile)
	if page := heir.get("/certificates").Body; !strings.Contains(page, heldSerial) || !strings.Contains(page, identity.NewMobile(heirMobile).Mask()) {
		t.Errorf("the heir's certificates:\n%s", page)
	}
	for name, a := range pages {
		portalPage(t, name, proofField.ReplaceAllString(a.Body, `name="proof" value="PROOF"`))
	}
	if log := w.log.String(); strings.Contains(log, heirMobile) || strings.Contains(log, agentMobile) {
		t.Error("a mobile is in the log")
	}
}

// F101, F86: whoever has not the bound mobile names USBKEY and company; any other
// pair answers alike, and guessing ends.
func TestHandoverPages(t *testing.T) {
	w := newWeb(t)
	w.holder()
	must(t, w.db.InTx(t.Context(), func(tx order.Tx) error {
		items, err := tx.Items(t.Context(), w.held().OrderID)
		if err != nil {
			return err
		}
		items[0].TokenSerial = "TW11782207000008"
		return tx.ReplaceItems(t.Context(), w.held().OrderID, items)
	}))
	heir := w.browser()
	heir.login(heirMobile)
	pages := map[string]answer{"handover": heir.get("/handover")}
	uscc := w.held().USCC
	name := func(b, token, uscc string) answer {
		return heir.post("/handover", url.Values{"business": {b}, "token": {token}, "uscc": {uscc}})
	}
	var said []string
	for what, a := range map[string]answer{
		"another company": name("rebind", "TW11782207000008", "91350100M000100Y43"),
		"another key":     name("rebind", "TW11782207000009", uscc),
	} {
		if a.Status != http.StatusUnprocessableEntity || !strings.Contains(a.Body, "没有找到该 UKEY") {
			t.Errorf("%s: %d", what, a.Status)
		}
		said = append(said, faultsIn(a.Body))
	}
	if said[0] != said[1] {
		t.Errorf("told apart: %q", said)
	}
	for what, a := range map[string]answer{"no business": name("", "TW11782207000008", uscc), "renewal": name("renewal", "TW11782207000008", uscc), "no code": name("rebind", "TW11782207000008", "1")} {
		if a.Status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d", what, a.Status)
		}
	}
	a := name("rebind", "tw11782207000008", strings.ToLower(uscc))
	edit := a.location()
	if !strings.HasSuffix(edit, "/edit") {
		t.Fatalf("handover: %d %s", a.Status, a.Body)
	}
	pages["edit-rebind"] = heir.get(edit)
	if page := pages["edit-rebind"].Body; strings.Contains(page, "王小琪") || strings.Contains(page, agentMobile) || !strings.Contains(page, "盖章授权书") || !strings.Contains(page, "营业执照") {
		t.Errorf("the form:\n%s", page)
	}
	if again := name("rebind", "TW11782207000008", uscc).location(); again != edit {
		t.Errorf("again: %s, not %s", again, edit)
	}
	for range namingsAnHour {
		a = name("rebind", "TW11782207000009", uscc)
	}
	if !strings.Contains(a.Body, "尝试次数过多") {
		t.Errorf("guessing goes on: %d", a.Status)
	}
	for name, a := range pages {
		portalPage(t, name, a.Body)
	}
}

// F101 in the mini-program: both codes, in this order, by the bound user alone.
func TestRebindThroughTheAPI(t *testing.T) {
	w := newWeb(t)
	w.holder()
	w.clock.advance(2 * time.Minute)
	m := w.mini("m1", "").login(agentMobile)
	owner := w.held().PersonID
	at := "/certificates/" + heldSerial + "/rebind"
	var list certificateList
	if m.ok(http.MethodGet, "/certificates", nil, &list); !list.only(t).CanRebind {
		t.Errorf("the card %+v", list.only(t))
	}
	try := func(path string, want int, code string, in map[string]string) {
		t.Helper()
		if a := m.call(http.MethodPost, at+path, in, nil); a.Status != want || !strings.Contains(a.Body, code) || w.held().PersonID != owner {
			t.Errorf("%s: %d %s, want %d %s, bound to %s", path, a.Status, a.Body, want, code, w.held().PersonID)
		}
	}
	try("", http.StatusConflict, "old_mobile_unproven", map[string]string{"mobile": heirMobile, "code": "123456", "proof": "made-up"})
	try("/new/code", http.StatusConflict, "old_mobile_unproven", map[string]string{"mobile": heirMobile, "proof": "made-up"})
	if w.code(heirMobile) != "" {
		t.Error("a stranger got a code")
	}
	m.ok(http.MethodPost, at+"/code", nil, nil)
	try("/prove", http.StatusUnprocessableEntity, "code", map[string]string{"code": "000000"})
	var p ProofJSON
	m.ok(http.MethodPost, at+"/prove", map[string]string{"code": w.code(agentMobile)}, &p)
	try("/new/code", http.StatusUnprocessableEntity, "mobile_invalid", map[string]string{"mobile": "12", "proof": p.Proof})
	m.ok(http.MethodPost, at+"/new/code", map[string]string{"mobile": heirMobile, "proof": p.Proof}, nil)
	in := map[string]string{"mobile": heirMobile, "code": "000000", "proof": p.Proof}
	try("", http.StatusUnprocessableEntity, "code", in)
	in["code"] = w.code(heirMobile)
	m.ok(http.MethodPost, at, in, nil)
	if w.held().PersonID == owner {
		t.Fatal("the certificate has not moved")
	}
	m.ok(http.MethodPost, at, in, nil) // the answer was lost
	for name, other := range map[string]map[string]string{"to yet another": {"mobile": agentMobile2, "code": "123456", "proof": p.Proof}, "without a word": {}} {
		if a := m.call(http.MethodPost, at, other, nil); a.Status < 400 {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	if a := m.call(http.MethodPost, at+"/new/code", in, nil); a.Status != http.StatusNotFound { // no longer his
		t.Errorf("another code: %d", a.Status)
	}
	w.clock.advance(2 * time.Minute)
	if a := w.mini("m3", "").login(agentMobile2).call(http.MethodPost, at, in, nil); a.Status != http.StatusNotFound {
		t.Errorf("a stranger: %d", a.Status)
	}
	w.clock.advance(proofLife)
	m.begin()
	if a := m.call(http.MethodPost, at, in, nil); a.Status != http.StatusNotFound {
		t.Errorf("long after: %d", a.Status)
	}
	heir := w.mini("m2", "").login(heirMobile)
	if heir.ok(http.MethodGet, "/certificates", nil, &list); list.only(t).Serial != heldSerial {
		t.Errorf("the heir's %+v", list)
	}
	if a := heir.call(http.MethodPost, at+"/new/code", map[string]string{"mobile": agentMobile, "proof": p.Proof}, nil); a.Status != http.StatusConflict {
		t.Errorf("with the other's proof: %d", a.Status)
	}
	if log := w.log.String(); strings.Contains(log, heirMobile) || strings.Contains(log, agentMobile) {
		t.Error("a mobile is in the log")
	}
}

// F101, F86 in the mini-program: the form begins only for a USBKEY and company that
// belong together, asks for the stamped letter, and guessing ends.
func TestHandoverThroughTheAPI(t *testing.T) {
	w := newWeb(t)
	w.holder()
	const key = "TW11782207000008"
	must(t, w.db.InTx(t.Context(), func(tx order.Tx) error {
		items, err := tx.Items(t.Context(), w.held().OrderID)
		if err != nil {
			return err
		}
		items[0].TokenSerial = key
		return tx.ReplaceItems(t.Context(), w.held().OrderID, items)
	}))
	heir := w.mini("m2", "").login(heirMobile)
	uscc := w.held().USCC
	var may struct{ Businesses []OptionJSON }
	if heir.ok(http.MethodGet, "/handovers", nil, &may); len(may.Businesses) != len(handovers) || may.Businesses[0].Value != "rebind" {
		t.Errorf("businesses %+v", may)
	}
	name := func(b, token, uscc string, out any) answer {
		return heir.call(http.MethodPost, "/handovers", map[string]string{"business": b, "token_serial": token, "uscc": uscc}, out)
	}
	for field, in := range map[string][3]string{
		"business": {"renewal", key, uscc}, "token_serial": {"rebind", " ", uscc}, "uscc": {"rebind", key, "1"},
	} {
		if a := name(in[0], in[1], in[2], nil); a.Status != http.StatusUnprocessableEntity || !strings.Contains(a.Body, `"field":"`+field+`"`) {
			t.Errorf("%s: %d %s", field, a.Status, a.Body)
		}
	}
	var said []string
	for what, in := range map[string][2]string{"another company": {key, "91350100M000100Y43"}, "another key": {"TW11782207000009", uscc}} {
		a := name("rebind", in[0], in[1], nil)
		if a.Status < 400 || a.Status >= 500 || !strings.Contains(a.Body, "没有找到该 UKEY") {
			t.Errorf("%s: %d %s", what, a.Status, a.Body)
		}
		said = append(said, volatile.ReplaceAllString(a.Body, ""))
	}
	if said[0] != said[1] {
		t.Errorf("told apart: %q", said)
	}
	var o, again OrderJSON
	if a := name("rebind", strings.ToLower(key), strings.ToLower(uscc), &o); a.Status >= 300 || o.Action != "continue" {
		t.Fatalf("begin: %d %s", a.Status, a.Body)
	}
	if name("rebind", key, uscc, &again); again.ID != o.ID {
		t.Errorf("again: %s, not %s", again.ID, o.ID)
	}
	var form FormJSON
	a := heir.call(http.MethodGet, "/orders/"+o.ID+"/form", nil, &form)
	if strings.Contains(a.Body, "王小琪") || strings.Contains(a.Body, agentMobile) || !strings.Contains(a.Body, "授权书") {
		t.Errorf("the form: %s", a.Body)
	}
	for range namingsAnHour {
		a = name("rebind", "TW11782207000009", uscc, nil)
	}
	if a.Status != http.StatusTooManyRequests {
		t.Errorf("guessing goes on: %d", a.Status)
	}
}

// Reliability 18: the new mobile has not been proven by anybody, so that its SMS are
// counted with all that strangers have sent to it.
func TestRebindSendsNoMoreThanStrangersMay(t *testing.T) {
	w := newWeb(t)
	b := w.holder()
	at := "/certificates/" + heldSerial + "/rebind"
	proof := proofField.FindStringSubmatch(b.post(at, url.Values{"code": {b.codeFor(at)}}).Body)[1]
	stranger := w.browser()
	stranger.get("/login")
	stranger.post("/login/code", url.Values{"mobile": {heirMobile}}, "HX-Request", "true")
	was := w.code(heirMobile)
	if a := b.post(at+"/new/code", url.Values{"mobile": {heirMobile}, "proof": {proof}}, "HX-Request", "true"); was == "" || w.code(heirMobile) != was {
		t.Errorf("a second SMS within a minute: %s", a.Body)
	}
}
