package handlers

import (
	"net/http"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store/session"
)

func (s *Server) restoreRoutes() {
	s.get("/orders/:id/restore", Applicant, s.unlessRestored(s.restorePage))
	s.post("/orders/:id/restore", Applicant, s.unlessRestored(s.restore))
	s.post("/orders/:id/restore/code", Applicant, s.restoreCode)
}

// restoreView is the page on which the bound user takes his freeze back.
type restoreView struct {
	Order  order.Order
	Cert   certificate.Certificate
	Path   string
	Mobile string // of the bound user, masked
	Code   codeView
	Error  string
}

// restorable is the approved order of the path, with the bound user's mobile.
func (s *Server) restorable(c *fiber.Ctx) (restoreView, session.Challenge, error) {
	o, err := s.ownOrder(c)
	if err != nil {
		return restoreView{}, session.Challenge{}, err
	}
	return s.restorableOf(c, o, visitorOf(c).PersonID())
}

// restorableOf is restorable for an order of this person's.
func (s *Server) restorableOf(c *fiber.Ctx, o order.Order, me string) (restoreView, session.Challenge, error) {
	if o.Guide(s.Now()).Action != order.ActionRestore {
		return restoreView{}, session.Challenge{}, order.Errorf(order.Conflict, "not_restorable", "订单当前为「%s」，不能恢复证书，请返回订单查看", o.Status.Label())
	}
	cert, err := s.Status.Own(c.UserContext(), o.Certificate, me)
	if err != nil {
		return restoreView{}, session.Challenge{}, err
	}
	p, err := s.Store.Person(c.UserContext(), cert.PersonID)
	if err != nil {
		return restoreView{}, session.Challenge{}, err
	}
	path := "/orders/" + string(o.ID) + "/restore"
	return restoreView{Order: o, Cert: cert, Path: path, Mobile: p.Mobile.Mask(), Code: codeView{URL: path + "/code"}},
		session.Challenge{Purpose: codeRestore, Mobile: p.Mobile, Subject: cert.Serial, IP: c.IP()}, nil
}

// restored reports whether a freeze was taken back: whoever asks for it again has not seen
// the answer.
func restored(o order.Order) bool { return o.Business == order.Resume && o.Status == order.Completed }

// unlessRestored goes to the order, where that is done already.
func (s *Server) unlessRestored(h fiber.Handler) fiber.Handler {
	return func(c *fiber.Ctx) error {
		o, err := s.ownOrder(c)
		if err != nil {
			return err
		}
		if restored(o) {
			return s.goTo(c, "/orders/"+string(o.ID))
		}
		return h(c)
	}
}

func (s *Server) restorePage(c *fiber.Ctx) error {
	view, _, err := s.restorable(c)
	if err != nil {
		return err
	}
	return s.render(c, http.StatusOK, "restore", "恢复证书", view)
}

func (s *Server) restoreCode(c *fiber.Ctx) error {
	view, challenge, err := s.restorable(c)
	if err != nil {
		return err
	}
	return s.sendCode(c, challenge, view.Code)
}

// restore takes the freeze back (row 44): lists and OCSP say so within a minute.
func (s *Server) restore(c *fiber.Ctx) error {
	view, challenge, err := s.restorable(c)
	if err != nil {
		return err
	}
	err = s.Codes.Verify(c.UserContext(), challenge, c.FormValue("code"))
	if detail, ok := correctable(err); ok {
		view.Error = detail
		return s.render(c, http.StatusUnprocessableEntity, "restore", "恢复证书", view)
	}
	if err != nil {
		return err
	}
	_, err = s.Orders.Apply(c.UserContext(), view.Order.ID, order.Command{On: order.Restore, By: visitorOf(c).Actor(c), Proven: []order.Fact{order.MobileProven}})
	if err != nil {
		return err
	}
	return s.goTo(c, "/orders/"+string(view.Order.ID))
}
