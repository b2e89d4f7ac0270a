package certificate

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

// Purpose is what a ticket lets the key helper do.
type Purpose string

// The purposes.
const (
	ForUnlock   Purpose = "unlock"
	ForRenew    Purpose = "renew"
	ForDownload Purpose = "download"
)

// TicketState is how far the key helper has come with a ticket.
type TicketState string

// The states. All but the first two are final.
const (
	TicketIssued   TicketState = "issued"
	TicketOpen     TicketState = "open"     // a helper has shown it, and its key
	TicketDone     TicketState = "done"     // what it was for has happened
	TicketFailed   TicketState = "failed"   // the helper gave up
	TicketReplaced TicketState = "replaced" // a newer one was issued for the same, or the USBKEY has another user
)

// Ticket lets one key helper do one thing to one USBKEY, once. The helper shows
// the secret, of which only the hash is kept, and its own ephemeral public key, to
// which everything secret is sealed from then on.
type Ticket struct {
	ID         string // a ULID; may be shown, it opens nothing
	SecretHash string // SHA-256 in hex
	Purpose    Purpose
	CertSerial string // empty while there is no certificate yet (download)
	// TokenSerial is the USBKEY; empty when the subscriber brings his own (download).
	TokenSerial string
	OrderID     order.ID // empty for a self-service unlock
	PersonID    string   // whom the order that comes of it belongs to
	State       TicketState
	// Step is how far the helper says it is, for the page that watches.
	Step Step
	// Failure is the code of what went wrong at a TicketFailed.
	Failure   string
	PublicKey []byte // of the helper, from TicketOpen on
	Challenge []byte // what the subscriber's key has to sign
	CreatedAt time.Time
	ExpiresAt time.Time
	UpdatedAt time.Time
}

// Step is what the helper is doing, in the words of the page that watches.
type Step string

// The steps in order.
const (
	StepNone   Step = ""
	StepFound  Step = "found"  // the right USBKEY is plugged in
	StepSecret Step = "secret" // the server has handed over what is needed
	StepWrite  Step = "write"  // the USBKEY is being changed: do not unplug
	StepProof  Step = "proof"  // its key is answering
)

// Steps are the steps in order.
var Steps = []Step{StepNone, StepFound, StepSecret, StepWrite, StepProof}

// ticketLife is how long a ticket waits for its helper, and openLife how long a
// helper that works may be silent.
const (
	ticketLife = 10 * time.Minute
	openLife   = 15 * time.Minute
)

// TicketEvent is something that happens to a ticket.
type TicketEvent string

// The events.
const (
	OpenTicket    TicketEvent = "open"
	StepTicket    TicketEvent = "step"
	FinishTicket  TicketEvent = "finish"
	FailTicket    TicketEvent = "fail"
	ReplaceTicket TicketEvent = "replace"
)

// tickets is all that can happen to a ticket; anything not in a row is refused.
// What has expired has no row at all.
var tickets = []struct {
	From []TicketState
	On   TicketEvent
	To   TicketState
}{
	{From: []TicketState{TicketIssued}, On: OpenTicket, To: TicketOpen},
	{From: []TicketState{TicketOpen}, On: OpenTicket, To: TicketOpen}, // the same helper, after a lost answer
	{From: []TicketState{TicketOpen}, On: StepTicket, To: TicketOpen},
	{From: []TicketState{TicketOpen}, On: FinishTicket, To: TicketDone},
	{From: []TicketState{TicketIssued, TicketOpen}, On: FailTicket, To: TicketFailed},
	{From: []TicketState{TicketIssued, TicketOpen}, On: ReplaceTicket, To: TicketReplaced},
}

// TicketQueries read tickets.
type TicketQueries interface {
	// Ticket returns a ticket by its ID; NotFound when there is none.
	Ticket(ctx context.Context, id string) (Ticket, error)
	// TicketBySecret returns a ticket by the hash of its secret.
	TicketBySecret(ctx context.Context, hash string) (Ticket, error)
	// LiveTickets are the tickets for the same as t that are issued or open: of its
	// purpose, about its USBKEY if it names one, else about its certificate and order.
	LiveTickets(ctx context.Context, t Ticket) ([]Ticket, error)
	// DoneInstead reports whether another ticket of the same person for the same is done
	// since t was replaced.
	DoneInstead(ctx context.Context, t Ticket) (bool, error)
}

// TicketTx changes tickets.
type TicketTx interface {
	TicketQueries
	InsertTicket(ctx context.Context, t Ticket) error
	// UpdateTicket writes State, Step, Failure, PublicKey, ExpiresAt and UpdatedAt
	// only when the stored state and UpdatedAt are still was's; else Conflict with
	// code "ticket_changed".
	UpdateTicket(ctx context.Context, t Ticket, was Ticket) error
}

// ticketGone is the answer about every ticket that does not work, whatever the reason.
var ticketGone = order.Errorf(order.NotFound, "ticket_gone", "办理凭证已失效，请回到网页重新开始")

// Expired reports whether a ticket's time is over.
func (t Ticket) Expired(now time.Time) bool { return !now.Before(t.ExpiresAt) }

// Live reports whether a helper may still use the ticket.
func (t Ticket) Live(now time.Time) bool {
	return (t.State == TicketIssued || t.State == TicketOpen) && !t.Expired(now)
}

// move is the ticket after an event, or why that cannot happen.
func (t Ticket) move(on TicketEvent, now time.Time) (Ticket, error) {
	for _, row := range tickets {
		if row.On == on && slices.Contains(row.From, t.State) && !t.Expired(now) {
			t.State, t.UpdatedAt = row.To, now
			if on == OpenTicket || on == StepTicket {
				t.ExpiresAt = now.Add(openLife)
			}
			return t, nil
		}
	}
	return t, ticketGone
}

// IssueTicket issues a ticket in the transaction of its cause and returns it with
// the secret, which is shown once. Earlier tickets for the same die.
func (s *Service) IssueTicket(ctx context.Context, tx TicketTx, t Ticket) (_ Ticket, secret string, err error) {
	if err := s.endTickets(ctx, tx, t); err != nil {
		return Ticket{}, "", err
	}
	secret = rand.Text() // letters and digits only: it is typed behind --ticket
	t.ID, t.SecretHash, t.State = s.newID(), hashSecret(secret), TicketIssued
	t.CreatedAt, t.UpdatedAt, t.ExpiresAt = s.now(), s.now(), s.now().Add(ticketLife)
	t.Challenge = make([]byte, 32)
	rand.Read(t.Challenge)
	return t, secret, tx.InsertTicket(ctx, t)
}

// endTickets ends those for the same as t.
func (s *Service) endTickets(ctx context.Context, tx TicketTx, t Ticket) error {
	earlier, err := tx.LiveTickets(ctx, t)
	if err != nil {
		return err
	}
	for _, was := range earlier {
		dead := was
		dead.State, dead.UpdatedAt = TicketReplaced, s.now()
		if err := tx.UpdateTicket(ctx, dead, was); err != nil {
			return err
		}
	}
	return nil
}

func hashSecret(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// OpenTicket binds a ticket to the helper that shows it: from now on it answers
// to this public key only. Showing it again with the same key is harmless.
func (s *Service) OpenTicket(ctx context.Context, secret string, publicKey []byte) (Ticket, error) {
	var out Ticket
	err := s.store.Change(ctx, func(tx Tx) error {
		was, err := tx.TicketBySecret(ctx, hashSecret(secret))
		if err != nil {
			return err
		}
		if was.State == TicketOpen && !bytes.Equal(was.PublicKey, publicKey) {
			return ticketGone // somebody else has it
		}
		if out, err = was.move(OpenTicket, s.now()); err != nil {
			return err
		}
		out.PublicKey = publicKey
		return tx.UpdateTicket(ctx, out, was)
	})
	return out, err
}

// Ticket returns the open ticket of a secret, for everything a helper asks after
// it has opened it.
func (s *Service) Ticket(ctx context.Context, secret string, p Purpose) (Ticket, error) {
	t, err := s.store.TicketBySecret(ctx, hashSecret(secret))
	if err == nil && (t.Purpose != p || t.State != TicketOpen || t.Expired(s.now())) {
		return Ticket{}, ticketGone
	}
	return t, err
}

// TicketByID returns a ticket for the page that watches it.
func (s *Service) TicketByID(ctx context.Context, id string) (Ticket, error) {
	return s.store.Ticket(ctx, id)
}

// TellStep records what the helper of a ticket is doing.
func (s *Service) TellStep(ctx context.Context, secret string, step Step) error {
	if !slices.Contains(Steps, step) {
		return order.Errorf(order.Invalid, "ticket_step_unknown", "未知的办理步骤")
	}
	return s.store.Change(ctx, func(tx Tx) error {
		_, err := s.moveTicketIn(ctx, tx, secret, StepTicket, func(t *Ticket) { t.Step = step })
		return err
	})
}

// FailTicketIn records in a transaction that the helper of a ticket gave up, and
// with which code.
func (s *Service) FailTicketIn(ctx context.Context, tx TicketTx, secret, code string) (Ticket, error) {
	return s.moveTicketIn(ctx, tx, secret, FailTicket, func(t *Ticket) { t.Failure = code })
}

func (s *Service) moveTicketIn(ctx context.Context, tx TicketTx, secret string, on TicketEvent, change func(*Ticket)) (Ticket, error) {
	was, err := tx.TicketBySecret(ctx, hashSecret(secret))
	if err != nil {
		return Ticket{}, err
	}
	t, err := was.move(on, s.now())
	if err != nil {
		return Ticket{}, err
	}
	change(&t)
	return t, tx.UpdateTicket(ctx, t, was)
}

// FinishTicketIn ends an open ticket in the transaction of what it was for. Of two
// reports one gets through.
func (s *Service) FinishTicketIn(ctx context.Context, tx TicketTx, was Ticket) error {
	t, err := was.move(FinishTicket, s.now())
	if err != nil {
		return err
	}
	return tx.UpdateTicket(ctx, t, was)
}
