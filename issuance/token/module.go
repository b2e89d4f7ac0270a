package token

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/miekg/pkcs11"
)

// loaded holds the modules of this process by path. PKCS#11 allows one
// initialised instance of a module per process, so this state is the process's
// own whether we name it or not.
var loaded = struct {
	sync.Mutex
	modules map[string]*Module
}{modules: map[string]*Module{}}

// Module is a PKCS#11 library, loaded and initialised once per process.
type Module struct {
	path    string
	softHSM string // the token folder, when the module is SoftHSM
	refs    int    // guarded by loaded.Mutex

	// use is shared by whoever talks to a token, and held alone by what changes
	// the slot list: scanning it, initialising a token, re-initialising the module.
	// (SoftHSM guards its slot list with no lock.)
	use        *gate
	p          *driver
	generation uint64 // counts initialisations; sessions of an older one are dead

	slots   map[string][]uint // by each of a token's names
	slotsMu sync.Mutex

	owners   map[string]*owner
	ownersMu sync.Mutex
}

// owner is the right to use one subscriber token; the channel holds it while it
// is free.
type owner struct {
	free chan struct{}
	refs int
}

// Load loads and initialises the module at path; loading it again returns the
// same Module. Each Load needs one Close.
func Load(path string) (*Module, error) {
	loaded.Lock()
	defer loaded.Unlock()
	if m := loaded.modules[path]; m != nil {
		m.refs++
		return m, nil
	}
	p := pkcs11.New(path)
	if p == nil {
		return nil, fmt.Errorf("loading PKCS#11 module %s: not a loadable module", path)
	}
	m := &Module{path: path, softHSM: softHSMTokens(path), refs: 1, use: newGate(), p: &driver{Ctx: p}, generation: 1, owners: map[string]*owner{}}
	if err := m.restore(); err != nil {
		return nil, err
	}
	if err := p.Initialize(); err != nil && !is(err, pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED) {
		return nil, fail("initialising module", err)
	}
	loaded.modules[path] = m
	return m, nil
}

// closePatience is how long the end of a process waits for calls that hang.
const closePatience = 5 * time.Second

// Close gives the module up; the last Close finalises it. The library stays
// mapped: unloading one that started threads is not safe.
func (m *Module) Close() error {
	loaded.Lock()
	defer loaded.Unlock()
	if loaded.modules[m.path] != m {
		return nil // closed already
	}
	if m.refs--; m.refs > 0 {
		return nil
	}
	delete(loaded.modules, m.path)
	if err := m.use.LockWithin(closePatience); err != nil {
		return err // whoever hangs in it keeps it
	}
	defer m.use.Unlock()
	m.generation++
	return m.finalize()
}

// Present reports whether a token of that label or serial number is there.
func (m *Module) Present(name string) (bool, error) {
	_, err := m.slot(name)
	if errors.Is(err, Missing) {
		return false, nil
	}
	return err == nil, err
}

// slot finds the token called name; the slot list is read again only when the
// name is unknown.
func (m *Module) slot(name string) (uint, error) {
	found := m.known(name)
	if len(found) == 0 {
		if err := m.use.Lock(); err != nil {
			return 0, err
		}
		defer m.use.Unlock()
		if err := m.scan(); err != nil {
			return 0, err
		}
		found = m.known(name)
	}
	switch len(found) {
	case 0:
		return 0, &Error{Kind: Missing, Op: "finding token " + name}
	case 1:
		return found[0], nil
	default:
		return 0, &Error{Kind: Ambiguous, Op: "finding token " + name}
	}
}

func (m *Module) known(name string) []uint {
	m.slotsMu.Lock()
	defer m.slotsMu.Unlock()
	return m.slots[name]
}

// scan reads the slot list. The caller holds use alone.
func (m *Module) scan() error {
	ids, err := m.p.GetSlotList(true)
	if err != nil {
		return fail("listing slots", err)
	}
	slots := map[string][]uint{}
	for _, id := range ids {
		info, err := m.p.GetTokenInfo(id)
		if err != nil || info.Flags&pkcs11.CKF_TOKEN_INITIALIZED == 0 {
			continue // a broken or blank token has no name yet
		}
		for _, name := range names(info) {
			slots[name] = append(slots[name], id)
		}
	}
	m.slotsMu.Lock()
	defer m.slotsMu.Unlock()
	m.slots = slots
	return nil
}

// names are what a token answers to: its label, its serial number, and both.
func names(info pkcs11.TokenInfo) []string {
	label, serial := trim(info.Label), trim(info.SerialNumber)
	if label == serial {
		return []string{label, bothNames(label, serial)}
	}
	return []string{label, serial, bothNames(label, serial)}
}

func bothNames(label, serial string) string { return label + " (serial " + serial + ")" }

// trim removes the padding of a fixed-length PKCS#11 string.
func trim(s string) string { return strings.TrimRight(s, " \x00") }

// forget makes the next slot(name) read the slot list again.
func (m *Module) forget(name string) {
	m.slotsMu.Lock()
	defer m.slotsMu.Unlock()
	delete(m.slots, name)
}

// reinitialize finalises and initialises the module, which kills every session of
// it, unless somebody already did since generation seen.
func (m *Module) reinitialize(seen uint64) error {
	if err := m.use.Lock(); err != nil {
		return err
	}
	defer m.use.Unlock()
	if m.generation != seen {
		return nil
	}
	if err := m.finalize(); err != nil {
		return err
	}
	m.generation++
	m.slotsMu.Lock()
	m.slots = nil
	m.slotsMu.Unlock()
	return errors.Join(m.restore(), fail("re-initialising module", m.p.Initialize()))
}

// finalize is content with a module that is not initialised.
func (m *Module) finalize() error {
	if err := m.p.Finalize(); !is(err, pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED) {
		return fail("finalising module", err)
	}
	return nil
}

// own waits for the exclusive right to use the named token; the answer gives it back.
func (m *Module) own(ctx context.Context, name string) (release func(), err error) {
	m.ownersMu.Lock()
	o := m.owners[name]
	if o == nil {
		o = &owner{free: make(chan struct{}, 1)}
		o.free <- struct{}{}
		m.owners[name] = o
	}
	o.refs++
	m.ownersMu.Unlock()

	leave := func() {
		m.ownersMu.Lock()
		defer m.ownersMu.Unlock()
		if o.refs--; o.refs == 0 {
			delete(m.owners, name)
		}
	}
	select {
	case <-o.free:
		return func() { o.free <- struct{}{}; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, fmt.Errorf("waiting for token %s: %w", name, ctx.Err())
	}
}

// Ensure makes a token called label exist with that user PIN: it initialises a
// blank one when there is none, and sets the user PIN if none is set. Running it
// again after a crash completes what is missing.
func (m *Module) Ensure(ctx context.Context, label string, soPIN, userPIN PIN) error {
	release, err := m.own(ctx, label)
	if err != nil {
		return err
	}
	defer release()
	err = m.ensure(ctx, label, soPIN, userPIN)
	if !errors.Is(err, PINIncorrect) {
		return err
	}
	if discarded, failed := m.discard(label); failed != nil || !discarded {
		return errors.Join(err, failed)
	}
	return m.ensure(ctx, label, soPIN, userPIN)
}

func (m *Module) ensure(ctx context.Context, label string, soPIN, userPIN PIN) error {
	present, err := m.Present(label)
	if err != nil {
		return err
	}
	if !present {
		if err := m.initBlank(label, soPIN); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return m.withToken(label, func(t *Token) error {
		if t.info.Flags&pkcs11.CKF_USER_PIN_INITIALIZED != 0 {
			return m.preserve(trim(t.info.SerialNumber))
		}
		return t.SetUserPIN(soPIN, userPIN)
	})
}

// Blanks returns the serial numbers of the plugged tokens that are not initialised
// and have a TW serial number of their own. SoftHSM's have none.
func (m *Module) Blanks() ([]string, error) {
	if m.softHSM != "" {
		return nil, nil
	}
	if err := m.use.Lock(); err != nil {
		return nil, err
	}
	defer m.use.Unlock()
	ids, err := m.p.GetSlotList(true)
	if err != nil {
		return nil, fail("listing slots", err)
	}
	var out []string
	for _, id := range ids {
		info, err := m.p.GetTokenInfo(id)
		if serial := trim(info.SerialNumber); err == nil && info.Flags&pkcs11.CKF_TOKEN_INITIALIZED == 0 && ValidSerial(serial) {
			out = append(out, serial)
		}
	}
	return out, nil
}

// initBlank initialises an uninitialised token under label. A hardware blank
// that carries label as its serial number is preferred; one that carries another
// TW serial number is somebody else's.
func (m *Module) initBlank(label string, soPIN PIN) error {
	if err := m.use.Lock(); err != nil {
		return err
	}
	defer m.use.Unlock()
	ids, err := m.p.GetSlotList(true)
	if err != nil {
		return fail("listing slots", err)
	}
	blank, found := uint(0), false
	var info pkcs11.TokenInfo
	for _, id := range ids {
		ti, err := m.p.GetTokenInfo(id)
		if err != nil || ti.Flags&pkcs11.CKF_TOKEN_INITIALIZED != 0 {
			continue
		}
		serial := trim(ti.SerialNumber)
		if serial == label {
			blank, info, found = id, ti, true
			break
		}
		if !found && !ValidSerial(serial) {
			blank, info, found = id, ti, true
		}
	}
	if !found {
		return &Error{Kind: NoBlank, Op: "initialising token " + label}
	}
	if err := checkLength(soPIN, info); err != nil {
		return err
	}
	if err := m.p.InitToken(blank, soPIN.Reveal(), label); err != nil {
		return fail("initialising token "+label, err)
	}
	return m.scan() // the slot id may have changed
}
