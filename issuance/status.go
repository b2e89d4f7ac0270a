package issuance

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// CertStatus is what the CA says about one serial number.
type CertStatus struct {
	Serial   string    `db:"serial"`
	Issuer   string    `db:"issuer"` // label of the issuing CA's token
	NotAfter time.Time `db:"not_after"`
	// RevokedAt and Reason are those of [Issue].
	RevokedAt time.Time `db:"revoked_at"`
	Reason    int       `db:"revocation_reason"`
	// Rev counts the changes of RevokedAt and Reason.
	Rev int64 `db:"status_rev"`
}

// CRL is the newest revocation list of an issuing CA: one row of the table "crls".
type CRL struct {
	Issuer     string    `db:"issuer"`
	Number     int64     `db:"number"` // from 1; 0 is a list never made
	ThisUpdate time.Time `db:"this_update"`
	NextUpdate time.Time `db:"next_update"`
	DER        []byte    `db:"der"`
	// Changes counts what was revoked, frozen and resumed; Included is how much
	// of it this list knows.
	Changes  int64 `db:"changes"`
	Included int64 `db:"included"`
}

// Response is a signed OCSP response about one certificate, kept to be given out.
type Response struct {
	Of  CertStatus
	DER []byte
	// Due is when it must be made anew, zero for never.
	Due time.Time
}

// StatusLedger is the durable memory of what is published about certificates.
type StatusLedger interface {
	// CRL returns the newest list of an issuing CA, one with Number 0 when none
	// was made yet.
	CRL(ctx context.Context, issuer string) (CRL, error)
	// Revoked returns what is revoked or frozen and had not expired at since. It
	// knows at least the changes that an earlier CRL counted.
	Revoked(ctx context.Context, issuer string, since time.Time) ([]CertStatus, error)
	// PutCRL keeps a list if and only if the stored number is one less; otherwise
	// ErrStale. It leaves Changes alone.
	PutCRL(ctx context.Context, c CRL) error
	// CertStatus returns what is to be said of a serial that was issued or
	// revoked; ErrUnknownIssue when there is none.
	CertStatus(ctx context.Context, serial string) (CertStatus, error)
	// DueStatuses returns up to limit statuses whose response has to be made at
	// now, changed ones first.
	DueStatuses(ctx context.Context, now time.Time, limit int) ([]CertStatus, error)
	// PutResponses keeps responses, leaving out those whose Rev is no longer the
	// stored one: they are due again.
	PutResponses(ctx context.Context, r []Response) error
	// Response returns the kept response about a serial; ErrUnknownIssue when
	// there is none.
	Response(ctx context.Context, serial string) ([]byte, error)
}

// How long what is published may be believed, and when it is made anew. A client
// that cannot reach us for days goes on working; one that can hears of a change
// at once, because changes are published when they happen.
const (
	statusLife  = 7 * 24 * time.Hour
	crlRenewal  = 24 * time.Hour
	ocspRenewal = 3 * 24 * time.Hour
)

// responseBatch bounds the responses signed by one Refresh, so that issuing
// keeps most of the HSM: a batch a second is 8 million a day.
const responseBatch = 100

// Publisher makes revocation lists and OCSP responses. What there is to do it
// reads from the ledger, so nothing can be forgotten and any number may run.
type Publisher struct {
	ca     *CA
	ledger StatusLedger
}

// NewPublisher returns a Publisher that signs with the CA.
func NewPublisher(ca *CA, ledger StatusLedger) *Publisher { return &Publisher{ca, ledger} }

// Refresh publishes what has changed or grown old.
func (p *Publisher) Refresh(ctx context.Context) error {
	var errs []error
	for _, a := range issuingAuthorities {
		if err := p.refreshCRL(ctx, a.label); err != nil && !errors.Is(err, ErrStale) {
			errs = append(errs, fmt.Errorf("publishing the CRL of %s: %w", a.label, err))
		}
	}
	return errors.Join(append(errs, p.refreshResponses(ctx))...)
}

func (p *Publisher) refreshCRL(ctx context.Context, issuer string) error {
	was, err := p.ledger.CRL(ctx, issuer)
	if err != nil {
		return err
	}
	now := p.ca.now().UTC().Truncate(time.Second)
	if was.Number > 0 && was.Changes == was.Included && now.Before(was.ThisUpdate.Add(crlRenewal)) {
		return nil
	}
	// An expired certificate stays for one more list (RFC 5280 §3.3).
	revoked, err := p.ledger.Revoked(ctx, issuer, was.ThisUpdate)
	if err != nil {
		return err
	}
	next := CRL{Issuer: issuer, Number: was.Number + 1, ThisUpdate: now, NextUpdate: now.Add(statusLife), Included: was.Changes}
	if next.DER, err = p.ca.signCRL(next, revoked); err != nil {
		return err
	}
	return p.ledger.PutCRL(ctx, next)
}

func (p *Publisher) refreshResponses(ctx context.Context) error {
	now := p.ca.now().UTC().Truncate(time.Second)
	due, err := p.ledger.DueStatuses(ctx, now, responseBatch)
	if err != nil || len(due) == 0 {
		return err
	}
	made := make([]Response, 0, len(due))
	for _, of := range due {
		id, err := p.ca.certID(of)
		if err != nil {
			return err
		}
		r := Response{Of: of, Due: now.Add(ocspRenewal)}
		if r.DER, err = p.ca.signOCSP(ctx, of.Issuer, id, &of, now, nil); err != nil {
			return fmt.Errorf("signing the status of %s: %w", of.Serial, err)
		}
		if of.NotAfter.Before(now) { // the last one
			r.Due = time.Time{}
		}
		made = append(made, r)
	}
	return p.ledger.PutResponses(ctx, made)
}
