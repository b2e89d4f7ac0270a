package jobs

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/templates/notice"
)

// SMS sends text messages. id is ours and comes back in delivery reports.
type SMS interface {
	Send(ctx context.Context, id string, to identity.Mobile, template string, params []string) (serial string, err error)
	// Sent reports whether a message with that id went out.
	Sent(ctx context.Context, id string, to identity.Mobile) (bool, error)
}

// WeChat sends template messages; the same id twice is one message. A follower
// who cannot be reached is NotFound.
type WeChat interface {
	SendTemplate(ctx context.Context, id, openID, templateID, url string, data map[string]string) (msgID string, err error)
}

// Subscription is a way to reach people for a consent of theirs: one consent, one
// notice. The same notice twice would be two, so each is tried once.
type Subscription struct {
	Way       order.Way
	AppID     string            // whose users consent
	Templates map[string]string // template ids by our names
	Send      func(ctx context.Context, openID, templateID, url string, data map[string]string) (msgID string, err error)
}

const (
	// smsReport is how long carriers take to report a message: only after it is
	// "not sent" final for one whose handing-over was cut short.
	smsReport = 30 * time.Second
	// wechatMemory is how long WeChat recognises a repeated id. What was handed over
	// longer ago, by a process that died meanwhile, may not be repeated.
	wechatMemory = 10 * time.Minute
	// patience is how long a message waits for a limit; a longer one is as good as
	// a refusal.
	patience = 5 * time.Minute
)

// notify delivers one notification. Sending is recorded before the provider is
// called; after a crash in between, SMS is asked whether it went out, and WeChat
// itself recognises the repeated id.
func (d Deps) notify(ctx context.Context, id string) error {
	n, err := d.Store.Notification(ctx, id)
	if err != nil {
		return err
	}
	if n.State != order.DeliveryPending && n.State != order.DeliverySending {
		return nil
	}
	var o order.Order
	if n.OrderID != "" {
		o, err = d.Store.Order(ctx, n.OrderID)
	}
	switch {
	case errors.Is(err, order.NotFound): // deleted: nobody wants to hear of it
		return d.record(ctx, n, order.DeliveryDropped, "")
	case err != nil:
		return err
	case n.State == order.DeliveryPending && n.Outdated(o):
		return d.record(ctx, n, order.DeliveryDropped, "")
	}
	to, err := d.addressee(ctx, n, o)
	if err != nil {
		return err
	}
	n.Told = to.mobile.Mask()
	if n.Medium == order.SMS {
		return d.notifySMS(ctx, n, o, to.mobile)
	}
	return d.notifyWeChat(ctx, n, o, to.personID)
}

// addressee is whoever a notification is for.
type addressee struct {
	personID string
	mobile   identity.Mobile
}

// addressee is a member of staff, the person that the notification names, the
// legal representative who is asked, or whom the order has for its audience.
func (d Deps) addressee(ctx context.Context, n order.Notification, o order.Order) (addressee, error) {
	personID := n.PersonID
	switch {
	case n.StaffID != "":
		m, err := d.Store.Staff(ctx, n.StaffID)
		if err != nil {
			return addressee{}, err
		}
		personID = m.PersonID
	case n.To == order.ToLegalRep:
		a, err := d.Store.ActiveAuthorization(ctx, o.ID)
		if errors.Is(err, order.NotFound) { // nobody is asked any more, which is found out before anything is sent
			return addressee{mobile: o.MobileFor(n.To)}, nil
		}
		return addressee{mobile: identity.NewMobile(a.Signer.Mobile)}, err
	case n.To == order.ToSecond || n.To == order.ToLeader:
		contacts, err := d.Certificates.Contacts(ctx, personID, o.USCC)
		i := slices.IndexFunc(contacts, func(c certificate.Contact) bool { return c.Role == n.To })
		if err != nil || i < 0 { // none any more
			return addressee{personID: personID}, err
		}
		return addressee{personID, contacts[i].Mobile}, nil
	case personID == "" && (n.To != order.ToAgent || o.PersonID == ""):
		return addressee{o.PersonID, o.MobileFor(n.To)}, nil
	case personID == "": // the order may have been handed over since its form was filled in
		personID = o.PersonID
	}
	p, err := d.Store.Person(ctx, personID)
	return addressee{personID, p.Mobile}, err
}

// record writes a new delivery state of n as it was read, and why.
func (d Deps) record(ctx context.Context, n order.Notification, to order.DeliveryState, why string) error {
	was := n.State
	n.State, n.Why = to, why
	return d.Orders.RecordDelivery(ctx, n, was)
}

// attempt records that the provider is about to be called and returns n as it
// is then.
func (d Deps) attempt(ctx context.Context, n order.Notification) (order.Notification, error) {
	was := n.State
	n.State, n.Why = order.DeliverySending, ""
	n.Attempts++
	return n, d.Orders.RecordDelivery(ctx, n, was)
}

// end is what becomes of a message that a provider did not take.
type end string

const (
	again    end = "again"     // it did not go out: try again
	unsure   end = "unsure"    // nobody knows whether it went out: ask before trying again
	fallBack end = "fall_back" // not to this person by this medium
	giveUp   end = "give_up"   // never by this medium
)

// ends sort the answers of providers; the first that fits decides. What the codes
// of a provider mean is its client's table.
var ends = []struct {
	fits func(m order.Medium, err error) bool
	end  end
}{
	{is(order.NotFound), fallBack},
	{is(order.Invalid), giveUp},
	{func(_ order.Medium, err error) bool {
		return errors.Is(err, order.RateLimited) && waitOf(err) > patience
	}, fallBack},
	{is(order.RateLimited), again},
	{func(m order.Medium, err error) bool { return m == order.WeChat && codeOf(err) != "" }, again}, // WeChat answered, so it did not go out
}

func is(k order.Kind) func(order.Medium, error) bool {
	return func(_ order.Medium, err error) bool { return errors.Is(err, k) }
}

func endOf(m order.Medium, err error) end {
	for _, e := range ends {
		if e.fits(m, err) {
			return e.end
		}
	}
	return unsure
}

func waitOf(err error) time.Duration {
	e, _ := order.AsError(err)
	if e == nil {
		return 0
	}
	return e.RetryAfter
}

// codeOf is the provider's own code; empty when it did not answer.
func codeOf(err error) string {
	if c, ok := errors.AsType[interface {
		error
		ProviderCode() string
	}](err); ok {
		return c.ProviderCode()
	}
	return ""
}

// whyOf is the provider's code, else ours.
func whyOf(err error) string {
	if code := codeOf(err); code != "" {
		return code
	}
	if e, ok := order.AsError(err); ok {
		return e.Code
	}
	return ""
}

// refused records an attempt that failed with err, which is nil or goes to the
// queue.
func (d Deps) refused(ctx context.Context, n order.Notification, err error) error {
	switch endOf(n.Medium, err) {
	case again:
		return errors.Join(err, d.record(ctx, n, order.DeliveryPending, whyOf(err)))
	case fallBack:
		return d.unreachable(ctx, n, order.DeliveryUnreachable, whyOf(err))
	case giveUp:
		return d.unreachable(ctx, n, order.DeliveryFailed, whyOf(err))
	default:
		return err
	}
}

func (d Deps) notifySMS(ctx context.Context, n order.Notification, o order.Order, to identity.Mobile) error {
	if to.IsZero() {
		return d.record(ctx, n, order.DeliveryUnreachable, "no_mobile")
	}
	if n.State == order.DeliverySending {
		sent, err := d.SMS.Sent(ctx, n.ID, to)
		switch {
		case err != nil:
			return err
		case sent:
			return d.sent(ctx, n)
		case d.Now().Sub(n.UpdatedAt) < smsReport:
			return &order.Error{Kind: order.RateLimited, Code: "sms_unreported", Detail: "等待短信回执", RetryAfter: smsReport}
		}
	}
	template, params, err := d.sms(ctx, n, o)
	if errors.Is(err, errNoLongerSo) { // answered, replaced or renewed meanwhile
		return d.record(ctx, n, order.DeliveryDropped, "")
	}
	if err != nil {
		return err
	}
	if n, err = d.attempt(ctx, n); err != nil {
		return err
	}
	serial, err := d.SMS.Send(ctx, n.ID, to, template, params)
	if err != nil {
		return d.refused(ctx, n, err)
	}
	n.ProviderID = serial
	return d.sent(ctx, n)
}

func (d Deps) notifyWeChat(ctx context.Context, n order.Notification, o order.Order, personID string) error {
	card, err := d.card(ctx, n, o)
	if errors.Is(err, errNoLongerSo) {
		return d.record(ctx, n, order.DeliveryDropped, "")
	}
	if err != nil {
		return err
	}
	if n, err = d.subscribed(ctx, n, card, personID); err != nil || n.State == order.DeliverySent {
		return err
	}
	if n.State == order.DeliverySending && d.Now().Sub(n.UpdatedAt) >= wechatMemory {
		return d.unreachable(ctx, n, order.DeliveryFailed, "unconfirmed")
	}
	w, err := d.Store.WeChatOf(ctx, d.AppID, personID)
	switch {
	case errors.Is(err, order.NotFound):
		return d.unreachable(ctx, n, order.DeliveryUnreachable, "not_bound")
	case err == nil && !w.Subscribed:
		return d.unreachable(ctx, n, order.DeliveryUnreachable, "not_following")
	case err != nil:
		return err
	}
	n.Way = order.ByTemplate
	if n, err = d.attempt(ctx, n); err != nil {
		return err
	}
	msgID, err := d.WeChat.SendTemplate(ctx, n.ID, w.OpenID, d.Templates[card.Template], card.URL, card.Data)
	if err != nil {
		return d.refused(ctx, n, err)
	}
	n.ProviderID = msgID
	return d.record(ctx, n, order.DeliverySent, "")
}

// subscribed sends a message for the first consent that its addressee has left,
// and returns it as it is then: sent, or to go out as a template message. One
// whose process died while WeChat was being called is not repeated: nobody knows
// whether it went out.
func (d Deps) subscribed(ctx context.Context, n order.Notification, card notice.Card, personID string) (order.Notification, error) {
	rest := d.Subscriptions
	if i := slices.IndexFunc(rest, func(s Subscription) bool { return s.Way == n.Way }); i >= 0 {
		rest = rest[i+1:]
		if n.State == order.DeliverySending {
			was := n.State
			n.State, n.Why = order.DeliveryPending, "unconfirmed"
			if err := d.Orders.RecordDelivery(ctx, n, was); err != nil {
				return n, err
			}
		}
	} else if n.Way != "" {
		rest = nil // it is a template message already
	}
	for _, s := range rest {
		w, err := d.Store.WeChatOf(ctx, s.AppID, personID)
		if errors.Is(err, order.NotFound) {
			continue
		}
		if err != nil {
			return n, err
		}
		was, consent := n, order.WeChatConsent{AppID: s.AppID, OpenID: w.OpenID, TemplateID: s.Templates[card.Template]}
		n.State, n.Way, n.Why = order.DeliverySending, s.Way, ""
		n.Attempts++
		err = d.Orders.SpendConsent(ctx, n, was.State, consent)
		if errors.Is(err, order.NotFound) {
			n = was
			continue
		}
		if err != nil {
			return n, err
		}
		msgID, err := s.Send(ctx, w.OpenID, consent.TemplateID, card.URL, card.Data)
		was = n
		switch {
		case err == nil:
			n.State, n.ProviderID = order.DeliverySent, msgID
			return n, d.Orders.RecordDelivery(ctx, n, was.State)
		case codeOf(err) == "": // no answer
			return n, err
		}
		n.State, n.Why = order.DeliveryPending, whyOf(err)
		if err := d.Orders.NotTaken(ctx, n, was.State, consent, errors.Is(err, order.NotFound)); err != nil {
			return n, err
		}
	}
	return n, nil
}

// errNoLongerSo says that a message has become untrue before it was sent.
var errNoLongerSo = errors.New("the message is no longer so")

// card is the WeChat card of a message, as things are now.
func (d Deps) card(ctx context.Context, n order.Notification, o order.Order) (notice.Card, error) {
	switch {
	case notice.AboutRenewal(n.Notice):
		r, err := d.renewal(ctx, n)
		if err != nil {
			return notice.Card{}, err
		}
		return notice.RenewalCard(n.Notice, r, d.Links)
	case notice.AboutCabinet(n.Notice):
		return notice.Cabinet(n.Notice, time.UnixMilli(n.Seq), d.Links), nil
	case n.Notice == order.NoticeDaySummary:
		day := n.Day()
		s, err := order.DayStats(ctx, d.Store, day, d.Now())
		return notice.Summary(day, s, d.Links), err
	case n.Notice == order.NoticeBillDiffers:
		open, err := d.Store.OpenDifferences(ctx)
		if err == nil && open == 0 {
			err = errNoLongerSo
		}
		return notice.BillDiffers(time.UnixMilli(n.Seq), open, d.Links), err
	default:
		if err := d.stillSo(ctx, n); err != nil {
			return notice.Card{}, err
		}
		links := d.Links
		var err error
		if links.Token, err = d.tokenOf(ctx, n, o); err != nil {
			return notice.Card{}, err
		}
		return notice.WeChat(n.Notice, o, links)
	}
}

// stillSo is errNoLongerSo for a message whose reason has gone since it was written.
func (d Deps) stillSo(ctx context.Context, n order.Notification) error {
	var so bool
	var err error
	switch n.Notice {
	case order.NoticeBidOpenedRevoke:
		so, err = d.leftToRevoke(ctx, n)
	case order.NoticeOpeningAhead:
		so, err = d.openingAhead(ctx, n)
	default:
		return nil
	}
	if err == nil && !so {
		err = errNoLongerSo
	}
	return err
}

// openingAhead tells whether its addressee still has the opening that a reminder is about.
func (d Deps) openingAhead(ctx context.Context, n order.Notification) (bool, error) {
	ahead, err := d.Certificates.OpeningsOf(ctx, n.PersonID, d.Now())
	return slices.ContainsFunc(ahead, func(o certificate.Opening) bool { return o.OrderID == n.OrderID && o.Seq == n.Seq }), err
}

// sms is the SMS of a message, as things are now.
func (d Deps) sms(ctx context.Context, n order.Notification, o order.Order) (template string, params []string, err error) {
	if !notice.AboutRenewal(n.Notice) {
		if err := d.stillSo(ctx, n); err != nil {
			return "", nil, err
		}
		links, err := d.linksFor(ctx, n, o)
		if errors.Is(err, order.Conflict) || errors.Is(err, order.NotFound) {
			return "", nil, errNoLongerSo
		}
		if err != nil {
			return "", nil, err
		}
		return notice.SMS(n.Notice, o, links)
	}
	r, err := d.renewal(ctx, n)
	if err != nil {
		return "", nil, err
	}
	return notice.RenewalSMS(n.Notice, r, d.Links)
}

// renewal is what a reminder is about: those of its certificates that still end.
func (d Deps) renewal(ctx context.Context, n order.Notification) (notice.Renewal, error) {
	all, err := d.Certificates.Reminded(ctx, n.OrderID, n.Seq)
	if err != nil {
		return notice.Renewal{}, err
	}
	still := slices.DeleteFunc(all, func(c certificate.Certificate) bool { return c.SupersededBy != "" || c.State() == certificate.Revoked })
	if len(still) == 0 {
		return notice.Renewal{}, errNoLongerSo
	}
	first := still[0]
	return notice.Renewal{Company: first.Holder, Keys: len(still), Token: first.TokenSerial, NotAfter: first.NotAfter, Until: first.RenewableUntil()}, nil
}

// leftToRevoke tells whether its addressee still uses a certificate of the order that
// can be revoked: not one that was revoked, has ended or went to somebody else.
func (d Deps) leftToRevoke(ctx context.Context, n order.Notification) (bool, error) {
	held, err := d.Certificates.HeldBy(ctx, n.PersonID)
	return slices.ContainsFunc(held, func(c certificate.Certificate) bool {
		return c.OrderID == n.OrderID && c.State() != certificate.Revoked && c.NotAfter.After(d.Now())
	}), err
}

// unreachable records that a message will not be delivered by its medium. A
// WeChat message that does not go out as SMS anyway falls back to it; behind SMS
// there is only the inbox, which has every message.
func (d Deps) unreachable(ctx context.Context, n order.Notification, to order.DeliveryState, why string) error {
	if n.Medium == order.WeChat && n.Notice.FallsBack() {
		if err := d.Orders.FallBack(ctx, n); err != nil {
			return err
		}
	}
	return d.record(ctx, n, to, why)
}
