package handlers

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"

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
		if settled(err) {
			return c.SendStatus(http.StatusNoContent)
		}
		s.Log.WarnContext(c.UserContext(), "payment notification refused", slog.Any("err", err))
		return c.Status(statusForCallback(err)).JSON(fiber.Map{"code": "FAIL", "message": "refused"})
	})
}

// MountAlipay serves POST /callbacks/alipay: verify, apply, answer. Alipay repeats a
// notification until the answer is the word success.
func (s *Server) MountAlipay(parse func(body []byte) (order.Receipt, error), paid func(context.Context, order.Receipt) error) {
	s.handle(fiber.MethodPost, "/callbacks/alipay", Signed, func(c *fiber.Ctx) error {
		receipt, err := parse(c.Body())
		if err == nil {
			err = paid(c.UserContext(), receipt)
		}
		if settled(err) {
			return c.SendString("success")
		}
		s.Log.WarnContext(c.UserContext(), "payment notification refused", slog.Any("err", err))
		return c.Status(statusForCallback(err)).SendString("failure")
	})
}

// settled reports whether a sender may stop repeating itself: what it said was taken
// or changes nothing. A lost race is neither.
func settled(err error) bool {
	return err == nil || errors.Is(err, order.Conflict) && !errors.Is(err, order.ErrRaced)
}

// MountCourier serves POST /callbacks/courier: verify, apply, answer as 快递100 wants
// to be answered. It repeats a push that was not taken.
func (s *Server) MountCourier(parse func(body []byte) (order.CourierReport, error), heard func(context.Context, order.CourierReport) error) {
	s.handle(fiber.MethodPost, "/callbacks/courier", Signed, func(c *fiber.Ctx) error {
		report, err := parse(c.Body())
		if err == nil {
			err = heard(c.UserContext(), report)
		}
		if settled(err) {
			return c.JSON(fiber.Map{"result": true, "returnCode": "200", "message": "成功"})
		}
		s.Log.WarnContext(c.UserContext(), "courier push refused", slog.Any("err", err))
		status := statusForCallback(err)
		return c.Status(status).JSON(fiber.Map{"result": false, "returnCode": strconv.Itoa(status), "message": "失败"})
	})
}

// InvoiceNotices verifies and reads a notification of the invoice platform; query is
// that of the address. Forbidden: not the platform's word; Conflict: about something
// else.
type InvoiceNotices func(query url.Values, body []byte) (order.InvoiceNotice, error)

// MountInvoices serves POST /callbacks/invoice: verify, have the platform asked,
// answer. The platform repeats itself until the answer has code 0.
func (s *Server) MountInvoices(read InvoiceNotices, heard func(context.Context, order.InvoiceNotice) error) {
	s.handle(fiber.MethodPost, "/callbacks/invoice", Signed, func(c *fiber.Ctx) error {
		query := url.Values{"invoice": {c.Query("invoice")}, "seal": {c.Query("seal")}}
		n, err := read(query, c.Body())
		if err == nil {
			err = heard(c.UserContext(), n)
		}
		if settled(err) {
			return c.JSON(fiber.Map{"code": 0, "message": "success"})
		}
		s.Log.WarnContext(c.UserContext(), "invoice notification refused", slog.Any("err", err))
		return c.Status(statusForCallback(err)).JSON(fiber.Map{"code": 1, "message": "refused"})
	})
}

func statusForCallback(err error) int {
	if status, ok := statusOf[kindOf(err)]; ok {
		return status
	}
	return http.StatusInternalServerError
}
