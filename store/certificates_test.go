package store

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/issuance"
	"github.com/yuncaidun/yuncaidun/order"
)

// certify records an issued certificate for an item of an order.
func certify(t *testing.T, db *DB, item, serial string, at time.Time) issuance.Issue {
	t.Helper()
	is := requested("issue-"+item, item)
	is.CreatedAt = at
	if _, err := NewLedger(db).OpenIssue(t.Context(), is); err != nil {
		t.Fatal(err)
	}
	is = advanced(is, serial, "key-"+item)
	is.TokenSerial, is.Stage, is.Certificate = "", issuance.StageDone, []byte("der of "+item)
	if err := NewLedger(db).AdvanceIssue(t.Context(), issuance.StageRequested, is, nil); err != nil {
		t.Fatal(err)
	}
	return is
}

func TestCertificates(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		at := t0.Truncate(time.Millisecond)
		insertPerson(t, db, "person1", mobile)
		o := draft("o1")
		o.PersonID, o.DraftToken = "person1", ""
		insertOrders(t, db, o, draft("o2"))
		var want []issuance.Issue
		for i, of := range []order.ID{"o1", "o1", "o2"} {
			item := fmt.Sprint("i", i)
			serial := strings.Repeat(fmt.Sprint(i), 40)
			inTx(t, db, func(tx order.Tx) error {
				items, err := tx.Items(t.Context(), of)
				if err != nil {
					return err
				}
				items = append(items, order.Item{ID: item, OrderID: of, N: i + 1, Stage: order.ItemWaiting, CertSerial: serial, UpdatedAt: at})
				return tx.ReplaceItems(t.Context(), of, items)
			})
			want = append(want, certify(t, db, item, serial, at.Add(time.Duration(i)*time.Second)))
		}
		if _, err := NewLedger(db).OpenIssue(t.Context(), requested("issue-unsigned", "unsigned")); err != nil {
			t.Fatal(err)
		}

		var all []issuance.Issue
		if err := db.EachCertificate(t.Context(), func(is issuance.Issue) error {
			all = append(all, is)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		wantSame(t, "all", want, all)
		boom := errors.New("stop")
		if err := db.EachCertificate(t.Context(), func(issuance.Issue) error { return boom }); !errors.Is(err, boom) {
			t.Errorf("EachCertificate = %v, want fn's error", err)
		}
		got, err := db.CertificateBySerial(t.Context(), strings.Repeat("1", 40))
		if err != nil {
			t.Fatal(err)
		}
		wantSame(t, "by serial", want[1], got)
		if _, err := db.CertificateBySerial(t.Context(), strings.Repeat("9", 40)); !errors.Is(err, issuance.ErrUnknownIssue) {
			t.Errorf("unknown serial: %v", err)
		}
		held := func(person string, serials ...string) {
			t.Helper()
			certs, err := db.HeldBy(t.Context(), person)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, c := range certs {
				got = append(got, c.Serial)
				if c.PersonID != person {
					t.Errorf("%s is bound to %s", c.Serial, c.PersonID)
				}
			}
			wantSame(t, "held by "+person+", newest first", serials, got)
		}
		held("person1", want[1].Serial, want[0].Serial)
		made, err := db.CertificatesOf(t.Context(), "o1")
		if err != nil || len(made) != 2 || made[0].Serial != want[0].Serial || made[1].Serial != want[1].Serial {
			t.Errorf("made for o1: %+v, %v", made, err)
		}
	})
}
