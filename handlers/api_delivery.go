package handlers

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"github.com/yuncaidun/yuncaidun/order"
)

// DeliveryJSON is to whom a submitted order goes, and how.
type DeliveryJSON struct {
	Order OrderJSON `json:"order"`
	Group GroupJSON `json:"group"`
	Saved bool      `json:"saved,omitempty" doc:"The order goes there now"`
}

type (
	deliveryInput struct {
		ID   string `path:"id" maxLength:"26"`
		Body struct {
			Fields map[string]string `json:"fields,omitempty" doc:"Those that changed; others stay"`
			Save   bool              `json:"save,omitempty" doc:"Otherwise only draw the fields that follow from a choice"`
		}
	}
	deliveryOutput struct{ Body DeliveryJSON }
)

// apiDeliveryRoutes give a submitted order another recipient, until it is posted
// (row 47).
func (s *Server) apiDeliveryRoutes(api huma.API) {
	operation(s, api, apiGet("/orders/:id/delivery"), "get-delivery", "To whom a submitted order goes", s.apiDelivery)
	operation(s, api, apiPost("/orders/:id/delivery"), "change-delivery", "Send it to somebody else or another way; what is wrong is said beside the fields", s.apiChangeDelivery)
}

func (s *Server) deliveryJSON(o order.Order, typed order.Form, faults []order.FieldError, saved bool) *deliveryOutput {
	out := DeliveryJSON{Order: s.orderJSON(o, nil), Saved: saved}
	for _, g := range groupJSON([]groupView{s.deliveryView(o, typed, faults).Group}) {
		out.Group = g
	}
	return &deliveryOutput{out}
}

func (s *Server) apiDelivery(ctx context.Context, _ *idInput) (*deliveryOutput, error) {
	o := callOf(ctx).order
	if err := deliverable(o); err != nil {
		return nil, err
	}
	return s.deliveryJSON(o, o.Form, nil, false), nil
}

func (s *Server) apiChangeDelivery(ctx context.Context, in *deliveryInput) (*deliveryOutput, error) {
	k := callOf(ctx)
	if err := deliverable(k.order); err != nil {
		return nil, err
	}
	typed, faults := s.deliverTo(k.order, func(f order.Field) (string, bool) { v, ok := in.Body.Fields[string(f)]; return v, ok }, in.Body.Save)
	if !in.Body.Save || len(faults) > 0 {
		return s.deliveryJSON(k.order, typed, faults, false), nil
	}
	o, err := s.Orders.Apply(ctx, k.order.ID, order.Command{On: order.ChangeDelivery, By: k.actor(), Form: typed})
	if err != nil {
		return nil, err
	}
	return s.deliveryJSON(o, o.Form, nil, true), nil
}
