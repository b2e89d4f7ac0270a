package order

import (
	"testing"
	"time"
)

// Promises are kept in opening hours (F15), on working days only.
func TestCallBy(t *testing.T) {
	w, err := DefaultCalendar()
	if err != nil {
		t.Fatal(err)
	}
	at := func(day, hour, minute int) time.Time {
		return time.Date(2026, 11, day, hour, minute, 0, 0, Shanghai) // the 23rd is a Monday
	}
	for name, test := range map[string]struct {
		now, normal, urgent time.Time
	}{
		"before opening":       {at(23, 8, 0), at(23, 10, 0), at(23, 9, 15)},
		"in the morning":       {at(23, 10, 0), at(23, 11, 0), at(23, 10, 15)},
		"just in time":         {at(23, 16, 30), at(23, 17, 30), at(23, 16, 45)},
		"too late for an hour": {at(23, 17, 0), at(24, 10, 0), at(23, 17, 15)},
		"too late for all":     {at(23, 17, 20), at(24, 10, 0), at(24, 9, 15)},
		"closed":               {at(23, 17, 30), at(24, 10, 0), at(24, 9, 15)},
		"Friday night":         {at(27, 20, 0), at(30, 10, 0), at(30, 9, 15)},
		"Sunday":               {at(29, 12, 0), at(30, 10, 0), at(30, 9, 15)},
	} {
		if got := CallBy(w, test.now, false); !got.Equal(test.normal) {
			t.Errorf("%s: %s, want %s", name, got, test.normal)
		}
		if got := CallBy(w, test.now, true); !got.Equal(test.urgent) {
			t.Errorf("%s, urgent: %s, want %s", name, got, test.urgent)
		}
	}
}
