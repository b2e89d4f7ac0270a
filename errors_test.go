package main

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/riverqueue/river/rivertype"
)

// What a job panicked with may hold anything: the log has the runtime's own words, and
// of everything else the type.
func TestPanicOfAJob(t *testing.T) {
	for want, value := range map[string]any{"index out of range [3] with length 0": beyond(nil, 3), "*errors.errorString": errors.New("17700007069"), "panic=string": "17700007069"} {
		var log strings.Builder
		h := jobErrors{slog.New(slog.NewTextHandler(&log, nil))}
		h.HandlePanic(t.Context(), &rivertype.JobRow{ID: 7, Kind: "refund"}, value, "trace")
		if !strings.Contains(log.String(), want) || strings.Contains(log.String(), "17700007069") {
			t.Errorf("the log %q, want %s", log.String(), want)
		}
	}
}

func beyond(list []int, i int) (value any) {
	defer func() { value = recover() }()
	return list[i]
}

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
