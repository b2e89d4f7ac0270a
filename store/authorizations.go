package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

const authorizationColumns = `id, order_id, state, rev, sealed_signer, signer_index, content, snapshot, link_hash, guesses, why, mandate_index, mandate_until,
	mandate_revoked_at, reuse_of, sealed_proof, letter, evidence, created_at, updated_at, shown_at, signed_at, ended_at, expires_at`

type authorizationRow struct {
	ID               string                   `db:"id"`
	OrderID          order.ID                 `db:"order_id"`
	State            order.AuthorizationState `db:"state"`
	Rev              int64                    `db:"rev"`
	SealedSigner     []byte                   `db:"sealed_signer"`
	SignerIndex      string                   `db:"signer_index"`
	Content          string                   `db:"content"`
	Snapshot         string                   `db:"snapshot"`
	LinkHash         string                   `db:"link_hash"`
	Guesses          int                      `db:"guesses"`
	Why              string                   `db:"why"`
	MandateIndex     string                   `db:"mandate_index"`
	MandateUntil     sql.NullTime             `db:"mandate_until"`
	MandateRevokedAt sql.NullTime             `db:"mandate_revoked_at"`
	ReuseOf          sql.NullString           `db:"reuse_of"`
	SealedProof      []byte                   `db:"sealed_proof"`
	Letter           string                   `db:"letter"`
	Evidence         string                   `db:"evidence"`
	CreatedAt        time.Time                `db:"created_at"`
	UpdatedAt        time.Time                `db:"updated_at"`
	ShownAt          sql.NullTime             `db:"shown_at"`
	SignedAt         sql.NullTime             `db:"signed_at"`
	EndedAt          sql.NullTime             `db:"ended_at"`
	ExpiresAt        sql.NullTime             `db:"expires_at"`
}

func signerCell(id string) cell { return cell{"authorizations", "sealed_signer", id} }
func proofCell(id string) cell  { return cell{"authorizations", "sealed_proof", id} }

func (q queries) rowOfAuthorization(a order.Authorization) (authorizationRow, error) {
	r := authorizationRow{
		ID: a.ID, OrderID: a.OrderID, State: a.State, Rev: a.Rev, Content: a.Content, Snapshot: a.Snapshot, LinkHash: a.LinkHash, Guesses: a.Guesses,
		Why: a.Why, MandateUntil: nullTime(a.Mandate.Until), MandateRevokedAt: nullTime(a.Mandate.RevokedAt), ReuseOf: nullString(a.ReuseOf),
		Letter: a.Letter, Evidence: a.Evidence, CreatedAt: dbTime(a.CreatedAt), UpdatedAt: dbTime(a.UpdatedAt),
		ShownAt: nullTime(a.ShownAt), SignedAt: nullTime(a.SignedAt), EndedAt: nullTime(a.EndedAt), ExpiresAt: nullTime(a.ExpiresAt),
	}
	var err error
	if a.Signer != (order.LegalSigner{}) {
		if r.SealedSigner, err = q.seal.sealJSON(a.Signer, signerCell(a.ID)); err != nil {
			return r, err
		}
		if r.SignerIndex, err = q.seal.index(indexMobile, a.Signer.Mobile); err != nil {
			return r, err
		}
	}
	if r.SealedProof, err = q.seal.sealJSON(a.Proof, proofCell(a.ID)); err != nil {
		return r, err
	}
	return r, nil
}

func (q queries) authorizationOfRow(r authorizationRow) (order.Authorization, error) {
	a := order.Authorization{
		ID: r.ID, OrderID: r.OrderID, State: r.State, Rev: r.Rev, Content: r.Content, Snapshot: r.Snapshot, LinkHash: r.LinkHash, Guesses: r.Guesses,
		Why: r.Why, Mandate: order.Mandate{Until: fromNull(r.MandateUntil), RevokedAt: fromNull(r.MandateRevokedAt)}, ReuseOf: r.ReuseOf.String,
		Letter: r.Letter, Evidence: r.Evidence, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
		ShownAt: fromNull(r.ShownAt), SignedAt: fromNull(r.SignedAt), EndedAt: fromNull(r.EndedAt), ExpiresAt: fromNull(r.ExpiresAt),
	}
	if err := q.seal.openJSON(r.SealedSigner, &a.Signer, signerCell(r.ID)); err != nil {
		return a, err
	}
	return a, q.seal.openJSON(r.SealedProof, &a.Proof, proofCell(r.ID))
}

// Authorization implements [order.Queries].
func (q queries) Authorization(ctx context.Context, id string) (order.Authorization, error) {
	return q.oneAuthorization(ctx, `id = ?`, id)
}

// ActiveAuthorization implements [order.Queries].
func (q queries) ActiveAuthorization(ctx context.Context, id order.ID) (order.Authorization, error) {
	return q.oneAuthorization(ctx, `order_id = ? AND state NOT IN ('returned', 'declined', 'expired', 'withdrawn')`, id)
}

func (q queries) oneAuthorization(ctx context.Context, where string, arg any) (order.Authorization, error) {
	var r authorizationRow
	err := q.get(ctx, &r, `SELECT `+authorizationColumns+` FROM authorizations WHERE `+where, arg)
	if errors.Is(err, sql.ErrNoRows) {
		return order.Authorization{}, order.Errorf(order.NotFound, "authorization_not_found", "没有找到该授权")
	}
	if err != nil {
		return order.Authorization{}, failed(err, "reading authorisation %v", arg)
	}
	return q.authorizationOfRow(r)
}

// Authorizations implements [order.Queries]. An order has a handful.
func (q queries) Authorizations(ctx context.Context, id order.ID) ([]order.Authorization, error) {
	var rows []authorizationRow
	err := q.all(ctx, &rows, `SELECT `+authorizationColumns+` FROM authorizations WHERE order_id = ? ORDER BY created_at, id`, id)
	if err != nil {
		return nil, failed(err, "reading authorisations of order %s", id)
	}
	return q.authorizationsOfRows(rows)
}

func (q queries) authorizationsOfRows(rows []authorizationRow) ([]order.Authorization, error) {
	out := make([]order.Authorization, 0, len(rows))
	for _, r := range rows {
		a, err := q.authorizationOfRow(r)
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}

// AuthorizationsFor implements [order.Queries].
func (q queries) AuthorizationsFor(ctx context.Context, mobile identity.Mobile, now time.Time, before string, limit int) ([]order.Authorization, error) {
	index, err := q.seal.index(indexMobile, mobile.Reveal())
	if err != nil || index == "" {
		return nil, err
	}
	where, args := `signer_index = ? AND signer_index <> '' AND (state NOT IN ('returned', 'declined', 'expired', 'withdrawn')
		OR state = ? AND mandate_until > ? AND mandate_revoked_at IS NULL)`, []any{index, order.AtExpired, dbTime(now)}
	if before != "" {
		where, args = where+` AND id < ?`, append(args, before)
	}
	var rows []authorizationRow
	err = q.all(ctx, &rows, `
		SELECT `+authorizationColumns+`
		FROM authorizations
		WHERE `+where+`
		ORDER BY id DESC
		LIMIT ?`, append(args, limit)...)
	if err != nil {
		return nil, failed(err, "reading authorisations of a legal representative")
	}
	return q.authorizationsOfRows(rows)
}

// indexMandate is the blind index of what a mandate covers.
const indexMandate = "mandate"

func (q queries) mandateIndex(k order.MandateKey) (string, error) {
	if k.USCC == "" || k.Agent == "" || k.Signer == "" {
		return "", nil
	}
	return q.seal.index(indexMandate, k.USCC+"\x00"+k.Agent+"\x00"+k.Signer)
}

// MandateFor implements [order.Queries].
func (q queries) MandateFor(ctx context.Context, k order.MandateKey, now time.Time) (id string, err error) {
	index, err := q.mandateIndex(k)
	if err != nil {
		return "", err
	}
	err = q.get(ctx, &id, `
		SELECT id
		FROM authorizations
		WHERE mandate_index = ? AND mandate_until > ? AND mandate_revoked_at IS NULL AND state IN (?, ?)
		ORDER BY mandate_until DESC, id
		LIMIT 1`, index, dbTime(now), order.AtSigned, order.AtExpired)
	if errors.Is(err, sql.ErrNoRows) {
		return "", order.Errorf(order.NotFound, "mandate_not_found", "没有可用的授权")
	}
	return id, failed(err, "looking for a mandate")
}

// MandateUsed implements [order.Queries]. What stands on a mandate has its signer.
func (q queries) MandateUsed(ctx context.Context, a order.Authorization) (used bool, err error) {
	index, err := q.seal.index(indexMobile, a.Signer.Mobile)
	if err != nil || index == "" {
		return false, err
	}
	err = q.get(ctx, &used, `SELECT EXISTS (SELECT 1 FROM authorizations WHERE signer_index = ? AND signer_index <> '' AND reuse_of = ? AND order_id <> ?)`, index, a.ID, a.OrderID)
	return used, failed(err, "asking what stands on authorisation %s", a.ID)
}

// InsertAuthorization implements [order.Tx].
func (tx *Tx) InsertAuthorization(ctx context.Context, a order.Authorization) error {
	r, err := tx.rowOfAuthorization(a)
	if err != nil {
		return err
	}
	o, err := tx.Order(ctx, a.OrderID)
	if err != nil {
		return err
	}
	if r.MandateIndex, err = tx.mandateIndex(order.MandateKeyOf(o.Form)); err != nil {
		return err
	}
	_, err = tx.execNamed(ctx, `
		INSERT INTO authorizations (`+authorizationColumns+`)
		VALUES (:id, :order_id, :state, :rev, :sealed_signer, :signer_index, :content, :snapshot, :link_hash, :guesses, :why, :mandate_index, :mandate_until,
			:mandate_revoked_at, :reuse_of, :sealed_proof, :letter, :evidence, :created_at, :updated_at, :shown_at, :signed_at, :ended_at, :expires_at)`, r)
	if isDuplicate(err, "authorizations", "order_id") {
		return order.Errorf(order.Conflict, "authorization_exists", "该订单已有进行中的授权")
	}
	return failed(err, "inserting authorisation %s", a.ID)
}

// UpdateAuthorization implements [order.Tx]. Of two who move it at once, exactly
// one sees a row change.
func (tx *Tx) UpdateAuthorization(ctx context.Context, a order.Authorization, was order.Authorization) error {
	r, err := tx.rowOfAuthorization(a)
	if err != nil {
		return err
	}
	n, err := tx.execNamed(ctx, `
		UPDATE authorizations
		SET state = :state, rev = :rev, sealed_signer = :sealed_signer, signer_index = :signer_index, link_hash = :link_hash, guesses = :guesses, why = :why,
			mandate_until = :mandate_until, mandate_revoked_at = :mandate_revoked_at, sealed_proof = :sealed_proof, letter = :letter, evidence = :evidence,
			updated_at = :updated_at, shown_at = :shown_at, signed_at = :signed_at, ended_at = :ended_at
		WHERE id = :id AND state = :was_state AND rev = :was_rev`, struct {
		authorizationRow
		WasState order.AuthorizationState `db:"was_state"`
		WasRev   int64                    `db:"was_rev"`
	}{r, was.State, was.Rev})
	if err != nil {
		return failed(err, "moving authorisation %s from %s to %s", a.ID, was.State, a.State)
	}
	return oneRow(n, order.Errorf(order.Conflict, "authorization_changed", "授权状态已变更，请刷新页面").Raced())
}

const sendingColumns = `id, authorization_id, order_id, kind, link_hash, at`

type sendingRow struct {
	ID              string    `db:"id"`
	AuthorizationID string    `db:"authorization_id"`
	OrderID         order.ID  `db:"order_id"`
	Kind            string    `db:"kind"`
	LinkHash        string    `db:"link_hash"`
	At              time.Time `db:"at"`
}

// SendingByLink implements [order.Queries].
func (q queries) SendingByLink(ctx context.Context, linkHash string) (order.Sending, error) {
	var r sendingRow
	err := q.get(ctx, &r, `SELECT `+sendingColumns+` FROM authorization_sendings WHERE link_hash = ?`, linkHash)
	if errors.Is(err, sql.ErrNoRows) {
		return order.Sending{}, order.Errorf(order.NotFound, "authorization_link_unknown", "该授权链接无效")
	}
	r.At = r.At.UTC()
	return order.Sending(r), failed(err, "reading an authorisation's SMS")
}

// CountSendings implements [order.Queries].
func (q queries) CountSendings(ctx context.Context, id order.ID, kind string, since time.Time) (n int, err error) {
	err = q.get(ctx, &n, `SELECT COUNT(*) FROM authorization_sendings WHERE order_id = ? AND kind = ? AND at >= ?`, id, kind, dbTime(since))
	return n, failed(err, "counting SMS of order %s", id)
}

// InsertSending implements [order.Tx].
func (tx *Tx) InsertSending(ctx context.Context, s order.Sending) error {
	r := sendingRow(s)
	r.At = dbTime(r.At)
	_, err := tx.execNamed(ctx, `INSERT INTO authorization_sendings (`+sendingColumns+`) VALUES (:id, :authorization_id, :order_id, :kind, :link_hash, :at)`, r)
	return failed(err, "recording an SMS of authorisation %s", s.AuthorizationID)
}
