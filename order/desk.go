package order

import (
	"context"
	"errors"
	"slices"
	"time"
)

// Delay is why a review takes longer than it should, as its leader explains it to
// the applicant.
type Delay string

// The delays.
const (
	NoDelay      Delay = ""
	DelayLoad    Delay = "load"
	DelayVerify  Delay = "verify"
	DelayOutside Delay = "outside"
)

// Delays are the reasons to choose from.
var Delays = []Delay{DelayLoad, DelayVerify, DelayOutside}

var delayLabels = map[Delay]string{DelayLoad: "近期申请较多，正在按顺序审核", DelayVerify: "需要进一步核实申请材料", DelayOutside: "外部核验服务暂时不可用"}

// Label is the reason as the applicant reads it.
func (d Delay) Label() string { return delayLabels[d] }

// reviewDays is how long a review may take: to the end of the next working day.
const reviewDays = 1

// escalations is who hears of a review when which share of its time is over
// (flows.md 4.4), counted in office hours.
var escalations = []struct {
	share  float64
	notice Notice
}{
	{0.5, NoticeReviewHalf},
	{0.8, NoticeReviewSoon},
	{1, NoticeReviewOverdue},
}

// escalate returns the timers that are still to come. They are dropped with the
// state they were set in, and set again in the next.
func (s *Service) escalate(o Order, now time.Time) (timers []Timer) {
	if o.ReviewDue.IsZero() {
		return nil
	}
	for _, e := range escalations {
		if at := s.calendar.Share(o.ReviewSince, o.ReviewDue, e.share); at.After(now) {
			timers = append(timers, Timer{OrderID: o.ID, Seq: o.Seq, Notice: e.notice, At: at})
		}
	}
	return timers
}

// Late reports whether the review should have ended before now.
func (o Order) Late(now time.Time) bool {
	return o.Status == InReview && !o.ReviewDue.IsZero() && now.After(o.ReviewDue)
}

func (a Audience) ofStaff() bool {
	_, ok := staffRole[a]
	return ok || a == ToOwner || a == ToLeaders
}

// membersFor are the members of staff that a notice about an order goes to: never
// the applicant himself, nor who has approved, or proposed, already.
func membersFor(ctx context.Context, tx Tx, to Audience, o Order) ([]Staff, error) {
	if to == ToOwner && o.Stage == Claimed && o.ReviewerID != "" {
		m, err := tx.Staff(ctx, o.ReviewerID)
		return []Staff{m}, err
	}
	role, ok := staffRole[to]
	if !ok {
		role = Reviewer
	}
	staff, err := tx.StaffWithRole(ctx, role)
	if err != nil {
		return nil, err
	}
	if to == ToLeaders {
		staff = leaders(staff)
	}
	var proposed Proposal
	if to == ToFinance {
		if proposed, err = tx.Proposal(ctx, o.ID); err != nil && !errors.Is(err, NotFound) {
			return nil, err
		}
	}
	return slices.DeleteFunc(staff, func(m Staff) bool {
		return m.PersonID == o.PersonID || m.ID == o.FirstApprover || m.ID == proposed.StaffID
	}), nil
}

func leaders(staff []Staff) []Staff {
	lead := slices.DeleteFunc(slices.Clone(staff), func(m Staff) bool { return !m.Leader })
	if len(lead) > 0 {
		return lead
	}
	return slices.DeleteFunc(staff, func(m Staff) bool { return !slices.Contains(m.Roles, Admin) })
}

// Checks are the checks of a review that somebody has ticked on the page, and the
// snapshot that the page showed. Only who has seen the page has them, so that a
// chat may decide on their strength.
type Checks struct {
	Snapshot string
	Ticks    []Tick
	At       time.Time
}

// Complete reports whether every check is ticked for what o is now.
func (c Checks) Complete(o Order) bool {
	return c.Snapshot != "" && c.Snapshot == o.Snapshot && allTicked(o, Command{Ticks: c.Ticks})
}

// TickChecks keeps what a reviewer who may decide about an order has ticked. It
// decides nothing.
func (s *Service) TickChecks(ctx context.Context, id ID, by Actor, snapshot string, ticks []Tick) error {
	return s.store.InTx(ctx, func(tx Tx) error {
		o, err := tx.Order(ctx, id)
		if err != nil {
			return err
		}
		for _, f := range mayDecide {
			if err := f.check(o, Command{By: by}); err != nil {
				return err
			}
		}
		if snapshot != o.Snapshot {
			return Errorf(Conflict, "same_snapshot_required", "订单内容已变化，请刷新后重新核对")
		}
		ticks = slices.DeleteFunc(slices.Clone(ticks), func(t Tick) bool { return !slices.Contains(Ticks, t) })
		return tx.SaveReviewChecks(ctx, id, by.StaffID, Checks{Snapshot: snapshot, Ticks: ticks, At: s.now()})
	})
}

// ReviewStats is a day of reviewing.
type ReviewStats struct {
	Approved, Rejected      int
	Queued, Second, Overdue int
	// By is how many decisions each member of staff made.
	By map[string]int
}

// statsReader is the part of [Queries] that statistics need.
type statsReader interface {
	ReviewStats(ctx context.Context, from, to, now time.Time) (ReviewStats, error)
}

// DayStats is the reviewing of the Shanghai day of t.
func DayStats(ctx context.Context, q statsReader, t, now time.Time) (ReviewStats, error) {
	y, m, d := t.In(Shanghai).Date()
	from := time.Date(y, m, d, 0, 0, 0, 0, Shanghai)
	return q.ReviewStats(ctx, from, from.AddDate(0, 0, 1), now)
}

// summaryUntil is the hour after which the summary of a day is no longer sent.
const summaryUntil = 20

// summarise tells every reviewer at 17:30 of a working day how it went. The day
// is the message's number, so that it is said once however often this runs.
func (s *Service) summarise(ctx context.Context) error {
	now := s.now().In(Shanghai)
	y, m, d := now.Date()
	today := int64(y*10000 + int(m)*100 + d)
	if !s.calendar.IsWorkday(now) || now.Before(dateOf(now).closing()) || now.Hour() >= summaryUntil || s.summarised.Load() == today {
		return nil
	}
	err := s.store.InTx(ctx, func(tx Tx) error {
		staff, err := tx.StaffWithRole(ctx, Reviewer)
		if err != nil {
			return err
		}
		for _, m := range staff {
			n := Notification{Seq: today, Notice: NoticeDaySummary, Medium: WeChat, To: ToReviewers, StaffID: m.ID}
			if err := s.sendLater(ctx, tx, n); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		s.summarised.Store(today)
	}
	return err
}

// reviewSteps are what happens to an order as a review task.
var reviewSteps = []Event{Confirm, Paid, Resubmit, AuthSigned, AuthToPaper, Claim, Assign, Release, Approve, Reject}

// LastReview is the last thing that happened to an order as a review task.
func LastReview(events []EventRecord) (EventRecord, bool) {
	for _, e := range slices.Backward(events) {
		if slices.Contains(reviewSteps, e.Event) {
			return e, true
		}
	}
	return EventRecord{}, false
}

// ReleaseClaims gives back the tasks that a member of staff has claimed and may not review
// any more (row 21): his account is closed, or has another role.
func (s *Service) ReleaseClaims(ctx context.Context, staffID string) error {
	m, err := s.store.Staff(ctx, staffID)
	if err != nil || m.Has(Reviewer) {
		return err
	}
	why := "审核员不再有审核权限，任务退回待受理"
	if m.Disabled {
		why = "审核员的账号已停用，任务退回待受理"
	}
	for o, err := range EachOrder(ctx, s.store, Filter{Status: InReview, Stage: Claimed, Limit: 100}) {
		if err != nil {
			return err
		}
		if o.ReviewerID != staffID {
			continue
		}
		if err := s.releaseOf(ctx, o.ID, staffID, why); err != nil {
			return err
		}
	}
	return nil
}

// releaseOf gives back one task unless it has changed hands.
func (s *Service) releaseOf(ctx context.Context, id ID, staffID, why string) error {
	err := s.store.InTx(ctx, func(tx Tx) error {
		o, err := tx.Order(ctx, id)
		if err != nil || o.Stage != Claimed || o.ReviewerID != staffID {
			return err
		}
		_, err = s.ApplyIn(ctx, tx, id, Command{On: Release, By: BySystem, Note: why})
		return err
	})
	if movesNothing(err) {
		return nil
	}
	return err
}
