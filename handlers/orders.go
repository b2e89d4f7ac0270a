package handlers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/order"
)

func (s *Server) orderRoutes() {
	s.get("/orders", Applicant, s.listOrders)
	s.get("/orders/:id", Applicant, s.showOrder)
	s.get("/orders/:id/panel", Applicant, s.orderPanel)
	s.post("/orders/:id/close", Applicant, s.closeOrder)
	s.post("/orders/:id/give-up", Applicant, s.giveUpKeys)
	s.get("/orders/:id/live", Applicant, s.live)
}

type listView struct {
	Tabs []tabView
	Rows []rowView
	Form listForm
	Next string // address of the next page
}

type listForm struct{ Status, No, Company, Product, From, To string }

type tabView struct {
	Label, URL string
	Current    bool
}

type rowView struct {
	Order   order.Order
	State   string
	Reasons string // F97: filled only in 审核拒绝
	Actions []actionView
}

type actionView struct {
	Label, URL string
	Main       bool
}

// pageSize is how many orders a page of the list shows.
const pageSize = 20

// listOrders is 我的订单: tabs, search and columns of F89–F92, newest first (F94).
func (s *Server) listOrders(c *fiber.Ctx) error {
	form := listForm{c.Query("status"), c.Query("no"), c.Query("company"), c.Query("product"), c.Query("from"), c.Query("to")}
	f, err := form.filter()
	if err != nil {
		return err
	}
	f.PersonID = visitorOf(c).PersonID()
	if f.After, err = parseCursor(c.Query("after")); err != nil {
		return err
	}
	page, err := s.Store.Orders(c.UserContext(), f)
	if err != nil {
		return err
	}
	view := listView{Form: form, Tabs: tabs(form)}
	for _, o := range page.Orders {
		view.Rows = append(view.Rows, s.rowOf(o))
	}
	if err := s.invoiceActions(c.UserContext(), view.Rows); err != nil {
		return err
	}
	if page.Next != (order.Cursor{}) {
		q := form.query()
		q.Set("after", cursorText(page.Next))
		view.Next = "/orders?" + q.Encode()
	}
	return s.render(c, http.StatusOK, "orders", "我的订单", view)
}

// filter checks the search form; days are whole days in Shanghai.
func (f listForm) filter() (order.Filter, error) {
	out := order.Filter{
		Status: order.Status(f.Status), No: order.PrintedNo(f.No), Company: order.PrintedName(f.Company),
		Product: strings.TrimSpace(f.Product), Limit: pageSize,
	}
	if f.Status != "" && out.Status.Label() == "" {
		return out, order.Errorf(order.Invalid, "status_unknown", "没有该订单状态，请重新选择")
	}
	for _, d := range []struct {
		text string
		to   *time.Time
		days int
	}{{f.From, &out.From, 0}, {f.To, &out.To, 1}} {
		if d.text == "" {
			continue
		}
		t, err := time.ParseInLocation(time.DateOnly, d.text, order.Shanghai)
		if err != nil {
			return out, order.Errorf(order.Invalid, "date_invalid", "日期格式应为 2026-01-31")
		}
		*d.to = t.AddDate(0, 0, d.days)
	}
	return out, nil
}

func (f listForm) query() url.Values {
	q := url.Values{}
	for k, v := range map[string]string{"status": f.Status, "no": f.No, "company": f.Company, "product": f.Product, "from": f.From, "to": f.To} {
		if v != "" {
			q.Set(k, v)
		}
	}
	return q
}

// tabs are the thirteen of F89; they keep the search.
func tabs(f listForm) []tabView {
	out := make([]tabView, 0, len(order.Statuses)+1)
	for _, st := range append([]order.Status{""}, order.Statuses...) {
		label, at := st.Label(), f
		if st == "" {
			label = "全部"
		}
		at.Status = string(st)
		out = append(out, tabView{label, "/orders?" + at.query().Encode(), f.Status == string(st)})
	}
	return out
}

func (s *Server) rowOf(o order.Order) rowView {
	r := rowView{Order: o, State: o.Guide(s.Now()).State}
	if o.Status == order.Rejected {
		r.Reasons = o.ReasonTexts()
	}
	for i, a := range o.Actions(s.Now()) {
		r.Actions = append(r.Actions, actionView{a.Verb(o.Business), actionURL(o.ID, a), i == 0 && a != order.ActionView})
	}
	return r
}

// actionURL is where an action is done.
func actionURL(id order.ID, a order.Action) string {
	at := "/orders/" + string(id)
	switch a {
	case order.ActionContinue, order.ActionFix:
		return at + "/edit"
	case order.ActionPay:
		return at + "/pay"
	case order.ActionRestore:
		return at + "/restore"
	case order.ActionRun:
		return at + "/run"
	case order.ActionUnlock:
		return at + "/unlock"
	case order.ActionTrack:
		return at + "#shipment"
	default:
		return at
	}
}

// A cursor travels as its instant and id; that behind the last page, which is zero, as nothing.
func cursorText(c order.Cursor) string {
	if c == (order.Cursor{}) {
		return ""
	}
	return strconv.FormatInt(c.At.UnixMilli(), 36) + "_" + string(c.ID)
}

// link leads to the next page of a list; empty after the last.
func link(list string, next order.Cursor) string {
	if next == (order.Cursor{}) {
		return ""
	}
	return list + cursorText(next)
}

func parseCursor(text string) (order.Cursor, error) {
	if text == "" {
		return order.Cursor{}, nil
	}
	at, id, ok := strings.Cut(text, "_")
	ms, err := strconv.ParseInt(at, 36, 64)
	if !ok || err != nil {
		return order.Cursor{}, order.Errorf(order.Invalid, "cursor_invalid", "翻页链接已失效，请从第一页开始")
	}
	return order.Cursor{At: time.UnixMilli(ms).UTC(), ID: order.ID(id)}, nil
}

type orderView struct {
	Order    order.Order
	Guide    order.Guidance
	Delay    string // that the review is late, and why
	Obstacle string // why it cannot go on as its certificate is now
	Action   actionView
	Reasons  []reasonView
	Timeline []momentView
	Groups   []groupView
	Lines    []lineView
	Items    []order.Item
	Steps    []stepView
	About    *certificate.Certificate
	Fresh    *certificate.Certificate // what the order has replaced About by
	Until    time.Time                // when what was approved runs out
	// Closable orders were refused and cost nothing (row 34).
	Closable bool
	// Deletable orders are drafts and those not paid yet (G13).
	Deletable bool
	Auth      *authCard
	Invoice   *invoiceCard
	Receipts  *receiptCard
	// Shipments are the parcels, the newest first.
	Shipments []order.Shipment
	// GiveUp is what finance proposes to do without (row 40); nil when nothing.
	GiveUp *giveUpView
	// CodeAgain: an unlock without a network, whose response may not have fitted.
	CodeAgain bool
}

type giveUpView struct {
	Keys, Left int
	Price      order.Fen
	Note       string
}

// giveUpOf is what the applicant of an order is asked to agree to.
func (s *Server) giveUpOf(ctx context.Context, o order.Order) (*giveUpView, error) {
	if o.Status != order.ToIssue {
		return nil, nil
	}
	p, err := s.Store.Proposal(ctx, o.ID)
	if errors.Is(err, order.NotFound) || err == nil && p.Kind != order.ProposeGiveUp {
		return nil, nil
	}
	return &giveUpView{p.Keys, o.Quantity() - o.GivenUp - p.Keys, p.Price(o), p.Note}, err
}

// giveUpKeys is the applicant's consent to fewer keys (row 40).
func (s *Server) giveUpKeys(c *fiber.Ctx) error {
	o, err := s.ownOrder(c)
	if err != nil {
		return err
	}
	if _, err := s.Orders.Apply(c.UserContext(), o.ID, order.Command{On: order.GiveUpKeys, By: visitorOf(c).Actor(c)}); err != nil {
		return err
	}
	return s.goTo(c, "/orders/"+string(o.ID))
}

type momentView struct {
	At   time.Time
	Text string
	Who  string
}

// stepView is one step of the progress bar.
type stepView struct {
	Label         string
	Done, Current bool
}

func (s *Server) showOrder(c *fiber.Ctx) error {
	v, err := s.orderView(c)
	if err != nil {
		return err
	}
	return s.render(c, http.StatusOK, "order", "订单详情", v)
}

// closeOrder gives up an order that was refused and cost nothing (row 34).
func (s *Server) closeOrder(c *fiber.Ctx) error {
	o, err := s.ownOrder(c)
	if err != nil {
		return err
	}
	if _, err := s.Orders.Apply(c.UserContext(), o.ID, order.Command{On: order.Close, By: visitorOf(c).Actor(c)}); err != nil {
		return err
	}
	return s.goTo(c, "/orders/"+string(o.ID))
}

// orderPanel is the part of the order's page that changes while one looks.
func (s *Server) orderPanel(c *fiber.Ctx) error {
	v, err := s.orderView(c)
	if err != nil {
		return err
	}
	return s.render(c, http.StatusOK, "partials/panel", "", v)
}

func (s *Server) orderView(c *fiber.Ctx) (orderView, error) {
	o, err := s.ownOrder(c)
	if err != nil {
		return orderView{}, err
	}
	guide, err := s.Status.Guide(c.UserContext(), o)
	if err != nil {
		return orderView{}, err
	}
	v := orderView{Order: o, Guide: guide, Delay: o.DelayNotice(s.Now()), Lines: lineViews(o), Groups: s.summary(o, order.Form.Masked), Steps: stepsOf(o)}
	if a := v.Guide.Action; a != order.NoAction && a != order.ActionTrack {
		v.Action = actionView{a.Verb(o.Business), actionURL(o.ID, a), true}
		v.Deletable = a == order.ActionContinue || a == order.ActionPay
	}
	for _, r := range o.Reasons {
		v.Reasons = append(v.Reasons, viewOfReason(o.Product, o.Form, r))
	}
	v.Closable = o.Closable()
	if v.About, err = s.aboutOf(c.UserContext(), o); err != nil {
		return v, err
	}
	if v.About != nil {
		v.Obstacle = v.About.ObstacleTo(o, s.Now())
		if v.Fresh, err = s.freshOf(c.UserContext(), o, *v.About); err != nil {
			return v, err
		}
	}
	if a := v.Guide.Action; v.Obstacle != "" && a != order.ActionContinue && a != order.ActionFix {
		v.Action = actionView{} // it would be refused; what was typed can still be changed
	}
	if v.About != nil && o.Status == order.ToRenew { // the guide has the others
		v.Until = o.GrantEnd(v.About.NotAfter)
	}
	events, err := s.Store.Events(c.UserContext(), o.ID)
	if err != nil {
		return v, err
	}
	if by := o.FixUntil(events); !by.IsZero() {
		v.Until = by
	}
	v.Timeline, v.CodeAgain = timeline(events), o.CodeAgain(events, s.Now())
	shipments, err := s.Store.Shipments(c.UserContext(), o.ID)
	if err != nil {
		return v, err
	}
	v.Shipments = shipmentViews(shipments)
	if v.GiveUp, err = s.giveUpOf(c.UserContext(), o); err != nil {
		return v, err
	}
	if v.Auth, err = s.authCard(c.UserContext(), o); err != nil {
		return v, err
	}
	if v.Invoice, err = s.invoiceCard(c.UserContext(), o); err != nil {
		return v, err
	}
	if v.Receipts, err = s.receiptCard(c.UserContext(), o); err != nil {
		return v, err
	}
	v.Items, err = s.Store.Items(c.UserContext(), o.ID)
	return v, err
}

// freshOf is the certificate that a completed order has replaced another by; nil when none.
func (s *Server) freshOf(ctx context.Context, o order.Order, about certificate.Certificate) (*certificate.Certificate, error) {
	if o.Status != order.Completed || about.SupersededBy == "" {
		return nil, nil
	}
	fresh, err := s.Store.Certificate(ctx, about.SupersededBy)
	if err != nil || fresh.OrderID != o.ID {
		return nil, err
	}
	return &fresh, nil
}

// timeline is the history as the applicant reads it, newest first. Who acted is
// named by role only.
func timeline(events []order.EventRecord) []momentView {
	lines := told(events)
	out := make([]momentView, len(lines))
	for i, l := range lines {
		out[i] = momentView{l.At, l.text(), l.Role.Label()}
	}
	return out
}

// line is one of the history as the applicant reads it: what happened, the last time if
// it happened to several keys.
type line struct {
	order.EventRecord

	keys int
}

// ofKeys are what happens to each key of an order, as it reads of several.
var ofKeys = map[order.Event]string{order.MakeKey: "%d 个 UKEY 开始制证", order.KeyVerified: "%d 个 UKEY 制作完成并验证"}

// told is the history as the applicant reads it, newest first: keys that were made in
// one go are one line.
func told(events []order.EventRecord) []line {
	out := make([]line, 0, len(events))
	at := map[order.Event]int{} // where the keys stand that are made in one go
	for _, e := range slices.Backward(events) {
		i, again := at[e.Event]
		switch _, folds := ofKeys[e.Event]; {
		case again:
			out[i].keys++
			continue
		case folds:
			at[e.Event] = len(out)
		default:
			clear(at)
		}
		out = append(out, line{e, 1})
	}
	return out
}

func (l line) text() string {
	if l.keys > 1 {
		return fmt.Sprintf(ofKeys[l.Event], l.keys)
	}
	return eventText(l.EventRecord)
}

// eventText is a line of the history; of a parcel's, how far it has come or which number
// it has.
func eventText(e order.EventRecord) string {
	if e.Event == order.CourierMoved || e.Event == order.CorrectTracking {
		return e.Label() + "：" + e.Note
	}
	return e.Label()
}

// shipmentViews are the parcels as people look at them: what is newest first.
func shipmentViews(all []order.Shipment) []order.Shipment {
	slices.Reverse(all)
	for _, s := range all {
		slices.Reverse(s.Track)
	}
	return all
}

// middle is what happens between review and end when no key is made.
var middle = map[order.Business]string{order.Renewal: "更新", order.UnlockApproval: "设置新口令", order.Resume: "恢复", order.Reissue: "下载", order.Initial: "下载", order.Rebind: ""}

// unlockSteps are what an approved unlock calls its first steps (F81).
var unlockSteps = map[string]string{"填写": "填写资料", "审核": "等待审核"}

// stepsOf is the way of an order in a few words.
func stepsOf(o order.Order) []stepView {
	way := []struct {
		label string
		at    []order.Status
	}{
		{"填写", []order.Status{order.Draft}},
		{"支付", []order.Status{order.AwaitingPayment}},
		{"审核", []order.Status{order.InReview, order.Rejected}},
		{"制证", []order.Status{order.ToIssue, order.ToRenew, order.ToDownload, order.ToUnlock, order.ToRestore}},
		{"配送", []order.Status{order.ToShip}},
		{"完成", []order.Status{order.Completed, order.Refunded}},
	}
	var out []stepView
	current := 0
	for i, w := range way {
		for _, st := range w.at {
			if st == o.Status {
				current = i
			}
		}
	}
	for i, w := range way {
		if label, ok := middle[o.Business]; ok && w.label == "制证" && !o.Shipped() {
			if w.label = label; label == "" {
				continue
			}
		}
		if w.label == "支付" && o.Amount == 0 || w.label == "配送" && !o.Shipped() {
			continue // F61, F73
		}
		if o.Business == order.UnlockApproval {
			w.label = cmp.Or(unlockSteps[w.label], w.label)
		}
		out = append(out, stepView{w.label, i < current || o.Status == order.Completed, i == current && o.Status != order.Completed})
	}
	return out
}
