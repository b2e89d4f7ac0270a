package handlers

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"mime"
	"net/url"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/order"
)

// csrfHeader carries the token of requests made by script, csrfField that of forms.
const (
	csrfHeader = "X-CSRF-Token"
	csrfField  = "_csrf"
)

// csrf is the token of a visitor's forms: the session's own, or for an anonymous
// browser an HMAC of its secret.
func (s *Server) csrf(v Visitor) string {
	if v.Session.CSRF != "" {
		return v.Session.CSRF
	}
	return s.mac("csrf", v.browser)
}

// mac signs parts under a key of its own for each purpose.
func (s *Server) mac(purpose string, parts ...string) string {
	h := hmac.New(sha256.New, s.Key)
	h.Write([]byte(purpose))
	for _, p := range parts {
		h.Write([]byte{0})
		h.Write([]byte(p))
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// checkForgery refuses a state-changing request that did not come from one of
// our own pages: foreign or missing origin, a body no form or script of ours
// sends (415), or a wrong token (reliability.md #21). Only the last may be a page of ours:
// one that was open before a login or its end.
func (s *Server) checkForgery(c *fiber.Ctx, v Visitor) error {
	if !s.ownOrigin(c) {
		return order.Errorf(order.Forbidden, "forged_request", "页面已过期，请刷新后重试")
	}
	if !formBody(c) {
		return fiber.ErrUnsupportedMediaType
	}
	token := c.Get(csrfHeader)
	if token == "" {
		token = c.FormValue(csrfField)
	}
	if !hmac.Equal([]byte(token), []byte(s.csrf(v))) {
		return order.Errorf(order.Forbidden, "stale_page", "页面已过期，请再试一次")
	}
	return nil
}

// stalePage is the code of a refusal for a token that does not hold any more.
const stalePage = "stale_page"

// resend is a form that was refused because the login behind it had ended. It goes
// once more from the page that says so, with everything that was typed.
type resend struct {
	To     string
	Fields []choice // Label is the name
}

// refusedForm is the form of the request, nil when it carries nothing to keep. What
// comes from elsewhere is never sent again in our name.
func (s *Server) refusedForm(c *fiber.Ctx) *resend {
	kind, _, _ := mime.ParseMediaType(c.Get(fiber.HeaderContentType))
	if c.Method() != fiber.MethodPost || kind != fiber.MIMEApplicationForm || !s.ownOrigin(c) {
		return nil
	}
	r := &resend{To: string(c.Request().URI().RequestURI())}
	for name, value := range c.Request().PostArgs().All() {
		if string(name) != csrfField {
			r.Fields = append(r.Fields, choice{Label: string(name), Value: string(value)})
		}
	}
	if len(r.Fields) == 0 {
		return nil
	}
	return r
}

// ownOrigin compares the Origin header (else the Referer) with the public URL
// and with the host the browser asked for.
func (s *Server) ownOrigin(c *fiber.Ctx) bool {
	from := c.Get(fiber.HeaderOrigin)
	if from == "" {
		from = c.Get(fiber.HeaderReferer)
	}
	u, err := url.Parse(from)
	if err != nil || u.Host == "" {
		return false
	}
	return u.Scheme == s.PublicURL.Scheme && (u.Host == s.PublicURL.Host || u.Host == string(c.Request().Host()))
}

func formBody(c *fiber.Ctx) bool {
	if len(c.Request().Body()) == 0 {
		return true
	}
	kind, _, err := mime.ParseMediaType(c.Get(fiber.HeaderContentType))
	return err == nil && slices.Contains([]string{fiber.MIMEApplicationForm, fiber.MIMEMultipartForm, fiber.MIMEApplicationJSON}, strings.ToLower(kind))
}
