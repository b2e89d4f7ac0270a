package handlers

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yeka/zip"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/order"
)

// What a holder registers stands on his card, answers for him when he renews or revokes,
// and warns him when he freezes; what is wrong about it is said, and nothing he typed is
// lost.
func TestOpeningsOnTheWeb(t *testing.T) {
	w := newWeb(t)
	b := w.holder()
	page := "/certificates/" + heldSerial + "/openings"
	at := func(days int) string { return order.TypedMoment(w.clock.now().AddDate(0, 0, days)) }
	wantIn(t, "the card", b.get("/certificates").Body, `href="`+page+`"`)
	wantIn(t, "nothing registered", b.get(page).Body, "还没有登记")
	m := w.mini("m1", "").login(agentMobile)
	for _, test := range []struct{ name, project, opening, field string }{
		{"no moment", "风电", "soon", "opening"},
		{"passed", "风电", at(-1), "opening"},
		{"a number", "风电 " + agentMobile, at(9), "project"},
		{"a very long name", strings.Repeat("风", 61), at(9), "project"},
	} {
		a := b.post(page, url.Values{"project": {test.project}, "opening": {test.opening}})
		if a.Status != http.StatusUnprocessableEntity || !strings.Contains(a.Body, `id="`+test.field+`-fault"`) || !strings.Contains(a.Body, `value="`+test.opening) || !strings.Contains(a.Body, test.project) {
			t.Errorf("%s: %d %s", test.name, a.Status, a.Body)
		}
		if a := m.call(http.MethodPost, page, map[string]string{"project": test.project, "opening": test.opening}, nil); a.Status != http.StatusUnprocessableEntity || !about(t, a, test.field) {
			t.Errorf("%s, on the phone: %d %s", test.name, a.Status, a.Body)
		}
	}
	b.mustPost(page, url.Values{"project": {"三期风电塔筒采购"}, "opening": {at(9)}}, page)
	wantIn(t, "the page", b.get(page).Body, "三期风电塔筒采购", "还有 9 天", "开标时证书有效")
	wantIn(t, "the card", b.get("/certificates").Body, "三期风电塔筒采购", "lamp green")
	wantIn(t, "freezing", b.get("/certificates/"+heldSerial+"/freeze").Body, "三期风电塔筒采购", "冻结期间，用它加密的投标文件无法解密")
	wantIn(t, "revoking", b.get("/certificates/"+heldSerial+"/revoke").Body, "三期风电塔筒采购", `value="open" required checked`, `value="`+at(9)+`"`, "开标解密完成后再吊销")

	// On the phone it is the same list, and ends there.
	var list struct {
		Certificates []struct {
			Openings []OpeningJSON `json:"openings"`
			Freeze   []OpeningJSON `json:"freeze_openings"`
			Revoke   []OpeningJSON `json:"revoke_openings"`
		} `json:"certificates"`
	}
	openings := func() []OpeningJSON {
		t.Helper()
		if a := m.call(http.MethodGet, "/certificates", nil, &list); a.Status != http.StatusOK || len(list.Certificates) != 1 {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		defer func() { list.Certificates = nil }()
		if c := list.Certificates[0]; c.Freeze != nil && (!slices.Equal(c.Freeze, c.Openings) || !slices.Equal(c.Revoke, c.Openings)) {
			t.Errorf("before a freeze %+v, before a revocation %+v", c.Freeze, c.Revoke)
		}
		return list.Certificates[0].Openings
	}
	if a := m.call(http.MethodPost, page, map[string]string{"opening": at(2), "project": "升压站"}, nil); a.Status >= 300 {
		t.Fatalf("registered on the phone: %d %s", a.Status, a.Body)
	}
	if got := openings(); len(got) != 2 || got[0].Project != "升压站" || got[0].Light != string(certificate.Yellow) || got[1].Light != string(certificate.Green) {
		t.Fatalf("on the phone: %+v", got)
	}
	if bob := w.mini("m2", "").login(agentMobile2); bob.call(http.MethodPost, page+"/"+openings()[0].ID+"/delete", nil, nil).Status != http.StatusNotFound {
		t.Error("somebody else takes it back")
	}
	if a := m.call(http.MethodPost, page+"/"+openings()[0].ID+"/delete", nil, nil); a.Status >= 300 || len(openings()) != 1 {
		t.Errorf("taken back: %d", a.Status)
	}
	left := openings()[0].ID
	wantIn(t, "the calendar", b.get("/certificates/calendar").Body, "三期风电塔筒采购", "TRIGGER:-P1D")

	if a := b.post("/certificates/"+heldSerial+"/freeze", url.Values{"sure": {"yes"}, "code": {b.codeFor("/certificates/" + heldSerial + "/freeze")}}); a.location() != "/certificates" {
		t.Fatalf("freeze: %d", a.Status)
	}
	wantIn(t, "the card of a frozen certificate", b.get("/certificates").Body, "lamp red", "请先申请恢复")
	b.mustPost(page+"/"+left+"/delete", nil, page)
	wantIn(t, "nothing is left", b.get(page).Body, "还没有登记")
	if strings.Contains(w.log.String(), "三期风电塔筒采购") {
		t.Error("what the holder calls his project is in the log")
	}
}

// A revocation because the old USBKEY was stolen reaches the newer certificate on it: what is
// ahead of that is said, too, and for another reason it is not taken for at stake.
func TestOpeningsOfAllOnAStolenKey(t *testing.T) {
	w := newWeb(t)
	b := w.holder()
	w.renewed()
	newer := "/certificates/" + renewedSerial + "/openings"
	b.mustPost(newer, url.Values{"project": {"三期风电"}, "opening": {order.TypedMoment(w.clock.now().AddDate(0, 0, 9))}}, newer)
	page := "/certificates/" + heldSerial + "/revoke"
	body := b.get(page).Body
	wantIn(t, "before a reason", body, "原因是「UKEY 丢失、被盗或口令泄露」时，受影响的开标", "三期风电")
	wantNotIn(t, "before a reason", body, "这把 UKEY 有登记的开标", `value="open" required checked`)
	chosen := b.post(page, url.Values{"reason": {"keyCompromise"}}).Body
	wantIn(t, "stolen", chosen, "这把 UKEY 有登记的开标", "三期风电", `value="open" required checked`)
	wantNotIn(t, "the newer one itself", b.get("/certificates/"+renewedSerial+"/revoke").Body, "受影响的开标")
	var list struct {
		Certificates []struct {
			Serial string        `json:"serial"`
			Revoke []OpeningJSON `json:"revoke_openings"`
			Stolen []OpeningJSON `json:"stolen_openings"`
		} `json:"certificates"`
	}
	if a := w.mini("m1", "").login(agentMobile).call(http.MethodGet, "/certificates", nil, &list); a.Status != http.StatusOK {
		t.Fatal(a.Status)
	}
	for _, c := range list.Certificates {
		if want := map[string]int{heldSerial: 0, renewedSerial: 1}[c.Serial]; len(c.Revoke) != want || len(c.Stolen) != 1 {
			t.Errorf("%s on the phone: %+v, stolen %+v", c.Serial[:2], c.Revoke, c.Stolen)
		}
	}
}

// My data holds what is registered, also what has passed and is not forgotten yet.
func TestOpeningsAreMyData(t *testing.T) {
	w := newWeb(t)
	b := w.holder()
	page := "/certificates/" + heldSerial + "/openings"
	b.mustPost(page, url.Values{"project": {"三期风电"}, "opening": {order.TypedMoment(w.clock.now().AddDate(0, 0, 2))}}, page)
	w.clock.advance(3 * 24 * time.Hour)
	var out bytes.Buffer
	must(t, w.writeCopy(t.Context(), &out, copyTicket{PersonID: w.held().PersonID, Password: "aaaa"}))
	r, err := zip.NewReader(bytes.NewReader(out.Bytes()), int64(out.Len()))
	must(t, err)
	for _, f := range r.File {
		if f.Name != "账号.json" {
			continue
		}
		f.SetPassword("aaaa")
		content, err := f.Open()
		must(t, err)
		text, err := io.ReadAll(content)
		must(t, err)
		wantIn(t, "the copy", string(text), `"openings": [`, "三期风电", `"certificate": "`+heldSerial)
		return
	}
	t.Error("no account in it")
}

// Who renews has been asked already, if he has registered an opening (flows.md 4.7).
func TestOpeningAnswersForARenewal(t *testing.T) {
	w := newWeb(t)
	b := w.holder()
	b.later(350 * 24 * time.Hour)
	page := "/certificates/" + heldSerial + "/openings"
	at := order.TypedMoment(w.clock.now().AddDate(0, 0, 9))
	b.mustPost(page, url.Values{"opening": {at}}, page)
	edit := b.post("/orders", begin(heldSerial, order.Renewal)).location()
	wantIn(t, "the form", b.get(edit).Body, `value="`+at+`"`, "建议开标后再更新")
}

// Reviewers see which of their tasks keeps bids from being opened in the next days: the
// certificate that is to be put back is needed the day after tomorrow.
func TestTasksBeforeAnOpening(t *testing.T) {
	d := newDesk(t).hire()
	b := d.holder()
	openings, freeze := "/certificates/"+heldSerial+"/openings", "/certificates/"+heldSerial+"/freeze"
	b.mustPost(openings, url.Values{"opening": {order.TypedMoment(d.clock.now().AddDate(0, 0, 5))}, "project": {"三期风电"}}, openings)
	b.post(freeze, url.Values{"sure": {"yes"}, "code": {b.codeFor(freeze)}})
	path := b.submitted(b.post("/orders", begin(heldSerial, order.Resume)).location(), url.Values{})
	task := strings.Replace(path, "/orders/", "/staff/review/", 1)
	if a := d.login("李审核").get("/staff/review?stage=opening"); a.Status != http.StatusOK || strings.Contains(a.Body, task) {
		t.Errorf("five days ahead: %d, %v", a.Status, strings.Contains(a.Body, task))
	}
	d.clock.advance(3 * 24 * time.Hour)
	li := d.login("李审核")
	wantIn(t, "two days ahead", li.get("/staff/review?stage=opening").Body, task, "开标（还有 2 天）")
	wantNotIn(t, "what the holder calls it", li.get("/staff/review?stage=opening").Body, "三期风电")
	d.clock.advance(2 * 24 * time.Hour)
	wantNotIn(t, "opened", d.login("李审核").get("/staff/review?stage=opening").Body, task)
}
