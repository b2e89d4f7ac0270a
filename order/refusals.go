package order

import (
	"context"
	"fmt"
	"time"
)

// Refusals keeps on the audit trail what was refused. A refusal undoes its transaction,
// and with it every line of it, so its own line is written in another.
type Refusals struct {
	append func(ctx context.Context, line AuditRecord) error
	lost   func(ctx context.Context, err error)
}

// NewRefusals writes lines with appendLine, in a transaction of their own; lost is told of a
// line that could not be written, and nil tells nobody.
func NewRefusals(appendLine func(ctx context.Context, line AuditRecord) error, lost func(ctx context.Context, err error)) Refusals {
	if lost == nil {
		lost = func(context.Context, error) {}
	}
	return Refusals{appendLine, lost}
}

// Record keeps the line about what ended with err, if that is a refusal. Who asked has to
// hear the refusal itself, so a line that is lost does not replace it.
func (r Refusals) Record(ctx context.Context, line AuditRecord, err error) {
	refusal, ok := AsError(err)
	if !ok {
		return
	}
	ctx, cancel := RecordingContext(ctx)
	defer cancel()
	if err := r.append(ctx, line.Ending(refusal.Code)); err != nil {
		r.lost(ctx, fmt.Errorf("recording that %s of order %q by %s %s ended with %s: %w", line.Action, line.OrderID, line.Role, line.ActorID, refusal.Code, err))
	}
}

// RecordingContext is for what has to be on record although whoever asked for it may have
// gone away, or have run out of time.
func RecordingContext(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
}
