package handlers

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store"
	"github.com/yuncaidun/yuncaidun/store/session"
)

const testAppID = "wx0000000000000001"

// desk is the server with its console. WeChat is a function: the code that comes
// back from it is the open id.
type desk struct {
	*web
	staffing *order.Staffing
	staff    map[string]order.Staff // by name
	books    *order.Reconciler
	bill     []order.BillLine // of every day
	keys     int              // that were made
}

// Bill implements [order.BillSource].
func (d *desk) Bill(context.Context, time.Time) ([]order.BillLine, error) { return d.bill, nil }

func newDesk(t testing.TB, changes ...func(*ConsoleDeps)) *desk {
	t.Helper()
	w := newWeb(t)
	redis, err := session.NewEmbedded(w.clock.now)
	must(t, err)
	t.Cleanup(func() { must(t, redis.Close()) })
	end := func(ctx context.Context, id string) error {
		return w.Sessions.(*session.Sessions).DeleteAll(ctx, session.Staff, id)
	}
	d := &desk{web: w, staffing: order.NewStaffing(w.db, end, w.clock.now, newID), staff: map[string]order.Staff{}}
	d.books = order.NewReconciler(w.db, map[order.PayChannel]order.BillSource{order.WeChatPay: d}, w.clock.now, newID)
	deps := ConsoleDeps{
		Settings: w.settings,
		Stock:    certificate.NewStock(store.Stock{DB: w.db}, w.clock.now),
		Records:  w.db, Staffing: d.staffing, Reconciler: d.books, Once: session.NewDedup(redis.Client), AppID: testAppID,
		AuthorizeURL: func(redirect, state string) string {
			return "https://open.weixin.qq.com/connect/oauth2/authorize?redirect_uri=" + url.QueryEscape(redirect) + "&state=" + state
		},
		Follower: func(_ context.Context, code string) (string, string, error) {
			if open, ok := strings.CutPrefix(code, "code-of-"); ok {
				return open, "", nil
			}
			return "", "", order.Errorf(order.Unauthenticated, "wechat_login_again", "微信登录已过期，请重试")
		},
	}
	for _, change := range changes {
		change(&deps)
	}
	w.Console(deps)
	return d
}

// Staff of these tests, all invented.
var members = []order.NewMember{
	{Name: "李审核", Mobile: "13900000001", Roles: []order.Role{order.Reviewer}},
	{Name: "赵复核", Mobile: "13900000002", Roles: []order.Role{order.Reviewer}},
	{Name: "钱制证", Mobile: "13900000003", Roles: []order.Role{order.Issuer}},
	{Name: "孙发货", Mobile: "13900000004", Roles: []order.Role{order.Shipper}},
	{Name: "周财务", Mobile: "13900000005", Roles: []order.Role{order.Finance}},
	{Name: "吴管理", Mobile: "13900000006", Roles: []order.Role{order.Admin}},
}

// hire makes the accounts of all members.
func (d *desk) hire() *desk {
	d.t.Helper()
	for _, n := range members {
		var err error
		n.TOTPSecret, err = NewTOTPSecret()
		must(d.t, err)
		m, err := d.staffing.Add(d.t.Context(), order.BySystem, n)
		must(d.t, err)
		d.staff[n.Name] = m
	}
	return d
}

func mobileOf(name string) string {
	for _, n := range members {
		if n.Name == name {
			return n.Mobile
		}
	}
	return ""
}

// state follows the login link and returns the state that WeChat would bring back.
func (b *browser) state(next string) string {
	b.t.Helper()
	a := b.get("/staff/login/wechat?next=" + url.QueryEscape(next))
	to, err := url.Parse(a.location())
	if err != nil || a.Status != http.StatusSeeOther || to.Host != "open.weixin.qq.com" {
		b.t.Fatalf("login: %d %s", a.Status, a.location())
	}
	return to.Query().Get("state")
}

func (d *desk) totp(name string) string {
	code, err := TOTPCode(d.staff[name].TOTPSecret, d.clock.now())
	must(d.t, err)
	return code
}

// login is a browser in which a member of staff is logged in; the first time,
// the WeChat user is bound by SMS.
func (d *desk) login(name string) *browser {
	d.t.Helper()
	b := d.browser()
	a := b.get("/staff/login/callback?code=code-of-" + mobileOf(name) + "&state=" + b.state("/staff"))
	if a.location() == "/staff/login/bind" {
		b.get("/staff/login/bind")
		b.post("/staff/login/bind/code", url.Values{"mobile": {mobileOf(name)}})
		a = b.post("/staff/login/bind", url.Values{"mobile": {mobileOf(name)}, "code": {d.code(mobileOf(name))}})
	}
	if a.location() != "/staff/login/totp" {
		d.t.Fatalf("%s after WeChat: %d %s %s", name, a.Status, a.location(), a.Body)
	}
	b.get("/staff/login/totp")
	if a = b.post("/staff/login/totp", url.Values{"code": {d.totp(name)}}); a.Status != http.StatusSeeOther {
		d.t.Fatalf("%s after TOTP: %d %s", name, a.Status, a.Body)
	}
	return b
}

// inReview is an order of 2 keys that waits for review, its real name checked.
func (d *desk) inReview() order.Order {
	d.t.Helper()
	o := d.order(d.browser().paid())
	must(d.t, d.service.RecordRealName(d.t.Context(), o.ID, o.Submission, order.RealNameMatch))
	d.clock.advance(2 * time.Minute)
	return d.read(o.ID)
}

func (d *desk) read(id order.ID) order.Order {
	d.t.Helper()
	o, err := d.db.Order(d.t.Context(), id)
	must(d.t, err)
	return o
}

var allTicks = []string{"subject", "agent", "authorization", "images"}

// made is the order with its keys made, after approval.
func (d *desk) made(o order.Order) order.Order {
	d.t.Helper()
	by := d.staff["李审核"].Actor(order.Reviewer, order.Web, "192.0.2.1")
	d.apply(o.ID, order.Command{On: order.Claim, By: by})
	d.apply(o.ID, order.Command{On: order.Approve, By: by, Snapshot: o.Snapshot, Ticks: order.Ticks})
	for _, item := range d.items(o.ID) {
		d.apply(o.ID, order.Command{On: order.MakeKey, By: order.BySystem, Item: item.ID})
		d.apply(o.ID, order.Command{On: order.KeyVerified, By: order.BySystem, Item: item.ID, TokenSerial: "TW1178220700000" + strconv.Itoa(d.keys), CertSerial: strings.Repeat("0A", 19) + "0" + strconv.Itoa(d.keys), Proven: []order.Fact{order.ReadBack}})
		d.keys++
	}
	return d.read(o.ID)
}

func (d *desk) items(id order.ID) []order.Item {
	d.t.Helper()
	items, err := d.db.Items(d.t.Context(), id)
	must(d.t, err)
	return items
}

func (d *desk) apply(id order.ID, c order.Command) {
	d.t.Helper()
	_, err := d.service.Apply(d.t.Context(), id, c)
	must(d.t, err)
}

func (b *browser) mustPost(path string, form url.Values, want string) {
	b.t.Helper()
	if a := b.post(path, form); a.Status != http.StatusSeeOther || a.location() != want {
		b.t.Fatalf("POST %s: %d to %q, want %q: %s", path, a.Status, a.location(), want, alertIn(a.Body))
	}
}

// alertIn is what a page says on top.
func alertIn(page string) string {
	_, alert, _ := strings.Cut(page, `role="alert"`)
	alert, _, _ = strings.Cut(alert, "</div>")
	return alert
}

func wantIn(t testing.TB, what, page string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(page, p) {
			t.Errorf("%s lacks %q", what, p)
		}
	}
}

func wantNotIn(t testing.TB, what, page string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if strings.Contains(page, p) {
			t.Errorf("%s shows %q", what, p)
		}
	}
}

// F118: the whole of the staff's work on one order, through the pages.
func TestStaffWork(t *testing.T) {
	d := newDesk(t).hire()
	o := d.inReview()
	page := "/staff/review/" + string(o.ID)

	reviewer := d.login("李审核")
	wantIn(t, "queue", reviewer.get("/staff/review").Body, o.Company, order.TailOf(o.No), page)
	reviewer.get(page)
	reviewer.mustPost(page+"/claim", nil, page)
	reviewer.mustPost(page+"/approve", url.Values{"snapshot": {o.Snapshot}, "tick": allTicks}, page)
	wantIn(t, "review page", reviewer.get(page).Body, "已由李审核于", "审核通过")

	issuer := d.login("钱制证")
	making := issuer.get("/staff/making").Body
	wantIn(t, "making", making, o.Company, "待制作")
	wantNotIn(t, "making", making, "王*琪", "138****8000", "中关村")
	first := d.items(o.ID)[0]
	issuer.mustPost("/staff/making/"+string(o.ID)+"/"+first.ID+"/start", nil, "/staff/making")
	d.apply(o.ID, order.Command{On: order.KeyFailed, By: order.BySystem, Item: first.ID, Note: "UKEY 未响应"})
	wantIn(t, "making", issuer.get("/staff/making").Body, "制作失败", "UKEY 未响应", "重试")
	issuer.mustPost("/staff/making/"+string(o.ID)+"/"+first.ID+"/retry", nil, "/staff/making")
	for i, item := range d.items(o.ID) {
		if item.Stage == order.ItemWaiting {
			d.apply(o.ID, order.Command{On: order.MakeKey, By: order.BySystem, Item: item.ID})
		}
		d.apply(o.ID, order.Command{On: order.KeyVerified, By: order.BySystem, Item: item.ID, TokenSerial: "TW1178220700000" + strconv.Itoa(i), CertSerial: strings.Repeat("0A", 19) + "0" + strconv.Itoa(i), Proven: []order.Fact{order.ReadBack}})
	}

	shipper := d.login("孙发货")
	wantIn(t, "shipping", shipper.get("/staff/shipping").Body, "王*琪 138****8000", "海淀区")
	parcel := "/staff/shipping/" + string(o.ID)
	masked := shipper.get(parcel).Body
	wantIn(t, "parcel", masked, "TW11782207000000", "TW11782207000001")
	wantNotIn(t, "parcel", masked, "中关村", agentMobile)
	wantIn(t, "parcel in the clear", shipper.post(parcel+"/reveal", nil).Body, "中关村大街1号", agentMobile)
	if a := shipper.post(parcel+"/ship", url.Values{"carrier": {"sf"}, "tracking": {"12"}}); a.Status != http.StatusUnprocessableEntity || !strings.Contains(a.Body, "快递单号") {
		t.Errorf("wrong tracking number: %d", a.Status)
	}
	shipper.mustPost(parcel+"/ship", url.Values{"carrier": {"sf"}, "tracking": {"sf 1234－5678-90123"}}, parcel)
	shipper.mustPost(parcel+"/ship", url.Values{"carrier": {"sf"}, "tracking": {"SF1234567890123"}}, parcel) // double click
	if got := d.read(o.ID); got.Status != order.Completed || got.TrackingNo != "SF1234567890123" {
		t.Errorf("order is %s with %q", got.State, got.TrackingNo)
	}
	if n := countEvents(t, d, o.ID, order.Ship); n != 1 {
		t.Errorf("shipped %d times", n)
	}
}

func countEvents(t testing.TB, d *desk, id order.ID, on order.Event) int {
	t.Helper()
	events, err := d.db.Events(t.Context(), id)
	must(t, err)
	n := 0
	for _, e := range events {
		if e.Event == on {
			n++
		}
	}
	return n
}
