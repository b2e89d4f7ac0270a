package objects

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"
	"pgregory.net/rapid"

	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/provider/sim/s3"
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

const (
	idA, nameA = "01JD8ZK3V0Q4M6Y2T9R7W5X1AB", "AB/01JD8ZK3V0Q4M6Y2T9R7W5X1AB"
	idB, nameB = "01JD8ZK3V0Q4M6Y2T9R7W5X1CD", "CD/01JD8ZK3V0Q4M6Y2T9R7W5X1CD"
)

// kept is a store, and what who administers its place sees and may do there.
type kept struct {
	*Store
	names func() []string
	read  func(name string) []byte
	write func(name string, sealed []byte)
}

// stores are all there are: what the tests below ask holds for each.
var stores = map[string]func(*testing.T) kept{
	"folder": func(t *testing.T) kept {
		f, dir := openFolder(t)
		return kept{
			f,
			func() []string {
				files, err := filepath.Glob(filepath.Join(dir, "*", "*"))
				if err != nil {
					t.Fatal(err)
				}
				for i, file := range files {
					if files[i], err = filepath.Rel(dir, file); err != nil {
						t.Fatal(err)
					}
				}
				return files
			},
			func(name string) []byte {
				b, err := os.ReadFile(filepath.Join(dir, name))
				if err != nil {
					t.Fatal(err)
				}
				return b
			},
			func(name string, sealed []byte) {
				if err := os.WriteFile(filepath.Join(dir, name), sealed, 0o600); err != nil {
					t.Fatal(err)
				}
			},
		}
	},
	"s3": func(t *testing.T) kept {
		server, cfg := newServer(t)
		s, err := OpenS3(t.Context(), cfg, newSealer(t))
		if err != nil {
			t.Fatal(err)
		}
		return kept{s, server.Objects, server.Read, server.Write}
	},
}

func each(t *testing.T, test func(*testing.T, kept)) {
	for name, open := range stores {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func newServer(t *testing.T) (*s3.Bucket, S3Config) {
	t.Helper()
	b := &s3.Bucket{Name: "ycd-objects", Region: "cn-north-1", AccessKey: "AKTEST", SecretKey: "secret-of-tests", Now: time.Now}
	return b, S3Config{EndpointURL: listen(t, b), Region: b.Region, Bucket: b.Name, PathStyle: true, AccessKey: b.AccessKey, SecretKey: b.SecretKey}
}

func listen(t *testing.T, h http.Handler) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

func TestObjectIsReadBackUntilDeleted(t *testing.T) {
	each(t, func(t *testing.T, s kept) {
		ctx := t.Context()
		if _, err := s.Get(ctx, idA); !errors.Is(err, order.NotFound) {
			t.Errorf("before there is any: %v", err)
		}
		for _, content := range [][]byte{[]byte("first"), {}, bytes.Repeat([]byte{0xff}, 20<<20)} { // each over the one before
			if err := s.Put(ctx, idA, content); err != nil {
				t.Fatal(err)
			}
			got, err := s.Get(ctx, idA)
			if err != nil || !bytes.Equal(got, content) {
				t.Fatalf("read back %d bytes, want %d: %v", len(got), len(content), err)
			}
		}
		// Moving from one place to the other relies on it.
		if names := s.names(); !slices.Equal(names, []string{nameA}) {
			t.Errorf("it lies at %q", names)
		}
		for range 2 { // the second deletes nothing
			if err := s.Delete(ctx, idA); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Get(ctx, idA); !errors.Is(err, order.NotFound) {
			t.Errorf("after deletion: %v", err)
		}
		if names := s.names(); len(names) != 0 {
			t.Errorf("after deletion there is %q", names)
		}
	})
}

// Reliability 22: personal data at rest.
func TestPlaceShowsNothing(t *testing.T) {
	each(t, func(t *testing.T, s kept) {
		if err := s.Put(t.Context(), idA, []byte("canary-7f3a")); err != nil {
			t.Fatal(err)
		}
		if b := s.read(nameA); len(b) == 0 || bytes.Contains(b, []byte("canary")) {
			t.Errorf("%d bytes, with the clear text among them", len(b))
		}
	})
}

func TestObjectsCannotBeSwapped(t *testing.T) {
	each(t, func(t *testing.T, s kept) {
		for _, id := range []string{idA, idB} {
			if err := s.Put(t.Context(), id, []byte(id)); err != nil {
				t.Fatal(err)
			}
		}
		s.write(nameB, s.read(nameA))
		if got, err := s.Get(t.Context(), idB); err == nil {
			t.Errorf("another object's content was accepted: %q", got)
		}
	})
}

func TestTamperedObjectIsRefused(t *testing.T) {
	each(t, func(t *testing.T, s kept) {
		if err := s.Put(t.Context(), idA, []byte("content")); err != nil {
			t.Fatal(err)
		}
		sealed := s.read(nameA)
		for _, changed := range [][]byte{sealed[:len(sealed)-1], append(slices.Clone(sealed), 0), {}, flipped(sealed)} {
			s.write(nameA, changed)
			if _, err := s.Get(t.Context(), idA); err == nil || errors.Is(err, order.NotFound) {
				t.Errorf("%d of %d bytes: %v", len(changed), len(sealed), err)
			}
		}
	})
}

func flipped(b []byte) []byte {
	c := slices.Clone(b)
	c[len(c)-1] ^= 1
	return c
}

func TestHostileIDsNameNothing(t *testing.T) {
	each(t, func(t *testing.T, s kept) {
		for _, id := range []string{
			"", "..", "../../../../etc/passwd", "../objects/" + idA, "/etc/passwd-0000000", strings.Repeat("a", 65),
			"aaaaaaaaaaaaaaaa/b", `aaaaaaaaaaaaaaaa\b`, "aaaaaaaaaaaaaaaa\x00", "aaaaaaaaaaaaaaa.", "aaaaaaaaaaaaaaaaa\n", "图图图图图图图图图图图图图图图图",
		} {
			if err := s.Put(t.Context(), id, []byte("x")); !errors.Is(err, order.NotFound) {
				t.Errorf("put %q: %v", id, err)
			}
			if _, err := s.Get(t.Context(), id); !errors.Is(err, order.NotFound) {
				t.Errorf("get %q: %v", id, err)
			}
			if err := s.Delete(t.Context(), id); !errors.Is(err, order.NotFound) {
				t.Errorf("delete %q: %v", id, err)
			}
		}
		if names := s.names(); len(names) != 0 {
			t.Errorf("there is %q", names)
		}
	})
}

func TestCancelledCallsDoNothing(t *testing.T) {
	each(t, func(t *testing.T, s kept) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Put(ctx, idA, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("put: %v", err)
		}
		if names := s.names(); len(names) != 0 {
			t.Errorf("there is %q", names)
		}
	})
}

func TestStoreBehavesLikeAMap(t *testing.T) {
	each(t, func(t *testing.T, s kept) {
		ids := []string{idA, idB, "01JD8ZK3V0Q4M6Y2T9R7W5X2AB"}
		model := map[string][]byte{}
		rapid.Check(t, func(t *rapid.T) {
			id := rapid.SampledFrom(ids).Draw(t, "id")
			switch rapid.IntRange(0, 2).Draw(t, "op") {
			case 0:
				content := rapid.SliceOf(rapid.Byte()).Draw(t, "content")
				if err := s.Put(context.Background(), id, content); err != nil {
					t.Fatal(err)
				}
				model[id] = content
			case 1:
				if err := s.Delete(context.Background(), id); err != nil {
					t.Fatal(err)
				}
				delete(model, id)
			}
			got, err := s.Get(context.Background(), id)
			want, ok := model[id]
			if ok && (err != nil || !bytes.Equal(got, want)) || !ok && !errors.Is(err, order.NotFound) {
				t.Fatalf("get %s = %q, %v; want %q, %v", id, got, err, want, ok)
			}
		})
	})
}
