package order_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store"
)

// certificateTrail is a store of certificates that tells what was put on the audit trail:
// what, by whom, and how it ended.
type certificateTrail struct {
	certificate.Store
	lines *[]string
}

// Change implements [certificate.Store]; what is not committed leaves no line.
func (s certificateTrail) Change(ctx context.Context, fn func(certificate.Tx) error) error {
	var lines []string
	err := s.Store.Change(ctx, func(tx certificate.Tx) error {
		lines = nil
		return fn(certificateTrailTx{tx, &lines})
	})
	if err == nil {
		*s.lines = append(*s.lines, lines...)
	}
	return err
}

type certificateTrailTx struct {
	certificate.Tx
	lines *[]string
}

func (tx certificateTrailTx) AppendAudit(ctx context.Context, r order.AuditRecord) error {
	*tx.lines = append(*tx.lines, r.Action+" "+string(r.Role)+" "+r.IP+" "+r.Outcome)
	return tx.Tx.AppendAudit(ctx, r)
}

// A run that is refused is on record, like every other command.
func TestRefusedRunsAreOnRecord(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		o, by := h.toRenew(t)
		var lines []string
		h.certificates = certificate.NewService(certificateTrail{store.Certificates{DB: h.db}, &lines}, h.now, h.newID, nil)
		runs, _ := h.runs(t)
		k := h.helper(t, runs, o.ID)
		wrong := k.proposal()
		wrong.TokenSerial = "TW11782207000009"
		if _, err := runs.Issue(ctx, k.secret, wrong, "192.0.2.8"); codeOf(err) != "wrong_ukey" {
			t.Errorf("another USBKEY: %v", err)
		}
		if _, err := runs.Report(ctx, k.secret, oldToken, k.proof(), "192.0.2.8"); codeOf(err) != "certificate_not_made" {
			t.Errorf("reported before it was made: %v", err)
		}
		h.freeze(t, by)
		if _, err := runs.Issue(ctx, k.secret, k.proposal(), "192.0.2.8"); codeOf(err) != "certificate_is_frozen" {
			t.Errorf("frozen: %v", err)
		}
		if err := runs.Fail(ctx, k.secret, "cancelled", "192.0.2.8"); err != nil {
			t.Error(err)
		}
		by.IP = "192.0.2.7"
		if _, _, err := runs.Begin(ctx, "01JUNKNOWN", by); !errors.Is(err, order.NotFound) {
			t.Errorf("an order that does not exist: %v", err)
		}
		lines = slices.DeleteFunc(lines, func(line string) bool { return strings.HasPrefix(line, "certificate:freeze") })
		want := []string{
			"run_ticket applicant  ok",
			"run key_helper 192.0.2.8 wrong_ukey",
			"read_back_ok key_helper 192.0.2.8 certificate_not_made",
			"run key_helper 192.0.2.8 certificate_is_frozen",
			"run_ticket applicant 192.0.2.7 order_not_found",
		}
		if !slices.Equal(lines, want) {
			t.Errorf("on record:\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
		}
	})
}

// deaf is a store whose audit trail cannot be written.
type deaf struct{ order.Store }

var errDeaf = errors.New("the database is away")

func (d deaf) InTx(ctx context.Context, fn func(order.Tx) error) error {
	return d.Store.InTx(ctx, func(tx order.Tx) error { return fn(deafTx{tx}) })
}

type deafTx struct{ order.Tx }

func (deafTx) AppendAudit(context.Context, order.AuditRecord) error { return errDeaf }

// A refusal that cannot be recorded is told to whoever watches, and the refusal itself to
// who asked.
func TestRefusalIsNotLostInSilence(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		var lost []error
		s := order.NewService(order.Deps{
			Store: deaf{h.db}, Certificates: h.certificates, Calendar: h.calendar(t), Catalogue: h.Catalogue, Now: h.now, NewID: h.newID,
			Lost: func(_ context.Context, err error) { lost = append(lost, err) },
		})
		_, err := s.Apply(t.Context(), "01JUNKNOWN", order.Command{On: order.Close, By: order.Actor{Role: order.Applicant, PersonID: "01P", IP: "192.0.2.1"}})
		if !errors.Is(err, order.NotFound) {
			t.Errorf("he hears %v", err)
		}
		if len(lost) != 1 || !errors.Is(lost[0], errDeaf) || !strings.Contains(lost[0].Error(), `close of order "01JUNKNOWN" by applicant 01P ended with order_not_found`) {
			t.Errorf("lost: %v", lost)
		}
	})
}
