package handlers

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/danielgtaylor/huma/v2"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store/session"
)

// The mini-program logs in by a code of wx.login, without a word to the person,
// and again whenever its token has run out. Only a WeChat user who is new to us
// is asked for a mobile, by WeChat's phone-number button or by SMS (F21). The
// official account's and the mini-program's users are joined by the union id.

// ticketBind is a WeChat user who has still to prove a mobile.
const ticketBind = "mini_bind"

type miniUser struct{ OpenID, UnionID string }

// LoginJSON is the answer to every step of a login: a token, or a ticket for the
// step that is still missing.
type LoginJSON struct {
	Token string      `json:"token,omitempty" doc:"Bearer token; log in again with a new code when it is refused"`
	Bind  string      `json:"bind,omitempty" doc:"This WeChat user has no mobile yet: ticket for login-phone and login-sms, good for ten minutes"`
	Me    *PersonJSON `json:"me,omitempty"`
}

// PersonJSON is the caller as he may see himself.
type PersonJSON struct {
	Mobile string `json:"mobile" doc:"Masked" example:"177****7069"`
	Staff  bool   `json:"staff" doc:"Has tasks of staff"`
}

type (
	loginInput struct {
		Body struct {
			Code   string `json:"code" minLength:"1" maxLength:"128" doc:"Of wx.login"`
			Switch bool   `json:"switch,omitempty" doc:"Ask for another mobile although this WeChat user has one"`
		}
	}
	phoneInput struct {
		Body struct {
			Bind string `json:"bind" minLength:"1" maxLength:"64"`
			Code string `json:"code" minLength:"1" maxLength:"128" doc:"Of the phone-number button"`
		}
	}
	smsCodeInput struct {
		Body struct {
			Bind   string `json:"bind" minLength:"1" maxLength:"64"`
			Mobile string `json:"mobile" maxLength:"32"`
		}
	}
	smsInput struct {
		Body struct {
			Bind   string `json:"bind" minLength:"1" maxLength:"64"`
			Mobile string `json:"mobile" maxLength:"32"`
			Code   string `json:"code" maxLength:"16" doc:"Of the SMS"`
		}
	}
	loginOutput struct{ Body LoginJSON }
	meOutput    struct{ Body PersonJSON }
	// CodeJSON says that a code is on its way.
	CodeJSON struct {
		Wait int `json:"wait_seconds" doc:"When the next one may be asked for"`
	}
	codeOutput struct{ Body CodeJSON }
	nothing    struct{}
)

func (s *Server) apiLoginRoutes(api huma.API) {
	operation(s, api, apiPost("/login").open(Proof), "login", "Log in by a code of wx.login", s.apiLogin)
	operation(s, api, apiPost("/login/phone").open(Proof), "login-phone", "Finish a login by WeChat's phone-number button", s.apiLoginPhone)
	operation(s, api, apiPost("/login/sms/code").open(Proof), "login-sms-code", "Send a code to a mobile, to finish a login", s.apiLoginSMSCode)
	operation(s, api, apiPost("/login/sms").open(Proof), "login-sms", "Finish a login by SMS", s.apiLoginSMS)
	operation(s, api, apiPost("/logout"), "logout", "End the session at once", s.apiLogout)
	operation(s, api, apiPost("/me/unbind"), "unbind", "End what ties the caller to WeChat, and all his sessions", s.apiUnbind)
	operation(s, api, apiGet("/me"), "me", "Who is logged in", s.apiMe)
}

func (s *Server) apiLogin(ctx context.Context, in *loginInput) (*loginOutput, error) {
	var u miniUser
	var err error
	if u.OpenID, u.UnionID, err = s.Mini.User(ctx, in.Body.Code); err != nil {
		return nil, err
	}
	if !in.Body.Switch {
		p, err := s.knownUser(ctx, u)
		if err == nil {
			return s.loggedIn(ctx, u, p)
		}
		if !errors.Is(err, order.NotFound) {
			return nil, err
		}
	}
	value, err := json.Marshal(u)
	if err != nil {
		return nil, err
	}
	ticket, err := s.Tickets.Put(ctx, ticketBind, value, loginLife)
	return &loginOutput{LoginJSON{Bind: ticket}}, err
}

// knownUser is the person behind a user of the mini-program. One whom only the
// official account knows is linked here too.
func (s *Server) knownUser(ctx context.Context, u miniUser) (order.Person, error) {
	p, err := s.Store.PersonByWeChat(ctx, s.Mini.AppID, u.OpenID)
	if !errors.Is(err, order.NotFound) || u.UnionID == "" {
		return p, err
	}
	if p, err = s.Store.PersonByUnionID(ctx, u.UnionID); err != nil {
		return p, err
	}
	return p, s.Store.InTx(ctx, func(tx order.Tx) error { return s.linkMini(ctx, tx, u, p) })
}

// linkMini records that a user of the mini-program is this person.
func (s *Server) linkMini(ctx context.Context, tx order.Tx, u miniUser, p order.Person) error {
	w := order.WeChatIdentity{AppID: s.Mini.AppID, OpenID: u.OpenID, UnionID: u.UnionID, PersonID: p.ID, Subscribed: true, UpdatedAt: s.Now()}
	return order.BindWeChat(ctx, tx, w, order.Actor{Role: order.Applicant, PersonID: p.ID, Channel: order.MiniProgram, IP: callOf(ctx).c.IP()}, "bind_wechat")
}

func (s *Server) loggedIn(ctx context.Context, u miniUser, p order.Person) (*loginOutput, error) {
	sess, err := s.Sessions.Create(ctx, session.Session{Kind: session.Mini, PersonID: p.ID, OpenID: u.OpenID})
	if err != nil {
		return nil, err
	}
	me, err := s.personJSON(ctx, p)
	return &loginOutput{LoginJSON{Token: sess.ID, Me: &me}}, err
}

func (s *Server) personJSON(ctx context.Context, p order.Person) (PersonJSON, error) {
	m, err := s.Store.StaffByPerson(ctx, p.ID)
	if errors.Is(err, order.NotFound) {
		err = nil
	}
	return PersonJSON{Mobile: p.Mobile.Mask(), Staff: m.ID != "" && !m.Disabled}, err
}

// binding reads the ticket of a login in progress.
func (s *Server) binding(ctx context.Context, ticket string) (u miniUser, err error) {
	value, err := s.Tickets.Peek(ctx, ticketBind, ticket)
	if errors.Is(err, order.NotFound) {
		return u, loginExpired
	}
	if err != nil {
		return u, err
	}
	return u, json.Unmarshal(value, &u)
}

// bind ends a login with the mobile that was proven; of two, one succeeds.
func (s *Server) bind(ctx context.Context, ticket string, u miniUser, m identity.Mobile) (*loginOutput, error) {
	if _, err := s.Tickets.Take(ctx, ticketBind, ticket); err != nil {
		if errors.Is(err, order.NotFound) {
			err = loginExpired
		}
		return nil, err
	}
	var p order.Person
	err := s.Store.InTx(ctx, func(tx order.Tx) (err error) {
		if p, err = tx.PersonByMobile(ctx, order.Person{ID: s.NewID(), Mobile: m, CreatedAt: s.Now()}); err != nil {
			return err
		}
		return s.linkMini(ctx, tx, u, p)
	})
	if err != nil {
		return nil, err
	}
	return s.loggedIn(ctx, u, p)
}

func (s *Server) apiLoginPhone(ctx context.Context, in *phoneInput) (*loginOutput, error) {
	u, err := s.binding(ctx, in.Body.Bind)
	if err != nil {
		return nil, err
	}
	m, err := s.Mini.Mobile(ctx, in.Body.Code)
	if err != nil {
		return nil, err
	}
	return s.bind(ctx, in.Body.Bind, u, m)
}

// miniChallenge binds an SMS code to the WeChat user.
func (s *Server) miniChallenge(ctx context.Context, ticket, typed string) (u miniUser, ch session.Challenge, err error) {
	if u, err = s.binding(ctx, ticket); err != nil {
		return u, ch, err
	}
	m, err := typedMobile(typed)
	if err != nil {
		return u, ch, err
	}
	return u, session.Challenge{Purpose: codeLogin, Mobile: m, Subject: "mini:" + u.OpenID, IP: callOf(ctx).c.IP()}, nil
}

func (s *Server) apiLoginSMSCode(ctx context.Context, in *smsCodeInput) (*codeOutput, error) {
	_, ch, err := s.miniChallenge(ctx, in.Body.Bind, in.Body.Mobile)
	if err != nil {
		return nil, err
	}
	return s.apiCode(ctx, ch)
}

// apiCode sends a code.
func (s *Server) apiCode(ctx context.Context, ch session.Challenge) (*codeOutput, error) {
	if err := s.issueCode(ctx, ch); err != nil {
		return nil, err
	}
	return &codeOutput{CodeJSON{Wait: codeWait}}, nil
}

func (s *Server) apiLoginSMS(ctx context.Context, in *smsInput) (*loginOutput, error) {
	u, ch, err := s.miniChallenge(ctx, in.Body.Bind, in.Body.Mobile)
	if err != nil {
		return nil, err
	}
	if err := s.Codes.Verify(ctx, ch, in.Body.Code); err != nil {
		return nil, err
	}
	return s.bind(ctx, in.Body.Bind, u, ch.Mobile)
}

// apiLogout ends the session of the token, or of the cookie.
func (s *Server) apiLogout(ctx context.Context, _ *nothing) (*nothing, error) {
	k := callOf(ctx)
	if token, ok := bearer(k.c); ok {
		return &nothing{}, s.Sessions.Delete(ctx, session.Mini, token)
	}
	return &nothing{}, s.logout(k.c, session.Applicant)
}

// apiUnbind ends the caller's binding, and the session that asks for it.
func (s *Server) apiUnbind(ctx context.Context, in *nothing) (*nothing, error) {
	if err := s.unbind(ctx, callOf(ctx).actor()); err != nil {
		return nil, err
	}
	return s.apiLogout(ctx, in)
}

func (s *Server) apiMe(ctx context.Context, _ *nothing) (*meOutput, error) {
	p, err := s.Store.Person(ctx, callOf(ctx).v.PersonID())
	if err != nil {
		return nil, err
	}
	me, err := s.personJSON(ctx, p)
	return &meOutput{me}, err
}
