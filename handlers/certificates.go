package handlers

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store/session"
)

// codePurposes are the purposes of SMS codes about a certificate: a code to
// freeze one revokes nothing (F57).
var codePurposes = map[certificate.Event]string{certificate.Freeze: "freeze", certificate.Revoke: "revoke"}

// codeRestore is the purpose of the code that takes a freeze back.
const codeRestore = "restore"

// The purposes of the two codes of a rebind: the old mobile's first (F101).
const (
	codeRebind    = "rebind"
	codeRebindNew = "rebind_new"
)

// LoggedInCodes are the purposes of codes that only a login may ask for, to a mobile that it has proven. They are
// counted apart, so that no stranger who uses up the codes of a mobile keeps its
// owner from freezing a lost key.
func LoggedInCodes() []string {
	return append(slices.Sorted(maps.Values(codePurposes)), codeRestore, codeRebind, initialPINPurpose, codeAuthSign, codeErase, codeCopy, codeClose, codeUnlockOwn)
}

func (s *Server) certificateRoutes() {
	s.get("/certificates", Applicant, s.listCertificates)
	s.get("/certificates/calendar", Applicant, s.sendCalendar)
	s.get("/certificates/:serial/offers/:business", Applicant, s.offersPage)
	for _, e := range []certificate.Event{certificate.Freeze, certificate.Revoke} {
		path := "/certificates/:serial/" + string(e)
		s.get(path, Applicant, func(c *fiber.Ctx) error { return s.changePage(c, e) })
		s.post(path, Applicant, func(c *fiber.Ctx) error { return s.change(c, e) })
		s.post(path+"/code", Applicant, func(c *fiber.Ctx) error { return s.changeCode(c, e) })
	}
	s.post("/certificates/:serial/revoke/bid", Applicant, s.bidAdvice)
	s.post("/certificates/:serial/revoke/bid-reminder", Applicant, s.remindBeforeRevoking)
	s.openingRoutes()
	s.cabinetRoutes()
	s.initialPINRoutes()
}

func (s *Server) listCertificates(c *fiber.Ctx) error {
	ctx, me := c.UserContext(), visitorOf(c).PersonID()
	certs, err := s.Status.HeldBy(ctx, me)
	if err != nil {
		return err
	}
	person, err := s.Store.Person(ctx, me)
	if err != nil {
		return err
	}
	open, err := s.Store.Orders(ctx, order.Filter{PersonID: me, Open: true, Limit: 100})
	if err != nil {
		return err
	}
	ahead, err := s.Status.OpeningsOf(ctx, me)
	if err != nil {
		return err
	}
	foreign, err := s.Status.ForeignOf(ctx, me)
	if err != nil {
		return err
	}
	lent, err := s.Status.LoansOut(ctx, me)
	if err != nil {
		return err
	}
	untold, err := s.Status.Untold(ctx, certs)
	if err != nil {
		return err
	}
	view := heldView{Cards: make([]cardView, len(certs)), Foreign: foreignViews(foreign, lent, s.Now())}
	view.Calendar = slices.ContainsFunc(certs, s.inUse) || slices.ContainsFunc(foreign, s.stillGood)
	for i, cert := range certs {
		card := s.cardView(cert, person, open.Orders)
		if untold[cert.Serial] {
			card.PIN = initialPINPath(cert)
		}
		card.Openings = openingViews(cert, ahead, lent, s.Now())
		card.Loan = outOf(lent, cert.TokenSerial, s.Now())
		view.Cards[i] = card
	}
	return s.render(c, http.StatusOK, "certificates", "我的证书", view)
}

type heldView struct {
	Cards    []cardView
	Foreign  []foreignView
	Calendar bool // has something to download
}

// cardView is a certificate of 我的证书 with what can be done about it now (F98,
// F103).
type cardView struct {
	Cert     certificate.Certificate
	State    certificate.State
	Standing string
	Good     bool
	Soon     string // said beside it: it ends soon
	Mobile   string // of the bound user, masked
	Changes  []actionView
	Offers   []offeredView
	Openings []openingView
	Loan     *loanView // who has its USBKEY
	Note     string
	PIN      string // where the initial PIN is shown, while it was not: what comes first
}

// offeredView is a business that the certificate can have now: begun already, or
// to begin.
type offeredView struct {
	Label string
	URL   string // where the open order goes on; empty to begin one
	Form  newOrderForm
	Main  bool
}

// newOrderForm is what begins an application about a certificate.
type newOrderForm struct {
	Certificate string
	Business    order.Business
}

// cardBusinesses are the businesses on a card, the most wanted first, by the verb
// on the button.
var cardBusinesses = []struct {
	business order.Business
	verb     string
}{{order.Renewal, "更新"}, {order.Resume, "恢复"}, {order.UnlockApproval, "审批解锁"}, {order.Reissue, "补办"}}

func (s *Server) cardView(cert certificate.Certificate, holder order.Person, open []order.Order) cardView {
	now := s.Now()
	v := cardView{Cert: cert, State: cert.State(), Standing: cert.Standing(now), Good: cert.Good(now), Soon: cert.Soon(now), Mobile: holder.Mobile.Mask(), Note: cardNote(cert, renewing(open, cert), now)}
	for _, b := range cardBusinesses {
		refused := cert.About(now).Offered(b.business)
		if o, ok := goesOn(open, cert, b.business, refused); ok {
			v.Offers = append(v.Offers, offeredView{Label: "继续" + b.verb, URL: s.placeOf(o), Main: len(v.Offers) == 0})
			continue
		}
		offer := offeredView{Label: b.verb, Form: newOrderForm{cert.Serial, b.business}, Main: b.business == order.Renewal || b.business == order.Resume}
		switch products := s.productsFor(cert, b.business); {
		case len(products) == 0 || refused != nil:
			continue
		case len(products) > 1: // to choose from
			offer.URL = "/certificates/" + cert.Serial + "/offers/" + string(b.business)
		}
		v.Offers = append(v.Offers, offer)
	}
	if _, err := s.productFor(cert, order.UnlockSelf, ""); err == nil && cert.State() == certificate.Valid && cert.TokenSerial != "" {
		v.Offers = append(v.Offers, offeredView{Label: "自助解锁", URL: "/unlock?serial=" + cert.TokenSerial})
	}
	for _, e := range cert.Allowed(order.Applicant, now) {
		v.Changes = append(v.Changes, actionView{e.Label(), "/certificates/" + cert.Serial + "/" + string(e), false})
	}
	return v
}

// goesOn is the open order of a business about a certificate. A draft that could not
// be submitted is none: the card of a revoked certificate leads to no renewal (F102).
func goesOn(open []order.Order, cert certificate.Certificate, b order.Business, refused error) (order.Order, bool) {
	i := slices.IndexFunc(open, func(o order.Order) bool {
		return o.Certificate == cert.Serial && o.Business == b && (o.Status != order.Draft || refused == nil)
	})
	if i < 0 {
		return order.Order{}, false
	}
	return open[i], true
}

// renewing reports whether a renewal of a certificate was submitted and is open.
func renewing(open []order.Order, cert certificate.Certificate) bool {
	_, ok := goesOn(open, cert, order.Renewal, order.Conflict)
	return ok
}

// cardNote says in a sentence what the dates and the state mean.
func cardNote(cert certificate.Certificate, renewing bool, now time.Time) string {
	worn := ""
	if cert.About(now).KeyWornOut {
		worn = "这把 UKEY 的密钥已用满规定的年限，更新时须换用新密钥。"
	}
	switch {
	case cert.SupersededBy != "":
		return cert.Replacement(now)
	case cert.State() == certificate.Frozen && !cert.Expired(now):
		return "冻结期间不能使用；找到 UKEY 后可以申请恢复。"
	case cert.State() == certificate.Frozen:
		return "冻结期间已过期，不能恢复，请重新申请初购。"
	case cert.State() != certificate.Valid:
		return ""
	case renewing:
		return "更新正在办理，请点「继续更新」查看进度。"
	case cert.Expiry(now) == certificate.Expiring:
		if cert.DaysLeft(now) <= 0 {
			return "今天到期，请马上更新。" + worn
		}
		return "还有 " + strconv.Itoa(cert.DaysLeft(now)) + " 天到期，请尽快更新。" + worn
	case cert.Expiry(now) == certificate.Renewable:
		return "已过期，仍可更新至" + order.Day(cert.RenewableUntil()) + "。" + worn
	case cert.Expiry(now) == certificate.Over:
		return "已超过更新期限，请重新申请初购。"
	default:
		return day(cert.RenewableFrom()) + " 起可以更新。"
	}
}

// productsFor are what the project that a certificate was bought in offers for a
// business.
func (s *Server) productsFor(cert certificate.Certificate, b order.Business) []order.Product {
	_, products, _ := s.Orders.Catalogue().Project(cert.Product.Project) // a project that is gone offers nothing
	products = slices.DeleteFunc(products, func(p order.Product) bool { return p.Business != b || !p.OnSale })
	if b != order.Renewal {
		return products
	}
	about := cert.About(s.Now())
	products = slices.DeleteFunc(products, about.WantsNewKey)
	// A renewal stays with the algorithm of the certificate where the project offers
	// it: the key pair can be kept then.
	stays := map[order.IssueMode]bool{}
	for _, p := range products {
		stays[p.IssueMode] = stays[p.IssueMode] || p.Algorithm == cert.Product.Algorithm
	}
	return slices.DeleteFunc(products, func(p order.Product) bool { return stays[p.IssueMode] && p.Algorithm != cert.Product.Algorithm })
}

// productFor is one of them: the chosen one, or the first.
func (s *Server) productFor(cert certificate.Certificate, b order.Business, code string) (order.Product, error) {
	for _, p := range s.productsFor(cert, b) {
		if code == "" || p.Code == code {
			return p, nil
		}
	}
	if b == order.Renewal && cert.About(s.Now()).KeyWornOut {
		return order.Product{}, order.KeyWornOut
	}
	return order.Product{}, order.Errorf(order.Conflict, "not_offered_here", "该项目暂不提供%s，请联系客服 400-666-3999", b.Label())
}

// offersView lets people choose between products of one business.
type offersView struct {
	Cert     certificate.Certificate
	Business order.Business
	Products []productView
}

type productView struct {
	order.Product
	What string
}

// offersPage lists what the project offers for a business of a certificate.
func (s *Server) offersPage(c *fiber.Ctx) error {
	cert, err := s.Status.Own(c.UserContext(), c.Params("serial"), visitorOf(c).PersonID())
	if err != nil {
		return err
	}
	v := offersView{Cert: cert, Business: order.Business(c.Params("business"))}
	for _, p := range s.productsFor(cert, v.Business) {
		v.Products = append(v.Products, productView{p, ways[v.Business][p.IssueMode]})
	}
	if len(v.Products) == 0 {
		_, err := s.productFor(cert, v.Business, "")
		return err
	}
	return s.render(c, http.StatusOK, "offers", "选择"+v.Business.Label()+"方式", v)
}

// ways say who does what, where there is something to choose (F9, G27).
var ways = map[order.Business]map[order.IssueMode]string{
	order.Renewal: {
		order.BySelf:  "审核通过后，插好现有的 UKEY，在自己的电脑上完成，不寄送。",
		order.ByAdmin: "审核通过后制作一把新的 UKEY 寄给您，原证书在收到新 UKEY 30 天后停用；先到期的，用到到期为止。",
	},
	order.Reissue: {
		order.ByAdmin: "UKEY 丢失或损坏时选择：审核通过后制作一把新的 UKEY 寄给您，原证书同时吊销。",
		order.BySelf:  "UKEY 内容丢失但本身完好时选择：审核通过后，插好 UKEY，在自己的电脑上下载新证书，不寄送，原证书同时吊销。",
	},
}

// changeView is the page that asks once more before a certificate is frozen or
// revoked.
type changeView struct {
	Cert    certificate.Certificate
	Event   certificate.Event
	Path    string
	Mobile  string // of the bound user, masked
	Code    codeView
	Also    string // what else ends with it
	Ahead   []openingView
	Stolen  []openingView // what is ahead of all on the USBKEY, when that is more
	Reasons []choice
	Bid     openBidView
	Sure    bool
	Error   string
}

// alsoStopped says what else on its USBKEY ends with a certificate, of all that its
// user holds or that are on the USBKEY, newest first; empty for nothing.
func alsoStopped(cert certificate.Certificate, all []certificate.Certificate, e certificate.Event, now time.Time) string {
	along := certificate.Along(cert, all, certificate.Command{On: e}, now)
	text := ""
	if len(along) > 0 {
		ends := make([]string, len(along))
		for i, c := range along {
			ends[i] = slashed(c.NotAfter)
		}
		text = "同一把 UKEY 上的另外 " + strconv.Itoa(len(along)) + " 张证书（有效期至 " + strings.Join(ends, "、") + "）一并" + e.Label() + "。"
	}
	if all := certificate.Along(cert, all, certificate.Command{On: e, Reason: certificate.KeyCompromise}, now); len(all) > len(along) {
		text += "原因是「" + certificate.KeyCompromise.Label() + "」时，这把 UKEY 上的全部证书一并" + e.Label() + "。"
	}
	return text
}

// openBidView is the question about open bids, as far as it is answered, and what
// the answer means.
type openBidView struct {
	Path    string
	Answers []choice
	Asked   bool   // when they are opened
	Opening string // as it was typed
	Fault   string
	Advice  *bidView
}

// Question is what is asked about open bids.
func (v openBidView) Question() string { return order.BidQuestion + "？" }

// openBidOf reads what somebody has said of open bids; before that, what he has
// registered speaks for him.
func (s *Server) openBidOf(c *fiber.Ctx, cert certificate.Certificate, ahead []openingView) openBidView {
	said, opening := certificate.OpenBid(c.FormValue("bid")), c.FormValue("opening")
	if said == "" && len(ahead) > 0 {
		said, opening = certificate.BidAtStake, order.TypedMoment(lastOf(ahead))
	}
	v := openBidView{Path: "/certificates/" + cert.Serial + "/revoke", Asked: said == certificate.BidAtStake, Opening: opening}
	for _, b := range certificate.OpenBids {
		v.Answers = append(v.Answers, choice{string(b), b.Label(), b == said})
	}
	var err error
	if v.Advice, err = s.revocationAdvice(cert, said, v.Opening); err != nil {
		v.Advice, _ = s.revocationAdvice(cert, said, "")
		fault, _ := order.AsError(err)
		v.Fault = fault.Detail
	}
	return v
}

// revocationAdvice is what a revocation means for bids that are opened at the
// moment that somebody typed; nil when it means nothing. No moment is Invalid.
func (s *Server) revocationAdvice(cert certificate.Certificate, said certificate.OpenBid, typed string) (*bidView, error) {
	var opening time.Time
	if typed != "" && said == certificate.BidAtStake {
		var err error
		if opening, err = order.ParseMoment(typed); err != nil {
			return nil, err
		}
	}
	advice, waiting := cert.BidAdvice(said, opening, s.Now())
	if advice == order.BidFree {
		return nil, nil
	}
	return &bidView{advice.RevocationText(), waiting}, nil
}

// bidAdvice shows what an answer about open bids means while it is given.
func (s *Server) bidAdvice(c *fiber.Ctx) error {
	cert, err := s.Status.Own(c.UserContext(), c.Params("serial"), visitorOf(c).PersonID())
	if err != nil {
		return err
	}
	return s.render(c, http.StatusOK, "partials/open_bid", "", s.openBidOf(c, cert, nil))
}

// remindBeforeRevoking puts a revocation off until its bids are opened.
func (s *Server) remindBeforeRevoking(c *fiber.Ctx) error {
	cert, err := s.Status.Own(c.UserContext(), c.Params("serial"), visitorOf(c).PersonID())
	if err != nil {
		return err
	}
	if err := s.putOffRevocation(c, cert.Serial, visitorOf(c), c.FormValue("opening")); err != nil {
		return err
	}
	return s.goTo(c, "/certificates")
}

// putOffRevocation reminds of a revocation after the opening that somebody typed.
func (s *Server) putOffRevocation(c *fiber.Ctx, serial string, v Visitor, typed string) error {
	opening, err := order.ParseMoment(typed)
	if err != nil {
		return err
	}
	if err := allow(c.UserContext(), s.Attempts, "bidreminders:"+v.PersonID(), 5, time.Hour, "一小时内预约的提醒过多，请稍后再试"); err != nil {
		return err
	}
	return s.Status.RemindAfterBid(c.UserContext(), serial, opening, v.Actor(c))
}

// StolenLabel is the reason that reaches all on the USBKEY.
func (v changeView) StolenLabel() string { return stolen.Reason.Label() }

// Revoking tells the two pages apart.
func (v changeView) Revoking() bool { return v.Event == certificate.Revoke }

// changeable is the visitor's certificate of the path, with the bound user's
// mobile. That something cannot be done to it is Conflict.
func (s *Server) changeable(c *fiber.Ctx, e certificate.Event) (changeView, session.Challenge, error) {
	me := visitorOf(c).PersonID()
	cert, err := s.Status.Own(c.UserContext(), c.Params("serial"), me)
	if err != nil {
		return changeView{}, session.Challenge{}, err
	}
	if !slices.Contains(cert.Allowed(order.Applicant, s.Now()), e) {
		return changeView{}, session.Challenge{}, order.Errorf(order.Conflict, "certificate_unchangeable", "该证书已不能办理此项业务，请返回「我的证书」查看状态")
	}
	p, err := s.Store.Person(c.UserContext(), me)
	if err != nil {
		return changeView{}, session.Challenge{}, err
	}
	held, err := s.Status.HeldBy(c.UserContext(), me)
	if err != nil {
		return changeView{}, session.Challenge{}, err
	}
	ahead, err := s.Status.OpeningsOf(c.UserContext(), me)
	if err != nil {
		return changeView{}, session.Challenge{}, err
	}
	path := "/certificates/" + cert.Serial + "/" + string(e)
	view := changeView{Cert: cert, Event: e, Path: path, Also: alsoStopped(cert, held, e, s.Now()), Mobile: p.Mobile.Mask(), Code: codeView{URL: path + "/code"}, Sure: c.FormValue("sure") == "yes"}
	for _, r := range certificate.ReasonsFor(order.Applicant) {
		view.Reasons = append(view.Reasons, choice{r.Name(), r.Label(), r.Name() == c.FormValue("reason")})
	}
	view.Ahead = atStake(cert, held, certificate.Command{On: e}, ahead, s.Now())
	if view.Revoking() {
		view.Stolen = atStake(cert, held, stolen, ahead, s.Now())
		if c.FormValue("reason") == stolen.Reason.Name() {
			view.Ahead = view.Stolen
		}
		if len(view.Stolen) == len(view.Ahead) {
			view.Stolen = nil
		}
		view.Bid = s.openBidOf(c, cert, view.Ahead)
	}
	return view, session.Challenge{Purpose: codePurposes[e], Mobile: p.Mobile, Subject: cert.Serial, IP: c.IP()}, nil
}

func (s *Server) changePage(c *fiber.Ctx, e certificate.Event) error {
	view, _, err := s.changeable(c, e)
	if err != nil {
		return err
	}
	return s.showChange(c, http.StatusOK, view)
}

func (s *Server) showChange(c *fiber.Ctx, status int, v changeView) error {
	return s.render(c, status, "certificate_change", v.Event.Label()+"证书", v)
}

func (s *Server) changeCode(c *fiber.Ctx, e certificate.Event) error {
	view, challenge, err := s.changeable(c, e)
	if err != nil {
		return err
	}
	return s.sendCode(c, challenge, view.Code)
}

// change freezes or revokes at once: reason, answer about open bids, tick and a code
// of the bound mobile (F102). The code is used up last, so that what was forgotten
// does not cost it.
func (s *Server) change(c *fiber.Ctx, e certificate.Event) error {
	view, challenge, err := s.changeable(c, e)
	if err != nil {
		return err
	}
	again := func(detail string) error {
		view.Error = detail
		return s.showChange(c, http.StatusUnprocessableEntity, view)
	}
	cmd := certificate.Command{On: e, By: visitorOf(c).Actor(c), MobileProven: true}
	if e == certificate.Revoke {
		var ok bool
		if cmd.Reason, ok = certificate.ReasonNamed(c.FormValue("reason")); !ok {
			return again("请选择吊销原因")
		}
		cmd.Bid = certificate.OpenBid(c.FormValue("bid"))
	}
	if fault, ok := order.AsError(view.Cert.Refusal(cmd, s.Now())); ok && fault.Kind == order.Invalid {
		return again(fault.Detail)
	}
	if !view.Sure {
		return again("请勾选确认后再提交")
	}
	err = s.Codes.Verify(c.UserContext(), challenge, c.FormValue("code"))
	if detail, ok := correctable(err); ok {
		return again(detail)
	}
	if err != nil {
		return err
	}
	_, err = s.Status.Apply(c.UserContext(), view.Cert.Serial, cmd)
	if fault, ok := order.AsError(err); ok && fault.Kind == order.Invalid {
		return again(fault.Detail)
	}
	if err != nil {
		return err
	}
	return s.goTo(c, "/certificates")
}
