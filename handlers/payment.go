package handlers

import (
	"context"
	"html/template"
	"net/http"
	"slices"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/order"
)

func (s *Server) paymentRoutes() {
	s.get("/orders/:id/pay", Applicant, s.payPage)
	s.post("/orders/:id/pay", Applicant, s.pay)
	s.get("/orders/:id/pay/state", Applicant, s.payState)
}

// payView is the payment page in one of its states.
type payView struct {
	Order    order.Order
	Channels []order.PayChannel // on offer here
	Channel  order.PayChannel   // of the QR code; else the one that is chosen at first
	Code     string             // what the QR code says
	QR       template.URL       // scan to pay
	Until    time.Time
	Paid     bool
	Failed   bool // the gateway refused; pay again (F60)
	Expired  bool
	Obstacle string // why nothing may be paid, as the certificate is now
}

// Others are the channels that may be taken instead of the QR code's.
func (v payView) Others() []order.PayChannel {
	return slices.DeleteFunc(slices.Clone(v.Channels), func(c order.PayChannel) bool { return c == v.Channel })
}

func (s *Server) payPage(c *fiber.Ctx) error {
	v, err := s.payView(c)
	if e, ok := order.AsError(err); ok && e.Code == "nothing_to_pay" { // an old link or the back button
		return c.Redirect(s.placeOf(v.Order), http.StatusSeeOther)
	}
	if err != nil {
		return err
	}
	return s.render(c, http.StatusOK, "pay", "支付订单", v)
}

func (s *Server) payState(c *fiber.Ctx) error {
	v, err := s.payView(c)
	if err != nil {
		return err
	}
	status := stopPolling // also when there is a choice to make, which a new page would undo
	if v.QR != "" {
		status = http.StatusOK
	}
	return s.render(c, status, "partials/pay", "", v)
}

// stopPolling is the status that tells htmx to stop asking.
const stopPolling = 286

// pay opens a trade through the chosen channel, or takes up the open one (F58); after
// a failure it is how to pay again.
func (s *Server) pay(c *fiber.Ctx) error {
	o, err := s.ownOrder(c)
	if err != nil {
		return err
	}
	if _, err := s.Orders.OpenPayment(c.UserContext(), o.ID, visitorOf(c).Actor(c), order.PayChannel(c.FormValue("channel", string(order.WeChatPay)))); err != nil {
		return err
	}
	return s.goTo(c, "/orders/"+string(o.ID)+"/pay")
}

func (s *Server) payView(c *fiber.Ctx) (payView, error) {
	o, err := s.ownOrder(c)
	if err != nil {
		return payView{}, err
	}
	return s.payViewOf(c.UserContext(), o, channelOf(c))
}

func (s *Server) payViewOf(ctx context.Context, o order.Order, on order.Channel) (payView, error) {
	v := payView{Order: o, Channels: s.Orders.PayChannels(on), Channel: order.WeChatPay}
	if o.Guide(s.Now()).Action != order.ActionPay {
		v.Paid = !o.PaidAt.IsZero()
		if !v.Paid {
			return v, order.Errorf(order.Conflict, "nothing_to_pay", "订单当前为「%s」，不需要支付", o.Status.Label())
		}
		return v, nil
	}
	cert, err := s.aboutOf(ctx, o)
	if err != nil {
		return v, err
	}
	if cert != nil {
		v.Obstacle = cert.ObstacleTo(o, s.Now())
	}
	if v.Obstacle != "" || o.TradeNo == "" {
		return v, nil
	}
	p, err := s.Store.Payment(ctx, o.TradeNo)
	if err != nil {
		return v, err
	}
	events, err := s.Store.Events(ctx, o.ID)
	if err != nil {
		return v, err
	}
	offered := slices.Contains(v.Channels, p.Channel)
	if offered {
		v.Channel = p.Channel
	}
	switch {
	case len(events) > 0 && events[len(events)-1].Event == order.PayFailed && !events[len(events)-1].At.Before(p.CreatedAt):
		v.Failed = true
	case p.State != order.PaymentPending || !s.Now().Before(p.ExpiresAt):
		v.Expired = true
	case p.CodeURL != "" && offered:
		v.Code, v.Until = p.CodeURL, p.ExpiresAt
		v.QR, err = qrImage(p.CodeURL)
	}
	return v, err
}
