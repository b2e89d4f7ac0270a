package order

import (
	"context"
	"time"
)

// JobKind names a durable job.
type JobKind string

// The jobs. Each has one worker in package jobs; Ref says what its id is.
const (
	JobNotify       JobKind = "notify"        // notification id
	JobIssue        JobKind = "issue"         // item id
	JobStation      JobKind = "station"       // order id: claim the items when the station works by itself
	JobRefund       JobKind = "refund"        // trade number
	JobCloseTrade   JobKind = "close_trade"   // trade number
	JobQueryPayment JobKind = "query_payment" // trade number
	JobRealName     JobKind = "real_name"     // order id
	JobPurge        JobKind = "purge"         // order id: erase the personal data of one that was deleted or need not be kept any longer
	JobEndSessions  JobKind = "end_sessions"  // id of a person or of a member of staff; Seq is the moment (ms) before which he logged in what ends
	JobCertificate  JobKind = "certificate"   // serial: tell the open orders about it that it was frozen or revoked
	// JobIssuerRequest takes a request to the issuer; Ref is the request's id.
	JobIssuerRequest JobKind = "issuer_request"
	// JobAuthorization makes the signed letter and the evidence of an authorisation.
	JobAuthorization JobKind = "authorization" // authorisation id
	// JobForget erases the pictures and papers of a legal representative who declined.
	JobForget JobKind = "forget" // authorisation id
	// JobPartRefund returns a part of a trade, see PartRefund.
	JobPartRefund JobKind = "keys_refund" // refund number
	// JobParcel asks the courier for reports about the order's parcel.
	JobParcel JobKind = "parcel" // order id
	// JobInvoice submits an invoice to the platform, or asks what became of it.
	JobInvoice JobKind = "invoice" // invoice id
	// JobFulfilment tells WeChat how a payment in the mini-program was fulfilled.
	JobFulfilment JobKind = "fulfilment" // trade number
	// JobBill fetches a payment platform's bill of a day and compares it with our books.
	JobBill JobKind = "bill" // channel and day, "alipay 2026-11-26"
	// JobReleaseClaims gives back the tasks of who may not review any more.
	JobReleaseClaims JobKind = "release_claims" // staff id
)

// JobKinds lists every job a row or the service may enqueue.
var JobKinds = []JobKind{
	JobNotify, JobIssue, JobStation, JobRefund, JobCloseTrade, JobQueryPayment, JobRealName, JobPurge, JobCertificate, JobEndSessions,
	JobIssuerRequest, JobAuthorization, JobForget, JobInvoice, JobParcel, JobPartRefund, JobFulfilment, JobBill, JobReleaseClaims,
}

// Job is a durable job to enqueue in the same transaction as its cause. It holds
// ids only and is unique per (kind, ref, seq).
type Job struct {
	Kind   JobKind
	Ref    string
	Seq    int64
	Medium Medium // of the message that a JobNotify delivers: each has its queue
}

// Timer is a promise kept by the clock: at At the system applies On to the
// order, or sends Notice. Leaving a state drops the timers set on entering it.
type Timer struct {
	OrderID ID
	Seq     int64
	On      Event  // empty when Notice is set
	Notice  Notice // empty when On is set
	At      time.Time
	Tries   int // how often it has failed
}

// Remind is what a timer does that sends a notice instead of moving the order.
type Remind Notice

// followUp is one cell entry of Then: a job, a notice or a timer.
type followUp struct {
	job     JobKind
	perItem bool
	notice  Notice
	after   time.Duration
	working bool // after falls into working hours, or waits for them
	// before: not at all when it would wait so long, for then something else is said.
	before time.Duration
	// authorize does something to the order's authorisation.
	authorize authorizing
	// voids ends it, for this reason.
	voids string
	on    any // Event or Remind
	// approval: after counts from the approval, and what has passed by now is left out.
	approval bool
	// grant sets the timer for the end of what was granted.
	grant bool
	// step happens to the certificate that the order is about.
	step CertificateStep
	// keys happens to the certificates of all the order's keys; gives has some not be
	// made, and their price go back.
	keys  CertificateStep
	gives bool
	// lost happens to the certificate of each key that was lost, which replaces makes
	// again.
	lost     CertificateStep
	replaces bool
	// abandons ends a run that was cut short.
	abandons bool
	// invoices: the invoice of an order that is done.
	invoices bool
	// fulfils: what WeChat has to know of an order that was paid in the mini-program.
	fulfils bool
	// escalates: the timers of the escalations ladder that are still to come.
	escalates bool
}

func job(k JobKind) followUp                   { return followUp{job: k} }
func perItem(k JobKind) followUp               { return followUp{job: k, perItem: true} }
func notify(n Notice) followUp                 { return followUp{notice: n} }
func after(d time.Duration, on any) followUp   { return followUp{after: d, on: on} }
func onCertificate(s CertificateStep) followUp { return followUp{step: s} }

// whenWorking is after, moved on to the next working hour, unless that is too late.
func whenWorking(d, before time.Duration, on any) followUp {
	return followUp{after: d, working: true, before: before, on: on}
}

// sinceApproval is after, counted from the approval: a run that was cut short moves no day.
func sinceApproval(d time.Duration, on any) followUp {
	return followUp{after: d, approval: true, on: on}
}

// inTime reports whether a timer of a row's Then is worth setting.
func (f followUp) inTime(at, now time.Time) bool {
	return (f.before == 0 || at.Before(now.Add(f.before))) && (!f.approval || !at.Before(now))
}

// escalate watches over the time that a review takes.
var escalate = followUp{escalates: true}

// onAllKeys happens to the certificates of all the order's keys.
func onAllKeys(s CertificateStep) followUp { return followUp{keys: s} }

// giveBack has keys not be made, and their price go back.
var giveBack = followUp{gives: true}

// abandonRun ends a run that was cut short and that nobody goes on with: what was
// certified for it must not outlive the order. A later run begins anew.
var abandonRun = followUp{abandons: true}

// onLostKeys happens to the certificates of the keys that a command says were lost.
func onLostKeys(s CertificateStep) followUp { return followUp{lost: s} }

// replacements are the orders that make lost keys again.
var replacements = followUp{replaces: true}

// grantOver ends what an approval granted, see [Order.GrantEnd].
var grantOver = followUp{on: GrantOver, grant: true}

// follow enqueues what a row's Then says.
func (s *Service) follow(ctx context.Context, tx Tx, o *Order, c Command, then []followUp) error {
	var timers []Timer
	for _, f := range then {
		switch {
		case f.escalates:
			timers = append(timers, s.escalate(*o, c.at)...)
		case f.on != nil:
			if t := s.timer(*o, c, f); f.inTime(t.At, c.at) {
				timers = append(timers, t)
			}
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
	if f.approval {
		t.At = o.ApprovedAt.Add(f.after)
	}
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

func (s *Service) followOne(ctx context.Context, tx Tx, moved *Order, c Command, f followUp) error {
	o := *moved
	switch {
	case f.authorize != "":
		return s.followAuthorization(ctx, tx, moved, c, f.authorize)
	case f.voids != "":
		return s.voidIn(ctx, tx, o, f.voids)
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
