package token

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/miekg/pkcs11"
)

// ConfigureSoftHSM writes dir/softhsm2.conf (tokens in dir/tokens) and points
// SOFTHSM2_CONF at it. Call it before [Load]: SoftHSM reads the variable when it
// is initialised.
func ConfigureSoftHSM(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("configuring SoftHSM: %w", err)
	}
	tokens := filepath.Join(dir, "tokens")
	if err := os.MkdirAll(tokens, 0o700); err != nil {
		return fmt.Errorf("configuring SoftHSM: %w", err)
	}
	conf := filepath.Join(dir, "softhsm2.conf")
	text := fmt.Sprintf("directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n", tokens)
	if old, err := os.ReadFile(conf); err != nil || string(old) != text { //nolint:gosec // a file of the data folder
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			return fmt.Errorf("configuring SoftHSM: %w", err)
		}
	}
	return os.Setenv("SOFTHSM2_CONF", conf)
}

// SoftHSM rewrites a token's main file at each login: it truncates it and then
// writes it. A process killed in between leaves the file empty and the token, with
// its keys, lost. So a copy is kept of the file as it is when its PINs are set (what
// changes in it later are counters), and put back where the file is found empty.
const (
	softHSMFile = "token.object"
	softHSMCopy = "token.saved"
)

// softHSMTokens returns the folder in which the module keeps its tokens, or ""
// when it is not SoftHSM.
func softHSMTokens(module string) string {
	if !strings.HasPrefix(filepath.Base(module), "libsofthsm2") {
		return ""
	}
	conf, err := os.ReadFile(os.Getenv("SOFTHSM2_CONF")) //nolint:gosec // SoftHSM's own variable
	if err != nil {
		return "" // SoftHSM has defaults of its own
	}
	for line := range strings.Lines(string(conf)) {
		if name, value, ok := strings.Cut(line, "="); ok && strings.TrimSpace(name) == "directories.tokendir" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// preserve keeps a copy of the main file of the token with that (SoftHSM's) serial number.
func (m *Module) preserve(serial string) error {
	if m.softHSM == "" {
		return nil
	}
	dir, err := m.folder(serial)
	if err != nil {
		return err
	}
	return copyWhole(filepath.Join(dir, softHSMFile), filepath.Join(dir, softHSMCopy))
}

// folder finds the folder of the token with that (SoftHSM's) serial number, which
// is the end of the folder's name.
func (m *Module) folder(serial string) (string, error) {
	if len(serial) != 16 {
		return "", fmt.Errorf("SoftHSM token %s: unexpected serial number", serial)
	}
	dirs, err := filepath.Glob(filepath.Join(m.softHSM, "*-"+serial[:4]+"-"+serial[4:]))
	if err != nil || len(dirs) != 1 {
		return "", errors.Join(err, fmt.Errorf("SoftHSM token %s: %d folders", serial, len(dirs)))
	}
	return dirs[0], nil
}

// discard removes a SoftHSM token whose initialisation was cut short before it had
// its SO PIN, so that another can be made in its place. A token that ever had a
// user PIN (its copy tells) is never removed.
func (m *Module) discard(label string) (bool, error) {
	if m.softHSM == "" {
		return false, nil
	}
	var dir string
	err := m.withToken(label, func(t *Token) (err error) {
		if t.info.Flags&pkcs11.CKF_USER_PIN_INITIALIZED == 0 {
			dir, err = m.folder(trim(t.info.SerialNumber))
		}
		return err
	})
	if err != nil || dir == "" {
		return false, err
	}
	if _, err := os.Stat(filepath.Join(dir, softHSMCopy)); !errors.Is(err, os.ErrNotExist) {
		return false, err
	}
	if err := os.RemoveAll(dir); err != nil {
		return false, fmt.Errorf("discarding half a SoftHSM token: %w", err)
	}
	m.use.RLock()
	generation := m.generation
	m.use.RUnlock()
	return true, m.reinitialize(generation)
}

// restore puts the copies back where the files are empty. It must run before the
// module is initialised.
func (m *Module) restore() error {
	if m.softHSM == "" {
		return nil
	}
	files, err := filepath.Glob(filepath.Join(m.softHSM, "*", softHSMFile))
	if err != nil {
		return fmt.Errorf("restoring SoftHSM tokens: %w", err)
	}
	for _, file := range files {
		saved := filepath.Join(filepath.Dir(file), softHSMCopy)
		if info, err := os.Stat(file); err != nil || info.Size() > 0 {
			continue
		}
		if err := copyWhole(saved, file); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// copyWhole replaces the file to by a copy of from, unless that is empty.
func copyWhole(from, to string) error {
	data, err := os.ReadFile(from) //nolint:gosec // a file of SoftHSM's token folder
	if err != nil || len(data) == 0 {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(to), ".copy-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return os.Rename(f.Name(), to)
}
