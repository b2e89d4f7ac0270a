package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

const proposalColumns = `order_id, kind, staff_id, keys, key_end, note, at`

type proposalRow struct {
	OrderID order.ID           `db:"order_id"`
	Kind    order.ProposalKind `db:"kind"`
	StaffID string             `db:"staff_id"`
	Keys    int                `db:"keys"`
	End     order.KeysEnd      `db:"key_end"`
	Note    string             `db:"note"`
	At      time.Time          `db:"at"`
}

func (r proposalRow) proposal() order.Proposal {
	return order.Proposal{OrderID: r.OrderID, Kind: r.Kind, StaffID: r.StaffID, Keys: r.Keys, End: r.End, Note: r.Note, At: r.At.UTC()}
}

// Proposals implements [order.Queries].
func (q queries) Proposals(ctx context.Context, limit int) ([]order.Proposal, error) {
	var rows []proposalRow
	err := q.all(ctx, &rows, `SELECT `+proposalColumns+` FROM proposals ORDER BY at, order_id LIMIT ?`, limit)
	return convert(rows, proposalRow.proposal), failed(err, "listing what was proposed")
}

// Proposal implements [order.Queries].
func (q queries) Proposal(ctx context.Context, id order.ID) (order.Proposal, error) {
	var r proposalRow
	err := q.get(ctx, &r, `SELECT `+proposalColumns+` FROM proposals WHERE order_id = ?`, id)
	if errors.Is(err, sql.ErrNoRows) {
		return order.Proposal{}, order.Errorf(order.NotFound, "proposal_not_found", "没有待确认的提议")
	}
	return r.proposal(), failed(err, "reading what was proposed about order %s", id)
}

// SaveProposal implements [order.Tx].
func (tx *Tx) SaveProposal(ctx context.Context, p order.Proposal) error {
	if err := tx.DropProposal(ctx, p.OrderID); err != nil {
		return err
	}
	_, err := tx.execNamed(ctx, `
		INSERT INTO proposals (`+proposalColumns+`)
		VALUES (:order_id, :kind, :staff_id, :keys, :key_end, :note, :at)`, proposalRow{p.OrderID, p.Kind, p.StaffID, p.Keys, p.End, p.Note, dbTime(p.At)})
	return failed(err, "keeping what was proposed about order %s", p.OrderID)
}

// DropProposal implements [order.Tx].
func (tx *Tx) DropProposal(ctx context.Context, id order.ID) error {
	_, err := tx.exec(ctx, `DELETE FROM proposals WHERE order_id = ?`, id)
	return failed(err, "forgetting what was proposed about order %s", id)
}

const partRefundColumns = `refund_no, number, trade_no, order_id, keys, amount, state, reason, refused, next_query, created_at, updated_at`

type partRefundRow struct {
	RefundNo  string             `db:"refund_no"`
	Number    string             `db:"number"`
	TradeNo   string             `db:"trade_no"`
	OrderID   order.ID           `db:"order_id"`
	Keys      int                `db:"keys"`
	Amount    order.Fen          `db:"amount"`
	State     order.PaymentState `db:"state"`
	Reason    string             `db:"reason"`
	Refused   string             `db:"refused"`
	NextQuery sql.NullTime       `db:"next_query"`
	CreatedAt time.Time          `db:"created_at"`
	UpdatedAt time.Time          `db:"updated_at"`
}

func rowOfPartRefund(r order.PartRefund) partRefundRow {
	return partRefundRow{r.RefundNo, r.Number, r.TradeNo, r.OrderID, r.Keys, r.Amount, r.State, r.Reason, r.Refused, nullTime(r.NextQuery), dbTime(r.CreatedAt), dbTime(r.UpdatedAt)}
}

func (r partRefundRow) refund() order.PartRefund {
	return order.PartRefund{
		RefundNo: r.RefundNo, Number: r.Number, TradeNo: r.TradeNo, OrderID: r.OrderID, Keys: r.Keys, Amount: r.Amount, State: r.State, Reason: r.Reason, Refused: r.Refused,
		NextQuery: fromNull(r.NextQuery), CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
}

// PartRefund implements [order.Queries].
func (q queries) PartRefund(ctx context.Context, refundNo string) (order.PartRefund, error) {
	var r partRefundRow
	err := q.get(ctx, &r, `SELECT `+partRefundColumns+` FROM keys_refunds WHERE refund_no = ?`, refundNo)
	if errors.Is(err, sql.ErrNoRows) {
		return order.PartRefund{}, order.Errorf(order.NotFound, "refund_not_found", "没有找到该笔退款")
	}
	return r.refund(), failed(err, "reading refund %s", refundNo)
}

// PartRefunds implements [order.Queries].
func (q queries) PartRefunds(ctx context.Context, id order.ID) ([]order.PartRefund, error) {
	var rows []partRefundRow
	err := q.all(ctx, &rows, `SELECT `+partRefundColumns+` FROM keys_refunds WHERE order_id = ? ORDER BY created_at, refund_no`, id)
	return convert(rows, partRefundRow.refund), failed(err, "reading refunds of order %s", id)
}

// FailedPartRefunds implements [order.Queries].
func (q queries) FailedPartRefunds(ctx context.Context, limit int) ([]order.PartRefund, error) {
	var rows []partRefundRow
	err := q.all(ctx, &rows, `SELECT `+partRefundColumns+` FROM keys_refunds WHERE state = ? ORDER BY updated_at LIMIT ?`, order.PaymentRefundFailed, limit)
	return convert(rows, partRefundRow.refund), failed(err, "listing refunds that failed")
}

// DuePartRefunds implements [order.Queries].
func (q queries) DuePartRefunds(ctx context.Context, now time.Time, limit int) ([]order.PartRefund, error) {
	var rows []partRefundRow
	err := q.all(ctx, &rows, `SELECT `+partRefundColumns+` FROM keys_refunds WHERE next_query <= ? ORDER BY next_query, refund_no LIMIT ?`, dbTime(now), limit)
	return convert(rows, partRefundRow.refund), failed(err, "listing refunds to ask about")
}

// InsertPartRefund implements [order.Tx].
func (tx *Tx) InsertPartRefund(ctx context.Context, r order.PartRefund) error {
	_, err := tx.execNamed(ctx, `
		INSERT INTO keys_refunds (`+partRefundColumns+`)
		VALUES (:refund_no, :number, :trade_no, :order_id, :keys, :amount, :state, :reason, :refused, :next_query, :created_at, :updated_at)`, rowOfPartRefund(r))
	return failed(err, "inserting refund %s", r.RefundNo)
}

// UpdatePartRefund implements [order.Tx].
func (tx *Tx) UpdatePartRefund(ctx context.Context, r, was order.PartRefund) error {
	n, err := tx.execNamed(ctx, `
		UPDATE keys_refunds
		SET state = :state, number = :number, reason = :reason, refused = :refused, next_query = :next_query, updated_at = :updated_at
		WHERE refund_no = :refund_no AND state = :was_state AND number = :was_number`, struct {
		partRefundRow
		State  order.PaymentState `db:"was_state"`
		Number string             `db:"was_number"`
	}{rowOfPartRefund(r), was.State, was.Number})
	if err != nil {
		return failed(err, "moving refund %s from %s to %s", r.RefundNo, was.State, r.State)
	}
	return oneRow(n, order.Errorf(order.Conflict, "payment_changed", "支付状态已变更，请刷新后重试").Raced())
}
