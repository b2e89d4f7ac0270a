package issuance

import (
	"errors"
	"fmt"

	"github.com/yuncaidun/yuncaidun/issuance/token"
)

// Refusal is an answer of the CA that no retry changes: a request out of profile,
// a weak key, a certificate that does not pass the lints.
type Refusal struct {
	// Code is stable, e.g. "csr_weak_key".
	Code string
	// Detail is a plain Chinese sentence, safe to show.
	Detail string
	// Reason is for the log; it holds no personal data.
	Reason string
}

func (r *Refusal) Error() string { return fmt.Sprintf("refused: %s: %s", r.Code, r.Reason) }

func refuse(code, detail, reason string, args ...any) error {
	return &Refusal{Code: code, Detail: detail, Reason: fmt.Sprintf(reason, args...)}
}

// Detail returns the Chinese sentence for a person that err carries, if any.
func Detail(err error) (string, bool) {
	if r, ok := errors.AsType[*Refusal](err); ok {
		return r.Detail, true
	}
	return token.Detail(err)
}
