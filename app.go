package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"

	"github.com/yuncaidun/yuncaidun/config"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store"
	"github.com/yuncaidun/yuncaidun/store/session"
)

// newID makes a ULID: sortable by the product's clock, 80 bits unguessable.
func newID(now func() time.Time) func() string {
	return func() string { return ulid.MustNew(ulid.Timestamp(now()), rand.Reader).String() }
}

// newLog writes structured lines to stderr.
func newLog() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))
}

// openStore opens the database with the keyset that seals personal data, or without
// any for an issuer. A development start makes the keyset; production must find it.
func openStore(ctx context.Context, cfg *config.Config) (*store.DB, error) {
	if !cfg.HandlesPeople() {
		return store.Open(ctx, cfg.DatabaseURL.Reveal(), nil)
	}
	master, err := key(cfg.PII.Key, "YCD_PII_KEY")
	if err != nil {
		return nil, err
	}
	index, err := key(cfg.PII.IndexKey, "YCD_PII_INDEX_KEY")
	if err != nil {
		return nil, err
	}
	keyset, err := piiKeyset(cfg, master)
	if err != nil {
		return nil, err
	}
	sealer, err := store.NewSealer(keyset, master, index)
	if err != nil {
		return nil, err
	}
	return store.Open(ctx, cfg.DatabaseURL.Reveal(), sealer)
}

func key(s config.Secret, name string) ([]byte, error) {
	b, err := base64.StdEncoding.DecodeString(s.Reveal())
	if err != nil || len(b) != store.KeySize {
		return nil, usageError{fmt.Errorf("%s must be %d bytes in base64", name, store.KeySize)}
	}
	return b, nil
}

// piiKeyset reads the encrypted keyset beside the data, or makes it.
func piiKeyset(cfg *config.Config, master []byte) ([]byte, error) {
	path := keysetFile(cfg)
	return readOrMake(path, func() ([]byte, error) {
		if cfg.Production() {
			return nil, usageError{fmt.Errorf("%s is missing: %s", path, noKeyset)}
		}
		return store.NewKeyset(master)
	})
}

// readOrMake reads a file, which is made where it is missing: whoever comes second
// reads the first's.
func readOrMake(path string, content func() ([]byte, error)) ([]byte, error) {
	b, err := os.ReadFile(path) //nolint:gosec // the operator's own data directory
	if !errors.Is(err, fs.ErrNotExist) {
		return b, err
	}
	if b, err = content(); err != nil {
		return nil, err
	}
	if err := writeOnce(path, b); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return os.ReadFile(path) //nolint:gosec // see above
}

// writeOnce creates a private file that must not exist, whole or not at all.
func writeOnce(path string, b []byte) error {
	tmp, err := writeBeside(path, b)
	if err != nil {
		return err
	}
	defer os.Remove(tmp) // after Link it is only a second name
	if err := os.Link(tmp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// writeBeside writes a private file next to path and returns its name.
func writeBeside(path string, b []byte) (string, error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return "", err
	}
	if _, err = tmp.Write(b); err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return "", errors.Join(err, os.Remove(tmp.Name()))
	}
	return tmp.Name(), nil
}

// syncDir makes a new name in a folder survive a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // the operator's own data directory
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// redisPatience is how long one attempt of a command waits, unless the URL says otherwise.
const redisPatience = 2 * time.Second

// openRedis connects to Redis, or starts one inside this process.
func openRedis(ctx context.Context, cfg *config.Config, now func() time.Time) (redis.UniversalClient, func() error, error) {
	if cfg.RedisURL.Empty() {
		e, err := session.NewEmbedded(now)
		if err != nil {
			return nil, nil, err
		}
		return e.Client, e.Close, nil
	}
	opts, err := redis.ParseURL(cfg.RedisURL.Reveal())
	if err != nil {
		return nil, nil, usageError{errors.New("YCD_REDIS_URL cannot be parsed; it looks like redis://:PASSWORD@HOST:6379/0")}
	}
	// A Redis that takes and does not answer: nobody waits longer than he has time, and
	// nobody, with the client's four attempts, as long as ten seconds.
	opts.ContextTimeoutEnabled = true
	opts.DialTimeout, opts.ReadTimeout = cmp.Or(opts.DialTimeout, redisPatience), cmp.Or(opts.ReadTimeout, redisPatience)
	c := redis.NewClient(opts)
	if err := c.Ping(ctx).Err(); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("connecting to Redis: %w", err), c.Close())
	}
	return c, c.Close, nil
}

// catalogueFile is what staff edit in the data directory.
const catalogueFile = "catalogue.json"

// catalogue reads what is on offer: the configured file, else the file in the
// data directory that staff edit, which a development start seeds.
func catalogue(cfg *config.Config) (order.Catalogue, error) {
	path := cfg.Catalogue
	if path == "" {
		path = filepath.Join(cfg.DataDir, catalogueFile)
		if !cfg.Production() {
			if _, err := readOrMake(path, func() ([]byte, error) { return order.SeededCatalogue(), nil }); err != nil {
				return order.Catalogue{}, err
			}
		}
	}
	f, err := os.Open(path) //nolint:gosec // the operator's own file
	if err != nil {
		return order.Catalogue{}, usageError{fmt.Errorf("the catalogue cannot be read (YCD_CATALOGUE): %w", err)}
	}
	defer f.Close()
	c, err := order.ReadCatalogue(f)
	if err != nil {
		return c, usageError{fmt.Errorf("catalogue %s: %w", path, err)}
	}
	return c, nil
}

// calendar reads the working days: the seeded years, replaced year by year by
// files that staff put into the data directory.
func calendar(cfg *config.Config) (*order.Calendar, error) {
	seeded, err := order.EmbeddedWorkdays()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(cfg.DataDir, "workdays")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return order.LoadCalendar(seeded, os.DirFS(dir))
}
