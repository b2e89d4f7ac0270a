package handlers

import (
	"net/http"
	"slices"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/order"
)

func (s *Server) deliveryRoutes() {
	s.get("/orders/:id/delivery", Applicant, s.deliveryPage)
	s.post("/orders/:id/delivery", Applicant, s.changeDelivery)
}

// deliveryView is the page on which a submitted order gets another address (row 47).
type deliveryView struct {
	Order order.Order
	Group groupView
	Error string
}

func (s *Server) deliveryView(o order.Order, typed order.Form, faults []order.FieldError) deliveryView {
	form := s.formView(o, typed, faults, false)
	i := slices.IndexFunc(form.Groups, func(g groupView) bool { return g.ID == order.GroupShip })
	if i < 0 {
		return deliveryView{Order: o}
	}
	return deliveryView{Order: o, Group: form.Groups[i]}
}

// deliverable refuses an order that has gone too far for another address.
func deliverable(o order.Order) error {
	if !o.DeliveryChangeable() {
		return order.Errorf(order.Conflict, "delivery_fixed", "订单当前为「%s」，不能修改收件信息", o.Status.Label())
	}
	return nil
}

func (s *Server) ownDeliverable(c *fiber.Ctx) (order.Order, error) {
	o, err := s.ownOrder(c)
	if err == nil {
		err = deliverable(o)
	}
	return o, err
}

// deliverTo is the form with what was typed about the delivery, and what is wrong
// with it: with the formats only, or with anything that is missing.
func (s *Server) deliverTo(o order.Order, typed func(order.Field) (string, bool), check bool) (order.Form, []order.FieldError) {
	f := o.Form
	for _, spec := range order.Fields {
		if v, ok := typed(spec.Name); ok && spec.Group == order.GroupShip && spec.Name != order.PickUpCode {
			f = f.With(spec.Name, v)
		}
	}
	f, faults := order.Normalize(o.Product, f, s.today())
	if check {
		faults = order.CheckForm(o.Product, f, s.today())
	}
	return f, slices.DeleteFunc(faults, func(e order.FieldError) bool {
		spec, _ := e.Field.Spec()
		return spec.Group != order.GroupShip
	})
}

func (s *Server) deliveryPage(c *fiber.Ctx) error {
	o, err := s.ownDeliverable(c)
	if err != nil {
		return err
	}
	return s.render(c, http.StatusOK, "delivery", "修改收件信息", s.deliveryView(o, o.Form, nil))
}

// changeDelivery takes the new address. Changing the way or the province only
// shows the fields that it asks for.
func (s *Server) changeDelivery(c *fiber.Ctx) error {
	o, err := s.ownDeliverable(c)
	if err != nil {
		return err
	}
	submit := c.FormValue("do") == "submit"
	typed, faults := s.deliverTo(o, func(f order.Field) (string, bool) { return c.FormValue(string(f)), posted(c, f) }, submit)
	if !submit {
		return s.render(c, http.StatusOK, "delivery", "修改收件信息", s.deliveryView(o, typed, faults))
	}
	if len(faults) > 0 {
		return s.render(c, http.StatusUnprocessableEntity, "delivery", "修改收件信息", s.deliveryView(o, typed, faults))
	}
	if _, err := s.Orders.Apply(c.UserContext(), o.ID, order.Command{On: order.ChangeDelivery, By: visitorOf(c).Actor(c), Form: typed}); err != nil {
		return err
	}
	return s.goTo(c, "/orders/"+string(o.ID))
}
