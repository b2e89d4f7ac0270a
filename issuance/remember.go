package issuance

import (
	"context"
	"sync"
	"time"
)

// How long a kept response is given out from memory, and how many are. With the
// second that a Publisher may need and the half minute that proxies keep a
// response, a revocation is seen by everybody within a minute, whichever process
// has published it; in that process it is seen at once.
const (
	rememberedFor = 5 * time.Second
	maxRemembered = 4096
)

// Remembering is a StatusLedger that gives out the same response again without
// asking for it. The Responder and the Publisher of a process share one.
type Remembering struct {
	StatusLedger
	now func() time.Time

	mu        sync.Mutex
	responses map[string]rememberedResponse // by serial
	published int64                         // how often something was, here
}

type rememberedResponse struct {
	der []byte
	at  time.Time
}

// Remember returns a ledger that remembers responses.
func Remember(ledger StatusLedger, now func() time.Time) *Remembering {
	return &Remembering{StatusLedger: ledger, now: now, responses: map[string]rememberedResponse{}}
}

// Response implements [StatusLedger].
func (m *Remembering) Response(ctx context.Context, serial string) ([]byte, error) {
	now := m.now()
	m.mu.Lock()
	r, ok := m.responses[serial]
	published := m.published
	m.mu.Unlock()
	if age := now.Sub(r.at); ok && age >= 0 && age < rememberedFor {
		return r.der, nil
	}
	der, err := m.StatusLedger.Response(ctx, serial)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if published != m.published { // it may be the one of before
		return der, nil
	}
	if !ok && len(m.responses) >= maxRemembered {
		for other := range m.responses { // any
			delete(m.responses, other)
			break
		}
	}
	m.responses[serial] = rememberedResponse{der, now}
	return der, nil
}

// PutResponses implements [StatusLedger].
func (m *Remembering) PutResponses(ctx context.Context, r []Response) error {
	err := m.StatusLedger.PutResponses(ctx, r)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.published++
	for _, r := range r {
		delete(m.responses, r.Of.Serial)
	}
	return err
}
