package handlers

import (
	"context"
	"encoding/csv"
	"io"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

// cabinetService keeps the cabinet (钥匙柜); *certificate.Service.
type cabinetService interface {
	ForeignOf(ctx context.Context, personID string) ([]certificate.Foreign, error)
	Cabinet(ctx context.Context, personID string) (certificate.Cabinet, error)
	OwnToken(ctx context.Context, id, personID string) (certificate.Token, error)
	AddForeign(ctx context.Context, f certificate.Foreign, by order.Actor) (certificate.Foreign, error)
	ChangeForeign(ctx context.Context, f certificate.Foreign, by order.Actor) error
	DropForeign(ctx context.Context, id string, by order.Actor) error
	EmptyCabinet(ctx context.Context, by order.Actor) error
	LoansOut(ctx context.Context, personID string) ([]certificate.Loan, error)
	Loans(ctx context.Context, personID, token string, after order.Cursor, limit int) (certificate.LoanPage, error)
	Lend(ctx context.Context, l certificate.Loan, by order.Actor) error
	GiveBack(ctx context.Context, token, id string, by order.Actor) error
	ForgetLoan(ctx context.Context, token, id string, by order.Actor) error
}

func (s *Server) cabinetRoutes() {
	s.get("/cabinet/new", Applicant, s.newForeign)
	s.post("/cabinet/new", Applicant, s.addForeign)
	s.post("/cabinet/read", Applicant, s.readForeign)
	one := "/cabinet/:token"
	s.get(one, Applicant, s.showToken)
	s.get(one+"/log.csv", Applicant, s.sendLog)
	s.post(one+"/lend", Applicant, s.lend)
	s.post(one+"/loans/:loan/return", Applicant, s.bringBack)
	s.post(one+"/loans/:loan/delete", Applicant, s.forgetLoan)
	s.get(one+"/edit", Applicant, s.editForeign)
	s.post(one+"/edit", Applicant, s.changeForeign)
	s.post(one+"/delete", Applicant, s.dropForeign)
}

// loanView is who has a USBKEY, for whoever looks after it.
type loanView struct {
	certificate.Loan
	Light certificate.Light
	Says  string // 王小琪（工程部），应于 12月3日 归还
}

func viewOfLoan(l certificate.Loan, now time.Time) loanView {
	v := loanView{l, certificate.Yellow, l.Borrower.Reveal()}
	if l.Department != "" {
		v.Says += "（" + l.Department + "）"
	}
	v.Says += "，应于 " + order.Day(l.DueAt) + " 归还"
	if l.Overdue(now) {
		v.Light = certificate.Red
		v.Says += "，已超过 " + strconv.Itoa(-(certificate.Certificate{NotAfter: l.DueAt}).DaysLeft(now)) + " 天"
	}
	return v
}

// outOf is who has a USBKEY; nil when it is where it belongs.
func outOf(out []certificate.Loan, token string, now time.Time) *loanView {
	for _, l := range out {
		if l.Token == token {
			v := viewOfLoan(l, now)
			return &v
		}
	}
	return nil
}

// foreignView is the card of a USBKEY of another CA.
type foreignView struct {
	certificate.Foreign
	Standing string
	Good     bool
	Loan     *loanView
}

func foreignViews(all []certificate.Foreign, out []certificate.Loan, now time.Time) (views []foreignView) {
	for _, f := range all {
		v := foreignView{Foreign: f, Standing: "已过期", Loan: outOf(out, f.ID, now)}
		if !now.After(f.NotAfter) {
			v.Standing, v.Good = daysAhead(f.NotAfter, now)+"到期", f.NotAfter.Sub(now) > 30*24*time.Hour
		}
		views = append(views, v)
	}
	return views
}

// tokenView is the page of a USBKEY: who has it now, who takes it, who had it.
type tokenView struct {
	Token certificate.Token
	Out   *loanView
	Past  []certificate.Loan
	Next  string
	First bool // page of the log
	Typed lendForm
	refusedForm
}

// refusedForm is why a form was refused, and what is wrong by field.
type refusedForm struct {
	Error  string
	Faults map[string]string
}

func refusedFor(e *order.Error) refusedForm { return refusedForm{e.Detail, faultsByField(e)} }

// faultsByField are the sentences to show beside the fields of a form.
func faultsByField(e *order.Error) map[string]string {
	faults := map[string]string{}
	for _, f := range e.Fields {
		faults[string(f.Field)] = f.Detail
	}
	return faults
}

// lendForm is what somebody typed about a loan.
type lendForm struct {
	Borrower   string `json:"borrower" maxLength:"60" example:"王小琪"`
	Department string `json:"department,omitempty" maxLength:"60" example:"工程部"`
	Purpose    string `json:"purpose" maxLength:"120" example:"三期风电投标"`
	Due        string `json:"due" maxLength:"10" doc:"Day on which it is due back, in Shanghai" example:"2026-12-20"`
}

func (s *Server) showToken(c *fiber.Ctx) error { return s.tokenPage(c, http.StatusOK, tokenView{}) }

func (s *Server) tokenPage(c *fiber.Ctx, status int, v tokenView) error {
	ctx, me := c.UserContext(), visitorOf(c).PersonID()
	after, err := parseCursor(c.Query("after"))
	if err != nil {
		return err
	}
	if v.Token, err = s.Status.OwnToken(ctx, c.Params("token"), me); err != nil {
		return err
	}
	out, err := s.Status.LoansOut(ctx, me)
	if err != nil {
		return err
	}
	page, err := s.Status.Loans(ctx, me, v.Token.ID, after, pageSize)
	if err != nil {
		return err
	}
	v.Out, v.First = outOf(out, v.Token.ID, s.Now()), after == order.Cursor{}
	v.Past = slices.DeleteFunc(page.Loans, certificate.Loan.Out)
	v.Next = link("/cabinet/"+v.Token.ID+"?after=", page.Next)
	return s.render(c, status, "cabinet", "领用登记", v)
}

func (s *Server) lend(c *fiber.Ctx) error {
	typed := lendForm{c.FormValue("borrower"), c.FormValue("department"), c.FormValue("purpose"), c.FormValue("due")}
	err := s.lendTo(c, c.Params("token"), visitorOf(c), typed)
	if refusal, ok := order.AsError(err); ok && refusal.Kind != order.NotFound {
		return s.tokenPage(c, http.StatusUnprocessableEntity, tokenView{Typed: typed, refusedForm: refusedFor(refusal)})
	}
	if err != nil {
		return err
	}
	return s.goTo(c, "/cabinet/"+c.Params("token"))
}

// lendTo writes down what somebody typed.
func (s *Server) lendTo(c *fiber.Ctx, token string, v Visitor, typed lendForm) error {
	l := certificate.Loan{Token: token, Department: typed.Department, Purpose: typed.Purpose}
	if strings.TrimSpace(typed.Borrower) != "" {
		var err error
		if l.Borrower, err = identity.ParsePersonName(typed.Borrower); err != nil {
			return order.Errorf(order.Invalid, "borrower_invalid", "请填写领用人的真实姓名").About("borrower")
		}
	}
	var ok bool
	if l.DueAt, ok = certificate.LastOf(typed.Due); !ok {
		return order.Errorf(order.Invalid, "day_invalid", "归还日格式应为 2026-12-20").About("due")
	}
	if err := s.cabinetChange(c, v); err != nil {
		return err
	}
	return s.Status.Lend(c.UserContext(), l, v.Actor(c))
}

// cabinetChange bounds how often somebody changes his cabinet.
func (s *Server) cabinetChange(c *fiber.Ctx, v Visitor) error {
	return allow(c.UserContext(), s.Attempts, "cabinet:"+v.PersonID(), 120, time.Hour, "一小时内登记的次数过多，请稍后再试")
}

func (s *Server) bringBack(c *fiber.Ctx) error {
	if err := s.Status.GiveBack(c.UserContext(), c.Params("token"), c.Params("loan"), visitorOf(c).Actor(c)); err != nil {
		return err
	}
	return s.goTo(c, "/cabinet/"+c.Params("token"))
}

func (s *Server) forgetLoan(c *fiber.Ctx) error {
	if err := s.Status.ForgetLoan(c.UserContext(), c.Params("token"), c.Params("loan"), visitorOf(c).Actor(c)); err != nil {
		return err
	}
	return s.goTo(c, "/cabinet/"+c.Params("token"))
}

// sendLog is the log of a USBKEY as a table for a spreadsheet.
func (s *Server) sendLog(c *fiber.Ctx) error {
	ctx, me := c.UserContext(), visitorOf(c).PersonID()
	token, err := s.Status.OwnToken(ctx, c.Params("token"), me)
	if err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString("\ufeff") // or Excel reads GBK
	w := csv.NewWriter(&b)
	w.UseCRLF = true // RFC 4180
	rows := [][]string{{"UKEY", "领用人", "部门", "用途", "领用时间", "应归还日", "归还时间"}}
	for l, err := range s.loans(ctx, me, token.ID) {
		if err != nil {
			return err
		}
		back := ""
		if !l.Out() {
			back = moment(l.ReturnedAt)
		}
		rows = append(rows, []string{token.Name, l.Borrower.Reveal(), l.Department, l.Purpose, moment(l.LentAt), day(l.DueAt), back})
	}
	for _, row := range rows {
		for i := range row {
			row[i] = inert(row[i])
		}
		if err := w.Write(row); err != nil {
			return err
		}
	}
	w.Flush()
	attachment(c, "text/csv; charset=utf-8", "usbkey-log.csv", "领用登记.csv")
	return c.SendString(b.String())
}

// loans is the log of a USBKEY, or of all when token is empty.
func (s *Server) loans(ctx context.Context, personID, token string) iter.Seq2[certificate.Loan, error] {
	return order.Each(func(after order.Cursor) ([]certificate.Loan, order.Cursor, error) {
		page, err := s.Status.Loans(ctx, personID, token, after, copyPage)
		return page.Loans, page.Next, err
	})
}

// inert keeps a spreadsheet from taking what somebody typed for a formula (OWASP, CSV
// injection).
func inert(cell string) string {
	if half := identity.HalfWidth(cell); half != "" && strings.ContainsRune("=+-@\t\r\n", rune(half[0])) { // ＝, too
		return "'" + cell
	}
	return cell
}

// foreignForm is what somebody typed about a USBKEY of another CA.
type foreignForm struct {
	Label  string `json:"label" maxLength:"120" doc:"As its person calls it" example:"省公共资源交易中心 CA 锁"`
	Issuer string `json:"issuer" maxLength:"120" doc:"The CA"`
	Holder string `json:"holder,omitempty" maxLength:"120" doc:"Whose certificate it is"`
	Number string `json:"number,omitempty" maxLength:"120" doc:"Serial of the USBKEY or of the certificate"`
	Ends   string `json:"ends" maxLength:"10" doc:"Last day of the certificate, in Shanghai" example:"2027-05-31"`
}

func formOfForeign(f certificate.Foreign) foreignForm {
	return foreignForm{f.Label, f.Issuer, f.Holder, f.Number, f.NotAfter.In(order.Shanghai).Format(time.DateOnly)}
}

func (f foreignForm) foreign() (certificate.Foreign, error) {
	end, ok := certificate.LastOf(f.Ends)
	if !ok {
		return certificate.Foreign{}, order.Errorf(order.Invalid, "day_invalid", "到期日格式应为 2026-12-20").About("ends")
	}
	return certificate.Foreign{Label: f.Label, Issuer: f.Issuer, Holder: f.Holder, Number: f.Number, NotAfter: end}, nil
}

// foreignPage is the form of a USBKEY of another CA.
type foreignPage struct {
	ID    string // empty for a new one
	Typed foreignForm
	Read  bool // from the file of a certificate
	refusedForm
}

func (s *Server) foreignPage(c *fiber.Ctx, status int, v foreignPage) error {
	return s.render(c, status, "foreign", "其他 CA 的 UKEY", v)
}

func (s *Server) newForeign(c *fiber.Ctx) error {
	return s.foreignPage(c, http.StatusOK, foreignPage{})
}

// readForeign fills in the form from the file of a certificate.
func (s *Server) readForeign(c *fiber.Ctx) error {
	f, err := readUploaded(c)
	if err == nil {
		return s.foreignPage(c, http.StatusOK, foreignPage{Typed: f, Read: true})
	}
	refusal, ok := order.AsError(err)
	if !ok {
		return err
	}
	return s.foreignPage(c, http.StatusUnprocessableEntity, foreignPage{refusedForm: refusedFor(refusal)})
}

// readUploaded is what the certificate in the file of a request says. The file is not kept.
func readUploaded(c *fiber.Ctx) (foreignForm, error) {
	head, err := c.FormFile("file")
	if err != nil || head.Size > maxCertificateFile {
		return foreignForm{}, errNoCertificate
	}
	file, err := head.Open()
	if err != nil {
		return foreignForm{}, err
	}
	defer func() { _ = file.Close() }()
	raw, err := io.ReadAll(file)
	if err != nil {
		return foreignForm{}, err
	}
	f, err := readCertificate(raw)
	return formOfForeign(f), err
}

func typedForeign(c *fiber.Ctx) foreignForm {
	return foreignForm{c.FormValue("label"), c.FormValue("issuer"), c.FormValue("holder"), c.FormValue("number"), c.FormValue("ends")}
}

func (s *Server) addForeign(c *fiber.Ctx) error {
	typed := typedForeign(c)
	_, err := s.registerForeign(c, visitorOf(c), typed)
	return s.keptForeign(c, foreignPage{Typed: typed}, err)
}

func (s *Server) registerForeign(c *fiber.Ctx, v Visitor, typed foreignForm) (certificate.Foreign, error) {
	f, err := typed.foreign()
	if err != nil {
		return f, err
	}
	if err := s.cabinetChange(c, v); err != nil {
		return f, err
	}
	return s.Status.AddForeign(c.UserContext(), f, v.Actor(c))
}

// keptForeign goes back to 我的证书, or says what was wrong with what was typed.
func (s *Server) keptForeign(c *fiber.Ctx, v foreignPage, err error) error {
	if refusal, ok := order.AsError(err); ok && refusal.Kind != order.NotFound {
		v.refusedForm = refusedFor(refusal)
		return s.foreignPage(c, http.StatusUnprocessableEntity, v)
	}
	if err != nil {
		return err
	}
	return s.goTo(c, "/certificates")
}

func (s *Server) editForeign(c *fiber.Ctx) error {
	t, err := s.Status.OwnToken(c.UserContext(), c.Params("token"), visitorOf(c).PersonID())
	if err != nil {
		return err
	}
	if t.Foreign == nil {
		return order.Errorf(order.NotFound, "token_not_found", "没有找到这把 UKEY，请在「我的证书」中查看")
	}
	return s.foreignPage(c, http.StatusOK, foreignPage{ID: t.ID, Typed: formOfForeign(*t.Foreign)})
}

func (s *Server) changeForeign(c *fiber.Ctx) error {
	typed := typedForeign(c)
	return s.keptForeign(c, foreignPage{ID: c.Params("token"), Typed: typed}, s.rewriteForeign(c, visitorOf(c), c.Params("token"), typed))
}

func (s *Server) rewriteForeign(c *fiber.Ctx, v Visitor, id string, typed foreignForm) error {
	f, err := typed.foreign()
	if err != nil {
		return err
	}
	if err := s.cabinetChange(c, v); err != nil {
		return err
	}
	f.ID = id
	return s.Status.ChangeForeign(c.UserContext(), f, v.Actor(c))
}

func (s *Server) dropForeign(c *fiber.Ctx) error {
	if err := s.Status.DropForeign(c.UserContext(), c.Params("token"), visitorOf(c).Actor(c)); err != nil {
		return err
	}
	return s.goTo(c, "/certificates")
}
