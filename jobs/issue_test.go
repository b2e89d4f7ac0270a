package jobs

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/request"
)

// A key is made once; one that cannot be made is handed to a person, its blank
// scrapped, and can be tried again under a new request.
func TestIssue(t *testing.T) {
	w := newWorld(t)
	o := w.approved(t, order.State{Status: order.ToIssue, Stage: order.Unclaimed})
	items, err := w.db.Items(t.Context(), o.ID)
	if err != nil {
		t.Fatal(err)
	}
	item := items[0].ID
	if err := w.issue(t.Context(), attempt{ref: item, n: 1}); err != nil { // not claimed: nothing to do
		t.Fatal(err)
	}
	for range 2 { // the station's job may run again
		if err := w.station(t.Context(), string(o.ID)); err != nil {
			t.Fatal(err)
		}
	}
	w.issues[item+"-1"] = order.Errorf(order.Unavailable, "issuer_unavailable", "签发服务繁忙，请稍后重试")
	if err := w.issue(t.Context(), attempt{ref: item, n: 1}); err == nil {
		t.Fatal("a passing failure is not retried")
	}
	if err := w.issue(t.Context(), attempt{ref: item, n: issueTries}); err != nil {
		t.Fatal(err)
	}
	got, err := w.db.Order(t.Context(), o.ID)
	if err != nil || got.Stage != order.MakingFailed || !slices.Equal(w.scraps, []string{item + "-1"}) {
		t.Fatalf("after the last try: %s, scrapped %v, %v", got.Stage, w.scraps, err)
	}
	if _, err := w.Orders.Apply(t.Context(), o.ID, order.Command{On: order.RetryKey, By: order.Actor{Role: order.Issuer, StaffID: "s9"}, Item: item}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.issue(t.Context(), attempt{ref: item, n: 1}); err != nil && !errors.Is(err, order.Conflict) {
			t.Fatal(err)
		}
	}
	if got, err = w.db.Order(t.Context(), o.ID); err != nil || got.Status != order.ToShip || got.Verified != 1 {
		t.Fatalf("made: %s, %d verified, %v", got.Status, got.Verified, err)
	}
}

// F124: a key that takes four eyes waits for a person to begin; the station that works by
// itself then makes it like any other.
func TestStationLeavesFourEyesToAPerson(t *testing.T) {
	w := newWorld(t)
	o := w.approved(t, order.State{Status: order.ToIssue, Stage: order.Unclaimed}, func(o *order.Order) { o.Product.FourEyes, o.ReviewerID = true, "s1" })
	if err := w.station(t.Context(), string(o.ID)); err != nil {
		t.Fatal(err)
	}
	items, err := w.db.Items(t.Context(), o.ID)
	if err != nil || items[0].Stage != order.ItemWaiting {
		t.Fatalf("%s, %v", items[0].Stage, err)
	}
	start := func(staff string) error {
		_, err := w.Orders.Apply(t.Context(), o.ID, order.Command{On: order.MakeKey, By: order.Actor{Role: order.Issuer, StaffID: staff}, Item: items[0].ID})
		return err
	}
	if err := start("s1"); !errors.Is(err, order.Forbidden) {
		t.Errorf("who approved it: %v", err)
	}
	if err := start("s9"); err != nil {
		t.Fatal(err)
	}
	if err := w.issue(t.Context(), attempt{ref: items[0].ID, n: 1}); err != nil {
		t.Fatal(err)
	}
	if got, err := w.db.Order(t.Context(), o.ID); err != nil || got.Status != order.ToShip {
		t.Errorf("%s, %v", got.State, err)
	}
}

// taken is an order whose first key the station has begun to make, and that key.
func (w *world) taken(t *testing.T) (o order.Order, item string) {
	t.Helper()
	o = w.approved(t, order.State{Status: order.ToIssue, Stage: order.Unclaimed})
	if err := w.station(t.Context(), string(o.ID)); err != nil {
		t.Fatal(err)
	}
	items, err := w.db.Items(t.Context(), o.ID)
	if err != nil {
		t.Fatal(err)
	}
	return o, items[0].ID
}

// A request that nobody answered in time, as when the clock leaps, is no refusal: the
// key is asked for again.
func TestIssueExpired(t *testing.T) {
	w := newWorld(t)
	_, item := w.taken(t)
	w.issues[item+"-1"] = order.Errorf(order.Conflict, request.Expired, "请求已过期，请重新开始")
	if err := w.issue(t.Context(), attempt{ref: item, n: 1}); !errors.Is(err, order.Unavailable) || errors.Is(err, order.Conflict) {
		t.Errorf("expired: %v, want to be tried again", err)
	}
	if it, err := w.db.Item(t.Context(), item); err != nil || it.Stage != order.ItemMaking || len(w.scraps) > 0 {
		t.Errorf("item %s, scrapped %v, %v", it.Stage, w.scraps, err)
	}
}

// A key whose answer was never heard, and that was made all the same, is not given up.
func TestIssueMadeUnheard(t *testing.T) {
	w := newWorld(t)
	o, item := w.taken(t)
	issue := item + "-1"
	w.issues[issue], w.made = order.Errorf(order.Unavailable, "issuer_unavailable", "签发服务繁忙，请稍后重试"), map[string]bool{issue: true}
	if err := w.issue(t.Context(), attempt{ref: item, n: issueTries}); err != nil {
		t.Fatal(err)
	}
	if got, err := w.db.Order(t.Context(), o.ID); err != nil || got.Status != order.ToShip || len(w.scraps) > 0 {
		t.Errorf("%s, scrapped %v, %v", got.Status, w.scraps, err)
	}
}

// What the CA refuses is not tried again: a person reads why.
func TestIssueRefused(t *testing.T) {
	w := newWorld(t)
	_, item := w.taken(t)
	w.issues[item+"-1"] = order.Errorf(order.Conflict, "csr_weak_key", "密钥强度不足")
	if err := w.issue(t.Context(), attempt{ref: item, n: 1}); err != nil {
		t.Fatal(err)
	}
	it, err := w.db.Item(t.Context(), item)
	if err != nil || it.Stage != order.ItemFailed || it.Note != "密钥强度不足" {
		t.Errorf("item %s, note %q, %v", it.Stage, it.Note, err)
	}
}

// stubborn is an issuer that will neither tell what it made nor have it scrapped.
type stubborn struct {
	t     *testing.T
	asked []request.Kind
}

func (s *stubborn) AskOnce(_ context.Context, _ string, k request.Kind, _ string, _ []byte) ([]byte, error) {
	if s.asked = append(s.asked, k); len(s.asked) > 10 {
		s.t.Fatal("the issuer is asked without an end")
	}
	if k == request.ScrapIssue {
		return nil, order.Errorf(order.Conflict, "issue_done", "证书已制作完成，不能作废。")
	}
	return nil, order.Errorf(order.Conflict, "issue_changed", "x")
}

// An issuer that contradicts itself is asked again later, not at once, and the job does
// not pass for done.
func TestIssueContradicted(t *testing.T) {
	w := newWorld(t)
	_, item := w.taken(t)
	desk := &stubborn{t: t}
	w.Desk = desk
	if err := w.issue(t.Context(), attempt{ref: item, n: 1}); err == nil || errors.Is(err, order.Conflict) {
		t.Errorf("%v", err)
	}
	if want := []request.Kind{request.MakeKey, request.ScrapIssue, request.MakeKey}; !slices.Equal(desk.asked, want) {
		t.Errorf("asked %v, want %v", desk.asked, want)
	}
}
