package handlers

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store/session"
	"github.com/yuncaidun/yuncaidun/templates/letter"
)

// The purposes of SMS codes to a legal representative.
const (
	codeAuthPhone = "auth_phone"
	codeAuthSign  = "auth_sign"
)

// authorizationRoutes are the legal representative's pages (flows.md 4.5), for
// browsers without WeChat. The mini-program calls the same service.
func (s *Server) authorizationRoutes() {
	s.get("/auth/:token", OfLegalRep, s.authWelcome)
	s.post("/auth/:token/decline", OfLegalRep, s.authDecline)
	s.get("/auth/:token/phone", OfLegalRep, s.authPhonePage)
	s.post("/auth/:token/phone/code", OfLegalRep, s.authPhoneCode)
	s.post("/auth/:token/phone", OfLegalRep, s.authPhone)
	s.get("/auth/:token/identity", OfLegalRep, s.legalRepOnly(s.authIdentityPage))
	s.post("/auth/:token/identity", OfLegalRep, s.legalRepOnly(s.authIdentity))
	s.get("/auth/:token/application", OfLegalRep, s.legalRepOnly(s.authApplication))
	s.post("/auth/:token/return", OfLegalRep, s.legalRepOnly(s.authReturn))
	s.get("/auth/:token/letter", OfLegalRep, s.legalRepOnly(s.authLetterPage))
	s.get("/auth/:token/sign", OfLegalRep, s.legalRepOnly(s.authSignPage))
	s.post("/auth/:token/sign/code", OfLegalRep, s.legalRepOnly(s.authSignCode))
	s.post("/auth/:token/sign", OfLegalRep, s.legalRepOnly(s.authSign))
	s.get("/auth/:token/done", OfLegalRep, s.legalRepOnly(s.authDone))
	s.get("/auth/:token/letter.pdf", OfLegalRep, s.legalRepOnly(s.authLetterPDF))
	s.post("/auth/:token/withdraw", OfLegalRep, s.legalRepOnly(s.authWithdraw))
	s.post("/auth/:token/revoke", OfLegalRep, s.legalRepOnly(s.authRevoke))
}

// legalRep is one request of a legal representative.
type legalRep struct {
	token string
	auth  order.Authorization
	order order.Order
}

func (l legalRep) path(step string) string {
	if step == "" {
		return "/auth/" + l.token
	}
	return "/auth/" + l.token + "/" + step
}

// authView is what the legal representative's pages show.
type authView struct {
	Token, Step string
	Order       order.Order
	State       order.AuthorizationState
	Agent       string // masked
	Phone       string // masked
	From        string // where his number came from
	Error       string
	Mobile      string // as typed
	Code        codeView
	DocType     string
	Photo       bool // a document must be photographed
	Facts       []factView
	Title       string
	Text        []string
	Until       string
	Scopes      []choice
	Read        bool
	Consent     string
	Agreed      bool
	Reasons     []choice
	Note        string
	Receipt     string
	Signed      time.Time
	Ready       bool // the PDF can be fetched
	Withdraw    bool
	Mandate     time.Time
	Reused      bool // it stands on a mandate that he gave earlier
	Ended       string
	Expires     time.Time
	Wait        int // seconds before the letter may be signed
}

// authSteps are the steps of the bar on top.
var authSteps = []struct{ id, label string }{
	{"phone", "验证手机"}, {"identity", "核对本人"}, {"application", "核对申请"}, {"letter", "阅读"}, {"sign", "签署"}, {"done", "完成"},
}

// Steps is the bar on top of the pages.
func (v authView) Steps() []stepView {
	var out []stepView
	past := true
	for _, st := range authSteps {
		if st.id == v.Step {
			past = false
			out = append(out, stepView{Label: st.label, Current: true})
			continue
		}
		out = append(out, stepView{Label: st.label, Done: past})
	}
	return out
}

// declineReasons are why a legal representative may decline.
var declineReasons = []choice{
	{Value: "unknown", Label: "我不知情"}, {Value: "agent", Label: "经办人不是本单位员工"}, {Value: "not_legal", Label: "我已不是法定代表人"}, {Value: "unwanted", Label: "本单位不需要办理"},
}

func (s *Server) authView(l legalRep, step string) authView {
	return authView{
		Token: l.token, Step: step, Order: l.order, State: l.auth.State, Agent: l.order.Form.Masked(order.AgentName),
		Phone: identity.NewMobile(l.auth.Signer.Mobile).Mask(), DocType: labelOfDocument(l.auth.Signer.Type),
		Consent: letter.Consent, Reasons: declineReasons, Expires: l.auth.ExpiresAt, Reused: l.auth.ReuseOf != "",
	}
}

func labelOfDocument(t identity.DocType) string {
	if d, ok := identity.DocumentOf(t); ok {
		return d.Label
	}
	return string(t)
}

func (s *Server) showAuth(c *fiber.Ctx, status int, page, title string, v authView) error {
	return s.render(c, status, "authorize/"+page, title, v)
}

// linked is what the token in the path is about. A link that has ended, or that a
// newer SMS has replaced, explains itself on a page of its own.
func (s *Server) linked(c *fiber.Ctx) (l legalRep, ended error, err error) {
	l.token = c.Params("token")
	l.auth, l.order, err = s.Orders.AuthorizationByLink(c.UserContext(), l.token)
	if errors.Is(err, order.Conflict) {
		return l, err, nil
	}
	return l, nil, err
}

func (s *Server) showEnded(c *fiber.Ctx, ended error) error {
	e, _ := order.AsError(ended)
	return s.showAuth(c, http.StatusGone, "ended", "授权链接已失效", authView{Ended: e.Detail})
}

// legalRepOnly lets only the session pass that proved the mobile of this authorisation.
func (s *Server) legalRepOnly(h func(*fiber.Ctx, legalRep) error) fiber.Handler {
	return func(c *fiber.Ctx) error {
		l, ended, err := s.linked(c)
		switch {
		case err != nil:
			return err
		case ended != nil:
			return s.showEnded(c, ended)
		case visitorOf(c).Session.AuthorizationID != l.auth.ID:
			return c.Redirect(l.path("phone"), http.StatusSeeOther)
		}
		return h(c, l)
	}
}

// legalRepActor is the legal representative as the domain knows him.
func legalRepActor(c *fiber.Ctx) order.Actor {
	return order.Actor{Role: order.LegalRep, Channel: order.Web, IP: c.IP()}
}

// maxAgent bounds what a browser may say of itself.
const maxAgent = 200

func legalDevice(c *fiber.Ctx) order.Device {
	agent := strings.ToValidUTF8(c.Get(fiber.HeaderUserAgent), "")
	if len(agent) > maxAgent {
		agent = strings.ToValidUTF8(agent[:maxAgent], "")
	}
	return order.Device{Channel: order.Web, IP: c.IP(), Agent: agent}
}

func (s *Server) authorize(c *fiber.Ctx, l legalRep, cmd order.AuthorizationCommand) (order.Authorization, error) {
	cmd.By, cmd.Device = legalRepActor(c), legalDevice(c)
	return s.Orders.Authorize(c.UserContext(), l.auth.ID, cmd)
}

// here is the step where an authorisation goes on.
func (l legalRep) here() string {
	switch l.auth.State {
	case order.AtIdentityVerified:
		return l.path("application")
	case order.AtSigned:
		return l.path("done")
	default:
		return l.path("identity")
	}
}

// authWelcome is screen 1: who applies for what, why he is asked, where his
// number came from, what is kept and for how long.
func (s *Server) authWelcome(c *fiber.Ctx) error {
	l, ended, err := s.linked(c)
	switch {
	case err != nil:
		return err
	case ended != nil:
		return s.showEnded(c, ended)
	}
	if l.auth.State == order.AtCreated || l.auth.State == order.AtSent {
		if l.auth, err = s.authorize(c, l, order.AuthorizationCommand{On: order.LetterOpened}); err != nil && !errors.Is(err, order.Conflict) {
			return err
		}
	}
	if visitorOf(c).Session.AuthorizationID == l.auth.ID && l.auth.State != order.AtOpened {
		return c.Redirect(l.here(), http.StatusSeeOther)
	}
	return s.showAuth(c, http.StatusOK, "welcome", "法定代表人授权", s.authView(l, ""))
}

// authDecline is 我不知情: his data is deleted, the applicant is told.
func (s *Server) authDecline(c *fiber.Ctx) error {
	l, ended, err := s.linked(c)
	switch {
	case err != nil:
		return err
	case ended != nil:
		return s.showEnded(c, ended)
	}
	note := ""
	for _, r := range declineReasons {
		if r.Value == c.FormValue("reason") {
			note = r.Label
		}
	}
	if note == "" {
		v := s.authView(l, "")
		v.Error = "请选择拒绝的原因"
		return s.showAuth(c, http.StatusUnprocessableEntity, "welcome", "法定代表人授权", v)
	}
	if _, err := s.authorize(c, l, order.AuthorizationCommand{On: order.LetterDeclined, Note: note, Why: "declined"}); err != nil {
		return err
	}
	if err := s.logout(c, session.LegalRep); err != nil {
		return err
	}
	return s.goTo(c, l.path(""))
}

// authPhonePage is screen 2.
func (s *Server) authPhonePage(c *fiber.Ctx) error {
	l, ended, err := s.linked(c)
	switch {
	case err != nil:
		return err
	case ended != nil:
		return s.showEnded(c, ended)
	case visitorOf(c).Session.AuthorizationID == l.auth.ID:
		return c.Redirect(l.here(), http.StatusSeeOther)
	}
	return s.showAuth(c, http.StatusOK, "phone", "验证手机", s.phoneView(l))
}

func (s *Server) phoneView(l legalRep) authView {
	v := s.authView(l, "phone")
	v.Code.URL = l.path("phone/code")
	return v
}

// otherMobile says what is wrong with the typed number if it is not the one that
// the applicant gave. A code goes to no other, and the right one is not told.
func otherMobile(c *fiber.Ctx, l legalRep) string {
	mobile, err := identity.ParseMobile(c.FormValue("mobile"))
	switch {
	case err != nil:
		return err.Error()
	case mobile.Reveal() != l.auth.Signer.Mobile:
		return "该手机号与经办人填写的法定代表人手机号（" + identity.NewMobile(l.auth.Signer.Mobile).Mask() + "）不一致，无法在线授权。请换用该手机号，或联系经办人更换手机号后重新发送"
	}
	return ""
}

func (s *Server) authChallenge(c *fiber.Ctx, l legalRep, purpose string) session.Challenge {
	return session.Challenge{Purpose: purpose, Mobile: identity.NewMobile(l.auth.Signer.Mobile), Subject: l.auth.ID, IP: c.IP()}
}

func (s *Server) authPhoneCode(c *fiber.Ctx) error {
	l, ended, err := s.linked(c)
	if err = errors.Join(err, ended); err != nil {
		return err
	}
	view := codeView{URL: l.path("phone/code")}
	if view.Error = otherMobile(c, l); view.Error != "" {
		return s.render(c, http.StatusOK, "partials/code", "", view)
	}
	return s.sendCode(c, s.authChallenge(c, l, codeAuthPhone), view)
}

// authPhone proves the mobile and opens the session of this one authorisation.
func (s *Server) authPhone(c *fiber.Ctx) error {
	l, ended, err := s.linked(c)
	switch {
	case err != nil:
		return err
	case ended != nil:
		return s.showEnded(c, ended)
	}
	v := s.phoneView(l)
	v.Mobile = c.FormValue("mobile")
	if v.Error = otherMobile(c, l); v.Error == "" {
		err = s.Codes.Verify(c.UserContext(), s.authChallenge(c, l, codeAuthPhone), strings.TrimSpace(c.FormValue("code")))
		if e, ok := order.AsError(err); ok && (e.Kind == order.Invalid || e.Kind == order.RateLimited) {
			v.Error, err = e.Detail, nil
		}
		if err != nil {
			return err
		}
	}
	if v.Error != "" {
		return s.showAuth(c, http.StatusUnprocessableEntity, "phone", "验证手机", v)
	}
	if l.auth.Open() {
		if l.auth, err = s.authorize(c, l, order.AuthorizationCommand{On: order.PhoneVerified, CodeProven: true}); err != nil {
			return err
		}
	}
	if err := s.login(c, session.Session{Kind: session.LegalRep, AuthorizationID: l.auth.ID}); err != nil {
		return err
	}
	return s.goTo(c, l.here())
}

// authIdentityPage is screen 3.
func (s *Server) authIdentityPage(c *fiber.Ctx, l legalRep) error {
	if l.auth.State != order.AtPhoneVerified {
		return c.Redirect(l.here(), http.StatusSeeOther)
	}
	v := s.authView(l, "identity")
	v.Photo = l.auth.Signer.Type != identity.ResidentID
	return s.showAuth(c, http.StatusOK, "identity", "核对本人", v)
}

// authIdentity compares the end of the document's number with what the applicant
// typed, then asks the provider. What no provider can tell is photographed, for
// the reviewer.
func (s *Server) authIdentity(c *fiber.Ctx, l legalRep) error {
	if l.auth.State != order.AtPhoneVerified {
		return s.goTo(c, l.here())
	}
	v := s.authView(l, "identity")
	v.Photo = l.auth.Signer.Type != identity.ResidentID || c.FormValue("photo") == "yes"
	again := func(detail string) error {
		v.Error = detail
		return s.showAuth(c, http.StatusUnprocessableEntity, "identity", "核对本人", v)
	}
	wrongly := func(detail string) error {
		if _, err := s.authorize(c, l, order.AuthorizationCommand{On: order.GuessedWrong}); err != nil {
			return err
		}
		return again(detail)
	}
	cmd := order.AuthorizationCommand{On: order.IdentityVerified, Identity: order.Identity{Result: order.RealNameManual, At: s.Now()}}
	if l.auth.Locked() {
		return again("证件号码核对错误次数过多，请联系经办人重新发送授权短信后再试")
	}
	if !l.auth.KnowsTail(c.FormValue("tail")) {
		return wrongly("后六位与经办人填写的法定代表人证件号码不一致，请核对；如经办人填写有误，请联系经办人修改")
	}
	signer := l.auth.Signer
	if l.auth.Signer.Type == identity.ResidentID {
		found, err := s.Identify(c.UserContext(), identity.NewPersonName(signer.Name), signer.Type, identity.NewDocNo(signer.No), identity.NewMobile(signer.Mobile))
		if err != nil {
			return err
		}
		cmd.Identity = found
	}
	switch cmd.Identity.Result {
	case order.RealNameMismatch:
		return wrongly("姓名、证件号码与手机号核验不一致。请联系经办人核对填写内容，或改用纸质授权书")
	case order.RealNameManual:
		v.Photo = true
		p, err := s.accept(c)
		if fault, ok := order.AsError(err); ok && fault.Kind == order.Invalid {
			if fault.Code == "picture_missing" {
				fault = order.Errorf(order.Invalid, fault.Code, "运营商没有查到该证件的登记信息，请拍摄%s照片页，由工作人员核对", v.DocType)
			}
			return again(fault.Detail)
		}
		if err != nil {
			return err
		}
		cmd.Identity.Object = order.LegalDocument(l.auth.ID)
		if err := s.Objects.Put(c.UserContext(), cmd.Identity.Object, p.JPEG); err != nil {
			return err
		}
	default:
	}
	if _, err := s.authorize(c, l, cmd); err != nil {
		return err
	}
	return s.goTo(c, l.path("application"))
}

// authApplication is screen 4: what he would authorise.
func (s *Server) authApplication(c *fiber.Ctx, l legalRep) error {
	if l.auth.State != order.AtIdentityVerified {
		return c.Redirect(l.here(), http.StatusSeeOther)
	}
	return s.showAuth(c, http.StatusOK, "application", "核对申请", s.applicationView(l))
}

func (s *Server) applicationView(l legalRep) authView {
	v, o := s.authView(l, "application"), l.order
	v.Facts = []factView{
		{Label: "单位名称", Value: o.Company},
		{Label: "统一社会信用代码", Value: o.USCC, Mono: true},
		{Label: "法定代表人", Value: l.auth.Signer.Name},
		{Label: "经办人", Value: o.Form.Get(order.AgentName)},
		{Label: "经办人手机", Value: o.Form.Masked(order.AgentMobile), Mono: true},
		{Label: "产品", Value: o.Product.Name},
		{Label: "数量", Value: itoa(o.Quantity()) + " 个"},
		{Label: "有效期", Value: itoa(o.Product.Term) + " 年"},
		{Label: "金额", Value: "¥ " + yuan(o.Amount)},
		{Label: "订单号", Value: o.No, Mono: true},
	}
	return v
}

// authReturn sends the application back with a note (row 14).
func (s *Server) authReturn(c *fiber.Ctx, l legalRep) error {
	_, err := s.authorize(c, l, order.AuthorizationCommand{On: order.LetterReturned, Note: strings.TrimSpace(c.FormValue("note")), Why: "returned"})
	if fault, ok := order.AsError(err); ok && fault.Kind == order.Invalid {
		v := s.applicationView(l)
		v.Error, v.Note = fault.Detail, c.FormValue("note")
		return s.showAuth(c, http.StatusUnprocessableEntity, "application", "核对申请", v)
	}
	if err != nil {
		return err
	}
	if err := s.logout(c, session.LegalRep); err != nil {
		return err
	}
	return s.goTo(c, l.path(""))
}

// scopes are how far an authorisation may go, by months.
var scopes = []struct {
	months int
	label  string
}{{0, "仅本次申请"}, {3, "三个月内该经办人的全部申请"}, {12, "十二个月内该经办人的全部申请"}}

// parseUntil reads the last day of a mandate; nothing is this application only.
func (s *Server) parseUntil(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	day, err := time.ParseInLocation(time.DateOnly, text, order.Shanghai)
	until := day.AddDate(0, 0, 1).Add(-time.Second)
	if err != nil || !until.After(s.Now()) || until.Sub(s.Now()) > order.MaxMandate+24*time.Hour {
		return time.Time{}, order.Errorf(order.Invalid, "mandate_invalid", "请重新选择授权范围")
	}
	return until, nil
}

func (s *Server) letterOf(l legalRep, until time.Time) letter.Authorization {
	return letter.ForOrder(s.CA, l.order, l.auth, until)
}

// authLetterPage is screen 5: the whole letter. From now on the reading time runs.
func (s *Server) authLetterPage(c *fiber.Ctx, l legalRep) error {
	if l.auth.State != order.AtIdentityVerified {
		return c.Redirect(l.here(), http.StatusSeeOther)
	}
	until, err := s.parseUntil(c.Query("until"))
	if err != nil {
		return err
	}
	if l.auth, err = s.authorize(c, l, order.AuthorizationCommand{On: order.LetterShown}); err != nil {
		return err
	}
	return s.showAuth(c, http.StatusOK, "letter", "阅读授权书", s.letterView(l, until, c.Query("until")))
}

func (s *Server) letterView(l legalRep, until time.Time, typed string) authView {
	v := s.authView(l, "letter")
	text := s.letterOf(l, until)
	v.Title, v.Text, v.Until = text.Title(), text.Paragraphs(), typed
	for _, sc := range scopes {
		value := ""
		if sc.months > 0 {
			value = s.Now().In(order.Shanghai).AddDate(0, sc.months, 0).Format(time.DateOnly)
		}
		v.Scopes = append(v.Scopes, choice{value, sc.label, value == typed})
	}
	v.Wait = max(0, int((order.MinReading - s.Now().Sub(l.auth.ShownAt) + time.Second - 1).Seconds()))
	return v
}

// authSignPage is screen 6.
func (s *Server) authSignPage(c *fiber.Ctx, l legalRep) error {
	if l.auth.State != order.AtIdentityVerified {
		return c.Redirect(l.here(), http.StatusSeeOther)
	}
	v, _, err := s.signView(l, c.Query("until"), c.Query("read") == "yes")
	if err != nil {
		return err
	}
	if !v.Read || l.auth.ShownAt.IsZero() {
		return c.Redirect(l.path("letter"), http.StatusSeeOther)
	}
	return s.showAuth(c, http.StatusOK, "sign", "签署授权书", v)
}

func (s *Server) signView(l legalRep, typed string, read bool) (authView, time.Time, error) {
	until, err := s.parseUntil(typed)
	v := s.authView(l, "sign")
	v.Until, v.Read, v.Title = typed, read, s.letterOf(l, until).Scope()
	v.Code.URL = l.path("sign/code")
	return v, until, err
}

func (s *Server) authSignCode(c *fiber.Ctx, l legalRep) error {
	if l.auth.State != order.AtIdentityVerified {
		return order.Errorf(order.Conflict, "authorization_not_ready", "请先完成前面的步骤")
	}
	return s.sendCode(c, s.authChallenge(c, l, codeAuthSign), codeView{URL: l.path("sign/code")})
}

// authSign takes the signature. The code is used up last, so that nothing that
// was forgotten costs it.
func (s *Server) authSign(c *fiber.Ctx, l legalRep) error {
	if l.auth.State != order.AtIdentityVerified {
		return s.goTo(c, l.here())
	}
	v, until, err := s.signView(l, c.FormValue("until"), c.FormValue("read") == "yes")
	if err != nil {
		return err
	}
	v.Agreed = c.FormValue("agree") == "yes"
	again := func(detail string) error {
		v.Error = detail
		return s.showAuth(c, http.StatusUnprocessableEntity, "sign", "签署授权书", v)
	}
	if !v.Agreed {
		return again("请勾选同意处理签名和证件信息")
	}
	picture, err := readSignature(c.FormValue("signature"))
	if err != nil {
		return again(err.Error())
	}
	if s.Now().Sub(l.auth.ShownAt) < order.MinReading {
		return again("请阅读授权书全文后再签署")
	}
	err = s.Codes.Verify(c.UserContext(), s.authChallenge(c, l, codeAuthSign), strings.TrimSpace(c.FormValue("code")))
	if e, ok := order.AsError(err); ok && (e.Kind == order.Invalid || e.Kind == order.RateLimited) {
		return again(e.Detail)
	}
	if err != nil {
		return err
	}
	text := s.letterOf(l, until)
	signature := order.Signature{Object: order.LegalSignature(l.auth.ID), SHA256: hexSum(picture)}
	if err := s.Objects.Put(c.UserContext(), signature.Object, picture); err != nil {
		return err
	}
	_, err = s.authorize(c, l, order.AuthorizationCommand{
		On: order.LetterSigned, CodeProven: true, Read: v.Read, Signature: signature, Mandate: order.Mandate{Until: until},
		Consent:     order.Consent{Version: letter.ConsentVersion, Hash: letter.ConsentHash(), At: s.Now(), IP: c.IP()},
		TextVersion: letter.TextVersion, TextSHA256: text.SHA256(),
	})
	if fault, ok := order.AsError(err); ok && fault.Kind == order.Invalid {
		return again(fault.Detail)
	}
	if err != nil {
		return err
	}
	return s.goTo(c, l.path("done"))
}

// authDone is screen 7.
func (s *Server) authDone(c *fiber.Ctx, l legalRep) error {
	if l.auth.State != order.AtSigned {
		return c.Redirect(l.here(), http.StatusSeeOther)
	}
	v := s.authView(l, "done")
	v.Receipt, v.Signed, v.Ready = l.auth.Proof.Receipt, l.auth.SignedAt, l.auth.Letter != ""
	v.Withdraw = !l.order.MadeAlready()
	if l.auth.Mandate.Covers(s.Now()) {
		v.Mandate = l.auth.Mandate.Until
	}
	return s.showAuth(c, http.StatusOK, "done", "授权完成", v)
}

// authWithdraw takes the authorisation back (rows 17 to 19).
func (s *Server) authWithdraw(c *fiber.Ctx, l legalRep) error {
	if _, err := s.authorize(c, l, order.AuthorizationCommand{On: order.LetterWithdrawn, Note: "法定代表人撤回授权", Why: "withdrawn"}); err != nil {
		return err
	}
	if err := s.logout(c, session.LegalRep); err != nil {
		return err
	}
	return s.goTo(c, l.path(""))
}

func (s *Server) authRevoke(c *fiber.Ctx, l legalRep) error {
	if err := s.Orders.RevokeMandate(c.UserContext(), l.auth.ID, legalRepActor(c)); err != nil {
		return err
	}
	return s.goTo(c, l.path("done"))
}

// authLetterPDF is the signed letter.
func (s *Server) authLetterPDF(c *fiber.Ctx, l legalRep) error {
	return s.sendSignedLetter(c, l.auth)
}

func (s *Server) sendSignedLetter(c *fiber.Ctx, a order.Authorization) error {
	if a.Letter == "" {
		return order.Errorf(order.Conflict, "letter_pending", "授权书正在生成，请稍后再下载")
	}
	return s.sendObject(c, a.Letter, "application/pdf", "authorization.pdf", "法定代表人授权书.pdf")
}

// sendObject sends a kept file as a download.
func (s *Server) sendObject(c *fiber.Ctx, object, kind, plain, name string) error {
	content, err := s.Objects.Get(c.UserContext(), object)
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderContentType, kind)
	c.Set(fiber.HeaderContentDisposition, `attachment; filename="`+plain+`"; filename*=UTF-8''`+queryEscape(name))
	c.Set(fiber.HeaderCacheControl, "private, no-store")
	c.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	return c.Send(content)
}
