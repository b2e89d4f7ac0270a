package session

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/big"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

// Challenge is what an SMS code proves: that whoever answers reads the SMS of
// Mobile, for one purpose and one subject (order, certificate, browser nonce or
// openid). A code answers exactly the challenge it was issued for (F57).
type Challenge struct {
	Purpose string
	Mobile  identity.Mobile
	Subject string
	IP      string // of the asking client; counted, not part of the binding
}

// Limits is how often codes may be asked for and guessed (F55–F57).
type Limits struct {
	// Key is the HMAC key (32 bytes) under which numbers and codes appear in
	// Redis; the same in every process.
	Key []byte
	// TTL is how long a code is valid (F55).
	TTL time.Duration
	// Resend, PerHour and PerDay count the SMS to one mobile. All purposes that
	// a stranger can ask for share one count.
	Resend          time.Duration
	PerHour, PerDay int
	// LoggedIn names the purposes offered only to a login that has proved this
	// mobile; these are counted per purpose and subject.
	LoggedIn []string
	// MobilePerDay counts the SMS to one mobile for whatever purpose.
	MobilePerDay int
	// IPPerHour counts the SMS one address may cause; see [Network].
	IPPerHour int
	// GlobalPerDay is the spending cap of the whole product.
	GlobalPerDay int
	// Tries is how many wrong guesses kill a code.
	Tries int
	// TriesPerDay counts wrong guesses per mobile over all its codes: 90 in 10⁶
	// keeps the chance of a hit in a day below 10⁻⁴.
	TriesPerDay int
}

// DefaultLimits are the limits of F55–F57.
func DefaultLimits(key []byte) Limits {
	return Limits{
		Key: key, TTL: 60 * time.Second,
		Resend: 60 * time.Second, PerHour: 5, PerDay: 10, MobilePerDay: 40,
		IPPerHour: 20, GlobalPerDay: 20_000,
		Tries: 5, TriesPerDay: 90,
	}
}

// Codes issues and checks SMS codes. Without Redis it refuses both.
type Codes struct {
	rdb    redis.UniversalClient
	now    func() time.Time
	limits Limits
}

// NewCodes returns the codes kept in rdb. It panics without a key: counting
// mobiles in the clear would be a programming error, not a condition.
func NewCodes(rdb redis.UniversalClient, now func() time.Time, limits Limits) *Codes {
	if len(limits.Key) < 32 {
		panic("session: Limits.Key must have at least 32 bytes")
	}
	return &Codes{rdb: rdb, now: now, limits: limits}
}

// Issue returns a new code for the challenge, replacing any earlier one, or
// RateLimited with the time to wait. The caller sends it.
func (c *Codes) Issue(ctx context.Context, ch Challenge) (string, error) {
	token := newToken()
	taken, err := c.takeAll(ctx, token, c.sendCounters(ch))
	if err != nil {
		c.release(ctx, token, taken)
		return "", err
	}
	code, err := randomCode()
	if err != nil {
		return "", err
	}
	key, now := c.codeKey(ch), c.now()
	pipe := c.rdb.TxPipeline()
	pipe.Del(ctx, key)
	pipe.HSet(ctx, key, "mac", c.mac("code", key, code), "expires", now.Add(c.limits.TTL).UnixMilli())
	pipe.PExpire(ctx, key, c.limits.TTL+time.Minute)
	if _, err := pipe.Exec(ctx); err != nil {
		return "", unavailable(err)
	}
	return code, nil
}

// Verify consumes the challenge's code when it is right. A wrong guess is
// counted in the same step that compares it, so parallel guesses gain nothing.
func (c *Codes) Verify(ctx context.Context, ch Challenge, typed string) error {
	code := strings.Join(strings.Fields(identity.HalfWidth(typed)), "")
	tries := counter{key: prefix + "tries:" + c.mobileTag(ch), code: "code_tries_exhausted", windows: []window{{24 * time.Hour, c.limits.TriesPerDay}}}
	token := newToken()
	if _, err := c.takeAll(ctx, token, []counter{tries}); err != nil {
		return err
	}
	key := c.codeKey(ch)
	outcome, err := verifyScript.Run(ctx, c.rdb, []string{key}, c.mac("code", key, code), c.now().UnixMilli(), c.limits.Tries).Text()
	if err != nil {
		return unavailable(err)
	}
	if outcome != "wrong" {
		c.release(ctx, token, []counter{tries})
	}
	switch outcome {
	case "right":
		return nil
	case "wrong":
		return order.Errorf(order.Invalid, "code_wrong", "验证码不正确，请核对后重新输入")
	default:
		return order.Errorf(order.Invalid, "code_expired", "验证码已失效，请重新获取")
	}
}

// verifyScript compares, consumes or counts in one atomic step.
// KEYS: the code. ARGV: MAC of the guess, now, allowed tries.
var verifyScript = redis.NewScript(`
local code = redis.call('HMGET', KEYS[1], 'mac', 'expires')
if not code[1] then return 'gone' end
if tonumber(ARGV[2]) >= tonumber(code[2]) then
	redis.call('DEL', KEYS[1])
	return 'gone'
end
if code[1] == ARGV[1] then
	redis.call('DEL', KEYS[1])
	return 'right'
end
if redis.call('HINCRBY', KEYS[1], 'tries', 1) >= tonumber(ARGV[3]) then
	redis.call('DEL', KEYS[1])
end
return 'wrong'`)

// sendCounters are the counts an SMS needs room in. The asking address comes
// first: one that is over its limit must not use up the owner's count.
func (c *Codes) sendCounters(ch Challenge) []counter {
	mobile, scope := c.mobileTag(ch), "public"
	if slices.Contains(c.limits.LoggedIn, ch.Purpose) {
		scope = ch.Purpose + ":" + c.mac("subject", ch.Subject)
	}
	const hour, day = time.Hour, 24 * time.Hour
	cs := []counter{
		{key: prefix + "sms:" + mobile + ":" + scope, code: "sms_mobile_limit", windows: []window{{c.limits.Resend, 1}, {hour, c.limits.PerHour}, {day, c.limits.PerDay}}},
		{key: prefix + "sms:" + mobile, code: "sms_mobile_limit", windows: []window{{day, c.limits.MobilePerDay}}},
		{key: prefix + "sms:all", code: "sms_busy", windows: []window{{day, c.limits.GlobalPerDay}}},
	}
	if ch.IP == "" {
		return cs
	}
	ip := counter{key: prefix + "sms:ip:" + c.mac("ip", Network(ch.IP)), code: "sms_ip_limit", windows: []window{{hour, c.limits.IPPerHour}}}
	return append([]counter{ip}, cs...)
}

// Network is what one subscriber has of addresses, as limits count him: one of IPv4, or
// the 2⁶⁴ of an IPv6 network.
func Network(ip string) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return ip
	}
	if addr = addr.Unmap(); addr.Is4() {
		return addr.String()
	}
	return netip.PrefixFrom(addr.WithZone(""), 64).Masked().String()
}

// A counter is a set of instants; each of its windows holds at most limit.
type counter struct {
	key, code string
	windows   []window
}

type window struct {
	length time.Duration
	limit  int
}

// takeAll enters token into every counter, or returns those it had entered
// when one was full.
func (c *Codes) takeAll(ctx context.Context, token string, cs []counter) (taken []counter, err error) {
	for i, k := range cs {
		args := []any{c.now().UnixMilli(), token}
		for _, w := range k.windows {
			args = append(args, w.length.Milliseconds(), w.limit)
		}
		wait, err := takeScript.Run(ctx, c.rdb, []string{k.key}, args...).Int64()
		if err != nil {
			return cs[:i], unavailable(err)
		}
		if wait > 0 {
			retry := time.Duration(wait) * time.Millisecond
			return cs[:i], &order.Error{Kind: order.RateLimited, Code: k.code, Detail: "操作太频繁，请" + waitText(retry) + "后再试", RetryAfter: retry}
		}
	}
	return cs, nil
}

// release takes token back out. When Redis fails here the count stays too high,
// which errs on the safe side.
func (c *Codes) release(ctx context.Context, token string, cs []counter) {
	for _, k := range cs {
		c.rdb.ZRem(ctx, k.key, token)
	}
}

// takeScript enters a token unless a window is full; it returns the
// milliseconds to wait, 0 when entered.
// KEYS: the counter. ARGV: now, token, then length and limit of each window.
var takeScript = redis.NewScript(`
local now, longest, wait = tonumber(ARGV[1]), 0, 0
for i = 3, #ARGV, 2 do
	local length, limit = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
	longest = math.max(longest, length)
	if redis.call('ZCOUNT', KEYS[1], '(' .. string.format('%.0f', now - length), '+inf') >= limit then
		local oldest = redis.call('ZREVRANGE', KEYS[1], limit - 1, limit - 1, 'WITHSCORES')
		wait = math.max(wait, tonumber(oldest[2]) + length - now)
	end
end
if wait > 0 then return wait end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - longest))
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], longest)
return 0`)

func (c *Codes) mobileTag(ch Challenge) string { return c.mac("mobile", ch.Mobile.Reveal()) }

func (c *Codes) codeKey(ch Challenge) string {
	return prefix + "code:" + c.mac("challenge", ch.Purpose, ch.Mobile.Reveal(), ch.Subject)
}

// mac is an HMAC over the parts; what keeps values of different meaning apart.
func (c *Codes) mac(what string, parts ...string) string {
	h := hmac.New(sha256.New, c.limits.Key)
	fmt.Fprintf(h, "%s\x00%s", what, strings.Join(parts, "\x00"))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:18])
}

func randomCode() (string, error) {
	n, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
	if err != nil {
		return "", fmt.Errorf("drawing a code: %w", err)
	}
	return fmt.Sprintf("%06d", n), nil
}

func waitText(d time.Duration) string {
	switch {
	case d <= time.Minute:
		return fmt.Sprintf("%d秒", int((d+time.Second-1)/time.Second))
	case d <= time.Hour:
		return fmt.Sprintf("%d分钟", int((d+time.Minute-1)/time.Minute))
	default:
		return fmt.Sprintf("%d小时", int((d+time.Hour-1)/time.Hour))
	}
}
