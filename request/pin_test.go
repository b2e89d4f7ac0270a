package request

import "testing"

// G25: what the issuer seals opens with the asker's key, for that USBKEY, and in no
// other way.
func TestSealedPIN(t *testing.T) {
	mine, err := NewPINKey()
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewPINKey()
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := SealPIN(mine.Public(), "TW00521605010188", "20261123")
	if err != nil {
		t.Fatal(err)
	}
	if pin, err := mine.Open("TW00521605010188", sealed); err != nil || pin != "20261123" {
		t.Errorf("opened %q, %v", pin, err)
	}
	if _, err := mine.Open("TW00521605010189", sealed); err == nil {
		t.Error("opened for another USBKEY")
	}
	if _, err := other.Open("TW00521605010188", sealed); err == nil {
		t.Error("opened with another key")
	}
	sealed[len(sealed)-1] ^= 1
	if _, err := mine.Open("TW00521605010188", sealed); err == nil {
		t.Error("opened although it was changed")
	}
	if _, err := SealPIN([]byte("short"), "TW00521605010188", "1"); err == nil {
		t.Error("sealed to no key")
	}
}
