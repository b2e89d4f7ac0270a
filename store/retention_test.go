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

// keeper is the registration authority with nothing but its database and a clock.
type keeper struct {
	*order.Service
	db  *DB
	now time.Time
	ids int
}

func newKeeper(db *DB) *keeper {
	k := &keeper{db: db, now: t0.Truncate(time.Millisecond)}
	k.Service = order.NewService(order.Deps{Store: db, Catalogue: func() order.Catalogue { return order.Catalogue{} }, Now: func() time.Time { return k.now }, NewID: func() string {
		k.ids++
		return fmt.Sprintf("01KEEP%020d", k.ids)
	}})
	return k
}

// retain does what the sweep and the purge job do; it returns the orders purged.
func (k *keeper) retain(t *testing.T) (purged []order.ID) {
	t.Helper()
	if err := k.Retain(t.Context()); err != nil {
		t.Fatal(err)
	}
	var asked []struct {
		ID order.ID `db:"ref"`
	}
	ref := `json_extract(args, '$.ref')`
	if k.db.pool != nil {
		ref = `args->>'ref'`
	}
	if err := k.db.all(t.Context(), &asked, `SELECT DISTINCT `+ref+` AS ref FROM river_job WHERE kind = 'purge' ORDER BY 1`); err != nil {
		t.Fatal(err)
	}
	for _, a := range asked {
		if _, ok, err := k.Purgeable(t.Context(), a.ID); err != nil {
			t.Fatal(err)
		} else if ok {
			if err := k.Purge(t.Context(), a.ID); err != nil {
				t.Fatal(err)
			}
			purged = append(purged, a.ID)
		}
	}
	return purged
}

// dump is everything in the database, as somebody reads it who has the keys.
func dump(t *testing.T, db *DB) string {
	t.Helper()
	list := `SELECT name FROM sqlite_master WHERE type = 'table'`
	if db.pool != nil {
		list = `SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'`
	}
	var tables []string
	if err := db.all(t.Context(), &tables, list); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, table := range tables {
		all = append(all, dumpTable(t, db, table)...)
	}
	slices.Sort(all)
	return strings.Join(all, "")
}

func dumpTable(t *testing.T, db *DB, table string) (cells []string) {
	t.Helper()
	rows, err := db.read.QueryxContext(t.Context(), `SELECT * FROM `+table)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		row := map[string]any{}
		if err := rows.MapScan(row); err != nil {
			t.Fatal(err)
		}
		for column, value := range row {
			if b, ok := value.([]byte); ok {
				value = string(b)
				if open, err := db.seal.openBytes(b, cell{table, column, fmt.Sprint(row["id"])}); err == nil && open != nil {
					value = string(open)
				}
			}
			cells = append(cells, fmt.Sprintf("%s.%s=%v\n", table, column, value))
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return cells
}

// The people of the tests, and everything by which they could be found.
const (
	agentName, agentNo, repName, repNo, repMobile = "王小琪", "110101199003070011", "段正明", "11010519491231002X", "13800000021"
	openID, pictureOf, biddingFor                 = "oOPENID0001", "01PICTURE", "三期风电塔筒采购"
)

// What cannot be erased steps back, so that a hundred such hold nothing else up.
func TestRetentionThatFails(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		k := newKeeper(db)
		certificateEnds := k.now.AddDate(1, 0, 0)
		k.person(t, certificateEnds)
		if _, err := db.write.Exec(`UPDATE orders SET consent = 'no JSON' WHERE id = 'o1'`); err != nil {
			t.Fatal(err)
		}
		k.now = certificateEnds.AddDate(5, 0, 1)
		if err := k.Retain(t.Context()); err == nil || !strings.Contains(err.Error(), "retention of order o1") {
			t.Fatalf("nobody is told: %v", err)
		}
		for wait, want := range map[time.Duration]int{59 * time.Minute: 0, time.Hour: 1} {
			if due, err := db.DueKept(t.Context(), k.now.Add(wait), 9); err != nil || len(due) != want {
				t.Errorf("%s later %v are due, %v", wait, due, err)
			}
		}
	})
}

func TestPersonIsForgottenWhenHisTimeHasPassed(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		k := newKeeper(db)
		index, err := db.seal.index(indexMobile, mobile.Reveal())
		if err != nil {
			t.Fatal(err)
		}
		repIndex, err := db.seal.index(indexMobile, repMobile)
		if err != nil {
			t.Fatal(err)
		}
		canaries := []string{agentName, agentNo, mobile.Reveal(), mobile.Mask(), index, repName, repNo, repMobile, repIndex, openID, pictureOf, biddingFor, "请尽快"}
		certificateEnds := k.now.AddDate(1, 0, 0)
		k.person(t, certificateEnds)
		for _, c := range canaries {
			if !strings.Contains(dump(t, db), c) {
				t.Fatalf("%s is nowhere to be found before", c)
			}
		}

		k.now = certificateEnds.AddDate(5, 0, 0).Add(-time.Hour)
		if purged := k.retain(t); len(purged) != 0 {
			t.Fatalf("purged an hour too early: %v", purged)
		}
		k.now = k.now.Add(2 * time.Hour)
		if purged := k.retain(t); !slices.Equal(purged, []order.ID{"o1"}) {
			t.Fatalf("purged %v, want the order", purged)
		}
		for range 3 { // nothing needs the person any more, which the next look finds
			k.now = k.now.Add(order.FirstLook + time.Hour)
			k.retain(t)
		}
		left := dump(t, db)
		for _, c := range canaries {
			if i := strings.Index(left, c); i >= 0 {
				t.Errorf("found %s in %q", c, left[max(0, i-60):i+20])
			}
		}
		// What is no personal data stays: the certificate, the history, the proof of consent to nobody.
		for _, kept := range []string{"issues.serial=" + strings.Repeat("A", 40), "order_events.event=confirm", "orders.no=SAAS120261123103000000001"} {
			if !strings.Contains(left, kept) {
				t.Errorf("%s is gone", kept)
			}
		}
		if n := strings.Count(left, "audit.action=erase\n"); n != 3 { // the order, the words of the chat, the person
			t.Errorf("%d audit lines of erasures, want 3", n)
		}
		if err := db.VerifyAudit(t.Context(), nil); err != nil {
			t.Error(err)
		}
		k.now = k.now.AddDate(1, 0, 0)
		if k.retain(t); dump(t, db) != left {
			t.Error("the second time changes something")
		}
		// Whoever comes back with the same mobile is somebody new.
		if p := insertPerson(t, db, "person9", mobile); p.ID != "person9" {
			t.Errorf("the mobile still leads to %s", p.ID)
		}
	})
}

// person makes a completed order with everything that is kept about a person.
func (k *keeper) person(t *testing.T, ends time.Time) {
	t.Helper()
	insertPerson(t, k.db, "person1", mobile)
	o := draft("o1")
	o.No, o.PersonID, o.DraftToken, o.Status = "SAAS120261123103000000001", "person1", "", order.Completed
	o.Form = order.NewForm(map[order.Field]string{order.AgentName: agentName, order.AgentMobile: mobile.Reveal(), order.IDNo: agentNo, order.IDFront: pictureOf})
	o.Consent = order.Consent{Version: "1", IP: "192.0.2.7"}
	insertOrders(t, k.db, o)
	inTx(t, k.db, func(tx order.Tx) error {
		ctx := t.Context()
		told := order.Notification{ID: "n1", OrderID: "o1", Seq: 1, Notice: order.NoticeShipped, Medium: order.SMS, State: order.DeliverySent, Told: mobile.Mask(), CreatedAt: k.now}
		if _, err := tx.InsertNotification(ctx, told); err != nil {
			return err
		}
		return errors.Join(
			tx.LinkWeChat(ctx, order.WeChatIdentity{AppID: "wx1", OpenID: openID, PersonID: "person1", UpdatedAt: k.now}),
			tx.ReplaceItems(ctx, "o1", []order.Item{{ID: "i1", OrderID: "o1", N: 1, Stage: order.ItemWaiting, UpdatedAt: k.now}}),
			tx.UpdateItem(ctx, order.Item{ID: "i1", OrderID: "o1", N: 1, Stage: order.ItemVerified, TokenSerial: "TW1", CertSerial: strings.Repeat("A", 40), UpdatedAt: k.now}, order.ItemWaiting),
			tx.AppendEvent(ctx, order.EventRecord{OrderID: "o1", Seq: 1, Event: order.Confirm, Role: order.Applicant, At: k.now}),
			tx.InsertAuthorization(ctx, order.Authorization{
				ID: "a1", OrderID: "o1", State: order.AtSigned, Rev: 1, Signer: order.LegalSigner{Name: repName, No: repNo, Mobile: repMobile}, CreatedAt: k.now, UpdatedAt: k.now,
				Proof: order.Proof{Signed: order.Device{OpenID: openID}}, Letter: pictureOf + "-letter",
			}),
			tx.InsertUpload(ctx, "o1", pictureOf+"-replaced", "", k.now),
			tx.(*Tx).InsertOpening(ctx, certificate.Opening{ID: "op1", Serial: strings.Repeat("A", 40), Project: biddingFor, At: k.now, OrderID: "o1", Seq: 1, CreatedAt: k.now}),
		)
	})
	if _, err := k.db.Enquire(t.Context(), order.Enquiry{ID: "e1", PersonID: "person1", Said: agentName + "请尽快", DueAt: k.now, CreatedAt: k.now}); err != nil {
		t.Fatal(err)
	}
	_, err := k.db.write.ExecContext(t.Context(), k.db.write.Rebind(`
		INSERT INTO issues (id, item, snapshot_hash, profile, company, uscc, years, stage, serial, not_before, not_after, created_at, updated_at)
		VALUES ('is1', 'i1', ?, 'p', '新疆运达有限公司', '91110108MA00TEN18F', 1, 'verified', ?, ?, ?, ?, ?)`),
		[]byte{1}, strings.Repeat("A", 40), dbTime(k.now), dbTime(ends), dbTime(k.now), dbTime(k.now))
	if err != nil {
		t.Fatal(err)
	}
}

// Who is kept how long, and that the purge knows every object.
func TestRetentionOfOrders(t *testing.T) {
	final := func(s order.Status) func(*order.Order) {
		return func(o *order.Order) { o.Status, o.PersonID, o.DraftToken = s, "person1", "" }
	}
	at := t0.Truncate(time.Millisecond)
	tests := []struct {
		name   string
		change func(*order.Order)
		ends   time.Time // of its certificate
		want   time.Time
	}{
		{"a draft of nobody", func(*order.Order) {}, time.Time{}, at.AddDate(0, 0, 30)},
		{"a draft of a person", final(order.Draft), time.Time{}, at.AddDate(0, 6, 0)},
		{"in review", final(order.InReview), time.Time{}, time.Time{}},
		{"to be put right", func(o *order.Order) { final(order.Rejected)(o); o.Stage = order.Fixable }, time.Time{}, time.Time{}},
		{"closed", func(o *order.Order) { final(order.Rejected)(o); o.Stage = order.Closed }, time.Time{}, at.AddDate(0, 6, 0)},
		{"refunded", final(order.Refunded), time.Time{}, at.AddDate(0, 6, 0)},
		{"completed", final(order.Completed), at.AddDate(2, 0, 0), at.AddDate(7, 0, 0)},
		{"money is still owed", func(o *order.Order) { final(order.Completed)(o); o.Refund = order.Refunding }, at.AddDate(2, 0, 0), time.Time{}},
	}
	eachDB(t, func(t *testing.T, db *DB) {
		insertPerson(t, db, "person1", mobile)
		for i, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				o := draft(order.ID(fmt.Sprintf("o%d", i)))
				tt.change(&o)
				o.Form = o.Form.With(order.LicenseImage, "01LICENSE")
				insertOrders(t, db, o)
				if !tt.ends.IsZero() {
					serial := fmt.Sprintf("%040d", i)
					_, err := db.write.ExecContext(t.Context(), db.write.Rebind(`
						INSERT INTO issues (id, item, snapshot_hash, profile, company, uscc, years, stage, serial, not_before, not_after, revoked_at, created_at, updated_at)
						VALUES (?, ?, ?, 'p', 'c', 'u', 1, 'verified', ?, ?, ?, ?, ?, ?)`),
						serial, serial, []byte{1}, serial, dbTime(at), dbTime(tt.ends), dbTime(at), dbTime(at), dbTime(at))
					if err != nil {
						t.Fatal(err)
					}
					inTx(t, db, func(tx order.Tx) error {
						it := order.Item{ID: serial, OrderID: o.ID, N: 1, Stage: order.ItemWaiting, UpdatedAt: at}
						if err := tx.ReplaceItems(t.Context(), o.ID, []order.Item{it}); err != nil {
							return err
						}
						it.CertSerial = serial
						return tx.UpdateItem(t.Context(), it, order.ItemWaiting)
					})
				}
				inTx(t, db, func(tx order.Tx) error { return tx.InsertUpload(t.Context(), o.ID, "01OLD", "", at) })
				inTx(t, db, func(tx order.Tx) error { return tx.InsertUpload(t.Context(), o.ID, "01OLD", "", at) })
				k, err := db.Kept(t.Context(), o.ID)
				if err != nil || !k.Until().Equal(tt.want) {
					t.Errorf("kept until %s, want %s; %v", k.Until(), tt.want, err)
				}
				if want := []string{"01LICENSE"}; !slices.Contains(k.Objects, want[0]) || slices.Contains(k.Objects, "") {
					t.Errorf("objects %v", k.Objects)
				}
			})
		}
	})
}

// An abandoned draft goes, one that was saved meanwhile stays; doing it twice, or
// dying in between, changes nothing.
func TestAbandonedDraftsGo(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		k := newKeeper(db)
		insertOrders(t, db, draft("old"), draft("new"))
		if n, err := db.CountDrafts(t.Context(), "", "token-of-old"); err != nil || n != 1 {
			t.Fatalf("%d drafts, %v", n, err)
		}
		k.now = k.now.AddDate(0, 0, 29)
		inTx(t, db, func(tx order.Tx) error {
			was, err := tx.Order(t.Context(), "new")
			if err != nil {
				return err
			}
			o := was
			o.Rev, o.UpdatedAt = o.Rev+1, k.now
			return tx.UpdateOrder(t.Context(), o, was)
		})
		k.now = k.now.AddDate(0, 0, 2)
		for range 2 { // the process died before the job ran: the job is still there
			if err := k.Retain(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if purged := k.retain(t); !slices.Equal(purged, []order.ID{"old"}) {
			t.Fatalf("purged %v", purged)
		}
		if purged := k.retain(t); len(purged) != 1 { // the job may run again; it finds nothing left
			t.Errorf("again: %v", purged)
		}
		if o, err := db.Order(t.Context(), "new"); err != nil || o.Form.Get(order.AgentName) == "" {
			t.Errorf("the other draft: %v, %v", o.Form, err)
		}
		if n, err := db.CountDrafts(t.Context(), "", "token-of-old"); err != nil || n != 0 {
			t.Errorf("%d drafts left, %v", n, err)
		}
		events, err := db.Events(t.Context(), "old")
		if err != nil || len(events) != 1 || events[0].Event != order.Delete || events[0].Role != order.System {
			t.Errorf("history %v, %v", events, err)
		}
	})
}
