package store

import (
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

// Flows 4.5, fallback for a lost SMS: whoever has proven the mobile finds what waits
// for him and what he signed, newest first, page by page; what has ended is gone, and
// so is who was forgotten.
func TestAuthorizationsOfALegalRepresentative(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		at := t0.Truncate(time.Millisecond)
		rep, other := identity.NewMobile("13800000021"), identity.NewMobile("13800000022")
		asked := map[string]order.Authorization{}
		for _, row := range []struct {
			id    string
			to    identity.Mobile
			state order.AuthorizationState
		}{{"a1", rep, order.AtSent}, {"a2", other, order.AtSent}, {"a3", rep, order.AtSigned}, {"a4", rep, order.AtExpired}, {"a5", rep, order.AtOpened}} {
			o := draft(order.ID("o" + row.id))
			insertOrders(t, db, o)
			asked[row.id] = order.Authorization{
				ID: row.id, OrderID: o.ID, State: row.state, Rev: 1, Signer: order.LegalSigner{Name: "段正明", Mobile: row.to.Reveal()}, LinkHash: row.id, CreatedAt: at, UpdatedAt: at,
			}
			inTx(t, db, func(tx order.Tx) error { return tx.InsertAuthorization(t.Context(), asked[row.id]) })
		}
		list := func(mobile identity.Mobile, before string, limit int) (ids string) {
			t.Helper()
			all, err := db.AuthorizationsFor(t.Context(), mobile, t0, before, limit)
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range all {
				ids += a.ID + " "
			}
			return ids
		}
		if got := list(rep, "", 2) + "| " + list(rep, "a3", 2); got != "a5 a3 | a1 " {
			t.Errorf("his: %s", got)
		}
		if got := list(other, "", 9); got != "a2 " {
			t.Errorf("another's: %s", got)
		}
		if got := list(identity.Mobile{}, "", 9); got != "" {
			t.Errorf("nobody's: %s", got)
		}
		one, err := db.Authorization(t.Context(), "a1")
		if err != nil {
			t.Fatal(err)
		}
		wantSame(t, "authorisation", asked["a1"], one)

		was, forgotten := asked["a5"], asked["a5"]
		forgotten.Signer, forgotten.Rev = order.LegalSigner{}, 2
		inTx(t, db, func(tx order.Tx) error { return tx.UpdateAuthorization(t.Context(), forgotten, was) })
		if got := list(rep, "", 9); got != "a3 a1 " {
			t.Errorf("after he was forgotten: %s", got)
		}
	})
}
