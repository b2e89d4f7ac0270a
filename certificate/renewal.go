package certificate

import (
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

// The renewal window (F65, G16), in natural days in Asia/Shanghai: a certificate
// can be renewed when -lateDays ≤ days left < soonDays.
const (
	soonDays = 30
	lateDays = 90
)

// DaysLeft is how many natural days in Asia/Shanghai are left until the day on
// which the certificate ends; negative after it.
func (c Certificate) DaysLeft(now time.Time) int {
	return int(date(c.NotAfter).Sub(date(now)).Hours()) / 24
}

// date is the calendar day in Asia/Shanghai, as an instant that days can be
// counted with.
func date(t time.Time) time.Time {
	y, m, d := t.In(order.Shanghai).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

// InRenewalWindow reports whether the certificate's time is near enough to its end
// (F65). It does not ask whether it is revoked or frozen.
func (c Certificate) InRenewalWindow(now time.Time) bool {
	left := c.DaysLeft(now)
	return -lateDays <= left && left < soonDays
}

// RenewableFrom is the first day on which the certificate can be renewed,
// RenewableUntil the last.
func (c Certificate) RenewableFrom() time.Time { return c.NotAfter.AddDate(0, 0, 1-soonDays) }

// RenewableUntil is the last day on which the certificate can be renewed.
func (c Certificate) RenewableUntil() time.Time { return c.NotAfter.AddDate(0, 0, lateDays) }

// Expiry is how near a certificate is to its end. It is shown beside the state
// (F103, G17).
type Expiry string

// The expiries.
const (
	Lasting   Expiry = ""
	Expiring  Expiry = "expiring"
	Renewable Expiry = "expired_renewable"
	Over      Expiry = "expired"
)

var expiryLabels = map[Expiry]string{Expiring: "即将过期", Renewable: "已过期·可更新", Over: "已过期·不可更新"}

// Label is the expiry as people read it.
func (e Expiry) Label() string { return expiryLabels[e] }

// Standing is the state as people read it, with what time has done to it.
func (c Certificate) Standing(now time.Time) string {
	switch state := c.State(); {
	case !c.Expired(now) || state == Revoked:
		return state.Label()
	case state == Frozen:
		return state.Label() + "·已过期"
	default:
		return c.Expiry(now).Label()
	}
}

// Soon is what is said beside that of a certificate that ends soon; empty for others.
func (c Certificate) Soon(now time.Time) string {
	if e := c.Expiry(now); e == Expiring && c.State() != Revoked {
		return e.Label()
	}
	return ""
}

// Good reports whether the certificate can be used.
func (c Certificate) Good(now time.Time) bool { return c.State() == Valid && !c.Expired(now) }

// Expiry returns how near the certificate is to its end.
func (c Certificate) Expiry(now time.Time) Expiry {
	switch {
	case !c.Expired(now) && c.DaysLeft(now) < soonDays:
		return Expiring
	case !c.Expired(now):
		return Lasting
	case c.InRenewalWindow(now) && c.State() == Valid && c.SupersededBy == "":
		return Renewable
	default:
		return Over
	}
}
