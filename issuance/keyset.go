package issuance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/yuncaidun/yuncaidun/issuance/token"
)

// keysetContext binds the wrapped keyset to its purpose.
const keysetContext = "yuncaidun token keyset"

func keysetFile(dir string) string { return filepath.Join(dir, "token-keyset.json") }

// ensureKeyset makes the keyset that seals SO PINs, initial PINs and secrets of
// USBKEYs. It is stored wrapped by an AES key that never leaves the HSM.
func ensureKeyset(ctx context.Context, dir string, pool *token.Pool) error {
	switch _, err := os.Stat(keysetFile(dir)); {
	case err == nil:
		_, err = openKeyset(ctx, dir, pool)
		return err
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("making token keyset: %w", err)
	}
	wrap, err := pool.EnsureAEAD(ctx, wrappingKey)
	if err != nil {
		return fmt.Errorf("making token keyset: %w", err)
	}
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return fmt.Errorf("making token keyset: %w", err)
	}
	var text bytes.Buffer
	if err := handle.WriteWithAssociatedData(keyset.NewJSONWriter(&text), wrap, []byte(keysetContext)); err != nil {
		return fmt.Errorf("wrapping token keyset: %w", err)
	}
	return writeFile(keysetFile(dir), text.Bytes(), 0o600)
}

func openKeyset(ctx context.Context, dir string, pool *token.Pool) (tink.AEAD, error) {
	wrap, err := pool.AEAD(ctx, wrappingKey)
	if err != nil {
		return nil, fmt.Errorf("opening token keyset: %w", err)
	}
	text, err := os.ReadFile(keysetFile(dir))
	if err != nil {
		return nil, fmt.Errorf("reading token keyset: %w", err)
	}
	handle, err := keyset.ReadWithAssociatedData(keyset.NewJSONReader(bytes.NewReader(text)), wrap, []byte(keysetContext))
	if err != nil {
		return nil, fmt.Errorf("unwrapping token keyset: %w", err)
	}
	return aead.New(handle)
}

// The secrets of a USBKEY, by the name that binds each sealed value to its place.
const (
	sealedSOPIN   = "so_pin"
	sealedUserPIN = "user_pin"
	sealedSecret  = "secret"
)

// tokenSecrets is a TokenRecord opened.
type tokenSecrets struct {
	soPIN, userPIN token.PIN
	secret         []byte
}

func sealContext(serial, field string) []byte { return []byte(serial + "/" + field) }

func sealToken(keys tink.AEAD, rec *TokenRecord, s tokenSecrets) error {
	var errs []error
	seal := func(field string, plain []byte) []byte {
		sealed, err := keys.Encrypt(plain, sealContext(rec.Serial, field))
		errs = append(errs, err)
		return sealed
	}
	rec.SealedSOPIN = seal(sealedSOPIN, []byte(s.soPIN))
	rec.SealedUserPIN = seal(sealedUserPIN, []byte(s.userPIN))
	rec.SealedSecret = seal(sealedSecret, s.secret)
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("sealing secrets of token %s: %w", rec.Serial, err)
	}
	return nil
}

func openToken(keys tink.AEAD, rec TokenRecord) (tokenSecrets, error) {
	var errs []error
	open := func(field string, sealed []byte) []byte {
		plain, err := keys.Decrypt(sealed, sealContext(rec.Serial, field))
		errs = append(errs, err)
		return plain
	}
	s := tokenSecrets{
		soPIN:   token.PIN(open(sealedSOPIN, rec.SealedSOPIN)),
		userPIN: token.PIN(open(sealedUserPIN, rec.SealedUserPIN)),
		secret:  open(sealedSecret, rec.SealedSecret),
	}
	if err := errors.Join(errs...); err != nil {
		return tokenSecrets{}, fmt.Errorf("opening secrets of token %s: %w", rec.Serial, err)
	}
	return s, nil
}
