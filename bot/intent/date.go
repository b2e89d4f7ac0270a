package intent

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// dated is a date as written, and what stands around it.
type dated struct{ before, date, after string }

// maxDates is how many dates of a text count.
const maxDates = 4

// datesIn finds the first dates.
func datesIn(t string) (ds []dated) {
	for from := 0; len(ds) < maxDates; {
		m := datePattern.FindStringSubmatchIndex(t[from:])
		if m == nil {
			break
		}
		at, to := from+m[0], from+m[1]
		d := t[at:to]
		if len(m) > 2 { // 2026-11-28
			y, _ := strconv.Atoi(t[from+m[2] : from+m[3]])
			mo, _ := strconv.Atoi(t[from+m[4] : from+m[5]])
			da, _ := strconv.Atoi(t[from+m[6] : from+m[7]])
			d = fmt.Sprintf("%04d-%02d-%02d", y, mo, da)
		}
		ds = append(ds, dated{t[max(0, at-30):at], d, t[to:min(len(t), to+30)]})
		from = to
	}
	return ds
}

// dateOf returns the date that one of the words follows closely (28号开标), or that
// follows the event's name (开标定在28号); what follows it in another clause counts last
// (到期是28号，开标30号).
func (e *entities) dateOf(event *regexp.Regexp, words ...string) string {
	follows := func(clause bool) string {
		for n, d := range e.dates {
			after := d.after
			if n+1 < len(e.dates) {
				after, _, _ = strings.Cut(after, e.dates[n+1].date)
			}
			if end := strings.IndexAny(after, pauses); clause && end >= 0 {
				after = after[:end]
			}
			for _, w := range words {
				if at := strings.Index(after, w); at >= 0 && at <= len("就要")+len("证书")+len("了") {
					return d.date
				}
			}
		}
		return ""
	}
	if date := follows(true); date != "" {
		return date
	}
	for _, d := range e.dates {
		if event.MatchString(d.before) {
			return d.date
		}
	}
	return follows(false)
}

var (
	openingPattern = regexp.MustCompile(`(?:开标|截标|标)(?:时间|日期|日|是|为|在|定|推迟|延|改|到|成|就|于){0,4}$`)
	expiryPattern  = regexp.MustCompile(`(?:到期|过期|失效|届满|证书将?于)(?: ?date ?|时间|日期|日|是|为|在|到|于){0,3}$`)
)
