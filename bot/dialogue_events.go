package bot

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/yuncaidun/yuncaidun/bot/intent"
	"github.com/yuncaidun/yuncaidun/order"
)

// event answers what people do besides writing.
func (t *turn) event(ctx context.Context, m Message) (Reply, error) {
	switch m.Event {
	case EventSubscribe:
		if err := t.binding.follow(ctx, t.openid, true); err != nil {
			return Reply{}, err
		}
		m.Key = strings.TrimPrefix(m.Key, "qrscene_")
		return t.welcome(ctx, m)
	case EventUnsubscribe:
		return Reply{}, t.binding.follow(ctx, t.openid, false)
	case EventScan:
		return t.welcome(ctx, m)
	case EventSubscribePopup, EventSubscribeChange:
		return Reply{}, t.subscriptions(ctx, m)
	case EventSubscribeSent:
		if err := t.subscriptions(ctx, m); err != nil {
			return Reply{}, err
		}
		return Reply{}, t.arrived(ctx, m)
	case EventTemplateJobDone:
		return Reply{}, t.delivered(ctx, m)
	case EventClick:
		return t.click(ctx, m)
	}
	return Reply{}, nil
}

// welcome greets who follows or scans. A QR code whose scene is the key of a menu
// button, on a leaflet or a page, answers like the button.
func (t *turn) welcome(ctx context.Context, m Message) (Reply, error) {
	if _, known := clicks[m.Key]; known {
		return t.click(ctx, m)
	}
	t.recall(ctx, m)
	p, err := t.who(ctx)
	if err != nil {
		return Reply{}, err
	}
	if p.ID != "" {
		return t.say(textWelcomeBack)
	}
	t.state.Asked = askedMobile
	return t.sayAndRemember(textWelcome)
}

// subscriptions records what a follower allows us to send. A notice that did not
// arrive because of a refusal says that the consent is gone.
func (t *turn) subscriptions(ctx context.Context, m Message) error {
	var consents []order.WeChatConsent
	for _, s := range m.Subscriptions {
		accepted := s.Status == "accept"
		if m.Event == EventSubscribeSent {
			if s.Failure == "" || s.Failure == "success" {
				continue
			}
		} else if s.Status == "" {
			continue
		}
		if s.TemplateID != "" {
			consents = append(consents, order.WeChatConsent{AppID: t.AppID, OpenID: t.openid, TemplateID: s.TemplateID, Accepted: accepted, At: m.Sent})
		}
	}
	if len(consents) == 0 {
		return nil
	}
	return t.Consents.RecordConsents(ctx, consents)
}

// arrived records which subscription notices arrived; one that did not goes out as
// a template message.
func (t *turn) arrived(ctx context.Context, m Message) error {
	for _, s := range m.Subscriptions {
		if s.MsgID == 0 {
			continue
		}
		n, err := t.notification(ctx, strconv.FormatInt(s.MsgID, 10))
		if errors.Is(err, order.NotFound) {
			continue // not one of ours
		}
		if err != nil {
			return err
		}
		if n.State != order.DeliverySent {
			continue // known already
		}
		if s.Failure == "" || s.Failure == "success" {
			n.State = order.DeliveryDelivered
			err = t.Deliveries.RecordDelivery(ctx, n, order.DeliverySent)
		} else {
			err = t.Deliveries.GoOn(ctx, n, s.Failure)
		}
		if err != nil && !errors.Is(err, order.Conflict) { // somebody else recorded it meanwhile
			return err
		}
	}
	return nil
}

func (t *turn) click(ctx context.Context, m Message) (Reply, error) {
	t.recall(ctx, m)
	var (
		text string
		err  error
	)
	switch c, ok := clicks[m.Key]; {
	case m.Key == MenuTodo:
		text, err = t.todo(ctx)
	case ok:
		t.text = c.words
		t.meant = t.meanings.of(c.words)
		text, err = t.reply(ctx, c.meant)
	default:
		text = t.fill(advice[intent.OutOfScope])
	}
	if err != nil {
		if text, err = explain(err); err != nil {
			return Reply{}, err
		}
	}
	return t.sayAndRemember(text)
}

// asksTodo takes the name of the menu's entry, typed.
func (t *turn) asksTodo(ctx context.Context) (text string, ok bool, err error) {
	if t.text != todoName {
		return "", false, nil
	}
	text, err = t.todo(ctx)
	return text, true, err
}

// todo lists what waits for the person: a reviewer's queue, an applicant's next
// steps.
func (t *turn) todo(ctx context.Context) (string, error) {
	p, err := t.who(ctx)
	if err != nil {
		return "", err
	}
	if p.ID == "" {
		return t.bindingCard(intent.OrderStatus), nil
	}
	m, ok, err := t.member(ctx)
	if err != nil {
		return "", err
	}
	if ok && m.Has(order.Reviewer) {
		return t.queue(ctx, m)
	}
	mine, err := t.mine(ctx, order.Filter{Limit: 30})
	if err != nil {
		return "", err
	}
	mine = slices.DeleteFunc(mine, func(o order.Order) bool {
		a := o.Guide(t.Now()).Action
		return a == order.NoAction || a == order.ActionTrack
	})
	switch {
	case len(mine) == 0:
		return textNothingToDo, nil
	case len(mine) == 1:
		return t.aboutOrder(ctx, mine[0], intent.OrderStatus)
	}
	return t.list(mine[:min(len(mine), maxChoices)], intent.OrderStatus), nil
}

const (
	// WeChat may report a delivery before our sender has recorded the message id
	// that the report names.
	deliveryWait = 1500 * time.Millisecond
	deliveryPoll = 100 * time.Millisecond
)

// delivered records how a template message ended; one that did not arrive goes
// out as SMS instead.
func (t *turn) delivered(ctx context.Context, m Message) error {
	n, err := t.notification(ctx, strconv.FormatInt(m.JobID, 10))
	if errors.Is(err, order.NotFound) {
		return nil // not one of ours
	}
	if err != nil {
		return err
	}
	was := n.State
	if was != order.DeliverySent && was != order.DeliverySending {
		return nil // known already
	}
	n.State = order.DeliveryDelivered
	if m.JobStatus != "success" {
		n.State = order.DeliveryUnreachable
		n.Why = m.JobStatus
		if n.Notice.FallsBack() {
			if err := t.Deliveries.FallBack(ctx, n); err != nil {
				return err
			}
		}
	}
	if err := t.Deliveries.RecordDelivery(ctx, n, was); !errors.Is(err, order.Conflict) {
		return err
	}
	return nil // somebody else recorded it meanwhile
}

func (t *turn) notification(ctx context.Context, jobID string) (order.Notification, error) {
	tick := time.NewTicker(deliveryPoll)
	defer tick.Stop()
	wait, cancel := context.WithTimeout(ctx, deliveryWait)
	defer cancel()
	for {
		n, err := t.Store.NotificationByProvider(ctx, order.WeChat, jobID)
		if !errors.Is(err, order.NotFound) {
			return n, err
		}
		select {
		case <-tick.C:
		case <-wait.Done():
			return n, err
		}
	}
}
