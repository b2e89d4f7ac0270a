package faults

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

// Reliability 9: Redis is killed while orders are at work, and comes back empty.
// Meanwhile no code is sent and nobody is let in, readiness names the part that is
// missing, and issuing goes on; afterwards people log in again, everything that
// had to wait is delivered once, and no order or job was lost.
func TestLostRedis(t *testing.T) {
	t.Parallel()
	redis := newRedis(t)
	p, dir := development(t, shipped, "YCD_REDIS_URL="+redis.url())
	f := developmentOffice(t, p, dir)
	v := newVisitor(p.url)
	v.signIn(t, f.world, mobile)
	first, second := f.mustPlace(t, 1), f.mustPlace(t, 1)
	f.workUntil(t, 30*time.Second, order.ToIssue, first)

	redis.kill(t)
	lost := time.Now()
	eventually(t, 10*time.Second, "readiness naming redis", func() error {
		status, _, body, err := get(p.url + "/readyz")
		if err == nil && (status != http.StatusServiceUnavailable || !strings.Contains(body, `"failed":["redis"]`)) {
			err = fmt.Errorf("%d %s", status, body)
		}
		return err
	})
	if status, _, _, err := get(p.url + "/healthz"); err != nil || status != http.StatusOK {
		t.Errorf("liveness without Redis: %d %v", status, err)
	}
	texts := len(f.world.texts(t, mobile))
	stranger := newVisitor(p.url)
	if a, err := stranger.open("/login"); err != nil || a.status != http.StatusOK {
		t.Errorf("the login page without Redis: %d %v", a.status, err)
	}
	for path, values := range map[string]url.Values{
		"/login/code": {"mobile": {shipMobile}},
		"/login":      {"mobile": {shipMobile}, "code": {"000000"}, "next": {"/orders"}},
	} {
		if a, err := stranger.post(path, values); err != nil || a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
			t.Errorf("%s without Redis: %d %v, Retry-After %q", path, a.status, err, a.header.Get("Retry-After"))
		}
	}
	if n := len(f.world.texts(t, shipMobile)); n != 0 {
		t.Errorf("%d codes were sent without Redis", n)
	}
	if a, err := v.open("/orders"); err != nil || a.status != http.StatusServiceUnavailable {
		t.Errorf("a login from before, without Redis: %d %v", a.status, err)
	}
	// Nothing in Redis is needed to move an order: paying, reviewing, issuing go on.
	f.workUntil(t, 30*time.Second, order.ToShip, first, second)
	if n := len(f.world.texts(t, mobile)); n <= texts {
		t.Errorf("no text about an order was sent without Redis: %d, %d before", n, texts)
	}

	redis.start(t)
	t.Logf("Redis was away for %s", time.Since(lost).Round(time.Second))
	eventually(t, 10*time.Second, "readiness with Redis", p.ready)
	if a, err := v.open("/orders"); err != nil || a.status != http.StatusSeeOther || !strings.HasPrefix(a.header.Get("Location"), "/login") {
		t.Errorf("a login from before the loss: %d %q %v, want to be asked to log in", a.status, a.header.Get("Location"), err)
	}
	v.signIn(t, f.world, mobile)
	if a, err := v.open("/orders/" + string(first)); err != nil || a.status != http.StatusOK {
		t.Errorf("the order after a new login: %d %v", a.status, err)
	}
	f.workUntil(t, 30*time.Second, order.Completed, first, second)
	f.intact(t, first, second)
	p.stop(t)
	found(t, "redis", []byte(redis.dump(t)), canaries)
	grep(t, developmentCanaries(t, dir), dir, p.log)
}
