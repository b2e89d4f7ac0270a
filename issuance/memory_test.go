package issuance

import (
	"context"
	"errors"
	"sync"
	"time"
)

// memoryLedger is a Ledger that keeps the same constraints as the database.
type memoryLedger struct {
	mu      sync.Mutex
	issues  map[string]Issue
	tokens  map[string]TokenRecord
	number  uint64
	history []string // every serial number that was ever committed
	soPINs  map[string][][]byte
	stock   string // the next blank, "" for none
	told    map[string]string
}

func newMemoryLedger() *memoryLedger {
	return &memoryLedger{issues: map[string]Issue{}, tokens: map[string]TokenRecord{}, soPINs: map[string][][]byte{}, told: map[string]string{}}
}

func (l *memoryLedger) SOPINs(_ context.Context, serial string) ([]byte, int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	versions := l.soPINs[serial]
	if len(versions) == 0 {
		return nil, 0, nil
	}
	return versions[len(versions)-1], int64(len(versions)), nil
}

func (l *memoryLedger) PutSOPINs(_ context.Context, serial string, sealed []byte, rev int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if int64(len(l.soPINs[serial])) != rev {
		return ErrStale
	}
	l.soPINs[serial] = append(l.soPINs[serial], sealed)
	return nil
}

func (l *memoryLedger) OpenIssue(_ context.Context, is Issue) (Issue, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if old, ok := l.issues[is.ID]; ok {
		return old, nil
	}
	for _, o := range l.issues {
		if o.Item == is.Item && o.Stage != StageFailed {
			return Issue{}, ErrItemBusy
		}
	}
	if err := l.unique(is); err != nil {
		return Issue{}, err
	}
	if is.Serial != "" {
		l.history = append(l.history, is.Serial)
	}
	l.issues[is.ID] = is
	return is, nil
}

func (l *memoryLedger) unique(is Issue) error {
	kept := false
	for _, o := range l.issues {
		switch {
		case o.ID == is.ID:
		case is.Serial != "" && o.Serial == is.Serial:
			return ErrSerialTaken
		case is.KeyHash != "" && o.KeyHash == is.KeyHash && is.Renews == "" && o.Renews == "":
			return ErrKeyReused
		case is.Renews != "" && o.Serial == is.Renews && o.KeyHash == is.KeyHash:
			kept = true
		}
	}
	if is.Renews != "" && !kept {
		return ErrOtherKey
	}
	return nil
}

func (l *memoryLedger) Issue(_ context.Context, id string) (Issue, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	is, ok := l.issues[id]
	if !ok {
		return is, ErrUnknownIssue
	}
	return is, nil
}

func (l *memoryLedger) KeyOf(_ context.Context, serial string) (since, ends time.Time, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, is := range l.issues {
		if is.Serial != serial || is.Certificate == nil {
			continue
		}
		for _, first := range l.issues {
			if first.KeyHash == is.KeyHash && first.Renews == "" {
				return first.NotBefore, is.NotAfter, nil
			}
		}
	}
	return since, ends, ErrUnknownIssue
}

func (l *memoryLedger) AdvanceIssue(_ context.Context, from Stage, is Issue, tok *TokenRecord) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	old, ok := l.issues[is.ID]
	if !ok {
		return ErrUnknownIssue
	}
	if old.Stage != from {
		return ErrStale
	}
	if err := l.unique(is); err != nil {
		return err
	}
	if is.Serial != old.Serial {
		l.history = append(l.history, is.Serial)
	}
	l.issues[is.ID] = is
	if tok != nil {
		l.tokens[tok.Serial] = *tok
	}
	return nil
}

func (l *memoryLedger) Token(_ context.Context, serial string) (TokenRecord, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t, ok := l.tokens[serial]
	if !ok {
		return t, ErrUnknownToken
	}
	return t, nil
}

// TakeBlank takes the blank that the test has put there.
func (l *memoryLedger) TakeBlank(context.Context, string, []string, time.Time) (string, error) {
	return l.stock, nil
}

func (l *memoryLedger) TellPIN(_ context.Context, serial, request string, _ time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tokens[serial].State != TokenPersonalized || l.told[serial] != "" && l.told[serial] != request {
		return ErrPINTold
	}
	l.told[serial] = request
	return nil
}

func (l *memoryLedger) NextTokenNumber(context.Context) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.number++
	return l.number, nil
}

// live returns the issues of an item whose serial number is not revoked.
func (l *memoryLedger) live(item string) (live []Issue) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, is := range l.issues {
		if is.Item == item && is.Serial != "" && is.RevokedAt.IsZero() {
			live = append(live, is)
		}
	}
	return live
}

var errCrash = errors.New("crash")

// crashingLedger fails its n-th call (counted from 0), before the call takes
// effect or after it did: the process died, and never learned which.
type crashingLedger struct {
	*memoryLedger
	n     int
	after bool
	calls int
}

func (l *crashingLedger) crash(call func() error) error {
	i := l.calls
	l.calls++
	if i == l.n && !l.after {
		return errCrash
	}
	err := call()
	if i == l.n {
		return errCrash
	}
	return err
}

func (l *crashingLedger) Issue(ctx context.Context, id string) (is Issue, err error) {
	err = l.crash(func() error { is, err = l.memoryLedger.Issue(ctx, id); return err })
	return is, err
}

func (l *crashingLedger) AdvanceIssue(ctx context.Context, from Stage, is Issue, tok *TokenRecord) error {
	return l.crash(func() error { return l.memoryLedger.AdvanceIssue(ctx, from, is, tok) })
}

func (l *crashingLedger) Token(ctx context.Context, serial string) (t TokenRecord, err error) {
	err = l.crash(func() error { t, err = l.memoryLedger.Token(ctx, serial); return err })
	return t, err
}

func (l *crashingLedger) NextTokenNumber(ctx context.Context) (n uint64, err error) {
	err = l.crash(func() error { n, err = l.memoryLedger.NextTokenNumber(ctx); return err })
	return n, err
}
