package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/order"
)

const ticketColumns = `id, secret_hash, purpose, cert_serial, token_serial, order_id, person_id, state, step, failure, public_key, challenge, created_at, expires_at, updated_at`

type ticketRow struct {
	ID          string                  `db:"id"`
	SecretHash  string                  `db:"secret_hash"`
	Purpose     certificate.Purpose     `db:"purpose"`
	CertSerial  string                  `db:"cert_serial"`
	TokenSerial string                  `db:"token_serial"`
	OrderID     order.ID                `db:"order_id"`
	PersonID    string                  `db:"person_id"`
	State       certificate.TicketState `db:"state"`
	Step        certificate.Step        `db:"step"`
	Failure     string                  `db:"failure"`
	PublicKey   []byte                  `db:"public_key"`
	Challenge   []byte                  `db:"challenge"`
	CreatedAt   time.Time               `db:"created_at"`
	ExpiresAt   time.Time               `db:"expires_at"`
	UpdatedAt   time.Time               `db:"updated_at"`
}

func rowOfTicket(t certificate.Ticket) ticketRow {
	t.CreatedAt, t.ExpiresAt, t.UpdatedAt = dbTime(t.CreatedAt), dbTime(t.ExpiresAt), dbTime(t.UpdatedAt)
	return ticketRow(t)
}

func (r ticketRow) ticket() certificate.Ticket {
	r.CreatedAt, r.ExpiresAt, r.UpdatedAt = r.CreatedAt.UTC(), r.ExpiresAt.UTC(), r.UpdatedAt.UTC()
	return certificate.Ticket(r)
}

// Ticket implements [certificate.TicketQueries].
func (q queries) Ticket(ctx context.Context, id string) (certificate.Ticket, error) {
	return q.ticket(ctx, `id = ?`, id)
}

// TicketBySecret implements [certificate.TicketQueries].
func (q queries) TicketBySecret(ctx context.Context, hash string) (certificate.Ticket, error) {
	return q.ticket(ctx, `secret_hash = ?`, hash)
}

func (q queries) ticket(ctx context.Context, where, arg string) (certificate.Ticket, error) {
	var r ticketRow
	err := q.get(ctx, &r, `SELECT `+ticketColumns+` FROM helper_tickets WHERE `+where, arg)
	if errors.Is(err, sql.ErrNoRows) {
		return certificate.Ticket{}, order.Errorf(order.NotFound, "ticket_gone", "办理凭证已失效，请回到网页重新开始")
	}
	return r.ticket(), failed(err, "reading a ticket")
}

// LiveTickets implements [certificate.TicketQueries].
func (q queries) LiveTickets(ctx context.Context, t certificate.Ticket) ([]certificate.Ticket, error) {
	same, args := `token_serial = ?`, []any{t.TokenSerial}
	if t.TokenSerial == "" {
		same, args = `cert_serial = ? AND order_id = ?`, []any{t.CertSerial, t.OrderID}
	}
	var rows []ticketRow
	err := q.all(ctx, &rows, `
		SELECT `+ticketColumns+`
		FROM helper_tickets
		WHERE purpose = ? AND state IN (?, ?) AND `+same+`
		ORDER BY id`, append([]any{t.Purpose, certificate.TicketIssued, certificate.TicketOpen}, args...)...)
	if err != nil {
		return nil, failed(err, "listing tickets")
	}
	return convert(rows, ticketRow.ticket), nil
}

// DoneInstead implements [certificate.TicketQueries].
func (q queries) DoneInstead(ctx context.Context, t certificate.Ticket) (bool, error) {
	var n int
	err := q.get(ctx, &n, `
		SELECT count(*)
		FROM helper_tickets
		WHERE purpose = ? AND cert_serial = ? AND order_id = ? AND state = ? AND person_id = ? AND updated_at >= ?`,
		t.Purpose, t.CertSerial, t.OrderID, certificate.TicketDone, t.PersonID, dbTime(t.UpdatedAt))
	return n > 0, failed(err, "looking for what replaced ticket %s", t.ID)
}

// InsertTicket implements [certificate.TicketTx].
func (tx *Tx) InsertTicket(ctx context.Context, t certificate.Ticket) error {
	_, err := tx.execNamed(ctx, `
		INSERT INTO helper_tickets (`+ticketColumns+`)
		VALUES (:id, :secret_hash, :purpose, :cert_serial, :token_serial, :order_id, :person_id, :state, :step, :failure, :public_key, :challenge,
			:created_at, :expires_at, :updated_at)`, rowOfTicket(t))
	return failed(err, "issuing a ticket")
}

// UpdateTicket implements [certificate.TicketTx]. The WHERE clause is the
// guarantee: of two who move a ticket at once, one does.
func (tx *Tx) UpdateTicket(ctx context.Context, t certificate.Ticket, was certificate.Ticket) error {
	which, arg := `?`, string(was.OrderID)
	if arg == "" { // of a self-service unlock
		which, arg = `SELECT order_id FROM order_items WHERE cert_serial = ?`, was.CertSerial
	}
	if err := tx.holdOrder(ctx, which, arg); err != nil {
		return err
	}
	n, err := tx.execNamed(ctx, `
		UPDATE helper_tickets
		SET state = :state, step = :step, failure = :failure, public_key = :public_key, expires_at = :expires_at, updated_at = :updated_at
		WHERE id = :id AND state = :was_state AND step = :was_step AND updated_at = :was_updated_at`, struct {
		ticketRow
		WasState     certificate.TicketState `db:"was_state"`
		WasStep      certificate.Step        `db:"was_step"`
		WasUpdatedAt time.Time               `db:"was_updated_at"`
	}{rowOfTicket(t), was.State, was.Step, dbTime(was.UpdatedAt)})
	if err != nil {
		return failed(err, "moving ticket %s", t.ID)
	}
	return oneRow(n, order.Errorf(order.Conflict, "ticket_changed", "办理进度已更新，请稍候重试").Raced())
}
