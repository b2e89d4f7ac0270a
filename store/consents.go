package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

// RecordConsents keeps a person's last decision about each template: each yes is
// one more notice, a no ends what was left. A report that comes late or twice
// changes nothing.
func (db *DB) RecordConsents(ctx context.Context, consents []order.WeChatConsent) error {
	return db.inTx(ctx, func(tx *Tx) error {
		for _, c := range consents {
			_, err := tx.exec(ctx, `
				INSERT INTO wechat_consents (app_id, open_id, template_id, accepted, remaining, decided_at)
				VALUES (?, ?, ?, ?, CASE WHEN ? THEN 1 ELSE 0 END, ?)
				ON CONFLICT (app_id, open_id, template_id) DO UPDATE
				SET accepted = excluded.accepted, decided_at = excluded.decided_at,
					remaining = CASE WHEN excluded.accepted THEN wechat_consents.remaining + 1 ELSE 0 END
				WHERE wechat_consents.decided_at < excluded.decided_at`, c.AppID, c.OpenID, c.TemplateID, c.Accepted, c.Accepted, dbTime(c.At))
			if err != nil {
				return failed(err, "recording a consent")
			}
		}
		return nil
	})
}

// SpendConsent implements [order.Tx].
func (tx *Tx) SpendConsent(ctx context.Context, c order.WeChatConsent) error {
	rows, err := tx.exec(ctx, `
		UPDATE wechat_consents
		SET remaining = remaining - 1
		WHERE app_id = ? AND open_id = ? AND template_id = ? AND remaining > 0`, c.AppID, c.OpenID, c.TemplateID)
	if err == nil && rows == 0 {
		return noConsent()
	}
	return failed(err, "spending a consent")
}

// ReturnConsent implements [order.Tx]. Who refused meanwhile has taken it back.
func (tx *Tx) ReturnConsent(ctx context.Context, c order.WeChatConsent) error {
	_, err := tx.exec(ctx, `
		UPDATE wechat_consents
		SET remaining = remaining + 1
		WHERE app_id = ? AND open_id = ? AND template_id = ? AND accepted`, c.AppID, c.OpenID, c.TemplateID)
	return failed(err, "giving back a consent")
}

// VoidConsents implements [order.Tx].
func (tx *Tx) VoidConsents(ctx context.Context, c order.WeChatConsent) error {
	_, err := tx.exec(ctx, `UPDATE wechat_consents SET remaining = 0 WHERE app_id = ? AND open_id = ? AND template_id = ?`, c.AppID, c.OpenID, c.TemplateID)
	return failed(err, "forgetting consents")
}

func noConsent() error {
	return order.Errorf(order.NotFound, "consent_not_found", "用户还没有订阅该通知")
}

// Consent is a person's last decision about the notices of a template; NotFound
// when there was none.
func (q queries) Consent(ctx context.Context, appID, openID, templateID string) (order.WeChatConsent, error) {
	var r struct {
		Accepted bool      `db:"accepted"`
		Left     int       `db:"remaining"`
		At       time.Time `db:"decided_at"`
	}
	err := q.get(ctx, &r, `SELECT accepted, remaining, decided_at FROM wechat_consents WHERE app_id = ? AND open_id = ? AND template_id = ?`, appID, openID, templateID)
	if errors.Is(err, sql.ErrNoRows) {
		return order.WeChatConsent{}, noConsent()
	}
	return order.WeChatConsent{AppID: appID, OpenID: openID, TemplateID: templateID, Accepted: r.Accepted, Left: r.Left, At: r.At.UTC()}, failed(err, "reading a consent")
}
