package handlers

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store/session"
)

func (s *Server) draftRoutes() {
	s.post("/orders", Browser, s.newDraft)
	s.get("/orders/:id/edit", Browser, s.editPage)
	s.post("/orders/:id/form", Browser, s.postForm)
	s.post("/orders/:id/delete", Browser, s.deleteDraft)
	s.post("/orders/:id/reopen", Applicant, s.reopen)
	s.post("/orders/:id/bid-reminder", Applicant, s.remindAfterBid)
	s.get("/orders/:id/letter.pdf", Browser, s.letter)
	s.get("/orders/:id/confirm", Browser, s.confirmPage)
	s.post("/orders/:id/code", Browser, s.confirmCode)
	s.post("/orders/:id/confirm", Browser, s.confirm)
}

// newDraft starts an application.
func (s *Server) newDraft(c *fiber.Ctx) error {
	if c.FormValue("certificate") != "" {
		return s.newAbout(c)
	}
	p, err := s.Orders.Catalogue().Product(c.FormValue("product"))
	if err != nil {
		return err
	}
	o, err := s.startDraft(c, visitorOf(c), p)
	if err != nil {
		return err
	}
	return c.Redirect("/orders/"+string(o.ID)+"/edit", http.StatusSeeOther)
}

// startDraft makes an empty application. A login's mobile is filled in already.
func (s *Server) startDraft(c *fiber.Ctx, v Visitor, p order.Product) (order.Order, error) {
	form := order.DefaultForm()
	if v.PersonID() != "" {
		person, err := s.Store.Person(c.UserContext(), v.PersonID())
		if err != nil {
			return order.Order{}, err
		}
		form = form.With(order.AgentMobile, person.Mobile.Reveal())
	} else if s.MaxDrafts > 0 { // whoever throws his cookie away is a new browser each time
		err := allow(c.UserContext(), s.Attempts, "drafts:"+s.mac("ip", session.Network(c.IP())), 3*s.MaxDrafts, time.Hour, "您所在的网络一小时内新建的申请过多，请先登录，或一小时后再试")
		if err != nil {
			return order.Order{}, err
		}
	}
	return s.Orders.Apply(c.UserContext(), "", order.Command{On: order.Save, By: v.Actor(c), DraftToken: v.DraftToken(), Product: p.Code, Form: form})
}

// editable says how the form of an order may be used now.
func (s *Server) editable(o order.Order) (fixing bool, err error) {
	switch action := o.Guide(s.Now()).Action; action {
	case order.ActionContinue:
		return false, nil
	case order.ActionFix:
		return true, nil
	default:
		return false, s.notEditable(o)
	}
}

func (s *Server) notEditable(o order.Order) error {
	return order.Errorf(order.Conflict, "not_editable", "订单当前为「%s」，不能再修改，请在「我的订单」查看进度和可以办理的事项", o.Guide(s.Now()).State)
}

func (s *Server) editPage(c *fiber.Ctx) error {
	o, err := s.ownOrder(c)
	if err != nil {
		return err
	}
	fixing, err := s.editable(o)
	if err != nil { // an old link or the back button
		return c.Redirect(s.placeOf(o), http.StatusSeeOther)
	}
	if !fixing {
		return s.showForm(c, http.StatusOK, s.formView(o, o.Form, nil, false))
	}
	view, _, err := s.fixView(c.UserContext(), o, visitorOf(c).Actor(c), o.Form, nil)
	if err != nil {
		return err
	}
	return s.showForm(c, http.StatusOK, view)
}

// placeOf is the page where an order goes on.
func (s *Server) placeOf(o order.Order) string {
	if a := o.Guide(s.Now()).Action; a != order.NoAction {
		return actionURL(o.ID, a)
	}
	return actionURL(o.ID, order.ActionView)
}

func (s *Server) showForm(c *fiber.Ctx, status int, v formView) error {
	if err := s.addCertificate(c.UserContext(), &v); err != nil {
		return err
	}
	return s.render(c, status, "edit", v.Order.Product.Name, v)
}

// postForm takes the form: saves it by itself (auto) or on demand, changes the
// product lines, or submits.
func (s *Server) postForm(c *fiber.Ctx) error {
	defer s.alone(order.ID(c.Params("id")))()
	o, err := s.ownOrder(c)
	if err != nil {
		return err
	}
	fixing, err := s.editable(o)
	if err != nil {
		if s.sentBefore(c, o) {
			return s.goTo(c, s.placeOf(o))
		}
		return err
	}
	form := s.postedForm(c, o, fixing)
	if fixing {
		return s.postFix(c, o, form)
	}
	do, was := c.FormValue("do"), drawnOf(c)
	lines, term := postedLines(c, o, do)
	lines, term = was.mergeLines(lines, term, o)
	stands, faults := order.Normalize(o.Product, form, s.Now().In(order.Shanghai))
	typed, faults := order.Normalize(o.Product, was.merge(stands, o.Form, faults), s.Now().In(order.Shanghai))
	saved, err := s.Orders.Apply(c.UserContext(), o.ID, order.Command{
		On: order.Save, By: visitorOf(c).Actor(c), DraftToken: visitorOf(c).DraftToken(),
		Product: o.Product.Code, Term: term, Lines: lines, Form: without(typed, faults),
	})
	lineFault, ok := order.AsError(err)
	if err != nil && (!ok || lineFault.Kind != order.Invalid) {
		return err
	}
	if err != nil { // only the product lines can still be wrong
		o.Lines = lines
		saved = o
	}
	typed = typed.WithOurs(saved.Form)
	agreed := c.FormValue("agree") == "yes"
	if do == "submit" && err == nil {
		to := "/orders/" + string(o.ID) + "/confirm"
		faults = order.CheckForm(saved.Product, typed, s.Now().In(order.Shanghai))
		if agreesOnForm(saved, false) {
			if to += "?agreed=yes"; !agreed {
				faults = append(faults, order.FieldError{Field: "agree", Detail: "请先阅读并勾选同意协议"})
			}
		}
		if len(faults) == 0 {
			return s.goTo(c, to)
		}
	}
	view := s.formView(saved, typed, faults, false)
	view.Agreed, view.Stands = agreed, &stands
	if err != nil {
		view.LineFault, view.Unsaved = lineFault.Detail, &was
	} else {
		view.Saved = s.Now()
	}
	return s.answerForm(c, view, do)
}

// sentBefore reports whether the form was submitted as it is, by a page that still shows it.
func (s *Server) sentBefore(c *fiber.Ctx, o order.Order) bool {
	typed, faults := order.Normalize(o.Product, s.postedForm(c, o, true), s.Now().In(order.Shanghai))
	return o.Refund == order.NoRefund && c.FormValue("do") == "submit" && len(faults) == 0 && typed.Equal(o.Form)
}

// answerForm shows what a post of the form led to: the parts that changed for a
// script, the whole page otherwise.
func (s *Server) answerForm(c *fiber.Ctx, view formView, do string) error {
	if c.Get("HX-Request") == "true" && do != "submit" {
		view.Redraw = redrawn(order.Field(c.Get("X-Changed")), do, view.Order.NeedsCertificate())
		if err := s.addCertificate(c.UserContext(), &view); err != nil {
			return err
		}
		return s.render(c, http.StatusOK, "partials/autosave", "", view)
	}
	status := http.StatusOK
	view.Stands = nil
	if view.Summary = view.Faults; len(view.Faults) > 0 || view.LineFault != "" {
		status = http.StatusUnprocessableEntity
	}
	return s.showForm(c, status, view)
}

// goTo leads to another page after a post, with and without a script.
func (s *Server) goTo(c *fiber.Ctx, to string) error {
	if c.Get("HX-Request") == "true" {
		c.Set("HX-Redirect", to)
		return c.SendStatus(http.StatusNoContent)
	}
	return c.Redirect(to, http.StatusSeeOther)
}

// postFix takes the form of a rejected order (F95, F96): product and quantity are
// locked, nothing is saved before it is resubmitted, a new mobile is proven.
func (s *Server) postFix(c *fiber.Ctx, o order.Order, form order.Form) error {
	typed, faults := order.Normalize(o.Product, form, s.Now().In(order.Shanghai))
	do, by := c.FormValue("do"), visitorOf(c).Actor(c)
	view, fix, err := s.fixView(c.UserContext(), o, by, typed, faults)
	if err != nil {
		return err
	}
	if do != "submit" {
		return s.answerForm(c, view, do)
	}
	refuse := func(err error) error { // what only the order itself knows, too, as that a letter is out of date
		e, ok := order.AsError(err)
		if !ok || len(e.Fields) == 0 {
			return err
		}
		v := s.formView(o, fix.Form, e.Fields, true)
		v.MobileChanged = fix.NeedsCode
		return s.answerForm(c, v, do)
	}
	if fix.Refusal != nil {
		return refuse(fix.Refusal)
	}
	cmd := order.Command{On: order.Resubmit, By: by, Form: fix.Form}
	if fix.NeedsCode {
		err := s.Codes.Verify(c.UserContext(), confirmChallenge(c, o, fix.Form), c.FormValue("code"))
		if detail, ok := correctable(err); ok {
			view.Code.Error, view.Faults = detail, []order.FieldError{{Field: order.AgentMobile, Detail: "手机号已修改，请获取并填写短信验证码"}}
			return s.answerForm(c, view, do)
		}
		if err != nil {
			return err
		}
		cmd.Proven = []order.Fact{order.MobileProven}
	}
	done, err := s.Orders.Apply(c.UserContext(), o.ID, cmd)
	if err != nil {
		return refuse(err)
	}
	if err := s.follow(c, done); err != nil {
		return err
	}
	return s.goTo(c, "/orders/"+string(o.ID))
}

// follow logs the visitor in as the person whose mobile the order now proves (F19).
func (s *Server) follow(c *fiber.Ctx, o order.Order) error {
	if o.PersonID == visitorOf(c).PersonID() {
		return nil
	}
	return s.login(c, session.Session{Kind: session.Applicant, PersonID: o.PersonID})
}

func (s *Server) deleteDraft(c *fiber.Ctx) error {
	o, err := s.ownOrder(c)
	if err != nil {
		return err
	}
	v := visitorOf(c)
	if _, err := s.Orders.Delete(c.UserContext(), o.ID, v.Actor(c), v.DraftToken()); err != nil {
		return err
	}
	if v.PersonID() == "" {
		return s.goTo(c, "/")
	}
	return s.goTo(c, "/orders")
}

// reopen takes an unpaid order back to the form (lifecycle.md row 7).
func (s *Server) reopen(c *fiber.Ctx) error {
	o, err := s.ownOrder(c)
	if err != nil {
		return err
	}
	if _, err := s.Orders.Edit(c.UserContext(), o.ID, visitorOf(c).Actor(c)); err != nil {
		return err
	}
	return s.goTo(c, "/orders/"+string(o.ID)+"/edit")
}

// postedForm is the form as typed. A draft has its pictures already; an order that
// is being put right takes them by references that we signed for it and the
// field, and keeps the stored picture without one.
func (s *Server) postedForm(c *fiber.Ctx, o order.Order, fixing bool) order.Form {
	values := map[order.Field]string{}
	for _, spec := range order.Fields {
		v := strings.TrimSpace(c.FormValue(string(spec.Name)))
		switch {
		case spec.Input == order.Image:
			values[spec.Name] = o.Form.Get(spec.Name)
			if id, ok := s.pictureOf(o.ID, spec.Name, v); ok && fixing {
				values[spec.Name] = id
			}
		case spec.Input == order.Switch && v == "" && spec.IsAsked(o.Product, o.Form):
			values[spec.Name] = order.No // an unticked box sends nothing
		case v == "" && !posted(c, spec.Name):
			values[spec.Name] = o.Form.Get(spec.Name) // the form did not show it
		default:
			values[spec.Name] = v
		}
	}
	form := order.NewForm(values).WithOurs(o.Form)
	if fixing {
		form = form.WithPriced(o.Form)
	}
	return form
}

func posted(c *fiber.Ctx, f order.Field) bool { return c.Request().PostArgs().Has(string(f)) }

// without drops the values that have a fault: what is kept is always well formed.
func without(f order.Form, faults []order.FieldError) order.Form {
	for _, fault := range faults {
		f = f.With(fault.Field, "")
	}
	return f
}

// maxLines is how many product lines are read, as in the API: no two have one seal, and
// there are fewer seals.
const maxLines = 8

// postedLines are the product lines and the term as chosen, after the button
// that was pressed: add-line or remove-line:N.
func postedLines(c *fiber.Ctx, o order.Order, do string) ([]order.Line, int) {
	term, err := strconv.Atoi(c.FormValue("term"))
	if err != nil {
		term = o.Product.Term
	}
	seals, quantities := c.Request().PostArgs().PeekMulti("seal"), c.Request().PostArgs().PeekMulti("quantity")
	if len(quantities) == 0 {
		return o.Lines, term
	}
	var lines []order.Line
	for i, q := range quantities[:min(len(quantities), maxLines)] {
		typed := strings.TrimRight(strings.TrimSpace(identity.HalfWidth(string(q))), " 把个支套张") // 2 把
		n, err := strconv.Atoi(typed)
		if err != nil || len(typed) > 4 {
			n = 0 // refused by the domain with a sentence
		}
		l := order.Line{Quantity: n}
		if i < len(seals) {
			l.Seal = order.Seal(seals[i])
		}
		lines = append(lines, l)
	}
	if drop, ok := strings.CutPrefix(do, "remove-line:"); ok && len(lines) > 1 { // F4: at least one line stays
		if i, err := strconv.Atoi(drop); err == nil && i >= 0 && i < len(lines) {
			lines = slices.Delete(lines, i, i+1)
		}
	}
	if free := freeSeals(o.Product, lines); do == "add-line" && len(free) > 0 {
		lines = append(lines, order.Line{Seal: free[0], Quantity: 1})
	}
	return lines, term
}

// freeSeals are the seal types that no line has yet.
func freeSeals(p order.Product, lines []order.Line) []order.Seal {
	return slices.DeleteFunc(slices.Clone(p.Seals), func(s order.Seal) bool {
		return slices.ContainsFunc(lines, func(l order.Line) bool { return l.Seal == s })
	})
}
