package handlers

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/order"
)

const calendarPath = "/staff/calendar"

// calendarRoutes are the admin's: which days are worked (F126).
func (k *console) calendarRoutes() {
	k.get(calendarPath, OfStaff, k.calendar, order.Admin)
	k.post(calendarPath, OfStaff, k.setCalendar, order.Admin)
}

type calendarView struct {
	Years     []tabView
	Year      int
	Confirmed bool
	Version   int
	Months    []monthView
	Fields    []settingField
	Changes   []settingChange
}

// monthView is a month in weeks that begin on Monday; days of other months have no number.
type monthView struct {
	Month int
	Weeks [][7]dayView
}

type dayView struct {
	N    int
	Kind string // off: a weekday that is off; work: a weekend day that is worked; rest: a weekend
}

func (k *console) calendar(c *fiber.Ctx) error { return k.showCalendar(c, nil) }

func (k *console) showCalendar(c *fiber.Ctx, refusal error) error {
	calendar, this := k.Settings.Calendar(), k.Now().In(order.Shanghai).Year()
	year, err := strconv.Atoi(c.FormValue("year"))
	if err != nil {
		year = this
	}
	years := calendar.Years()
	for _, y := range []int{this, this + 1} {
		if !slices.Contains(years, y) {
			years = append(years, y)
		}
	}
	slices.Sort(years)
	if !slices.Contains(years, year) {
		return order.Errorf(order.NotFound, "year_not_found", "没有该年份的日历，请重新选择")
	}
	w := calendar.WorkYear(year)
	v := calendarView{Year: year, Confirmed: w.Confirmed, Version: k.Settings.Version(order.WorkYearSetting(year)), Months: months(calendar, year)}
	for _, y := range years {
		v.Years = append(v.Years, tabView{strconv.Itoa(y), calendarPath + "?year=" + strconv.Itoa(y), y == year})
	}
	v.Fields = refilled(c, []settingField{
		{Name: "off", Label: "放假的日子", Hint: "每行一天或一段，例如 2027-02-05 至 2027-02-11；周末不用填", Input: "lines", Value: runLines(w.Off)},
		{Name: "work", Label: "调休上班的周末", Hint: "每行一天，没有可以不填", Input: "lines", Value: runLines(w.Work)},
		{Name: "source", Label: "依据", Hint: "国务院办公厅通知的名称或文号", Input: "text", Value: w.Source},
		{Name: "confirmed", Label: "通知已公布，以上安排不再变动", Input: "tick", Value: yes(w.Confirmed)},
	}, refusal)
	if v.Changes, err = k.changesOf(c, order.WorkYearSetting(year)); err != nil {
		return err
	}
	return k.show(c, "calendar", "节假日", v, refusal)
}

func (k *console) setCalendar(c *fiber.Ctx) error {
	year, err := strconv.Atoi(c.FormValue("year"))
	if err != nil {
		return order.Errorf(order.NotFound, "year_not_found", "没有该年份的日历，请重新选择")
	}
	err = k.Settings.SetWorkYear(c.UserContext(), actor(c, order.Admin), seenVersion(c), typedYear(c, year))
	return k.settingDone(c, err, calendarPath+"?year="+strconv.Itoa(year), k.showCalendar)
}

func typedYear(c *fiber.Ctx, year int) order.WorkYear {
	return order.WorkYear{Year: year, Confirmed: c.FormValue("confirmed") != "", Source: trimmed(c, "source"), Off: typedRuns(c.FormValue("off")), Work: typedRuns(c.FormValue("work"))}
}

// untilSigns are what people write between the first and the last day of a run.
var untilSigns = strings.NewReplacer("至", "/", "到", "/", "~", "/", "～", "/", "—", "/", " ", "")

// typedRuns reads a day or a run of days from each line.
func typedRuns(text string) []string {
	runs := []string{}
	for line := range strings.Lines(text) {
		if run := untilSigns.Replace(strings.TrimSpace(line)); run != "" {
			runs = append(runs, run)
		}
	}
	return runs
}

func runLines(runs []string) string {
	return strings.ReplaceAll(strings.Join(runs, "\n"), "/", " 至 ")
}

// months shows a year as it is worked.
func months(calendar *order.Calendar, year int) (out []monthView) {
	for day := time.Date(year, 1, 1, 12, 0, 0, 0, order.Shanghai); day.Year() == year; day = day.AddDate(0, 0, 1) {
		column := (int(day.Weekday()) + 6) % 7
		if day.Day() == 1 {
			out = append(out, monthView{Month: int(day.Month())})
		}
		m := &out[len(out)-1]
		if day.Day() == 1 || column == 0 {
			m.Weeks = append(m.Weeks, [7]dayView{})
		}
		weekend, worked := column >= 5, calendar.IsWorkday(day)
		kind := map[[2]bool]string{{false, false}: "off", {true, true}: "work", {true, false}: "rest"}[[2]bool{weekend, worked}]
		m.Weeks[len(m.Weeks)-1][column] = dayView{day.Day(), kind}
	}
	return out
}
