package handlers

import (
	"net/http"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

// Whatever changes an order changes the API's answer at once: the remembered one is
// always the one that would be made anew.
func TestRememberedAnswersAreNeverOld(t *testing.T) {
	d := newDesk(t).hire()
	m := d.mini("m1", "").login(agentMobile)
	at, _ := m.applied()
	id := order.ID(filepath.Base(at))
	by := func(name string, r order.Role) order.Actor { return d.staff[name].Actor(r, order.Web, "192.0.2.1") }
	reviewer, applicant := by("李审核", order.Reviewer), order.Actor{Role: order.Applicant, PersonID: d.read(id).PersonID, Channel: order.MiniProgram}
	apply := func(c order.Command) func() {
		return func() { d.apply(id, c) }
	}
	approve := func() {
		d.apply(id, order.Command{On: order.Approve, By: reviewer, Snapshot: d.read(id).Snapshot, Ticks: order.Ticks})
	}
	key := func(n int) func() {
		return func() {
			d.apply(id, order.Command{On: order.MakeKey, By: order.BySystem, Item: d.items(id)[n].ID})
			d.apply(id, order.Command{On: order.KeyVerified, By: order.BySystem, Item: d.items(id)[n].ID, TokenSerial: "TW1178220700000" + strconv.Itoa(n), CertSerial: "0A0" + strconv.Itoa(n), Proven: []order.Fact{order.ReadBack}})
		}
	}
	var last string
	for _, step := range []struct {
		change string
		do     func()
		same   bool // nothing of it is shown
		anew   bool // the answer is never remembered
	}{
		{change: "a draft", do: func() {}},
		{change: "another quantity", do: func() {
			m.ok(http.MethodPost, at+"/form", map[string]any{"lines": []LineInput{{Quantity: 1}, {Seal: string(order.UnitSeal), Quantity: 1}}}, nil)
		}, same: true}, // as many keys, the same price
		{change: "another company", do: func() {
			m.ok(http.MethodPost, at+"/form", map[string]any{"fields": map[string]string{"org.name": "云岭测试科技（大理）有限公司"}}, nil)
		}},
		{change: "confirmed", do: func() {
			d.apply(id, order.Command{On: order.Confirm, By: applicant, Snapshot: d.read(id).Hash(), Consent: order.Consent{Version: "1", Hash: "h", At: d.clock.now()}, Proven: []order.Fact{order.MobileProven}})
		}},
		{change: "paid", do: func() {
			m.ok(http.MethodPost, at+"/pay", nil, nil)
			o := d.read(id)
			must(t, d.service.PaymentSucceeded(t.Context(), order.Receipt{Channel: order.WeChatPay, TradeNo: o.TradeNo, TransactionID: "42" + o.TradeNo, Amount: o.Amount, PaidAt: d.clock.now()}))
		}},
		{change: "claimed", do: apply(order.Command{On: order.Claim, By: reviewer})},
		{change: "rejected", do: apply(order.Command{On: order.Reject, By: reviewer, Reasons: []order.Reason{{Code: "R20", Note: "请补盖骑缝章"}}}), anew: true},
		{change: "submitted again", do: func() {
			d.apply(id, order.Command{On: order.Resubmit, By: applicant, Form: d.read(id).Form})
		}},
		{change: "real name", do: func() {
			must(t, d.service.RecordRealName(t.Context(), id, d.read(id).Submission, order.RealNameMatch))
		}, same: true},
		{change: "claimed again", do: apply(order.Command{On: order.Claim, By: reviewer})},
		{change: "approved", do: approve},
		{change: "the first key", do: key(0)},
		{change: "a promise that is not kept", do: func() {
			d.clock.advance(d.read(id).DueAt.Sub(d.clock.now()) + time.Second)
			m = d.mini("m1", "").login(agentMobile) // the session is over, too
		}},
		{change: "the second key", do: key(1)},
		{change: "shipped", do: apply(order.Command{On: order.Ship, By: by("孙发货", order.Shipper), Carrier: "sf", TrackingNo: "SF1234567890123"})},
	} {
		step.do()
		seen := func(how string) string {
			t.Helper()
			a := m.call(http.MethodGet, at, nil, nil)
			if a.Status != http.StatusOK {
				t.Fatalf("%s, %s: %d %s", step.change, how, a.Status, a.Body)
			}
			return a.Body
		}
		first, second := seen("first"), seen("again")
		mark, _, err := d.db.Mark(t.Context(), id)
		must(t, err)
		if _, remembered := d.answers.of(id, mark, d.clock.now()); remembered == step.anew {
			t.Errorf("%s: remembered %t", step.change, remembered)
		}
		d.answers.kept.Purge()
		if anew := seen("anew"); first != anew || second != anew {
			t.Errorf("%s:\nfirst %s\nagain %s\nanew  %s", step.change, first, second, anew)
		}
		if (first == last) != step.same {
			t.Errorf("%s: the answer changed: %t", step.change, first != last)
		}
		last = first
	}
}

// Whose the order is, is looked up for every request, remembered or not (F23).
func TestRememberedAnswersAreTheOwners(t *testing.T) {
	w := newWeb(t)
	path := w.browser().paid()
	id := order.ID(filepath.Base(path))
	m, other := w.mini("m1", "").login(agentMobile), w.mini("m2", "").login(agentMobile2)
	at := path
	see := func(when string, m *mini, want int) {
		t.Helper()
		if a := m.call(http.MethodGet, at, nil, nil); a.Status != want {
			t.Errorf("%s: %d %s", when, a.Status, a.Body)
		}
	}
	for range 2 {
		see("the owner", m, http.StatusOK)
		see("another", other, http.StatusNotFound)
		see("nobody", &mini{web: w}, http.StatusUnauthorized)
	}
	must(t, w.db.InTx(t.Context(), func(tx order.Tx) error { // a rebind
		was, err := tx.Order(t.Context(), id)
		must(t, err)
		p, err := tx.PersonByMobile(t.Context(), order.Person{ID: newID(), Mobile: identity.NewMobile(agentMobile2), CreatedAt: w.clock.now()})
		must(t, err)
		now := was
		now.PersonID, now.Rev = p.ID, was.Rev+1
		return tx.UpdateOrder(t.Context(), now, was)
	}))
	see("the former owner", m, http.StatusNotFound)
	see("the heir", other, http.StatusOK)

	at, _ = m.applied()
	see("a draft", m, http.StatusOK)
	m.ok(http.MethodPost, at+"/delete", nil, nil)
	see("deleted", m, http.StatusNotFound)
}

// The bound holds, and what is asked for last is what is kept.
func TestAnswersAreBounded(t *testing.T) {
	a := newAnswers()
	for i := range maxAnswers + 10 {
		id := order.ID(strconv.Itoa(i))
		a.keep(order.Order{ID: id, Rev: 1}, 0, OrderJSON{ID: string(id)}, time.Time{})
		if got, ok := a.of(id, order.Mark{Rev: 1}, time.Time{}); !ok || got.ID != string(id) {
			t.Fatalf("%s is not kept", id)
		}
	}
	if n := a.kept.Len(); n != maxAnswers {
		t.Errorf("%d kept", n)
	}
	for _, other := range []order.Mark{{Rev: 2}, {Rev: 1, Events: 1}} {
		if _, ok := a.of(order.ID(strconv.Itoa(maxAnswers+9)), other, time.Time{}); ok {
			t.Errorf("an answer under mark %v", other)
		}
	}
}

// Readers meet a writer: once a change is committed, nobody gets an answer of before.
func TestAnswersWhileTheOrderChanges(t *testing.T) {
	w := newWeb(t)
	path := w.browser().paid()
	id := order.ID(filepath.Base(path))
	m := w.mini("m1", "").login(agentMobile)
	staff := order.Actor{Role: order.Reviewer, StaffID: "S1", Channel: order.Internal}
	var (
		mu        sync.Mutex
		committed int // events that must be seen
		readers   sync.WaitGroup
	)
	done := make(chan struct{})
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				mu.Lock()
				least := committed
				mu.Unlock()
				var seen OrderJSON
				if a := m.call(http.MethodGet, path, nil, &seen); a.Status != http.StatusOK || len(seen.Timeline) < least {
					t.Errorf("%d events committed, seen %d (%d)", least, len(seen.Timeline), a.Status)
					return
				}
			}
		})
	}
	for i := range 20 {
		on := order.Claim
		if i%2 == 1 {
			on = order.Release
		}
		_, err := w.service.Apply(t.Context(), id, order.Command{On: on, By: staff})
		must(t, err)
		events, err := w.db.Events(t.Context(), id)
		must(t, err)
		mu.Lock()
		committed = len(events)
		mu.Unlock()
	}
	close(done)
	readers.Wait()
}
