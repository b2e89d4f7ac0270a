package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver of the bare INSERT
	_ "modernc.org/sqlite"             // likewise

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

// writers is how many submit at once.
const writers = 8

// browser is the hash of an anonymous browser's secret.
const browser = "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9"

func form(mobile string) order.Form {
	return order.NewForm(map[order.Field]string{
		order.AgentName: "王小琪", order.AgentMobile: mobile, order.AgentEmail: "wangxq@example.com", order.IDType: "resident_id", order.IDNo: "110101199003070011",
		order.IDFront: "01FRONT", order.IDBack: "01BACK", order.LicenseImage: "01LICENSE", order.OrgName: "云岭测试科技（昆明）有限公司", order.OrgType: "enterprise",
		order.OrgUSCC: "91110108MA00TEN18F", order.OrgIndustry: "I", order.AuthWay: order.AuthPaper, order.LegalName: "李建国", order.LetterImage: "01LETTER",
		order.ShipWay: order.ShipCourier, order.ShipName: "赵大山", order.ShipMobile: "13800000099", order.ShipProvince: "云南省", order.ShipCity: "昆明市",
		order.ShipDistrict: "五华区", order.ShipAddress: "测试路 1 号", order.InvoiceWant: order.Yes,
	})
}

// drafts makes n drafts of two keys, each by somebody else. The service makes
// the first; the others are copies, stored in one transaction.
func (w *world) drafts(ctx context.Context, product string, n int) ([]order.Order, error) {
	o, err := w.orders.Apply(ctx, "", order.Command{
		On: order.Save, By: order.Actor{Role: order.Applicant, Channel: order.Web}, DraftToken: browser, Product: product,
		Lines: []order.Line{{Quantity: 1}, {Seal: order.UnitSeal, Quantity: 1}}, Form: form(w.mobile()),
	})
	if err != nil {
		return nil, fmt.Errorf("drafting: %w", err)
	}
	made := []order.Order{o}
	err = w.db.InTx(ctx, func(tx order.Tx) error {
		for len(made) < n {
			o.ID, o.Form = order.ID(newID()), o.Form.With(order.AgentMobile, identity.NewMobile(w.mobile()).Reveal())
			made = append(made, o)
			if err := tx.InsertOrder(ctx, o); err != nil {
				return err
			}
		}
		return nil
	})
	return made, err
}

func confirmation(o order.Order) order.Command {
	return order.Command{
		On: order.Confirm, By: order.Actor{Role: order.Applicant, Channel: order.Web, IP: "127.0.0.1"}, DraftToken: browser, Snapshot: o.Hash(),
		Consent: order.Consent{Version: "2026-11", Hash: strings.Repeat("0", 64), At: now(), IP: "127.0.0.1"}, Proven: []order.Fact{order.MobileProven},
	}
}

// submitRow confirms drafts: the whole transaction of an order that is placed.
func (w *world) submitRow(ctx context.Context, name, product string, perRound int) row {
	var drafts []order.Order
	return row{
		name: name, workers: writers,
		prepare: func() (n int, err error) {
			if drafts, err = w.drafts(ctx, product, perRound); err == nil && strings.HasPrefix(w.dsn, "postgres") {
				err = execPostgres(ctx, w.dsn, "ANALYZE") // or plans are of the moment when autovacuum saw a small table
			}
			return len(drafts), err
		},
		do: func(_, n int) error {
			_, err := w.orders.Apply(ctx, drafts[n].ID, confirmation(drafts[n]))
			return err
		},
	}
}

// commitRows are the least that a submission can cost: one INSERT, as durable as
// the product. The first stores a row of 1 KiB in a table of its own, the second
// the row of an order in its table, with every column and index.
func (w *world) commitRows(ctx context.Context, small, whole string) ([]row, error) {
	driver, dsn, statement := "pgx", w.dsn, `INSERT INTO bench_inserts (id, content) VALUES ($1, $2)`
	path, lite := strings.CutPrefix(w.dsn, "sqlite:")
	if lite {
		driver, statement = "sqlite", `INSERT INTO bench_inserts (id, content) VALUES (?, ?)`
		dsn = "file:" + path + "?_pragma=busy_timeout(5000)&_pragma=journal_mode(wal)&_pragma=synchronous(2)&_pragma=foreign_keys(1)&_pragma=journal_size_limit(67108864)&_txlock=immediate"
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxIdleConns(writers)
	if lite {
		db.SetMaxOpenConns(1) // SQLite has one writer
	}
	w.closers = append(w.closers, db.Close)
	if lite {
		var level string
		if err := db.QueryRowContext(ctx, `PRAGMA synchronous`).Scan(&level); err != nil || level != "2" {
			return nil, fmt.Errorf("the bare INSERT is not durable: synchronous is %q, %w", level, err)
		}
	}
	if _, err := db.ExecContext(ctx, `CREATE TABLE bench_inserts (id TEXT PRIMARY KEY, content TEXT NOT NULL)`); err != nil {
		return nil, err
	}
	insert, err := db.PrepareContext(ctx, statement) //nolint:sqlclosecheck // closed with the world
	if err != nil {
		return nil, err
	}
	columns, order, err := w.storedOrder(ctx, db)
	if err != nil {
		return nil, err
	}
	insertOrder, err := db.PrepareContext(ctx, insertInto("orders", columns, lite)) //nolint:sqlclosecheck // closed with the world
	if err != nil {
		return nil, err
	}
	w.closers = append(w.closers, insert.Close, insertOrder.Close)
	content := strings.Repeat(rand.Text(), 40) // about 1 KiB
	id, no := slices.Index(columns, "id"), slices.Index(columns, "no")
	return []row{
		{name: small, workers: writers, do: func(int, int) error {
			_, err := insert.ExecContext(ctx, newID(), content)
			return err
		}},
		{name: whole, workers: writers, do: func(int, int) error {
			values := slices.Clone(order)
			values[id] = newID()
			values[no] = values[id]
			_, err := insertOrder.ExecContext(ctx, values...)
			return err
		}},
	}, nil
}

// storedOrder is one order as it is stored. The copies are those of somebody who
// does nothing else: nobody's list may show them, as their forms are sealed for the
// original.
func (w *world) storedOrder(ctx context.Context, db *sql.DB) (columns []string, values []any, err error) {
	var owner order.Person
	err = w.db.InTx(ctx, func(tx order.Tx) (err error) {
		owner, err = tx.PersonByMobile(ctx, order.Person{ID: newID(), Mobile: identity.NewMobile(w.mobile()), CreatedAt: now()})
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	rows, err := db.QueryContext(ctx, `SELECT * FROM orders WHERE no IS NOT NULL LIMIT 1`)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	if columns, err = rows.Columns(); err != nil || !rows.Next() {
		return nil, nil, errors.Join(err, errors.New("no order is stored"))
	}
	values = make([]any, len(columns))
	into := make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	if err := rows.Scan(into...); err != nil {
		return nil, nil, err
	}
	values[slices.Index(columns, "person_id")] = owner.ID
	return columns, values, rows.Err()
}

func insertInto(table string, columns []string, lite bool) string {
	placeholders := make([]string, len(columns))
	for i := range columns {
		placeholders[i] = "?"
		if !lite {
			placeholders[i] = fmt.Sprint("$", i+1)
		}
	}
	return "INSERT INTO " + table + " (" + strings.Join(columns, ", ") + ") VALUES (" + strings.Join(placeholders, ", ") + ")"
}
