package main

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/riverqueue/river/rivertype"
)

// A job that is tried again is worth a warning; the last try of one that is then
// given up is an error, for somebody has to look after what it was to do.
func TestLastTryIsAnError(t *testing.T) {
	for attempt, want := range map[int]string{1: "level=WARN", 3: "level=ERROR"} {
		var log strings.Builder
		h := jobErrors{slog.New(slog.NewTextHandler(&log, nil))}
		h.HandleError(t.Context(), &rivertype.JobRow{ID: 7, Kind: "refund", Attempt: attempt, MaxAttempts: 3}, errors.New("bank is closed"))
		for _, part := range []string{want, "kind=refund", "job=7", "bank is closed"} {
			if !strings.Contains(log.String(), part) {
				t.Errorf("attempt %d of 3: the log %q lacks %s", attempt, log.String(), part)
			}
		}
	}
}
