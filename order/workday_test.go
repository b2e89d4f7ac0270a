package order

import (
	"testing"
	"testing/fstest"
	"time"

	"pgregory.net/rapid"
)

func defaultCalendar(t *testing.T) *Calendar {
	t.Helper()
	c, err := DefaultCalendar()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// F63, G10: three working days from a qualified order, due 17:30 in Shanghai.
func TestDue(t *testing.T) {
	c := defaultCalendar(t)
	tests := []struct{ name, complete, due string }{
		{"before Spring Festival, Saturday 2.14 works", "2026-02-12 10:00:00", "2026-02-24"},
		{"over Labour Day", "2026-04-30 10:00:00", "2026-05-08"},
		{"Saturday 5.9 works", "2026-05-08 10:00:00", "2026-05-12"},
		{"Sunday 9.20 works", "2026-09-18 10:00:00", "2026-09-22"},
		{"over Mid-Autumn", "2026-09-22 10:00:00", "2026-09-28"},
		{"over National Day", "2026-09-29 10:00:00", "2026-10-09"},
		{"Saturday 10.10 works", "2026-10-09 10:00:00", "2026-10-13"},
		{"plain week", "2026-11-23 10:00:00", "2026-11-26"},
		{"at midnight", "2026-11-23 00:00:00", "2026-11-26"},
		{"at closing", "2026-11-23 17:30:00", "2026-11-26"},
		{"after closing", "2026-11-23 17:30:01", "2026-11-27"},
		{"Friday after closing", "2026-11-27 18:00:00", "2026-12-03"},
		{"on a Saturday", "2026-11-28 09:00:00", "2026-12-03"},
		{"on a Sunday night", "2026-11-29 23:59:59", "2026-12-03"},
		{"on a worked Saturday", "2026-10-10 10:00:00", "2026-10-14"},
		{"into the unconfirmed year", "2026-12-30 10:00:00", "2027-01-05"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			complete, err := time.ParseInLocation(time.DateTime, tt.complete, Shanghai)
			if err != nil {
				t.Fatal(err)
			}
			// The instant decides, not the zone that it is written in.
			if got, want := c.Due(complete.UTC(), 3).In(Shanghai).Format(time.DateTime), tt.due+" 17:30:00"; got != want {
				t.Errorf("Due = %s, want %s", got, want)
			}
		})
	}
}

// Counted by hand from the notice: 365 − 104 weekend days, − 19 holidays on
// Monday to Friday, + 6 worked weekend days.
func TestWorkdaysOf2026(t *testing.T) {
	c := defaultCalendar(t)
	n := 0
	for d := time.Date(2026, 1, 1, 12, 0, 0, 0, Shanghai); d.Year() == 2026; d = d.AddDate(0, 0, 1) {
		if c.IsWorkday(d) {
			n++
		}
	}
	if want := 365 - 104 - 19 + 6; n != want {
		t.Errorf("2026 has %d working days, want %d", n, want)
	}
}

func TestUnconfirmedYears(t *testing.T) {
	c := defaultCalendar(t)
	if !c.Confirmed(2026) || c.Confirmed(2027) || c.Confirmed(2031) {
		t.Error("only 2026 is confirmed")
	}
	for _, off := range []string{"2027-02-08", "2027-06-09", "2031-01-01", "2031-05-02", "2031-10-01", "2031-05-10"} {
		if d, err := time.ParseInLocation(time.DateOnly, off, Shanghai); err != nil || c.IsWorkday(d) {
			t.Errorf("%s is a working day (%v)", off, err)
		}
	}
}

// F126: the holiday calendar is staff's to keep.
func TestStaffReplaceAYear(t *testing.T) {
	embedded, err := EmbeddedWorkdays()
	if err != nil {
		t.Fatal(err)
	}
	notice := fstest.MapFS{"2027.json": {Data: []byte(`{"year":2027,"confirmed":true,"source":"notice","off":["2027-02-05/2027-02-11"],"work":["2027-02-20"]}`)}}
	c, err := LoadCalendar(embedded, notice)
	if err != nil {
		t.Fatal(err)
	}
	if !c.Confirmed(2027) || !c.Confirmed(2026) || c.IsWorkday(time.Date(2027, 2, 11, 9, 0, 0, 0, Shanghai)) || !c.IsWorkday(time.Date(2027, 2, 20, 9, 0, 0, 0, Shanghai)) {
		t.Error("the notice did not replace the embedded year")
	}
}

func TestLoadCalendarRefusesSlips(t *testing.T) {
	tests := []struct{ name, file, data string }{
		{"not JSON", "2027.json", `{`},
		{"wrong file name", "2028.json", `{"year":2027}`},
		{"no such day", "2027.json", `{"year":2027,"off":["2027-02-30"]}`},
		{"day of another year", "2027.json", `{"year":2027,"off":["2026-12-31/2027-01-01"]}`},
		{"run backwards", "2027.json", `{"year":2027,"off":["2027-02-10/2027-02-05"]}`},
		{"worked weekday", "2027.json", `{"year":2027,"work":["2027-02-10"]}`},
		{"worked and off", "2027.json", `{"year":2027,"off":["2027-02-20"],"work":["2027-02-20"]}`},
		{"confirmed by nobody", "2027.json", `{"year":2027,"confirmed":true}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := LoadCalendar(fstest.MapFS{tt.file: {Data: []byte(tt.data)}}); err == nil {
				t.Error("accepted")
			}
		})
	}
}

func TestDueProperties(t *testing.T) {
	c := defaultCalendar(t)
	start := time.Date(2025, 12, 1, 0, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		instant := rapid.Int64Range(0, 3*365*24*3600)
		a := start.Add(time.Duration(instant.Draw(t, "a")) * time.Second)
		b := start.Add(time.Duration(instant.Draw(t, "b")) * time.Second)
		n := rapid.IntRange(0, 30).Draw(t, "days")
		if b.Before(a) {
			a, b = b, a
		}
		due := c.Due(a, n)
		if due.After(c.Due(b, n)) {
			t.Fatalf("completed earlier, due later: %s %s", a, b)
		}
		if due.Before(a) || !c.IsWorkday(due) || due.In(Shanghai).Format(time.TimeOnly) != "17:30:00" {
			t.Fatalf("due %s for %s", due, a)
		}
		if !c.Due(a, n+1).After(due) {
			t.Fatal("one more day is no later")
		}
		// n more working days lie strictly between the day 0 and the due day, or on it.
		worked := 0
		for d := c.Due(a, 0).AddDate(0, 0, 1); !d.After(due); d = d.AddDate(0, 0, 1) {
			if c.IsWorkday(d) {
				worked++
			}
		}
		if worked != n {
			t.Fatalf("%d working days to %s, want %d", worked, due, n)
		}
	})
}
