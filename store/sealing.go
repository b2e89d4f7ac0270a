package store

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"iter"

	"github.com/tidwall/gjson"
	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// KeySize is the length of the master key and of the index key, in bytes.
const KeySize = 32

// keysetPurpose binds an encrypted keyset to its use.
var keysetPurpose = []byte("yuncaidun pii keyset")

// Sealer seals personal data with the "pii" keyset and finds it again through
// blind indexes.
type Sealer struct {
	aead     tink.AEAD
	indexKey []byte
	auditKey []byte // MACs the audit trail; derived from the index key
}

// NewKeyset returns a new "pii" keyset with one AES-256-GCM key, encrypted with
// the master key.
func NewKeyset(master []byte) ([]byte, error) {
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, fmt.Errorf("making keyset: %w", err)
	}
	return writeKeyset(handle, master)
}

// RotateKeyset adds a key to the keyset and makes it the one that seals. What
// older keys have sealed still opens.
func RotateKeyset(encrypted, master []byte) ([]byte, error) {
	handle, err := readKeyset(encrypted, master)
	if err != nil {
		return nil, err
	}
	m := keyset.NewManagerFromHandle(handle)
	id, err := m.Add(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, fmt.Errorf("adding key: %w", err)
	}
	if err := m.SetPrimary(id); err != nil {
		return nil, fmt.Errorf("choosing primary key: %w", err)
	}
	if handle, err = m.Handle(); err != nil {
		return nil, fmt.Errorf("rotating keyset: %w", err)
	}
	return writeKeyset(handle, master)
}

// NewSealer opens an encrypted keyset. indexKey is the key of the blind
// indexes, which cannot be rotated without rewriting them.
func NewSealer(encrypted, master, indexKey []byte) (*Sealer, error) {
	if len(indexKey) != KeySize {
		return nil, fmt.Errorf("index key has %d bytes, want %d", len(indexKey), KeySize)
	}
	handle, err := readKeyset(encrypted, master)
	if err != nil {
		return nil, err
	}
	a, err := aead.New(handle)
	if err != nil {
		return nil, fmt.Errorf("opening keyset: %w", err)
	}
	auditKey, err := hkdf.Key(sha256.New, indexKey, nil, "yuncaidun audit", KeySize)
	if err != nil {
		return nil, fmt.Errorf("deriving the audit key: %w", err)
	}
	return &Sealer{aead: a, indexKey: bytes.Clone(indexKey), auditKey: auditKey}, nil
}

func masterAEAD(master []byte) (tink.AEAD, error) {
	if len(master) != KeySize {
		return nil, fmt.Errorf("master key has %d bytes, want %d", len(master), KeySize)
	}
	return subtle.NewAESGCM(master)
}

func writeKeyset(handle *keyset.Handle, master []byte) ([]byte, error) {
	kek, err := masterAEAD(master)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := handle.WriteWithAssociatedData(keyset.NewBinaryWriter(&b), kek, keysetPurpose); err != nil {
		return nil, fmt.Errorf("encrypting keyset: %w", err)
	}
	return b.Bytes(), nil
}

func readKeyset(encrypted, master []byte) (*keyset.Handle, error) {
	kek, err := masterAEAD(master)
	if err != nil {
		return nil, err
	}
	handle, err := keyset.ReadWithAssociatedData(keyset.NewBinaryReader(bytes.NewReader(encrypted)), kek, keysetPurpose)
	if err != nil {
		return nil, fmt.Errorf("decrypting keyset: %w", err)
	}
	return handle, nil
}

// cell is where a sealed value lives. It is authenticated with the value, so a
// ciphertext moved to another row or column does not open.
type cell struct{ table, column, row string }

func (c cell) bytes() []byte { return []byte(c.table + "\x00" + c.column + "\x00" + c.row) }

func (c cell) String() string { return c.table + "." + c.column + " of " + c.row }

var errNoSealer = errors.New("store was opened without a sealer")

// sealBytes encrypts value for its cell. The key's id is part of the result. Nothing
// seals to nothing, so that empty columns stay NULL.
func (s *Sealer) sealBytes(value []byte, at cell) ([]byte, error) {
	if len(value) == 0 {
		return nil, nil
	}
	if s == nil {
		return nil, errNoSealer
	}
	sealed, err := s.aead.Encrypt(value, at.bytes())
	if err != nil {
		return nil, fmt.Errorf("sealing %s: %w", at, err)
	}
	return sealed, nil
}

func (s *Sealer) openBytes(sealed []byte, at cell) ([]byte, error) {
	if len(sealed) == 0 {
		return nil, nil
	}
	if s == nil {
		return nil, errNoSealer
	}
	value, err := s.aead.Decrypt(sealed, at.bytes())
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", at, err)
	}
	return value, nil
}

func (s *Sealer) sealJSON(value any, at cell) ([]byte, error) {
	b, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", at, err)
	}
	return s.sealBytes(b, at)
}

// openJSON leaves dest alone when nothing was sealed.
func (s *Sealer) openJSON(sealed []byte, dest any, at cell) error {
	b, err := s.openBytes(sealed, at)
	if err != nil || b == nil {
		return err
	}
	if err := json.Unmarshal(b, dest); err != nil {
		return fmt.Errorf("decoding %s: %w", at, err)
	}
	return nil
}

// openTexts opens a sealed JSON object whose values are texts, in a quarter of the time
// that openJSON takes.
func (s *Sealer) openTexts(sealed []byte, at cell) (iter.Seq2[string, string], error) {
	b, err := s.openBytes(sealed, at)
	if err != nil {
		return nil, err
	}
	return func(yield func(name, text string) bool) {
		gjson.ParseBytes(b).ForEach(func(name, text gjson.Result) bool { return yield(name.String(), text.String()) })
	}, nil
}

// indexMobile is the kind of value that can be searched for by equality so far;
// another kind has an index of its own, so that equal texts do not meet.
const indexMobile = "mobile"

// index is the blind index of a value: equal for equal values of one kind,
// meaningless without the key. Nothing has no index.
func (s *Sealer) index(kind, value string) (string, error) {
	if value == "" {
		return "", nil
	}
	if s == nil {
		return "", errNoSealer
	}
	h := hmac.New(sha256.New, s.indexKey)
	h.Write([]byte(kind + "\x00" + value))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)), nil
}
