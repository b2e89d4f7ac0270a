package certificate_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/order"
)

// flows.md 4.7: a revocation is put off until an hour after the opening; only its
// holder can do that, and only for an opening that is still to come and before the
// certificate's end.
func TestRevocationPutOff(t *testing.T) {
	eachDB(t, func(t *testing.T, f *office) {
		ctx, opening := t.Context(), now.AddDate(0, 0, 3)
		for _, test := range []struct {
			name    string
			opening time.Time
			by      order.Actor
			want    order.Kind
		}{
			{"somebody else", opening, order.Actor{Role: order.Applicant, PersonID: "p-else"}, order.NotFound},
			{"opened already", now.Add(-time.Minute), f.holder(), order.Conflict},
			{"opened after the end", now.AddDate(2, 0, 0), f.holder(), order.Conflict},
		} {
			if err := f.RemindAfterBid(ctx, serialA, test.opening, test.by); !errors.Is(err, test.want) {
				t.Errorf("%s: %v", test.name, err)
			}
		}
		reminders := func() []order.Notification {
			sent, err := f.db.Notifications(ctx, orderID)
			must(t, err)
			return slices.DeleteFunc(sent, func(n order.Notification) bool { return n.Notice != order.NoticeBidOpenedRevoke })
		}
		if len(reminders()) != 0 {
			t.Fatalf("refused, and reminded: %+v", reminders())
		}
		must(t, f.RemindAfterBid(ctx, serialA, opening, f.holder()))
		must(t, f.RemindAfterBid(ctx, serialB, opening.Add(time.Hour), f.holder())) // the other key of the order has its own
		got := reminders()
		if len(got) != 2 || got[0].State != order.DeliveryHeld || got[0].PersonID != f.person || !got[0].SendAt.Equal(opening.Add(time.Hour)) || !got[1].SendAt.Equal(opening.Add(2*time.Hour)) {
			t.Errorf("reminders %+v", got)
		}
		events, err := f.db.Events(ctx, orderID)
		must(t, err)
		if last := events[len(events)-1]; last.Event != order.RevocationPutOff {
			t.Errorf("the history ends with %+v", last)
		}
		// Whoever has waited may still revoke at once: it warns, and holds nothing up.
		_, err = f.Apply(ctx, serialA, certificate.Command{On: certificate.Revoke, By: f.holder(), MobileProven: true, Reason: certificate.KeyCompromise, Bid: certificate.BidAtStake})
		must(t, err)
		held, err := f.db.HeldNotifications(ctx, opening.Add(time.Hour), 10)
		must(t, err)
		if len(held) != 1 || held[0].ID != got[0].ID {
			t.Errorf("due an hour after the opening: %+v", held)
		}
	})
}
