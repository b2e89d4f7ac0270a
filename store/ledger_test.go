package store

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/issuance"
)

func requested(id, item string) issuance.Issue {
	at := t0.Truncate(time.Millisecond)
	return issuance.Issue{
		ID: id, Item: item, SnapshotHash: bytes.Repeat([]byte{1}, 32), Profile: "company-p256", Company: "新疆运达有限公司", USCC: "91110108MA00TEN18F", Years: 1,
		Stage: issuance.StageRequested, CreatedAt: at, UpdatedAt: at,
	}
}

// advanced is the issue with everything set that signing sets.
func advanced(is issuance.Issue, serial, key string) issuance.Issue {
	is.Stage, is.TokenSerial = issuance.StageSigning, "TW20260302000001"
	is.CSR, is.KeyHash = []byte("csr"), key
	is.Serial, is.Issuer, is.TBS, is.TBSHash = serial, "ycd-issuing-p256", []byte("tbs"), bytes.Repeat([]byte{2}, 32)
	is.NotBefore, is.NotAfter = is.CreatedAt, is.CreatedAt.Add(365*24*time.Hour)
	is.UpdatedAt = is.CreatedAt.Add(time.Second)
	return is
}

func token(issue string) *issuance.TokenRecord {
	at := t0.Truncate(time.Millisecond)
	return &issuance.TokenRecord{
		Serial: "TW20260302000001", State: issuance.TokenBlank, IssueID: issue,
		SealedSOPIN: []byte("so"), SealedUserPIN: []byte("user"), SealedSecret: []byte("k"), CreatedAt: at, UpdatedAt: at,
	}
}

var (
	serialA = strings.Repeat("A", 40)
	serialB = strings.Repeat("B", 40)
)

func TestLedger(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		ctx, l := t.Context(), NewLedger(db)
		want := requested("i1", "item1")
		got, err := l.OpenIssue(ctx, want)
		if err != nil {
			t.Fatal(err)
		}
		wantSame(t, "opened", want, got)
		other := want
		other.Company = "changed"
		if got, err = l.OpenIssue(ctx, other); err != nil {
			t.Fatal(err)
		}
		wantSame(t, "opened again", want, got)
		if _, err := l.OpenIssue(ctx, requested("i2", "item1")); !errors.Is(err, issuance.ErrItemBusy) {
			t.Errorf("second issue of the item: %v, want ErrItemBusy", err)
		}
		if _, err := l.Issue(ctx, "nope"); !errors.Is(err, issuance.ErrUnknownIssue) {
			t.Errorf("Issue(nope) = %v", err)
		}

		want = advanced(want, serialA, "key1")
		if err := l.AdvanceIssue(ctx, issuance.StageRequested, want, token("i1")); err != nil {
			t.Fatal(err)
		}
		if got, err = l.Issue(ctx, "i1"); err != nil {
			t.Fatal(err)
		}
		wantSame(t, "advanced", want, got)
		tok, err := l.Token(ctx, "TW20260302000001")
		if err != nil {
			t.Fatal(err)
		}
		wantSame(t, "token", *token("i1"), tok)
		if _, err := l.Token(ctx, "nope"); !errors.Is(err, issuance.ErrUnknownToken) {
			t.Errorf("Token(nope) = %v", err)
		}

		// What does not apply any more changes nothing, the token neither.
		scrapped := token("i1")
		scrapped.State = issuance.TokenScrapped
		if err := l.AdvanceIssue(ctx, issuance.StageRequested, want, scrapped); !errors.Is(err, issuance.ErrStale) {
			t.Errorf("AdvanceIssue from an old stage = %v, want ErrStale", err)
		}
		if tok, err = l.Token(ctx, tok.Serial); err != nil || tok.State != issuance.TokenBlank {
			t.Errorf("token is %s, %v; want blank", tok.State, err)
		}

		if _, err := l.OpenIssue(ctx, requested("i3", "item3")); err != nil {
			t.Fatal(err)
		}
		third := advanced(requested("i3", "item3"), serialA, "key3")
		third.TokenSerial = ""
		if err := l.AdvanceIssue(ctx, issuance.StageRequested, third, nil); !errors.Is(err, issuance.ErrSerialTaken) {
			t.Errorf("serial used twice: %v", err)
		}
		third.Serial, third.KeyHash = serialB, "key1"
		if err := l.AdvanceIssue(ctx, issuance.StageRequested, third, nil); !errors.Is(err, issuance.ErrKeyReused) {
			t.Errorf("key used twice: %v", err)
		}
		reused := requested("i4", "item4")
		reused.Stage, reused.CSR, reused.KeyHash = issuance.StageKeyMade, []byte("csr"), "key1"
		if _, err := l.OpenIssue(ctx, reused); !errors.Is(err, issuance.ErrKeyReused) {
			t.Errorf("opening with a used key: %v", err)
		}

		// A failed issue makes room for the item's next attempt.
		want.Stage, want.Failure, want.RevokedAt, want.RevocationReason = issuance.StageFailed, "token_dead", want.UpdatedAt, 4
		if err := l.AdvanceIssue(ctx, issuance.StageSigning, want, scrapped); err != nil {
			t.Fatal(err)
		}
		if got, err = l.Issue(ctx, "i1"); err != nil {
			t.Fatal(err)
		}
		wantSame(t, "failed", want, got)
		if _, err := l.OpenIssue(ctx, requested("i2", "item1")); err != nil {
			t.Errorf("next attempt: %v", err)
		}
	})
}

// Reliability 7: an item never has two live serials, whoever opens at once; and
// of two workers at one stage, one goes on.
func TestLedgerRaces(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		l := NewLedger(db)
		var wg sync.WaitGroup
		var mu sync.Mutex
		opened, busy, numbers := 0, 0, map[uint64]bool{}
		for i := range 16 {
			wg.Go(func() {
				id := "i" + string(rune('A'+i/2)) // pairs share an id: a repeat, not a rival
				_, err := l.OpenIssue(context.Background(), requested(id, "item1"))
				n, numberErr := l.NextTokenNumber(context.Background())
				mu.Lock()
				defer mu.Unlock()
				numbers[n] = true
				switch {
				case numberErr != nil:
					t.Error(numberErr)
				case err == nil:
					opened++
				case errors.Is(err, issuance.ErrItemBusy):
					busy++
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if opened != 2 || busy != 14 {
			t.Errorf("opened %d, busy %d; want 2 (one issue, twice) and 14", opened, busy)
		}
		if len(numbers) != 16 {
			t.Errorf("%d token numbers, want 16 different ones", len(numbers))
		}
		if _, err := l.OpenIssue(t.Context(), requested("race", "item2")); err != nil {
			t.Fatal(err)
		}
		won := 0
		for i := range 8 {
			wg.Go(func() {
				is := requested("race", "item2")
				is.Stage, is.Failure = issuance.StageTokenChosen, string(rune('a'+i))
				err := l.AdvanceIssue(context.Background(), issuance.StageRequested, is, nil)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					won++
				case !errors.Is(err, issuance.ErrStale):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if won != 1 {
			t.Errorf("%d workers went on from one stage", won)
		}
	})
}

// Two workers start the same issue, each with a token of its own: the second is
// told that the issue moved on, and its token is not recorded.
func TestLedgerSecondToken(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		ctx, l := t.Context(), NewLedger(db)
		is, err := l.OpenIssue(ctx, requested("i1", "item1"))
		if err != nil {
			t.Fatal(err)
		}
		first, second := token("i1"), token("i1")
		second.Serial = "TW20260302000002"
		chosen := is
		chosen.Stage, chosen.TokenSerial = issuance.StageTokenChosen, first.Serial
		if err := l.AdvanceIssue(ctx, issuance.StageRequested, chosen, first); err != nil {
			t.Fatal(err)
		}
		chosen.TokenSerial = second.Serial
		if err := l.AdvanceIssue(ctx, issuance.StageRequested, chosen, second); !errors.Is(err, issuance.ErrStale) {
			t.Errorf("second worker: %v, want ErrStale", err)
		}
		if _, err := l.Token(ctx, second.Serial); !errors.Is(err, issuance.ErrUnknownToken) {
			t.Errorf("the second token: %v, want ErrUnknownToken", err)
		}
	})
}
