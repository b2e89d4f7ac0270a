package store

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/issuance"
)

// F102: what is published is kept under guards that no publisher can pass with
// yesterday's knowledge.
func TestStatusLedger(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		ctx, l := t.Context(), NewLedger(db)
		now := t0.Truncate(time.Second)
		a := certify(t, db, "a", serialA, now)
		certify(t, db, "b", serialB, now)
		planned := advanced(requested("planned", "planned"), "C"+serialA[1:], "key-planned")
		planned.TokenSerial = ""
		if _, err := l.OpenIssue(ctx, requested("planned", "planned")); err != nil {
			t.Fatal(err)
		}
		if err := l.AdvanceIssue(ctx, issuance.StageRequested, planned, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := l.CertStatus(ctx, planned.Serial); !errors.Is(err, issuance.ErrUnknownIssue) {
			t.Errorf("status of a serial that is not signed yet: %v", err)
		}
		due := func() (serials []string, statuses []issuance.CertStatus) {
			statuses, err := l.DueStatuses(ctx, now, 10)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range statuses {
				serials = append(serials, s.Serial)
			}
			return serials, statuses
		}
		serials, statuses := due()
		if slices.Sort(serials); !slices.Equal(serials, []string{serialA, serialB}) {
			t.Fatalf("due: %v", serials)
		}
		if err := l.PutResponses(ctx, []issuance.Response{{Of: statuses[0], DER: []byte("1"), Due: now.Add(time.Hour)}, {Of: statuses[1], DER: []byte("2")}}); err != nil {
			t.Fatal(err)
		}
		if serials, _ := due(); serials != nil {
			t.Errorf("due again: %v", serials)
		}
		if der, err := l.Response(ctx, statuses[1].Serial); err != nil || string(der) != "2" {
			t.Errorf("response %q, %v", der, err)
		}
		if _, err := l.Response(ctx, planned.Serial); !errors.Is(err, issuance.ErrUnknownIssue) {
			t.Errorf("response about an unknown serial: %v", err)
		}

		first, err := l.CRL(ctx, a.Issuer)
		if err != nil {
			t.Fatal(err)
		}
		wantSame(t, "no list yet", issuance.CRL{Issuer: a.Issuer}, first)
		list := issuance.CRL{Issuer: a.Issuer, Number: 1, ThisUpdate: now, NextUpdate: now.Add(time.Hour), DER: []byte("list")}
		if err := l.PutCRL(ctx, list); err != nil {
			t.Fatal(err)
		}
		if err := l.PutCRL(ctx, list); !errors.Is(err, issuance.ErrStale) {
			t.Errorf("a second list of number 1: %v", err)
		}

		// A planned serial that is given up counts as revoked, signed or not.
		planned.Stage, planned.RevokedAt, planned.RevocationReason = issuance.StageFailed, now, 4
		if err := l.AdvanceIssue(ctx, issuance.StageSigning, planned, nil); err != nil {
			t.Fatal(err)
		}
		list.Changes = 1
		got, err := l.CRL(ctx, a.Issuer)
		if err != nil {
			t.Fatal(err)
		}
		wantSame(t, "the list behind", list, got)
		want := issuance.CertStatus{Serial: planned.Serial, Issuer: planned.Issuer, NotAfter: planned.NotAfter, RevokedAt: now, Reason: 4, Rev: 1}
		revoked, err := l.Revoked(ctx, a.Issuer, now)
		if err != nil {
			t.Fatal(err)
		}
		wantSame(t, "revoked", []issuance.CertStatus{want}, revoked)
		if revoked, err = l.Revoked(ctx, a.Issuer, planned.NotAfter.Add(time.Millisecond)); err != nil || len(revoked) != 0 {
			t.Errorf("expired and still listed: %v, %v", revoked, err)
		}
		if err := l.PutResponses(ctx, []issuance.Response{{Of: issuance.CertStatus{Serial: planned.Serial}, DER: []byte("good")}}); err != nil {
			t.Fatal(err)
		}
		if serials, _ := due(); !slices.Equal(serials, []string{planned.Serial}) {
			t.Errorf("a response of before the revocation was kept; due %v", serials)
		}
	})
}
