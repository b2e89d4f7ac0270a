package handlers

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
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

// bound is the bound user of a certificate that can be given to another.
func (s *Server) bound(ctx context.Context, cert certificate.Certificate) (order.Person, error) {
	if cert.State() == certificate.Revoked {
		return order.Person{}, order.Errorf(order.Conflict, "certificate_unchangeable", "该证书已不能办理此项业务，请返回「我的证书」查看状态")
	}
	return s.Store.Person(ctx, cert.PersonID)
}

func (s *Server) rebindable(c *fiber.Ctx) (rebindView, order.Person, error) {
	cert, err := s.Status.Own(c.UserContext(), c.Params("serial"), visitorOf(c).PersonID())
	if err != nil {
		return rebindView{}, order.Person{}, err
	}
	p, err := s.bound(c.UserContext(), cert)
	if err != nil {
		return rebindView{}, order.Person{}, err
	}
	path := "/certificates/" + cert.Serial + "/rebind"
	return rebindView{Cert: cert, Path: path, Old: p.Mobile.Mask(), Code: codeView{URL: path + "/code"}}, p, nil
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
	err = s.Codes.Verify(c.UserContext(), oldChallenge(c, view.Cert.Serial, p), c.FormValue("code"))
	if detail, ok := correctable(err); ok {
		view.Error = detail
		return s.showRebind(c, http.StatusUnprocessableEntity, view)
	}
	if err != nil {
		return err
	}
	if view.Proof, err = s.keepProof(c.UserContext(), proof{view.Cert.Serial, p.ID}); err != nil {
		return err
	}
	view.Code.URL = view.Path + "/new/code"
	return s.showRebind(c, http.StatusOK, view)
}

// keepProof returns the ticket of a proof.
func (s *Server) keepProof(ctx context.Context, p proof) (string, error) {
	value, err := json.Marshal(p)
	if err != nil {
		return "", err
	}
	return s.Tickets.Put(ctx, proofPurpose, value, proofLife)
}

// oldProven refuses unless the ticket is of this proof.
func (s *Server) oldProven(ctx context.Context, ticket string, want proof) error {
	var p proof
	value, err := s.Tickets.Peek(ctx, proofPurpose, ticket)
	if err == nil {
		err = json.Unmarshal(value, &p)
	}
	if errors.Is(err, order.NotFound) || err == nil && p != want {
		return order.Errorf(order.Conflict, "old_mobile_unproven", "原手机号的验证已失效，请返回重新验证")
	}
	return err
}

// hand gives a certificate to whom the new mobile is, once both are proven, and
// uses the proof up.
func (s *Server) hand(ctx context.Context, serial string, by order.Actor, to identity.Mobile, ticket string) error {
	p, err := s.personByMobile(ctx, to)
	if err != nil {
		return err
	}
	if err := s.Status.Rebind(ctx, serial, by, p.ID); err != nil {
		return err
	}
	if _, err := s.Tickets.Take(ctx, proofPurpose, ticket); err != nil && !errors.Is(err, order.NotFound) {
		return err
	}
	return nil
}

// given is a certificate that somebody has just given to another: he may ask once more
// for what is done, because the answer was lost. To anybody else it does not exist.
func (s *Server) given(ctx context.Context, serial, personID string) (certificate.Certificate, error) {
	cert, err := s.Store.Certificate(ctx, serial)
	if err != nil {
		return cert, err
	}
	events, err := s.Store.Events(ctx, cert.OrderID)
	if err != nil {
		return cert, err
	}
	by := func(e order.EventRecord) bool {
		return e.Event == order.CertificateRebound && e.Role == order.Applicant && e.ActorID == personID && s.Now().Sub(e.At) < proofLife
	}
	if personID == "" || !slices.ContainsFunc(events, by) {
		return certificate.Certificate{}, certificate.NotFound()
	}
	return cert, nil
}

// givenTo refuses unless the certificate is bound to that mobile.
func (s *Server) givenTo(ctx context.Context, cert certificate.Certificate, mobile string) error {
	p, err := s.Store.Person(ctx, cert.PersonID)
	if err != nil {
		return err
	}
	if m, err := identity.ParseMobile(mobile); err != nil || m != p.Mobile {
		return certificate.NotFound()
	}
	return nil
}

// second is the second step of the path, or the refusal that sends back to the first.
func (s *Server) second(c *fiber.Ctx) (rebindView, error) {
	view, _, err := s.rebindable(c)
	if err != nil {
		return view, err
	}
	err = s.oldProven(c.UserContext(), c.FormValue("proof"), proof{view.Cert.Serial, visitorOf(c).PersonID()})
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
	if errors.Is(err, order.NotFound) {
		return s.reboundBefore(c)
	}
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
	err = s.Codes.Verify(c.UserContext(), newChallenge(c, view.Cert.Serial, m), c.FormValue("code"))
	if detail, ok := correctable(err); ok {
		return again(detail)
	}
	if err != nil {
		return err
	}
	err = s.hand(c.UserContext(), view.Cert.Serial, visitorOf(c).Actor(c), m, view.Proof)
	if fault, ok := order.AsError(err); ok && fault.Code == "same_holder" {
		return again(fault.Detail)
	}
	if err != nil {
		return err
	}
	return s.render(c, http.StatusOK, "rebound", "绑定用户已更换", view)
}

// reboundBefore is the end of the path for whoever did not get to see it.
func (s *Server) reboundBefore(c *fiber.Ctx) error {
	cert, err := s.given(c.UserContext(), c.Params("serial"), visitorOf(c).PersonID())
	if err != nil {
		return err
	}
	if err := s.givenTo(c.UserContext(), cert, c.FormValue("mobile")); err != nil {
		return err
	}
	return s.render(c, http.StatusOK, "rebound", "绑定用户已更换", rebindView{Cert: cert})
}
