package handlers

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/order"
)

// settingField is one field of a form in which admins set something up.
type settingField struct {
	Name, Label, Hint string
	Input             string // text, number, lines, radio, checks or tick
	Value             string
	Choices           []choice // of radio and checks
	Fault             string
}

// refilled are the fields as they were typed, what was wrong beside them, once the form
// was refused.
func refilled(c *fiber.Ctx, fields []settingField, refusal error) []settingField {
	e, _ := order.AsError(refusal)
	if e == nil {
		return fields
	}
	for i, f := range fields {
		fields[i].Value = c.FormValue(f.Name)
		typed := formValues(c, f.Name)
		for n, one := range f.Choices {
			f.Choices[n].Chosen = slices.Contains(typed, one.Value)
		}
		for _, fault := range e.Fields {
			if string(fault.Field) == f.Name {
				fields[i].Fault = strings.TrimPrefix(fields[i].Fault+"；"+fault.Detail, "；")
			}
		}
	}
	return fields
}

// choices are the possible values of a field with their labels.
func choices[T ~string](all []T, label func(T) string, chosen ...T) (out []choice) {
	for _, v := range all {
		out = append(out, choice{string(v), label(v), slices.Contains(chosen, v)})
	}
	return out
}

// settingChange is one line of the history of a setting.
type settingChange struct {
	Version int
	By      string
	At      time.Time
}

// changesShown is how many versions of a setting are listed.
const changesShown = 10

func (k *console) changesOf(c *fiber.Ctx, name order.SettingName) (out []settingChange, err error) {
	history, err := k.Settings.History(c.UserContext(), name, changesShown)
	for _, h := range history {
		out = append(out, settingChange{h.Version, k.staffName(c.UserContext(), h.By), h.At})
	}
	return out, err
}

// seenVersion is the version of a setting that the form was made from.
func seenVersion(c *fiber.Ctx) int {
	v, err := strconv.Atoi(c.FormValue("version"))
	if err != nil {
		return -1 // none is
	}
	return v
}

// settingDone leads to a page once its setting is changed, or shows the form again with
// what was typed.
func (k *console) settingDone(c *fiber.Ctx, err error, page string, show func(*fiber.Ctx, error) error) error {
	if err != nil {
		return k.orNotice(c, err, show)
	}
	return c.Redirect(page, http.StatusSeeOther)
}
