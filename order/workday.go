package order

import (
	"cmp"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Shanghai is the zone of every calendar day. It is fixed: China keeps one zone
// without summer time, and the machine may have no zone data.
var Shanghai = time.FixedZone("Asia/Shanghai", 8*60*60)

// The end of a working day: what arrives later counts from the next one.
const (
	closingHour   = 17
	closingMinute = 30
)

// Calendar knows which days are worked in China. Its data is a [WorkYear] for each
// year, after the notice of the State Council; a year without a confirmed one
// has its weekends and fixed holidays off, and staff are told.
type Calendar struct {
	years atomic.Pointer[map[int]workYear] // never changed, replaced
}

// WorkYear is what is special about a year's days: the form of its file.
type WorkYear struct {
	Year      int      `json:"year"`
	Confirmed bool     `json:"confirmed"` // by the State Council's notice
	Source    string   `json:"source"`
	Off       []string `json:"off"`  // days, or first/last of a run
	Work      []string `json:"work"` // weekend days worked in exchange
}

type workYear struct {
	WorkYear
	off, work map[date]bool
}

// date is a calendar day in Shanghai.
type date struct {
	year  int
	month time.Month
	day   int
}

func dateOf(t time.Time) date {
	y, m, d := t.In(Shanghai).Date()
	return date{y, m, d}
}

func (d date) closing() time.Time {
	return time.Date(d.year, d.month, d.day, closingHour, closingMinute, 0, 0, Shanghai)
}

// opening is nine o'clock, when work begins (F15).
func (d date) opening() time.Time { return time.Date(d.year, d.month, d.day, 9, 0, 0, 0, Shanghai) }

func (d date) next() date { return dateOf(d.closing().AddDate(0, 0, 1)) }

func (d date) weekend() bool {
	w := d.closing().Weekday()
	return w == time.Saturday || w == time.Sunday
}

// fixedHolidays are off in every year, whatever the notice adds around them.
var fixedHolidays = map[[2]int]bool{
	{1, 1}:  true,
	{5, 1}:  true,
	{5, 2}:  true,
	{10, 1}: true,
	{10, 2}: true,
	{10, 3}: true,
}

//go:embed workdays/*.json
var workdayFiles embed.FS

// DefaultCalendar reads the embedded years.
func DefaultCalendar() (*Calendar, error) {
	years, err := EmbeddedWorkdays()
	if err != nil {
		return nil, err
	}
	return LoadCalendar(years)
}

// EmbeddedWorkdays are the years that come with the product: the first layer of a
// [LoadCalendar] whose second is the folder that staff keep.
func EmbeddedWorkdays() (fs.FS, error) { return fs.Sub(workdayFiles, "workdays") }

// LoadCalendar reads every YEAR.json at the root of each layer. A year of a later
// layer replaces that year of an earlier one.
func LoadCalendar(layers ...fs.FS) (*Calendar, error) {
	years := map[int]workYear{}
	for _, layer := range layers {
		names, err := fs.Glob(layer, "*.json")
		if err != nil {
			return nil, fmt.Errorf("listing workdays: %w", err)
		}
		for _, name := range names {
			year, y, err := loadYear(layer, name)
			if err != nil {
				return nil, fmt.Errorf("workdays %s: %w", name, err)
			}
			years[year] = y
		}
	}
	c := &Calendar{}
	c.years.Store(&years)
	return c, nil
}

// of is a year of the calendar; the zero value when nothing is known of it.
func (c *Calendar) of(year int) workYear { return (*c.years.Load())[year] }

// Years are the years of which something is known, the earliest first.
func (c *Calendar) Years() []int { return slices.Sorted(maps.Keys(*c.years.Load())) }

// WorkYear is what is known of a year.
func (c *Calendar) WorkYear(year int) WorkYear {
	y := c.of(year).WorkYear
	y.Year = year
	return y
}

// put replaces years.
func (c *Calendar) put(changed []workYear) {
	years := maps.Clone(*c.years.Load())
	for _, y := range changed {
		years[y.Year] = y
	}
	c.years.Store(&years)
}

func loadYear(layer fs.FS, name string) (int, workYear, error) {
	var file WorkYear
	b, err := fs.ReadFile(layer, name)
	if err != nil {
		return 0, workYear{}, err
	}
	if err := json.Unmarshal(b, &file); err != nil {
		return 0, workYear{}, err
	}
	if want := strings.TrimSuffix(path.Base(name), ".json"); want != strconv.Itoa(file.Year) {
		return 0, workYear{}, fmt.Errorf("holds year %d", file.Year)
	}
	y, faults := file.check()
	for _, f := range faults {
		err = errors.Join(err, fmt.Errorf("%s: %s", f.Field, f.Detail))
	}
	return file.Year, y, err
}

// check names what a slip of staff would look like, for a wrong calendar silently
// moves every promise made to customers.
func (w WorkYear) check() (y workYear, faults []FieldError) {
	y.WorkYear = w
	fault := func(f Field, says string) { faults = append(faults, FieldError{f, says}) }
	if w.Year < 2000 || w.Year > 2100 {
		fault("year", "年份不正确")
	}
	if w.Confirmed && strings.TrimSpace(w.Source) == "" {
		fault("source", "请填写通知的名称或文号，再标记为已公布")
	}
	for _, list := range []struct {
		field Field
		text  []string
		days  *map[date]bool
	}{{"off", w.Off, &y.off}, {"work", w.Work, &y.work}} {
		var err error
		if *list.days, err = dates(list.text, w.Year); err != nil {
			fault(list.field, err.Error())
		}
	}
	for d := range y.work {
		if day := d.closing().Format(time.DateOnly); y.off[d] {
			fault("work", day+" 既是放假又是上班")
		} else if !d.weekend() {
			fault("work", day+" 不是周末，本来就上班")
		}
	}
	slices.SortFunc(faults, func(a, b FieldError) int {
		return cmp.Or(cmp.Compare(a.Field, b.Field), cmp.Compare(a.Detail, b.Detail))
	})
	return y, faults
}

// dates expands a list of 2026-01-01 and 2026-01-01/2026-01-03.
func dates(list []string, year int) (map[date]bool, error) {
	set := map[date]bool{}
	for _, s := range list {
		first, last, ok := strings.Cut(s, "/")
		if !ok {
			last = first
		}
		from, err := time.ParseInLocation(time.DateOnly, first, Shanghai)
		to, err2 := time.ParseInLocation(time.DateOnly, last, Shanghai)
		if err != nil || err2 != nil || from.Year() != year || to.Year() != year || to.Before(from) {
			return nil, fmt.Errorf("「%s」不是 %d 年的日期，应为 2027-01-01 或 2027-01-01/2027-01-03", s, year)
		}
		for d, end := dateOf(from), dateOf(to).next(); d != end; d = d.next() {
			set[d] = true
		}
	}
	return set, nil
}

// Confirmed reports whether the State Council's notice for a year is known. Until
// it is, a due date in that year may move.
func (c *Calendar) Confirmed(year int) bool { return c.of(year).Confirmed }

// IsWorkday reports whether the Shanghai day of t is worked.
func (c *Calendar) IsWorkday(t time.Time) bool { return c.isWorkday(dateOf(t)) }

func (c *Calendar) isWorkday(d date) bool {
	y := c.of(d.year)
	switch {
	case y.work[d]:
		return true
	case y.off[d], !y.Confirmed && fixedHolidays[[2]int{int(d.month), d.day}]:
		return false
	default:
		return !d.weekend()
	}
}

// Due returns when n working days are over for what was complete at t: 17:30 in
// Shanghai on the last of them. The day of completion is day 0; after 17:30 or on
// a day off, day 0 is the next working day.
func (c *Calendar) Due(t time.Time, n int) time.Time {
	d := dateOf(t)
	if t.After(d.closing()) {
		d = d.next()
	}
	d = c.workdayFrom(d)
	for range n {
		d = c.workdayFrom(d.next())
	}
	return d.closing()
}

// Working returns t, or the next moment at which offices are open: nine o'clock
// of that or a later working day.
func (c *Calendar) Working(t time.Time) time.Time {
	d := dateOf(t)
	if t.After(d.closing()) {
		d = d.next()
	}
	if d = c.workdayFrom(d); d == dateOf(t) && !t.Before(d.opening()) {
		return t
	}
	return d.opening()
}

// After returns when so much of the office hours has passed since t.
func (c *Calendar) After(t time.Time, span time.Duration) time.Time {
	for d := dateOf(t); ; d = d.next() {
		begin, end := c.hours(d, t, d.closing())
		today := end.Sub(begin)
		if today > 0 && span <= today {
			return begin.Add(span)
		}
		span -= max(0, today)
	}
}

// Share returns when a share of the office hours between two instants is over.
func (c *Calendar) Share(from, to time.Time, share float64) time.Time {
	if share >= 1 {
		return to
	}
	at := c.After(from, time.Duration(share*float64(c.worked(from, to))))
	if at.After(to) { // no office hours lie between them
		return to
	}
	return at
}

// worked is how much of the time between two instants is office hours.
func (c *Calendar) worked(from, to time.Time) (sum time.Duration) {
	for d := dateOf(from); !d.opening().After(to); d = d.next() {
		begin, end := c.hours(d, from, to)
		sum += max(0, end.Sub(begin))
	}
	return sum
}

// hours are the office hours of a day, as far as they lie between two instants;
// they end before they begin when there are none.
func (c *Calendar) hours(d date, from, to time.Time) (begin, end time.Time) {
	if !c.isWorkday(d) {
		return d.closing(), d.opening()
	}
	begin, end = d.opening(), d.closing()
	if begin.Before(from) {
		begin = from
	}
	if end.After(to) {
		end = to
	}
	return begin, end
}

// workdayFrom returns d or the first working day after it.
func (c *Calendar) workdayFrom(d date) date {
	for !c.isWorkday(d) {
		d = d.next()
	}
	return d
}
