package order

import (
	"fmt"
	"time"
)

// Quiet is the part of every day in which somebody wants no messages (免打扰), in
// minutes since midnight in Shanghai. It may go over midnight; the zero value is
// never.
type Quiet struct{ From, To int }

// peopleQuiet is when a message that can wait does not wake an applicant.
var peopleQuiet = Quiet{21 * 60, 8 * 60}

// ParseQuiet reads two times of day such as 22:00 and 08:00; both empty is never.
func ParseQuiet(from, to string) (Quiet, error) {
	if from == "" && to == "" {
		return Quiet{}, nil
	}
	var ends [2]int
	for i, text := range []string{from, to} {
		t, err := time.Parse("15:04", text)
		if err != nil {
			return Quiet{}, Errorf(Invalid, "quiet_invalid", "请填写开始和结束时间，例如 22:00 和 08:00")
		}
		ends[i] = t.Hour()*60 + t.Minute()
	}
	if ends[0] == ends[1] {
		return Quiet{}, Errorf(Invalid, "quiet_invalid", "开始和结束时间不能相同，例如 22:00 和 08:00")
	}
	return Quiet{ends[0], ends[1]}, nil
}

// Off reports whether there are no quiet hours.
func (q Quiet) Off() bool { return q.From == q.To }

// Until returns when a message of now may go out: now, outside of the quiet hours.
func (q Quiet) Until(now time.Time) time.Time {
	t := now.In(Shanghai)
	minute := t.Hour()*60 + t.Minute()
	inside := q.From <= minute && minute < q.To
	if q.From > q.To {
		inside = minute >= q.From || minute < q.To
	}
	if q.Off() || !inside {
		return now
	}
	end := time.Date(t.Year(), t.Month(), t.Day(), q.To/60, q.To%60, 0, 0, Shanghai)
	if minute >= q.To { // tomorrow morning
		end = end.AddDate(0, 0, 1)
	}
	return end
}

// Ends are the hours as a form shows them; empty when there are none.
func (q Quiet) Ends() (from, to string) {
	if q.Off() {
		return "", ""
	}
	return clockText(q.From), clockText(q.To)
}

// String is the hours as people read them.
func (q Quiet) String() string {
	if q.Off() {
		return "未开启"
	}
	return clockText(q.From) + "–" + clockText(q.To)
}

func clockText(minute int) string { return fmt.Sprintf("%02d:%02d", minute/60, minute%60) }
