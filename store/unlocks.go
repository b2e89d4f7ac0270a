package store

import (
	"context"
	"time"

	"github.com/yuncaidun/yuncaidun/certificate"
)

// InsertUnlock implements [certificate.UnlockTx].
func (tx *Tx) InsertUnlock(ctx context.Context, u certificate.Unlock) error {
	_, err := tx.exec(ctx, `
		INSERT INTO unlocks (id, token_serial, cert_serial, way, order_id, at)
		VALUES (?, ?, ?, ?, ?, ?)`, u.ID, u.TokenSerial, u.CertSerial, u.Way, u.OrderID, dbTime(u.At))
	return failed(err, "recording an unlock of %s", u.TokenSerial)
}

// CountUnlocks implements [certificate.UnlockQueries]. The answer is at most a few.
func (q queries) CountUnlocks(ctx context.Context, tokenSerial string, since time.Time) (n int, err error) {
	err = q.get(ctx, &n, `SELECT COUNT(*) FROM unlocks WHERE token_serial = ? AND at > ? AND way <> ?`, tokenSerial, dbTime(since), certificate.ByApproval)
	return n, failed(err, "counting the unlocks of %s", tokenSerial)
}
