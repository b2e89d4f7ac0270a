package order

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"
	"unicode/utf8"
)

// ParcelState is how far an order's parcel has come: what its courier reports, and
// what our counter found when it came back or did not arrive.
type ParcelState string

// The states of a parcel. Only the last two are ours to say.
const (
	NoParcel         ParcelState = ""
	ParcelPosted     ParcelState = "posted"
	ParcelPickedUp   ParcelState = "picked_up"
	ParcelInTransit  ParcelState = "in_transit"
	ParcelTroubled   ParcelState = "troubled" // the courier could not deliver it yet
	ParcelDelivering ParcelState = "delivering"
	ParcelSigned     ParcelState = "signed"
	ParcelReturning  ParcelState = "returning"
	ParcelSentBack   ParcelState = "sent_back" // signed for by us, says the courier
	ParcelReceived   ParcelState = "received"  // came back, its keys counted
	ParcelLost       ParcelState = "lost"      // or keys of it were damaged
)

// parcelStates is what is known of each state: its rank among reports of the same
// second, how people read it, and what a courier may still report after it.
var parcelStates = map[ParcelState]struct {
	rank  int
	label string
	told  string
	then  []ParcelState // nil: anything
	over  bool          // nothing
}{
	ParcelPosted:     {0, "已寄出", "", nil, false},
	ParcelPickedUp:   {1, "已揽收", "快递员已揽收。", nil, false},
	ParcelInTransit:  {2, "运输中", "正在运输途中。", nil, false},
	ParcelTroubled:   {3, "投递异常", "派送遇到问题，请联系快递公司，或拨打 400-666-3999。", nil, false},
	ParcelDelivering: {4, "派送中", "正在派送，请保持电话畅通。", nil, false},
	ParcelReturning:  {5, "退回中", "包裹正在退回，我们收到后会通知您核对地址。", []ParcelState{ParcelSentBack}, false},
	ParcelSigned:     {6, "已签收", "已签收。", nil, true},
	ParcelSentBack:   {7, "已退回", "包裹已退回，我们清点后会通知您核对地址。", nil, true},
	ParcelReceived:   {8, "退件已收到", "", nil, true},
	ParcelLost:       {9, "丢失或损坏", "包裹在运输途中丢失或损坏，证书已吊销。我们已为您免费补办，不需要再次付款，请在「我的订单」查看补办订单。", nil, true},
}

// Label is the state as people read it; empty for an order without a parcel.
func (p ParcelState) Label() string { return parcelStates[p].label }

// TrackLine is one line of what happened to a parcel. Couriers write names and
// telephone numbers into it.
type TrackLine struct {
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

// Shipment is one parcel of an order; one that came back and is sent again is
// another.
type Shipment struct {
	OrderID    ID
	N          int // from 1
	Carrier    string
	TrackingNo string
	State      ParcelState
	Track      []TrackLine // oldest first
	Rev        int64
	ShippedAt  time.Time
	// TrackedAt is since when the courier reports to us; zero before.
	TrackedAt time.Time
	UpdatedAt time.Time
}

// CarrierName is the courier as people read it.
func (s Shipment) CarrierName() string { return Carriers[s.Carrier].Name }

// CourierReport is a courier's word, signature verified, about a parcel.
type CourierReport struct {
	TrackingNo string
	State      ParcelState
	Track      []TrackLine
}

// CourierDesk is where parcels are given to be followed. Its errors are of kind
// Unavailable when asking again may help; asking twice is harmless.
type CourierDesk interface {
	// Follow asks for reports about a parcel. phoneTail are the last four digits of
	// the recipient's mobile, without which some couriers tell nothing.
	Follow(ctx context.Context, carrier, trackingNo, phoneTail string) error
}

// hear adds what a report tells that is new, and says whether it was anything.
// Reports repeat and overtake each other: the newest line of a track decides, and
// what is over stays over.
func (s *Shipment) hear(r CourierReport) bool {
	known := s.last()
	var news bool
	for _, l := range r.Track {
		if !slices.Contains(s.Track, l) {
			s.Track, news = append(s.Track, l), true
		}
	}
	slices.SortStableFunc(s.Track, func(a, b TrackLine) int { return a.At.Compare(b.At) })
	to, is := r.State, parcelStates[s.State]
	if s.State == ParcelReturning && to == ParcelSigned {
		to = ParcelSentBack // who signs for a parcel on its way back is us
	}
	told := Shipment{Track: r.Track}.last()
	newer := cmp.Or(told.Compare(known), cmp.Compare(parcelStates[to].rank, is.rank)) > 0
	if newer && !is.over && (is.then == nil || slices.Contains(is.then, to)) && to != s.State {
		s.State, news = to, true
	}
	return news
}

// last is the time of the newest line.
func (s Shipment) last() time.Time {
	var t time.Time
	for _, l := range s.Track {
		if l.At.After(t) {
			t = l.At
		}
	}
	return t
}

// numberLife is how long a courier does not give a tracking number again.
const numberLife = 365 * day

// parcelOf is the newest of an order's parcels with a tracking number.
func parcelOf(ctx context.Context, q Queries, id ID, trackingNo string) (Shipment, error) {
	all, err := q.Shipments(ctx, id)
	if err != nil {
		return Shipment{}, err
	}
	for _, p := range slices.Backward(all) {
		if p.TrackingNo == trackingNo {
			return p, nil
		}
	}
	return Shipment{}, errNoShipment
}

// errNoShipment is no news: nothing of ours has that number, or not any more.
var errNoShipment = Errorf(Conflict, "shipment_not_found", "没有找到该快递单号")

// CourierReported takes a courier's verified word about a parcel (row 48), for every
// order whose keys travel in it. What was heard before changes nothing, so that one that
// failed is heard again with the next report.
func (s *Service) CourierReported(ctx context.Context, r CourierReport) error {
	in, err := s.store.OrdersInParcel(ctx, r.TrackingNo, s.now().Add(-numberLife))
	if err != nil {
		return err
	}
	if len(in) == 0 {
		return errNoShipment
	}
	var faults []error
	for _, id := range in {
		faults = append(faults, s.courierReported(ctx, id, r))
	}
	return errors.Join(faults...)
}

// courierReported tells one order. A parcel that is not the order's any more is recorded
// only (row 69).
func (s *Service) courierReported(ctx context.Context, id ID, r CourierReport) error {
	return s.store.InTx(ctx, func(tx Tx) error {
		was, err := tx.Order(ctx, id) // from here on nobody else writes about it
		if err != nil {
			return err
		}
		before, err := parcelOf(ctx, tx, id, r.TrackingNo)
		if errors.Is(err, errNoShipment) { // its number was corrected meanwhile
			return nil
		}
		if err != nil {
			return err
		}
		now := before
		now.Track = slices.Clone(before.Track)
		if !now.hear(r) {
			return nil
		}
		now.UpdatedAt = s.now()
		if err := tx.UpdateShipment(ctx, now); err != nil {
			return err
		}
		if now.State != before.State && was.TrackingNo == now.TrackingNo {
			c := Command{On: CourierMoved, By: Actor{Role: Courier, Channel: Internal}, Parcel: now.State, Note: now.State.Label()}
			if _, err = s.ApplyIn(ctx, tx, was.ID, c); !movesNothing(err) {
				return err
			}
		}
		return s.touch(ctx, tx, was)
	})
}

// touch lets whoever looks at an order see that something about it has changed.
func (s *Service) touch(ctx context.Context, tx Tx, was Order) error {
	o := was
	o.Rev++
	o.UpdatedAt = s.now()
	return tx.UpdateOrder(ctx, o, was)
}

// FollowParcel asks the courier for reports about the order's parcel, once.
func (s *Service) FollowParcel(ctx context.Context, id ID) error {
	o, err := s.store.Order(ctx, id)
	if errors.Is(err, NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	all, err := s.store.Shipments(ctx, id)
	if err != nil || len(all) == 0 {
		return err
	}
	parcel := all[len(all)-1]
	if !parcel.TrackedAt.IsZero() || s.courier == nil {
		return nil
	}
	mobile := o.MobileFor(ToRecipient).Reveal()
	if err := s.courier.Follow(ctx, parcel.Carrier, parcel.TrackingNo, mobile[max(0, len(mobile)-4):]); err != nil {
		return err
	}
	return s.store.InTx(ctx, func(tx Tx) error {
		if _, err := tx.Order(ctx, id); err != nil {
			return err
		}
		now, err := parcelOf(ctx, tx, id, parcel.TrackingNo)
		if err != nil {
			return err
		}
		now.TrackedAt = s.now()
		return tx.UpdateShipment(ctx, now)
	})
}

// settleParcel says what our counter found about the order's parcel.
func (s *Service) settleParcel(ctx context.Context, tx Tx, was, o Order, c Command) error {
	parcel, err := parcelOf(ctx, tx, o.ID, was.TrackingNo)
	if err != nil {
		return err
	}
	parcel.State, parcel.UpdatedAt = o.Parcel, c.at
	return tx.UpdateShipment(ctx, parcel)
}

// loseKeys settles a parcel that did not arrive, and the keys in it that a command names
// (row 50).
func (s *Service) loseKeys(ctx context.Context, tx Tx, was, o Order, c Command) error {
	if err := s.settleParcel(ctx, tx, was, o, c); err != nil {
		return err
	}
	for _, key := range c.lost() {
		key.Stage, key.UpdatedAt = ItemLost, c.at
		if err := tx.UpdateItem(ctx, key, ItemVerified); err != nil {
			return err
		}
	}
	return nil
}

// renumber gives the order's parcel its right number. What was said of the wrong one is
// about somebody else's parcel and is forgotten; the new number is followed anew.
func (s *Service) renumber(ctx context.Context, tx Tx, was, o Order, c Command) error {
	parcel, err := parcelOf(ctx, tx, o.ID, was.TrackingNo)
	if err != nil {
		return err
	}
	parcel.Carrier, parcel.TrackingNo, parcel.State = o.Carrier, o.TrackingNo, o.Parcel
	parcel.Track, parcel.TrackedAt, parcel.UpdatedAt = nil, time.Time{}, c.at
	return tx.UpdateShipment(ctx, parcel)
}

// correctLife is how long after it was sent a parcel that was signed for can turn out to be
// a stranger's.
const correctLife = 30 * day

// TrackingCorrectable reports whether somebody in a role may correct the number of the
// order's parcel at a time.
func (o Order) TrackingCorrectable(role Role, at time.Time) bool {
	c := Command{By: Actor{Role: role}, at: at}
	late := AdminCorrects.check(o, c) == nil && SentLately.check(o, c) == nil
	return o.State == completed && o.TrackingNo != "" && NotLost.check(o, c) == nil && (o.Parcel != ParcelSigned || late)
}

// CorrectTracking corrects the carrier and number of an order's parcel (row 72) and of
// other orders with the same wrong number, of all or of none.
func (s *Service) CorrectTracking(ctx context.Context, id ID, with []ID, c Command) error {
	c.On, c.Note = CorrectTracking, c.WrongNo+" 更正为 "+Carriers[c.Carrier].Name+" "+c.TrackingNo
	if c.Why != "" {
		c.Note += "（" + c.Why + "）"
	}
	all := append([]ID{id}, with...)
	slices.Sort(all) // two who correct the same parcels wait for each other
	refused := id
	err := s.store.InTx(ctx, func(tx Tx) error {
		for _, one := range slices.Compact(all) {
			refused = one
			if _, err := s.ApplyIn(ctx, tx, one, c); err != nil {
				return err
			}
		}
		return nil
	})
	e, ok := AsError(err)
	if !ok {
		return err
	}
	s.auditRefusal(ctx, refused, c, e)
	if refused != id {
		if other, err := s.store.Order(ctx, refused); err == nil {
			return &Error{Kind: e.Kind, Code: e.Code, Detail: "同一包裹的订单（尾号 " + TailOf(other.No) + "）不能更正，都没有改动：" + e.Detail}
		}
	}
	return err
}

// wholeKeys are the order's keys that can be used: made, and not lost on the way.
func wholeKeys(items []Item) int {
	n := 0
	for _, i := range items {
		if i.Stage == ItemVerified {
			n++
		}
	}
	return n
}

// lost are the keys that a command says were lost or damaged.
func (c Command) lost() []Item {
	return slices.DeleteFunc(slices.Clone(c.items), func(i Item) bool { return !slices.Contains(c.Items, i.ID) })
}

// lostNamed reports whether a command names keys of the parcel.
func lostNamed(_ Order, c Command) bool {
	lost := c.lost()
	return len(lost) > 0 && len(lost) == len(c.Items) && wholeKeys(lost) == len(lost)
}

func claimRecorded(_ Order, c Command) bool {
	n, m := utf8.RuneCountInString(c.Claim), utf8.RuneCountInString(c.Note)
	return n > 0 && n <= 40 && m > 0 && m <= 60
}

// loseParcel is row 50; what happened and the courier's claim go into the history.
func loseParcel(o *Order, _ Command) { o.Parcel = ParcelLost }

// replaceLost makes a free replacement for each key that was lost, waiting for its
// review with the materials of the order that paid for the key.
func (s *Service) replaceLost(ctx context.Context, tx Tx, o Order, c Command) error {
	for _, key := range c.lost() {
		r := Command{On: ReplaceLost, By: BySystem, Certificate: key.CertSerial, Consent: o.Consent, replaces: &o, seal: key.Seal}
		if _, err := s.ApplyIn(ctx, tx, "", r); err != nil {
			return err
		}
	}
	return nil
}

// history is what an order's past is read from.
type history interface {
	Events(ctx context.Context, id ID) ([]EventRecord, error)
	Looks(ctx context.Context, id ID, after Cursor, limit int) (LookPage, error)
}

// StaleLabel is when the address of an order changed after it was last shown for the
// label; zero when the label that was printed, if any, is right.
func StaleLabel(ctx context.Context, h history, id ID) (changed time.Time, err error) {
	events, err := h.Events(ctx, id)
	if err != nil {
		return time.Time{}, err
	}
	for _, e := range events {
		if e.Event == ChangeDelivery {
			changed = e.At
		}
	}
	if changed.IsZero() {
		return time.Time{}, nil
	}
	for l, err := range Each(func(after Cursor) ([]Look, Cursor, error) { // the newest first
		page, err := h.Looks(ctx, id, after, 100)
		return page.Looks, page.Next, err
	}) {
		switch {
		case err != nil:
			return time.Time{}, err
		case l.Action == ActionLabel && l.At.Before(changed):
			return changed, nil
		case l.Action == ActionLabel:
			return time.Time{}, nil
		}
	}
	return time.Time{}, nil // no label was printed
}

// informOfReplacements tells a refund whether a lost key is being replaced for
// nothing, or was: nobody gets both.
func informOfReplacements(ctx context.Context, tx Tx, c *Command) error {
	if c.On != RefundProposed && c.On != RefundStart {
		return nil
	}
	for _, key := range c.items {
		if key.Stage != ItemLost {
			continue
		}
		page, err := tx.Orders(ctx, Filter{Certificate: key.CertSerial, Business: Reissue})
		if err != nil {
			return err
		}
		c.replaced = c.replaced || slices.ContainsFunc(page.Orders, func(r Order) bool { return r.Amount == 0 && r.Stage != Closed })
	}
	return nil
}

// newReplacement is the order of a replacement before its first row. Nobody can
// have withdrawn the authorisation since the key was made (row 19), so it stands.
func (s *Service) newReplacement(c Command) (Order, error) {
	was := *c.replaces
	products := s.catalogue().Products
	i := slices.IndexFunc(products, func(p Product) bool {
		return p.Business == Reissue && p.IssueMode == ByAdmin && p.Project == was.Product.Project
	})
	if i < 0 {
		return Order{}, Errorf(Conflict, "no_replacement_product", "该项目没有由管理员制证的补办产品，请先在产品目录中添加")
	}
	p := products[i]
	p.Express = nil
	p.Price, p.Algorithm, p.FourEyes, p.Test, p.Term = 0, was.Product.Algorithm, was.Product.FourEyes, was.Product.Test, p.Years[0]
	form := was.Form.With(Cause, "lost").With(AboutEntry, EntryHolder).With(AboutBase, string(was.ID)).With(AuthNeed, No).With(InvoiceWant, No)
	return Order{
		ID: ID(s.newID()), State: None, Business: Reissue, Certificate: c.Certificate, PersonID: was.PersonID, Product: p,
		Lines: []Line{{Seal: c.seal, Quantity: 1}}, Form: form, Company: was.Company, USCC: was.USCC, CreatedAt: s.now(),
	}, nil
}

// post keeps the parcel that a shipment of the order made.
func (s *Service) post(ctx context.Context, tx Tx, _, o Order, c Command) error {
	before, err := tx.Shipments(ctx, o.ID)
	if err != nil {
		return err
	}
	return tx.InsertShipment(ctx, Shipment{
		OrderID: o.ID, N: len(before) + 1, Carrier: o.Carrier, TrackingNo: o.TrackingNo, State: ParcelPosted, Rev: 1, ShippedAt: c.at, UpdatedAt: c.at,
	})
}
