package store

import (
	"context"
	"sync"

	"github.com/yuncaidun/yuncaidun/order"
)

// maxRemembered bounds how many rows are remembered, of about 2 KiB each.
const maxRemembered = 2048

// orderMemory remembers rows of orders as they were read, what is sealed in them
// still sealed. A row counts only under its rev, which every UPDATE of an order
// raises and which is asked for each time; so nothing that comes from here is old,
// whoever has changed the order (docs/adr/0026).
type orderMemory struct {
	mu   sync.Mutex
	rows map[order.ID]orderRow
}

// orderRev is one row of a list, before it is read.
type orderRev struct {
	ID  order.ID `db:"id"`
	Rev int64    `db:"rev"`
}

// all returns the rows of a list, if every one is remembered under its rev.
func (m *orderMemory) all(list []orderRev) ([]orderRow, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	rows := make([]orderRow, len(list))
	for i, of := range list {
		r, ok := m.rows[of.ID]
		if !ok || r.Rev != of.Rev {
			return nil, false
		}
		rows[i] = r
	}
	return rows, true
}

// keep remembers rows, at the cost of any others when there are too many.
func (m *orderMemory) keep(rows []orderRow) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range rows {
		if _, known := m.rows[r.ID]; !known && len(m.rows) >= maxRemembered {
			for other := range m.rows {
				delete(m.rows, other)
				break
			}
		}
		m.rows[r.ID] = r
	}
}

// orderRows reads the orders that the rest of a SELECT names. With a memory it first
// asks which they are and at which rev, for a fraction of what reading them costs.
func (q queries) orderRows(ctx context.Context, rest string, args ...any) (rows []orderRow, err error) {
	if q.memory != nil {
		var list []orderRev
		if err := q.all(ctx, &list, `SELECT id, rev FROM orders WHERE `+rest, args...); err != nil {
			return nil, err
		}
		if rows, known := q.memory.all(list); known {
			return rows, nil
		}
	}
	if err := q.all(ctx, &rows, `SELECT `+orderColumns+` FROM orders WHERE `+rest, args...); err != nil {
		return nil, err
	}
	if q.memory != nil {
		q.memory.keep(rows)
	}
	return rows, nil
}
