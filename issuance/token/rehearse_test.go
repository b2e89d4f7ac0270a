package token

import (
	"crypto/x509"
	"errors"
	"testing"

	"github.com/miekg/pkcs11"
)

// What is on the token without working is found: another key pair under the
// certificate's id, or none; and nothing without a login.
func TestRehearseFinds(t *testing.T) {
	m := load(t)
	for name, tt := range map[string]struct {
		pin    PIN
		change func(tk *Token, id []byte) error
		want   error
	}{
		"as it was": {"87654321", func(*Token, []byte) error { return nil }, nil},
		"no login":  {"", func(*Token, []byte) error { return nil }, NoObject},
		"no key":    {"87654321", (*Token).loseKey, NoObject},
		"another's key": {"87654321", func(tk *Token, id []byte) error {
			err := tk.loseKey(id)
			if err == nil {
				_, err = tk.EnsureKey(id, P256)
			}
			return err
		}, Mismatch},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSubscriber(t, m)
			cert, err := x509.ParseCertificate(s.certificate)
			if err != nil {
				t.Fatal(err)
			}
			err = m.Exclusive(t.Context(), s.serial, func(tk *Token) error {
				if tt.pin != "" {
					if err := tk.Login(tt.pin); err != nil {
						return err
					}
				}
				id, err := tk.containerOf(s.certificate)
				if err != nil {
					return err
				}
				if err := tt.change(tk, id); err != nil {
					return err
				}
				_, err = tk.Rehearse(cert)
				return err
			})
			if !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
}

// loseKey destroys the key pair of an id.
func (t *Token) loseKey(id []byte) error {
	return errors.Join(
		destroy(t.p, t.sh, attr(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY), attr(pkcs11.CKA_ID, id)),
		destroy(t.p, t.sh, attr(pkcs11.CKA_CLASS, pkcs11.CKO_PUBLIC_KEY), attr(pkcs11.CKA_ID, id)),
	)
}
