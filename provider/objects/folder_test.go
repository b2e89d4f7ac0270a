package objects

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/yuncaidun/yuncaidun/order"
)

func openFolder(t *testing.T) (*Store, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "objects")
	f, err := OpenFolder(dir, newSealer(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f, dir
}

// Reliability 22: personal data at rest.
func TestDiskShowsNothing(t *testing.T) {
	f, dir := openFolder(t)
	if err := f.Put(t.Context(), idA, []byte("canary-7f3a")); err != nil {
		t.Fatal(err)
	}
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		if d.IsDir() {
			return nil
		}
		files++
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte("canary")) {
			t.Errorf("%s holds the clear text", path)
		}
		return err
	})
	if err != nil || files != 1 {
		t.Errorf("%d files (no leftovers expected): %v", files, err)
	}
}

// A link planted inside the folder leads nowhere.
func TestLinksOutOfTheFolderAreRefused(t *testing.T) {
	f, dir := openFolder(t)
	outside := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(dir, "AB")); err != nil {
		t.Fatal(err)
	}
	if err := f.Put(t.Context(), idA, []byte("x")); err == nil {
		t.Error("written through a link")
	}
	if entries, _ := os.ReadDir(outside); len(entries) != 0 {
		t.Errorf("outside holds %v", entries)
	}
}

// A job that runs twice at once, as one that was rescued may, stores the same object
// twice: there is always a whole one, and nobody fails.
func TestWritersDoNotDisturbEachOther(t *testing.T) {
	f, _ := openFolder(t)
	content := bytes.Repeat([]byte("letter"), 1<<14)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 20 {
				if err := f.Put(t.Context(), idA, content); err != nil {
					t.Error(err)
					return
				}
				if got, err := f.Get(t.Context(), idA); err != nil || !bytes.Equal(got, content) {
					t.Errorf("read %d of %d bytes, %v", len(got), len(content), err)
					return
				}
			}
		})
	}
	all.Wait()
}

// What a process that died while writing leaves behind is not an object.
func TestHalfWrittenObjectIsNoObject(t *testing.T) {
	f, dir := openFolder(t)
	if err := os.Mkdir(filepath.Join(dir, "AB"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "AB", idA+".part"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Get(t.Context(), idA); !errors.Is(err, order.NotFound) {
		t.Errorf("get: %v", err)
	}
	if err := f.Put(t.Context(), idA, []byte("whole")); err != nil {
		t.Fatal(err)
	}
	if got, err := f.Get(t.Context(), idA); err != nil || string(got) != "whole" {
		t.Errorf("got %q: %v", got, err)
	}
	if err := f.Delete(t.Context(), idA); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "AB")); err != nil || len(left) != 0 {
		t.Errorf("after deleting it, there is %v, %v", left, err)
	}
}
