package order

import (
	"errors"
	"fmt"
	"runtime"
	"time"
)

// Kind sorts errors by what the caller can do about them. A Kind is itself an
// error, so callers ask errors.Is(err, order.NotFound).
type Kind string

// The kinds. Anything that is not an *Error is an internal fault.
const (
	Invalid         Kind = "invalid"         // fix the request
	Unauthenticated Kind = "unauthenticated" // log in again
	Forbidden       Kind = "forbidden"       // ask someone else
	NotFound        Kind = "not_found"
	Conflict        Kind = "conflict"     // reload, then decide
	RateLimited     Kind = "rate_limited" // wait
	Unavailable     Kind = "unavailable"  // a provider is down; it is retried for you
)

func (k Kind) Error() string { return string(k) }

// Error is an error meant for a person. Code is stable and documented under
// docs/problems.md; Detail is a full Chinese sentence safe to show; Err is the
// cause, which only the log sees.
type Error struct {
	Kind   Kind
	Code   string
	Detail string
	// Fields says what to correct, field by field, in form order (Kind Invalid).
	Fields []FieldError
	// RetryAfter says how long to wait (Kind RateLimited and Unavailable).
	RetryAfter time.Duration
	Err        error
}

// FieldError is one field of a form and the sentence shown beside it.
type FieldError struct {
	Field  Field  `json:"field"`
	Detail string `json:"detail"`
}

func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %v", e.Code, e.Err)
	}
	return e.Code
}

// Unwrap lets errors.Is match both the kind and the cause.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}

// Errorf returns an *Error without a cause.
func Errorf(kind Kind, code, format string, args ...any) *Error {
	return &Error{Kind: kind, Code: code, Detail: fmt.Sprintf(format, args...)}
}

// ErrRaced is the cause of a Conflict whose guarded UPDATE found that somebody else had
// written first. Any other Conflict stands; this one may be gone when it is tried again,
// so jobs and callbacks are.
var ErrRaced = errors.New("somebody else wrote first")

// Raced returns e as the outcome of a lost race.
func (e *Error) Raced() *Error {
	e.Err = ErrRaced
	return e
}

// About returns e as the refusal of one field: its sentence belongs beside it.
func (e *Error) About(f Field) *Error {
	e.Fields = []FieldError{{f, e.Detail}}
	return e
}

// AsError finds the *Error in err's chain.
func AsError(err error) (*Error, bool) { return errors.AsType[*Error](err) }

// sentence returns an error that reads as the Detail alone.
func (e *Error) sentence() error { return errors.New(e.Detail) }

// PanicText names the value of a panic for the log. It may hold anything, so only the
// runtime's own words are kept, of all else the type.
func PanicText(value any) string {
	if e, ok := value.(error); ok {
		if said, ok := errors.AsType[runtime.Error](e); ok {
			return said.Error()
		}
	}
	return fmt.Sprintf("%T", value)
}
