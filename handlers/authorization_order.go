package handlers

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

// authorizationOrderRoutes are what the applicant can do while the legal
// representative is waited for (rows 12 and 13).
func (s *Server) authorizationOrderRoutes() {
	s.post("/orders/:id/authorization/resend", Applicant, s.resendAuthorization)
	s.post("/orders/:id/authorization/mobile", Applicant, s.changeLegalMobile)
	s.post("/orders/:id/authorization/paper", Applicant, s.authorizeOnPaper)
	s.post("/orders/:id/authorization/letter", Applicant, s.paperLetter)
}

// authCard is the authorisation on the order's page (F44).
type authCard struct {
	State     order.AuthorizationState
	Label     string
	Phone     string // masked
	Sent      time.Time
	Expires   time.Time
	Left      int  // SMS that may still be sent today
	Waiting   bool // for the legal representative
	NeedEmail bool
	Paper     bool // the product takes a stamped letter, too
	Reused    bool
	Receipt   string
	Letter    bool
	Typed     typedAuth
}

// typedAuth is what was sent for an authorisation and is wrong: what stands beside the
// field At.
type typedAuth struct {
	At, Fault     string
	Mobile, Email string
}

// showAuthFault is the order's page again, with what is wrong beside the field at and
// everything that was typed, or that no SMS is left today; other errors pass.
func (s *Server) showAuthFault(c *fiber.Ctx, at string, err error) error {
	e, ok := order.AsError(err)
	if !ok || e.Kind != order.Invalid && e.Kind != order.RateLimited || wantsJSON(c) {
		return err
	}
	v, failed := s.orderView(c)
	if failed != nil {
		return failed
	}
	if v.Auth == nil || !v.Auth.Waiting {
		return err
	}
	v.Auth.Typed = typedAuth{At: at, Fault: e.Detail, Mobile: c.FormValue("mobile"), Email: c.FormValue("email")}
	return s.render(c, statusOf[e.Kind], "order", "订单详情", v)
}

// authCard is nil for an order that never asked anybody.
func (s *Server) authCard(ctx context.Context, o order.Order) (*authCard, error) {
	if o.Form.Get(order.AuthWay) != order.AuthMiniProgram {
		return nil, nil //nolint:nilnil // no card is no fault
	}
	all, err := s.Store.Authorizations(ctx, o.ID)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	a := all[len(all)-1]
	v := &authCard{
		State: a.State, Label: a.State.Label(), Expires: a.ExpiresAt, Waiting: o.Stage == order.AwaitingAuthorization && a.Open() && o.Refund == order.NoRefund,
		NeedEmail: o.Form.Get(order.AgentEmail) == "", Paper: slices.Contains(o.Product.Authorizations, order.AuthPaper),
		Reused: a.ReuseOf != "", Receipt: a.Proof.Receipt,
	}
	if a.Signer.Mobile != "" {
		v.Phone = identity.NewMobile(a.Signer.Mobile).Mask()
	}
	if n := len(a.Proof.SMS); n > 0 {
		v.Sent = a.Proof.SMS[n-1].At
	}
	v.Left, err = s.Orders.ResendsLeft(ctx, o.ID)
	return v, err
}

func (s *Server) resendAuthorization(c *fiber.Ctx) error {
	o, err := s.ownOrder(c)
	if err != nil {
		return err
	}
	if _, err := s.Orders.ResendAuthorization(c.UserContext(), o.ID, visitorOf(c).Actor(c)); err != nil {
		return s.showAuthFault(c, "", err)
	}
	return s.goTo(c, "/orders/"+string(o.ID))
}

func (s *Server) changeLegalMobile(c *fiber.Ctx) error {
	o, err := s.ownOrder(c)
	if err != nil {
		return err
	}
	mobile, err := typedMobile(c.FormValue("mobile"))
	if err != nil {
		return s.showAuthFault(c, "mobile", err)
	}
	if _, err := s.Orders.ChangeLegalMobile(c.UserContext(), o.ID, visitorOf(c).Actor(c), mobile); err != nil {
		return s.showAuthFault(c, "mobile", err)
	}
	return s.goTo(c, "/orders/"+string(o.ID))
}

// postedEmail is the e-mail that the letter prints (G33): the form's, or the one
// that is given now.
func postedEmail(c *fiber.Ctx, o order.Order) (string, error) {
	return emailOf(o, c.FormValue("email"))
}

func emailOf(o order.Order, typed string) (string, error) {
	typed = strings.TrimSpace(typed)
	if typed == "" {
		typed = o.Form.Get(order.AgentEmail)
	}
	email, err := identity.ParseEmail(typed)
	if err != nil || typed == "" {
		return "", order.Errorf(order.Invalid, emailRequired, "纸质授权书需要经办人电子邮件，请填写正确的邮箱地址")
	}
	return email.Reveal(), nil
}

// authorizeOnPaper takes the stamped letter.
func (s *Server) authorizeOnPaper(c *fiber.Ctx) error {
	o, err := s.ownOrder(c)
	if err != nil {
		return err
	}
	if _, err := s.takeLetter(c, o, visitorOf(c).Actor(c)); err != nil {
		at := "file"
		if fault, ok := order.AsError(err); ok && fault.Code == emailRequired {
			at = "email"
		}
		return s.showAuthFault(c, at, err)
	}
	return s.goTo(c, "/orders/"+string(o.ID))
}

// emailRequired is the code of the refusal of a paper letter without an e-mail.
const emailRequired = "email_required"

// takeLetter takes the photo of the stamped letter, and the e-mail beside it, from a page
// or the mini-program.
func (s *Server) takeLetter(c *fiber.Ctx, o order.Order, by order.Actor) (order.Order, error) {
	if o.Stage != order.AwaitingAuthorization {
		return o, order.Errorf(order.Conflict, "authorization_not_ready", "订单当前不在等待法人授权，请刷新页面")
	}
	email, err := postedEmail(c, o)
	if err != nil {
		return o, err
	}
	p, err := s.accept(c)
	if err != nil {
		return o, err
	}
	object := secret()
	if err := s.keep(c.UserContext(), o.ID, object, p); err != nil {
		return o, err
	}
	now, err := s.Orders.AuthorizeOnPaper(c.UserContext(), o.ID, by, object, email)
	if err != nil {
		return o, errors.Join(err, s.Objects.Delete(c.UserContext(), object))
	}
	return now, nil
}

// paperLetter is the letter to be stamped, with the e-mail that was just typed.
func (s *Server) paperLetter(c *fiber.Ctx) error {
	o, err := s.ownOrder(c)
	if err != nil {
		return err
	}
	email, err := postedEmail(c, o)
	if err != nil {
		return s.showAuthFault(c, "email", err)
	}
	o.Form = o.Form.With(order.AgentEmail, email)
	return s.sendLetter(c, o, visitorOf(c).Actor(c))
}
