package handlers

import (
	"errors"
	"net/http"
	"slices"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store/session"
	"github.com/yuncaidun/yuncaidun/templates/letter"
)

// letter is the prefilled authorisation letter (F37, F39). It needs what it
// prints, an e-mail included (G33).
func (s *Server) letter(c *fiber.Ctx) error {
	o, err := s.ownOrder(c)
	if err != nil {
		return err
	}
	return s.sendLetter(c, o, visitorOf(c).Actor(c))
}

func (s *Server) sendLetter(c *fiber.Ctx, o order.Order, by order.Actor) error {
	if fixing, err := s.editable(o); err == nil && fixing { // it names the mobile that the order will have
		fix, err := s.Orders.Correct(c.UserContext(), o.ID, by, o.Form)
		if err != nil {
			return err
		}
		o.Form = fix.Form
	}
	company := o.Form.Get(order.OrgName)
	if cert, err := s.aboutOf(c.UserContext(), o); err != nil {
		return err
	} else if cert != nil { // an unlock's form does not name it (F84)
		company = cert.Holder
	}
	needs := []order.Field{order.AgentName, order.AgentMobile, order.AgentEmail}
	if o.Certificate == "" {
		needs = append([]order.Field{order.OrgName}, needs...)
	}
	var missing []order.FieldError
	for _, f := range needs {
		if o.Form.Get(f) == "" {
			missing = append(missing, order.FieldError{Field: f, Detail: "请填写" + f.Label()})
		}
	}
	if len(missing) > 0 {
		return &order.Error{Kind: order.Invalid, Code: "letter_incomplete", Detail: "下载授权书前，请先在表单中填写以下内容", Fields: missing}
	}
	pdf, err := letter.PDF(s.Font, letter.Blanks{
		CA: s.CA, Company: company, Agent: o.Form.Get(order.AgentName),
		Mobile: o.Form.Get(order.AgentMobile), Email: o.Form.Get(order.AgentEmail), Date: s.Now(),
	})
	if rare, ok := errors.AsType[letter.MissingGlyphs](err); ok {
		return order.Errorf(order.Invalid, "letter_glyphs", "%s", rare.Detail())
	}
	if err != nil {
		return err
	}
	attachment(c, "application/pdf", "authorization-letter.pdf", "实名认证申请授权书.pdf")
	return c.Send(pdf)
}

type confirmView struct {
	Order  order.Order
	About  *certificate.Certificate
	Groups []groupView
	Lines  []lineView
	Texts  []legalText
	Mobile string // masked
	Code   codeView
	Error  string
	Agreed bool
	Asking bool // the SMS dialog is open
	Moved  bool // what it costs, or when it is promised for, is not what the form said
}

// offer is a draft as it is sold today. It is none of what lacks something, or is no longer
// sold so: whoever wants to confirm that is sent back to the form, which says what it is.
func (s *Server) offer(draft order.Order) (order.Order, bool) {
	o, err := s.Orders.Offer(draft)
	return o, err == nil && o.Guide(s.Now()).Action == order.ActionContinue && len(order.CheckForm(o.Product, o.Form, s.Now().In(order.Shanghai))) == 0
}

// confirmPage shows everything once more, in the clear: it is the applicant's
// own form and the last chance to see a mistake (F54).
func (s *Server) confirmPage(c *fiber.Ctx) error {
	o, err := s.ownOrder(c)
	if err != nil {
		return err
	}
	view, ok := s.confirmView(o)
	if !ok {
		return c.Redirect(s.placeOf(o), http.StatusSeeOther)
	}
	view.Agreed = agreesOnForm(o, false) && c.Query("agreed") == "yes"
	return s.showConfirm(c, http.StatusOK, view)
}

func (s *Server) showConfirm(c *fiber.Ctx, status int, v confirmView) error {
	var err error
	if v.About, err = s.aboutOf(c.UserContext(), v.Order); err != nil {
		return err
	}
	return s.render(c, status, "confirm", "确认信息", v)
}

// confirmView shows the offer for a draft, if there is one.
func (s *Server) confirmView(draft order.Order) (confirmView, bool) {
	o, ok := s.offer(draft)
	if !ok {
		return confirmView{}, false
	}
	return confirmView{
		Order: o, Lines: lineViews(o), Groups: s.summary(o, order.Form.Get), Texts: s.texts,
		Mobile: o.Mobile().Mask(), Code: codeView{URL: "/orders/" + string(o.ID) + "/code"}, Moved: o.Hash() != draft.Hash(),
	}, true
}

// summary lists the filled fields of an order for reading; get tells whether in
// the clear or masked.
func (s *Server) summary(o order.Order, get func(order.Form, order.Field) string) []groupView {
	var groups []groupView
	for _, g := range order.Groups {
		gv := groupView{ID: g, Label: g.Label()}
		for _, spec := range order.Fields {
			value := get(o.Form, spec.Name)
			if spec.Group != g || value == "" || !spec.IsAsked(o.Product, o.Form) {
				continue
			}
			f := fieldView{Name: spec.Name, Label: spec.LabelFor(o.Form), Input: spec.Input, Value: labelOf(spec, value)}
			if spec.Input == order.Image {
				f.Picture = s.pictureView(o.ID, spec.Name, o.Form.Get(spec.Name))
			}
			gv.Fields = append(gv.Fields, f)
		}
		if len(gv.Fields) > 0 {
			groups = append(groups, gv)
		}
	}
	return groups
}

// labelOf is a value as people read it.
func labelOf(spec order.FieldSpec, value string) string {
	if i := slices.IndexFunc(spec.Options, func(o order.Option) bool { return o.Value == value }); i >= 0 {
		return spec.Options[i].Label
	}
	return value
}

// confirmChallenge binds the code to the order and the mobile on its form.
func confirmChallenge(c *fiber.Ctx, o order.Order, f order.Form) session.Challenge {
	return session.Challenge{Purpose: codeConfirm, Mobile: identity.NewMobile(f.Get(order.AgentMobile)), Subject: string(o.ID), IP: c.IP()}
}

// confirmCode sends the code of F55: to the 经办人 mobile of a complete draft, or
// to the new mobile of an order that is being put right.
func (s *Server) confirmCode(c *fiber.Ctx) error {
	o, err := s.ownOrder(c)
	if err != nil {
		return err
	}
	view, form := codeView{URL: "/orders/" + string(o.ID) + "/code"}, o.Form
	fixing, err := s.editable(o)
	if err != nil {
		return err
	}
	if fixing {
		m, err := identity.ParseMobile(c.FormValue(string(order.AgentMobile)))
		if err != nil {
			view.Error = err.Error()
			return s.render(c, http.StatusOK, "partials/code", "", view)
		}
		form = form.With(order.AgentMobile, m.Reveal())
	} else if _, ok := s.offer(o); !ok {
		return formIncomplete()
	}
	return s.sendCode(c, confirmChallenge(c, o, form), view)
}

// confirm is the applicant's word: agreement ticked, mobile proven (F52–F56).
func (s *Server) confirm(c *fiber.Ctx) error {
	defer s.alone(order.ID(c.Params("id")))() // pressed twice, the code is good for the first
	o, err := s.ownOrder(c)
	if err != nil {
		return err
	}
	view, ok := s.confirmView(o)
	if !ok { // also when it was confirmed a moment ago
		return s.goTo(c, s.placeOf(o))
	}
	view.Agreed = c.FormValue("agree") == "yes"
	again := func(detail string) error {
		view.Error = detail
		return s.showConfirm(c, http.StatusUnprocessableEntity, view)
	}
	if !view.Agreed {
		return again("请先阅读并勾选同意协议")
	}
	read := c.FormValue("offer")
	if read != view.Order.Hash() {
		return again(order.FormChanged.Detail + "。")
	}
	err = s.Codes.Verify(c.UserContext(), confirmChallenge(c, o, o.Form), c.FormValue("code"))
	if detail, ok := correctable(err); ok {
		view.Asking, view.Code.Error = true, detail
		return s.showConfirm(c, http.StatusUnprocessableEntity, view)
	}
	if err != nil {
		return err
	}
	done, err := s.Orders.Apply(c.UserContext(), o.ID, order.Command{
		On: order.Confirm, By: visitorOf(c).Actor(c), DraftToken: visitorOf(c).DraftToken(),
		Consent: s.consent(c), Snapshot: read, Proven: []order.Fact{order.MobileProven},
	})
	if errors.Is(err, order.FormChanged) { // since it was read here
		return s.goTo(c, "/orders/"+string(o.ID)+"/confirm")
	}
	if err != nil {
		return err
	}
	if err := s.follow(c, done); err != nil {
		return err
	}
	return s.goTo(c, s.placeOf(done))
}
