package certificate

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/request"
)

// Way is how a USBKEY is unlocked.
type Way string

// The ways.
const (
	BySelf     Way = "self"     // the key helper, after an SMS code
	ByCode     Way = "code"     // a challenge code for a PC without a network, after an SMS code
	ByApproval Way = "approval" // the key helper or a challenge code, after a review
)

// Unlock is one unlock that happened, or that a code has made possible.
type Unlock struct {
	ID          string // of the ticket, or of the request for a code
	TokenSerial string
	CertSerial  string
	Way         Way
	OrderID     order.ID
	At          time.Time
}

// The limit of self-service: three in thirty days per USBKEY (flows 4.6).
const (
	selfUnlocks = 3
	selfWindow  = 30 * 24 * time.Hour
)

// UnlockQueries read unlocks.
type UnlockQueries interface {
	// CountUnlocks counts the unlocks of a USBKEY without approval since an instant.
	CountUnlocks(ctx context.Context, tokenSerial string, since time.Time) (int, error)
}

// UnlockTx records unlocks.
type UnlockTx interface {
	UnlockQueries
	InsertUnlock(ctx context.Context, u Unlock) error
	// InsertRequest asks the issuer for something when the transaction has committed.
	InsertRequest(ctx context.Context, r request.Request) error
}

// orders moves orders; *order.Service.
type orders interface {
	runOrders
	Catalogue() order.Catalogue
}

// issuer is asked for what only the issuer process can do; *request.Desk.
type issuer interface {
	Ask(ctx context.Context, id string, k request.Kind, subject string, body []byte) ([]byte, error)
	Forget(ctx context.Context, id string) error
}

// UnlockDeps is what unlocking stands on.
type UnlockDeps struct {
	Certificates *Service
	Orders       orders
	Issuer       issuer
	// DER returns a certificate as it was issued.
	DER func(ctx context.Context, serial string) ([]byte, error)
	// Verify checks that the certificate's key has answered a challenge on a USBKEY.
	Verify func(certificate []byte, tokenSerial string, challenge, signature []byte) error
	// Code asks the issuer for the response to a challenge, over a sealed answer.
	Code func(ctx context.Context, id, tokenSerial, challenge string) (response string, err error)
}

// Unlocks unlocks USBKEYs: it decides who may, hands the key helper what it needs,
// and remembers what was done. No PIN passes through here.
type Unlocks struct {
	UnlockDeps
	store Store
	now   func() time.Time
	newID func() string
}

// NewUnlocks returns Unlocks on its dependencies, all of which are required.
func NewUnlocks(d UnlockDeps) *Unlocks {
	return &Unlocks{UnlockDeps: d, store: d.Certificates.store, now: d.Certificates.now, newID: d.Certificates.newID}
}

// Subject is a USBKEY to be unlocked, by the certificate on it that speaks for it.
type Subject struct {
	Certificate
	// Self and Approval are the products that its project offers (F86); empty codes
	// for those it does not.
	Self, Approval order.Product
}

// Lookup returns the USBKEY of a serial number: its newest certificate that can be
// used decides. NotFound when there is none.
func (u *Unlocks) Lookup(ctx context.Context, tokenSerial string) (Subject, error) {
	found, err := u.store.OnToken(ctx, tokenSerial)
	if err != nil {
		return Subject{}, err
	}
	if len(found) == 0 {
		return Subject{}, NotFound()
	}
	speaks := found[0]
	for _, c := range found {
		if c.State() == Valid {
			speaks = c
			break
		}
	}
	return u.subject(speaks), nil
}

func (u *Unlocks) subject(c Certificate) Subject {
	s := Subject{Certificate: c}
	s.Self, _ = u.Orders.Catalogue().Offered(c.Product.Project, order.UnlockSelf)
	s.Approval, _ = u.Orders.Catalogue().Offered(c.Product.Project, order.UnlockApproval)
	return s
}

// usable refuses what must not be unlocked (F88); an expired certificate may be.
func (c Certificate) usable() error {
	switch c.State() {
	case Frozen:
		return order.Errorf(order.Conflict, "certificate_frozen", "证书已冻结，请先恢复")
	case Revoked:
		return order.Errorf(order.Conflict, "certificate_revoked", "证书已吊销，不能解锁；如仍需使用请办理补办")
	default:
		return nil
	}
}

// mayAlone refuses self-service where it is not offered or used up.
func (u *Unlocks) mayAlone(ctx context.Context, q UnlockQueries, s Subject) error {
	if err := s.usable(); err != nil {
		return err
	}
	if s.Self.Code == "" {
		return order.Errorf(order.Conflict, "unlock_self_not_offered", "该项目不提供自助解锁，请使用审批解锁")
	}
	n, err := q.CountUnlocks(ctx, s.TokenSerial, u.now().Add(-selfWindow))
	if err == nil && n >= selfUnlocks {
		return order.Errorf(order.RateLimited, "unlocks_used_up", "30 天内自助解锁次数已用完（%d 次），请使用审批解锁", selfUnlocks)
	}
	return err
}

// mayApproved refuses when an order does not wait for its unlock any more: it is being
// refunded, its time is over or its legal representative has withdrawn.
func (u *Unlocks) mayApproved(ctx context.Context, tx Tx, id order.ID, c Certificate) error {
	o, err := tx.Order(ctx, id)
	if err != nil {
		return err
	}
	if o.Status != order.ToUnlock || o.Refund != order.NoRefund {
		return order.Errorf(order.Conflict, "order_not_ready", "订单当前状态为「%s」，不能执行该操作，请刷新后查看", o.Guide(u.now()).State)
	}
	return c.usable()
}

// did is the line on the audit trail about a step of an unlock: of its order, or of the
// order of the certificate while it has none.
func (u *Unlocks) did(c Certificate, unlock order.ID, by order.Actor, step string) order.AuditRecord {
	return by.Did(cmp.Or(unlock, c.OrderID), "certificate:"+step+":"+c.Serial, u.now())
}

// The steps of an unlock that move no order.
const (
	stepTicket = "unlock_ticket" // a ticket is issued
	stepSecret = "unlock_secret" // the issuer is asked for what unlocks the USBKEY
	stepCode   = "unlock_code"   // the issuer is asked for the response to a challenge
)

// BeginSelf issues the ticket for a self-service unlock. The caller has checked a
// code sent to the bound mobile for this USBKEY, so by counts as its bound user.
func (u *Unlocks) BeginSelf(ctx context.Context, s Subject, by order.Actor) (t Ticket, secret string, err error) {
	by.PersonID = s.PersonID
	line := u.did(s.Certificate, "", by, stepTicket)
	err = u.store.Change(ctx, func(tx Tx) error {
		if err := u.mayAlone(ctx, tx, s); err != nil {
			return err
		}
		t, secret, err = u.Certificates.IssueTicket(ctx, tx, Ticket{Purpose: ForUnlock, CertSerial: s.Serial, TokenSerial: s.TokenSerial, PersonID: s.PersonID})
		if err != nil {
			return err
		}
		return tx.AppendAudit(ctx, line)
	})
	u.Certificates.refusals.Record(ctx, line, err)
	return t, secret, err
}

// Of returns the certificate that an order is about.
func (u *Unlocks) Of(ctx context.Context, o order.Order) (Certificate, error) {
	return u.store.Certificate(ctx, o.Certificate)
}

// BeginApproved issues the ticket for an order that was approved (row 28); the
// caller has checked whose order it is.
func (u *Unlocks) BeginApproved(ctx context.Context, o order.Order, by order.Actor) (t Ticket, secret string, err error) {
	s, err := u.store.Certificate(ctx, o.Certificate)
	if err != nil {
		return Ticket{}, "", err
	}
	line := u.did(s, o.ID, by, stepTicket)
	err = u.store.Change(ctx, func(tx Tx) error {
		if err := u.mayApproved(ctx, tx, o.ID, s); err != nil {
			return err
		}
		t, secret, err = u.Certificates.IssueTicket(ctx, tx, Ticket{Purpose: ForUnlock, CertSerial: s.Serial, TokenSerial: s.TokenSerial, OrderID: o.ID, PersonID: o.PersonID})
		if err != nil {
			return err
		}
		return tx.AppendAudit(ctx, line)
	})
	u.Certificates.refusals.Record(ctx, line, err)
	return t, secret, err
}

// Errand is what a helper is told when it shows its ticket; nothing of it is secret.
type Errand struct {
	Ticket
	Holder      string // of the certificate, masked where a person reads it
	Certificate []byte // DER
}

// Open shows a ticket for the first time.
func (u *Unlocks) Open(ctx context.Context, secret string, publicKey []byte) (Errand, error) {
	t, err := u.Certificates.OpenTicket(ctx, secret, publicKey)
	if err != nil {
		return Errand{}, err
	}
	cert, err := u.store.Certificate(ctx, t.CertSerial)
	if err != nil {
		return Errand{}, err
	}
	der, err := u.DER(ctx, t.CertSerial)
	return Errand{Ticket: t, Holder: cert.Holder, Certificate: der}, err
}

// Step records what the helper of a ticket is doing.
func (u *Unlocks) Step(ctx context.Context, secret string, step Step) error {
	return u.Certificates.TellStep(ctx, secret, step)
}

// Watch returns a ticket for the page that watches it. One that was replaced is done when
// the one in the other window is. (A ticket of an order is when its order is.)
func (u *Unlocks) Watch(ctx context.Context, id string) (Ticket, error) {
	t, err := u.Certificates.TicketByID(ctx, id)
	if err != nil || t.State != TicketReplaced || t.OrderID != "" {
		return t, err
	}
	done, err := u.store.DoneInstead(ctx, t)
	if done {
		t.State = TicketDone
	}
	return t, err
}

func secretRequest(t Ticket) string { return "unlock-" + t.ID }

// Secret returns what the helper needs to unlock the USBKEY of its ticket, sealed
// to its key. What could refuse the unlock is asked once more.
func (u *Unlocks) Secret(ctx context.Context, secret, ip string) ([]byte, error) {
	t, err := u.Certificates.Ticket(ctx, secret, ForUnlock)
	if err != nil {
		return nil, err
	}
	cert, err := u.store.Certificate(ctx, t.CertSerial)
	if err != nil {
		return nil, err
	}
	line := u.did(cert, t.OrderID, helperActor(t, ip), stepSecret)
	err = u.store.Change(ctx, func(tx Tx) error {
		if t.OrderID == "" {
			err = u.mayAlone(ctx, tx, u.subject(cert))
		} else {
			err = u.mayApproved(ctx, tx, t.OrderID, cert)
		}
		if err != nil {
			return err
		}
		return tx.AppendAudit(ctx, line)
	})
	if err != nil {
		u.Certificates.refusals.Record(ctx, line, err)
		return nil, err
	}
	body, err := json.Marshal(request.SecretBody{Ticket: t.ID, PublicKey: t.PublicKey})
	if err != nil {
		return nil, fmt.Errorf("asking for an unlock: %w", err)
	}
	return u.Issuer.Ask(ctx, secretRequest(t), request.UnlockSecret, t.TokenSerial, body)
}

// Report takes the helper's proof that the USBKEY works under a new PIN: the
// unlock is an order that is completed (rows 56, 59), everybody bound to the
// USBKEY is told, and the issuer learns that the SO PIN has changed, all in one
// transaction. Reporting again after a lost answer is harmless.
func (u *Unlocks) Report(ctx context.Context, secret string, signature []byte, ip string) (order.Order, error) {
	t, err := u.store.TicketBySecret(ctx, hashSecret(secret))
	if err != nil {
		return order.Order{}, err
	}
	cert, err := u.store.Certificate(ctx, t.CertSerial)
	if err != nil {
		return order.Order{}, err
	}
	done, err := u.report(ctx, t, signature, ip)
	if err != nil {
		u.Certificates.refusals.Record(ctx, u.did(cert, t.OrderID, helperActor(t, ip), string(order.PINSet)), err)
		return done, err
	}
	// Its answer has been used; if this fails it expires.
	_ = u.Issuer.Forget(ctx, secretRequest(t))
	return done, nil
}

// report completes the unlock of a ticket.
func (u *Unlocks) report(ctx context.Context, t Ticket, signature []byte, ip string) (order.Order, error) {
	der, err := u.DER(ctx, t.CertSerial)
	if err != nil {
		return order.Order{}, err
	}
	if err := u.Verify(der, t.TokenSerial, t.Challenge, signature); err != nil {
		return order.Order{}, order.Errorf(order.Invalid, "proof_invalid", "UKEY 的验证未通过，请重新插入后再试")
	}
	var done order.Order
	err = u.store.Change(ctx, func(tx Tx) error {
		now, err := tx.Ticket(ctx, t.ID)
		if err != nil || now.State == TicketDone {
			return err
		}
		if now.Purpose != ForUnlock {
			return ticketGone
		}
		if err := u.Certificates.FinishTicketIn(ctx, tx, now); err != nil {
			return err
		}
		done, err = u.complete(ctx, tx, now, ip)
		return err
	})
	return done, err
}

// complete is the order's side of a reported unlock.
func (u *Unlocks) complete(ctx context.Context, tx Tx, t Ticket, ip string) (order.Order, error) {
	cert, err := tx.Certificate(ctx, t.CertSerial)
	if err != nil {
		return order.Order{}, err
	}
	if err := cert.usable(); err != nil {
		return order.Order{}, err
	}
	by := helperActor(t, ip)
	c := order.Command{On: order.PINSet, By: by, Proven: []order.Fact{order.ReadBack, order.CertificateUsable, order.KeyMatches, order.GrantAlive}}
	way := ByApproval
	if t.OrderID == "" {
		way = BySelf
		if c, err = u.selfCommand(ctx, tx, cert, c); err != nil {
			return order.Order{}, err
		}
	}
	o, err := u.Orders.ApplyIn(ctx, tx, t.OrderID, c)
	if err != nil {
		return o, err
	}
	if err := tx.InsertRequest(ctx, request.New("unlocked-"+t.ID, request.UnlockDone, t.TokenSerial, []byte(t.ID), u.now())); err != nil {
		return o, err
	}
	return o, u.remember(ctx, tx, cert, Unlock{ID: t.ID, Way: way, OrderID: o.ID}, o.PersonID)
}

// selfCommand completes a command that makes the order of a self-service unlock:
// who is bound, and the limit, which was asked before anything was handed out.
func (u *Unlocks) selfCommand(ctx context.Context, tx Tx, cert Certificate, c order.Command) (order.Command, error) {
	if _, err := tx.Order(ctx, cert.OrderID); err != nil { // locked, see CodeFor
		return c, err
	}
	p, ok := u.Orders.Catalogue().Offered(cert.Product.Project, order.UnlockSelf)
	if !ok {
		return c, order.Errorf(order.Conflict, "unlock_self_not_offered", "该项目不提供自助解锁，请使用审批解锁")
	}
	person, err := tx.Person(ctx, cert.PersonID)
	if err != nil {
		return c, err
	}
	c.Product, c.Certificate = p.Code, cert.Serial
	c.Form = order.NewForm(map[order.Field]string{order.AgentMobile: person.Mobile.Reveal()})
	c.Proven = append(c.Proven, order.MobileProven, order.UnlocksLeft)
	c.Note = "UKEY " + cert.TokenSerial
	return c, nil
}

// remember counts the unlock and tells whoever else is bound to the USBKEY; the
// order's own person hears of it through the order.
func (u *Unlocks) remember(ctx context.Context, tx Tx, cert Certificate, done Unlock, told string) error {
	done.TokenSerial, done.CertSerial, done.At = cert.TokenSerial, cert.Serial, u.now()
	if err := tx.InsertUnlock(ctx, done); err != nil {
		return err
	}
	others, err := tx.OnToken(ctx, cert.TokenSerial)
	if err != nil {
		return err
	}
	heard, byHelper := map[string]bool{told: true}, Command{By: order.Actor{Role: order.Helper, Channel: order.Web}, at: done.At}
	for _, c := range others {
		if heard[c.PersonID] || c.PersonID == "" {
			continue
		}
		heard[c.PersonID] = true
		seq, err := u.Certificates.remember(ctx, tx, c, order.PINSet, byHelper)
		if err != nil {
			return err
		}
		if err := u.Certificates.tell(ctx, tx, c, order.NoticeUnlocked, seq); err != nil {
			return err
		}
	}
	return nil
}

// Fail records that a helper gave up (row 57); the next ticket opens the USBKEY.
func (u *Unlocks) Fail(ctx context.Context, secret, code, ip string) error {
	var t Ticket
	err := u.store.Change(ctx, func(tx Tx) (err error) {
		if t, err = u.Certificates.FailTicketIn(ctx, tx, secret, code); err != nil || t.Purpose != ForUnlock || t.OrderID == "" {
			return err
		}
		_, err = u.Orders.ApplyIn(ctx, tx, t.OrderID, order.Command{On: order.UnlockFailed, By: helperActor(t, ip)})
		return unlessMovedOn(err)
	})
	if t.OrderID != "" {
		u.Certificates.refusals.Record(ctx, helperActor(t, ip).Did(t.OrderID, string(order.UnlockFailed), u.now()), err)
	}
	return err
}

// CodeFor returns the response to the challenge that a USBKEY shows on a PC without a
// network. The caller has checked a code sent to the bound mobile for this USBKEY.
// Nobody reports how that goes, so the order of the unlock is completed now.
func (u *Unlocks) CodeFor(ctx context.Context, s Subject, challenge string, by order.Actor) (string, error) {
	by.PersonID = s.PersonID
	return u.answer(ctx, challenge, coded{
		of: s.Certificate, by: by, way: ByCode,
		may: func(tx Tx, cert Certificate) error {
			now := s
			now.Certificate = cert
			return u.mayAlone(ctx, tx, now)
		},
		command: func(tx Tx, cert Certificate, c order.Command) (order.Command, error) {
			c.By.PersonID = cert.PersonID
			return u.selfCommand(ctx, tx, cert, c)
		},
	})
}

// CodeForApproved is [Unlocks.CodeFor] for an order that was approved (row 28); the caller
// has checked whose order it is. A response that did not fit, as when the USBKEY was pulled
// out meanwhile, is given anew a few times (row 57).
func (u *Unlocks) CodeForApproved(ctx context.Context, o order.Order, challenge string, by order.Actor) (string, error) {
	s, err := u.store.Certificate(ctx, o.Certificate)
	if err != nil {
		return "", err
	}
	return u.answer(ctx, challenge, coded{
		of: s, unlock: o.ID, by: by, way: ByApproval,
		may: func(tx Tx, cert Certificate) error { return u.mayByCode(ctx, tx, o.ID, cert) },
		command: func(_ Tx, _ Certificate, c order.Command) (order.Command, error) {
			c.Proven = append(c.Proven, order.KeyMatches, order.CodesLeft)
			return c, nil
		},
	})
}

// mayByCode is mayApproved for a response. The first completes the order, for which further
// ones are given all the same.
func (u *Unlocks) mayByCode(ctx context.Context, tx Tx, id order.ID, c Certificate) error {
	o, err := tx.Order(ctx, id)
	if err != nil {
		return err
	}
	events, err := tx.Events(ctx, id)
	if err != nil {
		return err
	}
	if o.CodeAgain(events, u.now()) {
		return c.usable()
	}
	return u.mayApproved(ctx, tx, id, c)
}

// coded is an unlock by a response: of which USBKEY and order, by whom, and how.
type coded struct {
	of     Certificate
	unlock order.ID // empty without approval
	by     order.Actor
	way    Way
	// may refuses it; command completes what moves its order.
	may     func(tx Tx, cert Certificate) error
	command func(tx Tx, cert Certificate, c order.Command) (order.Command, error)
}

// answer gives the response to the challenge of a USBKEY. What could refuse it is asked
// before the issuer is, and again in the transaction that counts.
func (u *Unlocks) answer(ctx context.Context, challenge string, a coded) (string, error) {
	id := "code-" + u.newID()
	line := u.did(a.of, a.unlock, a.by, stepCode)
	err := u.store.Change(ctx, func(tx Tx) error {
		if err := a.may(tx, a.of); err != nil {
			return err
		}
		return tx.AppendAudit(ctx, line)
	})
	if err != nil {
		u.Certificates.refusals.Record(ctx, line, err)
		return "", err
	}
	response, err := u.Code(ctx, id, a.of.TokenSerial, challenge)
	if err != nil {
		return "", err
	}
	err = u.store.Change(ctx, func(tx Tx) error {
		cert, err := tx.Certificate(ctx, a.of.Serial)
		if err != nil {
			return err
		}
		// This locks an order, so that of several who count one goes first.
		c, err := a.command(tx, cert, order.Command{On: order.CodeGiven, By: a.by, Proven: []order.Fact{order.CertificateUsable}})
		if err != nil {
			return err
		}
		if err := a.may(tx, cert); err != nil {
			return err
		}
		o, err := u.Orders.ApplyIn(ctx, tx, a.unlock, c)
		if err != nil {
			return err
		}
		return u.remember(ctx, tx, cert, Unlock{ID: id, Way: a.way, OrderID: o.ID}, o.PersonID)
	})
	if err != nil {
		u.Certificates.refusals.Record(ctx, u.did(a.of, a.unlock, a.by, string(order.CodeGiven)), err)
		return "", err
	}
	_ = u.Issuer.Forget(ctx, id) // the unlock is counted; if this fails it expires
	return response, nil
}
