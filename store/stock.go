package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/issuance"
	tokens "github.com/yuncaidun/yuncaidun/issuance/token"
	"github.com/yuncaidun/yuncaidun/order"
)

// Stock is the inventory of blank USBKEYs.
type Stock struct{ *DB }

var (
	_ certificate.StockStore = Stock{}
	_ certificate.StockTx    = (*Tx)(nil)
)

type blankRow struct {
	Serial     string                  `db:"serial"`
	Batch      string                  `db:"batch"`
	State      certificate.BlankState  `db:"state"`
	ReceivedAt time.Time               `db:"received_at"`
	ReceivedBy string                  `db:"received_by"`
	UsedAt     sql.NullTime            `db:"used_at"`
	ScrappedAt sql.NullTime            `db:"scrapped_at"`
	ScrappedBy string                  `db:"scrapped_by"`
	Reason     certificate.ScrapReason `db:"reason"`
	Note       string                  `db:"note"`
}

func (r blankRow) blank() certificate.Blank {
	return certificate.Blank{
		Serial: r.Serial, Batch: r.Batch, State: r.State, ReceivedAt: r.ReceivedAt.UTC(), ReceivedBy: r.ReceivedBy, UsedAt: fromNull(r.UsedAt),
		ScrappedAt: fromNull(r.ScrappedAt), ScrappedBy: r.ScrappedBy, Reason: r.Reason, Note: r.Note,
	}
}

// Blanks implements [certificate.StockStore].
func (s Stock) Blanks(ctx context.Context, f certificate.BlankFilter) ([]certificate.Blank, error) {
	var rows []blankRow
	err := s.all(ctx, &rows, `
		SELECT serial, batch, state, received_at, received_by, used_at, scrapped_at, scrapped_by, reason, note
		FROM token_stock
		WHERE state = ? AND serial > ?
		ORDER BY serial
		LIMIT ?`, f.State, f.After, f.Limit)
	if err != nil {
		return nil, failed(err, "listing blank keys")
	}
	return convert(rows, blankRow.blank), nil
}

// CountBlanks implements [certificate.StockStore].
func (s Stock) CountBlanks(ctx context.Context) (map[certificate.BlankState]int, error) {
	var rows []struct {
		State certificate.BlankState `db:"state"`
		N     int                    `db:"n"`
	}
	if err := s.all(ctx, &rows, `SELECT state, COUNT(*) AS n FROM token_stock GROUP BY state`); err != nil {
		return nil, failed(err, "counting blank keys")
	}
	out := map[certificate.BlankState]int{}
	for _, r := range rows {
		out[r.State] = r.N
	}
	return out, nil
}

// ChangeStock implements [certificate.StockStore].
func (s Stock) ChangeStock(ctx context.Context, fn func(certificate.StockTx) error) error {
	return s.inTx(ctx, func(tx *Tx) error { return fn(tx) })
}

// AddBlank implements [certificate.StockTx].
func (tx *Tx) AddBlank(ctx context.Context, b certificate.Blank) error {
	known := order.Errorf(order.Conflict, "blank_known", "序列号 %s 已登记过，请核对后重新填写", b.Serial)
	var used int
	if err := tx.get(ctx, &used, `SELECT COUNT(*) FROM tokens WHERE serial = ?`, b.Serial); err != nil {
		return failed(err, "looking for token %s", b.Serial)
	}
	if used > 0 {
		return known
	}
	n, err := tx.exec(ctx, `
		INSERT INTO token_stock (serial, batch, state, received_at, received_by)
		VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (serial) DO NOTHING`, b.Serial, b.Batch, b.State, dbTime(b.ReceivedAt), b.ReceivedBy)
	if err == nil && n == 0 {
		return known
	}
	return failed(err, "receiving blank key %s", b.Serial)
}

// ScrapBlank implements [certificate.StockTx].
func (tx *Tx) ScrapBlank(ctx context.Context, b certificate.Blank) error {
	n, err := tx.exec(ctx, `
		UPDATE token_stock
		SET state = ?, scrapped_at = ?, scrapped_by = ?, reason = ?, note = ?
		WHERE serial = ? AND state = ?`, b.State, nullTime(b.ScrappedAt), b.ScrappedBy, b.Reason, b.Note, b.Serial, certificate.BlankReceived)
	if err != nil {
		return failed(err, "scrapping blank key %s", b.Serial)
	}
	if n == 0 {
		return order.Errorf(order.Conflict, "blank_not_in_stock", "该 UKEY 不在库，可能已被使用或报废，请刷新后查看")
	}
	return nil
}

// blankDied records that a key of the stock did not survive the station.
func (tx *Tx) blankDied(ctx context.Context, t issuance.TokenRecord, failure string) error {
	_, err := tx.exec(ctx, `
		UPDATE token_stock
		SET state = ?, scrapped_at = ?, scrapped_by = ?, reason = ?, note = ?
		WHERE serial = ? AND state = ?`,
		certificate.BlankScrapped, dbTime(t.UpdatedAt), order.System, certificate.ScrapFailed, failure, t.Serial, certificate.BlankUsed)
	return failed(err, "scrapping blank key %s", t.Serial)
}

// TakeBlank implements [issuance.Ledger]. The guarded UPDATE lets one of several
// takers have a key.
func (l *Ledger) TakeBlank(ctx context.Context, issueID string, plugged []string, at time.Time) (serial string, err error) {
	err = l.db.inTx(ctx, func(tx *Tx) error {
		serial = ""
		err := tx.get(ctx, &serial, `SELECT serial FROM token_stock WHERE issue_id = ?`, issueID)
		if !errors.Is(err, sql.ErrNoRows) {
			return failed(err, "looking for the blank key of issue %s", issueID)
		}
		among, args := "", []any{certificate.BlankUsed, issueID, dbTime(at), certificate.BlankReceived}
		if len(plugged) > 0 {
			var serials []any
			if among, serials, err = sqlx.In(` AND serial IN (?)`, plugged); err != nil {
				return failed(err, "listing plugged keys")
			}
			args = append(args, serials...)
		}
		err = tx.get(ctx, &serial, `
			UPDATE token_stock
			SET state = ?, issue_id = ?, used_at = ?
			WHERE serial = (SELECT serial FROM token_stock WHERE state = ?`+among+` ORDER BY received_at, serial LIMIT 1`+tx.dia.skipLocked+`)
			RETURNING serial`, args...)
		if errors.Is(err, sql.ErrNoRows) {
			serial = ""
			return nil
		}
		return failed(err, "taking a blank key for issue %s", issueID)
	})
	return serial, err
}

// inStock reports whether a serial number is in the stock book, so that no key
// without one gets it.
func (tx *Tx) inStock(ctx context.Context, number uint64) (bool, error) {
	serial, err := tokens.Serial(number)
	if err != nil {
		return false, err
	}
	var n int
	err = tx.get(ctx, &n, `SELECT COUNT(*) FROM token_stock WHERE serial = ?`, serial)
	return n > 0, failed(err, "looking for blank key %s", serial)
}

// TellPIN implements [issuance.Ledger].
func (l *Ledger) TellPIN(ctx context.Context, serial, request string, at time.Time) error {
	return l.db.inTx(ctx, func(tx *Tx) error {
		n, err := tx.exec(ctx, `
			UPDATE tokens
			SET pin_told_at = COALESCE(pin_told_at, ?), pin_told_request = ?
			WHERE serial = ? AND state = ? AND (pin_told_request IS NULL OR pin_told_request = ?)`,
			dbTime(at), request, serial, issuance.TokenPersonalized, request)
		if err == nil && n == 0 {
			return issuance.ErrPINTold
		}
		return failed(err, "telling the PIN of token %s", serial)
	})
}

// PINsUntold implements [certificate.Queries].
func (q queries) PINsUntold(ctx context.Context, orders []order.ID) (out []certificate.UntoldPIN, err error) {
	if len(orders) == 0 {
		return nil, nil
	}
	stmt, args, err := sqlx.In(`
		SELECT t.order_id, i.serial, coalesce(t.holder_id, o.person_id, '') AS person_id
		FROM order_items t JOIN orders o ON o.id = t.order_id JOIN issues i ON i.serial = t.cert_serial
			JOIN tokens k ON k.serial = coalesce(i.token_serial, t.token_serial)
		WHERE t.order_id IN (?) AND o.status = ? AND k.state = ? AND k.pin_told_request IS NULL AND (i.revoked_at IS NULL OR i.revocation_reason = ?)`,
		orders, order.Completed, issuance.TokenPersonalized, certificate.Hold)
	if err != nil {
		return nil, err
	}
	var rows []struct {
		OrderID  order.ID `db:"order_id"`
		Serial   string   `db:"serial"`
		PersonID string   `db:"person_id"`
	}
	err = q.all(ctx, &rows, stmt, args...)
	for _, r := range rows {
		out = append(out, certificate.UntoldPIN{OrderID: r.OrderID, Serial: r.Serial, PersonID: r.PersonID})
	}
	return out, failed(err, "looking for initial PINs")
}

// PINUntold reports whether a USBKEY has an initial PIN that nobody was told yet.
func (q queries) PINUntold(ctx context.Context, serial string) (bool, error) {
	var n int
	err := q.get(ctx, &n, `SELECT COUNT(*) FROM tokens WHERE serial = ? AND state = ? AND pin_told_request IS NULL`, serial, issuance.TokenPersonalized)
	return n > 0, failed(err, "reading token %s", serial)
}
