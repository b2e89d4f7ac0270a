package store

import (
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

// What was posted between two instants, and what should have been.
func TestPostings(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		insertPerson(t, db, "person1", mobile)
		at := t0.Truncate(time.Millisecond)
		insert := func(id order.ID, change func(o *order.Order)) {
			o := full(id)
			o.No = "SAAS12026030217300000000" + string(id[1:])
			change(&o)
			insertOrders(t, db, o)
		}
		posted := func(due, sent time.Time) func(o *order.Order) {
			return func(o *order.Order) { o.DueAt, o.ShippedAt = due, sent }
		}
		insert("o1", posted(at.Add(time.Hour), at))
		insert("o2", posted(at.Add(-time.Hour), at.Add(time.Minute)))
		insert("o3", posted(at, at.Add(-time.Minute))) // earlier
		insert("o4", posted(at, at.Add(time.Hour)))    // later
		insert("o5", posted(time.Time{}, at))          // never promised
		insert("o6", posted(at, time.Time{}))          // not posted
		got, err := db.Postings(t.Context(), at, at.Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		if len(got) == 2 && got[0].At.After(got[1].At) {
			got[0], got[1] = got[1], got[0]
		}
		wantSame(t, "postings", []order.Posting{{Due: at.Add(time.Hour), At: at}, {Due: at.Add(-time.Hour), At: at.Add(time.Minute)}}, got)

		page, err := db.Orders(t.Context(), order.Filter{DueBefore: at})
		if err != nil || len(page.Orders) != 1 || page.Orders[0].ID != "o2" {
			t.Errorf("due before: %d orders, %v", len(page.Orders), err)
		}
	})
}
