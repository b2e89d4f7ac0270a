package order

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// companyBusinesses are open to somebody of the company who has lost the bound
// mobile (F86, F101, guard K of reissue).
var companyBusinesses = []Business{UnlockApproval, Reissue, Rebind}

// begin starts an application about a certificate: who may, and what the form is
// filled with. The bound user finds the data of his earlier order; whoever comes
// from the company without the bound mobile finds nothing that is not public.
func (s *Service) begin(ctx context.Context, tx Tx, o Order, c *Command) error {
	if c.about == nil {
		return nil
	}
	if err := fit(o, *c); err != nil {
		return err
	}
	if err := s.aloneAbout(ctx, tx, o, *c); err != nil {
		return err
	}
	form := DefaultForm()
	switch holder := c.By.PersonID != "" && c.By.PersonID == c.about.PersonID; {
	case holder && o.Business == Rebind:
		return Errorf(Conflict, "rebind_yourself", "您就是绑定用户，请在「我的证书」点击「更换」，用短信验证即可，不需要审核")
	case holder:
		earlier, err := s.earlier(ctx, tx, *c.about)
		if err != nil {
			return err
		}
		form = prefilled(earlier).With(AboutEntry, EntryHolder).With(AboutBase, string(earlier.ID))
		if o.Business == Renewal && !c.about.LastOpening.IsZero() { // the bid question is answered
			form = form.With(BidUploaded, Yes).With(BidOpening, TypedMoment(c.about.LastOpening))
		}
	case slices.Contains(companyBusinesses, o.Business):
		if err := CompanyNamed.check(o, *c); err != nil {
			return err
		}
		form = form.With(AboutEntry, EntryCompany)
		if c.By.PersonID != "" { // the mobile he has proven by logging in
			p, err := tx.Person(ctx, c.By.PersonID)
			if err != nil {
				return err
			}
			form = form.With(AgentMobile, p.Mobile.Reveal())
		}
	default:
		return orderNotFound
	}
	c.Form = withImages(form, c.Form)
	return nil
}

// aloneAbout refuses a second application of a person for the same business about one
// certificate: of two windows, one begins it and the other goes on with it. Of renewals the
// database allows one, whoever begins it (F72).
func (s *Service) aloneAbout(ctx context.Context, tx Tx, o Order, c Command) error {
	if o.Business == Renewal || c.By.PersonID == "" {
		return nil
	}
	// Who else begins one waits here until this one is there.
	if _, err := tx.Order(ctx, c.about.OrderID); err != nil && !errors.Is(err, NotFound) {
		return err
	}
	page, err := tx.Orders(ctx, Filter{PersonID: c.By.PersonID, Certificate: o.Certificate, Business: o.Business, Open: true, Limit: 1})
	if err == nil && len(page.Orders) > 0 {
		return Errorf(Conflict, "order_open", "该证书已有进行中的%s订单，请在「我的订单」中继续办理", o.Business.Label())
	}
	return err
}

// Earlier is the order whose data a form about the certificate is filled with; the
// zero order when there is none.
func (s *Service) Earlier(ctx context.Context, a About) (o Order, err error) {
	err = s.store.InTx(ctx, func(tx Tx) error {
		o, err = s.earlier(ctx, tx, a)
		return err
	})
	return o, err
}

// earlier is the order whose data the bound user need not type again: the one
// that the certificate was issued for, if it was his, or his last completed one
// for the same unit. The zero order when there is none.
func (s *Service) earlier(ctx context.Context, tx Tx, a About) (Order, error) {
	issued, err := tx.Order(ctx, a.OrderID)
	switch {
	case err == nil && issued.PersonID == a.PersonID && issued.EraseAskedAt.IsZero():
		return issued, nil
	case err != nil && !errors.Is(err, NotFound):
		return Order{}, err
	}
	page, err := tx.Orders(ctx, Filter{PersonID: a.PersonID, USCC: a.USCC, Status: Completed, Limit: 20})
	if err != nil {
		return Order{}, err
	}
	i := slices.IndexFunc(page.Orders, func(o Order) bool { return !isUnlock(o.Product, o.Form) && o.EraseAskedAt.IsZero() })
	if i < 0 {
		return Order{}, nil
	}
	return page.Orders[i], nil
}

// prefilled is what a new form takes over from an earlier order (F69): all but
// pictures, which belong to the order that they were uploaded for, and what was
// said about that one application.
func prefilled(earlier Order) Form {
	form := DefaultForm()
	for _, spec := range Fields {
		if v := earlier.Form.Get(spec.Name); v != "" && spec.Input != Image && spec.Group != GroupAbout {
			form = form.With(spec.Name, v)
		}
	}
	return form
}

// withImages adds the pictures that the caller has copied for this order.
func withImages(form, given Form) Form {
	for _, spec := range Fields {
		if v := given.Get(spec.Name); v != "" && spec.Input == Image {
			form = form.With(spec.Name, v)
		}
	}
	return form
}

// settle fixes what the applicant of an order about a certificate does not
// decide: company and code (F69), the bound mobile, and whether the
// authorisation must be given anew.
func (s *Service) settle(ctx context.Context, tx Tx, o Order, form Form, c Command) (Form, error) {
	if c.about == nil {
		return form, nil
	}
	if o.State != None {
		form = form.WithOurs(o.Form)
	}
	form = form.With(OrgUSCC, c.about.USCC).With(OrgName, c.about.Holder)
	if isUnlock(o.Product, form) { // F84
		form = form.With(OrgName, "")
	}
	if form.Get(AboutEntry) == EntryHolder {
		p, err := tx.Person(ctx, c.about.PersonID)
		if err != nil {
			return form, err
		}
		form = form.With(AgentMobile, p.Mobile.Reveal())
	}
	covered, err := s.covered(ctx, tx, form, c)
	if err != nil {
		return form, err
	}
	if covered {
		return form.With(AuthNeed, No), nil
	}
	return form.With(AuthNeed, Yes), nil
}

// covered reports whether the authorisation of the earlier order still speaks for
// this one (F66): the bound user applies, nothing that it says has changed, and
// the certificate that it was given for has not expired. It covers one further
// order, not a chain of them.
func (s *Service) covered(ctx context.Context, tx Tx, form Form, c Command) (bool, error) {
	base := ID(form.Get(AboutBase))
	if form.Get(AboutEntry) != EntryHolder || base == "" || c.about.Expired {
		return false, nil
	}
	earlier, err := tx.Order(ctx, base)
	if errors.Is(err, NotFound) {
		return false, nil
	}
	if err != nil || earlier.Form.Get(AuthNeed) == No || !sameSigned(earlier, form) {
		return false, err
	}
	events, err := tx.Events(ctx, base)
	if err != nil {
		return false, err
	}
	return !slices.ContainsFunc(events, func(e EventRecord) bool { return e.Event == AuthWithdrawn }), nil
}

// sameSigned reports whether the signed fields of a form are those of an earlier
// order. How the legal representative agreed is not what he agreed to, and a
// field that this form does not ask for cannot have changed.
func sameSigned(earlier Order, form Form) bool {
	return !slices.ContainsFunc(Fields, func(s FieldSpec) bool {
		v, was := form.Get(s.Name), earlier.Form.Get(s.Name)
		unasked := was == "" && s.Group == GroupAuth // a stamped letter asks for no document
		return s.Signed && s.Name != AuthWay && s.Group != GroupOrg && v != was && !unasked
	})
}

// CertificateChanged tells the open orders about a certificate that it was
// revoked or frozen (rows 61 to 63).
func (s *Service) CertificateChanged(ctx context.Context, serial string) error {
	var a About
	err := s.store.InTx(ctx, func(tx Tx) (err error) {
		a, err = s.certificates.About(ctx, tx, serial)
		return err
	})
	if err != nil || !a.Revoked && !a.Frozen {
		return err
	}
	on := CertificateFrozen
	if a.Revoked {
		on = CertificateRevoked
	}
	var faults []error
	for o, err := range EachOrder(ctx, s.store, Filter{Certificate: serial, Open: true, Limit: 100}) {
		if err == nil {
			err = s.certificateChanged(ctx, o, on)
		}
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

// certificateChanged tells one order, and tells it again when it has moved meanwhile,
// as one does that turns out to be paid.
func (s *Service) certificateChanged(ctx context.Context, o Order, on Event) error {
	about := slices.ContainsFunc(rowsOn[on], func(t *transition) bool {
		return slices.Contains(t.businesses(), o.Business) && slices.Contains(t.From, o.State)
	})
	if !about {
		return nil
	}
	_, refused := s.withTradeClosed(ctx, o.ID, Command{On: on, By: BySystem})
	if !errors.Is(refused, Conflict) {
		return refused
	}
	now, err := s.store.Order(ctx, o.ID)
	switch {
	case errors.Is(err, NotFound):
		return nil
	case err != nil:
		return err
	case now.State != o.State:
		return s.certificateChanged(ctx, now, on)
	case o.State == awaitingPayment: // the job is not done, whatever kind it is
		return fmt.Errorf("order %s is paid, and not booked yet: %v", o.ID, refused) //nolint:errorlint // see above
	default:
		return nil
	}
}
