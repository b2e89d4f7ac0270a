package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"path/filepath"
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

// G25: what the holder reads is the PIN that the key has, once; in the database it
// is nowhere in the clear.
func TestInitialPINFromTheIssuer(t *testing.T) {
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
	defer db.Close()
	if err := db.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	h, err := openHSM(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := h.close(); err != nil {
			t.Error(err)
		}
	}()
	cc := caConfig(cfg, h, clk.Now)
	if err := issuance.InitCA(ctx, cc); err != nil {
		t.Fatal(err)
	}
	ca, err := issuance.OpenCA(ctx, cc)
	if err != nil {
		t.Fatal(err)
	}
	defer ca.Close()
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
	cert := certificate.Certificate{Serial: is.Serial, TokenSerial: is.TokenSerial}
	pins := initialPINs{a}
	if untold, err := pins.Untold(ctx, cert); !untold || err != nil {
		t.Fatalf("untold %v, %v", untold, err)
	}
	by := order.Actor{Role: order.Applicant, PersonID: "p1", Channel: order.Web}
	pin, err := pins.Tell(ctx, cert, by)
	if err != nil {
		t.Fatal(err)
	}
	if want, err := a.pipeline.InitialPIN(ctx, is.TokenSerial); err != nil || pin != want.Reveal() {
		t.Errorf("told another PIN, %v", err)
	}
	if untold, err := pins.Untold(ctx, cert); untold || err != nil {
		t.Errorf("still untold: %v, %v", untold, err)
	}
	if _, err := pins.Tell(ctx, cert, by); !errors.Is(err, order.Conflict) {
		t.Errorf("told again: %v", err)
	}
	for _, file := range []string{"test.db", "test.db-wal"} {
		if raw := mustRead(t, filepath.Join(dir, file)); bytes.Contains(raw, []byte(pin)) {
			t.Errorf("the PIN is in %s", file)
		}
	}
}
