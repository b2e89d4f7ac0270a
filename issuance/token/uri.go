package token

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
)

// URI is a pkcs11: URI (RFC 7512) as far as it names a module, a token and where its
// PIN is kept.
type URI struct {
	// Token and Serial name the token; what is empty does not matter.
	Token, Serial string
	// ModulePath is the library.
	ModulePath string
	// PINSource is the file that holds the PIN.
	PINSource string
}

// uriPath and uriQuery are the attributes we act on. What RFC 7512 defines besides
// must not be passed over: a URI with it names something more precise than we
// would take.
var (
	uriPath = map[string]func(*URI) *string{
		"token":  func(u *URI) *string { return &u.Token },
		"serial": func(u *URI) *string { return &u.Serial },
	}
	uriQuery = map[string]func(*URI) *string{
		"module-path": func(u *URI) *string { return &u.ModulePath },
		"pin-source":  func(u *URI) *string { return &u.PINSource },
	}
)

// ParseURI reads a pkcs11: URI. A PIN in the URI itself (pin-value) is refused,
// because URIs are shown and logged; so is what would run a program.
func ParseURI(text string) (URI, error) {
	var u URI
	rest, ok := strings.CutPrefix(text, "pkcs11:")
	if !ok {
		return u, errors.New(`is not a URI that begins with "pkcs11:"`)
	}
	path, query, _ := strings.Cut(rest, "?")
	if err := u.read(path, ";", uriPath); err != nil {
		return URI{}, err
	}
	if err := u.read(query, "&", uriQuery); err != nil {
		return URI{}, err
	}
	if u.PINSource == "" {
		return u, nil
	}
	file, isURI := strings.CutPrefix(u.PINSource, "file:")
	file = strings.TrimPrefix(file, "//")
	if !strings.HasPrefix(file, "/") || !isURI && strings.Contains(u.PINSource, ":") {
		return URI{}, errors.New("pin-source must be the path of a file, as file:/path")
	}
	u.PINSource = file
	return u, nil
}

func (u *URI) read(text, separator string, known map[string]func(*URI) *string) error {
	if text == "" {
		return nil
	}
	for part := range strings.SplitSeq(text, separator) {
		name, value, ok := strings.Cut(part, "=")
		field := known[name]
		switch {
		case !ok || name == "":
			return errors.New("an attribute without a value")
		case name == "pin-value":
			return errors.New("pin-value would show the PIN; use pin-source=file:/path")
		case field == nil:
			return fmt.Errorf("attribute %q is not supported", name)
		case *field(u) != "":
			return fmt.Errorf("attribute %q stands there twice", name)
		}
		plain, err := url.PathUnescape(value) // "+" stands for itself, unlike in a form
		if err != nil || plain == "" || strings.ContainsRune(plain, 0) {
			return fmt.Errorf("attribute %q has no valid value", name)
		}
		*field(u) = plain
	}
	return nil
}

// Name is what a [Module] finds the token by, or "" when the URI names none.
func (u URI) Name() string {
	switch {
	case u.Token != "" && u.Serial != "":
		return bothNames(u.Token, u.Serial)
	case u.Serial != "":
		return u.Serial
	}
	return u.Token
}

// Or fills in from other what u leaves open. The token is named by one of them.
func (u URI) Or(other URI) URI {
	if u.ModulePath == "" {
		u.ModulePath = other.ModulePath
	}
	if u.PINSource == "" {
		u.PINSource = other.PINSource
	}
	if u.Name() == "" {
		u.Token, u.Serial = other.Token, other.Serial
	}
	return u
}

// PIN reads the PIN from its file; a line end is not part of it.
func (u URI) PIN() (PIN, error) {
	text, err := os.ReadFile(u.PINSource)
	if err != nil {
		return "", fmt.Errorf("reading the PIN: %w", err)
	}
	pin := strings.TrimRight(string(text), "\r\n")
	if pin == "" {
		return "", fmt.Errorf("reading the PIN: %s is empty", u.PINSource)
	}
	return PIN(pin), nil
}
