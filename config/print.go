package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// Print writes the effective configuration as YAML, each line with its origin.
// Secrets are masked; of a database or Redis address only the password is.
func (c *Config) Print(w io.Writer) error {
	var b bytes.Buffer
	section := ""
	for _, v := range variables(c) {
		s, key, nested := strings.Cut(v.path, ".")
		if !nested {
			s, key = "", v.path
		}
		if s != section {
			fmt.Fprintf(&b, "%s:\n", s)
			section = s
		}
		if nested {
			b.WriteString("  ")
		}
		origin := c.origins[v.path]
		if origin == "" {
			origin = "default"
		}
		text, err := v.yaml()
		if err != nil {
			return fmt.Errorf("printing %s: %w", v.path, err)
		}
		fmt.Fprintf(&b, "%s: %s  # %s\n", key, text, origin)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// yaml is the value in flow style, which JSON is a part of.
func (v variable) yaml() (string, error) {
	value := v.field.Interface()
	switch x := value.(type) {
	case Secret:
		if v.path == "database_url" || v.path == "redis_url" {
			value = withoutPassword(x)
		}
	case time.Duration:
		value = x.String()
	case map[string]string:
		if x == nil {
			value = map[string]string{}
		}
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(value)
	return pinValue.ReplaceAllString(strings.TrimSuffix(b.String(), "\n"), "${1}"+mask), err
}

// pinValue is a PIN in a pkcs11: URI (RFC 7512 §2.4), where the product refuses it.
var pinValue = regexp.MustCompile(`(pin-value=)[^&"]*`)

// withoutPassword keeps what an operator needs to recognise a server. What does
// not parse, or may carry a password elsewhere, is masked whole.
func withoutPassword(s Secret) string {
	if strings.HasPrefix(s.Reveal(), "sqlite:") {
		return s.Reveal()
	}
	u, err := url.Parse(s.Reveal())
	if err != nil || strings.Contains(strings.ToLower(u.RawQuery), "password") {
		return s.String()
	}
	if _, has := u.User.Password(); has {
		u.User = url.UserPassword(u.User.Username(), "masked")
	}
	return u.String()
}
