package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

const receiptColumns = `id, order_id, code_hash, company, uscc, order_no, product, state, since, issued_at, expires_at, withdrawn_at`

type receiptRow struct {
	ID          string       `db:"id"`
	OrderID     order.ID     `db:"order_id"`
	CodeHash    string       `db:"code_hash"`
	Company     string       `db:"company"`
	USCC        string       `db:"uscc"`
	OrderNo     string       `db:"order_no"`
	Product     string       `db:"product"`
	State       string       `db:"state"`
	Since       time.Time    `db:"since"`
	IssuedAt    time.Time    `db:"issued_at"`
	ExpiresAt   time.Time    `db:"expires_at"`
	WithdrawnAt sql.NullTime `db:"withdrawn_at"`
}

func (r receiptRow) receipt() order.ProgressReceipt {
	return order.ProgressReceipt{
		ID: r.ID, OrderID: r.OrderID, CodeHash: r.CodeHash,
		Statement: order.Statement{Company: r.Company, USCC: r.USCC, OrderNo: r.OrderNo, Product: r.Product, State: r.State, Since: r.Since.UTC()},
		IssuedAt:  r.IssuedAt.UTC(), ExpiresAt: r.ExpiresAt.UTC(), WithdrawnAt: fromNull(r.WithdrawnAt),
	}
}

// Receipts implements [order.Queries].
func (q queries) Receipts(ctx context.Context, id order.ID) ([]order.ProgressReceipt, error) {
	var rows []receiptRow
	err := q.all(ctx, &rows, `SELECT `+receiptColumns+` FROM progress_receipts WHERE order_id = ? ORDER BY id DESC LIMIT 100`, id)
	return convert(rows, receiptRow.receipt), failed(err, "listing the receipts of order %s", id)
}

// Receipt implements [order.Queries].
func (q queries) Receipt(ctx context.Context, id order.ID, receipt string) (order.ProgressReceipt, error) {
	return q.oneReceipt(ctx, `order_id = ? AND id = ?`, id, receipt)
}

// ReceiptByCode implements [order.Queries].
func (q queries) ReceiptByCode(ctx context.Context, codeHash string) (order.ProgressReceipt, error) {
	return q.oneReceipt(ctx, `code_hash = ?`, codeHash)
}

func (q queries) oneReceipt(ctx context.Context, where string, args ...any) (order.ProgressReceipt, error) {
	var r receiptRow
	err := q.get(ctx, &r, `SELECT `+receiptColumns+` FROM progress_receipts WHERE `+where, args...)
	if errors.Is(err, sql.ErrNoRows) {
		return order.ProgressReceipt{}, order.Errorf(order.NotFound, "receipt_not_found", "没有找到该进度凭证")
	}
	return r.receipt(), failed(err, "reading a receipt")
}

// InsertReceipt implements [order.Tx].
func (tx *Tx) InsertReceipt(ctx context.Context, r order.ProgressReceipt) error {
	_, err := tx.execNamed(ctx, `
		INSERT INTO progress_receipts (`+receiptColumns+`)
		VALUES (:id, :order_id, :code_hash, :company, :uscc, :order_no, :product, :state, :since, :issued_at, :expires_at, :withdrawn_at)`, receiptRow{
		r.ID, r.OrderID, r.CodeHash, r.Company, r.USCC, r.OrderNo, r.Product, r.State, dbTime(r.Since), dbTime(r.IssuedAt), dbTime(r.ExpiresAt), nullTime(r.WithdrawnAt),
	})
	return failed(err, "issuing a receipt of order %s", r.OrderID)
}

// WithdrawReceipt implements [order.Tx].
func (tx *Tx) WithdrawReceipt(ctx context.Context, receipt string, at time.Time) error {
	_, err := tx.exec(ctx, `UPDATE progress_receipts SET withdrawn_at = ? WHERE id = ? AND withdrawn_at IS NULL`, dbTime(at), receipt)
	return failed(err, "withdrawing receipt %s", receipt)
}
