package jobs

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

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
func (w *world) approved(t *testing.T, s order.State, changes ...func(*order.Order)) order.Order {
	t.Helper()
	o := order.Order{
		ID: order.ID(w.newID()), No: fmt.Sprintf("SAAS1202611231030%02d000152", w.ids), Business: order.Initial, State: s, Lines: []order.Line{{Quantity: 1}},
		Product: order.Product{Code: "yd-initial", Name: "初购", Business: order.Initial, IssueMode: order.ByAdmin, Algorithm: order.P256, Term: 1},
		Company: "云岭测试科技有限公司", USCC: "91110108MA00TEN18F", Submission: 1, CreatedAt: w.at, UpdatedAt: w.at,
		Form: order.NewForm(map[order.Field]string{order.AgentMobile: "17700007069", order.ShipMobile: "17700007069", order.IDFront: "01FRONT", order.LetterImage: "01LETTER"}),
	}
	for _, change := range changes {
		change(&o)
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
