package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/yuncaidun/yuncaidun/order"
)

// ScanState is where a login by QR code stands (F20). That its time is over is
// no state: there is nothing any more.
type ScanState string

// The states.
const (
	ScanWaiting   ScanState = "waiting"   // 待扫码
	ScanScanned   ScanState = "scanned"   // 已扫待确认
	ScanConfirmed ScanState = "confirmed" // 已确认
	ScanCancelled ScanState = "cancelled" // 已取消
	ScanUsed      ScanState = "used"      // the browser is logged in
)

// ScanEvent is what happens to a login by QR code.
type ScanEvent string

// The events: the phone's three, and the browser's.
const (
	ScanOpen    ScanEvent = "scan"
	ScanConfirm ScanEvent = "confirm"
	ScanCancel  ScanEvent = "cancel"
	ScanTake    ScanEvent = "take"
)

// ScanLife is how long a QR code works, from its first showing to the login.
const ScanLife = 120 * time.Second

// scanMoves is the lifecycle. A second scan by the same person is a phone that
// lost the answer; a second person finds the code taken.
var scanMoves = []struct {
	From []ScanState
	On   ScanEvent
	To   ScanState
}{
	{[]ScanState{ScanWaiting, ScanScanned}, ScanOpen, ScanScanned},
	{[]ScanState{ScanScanned, ScanConfirmed}, ScanConfirm, ScanConfirmed},
	{[]ScanState{ScanScanned, ScanCancelled}, ScanCancel, ScanCancelled},
	{[]ScanState{ScanConfirmed}, ScanTake, ScanUsed},
}

// Scan is one login by QR code. Browser is the hash of the secret of the browser
// that shows the code and alone can use it; Device says which it is, for the
// phone's question.
type Scan struct {
	State    ScanState
	Browser  string
	Device   string
	PersonID string
}

// Scans keeps the logins by QR code.
type Scans struct{ values values }

// NewScans returns the logins kept in rdb.
func NewScans(rdb redis.UniversalClient, now func() time.Time) *Scans {
	return &Scans{values{rdb, now}}
}

func scanKey(token string) string { return prefix + "scan:" + hashed(token) }

// Start returns the token of a new QR code.
func (s *Scans) Start(ctx context.Context, browser, device string) (string, error) {
	token := newToken()
	value, err := json.Marshal(Scan{State: ScanWaiting, Browser: browser, Device: device})
	if err != nil {
		return "", err
	}
	return token, s.values.put(ctx, scanKey(token), value, ScanLife)
}

// Look returns the login as it stands; NotFound when its time is over.
func (s *Scans) Look(ctx context.Context, token string) (Scan, error) {
	_, scan, err := s.read(ctx, token)
	return scan, err
}

func (s *Scans) read(ctx context.Context, token string) (raw []byte, scan Scan, err error) {
	raw, err = s.values.rdb.Get(ctx, scanKey(token)).Bytes()
	value, err := s.values.open(raw, err)
	if err == nil && value == nil {
		err = order.Errorf(order.NotFound, "scan_expired", "二维码已过期，请在电脑上刷新后重新扫码")
	}
	if err != nil {
		return nil, scan, err
	}
	if err := json.Unmarshal(value, &scan); err != nil {
		return nil, scan, fmt.Errorf("decoding a login by QR code: %w", err)
	}
	return raw, scan, nil
}

// Move applies an event of a person's phone, or of the browser for [ScanTake]
// (who is then the browser's hash). Conflict: somebody else was there, or it is
// too late for that. Of two that take, one succeeds.
func (s *Scans) Move(ctx context.Context, token string, on ScanEvent, who string) (Scan, error) {
	for {
		raw, scan, err := s.read(ctx, token)
		if err != nil {
			return scan, err
		}
		next, err := scan.after(on, who)
		if err != nil {
			return scan, err
		}
		value, err := json.Marshal(next)
		if err != nil {
			return scan, err
		}
		done, err := swapScript.Run(ctx, s.values.rdb, []string{scanKey(token)}, raw, append(slices.Clone(raw[:8]), value...)).Bool()
		switch {
		case errors.Is(err, redis.Nil): // somebody moved it meanwhile: look again
			continue
		case err != nil:
			return scan, unavailable(err)
		case done:
			return next, nil
		}
	}
}

// after is the login after an event, or why it cannot happen.
func (s Scan) after(on ScanEvent, who string) (Scan, error) {
	taken := order.Errorf(order.Conflict, "scan_taken", "该二维码已被使用，请在电脑上刷新后重新扫码")
	for _, m := range scanMoves {
		if m.On != on || !slices.Contains(m.From, s.State) {
			continue
		}
		switch {
		case on == ScanTake && who != s.Browser, on != ScanTake && s.PersonID != "" && who != s.PersonID:
			return s, taken
		case on != ScanTake:
			s.PersonID = who
		}
		s.State = m.To
		return s, nil
	}
	return s, taken
}

// swapScript replaces a value only when it is still the one that was read.
var swapScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then
	redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
	return 1
end
return false`)
