package intent

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// explained is how many intents, and features of each, an explanation names.
const explained = 3

// Explain tells how the recogniser comes to its result: the entities and words it
// sees, what the rules and the examples say, and what decided.
func (r *Recogniser) Explain(text string) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	res := r.Recognise(text)
	t := string(shorten([]rune(normalise(text))))
	e := extract(t)
	f := r.look(e)
	v := r.decide(e, f)
	line("intent    %s", res.Intent)
	line("slots     %s", fields(res.Slots))
	line("because   %s", res.Why)
	line("entities  %s", fields(e.by))
	line("words     %s", r.wordsOf(f))
	for n, i := range v.ranking()[:explained] {
		label := ""
		if n == 0 {
			label = "vote"
		}
		rule := "no rule"
		if k := v.best[i]; k >= 0 {
			rule = "rule " + r.rules[k].text
		}
		line("%-9s %5.1f %s = %.1f (%s) + %.1f (examples: %s)", label, v.sum[i], r.likeness.intents[i],
			ruleShare*v.ruled[i], rule, v.like[i], strings.Join(v.told(i), " "))
	}
	return b.String()
}

func fields(s Slots) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(s)) {
		parts = append(parts, string(k)+"="+s[k])
	}
	return strings.Join(parts, " ")
}

func (r *Recogniser) wordsOf(f *found) string {
	var parts []string
	for c, w := range f.weight {
		if w > 0 {
			parts = append(parts, f.word[c]+"→"+r.concepts[c])
		}
	}
	return strings.Join(parts, " ")
}

// ranking lists the intents, the likeliest first.
func (v *vote) ranking() []int {
	order := make([]int, len(v.sum))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(v.sum[b], v.sum[a]) })
	return order
}

// told names what in the text speaks most for an intent.
func (v *vote) told(i int) []string {
	says := func(s shown) float32 { return v.r.likeness.row(v.r.likeness.weights, s.id)[i] * s.value }
	most := slices.SortedStableFunc(slices.Values(v.shows), func(a, b shown) int { return cmp.Compare(says(b), says(a)) })
	var names []string
	for _, s := range most[:min(explained, len(most))] {
		names = append(names, fmt.Sprintf("%s %+.1f", v.r.describe(s.feature), says(s)))
	}
	return names
}

// why names the rule and the words that decided, and else the features.
func (v *vote) why() string {
	i := v.winner
	switch k := v.best[i]; {
	case k >= 0:
		return fmt.Sprintf("%s %g: %s ←%s", v.r.likeness.intents[i], v.r.rules[k].weight, v.r.rules[k].text, v.r.rules[k].words(v.found))
	case !v.familiar():
		return "nothing familiar in it"
	}
	return fmt.Sprintf("%s: like its examples ← %s", v.r.likeness.intents[i], strings.Join(v.told(i), " "))
}

// words lists the words that let a rule speak.
func (ru *rule) words(f *found) string {
	var b strings.Builder
	for _, any := range ru.all {
		for _, c := range any {
			if f.weight[c] > 0 {
				b.WriteString(" " + f.word[c])
				break
			}
		}
	}
	return b.String()
}
