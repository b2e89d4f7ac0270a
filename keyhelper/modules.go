package main

import (
	"context"
	_ "embed" // the known drivers
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"

	"github.com/yuncaidun/yuncaidun/issuance/token"
)

//go:embed modules.json
var knownModules []byte

// vendor is a maker of USBKEYs and where its driver (a PKCS#11 module) is found.
type vendor struct {
	Vendor  string   `json:"vendor"`
	Linux   []string `json:"linux"`
	Darwin  []string `json:"darwin"`
	Windows []string `json:"windows"`
}

func (v vendor) paths(system string) []string {
	return map[string][]string{"linux": v.Linux, "darwin": v.Darwin, "windows": v.Windows}[system]
}

// driver is a module to try.
type driver struct{ vendor, path string }

// drivers are the known drivers that are installed here; a path given by hand
// replaces them, and then need not be known.
func drivers(byHand []string) ([]driver, error) {
	if len(byHand) > 0 {
		var out []driver
		for _, path := range byHand {
			if _, err := os.Stat(path); err != nil {
				return nil, usageError{fmt.Errorf("找不到驱动文件 %s，请核对 --module 的路径", path)}
			}
			out = append(out, driver{"指定的驱动", path})
		}
		return out, nil
	}
	var vendors []vendor
	if err := json.Unmarshal(knownModules, &vendors); err != nil {
		return nil, fmt.Errorf("reading the list of drivers: %w", err)
	}
	var out []driver
	for _, v := range vendors {
		for _, path := range v.paths(runtime.GOOS) {
			if _, err := os.Stat(path); err == nil {
				out = append(out, driver{v.Vendor, path})
				break
			}
		}
	}
	return out, nil
}

// keyring is the USBKEYs of this PC over all drivers that work.
type keyring struct {
	drivers []driver
	modules map[string]*token.Module // by path
	faults  map[string]error         // drivers that did not load
}

// plugged is a USBKEY and the driver that sees it.
type plugged struct {
	token.Info
	driver driver
	module *token.Module
}

func openKeyring(byHand []string) (*keyring, error) {
	ds, err := drivers(byHand)
	if err != nil {
		return nil, err
	}
	k := &keyring{drivers: ds, modules: map[string]*token.Module{}, faults: map[string]error{}}
	for _, d := range ds {
		if k.modules[d.path], err = token.Load(d.path); err != nil {
			delete(k.modules, d.path)
			k.faults[d.path] = err
		}
	}
	return k, nil
}

// close gives the drivers back.
func (k *keyring) close() error {
	var errs []error
	for _, m := range k.modules {
		errs = append(errs, m.Close())
	}
	return errors.Join(errs...)
}

// plugged lists the USBKEYs that are plugged in. Two drivers may see the same one;
// the first keeps it.
func (k *keyring) plugged() ([]plugged, error) {
	var out []plugged
	var errs []error
	for _, d := range k.drivers {
		m := k.modules[d.path]
		if m == nil {
			continue
		}
		infos, err := m.Tokens()
		errs = append(errs, err)
		for _, i := range infos {
			if i.Initialized && !slices.ContainsFunc(out, func(p plugged) bool { return p.Name == i.Name }) {
				out = append(out, plugged{i, d, m})
			}
		}
	}
	if len(out) > 0 {
		return out, nil
	}
	return nil, errors.Join(errs...)
}

// ours are the plugged USBKEYs that carry a serial number of ours.
func (k *keyring) ours() ([]plugged, error) {
	all, err := k.plugged()
	return slices.DeleteFunc(all, func(p plugged) bool { return !token.ValidSerial(p.Name) }), err
}

// find returns the USBKEY of a serial number, or the only one when it is empty.
func (k *keyring) find(serial string) (plugged, error) {
	ours, err := k.ours()
	if err != nil {
		return plugged{}, err
	}
	if serial == "" {
		switch len(ours) {
		case 0:
			return plugged{}, &token.Error{Kind: token.Missing, Op: "finding a USBKEY"}
		case 1:
			return ours[0], nil
		default:
			return plugged{}, usageError{errors.New("插着多个 UKEY，请用 --token 指明序列号，或只保留一个")}
		}
	}
	for _, p := range ours {
		if p.Name == serial {
			return p, nil
		}
	}
	if len(ours) > 0 {
		return plugged{}, &token.Error{Kind: token.WrongToken, Op: "finding USBKEY " + serial}
	}
	return plugged{}, &token.Error{Kind: token.Missing, Op: "finding USBKEY " + serial}
}

// atToken is a command about one USBKEY.
type atToken struct {
	Token string `help:"UKEY 序列号；只插一个时不用写。" placeholder:"TW…"`
}

// with finds the USBKEY that is plugged in.
func (c atToken) with(global *cli, do func(*keyring, plugged) error) error {
	k, err := openKeyring(global.Module)
	if err != nil {
		return err
	}
	defer k.close()
	p, err := k.find(c.Token)
	if err != nil {
		return err
	}
	return do(k, p)
}

// absent tells that the USBKEY only has to be plugged in.
func absent(err error) bool {
	return errors.Is(err, token.Missing) || errors.Is(err, token.WrongToken)
}

// use lends a USBKEY to fn. What fails because the USBKEY is not there any more, or
// does not answer, says so.
func (p plugged) use(ctx context.Context, fn func(*token.Token) error) error {
	return token.Interruption(p.module.Exclusive(ctx, p.Name, fn), func() bool {
		return p.module.Exclusive(context.WithoutCancel(ctx), p.Name, func(*token.Token) error { return nil }) == nil
	})
}
