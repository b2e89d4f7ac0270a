package store

import (
	"fmt"
	"strings"
	"testing"

	"github.com/yuncaidun/yuncaidun/order"
)

// A row is remembered under its rev: whoever changes an order, in this process or
// in another, changes what the next reader sees; and what is sealed stays so.
func TestRememberedOrdersAreNeverOld(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		insertPerson(t, db, "person1", mobile)
		other := &DB{queries: queries{conn: db.conn, dia: db.dia, seal: db.seal}, read: db.read, write: db.write, pool: db.pool, writers: db.writers} // remembers nothing
		o := full("o1")
		insertOrders(t, db, o)
		read := func(db *DB) (one, listed order.Order) {
			t.Helper()
			one, err := db.Order(t.Context(), "o1")
			if err != nil {
				t.Fatal(err)
			}
			page, err := db.Orders(t.Context(), order.Filter{PersonID: "person1"})
			if err != nil || len(page.Orders) != 1 {
				t.Fatalf("%d orders, %v", len(page.Orders), err)
			}
			return one, page.Orders[0]
		}
		for range 3 {
			wantOne, wantListed := read(other)
			for range 2 { // read, then remembered
				one, listed := read(db)
				wantSame(t, "order", wantOne, one)
				wantSame(t, "listed order", wantListed, listed)
			}
			if _, known := db.memory.all([]orderRev{{"o1", wantOne.Rev}}); !known {
				t.Fatal("nothing is remembered")
			}
			was := wantOne
			changed := was
			changed.TrackingNo += "9"
			changed.Form = was.Form.With(order.AgentName, "钱小二")
			changed.Rev++
			inTx(t, other, func(tx order.Tx) error { return tx.UpdateOrder(t.Context(), changed, was) })
		}
		kept, _ := db.memory.known.Peek("o1")
		remembered := fmt.Sprint(kept.Company, kept.Form.Reveal(), kept.Reasons) + string(kept.form) + string(kept.reasons)
		for text, public := range map[string]bool{"新疆运达有限公司": true, "钱小二": false, "章不清楚": false} {
			if strings.Contains(remembered, text) != public {
				t.Errorf("%s is remembered in the clear: %v", text, !public)
			}
		}
		one, _ := read(db)
		one.Lines[0].Quantity = 99 // a reader's own copy
		if again, _ := read(db); again.Lines[0].Quantity == 99 {
			t.Error("readers share what they read")
		}
	})
}

func TestOrderMemoryIsBounded(t *testing.T) {
	m := newOrderMemory()
	for n := range maxRemembered + 10 {
		m.keep([]*sealedOrder{{Order: order.Order{ID: order.ID(fmt.Sprint("o", n)), Rev: 1}}})
	}
	if n := m.known.Len(); n != maxRemembered {
		t.Errorf("%d orders", n)
	}
	last := order.ID(fmt.Sprint("o", maxRemembered+9))
	if _, known := m.all([]orderRev{{last, 1}}); !known {
		t.Error("the newest is forgotten")
	}
	for _, other := range [][]orderRev{{{last, 2}}, {{last, 1}, {"never", 1}}} {
		if _, known := m.all(other); known {
			t.Errorf("%v is known", other)
		}
	}
}
