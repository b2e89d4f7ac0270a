package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/config"
	"github.com/yuncaidun/yuncaidun/issuance"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/request"
	"github.com/yuncaidun/yuncaidun/store"
)

// unforgetting is a database that goes away when an answer has been read.
type unforgetting struct{ store.Requests }

func (unforgetting) ForgetRequest(context.Context, string) error {
	return errors.New("database is away")
}

// pinHouse is an issuer that has made one USBKEY, in the folder of cfg.
func pinHouse(t *testing.T) (*app, certificate.Certificate) {
	t.Helper()
	ctx, dir := t.Context(), t.TempDir()
	cfg := &config.Config{Env: config.Development, DataDir: dir, CA: config.CA{PKI: "http://127.0.0.1:8080/pki"}}
	cfg.CA.Name, cfg.CA.PolicyOID, cfg.HSM.Module, cfg.HSM.PIN = "云采盾测试", "2.999.1.1", softHSM, config.NewSecret("12345678")
	clk, err := openClock("")
	if err != nil {
		t.Fatal(err)
	}
	key := bytes.Repeat([]byte("k"), store.KeySize)
	keyset, err := store.NewKeyset(key)
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := store.NewSealer(keyset, key, key)
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(ctx, "sqlite:"+filepath.Join(dir, "test.db"), sealer)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := db.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	h, err := openHSM(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.close(); err != nil {
			t.Error(err)
		}
	})
	cc := caConfig(cfg, h, clk.Now)
	if err := issuance.InitCA(ctx, cc); err != nil {
		t.Fatal(err)
	}
	ca, err := issuance.OpenCA(ctx, cc)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ca.Close)
	a := &app{cfg: cfg, clock: clk, db: db, pipeline: issuance.NewPipeline(ca, h.module, store.NewLedger(db), clk.Now)}
	a.office = request.NewOffice(store.Requests{DB: db}, clk.Now, a.issuerRequests())
	a.desk = request.NewDesk(unforgetting{store.Requests{DB: db}}, clk.Now, time.After, a.office)

	hash := sha256.Sum256([]byte("snapshot"))
	is, err := a.pipeline.Make(ctx, issuance.Request{
		ID: "i1-1", Item: "i1", SnapshotHash: hash[:], Profile: issuance.CompanyP256,
		Subject: issuance.Subject{Company: "新疆云采工程有限公司", USCC: "91650100MA77DABC1D"}, Years: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	return a, certificate.Certificate{Serial: is.Serial, TokenSerial: is.TokenSerial}
}

// byHolder is who asks for a PIN.
var byHolder = order.Actor{Role: order.Applicant, PersonID: "p1", Channel: order.Web}

// G25: what the holder reads is the PIN that the key has, once; in the database it
// is nowhere in the clear.
func TestInitialPINFromTheIssuer(t *testing.T) {
	ctx := t.Context()
	a, cert := pinHouse(t)
	pins := initialPINs{a}
	if untold, err := pins.Untold(ctx, cert); !untold || err != nil {
		t.Fatalf("untold %v, %v", untold, err)
	}
	pin, err := pins.Tell(ctx, cert, byHolder)
	if err != nil {
		t.Fatal(err)
	}
	if want, err := a.pipeline.InitialPIN(ctx, cert.TokenSerial); err != nil || pin != want.Reveal() {
		t.Errorf("told another PIN, %v", err)
	}
	if untold, err := pins.Untold(ctx, cert); untold || err != nil {
		t.Errorf("still untold: %v, %v", untold, err)
	}
	if _, err := pins.Tell(ctx, cert, byHolder); !errors.Is(err, order.Conflict) {
		t.Errorf("told again: %v", err)
	}
	for _, file := range []string{"test.db", "test.db-wal"} {
		if raw := mustRead(t, filepath.Join(a.cfg.DataDir, file)); bytes.Contains(raw, []byte(pin)) {
			t.Errorf("the PIN is in %s", file)
		}
	}
}

// A PIN is told once, and on record: where the line cannot be written nobody is told, and
// it can be told later.
func TestInitialPINIsNotLostToTheRecord(t *testing.T) {
	ctx := t.Context()
	a, cert := pinHouse(t)
	raw, err := sql.Open("sqlite", filepath.Join(a.cfg.DataDir, "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	do := func(statement string) {
		t.Helper()
		if _, err := raw.ExecContext(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	do(`CREATE TRIGGER no_line BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'the record is away'); END`)
	pins := initialPINs{a}
	if pin, err := pins.Tell(ctx, cert, byHolder); err == nil || pin != "" {
		t.Errorf("told without a line: %v", err)
	}
	if untold, err := pins.Untold(ctx, cert); !untold || err != nil {
		t.Errorf("lost: %v, %v", untold, err)
	}
	do(`DROP TRIGGER no_line`)
	if pin, err := pins.Tell(ctx, cert, byHolder); err != nil || pin == "" {
		t.Errorf("told with a line: %v", err)
	}
	if _, err := pins.Tell(ctx, cert, byHolder); !errors.Is(err, order.Conflict) {
		t.Errorf("told again: %v", err)
	}
	want := []string{"ok", "ok", "initial_pin_told"} // told; asked again, and refused
	if got := lines(t, raw, "certificate:initial-pin:"+cert.Serial); !slices.Equal(got, want) {
		t.Errorf("on record %q, want %q", got, want)
	}
}

// Who does not wait any longer for the issuer loses nothing: the question is gone before
// the issuer comes to it.
func TestInitialPINIsNotLostToASlowIssuer(t *testing.T) {
	ctx := t.Context()
	a, cert := pinHouse(t)
	requests := store.Requests{DB: a.db}
	at := func(time.Duration) <-chan time.Time { return time.After(0) }
	a.desk = request.NewDesk(requests, a.clock.Now, at, nil)
	pins := initialPINs{a}
	if _, err := pins.Tell(ctx, cert, byHolder); !errors.Is(err, order.Unavailable) {
		t.Fatalf("no issuer: %v", err)
	}
	raw, err := sql.Open("sqlite", filepath.Join(a.cfg.DataDir, "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	var asked int
	if err := raw.QueryRowContext(ctx, `SELECT count(*) FROM issuer_requests`).Scan(&asked); err != nil || asked != 0 {
		t.Errorf("%d still asked, %v", asked, err)
	}
	a.desk = request.NewDesk(requests, a.clock.Now, time.After, a.office)
	if pin, err := pins.Tell(ctx, cert, byHolder); err != nil || pin == "" {
		t.Errorf("told later: %v", err)
	}
}

// lines are the outcomes on record of one action, the first first.
func lines(t *testing.T, db *sql.DB, action string) (out []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `SELECT outcome FROM audit WHERE action = ? ORDER BY at, seq`, action)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var outcome string
		if err := rows.Scan(&outcome); err != nil {
			t.Fatal(err)
		}
		out = append(out, outcome)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}
