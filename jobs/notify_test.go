package jobs

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

// F109: an SMS is sent once, its state is kept; a worker killed between sending
// and recording does not send it again.
func TestSMSOnce(t *testing.T) {
	tests := []struct {
		name  string
		first func(w *world) // before the first run
		again func(w *world) // before the second
		texts int
		state order.DeliveryState
		err   bool // of the second run
	}{
		{"sent, run again", func(*world) {}, func(*world) {}, 1, order.DeliverySent, false},
		{"answer lost", func(w *world) { w.lost = true }, func(w *world) { w.lost = false }, 1, order.DeliverySent, false},
		{"provider down, asked too soon", func(w *world) { w.smsErr = order.Errorf(order.Unavailable, "x", "x") }, func(w *world) { w.smsErr = nil }, 0, order.DeliverySending, true},
		{"provider down, asked later", func(w *world) { w.smsErr = order.Errorf(order.Unavailable, "x", "x") }, func(w *world) { w.smsErr = nil; w.at = w.at.Add(time.Minute) }, 1, order.DeliverySent, false},
		{"no such number", func(w *world) { w.smsErr = order.Errorf(order.Invalid, "x", "x") }, func(w *world) { w.smsErr = nil }, 0, order.DeliveryFailed, false},
		{"limit", func(w *world) { w.smsErr = order.Errorf(order.RateLimited, "x", "x") }, func(w *world) { w.smsErr = nil }, 1, order.DeliverySent, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			n := w.notification(t, w.approved(t, order.State{Status: order.ToIssue, Stage: order.Unclaimed}), order.Notification{Notice: order.NoticeApprovedIssue, Medium: order.SMS, To: order.ToAgent})
			tt.first(w)
			_ = w.notify(t.Context(), n.ID) // what it says is judged by the second run
			tt.again(w)
			if err := w.notify(t.Context(), n.ID); (err != nil) != tt.err {
				t.Errorf("second run: %v", err)
			}
			if got := w.state(t, n.ID); len(w.texts) != tt.texts || got.State != tt.state {
				t.Errorf("%d texts, state %s; want %d, %s", len(w.texts), got.State, tt.texts, tt.state)
			}
		})
	}
}

// A person without WeChat is told by SMS: the applicant gets one anyway, staff
// get it instead of the card.
func TestWeChatFallsBack(t *testing.T) {
	for _, tt := range []struct {
		name      string
		bound     bool
		wxErr     error
		staff     bool
		cards     int
		fallbacks int
	}{
		{"applicant bound", true, nil, false, 1, 0},
		{"applicant not bound", false, nil, false, 0, 0},
		{"staff bound", true, nil, true, 1, 0},
		{"staff not bound", false, nil, true, 0, 1},
		{"staff unfollowed", true, order.Errorf(order.NotFound, "wechat_unreachable", "x"), true, 0, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.wxErr = tt.wxErr
			o := w.approved(t, order.State{Status: order.InReview, Stage: order.Queued})
			n := order.Notification{Notice: order.NoticeApprovedIssue, Medium: order.WeChat, To: order.ToAgent}
			person := o.PersonID
			err := w.db.InTx(t.Context(), func(tx order.Tx) error {
				if tt.staff {
					p, err := tx.PersonByMobile(t.Context(), order.Person{ID: w.newID(), Mobile: identity.NewMobile("13800000011"), CreatedAt: w.at})
					if err != nil {
						return err
					}
					person = p.ID
					n = order.Notification{Notice: order.NoticeReviewTask, Medium: order.WeChat, To: order.ToReviewers, StaffID: "s1"}
					if err := tx.SaveStaff(t.Context(), order.Staff{ID: "s1", PersonID: p.ID, Name: "李审核", Roles: []order.Role{order.Reviewer}, CreatedAt: w.at}); err != nil {
						return err
					}
				}
				if !tt.bound {
					return nil
				}
				return tx.LinkWeChat(t.Context(), order.WeChatIdentity{AppID: "wx1", OpenID: "o1", PersonID: person, Subscribed: true, UpdatedAt: w.at})
			})
			if err != nil {
				t.Fatal(err)
			}
			n = w.notification(t, o, n)
			for range 2 {
				if err := w.notify(t.Context(), n.ID); err != nil {
					t.Fatal(err)
				}
			}
			all, err := w.db.Notifications(t.Context(), o.ID)
			if err != nil {
				t.Fatal(err)
			}
			fallbacks := slices.DeleteFunc(all, func(m order.Notification) bool { return m.FallbackOf != n.ID })
			if len(w.cards) != tt.cards || len(fallbacks) != tt.fallbacks {
				t.Errorf("%d cards, %d fallbacks; want %d, %d", len(w.cards), len(fallbacks), tt.cards, tt.fallbacks)
			}
			for _, f := range fallbacks {
				if err := w.notify(t.Context(), f.ID); err != nil {
					t.Fatal(err)
				}
				if want := "13800000011 review_task [0152]"; len(w.texts) != 1 || w.texts[0] != want {
					t.Errorf("fallback %v, want %q", w.texts, want)
				}
			}
		})
	}
}

// answer is an error in which a provider gave its own code.
type answer string

func (a answer) Error() string { return string(a) }

func (a answer) ProviderCode() string { return string(a) }

// Issue 4, 3: what each answer of WeChat means for a task card: it is kept with
// its code, tried again, or replaced by SMS, and never sent twice.
func TestWeChatAnswers(t *testing.T) {
	say := func(k order.Kind, code string, wait time.Duration) error {
		return &order.Error{Kind: k, Code: "x", RetryAfter: wait, Err: answer(code)}
	}
	for _, tt := range []struct {
		name  string
		err   error
		again bool
		state order.DeliveryState
		why   string
		sms   int
	}{
		{"no consent", say(order.NotFound, "wechat 43101", 0), false, order.DeliveryUnreachable, "wechat 43101", 1},
		{"unfollowed", say(order.NotFound, "wechat 43004", 0), false, order.DeliveryUnreachable, "wechat 43004", 1},
		{"silent for 48 hours", say(order.NotFound, "wechat 45015", 0), false, order.DeliveryUnreachable, "wechat 45015", 1},
		{"told enough", say(order.NotFound, "wechat 45047", 0), false, order.DeliveryUnreachable, "wechat 45047", 1},
		{"no such template", say(order.Invalid, "wechat 40037", 0), false, order.DeliveryFailed, "wechat 40037", 1},
		{"the day's quota", say(order.RateLimited, "wechat 45009", time.Hour), false, order.DeliveryUnreachable, "wechat 45009", 1},
		{"the minute's quota", say(order.RateLimited, "wechat 45011", time.Minute), true, order.DeliveryPending, "wechat 45011", 0},
		{"stale token", say(order.Unavailable, "wechat 40001", 0), true, order.DeliveryPending, "wechat 40001", 0},
		{"no answer", order.Errorf(order.Unavailable, "wechat_unavailable", "x"), true, order.DeliverySending, "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			o := w.approved(t, order.State{Status: order.InReview, Stage: order.Queued})
			n := w.task(t, o)
			w.wxErr = tt.err
			if err := w.notify(t.Context(), n.ID); (err != nil) != tt.again {
				t.Errorf("first run: %v", err)
			}
			got := w.state(t, n.ID)
			all, err := w.db.Notifications(t.Context(), o.ID)
			if err != nil || got.State != tt.state || got.Why != tt.why || got.Told != "138****0011" || len(all) != 1+tt.sms {
				t.Errorf("%s (%s) to %s, %d messages, %v", got.State, got.Why, got.Told, len(all), err)
			}
			w.wxErr = nil
			for range 2 {
				if err := w.notify(t.Context(), n.ID); err != nil {
					t.Fatal(err)
				}
			}
			if want := map[bool]int{true: 1}[tt.again]; len(w.cards) != want {
				t.Errorf("%d cards, want %d", len(w.cards), want)
			}
		})
	}
}

// task is a reviewer's card about an order, with the reviewer bound to WeChat.
func (w *world) task(t *testing.T, o order.Order) order.Notification {
	t.Helper()
	err := w.db.InTx(t.Context(), func(tx order.Tx) error {
		p, err := tx.PersonByMobile(t.Context(), order.Person{ID: w.newID(), Mobile: identity.NewMobile("13800000011"), CreatedAt: w.at})
		if err != nil {
			return err
		}
		return errors.Join(
			tx.SaveStaff(t.Context(), order.Staff{ID: "s1", PersonID: p.ID, Name: "李审核", Roles: []order.Role{order.Reviewer}, CreatedAt: w.at}),
			tx.LinkWeChat(t.Context(), order.WeChatIdentity{AppID: "wx1", OpenID: "o1", PersonID: p.ID, Subscribed: true, UpdatedAt: w.at}))
	})
	if err != nil {
		t.Fatal(err)
	}
	return w.notification(t, o, order.Notification{Notice: order.NoticeReviewTask, Medium: order.WeChat, To: order.ToReviewers, StaffID: "s1"})
}

// consents gives a reviewer's two accounts so many consents for task notices.
func (w *world) consents(t *testing.T, official, mini int) {
	t.Helper()
	m, err := w.db.Staff(t.Context(), "s1")
	if err != nil {
		t.Fatal(err)
	}
	err = w.db.InTx(t.Context(), func(tx order.Tx) error {
		return tx.LinkWeChat(t.Context(), order.WeChatIdentity{AppID: "wxmini", OpenID: "m1", PersonID: m.PersonID, Subscribed: true, UpdatedAt: w.at})
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range max(official, mini) {
		var cs []order.WeChatConsent
		at := w.at.Add(time.Duration(i-10) * time.Minute)
		if i < official {
			cs = append(cs, order.WeChatConsent{AppID: "wx1", OpenID: "o1", TemplateID: "S2", Accepted: true, At: at})
		}
		if i < mini {
			cs = append(cs, order.WeChatConsent{AppID: "wxmini", OpenID: "m1", TemplateID: "S2", Accepted: true, At: at})
		}
		if err := w.db.RecordConsents(t.Context(), cs); err != nil {
			t.Fatal(err)
		}
	}
}

func (w *world) left(t *testing.T) (official, mini int) {
	t.Helper()
	for _, c := range []struct {
		app, open string
		left      *int
	}{{"wx1", "o1", &official}, {"wxmini", "m1", &mini}} {
		got, err := w.db.Consent(t.Context(), c.app, c.open, "S2")
		if err != nil && !errors.Is(err, order.NotFound) {
			t.Fatal(err)
		}
		*c.left = got.Left
	}
	return official, mini
}

// Issue 4: a message goes out for a consent when there is one, else as a template
// message, else by SMS; each attempt is kept, and a consent pays for one notice.
func TestSubscriptionNotices(t *testing.T) {
	const page = " https://ra.example.cn/staff/review/"
	say := func(k order.Kind, code string) error { return &order.Error{Kind: k, Code: "x", Err: answer(code)} }
	refused, wrong, busy := say(order.NotFound, "wechat 43101"), say(order.Invalid, "wechat 47003"), say(order.Unavailable, "wechat -1")
	silent := order.Errorf(order.Unavailable, "wechat_unavailable", "x")
	for _, tt := range []struct {
		name                 string
		official, mini       int // consents
		officialErr, miniErr error
		templateErr          error
		card                 string // the one that arrived, without its page
		sms                  int
		officialLeft         int
		miniLeft             int
		attempts             []order.Attempt // without N and At
	}{
		{
			"the official account's", 2, 1, nil, nil, nil, "subscription o1 S2", 0, 1, 1,
			[]order.Attempt{{State: order.DeliverySending, Way: order.BySubscription}, {State: order.DeliverySent, Way: order.BySubscription}},
		},
		{"the mini-program's", 0, 1, nil, nil, nil, "mini_subscription m1 S2", 0, 0, 0, []order.Attempt{{State: order.DeliverySending, Way: order.ByMiniSubscription}, {State: order.DeliverySent, Way: order.ByMiniSubscription}}},
		{"no consent", 0, 0, nil, nil, nil, "o1 T2", 0, 0, 0, []order.Attempt{{State: order.DeliverySending, Way: order.ByTemplate}, {State: order.DeliverySent, Way: order.ByTemplate}}},
		{"WeChat knows of no consent", 3, 1, refused, nil, nil, "mini_subscription m1 S2", 0, 0, 0, []order.Attempt{
			{State: order.DeliverySending, Way: order.BySubscription},
			{State: order.DeliveryPending, Way: order.BySubscription, Why: "wechat 43101"},
			{State: order.DeliverySending, Way: order.ByMiniSubscription},
			{State: order.DeliverySent, Way: order.ByMiniSubscription},
		}},
		{"a template that is wrong costs nothing", 1, 1, wrong, wrong, nil, "o1 T2", 0, 1, 1, []order.Attempt{
			{State: order.DeliverySending, Way: order.BySubscription},
			{State: order.DeliveryPending, Way: order.BySubscription, Why: "wechat 47003"},
			{State: order.DeliverySending, Way: order.ByMiniSubscription},
			{State: order.DeliveryPending, Way: order.ByMiniSubscription, Why: "wechat 47003"},
			{State: order.DeliverySending, Way: order.ByTemplate},
			{State: order.DeliverySent, Way: order.ByTemplate},
		}},
		{"busy once", 1, 0, busy, nil, nil, "o1 T2", 0, 1, 0, []order.Attempt{
			{State: order.DeliverySending, Way: order.BySubscription},
			{State: order.DeliveryPending, Way: order.BySubscription, Why: "wechat -1"},
			{State: order.DeliverySending, Way: order.ByTemplate},
			{State: order.DeliverySent, Way: order.ByTemplate},
		}},
		{"nobody knows: it is not repeated", 1, 0, silent, nil, nil, "o1 T2", 0, 0, 0, []order.Attempt{
			{State: order.DeliverySending, Way: order.BySubscription},
			{State: order.DeliveryPending, Way: order.BySubscription, Why: "unconfirmed"},
			{State: order.DeliverySending, Way: order.ByTemplate},
			{State: order.DeliverySent, Way: order.ByTemplate},
		}},
		{"by SMS at last", 1, 0, refused, nil, say(order.NotFound, "wechat 43004"), "", 1, 0, 0, []order.Attempt{
			{State: order.DeliverySending, Way: order.BySubscription},
			{State: order.DeliveryPending, Way: order.BySubscription, Why: "wechat 43101"},
			{State: order.DeliverySending, Way: order.ByTemplate},
			{State: order.DeliveryUnreachable, Way: order.ByTemplate, Why: "wechat 43004"},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			o := w.approved(t, order.State{Status: order.InReview, Stage: order.Queued})
			n := w.task(t, o)
			w.consents(t, tt.official, tt.mini)
			w.subErr[order.BySubscription], w.subErr[order.ByMiniSubscription], w.wxErr = tt.officialErr, tt.miniErr, tt.templateErr
			for range 3 { // the queue repeats what failed, and what did not
				if err := w.notify(t.Context(), n.ID); err != nil && !errors.Is(err, silent) {
					t.Fatal(err)
				}
			}
			var want []string
			if tt.card != "" {
				want = []string{tt.card + page + string(o.ID)}
			}
			if !slices.Equal(w.cards, want) {
				t.Errorf("cards %q, want %q", w.cards, want)
			}
			all, err := w.db.Notifications(t.Context(), o.ID)
			if err != nil || len(all) != 1+tt.sms {
				t.Errorf("%d messages, %v", len(all), err)
			}
			if official, mini := w.left(t); official != tt.officialLeft || mini != tt.miniLeft {
				t.Errorf("%d and %d consents left, want %d and %d", official, mini, tt.officialLeft, tt.miniLeft)
			}
			attempts, err := w.db.Attempts(t.Context(), n.ID)
			if err != nil {
				t.Fatal(err)
			}
			for i := range attempts {
				attempts[i].N, attempts[i].At = 0, time.Time{}
			}
			if !slices.Equal(attempts, tt.attempts) {
				t.Errorf("attempts %+v", attempts)
			}
		})
	}
}

// Two messages at once and one consent: one of them is a template message.
func TestOneConsentTwoMessages(t *testing.T) {
	w := newWorld(t)
	o := w.approved(t, order.State{Status: order.InReview, Stage: order.Queued})
	first := w.task(t, o)
	second := w.notification(t, o, order.Notification{Seq: 9, Notice: order.NoticeAssigned, Medium: order.WeChat, To: order.ToOwner, StaffID: "s1"})
	w.consents(t, 1, 0)
	for _, n := range []order.Notification{first, second} {
		if err := w.notify(t.Context(), n.ID); err != nil {
			t.Fatal(err)
		}
	}
	if got := []order.Way{w.state(t, first.ID).Way, w.state(t, second.ID).Way}; !slices.Equal(got, []order.Way{order.BySubscription, order.ByTemplate}) {
		t.Errorf("ways %v", got)
	}
}

// A notice that WeChat reports as refused after it took it goes out by the next way.
func TestReportedAsRefused(t *testing.T) {
	w := newWorld(t)
	o := w.approved(t, order.State{Status: order.InReview, Stage: order.Queued})
	n := w.task(t, o)
	w.consents(t, 1, 0)
	if err := w.notify(t.Context(), n.ID); err != nil {
		t.Fatal(err)
	}
	sent := w.state(t, n.ID)
	for _, want := range []error{nil, order.Conflict} {
		if err := w.Orders.GoOn(t.Context(), sent, "user refuse"); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	if err := w.notify(t.Context(), n.ID); err != nil {
		t.Fatal(err)
	}
	if got := w.state(t, n.ID); got.Way != order.ByTemplate || got.State != order.DeliverySent || len(w.cards) != 2 {
		t.Errorf("%+v, cards %v", got, w.cards)
	}
}

// A process killed while WeChat was being called: within WeChat's memory the same
// id is sent again, which is one message; later nobody knows, so it is not
// repeated and SMS takes its place.
func TestCardAfterAKill(t *testing.T) {
	for name, after := range map[string]time.Duration{"soon": wechatMemory - time.Second, "late": wechatMemory} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			o := w.approved(t, order.State{Status: order.InReview, Stage: order.Queued})
			n := w.task(t, o)
			if _, err := w.attempt(t.Context(), n); err != nil { // and then it died
				t.Fatal(err)
			}
			w.at = w.at.Add(after)
			if err := w.notify(t.Context(), n.ID); err != nil {
				t.Fatal(err)
			}
			got := w.state(t, n.ID)
			want := order.DeliverySent
			if name == "late" {
				want = order.DeliveryFailed
			}
			all, err := w.db.Notifications(t.Context(), o.ID)
			if err != nil || got.State != want || len(w.cards)+len(all)-1 != 1 {
				t.Errorf("%s (%s), %d cards, %d messages, %v", got.State, got.Why, len(w.cards), len(all), err)
			}
		})
	}
}

// A task that was held over quiet hours and is done by then is not sent.
func TestHeldTaskIsDropped(t *testing.T) {
	w := newWorld(t)
	o := w.approved(t, order.State{Status: order.ToIssue, Stage: order.Unclaimed})
	n := w.task(t, o)
	held := order.Notification{ID: "held", OrderID: o.ID, Seq: 7, Notice: order.NoticeReviewTask, Medium: order.WeChat, To: order.ToReviewers, StaffID: "s1", State: order.DeliveryPending, SendAt: w.at, CreatedAt: w.at, UpdatedAt: w.at}
	w.insert(t, held)
	for _, id := range []string{n.ID, "held"} {
		if err := w.notify(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.state(t, "held").State; got != order.DeliveryDropped || len(w.cards) != 1 {
		t.Errorf("%s, %d cards", got, len(w.cards))
	}
}

// Without a link of WeChat's the legal representative gets that of the web, and the log
// says why.
func TestLinkWithoutTheMiniProgram(t *testing.T) {
	var log strings.Builder
	n, refusal := order.Notification{ID: "01NOTE"}, errors.New("quota used up")
	d := Deps{Log: slog.New(slog.NewTextHandler(&log, nil))}
	if got := d.miniLink(t.Context(), n, "token"); got != "" || log.Len() > 0 {
		t.Errorf("without a mini-program: %q, logged %q", got, log.String())
	}
	d.MiniProgramLink = func(_ context.Context, token string) (string, error) { return "weixin://" + token, refusal }
	if got := d.miniLink(t.Context(), n, "token"); got != "" || !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), `notification=01NOTE err="quota used up"`) {
		t.Errorf("refused: %q, logged %q", got, log.String())
	}
	refusal = nil
	if got := d.miniLink(t.Context(), n, "token"); got != "weixin://token" {
		t.Errorf("link %q", got)
	}
}
