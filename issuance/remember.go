package issuance

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// How long what is said of a certificate is given out from memory, and of how
// many. With the second that a Publisher may need and the half minute that proxies
// keep a response, a revocation is seen by everybody within a minute, whichever
// process has published it; in that process it is seen at once.
const (
	rememberedFor = 5 * time.Second
	maxRemembered = 4096
)

// Remembering is a StatusLedger that gives out the same response or status again
// without asking for it. The Responder and the Publisher of a process share one.
type Remembering struct {
	StatusLedger
	now       func() time.Time
	responses *memory[[]byte]
	statuses  *memory[CertStatus]
}

// Remember returns a ledger that remembers responses and statuses.
func Remember(ledger StatusLedger, now func() time.Time) *Remembering {
	return &Remembering{StatusLedger: ledger, now: now, responses: newMemory[[]byte](), statuses: newMemory[CertStatus]()}
}

// Response implements [StatusLedger].
func (m *Remembering) Response(ctx context.Context, serial string) ([]byte, error) {
	return m.responses.get(ctx, serial, m.now(), m.StatusLedger.Response)
}

// CertStatus implements [StatusLedger].
func (m *Remembering) CertStatus(ctx context.Context, serial string) (CertStatus, error) {
	return m.statuses.get(ctx, serial, m.now(), m.StatusLedger.CertStatus)
}

// PutResponses implements [StatusLedger].
func (m *Remembering) PutResponses(ctx context.Context, r []Response) error {
	err := m.StatusLedger.PutResponses(ctx, r)
	m.responses.forget(r)
	m.statuses.forget(r)
	return err
}

// memory holds what was read of certificates, by serial.
type memory[V any] struct {
	mu        sync.Mutex
	kept      *simplelru.LRU[string, remembered[V]]
	published int64 // how often something was, here
}

func newMemory[V any]() *memory[V] {
	kept, _ := simplelru.NewLRU[string, remembered[V]](maxRemembered, nil) // fails for a size below 1
	return &memory[V]{kept: kept}
}

type remembered[V any] struct {
	value V
	at    time.Time
}

// get returns what is remembered, or else what read says, which is kept if it is
// no error.
func (m *memory[V]) get(ctx context.Context, serial string, now time.Time, read func(context.Context, string) (V, error)) (V, error) {
	m.mu.Lock()
	r, ok := m.kept.Get(serial)
	published := m.published
	m.mu.Unlock()
	if age := now.Sub(r.at); ok && age >= 0 && age < rememberedFor {
		return r.value, nil
	}
	v, err := read(ctx, serial)
	if err != nil {
		return v, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if published != m.published { // it may be the one of before
		return v, nil
	}
	m.kept.Add(serial, remembered[V]{v, now})
	return v, nil
}

// forget drops what was just published anew.
func (m *memory[V]) forget(published []Response) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.published++
	for _, r := range published {
		m.kept.Remove(r.Of.Serial)
	}
}
