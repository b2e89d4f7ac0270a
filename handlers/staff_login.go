package handlers

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store/session"
)

// Staff log in with two factors: WeChat says who holds the telephone, a TOTP
// code that it is the right person (NSR 2.2.3). A WeChat user who is new to us is
// bound by an SMS code first. Until the last step there is no session, only a
// ticket that names how far this browser has come.

// codeStaffBind is the purpose of the SMS code that binds a WeChat user.
const codeStaffBind = "staff_bind"

// The tickets of a login in progress.
const (
	ticketOAuth = "staff_oauth"
	ticketStep  = "staff_step"

	loginLife = 10 * time.Minute
)

// How often codes may be tried per member of staff. 30 tries a day at three
// valid codes in a million keep the chance of a hit below 10⁻⁴ (reliability.md #17).
const (
	totpTries      = 10
	totpTriesIn    = 15 * time.Minute
	totpTriesADay  = 30
	totpRemembered = 10 * time.Minute // longer than a code is valid
)

func (k *console) signInRoutes() {
	k.get("/staff/login", Public, k.signIn)
	k.get("/staff/login/wechat", Public, k.toWeChat)
	k.get("/staff/login/callback", Public, k.fromWeChat)
	k.get("/staff/login/bind", Browser, k.bindPage)
	k.post("/staff/login/bind/code", Browser, k.bindCode)
	k.post("/staff/login/bind", Browser, k.bind)
	k.get("/staff/login/totp", Browser, k.totpPage)
	k.post("/staff/login/totp", Browser, k.totp)
}

type staffLoginView struct {
	Next, Error string
}

// signIn offers the WeChat login; inside WeChat it begins by itself.
func (k *console) signIn(c *fiber.Ctx) error {
	next := staffPath(c.Query("next"))
	if insideWeChat(c) {
		return c.Redirect("/staff/login/wechat?next="+url.QueryEscape(next), http.StatusSeeOther)
	}
	return k.render(c, http.StatusOK, "staff/login", "工作人员登录", staffLoginView{Next: next})
}

// loginFailed starts over and says why.
func (k *console) loginFailed(c *fiber.Ctx, err error) error {
	e, ok := order.AsError(err)
	if !ok {
		return err
	}
	return k.render(c, statusOf[e.Kind], "staff/login", "工作人员登录", staffLoginView{Next: "/staff", Error: e.Detail})
}

// oauthTicket is what the state parameter stands for: one round trip of one browser.
type oauthTicket struct {
	Browser, Next string
}

func (k *console) toWeChat(c *fiber.Ctx) error {
	state, err := k.putTicket(c, ticketOAuth, oauthTicket{visitorOf(c).DraftToken(), staffPath(c.Query("next"))})
	if err != nil {
		return k.loginFailed(c, err)
	}
	return c.Redirect(k.AuthorizeURL(k.absolute("/staff/login/callback"), state), http.StatusSeeOther)
}

func (k *console) putTicket(c *fiber.Ctx, purpose string, v any) (string, error) {
	value, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	return k.Tickets.Put(c.UserContext(), purpose, value, loginLife)
}

// step is how far a login has come. Without StaffID the WeChat user is not
// bound yet.
type step struct {
	Browser, Next   string
	OpenID, UnionID string
	StaffID         string
}

var loginExpired = order.Errorf(order.Unauthenticated, "staff_login_expired", "登录已过期，请重新登录")

// fromWeChat is where WeChat returns to. The state is good once, and only in the
// browser that it was made for, so nobody can be logged in by a foreign link.
func (k *console) fromWeChat(c *fiber.Ctx) error {
	value, err := k.Tickets.Take(c.UserContext(), ticketOAuth, c.Query("state"))
	if errors.Is(err, order.NotFound) {
		return k.loginFailed(c, loginExpired)
	}
	if err != nil {
		return k.loginFailed(c, err)
	}
	var t oauthTicket
	if err := json.Unmarshal(value, &t); err != nil {
		return err
	}
	if t.Browser == "" || t.Browser != visitorOf(c).DraftToken() {
		return k.loginFailed(c, loginExpired)
	}
	at := step{Browser: t.Browser, Next: t.Next}
	if at.OpenID, at.UnionID, err = k.Follower(c.UserContext(), c.Query("code")); err != nil {
		return k.loginFailed(c, err)
	}
	m, err := k.Staffing.ByWeChat(c.UserContext(), k.AppID, at.OpenID)
	switch {
	case errors.Is(err, order.NotFound):
		return k.proceed(c, at, "/staff/login/bind")
	case err != nil:
		return k.loginFailed(c, err)
	}
	at.StaffID = m.ID
	return k.proceed(c, at, "/staff/login/totp")
}

// proceed goes on to the next step under a new ticket. The ticket travels in a
// cookie: addresses end up in histories and logs.
func (k *console) proceed(c *fiber.Ctx, at step, to string) error {
	token, err := k.putTicket(c, ticketStep, at)
	if err != nil {
		return k.loginFailed(c, err)
	}
	k.setCookie(c, "staff_step", token, loginLife)
	return c.Redirect(to, http.StatusSeeOther)
}

// at reads how far this browser's login has come.
func (k *console) at(c *fiber.Ctx) (step, error) {
	var at step
	value, err := k.Tickets.Peek(c.UserContext(), ticketStep, c.Cookies(k.cookieName("staff_step")))
	if errors.Is(err, order.NotFound) {
		return at, loginExpired
	}
	if err != nil {
		return at, err
	}
	if err := json.Unmarshal(value, &at); err != nil {
		return at, err
	}
	if at.Browser != visitorOf(c).DraftToken() {
		return at, loginExpired
	}
	return at, nil
}

type bindView struct {
	Mobile, Error string
	Sent          bool
}

func (k *console) bindPage(c *fiber.Ctx) error {
	if _, err := k.at(c); err != nil {
		return k.loginFailed(c, err)
	}
	return k.showBind(c, bindView{}, nil)
}

// showBind shows the form; what the person can put right stands on it.
func (k *console) showBind(c *fiber.Ctx, v bindView, err error) error {
	status := http.StatusOK
	if err != nil {
		e, ok := order.AsError(err)
		if !ok {
			return err
		}
		v.Error, status = e.Detail, statusOf[e.Kind]
	}
	return k.render(c, status, "staff/bind", "绑定工作人员", v)
}

// bindChallenge binds the SMS code to this WeChat user.
func bindChallenge(c *fiber.Ctx, at step, m identity.Mobile) session.Challenge {
	return session.Challenge{Purpose: codeStaffBind, Mobile: m, Subject: at.OpenID, IP: c.IP()}
}

// bindCode sends a code to whatever number was typed: the answer does not tell
// whose numbers are known.
func (k *console) bindCode(c *fiber.Ctx) error {
	at, err := k.at(c)
	if err != nil {
		return k.loginFailed(c, err)
	}
	v := bindView{Mobile: c.FormValue("mobile")}
	mobile, err := typedMobile(v.Mobile)
	if err == nil {
		err = k.issueCode(c.UserContext(), bindChallenge(c, at, mobile))
	}
	v.Sent = err == nil
	return k.showBind(c, v, err)
}

func (k *console) bind(c *fiber.Ctx) error {
	at, err := k.at(c)
	if err != nil {
		return k.loginFailed(c, err)
	}
	v := bindView{Mobile: c.FormValue("mobile"), Sent: true}
	mobile, err := typedMobile(v.Mobile)
	if err == nil {
		err = k.Codes.Verify(c.UserContext(), bindChallenge(c, at, mobile), c.FormValue("code"))
	}
	if err != nil {
		return k.showBind(c, v, err)
	}
	m, err := k.Staffing.BindWeChat(c.UserContext(), mobile, order.WeChatIdentity{AppID: k.AppID, OpenID: at.OpenID, UnionID: at.UnionID, Subscribed: true}, c.IP())
	if err != nil {
		return k.showBind(c, v, err)
	}
	at.StaffID = m.ID
	return k.proceed(c, at, "/staff/login/totp")
}

type totpView struct{ Name, Error string }

func (k *console) totpPage(c *fiber.Ctx) error {
	_, m, err := k.identified(c)
	if err != nil {
		return k.loginFailed(c, err)
	}
	return k.render(c, http.StatusOK, "staff/totp", "动态口令", totpView{Name: m.Name})
}

// identified is the member of staff whom WeChat vouched for in this browser.
func (k *console) identified(c *fiber.Ctx) (step, order.Staff, error) {
	at, err := k.at(c)
	if err != nil {
		return at, order.Staff{}, err
	}
	if at.StaffID == "" {
		return at, order.Staff{}, loginExpired
	}
	m, err := k.Records.Staff(c.UserContext(), at.StaffID)
	switch {
	case err != nil:
		return at, m, err
	case m.Disabled || m.TOTPSecret == "" || len(m.Roles) == 0:
		return at, m, order.Errorf(order.Forbidden, "staff_disabled", "您的账号已停用或尚未设置动态口令，请联系管理员")
	default:
		return at, m, nil
	}
}

// totp is the second factor. It makes the session, which has a new id and ends
// the one that this browser had before.
func (k *console) totp(c *fiber.Ctx) error {
	at, m, err := k.identified(c)
	if err != nil {
		return k.loginFailed(c, err)
	}
	err = k.checkTOTP(c, m)
	if e, ok := order.AsError(err); ok {
		if err := k.Staffing.Record(c.UserContext(), "", "staff_login", m.Actor(m.Roles[0], order.Web, c.IP()), e.Code); err != nil {
			return err
		}
		return k.render(c, statusOf[e.Kind], "staff/totp", "动态口令", totpView{Name: m.Name, Error: e.Detail})
	}
	if err != nil {
		return err
	}
	if _, err := k.Tickets.Take(c.UserContext(), ticketStep, c.Cookies(k.cookieName("staff_step"))); err != nil {
		return k.loginFailed(c, loginExpired)
	}
	k.dropCookie(c, "staff_step")
	if err := k.Staffing.Record(c.UserContext(), "", "staff_login", m.Actor(m.Roles[0], order.Web, c.IP()), "ok"); err != nil {
		return err
	}
	if err := k.login(c, session.Session{Kind: session.Staff, PersonID: m.PersonID, StaffID: m.ID}); err != nil {
		return err
	}
	return c.Redirect(at.Next, http.StatusSeeOther)
}

// checkTOTP counts the try before it compares, and uses the code up.
func (k *console) checkTOTP(c *fiber.Ctx, m order.Staff) error {
	const tooMany = "尝试次数过多，请稍后再试或联系管理员"
	ctx := c.UserContext()
	if err := allow(ctx, k.Once, "totp:"+m.ID, totpTries, totpTriesIn, tooMany); err != nil {
		return err
	}
	if err := allow(ctx, k.Once, "totp-day:"+m.ID, totpTriesADay, 24*time.Hour, tooMany); err != nil {
		return err
	}
	code := strings.ReplaceAll(identity.HalfWidth(c.FormValue("code")), " ", "")
	at, ok, err := totpStep(m.TOTPSecret, code, k.Now())
	if err != nil {
		return err
	}
	if !ok {
		return order.Errorf(order.Invalid, "totp_wrong", "动态口令不正确，请查看验证器中的最新 6 位数字")
	}
	fresh, err := k.Once.Claim(ctx, "totp-used:"+m.ID+":"+strconv.Itoa(int(at)), totpRemembered)
	if err == nil && !fresh {
		return order.Errorf(order.Invalid, "totp_used", "该动态口令已使用过，请等待下一个")
	}
	return err
}

// staffPath is where to go after the login: a page of the console, nothing else.
func staffPath(next string) string {
	u, err := url.Parse(localPath(next))
	if err != nil {
		return "/staff"
	}
	if p := path.Clean(u.Path); p != "/staff" && !strings.HasPrefix(p, "/staff/") {
		return "/staff"
	}
	return next
}
