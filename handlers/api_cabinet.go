package handlers

import (
	"context"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/order"
)

// LoanJSON is a line of the log of a USBKEY (ADR 0041).
type LoanJSON struct {
	ID         string     `json:"id"`
	Token      string     `json:"token" doc:"Serial of a USBKEY of ours, or id of one of another CA"`
	Borrower   string     `json:"borrower"`
	Department string     `json:"department,omitempty"`
	Purpose    string     `json:"purpose"`
	LentAt     time.Time  `json:"lent_at"`
	Due        string     `json:"due" doc:"Day on which it is due back, in Shanghai" example:"2026-12-20"`
	ReturnedAt *time.Time `json:"returned_at,omitempty" doc:"Absent while it is out"`
	Light      string     `json:"light,omitempty" enum:"yellow,red" doc:"While it is out: red is overdue"`
	Says       string     `json:"says,omitempty" doc:"While it is out: who has it and until when, in Chinese"`
}

func loanJSON(l certificate.Loan, now time.Time) LoanJSON {
	j := LoanJSON{ID: l.ID, Token: l.Token, Borrower: l.Borrower.Reveal(), Department: l.Department, Purpose: l.Purpose, LentAt: l.LentAt, Due: l.DueAt.In(order.Shanghai).Format(time.DateOnly)}
	if l.Out() {
		v := viewOfLoan(l, now)
		j.Light, j.Says = string(v.Light), v.Says
	} else {
		j.ReturnedAt = &l.ReturnedAt
	}
	return j
}

func loansJSON(all []certificate.Loan, now time.Time) []LoanJSON {
	out := make([]LoanJSON, len(all))
	for i, l := range all {
		out[i] = loanJSON(l, now)
	}
	return out
}

// OurTokenJSON is a USBKEY with a certificate of ours.
type OurTokenJSON struct {
	Token  string `json:"token" doc:"Serial of the USBKEY"`
	Holder string `json:"holder" doc:"Whose certificate it is"`
	Ends   string `json:"ends" doc:"Last day of the certificate, in Shanghai" example:"2027-05-31"`
	Days   int    `json:"days_left" doc:"Natural days in Shanghai until its certificate ends; negative afterwards"`
}

// ForeignJSON is a USBKEY of another CA.
type ForeignJSON struct {
	ID string `json:"id"`
	foreignForm
	Days int `json:"days_left" doc:"Natural days in Shanghai until its certificate ends; negative afterwards"`
}

type (
	cabinetOutput struct {
		Body struct {
			Ours    []OurTokenJSON `json:"ours" doc:"USBKEYs with a certificate of ours that is not revoked, and what of the others is out; whichever ends next first"`
			Foreign []ForeignJSON  `json:"foreign" doc:"USBKEYs of other CAs, whichever ends next first"`
			Out     []LoanJSON     `json:"out" doc:"What has been given out and is not back, ours too, the longest due first"`
		}
	}
	certificateInput struct{}
	foreignRead      struct{ Body foreignForm }
	foreignInput     struct{ Body foreignForm }
	foreignEditInput struct {
		Token string `path:"token" maxLength:"40"`
		Body  foreignForm
	}
	foreignOutput struct {
		Body struct {
			ID string `json:"id"`
		}
	}
	cabinetPath struct {
		Token string `path:"token" maxLength:"40"`
	}
	loansInput struct {
		Token string `path:"token" maxLength:"40"`
		After string `query:"after" maxLength:"64" doc:"Cursor of the page before"`
	}
	loansOutput struct {
		Body struct {
			Loans []LoanJSON `json:"loans" doc:"Newest first"`
			Next  string     `json:"next,omitempty"`
		}
	}
	lendInput struct {
		Token string `path:"token" maxLength:"40"`
		Body  lendForm
	}
	loanPath struct {
		Token string `path:"token" maxLength:"40"`
		Loan  string `path:"loan" maxLength:"26"`
	}
)

// file makes the operation one that takes the file of a certificate.
func (certificateInput) file() (what string, texts []string) {
	return "An X.509 certificate, PEM or DER, of at most 64 KiB", nil
}

func (s *Server) apiCabinetRoutes(api huma.API) {
	one := "/cabinet/:token"
	operation(s, api, apiGet("/cabinet"), "cabinet", "The caller's USBKEYs, those of other CAs, too, and who has which now", s.apiCabinet)
	operation(s, api, apiPost("/cabinet"), "add-foreign", "Register a USBKEY of another CA", s.apiAddForeign)
	operation(s, api, apiPost("/cabinet/read"), "read-certificate", "What the file of a certificate says of a USBKEY of another CA; the file is not kept, and nothing is registered", s.apiReadForeign)
	operation(s, api, apiPost(one), "change-foreign", "Write a USBKEY of another CA anew", s.apiChangeForeign)
	operation(s, api, apiPost(one+"/delete"), "delete-foreign", "Forget a USBKEY of another CA and its log", s.apiDropForeign)
	operation(s, api, apiGet(one+"/loans"), "list-loans", "The log of a USBKEY", s.apiLoans)
	operation(s, api, apiPost(one+"/loans"), "lend", "Write down who takes a USBKEY, and until when", s.apiLend)
	operation(s, api, apiPost(one+"/loans/:loan/return"), "give-back", "Write down that a USBKEY is back", s.apiBringBack)
	operation(s, api, apiPost(one+"/loans/:loan/delete"), "delete-loan", "Take a line that is over out of the log", s.apiForgetLoan)
}

func (s *Server) apiCabinet(ctx context.Context, _ *nothing) (*cabinetOutput, error) {
	now := s.Now()
	all, err := s.Status.Cabinet(ctx, callOf(ctx).v.PersonID())
	if err != nil {
		return nil, err
	}
	var out cabinetOutput
	out.Body.Ours, out.Body.Foreign, out.Body.Out = []OurTokenJSON{}, []ForeignJSON{}, loansJSON(all.Out, now)
	for _, t := range all.Tokens {
		days := (certificate.Certificate{NotAfter: t.NotAfter}).DaysLeft(now)
		if t.Foreign != nil {
			out.Body.Foreign = append(out.Body.Foreign, ForeignJSON{t.ID, formOfForeign(*t.Foreign), days})
		} else {
			out.Body.Ours = append(out.Body.Ours, OurTokenJSON{t.ID, t.Name, t.NotAfter.In(order.Shanghai).Format(time.DateOnly), days})
		}
	}
	return &out, nil
}

func (s *Server) apiAddForeign(ctx context.Context, in *foreignInput) (*foreignOutput, error) {
	k := callOf(ctx)
	f, err := s.registerForeign(k.c, k.v, in.Body)
	if err != nil {
		return nil, err
	}
	var out foreignOutput
	out.Body.ID = f.ID
	return &out, nil
}

func (s *Server) apiReadForeign(ctx context.Context, _ *certificateInput) (*foreignRead, error) {
	f, err := readUploaded(callOf(ctx).c)
	return &foreignRead{f}, err
}

func (s *Server) apiChangeForeign(ctx context.Context, in *foreignEditInput) (*nothing, error) {
	k := callOf(ctx)
	return &nothing{}, s.rewriteForeign(k.c, k.v, in.Token, in.Body)
}

func (s *Server) apiDropForeign(ctx context.Context, in *cabinetPath) (*nothing, error) {
	return &nothing{}, s.Status.DropForeign(ctx, in.Token, callOf(ctx).actor())
}

func (s *Server) apiLoans(ctx context.Context, in *loansInput) (*loansOutput, error) {
	me := callOf(ctx).v.PersonID()
	after, err := parseCursor(in.After)
	if err != nil {
		return nil, err
	}
	token, err := s.Status.OwnToken(ctx, in.Token, me)
	if err != nil {
		return nil, err
	}
	page, err := s.Status.Loans(ctx, me, token.ID, after, pageSize)
	if err != nil {
		return nil, err
	}
	var out loansOutput
	out.Body.Loans = loansJSON(page.Loans, s.Now())
	out.Body.Next = cursorText(page.Next)
	return &out, nil
}

func (s *Server) apiLend(ctx context.Context, in *lendInput) (*nothing, error) {
	k := callOf(ctx)
	return &nothing{}, s.lendTo(k.c, in.Token, k.v, in.Body)
}

func (s *Server) apiBringBack(ctx context.Context, in *loanPath) (*nothing, error) {
	return &nothing{}, s.Status.GiveBack(ctx, in.Token, in.Loan, callOf(ctx).actor())
}

func (s *Server) apiForgetLoan(ctx context.Context, in *loanPath) (*nothing, error) {
	return &nothing{}, s.Status.ForgetLoan(ctx, in.Token, in.Loan, callOf(ctx).actor())
}
