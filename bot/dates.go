package bot

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

// dayOffsets are the days people call by a word, from today.
var dayOffsets = map[string]int{
	"今天": 0, "今日": 0, "今晚": 0, "今儿": 0, "明天": 1, "明日": 1, "明早": 1, "明儿": 1, "后天": 2, "后儿": 2, "大后天": 3,
}

var (
	fullDate    = regexp.MustCompile(`^(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})[日号]?$`)
	monthDate   = regexp.MustCompile(`^(\d{1,2})[-/.月](\d{1,2})[日号]?$`)
	dayDate     = regexp.MustCompile(`^(下个?月)?(\d{1,2})[日号]?$`)
	weekdayDate = regexp.MustCompile(`^(这|本|下下|下)?个?(?:周|星期|礼拜)([一二三四五六日天])$`)
	monthEnd    = regexp.MustCompile(`^(下)?个?月底$`)
	anyDate     = regexp.MustCompile(`\d{4}[-/.年]\d{1,2}[-/.月]\d{1,2}[日号]?|\d{1,2}月\d{1,2}[日号]?|(?:下个?月)?\d{1,2}[号日]|大后天|今天|今日|明天|明日|后天|今晚|明早|明儿|今儿|后儿|(?:这|本|下下|下)?个?(?:周|星期|礼拜)[一二三四五六日天]|下?个?月底|年底|^\d{1,2}[-/.]\d{1,2}$`)
	weekdays    = strings.NewReplacer("一", "1", "二", "2", "三", "3", "四", "4", "五", "5", "六", "6", "日", "7", "天", "7")
)

// dateIn finds the first date in what somebody wrote.
func dateIn(text string, now time.Time) (time.Time, bool) {
	return dateOf(anyDate.FindString(text), now)
}

// dateOf is the day that a date as people say it means, at midnight in Shanghai.
// A day without a year, or month, is the next one that is not past.
func dateOf(said string, now time.Time) (time.Time, bool) {
	now = now.In(order.Shanghai)
	today := day(now.Year(), now.Month(), now.Day())
	number := func(s string) int { n, _ := strconv.Atoi(s); return n }
	if offset, ok := dayOffsets[said]; ok {
		return today.AddDate(0, 0, offset), true
	}
	if m := fullDate.FindStringSubmatch(said); m != nil {
		return calendarDay(number(m[1]), number(m[2]), number(m[3]))
	}
	if m := monthDate.FindStringSubmatch(said); m != nil {
		return coming(today, 12, func(k int) (time.Time, bool) { return calendarDay(today.Year()+k/12, number(m[1]), number(m[2])) })
	}
	if m := dayDate.FindStringSubmatch(said); m != nil {
		from := today
		if m[1] != "" {
			from = day(today.Year(), today.Month()+1, 1)
		}
		return coming(from, 1, func(k int) (time.Time, bool) {
			month := day(from.Year(), from.Month()+time.Month(k), 1)
			return calendarDay(month.Year(), int(month.Month()), number(m[2]))
		})
	}
	if m := weekdayDate.FindStringSubmatch(said); m != nil {
		return weekday(today, m[1], number(weekdays.Replace(m[2]))), true
	}
	if m := monthEnd.FindStringSubmatch(said); m != nil {
		return day(today.Year(), today.Month()+time.Month(1+len(m[1])/len("下")), 0), true
	}
	if said == "年底" {
		return day(today.Year(), time.December, 31), true
	}
	return time.Time{}, false
}

func day(y int, m time.Month, d int) time.Time {
	return time.Date(y, m, d, 0, 0, 0, 0, order.Shanghai)
}

// calendarDay refuses 2月30日, which time.Date would make 3月2日.
func calendarDay(y, m, d int) (time.Time, bool) {
	t := day(y, time.Month(m), d)
	return t, t.Month() == time.Month(m) && t.Day() == d && y > 2000
}

// coming is the first date of a series, step months apart, that is not before
// from; a month without the day is passed over.
func coming(from time.Time, step int, at func(months int) (time.Time, bool)) (time.Time, bool) {
	for k := 0; k <= 2*12; k += step {
		if t, ok := at(k); ok && !t.Before(from) {
			return t, true
		}
	}
	return time.Time{}, false
}

// weekday is a day of this week, of the next or of the one after; without a word
// for the week, the next such day.
func weekday(today time.Time, week string, n int) time.Time {
	monday := today.AddDate(0, 0, -(int(today.Weekday())+6)%7)
	t := monday.AddDate(0, 0, n-1)
	switch week {
	case "下":
		return t.AddDate(0, 0, 7)
	case "下下":
		return t.AddDate(0, 0, 14)
	case "":
		if t.Before(today) {
			return t.AddDate(0, 0, 7)
		}
	}
	return t
}
