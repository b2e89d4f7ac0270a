package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

const invoiceColumns = `id, order_id, trade_no, state, rev, attempt, amount, title, tax_no, item, number, reversal, why, next_title, next_tax_no, corrects, queries,
	created_at, updated_at, submitted_at, issued_at, reversed_at, next_query`

// invoiceSelect reads invoices with the number of their order.
const invoiceSelect = `
	SELECT i.id, i.order_id, i.trade_no, i.state, i.rev, i.attempt, i.amount, i.title, i.tax_no, i.item, i.number, i.reversal, i.why, i.next_title, i.next_tax_no, i.corrects, i.queries,
		i.created_at, i.updated_at, i.submitted_at, i.issued_at, i.reversed_at, i.next_query, o.no
	FROM invoices i JOIN orders o ON o.id = i.order_id
	`

type invoiceRow struct {
	ID          string             `db:"id"`
	OrderID     order.ID           `db:"order_id"`
	TradeNo     string             `db:"trade_no"`
	State       order.InvoiceState `db:"state"`
	Rev         int64              `db:"rev"`
	Attempt     int                `db:"attempt"`
	Amount      order.Fen          `db:"amount"`
	Title       string             `db:"title"`
	TaxNo       string             `db:"tax_no"`
	Item        string             `db:"item"`
	Number      string             `db:"number"`
	Reversal    string             `db:"reversal"`
	Why         string             `db:"why"`
	NextTitle   string             `db:"next_title"`
	NextTaxNo   string             `db:"next_tax_no"`
	Corrects    string             `db:"corrects"`
	Queries     int                `db:"queries"`
	CreatedAt   time.Time          `db:"created_at"`
	UpdatedAt   time.Time          `db:"updated_at"`
	SubmittedAt sql.NullTime       `db:"submitted_at"`
	IssuedAt    sql.NullTime       `db:"issued_at"`
	ReversedAt  sql.NullTime       `db:"reversed_at"`
	NextQuery   sql.NullTime       `db:"next_query"`
	OrderNo     sql.NullString     `db:"no"`
}

func rowOfInvoice(i order.Invoice) invoiceRow {
	return invoiceRow{
		ID: i.ID, OrderID: i.OrderID, TradeNo: i.TradeNo, State: i.State, Rev: i.Rev, Attempt: i.Attempt, Amount: i.Amount, Title: i.Title, TaxNo: i.TaxNo, Item: i.Item,
		Number: i.Number, Reversal: i.Reversal, Why: i.Why, NextTitle: i.Next.Title, NextTaxNo: i.Next.TaxNo, Corrects: i.Corrects, Queries: i.Queries,
		CreatedAt: dbTime(i.CreatedAt), UpdatedAt: dbTime(i.UpdatedAt), SubmittedAt: nullTime(i.SubmittedAt), IssuedAt: nullTime(i.IssuedAt),
		ReversedAt: nullTime(i.ReversedAt), NextQuery: nullTime(i.NextQuery),
	}
}

func (r invoiceRow) invoice() order.Invoice {
	return order.Invoice{
		ID: r.ID, OrderID: r.OrderID, OrderNo: r.OrderNo.String, TradeNo: r.TradeNo, State: r.State, Rev: r.Rev, Attempt: r.Attempt, Amount: r.Amount,
		Buyer: order.Buyer{Title: r.Title, TaxNo: r.TaxNo}, Item: r.Item, Number: r.Number, Reversal: r.Reversal, Why: r.Why,
		Next: order.Buyer{Title: r.NextTitle, TaxNo: r.NextTaxNo}, Corrects: r.Corrects, Queries: r.Queries,
		CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(), SubmittedAt: fromNull(r.SubmittedAt), IssuedAt: fromNull(r.IssuedAt),
		ReversedAt: fromNull(r.ReversedAt), NextQuery: fromNull(r.NextQuery),
	}
}

const (
	invoiceByID    = `WHERE i.id = ?`
	invoiceByOrder = `WHERE i.order_id = ? ORDER BY CASE WHEN i.state = 'reversed' THEN 1 ELSE 0 END, i.created_at DESC, i.id DESC LIMIT 1`
)

// Invoice returns one invoice as last committed.
func (db *DB) Invoice(ctx context.Context, id string) (order.Invoice, error) {
	return db.oneInvoice(ctx, invoiceByID, id)
}

// Invoice returns one invoice; its row stays locked until the transaction ends.
func (tx *Tx) Invoice(ctx context.Context, id string) (order.Invoice, error) {
	return tx.oneInvoice(ctx, invoiceByID+tx.lockInvoice(), id)
}

// InvoiceOf returns an order's invoice as last committed.
func (db *DB) InvoiceOf(ctx context.Context, id order.ID) (order.Invoice, error) {
	return db.oneInvoice(ctx, invoiceByOrder, id)
}

// InvoiceOf returns an order's invoice; its row stays locked until the transaction ends.
func (tx *Tx) InvoiceOf(ctx context.Context, id order.ID) (order.Invoice, error) {
	return tx.oneInvoice(ctx, invoiceByOrder+tx.lockInvoice(), id)
}

// lockInvoice locks the invoice and not the order that is read with it.
func (tx *Tx) lockInvoice() string {
	if tx.dia.forUpdate == "" {
		return ""
	}
	return tx.dia.forUpdate + " OF i"
}

func (q queries) oneInvoice(ctx context.Context, where string, arg any) (order.Invoice, error) {
	var r invoiceRow
	err := q.get(ctx, &r, invoiceSelect+where, arg)
	if errors.Is(err, sql.ErrNoRows) {
		return order.Invoice{}, order.Errorf(order.NotFound, "invoice_not_found", "没有找到该发票，请在「我的发票」中查看")
	}
	return r.invoice(), failed(err, "reading invoice %v", arg)
}

// Invoices implements [order.Queries]. It asks for one more than a page, to learn
// whether there is a next one.
func (q queries) Invoices(ctx context.Context, f order.InvoiceFilter) (order.InvoicePage, error) {
	limit := pageLimit(f.Limit)
	parts, args := []string{`o.deleted_at IS NULL`}, []any{}
	if f.PersonID != "" {
		parts, args = append(parts, `o.person_id = ?`), append(args, f.PersonID)
	}
	if len(f.States) > 0 {
		list, states := among(f.States)
		parts, args = append(parts, `i.state IN `+list), append(args, states...)
	}
	if len(f.Orders) > 0 {
		list, ids := among(f.Orders)
		parts, args = append(parts, `i.order_id IN `+list), append(args, ids...)
	}
	if f.After != (order.Cursor{}) {
		parts, args = append(parts, `(i.created_at, i.id) < (?, ?)`), append(args, dbTime(f.After.At), f.After.ID)
	}
	var rows []invoiceRow
	err := q.all(ctx, &rows, invoiceSelect+`WHERE `+strings.Join(parts, ` AND `)+` ORDER BY i.created_at DESC, i.id DESC LIMIT ?`, append(args, limit+1)...)
	if err != nil {
		return order.InvoicePage{}, failed(err, "listing invoices")
	}
	rows, next := pageOf(rows, limit, func(r invoiceRow) order.Cursor { return order.Cursor{At: r.CreatedAt.UTC(), ID: order.ID(r.ID)} })
	return order.InvoicePage{Invoices: convert(rows, invoiceRow.invoice), Next: next}, nil
}

// DueInvoices implements [order.Queries].
func (q queries) DueInvoices(ctx context.Context, now time.Time, limit int) ([]order.Invoice, error) {
	var rows []invoiceRow
	if err := q.all(ctx, &rows, invoiceSelect+`WHERE i.next_query <= ? ORDER BY i.next_query, i.id LIMIT ?`, dbTime(now), limit); err != nil {
		return nil, failed(err, "listing invoices to ask about")
	}
	return convert(rows, invoiceRow.invoice), nil
}

// Booked implements [order.Queries].
func (q queries) Booked(ctx context.Context, tradeNo string) (order.Fen, error) {
	var n int64
	err := q.get(ctx, &n, `
		SELECT CAST((SELECT COALESCE(SUM(amount), 0) FROM ledger WHERE trade_no = ?)
			- (SELECT COALESCE(SUM(amount), 0) FROM keys_refunds WHERE order_id = (SELECT order_id FROM payments WHERE trade_no = ?) AND trade_no = ? AND state <> ?) AS BIGINT)`,
		tradeNo, tradeNo, tradeNo, order.PaymentRefunded)
	return order.Fen(n), failed(err, "adding up trade %s", tradeNo)
}

// InsertInvoice implements [order.Tx].
func (tx *Tx) InsertInvoice(ctx context.Context, i order.Invoice) error {
	_, err := tx.execNamed(ctx, `
		INSERT INTO invoices (`+invoiceColumns+`)
		VALUES (:id, :order_id, :trade_no, :state, :rev, :attempt, :amount, :title, :tax_no, :item, :number, :reversal, :why, :next_title, :next_tax_no, :corrects, :queries,
			:created_at, :updated_at, :submitted_at, :issued_at, :reversed_at, :next_query)`, rowOfInvoice(i))
	if isDuplicate(err, "invoices", "order_id") {
		return order.Errorf(order.Conflict, "invoice_exists", "该订单已有发票，请刷新后查看")
	}
	return failed(err, "inserting invoice %s", i.ID)
}

// UpdateInvoice implements [order.Tx]. Of two who move it at once, exactly one sees a
// row change.
func (tx *Tx) UpdateInvoice(ctx context.Context, i order.Invoice, was order.Invoice) error {
	n, err := tx.execNamed(ctx, `
		UPDATE invoices
		SET state = :state, rev = :rev, attempt = :attempt, title = :title, tax_no = :tax_no, number = :number, reversal = :reversal, why = :why,
			next_title = :next_title, next_tax_no = :next_tax_no, queries = :queries, updated_at = :updated_at, submitted_at = :submitted_at,
			issued_at = :issued_at, reversed_at = :reversed_at, next_query = :next_query
		WHERE id = :id AND state = :was_state AND rev = :was_rev`, struct {
		invoiceRow
		WasState order.InvoiceState `db:"was_state"`
		WasRev   int64              `db:"was_rev"`
	}{rowOfInvoice(i), was.State, was.Rev})
	if err != nil {
		return failed(err, "moving invoice %s from %s to %s", i.ID, was.State, i.State)
	}
	return oneRow(n, order.Errorf(order.Conflict, "invoice_changed", "发票状态已变更，请刷新后重试").Raced())
}
