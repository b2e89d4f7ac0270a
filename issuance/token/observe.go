package token

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/miekg/pkcs11"
)

// Observer hears of each use of a mechanism: it is called before, and what it
// returns after, with what came of it.
type Observer func(mechanism string) (done func(err error))

// driver is a module's functions, watched by an observer.
type driver struct {
	*pkcs11.Ctx
	observer atomic.Pointer[Observer]
}

// Observe has o hear of every use of the module's mechanisms from now on.
func (m *Module) Observe(o Observer) { m.p.observer.Store(&o) }

// watch tells the observer that a mechanism is used.
func (p *driver) watch(mechanism uint) (done func(error)) {
	o := p.observer.Load()
	if o == nil {
		return func(error) {}
	}
	name, ok := mechanismNames[mechanism]
	if !ok {
		name = fmt.Sprintf("0x%08X", mechanism)
	}
	return (*o)(name)
}

var mechanismNames = map[uint]string{
	pkcs11.CKM_EC_KEY_PAIR_GEN:       "CKM_EC_KEY_PAIR_GEN",
	pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN: "CKM_RSA_PKCS_KEY_PAIR_GEN",
	pkcs11.CKM_AES_KEY_GEN:           "CKM_AES_KEY_GEN",
	pkcs11.CKM_ECDSA:                 "CKM_ECDSA",
	pkcs11.CKM_RSA_PKCS:              "CKM_RSA_PKCS",
	pkcs11.CKM_SHA256_RSA_PKCS:       "CKM_SHA256_RSA_PKCS",
	pkcs11.CKM_AES_GCM:               "CKM_AES_GCM",
}

// Code returns the PKCS#11 return value in err's chain as people look it up, e.g.
// "CKR_DEVICE_ERROR" as "0x30"; "" when the failure is none of the module's.
func Code(err error) string {
	var e *Error
	if errors.As(err, &e) && e.CKR != 0 {
		return fmt.Sprintf("0x%X", e.CKR)
	}
	return ""
}
