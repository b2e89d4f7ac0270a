package order

import (
	"slices"
	"testing"
)

// Every row that completes an order which may have been paid has WeChat told, and so do a
// corrected number and the courier's word; no other row does.
func TestRowsThatTellWeChat(t *testing.T) {
	for _, tr := range lifecycle {
		got := slices.ContainsFunc(tr.Then, func(f followUp) bool { return f.fulfils })
		ends := tr.To == completed && !slices.Contains(tr.From, completed) && !slices.Contains(tr.From, None) && tr.Refuse == nil && !tr.Later
		if want := ends || tr.On == CorrectTracking || tr.On == CourierMoved; got != want {
			t.Errorf("row %d, %s: tells %v, want %v", tr.Row, tr.On, got, want)
		}
	}
}
