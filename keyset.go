package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/yuncaidun/yuncaidun/config"
	"github.com/yuncaidun/yuncaidun/store"
)

// keysetFile holds the "pii" keyset, encrypted under the master key. Without it
// no personal data can be read: it belongs into the backup.
func keysetFile(cfg *config.Config) string { return filepath.Join(cfg.DataDir, "pii-keyset.json") }

type keysetInitCmd struct{}

// Run makes the keyset; it never replaces one.
func (keysetInitCmd) Run(c *cli) error {
	cfg, master, err := c.masterKey()
	if err != nil {
		return err
	}
	b, err := store.NewKeyset(master)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return err
	}
	path := keysetFile(cfg)
	if err := writeOnce(path, b); errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already and is kept; to seal with a new key: yuncaidun keyset rotate", path)
	} else if err != nil {
		return err
	}
	_, err = fmt.Fprintf(os.Stdout, "made %s: give every web and jobs process this file, and keep it in the backup\n", path)
	return err
}

type keysetRotateCmd struct{}

// Run adds a key that seals from now on; what older keys sealed still opens.
func (keysetRotateCmd) Run(c *cli) error {
	cfg, master, err := c.masterKey()
	if err != nil {
		return err
	}
	path := keysetFile(cfg)
	old, err := os.ReadFile(path) //nolint:gosec // the operator's own data directory
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is missing; to make the first one: yuncaidun keyset init", path)
	}
	if err != nil {
		return err
	}
	b, err := store.RotateKeyset(old, master)
	if err != nil {
		return err
	}
	if err := replace(path, b); err != nil {
		return err
	}
	_, err = fmt.Fprintf(os.Stdout, "rotated %s: stop every process, give each the new file, start them again\n", path)
	return err
}

// masterKey reads the configuration and, from it, the key of the keyset.
func (c *cli) masterKey() (*config.Config, []byte, error) {
	cfg, err := c.prepared()
	if err != nil {
		return nil, nil, err
	}
	master, err := key(cfg.PII.Key, "YCD_PII_KEY")
	return cfg, master, err
}

// replace puts a private file in the place of another, whole or not at all.
func replace(path string, b []byte) error {
	tmp, err := writeBeside(path, b)
	if err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return syncDir(filepath.Dir(path))
}
