package store

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/jmoiron/sqlx/reflectx"

	"github.com/yuncaidun/yuncaidun/order"
)

// conn is what statements run on: a pool, a transaction of SQLite's, or the
// batches of one of PostgreSQL's (waiting.go).
type conn interface {
	exec(ctx context.Context, stmt string, args []any) (rows int64, err error)
	query(ctx context.Context, stmt string, args []any) (rows, error)
}

// rows is an answer, by database/sql or by pgx.
type rows interface {
	Columns() ([]string, error)
	Next() bool
	Scan(dest ...any) error
	Err() error
	Close() error
}

// plain is a pool or a transaction of database/sql.
type plain struct{ sqlx.ExtContext }

func (p plain) exec(ctx context.Context, stmt string, args []any) (int64, error) {
	res, err := p.ExecContext(ctx, stmt, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (p plain) query(ctx context.Context, stmt string, args []any) (rows, error) {
	return p.QueryContext(ctx, stmt, args...) //nolint:rowserrcheck // readAll asks
}

// readAll appends every row to a list of structs, whose fields carry the names of
// the columns, or to one of plain values; and closes the rows.
func readAll(from rows, list reflect.Value) (err error) {
	defer func() {
		if e := from.Close(); err == nil {
			err = e
		}
	}()
	columns, err := from.Columns()
	if err != nil {
		return err
	}
	of := list.Type().Elem()
	fields, err := fieldsOf(of, columns)
	if err != nil {
		return err
	}
	dest := make([]any, len(columns))
	for from.Next() {
		v := reflect.New(of)
		if fields == nil {
			dest[0] = v.Interface()
		}
		for i, f := range fields {
			dest[i] = v.Elem().FieldByIndex(f.Index).Addr().Interface()
		}
		if err := from.Scan(dest...); err != nil {
			return err
		}
		list.Set(reflect.Append(list, v.Elem()))
	}
	return from.Err()
}

// columnsKey tells the answers of different statements apart.
type columnsKey struct {
	of      reflect.Type
	columns string
}

// allFields remembers which fields take the columns of an answer, by columnsKey.
var allFields sync.Map

// fieldsOf returns the field for each column; none for a type without fields, which
// takes a single column as it is.
func fieldsOf(of reflect.Type, columns []string) ([]*reflectx.FieldInfo, error) {
	key := columnsKey{of, strings.Join(columns, " ")}
	if known, ok := allFields.Load(key); ok {
		return known.([]*reflectx.FieldInfo), nil
	}
	var fields []*reflectx.FieldInfo
	switch {
	case of.Kind() == reflect.Struct && of != reflect.TypeFor[time.Time]():
		names := mapper.TypeMap(of).Names
		for _, c := range columns {
			f := names[c]
			if f == nil {
				return nil, fmt.Errorf("%s has no field for column %s", of, c)
			}
			fields = append(fields, f)
		}
	case len(columns) != 1:
		return nil, fmt.Errorf("%d columns into a %s", len(columns), of)
	}
	allFields.Store(key, fields)
	return fields, nil
}

// pageLimit is how many rows a page has: 20 unless said, at most 100.
func pageLimit(wanted int) int {
	if wanted <= 0 {
		return 20
	}
	return min(wanted, 100)
}

// pageOf cuts a page off rows, of which one more than limit was asked for to learn
// whether there is a next page, and tells where that begins; at is the place of a row.
func pageOf[R any](rows []R, limit int, at func(R) order.Cursor) (page []R, next order.Cursor) {
	if len(rows) <= limit {
		return rows, next
	}
	return rows[:limit], at(rows[limit-1])
}

// among is the list behind an IN of some values, of which there is one at least, and
// these as its arguments.
func among[T any](values []T) (list string, args []any) {
	for _, v := range values {
		args = append(args, v)
	}
	return `(?` + strings.Repeat(`, ?`, len(values)-1) + `)`, args
}
