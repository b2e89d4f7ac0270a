package intent

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// patterns are all that a text is looked through for, by what they are called.
func patterns() map[string]pattern {
	all := map[string]pattern{
		"order_no": orderNoPattern, "token": tokenPattern, "tracking": trackingPattern, "email": emailPattern, "phone tail": phoneTailPattern,
		"tail": tailPattern, "tail before": tailBefore, "marked tail": markedTail, "company": companyPattern, "region": regionPattern,
		"project": projectPattern, "qty": qtyPattern, "overdue": overduePattern, "days": daysPattern, "urgent": urgentPattern, "money": moneyPattern,
		"date": datePattern, "name": namePattern, "not a name": notName, "legal": legalPattern, "foreign": foreignPattern, "gone": gonePattern,
		"spoken PIN": spokenPIN, "secret number": secretNumber, "assign": assignWord, "assign to": assignTo, "no assignee": notAssignee, "going on": goingOn,
	}
	for _, a := range append(slices.Clone(attacks), suspicions...) {
		all[a.why+" "+a.pattern[0].expr.String()] = a.pattern
	}
	for _, r := range rejections {
		all[r.code] = r.pattern
	}
	return all
}

// A pattern finds what the expression of its alternatives finds, wherever it looks.
func TestPatternFindsWhatTheExpressionDoes(t *testing.T) {
	lines := readLines(t, "testdata/ways-*.tsv")
	var texts []string
	for i := range lines {
		texts = append(texts, normalise(lines[i].text))
		if i%40 == 0 { // a long one, with words of many
			var many []string
			for k := range 30 {
				many = append(many, lines[(i+k*977)%len(lines)].text)
			}
			texts = append(texts, normalise(strings.Join(many, "，")))
		}
	}
	for name, p := range patterns() {
		var alternatives []string
		for _, a := range p {
			alternatives = append(alternatives, a.expr.String())
		}
		expr := regexp.MustCompile(strings.Join(alternatives, "|"))
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, text := range texts {
				want := slices.DeleteFunc(expr.FindStringSubmatchIndex(text), func(i int) bool { return i < 0 })
				got := slices.DeleteFunc(p.FindStringSubmatchIndex(text), func(i int) bool { return i < 0 })
				if !slices.Equal(got, want) || p.MatchString(text) != (want != nil) {
					t.Fatalf("%q: %v, want %v", text, got, want)
				}
			}
		})
	}
}

// Every alternative has words to look for before it is tried, or a text of a few hundred
// characters would take milliseconds.
func TestPatternsHaveWords(t *testing.T) {
	for name, p := range patterns() {
		for _, a := range p {
			if len(a.words) == 0 || slices.Contains(a.words, "") {
				t.Errorf("%s: nothing to look for before %s", name, a.expr)
			}
		}
	}
}

func TestPatternWords(t *testing.T) {
	for expr, want := range map[string]string{
		`公章.{0,6}(?:不清|模糊)`:    "公章", // of two kinds the fewer
		`(?:审核|审批)[^,]?通过`:     "通过",
		`s ?a1\d`:              "sa10 sa11 sa12 sa13 sa14 sa15 sa16 sa17 sa18 sa19 s a10 s a11 s a12 s a13 s a14 s a15 s a16 s a17 s a18 s a19",
		`(?:^|[^a-z])ps(?:x)?`: "ps",
		`[一二]百+`:               "百",
		`急$`:                   "急",
		`\p{Han}{2,30}`:        "",
		`(?i)pin`:              "",
		`密码|\d{4}`:             "密码|0 1 2 3 4 5 6 7 8 9",
	} {
		var got []string
		for _, a := range mustPattern(expr) {
			got = append(got, strings.Join(a.words, " "))
		}
		if s := strings.Join(got, "|"); s != want {
			t.Errorf("%s: %q, want %q", expr, s, want)
		}
	}
}
