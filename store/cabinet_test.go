package store

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

// What a person writes into his cabinet is sealed, keeps him as long as he is to be
// reminded, does not keep his account open, and goes with it; another's stays.
func TestCabinetGoesWithItsPerson(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		ctx, ends := t.Context(), t0.AddDate(3, 0, 0)
		for _, person := range []string{"person1", "person2"} {
			insertPerson(t, db, person, identity.NewMobile("1380013800"+person[6:]))
			inTx(t, db, func(tx order.Tx) error {
				return errors.Join(
					tx.(*Tx).InsertForeign(ctx, certificate.Foreign{ID: "f-" + person, PersonID: person, Label: biddingFor, Issuer: "某省 CA", NotAfter: ends, RemindAt: t0, CreatedAt: t0}),
					tx.(*Tx).InsertLoan(ctx, certificate.Loan{ID: "l-" + person, Token: "f-" + person, PersonID: person, Borrower: identity.NewPersonName(agentName), Purpose: biddingFor, LentAt: t0, DueAt: ends, RemindAt: t0}),
				)
			})
		}
		for _, table := range []string{"foreign_tokens", "loans"} {
			var sealed []byte
			if err := db.get(ctx, &sealed, `SELECT sealed FROM `+table+` WHERE person_id = ?`, "person1"); err != nil || len(sealed) == 0 || bytes.Contains(sealed, []byte(biddingFor)) || bytes.Contains(sealed, []byte(agentName)) {
				t.Errorf("%s: %q, %v", table, sealed, err)
			}
		}
		k, err := db.KeptPerson(ctx, "person1")
		if err != nil || k.Needed || !k.Last.Equal(dbTime(ends)) {
			t.Errorf("kept %+v, %v", k, err)
		}
		inTx(t, db, func(tx order.Tx) error {
			_, err := tx.PurgePerson(ctx, "person1")
			return err
		})
		for person, want := range map[string]int{"person1": 0, "person2": 1} {
			foreign, err := db.ForeignOf(ctx, person)
			loans, err2 := db.Loans(ctx, person, "", order.Cursor{}, 10)
			if err := errors.Join(err, err2); err != nil || len(foreign) != want || len(loans.Loans) != want {
				t.Errorf("%s: %d and %d, %v", person, len(foreign), len(loans.Loans), err)
			}
		}
		due, err := db.DueCabinets(ctx, t0, 10)
		if err != nil || len(due) != 2 || due[0].PersonID != "person2" {
			t.Errorf("due %+v, %v", due, err)
		}
		for _, d := range due { // the second process comes too late
			inTx(t, db, func(tx order.Tx) error {
				for _, want := range []bool{true, false} {
					if did, err := tx.(*Tx).RemindAgain(ctx, d, t0.Add(time.Hour)); err != nil || did != want {
						return fmt.Errorf("planned %s: %v, want %v, %w", d.ID, did, want, err)
					}
				}
				return nil
			})
		}
	})
}

// Two people told of the same thing at the same instant, about no order, are two messages.
func TestMessagesAboutNoOrder(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		for i, person := range []string{"person1", "person2", "person1"} {
			inTx(t, db, func(tx order.Tx) error {
				added, err := tx.InsertNotification(t.Context(), order.Notification{ID: fmt.Sprintf("n%d", i), Seq: 7, Notice: order.NoticeLoanOverdue, Medium: order.SMS, To: order.ToHolder, PersonID: person, State: order.DeliveryPending, CreatedAt: t0})
				if added != (i < 2) {
					t.Errorf("message %d added: %v", i, added)
				}
				return err
			})
		}
	})
}
