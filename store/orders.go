package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

var (
	_ order.Store = (*DB)(nil)
	_ order.Tx    = (*Tx)(nil)
)

const orderColumns = `id, no, business, certificate, person_id, draft_token, status, stage, refund, rev, seq, product, product_name, lines, amount,
	sealed_form, company, uscc, submission, snapshot, consent, real_name, reviewer_id, first_approver, sealed_reasons, trade_no,
	verified, given_up, carrier, tracking_no, parcel, due_at, express, review_since, review_due, delay, created_at, updated_at, placed_at, paid_at, approved_at, shipped_at, completed_at, erase_asked_at`

// orderRow is an order as it is stored.
type orderRow struct {
	ID            order.ID             `db:"id"`
	No            sql.NullString       `db:"no"`
	Business      order.Business       `db:"business"`
	Certificate   sql.NullString       `db:"certificate"`
	PersonID      sql.NullString       `db:"person_id"`
	DraftToken    sql.NullString       `db:"draft_token"`
	Status        order.Status         `db:"status"`
	Stage         order.Stage          `db:"stage"`
	Refund        order.RefundState    `db:"refund"`
	Rev           int64                `db:"rev"`
	Seq           int64                `db:"seq"`
	Product       string               `db:"product"`
	ProductName   string               `db:"product_name"`
	Lines         string               `db:"lines"`
	Amount        order.Fen            `db:"amount"`
	SealedForm    []byte               `db:"sealed_form"`
	Company       string               `db:"company"`
	USCC          string               `db:"uscc"`
	Submission    int                  `db:"submission"`
	Snapshot      string               `db:"snapshot"`
	Consent       string               `db:"consent"`
	RealName      order.RealNameResult `db:"real_name"`
	ReviewerID    string               `db:"reviewer_id"`
	FirstApprover string               `db:"first_approver"`
	SealedReasons []byte               `db:"sealed_reasons"`
	TradeNo       string               `db:"trade_no"`
	Verified      int                  `db:"verified"`
	GivenUp       int                  `db:"given_up"`
	Carrier       string               `db:"carrier"`
	TrackingNo    string               `db:"tracking_no"`
	Parcel        order.ParcelState    `db:"parcel"`
	DueAt         sql.NullTime         `db:"due_at"`
	Express       order.ExpressState   `db:"express"`
	ReviewSince   sql.NullTime         `db:"review_since"`
	ReviewDue     sql.NullTime         `db:"review_due"`
	Delay         order.Delay          `db:"delay"`
	CreatedAt     time.Time            `db:"created_at"`
	UpdatedAt     time.Time            `db:"updated_at"`
	PlacedAt      sql.NullTime         `db:"placed_at"`
	PaidAt        sql.NullTime         `db:"paid_at"`
	ApprovedAt    sql.NullTime         `db:"approved_at"`
	ShippedAt     sql.NullTime         `db:"shipped_at"`
	CompletedAt   sql.NullTime         `db:"completed_at"`
	EraseAskedAt  sql.NullTime         `db:"erase_asked_at"`
}

func formCell(id order.ID) cell    { return cell{"orders", "sealed_form", string(id)} }
func reasonsCell(id order.ID) cell { return cell{"orders", "sealed_reasons", string(id)} }

func (q queries) rowOfOrder(o order.Order) (orderRow, error) {
	r := orderRow{
		ID: o.ID, No: nullString(o.No), Business: o.Business, Certificate: nullString(o.Certificate), PersonID: nullString(o.PersonID), DraftToken: nullString(o.DraftToken),
		Status: o.Status, Stage: o.Stage, Refund: o.Refund, Rev: o.Rev, Seq: o.Seq, ProductName: o.Product.Name, Amount: o.Amount,
		Company: o.Company, USCC: o.USCC, Submission: o.Submission, Snapshot: o.Snapshot, RealName: o.RealName,
		ReviewerID: o.ReviewerID, FirstApprover: o.FirstApprover, TradeNo: o.TradeNo, Verified: o.Verified, GivenUp: o.GivenUp,
		Carrier: o.Carrier, TrackingNo: o.TrackingNo, Parcel: o.Parcel, DueAt: nullTime(o.DueAt), Express: o.Express,
		ReviewSince: nullTime(o.ReviewSince), ReviewDue: nullTime(o.ReviewDue), Delay: o.Delay,
		CreatedAt: dbTime(o.CreatedAt), UpdatedAt: dbTime(o.UpdatedAt),
		PlacedAt: nullTime(o.PlacedAt), PaidAt: nullTime(o.PaidAt), ApprovedAt: nullTime(o.ApprovedAt), ShippedAt: nullTime(o.ShippedAt), CompletedAt: nullTime(o.CompletedAt), EraseAskedAt: nullTime(o.EraseAskedAt),
	}
	var err error
	for _, f := range []struct {
		to   *string
		from any
	}{{&r.Product, o.Product}, {&r.Lines, o.Lines}, {&r.Consent, o.Consent}} {
		if *f.to, err = toJSON(f.from); err != nil {
			return orderRow{}, err
		}
	}
	if form := o.Form.Reveal(); len(form) > 0 {
		if r.SealedForm, err = q.seal.sealJSON(form, formCell(o.ID)); err != nil {
			return orderRow{}, err
		}
	}
	if len(o.Reasons) > 0 { // a reviewer's note may name people
		if r.SealedReasons, err = q.seal.sealJSON(o.Reasons, reasonsCell(o.ID)); err != nil {
			return orderRow{}, err
		}
	}
	return r, nil
}

// sealedOrder is an order as it was read: what is sealed is missing in Order and still
// as it lies in the database. Who opens it shares the lists of its Product
// with others, as with the catalogue's.
type sealedOrder struct {
	order.Order
	form, reasons []byte
}

// order decodes everything but what is sealed.
func (r orderRow) order() (*sealedOrder, error) {
	o := order.Order{
		ID: r.ID, No: r.No.String, Business: r.Business, Certificate: r.Certificate.String, PersonID: r.PersonID.String, DraftToken: r.DraftToken.String,
		State: order.State{Status: r.Status, Stage: r.Stage}, Refund: r.Refund, Rev: r.Rev, Seq: r.Seq, Amount: r.Amount,
		Company: r.Company, USCC: r.USCC, Submission: r.Submission, Snapshot: r.Snapshot, RealName: r.RealName,
		ReviewerID: r.ReviewerID, FirstApprover: r.FirstApprover, TradeNo: r.TradeNo, Verified: r.Verified, GivenUp: r.GivenUp,
		Carrier: r.Carrier, TrackingNo: r.TrackingNo, Parcel: r.Parcel, DueAt: fromNull(r.DueAt), Express: r.Express,
		ReviewSince: fromNull(r.ReviewSince), ReviewDue: fromNull(r.ReviewDue), Delay: r.Delay,
		CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
		PlacedAt: fromNull(r.PlacedAt), PaidAt: fromNull(r.PaidAt), ApprovedAt: fromNull(r.ApprovedAt), ShippedAt: fromNull(r.ShippedAt), CompletedAt: fromNull(r.CompletedAt), EraseAskedAt: fromNull(r.EraseAskedAt),
	}
	for _, f := range []struct {
		from string
		to   any
	}{{r.Product, &o.Product}, {r.Lines, &o.Lines}, {r.Consent, &o.Consent}} {
		if err := json.Unmarshal([]byte(f.from), f.to); err != nil {
			return nil, fmt.Errorf("decoding order %s: %w", r.ID, err)
		}
	}
	return &sealedOrder{o, r.SealedForm, r.SealedReasons}, nil
}

// open opens what is sealed.
func (q queries) open(s *sealedOrder) (order.Order, error) {
	o := s.Order
	texts, err := q.seal.openTexts(s.form, formCell(o.ID))
	if err != nil {
		return order.Order{}, err
	}
	o.Form, o.Lines = order.FormOf(texts), slices.Clone(o.Lines)
	var reasons []order.Reason
	if err := q.seal.openJSON(s.reasons, &reasons, reasonsCell(o.ID)); err != nil {
		return order.Order{}, err
	}
	o.Reasons = reasons
	return o, nil
}

func toJSON(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encoding %T: %w", v, err)
	}
	return string(b), nil
}

// Order returns one order as last committed.
func (db *DB) Order(ctx context.Context, id order.ID) (order.Order, error) {
	return db.oneOrder(ctx, `deleted_at IS NULL AND id = ?`, id)
}

// Mark returns whose an order is and what tells its states apart, for a fraction of
// what reading and opening it costs. Every UPDATE of an order raises its rev; its
// events are append-only.
func (db *DB) Mark(ctx context.Context, id order.ID) (m order.Mark, personID string, err error) {
	var r struct {
		PersonID sql.NullString `db:"person_id"`
		Rev      int64          `db:"rev"`
		Events   int64          `db:"events"`
	}
	err = db.get(ctx, &r, `
		SELECT person_id, rev, (SELECT coalesce(max(seq), 0) FROM order_events WHERE order_id = o.id) AS events
		FROM orders o
		WHERE id = ? AND deleted_at IS NULL`, id)
	if errors.Is(err, sql.ErrNoRows) {
		return order.Mark{}, "", errNoOrder
	}
	return order.Mark{Rev: r.Rev, Events: r.Events}, r.PersonID.String, failed(err, "looking at order %s", id)
}

// Order returns one order; its row stays locked until the transaction ends.
func (tx *Tx) Order(ctx context.Context, id order.ID) (order.Order, error) {
	return tx.oneOrder(ctx, `deleted_at IS NULL AND id = ?`+tx.dia.forUpdate, id)
}

// holdOrder locks the row of an order, deleted or not, whose id is which: a parameter,
// or a query with one. Whoever changes what hangs on an order (a trade, a certificate, a
// ticket) holds the order first: two who begin at different ends would wait for each other.
func (tx *Tx) holdOrder(ctx context.Context, which string, arg any) error {
	if tx.dia.forUpdate == "" {
		return nil // SQLite has one writer
	}
	return tx.later(ctx, must("locking an order"), `SELECT 1 FROM orders WHERE id IN (`+which+`)`+tx.dia.forUpdate, arg)
}

func (q queries) oneOrder(ctx context.Context, where string, arg any) (order.Order, error) {
	found, err := q.sealedOrders(ctx, where, arg)
	if err != nil {
		return order.Order{}, failed(err, "reading order %v", arg)
	}
	if len(found) == 0 {
		return order.Order{}, errNoOrder
	}
	return q.open(found[0])
}

// sorts are the orders of a list, and what lies behind a place in one. The index
// orders_queue has the expression of the last.
var sorts = map[order.Sort]struct{ by, beyond string }{
	order.NewestFirst: {` ORDER BY created_at DESC, id DESC`, `(created_at, id) < (?, ?)`},
	order.OldestFirst: {` ORDER BY created_at, id`, `(created_at, id) > (?, ?)`},
	order.DueFirst:    {` ORDER BY COALESCE(due_at, created_at), id`, `(COALESCE(due_at, created_at), id) > (?, ?)`},
}

// Orders implements [order.Queries]. It asks for one order more than a page to
// learn whether there is a next one; it never counts and never skips.
func (q queries) Orders(ctx context.Context, f order.Filter) (order.Page, error) {
	limit := pageLimit(f.Limit)
	where, args := filter(f)
	found, err := q.sealedOrders(ctx, where+sorts[f.Sort].by+` LIMIT ?`, append(args, limit+1)...)
	if err != nil {
		return order.Page{}, failed(err, "listing orders")
	}
	found, next := pageOf(found, limit, func(s *sealedOrder) order.Cursor { return s.Cursor(f.Sort) })
	page := order.Page{Orders: make([]order.Order, len(found)), Next: next}
	for i, s := range found {
		if page.Orders[i], err = q.open(s); err != nil {
			return order.Page{}, err
		}
	}
	return page, nil
}

// filter builds the WHERE clause of a list. Every part is a literal; values
// only ever travel as arguments.
func filter(f order.Filter) (where string, args []any) {
	parts := []string{`deleted_at IS NULL`}
	and := func(part string, values ...any) {
		parts, args = append(parts, part), append(args, values...)
	}
	if f.PersonID != "" {
		and(`person_id = ?`, f.PersonID)
	}
	if f.WeChat.AppID != "" {
		and(`person_id = (SELECT person_id FROM wechat_identities WHERE app_id = ? AND open_id = ?)`, f.WeChat.AppID, f.WeChat.OpenID)
	}
	if f.DraftToken != "" {
		and(`draft_token = ? AND person_id IS NULL`, f.DraftToken)
	}
	if f.Certificate != "" {
		and(`certificate = ?`, f.Certificate)
	}
	if f.Business != "" {
		and(`business = ?`, f.Business)
	}
	if f.Open {
		and(`status NOT IN (?, ?) AND stage <> ?`, order.Completed, order.Refunded, order.Closed)
	}
	if f.Status != "" {
		and(`status = ?`, f.Status)
	}
	if f.Stage != "" {
		and(`stage = ?`, f.Stage)
	}
	if f.Refund != "" {
		and(`refund = ?`, f.Refund)
	}
	if len(f.Parcels) > 0 {
		list, states := among(f.Parcels)
		and(`parcel IN `+list, states...)
	}
	if f.Tracking != "" {
		and(`tracking_no = ?`, f.Tracking)
	}
	if f.Corrected != "" {
		and(`id IN (SELECT order_id FROM order_events WHERE event = 'correct_tracking' AND note LIKE ? ESCAPE '\')`, escapeLike(f.Corrected)+` 更正为 %`)
	}
	if !f.ReviewDueBefore.IsZero() {
		and(`review_due < ?`, dbTime(f.ReviewDueBefore))
	}
	if !f.OpensUntil.IsZero() {
		and(`certificate IN (SELECT cert_serial FROM openings WHERE opens_at > ? AND opens_at <= ?)`, dbTime(f.OpensFrom), dbTime(f.OpensUntil))
	}
	if f.Express != order.NotExpress {
		and(`express = ?`, f.Express)
	}
	if !f.DueBefore.IsZero() {
		and(`due_at < ?`, dbTime(f.DueBefore))
	}
	switch no := strings.ToUpper(f.No); {
	case order.WholeNo(no):
		and(`no = ?`, no)
	case no != "":
		and(`no LIKE ? ESCAPE '\'`, `%`+escapeLike(no))
	}
	if f.Company != "" {
		and(`company LIKE ? ESCAPE '\'`, `%`+escapeLike(f.Company)+`%`)
	}
	if f.USCC != "" {
		and(`uscc = ?`, f.USCC)
	}
	if f.Product != "" {
		and(`product_name LIKE ? ESCAPE '\'`, `%`+escapeLike(f.Product)+`%`)
	}
	if !f.From.IsZero() {
		and(`created_at >= ?`, dbTime(f.From))
	}
	if !f.To.IsZero() {
		and(`created_at < ?`, dbTime(f.To))
	}
	if f.After != (order.Cursor{}) {
		and(sorts[f.Sort].beyond, dbTime(f.After.At), f.After.ID)
	}
	return strings.Join(parts, ` AND `), args
}

var likeEscaper = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

func escapeLike(s string) string { return likeEscaper.Replace(s) }

// CompanyKnown implements [order.Queries].
func (q queries) CompanyKnown(ctx context.Context, uscc string) (known bool, err error) {
	err = q.get(ctx, &known, `SELECT EXISTS (SELECT 1 FROM orders WHERE uscc = ? AND status = ?)`, uscc, order.Completed)
	return known, failed(err, "asking for earlier orders of a company")
}

// InsertOrder implements [order.Tx].
func (tx *Tx) InsertOrder(ctx context.Context, o order.Order) error {
	r, err := tx.rowOfOrder(o)
	if err != nil {
		return err
	}
	inserted := judge{failure: func(err error) error {
		if isDuplicate(err, "orders", "certificate") {
			return errRenewalOpen
		}
		return failed(err, "inserting order %s", o.ID)
	}}
	return tx.laterNamed(ctx, inserted, `
		INSERT INTO orders (keep_until, `+orderColumns+`)
		VALUES (:keep_until, :id, :no, :business, :certificate, :person_id, :draft_token, :status, :stage, :refund, :rev, :seq, :product, :product_name, :lines, :amount,
			:sealed_form, :company, :uscc, :submission, :snapshot, :consent, :real_name, :reviewer_id, :first_approver, :sealed_reasons, :trade_no,
			:verified, :given_up, :carrier, :tracking_no, :parcel, :due_at, :express, :review_since, :review_due, :delay,
			:created_at, :updated_at, :placed_at, :paid_at, :approved_at, :shipped_at, :completed_at, :erase_asked_at)`, struct {
		orderRow
		KeepUntil time.Time `db:"keep_until"`
	}{r, r.CreatedAt.Add(order.FirstLook)})
}

// UpdateOrder implements [order.Tx]. The WHERE clause is the guarantee: of two
// who move an order at once, exactly one sees a row change.
func (tx *Tx) UpdateOrder(ctx context.Context, o order.Order, was order.Order) error {
	same := o.Form.Equal(was.Form)
	if same {
		o.Form = order.Form{} // what stays is not sealed anew
	}
	r, err := tx.rowOfOrder(o)
	if err != nil {
		return err
	}
	moved := must("moving order %s from %s to %s", o.ID, was.State, o.State)
	moved.rows = func(n int64) error { return oneRow(n, errOrderChanged) }
	return tx.laterNamed(ctx, moved, `
		UPDATE orders
		SET no = :no, business = :business, certificate = :certificate, person_id = :person_id, draft_token = :draft_token, status = :status, stage = :stage, refund = :refund,
			rev = rev + 1, seq = :seq, product = :product, product_name = :product_name, lines = :lines, amount = :amount,
			sealed_form = CASE WHEN :same_form THEN sealed_form ELSE :sealed_form END,
			company = :company, uscc = :uscc, submission = :submission, snapshot = :snapshot, consent = :consent, real_name = :real_name,
			reviewer_id = :reviewer_id, first_approver = :first_approver, sealed_reasons = :sealed_reasons, trade_no = :trade_no,
			verified = :verified, given_up = :given_up, carrier = :carrier, tracking_no = :tracking_no, parcel = :parcel, due_at = :due_at, express = :express,
			review_since = :review_since, review_due = :review_due, delay = :delay, updated_at = :updated_at,
			placed_at = :placed_at, paid_at = :paid_at, approved_at = :approved_at, shipped_at = :shipped_at, completed_at = :completed_at
		WHERE id = :id AND status = :was_status AND stage = :was_stage AND rev = :was_rev AND deleted_at IS NULL`, struct {
		orderRow
		WasStatus order.Status `db:"was_status"`
		WasStage  order.Stage  `db:"was_stage"`
		WasRev    int64        `db:"was_rev"`
		SameForm  bool         `db:"same_form"`
	}{r, was.Status, was.Stage, was.Rev, same})
}

// errRenewalOpen: the unique index orders_certificate_key (F72).
var errRenewalOpen = order.Errorf(order.Conflict, "renewal_open", "该证书已有进行中的更新订单，请在「我的订单」中继续办理")

var errNoOrder = order.Errorf(order.NotFound, "order_not_found", "没有找到该订单")

var errOrderChanged = order.Errorf(order.Conflict, "order_changed", "订单状态已变更，请刷新后重试").Raced()

// oneRow returns otherwise unless exactly one row was written.
func oneRow(n int64, otherwise *order.Error) error {
	if n != 1 {
		return otherwise
	}
	return nil
}

// DeleteOrder implements [order.Tx].
func (tx *Tx) DeleteOrder(ctx context.Context, was order.Order, at time.Time) error {
	n, err := tx.exec(ctx, `
		UPDATE orders
		SET deleted_at = ?, updated_at = ?, rev = rev + 1
		WHERE id = ? AND status = ? AND stage = ? AND rev = ? AND deleted_at IS NULL`,
		dbTime(at), dbTime(at), was.ID, was.Status, was.Stage, was.Rev)
	if err != nil {
		return failed(err, "deleting order %s", was.ID)
	}
	return oneRow(n, errOrderChanged)
}

// NextOrderSeq implements [order.Tx]. Several rows count one day, each in steps
// of their number, and a transaction takes one that is free, so that nobody waits
// for the commit of somebody else who places an order.
func (tx *Tx) NextOrderSeq(ctx context.Context, day string) (func() (int, error), error) {
	var taken []struct {
		Slot  int `db:"slot"`
		Value int `db:"value"`
	}
	take := func(slot string, args ...any) error {
		return tx.allLater(ctx, must("counting orders of %s", day), &taken, `
			UPDATE order_numbers
			SET value = value + 1
			WHERE day = ? AND slot = (`+slot+`)
			RETURNING slot, value`, append([]any{day}, args...)...)
	}
	// The first order of the day finds no rows; or all of them are taken.
	prepareAndTake := func() error {
		for slot := range tx.dia.counters {
			err := tx.later(ctx, must("preparing to count orders of %s", day), `INSERT INTO order_numbers (day, slot, value) VALUES (?, ?, 0) ON CONFLICT (day, slot) DO NOTHING`, day, slot)
			if err != nil {
				return err
			}
		}
		if err := take(`0`); err != nil {
			return err
		}
		return tx.answered(ctx)
	}
	free := `SELECT slot FROM order_numbers WHERE day = ? ORDER BY value, slot LIMIT 1` + tx.dia.skipLocked
	if err := take(free, day); err != nil {
		return nil, err
	}
	return func() (int, error) {
		if err := tx.answered(ctx); err != nil {
			return 0, err
		}
		if len(taken) == 0 {
			if err := prepareAndTake(); err != nil {
				return 0, err
			}
		}
		if len(taken) != 1 {
			return 0, fmt.Errorf("counting orders of %s: %d rows", day, len(taken))
		}
		return (taken[0].Value-1)*tx.dia.counters + taken[0].Slot + 1, nil
	}, nil
}
