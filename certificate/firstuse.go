package certificate

import (
	"context"
	"slices"

	"github.com/yuncaidun/yuncaidun/order"
)

// UntoldPIN is an initial PIN that nobody was told yet (G25), of the USBKEY of a certificate.
type UntoldPIN struct {
	OrderID  order.ID
	Serial   string // of the certificate
	PersonID string // who holds it, and may be told
}

// Untold are the certificates, by their serial numbers, whose USBKEYs have an initial PIN
// that their holder can be told now.
func (s *Service) Untold(ctx context.Context, certs []Certificate) (map[string]bool, error) {
	var orders []order.ID
	for _, c := range certs {
		if c.TokenSerial != "" && !slices.Contains(orders, c.OrderID) {
			orders = append(orders, c.OrderID)
		}
	}
	pins, err := s.store.PINsUntold(ctx, orders)
	out := make(map[string]bool, len(pins))
	for _, p := range pins {
		out[p.Serial] = true
	}
	return out, err
}

// Guide is [order.Order.Guide] that leads to the initial PIN while there is one to be told to
// the order's owner.
func (s *Service) Guide(ctx context.Context, o order.Order) (order.Guidance, error) {
	gs, err := s.Guides(ctx, []order.Order{o})
	if err != nil {
		return order.Guidance{}, err
	}
	return gs[0], nil
}

// Guides is Guide of many, with one look at their USBKEYs.
func (s *Service) Guides(ctx context.Context, orders []order.Order) ([]order.Guidance, error) {
	out := make([]order.Guidance, len(orders))
	var sent []order.ID // that may have USBKEYs which were not used yet
	for i, o := range orders {
		if out[i] = o.Guide(s.now()); out[i].FirstUse != "" {
			sent = append(sent, o.ID)
		}
	}
	pins, err := s.store.PINsUntold(ctx, sent)
	if err != nil {
		return nil, err
	}
	for i, o := range orders {
		if g := &out[i]; slices.ContainsFunc(pins, func(p UntoldPIN) bool { return p.OrderID == o.ID && p.PersonID == o.PersonID }) {
			g.Next += g.FirstUse
		} else {
			g.FirstUse = ""
		}
	}
	return out, nil
}
