package store

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/yuncaidun/yuncaidun/order"
)

// A fulfilment is kept as it is, written by whoever has read it last only, and listed
// while it waits for a person, the longest waiting first.
func TestFulfilments(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		t0 := t0.Truncate(time.Millisecond)
		trades := []string{"T1", "T2", "T3"}
		inTx(t, db, func(tx order.Tx) error {
			err := tx.InsertOrder(t.Context(), draft("o1"))
			for _, no := range trades {
				err = errors.Join(err, tx.InsertPayment(t.Context(), order.Payment{TradeNo: no, OrderID: "o1", Amount: 60000, State: order.PaymentPaid, Channel: order.WeChatPay, Way: order.PayInMiniProgram, CreatedAt: t0, UpdatedAt: t0}))
			}
			return err
		})
		save := func(f order.Fulfilment) error {
			return db.InTx(t.Context(), func(tx order.Tx) error { return tx.SaveFulfilment(t.Context(), f) })
		}
		f := order.Fulfilment{
			TradeNo: "T1", OrderID: "o1", Fulfilled: order.Fulfilled{By: order.FulfilledByCourier, Carrier: "sf", TrackingNo: "SF1234567890123"},
			State: order.FulfilmentDue, Rev: 1, At: t0, UpdatedAt: t0,
		}
		if _, err := db.Fulfilment(t.Context(), "T1"); !errors.Is(err, order.NotFound) {
			t.Fatalf("before: %v", err)
		}
		if err := save(f); err != nil {
			t.Fatal(err)
		}
		if got, err := db.Fulfilment(t.Context(), "T1"); err != nil || !cmp.Equal(got, f) {
			t.Errorf("kept %s %v", cmp.Diff(f, got), err)
		}
		f.Rev, f.State, f.Why, f.SignedAt, f.RemindedAt, f.UpdatedAt = 2, order.FulfilmentRefused, "微信没有接受", t0.Add(time.Hour), t0.Add(2*time.Hour), t0.Add(3*time.Hour)
		f.At, f.Fulfilled = t0.Add(time.Minute), order.Fulfilled{By: order.FulfilledAtCounter}
		if err := save(f); err != nil {
			t.Fatal(err)
		}
		for name, rev := range map[string]int64{"the first again": 1, "the same again": 2, "one that nobody has read": 4} {
			stale := f
			stale.Rev, stale.State = rev, order.FulfilmentTold
			if err := save(stale); !errors.Is(err, order.Conflict) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if got, err := db.Fulfilment(t.Context(), "T1"); err != nil || !cmp.Equal(got, f) {
			t.Errorf("kept %s %v", cmp.Diff(f, got), err)
		}
		for i, no := range trades[1:] {
			other := order.Fulfilment{TradeNo: no, OrderID: "o1", Fulfilled: order.Fulfilled{By: order.FulfilledOnline}, State: []order.FulfilmentState{order.FulfilmentRefused, order.FulfilmentTold}[i], Rev: 1, At: t0, UpdatedAt: t0}
			if err := save(other); err != nil {
				t.Fatal(err)
			}
		}
		all, err := db.RefusedFulfilments(t.Context(), 10)
		if err != nil || len(all) != 2 || all[0].TradeNo != "T2" || all[1].TradeNo != "T1" {
			t.Errorf("waiting: %v %v", all, err)
		}
		if all, err = db.RefusedFulfilments(t.Context(), 1); err != nil || len(all) != 1 {
			t.Errorf("the first: %v %v", all, err)
		}
	})
}
