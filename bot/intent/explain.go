package intent

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// An explanation names so many intents, and so many features of each.
const explained, features = 3, 6

// Explain tells how the recogniser comes to its result: the entities and words it
// sees, and what in the text speaks for the likeliest intents.
func (r *Recogniser) Explain(text string) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	res := r.Recognise(text)
	t := string(shorten([]rune(normalise(bounded(text)))))
	e := extract(r.plain(t))
	v := r.judge(e)
	line("intent    %s", res.Intent)
	line("slots     %s", fields(res.Slots))
	line("because   %s", cmp.Or(res.Why, v.why()))
	line("entities  %s", fields(e.by))
	line("words     %s", r.wordsOf(v.found))
	p := slices.Clone(v.sum)
	softmax(p)
	for _, i := range v.ranking()[:explained] {
		line("%3.0f %%     %s %.1f: %s", 100*p[i], r.model.intents[i], v.sum[i], strings.Join(v.told(i), " "))
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

func (r *Recogniser) wordsOf(fs finds) string {
	var parts []string
	for _, f := range fs {
		parts = append(parts, f.word+"→"+r.concepts[f.concept])
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
	m := v.r.model
	says := func(s shown) float32 { return s.value * step * float32(int8(m.row(s.id)[i])) } //nolint:gosec // stored so
	most := slices.SortedStableFunc(slices.Values(v.shows), func(a, b shown) int { return cmp.Compare(says(b), says(a)) })
	var names []string
	for _, s := range slices.CompactFunc(most, func(a, b shown) bool { return a.id == b.id }) {
		if len(names) == features {
			break
		}
		names = append(names, fmt.Sprintf("%s %+.1f", v.r.describe(m.feature(s.id)), says(s)))
	}
	return names
}

// why names the features that decided.
func (v *vote) why() string {
	if !v.familiar() {
		return "nothing familiar in it"
	}
	return fmt.Sprintf("%s ← %s", v.r.model.intents[v.winner], strings.Join(v.told(v.winner), " "))
}
