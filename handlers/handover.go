package handlers

import (
	"context"
	"net/http"
	"slices"
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
	view := handoverView{Token: strings.ToUpper(strings.TrimSpace(identity.HalfWidth(c.FormValue("token")))), USCC: c.FormValue("uscc"), Choices: handoverChoices(business)}
	again := func(detail string) error {
		view.Error = detail
		return s.showHandover(c, http.StatusUnprocessableEntity, view)
	}
	code, err := identity.CheckUnitCode(view.USCC)
	switch {
	case !slices.ContainsFunc(handovers, func(h choice) bool { return h.Value == business }):
		return again("请选择要办理的业务")
	case view.Token == "":
		return again("请填写 UKEY 序列号，它印在 UKEY 上，以 TW 开头")
	case err != nil:
		return again(err.Error())
	}
	at, err := s.beginHandover(c, order.Business(business), view.Token, code.Value)
	if fault, ok := order.AsError(err); ok && fault.Kind != order.Unavailable {
		return again(fault.Detail)
	}
	if err != nil {
		return err
	}
	return c.Redirect(at, http.StatusSeeOther)
}

func (s *Server) beginHandover(c *fiber.Ctx, b order.Business, token, uscc string) (at string, err error) {
	ctx, v := c.UserContext(), visitorOf(c)
	if err := s.countNaming(c, v.PersonID()); err != nil {
		return "", err
	}
	cert, err := s.Status.Named(ctx, token, uscc)
	if err != nil {
		return "", err
	}
	p, err := s.productFor(cert, b, "")
	if err != nil {
		return "", err
	}
	if o, ok, err := s.openAbout(ctx, cert, b, v); ok || err != nil {
		return s.placeOf(o), err
	}
	o, err := s.Orders.Apply(ctx, "", order.Command{
		On: order.Save, By: v.Actor(c), Product: p.Code, Certificate: cert.Serial, Proven: []order.Fact{order.CompanyNamed},
	})
	return "/orders/" + string(o.ID) + "/edit", err
}

// countNaming refuses whoever guesses.
func (s *Server) countNaming(c *fiber.Ctx, personID string) error {
	return allow(c.UserContext(), s.Attempts, "naming:"+personID, namingsAnHour, time.Hour, "尝试次数过多，请一小时后再试，或致电 400-666-3999")
}

// allow takes one of n places under a key, each free again after window;
// RateLimited when all are taken. Without Redis nothing is allowed.
func allow(ctx context.Context, places once, key string, n int, window time.Duration, detail string) error {
	for i := range n {
		free, err := places.Claim(ctx, key+":"+itoa(i), window)
		if err != nil || free {
			return err
		}
	}
	return &order.Error{Kind: order.RateLimited, Code: "too_many_attempts", Detail: detail, RetryAfter: window}
}
