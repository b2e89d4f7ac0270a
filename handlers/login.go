package handlers

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store/session"
)

// The purposes of SMS codes (F57).
const (
	codeLogin   = "login"
	codeConfirm = "confirm"
)

func (s *Server) loginRoutes() {
	s.get("/login", Public, s.loginPage)
	s.post("/login/code", Browser, s.loginCode)
	s.post("/login", Browser, s.loginWithCode)
	s.post("/logout", Browser, s.logoutApplicant)
	s.scanRoutes()
}

type loginView struct {
	SMS                 bool // the SMS mode; else the QR code (F16, F17)
	Next, Mobile, Error string
	Code                codeView
}

// codeView is the line with 获取验证码; Sent says that one is on its way.
type codeView struct {
	URL   string
	Sent  bool
	Wait  int // seconds until the next one may be asked for
	Error string
}

// codeWait is how long a code lives and how soon the next may be asked for (F55, F57).
const codeWait = 60

func (s *Server) loginPage(c *fiber.Ctx) error {
	if visitorOf(c).PersonID() != "" {
		return c.Redirect(localPath(c.Query("next")), http.StatusSeeOther)
	}
	mode := c.Query("mode")
	return s.render(c, http.StatusOK, "login", "登录", loginView{SMS: mode == "sms" || mode == "" && onPhone(c), Next: localPath(c.Query("next")), Code: codeView{URL: "/login/code"}})
}

// onPhone reports whether the browser says that it runs on a phone, which cannot scan
// what it shows itself.
func onPhone(c *fiber.Ctx) bool {
	return c.Get("Sec-CH-UA-Mobile") == "?1" || strings.Contains(c.Get(fiber.HeaderUserAgent), "Mobile")
}

// loginCode sends a code to the typed mobile. The answer is the same for known
// and unknown numbers.
func (s *Server) loginCode(c *fiber.Ctx) error {
	view := codeView{URL: "/login/code"}
	mobile, err := identity.ParseMobile(c.FormValue("mobile"))
	if err != nil {
		view.Error = err.Error()
		return s.render(c, http.StatusOK, "partials/code", "", view)
	}
	return s.sendCode(c, s.loginChallenge(c, mobile), view)
}

// loginChallenge binds the code to this browser.
func (s *Server) loginChallenge(c *fiber.Ctx, m identity.Mobile) session.Challenge {
	return session.Challenge{Purpose: codeLogin, Mobile: m, Subject: visitorOf(c).DraftToken(), IP: c.IP()}
}

// typedMobile reads a mobile that somebody typed.
func typedMobile(s string) (identity.Mobile, error) {
	m, err := identity.ParseMobile(s)
	if err != nil {
		return m, order.Errorf(order.Invalid, "mobile_invalid", "%s", err.Error())
	}
	return m, nil
}

// sendCode issues and sends a code and shows the countdown.
func (s *Server) sendCode(c *fiber.Ctx, ch session.Challenge, view codeView) error {
	err := s.issueCode(c.UserContext(), ch)
	switch e, ok := order.AsError(err); {
	case err == nil:
		view.Sent, view.Wait = true, codeWait
	case ok && e.Kind == order.RateLimited:
		view = view.later(e)
	default:
		return err
	}
	return s.render(c, http.StatusOK, "partials/code", "", view)
}

// later is the view for whoever has asked too often.
func (v codeView) later(e *order.Error) codeView {
	v.Error, v.Wait = e.Detail, min(int(e.RetryAfter.Seconds())+1, 3600)
	return v
}

func (s *Server) issueCode(ctx context.Context, ch session.Challenge) error {
	code, err := s.Codes.Issue(ctx, ch)
	if err != nil {
		return err
	}
	return s.SendCode(ctx, ch.Mobile, ch.Purpose, code)
}

func (s *Server) loginWithCode(c *fiber.Ctx) error {
	view := loginView{SMS: true, Next: localPath(c.FormValue("next")), Mobile: c.FormValue("mobile"), Code: codeView{URL: "/login/code"}}
	mobile, err := identity.ParseMobile(view.Mobile)
	if err == nil {
		err = s.Codes.Verify(c.UserContext(), s.loginChallenge(c, mobile), c.FormValue("code"))
		if e, ok := order.AsError(err); ok && e.Kind != order.Unavailable {
			err = &formFault{e.Detail}
		}
	} else {
		err = &formFault{err.Error()}
	}
	if fault, ok := errors.AsType[*formFault](err); ok {
		view.Error = fault.text
		return s.render(c, http.StatusUnprocessableEntity, "login", "登录", view)
	}
	if err != nil {
		return err
	}
	person, err := s.personByMobile(c.UserContext(), mobile)
	if err != nil {
		return err
	}
	if err := s.login(c, session.Session{Kind: session.Applicant, PersonID: person.ID}); err != nil {
		return err
	}
	return c.Redirect(view.Next, http.StatusSeeOther)
}

// formFault is shown on the form instead of on an error page.
type formFault struct{ text string }

func (f *formFault) Error() string { return f.text }

// personByMobile finds the person with a proven mobile, or makes one.
func (s *Server) personByMobile(ctx context.Context, m identity.Mobile) (order.Person, error) {
	var p order.Person
	err := s.Store.InTx(ctx, func(tx order.Tx) (err error) {
		p, err = tx.PersonByMobile(ctx, order.Person{ID: s.NewID(), Mobile: m, CreatedAt: s.Now()})
		return err
	})
	return p, err
}

func (s *Server) logoutApplicant(c *fiber.Ctx) error {
	if err := s.logout(c, session.Applicant); err != nil {
		return err
	}
	return c.Redirect("/", http.StatusSeeOther)
}

// localPath is where to go after the login: a path of ours, nothing else.
func localPath(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n") {
		return "/orders"
	}
	return next
}
