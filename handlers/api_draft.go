package handlers

import (
	"context"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/yuncaidun/yuncaidun/order"
)

// The whole form of an application travels by the field specs of the domain:
// whoever draws it needs to know no field.

// ProductJSON is a product on offer.
type ProductJSON struct {
	Code     string `json:"code"`
	Name     string `json:"name"`
	Project  string `json:"project"`
	Business string `json:"business"`
	Price    int64  `json:"price_fen" doc:"Per key and year"`
	Years    []int  `json:"years"`
	Hint     string `json:"hint,omitempty" doc:"Tells it from others on offer"`
}

// FormJSON is an application as its form shows it.
type FormJSON struct {
	Order     OrderJSON    `json:"order"`
	Verified  string       `json:"verification" doc:"How the subscriber is verified (认证类型)"`
	Fixing    bool         `json:"fixing,omitempty" doc:"A rejected order is being put right: product and quantity are locked, nothing is saved before it is sent in again"`
	Groups    []GroupJSON  `json:"groups"`
	Lines     []LineJSON   `json:"lines"`
	Terms     []OptionJSON `json:"terms"`
	Term      int          `json:"term"`
	FreeSeals []OptionJSON `json:"free_seals,omitempty" doc:"Seal types that no line has yet"`
	MaxKeys   int          `json:"max_keys"`
	LineFault string       `json:"line_fault,omitempty"`
	Complete  bool         `json:"complete" doc:"Nothing is missing: go on to the confirmation"`
	NeedsCode bool         `json:"needs_code,omitempty" doc:"The mobile was changed: sending in takes an SMS code"`
	Fixed     bool         `json:"fixed,omitempty" doc:"Product lines are not the applicant's to change"`
	About     *AboutJSON   `json:"about,omitempty" doc:"The certificate that the application is about"`
	Bid       *BidJSON     `json:"bid,omitempty" doc:"What a renewal means for bids that are not opened yet"`
}

// AboutJSON is a certificate that an application is about.
type AboutJSON struct {
	Serial      string    `json:"serial"`
	TokenSerial string    `json:"token_serial"`
	Holder      string    `json:"holder"`
	NotAfter    time.Time `json:"not_after"`
}

// BidJSON is advice about bids (flows.md 4.7).
type BidJSON struct {
	Text string `json:"text"`
	Wait bool   `json:"wait,omitempty" doc:"It can be put off until the bids are opened: remind-after-bid, revocation-reminder"`
}

// GroupJSON is a section of the form.
type GroupJSON struct {
	ID     string      `json:"id"`
	Label  string      `json:"label"`
	Fields []FieldJSON `json:"fields"`
}

// FieldJSON is a field with its value.
type FieldJSON struct {
	Name       string       `json:"name" example:"org.name"`
	Input      string       `json:"input" enum:"text,tel,email,select,radio,image,switch,datetime-local"`
	Label      string       `json:"label"`
	Hint       string       `json:"hint,omitempty"`
	Value      string       `json:"value" doc:"Of an image: the reference to send back"`
	Fault      string       `json:"fault,omitempty" doc:"What is wrong, in Chinese"`
	Doubt      string       `json:"doubt,omitempty" doc:"What is odd about the value, in Chinese; it blocks nothing"`
	Suggestion string       `json:"suggestion,omitempty" doc:"What was probably meant by a wrong value: offer it, never put it in unasked"`
	Reason     string       `json:"reason,omitempty" doc:"Why a reviewer refused it"`
	Required   bool         `json:"required"`
	Locked     bool         `json:"locked,omitempty" doc:"To be read only"`
	Max        int          `json:"max"`
	Options    []OptionJSON `json:"options,omitempty"`
	Redraw     bool         `json:"redraw,omitempty" doc:"Other fields depend on it: save at once and draw the answer"`
	Picture    *PictureJSON `json:"picture,omitempty"`
}

// PictureJSON is an uploaded picture. The addresses work for five minutes.
type PictureJSON struct {
	Ref      string   `json:"ref"`
	URL      string   `json:"url"`
	Large    string   `json:"large"`
	Warnings []string `json:"warnings,omitempty"`
}

// LineJSON is one product line.
type LineJSON struct {
	Seal     string       `json:"seal"`
	Label    string       `json:"label"`
	Seals    []OptionJSON `json:"seals,omitempty"`
	Quantity int          `json:"quantity"`
	Amount   int64        `json:"amount_fen"`
}

type (
	productsOutput struct {
		Body struct {
			Products []ProductJSON `json:"products"`
		}
	}
	newDraftInput struct {
		Body struct {
			Product string `json:"product" maxLength:"64"`
		}
	}
	idInput struct {
		ID string `path:"id" maxLength:"26"`
	}
	saveInput struct {
		ID   string `path:"id" maxLength:"26"`
		Body struct {
			Fields map[string]string `json:"fields,omitempty" doc:"Those that changed; others stay"`
			Lines  []LineInput       `json:"lines,omitempty" maxItems:"8"`
			Term   int               `json:"term,omitempty"`
			Check  bool              `json:"check,omitempty" doc:"Say everything that is missing or wrong"`
		}
	}
	formOutput   struct{ Body FormJSON }
	pictureField struct {
		pictureInput
		ID    string `path:"id" maxLength:"26"`
		Field string `path:"field" maxLength:"32"`
	}
	pictureOutput struct{ Body PictureJSON }
)

// LineInput is one product line as chosen; amounts are the server's.
type LineInput struct {
	Seal     string `json:"seal,omitempty" maxLength:"32"`
	Quantity int    `json:"quantity"`
}

func (s *Server) apiDraftRoutes(api huma.API) {
	operation(s, api, apiGet("/products").open(Plain), "list-products", "What can be applied for", s.apiProducts)
	operation(s, api, apiPost("/orders"), "start-order", "Start an application", s.apiNewDraft)
	operation(s, api, apiGet("/orders/:id/form"), "get-form", "The form of an application", s.apiForm)
	operation(s, api, apiPost("/orders/:id/form"), "save-form", "Save the form; of a rejected order: only check it", s.apiSaveForm)
	operation(s, api, apiPost("/orders/:id/pictures/:field"), "upload-picture", "Upload the picture of a field", s.apiUpload)
	operation(s, api, apiPost("/orders/:id/delete"), "delete-order", "Delete a draft or an unpaid order", s.apiDelete)
	operation(s, api, apiPost("/orders/:id/remind"), "remind-after-bid", "Put a renewal off until its bids are opened", s.apiRemind)
	operation(s, api, apiPost("/orders/:id/give-up"), "give-up-keys", "Agree to do without some keys and have their price back", s.apiGiveUp)
	operation(s, api, apiPost("/orders/:id/close"), "close-order", "Give up an order that was refused and cost nothing", s.apiClose)
	operation(s, api, apiPost("/orders/:id/reopen"), "reopen-order", "Take an unpaid order back to the form", s.apiReopen)
}

func (s *Server) apiProducts(context.Context, *nothing) (*productsOutput, error) {
	var out productsOutput
	out.Body.Products = []ProductJSON{}
	for _, project := range s.Orders.Catalogue().Projects {
		_, products, err := s.Orders.Catalogue().Project(project.Key)
		if err != nil {
			return nil, err
		}
		for _, p := range products {
			if p.OnSale && p.Business == order.Initial {
				out.Body.Products = append(out.Body.Products, ProductJSON{p.Code, p.Name, project.Name, string(p.Business), int64(p.Price), p.Years, p.Hint})
			}
		}
	}
	return &out, nil
}

func (s *Server) apiNewDraft(ctx context.Context, in *newDraftInput) (*formOutput, error) {
	p, err := s.Orders.Catalogue().Product(in.Body.Product)
	if err != nil {
		return nil, err
	}
	if p.Business != order.Initial {
		return nil, order.Errorf(order.Conflict, "not_offered_yet", "该业务暂未开放，请联系客服 400-666-3999")
	}
	k := callOf(ctx)
	o, err := s.startDraft(k.c, k.v, p)
	if err != nil {
		return nil, err
	}
	return &formOutput{s.formJSON(o, s.formView(o, o.Form, nil, false))}, nil
}

func (s *Server) apiForm(ctx context.Context, _ *idInput) (*formOutput, error) {
	k := callOf(ctx)
	o := k.order
	fixing, err := s.editable(o)
	if err != nil {
		return nil, err
	}
	view := s.formView(o, o.Form, nil, false)
	if fixing {
		if view, _, err = s.fixView(ctx, o, k.actor(), o.Form, nil); err != nil {
			return nil, err
		}
	}
	out, err := s.formOf(ctx, o, view)
	return &formOutput{out}, err
}

// apiSaveForm saves what was typed and says what is wrong with it; a rejected
// order is only checked (F96).
func (s *Server) apiSaveForm(ctx context.Context, in *saveInput) (*formOutput, error) {
	k := callOf(ctx)
	defer s.alone(k.order.ID)()
	o, err := s.Store.Order(ctx, k.order.ID) // as it is now that nobody else writes it
	if err != nil {
		return nil, err
	}
	fixing, err := s.editable(o)
	if err != nil {
		return nil, err
	}
	typed, faults := order.Normalize(o.Product, s.typed(o, in.Body.Fields, fixing), s.today())
	var lineFault string
	var fix order.Correction
	if fixing {
		if fix, err = s.Orders.Correct(ctx, o.ID, k.actor(), typed); err != nil {
			return nil, err
		}
		typed = fix.Form
	} else {
		if o, lineFault, err = s.saveDraft(ctx, k, o, in, without(typed, faults)); err != nil {
			return nil, err
		}
		typed = typed.WithOurs(o.Form)
	}
	if in.Body.Check {
		faults = order.CheckForm(o.Product, typed, s.today())
		if e, ok := order.AsError(fix.Refusal); ok && len(e.Fields) > 0 {
			faults = e.Fields
		}
	}
	view := s.formView(o, typed, faults, fixing)
	view.MobileChanged = fix.NeedsCode
	view.LineFault = lineFault
	out, err := s.formOf(ctx, o, view)
	out.Complete = in.Body.Check && len(faults) == 0 && lineFault == ""
	return &formOutput{out}, err
}

// saveDraft saves a draft. What is wrong with its product lines is told, not kept.
func (s *Server) saveDraft(ctx context.Context, k call, o order.Order, in *saveInput, form order.Form) (order.Order, string, error) {
	cmd := order.Command{On: order.Save, By: k.actor(), Product: o.Product.Code, Term: o.Product.Term, Lines: o.Lines, Form: form}
	if in.Body.Term != 0 {
		cmd.Term = in.Body.Term
	}
	if len(in.Body.Lines) > 0 {
		cmd.Lines = nil
		for _, l := range in.Body.Lines {
			cmd.Lines = append(cmd.Lines, order.Line{Seal: order.Seal(l.Seal), Quantity: l.Quantity})
		}
	}
	saved, err := s.Orders.Apply(ctx, o.ID, cmd)
	if fault, ok := order.AsError(err); ok && fault.Kind == order.Invalid {
		return o, fault.Detail, nil
	}
	return saved, "", err
}

func (s *Server) today() time.Time { return s.Now().In(order.Shanghai) }

// typed is the form after the fields that were sent. A draft has its pictures
// already; an order that is being put right takes them by references that we
// signed for it and the field. Names that are no field are ignored.
func (s *Server) typed(o order.Order, fields map[string]string, fixing bool) order.Form {
	f := o.Form
	for name, value := range fields {
		spec, ok := order.Field(name).Spec()
		switch {
		case !ok || name == string(order.PickUpCode) || spec.IsLocked(o.Product, o.Form), spec.Priced && fixing: // none of his to write
		case spec.Input != order.Image:
			f = f.With(spec.Name, value)
		case fixing:
			if id, ok := s.pictureOf(o.ID, spec.Name, value); ok {
				f = f.With(spec.Name, id)
			}
		}
	}
	return f
}

func (s *Server) apiUpload(ctx context.Context, _ *pictureField) (*pictureOutput, error) {
	k := callOf(ctx)
	f, err := imageField(k.c)
	if err != nil {
		return nil, err
	}
	if _, err := s.editable(k.order); err != nil {
		return nil, err
	}
	v, err := s.takePicture(k.c, k.order, f)
	if err != nil {
		return nil, err
	}
	return &pictureOutput{*pictureJSON(v)}, nil
}

func (s *Server) apiDelete(ctx context.Context, _ *idInput) (*nothing, error) {
	k := callOf(ctx)
	_, err := s.Orders.Delete(ctx, k.order.ID, k.actor(), "")
	return &nothing{}, err
}

func (s *Server) apiReopen(ctx context.Context, _ *idInput) (*formOutput, error) {
	k := callOf(ctx)
	o, err := s.Orders.Edit(ctx, k.order.ID, k.actor())
	if err != nil {
		return nil, err
	}
	return &formOutput{s.formJSON(o, s.formView(o, o.Form, nil, false))}, nil
}

func (s *Server) apiRemind(ctx context.Context, _ *idInput) (*nothing, error) {
	k := callOf(ctx)
	return &nothing{}, s.Orders.RemindAfterBid(ctx, k.order.ID, k.actor())
}

func (s *Server) apiClose(ctx context.Context, _ *idInput) (*orderOutput, error) {
	k := callOf(ctx)
	o, err := s.Orders.Apply(ctx, k.order.ID, order.Command{On: order.Close, By: k.actor()})
	if err != nil {
		return nil, err
	}
	return &orderOutput{s.orderJSON(o, nil)}, nil
}

// formOf is the form for programs, with the certificate it is about.
func (s *Server) formOf(ctx context.Context, o order.Order, v formView) (FormJSON, error) {
	if err := s.addCertificate(ctx, &v); err != nil {
		return FormJSON{}, err
	}
	out := s.formJSON(o, v)
	if c := v.About; c != nil {
		out.About = &AboutJSON{c.Serial, c.TokenSerial, c.Holder, c.NotAfter}
	}
	if v.Bid != nil {
		out.Bid = &BidJSON{v.Bid.Text, v.Bid.Waiting}
	}
	return out, nil
}

// formJSON is the page's form for programs.
func (s *Server) formJSON(o order.Order, v formView) FormJSON {
	out := FormJSON{
		Order: s.orderJSON(o, nil), Verified: o.Product.VerifiedAs(), Fixing: v.Fixing, Lines: lineJSON(v.Lines), Terms: append([]OptionJSON{}, optionJSON(v.Terms)...), Term: o.Product.Term, MaxKeys: o.Product.MaxKeys,
		LineFault: v.LineFault, NeedsCode: v.MobileChanged, Fixed: v.Fixed, Groups: groupJSON(v.Groups),
	}
	if v.CanAdd && !v.Fixed {
		for _, seal := range freeSeals(o.Product, o.Lines) {
			out.FreeSeals = append(out.FreeSeals, OptionJSON{string(seal), seal.Label()})
		}
	}
	return out
}

func lineJSON(lines []lineView) (out []LineJSON) {
	for _, l := range lines {
		j := LineJSON{Label: l.Seal, Seals: optionJSON(l.Seals), Quantity: l.Quantity, Amount: int64(l.Amount)}
		for _, seal := range l.Seals {
			if seal.Chosen {
				j.Seal = seal.Value
			}
		}
		out = append(out, j)
	}
	return out
}

func optionJSON(choices []choice) (out []OptionJSON) {
	for _, c := range choices {
		out = append(out, OptionJSON{c.Value, c.Label})
	}
	return out
}

func groupJSON(groups []groupView) (out []GroupJSON) {
	for _, g := range groups {
		if len(g.Fields) == 0 {
			continue
		}
		j := GroupJSON{ID: string(g.ID), Label: g.Label}
		for _, f := range g.Fields {
			fj := FieldJSON{
				Name: string(f.Name), Input: string(f.Input), Label: f.Label, Hint: f.Hint, Value: f.Value, Fault: f.Fault, Doubt: f.Doubt, Suggestion: f.Suggestion, Reason: f.Reason, Required: f.Required, Locked: f.Locked,
				Max: f.Max, Options: optionJSON(f.Choices), Redraw: len(redraws[f.Name]) > 0,
			}
			if f.Input == order.Image {
				fj.Picture = pictureJSON(f.Picture)
				fj.Value = f.Picture.Ref
			}
			j.Fields = append(j.Fields, fj)
		}
		out = append(out, j)
	}
	return out
}

// pictureJSON is nil while there is no picture.
func pictureJSON(v pictureView) *PictureJSON {
	if v.Ref == "" {
		return nil
	}
	return &PictureJSON{v.Ref, v.URL, v.Large, v.Warnings}
}
