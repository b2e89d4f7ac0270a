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

var somebodyElse = order.Actor{Role: order.Applicant, PersonID: "p-else"}

// lent is a loan that may be written down.
func lent(token string, due time.Time) certificate.Loan {
	return certificate.Loan{Token: token, Borrower: identity.NewPersonName("王小琪"), Department: "工程部", Purpose: "三期风电投标", DueAt: due}
}

// at is the field that a refusal is about; empty for none.
func at(err error) order.Field {
	if e, ok := order.AsError(err); ok && len(e.Fields) == 1 && e.Fields[0].Detail == e.Detail {
		return e.Fields[0].Field
	}
	return ""
}

// onUSBKEY puts the certificate A on a USBKEY.
func (f *office) onUSBKEY(t *testing.T) string {
	t.Helper()
	must(t, f.db.InTx(t.Context(), func(tx order.Tx) error {
		return tx.UpdateItem(t.Context(), order.Item{ID: "item-a", OrderID: orderID, N: 1, Stage: order.ItemVerified, CertSerial: serialA, TokenSerial: usbkey, UpdatedAt: now}, order.ItemWaiting)
	}))
	return usbkey
}

// foreignIn registers a USBKEY of another CA that ends after so many days.
func (f *office) foreignIn(t *testing.T, days int) certificate.Foreign {
	t.Helper()
	end, ok := certificate.LastOf(now.AddDate(0, 0, days).In(order.Shanghai).Format(time.DateOnly))
	if !ok {
		t.Fatal("no day")
	}
	added, err := f.AddForeign(t.Context(), certificate.Foreign{Label: "省交易中心 CA 锁", Issuer: "某省 CA", NotAfter: end}, f.holder())
	must(t, err)
	return added
}

// F113: who has a USBKEY is written down by whoever looks after it; it is out once, and
// what is over stays in the log until it is deleted.
func TestLoans(t *testing.T) {
	eachDB(t, func(t *testing.T, f *office) {
		ctx, token, due := t.Context(), f.onUSBKEY(t), now.AddDate(0, 0, 9)
		with := func(change func(*certificate.Loan)) certificate.Loan {
			l := lent(token, due)
			change(&l)
			return l
		}
		for name, test := range map[string]struct {
			loan certificate.Loan
			by   order.Actor
			want order.Kind
			at   order.Field // what is to be put right
		}{
			"somebody else":              {lent(token, due), somebodyElse, order.NotFound, ""},
			"nobody":                     {lent(token, due), order.Actor{Role: order.Applicant}, order.NotFound, ""},
			"no such USBKEY":             {lent("TW00000000000000", due), f.holder(), order.NotFound, ""},
			"to nobody":                  {with(func(l *certificate.Loan) { l.Borrower = identity.PersonName{} }), f.holder(), order.Invalid, "borrower"},
			"for nothing":                {with(func(l *certificate.Loan) { l.Purpose = " " }), f.holder(), order.Invalid, "purpose"},
			"a long purpose":             {with(func(l *certificate.Loan) { l.Purpose = strings.Repeat("风", 61) }), f.holder(), order.Invalid, "purpose"},
			"a long department":          {with(func(l *certificate.Loan) { l.Department = strings.Repeat("风", 31) }), f.holder(), order.Invalid, "department"},
			"a number in the purpose":    {with(func(l *certificate.Loan) { l.Purpose = "找 13800138000" }), f.holder(), order.Invalid, "purpose"},
			"due yesterday":              {lent(token, now.AddDate(0, 0, -1)), f.holder(), order.Invalid, "due"},
			"a number in the department": {with(func(l *certificate.Loan) { l.Department = "13800138000" }), f.holder(), order.Invalid, "department"},
			"due in two years":           {lent(token, now.AddDate(2, 0, 0)), f.holder(), order.Invalid, "due"},
		} {
			if err := f.Lend(ctx, test.loan, test.by); !errors.Is(err, test.want) || at(err) != test.at {
				t.Errorf("%s: %v about %q", name, err, at(err))
			}
		}
		must(t, f.Lend(ctx, lent(token, due), f.holder()))
		if err := f.Lend(ctx, lent(token, due), f.holder()); code(err) != "token_lent" {
			t.Errorf("lent twice: %v", err)
		}
		out, err := f.LoansOut(ctx, f.person)
		must(t, err)
		if len(out) != 1 || out[0].Borrower.Reveal() != "王小琪" || out[0].Department != "工程部" || out[0].Purpose != "三期风电投标" || !out[0].DueAt.Equal(due) || !out[0].LentAt.Equal(now) {
			t.Fatalf("out %+v", out)
		}
		id := out[0].ID
		for name, err := range map[string]error{
			"given back by somebody else":     f.GiveBack(ctx, token, id, somebodyElse),
			"given back for another USBKEY":   f.GiveBack(ctx, "TW99999999999999", id, f.holder()),
			"deleted while it is out":         f.ForgetLoan(ctx, token, id, f.holder()),
			"deleted by somebody else, as is": f.ForgetLoan(ctx, token, id, somebodyElse),
		} {
			if !errors.Is(err, order.NotFound) {
				t.Errorf("%s: %v", name, err)
			}
		}
		must(t, f.GiveBack(ctx, token, id, f.holder()))
		if err := f.GiveBack(ctx, token, id, f.holder()); !errors.Is(err, order.NotFound) {
			t.Errorf("given back twice: %v", err)
		}
		must(t, f.Lend(ctx, lent(token, due), f.holder()))
		first, err := f.Loans(ctx, f.person, token, order.Cursor{}, 1)
		must(t, err)
		second, err := f.Loans(ctx, f.person, token, first.Next, 1)
		if err != nil || len(first.Loans) != 1 || !first.Loans[0].Out() || len(second.Loans) != 1 || second.Loans[0].ID != id || !second.Loans[0].ReturnedAt.Equal(now) || second.Next != (order.Cursor{}) {
			t.Errorf("the log: %+v, %+v, %v", first, second, err)
		}
		must(t, f.ForgetLoan(ctx, token, id, f.holder()))
		if left, err := f.Loans(ctx, f.person, "", order.Cursor{}, 10); err != nil || len(left.Loans) != 1 {
			t.Errorf("left %+v, %v", left, err)
		}
	})
}

// A cabinet lists a USBKEY once, and one whose certificate is revoked until it is back;
// what is without a USBKEY, or somebody else's, is not there.
func TestCabinet(t *testing.T) {
	eachDB(t, func(t *testing.T, f *office) {
		ctx, token := t.Context(), f.onUSBKEY(t)
		other := f.foreignIn(t, 40)
		must(t, f.Lend(ctx, lent(token, now.AddDate(0, 0, 9)), f.holder()))
		see := func(who string) (ids []string, out int) {
			t.Helper()
			c, err := f.Cabinet(ctx, who)
			must(t, err)
			for _, t := range c.Tokens {
				ids = append(ids, t.ID)
			}
			return ids, len(c.Out)
		}
		expect := func(when, who string, out int, want ...string) {
			t.Helper()
			if got, n := see(who); !slices.Equal(got, want) || n != out {
				t.Errorf("%s: %v, %d out", when, got, n)
			}
		}
		expect("all", f.person, 1, token, other.ID)
		expect("somebody else's", somebodyElse.PersonID, 0)
		_, err := f.Apply(ctx, serialA, certificate.Command{On: certificate.Revoke, By: f.holder(), MobileProven: true, Reason: certificate.KeyCompromise, Bid: certificate.NoOpenBid})
		must(t, err)
		expect("revoked, but out", f.person, 1, token, other.ID)
		page, err := f.Loans(ctx, f.person, token, order.Cursor{}, 1)
		must(t, err)
		must(t, f.GiveBack(ctx, token, page.Loans[0].ID, f.holder()))
		expect("revoked and back", f.person, 0, other.ID)
	})
}

// A USBKEY of another CA is its person's alone; it can be lent, changed, and goes with
// its log.
func TestForeignTokens(t *testing.T) {
	eachDB(t, func(t *testing.T, f *office) {
		ctx := t.Context()
		good := certificate.Foreign{Label: "CA 锁", Issuer: "某省 CA", NotAfter: now.AddDate(0, 3, 0)}
		for name, test := range map[string]struct {
			change func(*certificate.Foreign)
			at     order.Field // what is to be put right
		}{
			"no name":       {func(f *certificate.Foreign) { f.Label = " " }, "label"},
			"no CA":         {func(f *certificate.Foreign) { f.Issuer = "" }, "issuer"},
			"a long name":   {func(f *certificate.Foreign) { f.Label = strings.Repeat("锁", 61) }, "label"},
			"a long owner":  {func(f *certificate.Foreign) { f.Holder = strings.Repeat("锁", 61) }, "holder"},
			"a long number": {func(f *certificate.Foreign) { f.Number = strings.Repeat("8", 61) }, "number"},
			"ended":         {func(f *certificate.Foreign) { f.NotAfter = now.Add(-time.Second) }, "ends"},
			"far ahead":     {func(f *certificate.Foreign) { f.NotAfter = now.AddDate(21, 0, 0) }, "ends"},
		} {
			bad := good
			test.change(&bad)
			if _, err := f.AddForeign(ctx, bad, f.holder()); !errors.Is(err, order.Invalid) || at(err) != test.at {
				t.Errorf("%s: %v about %q", name, err, at(err))
			}
		}
		added, err := f.AddForeign(ctx, good, f.holder())
		must(t, err)
		if _, err := f.OwnToken(ctx, added.ID, somebodyElse.PersonID); !errors.Is(err, order.NotFound) {
			t.Errorf("somebody else's: %v", err)
		}
		must(t, f.Lend(ctx, lent(added.ID, now.AddDate(0, 0, 9)), f.holder()))
		added.Number = "0A1B"
		if err := f.ChangeForeign(ctx, added, somebodyElse); !errors.Is(err, order.NotFound) {
			t.Errorf("changed by somebody else: %v", err)
		}
		must(t, f.ChangeForeign(ctx, added, f.holder()))
		if got, err := f.OwnToken(ctx, added.ID, f.person); err != nil || got.Foreign == nil || got.Name != "CA锁" || got.Foreign.Number != "0A1B" {
			t.Errorf("changed: %+v, %v", got, err)
		}
		if err := f.DropForeign(ctx, added.ID, somebodyElse); !errors.Is(err, order.NotFound) {
			t.Errorf("dropped by somebody else: %v", err)
		}
		must(t, f.DropForeign(ctx, added.ID, f.holder()))
		if out, err := f.LoansOut(ctx, f.person); err != nil || len(out) != 0 {
			t.Errorf("its log is left: %+v, %v", out, err)
		}
		for range 100 {
			_, err := f.AddForeign(ctx, good, f.holder())
			must(t, err)
		}
		if _, err := f.AddForeign(ctx, good, f.holder()); code(err) != "too_many_foreign" {
			t.Errorf("one more: %v", err)
		}
		must(t, f.EmptyCabinet(ctx, f.holder()))
		if left, err := f.ForeignOf(ctx, f.person); err != nil || len(left) != 0 {
			t.Errorf("left %d, %v", len(left), err)
		}
	})
}

// The log goes along when a USBKEY is bound to somebody else, and his reminders.
func TestLogGoesWithTheUSBKEY(t *testing.T) {
	eachDB(t, func(t *testing.T, f *office) {
		ctx, token := t.Context(), f.onUSBKEY(t)
		must(t, f.Lend(ctx, lent(token, now.AddDate(0, 0, 9)), f.holder()))
		var next order.Person
		must(t, f.db.InTx(ctx, func(tx order.Tx) error {
			var err error
			next, err = tx.PersonByMobile(ctx, order.Person{ID: "p-next", Mobile: identity.NewMobile("13900139000"), CreatedAt: now})
			return err
		}))
		must(t, f.Rebind(ctx, serialA, f.holder(), next.ID))
		mine, err := f.LoansOut(ctx, f.person)
		must(t, err)
		his, err := f.LoansOut(ctx, next.ID)
		if err != nil || len(mine) != 0 || len(his) != 1 {
			t.Errorf("mine %+v, his %+v, %v", mine, his, err)
		}
	})
}

// People are told by day of what comes to its end, of all of it at once; what is back,
// changed or gone is not told of, and what was overtaken is not told afterwards.
func TestCabinetReminders(t *testing.T) {
	eachDB(t, func(t *testing.T, f *office) {
		ctx, token := t.Context(), f.onUSBKEY(t)
		r := newReminding(t, f)
		told := func() (out []string) {
			t.Helper()
			ns, err := f.db.Messages(ctx, order.MessageFilter{PersonID: f.person, Limit: 100})
			must(t, err)
			for _, n := range slices.Backward(ns) {
				if n.OrderID == "" {
					out = append(out, string(n.Notice)+" "+string(n.Medium))
				}
			}
			return out
		}
		due, _ := certificate.LastOf("2026-11-26") // a Thursday
		must(t, f.Lend(ctx, lent(token, due), f.holder()))
		f.foreignIn(t, 33) // until 26 December: told of from 26 November, and again on the 19th, a Saturday
		f.foreignIn(t, 33)
		two := func(n order.Notice) []string { return []string{string(n) + " sms", string(n) + " wechat"} }
		want := []string{}
		for _, step := range []struct {
			at   string
			want []string
		}{
			{"2026-11-26 09:29", nil},
			{"2026-11-26 09:30", two(order.NoticeForeignEnding)}, // of both at once
			{"2026-11-27 09:29", nil},
			{"2026-11-27 10:00", two(order.NoticeLoanOverdue)},
			{"2026-11-28 10:00", nil},
			{"2026-12-04 18:00", nil}, // too late in the day
			{"2026-12-05 10:00", nil}, // Saturday
			{"2026-12-07 09:30", two(order.NoticeLoanOverdue)},
			{"2026-12-19 10:00", nil},
			{"2026-12-21 09:30", two(order.NoticeForeignEnding)},
			{"2026-12-25 09:30", two(order.NoticeForeignEnding)},
			{"2026-12-28 09:30", nil},
		} {
			r.sweep(t, step.at)
			if want = append(want, step.want...); !slices.Equal(told(), want) {
				t.Fatalf("%s: told %v, want %v", step.at, told(), want)
			}
		}
	})
	eachDB(t, func(t *testing.T, f *office) { // nothing is said too late, or of what is back
		ctx, token := t.Context(), f.onUSBKEY(t)
		r := newReminding(t, f)
		must(t, f.Lend(ctx, lent(token, now.Add(time.Hour)), f.holder()))
		out, err := f.LoansOut(ctx, f.person)
		must(t, err)
		must(t, f.GiveBack(ctx, token, out[0].ID, f.holder()))
		f.foreignIn(t, 33)
		r.sweep(t, "2027-01-04 10:00")
		ns, err := f.db.Messages(ctx, order.MessageFilter{PersonID: f.person, Limit: 100})
		must(t, err)
		if slices.ContainsFunc(ns, func(n order.Notification) bool { return n.OrderID == "" }) {
			t.Errorf("told %+v", ns)
		}
	})
}

// What is over is kept for a year, and then forgotten without anybody doing anything.
func TestCabinetsAreForgotten(t *testing.T) {
	eachDB(t, func(t *testing.T, f *office) {
		ctx, token := t.Context(), f.onUSBKEY(t)
		must(t, f.Lend(ctx, lent(token, now.AddDate(0, 0, 1)), f.holder()))
		out, err := f.LoansOut(ctx, f.person)
		must(t, err)
		must(t, f.GiveBack(ctx, token, out[0].ID, f.holder()))
		key := f.foreignIn(t, 0)
		must(t, f.Lend(ctx, lent(key.ID, now.AddDate(0, 0, 1)), f.holder()))
		r := newReminding(t, f)
		for _, test := range []struct {
			at   time.Time
			kept int
		}{{now.AddDate(1, 0, 0), 2}, {now.AddDate(1, 0, 0).Add(time.Second), 1}, {key.NotAfter.AddDate(1, 0, 0).Add(time.Second), 0}} {
			r.at = test.at
			must(t, r.Sweep(ctx))
			if left, err := f.Loans(ctx, f.person, "", order.Cursor{}, 10); err != nil || len(left.Loans) != test.kept {
				t.Errorf("%s: %+v, %v", test.at, left, err)
			}
		}
		if left, err := f.ForeignOf(ctx, f.person); err != nil || len(left) != 0 {
			t.Errorf("left %+v, %v", left, err)
		}
	})
}

// An opening for which the USBKEY may not be back is warned of.
func TestLoanBeforeAnOpening(t *testing.T) {
	at := now.AddDate(0, 0, 10)
	for name, test := range map[string]struct {
		due, back, now time.Time
		want           bool
	}{
		"due before":             {due: at.AddDate(0, 0, -5), now: now},
		"due after":              {due: at.Add(time.Hour), now: now, want: true},
		"due before, but soon":   {due: at.AddDate(0, 0, -5), now: at.AddDate(0, 0, -3), want: true},
		"due after, and is back": {due: at.Add(time.Hour), back: now, now: now},
	} {
		says, ok := certificate.Loan{DueAt: test.due, ReturnedAt: test.back}.Guard(certificate.Opening{At: at}, test.now)
		if ok != test.want || ok != strings.Contains(says, "借出中") {
			t.Errorf("%s: %q, %v", name, says, ok)
		}
	}
}
