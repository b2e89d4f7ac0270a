package handlers

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
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

// legalRep is one request of a legal representative: on the portal's pages or in the
// mini-program, which differ in nothing but how they look.
type legalRep struct {
	token  string
	auth   order.Authorization
	order  order.Order
	openID string // in WeChat, once the mobile is proven
}

func (l legalRep) mobile() identity.Mobile { return identity.NewMobile(l.auth.Signer.Mobile) }

func (l legalRep) path(step string) string {
	if step == "" {
		return "/auth/" + l.token
	}
	return "/auth/" + l.token + "/" + step
}

// step is where an authorisation goes on, once the mobile is proven.
func (l legalRep) step() string {
	switch l.auth.State {
	case order.AtIdentityVerified:
		return "application"
	case order.AtSigned, order.AtExpired: // of which only the mandate is left
		return "done"
	default:
		return "identity"
	}
}

// signed refuses who has not signed.
func (l legalRep) signed() error {
	if l.step() != "done" {
		return l.at(order.AtSigned)
	}
	return nil
}

// lapsed reports whether only the mandate is left.
func (l legalRep) lapsed() bool { return l.auth.State == order.AtExpired }

// kept says why he cannot take it back any more; empty when he can.
func (l legalRep) kept() string {
	if l.lapsed() {
		return "本次申请的授权已失效，不需要撤回。"
	}
	return l.order.Unwithdrawable()
}

// at refuses what is not this authorisation's turn.
func (l legalRep) at(s order.AuthorizationState) error {
	if l.auth.State != s {
		return order.Errorf(order.Conflict, "authorization_not_ready", "请先完成前面的步骤")
	}
	return nil
}

// declineReasons are why a legal representative may decline.
var declineReasons = []choice{
	{Value: "unknown", Label: "我不知情"}, {Value: "agent", Label: "经办人不是本单位员工"}, {Value: "not_legal", Label: "我已不是法定代表人"}, {Value: "unwanted", Label: "本单位不需要办理"},
}

func labelOfDocument(t identity.DocType) string {
	if d, ok := identity.DocumentOf(t); ok {
		return d.Label
	}
	return string(t)
}

// linkedTo finds what the one-time token of an SMS is about. An authorisation that has
// ended explains itself as Conflict.
func (s *Server) linkedTo(ctx context.Context, token string) (l legalRep, err error) {
	l.token = token
	l.auth, l.order, err = s.Orders.AuthorizationByLink(ctx, token)
	return l, err
}

// legalRepActor is the legal representative as the domain knows him.
func legalRepActor(c *fiber.Ctx) order.Actor {
	return order.Actor{Role: order.LegalRep, Channel: channelOf(c), IP: c.IP()}
}

// maxAgent bounds what a browser may say of itself.
const maxAgent = 200

func legalDevice(c *fiber.Ctx, l legalRep) order.Device {
	agent := strings.ToValidUTF8(c.Get(fiber.HeaderUserAgent), "")
	if len(agent) > maxAgent {
		agent = strings.ToValidUTF8(agent[:maxAgent], "")
	}
	return order.Device{Channel: channelOf(c), OpenID: l.openID, IP: c.IP(), Agent: agent}
}

func (s *Server) authorize(c *fiber.Ctx, l legalRep, cmd order.AuthorizationCommand) (order.Authorization, error) {
	cmd.By, cmd.Device = legalRepActor(c), legalDevice(c, l)
	return s.Orders.Authorize(c.UserContext(), l.auth.ID, cmd)
}

// opened records that the link was opened.
func (s *Server) opened(c *fiber.Ctx, l *legalRep) (err error) {
	if l.auth.State == order.AtCreated || l.auth.State == order.AtSent {
		if l.auth, err = s.authorize(c, *l, order.AuthorizationCommand{On: order.LetterOpened}); errors.Is(err, order.Conflict) {
			err = nil
		}
	}
	return err
}

// decline is 我不知情: his data is deleted, the applicant is told.
func (s *Server) decline(c *fiber.Ctx, l legalRep, reason string) error {
	i := slices.IndexFunc(declineReasons, func(r choice) bool { return r.Value == reason })
	if i < 0 {
		return order.Errorf(order.Invalid, "decline_reason_required", "请选择拒绝的原因")
	}
	if _, err := s.authorize(c, l, order.AuthorizationCommand{On: order.LetterDeclined, Note: declineReasons[i].Label, Why: "declined"}); err != nil {
		return err
	}
	return s.leave(c)
}

// leave ends the session of whoever is done with an authorisation.
func (s *Server) leave(c *fiber.Ctx) error {
	if token, ok := bearer(c); ok {
		return s.Sessions.Delete(c.UserContext(), session.LegalRep, token)
	}
	return s.logout(c, session.LegalRep)
}

// typed says what is wrong with a typed number if it is not the one that the
// applicant gave. A code goes to no other, and the right one is not told.
func (l legalRep) typed(mobile string) error {
	m, err := typedMobile(mobile)
	if err != nil {
		return err
	}
	return l.same(m)
}

// same is typed for a number that WeChat vouches for.
func (l legalRep) same(m identity.Mobile) error {
	if m.Reveal() != l.auth.Signer.Mobile {
		return order.Errorf(order.Invalid, "legal_mobile_differs", "该手机号与经办人填写的法定代表人手机号（%s）不一致，无法在线授权。请换用该手机号，或联系经办人更换手机号后重新发送", l.mobile().Mask())
	}
	return nil
}

func (s *Server) authChallenge(c *fiber.Ctx, l legalRep, purpose string) session.Challenge {
	return session.Challenge{Purpose: purpose, Mobile: l.mobile(), Subject: l.auth.ID, IP: c.IP()}
}

// phoneProven goes on with the mobile proven, by a code of ours or by WeChat.
func (s *Server) phoneProven(c *fiber.Ctx, l *legalRep) (err error) {
	if l.auth.Open() {
		l.auth, err = s.authorize(c, *l, order.AuthorizationCommand{On: order.PhoneVerified, CodeProven: true})
	}
	return err
}

// photographed reports whether no provider can tell whose the document is.
func (l legalRep) photographed() bool { return l.auth.Signer.Type != identity.ResidentID }

// wrongly counts a guess and says what was wrong about it.
func (s *Server) wrongly(c *fiber.Ctx, l legalRep, refusal *order.Error) error {
	if _, err := s.authorize(c, l, order.AuthorizationCommand{On: order.GuessedWrong}); err != nil {
		return err
	}
	return refusal
}

// tailTries is how often the end of a document's number may be sent by one link, right
// or wrong: it counts before it compares, so that many at once gain nothing.
const tailTries = 10

// knowsDocument compares the end of the document's number with what the applicant
// typed.
func (s *Server) knowsDocument(c *fiber.Ctx, l legalRep, tail string) error {
	switch err := l.at(order.AtPhoneVerified); {
	case err != nil:
		return err
	case l.auth.Locked():
		return order.Errorf(order.RateLimited, "identity_locked", "证件号码核对错误次数过多，请联系经办人重新发送授权短信后再试")
	case !order.IsTail(tail):
		return order.Errorf(order.Invalid, "document_tail_short", "请填写证件号码的后六位，正好 6 个数字或字母")
	}
	if err := allow(c.UserContext(), s.Attempts, "tail:"+l.auth.LinkHash, tailTries, 24*time.Hour, "核对次数过多，请联系经办人重新发送授权短信后再试"); err != nil {
		return err
	}
	if !l.auth.KnowsTail(tail) {
		return s.wrongly(c, l, order.Errorf(order.Invalid, "document_tail_wrong", "后六位与经办人填写的法定代表人证件号码不一致，请核对；如经办人填写有误，请联系经办人修改"))
	}
	return nil
}

// offersFace reports whether he can show his face instead of having the carriers asked.
func (s *Server) offersFace(l legalRep) bool { return s.Face != nil && !l.photographed() }

// startFace opens a face check and returns its token and the address of its page;
// afterwards the browser goes to back.
func (s *Server) startFace(c *fiber.Ctx, l legalRep, tail, back string) (token, page string, err error) {
	if !s.offersFace(l) {
		return "", "", order.Errorf(order.NotFound, "face_not_offered", "暂不支持人脸核验，请使用手机号核验")
	}
	if err := s.knowsDocument(c, l, tail); err != nil {
		return "", "", err
	}
	return s.Face.StartFace(c.UserContext(), l.auth.ID, identity.NewPersonName(l.auth.Signer.Name), identity.NewDocNo(l.auth.Signer.No), back)
}

// faceShown goes on when the face check of that token has found him to be himself.
func (s *Server) faceShown(c *fiber.Ctx, l *legalRep, token string) error {
	if err := l.at(order.AtPhoneVerified); err != nil {
		return err
	}
	found, err := s.Face.FaceResult(c.UserContext(), token, l.auth.ID, identity.NewPersonName(l.auth.Signer.Name), identity.NewDocNo(l.auth.Signer.No))
	if err != nil {
		return err
	}
	if found.Result != order.RealNameMatch {
		return s.wrongly(c, *l, order.Errorf(order.Invalid, "face_refused", "人脸核验没有通过。请由法定代表人本人重新核验，或改用手机号核验、纸质授权书"))
	}
	l.auth, err = s.authorize(c, *l, order.AuthorizationCommand{On: order.IdentityVerified, Identity: found})
	return err
}

// identifyLegalRep compares the end of the document's number with what the applicant
// typed, then asks the provider. What no provider can tell is photographed, for the
// reviewer; without a photo in the request that is document_photo_required.
func (s *Server) identifyLegalRep(c *fiber.Ctx, l *legalRep, tail string) (err error) {
	if err := s.knowsDocument(c, *l, tail); err != nil {
		return err
	}
	cmd := order.AuthorizationCommand{On: order.IdentityVerified, Identity: order.Identity{Result: order.RealNameManual, At: s.Now()}}
	signer := l.auth.Signer
	if !l.photographed() {
		cmd.Identity, err = s.Identify(c.UserContext(), identity.NewPersonName(signer.Name), signer.Type, identity.NewDocNo(signer.No), l.mobile())
		if err != nil {
			return err
		}
	}
	switch cmd.Identity.Result {
	case order.RealNameMismatch:
		refusal := order.Errorf(order.Invalid, "identity_refused", "姓名、证件号码与手机号核验不一致。请联系经办人核对填写内容，或改用纸质授权书")
		if s.offersFace(*l) {
			refusal = order.Errorf(order.Invalid, "identity_refused", "姓名、证件号码与手机号核验不一致。如果手机号不是用本人身份证办理的，可以改用人脸核验；否则请联系经办人核对填写内容")
		}
		return s.wrongly(c, *l, refusal)
	case order.RealNameManual:
		p, err := s.accept(c)
		if fault, ok := order.AsError(err); ok && fault.Code == "picture_missing" {
			err = order.Errorf(order.Invalid, "document_photo_required", "运营商没有查到该证件的登记信息，请拍摄%s照片页，由工作人员核对", labelOfDocument(signer.Type))
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
	l.auth, err = s.authorize(c, *l, cmd)
	return err
}

// explained is what the first screen says: for what he is asked, where his number
// came from, what is kept and for how long.
func (l legalRep) explained() []factView {
	facts := []factView{
		{Label: "办理内容", Value: l.order.Product.Name + " × " + strconv.Itoa(l.order.Quantity())},
		{Label: "为什么需要您", Value: "数字证书代表单位签名投标，须由法定代表人授权经办人办理。"},
		{Label: "您的手机号来源", Value: "由经办人填写：" + l.mobile().Mask() + "。"},
		{Label: "我们会用到什么", Value: "您的手机号、证件号码和手写签名，仅用于核验身份和留存授权证据。"},
		{Label: "保存多久", Value: "加密保存至证书失效后五年，期满删除；拒绝授权则立即删除。"},
	}
	if !l.auth.ExpiresAt.IsZero() {
		facts = append(facts, factView{Label: "有效期至", Value: moment(l.auth.ExpiresAt), Mono: true})
	}
	return facts
}

// asked is what he would authorise.
func (l legalRep) asked() []factView {
	o := l.order
	return []factView{
		{Label: "单位名称", Value: o.Company},
		{Label: "统一社会信用代码", Value: o.USCC, Mono: true},
		{Label: "法定代表人", Value: l.auth.Signer.Name},
		{Label: "经办人", Value: o.Form.Get(order.AgentName)},
		{Label: "经办人手机", Value: o.Form.Masked(order.AgentMobile), Mono: true},
		{Label: "产品", Value: o.Product.Name},
		{Label: "数量", Value: strconv.Itoa(o.Quantity()) + " 个"},
		{Label: "有效期", Value: strconv.Itoa(o.Product.Term) + " 年"},
		{Label: "金额", Value: "¥ " + yuan(o.Amount)},
		{Label: "订单号", Value: o.No, Mono: true},
	}
}

// giveBack sends the application back with a note (row 14).
func (s *Server) giveBack(c *fiber.Ctx, l legalRep, note string) error {
	_, err := s.authorize(c, l, order.AuthorizationCommand{On: order.LetterReturned, Note: strings.TrimSpace(note), Why: "returned"})
	if err != nil {
		return err
	}
	return s.leave(c)
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

// offered are the scopes with the last day of each; typed is the one chosen.
func (s *Server) offered(typed string) (out []choice) {
	for _, sc := range scopes {
		value := ""
		if sc.months > 0 {
			value = s.Now().In(order.Shanghai).AddDate(0, sc.months, 0).Format(time.DateOnly)
		}
		out = append(out, choice{value, sc.label, value == typed})
	}
	return out
}

// showLetter starts the reading time; wait is how many seconds of it are left.
func (s *Server) showLetter(c *fiber.Ctx, l *legalRep) (wait int, err error) {
	l.auth, err = s.authorize(c, *l, order.AuthorizationCommand{On: order.LetterShown})
	return max(0, int((order.MinReading - s.Now().Sub(l.auth.ShownAt) + time.Second - 1).Seconds())), err
}

// signing is what is sent with the signature.
type signing struct {
	until        time.Time
	read, agreed bool
	signature    string // a data URL
	code         string
}

// signLetter takes the signature. The code is used up last, so that nothing that was
// forgotten costs it.
func (s *Server) signLetter(c *fiber.Ctx, l *legalRep, in signing) error {
	if err := l.at(order.AtIdentityVerified); err != nil {
		return err
	}
	if !in.agreed {
		return order.Errorf(order.Invalid, "sensitive_consent_required", "请勾选同意处理签名和证件信息")
	}
	picture, err := readSignature(in.signature)
	if err != nil {
		return order.Errorf(order.Invalid, "signature_refused", "%s", err.Error())
	}
	if !in.read || l.auth.ShownAt.IsZero() || s.Now().Sub(l.auth.ShownAt) < order.MinReading {
		return order.Errorf(order.Invalid, "letter_unread", "请阅读授权书全文后再签署")
	}
	if err := s.Codes.Verify(c.UserContext(), s.authChallenge(c, *l, codeAuthSign), strings.TrimSpace(in.code)); err != nil {
		return err
	}
	signature := order.Signature{Object: order.LegalSignature(l.auth.ID), SHA256: fmt.Sprintf("%x", sha256.Sum256(picture))}
	if err := s.Objects.Put(c.UserContext(), signature.Object, picture); err != nil {
		return err
	}
	l.auth, err = s.authorize(c, *l, order.AuthorizationCommand{
		On: order.LetterSigned, CodeProven: true, Read: in.read, Signature: signature, Mandate: order.Mandate{Until: in.until},
		Consent:     order.Consent{Version: letter.ConsentVersion, Hash: letter.ConsentHash(), At: s.Now(), IP: c.IP()},
		TextVersion: letter.TextVersion, TextSHA256: s.letterOf(*l, in.until).SHA256(),
	})
	return err
}

// withdraw takes the authorisation back (rows 17 to 19).
func (s *Server) withdraw(c *fiber.Ctx, l legalRep) error {
	if _, err := s.authorize(c, l, order.AuthorizationCommand{On: order.LetterWithdrawn, Note: "法定代表人撤回授权", Why: "withdrawn"}); err != nil {
		return err
	}
	return s.leave(c)
}
