package identity

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"unique"
)

// personal is what every personal value embeds: a clear text that can be asked
// for by name and otherwise appears masked. The value is held behind a handle
// because fmt prints the unexported fields of other people's structs without
// calling any method; of a handle it can only print an address. (That holds for a
// string. It would follow the handle of a struct.)
//
// Equal values are ==. There is deliberately no way to decode or to hand one to
// database/sql: requests are parsed and columns sealed in the open.
type personal[V text] struct{ handle unique.Handle[V] }

// text is a clear value that knows how to hide itself.
type text interface {
	~string
	clear() string
	mask() string
}

func hide[V text](v V) personal[V] {
	if v == "" {
		return personal[V]{}
	}
	return personal[V]{unique.Make(v)}
}

func (p personal[V]) value() (v V) {
	if p.IsZero() {
		return v
	}
	return p.handle.Value()
}

// Reveal returns the clear text. Each call is a decision: never for logs, URLs,
// job arguments or error texts.
func (p personal[V]) Reveal() string { return p.value().clear() }

// Mask returns what may be shown by default, also to staff.
func (p personal[V]) Mask() string { return p.value().mask() }

// IsZero reports whether there is no value.
func (p personal[V]) IsZero() bool { return p == personal[V]{} }

// Equal compares clear texts; go-cmp uses it.
func (p personal[V]) Equal(other interface{ Reveal() string }) bool {
	return p.Reveal() == other.Reveal()
}

// String implements [fmt.Stringer] with the mask.
func (p personal[V]) String() string { return p.Mask() }

// Format implements [fmt.Formatter] so that every verb prints the mask.
func (p personal[V]) Format(f fmt.State, verb rune) {
	s := p.Mask()
	if verb == 'q' || verb == 'v' && f.Flag('#') {
		s = strconv.Quote(s)
	}
	_, _ = io.WriteString(f, s) // fmt.State cannot fail
}

// LogValue implements [slog.LogValuer] with the mask.
func (p personal[V]) LogValue() slog.Value { return slog.StringValue(p.Mask()) }

// MarshalText implements [encoding.TextMarshaler] with the mask.
func (p personal[V]) MarshalText() ([]byte, error) { return []byte(p.Mask()), nil }

// MarshalJSON implements [json.Marshaler] with the mask.
func (p personal[V]) MarshalJSON() ([]byte, error) { return json.Marshal(p.Mask()) }
