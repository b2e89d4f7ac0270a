package certificate

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

func at(text string) time.Time {
	t, err := time.ParseInLocation("2006-01-02 15:04", text, order.Shanghai)
	if err != nil {
		panic(err)
	}
	return t
}

func workdays(t *testing.T) Workdays {
	t.Helper()
	cal, err := order.DefaultCalendar()
	if err != nil {
		t.Fatal(err)
	}
	return cal
}

// Flows 4.7: every rung on its day, on the next working day when it falls on a day
// off (D-1 and D0 on any day), at 9:30. The table is read beside a calendar of
// 2026: 1–7 October and weekends are off, 20 September and 10 October are worked.
func TestEveryRung(t *testing.T) {
	for _, tt := range []struct {
		end  string
		want string // step=month-day, of all rungs
	}{
		{"2026-10-05", "D-60=08-06 D-29=09-07 D-15=09-20 D-7=09-28 D-3=10-08 D-1=10-04 D0=10-05 D+1=10-08 D+30=11-04 D+60=12-04 D+83=12-28 D+91=01-04"},
		{"2026-11-23", "D-60=09-24 D-29=10-26 D-15=11-09 D-7=11-16 D-3=11-20 D-1=11-22 D0=11-23 D+1=11-24 D+30=12-23 D+60=01-22 D+83=02-15 D+91=02-22"},
	} {
		var got []string
		for _, p := range Planned(Certificate{NotAfter: end(tt.end), PersonID: "p"}, nil, at("2026-01-01 00:00"), workdays(t)) {
			when := p.PlannedAt.In(order.Shanghai)
			if clock := when.Format("15:04"); clock != "09:30" {
				t.Errorf("%s at %s", p.Step, clock)
			}
			got = append(got, fmt.Sprintf("%s=%s", p.Step, when.Format("01-02")))
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("end %s:\n%s, want\n%s", tt.end, s, tt.want)
		}
	}
}

// The hours of sending: 9:30–17:00.
func TestAllowed(t *testing.T) {
	plain, daily := Rung{}, Rung{AnyDay: true}
	for _, tt := range []struct {
		rung     Rung
		now, out string
	}{
		{plain, "2026-11-23 09:29", "2026-11-23 09:30"},
		{plain, "2026-11-23 09:30", "2026-11-23 09:30"},
		{plain, "2026-11-23 16:59", "2026-11-23 16:59"},
		{plain, "2026-11-23 17:00", "2026-11-24 09:30"},
		{plain, "2026-11-27 17:00", "2026-11-30 09:30"}, // Friday evening
		{daily, "2026-11-27 17:00", "2026-11-28 09:30"},
		{daily, "2026-11-28 12:00", "2026-11-28 12:00"},
		{plain, "2026-10-10 12:00", "2026-10-10 12:00"}, // a Saturday that is worked
		{plain, "2026-09-30 18:00", "2026-10-08 09:30"},
		{daily, "2026-10-03 00:00", "2026-10-03 09:30"},
	} {
		if got := tt.rung.allowed(at(tt.now).UTC(), workdays(t)); !got.Equal(at(tt.out)) {
			t.Errorf("%s, any day %t: %s, want %s", tt.now, tt.rung.AnyDay, got.In(order.Shanghai), tt.out)
		}
	}
}

// What is decided at one moment, and when to look again.
func TestRemind(t *testing.T) {
	base := Certificate{Serial: "s", PersonID: "p", NotBefore: at("2025-11-23 10:00"), NotAfter: end("2026-11-23")}
	change := func(f func(*Certificate)) Certificate {
		c := base
		f(&c)
		return c
	}
	until := func(s RungName) (out []RungName) {
		for _, r := range Ladder {
			out = append(out, r.Step)
			if r.Step == s {
				break
			}
		}
		return out
	}
	for _, tt := range []struct {
		name     string
		cert     Certificate
		known    []RungName
		optedOut bool
		now      string
		send     RungName
		settled  string
		next     string // empty: never
	}{
		{"new certificate", change(func(c *Certificate) { c.NotBefore, c.NotAfter = at("2026-11-23 10:00"), end("2027-11-23") }), nil, false, "2026-11-23 10:00", "", "", "2027-09-24 09:30"},
		{"its hour", base, until("D-60"), false, "2026-10-26 09:30", "D-29", "", "2026-11-09 09:30"},
		{"a minute before", base, until("D-60"), false, "2026-10-26 09:29", "", "", "2026-10-26 09:30"},
		{"in the evening", base, until("D-60"), false, "2026-10-26 17:00", "", "", "2026-10-27 09:30"},
		{"the clock was moved: only the latest", base, nil, false, "2026-11-20 10:00", "D-3", "D-60 skipped overtaken, D-29 skipped overtaken, D-15 skipped overtaken, D-7 skipped overtaken", "2026-11-22 09:30"},
		{"moved into the night", base, nil, false, "2026-11-20 20:00", "", "D-60 skipped overtaken, D-29 skipped overtaken, D-15 skipped overtaken, D-7 skipped overtaken", "2026-11-22 09:30"},
		{"again later", base, append(until("D-7"), "D-3"), false, "2026-11-20 10:01", "", "", "2026-11-22 09:30"},
		{"a Sunday, any day", base, until("D-3"), false, "2026-11-22 09:30", "D-1", "", "2026-11-23 09:30"},
		{"days off: a later rung came first", change(func(c *Certificate) { c.NotAfter = end("2026-10-05") }), until("D-7"), false, "2026-10-04 09:30", "D-1", "D-3 skipped overtaken", "2026-10-05 09:30"},
		{"years after the end", change(func(c *Certificate) { c.NotAfter = end("2024-11-23") }), nil, false, "2026-11-23 10:00", "", "all but the last skipped overtaken, D+91 skipped passed", ""},
		{"two weeks late", base, until("D+83"), false, "2027-03-08 10:00", "D+91", "", ""},
		{"later still", base, until("D+83"), false, "2027-03-09 10:00", "", "D+91 skipped passed", ""},
		{"short-lived: no rung before its beginning", change(func(c *Certificate) { c.NotBefore, c.NotAfter = at("2026-11-23 10:00"), end("2026-11-28") }), nil, false, "2026-11-23 10:00", "", "D-60 skipped overtaken, D-29 skipped overtaken, D-15 skipped overtaken, D-7 skipped passed", "2026-11-25 09:30"},
		{"opted out of an optional one", base, until("D-29"), true, "2026-11-09 10:00", "", "D-15 declined opted_out", "2026-11-16 09:30"},
		{"opted out, but it must be said", base, until("D-15"), true, "2026-11-16 10:00", "D-7", "", "2026-11-20 09:30"},
		{"frozen", change(func(c *Certificate) { c.RevokedAt, c.Reason = at("2026-11-01 10:00"), Hold }), until("D-15"), false, "2026-11-16 10:00", "", "D-7 skipped frozen", "2026-11-20 09:30"},
		{"nobody bound", change(func(c *Certificate) { c.PersonID = "" }), until("D-15"), false, "2026-11-16 10:00", "", "D-7 skipped unbound", "2026-11-20 09:30"},
		{"revoked", change(func(c *Certificate) { c.RevokedAt, c.Reason = at("2026-11-01 10:00"), KeyCompromise }), until("D-15"), false, "2026-11-16 10:00", "", "D-7 stopped revoked", ""},
		{"renewed", change(func(c *Certificate) { c.SupersededBy = "t" }), until("D-15"), false, "2026-11-16 10:00", "", "D-7 stopped renewed", ""},
		{"renewing, the window ends", base, until("D+60"), false, "2027-02-15 10:00", "", "D+83 skipped renewing", "2027-02-22 09:30"},
		{"renewing, after the window", base, until("D+83"), false, "2027-02-22 10:00", "", "D+91 skipped renewing", ""},
		{"renewing, before", base, until("D-15"), false, "2026-11-16 10:00", "D-7", "", "2026-11-20 09:30"},
		{"all said", base, until("D+91"), false, "2027-03-01 10:00", "", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out := Remind(tt.cert, tt.known, Circumstances{OptedOut: tt.optedOut, Renewing: strings.HasPrefix(tt.name, "renewing")}, at(tt.now).UTC(), workdays(t))
			var send RungName
			if out.Send != nil {
				send = out.Send.Step
			}
			var settled []string
			for _, r := range out.Settled {
				settled = append(settled, fmt.Sprintf("%s %s %s", r.Step, r.State, r.Why))
			}
			got := strings.Join(settled, ", ")
			if len(settled) == len(Ladder) {
				got = "all but the last skipped overtaken, " + settled[len(settled)-1]
			}
			if send != tt.send || got != tt.settled {
				t.Errorf("sends %q, settles %q; want %q, %q", send, got, tt.send, tt.settled)
			}
			switch {
			case tt.next == "" && !out.Next.IsZero(), tt.next != "" && !out.Next.Equal(at(tt.next)):
				t.Errorf("looks again at %s, want %s", out.Next.In(order.Shanghai), tt.next)
			}
		})
	}
}

// Played minute by minute or in one leap, no rung is decided twice and each once.
func TestLadderIsClimbedOnce(t *testing.T) {
	c := Certificate{Serial: "s", PersonID: "p", NotBefore: at("2025-11-23 10:00"), NotAfter: end("2026-11-23")}
	w := workdays(t)
	var known, sent []RungName
	for now := at("2026-09-01 00:00"); now.Before(at("2027-04-01 00:00")); {
		out := Remind(c, known, Circumstances{}, now, w)
		for _, r := range out.Settled {
			t.Errorf("%s is %s (%s) although the clock was kept", r.Step, r.State, r.Why)
		}
		if out.Send != nil {
			if slices.Contains(known, out.Send.Step) {
				t.Fatalf("%s twice", out.Send.Step)
			}
			known, sent = append(known, out.Send.Step), append(sent, out.Send.Step)
		}
		if out.Next.IsZero() {
			break
		}
		if !out.Next.After(now) {
			t.Fatalf("looks again at %s at %s", out.Next, now)
		}
		now = out.Next
	}
	if len(sent) != len(Ladder) {
		t.Errorf("sent %v", sent)
	}
}
