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

func (s *Server) deliverable(c *fiber.Ctx) (order.Order, error) {
	o, err := s.ownOrder(c)
	if err == nil && !o.DeliveryChangeable() {
		err = order.Errorf(order.Conflict, "delivery_fixed", "订单当前为「%s」，不能修改收件信息", o.Status.Label())
	}
	return o, err
}

func (s *Server) deliveryPage(c *fiber.Ctx) error {
	o, err := s.deliverable(c)
	if err != nil {
		return err
	}
	return s.render(c, http.StatusOK, "delivery", "修改收件信息", s.deliveryView(o, o.Form, nil))
}

// changeDelivery takes the new address. Changing the way or the province only
// shows the fields that it asks for.
func (s *Server) changeDelivery(c *fiber.Ctx) error {
	o, err := s.deliverable(c)
	if err != nil {
		return err
	}
	typed := o.Form
	for _, spec := range order.Fields {
		if spec.Group == order.GroupShip && posted(c, spec.Name) {
			typed = typed.With(spec.Name, c.FormValue(string(spec.Name)))
		}
	}
	typed, faults := order.Normalize(o.Product, typed, s.Now().In(order.Shanghai))
	if c.FormValue("do") != "submit" {
		return s.render(c, http.StatusOK, "delivery", "修改收件信息", s.deliveryView(o, typed, faults))
	}
	if faults = order.CheckForm(o.Product, typed, s.Now().In(order.Shanghai)); slices.ContainsFunc(faults, ofDelivery) {
		return s.render(c, http.StatusUnprocessableEntity, "delivery", "修改收件信息", s.deliveryView(o, typed, faults))
	}
	if _, err := s.Orders.Apply(c.UserContext(), o.ID, order.Command{On: order.ChangeDelivery, By: visitorOf(c).Actor(c), Form: typed}); err != nil {
		return err
	}
	return s.goTo(c, "/orders/"+string(o.ID))
}

func ofDelivery(e order.FieldError) bool {
	spec, _ := e.Field.Spec()
	return spec.Group == order.GroupShip
}
