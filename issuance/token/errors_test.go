package token

import (
	"errors"
	"strings"
	"testing"

	"github.com/miekg/pkcs11"
)

// Where people hold the USBKEY in their hands, a return value that means "pulled
// out" is told as that, and what to do next; a wrong PIN stays a wrong PIN.
func TestInterruption(t *testing.T) {
	for name, test := range map[string]struct {
		err   error
		there bool
		want  Kind
	}{
		"removed":                     {fail("signing", pkcs11.Error(pkcs11.CKR_DEVICE_REMOVED)), false, Pulled},
		"plugged in again since":      {fail("signing", pkcs11.Error(pkcs11.CKR_SESSION_HANDLE_INVALID)), true, Pulled},
		"SoftHSM's folder is gone":    {fail("signing", pkcs11.Error(pkcs11.CKR_OBJECT_HANDLE_INVALID)), false, Pulled},
		"gone, said in other words":   {fail("signing", pkcs11.Error(pkcs11.CKR_FUNCTION_FAILED)), false, Pulled},
		"gone, an object is missing":  {&Error{Kind: NoObject, Op: "finding a key"}, false, Pulled},
		"gone, an unknown value":      {fail("signing", pkcs11.Error(pkcs11.CKR_VENDOR_DEFINED)), false, Pulled},
		"there, and does not answer":  {fail("signing", pkcs11.Error(pkcs11.CKR_DEVICE_ERROR)), true, Unreachable},
		"there, an object is missing": {&Error{Kind: NoObject, Op: "finding a key"}, true, NoObject},
		"a wrong PIN":                 {fail("logging in", pkcs11.Error(pkcs11.CKR_PIN_INCORRECT)), false, PINIncorrect},
		"a full one":                  {fail("writing", pkcs11.Error(pkcs11.CKR_DEVICE_MEMORY)), true, Full},
	} {
		got := Interruption(test.err, func() bool { return test.there })
		if !errors.Is(got, test.want) {
			t.Errorf("%s: %v", name, got)
		}
		if said, _ := Detail(got); test.want == Pulled && (!strings.Contains(said, "拔出") || !strings.Contains(said, "重新开始")) {
			t.Errorf("%s: %s", name, said)
		}
	}
	if other := errors.New("no token error"); !errors.Is(Interruption(other, func() bool { return false }), other) {
		t.Error("another error became one of the USBKEY")
	}
	for ckr, kind := range interruptions {
		if details[kind] == "" {
			t.Errorf("%v has no sentence", pkcs11.Error(ckr))
		}
	}
}
