package order

import (
	"context"
	"time"
)

// Enquiry is somebody's wish to be called back by a person. One is open per
// person at a time; asking again only makes it more pressing.
type Enquiry struct {
	ID       string
	PersonID string
	OrderID  ID     // what was talked about last; may be empty
	Topic    string // the intent that was not answered, for sorting
	// Said is what was said before, without secrets; erased when it is done.
	Said      string
	Urgent    bool
	DueAt     time.Time // when we promised to have called
	CreatedAt time.Time
	DoneAt    time.Time // zero while open
	DoneBy    string    // staff
}

// Enquiries keeps them.
type Enquiries interface {
	// Enquire opens an enquiry. When the person has an open one, that one is
	// returned, brought up to date: what was said last, and the earlier promise.
	Enquire(ctx context.Context, e Enquiry) (Enquiry, error)
	// Enquiry reads one; NotFound when there is none.
	Enquiry(ctx context.Context, id string) (Enquiry, error)
	// OpenEnquiries lists open ones behind after, the most pressing first.
	OpenEnquiries(ctx context.Context, after EnquiryCursor, limit int) ([]Enquiry, error)
	// EnquiriesOf lists a person's, newest first, by keyset.
	EnquiriesOf(ctx context.Context, personID string, after Cursor, limit int) (EnquiryPage, error)
	// CloseEnquiry ends one; Conflict when somebody else has.
	CloseEnquiry(ctx context.Context, id string, by Actor, at time.Time) error
}

// EnquiryPage is a page of a person's enquiries.
type EnquiryPage struct {
	Enquiries []Enquiry
	Next      Cursor // zero on the last page
}

// EnquiryCursor is the place of an enquiry in the list.
type EnquiryCursor struct {
	DueAt time.Time
	ID    string
}

// Opening hours of the people who answer and call back (F15).
const (
	opensAt  = 9 * time.Hour
	closesAt = 17*time.Hour + 30*time.Minute
	// callWithin is how soon somebody calls in opening hours; the urgent sooner.
	callWithin, callUrgentWithin = time.Hour, 15 * time.Minute
)

// Workdays knows when people work; *Calendar.
type Workdays interface {
	IsWorkday(t time.Time) bool
}

// Opening reports whether somebody answers the telephone at now (F15), and else
// when next.
func Opening(w Workdays, now time.Time) (open bool, next time.Time) {
	now = now.In(Shanghai)
	day := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, Shanghai)
	if w.IsWorkday(now) {
		if now.Before(day.Add(opensAt)) {
			return false, day.Add(opensAt)
		}
		if now.Before(day.Add(closesAt)) {
			return true, now
		}
	}
	for range 30 {
		if day = day.AddDate(0, 0, 1); w.IsWorkday(day) {
			break
		}
	}
	return false, day.Add(opensAt)
}

// CallBy is until when somebody will have called who asks at now. What cannot be
// kept before closing is promised for the next morning.
func CallBy(w Workdays, now time.Time, urgent bool) time.Time {
	within := callWithin
	if urgent {
		within = callUrgentWithin
	}
	_, from := Opening(w, now)
	by := from.Add(within)
	if open, _ := Opening(w, by.Add(-time.Nanosecond)); open {
		return by
	}
	_, next := Opening(w, by)
	return next.Add(within)
}
