package handlers

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store/session"
)

func (s *Server) rebindRoutes() {
	s.get("/certificates/:serial/rebind", Applicant, s.rebindPage)
	s.post("/certificates/:serial/rebind/code", Applicant, s.rebindCode)
	s.post("/certificates/:serial/rebind", Applicant, s.proveOld)
	s.post("/certificates/:serial/rebind/new/code", Applicant, s.rebindNewCode)
	s.post("/certificates/:serial/rebind/new", Applicant, s.rebind)
}

// rebindView is 更换: first a code of the bound mobile, then one of the new (F101).
type rebindView struct {
	Cert   certificate.Certificate
	Path   string
	Old    string // the bound mobile, masked
	Proof  string // that the old mobile was proven, once it was
	Mobile string // the new one, as typed
	Code   codeView
	Error  string
}

// proofLife is how long the second step may take.
const proofLife = 10 * time.Minute

const proofPurpose = "rebind"

// proof says for which certificate and person the old mobile was proven.
type proof struct{ Serial, PersonID string }

func (s *Server) rebindable(c *fiber.Ctx) (rebindView, order.Person, error) {
	cert, err := s.Status.Own(c.UserContext(), c.Params("serial"), visitorOf(c).PersonID())
	if err != nil {
		return rebindView{}, order.Person{}, err
	}
	if cert.State() == certificate.Revoked {
		return rebindView{}, order.Person{}, order.Errorf(order.Conflict, "certificate_unchangeable", "该证书已不能办理此项业务，请返回「我的证书」查看状态")
	}
	p, err := s.Store.Person(c.UserContext(), cert.PersonID)
	path := "/certificates/" + cert.Serial + "/rebind"
	return rebindView{Cert: cert, Path: path, Old: p.Mobile.Mask(), Code: codeView{URL: path + "/code"}}, p, err
}

func (s *Server) showRebind(c *fiber.Ctx, status int, v rebindView) error {
	return s.render(c, status, "rebind", "更换绑定用户", v)
}

func (s *Server) rebindPage(c *fiber.Ctx) error {
	view, _, err := s.rebindable(c)
	if err != nil {
		return err
	}
	return s.showRebind(c, http.StatusOK, view)
}

func oldChallenge(c *fiber.Ctx, serial string, p order.Person) session.Challenge {
	return session.Challenge{Purpose: codeRebind, Mobile: p.Mobile, Subject: serial, IP: c.IP()}
}

func newChallenge(c *fiber.Ctx, serial string, m identity.Mobile) session.Challenge {
	return session.Challenge{Purpose: codeRebindNew, Mobile: m, Subject: serial, IP: c.IP()}
}

func (s *Server) rebindCode(c *fiber.Ctx) error {
	view, p, err := s.rebindable(c)
	if err != nil {
		return err
	}
	return s.sendCode(c, oldChallenge(c, view.Cert.Serial, p), view.Code)
}

// proveOld takes the code of the bound mobile and goes on to the new one.
func (s *Server) proveOld(c *fiber.Ctx) error {
	view, p, err := s.rebindable(c)
	if err != nil {
		return err
	}
	err = s.Codes.Verify(c.UserContext(), oldChallenge(c, view.Cert.Serial, p), strings.TrimSpace(c.FormValue("code")))
	if fault, ok := order.AsError(err); ok && (fault.Kind == order.Invalid || fault.Kind == order.RateLimited) {
		view.Error = fault.Detail
		return s.showRebind(c, http.StatusUnprocessableEntity, view)
	}
	if err != nil {
		return err
	}
	value, err := json.Marshal(proof{view.Cert.Serial, p.ID})
	if err != nil {
		return err
	}
	if view.Proof, err = s.Tickets.Put(c.UserContext(), proofPurpose, value, proofLife); err != nil {
		return err
	}
	view.Code.URL = view.Path + "/new/code"
	return s.showRebind(c, http.StatusOK, view)
}

// oldProven reports whether the posted proof is for this certificate and visitor.
func (s *Server) oldProven(c *fiber.Ctx, view rebindView) (bool, error) {
	value, err := s.Tickets.Peek(c.UserContext(), proofPurpose, c.FormValue("proof"))
	if errors.Is(err, order.NotFound) {
		return false, nil
	}
	var p proof
	if err == nil {
		err = json.Unmarshal(value, &p)
	}
	return p == proof{view.Cert.Serial, visitorOf(c).PersonID()}, err
}

// second is the second step of the path, or the refusal that sends back to the first.
func (s *Server) second(c *fiber.Ctx) (rebindView, error) {
	view, _, err := s.rebindable(c)
	if err != nil {
		return view, err
	}
	ok, err := s.oldProven(c, view)
	if err == nil && !ok {
		err = order.Errorf(order.Conflict, "old_mobile_unproven", "原手机号的验证已失效，请返回重新验证")
	}
	view.Proof, view.Mobile, view.Code.URL = c.FormValue("proof"), c.FormValue("mobile"), view.Path+"/new/code"
	return view, err
}

func (s *Server) rebindNewCode(c *fiber.Ctx) error {
	view, err := s.second(c)
	if err != nil {
		return err
	}
	m, err := identity.ParseMobile(view.Mobile)
	if err != nil {
		view.Code.Error = err.Error()
		return s.render(c, http.StatusOK, "partials/code", "", view.Code)
	}
	return s.sendCode(c, newChallenge(c, view.Cert.Serial, m), view.Code)
}

// rebind takes the code of the new mobile and gives it the certificate.
func (s *Server) rebind(c *fiber.Ctx) error {
	view, err := s.second(c)
	if err != nil {
		return err
	}
	again := func(detail string) error {
		view.Error = detail
		return s.showRebind(c, http.StatusUnprocessableEntity, view)
	}
	m, err := identity.ParseMobile(view.Mobile)
	if err != nil {
		return again(err.Error())
	}
	err = s.Codes.Verify(c.UserContext(), newChallenge(c, view.Cert.Serial, m), strings.TrimSpace(c.FormValue("code")))
	if fault, ok := order.AsError(err); ok && (fault.Kind == order.Invalid || fault.Kind == order.RateLimited) {
		return again(fault.Detail)
	}
	if err != nil {
		return err
	}
	to, err := s.personByMobile(c.UserContext(), m)
	if err != nil {
		return err
	}
	err = s.Status.Rebind(c.UserContext(), view.Cert.Serial, visitorOf(c).Actor(c), to.ID)
	if fault, ok := order.AsError(err); ok && fault.Code == "same_holder" {
		return again(fault.Detail)
	}
	if err != nil {
		return err
	}
	if _, err := s.Tickets.Take(c.UserContext(), proofPurpose, view.Proof); err != nil && !errors.Is(err, order.NotFound) {
		return err
	}
	return s.render(c, http.StatusOK, "rebound", "绑定用户已更换", view)
}
