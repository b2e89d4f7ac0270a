package order_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/yuncaidun/yuncaidun/order"
)

// deed is one thing that somebody did to an order, or saw of it, as a history has
// it: what was asked, and what came back.
type deed struct {
	what  string // open, pay, edit, delete, see, see_trade
	trade string // pay and see_trade: which
}

// The answers of deeds: an order's status for see, what became of a trade's money
// for see_trade, a trade's number for open, and for everything else done or refused.
const (
	done    = "done"
	refused = "refused"
	gone    = "gone"

	unpaid = "unpaid"
	kept   = "kept"
	owed   = "owed"

	nobodyKnows = "a trade whose number reached nobody"
)

// account is what may be seen of an order and its money, one thing at a time.
type account struct {
	status  string // awaiting_payment, in_review, draft or gone
	trade   string // the current one
	expired string // a trade that is not offered any more
	money   string // " trade=kept trade=owed", in the order in which they were paid
}

func (a account) of(trade string) string {
	for _, end := range []string{kept, owed} {
		if slices.Contains(strings.Fields(a.money), trade+"="+end) {
			return end
		}
	}
	return unpaid
}

// moneyModel says how an order and its trades may look, if everything happened one
// after the other: rows 5, 7, 9 and 10 of the lifecycle.
func moneyModel(first string) porcupine.Model {
	return (&porcupine.NondeterministicModel{
		Init: func() []any {
			return []any{account{status: string(order.AwaitingPayment), trade: first, expired: first}}
		},
		Step: func(state, input, output any) []any {
			a, d, got := state.(account), input.(deed), output.(string)
			awaiting := a.status == string(order.AwaitingPayment)
			same := func(ok bool) []any {
				if !ok {
					return nil
				}
				return []any{a}
			}
			switch d.what {
			case "see":
				return same(got == a.status)
			case "see_trade":
				return same(got == a.of(d.trade))
			case "pay":
				if got != done || a.of(d.trade) != unpaid { // heard before
					return same(got == done)
				}
				end := owed
				if awaiting && a.trade == d.trade {
					end, a.status = kept, string(order.InReview)
				}
				a.money += " " + d.trade + "=" + end
				return []any{a}
			case "open":
				switch fresh := a.trade == a.expired || a.trade == nobodyKnows; {
				case got == refused && awaiting && fresh: // it was opened, and closed before its number was told
					lost := a
					lost.trade = nobodyKnows
					return []any{a, lost}
				case got == refused:
					return same(true)
				case !awaiting:
					return nil
				case fresh:
					a.trade = got
					return same(got != a.expired)
				default: // somebody opened it: the same one, unless an edit closed it meanwhile
					next := a
					next.trade = got
					return []any{next}
				}
			case "edit", "delete":
				if got == refused {
					return same(true)
				}
				if !awaiting {
					return nil
				}
				a.status = map[string]string{"edit": string(order.Draft), "delete": gone}[d.what]
				return []any{a}
			}
			return nil
		},
	}).ToModel()
}

// history records what several people did at once.
type history struct {
	mu    sync.Mutex
	start time.Time
	ops   []porcupine.Operation
}

func (h *history) do(client int, d deed, act func() string) string {
	called := time.Since(h.start).Nanoseconds()
	got := act()
	returned := time.Since(h.start).Nanoseconds()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: d, Call: called, Output: got, Return: returned})
	return got
}

// Two trades are paid while the order is taken back, deleted, opened again and
// looked at, all at once. Whatever the order of events was, there is one that
// explains everything that anybody saw, and in it no money is lost: what is not
// kept for the order is owed back (reliability 3).
func TestMoneyHasAHistory(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		for round := range 8 {
			o := h.confirm(t, h.draft(t, nil))
			by := order.Actor{Role: order.Applicant, PersonID: o.PersonID, Channel: order.Web}
			through := []order.PayChannel{order.WeChatPay, order.Alipay}[round/2%2]
			first, err := h.OpenPayment(t.Context(), o.ID, by, through)
			if err != nil {
				t.Fatal(err)
			}
			h.advance(3 * time.Hour) // it is not offered any more, and may be paid all the same
			log := history{start: time.Now()}
			ctx := context.Background()

			said := func(err error) string {
				switch {
				case err == nil:
					return done
				case errors.Is(err, order.Conflict), errors.Is(err, order.NotFound):
					return refused
				default:
					return err.Error() // no model knows it
				}
			}
			pay := func(client int, p order.Payment) {
				log.do(client, deed{"pay", p.TradeNo}, func() string { return said(h.PaymentSucceeded(ctx, h.receipt(p))) })
			}
			open := func(client int) (p order.Payment) {
				log.do(client, deed{what: "open"}, func() string {
					var err error
					if p, err = h.OpenPayment(ctx, o.ID, by, through); err != nil {
						p = order.Payment{}
						return said(err)
					}
					return p.TradeNo
				})
				return p
			}
			see := func(client int, trades ...string) {
				log.do(client, deed{what: "see"}, func() string {
					seen, err := h.db.Order(ctx, o.ID)
					if errors.Is(err, order.NotFound) {
						return gone
					}
					if err != nil {
						return err.Error()
					}
					return string(seen.Status)
				})
				for _, no := range trades {
					log.do(client, deed{"see_trade", no}, func() string {
						p, err := h.db.Payment(ctx, no)
						if err != nil {
							return err.Error()
						}
						end, ok := map[order.PaymentState]string{order.PaymentPending: unpaid, order.PaymentClosed: unpaid, order.PaymentPaid: kept, order.PaymentRefundDue: owed}[p.State]
						if !ok {
							return string(p.State)
						}
						return end
					})
				}
			}
			leave := func(client int) {
				if round%2 == 0 {
					log.do(client, deed{what: "edit"}, func() string { _, err := h.Edit(ctx, o.ID, by); return said(err) })
				} else {
					log.do(client, deed{what: "delete"}, func() string { _, err := h.Delete(ctx, o.ID, by, ""); return said(err) })
				}
			}

			var (
				wg     sync.WaitGroup
				gate   = make(chan struct{})
				mu     sync.Mutex
				trades = []string{first.TradeNo}
			)
			for i, act := range []func(client int){
				func(c int) { pay(c, first); see(c, first.TradeNo) },
				func(c int) {
					if p := open(c); p.TradeNo != "" {
						mu.Lock()
						trades = append(trades, p.TradeNo)
						mu.Unlock()
						pay(c, p)
						pay(c, p)
						see(c, p.TradeNo)
					}
				},
				func(c int) { leave(c); see(c) },
				func(c int) { see(c, first.TradeNo); pay(c, first); see(c, first.TradeNo) },
				func(c int) { open(c); see(c) },
			} {
				wg.Go(func() { <-gate; act(i) })
			}
			close(gate)
			wg.Wait()
			see(0, trades...)

			model := moneyModel(first.TradeNo)
			if !porcupine.CheckOperations(model, log.ops) {
				t.Fatalf("round %d: no order of events explains\n%s", round, log.told())
			}
			if porcupine.CheckOperations(model, lose(log.ops, first.TradeNo)) {
				t.Fatalf("round %d: money that is lost is not noticed in\n%s", round, log.told())
			}
		}
	})
}

// lose is the history, if the last look at a trade that was paid had found its
// money gone: neither kept nor owed.
func lose(ops []porcupine.Operation, trade string) []porcupine.Operation {
	ops = slices.Clone(ops)
	for i, op := range slices.Backward(ops) {
		if op.Input == (deed{"see_trade", trade}) {
			ops[i].Output = unpaid
			break
		}
	}
	return ops
}

func (h *history) told() string {
	slices.SortFunc(h.ops, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	var s strings.Builder
	for _, op := range h.ops {
		d := op.Input.(deed)
		fmt.Fprintf(&s, "%9d–%9d  client %d: %s %s: %v\n", op.Call, op.Return, op.ClientId, d.what, d.trade, op.Output)
	}
	return s.String()
}
