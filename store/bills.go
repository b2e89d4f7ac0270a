package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

const billColumns = `channel, day, tries, why, lines, received, returned, found, next_try, compared_at, created_at`

type billRow struct {
	Channel    order.PayChannel `db:"channel"`
	Day        string           `db:"day"`
	Tries      int              `db:"tries"`
	Why        string           `db:"why"`
	Lines      int              `db:"lines"`
	Received   order.Fen        `db:"received"`
	Returned   order.Fen        `db:"returned"`
	Found      int              `db:"found"`
	NextTry    sql.NullTime     `db:"next_try"`
	ComparedAt sql.NullTime     `db:"compared_at"`
	CreatedAt  time.Time        `db:"created_at"`
}

func rowOfBill(b order.Bill) billRow {
	return billRow{b.Channel, b.Day, b.Tries, b.Why, b.Lines, b.Received, b.Returned, b.Found, nullTime(b.NextTry), nullTime(b.ComparedAt), dbTime(b.CreatedAt)}
}

func (r billRow) bill() order.Bill {
	return order.Bill{
		Channel: r.Channel, Day: r.Day, Tries: r.Tries, Why: r.Why, Lines: r.Lines, Received: r.Received, Returned: r.Returned, Found: r.Found,
		NextTry: fromNull(r.NextTry), ComparedAt: fromNull(r.ComparedAt), CreatedAt: r.CreatedAt.UTC(),
	}
}

// Bill implements [order.Queries].
func (q queries) Bill(ctx context.Context, channel order.PayChannel, day string) (order.Bill, error) {
	return q.oneBill(ctx, `WHERE channel = ? AND day = ?`, channel, day)
}

// NewestBill implements [order.Queries].
func (q queries) NewestBill(ctx context.Context, channel order.PayChannel) (order.Bill, error) {
	return q.oneBill(ctx, `WHERE channel = ? ORDER BY day DESC LIMIT 1`, channel)
}

func (q queries) oneBill(ctx context.Context, where string, args ...any) (order.Bill, error) {
	var r billRow
	err := q.get(ctx, &r, `SELECT `+billColumns+` FROM bills `+where, args...)
	if errors.Is(err, sql.ErrNoRows) {
		return order.Bill{}, order.Errorf(order.NotFound, "bill_not_found", "没有找到该账单")
	}
	return r.bill(), failed(err, "reading a bill of %v", args[0])
}

// DueBills implements [order.Queries].
func (q queries) DueBills(ctx context.Context, now time.Time, limit int) ([]order.Bill, error) {
	var rows []billRow
	err := q.all(ctx, &rows, `SELECT `+billColumns+` FROM bills WHERE next_try <= ? ORDER BY next_try, day, channel LIMIT ?`, dbTime(now), limit)
	return convert(rows, billRow.bill), failed(err, "listing bills to fetch")
}

// Bills implements [order.Queries].
func (q queries) Bills(ctx context.Context, before string, limit int) ([]order.Bill, error) {
	if before == "" {
		before = "9999"
	}
	var rows []billRow
	err := q.all(ctx, &rows, `SELECT `+billColumns+` FROM bills WHERE day < ? ORDER BY day DESC, channel LIMIT ?`, before, limit)
	return convert(rows, billRow.bill), failed(err, "listing bills")
}

// InsertBill implements [order.Tx].
func (tx *Tx) InsertBill(ctx context.Context, b order.Bill) error {
	_, err := tx.execNamed(ctx, `
		INSERT INTO bills (`+billColumns+`)
		VALUES (:channel, :day, :tries, :why, :lines, :received, :returned, :found, :next_try, :compared_at, :created_at)
		ON CONFLICT (channel, day) DO NOTHING`, rowOfBill(b))
	return failed(err, "planning the bill of %s on %s", b.Channel, b.Day)
}

// UpdateBill implements [order.Tx].
func (tx *Tx) UpdateBill(ctx context.Context, b order.Bill, tries int) error {
	n, err := tx.execNamed(ctx, `
		UPDATE bills
		SET tries = :tries, why = :why, lines = :lines, received = :received, returned = :returned, found = :found, next_try = :next_try, compared_at = :compared_at
		WHERE channel = :channel AND day = :day AND tries = :was_tries AND compared_at IS NULL`, struct {
		billRow
		Was int `db:"was_tries"`
	}{rowOfBill(b), tries})
	if err != nil {
		return failed(err, "writing the bill of %s on %s", b.Channel, b.Day)
	}
	return oneRow(n, order.Errorf(order.Conflict, "bill_changed", "账单状态已变更，请刷新后重试").Raced())
}

// Movements implements [order.Queries].
func (q queries) Movements(ctx context.Context, channel order.PayChannel, numbers []string) ([]order.Movement, error) {
	if len(numbers) == 0 {
		return nil, nil
	}
	in, these := among(numbers)
	part := append([]any{channel}, these...)
	return q.movements(ctx, `
		SELECT trade_no AS number, trade_no, order_id, FALSE AS refund, amount, state, FALSE AS by_hand FROM payments WHERE channel = ? AND trade_no IN `+in+`
		UNION ALL SELECT refund_no, trade_no, order_id, TRUE, amount - returned, state, EXISTS (SELECT 1 FROM ledger l WHERE l.trade_no = payments.trade_no AND l.kind = 'by hand')
			FROM payments WHERE channel = ? AND refund_no IN `+in+`
		UNION ALL SELECT r.number, r.trade_no, r.order_id, TRUE, r.amount, r.state, EXISTS (SELECT 1 FROM ledger l WHERE l.trade_no = r.trade_no AND l.kind = 'by hand ' || r.number)
			FROM keys_refunds r JOIN payments p ON p.trade_no = r.trade_no WHERE p.channel = ? AND r.number IN `+in, slices.Concat(part, part, part)...)
}

// Unbilled implements [order.Queries]. A payment's refund is booked as "refunded", that
// of a part of it with the part's number. What went back by hand is in no bill.
func (q queries) Unbilled(ctx context.Context, f order.UnbilledFilter) ([]order.Movement, error) {
	number, kind, amount := `p.trade_no`, `l.kind = 'paid'`, `l.amount`
	if f.Refund {
		number, kind, amount = `CASE l.kind WHEN 'refunded' THEN p.refund_no ELSE substr(l.kind, 10) END`, `l.kind LIKE 'refunded%'`, `-l.amount`
	}
	return q.movements(ctx, `
		SELECT `+number+` AS number, p.trade_no, p.order_id, CAST(? AS BOOLEAN) AS refund, `+amount+` AS amount, p.state, FALSE AS by_hand
		FROM ledger l JOIN payments p ON p.trade_no = l.trade_no
		WHERE l.at >= ? AND l.at < ? AND `+kind+` AND p.channel = ? AND `+number+` > ?
			AND NOT EXISTS (SELECT 1 FROM bill_lines b WHERE b.channel = p.channel AND b.refund = ? AND b.number = `+number+`)
		ORDER BY 1 LIMIT ?`, f.Refund, dbTime(f.From), dbTime(f.To), f.Channel, f.After, f.Refund, f.Limit)
}

func (q queries) movements(ctx context.Context, stmt string, args ...any) ([]order.Movement, error) {
	var rows []struct {
		Number  string             `db:"number"`
		TradeNo string             `db:"trade_no"`
		OrderID order.ID           `db:"order_id"`
		Refund  bool               `db:"refund"`
		Amount  order.Fen          `db:"amount"`
		State   order.PaymentState `db:"state"`
		ByHand  bool               `db:"by_hand"`
	}
	if err := q.all(ctx, &rows, stmt, args...); err != nil {
		return nil, failed(err, "reading movements of money")
	}
	out := make([]order.Movement, len(rows))
	for i, r := range rows {
		out[i] = order.Movement(r)
	}
	return out, nil
}

// InsertBillLines implements [order.Tx].
func (tx *Tx) InsertBillLines(ctx context.Context, b order.Bill, lines []order.BillLine) error {
	if len(lines) == 0 {
		return nil
	}
	var args []any
	for _, l := range lines {
		args = append(args, b.Channel, l.RefundNo != "", l.Number(), b.Day, l.Amount)
	}
	_, err := tx.exec(ctx, `INSERT INTO bill_lines (channel, refund, number, day, amount) VALUES (?, ?, ?, ?, ?)`+
		strings.Repeat(`, (?, ?, ?, ?, ?)`, len(lines)-1)+` ON CONFLICT (channel, refund, number) DO NOTHING`, args...)
	return failed(err, "keeping the bill of %s on %s", b.Channel, b.Day)
}

const differenceColumns = `id, channel, day, kind, number, trade_no, refund, order_id, ours, theirs, found_at, resolved_at, resolved_by, note`

type differenceRow struct {
	ID         string               `db:"id"`
	Channel    order.PayChannel     `db:"channel"`
	Day        string               `db:"day"`
	Kind       order.DifferenceKind `db:"kind"`
	Number     string               `db:"number"`
	TradeNo    string               `db:"trade_no"`
	Refund     bool                 `db:"refund"`
	OrderID    order.ID             `db:"order_id"`
	Ours       order.Fen            `db:"ours"`
	Theirs     order.Fen            `db:"theirs"`
	FoundAt    time.Time            `db:"found_at"`
	ResolvedAt sql.NullTime         `db:"resolved_at"`
	ResolvedBy string               `db:"resolved_by"`
	Note       string               `db:"note"`
}

func rowOfDifference(d order.Difference) differenceRow {
	return differenceRow{d.ID, d.Channel, d.Day, d.Kind, d.Number, d.TradeNo, d.Refund, d.OrderID, d.Ours, d.Theirs, dbTime(d.FoundAt), nullTime(d.ResolvedAt), d.ResolvedBy, d.Note}
}

func (r differenceRow) difference() order.Difference {
	return order.Difference{
		ID: r.ID, Channel: r.Channel, Day: r.Day, Kind: r.Kind, Number: r.Number, TradeNo: r.TradeNo, Refund: r.Refund, OrderID: r.OrderID, Ours: r.Ours, Theirs: r.Theirs,
		FoundAt: r.FoundAt.UTC(), ResolvedAt: fromNull(r.ResolvedAt), ResolvedBy: r.ResolvedBy, Note: r.Note,
	}
}

// Difference implements [order.Queries].
func (q queries) Difference(ctx context.Context, id string) (order.Difference, error) {
	var r differenceRow
	err := q.get(ctx, &r, `SELECT `+differenceColumns+` FROM differences WHERE id = ?`, id)
	if errors.Is(err, sql.ErrNoRows) {
		return order.Difference{}, order.Errorf(order.NotFound, "difference_not_found", "没有找到该对账差异")
	}
	return r.difference(), failed(err, "reading difference %s", id)
}

// Differences implements [order.Queries]. It asks for one more than a page, to learn
// whether there is a next one.
func (q queries) Differences(ctx context.Context, f order.DifferenceFilter) (order.DifferencePage, error) {
	limit := pageLimit(f.Limit)
	where, args := `resolved_at IS NULL`, []any{}
	if f.Resolved {
		where = `resolved_at IS NOT NULL`
	}
	if f.After != (order.Cursor{}) {
		where, args = where+` AND (found_at, id) < (?, ?)`, append(args, dbTime(f.After.At), f.After.ID)
	}
	var rows []differenceRow
	if err := q.all(ctx, &rows, `SELECT `+differenceColumns+` FROM differences WHERE `+where+` ORDER BY found_at DESC, id DESC LIMIT ?`, append(args, limit+1)...); err != nil {
		return order.DifferencePage{}, failed(err, "listing differences")
	}
	rows, next := pageOf(rows, limit, func(r differenceRow) order.Cursor { return order.Cursor{At: r.FoundAt.UTC(), ID: order.ID(r.ID)} })
	return order.DifferencePage{Differences: convert(rows, differenceRow.difference), Next: next}, nil
}

// CountFound implements [order.Queries].
func (q queries) CountFound(ctx context.Context, b order.Bill) (n int, err error) {
	err = q.get(ctx, &n, `SELECT count(*) FROM differences WHERE channel = ? AND day = ?`, b.Channel, b.Day)
	return n, failed(err, "counting what the bill of %s on %s differs in", b.Channel, b.Day)
}

// OpenDifferences implements [order.Queries].
func (q queries) OpenDifferences(ctx context.Context) (n int, err error) {
	err = q.get(ctx, &n, `SELECT count(*) FROM differences WHERE resolved_at IS NULL`)
	return n, failed(err, "counting differences")
}

// WaitingBills counts the bills that are not compared yet.
func (q queries) WaitingBills(ctx context.Context) (n int, err error) {
	err = q.get(ctx, &n, `SELECT count(*) FROM bills WHERE next_try IS NOT NULL`)
	return n, failed(err, "counting bills")
}

// InsertDifference implements [order.Tx].
func (tx *Tx) InsertDifference(ctx context.Context, d order.Difference) error {
	_, err := tx.execNamed(ctx, `
		INSERT INTO differences (`+differenceColumns+`)
		VALUES (:id, :channel, :day, :kind, :number, :trade_no, :refund, :order_id, :ours, :theirs, :found_at, :resolved_at, :resolved_by, :note)
		ON CONFLICT (channel, refund, number, kind) DO NOTHING`, rowOfDifference(d))
	return failed(err, "recording a difference about %s", d.Number)
}

// ResolveDifference implements [order.Tx].
func (tx *Tx) ResolveDifference(ctx context.Context, d order.Difference) error {
	n, err := tx.execNamed(ctx, `
		UPDATE differences SET resolved_at = :resolved_at, resolved_by = :resolved_by, note = :note
		WHERE id = :id AND resolved_at IS NULL`, rowOfDifference(d))
	if err != nil {
		return failed(err, "resolving difference %s", d.ID)
	}
	return oneRow(n, order.Errorf(order.Conflict, "difference_resolved", "该差异已经处理过了，请刷新页面"))
}

// FoundLater implements [order.Tx].
func (tx *Tx) FoundLater(ctx context.Context, channel order.PayChannel, numbers []string, at time.Time, note string) error {
	if len(numbers) == 0 {
		return nil
	}
	in, these := among(numbers)
	_, err := tx.exec(ctx, `
		UPDATE differences SET resolved_at = ?, note = ?
		WHERE channel = ? AND kind = ? AND resolved_at IS NULL AND number IN `+in, append([]any{dbTime(at), note, channel, order.UnknownThere}, these...)...)
	return failed(err, "resolving what a later bill names")
}
