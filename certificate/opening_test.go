package certificate_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

// An opening that is ahead is registered by the holder alone, told in the history,
// reminded of the day before, and forgotten a month after.
func TestOpenings(t *testing.T) {
	eachDB(t, func(t *testing.T, f *office) {
		ctx, soon := t.Context(), now.AddDate(0, 0, 9)
		for _, test := range []struct {
			name, project string
			at            time.Time
			by            order.Actor
			want          order.Kind
		}{
			{"somebody else", "", soon, order.Actor{Role: order.Applicant, PersonID: "p-else"}, order.NotFound},
			{"nobody", "", soon, order.Actor{Role: order.Applicant}, order.NotFound},
			{"now", "", now, f.holder(), order.Invalid},
			{"in two years", "", now.AddDate(2, 0, 0), f.holder(), order.Invalid},
			{"a long name", strings.Repeat("风", 61), soon, f.holder(), order.Invalid},
			{"somebody's number in the name", "风电 13800138000", soon, f.holder(), order.Invalid},
		} {
			if err := f.AddOpening(ctx, serialA, test.project, test.at, test.by); !errors.Is(err, test.want) {
				t.Errorf("%s: %v", test.name, err)
			}
		}
		must(t, f.AddOpening(ctx, serialA, "三期风电塔筒采购", soon, f.holder()))
		must(t, f.AddOpening(ctx, serialA, "三期风电塔筒采购", soon, f.holder()))         // once more: the answer was lost
		must(t, f.AddOpening(ctx, serialA, "", now.Add(5*time.Hour), f.holder())) // too late to remind
		must(t, f.AddOpening(ctx, serialB, "", soon.Add(time.Hour), f.holder()))
		mine, err := f.OpeningsOf(ctx, f.person)
		must(t, err)
		if len(mine) != 3 || mine[0].Project != "投标项目" || mine[1].Project != "三期风电塔筒采购" || !mine[1].At.Equal(soon) || mine[2].Serial != serialB {
			t.Fatalf("openings %+v", mine)
		}
		if other, err := f.OpeningsOf(ctx, "p-else"); err != nil || len(other) != 0 {
			t.Errorf("another's: %+v, %v", other, err)
		}
		reminders, err := f.db.Notifications(ctx, orderID)
		must(t, err)
		morning := time.Date(2026, 12, 1, 10, 0, 0, 0, order.Shanghai)
		if len(reminders) != 4 || slices.ContainsFunc(reminders, func(n order.Notification) bool {
			return n.Notice != order.NoticeOpeningAhead || n.PersonID != f.person || !n.SendAt.Equal(morning) || n.Seq != mine[1].Seq && n.Seq != mine[2].Seq
		}) {
			t.Errorf("reminders %+v, the openings %+v", reminders, mine)
		}

		if err := f.DropOpening(ctx, serialB, mine[1].ID, f.holder()); !errors.Is(err, order.NotFound) {
			t.Errorf("dropped by another certificate: %v", err)
		}
		if err := f.DropOpening(ctx, serialA, mine[1].ID, order.Actor{Role: order.Applicant, PersonID: "p-else"}); !errors.Is(err, order.NotFound) {
			t.Errorf("dropped by somebody else: %v", err)
		}
		must(t, f.DropOpening(ctx, serialA, mine[1].ID, f.holder()))
		if err := f.DropOpening(ctx, serialA, mine[1].ID, f.holder()); !errors.Is(err, order.NotFound) {
			t.Errorf("dropped twice: %v", err)
		}
		events, err := f.db.Events(ctx, orderID)
		must(t, err)
		var told []order.Event
		for _, e := range events {
			told = append(told, e.Event)
		}
		if want := []order.Event{order.OpeningRegistered, order.OpeningRegistered, order.OpeningRegistered, order.OpeningDropped}; !slices.Equal(told, want) || !strings.Contains(events[0].Note, "2026-12-02 10:00 开标") {
			t.Errorf("history %v, %q", told, events[0].Note)
		}
		if left, err := f.Openings(ctx, serialA); err != nil || len(left) != 1 {
			t.Errorf("left: %+v, %v", left, err)
		}
		if passed, err := f.db.Openings(ctx, serialA, now.Add(6*time.Hour)); err != nil || len(passed) != 0 {
			t.Errorf("passed, and ahead: %+v, %v", passed, err)
		}
	})
}

// What has passed is kept for a month, and then forgotten without anybody doing anything.
func TestOpeningsAreForgotten(t *testing.T) {
	eachDB(t, func(t *testing.T, f *office) {
		must(t, f.AddOpening(t.Context(), serialA, "", now.AddDate(0, 0, 1), f.holder()))
		r := newReminding(t, f)
		for _, test := range []struct {
			days int
			kept bool
		}{{31, true}, {32, false}} {
			r.at = now.AddDate(0, 0, test.days)
			must(t, r.Sweep(t.Context()))
			some, err := f.db.OpeningsBefore(t.Context(), now.AddDate(1, 0, 0))
			if err != nil || some != test.kept {
				t.Errorf("after %d days it is kept: %v, %v", test.days, some, err)
			}
		}
	})
}

// Nobody registers openings without end.
func TestOpeningsAreFew(t *testing.T) {
	eachDB(t, func(t *testing.T, f *office) {
		for n := range 20 {
			must(t, f.AddOpening(t.Context(), serialA, "", now.AddDate(0, 0, n+1), f.holder()))
		}
		if err := f.AddOpening(t.Context(), serialA, "", now.AddDate(0, 0, 30), f.holder()); code(err) != "too_many_openings" {
			t.Errorf("one more: %v", err)
		}
		must(t, f.AddOpening(t.Context(), serialB, "", now.AddDate(0, 0, 30), f.holder()))
	})
}

// What keeps bids from being opened is seen before it does.
func TestGuard(t *testing.T) {
	at := now.AddDate(0, 0, 10)
	good := certificate.Certificate{NotAfter: now.AddDate(1, 0, 0)}
	with := func(change func(c *certificate.Certificate)) certificate.Certificate {
		c := good
		change(&c)
		return c
	}
	for _, test := range []struct {
		name string
		cert certificate.Certificate
		now  time.Time
		want certificate.Light
		says string
	}{
		{"valid", good, now, certificate.Green, "有效"},
		{"three days ahead", good, at.AddDate(0, 0, -3), certificate.Yellow, "试登录"},
		{"a little more", good, at.AddDate(0, 0, -3).Add(-time.Second), certificate.Green, "有效"},
		{"renewed", with(func(c *certificate.Certificate) { c.SupersededBy = serialB }), now, certificate.Yellow, "新证书"},
		{"ends before", with(func(c *certificate.Certificate) { c.NotAfter = at.Add(-time.Second) }), now, certificate.Red, "早于开标"},
		{"ends at it", with(func(c *certificate.Certificate) { c.NotAfter = at }), now, certificate.Green, "有效"},
		{"frozen", with(func(c *certificate.Certificate) { c.RevokedAt, c.Reason = now, certificate.Hold }), now, certificate.Red, "申请恢复"},
		{"revoked", with(func(c *certificate.Certificate) { c.RevokedAt, c.Reason = now, certificate.KeyCompromise }), now, certificate.Red, "无法解密"},
	} {
		if light, says := test.cert.Guard(certificate.Opening{At: at}, test.now); light != test.want || !strings.Contains(says, test.says) {
			t.Errorf("%s: %s, %s", test.name, light, says)
		}
	}
}

// Who gets a certificate from another is reminded of what that one has registered, of
// everything on the USBKEY; of what is tomorrow at once, and of nothing twice.
func TestOpeningsOfANewHolder(t *testing.T) {
	eachDB(t, func(t *testing.T, f *office) {
		ctx := t.Context()
		f.renewedTwice(t)
		must(t, f.AddOpening(ctx, chain[2], "三期风电", now.AddDate(0, 0, 9), f.holder()))
		must(t, f.AddOpening(ctx, second, "升压站", now.AddDate(0, 0, 5), f.holder()))
		must(t, f.AddOpening(ctx, chain[2], "", now.Add(5*time.Hour), f.holder()))
		must(t, f.AddOpening(ctx, serialA, "另一把", now.AddDate(0, 0, 9), f.holder()))
		var next order.Person
		must(t, f.db.InTx(ctx, func(tx order.Tx) (err error) {
			next, err = tx.PersonByMobile(ctx, order.Person{ID: "p-next", Mobile: identity.NewMobile("13900139000"), CreatedAt: now})
			return err
		}))
		reminded := func(person string) (at []string) {
			t.Helper()
			for _, id := range []order.ID{orderID, "01JCHAIN1", "01JCHAIN2", "01JCHAIN3", "01JCHAIN4"} {
				all, err := f.db.Notifications(ctx, id)
				must(t, err)
				for _, n := range all {
					if n.Notice == order.NoticeOpeningAhead && n.PersonID == person && n.Medium == order.SMS {
						if when := n.SendAt.In(order.Shanghai).Format("01-02 15:04"); n.SendAt.IsZero() {
							at = append(at, "at once")
						} else {
							at = append(at, when)
						}
					}
				}
			}
			slices.Sort(at)
			return at
		}
		before := reminded(f.person)
		must(t, f.Rebind(ctx, chain[2], f.holder(), next.ID))
		want := []string{"11-27 10:00", "12-01 10:00", "at once"}
		if got := reminded(next.ID); !slices.Equal(got, want) {
			t.Errorf("reminded at %v, want %v", got, want)
		}
		must(t, f.Rebind(ctx, chain[2], order.Actor{Role: order.Applicant, PersonID: next.ID, Channel: order.Web}, f.person))
		if got := reminded(f.person); len(got) != len(before)+1 { // the one of today, which the page had told
			t.Errorf("back with the first: %v, before %v", got, before)
		}
		must(t, f.Rebind(ctx, chain[2], f.holder(), next.ID))
		if got := reminded(next.ID); !slices.Equal(got, want) {
			t.Errorf("once more: %v", got)
		}
	})
}
