package order

import (
	"context"
	"fmt"
	"sync"
	"time"
)

const (
	// punctualityDays is how far back punctuality looks.
	punctualityDays = 30
	// enoughPosted is how many parcels say something about punctuality; fewer would tell
	// about single customers.
	enoughPosted = 20
	// punctualityLife is how old a published figure may be.
	punctualityLife = 10 * time.Minute
)

// Posting is when the USBKEYs of an order were posted, and by when that was promised.
type Posting struct{ Due, At time.Time }

// Punctuality is how the promise of F63 was kept of late: of the orders that were
// posted in the last thirty days and those that should be and are not yet. Keys that
// are fetched are not among them: the subscriber decides when; nor are express orders,
// unless they were late: then the usual promise counts.
type Punctuality struct {
	From, To time.Time
	// Posted is how many orders were, InTime how many of them as promised.
	Posted, InTime int
	// Overdue is how many are promised for a day that is over, and not posted.
	Overdue int
	// Took is how many were posted after so many working days: on the day itself, after
	// one, two, three, or more.
	Took [slaDays + 2]int
	// ExpressKept and ExpressMissed are how the promises of express orders ended.
	ExpressKept, ExpressMissed int
}

// Enough reports whether the figures say something.
func (p Punctuality) Enough() bool { return p.Posted+p.Overdue >= enoughPosted }

// Percent is the share of orders that were posted as promised, rounded down: 100 is
// all of them.
func (p Punctuality) Percent() int {
	if p.Posted+p.Overdue == 0 {
		return 0
	}
	return 100 * p.InTime / (p.Posted + p.Overdue)
}

// Typical is within how many working days half of what was posted was posted.
func (p Punctuality) Typical() int {
	sum := 0
	for days, n := range p.Took {
		if sum += n; 2*sum >= p.Posted {
			return days
		}
	}
	return len(p.Took) - 1
}

// Sentence says it in one sentence; "" while there is too little to say.
func (p Punctuality) Sentence() string {
	if !p.Enough() {
		return ""
	}
	return fmt.Sprintf("最近 %d 天 %d%% 的订单按承诺寄出，%s。", punctualityDays, p.Percent(), p.Half())
}

// Express says how the promises of express orders were kept; "" while there is too little
// to say.
func (p Punctuality) Express() string {
	n := p.ExpressKept + p.ExpressMissed
	if n < enoughPosted {
		return ""
	}
	return fmt.Sprintf("最近 %d 天的加急订单 %d%% 按时办好，没有按时的都自动退了加急费。", punctualityDays, 100*p.ExpressKept/n)
}

// Half says how long half of the orders took.
func (p Punctuality) Half() string {
	switch n := p.Typical(); {
	case n == 0:
		return "一半的订单当天寄出"
	case n > slaDays:
		return fmt.Sprintf("一半的订单超过 %d 个工作日才寄出", slaDays)
	default:
		return fmt.Sprintf("一半的订单在 %d 个工作日内寄出", n)
	}
}

// punctual counts postings. How long one took follows from its promise, which a
// correction or a parcel that came back starts anew (G10).
func (c *Calendar) punctual(posted []Posting) (p Punctuality) {
	for _, s := range posted {
		p.Posted++
		if !s.At.After(s.Due) {
			p.InTime++
		}
		took := slaDays + c.workdaysBetween(dateOf(s.Due), dateOf(s.At)) - c.workdaysBetween(dateOf(s.At), dateOf(s.Due))
		p.Took[min(max(took, 0), len(p.Took)-1)]++
	}
	return p
}

// workdaysBetween counts the working days after from up to to; none when to is earlier.
func (c *Calendar) workdaysBetween(from, to date) (n int) {
	for d := from; d.closing().Before(to.closing()); {
		if d = d.next(); c.isWorkday(d) {
			n++
		}
	}
	return n
}

// published is what was last said in public, and when.
type published struct {
	mu   sync.Mutex
	last Punctuality
}

// Punctuality tells how the promise of F63 was kept, as of a few minutes ago at most:
// strangers may ask as often as they like.
func (s *Service) Punctuality(ctx context.Context) (Punctuality, error) {
	s.published.mu.Lock()
	defer s.published.mu.Unlock()
	now := s.now()
	if age := now.Sub(s.published.last.To); age >= 0 && age < punctualityLife {
		return s.published.last, nil
	}
	from := now.AddDate(0, 0, -punctualityDays)
	posted, err := s.store.Postings(ctx, from, now)
	if err != nil {
		return Punctuality{}, err
	}
	p := s.calendar.punctual(posted)
	if p.Overdue, err = s.overduePostings(ctx, now); err != nil {
		return Punctuality{}, err
	}
	if p.ExpressKept, p.ExpressMissed, err = s.store.ExpressPromises(ctx, from, now); err != nil {
		return Punctuality{}, err
	}
	p.From, p.To = from, now
	s.published.last = p
	return p, nil
}

// overduePostings counts the orders that should have been posted and are not. Of an express
// order that is late already, the usual promise counts.
func (s *Service) overduePostings(ctx context.Context, now time.Time) (n int, err error) {
	for _, status := range []Status{InReview, ToIssue, ToShip} {
		for o, err := range EachOrder(ctx, s.store, Filter{Status: status, DueBefore: now, Sort: OldestFirst, Limit: 100}) {
			if err != nil {
				return 0, err
			}
			if o.Shipped() && o.Form.Get(ShipWay) != ShipPickUp && o.Refund == NoRefund && o.Express != ExpressPromised {
				n++
			}
		}
	}
	return n, nil
}

// PostedBy is when an order that is complete at t is posted at the latest (F63).
func (s *Service) PostedBy(t time.Time) time.Time { return s.calendar.Due(t, slaDays) }
