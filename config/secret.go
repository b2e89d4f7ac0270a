package config

import (
	"fmt"
	"log/slog"
)

// mask is what a secret looks like wherever it is printed.
const mask = "******"

// Secret is a value that shows itself only through Reveal: printing, logging and
// encoding give a mask, whatever the verb.
type Secret struct{ value string }

// NewSecret wraps a clear value.
func NewSecret(value string) Secret { return Secret{value} }

// Reveal returns the clear value.
func (s Secret) Reveal() string { return s.value }

// Empty tells whether there is no value.
func (s Secret) Empty() bool { return s.value == "" }

// String is the mask, or nothing for an empty secret.
func (s Secret) String() string {
	if s.value == "" {
		return ""
	}
	return mask
}

// Format keeps %d, %#v and every other verb from walking into the value.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// MarshalText masks the value in JSON, YAML and text encodings.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue masks the value in logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
