package handlers

import (
	"context"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store/session"
)

// CertificateJSON is one card of 我的证书 (F98).
type CertificateJSON struct {
	Serial      string      `json:"serial"`
	TokenSerial string      `json:"token_serial"`
	Holder      string      `json:"holder"`
	Mobile      string      `json:"mobile" doc:"Of the bound user, masked"`
	NotBefore   time.Time   `json:"not_before"`
	NotAfter    time.Time   `json:"not_after"`
	State       string      `json:"state" enum:"valid,frozen,revoked,expired"`
	Label       string      `json:"label" doc:"State in Chinese"`
	Days        int         `json:"days_left" doc:"Natural days in Shanghai until it expires; negative afterwards"`
	CanFreeze   bool        `json:"can_freeze"`
	CanRevoke   bool        `json:"can_revoke"`
	FreezeAlso  string      `json:"freeze_also,omitempty" doc:"What else on its USBKEY is frozen with it, in Chinese"`
	RevokeAlso  string      `json:"revoke_also,omitempty" doc:"What else on its USBKEY is revoked with it, in Chinese"`
	CanRebind   bool        `json:"can_rebind" doc:"Whether it can be given to another mobile"`
	Test        bool        `json:"test,omitempty"`
	Note        string      `json:"note,omitempty" doc:"What the dates and the state mean, in Chinese"`
	Offers      []OfferJSON `json:"offers,omitempty" doc:"What can be applied for now"`
	// Openings are what the holder has registered and is ahead, the next first.
	Openings       []OpeningJSON `json:"openings,omitempty"`
	Loan           *LoanJSON     `json:"loan,omitempty" doc:"Who has its USBKEY; absent when it is where it belongs"`
	FreezeOpenings []OpeningJSON `json:"freeze_openings,omitempty" doc:"What is ahead of it and of all that is frozen with it"`
	RevokeOpenings []OpeningJSON `json:"revoke_openings,omitempty" doc:"What is ahead of it and of all that is revoked with it"`
	StolenOpenings []OpeningJSON `json:"stolen_openings,omitempty" doc:"Likewise when the reason is keyCompromise, which reaches all on the USBKEY"`
}

// BidQuestionJSON is the question about bids that are not opened yet, with its answers.
type BidQuestionJSON struct {
	Question string       `json:"question" example:"有已上传、尚未开标的投标文件吗？"`
	Answers  []OptionJSON `json:"answers"`
}

// OfferJSON is a business that a certificate can have now: begun already, or to
// begin with start-about.
type OfferJSON struct {
	Business string       `json:"business"`
	Label    string       `json:"label" example:"更新"`
	Order    *OrderJSON   `json:"order,omitempty" doc:"Begun already"`
	Products []OptionJSON `json:"products,omitempty" doc:"To choose from, when there are several"`
}

type (
	aboutInput struct {
		Serial string `path:"serial" maxLength:"40"`
		Body   struct {
			Business string `json:"business" maxLength:"32"`
			Product  string `json:"product,omitempty" maxLength:"64"`
		}
	}
	certificatesOutput struct {
		Body struct {
			Certificates []CertificateJSON `json:"certificates"`
			Reasons      []OptionJSON      `json:"reasons" doc:"Why a certificate can be revoked (RFC 5280)"`
			Bid          BidQuestionJSON   `json:"bid" doc:"To ask before a certificate is revoked"`
		}
	}
	restoreInput struct {
		ID   string `path:"id" maxLength:"26"`
		Body struct {
			Code string `json:"code" maxLength:"16" doc:"Of the SMS to the bound mobile"`
		}
	}
	changeCodeInput struct {
		Serial string `path:"serial" maxLength:"40"`
	}
	bidInput struct {
		Serial string `path:"serial" maxLength:"40"`
		Body   struct {
			Bid     string `json:"bid,omitempty" maxLength:"16" doc:"One of the answers about open bids of the list"`
			Opening string `json:"opening,omitempty" maxLength:"20" doc:"When they are opened, in Shanghai; the last of several" example:"2026-12-20T09:30"`
		}
	}
	bidOutput   struct{ Body BidJSON }
	changeInput struct {
		Serial string `path:"serial" maxLength:"40"`
		Body   struct {
			Code   string `json:"code" maxLength:"16" doc:"Of the SMS to the bound mobile"`
			Reason string `json:"reason,omitempty" maxLength:"32" doc:"To revoke: one of the reasons of the list"`
			Bid    string `json:"bid,omitempty" maxLength:"16" doc:"To revoke: one of the answers about open bids of the list"`
		}
	}
)

func (s *Server) apiCertificateRoutes(api huma.API) {
	operation(s, api, apiGet("/certificates"), "list-certificates", "The certificates bound to the caller", s.apiCertificates)
	operation(s, api, apiGet("/certificates/calendar"), "certificate-calendar", "An iCalendar file: when the caller's certificates can be renewed and when they end", s.apiCalendar)
	operation(s, api, apiPost("/certificates/:serial/orders"), "start-about", "Start an application about a certificate, or go on with the one begun", s.apiStartAbout)
	s.apiOpeningRoutes(api)
	s.apiCabinetRoutes(api)
	operation(s, api, apiPost("/orders/:id/restore/code"), "restore-code", "Send a code to the bound mobile, to take a freeze back", s.apiRestoreCode)
	operation(s, api, apiPost("/orders/:id/restore"), "restore-certificate", "Take a freeze back, once approved", s.apiRestore)
	operation(s, api, apiPost("/certificates/:serial/bid"), "revocation-bid", "What a revocation means for bids that are not opened yet", s.apiBid)
	operation(s, api, apiPost("/certificates/:serial/bid-reminder"), "revocation-reminder", "Put a revocation off until the bids are opened", s.apiBidReminder)
	for _, e := range []certificate.Event{certificate.Freeze, certificate.Revoke} {
		operation(s, api, apiPost("/certificates/:serial/"+string(e)+"/code"), string(e)+"-code", "Send a code to the bound mobile, to "+string(e)+" the certificate",
			func(ctx context.Context, _ *changeCodeInput) (*codeOutput, error) {
				ch, err := s.changeChallenge(ctx, e)
				if err != nil {
					return nil, err
				}
				return s.apiCode(ctx, ch)
			})
		operation(s, api, apiPost("/certificates/:serial/"+string(e)), string(e)+"-certificate", "Tell the CA to "+string(e)+" the certificate at once",
			func(ctx context.Context, in *changeInput) (*nothing, error) {
				return &nothing{}, s.apiChange(ctx, e, in)
			})
	}
}

func (s *Server) apiCertificates(ctx context.Context, _ *nothing) (*certificatesOutput, error) {
	me := callOf(ctx).v.PersonID()
	certs, err := s.Status.HeldBy(ctx, me)
	if err != nil {
		return nil, err
	}
	person, err := s.Store.Person(ctx, me)
	if err != nil {
		return nil, err
	}
	open, err := s.Store.Orders(ctx, order.Filter{PersonID: me, Open: true, Limit: 100})
	if err != nil {
		return nil, err
	}
	ahead, err := s.Status.OpeningsOf(ctx, me)
	if err != nil {
		return nil, err
	}
	lent, err := s.Status.LoansOut(ctx, me)
	if err != nil {
		return nil, err
	}
	var out certificatesOutput
	out.Body.Certificates = []CertificateJSON{}
	for _, c := range certs {
		allowed := c.Allowed(order.Applicant, s.Now())
		card := CertificateJSON{
			Serial: c.Serial, TokenSerial: c.TokenSerial, Holder: c.Holder, Mobile: person.Mobile.Mask(), NotBefore: c.NotBefore, NotAfter: c.NotAfter, State: string(c.State()), Label: c.Standing(s.Now()),
			Days: c.DaysLeft(s.Now()), CanFreeze: slices.Contains(allowed, certificate.Freeze), CanRevoke: slices.Contains(allowed, certificate.Revoke), CanRebind: c.State() != certificate.Revoked, Test: c.Product.Test,
		}
		if card.CanFreeze {
			card.FreezeAlso = alsoStopped(c, certs, certificate.Freeze, s.Now())
			card.FreezeOpenings = openingsJSON(atStake(c, certs, certificate.Command{On: certificate.Freeze}, ahead, s.Now()))
		}
		if card.CanRevoke {
			card.RevokeAlso = alsoStopped(c, certs, certificate.Revoke, s.Now())
			card.RevokeOpenings = openingsJSON(atStake(c, certs, certificate.Command{On: certificate.Revoke}, ahead, s.Now()))
			card.StolenOpenings = openingsJSON(atStake(c, certs, stolen, ahead, s.Now()))
		}
		if c.State() == certificate.Valid && c.Expired(s.Now()) {
			card.State = "expired"
		}
		card.Note, card.Offers = cardNote(c, renewing(open.Orders, c), s.Now()), s.offersJSON(c, open.Orders)
		card.Openings = openingsJSON(openingViews(c, ahead, lent, s.Now()))
		if i := slices.IndexFunc(lent, func(l certificate.Loan) bool { return l.Token == c.TokenSerial }); i >= 0 {
			loan := loanJSON(lent[i], s.Now())
			card.Loan = &loan
		}
		out.Body.Certificates = append(out.Body.Certificates, card)
	}
	for _, r := range certificate.ReasonsFor(order.Applicant) {
		out.Body.Reasons = append(out.Body.Reasons, OptionJSON{r.Name(), r.Label()})
	}
	out.Body.Bid.Question = order.BidQuestion + "？"
	for _, b := range certificate.OpenBids {
		out.Body.Bid.Answers = append(out.Body.Bid.Answers, OptionJSON{string(b), b.Label()})
	}
	return &out, nil
}

func (s *Server) apiBid(ctx context.Context, in *bidInput) (*bidOutput, error) {
	v, err := s.revocationAdvice(callOf(ctx).cert, certificate.OpenBid(in.Body.Bid), in.Body.Opening)
	if err != nil || v == nil {
		return &bidOutput{}, err
	}
	return &bidOutput{BidJSON{v.Text, v.Waiting}}, nil
}

func (s *Server) apiBidReminder(ctx context.Context, in *bidInput) (*nothing, error) {
	k := callOf(ctx)
	return &nothing{}, s.putOffRevocation(k.c, k.cert.Serial, k.v, in.Body.Opening)
}

// offersJSON is what can be applied for about a certificate now.
func (s *Server) offersJSON(cert certificate.Certificate, open []order.Order) (out []OfferJSON) {
	for _, b := range cardBusinesses {
		refused := cert.About(s.Now()).Offered(b.business)
		if o, ok := goesOn(open, cert, b.business, refused); ok {
			begun := s.orderJSON(o, nil)
			out = append(out, OfferJSON{Business: string(b.business), Label: "继续" + b.verb, Order: &begun})
			continue
		}
		products := s.productsFor(cert, b.business)
		if len(products) == 0 || refused != nil {
			continue
		}
		offer := OfferJSON{Business: string(b.business), Label: b.verb}
		for _, p := range products {
			if len(products) > 1 {
				offer.Products = append(offer.Products, OptionJSON{p.Code, p.Name})
			}
		}
		out = append(out, offer)
	}
	return out
}

func (s *Server) apiStartAbout(ctx context.Context, in *aboutInput) (*orderOutput, error) {
	k := callOf(ctx)
	o, err := s.startAbout(k.c, k.v, k.cert, order.Business(in.Body.Business), in.Body.Product)
	if err != nil {
		return nil, err
	}
	return &orderOutput{s.orderJSON(o, nil)}, nil
}

func (s *Server) apiRestoreCode(ctx context.Context, _ *idInput) (*codeOutput, error) {
	k := callOf(ctx)
	_, ch, err := s.restorableOf(k.c, k.order, k.v.PersonID())
	if err != nil {
		return nil, err
	}
	return s.apiCode(ctx, ch)
}

// apiRestore takes a freeze back (row 44).
func (s *Server) apiRestore(ctx context.Context, in *restoreInput) (*orderOutput, error) {
	k := callOf(ctx)
	if restored(k.order) {
		return &orderOutput{s.orderJSON(k.order, nil)}, nil
	}
	_, ch, err := s.restorableOf(k.c, k.order, k.v.PersonID())
	if err != nil {
		return nil, err
	}
	if err := s.Codes.Verify(ctx, ch, in.Body.Code); err != nil {
		return nil, err
	}
	o, err := s.Orders.Apply(ctx, k.order.ID, order.Command{On: order.Restore, By: k.actor(), Proven: []order.Fact{order.MobileProven}})
	if err != nil {
		return nil, err
	}
	return &orderOutput{s.orderJSON(o, nil)}, nil
}

// changeChallenge is the code that proves the bound user's mobile for this event
// and certificate. That it cannot happen is Conflict.
func (s *Server) changeChallenge(ctx context.Context, e certificate.Event) (session.Challenge, error) {
	k := callOf(ctx)
	if !slices.Contains(k.cert.Allowed(order.Applicant, s.Now()), e) {
		return session.Challenge{}, order.Errorf(order.Conflict, "certificate_unchangeable", "该证书已不能办理此项业务，请返回「我的证书」查看状态")
	}
	p, err := s.Store.Person(ctx, k.v.PersonID())
	return session.Challenge{Purpose: codePurposes[e], Mobile: p.Mobile, Subject: k.cert.Serial, IP: k.c.IP()}, err
}

// apiChange freezes or revokes: reason, answer about open bids and a code of the
// bound mobile (F102). The code is used up last, so that what was forgotten does not
// cost it.
func (s *Server) apiChange(ctx context.Context, e certificate.Event, in *changeInput) error {
	ch, err := s.changeChallenge(ctx, e)
	if err != nil {
		return err
	}
	k := callOf(ctx)
	cmd := certificate.Command{On: e, By: k.actor(), MobileProven: true}
	if e == certificate.Revoke {
		var ok bool
		if cmd.Reason, ok = certificate.ReasonNamed(in.Body.Reason); !ok {
			return order.Errorf(order.Invalid, "revocation_reason_unknown", "请选择吊销原因")
		}
		cmd.Bid = certificate.OpenBid(in.Body.Bid)
	}
	if err := k.cert.Refusal(cmd, s.Now()); err != nil {
		return err
	}
	if err := s.Codes.Verify(ctx, ch, in.Body.Code); err != nil {
		return err
	}
	_, err = s.Status.Apply(ctx, k.cert.Serial, cmd)
	return err
}
