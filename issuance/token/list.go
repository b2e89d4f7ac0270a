package token

import (
	"crypto/x509"
	"slices"

	"github.com/miekg/pkcs11"
)

// Info is what a token says of itself to anybody.
type Info struct {
	// Name is by what it is found: its TW serial number if it has one, else its label.
	Name          string
	Label, Serial string
	Model         string
	MinPIN        int
	MaxPIN        int // 0: the token does not say
	Initialized   bool
	UserPINLocked bool
	UserPINLow    bool // a wrong PIN was tried
	UserPINLast   bool // one more locks it
	SOPINLocked   bool
}

// Tokens lists the tokens that are plugged in.
func (m *Module) Tokens() ([]Info, error) {
	if err := m.use.Lock(); err != nil {
		return nil, err
	}
	defer m.use.Unlock()
	if err := m.scan(); err != nil {
		return nil, err
	}
	ids, err := m.p.GetSlotList(true)
	if err != nil {
		return nil, fail("listing slots", err)
	}
	var out []Info
	for _, id := range ids {
		if ti, err := m.p.GetTokenInfo(id); err == nil {
			out = append(out, infoOf(ti))
		}
	}
	return out, nil
}

func infoOf(ti pkcs11.TokenInfo) Info {
	has := func(flag uint) bool { return ti.Flags&flag != 0 }
	i := Info{
		Label: trim(ti.Label), Serial: trim(ti.SerialNumber), Model: trim(ti.Model),
		MinPIN: int(ti.MinPinLen), MaxPIN: int(ti.MaxPinLen),
		Initialized:   has(pkcs11.CKF_TOKEN_INITIALIZED),
		UserPINLocked: has(pkcs11.CKF_USER_PIN_LOCKED), UserPINLow: has(pkcs11.CKF_USER_PIN_COUNT_LOW) || has(pkcs11.CKF_USER_PIN_FINAL_TRY),
		UserPINLast: has(pkcs11.CKF_USER_PIN_FINAL_TRY),
		SOPINLocked: has(pkcs11.CKF_SO_PIN_LOCKED),
	}
	i.Name = i.Label
	if ValidSerial(i.Serial) {
		i.Name = i.Serial
	}
	return i
}

// PINLength is how many digits a subscriber's PIN may have on the token: what F79 and
// the token both allow.
func (i Info) PINLength() (least, most int) {
	least, most = max(minUserPIN, i.MinPIN), maxUserPIN
	if i.MaxPIN > 0 {
		most = min(most, i.MaxPIN)
	}
	return least, most
}

// Certificates returns the certificates on the token, the latest to end first;
// they can be read without a PIN.
func (t *Token) Certificates() ([]*x509.Certificate, error) {
	handles, err := find(t.p, t.sh, attr(pkcs11.CKA_CLASS, pkcs11.CKO_CERTIFICATE))
	if err != nil {
		return nil, err
	}
	var out []*x509.Certificate
	for _, h := range handles {
		der, err := t.value(h, "reading certificate")
		if err != nil {
			return nil, err
		}
		if cert, err := x509.ParseCertificate(der); err == nil { // other programs put here what they like
			out = append(out, cert)
		}
	}
	slices.SortFunc(out, func(a, b *x509.Certificate) int { return b.NotAfter.Compare(a.NotAfter) })
	return out, nil
}
