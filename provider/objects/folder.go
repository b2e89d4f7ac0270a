package objects

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
)

// folder keeps objects as files below one directory. Several processes may
// share it, and write the same id at once: the last one stays.
type folder struct {
	root *os.Root // refuses any name that leads out of the directory
}

// OpenFolder opens the store in dir, creating it if need be.
func OpenFolder(dir string, sealer Sealer) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("creating object folder: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("opening object folder: %w", err)
	}
	return &Store{&folder{root}, sealer}, nil
}

func (f *folder) close() error { return f.root.Close() }

func (f *folder) read(ctx context.Context, name string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return f.root.ReadFile(name)
}

// remove takes along what a killed writer of it may have left.
func (f *folder) remove(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	parts, err := fs.Glob(f.root.FS(), name+".*part")
	if err != nil {
		return err
	}
	for _, n := range append(parts, name) {
		if err := f.root.Remove(n); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// write puts a complete file in place: content to disk, then the name, then the
// directory that holds the name.
func (f *folder) write(ctx context.Context, name string, sealed []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
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

func (f *folder) writeSynced(name string, content []byte) error {
	file, err := f.root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	return errors.Join(err, file.Sync(), file.Close())
}

func (f *folder) syncDir(name string) error {
	dir, err := f.root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
