package store

import (
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/jmoiron/sqlx"
	"github.com/jmoiron/sqlx/reflectx"
)

// named is a statement with :name placeholders, made ready for structs of one
// type: reading it anew for every row cost as much as writing the row.
type named struct {
	query  string // with the placeholders of the database
	fields []*reflectx.FieldInfo
}

// namedKey tells statements apart.
type namedKey struct {
	stmt string
	of   reflect.Type
	rows int // of the VALUES
	bind int // sqlx.QUESTION or sqlx.DOLLAR
}

// allNamed remembers what was read, by namedKey: the statements are constants and
// the lists short, so that it does not grow.
var allNamed sync.Map

// mapper reads the `db` tags of our rows as sqlx does.
var mapper = reflectx.NewMapperFunc("db", strings.ToLower)

// bindNamed returns a statement with the placeholders of the database, and its
// arguments from a struct, or from each of a list of structs.
func (q queries) bindNamed(stmt string, arg any) (query string, args []any, err error) {
	v := reflect.Indirect(reflect.ValueOf(arg))
	key := namedKey{stmt, v.Type(), 1, q.dia.bind}
	row := func(int) reflect.Value { return v }
	if v.Kind() == reflect.Slice {
		key.of, key.rows = v.Type().Elem(), v.Len()
		row = v.Index
	}
	known, ok := allNamed.Load(key)
	if !ok {
		n, err := readNamed(key)
		if err != nil {
			return "", nil, err
		}
		known, _ = allNamed.LoadOrStore(key, n)
	}
	n := known.(*named)
	args = make([]any, 0, key.rows*len(n.fields))
	for i := range key.rows {
		of := row(i)
		for _, f := range n.fields {
			args = append(args, of.FieldByIndex(f.Index).Interface())
		}
	}
	return n.query, args, nil
}

// readNamed has sqlx bind the names of all fields to themselves, which tells which
// stands where.
func readNamed(key namedKey) (*named, error) {
	fields := mapper.TypeMap(key.of).Names
	itself := make(map[string]any, len(fields))
	for name := range fields {
		itself[name] = name
	}
	query, names, err := sqlx.Named(key.stmt, slices.Repeat([]map[string]any{itself}, key.rows))
	if err != nil {
		return nil, err
	}
	n := &named{query: sqlx.Rebind(key.bind, query)}
	for _, name := range names[:len(names)/key.rows] {
		n.fields = append(n.fields, fields[name.(string)])
	}
	return n, nil
}
