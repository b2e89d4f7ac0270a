package handlers

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store/session"
)

// ConsoleDeps is what the staff console stands on beside the [Deps]. All are
// required.
type ConsoleDeps struct {
	Records  consoleReader
	Staffing *order.Staffing
	Settings *order.Settings
	// Reconciler compares the platforms' bills with our books.
	Reconciler *order.Reconciler
	Once       once
	// AuthorizeURL is where a browser inside WeChat proves who holds it; WeChat
	// returns it to redirect with a code and the state.
	AuthorizeURL func(redirect, state string) string
	// Follower exchanges such a code; Unauthenticated when it is void.
	Follower func(ctx context.Context, code string) (openID, unionID string, err error)
	AppID    string // of the official account
	Stock    *certificate.Stock
	Stations StationDesk
	// StationRemote says that keys are made on other PCs.
	StationRemote bool
	// StationAuto says that blank keys are taken at once, without a person.
	StationAuto bool
}

// consoleReader is what console pages read; *store.DB.
type consoleReader interface {
	Order(ctx context.Context, id order.ID) (order.Order, error)
	Orders(ctx context.Context, f order.Filter) (order.Page, error)
	Items(ctx context.Context, of ...order.ID) ([]order.Item, error)
	Events(ctx context.Context, id order.ID) ([]order.EventRecord, error)
	Looks(ctx context.Context, id order.ID, after order.Cursor, limit int) (order.LookPage, error)
	Shipments(ctx context.Context, id order.ID) ([]order.Shipment, error)
	Proposal(ctx context.Context, id order.ID) (order.Proposal, error)
	Proposals(ctx context.Context, limit int) ([]order.Proposal, error)
	PartRefunds(ctx context.Context, id order.ID) ([]order.PartRefund, error)
	FailedPartRefunds(ctx context.Context, limit int) ([]order.PartRefund, error)
	FailedLateRefunds(ctx context.Context, limit int) ([]order.Payment, error)
	Fulfilment(ctx context.Context, tradeNo string) (order.Fulfilment, error)
	RefusedFulfilments(ctx context.Context, limit int) ([]order.Fulfilment, error)
	HeldRefunds(ctx context.Context, limit int) ([]order.HeldRefund, error)
	Payments(ctx context.Context, id order.ID) ([]order.Payment, error)
	Messages(ctx context.Context, f order.MessageFilter) ([]order.Notification, error)
	Notifications(ctx context.Context, id order.ID) ([]order.Notification, error)
	Attempts(ctx context.Context, notificationID string) ([]order.Attempt, error)
	ReviewChecks(ctx context.Context, id order.ID, staffID string) (order.Checks, error)
	ReviewStats(ctx context.Context, from, to, now time.Time) (order.ReviewStats, error)
	StaffWithRole(ctx context.Context, r order.Role) ([]order.Staff, error)
	// Differences and Bills are what the comparison with the payment platforms found.
	Differences(ctx context.Context, f order.DifferenceFilter) (order.DifferencePage, error)
	Bills(ctx context.Context, before string, limit int) ([]order.Bill, error)
	Unread(ctx context.Context, staffID string, limit int) (int, error)
	CompanyKnown(ctx context.Context, uscc string) (bool, error)
	Staff(ctx context.Context, id string) (order.Staff, error)
	Certificate(ctx context.Context, serial string) (certificate.Certificate, error)
	Openings(ctx context.Context, serial string, now time.Time) ([]certificate.Opening, error)
	OnToken(ctx context.Context, tokenSerial string) ([]certificate.Certificate, error)
	FindCertificates(ctx context.Context, text string, limit int) ([]certificate.Certificate, error)
}

// once gives a key to exactly one caller until ttl has passed; *session.Dedup.
type once interface {
	Claim(ctx context.Context, key string, ttl time.Duration) (bool, error)
}

// console is the staff's part of the web: login, review, making, shipping and
// refunds. Every page shows what its role needs and nothing else (rules.md §3.2).
type console struct {
	*Server
	ConsoleDeps
	doubts doubts
}

// Console adds the staff console to the server.
func (s *Server) Console(d ConsoleDeps) {
	k := &console{Server: s, ConsoleDeps: d}
	s.get("/staff", OfStaff, k.start)
	s.post("/staff/logout", OfStaff, k.leave)
	k.signInRoutes()
	k.reviewRoutes()
	k.makingRoutes()
	k.stockRoutes()
	k.stationRoutes()
	k.shippingRoutes()
	k.financeRoutes()
	k.invoiceRoutes()
	k.reconciliationRoutes()
	k.searchRoutes()
	k.certificateRoutes()
	k.inboxRoutes()
	k.enquiryRoutes()
	k.peopleRoutes()
	k.productRoutes()
	k.calendarRoutes()
	k.smsRoutes()
}

// consolePage is the frame of a console page; Body is the page's own.
type consolePage struct {
	Nav    []navEntry
	Name   string
	Notice *Problem // shown on top: why the last action did not work
	Body   any
}

type navEntry struct {
	Path, Label string
	Here        bool
	New         int // messages not seen yet
}

// desks are the places of the console and the roles that work there; everybody
// has an inbox.
var desks = []struct {
	path, label string
	roles       []order.Role
}{
	{"/staff/review", "审核", []order.Role{order.Reviewer}},
	{"/staff/making", "制证", []order.Role{order.Issuer}},
	{"/staff/stock", "空白UKEY", []order.Role{order.Issuer}},
	{"/staff/shipping", "发货", []order.Role{order.Shipper, order.Admin}},
	{"/staff/finance", "退款", []order.Role{order.Finance}},
	{"/staff/invoices", "发票", []order.Role{order.Finance}},
	{reconciliationPath, "对账", []order.Role{order.Finance}},
	{"/staff/orders", "查订单", searchers},
	{"/staff/certificates", "证书", []order.Role{order.Issuer}},
	{inboxPath, "消息", nil},
	{"/staff/enquiries", "回电", []order.Role{order.Reviewer}},
	{peoplePath, "同事", []order.Role{order.Admin}},
	{productsPath, "产品", []order.Role{order.Admin}},
	{calendarPath, "节假日", []order.Role{order.Admin}},
	{smsPath, "短信", []order.Role{order.Admin}},
}

// show answers with a console page. A notice says why an action was refused.
func (k *console) show(c *fiber.Ctx, name, title string, body any, refusal error) error {
	m, status := staffOf(c), http.StatusOK
	p := consolePage{Name: m.Name, Body: body}
	for _, d := range desks {
		if d.roles != nil && !slices.ContainsFunc(d.roles, m.Has) {
			continue
		}
		e := navEntry{Path: d.path, Label: d.label, Here: strings.HasPrefix(c.Path(), d.path)}
		if d.path == inboxPath {
			var err error
			if e.New, err = k.Records.Unread(c.UserContext(), m.ID, unreadShown); err != nil {
				return err
			}
		}
		p.Nav = append(p.Nav, e)
	}
	if refusal != nil {
		problem := problemFor(refusal)
		p.Notice, status = &problem, problem.Status
	}
	return k.render(c, status, "staff/"+name, title, p)
}

// start leads to the first desk of whoever logged in.
func (k *console) start(c *fiber.Ctx) error {
	m := staffOf(c)
	for _, d := range desks {
		if slices.ContainsFunc(d.roles, m.Has) {
			return c.Redirect(d.path, http.StatusSeeOther)
		}
	}
	return order.Errorf(order.Forbidden, "role_missing", "您的账号还没有角色，请联系管理员")
}

func (k *console) leave(c *fiber.Ctx) error {
	if err := k.logout(c, session.Staff); err != nil {
		return err
	}
	return c.Redirect("/staff/login", http.StatusSeeOther)
}

// actor is the member of staff acting in a role, through the surface in use.
func actor(c *fiber.Ctx, r order.Role) order.Actor {
	return staffOf(c).Actor(r, channelOf(c), c.IP())
}

func insideWeChat(c *fiber.Ctx) bool { return channelOf(c) == order.OfficialAcc }

// act applies a command to the order of the path, in a role.
func (k *console) act(c *fiber.Ctx, r order.Role, cmd order.Command) (order.Order, error) {
	cmd.By = actor(c, r)
	return k.Orders.Apply(c.UserContext(), order.ID(c.Params("id")), cmd)
}

// name is how colleagues call a member of staff. otherwise stands for who has no account,
// and for one that cannot be read at the moment, which is no reason to show no page.
func (k *console) name(ctx context.Context, id, otherwise string) string {
	m, err := k.Records.Staff(ctx, id)
	switch {
	case err == nil:
		return m.Name
	case !errors.Is(err, order.NotFound):
		k.Log.ErrorContext(ctx, "reading how a colleague is called", "err", err)
	}
	return otherwise
}

// staffName is how colleagues call a reviewer.
func (k *console) staffName(ctx context.Context, id string) string {
	return k.name(ctx, id, order.Reviewer.Label())
}

// nameOf is how colleagues call the one who did something.
func (k *console) nameOf(ctx context.Context, e order.EventRecord) string {
	return k.name(ctx, e.ActorID, e.Role.Label())
}

// listPage asks for the oldest work first, one page of it.
func listPage(c *fiber.Ctx, f order.Filter) (order.Filter, error) {
	var err error
	f.After, err = parseCursor(c.Query("after"))
	f.Limit = pageSize
	return f, err
}

// orNotice shows a list again with the refusal on top; other errors go on.
func (k *console) orNotice(c *fiber.Ctx, err error, show func(*fiber.Ctx, error) error) error {
	if e, ok := order.AsError(err); !ok || e.Kind == order.NotFound {
		return err
	}
	return show(c, err)
}
