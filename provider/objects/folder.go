// Package objects keeps the images and documents that applicants upload, sealed,
// outside the database. Whoever can read the disk reads nothing: content is
// encrypted with the keyset of personal data and bound to its id, so that
// one object cannot be passed off as another.
package objects

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"

	"github.com/yuncaidun/yuncaidun/order"
)

// Sealer encrypts with associated data; a Tink AEAD is one.
type Sealer interface {
	Encrypt(plaintext, associatedData []byte) ([]byte, error)
	Decrypt(ciphertext, associatedData []byte) ([]byte, error)
}

// Folder stores objects as files below one directory. Several processes may
// share it, and write the same id at once: the last one stays.
type Folder struct {
	root   *os.Root // refuses any name that leads out of the directory
	sealer Sealer
}

// OpenFolder opens dir, creating it if need be.
func OpenFolder(dir string, sealer Sealer) (*Folder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("creating object folder: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("opening object folder: %w", err)
	}
	return &Folder{root: root, sealer: sealer}, nil
}

// Close releases the directory.
func (f *Folder) Close() error { return f.root.Close() }

// Put stores content under id. When it returns nil, the object survives a power
// cut; when it does not, there is no object or the whole one, never half.
func (f *Folder) Put(ctx context.Context, id string, content []byte) error {
	name, err := fileName(id)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	sealed, err := f.sealer.Encrypt(content, associatedData(id))
	if err != nil {
		return fmt.Errorf("sealing object %s: %w", id, err)
	}
	if err := f.write(name, sealed); err != nil {
		return fmt.Errorf("storing object %s: %w", id, err)
	}
	return nil
}

// Get returns the content stored under id, or order.NotFound.
func (f *Folder) Get(ctx context.Context, id string) ([]byte, error) {
	name, err := fileName(id)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	sealed, err := f.root.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, notFound(id)
	}
	if err != nil {
		return nil, fmt.Errorf("reading object %s: %w", id, err)
	}
	content, err := f.sealer.Decrypt(sealed, associatedData(id))
	if err != nil {
		return nil, fmt.Errorf("unsealing object %s: %w", id, err)
	}
	return content, nil
}

// Delete removes the object, with what a killed writer of it may have left; removing
// an absent one is no error.
func (f *Folder) Delete(ctx context.Context, id string) error {
	name, err := fileName(id)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	parts, err := fs.Glob(f.root.FS(), name+".*part")
	if err != nil {
		return fmt.Errorf("deleting object %s: %w", id, err)
	}
	for _, n := range append(parts, name) {
		if err := f.root.Remove(n); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("deleting object %s: %w", id, err)
		}
	}
	return nil
}

// write puts a complete file in place: content to disk, then the name, then the
// directory that holds the name.
func (f *Folder) write(name string, sealed []byte) error {
	dir := path.Dir(name)
	if err := f.root.Mkdir(dir, 0o700); err == nil {
		if err := f.syncDir("."); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return err
	}
	part := name + "." + rand.Text() + ".part" // another writer has another
	if err := f.writeSynced(part, sealed); err != nil {
		return errors.Join(err, f.root.Remove(part))
	}
	if err := f.root.Rename(part, name); err != nil {
		return errors.Join(err, f.root.Remove(part))
	}
	return f.syncDir(dir)
}

func (f *Folder) writeSynced(name string, content []byte) error {
	file, err := f.root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	return errors.Join(err, file.Sync(), file.Close())
}

func (f *Folder) syncDir(name string) error {
	dir, err := f.root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// validID admits ULIDs, hexadecimal and URL-safe base64: nothing that means
// something to a file system.
var validID = regexp.MustCompile(`^[0-9A-Za-z_-]{16,64}$`)

// fileName spreads objects over directories named by the last two characters,
// which are random even where the first ones are a time stamp.
func fileName(id string) (string, error) {
	if !validID.MatchString(id) {
		return "", notFound(id)
	}
	return id[len(id)-2:] + "/" + id, nil
}

func associatedData(id string) []byte { return []byte("object/" + id) }

func notFound(id string) error {
	return &order.Error{Kind: order.NotFound, Code: "object_not_found", Detail: "没有找到该文件", Err: fmt.Errorf("object %q", id)}
}
