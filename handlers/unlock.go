package handlers

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store/session"
)

// codeUnlock is the purpose of the SMS code to unlock a USBKEY, and
// codeUnlockTo counts what is sent to a mobile for it. codeUnlockOwn is both for who
// is logged in, so that no stranger uses up the codes of a USBKEY for its holder.
const (
	codeUnlock    = "unlock"
	codeUnlockTo  = "unlock_to"
	codeUnlockOwn = "unlock_own"
)

// unlockRoutes need no login: whoever holds a USBKEY and its bound mobile may
// unlock it (F76–F80, G19). To everybody else every serial number answers alike.
func (s *Server) unlockRoutes() {
	s.get("/unlock", Public, s.unlockPage)
	s.get("/unlock/code", Public, s.unlockCodePage)
	s.post("/unlock/sms", Browser, s.unlockSMS)
	s.post("/unlock", Browser, s.unlock)
	s.post("/unlock/code", Browser, s.unlockByCode)
	s.get("/unlock/progress/:ticket", Ticket, s.unlockProgress)
	s.get("/orders/:id/unlock", Browser, s.approvedUnlockPage)
	s.post("/orders/:id/unlock", Browser, s.approvedUnlock)
	s.get("/orders/:id/unlock/code", Browser, s.approvedCodePage)
	s.post("/orders/:id/unlock/code", Browser, s.approvedCode)
	s.helperRoutes()
}

// unlockView is the form that asks which USBKEY, and who.
type unlockView struct {
	Serial    string
	ByCode    bool // on a PC without a network
	Challenge string
	Code      codeView
	Error     string
	// Approval says that an order with review is the other way.
	Approval string
}

func (s *Server) unlockPage(c *fiber.Ctx) error {
	return s.showUnlock(c, http.StatusOK, s.unlockForm(c, false))
}

func (s *Server) unlockCodePage(c *fiber.Ctx) error {
	return s.showUnlock(c, http.StatusOK, s.unlockForm(c, true))
}

func (s *Server) unlockForm(c *fiber.Ctx, byCode bool) unlockView {
	return unlockView{Serial: typedSerial(c), ByCode: byCode, Challenge: c.FormValue("challenge"), Code: codeView{URL: "/unlock/sms"}}
}

func (s *Server) showUnlock(c *fiber.Ctx, status int, v unlockView) error {
	return s.render(c, status, "unlock", "解锁 UKEY", v)
}

// typedSerial is the serial number as people copy it from the key: any case,
// with spaces.
func typedSerial(c *fiber.Ctx) string {
	text := c.FormValue("serial")
	if text == "" {
		text = c.Query("serial")
	}
	return strings.ToUpper(strings.Join(strings.Fields(text), ""))
}

func validSerial(s string) bool {
	digits, ok := strings.CutPrefix(s, "TW")
	return ok && len(digits) == 14 && strings.Trim(digits, "0123456789") == ""
}

// unlockChallenge is what the code for a serial number is bound to: the serial
// number and this browser, or who is logged in. It names no mobile, so that it is the
// same whether or not there is such a USBKEY.
func unlockChallenge(c *fiber.Ctx, serial string) session.Challenge {
	v := visitorOf(c)
	ch := session.Challenge{Purpose: codeUnlock, Mobile: identity.NewMobile("unlock " + serial), Subject: serial + v.DraftToken(), IP: c.IP()}
	if id := v.PersonID(); id != "" {
		ch.Purpose, ch.Subject = codeUnlockOwn, serial+id
	}
	return ch
}

// unlockSMS sends a code to the mobile that the USBKEY is bound to. What the
// visitor sees depends on what he typed and how often, not on whether there is
// such a USBKEY: the sending happens behind his back.
func (s *Server) unlockSMS(c *fiber.Ctx) error {
	serial, view := typedSerial(c), codeView{URL: "/unlock/sms"}
	if !validSerial(serial) {
		view.Error = "请填写 UKEY 上的序列号：TW 加 14 位数字"
		return s.render(c, http.StatusOK, "partials/code", "", view)
	}
	code, err := s.Codes.Issue(c.UserContext(), unlockChallenge(c, serial))
	switch e, ok := order.AsError(err); {
	case ok && e.Kind == order.RateLimited:
		view = view.later(e)
	case err != nil:
		return err
	default:
		view.Sent, view.Wait = true, codeWait
		ctx := context.WithoutCancel(c.UserContext())
		ip, by := c.IP(), visitorOf(c).PersonID()
		s.behind.Go(func() { s.sendUnlockCode(ctx, serial, code, ip, by) })
	}
	return s.render(c, http.StatusOK, "partials/code", "", view)
}

// sendUnlockCode sends the code that a person, or nobody known, asked for, if there is
// anybody to send it to.
func (s *Server) sendUnlockCode(ctx context.Context, serial, code, ip, by string) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	subject, err := s.Unlocks.Lookup(ctx, serial)
	if errors.Is(err, order.NotFound) {
		return
	}
	if err == nil {
		counted := codeUnlockTo
		if by == subject.PersonID {
			counted = codeUnlockOwn
		}
		var p order.Person
		if p, err = s.Store.Person(ctx, subject.PersonID); err == nil {
			// Another code, which nobody learns, for the sake of the count of this mobile.
			if _, err = s.Codes.Issue(ctx, session.Challenge{Purpose: counted, Mobile: p.Mobile, Subject: serial, IP: ip}); err == nil {
				err = s.SendCode(ctx, p.Mobile, codeUnlock, code)
			}
		}
	}
	if err != nil && !errors.Is(err, order.RateLimited) {
		s.Log.LogAttrs(ctx, slog.LevelError, "sending a code to unlock", slog.Any("err", err))
	}
}

// proven is the USBKEY of the form, if the code that was sent for it is right. Any
// other way of failing looks like a wrong code.
func (s *Server) proven(c *fiber.Ctx, view unlockView) (certificate.Subject, error) {
	if !validSerial(view.Serial) {
		return certificate.Subject{}, &formFault{"请填写 UKEY 上的序列号：TW 加 14 位数字"}
	}
	err := s.Codes.Verify(c.UserContext(), unlockChallenge(c, view.Serial), c.FormValue("code"))
	if detail, ok := correctable(err); ok {
		return certificate.Subject{}, &formFault{detail}
	}
	if err != nil {
		return certificate.Subject{}, err
	}
	return s.Unlocks.Lookup(c.UserContext(), view.Serial)
}

// unlock begins a self-service unlock: ticket, and the page where the new PIN is set.
func (s *Server) unlock(c *fiber.Ctx) error {
	view := s.unlockForm(c, false)
	subject, err := s.proven(c, view)
	if err != nil {
		return s.unlockRefused(c, view, subject, err)
	}
	t, secret, err := s.Unlocks.BeginSelf(c.UserContext(), subject, visitorOf(c).Actor(c))
	if err != nil {
		return s.unlockRefused(c, view, subject, err)
	}
	return s.showRun(c, runView{Ticket: t.ID, Secret: secret, Holder: identity.MaskHolder(subject.Holder), Serial: subject.TokenSerial, Steps: selfSteps})
}

// unlockRefused shows a refusal on the form, with the other way if there is one.
func (s *Server) unlockRefused(c *fiber.Ctx, view unlockView, subject certificate.Subject, err error) error {
	e, ok := order.AsError(err)
	fault, isFault := errors.AsType[*formFault](err)
	switch {
	case isFault:
		view.Error = fault.text
	case ok && e.Kind != order.Unavailable:
		view.Error = e.Detail
		if subject.Approval.Code != "" && subject.State() == certificate.Valid {
			view.Approval = subject.Approval.Name
		}
	default:
		return err
	}
	return s.showUnlock(c, http.StatusUnprocessableEntity, view)
}

// responseView is the response to a challenge code.
type responseView struct {
	Serial, Holder, Challenge string
	Response                  []string // groups of four
	Until                     time.Time
	Again                     string // where another is asked for
}

// responseLife is how long a response may be typed, as the page says; what ends it
// is the next challenge of the USBKEY.
const responseLife = 10 * time.Minute

// unlockByCode shows the response to the challenge of a USBKEY on a PC without a
// network.
func (s *Server) unlockByCode(c *fiber.Ctx) error {
	view := s.unlockForm(c, true)
	if !isChallenge(view.Challenge) {
		view.Error = challengeMissing
		return s.showUnlock(c, http.StatusUnprocessableEntity, view)
	}
	subject, err := s.proven(c, view)
	if err != nil {
		return s.unlockRefused(c, view, subject, err)
	}
	response, err := s.Unlocks.CodeFor(c.UserContext(), subject, view.Challenge, visitorOf(c).Actor(c))
	if err != nil {
		return s.unlockRefused(c, view, subject, err)
	}
	return s.showResponse(c, subject.Certificate, view.Challenge, response, "/unlock/code?serial="+url.QueryEscape(subject.TokenSerial))
}

const challengeMissing = "请填写助手上显示的 8 位挑战码"

func isChallenge(typed string) bool { return len(strings.Trim(typed, " -")) >= 8 }

// showResponse shows the response to a challenge in groups that are easily typed.
func (s *Server) showResponse(c *fiber.Ctx, of certificate.Certificate, challenge, response, again string) error {
	out := responseView{Serial: of.TokenSerial, Holder: identity.MaskHolder(of.Holder), Challenge: strings.ToUpper(challenge), Until: s.Now().Add(responseLife), Again: again}
	for i := 0; i < len(response); i += 4 {
		out.Response = append(out.Response, response[i:min(i+4, len(response))])
	}
	return s.render(c, http.StatusOK, "unlock_response", "响应码", out)
}

// runView is the page that talks to the key helper (F81, F82).
type runView struct {
	Ticket, Secret string
	Holder, Serial string // the holder masked (G20)
	Steps          []stepView
	Helper         string // address of the key helper's service
	Server         string // ours, for the command line
	Back           string
}

// The way of each kind of unlock (F81); the key is set where Current is.
var (
	selfSteps     = []stepView{{Label: "验证身份", Done: true}, {Label: "设置新口令", Current: true}, {Label: "完成"}}
	approvedSteps = []stepView{{Label: "填写资料", Done: true}, {Label: "等待审核", Done: true}, {Label: "设置新口令", Current: true}, {Label: "完成"}}
)

// mayAskHelper lets the page of this answer talk to this PC's key helper, which no other page
// may, and returns the helper's address.
func (s *Server) mayAskHelper(c *fiber.Ctx) string {
	c.Set("Content-Security-Policy", strings.Replace(policy, "connect-src 'self'", "connect-src 'self' "+s.HelperURL, 1))
	return s.HelperURL
}

// showRun shows the page that has the key helper set a new PIN.
func (s *Server) showRun(c *fiber.Ctx, v runView) error {
	v.Helper, v.Server = s.mayAskHelper(c), strings.TrimRight(s.PublicURL.String(), "/")
	if v.Back == "" {
		v.Back = "/unlock?serial=" + url.QueryEscape(v.Serial)
	}
	return s.render(c, http.StatusOK, "unlock_run", "设置新口令", v)
}

// progressView is how far the helper is, for the page that watches.
type progressView struct {
	State  certificate.TicketState `json:"state"`
	Step   certificate.Step        `json:"step"`
	Detail string                  `json:"detail,omitempty"`
}

func (s *Server) unlockProgress(c *fiber.Ctx) error {
	t, err := s.Unlocks.Watch(c.UserContext(), c.Params("ticket"))
	if err != nil {
		return err
	}
	v := s.progressOf(t)
	if v.State != certificate.TicketDone && t.OrderID != "" {
		o, err := s.Store.Order(c.UserContext(), t.OrderID)
		if err != nil {
			return err
		}
		v = v.with(o)
	}
	c.Set(fiber.HeaderCacheControl, "no-store")
	return c.JSON(v)
}

// progressOf is how far the helper of a ticket is; what keeps it from going on is said.
func (s *Server) progressOf(t certificate.Ticket) progressView {
	v := progressView{State: t.State, Step: t.Step, Detail: helperFailures[t.Failure]}
	switch {
	case t.State == certificate.TicketDone || t.Live(s.Now()) || v.Detail != "":
	case t.State == certificate.TicketReplaced:
		v.Detail = "这项业务已在另一个窗口重新开始，请到那个窗口继续；找不到那个窗口时，请重新开始。"
	default:
		v.State, v.Detail = certificate.TicketFailed, "办理凭证已失效，请重新开始。"
	}
	return v
}

// with is the progress of a ticket of an order, which the ticket of another window may
// have completed.
func (v progressView) with(o order.Order) progressView {
	if o.Status == order.Completed {
		return progressView{State: certificate.TicketDone, Step: v.Step}
	}
	return v
}

// approvedUnlockPage is where an approved order waits for its USBKEY (row 28).
func (s *Server) approvedUnlockPage(c *fiber.Ctx) error {
	o, err := s.ownOrder(c)
	if err != nil {
		return err
	}
	if o.Status != order.ToUnlock {
		return c.Redirect(s.placeOf(o), http.StatusSeeOther)
	}
	return s.showApproved(c, http.StatusOK, o, approvedView{})
}

// showApproved shows an order's page: the one for the key helper, or the form of a
// challenge code.
func (s *Server) showApproved(c *fiber.Ctx, status int, o order.Order, v approvedView) error {
	cert, err := s.Unlocks.Of(c.UserContext(), o)
	if err != nil {
		return err
	}
	v.Order, v.Steps, v.Holder, v.Serial, v.Obstacle = o, approvedSteps, identity.MaskHolder(cert.Holder), cert.TokenSerial, cert.ObstacleTo(o, s.Now())
	return s.render(c, status, "unlock_approved", "解锁 UKEY", v)
}

// approvedView is the page where an approved unlock begins (F82).
type approvedView struct {
	Order            order.Order
	Steps            []stepView
	Holder, Serial   string
	Obstacle         string // why the certificate keeps it from beginning
	ByCode           bool   // on a PC without a network
	Challenge, Error string
}

// ownByCode is the person's order that may have a response; ok is false when it may not,
// and the answer is where it is now.
func (s *Server) ownByCode(c *fiber.Ctx) (o order.Order, ok bool, err error) {
	if o, err = s.ownOrder(c); err != nil || o.Status == order.ToUnlock {
		return o, err == nil, err
	}
	events, err := s.Store.Events(c.UserContext(), o.ID)
	if err != nil || o.CodeAgain(events, s.Now()) {
		return o, err == nil, err
	}
	return o, false, c.Redirect(s.placeOf(o), http.StatusSeeOther)
}

// approvedCodePage is for a PC without a network.
func (s *Server) approvedCodePage(c *fiber.Ctx) error {
	o, ok, err := s.ownByCode(c)
	if !ok {
		return err
	}
	return s.showApproved(c, http.StatusOK, o, approvedView{ByCode: true})
}

// approvedCode shows the response to a challenge.
func (s *Server) approvedCode(c *fiber.Ctx) error {
	o, ok, err := s.ownByCode(c)
	if !ok {
		return err
	}
	v := approvedView{ByCode: true, Challenge: c.FormValue("challenge")}
	if !isChallenge(v.Challenge) {
		v.Error = challengeMissing
		return s.showApproved(c, http.StatusUnprocessableEntity, o, v)
	}
	cert, err := s.Unlocks.Of(c.UserContext(), o)
	if err != nil {
		return err
	}
	response, err := s.Unlocks.CodeForApproved(c.UserContext(), o, v.Challenge, visitorOf(c).Actor(c))
	if e, ok := order.AsError(err); ok && e.Kind != order.Unavailable {
		v.Error = e.Detail
		return s.showApproved(c, http.StatusUnprocessableEntity, o, v)
	}
	if err != nil {
		return err
	}
	return s.showResponse(c, cert, v.Challenge, response, "/orders/"+string(o.ID)+"/unlock/code")
}

// approvedUnlock issues the ticket and shows the page where the new PIN is set.
func (s *Server) approvedUnlock(c *fiber.Ctx) error {
	o, err := s.ownOrder(c)
	if err != nil {
		return err
	}
	if o.Status != order.ToUnlock { // done in another window
		return c.Redirect(s.placeOf(o), http.StatusSeeOther)
	}
	cert, err := s.Unlocks.Of(c.UserContext(), o)
	if err != nil {
		return err
	}
	t, secret, err := s.Unlocks.BeginApproved(c.UserContext(), o, visitorOf(c).Actor(c))
	if err != nil {
		return err
	}
	return s.showRun(c, runView{
		Ticket: t.ID, Secret: secret, Holder: identity.MaskHolder(cert.Holder), Serial: t.TokenSerial, Steps: approvedSteps, Back: "/orders/" + string(o.ID) + "/unlock",
	})
}
