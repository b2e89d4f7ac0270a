package certificate_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store"
)

// G25: an order leads to the initial PIN of its USBKEY as long as there is one to be told to
// its owner, however long that is: not once it was told, not of a revoked certificate, and
// not who has handed it over.
func TestGuideLeadsToAnUntoldPIN(t *testing.T) {
	eachDB(t, func(t *testing.T, f *office) {
		f.counter(t) // plugs the USBKEY of the first certificate in
		o, err := f.db.Order(t.Context(), orderID)
		must(t, err)
		o.Product.IssueMode, o.TrackingNo, o.Carrier, o.ShippedAt = order.ByAdmin, "SF1234567890123", "sf", now.Add(-100*24*time.Hour)
		leads := func(o order.Order) bool {
			t.Helper()
			g, err := f.Guide(t.Context(), o)
			must(t, err)
			if led := strings.Contains(g.Next, "初始口令"); led != (g.FirstUse != "") {
				t.Errorf("next %q, first use %q", g.Next, g.FirstUse)
			}
			return g.FirstUse != ""
		}
		if !leads(o) {
			t.Error("nothing leads to a PIN that nobody was told")
		}
		other, returned := o, o
		other.PersonID, returned.Parcel = "somebody", order.ParcelReturning
		if leads(other) || leads(returned) {
			t.Error("who does not have the USBKEY is led to its PIN")
		}
		many, err := f.Guides(t.Context(), []order.Order{other, o})
		if err != nil || len(many) != 2 || many[0].FirstUse != "" || many[1].FirstUse == "" {
			t.Errorf("of two: %+v, %v", many, err)
		}
		certs, err := f.HeldBy(t.Context(), f.person)
		must(t, err)
		untold, err := f.Untold(t.Context(), certs)
		if err != nil || !untold[serialA] || untold[serialB] {
			t.Errorf("untold %v, %v", untold, err)
		}
		i := slices.IndexFunc(certs, func(c certificate.Certificate) bool { return c.Serial == serialA })
		frozen := certs[i]
		frozen.RevokedAt, frozen.Reason = now, certificate.Hold
		must(t, store.Certificates{DB: f.db}.Change(t.Context(), func(tx certificate.Tx) error { return tx.SetRevocation(t.Context(), frozen) }))
		if !leads(o) {
			t.Error("a freeze ends with a restoration, and ends no PIN")
		}
		frozen, err = f.db.Certificate(t.Context(), serialA)
		must(t, err)
		frozen.Reason = certificate.KeyCompromise
		must(t, store.Certificates{DB: f.db}.Change(t.Context(), func(tx certificate.Tx) error { return tx.SetRevocation(t.Context(), frozen) }))
		if leads(o) {
			t.Error("of a revoked certificate")
		}
	})
	eachDB(t, func(t *testing.T, f *office) {
		f.counter(t)
		for _, told := range []bool{false, true} {
			if told {
				must(t, f.ledger.TellPIN(t.Context(), usbkey, "r1", now))
			}
			pins, err := f.db.PINsUntold(t.Context(), []order.ID{orderID, "another"})
			if err != nil || (len(pins) == 0) != told {
				t.Errorf("told %v: %+v, %v", told, pins, err)
			}
		}
	})
}
