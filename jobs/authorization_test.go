package jobs

import (
	"slices"
	"testing"

	"github.com/yuncaidun/yuncaidun/order"
)

// Row 15: with who declined goes everything that was made of him, also when the letter of
// an earlier signature was still to be made.
func TestForgottenLegalRep(t *testing.T) {
	w := newWorld(t)
	o := w.approved(t, order.State{Status: order.InReview, Stage: order.Queued})
	a := order.Authorization{
		ID: "01AUTH", OrderID: o.ID, State: order.AtExpired, Rev: 1, CreatedAt: w.at, UpdatedAt: w.at, SignedAt: w.at, EndedAt: w.at,
		Proof: order.Proof{SMS: []order.SentLetter{{ID: "01SMS", At: w.at}}},
	}
	if err := w.db.InTx(t.Context(), func(tx order.Tx) error { return tx.InsertAuthorization(t.Context(), a) }); err != nil {
		t.Fatal(err)
	}
	all := []string{"01AUTH-document", "01AUTH-signature", "01AUTH-letter", "01AUTH-evidence"}
	for name, job := range map[string]func() error{
		"forget":     func() error { return w.forget(t.Context(), a.ID) },
		"the letter": func() error { return w.authorization(t.Context(), attempt{ref: a.ID, n: 1}) },
	} {
		w.erased = nil
		if err := job(); err != nil || !slices.Equal(w.erased, all) {
			t.Errorf("%s: erased %v, %v", name, w.erased, err)
		}
	}
	if kept, err := w.Orders.KeepLetter(t.Context(), a.ID, "01PDF", "01ZIP"); err != nil || kept {
		t.Errorf("a letter of nobody: kept %v, %v", kept, err)
	}
}
