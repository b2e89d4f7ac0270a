package issuance

import (
	"errors"
	"testing"
)

// F119: a USBKEY is called as the stock says, and numbered when there is no stock.
func TestStockNamesTheKey(t *testing.T) {
	f := newFixture(t)
	p := f.mustPipeline(t)
	f.ledger.stock = "TW00521605010188"
	is, err := p.Make(t.Context(), request("s1-1", "s1", CompanyP256))
	if err != nil {
		t.Fatal(err)
	}
	if is.TokenSerial != "TW00521605010188" {
		t.Errorf("made %s", is.TokenSerial)
	}
	checkDone(t, f, p, is)
	f.ledger.stock = ""
	if is, err = p.Make(t.Context(), request("s2-1", "s2", CompanyP256)); err != nil || is.TokenSerial != "TW00000000000001" {
		t.Errorf("made %s, %v", is.TokenSerial, err)
	}
}

// G25: the initial PIN that is told is the one that opens the key, and only one
// request is told.
func TestTellPIN(t *testing.T) {
	f := newFixture(t)
	p := f.mustPipeline(t)
	is, err := p.Make(t.Context(), request("t1-1", "t1", CompanyP256))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		pin, err := p.TellPIN(t.Context(), is.TokenSerial, "r1")
		if err != nil {
			t.Fatal(err)
		}
		if want, err := p.InitialPIN(t.Context(), is.TokenSerial); err != nil || pin != want {
			t.Errorf("another PIN, %v", err)
		}
	}
	if _, err := p.TellPIN(t.Context(), is.TokenSerial, "r2"); !errors.Is(err, ErrPINTold) {
		t.Errorf("told again: %v", err)
	}
	if _, err := p.TellPIN(t.Context(), "TW00000000009999", "r3"); !errors.Is(err, ErrUnknownToken) {
		t.Errorf("told of no key: %v", err)
	}
}
