package order

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"time"
	"unicode/utf8"
)

// Field names one field of an application form, such as "org.name". The names
// are stable: reject reasons point at them and pages use them as anchors.
type Field string

// The fields of the 初购 form (F24–F50).
const (
	AgentName    Field = "agent.name"
	AgentMobile  Field = "agent.mobile"
	AgentEmail   Field = "agent.email"
	IDType       Field = "id.type"
	IDNo         Field = "id.no"
	IDFront      Field = "id.front"
	IDBack       Field = "id.back"
	OrgName      Field = "org.name"
	OrgType      Field = "org.type"
	OrgUSCC      Field = "org.uscc"
	OrgIndustry  Field = "org.industry"
	LicenseImage Field = "license"
	AuthWay      Field = "auth.way"
	LegalName    Field = "legal.name"
	LegalIDType  Field = "legal.id_type"
	LegalMobile  Field = "legal.mobile"
	LegalIDNo    Field = "legal.id_no"
	LetterImage  Field = "letter"
	ShipWay      Field = "ship.way"
	ShipName     Field = "ship.name"
	ShipMobile   Field = "ship.mobile"
	ShipProvince Field = "ship.province"
	ShipCity     Field = "ship.city"
	ShipDistrict Field = "ship.district"
	ShipAddress  Field = "ship.address"
	InvoiceWant  Field = "invoice.wanted"
	InvoiceTitle Field = "invoice.title"
	InvoiceTaxNo Field = "invoice.tax_no"
	// Cause is why a new key is asked for, BidUploaded and BidOpening what the bid
	// question was answered (flows.md 4.7).
	Cause       Field = "about.cause"
	BidUploaded Field = "about.bid"
	BidOpening  Field = "about.bid_opening"
	// Speed is Yes when the surcharge for hurrying is paid, see Express.
	Speed Field = "about.speed"

	// PickUpCode is set by us, never by the applicant, and belongs to no form.
	PickUpCode Field = "ship.code"
	// AboutEntry says how the applicant came to the certificate; AboutBase is the
	// earlier order whose data filled the form; AuthNeed says whether the
	// authorisation must be given anew (F66). All three are set by the service.
	AboutEntry Field = "about.entry"
	AboutBase  Field = "about.base"
	AuthNeed   Field = "auth.need"
)

// ours are the fields that no applicant types.
var ours = []Field{AboutEntry, AboutBase, AuthNeed}

// Values of the choice fields.
const (
	AuthPaper       = "paper"
	AuthMiniProgram = "miniprogram"
	ShipCourier     = "courier"
	ShipPickUp      = "pick_up"
	// EntryHolder is the bound user, EntryCompany somebody of the company who has
	// no longer the bound mobile.
	EntryHolder  = "holder"
	EntryCompany = "company"
	Yes          = "yes"
	No           = "no"
)

// Group is a section of the form (F13).
type Group string

// The groups, by their anchors.
const (
	GroupAbout   Group = "about"
	GroupAgent   Group = "agent"
	GroupOrg     Group = "org"
	GroupAuth    Group = "auth"
	GroupShip    Group = "ship"
	GroupInvoice Group = "invoice"
)

// Groups lists the sections in form order.
var Groups = []Group{GroupAbout, GroupAgent, GroupOrg, GroupAuth, GroupShip, GroupInvoice}

var groupLabels = map[Group]string{GroupAbout: "办理说明", GroupAgent: "经办人信息", GroupOrg: "单位信息", GroupAuth: "授权书", GroupShip: "收件信息", GroupInvoice: "发票信息"}

// Label is the section's heading.
func (g Group) Label() string { return groupLabels[g] }

// Input says how a field is entered.
type Input string

// The inputs.
const (
	Text   Input = "text"
	Tel    Input = "tel"
	EMail  Input = "email"
	Select Input = "select"
	Radio  Input = "radio"
	Moment Input = "datetime-local"
	Image  Input = "image"
	Switch Input = "switch"
)

// Option is one choice of a select or radio field.
type Option struct{ Value, Label string }

// FieldSpec is everything there is to know about a field: how it is entered,
// when it is asked, what it must look like, whether it is signed.
type FieldSpec struct {
	Name  Field
	Group Group
	Label string
	Input Input
	Hint  string
	// Options are all choices; see OptionsFor.
	Options []Option
	// Default is what an empty form starts with.
	Default string
	// Signed fields are covered by the authorisation: changing one voids it.
	Signed bool
	// Asked reports whether the form shows the field; nil means always. A field
	// that is not asked is not checked and not submitted.
	Asked func(Product, Form) bool
	// Locked reports whether the value is not the applicant's to change; nil means
	// never.
	Locked func(Product, Form) bool
	// Priced fields decide what is paid: they stay as they are from then on.
	Priced bool
	// Optional reports whether the field may stay empty; nil means required.
	Optional func(Product, Form) bool
	// Check normalises a filled value or says what is wrong with it in a
	// sentence for the applicant; nil accepts any text up to Max characters.
	Check func(value string, f Form, today time.Time) (string, error)
	// Doubt tells what is odd about a well-formed value, as a hint for the applicant
	// that blocks nothing: the reviewer is told the same. nil sees nothing odd.
	Doubt func(value string, f Form) string
	// Suggest corrects a value that Check refuses, for the applicant to confirm; empty
	// when there is nothing to offer. nil never offers anything.
	Suggest func(value string) string
	// Max is the longest value in characters; 0 means 100.
	Max int
	// Mask hides a personal value; nil means the field is not personal.
	Mask func(string) string
}

// Spec returns the field's table entry.
func (f Field) Spec() (FieldSpec, bool) {
	s, ok := specs[f]
	return s, ok
}

// Label is the field as people read it.
func (f Field) Label() string { return specs[f].Label }

// IsAsked reports whether the form shows the field for this product and form.
func (s FieldSpec) IsAsked(p Product, f Form) bool { return s.Asked == nil || s.Asked(p, f) }

// IsLocked reports whether the value is not the applicant's to change.
func (s FieldSpec) IsLocked(p Product, f Form) bool { return s.Locked != nil && s.Locked(p, f) }

// IsRequired reports whether the field must be filled.
func (s FieldSpec) IsRequired(p Product, f Form) bool {
	return s.IsAsked(p, f) && (s.Optional == nil || !s.Optional(p, f))
}

// DoubtOf is what is odd about the well-formed value of the form, if anything.
func (s FieldSpec) DoubtOf(f Form) string {
	if v := f.Get(s.Name); s.Doubt != nil && v != "" {
		return s.Doubt(v, f)
	}
	return ""
}

// SuggestionFor corrects the refused value of the form, if that can be done.
func (s FieldSpec) SuggestionFor(f Form) string {
	if s.Suggest == nil {
		return ""
	}
	return s.Suggest(f.Get(s.Name))
}

// DefaultForm is the form a new draft starts with.
func DefaultForm() Form {
	v := map[Field]string{}
	for _, s := range Fields {
		v[s.Name] = s.Default
	}
	return NewForm(v)
}

// Normalize returns the form as it is kept: known fields only, filled values
// normalised, and the faults of filled values (G30: saving checks formats of
// filled fields only).
func Normalize(p Product, f Form, today time.Time) (Form, []FieldError) {
	out, faults := map[Field]string{}, []FieldError(nil)
	for _, s := range Fields {
		v := f.Get(s.Name)
		if v == "" {
			continue
		}
		if s.IsAsked(p, f) {
			n, err := s.check(p, v, f, today)
			if err != nil {
				faults = append(faults, FieldError{s.Name, err.Error()})
			} else {
				v = n
			}
		}
		out[s.Name] = v
	}
	return NewForm(out).WithOurs(f), faults
}

// CheckForm returns every fault of a form that is to be submitted, in form order.
func CheckForm(p Product, f Form, today time.Time) []FieldError {
	var faults []FieldError
	for _, s := range Fields {
		v := f.Get(s.Name)
		switch {
		case !s.IsAsked(p, f):
		case v == "" && s.IsRequired(p, f):
			faults = append(faults, FieldError{s.Name, s.missing(f)})
		case v != "":
			if _, err := s.check(p, v, f, today); err != nil {
				faults = append(faults, FieldError{s.Name, err.Error()})
			}
		}
	}
	return faults
}

func checkDelivery(f Form) []FieldError {
	return slices.DeleteFunc(CheckForm(Product{IssueMode: ByAdmin, Authorizations: []string{AuthPaper, AuthMiniProgram}}, f, time.Time{}), func(e FieldError) bool {
		return specs[e.Field].Group != GroupShip
	})
}

func (s FieldSpec) missing(f Form) string {
	switch s.Input {
	case Image:
		return "请上传" + s.LabelFor(f)
	case Select, Radio:
		return "请选择" + s.Label
	default:
		return "请填写" + s.Label
	}
}

// OptionsFor are the choices that this product and form offer.
func (s FieldSpec) OptionsFor(p Product, f Form) []Option {
	switch s.Name {
	case AuthWay:
		return slices.DeleteFunc(slices.Clone(s.Options), func(o Option) bool { return !slices.Contains(p.Authorizations, o.Value) })
	case Speed:
		return expressOptions(p, f)
	default:
		return s.Options
	}
}

func (s FieldSpec) check(p Product, v string, f Form, today time.Time) (string, error) {
	if limit := cmp.Or(s.Max, 100); utf8.RuneCountInString(v) > limit {
		return "", Errorf(Invalid, "too_long", "%s不能超过 %d 个字", s.Label, limit).sentence()
	}
	if len(s.Options) > 0 && !slices.ContainsFunc(s.OptionsFor(p, f), func(o Option) bool { return o.Value == v }) {
		return "", Errorf(Invalid, "not_an_option", "请选择%s", s.Label).sentence()
	}
	if s.Check == nil {
		return v, nil
	}
	return s.Check(v, f, today)
}

// Hash is the SHA-256 (hex) of the canonical snapshot: subject, profile,
// quantity, price and materials (F124). Invoice, delivery and e-mail are not part of it, as
// they may change after approval (lifecycle.md, signed fields); images are, by
// their ids, since an image is never overwritten.
func (o Order) Hash() string {
	type field struct {
		Name  Field
		Value string
	}
	snapshot := struct {
		Certificate string `json:",omitempty"`
		Product     string
		Business    Business
		IssueMode   IssueMode
		Algorithm   Algorithm
		Term        int
		Lines       []Line
		Amount      Fen
		Hours       int `json:",omitempty"`
		Fields      []field
	}{o.Certificate, o.Product.Code, o.Business, o.Product.IssueMode, o.Product.Algorithm, o.Product.Term, o.Lines, o.Amount, o.expressHours(), nil}
	for _, n := range o.Form.names() {
		if g := specs[n].Group; g != GroupShip && g != GroupInvoice && g != "" && n != AgentEmail {
			snapshot.Fields = append(snapshot.Fields, field{n, o.Form.Get(n)})
		}
	}
	b, err := json.Marshal(snapshot)
	if err != nil {
		panic(err) // strings and integers always marshal
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
