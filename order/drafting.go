package order

import (
	"context"
	"errors"
	"slices"

	"github.com/yuncaidun/yuncaidun/identity"
)

// prepare does what a command needs before its facts can be told: price a draft
// or a confirmation, check a form, find the person.
func (s *Service) prepare(ctx context.Context, tx Tx, o Order, c *Command) (Order, error) {
	switch c.On {
	case Save:
		return s.prepareDraft(ctx, tx, o, c)
	case Confirm:
		o, err := s.Offer(o)
		if err != nil {
			return o, err
		}
		if c.Snapshot != o.Hash() { // nor is the mobile that was proven that of another form
			return o, FormChanged
		}
		if err := s.adopt(ctx, tx, &o, o.Mobile(), *c); err != nil {
			return o, err
		}
		form, err := s.settle(ctx, tx, o, o.Form, *c)
		if err != nil {
			return o, err
		}
		o.setForm(form)
		return priced(o)
	case Resubmit:
		form, err := s.settle(ctx, tx, o, c.Form, *c)
		if err != nil {
			return o, err
		}
		form, faults := Normalize(o.Product, form.WithPriced(o.Form), today(c.at))
		if len(faults) > 0 {
			return o, FormFaults(faults)
		}
		if form.Get(AgentMobile) != o.Form.Get(AgentMobile) {
			mobile, err := identity.ParseMobile(form.Get(AgentMobile))
			if err != nil {
				return o, FormFaults([]FieldError{{AgentMobile, err.Error()}})
			}
			if err := s.adopt(ctx, tx, &o, mobile, *c); err != nil {
				return o, err
			}
		}
		c.Form = form
		return o, nil
	default:
		return o, nil
	}
}

// A Correction is a rejected order as a form would make it.
type Correction struct {
	// Form has what the applicant does not decide as it is now.
	Form Form
	// NeedsCode: its mobile has to be proven.
	NeedsCode bool
	// Refusal is why it cannot be resubmitted, even with a code; nil when it can.
	Refusal error
}

// Correct tells what would become of a rejected order that is resubmitted with a form, and
// changes nothing. Who asks before a code of his is spent has it still.
func (s *Service) Correct(ctx context.Context, id ID, by Actor, form Form) (fix Correction, err error) {
	err = s.store.InTx(ctx, func(tx Tx) error {
		c := Command{On: Resubmit, By: by, Form: form}
		o, err := s.load(ctx, tx, id, c)
		if err != nil {
			return err
		}
		if err := s.inform(ctx, tx, &o, &c); err != nil {
			return err
		}
		if c.Form, err = s.settle(ctx, tx, o, form.WithPriced(o.Form), c); err != nil {
			return err
		}
		fix.Form, fix.NeedsCode = c.Form, MobileProvenIfChanged.check(o, c) != nil
		if fix.NeedsCode {
			c.Proven = []Fact{MobileProven}
		}
		_, fix.Refusal = next(o, c)
		return nil
	})
	return fix, err
}

// FormChanged refuses a confirmation of what nobody has read: another window has changed the
// form, or the price or promise of the product is another since.
var FormChanged = Errorf(Conflict, "form_changed", "订单内容或价格刚刚有变化，请核对后重新确认")

// Offer is a draft as it is sold today: the price that counts is that of its confirmation.
// Any other order is what was agreed to. What is no longer sold so is refused, and
// returned with the product as it is now.
func (s *Service) Offer(o Order) (Order, error) {
	p, err := s.catalogue().Product(o.Product.Code)
	if o.Status != Draft || errors.Is(err, NotFound) { // the row's facts refuse what is not sold at all
		return o, nil
	}
	if err != nil {
		return o, err
	}
	p.Term = o.Product.Term
	o.Product = p
	if p.Express == nil && o.Form.Get(Speed) == Yes {
		o.setForm(o.Form.With(Speed, No))
	}
	return priced(o)
}

// FormFaults refuses a form, naming what is wrong with its fields.
func FormFaults(faults []FieldError) error {
	return &Error{Kind: Invalid, Code: "form_invalid", Detail: "有内容填写有误，请按提示修改", Fields: faults}
}

// prepareDraft prices a draft from the catalogue and checks the formats of what
// is filled (row 1, G30).
func (s *Service) prepareDraft(ctx context.Context, tx Tx, o Order, c *Command) (Order, error) {
	p, err := s.catalogue().Product(c.Product)
	if err != nil {
		return o, err
	}
	if p.Business.NeedsCertificate() != (c.about != nil) {
		return o, Errorf(Invalid, "certificate_required", "请先在「我的证书」选择要办理的证书")
	}
	if o.Business != "" && o.Business != p.Business {
		return o, Errorf(Invalid, "business_changed", "草稿不能改办其他业务，请重新开始")
	}
	if o.PersonID == "" && c.By.Role == Applicant { // whoever logged in since goes on with it as his own
		o.PersonID = c.By.PersonID
	}
	if o.PersonID != "" {
		o.DraftToken = ""
	}
	p.Term = c.Term
	if p.Term == 0 {
		p.Term = p.Years[0]
	}
	o.Business, o.Product = p.Business, p
	if o.State == None {
		if err := s.begin(ctx, tx, o, c); err != nil {
			return o, err
		}
	}
	if c.Form, err = s.settle(ctx, tx, o, c.Form, *c); err != nil {
		return o, err
	}
	if o.Lines = c.Lines; len(o.Lines) == 0 {
		o.Lines = []Line{{Seal: NoSeal, Quantity: 1}}
	}
	if p.Express == nil {
		c.Form = c.Form.With(Speed, No)
	}
	form, faults := Normalize(p, c.Form, today(c.at))
	if len(faults) > 0 {
		return o, FormFaults(faults)
	}
	c.Form = form
	o.setForm(form) // it says whether there is a hurry
	return priced(o)
}

// adopt gives the order to the person whose mobile was proven (F19).
func (s *Service) adopt(ctx context.Context, tx Tx, o *Order, mobile identity.Mobile, c Command) error {
	if mobile.IsZero() || !slices.Contains(c.Proven, MobileProven) {
		return nil // the row's facts will refuse
	}
	p, err := tx.PersonByMobile(ctx, Person{ID: s.newID(), Mobile: mobile, CreatedAt: c.at})
	if err != nil {
		return err
	}
	o.PersonID, o.DraftToken = p.ID, ""
	return nil
}

// roomForDraft refuses another application to whoever has too many unfinished ones.
func (s *Service) roomForDraft(ctx context.Context, q Queries, c Command) error {
	if s.maxDrafts == 0 {
		return nil
	}
	n, err := q.CountDrafts(ctx, c.By.PersonID, c.DraftToken)
	if err == nil && n >= s.maxDrafts {
		err = Errorf(Conflict, "too_many_drafts", "您已有 %d 份未提交的申请，请先提交或删除一些，再新建申请", n)
	}
	return err
}
