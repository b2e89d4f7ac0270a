package certificate_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/issuance"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store"
	"github.com/yuncaidun/yuncaidun/store/storetest"
)

var now = time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)

// office is a service and a database with one order of two certificates.
type office struct {
	*certificate.Service
	db     *store.DB
	ledger *store.Ledger
	person string
	trail  *trail
	lost   []error // what is missing on the audit trail
	mu     sync.Mutex
	ids    int
}

var (
	serialA = strings.Repeat("4A", 20)
	serialB = strings.Repeat("0B", 20)
)

const orderID = order.ID("01JORDER")

func (f *office) newID() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ids++
	return fmt.Sprintf("01TEST%020d", f.ids)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func eachDB(t *testing.T, test func(t *testing.T, f *office)) {
	for _, dialect := range storetest.Dialects {
		t.Run(dialect, func(t *testing.T) { test(t, newOffice(t, storetest.DSN(t, dialect, store.MigrateAt))) })
	}
}

func TestMain(m *testing.M) { storetest.Main(m) }

func newOffice(t *testing.T, dsn string) *office {
	t.Helper()
	key := make([]byte, store.KeySize)
	keyset, err := store.NewKeyset(key)
	must(t, err)
	sealer, err := store.NewSealer(keyset, key, key)
	must(t, err)
	db, err := store.Open(t.Context(), dsn, sealer)
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	f := &office{db: db, ledger: store.NewLedger(db)}
	f.trail = &trail{Store: store.Certificates{DB: db}}
	f.Service = certificate.NewService(f.trail, func() time.Time { return now }, f.newID, func(_ context.Context, err error) { f.lost = append(f.lost, err) })
	must(t, db.InTx(t.Context(), func(tx order.Tx) error {
		p, err := tx.PersonByMobile(t.Context(), order.Person{ID: f.newID(), Mobile: identity.NewMobile("13800138000"), CreatedAt: now})
		if err != nil {
			return err
		}
		f.person = p.ID
		o := order.Order{ID: orderID, No: "SAAS120261123000001", Business: order.Initial, State: order.State{Status: order.Completed}, PersonID: p.ID, Rev: 1, Seq: 1, Company: "云岭公司", CreatedAt: now, UpdatedAt: now}
		if err := tx.InsertOrder(t.Context(), o); err != nil {
			return err
		}
		return tx.ReplaceItems(t.Context(), o.ID, []order.Item{
			{ID: "item-a", OrderID: o.ID, N: 1, Stage: order.ItemWaiting, CertSerial: serialA, UpdatedAt: now},
			{ID: "item-b", OrderID: o.ID, N: 2, Stage: order.ItemWaiting, CertSerial: serialB, UpdatedAt: now},
		})
	}))
	f.issue(t, "item-a", serialA)
	f.issue(t, "item-b", serialB)
	return f
}

// issue records what the CA records of a finished certificate.
func (f *office) issue(t *testing.T, item, serial string) {
	t.Helper()
	is := issuance.Issue{ID: item + "-1", Item: item, SnapshotHash: bytes.Repeat([]byte{1}, 32), Profile: "company-p256", Company: "云岭公司", USCC: "91110108MA00TEN18F", Years: 1, Stage: issuance.StageRequested, CreatedAt: now, UpdatedAt: now}
	_, err := f.ledger.OpenIssue(t.Context(), is)
	must(t, err)
	is.Stage, is.Serial, is.Issuer, is.TBS, is.Certificate = issuance.StageDone, serial, issuance.P256Token, []byte("tbs"), []byte("der of "+serial)
	is.NotBefore, is.NotAfter = now, now.AddDate(1, 0, 0)
	must(t, f.ledger.AdvanceIssue(t.Context(), issuance.StageRequested, is, nil))
}

func (f *office) holder() order.Actor {
	return order.Actor{Role: order.Applicant, PersonID: f.person, Channel: order.Web, IP: "192.0.2.1"}
}

func code(err error) string {
	if e, ok := order.AsError(err); ok {
		return e.Code
	}
	return fmt.Sprint(err)
}

// F102: the decision, what the CA has to publish, the history and the messages
// are one thing.
func TestFreezeThenRevoke(t *testing.T) {
	eachDB(t, func(t *testing.T, f *office) {
		ctx := t.Context()
		for n, step := range []struct {
			c      certificate.Command
			reason int
			notice order.Notice
		}{
			{certificate.Command{On: certificate.Freeze, By: f.holder(), MobileProven: true}, issuance.CertificateHold, order.NoticeFrozen},
			{certificate.Command{On: certificate.Revoke, By: f.holder(), MobileProven: true, Reason: certificate.KeyCompromise, Bid: certificate.NoOpenBid}, 1, order.NoticeRevoked},
		} {
			if _, err := f.Apply(ctx, serialA, step.c); err != nil {
				t.Fatal(err)
			}
			status, err := f.ledger.CertStatus(ctx, serialA)
			must(t, err)
			if !status.RevokedAt.Equal(now) || status.Reason != step.reason || status.Rev != int64(n+1) {
				t.Errorf("the CA is told %+v", status)
			}
			list, err := f.ledger.CRL(ctx, issuance.P256Token)
			must(t, err)
			if list.Changes != int64(n+1) {
				t.Errorf("%d changes for the CRL, want %d", list.Changes, n+1)
			}
			events, err := f.db.Events(ctx, orderID)
			must(t, err)
			if len(events) != n+1 || events[n].ActorID != f.person || events[n].From != events[n].To {
				t.Errorf("history %+v", events)
			}
			if bid := step.c.Bid != ""; bid != strings.Contains(events[n].Note, "没有待开标") {
				t.Errorf("history tells %q", events[n].Note)
			}
			sent, err := f.db.Notifications(ctx, orderID)
			must(t, err)
			media := map[order.Medium]bool{}
			for _, m := range sent {
				if m.Notice == step.notice {
					media[m.Medium] = true
				}
			}
			if !media[order.SMS] || !media[order.WeChat] {
				t.Errorf("%s goes to %v, want SMS and WeChat", step.notice, media)
			}
		}
		other, err := f.Own(ctx, serialB, f.person)
		must(t, err)
		if other.State() != certificate.Valid {
			t.Errorf("the other certificate is %s", other.State())
		}
		if _, err := f.Apply(ctx, serialA, certificate.Command{On: certificate.Freeze, By: f.holder(), MobileProven: true}); code(err) != "certificate_not_ready" {
			t.Errorf("frozen after revocation: %v", err)
		}
	})
}

// F23: somebody else's certificate does not exist.
func TestOthersCertificates(t *testing.T) {
	eachDB(t, func(t *testing.T, f *office) {
		for name, person := range map[string]string{"another person": "01OTHER", "nobody": ""} {
			c := certificate.Command{On: certificate.Freeze, By: order.Actor{Role: order.Applicant, PersonID: person}, MobileProven: true}
			if _, err := f.Apply(t.Context(), serialA, c); !errors.Is(err, order.NotFound) {
				t.Errorf("%s freezes: %v", name, err)
			}
			if _, err := f.Own(t.Context(), serialA, person); !errors.Is(err, order.NotFound) {
				t.Errorf("%s looks: %v", name, err)
			}
		}
		if _, err := f.Own(t.Context(), strings.Repeat("00", 20), f.person); !errors.Is(err, order.NotFound) {
			t.Errorf("a serial that does not exist: %v", err)
		}
		if s, err := f.ledger.CertStatus(t.Context(), serialA); err != nil || !s.RevokedAt.IsZero() {
			t.Errorf("status %+v, %v", s, err)
		}
	})
}

// Of many at once exactly one decides, and each that lost is told so.
func TestAtOnce(t *testing.T) {
	eachDB(t, func(t *testing.T, f *office) {
		const n = 8
		errs := make([]error, n)
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				_, errs[i] = f.Apply(t.Context(), serialA, certificate.Command{On: certificate.Freeze, By: f.holder(), MobileProven: true})
			})
		}
		wg.Wait()
		done := 0
		for _, err := range errs {
			switch {
			case err == nil:
				done++
			case !errors.Is(err, order.Conflict):
				t.Errorf("%v, want Conflict", err)
			}
		}
		sent, err := f.db.Notifications(t.Context(), orderID)
		must(t, err)
		if s, err := f.ledger.CertStatus(t.Context(), serialA); done != 1 || err != nil || s.Rev != 1 || len(sent) != 2 {
			t.Errorf("%d froze it, status %+v, %d messages, %v", done, s, len(sent), err)
		}
	})
}

// Staff find a certificate by serial, also without its leading zero (F104, G3), by
// USBKEY or company.
func TestFind(t *testing.T) {
	eachDB(t, func(t *testing.T, f *office) {
		for text, want := range map[string]int{strings.ToLower(serialA): 1, serialB[1:]: 1, "0" + serialA: 0, serialA[:4] + " " + serialA[4:]: 1, "云岭": 2, "": 2, "%": 0, "TW": 0} {
			if got, err := f.db.FindCertificates(t.Context(), text, 10); err != nil || len(got) != want {
				t.Errorf("%q: %d found, want %d, %v", text, len(got), want, err)
			}
		}
	})
}
