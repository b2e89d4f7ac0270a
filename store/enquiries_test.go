package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

// One open enquiry per person: asking again brings it up to date and keeps the
// earlier promise; what was said is sealed and goes when somebody has called.
func TestEnquiries(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		ctx, at := t.Context(), time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)
		var people []order.Person
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(db.InTx(ctx, func(tx order.Tx) error {
			for i, m := range []string{"17712347069", "13911112222"} {
				p, err := tx.PersonByMobile(ctx, order.Person{ID: string(rune('a' + i)), Mobile: identity.NewMobile(m), CreatedAt: at})
				if err != nil {
					return err
				}
				people = append(people, p)
			}
			return nil
		}))
		first, err := db.Enquire(ctx, order.Enquiry{ID: "e1", PersonID: people[0].ID, Topic: "refund", Said: "钱什么时候退", DueAt: at.Add(time.Hour), CreatedAt: at})
		must(err)
		again, err := db.Enquire(ctx, order.Enquiry{ID: "e2", PersonID: people[0].ID, OrderID: "o1", Topic: "unlock", Said: "锁死了", Urgent: true, DueAt: at.Add(2 * time.Hour), CreatedAt: at})
		must(err)
		if again.ID != "e1" || !again.DueAt.Equal(first.DueAt) || again.Said != "锁死了" || again.OrderID != "o1" || !again.Urgent {
			t.Errorf("asked again: %+v", again)
		}
		silent, err := db.Enquire(ctx, order.Enquiry{ID: "e3", PersonID: people[0].ID, DueAt: at.Add(time.Minute), CreatedAt: at})
		must(err)
		if silent.Said != "锁死了" || silent.Topic != "unlock" || !silent.DueAt.Equal(at.Add(time.Minute)) {
			t.Errorf("asked without a word: %+v", silent)
		}
		_, err = db.Enquire(ctx, order.Enquiry{ID: "e4", PersonID: people[1].ID, Said: "在吗", DueAt: at, CreatedAt: at})
		must(err)
		var raw []byte
		must(db.get(ctx, &raw, `SELECT sealed_said FROM enquiries WHERE id = ?`, "e1"))
		if strings.Contains(string(raw), "锁死了") {
			t.Error("what was said lies in the clear")
		}
		list := func(after order.EnquiryCursor) (ids string) {
			t.Helper()
			es, err := db.OpenEnquiries(ctx, after, 1)
			must(err)
			for _, e := range es {
				ids += e.ID
			}
			return ids
		}
		if got := list(order.EnquiryCursor{}) + list(order.EnquiryCursor{DueAt: at, ID: "e4"}); got != "e4e1" {
			t.Errorf("listed %s", got)
		}
		by := order.Actor{Role: order.Reviewer, StaffID: "s1", Channel: order.Web}
		must(db.CloseEnquiry(ctx, "e1", by, at.Add(time.Hour)))
		if err := db.CloseEnquiry(ctx, "e1", by, at); !errors.Is(err, order.Conflict) {
			t.Errorf("closed twice: %v", err)
		}
		done, err := db.Enquiry(ctx, "e1")
		must(err)
		if done.Said != "" || done.DoneBy != "s1" || done.DoneAt.IsZero() {
			t.Errorf("done: %+v", done)
		}
		if _, err := db.Enquiry(ctx, "none"); !errors.Is(err, order.NotFound) {
			t.Errorf("none: %v", err)
		}
		next, err := db.Enquire(ctx, order.Enquiry{ID: "e5", PersonID: people[0].ID, DueAt: at, CreatedAt: at})
		must(err)
		if next.ID != "e5" {
			t.Errorf("a new one after the old: %s", next.ID)
		}
		var mine []string
		for after, more := (order.Cursor{}), true; more; more = after != (order.Cursor{}) {
			page, err := db.EnquiriesOf(ctx, people[0].ID, after, 1)
			must(err)
			for _, e := range page.Enquiries {
				mine = append(mine, e.ID)
			}
			after = page.Next
		}
		if !slices.Equal(mine, []string{"e5", "e1"}) {
			t.Errorf("one's own, newest first: %v", mine)
		}
	})
}

// Of several enquiries of one person at once, one is new and the others bring it up to
// date; none is lost to a colleague who closes the earlier one in that moment.
func TestEnquiriesAtOnce(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		ctx, at := t.Context(), time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)
		err := db.InTx(ctx, func(tx order.Tx) error {
			_, err := tx.PersonByMobile(ctx, order.Person{ID: "p", Mobile: identity.NewMobile("17712347069"), CreatedAt: at})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for round := range 20 {
			var all sync.WaitGroup
			ids := make([]string, 8)
			for n := range ids {
				all.Go(func() {
					e, err := db.Enquire(ctx, order.Enquiry{ID: fmt.Sprintf("e%d-%d", round, n), PersonID: "p", DueAt: at, CreatedAt: at})
					if err != nil {
						t.Error(err)
					}
					ids[n] = e.ID
				})
			}
			all.Wait()
			if slices.Sort(ids); ids[0] != ids[len(ids)-1] {
				t.Fatalf("several enquiries: %v", ids)
			}
			all.Go(func() {
				if err := db.CloseEnquiry(ctx, ids[0], order.Actor{Role: order.Reviewer, StaffID: "s"}, at); err != nil {
					t.Error(err)
				}
			})
			urgent, err := db.Enquire(ctx, order.Enquiry{ID: fmt.Sprintf("u%d", round), PersonID: "p", Urgent: true, DueAt: at, CreatedAt: at})
			if err != nil {
				t.Fatal(err)
			}
			all.Wait()
			kept, err := db.Enquiry(ctx, urgent.ID)
			if err != nil || !kept.Urgent {
				t.Fatalf("%+v was lost: %v", kept, err)
			}
			if kept.DoneAt.IsZero() {
				if err := db.CloseEnquiry(ctx, kept.ID, order.Actor{Role: order.Reviewer, StaffID: "s"}, at); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}
