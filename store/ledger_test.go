package store

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
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

// The same public key is certified again only for the certificate that has it.
func TestLedgerSameKey(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		ctx, l := t.Context(), NewLedger(db)
		if _, err := l.OpenIssue(ctx, requested("i1", "item1")); err != nil {
			t.Fatal(err)
		}
		if err := l.AdvanceIssue(ctx, issuance.StageRequested, advanced(requested("i1", "item1"), serialA, "key1"), token("i1")); err != nil {
			t.Fatal(err)
		}
		renewal := func(id, serial, renews, key string) issuance.Issue {
			is := advanced(requested(id, id), serial, key)
			is.TokenSerial, is.Renews = "", renews
			return is
		}
		serialC, serialD := strings.Repeat("C", 40), strings.Repeat("D", 40)
		for _, test := range []struct {
			name string
			is   issuance.Issue
			want error
		}{
			{"the key for nothing", renewal("r1", serialB, "", "key1"), issuance.ErrKeyReused},
			{"another key", renewal("r2", serialB, serialA, "key2"), issuance.ErrOtherKey},
			{"a certificate that is not there", renewal("r3", serialB, serialC, "key1"), issuance.ErrOtherKey},
			{"the renewal", renewal("r4", serialB, serialA, "key1"), nil},
			{"the renewal's serial again", renewal("r5", serialB, serialA, "key1"), issuance.ErrSerialTaken},
			{"the renewal of the renewal", renewal("r6", serialC, serialB, "key1"), nil},
			{"the key for nothing, afterwards", renewal("r7", serialD, "", "key1"), issuance.ErrKeyReused},
		} {
			got, err := l.OpenIssue(ctx, test.is)
			if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
				t.Errorf("%s: %v, want %v", test.name, err, test.want)
			}
			if test.want != nil {
				continue
			}
			wantSame(t, test.name, test.is, got)
			stored, err := l.Issue(ctx, test.is.ID)
			if err != nil {
				t.Fatal(err)
			}
			wantSame(t, test.name+" as stored", test.is, stored)
		}
	})
}

// Migration 18 makes SQLite's table of issues anew: every row, and whatever refers to
// one, is as it was.
func TestMigrateSameKey(t *testing.T) {
	ctx := t.Context()
	db, err := Open(ctx, "sqlite:"+filepath.Join(t.TempDir(), "old.db"), testSealer(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	provider, err := db.migrator()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.UpTo(ctx, 17); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		`INSERT INTO issues (id, item, snapshot_hash, profile, company, uscc, years, stage, key_hash, serial, issuer, tbs, certificate, not_after, status_rev, status_due, remind_at, created_at, updated_at)
			VALUES ('i1', 'item1', x'01', 'company-p256', '云岭公司', '91110108MA00TEN18F', 1, 'done', 'key1', '` + serialA + `', 'ca', x'02', x'03', '2027-11-26 15:59:59+00:00', 3, NULL, '2027-01-01 00:00:00+00:00', '2026-11-26 01:02:03.004+00:00', '2026-11-26 01:02:03.004+00:00'),
			('i2', 'item2', x'01', 'company-p256', '云岭公司', '91110108MA00TEN18F', 1, 'requested', NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, '2026-11-26 01:02:03.004+00:00', '2026-11-26 01:02:03.004+00:00')`,
		`INSERT INTO tokens (serial, state, issue_id, sealed_so_pin, sealed_user_pin, sealed_secret, created_at, updated_at)
			VALUES ('TW20260302000001', 'personalized', 'i1', x'01', x'02', x'03', '2026-11-26 01:02:03.004+00:00', '2026-11-26 01:02:03.004+00:00')`,
		`UPDATE issues SET token_serial = 'TW20260302000001' WHERE id = 'i1'`,
		`INSERT INTO ocsp_responses (serial, der) VALUES ('` + serialA + `', x'04')`,
	} {
		if _, err := db.write.ExecContext(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	l := NewLedger(db)
	rows := func() map[string]map[string]any {
		out := map[string]map[string]any{}
		list, err := db.write.QueryxContext(ctx, `SELECT * FROM issues`)
		if err != nil {
			t.Fatal(err)
		}
		defer list.Close()
		for list.Next() {
			row := map[string]any{}
			if err := list.MapScan(row); err != nil {
				t.Fatal(err)
			}
			delete(row, "renews")
			out[row["id"].(string)] = row
		}
		if err := list.Err(); err != nil {
			t.Fatal(err)
		}
		return out
	}
	before := rows()
	if _, err := provider.Up(ctx); err != nil {
		t.Fatal(err)
	}
	wantSame(t, "issues", before, rows())
	var broken []string
	if err := db.write.SelectContext(ctx, &broken, `SELECT "table" FROM pragma_foreign_key_check`); err != nil || len(broken) != 0 {
		t.Errorf("rows that refer to nothing: %v, %v", broken, err)
	}
	if _, err := db.write.ExecContext(ctx, `DELETE FROM issues WHERE id = 'i1'`); !isForeignKey(err) {
		t.Errorf("an issue with a USBKEY is deleted: %v", err)
	}
	reused := advanced(requested("i3", "item3"), serialB, "key1")
	reused.TokenSerial = ""
	if _, err := l.OpenIssue(ctx, reused); !errors.Is(err, issuance.ErrKeyReused) {
		t.Errorf("a key from before: %v", err)
	}
	reused.Renews = serialA
	if _, err := l.OpenIssue(ctx, reused); err != nil {
		t.Errorf("a renewal of one from before: %v", err)
	}
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
