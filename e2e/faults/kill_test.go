package faults

import (
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

// failpoints are the named places of the issue pipeline, in its order.
func failpoints() (points []string) {
	for _, step := range []string{"choose-token", "make-key", "reserve-serial", "sign", "write", "verify"} {
		points = append(points, "before-"+step)
		if step == "make-key" {
			points = append(points, "key-made")
		}
		points = append(points, "after-"+step, "committed-"+step)
	}
	return points
}

// development starts the product as `make run` does, on an empty folder.
func development(t *testing.T, binary func() (string, error), env ...string) (p *process, dir string) {
	t.Helper()
	dir = t.TempDir()
	p = newProcess(t, binary, "web,jobs,issuer", append([]string{"YCD_DATA_DIR=" + dir}, env...)...)
	p.env = append(p.env, "YCD_PUBLIC_URL="+p.url)
	p.start(t)
	return p, dir
}

func developmentOffice(t *testing.T, p *process, dir string) *office {
	t.Helper()
	return openOffice(t, "sqlite:"+filepath.Join(dir, "yuncaidun.db"), developmentSecrets(t, dir, p.url), world(p.url))
}

// Reliability 6 and 7: the product is killed at every named failpoint of one
// order's issue jobs in turn, and each next process goes on from there. In the end
// each of the two keys has exactly one certificate, under the serial that was
// reserved first.
func TestKilledAtEveryFailpoint(t *testing.T) {
	t.Parallel()
	p, dir := development(t, faulty)
	f := developmentOffice(t, p, dir)
	id := f.mustPlace(t, 2)
	f.workUntil(t, time.Minute, order.InReview, id)
	p.kill(t)

	db := f.outsider(t)
	reserved := map[string]string{}
	serialsKept := func(point string) {
		t.Helper()
		rows, err := db.QueryContext(t.Context(), `SELECT id, serial FROM issues WHERE serial IS NOT NULL`)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var issue, serial string
			if err := rows.Scan(&issue, &serial); err != nil {
				t.Fatal(err)
			}
			if was := reserved[issue]; was != "" && was != serial {
				t.Errorf("%s: issue %s had serial %s and has %s", point, issue, was, serial)
			}
			reserved[issue] = serial
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
	}

	for i, point := range failpoints() {
		p.launch(t, "FAILPOINT="+point)
		if i == 0 { // from here on the jobs wait in the database
			f.workUntil(t, time.Minute, order.ToIssue, id)
		}
		if s := p.wait(t, time.Minute); s != syscall.SIGKILL {
			t.Fatalf("%s: ended with %s, not by the failpoint", point, p.cmd.ProcessState)
		}
		serialsKept(point)
	}
	p.start(t)
	f.workUntil(t, time.Minute, order.ToShip, id)
	serialsKept("the end")
	f.intact(t, id)
	f.checksSee(t, id)
	p.stop(t)
	grep(t, developmentCanaries(t, dir), dir, p.log)
}

// checksSee is the negative control of intact: after each of these changes to the
// database it must complain.
func (f *office) checksSee(t *testing.T, id order.ID) {
	t.Helper()
	db := f.outsider(t)
	for _, tc := range []struct{ change, want string }{
		{`UPDATE river_job SET state = 'discarded' WHERE id = (SELECT min(id) FROM river_job)`, "is discarded"},
		{`DELETE FROM river_job`, "0 jobs"},
		{`UPDATE notifications SET state = 'sending' WHERE id = (SELECT min(id) FROM notifications WHERE state = 'sent')`, "is sending"},
		{`UPDATE notifications SET state = 'unreachable' WHERE id = (SELECT max(id) FROM notifications WHERE state = 'delivered')`, "arrived 1 times"},
		{`UPDATE order_items SET cert_serial = '' WHERE n = 1`, "item 1 of"},
		{`UPDATE issues SET revoked_at = created_at WHERE id = (SELECT min(id) FROM issues)`, "1 live certificates for 2 items"},
		{`UPDATE payments SET state = 'pending'`, "payments"},
		{`UPDATE orders SET stage = 'to_pick_up', rev = rev + 1`, "its history ends with"},
		{`DROP TRIGGER audit_is_append_only_update; UPDATE audit SET outcome = 'denied' WHERE seq = 2`, "audit trail is broken"},
	} {
		if res, err := db.ExecContext(t.Context(), tc.change); err != nil {
			t.Errorf("%s: %v", tc.change, err)
		} else if n, err := res.RowsAffected(); err != nil || n == 0 {
			t.Errorf("%s: %d rows, %v", tc.change, n, err)
		}
		w := &witness{TB: t}
		f.intact(w, id)
		if !slices.ContainsFunc(w.said, func(said string) bool { return strings.Contains(said, tc.want) }) {
			t.Errorf("%s: the checks said %q", tc.change, w.said)
		}
	}
}

// Reliability 6 and 12: the product is killed at random moments while people buy
// and staff approve and ship. Afterwards every order is complete, with exactly its
// certificates, and everybody was told once.
func TestKilledAtRandom(t *testing.T) {
	t.Parallel()
	const kills = 12
	p, dir := development(t, shipped)
	f := developmentOffice(t, p, dir)
	db := f.outsider(t)
	var ids []order.ID
	cutShort := 0
	for i := range kills {
		ids = append(ids, f.mustPlace(t, 1+i%2))
		victim := p.cmd.Process
		time.AfterFunc(time.Duration(50+rand.IntN(1000))*time.Millisecond, func() { _ = victim.Kill() })
		tick := time.NewTicker(10 * time.Millisecond)
		for p.running() {
			_ = f.work(t.Context(), ids[max(0, i-rand.IntN(4))], order.Completed) // refused while the product starts or is dead
			<-tick.C
		}
		tick.Stop()
		var running int
		if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM river_job WHERE state = 'running'`).Scan(&running); err != nil {
			t.Fatal(err)
		}
		cutShort += running
		p.launch(t)
		if rand.IntN(2) == 0 { // else it may die while it starts
			eventually(t, time.Minute, "readiness after a kill", p.ready)
		}
	}
	began := time.Now()
	eventually(t, time.Minute, "readiness after the last kill", p.ready)
	f.workUntil(t, 90*time.Second, order.Completed, ids...)
	t.Logf("%d jobs cut short; all complete %s after the last kill", cutShort, time.Since(began).Round(time.Millisecond))
	if cutShort == 0 {
		t.Error("no kill hit a job: they prove nothing")
	}
	f.intact(t, ids...)
	p.stop(t)
	grep(t, developmentCanaries(t, dir), dir, p.log)
}
