package issuance

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"
)

// saidOf is what an answer says about a certificate.
func (w *published) saidOf(r *Responder, request []byte) int {
	w.t.Helper()
	der, fresh, err := r.Answer(w.t.Context(), request)
	if q, parsed := parseOCSPRequest(request); err != nil || parsed != nil || fresh != (q.hash != crypto.SHA1) {
		w.t.Fatalf("fresh %t, %v, %v", fresh, err, parsed)
	}
	resp, err := ocsp.ParseResponse(der, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.Status
}

// F102, reliability: a revocation is seen at once where it is published and after
// some seconds everywhere else, though responses are given out from memory.
func TestRememberedResponses(t *testing.T) {
	w := newPublished(t, CompanyP256)
	at := w.now.Add(-time.Minute).UTC().Truncate(time.Second)
	leaf, err := x509.ParseCertificate(w.is.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	request, err := ocsp.CreateRequest(leaf, w.ca.Issuing[w.is.Issuer], nil)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := ocsp.CreateRequest(leaf, w.ca.Issuing[w.is.Issuer], &ocsp.RequestOptions{Hash: crypto.SHA256}) // for this request alone
	if err != nil {
		t.Fatal(err)
	}
	counted := &countingStatus{StatusLedger: w.ledger}
	here, there := Remember(counted, w.ca.now), Remember(w.ledger, w.ca.now)
	ours, theirs := NewResponder(w.ca.Chain, w.ca, here, w.ca.now), NewResponder(w.ca.Chain, nil, there, w.ca.now)
	publish := func() {
		t.Helper()
		if err := NewPublisher(w.ca, here).Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	want := func(when string, r *Responder, status int) {
		t.Helper()
		if got := w.saidOf(r, request); got != status {
			t.Errorf("%s: status %d, want %d", when, got, status)
		}
	}
	publish()
	for range 3 {
		want("issued, here", ours, ocsp.Good)
		want("issued, there", theirs, ocsp.Good)
	}
	if counted.asked != 1 {
		t.Errorf("the ledger was asked %d times", counted.asked)
	}
	for _, step := range []struct {
		name   string
		at     time.Time
		reason int
		was    int
		is     int
	}{
		{"frozen", at, CertificateHold, ocsp.Good, ocsp.Revoked},
		{"resumed", time.Time{}, 0, ocsp.Revoked, ocsp.Good},
		{"revoked", at, 1, ocsp.Good, ocsp.Revoked},
	} {
		w.ledger.set(w.is.Serial, step.at, step.reason)
		want(step.name+", not published", ours, step.was)
		want(step.name+", not published, there", theirs, step.was)
		publish()
		want(step.name+", here", ours, step.is)
		if got := w.saidOf(ours, signed); got != step.is {
			t.Errorf("%s, signed for one: status %d, want %d", step.name, got, step.is)
		}
		w.now = w.now.Add(rememberedFor - time.Millisecond)
		want(step.name+", remembered there", theirs, step.was)
		w.now = w.now.Add(time.Millisecond)
		want(step.name+", there", theirs, step.is)
	}
	w.now = w.now.Add(-time.Hour) // a clock that was put right
	w.ledger.set(w.is.Serial, time.Time{}, 0)
	if err := NewPublisher(w.ca, w.ledger).Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	want("before it was remembered", theirs, ocsp.Good)
}

// countingStatus counts how often a response was asked for.
type countingStatus struct {
	StatusLedger
	asked int
}

func (c *countingStatus) Response(ctx context.Context, serial string) ([]byte, error) {
	c.asked++
	return c.StatusLedger.Response(ctx, serial)
}

// slowStatus is a ledger in which something is published while a response is read.
type slowStatus struct {
	StatusLedger
	meanwhile func()
}

func (s *slowStatus) Response(ctx context.Context, serial string) ([]byte, error) {
	der, err := s.StatusLedger.Response(ctx, serial)
	if f := s.meanwhile; f != nil {
		s.meanwhile = nil
		f()
	}
	return der, err
}

// countedStatus is a ledger of numbers: the response about every serial is how often it was
// published.
type countedStatus struct {
	StatusLedger
	mu sync.Mutex
	n  int
}

func (c *countedStatus) Response(_ context.Context, serial string) ([]byte, error) {
	if serial == "unknown" {
		return nil, ErrUnknownIssue
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Append(nil, c.n), nil
}

func (c *countedStatus) PutResponses(context.Context, []Response) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	return nil
}

// A response that was read before another one was published is not remembered
// after it.
func TestRememberedWhilePublished(t *testing.T) {
	slow := &slowStatus{StatusLedger: &countedStatus{}}
	m := Remember(slow, func() time.Time { return time.Unix(0, 0) })
	slow.meanwhile = func() {
		if err := m.PutResponses(t.Context(), []Response{{Of: CertStatus{Serial: "a"}}}); err != nil {
			t.Error(err)
		}
	}
	for n, want := range []string{"0", "1", "1"} {
		if der, err := m.Response(t.Context(), "a"); err != nil || string(der) != want {
			t.Errorf("answer %d: %s, %v; want %s", n, der, err, want)
		}
	}
}

// Many ask while somebody publishes: after it nobody gets what was before. And the
// memory is bounded, and knows nothing of what is unknown.
func TestRememberingAtOnce(t *testing.T) {
	m := Remember(&countedStatus{}, func() time.Time { return time.Unix(0, 0) })
	var (
		published sync.RWMutex
		least     int
		readers   sync.WaitGroup
	)
	for reader := range 4 {
		readers.Go(func() {
			for i := range 500 {
				published.RLock()
				want := least
				published.RUnlock()
				der, err := m.Response(t.Context(), "a")
				var got int
				if _, scan := fmt.Sscan(string(der), &got); err != nil || scan != nil || got < want {
					t.Errorf("reader %d, %d: %s after %d were published, %v", reader, i, der, want, err)
					return
				}
			}
		})
	}
	for n := range 200 {
		if err := m.PutResponses(t.Context(), []Response{{Of: CertStatus{Serial: "a"}}}); err != nil {
			t.Error(err)
		}
		published.Lock()
		least = n + 1
		published.Unlock()
	}
	readers.Wait()
	for i := range maxRemembered + 10 {
		if _, err := m.Response(t.Context(), fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	if n := m.responses.kept.Len(); n > maxRemembered {
		t.Errorf("%d are remembered", n)
	}
	if _, err := m.Response(t.Context(), "unknown"); !errors.Is(err, ErrUnknownIssue) {
		t.Errorf("unknown: %v", err)
	}
}
