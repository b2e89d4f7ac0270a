package faults

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"sync"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

// load is people who start applications as fast as they are answered.
type load struct {
	mu    sync.Mutex
	kept  []order.ID     // acknowledged
	last  time.Time      // of the last acknowledgement
	other map[string]int // any other answer
	stop  chan struct{}
	done  sync.WaitGroup
}

func startLoad(t *testing.T, address string, people int) *load {
	t.Helper()
	l := &load{other: map[string]int{}, stop: make(chan struct{})}
	for range people {
		v := newVisitor(address)
		if a, err := v.open("/p/ydnyCA7m2k"); err != nil || v.csrf == "" {
			t.Fatalf("the project's page: %d %v", a.status, err)
		}
		l.done.Go(func() { l.apply(v) })
	}
	t.Cleanup(l.end)
	return l
}

func (l *load) apply(v *visitor) {
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-l.stop:
			return
		case <-tick.C:
		}
		reading := n%3 == 2
		var a answer
		var err error
		if reading {
			a, err = v.open("/p/ydnyCA7m2k") // shows the visitor's drafts
		} else {
			a, err = v.post("/orders", url.Values{"product": {"yd-initial"}})
		}
		l.mu.Lock()
		switch {
		case err == nil && reading && a.status == http.StatusOK:
		case err != nil:
			l.other["error: "+err.Error()]++
		case a.status == http.StatusSeeOther:
			l.kept, l.last = append(l.kept, order.ID(path.Base(path.Dir(a.header.Get("Location"))))), time.Now()
		case a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") != "":
			l.other["503"]++
		default:
			l.other[fmt.Sprint(a.status)]++
		}
		l.mu.Unlock()
	}
}

// acknowledged is how many were, and when the last one was.
func (l *load) acknowledged() (int, time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.kept), l.last
}

func (l *load) end() {
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.done.Wait()
}

// Reliability 10: PostgreSQL crashes and comes back while people apply and orders
// are at work. Nothing that was acknowledged is lost, nobody is told anything but
// "in a moment", and the product goes on within ten seconds, without a restart.
func TestPostgresRestarts(t *testing.T) {
	t.Parallel()
	server := newPostgres(t)
	p := newProcess(t, shipped, "web,jobs,issuer", "YCD_STATION_AUTO=true")
	estate := newProduction(t, server.dsn(), p.url)
	p.env, p.watch = append(p.env, estate.env...), "http://"+estate.watch
	f := estate.install(t, p)
	p.start(t)
	ids := []order.ID{f.mustPlace(t, 1), f.mustPlace(t, 2)}
	f.workUntil(t, 30*time.Second, order.ToIssue, ids[1]) // its keys are being made
	people := startLoad(t, p.url, 5)
	eventually(t, 20*time.Second, "load", func() error {
		if n, _ := people.acknowledged(); n < 30 {
			return fmt.Errorf("%d applications", n)
		}
		return nil
	})

	server.ctl(t, "restart")
	back := time.Now()
	eventually(t, 10*time.Second, "an acknowledgement after the restart", func() error {
		if _, last := people.acknowledged(); !last.After(back) {
			return fmt.Errorf("the last one was %s before", back.Sub(last))
		}
		return p.ready()
	})
	t.Logf("back %s after the database", time.Since(back).Round(time.Millisecond))
	n, _ := people.acknowledged()
	eventually(t, 20*time.Second, "more load", func() error {
		if now, _ := people.acknowledged(); now < n+30 {
			return fmt.Errorf("%d more applications", now-n)
		}
		return nil
	})
	people.end()
	t.Logf("%d acknowledged, others: %v", len(people.kept), people.other)
	if people.other["503"] == 0 {
		t.Error("nobody noticed the restart: it proves nothing")
	}
	delete(people.other, "503")
	if len(people.other) > 0 {
		t.Errorf("answers besides 303 and 503 with Retry-After: %v\n%s", people.other, p.errorsBesides(t, "database_unavailable"))
	}
	if !p.running() {
		t.Error("the process ended")
	}
	for _, id := range people.kept {
		o, err := f.db.Order(t.Context(), id)
		for errors.Is(err, order.Unavailable) { // a connection from before the restart
			o, err = f.db.Order(t.Context(), id)
		}
		if err != nil || o.Status != order.Draft {
			t.Errorf("acknowledged application %s: %q, %v", id, o.Status, err)
		}
	}
	if n := f.drafts(t); n < len(people.kept) {
		t.Errorf("%d drafts for %d acknowledgements", n, len(people.kept))
	}
	f.workUntil(t, 60*time.Second, order.Completed, ids...)
	f.intact(t, ids...)
	p.stop(t)
	grep(t, estate.clear, server.data(), p.log)
}
