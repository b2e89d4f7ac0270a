package certificate

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/request"
)

// runOrders moves orders; *order.Service.
type runOrders interface {
	ApplyIn(ctx context.Context, tx order.Tx, id order.ID, c order.Command) (order.Order, error)
}

// RunDeps is what writing a certificate onto the subscriber's own USBKEY stands on.
type RunDeps struct {
	Certificates *Service
	Orders       runOrders
	Issuer       issuer
	// DER returns a certificate as it was issued.
	DER func(ctx context.Context, serial string) ([]byte, error)
	// Verify checks that the certificate's key has answered a challenge on a USBKEY.
	Verify func(certificate []byte, tokenSerial string, challenge, signature []byte) error
	// Profile is what the CA calls the certificates of an algorithm, Subject the DER of
	// the name that it puts into them, Container where on a USBKEY an issue's key is.
	Profile   func(order.Algorithm) string
	Subject   func(profile, company, uscc string) ([]byte, error)
	Container func(issueID string) []byte
}

// Runs writes certificates onto the subscriber's own USBKEY with the key helper:
// renewals (待更新) and downloads (待下载), rows 51 to 53. The old certificate stays
// as it is until the new one has been read back.
type Runs struct {
	RunDeps
	store Store
	now   func() time.Time
}

// NewRuns returns Runs on its dependencies, all of which are required.
func NewRuns(d RunDeps) *Runs {
	return &Runs{RunDeps: d, store: d.Certificates.store, now: d.Certificates.now}
}

// purposes are what a run is called, by the state that its order is in.
var runPurposes = map[order.Status]Purpose{order.ToRenew: ForRenew, order.ToDownload: ForDownload}

// Begin issues the ticket for an approved order. The caller has checked whose order
// it is. A run that another helper has begun is interrupted: its ticket dies.
func (r *Runs) Begin(ctx context.Context, id order.ID, by order.Actor) (t Ticket, secret string, err error) {
	line := by.Did(id, "run_ticket", r.now())
	err = r.store.Change(ctx, func(tx Tx) error {
		o, err := tx.Order(ctx, id)
		if err != nil {
			return err
		}
		purpose, ok := runPurposes[o.Status]
		if !ok || o.Refund != order.NoRefund {
			return order.Errorf(order.Conflict, "order_not_ready", "订单当前状态为「%s」，不能执行该操作，请刷新后查看", o.State.Label())
		}
		if o.Stage == order.Running {
			if o, err = r.Orders.ApplyIn(ctx, tx, id, order.Command{On: order.Interrupt, By: order.BySystem}); err != nil {
				return err
			}
		}
		t = Ticket{Purpose: purpose, OrderID: id, PersonID: o.PersonID}
		if o.Certificate != "" && purpose == ForRenew {
			cert, err := tx.Certificate(ctx, o.Certificate)
			if err != nil {
				return err
			}
			t.CertSerial, t.TokenSerial = cert.Serial, cert.TokenSerial
		}
		if t, secret, err = r.Certificates.IssueTicket(ctx, tx, t); err != nil {
			return err
		}
		return tx.AppendAudit(ctx, line)
	})
	r.Certificates.refusals.Record(ctx, line, err)
	return t, secret, err
}

// refused keeps that a command of the helper of a ticket ended with err, if that is a
// refusal.
func (r *Runs) refused(ctx context.Context, t Ticket, on order.Event, ip string, err error) {
	r.Certificates.refusals.Record(ctx, helperActor(t, ip).Did(t.OrderID, string(on), r.now()), err)
}

// RunErrand is what a helper is told when it shows its ticket; nothing of it is
// secret.
type RunErrand struct {
	Ticket
	Holder    string
	Old       []byte // DER of the certificate to renew; nil for a download
	Algorithm order.Algorithm
	Subject   []byte // DER of the name in the certificate request
	// Container is where on the USBKEY the new key pair belongs; nil when the key pair
	// of Old is kept, and only the certificate is new.
	Container []byte
}

// Open shows a ticket for the first time.
func (r *Runs) Open(ctx context.Context, secret string, publicKey []byte) (RunErrand, error) {
	t, err := r.Certificates.OpenTicket(ctx, secret, publicKey)
	if err != nil {
		return RunErrand{}, err
	}
	e := RunErrand{Ticket: t}
	err = r.store.Change(ctx, func(tx Tx) error {
		o, it, err := runOf(ctx, tx, t)
		if err != nil {
			return err
		}
		e.Holder, e.Algorithm, e.Container = o.Company, o.Product.Algorithm, r.Container(issueOf(o, it))
		if t.CertSerial != "" {
			cert, err := tx.Certificate(ctx, t.CertSerial)
			if err != nil {
				return err
			}
			if keeps(o, cert) {
				e.Container = nil
			}
		}
		e.Subject, err = r.Subject(r.Profile(o.Product.Algorithm), o.Company, o.USCC)
		return err
	})
	if err == nil && t.CertSerial != "" {
		e.Old, err = r.DER(ctx, t.CertSerial)
	}
	return e, err
}

// keeps reports whether an order's new certificate is for the key pair of the old
// one: in a renewal with the same algorithm, when the CA's profile says so.
func keeps(o order.Order, old Certificate) bool {
	return o.Business == order.Renewal && old.Product.Algorithm == o.Product.Algorithm && old.KeepsKey()
}

// runOf is the order of a ticket with its only item.
func runOf(ctx context.Context, tx Tx, t Ticket) (order.Order, order.Item, error) {
	o, err := tx.Order(ctx, t.OrderID)
	if err != nil {
		return o, order.Item{}, err
	}
	items, err := tx.Items(ctx, o.ID)
	if err == nil && len(items) != 1 {
		err = order.Errorf(order.Conflict, "order_not_ready", "该订单不能在自己的 UKEY 上办理，请联系客服 400-666-3999")
	}
	if err != nil {
		return o, order.Item{}, err
	}
	return o, items[0], nil
}

// issueOf is the CA's id of what an item becomes. It stays the same from one approval to
// the next, so however often a run is interrupted the CA has one serial for it (F74).
func issueOf(o order.Order, it order.Item) string {
	return fmt.Sprintf("%s-self-%d", it.ID, o.Submission)
}

// Proposal is what the helper brings once the right USBKEY is plugged in and its
// user has logged in.
type Proposal struct {
	TokenSerial string
	// Proof is the old certificate's key's answer to the ticket's challenge (renewal).
	Proof []byte
	CSR   []byte
}

// Issue has the CA make the certificate for the helper's key, or return the one that
// it has made already. From now on the order is 执行中.
func (r *Runs) Issue(ctx context.Context, secret string, p Proposal, ip string) ([]byte, error) {
	t, err := r.openTicket(ctx, secret)
	if err != nil {
		return nil, err
	}
	in, err := r.start(ctx, t, p, ip)
	if err != nil {
		r.refused(ctx, t, order.Run, ip, err)
		return nil, err
	}
	body, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("asking for a certificate: %w", err)
	}
	answer, err := r.Issuer.Ask(ctx, issueRequest(t), request.IssueForCSR, in.Issue, body)
	if err != nil {
		return nil, err
	}
	var made request.Issued
	if err := json.Unmarshal(answer, &made); err != nil {
		return nil, fmt.Errorf("reading the answer about %s: %w", in.Issue, err)
	}
	return made.Certificate, nil
}

func issueRequest(t Ticket) string { return "issue-" + t.ID }

// openTicket is a ticket that a helper works with.
func (r *Runs) openTicket(ctx context.Context, secret string) (Ticket, error) {
	t, err := r.Certificates.Ticket(ctx, secret, ForRenew)
	if errors.Is(err, order.NotFound) {
		t, err = r.Certificates.Ticket(ctx, secret, ForDownload)
	}
	return t, err
}

// check refuses another USBKEY than the one that holds the certificate to renew: by
// its serial number, and by what its key answers.
func (r *Runs) check(ctx context.Context, t Ticket, p Proposal) error {
	if t.Purpose != ForRenew {
		if p.TokenSerial == "" {
			return wrongToken
		}
		return nil
	}
	if p.TokenSerial != t.TokenSerial {
		return wrongToken
	}
	old, err := r.DER(ctx, t.CertSerial)
	if err != nil {
		return err
	}
	if r.Verify(old, t.TokenSerial, t.Challenge, p.Proof) != nil {
		return wrongToken
	}
	return nil
}

var wrongToken = order.Errorf(order.Conflict, "wrong_ukey", "插入的 UKEY 不是要办理的那一个，请换上正确的 UKEY")

// start moves the order to 执行中 (row 51) and says what the CA is asked for.
func (r *Runs) start(ctx context.Context, t Ticket, p Proposal, ip string) (in request.CSRBody, err error) {
	if err := r.check(ctx, t, p); err != nil {
		return in, err
	}
	err = r.store.Change(ctx, func(tx Tx) error {
		o, it, err := runOf(ctx, tx, t)
		if err != nil {
			return err
		}
		if o.Stage != order.Running { // else the same helper asks again after a lost answer
			c := order.Command{On: order.Run, By: helperActor(t, ip), Item: it.ID, Proven: []order.Fact{order.KeyMatches}, Note: "UKEY " + p.TokenSerial}
			if o, err = r.Orders.ApplyIn(ctx, tx, o.ID, c); err != nil {
				return err
			}
		}
		in = request.CSRBody{
			Issue: issueOf(o, it), Item: it.ID, Profile: r.Profile(o.Product.Algorithm), Company: o.Company, USCC: o.USCC, Years: o.Product.Term, CSR: p.CSR,
		}
		if in.Snapshot, err = hex.DecodeString(o.Snapshot); err != nil || o.Certificate == "" {
			return err
		}
		cert, err := tx.Certificate(ctx, o.Certificate)
		if err != nil {
			return err
		}
		if err := cert.About(r.now()).StillFits(o.Business); err != nil { // it may have changed since the run began
			return err
		}
		if in.Continues = cert.NotAfter; o.Business == order.Reissue {
			in.Years = 0
		}
		if keeps(o, cert) {
			in.Renews = cert.Serial
		}
		return nil
	})
	return in, err
}

func helperActor(t Ticket, ip string) order.Actor {
	return order.Actor{Role: order.Helper, PersonID: t.PersonID, Channel: order.Web, IP: ip}
}

// Report takes the proof that the new certificate is on the USBKEY and its key
// answers: the order is completed, the old certificate has a successor, and the
// ticket is used up, all in one transaction. Reporting again after a lost answer
// is harmless.
func (r *Runs) Report(ctx context.Context, secret, tokenSerial string, signature []byte, ip string) (order.Order, error) {
	t, err := r.store.TicketBySecret(ctx, hashSecret(secret))
	if err != nil {
		return order.Order{}, err
	}
	done, err := r.report(ctx, t, tokenSerial, signature, ip)
	if err != nil {
		r.refused(ctx, t, order.ReadBackOK, ip, err)
		return done, err
	}
	_ = r.Issuer.Forget(ctx, issueRequest(t)) // its answer has been used; if this fails it expires
	return done, nil
}

// report completes the order of a ticket.
func (r *Runs) report(ctx context.Context, t Ticket, tokenSerial string, signature []byte, ip string) (order.Order, error) {
	if t.TokenSerial != "" && tokenSerial != t.TokenSerial {
		return order.Order{}, wrongToken
	}
	serial, der, err := r.made(ctx, t)
	if err != nil {
		return order.Order{}, err
	}
	if err := r.Verify(der, tokenSerial, t.Challenge, signature); err != nil {
		return order.Order{}, order.Errorf(order.Invalid, "proof_invalid", "UKEY 的验证未通过，请重新插入后再试")
	}
	var done order.Order
	err = r.store.Change(ctx, func(tx Tx) error {
		now, err := tx.Ticket(ctx, t.ID)
		if err != nil {
			return err
		}
		if now.State == TicketDone {
			done, err = tx.Order(ctx, t.OrderID)
			return err
		}
		if err := r.Certificates.FinishTicketIn(ctx, tx, now); err != nil {
			return err
		}
		done, err = r.Orders.ApplyIn(ctx, tx, t.OrderID, order.Command{
			On: order.ReadBackOK, By: helperActor(t, ip), TokenSerial: tokenSerial, CertSerial: serial, Proven: []order.Fact{order.ReadBack}, Note: "UKEY " + tokenSerial,
		})
		return err
	})
	return done, err
}

// made is the certificate that the CA has made for the order of a ticket.
func (r *Runs) made(ctx context.Context, t Ticket) (serial string, der []byte, err error) {
	err = r.store.Change(ctx, func(tx Tx) error {
		o, it, err := runOf(ctx, tx, t)
		if err != nil {
			return err
		}
		serial, der, err = tx.IssuedFor(ctx, issueOf(o, it))
		return err
	})
	return serial, der, err
}

// Fail records that a helper gave up (row 52): the old certificate is as it was, and
// the next ticket goes on with the same serial.
func (r *Runs) Fail(ctx context.Context, secret, code, ip string) error {
	var t Ticket
	err := r.store.Change(ctx, func(tx Tx) (err error) {
		if t, err = r.Certificates.FailTicketIn(ctx, tx, secret, code); err != nil {
			return err
		}
		_, err = r.Orders.ApplyIn(ctx, tx, t.OrderID, order.Command{On: order.Interrupt, By: helperActor(t, ip)})
		return unlessMovedOn(err)
	})
	if t.OrderID != "" {
		r.refused(ctx, t, order.Interrupt, ip, err)
	}
	return err
}

// unlessMovedOn is what stands in the way of a failed ticket's order: not that the order
// had not begun, or has moved on, as the ticket is what failed. Who was overtaken tries
// again.
func unlessMovedOn(err error) error {
	if errors.Is(err, order.Conflict) && !errors.Is(err, order.ErrRaced) {
		return nil
	}
	return err
}
