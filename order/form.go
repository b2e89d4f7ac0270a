package order

import (
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"
)

// Form is what the applicant typed and uploaded: field → value. Images are
// object ids. It holds personal data, so it redacts itself wherever it might be
// printed; only Get and Reveal give clear text.
type Form struct{ values map[Field]string }

// NewForm returns a form with a copy of values; empty values are dropped.
func NewForm[F ~string](values map[F]string) Form { return FormOf(maps.All(values)) }

// usualFields is how many fields of a form are filled, more or less.
const usualFields = 32

// FormOf returns a form with values; empty ones are dropped.
func FormOf[F ~string](values iter.Seq2[F, string]) Form {
	f := Form{values: make(map[Field]string, usualFields)}
	for k, v := range values {
		if v != "" {
			f.values[Field(k)] = v
		}
	}
	return f
}

// Get returns the clear value of a field, or "".
func (f Form) Get(name Field) string { return f.values[name] }

// With returns a copy of f with one field changed.
func (f Form) With(name Field, value string) Form {
	g := f.Reveal()
	g[name] = value
	return NewForm(g)
}

// WithOurs returns a copy of f with those fields of g that no applicant types.
func (f Form) WithOurs(g Form) Form {
	v := f.Reveal()
	for _, name := range ours {
		v[name] = g.Get(name)
	}
	return NewForm(v)
}

// Masked returns the value as it may be shown to people: personal fields are
// masked by their rule in the field table.
func (f Form) Masked(name Field) string {
	spec, ok := specs[name]
	if v := f.values[name]; ok && spec.Mask != nil && v != "" {
		return spec.Mask(v)
	}
	return f.values[name]
}

// Reveal returns a copy of all values in the clear, for sealing and for the
// applicant's own edit form.
func (f Form) Reveal() map[Field]string {
	if f.values == nil {
		return map[Field]string{}
	}
	return maps.Clone(f.values)
}

// Equal reports whether both forms hold the same values.
func (f Form) Equal(g Form) bool { return maps.Equal(f.values, g.values) }

// names returns the filled fields in alphabetical order.
func (f Form) names() []Field { return slices.Sorted(maps.Keys(f.values)) }

// String says only how many fields are filled.
func (f Form) String() string { return fmt.Sprintf("form(%d fields)", len(f.values)) }

// GoString redacts like String.
func (f Form) GoString() string { return f.String() }

// LogValue redacts like String.
func (f Form) LogValue() slog.Value { return slog.StringValue(f.String()) }

// MarshalJSON redacts like String: a form that must be kept is sealed by store.
func (f Form) MarshalJSON() ([]byte, error) { return json.Marshal(f.String()) }
