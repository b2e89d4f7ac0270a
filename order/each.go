package order

import (
	"context"
	"iter"
)

// Each goes through a list to its end, or to its first error, which comes with no row. page
// reads what lies behind a place in the list, and says where the page after it begins: the
// zero Cursor after the last.
func Each[T any](page func(after Cursor) (rows []T, next Cursor, err error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for after, more := (Cursor{}), true; more; more = after != (Cursor{}) {
			rows, next, err := page(after)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, row := range rows {
				if !yield(row, nil) {
					return
				}
			}
			after = next
		}
	}
}

// EachOrder goes through the orders that f chooses, f.Limit at a time.
func EachOrder(ctx context.Context, q interface {
	Orders(ctx context.Context, f Filter) (Page, error)
}, f Filter,
) iter.Seq2[Order, error] {
	return Each(func(after Cursor) ([]Order, Cursor, error) {
		f.After = after
		page, err := q.Orders(ctx, f)
		return page.Orders, page.Next, err
	})
}
