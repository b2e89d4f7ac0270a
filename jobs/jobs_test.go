package jobs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/issuance"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/request"
	"github.com/yuncaidun/yuncaidun/store"
	"github.com/yuncaidun/yuncaidun/store/storetest"
	"github.com/yuncaidun/yuncaidun/templates/notice"
)

// world is what the workers talk to: providers that remember, over a real store.
type world struct {
	Deps
	db     *store.DB
	at     time.Time
	ids    int
	texts  []string // "number template params"
	lost   bool     // the SMS goes out, but the answer is lost
	went   map[string]bool
	smsErr error
	cards  []string // "openid template url"
	wxErr  error
	subErr map[order.Way]error // of subscription notices
	erased []string

	objects map[string][]byte
	issues  map[string]error // by request id; nil makes a certificate
	scraps  []string
	made    map[string]bool // issues that are done, though nobody heard of it
	check   order.RealNameResult
}

func newWorld(t *testing.T) *world {
	t.Helper()
	master := make([]byte, store.KeySize)
	keyset, err := store.NewKeyset(master)
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := store.NewSealer(keyset, master, master)
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), storetest.DSN(t, "sqlite", store.MigrateAt), sealer)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	cat, err := order.ReadCatalogue(bytes.NewReader(order.SeededCatalogue()))
	if err != nil {
		t.Fatal(err)
	}
	cal, err := order.DefaultCalendar()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{db: db, at: time.Date(2026, 11, 23, 2, 30, 0, 0, time.UTC), went: map[string]bool{}, objects: map[string][]byte{}, issues: map[string]error{}, check: order.RealNameMatch}
	now := func() time.Time { return w.at }
	w.subErr = map[order.Way]error{}
	w.Deps = Deps{
		Subscriptions: []Subscription{w.subscription(order.BySubscription, "wx1"), w.subscription(order.ByMiniSubscription, "wxmini")},
		Orders:        order.NewService(order.Deps{Store: db, Calendar: cal, Catalogue: func() order.Catalogue { return cat }, Now: now, NewID: w.newID, LinkKey: make([]byte, 32)}),
		Store:         db, Objects: w, SMS: smsFake{w}, WeChat: w, RealName: w, Links: notice.Links{PublicURL: "https://ra.example.cn"},
		Templates: map[string]string{notice.ProgressTemplate: "T1", notice.TaskTemplate: "T2"}, AppID: "wx1", Desk: w, NewID: w.newID, Office: w, StationAuto: true, Now: now, Wall: now,
	}
	return w
}

func (w *world) newID() string {
	w.ids++
	return fmt.Sprintf("01JOBS%020d", w.ids)
}

type smsFake struct{ *world }

func (s smsFake) Send(_ context.Context, id string, to identity.Mobile, template string, params []string) (string, error) {
	if s.smsErr != nil {
		return "", s.smsErr
	}
	s.texts = append(s.texts, fmt.Sprint(to.Reveal(), " ", template, " ", params))
	s.went[id] = true
	if s.lost {
		return "", order.Errorf(order.Unavailable, "sms_down", "短信平台没有应答")
	}
	return "serial-" + id, nil
}

func (s smsFake) Sent(_ context.Context, id string, _ identity.Mobile) (bool, error) {
	return s.went[id], nil
}

func (w *world) SendTemplate(_ context.Context, id, openID, templateID, url string, _ map[string]string) (string, error) {
	if w.wxErr != nil {
		return "", w.wxErr
	}
	w.cards = append(w.cards, fmt.Sprint(openID, " ", templateID, " ", url))
	return "msg-" + id, nil
}

func (w *world) subscription(way order.Way, appID string) Subscription {
	return Subscription{Way: way, AppID: appID, Templates: map[string]string{notice.ProgressTemplate: "S1", notice.TaskTemplate: "S2"}, Send: func(_ context.Context, openID, templateID, url string, _ map[string]string) (string, error) {
		if err := w.subErr[way]; err != nil {
			return "", err
		}
		w.cards = append(w.cards, fmt.Sprint(way, " ", openID, " ", templateID, " ", url))
		return fmt.Sprint("sub-", len(w.cards)), nil
	}}
}

func (w *world) Check(context.Context, identity.PersonName, identity.DocType, identity.DocNo, identity.Mobile) (order.RealNameResult, error) {
	return w.check, nil
}

func (w *world) Get(_ context.Context, id string) ([]byte, error) {
	content, ok := w.objects[id]
	if !ok {
		return nil, order.Errorf(order.NotFound, "object_not_found", "没有")
	}
	return content, nil
}

func (w *world) Put(_ context.Context, id string, content []byte) error {
	w.objects[id] = content
	return nil
}

func (w *world) Delete(_ context.Context, id string) error {
	w.erased = append(w.erased, id)
	return nil
}

// Ask is the issuer; what it refuses is a refusal of the domain.
func (w *world) AskOnce(_ context.Context, _ string, k request.Kind, issue string, body []byte) ([]byte, error) {
	switch k {
	case request.MakeKey:
		var r issuance.Request
		if err := json.Unmarshal(body, &r); err != nil || r.ID != issue {
			return nil, fmt.Errorf("asked about %s for %s: %w", r.ID, issue, err)
		}
		if err := w.issues[issue]; err != nil {
			return nil, err
		}
		return json.Marshal(request.Made{TokenSerial: "TW00000000000001", CertSerial: fmt.Sprintf("%040X", w.ids)})
	case request.ScrapIssue:
		if w.made[issue] {
			delete(w.issues, issue)
			return nil, order.Errorf(order.Conflict, "issue_done", "证书已制作完成，不能作废。")
		}
		w.scraps = append(w.scraps, issue)
		return nil, nil
	default:
		return nil, fmt.Errorf("asked for %s", k)
	}
}

func (w *world) Execute(context.Context, string) error { return nil }

// approved brings a ¥0 order with one key through review to 待制证. The seeded
// catalogue sells none, so the order is written as the service would have left it.
func (w *world) approved(t *testing.T, s order.State) order.Order {
	t.Helper()
	o := order.Order{
		ID: order.ID(w.newID()), No: fmt.Sprintf("SAAS1202611231030%02d000152", w.ids), Business: order.Initial, State: s, Lines: []order.Line{{Quantity: 1}},
		Product: order.Product{Code: "yd-initial", Name: "初购", Business: order.Initial, IssueMode: order.ByAdmin, Algorithm: order.P256, Term: 1},
		Company: "云岭测试科技有限公司", USCC: "91110108MA00TEN18F", Submission: 1, CreatedAt: w.at, UpdatedAt: w.at,
		Form: order.NewForm(map[order.Field]string{order.AgentMobile: "17700007069", order.ShipMobile: "17700007069", order.IDFront: "01FRONT", order.LetterImage: "01LETTER"}),
	}
	o.Snapshot = o.Hash()
	err := w.db.InTx(t.Context(), func(tx order.Tx) error {
		p, err := tx.PersonByMobile(t.Context(), order.Person{ID: w.newID(), Mobile: identity.NewMobile("17700007069"), CreatedAt: w.at})
		if err != nil {
			return err
		}
		o.PersonID = p.ID
		if err := tx.InsertOrder(t.Context(), o); err != nil {
			return err
		}
		return tx.ReplaceItems(t.Context(), o.ID, []order.Item{{ID: w.newID(), OrderID: o.ID, N: 1, Stage: order.ItemWaiting, UpdatedAt: w.at}})
	})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func (w *world) notification(t *testing.T, o order.Order, n order.Notification) order.Notification {
	t.Helper()
	n.ID, n.OrderID, n.State, n.CreatedAt, n.UpdatedAt = w.newID(), o.ID, order.DeliveryPending, w.at, w.at
	w.insert(t, n)
	return n
}

func (w *world) insert(t *testing.T, n order.Notification) {
	t.Helper()
	err := w.db.InTx(t.Context(), func(tx order.Tx) error {
		_, err := tx.InsertNotification(t.Context(), n)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) state(t *testing.T, id string) order.Notification {
	t.Helper()
	n, err := w.db.Notification(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Every follow-up of the lifecycle has a registered worker, and no worker waits
// for a job that nobody enqueues. An issuer alone knows all kinds as well: when it
// leads, River discards the stuck jobs of kinds that it does not know.
func TestEveryJobHasAWorker(t *testing.T) {
	w := newWorld(t)
	for name, d := range map[string]Deps{"all roles": w.Deps, "issuer": {Office: w}} {
		t.Run(name, func(t *testing.T) {
			runners := d.runners()
			for _, kind := range order.JobKinds {
				if runners[kind] == nil {
					t.Errorf("no worker for %s", kind)
				}
				delete(runners, kind)
			}
			for kind := range runners {
				t.Errorf("worker for %s, which nobody enqueues", kind)
			}
			Register(river.NewWorkers(), d) // panics when two workers share a kind
		})
	}
}

// What becomes of a job says the kind of its error.
func TestErrorsDecide(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"done", nil, "done"},
		{"done by somebody else", order.Errorf(order.Conflict, "order_not_ready", "x"), "done"},
		{"lost a race", order.Errorf(order.Conflict, "order_changed", "x"), "retry"},
		{"provider down", order.Errorf(order.Unavailable, "x", "x"), "retry"},
		{"our own fault", errors.New("bug"), "retry"},
		{"limit", &order.Error{Kind: order.RateLimited, Code: "x", RetryAfter: time.Minute}, "snooze"},
		{"limit, wrapped", errors.Join(&order.Error{Kind: order.RateLimited, Code: "x"}, nil), "snooze"},
		{"never", order.Errorf(order.NotFound, "x", "x"), "cancel"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var log strings.Builder
			wk := worker{run: func(context.Context, attempt) error { return tt.err }, log: slog.New(slog.NewTextHandler(&log, nil))}
			err := wk.Work(t.Context(), &river.Job[args]{JobRow: &rivertype.JobRow{Attempt: 1, Kind: "refund"}})
			got := "retry"
			switch {
			case err == nil:
				got = "done"
			case errors.Is(err, &river.JobSnoozeError{}):
				got = "snooze"
			case errors.Is(err, &river.JobCancelError{}):
				got = "cancel"
			}
			if got != tt.want {
				t.Errorf("%s, want %s (%v)", got, tt.want, err)
			}
			if said := strings.Contains(log.String(), "level=ERROR") && strings.Contains(log.String(), "kind=refund"); said != (got == "cancel") {
				t.Errorf("it was logged that the job is given up: %t; the log is %q", said, log.String()) // River says nothing
			}
		})
	}
}

// A provider that is away for a week is asked again as often as River asks us.
func TestRetriesLastForDays(t *testing.T) {
	now := time.Date(2026, 11, 23, 2, 30, 0, 0, time.UTC)
	at := now
	wk := worker{clock: func() time.Time { return at }}
	for n := 1; n < store.MaxAttempts; n++ {
		at = wk.NextRetry(&river.Job[args]{JobRow: &rivertype.JobRow{Attempt: n}})
	}
	if days := at.Sub(now).Hours() / 24; days < 13 || days > 15 {
		t.Errorf("a job is given up after %.1f days, want two weeks", days)
	}
}

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

func (a answer) Error() string        { return string(a) }
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

// The real-name answer belongs to the submission it was asked for; a deleted
// order loses its images and its form.
func TestMaterials(t *testing.T) {
	w := newWorld(t)
	o := w.approved(t, order.State{Status: order.InReview, Stage: order.Queued})
	for range 2 {
		if err := w.realName(t.Context(), string(o.ID)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := w.db.Order(t.Context(), o.ID)
	if err != nil || got.RealName != order.RealNameMatch {
		t.Fatalf("real name %q, %v", got.RealName, err)
	}
	draft := w.approved(t, order.State{Status: order.Draft})
	if err := w.Orders.RecordUpload(t.Context(), draft.ID, "01REPLACED"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Orders.Delete(t.Context(), draft.ID, order.Actor{Role: order.Applicant, PersonID: draft.PersonID}, ""); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.purge(t.Context(), string(draft.ID)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.purge(t.Context(), string(o.ID)); err != nil { // still alive
		t.Fatal(err)
	}
	if !slices.Equal(w.erased, []string{"01FRONT", "01LETTER", "01REPLACED"}) {
		t.Errorf("erased %v", w.erased)
	}
	gone, err := w.db.Kept(t.Context(), draft.ID)
	if err != nil || len(gone.Form.Reveal()) != 0 {
		t.Errorf("%s left of the form, %v", gone.Form, err)
	}
}

// ended are the certificates that a reminder is about.
type ended []certificate.Certificate

func (e ended) Reminded(context.Context, order.ID, int64) ([]certificate.Certificate, error) {
	return slices.Clone(e), nil
}

func (e ended) HeldBy(context.Context, string) ([]certificate.Certificate, error) {
	return slices.Clone(e), nil
}

func (e ended) Certificate(context.Context, string) (certificate.Certificate, error) {
	return certificate.Certificate{}, certificate.NotFound()
}

func (e ended) OpeningsOf(_ context.Context, personID string, now time.Time) ([]certificate.Opening, error) {
	if e[0].PersonID != personID || e[0].State() == certificate.Revoked {
		return nil, nil
	}
	return []certificate.Opening{{OrderID: e[0].OrderID, Seq: e[0].Rev, At: now.Add(time.Hour)}}, nil
}

func (e ended) Contacts(_ context.Context, personID, uscc string) ([]certificate.Contact, error) {
	return []certificate.Contact{{PersonID: personID, USCC: uscc, Role: order.ToLeader, Mobile: identity.NewMobile("13700137000")}}, nil
}

// Flows 4.7: who answers for the company reads whose certificate it is, in a message
// without a link of the holder's; a contact that is no more gets none.
func TestContactIsReminded(t *testing.T) {
	w := newWorld(t)
	w.Certificates = ended{{TokenSerial: "TW11782207000008", Holder: "云岭测试科技有限公司", NotAfter: time.Date(2026, 11, 30, 3, 0, 0, 0, time.UTC)}}
	o := w.approved(t, order.State{Status: order.Completed})
	for to, want := range map[order.Audience]order.DeliveryState{order.ToLeader: order.DeliverySent, order.ToSecond: order.DeliveryUnreachable} {
		n := w.notification(t, o, order.Notification{Seq: w.at.UnixMilli(), Notice: order.NoticeRenewContact, Medium: order.SMS, To: to, PersonID: o.PersonID})
		if err := w.notify(t.Context(), n.ID); err != nil {
			t.Fatal(err)
		}
		if got := w.state(t, n.ID); got.State != want {
			t.Errorf("%s: %s (%s)", to, got.State, got.Why)
		}
	}
	if want := "13700137000 renew_contact [UKEY 尾号 0008 11月30日 云岭测试科技有限公司]"; strings.Join(w.texts, ";") != want {
		t.Errorf("said %v, want %s", w.texts, want)
	}
}

// Finance is told of differences that are still open, on a card that names no trade.
func TestBillDiffers(t *testing.T) {
	for _, open := range []bool{true, false} {
		w := newWorld(t)
		var id string
		err := w.db.InTx(t.Context(), func(tx order.Tx) error {
			p, err := tx.PersonByMobile(t.Context(), order.Person{ID: w.newID(), Mobile: identity.NewMobile("13900139000"), CreatedAt: w.at})
			if err != nil {
				return err
			}
			m := order.Staff{ID: w.newID(), PersonID: p.ID, Name: "周财务", Roles: []order.Role{order.Finance}, CreatedAt: w.at}
			err = errors.Join(tx.SaveStaff(t.Context(), m), tx.LinkWeChat(t.Context(), order.WeChatIdentity{AppID: "wx1", OpenID: "o9", PersonID: p.ID, Subscribed: true, UpdatedAt: w.at}))
			if open {
				err = errors.Join(err, tx.InsertDifference(t.Context(), order.Difference{ID: w.newID(), Channel: order.Alipay, Day: "2026-11-22", Kind: order.UnknownHere, Number: "X", FoundAt: w.at}))
			}
			id = w.newID()
			return errors.Join(err, order.Send(t.Context(), tx, order.Notification{ID: id, Seq: w.at.UnixMilli(), Notice: order.NoticeBillDiffers, Medium: order.WeChat, To: order.ToFinance, StaffID: m.ID, CreatedAt: w.at}))
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.notify(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		want, cards := order.DeliveryDropped, 0
		if open {
			want, cards = order.DeliverySent, 1
		}
		if got := w.state(t, id); got.State != want || len(w.cards) != cards {
			t.Errorf("open %v: %s, %v", open, got.State, w.cards)
		}
	}
}

// Flows 4.7: who put a revocation off until the bids were opened is reminded only of what
// is left to revoke by then.
func TestRevocationIsStillDue(t *testing.T) {
	revoke := func(c *certificate.Certificate) { c.RevokedAt, c.Reason = c.NotAfter, certificate.KeyCompromise }
	for _, tt := range []struct {
		name    string
		become  func(*certificate.Certificate)
		another bool // key of the same order is as it was
		want    order.DeliveryState
	}{
		{"as it was", func(*certificate.Certificate) {}, false, order.DeliverySent},
		{"revoked", revoke, false, order.DeliveryDropped},
		{"over", func(c *certificate.Certificate) { c.NotAfter = c.NotAfter.AddDate(-1, 0, 0) }, false, order.DeliveryDropped},
		{"of another order", func(c *certificate.Certificate) { c.OrderID = "01OTHER" }, false, order.DeliveryDropped},
		{"revoked, but not the other", revoke, true, order.DeliverySent},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			o := w.approved(t, order.State{Status: order.Completed})
			c := certificate.Certificate{OrderID: o.ID, PersonID: o.PersonID, NotAfter: w.at.AddDate(0, 6, 0)}
			held := ended{c}
			tt.become(&held[0])
			if tt.another {
				held = append(held, c)
			}
			w.Certificates = held
			n := w.notification(t, o, order.Notification{Notice: order.NoticeBidOpenedRevoke, Medium: order.SMS, To: order.ToHolder, PersonID: o.PersonID})
			if err := w.notify(t.Context(), n.ID); err != nil {
				t.Fatal(err)
			}
			if got := w.state(t, n.ID); got.State != tt.want || (len(w.texts) == 1) != (tt.want == order.DeliverySent) {
				t.Errorf("%s: %v", got.State, w.texts)
			}
		})
	}
}

// A reminder of an opening goes out while the opening stands: not when it was taken back,
// or its certificate went to somebody else.
func TestReminderOfAnOpening(t *testing.T) {
	for _, tt := range []struct {
		name   string
		become func(*certificate.Certificate)
		want   order.DeliveryState
	}{
		{"as it was", func(*certificate.Certificate) {}, order.DeliverySent},
		{"another one of the order", func(c *certificate.Certificate) { c.Rev++ }, order.DeliveryDropped},
		{"somebody else's", func(c *certificate.Certificate) { c.PersonID = "01OTHER" }, order.DeliveryDropped},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, medium := range order.Notices[order.NoticeOpeningAhead].Media {
				w := newWorld(t)
				o := w.approved(t, order.State{Status: order.Completed})
				n := w.notification(t, o, order.Notification{Notice: order.NoticeOpeningAhead, Medium: medium, To: order.ToHolder, PersonID: o.PersonID, Seq: o.Seq})
				c := certificate.Certificate{OrderID: o.ID, PersonID: o.PersonID, Rev: n.Seq}
				tt.become(&c)
				w.Certificates = ended{c}
				if err := w.db.InTx(t.Context(), func(tx order.Tx) error {
					return tx.LinkWeChat(t.Context(), order.WeChatIdentity{AppID: "wx1", OpenID: "o9", PersonID: o.PersonID, Subscribed: true, UpdatedAt: w.at})
				}); err != nil {
					t.Fatal(err)
				}
				if err := w.notify(t.Context(), n.ID); err != nil {
					t.Fatal(err)
				}
				if got := w.state(t, n.ID); got.State != tt.want {
					t.Errorf("%s: %s %s", medium, got.State, got.Why)
				}
			}
		})
	}
}

// Flows 4.7: a reminder counts the keys that still end, goes to the holder's own
// number whoever ordered them, and is dropped when all were renewed meanwhile.
func TestReminder(t *testing.T) {
	end := time.Date(2026, 11, 30, 3, 0, 0, 0, time.UTC)
	first, second := certificate.Certificate{TokenSerial: "TW11782207000008", NotAfter: end}, certificate.Certificate{TokenSerial: "TW11782207000009", NotAfter: end}
	renewed, revoked := first, second
	renewed.SupersededBy = "x"
	revoked.RevokedAt, revoked.Reason = end, certificate.KeyCompromise
	for _, tt := range []struct {
		name  string
		about ended
		text  string // empty: dropped
	}{
		{"two keys", ended{first, second}, "13900139000 renew_week [UKEY 尾号 0008 等 2 个 11月30日 https://ra.example.cn/certificates]"},
		{"one was renewed", ended{renewed, second}, "13900139000 renew_week [UKEY 尾号 0009 11月30日 https://ra.example.cn/certificates]"},
		{"none is left", ended{renewed, revoked}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.Certificates = tt.about
			o := w.approved(t, order.State{Status: order.Completed})
			var holder order.Person
			err := w.db.InTx(t.Context(), func(tx order.Tx) (err error) {
				holder, err = tx.PersonByMobile(t.Context(), order.Person{ID: w.newID(), Mobile: identity.NewMobile("13900139000"), CreatedAt: w.at})
				return errors.Join(err, tx.LinkWeChat(t.Context(), order.WeChatIdentity{AppID: "wx1", OpenID: "o9", PersonID: holder.ID, Subscribed: true, UpdatedAt: w.at}))
			})
			if err != nil {
				t.Fatal(err)
			}
			about := order.Notification{Seq: w.at.UnixMilli(), Notice: order.NoticeRenewWeek, Medium: order.SMS, To: order.ToHolder, PersonID: holder.ID}
			text := w.notification(t, o, about)
			about.Medium = order.WeChat
			card := w.notification(t, o, about)
			for _, n := range []order.Notification{text, card, text, card} {
				if err := w.notify(t.Context(), n.ID); err != nil {
					t.Fatal(err)
				}
			}
			want := order.DeliverySent
			if tt.text == "" {
				want = order.DeliveryDropped
			}
			if got := w.state(t, text.ID); got.State != want || got.Told != "139****9000" || strings.Join(w.texts, ";") != tt.text {
				t.Errorf("%s to %s: %v", got.State, got.Told, w.texts)
			}
			if got := w.state(t, card.ID); got.State != want || len(w.cards) != map[bool]int{true: 1}[tt.text != ""] {
				t.Errorf("card %s: %v", got.State, w.cards)
			}
		})
	}
}

// The summary of a day is a card about no order, and not worth an SMS.
func TestDaySummary(t *testing.T) {
	w := newWorld(t)
	o := w.approved(t, order.State{Status: order.InReview, Stage: order.Queued})
	w.task(t, o)
	for i, following := range []bool{true, false} {
		err := w.db.InTx(t.Context(), func(tx order.Tx) error {
			m, err := tx.Staff(t.Context(), "s1")
			if err != nil {
				return err
			}
			return tx.LinkWeChat(t.Context(), order.WeChatIdentity{AppID: "wx1", OpenID: "o1", PersonID: m.PersonID, Subscribed: following, UpdatedAt: w.at})
		})
		if err != nil {
			t.Fatal(err)
		}
		n := w.notification(t, order.Order{}, order.Notification{Seq: int64(20261123 + i), Notice: order.NoticeDaySummary, Medium: order.WeChat, To: order.ToReviewers, StaffID: "s1"})
		if err := w.notify(t.Context(), n.ID); err != nil {
			t.Fatal(err)
		}
		if got := w.state(t, n.ID); (got.State == order.DeliverySent) != following {
			t.Errorf("following %t: %s", following, got.State)
		}
	}
	if len(w.cards) != 1 || !strings.HasSuffix(w.cards[0], "/staff/stats?day=2026-11-23") {
		t.Errorf("cards %v", w.cards)
	}
	ns, err := w.db.Messages(t.Context(), order.MessageFilter{StaffID: "s1"})
	if err != nil || len(ns) != 3 {
		t.Errorf("%d messages, %v", len(ns), err)
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
