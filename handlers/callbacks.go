package handlers

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/order"
)

// PaymentNotices reads the payment gateway's notifications.
type PaymentNotices interface {
	// ParseNotification verifies and decrypts; Forbidden: not the gateway's word
	// to us; Conflict: genuine, but not about a payment.
	ParseNotification(ctx context.Context, header http.Header, body []byte) (order.Receipt, error)
}

// MountWeChatPay serves POST /callbacks/wechatpay: verify, apply, answer. The
// gateway repeats a notification until it is answered 2xx, so what was heard
// before is answered like the first time, and what could not be kept is not
// acknowledged.
func (s *Server) MountWeChatPay(notices PaymentNotices, paid func(context.Context, order.Receipt) error) {
	s.handle(fiber.MethodPost, "/callbacks/wechatpay", Signed, func(c *fiber.Ctx) error {
		header := http.Header{}
		for k, v := range c.GetReqHeaders() {
			header[http.CanonicalHeaderKey(k)] = v
		}
		receipt, err := notices.ParseNotification(c.UserContext(), header, c.Body())
		if err == nil {
			err = paid(c.UserContext(), receipt)
		}
		switch {
		case err == nil, errors.Is(err, order.Conflict):
			return c.SendStatus(http.StatusNoContent)
		default:
			s.Log.WarnContext(c.UserContext(), "payment notification refused", slog.Any("err", err))
			return c.Status(statusForCallback(err)).JSON(fiber.Map{"code": "FAIL", "message": "refused"})
		}
	})
}

func statusForCallback(err error) int {
	if status, ok := statusOf[kindOf(err)]; ok {
		return status
	}
	return http.StatusInternalServerError
}
