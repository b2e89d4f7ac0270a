package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/issuance"
	"github.com/yuncaidun/yuncaidun/order"
)

// certificatePage bounds one read of a walk over all certificates.
const certificatePage = 500

// EachCertificate calls fn for every certificate that was issued, oldest first.
// It reads page by page, so it may run beside a busy product.
func (q queries) EachCertificate(ctx context.Context, fn func(issuance.Issue) error) error {
	after := ""
	for {
		var rows []issueRow
		err := q.all(ctx, &rows, `
			SELECT `+issueColumns+`
			FROM issues
			WHERE certificate IS NOT NULL AND id > ?
			ORDER BY id
			LIMIT ?`, after, certificatePage)
		if err != nil {
			return failed(err, "listing certificates")
		}
		for _, r := range rows {
			if err := fn(r.issue()); err != nil {
				return err
			}
			after = r.ID
		}
		if len(rows) < certificatePage {
			return nil
		}
	}
}

// CertificateBySerial returns the issue whose certificate has that serial (40
// upper-case hex digits); issuance.ErrUnknownIssue when there is none.
func (q queries) CertificateBySerial(ctx context.Context, serial string) (issuance.Issue, error) {
	var r issueRow
	err := q.get(ctx, &r, `SELECT `+issueColumns+` FROM issues WHERE serial = ? AND certificate IS NOT NULL`, serial)
	if errors.Is(err, sql.ErrNoRows) {
		return issuance.Issue{}, issuance.ErrUnknownIssue
	}
	return r.issue(), failed(err, "reading certificate %s", serial)
}

// Certificates is what package certificate keeps.
type Certificates struct{ *DB }

var (
	_ certificate.Store = Certificates{}
	_ certificate.Tx    = (*Tx)(nil)
)

// Change implements [certificate.Store].
func (c Certificates) Change(ctx context.Context, fn func(certificate.Tx) error) error {
	return c.inTx(ctx, func(tx *Tx) error { return fn(tx) })
}

// holderRow is an issue with the order that it belongs to.
type holderRow struct {
	Serial      string             `db:"serial"`
	Issuer      string             `db:"issuer"`
	TokenSerial sql.NullString     `db:"token_serial"`
	Holder      string             `db:"company"`
	USCC        string             `db:"uscc"`
	NotBefore   time.Time          `db:"not_before"`
	NotAfter    time.Time          `db:"not_after"`
	RevokedAt   sql.NullTime       `db:"revoked_at"`
	Reason      certificate.Reason `db:"revocation_reason"`
	Rev         int64              `db:"status_rev"`
	OrderID     order.ID           `db:"order_id"`
	OrderNo     sql.NullString     `db:"no"`
	Product     string             `db:"product"`
	PersonID    sql.NullString     `db:"person_id"`
	Stage       order.ItemStage    `db:"stage"`
	Successor   sql.NullString     `db:"superseded_by"`
	NewToken    sql.NullString     `db:"new_token"`
	NewStage    sql.NullString     `db:"new_stage"`
	Profile     string             `db:"profile"`
	KeySince    sql.NullTime       `db:"key_since"`
}

func (r holderRow) certificate() (certificate.Certificate, error) {
	c := certificate.Certificate{
		Serial: r.Serial, Issuer: r.Issuer, TokenSerial: r.TokenSerial.String, Holder: r.Holder, USCC: r.USCC,
		NotBefore: r.NotBefore.UTC(), NotAfter: r.NotAfter.UTC(), RevokedAt: fromNull(r.RevokedAt), Reason: r.Reason, Rev: r.Rev,
		OrderID: r.OrderID, OrderNo: r.OrderNo.String, PersonID: r.PersonID.String, SupersededBy: r.Successor.String,
		KeyLost: r.Stage == order.ItemLost, NewToken: r.NewToken.String, NewKeyLost: order.ItemStage(r.NewStage.String) == order.ItemLost,
		KeyUntil: issuance.KeyUntil(r.Profile, fromNull(r.KeySince)),
	}
	if err := json.Unmarshal([]byte(r.Product), &c.Product); err != nil {
		return c, fmt.Errorf("decoding the product of order %s: %w", r.OrderID, err)
	}
	return c, nil
}

func (q queries) holders(ctx context.Context, rest string, args ...any) ([]certificate.Certificate, error) {
	var rows []holderRow
	err := q.all(ctx, &rows, `
		SELECT i.serial, i.issuer, coalesce(i.token_serial, t.token_serial) AS token_serial, i.company, i.uscc, i.not_before, i.not_after, i.revoked_at, i.revocation_reason, i.status_rev,
			t.order_id, o.no, o.product, coalesce(t.holder_id, o.person_id) AS person_id, t.stage, t.superseded_by, s.token_serial AS new_token, s.stage AS new_stage, i.profile, k.not_before AS key_since
		FROM issues i JOIN order_items t ON t.cert_serial = i.serial JOIN orders o ON o.id = t.order_id
			LEFT JOIN issues k ON k.key_hash = i.key_hash AND k.renews IS NULL
			LEFT JOIN order_items s ON s.cert_serial = t.superseded_by
		WHERE i.certificate IS NOT NULL AND o.deleted_at IS NULL AND `+rest, args...)
	if err != nil {
		return nil, failed(err, "reading certificates")
	}
	out := make([]certificate.Certificate, len(rows))
	for i, r := range rows {
		c, err := r.certificate()
		if err != nil {
			return nil, err
		}
		out[i] = c
	}
	return out, nil
}

// Certificate implements [certificate.Queries].
func (q queries) Certificate(ctx context.Context, serial string) (certificate.Certificate, error) {
	found, err := q.holders(ctx, `i.serial = ?`, serial)
	switch {
	case err != nil:
		return certificate.Certificate{}, err
	case len(found) == 0:
		return certificate.Certificate{}, certificate.NotFound()
	}
	return found[0], nil
}

// heldItems are the keys that a person, named twice, holds: of his orders what he has not
// given away, and what was given to him.
const heldItems = `
	SELECT h.id FROM order_items h JOIN orders p ON p.id = h.order_id WHERE p.person_id = ? AND p.deleted_at IS NULL AND h.holder_id IS NULL
	UNION SELECT id FROM order_items WHERE holder_id = ?`

// HeldBy implements [certificate.Queries]; nobody has so many that they would
// need pages.
func (q queries) HeldBy(ctx context.Context, personID string) ([]certificate.Certificate, error) {
	return q.holders(ctx, `t.id IN (`+heldItems+`) ORDER BY i.created_at DESC, i.id DESC LIMIT 500`, personID, personID)
}

// CertificatesOf are the certificates that were made for an order.
func (q queries) CertificatesOf(ctx context.Context, id order.ID) ([]certificate.Certificate, error) {
	return q.holders(ctx, `t.order_id = ? ORDER BY t.n`, id)
}

// OnToken implements [certificate.Queries].
func (q queries) OnToken(ctx context.Context, tokenSerial string) ([]certificate.Certificate, error) {
	return q.holders(ctx, `t.token_serial = ? AND t.token_serial <> '' ORDER BY i.created_at DESC, i.id DESC LIMIT 100`, tokenSerial)
}

// FindCertificates returns up to limit certificates, newest first, whose serial
// number or USBKEY is text, or whose company's name contains it.
func (q queries) FindCertificates(ctx context.Context, text string, limit int) ([]certificate.Certificate, error) {
	upper := strings.ToUpper(strings.ReplaceAll(text, " ", "")) // the mini-program shows serial numbers in groups
	if serial, err := order.NormalizeCertSerial(upper); err == nil {
		upper = serial // one that lost its leading zero on the way (G3)
	}
	return q.holders(ctx, `(i.serial = ? OR i.token_serial = ? OR i.company LIKE ? ESCAPE '\') ORDER BY i.created_at DESC, i.id DESC LIMIT ?`,
		upper, upper, `%`+escapeLike(text)+`%`, limit)
}

// SetRevocation implements [certificate.Tx].
func (tx *Tx) SetRevocation(ctx context.Context, c certificate.Certificate) error {
	if err := tx.holdOrder(ctx, `?`, c.OrderID); err != nil {
		return err
	}
	n, err := tx.exec(ctx, `UPDATE issues SET revoked_at = ?, revocation_reason = ? WHERE serial = ? AND status_rev = ?`, nullTime(c.RevokedAt), c.Reason, c.Serial, c.Rev)
	if err != nil {
		return failed(err, "changing the status of %s", c.Serial)
	}
	if n == 0 {
		return order.Errorf(order.Conflict, "certificate_changed", "证书状态已变更，请刷新后重试").Raced()
	}
	return tx.statusChanged(ctx, c.Serial, c.Issuer)
}

// SetSuccessor implements [certificate.Tx].
func (tx *Tx) SetSuccessor(ctx context.Context, serial, by string) error {
	_, err := tx.exec(ctx, `UPDATE order_items SET superseded_by = ? WHERE cert_serial = ? AND superseded_by IS NULL`, by, serial)
	return failed(err, "recording the successor of %s", serial)
}

// ClearSuccessor implements [certificate.Tx].
func (tx *Tx) ClearSuccessor(ctx context.Context, serial string, by order.ID) (bool, error) {
	n, err := tx.exec(ctx, `
		UPDATE order_items
		SET superseded_by = NULL
		WHERE cert_serial = ? AND superseded_by IN (SELECT cert_serial FROM order_items WHERE order_id = ?)`, serial, by)
	return n > 0, failed(err, "forgetting the successor of %s", serial)
}

// SetHolder implements [certificate.Tx].
func (tx *Tx) SetHolder(ctx context.Context, c certificate.Certificate, to string, at time.Time) error {
	const held = `
		SELECT i.id
		FROM order_items i JOIN orders o ON o.id = i.order_id
		WHERE (i.cert_serial = ? OR i.token_serial = ? AND i.token_serial <> '' AND i.cert_serial IS NOT NULL) AND coalesce(i.holder_id, o.person_id) = ?`
	_, err := tx.exec(ctx, `
		UPDATE orders
		SET person_id = ?, rev = rev + 1, updated_at = ?
		WHERE person_id = ? AND deleted_at IS NULL AND status NOT IN (?, ?) AND stage <> ? AND certificate IN (
			SELECT cert_serial FROM order_items WHERE id IN (`+held+`))`,
		to, dbTime(at), c.PersonID, order.Completed, order.Refunded, order.Closed, c.Serial, c.TokenSerial, c.PersonID)
	if err != nil {
		return failed(err, "handing over the orders about %s", c.Serial)
	}
	if _, err = tx.exec(ctx, `UPDATE loans SET person_id = ? WHERE token = ? AND person_id = ?`, to, c.TokenSerial, c.PersonID); err != nil {
		return failed(err, "handing over the log of %s", c.TokenSerial)
	}
	_, err = tx.exec(ctx, `UPDATE order_items SET holder_id = ? WHERE id IN (`+held+`)`, to, c.Serial, c.TokenSerial, c.PersonID)
	return failed(err, "handing over %s", c.Serial)
}

// IssuedFor implements [certificate.Tx].
func (tx *Tx) IssuedFor(ctx context.Context, issue string) (serial string, der []byte, err error) {
	is, err := tx.issue(ctx, issue)
	switch {
	case errors.Is(err, issuance.ErrUnknownIssue), err == nil && is.Certificate == nil:
		return "", nil, order.Errorf(order.Conflict, "certificate_not_made", "证书还没有签发，请重新开始")
	case err != nil:
		return "", nil, err
	}
	return is.Serial, is.Certificate, nil
}
