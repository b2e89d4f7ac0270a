package store

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/order"
)

// keep_until says when a row is to be looked at again whether its personal data
// may go; NULL once it has gone.

// DueKept implements [order.Queries].
func (q queries) DueKept(ctx context.Context, now time.Time, limit int) ([]order.ID, error) {
	var ids []order.ID
	err := q.all(ctx, &ids, `SELECT id FROM orders WHERE keep_until <= ? ORDER BY keep_until, id LIMIT ?`, dbTime(now), limit)
	return ids, failed(err, "listing orders whose time may have passed")
}

// Kept returns an order, deleted or not, with what decides how long it is kept.
func (q queries) Kept(ctx context.Context, id order.ID) (k order.Kept, err error) {
	if k.Order, err = q.oneOrder(ctx, `id = ?`, id); err != nil {
		return k, err
	}
	var r struct {
		DeletedAt sql.NullTime `db:"deleted_at"`
	}
	if err := q.get(ctx, &r, `SELECT deleted_at FROM orders WHERE id = ?`, id); err != nil {
		return k, failed(err, "reading order %s", id)
	}
	k.DeletedAt = fromNull(r.DeletedAt)
	lapses, err := q.Lapses(ctx, id)
	if err != nil {
		return k, err
	}
	k.Lapse = lapses[id]
	k.Objects, err = q.objectsOf(ctx, k.Order)
	return k, err
}

// Lapses implements [order.Queries].
func (q queries) Lapses(ctx context.Context, of ...order.ID) (map[order.ID]order.Lapse, error) {
	if len(of) == 0 {
		return nil, nil
	}
	list, ids := among(of)
	var ends []struct {
		Order     order.ID           `db:"order_id"`
		NotAfter  sql.NullTime       `db:"not_after"`
		RevokedAt sql.NullTime       `db:"revoked_at"`
		Reason    certificate.Reason `db:"revocation_reason"`
	}
	err := q.all(ctx, &ends, `
		SELECT i.order_id, c.not_after, c.revoked_at, c.revocation_reason
		FROM order_items i JOIN issues c ON c.serial = i.cert_serial
		WHERE i.order_id IN `+list+`
		UNION ALL
		SELECT o.id, c.not_after, c.revoked_at, c.revocation_reason
		FROM orders o JOIN issues c ON c.serial = o.certificate
		WHERE o.id IN `+list, append(ids, ids...)...)
	if err != nil {
		return nil, failed(err, "reading when certificates end")
	}
	lapses := map[order.ID]order.Lapse{}
	for _, e := range ends {
		l, expires, revoked := lapses[e.Order], fromNull(e.NotAfter), fromNull(e.RevokedAt)
		l.Lapsed = latest(l.Lapsed, expires, revoked)
		if revoked.IsZero() || e.Reason == certificate.Hold {
			l.InForce = latest(l.InForce, expires)
		}
		lapses[e.Order] = l
	}
	return lapses, nil
}

func latest(times ...time.Time) time.Time {
	return slices.MaxFunc(times, time.Time.Compare)
}

// objectsOf lists everything in the object store that belongs to an order: what was
// uploaded for it, what its form names, and what its authorisations made.
func (q queries) objectsOf(ctx context.Context, o order.Order) ([]string, error) {
	var objects []string
	if err := q.all(ctx, &objects, `SELECT object FROM uploads WHERE order_id = ?`, o.ID); err != nil {
		return nil, failed(err, "listing uploads of order %s", o.ID)
	}
	for _, s := range order.Fields {
		if s.Input == order.Image {
			objects = append(objects, o.Form.Get(s.Name))
		}
	}
	all, err := q.Authorizations(ctx, o.ID)
	if err != nil {
		return nil, err
	}
	for _, a := range all {
		objects = append(objects, order.LegalDocument(a.ID), order.LegalSignature(a.ID), a.Letter, a.Evidence)
	}
	slices.Sort(objects)
	return slices.DeleteFunc(slices.Compact(objects), func(id string) bool { return id == "" }), nil
}

// KeepOrder implements [order.Tx].
func (tx *Tx) KeepOrder(ctx context.Context, id order.ID, until time.Time) error {
	_, err := tx.exec(ctx, `UPDATE orders SET keep_until = ? WHERE id = ? AND keep_until IS NOT NULL`, dbTime(until), id)
	return failed(err, "keeping order %s", id)
}

// AskErasure implements [order.Tx].
func (tx *Tx) AskErasure(ctx context.Context, was order.Order, at, until time.Time) error {
	n, err := tx.exec(ctx, `
		UPDATE orders
		SET erase_asked_at = ?, keep_until = ?, rev = rev + 1
		WHERE id = ? AND rev = ? AND erase_asked_at IS NULL AND deleted_at IS NULL`, dbTime(at), dbTime(until), was.ID, was.Rev)
	if err != nil {
		return failed(err, "asking for the erasure of order %s", was.ID)
	}
	return oneRow(n, errOrderChanged)
}

// PurgeOrder implements [order.Tx].
func (tx *Tx) PurgeOrder(ctx context.Context, id order.ID) (purged bool, err error) {
	n, err := tx.exec(ctx, `
		UPDATE orders
		SET sealed_form = NULL, sealed_reasons = NULL, draft_token = NULL, consent = '{}', keep_until = NULL, rev = rev + 1
		WHERE id = ? AND keep_until IS NOT NULL AND (deleted_at IS NOT NULL OR status IN (?, ?) OR stage = ?)`,
		id, order.Completed, order.Refunded, order.Closed)
	if err != nil || n == 0 {
		return false, failed(err, "purging order %s", id)
	}
	for _, stmt := range []string{
		`UPDATE authorizations SET sealed_signer = NULL, sealed_proof = NULL, signer_index = '', mandate_index = '', letter = '', evidence = '', rev = rev + 1 WHERE order_id = ?`,
		`UPDATE notifications SET told = '' WHERE order_id = ? AND told <> ''`,
		`UPDATE payments SET payer = '' WHERE order_id = ? AND payer <> ''`,
		`UPDATE enquiries SET sealed_said = NULL WHERE order_id = ? AND sealed_said IS NOT NULL`,
		`UPDATE shipments SET sealed_track = NULL WHERE order_id = ? AND sealed_track IS NOT NULL`,
		`DELETE FROM uploads WHERE order_id = ?`,
	} {
		if _, err := tx.exec(ctx, stmt, id); err != nil {
			return false, failed(err, "purging order %s", id)
		}
	}
	return true, nil
}

// DuePeople implements [order.Queries].
func (q queries) DuePeople(ctx context.Context, now time.Time, limit int) ([]string, error) {
	var ids []string
	err := q.all(ctx, &ids, `SELECT id FROM people WHERE keep_until <= ? ORDER BY keep_until, id LIMIT ?`, dbTime(now), limit)
	return ids, failed(err, "listing people whose time may have passed")
}

// KeptPerson implements [order.Queries].
func (q queries) KeptPerson(ctx context.Context, id string) (k order.KeptPerson, err error) {
	var heard []time.Time
	err = q.all(ctx, &heard, `
		SELECT created_at FROM people WHERE id = ?
		UNION ALL
		SELECT updated_at FROM wechat_identities WHERE person_id = ?
		UNION ALL
		SELECT updated_at FROM orders WHERE person_id = ?
		UNION ALL
		SELECT not_after FROM foreign_tokens WHERE person_id = ?`, id, id, id, id)
	if err != nil {
		return k, failed(err, "reading when person %s was last heard of", id)
	}
	for _, t := range heard {
		if t.After(k.Last) {
			k.Last = t.UTC()
		}
	}
	err = q.get(ctx, &k.Needed, `
		SELECT EXISTS (SELECT 1 FROM staff WHERE person_id = ?)
			OR EXISTS (SELECT 1 FROM orders WHERE person_id = ? AND keep_until IS NOT NULL)
			OR EXISTS (SELECT 1 FROM enquiries WHERE person_id = ? AND sealed_said IS NOT NULL)
			OR EXISTS (SELECT 1 FROM order_items i JOIN orders o ON o.id = i.order_id WHERE i.holder_id = ? AND o.keep_until IS NOT NULL)`, id, id, id, id)
	return k, failed(err, "asking what needs person %s", id)
}

// KeepPerson implements [order.Tx].
func (tx *Tx) KeepPerson(ctx context.Context, id string, until time.Time) error {
	_, err := tx.exec(ctx, `UPDATE people SET keep_until = ? WHERE id = ? AND keep_until IS NOT NULL`, dbTime(until), id)
	return failed(err, "keeping person %s", id)
}

// PurgePerson implements [order.Tx]. The row stays, for those that name it; whoever
// comes back with the same mobile is somebody new.
func (tx *Tx) PurgePerson(ctx context.Context, id string) (purged bool, err error) {
	n, err := tx.exec(ctx, `UPDATE people SET sealed_mobile = ?, mobile_index = ?, keep_until = NULL WHERE id = ? AND keep_until IS NOT NULL`, []byte{}, "erased:"+id, id)
	if err != nil || n == 0 {
		return false, failed(err, "purging person %s", id)
	}
	if _, err := tx.exec(ctx, `DELETE FROM openings WHERE `+heldByPerson, id, id); err != nil {
		return false, failed(err, "purging the openings of person %s", id)
	}
	if err := tx.UnlinkWeChats(ctx, id); err != nil {
		return false, err
	}
	for _, stmt := range []string{
		`DELETE FROM reminder_optouts WHERE person_id = ?`,
		`DELETE FROM reminder_contacts WHERE person_id = ?`,
		`DELETE FROM loans WHERE person_id = ?`,
		`DELETE FROM foreign_tokens WHERE person_id = ?`,
		`UPDATE notifications SET told = '' WHERE person_id = ? AND person_id <> '' AND told <> ''`,
	} {
		if _, err := tx.exec(ctx, stmt, id); err != nil {
			return false, failed(err, "purging person %s", id)
		}
	}
	return true, nil
}

// ChatsBefore implements [order.Queries].
func (q queries) ChatsBefore(ctx context.Context, before time.Time) (some bool, err error) {
	err = q.get(ctx, &some, `SELECT EXISTS (SELECT 1 FROM enquiries WHERE sealed_said IS NOT NULL AND created_at <= ?)`, dbTime(before))
	return some, failed(err, "looking for old chats")
}

// PurgeChats implements [order.Tx].
func (tx *Tx) PurgeChats(ctx context.Context, before time.Time, limit int) error {
	_, err := tx.exec(ctx, `
		UPDATE enquiries
		SET sealed_said = NULL
		WHERE id IN (SELECT id FROM enquiries WHERE sealed_said IS NOT NULL AND created_at <= ? ORDER BY created_at, id LIMIT ?)`, dbTime(before), limit)
	return failed(err, "erasing old chats")
}

// InsertUpload implements [order.Tx].
func (tx *Tx) InsertUpload(ctx context.Context, id order.ID, object, original string, at time.Time) error {
	_, err := tx.exec(ctx, `INSERT INTO uploads (object, order_id, original, at) VALUES (?, ?, ?, ?) ON CONFLICT (object) DO NOTHING`, object, id, original, dbTime(at))
	return failed(err, "recording an upload of order %s", id)
}

// Originals are the SHA-256 (hex) of the files that an order's pictures were made of, by
// object, as far as they were kept.
func (q queries) Originals(ctx context.Context, id order.ID) (map[string]string, error) {
	var rows []struct {
		Object   string `db:"object"`
		Original string `db:"original"`
	}
	if err := q.all(ctx, &rows, `SELECT object, original FROM uploads WHERE order_id = ? AND original <> ''`, id); err != nil {
		return nil, failed(err, "reading what the pictures of order %s were made of", id)
	}
	of := make(map[string]string, len(rows))
	for _, r := range rows {
		of[r.Object] = r.Original
	}
	return of, nil
}

// CountUploads implements [order.Queries].
func (q queries) CountUploads(ctx context.Context, id order.ID, since time.Time) (n int, err error) {
	err = q.get(ctx, &n, `SELECT COUNT(*) FROM uploads WHERE order_id = ? AND at >= ?`, id, dbTime(since))
	return n, failed(err, "counting uploads of order %s", id)
}

// CountDrafts implements [order.Queries].
func (q queries) CountDrafts(ctx context.Context, personID, draftToken string) (n int, err error) {
	column, value := `person_id`, personID
	if personID == "" {
		column, value = `draft_token`, draftToken
	}
	err = q.get(ctx, &n, `SELECT COUNT(*) FROM orders WHERE `+column+` = ? AND status = ? AND deleted_at IS NULL`, value, order.Draft)
	return n, failed(err, "counting drafts")
}
