package store

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/issuance"
	"github.com/yuncaidun/yuncaidun/order"
)

func receive(t *testing.T, db *DB, batch string, at time.Time, serials string) {
	t.Helper()
	stock := certificate.NewStock(Stock{db}, func() time.Time { return at })
	if _, err := stock.Receive(t.Context(), order.Actor{Role: order.Issuer, StaffID: "s1"}, batch, serials); err != nil {
		t.Fatal(err)
	}
}

// F119: each issue gets a key of its own, the oldest first, the same one when it
// asks again, among the plugged ones when there are some; a key that dies is
// scrapped, and a number never meets a key of the stock.
func TestStock(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		l := NewLedger(db)
		if serial, err := l.TakeBlank(t.Context(), "i0", nil, t0); serial != "" || err != nil {
			t.Errorf("out of an empty stock: %q, %v", serial, err)
		}
		receive(t, db, "new", t0.Add(time.Hour), "TW00000000000001-TW00000000000003")
		receive(t, db, "old", t0, "TW00000000000011-TW00000000000014")
		var mu sync.Mutex
		var taken []string
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				serial, err := l.TakeBlank(t.Context(), fmt.Sprint("i", i), nil, t0)
				if err != nil {
					t.Error(err)
				}
				again, err := l.TakeBlank(t.Context(), fmt.Sprint("i", i), nil, t0)
				if err != nil || again != serial {
					t.Errorf("%s, then %s, %v", serial, again, err)
				}
				mu.Lock()
				defer mu.Unlock()
				taken = append(taken, serial)
			})
		}
		wg.Wait()
		slices.Sort(taken)
		if want := []string{"TW00000000000011", "TW00000000000012", "TW00000000000013", "TW00000000000014"}; !slices.Equal(taken, want) {
			t.Errorf("taken %q, want the older batch", taken)
		}
		if serial, err := l.TakeBlank(t.Context(), "i5", []string{"TW00000000000002", "TW99999999999999"}, t0); serial != "TW00000000000002" || err != nil {
			t.Errorf("among plugged keys: %q, %v", serial, err)
		}
		if serial, err := l.TakeBlank(t.Context(), "i6", []string{"TW99999999999999"}, t0); serial != "" || err != nil {
			t.Errorf("a plugged key that is not in stock: %q, %v", serial, err)
		}
		if n, err := l.NextTokenNumber(t.Context()); n != 4 || err != nil {
			t.Errorf("number %d, %v: 1 to 3 are in stock", n, err)
		}

		stock := certificate.NewStock(Stock{db}, func() time.Time { return t0 })
		by := order.Actor{Role: order.Issuer, StaffID: "s1"}
		for serial, want := range map[string]error{"TW00000000000001": nil, "TW00000000000002": order.Conflict, "TW00000000000009": order.Conflict} {
			if err := stock.Scrap(t.Context(), by, serial, "damaged", ""); !errors.Is(err, want) {
				t.Errorf("scrapping %s: %v, want %v", serial, err, want)
			}
		}
		if _, err := stock.Receive(t.Context(), by, "again", "TW00000000000001"); !errors.Is(err, order.Conflict) {
			t.Errorf("a scrapped key came back: %v", err)
		}

		// The key of an issue that is given up is scrapped with it.
		is := requested("i5", "item5")
		if _, err := l.OpenIssue(t.Context(), is); err != nil {
			t.Fatal(err)
		}
		is.Stage, is.TokenSerial = issuance.StageTokenChosen, "TW00000000000002"
		tok := issuance.TokenRecord{Serial: is.TokenSerial, State: issuance.TokenBlank, IssueID: is.ID, SealedSOPIN: []byte{1}, SealedUserPIN: []byte{1}, SealedSecret: []byte{1}, CreatedAt: t0, UpdatedAt: t0}
		if err := l.AdvanceIssue(t.Context(), issuance.StageRequested, is, &tok); err != nil {
			t.Fatal(err)
		}
		is.Stage, is.Failure, tok.State = issuance.StageFailed, "gave_up", issuance.TokenScrapped
		if err := l.AdvanceIssue(t.Context(), issuance.StageTokenChosen, is, &tok); err != nil {
			t.Fatal(err)
		}
		counts, err := stock.Count(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if counts[certificate.BlankReceived] != 1 || counts[certificate.BlankUsed] != 4 || counts[certificate.BlankScrapped] != 2 {
			t.Errorf("counts %v", counts)
		}
		scrapped, err := stock.List(t.Context(), certificate.BlankFilter{State: certificate.BlankScrapped, After: "TW00000000000001", Limit: 10})
		if err != nil || len(scrapped) != 1 || scrapped[0].Reason != certificate.ScrapFailed || scrapped[0].ScrappedBy != "system" {
			t.Errorf("scrapped %+v, %v", scrapped, err)
		}
	})
}

// G25: of all who ask for the initial PIN one request is told, however often it asks.
func TestInitialPINIsToldToOneRequest(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		l := NewLedger(db)
		const serial = "TW00000000000021"
		is := requested("i1", "item1")
		if _, err := l.OpenIssue(t.Context(), is); err != nil {
			t.Fatal(err)
		}
		is.Stage, is.TokenSerial = issuance.StageTokenChosen, serial
		tok := issuance.TokenRecord{Serial: serial, State: issuance.TokenBlank, IssueID: is.ID, SealedSOPIN: []byte{1}, SealedUserPIN: []byte{1}, SealedSecret: []byte{1}, CreatedAt: t0, UpdatedAt: t0}
		if err := l.AdvanceIssue(t.Context(), issuance.StageRequested, is, &tok); err != nil {
			t.Fatal(err)
		}
		if err := l.TellPIN(t.Context(), serial, "r0", t0); !errors.Is(err, issuance.ErrPINTold) {
			t.Errorf("of a key that is not ready: %v", err)
		}
		tok.State = issuance.TokenPersonalized
		if err := l.AdvanceIssue(t.Context(), issuance.StageTokenChosen, is, &tok); err != nil {
			t.Fatal(err)
		}
		if untold, err := db.PINUntold(t.Context(), serial); !untold || err != nil {
			t.Errorf("untold %v, %v", untold, err)
		}
		var wg sync.WaitGroup
		told := make([]bool, 8)
		for i := range told {
			wg.Go(func() {
				for range 2 {
					told[i] = l.TellPIN(t.Context(), serial, fmt.Sprint("r", i), t0) == nil
				}
			})
		}
		wg.Wait()
		n := 0
		for _, ok := range told {
			if ok {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d requests were told", n)
		}
		if untold, err := db.PINUntold(t.Context(), serial); untold || err != nil {
			t.Errorf("untold %v, %v", untold, err)
		}
	})
}
