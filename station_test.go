package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/config"
	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/issuance/token"
	"github.com/yuncaidun/yuncaidun/order"
)

// F119: `yuncaidun station` makes the keys of an order over HTTP with a ticket of the
// issuer's; without one, with a changed one or one of somebody else it gets nothing.
func TestStationOverHTTP(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	cfg, err := config.Load(config.Options{Environ: []string{"YCD_DATA_DIR=" + dir, "YCD_STATION_REMOTE=true", "YCD_LISTEN=127.0.0.1:41311"}})
	if err != nil {
		t.Fatal(err)
	}
	a := &app{cfg: cfg, log: newLog()}
	defer a.close()
	if err := a.open(ctx); err != nil {
		t.Fatal(err)
	}
	if err := a.jobs.Start(ctx); err != nil {
		t.Fatal(err)
	}
	a.onClose(func() error { return a.jobs.Stop(context.WithoutCancel(ctx)) })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go a.web.App.Listener(l)
	a.onClose(a.web.App.Shutdown)
	server := "http://" + l.Addr().String()

	for i := range 2 * stationOrders { // do not keep what is behind them from being made
		approvedOrder(t, a, 1, func(o *order.Order) { o.No, o.Refund = fmt.Sprintf("SAAS1202611221030%08d", i), order.Refunding })
	}
	issuer := staffNamed(t, a, "陈制证")
	own := approvedOrder(t, a, 1, func(o *order.Order) { // nor does what he may not make himself
		o.No, o.Product.FourEyes, o.ReviewerID = "SAAS120261122103000000152", true, issuer.ID
	})
	o := approvedOrder(t, a, 2)
	ticket := a.web.StationTicket(issuer.ID, a.clock.Now().Add(time.Hour))
	for name, bad := range map[string]string{
		"no ticket": "", "a changed ticket": ticket + "x", "a reviewer's": a.web.StationTicket(staffNamed(t, a, "李审核").ID, a.clock.Now().Add(time.Hour)),
		"an old one": a.web.StationTicket(issuer.ID, a.clock.Now()),
	} {
		err := stationCmd{Server: server, Ticket: bad, Module: softHSM, Once: true, Every: time.Second}.Run(ctx)
		if err == nil || !strings.Contains(err.Error(), "401") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := (stationCmd{Server: "http://ca.example.cn", Ticket: ticket, Module: softHSM, Once: true, Every: time.Second}).Run(ctx); err == nil {
		t.Error("a ticket was sent in the clear")
	}

	if err := (stationCmd{Server: server, Ticket: ticket, Module: softHSM}).Run(ctx); err == nil {
		t.Error("it would ask without a pause")
	}

	if err := (stationCmd{Server: server, Ticket: ticket, Module: softHSM, Once: true, Every: time.Second}).Run(ctx); err != nil {
		t.Fatal(err)
	}
	items, err := a.db.Items(ctx, o.ID)
	if err != nil {
		t.Fatal(err)
	}
	m, err := token.Load(softHSM)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for _, it := range items {
		if it.Stage != order.ItemVerified || it.TokenSerial == "" || it.CertSerial == "" {
			t.Errorf("key %d: %+v", it.N, it)
			continue
		}
		if there, err := m.Present(it.TokenSerial); !there || err != nil {
			t.Errorf("key %d: token %s: %v, %v", it.N, it.TokenSerial, there, err)
		}
		if _, err := a.db.CertificateBySerial(ctx, it.CertSerial); err != nil {
			t.Errorf("key %d: %v", it.N, err)
		}
	}
	if now, err := a.db.Order(ctx, o.ID); err != nil || now.Status != order.ToShip {
		t.Errorf("the order is %s, %v", now.Status, err)
	}
	if left, err := a.db.Items(ctx, own.ID); err != nil || left[0].Stage != order.ItemWaiting {
		t.Errorf("what he approved himself is %s, %v", left[0].Stage, err)
	}
}

// approvedOrder is an order of n keys as an approval leaves it, with changes.
func approvedOrder(t *testing.T, a *app, n int, changes ...func(*order.Order)) order.Order {
	t.Helper()
	id, at := newID(a.clock.Now), a.clock.Now()
	o := order.Order{
		ID: order.ID(id()), No: "SAAS120261123103001000152", Business: order.Initial, State: order.State{Status: order.ToIssue, Stage: order.Making},
		Lines:   []order.Line{{Quantity: n}},
		Product: order.Product{Code: "yd-initial", Name: "初购", Business: order.Initial, IssueMode: order.ByAdmin, Algorithm: order.P256, Term: 1},
		Company: "云岭测试科技有限公司", USCC: "91110108MA00TEN18F", Submission: 1, CreatedAt: at, UpdatedAt: at, PlacedAt: at,
		Form: order.NewForm(map[order.Field]string{order.AgentMobile: "17700007069", order.ShipMobile: "17700007069"}),
	}
	for _, change := range changes {
		change(&o)
	}
	o.Snapshot = o.Hash()
	err := a.db.InTx(t.Context(), func(tx order.Tx) error {
		p, err := tx.PersonByMobile(t.Context(), order.Person{ID: id(), Mobile: identity.NewMobile("17700007069"), CreatedAt: at})
		if err != nil {
			return err
		}
		o.PersonID = p.ID
		if err := tx.InsertOrder(t.Context(), o); err != nil {
			return err
		}
		var items []order.Item
		for i := range n {
			items = append(items, order.Item{ID: id(), OrderID: o.ID, N: i + 1, Stage: order.ItemWaiting, UpdatedAt: at})
		}
		return tx.ReplaceItems(t.Context(), o.ID, items)
	})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func staffNamed(t *testing.T, a *app, name string) order.Staff {
	t.Helper()
	all, err := order.NewStaffing(a.db, nil, a.clock.Now, newID(a.clock.Now)).Page(t.Context(), order.Cursor{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all.Colleagues {
		if m.Name == name {
			return m.Staff
		}
	}
	t.Fatalf("no %s", name)
	return order.Staff{}
}
