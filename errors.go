package main

import (
	"context"
	"log/slog"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/yuncaidun/yuncaidun/order"
)

// jobErrors logs each failed attempt of a job, once, where it stops travelling: the
// last one as an error, for a person has to look after what it was to do.
type jobErrors struct{ log *slog.Logger }

// HandleError implements [river.ErrorHandler].
func (h jobErrors) HandleError(ctx context.Context, job *rivertype.JobRow, err error) *river.ErrorHandlerResult {
	level, said := slog.LevelWarn, "job failed"
	if job.Attempt >= job.MaxAttempts {
		level, said = slog.LevelError, "job given up"
	}
	h.log.Log(ctx, level, said, "kind", job.Kind, "job", job.ID, "attempt", job.Attempt, "err", err)
	return nil
}

// HandlePanic implements [river.ErrorHandler]. The value may hold anything, so only the
// runtime's own words are kept.
func (h jobErrors) HandlePanic(ctx context.Context, job *rivertype.JobRow, value any, trace string) *river.ErrorHandlerResult {
	what := order.PanicText(value)
	h.log.ErrorContext(ctx, "job panicked", "kind", job.Kind, "job", job.ID, "panic", what, "trace", trace)
	return nil
}
