package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

const paymentColumns = `trade_no, order_id, amount, state, channel, way, code_url, prepay_id, payer, transaction_id,
	refund_no, refund_reason, refused, returned, created_at, expires_at, paid_at, next_query, queries, updated_at`

type paymentRow struct {
	TradeNo       string             `db:"trade_no"`
	OrderID       order.ID           `db:"order_id"`
	Amount        order.Fen          `db:"amount"`
	State         order.PaymentState `db:"state"`
	Channel       order.PayChannel   `db:"channel"`
	Way           order.PayWay       `db:"way"`
	CodeURL       string             `db:"code_url"`
	PrepayID      string             `db:"prepay_id"`
	Payer         string             `db:"payer"`
	TransactionID sql.NullString     `db:"transaction_id"`
	RefundNo      sql.NullString     `db:"refund_no"`
	RefundReason  string             `db:"refund_reason"`
	Refused       string             `db:"refused"`
	Returned      order.Fen          `db:"returned"`
	CreatedAt     time.Time          `db:"created_at"`
	ExpiresAt     sql.NullTime       `db:"expires_at"`
	PaidAt        sql.NullTime       `db:"paid_at"`
	NextQuery     sql.NullTime       `db:"next_query"`
	Queries       int                `db:"queries"`
	UpdatedAt     time.Time          `db:"updated_at"`
}

func rowOfPayment(p order.Payment) paymentRow {
	return paymentRow{
		p.TradeNo, p.OrderID, p.Amount, p.State, p.Channel, p.Way, p.CodeURL, p.PrepayID, p.Payer, nullString(p.TransactionID), nullString(p.RefundNo), p.RefundReason, p.Refused, p.Returned,
		dbTime(p.CreatedAt), nullTime(p.ExpiresAt), nullTime(p.PaidAt), nullTime(p.NextQuery), p.Queries, dbTime(p.UpdatedAt),
	}
}

func (r paymentRow) payment() order.Payment {
	return order.Payment{
		TradeNo: r.TradeNo, OrderID: r.OrderID, Amount: r.Amount, State: r.State,
		Channel: r.Channel, Way: r.Way, CodeURL: r.CodeURL, PrepayID: r.PrepayID, Payer: r.Payer,
		TransactionID: r.TransactionID.String, RefundNo: r.RefundNo.String, RefundReason: r.RefundReason, Refused: r.Refused, Returned: r.Returned,
		CreatedAt: r.CreatedAt.UTC(), ExpiresAt: fromNull(r.ExpiresAt), PaidAt: fromNull(r.PaidAt),
		NextQuery: fromNull(r.NextQuery), Queries: r.Queries, UpdatedAt: r.UpdatedAt.UTC(),
	}
}

// Payment returns one trade as last committed.
func (db *DB) Payment(ctx context.Context, tradeNo string) (order.Payment, error) {
	return db.payment(ctx, tradeNo, "")
}

// Payment returns one trade; its row and its order's stay locked until the transaction
// ends.
func (tx *Tx) Payment(ctx context.Context, tradeNo string) (order.Payment, error) {
	if err := tx.holdOrder(ctx, `SELECT order_id FROM payments WHERE trade_no = ?`, tradeNo); err != nil {
		return order.Payment{}, err
	}
	return tx.payment(ctx, tradeNo, tx.dia.forUpdate)
}

func (q queries) payment(ctx context.Context, tradeNo, lock string) (order.Payment, error) {
	var r paymentRow
	err := q.get(ctx, &r, `SELECT `+paymentColumns+` FROM payments WHERE trade_no = ?`+lock, tradeNo)
	if errors.Is(err, sql.ErrNoRows) {
		return order.Payment{}, order.Errorf(order.NotFound, "payment_not_found", "没有找到该笔支付")
	}
	return r.payment(), failed(err, "reading payment %s", tradeNo)
}

// Payments implements [order.Queries].
func (q queries) Payments(ctx context.Context, id order.ID) ([]order.Payment, error) {
	var rows []paymentRow
	if err := q.all(ctx, &rows, `SELECT `+paymentColumns+` FROM payments WHERE order_id = ? ORDER BY created_at, trade_no`, id); err != nil {
		return nil, failed(err, "reading payments of order %s", id)
	}
	return convert(rows, paymentRow.payment), nil
}

// Fees implements [order.Queries]. A trade that was never paid is none.
func (q queries) Fees(ctx context.Context, personID string, after order.Cursor, limit int) (order.FeePage, error) {
	limit = pageLimit(limit)
	where, args := `o.person_id = ? AND o.deleted_at IS NULL AND p.paid_at IS NOT NULL`, []any{personID}
	if after != (order.Cursor{}) {
		where, args = where+` AND (p.paid_at, p.trade_no) < (?, ?)`, append(args, dbTime(after.At), after.ID)
	}
	var rows []struct {
		OrderID  order.ID           `db:"order_id"`
		OrderNo  sql.NullString     `db:"order_no"`
		Product  string             `db:"product_name"`
		Amount   order.Fen          `db:"amount"`
		Returned order.Fen          `db:"returned"`
		State    order.PaymentState `db:"state"`
		Channel  order.PayChannel   `db:"channel"`
		PaidAt   time.Time          `db:"paid_at"`
		TradeNo  string             `db:"trade_no"`
	}
	err := q.all(ctx, &rows, `
		SELECT p.order_id, o.no AS order_no, o.product_name, p.amount, p.returned, p.state, p.channel, p.paid_at, p.trade_no
		FROM payments p JOIN orders o ON o.id = p.order_id
		WHERE `+where+`
		ORDER BY p.paid_at DESC, p.trade_no DESC LIMIT ?`, append(args, limit+1)...)
	if err != nil {
		return order.FeePage{}, failed(err, "listing fees")
	}
	page := order.FeePage{}
	for _, r := range rows {
		page.Fees = append(page.Fees, order.Fee{
			OrderID: r.OrderID, OrderNo: r.OrderNo.String, Product: r.Product, Amount: r.Amount, Returned: r.Returned, State: r.State, Channel: r.Channel, PaidAt: r.PaidAt.UTC(), TradeNo: r.TradeNo,
		})
	}
	page.Fees, page.Next = pageOf(page.Fees, limit, func(f order.Fee) order.Cursor { return order.Cursor{At: f.PaidAt, ID: order.ID(f.TradeNo)} })
	return page, nil
}

// DueQueries implements [order.Queries].
func (q queries) DueQueries(ctx context.Context, now time.Time, limit int) ([]order.Payment, error) {
	var rows []paymentRow
	err := q.all(ctx, &rows, `
		SELECT `+paymentColumns+`
		FROM payments
		WHERE next_query <= ?
		ORDER BY next_query, trade_no
		LIMIT ?`, dbTime(now), limit)
	if err != nil {
		return nil, failed(err, "listing payments to ask about")
	}
	return convert(rows, paymentRow.payment), nil
}

// FailedLateRefunds implements [order.Queries].
func (q queries) FailedLateRefunds(ctx context.Context, limit int) ([]order.Payment, error) {
	var rows []paymentRow
	err := q.all(ctx, &rows, `
		SELECT `+paymentColumns+`
		FROM payments
		WHERE state = ? AND NOT EXISTS (SELECT 1 FROM orders WHERE id = payments.order_id AND trade_no = payments.trade_no AND refund = ? AND deleted_at IS NULL)
		ORDER BY updated_at, trade_no
		LIMIT ?`, order.PaymentRefundFailed, order.RefundFailed, limit)
	return convert(rows, paymentRow.payment), failed(err, "listing refunds of late payments that failed")
}

// HeldRefunds implements [order.Queries].
func (q queries) HeldRefunds(ctx context.Context, limit int) ([]order.HeldRefund, error) {
	var rows []struct {
		OrderID order.ID         `db:"order_id"`
		Channel order.PayChannel `db:"channel"`
		Amount  order.Fen        `db:"amount"`
		Why     string           `db:"refused"`
	}
	err := q.all(ctx, &rows, `
		SELECT order_id, channel, amount - returned AS amount, refused FROM payments WHERE state = ? AND refused <> ''
		UNION ALL SELECT k.order_id, p.channel, k.amount, k.refused FROM keys_refunds k JOIN payments p ON p.trade_no = k.trade_no WHERE k.state = ? AND k.refused <> ''
		ORDER BY 1 LIMIT ?`, order.PaymentRefunding, order.PaymentRefunding, limit)
	if err != nil {
		return nil, failed(err, "listing refunds that wait")
	}
	out := make([]order.HeldRefund, len(rows))
	for i, r := range rows {
		out[i] = order.HeldRefund(r)
	}
	return out, nil
}

// InsertPayment implements [order.Tx].
func (tx *Tx) InsertPayment(ctx context.Context, p order.Payment) error {
	_, err := tx.execNamed(ctx, `
		INSERT INTO payments (`+paymentColumns+`)
		VALUES (:trade_no, :order_id, :amount, :state, :channel, :way, :code_url, :prepay_id, :payer, :transaction_id,
			:refund_no, :refund_reason, :refused, :returned, :created_at, :expires_at, :paid_at, :next_query, :queries, :updated_at)`, rowOfPayment(p))
	return failed(err, "inserting payment %s", p.TradeNo)
}

// UpdatePayment implements [order.Tx].
func (tx *Tx) UpdatePayment(ctx context.Context, p order.Payment, was order.PaymentState) error {
	if err := tx.holdOrder(ctx, `?`, p.OrderID); err != nil {
		return err
	}
	n, err := tx.execNamed(ctx, `
		UPDATE payments
		SET state = :state, code_url = :code_url, prepay_id = :prepay_id, transaction_id = :transaction_id, refund_no = :refund_no, refund_reason = :refund_reason, refused = :refused, returned = :returned,
			expires_at = :expires_at, paid_at = :paid_at, next_query = :next_query, queries = :queries, updated_at = :updated_at
		WHERE trade_no = :trade_no AND state = :was_state`, struct {
		paymentRow
		Was order.PaymentState `db:"was_state"`
	}{rowOfPayment(p), was})
	if err != nil {
		return failed(err, "moving payment %s from %s to %s", p.TradeNo, was, p.State)
	}
	return oneRow(n, order.Errorf(order.Conflict, "payment_changed", "支付状态已变更，请刷新后重试").Raced())
}

// Ledger returns what was booked of an order's money, oldest first.
func (q queries) Ledger(ctx context.Context, id order.ID) ([]order.LedgerEntry, error) {
	var rows []struct {
		TradeNo string    `db:"trade_no"`
		Kind    string    `db:"kind"`
		OrderID order.ID  `db:"order_id"`
		Amount  order.Fen `db:"amount"`
		At      time.Time `db:"at"`
	}
	if err := q.all(ctx, &rows, `SELECT trade_no, kind, order_id, amount, at FROM ledger WHERE order_id = ? ORDER BY at, trade_no, kind`, id); err != nil {
		return nil, failed(err, "reading the ledger of order %s", id)
	}
	var out []order.LedgerEntry
	for _, r := range rows {
		out = append(out, order.LedgerEntry{TradeNo: r.TradeNo, OrderID: r.OrderID, Kind: r.Kind, Amount: r.Amount, At: r.At.UTC()})
	}
	return out, nil
}

// AppendLedger implements [order.Tx].
func (tx *Tx) AppendLedger(ctx context.Context, e order.LedgerEntry) error {
	_, err := tx.exec(ctx, `
		INSERT INTO ledger (trade_no, kind, order_id, amount, at)
		VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (trade_no, kind) DO NOTHING`, e.TradeNo, e.Kind, e.OrderID, e.Amount, dbTime(e.At))
	return failed(err, "booking %s of trade %s", e.Kind, e.TradeNo)
}
