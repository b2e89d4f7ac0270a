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
// elsewhere as somebody typed. What could not be saved counts as changed still.
func (v formView) Drawn() (string, error) {
	if v.Unsaved != nil {
		text, err := json.Marshal(v.Unsaved)
		return string(text), err
	}
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

// merge is a form as typed, with these faults, with the stored value of each field that
// the page has not changed. What is wrong is not stored: there an empty one says nothing.
func (d drawnForm) merge(typed, stored order.Form, faults []order.FieldError) order.Form {
	if d.Fields == nil {
		return typed
	}
	for _, spec := range order.Fields {
		value, now := typed.Get(spec.Name), stored.Get(spec.Name)
		wrong := slices.ContainsFunc(faults, func(e order.FieldError) bool { return e.Field == spec.Name })
		if d.Fields[spec.Name] == value && (now != "" || !wrong) {
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
