package order_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/yuncaidun/yuncaidun/order"
)

func TestEach(t *testing.T) {
	broken := errors.New("the line is cut")
	for name, tt := range map[string]struct {
		pages [][]string
		fails int // the page that cannot be read
		stop  string
		want  []string
		asked int
	}{
		"nothing":      {[][]string{nil}, -1, "", nil, 1},
		"one page":     {[][]string{{"a", "b"}}, -1, "", []string{"a", "b"}, 1},
		"three pages":  {[][]string{{"a", "b"}, nil, {"c"}}, -1, "", []string{"a", "b", "c"}, 3},
		"a page fails": {[][]string{{"a"}, {"b"}, {"c"}}, 1, "", []string{"a"}, 2},
		"stopped":      {[][]string{{"a", "b"}, {"c"}}, -1, "a", []string{"a"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			list := order.Each(func(after order.Cursor) ([]string, order.Cursor, error) {
				n := len(after.ID)
				asked++
				switch {
				case n == tt.fails:
					return nil, order.Cursor{}, broken
				case n == len(tt.pages)-1:
					return tt.pages[n], order.Cursor{}, nil
				}
				return tt.pages[n], order.Cursor{ID: after.ID + "x"}, nil
			})
			var got []string
			var fault error
			for row, err := range list {
				if err != nil {
					fault = err
					break
				}
				if got = append(got, row); row == tt.stop {
					break
				}
			}
			if !slices.Equal(got, tt.want) || asked != tt.asked || errors.Is(fault, broken) != (tt.fails >= 0) {
				t.Errorf("%q after %d pages, %v", got, asked, fault)
			}
		})
	}
}
