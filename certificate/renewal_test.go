package certificate

import (
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

// end is the last second of a day in Shanghai, as certificates end.
func end(day string) time.Time {
	t, err := time.ParseInLocation(time.DateOnly, day, order.Shanghai)
	if err != nil {
		panic(err)
	}
	return t.Add(24*time.Hour - time.Second)
}

// F65, G16: the eligibility vectors of flows.md 4.7, at every hour of the day in
// Shanghai. F103: what the card says beside the state.
func TestRenewalWindow(t *testing.T) {
	for _, test := range []struct {
		notAfter string
		left     int
		open     bool
		expiry   Expiry
	}{
		{"2026-12-24", 31, false, Lasting},
		{"2026-12-23", 30, false, Lasting},
		{"2026-12-22", 29, true, Expiring},
		{"2026-11-24", 1, true, Expiring},
		{"2026-11-23", 0, true, Expiring},
		{"2026-11-22", -1, true, Renewable},
		{"2026-08-25", -90, true, Renewable},
		{"2026-08-24", -91, false, Over},
	} {
		cert := Certificate{NotAfter: end(test.notAfter)}
		for _, hour := range []time.Duration{0, 7 * time.Hour, 8 * time.Hour, 16 * time.Hour, 24*time.Hour - 2*time.Second} {
			now := end("2026-11-22").Add(time.Second + hour)
			if got := cert.DaysLeft(now); got != test.left || cert.InRenewalWindow(now) != test.open || cert.Expiry(now) != test.expiry {
				t.Errorf("%s at %s: %d days, open %v, %q", test.notAfter, now.In(order.Shanghai), got, cert.InRenewalWindow(now), cert.Expiry(now))
			}
		}
		if from, until := cert.RenewableFrom(), cert.RenewableUntil(); cert.DaysLeft(from) != 29 || cert.DaysLeft(until) != -90 {
			t.Errorf("%s: from %s until %s", test.notAfter, from, until)
		}
	}
}

// A certificate that has a successor, or is revoked, is not offered a renewal
// after its end (F66).
func TestOverWithoutRenewal(t *testing.T) {
	now := end("2026-11-23")
	old := Certificate{NotAfter: end("2026-11-20")}
	revoked, replaced := old, old
	revoked.RevokedAt, revoked.Reason = now, KeyCompromise
	replaced.SupersededBy = "01"
	for name, cert := range map[string]Certificate{"revoked": revoked, "replaced": replaced} {
		if got := cert.Expiry(now); got != Over {
			t.Errorf("%s: %q", name, got)
		}
		if err := cert.About(now).Offered(order.Renewal); err == nil {
			t.Errorf("%s: renewal is offered", name)
		}
	}
	if err := old.About(now).Offered(order.Renewal); err != nil {
		t.Errorf("expired three days ago: %v", err)
	}
}

// F103: an expired certificate is not called valid.
func TestStanding(t *testing.T) {
	now := end("2026-11-23")
	with := func(ends string, reason Reason) Certificate {
		c := Certificate{NotAfter: end(ends), Reason: reason}
		if reason != Unspecified {
			c.RevokedAt = now
		}
		return c
	}
	for _, test := range []struct {
		c              Certificate
		standing, soon string
		good           bool
	}{
		{with("2027-11-23", Unspecified), "有效", "", true},
		{with("2026-12-01", Unspecified), "有效", "即将过期", true},
		{with("2026-11-20", Unspecified), "已过期·可更新", "", false},
		{with("2026-01-20", Unspecified), "已过期·不可更新", "", false},
		{with("2026-12-01", Hold), "已冻结", "即将过期", false},
		{with("2026-11-20", Hold), "已冻结·已过期", "", false},
		{with("2026-12-01", KeyCompromise), "已吊销", "", false},
		{with("2026-11-20", KeyCompromise), "已吊销", "", false},
	} {
		if s, soon := test.c.Standing(now), test.c.Soon(now); s != test.standing || soon != test.soon || test.c.Good(now) != test.good {
			t.Errorf("%s %s: %q %q %v", test.c.State(), test.c.NotAfter, s, soon, test.c.Good(now))
		}
	}
}
