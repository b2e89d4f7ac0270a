package intent

import (
	"cmp"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"
)

// pattern finds what the regular expression of the same text finds, in a time that
// grows with the text and hardly with the number of patterns: an expression costs a
// hundred times as much as looking for a word, so each of its alternatives is tried
// only around the words of which every match has one.
type pattern []alternative

type alternative struct {
	expr  *regexp.Regexp
	words []string  // every match has one of them; none: it is tried everywhere
	made  []letters // what each of words is made of
	begin letters   // what they begin with
	reach int       // bytes of the longest match and a character around it; 0: any number
}

// letters are the characters of a text, of which those with the same low byte count as
// one: a word that has others is not in the text and need not be looked for.
type letters [4]uint64

func lettersOf(t string) (l letters) {
	for _, c := range t {
		l[c>>6&3] |= 1 << (c & 63)
	}
	return l
}

func (l letters) and(m letters) letters {
	return letters{l[0] | m[0], l[1] | m[1], l[2] | m[2], l[3] | m[3]}
}

// any reports whether l has a character of m.
func (l *letters) any(m *letters) bool {
	return l[0]&m[0]|l[1]&m[1]|l[2]&m[2]|l[3]&m[3] != 0
}

// spell reports whether l has all characters of a word.
func (l *letters) spell(word *letters) bool {
	return word[0]&^l[0]|word[1]&^l[1]|word[2]&^l[2]|word[3]&^l[3] == 0
}

// mustPattern compiles an expression, given as its alternatives or some of them at a time.
// Submatches count anew in each alternative.
func mustPattern(exprs ...string) (p pattern) {
	tree, err := syntax.Parse(strings.Join(exprs, "|"), syntax.Perl)
	if err != nil {
		panic(err) // as in regexp.MustCompile: it is in the source
	}
	alternatives := []*syntax.Regexp{tree}
	if tree.Op == syntax.OpAlternate {
		alternatives = tree.Sub
	}
	for _, a := range alternatives {
		exact, words := wordsOf(a)
		alt := alternative{expr: regexp.MustCompile(a.String()), words: better(exact, words)}
		for _, w := range alt.words {
			_, n := utf8.DecodeRuneInString(w)
			alt.made, alt.begin = append(alt.made, lettersOf(w)), alt.begin.and(lettersOf(w[:n]))
		}
		if n := longest(a); n >= 0 {
			alt.reach = n + utf8.UTFMax
		}
		p = append(p, alt)
	}
	return p
}

// FindStringSubmatchIndex is regexp's.
func (p pattern) FindStringSubmatchIndex(t string) (loc []int) {
	has := lettersOf(t)
	for i := range p {
		if m := p[i].find(t, &has); m != nil && (loc == nil || m[0] < loc[0]) {
			loc = m
		}
	}
	return loc
}

// FindStringSubmatch is regexp's.
func (p pattern) FindStringSubmatch(t string) (m []string) {
	loc := p.FindStringSubmatchIndex(t)
	for i := 0; i < len(loc); i += 2 {
		if loc[i] < 0 {
			m = append(m, "")
			continue
		}
		m = append(m, t[loc[i]:loc[i+1]])
	}
	return m
}

// FindString is regexp's.
func (p pattern) FindString(t string) string {
	if m := p.FindStringSubmatchIndex(t); m != nil {
		return t[m[0]:m[1]]
	}
	return ""
}

// MatchString is regexp's.
func (p pattern) MatchString(t string) bool {
	has := lettersOf(t)
	for i := range p {
		if p[i].find(t, &has) != nil {
			return true
		}
	}
	return false
}

// find looks through t, whose characters has are.
func (a *alternative) find(t string, has *letters) []int {
	if a.words == nil {
		return a.expr.FindStringSubmatchIndex(t)
	}
	if !has.any(&a.begin) {
		return nil
	}
	var places [8]int
	at := places[:0]
	for i, w := range a.words {
		for from := 0; has.spell(&a.made[i]); {
			n := strings.Index(t[from:], w)
			if n < 0 {
				break
			}
			at = append(at, from+n)
			from += n + len(w)
		}
	}
	if a.reach == 0 && len(at) > 0 {
		return a.expr.FindStringSubmatchIndex(t)
	}
	slices.Sort(at)
	for i := 0; i < len(at); {
		from, to := at[i]-a.reach, at[i]+a.reach
		for i++; i < len(at) && at[i]-a.reach <= to; i++ {
			to = at[i] + a.reach
		}
		from, to = max(0, from), min(len(t), to)
		for !utf8.RuneStart(t[from]) {
			from--
		}
		for to < len(t) && !utf8.RuneStart(t[to]) {
			to++
		}
		if m := a.expr.FindStringSubmatchIndex(t[from:to]); m != nil {
			for k := range m {
				if m[k] >= 0 {
					m[k] += from
				}
			}
			return m
		}
	}
	return nil
}

// manyWords is up to how many are worth looking for.
const manyWords = 64

// wordsOf returns all that re matches, if that is few words, and else words of which
// every match has one.
func wordsOf(re *syntax.Regexp) (exact, needed []string) {
	switch re.Op {
	case syntax.OpEmptyMatch, syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return []string{""}, nil
	case syntax.OpLiteral:
		if re.Flags&syntax.FoldCase == 0 {
			return []string{string(re.Rune)}, nil
		}
	case syntax.OpCharClass:
		for i := 0; i < len(re.Rune); i += 2 {
			for c := re.Rune[i]; c <= re.Rune[i+1]; c++ {
				if len(exact) == manyWords {
					return nil, nil
				}
				exact = append(exact, string(c))
			}
		}
		return exact, nil
	case syntax.OpCapture:
		return wordsOf(re.Sub[0])
	case syntax.OpQuest:
		if exact, _ = wordsOf(re.Sub[0]); exact != nil {
			return append([]string{""}, exact...), nil
		}
	case syntax.OpPlus:
		return nil, better(wordsOf(re.Sub[0]))
	case syntax.OpRepeat:
		if re.Min > 0 {
			return nil, better(wordsOf(re.Sub[0]))
		}
	case syntax.OpConcat:
		return wordsOfAll(re.Sub)
	case syntax.OpAlternate:
		return wordsOfAny(re.Sub)
	default: // any character, or none
	}
	return nil, nil
}

func wordsOfAll(parts []*syntax.Regexp) (exact, needed []string) {
	run, whole := []string{""}, true
	for _, sub := range parts {
		e, n := wordsOf(sub)
		if e != nil && len(run)*len(e) <= manyWords {
			var longer []string
			for _, a := range run {
				for _, b := range e {
					longer = append(longer, a+b)
				}
			}
			run = longer
			continue
		}
		whole = false
		needed = better(needed, better(run, better(e, n)))
		if run = e; e == nil {
			run = []string{""}
		}
	}
	if whole {
		return run, nil
	}
	return nil, better(needed, run)
}

func wordsOfAny(choice []*syntax.Regexp) (exact, needed []string) {
	all, each := true, true
	for _, sub := range choice {
		e, n := wordsOf(sub)
		w := better(e, n)
		all, each = all && e != nil, each && w != nil
		exact, needed = append(exact, e...), append(needed, w...)
	}
	if all && len(exact) <= manyWords {
		return exact, nil
	}
	if each && len(needed) <= manyWords {
		return nil, needed
	}
	return nil, nil
}

// better returns the words that are rarer, the longer ones; nil if neither will do.
func better(a, b []string) []string {
	a, b = fewest(a), fewest(b)
	short := func(ws []string) (n int) {
		for i, w := range ws {
			if l := utf8.RuneCountInString(w); i == 0 || l < n {
				n = l
			}
		}
		return n
	}
	switch x, y := short(a), short(b); {
	case x == 0 && y == 0:
		return nil
	case x > y, x == y && len(a) <= len(b):
		return a
	}
	return b
}

// fewest leaves out words that hold another: where 下周 is, 周 is.
func fewest(ws []string) (few []string) {
	ws = slices.Clone(ws)
	slices.SortStableFunc(ws, func(a, b string) int { return cmp.Compare(len(a), len(b)) })
	for _, w := range ws {
		if !slices.ContainsFunc(few, func(f string) bool { return strings.Contains(w, f) }) {
			few = append(few, w)
		}
	}
	return few
}

// longest is how many bytes a match of re has at most, -1 when any number.
func longest(re *syntax.Regexp) (n int) {
	switch re.Op {
	case syntax.OpLiteral:
		for _, c := range re.Rune {
			n += utf8.RuneLen(c)
		}
	case syntax.OpCharClass:
		if len(re.Rune) > 0 {
			n = utf8.RuneLen(re.Rune[len(re.Rune)-1])
		}
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		n = utf8.UTFMax
	case syntax.OpStar, syntax.OpPlus:
		return -1
	case syntax.OpRepeat:
		if n = longest(re.Sub[0]); n < 0 || re.Max < 0 {
			return -1
		}
		n *= re.Max
	case syntax.OpAlternate:
		for _, sub := range re.Sub {
			l := longest(sub)
			if l < 0 {
				return -1
			}
			n = max(n, l)
		}
	default: // a sequence, or no characters
		for _, sub := range re.Sub {
			l := longest(sub)
			if l < 0 {
				return -1
			}
			n += l
		}
	}
	return n
}
