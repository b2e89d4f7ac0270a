package store

import (
	"context"
	"errors"
	"testing"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

// Writes whose answers nobody reads may travel late, but what is read after them
// is as if they had not.
func TestWhatIsReadComesAfterWhatWasWritten(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		inTx(t, db, func(tx order.Tx) error {
			was := draft("o1")
			if err := tx.InsertOrder(t.Context(), was); err != nil {
				return err
			}
			o := was
			o.Company = "昆明改名测试有限公司"
			o.Rev++
			if err := tx.UpdateOrder(t.Context(), o, was); err != nil {
				return err
			}
			if err := tx.ReplaceItems(t.Context(), o.ID, []order.Item{{ID: "i1", OrderID: o.ID, N: 1, Stage: order.ItemWaiting}}); err != nil {
				return err
			}
			got, err := tx.Order(t.Context(), o.ID)
			if err != nil || got.Company != o.Company {
				t.Errorf("read %q, %v", got.Company, err)
			}
			items, err := tx.Items(t.Context(), o.ID)
			if len(items) != 1 {
				t.Errorf("%d items", len(items))
			}
			return err
		})
	})
}

// What InTx says was committed was: PostgreSQL takes back a transaction with a
// statement that failed, also when nobody minded the failure, and answers COMMIT
// without an error.
func TestFailureThatNobodyMinds(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		err := db.InTx(t.Context(), func(tx order.Tx) error {
			if err := tx.InsertOrder(t.Context(), draft("o1")); err != nil {
				return err
			}
			if _, err := tx.(*Tx).exec(t.Context(), `UPDATE orders SET status = NULL`); err == nil {
				t.Error("the statement did not fail")
			}
			return nil
		})
		if _, missing := db.Order(t.Context(), "o1"); (err == nil) != (missing == nil) {
			t.Errorf("the transaction said %v, the order %v", err, missing)
		}
	})
}

// A change that lost is refused with its own error, whatever the transaction does
// after it, and nothing of the transaction stays.
func TestWhatLostDecides(t *testing.T) {
	tests := map[string]func(t *testing.T, tx order.Tx, lost error) error{
		"nothing after it": func(_ *testing.T, _ order.Tx, lost error) error { return lost },
		"another write": func(t *testing.T, tx order.Tx, lost error) error {
			return errors.Join(lost, tx.AppendEvent(t.Context(), order.EventRecord{OrderID: "o1", Seq: 9, Event: order.Save}))
		},
		"an approval, which has conflicts of its own": func(t *testing.T, tx order.Tx, lost error) error {
			err := tx.InsertApproval(t.Context(), order.Approval{OrderID: "o1", Submission: 1, Step: 1, StaffID: "s1", PersonID: "p1"})
			if lost != nil {
				return lost
			}
			return err
		},
		"a reader who does not look": func(t *testing.T, tx order.Tx, lost error) error {
			if _, err := tx.Order(t.Context(), "o1"); err != nil {
				t.Log(err)
			}
			return lost
		},
	}
	for name, after := range tests {
		t.Run(name, func(t *testing.T) {
			eachDB(t, func(t *testing.T, db *DB) {
				insertOrders(t, db, draft("o1"))
				was := draft("o1")
				was.Rev = 7 // somebody else has moved it
				o := was
				o.Company = "不应保存测试有限公司"
				err := db.InTx(t.Context(), func(tx order.Tx) error {
					return after(t, tx, tx.UpdateOrder(t.Context(), o, was))
				})
				if e, ok := order.AsError(err); !ok || e.Code != "order_changed" {
					t.Errorf("%v, want order_changed", err)
				}
				got, err := db.Order(t.Context(), "o1")
				if err != nil || got.Company == o.Company {
					t.Errorf("kept %q, %v", got.Company, err)
				}
				events, err := db.Events(t.Context(), "o1")
				if err != nil || len(events) > 0 {
					t.Errorf("kept events %v, %v", events, err)
				}
			})
		})
	}
}

// Who gives up in the middle of a transaction leaves nothing behind, and the
// connection is used by nobody else meanwhile.
func TestWhoGivesUpLeavesNothing(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		insertOrders(t, db, draft("o1"))
		for i := range 50 {
			ctx, cancel := context.WithCancel(t.Context())
			err := db.InTx(ctx, func(tx order.Tx) error {
				cancel()
				return errors.Join(
					tx.AppendEvent(ctx, order.EventRecord{OrderID: "o1", Seq: int64(i + 2), Event: order.Save}),
					tx.AppendAudit(ctx, order.AuditRecord{OrderID: "o1", Action: "save", Outcome: "ok", At: t0}),
					tx.Enqueue(ctx, order.Job{Kind: order.JobRefund, Ref: "o1", Seq: int64(i)}),
				)
			})
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("given up: %v", err)
			}
		}
		if events, err := db.Events(t.Context(), "o1"); err != nil || len(events) > 0 {
			t.Errorf("%d events, %v", len(events), err)
		}
		if heads, err := db.AuditHeads(t.Context()); err != nil || len(heads) > 0 {
			t.Errorf("audit %v, %v", heads, err)
		}
	})
}

// Whoever places an order does not wait until somebody else who does has
// committed: on PostgreSQL each takes a row of the day's that is free.
func TestNumbersAreTakenSideBySide(t *testing.T) {
	db := openTest(t, freshDSN(t, "postgres"))
	const day = "20260302"
	seen := map[int]bool{}
	var nest func(left int) error
	nest = func(left int) error {
		if left == 0 {
			return nil
		}
		return db.InTx(t.Context(), func(tx order.Tx) error {
			n, err := nextOrderSeq(t.Context(), tx, day)
			if err != nil {
				return err
			}
			if seen[n] || n > postgresDialect.counters {
				t.Errorf("%d after %d others", n, len(seen))
			}
			seen[n] = true
			return nest(left - 1) // while this one is open
		})
	}
	inTx(t, db, func(tx order.Tx) error { // makes the day's rows
		n, err := nextOrderSeq(t.Context(), tx, day)
		seen[n] = true
		return err
	})
	if err := nest(postgresDialect.counters - 1); err != nil {
		t.Fatal(err)
	}
	if len(seen) != postgresDialect.counters {
		t.Errorf("%d numbers", len(seen))
	}
}

// A question that was asked ahead is answered, whatever is asked or written after
// it and whether anybody waits; one that fails fails the transaction.
func TestAskedAhead(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		const day = "20260302"
		var first, second, third int
		inTx(t, db, func(tx order.Tx) error {
			ask, err := tx.NextOrderSeq(t.Context(), day)
			if err != nil {
				return err
			}
			if err := tx.InsertOrder(t.Context(), draft("o1")); err != nil {
				return err
			}
			p, err := tx.PersonByMobile(t.Context(), order.Person{ID: "p9", Mobile: identity.NewMobile("13900000009"), CreatedAt: t0})
			if err != nil || p.ID != "p9" {
				t.Errorf("person %q, %v", p.ID, err)
			}
			if first, err = ask(); err != nil {
				return err
			}
			if ask, err = tx.NextOrderSeq(t.Context(), day); err != nil {
				return err
			}
			second, err = ask() // nothing was asked after it
			return err
		})
		inTx(t, db, func(tx order.Tx) error { // nobody waits: the number is taken
			_, err := tx.NextOrderSeq(t.Context(), day)
			return err
		})
		inTx(t, db, func(tx order.Tx) (err error) {
			third, err = nextOrderSeq(t.Context(), tx, day)
			return err
		})
		if seen := map[int]bool{first: true, second: true, third: true}; len(seen) != 3 || seen[0] {
			t.Errorf("numbers %d, %d and %d", first, second, third)
		}
		err := db.InTx(t.Context(), func(tx order.Tx) error {
			var none []int
			if err := tx.(*Tx).allLater(t.Context(), must("asking for nothing"), &none, `SELECT no_column FROM orders`); err != nil {
				return err
			}
			return tx.InsertOrder(t.Context(), draft("o2"))
		})
		if _, missing := db.Order(t.Context(), "o2"); err == nil || missing == nil {
			t.Errorf("the transaction said %v, the order %v", err, missing)
		}
	})
}
