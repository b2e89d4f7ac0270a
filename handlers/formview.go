package handlers

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/order"
)

// formView is the application form as the page shows it.
type formView struct {
	Order         order.Order
	Fixing        bool        // a rejected order is being put right
	Fixed         bool        // product lines are not the applicant's to change
	Texts         []legalText // a renewal's are agreed to on the form (F52)
	Agreed        bool
	AuthStands    bool // the earlier authorisation speaks for this order too
	Lines         []lineView
	LineFault     string
	CanAdd        bool
	Terms         []choice
	About         *certificate.Certificate
	Bid           *bidView
	Obstacle      string // why the certificate keeps the order from going on
	Typed         order.Form
	Stands        *order.Form // what stands on the page where it is not drawn anew
	Unsaved       *drawnForm  // what the page was drawn with before a save that failed
	Groups        []groupView
	Reasons       []reasonView
	Faults        []order.FieldError
	Summary       []order.FieldError // listed on top of the page, after a submission
	Saved         time.Time
	Redraw        []string // sections to draw anew, by anchor
	MobileChanged bool     // and has to be proven
	Code          codeView
}

// Redraws reports whether a section is drawn anew.
func (v formView) Redraws(section string) bool { return slices.Contains(v.Redraw, section) }

type lineView struct {
	N        int
	Seal     string
	Seals    []choice
	Quantity int
	Amount   order.Fen
}

type choice struct {
	Value, Label string
	Chosen       bool
}

type groupView struct {
	ID     order.Group
	Label  string
	Fields []fieldView
	Way    string // how the legal representative authorises
}

type fieldView struct {
	Name                      order.Field
	Input                     order.Input
	Label, Hint, Value, Fault string
	Required, Locked          bool
	Choices                   []choice
	Autocomplete, Mode        string
	Max                       int
	Picture                   pictureView
	Reason                    string // why a reviewer refused this field
	Doubtful                  bool   // the field can be in doubt
	Doubt, Suggestion         string // what is odd about the value; what was meant by a wrong one
}

type reasonView struct {
	Text   string
	Anchor order.Field
	Label  string
}

// Autocompletions of browsers, by field (HTML, "Autofill").
var autocompletions = map[order.Field]string{
	order.AgentName: "name", order.AgentMobile: "tel", order.AgentEmail: "email", order.OrgName: "organization",
	order.ShipName: "shipping name", order.ShipMobile: "shipping tel", order.ShipAddress: "shipping street-address",
}

func (s *Server) formView(o order.Order, typed order.Form, faults []order.FieldError, fixing bool) formView {
	o, err := s.Orders.Offer(o)
	v := formView{Order: o, Typed: typed, Fixed: fixing || o.NeedsCertificate(), AuthStands: typed.Get(order.AuthNeed) == order.No, Fixing: fixing, Faults: faults, CanAdd: !fixing && len(freeSeals(o.Product, o.Lines)) > 0}
	if e, ok := order.AsError(err); ok { // what the form says is not sold any more
		v.LineFault = e.Detail
	}
	v.Lines = lineViews(o)
	if agreesOnForm(o, fixing) {
		v.Texts = s.texts
	}
	for _, y := range o.Product.Years {
		if !slices.Contains(termed, o.Business) {
			break
		}
		v.Terms = append(v.Terms, choice{Value: strconv.Itoa(y), Label: strconv.Itoa(y) + "年期", Chosen: y == o.Product.Term})
	}
	for _, r := range o.Reasons {
		v.Reasons = append(v.Reasons, viewOfReason(o.Product, typed, r))
	}
	for _, g := range order.Groups {
		gv := groupView{ID: g, Label: g.Label(), Way: typed.Get(order.AuthWay)}
		for _, spec := range order.Fields {
			if spec.Group == g && spec.IsAsked(o.Product, typed) {
				gv.Fields = append(gv.Fields, s.fieldView(o, spec, typed, v))
			}
		}
		if len(gv.Fields) > 0 || o.NeedsCertificate() || o.Product.Express != nil { // a section may come back
			v.Groups = append(v.Groups, gv)
		}
	}
	v.Code = codeView{URL: "/orders/" + string(o.ID) + "/code"}
	return v
}

// fixView is the form of an order that is being put right, and what the domain says of it.
func (s *Server) fixView(ctx context.Context, o order.Order, by order.Actor, typed order.Form, faults []order.FieldError) (formView, order.Correction, error) {
	fix, err := s.Orders.Correct(ctx, o.ID, by, typed)
	if err != nil {
		return formView{}, fix, err
	}
	v := s.formView(o, fix.Form, faults, true)
	v.MobileChanged = fix.NeedsCode
	return v, fix, nil
}

// agreesOnForm: a renewal is agreed to on its form, everything else when it is
// confirmed (F52).
func agreesOnForm(o order.Order, fixing bool) bool { return o.Business == order.Renewal && !fixing }

// termed are the businesses that make a certificate of so many years.
var termed = []order.Business{order.Initial, order.Renewal}

func lineViews(o order.Order) []lineView {
	var out []lineView
	for i, l := range o.Lines {
		lv := lineView{N: i, Seal: l.Seal.Label(), Quantity: l.Quantity, Amount: o.Product.Price * order.Fen(l.Quantity*o.Product.Term)}
		for _, seal := range o.Product.Seals {
			taken := slices.ContainsFunc(o.Lines, func(other order.Line) bool { return other.Seal == seal })
			if seal == l.Seal || !taken {
				lv.Seals = append(lv.Seals, choice{string(seal), seal.Label(), seal == l.Seal})
			}
		}
		out = append(out, lv)
	}
	return out
}

func viewOfReason(p order.Product, f order.Form, r order.Reason) reasonView {
	anchor := r.Anchor(p, f)
	spec, _ := anchor.Spec()
	return reasonView{Text: r.Text(), Anchor: anchor, Label: spec.LabelFor(f)}
}

func (s *Server) fieldView(o order.Order, spec order.FieldSpec, typed order.Form, form formView) fieldView {
	value := typed.Get(spec.Name)
	f := fieldView{
		Name: spec.Name, Input: spec.Input, Label: spec.LabelFor(typed), Hint: spec.Hint, Value: value,
		Required: spec.IsRequired(o.Product, typed), Locked: spec.IsLocked(o.Product, typed) || spec.Priced && form.Fixing, Max: spec.Max, Doubtful: spec.Doubt != nil, Autocomplete: autocompletions[spec.Name],
	}
	if f.Max == 0 {
		f.Max = 100
	}
	for _, opt := range s.optionsOf(o.Product, spec, typed) {
		f.Choices = append(f.Choices, choice{opt.Value, opt.Label, opt.Value == value})
	}
	if len(f.Choices) > 0 && f.Input == order.Text {
		f.Input = order.Select // a place with a known list
	}
	if i := slices.IndexFunc(form.Faults, func(e order.FieldError) bool { return e.Field == spec.Name }); i >= 0 {
		f.Fault = form.Faults[i].Detail
		f.Suggestion = spec.SuggestionFor(typed)
	} else if !f.Locked { // what cannot be changed is not doubted
		f.Doubt = spec.DoubtOf(typed)
	}
	for _, r := range form.Reasons {
		if form.Fixing && r.Anchor == spec.Name {
			f.Reason = r.Text
		}
	}
	if spec.Input == order.Image {
		f.Picture = s.pictureView(o.ID, spec.Name, value)
	}
	return f
}

// optionsOf are the choices of a field; cities and districts come from the
// places file where it knows them.
func (s *Server) optionsOf(p order.Product, spec order.FieldSpec, f order.Form) []order.Option {
	var names []string
	switch spec.Name {
	case order.ShipCity:
		for _, city := range s.Places.Cities(f.Get(order.ShipProvince)) {
			names = append(names, city.Name)
		}
	case order.ShipDistrict:
		names = s.Places.Districts(f.Get(order.ShipProvince), f.Get(order.ShipCity))
	default:
		return spec.OptionsFor(p, f)
	}
	var out []order.Option
	for _, n := range names {
		out = append(out, order.Option{Value: n, Label: n})
	}
	return out
}

// redraws says which sections depend on a field beside its own line.
var redraws = map[order.Field][]string{
	order.IDType: {"agent"}, order.AuthWay: {"agent", "auth"}, order.InvoiceWant: {"invoice"},
	order.Speed: {"about", "invoice"}, order.BidUploaded: {"about"}, order.BidOpening: {"about"},
	order.ShipWay: {"ship", "about"}, order.ShipProvince: {"ship"}, order.ShipCity: {"ship"},
}

// redrawn are the sections to draw anew after a change of a field or a button.
func redrawn(changed order.Field, do string, about bool) []string {
	if signed, _ := changed.Spec(); about && signed.Signed && changed != order.AuthWay {
		return append([]string{"org", "auth"}, redraws[changed]...) // it may need a new authorisation
	}
	if spec, _ := changed.Spec(); do != "auto" && do != "" || changed == "seal" || changed == "quantity" || changed == "term" || spec.Priced {
		return append([]string{"product"}, redraws[changed]...)
	}
	return redraws[changed]
}
