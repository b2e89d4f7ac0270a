package session

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

func issue(t *testing.T, c *Codes, ch Challenge) string {
	t.Helper()
	code, err := c.Issue(t.Context(), ch)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// wrong is a code that is not the given one.
func wrong(code string) string {
	if code == "000000" {
		return "000001"
	}
	return "000000"
}

// fullWidth is a code as a Chinese input method may type it.
func fullWidth(code string) string {
	return strings.Map(func(r rune) rune { return r - '0' + '０' }, code)
}

// F55–F57: 6 digits, 60 s, single use, five tries, bound to its challenge.
func TestVerify(t *testing.T) {
	asked := Challenge{Purpose: "confirm", Mobile: mobile, Subject: "order1", IP: "192.0.2.1"}
	with := func(change func(*Challenge)) Challenge {
		ch := asked
		change(&ch)
		return ch
	}
	tests := []struct {
		name    string
		wait    time.Duration
		wrong   int // guesses before
		answers Challenge
		typed   func(code string) string
		want    string // code of the refusal
	}{
		{name: "right", answers: asked},
		{name: "full width", answers: asked, typed: fullWidth},
		{name: "with spaces", answers: asked, typed: func(code string) string { return " " + code[:3] + " " + code[3:] }},
		{name: "from another address", answers: with(func(ch *Challenge) { ch.IP = "192.0.2.2" })},
		{name: "just in time", wait: time.Minute - time.Millisecond, answers: asked},
		{name: "too late", wait: time.Minute, answers: asked, want: "code_expired"},
		{name: "fifth try", wrong: 4, answers: asked},
		{name: "sixth try", wrong: 5, answers: asked, want: "code_expired"},
		{name: "other purpose", answers: with(func(ch *Challenge) { ch.Purpose = "login" }), want: "code_expired"},
		{name: "other mobile", answers: with(func(ch *Challenge) { ch.Mobile = identity.NewMobile("17712347070") }), want: "code_expired"},
		{name: "other subject", answers: with(func(ch *Challenge) { ch.Subject = "order2" }), want: "code_expired"},
		{name: "parts shifted", answers: with(func(ch *Challenge) { ch.Purpose, ch.Subject = "confirm\x00", "rder1" }), want: "code_expired"},
	}
	eachRedis(t, func(t *testing.T, rdb redis.UniversalClient, clk *clock) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				clk.advance(48 * time.Hour) // out of reach of earlier limits
				c := NewCodes(rdb, clk.now, testLimits())
				code := issue(t, c, asked)
				if !regexp.MustCompile(`^\d{6}$`).MatchString(code) {
					t.Fatalf("code %q", code)
				}
				for range tt.wrong {
					wantCode(t, "wrong guess", c.Verify(t.Context(), asked, wrong(code)), order.Invalid, "code_wrong")
				}
				clk.advance(tt.wait)
				if tt.typed != nil {
					code = tt.typed(code)
				}
				err := c.Verify(t.Context(), tt.answers, code)
				if tt.want != "" {
					wantCode(t, "Verify", err, order.Invalid, tt.want)
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				wantCode(t, "second use", c.Verify(t.Context(), tt.answers, code), order.Invalid, "code_expired")
			})
		}
	})
}

// A new code replaces the old one and starts with all its tries.
func TestReissue(t *testing.T) {
	eachRedis(t, func(t *testing.T, rdb redis.UniversalClient, clk *clock) {
		c := NewCodes(rdb, clk.now, testLimits())
		ch := Challenge{Purpose: "login", Mobile: mobile}
		first := issue(t, c, ch)
		for range 4 {
			wantCode(t, "guess", c.Verify(t.Context(), ch, wrong(first)), order.Invalid, "code_wrong")
		}
		clk.advance(time.Minute)
		second := issue(t, c, ch)
		if first != second {
			wantCode(t, "the old code", c.Verify(t.Context(), ch, first), order.Invalid, "code_wrong")
		}
		if err := c.Verify(t.Context(), ch, second); err != nil {
			t.Error(err)
		}
	})
}

// Reliability 17: of 100 parallel guesses at most five are counted as guesses,
// and of parallel right answers one is accepted.
func TestParallelGuesses(t *testing.T) {
	eachRedis(t, func(t *testing.T, rdb redis.UniversalClient, clk *clock) {
		outcomes := func(c *Codes, ch Challenge, guess string) map[string]int {
			var wg sync.WaitGroup
			var mu sync.Mutex
			n := map[string]int{}
			for range 100 {
				wg.Go(func() {
					err := c.Verify(context.Background(), ch, guess)
					mu.Lock()
					defer mu.Unlock()
					if e, ok := order.AsError(err); ok {
						n[e.Code]++
					} else if err != nil {
						t.Error(err)
					} else {
						n["right"]++
					}
				})
			}
			wg.Wait()
			return n
		}
		limits := testLimits()
		limits.TriesPerDay = 1000 // so that the code's own count is what stops them
		c := NewCodes(rdb, clk.now, limits)
		ch := Challenge{Purpose: "login", Mobile: mobile}
		code := issue(t, c, ch)
		if n := outcomes(c, ch, wrong(code)); n["code_wrong"] != 5 || n["code_expired"] != 95 {
			t.Errorf("guesses: %v, want 5 counted", n)
		}
		wantCode(t, "the right code afterwards", c.Verify(t.Context(), ch, code), order.Invalid, "code_expired")
		clk.advance(time.Minute)
		if n := outcomes(c, ch, issue(t, c, ch)); n["right"] != 1 {
			t.Errorf("right answers: %v, want one accepted", n)
		}
	})
}

// Reliability 17: whatever the purposes and codes, fewer than 100 guesses a day
// are possible at one mobile's codes: the chance of a hit stays below 10⁻⁴.
func TestTriesPerDay(t *testing.T) {
	eachRedis(t, func(t *testing.T, rdb redis.UniversalClient, clk *clock) {
		limits := testLimits()
		limits.LoggedIn = []string{"confirm"}
		c := NewCodes(rdb, clk.now, limits)
		start, counted, exhausted := clk.now(), 0, false
		for i := 0; clk.now().Sub(start) < 23*time.Hour && i < 60; i++ {
			ch := Challenge{Purpose: "confirm", Mobile: mobile, Subject: fmt.Sprint("order", i)}
			code, err := c.Issue(t.Context(), ch)
			if err != nil {
				break // 40 a day
			}
			for range limits.Tries {
				switch err := c.Verify(t.Context(), ch, wrong(code)); {
				case errors.Is(err, order.RateLimited):
					exhausted = true
				case errors.Is(err, order.Invalid):
					counted++
				default:
					t.Fatal(err)
				}
			}
			clk.advance(time.Minute)
		}
		if counted != limits.TriesPerDay || !exhausted {
			t.Errorf("%d guesses counted, exhausted %v; want %d, true", counted, exhausted, limits.TriesPerDay)
		}
		ch := Challenge{Purpose: "login", Mobile: identity.NewMobile("17712340000")}
		if err := c.Verify(t.Context(), ch, issue(t, c, ch)); err != nil {
			t.Errorf("another mobile: %v", err)
		}
	})
}

// F57, reliability 18: every limit, on the injected clock.
func TestLimits(t *testing.T) {
	number := func(i int) identity.Mobile { return identity.NewMobile(fmt.Sprintf("138%08d", i)) }
	login := func(int) Challenge { return Challenge{Purpose: "login", Mobile: mobile} }
	tests := []struct {
		name   string
		asks   func(i int) Challenge
		step   time.Duration // between two requests
		total  time.Duration
		sent   int // within total
		code   string
		change func(*Limits)
	}{
		{name: "one a minute", asks: login, step: time.Second, total: time.Minute, sent: 1, code: "sms_mobile_limit"},
		{name: "five an hour", asks: login, step: time.Minute, total: time.Hour, sent: 5, code: "sms_mobile_limit"},
		{name: "ten a day", asks: login, step: 10 * time.Minute, total: 24 * time.Hour, sent: 10, code: "sms_mobile_limit"},
		{name: "the next day again", asks: login, step: 10 * time.Minute, total: 48 * time.Hour, sent: 20, code: "sms_mobile_limit"},
		{name: "public purposes share", asks: func(i int) Challenge {
			return Challenge{Purpose: []string{"login", "bind"}[i%2], Mobile: mobile, Subject: fmt.Sprint(i)}
		}, step: 10 * time.Minute, total: 24 * time.Hour, sent: 10, code: "sms_mobile_limit"},
		{name: "logged-in purposes are counted apart", asks: func(i int) Challenge {
			return Challenge{Purpose: "renew", Mobile: mobile, Subject: fmt.Sprint("cert", i%3)}
		}, step: 10 * time.Minute, total: 24 * time.Hour, sent: 30, code: "sms_mobile_limit", change: func(l *Limits) { l.LoggedIn = []string{"renew"} }},
		{name: "forty a day for all", asks: func(i int) Challenge {
			return Challenge{Purpose: "renew", Mobile: mobile, Subject: fmt.Sprint("cert", i)}
		}, step: 10 * time.Minute, total: 24 * time.Hour, sent: 40, code: "sms_mobile_limit", change: func(l *Limits) { l.LoggedIn = []string{"renew"} }},
		{name: "twenty an hour from one address", asks: func(i int) Challenge {
			return Challenge{Purpose: "login", Mobile: number(i), IP: "192.0.2.1"}
		}, step: 30 * time.Second, total: time.Hour, sent: 20, code: "sms_ip_limit"},
		{name: "twenty an hour from one network of IPv6", asks: func(i int) Challenge {
			return Challenge{Purpose: "login", Mobile: number(i), IP: fmt.Sprintf("2001:db8::%x:1", i)}
		}, step: 30 * time.Second, total: time.Hour, sent: 20, code: "sms_ip_limit"},
		{name: "spending cap", asks: func(i int) Challenge {
			return Challenge{Purpose: "login", Mobile: number(i), IP: fmt.Sprintf("2001:db8:%d::1", i)}
		}, step: 10 * time.Minute, total: 24 * time.Hour, sent: 100, code: "sms_busy", change: func(l *Limits) { l.GlobalPerDay = 100 }},
		{name: "many addresses on one mobile", asks: func(i int) Challenge {
			return Challenge{Purpose: "login", Mobile: mobile, IP: fmt.Sprintf("2001:db8:%d::1", i%1000)}
		}, step: 10 * time.Second, total: 10_000 * time.Second, sent: 10, code: "sms_mobile_limit"},
	}
	eachRedis(t, func(t *testing.T, rdb redis.UniversalClient, clk *clock) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				if err := rdb.FlushDB(t.Context()).Err(); err != nil {
					t.Fatal(err)
				}
				limits := testLimits()
				if tt.change != nil {
					tt.change(&limits)
				}
				c := NewCodes(rdb, clk.now, limits)
				sent := 0
				for i, at := 0, time.Duration(0); at < tt.total; i, at = i+1, at+tt.step {
					_, err := c.Issue(t.Context(), tt.asks(i))
					if err == nil {
						sent++
					} else if e, ok := order.AsError(err); !ok || e.Code != tt.code || e.RetryAfter <= 0 {
						t.Fatalf("request %d: %v, want %s with Retry-After", i, err, tt.code)
					}
					clk.advance(tt.step)
				}
				if sent != tt.sent {
					t.Errorf("%d sent in %s, want %d", sent, tt.total, tt.sent)
				}
			})
		}
	})
}

// Retry-After is exact: one moment earlier is refused, then it works.
func TestRetryAfter(t *testing.T) {
	eachRedis(t, func(t *testing.T, rdb redis.UniversalClient, clk *clock) {
		c := NewCodes(rdb, clk.now, testLimits())
		ch := Challenge{Purpose: "login", Mobile: mobile}
		for range 12 {
			if _, err := c.Issue(t.Context(), ch); err != nil {
				t.Fatal(err)
			}
			_, err := c.Issue(t.Context(), ch)
			e, ok := order.AsError(err)
			if !ok {
				t.Fatal(err)
			}
			clk.advance(e.RetryAfter - time.Millisecond)
			if _, err := c.Issue(t.Context(), ch); !errors.Is(err, order.RateLimited) {
				t.Fatalf("a millisecond early: %v", err)
			}
			clk.advance(time.Millisecond)
		}
	})
}

// Reliability 18: a stranger over his own limit uses up nothing of the owner's.
func TestRefusedAddressCostsTheOwnerNothing(t *testing.T) {
	eachRedis(t, func(t *testing.T, rdb redis.UniversalClient, clk *clock) {
		c := NewCodes(rdb, clk.now, testLimits())
		for i := range 20 {
			issue(t, c, Challenge{Purpose: "login", Mobile: identity.NewMobile(fmt.Sprintf("138%08d", i)), IP: "192.0.2.1"})
		}
		for range 10 {
			_, err := c.Issue(t.Context(), Challenge{Purpose: "login", Mobile: mobile, IP: "192.0.2.1"})
			wantCode(t, "the stranger", err, order.RateLimited, "sms_ip_limit")
		}
		issue(t, c, Challenge{Purpose: "login", Mobile: mobile, IP: "192.0.2.2"})
	})
}

// What was refused counts nowhere: an impatient user does not use up the count
// of the address that others share.
func TestRefusedCountsNowhere(t *testing.T) {
	eachRedis(t, func(t *testing.T, rdb redis.UniversalClient, clk *clock) {
		c := NewCodes(rdb, clk.now, testLimits())
		issue(t, c, Challenge{Purpose: "login", Mobile: mobile, IP: "192.0.2.1"})
		for range 50 {
			_, err := c.Issue(t.Context(), Challenge{Purpose: "login", Mobile: mobile, IP: "192.0.2.1"})
			wantCode(t, "too soon", err, order.RateLimited, "sms_mobile_limit")
		}
		for i := range 19 {
			issue(t, c, Challenge{Purpose: "login", Mobile: identity.NewMobile(fmt.Sprintf("138%08d", i)), IP: "192.0.2.1"})
		}
	})
}

// Only wrong guesses use up the day's tries: not right answers, not answers to
// codes that are gone.
func TestOnlyWrongGuessesCount(t *testing.T) {
	eachRedis(t, func(t *testing.T, rdb redis.UniversalClient, clk *clock) {
		limits := testLimits()
		limits.TriesPerDay = 2
		c := NewCodes(rdb, clk.now, limits)
		ch := Challenge{Purpose: "login", Mobile: mobile}
		for range 5 {
			if err := c.Verify(t.Context(), ch, issue(t, c, ch)); err != nil {
				t.Fatal(err)
			}
			wantCode(t, "again", c.Verify(t.Context(), ch, "000000"), order.Invalid, "code_expired")
			clk.advance(20 * time.Minute)
		}
		code := issue(t, c, ch)
		for range 2 {
			wantCode(t, "guess", c.Verify(t.Context(), ch, wrong(code)), order.Invalid, "code_wrong")
		}
		wantCode(t, "third guess", c.Verify(t.Context(), ch, wrong(code)), order.RateLimited, "code_tries_exhausted")
	})
}

// Fifty requests at once send one SMS.
func TestParallelRequests(t *testing.T) {
	eachRedis(t, func(t *testing.T, rdb redis.UniversalClient, clk *clock) {
		c := NewCodes(rdb, clk.now, testLimits())
		var wg sync.WaitGroup
		var mu sync.Mutex
		sent := 0
		for i := range 50 {
			wg.Go(func() {
				_, err := c.Issue(context.Background(), Challenge{Purpose: "login", Mobile: mobile, IP: fmt.Sprint("192.0.2.", i)})
				if err == nil {
					mu.Lock()
					sent++
					mu.Unlock()
				} else if !errors.Is(err, order.RateLimited) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if sent != 1 {
			t.Errorf("%d sent, want 1", sent)
		}
	})
}

func TestCodesNeedAKey(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("codes without a key were made")
		}
	}()
	NewCodes(nil, nil, DefaultLimits(nil))
}
