package handlers

import (
	"errors"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/order"
)

// Problem is an RFC 9457 problem document.
type Problem struct {
	Type     string             `json:"type"`
	Title    string             `json:"title"`
	Status   int                `json:"status"`
	Detail   string             `json:"detail,omitempty"`
	Instance string             `json:"instance,omitempty"` // the request ID, to quote to support
	Code     string             `json:"code"`
	Fields   []order.FieldError `json:"fields,omitempty"`

	retryAfter int    // seconds
	login      string // page to log in on, where that may be what is missing
}

// Login is the page to log in on, where that may be what is missing.
func (p Problem) Login() string { return p.login }

// problemBase is where docs/problems.md is published.
const problemBase = "https://github.com/yuncaidun/yuncaidun/blob/main/docs/problems.md#"

// statusOf is the only place where error kinds meet HTTP.
var statusOf = map[order.Kind]int{
	order.Invalid:         http.StatusUnprocessableEntity,
	order.Unauthenticated: http.StatusUnauthorized,
	order.Forbidden:       http.StatusForbidden,
	order.NotFound:        http.StatusNotFound,
	order.Conflict:        http.StatusConflict,
	order.RateLimited:     http.StatusTooManyRequests,
	order.Unavailable:     http.StatusServiceUnavailable,
}

// ordinary says in words what fiber's own refusals mean.
var ordinary = map[int]string{
	http.StatusNotFound:                    "没有找到您要的页面，请检查网址或返回首页",
	http.StatusMethodNotAllowed:            "该地址不支持这种操作",
	http.StatusRequestEntityTooLarge:       "内容太大，图片请不要超过 8M",
	http.StatusRequestHeaderFieldsTooLarge: "请求内容太大，请清除浏览器缓存后重试",
	http.StatusUnsupportedMediaType:        "请求的内容类型（Content-Type）不支持：接口请用 application/json，网页请用表单提交",
	http.StatusBadRequest:                  "请求内容不完整，请刷新页面后重试",
}

// problemFor turns any error into what the outside may know of it. Only a domain
// error may say why.
func problemFor(err error) Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return *p
	}
	if e, ok := order.AsError(err); ok {
		status := statusOf[e.Kind]
		return Problem{
			Type: problemBase + e.Code, Title: http.StatusText(status), Status: status, Detail: e.Detail, Code: e.Code,
			Fields: e.Fields, retryAfter: int(math.Ceil(e.RetryAfter.Seconds())),
		}
	}
	if e, ok := errors.AsType[*fiber.Error](err); ok { // no route, body too large, …
		return Problem{Type: "about:blank", Title: http.StatusText(e.Code), Status: e.Code, Detail: ordinary[e.Code], Code: "http"}
	}
	return Problem{Type: "about:blank", Title: "Internal Server Error", Status: http.StatusInternalServerError, Detail: "系统出了点问题，我们已经记录。请稍后重试，或联系客服 400-666-3999", Code: "internal"}
}

// The following make a Problem an error that huma passes on as it is.

func (p *Problem) Error() string { return p.Code }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// failed is fiber's error handler: whatever a handler returns becomes a problem
// document, a message on the page (htmx) or an error page here. It is logged once.
func (s *Server) failed(c *fiber.Ctx, err error) error {
	p := problemFor(err)
	p.Instance = c.GetRespHeader(fiber.HeaderXRequestID)
	if p.Status >= http.StatusInternalServerError {
		s.Log.LogAttrs(c.UserContext(), slog.LevelError, "request failed", slog.String("route", c.Route().Path), slog.String("request_id", p.Instance), slog.Any("err", err))
	}
	setRetryAfter(c, p)
	c.Set(fiber.HeaderCacheControl, "no-store")
	if _, admitted := c.UserContext().Value(visitorKey{}).(Visitor); !admitted && !wantsJSON(c) {
		_ = s.admit(c, route{Access: Public}) // a page that is not there still knows who is logged in
	}
	again := s.mayGoAgain(c, &p)
	onPage := c.Get("HX-Request") == "true" && unsafeMethod(c.Method()) && p.login != "" // what else the page shows is kept
	switch {
	case wantsJSON(c):
		return c.Status(p.Status).JSON(p, "application/problem+json")
	case p.Status == http.StatusUnauthorized && again == nil && !onPage:
		return s.toLogin(c)
	case c.Get("HX-Request") == "true":
		return s.render(c, p.Status, "partials/notice", "", p)
	default:
		page, on := "error", []choice{{Value: "/", Label: "返回首页"}, {Value: "/orders", Label: "我的订单"}}
		if p.Status == http.StatusConflict && strings.HasPrefix(c.Route().Path, "/orders/:id/") {
			on[0] = choice{Value: actionURL(order.ID(c.Params("id")), order.ActionView), Label: "查看这个订单"}
		}
		if inConsole(c) {
			page, on = "staff/error", []choice{{Value: "/staff", Label: "返回审核台"}}
		}
		return s.render(c, p.Status, page, p.heading(), errorView{p, on, again})
	}
}

// mayGoAgain looks whether a login that has ended is what a page was refused for. Then
// nothing is lost: the page of a script keeps what it shows and takes its token anew,
// any other form comes back with the refusal.
func (s *Server) mayGoAgain(c *fiber.Ctx, p *Problem) *resend {
	v := visitorOf(c)
	loggedIn, ofLink := v.Session.CSRF != "", strings.HasPrefix(c.Path(), "/auth/")
	switch {
	case p.Code == stalePage:
	case loggedIn || ofLink, p.Status != http.StatusUnauthorized && p.Code != orderNotFound.Code:
		return nil
	}
	if !loggedIn && !ofLink {
		p.login = loginPath(c)
	}
	if c.Get("HX-Request") == "true" {
		if p.Code == stalePage {
			c.Set(csrfHeader, s.csrf(v))
		}
		return nil
	}
	return s.refusedForm(c)
}

func setRetryAfter(c *fiber.Ctx, p Problem) {
	if p.retryAfter > 0 {
		c.Set(fiber.HeaderRetryAfter, strconv.Itoa(p.retryAfter))
	}
}

// heading is the title of the error page.
func (p Problem) heading() string {
	if p.Code == stalePage {
		return "页面已过期"
	}
	switch p.Status {
	case http.StatusNotFound:
		return "没有找到"
	case http.StatusForbidden:
		return "不能这样操作"
	case http.StatusConflict:
		return "情况有变化"
	case http.StatusTooManyRequests:
		return "操作太频繁"
	case http.StatusUnprocessableEntity:
		return "请再检查一下"
	default:
		return "暂时无法完成"
	}
}

// wantsJSON tells programs from people.
func wantsJSON(c *fiber.Ctx) bool {
	ofPrograms := []string{"/api/", "/callbacks/", "/helper/", "/pki/", "/station/"}
	if slices.ContainsFunc(ofPrograms, func(prefix string) bool { return strings.HasPrefix(c.Path(), prefix) }) {
		return true
	}
	return c.Accepts(fiber.MIMETextHTML, fiber.MIMEApplicationJSON, "application/problem+json") != fiber.MIMETextHTML
}

// errorView is what went wrong, and where to go on.
type errorView struct {
	Problem

	Links []choice
	Again *resend
}

// inConsole reports whether the staff's pages are asked for.
func inConsole(c *fiber.Ctx) bool {
	return c.Path() == "/staff" || strings.HasPrefix(c.Path(), "/staff/")
}

// toLogin sends a page to the login and back; a fragment tells htmx to do so.
func (s *Server) toLogin(c *fiber.Ctx) error {
	to := loginPath(c)
	if c.Get("HX-Request") == "true" {
		c.Set("HX-Redirect", to)
		return c.SendStatus(http.StatusUnauthorized)
	}
	return c.Redirect(to, http.StatusSeeOther)
}

// loginPath is the login that leads back to the page asked for.
func loginPath(c *fiber.Ctx) string {
	next := string(c.Request().URI().RequestURI())
	if unsafeMethod(c.Method()) || c.Get("HX-Request") == "true" {
		next = "/orders"
	}
	if inConsole(c) {
		return "/staff/login?next=" + url.QueryEscape(next)
	}
	return "/login?next=" + url.QueryEscape(next)
}

// correctable is what a person is told beside the form that he can put right.
func correctable(err error) (detail string, ok bool) {
	e, ok := order.AsError(err)
	if !ok || e.Kind != order.Invalid && e.Kind != order.RateLimited {
		return "", false
	}
	return e.Detail, true
}
