package request

import (
	"bytes"
	"context"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

// Desk is where web and jobs ask.
type Desk struct {
	store Store
	now   func() time.Time
	after func(time.Duration) <-chan time.Time
	here  *Office
}

// NewDesk returns a Desk. now is the product's clock, by which requests expire;
// after the machine's (time.After), by which people wait. here is the issuer of
// this process, nil when it runs elsewhere.
func NewDesk(s Store, now func() time.Time, after func(time.Duration) <-chan time.Time, here *Office) *Desk {
	return &Desk{store: s, now: now, after: after, here: here}
}

// New completes a request with its times, for [Desk.Ask] or an insertion in a
// transaction.
func New(id string, k Kind, subject string, body []byte, now time.Time) Request {
	return Request{ID: id, Kind: k, Subject: subject, Body: body, State: Waiting, CreatedAt: now, ExpiresAt: now.Add(Life)}
}

// Polling starts soon, because most answers take milliseconds, and slows down.
const (
	firstPoll = 5 * time.Millisecond
	lastPoll  = 100 * time.Millisecond
)

// turn is how long an issuer in this process may take before the job takes over,
// which has as long.
const turn = time.Minute

// Ask has the issuer do something and returns its answer. It waits up to
// [Patience], after the issuer's turn if that is in this process; after that, or when
// the caller was killed, asking again with the same ID goes on waiting for the same
// answer.
func (d *Desk) Ask(ctx context.Context, id string, k Kind, subject string, body []byte) ([]byte, error) {
	if err := d.store.InsertRequest(ctx, New(id, k, subject, body, d.now())); err != nil {
		return nil, err
	}
	if d.here != nil {
		taking, cancel := context.WithTimeout(ctx, turn)
		_ = d.here.Execute(taking, id) // what fails is tried again by the job
		cancel()
	}
	enough := d.after(Patience)
	for wait := firstPoll; ; wait = min(2*wait, lastPoll) {
		r, err := d.store.Request(ctx, id)
		switch {
		case err != nil:
			return nil, err
		case r.Kind != k || r.Subject != subject || !bytes.Equal(r.Body, body):
			return nil, order.Errorf(order.Conflict, "request_changed", "请求内容与之前不一致，请重新开始")
		case r.State == Answered:
			return r.Answer, nil
		case r.State == Refused:
			return nil, r.Refusal
		case !d.now().Before(r.ExpiresAt):
			return nil, order.Errorf(order.Conflict, Expired, "请求已过期，请重新开始")
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-enough:
			if r.Refusal != nil {
				return nil, r.Refusal
			}
			return nil, &order.Error{Kind: order.Unavailable, Code: NoAnswer, Detail: "签发服务繁忙，请稍后重试", RetryAfter: Patience}
		case <-d.after(wait):
		}
	}
}

// The codes of the errors when nobody has answered or said why not: so far, and as
// long as the request was good.
const (
	NoAnswer = "issuer_unavailable"
	Expired  = "request_expired"
)

// AskOnce is Ask for an answer that is used now, and is not kept therefore. If
// forgetting it fails, it expires.
func (d *Desk) AskOnce(ctx context.Context, id string, k Kind, subject string, body []byte) ([]byte, error) {
	answer, err := d.Ask(ctx, id, k, subject, body)
	if err == nil {
		_ = d.Forget(ctx, id)
	}
	return answer, err
}

// Forget removes a request whose answer has been used.
func (d *Desk) Forget(ctx context.Context, id string) error { return d.store.ForgetRequest(ctx, id) }

// Sweep removes what has expired; run it now and then.
func (d *Desk) Sweep(ctx context.Context) error { return d.store.PurgeRequests(ctx, d.now()) }
