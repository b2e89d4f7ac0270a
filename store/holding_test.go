package store

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/order"
)

// Whoever changes what hangs on an order waits for the order first, and while he waits
// he holds nothing that its holder may need: else each would wait for the other, and
// PostgreSQL would end one of them after a second.
func TestChangingWhatHangsOnAnOrder(t *testing.T) {
	const trade, ticket = "trade1", "ticket1"
	serial := strings.Repeat("A", 40)
	for name, c := range map[string]struct {
		act   func(ctx context.Context, tx *Tx) error
		child string
	}{
		"a trade, read to be changed": {func(ctx context.Context, tx *Tx) error {
			_, err := tx.Payment(ctx, trade)
			return err
		}, "payments"},
		"a trade": {func(ctx context.Context, tx *Tx) error {
			p := order.Payment{TradeNo: trade, OrderID: "o1", Amount: 30000, State: order.PaymentPaid, CreatedAt: t0, UpdatedAt: t0}
			return tx.UpdatePayment(ctx, p, order.PaymentPending)
		}, "payments"},
		"a certificate": {func(ctx context.Context, tx *Tx) error {
			cert, err := tx.Certificate(ctx, serial)
			if err != nil {
				return err
			}
			cert.RevokedAt = t0
			return tx.SetRevocation(ctx, cert)
		}, "issues"},
		"the ticket of an order": {func(ctx context.Context, tx *Tx) error {
			was, err := tx.Ticket(ctx, ticket)
			if err != nil {
				return err
			}
			return tx.UpdateTicket(ctx, was, was)
		}, "helper_tickets"},
		"the ticket of a self-service unlock": {func(ctx context.Context, tx *Tx) error {
			was, err := tx.Ticket(ctx, ticket+"-self")
			if err != nil {
				return err
			}
			return tx.UpdateTicket(ctx, was, was)
		}, "helper_tickets"},
	} {
		t.Run(name, func(t *testing.T) {
			db := openTest(t, freshDSN(t, "postgres"))
			insertPerson(t, db, "person1", mobile)
			o := draft("o1")
			o.PersonID, o.DraftToken = "person1", ""
			insertOrders(t, db, o)
			inTx(t, db, func(tx order.Tx) error {
				return errors.Join(
					tx.InsertPayment(t.Context(), order.Payment{TradeNo: trade, OrderID: "o1", Amount: 30000, State: order.PaymentPending, CreatedAt: t0, UpdatedAt: t0}),
					tx.ReplaceItems(t.Context(), "o1", []order.Item{{ID: "i1", OrderID: "o1", N: 1, Stage: order.ItemWaiting, CertSerial: serial, UpdatedAt: t0}}),
				)
			})
			certify(t, db, "i1", serial, t0.Truncate(time.Millisecond))
			if err := db.inTx(t.Context(), func(tx *Tx) error {
				return errors.Join(
					tx.InsertTicket(t.Context(), certificate.Ticket{ID: ticket, SecretHash: "a", Challenge: []byte("c"), OrderID: "o1", State: certificate.TicketOpen, CreatedAt: t0, UpdatedAt: t0}),
					tx.InsertTicket(t.Context(), certificate.Ticket{ID: ticket + "-self", SecretHash: "b", Challenge: []byte("c"), CertSerial: serial, State: certificate.TicketOpen, CreatedAt: t0, UpdatedAt: t0}),
				)
			}); err != nil {
				t.Fatal(err)
			}

			done := make(chan error, 1)
			err := db.inTx(t.Context(), func(tx *Tx) error {
				if _, err := tx.Order(t.Context(), "o1"); err != nil {
					return err
				}
				go func() { done <- db.inTx(t.Context(), func(tx *Tx) error { return c.act(t.Context(), tx) }) }()
				for waiting := 0; waiting == 0; {
					select {
					case err := <-done:
						done <- err
						return errors.New("it did not wait for the order")
					default:
					}
					if err := tx.get(t.Context(), &waiting, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`); err != nil {
						return err
					}
				}
				var rows []int
				return tx.all(t.Context(), &rows, `SELECT 1 FROM `+c.child+` FOR UPDATE NOWAIT`)
			})
			if err != nil {
				t.Error(err)
			}
			if err := <-done; err != nil {
				t.Errorf("once the order is free: %v", err)
			}
		})
	}
}
