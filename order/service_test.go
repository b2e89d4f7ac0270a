package order_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store"
	"github.com/yuncaidun/yuncaidun/store/storetest"
)

// eachDB runs the test on both databases.
func eachDB(t *testing.T, test func(t *testing.T, h *house)) {
	for _, dialect := range storetest.Dialects {
		t.Run(dialect, func(t *testing.T) { test(t, newHouse(t, storetest.DSN(t, dialect, store.MigrateAt))) })
	}
}

// eachChannel runs the test on both databases for each channel; g is its gateway.
func eachChannel(t *testing.T, test func(t *testing.T, h *house, g *gateway)) {
	for _, c := range []order.PayChannel{order.WeChatPay, order.Alipay} {
		t.Run(string(c), func(t *testing.T) {
			eachDB(t, func(t *testing.T, h *house) {
				h.through = c
				test(t, h, map[order.PayChannel]*gateway{order.WeChatPay: h.pay, order.Alipay: h.alipay}[c])
			})
		})
	}
}

func TestMain(m *testing.M) { storetest.Main(m) }

// gateway is the payment provider of the tests: what it knows can be set.
type gateway struct {
	mu      sync.Mutex
	trades  map[string]order.TradeStatus
	refunds map[string]int
	// returned is how much each refund asked for.
	returned map[string]order.Fen
	refund   order.RefundStatus
	refused  error
	channel  order.PayChannel
	down     bool
	now      func() time.Time
	amount   order.Fen
}

func newGateway(channel order.PayChannel, now func() time.Time) *gateway {
	return &gateway{trades: map[string]order.TradeStatus{}, refunds: map[string]int{}, returned: map[string]order.Fen{}, refund: order.RefundDone, channel: channel, now: now, amount: 60000}
}

func (h *house) gateways() map[order.PayChannel]order.PaymentGateway {
	return map[order.PayChannel]order.PaymentGateway{order.WeChatPay: h.pay, order.Alipay: h.alipay}
}

func (g *gateway) Prepay(_ context.Context, p order.Payment, _ string) (string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.down {
		return "", order.Errorf(order.Unavailable, "gateway_down", "支付平台暂时不可用")
	}
	g.trades[p.TradeNo] = order.TradeUnpaid
	return "weixin://pay/" + p.TradeNo, nil
}

func (g *gateway) Query(_ context.Context, no string) (order.TradeStatus, order.Receipt, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s, ok := g.trades[no]
	if !ok {
		s = order.TradeUnknown
	}
	return s, order.Receipt{Channel: g.channel, TradeNo: no, TransactionID: "w-" + no, Amount: g.amount, PaidAt: g.now()}, nil
}

func (g *gateway) Close(_ context.Context, no string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.down {
		return order.Errorf(order.Unavailable, "gateway_down", "支付平台暂时不可用")
	}
	if g.trades[no] == order.TradePaid {
		return order.Errorf(order.Conflict, "trade_paid", "已支付")
	}
	g.trades[no] = order.TradeShut
	return nil
}

func (g *gateway) Refund(_ context.Context, p order.Payment, amount order.Fen) (order.RefundStatus, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refunds[p.RefundNo]++
	g.returned[p.RefundNo] = amount
	if g.refused != nil {
		return "", g.refused
	}
	return g.refund, nil
}

// house is a service with everything it stands on.
type house struct {
	keyAge int // years of the key pairs that are issued; at least 1
	*order.Service
	db      *store.DB
	pay     *gateway // WeChat Pay
	alipay  *gateway
	through order.PayChannel // of pays
	courier *courierDesk

	certificates *certificate.Service

	at  time.Time
	ids int
	mu  sync.Mutex
}

func (h *house) now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.at
}

func (h *house) advance(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at = h.at.Add(d)
}

func (h *house) newID() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ids++
	return fmt.Sprintf("01TEST%020d", h.ids)
}

func newHouse(t *testing.T, dsn string) *house {
	t.Helper()
	master, index := make([]byte, store.KeySize), make([]byte, store.KeySize)
	keyset, err := store.NewKeyset(master)
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := store.NewSealer(keyset, master, index)
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), dsn, sealer)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	catalogue, err := order.ReadCatalogue(bytes.NewReader(order.SeededCatalogue()))
	if err != nil {
		t.Fatal(err)
	}
	calendar, err := order.DefaultCalendar()
	if err != nil {
		t.Fatal(err)
	}
	h := &house{through: order.WeChatPay, db: db, at: time.Date(2026, 11, 23, 2, 30, 0, 0, time.UTC)}
	h.pay, h.alipay = newGateway(order.WeChatPay, h.now), newGateway(order.Alipay, h.now)
	h.courier = &courierDesk{}
	h.certificates = certificate.NewService(store.Certificates{DB: db}, h.now, h.newID)
	h.Service = order.NewService(order.Deps{Store: db, Gateways: h.gateways(), Courier: h.courier, Certificates: h.certificates, Calendar: calendar, Catalogue: func() order.Catalogue { return catalogue }, Now: h.now, NewID: h.newID, LinkKey: []byte("0123456789abcdef0123456789abcdef")})
	return h
}

// staff makes a member of staff with a role.
func (h *house) staff(t *testing.T, name, mobile string, r order.Role) order.Actor {
	t.Helper()
	var s order.Staff
	err := h.db.InTx(t.Context(), func(tx order.Tx) error {
		p, err := tx.PersonByMobile(t.Context(), order.Person{ID: h.newID(), Mobile: identity.NewMobile(mobile), CreatedAt: h.now()})
		if err != nil {
			return err
		}
		s = order.Staff{ID: h.newID(), PersonID: p.ID, Name: name, Roles: []order.Role{r}, CreatedAt: h.now()}
		return tx.SaveStaff(t.Context(), s)
	})
	if err != nil {
		t.Fatal(err)
	}
	return s.Actor(r, order.Web, "127.0.0.1")
}

const browser = "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9"

func form(change map[order.Field]string) order.Form {
	f := map[order.Field]string{
		order.AgentName: "王小琪", order.AgentMobile: "177 0000 7069", order.AgentEmail: "wangxq@example.com", order.IDType: "resident_id", order.IDNo: "11010119900307001１",
		order.IDFront: "01FRONT", order.IDBack: "01BACK", order.LicenseImage: "01LICENSE", order.OrgName: "云岭测试科技(昆明)有限公司", order.OrgType: "enterprise",
		order.OrgUSCC: "91110108ma00ten18f", order.OrgIndustry: "I", order.AuthWay: order.AuthPaper, order.LegalName: "李建国", order.LetterImage: "01LETTER",
		order.ShipWay: order.ShipCourier, order.ShipName: "赵大山", order.ShipMobile: "13800000099", order.ShipProvince: "云南省", order.ShipCity: "昆明市",
		order.ShipDistrict: "五华区", order.ShipAddress: "测试路 1 号", order.InvoiceWant: order.Yes,
	}
	for k, v := range change {
		f[k] = v
	}
	return order.NewForm(f)
}

// draft saves a draft of two keys as an anonymous browser.
func (h *house) draft(t *testing.T, change map[order.Field]string) order.Order {
	t.Helper()
	o, err := h.Apply(t.Context(), "", order.Command{
		On: order.Save, By: order.Actor{Role: order.Applicant, Channel: order.Web}, DraftToken: browser,
		Product: "yd-initial", Lines: []order.Line{{Quantity: 1}, {Seal: order.UnitSeal, Quantity: 1}}, Form: form(change),
	})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func (h *house) confirm(t *testing.T, o order.Order) order.Order {
	t.Helper()
	o, err := h.Apply(t.Context(), o.ID, order.Command{
		On: order.Confirm, By: order.Actor{Role: order.Applicant, PersonID: o.PersonID, Channel: order.Web}, DraftToken: browser, Snapshot: o.Hash(),
		Consent: order.Consent{Version: "2026-11", Hash: "h", At: h.now(), IP: "127.0.0.1"}, Proven: []order.Fact{order.MobileProven},
	})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func (h *house) mustApply(t *testing.T, id order.ID, c order.Command) order.Order {
	t.Helper()
	o, err := h.Apply(t.Context(), id, c)
	if err != nil {
		t.Fatalf("%s: %v", c.On, err)
	}
	return o
}

// opens has the applicant open a trade on the portal.
func (h *house) opens(t *testing.T, o order.Order, channel order.PayChannel) order.Payment {
	t.Helper()
	p, err := h.OpenPayment(t.Context(), o.ID, order.Actor{Role: order.Applicant, PersonID: o.PersonID, Channel: order.Web}, channel)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// pays opens a trade and has the gateway report it paid.
func (h *house) pays(t *testing.T, o order.Order) order.Payment {
	t.Helper()
	p := h.opens(t, o, h.through)
	if err := h.PaymentSucceeded(t.Context(), h.receipt(p)); err != nil {
		t.Fatal(err)
	}
	return p
}

func (h *house) receipt(p order.Payment) order.Receipt {
	return order.Receipt{Channel: p.Channel, TradeNo: p.TradeNo, TransactionID: "w-" + p.TradeNo, Amount: p.Amount, PaidAt: h.now()}
}

func (h *house) order(t *testing.T, id order.ID) order.Order {
	t.Helper()
	o, err := h.db.Order(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// A purchase of two keys runs from the form to the shipped key, with its number,
// its money, its history and its notices.
func TestPurchase(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		reviewer, shipper := h.staff(t, "李审核", "13800000011", order.Reviewer), h.staff(t, "赵发货", "13800000014", order.Shipper)
		o := h.draft(t, nil)
		if o.Amount != 60000 || o.USCC != "91110108MA00TEN18F" || o.Company != "云岭测试科技（昆明）有限公司" || o.Form.Get(order.IDNo) != "110101199003070011" { // F7
			t.Fatalf("draft: %d fen, %s, %s", o.Amount, o.USCC, o.Company)
		}
		o = h.confirm(t, o)
		if o.No != "SAAS120261123103000000001" || o.PersonID == "" || o.DraftToken != "" || o.Status != order.AwaitingPayment { // F93, F19
			t.Fatalf("confirmed: %q person %q status %s", o.No, o.PersonID, o.State)
		}
		p := h.pays(t, o)
		o = h.order(t, o.ID)
		if o.Stage != order.Queued || !o.DueAt.Equal(time.Date(2026, 11, 26, 9, 30, 0, 0, time.UTC)) { // F59, F63: three working days, 17:30
			t.Fatalf("paid: %s due %s", o.State, o.DueAt)
		}
		if err := h.RecordRealName(ctx, o.ID, 1, order.RealNameMatch); err != nil { // F24
			t.Fatal(err)
		}
		h.mustApply(t, o.ID, order.Command{On: order.Claim, By: reviewer})
		o = h.mustApply(t, o.ID, order.Command{On: order.Approve, By: reviewer, Snapshot: o.Snapshot, Ticks: order.Ticks})
		items, err := h.db.Items(ctx, o.ID)
		if err != nil || len(items) != 2 { // F120
			t.Fatalf("items: %d, %v", len(items), err)
		}
		for i, it := range items {
			h.mustApply(t, o.ID, order.Command{On: order.MakeKey, By: order.BySystem, Item: it.ID})
			o = h.mustApply(t, o.ID, order.Command{On: order.KeyVerified, By: order.BySystem, Item: it.ID, TokenSerial: fmt.Sprintf("TW%014d", i), CertSerial: fmt.Sprintf("%040d", i), Proven: []order.Fact{order.ReadBack}})
		}
		if o.Status != order.ToShip || o.Verified != 2 {
			t.Fatalf("made: %s, %d verified", o.State, o.Verified)
		}
		o = h.mustApply(t, o.ID, order.Command{On: order.Ship, By: shipper, Carrier: "sf", TrackingNo: "SF1234567890123"})
		if o.Status != order.Completed { // F121
			t.Fatalf("shipped: %s", o.State)
		}

		events, err := h.db.Events(ctx, o.ID)
		if err != nil {
			t.Fatal(err)
		}
		var history []order.Event
		for _, e := range events {
			history = append(history, e.Event)
		}
		want := []order.Event{order.Save, order.Confirm, order.Paid, order.Claim, order.Approve, order.MakeKey, order.KeyVerified, order.MakeKey, order.KeyVerified, order.Ship}
		if !slices.Equal(history, want) { // F125
			t.Errorf("history %v, want %v", history, want)
		}
		sent := map[string]int{}
		notifications, err := h.db.Notifications(ctx, o.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range notifications {
			sent[fmt.Sprint(n.Notice, " ", n.Medium, " ", n.To)]++
		}
		wantSent := map[string]int{ // F105: the recipient's number differs, so both hear of the parcel
			"review_task wechat reviewers": 1, "approved_issue sms agent": 1, "approved_issue wechat agent": 1, "ship_task wechat shippers": 1,
			"shipped sms recipient": 1, "shipped sms agent": 1, "shipped wechat agent": 1,
		}
		if fmt.Sprint(sent) != fmt.Sprint(wantSent) {
			t.Errorf("notices %v, want %v", sent, wantSent)
		}
		if got, err := h.db.Payment(ctx, p.TradeNo); err != nil || got.State != order.PaymentPaid {
			t.Errorf("payment %s, %v", got.State, err)
		}
	})
}

// Reliability 1: the same notification a thousand times is one change.
func TestPaidOnce(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		o := h.confirm(t, h.draft(t, nil))
		p := h.opens(t, o, order.WeChatPay)
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				for range 20 {
					if err := h.PaymentSucceeded(context.Background(), h.receipt(p)); err != nil {
						t.Errorf("repeat: %v", err)
						return
					}
				}
			})
		}
		wg.Wait()
		events, err := h.db.Events(t.Context(), o.ID)
		if err != nil {
			t.Fatal(err)
		}
		paid := slices.DeleteFunc(events, func(e order.EventRecord) bool { return e.Event != order.Paid })
		if len(paid) != 1 {
			t.Errorf("%d payments in the history", len(paid))
		}
	})
}

// Another amount is refused and changes nothing (reliability 2).
func TestWrongAmount(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		o := h.confirm(t, h.draft(t, nil))
		p := h.opens(t, o, order.WeChatPay)
		for _, off := range []order.Fen{-1, 1} {
			r := h.receipt(p)
			r.Amount += off
			if err := h.PaymentSucceeded(t.Context(), r); !errors.Is(err, order.Forbidden) {
				t.Errorf("off by %d: %v", off, err)
			}
		}
		if o := h.order(t, o.ID); o.Status != order.AwaitingPayment {
			t.Errorf("order is %s", o.State)
		}
	})
}

// Row 10: money for a trade that is not current goes back, once.
func TestLatePaymentGoesBack(t *testing.T) {
	tests := []struct {
		name  string
		after func(t *testing.T, h *house, o order.Order) // after the first trade was opened
		want  order.Status
	}{
		{"second trade of a paid order", func(t *testing.T, h *house, o order.Order) {
			h.advance(3 * time.Hour)
			h.pays(t, o)
		}, order.InReview},
		{"back in the form", func(t *testing.T, h *house, o order.Order) {
			if _, err := h.Edit(t.Context(), o.ID, order.Actor{Role: order.Applicant, PersonID: o.PersonID}); err != nil {
				t.Fatal(err)
			}
		}, order.Draft},
		{"deleted", func(t *testing.T, h *house, o order.Order) {
			if _, err := h.Delete(t.Context(), o.ID, order.Actor{Role: order.Applicant, PersonID: o.PersonID}, ""); err != nil {
				t.Fatal(err)
			}
		}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			eachChannel(t, func(t *testing.T, h *house, g *gateway) {
				o := h.confirm(t, h.draft(t, nil))
				first := h.opens(t, o, h.through)
				tt.after(t, h, o)
				for range 2 {
					if err := h.PaymentSucceeded(t.Context(), h.receipt(first)); err != nil {
						t.Fatal(err)
					}
				}
				for range 2 {
					if err := h.RunRefund(t.Context(), first.TradeNo); err != nil {
						t.Fatal(err)
					}
				}
				p, err := h.db.Payment(t.Context(), first.TradeNo)
				if err != nil || p.State != order.PaymentRefunded || g.refunds[p.RefundNo] != 1 {
					t.Errorf("payment %s, refunded %d times, %v", p.State, g.refunds[p.RefundNo], err)
				}
				if tt.want != "" && h.order(t, o.ID).Status != tt.want {
					t.Errorf("order is %s, want %s", h.order(t, o.ID).State, tt.want)
				}
			})
		})
	}
}

// F62: one order paid by WeChat Pay and by Alipay is paid once. The other money goes
// back through the gateway it came through, and only there.
func TestPaidThroughBothChannels(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		o := h.confirm(t, h.draft(t, nil))
		open := func(c order.PayChannel) order.Payment {
			p := h.opens(t, o, c)
			return p
		}
		wechat := open(order.WeChatPay)
		alipay := open(order.Alipay)
		if again := open(order.Alipay); wechat.TradeNo == alipay.TradeNo || again.TradeNo != alipay.TradeNo {
			t.Errorf("trades %s, %s, %s", wechat.TradeNo, alipay.TradeNo, again.TradeNo)
		}
		if got, err := h.db.Payment(ctx, alipay.TradeNo); err != nil || got.Channel != order.Alipay || h.pay.trades[alipay.TradeNo] != "" {
			t.Errorf("payment %+v, %v", got, err)
		}
		// Each gateway speaks for its own trades only.
		foreign := h.receipt(alipay)
		foreign.Channel = order.WeChatPay
		if err := h.PaymentSucceeded(ctx, foreign); !errors.Is(err, order.Forbidden) {
			t.Errorf("WeChat Pay about a trade of Alipay's: %v", err)
		}
		for _, p := range []order.Payment{alipay, wechat, alipay, wechat} {
			if err := h.PaymentSucceeded(ctx, h.receipt(p)); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			if err := h.RunRefund(ctx, wechat.TradeNo); err != nil {
				t.Fatal(err)
			}
		}
		if now := h.order(t, o.ID); now.Stage != order.Queued || now.TradeNo != alipay.TradeNo {
			t.Errorf("order %s, paid by trade %s", now.State, now.TradeNo)
		}
		if len(h.pay.refunds) != 1 || h.pay.refunds["R"+wechat.TradeNo] != 1 || len(h.alipay.refunds) != 0 {
			t.Errorf("refunds: WeChat Pay %v, Alipay %v", h.pay.refunds, h.alipay.refunds)
		}
		if got := h.ledger(t, o.ID); got != o.Amount {
			t.Errorf("%d fen in the ledger", got)
		}
	})
}

// G32: what a surface offers, and that it takes nothing else.
func TestPayChannels(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		o := h.confirm(t, h.draft(t, nil))
		open := func(on order.Channel, c order.PayChannel) string {
			_, err := h.OpenPayment(t.Context(), o.ID, order.Actor{Role: order.Applicant, PersonID: o.PersonID, Channel: on}, c)
			return codeOf(err)
		}
		both, wechat := []order.PayChannel{order.WeChatPay, order.Alipay}, []order.PayChannel{order.WeChatPay}
		offers := func(what string, want map[order.Channel][]order.PayChannel) {
			t.Helper()
			for on, channels := range want {
				if got := h.PayChannels(on); !slices.Equal(got, channels) {
					t.Errorf("%s: %q offers %v, want %v", what, on, got, channels)
				}
				for _, c := range append(both, "cash", "") {
					refused := open(on, c) == "pay_channel_unavailable"
					if refused == slices.Contains(channels, c) {
						t.Errorf("%s: %q through %q, refused: %t", what, c, on, refused)
					}
				}
			}
		}
		offers("both configured", map[order.Channel][]order.PayChannel{order.Web: both, order.OfficialAcc: wechat, order.MiniProgram: wechat, "": nil})
		h.Service = order.NewService(order.Deps{Store: h.db, Gateways: map[order.PayChannel]order.PaymentGateway{order.WeChatPay: h.pay}, Calendar: h.calendar(t), Catalogue: h.Catalogue, Now: h.now, NewID: h.newID})
		offers("without Alipay", map[order.Channel][]order.PayChannel{order.Web: wechat, order.OfficialAcc: wechat})
	})
}

// A trade of a channel that is configured no longer waits for it; nothing is lost or
// asked of another gateway.
func TestChannelSwitchedOff(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		h.through = order.Alipay
		o := h.confirm(t, h.draft(t, nil))
		p := h.pays(t, o)
		h.mustApply(t, o.ID, order.Command{On: order.RefundStart, By: finance, Note: "不办了"})
		h.Service = order.NewService(order.Deps{Store: h.db, Gateways: map[order.PayChannel]order.PaymentGateway{order.WeChatPay: h.pay}, Calendar: h.calendar(t), Catalogue: h.Catalogue, Now: h.now, NewID: h.newID})
		if err := h.RunRefund(t.Context(), p.TradeNo); !errors.Is(err, order.Unavailable) || len(h.pay.refunds) != 0 {
			t.Errorf("refund: %v, WeChat Pay was asked for %v", err, h.pay.refunds)
		}
		h.Service = order.NewService(order.Deps{Store: h.db, Gateways: h.gateways(), Calendar: h.calendar(t), Catalogue: h.Catalogue, Now: h.now, NewID: h.newID})
		if err := h.RunRefund(t.Context(), p.TradeNo); err != nil || h.order(t, o.ID).Status != order.Refunded {
			t.Errorf("configured again: %v, order %s", err, h.order(t, o.ID).State)
		}
	})
}

// A code that nobody had scanned when its trade was closed can still be paid at Alipay
// until its time is over. When the notification is lost too, the last question finds
// the money, and it goes back.
func TestPaidAfterTheClose(t *testing.T) {
	eachChannel(t, func(t *testing.T, h *house, g *gateway) {
		ctx := t.Context()
		o := h.confirm(t, h.draft(t, nil))
		by := order.Actor{Role: order.Applicant, PersonID: o.PersonID, Channel: order.Web}
		p := h.opens(t, o, h.through)
		if _, err := h.Edit(ctx, o.ID, by); err != nil {
			t.Fatal(err)
		}
		g.trades[p.TradeNo] = order.TradePaid
		due := func() bool {
			ps, err := h.db.DueQueries(ctx, h.now(), 9)
			if err != nil {
				t.Fatal(err)
			}
			return len(ps) == 1 && ps[0].TradeNo == p.TradeNo
		}
		if h.advance(time.Hour); due() {
			t.Error("asked about while it may still be paid")
		}
		h.advance(time.Hour + time.Minute)
		if !due() {
			t.Fatal("nobody asks about the closed trade")
		}
		if err := h.Sweep(ctx); err != nil {
			t.Fatal(err)
		}
		if due() {
			t.Error("asked about more than once")
		}
		for range 2 {
			if err := h.CheckPayment(ctx, p.TradeNo); err != nil { // what the sweep has enqueued
				t.Fatal(err)
			}
			if err := h.RunRefund(ctx, p.TradeNo); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := h.db.Payment(ctx, p.TradeNo); err != nil || got.State != order.PaymentRefunded || g.refunds[got.RefundNo] != 1 || h.order(t, o.ID).Status != order.Draft {
			t.Errorf("payment %s, refunds %v, order %s, %v", got.State, g.refunds, h.order(t, o.ID).State, err)
		}
	})
}

// F60: Alipay says nothing of a bank's refusal. A payer who gives up closes the trade,
// which we did not; the page says so, and once.
func TestPayerGivesUp(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		o := h.confirm(t, h.draft(t, nil))
		p := h.opens(t, o, order.Alipay)
		h.alipay.trades[p.TradeNo] = order.TradeShut
		for range 3 {
			if err := h.CheckPayment(ctx, p.TradeNo); err != nil {
				t.Fatal(err)
			}
		}
		events, err := h.db.Events(ctx, o.ID)
		if err != nil {
			t.Fatal(err)
		}
		failed := slices.DeleteFunc(slices.Clone(events), func(e order.EventRecord) bool { return e.Event != order.PayFailed })
		if len(failed) != 1 || events[len(events)-1].Event != order.PayFailed || h.order(t, o.ID).Status != order.AwaitingPayment {
			t.Errorf("%d failures of %d events, order %s", len(failed), len(events), h.order(t, o.ID).State)
		}
	})
}

// Promises that cannot be kept hold up nobody else's: they step back, are told of at
// each try, and are kept when they can be.
func TestPromisesThatFail(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		stuck, waiting := h.confirm(t, h.draft(t, nil)), h.confirm(t, h.draft(t, nil))
		h.opens(t, stuck, order.WeChatPay)
		h.pay.down = true
		timers := []order.Timer{{OrderID: waiting.ID, Seq: waiting.Seq + 1, On: order.Unpaid, At: h.now()}}
		for i := range int64(100) { // as many as a sweep looks at
			timers = append(timers, order.Timer{OrderID: stuck.ID, Seq: stuck.Seq + 1 + i, On: order.Unpaid, At: h.now().Add(-time.Hour)})
		}
		if err := h.db.InTx(ctx, func(tx order.Tx) error { return tx.SetTimers(ctx, timers...) }); err != nil {
			t.Fatal(err)
		}
		if err := h.Sweep(ctx); !errors.Is(err, order.Unavailable) || !strings.Contains(err.Error(), string(stuck.ID)+" (unpaid), try 1") {
			t.Fatalf("the first sweep says %v", err)
		}
		if err := h.Sweep(ctx); err != nil || h.order(t, waiting.ID).Status != order.Draft {
			t.Fatalf("behind a hundred that fail: %s, %v", h.order(t, waiting.ID).State, err)
		}
		var tried []int // at which minutes
		for minute := range 45 {
			if err := h.Sweep(ctx); err != nil {
				tried = append(tried, minute)
			}
			h.advance(time.Minute)
		}
		if want := []int{1, 2, 3, 4, 5, 6, 8, 11, 16, 25, 35}; !slices.Equal(tried, want) {
			t.Errorf("tried at minutes %v, want %v", tried, want)
		}
		h.pay.down = false
		h.advance(10 * time.Minute)
		if err := h.Sweep(ctx); err != nil || h.order(t, stuck.ID).Status != order.Draft {
			t.Errorf("the gateway is back: %s, %v", h.order(t, stuck.ID).State, err)
		}
	})
}

// A notification that was lost is made up for by asking (issue: query as a
// fallback), and an order unpaid for seven days goes back to the form (row 8).
func TestTimersAndQueries(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		o := h.confirm(t, h.draft(t, nil))
		p := h.opens(t, o, order.WeChatPay)
		h.advance(6*24*time.Hour + time.Minute)
		if err := h.Sweep(ctx); err != nil {
			t.Fatal(err)
		}
		ns, err := h.db.Notifications(ctx, o.ID)
		if err != nil || len(ns) != 2 || ns[0].Notice != order.NoticeUnpaid {
			t.Fatalf("day 6: %d notices, %v", len(ns), err)
		}
		h.advance(24 * time.Hour)
		if err := h.Sweep(ctx); err != nil {
			t.Fatal(err)
		}
		if o := h.order(t, o.ID); o.Status != order.Draft || h.pay.trades[p.TradeNo] != order.TradeShut {
			t.Fatalf("day 7: %s, trade %s", o.State, h.pay.trades[p.TradeNo])
		}

		o = h.confirm(t, h.order(t, o.ID))
		p, err = h.OpenPayment(ctx, o.ID, order.Actor{Role: order.Applicant, PersonID: o.PersonID, Channel: order.Web}, order.WeChatPay)
		if err != nil {
			t.Fatal(err)
		}
		h.pay.trades[p.TradeNo] = order.TradePaid // and nobody tells us
		if err := h.CheckPayment(ctx, p.TradeNo); err != nil {
			t.Fatal(err)
		}
		if o := h.order(t, o.ID); o.Stage != order.Queued {
			t.Fatalf("after the query: %s", o.State)
		}
	})
}

// F60: a payment that the bank refused shows, leaves the order to be paid, and the
// next QR code is another trade; the refused one can no longer be paid.
func TestPaymentFails(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		o := h.confirm(t, h.draft(t, nil))
		by := order.Actor{Role: order.Applicant, PersonID: o.PersonID, Channel: order.Web}
		first := h.opens(t, o, order.WeChatPay)
		h.pay.trades[first.TradeNo] = order.TradeFailed
		for range 2 { // the second question finds it settled
			if err := h.CheckPayment(ctx, first.TradeNo); err != nil {
				t.Fatal(err)
			}
		}
		events, err := h.db.Events(ctx, o.ID)
		if err != nil {
			t.Fatal(err)
		}
		if last, now := events[len(events)-1], h.order(t, o.ID); last.Event != order.PayFailed || now.Status != order.AwaitingPayment {
			t.Errorf("after the failure: %s, %s", last.Event, now.State)
		}
		if events[len(events)-2].Event == order.PayFailed || h.pay.trades[first.TradeNo] != order.TradeShut {
			t.Errorf("told twice, or the trade is %s", h.pay.trades[first.TradeNo])
		}
		second, err := h.OpenPayment(ctx, o.ID, by, order.WeChatPay)
		if err != nil || second.TradeNo == first.TradeNo {
			t.Fatalf("paying again: trade %s, %v", second.TradeNo, err)
		}
		h.pays(t, h.order(t, o.ID))
		if o := h.order(t, o.ID); o.Stage != order.Queued {
			t.Errorf("paid at last: %s", o.State)
		}
	})
}

// Two reviewers decide at once: the second finds it decided (deterministic twin
// below), and of many in parallel one wins.
func TestOneReviewerWins(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		a, b := h.staff(t, "李审核", "13800000011", order.Reviewer), h.staff(t, "周复核", "13800000012", order.Reviewer)
		o := h.confirm(t, h.draft(t, nil))
		h.pays(t, o)
		var wg sync.WaitGroup
		var mu sync.Mutex
		won := 0
		for _, who := range []order.Actor{a, b, a, b, a, b} {
			wg.Go(func() {
				if _, err := h.Apply(context.Background(), o.ID, order.Command{On: order.Claim, By: who}); err == nil {
					mu.Lock()
					defer mu.Unlock()
					won++
				} else if !errors.Is(err, order.Conflict) {
					t.Errorf("claim: %v", err)
				}
			})
		}
		wg.Wait()
		if won != 1 {
			t.Fatalf("%d reviewers claimed", won)
		}
		h.advance(16 * time.Minute)
		if err := h.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if o := h.order(t, o.ID); o.Stage != order.Queued { // row 21
			t.Fatalf("after 15 minutes: %s", o.State)
		}
		if err := h.RecordRealName(t.Context(), o.ID, 1, order.RealNameMatch); err != nil {
			t.Fatal(err)
		}
		h.mustApply(t, o.ID, order.Command{On: order.Claim, By: a})
		h.mustApply(t, o.ID, order.Command{On: order.Approve, By: a, Snapshot: o.Snapshot, Ticks: order.Ticks})
		if _, err := h.Apply(t.Context(), o.ID, order.Command{On: order.Reject, By: b, Reasons: []order.Reason{{Code: "R03"}}}); !errors.Is(err, order.Conflict) {
			t.Fatalf("second decision: %v", err)
		}
	})
}

// A rejected order is corrected and resubmitted without paying again (F95, F96).
func TestRejectedAndResubmitted(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		reviewer := h.staff(t, "李审核", "13800000011", order.Reviewer)
		o := h.confirm(t, h.draft(t, nil))
		h.pays(t, o)
		me := order.Actor{Role: order.Applicant, PersonID: o.PersonID}
		h.mustApply(t, o.ID, order.Command{On: order.Claim, By: reviewer})
		o = h.mustApply(t, o.ID, order.Command{On: order.Reject, By: reviewer, Reasons: []order.Reason{{Code: "R03"}, {Code: "R20", Note: "请补拍"}}})
		if o.Status != order.Rejected || !o.DueAt.IsZero() || o.Reasons[1].Text() != "请补拍" {
			t.Fatalf("rejected: %s %v", o.State, o.Reasons)
		}
		if _, err := h.Apply(t.Context(), o.ID, order.Command{On: order.Resubmit, By: me, Form: form(nil).With(order.AgentMobile, "13900000001")}); !errors.Is(err, order.Invalid) {
			t.Fatalf("unproven mobile: %v", err)
		}
		// What was signed has changed, so the stamped letter is void, too; the address has not.
		for field, value := range map[order.Field]string{order.OrgName: "云岭测试科技（大理）有限公司", order.AgentName: "王大琪"} {
			_, err := h.Apply(t.Context(), o.ID, order.Command{On: order.Resubmit, By: me, Form: o.Form.With(field, value)})
			if e, ok := order.AsError(err); !ok || len(e.Fields) != 1 || e.Fields[0].Field != order.LetterImage {
				t.Errorf("another %s with the old letter: %v", field, err)
			}
		}
		before := o.Snapshot
		o = h.mustApply(t, o.ID, order.Command{On: order.Resubmit, By: me, Form: form(nil).With(order.LetterImage, "01LETTER2")})
		if o.Stage != order.Queued || o.Submission != 2 || o.Snapshot == before || len(o.Reasons) != 0 || o.DueAt.IsZero() {
			t.Fatalf("resubmitted: %s, submission %d", o.State, o.Submission)
		}
		payments, err := h.db.Payments(t.Context(), o.ID)
		if err != nil || len(payments) != 1 {
			t.Fatalf("%d payments, %v", len(payments), err)
		}
	})
}

// F23: somebody else's order does not exist.
func TestOthersOrders(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		o := h.draft(t, nil)
		stranger := order.Actor{Role: order.Applicant, PersonID: "somebody", Channel: order.Web}
		for _, c := range []order.Command{{On: order.Save, Product: "yd-initial", By: stranger}, {On: order.Confirm, By: stranger}, {On: order.Delete, By: stranger, DraftToken: "other"}} {
			if _, err := h.Apply(t.Context(), o.ID, c); !errors.Is(err, order.NotFound) {
				t.Errorf("%s: %v", c.On, err)
			}
		}
		if _, err := h.OpenPayment(t.Context(), o.ID, stranger, order.WeChatPay); !errors.Is(err, order.NotFound) {
			t.Errorf("pay: %v", err)
		}
	})
}

// F19, F55: a code proves the mobile of the form that it was asked for. Whoever puts
// another's mobile into the draft meanwhile does not become that person.
func TestConfirmationIsOfTheFormThatWasProven(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		seen := h.draft(t, nil)
		by := order.Actor{Role: order.Applicant, Channel: order.Web}
		h.mustApply(t, seen.ID, order.Command{On: order.Save, By: by, DraftToken: browser, Product: seen.Product.Code, Term: seen.Product.Term, Lines: seen.Lines, Form: seen.Form.With(order.AgentMobile, "13700137000")})
		confirm := order.Command{On: order.Confirm, By: by, DraftToken: browser, Snapshot: seen.Hash(), Proven: []order.Fact{order.MobileProven}, Consent: order.Consent{Version: "1", Hash: "h", At: h.now()}}
		if _, err := h.Apply(t.Context(), seen.ID, confirm); !errors.Is(err, order.Conflict) {
			t.Errorf("another mobile than the one proven: %v", err)
		}
		now := h.order(t, seen.ID)
		if now.Status != order.Draft || now.PersonID != "" {
			t.Fatalf("refused, yet %s of %q", now.State, now.PersonID)
		}
		confirm.Snapshot = now.Hash()
		if o := h.mustApply(t, seen.ID, confirm); o.Status != order.AwaitingPayment {
			t.Errorf("the form as it is: %s", o.State)
		}
	})
}

// A save with something wrong names every field and changes nothing (F14, G30).
func TestDraftFaults(t *testing.T) {
	h := newHouse(t, storetest.DSN(t, "sqlite", store.MigrateAt))
	_, err := h.Apply(t.Context(), "", order.Command{
		On: order.Save, By: order.Actor{Role: order.Applicant}, DraftToken: browser, Product: "yd-initial",
		Form: order.NewForm(map[order.Field]string{order.AgentMobile: "123", order.OrgUSCC: "91110108MA00TEN18G", order.AgentName: "王小琪"}),
	})
	e, ok := order.AsError(err)
	if !ok || len(e.Fields) != 2 || e.Fields[0].Field != order.AgentMobile || e.Fields[1].Field != order.OrgUSCC {
		t.Fatalf("faults: %v", err)
	}
	o := h.draft(t, map[order.Field]string{order.LetterImage: "", order.AgentEmail: "", order.ShipAddress: ""})
	_, err = h.Apply(t.Context(), o.ID, order.Command{On: order.Confirm, By: order.Actor{Role: order.Applicant}, DraftToken: browser, Snapshot: o.Hash(), Proven: []order.Fact{order.MobileProven}, Consent: order.Consent{Version: "1", Hash: "h", At: h.now()}})
	e, ok = order.AsError(err)
	if !ok || len(e.Fields) != 3 {
		t.Fatalf("incomplete: %v", err)
	}
	if o := h.order(t, o.ID); o.Status != order.Draft || o.No != "" {
		t.Fatalf("refused, yet %s %q", o.State, o.No)
	}
}

// Row 67: a refund that the gateway cannot make is settled by hand, with a reason;
// the books say so.
func TestRefundByHand(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		finance := h.staff(t, "孙管理", "13800000015", order.Finance)
		o := h.confirm(t, h.draft(t, nil))
		p := h.pays(t, o)
		h.mustApply(t, o.ID, order.Command{On: order.RefundStart, By: finance, Note: "客户不再需要"})
		h.pay.refund = order.RefundProcessing
		if err := h.RunRefund(t.Context(), p.TradeNo); !errors.Is(err, order.Unavailable) {
			t.Fatalf("processing: %v", err)
		}
		h.pay.refund = order.RefundAbnormal
		if err := h.RunRefund(t.Context(), p.TradeNo); err != nil {
			t.Fatal(err)
		}
		if o := h.order(t, o.ID); o.Refund != order.RefundFailed {
			t.Fatalf("after the gateway's refusal: %s, refund %q", o.State, o.Refund)
		}
		o = h.mustApply(t, o.ID, order.Command{On: order.RefundByHand, By: finance, Note: "已转账，回单 0017"})
		got, err := h.db.Payment(t.Context(), p.TradeNo)
		if err != nil || o.Status != order.Refunded || o.Refund != order.NoRefund || got.State != order.PaymentRefunded || got.RefundReason != "客户不再需要" {
			t.Fatalf("by hand: %s, payment %s for %q, %v", o.State, got.State, got.RefundReason, err)
		}
	})
}

// Row 35: who does not correct a rejected order is reminded on day 7 and on day
// 23, and gets the money back on day 30.
func TestRejectedAndForgotten(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		reviewer := h.staff(t, "李审核", "13800000011", order.Reviewer)
		o := h.confirm(t, h.draft(t, nil))
		h.pays(t, o)
		h.mustApply(t, o.ID, order.Command{On: order.Claim, By: reviewer})
		h.mustApply(t, o.ID, order.Command{On: order.Reject, By: reviewer, Reasons: []order.Reason{{Code: "R03"}}})
		day := 0
		for _, due := range []struct {
			day         int
			first, last int // messages, one per medium
			refund      order.RefundState
		}{{6, 0, 0, order.NoRefund}, {7, 2, 0, order.NoRefund}, {22, 2, 0, order.NoRefund}, {23, 2, 2, order.NoRefund}, {30, 2, 2, order.Refunding}} {
			h.advance(time.Duration(due.day-day)*24*time.Hour + time.Second)
			day = due.day
			if err := h.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			first, last := len(h.heard(t, o.ID, order.NoticeFix)), len(h.heard(t, o.ID, order.NoticeFixLast))
			if got := h.order(t, o.ID).Refund; first != due.first || last != due.last || got != due.refund {
				t.Errorf("day %d: %d and %d reminders, refund %q", due.day, first, last, got)
			}
		}
	})
}
