package handlers

import (
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/yuncaidun/yuncaidun/order"
)

// productValues is the form of the seeded product, as the page has it.
func productValues(version int, change ...string) url.Values {
	form := url.Values{
		"version": {strconv.Itoa(version)}, "code": {"yd-initial"}, "name": {"云岭能源集团电子招投标CA认证项目-初购"}, "price_fen": {"300.00"}, "express_fee_fen": {"0"}, "express_hours": {"8"}, "on_sale": {"yes"}, "years": {"1", "2", "3"}, "max_keys": {"20"},
		"seals": {"unit", "legal_rep"}, "authorizations": {"paper", "miniprogram"}, "issue_mode": {"admin"}, "algorithm": {"p256"},
	}
	for i := 0; i < len(change); i += 2 {
		form[change[i]] = strings.Fields(change[i+1])
	}
	return form
}

// F126, F7: an admin changes a price. Who applies afterwards sees and owes the new one; an
// order that was submitted keeps its own.
func TestAPriceChanges(t *testing.T) {
	d := newDesk(t).hire()
	before := d.order(d.browser().paid())
	admin := d.login("吴管理")
	wantIn(t, "products", admin.get(productsPath).Body, "yd-initial", "300.00 元", "在售")
	edit := productsPath + "/edit"
	wantIn(t, "form", admin.get(edit+"?code=yd-initial").Body, `value="300.00"`, `value="unit" checked`, `value="miniprogram" checked`)
	admin.mustPost(edit, productValues(0, "price_fen", "360.5"), productsPath)
	d.clock.advance(2 * 60e9) // another code is sent
	wantIn(t, "home", d.browser().get("/").Body, "360.50 元/年")
	after := d.order(d.browser().paid())
	if again := d.read(before.ID); again.Amount != before.Amount || after.Amount != 36050*order.Fen(after.Quantity())*order.Fen(after.Product.Term) {
		t.Errorf("before %d, now %d; after %d", before.Amount, again.Amount, after.Amount)
	}
	wantIn(t, "history", admin.get(productsPath).Body, "修改记录", "吴管理")

	admin.mustPost(edit, productValues(1, "express_fee_fen", "66.00", "express_hours", "4"), productsPath)
	if p, err := d.settings.Catalogue().Product("yd-initial"); err != nil || p.Express == nil || *p.Express != (order.Express{Fee: 6600, Hours: 4}) {
		t.Errorf("express: %+v, %v", p.Express, err)
	}
	admin.mustPost(edit, productValues(2, "on_sale", ""), productsPath)
	wantIn(t, "no more on sale", admin.get(productsPath).Body, "已停售")
	if a := d.browser().post("/orders", url.Values{"product": {"yd-initial"}}); a.Status < 400 {
		t.Errorf("applying for it: %d", a.Status)
	}

	for name, c := range map[string]struct {
		form url.Values
		says string
	}{
		"somebody changed it since": {productValues(0), "其他管理员刚刚修改过"},
		"no price":                  {productValues(3, "price_fen", "三百"), "请填写金额"},
		"no number":                 {productValues(3, "max_keys", "many"), "请填写整数"},
		"no years":                  {productValues(3, "years", ""), "年限为 1 到 5 年"},
		"express in no time":        {productValues(3, "express_fee_fen", "66.00", "express_hours", "40"), "加急时限为 1 到 16 个工作小时"},
		"no name":                   {productValues(3, "name", ""), "请填写产品名称"},
	} {
		a := admin.post(edit, c.form)
		if a.Status < 400 || !strings.Contains(a.Body, c.says) {
			t.Errorf("%s: %d", name, a.Status)
		}
		wantIn(t, name+": what was typed", a.Body, `value="`+c.form.Get("price_fen")+`"`, `name="version" value="3"`)
	}
}

// F1, F2, F126: an admin adds a project and its product; people find both, and what the
// project does not sell it does not offer.
func TestAProjectIsAdded(t *testing.T) {
	d := newDesk(t).hire()
	admin := d.login("吴管理")
	admin.get(productsPath)
	admin.mustPost(productsPath+"/project", url.Values{"version": {"0"}, "name": {" 青禾水务电子招投标 "}}, productsPath)
	projects := d.settings.Catalogue().Projects
	key := projects[len(projects)-1].Key
	wantIn(t, "home", d.browser().get("/").Body, "青禾水务电子招投标")
	form := productValues(1, "code", "qh-initial", "business", "initial", "name", "青禾水务电子招投标-初购", "project", key, "price_fen", "88")
	admin.mustPost(productsPath+"/edit", form, productsPath)
	page := d.browser().get("/p/" + key).Body
	wantIn(t, "project", page, "88.00 元/年", "该项目暂不提供更新", "该项目暂不提供解锁")
	wantNotIn(t, "project", page, `href="/unlock"`)
	odd := productValues(1, "code", "qh-x", "business", "renewal", "project", key, "max_keys", "many", "years", "2", "seals", "unit")
	wantIn(t, "a refused one keeps what was typed", admin.post(productsPath+"/edit", odd).Body, `value="renewal" checked`, `value="many"`, `value="qh-x"`, `value="2" checked`, `value="unit" checked`, "请填写整数")
	for code, business := range map[string]string{"qh-approval": "unlock_approval", "qh-self": "unlock_self"} {
		form := productValues(d.settings.Version(order.CatalogueSetting), "code", code, "business", business, "project", key, "max_keys", "1", "seals", "", "issue_mode", "self", "price_fen", "0", "years", "1")
		admin.mustPost(productsPath+"/edit", form, productsPath)
	}
	wantIn(t, "project that unlocks", d.browser().get("/p/"+key).Body, `href="/unlock"`)
	if a := admin.post(productsPath+"/edit", form); a.Status != http.StatusConflict && a.Status != http.StatusUnprocessableEntity {
		t.Errorf("the same code again: %d", a.Status)
	}
	admin.mustPost(productsPath+"/second", url.Values{"version": {"4"}, "min_amount_fen": {"1000"}, "min_quantity": {"2"}, "paper_new_company": {"yes"}}, productsPath)
	if got := d.settings.Catalogue().SecondApproval; got != (order.SecondRule{MinAmount: 100000, MinQuantity: 2, PaperNewCompany: true}) {
		t.Errorf("second rule %+v", got)
	}
	if a := admin.post(productsPath+"/second", url.Values{"version": {"5"}, "min_amount_fen": {"many"}, "min_quantity": {"2"}}); a.Status != http.StatusUnprocessableEntity || !strings.Contains(a.Body, `value="many"`) {
		t.Errorf("no amount: %d", a.Status)
	}
}

// F63, F126: the days of a year, as people write them.
func TestTheCalendarChanges(t *testing.T) {
	d := newDesk(t).hire()
	admin := d.login("吴管理")
	wantIn(t, "2027", admin.get(calendarPath+"?year=2027").Body, "还没有确认", "2027-02-05 至 2027-02-08", `<td class="off">5</td>`)
	form := url.Values{"year": {"2027"}, "version": {"0"}, "off": {"2027-01-01～2027-01-03\r\n\r\n2027-02-05 到 2027-02-11\r\n"}, "work": {"2027-01-30"}, "source": {"国办发明电〔2026〕0号"}, "confirmed": {"yes"}}
	admin.mustPost(calendarPath, form, calendarPath+"?year=2027")
	page := admin.get(calendarPath + "?year=2027").Body
	wantIn(t, "changed", page, "2027-01-01 至 2027-01-03\n2027-02-05 至 2027-02-11", `<td class="work">30</td>`, "吴管理")
	wantNotIn(t, "changed", page, "还没有确认")
	for name, c := range map[string]struct{ field, value, says string }{
		"no day":       {"off", "春节", "不是 2027 年的日期"},
		"both":         {"work", "2027-01-02", "既是放假又是上班"},
		"a Monday":     {"work", "2027-03-01", "不是周末"},
		"by nothing":   {"source", " ", "请填写通知的名称或文号"},
		"seen before":  {"version", "0", "其他管理员刚刚修改过"},
		"no year":      {"year", "x", "没有该年份"},
		"another year": {"off", "2026-10-01", "不是 2027 年的日期"},
	} {
		changed := url.Values{}
		for k, v := range form {
			changed[k] = v
		}
		changed.Set("version", "1")
		changed.Set(c.field, c.value)
		if a := admin.post(calendarPath, changed); a.Status < 400 || !strings.Contains(a.Body, c.says) {
			t.Errorf("%s: %d", name, a.Status)
		}
	}
	if a := admin.get(calendarPath + "?year=1999"); a.Status != http.StatusNotFound {
		t.Errorf("1999: %d", a.Status)
	}
}

// F105, F126: the provider's numbers of our SMS texts.
func TestSMSTemplateNumbers(t *testing.T) {
	d := newDesk(t).hire()
	admin := d.login("吴管理")
	page := admin.get(smsPath).Body
	wantIn(t, "page", page, "验证码{1}，用于{2}", `name="shipped" type="text" inputmode="numeric" maxlength="200" autocomplete="off" value="1001"`, "个模板没有编号")
	form := url.Values{"version": {"0"}, "code": {"7"}}
	for _, name := range regexpNames.FindAllStringSubmatch(page, -1) {
		form.Set(name[1], "7001")
	}
	admin.mustPost(smsPath, form, smsPath)
	if got := d.settings.SMSTemplate("code"); got != "7001" {
		t.Errorf("code %q", got)
	}
	wantNotIn(t, "all there", admin.get(smsPath).Body, "个模板没有编号")
	form.Set("version", "1")
	form.Set("code", "验证码")
	if a := admin.post(smsPath, form); a.Status != http.StatusUnprocessableEntity || !strings.Contains(a.Body, "1 到 20 位数字") || !strings.Contains(a.Body, `value="验证码"`) {
		t.Errorf("no number: %d", a.Status)
	}
}

// Of two admins who change one thing at once the later one reads, beside what he typed,
// what the first has saved.
func TestTwoAdminsSetUp(t *testing.T) {
	d := newDesk(t).hire()
	admin := d.login("吴管理")
	sms := url.Values{"version": {"0"}}
	for _, name := range regexpNames.FindAllStringSubmatch(admin.get(smsPath).Body, -1) {
		sms.Set(name[1], "7001")
	}
	admin.mustPost(smsPath, sms, smsPath)
	sms.Set("code", "7002")
	days := url.Values{"year": {"2027"}, "version": {"0"}, "off": {"2027-01-01\r\n2027-02-05 至 2027-02-11"}, "work": {""}, "source": {"国办发明电〔2026〕0号"}, "confirmed": {"yes"}}
	admin.mustPost(calendarPath, days, calendarPath+"?year=2027")
	days.Set("off", "2027-01-01")
	days.Del("confirmed")
	admin.mustPost(productsPath+"/edit", productValues(0, "price_fen", "360.50", "seals", "unit"), productsPath)
	second := url.Values{"version": {"0"}, "min_amount_fen": {"1000"}, "min_quantity": {"2"}}
	const saved = "其他管理员保存的是："
	for name, c := range map[string]struct {
		path string
		form url.Values
		says []string
	}{
		"SMS":         {smsPath, sms, []string{saved + "7001", `value="7002"`}},
		"days":        {calendarPath, days, []string{saved + "2027-01-01；2027-02-05 至 2027-02-11", saved + "已勾选"}},
		"product":     {productsPath + "/edit", productValues(0, "price_fen", "310.00", "on_sale", ""), []string{saved + "360.50", saved + "单位公章", saved + "已勾选", `value="310.00"`}},
		"second rule": {productsPath + "/second", second, []string{saved + "3000.00", `value="1000"`}},
	} {
		a := admin.post(c.path, c.form)
		if a.Status != http.StatusConflict {
			t.Errorf("%s: %d", name, a.Status)
		}
		wantIn(t, name, a.Body, append(c.says, "其他管理员刚刚修改过")...)
		now := versionIn.FindStringSubmatch(a.Body)
		if now == nil {
			t.Fatalf("%s: no version", name)
		}
		c.form.Set("version", now[1])
		if a := admin.post(c.path, c.form); a.Status != http.StatusSeeOther { // knowingly
			t.Errorf("%s, again: %d %s", name, a.Status, alertIn(a.Body))
		}
	}
}

// What admins set up is theirs alone.
func TestOnlyAdminsSetUp(t *testing.T) {
	d := newDesk(t).hire()
	b := d.login("李审核")
	for _, r := range d.matrix {
		if !strings.HasPrefix(r.Path, productsPath) && r.Path != calendarPath && r.Path != smsPath {
			continue
		}
		if a := b.try(r, r.Path); a.Status != http.StatusForbidden {
			t.Errorf("%s %s: %d", r.Method, r.Path, a.Status)
		}
	}
}

var regexpNames = regexp.MustCompile(`id="in-([a-z0-9_]+)"`)

var versionIn = regexp.MustCompile(`name="version" value="([0-9]+)"`)
