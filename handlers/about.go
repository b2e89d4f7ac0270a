package handlers

import (
	"context"
	"errors"
	"net/http"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/order"
)

// newAbout starts an application about one of the visitor's certificates, or goes
// on with the one that he has started already (F72).
func (s *Server) newAbout(c *fiber.Ctx) error {
	v := visitorOf(c)
	if v.PersonID() == "" {
		return order.Errorf(order.Unauthenticated, "login_required", "请先登录，再选择要办理的证书")
	}
	cert, err := s.Status.Own(c.UserContext(), c.FormValue("certificate"), v.PersonID())
	if err != nil {
		return err
	}
	b := order.Business(c.FormValue("business"))
	o, err := s.startAbout(c, v, cert, b, c.FormValue("product"))
	if err != nil {
		return err
	}
	return c.Redirect(s.placeOf(o), http.StatusSeeOther)
}

// startAbout starts an application about a certificate, or returns the one that
// the visitor has started already (F72).
func (s *Server) startAbout(c *fiber.Ctx, v Visitor, cert certificate.Certificate, b order.Business, product string) (order.Order, error) {
	ctx := c.UserContext()
	p, err := s.productFor(cert, b, product)
	if err != nil {
		return order.Order{}, err
	}
	if o, ok, err := s.openAbout(ctx, cert, b, v); ok || err != nil {
		return o, err
	}
	form, err := s.copiedPictures(ctx, cert.About(s.Now()))
	if err != nil {
		return order.Order{}, err
	}
	o, err := s.Orders.Apply(ctx, "", order.Command{On: order.Save, By: v.Actor(c), Product: p.Code, Certificate: cert.Serial, Form: form})
	if err != nil {
		s.dropPictures(ctx, form)
		if o, ok, again := s.openAbout(ctx, cert, b, v); ok && again == nil { // somebody was quicker
			return o, nil
		}
	}
	return o, err
}

// openAbout is the visitor's open order of a business about a certificate.
func (s *Server) openAbout(ctx context.Context, cert certificate.Certificate, b order.Business, v Visitor) (o order.Order, ok bool, err error) {
	page, err := s.Store.Orders(ctx, order.Filter{PersonID: v.PersonID(), Certificate: cert.Serial, Business: b, Open: true, Limit: 1})
	if err != nil || len(page.Orders) == 0 {
		return order.Order{}, false, err
	}
	return page.Orders[0], true, nil
}

// copied are the pictures that an application takes over from an earlier order
// (F67, F69). Each order owns its pictures, so that one can be erased without the
// other.
var copied = []order.Field{order.IDFront, order.IDBack}

func (s *Server) copiedPictures(ctx context.Context, a order.About) (order.Form, error) {
	earlier, err := s.Orders.Earlier(ctx, a)
	if err != nil {
		return order.Form{}, err
	}
	form := order.NewForm(map[order.Field]string{})
	for _, f := range copied {
		object := earlier.Form.Get(f)
		if object == "" {
			continue
		}
		kept, err := s.Objects.Get(ctx, object)
		if errors.Is(err, order.NotFound) { // erased since: it is uploaded anew
			continue
		}
		if err == nil {
			object = secret()
			err = s.Objects.Put(ctx, object, kept)
		}
		if err != nil {
			return form, err
		}
		form = form.With(f, object)
	}
	return form, nil
}

// dropPictures erases copies that no order has taken.
func (s *Server) dropPictures(ctx context.Context, form order.Form) {
	for _, f := range copied {
		if object := form.Get(f); object != "" {
			if err := s.Objects.Delete(ctx, object); err != nil {
				s.Log.ErrorContext(ctx, "erasing a copied picture", "err", err)
			}
		}
	}
}

// bidView is the advice about bids that are not opened yet.
type bidView struct {
	Text    string
	Waiting bool // the renewal can be put off until they are
}

// addCertificate adds the certificate that the form is about, and what its
// renewal means for open bids.
func (s *Server) addCertificate(ctx context.Context, v *formView) error {
	cert, err := s.aboutOf(ctx, v.Order)
	if err != nil || cert == nil {
		return err
	}
	v.About, v.Obstacle = cert, cert.ObstacleTo(v.Order, s.Now())
	opening := v.Typed.Moment(order.BidOpening)
	if advice := order.AdviseOnBid(v.Typed.Get(order.BidUploaded) == order.Yes, opening, cert.NotAfter, s.Now()); advice != order.BidFree {
		v.Bid = &bidView{advice.Text(), advice == order.BidFirst && !v.Fixing && opening.After(s.Now())}
	}
	return nil
}

// aboutOf is the certificate that an order is about; nil when it is about none.
func (s *Server) aboutOf(ctx context.Context, o order.Order) (*certificate.Certificate, error) {
	if o.Certificate == "" {
		return nil, nil
	}
	cert, err := s.Store.Certificate(ctx, o.Certificate)
	return &cert, err
}

// remindAfterBid puts a renewal off until its bids are opened.
func (s *Server) remindAfterBid(c *fiber.Ctx) error {
	o, err := s.ownOrder(c)
	if err != nil {
		return err
	}
	if err := s.Orders.RemindAfterBid(c.UserContext(), o.ID, visitorOf(c).Actor(c)); err != nil {
		return err
	}
	return s.goTo(c, "/orders/"+string(o.ID))
}
