package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/issuance"
	"github.com/yuncaidun/yuncaidun/order"
)

const itemColumns = `id, order_id, n, seal, stage, attempt, token_serial, cert_serial, note, updated_at`

type itemRow struct {
	ID          string          `db:"id"`
	OrderID     order.ID        `db:"order_id"`
	N           int             `db:"n"`
	Seal        order.Seal      `db:"seal"`
	Stage       order.ItemStage `db:"stage"`
	Attempt     int             `db:"attempt"`
	TokenSerial string          `db:"token_serial"`
	CertSerial  sql.NullString  `db:"cert_serial"`
	Note        string          `db:"note"`
	UpdatedAt   time.Time       `db:"updated_at"`
}

func rowOfItem(i order.Item) itemRow {
	return itemRow{i.ID, i.OrderID, i.N, i.Seal, i.Stage, i.Attempt, i.TokenSerial, nullString(i.CertSerial), i.Note, dbTime(i.UpdatedAt)}
}

func (r itemRow) item() order.Item {
	return order.Item{ID: r.ID, OrderID: r.OrderID, N: r.N, Seal: r.Seal, Stage: r.Stage, Attempt: r.Attempt, TokenSerial: r.TokenSerial, CertSerial: r.CertSerial.String, Note: r.Note, UpdatedAt: r.UpdatedAt.UTC()}
}

// Items implements [order.Queries].
func (q queries) Items(ctx context.Context, of ...order.ID) ([]order.Item, error) {
	if len(of) == 0 {
		return nil, nil
	}
	list, args := among(of)
	var rows []itemRow
	if err := q.all(ctx, &rows, `SELECT `+itemColumns+` FROM order_items WHERE order_id IN `+list+` ORDER BY order_id, n`, args...); err != nil {
		return nil, failed(err, "reading items of orders %v", of)
	}
	return convert(rows, itemRow.item), nil
}

// convert maps rows to what they mean.
func convert[R, V any](rows []R, f func(R) V) []V {
	if len(rows) == 0 {
		return nil
	}
	vs := make([]V, len(rows))
	for i, r := range rows {
		vs[i] = f(r)
	}
	return vs
}

// Item implements [order.Queries].
func (q queries) Item(ctx context.Context, itemID string) (order.Item, error) {
	var r itemRow
	err := q.get(ctx, &r, `SELECT `+itemColumns+` FROM order_items WHERE id = ?`, itemID)
	if errors.Is(err, sql.ErrNoRows) {
		return order.Item{}, order.Errorf(order.NotFound, "item_not_found", "没有找到该 UKEY")
	}
	return r.item(), failed(err, "reading item %s", itemID)
}

// AbandonIssue implements [order.Tx]. An issuer that is at work on it finds its stage
// changed, and stops.
func (tx *Tx) AbandonIssue(ctx context.Context, item string, at time.Time) error {
	const live = ` WHERE item = ? AND stage NOT IN (?, ?) AND token_serial IS NULL `
	if _, err := tx.exec(ctx, `UPDATE issues SET stage = ?, failure = ?, updated_at = ?`+live+`AND serial IS NULL`,
		issuance.StageFailed, abandoned, dbTime(at), item, issuance.StageFailed, issuance.StageDone); err != nil {
		return failed(err, "abandoning item %s", item)
	}
	var r struct {
		Serial string `db:"serial"`
		Issuer string `db:"issuer"`
	}
	err := tx.get(ctx, &r, `UPDATE issues SET stage = ?, failure = ?, updated_at = ?, revoked_at = ?, revocation_reason = ?, remind_at = NULL`+live+`RETURNING serial, issuer`,
		issuance.StageFailed, abandoned, dbTime(at), dbTime(at), certificate.Superseded, item, issuance.StageFailed, issuance.StageDone)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return failed(err, "abandoning item %s", item)
	}
	return tx.statusChanged(ctx, r.Serial, r.Issuer)
}

// abandoned is the failure of an issue that its order has given up.
const abandoned = "abandoned"

// ReplaceItems implements [order.Tx]. Items that have left waiting are not
// replaced: one of them refuses the whole.
func (tx *Tx) ReplaceItems(ctx context.Context, id order.ID, items []order.Item) error {
	err := tx.later(ctx, must("removing items of order %s", id), `DELETE FROM order_items WHERE order_id = ? AND stage = ?`, id, order.ItemWaiting)
	if err != nil {
		return err
	}
	inMaking := must("looking for items of order %s in making", id)
	inMaking.rows = func(n int64) error {
		if n > 0 {
			return order.Errorf(order.Conflict, "items_in_making", "UKEY 已开始制作，不能更改数量")
		}
		return nil
	}
	if err := tx.later(ctx, inMaking, `UPDATE order_items SET stage = stage WHERE order_id = ?`, id); err != nil {
		return err
	}
	return tx.InsertItems(ctx, id, items)
}

// InsertItems implements [order.Tx].
func (tx *Tx) InsertItems(ctx context.Context, id order.ID, items []order.Item) error {
	if len(items) == 0 {
		return nil
	}
	return tx.laterNamed(ctx, must("inserting items of order %s", id), `
		INSERT INTO order_items (`+itemColumns+`)
		VALUES (:id, :order_id, :n, :seal, :stage, :attempt, :token_serial, :cert_serial, :note, :updated_at)`, convert(items, rowOfItem))
}

// UpdateItem implements [order.Tx].
func (tx *Tx) UpdateItem(ctx context.Context, i order.Item, was order.ItemStage) error {
	n, err := tx.execNamed(ctx, `
		UPDATE order_items
		SET stage = :stage, attempt = :attempt, token_serial = :token_serial, cert_serial = :cert_serial, note = :note, updated_at = :updated_at
		WHERE id = :id AND stage = :was_stage`, struct {
		itemRow
		Was order.ItemStage `db:"was_stage"`
	}{rowOfItem(i), was})
	if err != nil {
		return failed(err, "moving item %s from %s to %s", i.ID, was, i.Stage)
	}
	return oneRow(n, order.Errorf(order.Conflict, "item_changed", "该 UKEY 的状态已变更，请刷新后重试").Raced())
}
