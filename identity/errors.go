package identity

import "strings"

// Fault sorts what can be wrong with a value. A Fault is itself an error, so
// callers ask errors.Is(err, identity.BadCheckDigit).
type Fault string

// The faults.
const (
	Missing       Fault = "missing"         // nothing was typed
	BadLength     Fault = "bad_length"      // too short or too long
	BadCharacter  Fault = "bad_character"   // a character that never occurs there
	BadFormat     Fault = "bad_format"      // any other deviation from the pattern
	BadCheckDigit Fault = "bad_check_digit" // well formed, but mistyped
	BadRegion     Fault = "bad_region"      // no such administrative division
	BadDate       Fault = "bad_date"        // no such day, or one yet to come
	BadAge        Fault = "bad_age"         // the holder is too young or too old
	UnknownType   Fault = "unknown_type"    // no such document type
)

func (f Fault) Error() string { return string(f) }

// Error says in a plain Chinese sentence what is wrong and what to do. It never
// contains the value, so it may be shown, logged and stored.
type Error struct {
	Fault  Fault
	Detail string
	// Suggestion is a corrected value that would pass, offered for the person to
	// confirm and never applied by itself. Only public codes of units have one.
	Suggestion string
}

func (e *Error) Error() string { return e.Detail }

// Unwrap lets errors.Is match the fault.
func (e *Error) Unwrap() error { return e.Fault }

func fault(f Fault, detail string) *Error { return &Error{Fault: f, Detail: detail} }

// Warning is something odd that does not stop the applicant: it is shown beside
// the field and again to the reviewer.
type Warning struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// Sentences are the warnings as people read them.
func Sentences(ws []Warning) string {
	var b strings.Builder
	for _, w := range ws {
		b.WriteString(w.Detail)
	}
	return b.String()
}
