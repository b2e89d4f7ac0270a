package handlers

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/yuncaidun/yuncaidun/order"
)

var secretIn = regexp.MustCompile(`<span class="mono">([A-Z2-7]{32})</span>`)

// F126: an admin adds a colleague, who logs in with what the page showed once; changes
// his roles, gives him another secret, closes and opens his account.
func TestColleagues(t *testing.T) {
	d := newDesk(t).hire()
	admin := d.login("吴管理")
	wantIn(t, "list", admin.get(peoplePath).Body, "李审核", "139****0001", "审核员", "吴管理", "添加同事")
	invite := url.Values{"mobile": {"139 0000 0008"}, "name": {"冯发货"}, "role": {"shipper"}}
	a := admin.post(peoplePath, invite)
	found := secretIn.FindStringSubmatch(a.Body)
	if a.Status != http.StatusOK || found == nil {
		t.Fatalf("adding: %d", a.Status)
	}
	wantIn(t, "secret", a.Body, "冯发货", "只显示这一次", "data:image/png;base64,")
	list := admin.get(peoplePath).Body
	wantNotIn(t, "list afterwards", list, found[1], "13900000008")
	id := regexp.MustCompile(peoplePath + `/([0-9A-Z]{26})">冯发货`).FindStringSubmatch(list)[1]
	page := peoplePath + "/" + id
	stored := func() order.Staff {
		t.Helper()
		m, err := d.db.Staff(t.Context(), id)
		must(t, err)
		return m
	}
	if stored().TOTPSecret != found[1] {
		t.Error("another secret was shown than the stored one")
	}

	admin.mustPost(page, url.Values{"name": {"冯发货"}, "role": {"shipper", "issuer"}, "leader": {"yes"}, "seen": {stored().Rights().Mark()}}, peoplePath)
	if m := stored(); !m.Has(order.Issuer) || !m.Leader {
		t.Errorf("changed: %+v", m.Roles)
	}
	wantIn(t, "page", admin.get(page).Body, `value="issuer" checked`, `value="shipper" checked`)
	if again := secretIn.FindStringSubmatch(admin.post(page+"/totp", nil).Body); again == nil || again[1] == found[1] || again[1] != stored().TOTPSecret {
		t.Errorf("another secret: %v", again)
	}
	admin.mustPost(page+"/close", nil, peoplePath)
	if !stored().Disabled {
		t.Error("not closed")
	}
	wantIn(t, "closed", admin.get(page).Body, "已停用", "启用账号")
	admin.mustPost(page+"/open", nil, peoplePath)
	if stored().Disabled {
		t.Error("not open again")
	}

	self := peoplePath + "/" + d.staff["吴管理"].ID
	for name, c := range map[string]struct {
		path string
		form url.Values
		says string
	}{
		"a known mobile":        {peoplePath, url.Values{"mobile": {"13900000001"}, "name": {"李某"}, "role": {"finance"}}, "该手机号已有账号（李审核）"},
		"a wrong mobile":        {peoplePath, url.Values{"mobile": {"12345"}, "name": {"李某"}, "role": {"finance"}}, "手机号"},
		"no role":               {page, url.Values{"name": {"冯发货"}}, "至少给出一个角色"},
		"a wrong company":       {page, url.Values{"name": {"冯发货"}, "role": {"shipper"}, "company": {"91110108MA00TEN18G"}}, "统一社会信用代码"},
		"himself closed":        {self + "/close", nil, "不能停用自己"},
		"himself no more admin": {self, url.Values{"name": {"吴管理"}, "role": {"finance"}, "seen": {d.staff["吴管理"].Rights().Mark()}}, "另一位管理员"},
	} {
		if a := admin.post(c.path, c.form); a.Status < 400 || !strings.Contains(alertIn(a.Body), c.says) {
			t.Errorf("%s: %d %s", name, a.Status, alertIn(a.Body))
		}
	}
	wantIn(t, "what was typed", admin.post(peoplePath, url.Values{"mobile": {"12345"}, "name": {"李某"}, "role": {"finance"}}).Body, `value="12345"`, `value="李某"`, `value="finance" checked`)

	reviewer := d.login("李审核")
	for _, r := range []string{"GET " + peoplePath, "POST " + peoplePath, "GET " + page, "POST " + page, "POST " + page + "/close", "POST " + page + "/totp"} {
		method, path, _ := strings.Cut(r, " ")
		if a := reviewer.try(route{Method: method}, path); a.Status != http.StatusForbidden {
			t.Errorf("a reviewer: %s: %d", r, a.Status)
		}
	}
	if a := admin.get(peoplePath + "/nope"); a.Status != http.StatusNotFound {
		t.Errorf("nobody: %d", a.Status)
	}
	if strings.Contains(d.log.String(), stored().TOTPSecret) {
		t.Error("a secret is in the log")
	}
}

// Of two admins who change one account at once the later one reads what the first has
// saved; what he typed stays, and the next time it is saved knowingly.
func TestTwoAdminsChangeAColleague(t *testing.T) {
	d := newDesk(t).hire()
	admin := d.login("吴管理")
	id := d.staff["李审核"].ID
	page := peoplePath + "/" + id
	seen := seenIn(t, admin.get(page).Body)
	admin.mustPost(page, url.Values{"name": {"李审核"}, "role": {"reviewer", "finance"}, "leader": {"yes"}, "seen": {seen}}, peoplePath)
	mine := url.Values{"name": {"李小审"}, "role": {"reviewer", "issuer"}, "seen": {seen}}
	a := admin.post(page, mine)
	if a.Status != http.StatusConflict {
		t.Fatalf("the later one: %d", a.Status)
	}
	wantIn(t, "the later one", a.Body, "其他管理员保存的是：李审核，财务、审核员，组长", `value="李小审"`, `value="issuer" checked`)
	if m, err := d.db.Staff(t.Context(), id); err != nil || !m.Leader || m.Has(order.Issuer) {
		t.Errorf("refused, yet %+v, %v", m.Rights(), err)
	}
	mine.Set("seen", seenIn(t, a.Body))
	admin.mustPost(page, mine, peoplePath)
	if m, err := d.db.Staff(t.Context(), id); err != nil || m.Leader || !m.Has(order.Issuer) {
		t.Errorf("saved knowingly: %+v, %v", m.Rights(), err)
	}
}

var seenField = regexp.MustCompile(`name="seen" value="([0-9a-f]+)"`)

func seenIn(t *testing.T, page string) string {
	t.Helper()
	found := seenField.FindStringSubmatch(page)
	if found == nil {
		t.Fatal("no mark on the page")
	}
	return found[1]
}
