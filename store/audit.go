package store

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

// The audit trail is a set of chains. Each row carries a MAC over itself and the
// MAC before it; audit_chains holds the last sequence number and MAC of each
// chain. A transaction locks one free chain, so that writers on PostgreSQL do
// not wait for each other's commits. Without the key nobody can extend, edit,
// reorder or shorten a chain unseen; against somebody who puts back an older
// copy of both tables, [DB.AuditHeads] is kept elsewhere.

const auditColumns = `chain, seq, order_id, action, actor_id, role, channel, ip, outcome, at, mac`

type auditRow struct {
	Chain   int           `db:"chain"`
	Seq     int64         `db:"seq"`
	OrderID order.ID      `db:"order_id"`
	Action  string        `db:"action"`
	ActorID string        `db:"actor_id"`
	Role    order.Role    `db:"role"`
	Channel order.Channel `db:"channel"`
	IP      string        `db:"ip"`
	Outcome string        `db:"outcome"`
	At      time.Time     `db:"at"`
	MAC     []byte        `db:"mac"`
}

// AuditHead is the end of one chain.
type AuditHead struct {
	Chain int    `db:"chain"`
	Seq   int64  `db:"seq"`
	MAC   []byte `db:"mac"` // of the last row, and in the table of the head itself
}

// AppendAudit implements [order.Tx].
func (tx *Tx) AppendAudit(_ context.Context, a order.AuditRecord) error {
	tx.audits = append(tx.audits, a)
	return nil
}

// writeAudits adds the transaction's lines to the chain that it has locked.
func (tx *Tx) writeAudits(ctx context.Context, head AuditHead) (err error) {
	if len(tx.audits) == 0 {
		return nil
	}
	rows := make([]auditRow, len(tx.audits))
	for i, a := range tx.audits {
		r := auditRow{head.Chain, head.Seq + 1, a.OrderID, a.Action, a.ActorID, a.Role, a.Channel, a.IP, a.Outcome, dbTime(a.At), nil}
		if r.MAC, err = tx.seal.macAudit(head.MAC, r); err != nil {
			return err
		}
		rows[i], head.Seq, head.MAC = r, r.Seq, r.MAC
	}
	err = tx.laterNamed(ctx, must("auditing %s of order %s", rows[0].Action, rows[0].OrderID), `
		INSERT INTO audit (`+auditColumns+`)
		VALUES (:chain, :seq, :order_id, :action, :actor_id, :role, :channel, :ip, :outcome, :at, :mac)`, rows)
	if err != nil {
		return err
	}
	return tx.later(ctx, must("extending audit chain %d", head.Chain), `UPDATE audit_chains SET seq = ?, mac = ? WHERE chain = ?`, head.Seq, head.MAC, head.Chain)
}

// lockChain returns a chain for the transaction's lines, ours until it ends: a
// free one, or the first in line when all are taken.
func (tx *Tx) lockChain(ctx context.Context) (head AuditHead, err error) {
	if len(tx.audits) == 0 {
		return head, nil
	}
	err = tx.get(ctx, &head, `SELECT chain, seq, mac FROM audit_chains ORDER BY chain LIMIT 1`+tx.dia.skipLocked)
	if errors.Is(err, sql.ErrNoRows) {
		err = tx.get(ctx, &head, `SELECT chain, seq, mac FROM audit_chains WHERE chain = 0`+tx.dia.forUpdate)
	}
	return head, failed(err, "locking an audit chain")
}

// macAudit authenticates a row together with the row before it.
func (s *Sealer) macAudit(previous []byte, r auditRow) ([]byte, error) {
	if s == nil {
		return nil, errNoSealer
	}
	h := hmac.New(sha256.New, s.auditKey)
	part := func(b []byte) { // length first, so that no two rows read the same
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(b))))
		h.Write(b)
	}
	part(previous)
	for _, v := range []int64{int64(r.Chain), r.Seq, r.At.UnixMilli()} {
		part(strconv.AppendInt(nil, v, 10))
	}
	for _, v := range []string{string(r.OrderID), r.Action, r.ActorID, string(r.Role), string(r.Channel), r.IP, r.Outcome} {
		part([]byte(v))
	}
	return h.Sum(nil), nil
}

// Looks implements [order.Queries]. A look is known by chain and number of its line.
func (q queries) Looks(ctx context.Context, id order.ID, after order.Cursor, limit int) (order.LookPage, error) {
	limit = pageLimit(limit)
	beyond, args := ``, []any{id, order.ActionSee + `%`, order.ActionUnmask + `%`, order.ActionDownload + `%`}
	if after != (order.Cursor{}) {
		var chain, seq int64
		if _, err := fmt.Sscanf(string(after.ID), "%d-%d", &chain, &seq); err != nil {
			return order.LookPage{}, order.Errorf(order.Invalid, "cursor_invalid", "翻页链接已失效，请从第一页开始")
		}
		beyond, args = ` AND (at, chain, seq) < (?, ?, ?)`, append(args, dbTime(after.At), chain, seq)
	}
	var rows []auditRow
	err := q.all(ctx, &rows, `
		SELECT chain, seq, at, role, action
		FROM audit
		WHERE order_id = ? AND order_id <> '' AND (action LIKE ? OR action LIKE ? OR action LIKE ?) AND outcome = 'ok'`+beyond+`
		ORDER BY at DESC, chain DESC, seq DESC
		LIMIT ?`, append(args, limit+1)...)
	if err != nil {
		return order.LookPage{}, failed(err, "listing who looked at order %s", id)
	}
	lookID := func(r auditRow) string { return fmt.Sprintf("%d-%d", r.Chain, r.Seq) }
	rows, next := pageOf(rows, limit, func(r auditRow) order.Cursor { return order.Cursor{At: r.At.UTC(), ID: order.ID(lookID(r))} })
	page := order.LookPage{Next: next}
	for _, r := range rows {
		page.Looks = append(page.Looks, order.Look{ID: lookID(r), At: r.At.UTC(), Role: r.Role, Action: r.Action})
	}
	return page, nil
}

// AuditHeads returns the ends of all chains in use, to be kept outside the
// database.
func (db *DB) AuditHeads(ctx context.Context) ([]AuditHead, error) {
	var heads []AuditHead
	err := db.all(ctx, &heads, `SELECT chain, seq, mac FROM audit_chains WHERE seq > 0 ORDER BY chain`)
	return heads, failed(err, "reading audit heads")
}

// ErrAuditBroken is what VerifyAudit finds; the error says where.
var ErrAuditBroken = errors.New("audit trail is broken")

// VerifyAudit proves every chain from its first row to its head, and that each
// of the heads kept earlier lies on it.
func (db *DB) VerifyAudit(ctx context.Context, kept []AuditHead) error {
	// Rows and heads of the same moment, while others go on writing.
	snapshot, err := db.read.BeginTxx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return failed(err, "beginning a snapshot")
	}
	defer snapshot.Rollback() //nolint:errcheck // nothing was written
	return queries{conn: plain{snapshot}, dia: db.dia, seal: db.seal}.verifyAudit(ctx, kept)
}

func (q queries) verifyAudit(ctx context.Context, kept []AuditHead) error {
	var heads []AuditHead
	if err := q.all(ctx, &heads, `SELECT chain, seq, mac FROM audit_chains ORDER BY chain`); err != nil {
		return failed(err, "reading audit heads")
	}
	known := 0
	for _, head := range heads {
		if err := q.verifyChain(ctx, head, kept); err != nil {
			return err
		}
		known += int(head.Seq)
	}
	var rows int
	if err := q.get(ctx, &rows, `SELECT count(*) FROM audit`); err != nil {
		return failed(err, "counting audit rows")
	}
	if rows != known {
		return fmt.Errorf("%w: %d rows, the heads account for %d", ErrAuditBroken, rows, known)
	}
	for _, k := range kept {
		if k.Chain < 0 || k.Chain >= len(heads) {
			return fmt.Errorf("%w: chain %d is gone", ErrAuditBroken, k.Chain)
		}
	}
	return nil
}

// auditPage is how many rows are proved at a time.
const auditPage = 1000

func (q queries) verifyChain(ctx context.Context, head AuditHead, kept []AuditHead) error {
	last := AuditHead{Chain: head.Chain}
	for {
		var rows []auditRow
		err := q.all(ctx, &rows, `SELECT `+auditColumns+` FROM audit WHERE chain = ? AND seq > ? ORDER BY seq LIMIT ?`, head.Chain, last.Seq, auditPage)
		if err != nil {
			return failed(err, "reading audit chain %d", head.Chain)
		}
		for _, r := range rows {
			mac, err := q.seal.macAudit(last.MAC, r)
			if err != nil {
				return err
			}
			if !hmac.Equal(mac, r.MAC) { // covers the sequence number and the row before
				return fmt.Errorf("%w: chain %d at %d", ErrAuditBroken, r.Chain, r.Seq)
			}
			last.Seq, last.MAC = r.Seq, r.MAC
			for _, k := range kept {
				if k.Chain == r.Chain && k.Seq == r.Seq && !hmac.Equal(k.MAC, r.MAC) {
					return fmt.Errorf("%w: chain %d was rewritten before %d", ErrAuditBroken, r.Chain, r.Seq)
				}
			}
		}
		if len(rows) < auditPage {
			break
		}
	}
	if last.Seq != head.Seq || !hmac.Equal(last.MAC, head.MAC) {
		return fmt.Errorf("%w: chain %d ends at %d, its head says %d", ErrAuditBroken, head.Chain, last.Seq, head.Seq)
	}
	for _, k := range kept {
		if k.Chain == head.Chain && k.Seq > head.Seq {
			return fmt.Errorf("%w: chain %d ends at %d, it had reached %d", ErrAuditBroken, head.Chain, head.Seq, k.Seq)
		}
	}
	return nil
}
