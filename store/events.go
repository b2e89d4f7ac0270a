package store

import (
	"context"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

const eventColumns = `order_id, seq, event, from_status, from_stage, to_status, to_stage, actor_id, role, channel, note, at`

type eventRow struct {
	OrderID    order.ID      `db:"order_id"`
	Seq        int64         `db:"seq"`
	Event      order.Event   `db:"event"`
	FromStatus order.Status  `db:"from_status"`
	FromStage  order.Stage   `db:"from_stage"`
	ToStatus   order.Status  `db:"to_status"`
	ToStage    order.Stage   `db:"to_stage"`
	ActorID    string        `db:"actor_id"`
	Role       order.Role    `db:"role"`
	Channel    order.Channel `db:"channel"`
	Note       string        `db:"note"`
	At         time.Time     `db:"at"`
}

func (r eventRow) event() order.EventRecord {
	return order.EventRecord{
		OrderID: r.OrderID, Seq: r.Seq, Event: r.Event,
		From: order.State{Status: r.FromStatus, Stage: r.FromStage}, To: order.State{Status: r.ToStatus, Stage: r.ToStage},
		ActorID: r.ActorID, Role: r.Role, Channel: r.Channel, Note: r.Note, At: r.At.UTC(),
	}
}

// Events implements [order.Queries].
func (q queries) Events(ctx context.Context, id order.ID) ([]order.EventRecord, error) {
	var rows []eventRow
	if err := q.all(ctx, &rows, `SELECT `+eventColumns+` FROM order_events WHERE order_id = ? ORDER BY seq`, id); err != nil {
		return nil, failed(err, "reading events of order %s", id)
	}
	return convert(rows, eventRow.event), nil
}

// AppendEvent implements [order.Tx].
func (tx *Tx) AppendEvent(ctx context.Context, e order.EventRecord) error {
	return tx.laterNamed(ctx, must("recording %s on order %s", e.Event, e.OrderID), `
		INSERT INTO order_events (`+eventColumns+`)
		VALUES (:order_id, :seq, :event, :from_status, :from_stage, :to_status, :to_stage, :actor_id, :role, :channel, :note, :at)`,
		eventRow{e.OrderID, e.Seq, e.Event, e.From.Status, e.From.Stage, e.To.Status, e.To.Stage, e.ActorID, e.Role, e.Channel, e.Note, dbTime(e.At)})
}

const approvalColumns = `order_id, submission, step, staff_id, person_id, applicant_id, snapshot, at`

type approvalRow struct {
	OrderID     order.ID  `db:"order_id"`
	Submission  int       `db:"submission"`
	Step        int       `db:"step"`
	StaffID     string    `db:"staff_id"`
	PersonID    string    `db:"person_id"`
	ApplicantID string    `db:"applicant_id"`
	Snapshot    string    `db:"snapshot"`
	At          time.Time `db:"at"`
}

func (r approvalRow) approval() order.Approval {
	r.At = r.At.UTC()
	return order.Approval(r)
}

// Approvals implements [order.Queries].
func (q queries) Approvals(ctx context.Context, id order.ID) ([]order.Approval, error) {
	var rows []approvalRow
	if err := q.all(ctx, &rows, `SELECT `+approvalColumns+` FROM approvals WHERE order_id = ? ORDER BY submission, step`, id); err != nil {
		return nil, failed(err, "reading approvals of order %s", id)
	}
	return convert(rows, approvalRow.approval), nil
}

// InsertApproval implements [order.Tx]. That four eyes have seen an order is
// held up by the table itself: the applicant's own approval and a second one by
// the same person cannot be stored.
func (tx *Tx) InsertApproval(ctx context.Context, a order.Approval) error {
	r := approvalRow(a)
	r.At = dbTime(r.At)
	_, err := tx.execNamed(ctx, `
		INSERT INTO approvals (`+approvalColumns+`)
		VALUES (:order_id, :submission, :step, :staff_id, :person_id, :applicant_id, :snapshot, :at)`, r)
	switch {
	case isCheck(err, "approvals_four_eyes"):
		return order.Errorf(order.Forbidden, "own_order", "不能审核自己提交的订单")
	case isUnique(err):
		return order.Errorf(order.Conflict, "already_approved", "该订单已由他人或您本人通过，不能重复审核")
	}
	return failed(err, "recording approval of order %s", a.OrderID)
}
