package store

import (
	"context"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/yuncaidun/yuncaidun/order"
)

// maxRemembered bounds how many orders are remembered, of about 2 KiB each.
const maxRemembered = 2048

// orderMemory remembers orders as they were read, what is sealed in them still
// sealed. One counts only under its rev, which every UPDATE of an order
// raises and which is asked for each time; so nothing that comes from here is old,
// whoever has changed the order (docs/adr/0026).
type orderMemory struct {
	known *lru.Cache[order.ID, *sealedOrder]
}

func newOrderMemory() *orderMemory {
	known, _ := lru.New[order.ID, *sealedOrder](maxRemembered) // fails for a size below 1
	return &orderMemory{known}
}

// orderRev is one row of a list, before it is read.
type orderRev struct {
	ID  order.ID `db:"id"`
	Rev int64    `db:"rev"`
}

// all returns the orders of a list, if every one is remembered under its rev.
func (m *orderMemory) all(list []orderRev) ([]*sealedOrder, bool) {
	orders := make([]*sealedOrder, len(list))
	for i, of := range list {
		o, ok := m.known.Get(of.ID)
		if !ok || o.Rev != of.Rev {
			return nil, false
		}
		orders[i] = o
	}
	return orders, true
}

// keep remembers orders.
func (m *orderMemory) keep(orders []*sealedOrder) {
	for _, o := range orders {
		m.known.Add(o.ID, o)
	}
}

// sealedOrders reads the orders that the rest of a SELECT names. With a memory it first
// asks which they are and at which rev, for a fraction of what reading them costs.
func (q queries) sealedOrders(ctx context.Context, rest string, args ...any) ([]*sealedOrder, error) {
	if q.memory != nil {
		var list []orderRev
		if err := q.all(ctx, &list, `SELECT id, rev FROM orders WHERE `+rest, args...); err != nil {
			return nil, err
		}
		if orders, known := q.memory.all(list); known {
			return orders, nil
		}
	}
	var rows []orderRow
	if err := q.all(ctx, &rows, `SELECT `+orderColumns+` FROM orders WHERE `+rest, args...); err != nil {
		return nil, err
	}
	orders := make([]*sealedOrder, len(rows))
	for i, r := range rows {
		var err error
		if orders[i], err = r.order(); err != nil {
			return nil, err
		}
	}
	if q.memory != nil {
		q.memory.keep(orders)
	}
	return orders, nil
}
