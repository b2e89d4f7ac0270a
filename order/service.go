package order

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"sync/atomic"
	"time"

	"github.com/yuncaidun/yuncaidun/identity"
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
}

// NewService returns a Service on its dependencies, which are required except Mini, Courier and Fulfilments.
func NewService(d Deps) *Service {
	return &Service{
		store: d.Store, gateways: d.Gateways, mini: d.Mini, courier: d.Courier, fulfilments: d.Fulfilments, certificates: d.Certificates, calendar: d.Calendar, catalogue: d.Catalogue,
		now: d.Now, newID: d.NewID, linkKey: d.LinkKey, maxDrafts: d.MaxDrafts,
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
		o, err = s.applyIn(ctx, tx, id, c)
		return err
	})
	if refusal, ok := AsError(err); ok && id != "" {
		s.auditRefusal(ctx, id, c, refusal)
	}
	return o, err
}

// ApplyIn is Apply in the transaction of a caller who changes something else with
// it; a refusal is the caller's to record.
func (s *Service) ApplyIn(ctx context.Context, tx Tx, id ID, c Command) (Order, error) {
	return s.applyIn(ctx, tx, id, c)
}

// auditRefusal records a refused command. The refusal itself is what the caller
// needs to hear, so a failure to record it does not replace it.
func (s *Service) auditRefusal(ctx context.Context, id ID, c Command, refusal *Error) {
	a := audit(id, c, s.now())
	a.Outcome = refusal.Code
	_ = s.store.InTx(ctx, func(tx Tx) error { return tx.AppendAudit(ctx, a) })
}

func audit(id ID, c Command, at time.Time) AuditRecord {
	return AuditRecord{OrderID: id, Action: string(c.On), ActorID: c.By.ID(), Role: c.By.Role, Channel: c.By.Channel, IP: c.By.IP, Outcome: "ok", At: at}
}

func (s *Service) applyIn(ctx context.Context, tx Tx, id ID, c Command) (Order, error) {
	was, err := s.load(ctx, tx, id, c)
	if err != nil {
		return Order{}, err
	}
	if c.On != ExpressOver && expressLate(was, Command{at: s.now()}) { // whoever moves a late order finds it late, not only the sweep
		if was, err = s.applyIn(ctx, tx, id, Command{On: ExpressOver, By: BySystem}); err != nil {
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
	if err := s.follow(ctx, tx, o, c, t.Then); err != nil {
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
	if c.On == KeyVerified || c.On == ChangeDelivery || c.On == GiveUpKeys {
		n, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
		if err != nil {
			return fmt.Errorf("making a pick-up code: %w", err)
		}
		c.pickup = fmt.Sprintf("%06d", n)
	}
	return nil
}

// prepare does what a command needs before its facts can be told: price a draft
// or a confirmation, check a form, find the person.
func (s *Service) prepare(ctx context.Context, tx Tx, o Order, c *Command) (Order, error) {
	switch c.On {
	case Save:
		return s.prepareDraft(ctx, tx, o, c)
	case Confirm:
		o, err := s.Offer(o)
		if err != nil {
			return o, err
		}
		if c.Snapshot != o.Hash() { // nor is the mobile that was proven that of another form
			return o, FormChanged
		}
		if err := s.adopt(ctx, tx, &o, o.Mobile(), *c); err != nil {
			return o, err
		}
		form, err := s.settle(ctx, tx, o, o.Form, *c)
		if err != nil {
			return o, err
		}
		o.setForm(form)
		return priced(o)
	case Resubmit:
		form, err := s.settle(ctx, tx, o, c.Form, *c)
		if err != nil {
			return o, err
		}
		form, faults := Normalize(o.Product, form.WithPriced(o.Form), today(c.at))
		if len(faults) > 0 {
			return o, FormFaults(faults)
		}
		if form.Get(AgentMobile) != o.Form.Get(AgentMobile) {
			mobile, err := identity.ParseMobile(form.Get(AgentMobile))
			if err != nil {
				return o, FormFaults([]FieldError{{AgentMobile, err.Error()}})
			}
			if err := s.adopt(ctx, tx, &o, mobile, *c); err != nil {
				return o, err
			}
		}
		c.Form = form
		return o, nil
	default:
		return o, nil
	}
}

// FormChanged refuses a confirmation of what nobody has read: another window has changed the
// form, or the price or promise of the product is another since.
var FormChanged = Errorf(Conflict, "form_changed", "订单内容或价格刚刚有变化，请核对后重新确认")

// Offer is a draft as it is sold today: the price that counts is that of its confirmation.
// Any other order is what was agreed to. It refuses what is no longer sold so.
func (s *Service) Offer(o Order) (Order, error) {
	p, err := s.catalogue().Product(o.Product.Code)
	if o.Status != Draft || errors.Is(err, NotFound) { // the row's facts refuse what is not sold at all
		return o, nil
	}
	if err != nil {
		return o, err
	}
	p.Term = o.Product.Term
	o.Product = p
	if p.Express == nil && o.Form.Get(Speed) == Yes {
		o.setForm(o.Form.With(Speed, No))
	}
	return priced(o)
}

// FormFaults refuses a form, naming what is wrong with its fields.
func FormFaults(faults []FieldError) error {
	return &Error{Kind: Invalid, Code: "form_invalid", Detail: "有内容填写有误，请按提示修改", Fields: faults}
}

// prepareDraft prices a draft from the catalogue and checks the formats of what
// is filled (row 1, G30).
func (s *Service) prepareDraft(ctx context.Context, tx Tx, o Order, c *Command) (Order, error) {
	p, err := s.catalogue().Product(c.Product)
	if err != nil {
		return o, err
	}
	if p.Business.NeedsCertificate() != (c.about != nil) {
		return o, Errorf(Invalid, "certificate_required", "请先在「我的证书」选择要办理的证书")
	}
	if o.Business != "" && o.Business != p.Business {
		return o, Errorf(Invalid, "business_changed", "草稿不能改办其他业务，请重新开始")
	}
	p.Term = c.Term
	if p.Term == 0 {
		p.Term = p.Years[0]
	}
	o.Business, o.Product = p.Business, p
	if o.State == None {
		if err := s.begin(ctx, tx, o, c); err != nil {
			return o, err
		}
	}
	if c.Form, err = s.settle(ctx, tx, o, c.Form, *c); err != nil {
		return o, err
	}
	if o.Lines = c.Lines; len(o.Lines) == 0 {
		o.Lines = []Line{{Seal: NoSeal, Quantity: 1}}
	}
	if p.Express == nil {
		c.Form = c.Form.With(Speed, No)
	}
	form, faults := Normalize(p, c.Form, today(c.at))
	if len(faults) > 0 {
		return o, FormFaults(faults)
	}
	c.Form = form
	o.setForm(form) // it says whether there is a hurry
	return priced(o)
}

// adopt gives the order to the person whose mobile was proven (F19).
func (s *Service) adopt(ctx context.Context, tx Tx, o *Order, mobile identity.Mobile, c Command) error {
	if mobile.IsZero() || !slices.Contains(c.Proven, MobileProven) {
		return nil // the row's facts will refuse
	}
	p, err := tx.PersonByMobile(ctx, Person{ID: s.newID(), Mobile: mobile, CreatedAt: c.at})
	if err != nil {
		return err
	}
	o.PersonID, o.DraftToken = p.ID, ""
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
	if c.On == Confirm || c.On == ReplaceLost {
		keep := tx.ReplaceItems
		if was.No == "" { // never confirmed: there is nothing to replace
			keep = tx.InsertItems
		}
		if err := keep(ctx, o.ID, s.newItems(o, c.at)); err != nil {
			return err
		}
	}
	if err := moveItem(ctx, tx, c); err != nil {
		return err
	}
	if c.On == Approve {
		step := 1
		if was.Stage == SecondApproval {
			step = 2
		}
		a := Approval{OrderID: o.ID, Submission: o.Submission, Step: step, StaffID: c.By.StaffID, PersonID: c.By.PersonID, ApplicantID: o.PersonID, Snapshot: o.Snapshot, At: c.at}
		if err := tx.InsertApproval(ctx, a); err != nil {
			return err
		}
	}
	switch c.On {
	case Ship:
		err = s.post(ctx, tx, o, c.at)
	case CorrectTracking:
		err = s.renumber(ctx, tx, o, was.TrackingNo, c.at)
	case ParcelReturned, ParcelMissed:
		err = s.settleParcel(ctx, tx, o, was.TrackingNo, c.at)
	default:
	}
	if err != nil {
		return err
	}
	if err := s.settleProposal(ctx, tx, o, c); err != nil {
		return err
	}
	if c.On == ParcelMissed {
		for _, key := range c.lost() {
			key.Stage, key.UpdatedAt = ItemLost, c.at
			if err := tx.UpdateItem(ctx, key, ItemVerified); err != nil {
				return err
			}
		}
	}
	if c.On == RefundByHand {
		p, err := tx.Payment(ctx, o.TradeNo)
		if err != nil {
			return err
		}
		if err := s.refunded(ctx, tx, p); err != nil {
			return err
		}
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
	if was.State != o.State || was.ReviewerID != o.ReviewerID { // a claim that changes hands begins anew
		return tx.DropTimers(ctx, o.ID)
	}
	return nil
}

func (s *Service) newItems(o Order, at time.Time) []Item {
	var items []Item
	for _, l := range o.Lines {
		for range l.Quantity {
			items = append(items, Item{ID: s.newID(), OrderID: o.ID, N: len(items) + 1, Seal: l.Seal, Stage: ItemWaiting, UpdatedAt: at})
		}
	}
	return items
}

// itemMoves says what an order event does to the item it names.
var itemMoves = map[Event]struct {
	from  []ItemStage
	to    ItemStage
	again bool // a new attempt
}{
	MakeKey:     {[]ItemStage{ItemWaiting}, ItemMaking, true},
	KeyVerified: {[]ItemStage{ItemMaking, ItemFailed}, ItemVerified, false},
	KeyFailed:   {[]ItemStage{ItemMaking}, ItemFailed, false},
	Run:         {[]ItemStage{ItemWaiting, ItemMaking}, ItemMaking, true},
	ReadBackOK:  {[]ItemStage{ItemMaking}, ItemVerified, false},
	RetryKey:    {[]ItemStage{ItemFailed}, ItemMaking, true},
}

func moveItem(ctx context.Context, tx Tx, c Command) error {
	m, ok := itemMoves[c.On]
	if !ok {
		return nil
	}
	i := slices.IndexFunc(c.items, func(i Item) bool { return i.ID == c.Item })
	if i < 0 {
		return Errorf(NotFound, "item_not_found", "没有找到该 UKEY 任务")
	}
	it := c.items[i]
	was := it.Stage
	if !slices.Contains(m.from, was) {
		return Errorf(Conflict, "item_not_ready", "该 UKEY 任务当前为「%s」，不能执行该操作", was.Label())
	}
	it.Stage, it.Note, it.UpdatedAt = m.to, "", c.at
	if m.again {
		it.Attempt++
	}
	switch m.to {
	case ItemVerified:
		it.TokenSerial, it.CertSerial = c.TokenSerial, c.CertSerial
	case ItemFailed:
		it.Note = c.Note
	default:
	}
	return tx.UpdateItem(ctx, it, was)
}

// abandonRun has the items of a run that was cut short wait as if it had never begun.
func (s *Service) abandonRun(ctx context.Context, tx Tx, c Command) error {
	for _, it := range c.items {
		if it.Stage != ItemMaking {
			continue
		}
		it.Stage, it.Attempt, it.UpdatedAt = ItemWaiting, 0, c.at
		if err := tx.UpdateItem(ctx, it, ItemMaking); err != nil {
			return err
		}
		if err := tx.AbandonIssue(ctx, it.ID, c.at); err != nil {
			return err
		}
	}
	return nil
}

// follow enqueues what a row's Then says.
func (s *Service) follow(ctx context.Context, tx Tx, o Order, c Command, then []followUp) error {
	var timers []Timer
	for _, f := range then {
		switch {
		case f.escalates:
			timers = append(timers, s.escalate(o, c.at)...)
		case f.on != nil:
			timers = append(timers, s.timer(o, c, f))
		default:
			if err := s.followOne(ctx, tx, o, c, f); err != nil {
				return err
			}
		}
	}
	return tx.SetTimers(ctx, timers...)
}

// timer is the timer that a row's Then sets.
func (s *Service) timer(o Order, c Command, f followUp) Timer {
	t := Timer{OrderID: o.ID, Seq: o.Seq, At: c.at.Add(f.after)}
	if f.grant {
		t.At = grantEnd(o, c)
	}
	if f.working {
		t.At = s.calendar.Working(t.At)
	}
	switch on := f.on.(type) {
	case Event:
		t.On = on
	case Remind:
		t.Notice = Notice(on)
	}
	return t
}

func (s *Service) followOne(ctx context.Context, tx Tx, o Order, c Command, f followUp) error {
	switch {
	case f.authorize != "":
		return s.followAuthorization(ctx, tx, o, c, f.authorize)
	case f.notice != "":
		return s.notify(ctx, tx, o, f.notice)
	case f.step != "":
		return s.certificates.Step(ctx, tx, f.step, o, c)
	case f.lost != "":
		return s.onKeys(ctx, tx, o, f.lost, c.lost(), c)
	case f.keys != "":
		return s.onKeys(ctx, tx, o, f.keys, c.items, c)
	case f.abandons:
		return s.abandonRun(ctx, tx, c)
	case f.gives:
		return s.giveUpKeys(ctx, tx, o, c)
	case f.replaces:
		return s.replaceLost(ctx, tx, o, c)
	case f.invoices:
		return s.invoiceIfPaid(ctx, tx, o)
	case f.fulfils:
		return s.fulfil(ctx, tx, o, c)
	case f.perItem:
		return tx.Enqueue(ctx, Job{Kind: f.job, Ref: c.Item, Seq: o.Seq})
	case f.job == JobRefund:
		return s.owe(ctx, tx, o.TradeNo, c, o.Seq)
	default:
		return tx.Enqueue(ctx, Job{Kind: f.job, Ref: string(o.ID), Seq: o.Seq})
	}
}

// notify adds the notifications of a notice, one per person and medium.
func (s *Service) notify(ctx context.Context, tx Tx, o Order, n Notice) error {
	if n == NoticeApprovedIssue && o.Overdue(s.now()) {
		n = NoticeApprovedLate
	}
	spec := Notices[n]
	if spec.To == ToLegalRep {
		return s.remindLegalRep(ctx, tx, o, n)
	}
	type target struct {
		to    Audience
		staff string
		media []Medium
	}
	var targets []target
	switch {
	case spec.To.ofStaff():
		staff, err := membersFor(ctx, tx, spec.To, o)
		if err != nil {
			return err
		}
		for _, m := range staff {
			targets = append(targets, target{spec.To, m.ID, spec.Media})
		}
	case spec.To == ToRecipient && o.Form.Get(ShipMobile) == o.Form.Get(AgentMobile):
		targets = []target{{ToRecipient, "", []Medium{SMS}}, {ToAgent, "", []Medium{WeChat}}}
	case spec.To == ToRecipient:
		targets = []target{{ToRecipient, "", []Medium{SMS}}, {ToAgent, "", spec.Media}}
	default:
		targets = []target{{spec.To, "", spec.Media}}
	}
	for _, t := range targets {
		for _, medium := range t.media {
			err := s.sendLater(ctx, tx, Notification{OrderID: o.ID, Seq: o.Seq, Notice: n, Medium: medium, To: t.to, StaffID: t.staff})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Service) sendLater(ctx context.Context, tx Tx, n Notification) error {
	n.ID, n.CreatedAt = s.newID(), s.now()
	return Send(ctx, tx, n)
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
		return tx.AppendAudit(ctx, AuditRecord{OrderID: id, Action: "real_name", ActorID: string(System), Role: System, Channel: Internal, Outcome: string(r), At: s.now()})
	})
}

// sweepBatch bounds the work of one sweep.
const sweepBatch = 100

// Sweep keeps the promises whose time has come: timers, and questions to the
// payment gateway. It is safe to run in several processes at once.
func (s *Service) Sweep(ctx context.Context) error {
	timers, err := s.store.DueTimers(ctx, s.now(), sweepBatch)
	if err != nil {
		return err
	}
	var faults []error
	for _, t := range timers {
		if err := s.fire(ctx, t); err != nil {
			faults = append(faults, s.postpone(ctx, t, err))
		}
	}
	payments, err := s.store.DueQueries(ctx, s.now(), sweepBatch)
	if err != nil {
		return errors.Join(append(faults, err)...)
	}
	for _, f := range []func(context.Context) error{s.wake, s.summarise, s.askInvoices, s.followParts, s.missExpress} {
		if err := f(ctx); err != nil {
			faults = append(faults, err)
		}
	}
	for _, p := range payments {
		if err := s.askAgain(ctx, p); err != nil && !errors.Is(err, Conflict) {
			faults = append(faults, fmt.Errorf("query of trade %s: %w", p.TradeNo, err))
		}
	}
	return errors.Join(faults...)
}

// maxStepBack is how long a promise that fails is left alone at most.
const maxStepBack = 10 * time.Minute

// postpone has a timer that failed step back behind the others, further each time, and
// returns what is to be told.
func (s *Service) postpone(ctx context.Context, t Timer, cause error) error {
	t.At = s.now().Add(min(time.Second<<min(t.Tries, 10), maxStepBack))
	t.Tries++
	err := s.store.InTx(ctx, func(tx Tx) error { return tx.PostponeTimer(ctx, t) })
	return errors.Join(fmt.Errorf("timer of order %s (%s%s), try %d: %w", t.OrderID, t.On, t.Notice, t.Tries, cause), err)
}

// fire applies one timer. A timer that no longer fits the order is dropped.
func (s *Service) fire(ctx context.Context, t Timer) error {
	var err error
	switch {
	case t.Notice != "":
		return s.store.InTx(ctx, func(tx Tx) error {
			o, err := tx.Order(ctx, t.OrderID)
			if err == nil && o.Refund == NoRefund { // nobody can do any more what he is reminded of
				o.Seq = t.Seq
				err = s.notify(ctx, tx, o, t.Notice)
			}
			if err != nil && !errors.Is(err, NotFound) {
				return err
			}
			return tx.DropTimer(ctx, t)
		})
	case t.On == Unpaid:
		_, err = s.withTradeClosed(ctx, t.OrderID, Command{On: Unpaid, By: BySystem})
	default:
		_, err = s.Apply(ctx, t.OrderID, Command{On: t.On, By: BySystem})
	}
	if err != nil && !movesNothing(err) {
		return err
	}
	return s.store.InTx(ctx, func(tx Tx) error { return tx.DropTimer(ctx, t) })
}
