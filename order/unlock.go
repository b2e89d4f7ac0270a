package order

import "time"

// unlocksAlone reports whether a command stands for an unlock that nobody has
// applied for before: its order begins with it (row 59).
func (c Command) unlocksAlone() bool {
	return c.Product != "" && (c.On == PINSet || c.On == CodeGiven)
}

// newUnlock is the order of a self-service unlock before its one event. The form
// holds the bound mobile and nothing else; the company's name stays blank (F84).
func (s *Service) newUnlock(c Command) (Order, error) {
	p, err := s.catalogue().Product(c.Product)
	if err != nil {
		return Order{}, err
	}
	if p.Business != UnlockSelf {
		return Order{}, Errorf(Invalid, "business_changed", "该产品不是自助解锁")
	}
	p.Term = p.Years[0]
	return Order{
		ID: ID(s.newID()), Business: p.Business, State: None, Certificate: c.Certificate, PersonID: c.By.PersonID, Product: p,
		Lines: []Line{{Seal: NoSeal, Quantity: 1}}, Form: c.Form, CreatedAt: s.now(),
	}, nil
}

// unlockCodes is how many responses to a challenge an approved unlock gets (flows 4.6).
const unlockCodes = 3

// CodeAgain reports whether the order was completed by the response to a challenge, and
// another may be had since that one did not fit (row 57).
func (o Order) CodeAgain(events []EventRecord, now time.Time) bool {
	given := 0
	for _, e := range events {
		if e.Event == CodeGiven {
			given++
		}
	}
	return o.Business == UnlockApproval && o.Status == Completed && o.Refund == NoRefund && given > 0 && given < unlockCodes && now.Before(o.GrantEnd(time.Time{}))
}
