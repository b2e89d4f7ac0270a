package order

import (
	"context"
	"crypto/rand"
	"fmt"
	"math/big"
	"sync/atomic"
	"time"
)

// Service is the registration authority: it applies commands to orders.
type Service struct {
	store        Store
	gateways     map[PayChannel]PaymentGateway
	mini         MiniGateway
	courier      CourierDesk
	fulfilments  FulfilmentDesk
	certificates Certificates
	calendar     *Calendar
	catalogue    func() Catalogue
	now          func() time.Time
	newID        func() string
	linkKey      []byte
	maxDrafts    int
	refusals     Refusals

	summarised atomic.Int64 // the day (yyyymmdd) whose summary was sent
	published  published
}

// Deps is what a Service stands on.
type Deps struct {
	Store    Store
	Gateways map[PayChannel]PaymentGateway // a channel without one is not offered
	Mini     MiniGateway                   // nil: nobody pays in the mini-program
	Courier  CourierDesk                   // nil: nobody follows parcels
	// Fulfilments is told how payments in the mini-program were fulfilled; nil: nobody is.
	Fulfilments FulfilmentDesk
	// Certificates tells of the certificates that orders are about.
	Certificates Certificates
	Calendar     *Calendar
	// Catalogue is what is on offer now.
	Catalogue func() Catalogue
	Now       func() time.Time
	// NewID makes a fresh, sortable, unguessable id (a ULID).
	NewID func() string
	// LinkKey makes the tokens in the links to the legal representative; the same
	// 32 secret bytes in every process.
	LinkKey []byte
	// MaxDrafts is how many unsubmitted applications a person, or a browser without
	// a login, may have; 0 is no limit.
	MaxDrafts int
	// Lost is told of a refusal that is not on the audit trail because it could not be
	// written there; nil: nobody is.
	Lost func(ctx context.Context, err error)
}

// NewService returns a Service on its dependencies, which are required except Mini, Courier, Fulfilments and Lost.
func NewService(d Deps) *Service {
	return &Service{
		store: d.Store, gateways: d.Gateways, mini: d.Mini, courier: d.Courier, fulfilments: d.Fulfilments, certificates: d.Certificates, calendar: d.Calendar, catalogue: d.Catalogue,
		now: d.Now, newID: d.NewID, linkKey: d.LinkKey, maxDrafts: d.MaxDrafts,
		refusals: NewRefusals(func(ctx context.Context, line AuditRecord) error {
			return d.Store.InTx(ctx, func(tx Tx) error { return tx.AppendAudit(ctx, line) })
		}, d.Lost),
	}
}

// Catalogue returns what is on offer.
func (s *Service) Catalogue() Catalogue { return s.catalogue() }

// slaDays is the promise of F63.
const slaDays = 3

// Apply makes a command happen to an order, or refuses it and changes nothing
// but the audit trail. The new state, the history, the audit line, the timers
// and the follow-up jobs are one transaction. Save with an empty id makes a new
// draft.
func (s *Service) Apply(ctx context.Context, id ID, c Command) (Order, error) {
	var o Order
	err := s.store.InTx(ctx, func(tx Tx) error {
		var err error
		o, err = s.ApplyIn(ctx, tx, id, c)
		return err
	})
	if id != "" {
		s.auditRefusal(ctx, id, c, err)
	}
	return o, err
}

// auditRefusal keeps that a command ended with err, if that is a refusal.
func (s *Service) auditRefusal(ctx context.Context, id ID, c Command, err error) {
	s.refusals.Record(ctx, audit(id, c, s.now()), err)
}

func audit(id ID, c Command, at time.Time) AuditRecord {
	return c.By.Did(id, string(c.On), at)
}

// ApplyIn is Apply in the transaction of a caller who changes something else with
// it; a refusal is the caller's to record, with [Refusals.Record].
func (s *Service) ApplyIn(ctx context.Context, tx Tx, id ID, c Command) (Order, error) {
	was, err := s.load(ctx, tx, id, c)
	if err != nil {
		return Order{}, err
	}
	if c.On != ExpressOver && expressLate(was, Command{at: s.now()}) { // whoever moves a late order finds it late, not only the sweep
		if was, err = s.ApplyIn(ctx, tx, id, Command{On: ExpressOver, By: BySystem}); err != nil {
			return was, err
		}
	}
	if err := s.inform(ctx, tx, &was, &c); err != nil {
		return was, err
	}
	no, err := s.number(ctx, tx, was, c)
	if err != nil {
		return was, err
	}
	o, err := s.prepare(ctx, tx, was, &c)
	if err != nil {
		return was, err
	}
	t, err := next(o, c)
	switch {
	case err != nil:
		return was, err
	case t.Later:
		return was, Errorf(Conflict, "not_offered_yet", "该业务暂未开放，请联系客服 400-666-3999")
	}
	o.State = t.to(was.State)
	if t.Do != nil {
		t.Do(&o, c)
	}
	if t.Refund != NoRefund {
		o.Refund = t.Refund
	} else if o.Status == Refunded {
		o.Refund = NoRefund
	}
	s.settleExpress(was, &o, c)
	o.Rev++
	o.Seq++
	o.UpdatedAt = c.at
	if o.No, err = no(); err != nil {
		return was, err
	}
	if err := s.write(ctx, tx, was, o, c); err != nil {
		return was, err
	}
	if err := s.returnExpress(ctx, tx, was, o, c); err != nil {
		return was, err
	}
	if err := s.follow(ctx, tx, &o, c, t.Then); err != nil {
		return was, err
	}
	return o, nil
}

// number asks for the number of an order that is confirmed for the first time
// (F93, G2); one that has a number keeps it. The question travels with the next one,
// so it comes before the others that a confirmation asks.
func (s *Service) number(ctx context.Context, tx Tx, o Order, c Command) (no func() (string, error), err error) {
	if c.On != Confirm && c.On != ReplaceLost && !c.unlocksAlone() || o.No != "" {
		return func() (string, error) { return o.No, nil }, nil
	}
	seq, err := tx.NextOrderSeq(ctx, c.at.In(Shanghai).Format("20060102"))
	if err != nil {
		return nil, err
	}
	return func() (string, error) {
		n, err := seq()
		if err != nil {
			return "", err
		}
		return FormatNo(c.at, n), nil
	}, nil
}

// load reads the order, locked, or starts a new draft. Somebody else's order
// does not exist for an applicant (F23).
func (s *Service) load(ctx context.Context, tx Tx, id ID, c Command) (Order, error) {
	if id == "" && c.On == Save {
		if err := s.roomForDraft(ctx, tx, c); err != nil {
			return Order{}, err
		}
		return Order{
			ID: ID(s.newID()), State: None, Certificate: c.Certificate, PersonID: c.By.PersonID, DraftToken: c.DraftToken,
			CreatedAt: s.now(),
		}, nil
	}
	if id == "" && c.unlocksAlone() {
		return s.newUnlock(c)
	}
	if id == "" && c.On == ReplaceLost {
		return s.newReplacement(c)
	}
	o, err := tx.Order(ctx, id)
	if err != nil {
		return Order{}, err
	}
	if c.By.Role == Applicant && !o.OwnedBy(c.By.PersonID, c.DraftToken) {
		return Order{}, orderNotFound
	}
	return o, nil
}

var orderNotFound = Errorf(NotFound, "order_not_found", "没有找到该订单，请在「我的订单」中查看")

// OwnedBy reports whether an order belongs to a person or, as an anonymous
// draft, to the holder of a browser token (its SHA-256 in hex).
func (o Order) OwnedBy(personID, draftToken string) bool {
	return personID != "" && o.PersonID == personID || o.PersonID == "" && draftToken != "" && o.DraftToken == draftToken
}

// inform gathers what the facts of a command are told by.
func (s *Service) inform(ctx context.Context, tx Tx, o *Order, c *Command) (err error) {
	c.at = s.now()
	c.second = s.catalogue().SecondApproval
	c.due, c.review = s.due, s.reviewDue
	if c.Assignee != "" {
		m, err := tx.Staff(ctx, c.Assignee)
		if err != nil {
			return err
		}
		c.assignee = &m
	}
	if o.Certificate != "" {
		a, err := s.certificates.About(ctx, tx, o.Certificate)
		if err != nil {
			return err
		}
		c.about = &a
	}
	if o.Product.Code != "" {
		if p, err := s.catalogue().Product(o.Product.Code); err == nil {
			c.known = &p
		}
	}
	if o.State != None && o.Status != Draft {
		if c.items, err = tx.Items(ctx, o.ID); err != nil {
			return err
		}
	}
	if err := s.informOfAuthorization(ctx, tx, *o, c); err != nil {
		return err
	}
	if _, moves := itemMoves[c.On]; moves && c.Item == "" && len(c.items) == 1 {
		c.Item = c.items[0].ID // a run is about the only one
	}
	if c.On == Approve {
		known, err := tx.CompanyKnown(ctx, o.USCC)
		if err != nil {
			return err
		}
		o.NewCompany = !known
	}
	if c.On == MakeKey && c.Snapshot == "" {
		c.Snapshot = o.Hash() // made from what is stored now, which must be what was approved
	}
	if err := s.informOfProposal(ctx, tx, *o, c); err != nil {
		return err
	}
	if err := informOfReplacements(ctx, tx, c); err != nil {
		return err
	}
	if o.State == toUnlock && (c.On == RefundStart || c.On == AuthWithdrawn) {
		if c.unlocking, err = s.certificates.Unlocking(ctx, tx, *o); err != nil {
			return err
		}
	}
	if c.On == Ship {
		changed, err := StaleLabel(ctx, tx, o.ID)
		if err != nil {
			return err
		}
		c.relabel = !changed.IsZero()
	}
	if c.On == KeyVerified || c.On == ChangeDelivery || c.On == GiveUpKeys {
		n, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
		if err != nil {
			return fmt.Errorf("making a pick-up code: %w", err)
		}
		c.pickup = fmt.Sprintf("%06d", n)
	}
	return nil
}

// write keeps the moved order with its items, history and audit line.
func (s *Service) write(ctx context.Context, tx Tx, was, o Order, c Command) error {
	var err error
	switch {
	case was.State == None:
		err = tx.InsertOrder(ctx, o)
	case o.State == None:
		err = tx.DeleteOrder(ctx, was, c.at)
	default:
		err = tx.UpdateOrder(ctx, o, was)
	}
	if err != nil {
		return err
	}
	if err := moveItem(ctx, tx, c); err != nil {
		return err
	}
	if record := records[c.On]; record != nil {
		if err := record(s, ctx, tx, was, o, c); err != nil {
			return err
		}
	}
	if err := s.settleProposal(ctx, tx, o, c); err != nil {
		return err
	}
	if c.On != Save || was.State == None { // a draft saved again is no history
		e := EventRecord{OrderID: o.ID, Seq: o.Seq, Event: c.On, From: was.State, To: o.State, ActorID: c.By.ID(), Role: c.By.Role, Channel: c.By.Channel, Note: c.Note, At: c.at}
		if err := tx.AppendEvent(ctx, e); err != nil {
			return err
		}
	}
	if err := tx.AppendAudit(ctx, audit(o.ID, c, c.at)); err != nil {
		return err
	}
	if was.Status == None.Status || was.Status == Draft { // nothing is promised about a draft
		return nil
	}
	// A claim that changes hands begins anew, as does a request to another number.
	if was.State != o.State || was.ReviewerID != o.ReviewerID || c.On == AuthMobile {
		return tx.DropTimers(ctx, o.ID)
	}
	return nil
}

// records are what an event writes beside the order, which was and is o now.
var records = map[Event]func(s *Service, ctx context.Context, tx Tx, was, o Order, c Command) error{
	Confirm:         (*Service).keepItems,
	ReplaceLost:     (*Service).keepItems,
	Approve:         (*Service).keepApproval,
	Ship:            (*Service).post,
	CorrectTracking: (*Service).renumber,
	ParcelReturned:  (*Service).settleParcel,
	ParcelMissed:    (*Service).loseKeys,
	RefundByHand:    (*Service).refundByHand,
}

// keepItems keeps what was ordered: of an order that was confirmed before, in place of that.
func (s *Service) keepItems(ctx context.Context, tx Tx, was, o Order, c Command) error {
	keep := tx.ReplaceItems
	if was.No == "" {
		keep = tx.InsertItems
	}
	return keep(ctx, o.ID, s.newItems(o, c.at))
}

// keepApproval keeps who approved what.
func (s *Service) keepApproval(ctx context.Context, tx Tx, was, o Order, c Command) error {
	step := 1
	if was.Stage == SecondApproval {
		step = 2
	}
	return tx.InsertApproval(ctx, Approval{
		OrderID: o.ID, Submission: o.Submission, Step: step, StaffID: c.By.StaffID, PersonID: c.By.PersonID, ApplicantID: o.PersonID, Snapshot: o.Snapshot, At: c.at,
	})
}

// RecordRealName keeps what the real-name provider said of a submission; an
// answer about an earlier submission is dropped.
func (s *Service) RecordRealName(ctx context.Context, id ID, submission int, r RealNameResult) error {
	return s.store.InTx(ctx, func(tx Tx) error {
		was, err := tx.Order(ctx, id)
		if err != nil || was.Submission != submission || was.RealName == r {
			return err
		}
		o := was
		o.RealName = r
		o.Rev++
		o.UpdatedAt = s.now()
		if err := tx.UpdateOrder(ctx, o, was); err != nil {
			return err
		}
		return tx.AppendAudit(ctx, BySystem.Did(id, "real_name", s.now()).Ending(string(r)))
	})
}
