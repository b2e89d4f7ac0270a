package intent

import (
	_ "embed"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What people type in pinyin, whose keyboards or thumbs have no characters, is read
// as characters before anything else looks at it: words of the lexicon where the
// syllables make one, else the commonest character of the sound.

//go:embed syllables.txt
var syllablesText string

// typist reads pinyin.
type typist struct {
	usual   map[string]string // syllable → its commonest character
	words   map[string]string // syllables of a word with spaces between → the word
	longest int               // of the words, in syllables
}

func newTypist() *typist {
	p := &typist{usual: map[string]string{}, words: map[string]string{}}
	for line := range dataLines(syllablesText) {
		for w := range strings.FieldsSeq(line) {
			i := strings.IndexFunc(w, func(c rune) bool { return c >= utf8.RuneSelf })
			p.usual[w[:i]] = w[i:]
		}
	}
	return p
}

// learn adds a word of the lexicon; the first of several that sound alike is meant.
func (p *typist) learn(syllables []string, word string) {
	key := strings.Join(syllables, " ")
	if _, known := p.words[key]; !known && len(syllables) > 1 {
		p.words[key] = word
		p.longest = max(p.longest, len(syllables))
	}
}

// longestSyllable is zhuang, in letters.
const longestSyllable = 6

// syllables splits a word of Latin letters into as few syllables as it can; nil if it
// is none. Inside a word a syllable with a vowel in front needs a sign (xi'an).
func (p *typist) syllables(w string) []string {
	fewest := make([]int, len(w)+1) // to spell the first letters, plus 1; 0: cannot be
	from := make([]int, len(w)+1)
	fewest[0] = 1
	for end := 1; end <= len(w); end++ {
		for start := max(0, end-longestSyllable); start < end; start++ {
			if fewest[start] == 0 || start > 0 && strings.IndexByte("aoe", w[start]) >= 0 && w[start-1] != '\'' {
				continue
			}
			s := strings.TrimSuffix(w[start:end], "'")
			if _, known := p.usual[s]; known && (fewest[end] == 0 || fewest[start]+1 < fewest[end]) {
				fewest[end], from[end] = fewest[start]+1, start
			}
		}
	}
	if fewest[len(w)] == 0 {
		return nil
	}
	spelt := make([]string, fewest[len(w)]-1)
	for end, i := len(w), len(spelt)-1; end > 0; end, i = from[end], i-1 {
		spelt[i] = strings.TrimSuffix(w[from[end]:end], "'")
	}
	return spelt
}

// read puts syllables into characters, the longest words first; all tells whether
// every one of them is part of a word.
func (p *typist) read(syllables []string) (text string, all bool) {
	var b strings.Builder
	all = true
	for at := 0; at < len(syllables); {
		n := min(p.longest, len(syllables)-at)
		for ; n > 1; n-- {
			if w, known := p.words[strings.Join(syllables[at:at+n], " ")]; known {
				b.WriteString(w)
				break
			}
		}
		if n <= 1 {
			b.WriteString(p.usual[syllables[at]])
			n, all = 1, false
		}
		at += n
	}
	return b.String(), all
}

// typed returns a normalised text with what is typed in pinyin in characters.
func (r *Recogniser) typed(t string) string {
	var b strings.Builder
	done := 0
	for at := 0; at < len(t); at++ {
		if !isLatin(t[at]) {
			continue
		}
		end := at
		for end < len(t) && (isLatin(t[end]) || isDigit(t[end]) || t[end] == ' ') {
			end++
		}
		part := strings.TrimRight(t[at:end], " ")
		if text := r.characters(strings.Fields(part)); text != part && !address(t, at, end) {
			b.WriteString(t[done:at] + text)
			done = at + len(part)
		}
		at = end - 1
	}
	return b.String() + t[done:]
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// address reports whether t[from:end] is part of an address or a number.
func address(t string, from, end int) bool {
	return from > 0 && joins(t[from-1]) || end+1 < len(t) && joins(t[end]) && joins(t[end+1])
}

// characters reads a stretch of Latin words. It is pinyin if each one is, but for
// names such as ukey, and for numbers; else only words that the lexicon has are.
func (r *Recogniser) characters(words []string) string {
	syllables := make([][]string, len(words))
	pinyin, said := true, 0
	for i, w := range words {
		if r.words[w] != nil || strings.ContainsFunc(w, unicode.IsDigit) {
			continue
		}
		syllables[i] = r.typist.syllables(w)
		pinyin = pinyin && syllables[i] != nil
		if _, english := r.other.english[w]; !english {
			said += len(syllables[i])
		}
	}
	pinyin = pinyin && said > 1
	var b strings.Builder
	var last byte
	for i := 0; i < len(words); {
		heard, end := syllables[i], i+1
		for ; pinyin && heard != nil && end < len(words) && syllables[end] != nil; end++ {
			heard = slices.Concat(heard, syllables[end])
		}
		text, known := r.typist.read(heard)
		if _, english := r.other.english[words[i]]; heard == nil || !pinyin && (english || !known) {
			text = words[i]
		}
		if last != 0 && last < utf8.RuneSelf && text[0] < utf8.RuneSelf {
			b.WriteByte(' ')
		}
		b.WriteString(text)
		last = text[len(text)-1]
		i = end
	}
	return b.String()
}
