package bot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/yuncaidun/yuncaidun/bot/intent"
	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store"
	"github.com/yuncaidun/yuncaidun/store/session"
	"github.com/yuncaidun/yuncaidun/store/storetest"
)

const (
	applicant = "17712347069"
	colleague = "13911112222"
)

const testCatalogue = `{
	"projects": [{"key": "p1", "name": "云岭能源电子招投标"}],
	"products": [
		{"code": "i", "project": "p1", "name": "初购", "business": "initial", "issue_mode": "admin", "algorithm": "p256", "authorizations": ["paper"], "price_fen": 30000, "years": [1, 2], "max_keys": 20, "express": {"fee_fen": 8000, "hours": 8}, "on_sale": true},
		{"code": "i2", "project": "p1", "name": "初购（RSA）", "business": "initial", "issue_mode": "admin", "algorithm": "rsa2048", "authorizations": ["paper"], "price_fen": 30000, "years": [1], "max_keys": 20, "on_sale": true},
		{"code": "io", "project": "p1", "name": "云岭能源电子招投标-初购（下载到自己的UKEY）", "business": "initial", "issue_mode": "self", "algorithm": "p256", "authorizations": ["paper"], "price_fen": 20000, "years": [1], "max_keys": 1, "on_sale": true},
		{"code": "old", "project": "p1", "name": "旧", "business": "initial", "issue_mode": "admin", "algorithm": "p256", "authorizations": ["paper"], "price_fen": 1, "years": [1], "max_keys": 1},
		{"code": "r", "project": "p1", "name": "更新", "business": "renewal", "issue_mode": "self", "algorithm": "p256", "authorizations": ["paper"], "price_fen": 0, "years": [1], "max_keys": 1, "on_sale": true},
		{"code": "u", "project": "p1", "name": "自助解锁", "business": "unlock_self", "issue_mode": "self", "algorithm": "p256", "authorizations": ["paper"], "price_fen": 0, "years": [1], "max_keys": 1, "on_sale": true},
		{"code": "ua", "project": "p1", "name": "审批解锁", "business": "unlock_approval", "issue_mode": "self", "algorithm": "p256", "authorizations": ["paper"], "price_fen": 5000, "years": [1], "max_keys": 1, "express": {"fee_fen": 3000, "hours": 2}, "on_sale": true}
	]
}`

// talkTime is a Monday at 10:00 in Shanghai.
var talkTime = time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)

// chat is the official account over a real database and a real (in-process)
// Redis; only the SMS provider is a stand-in.
type chat struct {
	testing.TB
	dialogue *Dialogue
	db       *store.DB
	talks    *session.Talks
	clock    movable
	sms      []string // codes sent, newest last
	smsErr   error
	fellBack []string
	gateway  func(tradeNo string) error // what the payment gateway answers
	ids      int
	msgs     uint64
}

// movable is a clock that tests move while the in-process Redis looks at it.
type movable struct{ at atomic.Pointer[time.Time] }

func (m *movable) Now() time.Time { return *m.at.Load() }

func (m *movable) set(t time.Time) { m.at.Store(&t) }

func newChat(t testing.TB) *chat {
	t.Helper()
	c := &chat{TB: t}
	c.clock.set(talkTime)
	clock := c.clock.Now

	master := []byte(strings.Repeat("m", store.KeySize))
	keys, err := store.NewKeyset(master)
	c.must(err)
	seal, err := store.NewSealer(keys, master, []byte(strings.Repeat("i", store.KeySize)))
	c.must(err)
	c.db, err = store.Open(t.Context(), storetest.DSN(t, "sqlite", store.MigrateAt), seal)
	c.must(err)
	t.Cleanup(func() { c.must(c.db.Close()) })

	redis, err := session.NewEmbedded(clock)
	c.must(err)
	t.Cleanup(func() { c.must(redis.Close()) })
	c.talks = session.NewTalks(redis.Client, clock, AnswerTTL, MemoryTTL)
	calendar, err := order.DefaultCalendar()
	c.must(err)
	recogniser, err := intent.New()
	c.must(err)
	catalogue, err := order.ReadCatalogue(strings.NewReader(testCatalogue))
	c.must(err)
	c.dialogue = NewDialogue(Deps{
		AppID: testAccount.AppID, PublicURL: "https://ycd.example", Recogniser: recogniser, Store: c.db, Deliveries: c,
		Codes: session.NewCodes(redis.Client, clock, session.DefaultLimits([]byte(strings.Repeat("k", 32)))),
		SendCode: func(_ context.Context, _ identity.Mobile, purpose, code string) error {
			if purpose != CodeBind && purpose != CodeFreeze {
				t.Errorf("purpose %q", purpose)
			}
			c.sms = append(c.sms, code)
			return c.smsErr
		},
		Reviews: c.service(clock), Staffing: order.NewStaffing(c.db, nil, clock, c.newID),
		Vault: seal, Memory: session.NewContexts(redis.Client, clock), Workdays: calendar, Now: clock,
		Catalogue: func() order.Catalogue { return catalogue }, Payments: c, Punctual: c.service(clock), Enquiries: c.db, Consents: c.db,
		Certs: certificate.NewService(store.Certificates{DB: c.db}, clock, func() string { c.ids++; return fmt.Sprintf("id%d", c.ids) }, nil),
		NewID: func() string { c.ids++; return fmt.Sprintf("person%d", c.ids) },
		Log:   slog.New(slog.DiscardHandler),
	})
	return c
}

func (c *chat) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

// RecordDelivery and FallBack stand in for order.Service.
func (c *chat) RecordDelivery(ctx context.Context, n order.Notification, was order.DeliveryState) error {
	return c.db.InTx(ctx, func(tx order.Tx) error { return tx.UpdateNotification(ctx, n, was) })
}

func (c *chat) FallBack(_ context.Context, n order.Notification) error {
	c.fellBack = append(c.fellBack, n.ID)
	return nil
}

// GoOn stands in for order.Service.
func (c *chat) GoOn(ctx context.Context, n order.Notification, why string) error {
	was := n.State
	n.State, n.Why = order.DeliveryPending, why
	return c.db.InTx(ctx, func(tx order.Tx) error { return tx.UpdateNotification(ctx, n, was) })
}

// CheckPayment stands in for order.Service.
func (c *chat) CheckPayment(_ context.Context, tradeNo string) error { return c.gateway(tradeNo) }

// says sends one text and returns the answer.
func (c *chat) says(openid, text string) string {
	c.Helper()
	c.msgs++
	r := c.answer(Message{OpenID: openid, Type: TextMessage, ID: c.msgs, Content: text, Sent: c.clock.Now()})
	if n := utf8.RuneCountInString(r.Text); n > maxReply || n == 0 {
		c.Errorf("%q: answer of %d characters", text, n)
	}
	return r.Text
}

func (c *chat) event(openid, event, key string) string {
	c.Helper()
	return c.answer(Message{OpenID: openid, Type: EventMessage, Event: event, Key: key, Sent: c.clock.Now()}).Text
}

// answer asks the dialogue as the callback does: with what it wanted remembered
// [MemoryTTL] ago or less.
func (c *chat) answer(m Message) Reply {
	c.Helper()
	message := fmt.Sprint(m.ID, m.Event, m.Sent)
	_, memory, err := c.talks.Begin(c.Context(), message, m.OpenID)
	c.must(err)
	m.Memory = memory
	r, err := c.dialogue.Answer(c.Context(), m)
	c.must(err)
	c.must(c.talks.End(c.Context(), message, m.OpenID, []byte(r.Text), r.Memory))
	return r
}

// bind ties openid to mobile the way a person does and returns who it is.
func (c *chat) bind(openid, mobile string) order.Person {
	c.Helper()
	c.says(openid, "绑定"+mobile)
	c.says(openid, c.sms[len(c.sms)-1])
	p, err := c.db.PersonByWeChat(c.Context(), testAccount.AppID, openid)
	c.must(err)
	c.clock.set(c.clock.Now().Add(time.Minute)) // past the resend limit
	return p
}

func (c *chat) insert(os ...order.Order) {
	c.Helper()
	c.must(c.db.InTx(c.Context(), func(tx order.Tx) error {
		for _, o := range os {
			if err := tx.InsertOrder(c.Context(), o); err != nil {
				return err
			}
		}
		return nil
	}))
}

// tracked has the courier report that the order's parcel has come so far.
func (c *chat) tracked(o order.Order, to order.ParcelState, line string) {
	c.Helper()
	c.must(c.db.InTx(c.Context(), func(tx order.Tx) error {
		s := order.Shipment{OrderID: o.ID, N: 1, Carrier: o.Carrier, TrackingNo: o.TrackingNo, State: to, ShippedAt: o.ShippedAt, UpdatedAt: talkTime}
		s.Track = []order.TrackLine{{At: talkTime.Add(-time.Hour), Text: "快件已揽收"}, {At: talkTime, Text: line}}
		if err := tx.InsertShipment(c.Context(), s); err != nil {
			return err
		}
		was := o
		o.Parcel = to
		o.Rev++
		return tx.UpdateOrder(c.Context(), o, was)
	}))
}

// anOrder is the nth order of a person, placed n minutes after another.
func anOrder(p order.Person, n int, status order.Status, stage order.Stage) order.Order {
	at := talkTime.Add(time.Duration(n)*time.Minute - 24*time.Hour)
	return order.Order{
		ID: order.ID(fmt.Sprintf("01JORDER%02d", n)), No: order.FormatNo(at, 100+n), Business: order.Initial, PersonID: p.ID,
		State: order.State{Status: status, Stage: stage}, Rev: 1, Seq: 1,
		Product: order.Product{Code: "yd-initial", Name: "运达能源-初购", Business: order.Initial, Price: 30000, Years: []int{1}, Term: 1, MaxKeys: 20, IssueMode: order.ByAdmin, OnSale: true},
		Lines:   []order.Line{{Quantity: 2}}, Amount: 60000,
		Form:    order.NewForm(map[order.Field]string{order.AgentMobile: applicant, order.AgentName: "王小琪", order.ShipName: "王小琪", order.ShipMobile: applicant}),
		Company: "新疆运达有限公司", USCC: "91110108MA00TEN18F", Submission: 1,
		DueAt:     talkTime.Add(72 * time.Hour),
		CreatedAt: at, UpdatedAt: at, PlacedAt: at,
	}
}

// service is the real one; nobody pays here.
func (c *chat) service(clock func() time.Time) *order.Service {
	calendar, err := order.DefaultCalendar()
	c.must(err)
	catalogue, err := order.ReadCatalogue(bytes.NewReader(order.SeededCatalogue()))
	c.must(err)
	return order.NewService(order.Deps{Store: c.db, Calendar: calendar, Catalogue: func() order.Catalogue { return catalogue }, Now: clock, NewID: c.newID})
}

func (c *chat) newID() string {
	c.ids++
	return fmt.Sprintf("id%d", c.ids)
}

// hire puts whoever is bound to an openid on the staff.
func (c *chat) hire(openid, mobile, id, name string, change func(*order.Staff)) {
	c.Helper()
	s := order.Staff{ID: id, PersonID: c.bind(openid, mobile).ID, Name: name, Roles: []order.Role{order.Reviewer}, CreatedAt: c.clock.Now()}
	change(&s)
	c.must(c.db.InTx(c.Context(), func(tx order.Tx) error { return tx.SaveStaff(c.Context(), s) }))
}

// task is an order that waits for review and can be approved.
func (c *chat) task(p order.Person, n int, change func(*order.Order)) order.Order {
	o := anOrder(p, n, order.InReview, order.Queued)
	o.Product = order.Product{Code: "yd-initial", Name: "初购", Business: order.Initial, IssueMode: order.ByAdmin, Algorithm: order.P256, Term: 1}
	o.RealName, o.Submission = order.RealNameMatch, 1
	o.ReviewSince, o.ReviewDue = o.PlacedAt, o.PlacedAt.Add(48*time.Hour)
	change(&o)
	o.Snapshot = o.Hash()
	c.insert(o)
	return o
}

var confirmCode = regexp.MustCompile(`确认码 (\d{4})`)

type brokenMemory struct{}

var errAway = errors.New("redis is away")

func (brokenMemory) Recall(context.Context, string) ([]byte, error) { return nil, errAway }

func (brokenMemory) Remember(context.Context, string, []byte, time.Duration) error { return errAway }
