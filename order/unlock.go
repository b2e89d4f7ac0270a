package order

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
