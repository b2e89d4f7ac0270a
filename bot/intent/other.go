package intent

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// other says in the words of the lexicon what people write in English or in a
// dialect (other.txt), so that rules and examples need to know one language.
type other struct {
	dialects *strings.Replacer
	markers  string            // every dialect word has one of these characters
	english  map[string]string // a word, or words with single spaces
	longest  int               // of the English ones, in words
}

func readOther(text string) (other, error) {
	o := other{english: map[string]string{}}
	var pairs [][2]string
	for line := range dataLines(text) {
		into, words, ok := strings.Cut(line, ":")
		if !ok {
			return other{}, fmt.Errorf("other words: %q", line)
		}
		if into == "-" {
			into = ""
		}
		for w := range strings.FieldsSeq(words) {
			w = strings.ToLower(strings.ReplaceAll(w, "_", " "))
			if isLatin(w[0]) {
				o.english[w] = into
				o.longest = max(o.longest, 1+strings.Count(w, " "))
				continue
			}
			pairs = append(pairs, [2]string{w, into})
			o.markers += string([]rune(w)[:1])
		}
	}
	slices.SortFunc(pairs, func(a, b [2]string) int { return cmp.Or(len(b[0])-len(a[0]), strings.Compare(a[0], b[0])) })
	var flat []string
	for _, p := range pairs {
		flat = append(flat, p[0], p[1])
	}
	o.dialects = strings.NewReplacer(flat...)
	return o, nil
}

func isLatin(c byte) bool { return c >= 'a' && c <= 'z' || c == '\'' }

// plain returns a normalised text in plain words. Numbers, addresses and words that
// are not known stay as they are.
func (o *other) plain(t string) string {
	if strings.ContainsAny(t, o.markers) {
		t = o.dialects.Replace(t)
	}
	if strings.IndexFunc(t, func(c rune) bool { return c >= 'a' && c <= 'z' }) < 0 {
		return t
	}
	var b strings.Builder
	b.Grow(len(t))
	for at := 0; at < len(t); {
		word, end := o.at(t, at)
		if end == at {
			b.WriteByte(t[at])
			at++
			continue
		}
		if word != "" && t[at:end] != word { // Chinese needs no spaces
			trimmed := strings.TrimRight(b.String(), " ")
			b.Reset()
			b.WriteString(trimmed)
		}
		b.WriteString(word)
		for at = end; at < len(t) && t[at] == ' ' && word != t[at-1:at]; at++ {
			if at+1 < len(t) && isLatin(t[at+1]) {
				if _, known := o.at(t, at+1); known == at+1 {
					break // a word that stays English
				}
			}
		}
	}
	return b.String()
}

// at returns the plain word for the longest English one that begins at a byte of t,
// and where it ends; the same place when there is none.
func (o *other) at(t string, from int) (word string, end int) {
	if !isLatin(t[from]) || from > 0 && joins(t[from-1]) {
		return "", from
	}
	end = from
	stop := from
	for range o.longest {
		for stop < len(t) && isLatin(t[stop]) || stop > from && stop+1 < len(t) && t[stop] == '-' && isLatin(t[stop+1]) {
			stop++
		}
		alone := stop == len(t) || !joins(t[stop]) || t[stop] == '.' && (stop+1 == len(t) || !joins(t[stop+1]))
		if w, ok := o.english[t[from:stop]]; alone && ok {
			word, end = w, stop
		} else if w, ok := o.inflected(t[from:stop]); alone && ok && end == from {
			word, end = w, stop
		}
		if stop+1 >= len(t) || t[stop] != ' ' || !isLatin(t[stop+1]) {
			break
		}
		stop++
	}
	if end-from == 1 && (from > 0 && t[from-1] >= 0x80 || end < len(t) && t[end] >= 0x80) {
		return "", from // A公司
	}
	return word, end
}

// joins reports whether a byte makes what stands beside it part of a number or an
// address.
func joins(c byte) bool {
	return isLatin(c) || c >= '0' && c <= '9' || strings.IndexByte("@._-/:", c) >= 0
}

// inflected finds a word without its ending.
func (o *other) inflected(w string) (string, bool) {
	for _, ending := range []string{"s", "es", "ed", "d", "ing"} {
		stem, ok := strings.CutSuffix(w, ending)
		if !ok || len(stem) < 3 {
			continue
		}
		for _, s := range []string{stem, stem + "e"} {
			if into, known := o.english[s]; known {
				return into, true
			}
		}
	}
	return "", false
}
