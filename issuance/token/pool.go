package token

import (
	"context"
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/miekg/pkcs11"
)

// Pool is a set of logged-in sessions on one token of the CA. A session has one
// owner at a time; one that dies is replaced, and when a new session is no better
// the module is re-initialised. A token that goes on failing is left in peace for
// a while: see breakAfter.
type Pool struct {
	m       *Module
	label   string
	pin     PIN
	calls   chan func(*session) (alive bool) // to the sessions, each of which has a goroutine
	ended   chan struct{}                    // one of them was told to end, and did
	size    int
	breaker circuitbreaker.CircuitBreaker[any]
	spares  chan struct{} // sessions that stand in for those of calls that hang

	wrongPIN atomic.Pointer[error] // the token said so; asking again would lock it

	mu      sync.Mutex
	backoff time.Duration // until the next re-initialisation; grows while they do not help
	cooling bool          // the last re-initialisation was less than backoff ago
}

const (
	firstBackoff = 50 * time.Millisecond
	lastBackoff  = 30 * time.Second

	// After so many failures in a row the token is not asked any more, and those who
	// want something of it hear so at once; after breakFor one of them tries again.
	// The first success ends it (reliability 8).
	breakAfter = 5
	breakFor   = 5 * time.Second
)

// session is a place for a PKCS#11 session; it is opened when first used, and
// again after a death.
type session struct {
	open       bool
	handle     pkcs11.SessionHandle
	generation uint64
	keys       map[string]keyPair             // by label; handles die with the session
	secrets    map[string]pkcs11.ObjectHandle // by label
}

// NewPool returns a pool of size sessions on the token called label. Nothing is
// opened before it is needed.
func (m *Module) NewPool(label string, pin PIN, size int) *Pool {
	pl := &Pool{
		m: m, label: label, pin: pin, size: size, calls: make(chan func(*session) bool), ended: make(chan struct{}, size), spares: make(chan struct{}, size), backoff: firstBackoff,
		breaker: circuitbreaker.NewBuilder[any]().WithFailureThreshold(breakAfter).WithDelay(breakFor).Build(),
	}
	for range size {
		go pl.serve(&session{})
	}
	return pl
}

// serve makes calls with a session, one after another, until another session has
// taken its place, or nil tells it to end.
func (pl *Pool) serve(s *session) {
	for call := range pl.calls {
		if call == nil {
			pl.m.evict(s)
			pl.ended <- struct{}{}
			return
		}
		if !call(s) {
			pl.m.evict(s)
			return
		}
	}
}

// Close waits for the owners of sessions and closes them all, which logs out.
// The pool must not be used afterwards.
func (pl *Pool) Close() {
	for range pl.size {
		pl.calls <- nil
	}
	for range pl.size {
		<-pl.ended
	}
}

// use runs fn with a session of the pool. When ctx ends first, use returns at once,
// and a call that hangs in the module is left behind with its session.
func use[T any](ctx context.Context, pl *Pool, fn func(p *driver, s *session) (T, error)) (T, error) {
	if !pl.breaker.TryAcquirePermit() {
		var none T
		return none, &Error{Kind: Resting, Op: "using " + pl.label}
	}
	value, err := lend(ctx, pl, fn)
	switch {
	case sick(err) || pl.breaker.IsHalfOpen() && err != nil:
		pl.breaker.RecordFailure()
	case err == nil || !errors.Is(err, context.Canceled): // who gave up says nothing about the token
		pl.breaker.RecordSuccess()
	}
	return value, err
}

// sick reports whether err says that the token does not work, rather than that it
// was asked for something wrong.
func sick(err error) bool {
	return revivable(err) || errors.Is(err, Full) || errors.Is(err, Busy) || errors.Is(err, PINLocked) || errors.Is(err, context.DeadlineExceeded)
}

func lend[T any](ctx context.Context, pl *Pool, fn func(p *driver, s *session) (T, error)) (T, error) {
	var none T
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	var left atomic.Bool // either the call ends first, or its caller leaves
	call := func(s *session) (alive bool) {
		var r result
		r.err = pl.revive(s, func(p *driver, s *session) (err error) {
			r.value, err = fn(p, s)
			return err
		})
		alive = left.CompareAndSwap(false, true) || pl.comeBack()
		done <- r
		return alive
	}
	select {
	case pl.calls <- call:
	case <-ctx.Done():
		return none, fmt.Errorf("waiting for a session on %s: %w", pl.label, ctx.Err())
	}
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		if left.CompareAndSwap(false, true) {
			pl.leave()
		}
		return none, fmt.Errorf("waiting for %s: %w", pl.label, ctx.Err())
	}
}

// leave gives a call up: another session takes the place of the one it holds, as
// long as there are not too many.
func (pl *Pool) leave() {
	pl.m.use.hung.Add(1)
	select {
	case pl.spares <- struct{}{}:
		go pl.serve(&session{})
	default:
	}
}

// comeBack ends a call that was given up. Its session goes on when nothing stands
// in for it.
func (pl *Pool) comeBack() (alive bool) {
	pl.m.use.hung.Add(-1)
	select {
	case <-pl.spares:
		return false
	default:
		return true
	}
}

// revive runs fn with s. When the session turns out to be dead fn runs again with
// a new one, and a last time after the module was re-initialised.
func (pl *Pool) revive(s *session, fn func(p *driver, s *session) error) error {
	err := pl.try(s, fn)
	if !revivable(err) {
		return err
	}
	pl.m.evict(s)
	pl.m.forget(pl.label)
	if err = pl.try(s, fn); !revivable(err) {
		return err
	}
	seen := s.generation
	pl.m.evict(s)
	if !pl.mayReinitialize() {
		return err
	}
	if again := pl.m.reinitialize(seen); again != nil {
		return errors.Join(err, again)
	}
	if err = pl.try(s, fn); revivable(err) {
		pl.m.evict(s)
	}
	return err
}

// mayReinitialize keeps a token that stays dead from disturbing, by one
// re-initialisation after another, those that live in the same module.
func (pl *Pool) mayReinitialize() bool {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	if pl.cooling {
		return false
	}
	pl.cooling = true
	time.AfterFunc(pl.backoff, pl.cooled)
	pl.backoff = min(2*pl.backoff, lastBackoff)
	return true
}

func (pl *Pool) cooled() {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	pl.cooling = false
}

func (pl *Pool) healed() {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	pl.backoff = firstBackoff
}

// revivable reports whether another session, or the module initialised anew, may
// help. A CA key that is not found belongs here: SoftHSM answers so when the
// token's directory went away and came back.
func revivable(err error) bool {
	return errors.Is(err, Dead) || errors.Is(err, NoObject) || errors.Is(err, Missing) || errors.Is(err, Unrecognized) || errors.Is(err, Failed)
}

// try runs fn once, with s opened.
func (pl *Pool) try(s *session, fn func(p *driver, s *session) error) error {
	if wrong := pl.wrongPIN.Load(); wrong != nil {
		return *wrong
	}
	slot, err := pl.m.slot(pl.label)
	if err != nil {
		return err
	}
	err = pl.m.useSession(s, slot, pl.pin, fn)
	if errors.Is(err, PINIncorrect) {
		pl.wrongPIN.Store(&err)
	}
	if err != nil {
		return err
	}
	pl.healed()
	return nil
}

func (m *Module) useSession(s *session, slot uint, pin PIN, fn func(p *driver, s *session) error) error {
	m.use.RLock()
	defer m.use.RUnlock()
	if s.generation != m.generation {
		*s = session{generation: m.generation} // its handle died with the old generation
	}
	if !s.open {
		if err := m.logIn(s, slot, pin); err != nil {
			return err
		}
	}
	return fn(m.p, s)
}

// logIn opens a session for its place and logs in. One that could not log in is
// not kept: it would only fail later, in another way.
func (m *Module) logIn(s *session, slot uint, pin PIN) error {
	sh, err := m.p.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	if err != nil {
		return fail("opening session", err)
	}
	if err := m.p.Login(sh, pkcs11.CKU_USER, pin.Reveal()); err != nil && !is(err, pkcs11.CKR_USER_ALREADY_LOGGED_IN) {
		_ = m.p.CloseSession(sh) // what went wrong is that login
		return fail("logging in", err)
	}
	*s = session{open: true, handle: sh, generation: m.generation, keys: map[string]keyPair{}, secrets: map[string]pkcs11.ObjectHandle{}}
	return nil
}

// evict closes a session, dead or not, and leaves an empty place.
func (m *Module) evict(s *session) {
	m.use.RLock()
	defer m.use.RUnlock()
	if s.open && s.generation == m.generation {
		_ = m.p.CloseSession(s.handle) // a dead one cannot be closed
	}
	*s = session{generation: m.generation}
}

// key returns the cached handle of the key pair called label.
func (s *session) key(p *driver, label string) (keyPair, error) {
	if kp, ok := s.keys[label]; ok {
		return kp, nil
	}
	kp, err := findKeyPair(p, s.handle, attr(pkcs11.CKA_LABEL, label))
	if err == nil {
		s.keys[label] = kp
	}
	return kp, err
}

// Signer is a crypto.Signer on a CA key. It may be used by any number of
// goroutines, each of which waits for a session of the pool.
type Signer struct {
	pool   *Pool
	label  string
	public crypto.PublicKey
}

// EnsureKey returns a Signer on the key pair called label, and makes it when the
// token has none that works. Call it only for keys that are not certified yet.
func (pl *Pool) EnsureKey(ctx context.Context, label string, alg Algorithm) (*Signer, error) {
	return pl.signer(ctx, label, func(p *driver, s *session) (keyPair, error) {
		return ensureKeyPair(p, s.handle, alg, signOnly, attr(pkcs11.CKA_LABEL, label), attr(pkcs11.CKA_ID, []byte(label)))
	})
}

// Signer returns a Signer on the key pair called label, which must exist.
func (pl *Pool) Signer(ctx context.Context, label string) (*Signer, error) {
	return pl.signer(ctx, label, func(p *driver, s *session) (keyPair, error) { return s.key(p, label) })
}

func (pl *Pool) signer(ctx context.Context, label string, find func(*driver, *session) (keyPair, error)) (*Signer, error) {
	kp, err := use(ctx, pl, find)
	if err != nil {
		return nil, err
	}
	return &Signer{pool: pl, label: label, public: kp.public}, nil
}

// Public implements crypto.Signer.
func (sg *Signer) Public() crypto.PublicKey { return sg.public }

// Sign implements crypto.Signer; the token brings its own randomness.
func (sg *Signer) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return sg.SignContext(context.Background(), digest, opts)
}

// SignContext is Sign that stops waiting when ctx ends.
func (sg *Signer) SignContext(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return use(ctx, sg.pool, func(p *driver, s *session) ([]byte, error) {
		kp, err := s.key(p, sg.label)
		if err != nil {
			return nil, err
		}
		return sign(p, s.handle, kp, digest, opts)
	})
}

// Health signs a random digest and verifies the signature: nothing less proves
// that a token works.
func (sg *Signer) Health(ctx context.Context) error {
	digest := make([]byte, crypto.SHA256.Size())
	rand.Read(digest)
	sig, err := sg.SignContext(ctx, digest, crypto.SHA256)
	if err != nil {
		return fmt.Errorf("health of %s: %w", sg.label, err)
	}
	if !Verify(sg.public, crypto.SHA256, digest, sig) {
		return fmt.Errorf("health of %s: %w", sg.label, &Error{Kind: Mismatch, Op: "verifying signature"})
	}
	return nil
}
