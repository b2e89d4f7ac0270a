package handlers

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store/session"
	"github.com/yuncaidun/yuncaidun/templates/letter"
)

// authorizationRoutes are the legal representative's pages (flows.md 4.5), for
// browsers without WeChat. The mini-program has the same steps: what both do is in
// authorizing.go.
func (s *Server) authorizationRoutes() {
	s.get("/auth/:token", OfLegalRep, s.byLink(s.authWelcome))
	s.post("/auth/:token/decline", OfLegalRep, s.byLink(s.authDecline))
	s.get("/auth/:token/phone", OfLegalRep, s.byLink(s.authPhonePage))
	s.post("/auth/:token/phone/code", OfLegalRep, s.authPhoneCode)
	s.post("/auth/:token/phone", OfLegalRep, s.byLink(s.authPhone))
	s.get("/auth/:token/identity", OfLegalRep, s.legalRepOnly(s.authIdentityPage))
	s.post("/auth/:token/identity", OfLegalRep, s.legalRepOnly(s.authIdentity))
	s.get("/auth/:token/face", OfLegalRep, s.legalRepOnly(s.authFaceBack))
	s.get("/auth/:token/face/end", OfLegalRep, s.byLink(s.authFaceEnd))
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
	Face        bool // his face can be checked instead
	FacePage    string
	Tail        string // as typed
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
	Ready       bool   // the PDF can be fetched
	Kept        string // why it cannot be taken back
	Mandate     time.Time
	Lapsed      bool // only the mandate is left
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

func (s *Server) authView(l legalRep, step string) authView {
	return authView{
		Token: l.token, Step: step, Order: l.order, State: l.auth.State, Agent: l.order.Form.Masked(order.AgentName),
		Phone: l.mobile().Mask(), DocType: labelOfDocument(l.auth.Signer.Type),
		Consent: letter.Consent, Reasons: declineReasons, Expires: l.auth.ExpiresAt, Reused: l.auth.ReuseOf != "", Lapsed: l.lapsed(),
	}
}

func (s *Server) showAuth(c *fiber.Ctx, status int, page, title string, v authView) error {
	return s.render(c, status, "authorize/"+page, title, v)
}

func (s *Server) showEnded(c *fiber.Ctx, ended error) error {
	e, _ := order.AsError(ended)
	return s.showAuth(c, http.StatusGone, "ended", "授权链接已失效", authView{Ended: e.Detail})
}

// byLink hands on whose link it is, or shows why it does not hold any more.
func (s *Server) byLink(h func(*fiber.Ctx, legalRep) error) fiber.Handler {
	return func(c *fiber.Ctx) error {
		l, err := s.linkedTo(c.UserContext(), c.Params("token"))
		switch {
		case errors.Is(err, order.Conflict):
			return s.showEnded(c, err)
		case err != nil:
			return err
		}
		return h(c, l)
	}
}

// legalRepOnly lets only the session pass that proved the mobile of this authorisation.
func (s *Server) legalRepOnly(h func(*fiber.Ctx, legalRep) error) fiber.Handler {
	return s.byLink(func(c *fiber.Ctx, l legalRep) error {
		if visitorOf(c).Session.AuthorizationID != l.auth.ID {
			return c.Redirect(l.path("phone"), http.StatusSeeOther)
		}
		return h(c, l)
	})
}

// here is the page where an authorisation goes on.
func (l legalRep) here() string { return l.path(l.step()) }

func (s *Server) welcomeView(l legalRep) authView {
	v := s.authView(l, "")
	v.Facts = l.explained()
	return v
}

// authWelcome is screen 1: who applies for what, why he is asked, where his
// number came from, what is kept and for how long.
func (s *Server) authWelcome(c *fiber.Ctx, l legalRep) error {
	if err := s.opened(c, &l); err != nil {
		return err
	}
	if visitorOf(c).Session.AuthorizationID == l.auth.ID && l.auth.State != order.AtOpened {
		return c.Redirect(l.here(), http.StatusSeeOther)
	}
	return s.showAuth(c, http.StatusOK, "welcome", "法定代表人授权", s.welcomeView(l))
}

// authDecline is 我不知情: his data is deleted, the applicant is told.
func (s *Server) authDecline(c *fiber.Ctx, l legalRep) error {
	err := s.decline(c, l, c.FormValue("reason"))
	if detail, ok := correctable(err); ok {
		v := s.welcomeView(l)
		v.Error = detail
		return s.showAuth(c, http.StatusUnprocessableEntity, "welcome", "法定代表人授权", v)
	}
	if err != nil {
		return err
	}
	return s.goTo(c, l.path(""))
}

// authPhonePage is screen 2.
func (s *Server) authPhonePage(c *fiber.Ctx, l legalRep) error {
	if visitorOf(c).Session.AuthorizationID == l.auth.ID {
		return c.Redirect(l.here(), http.StatusSeeOther)
	}
	return s.showAuth(c, http.StatusOK, "phone", "验证手机", s.phoneView(l))
}

func (s *Server) phoneView(l legalRep) authView {
	v := s.authView(l, "phone")
	v.Code.URL = l.path("phone/code")
	return v
}

func (s *Server) authPhoneCode(c *fiber.Ctx) error {
	l, err := s.linkedTo(c.UserContext(), c.Params("token"))
	if err != nil {
		return err
	}
	view := codeView{URL: l.path("phone/code")}
	if detail, ok := correctable(l.typed(c.FormValue("mobile"))); ok {
		view.Error = detail
		return s.render(c, http.StatusOK, "partials/code", "", view)
	}
	return s.sendCode(c, s.authChallenge(c, l, codeAuthPhone), view)
}

// authPhone proves the mobile and opens the session of this one authorisation.
func (s *Server) authPhone(c *fiber.Ctx, l legalRep) error {
	v := s.phoneView(l)
	v.Mobile = c.FormValue("mobile")
	err := l.typed(v.Mobile)
	if err == nil {
		err = s.Codes.Verify(c.UserContext(), s.authChallenge(c, l, codeAuthPhone), c.FormValue("code"))
	}
	if detail, ok := correctable(err); ok {
		v.Error = detail
		return s.showAuth(c, http.StatusUnprocessableEntity, "phone", "验证手机", v)
	}
	if err != nil {
		return err
	}
	if err := s.phoneProven(c, &l); err != nil {
		return err
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
	return s.showAuth(c, http.StatusOK, "identity", "核对本人", s.identityView(l))
}

// authIdentity checks who he is, or sends him to where his face is checked.
func (s *Server) authIdentity(c *fiber.Ctx, l legalRep) error {
	if l.auth.State != order.AtPhoneVerified {
		return s.goTo(c, l.here())
	}
	if c.FormValue("way") == "face" {
		return s.authFace(c, l)
	}
	err := s.identifyLegalRep(c, &l, c.FormValue("tail"))
	if err != nil {
		return s.identityAgain(c, l, err)
	}
	return s.goTo(c, l.here())
}

// identityAgain shows screen 3 with what was wrong.
func (s *Server) identityAgain(c *fiber.Ctx, l legalRep, err error) error {
	detail, ok := correctable(err)
	if !ok {
		return err
	}
	fault, _ := order.AsError(err)
	v := s.identityView(l)
	v.Error, v.Tail, v.Photo = detail, c.FormValue("tail"), v.Photo || c.FormValue("photo") == "yes" || fault.Code == "document_photo_required"
	return s.showAuth(c, http.StatusUnprocessableEntity, "identity", "核对本人", v)
}

func (s *Server) identityView(l legalRep) authView {
	v := s.authView(l, "identity")
	v.Photo, v.Face = l.photographed(), s.offersFace(l)
	return v
}

// authFace opens a face check, whose token only this session knows, and shows the way
// to it.
func (s *Server) authFace(c *fiber.Ctx, l legalRep) error {
	token, page, err := s.startFace(c, l, c.FormValue("tail"), s.absolute(l.path("face")))
	if err != nil {
		return s.identityAgain(c, l, err)
	}
	if err := s.login(c, session.Session{Kind: session.LegalRep, AuthorizationID: l.auth.ID, FaceToken: token}); err != nil {
		return err
	}
	v := s.identityView(l)
	v.FacePage = page
	return s.showAuth(c, http.StatusOK, "face", "人脸核验", v)
}

// authFaceBack is where the browser comes back to.
func (s *Server) authFaceBack(c *fiber.Ctx, l legalRep) error {
	token := visitorOf(c).Session.FaceToken
	if l.auth.State != order.AtPhoneVerified || token == "" {
		return c.Redirect(l.here(), http.StatusSeeOther)
	}
	if err := s.faceShown(c, &l, token); err != nil {
		return s.identityAgain(c, l, err)
	}
	return c.Redirect(l.here(), http.StatusSeeOther)
}

// authFaceEnd is where a face check ends that the mini-program has opened: what became
// of it only the mini-program may ask.
func (s *Server) authFaceEnd(c *fiber.Ctx, l legalRep) error {
	return s.showAuth(c, http.StatusOK, "face_end", "人脸核验", s.authView(l, "identity"))
}

// authApplication is screen 4: what he would authorise.
func (s *Server) authApplication(c *fiber.Ctx, l legalRep) error {
	if l.auth.State != order.AtIdentityVerified {
		return c.Redirect(l.here(), http.StatusSeeOther)
	}
	return s.showAuth(c, http.StatusOK, "application", "核对申请", s.applicationView(l))
}

func (s *Server) applicationView(l legalRep) authView {
	v := s.authView(l, "application")
	v.Facts = l.asked()
	return v
}

// authReturn sends the application back with a note.
func (s *Server) authReturn(c *fiber.Ctx, l legalRep) error {
	err := s.giveBack(c, l, c.FormValue("note"))
	if detail, ok := correctable(err); ok {
		v := s.applicationView(l)
		v.Error, v.Note = detail, c.FormValue("note")
		return s.showAuth(c, http.StatusUnprocessableEntity, "application", "核对申请", v)
	}
	if err != nil {
		return err
	}
	return s.goTo(c, l.path(""))
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
	wait, err := s.showLetter(c, &l)
	if err != nil {
		return err
	}
	v, text := s.authView(l, "letter"), s.letterOf(l, until)
	v.Title, v.Text, v.Until, v.Scopes, v.Wait = text.Title(), text.Paragraphs(), c.Query("until"), s.offered(c.Query("until")), wait
	return s.showAuth(c, http.StatusOK, "letter", "阅读授权书", v)
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
	if err := l.at(order.AtIdentityVerified); err != nil {
		return err
	}
	return s.sendCode(c, s.authChallenge(c, l, codeAuthSign), codeView{URL: l.path("sign/code")})
}

// authSign takes the signature.
func (s *Server) authSign(c *fiber.Ctx, l legalRep) error {
	if l.auth.State != order.AtIdentityVerified {
		return s.goTo(c, l.here())
	}
	v, until, err := s.signView(l, c.FormValue("until"), c.FormValue("read") == "yes")
	if err != nil {
		return err
	}
	v.Agreed = c.FormValue("agree") == "yes"
	err = s.signLetter(c, &l, signing{until: until, read: v.Read, agreed: v.Agreed, signature: c.FormValue("signature"), code: c.FormValue("code")})
	if detail, ok := correctable(err); ok {
		v.Error = detail
		return s.showAuth(c, http.StatusUnprocessableEntity, "sign", "签署授权书", v)
	}
	if err != nil {
		return err
	}
	return s.goTo(c, l.here())
}

// authDone is screen 7.
func (s *Server) authDone(c *fiber.Ctx, l legalRep) error {
	if l.signed() != nil {
		return c.Redirect(l.here(), http.StatusSeeOther)
	}
	v := s.authView(l, "done")
	v.Receipt, v.Signed, v.Ready = l.auth.Proof.Receipt, l.auth.SignedAt, l.auth.Letter != ""
	v.Kept = l.kept()
	if l.auth.Mandate.Covers(s.Now()) {
		v.Mandate = l.auth.Mandate.Until
	}
	title := "授权完成"
	if v.Lapsed {
		title = "长期授权"
	}
	return s.showAuth(c, http.StatusOK, "done", title, v)
}

func (s *Server) authWithdraw(c *fiber.Ctx, l legalRep) error {
	if err := s.withdraw(c, l); err != nil {
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
	attachment(c, kind, plain, name)
	return c.Send(content)
}

// attachment says that the answer is a file of a media type, to be kept under a name,
// which is plain for programs that read no other letters (RFC 6266), and by nobody between.
func attachment(c *fiber.Ctx, kind, plain, name string) {
	c.Set(fiber.HeaderContentType, kind)
	c.Set(fiber.HeaderContentDisposition, `attachment; filename="`+plain+`"; filename*=UTF-8''`+url.PathEscape(name))
	c.Set(fiber.HeaderCacheControl, "private, no-store")
	c.Set("Content-Security-Policy", "sandbox; default-src 'none'")
}
