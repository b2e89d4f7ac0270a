package certificate_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store"
)

// The certificates of one USBKEY, oldest first: the first was renewed twice, then there
// is a second purchase, and one of another person's (F99).
var (
	chain    = []string{strings.Repeat("1C", 20), strings.Repeat("2C", 20), strings.Repeat("3C", 20)}
	second   = strings.Repeat("4C", 20)
	anothers = strings.Repeat("5C", 20)
	onKey    = slices.Concat(chain, []string{second, anothers})
)

// renewedTwice puts them there.
func (f *office) renewedTwice(t *testing.T) {
	t.Helper()
	for n, serial := range onKey {
		id := order.ID("01JCHAIN" + serial[:1])
		must(t, f.db.InTx(t.Context(), func(tx order.Tx) error {
			person := f.person
			if serial == anothers {
				p, err := tx.PersonByMobile(t.Context(), order.Person{ID: f.newID(), Mobile: identity.NewMobile("13800138001"), CreatedAt: now})
				if err != nil {
					return err
				}
				person = p.ID
			}
			o := order.Order{ID: id, No: "SAAS120261123000010" + serial[:1], Business: order.Renewal, State: order.State{Status: order.Completed}, PersonID: person, Rev: 1, Seq: 1, Company: "云岭公司", CreatedAt: now, UpdatedAt: now}
			if err := tx.InsertOrder(t.Context(), o); err != nil {
				return err
			}
			return tx.ReplaceItems(t.Context(), id, []order.Item{{ID: "item" + serial[:1], OrderID: id, N: 1, Stage: order.ItemWaiting, TokenSerial: usbkey, CertSerial: serial, UpdatedAt: now}})
		}))
		f.issue(t, "item"+serial[:1], serial)
		if n > 0 && n < len(chain) {
			must(t, store.Certificates{DB: f.db}.Change(t.Context(), func(tx certificate.Tx) error { return tx.SetSuccessor(t.Context(), chain[n-1], serial) }))
		}
	}
}

func (f *office) states(t *testing.T) (out []certificate.State) {
	t.Helper()
	for _, serial := range onKey {
		c, err := f.db.Certificate(t.Context(), serial)
		must(t, err)
		out = append(out, c.State())
	}
	return out
}

// Who has lost a USBKEY has lost all of his that is valid on it; who ends a certificate
// ends what it was renewed from. Another's stays as it is.
func TestWhatGoesWithAUSBKEY(t *testing.T) {
	const valid, frozen, revoked = certificate.Valid, certificate.Frozen, certificate.Revoked
	by := func(serial string, c certificate.Command) func(context.Context, *office) error {
		return func(ctx context.Context, f *office) error {
			c.By, c.MobileProven = f.holder(), true
			if c.On == certificate.Resume {
				c.By, c.Note = order.Actor{Role: order.Issuer, StaffID: "01STAFF"}, "已核实本人"
			}
			_, err := f.Apply(ctx, serial, c)
			return err
		}
	}
	step := func(serial string, what order.CertificateStep) func(context.Context, *office) error {
		return func(ctx context.Context, f *office) error {
			return f.db.InTx(ctx, func(tx order.Tx) error {
				return f.Step(ctx, tx, what, order.Order{Certificate: serial}, order.Command{By: order.Actor{Role: order.System}})
			})
		}
	}
	ask := func(serial string) func(context.Context, *office) error {
		return func(ctx context.Context, f *office) error {
			return f.db.InTx(ctx, func(tx order.Tx) error {
				o := order.Order{Certificate: serial, Form: order.NewForm(map[order.Field]string{order.AboutEntry: order.EntryHolder})}
				return f.Step(ctx, tx, order.HoldCertificate, o, order.Command{By: f.holder()})
			})
		}
	}
	freeze := certificate.Command{On: certificate.Freeze}
	revoke := func(r certificate.Reason) certificate.Command {
		return certificate.Command{On: certificate.Revoke, Reason: r, Bid: certificate.NoOpenBid}
	}
	for _, test := range []struct {
		name string
		do   []func(context.Context, *office) error
		want [5]certificate.State
		sent int // messages to its user, in each medium once
	}{
		{"lost: the newest is frozen", []func(context.Context, *office) error{by(chain[2], freeze)}, [5]certificate.State{frozen, frozen, frozen, frozen, valid}, 2},
		{"lost: an old one is frozen", []func(context.Context, *office) error{by(chain[0], freeze)}, [5]certificate.State{frozen, frozen, frozen, frozen, valid}, 2},
		{"found again", []func(context.Context, *office) error{by(chain[2], freeze), by(chain[2], certificate.Command{On: certificate.Resume})}, [5]certificate.State{valid, valid, valid, valid, valid}, 4},
		{"found again, by an order", []func(context.Context, *office) error{by(chain[2], freeze), step(chain[2], order.RestoreCertificate)}, [5]certificate.State{valid, valid, valid, valid, valid}, 4},
		{"stolen", []func(context.Context, *office) error{by(chain[2], revoke(certificate.KeyCompromise))}, [5]certificate.State{revoked, revoked, revoked, revoked, valid}, 2},
		{"stolen, told of an old one", []func(context.Context, *office) error{by(chain[1], revoke(certificate.KeyCompromise))}, [5]certificate.State{revoked, revoked, revoked, revoked, valid}, 2},
		{"frozen, then stolen", []func(context.Context, *office) error{by(chain[2], freeze), by(chain[2], revoke(certificate.KeyCompromise))}, [5]certificate.State{revoked, revoked, revoked, revoked, valid}, 4},
		{"no longer used", []func(context.Context, *office) error{by(chain[2], revoke(certificate.CessationOfOperation))}, [5]certificate.State{revoked, revoked, revoked, valid, valid}, 2},
		{"the old one is replaced", []func(context.Context, *office) error{by(chain[1], revoke(certificate.Superseded))}, [5]certificate.State{revoked, revoked, valid, valid, valid}, 2},
		{"a revoked one stays so", []func(context.Context, *office) error{by(chain[0], revoke(certificate.Superseded)), by(chain[2], freeze)}, [5]certificate.State{revoked, frozen, frozen, frozen, valid}, 4},
		{"a reissue is asked for", []func(context.Context, *office) error{ask(chain[2])}, [5]certificate.State{frozen, frozen, frozen, valid, valid}, 2},
		{"a reissue replaces the key", []func(context.Context, *office) error{step(chain[2], order.RevokeCertificate)}, [5]certificate.State{revoked, revoked, revoked, valid, valid}, 2},
		{"lost in the post", []func(context.Context, *office) error{step(chain[2], order.LostCertificate)}, [5]certificate.State{revoked, revoked, revoked, revoked, valid}, 2},
		{"a refund leaves what was renewed", []func(context.Context, *office) error{step(chain[2], order.RefundCertificate)}, [5]certificate.State{valid, valid, revoked, valid, valid}, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			eachDB(t, func(t *testing.T, f *office) {
				f.renewedTwice(t)
				for _, do := range test.do {
					must(t, do(t.Context(), f))
				}
				if got := f.states(t); [5]certificate.State(got) != test.want {
					t.Errorf("%v, want %v", got, test.want)
				}
				told := 0
				for _, serial := range onKey {
					c, err := f.db.Certificate(t.Context(), serial)
					must(t, err)
					events, err := f.db.Events(t.Context(), c.OrderID)
					must(t, err)
					if int64(len(events)) != c.Rev {
						t.Errorf("%d lines in the history of a certificate that changed %d times", len(events), c.Rev)
					}
					sent, err := f.db.Notifications(t.Context(), c.OrderID)
					must(t, err)
					for _, m := range sent {
						if m.PersonID == f.person {
							told++
						}
					}
				}
				if told != test.sent {
					t.Errorf("%d messages, want %d", told, test.sent)
				}
			})
		})
	}
}

// Commands about two certificates of one USBKEY at once: each is done or refused, none
// blocks the other, and the end is the same.
func TestUSBKEYAtOnce(t *testing.T) {
	eachDB(t, func(t *testing.T, f *office) {
		f.renewedTwice(t)
		var wg sync.WaitGroup
		errs := make([]error, 2*len(chain))
		for i := range errs {
			wg.Go(func() {
				_, errs[i] = f.Apply(t.Context(), chain[i%len(chain)], certificate.Command{On: certificate.Freeze, By: f.holder(), MobileProven: true})
			})
		}
		wg.Wait()
		done := 0
		for _, err := range errs {
			switch code(err) {
			case "<nil>":
				done++
			case "certificate_not_ready", "certificate_changed":
			default:
				t.Errorf("%v", err)
			}
		}
		if got := f.states(t); done != 1 || [5]certificate.State(got) != [5]certificate.State{certificate.Frozen, certificate.Frozen, certificate.Frozen, certificate.Frozen, certificate.Valid} {
			t.Errorf("%d did it: %v", done, got)
		}
	})
}
