package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/request"
)

// Requests is what package request keeps.
type Requests struct{ *DB }

var _ request.Store = Requests{}

const requestColumns = `id, kind, subject, body, state, answer, refusal, created_at, expires_at, answered_at`

type requestRow struct {
	ID         string        `db:"id"`
	Kind       request.Kind  `db:"kind"`
	Subject    string        `db:"subject"`
	Body       []byte        `db:"body"`
	State      request.State `db:"state"`
	Answer     []byte        `db:"answer"`
	Refusal    string        `db:"refusal"`
	CreatedAt  time.Time     `db:"created_at"`
	ExpiresAt  time.Time     `db:"expires_at"`
	AnsweredAt sql.NullTime  `db:"answered_at"`
}

// refusalRow is the part of a refusal that is kept: never its cause.
type refusalRow struct {
	Kind   order.Kind `json:"kind"`
	Code   string     `json:"code"`
	Detail string     `json:"detail"`
}

func (r requestRow) request() (request.Request, error) {
	out := request.Request{
		ID: r.ID, Kind: r.Kind, Subject: r.Subject, Body: r.Body, State: r.State, Answer: r.Answer,
		CreatedAt: r.CreatedAt.UTC(), ExpiresAt: r.ExpiresAt.UTC(), AnsweredAt: fromNull(r.AnsweredAt),
	}
	if r.Refusal == "" {
		return out, nil
	}
	var no refusalRow
	if err := json.Unmarshal([]byte(r.Refusal), &no); err != nil {
		return out, fmt.Errorf("decoding the refusal of request %s: %w", r.ID, err)
	}
	out.Refusal = &order.Error{Kind: no.Kind, Code: no.Code, Detail: no.Detail}
	return out, nil
}

// InsertRequest implements [request.Store].
func (s Requests) InsertRequest(ctx context.Context, r request.Request) error {
	return s.inTx(ctx, func(tx *Tx) error { return tx.InsertRequest(ctx, r) })
}

// InsertRequest adds a request to the transaction of its cause; an ID that exists
// is left alone. The job beside it takes it to the issuer.
func (tx *Tx) InsertRequest(ctx context.Context, r request.Request) error {
	n, err := tx.exec(ctx, `
		INSERT INTO issuer_requests (`+requestColumns+`)
		VALUES (?, ?, ?, ?, ?, NULL, '', ?, ?, NULL)
		ON CONFLICT (id) DO NOTHING`,
		r.ID, r.Kind, r.Subject, r.Body, r.State, dbTime(r.CreatedAt), dbTime(r.ExpiresAt))
	if err != nil || n == 0 {
		return failed(err, "asking the issuer for %s", r.Kind)
	}
	return tx.Enqueue(ctx, order.Job{Kind: order.JobIssuerRequest, Ref: r.ID})
}

// Request implements [request.Store].
func (s Requests) Request(ctx context.Context, id string) (request.Request, error) {
	var r requestRow
	err := s.get(ctx, &r, `SELECT `+requestColumns+` FROM issuer_requests WHERE id = ?`, id)
	if errors.Is(err, sql.ErrNoRows) {
		return request.Request{}, order.Errorf(order.NotFound, "request_expired", "请求已过期，请重新开始")
	}
	if err != nil {
		return request.Request{}, failed(err, "reading request %s", id)
	}
	return r.request()
}

// AnswerRequest implements [request.Store]. The WHERE clause is the guarantee:
// the first answer stays.
func (s Requests) AnswerRequest(ctx context.Context, r request.Request) error {
	refusal := ""
	if r.Refusal != nil {
		var err error
		if refusal, err = toJSON(refusalRow{r.Refusal.Kind, r.Refusal.Code, r.Refusal.Detail}); err != nil {
			return err
		}
	}
	return s.inTx(ctx, func(tx *Tx) error {
		_, err := tx.exec(ctx, `
			UPDATE issuer_requests
			SET state = ?, answer = ?, refusal = ?, answered_at = ?
			WHERE id = ? AND state = ?`, r.State, r.Answer, refusal, nullTime(r.AnsweredAt), r.ID, request.Waiting)
		return failed(err, "answering request %s", r.ID)
	})
}

// ForgetRequest implements [request.Store].
func (s Requests) ForgetRequest(ctx context.Context, id string) error {
	return s.inTx(ctx, func(tx *Tx) error {
		_, err := tx.exec(ctx, `DELETE FROM issuer_requests WHERE id = ?`, id)
		return failed(err, "forgetting request %s", id)
	})
}

// PurgeRequests implements [request.Store]. It writes only when there is something
// to remove.
func (s Requests) PurgeRequests(ctx context.Context, before time.Time) error {
	var some bool
	if err := s.get(ctx, &some, `SELECT EXISTS (SELECT 1 FROM issuer_requests WHERE expires_at <= ?)`, dbTime(before)); err != nil || !some {
		return failed(err, "looking for expired requests")
	}
	return s.inTx(ctx, func(tx *Tx) error {
		_, err := tx.exec(ctx, `DELETE FROM issuer_requests WHERE expires_at <= ?`, dbTime(before))
		return failed(err, "purging expired requests")
	})
}
