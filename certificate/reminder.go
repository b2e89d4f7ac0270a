package certificate

import (
	"slices"
	"time"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

// RungName names a rung of the ladder, in the evidence.
type RungName string

// Rung is one reminder of a certificate's end (flows.md 4.7).
type Rung struct {
	Step RungName
	// Day is the natural day in Asia/Shanghai, counted from that of the end.
	Day    int
	Notice order.Notice
	// Optional rungs are for whoever has not opted out.
	Optional bool
	// AnyDay rungs do not wait for a working day.
	AnyDay bool
	// Contact is who is reminded besides the holder, if he has named somebody.
	Contact order.Audience
	// Begins says until when a renewal can be begun: not for whose goes on after that.
	Begins bool
}

// Ladder is all the reminders, in the order of their days. Their media are those
// of the notices; the last day to renew, D+90, is named in the texts and has no
// message of its own.
var Ladder = []Rung{
	{Step: "D-60", Day: -60, Notice: order.NoticeRenewPlan, Optional: true},
	{Step: "D-29", Day: -29, Notice: order.NoticeRenewOpen},
	{Step: "D-15", Day: -15, Notice: order.NoticeRenewSoon, Optional: true},
	{Step: "D-7", Day: -7, Notice: order.NoticeRenewWeek, Contact: order.ToSecond},
	{Step: "D-3", Day: -3, Notice: order.NoticeRenewDays, Contact: order.ToLeader},
	{Step: "D-1", Day: -1, Notice: order.NoticeRenewTomorrow, AnyDay: true},
	{Step: "D0", Day: 0, Notice: order.NoticeRenewToday, AnyDay: true},
	{Step: "D+1", Day: 1, Notice: order.NoticeRenewExpired},
	{Step: "D+30", Day: 30, Notice: order.NoticeRenewMonth, Optional: true},
	{Step: "D+60", Day: 60, Notice: order.NoticeRenewMonths, Optional: true},
	{Step: "D+83", Day: 83, Notice: order.NoticeRenewLast, Begins: true},
	{Step: "D+91", Day: 91, Notice: order.NoticeRenewOver, Begins: true},
}

// Contact is whom a holder wants reminded besides himself of the end of the
// certificates that he has for one company.
type Contact struct {
	PersonID string // the holder
	USCC     string // the company's
	Role     order.Audience
	Mobile   identity.Mobile
	At       time.Time // when he was named
}

// ContactRoles are the contacts that a holder can name, in the order of their rungs.
func ContactRoles() (roles []order.Audience) {
	for _, r := range Ladder {
		if r.Contact != "" {
			roles = append(roles, r.Contact)
		}
	}
	return roles
}

// lateBy is how long after its day a rung is still worth sending: longer than any
// run of holidays.
const lateBy = 14

// Workdays knows when people work; *order.Calendar.
type Workdays interface {
	IsWorkday(t time.Time) bool
}

// The hours of reminders, in minutes of the Shanghai day.
const (
	remindFrom = 9*60 + 30
	remindTo   = 17 * 60
)

// allowed returns the first moment from t on at which a rung may be sent.
func (r Rung) allowed(t time.Time, w Workdays) time.Time {
	t = t.In(order.Shanghai)
	for {
		opens := time.Date(t.Year(), t.Month(), t.Day(), remindFrom/60, remindFrom%60, 0, 0, order.Shanghai)
		closes := time.Date(t.Year(), t.Month(), t.Day(), remindTo/60, remindTo%60, 0, 0, order.Shanghai)
		switch {
		case !r.AnyDay && !w.IsWorkday(t), !t.Before(closes):
			t = opens.AddDate(0, 0, 1).Add(-(remindFrom * time.Minute)) // midnight
		case t.Before(opens):
			return opens
		default:
			return t
		}
	}
}

// day is the Shanghai midnight of the rung's day.
func (r Rung) day(c Certificate) time.Time { return r.dayOf(c.NotAfter) }

// dayOf is the same for anything that ends.
func (r Rung) dayOf(end time.Time) time.Time {
	y, m, d := end.In(order.Shanghai).Date()
	return time.Date(y, m, d+r.Day, 0, 0, 0, 0, order.Shanghai)
}

// planned is the first moment at which the rung may be sent.
func (r Rung) planned(c Certificate, w Workdays) time.Time { return r.allowed(r.day(c), w) }

// ReminderState is what became of a rung.
type ReminderState string

// The states. How far a message that was sent has come say its notifications.
const (
	ReminderSent     ReminderState = "sent"
	ReminderSkipped  ReminderState = "skipped" // its day had passed, or a later one was due
	ReminderDeclined ReminderState = "declined"
	ReminderStopped  ReminderState = "stopped"
)

var reminderStateLabels = map[ReminderState]string{ReminderSent: "已通知", ReminderSkipped: "已跳过", ReminderDeclined: "已退订", ReminderStopped: "已停止"}

// Label is the state as people read it.
func (s ReminderState) Label() string { return reminderStateLabels[s] }

// Reminder is the evidence about one rung of one certificate.
type Reminder struct {
	Serial string
	Step   RungName
	State  ReminderState
	// Why is the reason in one word when it was not sent: "passed", "overtaken",
	// "frozen", "unbound", "opted_out", "renewing", "revoked" or "renewed".
	Why string
	// OrderID and Seq name the message that told of it, perhaps with others.
	OrderID order.ID
	Seq     int64
	// PlannedAt is the first moment at which it could be sent, At when it was decided.
	PlannedAt time.Time
	At        time.Time
}

// Outlook is what the ladder says of a certificate at one moment.
type Outlook struct {
	// Settled are the rungs that will not be sent, with the reason.
	Settled []Reminder
	// Send is the rung to send now, if any, planned for PlannedAt.
	Send      *Rung
	PlannedAt time.Time
	// Contacts are reminded with it: its own, and those of rungs that it overtakes
	// while there is time left.
	Contacts []order.Audience
	// Next is when to look again; zero when there is nothing left to come.
	Next time.Time
}

// Circumstances are what a reminder depends on besides the certificate.
type Circumstances struct {
	OptedOut bool // the holder wants no optional ones
	Renewing bool // a renewal goes on beyond the window
}

// Remind works out what to do about a certificate now. known are the rungs that
// were decided before. Of several rungs that are due only the latest is sent, so that
// a clock that jumps, or a service that was down, floods nobody.
func Remind(c Certificate, known []RungName, is Circumstances, now time.Time, w Workdays) Outlook {
	var out Outlook
	settle := func(r Rung, s ReminderState, why string) {
		out.Settled = append(out.Settled, Reminder{Serial: c.Serial, Step: r.Step, State: s, Why: why, PlannedAt: r.planned(c, w), At: now})
	}
	last := -1 // of those that are decided or due
	for i, r := range Ladder {
		if slices.Contains(known, r.Step) || !r.planned(c, w).After(now) {
			last = i
		}
	}
	for i, r := range Ladder {
		why := c.over()
		switch {
		case slices.Contains(known, r.Step):
		case why != "":
			settle(r, ReminderStopped, why)
			return out
		case i > last:
			out.Next = earlier(out.Next, r.planned(c, w))
		case i < last: // days off let a later rung be due before an earlier one
			settle(r, ReminderSkipped, "overtaken")
			if r.Contact != "" && now.Before(c.NotAfter) {
				out.Contacts = append(out.Contacts, r.Contact)
			}
		case date(r.day(c)).Before(date(c.NotBefore)), date(now).Sub(date(r.day(c))) > lateBy*24*time.Hour:
			settle(r, ReminderSkipped, "passed")
		case c.PersonID == "":
			settle(r, ReminderSkipped, "unbound")
		case c.State() == Frozen:
			settle(r, ReminderSkipped, "frozen")
		case r.Optional && is.OptedOut:
			settle(r, ReminderDeclined, "opted_out")
		case r.Begins && is.Renewing:
			settle(r, ReminderSkipped, "renewing")
		case r.allowed(now, w).After(now): // at night, or on a day off
			out.Next = earlier(out.Next, r.allowed(now, w))
		default:
			out.Send, out.PlannedAt = &r, r.planned(c, w)
			if r.Contact != "" {
				out.Contacts = append(out.Contacts, r.Contact)
			}
		}
	}
	return out
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// over is why a certificate needs no more reminders; empty while it does.
func (c Certificate) over() string {
	switch {
	case c.SupersededBy != "":
		return "renewed"
	case c.State() == Revoked:
		return "revoked"
	default:
		return ""
	}
}

// Planned are the rungs still to come, each with the moment for which it is
// planned.
func Planned(c Certificate, known []RungName, now time.Time, w Workdays) []Reminder {
	var out []Reminder
	if c.over() != "" {
		return nil
	}
	for _, r := range Ladder {
		if at := r.planned(c, w); at.After(now) && !slices.Contains(known, r.Step) {
			out = append(out, Reminder{Serial: c.Serial, Step: r.Step, PlannedAt: at})
		}
	}
	return out
}

// RungOf returns the rung of a step.
func RungOf(s RungName) (Rung, bool) {
	i := slices.IndexFunc(Ladder, func(r Rung) bool { return r.Step == s })
	if i < 0 {
		return Rung{}, false
	}
	return Ladder[i], true
}
