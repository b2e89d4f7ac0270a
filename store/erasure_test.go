package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/order"
)

// rules.md 3.2 (6): what no law keeps goes when its person asks, the rest is only kept.
func TestErasureIsAskedFor(t *testing.T) {
	owner, stranger := order.Actor{Role: order.Applicant, PersonID: "person1"}, order.Actor{Role: order.Applicant, PersonID: "person2"}
	at := t0.Truncate(time.Millisecond)
	tests := []struct {
		name    string
		state   order.State
		ends    time.Time // of its certificate
		revoked certificate.Reason
		refused string
		until   time.Time
	}{
		{name: "a draft", state: order.State{Status: order.Draft}, refused: "erase_draft"},
		{name: "in review", state: order.State{Status: order.InReview}, refused: "erase_open"},
		{name: "to be put right", state: order.State{Status: order.Rejected, Stage: order.Fixable}, refused: "erase_open"},
		{name: "its certificate is in force", state: order.State{Status: order.Completed}, ends: at.AddDate(1, 0, 0), refused: "erase_in_force"},
		{name: "its certificate is over", state: order.State{Status: order.Completed}, ends: at.AddDate(0, -1, 0), until: at.AddDate(5, -1, 0)},
		{name: "its certificate is revoked before its end", state: order.State{Status: order.Completed}, ends: at.AddDate(1, 0, 0), revoked: certificate.KeyCompromise, until: at.AddDate(6, 0, 0)},
		{name: "its certificate is frozen", state: order.State{Status: order.Completed}, ends: at.AddDate(1, 0, 0), revoked: certificate.Hold, refused: "erase_in_force"},
		{name: "closed", state: order.State{Status: order.Rejected, Stage: order.Closed}, until: at},
		{name: "paid back", state: order.State{Status: order.Refunded}, until: at},
	}
	eachDB(t, func(t *testing.T, db *DB) {
		insertPerson(t, db, "person1", mobile)
		for i, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				k := newKeeper(db)
				o := draft(order.ID(fmt.Sprintf("o%d", i)))
				o.PersonID, o.DraftToken, o.State = "person1", "", tt.state
				o.Form = order.NewForm(map[order.Field]string{order.AgentName: agentName, order.IDFront: pictureOf})
				insertOrders(t, db, o)
				if !tt.ends.IsZero() {
					issued(t, db, o.ID, fmt.Sprintf("%040d", i), tt.ends)
				}
				if tt.revoked != 0 {
					_, err := db.write.ExecContext(t.Context(), db.write.Rebind(`UPDATE issues SET revoked_at = ?, revocation_reason = ? WHERE serial = ?`), dbTime(at), tt.revoked, fmt.Sprintf("%040d", i))
					if err != nil {
						t.Fatal(err)
					}
				}
				if _, err := k.AskErasure(t.Context(), o.ID, stranger); !errors.Is(err, order.NotFound) {
					t.Fatalf("a stranger's: %v", err)
				}
				can, err := k.Erasable(t.Context(), read(t, db, o.ID))
				if err != nil || can != (tt.refused == "") {
					t.Errorf("erasable %v, %v", can, err)
				}
				p, err := k.AskErasure(t.Context(), o.ID, owner)
				if tt.refused != "" {
					if e, ok := order.AsError(err); !ok || e.Code != tt.refused || e.Kind != order.Conflict || !read(t, db, o.ID).EraseAskedAt.IsZero() {
						t.Fatalf("%v, want %s and nothing changed", err, tt.refused)
					}
					return
				}
				if err != nil || !p.Until.Equal(tt.until) {
					t.Fatalf("kept until %s, %v; want %s", p.Until, err, tt.until)
				}
				k.now = k.now.Add(time.Hour)
				if again, err := k.AskErasure(t.Context(), o.ID, owner); err != nil || again != p {
					t.Errorf("asked twice: %+v, %v; want %+v", again, err, p)
				}
				gone := slices.Contains(k.retain(t), o.ID)
				if now := !tt.until.After(at); gone != now {
					t.Fatalf("gone %v, want %v", gone, now)
				}
				ps, err := k.Promises(t.Context(), []order.Order{read(t, db, o.ID)})
				if err != nil || ps[0].Gone != gone {
					t.Errorf("promise %+v, %v", ps, err)
				}
				k.now = tt.until.Add(time.Hour)
				k.retain(t)
				if left := read(t, db, o.ID); left.Form.Get(order.AgentName) != "" {
					t.Error("the name is still there when the time has passed")
				}
			})
		}
		if left := dump(t, db); strings.Count(left, "audit.action=erase_asked\n") != 4 {
			t.Error("an erasure is not in the audit trail, or twice")
		}
	})
}

// read is an order as it is now.
func read(t *testing.T, db *DB, id order.ID) order.Order {
	t.Helper()
	o, err := db.Order(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// issued gives an order a certificate that ends at ends.
func issued(t *testing.T, db *DB, id order.ID, serial string, ends time.Time) {
	t.Helper()
	begins := dbTime(ends.AddDate(-1, 0, 0))
	_, err := db.write.ExecContext(t.Context(), db.write.Rebind(`
		INSERT INTO issues (id, item, snapshot_hash, profile, company, uscc, years, stage, serial, not_before, not_after, created_at, updated_at)
		VALUES (?, ?, ?, 'p', 'c', 'u', 1, 'verified', ?, ?, ?, ?, ?)`), serial, serial, []byte{1}, serial, begins, dbTime(ends), begins, begins)
	if err != nil {
		t.Fatal(err)
	}
	inTx(t, db, func(tx order.Tx) error {
		it := order.Item{ID: serial, OrderID: id, N: 1, Stage: order.ItemWaiting, UpdatedAt: begins}
		if err := tx.ReplaceItems(t.Context(), id, []order.Item{it}); err != nil {
			return err
		}
		it.CertSerial = serial
		return tx.UpdateItem(t.Context(), it, order.ItemWaiting)
	})
}

// What the sweep has erased cannot be asked to go once more: it would come back to life
// in the sweep, and keep its person from closing his account.
func TestErasedIsNotAskedFor(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		k := newKeeper(db)
		insertPerson(t, db, "person1", mobile)
		o := draft("o1")
		o.PersonID, o.DraftToken, o.State = "person1", "", order.State{Status: order.Rejected, Stage: order.Closed}
		insertOrders(t, db, o)
		k.now = k.now.AddDate(0, 6, 1)
		if purged := k.retain(t); len(purged) != 1 {
			t.Fatalf("purged %v", purged)
		}
		if can, err := k.Erasable(t.Context(), read(t, db, "o1")); can || err != nil {
			t.Errorf("erasable %v, %v", can, err)
		}
		_, err := k.AskErasure(t.Context(), "o1", order.Actor{Role: order.Applicant, PersonID: "person1"})
		if e, ok := order.AsError(err); !ok || e.Code != "erase_gone" || k.NeededAccount(t.Context(), "person1") != nil {
			t.Errorf("asked: %v", err)
		}
	})
}

// Who has asked for erasure is not copied into a new form by us.
func TestErasedDataIsNotFilledIn(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		k := newKeeper(db)
		insertPerson(t, db, "person1", mobile)
		o := draft("o1")
		o.PersonID, o.DraftToken, o.Status, o.USCC = "person1", "", order.Completed, "91110108MA00TEN18F"
		insertOrders(t, db, o)
		issued(t, db, o.ID, strings.Repeat("A", 40), k.now.Add(-time.Hour))
		about := order.About{OrderID: "o1", PersonID: "person1", USCC: o.USCC}
		if was, err := k.Earlier(t.Context(), about); err != nil || was.ID != "o1" {
			t.Fatalf("before: %q, %v", was.ID, err)
		}
		if _, err := k.AskErasure(t.Context(), "o1", order.Actor{Role: order.Applicant, PersonID: "person1"}); err != nil {
			t.Fatal(err)
		}
		if was, err := k.Earlier(t.Context(), about); err != nil || was.ID != "" {
			t.Errorf("after: %q, %v; want no order", was.ID, err)
		}
	})
}

// An account is closed at once when nothing needs it, and not before.
func TestAccountIsClosed(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		k := newKeeper(db)
		owner := order.Actor{Role: order.Applicant, PersonID: "person1"}
		insertPerson(t, db, "person1", mobile)
		inTx(t, db, func(tx order.Tx) error {
			return tx.LinkWeChat(t.Context(), order.WeChatIdentity{AppID: "wx1", OpenID: openID, PersonID: "person1", UpdatedAt: k.now})
		})
		o := draft("o1")
		o.PersonID, o.DraftToken, o.State = "person1", "", order.State{Status: order.Rejected, Stage: order.Closed}
		insertOrders(t, db, o)
		if err := k.CloseAccount(t.Context(), owner); !errors.Is(err, order.Conflict) || !errors.Is(k.NeededAccount(t.Context(), "person1"), order.Conflict) {
			t.Fatalf("with an order that is kept: %v", err)
		}
		if _, err := k.AskErasure(t.Context(), "o1", owner); err != nil {
			t.Fatal(err)
		}
		if purged := k.retain(t); len(purged) != 1 {
			t.Fatalf("purged %v", purged)
		}
		if err := errors.Join(k.NeededAccount(t.Context(), "person1"), k.CloseAccount(t.Context(), owner)); err != nil {
			t.Fatal(err)
		}
		left := dump(t, db)
		for _, gone := range []string{mobile.Reveal(), openID} {
			if strings.Contains(left, gone) {
				t.Errorf("%s is still there", gone)
			}
		}
		for _, kept := range []string{"audit.action=close_account\n", "river_job.kind=end_sessions\n"} {
			if !strings.Contains(left, kept) {
				t.Errorf("no %s", kept)
			}
		}
	})
}

// Everybody of our staff who saw an order's data is listed, and nothing else.
func TestLooksArePaged(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		at := t0.Truncate(time.Millisecond)
		line := func(id order.ID, action, outcome string, after time.Duration) {
			inTx(t, db, func(tx order.Tx) error {
				return tx.AppendAudit(t.Context(), order.AuditRecord{OrderID: id, Action: action, ActorID: "s1", Role: order.Reviewer, Outcome: outcome, At: at.Add(after)})
			})
		}
		for i := range 4 {
			line("o1", order.ActionSee+"materials", "ok", time.Duration(i/2)*time.Second) // two in the same moment
		}
		line("o1", order.ActionUnmask+"compare", "ok", 9*time.Second)
		line("o1", order.ActionDownload+"letter.pdf", "ok", 8*time.Second)
		line("o1", order.ActionUnmask+"compare", "too_many", 7*time.Second) // refused: nothing was seen
		line("o1", "approve", "ok", 7*time.Second)
		line("o2", order.ActionSee+"materials", "ok", 7*time.Second)
		var got []string
		seen := map[string]bool{}
		for after, pages := (order.Cursor{}), 0; ; pages++ {
			page, err := db.Looks(t.Context(), "o1", after, 2)
			if err != nil || pages > 5 {
				t.Fatalf("page %d: %v", pages, err)
			}
			for _, l := range page.Looks {
				got, seen[l.ID] = append(got, fmt.Sprint(l.Action, " ", l.At.Sub(at))), true
			}
			if after = page.Next; after == (order.Cursor{}) {
				break
			}
		}
		want := []string{"unmask:compare 9s", "download:letter.pdf 8s", "see:materials 1s", "see:materials 1s", "see:materials 0s", "see:materials 0s"}
		if !slices.Equal(got, want) || len(seen) != len(want) {
			t.Errorf("looks %q of %d lines, want %q", got, len(seen), want)
		}
		if _, err := db.Looks(t.Context(), "o1", order.Cursor{At: at, ID: "x"}, 2); !errors.Is(err, order.Invalid) {
			t.Errorf("a cursor that is none: %v", err)
		}
	})
}
