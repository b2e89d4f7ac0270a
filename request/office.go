package request

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/yuncaidun/yuncaidun/order"
)

// Office is the issuer's side: it executes requests.
type Office struct {
	store     Store
	now       func() time.Time
	executors map[Kind]Executor
	running   singleflight.Group // by request ID
}

// NewOffice returns an Office with one executor per kind.
func NewOffice(s Store, now func() time.Time, executors map[Kind]Executor) *Office {
	return &Office{store: s, now: now, executors: executors}
}

// refusals are the kinds of error that no repetition changes.
var refusals = []order.Kind{order.Invalid, order.Forbidden, order.NotFound, order.Conflict, order.RateLimited}

// Execute does one request and records the answer. It may be called again after
// any error or crash, and for a request that is answered, expired or gone it does
// nothing. Of several at once in this process one executes, and all get its error.
func (o *Office) Execute(ctx context.Context, id string) error {
	_, err, _ := o.running.Do(id, func() (any, error) { return nil, o.once(ctx, id) })
	return err
}

func (o *Office) once(ctx context.Context, id string) error {
	r, err := o.store.Request(ctx, id)
	if errors.Is(err, order.NotFound) {
		return nil
	}
	if err != nil || r.State != Waiting || !o.now().Before(r.ExpiresAt) {
		return err
	}
	answer, err := o.execute(ctx, r)
	refusal, refused := refusalIn(err)
	switch {
	case refused:
		r.State, r.Refusal = Refused, refusal
	case err != nil:
		if e, ok := order.AsError(err); ok { // whoever waits in vain hears why
			r.Refusal = e
			err = errors.Join(err, o.store.AnswerRequest(ctx, r))
		}
		return fmt.Errorf("executing %s request %s: %w", r.Kind, r.ID, err)
	default:
		r.State, r.Answer, r.Refusal = Answered, answer, nil
	}
	r.AnsweredAt = o.now()
	return o.store.AnswerRequest(ctx, r)
}

func (o *Office) execute(ctx context.Context, r Request) ([]byte, error) {
	do, ok := o.executors[r.Kind]
	if !ok {
		return nil, order.Errorf(order.Invalid, "request_unknown", "签发服务不支持该操作")
	}
	return do(ctx, r)
}

func refusalIn(err error) (*order.Error, bool) {
	e, ok := order.AsError(err)
	if !ok {
		return nil, false
	}
	for _, k := range refusals {
		if e.Kind == k {
			return e, true
		}
	}
	return nil, false
}
