package handlers

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store/session"
)

// F14: a submission lists everything missing at once, in form order.
func TestSubmissionListsAllFaults(t *testing.T) {
	b := newWeb(t).browser()
	path := b.draft()
	a := b.post(path+"/form", url.Values{"do": {"submit"}, "org.uscc": {"91110108MA00TEN18G"}, "invoice.wanted": {"yes"}})
	list := faultsIn(a.Body)
	if a.Status != http.StatusUnprocessableEntity || strings.Count(list, "<li>") != 18 {
		t.Errorf("%d, %d faults: %s", a.Status, strings.Count(list, "<li>"), list)
	}
	last := -1
	for _, anchor := range []string{"agent.name", "agent.email", "id.front", "license", "org.uscc", "legal.name", "letter", "ship.address"} {
		at := strings.Index(list, `href="#`+anchor+`"`)
		if at < last {
			t.Errorf("%s is missing or out of order", anchor)
		}
		if last = at; !strings.Contains(a.Body, `id="`+anchor+`"`) {
			t.Errorf("no anchor %s", anchor)
		}
	}
}

// What the form of a purchase shows before anything is typed: the product (F4, F5,
// F10), what is verified (F8), the sections (F13), who and what is asked for (F24,
// F30, F32, F45), what pictures may be (F33), the way of the legal representative
// (F40, F42), and what it costs (F53) beside the buttons (F51).
func TestFormOfAPurchase(t *testing.T) {
	b := newWeb(t).browser()
	if page := b.get("/p/ydnyCA7m2k"); page.Status != http.StatusOK || !strings.Contains(page.Body, "初购") || !strings.Contains(page.Body, "更新") || !strings.Contains(page.Body, "解锁") { // F1, F2
		t.Errorf("the project's home page: %d", page.Status)
	}
	if other := b.get("/p/ydnyCA7m2j"); other.Status != http.StatusNotFound { // an opaque key is not guessed at
		t.Errorf("another project: %d", other.Status)
	}
	path := b.draft()
	page := b.get(path + "/edit").Body
	b.post(path+"/form", url.Values{"do": {"auto"}, "auth.way": {order.AuthMiniProgram}}, "HX-Request", "true", "X-Changed", "auth.way")
	online := b.get(path + "/edit").Body
	for what, test := range map[string]struct {
		page string
		says []string
	}{
		"lines":    {page, []string{"产品名称", "印章类型", "购买数量", "证书年限", "费用金额", "300.00 元", `<option value="unit">单位公章`, `<option value="legal_rep">法人章`, `<option value="" selected>无`}},
		"sidebar":  {page, []string{`<a href="#product">产品规格`, `<a href="#kind">认证类型`, `<a href="#agent">经办人信息`, `<a href="#org">单位信息`, `<a href="#auth">授权书`, `<a href="#ship">收件信息`}},
		"verified": {page, []string{`<section class="card" id="kind" aria-labelledby="kind-h"><h2 id="kind-h">认证类型</h2><p>基本信息认证</p></section>`}},
		"unit":     {page, []string{`value="enterprise" checked>企业`, "个体工商户", "政府机构/事业单位", `<option value="">请选择</option><option value="C">制造业`, "支持 jpg、jpeg、png 格式的彩色图片，大小不超过 8M"}},
		"delivery": {page, []string{`value="courier" checked>快递`, "自取", "同经办人"}},
		"buttons":  {page, []string{`value="save">保存`, `value="submit">提交信息`, `应付金额 <strong class="money big">¥ 300.00`}},
		"banner":   {online, []string{"加快流程，高效授权，快速通过，立刻制证", "请填写准确的法定代表人手机号，系统会向此手机号发送法人授权通知"}},
		"online":   {online, []string{`class="must">法定代表人姓名`, `id="legal.id_type"`, `selected>居民身份证`, `class="must">法定代表人手机号`, `class="must">法定代表人证件号码`}},
	} {
		for _, says := range test.says {
			if !strings.Contains(test.page, says) {
				t.Errorf("%s: the form lacks %s", what, says)
			}
		}
	}
	if strings.Contains(page, `href="#invoice">`) || strings.Contains(online, `id="letter"`) { // G7, F43
		t.Error("the sidebar names the invoice, or both ways of the authorisation are asked for")
	}
}

// G30: saving keeps what is well formed and says what is not.
func TestSavingKeepsWhatIsWellFormed(t *testing.T) {
	b := newWeb(t).browser()
	path := b.draft()
	a := b.post(path+"/form", url.Values{"do": {"auto"}, "agent.name": {"王小琪"}, "org.uscc": {"91110108MA00TEN18G"}, "agent.mobile": {"138 0013-8000"}},
		"HX-Request", "true", "X-Changed", "org.uscc")
	o := b.order(path)
	if o.Form.Get(order.AgentName) != "王小琪" || o.Form.Get(order.OrgUSCC) != "" || o.Form.Get(order.AgentMobile) != agentMobile {
		t.Errorf("kept %v", o.Form.Reveal())
	}
	if a.Status != 200 || !strings.Contains(a.Body, `id="err-org-uscc" role="alert" hx-swap-oob="true">统一社会信用代码`) || !strings.Contains(a.Body, "已保存") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if strings.Contains(strings.ReplaceAll(a.Body, `<input type="hidden" id="drawn"`, ""), `<input`) {
		t.Error("the answer would overwrite what is being typed")
	}
}

// F28, F30, F31: what is odd about a value stands beside its field as soon as it is
// saved, and blocks nothing; a letter typed for a digit is put right by one press.
func TestDoubtsBesideTheForm(t *testing.T) {
	b := newWeb(t).browser()
	path := b.filled()
	odd := url.Values{"do": {"auto"}, "agent.mobile": {"17012347069"}, "org.uscc": {"92440300MA00000074"}}
	a := b.post(path+"/form", odd, "HX-Request", "true", "X-Changed", "org.uscc")
	for _, says := range []string{
		`id="doubt-agent-mobile" role="status" hx-swap-oob="true">这是虚拟运营商号段`, `id="doubt-org-type" role="status" hx-swap-oob="true">信用代码以 92 开头`,
		`id="doubt-org-uscc" role="status" hx-swap-oob="true"></p>`, `id="err-agent-mobile" role="alert" hx-swap-oob="true"></p>`,
	} {
		if !strings.Contains(a.Body, says) {
			t.Errorf("the answer lacks %s: %s", says, a.Body)
		}
	}
	if page := b.get(path + "/edit").Body; !strings.Contains(page, `role="status">这是虚拟运营商号段`) || !strings.Contains(page, `aria-describedby="err-agent-mobile doubt-agent-mobile"`) {
		t.Error("the page does not show it when he comes back")
	}
	odd.Set("do", "submit")
	if a := b.post(path+"/form", odd); a.location() != path+"/confirm" {
		t.Errorf("a doubt blocks: %d %s", a.Status, faultsIn(a.Body))
	}
	a = b.post(path+"/form", url.Values{"do": {"auto"}, "org.uscc": {"9111OIO8MAOOTEN18F"}}, "HX-Request", "true", "X-Changed", "org.uscc")
	if !strings.Contains(a.Body, `data-fill="org.uscc">91110108MA00TEN18F</button>`) || b.order(path).Form.Get(order.OrgUSCC) != "" {
		t.Errorf("the suggestion is missing, or was taken unasked: %s", a.Body)
	}
}

// F4, F6, F7: lines, quantity and price come from the server; 20 keys at most.
func TestProductLines(t *testing.T) {
	b := newWeb(t).browser()
	path := b.draft()
	send := func(form url.Values) answer {
		return b.post(path+"/form", form, "HX-Request", "true", "X-Changed", "quantity")
	}
	tests := []struct {
		name   string
		form   url.Values
		amount order.Fen
		lines  int
		says   string
	}{
		{"twenty for three years", url.Values{"do": {"auto"}, "seal": {""}, "quantity": {"20"}, "term": {"3"}}, 30000 * 60, 1, "18000.00"},
		{"twenty-one", url.Values{"do": {"auto"}, "seal": {""}, "quantity": {"21"}, "term": {"3"}}, 30000 * 60, 1, "最多购买 20 个"},
		{"none", url.Values{"do": {"auto"}, "seal": {""}, "quantity": {"0"}}, 30000 * 60, 1, "至少为 1"},
		{"less than none", url.Values{"do": {"auto"}, "seal": {""}, "quantity": {"-5"}}, 30000 * 60, 1, "至少为 1"},
		{"no number", url.Values{"do": {"auto"}, "seal": {""}, "quantity": {"1e9"}}, 30000 * 60, 1, "至少为 1"},
		{"a price of his own", url.Values{"do": {"auto"}, "seal": {""}, "quantity": {"1"}, "term": {"1"}, "amount": {"1"}, "price": {"1"}, "status": {"completed"}}, 30000, 1, "300.00"},
		{"typed full width", url.Values{"do": {"auto"}, "seal": {""}, "quantity": {" ２"}, "term": {"1"}}, 60000, 1, "600.00"},
		{"typed with its unit", url.Values{"do": {"auto"}, "seal": {""}, "quantity": {"2 把"}, "term": {"1"}}, 60000, 1, "600.00"},
		{"another line", url.Values{"do": {"add-line"}, "seal": {""}, "quantity": {"2"}, "term": {"1"}}, 90000, 2, "900.00"},
		{"a term not on offer", url.Values{"do": {"auto"}, "seal": {""}, "quantity": {"1"}, "term": {"9"}}, 90000, 2, "年限不可用"},
		{"the same seal twice", url.Values{"do": {"auto"}, "seal": {"", ""}, "quantity": {"1", "1"}, "term": {"1"}}, 90000, 2, "重复"},
		{"a line more often than there are seals", url.Values{"do": {"auto"}, "seal": slices.Repeat([]string{""}, 300), "quantity": slices.Repeat([]string{"1"}, 300), "term": {"1"}}, 90000, 2, "重复"},
		{"one line less", url.Values{"do": {"remove-line:0"}, "seal": {"", "unit"}, "quantity": {"2", "1"}, "term": {"1"}}, 30000, 1, "300.00"},
		{"the last line stays", url.Values{"do": {"remove-line:0"}, "seal": {"unit"}, "quantity": {"1"}, "term": {"1"}}, 30000, 1, "300.00"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := send(tt.form)
			o := b.order(path)
			if o.Amount != tt.amount || len(o.Lines) != tt.lines || o.Status != order.Draft || !strings.Contains(a.Body, tt.says) {
				t.Errorf("amount %d, %d lines, %s; page: %s", o.Amount, len(o.Lines), o.Status, a.Body)
			}
			if n := strings.Count(a.Body, `name="quantity"`); n > maxLines { // each offers the seals that all others leave
				t.Errorf("%d lines are shown", n)
			}
		})
	}
}

// Nobody makes drafts or uploads without end: not with one browser, not by throwing
// its cookie away, not with a login.
func TestDraftsAndUploadsAreLimited(t *testing.T) {
	w := newWeb(t)
	start := func(b *browser) answer {
		b.get("/")
		return b.post("/orders", url.Values{"product": {"yd-initial"}})
	}
	b := w.browser()
	first := b.draft()
	for range maxDrafts - 1 {
		b.draft()
	}
	if a := start(b); a.Status != http.StatusConflict || !strings.Contains(a.Body, "请先提交或删除一些") {
		t.Errorf("one draft more: %d %s", a.Status, a.Body)
	}
	b.get(first + "/edit")
	if a := b.post(first+"/delete", nil); a.Status != http.StatusSeeOther {
		t.Fatalf("delete: %d", a.Status)
	}
	b.draft()                                 // room again
	for range 3*maxDrafts - (maxDrafts + 2) { // with those above, all that an address may begin in an hour
		start(w.browser())
	}
	if a := start(w.browser()); a.Status != http.StatusTooManyRequests || a.Header.Get("Retry-After") == "" || !strings.Contains(a.Body, "请先登录") {
		t.Errorf("ever new browsers: %d %s", a.Status, a.Body)
	}
	logged := w.browser()
	logged.login(agentMobile)
	path := logged.draft()
	for range maxDrafts - 1 {
		logged.draft()
	}
	if a := start(logged); a.Status != http.StatusConflict || !strings.Contains(a.Body, "请先提交或删除一些") {
		t.Errorf("one draft more with a login: %d %s", a.Status, a.Body)
	}
	for n := range order.MaxUploads {
		must(t, w.service.RecordUpload(t.Context(), logged.order(path).ID, "01UPLOAD"+strconv.Itoa(n), ""))
	}
	if a := logged.upload(path+"/pictures/license", "photo.jpg", photo(t)); a.Status != http.StatusTooManyRequests || !strings.Contains(a.Body, "上传的图片过多") {
		t.Errorf("one upload more: %d %s", a.Status, a.Body)
	}
	w.clock.advance(25 * time.Hour)
	other := w.browser()
	other.login(agentMobile)
	other.get(path + "/edit")
	if a := other.upload(path+"/pictures/license", "photo.jpg", photo(t)); a.Status != http.StatusOK {
		t.Errorf("a day later: %d %s", a.Status, a.Body)
	}
}

// F19: a draft belongs to its browser until SMS proves the mobile; somebody who
// logs in with the typed number does not see it.
func TestDraftBelongsToItsBrowser(t *testing.T) {
	w := newWeb(t)
	b := w.browser()
	path := b.filled()
	if a := b.get("/"); !strings.Contains(a.Body, path+"/edit") {
		t.Error("the home page does not offer to go on")
	}
	owner := w.browser()
	owner.login(agentMobile)
	if a := owner.get("/orders"); strings.Contains(a.Body, path) {
		t.Error("the draft is listed for the typed mobile")
	}
	if a := owner.get(path + "/edit"); a.Status != http.StatusNotFound {
		t.Errorf("edit by the typed mobile: %d", a.Status)
	}
	w.clock.advance(2 * codeWait * 1e9)
	b.get(path + "/confirm")
	b.post(path+"/code", nil, "HX-Request", "true", csrfHeader, b.csrf)
	b.post(path+"/confirm", b.agreeing(path, b.code(agentMobile)))
	if a := owner.get("/orders"); !strings.Contains(a.Body, path) {
		t.Error("the confirmed order is not listed for its person")
	}
	if a := b.get("/orders"); !strings.Contains(a.Body, path) {
		t.Error("the confirming browser is not logged in")
	}
}

// F19: whoever logs in goes on with what his browser holds, and has it everywhere from his
// next save on. Nobody who uses the browser after him is told of it.
func TestDraftOfABrowserThatLogsIn(t *testing.T) {
	w := newWeb(t)
	b := w.browser()
	path := b.filled()
	b.login("13900139000")
	if a := b.get("/"); !strings.Contains(a.Body, path+"/edit") {
		t.Error("the home page does not offer to go on after the login")
	}
	b.get(path + "/edit")
	b.post(path+"/form", url.Values{"do": {"auto"}, "org.name": {"云岭续填科技有限公司"}}, "HX-Request", "true")
	own := b.draft() // made by the login
	w.clock.advance(2 * codeWait * 1e9)
	phone := w.browser()
	phone.login("13900139000")
	if a := phone.get("/orders"); !strings.Contains(a.Body, path) || !strings.Contains(a.Body, own) {
		t.Error("the draft is not listed for the login that saved it")
	}
	b.post("/logout", nil)
	if a := b.get("/"); strings.Contains(a.Body, path) || strings.Contains(a.Body, own) {
		t.Error("the home page names the drafts of a login that has ended")
	}
	for _, p := range []string{path, own} {
		if a := b.get(p + "/edit"); a.Status != http.StatusNotFound {
			t.Errorf("%s without the login: %d", p, a.Status)
		}
	}
}

// F52, F55–F57: no confirmation without tick and right code; the consent says
// which words, when and from where.
func TestConfirmation(t *testing.T) {
	w := newWeb(t)
	b := w.browser()
	path := b.filled()
	b.get(path + "/confirm")
	b.post(path+"/code", nil, "HX-Request", "true", csrfHeader, b.csrf)
	if a := b.post(path+"/code", nil, "HX-Request", "true", csrfHeader, b.csrf); !strings.Contains(a.Body, "操作太频繁") || !strings.Contains(a.Body, "data-wait") {
		t.Errorf("a second code at once: %s", a.Body)
	}
	for name, form := range map[string]url.Values{
		"no tick":    {"code": {b.code(agentMobile)}},
		"wrong code": b.agreeing(path, "x"),
		"no code":    b.agreeing(path, ""),
	} {
		if a := b.post(path+"/confirm", form); a.Status != http.StatusUnprocessableEntity || b.order(path).Status != order.Draft {
			t.Errorf("%s: %d %s", name, a.Status, b.order(path).Status)
		} else if opened := strings.Contains(a.Body, "data-show"); opened != (name != "no tick") {
			t.Errorf("%s: the SMS dialog is open: %v", name, opened)
		}
	}
	b.post(path+"/confirm", b.agreeing(path, b.code(agentMobile)))
	o := b.order(path)
	if o.Status != order.AwaitingPayment || o.Amount != 60000 || o.Consent.Version != "service 2026.1, privacy 2026.3" || len(o.Consent.Hash) != 64 || !o.Consent.At.Equal(w.clock.now()) || o.Consent.IP == "" {
		t.Errorf("%s %d %+v", o.Status, o.Amount, o.Consent)
	}
	if a := b.get(path + "/edit"); a.location() != path+"/pay" {
		t.Errorf("the form of a confirmed order: %d %s", a.Status, a.location())
	}
	b.get(path + "/pay")
	if a := b.post(path+"/confirm", b.agreeing(path, "000000")); a.location() != path+"/pay" {
		t.Errorf("confirming twice: %d %s", a.Status, a.location())
	}
	if a := b.post(path+"/form", filledForm()); a.Status != http.StatusConflict || !strings.Contains(a.Body, `href="`+path+`">查看这个订单`) {
		t.Errorf("editing a confirmed order: %d %s", a.Status, a.Body)
	}
	again := filledForm()
	again.Set("do", "submit")
	if a := b.post(path+"/form", again); a.location() != path+"/pay" {
		t.Errorf("submitting what was submitted: %d %s", a.Status, a.location())
	}
	again.Set("agent.name", "王小琦")
	if a := b.post(path+"/form", again); a.Status != http.StatusConflict {
		t.Errorf("submitting something else: %d %s", a.Status, a.location())
	}
	if a := b.post(path+"/reopen", nil); a.location() != path+"/edit" || b.order(path).Status != order.Draft { // lifecycle row 7
		t.Errorf("reopen: %d %s", a.Status, b.order(path).Status)
	}
}

// watched are codes that tell when one is verified.
type watched struct {
	codes
	now func()
}

func (w watched) Verify(ctx context.Context, c session.Challenge, code string) error {
	w.now()
	return w.codes.Verify(ctx, c, code)
}

// Pressed twice, the confirmation is made once: the second waits for the first, and is not
// told that its code was used, by the first.
func TestConfirmationPressedTwice(t *testing.T) {
	w := newWeb(t)
	b := w.browser()
	path := b.filled()
	b.get(path + "/confirm")
	b.post(path+"/code", nil, "HX-Request", "true", csrfHeader, b.csrf)
	form, verified := b.agreeing(path, b.code(agentMobile)), 0
	w.Codes = watched{w.Codes, func() {
		if m := &w.locks[int(path[len(path)-1])%len(w.locks)]; m.TryLock() {
			t.Error("another confirmation of the order may begin meanwhile")
			m.Unlock()
		}
		verified++
	}}
	for range 2 {
		if a := b.post(path+"/confirm", form); a.location() != path+"/pay" {
			t.Errorf("%d %s", a.Status, a.location())
		}
		b.get(path + "/pay") // the mobile that was proven is logged in
	}
	if verified != 1 {
		t.Errorf("the code was used %d times", verified)
	}
}

// G13: a draft can be deleted by its browser; its order is gone at once.
func TestDeleteDraft(t *testing.T) {
	b := newWeb(t).browser()
	path := b.draft()
	if a := b.post(path+"/delete", nil); a.location() != "/" {
		t.Errorf("delete: %d %s", a.Status, a.location())
	}
	if a := b.get(path + "/edit"); a.Status != http.StatusNotFound {
		t.Errorf("a deleted draft: %d", a.Status)
	}
}

// Whoever corrects an order whose money is on its way back reads why he cannot.
func TestCorrectedDuringARefund(t *testing.T) {
	w := newWeb(t)
	b := w.browser()
	path := b.rejected()
	b.get(path + "/edit")
	_, err := w.service.Apply(t.Context(), w.order(path).ID, order.Command{On: order.RefundStart, By: order.Actor{Role: order.Finance, StaffID: "F1", Channel: order.Web}, Note: "不办了"})
	must(t, err)
	form := filledForm()
	form.Set("do", "submit")
	if a := b.post(path+"/form", form); a.Status != http.StatusConflict || !strings.Contains(a.Body, "审核拒绝（退款中）") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

// F95, F96, F97: the reasons lead to the fields; resubmitting costs nothing;
// product and quantity are locked; a new mobile is proven by SMS.
func TestResubmission(t *testing.T) {
	w := newWeb(t)
	b := w.browser()
	path := b.rejected()
	if a := b.get("/orders"); !strings.Contains(a.Body, "授权书公章不清晰或不完整；请补盖骑缝章") || !strings.Contains(a.Body, "立即修改") {
		t.Error("the list lacks the reasons or the action")
	}
	if a := b.get(path); !strings.Contains(a.Body, path+"/edit#letter") {
		t.Error("the order's page does not lead to the field")
	}
	edit := b.get(path + "/edit")
	if strings.Contains(edit.Body, `name="quantity"`) || !strings.Contains(edit.Body, "审核意见：授权书公章不清晰") {
		t.Error("the quantity is open or the field lacks its reason")
	}
	was := b.order(path)
	form := filledForm()
	form.Set("do", "submit")
	form["quantity"], form["term"] = []string{"9"}, []string{"3"}
	up := b.upload(path+"/pictures/letter", "new.jpg", photo(t))
	if b.order(path).Form.Get("letter") != was.Form.Get("letter") {
		t.Error("the rejected order changed before it was resubmitted")
	}
	form.Set("letter", letterRef.FindStringSubmatch(up.Body)[1])

	form.Set("agent.mobile", agentMobile2)
	if a := b.post(path+"/form", form); a.Status != http.StatusUnprocessableEntity || !strings.Contains(faultsIn(a.Body), "短信验证码") {
		t.Errorf("a new mobile without proof: %d %s", a.Status, faultsIn(a.Body))
	}
	w.clock.advance(2 * codeWait * 1e9)
	b.post(path+"/code", url.Values{"agent.mobile": {agentMobile2}}, "HX-Request", "true")
	form.Set("code", b.code(agentMobile2))
	if a := b.post(path+"/form", form); a.location() != path {
		t.Fatalf("resubmit: %d %s", a.Status, faultsIn(a.Body))
	}
	o := b.order(path)
	if o.Status != order.InReview || o.Submission != 2 || o.Quantity() != 2 || o.Product.Term != 1 || o.Amount != was.Amount || o.TradeNo != was.TradeNo || o.Form.Get("letter") == was.Form.Get("letter") {
		t.Errorf("%s, submission %d, %d keys, %d years", o.Status, o.Submission, o.Quantity(), o.Product.Term)
	}
	if a := b.get(path); a.Status != 200 || !strings.Contains(a.Body, "137****7000") {
		t.Errorf("the order's page for the new mobile: %d", a.Status)
	}
}

// A letter that says the unit's former name is told of beside its field, and nothing that
// was typed is lost.
func TestResubmissionKeepsWhatWasTyped(t *testing.T) {
	w := newWeb(t)
	b := w.browser()
	path := b.rejected()
	was := b.order(path)
	form := filledForm()
	form.Set("do", "submit")
	form.Set("letter", was.Form.Get("letter"))
	form.Set("org.name", "云南改名工程有限公司")
	a := b.post(path+"/form", form)
	if a.Status != http.StatusUnprocessableEntity || !strings.Contains(faultsIn(a.Body), "重新下载授权书") || !strings.Contains(a.Body, `value="云南改名工程有限公司"`) {
		t.Errorf("%d %s", a.Status, faultsIn(a.Body))
	}
}

// What keeps a corrected order from being resubmitted is said before the code is spent.
func TestResubmissionKeepsTheCode(t *testing.T) {
	w := newWeb(t)
	b := w.browser()
	path := b.rejected()
	form := filledForm()
	form.Set("do", "submit")
	form.Set("letter", b.order(path).Form.Get("letter"))
	form.Set("agent.mobile", agentMobile2)
	w.clock.advance(2 * time.Minute)
	b.post(path+"/code", url.Values{"agent.mobile": {agentMobile2}}, "HX-Request", "true")
	form.Set("code", b.code(agentMobile2))
	if a := b.post(path+"/form", form); a.Status != http.StatusUnprocessableEntity || !strings.Contains(faultsIn(a.Body), "重新下载授权书") {
		t.Errorf("with the letter of the former mobile: %d %s", a.Status, faultsIn(a.Body))
	}
	m := w.mini("m1", "").login(agentMobile)
	fields := map[string]string{"agent.mobile": agentMobile2}
	if a := m.call(http.MethodPost, path+"/resubmit", map[string]any{"fields": fields, "code": form.Get("code")}, nil); a.Status != http.StatusUnprocessableEntity || len(problemIn(t, a).Fields) != 1 {
		t.Errorf("over the API: %d %s", a.Status, a.Body)
	}
	up := b.upload(path+"/pictures/letter", "new.jpg", photo(t))
	form.Set("letter", letterRef.FindStringSubmatch(up.Body)[1])
	if a := b.post(path+"/form", form); a.location() != path {
		t.Errorf("with a new letter and the same code: %d %s", a.Status, faultsIn(a.Body))
	}
}

// A price that changed after the form is refused to whoever has not read it: the page shows
// today's, and the code that he has already been sent confirms that.
func TestPriceChangesBeforeTheConfirmation(t *testing.T) {
	offer := regexp.MustCompile(`name="offer" value="([0-9a-f]{64})"`)
	for name, tt := range map[string]struct {
		change func(*order.Product)
		amount order.Fen
		shown  string
	}{
		"dearer":         {func(p *order.Product) { p.Price += 1000 }, 70000, "620.00"},
		"dearer express": {func(p *order.Product) { p.Express = &order.Express{Fee: 9900, Hours: 8} }, 69900, "99.00"},
		"slower express": {func(p *order.Product) { p.Express = &order.Express{Fee: 8000, Hours: 12} }, 68000, "12 个工作小时"},
		"no express":     {func(p *order.Product) { p.Express = nil }, 60000, "600.00"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newDesk(t).hire()
			b := w.browser()
			path := b.filled()
			form := filledForm()
			form.Set("about.speed", order.Yes)
			form.Set("do", "submit")
			b.get(path + "/edit")
			b.post(path+"/form", form)
			if page := b.get(path + "/confirm").Body; strings.Contains(page, "有过调整") || b.order(path).Amount != 68000 {
				t.Fatalf("moved before anything was: %d fen", b.order(path).Amount)
			}
			b.post(path+"/code", nil, "HX-Request", "true", csrfHeader, b.csrf)
			w.sells(tt.change)
			a := b.post(path+"/confirm", b.agreeing(path, b.code(agentMobile)))
			if a.Status != http.StatusUnprocessableEntity {
				t.Fatalf("%d to %q", a.Status, a.location())
			}
			wantIn(t, "refused", a.Body, order.FormChanged.Detail, "有过调整", path+"/edit", tt.shown)
			seen := b.agreeing(path, b.code(agentMobile))
			seen.Set("offer", offer.FindStringSubmatch(a.Body)[1])
			if a = b.post(path+"/confirm", seen); a.location() != path+"/pay" || b.order(path).Amount != tt.amount {
				t.Errorf("read: %d to %q, %d fen", a.Status, a.location(), b.order(path).Amount)
			}
		})
	}
}

// sells changes the product that is bought in these tests.
func (d *desk) sells(change func(*order.Product)) {
	d.t.Helper()
	must(d.t, d.settings.SetCatalogue(d.t.Context(), order.Actor{Role: order.Admin, StaffID: d.staff["吴管理"].ID}, d.settings.Version(order.CatalogueSetting), func(c order.Catalogue) (order.Catalogue, error) {
		p, err := c.Product("yd-initial")
		if change(&p); err != nil {
			return c, err
		}
		return c.WithProduct(p, false)
	}))
}

// A term that is not sold any more leads from the confirmation back to the form, which says
// so and offers what is sold.
func TestTermIsNoLongerSold(t *testing.T) {
	w := newDesk(t).hire()
	b := w.browser()
	path := b.filled()
	form := filledForm()
	form.Set("term", "3")
	b.get(path + "/edit")
	b.post(path+"/form", form)
	if a := b.get(path + "/confirm"); a.Status != http.StatusOK || b.order(path).Product.Term != 3 {
		t.Fatalf("%d, %d years", a.Status, b.order(path).Product.Term)
	}
	w.sells(func(p *order.Product) { p.Years = []int{1, 2} })
	for name, a := range map[string]answer{"looked at": b.get(path + "/confirm"), "confirmed": b.post(path+"/confirm", url.Values{"agree": {"yes"}, "code": {"000000"}})} {
		if a.location() != path+"/edit" {
			t.Errorf("%s: %d to %q", name, a.Status, a.location())
		}
	}
	page := b.get(path + "/edit").Body
	wantIn(t, "form", page, "所选证书年限不可用", "2年期")
	if strings.Contains(page, "3年期") {
		t.Error("the form offers what is not sold")
	}
	form.Set("term", "2")
	form.Set("do", "submit")
	if a := b.post(path+"/form", form); a.location() != path+"/confirm" || b.order(path).Product.Term != 2 {
		t.Errorf("put right: %d to %q, %d years", a.Status, a.location(), b.order(path).Product.Term)
	}
}

// lastMinute changes the price before a confirmation reaches the order.
type lastMinute struct {
	orderService
	change func()
}

func (l *lastMinute) Apply(ctx context.Context, id order.ID, c order.Command) (order.Order, error) {
	if c.On == order.Confirm {
		l.change()
	}
	return l.orderService.Apply(ctx, id, c)
}

// A price that changes at the very moment of the confirmation is read, too, before it is
// charged.
func TestPriceChangesWhileConfirming(t *testing.T) {
	w := newDesk(t).hire()
	b := w.browser()
	path := b.filled()
	b.post(path+"/code", nil, "HX-Request", "true", csrfHeader, b.csrf)
	agreeing := b.agreeing(path, b.code(agentMobile))
	w.Orders = &lastMinute{w.service, func() { w.sells(func(p *order.Product) { p.Price += 1000 }) }}
	if a := b.post(path+"/confirm", agreeing); a.location() != path+"/confirm" || b.order(path).Status != order.Draft {
		t.Fatalf("%d to %q, %s", a.Status, a.location(), b.order(path).Status)
	}
	wantIn(t, "confirmation", b.get(path+"/confirm").Body, "有过调整", "620.00")
}
