package handlers

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	ics "github.com/arran4/golang-ical"
	"pgregory.net/rapid"

	"github.com/yuncaidun/yuncaidun/certificate"
)

// F65: the file names the days of renewal of what is in use, and nobody.
func TestCalendar(t *testing.T) {
	w := newWeb(t)
	b := w.holder()
	const at, link = "/certificates/calendar", `href="/certificates/calendar"`
	wantIn(t, "page", b.get("/certificates").Body, link, "加到日历")
	a := b.get(at)
	if a.Status != http.StatusOK || a.Header.Get("Content-Type") != calendarType || !strings.HasPrefix(a.Header.Get("Content-Disposition"), "attachment") {
		t.Errorf("%d %v", a.Status, a.Header)
	}
	golden(t, "certificates.ics", a.Body)
	for _, private := range []string{heldSerial, agentMobile, "王小琪", w.held().USCC} {
		if strings.Contains(a.Body, private) {
			t.Errorf("the file holds %q", private)
		}
	}
	api := w.mini("m1", "").login(agentMobile).call(http.MethodGet, at, nil, nil)
	if api.Body != a.Body || api.Header.Get("Content-Type") != calendarType {
		t.Errorf("over the API: %d %v\n%s", api.Status, api.Header, api.Body)
	}
	b.later(366 * 24 * time.Hour)
	lines := strings.Split(w.calendar([]certificate.Certificate{w.held()}, nil, nil), "\r\n")
	if before := strings.Split(a.Body, "\r\n"); lines[5] != before[5] || !strings.HasPrefix(lines[5], "UID:") {
		t.Errorf("another day the event is another one: %s, %s", before[5], lines[5])
	}
	if strings.Contains(b.get("/certificates").Body, link) {
		t.Error("the page offers an empty calendar")
	}
	if a := b.get(at); a.Status != http.StatusNotFound || !strings.Contains(a.Body, "没有有效期内的证书") {
		t.Errorf("nothing in use: %d", a.Status)
	}
}

// RFC 5545 §3.1, §3.3.11: no line is longer than 75 octets or cuts a character, and
// whatever a company is called is read as it was written.
func TestCalendarOfAnyCompany(t *testing.T) {
	w := newWeb(t)
	rapid.Check(t, func(t *rapid.T) {
		var certs []certificate.Certificate
		for range rapid.IntRange(1, 3).Draw(t, "n") {
			certs = append(certs, certificate.Certificate{
				Serial:      rapid.StringMatching(`[0-9A-F]{40}`).Draw(t, "serial"),
				Holder:      rapid.StringMatching(`[\p{Han}\p{L}（）()·&;,:"' \\nN<>-]{0,200}`).Draw(t, "holder"),
				TokenSerial: rapid.StringMatching(`(TW[0-9]{14})?`).Draw(t, "token"),
				NotAfter:    w.clock.now().Add(time.Duration(rapid.IntRange(0, 5*365*24).Draw(t, "hours")) * time.Hour),
			})
		}
		opening := certificate.Opening{ID: "01OPENING", Serial: certs[0].Serial, Project: rapid.StringMatching(`[\p{Han}\p{L}（）()·&;,:"' \\nN<>-]{1,60}`).Draw(t, "project"), At: w.clock.now().Add(time.Duration(rapid.IntRange(1, 365*24).Draw(t, "ahead")) * time.Hour)}
		file := w.calendar(certs, []certificate.Opening{opening, {Serial: "of another"}}, nil)
		rest, ended := strings.CutSuffix(file, "\r\n")
		if !ended {
			t.Fatal("the last line does not end")
		}
		for line := range strings.SplitSeq(rest, "\r\n") {
			if len(line) > 75 || line == "" || !utf8.ValidString(line) || strings.ContainsAny(line, "\r\n") {
				t.Fatalf("%d octets: %q", len(line), line)
			}
		}
		cal, err := ics.ParseCalendar(strings.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		events := cal.Events()
		if got := events[1].GetProperty(ics.ComponentPropertySummary).Value; len(events) != len(certs)+1 || got != "开标："+opening.Project {
			t.Fatalf("%d events, %q is read as %q", len(events), opening.Project, got)
		}
		if start, err := events[1].GetStartAt(); err != nil || !start.Equal(opening.At) {
			t.Fatalf("opened at %v, not %v: %v", start, opening.At, err)
		}
		for i, e := range slices.Delete(events, 1, 2) {
			want := "数字证书更新：" + certs[i].Holder
			if certs[i].TokenSerial != "" {
				want += "（UKEY 尾号 " + certs[i].TokenSerial[12:] + "）"
			}
			if got := e.GetProperty(ics.ComponentPropertySummary).Value; got != want {
				t.Fatalf("%q is read as %q", want, got)
			}
			start, err := e.GetAllDayStartAt()
			if err != nil {
				t.Fatal(err)
			}
			end, err := e.GetAllDayEndAt()
			if err != nil {
				t.Fatal(err)
			}
			if end.Sub(start) != 30*24*time.Hour || day(end.AddDate(0, 0, -1)) != day(certs[i].NotAfter) {
				t.Fatalf("%v to %v for an end at %v", start, end, certs[i].NotAfter)
			}
		}
	})
}
