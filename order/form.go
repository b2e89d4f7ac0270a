package order

import (
	"cmp"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"sync"
)

// Form is what the applicant typed and uploaded: field → value. Images are
// object ids. It holds personal data, so it redacts itself wherever it might be
// printed; only Get and Reveal give clear text. It is taken apart when something in it is
// first asked for: who reads an order often wants to know only how it stands.
type Form struct{ filled func() []pair }

// pair is a field with its value. A form has them in alphabetical order of names, which
// takes less to make than a map: every order that is read has one.
type pair struct {
	name  Field
	value string
}

// NewForm returns a form with a copy of values; empty values are dropped.
func NewForm[F ~string](values map[F]string) Form { return FormOf(maps.All(maps.Clone(values))) }

// usualFields is how many fields of a form are filled, more or less.
const usualFields = 32

// FormOf returns a form with values, which do not change any more and of which each field
// has one; empty ones are dropped.
func FormOf[F ~string](values iter.Seq2[F, string]) Form {
	return Form{sync.OnceValue(func() []pair {
		filled := make([]pair, 0, usualFields)
		for name, v := range values {
			if v != "" {
				filled = append(filled, pair{Field(name), v})
			}
		}
		slices.SortFunc(filled, func(a, b pair) int { return cmp.Compare(a.name, b.name) })
		return filled
	})}
}

func (f Form) pairs() []pair {
	if f.filled == nil {
		return nil
	}
	return f.filled()
}

// Get returns the clear value of a field, or "".
func (f Form) Get(name Field) string {
	filled := f.pairs()
	i, found := slices.BinarySearchFunc(filled, name, func(of pair, name Field) int { return cmp.Compare(of.name, name) })
	if !found {
		return ""
	}
	return filled[i].value
}

// With returns f with one field changed.
func (f Form) With(name Field, value string) Form {
	if f.Get(name) == value {
		return f
	}
	g := f.Reveal()
	g[name] = value
	return NewForm(g)
}

// WithOurs returns a copy of f with those fields of g that no applicant types.
func (f Form) WithOurs(g Form) Form { return f.withOf(g, ours) }

// WithPriced returns a copy of f with those fields of g that decide what is paid.
func (f Form) WithPriced(g Form) Form { return f.withOf(g, pricedFields) }

func (f Form) withOf(g Form, names []Field) Form {
	v := f.Reveal()
	for _, name := range names {
		v[name] = g.Get(name)
	}
	return NewForm(v)
}

// Masked returns the value as it may be shown to people: personal fields are
// masked by their rule in the field table.
func (f Form) Masked(name Field) string {
	v := f.Get(name)
	if spec, ok := specs[name]; ok && spec.Mask != nil && v != "" {
		return spec.Mask(v)
	}
	return v
}

// Reveal returns a copy of all values in the clear, for sealing and for the
// applicant's own edit form.
func (f Form) Reveal() map[Field]string {
	filled := f.pairs()
	values := make(map[Field]string, len(filled))
	for _, of := range filled {
		values[of.name] = of.value
	}
	return values
}

// Equal reports whether both forms hold the same values.
func (f Form) Equal(g Form) bool { return slices.Equal(f.pairs(), g.pairs()) }

// names returns the filled fields in alphabetical order.
func (f Form) names() []Field {
	filled := f.pairs()
	names := make([]Field, len(filled))
	for i, of := range filled {
		names[i] = of.name
	}
	return names
}

// String says only how many fields are filled.
func (f Form) String() string { return fmt.Sprintf("form(%d fields)", len(f.pairs())) }

// GoString redacts like String.
func (f Form) GoString() string { return f.String() }

// LogValue redacts like String.
func (f Form) LogValue() slog.Value { return slog.StringValue(f.String()) }

// MarshalJSON redacts like String: a form that must be kept is sealed by store.
func (f Form) MarshalJSON() ([]byte, error) { return json.Marshal(f.String()) }
