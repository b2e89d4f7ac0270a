package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

const fulfilmentColumns = `trade_no, order_id, fulfilled_by, carrier, tracking_no, state, why, rev, at, signed_at, reminded_at, updated_at`

type fulfilmentRow struct {
	TradeNo    string                `db:"trade_no"`
	OrderID    order.ID              `db:"order_id"`
	By         order.FulfilledBy     `db:"fulfilled_by"`
	Carrier    string                `db:"carrier"`
	TrackingNo string                `db:"tracking_no"`
	State      order.FulfilmentState `db:"state"`
	Why        string                `db:"why"`
	Rev        int64                 `db:"rev"`
	At         time.Time             `db:"at"`
	SignedAt   sql.NullTime          `db:"signed_at"`
	RemindedAt sql.NullTime          `db:"reminded_at"`
	UpdatedAt  time.Time             `db:"updated_at"`
}

func rowOfFulfilment(f order.Fulfilment) fulfilmentRow {
	return fulfilmentRow{f.TradeNo, f.OrderID, f.By, f.Carrier, f.TrackingNo, f.State, f.Why, f.Rev, dbTime(f.At), nullTime(f.SignedAt), nullTime(f.RemindedAt), dbTime(f.UpdatedAt)}
}

func (r fulfilmentRow) fulfilment() order.Fulfilment {
	return order.Fulfilment{
		TradeNo: r.TradeNo, OrderID: r.OrderID, Fulfilled: order.Fulfilled{By: r.By, Carrier: r.Carrier, TrackingNo: r.TrackingNo}, State: r.State, Why: r.Why,
		Rev: r.Rev, At: r.At.UTC(), SignedAt: fromNull(r.SignedAt), RemindedAt: fromNull(r.RemindedAt), UpdatedAt: r.UpdatedAt.UTC(),
	}
}

// Fulfilment implements [order.Queries].
func (q queries) Fulfilment(ctx context.Context, tradeNo string) (order.Fulfilment, error) {
	var r fulfilmentRow
	err := q.get(ctx, &r, `SELECT `+fulfilmentColumns+` FROM fulfilments WHERE trade_no = ?`, tradeNo)
	if errors.Is(err, sql.ErrNoRows) {
		return order.Fulfilment{}, order.Errorf(order.NotFound, "fulfilment_not_found", "这笔支付没有需要告知微信的发货信息")
	}
	return r.fulfilment(), failed(err, "reading what WeChat has to know of payment %s", tradeNo)
}

// RefusedFulfilments implements [order.Queries].
func (q queries) RefusedFulfilments(ctx context.Context, limit int) ([]order.Fulfilment, error) {
	var rows []fulfilmentRow
	err := q.all(ctx, &rows, `SELECT `+fulfilmentColumns+` FROM fulfilments WHERE state = 'refused' ORDER BY updated_at, trade_no LIMIT ?`, limit)
	return convert(rows, fulfilmentRow.fulfilment), failed(err, "listing what WeChat did not take")
}

// SaveFulfilment implements [order.Tx].
func (tx *Tx) SaveFulfilment(ctx context.Context, f order.Fulfilment) error {
	n, err := tx.execNamed(ctx, `
		INSERT INTO fulfilments (`+fulfilmentColumns+`)
		VALUES (:trade_no, :order_id, :fulfilled_by, :carrier, :tracking_no, :state, :why, :rev, :at, :signed_at, :reminded_at, :updated_at)
		ON CONFLICT (trade_no) DO UPDATE
		SET fulfilled_by = excluded.fulfilled_by, carrier = excluded.carrier, tracking_no = excluded.tracking_no, state = excluded.state, why = excluded.why,
			rev = excluded.rev, at = excluded.at, signed_at = excluded.signed_at, reminded_at = excluded.reminded_at, updated_at = excluded.updated_at
		WHERE fulfilments.rev = excluded.rev - 1`, rowOfFulfilment(f))
	if err != nil {
		return failed(err, "keeping what WeChat has to know of payment %s", f.TradeNo)
	}
	return oneRow(n, errOrderChanged)
}
