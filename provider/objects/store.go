// Package objects keeps the images and documents that applicants upload, sealed,
// outside the database: in a folder, or in a bucket that speaks S3. Whoever can read
// the disk or the bucket reads nothing: content is encrypted with the keyset of
// personal data and bound to its id, so that one object cannot be passed off as
// another.
package objects

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"

	"github.com/yuncaidun/yuncaidun/order"
)

// Sealer encrypts with associated data; a Tink AEAD is one.
type Sealer interface {
	Encrypt(plaintext, associatedData []byte) ([]byte, error)
	Decrypt(ciphertext, associatedData []byte) ([]byte, error)
}

// Store keeps sealed objects by their ids. It is safe for concurrent use.
type Store struct {
	place  place
	sealer Sealer
}

// place is where a store's sealed bytes lie. Both places give an object the same
// name, so that objects may move from one to the other as they are.
type place interface {
	// write replaces what has that name; it leaves the old bytes or all the new ones.
	write(ctx context.Context, name string, sealed []byte) error
	// read gives fs.ErrNotExist where nothing has that name.
	read(ctx context.Context, name string) ([]byte, error)
	// remove is content where nothing has that name.
	remove(ctx context.Context, name string) error
	close() error
}

// Close releases what the store holds open.
func (s *Store) Close() error { return s.place.close() }

// Put stores content under id. When it returns nil, the object survives a power
// cut; when it does not, there is no object or the whole one, never half.
func (s *Store) Put(ctx context.Context, id string, content []byte) error {
	name, err := nameOf(id)
	if err != nil {
		return err
	}
	sealed, err := s.sealer.Encrypt(content, associatedData(id))
	if err != nil {
		return fmt.Errorf("sealing object %s: %w", id, err)
	}
	if err := s.place.write(ctx, name, sealed); err != nil {
		return fmt.Errorf("storing object %s: %w", id, err)
	}
	return nil
}

// Get returns the content stored under id, or order.NotFound.
func (s *Store) Get(ctx context.Context, id string) ([]byte, error) {
	name, err := nameOf(id)
	if err != nil {
		return nil, err
	}
	sealed, err := s.place.read(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, notFound(id)
	}
	if err != nil {
		return nil, fmt.Errorf("reading object %s: %w", id, err)
	}
	content, err := s.sealer.Decrypt(sealed, associatedData(id))
	if err != nil {
		return nil, fmt.Errorf("unsealing object %s: %w", id, err)
	}
	return content, nil
}

// Delete removes the object; removing an absent one is no error.
func (s *Store) Delete(ctx context.Context, id string) error {
	name, err := nameOf(id)
	if err != nil {
		return err
	}
	if err := s.place.remove(ctx, name); err != nil {
		return fmt.Errorf("deleting object %s: %w", id, err)
	}
	return nil
}

// validID admits ULIDs, hexadecimal and URL-safe base64: nothing that means
// something to a file system.
var validID = regexp.MustCompile(`^[0-9A-Za-z_-]{16,64}$`)

// nameOf spreads objects over directories named by the last two characters,
// which are random even where the first ones are a time stamp.
func nameOf(id string) (string, error) {
	if !validID.MatchString(id) {
		return "", notFound(id)
	}
	return id[len(id)-2:] + "/" + id, nil
}

func associatedData(id string) []byte { return []byte("object/" + id) }

func notFound(id string) error {
	return &order.Error{Kind: order.NotFound, Code: "object_not_found", Detail: "没有找到该文件", Err: fmt.Errorf("object %q", id)}
}
