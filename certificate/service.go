package certificate

import (
	"cmp"
	"context"
	"errors"
	"regexp"
	"slices"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

// Queries read certificates.
type Queries interface {
	// Certificate returns an issued certificate; NotFound when there is none.
	Certificate(ctx context.Context, serial string) (Certificate, error)
	// OnToken returns the certificates of a USBKEY, newest first.
	OnToken(ctx context.Context, tokenSerial string) ([]Certificate, error)
	TicketQueries
	ReminderQueries
	OpeningQueries
	CabinetQueries
	// Notifications are the messages about an order.
	Notifications(ctx context.Context, id order.ID) ([]order.Notification, error)
	// HeldBy returns the certificates bound to a person, newest first.
	HeldBy(ctx context.Context, personID string) ([]Certificate, error)
	// PINsUntold are the initial PINs of the orders' USBKEYs that are there to be told:
	// the order is completed, the certificate not revoked, and nobody was told before.
	PINsUntold(ctx context.Context, orders []order.ID) ([]UntoldPIN, error)
}

// Tx is the database inside one transaction, with the order's side of it.
type Tx interface {
	Queries
	TicketTx
	UnlockTx
	ReminderTx
	OpeningTx
	CabinetTx
	order.Tx
	// SetRevocation writes RevokedAt and Reason only when the stored Rev is still
	// the certificate's, and has the CA publish it; else Conflict with code
	// "certificate_changed".
	SetRevocation(ctx context.Context, c Certificate) error
	// IssuedFor returns the certificate that the CA has made for an issue; Conflict
	// with code "certificate_not_made" when it has not.
	IssuedFor(ctx context.Context, issue string) (serial string, der []byte, err error)
	// SetSuccessor says which certificate one was renewed by.
	SetSuccessor(ctx context.Context, serial, by string) error
	// ClearSuccessor takes that back when the one it was renewed by was made for an
	// order, and reports whether it was.
	ClearSuccessor(ctx context.Context, serial string, by order.ID) (bool, error)
	// SetHolder binds the certificate, and whatever else its user holds on that
	// USBKEY, to another person, with the open orders about them.
	SetHolder(ctx context.Context, c Certificate, to string, at time.Time) error
}

// Store is the database.
type Store interface {
	Queries
	// Change runs fn in one transaction.
	Change(ctx context.Context, fn func(Tx) error) error
}

// Service is the only one who decides about issued certificates.
type Service struct {
	store    Store
	now      func() time.Time
	newID    func() string
	refusals order.Refusals
}

// NewService returns a Service; newID makes ULIDs. lost is told of a refusal that is not
// on the audit trail because it could not be written there; nil: nobody is.
func NewService(s Store, now func() time.Time, newID func() string, lost func(ctx context.Context, err error)) *Service {
	appendLine := func(ctx context.Context, line order.AuditRecord) error {
		return s.Change(ctx, func(tx Tx) error { return tx.AppendAudit(ctx, line) })
	}
	return &Service{s, now, newID, order.NewRefusals(appendLine, lost)}
}

// Own returns a certificate if it is bound to the person; any other answers as
// if it did not exist (F23).
func (s *Service) Own(ctx context.Context, serial, personID string) (Certificate, error) {
	c, err := s.store.Certificate(ctx, serial)
	if err == nil && (personID == "" || c.PersonID != personID) {
		return Certificate{}, NotFound()
	}
	return c, err
}

// HeldBy returns the certificates bound to a person, newest first.
func (s *Service) HeldBy(ctx context.Context, personID string) ([]Certificate, error) {
	return s.store.HeldBy(ctx, personID)
}

// Named returns the newest certificate on a USBKEY of a company, to whoever can
// name both; any other pair answers alike.
func (s *Service) Named(ctx context.Context, tokenSerial, uscc string) (Certificate, error) {
	found, err := s.store.OnToken(ctx, tokenSerial)
	if err != nil {
		return Certificate{}, err
	}
	for _, c := range found {
		if c.USCC == uscc && c.SupersededBy == "" {
			return c, nil
		}
	}
	return Certificate{}, order.Errorf(order.NotFound, "certificate_not_named", "没有找到该 UKEY，请核对 UKEY 序列号和统一社会信用代码")
}

// NotFound is the answer about a certificate that does not exist, or is somebody
// else's.
func NotFound() error {
	return order.Errorf(order.NotFound, "certificate_not_found", "没有找到该证书，请在「我的证书」中查看")
}

// Apply makes a command happen to a certificate, or refuses it and changes
// nothing but the audit trail. The decision, the order's history, the audit line
// and the messages are one transaction; the CA publishes within a minute.
func (s *Service) Apply(ctx context.Context, serial string, c Command) (Certificate, error) {
	c.at = s.now()
	var cert Certificate
	err := s.store.Change(ctx, func(tx Tx) error {
		var err error
		cert, err = s.applyIn(ctx, tx, serial, c)
		return err
	})
	if cert.OrderID != "" {
		s.refusals.Record(ctx, audit(cert, c, ""), err)
	}
	if errors.Is(err, order.NotFound) { // nothing is told of somebody else's
		return Certificate{}, err
	}
	return cert, err
}

// owned runs fn in one transaction about a certificate that is bound to by.
func (s *Service) owned(ctx context.Context, serial string, by order.Actor, fn func(tx Tx, cert Certificate) error) error {
	return s.store.Change(ctx, func(tx Tx) error {
		cert, err := tx.Certificate(ctx, serial)
		if err != nil {
			return err
		}
		if by.PersonID == "" || by.PersonID != cert.PersonID {
			return NotFound()
		}
		return fn(tx, cert)
	})
}

// applyIn returns the certificate also when it refuses, for the line about that.
func (s *Service) applyIn(ctx context.Context, tx Tx, serial string, c Command) (Certificate, error) {
	cert, err := tx.Certificate(ctx, serial)
	if err != nil {
		return Certificate{}, err
	}
	if c.By.Role == order.Applicant && (c.By.PersonID == "" || c.By.PersonID != cert.PersonID) {
		return cert, NotFound()
	}
	return s.applyTo(ctx, tx, cert, c)
}

// applyTo decides about a certificate and about what goes with it on its USBKEY; its
// user is told once.
func (s *Service) applyTo(ctx context.Context, tx Tx, cert Certificate, c Command) (Certificate, error) {
	was := cert
	t, err := next(cert, c)
	if err != nil {
		return was, err
	}
	concerned, err := s.together(ctx, tx, cert, c)
	if err != nil {
		return was, err
	}
	var seq int64
	for _, one := range concerned {
		changed, n, err := s.change(ctx, tx, t, one, c)
		if err != nil {
			return was, err
		}
		if one.Serial == cert.Serial {
			cert, seq = changed, n
		}
	}
	return cert, s.tell(ctx, tx, cert, t.Notice, seq)
}

// together is a certificate with what a command takes along, always in the same order,
// so that two commands wait for each other instead of blocking each other.
func (s *Service) together(ctx context.Context, tx Tx, cert Certificate, c Command) ([]Certificate, error) {
	all, err := tx.OnToken(ctx, cert.TokenSerial)
	if err != nil {
		return nil, err
	}
	concerned := append(Along(cert, all, c, c.at), cert)
	slices.SortFunc(concerned, func(a, b Certificate) int { return cmp.Compare(a.OrderID, b.OrderID) })
	return concerned, nil
}

// change is what a row does to one certificate; it returns the number of its line in
// the history.
func (s *Service) change(ctx context.Context, tx Tx, t transition, cert Certificate, c Command) (Certificate, int64, error) {
	t.Do(&cert, c)
	if err := tx.SetRevocation(ctx, cert); err != nil {
		return cert, 0, err
	}
	cert.Rev++
	if err := tx.AppendAudit(ctx, audit(cert, c, "ok")); err != nil {
		return cert, 0, err
	}
	seq, err := s.remember(ctx, tx, cert, t.Event, c)
	if err != nil {
		return cert, 0, err
	}
	return cert, seq, tx.Enqueue(ctx, order.Job{Kind: order.JobCertificate, Ref: cert.Serial, Seq: cert.Rev})
}

// audit is the line about a command; the serial is public, so it may stand there,
// and with it what a holder answered about open bids.
func audit(cert Certificate, c Command, outcome string) order.AuditRecord {
	action := "certificate:" + string(c.On) + ":" + cert.Serial
	if _, answered := openBids[c.Bid]; answered {
		action += ":bid_" + string(c.Bid)
	}
	return c.By.Did(cert.OrderID, action, c.at).Ending(outcome)
}

// happened tells the order's history and the audit trail what leaves the state of the
// certificate as it is; it returns the number of the line in the history.
func (s *Service) happened(ctx context.Context, tx Tx, cert Certificate, e order.Event, c Command) (int64, error) {
	seq, err := s.remember(ctx, tx, cert, e, c)
	if err != nil {
		return 0, err
	}
	return seq, tx.AppendAudit(ctx, audit(cert, c, "ok"))
}

// named is the USBKEY that remember names first in a line of the history.
var named = regexp.MustCompile(`^UKEY (TW[0-9]{14})`)

// TokenIn is the serial of the USBKEY that a line of an order's history is about; empty
// when it is about none, or all of them.
func TokenIn(e order.EventRecord) string {
	if found := named.FindStringSubmatch(e.Note); found != nil {
		return found[1]
	}
	return ""
}

// remember adds a line to the order's history and returns its number.
func (s *Service) remember(ctx context.Context, tx Tx, cert Certificate, e order.Event, c Command) (int64, error) {
	o, err := tx.Order(ctx, cert.OrderID)
	if err != nil {
		return 0, err
	}
	note := "UKEY " + cert.TokenSerial
	if c.On == Revoke {
		note += "，" + c.Reason.Label()
		if told := openBids[c.Bid].told; told != "" {
			note += "，" + told
		}
	}
	if c.Note != "" {
		note += "：" + c.Note
	}
	err = order.Remember(ctx, tx, &o, e, c.By, note, c.at)
	return o.Seq, err
}

// tell sends the notice to the bound user over all its media.
func (s *Service) tell(ctx context.Context, tx Tx, cert Certificate, n order.Notice, seq int64) error {
	return s.tellOne(ctx, tx, cert.OrderID, n, seq, order.Notices[n].To, cert.PersonID)
}

func (s *Service) tellOne(ctx context.Context, tx Tx, id order.ID, n order.Notice, seq int64, to order.Audience, personID string) error {
	return s.tellAt(ctx, tx, time.Time{}, id, n, seq, to, personID)
}

// tellAt sends a notice over all its media at a time; zero is now.
func (s *Service) tellAt(ctx context.Context, tx Tx, at time.Time, id order.ID, n order.Notice, seq int64, to order.Audience, personID string) error {
	for _, medium := range order.Notices[n].Media {
		row := order.Notification{ID: s.newID(), OrderID: id, Seq: seq, Notice: n, Medium: medium, To: to, PersonID: personID, SendAt: at, CreatedAt: s.now()}
		if err := order.Send(ctx, tx, row); err != nil {
			return err
		}
	}
	return nil
}
