package handlers

import (
	"encoding/json"
	"slices"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/order"
)

// drawnForm is what a page of the form was drawn with. It travels with the page and comes
// back with each post, which sends the whole form: what still is as it was drawn was not
// changed on this page, so that what another page has saved meanwhile stays.
type drawnForm struct {
	Fields map[order.Field]string `json:"fields"`
	Lines  []order.Line           `json:"lines"`
	Term   int                    `json:"term"`
}

// drawnField is the name of the input that carries it.
const drawnField = "_drawn"

// drawnOf reads it; without one, or with one that is none, everything counts as changed.
func drawnOf(c *fiber.Ctx) (d drawnForm) {
	if json.Unmarshal([]byte(c.FormValue(drawnField)), &d) != nil {
		return drawnForm{}
	}
	return d
}

// Drawn is what the page has now: in the sections that it draws as they were saved, and
// elsewhere as somebody typed.
func (v formView) Drawn() (string, error) {
	d := drawnForm{Fields: map[order.Field]string{}, Lines: v.Order.Lines, Term: v.Order.Product.Term}
	for _, spec := range order.Fields {
		from := v.Typed
		if v.Stands != nil && !v.Redraws(string(spec.Group)) {
			from = *v.Stands
		}
		if value := from.Get(spec.Name); value != "" && spec.Input != order.Image {
			d.Fields[spec.Name] = value
		}
	}
	text, err := json.Marshal(d)
	return string(text), err
}

// merge is a form as typed with the stored value of each field that the page has not
// changed. A stored field may be empty because what stands there is wrong: that stays.
func (d drawnForm) merge(typed, stored order.Form) order.Form {
	for _, spec := range order.Fields {
		value, now := typed.Get(spec.Name), stored.Get(spec.Name)
		if was, known := d.Fields[spec.Name]; (known || d.Fields != nil && value == "") && was == value && now != "" {
			typed = typed.With(spec.Name, now)
		}
	}
	return typed
}

// mergeLines is the same of product lines and term.
func (d drawnForm) mergeLines(lines []order.Line, term int, o order.Order) ([]order.Line, int) {
	if d.Lines != nil && slices.Equal(d.Lines, lines) {
		lines = o.Lines
	}
	if d.Term == term {
		term = o.Product.Term
	}
	return lines, term
}
