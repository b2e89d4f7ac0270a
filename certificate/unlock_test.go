package certificate_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/issuance"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/request"
	"github.com/yuncaidun/yuncaidun/store"
)

const usbkey = "TW00000000000001"

// counter unlocks the keys of an office; the issuer and the USBKEY are played: a
// proof is right when it is the challenge itself.
type counter struct {
	*certificate.Unlocks
	f     *office
	mu    sync.Mutex
	asked []string
	stays error // why no answer can be forgotten
}

func (c *counter) Ask(_ context.Context, id string, k request.Kind, subject string, body []byte) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, fmt.Sprint(id, " ", k, " ", subject))
	return append([]byte("sealed for "), body...), nil
}

func (c *counter) Forget(context.Context, string) error { return c.stays }

func (f *office) counter(t *testing.T) *counter {
	t.Helper()
	catalogue, err := order.ReadCatalogue(bytes.NewReader(order.SeededCatalogue()))
	must(t, err)
	must(t, f.db.InTx(t.Context(), func(tx order.Tx) error {
		was, err := tx.Order(t.Context(), orderID)
		if err != nil {
			return err
		}
		o := was
		o.Rev++
		if o.Product, err = catalogue.Product("yd-initial"); err != nil {
			return err
		}
		if err := tx.UpdateOrder(t.Context(), o, was); err != nil {
			return err
		}
		items, err := tx.Items(t.Context(), orderID)
		if err != nil {
			return err
		}
		it := items[0]
		it.Stage, it.TokenSerial = order.ItemVerified, usbkey
		return tx.UpdateItem(t.Context(), it, order.ItemWaiting)
	}))
	is, err := f.ledger.Issue(t.Context(), "item-a-1")
	must(t, err)
	is.TokenSerial = usbkey
	must(t, f.ledger.AdvanceIssue(t.Context(), issuance.StageDone, is, &issuance.TokenRecord{
		Serial: usbkey, State: issuance.TokenPersonalized, IssueID: is.ID, SealedSOPIN: []byte("1"), SealedUserPIN: []byte("2"), SealedSecret: []byte("3"), CreatedAt: now, UpdatedAt: now,
	}))
	c := &counter{f: f}
	orders := order.NewService(order.Deps{Store: f.db, Certificates: f.Service, Catalogue: func() order.Catalogue { return catalogue }, Now: func() time.Time { return now }, NewID: f.newID})
	c.Unlocks = certificate.NewUnlocks(certificate.UnlockDeps{
		Certificates: f.Service, Orders: orders, Issuer: c,
		DER: func(context.Context, string) ([]byte, error) { return []byte("der"), nil },
		Verify: func(_ []byte, _ string, challenge, signature []byte) error {
			if !bytes.Equal(challenge, signature) {
				return errors.New("not the key")
			}
			return nil
		},
		Code: func(_ context.Context, _, _, challenge string) (string, error) {
			return "response to " + challenge, nil
		},
	})
	return c
}

// unlock plays a whole self-service unlock up to the report.
func (c *counter) unlock(t *testing.T) (order.Order, error) {
	t.Helper()
	ctx := t.Context()
	s, err := c.Lookup(ctx, usbkey)
	must(t, err)
	_, secret, err := c.BeginSelf(ctx, s, visitor)
	if err != nil {
		return order.Order{}, err
	}
	e, err := c.Open(ctx, secret, []byte("key"))
	must(t, err)
	_, err = c.Secret(ctx, secret, "192.0.2.1")
	must(t, err)
	return c.Report(ctx, secret, e.Challenge, "192.0.2.1")
}

// F76, F84, row 59: an unlock that was proven is an order that is completed, with
// a number, for nothing; the bound user is told and the issuer hears of it. An
// unlock that was not leaves no order.
func TestSelfUnlock(t *testing.T) {
	eachDB(t, func(t *testing.T, f *office) {
		ctx, c := t.Context(), f.counter(t)
		s, err := c.Lookup(ctx, usbkey)
		must(t, err)
		_, aborted, err := c.BeginSelf(ctx, s, visitor)
		must(t, err)
		_, err = c.Open(ctx, aborted, []byte("key"))
		must(t, err)
		must(t, c.Fail(ctx, aborted, "token_missing", ""))
		page, err := f.db.Orders(ctx, order.Filter{PersonID: f.person})
		must(t, err)
		if len(page.Orders) != 1 { // the purchase
			t.Errorf("%d orders after an unlock that was given up", len(page.Orders)-1)
		}

		o, err := c.unlock(t)
		must(t, err)
		if o.Status != order.Completed || o.No == "" || o.Amount != 0 || o.Company != "" || o.PersonID != f.person || o.Business != order.UnlockSelf || !o.CompletedAt.Equal(now) {
			t.Errorf("order %+v", o)
		}
		told, err := f.db.Notifications(ctx, o.ID)
		must(t, err)
		if len(told) != 2 || told[0].Notice != order.NoticeUnlocked {
			t.Errorf("told %+v", told)
		}
		if got := o.MobileFor(order.ToAgent); got != identity.NewMobile("13800138000") {
			t.Error("the notice would not go to the bound mobile")
		}
		requests := store.Requests{DB: f.db}
		live, err := f.db.LiveTickets(ctx, certificate.Ticket{Purpose: certificate.ForUnlock, TokenSerial: usbkey})
		must(t, err)
		if len(live) != 0 {
			t.Errorf("live tickets %+v", live)
		}
		n, err := f.db.CountUnlocks(ctx, usbkey, now.Add(-time.Hour))
		must(t, err)
		if n != 1 {
			t.Errorf("%d unlocks counted", n)
		}
		// The request that confirms the SO PIN stands in the same transaction.
		var ticket string
		for _, a := range c.asked {
			fmt.Sscanf(a, "unlock-%s", &ticket)
		}
		if r, err := requests.Request(ctx, "unlocked-"+ticket); err != nil || r.Kind != request.UnlockDone || r.Subject != usbkey || string(r.Body) != ticket {
			t.Errorf("the issuer is told %+v, %v", r, err)
		}
	})
}

// A proof that is wrong completes nothing, and one that is right completes once,
// however often it is reported.
func TestUnlockReport(t *testing.T) {
	eachDB(t, func(t *testing.T, f *office) {
		ctx, c := t.Context(), f.counter(t)
		s, err := c.Lookup(ctx, usbkey)
		must(t, err)
		_, secret, err := c.BeginSelf(ctx, s, visitor)
		must(t, err)
		e, err := c.Open(ctx, secret, []byte("key"))
		must(t, err)
		if _, err := c.Report(ctx, secret, []byte("forged"), ""); !errors.Is(err, order.Invalid) {
			t.Errorf("a forged proof: %v", err)
		}
		errs := make([]error, 6)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() { _, errs[i] = c.Report(ctx, secret, e.Challenge, "") })
		}
		wg.Wait()
		for _, err := range errs {
			if err != nil && !errors.Is(err, order.Conflict) {
				t.Errorf("reported at once: %v", err)
			}
		}
		if _, err := c.Report(ctx, secret, e.Challenge, ""); err != nil {
			t.Errorf("reported again after a lost answer: %v", err)
		}
		page, err := f.db.Orders(ctx, order.Filter{PersonID: f.person, Status: order.Completed})
		must(t, err)
		if len(page.Orders) != 2 { // the purchase and one unlock
			t.Errorf("%d unlock orders, want 1", len(page.Orders)-1)
		}
	})
}

// Of two windows that unlock one USBKEY, the earlier sees the end that the later brings; an
// unlock by its next user is none of his.
func TestUnlockInAnotherWindow(t *testing.T) {
	eachDB(t, func(t *testing.T, f *office) {
		ctx, c := t.Context(), f.counter(t)
		s, err := c.Lookup(ctx, usbkey)
		must(t, err)
		first, _, err := c.BeginSelf(ctx, s, visitor)
		must(t, err)
		watched := func(id string, want certificate.TicketState) {
			t.Helper()
			if got, err := c.Watch(ctx, id); err != nil || got.State != want {
				t.Errorf("%s, want %s, %v", got.State, want, err)
			}
		}
		watched(first.ID, certificate.TicketIssued)
		second, secret, err := c.BeginSelf(ctx, s, visitor)
		must(t, err)
		watched(first.ID, certificate.TicketReplaced)
		e, err := c.Open(ctx, secret, []byte("key"))
		must(t, err)
		watched(first.ID, certificate.TicketReplaced)
		_, err = c.Report(ctx, secret, e.Challenge, "")
		must(t, err)
		watched(first.ID, certificate.TicketDone)
		watched(second.ID, certificate.TicketDone)

		another := first
		another.PersonID = "somebody"
		if done, err := f.db.DoneInstead(ctx, another); done || err != nil {
			t.Errorf("another user's: %t, %v", done, err)
		}
	})
}

// Three unlocks in thirty days without approval, by either way (flows 4.6).
func TestUnlocksAreLimited(t *testing.T) {
	eachDB(t, func(t *testing.T, f *office) {
		ctx, c := t.Context(), f.counter(t)
		for i := range 2 {
			if _, err := c.unlock(t); err != nil {
				t.Fatalf("unlock %d: %v", i+1, err)
			}
		}
		s, err := c.Lookup(ctx, usbkey)
		must(t, err)
		c.stays = errors.New("the database is away") // a code that was counted is told all the same
		response, err := c.CodeFor(ctx, s, "0ABCDEFG", order.Actor{Role: order.Applicant, Channel: order.Web})
		if err != nil || response != "response to 0ABCDEFG" {
			t.Fatalf("%q, %v", response, err)
		}
		if _, err := c.unlock(t); code(err) != "unlocks_used_up" {
			t.Errorf("the fourth: %v", err)
		}
		if _, err := c.CodeFor(ctx, s, "0ABCDEFG", order.Actor{Role: order.Applicant, Channel: order.Web}); code(err) != "unlocks_used_up" {
			t.Errorf("the fourth by code: %v", err)
		}
		page, err := f.db.Orders(ctx, order.Filter{PersonID: f.person, Product: "自助解锁"})
		must(t, err)
		if len(page.Orders) != 3 {
			t.Errorf("%d unlock orders, want 3", len(page.Orders))
		}
	})
}

// F88: nothing revoked or frozen is unlocked, also when that happens on the way;
// what has expired may be.
func TestUnlockNeedsAUsableCertificate(t *testing.T) {
	for name, change := range map[string]func(f *office) (certificate.Command, string){
		"frozen": func(f *office) (certificate.Command, string) {
			return certificate.Command{On: certificate.Freeze, By: f.holder(), MobileProven: true}, "certificate_frozen"
		},
		"revoked": func(f *office) (certificate.Command, string) {
			return certificate.Command{On: certificate.Revoke, By: f.holder(), MobileProven: true, Reason: certificate.KeyCompromise, Bid: certificate.NoOpenBid}, "certificate_revoked"
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachDB(t, func(t *testing.T, f *office) {
				ctx, c := t.Context(), f.counter(t)
				s, err := c.Lookup(ctx, usbkey)
				must(t, err)
				_, secret, err := c.BeginSelf(ctx, s, visitor)
				must(t, err)
				e, err := c.Open(ctx, secret, []byte("key"))
				must(t, err)
				cmd, want := change(f)
				_, err = f.Apply(ctx, serialA, cmd)
				must(t, err)
				if _, err := c.Secret(ctx, secret, "192.0.2.1"); code(err) != want {
					t.Errorf("the secret: %v", err)
				}
				if _, err := c.Report(ctx, secret, e.Challenge, ""); code(err) != want {
					t.Errorf("the report: %v", err)
				}
				s, err = c.Lookup(ctx, usbkey)
				must(t, err)
				if _, _, err := c.BeginSelf(ctx, s, visitor); code(err) != want {
					t.Errorf("a new ticket: %v", err)
				}
			})
		})
	}
	t.Run("expired", func(t *testing.T) {
		eachDB(t, func(t *testing.T, f *office) {
			c := f.counter(t)
			later := now.AddDate(2, 0, 0)
			late := certificate.NewService(store.Certificates{DB: f.db}, func() time.Time { return later }, f.newID, nil)
			c.Unlocks = certificate.NewUnlocks(certificate.UnlockDeps{Certificates: late, Orders: c.Orders, Issuer: c, DER: c.DER, Verify: c.Verify, Code: c.Code})
			if _, err := c.unlock(t); err != nil {
				t.Error(err)
			}
		})
	})
}

// Row 28: what unlocks a USBKEY is handed out only while the order waits for it, though
// its ticket is still good.
func TestApprovedUnlockNeedsItsOrder(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*order.Order)
		code   string
	}{
		"still waiting":             {func(*order.Order) {}, ""},
		"money on its way back":     {func(o *order.Order) { o.Refund = order.Refunding }, "order_not_ready"},
		"refunded":                  {func(o *order.Order) { o.State = order.State{Status: order.Refunded} }, "order_not_ready"},
		"time over, or withdrawn":   {func(o *order.Order) { o.State = order.State{Status: order.Rejected, Stage: order.Fixable} }, "order_not_ready"},
		"unlocked in another place": {func(o *order.Order) { o.State = order.State{Status: order.Completed} }, "order_not_ready"},
	} {
		t.Run(name, func(t *testing.T) {
			eachDB(t, func(t *testing.T, f *office) {
				ctx, c := t.Context(), f.counter(t)
				subject, err := c.Lookup(ctx, usbkey)
				must(t, err)
				o := order.Order{ID: "01JUNLOCK", No: "SAAS120261123000009", Business: order.UnlockApproval, State: order.State{Status: order.ToUnlock}, PersonID: subject.PersonID, Certificate: serialA, Rev: 1, Seq: 1, Amount: 5000, CreatedAt: now, UpdatedAt: now}
				must(t, f.db.InTx(ctx, func(tx order.Tx) error { return tx.InsertOrder(ctx, o) }))
				_, secret, err := c.BeginApproved(ctx, o, visitor)
				must(t, err)
				_, err = c.Open(ctx, secret, []byte("key"))
				must(t, err)
				must(t, f.db.InTx(ctx, func(tx order.Tx) error {
					was, err := tx.Order(ctx, o.ID)
					if err != nil {
						return err
					}
					changed := was
					changed.Rev++
					test.change(&changed)
					return tx.UpdateOrder(ctx, changed, was)
				}))
				_, err = c.Secret(ctx, secret, "192.0.2.1")
				if refused := test.code != ""; (err != nil) != refused || refused && code(err) != test.code || (len(c.asked) == 0) != refused {
					t.Errorf("the secret: %v, the issuer was asked %v", err, c.asked)
				}
			})
		})
	}
}

// Row 64 and row 18: no money goes back, and no authorisation is withdrawn, while a helper holds
// what unlocks the USBKEY: it may be unlocked already. A helper that fell silent keeps nothing.
func TestNoRefundOfAnUnlockUnderWay(t *testing.T) {
	for name, test := range map[string]struct {
		does func(t *testing.T, c *counter, secret string)
		late time.Duration
		want string
	}{
		"only asked for":    {func(*testing.T, *counter, string) {}, 0, ""},
		"a helper has come": {func(t *testing.T, c *counter, secret string) { c.open(t, secret) }, 0, "not_unlocking_required"},
		"it has the secret": {func(t *testing.T, c *counter, secret string) {
			c.open(t, secret)
			_, err := c.Secret(t.Context(), secret, "192.0.2.1")
			must(t, err)
		}, 0, "not_unlocking_required"},
		"it gave up": {func(t *testing.T, c *counter, secret string) {
			c.open(t, secret)
			must(t, c.Fail(t.Context(), secret, "usbkey_absent", "192.0.2.1"))
		}, 0, ""},
		"it fell silent": {func(t *testing.T, c *counter, secret string) { c.open(t, secret) }, time.Hour, ""},
	} {
		t.Run(name, func(t *testing.T) {
			eachDB(t, func(t *testing.T, f *office) {
				ctx, c := t.Context(), f.counter(t)
				subject, err := c.Lookup(ctx, usbkey)
				must(t, err)
				o := order.Order{
					ID: "01JUNLOCK", No: "SAAS120261123000009", Business: order.UnlockApproval, State: order.State{Status: order.ToUnlock}, PersonID: subject.PersonID,
					Certificate: serialA, Product: subject.Approval, Rev: 1, Seq: 1, Amount: 5000, CreatedAt: now, UpdatedAt: now, ApprovedAt: now, TradeNo: "T1",
				}
				must(t, f.db.InTx(ctx, func(tx order.Tx) error {
					if err := tx.InsertOrder(ctx, o); err != nil {
						return err
					}
					return tx.InsertPayment(ctx, order.Payment{
						TradeNo: o.TradeNo, OrderID: o.ID, Amount: o.Amount, State: order.PaymentPaid, Channel: order.WeChatPay, CreatedAt: now, ExpiresAt: now, PaidAt: now, UpdatedAt: now,
					})
				}))
				_, secret, err := c.BeginApproved(ctx, o, visitor)
				must(t, err)
				test.does(t, c, secret)
				at := func() time.Time { return now.Add(test.late) }
				orders := order.NewService(order.Deps{
					Store: f.db, Certificates: certificate.NewService(store.Certificates{DB: f.db}, at, f.newID, nil),
					Catalogue: c.Orders.Catalogue, Now: at, NewID: f.newID,
				})
				_, err = orders.Apply(ctx, o.ID, order.Command{On: order.RefundStart, By: order.Actor{Role: order.Finance, StaffID: "s-finance", Channel: order.Web}, Note: "不办了"})
				if (err != nil) != (test.want != "") || err != nil && code(err) != test.want {
					t.Errorf("refund: %v, want %q", err, test.want)
				}
			})
		})
	}
}

func (c *counter) open(t *testing.T, secret string) {
	t.Helper()
	_, err := c.Open(t.Context(), secret, []byte("key"))
	must(t, err)
}

// Rows 56 and 57, flows 4.6: an approved unlock works on a PC without a network. The first
// response completes the order; one that did not fit is given anew, three in all, as long as
// the grant lasts. It does not count as an unlock without approval.
func TestApprovedUnlockByCode(t *testing.T) {
	for name, test := range map[string]struct {
		approved time.Duration // before
		change   func(*order.Order)
		codes    []string
	}{
		"three":                 {0, nil, []string{"", "", "", "order_not_ready"}},
		"time over":             {8 * 24 * time.Hour, nil, []string{"grant_alive_required"}},
		"money on its way back": {0, func(o *order.Order) { o.Refund = order.Refunding }, []string{"order_not_ready"}},
		"done with the helper":  {0, func(o *order.Order) { o.State = order.State{Status: order.Completed} }, []string{"order_not_ready"}},
	} {
		t.Run(name, func(t *testing.T) {
			eachDB(t, func(t *testing.T, f *office) {
				ctx, c := t.Context(), f.counter(t)
				subject, err := c.Lookup(ctx, usbkey)
				must(t, err)
				o := order.Order{
					ID: "01JUNLOCK", No: "SAAS120261123000009", Business: order.UnlockApproval, State: order.State{Status: order.ToUnlock}, PersonID: subject.PersonID, Certificate: serialA,
					Product: subject.Approval, Rev: 1, Seq: 1, Amount: 5000, CreatedAt: now, UpdatedAt: now, ApprovedAt: now.Add(-test.approved),
					Form: order.NewForm(map[order.Field]string{order.AgentMobile: "13800138000"}),
				}
				if test.change != nil {
					test.change(&o)
				}
				must(t, f.db.InTx(ctx, func(tx order.Tx) error { return tx.InsertOrder(ctx, o) }))
				for i, want := range test.codes {
					response, err := c.CodeForApproved(ctx, o, "0ABCDEFG", f.holder())
					if err != nil && code(err) != want || (response == "response to 0ABCDEFG") != (want == "") {
						t.Fatalf("response %d: %q, %v", i+1, response, err)
					}
					o, err = f.db.Order(ctx, o.ID)
					must(t, err)
					events, err := f.db.Events(ctx, o.ID)
					must(t, err)
					again := o.CodeAgain(events, now)
					if want == "" && (o.Status != order.Completed || !o.CompletedAt.Equal(now) || again != (i < 2)) {
						t.Errorf("after response %d: %s, another: %t", i+1, o.State, again)
					}
				}
				alone, err := f.db.CountUnlocks(ctx, usbkey, now.Add(-time.Hour))
				must(t, err)
				if alone != 0 {
					t.Errorf("%d unlocks without approval", alone)
				}
			})
		})
	}
}

// Two people bound to one USBKEY are both told.
func TestEverybodyBoundIsTold(t *testing.T) {
	eachDB(t, func(t *testing.T, f *office) {
		ctx, c := t.Context(), f.counter(t)
		const second = order.ID("01JSECOND")
		other := bytes.Repeat([]byte("4C"), 20)
		must(t, f.db.InTx(ctx, func(tx order.Tx) error {
			p, err := tx.PersonByMobile(ctx, order.Person{ID: f.newID(), Mobile: identity.NewMobile("13900139000"), CreatedAt: now})
			if err != nil {
				return err
			}
			o := order.Order{ID: second, No: "SAAS120261123000002", Business: order.Initial, State: order.State{Status: order.Completed}, PersonID: p.ID, Rev: 1, Seq: 4, Company: "云岭公司", CreatedAt: now, UpdatedAt: now}
			if err := tx.InsertOrder(ctx, o); err != nil {
				return err
			}
			return tx.ReplaceItems(ctx, o.ID, []order.Item{{ID: "item-c", OrderID: o.ID, N: 1, Stage: order.ItemVerified, TokenSerial: usbkey, CertSerial: string(other), UpdatedAt: now}})
		}))
		is := issuance.Issue{ID: "item-c-1", Item: "item-c", SnapshotHash: bytes.Repeat([]byte{1}, 32), Profile: "company-p256", Company: "云岭公司", USCC: "91110108MA00TEN18F", Years: 1, Stage: issuance.StageRequested, CreatedAt: now.Add(-time.Hour), UpdatedAt: now}
		_, err := f.ledger.OpenIssue(ctx, is)
		must(t, err)
		is.Stage, is.Serial, is.Issuer, is.TBS, is.Certificate = issuance.StageDone, string(other), issuance.P256Token, []byte("tbs"), []byte("der")
		is.TokenSerial = usbkey
		is.NotBefore, is.NotAfter = now, now.AddDate(1, 0, 0)
		must(t, f.ledger.AdvanceIssue(ctx, issuance.StageRequested, is, nil))
		for range 2 {
			_, err := c.unlock(t)
			must(t, err)
		}
		told, err := f.db.Notifications(ctx, second)
		must(t, err)
		if len(told) != 4 { // SMS and WeChat, of each unlock
			t.Errorf("the other holder was told %d times", len(told))
		}
	})
}
