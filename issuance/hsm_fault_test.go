package issuance

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yuncaidun/yuncaidun/issuance/token/tokenfault"
)

// unrecorded returns what the CA's keys signed that the ledger does not know: the
// module's own list of signatures against the digests of the recorded TBS.
func unrecorded(t *testing.T, signatures []tokenfault.Signature, issues map[string]Issue) (made int, unknown []string) {
	t.Helper()
	known := map[string]bool{}
	for _, is := range issues {
		known[hex.EncodeToString(is.TBSHash)] = true
	}
	for _, s := range signatures {
		if s.Token != P256Token && s.Token != RSAToken {
			continue
		}
		made++
		if digest := s.Data[len(s.Data)-64:]; !known[digest] { // RSA: after the DigestInfo
			unknown = append(unknown, s.Data)
		}
	}
	return made, unknown
}

// fakeTime runs fn on a clock that stands still unless everybody waits, set to now.
func fakeTime(t *testing.T, fn func(t *testing.T, now func() time.Time)) {
	t.Helper()
	begun := time.Now()
	synctest.Test(t, func(t *testing.T) {
		zero := time.Now()
		fn(t, func() time.Time { return begun.Add(time.Since(zero)) })
	})
}

// Reliability 7 and 8: whatever the HSM answers while it is ill, the issue that
// waits for it succeeds within a minute of its recovery, without a restart, and no
// signature exists that the ledger does not know.
func TestIssueSurvivesEveryFault(t *testing.T) {
	module := tokenfault.Build(t)
	f := newFixtureOn(t, module.Path)
	n := 0
	for function, codes := range map[string][]string{
		"C_Sign":            {"0x30", "0x32", "0x82", "0xB3", "0xE0", "0xE1", "0xA4"},
		"C_SignInit":        {"0x82", "0xB3"},
		"C_OpenSession":     {"0x30", "0xE0"},
		"C_Login":           {"0x32", "0xA4"},
		"C_FindObjectsInit": {"0xE1"},
	} {
		for _, code := range codes {
			n++
			t.Run(function+" "+code, func(t *testing.T) {
				fakeTime(t, func(t *testing.T, now func() time.Time) {
					module.Set(t)
					p, shut := f.pipeline(t, f.ledger)
					defer shut()
					p.now = now
					r := request(fmt.Sprintf("f%d-1", n), fmt.Sprintf("f%d", n), CompanyP256)
					_, r.CSR = softwareCSR(t)
					if _, err := p.Open(t.Context(), r); err != nil {
						t.Fatal(err)
					}
					module.Set(t, function+" error "+code)
					for range 8 { // with the fault there, it may succeed only where that is not used
						_, _ = p.Run(t.Context(), r.ID)
						<-time.After(time.Second)
					}
					module.Set(t)
					gone := now()
					is, err := p.Run(t.Context(), r.ID)
					for ; err != nil && now().Sub(gone) < 2*time.Minute; is, err = p.Run(t.Context(), r.ID) {
						<-time.After(time.Second)
					}
					if took := now().Sub(gone); err != nil || took > time.Minute {
						t.Fatalf("after %v: %v", took, err)
					}
					if is.Stage != StageStored {
						t.Errorf("stage %s", is.Stage)
					}
				})
			})
		}
	}
	// A signature that the module made and then denied is made again, over the same bytes.
	t.Run("signature lost on the way", func(t *testing.T) {
		p := f.mustPipeline(t)
		r := request("lost-1", "lost", CompanyRSA)
		if _, err := p.Open(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		before, _ := unrecorded(t, module.Signatures(t), f.ledger.issues)
		module.Set(t, "C_Sign lose 0x30 times=3")
		_, err := p.Run(t.Context(), r.ID)
		module.Set(t)
		is, again := p.Run(t.Context(), r.ID)
		if again != nil {
			t.Fatalf("first %v, then %v", err, again)
		}
		checkDone(t, f, p, is)
		if after, _ := unrecorded(t, module.Signatures(t), f.ledger.issues); after == before {
			t.Error("no signature was lost")
		}
	})
	made, unknown := unrecorded(t, module.Signatures(t), f.ledger.issues)
	if len(unknown) > 0 {
		t.Errorf("%d of %d signatures are unknown to the ledger: %s", len(unknown), made, strings.Join(unknown, " "))
	}
	if made < n {
		t.Errorf("%d signatures for %d certificates", made, n+1)
	}
	if len(f.ledger.history) != len(f.ledger.issues) {
		t.Errorf("%d serials for %d issues", len(f.ledger.history), len(f.ledger.issues))
	}
}

// Reliability 7: the check above can fail. A signature that nobody planned is found.
func TestUnplannedSignatureIsNoticed(t *testing.T) {
	module := tokenfault.Build(t)
	f := newFixtureOn(t, module.Path)
	p := f.mustPipeline(t)
	if err := p.ca.issuers[P256Token].signer.Health(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, unknown := unrecorded(t, module.Signatures(t), f.ledger.issues); len(unknown) != 1 {
		t.Errorf("%d signatures are unknown, want 1", len(unknown))
	}
}

// countingLedger tells how many of its transactions are open.
type countingLedger struct {
	Ledger
	open, calls int
}

func (l *countingLedger) OpenIssue(ctx context.Context, is Issue) (Issue, error) {
	l.open++
	l.calls++
	defer func() { l.open-- }()
	return l.Ledger.OpenIssue(ctx, is)
}

func (l *countingLedger) AdvanceIssue(ctx context.Context, from Stage, is Issue, tok *TokenRecord) error {
	l.open++
	l.calls++
	defer func() { l.open-- }()
	return l.Ledger.AdvanceIssue(ctx, from, is, tok)
}

// Reliability 8: while the HSM hangs, no transaction of the ledger is open, the
// caller is let go when its time is up, and the issue resumes under the same serial.
func TestHungHSMHoldsNoTransaction(t *testing.T) {
	module := tokenfault.Build(t)
	f := newFixtureOn(t, module.Path)
	ledger := &countingLedger{Ledger: f.ledger}
	p, shut := f.pipeline(t, ledger)
	defer shut()
	r := request("hung-1", "hung", CompanyP256)
	_, r.CSR = softwareCSR(t)
	if _, err := p.Open(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	module.Set(t, "C_Sign hang")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := p.Run(ctx, r.ID)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	if ledger.open != 0 || ledger.calls != 1 {
		t.Errorf("%d transactions open after %d, want 0 after 1", ledger.open, ledger.calls)
	}
	reserved := f.ledger.issues[r.ID]
	if reserved.Stage != StageSigning {
		t.Fatalf("stage %s", reserved.Stage)
	}
	module.Set(t)
	is, err := p.Run(t.Context(), r.ID)
	if err != nil {
		t.Fatal(err)
	}
	if is.Serial != reserved.Serial {
		t.Error("another serial after the hang")
	}
	if _, unknown := unrecorded(t, module.Signatures(t), f.ledger.issues); len(unknown) > 0 {
		t.Errorf("unknown to the ledger: %v", unknown)
	}
}

// The USBKEY's own module may be the ill one: the same step is done again, with the
// same serial number and key.
func TestPersonalisationSurvivesFaults(t *testing.T) {
	module := tokenfault.Build(t)
	f := newFixtureOn(t, module.Path)
	p := f.mustPipeline(t)
	for i, rule := range []string{
		"C_InitToken error 0x30 times=1", "C_InitPIN error 0x30 times=1", "C_InitToken lose 0x32 times=1", "C_InitPIN lose 0x32 times=1",
		"C_GenerateKeyPair error 0xE1 times=1", "C_GenerateKeyPair lose 0x30 times=1", "C_CreateObject error 0x31 times=1", "C_CreateObject lose 0x30 skip=1 times=1",
		"C_Login error 0xA4 times=1", "C_OpenSession error 0xE0 times=1", "C_GetAttributeValue error 0x82 skip=3 times=1", "C_CloseSession error 0xB3 times=1",
	} {
		t.Run(rule, func(t *testing.T) {
			r := request(fmt.Sprintf("p%d-1", i), fmt.Sprintf("p%d", i), CompanyP256)
			if _, err := p.Open(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			module.Set(t, rule)
			is, err := p.Run(t.Context(), r.ID)
			for tries := 0; err != nil && tries < 3; tries++ {
				is, err = p.Run(t.Context(), r.ID)
			}
			module.Set(t)
			if err != nil {
				t.Fatal(err)
			}
			checkDone(t, f, p, is)
		})
	}
	if _, unknown := unrecorded(t, module.Signatures(t), f.ledger.issues); len(unknown) > 0 {
		t.Errorf("unknown to the ledger: %v", unknown)
	}
}
