package order

import (
	"strings"
	"testing"
	"time"
)

func shanghai(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.ParseInLocation("2006-01-02 15:04", text, Shanghai)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// F63: in how many working days the keys were posted, and whether as promised.
func TestPunctual(t *testing.T) {
	c := defaultCalendar(t)
	for _, tt := range []struct {
		name, complete, posted string
		took                   int
		inTime                 bool
	}{
		{"on the day", "2026-11-23 10:00", "2026-11-23 16:00", 0, true},
		{"in the night is the next day's", "2026-11-23 23:00", "2026-11-24 16:00", 0, true},
		{"the day after", "2026-11-23 10:00", "2026-11-24 09:00", 1, true},
		{"on the last day", "2026-11-23 10:00", "2026-11-26 17:30", 3, true},
		{"on the last day after closing", "2026-11-23 10:00", "2026-11-26 17:31", 3, false},
		{"a day late", "2026-11-23 10:00", "2026-11-27 10:00", 4, false},
		{"weeks late", "2026-11-02 10:00", "2026-11-27 10:00", 4, false},
		{"a weekend is no working day", "2026-11-27 10:00", "2026-11-30 10:00", 1, true},
		{"posted on a day off", "2026-11-27 10:00", "2026-11-28 10:00", 0, true},
		{"a holiday between", "2026-09-30 10:00", "2026-10-08 10:00", 1, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := c.punctual([]Posting{{Due: c.Due(shanghai(t, tt.complete), slaDays), At: shanghai(t, tt.posted).UTC()}})
			for days, n := range p.Took {
				if (n == 1) != (days == tt.took) {
					t.Fatalf("took %v, want %d working days", p.Took, tt.took)
				}
			}
			if p.Posted != 1 || (p.InTime == 1) != tt.inTime {
				t.Errorf("%+v, want in time: %t", p, tt.inTime)
			}
		})
	}
}

func TestPunctualityInWords(t *testing.T) {
	for _, tt := range []struct {
		name string
		p    Punctuality
		want string
	}{
		{"nothing", Punctuality{}, ""},
		{"too little", Punctuality{Posted: 19, InTime: 19, Took: [5]int{19}}, ""},
		{"all, half on the day", Punctuality{Posted: 20, InTime: 20, Took: [5]int{10, 10}}, "100% 的订单按承诺寄出，一半的订单当天寄出"},
		{"not quite all is not all", Punctuality{Posted: 1000, InTime: 999, Took: [5]int{0, 999, 0, 0, 1}}, "99% 的订单按承诺寄出，一半的订单在 1 个工作日内寄出"},
		{"what waits counts", Punctuality{Posted: 15, InTime: 15, Overdue: 5, Took: [5]int{0, 0, 15}}, "75% 的订单按承诺寄出，一半的订单在 2 个工作日内寄出"},
		{"mostly late", Punctuality{Posted: 30, InTime: 10, Took: [5]int{0, 0, 0, 10, 20}}, "33% 的订单按承诺寄出，一半的订单超过 3 个工作日才寄出"},
		{"nothing was posted", Punctuality{Overdue: 20}, "0% 的订单按承诺寄出"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.p.Sentence()
			if !strings.Contains(got, tt.want) || (got == "") != (tt.want == "") {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}
