package store

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

func TestItems(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		at := t0.Truncate(time.Millisecond)
		insertOrders(t, db, draft("o1"))
		items := []order.Item{
			{ID: "i1", OrderID: "o1", N: 1, Seal: order.UnitSeal, Stage: order.ItemWaiting, UpdatedAt: at},
			{ID: "i2", OrderID: "o1", N: 2, Stage: order.ItemWaiting, UpdatedAt: at},
		}
		inTx(t, db, func(tx order.Tx) error {
			return tx.ReplaceItems(t.Context(), "o1", []order.Item{{ID: "i0", OrderID: "o1", N: 1, Stage: order.ItemWaiting}})
		})
		inTx(t, db, func(tx order.Tx) error { return tx.ReplaceItems(t.Context(), "o1", items) })
		got, err := db.Items(t.Context(), "o1")
		if err != nil {
			t.Fatal(err)
		}
		wantSame(t, "items", items, got)

		insertOrders(t, db, draft("o2"))
		others := []order.Item{{ID: "i3", OrderID: "o2", N: 1, Stage: order.ItemWaiting, UpdatedAt: at}}
		inTx(t, db, func(tx order.Tx) error { return tx.ReplaceItems(t.Context(), "o2", others) })
		if got, err = db.Items(t.Context(), "o2", "o1", "nope"); err != nil {
			t.Fatal(err)
		}
		wantSame(t, "items of several orders", append(slices.Clone(items), others...), got)
		if got, err = db.Items(t.Context()); err != nil || got != nil {
			t.Errorf("items of no order: %v, %v", got, err)
		}

		done := items[0]
		done.Stage, done.Attempt, done.TokenSerial, done.CertSerial, done.Note = order.ItemVerified, 2, "TW1", "AB", "n"
		inTx(t, db, func(tx order.Tx) error { return tx.UpdateItem(t.Context(), done, order.ItemWaiting) })
		one, err := db.Item(t.Context(), "i1")
		if err != nil {
			t.Fatal(err)
		}
		wantSame(t, "item", done, one)
		err = db.InTx(t.Context(), func(tx order.Tx) error { return tx.UpdateItem(t.Context(), done, order.ItemWaiting) })
		wantKind(t, "second UpdateItem", err, order.Conflict)
		err = db.InTx(t.Context(), func(tx order.Tx) error { return tx.ReplaceItems(t.Context(), "o1", items) })
		wantKind(t, "ReplaceItems of a made one", err, order.Conflict)
		if got, err := db.Items(t.Context(), "o1"); err != nil || len(got) != 2 {
			t.Errorf("refused replacement left %d items, %v", len(got), err)
		}
		_, err = db.Item(t.Context(), "nope")
		wantKind(t, "Item(nope)", err, order.NotFound)
	})
}

// F125: the history keeps its order and cannot be rewritten, not even by us.
func TestEvents(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		insertOrders(t, db, draft("o1"))
		var want []order.EventRecord
		for seq := range int64(3) {
			want = append(want, order.EventRecord{
				OrderID: "o1", Seq: seq + 1, Event: order.Claim, From: order.State{Status: order.InReview, Stage: order.Queued},
				To: order.State{Status: order.InReview, Stage: order.Claimed}, ActorID: "s1", Role: order.Reviewer, Channel: order.Web, Note: "n", At: t0.Truncate(time.Millisecond),
			})
		}
		inTx(t, db, func(tx order.Tx) error {
			return errors.Join(tx.AppendEvent(t.Context(), want[2]), tx.AppendEvent(t.Context(), want[0]), tx.AppendEvent(t.Context(), want[1]))
		})
		got, err := db.Events(t.Context(), "o1")
		if err != nil {
			t.Fatal(err)
		}
		wantSame(t, "events", want, got)
		if err := db.InTx(t.Context(), func(tx order.Tx) error { return tx.AppendEvent(t.Context(), want[0]) }); err == nil {
			t.Error("one sequence number was used twice")
		}
		for _, stmt := range []string{`UPDATE order_events SET note = 'x'`, `DELETE FROM order_events`} {
			if _, err := db.write.Exec(stmt); err == nil {
				t.Errorf("%s succeeded", stmt)
			}
		}
	})
}

// staffMember makes a person on the staff.
func staffMember(t testing.TB, db *DB, id string, m identity.Mobile, roles ...order.Role) order.Staff {
	t.Helper()
	p := insertPerson(t, db, "person-"+id, m)
	s := order.Staff{ID: id, PersonID: p.ID, Name: "李审核", Roles: roles, Company: "c", TOTPSecret: "JBSWY3DPEHPK3PXP", CreatedAt: t0.Truncate(time.Millisecond)}
	inTx(t, db, func(tx order.Tx) error { return tx.SaveStaff(t.Context(), s) })
	return s
}

// Reliability 25, F124: four eyes are held up by the database itself.
func TestApprovals(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		insertOrders(t, db, draft("o1"))
		insertPerson(t, db, "applicant", mobile)
		staffMember(t, db, "s1", identity.NewMobile("13800000001"), order.Reviewer)
		staffMember(t, db, "s2", identity.NewMobile("13800000002"), order.Reviewer)
		ok := order.Approval{OrderID: "o1", Submission: 1, Step: 1, StaffID: "s1", PersonID: "person-s1", ApplicantID: "applicant", Snapshot: "h", At: t0.Truncate(time.Millisecond)}
		tests := []struct {
			name   string
			change func(a *order.Approval)
			want   order.Kind // empty: accepted
		}{
			{"own order", func(a *order.Approval) { a.ApplicantID = a.PersonID }, order.Forbidden},
			{"first", func(*order.Approval) {}, ""},
			{"again", func(*order.Approval) {}, order.Conflict},
			{"same person as second approver", func(a *order.Approval) { a.Step = 2 }, order.Conflict},
			{"same person under another staff id", func(a *order.Approval) { a.Step, a.StaffID = 2, "s2" }, order.Conflict},
			{"another person in the same step", func(a *order.Approval) { a.StaffID, a.PersonID = "s2", "person-s2" }, order.Conflict},
			{"second person", func(a *order.Approval) { a.Step, a.StaffID, a.PersonID = 2, "s2", "person-s2" }, ""},
			{"next submission", func(a *order.Approval) { a.Submission = 2 }, ""},
		}
		var want []order.Approval
		for _, tt := range tests {
			a := ok
			tt.change(&a)
			err := db.InTx(t.Context(), func(tx order.Tx) error { return tx.InsertApproval(t.Context(), a) })
			if tt.want != "" {
				wantKind(t, tt.name, err, tt.want)
				continue
			}
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			want = append(want, a)
		}
		got, err := db.Approvals(t.Context(), "o1")
		if err != nil {
			t.Fatal(err)
		}
		wantSame(t, "approvals", want, got)
	})
}

// Fifty approvals by one person at once are one vote (reliability 25).
func TestOneVote(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		insertOrders(t, db, draft("o1"))
		insertPerson(t, db, "applicant", mobile)
		staffMember(t, db, "s1", identity.NewMobile("13800000001"), order.Reviewer)
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				a := order.Approval{OrderID: "o1", Submission: 1, Step: 1 + i%2, StaffID: "s1", PersonID: "person-s1", ApplicantID: "applicant", At: t0}
				err := db.InTx(context.Background(), func(tx order.Tx) error { return tx.InsertApproval(context.Background(), a) })
				if err != nil && !errors.Is(err, order.Conflict) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if got, err := db.Approvals(t.Context(), "o1"); err != nil || len(got) != 1 {
			t.Errorf("%d votes, %v; want 1", len(got), err)
		}
	})
}

func TestPayments(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		at := t0.Truncate(time.Millisecond)
		insertOrders(t, db, draft("o1"))
		first := order.Payment{TradeNo: "t1", OrderID: "o1", Amount: 60000, State: order.PaymentPending, Channel: order.Alipay, Way: order.PayByQRCode, CreatedAt: at, ExpiresAt: at.Add(2 * time.Hour), NextQuery: at.Add(10 * time.Second), UpdatedAt: at}
		second := first
		second.TradeNo, second.CreatedAt, second.NextQuery = "t2", at.Add(time.Second), at.Add(5*time.Second)
		idle := first
		idle.TradeNo, idle.CreatedAt, idle.NextQuery = "t3", at.Add(2*time.Second), time.Time{}
		inTx(t, db, func(tx order.Tx) error {
			return errors.Join(tx.InsertPayment(t.Context(), first), tx.InsertPayment(t.Context(), second), tx.InsertPayment(t.Context(), idle))
		})
		got, err := db.Payments(t.Context(), "o1")
		if err != nil {
			t.Fatal(err)
		}
		wantSame(t, "payments", []order.Payment{first, second, idle}, got)

		due := func(now time.Time, limit int) (nos []string) {
			ps, err := db.DueQueries(t.Context(), now, limit)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range ps {
				nos = append(nos, p.TradeNo)
			}
			return nos
		}
		wantSame(t, "due before", []string(nil), due(at.Add(4*time.Second), 10))
		wantSame(t, "due", []string{"t2", "t1"}, due(at.Add(10*time.Second), 10))
		wantSame(t, "due, limited", []string{"t2"}, due(at.Add(10*time.Second), 1))

		paid := first
		paid.State, paid.CodeURL, paid.TransactionID, paid.PaidAt, paid.RefundNo, paid.RefundReason, paid.Queries, paid.NextQuery = order.PaymentPaid, "https://qr.alipay.com/x", "420000", at, "R1", "r", 3, time.Time{}
		inTx(t, db, func(tx order.Tx) error { return tx.UpdatePayment(t.Context(), paid, order.PaymentPending) })
		one, err := db.Payment(t.Context(), "t1")
		if err != nil {
			t.Fatal(err)
		}
		wantSame(t, "payment", paid, one)
		wantSame(t, "due after payment", []string{"t2"}, due(at.Add(10*time.Second), 10))
		closed := second
		closed.State, closed.NextQuery = order.PaymentClosed, at.Add(2*time.Hour)
		inTx(t, db, func(tx order.Tx) error { return tx.UpdatePayment(t.Context(), closed, order.PaymentPending) })
		wantSame(t, "due after the close", []string(nil), due(at.Add(time.Hour), 10))
		wantSame(t, "the last question", []string{"t2"}, due(at.Add(2*time.Hour), 10))
		err = db.InTx(t.Context(), func(tx order.Tx) error { return tx.UpdatePayment(t.Context(), paid, order.PaymentPending) })
		wantKind(t, "UpdatePayment from pending", err, order.Conflict)
		_, err = db.Payment(t.Context(), "nope")
		wantKind(t, "Payment(nope)", err, order.NotFound)

		// Money is booked once per trade and kind, however often it is heard of.
		for range 3 {
			inTx(t, db, func(tx order.Tx) error {
				return tx.AppendLedger(t.Context(), order.LedgerEntry{TradeNo: "t1", OrderID: "o1", Kind: "paid", Amount: 60000, At: at})
			})
		}
		var sum int64
		if err := db.get(t.Context(), &sum, `SELECT sum(amount) FROM ledger`); err != nil || sum != 60000 {
			t.Errorf("booked %d, %v; want 60000", sum, err)
		}
	})
}

func TestPeople(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		p := insertPerson(t, db, "p1", mobile)
		again := insertPerson(t, db, "p2", mobile)
		wantSame(t, "same mobile, same person", p, again)
		got, err := db.Person(t.Context(), "p1")
		if err != nil || got.Mobile.Reveal() != mobile.Reveal() {
			t.Errorf("Person = %v, %v", got, err)
		}
		_, err = db.Person(t.Context(), "p2")
		wantKind(t, "Person(p2)", err, order.NotFound)
		if err := db.InTx(t.Context(), func(tx order.Tx) error {
			_, err := tx.PersonByMobile(t.Context(), order.Person{ID: "p3"})
			return err
		}); err == nil {
			t.Error("a person without a mobile was made")
		}

		at := t0.Truncate(time.Millisecond)
		gone := order.WeChatIdentity{AppID: "app", OpenID: "o-gone", UnionID: "u", PersonID: "p1", UpdatedAt: at.Add(time.Hour)}
		inTx(t, db, func(tx order.Tx) error { return tx.LinkWeChat(t.Context(), gone) })
		w, err := db.WeChatOf(t.Context(), "app", "p1")
		if err != nil {
			t.Fatal(err)
		}
		wantSame(t, "bound last, though it cannot be reached", gone, w)
		gone.Subscribed = true
		inTx(t, db, func(tx order.Tx) error { return tx.LinkWeChat(t.Context(), gone) })
		if w, err = db.WeChatOf(t.Context(), "app", "p1"); err != nil {
			t.Fatal(err)
		}
		wantSame(t, "latest", gone, w)
		_, err = db.WeChatOf(t.Context(), "other app", "p1")
		wantKind(t, "WeChatOf(other app)", err, order.NotFound)
		if got, err = db.PersonByWeChat(t.Context(), "app", "o-gone"); err != nil || got.ID != "p1" {
			t.Errorf("PersonByWeChat = %v, %v", got, err)
		}
		if got, err = db.PersonByUnionID(t.Context(), "u"); err != nil || got.ID != "p1" {
			t.Errorf("PersonByUnionID = %v, %v", got, err)
		}
		_, err = db.PersonByUnionID(t.Context(), "")
		wantKind(t, "PersonByUnionID(nobody)", err, order.NotFound)
		_, err = db.PersonByWeChat(t.Context(), "app", "nobody")
		wantKind(t, "PersonByWeChat(nobody)", err, order.NotFound)
	})
}

// Thirty logins with one new mobile at once make one person.
func TestOnePersonPerMobile(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		var mu sync.Mutex
		var wg sync.WaitGroup
		ids := map[string]bool{}
		for i := range 30 {
			wg.Go(func() {
				err := db.InTx(context.Background(), func(tx order.Tx) error {
					p, err := tx.PersonByMobile(context.Background(), order.Person{ID: "p" + string(rune('A'+i)), Mobile: mobile, CreatedAt: t0})
					mu.Lock()
					defer mu.Unlock()
					ids[p.ID] = true
					return err
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if len(ids) != 1 {
			t.Errorf("%d people for one mobile", len(ids))
		}
	})
}

func TestStaff(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		reviewer := staffMember(t, db, "s1", identity.NewMobile("13800000001"), order.Reviewer, order.Shipper)
		admin := staffMember(t, db, "s2", identity.NewMobile("13800000002"), order.Admin)
		left := staffMember(t, db, "s3", identity.NewMobile("13800000003"), order.Reviewer)
		left.Disabled = true
		inTx(t, db, func(tx order.Tx) error { return tx.SaveStaff(t.Context(), left) })
		for _, get := range []func() (order.Staff, error){
			func() (order.Staff, error) { return db.Staff(t.Context(), "s1") },
			func() (order.Staff, error) { return db.StaffByPerson(t.Context(), "person-s1") },
		} {
			got, err := get()
			if err != nil {
				t.Fatal(err)
			}
			wantSame(t, "staff", reviewer, got)
		}
		for role, want := range map[order.Role][]order.Staff{order.Reviewer: {reviewer, admin}, order.Finance: {admin}} {
			got, err := db.StaffWithRole(t.Context(), role)
			if err != nil {
				t.Fatal(err)
			}
			wantSame(t, string(role), want, got)
		}
		_, err := db.Staff(t.Context(), "nope")
		wantKind(t, "Staff(nope)", err, order.NotFound)
		twin := reviewer
		twin.ID = "s9"
		err = db.InTx(t.Context(), func(tx order.Tx) error { return tx.SaveStaff(t.Context(), twin) })
		wantKind(t, "one person twice on the staff", err, order.Conflict)
	})
}

func TestNotifications(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		at := t0.Truncate(time.Millisecond)
		insertOrders(t, db, draft("o1"))
		n := order.Notification{ID: "n1", OrderID: "o1", Seq: 3, Notice: order.NoticeRejected, Medium: order.SMS, To: order.ToAgent, State: order.DeliveryPending, CreatedAt: at, UpdatedAt: at}
		again := n
		again.ID = "n2"
		wechat := n
		wechat.ID, wechat.Medium, wechat.FallbackOf, wechat.CreatedAt = "n3", order.WeChat, "n1", at.Add(time.Second)
		inTx(t, db, func(tx order.Tx) error {
			for _, tt := range []struct {
				n    order.Notification
				want bool
			}{{n, true}, {again, false}, {wechat, true}} {
				if added, err := tx.InsertNotification(t.Context(), tt.n); err != nil || added != tt.want {
					t.Errorf("%s: added %v, %v", tt.n.ID, added, err)
				}
			}
			return nil
		})
		got, err := db.Notifications(t.Context(), "o1")
		if err != nil {
			t.Fatal(err)
		}
		wantSame(t, "said twice is once", []order.Notification{n, wechat}, got)

		for i, state := range []order.DeliveryState{order.DeliverySending, order.DeliveryPending, order.DeliverySending, order.DeliverySent} {
			was := n.State
			n.State, n.UpdatedAt = state, at.Add(time.Duration(i)*time.Second)
			if state == order.DeliverySending {
				n.Attempts++
			}
			if state == order.DeliverySent {
				n.ProviderID = "provider-1"
			}
			inTx(t, db, func(tx order.Tx) error { return tx.UpdateNotification(t.Context(), n, was) })
		}
		for _, get := range []func() (order.Notification, error){
			func() (order.Notification, error) { return db.Notification(t.Context(), "n1") },
			func() (order.Notification, error) {
				return db.NotificationByProvider(t.Context(), order.SMS, "provider-1")
			},
		} {
			one, err := get()
			if err != nil {
				t.Fatal(err)
			}
			wantSame(t, "notification", n, one)
		}
		var attempts []string
		if err := db.all(t.Context(), &attempts, `SELECT state FROM notification_attempts WHERE notification_id = 'n1' ORDER BY attempt, at`); err != nil {
			t.Fatal(err)
		}
		wantSame(t, "every attempt is kept", []string{"sending", "pending", "sending", "sent"}, attempts)
		err = db.InTx(t.Context(), func(tx order.Tx) error { return tx.UpdateNotification(t.Context(), n, order.DeliveryPending) })
		wantKind(t, "UpdateNotification from pending", err, order.Conflict)
		_, err = db.Notification(t.Context(), "n2")
		wantKind(t, "Notification(n2)", err, order.NotFound)
		_, err = db.NotificationByProvider(t.Context(), order.WeChat, "provider-1")
		wantKind(t, "NotificationByProvider(other medium)", err, order.NotFound)
		_, err = db.NotificationByProvider(t.Context(), order.WeChat, "")
		wantKind(t, "NotificationByProvider(nothing)", err, order.NotFound)
	})
}

// F105–F109: messages of one person and of one member of staff, by keyset; nobody
// sees those of others.
func TestMessages(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		at := t0.Truncate(time.Millisecond)
		me, other := insertPerson(t, db, "p1", mobile), insertPerson(t, db, "p2", identity.NewMobile("13800000002"))
		mine, theirs := draft("o1"), draft("o2")
		mine.PersonID, theirs.PersonID = me.ID, other.ID
		insertOrders(t, db, mine, theirs)
		message := func(id string, of order.ID, change func(*order.Notification)) {
			n := order.Notification{ID: id, OrderID: of, Seq: int64(len(id)), Notice: order.Notice("n-" + id), Medium: order.SMS, To: order.ToAgent, State: order.DeliveryPending, CreatedAt: at, UpdatedAt: at}
			change(&n)
			inTx(t, db, func(tx order.Tx) error {
				_, err := tx.InsertNotification(t.Context(), n)
				return err
			})
		}
		as := func(f func(*order.Notification)) func(*order.Notification) { return f }
		message("m1", "o1", as(func(*order.Notification) {}))
		message("m2", "o2", as(func(*order.Notification) {}))
		message("m3", "o2", as(func(n *order.Notification) { n.PersonID = me.ID })) // a certificate that changed hands
		message("m4", "o1", as(func(n *order.Notification) { n.PersonID = other.ID }))
		message("m5", "o1", as(func(n *order.Notification) { n.StaffID = "s1" }))
		message("m6", "", as(func(n *order.Notification) { n.StaffID, n.Medium = "s1", order.WeChat }))
		message("m7", "", as(func(n *order.Notification) { n.StaffID, n.FallbackOf = "s1", "m6" }))
		message("m8", "o1", as(func(n *order.Notification) { n.StaffID = "s2" }))
		message("m9", "o1", as(func(n *order.Notification) { n.State, n.SendAt = order.DeliveryHeld, at.Add(time.Hour) }))
		list := func(f order.MessageFilter) (ids []string) {
			t.Helper()
			ns, err := db.Messages(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range ns {
				ids = append(ids, n.ID)
			}
			return ids
		}
		wantSame(t, "mine", []string{"m9", "m3", "m1"}, list(order.MessageFilter{PersonID: me.ID}))
		wantSame(t, "second page", []string{"m3"}, list(order.MessageFilter{PersonID: me.ID, Before: "m9", Limit: 1}))
		wantSame(t, "the other's", []string{"m4", "m2"}, list(order.MessageFilter{PersonID: other.ID}))
		wantSame(t, "staff", []string{"m7", "m6", "m5"}, list(order.MessageFilter{StaffID: "s1"}))
		wantSame(t, "nobody", []string(nil), list(order.MessageFilter{}))
		unread := func() int {
			n, err := db.Unread(t.Context(), "s1", 9)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		if n := unread(); n != 2 {
			t.Errorf("%d unread", n)
		}
		inTx(t, db, func(tx order.Tx) error { return tx.ReadMessages(t.Context(), "s1", at) })
		if n := unread(); n != 0 {
			t.Errorf("%d unread after reading", n)
		}
		for after, want := range map[time.Duration]int{time.Hour - time.Millisecond: 0, time.Hour: 1} {
			held, err := db.HeldNotifications(t.Context(), at.Add(after), 9)
			if err != nil || len(held) != want {
				t.Errorf("after %s: %d held, %v", after, len(held), err)
			}
		}
	})
}

func TestTimers(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		at := t0.Truncate(time.Millisecond)
		insertOrders(t, db, draft("o1"), draft("o2"))
		remind := order.Timer{OrderID: "o1", Seq: 2, Notice: order.NoticeUnpaid, At: at.Add(6 * time.Hour)}
		unpaid := order.Timer{OrderID: "o1", Seq: 2, On: order.Unpaid, At: at.Add(7 * time.Hour)}
		other := order.Timer{OrderID: "o2", Seq: 1, On: order.Release, At: at.Add(time.Hour)}
		inTx(t, db, func(tx order.Tx) error {
			later := unpaid
			later.At = at.Add(99 * time.Hour)
			return errors.Join(tx.SetTimers(t.Context(), later), tx.SetTimers(t.Context(), remind, unpaid), tx.SetTimers(t.Context()), tx.SetTimers(t.Context(), other))
		})
		due := func(now time.Time, limit int) []order.Timer {
			ts, err := db.DueTimers(t.Context(), now, limit)
			if err != nil {
				t.Fatal(err)
			}
			return ts
		}
		wantSame(t, "too early", []order.Timer(nil), due(at.Add(time.Hour-time.Millisecond), 9))
		wantSame(t, "oldest first", []order.Timer{other, remind, unpaid}, due(at.Add(7*time.Hour), 9))
		wantSame(t, "limited", []order.Timer{other}, due(at.Add(7*time.Hour), 1))
		inTx(t, db, func(tx order.Tx) error { return tx.DropTimer(t.Context(), remind) })
		wantSame(t, "one dropped", []order.Timer{other, unpaid}, due(at.Add(7*time.Hour), 9))
		inTx(t, db, func(tx order.Tx) error { return tx.DropTimers(t.Context(), "o1") })
		wantSame(t, "all of o1 dropped", []order.Timer{other}, due(at.Add(7*time.Hour), 9))
	})
}

// F11: what somebody paid, newest first; a trade that was never paid is no fee, and
// others' are not his.
func TestFees(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		at := t0.Truncate(time.Millisecond)
		mine, other := draft("o1"), draft("o2")
		inTx(t, db, func(tx order.Tx) error {
			for o, mobile := range map[*order.Order]string{&mine: "17700007069", &other: "17700007070"} {
				p, err := tx.PersonByMobile(t.Context(), order.Person{ID: "of-" + string(o.ID), Mobile: identity.NewMobile(mobile), CreatedAt: at})
				if err != nil {
					return err
				}
				o.PersonID, o.DraftToken = p.ID, ""
			}
			return nil
		})
		mine.No = "SAAS120261123103000000001"
		insertOrders(t, db, mine, other)
		pay := func(no string, of order.ID, paid time.Time, s order.PaymentState) {
			t.Helper()
			inTx(t, db, func(tx order.Tx) error {
				return tx.InsertPayment(t.Context(), order.Payment{TradeNo: no, OrderID: of, Amount: 60000, Returned: 30000, State: s, Channel: order.Alipay, Way: order.PayByQRCode, CreatedAt: at, ExpiresAt: at, PaidAt: paid, UpdatedAt: at})
			})
		}
		pay("t1", "o1", at, order.PaymentRefunded)
		pay("t2", "o1", at.Add(time.Second), order.PaymentPaid)
		pay("t3", "o1", time.Time{}, order.PaymentClosed)
		pay("t4", "o2", at, order.PaymentPaid)
		var got []order.Fee
		for after, more := (order.Cursor{}), true; more; more = after != (order.Cursor{}) {
			page, err := db.Fees(t.Context(), mine.PersonID, after, 1)
			if err != nil {
				t.Fatal(err)
			}
			got, after = append(got, page.Fees...), page.Next
		}
		paid := order.Fee{OrderID: "o1", OrderNo: mine.No, Product: mine.Product.Name, Amount: 60000, Returned: 30000, State: order.PaymentPaid, Channel: order.Alipay, PaidAt: at.Add(time.Second), TradeNo: "t2"}
		back := paid
		back.State, back.PaidAt, back.TradeNo = order.PaymentRefunded, at, "t1"
		wantSame(t, "fees", []order.Fee{paid, back}, got)
	})
}
