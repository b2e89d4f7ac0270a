package session

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/silenceper/wechat/v2/cache"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

var t0 = time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)

// clock is a hand-moved clock.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: t0} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// testDatabase is the number of the Redis database that is this package's alone:
// its tests empty it.
const testDatabase = 13

// eachRedis runs the test on an in-process and on a real Redis, both empty.
// Only the injected clock moves; neither server sees time pass.
func eachRedis(t *testing.T, test func(t *testing.T, rdb redis.UniversalClient, clk *clock)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) {
		e := newEmbedded(t, time.Now)
		test(t, e.Client, newClock())
	})
	t.Run("redis", func(t *testing.T) {
		url := os.Getenv("TEST_REDIS_URL")
		if url == "" {
			t.Fatal("TEST_REDIS_URL is not set; make test starts a server and sets it")
		}
		opts, err := redis.ParseURL(url)
		if err != nil {
			t.Fatal(err)
		}
		opts.DB = testDatabase
		rdb := redis.NewClient(opts)
		t.Cleanup(func() { rdb.Close() })
		if err := rdb.FlushDB(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		test(t, rdb, newClock())
	})
}

func newEmbedded(t *testing.T, now func() time.Time) *Embedded {
	t.Helper()
	e, err := NewEmbedded(now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func wantCode(t *testing.T, what string, err error, kind order.Kind, code string) {
	t.Helper()
	e, ok := order.AsError(err)
	if !ok || e.Kind != kind || e.Code != code {
		t.Errorf("%s = %v, want %s %s", what, err, kind, code)
	}
}

func create(t *testing.T, s *Sessions, person string) Session {
	t.Helper()
	sess, err := s.Create(t.Context(), Session{Kind: Applicant, PersonID: person})
	if err != nil {
		t.Fatal(err)
	}
	return sess
}

// Reliability 20: idle and absolute time-outs, to the second.
func TestSessionTimeouts(t *testing.T) {
	tests := []struct {
		name  string
		steps []time.Duration // a visit after each
		alive bool            // at the last one
	}{
		{"at once", []time.Duration{0}, true},
		{"just before idle", []time.Duration{IdleTimeout - time.Second}, true},
		{"idle", []time.Duration{IdleTimeout}, false},
		{"visits keep it alive", []time.Duration{29 * time.Minute, 29 * time.Minute, 29 * time.Minute}, true},
		{"idle after a visit", []time.Duration{29 * time.Minute, IdleTimeout}, false},
		{"absolute", append(repeat(29*time.Minute, 24), 24*time.Minute), false},
		{"just before absolute", append(repeat(29*time.Minute, 24), 24*time.Minute-time.Second), true},
	}
	eachRedis(t, func(t *testing.T, rdb redis.UniversalClient, clk *clock) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				s := NewSessions(rdb, clk.now)
				want := create(t, s, "p1")
				for i, d := range tt.steps {
					clk.advance(d)
					got, err := s.Get(t.Context(), Applicant, want.ID)
					if last := i == len(tt.steps)-1; !last || tt.alive {
						if err != nil || got.PersonID != "p1" || got.CSRF != want.CSRF || got.ID != want.ID || !got.SeenAt.Equal(clk.now()) {
							t.Fatalf("visit %d: %+v, %v", i, got, err)
						}
					} else {
						wantCode(t, "Get", err, order.Unauthenticated, "session_expired")
					}
				}
			})
		}
	})
}

func repeat(d time.Duration, n int) []time.Duration {
	ds := make([]time.Duration, n)
	for i := range ds {
		ds[i] = d
	}
	return ds
}

// Reliability 20: rotation kills the old id; ending all ends all of one person
// and none of another, and the doors are apart.
func TestSessionEnds(t *testing.T) {
	eachRedis(t, func(t *testing.T, rdb redis.UniversalClient, clk *clock) {
		s := NewSessions(rdb, clk.now)
		alive := func(what string, kind Kind, id string, want bool) {
			t.Helper()
			_, err := s.Get(t.Context(), kind, id)
			if want && err != nil {
				t.Errorf("%s: %v", what, err)
			}
			if !want {
				wantCode(t, what, err, order.Unauthenticated, "session_expired")
			}
		}
		alive("no cookie", Applicant, "", false)
		alive("guess", Applicant, newToken(), false)

		first := create(t, s, "p1")
		second, err := s.Rotate(t.Context(), first)
		if err != nil {
			t.Fatal(err)
		}
		if second.ID == first.ID || second.CSRF == first.CSRF || len(second.ID) < 43 || !second.CreatedAt.Equal(first.CreatedAt) {
			t.Errorf("rotated from %+v to %+v", first, second)
		}
		alive("before rotation", Applicant, first.ID, false)
		alive("after rotation", Applicant, second.ID, true)
		alive("another door", Staff, second.ID, false)
		_, err = s.Rotate(t.Context(), first)
		wantCode(t, "rotating a dead session", err, order.Unauthenticated, "session_expired")

		other, third := create(t, s, "p2"), create(t, s, "p1")
		staff, err := s.Create(t.Context(), Session{Kind: Staff, PersonID: "p1", StaffID: "s1"})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.DeleteAll(t.Context(), Applicant, "p1"); err != nil {
			t.Fatal(err)
		}
		alive("ended", Applicant, second.ID, false)
		alive("ended too", Applicant, third.ID, false)
		alive("another person", Applicant, other.ID, true)
		alive("the same person on the staff", Staff, staff.ID, true)
		if err := s.DeleteAll(t.Context(), Staff, "s1"); err != nil {
			t.Fatal(err)
		}
		alive("staff", Staff, staff.ID, false)

		if err := s.Delete(t.Context(), Applicant, other.ID); err != nil {
			t.Fatal(err)
		}
		alive("logged out", Applicant, other.ID, false)
		if err := s.Delete(t.Context(), Applicant, other.ID); err != nil {
			t.Errorf("logging out again: %v", err)
		}
		if _, err := s.Create(t.Context(), Session{Kind: Staff, PersonID: "p1"}); err == nil {
			t.Error("a staff session without a member of staff was made")
		}
	})
}

// Whoever logs in by what ended the sessions before it, stays, also when they are ended late
// and more than once.
func TestSessionsEndBeforeAMoment(t *testing.T) {
	eachRedis(t, func(t *testing.T, rdb redis.UniversalClient, clk *clock) {
		s := NewSessions(rdb, clk.now)
		first := create(t, s, "p1")
		clk.advance(time.Minute)
		rotated, err := s.Rotate(t.Context(), create(t, s, "p1"))
		if err != nil {
			t.Fatal(err)
		}
		other := create(t, s, "p2")
		clk.advance(time.Second)
		at := clk.now()
		own := create(t, s, "p1")
		clk.advance(time.Minute)
		later := create(t, s, "p1")
		for range 2 {
			if err := s.DeleteBefore(t.Context(), Applicant, "p1", at); err != nil {
				t.Fatal(err)
			}
		}
		for _, ended := range []Session{first, rotated} {
			_, err := s.Get(t.Context(), Applicant, ended.ID)
			wantCode(t, "Get", err, order.Unauthenticated, "session_expired")
		}
		for _, stays := range []Session{own, later, other} {
			if _, err := s.Get(t.Context(), Applicant, stays.ID); err != nil {
				t.Errorf("one that began then or after it, or is somebody else's: %v", err)
			}
		}
	})
}

// beforeSet calls do once, before the first SET that passes through it.
type beforeSet struct {
	redis.Hook
	do   func()
	once *sync.Once
}

func (h beforeSet) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h beforeSet) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (h beforeSet) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "set" {
			h.once.Do(h.do)
		}
		return next(ctx, cmd)
	}
}

// A logout between a visit's reading and writing wins: the visit does not bring
// the session back.
func TestLogoutWinsOverVisit(t *testing.T) {
	eachRedis(t, func(t *testing.T, rdb redis.UniversalClient, clk *clock) {
		s := NewSessions(rdb, clk.now)
		sess := create(t, s, "p1")
		clk.advance(time.Minute)
		rdb.AddHook(beforeSet{once: &sync.Once{}, do: func() {
			if err := s.Delete(context.Background(), Applicant, sess.ID); err != nil {
				t.Error(err)
			}
		}})
		for range 2 {
			_, err := s.Get(t.Context(), Applicant, sess.ID)
			wantCode(t, "Get", err, order.Unauthenticated, "session_expired")
		}
	})
}

// Whoever rotates while all are ended ends up logged out.
func TestRotateAgainstDeleteAll(t *testing.T) {
	eachRedis(t, func(t *testing.T, rdb redis.UniversalClient, clk *clock) {
		s := NewSessions(rdb, clk.now)
		for range 30 {
			sess := create(t, s, "p1")
			var wg sync.WaitGroup
			wg.Go(func() {
				for range 5000 {
					next, err := s.Rotate(context.Background(), sess)
					if err != nil {
						if !errors.Is(err, order.Unauthenticated) {
							t.Error(err)
						}
						return
					}
					sess = next
				}
				t.Error("the session rotates on and on")
			})
			if err := s.DeleteAll(t.Context(), Applicant, "p1"); err != nil {
				t.Error(err)
			}
			// A rotation that began before may still end after; the next one finds it.
			if err := s.DeleteAll(t.Context(), Applicant, "p1"); err != nil {
				t.Error(err)
			}
			wg.Wait()
			if _, err := s.Get(t.Context(), Applicant, sess.ID); !errors.Is(err, order.Unauthenticated) {
				t.Fatalf("the session survived: %v", err)
			}
		}
	})
}

// Reliability 9: without Redis everything is Unavailable, nothing is open.
// dying lets so many round trips through and then none.
type dying struct{ left *int }

func (d dying) next() error {
	if *d.left == 0 {
		return errors.New("died")
	}
	*d.left--
	return nil
}

func (d dying) DialHook(next redis.DialHook) redis.DialHook { return next }

func (d dying) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if err := d.next(); err != nil {
			return err
		}
		return next(ctx, cmd)
	}
}

func (d dying) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if err := d.next(); err != nil {
			return err
		}
		return next(ctx, cmds)
	}
}

// Whenever the process dies, Redis is left with nothing that has no end.
func TestEveryKeyEnds(t *testing.T) {
	for trips := range 12 {
		e := newEmbedded(t, time.Now)
		left := trips
		e.Client.(*redis.Client).AddHook(dying{&left})
		clk := newClock()
		sessions, codes, scans := NewSessions(e.Client, clk.now), NewCodes(e.Client, clk.now, testLimits()), NewScans(e.Client, clk.now)
		s, err := sessions.Create(t.Context(), Session{Kind: Applicant, PersonID: "p"})
		if err == nil {
			_, err = sessions.Rotate(t.Context(), s)
		}
		if err == nil {
			_, err = codes.Issue(t.Context(), Challenge{Purpose: "login", Mobile: mobile, IP: "192.0.2.1"})
		}
		if err == nil {
			_, _ = scans.Start(t.Context(), "browser", "device")
		}
		for _, key := range e.server.Keys() {
			if e.server.TTL(key) <= 0 {
				t.Errorf("%s stays for ever when we die after %d round trips", key, trips)
			}
		}
	}
}

func TestFailsClosed(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1, DialTimeout: 100 * time.Millisecond})
	defer rdb.Close()
	now := newClock().now
	codes := NewCodes(rdb, now, testLimits())
	ch := Challenge{Purpose: "login", Mobile: mobile, IP: "192.0.2.1"}
	_, create := NewSessions(rdb, now).Create(t.Context(), Session{Kind: Applicant, PersonID: "p"})
	_, get := NewSessions(rdb, now).Get(t.Context(), Applicant, "x")
	_, issue := codes.Issue(t.Context(), ch)
	_, peek := NewTickets(rdb, now).Peek(t.Context(), "x", "y")
	_, _, begin := NewTalks(rdb, now, time.Minute, time.Minute).Begin(t.Context(), "x", "o")
	_, claim := NewDedup(rdb).Claim(t.Context(), "x", time.Minute)
	for what, err := range map[string]error{
		"Create": create, "Get": get, "Issue": issue, "Verify": codes.Verify(t.Context(), ch, "123456"), "Peek": peek, "Claim": claim, "Begin": begin, "End": NewTalks(rdb, now, time.Minute, time.Minute).End(t.Context(), "x", "o", nil, nil),
	} {
		if e, ok := order.AsError(err); !ok || e.Kind != order.Unavailable || e.RetryAfter == 0 {
			t.Errorf("%s = %v, want Unavailable with Retry-After", what, err)
		}
	}
}

func TestTickets(t *testing.T) {
	eachRedis(t, func(t *testing.T, rdb redis.UniversalClient, clk *clock) {
		tickets := NewTickets(rdb, clk.now)
		put := func() string {
			token, err := tickets.Put(t.Context(), "oauth", []byte("value"), 10*time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			return token
		}
		token := put()
		for range 2 {
			if v, err := tickets.Peek(t.Context(), "oauth", token); err != nil || string(v) != "value" {
				t.Errorf("Peek = %q, %v", v, err)
			}
		}
		_, err := tickets.Take(t.Context(), "upload", token)
		wantCode(t, "Take for another purpose", err, order.NotFound, "ticket_gone")
		if v, err := tickets.Take(t.Context(), "oauth", token); err != nil || string(v) != "value" {
			t.Errorf("Take = %q, %v", v, err)
		}
		_, err = tickets.Take(t.Context(), "oauth", token)
		wantCode(t, "second Take", err, order.NotFound, "ticket_gone")

		late := put()
		clk.advance(10 * time.Minute)
		_, err = tickets.Take(t.Context(), "oauth", late)
		wantCode(t, "Take in time no more", err, order.NotFound, "ticket_gone")

		raced := put()
		var wg sync.WaitGroup
		var mu sync.Mutex
		won := 0
		for range 50 {
			wg.Go(func() {
				if _, err := tickets.Take(context.Background(), "oauth", raced); err == nil {
					mu.Lock()
					won++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if won != 1 {
			t.Errorf("%d of 50 took one ticket", won)
		}
	})
}

func TestContexts(t *testing.T) {
	eachRedis(t, func(t *testing.T, rdb redis.UniversalClient, clk *clock) {
		c := NewContexts(rdb, clk.now)
		recall := func(want string) {
			t.Helper()
			if got, err := c.Recall(t.Context(), "openid"); err != nil || string(got) != want {
				t.Errorf("Recall = %q, %v; want %q", got, err, want)
			}
		}
		recall("")
		if err := c.Remember(t.Context(), "openid", []byte("a"), 10*time.Minute); err != nil {
			t.Fatal(err)
		}
		clk.advance(9 * time.Minute)
		recall("a")
		clk.advance(time.Minute)
		recall("")
		if err := errors.Join(c.Remember(t.Context(), "openid", []byte("b"), time.Minute), c.Remember(t.Context(), "openid", nil, time.Minute)); err != nil {
			t.Fatal(err)
		}
		recall("")
	})
}

// Reliability 4: one of many retries begins a message; all get its answer. What the
// conversation remembers is forgotten in its own time.
func TestTalks(t *testing.T) {
	eachRedis(t, func(t *testing.T, rdb redis.UniversalClient, clk *clock) {
		talks := NewTalks(rdb, clk.now, time.Hour, time.Minute)
		var wg sync.WaitGroup
		var won atomic.Int32
		for range 50 {
			wg.Go(func() {
				first, memory, err := talks.Begin(context.Background(), "msg1", "o-a")
				if err != nil || memory != nil {
					t.Errorf("Begin = %q, %v", memory, err)
				}
				if first {
					won.Add(1)
				}
			})
		}
		wg.Wait()
		if n := won.Load(); n != 1 {
			t.Errorf("%d of 50 began one message", n)
		}
		if _, ok, err := talks.Answer(t.Context(), "msg1"); ok || err != nil {
			t.Errorf("Answer before End = %v, %v", ok, err)
		}
		end := func(message, person, answer string, memory []byte) {
			t.Helper()
			if err := talks.End(t.Context(), message, person, []byte(answer), memory); err != nil {
				t.Fatal(err)
			}
			if got, ok, err := talks.Answer(t.Context(), message); !ok || err != nil || string(got) != answer {
				t.Errorf("Answer = %q, %v, %v; want %q", got, ok, err, answer)
			}
		}
		recalled := func(message, person, want string) {
			t.Helper()
			first, memory, err := talks.Begin(t.Context(), message, person)
			if !first || err != nil || string(memory) != want {
				t.Errorf("Begin(%s, %s) = %v, %q, %v; want %q", message, person, first, memory, err, want)
			}
		}
		end("msg1", "o-a", "", []byte("which order"))
		end("msg2", "o-b", "answer", []byte("b's"))
		if first, _, err := talks.Begin(t.Context(), "msg1", "o-a"); first || err != nil {
			t.Errorf("an answered message begins again: %v", err)
		}
		recalled("msg3", "o-a", "which order")
		end("msg3", "o-a", "other", nil) // leaves it
		recalled("msg4", "o-a", "which order")
		clk.advance(time.Minute)
		recalled("msg5", "o-a", "")
		if got, ok, _ := talks.Answer(t.Context(), "msg2"); !ok || string(got) != "answer" {
			t.Errorf("an hour's answer after a minute: %q, %v", got, ok)
		}
	})
}

func TestTokenCache(t *testing.T) {
	var _ cache.ContextCache = (*TokenCache)(nil)
	eachRedis(t, func(t *testing.T, rdb redis.UniversalClient, clk *clock) {
		c := NewTokenCache(rdb, clk.now)
		if got := c.Get("k"); got != nil {
			t.Errorf("Get = %#v, want nil", got)
		}
		if err := c.Set("k", "token", time.Hour); err != nil {
			t.Fatal(err)
		}
		if got := c.Get("k"); got != "token" { // the library asserts a string
			t.Errorf("Get = %#v", got)
		}
		clk.advance(time.Hour)
		if c.IsExist("k") {
			t.Error("an old token is still there")
		}
		if err := c.Set("k", 7, time.Hour); err == nil {
			t.Error("a number was stored")
		}
		if err := errors.Join(c.Set("k", "token", time.Hour), c.Delete("k")); err != nil {
			t.Fatal(err)
		}
		if c.IsExist("k") {
			t.Error("deleted, still there")
		}
	})
}

// The in-process server forgets what the moved clock has left behind.
func TestEmbeddedFollowsTheClock(t *testing.T) {
	clk := newClock()
	e := newEmbedded(t, clk.now)
	if err := e.Client.Set(t.Context(), "k", "v", time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	clk.advance(2 * time.Hour)
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		n, err := e.Client.Exists(t.Context(), "k").Result()
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return
		}
		select {
		case <-deadline.C:
			t.Fatal("the key outlived the moved clock")
		case <-tick.C:
		}
	}
}

// The in-process Redis cannot be reached from outside the process: it has no port.
func TestEmbeddedHasNoPort(t *testing.T) {
	e := newEmbedded(t, time.Now)
	if err := e.Client.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if a := e.server.Server().Addr(); a != nil {
		t.Errorf("it listens at %s", a)
	}
}

// The in-process Redis takes any bytes, more than a buffer holds and many commands at once.
func TestEmbeddedTakesAnyValue(t *testing.T) {
	e := newEmbedded(t, time.Now)
	values := []string{"", "\r\n", "*1\r\n$8\r\nFLUSHALL\r\n", strings.Repeat("云\x00\r\n", 1<<18)}
	p := e.Client.Pipeline()
	for range 50 {
		for i, v := range values {
			p.Set(t.Context(), strconv.Itoa(i), v, time.Minute)
		}
	}
	if _, err := p.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, v := range values {
		if got, err := e.Client.Get(t.Context(), strconv.Itoa(i)).Result(); got != v || err != nil {
			t.Errorf("value %d came back with %d bytes, %v; want %d", i, len(got), err, len(v))
		}
	}
}

// Reliability 22: neither keys nor values hold a mobile number, code or id.
func TestNoSecretsInRedis(t *testing.T) {
	eachRedis(t, func(t *testing.T, rdb redis.UniversalClient, clk *clock) {
		ctx := t.Context()
		sess := create(t, NewSessions(rdb, clk.now), "p1")
		code, err := NewCodes(rdb, clk.now, testLimits()).Issue(ctx, Challenge{Purpose: "login", Mobile: mobile, Subject: "nonce-of-browser", IP: "192.0.2.77"})
		if err != nil {
			t.Fatal(err)
		}
		token, err := NewTickets(rdb, clk.now).Put(ctx, "oauth", []byte("v"), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if err := NewContexts(rdb, clk.now).Remember(ctx, "openid-canary", []byte("v"), time.Minute); err != nil {
			t.Fatal(err)
		}
		keys, err := rdb.Keys(ctx, "*").Result()
		if err != nil || len(keys) < 6 {
			t.Fatalf("keys %v, %v", keys, err)
		}
		var dump strings.Builder
		for _, k := range keys {
			dump.WriteString(k + "\n")
			switch rdb.Type(ctx, k).Val() {
			case "string":
				dump.WriteString(rdb.Get(ctx, k).Val())
			case "hash":
				for f, v := range rdb.HGetAll(ctx, k).Val() {
					dump.WriteString(f + "=" + v + "\n")
				}
			case "set":
				dump.WriteString(strings.Join(rdb.SMembers(ctx, k).Val(), "\n"))
			case "zset":
				dump.WriteString(strings.Join(rdb.ZRange(ctx, k, 0, -1).Val(), "\n"))
			}
			if ttl := rdb.TTL(ctx, k).Val(); ttl <= 0 {
				t.Errorf("%s never expires", k)
			}
		}
		for name, canary := range map[string]string{"mobile": mobile.Reveal(), "session id": sess.ID, "code": "=" + code, "ticket": token, "openid": "openid-canary", "ip": "192.0.2.77", "subject": "nonce-of-browser"} {
			if strings.Contains(dump.String(), canary) {
				t.Errorf("the %s is in the clear", name)
			}
		}
	})
}

var mobile = identity.NewMobile("17712347069")

func testLimits() Limits { return DefaultLimits([]byte(strings.Repeat("k", 32))) }
