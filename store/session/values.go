package session

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/yuncaidun/yuncaidun/order"
)

// values stores byte strings with a deadline on the injected clock.
type values struct {
	rdb redis.UniversalClient
	now func() time.Time
}

func (v values) put(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := v.rdb.Set(ctx, key, v.wrap(value, ttl), ttl+stride).Err(); err != nil {
		return unavailable(err)
	}
	return nil
}

// wrap puts the deadline before a value.
func (v values) wrap(value []byte, ttl time.Duration) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(value)), uint64(v.now().Add(ttl).UnixMilli()))
	return append(b, value...)
}

// open returns the value of a Redis answer, or nil when there is none any more.
func (v values) open(b []byte, err error) ([]byte, error) {
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, unavailable(err)
	}
	if len(b) < 8 || v.now().UnixMilli() >= int64(binary.BigEndian.Uint64(b)) { //nolint:gosec // an int64 that put wrote
		return nil, nil
	}
	return b[8:], nil
}

func (v values) get(ctx context.Context, key string) ([]byte, error) {
	return v.open(v.rdb.Get(ctx, key).Bytes())
}

func (v values) take(ctx context.Context, key string) ([]byte, error) {
	return v.open(v.rdb.GetDel(ctx, key).Bytes())
}

func (v values) drop(ctx context.Context, key string) error {
	if err := v.rdb.Del(ctx, key).Err(); err != nil {
		return unavailable(err)
	}
	return nil
}

// Tickets hands out one-time tokens: OAuth states, upload QR codes, login
// tickets. Values must not hold clear personal data.
type Tickets struct{ values values }

// NewTickets returns the tickets kept in rdb.
func NewTickets(rdb redis.UniversalClient, now func() time.Time) *Tickets {
	return &Tickets{values{rdb, now}}
}

// Put stores value under a new random token.
func (t *Tickets) Put(ctx context.Context, purpose string, value []byte, ttl time.Duration) (token string, err error) {
	token = newToken()
	return token, t.values.put(ctx, ticketKey(purpose, token), value, ttl)
}

// Peek reads a ticket and leaves it valid.
func (t *Tickets) Peek(ctx context.Context, purpose, token string) ([]byte, error) {
	return valid(t.values.get(ctx, ticketKey(purpose, token)))
}

// Take consumes a ticket: of two callers, one gets it.
func (t *Tickets) Take(ctx context.Context, purpose, token string) ([]byte, error) {
	return valid(t.values.take(ctx, ticketKey(purpose, token)))
}

func ticketKey(purpose, token string) string {
	return prefix + "ticket:" + purpose + ":" + hashed(token)
}

func valid(value []byte, err error) ([]byte, error) {
	if err == nil && value == nil {
		return nil, order.Errorf(order.NotFound, "ticket_gone", "链接已失效，请重新获取")
	}
	return value, err
}

// Contexts is what the bot remembers about a person for a few minutes.
type Contexts struct{ values values }

// NewContexts returns the conversations kept in rdb.
func NewContexts(rdb redis.UniversalClient, now func() time.Time) *Contexts {
	return &Contexts{values{rdb, now}}
}

// Recall returns the remembered state, nil when there is none.
func (c *Contexts) Recall(ctx context.Context, openid string) ([]byte, error) {
	return c.values.get(ctx, contextKey(openid))
}

// Remember replaces the state; an empty state forgets.
func (c *Contexts) Remember(ctx context.Context, openid string, state []byte, ttl time.Duration) error {
	if len(state) == 0 {
		return c.values.drop(ctx, contextKey(openid))
	}
	return c.values.put(ctx, contextKey(openid), state, ttl)
}

func contextKey(openid string) string { return prefix + "chat:" + hashed(openid) }

// Dedup lets a thing happen once: of all who claim a key, one may go on.
type Dedup struct{ rdb redis.UniversalClient }

// NewDedup returns the claims kept in rdb.
func NewDedup(rdb redis.UniversalClient) *Dedup { return &Dedup{rdb} }

// Claim reserves key: true for exactly one caller until ttl has passed.
func (d *Dedup) Claim(ctx context.Context, key string, ttl time.Duration) (bool, error) {
	return claimed(claim(ctx, d.rdb, prefix+"claim:"+hashed(key), ttl))
}

func claim(ctx context.Context, rdb redis.Cmdable, key string, ttl time.Duration) *redis.StatusCmd {
	return rdb.SetArgs(ctx, key, 1, redis.SetArgs{Mode: "NX", TTL: ttl})
}

func claimed(c *redis.StatusCmd) (bool, error) {
	switch err := c.Err(); {
	case errors.Is(err, redis.Nil):
		return false, nil
	case err != nil:
		return false, unavailable(err)
	}
	return true, nil
}

// Talks keeps the answer to each WeChat callback, so that a retry gets the same
// answer and its effect happens once, and what the conversation remembers.
type Talks struct {
	values             values
	answerTTL, talkTTL time.Duration
}

// NewTalks returns the conversations kept in rdb: answers for answerTTL, what is
// remembered for talkTTL.
func NewTalks(rdb redis.UniversalClient, now func() time.Time, answerTTL, talkTTL time.Duration) *Talks {
	return &Talks{values{rdb, now}, answerTTL, talkTTL}
}

// Begin claims a message, first for exactly one caller, and recalls what the
// conversation remembers, in one round trip. The claim lies where the answer will.
func (t *Talks) Begin(ctx context.Context, message, person string) (first bool, memory []byte, err error) {
	p := t.values.rdb.Pipeline()
	mine, kept := claim(ctx, p, answerKey(message), t.answerTTL), p.Get(ctx, contextKey(talk+person))
	_, _ = p.Exec(ctx) // each command has its own error
	if first, err = claimed(mine); err != nil {
		return false, nil, err
	}
	memory, err = t.values.open(kept.Bytes())
	return first, memory, err
}

// End keeps the answer to a claimed message, of which an empty one is one, and
// unless memory is nil, what the conversation remembers from now on.
func (t *Talks) End(ctx context.Context, message, person string, answer, memory []byte) error {
	p := t.values.rdb.Pipeline()
	p.Set(ctx, answerKey(message), t.values.wrap(answer, t.answerTTL), t.answerTTL+stride)
	if memory != nil {
		p.Set(ctx, contextKey(talk+person), t.values.wrap(memory, t.talkTTL), t.talkTTL+stride)
	}
	if _, err := p.Exec(ctx); err != nil {
		return unavailable(err)
	}
	return nil
}

// Answer returns the answer to a message; false while there is none.
func (t *Talks) Answer(ctx context.Context, message string) ([]byte, bool, error) {
	answer, err := t.values.get(ctx, answerKey(message))
	return answer, answer != nil, err
}

// talk tells conversations from what else is remembered about a person.
const talk = "talk:"

func answerKey(message string) string { return prefix + "answer:" + hashed(message) }

// TokenCache keeps WeChat access tokens for all processes. It is the
// cache.ContextCache of silenceper/wechat, which wants values back as strings.
type TokenCache struct{ values values }

// NewTokenCache returns the cache kept in rdb.
func NewTokenCache(rdb redis.UniversalClient, now func() time.Time) *TokenCache {
	return &TokenCache{values{rdb, now}}
}

// GetContext returns the value as a string, nil when there is none.
func (c *TokenCache) GetContext(ctx context.Context, key string) any {
	value, err := c.values.get(ctx, tokenKey(key))
	if err != nil || value == nil {
		return nil
	}
	return string(value)
}

// SetContext stores a string until timeout.
func (c *TokenCache) SetContext(ctx context.Context, key string, val any, timeout time.Duration) error {
	s, ok := val.(string)
	if !ok {
		return fmt.Errorf("caching a %T: only strings are kept", val)
	}
	return c.values.put(ctx, tokenKey(key), []byte(s), timeout)
}

// IsExistContext reports whether key has a value.
func (c *TokenCache) IsExistContext(ctx context.Context, key string) bool {
	return c.GetContext(ctx, key) != nil
}

// DeleteContext forgets key.
func (c *TokenCache) DeleteContext(ctx context.Context, key string) error {
	return c.values.drop(ctx, tokenKey(key))
}

// Get is GetContext for the library's older callers.
func (c *TokenCache) Get(key string) any { return c.GetContext(context.Background(), key) }

// Set is SetContext for the library's older callers.
func (c *TokenCache) Set(key string, val any, timeout time.Duration) error {
	return c.SetContext(context.Background(), key, val, timeout)
}

// IsExist is IsExistContext for the library's older callers.
func (c *TokenCache) IsExist(key string) bool { return c.IsExistContext(context.Background(), key) }

// Delete is DeleteContext for the library's older callers.
func (c *TokenCache) Delete(key string) error { return c.DeleteContext(context.Background(), key) }

func tokenKey(key string) string { return prefix + "wechat:" + key }
