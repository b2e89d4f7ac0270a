package handlers

import (
	"context"
	"net/http"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store/session"
)

// initialPINPurpose is the purpose of the SMS code before an initial PIN is shown.
const initialPINPurpose = "initial_pin"

// initialPINs tells a holder the initial PIN of a USBKEY, once (G25).
type initialPINs interface {
	// Untold reports whether there is a PIN to tell.
	Untold(ctx context.Context, cert certificate.Certificate) (bool, error)
	// Tell returns the PIN; Conflict when it was told before.
	Tell(ctx context.Context, cert certificate.Certificate, by order.Actor) (pin string, err error)
}

func (s *Server) initialPINRoutes() {
	const path = "/certificates/:serial/pin"
	s.get(path, Applicant, s.initialPINPage)
	s.post(path, Applicant, s.tellInitialPIN)
	s.post(path+"/code", Applicant, s.initialPINCode)
}

func initialPINPath(cert certificate.Certificate) string {
	return "/certificates/" + cert.Serial + "/pin"
}

// initialPINView is the page that shows an initial PIN once (G25).
type initialPINView struct {
	Cert   certificate.Certificate
	Path   string
	Mobile string // of the bound user, masked
	Code   codeView
	Got    bool // the tick: the key is in his hands
	Error  string
	Told   bool   // to somebody, before
	PIN    string // now, and never again
	Helper string // where this PC's key helper changes it
}

// initialPIN is the visitor's certificate of the path. Nothing is told before the
// key has left the house.
func (s *Server) initialPIN(c *fiber.Ctx) (initialPINView, session.Challenge, error) {
	ctx, me := c.UserContext(), visitorOf(c).PersonID()
	cert, err := s.Status.Own(ctx, c.Params("serial"), me)
	if err != nil {
		return initialPINView{}, session.Challenge{}, err
	}
	o, err := s.Store.Order(ctx, cert.OrderID)
	if err != nil {
		return initialPINView{}, session.Challenge{}, err
	}
	if o.Status != order.Completed || cert.TokenSerial == "" {
		return initialPINView{}, session.Challenge{}, order.Errorf(order.Conflict, "initial_pin_early", "UKEY 寄出或领取之后才能查看初始口令，请收到 UKEY 后再来")
	}
	if cert.State() == certificate.Revoked {
		return initialPINView{}, session.Challenge{}, order.Errorf(order.Conflict, "initial_pin_revoked", "证书已吊销，不能查看初始口令")
	}
	p, err := s.Store.Person(ctx, me)
	if err != nil {
		return initialPINView{}, session.Challenge{}, err
	}
	untold, err := s.InitialPINs.Untold(ctx, cert)
	path := initialPINPath(cert)
	v := initialPINView{Cert: cert, Path: path, Mobile: p.Mobile.Mask(), Code: codeView{URL: path + "/code"}, Got: c.FormValue("got") == "yes", Told: !untold}
	return v, session.Challenge{Purpose: initialPINPurpose, Mobile: p.Mobile, Subject: cert.Serial, IP: c.IP()}, err
}

func (s *Server) initialPINPage(c *fiber.Ctx) error {
	v, _, err := s.initialPIN(c)
	if err != nil {
		return err
	}
	return s.showInitialPIN(c, http.StatusOK, v)
}

// showInitialPIN answers with the page, which nobody may keep. The one with the PIN has the
// key helper change it.
func (s *Server) showInitialPIN(c *fiber.Ctx, status int, v initialPINView) error {
	if v.PIN != "" {
		v.Helper = s.mayAskHelper(c)
	}
	c.Set(fiber.HeaderCacheControl, "no-store")
	return s.render(c, status, "initial_pin", "初始口令", v)
}

func (s *Server) initialPINCode(c *fiber.Ctx) error {
	v, challenge, err := s.initialPIN(c)
	if err == nil && v.Told {
		err = order.Errorf(order.Conflict, "initial_pin_told", "该 UKEY 的初始口令已经显示过，不能再次查看")
	}
	if err != nil {
		return err
	}
	return s.sendCode(c, challenge, v.Code)
}

// tellInitialPIN shows the PIN to who says that he has the key and proves the bound
// mobile.
func (s *Server) tellInitialPIN(c *fiber.Ctx) error {
	v, challenge, err := s.initialPIN(c)
	if err != nil {
		return err
	}
	again := func(detail string) error {
		v.Error = detail
		return s.showInitialPIN(c, http.StatusUnprocessableEntity, v)
	}
	switch {
	case v.Told:
		return s.showInitialPIN(c, http.StatusConflict, v)
	case !v.Got:
		return again("请确认已经收到这把 UKEY")
	}
	err = s.Codes.Verify(c.UserContext(), challenge, c.FormValue("code"))
	if detail, ok := correctable(err); ok {
		return again(detail)
	}
	if err != nil {
		return err
	}
	if v.PIN, err = s.InitialPINs.Tell(c.UserContext(), v.Cert, visitorOf(c).Actor(c)); err != nil {
		return err
	}
	return s.showInitialPIN(c, http.StatusOK, v)
}
