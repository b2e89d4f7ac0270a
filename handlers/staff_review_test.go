package handlers

import (
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

// snapshots differ from run to run, as they name pictures.
var snapshots = regexp.MustCompile(`name="snapshot" value="[0-9a-f]{64}"`)

// goldenPage compares the main part of a console page with its file.
func goldenPage(t *testing.T, name, page string) {
	t.Helper()
	_, page, _ = strings.Cut(page, `<main`)
	page, _, _ = strings.Cut(page, `</main>`)
	page = snapshots.ReplaceAllString(page, `name="snapshot" value="HASH"`)
	for _, s := range secrets {
		page = s.find.ReplaceAllString(page, s.put)
	}
	golden(t, "staff-"+name+".html", page)
}

func TestConsolePages(t *testing.T) {
	d := newDesk(t).hire()
	login := d.browser()
	goldenPage(t, "login", login.get("/staff/login").Body)
	reviewer, admin := d.login("李审核"), d.login("吴管理")
	goldenPage(t, "queue-empty", reviewer.get("/staff/review").Body)
	goldenPage(t, "making-empty", admin.get("/staff/making").Body)
	goldenPage(t, "shipping-empty", admin.get("/staff/shipping").Body)
	goldenPage(t, "finance-empty", admin.get("/staff/finance").Body)
	goldenPage(t, "people", admin.get(peoplePath).Body)
	goldenPage(t, "colleague", admin.get(peoplePath+"/"+d.staff["李审核"].ID).Body)
	goldenPage(t, "products", admin.get(productsPath).Body)
	goldenPage(t, "product", admin.get(productsPath+"/edit?code=yd-initial").Body)
	goldenPage(t, "calendar", admin.get(calendarPath+"?year=2027").Body)
	goldenPage(t, "sms", admin.get(smsPath).Body)
	goldenPage(t, "search-empty", admin.get("/staff/orders?no=9999").Body)
	o := d.inReview()
	page := "/staff/review/" + string(o.ID)
	goldenPage(t, "queue", reviewer.get("/staff/review").Body)
	goldenPage(t, "review-waiting", reviewer.get(page).Body)
	reviewer.mustPost(page+"/claim", nil, page)
	goldenPage(t, "review-claimed", reviewer.get(page).Body)
	goldenPage(t, "review-of-another", admin.get(page).Body)
	goldenPage(t, "search", admin.get("/staff/orders?company=%E4%BA%91%E5%B2%AD").Body)
	goldenPage(t, "account", admin.get("/staff/finance/"+string(o.ID)).Body)

	// A number is found however it was pasted.
	for _, no := range []string{o.No, strings.ToLower(o.No), o.No[:5] + " " + o.No[5:19] + " " + o.No[19:], " " + order.TailOf(o.No)} {
		if !strings.Contains(admin.get("/staff/orders?no="+url.QueryEscape(no)).Body, o.No) {
			t.Errorf("%q is not found", no)
		}
	}
}

// Two reviewers at once: one wins, the other is told who (flows.md 4.4). The
// requests run one after the other, in the order that a race would leave them.
func TestTwoReviewers(t *testing.T) {
	d := newDesk(t).hire()
	o := d.inReview()
	page := "/staff/review/" + string(o.ID)
	li, zhao := d.login("李审核"), d.login("赵复核")
	li.get(page)
	zhao.get(page) // both see the same page
	li.mustPost(page+"/claim", nil, page)
	if a := zhao.post(page+"/claim", nil); a.Status != http.StatusConflict || !strings.Contains(a.Body, "李审核正在审核该订单") {
		t.Errorf("second claim: %d", a.Status)
	}
	wantIn(t, "page of the other", zhao.get(page).Body, "李审核正在审核")
	decision := url.Values{"snapshot": {o.Snapshot}, "tick": allTicks}
	if a := zhao.post(page+"/approve", decision); a.Status != http.StatusConflict {
		t.Errorf("approval without the claim: %d", a.Status)
	}
	li.mustPost(page+"/approve", decision, page)
	li.mustPost(page+"/approve", decision, page) // a double click is one decision
	for _, action := range []string{"/approve", "/reject"} {
		a := zhao.post(page+action, url.Values{"snapshot": {o.Snapshot}, "tick": allTicks, "reason": {"R03"}})
		if a.Status != http.StatusConflict || !strings.Contains(a.Body, "该订单已由李审核于") || !strings.Contains(a.Body, "审核通过") {
			t.Errorf("%s after the decision: %d", action, a.Status)
		}
	}
	if a := li.post(page+"/reject", url.Values{"reason": {"R03"}}); a.Status != http.StatusConflict {
		t.Errorf("rejecting what he approved: %d", a.Status)
	}
	if n := countEvents(t, d, o.ID, order.Approve); n != 1 {
		t.Errorf("%d approvals", n)
	}
	if got := d.read(o.ID); got.State != (order.State{Status: order.ToIssue, Stage: order.Unclaimed}) {
		t.Errorf("order is %s", got.State)
	}
}

// Reliability 25: however often and however fast one person approves, it is one
// vote; the second one is somebody else's.
func TestSecondApproval(t *testing.T) {
	d := newDesk(t).hire()
	was := d.inReview()
	o := was
	o.Lines = []order.Line{{Quantity: 5}} // the seeded catalogue asks for four eyes
	o.Snapshot = o.Hash()
	o.Rev++
	must(t, d.db.InTx(t.Context(), func(tx order.Tx) error { return tx.UpdateOrder(t.Context(), o, was) }))
	page := "/staff/review/" + string(o.ID)
	li, zhao := d.login("李审核"), d.login("赵复核")
	li.get(page)
	li.mustPost(page+"/claim", nil, page)
	decision := url.Values{"snapshot": {o.Snapshot}, "tick": allTicks}
	var clicks sync.WaitGroup
	for range 20 {
		click := *li
		clicks.Go(func() {
			if a := click.post(page+"/approve", decision); a.Status != http.StatusSeeOther {
				t.Errorf("click: %d %s", a.Status, alertIn(a.Body))
			}
		})
	}
	clicks.Wait()
	if n := countEvents(t, d, o.ID, order.Approve); n != 1 {
		t.Errorf("%d approvals by one person", n)
	}
	wantIn(t, "page of the first", li.get(page).Body, "您已通过初审")
	wantIn(t, "queue", zhao.get("/staff/review?stage=second_approval").Body, page)
	wantIn(t, "page of the second", zhao.get(page).Body, "需要第二位审核员复核")
	zhao.mustPost(page+"/approve", decision, page)
	approvals, err := d.db.Approvals(t.Context(), o.ID)
	must(t, err)
	if len(approvals) != 2 || approvals[0].StaffID == approvals[1].StaffID || d.read(o.ID).Status != order.ToIssue {
		t.Errorf("%d approvals, order is %s", len(approvals), d.read(o.ID).State)
	}
}

// A claim that ran out can be taken by somebody else; the first reviewer's
// decision then comes too late.
func TestClaimRunsOut(t *testing.T) {
	d := newDesk(t).hire()
	o := d.inReview()
	page := "/staff/review/" + string(o.ID)
	li, zhao := d.login("李审核"), d.login("赵复核")
	li.get(page)
	li.mustPost(page+"/claim", nil, page)
	d.clock.advance(order.ClaimLife)
	must(t, d.service.Sweep(t.Context()))
	zhao.get(page)
	zhao.mustPost(page+"/claim", nil, page)
	a := li.post(page+"/approve", url.Values{"snapshot": {o.Snapshot}, "tick": allTicks})
	if a.Status != http.StatusConflict || !strings.Contains(a.Body, "赵复核正在审核") {
		t.Errorf("late decision: %d", a.Status)
	}
}

// Four ticks, the snapshot as shown and a passed real-name check are needed; what
// was ticked stays.
func TestApprovalNeeds(t *testing.T) {
	d := newDesk(t).hire()
	o := d.inReview()
	page := "/staff/review/" + string(o.ID)
	li := d.login("李审核")
	li.get(page)
	li.mustPost(page+"/claim", nil, page)
	for _, c := range []struct {
		name string
		form url.Values
		want string
	}{
		{"three ticks", url.Values{"snapshot": {o.Snapshot}, "tick": allTicks[:3]}, "勾选四项检查"},
		{"other content", url.Values{"snapshot": {strings.Repeat("0", 64)}, "tick": allTicks}, "订单内容已变化"},
	} {
		if a := li.post(page+"/approve", c.form); a.Status < 400 || !strings.Contains(a.Body, c.want) {
			t.Errorf("%s: %d", c.name, a.Status)
		}
	}
	a := li.post(page+"/approve", url.Values{"snapshot": {o.Snapshot}, "tick": allTicks[:1]})
	if strings.Count(a.Body, `name="tick"`) != 4 || strings.Count(a.Body, "checked") != 1 {
		t.Error("the tick was lost")
	}
	must(t, d.service.RecordRealName(t.Context(), o.ID, o.Submission, order.RealNameMismatch))
	a = li.get(page)
	wantIn(t, "page", a.Body, "不一致，暂不能通过", "disabled")
	if a := li.post(page+"/approve", url.Values{"snapshot": {o.Snapshot}, "tick": allTicks}); a.Status != http.StatusConflict || !strings.Contains(a.Body, "实名") {
		t.Errorf("mismatch: %d", a.Status)
	}
}

func TestRejection(t *testing.T) {
	d := newDesk(t).hire()
	applicant := d.browser()
	o := d.order(applicant.paid())
	page := "/staff/review/" + string(o.ID)
	li := d.login("李审核")
	li.get(page)
	li.mustPost(page+"/claim", nil, page)
	wantIn(t, "page without a real-name answer", li.get(page).Body, "核验中，暂不能通过", `hx-trigger="load delay:5s"`)
	chosen := url.Values{"reason": {"R10", "R03"}, "note": {"请重新盖章，联系人王小琪"}}
	sms := li.post(page+"/preview", chosen, "HX-Request", "true").Body
	wantIn(t, "preview", sms, order.TailOf(o.No), "等 3 处", "不需要再次付款", "授权书公章不清晰或不完整", "请重新盖章")
	if got := d.read(o.ID); len(got.Reasons) != 0 {
		t.Error("the preview rejected the order")
	}
	if a := li.post(page+"/reject", nil); a.Status != http.StatusUnprocessableEntity || !strings.Contains(a.Body, "至少选择一条拒绝原因") {
		t.Errorf("without a reason: %d", a.Status)
	}
	if a := li.post(page+"/reject", url.Values{"reason": {"R03"}, "note": {strings.Repeat("长", 101)}}); a.Status != http.StatusUnprocessableEntity || !strings.Contains(a.Body, `value="R03" checked`) {
		t.Errorf("long note: %d", a.Status)
	}
	li.mustPost(page+"/reject", chosen, page)
	li.mustPost(page+"/reject", chosen, page) // double click
	got := d.read(o.ID)
	want := []order.Reason{{Code: "R10"}, {Code: "R03"}, {Code: "R20", Note: "请重新盖章，联系人王小琪"}}
	if diff := cmp.Diff(want, got.Reasons); diff != "" {
		t.Error(diff)
	}
	wantIn(t, "applicant's page", applicant.get("/orders/"+string(o.ID)).Body, "身份证正面模糊", "请重新盖章")
	body := li.get(page).Body
	wantIn(t, "history", body, "审核拒绝：R10 身份证正面模糊；R03 授权书公章不清晰或不完整", "已由李审核于")
	_, history, _ := strings.Cut(body, `id="panel-history"`)
	wantNotIn(t, "history", history, "王小琪")
}

// Rules §3.2: masked by default; in the clear only with a reason, recorded, and
// not without end.
func TestUnmask(t *testing.T) {
	d := newDesk(t).hire()
	o := d.inReview()
	page := "/staff/review/" + string(o.ID)
	li := d.login("李审核")
	body := li.get(page).Body
	personal := []string{agentMobile, "王小琪", "11010519491231002X", "wang@example.com", "李明"}
	wantNotIn(t, "review page", body, append(personal, "中关村大街")...)
	wantIn(t, "review page", body, "138****8000", "王*琪", "110***********002X")
	before := auditRows(t, d)
	if a := li.post(page+"/unmask", nil); a.Status != http.StatusUnprocessableEntity {
		t.Errorf("without a reason: %d", a.Status)
	}
	if n := auditRows(t, d) - before; n != 0 {
		t.Errorf("%d audit rows for a refused look", n)
	}
	a := li.post(page+"/unmask", url.Values{"why": {"compare"}})
	wantIn(t, "page in the clear", a.Body, personal...)
	wantNotIn(t, "page in the clear", a.Body, "中关村大街") // the shipper's
	part := li.post(page+"/unmask", url.Values{"why": {"contact"}}, "HX-Request", "true")
	wantIn(t, "fragment", part.Body, personal...)
	wantNotIn(t, "fragment", part.Body, "<html")
	if n := auditRows(t, d) - before; n != 2 {
		t.Errorf("%d audit rows for two looks", n)
	}
	for range unmasksAnHour - 2 {
		li.post(page+"/unmask", url.Values{"why": {"compare"}}, "HX-Request", "true")
	}
	if a := li.post(page+"/unmask", url.Values{"why": {"compare"}}); a.Status != http.StatusTooManyRequests || strings.Contains(a.Body, agentMobile) {
		t.Errorf("look %d: %d", unmasksAnHour+1, a.Status)
	}
}

func auditRows(t testing.TB, d *desk) (n int64) {
	t.Helper()
	heads, err := d.db.AuditHeads(t.Context())
	must(t, err)
	for _, h := range heads {
		n += h.Seq
	}
	return n
}

// F124: nobody reviews his own order or his company's.
func TestOwnOrder(t *testing.T) {
	d := newDesk(t).hire()
	o := d.inReview()
	own := order.NewMember{Name: "王小琪", Mobile: agentMobile, Roles: []order.Role{order.Reviewer}}
	colleague := order.NewMember{Name: "郑同事", Mobile: "13900000007", Roles: []order.Role{order.Reviewer}, Company: o.USCC}
	members = append(members, own, colleague)
	defer func() { members = members[:len(members)-2] }()
	d.hire()
	page := "/staff/review/" + string(o.ID)
	for _, name := range []string{own.Name, colleague.Name} {
		b := d.login(name)
		wantIn(t, "page", b.get(page).Body, "请由其他审核员处理")
		if a := b.post(page+"/claim", nil); a.Status != http.StatusForbidden || !strings.Contains(a.Body, "不能审核") {
			t.Errorf("%s: %d", name, a.Status)
		}
	}
}

// A draft, and an order that was taken back for changes, is nobody else's business.
func TestDraftsAreNotReviewed(t *testing.T) {
	d := newDesk(t).hire()
	li := d.login("李审核")
	b := d.browser()
	for _, path := range []string{b.draft(), d.browser().confirmed(), "/orders/" + newID()} {
		if a := li.get("/staff/review/" + strings.TrimPrefix(path, "/orders/")); a.Status != http.StatusNotFound {
			t.Errorf("%s: %d", path, a.Status)
		}
	}
}

// What the machine says of typed fields.
func TestChecks(t *testing.T) {
	k := &console{Server: &Server{Deps: Deps{Now: func() time.Time { return time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC) }}}}
	base := order.Order{USCC: "91110108MA00TEN18F", RealName: order.RealNameMatch, Form: order.NewForm(map[order.Field]string{
		order.OrgType: string(identity.Enterprise), order.IDType: string(identity.ResidentID), order.IDNo: "11010519491231002X", order.AgentMobile: "13800138000",
	})}
	with := func(f order.Field, v string) order.Order {
		o := base
		o.Form = base.Form.With(f, v)
		return o
	}
	unit := func(code string) order.Order { o := base; o.USCC = code; return o }
	name := func(r order.RealNameResult) order.Order { o := base; o.RealName = r; return o }
	foreign := with(order.IDType, string(identity.Passport))
	foreign.RealName = order.RealNameManual
	for _, c := range []struct {
		name, label string
		o           order.Order
		want        level
		says        string
	}{
		{"real name matches", "经办人实名", base, fine, "一致"},
		{"real name differs", "经办人实名", name(order.RealNameMismatch), wrong, "不一致"},
		{"mobile unknown to the carriers", "经办人实名", name(order.RealNameManual), doubt, "运营商没有这个手机号的实名记录，需人工核对"},
		{"document unknown to the carriers", "经办人实名", foreign, doubt, "该证件类型不能联网核验，需人工核对"},
		{"real name under way", "经办人实名", name(order.RealNameUnknown), pending, "核验中"},
		{"unified code", "单位代码", base, fine, "校验位正确"},
		{"organisation code", "单位代码", unit("MA00TEN18"), doubt, "非统一码"},
		{"wrong check digit", "单位代码", unit("91110108MA00TEN18G"), wrong, "校验"},
		{"type as the code says", "单位类型", base, fine, "91"},
		{"type unlike the code", "单位类型", with(order.OrgType, string(identity.SoleTrader)), doubt, "对应企业，填写为个体工商户"},
		{"type unknown", "单位类型", unit("MA00TEN18"), doubt, "看不出类型"},
		{"document", "证件号码", base, fine, "校验正确"},
		{"document with a wrong digit", "证件号码", with(order.IDNo, "110105194912310021"), wrong, "校验"},
		{"ordinary mobile", "经办人手机", base, fine, "短信验证"},
		{"virtual mobile", "经办人手机", with(order.AgentMobile, "17012345678"), doubt, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, got := range k.checks(c.o) {
				if got.Label == c.label {
					if got.Level != c.want || !strings.Contains(got.Detail, c.says) {
						t.Errorf("%s: %s", got.Level, got.Detail)
					}
					return
				}
			}
			t.Error("no such check")
		})
	}
}

// A picture that cannot be read is said to be so, and asked for again.
func TestPictureDoubts(t *testing.T) {
	d := newDesk(t)
	k := &console{Server: d.Server}
	good, blurred := secret(), secret()
	must(t, d.Objects.Put(t.Context(), good, photo(t)))
	must(t, d.Objects.Put(t.Context(), blurred, fog(t)))
	for _, tt := range []struct {
		object     string
		remembered int
		level      level
		says       string
		doubts     []string
	}{
		{"missing", 0, doubt, "营业执照（无法读取）", []string{"图片暂时无法读取，请稍后刷新"}},
		{good, 1, fine, "1 张图片均为彩色，清晰，尺寸足够", nil},
		{blurred, 2, doubt, "营业执照（模糊）", []string{"照片有些模糊，小字可能看不清。建议对准拿稳后重拍，以免因“营业执照模糊、反光或缺角”被退回"}},
	} {
		o := order.Order{Form: order.Form{}.With(order.LicenseImage, tt.object)}
		panels := []panelView{{Pictures: []documentView{{Field: order.LicenseImage, Label: "营业执照"}}}}
		check := k.pictureChecks(t.Context(), o, panels)[0]
		if check.Level != tt.level || check.Detail != tt.says || len(k.doubts.known) != tt.remembered {
			t.Errorf("%s: %+v, remembered %v", tt.object, check, k.doubts.known)
		}
		if got := panels[0].Pictures[0].Doubts; !slices.Equal(got, tt.doubts) {
			t.Errorf("%s: beside the picture %q", tt.object, got)
		}
	}
}

// Money back: before making only, with a reason; what failed can be tried again.
func TestRefundDesk(t *testing.T) {
	d := newDesk(t).hire()
	o := d.inReview()
	finance := d.login("周财务")
	page := "/staff/finance/" + string(o.ID)
	finance.get(page)
	if a := finance.post(page+"/refund", nil); a.Status != http.StatusUnprocessableEntity {
		t.Errorf("without a reason: %d", a.Status)
	}
	finance.mustPost(page+"/refund", url.Values{"note": {"申请人要求取消"}}, page)
	wantIn(t, "list", finance.get("/staff/finance?refund=refunding").Body, o.Company, "退款中")
	li := d.login("李审核")
	wantIn(t, "review", li.get("/staff/review/"+string(o.ID)).Body, `<span class="badge warn">退款中</span>`)
	d.gateway.refund = order.RefundAbnormal
	must(t, d.service.RunRefund(t.Context(), o.TradeNo))
	wantIn(t, "list", finance.get("/staff/finance").Body, o.Company, "退款失败")
	wantIn(t, "account", finance.get(page).Body, "付款人的银行卡已失效或冻结", "办好后本页自动变为已退款", "登记线下退款")
	finance.mustPost(page+"/retry", nil, page)
	if got := d.read(o.ID); got.Refund != order.Refunding {
		t.Errorf("refund is %q", got.Refund)
	}
	d.gateway.refund = order.RefundDone
	must(t, d.service.RunRefund(t.Context(), o.TradeNo))
	if got := d.read(o.ID); got.Status != order.Refunded {
		t.Errorf("order is %s", got.State)
	}
	wantIn(t, "account", finance.get(page).Body, "已退款", "没有可以退的款项")
	if a := li.post("/staff/review/"+string(o.ID)+"/claim", nil); a.Status == http.StatusSeeOther {
		t.Error("claimed a refunded order")
	}
}

// Row 10: what was paid twice and does not go back is on finance's list, though no
// order waits for it.
func TestLateRefundDesk(t *testing.T) {
	d := newDesk(t).hire()
	o := d.inReview()
	late := order.Payment{TradeNo: "LATE1", OrderID: o.ID, Amount: 60000, State: order.PaymentRefundDue, Channel: order.WeChatPay, Way: order.PayByQRCode, RefundNo: "RLATE1", CreatedAt: d.clock.now(), UpdatedAt: d.clock.now()}
	must(t, d.db.InTx(t.Context(), func(tx order.Tx) error { return tx.InsertPayment(t.Context(), late) }))
	d.gateway.refund = order.RefundAbnormal
	must(t, d.service.RunRefund(t.Context(), late.TradeNo))
	finance, page := d.login("周财务"), "/staff/finance/late/LATE1"
	wantIn(t, "list", finance.get("/staff/finance").Body, "重复或过期的支付没有退回", "付款人的银行卡已失效或冻结", "LATE1", page+"/retry", page+"/by-hand")
	wantIn(t, "without a word", finance.post(page+"/by-hand", nil).Body, "请写明转账日期和流水号")
	finance.mustPost(page+"/retry", nil, "/staff/finance")
	must(t, d.service.RunRefund(t.Context(), late.TradeNo))
	finance.mustPost(page+"/by-hand", url.Values{"note": {"11 月 26 日转账，回单 0021"}}, "/staff/finance")
	wantNotIn(t, "list", finance.get("/staff/finance").Body, "LATE1")
	wantIn(t, "account", finance.get("/staff/finance/"+string(o.ID)).Body, "LATE1", "线下退回：11 月 26 日转账，回单 0021")
	if a := d.login("李审核").post(page+"/retry", nil); a.Status == http.StatusSeeOther {
		t.Error("a reviewer retries refunds")
	}
}

// A refund that the merchant's balance keeps is on finance's list from the second day on.
func TestHeldRefundDesk(t *testing.T) {
	d := newDesk(t).hire()
	o := d.inReview()
	d.apply(o.ID, order.Command{On: order.RefundStart, By: d.staff["周财务"].Actor(order.Finance, order.Web, "192.0.2.1"), Note: "不办了"})
	d.gateway.refused = order.BalanceLow(nil)
	for _, wait := range []time.Duration{0, 24 * time.Hour} {
		d.clock.advance(wait)
		if err := d.service.RunRefund(t.Context(), o.TradeNo); !errors.Is(err, order.Unavailable) {
			t.Fatal(err)
		}
	}
	wantIn(t, "list", d.login("周财务").get("/staff/finance").Body, "退款等待余额", "商户账户余额不足", "微信支付", "/staff/finance/"+string(o.ID))
}

// Self pick-up: the code from the SMS, and not by guessing.
func TestPickUpDesk(t *testing.T) {
	d := newDesk(t).hire()
	was := d.inReview()
	o := was
	o.Form = was.Form.With(order.ShipWay, order.ShipPickUp)
	o.Rev++
	must(t, d.db.InTx(t.Context(), func(tx order.Tx) error { return tx.UpdateOrder(t.Context(), o, was) }))
	o = d.made(o)
	shipper := d.login("孙发货")
	page := "/staff/shipping/" + string(o.ID)
	wantIn(t, "list", shipper.get("/staff/shipping?stage=to_pick_up").Body, "到柜台自取", "王*琪")
	code := o.Form.Get(order.PickUpCode)
	wantNotIn(t, "parcel", shipper.get(page).Body, code)
	wantNotIn(t, "parcel in the clear", shipper.post(page+"/reveal", nil).Body, code)
	wrong := "000000"
	if code == wrong {
		wrong = "000001"
	}
	for range pickUpTries - 1 {
		if a := shipper.post(page+"/pick-up", url.Values{"code": {wrong}}); a.Status != http.StatusUnprocessableEntity || !strings.Contains(a.Body, "取件码不正确") {
			t.Fatalf("wrong code: %d", a.Status)
		}
	}
	shipper.mustPost(page+"/pick-up", url.Values{"code": {code}}, page)
	if a := shipper.post(page+"/pick-up", url.Values{"code": {wrong}}); a.Status != http.StatusTooManyRequests {
		t.Errorf("after %d tries: %d", pickUpTries, a.Status)
	}
	if got := d.read(o.ID); got.Status != order.Completed {
		t.Errorf("order is %s", got.State)
	}
}

// Whoever works on an express order sees that it is one, and by when: in the list of its own,
// and on the page on which it is judged.
func TestExpressIsSeenByStaff(t *testing.T) {
	d := newDesk(t).hire()
	was := d.inReview()
	reviewer := d.login("李审核")
	wantNotIn(t, "no express order", reviewer.get("/staff/review?stage=express").Body, was.Company)
	now := was
	now.Express, now.ReviewDue = order.ExpressPromised, d.clock.now().Add(time.Hour)
	must(t, d.db.InTx(t.Context(), func(tx order.Tx) error { return tx.UpdateOrder(t.Context(), now, was) }))
	due := now.ReviewDue.In(order.Shanghai).Format(time.DateTime)
	for name, page := range map[string]string{"list": "/staff/review?stage=express", "page": "/staff/review/" + string(was.ID)} {
		wantIn(t, name, reviewer.get(page).Body, was.Company, `<span class="badge bad">加急</span>`, due)
	}
}
