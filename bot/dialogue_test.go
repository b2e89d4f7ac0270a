package bot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
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
		{"code": "i", "project": "p1", "name": "初购", "business": "initial", "issue_mode": "admin", "algorithm": "p256", "authorizations": ["paper"], "price_fen": 30000, "years": [1, 2], "max_keys": 20, "on_sale": true},
		{"code": "i2", "project": "p1", "name": "初购（RSA）", "business": "initial", "issue_mode": "admin", "algorithm": "rsa2048", "authorizations": ["paper"], "price_fen": 30000, "years": [1], "max_keys": 20, "on_sale": true},
		{"code": "io", "project": "p1", "name": "云岭能源电子招投标-初购（下载到自己的UKEY）", "business": "initial", "issue_mode": "self", "algorithm": "p256", "authorizations": ["paper"], "price_fen": 20000, "years": [1], "max_keys": 20, "on_sale": true},
		{"code": "old", "project": "p1", "name": "旧", "business": "initial", "issue_mode": "admin", "algorithm": "p256", "authorizations": ["paper"], "price_fen": 1, "years": [1], "max_keys": 1},
		{"code": "r", "project": "p1", "name": "更新", "business": "renewal", "issue_mode": "self", "algorithm": "p256", "authorizations": ["paper"], "price_fen": 0, "years": [1], "max_keys": 1, "on_sale": true},
		{"code": "u", "project": "p1", "name": "自助解锁", "business": "unlock_self", "issue_mode": "self", "algorithm": "p256", "authorizations": ["paper"], "price_fen": 0, "years": [1], "max_keys": 1, "on_sale": true},
		{"code": "ua", "project": "p1", "name": "审批解锁", "business": "unlock_approval", "issue_mode": "self", "algorithm": "p256", "authorizations": ["paper"], "price_fen": 5000, "years": [1], "max_keys": 1, "on_sale": true}
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
		Certs: certificate.NewService(store.Certificates{DB: c.db}, clock, func() string { c.ids++; return fmt.Sprintf("id%d", c.ids) }),
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

// A second wish is named in words that are understood as it, and is not cut off.
// Rule 1: what is shortened keeps its next step, and no link is cut in two.
func TestShorten(t *testing.T) {
	link := `<a href="https://ycd.example/orders">我的订单</a>`
	long := strings.Repeat("字", 590)
	for _, tt := range []struct{ name, text, want string }{
		{"short", "好\n" + link, "好\n" + link},
		{"words", long + long, long + strings.Repeat("字", 9) + "…"},
		{"next step", long + "\n" + link, strings.Repeat("字", maxReply-2-utf8.RuneCountInString(link)) + "…\n" + link},
		{"inside a link", strings.Repeat("字", 560) + link + long, strings.Repeat("字", 560) + "…"},
		{"inside its label", strings.Repeat("字", 556) + link + long, strings.Repeat("字", 556) + "…"},
		{"one line that is a link", link + long, link + strings.Repeat("字", maxReply-1-utf8.RuneCountInString(link)) + "…"},
	} {
		got := shorten(tt.text, maxReply)
		if got != tt.want || utf8.RuneCountInString(got) > maxReply {
			t.Errorf("%s: %d characters: %s", tt.name, utf8.RuneCountInString(got), got)
		}
	}
}

func TestThen(t *testing.T) {
	r, err := intent.New()
	if err != nil {
		t.Fatal(err)
	}
	for i, ask := range askedAlone {
		if got := r.Recognise(ask); got.Intent != i || topics[i] == "" {
			t.Errorf("%s is understood as %s, want %s", ask, got.Intent, i)
		}
	}
	long := then(strings.Repeat("长", 2*maxReply), intent.Price)
	if n := utf8.RuneCountInString(long); n != maxReply || !strings.HasSuffix(long, "…\n\n您还问了价格：回复「多少钱」，我接着回答。") {
		t.Errorf("%d characters, ending in %q", n, string([]rune(long)[n-30:]))
	}
	if got := then("答", ""); got != "答" {
		t.Errorf("an answer to one wish became %q", got)
	}
}

// TestConversations plays whole conversations; the transcripts are golden.
func TestConversations(t *testing.T) {
	const user = "o-user"
	for _, story := range []struct {
		name string
		play func(c *chat, line func(string))
	}{
		{"bind-then-status", func(c *chat, line func(string)) {
			line("我的订单到哪一步了")
			line(applicant)
			line("000000")
			line(c.sms[0])
			p, err := c.db.PersonByWeChat(c.Context(), testAccount.AppID, user)
			c.must(err)
			c.insert(anOrder(p, 1, order.InReview, order.Queued))
			line("我的订单到哪一步了")
			line("绑定")
			line("谢谢")
		}},
		{"rejected", func(c *chat, line func(string)) {
			o := anOrder(c.bind(user, applicant), 8, order.Rejected, order.Fixable)
			o.Reasons = []order.Reason{{Code: "R03"}, {Code: "R02"}, {Code: "R20", Note: "请补充说明"}}
			c.insert(o)
			line("为什么被拒绝")
			line("那个要重新交钱吗")
		}},
		{"shipped", func(c *chat, line func(string)) {
			p := c.bind(user, applicant)
			o := anOrder(p, 1, order.Completed, order.NoStage)
			o.Carrier, o.TrackingNo, o.ShippedAt = "sf", "SF1234567890123", c.clock.Now()
			c.insert(o)
			line("快递到哪了")
			c.tracked(o, order.ParcelDelivering, "【昆明市】快件正在派送")
			line("快递到哪了")
			line("我的订单")
			c.insert(anOrder(p, 2, order.ToShip, order.ToPost))
			line("发货了吗")
			line("2")
			line("7")
		}},
		{"parcels", func(c *chat, line func(string)) {
			p := c.bind(user, applicant)
			for n := range 7 {
				o := anOrder(p, n, order.Completed, order.NoStage)
				o.Carrier, o.TrackingNo, o.ShippedAt = "sf", fmt.Sprintf("SF123456789012%d", n), c.clock.Now()
				o.CreatedAt = o.CreatedAt.Add(time.Duration(n) * time.Minute)
				if n == 1 {
					o.Company = "云岭（昆明）有限公司"
				}
				c.insert(o)
			}
			line("我的快递都到哪了")
			line("2")
			line("快递到哪了")
			line("云岭")
			line("快递到哪了")
			line("0100")
		}},
		{"several", func(c *chat, line func(string)) {
			p := c.bind(user, applicant)
			c.insert(anOrder(p, 1, order.AwaitingPayment, order.NoStage), anOrder(p, 2, order.ToIssue, order.Making), anOrder(p, 3, order.Completed, order.NoStage))
			line("办到哪了")
			line("第二个")
			line("尾号0102的单子呢 到哪一步了")
			line("待制证是啥意思")
			line("待解锁是什么意思")
			c.insert(anOrder(p, 4, order.InReview, order.Claimed), anOrder(p, 5, order.InReview, order.SecondApproval), anOrder(p, 6, order.Rejected, order.Fixable), anOrder(p, 7, order.Draft, order.NoStage))
			line("我的订单")
			line("尾号0106")
		}},
		{"same-tail", func(c *chat, line func(string)) {
			p := c.bind(user, applicant)
			for n := range 7 { // the same count on seven days
				o := anOrder(p, n, order.InReview, order.Queued)
				at := o.PlacedAt.AddDate(0, 0, -n)
				o.No, o.PlacedAt, o.CreatedAt = order.FormatNo(at, 1), at, at
				switch {
				case n > 4:
					o.Company = "云岭（昆明）有限公司"
				case n == 4:
					o.Company = "Yunling Power Ltd."
				}
				c.insert(o)
			}
			line("我的订单到哪一步了")
			line("尾号0001")
			line("2")
			line("我的订单")
			line("云岭(昆明)有限公司")
			line("我的订单")
			line("Yunling  Power Ltd.")
			line("嘟嘟嘟噜噜")
		}},
		{"strangers", func(c *chat, line func(string)) {
			other := c.bind("o-other", colleague)
			o := anOrder(other, 1, order.InReview, order.Queued)
			c.insert(o)
			line("查一下" + o.No)
			c.bind(user, applicant)
			line("查一下" + o.No)
			line("帮我查隔壁公司的订单")
			line("待办")
			line("0101审核通过")
		}},
		{"secrets", func(_ *chat, line func(string)) {
			line("我的密码是12345678 帮我解锁")
			line("我的身份证号是110101199003070011")
			line("482913")
			line("转人工")
		}},
		{"misses", func(c *chat, line func(string)) {
			line("嘟嘟嘟噜噜")
			line("呱呱呱咕咕")
			c.clock.set(talkTime.Add(10 * time.Hour))
			line("人工")
			line("你们太慢了我要投诉")
		}},
	} {
		tell(t, story.name, story.play)
	}
}

// tell plays a conversation of one user and compares its transcript.
func tell(t *testing.T, name string, play func(c *chat, line func(string))) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		c := newChat(t)
		var log strings.Builder
		play(c, func(text string) {
			answer := c.says("o-user", text)
			if len(c.sms) > 0 && text == c.sms[len(c.sms)-1] {
				text = "（短信里的验证码）"
			}
			fmt.Fprintf(&log, "用户: %s\n云采盾: %s\n\n", text, answer)
		})
		golden(t, "talk-"+name+".txt", log.String())
	})
}

// TestAdvice holds every intent to rule 1: an answer, short, with no promise to
// fill in.
func TestAdvice(t *testing.T) {
	answeredLive := []intent.Intent{intent.OrderStatus, intent.ShippingTrack, intent.RejectFix, intent.HumanAgent, intent.Complaint, intent.BindAccount}
	var log strings.Builder
	d := &turn{Dialogue: &Dialogue{Deps: Deps{PublicURL: "https://ycd.example"}}}
	for _, i := range intent.All() {
		if i.Staff() || slices.Contains(answeredLive, i) {
			continue
		}
		text := d.fill(advice[i])
		if text == "" || utf8.RuneCountInString(text) > maxReply || strings.Contains(text, "{") {
			t.Errorf("%s: %q", i, text)
		}
		fmt.Fprintf(&log, "%s\n%s\n\n", i, text)
	}
	golden(t, "advice.txt", log.String())
}

// closed is a database that does not say who somebody is.
type closed struct {
	Store
	err error
}

func (c closed) PersonByWeChat(context.Context, string, string) (order.Person, error) {
	return order.Person{}, c.err
}

// Who could not be found out is told so, and not remembered as asked for his mobile.
func TestFailureAsksNothing(t *testing.T) {
	c := newChat(t)
	c.dialogue.binding.store = closed{err: order.Errorf(order.Conflict, "busy", "请稍后再试")}
	for _, text := range []string{"我的订单", "证书什么时候到期", "绑定"} {
		r, err := c.dialogue.Answer(t.Context(), Message{OpenID: "o-user", Type: TextMessage, Content: text})
		if err != nil || r.Text != "请稍后再试。" || strings.Contains(string(r.Memory), string(askedMobile)) {
			t.Errorf("%s: %q, %s, %v", text, r.Text, r.Memory, err)
		}
	}
}

// Whoever writes, general advice is the same, and comes while the database is down.
func TestAdviceAsksNobody(t *testing.T) {
	c := newChat(t)
	c.dialogue.binding.store = closed{err: errors.New("closed")}
	for _, text := range []string{"你好", "办一个证书要多少钱", "需要准备什么材料", "怎么看证书装好没有"} {
		c.says("o-user", text)
	}
	if r, err := c.dialogue.Answer(t.Context(), Message{OpenID: "o-user", Type: TextMessage, Content: "我的订单"}); err == nil {
		t.Errorf("orders without knowing whose: %q", r.Text)
	}
}

// Rule 2: nothing of an order reaches somebody unbound, whatever is asked.
func TestUnboundLearnsNothing(t *testing.T) {
	c := newChat(t)
	o := anOrder(c.bind("o-other", colleague), 1, order.Rejected, order.Fixable)
	o.Reasons = []order.Reason{{Code: "R03"}}
	c.insert(o)
	for _, text := range []string{o.No, "尾号0101", "为什么被拒绝", "快递到哪了", "1", "我的订单", "待办", "驳回0101", "我手机" + colleague + "下的单现在啥状态"} {
		got := c.says("o-stranger", text)
		for _, fact := range []string{"运达", "审核拒绝", "R03", string(o.ID)} {
			if strings.Contains(got, fact) {
				t.Errorf("%q told %q: %s", text, fact, got)
			}
		}
	}
}

// A code works once, for the openid that asked, within 60 s (F55, F57); typed at
// any other time six digits are not a code.
func TestBindingCode(t *testing.T) {
	c := newChat(t)
	c.says("o-a", "绑定 "+applicant)
	code := c.sms[0]
	bound := func(openid string) bool {
		_, err := c.db.PersonByWeChat(t.Context(), testAccount.AppID, openid)
		return err == nil
	}
	if c.says("o-b", code); bound("o-b") {
		t.Error("somebody else's openid was bound")
	}
	if got := c.says("o-a", applicant); !strings.Contains(got, "太频繁") {
		t.Errorf("a second code at once: %s", got)
	}
	c.clock.set(c.clock.Now().Add(61 * time.Second))
	if c.says("o-a", code); bound("o-a") {
		t.Error("an expired code was taken")
	}
	c.says("o-a", "绑定 "+applicant)
	for range 5 {
		c.says("o-a", "000000")
	}
	if c.says("o-a", c.sms[1]); bound("o-a") {
		t.Error("a code was taken after five wrong guesses")
	}
	c.clock.set(c.clock.Now().Add(2 * time.Minute))
	c.says("o-a", "绑定 "+applicant)
	if c.says("o-a", c.sms[2]); !bound("o-a") {
		t.Error("the right code was not taken")
	}
	if got := c.says("o-a", c.sms[2]); strings.Contains(got, "已绑定") {
		t.Errorf("the code worked twice: %s", got)
	}
}

// Reliability 18: one follower cannot have us send codes to one mobile after another.
func TestBindingManyMobiles(t *testing.T) {
	c := newChat(t)
	for n := range 20 {
		c.says("o-a", fmt.Sprintf("绑定 177123470%02d", n))
	}
	if got := c.says("o-a", "绑定 17712347020"); len(c.sms) != 20 || !strings.Contains(got, "太频繁") {
		t.Errorf("%d codes in an hour: %s", len(c.sms), got)
	}
	if c.says("o-b", "绑定 17712347020"); len(c.sms) != 21 {
		t.Error("somebody else is refused, too")
	}
}

// Reliability 22, rule 6: neither the mobile nor a secret lies in Redis.
func TestNothingPersonalIsRemembered(t *testing.T) {
	c := newChat(t)
	c.says("o-a", "你好我的手机号是"+applicant+" 密码是hunter42 身份证110101199003070011")
	c.says("o-a", "绑定"+applicant)
	for _, key := range []string{"talk:o-a", challengeKey("o-a")} {
		b, err := c.dialogue.Memory.Recall(t.Context(), key)
		c.must(err)
		if len(b) == 0 {
			t.Errorf("%s: nothing remembered", key)
		}
		for _, secret := range []string{applicant, "hunter42", "110101199003070011", c.sms[0]} {
			if strings.Contains(string(b), secret) {
				t.Errorf("%s holds %s", key, secret)
			}
		}
	}
}

// Whoever has bound another WeChat to his mobile is told things there, whatever becomes
// of the one of before.
func TestBoundLastIsTold(t *testing.T) {
	for name, events := range map[string][][2]string{
		"nothing happens":                   nil,
		"the old one follows again":         {{"o-old", EventSubscribe}},
		"the old one left and follows":      {{"o-old", EventUnsubscribe}, {"o-old", EventSubscribe}},
		"the new one left":                  {{"o-new", EventUnsubscribe}},
		"the new one left, the old follows": {{"o-new", EventUnsubscribe}, {"o-old", EventSubscribe}},
	} {
		t.Run(name, func(t *testing.T) {
			c := newChat(t)
			p := c.bind("o-old", applicant)
			c.clock.set(c.clock.Now().Add(2 * time.Minute))
			c.bind("o-new", applicant)
			reachable := true
			for _, e := range events {
				c.clock.set(c.clock.Now().Add(time.Minute))
				c.event(e[0], e[1], "")
				if e[0] == "o-new" {
					reachable = e[1] == EventSubscribe
				}
			}
			w, err := c.db.WeChatOf(t.Context(), testAccount.AppID, p.ID)
			c.must(err)
			if w.OpenID != "o-new" || w.Subscribed != reachable {
				t.Errorf("told on %s, following %v", w.OpenID, w.Subscribed)
			}
		})
	}
}

func TestMenuAndFollowers(t *testing.T) {
	c := newChat(t)
	if got := c.event("o-a", EventSubscribe, ""); got != textWelcome {
		t.Errorf("subscribe: %s", got)
	}
	if got := c.event("o-a", EventClick, MenuOrders); got != textBindingCard {
		t.Errorf("orders: %s", got)
	}
	p := c.bind("o-a", applicant)
	o := anOrder(p, 1, order.AwaitingPayment, order.NoStage)
	c.insert(o)
	for key, want := range map[string]string{
		MenuOrders: "待支付", MenuShipping: "待支付", MenuHuman: "400-666-3999", MenuTodo: "/orders/01JORDER01/pay", "gone": "这个我还不会",
	} {
		if got := c.event("o-a", EventClick, key); !strings.Contains(got, want) {
			t.Errorf("%s: %s", key, got)
		}
	}
	if got := c.event("o-a", EventSubscribe, "qrscene_1"); got != textWelcomeBack {
		t.Errorf("subscribe again: %s", got)
	}
	subscribed := func() bool {
		w, err := c.db.WeChatOf(t.Context(), testAccount.AppID, p.ID)
		c.must(err)
		return w.Subscribed
	}
	if c.event("o-a", EventUnsubscribe, ""); subscribed() {
		t.Error("still subscribed")
	}
	if c.event("o-a", EventSubscribe, ""); !subscribed() {
		t.Error("not subscribed again")
	}
	if got := c.event("o-stranger", EventUnsubscribe, ""); got != "" {
		t.Errorf("unsubscribe: %q", got)
	}
	for _, column := range (Menus{PublicURL: "https://ycd.example"}).Common() {
		if utf8.RuneCountInString(column.Name) > 4 || len(column.Sub) > 5 {
			t.Errorf("column %q does not fit", column.Name)
		}
		for _, b := range column.Sub {
			if utf8.RuneCountInString(b.Name) > 7 || (b.Key == "") == (b.URL == "") {
				t.Errorf("button %+v", b)
			}
		}
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

// Flows 4.4 whole: decisions in the chat, with the page's ticks and a code.
func TestReviewInChat(t *testing.T) {
	as := func(f func(*order.Order)) func(*order.Order) { return f }
	plain := as(func(*order.Order) {})
	li := func(o *order.Order) { o.Stage, o.ReviewerID = order.Claimed, "li" }
	for _, story := range []struct {
		name string
		play func(c *chat, p order.Person, says func(who, text string) string)
	}{
		{"approve", func(c *chat, p order.Person, says func(who, text string) string) {
			o := c.task(p, 1, plain)
			says("li", "通过 0101") // not claimed
			says("li", "领取 0101")
			says("zhou", "领取0101")
			says("li", "通过 0101") // claimed, not ticked
			by := order.Actor{Role: order.Reviewer, StaffID: "li", PersonID: "x"}
			c.must(c.dialogue.Reviews.(*order.Service).TickChecks(c.Context(), o.ID, by, o.Snapshot, order.Ticks[:3]))
			says("li", "通过 0101") // three of four
			c.must(c.dialogue.Reviews.(*order.Service).TickChecks(c.Context(), o.ID, by, o.Snapshot, order.Ticks))
			says("zhou", "通过 0101") // somebody else's
			code := confirmCode.FindStringSubmatch(says("li", "通过 0101"))[1]
			wrong := "0000"
			if code == wrong {
				wrong = "1111"
			}
			says("li", wrong)
			says("zhou", code) // the code is the reviewer's own
			says("li", code)
			says("li", code) // works once
			says("zhou", "通过 0101")
			says("zhou", "驳回 0101 R03")
			says("li", "今日统计")
		}},
		{"reject", func(c *chat, p order.Person, says func(who, text string) string) {
			c.task(p, 2, plain)
			says("li", "驳回 0102 R03")
			says("li", "领取 0102")
			says("li", "驳回 0102")
			says("li", "驳回 0102 R20")
			code := confirmCode.FindStringSubmatch(says("li", "驳回 0102 R03"))[1]
			c.clock.set(c.clock.Now().Add(confirmTTL + time.Second))
			says("li", code) // too late
			code = confirmCode.FindStringSubmatch(says("li", "驳回 0102 R03"))[1]
			says("li", code)
		}},
		{"several", func(c *chat, p order.Person, says func(who, text string) string) {
			first, second := c.task(p, 7, li), c.task(p, 8, li)
			by := order.Actor{Role: order.Reviewer, StaffID: "li", PersonID: "x"}
			for _, o := range []order.Order{first, second} {
				c.must(c.dialogue.Reviews.(*order.Service).TickChecks(c.Context(), o.ID, by, o.Snapshot, order.Ticks))
			}
			says("li", "释放 0107 0108")
			says("li", "领取0107、0108")
			// Two tasks, however they are joined, even one decision for each: nothing happens.
			says("li", "通过 0107 0108")
			says("li", "把0107和0108都通过")
			says("li", "0107、0108驳回 R03")
			says("li", "0107没问题，过，0108驳回 R07")
			says("li", "0107、0108转给小周")
			says("li", "通过 "+first.No+" "+second.No)
			code := confirmCode.FindStringSubmatch(says("li", "不是0107 是0108通过"))[1]
			says("li", code)
			// Several reasons are one decision.
			says("li", "驳回 0107 R03 R20")
			code = confirmCode.FindStringSubmatch(says("li", "驳回 0107 R03、R07，r11"))[1]
			says("li", code)
			if now, err := c.db.Order(c.Context(), first.ID); err != nil || len(now.Reasons) != 3 {
				c.Errorf("rejected for %v, %v", now.Reasons, err)
			}
			says("owner", "为什么被拒绝")
		}},
		{"assign", func(c *chat, p order.Person, says func(who, text string) string) {
			c.task(p, 3, li)
			says("zhou", "0103转给小李")
			says("li", "指派 0103 给 王五")
			code := confirmCode.FindStringSubmatch(says("li", "0103转给小周"))[1]
			says("li", code)
			says("li", "通过 0103")
			code = confirmCode.FindStringSubmatch(says("head", "指派 0103 给 李审核"))[1]
			says("head", code)
			says("li", "释放 0103")
			says("li", "0103分给我")
		}},
		{"same-tail", func(c *chat, p order.Person, says func(who, text string) string) {
			for n := range 2 {
				c.task(p, 4+n, as(func(o *order.Order) {
					li(o)
					o.PlacedAt = o.PlacedAt.AddDate(0, 0, -n)
					o.No = order.FormatNo(o.PlacedAt, 1)
				}))
			}
			says("li", "驳回 0001 R07")
			says("li", "3")
			says("li", "2")
			says("li", "领取 0001")
			says("li", "2")
			says("li", "释放 0001")
			says("li", "1")
		}},
		{"overdue-and-quiet", func(c *chat, p order.Person, says func(who, text string) string) {
			says("li", "我的超时任务")
			c.task(p, 6, plain)
			c.clock.set(c.clock.Now().Add(72 * time.Hour))
			says("li", "我的超时任务")
			says("owner", "我的订单到哪一步了")
			says("li", "免打扰")
			says("li", "免打扰 22:00-8:00")
			says("li", "免打扰 关")
		}},
	} {
		t.Run(story.name, func(t *testing.T) {
			c := newChat(t)
			owner := c.bind("o-owner", applicant)
			c.hire("o-li", "13911112221", "li", "李审核", func(*order.Staff) {})
			c.hire("o-zhou", "13911112222", "zhou", "周复核", func(*order.Staff) {})
			c.hire("o-head", "13911112223", "head", "孙组长", func(s *order.Staff) { s.Leader = true })
			var log strings.Builder
			var codes []string
			story.play(c, owner, func(who, text string) string {
				answer := c.says("o-"+who, text)
				shown := answer
				if m := confirmCode.FindStringSubmatch(answer); m != nil {
					codes = append(codes, m[1])
					shown = strings.ReplaceAll(answer, m[1], "〈码〉")
				}
				if slices.Contains(codes, text) {
					text = "〈码〉"
				} else if who != "owner" && confirmPattern.MatchString(text) {
					text = "〈错码〉"
				}
				fmt.Fprintf(&log, "%s: %s\n云采盾: %s\n\n", who, text, shown)
				return answer
			})
			golden(t, "desk-"+story.name+".txt", log.String())
			for _, personal := range []string{applicant, "王小琪"} {
				if strings.Contains(log.String(), personal) {
					t.Errorf("the chat holds personal data: %s", personal)
				}
			}
		})
	}
}

// Rule 9: the words of the desk do nothing for an applicant.
func TestDeskIsForStaff(t *testing.T) {
	c := newChat(t)
	o := c.task(c.bind("o-owner", applicant), 6, func(*order.Order) {})
	for _, text := range []string{"领取 0106", "免打扰 22:00-8:00", "1234", "释放0106", "通过 0106", "今日统计"} {
		answer := c.says("o-owner", text)
		for _, staff := range []string{"已领取", "未开启", "22:00–08:00", "确认码", "待受理 1", "打开审核"} {
			if strings.Contains(answer, staff) {
				t.Errorf("%s: %s", text, answer)
			}
		}
	}
	if now, err := c.db.Order(t.Context(), o.ID); err != nil || now.Rev != o.Rev {
		t.Errorf("the order moved to %s, %v", now.State, err)
	}
}

// Rule 9 and flows 4.4: a reviewer sees the queue; a decision needs the page.
func TestReviewer(t *testing.T) {
	c := newChat(t)
	owner := c.bind("o-owner", applicant)
	reviewer := c.bind("o-reviewer", colleague)
	c.must(c.db.InTx(t.Context(), func(tx order.Tx) error {
		return tx.SaveStaff(t.Context(), order.Staff{ID: "staff1", PersonID: reviewer.ID, Name: "李审核", Roles: []order.Role{order.Reviewer}, CreatedAt: c.clock.Now()})
	}))
	if got := c.says("o-reviewer", "待办"); got != textQueueEmpty {
		t.Errorf("empty queue: %s", got)
	}
	mine := anOrder(owner, 2, order.InReview, order.Claimed)
	mine.ReviewerID = "staff1"
	c.insert(anOrder(owner, 1, order.InReview, order.Queued), mine)
	var log strings.Builder
	for _, text := range []string{"待办", "0102审核通过", "驳回0101 R03", "0101转给小王", "9999通过"} {
		fmt.Fprintf(&log, "审核员: %s\n云采盾: %s\n\n", text, c.says("o-reviewer", text))
	}
	golden(t, "talk-reviewer.txt", log.String())
	for _, personal := range []string{applicant, "王小琪"} {
		if strings.Contains(log.String(), personal) {
			t.Errorf("the card holds personal data: %s", personal)
		}
	}
	for _, o := range []order.ID{"01JORDER01", "01JORDER02"} {
		got, err := c.db.Order(t.Context(), o)
		c.must(err)
		if got.Status != order.InReview {
			t.Errorf("%s was decided in chat", o)
		}
	}
	if got := c.event("o-reviewer", EventClick, MenuTodo); !strings.Contains(got, "待受理 1") {
		t.Errorf("todo: %s", got)
	}
}

func TestDeliveryReports(t *testing.T) {
	c := newChat(t)
	p := c.bind("o-a", applicant)
	c.insert(anOrder(p, 1, order.InReview, order.Queued))
	send := func(id, provider string, notice order.Notice) {
		c.must(c.db.InTx(t.Context(), func(tx order.Tx) error {
			_, err := tx.InsertNotification(t.Context(), order.Notification{
				ID: id, OrderID: "01JORDER01", Seq: 1, Notice: notice, Medium: order.WeChat, To: order.Notices[notice].To,
				State: order.DeliverySent, ProviderID: provider, CreatedAt: c.clock.Now(), UpdatedAt: c.clock.Now(),
			})
			return err
		}))
	}
	send("n1", "101", order.NoticeApprovedIssue)
	send("n2", "102", order.NoticeRejected)
	send("n3", "103", order.NoticeReviewTask)
	report := func(job int64, status string) {
		_, err := c.dialogue.Answer(t.Context(), Message{OpenID: "o-a", Type: EventMessage, Event: EventTemplateJobDone, JobID: job, JobStatus: status})
		c.must(err)
	}
	report(101, "success")
	report(102, "failed:user block")
	report(103, "failed: system failed")
	report(103, "failed: system failed") // WeChat says it twice
	report(999, "success")               // of somebody else
	for id, want := range map[string]order.DeliveryState{"n1": order.DeliveryDelivered, "n2": order.DeliveryUnreachable, "n3": order.DeliveryUnreachable} {
		n, err := c.db.Notification(t.Context(), id)
		c.must(err)
		if n.State != want {
			t.Errorf("%s is %s, want %s", id, n.State, want)
		}
	}
	if got := strings.Join(c.fellBack, " "); got != "n3" { // the others go out as SMS anyway
		t.Errorf("fell back: %q", got)
	}
}

// Reliability 9: without Redis the bot still answers; it cannot bind.
func TestWithoutMemory(t *testing.T) {
	c := newChat(t)
	p := c.bind("o-a", applicant)
	c.insert(anOrder(p, 1, order.InReview, order.Queued))
	c.dialogue.Memory = brokenMemory{}
	if got := c.says("o-a", "我的订单到哪一步了"); !strings.Contains(got, "待审核") {
		t.Errorf("answer: %s", got)
	}
}

type brokenMemory struct{}

var errAway = errors.New("redis is away")

func (brokenMemory) Recall(context.Context, string) ([]byte, error) { return nil, errAway }

func (brokenMemory) Remember(context.Context, string, []byte, time.Duration) error { return errAway }

// BenchmarkLive is an answer from live data, without the callback around it.
func BenchmarkLive(b *testing.B) {
	c := newChat(b)
	p := c.bind("o-a", applicant)
	c.insert(anOrder(p, 1, order.InReview, order.Queued))
	m := Message{OpenID: "o-a", Type: TextMessage, ID: 1, Content: "我的订单到哪一步了"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.dialogue.Answer(b.Context(), m); err != nil {
			b.Fatal(err)
		}
	}
}

// The real Redis adapters and the real services fit the ports.
var (
	_ Talks      = (*session.Talks)(nil)
	_ Memory     = (*session.Contexts)(nil)
	_ Codes      = (*session.Codes)(nil)
	_ Store      = (*store.DB)(nil)
	_ Store      = order.Store(nil)
	_ Vault      = (*store.Sealer)(nil)
	_ Deliveries = (*order.Service)(nil)
	_ Payments   = (*order.Service)(nil)
	_ Enquiries  = (*store.DB)(nil)

	_ Certificates = (*certificate.Service)(nil)
)

// TestEncryptedConversation: WeChat's retries of one message send one SMS and
// get one answer; the encrypted answer tells the live state.
func TestEncryptedConversation(t *testing.T) {
	c := newChat(t)
	c.clock.set(testNow)
	clock := c.clock.Now
	redis, err := session.NewEmbedded(clock)
	c.must(err)
	t.Cleanup(func() { c.must(redis.Close()) })
	c.talks = session.NewTalks(redis.Client, clock, AnswerTTL, MemoryTTL)
	app := newApp(t, c.dialogue, session.NewTalks(redis.Client, clock, AnswerTTL, MemoryTTL))
	ask := func(text, id string) string {
		t.Helper()
		code, body := do(t, app, newClient().request(t, messageXML(testAccount.OriginalID, text, id)))
		if code != 200 {
			t.Fatalf("status %d", code)
		}
		return newClient().openReply(t, body)
	}
	first := ask("绑定"+applicant, "1")
	for range 3 {
		if again := ask("绑定"+applicant, "1"); again != first {
			t.Errorf("a retry got %s", again)
		}
	}
	if len(c.sms) != 1 {
		t.Fatalf("%d SMS", len(c.sms))
	}
	if got := ask(c.sms[0], "2"); !strings.Contains(got, "已绑定") {
		t.Fatalf("binding: %s", got)
	}
	p, err := c.db.PersonByWeChat(t.Context(), testAccount.AppID, testOpenID)
	c.must(err)
	c.insert(anOrder(p, 1, order.InReview, order.Queued))
	if got := ask("我的订单到哪一步了", "3"); !strings.Contains(got, "状态：待审核") {
		t.Errorf("status: %s", got)
	}
}

// F25: whom the mini-program knows by the same union id need not prove his mobile in
// the chat; WeChat is asked now and then, and what it does not tell stops nobody.
func TestUnionIDJoinsAccounts(t *testing.T) {
	c := newChat(t)
	asked, answer := 0, func() (string, error) { return "u-1", nil }
	c.dialogue.binding.union = func(ctx context.Context, openid string) (string, error) {
		asked++
		if openid != "o-user" {
			return "", errors.New("who?")
		}
		if _, limited := ctx.Deadline(); !limited {
			t.Error("the answer is waited for without end")
		}
		return answer()
	}
	known := func(openid string) (order.Person, error) {
		return c.db.PersonByWeChat(t.Context(), testAccount.AppID, openid)
	}
	if got := c.says("o-user", "我的订单到哪一步了"); !strings.Contains(got, "手机号") {
		t.Errorf("nobody knows the union id: %s", got)
	}
	c.says("o-user", "我的订单到哪一步了")
	c.says("o-other", "我的订单到哪一步了") // WeChat fails
	if asked != 2 {
		t.Errorf("WeChat was asked %d times, want once for each", asked)
	}
	var p order.Person
	c.must(c.db.InTx(t.Context(), func(tx order.Tx) (err error) {
		if p, err = tx.PersonByMobile(t.Context(), order.Person{ID: "mini-person", Mobile: identity.NewMobile("13800138000"), CreatedAt: talkTime}); err != nil {
			return err
		}
		return tx.LinkWeChat(t.Context(), order.WeChatIdentity{AppID: "wx-mini", OpenID: "m-user", UnionID: "u-1", PersonID: p.ID, Subscribed: true, UpdatedAt: talkTime})
	}))
	c.clock.set(talkTime.Add(unionTTL + time.Second))
	if got := c.says("o-user", "我的订单到哪一步了"); strings.Contains(got, "手机号") {
		t.Errorf("known by the mini-program: %s", got)
	}
	if got, err := known("o-user"); err != nil || got.ID != p.ID {
		t.Errorf("bound to %q, %v", got.ID, err)
	}
	if w, err := c.db.WeChatOf(t.Context(), testAccount.AppID, p.ID); err != nil || w.UnionID != "u-1" || !w.Subscribed {
		t.Errorf("kept %+v, %v", w, err)
	}
	if _, err := known("o-other"); !errors.Is(err, order.NotFound) {
		t.Errorf("the other is bound: %v", err)
	}
	answer = func() (string, error) { t.Error("asked about who is bound"); return "", nil }
	c.says("o-user", "你好")
}

// F70, F92: what waits for the applicant is named with the one step that he has to take;
// an order that was closed says why.
func TestOrdersThatWaitForTheirOwner(t *testing.T) {
	for _, test := range []struct {
		business order.Business
		state    order.State
		want     string
	}{
		{order.Renewal, order.State{Status: order.ToRenew, Stage: order.Ready}, `/orders/01JORDER01/run">更新</a>`},
		{order.Initial, order.State{Status: order.ToDownload, Stage: order.Ready}, `/orders/01JORDER01/run">下载证书</a>`},
		{order.UnlockApproval, order.State{Status: order.ToUnlock}, `/orders/01JORDER01/unlock">解锁</a>`},
		{order.Resume, order.State{Status: order.ToRestore}, `/orders/01JORDER01/restore">恢复</a>`},
		{order.Initial, order.State{Status: order.ToShip, Stage: order.ToPost}, textNothingToDo},
		{order.Initial, order.State{Status: order.InReview, Stage: order.Queued}, textNothingToDo},
	} {
		c := newChat(t)
		o := anOrder(c.bind("o-a", applicant), 1, test.state.Status, test.state.Stage)
		o.Business = test.business
		c.insert(o)
		if got := c.event("o-a", EventClick, MenuTodo); !strings.Contains(got, test.want) {
			t.Errorf("%s: %s", test.state, got)
		}
	}
	c := newChat(t)
	o := anOrder(c.bind("o-a", applicant), 1, order.Rejected, order.Closed)
	o.Reasons = []order.Reason{{Code: "R20", Note: "证书已吊销"}}
	c.insert(o)
	if got := c.says("o-a", "我的订单"+order.TailOf(o.No)+"怎么样了"); !strings.Contains(got, "原因：证书已吊销") {
		t.Errorf("closed: %s", got)
	}
}

// A message may name a thing and no wish: what the menu calls it is understood as there,
// and nobody who asks for his certificates begins to freeze one.
func TestNamesOfThings(t *testing.T) {
	c := newChat(t)
	p := c.bind("o-a", applicant)
	c.insert(anOrder(p, 1, order.AwaitingPayment, order.NoStage))
	for n := range 2 {
		c.certify(p, 11+n, fmt.Sprintf("TW000000000000%02d", 11+n), talkTime.AddDate(0, 6, 0))
	}
	if got := c.says("o-a", "待我处理"); !strings.Contains(got, "/orders/01JORDER01/pay") {
		t.Errorf("todo: %s", got)
	}
	if got := c.says("o-a", "常见问题"); !strings.Contains(got, "/help") {
		t.Errorf("help: %s", got)
	}
	for _, name := range []string{"我的证书", "证书", "我的ukey"} {
		sent := len(c.sms)
		if got := c.says("o-a", name); !strings.Contains(got, "有效期至") || !strings.Contains(got, "回复数字") {
			t.Errorf("%s: %s", name, got)
		}
		if got := c.says("o-a", "1"); !strings.Contains(got, "更新") || len(c.sms) != sent {
			t.Errorf("%s, 1: %s", name, got)
		}
	}
}

// A number that is not in the list shown last is no miss.
func TestNumberOffTheList(t *testing.T) {
	c := newChat(t)
	p := c.bind("o-a", applicant)
	c.insert(anOrder(p, 1, order.InReview, order.Queued), anOrder(p, 2, order.InReview, order.Queued))
	c.says("o-a", "我的订单")
	for _, n := range []string{"3", "9", "0", "第6个", "12"} {
		if got := c.says("o-a", n); got != "请回复 1 到 2 之间的数字。" {
			t.Errorf("%s: %s", n, got)
		}
	}
	if got := c.says("o-a", "2"); !strings.Contains(got, "待审核") {
		t.Errorf("then 2: %s", got)
	}
}

// A tracking number is the parcel's, not any order's.
func TestTrackingNumber(t *testing.T) {
	c := newChat(t)
	p := c.bind("o-a", applicant)
	sent := anOrder(p, 1, order.Completed, order.NoStage)
	sent.Carrier, sent.TrackingNo = "sf", "SF1234567890123"
	c.insert(sent, anOrder(p, 2, order.InReview, order.Queued), anOrder(p, 3, order.InReview, order.Queued))
	if got := c.says("o-a", "快递到哪了 SF1234567890123"); !strings.Contains(got, "…"+order.TailOf(sent.No)) || strings.Contains(got, "回复数字") {
		t.Errorf("his own: %s", got)
	}
	if got := c.says("o-a", "快递到哪了 SF1234567890999"); got != textNoSuchParcel {
		t.Errorf("no parcel of his: %s", got)
	}
}

// A command that names no task does not say that several end alike.
func TestCommandWithoutTask(t *testing.T) {
	c := newChat(t)
	owner := c.bind("o-owner", applicant)
	c.hire("o-reviewer", colleague, "staff1", "李审核", func(*order.Staff) {})
	c.insert(anOrder(owner, 1, order.InReview, order.Queued), anOrder(owner, 2, order.InReview, order.Queued))
	if got := c.says("o-reviewer", "通过"); !strings.HasPrefix(got, "有 2 个任务在等审核，请回复数字选择：") {
		t.Errorf("通过: %s", got)
	}
	if got := c.says("o-reviewer", "7"); got != "请回复 1 到 2 之间的数字。" {
		t.Errorf("7: %s", got)
	}
}

// What a reviewer wrote is repeated without the numbers of people (rules.md §3.2).
func TestRejectionWithoutNumbers(t *testing.T) {
	c := newChat(t)
	o := anOrder(c.bind("o-a", applicant), 1, order.Rejected, order.Fixable)
	o.Reasons = []order.Reason{{Code: "R20", Note: "证件号 110101199003070011 与照片不符"}}
	c.insert(o)
	got := c.says("o-a", "为什么被拒绝")
	if !strings.Contains(got, "与照片不符（R20）") || strings.Contains(got, "110101199003070011") {
		t.Error(got)
	}
}

// What is no text gets one next step, and ends nothing that was begun.
func TestWhatIsNoText(t *testing.T) {
	c := newChat(t)
	c.says("o-user", "绑定13800001111")
	for i, kind := range []MessageType{"image", "voice", "video", "shortvideo", "location", "link", "file"} {
		said := c.answer(Message{OpenID: "o-user", ID: uint64(900 + i), Type: kind, Sent: c.clock.Now()}).Text
		if !strings.Contains(said, "请用一句话告诉我") || !strings.Contains(said, "不要发到聊天里") {
			t.Errorf("to a message of kind %s it says %q", kind, said)
		}
	}
	c.says("o-user", c.sms[len(c.sms)-1])
	if _, err := c.db.PersonByWeChat(t.Context(), testAccount.AppID, "o-user"); err != nil {
		t.Error("the pictures ended the binding:", err)
	}
}

// 是 or 算了 answers nothing when nothing was asked, and is no wish.
func TestAnswerToNothing(t *testing.T) {
	c := newChat(t)
	for _, said := range []string{"是", "没有", "算了", "取消。"} {
		if got := c.says("o-a", said); got != textNothingAsked {
			t.Errorf("%s: %q", said, got)
		}
	}
	if got := c.says("o-a", "取消订单"); got == textNothingAsked {
		t.Errorf("a wish is taken for an answer: %q", got)
	}
}

// Nobody changes the address of a parcel that has arrived; of one on its way the courier
// may be asked.
func TestAddressOfWhatArrived(t *testing.T) {
	c := newChat(t)
	p := c.bind("o-a", applicant)
	var all []order.Order
	for n, parcel := range []order.ParcelState{order.ParcelSigned, order.ParcelInTransit, order.NoParcel} {
		o := anOrder(p, n+1, order.Completed, order.NoStage)
		o.Carrier, o.TrackingNo, o.Parcel = "sf", "SF1234567890123", parcel
		if parcel == order.NoParcel {
			o = anOrder(p, n+1, order.InReview, order.Queued)
		}
		all = append(all, o)
	}
	c.insert(all...)
	got := c.says("o-a", "改地址")
	for n, want := range []bool{false, true, true} {
		if tail := order.TailOf(all[n].No); strings.Contains(got, tail) != want {
			t.Errorf("%s listed: %v\n%s", tail, !want, got)
		}
	}
}
