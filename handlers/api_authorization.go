package handlers

import (
	"context"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store/session"
	"github.com/yuncaidun/yuncaidun/templates/letter"
)

// The legal representative's steps in the mini-program (flows.md 4.5): the same as
// the portal's pages. The one-time token of the SMS, or of the list after a login,
// names the authorisation; the mobile is proven for each anew, and the token that
// is returned for it opens the rest for half an hour.

// AskedJSON is an authorisation in the list of a legal representative.
type AskedJSON struct {
	Ticket  string     `json:"ticket" doc:"Names the authorisation in the other operations"`
	Company string     `json:"company"`
	Product string     `json:"product"`
	Agent   string     `json:"agent" doc:"Masked: who applies"`
	Label   string     `json:"label" doc:"State in Chinese"`
	Waiting bool       `json:"waiting" doc:"For the signature"`
	AskedAt time.Time  `json:"asked_at"`
	Until   *time.Time `json:"until,omitempty" doc:"When the request expires"`
}

// FactJSON is one line of what is shown to be read.
type FactJSON struct {
	Label string `json:"label"`
	Value string `json:"value"`
	Mono  bool   `json:"mono,omitempty" doc:"A number to compare digit by digit"`
}

// LegalJSON is an authorisation before the mobile is proven.
type LegalJSON struct {
	Company      string       `json:"company"`
	Agent        string       `json:"agent" doc:"Masked: who applies"`
	Mobile       string       `json:"mobile" doc:"Masked: the number to prove"`
	Step         string       `json:"step" enum:"identity,application,done" doc:"Where it goes on once the mobile is proven"`
	Reused       bool         `json:"reused,omitempty" doc:"It stands on a lasting authorisation that he gave earlier"`
	Facts        []FactJSON   `json:"facts"`
	Document     string       `json:"document_label" doc:"Kind of his document, in Chinese"`
	Photographed bool         `json:"photographed,omitempty" doc:"The document has to be photographed, for people to look at"`
	Face         bool         `json:"face,omitempty" doc:"He can show his face instead of having the carriers asked"`
	Reasons      []OptionJSON `json:"decline_reasons"`
}

// LetterJSON is the whole letter, and how far it may go.
type LetterJSON struct {
	Title      string      `json:"title"`
	Paragraphs []string    `json:"paragraphs"`
	Scope      string      `json:"scope" doc:"How far it goes, in a sentence"`
	Scopes     []ScopeJSON `json:"scopes"`
	Wait       int         `json:"wait_seconds" doc:"How long it has still to be read before it can be signed"`
	Consent    string      `json:"consent" doc:"What is agreed to with the signature"`
	Mobile     string      `json:"mobile" doc:"Masked: where the code goes"`
}

// ScopeJSON is how far an authorisation may go.
type ScopeJSON struct {
	OptionJSON
	Chosen bool `json:"chosen"`
}

// SignedJSON is an authorisation after the signature.
type SignedJSON struct {
	Receipt  string     `json:"receipt"`
	SignedAt time.Time  `json:"signed_at"`
	Company  string     `json:"company"`
	Agent    string     `json:"agent" doc:"Masked: who applies"`
	No       string     `json:"no" doc:"Order number"`
	Reused   bool       `json:"reused,omitempty" doc:"It stands on a lasting authorisation that he gave earlier"`
	Ready    bool       `json:"ready" doc:"The letter can be downloaded"`
	Withdraw bool       `json:"can_withdraw"`
	Kept     string     `json:"kept,omitempty" doc:"Why it cannot be taken back, in Chinese"`
	Mandate  *time.Time `json:"mandate_until,omitempty" doc:"It covers further applications until then"`
	Lapsed   bool       `json:"lapsed,omitempty" doc:"It does not count for its order any more, only for further applications"`
}

// ProvenJSON says that the mobile was proven.
type ProvenJSON struct {
	Token string `json:"token" doc:"Bearer token for the other steps"`
	Step  string `json:"step" enum:"identity,application,done"`
}

// FaceJSON is a face check that was opened.
type FaceJSON struct {
	Token string `json:"token" doc:"Bearer token for the other steps from now on: only with it does the result count"`
	Page  string `json:"page" doc:"Where the camera is, a page of the provider"`
}

type (
	askedInput struct {
		Before string `query:"before" maxLength:"26" doc:"Cursor of the page before"`
	}
	askedOutput struct {
		Body struct {
			Authorizations []AskedJSON `json:"authorizations"`
			Next           string      `json:"next,omitempty"`
		}
	}
	legalOutput  struct{ Body LegalJSON }
	provenOutput struct{ Body ProvenJSON }
	faceOutput   struct{ Body FaceJSON }
	declineInput struct {
		Ticket string `path:"ticket" maxLength:"64"`
		Body   struct {
			Reason string `json:"reason" maxLength:"32" doc:"One of decline_reasons"`
		}
	}
	legalPhoneCodeInput struct {
		Ticket string `path:"ticket" maxLength:"64"`
		Body   struct {
			Mobile string `json:"mobile" maxLength:"32" doc:"As he types it; a code goes to no other than the one asked for"`
		}
	}
	legalPhoneInput struct {
		Ticket string `path:"ticket" maxLength:"64"`
		Body   struct {
			Login  string `json:"login,omitempty" maxLength:"128" doc:"Code of wx.login: whose WeChat it is, for the evidence"`
			Phone  string `json:"phone,omitempty" maxLength:"128" doc:"Code of the phone-number button; or mobile and code"`
			Mobile string `json:"mobile,omitempty" maxLength:"32"`
			Code   string `json:"code,omitempty" maxLength:"16" doc:"Of the SMS"`
		}
	}
	tailInput struct {
		Ticket string `path:"ticket" maxLength:"64"`
		Body   struct {
			Tail string `json:"tail" maxLength:"16" doc:"The last six of his document's number"`
		}
	}
	documentInput struct {
		Ticket string `path:"ticket" maxLength:"64"`
	}
	stepOutput struct {
		Body struct {
			Step string `json:"step" enum:"identity,application,done" doc:"Where it goes on"`
		}
	}
	factsOutput struct {
		Body struct {
			Facts []FactJSON `json:"facts"`
		}
	}
	noteInput struct {
		Ticket string `path:"ticket" maxLength:"64"`
		Body   struct {
			Note string `json:"note" maxLength:"1000" doc:"What is wrong; at most 100 characters"`
		}
	}
	letterInput struct {
		Ticket string `path:"ticket" maxLength:"64"`
		Body   struct {
			Until string `json:"until,omitempty" maxLength:"10" doc:"One of the scopes; nothing is this application only"`
		}
	}
	letterOutput struct{ Body LetterJSON }
	signInput    struct {
		Ticket string `path:"ticket" maxLength:"64"`
		Body   struct {
			Until     string `json:"until,omitempty" maxLength:"10" doc:"The scope of the letter that was read"`
			Read      bool   `json:"read" doc:"It was read to its end"`
			Agreed    bool   `json:"agreed" doc:"To the consent"`
			Signature string `json:"signature" maxLength:"400000" doc:"Drawn by hand: a PNG as a data URL"`
			Code      string `json:"code" maxLength:"16" doc:"Of the SMS"`
		}
	}
	signedOutput struct{ Body SignedJSON }
)

// file makes the operation one that takes a picture, with the digits beside it.
func (documentInput) file() (what string, texts []string) { return onePicture, []string{"tail"} }

func (s *Server) apiAuthorizationRoutes(api huma.API) {
	const one = "/authorizations/:ticket"
	operation(s, api, apiGet("/authorizations"), "list-authorizations", "What waits for the caller as a legal representative, and what he has signed, newest first", s.apiAsked)
	operation(s, api, apiPost(one+"/open").open(Proof), "open-authorization", "What he is asked, and why", s.apiOpenLetter)
	operation(s, api, apiPost(one+"/decline").open(Proof), "decline-authorization", "Decline; what is known of him is deleted", s.apiDecline)
	operation(s, api, apiPost(one+"/phone/code").open(Proof), "authorization-phone-code", "Send a code to the legal representative's mobile", s.apiLegalPhoneCode)
	operation(s, api, apiPost(one+"/phone").open(Proof), "prove-legal-mobile", "Prove the mobile, by WeChat's phone-number button or by SMS", s.apiLegalPhone)
	operation(s, api, apiPost(one+"/identity").open(OfLegalRep), "identify-legal-rep", "Prove who he is", s.apiIdentify)
	operation(s, api, apiPost(one+"/identity/photo").open(OfLegalRep), "identify-with-document", "Prove who he is, with a photo of a document that no provider can check", s.apiIdentifyDocument)
	operation(s, api, apiPost(one+"/face").open(OfLegalRep), "start-face-check", "Open a face check, for who knows the document's number; the same as identity where the carriers know the mobile by another name", s.apiStartFace)
	operation(s, api, apiPost(one+"/face/result").open(OfLegalRep), "finish-face-check", "Go on with the result of the face check that this token has opened", s.apiFaceResult)
	operation(s, api, apiGet(one+"/application").open(OfLegalRep), "get-application", "What he would authorise", s.apiApplication)
	operation(s, api, apiPost(one+"/return").open(OfLegalRep), "return-application", "Send it back to the applicant with a note", s.apiGiveBack)
	operation(s, api, apiPost(one+"/letter").open(OfLegalRep), "show-letter", "The whole letter; from now on the reading time runs", s.apiShowLetter)
	operation(s, api, apiPost(one+"/sign/code").open(OfLegalRep), "sign-code", "Send the code to sign with", s.apiSignCode)
	operation(s, api, apiPost(one+"/sign").open(OfLegalRep), "sign-letter", "Sign", s.apiSign)
	operation(s, api, apiGet(one+"/done").open(OfLegalRep), "get-signed", "Receipt of a signed authorisation", s.apiSigned)
	operation(s, api, apiPost(one+"/withdraw").open(OfLegalRep), "withdraw-authorization", "Take it back, until the certificate is made", s.apiWithdraw)
	operation(s, api, apiPost(one+"/revoke").open(OfLegalRep), "revoke-mandate", "End what it covers beyond this application", s.apiRevokeMandate)
	r := apiGet(one + "/letter.pdf").open(OfLegalRep)
	s.matrix = append(s.matrix, r)
	s.App.Get(r.Path, func(c *fiber.Ctx) error { // a file, which huma does not describe
		k, err := s.admitCall(c, r)
		if err != nil {
			return err
		}
		return s.sendSignedLetter(c, k.legal.auth)
	})
}

// phoneFirst refuses whoever has not proven the mobile of this authorisation.
var phoneFirst = order.Errorf(order.Unauthenticated, "legal_mobile_unproven", "请先验证手机号")

// legalRepOf is the authorisation of a call, for the session that proved its mobile.
func (s *Server) legalRepOf(ctx context.Context, ticket string, sess session.Session) (legalRep, error) {
	l, err := s.linkedTo(ctx, ticket)
	if err == nil && sess.AuthorizationID != l.auth.ID {
		err = phoneFirst
	}
	l.openID = sess.OpenID
	return l, err
}

// askedShown is how many authorisations a page of the list has.
const askedShown = 20

func (s *Server) apiAsked(ctx context.Context, in *askedInput) (*askedOutput, error) {
	p, err := s.Store.Person(ctx, callOf(ctx).v.PersonID())
	if err != nil {
		return nil, err
	}
	all, err := s.Orders.AskedOf(ctx, p.Mobile, in.Before, askedShown)
	if err != nil {
		return nil, err
	}
	var out askedOutput
	out.Body.Authorizations = []AskedJSON{}
	for _, a := range all {
		v := AskedJSON{
			Ticket: a.Token, Company: a.Order.Company, Product: a.Order.Product.Name, Agent: a.Order.Form.Masked(order.AgentName),
			Label: a.Authorization.State.Label(), Waiting: a.Authorization.Open(), AskedAt: a.Authorization.CreatedAt,
		}
		if !a.Authorization.Active() {
			v.Label = "长期授权有效"
		}
		if v.Waiting {
			v.Until = &a.Authorization.ExpiresAt
		}
		out.Body.Authorizations = append(out.Body.Authorizations, v)
	}
	if len(all) == askedShown {
		out.Body.Next = all[len(all)-1].Authorization.ID
	}
	return &out, nil
}

func factsJSON(facts []factView) (out []FactJSON) {
	for _, f := range facts {
		out = append(out, FactJSON{f.Label, f.Value, f.Mono})
	}
	return out
}

func (s *Server) apiOpenLetter(ctx context.Context, in *ticketInput) (*legalOutput, error) {
	l, err := s.linkedTo(ctx, in.Ticket)
	if err != nil {
		return nil, err
	}
	if err := s.opened(callOf(ctx).c, &l); err != nil {
		return nil, err
	}
	out := LegalJSON{
		Company: l.order.Company, Agent: l.order.Form.Masked(order.AgentName), Mobile: l.mobile().Mask(), Step: l.step(), Reused: l.auth.ReuseOf != "",
		Facts: factsJSON(l.explained()), Document: labelOfDocument(l.auth.Signer.Type), Photographed: l.photographed(), Face: s.offersFace(l),
	}
	for _, r := range declineReasons {
		out.Reasons = append(out.Reasons, OptionJSON{r.Value, r.Label})
	}
	return &legalOutput{out}, nil
}

func (s *Server) apiDecline(ctx context.Context, in *declineInput) (*nothing, error) {
	l, err := s.linkedTo(ctx, in.Ticket)
	if err != nil {
		return nil, err
	}
	return &nothing{}, s.decline(callOf(ctx).c, l, in.Body.Reason)
}

func (s *Server) apiLegalPhoneCode(ctx context.Context, in *legalPhoneCodeInput) (*codeOutput, error) {
	l, err := s.linkedTo(ctx, in.Ticket)
	if err != nil {
		return nil, err
	}
	if err := l.typed(in.Body.Mobile); err != nil {
		return nil, err
	}
	return s.apiCode(ctx, s.authChallenge(callOf(ctx).c, l, codeAuthPhone))
}

// apiLegalPhone is screen 2: WeChat vouches for the number, or an SMS code does.
func (s *Server) apiLegalPhone(ctx context.Context, in *legalPhoneInput) (*provenOutput, error) {
	c := callOf(ctx).c
	l, err := s.linkedTo(ctx, in.Ticket)
	if err != nil {
		return nil, err
	}
	if in.Body.Login != "" {
		if l.openID, _, err = s.Mini.User(ctx, in.Body.Login); err != nil {
			return nil, err
		}
	}
	if in.Body.Phone != "" {
		var m identity.Mobile
		if m, err = s.Mini.Mobile(ctx, in.Body.Phone); err == nil {
			err = l.same(m)
		}
	} else if err = l.typed(in.Body.Mobile); err == nil {
		err = s.Codes.Verify(ctx, s.authChallenge(c, l, codeAuthPhone), in.Body.Code)
	}
	if err != nil {
		return nil, err
	}
	if err := s.phoneProven(c, &l); err != nil {
		return nil, err
	}
	sess, err := s.Sessions.Create(ctx, session.Session{Kind: session.LegalRep, AuthorizationID: l.auth.ID, OpenID: l.openID})
	return &provenOutput{ProvenJSON{sess.ID, l.step()}}, err
}

// nextStep is where an authorisation goes on after a step that went well.
func nextStep(l legalRep, err error) (*stepOutput, error) {
	if err != nil {
		return nil, err
	}
	var out stepOutput
	out.Body.Step = l.step()
	return &out, nil
}

func (s *Server) apiIdentify(ctx context.Context, in *tailInput) (*stepOutput, error) {
	k := callOf(ctx)
	err := s.identifyLegalRep(k.c, &k.legal, in.Body.Tail)
	return nextStep(k.legal, err)
}

func (s *Server) apiIdentifyDocument(ctx context.Context, _ *documentInput) (*stepOutput, error) {
	k := callOf(ctx)
	err := s.identifyLegalRep(k.c, &k.legal, k.c.FormValue("tail"))
	return nextStep(k.legal, err)
}

// apiStartFace opens a face check. Only the session that has opened it gets the result,
// so it gets a new token.
func (s *Server) apiStartFace(ctx context.Context, in *tailInput) (*faceOutput, error) {
	k := callOf(ctx)
	check, page, err := s.startFace(k.c, k.legal, in.Body.Tail, s.absolute(k.legal.path("face/end")))
	if err != nil {
		return nil, err
	}
	sess := k.v.Session
	sess.FaceToken = check
	sess, err = s.Sessions.Rotate(ctx, sess)
	return &faceOutput{FaceJSON{sess.ID, page}}, err
}

func (s *Server) apiFaceResult(ctx context.Context, _ *ticketInput) (*stepOutput, error) {
	k := callOf(ctx)
	if k.v.Session.FaceToken == "" {
		return nil, order.Errorf(order.Conflict, "face_not_begun", "还没有开始人脸核验，请先输入证件号码后六位")
	}
	err := s.faceShown(k.c, &k.legal, k.v.Session.FaceToken)
	return nextStep(k.legal, err)
}

func (s *Server) apiApplication(ctx context.Context, _ *ticketInput) (*factsOutput, error) {
	l := callOf(ctx).legal
	var out factsOutput
	out.Body.Facts = factsJSON(l.asked())
	return &out, l.at(order.AtIdentityVerified)
}

func (s *Server) apiGiveBack(ctx context.Context, in *noteInput) (*nothing, error) {
	k := callOf(ctx)
	return &nothing{}, s.giveBack(k.c, k.legal, in.Body.Note)
}

func (s *Server) apiShowLetter(ctx context.Context, in *letterInput) (*letterOutput, error) {
	k := callOf(ctx)
	until, err := s.parseUntil(in.Body.Until)
	if err != nil {
		return nil, err
	}
	wait, err := s.showLetter(k.c, &k.legal)
	if err != nil {
		return nil, err
	}
	text := s.letterOf(k.legal, until)
	out := LetterJSON{
		Title: text.Title(), Paragraphs: text.Paragraphs(), Scope: text.Scope(), Wait: wait, Consent: letter.Consent, Mobile: k.legal.mobile().Mask(),
	}
	for _, sc := range s.offered(in.Body.Until) {
		out.Scopes = append(out.Scopes, ScopeJSON{OptionJSON{sc.Value, sc.Label}, sc.Chosen})
	}
	return &letterOutput{out}, nil
}

func (s *Server) apiSignCode(ctx context.Context, _ *ticketInput) (*codeOutput, error) {
	k := callOf(ctx)
	if err := k.legal.at(order.AtIdentityVerified); err != nil {
		return nil, err
	}
	return s.apiCode(ctx, s.authChallenge(k.c, k.legal, codeAuthSign))
}

func (s *Server) apiSign(ctx context.Context, in *signInput) (*stepOutput, error) {
	k := callOf(ctx)
	until, err := s.parseUntil(in.Body.Until)
	if err != nil {
		return nil, err
	}
	err = s.signLetter(k.c, &k.legal, signing{until: until, read: in.Body.Read, agreed: in.Body.Agreed, signature: in.Body.Signature, code: in.Body.Code})
	return nextStep(k.legal, err)
}

func (s *Server) apiSigned(ctx context.Context, _ *ticketInput) (*signedOutput, error) {
	l := callOf(ctx).legal
	out := SignedJSON{
		Receipt: l.auth.Proof.Receipt, SignedAt: l.auth.SignedAt, Company: l.order.Company, Agent: l.order.Form.Masked(order.AgentName), No: l.order.No,
		Reused: l.auth.ReuseOf != "", Ready: l.auth.Letter != "", Kept: l.kept(), Lapsed: l.lapsed(),
	}
	out.Withdraw = out.Kept == ""
	if l.auth.Mandate.Covers(s.Now()) {
		out.Mandate = &l.auth.Mandate.Until
	}
	return &signedOutput{out}, l.signed()
}

func (s *Server) apiWithdraw(ctx context.Context, _ *ticketInput) (*nothing, error) {
	k := callOf(ctx)
	return &nothing{}, s.withdraw(k.c, k.legal)
}

func (s *Server) apiRevokeMandate(ctx context.Context, _ *ticketInput) (*nothing, error) {
	k := callOf(ctx)
	return &nothing{}, s.Orders.RevokeMandate(ctx, k.legal.auth.ID, legalRepActor(k.c))
}
