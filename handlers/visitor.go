package handlers

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store/session"
)

// Visitor is whoever sent the request: a login, or just a browser.
type Visitor struct {
	Session session.Session // zero without a login
	browser string          // secret of the browser cookie; never leaves the request
}

// PersonID is the person logged in, or "".
func (v Visitor) PersonID() string { return v.Session.PersonID }

// DraftToken is how an anonymous draft knows its owner: the hash of the
// browser's secret, or "".
func (v Visitor) DraftToken() string {
	if v.browser == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(v.browser))
	return hex.EncodeToString(sum[:])
}

// Actor is the visitor acting as an applicant.
func (v Visitor) Actor(c *fiber.Ctx) order.Actor {
	return order.Actor{Role: order.Applicant, PersonID: v.PersonID(), Channel: channelOf(c), IP: c.IP()}
}

// channelOf is the surface a request came through: the mini-program's carry a
// bearer token, or go to what only it uses; the official account's links open in
// WeChat's own browser.
func channelOf(c *fiber.Ctx) order.Channel {
	if _, ok := bearer(c); ok || strings.HasPrefix(c.Path(), "/api/v1/photos/") || strings.HasPrefix(c.Path(), "/api/v1/authorizations/") {
		return order.MiniProgram
	}
	if strings.Contains(c.Get(fiber.HeaderUserAgent), "MicroMessenger") {
		return order.OfficialAcc
	}
	return order.Web
}

type visitorKey struct{}

// visitorOf returns the visitor whom the gate admitted.
func visitorOf(c *fiber.Ctx) Visitor {
	v, _ := c.UserContext().Value(visitorKey{}).(Visitor)
	return v
}

// draftAge is how long a browser remembers an anonymous draft after it saved something,
// which is as long as the draft is kept (order.KeepAnonymous).
const draftAge = 30 * 24 * time.Hour

// visitor reads the cookies. A browser without a secret gets one, and keeps it from its
// last save on.
func (s *Server) visitor(c *fiber.Ctx, kind session.Kind) (Visitor, error) {
	v := Visitor{browser: c.Cookies(s.cookieName("browser"))}
	if known := len(v.browser) == 43; !known || unsafeMethod(c.Method()) {
		if !known {
			v.browser = secret()
		}
		s.setCookie(c, "browser", v.browser, draftAge)
	}
	id := c.Cookies(s.cookieName(string(kind)))
	if id == "" {
		return v, nil
	}
	sess, err := s.Sessions.Get(c.UserContext(), kind, id)
	if errors.Is(err, order.Unauthenticated) {
		s.dropCookie(c, string(kind))
		return v, nil
	}
	v.Session = sess
	return v, err
}

// login starts a session for the visitor; an earlier one of this browser ends.
func (s *Server) login(c *fiber.Ctx, sess session.Session) error {
	if old := c.Cookies(s.cookieName(string(sess.Kind))); old != "" {
		if err := s.Sessions.Delete(c.UserContext(), sess.Kind, old); err != nil {
			return err
		}
	}
	created, err := s.Sessions.Create(c.UserContext(), sess)
	if err != nil {
		return err
	}
	s.setCookie(c, string(sess.Kind), created.ID, sess.Kind.Absolute())
	return nil
}

// logout ends the session at once (F22). An applicant leaves nothing to who comes next to
// the same browser, not what was typed into it before the login either.
func (s *Server) logout(c *fiber.Ctx, kind session.Kind) error {
	id := c.Cookies(s.cookieName(string(kind)))
	s.dropCookie(c, string(kind))
	if kind == session.Applicant {
		s.dropCookie(c, "browser")
	}
	if id == "" {
		return nil
	}
	return s.Sessions.Delete(c.UserContext(), kind, id)
}

// cookieName is bound to the host by the browser itself where https allows it.
func (s *Server) cookieName(what string) string {
	if s.secure() {
		return "__Host-ycd_" + what
	}
	return "ycd_" + what
}

func (s *Server) setCookie(c *fiber.Ctx, what, value string, age time.Duration) {
	c.Cookie(&fiber.Cookie{
		Name: s.cookieName(what), Value: value, Path: "/", MaxAge: int(age.Seconds()),
		HTTPOnly: true, Secure: s.secure(), SameSite: fiber.CookieSameSiteLaxMode,
	})
}

func (s *Server) dropCookie(c *fiber.Ctx, what string) {
	c.Cookie(&fiber.Cookie{
		Name: s.cookieName(what), Path: "/", MaxAge: -1, Expires: time.Unix(1, 0),
		HTTPOnly: true, Secure: s.secure(), SameSite: fiber.CookieSameSiteLaxMode,
	})
}

// secret returns 256 random bits for a cookie or a URL.
func secret() string {
	b := make([]byte, 32)
	rand.Read(b) // never fails: it ends the program instead
	return base64.RawURLEncoding.EncodeToString(b)
}
