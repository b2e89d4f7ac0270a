package handlers

import (
	"cmp"
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
	Now               string // what is set up now, when somebody else did that since
}

// refilled are the fields as they were typed, what was wrong beside them, once the form
// was refused.
func refilled(c *fiber.Ctx, fields []settingField, refusal error) []settingField {
	e, _ := order.AsError(refusal)
	if e == nil {
		return fields
	}
	overtaken := e.Code == order.SettingChanged.Code
	for i, f := range fields {
		typed := formValues(c, f.Name)
		if overtaken && !f.says(typed) {
			fields[i].Now = f.now()
		}
		fields[i].Value = c.FormValue(f.Name)
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

// says reports whether a field, as it is set up, is what was typed.
func (f settingField) says(typed []string) bool {
	for _, one := range f.Choices {
		if one.Chosen != slices.Contains(typed, one.Value) {
			return false
		}
	}
	return f.Choices != nil || strings.Join(strings.Fields(f.Value), "\n") == strings.Join(strings.Fields(strings.Join(typed, "")), "\n")
}

// now is how a field is set up, as people read it.
func (f settingField) now() string {
	var chosen []string
	for _, one := range f.Choices {
		if one.Chosen {
			chosen = append(chosen, one.Label)
		}
	}
	switch {
	case f.Input == "tick" && f.Value != "":
		return "已勾选"
	case f.Input == "tick":
		return "未勾选"
	case f.Input == "lines":
		return cmp.Or(strings.ReplaceAll(f.Value, "\n", "；"), "空")
	default:
		return cmp.Or(f.Value, strings.Join(chosen, "、"), "空")
	}
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
