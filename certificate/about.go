package certificate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

var _ order.Certificates = (*Service)(nil)

// About is the certificate as orders ask for it.
func (c Certificate) About(now time.Time) order.About {
	return order.About{
		Serial: c.Serial, TokenSerial: c.TokenSerial, Holder: c.Holder, USCC: c.USCC, OrderID: c.OrderID, PersonID: c.PersonID,
		NotBefore: c.NotBefore, NotAfter: c.NotAfter, Frozen: c.State() == Frozen, Revoked: c.State() == Revoked,
		Replaced:  c.SupersededBy != "" || c.State() == Revoked && c.Reason == Superseded,
		Succeeded: c.SupersededBy != "",
		Expired:   c.Expired(now), Renewable: c.InRenewalWindow(now),
		Algorithm: c.Product.Algorithm, KeyWornOut: !c.KeyUntil.IsZero() && !c.KeepsKey(),
	}
}

// ObstacleTo says in Chinese why an order about the certificate cannot go on as it is now;
// empty when it can.
func (c Certificate) ObstacleTo(o order.Order, now time.Time) string {
	if e, ok := order.AsError(c.About(now).Obstacle(o)); ok {
		return e.Detail
	}
	return ""
}

// About implements [order.Certificates].
func (s *Service) About(ctx context.Context, tx order.Tx, serial string) (order.About, error) {
	t, err := ours(tx)
	if err != nil {
		return order.About{}, err
	}
	c, err := t.Certificate(ctx, serial)
	if err != nil {
		return order.About{}, err
	}
	about := c.About(s.now())
	ahead, err := t.Openings(ctx, serial, s.now())
	if len(ahead) > 0 {
		about.LastOpening = ahead[len(ahead)-1].At
	}
	return about, err
}

// Unlocking implements [order.Certificates].
func (s *Service) Unlocking(ctx context.Context, tx order.Tx, o order.Order) (bool, error) {
	t, err := ours(tx)
	if err != nil {
		return false, err
	}
	live, err := t.LiveTickets(ctx, Ticket{Purpose: ForUnlock, CertSerial: o.Certificate, OrderID: o.ID})
	return slices.ContainsFunc(live, func(l Ticket) bool { return l.State == TicketOpen && !l.Expired(s.now()) }), err
}

// ours is the order's transaction as this package needs it: the store's is both.
func ours(tx order.Tx) (Tx, error) {
	t, ok := tx.(Tx)
	if !ok {
		return nil, fmt.Errorf("a transaction of %T knows no certificates", tx)
	}
	return t, nil
}

// steps is what an order's decision does to its certificate.
var steps = map[order.CertificateStep]func(*Service, context.Context, Tx, Certificate, order.Order, order.Command) error{
	order.HoldCertificate:      (*Service).hold,
	order.RevokeCertificate:    (*Service).replace,
	order.RestoreCertificate:   (*Service).restore,
	order.SupersedeCertificate: (*Service).supersede,
	order.RebindCertificate:    (*Service).rebind,
	order.LostCertificate:      (*Service).lose,
	order.RefundCertificate:    (*Service).refund,
	order.ReinstateCertificate: (*Service).reinstate,
	order.ReinstateRenewed:     (*Service).reinstateRenewed,
}

// Step implements [order.Certificates].
func (s *Service) Step(ctx context.Context, tx order.Tx, step order.CertificateStep, o order.Order, c order.Command) error {
	t, err := ours(tx)
	if err != nil {
		return err
	}
	do, ok := steps[step]
	if !ok {
		return fmt.Errorf("order %s: no step %q of a certificate", o.ID, step)
	}
	cert, err := t.Certificate(ctx, o.Certificate)
	if err != nil {
		return err
	}
	return do(s, ctx, t, cert, o, c)
}

// decided is a command that an order's lifecycle has decided: it has asked who
// may and what was proven.
func (s *Service) decided(ctx context.Context, tx Tx, cert Certificate, c Command, by order.Actor) error {
	c.By, c.ByOrder, c.at = by, true, s.now()
	_, err := s.applyTo(ctx, tx, cert, c)
	return err
}

// hold freezes a certificate whose replacement is asked for by its bound user.
// Whoever comes without the bound mobile has proven too little to stop a key: it
// stays as it is until somebody has looked at his papers.
func (s *Service) hold(ctx context.Context, tx Tx, cert Certificate, o order.Order, c order.Command) error {
	if cert.State() != Valid || cert.Expired(s.now()) || o.Form.Get(order.AboutEntry) != order.EntryHolder {
		return nil
	}
	return s.decided(ctx, tx, cert, Command{On: Freeze, Note: "申请补办"}, c.By)
}

func (s *Service) replace(ctx context.Context, tx Tx, cert Certificate, _ order.Order, c order.Command) error {
	if cert.State() == Revoked || cert.Expired(s.now()) {
		return nil
	}
	return s.decided(ctx, tx, cert, Command{On: Revoke, Reason: Superseded, Note: "由新证书替代"}, c.By)
}

// lose revokes the certificate of a key that did not arrive: who has it is unknown.
func (s *Service) lose(ctx context.Context, tx Tx, cert Certificate, _ order.Order, c order.Command) error {
	if cert.State() == Revoked || cert.Expired(s.now()) {
		return nil
	}
	return s.decided(ctx, tx, cert, Command{On: Revoke, Reason: KeyCompromise, Note: "运输途中丢失或损坏"}, c.By)
}

// refund revokes a certificate whose price goes back (row 65), and no other: one that
// it had renewed is what its holder has left.
func (s *Service) refund(ctx context.Context, tx Tx, cert Certificate, _ order.Order, c order.Command) error {
	if cert.State() == Revoked || cert.Expired(s.now()) {
		return nil
	}
	return s.decided(ctx, tx, cert, Command{On: Revoke, Reason: CessationOfOperation, Note: "订单退款", alone: true}, c.By)
}

func (s *Service) restore(ctx context.Context, tx Tx, cert Certificate, _ order.Order, c order.Command) error {
	return s.decided(ctx, tx, cert, Command{On: Resume}, c.By)
}

// supersede marks the certificate that was renewed. It is not revoked: what it
// signed and what is encrypted for it stays good until its end.
func (s *Service) supersede(ctx context.Context, tx Tx, cert Certificate, _ order.Order, c order.Command) error {
	if cert.SupersededBy != "" {
		return nil
	}
	if c.CertSerial == "" {
		return errors.New("a renewal without a new certificate")
	}
	return tx.SetSuccessor(ctx, cert.Serial, c.CertSerial)
}

// reinstate takes back that a certificate was replaced by one whose price goes back:
// renewed but not ended, it is what its holder has left.
func (s *Service) reinstate(ctx context.Context, tx Tx, cert Certificate, o order.Order, c order.Command) error {
	return s.left(ctx, tx, cert, o.ID, c, "新证书的订单退款")
}

// reinstateRenewed takes it back of what was replaced by a certificate whose key was lost on
// its way, however often that was to be made again, when its order is given up.
func (s *Service) reinstateRenewed(ctx context.Context, tx Tx, lost Certificate, _ order.Order, c order.Command) error {
	by, cert := lost.OrderID, lost
	for cert.KeyLost {
		by = cert.OrderID
		made, err := tx.Order(ctx, by)
		if err != nil || made.Certificate == "" {
			return err
		}
		if cert, err = tx.Certificate(ctx, made.Certificate); err != nil {
			return err
		}
	}
	return s.left(ctx, tx, cert, by, c, "新 UKEY 在运输途中丢失，没有补办")
}

// left has a certificate be replaced by none of an order's any more.
func (s *Service) left(ctx context.Context, tx Tx, cert Certificate, by order.ID, c order.Command, why string) error {
	did, err := tx.ClearSuccessor(ctx, cert.Serial, by)
	if err != nil || !did || cert.State() == Revoked {
		return err
	}
	if err := tx.LookAgain(ctx, cert.Serial, s.now()); err != nil { // the ladder goes on where it stopped
		return err
	}
	_, err = s.happened(ctx, tx, cert, order.CertificateReinstated, Command{On: "reinstate", By: c.By, Note: why, at: s.now()})
	return err
}
