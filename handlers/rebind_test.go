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
	if a := b.post(at+"/new", form); a.Status != http.StatusNotFound { // no longer his
		t.Errorf("twice: %d", a.Status)
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
