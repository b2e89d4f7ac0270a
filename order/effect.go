package order

import "time"

// The effects are the Do of lifecycle rows: what changes beside the state.

func edit(o *Order, c Command) { o.setForm(c.Form) }

func (o *Order) setForm(f Form) {
	o.Form, o.Company, o.USCC = f, f.Get(OrgName), f.Get(OrgUSCC)
}

// place freezes what was confirmed (row 3 and 4).
func place(o *Order, c Command) {
	o.Consent = c.Consent
	o.setForm(oneWay(o.Form))
	o.Submission++
	o.Snapshot = o.Hash()
	o.Reasons = nil
	o.RealName = RealNameUnknown
	if o.PlacedAt.IsZero() {
		o.PlacedAt = c.at
	}
}

// oneWay drops what only the authorisation that was not chosen asks for: with a
// paper letter the legal representative's document is not collected (G6).
func oneWay(f Form) Form {
	if asksLegalRep(f) {
		return f
	}
	return withoutLegalRep(f)
}

func withoutLegalRep(f Form) Form {
	for _, field := range []Field{LegalIDType, LegalIDNo, LegalMobile} {
		f = f.With(field, "")
	}
	return f
}

// declined erases who declined, beside rejecting (row 15).
func declined(o *Order, c Command) {
	rejectWith("R16")(o, c)
	o.Form = withoutLegalRep(o.Form).With(LegalName, "")
}

// changeLegalMobile is row 12: the number is none of the signed fields.
func changeLegalMobile(o *Order, c Command) {
	if m := c.Form.Get(LegalMobile); m != "" {
		o.Form = o.Form.With(LegalMobile, m)
		o.Snapshot = o.Hash()
	}
}

// paperForm is the form with a stamped letter in place of a signature online.
func paperForm(f Form, c Command) Form {
	f = withoutLegalRep(f.With(AuthWay, AuthPaper).With(LetterImage, c.Form.Get(LetterImage)))
	if email := c.Form.Get(AgentEmail); email != "" {
		f = f.With(AgentEmail, email)
	}
	return f
}

func switchToPaper(o *Order, c Command) {
	o.setForm(paperForm(o.Form, c))
	o.Snapshot = o.Hash()
	startClock(o, c)
}

func placeAndQueue(o *Order, c Command) {
	place(o, c)
	startClock(o, c)
}

func markPaid(o *Order, c Command) { o.PaidAt = c.PaidAt }

func payAndQueue(o *Order, c Command) {
	markPaid(o, c)
	startClock(o, c)
}

// startClock starts the promise of F63; G10 says when.
func startClock(o *Order, c Command) {
	o.DueAt = c.due(*o, c.at)
	o.ReviewSince, o.ReviewDue, o.Delay = c.at, c.review(*o, c.at), NoDelay
}

func dropTrade(o *Order, _ Command) { o.TradeNo = "" }

func claim(o *Order, c Command) { o.ReviewerID = c.By.StaffID }

// assign gives the claim to somebody else (row 70).
func assign(o *Order, c Command) { o.ReviewerID = c.assignee.ID }

func explainDelay(o *Order, c Command) { o.Delay = c.Delay }

func release(o *Order, _ Command) { o.ReviewerID = "" }

func approveFirst(o *Order, c Command) { o.FirstApprover = c.By.StaffID }

func approve(o *Order, c Command) {
	o.ReviewerID = c.By.StaffID
	o.ApprovedAt = c.at
}

func approveAndComplete(o *Order, c Command) {
	approve(o, c)
	finish(o, c.at)
}

func reject(o *Order, c Command) {
	o.Reasons = c.Reasons
	dropReview(o, c)
}

// rejectWith rejects for a reason of the table, told by the system or a third
// person.
func rejectWith(code string) func(*Order, Command) {
	return func(o *Order, c Command) {
		c.Reasons = []Reason{{Code: code, Note: c.Note}}
		reject(o, c)
	}
}

// rejectNote rejects for "other" with a fixed sentence.
func rejectNote(note string) func(*Order, Command) {
	return func(o *Order, c Command) {
		c.Reasons = []Reason{{Code: "R20", Note: note}}
		reject(o, c)
	}
}

func dropReview(o *Order, _ Command) {
	o.ReviewerID, o.FirstApprover, o.DueAt = "", "", time.Time{}
	o.ReviewSince, o.ReviewDue, o.Delay = time.Time{}, time.Time{}, NoDelay
}

func resubmit(o *Order, c Command) {
	o.setForm(c.Form)
	if c.Consent.Version == "" {
		c.Consent = o.Consent
	}
	place(o, c)
}

func resubmitAndQueue(o *Order, c Command) {
	resubmit(o, c)
	startClock(o, c)
}

func countKey(o *Order, _ Command) { o.Verified++ }

func countKeyAndPickUpCode(o *Order, c Command) {
	countKey(o, c)
	o.Form = o.Form.With(PickUpCode, c.pickup)
}

func giveUp(o *Order, c Command) { o.GivenUp += len(c.giving()) }

func giveUpAndPickUpCode(o *Order, c Command) {
	giveUp(o, c)
	o.Form = o.Form.With(PickUpCode, c.pickup)
}

func ship(o *Order, c Command) {
	o.Carrier, o.TrackingNo, o.ShippedAt, o.Parcel = c.Carrier, c.TrackingNo, c.at, ParcelPosted
	finish(o, c.at)
}

// correctTracking begins the parcel's way anew: nobody has told anything of this number.
func correctTracking(o *Order, c Command) {
	o.Carrier, o.TrackingNo, o.Parcel = c.Carrier, c.TrackingNo, ParcelPosted
}

func moveParcel(o *Order, c Command) { o.Parcel = c.Parcel }

// unship has a parcel that came back wait to be sent again; the promise begins anew.
func unship(o *Order, c Command) {
	o.Carrier, o.TrackingNo, o.ShippedAt, o.CompletedAt, o.Parcel = "", "", time.Time{}, time.Time{}, ParcelReceived
	o.DueAt = c.due(*o, c.at)
}

func finish(o *Order, at time.Time) { o.CompletedAt = at }

func completeOrder(o *Order, c Command) { finish(o, c.at) }

func completeRun(o *Order, c Command) {
	countKey(o, c)
	finish(o, c.at)
}

func completeFree(o *Order, c Command) {
	o.PlacedAt, o.Amount = c.at, 0
	finish(o, c.at)
}

func changeDeliveryToPickUp(o *Order, c Command) {
	changeDelivery(o, c)
	o.Form = o.Form.With(PickUpCode, c.pickup)
}

func changeDelivery(o *Order, c Command) {
	for _, s := range Fields {
		if s.Group == GroupShip && s.IsAsked(o.Product, c.Form) {
			o.Form = o.Form.With(s.Name, c.Form.Get(s.Name))
		}
	}
}
