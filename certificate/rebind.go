package certificate

import (
	"context"

	"github.com/yuncaidun/yuncaidun/order"
)

// Rebind gives a certificate to another person on its bound user's own word: the
// caller has checked a code of his mobile and then one of the new mobile (F100,
// F101). It is not an order.
func (s *Service) Rebind(ctx context.Context, serial string, by order.Actor, to string) error {
	return s.owned(ctx, serial, by, func(tx Tx, cert Certificate) error { return s.give(ctx, tx, cert, to, by) })
}

// remindOfOpenings has the new user of a certificate, and of what was bound to the former
// one beside it, reminded of the openings that the former one has registered. A reminder
// whose addressee does not hold the certificate any more is not sent.
func (s *Service) remindOfOpenings(ctx context.Context, tx Tx, cert Certificate, onToken []Certificate, to string) error {
	now := s.now()
	serials := []string{cert.Serial}
	for _, c := range onToken {
		if c.PersonID == cert.PersonID && c.Serial != cert.Serial && c.TokenSerial != "" {
			serials = append(serials, c.Serial)
		}
	}
	for _, serial := range serials {
		ahead, err := tx.Openings(ctx, serial, now)
		if err != nil {
			return err
		}
		for _, o := range ahead {
			at := dayBefore(o.At)
			if at.Before(now) { // he was not there when it was said
				at = now
			}
			if err := s.tellAt(ctx, tx, at, o.OrderID, order.NoticeOpeningAhead, o.Seq, order.ToHolder, to); err != nil {
				return err
			}
		}
	}
	return nil
}

// rebind does the same after a review, for an order of somebody who has no longer
// the bound mobile (row 31).
func (s *Service) rebind(ctx context.Context, tx Tx, cert Certificate, o order.Order, c order.Command) error {
	return s.give(ctx, tx, cert, o.PersonID, c.By)
}

// give binds the certificate, and whatever else its user holds on that USBKEY, to
// another person, with the open orders about them. Both are told, and the former
// user's logins end.
func (s *Service) give(ctx context.Context, tx Tx, cert Certificate, to string, by order.Actor) error {
	switch {
	case cert.State() == Revoked:
		return order.Errorf(order.Conflict, "certificate_is_revoked", "证书已吊销，不能更换绑定用户")
	case to == "" || to == cert.PersonID:
		return order.Errorf(order.Conflict, "same_holder", "该手机号已经是证书的绑定用户")
	}
	moved, err := tx.OnToken(ctx, cert.TokenSerial)
	if err != nil {
		return err
	}
	if err := tx.SetHolder(ctx, cert, to, s.now()); err != nil {
		return err
	}
	if err := s.remindOfOpenings(ctx, tx, cert, moved, to); err != nil {
		return err
	}
	for _, p := range []Purpose{ForUnlock, ForRenew} { // as his logins, his helper's tickets end
		if err := s.endTickets(ctx, tx, Ticket{Purpose: p, TokenSerial: cert.TokenSerial}); err != nil {
			return err
		}
	}
	c := Command{On: "rebind", By: by, Note: "绑定用户已更换", at: s.now()}
	seq, err := s.happened(ctx, tx, cert, order.CertificateRebound, c)
	if err != nil {
		return err
	}
	for _, told := range []struct {
		who    order.Audience
		person string
	}{{order.ToHolder, to}, {order.ToFormer, cert.PersonID}} {
		if err := s.tellOne(ctx, tx, cert.OrderID, order.NoticeRebound, seq, told.who, told.person); err != nil {
			return err
		}
	}
	return tx.Enqueue(ctx, order.Job{Kind: order.JobEndSessions, Ref: cert.PersonID, Seq: s.now().UnixMilli()})
}
