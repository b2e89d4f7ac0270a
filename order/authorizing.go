package order

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/yuncaidun/yuncaidun/identity"
)

// Why an authorisation ended without the legal representative.
const (
	WhyTimeout  = "timeout"
	WhyReplaced = "replaced" // another number, another request
	WhyPaper    = "paper"
	WhyChanged  = "changed" // a signed field
	WhyRefund   = "refund"
)

// Sending is one SMS to the legal representative with a link of its own. Its ID
// is that of the notification.
type Sending struct {
	ID              string
	AuthorizationID string
	OrderID         ID
	// Kind says why it was sent: first, again or reminder.
	Kind string
	// LinkHash is the SHA-256 (hex) of the token in the link.
	LinkHash string
	At       time.Time
}

// The kinds of sending; only those asked for by the applicant are counted.
const (
	SentFirst    = "first"
	SentAgain    = "again"
	SentReminder = "reminder"
)

// linkToken is the one-time token of a sending. It is worked out from the id, so
// that a repeated job sends the same link and only its hash is stored.
func (s *Service) linkToken(sending string) string {
	h := hmac.New(sha256.New, s.linkKey)
	h.Write([]byte("authorization\x00" + sending))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:24])
}

func hashLink(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

var (
	linkUnknown  = Errorf(NotFound, "authorization_link_unknown", "该授权链接无效，请点击短信中的完整链接，或联系经办人重新发送")
	linkReplaced = Errorf(Conflict, "authorization_link_replaced", "已有更新的授权短信，请打开最新一条短信中的链接")
)

// linkEnded explains links of authorisations that nobody waits for any more.
func linkEnded(a Authorization) *Error {
	reasons := map[string]string{
		WhyTimeout:  "该授权链接已过期（7 天内未签署）。如仍需办理，请联系经办人重新提交",
		WhyReplaced: "经办人更换了接收授权短信的手机号，该链接已失效",
		WhyPaper:    "经办人已改用纸质授权书，无需在线授权",
		WhyChanged:  "经办人修改了申请内容，请使用新的授权短信",
		WhyRefund:   "该申请已退款，无需授权",
	}
	switch {
	case a.State == AtDeclined:
		return Errorf(Conflict, "authorization_declined", "您已拒绝该授权，您的证件和手机号信息已删除")
	case a.State == AtReturned:
		return Errorf(Conflict, "authorization_returned", "您已将申请退回给经办人修改，修改后会重新发送短信")
	case a.State == AtWithdrawn:
		return Errorf(Conflict, "authorization_withdrawn", "您已撤回该授权")
	case reasons[a.Why] != "":
		return Errorf(Conflict, "authorization_expired", "%s", reasons[a.Why])
	default:
		return Errorf(Conflict, "authorization_expired", "该授权链接已失效，请联系经办人重新发送")
	}
}

// AuthorizationByLink finds what a link in an SMS is about. An authorisation that
// has ended, and an older SMS, explain themselves as Conflict; the authorisation
// is returned beside the error. One whose mandate outlives it can still be looked at.
func (s *Service) AuthorizationByLink(ctx context.Context, token string) (Authorization, Order, error) {
	sending, err := s.store.SendingByLink(ctx, hashLink(token))
	if errors.Is(err, NotFound) {
		return Authorization{}, Order{}, linkUnknown
	}
	if err != nil {
		return Authorization{}, Order{}, err
	}
	a, err := s.store.Authorization(ctx, sending.AuthorizationID)
	if err != nil {
		return Authorization{}, Order{}, err
	}
	o, err := s.store.Order(ctx, a.OrderID)
	switch {
	case errors.Is(err, NotFound):
		return Authorization{}, Order{}, linkUnknown
	case err != nil:
		return Authorization{}, Order{}, err
	case !a.Active() && !a.Lapsed(s.now()):
		return a, o, linkEnded(a)
	case a.LinkHash == sending.LinkHash:
		return a, o, nil
	}
	// A reminder has a link of its own beside the one it reminds of.
	newest, err := s.store.SendingByLink(ctx, a.LinkHash)
	if err == nil && (sending.Kind != SentReminder || sending.At.Before(newest.At)) {
		err = linkReplaced
	}
	return a, o, err
}

// Asked is what a legal representative finds when he has lost the SMS: the request,
// the order it is about, and the token of the newest link.
type Asked struct {
	Authorization Authorization
	Order         Order
	Token         string
}

// AskedOf lists what waits for the legal representative with this mobile, and what
// he has signed that still counts, newest first; he has proven the mobile. before is the id of the
// last one of the page before.
func (s *Service) AskedOf(ctx context.Context, mobile identity.Mobile, before string, limit int) ([]Asked, error) {
	all, err := s.store.AuthorizationsFor(ctx, mobile, s.now(), before, limit)
	if err != nil {
		return nil, err
	}
	out := make([]Asked, 0, len(all))
	for _, a := range all {
		o, err := s.store.Order(ctx, a.OrderID)
		if errors.Is(err, NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		sending, err := s.store.SendingByLink(ctx, a.LinkHash)
		if err != nil {
			return nil, err
		}
		out = append(out, Asked{a, o, s.linkToken(sending.ID)})
	}
	return out, nil
}

// Authorize makes a command of the legal representative happen to an
// authorisation and, where the table says so, to its order, in one transaction.
func (s *Service) Authorize(ctx context.Context, id string, c AuthorizationCommand) (Authorization, error) {
	var a Authorization
	err := s.store.InTx(ctx, func(tx Tx) (err error) {
		if a, err = tx.Authorization(ctx, id); err != nil {
			return err
		}
		// Everybody locks the order first.
		o, err := tx.Order(ctx, a.OrderID)
		if err != nil {
			return err
		}
		if a, err = tx.Authorization(ctx, id); err != nil {
			return err
		}
		a, err = s.authorizeIn(ctx, tx, a, o, c)
		return err
	})
	return a, err
}

func (s *Service) authorizeIn(ctx context.Context, tx Tx, was Authorization, o Order, c AuthorizationCommand) (Authorization, error) {
	c.at, c.order = s.now(), o
	c.Device.At = c.at
	if c.Device.Channel == "" {
		c.Device.Channel, c.Device.IP = c.By.Channel, c.By.IP
	}
	t, err := nextAuthorization(was, c)
	if err != nil {
		return was, err
	}
	a := was
	a.Proof.SMS = slices.Clone(was.Proof.SMS)
	a.State = t.to(was.State)
	if t.Do != nil {
		t.Do(&a, c)
	}
	a.Rev++
	a.UpdatedAt = c.at
	if err := tx.UpdateAuthorization(ctx, a, was); err != nil {
		return was, err
	}
	if a.State == AtSigned && was.State != AtSigned {
		if err := tx.Enqueue(ctx, Job{Kind: JobAuthorization, Ref: a.ID}); err != nil {
			return was, err
		}
	}
	if a.Forgotten() && !was.Forgotten() {
		if err := tx.Enqueue(ctx, Job{Kind: JobForget, Ref: a.ID}); err != nil {
			return was, err
		}
	}
	if c.On == LetterDeclined {
		if err := s.forgetEarlier(ctx, tx, o, was); err != nil {
			return was, err
		}
	}
	if c.On == LetterWithdrawn && a.ReuseOf != "" { // else the next submission would be covered again
		if err := s.revokeMandate(ctx, tx, a.ReuseOf, c.By); err != nil {
			return was, err
		}
	}
	if c.On != LetterShown && c.On != LetterSent {
		err := tx.AppendAudit(ctx, c.By.Did(o.ID, "authorization_"+string(c.On), c.at))
		if err != nil {
			return was, err
		}
	}
	if t.Order == "" {
		return a, nil
	}
	by := Command{On: t.Order, By: c.By, Snapshot: a.Snapshot, Note: c.Note}
	if t.Order == AuthReturned {
		by.Reasons, by.Note = []Reason{{Code: "R05", Note: c.Note}}, ""
	}
	_, err = s.ApplyIn(ctx, tx, o.ID, by)
	return a, err
}

// openAuthorization asks the legal representative (rows 4, 5 and 33). What was
// asked before is void.
func (s *Service) openAuthorization(ctx context.Context, tx Tx, o Order) error {
	if err := s.voidIn(ctx, tx, o, WhyChanged); err != nil {
		return err
	}
	return s.ask(ctx, tx, o, SentFirst)
}

// ask makes an authorisation of the order as it is and sends the first SMS.
func (s *Service) ask(ctx context.Context, tx Tx, o Order, kind string) error {
	now := s.now()
	a := Authorization{
		ID: s.newID(), OrderID: o.ID, State: AtCreated, Rev: 1, Signer: signerOf(o.Form), Content: o.signedHash(o.Form), Snapshot: o.Snapshot,
		CreatedAt: now, UpdatedAt: now, ExpiresAt: now.Add(AuthorizationLife),
	}
	if err := tx.InsertAuthorization(ctx, a); err != nil {
		return err
	}
	return s.send(ctx, tx, o, a, NoticeAuthorize, kind)
}

func signerOf(f Form) LegalSigner {
	return LegalSigner{Name: f.Get(LegalName), Type: identity.DocType(f.Get(LegalIDType)), No: f.Get(LegalIDNo), Mobile: f.Get(LegalMobile)}
}

// send puts one SMS with a fresh link on its way. Earlier links are dead, unless
// it only reminds.
func (s *Service) send(ctx context.Context, tx Tx, o Order, was Authorization, n Notice, kind string) error {
	id := s.newID()
	sending := Sending{ID: id, AuthorizationID: was.ID, OrderID: o.ID, Kind: kind, LinkHash: hashLink(s.linkToken(id)), At: s.now()}
	if kind != SentReminder {
		a := was
		a.LinkHash, a.Guesses = sending.LinkHash, 0
		a.Rev++
		a.UpdatedAt = s.now()
		if err := tx.UpdateAuthorization(ctx, a, was); err != nil {
			return err
		}
	}
	if err := tx.InsertSending(ctx, sending); err != nil {
		return err
	}
	return Send(ctx, tx, Notification{ID: id, OrderID: o.ID, Seq: o.Seq, Notice: n, Medium: SMS, To: ToLegalRep, CreatedAt: s.now()})
}

// remindLegalRep sends a reminder if somebody is still waited for.
func (s *Service) remindLegalRep(ctx context.Context, tx Tx, o Order, n Notice) error {
	a, err := tx.ActiveAuthorization(ctx, o.ID)
	if errors.Is(err, NotFound) || err == nil && !a.Open() {
		return nil
	}
	if err != nil {
		return err
	}
	return s.send(ctx, tx, o, a, n, SentReminder)
}

// forgetEarlier erases what the order's earlier requests have of a legal representative
// who declines (row 15). A mandate that he gave, and what others stand on, is no part of
// what he declines.
func (s *Service) forgetEarlier(ctx context.Context, tx Tx, o Order, declined Authorization) error {
	all, err := tx.Authorizations(ctx, o.ID)
	if err != nil {
		return err
	}
	for _, a := range all {
		if a.ID == declined.ID || !a.Signer.same(declined.Signer) || a.Mandate.Covers(s.now()) {
			continue
		}
		reused, err := tx.MandateUsed(ctx, a)
		if err != nil {
			return err
		}
		if reused {
			continue
		}
		if _, err := s.authorizeIn(ctx, tx, a, o, AuthorizationCommand{On: LetterForgotten, By: BySystem}); err != nil {
			return err
		}
	}
	return nil
}

// voidIn ends the order's active authorisation, if there is one.
func (s *Service) voidIn(ctx context.Context, tx Tx, o Order, why string) error {
	a, err := tx.ActiveAuthorization(ctx, o.ID)
	if errors.Is(err, NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = s.authorizeIn(ctx, tx, a, o, AuthorizationCommand{On: LetterVoided, By: BySystem, Why: why})
	return err
}

// authorizing is what a follow-up does to the order's authorisation, beside voiding it.
type authorizing string

const (
	askLegalRep authorizing = "ask"
	askAgain    authorizing = "ask_again"
	settle      authorizing = "settle"
)

func authorize(what authorizing) followUp { return followUp{authorize: what} }

// void ends what an order has of an authorisation, for a reason.
func void(why string) followUp { return followUp{voids: why} }

func (s *Service) followAuthorization(ctx context.Context, tx Tx, o *Order, c Command, what authorizing) error {
	switch what {
	case askLegalRep:
		return s.openAuthorization(ctx, tx, *o)
	case askAgain:
		return s.sendAgain(ctx, tx, *o, c)
	case settle:
		return s.settleAuthorization(ctx, tx, o, c)
	default:
		return fmt.Errorf("order %s: a row wants the authorisation to %q", o.ID, what)
	}
}

// settleAuthorization is what an order needs that waits for nobody (rows 4, 5 and
// 33): with a paper letter an earlier request is void; what a mandate covers is
// written down as an authorisation of its own that names it. Whoever gave the
// mandate is told, at the number he proved, and may withdraw (row 17).
func (s *Service) settleAuthorization(ctx context.Context, tx Tx, o *Order, c Command) error {
	if !asksLegalRep(o.Form) {
		if c.auth == nil {
			return nil
		}
		return s.voidIn(ctx, tx, *o, WhyPaper)
	}
	if c.auth != nil && c.auth.covers(*o, o.Form) {
		return nil
	}
	if err := s.voidIn(ctx, tx, *o, WhyChanged); err != nil {
		return err
	}
	base, err := tx.Authorization(ctx, c.mandate)
	if err != nil {
		return err
	}
	now := s.now()
	a := Authorization{
		ID: s.newID(), OrderID: o.ID, State: AtSigned, Rev: 1, Signer: base.Signer, Content: o.signedHash(o.Form), Snapshot: o.Snapshot,
		ReuseOf: c.mandate, CreatedAt: now, UpdatedAt: now, SignedAt: now,
	}
	a.Proof.Receipt = receiptNo(a.ID, now)
	if err := tx.InsertAuthorization(ctx, a); err != nil {
		return err
	}
	if err := s.send(ctx, tx, *o, a, NoticeMandateUsed, SentFirst); err != nil {
		return err
	}
	if err := Remember(ctx, tx, o, MandateUsed, BySystem, "", now); err != nil {
		return err
	}
	return tx.Enqueue(ctx, Job{Kind: JobAuthorization, Ref: a.ID})
}

// aboutAuthorization are the events that need to know how the authorisation stands.
var aboutAuthorization = []Event{Confirm, Paid, Resubmit, Approve, AuthToPaper}

// informOfAuthorization looks up the order's authorisation and a mandate that
// would cover it.
func (s *Service) informOfAuthorization(ctx context.Context, tx Tx, o Order, c *Command) error {
	form := o.Form
	if c.On == Resubmit {
		form = c.Form
	}
	online := asksLegalRep(form)
	if !slices.Contains(aboutAuthorization, c.On) || !online && c.On != Resubmit {
		return nil
	}
	a, err := tx.ActiveAuthorization(ctx, o.ID)
	switch {
	case err == nil:
		c.auth = &a
	case !errors.Is(err, NotFound):
		return err
	}
	if !online {
		return nil
	}
	c.mandate, err = tx.MandateFor(ctx, MandateKeyOf(form), s.now())
	if errors.Is(err, NotFound) {
		return nil
	}
	return err
}

// ResendAuthorization sends the legal representative another SMS (row 12).
func (s *Service) ResendAuthorization(ctx context.Context, id ID, by Actor) (Order, error) {
	return s.resend(ctx, id, Command{On: AuthResend, By: by})
}

// ChangeLegalMobile sends it to another number; the request to the old one is void.
func (s *Service) ChangeLegalMobile(ctx context.Context, id ID, by Actor, mobile identity.Mobile) (Order, error) {
	return s.resend(ctx, id, Command{On: AuthMobile, By: by, Form: NewForm(map[Field]string{LegalMobile: mobile.Reveal()})})
}

func (s *Service) resend(ctx context.Context, id ID, c Command) (Order, error) {
	var o Order
	err := s.store.InTx(ctx, func(tx Tx) error {
		if _, err := tx.Order(ctx, id); err != nil { // locked: who sends at the same time is counted
			return err
		}
		left, err := s.resendsLeft(ctx, tx, id)
		if err != nil {
			return err
		}
		c := c
		if left > 0 {
			c.Proven = []Fact{ResendAllowed}
		}
		o, err = s.ApplyIn(ctx, tx, id, c)
		return err
	})
	if refusal, ok := AsError(err); ok {
		s.auditRefusal(ctx, id, c, refusal)
	}
	return o, err
}

// resendsLeft is how many more times the applicant may have the SMS sent today.
func (s *Service) resendsLeft(ctx context.Context, q Queries, id ID) (int, error) {
	y, m, d := s.now().In(Shanghai).Date()
	n, err := q.CountSendings(ctx, id, SentAgain, time.Date(y, m, d, 0, 0, 0, 0, Shanghai))
	return max(0, resendsPerDay-n), err
}

// ResendsLeft is how many more times the applicant may have the SMS sent today.
func (s *Service) ResendsLeft(ctx context.Context, id ID) (int, error) {
	return s.resendsLeft(ctx, s.store, id)
}

// sendAgain is the follow-up of row 12.
func (s *Service) sendAgain(ctx context.Context, tx Tx, o Order, c Command) error {
	a, err := tx.ActiveAuthorization(ctx, o.ID)
	if err != nil {
		return err
	}
	if c.On == AuthResend {
		return s.send(ctx, tx, o, a, NoticeAuthorize, SentAgain)
	}
	if err := s.voidIn(ctx, tx, o, WhyReplaced); err != nil {
		return err
	}
	return s.ask(ctx, tx, o, SentAgain)
}

// AuthorizeOnPaper takes a stamped letter instead of the signature that is waited
// for (row 13); email completes the form where it is missing (G33).
func (s *Service) AuthorizeOnPaper(ctx context.Context, id ID, by Actor, letter, email string) (Order, error) {
	c := Command{On: AuthToPaper, By: by, Form: NewForm(map[Field]string{LetterImage: letter, AgentEmail: email})}
	if letter != "" {
		c.Proven = []Fact{LetterUploaded}
	}
	return s.Apply(ctx, id, c)
}

// SendingToken is the token to put into the link of an SMS that is about to go out, and
// until when it is good. Conflict: nobody waits for it any more.
func (s *Service) SendingToken(ctx context.Context, sending string) (token string, until time.Time, err error) {
	token = s.linkToken(sending)
	a, _, err := s.AuthorizationByLink(ctx, token)
	return token, a.ExpiresAt, err
}

// RecordSending keeps that an SMS was taken by the provider.
func (s *Service) RecordSending(ctx context.Context, sending, providerID string) error {
	token := s.linkToken(sending)
	a, _, err := s.AuthorizationByLink(ctx, token)
	if errors.Is(err, Conflict) || err == nil && !a.Open() {
		return nil // answered or replaced meanwhile
	}
	if err != nil {
		return err
	}
	_, err = s.Authorize(ctx, a.ID, AuthorizationCommand{On: LetterSent, By: BySystem, Sent: SentLetter{ID: sending, ProviderID: providerID, At: s.now()}})
	if errors.Is(err, Conflict) && !errors.Is(err, ErrRaced) {
		return nil
	}
	return err
}

// RevokeMandate ends what an authorisation covers beyond its own order.
func (s *Service) RevokeMandate(ctx context.Context, id string, by Actor) error {
	return s.store.InTx(ctx, func(tx Tx) error { return s.revokeMandate(ctx, tx, id, by) })
}

func (s *Service) revokeMandate(ctx context.Context, tx Tx, id string, by Actor) error {
	was, err := tx.Authorization(ctx, id)
	if err != nil {
		return err
	}
	if !was.Mandate.Covers(s.now()) {
		return nil
	}
	a := was
	a.Mandate.RevokedAt, a.UpdatedAt = s.now(), s.now()
	a.Rev++
	if err := tx.UpdateAuthorization(ctx, a, was); err != nil {
		return err
	}
	return tx.AppendAudit(ctx, by.Did(a.OrderID, "mandate_revoked", s.now()))
}

// KeepLetter records the signed letter and the evidence pack of an authorisation,
// once. The first ones stay, and who was forgotten meanwhile gets none.
func (s *Service) KeepLetter(ctx context.Context, id, letter, evidence string) (kept bool, err error) {
	err = s.store.InTx(ctx, func(tx Tx) error {
		was, err := tx.Authorization(ctx, id)
		if err != nil || was.Letter != "" || was.Forgotten() {
			return err
		}
		a := was
		a.Letter, a.Evidence, a.UpdatedAt = letter, evidence, s.now()
		a.Rev++
		kept = true
		return tx.UpdateAuthorization(ctx, a, was)
	})
	return kept && err == nil, err
}
