package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/yuncaidun/yuncaidun/config"
	"github.com/yuncaidun/yuncaidun/issuance"
	"github.com/yuncaidun/yuncaidun/issuance/token"
)

// hsm is the CA's tokens: the module that most of them are in, and those that are
// elsewhere.
type hsm struct {
	module  *token.Module
	pin     token.PIN
	tokens  map[string]issuance.Place
	modules []*token.Module // everything loaded
}

// hsmURIs reads the URIs of the configuration: of the HSM, and of each token that
// has its own, completed by the HSM's.
func hsmURIs(cfg *config.Config) (all token.URI, tokens map[string]token.URI, faults config.Faults) {
	fault := func(name string, err error) {
		faults = append(faults, config.Fault{Name: name, Problem: err.Error()})
	}
	all = token.URI{ModulePath: cfg.HSM.Module}
	if cfg.HSM.URI != "" {
		u, err := token.ParseURI(cfg.HSM.URI)
		switch {
		case err != nil:
			fault("YCD_HSM_URI", err)
		case u.ModulePath == "" || u.PINSource == "":
			fault("YCD_HSM_URI", errors.New("needs module-path and pin-source"))
		case u.Name() != "":
			fault("YCD_HSM_URI", errors.New("is for all tokens; name single ones in YCD_HSM_TOKENS"))
		default:
			all = u
		}
	}
	tokens = map[string]token.URI{}
	for _, label := range slices.Sorted(maps.Keys(cfg.HSM.Tokens)) {
		u, err := token.ParseURI(cfg.HSM.Tokens[label])
		switch {
		case !slices.Contains(issuance.Labels(), label):
			fault("YCD_HSM_TOKENS", fmt.Errorf("%s is no token of the CA; these are: %s", label, strings.Join(issuance.Labels(), ", ")))
		case err != nil:
			fault("YCD_HSM_TOKENS", fmt.Errorf("%s: %w", label, err))
		default:
			tokens[label] = u.Or(all).Or(token.URI{Token: label})
		}
	}
	for _, label := range slices.Sorted(maps.Keys(tokens)) {
		faults = append(faults, missingURIFiles("YCD_HSM_TOKENS", label+": ", tokens[label])...)
	}
	if cfg.HSM.URI != "" { // the configuration looks for YCD_HSM_MODULE itself
		faults = append(faults, missingURIFiles("YCD_HSM_URI", "", all)...)
	}
	return all, tokens, faults
}

func missingURIFiles(name, prefix string, u token.URI) (faults config.Faults) {
	for _, path := range []string{u.ModulePath, u.PINSource} {
		if path == "" {
			continue
		}
		if _, err := os.Stat(path); err != nil {
			faults = append(faults, config.Fault{Name: name, Problem: prefix + "no file at " + path})
		}
	}
	return faults
}

// openHSM loads the modules of the CA's tokens; SoftHSM keeps its tokens with the
// data in development.
func openHSM(cfg *config.Config) (_ *hsm, err error) {
	all, tokens, faults := hsmURIs(cfg)
	if len(faults) > 0 {
		return nil, usageError{faults}
	}
	if !cfg.Production() {
		if err := token.ConfigureSoftHSM(cfg.DataDir); err != nil {
			return nil, err
		}
	}
	h := &hsm{pin: token.PIN(cfg.HSM.PIN.Reveal()), tokens: map[string]issuance.Place{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.close())
		}
	}()
	if h.module, err = h.load(all.ModulePath); err != nil {
		return nil, err
	}
	if all.PINSource != "" {
		if h.pin, err = all.PIN(); err != nil {
			return nil, err
		}
	}
	for label, u := range tokens {
		at := issuance.Place{Name: u.Name(), PIN: h.pin}
		if at.HSM, err = h.load(u.ModulePath); err != nil {
			return nil, err
		}
		if u.PINSource != "" {
			if at.PIN, err = u.PIN(); err != nil {
				return nil, err
			}
		}
		h.tokens[label] = at
	}
	return h, nil
}

func (h *hsm) load(path string) (*token.Module, error) {
	m, err := token.Load(path)
	if err == nil {
		h.modules = append(h.modules, m)
	}
	return m, err
}

// observe counts what the modules do.
func (h *hsm) observe(reg prometheus.Registerer) {
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "ycd_hsm_seconds", Help: "Uses of the HSM by mechanism.", Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16),
	}, []string{"mechanism"})
	faults := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "ycd_hsm_errors_total", Help: "Failed uses of the HSM by mechanism and PKCS#11 return value.",
	}, []string{"mechanism", "ckr"})
	reg.MustRegister(seconds, faults)
	for _, m := range h.modules {
		m.Observe(func(mechanism string) func(error) {
			begun := time.Now()
			return func(err error) {
				seconds.WithLabelValues(mechanism).Observe(time.Since(begun).Seconds())
				if err != nil {
					faults.WithLabelValues(mechanism, token.Code(err)).Inc()
				}
			}
		})
	}
}

func (h *hsm) close() error {
	var errs []error
	for _, m := range slices.Backward(h.modules) {
		errs = append(errs, m.Close())
	}
	return errors.Join(errs...)
}
