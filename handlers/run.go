package handlers

import (
	"context"
	"net/http"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/order"
)

// runService writes certificates onto the subscriber's own USBKEY; *certificate.Runs.
type runService interface {
	Begin(ctx context.Context, id order.ID, by order.Actor) (certificate.Ticket, string, error)
	Open(ctx context.Context, secret string, publicKey []byte) (certificate.RunErrand, error)
	Issue(ctx context.Context, secret string, p certificate.Proposal, ip string) ([]byte, error)
	Report(ctx context.Context, secret, tokenSerial string, signature []byte, ip string) (order.Order, error)
	Fail(ctx context.Context, secret, code, ip string) error
}

func (s *Server) runRoutes() {
	s.get("/orders/:id/run", Applicant, s.runPage)
	s.post("/orders/:id/run", Applicant, s.beginRun)
	s.get("/orders/:id/run/:ticket", Applicant, s.runProgress)
	s.post("/helper/v1/run/open", Helper, s.runOpen)
	s.post("/helper/v1/run/issue", Helper, s.runIssue)
	s.post("/helper/v1/run/report", Helper, s.runReport)
	s.post("/helper/v1/run/fail", Helper, s.runFail)
}

// writeView is the page that has the key helper write a certificate (F71).
type writeView struct {
	Order           order.Order
	Cert            *certificate.Certificate // to renew; nil for a download
	Verb            string
	Obstacle        string // why it would be refused now
	Ticket, Secret  string // once it has begun
	Helper, Server  string
	Serial, Command string
}

func (s *Server) writeView(c *fiber.Ctx) (writeView, error) {
	o, err := s.ownOrder(c)
	if err != nil {
		return writeView{}, err
	}
	if o.Guide(s.Now()).Action != order.ActionRun {
		return writeView{}, order.Errorf(order.Conflict, "not_runnable", "订单当前为「%s」，不能写入证书，请返回订单查看", o.Status.Label())
	}
	v := writeView{Order: o, Verb: order.ActionRun.Verb(o.Business), Command: "download"}
	if o.Business == order.Renewal {
		v.Command = "renew"
		if v.Cert, err = s.aboutOf(c.UserContext(), o); err != nil {
			return v, err
		}
		v.Serial, v.Obstacle = v.Cert.TokenSerial, v.Cert.ObstacleTo(o, s.Now())
	}
	return v, nil
}

func (s *Server) runPage(c *fiber.Ctx) error {
	v, err := s.writeView(c)
	if err != nil {
		return err
	}
	return s.render(c, http.StatusOK, "run", v.Verb, v)
}

// beginRun issues the ticket and shows the page that talks to the helper.
func (s *Server) beginRun(c *fiber.Ctx) error {
	v, err := s.writeView(c)
	if err != nil {
		return err
	}
	t, secret, err := s.Runs.Begin(c.UserContext(), v.Order.ID, visitorOf(c).Actor(c))
	if err != nil {
		return err
	}
	v.Ticket, v.Secret, v.Serial = t.ID, secret, t.TokenSerial
	v.Helper, v.Server = s.mayAskHelper(c), strings.TrimRight(s.PublicURL.String(), "/")
	return s.render(c, http.StatusOK, "run_now", v.Verb, v)
}

// runProgress says how far the helper of the visitor's own order is.
func (s *Server) runProgress(c *fiber.Ctx) error {
	o, err := s.ownOrder(c)
	if err != nil {
		return err
	}
	t, err := s.Unlocks.Watch(c.UserContext(), c.Params("ticket"))
	if err == nil && t.OrderID != o.ID {
		err = order.Errorf(order.NotFound, "ticket_gone", "办理凭证已失效，请回到网页重新开始")
	}
	if err != nil {
		return err
	}
	v := s.progressOf(t)
	if o.Stage == order.Running && t.State == certificate.TicketOpen {
		v.Step = certificate.StepWrite
	}
	c.Set(fiber.HeaderCacheControl, "no-store")
	return c.JSON(v.with(o))
}

// runErrandView is what a helper is told when it shows its ticket.
type runErrandView struct {
	ID          string              `json:"id"`
	Purpose     certificate.Purpose `json:"purpose"`
	TokenSerial string              `json:"token_serial"`
	Holder      string              `json:"holder"`
	Old         []byte              `json:"old,omitempty"` // DER
	Algorithm   order.Algorithm     `json:"algorithm"`
	Subject     []byte              `json:"subject"`             // DER
	Container   []byte              `json:"container,omitempty"` // none: keep the key pair of Old
	Challenge   []byte              `json:"challenge"`
}

func (s *Server) runOpen(c *fiber.Ctx) error {
	var in struct {
		PublicKey []byte `json:"public_key"`
	}
	secret, err := helperCall(c, &in)
	if err != nil {
		return err
	}
	e, err := s.Runs.Open(c.UserContext(), secret, in.PublicKey)
	if err != nil {
		return err
	}
	return c.JSON(runErrandView{e.ID, e.Purpose, e.TokenSerial, e.Holder, e.Old, e.Algorithm, e.Subject, e.Container, e.Challenge})
}

func (s *Server) runIssue(c *fiber.Ctx) error {
	var in struct {
		TokenSerial string `json:"token_serial"`
		Proof       []byte `json:"proof"`
		CSR         []byte `json:"csr"`
	}
	secret, err := helperCall(c, &in)
	if err != nil {
		return err
	}
	der, err := s.Runs.Issue(c.UserContext(), secret, certificate.Proposal{TokenSerial: in.TokenSerial, Proof: in.Proof, CSR: in.CSR}, c.IP())
	if err != nil {
		return err
	}
	return c.JSON(fiber.Map{"certificate": der})
}

func (s *Server) runReport(c *fiber.Ctx) error {
	var in struct {
		TokenSerial string `json:"token_serial"`
		Signature   []byte `json:"signature"`
	}
	secret, err := helperCall(c, &in)
	if err != nil {
		return err
	}
	o, err := s.Runs.Report(c.UserContext(), secret, in.TokenSerial, in.Signature, c.IP())
	if err != nil {
		return err
	}
	return c.JSON(fiber.Map{"order_no": o.No})
}

func (s *Server) runFail(c *fiber.Ctx) error { return fail(c, s.Runs) }
