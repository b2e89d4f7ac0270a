package store

import (
	"context"
	"testing"

	"github.com/oklog/ulid/v2"

	"github.com/yuncaidun/yuncaidun/order"
)

// BenchmarkSubmit is an order's insertion with its history, audit line and job,
// beside a bare insert of one row: the difference is what we add to a commit.
func BenchmarkSubmit(b *testing.B) {
	ctx := context.Background()
	for _, name := range []string{"sqlite", "postgres"} {
		db := openTest(b, freshDSN(b, name))
		run := func(what string, fn func(tx *Tx) error) {
			b.Run(name+"/"+what, func(b *testing.B) {
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if err := db.inTx(ctx, fn); err != nil {
							b.Error(err)
						}
					}
				})
			})
		}
		run("bare", func(tx *Tx) error {
			_, err := tx.exec(ctx, `INSERT INTO counters (name, value) VALUES (?, 1)`, ulid.Make().String())
			return err
		})
		run("order", func(tx *Tx) error {
			o := draft(order.ID(ulid.Make().String()))
			if err := tx.InsertOrder(ctx, o); err != nil {
				return err
			}
			if err := tx.AppendEvent(ctx, order.EventRecord{OrderID: o.ID, Seq: 1, Event: order.Save, To: o.State, At: t0}); err != nil {
				return err
			}
			if err := tx.AppendAudit(ctx, order.AuditRecord{OrderID: o.ID, Action: "save", Outcome: "ok", At: t0}); err != nil {
				return err
			}
			return tx.Enqueue(ctx, order.Job{Kind: order.JobRealName, Ref: string(o.ID), Seq: 1})
		})
	}
}
