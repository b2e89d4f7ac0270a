package handlers

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"github.com/yuncaidun/yuncaidun/store/session"
)

// ProofJSON says that the bound mobile was proven.
type ProofJSON struct {
	Proof string `json:"proof" doc:"For the second step, ten minutes long"`
}

type (
	serialInput struct {
		Serial string `path:"serial" maxLength:"40"`
	}
	proveInput struct {
		Serial string `path:"serial" maxLength:"40"`
		Body   struct {
			Code string `json:"code" maxLength:"16" doc:"Of the SMS to the bound mobile"`
		}
	}
	proofOutput    struct{ Body ProofJSON }
	newMobileInput struct {
		Serial string `path:"serial" maxLength:"40"`
		Body   struct {
			Mobile string `json:"mobile" maxLength:"32" doc:"The new one"`
			Proof  string `json:"proof" maxLength:"64"`
		}
	}
	rebindInput struct {
		Serial string `path:"serial" maxLength:"40"`
		Body   struct {
			Mobile string `json:"mobile" maxLength:"32" doc:"The new one"`
			Proof  string `json:"proof" maxLength:"64"`
			Code   string `json:"code" maxLength:"16" doc:"Of the SMS to the new mobile"`
		}
	}
	handoversOutput struct {
		Body struct {
			Businesses []OptionJSON `json:"businesses"`
		}
	}
	handoverInput struct {
		Body struct {
			Business string `json:"business" maxLength:"32"`
			Token    string `json:"token_serial" maxLength:"40" doc:"Printed on the USBKEY"`
			USCC     string `json:"uscc" maxLength:"40" doc:"The company's unified social credit code"`
		}
	}
)

// apiRebindRoutes give a certificate to another mobile: by the bound user with two
// codes, or by somebody of the company with a stamped letter (F101).
func (s *Server) apiRebindRoutes(api huma.API) {
	operation(s, api, apiPost("/certificates/:serial/rebind/code"), "rebind-code", "Send a code to the bound mobile, to give the certificate to another", s.apiRebindCode)
	operation(s, api, apiPost("/certificates/:serial/rebind/prove"), "prove-old-mobile", "Prove the bound mobile", s.apiProveOld)
	operation(s, api, apiPost("/certificates/:serial/rebind/new/code"), "rebind-new-code", "Send a code to the new mobile", s.apiRebindNewCode)
	operation(s, api, apiPost("/certificates/:serial/rebind").orGiven(), "rebind-certificate", "Give the certificate to the new mobile", s.apiRebind)
	operation(s, api, apiGet("/handovers"), "list-handovers", "What can be applied for without the bound mobile", s.apiHandovers)
	operation(s, api, apiPost("/handovers"), "start-handover", "Start an application about a certificate that the caller can name, or go on with the one begun", s.apiHandover)
}

// oldChallengeOf is the code that proves the bound mobile.
func (s *Server) oldChallengeOf(ctx context.Context) (session.Challenge, error) {
	k := callOf(ctx)
	p, err := s.bound(ctx, k.cert)
	return oldChallenge(k.c, k.cert.Serial, p), err
}

func (s *Server) apiRebindCode(ctx context.Context, _ *serialInput) (*codeOutput, error) {
	ch, err := s.oldChallengeOf(ctx)
	if err != nil {
		return nil, err
	}
	return s.apiCode(ctx, ch)
}

func (s *Server) apiProveOld(ctx context.Context, in *proveInput) (*proofOutput, error) {
	ch, err := s.oldChallengeOf(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.Codes.Verify(ctx, ch, in.Body.Code); err != nil {
		return nil, err
	}
	k := callOf(ctx)
	ticket, err := s.keepProof(ctx, proof{k.cert.Serial, k.v.PersonID()})
	return &proofOutput{ProofJSON{ticket}}, err
}

// newChallengeOf is the code that proves the new mobile, for whoever has proven the
// bound one.
func (s *Server) newChallengeOf(ctx context.Context, mobile, ticket string) (session.Challenge, error) {
	k := callOf(ctx)
	if _, err := s.bound(ctx, k.cert); err != nil {
		return session.Challenge{}, err
	}
	if err := s.oldProven(ctx, ticket, proof{k.cert.Serial, k.v.PersonID()}); err != nil {
		return session.Challenge{}, err
	}
	m, err := typedMobile(mobile)
	if err != nil {
		return session.Challenge{}, err
	}
	return newChallenge(k.c, k.cert.Serial, m), nil
}

func (s *Server) apiRebindNewCode(ctx context.Context, in *newMobileInput) (*codeOutput, error) {
	ch, err := s.newChallengeOf(ctx, in.Body.Mobile, in.Body.Proof)
	if err != nil {
		return nil, err
	}
	return s.apiCode(ctx, ch)
}

func (s *Server) apiRebind(ctx context.Context, in *rebindInput) (*nothing, error) {
	k := callOf(ctx)
	if k.cert.PersonID != k.v.PersonID() {
		return &nothing{}, s.givenTo(ctx, k.cert, in.Body.Mobile)
	}
	ch, err := s.newChallengeOf(ctx, in.Body.Mobile, in.Body.Proof)
	if err != nil {
		return nil, err
	}
	if err := s.Codes.Verify(ctx, ch, in.Body.Code); err != nil {
		return nil, err
	}
	return &nothing{}, s.hand(ctx, k.cert.Serial, k.actor(), ch.Mobile, in.Body.Proof)
}

func (s *Server) apiHandovers(context.Context, *nothing) (*handoversOutput, error) {
	var out handoversOutput
	for _, h := range handovers {
		out.Body.Businesses = append(out.Body.Businesses, OptionJSON{h.Value, h.Label})
	}
	return &out, nil
}

func (s *Server) apiHandover(ctx context.Context, in *handoverInput) (*orderOutput, error) {
	named, err := nameKey(in.Body.Business, in.Body.Token, in.Body.USCC)
	if err != nil {
		return nil, err
	}
	k := callOf(ctx)
	o, err := s.beginHandover(ctx, named, k.v, k.actor())
	if err != nil {
		return nil, err
	}
	return &orderOutput{s.orderJSON(o, nil)}, nil
}
