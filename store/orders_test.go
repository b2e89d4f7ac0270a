package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

var mobile = identity.NewMobile("17712347069")

func draft(id order.ID) order.Order {
	return order.Order{
		ID: id, Business: order.Initial, DraftToken: "token-of-" + string(id),
		State: order.State{Status: order.Draft}, Rev: 1, Seq: 1,
		Product:   order.Product{Code: "p1", Project: "k", Name: "运达能源-初购", Business: order.Initial, Price: 30000, Years: []int{1}, Term: 1, MaxKeys: 5, OnSale: true},
		Lines:     []order.Line{{Seal: order.UnitSeal, Quantity: 2}},
		Amount:    60000,
		Form:      order.NewForm(map[order.Field]string{order.AgentName: "王小琪", order.AgentMobile: "17712347069", order.OrgName: "新疆运达有限公司"}),
		Company:   "新疆运达有限公司",
		USCC:      "91110108MA00TEN18F",
		CreatedAt: t0.Truncate(time.Millisecond), UpdatedAt: t0.Truncate(time.Millisecond),
	}
}

// full has every field that is stored filled in.
func full(id order.ID) order.Order {
	o := draft(id)
	at := o.CreatedAt
	o.No, o.PersonID, o.DraftToken = "SAAS120260302173000000001", "person1", ""
	o.State, o.Refund = order.State{Status: order.Rejected, Stage: order.Fixable}, order.Refunding
	o.Submission, o.Snapshot = 2, "abc"
	o.Consent = order.Consent{Version: "1", Hash: "h", At: at, IP: "192.0.2.7"}
	o.RealName, o.ReviewerID, o.FirstApprover = order.RealNameMatch, "s1", "s2"
	o.Reasons = []order.Reason{{Code: "R03"}, {Code: "R20", Note: "王小琪的章不清楚"}}
	o.TradeNo, o.Verified, o.GivenUp, o.Carrier, o.TrackingNo, o.Parcel = "t1", 1, 1, "sf", "SF123456789012", order.ParcelDelivering
	o.DueAt, o.PlacedAt, o.PaidAt = at.Add(time.Hour), at.Add(2*time.Hour), at.Add(3*time.Hour)
	o.ApprovedAt, o.ShippedAt, o.CompletedAt = at.Add(4*time.Hour), at.Add(5*time.Hour), at.Add(6*time.Hour)
	return o
}

func insertPerson(t testing.TB, db *DB, id string, m identity.Mobile) order.Person {
	t.Helper()
	var p order.Person
	inTx(t, db, func(tx order.Tx) (err error) {
		p, err = tx.PersonByMobile(t.Context(), order.Person{ID: id, Mobile: m, CreatedAt: t0})
		return err
	})
	return p
}

func insertOrders(t testing.TB, db *DB, orders ...order.Order) {
	t.Helper()
	inTx(t, db, func(tx order.Tx) error {
		for _, o := range orders {
			if err := tx.InsertOrder(t.Context(), o); err != nil {
				return err
			}
		}
		return nil
	})
}

func TestOrderRoundTrip(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		insertPerson(t, db, "person1", mobile)
		for _, want := range []order.Order{draft("o1"), full("o2")} {
			insertOrders(t, db, want)
			got, err := db.Order(t.Context(), want.ID)
			if err != nil {
				t.Fatal(err)
			}
			wantSame(t, string(want.ID), want, got)
		}
		page, err := db.Orders(t.Context(), order.Filter{No: full("o2").No})
		if err != nil || len(page.Orders) != 1 || page.Orders[0].ID != "o2" {
			t.Errorf("by number: %d orders, %v; want o2", len(page.Orders), err)
		}
		_, err = db.Order(t.Context(), "nope")
		wantKind(t, "Order(nope)", err, order.NotFound)
	})
}

func TestUpdateOrder(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		insertPerson(t, db, "person1", mobile)
		insertOrders(t, db, draft("o1"))
		was := draft("o1")
		want := full("o1")
		want.Rev, want.Seq = 2, 2
		inTx(t, db, func(tx order.Tx) error { return tx.UpdateOrder(t.Context(), want, was) })
		got, err := db.Order(t.Context(), "o1")
		if err != nil {
			t.Fatal(err)
		}
		wantSame(t, "order", want, got)
	})
}

// A move that leaves the form as it is leaves its ciphertext; another is sealed anew.
func TestFormThatStaysIsNotSealedAnew(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		insertOrders(t, db, draft("o1"))
		sealed := func() (b []byte) {
			t.Helper()
			if err := db.get(t.Context(), &b, `SELECT sealed_form FROM orders WHERE id = 'o1'`); err != nil {
				t.Fatal(err)
			}
			return b
		}
		was, before := draft("o1"), sealed()
		for _, step := range []struct {
			form order.Form
			same bool
		}{{was.Form, true}, {was.Form.With(order.AgentName, "钱小二"), false}, {order.Form{}, false}} {
			moved := was
			moved.Form = step.form
			inTx(t, db, func(tx order.Tx) error { return tx.UpdateOrder(t.Context(), moved, was) })
			moved.Rev++
			got, err := db.Order(t.Context(), "o1")
			if err != nil {
				t.Fatal(err)
			}
			wantSame(t, "order", moved, got)
			after := sealed()
			if bytes.Equal(before, after) != step.same {
				t.Errorf("%v: sealed anew: %v", step.form, step.same)
			}
			was, before = moved, after
		}
	})
}

// Whoever comes second finds the order changed. This is the deterministic half
// of TestOneWinner, whose goroutines may not overlap.
func TestUpdateOrderOnlyFromWhatItWas(t *testing.T) {
	base := draft("o1")
	tests := []struct {
		name   string
		change func(was *order.Order)
	}{
		{"other status", func(was *order.Order) { was.Status = order.AwaitingPayment }},
		{"other stage", func(was *order.Order) { was.Stage = order.Queued }},
		{"other rev", func(was *order.Order) { was.Rev++ }},
		{"other order", func(was *order.Order) { was.ID = "o2" }},
	}
	eachDB(t, func(t *testing.T, db *DB) {
		insertOrders(t, db, base)
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				was := base
				tt.change(&was)
				now := was
				now.Rev++
				err := db.InTx(t.Context(), func(tx order.Tx) error { return tx.UpdateOrder(t.Context(), now, was) })
				wantKind(t, "UpdateOrder", err, order.Conflict)
				if e, ok := order.AsError(err); !ok || e.Code != "order_changed" {
					t.Errorf("code of %v, want order_changed", err)
				}
				err = db.InTx(t.Context(), func(tx order.Tx) error { return tx.DeleteOrder(t.Context(), was, t0) })
				wantKind(t, "DeleteOrder", err, order.Conflict)
			})
		}
	})
}

// Eight write the same order at once: one wins, the others hear of it.
func TestOneWinner(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		insertOrders(t, db, draft("o1"))
		var mu sync.Mutex
		var wg sync.WaitGroup
		won, lost := 0, 0
		for range 8 {
			wg.Go(func() {
				err := db.InTx(context.Background(), func(tx order.Tx) error {
					was := draft("o1")
					o := was
					o.Rev++
					o.State = order.State{Status: order.InReview, Stage: order.Queued}
					if err := tx.UpdateOrder(context.Background(), o, was); err != nil {
						return err
					}
					return tx.Enqueue(context.Background(), order.Job{Kind: order.JobRealName, Ref: "o1", Seq: 2})
				})
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					won++
				case errors.Is(err, order.Conflict):
					lost++
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := countJobs(t, db); won != 1 || lost != 7 || n != 1 {
			t.Errorf("won %d, lost %d, jobs %d; want 1, 7, 1", won, lost, n)
		}
	})
}

// Inside a transaction on PostgreSQL the row stays locked: of two who read
// before they write, none is refused (F62: a callback must not lose).
func TestOrderIsLockedInTx(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		insertOrders(t, db, draft("o1"))
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				err := db.InTx(context.Background(), func(tx order.Tx) error {
					was, err := tx.Order(context.Background(), "o1")
					if err != nil {
						return err
					}
					o := was
					o.Rev++
					o.Seq++
					return tx.UpdateOrder(context.Background(), o, was)
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if o, err := db.Order(t.Context(), "o1"); err != nil || o.Seq != 9 {
			t.Errorf("seq %d, %v; want 9", o.Seq, err)
		}
	})
}

// A deleted order is gone from every query; purging leaves none of its form.
func TestDeleteAndPurge(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		o := draft("o1")
		o.No = "SAAS120260302173000000001"
		insertOrders(t, db, o)
		purge := func(want bool) {
			t.Helper()
			inTx(t, db, func(tx order.Tx) error {
				if purged, err := tx.PurgeOrder(t.Context(), "o1"); err != nil || purged != want {
					t.Errorf("purged %v, %v; want %v", purged, err, want)
				}
				return nil
			})
		}
		purge(false)
		if got, err := db.Order(t.Context(), "o1"); err != nil || got.Form.Get(order.AgentName) == "" {
			t.Errorf("purging a living order: form %v, %v; want it untouched", got.Form, err)
		}
		inTx(t, db, func(tx order.Tx) error { return tx.DeleteOrder(t.Context(), o, t0) })
		_, err := db.Order(t.Context(), "o1")
		wantKind(t, "Order", err, order.NotFound)
		if page, err := db.Orders(t.Context(), order.Filter{No: o.No}); err != nil || len(page.Orders) != 0 {
			t.Errorf("its number finds %d orders, %v; want none", len(page.Orders), err)
		}
		page, err := db.Orders(t.Context(), order.Filter{DraftToken: o.DraftToken})
		if err != nil || len(page.Orders) != 0 {
			t.Errorf("Orders lists %d, %v; want none", len(page.Orders), err)
		}
		purge(true)
		purge(false) // once
		var left int
		if err := db.get(t.Context(), &left, `SELECT count(*) FROM orders WHERE sealed_form IS NOT NULL OR draft_token IS NOT NULL`); err != nil || left != 0 {
			t.Errorf("%d rows keep personal data, %v", left, err)
		}
	})
}

// F90: the filters of 我的订单, and pages that neither skip nor repeat.
func TestOrders(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		insertPerson(t, db, "person1", mobile)
		var all []order.Order
		for i := range 7 {
			o := draft(order.ID(fmt.Sprintf("o%d", i)))
			o.CreatedAt = t0.Truncate(time.Millisecond).Add(time.Duration(i/2) * time.Second) // pairs share an instant
			o.PersonID, o.DraftToken = "person1", ""
			o.No = fmt.Sprintf("SAAS12026030217300000%04d", i+150)
			all = append(all, o)
		}
		all[3].State = order.State{Status: order.InReview, Stage: order.Queued}
		all[4].Company = "100%_done\\公司"
		all[5].Product.Name = "华为项目-更新"
		all[5].DueAt, all[0].DueAt = t0.Truncate(time.Millisecond).Add(-time.Hour), t0.Truncate(time.Millisecond).Add(time.Minute)
		insertOrders(t, db, append(all, draft("other"))...)
		inTx(t, db, func(tx order.Tx) error {
			return tx.LinkWeChat(t.Context(), order.WeChatIdentity{AppID: "wx1", OpenID: "o-1", PersonID: "person1", UpdatedAt: t0})
		})
		at := func(i int) time.Time { return t0.Truncate(time.Millisecond).Add(time.Duration(i) * time.Second) }
		tests := []struct {
			name   string
			filter order.Filter
			want   []order.ID
		}{
			{"newest first", order.Filter{PersonID: "person1"}, []order.ID{"o6", "o5", "o4", "o3", "o2", "o1", "o0"}},
			{"oldest first", order.Filter{PersonID: "person1", Sort: order.OldestFirst}, []order.ID{"o0", "o1", "o2", "o3", "o4", "o5", "o6"}},
			{"what is due first", order.Filter{PersonID: "person1", Sort: order.DueFirst}, []order.ID{"o5", "o1", "o2", "o3", "o4", "o6", "o0"}},
			{"status", order.Filter{PersonID: "person1", Status: order.InReview}, []order.ID{"o3"}},
			{"stage", order.Filter{Status: order.InReview, Stage: order.Claimed}, nil},
			{"draft token", order.Filter{DraftToken: "token-of-other"}, []order.ID{"other"}},
			{"whole number", order.Filter{No: all[2].No}, []order.ID{"o2"}},
			{"tail", order.Filter{No: "0152"}, []order.ID{"o2"}},
			{"company", order.Filter{PersonID: "person1", Company: "%_done\\"}, []order.ID{"o4"}},
			{"percent is no wildcard", order.Filter{Company: "1%e"}, nil},
			{"product", order.Filter{Product: "华为"}, []order.ID{"o5"}},
			{"from, to", order.Filter{PersonID: "person1", From: at(1), To: at(2)}, []order.ID{"o3", "o2"}},
			{"nobody", order.Filter{PersonID: "person2"}, nil},
			{"WeChat", order.Filter{WeChat: order.WeChatIdentity{AppID: "wx1", OpenID: "o-1"}, Status: order.InReview}, []order.ID{"o3"}},
			{"WeChat of another account", order.Filter{WeChat: order.WeChatIdentity{AppID: "wx2", OpenID: "o-1"}}, nil},
			{"WeChat of nobody", order.Filter{WeChat: order.WeChatIdentity{AppID: "wx1"}}, nil},
		}
		for _, tt := range tests {
			for _, limit := range []int{0, 1, 2, 3, 1000} {
				t.Run(fmt.Sprintf("%s by %d", tt.name, limit), func(t *testing.T) {
					f := tt.filter
					f.Limit = limit
					var got []order.ID
					for {
						page, err := db.Orders(t.Context(), f)
						if err != nil {
							t.Fatal(err)
						}
						for _, o := range page.Orders {
							got = append(got, o.ID)
						}
						if page.Next == (order.Cursor{}) {
							break
						}
						if f.After = page.Next; len(got) > 10 {
							t.Fatal("the list does not end")
						}
					}
					wantSame(t, "orders", tt.want, got)
				})
			}
		}
	})
}

// Indexes carry the lists: no list scans the table (facts §3).
func TestListsUseIndexes(t *testing.T) {
	db := openTest(t, freshDSN(t, "sqlite"))
	for _, f := range []order.Filter{
		{PersonID: "p"},
		{WeChat: order.WeChatIdentity{AppID: "a", OpenID: "o"}},
		{PersonID: "p", Status: order.Draft, After: order.Cursor{At: t0, ID: "x"}},
		{DraftToken: "t"},
		{Status: order.InReview, Stage: order.Queued, Sort: order.DueFirst},
		{Status: order.InReview, Stage: order.Queued, Sort: order.DueFirst, After: order.Cursor{At: t0, ID: "x"}},
		{No: order.FormatNo(t0, 1)},
		{},
	} {
		where, args := filter(f)
		var plan []struct {
			ID, Parent, NotUsed int
			Detail              string
		}
		if err := db.read.Select(&plan, `EXPLAIN QUERY PLAN SELECT id FROM orders WHERE `+where+sorts[f.Sort].by+` LIMIT 21`, args...); err != nil {
			t.Fatal(err)
		}
		for _, p := range plan {
			if p.Detail == "SCAN orders" || (f.No != "" && strings.HasPrefix(p.Detail, "SCAN")) || (f.DraftToken == "" && f.No == "" && p.Detail == "USE TEMP B-TREE FOR ORDER BY") {
				t.Errorf("%+v: %s", f, p.Detail)
			}
		}
	}
}

// nextOrderSeq asks and waits.
func nextOrderSeq(ctx context.Context, tx order.Tx, day string) (int, error) {
	seq, err := tx.NextOrderSeq(ctx, day)
	if err != nil {
		return 0, err
	}
	return seq()
}

// G2: tails differ within a day, whoever submits at once, and none is lost to a
// submission that failed.
func TestNextOrderSeq(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		var mu sync.Mutex
		var wg sync.WaitGroup
		seen := map[int]bool{}
		for i := range 20 {
			wg.Go(func() {
				err := db.InTx(context.Background(), func(tx order.Tx) error {
					n, err := nextOrderSeq(context.Background(), tx, "20260302")
					if err != nil {
						return err
					}
					if i%4 == 0 {
						return context.Canceled // the submission fails, the number is free again
					}
					mu.Lock()
					defer mu.Unlock()
					if seen[n] {
						t.Errorf("%d given twice", n)
					}
					seen[n] = true
					return nil
				})
				if err != nil && !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if len(seen) != 15 {
			t.Errorf("%d numbers, want 15", len(seen))
		}
		inTx(t, db, func(tx order.Tx) error {
			n, err := nextOrderSeq(t.Context(), tx, "20260302")
			if seen[n] {
				t.Errorf("next is %d, which is given", n)
			}
			if err != nil {
				return err
			}
			if n, err = nextOrderSeq(t.Context(), tx, "20260303"); n != 1 {
				t.Errorf("first of the next day is %d, want 1", n)
			}
			return err
		})
	})
}

func TestCompanyKnown(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		o := draft("o1")
		insertOrders(t, db, o)
		if known, err := db.CompanyKnown(t.Context(), o.USCC); known || err != nil {
			t.Errorf("known by a draft: %v, %v", known, err)
		}
		done := draft("o2")
		done.State = order.State{Status: order.Completed}
		insertOrders(t, db, done)
		if known, err := db.CompanyKnown(t.Context(), o.USCC); !known || err != nil {
			t.Errorf("known by a completed order: %v, %v", known, err)
		}
	})
}

// Every way to write an order or its history gives it another mark; what is not
// there any more has none.
func TestMark(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		insertPerson(t, db, "person1", mobile)
		o := draft("o1")
		o.PersonID, o.DraftToken = "person1", ""
		insertOrders(t, db, o)
		seen := map[order.Mark]string{}
		see := func(what string) {
			t.Helper()
			m, person, err := db.Mark(t.Context(), "o1")
			if err != nil || person != "person1" {
				t.Fatalf("%s: of %q, %v", what, person, err)
			}
			if before, ok := seen[m]; ok {
				t.Errorf("%s has the mark of %s", what, before)
			}
			seen[m] = what
		}
		see("inserted")
		inTx(t, db, func(tx order.Tx) error {
			return tx.AppendEvent(t.Context(), order.EventRecord{OrderID: "o1", Seq: 1, Event: order.Save, To: o.State, Role: order.Applicant, Channel: order.Web, At: t0})
		})
		see("an event")
		now := o
		now.Company = "云岭测试科技（大理）有限公司" // whatever the caller says of the rev
		inTx(t, db, func(tx order.Tx) error { return tx.UpdateOrder(t.Context(), now, o) })
		see("updated")
		if got, err := db.Order(t.Context(), "o1"); err != nil || got.Rev != o.Rev+1 {
			t.Errorf("rev %d after %d, %v", got.Rev, o.Rev, err)
		}
		o.Rev++
		inTx(t, db, func(tx order.Tx) error { return tx.DeleteOrder(t.Context(), o, t0) })
		for _, id := range []order.ID{"o1", "never"} {
			_, _, err := db.Mark(t.Context(), id)
			wantKind(t, "Mark("+string(id)+")", err, order.NotFound)
		}
	})
}
