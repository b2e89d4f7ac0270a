package bot

import (
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

// Dates as people say them, on Monday 2026-11-23 at 10:00 in Shanghai.
func TestDateOf(t *testing.T) {
	for said, want := range map[string]string{
		"今天": "2026-11-23", "明天": "2026-11-24", "后天": "2026-11-25", "大后天": "2026-11-26", "明儿": "2026-11-24",
		"周一": "2026-11-23", "周五": "2026-11-27", "这周三": "2026-11-25", "本周日": "2026-11-29", "下周一": "2026-11-30",
		"星期天": "2026-11-29", "下周三": "2026-12-02", "下下周二": "2026-12-08", "下个礼拜五": "2026-12-04",
		"28号": "2026-11-28", "20号": "2026-12-20", "31日": "2026-12-31", "下月5号": "2026-12-05", "下个月23号": "2026-12-23",
		"12月3日": "2026-12-03", "1月15号": "2027-01-15", "11月23日": "2026-11-23", "2月29日": "2028-02-29",
		"2026-12-25": "2026-12-25", "2027年1月5日": "2027-01-05", "12.3": "2026-12-03",
		"月底": "2026-11-30", "下个月底": "2026-12-31", "年底": "2026-12-31",
	} {
		got, ok := dateOf(said, talkTime)
		if !ok || got.Format(time.DateOnly) != want || got.Location() != order.Shanghai {
			t.Errorf("%s: %s %t, want %s", said, got, ok, want)
		}
	}
	for _, said := range []string{"", "下周", "2月30日", "40号", "0号", "2026-13-01", "昨天", "很快"} {
		if got, ok := dateOf(said, talkTime); ok {
			t.Errorf("%s: %s", said, got)
		}
	}
	for text, want := range map[string]string{"开标时间是12月3日上午九点": "2026-12-03", "下周五开": "2026-12-04", "12-03": "2026-12-03"} {
		if got, ok := dateIn(text, talkTime); !ok || got.Format(time.DateOnly) != want {
			t.Errorf("%s: %s %t", text, got, ok)
		}
	}
}

func FuzzDateIn(f *testing.F) {
	for _, s := range []string{"12月3日", "99号", "下下下周天", "0000-00-00", "2月30", "月底月底"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d, ok := dateIn(s, talkTime); ok && (d.IsZero() || d.Hour() != 0) {
			t.Fatalf("%q: %s", s, d)
		}
	})
}
