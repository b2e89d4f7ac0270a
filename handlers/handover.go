package handlers

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

func (s *Server) handoverRoutes() {
	s.get("/handover", Applicant, s.handoverPage)
	s.post("/handover", Applicant, s.handover)
}

// handovers are what somebody of the company may apply for who has no longer the
// bound mobile (F86, F101).
var handovers = []choice{
	{Value: string(order.Rebind), Label: "换绑：原经办人离职或手机号停用，改由我办理"},
	{Value: string(order.UnlockApproval), Label: "解锁：UKEY 口令锁住，绑定手机收不到验证码"},
	{Value: string(order.Reissue), Label: "补办：UKEY 丢失或损坏，绑定手机收不到验证码"},
}

// handoverView is the way in for whoever has no longer the bound mobile.
type handoverView struct {
	Token, USCC, Error string
	Choices            []choice
}

// namingsAnHour bounds how often a person may name a USBKEY.
const namingsAnHour = 10

func handoverChoices(business string) []choice {
	out := slices.Clone(handovers)
	for i := range out {
		out[i].Chosen = out[i].Value == business
	}
	return out
}

func (s *Server) showHandover(c *fiber.Ctx, status int, v handoverView) error {
	return s.render(c, status, "handover", "原手机号已不能使用", v)
}

func (s *Server) handoverPage(c *fiber.Ctx) error {
	return s.showHandover(c, http.StatusOK, handoverView{Choices: handoverChoices(handovers[0].Value)})
}

// handover begins an application for a certificate that the visitor can name: by
// its USBKEY and its company's code. Any other pair answers alike.
func (s *Server) handover(c *fiber.Ctx) error {
	business := c.FormValue("business")
	named, err := nameKey(business, c.FormValue("token"), c.FormValue("uscc"))
	var o order.Order
	if err == nil {
		o, err = s.beginHandover(c.UserContext(), named, visitorOf(c), visitorOf(c).Actor(c))
	}
	if fault, ok := order.AsError(err); ok && fault.Kind != order.Unavailable {
		return s.showHandover(c, http.StatusUnprocessableEntity, handoverView{Token: named.token, USCC: c.FormValue("uscc"), Error: fault.Detail, Choices: handoverChoices(business)})
	}
	if err != nil {
		return err
	}
	return c.Redirect(s.placeOf(o), http.StatusSeeOther)
}

// naming is what somebody without the bound mobile knows of a certificate, and
// what he wants to apply for.
type naming struct {
	business    order.Business
	token, uscc string
}

// nameKey reads what was typed and says what is wrong with it.
func nameKey(business, token, uscc string) (naming, error) {
	n := naming{business: order.Business(business), token: strings.ToUpper(strings.TrimSpace(identity.HalfWidth(token)))}
	wrong := func(field order.Field, detail string) (naming, error) {
		return n, &order.Error{Kind: order.Invalid, Code: "handover_invalid", Detail: detail, Fields: []order.FieldError{{Field: field, Detail: detail}}}
	}
	code, err := identity.CheckUnitCode(uscc)
	n.uscc = code.Value
	switch {
	case !slices.ContainsFunc(handovers, func(h choice) bool { return h.Value == business }):
		return wrong("business", "请选择要办理的业务")
	case n.token == "":
		return wrong("token_serial", "请填写 UKEY 序列号，它印在 UKEY 上，以 TW 开头")
	case err != nil:
		return wrong("uscc", err.Error())
	}
	return n, nil
}

// beginHandover starts the application of a visitor who has named the certificate,
// or returns the one that he has started already.
func (s *Server) beginHandover(ctx context.Context, n naming, v Visitor, by order.Actor) (order.Order, error) {
	if err := s.countNaming(ctx, v.PersonID()); err != nil {
		return order.Order{}, err
	}
	cert, err := s.Status.Named(ctx, n.token, n.uscc)
	if err != nil {
		return order.Order{}, err
	}
	p, err := s.productFor(cert, n.business, "")
	if err != nil {
		return order.Order{}, err
	}
	if o, ok, err := s.openAbout(ctx, cert, n.business, v); ok || err != nil {
		return o, err
	}
	o, err := s.Orders.Apply(ctx, "", order.Command{
		On: order.Save, By: by, Product: p.Code, Certificate: cert.Serial, Proven: []order.Fact{order.CompanyNamed},
	})
	if err != nil {
		if o, ok, again := s.openAbout(ctx, cert, n.business, v); ok && again == nil { // another window was quicker
			return o, nil
		}
	}
	return o, err
}

// countNaming refuses whoever guesses.
func (s *Server) countNaming(ctx context.Context, personID string) error {
	return allow(ctx, s.Attempts, "naming:"+personID, namingsAnHour, time.Hour, "尝试次数过多，请一小时后再试，或致电 400-666-3999")
}

// allow takes one of n places under a key, each free again after window;
// RateLimited when all are taken. Without Redis nothing is allowed.
func allow(ctx context.Context, places once, key string, n int, window time.Duration, detail string) error {
	for i := range n {
		free, err := places.Claim(ctx, key+":"+strconv.Itoa(i), window)
		if err != nil || free {
			return err
		}
	}
	return &order.Error{Kind: order.RateLimited, Code: "too_many_attempts", Detail: detail, RetryAfter: window}
}
