package objects

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"
	"pgregory.net/rapid"

	"github.com/yuncaidun/yuncaidun/order"
)

var _ Sealer = tink.AEAD(nil)

func newSealer(t *testing.T) Sealer {
	t.Helper()
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		t.Fatal(err)
	}
	s, err := aead.New(handle)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func openFolder(t *testing.T) (*Folder, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "objects")
	f, err := OpenFolder(dir, newSealer(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f, dir
}

const (
	idA = "01JD8ZK3V0Q4M6Y2T9R7W5X1AB"
	idB = "01JD8ZK3V0Q4M6Y2T9R7W5X1CD"
)

func TestObjectIsReadBackUntilDeleted(t *testing.T) {
	f, _ := openFolder(t)
	ctx := t.Context()
	for _, content := range [][]byte{[]byte("first"), {}, bytes.Repeat([]byte{0xff}, 8<<20)} {
		if err := f.Put(ctx, idA, content); err != nil {
			t.Fatal(err)
		}
		got, err := f.Get(ctx, idA)
		if err != nil || !bytes.Equal(got, content) {
			t.Fatalf("read back %d bytes, want %d: %v", len(got), len(content), err)
		}
	}
	for range 2 { // the second deletes nothing
		if err := f.Delete(ctx, idA); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.Get(ctx, idA); !errors.Is(err, order.NotFound) {
		t.Errorf("after deletion: %v", err)
	}
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

func TestObjectsCannotBeSwapped(t *testing.T) {
	f, dir := openFolder(t)
	ctx := t.Context()
	for _, id := range []string{idA, idB} {
		if err := f.Put(ctx, id, []byte(id)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(filepath.Join(dir, "AB", idA), filepath.Join(dir, "CD", idB)); err != nil {
		t.Fatal(err)
	}
	if got, err := f.Get(ctx, idB); err == nil {
		t.Errorf("another object's content was accepted: %q", got)
	}
}

func TestTamperedObjectIsRefused(t *testing.T) {
	f, dir := openFolder(t)
	if err := f.Put(t.Context(), idA, []byte("content")); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "AB", idA)
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-1] ^= 1
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Get(t.Context(), idA); err == nil {
		t.Error("accepted")
	}
}

func TestHostileIDsNameNoFile(t *testing.T) {
	f, dir := openFolder(t)
	for _, id := range []string{
		"", "..", "../../../../etc/passwd", "../objects/" + idA, "/etc/passwd-0000000", strings.Repeat("a", 65),
		"aaaaaaaaaaaaaaaa/b", `aaaaaaaaaaaaaaaa\b`, "aaaaaaaaaaaaaaaa\x00", "aaaaaaaaaaaaaaa.", "aaaaaaaaaaaaaaaaa\n", "图图图图图图图图图图图图图图图图",
	} {
		if err := f.Put(t.Context(), id, []byte("x")); !errors.Is(err, order.NotFound) {
			t.Errorf("put %q: %v", id, err)
		}
		if _, err := f.Get(t.Context(), id); !errors.Is(err, order.NotFound) {
			t.Errorf("get %q: %v", id, err)
		}
		if err := f.Delete(t.Context(), id); !errors.Is(err, order.NotFound) {
			t.Errorf("delete %q: %v", id, err)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("folder holds %v: %v", entries, err)
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

func TestCancelledCallsDoNothing(t *testing.T) {
	f, dir := openFolder(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Put(ctx, idA, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("put: %v", err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("folder holds %v", entries)
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

func TestFolderBehavesLikeAMap(t *testing.T) {
	f, _ := openFolder(t)
	ids := []string{idA, idB, "01JD8ZK3V0Q4M6Y2T9R7W5X2AB"}
	model := map[string][]byte{}
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.SampledFrom(ids).Draw(t, "id")
		switch rapid.IntRange(0, 2).Draw(t, "op") {
		case 0:
			content := rapid.SliceOf(rapid.Byte()).Draw(t, "content")
			if err := f.Put(context.Background(), id, content); err != nil {
				t.Fatal(err)
			}
			model[id] = content
		case 1:
			if err := f.Delete(context.Background(), id); err != nil {
				t.Fatal(err)
			}
			delete(model, id)
		}
		got, err := f.Get(context.Background(), id)
		want, ok := model[id]
		if ok && (err != nil || !bytes.Equal(got, want)) || !ok && !errors.Is(err, order.NotFound) {
			t.Fatalf("get %s = %q, %v; want %q, %v", id, got, err, want, ok)
		}
	})
}
