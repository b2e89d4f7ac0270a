package handlers

import (
	"context"
	"slices"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store/session"
)

// Access says who may use a route. It is the authorisation matrix: one entry
// per route, written where the route is.
type Access string

// The kinds of access.
const (
	// Plain routes answer everybody alike and look at no cookie: assets, health,
	// certificates and revocation lists.
	Plain Access = "plain"
	// Public routes show nothing personal and change nothing that is owned.
	Public Access = "public"
	// Browser routes act on what belongs to a login or, before there is one, to
	// the browser's secret cookie: drafts and what hangs on them.
	Browser Access = "browser"
	// Applicant routes need a login.
	Applicant Access = "applicant"
	// Ticket routes act on what the one-time secret in the path names.
	Ticket Access = "ticket"
	// Proof routes act on what the request itself proves: a one-time code of
	// WeChat, a ticket. They look at no cookie, so they need no CSRF token.
	Proof Access = "proof"
	// Signed routes are called by machines that prove themselves by a signature
	// over the request, such as WeChat Pay. They have no cookies and no CSRF.
	Signed Access = "signed"
	// Helper routes are called by the key helper on the subscriber's PC, which proves
	// itself by its one-time ticket in a header. They have no cookies and no CSRF.
	Helper Access = "helper"
	// OfLegalRep routes act on the authorisation that the one-time secret in the
	// path names, and most of them only for who proved its mobile.
	OfLegalRep Access = "legal_rep"
	// OfStaff routes need a login of staff; a route names the roles besides.
	OfStaff Access = "staff"
)

// route is one line of the matrix.
type route struct {
	Method, Path string
	Access       Access
	Roles        []order.Role // OfStaff: one of these; none means any member of staff
	Given        bool         // API: also who has just given the certificate away, to hear that it is done
	ByMark       bool         // API: the gate looks whose the order is and leaves reading it to the handler
}

// handle declares a route. The gate runs before h: it finds the visitor, checks
// access, and for requests that change something the CSRF token and the origin.
func (s *Server) handle(method, path string, a Access, h fiber.Handler, roles ...order.Role) {
	r := route{Method: method, Path: path, Access: a, Roles: roles}
	s.matrix = append(s.matrix, r)
	admitted := func(c *fiber.Ctx) error {
		if err := s.admit(c, r); err != nil {
			return err
		}
		return h(c)
	}
	s.App.Add(method, path, admitted)
	if method == fiber.MethodGet {
		s.App.Add(fiber.MethodHead, path, admitted) // RFC 9110 §9.1: GET without the body
	}
}

func (s *Server) get(path string, a Access, h fiber.Handler, roles ...order.Role) {
	s.handle(fiber.MethodGet, path, a, h, roles...)
}

func (s *Server) post(path string, a Access, h fiber.Handler, roles ...order.Role) {
	s.handle(fiber.MethodPost, path, a, h, roles...)
}

// Mount adds a route that another room serves, such as the official account's
// callback; like every route it says who may use it.
func (s *Server) Mount(method, path string, a Access, h fiber.Handler) { s.handle(method, path, a, h) }

// MountAll hands everything below a prefix to h, such as the playground.
func (s *Server) MountAll(prefix string, a Access, h fiber.Handler) {
	for _, path := range []string{prefix, prefix + "/*"} {
		s.matrix = append(s.matrix, route{Method: "ALL", Path: path, Access: a})
		s.App.All(path, h)
	}
}

// Unlisted are the routes that the matrix does not name: they would have no gate.
func (s *Server) Unlisted() (out []string) {
	listed := map[string]bool{}
	for _, r := range s.matrix {
		listed[r.Method+" "+r.Path] = true
		listed["ALL "+r.Path] = listed["ALL "+r.Path] || r.Method == "ALL"
	}
	for _, r := range s.App.GetRoutes(true) {
		method := r.Method
		if method == fiber.MethodHead {
			method = fiber.MethodGet // fiber answers HEAD with GET's handler
		}
		if !listed[method+" "+r.Path] && !listed["ALL "+r.Path] {
			out = append(out, r.Method+" "+r.Path)
		}
	}
	return out
}

// admit is the gate of a route.
func (s *Server) admit(c *fiber.Ctx, r route) error {
	if r.Access == Signed || r.Access == Plain || r.Access == Proof || r.Access == Helper {
		return nil
	}
	kind := session.Applicant
	switch r.Access {
	case OfStaff:
		kind = session.Staff
	case OfLegalRep:
		kind = session.LegalRep
	default:
	}
	v, err := s.visitor(c, kind)
	if err != nil && r.Access != Public {
		return err
	}
	c.SetUserContext(context.WithValue(c.UserContext(), visitorKey{}, v))
	switch {
	case r.Access == Applicant && v.PersonID() == "":
		return loginFirst()
	case r.Access == OfStaff:
		if err := s.admitStaff(c, v, r.Roles); err != nil {
			return err
		}
	}
	if unsafeMethod(c.Method()) {
		return s.checkForgery(c, v)
	}
	return nil
}

// admitStaff checks the login and the role of a member of staff, and keeps who
// it is for the handler.
func (s *Server) admitStaff(c *fiber.Ctx, v Visitor, roles []order.Role) error {
	if v.Session.StaffID == "" {
		return loginFirst()
	}
	m, err := s.Store.Staff(c.UserContext(), v.Session.StaffID)
	if err != nil {
		return err
	}
	if m.Disabled || len(roles) > 0 && !slices.ContainsFunc(roles, m.Has) {
		return order.Errorf(order.Forbidden, "role_missing", "您的账号没有此项权限，请联系管理员")
	}
	c.SetUserContext(context.WithValue(c.UserContext(), staffKey{}, m))
	return nil
}

type staffKey struct{}

// staffOf returns the member of staff whom the gate admitted.
func staffOf(c *fiber.Ctx) order.Staff {
	m, _ := c.UserContext().Value(staffKey{}).(order.Staff)
	return m
}

func loginFirst() error {
	return order.Errorf(order.Unauthenticated, "login_required", "请先登录")
}

func unsafeMethod(m string) bool {
	return m != fiber.MethodGet && m != fiber.MethodHead && m != fiber.MethodOptions
}
