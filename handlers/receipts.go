package handlers

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/evidence"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store/session"
	"github.com/yuncaidun/yuncaidun/templates/letter"
)

// receiptRoutes are the progress receipts of an order, and the page that anybody who
// is shown one checks it on (flows.md, idea 10).
func (s *Server) receiptRoutes() {
	s.post("/orders/:id/receipts", Applicant, s.issueReceipt)
	s.get("/orders/:id/receipts/:receipt/file", Applicant, s.receiptFile)
	s.post("/orders/:id/receipts/:receipt/withdraw", Applicant, s.withdrawReceipt)
	s.get("/receipts", Public, s.receiptForm)
	s.get("/receipts/:code", Public, s.checkReceipt)
	s.get("/receipts/file/:ticket", Ticket, s.receiptByTicket)
}

// receiptService issues and withdraws progress receipts; *order.Service.
type receiptService interface {
	NewReceipt(ctx context.Context, id order.ID, by order.Actor) (r order.ProgressReceipt, code string, err error)
	IssueReceipt(ctx context.Context, r order.ProgressReceipt, by order.Actor) (order.ProgressReceipt, error)
	WithdrawReceipt(ctx context.Context, id order.ID, receipt string, by order.Actor) (order.ProgressReceipt, error)
}

// receiptReader reads progress receipts; *store.DB.
type receiptReader interface {
	Receipts(ctx context.Context, id order.ID) ([]order.ProgressReceipt, error)
	Receipt(ctx context.Context, id order.ID, receipt string) (order.ProgressReceipt, error)
	ReceiptByCode(ctx context.Context, codeHash string) (order.ProgressReceipt, error)
	CertificatesOf(ctx context.Context, id order.ID) ([]certificate.Certificate, error)
}

// receiptCard are an order's receipts that still hold, on its page.
type receiptCard struct {
	Held []order.ProgressReceipt
	Can  bool // one more can be issued
}

// receiptCard is nil for an order that has none and can have none.
func (s *Server) receiptCard(ctx context.Context, o order.Order) (*receiptCard, error) {
	all, err := s.Store.Receipts(ctx, o.ID)
	if err != nil {
		return nil, err
	}
	var v receiptCard
	for _, r := range all {
		if r.Holds(s.Now()) {
			v.Held = append(v.Held, r)
		}
	}
	v.Can = o.Receiptable() && len(v.Held) < order.MaxReceipts
	if v.Held == nil && !v.Can {
		return nil, nil //nolint:nilnil // no card is no fault
	}
	return &v, nil
}

func (s *Server) issueReceipt(c *fiber.Ctx) error {
	o, err := s.ownOrder(c)
	if err != nil {
		return err
	}
	if _, err := s.makeReceipt(c.UserContext(), o, visitorOf(c).Actor(c)); err != nil {
		return err
	}
	return s.goTo(c, "/orders/"+string(o.ID)+"#receipts")
}

// makeReceipt states how an order stands, has the paper sealed and keeps it. The code
// is on the paper and nowhere else. The paper is recorded before it exists, so that it
// goes when the order's data goes.
func (s *Server) makeReceipt(ctx context.Context, o order.Order, by order.Actor) (order.ProgressReceipt, error) {
	r, code, err := s.Orders.NewReceipt(ctx, o.ID, by)
	if err != nil {
		return r, err
	}
	pdf, err := s.receiptPaper(ctx, r, code)
	if err != nil {
		return r, err
	}
	if err := s.Orders.RecordUpload(ctx, o.ID, r.Object(), ""); err != nil {
		return r, err
	}
	if err := s.Objects.Put(ctx, r.Object(), pdf); err != nil {
		return r, err
	}
	holds, err := s.Orders.IssueReceipt(ctx, r, by)
	if err != nil || holds.ID != r.ID { // the button was pressed twice
		err = errors.Join(err, s.Objects.Delete(ctx, r.Object()))
	}
	return holds, err
}

func (s *Server) receiptPaper(ctx context.Context, r order.ProgressReceipt, code string) ([]byte, error) {
	qr, err := qrPicture(s.absolute("/receipts/" + code))
	if err != nil {
		return nil, err
	}
	pdf, err := letter.ReceiptPDF(s.Font, letter.Receipt{
		CA: s.CA, Statement: r.Statement, IssuedAt: r.IssuedAt, ExpiresAt: r.ExpiresAt, Code: order.GroupedCode(code), Page: s.absolute("/receipts"), QR: qr,
	})
	if rare, ok := errors.AsType[letter.MissingGlyphs](err); ok {
		return nil, order.Errorf(order.Invalid, "receipt_glyphs", "进度凭证暂时无法打印生僻字“%s”，请联系客服 400-666-3999", string(rare.Runes))
	}
	if err != nil {
		return nil, err
	}
	sealer, err := s.Sealer(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	return evidence.SealPDF(pdf, evidence.PDFSeal{Name: s.CA + "签章", Reason: "数字证书办理进度凭证 " + r.OrderNo, At: r.IssuedAt}, sealer)
}

func (s *Server) withdrawReceipt(c *fiber.Ctx) error {
	o, err := s.ownOrder(c)
	if err != nil {
		return err
	}
	if err := s.endReceipt(c.UserContext(), o.ID, c.Params("receipt"), visitorOf(c).Actor(c)); err != nil {
		return err
	}
	return s.goTo(c, "/orders/"+string(o.ID)+"#receipts")
}

// endReceipt withdraws a receipt; its paper goes with it.
func (s *Server) endReceipt(ctx context.Context, id order.ID, receipt string, by order.Actor) error {
	r, err := s.Orders.WithdrawReceipt(ctx, id, receipt, by)
	if err != nil {
		return err
	}
	return s.Objects.Delete(ctx, r.Object())
}

func (s *Server) receiptFile(c *fiber.Ctx) error {
	o, err := s.ownOrder(c)
	if err != nil {
		return err
	}
	return s.sendReceipt(c, o.ID, c.Params("receipt"))
}

func (s *Server) sendReceipt(c *fiber.Ctx, id order.ID, receipt string) error {
	r, err := s.Store.Receipt(c.UserContext(), id, receipt)
	if err != nil {
		return err
	}
	if !r.Holds(s.Now()) {
		return order.Errorf(order.Conflict, "receipt_over", "该进度凭证已撤回或过期，请重新出具")
	}
	return s.sendObject(c, r.Object(), "application/pdf", "progress-receipt.pdf", "办理进度凭证-"+order.TailOf(r.OrderNo)+".pdf")
}

// receiptPurpose is that of a link for the mini-program, like an invoice's.
const receiptPurpose = "receipt"

func (s *Server) receiptLink(ctx context.Context, id order.ID, receipt string) (address string, until time.Time, err error) {
	if _, err := s.Store.Receipt(ctx, id, receipt); err != nil {
		return "", until, err
	}
	ticket, err := s.Tickets.Put(ctx, receiptPurpose, []byte(string(id)+" "+receipt), invoiceLinkLife)
	return s.absolute("/receipts/file/" + ticket), s.Now().Add(invoiceLinkLife), err
}

func (s *Server) receiptByTicket(c *fiber.Ctx) error {
	kept, err := s.Tickets.Peek(c.UserContext(), receiptPurpose, c.Params("ticket"))
	if errors.Is(err, order.NotFound) {
		return order.Errorf(order.NotFound, "receipt_link_expired", "下载链接已失效，请回到订单重新下载")
	}
	if err != nil {
		return err
	}
	var id, receipt string
	if _, err := fmt.Sscan(string(kept), &id, &receipt); err != nil {
		return fmt.Errorf("reading a ticket: %w", err)
	}
	return s.sendReceipt(c, order.ID(id), receipt)
}

// receiptView is what the page says of a code.
type receiptView struct {
	Code  string // as it is printed, or was typed
	Fault string // why it proves nothing
	// Issued is what the receipt said, Now how the order stands; nil when it proves
	// nothing.
	Issued *order.ProgressReceipt
	Now    order.Statement
	Moved  bool // it stands otherwise than the paper says
	Badge  string
	Tone   string
	// Certificates says in plain words what became of them.
	Certificates string
	At           time.Time
}

// receiptForm asks for the code of a paper.
func (s *Server) receiptForm(c *fiber.Ctx) error {
	typed := c.Query("code")
	if code, ok := order.ReceiptCode(typed); ok {
		return c.Redirect("/receipts/"+code, http.StatusSeeOther)
	}
	v := receiptView{Code: typed}
	status := http.StatusOK
	if typed != "" {
		v.Fault, status = "凭证编号应为 20 位字母和数字，请对照纸面重新输入。", http.StatusUnprocessableEntity
	}
	return s.showReceipt(c, status, v)
}

func (s *Server) showReceipt(c *fiber.Ctx, status int, v receiptView) error {
	v.At = s.Now()
	c.Set("X-Robots-Tag", "noindex, nofollow")
	return s.render(c, status, "receipt", "核对办理进度凭证", v)
}

// missesAnHour is how many codes that are none an address may try.
const missesAnHour = 30

// checkReceipt says what a receipt said and how its order stands now.
func (s *Server) checkReceipt(c *fiber.Ctx) error {
	ctx := c.UserContext()
	code, ok := order.ReceiptCode(c.Params("code"))
	r, err := order.ProgressReceipt{}, error(order.NotFound)
	if ok {
		r, err = s.Store.ReceiptByCode(ctx, order.ReceiptHash(code))
	}
	v := receiptView{Code: order.GroupedCode(code)}
	switch {
	case errors.Is(err, order.NotFound):
		if err := allow(ctx, s.Attempts, "receipts:"+s.mac("ip", session.Network(c.IP())), missesAnHour, time.Hour, "查询次数过多，请一小时后再试，或致电 400-666-3999 核实"); err != nil {
			return err
		}
		v.Fault = "没有这个编号的凭证。请核对编号；编号无误的，这份凭证不是本机构出具的，请勿采信。"
		return s.showReceipt(c, http.StatusNotFound, v)
	case err != nil:
		return err
	case !r.WithdrawnAt.IsZero():
		v.Fault = "这份凭证已由申请单位于 " + moment(r.WithdrawnAt) + " 撤回，不能再证明办理进度。"
		return s.showReceipt(c, http.StatusGone, v)
	case !r.Holds(s.Now()):
		v.Fault = "这份凭证已于 " + moment(r.ExpiresAt) + " 过期，请向申请单位索取新的凭证。"
		return s.showReceipt(c, http.StatusGone, v)
	}
	if err := s.stands(ctx, r, &v); err != nil {
		return err
	}
	return s.showReceipt(c, http.StatusOK, v)
}

// stands adds how the order of a receipt stands now.
func (s *Server) stands(ctx context.Context, r order.ProgressReceipt, v *receiptView) error {
	o, err := s.Store.Order(ctx, r.OrderID)
	if err != nil {
		return err
	}
	events, err := s.Store.Events(ctx, r.OrderID)
	if err != nil {
		return err
	}
	certs, err := s.Store.CertificatesOf(ctx, r.OrderID)
	if err != nil {
		return err
	}
	v.Issued, v.Now = &r, order.StatementOf(o, events)
	v.Moved = !v.Now.Equal(r.Statement)
	words, bad := s.wordsOf(certs)
	v.Certificates = words
	switch {
	case !o.Receiptable():
		v.Badge, v.Tone = "不再办理", "bad"
	case bad:
		v.Badge, v.Tone = "证书状态异常", "bad"
	case o.Status == order.Rejected:
		v.Badge, v.Tone = "审核未通过", "warn"
	case o.Status == order.Completed:
		v.Badge, v.Tone = "已办结", "good"
	default:
		v.Badge, v.Tone = "正在办理", "good"
	}
	return nil
}

// wordsOf says how many certificates there are, and which of them hold no longer.
func (s *Server) wordsOf(certs []certificate.Certificate) (words string, bad bool) {
	if len(certs) == 0 {
		return "尚未签发", false
	}
	words = "已签发 " + strconv.Itoa(len(certs)) + " 张"
	for _, kind := range []struct {
		label string
		is    func(certificate.Certificate) bool
	}{
		{"已吊销", func(c certificate.Certificate) bool { return c.State() == certificate.Revoked }},
		{"已冻结", func(c certificate.Certificate) bool { return c.State() == certificate.Frozen }},
		{"已过期", func(c certificate.Certificate) bool { return c.State() == certificate.Valid && c.Expired(s.Now()) }},
	} {
		n := 0
		var last time.Time
		for _, c := range certs {
			if kind.is(c) {
				n++
				if c.RevokedAt.After(last) {
					last = c.RevokedAt
				}
			}
		}
		if n == 0 {
			continue
		}
		bad = true
		words += "，其中 " + strconv.Itoa(n) + " 张" + kind.label
		if !last.IsZero() {
			words += "（" + moment(last) + "）"
		}
	}
	if !bad {
		words += "，均有效"
	}
	return words, bad
}
