package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A refusal that is missing on the audit trail is an ERROR in the log, and counted.
func TestLostRefusals(t *testing.T) {
	var log strings.Builder
	metrics := prometheus.NewRegistry()
	lostRefusals(metrics, slog.New(slog.NewTextHandler(&log, nil)))(t.Context(), errors.New("recording that close ended: away"))
	if !strings.Contains(log.String(), `level=ERROR msg="a refusal is not on the audit trail" err="recording that close ended: away"`) {
		t.Errorf("the log is %q", log.String())
	}
	got, err := metrics.Gather()
	if err != nil || len(got) != 1 || got[0].GetName() != "ycd_audit_lost_total" || got[0].GetMetric()[0].GetCounter().GetValue() != 1 {
		t.Errorf("counted: %v, %v", got, err)
	}
}

// What is done again and again goes on after a fault, which is logged, and has ended
// before the database is closed.
func TestRepeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		var did []string
		a := &app{log: slog.New(slog.NewTextHandler(&log, nil))}
		a.onClose(func() error { did = append(did, "database closed"); return nil })
		a.repeat(t.Context(), time.Second, "sweeping", func(ctx context.Context) error {
			if did = append(did, "swept"); len(did) == 1 {
				return errors.New("once")
			}
			<-ctx.Done()
			did = append(did, "stopped")
			return ctx.Err()
		})
		<-time.After(1500 * time.Millisecond)
		a.close()
		if got, want := strings.Join(did, ", "), "swept, swept, stopped, database closed"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if n := strings.Count(log.String(), "level=ERROR msg=sweeping err=once"); n != 1 || strings.Contains(log.String(), "canceled") {
			t.Errorf("the log is %q", log.String())
		}
	})
}
