package faults

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // to look into a database of either kind as an outsider does
	_ "modernc.org/sqlite"

	"github.com/yuncaidun/yuncaidun/issuance"
	"github.com/yuncaidun/yuncaidun/order"
)

// outsider opens the database without the product's code.
func (f *office) outsider(t testing.TB) *sql.DB {
	t.Helper()
	driver, source := "pgx", f.dsn
	if path, ok := strings.CutPrefix(f.dsn, "sqlite:"); ok {
		driver, source = "sqlite", "file:"+path+"?_pragma=busy_timeout(5000)"
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// witness hears what a check has to say instead of failing the test.
type witness struct {
	testing.TB
	said []string
}

// Errorf implements [testing.TB].
func (w *witness) Errorf(format string, args ...any) {
	w.said = append(w.said, fmt.Sprintf(format, args...))
}

// idle waits until no job is left to do. A text message whose handing-over was cut
// short is asked about for half a minute before it is sent again.
func (f *office) idle(t testing.TB) {
	t.Helper()
	db := f.outsider(t)
	eventually(t, 75*time.Second, "the end of all jobs", func() error {
		var left, attempt int
		var kind, state string
		err := db.QueryRowContext(t.Context(), `
			SELECT count(*), coalesce(min(kind), ''), coalesce(min(CAST(state AS TEXT)), ''), coalesce(max(attempt), 0)
			FROM river_job WHERE finalized_at IS NULL`).Scan(&left, &kind, &state, &attempt)
		if err == nil && left > 0 {
			err = fmt.Errorf("%d jobs, a %s among them, %s after attempt %d", left, kind, state, attempt)
		}
		return err
	})
}

// intact proves that each order was paid, approved, made and told of exactly once,
// and that the orders of the database are these and no more.
func (f *office) intact(t testing.TB, ids ...order.ID) {
	t.Helper()
	f.idle(t)
	ctx := t.Context()
	for _, id := range ids {
		f.intactOrder(ctx, t, id)
	}
	f.oneCertificateEach(ctx, t, ids)
	f.toldOnce(ctx, t, ids)
	f.jobsDone(t)
	if err := f.db.VerifyAudit(ctx, nil); err != nil {
		t.Errorf("verifying the audit trail: %v", err)
	}
}

// once are the events that happen once in the life of these orders.
var once = []order.Event{order.Confirm, order.Paid, order.Claim, order.Approve, order.Ship}

func (f *office) intactOrder(ctx context.Context, t testing.TB, id order.ID) {
	t.Helper()
	o, err := f.db.Order(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	events, err := f.db.Events(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	count := map[order.Event]int{}
	for i, e := range events {
		count[e.Event]++
		if i > 0 && (e.From != events[i-1].To || e.Seq != events[i-1].Seq+1) {
			t.Errorf("order %s: event %d %s does not follow %s", id, e.Seq, e.Event, events[i-1].Event)
		}
	}
	if last := events[len(events)-1]; last.To != o.State {
		t.Errorf("order %s is %s, its history ends with %s", id, o.State, last.To)
	}
	for _, e := range once {
		if count[e] != 1 && (e != order.Ship || o.Status == order.Completed) {
			t.Errorf("order %s: %d × %s, want once", id, count[e], e)
		}
	}
	if n := o.Quantity(); count[order.MakeKey] != n || count[order.KeyVerified] != n {
		t.Errorf("order %s of %d keys: %d × make, %d × verified", id, n, count[order.MakeKey], count[order.KeyVerified])
	}
	payments, err := f.db.Payments(ctx, id)
	if err != nil || len(payments) != 1 || payments[0].State != order.PaymentPaid {
		t.Errorf("order %s: payments %v %v", id, payments, err)
	}
}

// oneCertificateEach compares items, certificates and serials: one live
// certificate per item, and no serial that nobody can account for (reliability 7).
func (f *office) oneCertificateEach(ctx context.Context, t testing.TB, ids []order.ID) {
	t.Helper()
	live, serials, tokens, items := map[string]string{}, map[string]bool{}, map[string]bool{}, 0
	err := f.db.EachCertificate(ctx, func(is issuance.Issue) error {
		if serials[is.Serial] || tokens[is.TokenSerial] {
			t.Errorf("serial %s or token %s twice", is.Serial, is.TokenSerial)
		}
		serials[is.Serial], tokens[is.TokenSerial] = true, true
		if is.Stage != issuance.StageDone || !is.RevokedAt.IsZero() {
			t.Errorf("issue %s of %s is %s, revoked %v", is.ID, is.Item, is.Stage, is.RevokedAt)
			return nil
		}
		if live[is.Item] != "" {
			t.Errorf("item %s has two live certificates", is.Item)
		}
		live[is.Item] = is.Serial
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		of, err := f.db.Items(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		items += len(of)
		for _, it := range of {
			if it.Stage != order.ItemVerified || it.CertSerial == "" || it.CertSerial != live[it.ID] {
				t.Errorf("item %d of %s is %s with serial %q, its live certificate has %q", it.N, id, it.Stage, it.CertSerial, live[it.ID])
			}
		}
	}
	if len(live) != items {
		t.Errorf("%d live certificates for %d items", len(live), items)
	}
	var reserved int
	if err := f.outsider(t).QueryRowContext(ctx, `SELECT count(*) FROM issues WHERE serial IS NOT NULL`).Scan(&reserved); err != nil || reserved != items {
		t.Errorf("%d serials were reserved for %d items: %v", reserved, items, err)
	}
}

// toldOnce compares what the product meant to say with what reached the phones.
func (f *office) toldOnce(ctx context.Context, t testing.TB, ids []order.ID) {
	t.Helper()
	reached := map[string]int{}
	for _, sms := range f.world.texts(t, "") {
		reached[sms.SessionContext]++
	}
	for _, card := range f.world.cards(t) {
		reached[card.ClientMsgID]++
	}
	for _, id := range ids {
		all, err := f.db.Notifications(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		said := map[order.Notice]bool{}
		for _, n := range all {
			want := 1
			switch n.State {
			case order.DeliverySent, order.DeliveryDelivered:
				said[n.Notice] = true
			case order.DeliveryUnreachable:
				want = 0
			default:
				t.Errorf("order %s: %s by %s to %s is %s", id, n.Notice, n.Medium, n.To, n.State)
			}
			if reached[n.ID] != want {
				t.Errorf("order %s: %s by %s to %s, %s, arrived %d times", id, n.Notice, n.Medium, n.To, n.State, reached[n.ID])
			}
		}
		for _, n := range []order.Notice{order.NoticeReviewTask, order.NoticeApprovedIssue, order.NoticeShipTask} {
			if !said[n] {
				t.Errorf("order %s: nobody heard of %s", id, n)
			}
		}
	}
}

// jobArgs is the whole of what a job may carry: ids and a number.
var jobArgs = regexp.MustCompile(`^\{"ref": ?"(?:[0-9A-Z]{26}|(?:wechatpay|alipay) \d{4}-\d\d-\d\d)", ?"seq": ?\d+\}$`)

func (f *office) jobsDone(t testing.TB) {
	t.Helper()
	asText := "args::text, coalesce(errors[1]->>'error', '')"
	if strings.HasPrefix(f.dsn, "sqlite:") {
		asText = "json(args), coalesce(json_extract(errors, '$[0].error'), '')"
	}
	rows, err := f.outsider(t).QueryContext(t.Context(), `SELECT kind, state, `+asText+` FROM river_job`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	made := 0 // the clock adds jobs of its own at any time, but none of these
	for rows.Next() {
		var kind, state, args, why string
		if err := rows.Scan(&kind, &state, &args, &why); err != nil {
			t.Fatal(err)
		}
		if kind == string(order.JobIssue) {
			made++
		}
		if !jobArgs.MatchString(args) {
			t.Errorf("job %s carries %s", kind, args)
		}
		if state == "discarded" || state == "cancelled" {
			t.Errorf("job %s %s is %s: %s", kind, args, state, why)
		}
	}
	if err := rows.Err(); err != nil || made == 0 {
		t.Errorf("%d jobs that make keys, %v", made, err)
	}
}

// grep looks for the canaries in everything below the paths but what belongs to
// the outside world, whose phones of course show what was sent to them. Finding
// the company, which is public, proves that it can find at all.
func grep(t *testing.T, more []string, paths ...string) {
	t.Helper()
	want := slices.Concat(canaries, more)
	var files, control int
	for _, path := range paths {
		err := filepath.WalkDir(path, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() {
				if d.Name() == "playground" || d.Name() == "secrets" || d.Name() == "tokens" {
					return filepath.SkipDir
				}
				return nil
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			files++
			if bytes.Contains(b, []byte(company)) {
				control++
			}
			found(t, filepath.Base(path), b, want)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if files == 0 || control == 0 {
		t.Errorf("%d files, %d of them with what is public", files, control)
	}
}

// found reports canaries in a text.
func found(t *testing.T, where string, text []byte, want []string) {
	t.Helper()
	for _, c := range want {
		if c == "" {
			t.Error("an empty canary finds nothing")
		} else if bytes.Contains(text, []byte(c)) {
			i := bytes.Index(text, []byte(c))
			t.Errorf("%s holds %q: …%q…", where, c, text[max(0, i-40):min(len(text), i+len(c)+20)])
		}
	}
}

// developmentCanaries reads the secrets that a development start made, as canaries.
func developmentCanaries(t *testing.T, dir string) (values []string) {
	t.Helper()
	files, err := os.ReadDir(filepath.Join(dir, "secrets"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		values = append(values, strings.TrimSpace(string(readFile(t, filepath.Join(dir, "secrets", f.Name())))))
	}
	return values
}
