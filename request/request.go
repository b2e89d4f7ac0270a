// Package request carries what needs the HSM or the token keyset to the issuer,
// and its answer back. Only an issuer process loads a PKCS#11 module; web and
// jobs leave a [Request] in the database and wait for the row to be answered.
//
// A row is inserted together with a job on the issue queue, so it reaches the
// issuer whether that is this process or another, and survives a kill -9 of
// either. Executors run at least once and must be idempotent by the request's
// ID; the first answer is kept, and asking again with the same ID returns it.
//
// To add a kind of request:
//
//  1. name it in a constant of type [Kind] beside these types, and say there what
//     Subject, Body and the answer hold;
//  2. add its executor to the table in the issuer's wiring (issuerRequests in the
//     main package);
//  3. call [Desk.Ask] where the answer is needed, or insert the row in the
//     transaction of its cause (store's Tx.InsertRequest) when nobody waits for it.
//
// Neither Body nor the answer may hold personal data or secrets in the clear: an
// answer is public by nature, or sealed by the executor to a key of whoever asks.
package request

import (
	"context"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

// Kind names what the issuer is asked to do.
type Kind string

// The kinds about unlocking. Subject is the USBKEY's serial number.
const (
	// UnlockSecret asks for the SO PINs of a USBKEY, sealed to the key helper's
	// ephemeral key; Body is a [SecretBody].
	UnlockSecret Kind = "unlock_secret"
	// UnlockDone says that the SO PIN handed out for a ticket is set; Body is the
	// ticket's id, the answer is empty.
	UnlockDone Kind = "unlock_done"
	// UnlockCode asks for the response to a challenge, sealed to an ephemeral key of
	// whoever asks; Body is a [CodeBody].
	UnlockCode Kind = "unlock_code"
)

// SecretBody is the body of an UnlockSecret, in JSON.
type SecretBody struct {
	Ticket    string `json:"ticket"`
	PublicKey []byte `json:"public_key"`
}

// CodeBody is the body of an UnlockCode, in JSON.
type CodeBody struct {
	Challenge string `json:"challenge"`
	PublicKey []byte `json:"public_key"`
}

// The kinds that seal an authorisation letter. Neither subject nor body says whose.
const (
	// SealChain asks for the seal certificate and its issuer's: the answer is both
	// in DER, one behind the other. There is no body.
	SealChain Kind = "seal_chain"
	// SealDigest asks for a signature by the seal key: the body is one SHA-256
	// digest, the answer the signature.
	SealDigest Kind = "seal_digest"
)

// State is how far a request has come.
type State string

// The states. Both answers are final.
const (
	Waiting  State = "waiting"
	Answered State = "answered"
	Refused  State = "refused"
)

// Request is one thing the issuer is asked to do: one row.
type Request struct {
	// ID is made by whoever asks. The same ID again is the same request.
	ID   string
	Kind Kind
	// Subject is what it is about: a serial number, an order. Never personal data.
	Subject string
	// Body is opaque here; the kind says what it holds.
	Body []byte

	State  State
	Answer []byte
	// Refusal says why a refused request cannot be done, and of one that waits why
	// the last try failed.
	Refusal *order.Error

	CreatedAt  time.Time
	ExpiresAt  time.Time
	AnsweredAt time.Time
}

// Life is how long a request may wait and its answer is kept. Whoever has used
// an answer forgets it earlier.
const Life = 10 * time.Minute

// Patience is how long [Desk.Ask] waits for an answer.
const Patience = 10 * time.Second

// Store keeps requests.
type Store interface {
	// InsertRequest adds a request with its job on the issue queue, unless the ID
	// exists.
	InsertRequest(ctx context.Context, r Request) error
	// Request returns one request; NotFound when there is none (any more).
	Request(ctx context.Context, id string) (Request, error)
	// AnswerRequest writes State, Answer, Refusal and AnsweredAt if the request
	// still waits; otherwise nothing happens.
	AnswerRequest(ctx context.Context, r Request) error
	// ForgetRequest removes a request with its answer.
	ForgetRequest(ctx context.Context, id string) error
	// PurgeRequests removes the requests that expired before an instant.
	PurgeRequests(ctx context.Context, before time.Time) error
}

// Executor does what one kind of request asks for. It runs at least once. A
// refusal (an order.Error that no repetition can change) becomes the answer; any
// other error is tried again until the request expires.
type Executor func(ctx context.Context, r Request) (answer []byte, err error)
