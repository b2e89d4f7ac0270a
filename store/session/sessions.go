package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/yuncaidun/yuncaidun/order"
)

// Kind tells the sessions of different doors apart; each has its own cookie.
type Kind string

// The kinds of session.
const (
	Applicant Kind = "applicant"
	Staff     Kind = "staff"
	// Mini is the mini-program's: an applicant's rights, no cookie but a bearer token.
	Mini Kind = "mini"
	// LegalRep is somebody who proved the mobile of one authorisation; nothing
	// else is open to him, and not for long.
	LegalRep Kind = "legal_rep"
)

// How long a session lives: without a request, and altogether.
const (
	IdleTimeout     = 30 * time.Minute
	AbsoluteTimeout = 12 * time.Hour
	LegalRepTimeout = 30 * time.Minute
)

// Absolute is how long a session of this kind lives altogether.
func (k Kind) Absolute() time.Duration {
	if k == LegalRep {
		return LegalRepTimeout
	}
	return AbsoluteTimeout
}

// seenStep is how often a busy session writes down that it was seen.
const seenStep = time.Second

// Session is one login. ID is the secret in the cookie; Redis knows its hash only.
type Session struct {
	ID       string `json:"-"`
	Kind     Kind   `json:"kind"`
	PersonID string `json:"person_id,omitempty"`
	StaffID  string `json:"staff_id,omitempty"`
	OpenID   string `json:"open_id,omitempty"` // Mini: whose phone it is, the payer of what is paid there
	// AuthorizationID is the only thing a session of kind LegalRep may act on.
	AuthorizationID string `json:"authorization_id,omitempty"`
	// FaceToken names the face check that a legal representative has begun.
	FaceToken string    `json:"face_token,omitempty"`
	CSRF      string    `json:"csrf"`
	CreatedAt time.Time `json:"created_at"`
	SeenAt    time.Time `json:"seen_at"`
}

// owner is whose sessions end together.
func (s Session) owner() string {
	switch s.Kind {
	case Staff:
		return s.StaffID
	case LegalRep:
		return s.AuthorizationID
	default:
		return s.PersonID
	}
}

// Sessions keeps the login sessions.
type Sessions struct {
	rdb redis.UniversalClient
	now func() time.Time
}

// NewSessions returns the sessions kept in rdb.
func NewSessions(rdb redis.UniversalClient, now func() time.Time) *Sessions {
	return &Sessions{rdb: rdb, now: now}
}

func sessionKey(kind Kind, idHash string) string {
	return prefix + "session:" + string(kind) + ":" + idHash
}

func ownerKey(kind Kind, owner string) string {
	return prefix + "sessions:" + string(kind) + ":" + owner
}

// Create starts a session with a new id and CSRF token.
func (s *Sessions) Create(ctx context.Context, sess Session) (Session, error) {
	if sess.owner() == "" {
		return Session{}, errors.New("session without an owner")
	}
	sess.ID, sess.CSRF = newToken(), newToken()
	sess.CreatedAt = s.now().UTC()
	sess.SeenAt = sess.CreatedAt
	return sess, s.save(ctx, sess)
}

// save enters the session in its owner's list last: what DeleteAll finds there
// exists, and nobody learns the id before it can be found there.
func (s *Sessions) save(ctx context.Context, sess Session) error {
	value, err := json.Marshal(sess)
	if err != nil {
		return fmt.Errorf("encoding session: %w", err)
	}
	list, hash := ownerKey(sess.Kind, sess.owner()), hashed(sess.ID)
	if err := s.rdb.Set(ctx, sessionKey(sess.Kind, hash), value, IdleTimeout).Err(); err != nil {
		return unavailable(err)
	}
	// Together: a list without an end would stay for ever if we died in between.
	pipe := s.rdb.TxPipeline()
	pipe.SAdd(ctx, list, hash)
	pipe.Expire(ctx, list, AbsoluteTimeout+time.Hour)
	if _, err := pipe.Exec(ctx); err != nil {
		return unavailable(err)
	}
	return nil
}

// Get returns the session of a cookie and counts the visit; Unauthenticated
// when there is none, or when it was idle or alive for too long.
func (s *Sessions) Get(ctx context.Context, kind Kind, id string) (Session, error) {
	if id == "" {
		return Session{}, loggedOut()
	}
	key := sessionKey(kind, hashed(id))
	value, err := s.rdb.Get(ctx, key).Bytes()
	if errors.Is(err, redis.Nil) {
		return Session{}, loggedOut()
	}
	if err != nil {
		return Session{}, unavailable(err)
	}
	sess, err := decode(id, value)
	if err != nil {
		return Session{}, err
	}
	now := s.now().UTC()
	if now.Sub(sess.SeenAt) >= IdleTimeout || now.Sub(sess.CreatedAt) >= kind.Absolute() {
		return Session{}, errors.Join(loggedOut(), s.Delete(ctx, kind, id))
	}
	if now.Sub(sess.SeenAt) < seenStep {
		return sess, nil
	}
	sess.SeenAt = now
	if value, err = json.Marshal(sess); err != nil {
		return Session{}, fmt.Errorf("encoding session: %w", err)
	}
	// Only where it still exists: a logout in between must win.
	if err := s.rdb.SetArgs(ctx, key, value, redis.SetArgs{Mode: "XX", TTL: IdleTimeout}).Err(); err != nil {
		if errors.Is(err, redis.Nil) {
			return Session{}, loggedOut()
		}
		return Session{}, unavailable(err)
	}
	return sess, nil
}

// Rotate gives a session a new id and CSRF token (at login and at every gain of
// rights); the old id is dead when it returns. The absolute time-out runs on.
func (s *Sessions) Rotate(ctx context.Context, old Session) (Session, error) {
	sess := old
	sess.ID, sess.CSRF = newToken(), newToken()
	sess.SeenAt = s.now().UTC()
	if err := s.save(ctx, sess); err != nil {
		return Session{}, err
	}
	// The new one exists before the old one goes, and goes with it when the old
	// one was ended meanwhile, so that DeleteAll misses neither.
	n, err := s.rdb.Del(ctx, sessionKey(old.Kind, hashed(old.ID))).Result()
	if err != nil {
		return Session{}, unavailable(err)
	}
	if n == 0 {
		return Session{}, errors.Join(loggedOut(), s.Delete(ctx, sess.Kind, sess.ID))
	}
	if err := s.rdb.SRem(ctx, ownerKey(old.Kind, old.owner()), hashed(old.ID)).Err(); err != nil {
		return Session{}, unavailable(err)
	}
	return sess, nil
}

// Delete ends one session; an unknown id is no error.
func (s *Sessions) Delete(ctx context.Context, kind Kind, id string) error {
	hash := hashed(id)
	value, err := s.rdb.GetDel(ctx, sessionKey(kind, hash)).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil
	}
	if err != nil {
		return unavailable(err)
	}
	sess, err := decode(id, value)
	if err != nil {
		return err
	}
	if err := s.rdb.SRem(ctx, ownerKey(kind, sess.owner()), hash).Err(); err != nil {
		return unavailable(err)
	}
	return nil
}

// DeleteAll ends every session of a person or, for Staff, of a staff member:
// at a change of role, when they are disabled.
func (s *Sessions) DeleteAll(ctx context.Context, kind Kind, ownerID string) error {
	return s.deleteThose(ctx, kind, ownerID, func(Session) bool { return true })
}

// DeleteBefore ends every session of a person that began before a moment, to the
// millisecond: whoever logs in by what happened then, or after it, stays.
func (s *Sessions) DeleteBefore(ctx context.Context, kind Kind, ownerID string, at time.Time) error {
	return s.deleteThose(ctx, kind, ownerID, func(sess Session) bool { return sess.CreatedAt.UnixMilli() < at.UnixMilli() })
}

func (s *Sessions) deleteThose(ctx context.Context, kind Kind, ownerID string, which func(Session) bool) error {
	list := ownerKey(kind, ownerID)
	for { // again until none is left: a rotation may add to the list meanwhile
		hashes, err := s.rdb.SMembers(ctx, list).Result()
		if err != nil {
			return unavailable(err)
		}
		done := true
		for _, hash := range hashes {
			key := sessionKey(kind, hash)
			value, err := s.rdb.Get(ctx, key).Bytes()
			if err != nil && !errors.Is(err, redis.Nil) {
				return unavailable(err)
			}
			if err == nil {
				sess, err := decode("", value)
				if err != nil {
					return err
				}
				if !which(sess) {
					continue
				}
			}
			done = false
			if err := s.rdb.Del(ctx, key).Err(); err != nil {
				return unavailable(err)
			}
			if err := s.rdb.SRem(ctx, list, hash).Err(); err != nil {
				return unavailable(err)
			}
		}
		if done {
			return nil
		}
	}
}

func decode(id string, value []byte) (Session, error) {
	var sess Session
	if err := json.Unmarshal(value, &sess); err != nil {
		return Session{}, fmt.Errorf("decoding session: %w", err)
	}
	sess.ID = id
	return sess, nil
}

func loggedOut() error {
	return order.Errorf(order.Unauthenticated, "session_expired", "登录已失效，请重新登录")
}
