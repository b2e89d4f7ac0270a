package order_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
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
	// ends is how single refunds end, by their number; meanwhile runs once, between a
	// question about a refund and its answer.
	ends      map[string]order.RefundStatus
	meanwhile func()
	refused   error
	channel   order.PayChannel
	down      bool
	now       func() time.Time
	amount    order.Fen
}

func newGateway(channel order.PayChannel, now func() time.Time) *gateway {
	return &gateway{trades: map[string]order.TradeStatus{}, refunds: map[string]int{}, returned: map[string]order.Fen{}, ends: map[string]order.RefundStatus{}, refund: order.RefundDone, channel: channel, now: now, amount: 60000}
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

// PrepayMini implements [order.MiniGateway].
func (g *gateway) PrepayMini(ctx context.Context, p order.Payment, _ string) (string, error) {
	_, err := g.Prepay(ctx, p, "")
	return "prepay-" + p.TradeNo, err
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
	answer := cmp.Or(g.ends[p.RefundNo], g.refund)
	if f := g.meanwhile; f != nil {
		g.meanwhile = nil
		g.mu.Unlock()
		f()
		g.mu.Lock()
	}
	return answer, nil
}

// back are the numbers of the refunds whose money has arrived.
func (g *gateway) back() (numbers []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for no := range g.refunds {
		if cmp.Or(g.ends[no], g.refund) == order.RefundDone {
			numbers = append(numbers, no)
		}
	}
	slices.Sort(numbers)
	return numbers
}

// house is a service with everything it stands on.
type house struct {
	keyAge int // years of the key pairs that are issued; at least 1
	*order.Service
	db      *store.DB
	pay     *gateway // WeChat Pay
	alipay  *gateway
	through order.PayChannel // of pays
	mini    bool             // pays is in the mini-program
	wechat  *fulfilmentDesk
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
	h.courier, h.wechat = &courierDesk{}, newFulfilmentDesk()
	h.certificates = certificate.NewService(store.Certificates{DB: db}, h.now, h.newID, nil)
	h.Service = order.NewService(order.Deps{Store: db, Gateways: h.gateways(), Courier: h.courier, Mini: h.pay, Fulfilments: h.wechat, Certificates: h.certificates, Calendar: calendar, Catalogue: func() order.Catalogue { return catalogue }, Now: h.now, NewID: h.newID, LinkKey: []byte("0123456789abcdef0123456789abcdef")})
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
	var p order.Payment
	if h.mini {
		var err error
		if p, err = h.OpenMiniPayment(t.Context(), o.ID, order.Actor{Role: order.Applicant, PersonID: o.PersonID, Channel: order.MiniProgram}, "m1"); err != nil {
			t.Fatal(err)
		}
	} else {
		p = h.opens(t, o, h.through)
	}
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
