package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/redis/go-redis/v9"

	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store"
)

// -scale N measures what one order costs and whether the sweeps and lists still seek
// among N of them. The product plays the story "initial" (one order of two USBKEYs,
// from the form to the parcel); the rows that it left are copied N times with ids,
// instants and owners of their own, in SQL. docs/scaling.md holds a run and its sums.

// belongs says which rows of a table are an order's; :o is its id, :p its person's.
// What sweeps and lists run over is copied as often as asked; the rest, whose rows are
// only ever found by their order, a hundredth as often.
var belongs = []struct {
	table, where string
	many         bool
}{
	{"people", `id = :p`, true},
	{"wechat_identities", `person_id = :p`, false},
	{"orders", `id = :o`, true},
	{"order_items", `order_id = :o`, true},
	{"order_events", `order_id = :o`, false},
	{"approvals", `order_id = :o`, false},
	{"review_checks", `order_id = :o`, false},
	{"payments", `order_id = :o`, true},
	{"ledger", `order_id = :o`, false},
	{"invoices", `order_id = :o`, true},
	{"shipments", `order_id = :o`, false},
	{"uploads", `order_id = :o`, false},
	{"notifications", `order_id = :o`, true},
	{"notification_attempts", `notification_id IN (SELECT id FROM notifications WHERE order_id = :o)`, false},
	{"timers", `order_id = :o`, true},
	{"audit", `order_id = :o`, false},
	{"issues", `item IN (SELECT id FROM order_items WHERE order_id = :o)`, true},
	{"tokens", `issue_id IN (SELECT id FROM issues WHERE item IN (SELECT id FROM order_items WHERE order_id = :o))`, true},
	{"ocsp_responses", `serial IN (SELECT cert_serial FROM order_items WHERE order_id = :o)`, false},
	{"reminders", `serial IN (SELECT cert_serial FROM order_items WHERE order_id = :o)`, false},
}

// owned are the columns that name something of the order itself, and are made anew in
// each copy. Staff, and who they are, stay.
var owned = []string{
	"people.id", "people.mobile_index", "wechat_identities.open_id", "wechat_identities.person_id", "wechat_identities.union_id",
	"orders.id", "orders.no", "orders.person_id", "orders.trade_no", "orders.certificate", "orders.tracking_no",
	"order_items.id", "order_items.order_id", "order_items.token_serial", "order_items.cert_serial", "order_items.holder_id",
	"order_events.order_id", "approvals.order_id", "approvals.applicant_id", "review_checks.order_id",
	"payments.trade_no", "payments.order_id", "payments.transaction_id", "ledger.trade_no", "ledger.order_id",
	"invoices.id", "invoices.order_id", "invoices.trade_no", "shipments.order_id", "shipments.tracking_no", "uploads.object", "uploads.order_id",
	"notifications.id", "notifications.order_id", "notifications.person_id", "notification_attempts.notification_id", "timers.order_id", "audit.order_id",
	"issues.id", "issues.item", "issues.token_serial", "issues.key_hash", "issues.serial", "tokens.serial", "tokens.issue_id", "ocsp_responses.serial", "reminders.serial",
}

// steady is what differs from a copy in an office that has worked for a year: one
// order in 200 waits for its review, one in 5000 is the same person's, and what is
// looked at later lies ahead. Copies are half a minute apart.
var steady = map[string]string{
	"orders.status":     `CASE WHEN g % 200 = 0 THEN 'in_review' ELSE t.status END`,
	"orders.stage":      `CASE WHEN g % 200 = 0 THEN 'queued' ELSE t.stage END`,
	"orders.person_id":  `CASE WHEN g % 5000 = 0 THEN t.person_id ELSE {id} END`,
	"orders.keep_until": `now() + interval '6 years' - {ago}`,
	"people.keep_until": `now() + interval '6 months' - {ago} / 3`,
	"issues.remind_at":  `t.not_after - interval '60 days' - {ago}`,
	"issues.status_due": `now() + make_interval(secs => g % 259200)`,
	"audit.seq":         `t.seq + g * 100000::bigint`,
}

// An engine is how a database copies and counts.
type engine struct {
	name            string
	driver          string
	number, ago, id string // of copy g: the numbers, how long ago, an id made anew
	columns         string // names of a table's columns, and whether each is an instant
	quiet           string // no triggers, no foreign keys while copying
	settle          string
	sizes           string // bytes of tables and of their indexes
	steady          map[string]string
}

var postgresEngine = engine{
	name: "PostgreSQL", driver: "pgx",
	number:  `generate_series(%d::int, %d::int)`,
	ago:     `make_interval(secs => g * 30)`,
	id:      `overlay(t.%[1]s placing ('X' || upper(lpad(to_hex(g), 5, '0'))) from 3 for 6)`,
	columns: `SELECT column_name, data_type LIKE 'timestamp%%' FROM information_schema.columns WHERE table_schema = 'public' AND table_name = '%s' ORDER BY ordinal_position`,
	quiet:   `SET session_replication_role = replica`,
	settle:  `VACUUM ANALYZE`,
	sizes:   `SELECT relname, pg_table_size(oid), pg_indexes_size(oid) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace`,
	steady:  steady,
}

var sqliteEngine = engine{
	name: "SQLite", driver: "sqlite",
	number:  `(WITH RECURSIVE n (g) AS (SELECT %d UNION ALL SELECT g + 1 FROM n WHERE g < %d) SELECT g FROM n)`,
	ago:     ``,
	id:      `substr(t.%[1]s, 1, 2) || printf('X%%05X', g) || substr(t.%[1]s, 9)`,
	columns: `SELECT name, 0 FROM pragma_table_info('%s')`,
	quiet:   `PRAGMA foreign_keys = OFF`,
	settle:  `PRAGMA optimize`,
	sizes: `SELECT m.tbl_name, sum(CASE WHEN m.type = 'table' THEN s.pgsize ELSE 0 END), sum(CASE WHEN m.type = 'index' THEN s.pgsize ELSE 0 END)
		FROM sqlite_master m JOIN (SELECT name, sum(pgsize) AS pgsize FROM dbstat GROUP BY name) s ON s.name = m.name GROUP BY m.tbl_name`,
	steady: map[string]string{"audit.seq": `t.seq + g * 100000`},
}

// scale measures both databases and prints what it found.
func scale(ctx context.Context, o options, out io.Writer) (err error) {
	if o.binary == "" {
		return errors.New("-scale needs the product: -binary")
	}
	dir, err := os.MkdirTemp("bin", "scale-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	lite := scaling{engine: sqliteEngine, dsn: "sqlite:" + filepath.Join(dir, "data", "yuncaidun.db"), file: filepath.Join(dir, "data", "yuncaidun.db"), dir: filepath.Join(dir, "data")}
	if err := lite.measure(ctx, o, min(o.scale, 1_000_000), out); err != nil {
		return fmt.Errorf("SQLite: %w", err)
	}
	dsn, redisURL := os.Getenv("TEST_POSTGRES_DSN"), os.Getenv("TEST_REDIS_URL")
	if dsn == "" || redisURL == "" {
		return errors.New("TEST_POSTGRES_DSN and TEST_REDIS_URL are not set: run `make bench`, which starts the servers")
	}
	ours, drop, err := freshDatabase(ctx, dsn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, drop()) }()
	big := scaling{engine: postgresEngine, dsn: ours, file: ours, redis: redisURL, dir: filepath.Join(dir, "data-pg")}
	return big.measure(ctx, o, o.scale, out)
}

// scaling is one database in the making.
type scaling struct {
	engine
	dsn, file  string // as the product and as the driver call it
	redis, dir string
}

func (s scaling) measure(ctx context.Context, o options, n int, out io.Writer) error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	if _, err := s.play(ctx, o.binary); err != nil { // makes the CA, the catalogue, the staff
		return err
	}
	db, err := sql.Open(s.driver, s.file)
	if err != nil {
		return err
	}
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	before, commands, err := s.count(ctx, conn)
	if err != nil {
		return err
	}
	cpu, err := s.play(ctx, o.binary)
	if err != nil {
		return err
	}
	after, commandsAfter, err := s.count(ctx, conn)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%s: what the story of one order of two USBKEYs adds (its processes used %s of CPU, simulators and player included", s.name, cpu.Round(10*time.Millisecond))
	if s.redis != "" {
		fmt.Fprintf(out, "; %d Redis commands", commandsAfter-commands)
	}
	fmt.Fprintln(out, ")")
	for _, table := range slices.Sorted(maps.Keys(after)) {
		if added := after[table] - before[table]; added != 0 {
			fmt.Fprintf(out, "  %s +%d", table, added)
		}
	}
	fmt.Fprintln(out)

	var id, person string
	if err := conn.QueryRowContext(ctx, `SELECT id, person_id FROM orders WHERE business = 'initial' AND status = 'completed' ORDER BY id DESC LIMIT 1`).Scan(&id, &person); err != nil {
		return fmt.Errorf("finding the order that was played: %w", err)
	}
	if err := s.template(ctx, conn, id, person); err != nil {
		return err
	}
	start, err := s.bytes(ctx, conn)
	if err != nil {
		return err
	}
	small := max(n/100, 1)
	if err := s.copies(ctx, conn, 1, small, false); err != nil {
		return err
	}
	end, err := s.bytes(ctx, conn)
	if err != nil {
		return err
	}
	if err := printBytes(out, fmt.Sprintf("%s: bytes per order, over %d copies", s.name, small), start, end, float64(small)); err != nil {
		return err
	}
	var times map[string]time.Duration
	if s.redis != "" {
		if times, err = s.queries(ctx, person); err != nil {
			return err
		}
	}
	if times == nil {
		return nil
	}
	if err := s.copies(ctx, conn, small+1, n, true); err != nil {
		return err
	}
	more, err := s.queries(ctx, person)
	if err != nil {
		return err
	}
	return printTimes(out, small, n, times, more)
}

// play has the product play one order on this database and returns the CPU time of
// all its processes.
func (s scaling) play(ctx context.Context, binary string) (time.Duration, error) {
	cmd := exec.CommandContext(ctx, binary, "demo")
	cmd.Env = append(os.Environ(), "STORY=initial", "FAULT=", "YCD_DATA_DIR="+s.dir, "YCD_DATABASE_URL="+s.dsn)
	if s.redis != "" {
		cmd.Env = append(cmd.Env, "YCD_REDIS_URL="+s.redis)
	}
	if said, err := cmd.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("playing an order: %w\n%s", err, said)
	}
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
}

// count returns the rows of every table, and how many commands Redis has processed.
func (s scaling) count(ctx context.Context, conn *sql.Conn) (rows map[string]int, commands int64, err error) {
	sizes, err := s.bytes(ctx, conn)
	if err != nil {
		return nil, 0, err
	}
	rows = map[string]int{}
	for table := range sizes {
		var n int
		if err := conn.QueryRowContext(ctx, `SELECT count(*) FROM "`+table+`"`).Scan(&n); err != nil {
			return nil, 0, err
		}
		rows[table] = n
	}
	if s.redis == "" {
		return rows, 0, nil
	}
	opts, err := redis.ParseURL(s.redis)
	if err != nil {
		return nil, 0, err
	}
	rdb := redis.NewClient(opts)
	defer rdb.Close()
	info, err := rdb.Info(ctx, "stats").Result()
	if err != nil {
		return nil, 0, err
	}
	_, rest, _ := strings.Cut(info, "total_commands_processed:")
	_, err = fmt.Sscan(rest, &commands)
	return rows, commands, err
}

// template keeps the rows of the order that was played.
func (s scaling) template(ctx context.Context, conn *sql.Conn, id, person string) error {
	if _, err := conn.ExecContext(ctx, s.quiet); err != nil {
		return err
	}
	names := strings.NewReplacer(":o", "'"+id+"'", ":p", "'"+person+"'")
	for _, b := range belongs {
		if _, err := conn.ExecContext(ctx, `CREATE TEMP TABLE one_`+b.table+` AS SELECT * FROM `+b.table+` WHERE `+names.Replace(b.where)); err != nil {
			return fmt.Errorf("keeping rows of %s: %w", b.table, err)
		}
	}
	return nil
}

// copies adds the copies from to to of the order that was played.
func (s scaling) copies(ctx context.Context, conn *sql.Conn, from, to int, onlyMany bool) error {
	for _, b := range belongs {
		if onlyMany && !b.many {
			continue
		}
		into, as, err := s.expressions(ctx, conn, b.table)
		if err != nil {
			return err
		}
		stmt := `INSERT INTO ` + b.table + ` (` + into + `) SELECT ` + as + ` FROM one_` + b.table + ` t, ` + fmt.Sprintf(s.number, from, to) //nolint:gosec // our own tables
		if s.driver == "pgx" {
			stmt += ` AS g`
		}
		if _, err := conn.ExecContext(ctx, stmt); err != nil {
			return fmt.Errorf("copying %s: %w", b.table, err)
		}
	}
	_, err := conn.ExecContext(ctx, s.settle)
	return err
}

// expressions are a table's columns, and what a copy has in each.
func (s scaling) expressions(ctx context.Context, conn *sql.Conn, table string) (into, as string, err error) {
	rows, err := conn.QueryContext(ctx, fmt.Sprintf(s.columns, table))
	if err != nil {
		return "", "", err
	}
	defer rows.Close()
	var columns, values []string
	for rows.Next() {
		var column string
		var instant bool
		if err := rows.Scan(&column, &instant); err != nil {
			return "", "", err
		}
		name, id := table+"."+column, fmt.Sprintf(s.id, column)
		value := "t." + column
		switch special, ok := s.steady[name]; {
		case ok:
			value = strings.NewReplacer("{id}", id, "{ago}", s.ago).Replace(special)
		case slices.Contains(owned, name): // an empty one stays empty
			value = `CASE WHEN t.` + column + ` = '' THEN '' ELSE ` + id + ` END`
		case instant:
			value += " - " + s.ago
		}
		columns, values = append(columns, column), append(values, value)
	}
	return strings.Join(columns, ", "), strings.Join(values, ", "), rows.Err()
}

// size is the bytes of a table and of its indexes.
type size struct{ table, indexes int64 }

func (s scaling) bytes(ctx context.Context, conn *sql.Conn) (map[string]size, error) {
	rows, err := conn.QueryContext(ctx, s.sizes)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[string]size{}
	for rows.Next() {
		var name string
		var z size
		if err := rows.Scan(&name, &z.table, &z.indexes); err != nil {
			return nil, err
		}
		out[name] = z
	}
	return out, rows.Err()
}

func printBytes(out io.Writer, title string, start, end map[string]size, n float64) error {
	fmt.Fprintf(out, "\n%s\n", title)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "table\trows\tindexes\t")
	var sum size
	for _, b := range belongs {
		d := size{end[b.table].table - start[b.table].table, end[b.table].indexes - start[b.table].indexes}
		sum.table, sum.indexes = sum.table+d.table, sum.indexes+d.indexes
		if d.table+d.indexes > 0 {
			fmt.Fprintf(t, "%s\t%.0f\t%.0f\t\n", b.table, float64(d.table)/n, float64(d.indexes)/n)
		}
	}
	fmt.Fprintf(t, "all\t%.0f\t%.0f\t\n", float64(sum.table)/n, float64(sum.indexes)/n)
	return t.Flush()
}

// questions are the sweeps and lists that run over everything.
func questions(ctx context.Context, db *store.DB, person string) map[string]func() error {
	at := now()
	some := func(n int, err error) error { _ = n; return err }
	list := func(f order.Filter) func() error {
		f.Limit = 20
		return func() error {
			// A copy's form is sealed for the order that it was copied from: it is read, and
			// does not open.
			if _, err := db.Orders(ctx, f); err != nil && !strings.Contains(err.Error(), "opening orders.sealed_form") {
				return err
			}
			return nil
		}
	}
	return map[string]func() error{
		"sweep: reminders":             func() error { v, err := db.DueReminders(ctx, at, 100); return some(len(v), err) },
		"sweep: retention of orders":   func() error { v, err := db.DueKept(ctx, at, 100); return some(len(v), err) },
		"sweep: retention of people":   func() error { v, err := db.DuePeople(ctx, at, 100); return some(len(v), err) },
		"sweep: retention of chats":    func() error { _, err := db.ChatsBefore(ctx, at); return err },
		"sweep: timers":                func() error { v, err := db.DueTimers(ctx, at, 100); return some(len(v), err) },
		"sweep: questions to the bank": func() error { v, err := db.DueQueries(ctx, at, 100); return some(len(v), err) },
		"sweep: messages that wait":    func() error { v, err := db.HeldNotifications(ctx, at, 100); return some(len(v), err) },
		"sweep: invoices":              func() error { v, err := db.DueInvoices(ctx, at, 100); return some(len(v), err) },
		"sweep: OCSP and CRL":          func() error { v, err := store.NewLedger(db).DueStatuses(ctx, at, 100); return some(len(v), err) },
		"one person: is he needed":     func() error { _, err := db.KeptPerson(ctx, person); return err },
		"one person: his certificates": func() error { v, err := db.HeldBy(ctx, person); return some(len(v), err) },
		"one person: his messages": func() error {
			v, err := db.Messages(ctx, order.MessageFilter{PersonID: person})
			return some(len(v), err)
		},
		"one person: orders":             list(order.Filter{PersonID: person}),
		"one person: open orders":        list(order.Filter{PersonID: person, Open: true}),
		"staff: the review queue":        list(order.Filter{Status: order.InReview}),
		"staff: all orders":              list(order.Filter{}),
		"staff: orders by company":       list(order.Filter{Company: "云岭"}),
		"staff: orders by nothing there": list(order.Filter{Company: "没有这样的公司"}),
		"staff: certificates by company": func() error { v, err := db.FindCertificates(ctx, "云岭", 20); return some(len(v), err) },
		"staff: certificates by nothing there": func() error {
			v, err := db.FindCertificates(ctx, "没有这样的公司", 20)
			return some(len(v), err)
		},
	}
}

// queries returns the median time of each question.
func (s scaling) queries(ctx context.Context, person string) (map[string]time.Duration, error) {
	key := make([]byte, store.KeySize)
	keyset, err := store.NewKeyset(key)
	if err != nil {
		return nil, err
	}
	// Other keys than the product's: what is read here is listed, not opened.
	sealer, err := store.NewSealer(keyset, key, key)
	if err != nil {
		return nil, err
	}
	db, err := store.Open(ctx, s.dsn, sealer)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	out := map[string]time.Duration{}
	for name, ask := range questions(ctx, db, person) {
		var times []time.Duration
		for i := range 12 {
			began := now()
			if err := ask(); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			if i > 1 { // the first ones warm up
				times = append(times, now().Sub(began))
			}
		}
		out[name] = median(times)
	}
	return out, nil
}

// grows is when a question is called growing: it takes longer by more than the depth of an
// index explains, and is not quick all the same. It scans, or its answer has grown.
func grows(was, is time.Duration) bool { return is > 3*was && is > 5*time.Millisecond }

func printTimes(out io.Writer, small, n int, was, is map[string]time.Duration) error {
	fmt.Fprintf(out, "\nPostgreSQL: medians of ten, among %d and among %d orders of two certificates\n", small, n)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "question\tfew\tmany\tratio\t\t")
	missed := 0
	for _, name := range slices.Sorted(maps.Keys(is)) {
		verdict := ""
		if grows(was[name], is[name]) {
			verdict, missed = "GROWS", missed+1
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%.1f\t%s\t\n", name, milliseconds(was[name]), milliseconds(is[name]), math.Round(10*float64(is[name])/float64(was[name]))/10, verdict)
	}
	if err := t.Flush(); err != nil || missed == 0 {
		return err
	}
	fmt.Fprintf(out, "\n%d questions GROW\n", missed)
	return errMissed
}
