package handlers

import (
	"context"
	"net/http"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

// unlockService unlocks USBKEYs; *certificate.Unlocks.
type unlockService interface {
	Lookup(ctx context.Context, tokenSerial string) (certificate.Subject, error)
	BeginSelf(ctx context.Context, s certificate.Subject, by order.Actor) (certificate.Ticket, string, error)
	Of(ctx context.Context, o order.Order) (certificate.Certificate, error)
	BeginApproved(ctx context.Context, o order.Order, by order.Actor) (certificate.Ticket, string, error)
	CodeFor(ctx context.Context, s certificate.Subject, challenge string, by order.Actor) (string, error)
	CodeForApproved(ctx context.Context, o order.Order, challenge string, by order.Actor) (string, error)
	Watch(ctx context.Context, id string) (certificate.Ticket, error)

	Open(ctx context.Context, secret string, publicKey []byte) (certificate.Errand, error)
	Step(ctx context.Context, secret string, step certificate.Step) error
	Fail(ctx context.Context, secret, code, ip string) error
	Secret(ctx context.Context, secret, ip string) ([]byte, error)
	Report(ctx context.Context, secret string, signature []byte, ip string) (order.Order, error)
}

// helperRoutes are what the key helper on the subscriber's PC calls. It proves
// itself by the ticket that a page has handed it, in the Authorization header; it
// has no cookies, so nobody can forge its requests from another page.
func (s *Server) helperRoutes() {
	s.post("/helper/v1/open", Helper, s.helperOpen)
	s.post("/helper/v1/step", Helper, s.helperStep)
	s.post("/helper/v1/fail", Helper, s.helperFail)
	s.post("/helper/v1/unlock/secret", Helper, s.helperSecret)
	s.post("/helper/v1/unlock/report", Helper, s.helperReport)
}

// ticketOf is the secret that the helper shows.
func ticketOf(c *fiber.Ctx) (string, error) {
	secret, ok := strings.CutPrefix(c.Get(fiber.HeaderAuthorization), "Ticket ")
	if !ok || secret == "" || len(secret) > 64 {
		return "", order.Errorf(order.NotFound, "ticket_gone", "办理凭证已失效，请回到网页重新开始")
	}
	return secret, nil
}

// helperCall reads the ticket and the body of a helper's request.
func helperCall(c *fiber.Ctx, in any) (secret string, err error) {
	if secret, err = ticketOf(c); err != nil {
		return "", err
	}
	if err := c.BodyParser(in); err != nil {
		return "", order.Errorf(order.Invalid, "request_malformed", "请求内容有误，请更新证书助手后重试")
	}
	return secret, nil
}

// errandView is what a helper is told when it shows its ticket.
type errandView struct {
	ID          string              `json:"id"`
	Purpose     certificate.Purpose `json:"purpose"`
	TokenSerial string              `json:"token_serial"`
	Holder      string              `json:"holder"`
	Certificate []byte              `json:"certificate"` // DER
	Challenge   []byte              `json:"challenge"`
}

func (s *Server) helperOpen(c *fiber.Ctx) error {
	var in struct {
		PublicKey []byte `json:"public_key"`
	}
	secret, err := helperCall(c, &in)
	if err != nil {
		return err
	}
	e, err := s.Unlocks.Open(c.UserContext(), secret, in.PublicKey)
	if err != nil {
		return err
	}
	return c.JSON(errandView{e.ID, e.Purpose, e.TokenSerial, identity.MaskHolder(e.Holder), e.Certificate, e.Challenge})
}

func (s *Server) helperStep(c *fiber.Ctx) error {
	var in struct {
		Step certificate.Step `json:"step"`
	}
	secret, err := helperCall(c, &in)
	if err != nil {
		return err
	}
	if err := s.Unlocks.Step(c.UserContext(), secret, in.Step); err != nil {
		return err
	}
	return c.SendStatus(http.StatusNoContent)
}

// helperFailures are the codes that a helper may give for its failure; they choose
// the sentence that the page shows.
var helperFailures = map[string]string{ //nolint:gosec // sentences, no credentials
	"token_missing":     "没有检测到 UKEY，请确认已插好后重新开始。",
	"token_wrong":       "插入的 UKEY 不是要办理的那一个，请换上正确的 UKEY 后重新开始。",
	"pin_length":        "口令长度不符合该 UKEY 的要求，请重新开始并换一个口令。",
	"pin_form":          "口令不符合该 UKEY 的要求，请重新开始并换一个口令。",
	"pin_incorrect":     "UKEY 口令不正确，请核对后重新开始；忘记了请先解锁。",
	"pin_locked":        "UKEY 口令已锁定，请先解锁。",
	"so_pin_incorrect":  "UKEY 的管理密钥与系统登记的不一致，请重新开始；仍不成功请致电 400-666-3999。",
	"so_pin_locked":     "UKEY 的管理密钥已锁定，无法解锁，请办理补办。",
	"token_dead":        "UKEY 通讯中断，请重新插拔后再开始。",
	"token_pulled":      "UKEY 在办理过程中被拔出或接触不良，这次没有办完。请插好同一个 UKEY 后重新开始，会接着上次的进度办理。",
	"token_unreachable": "UKEY 没有响应，这次没有办完。请拔下 UKEY，换一个 USB 口插好后重新开始，会接着上次的进度办理；仍不成功请致电 400-666-3999。",
	"token_busy":        "UKEY 正被其他程序占用，请关闭其他使用 UKEY 的程序后重新开始。",
	"cancelled":         "已取消，UKEY 没有改变。",
	"other":             "办理没有完成，请重新开始；仍不成功请致电 400-666-3999。",
}

func (s *Server) helperFail(c *fiber.Ctx) error { return fail(c, s.Unlocks) }

// fail ends what a ticket was for, for the reason that the helper gives.
func fail(c *fiber.Ctx, errand interface {
	Fail(ctx context.Context, secret, code, ip string) error
},
) error {
	var in struct {
		Code string `json:"code"`
	}
	secret, err := helperCall(c, &in)
	if err != nil {
		return err
	}
	if _, known := helperFailures[in.Code]; !known {
		in.Code = "other"
	}
	if err := errand.Fail(c.UserContext(), secret, in.Code, c.IP()); err != nil {
		return err
	}
	return c.SendStatus(http.StatusNoContent)
}

func (s *Server) helperSecret(c *fiber.Ctx) error {
	secret, err := ticketOf(c)
	if err != nil {
		return err
	}
	sealed, err := s.Unlocks.Secret(c.UserContext(), secret, c.IP())
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderCacheControl, "no-store")
	return c.JSON(fiber.Map{"sealed": sealed})
}

func (s *Server) helperReport(c *fiber.Ctx) error {
	var in struct {
		Signature []byte `json:"signature"`
	}
	secret, err := helperCall(c, &in)
	if err != nil {
		return err
	}
	o, err := s.Unlocks.Report(c.UserContext(), secret, in.Signature, c.IP())
	if err != nil {
		return err
	}
	return c.JSON(fiber.Map{"order_no": o.No})
}
