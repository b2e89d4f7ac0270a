package intent

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/mozillazg/go-pinyin"

	"github.com/yuncaidun/yuncaidun/identity"
)

// sameSound is what a word found by sound counts (定单 for 订单), against 1 for a word
// as written: half, for most that sounds like one is chance (叮当).
const sameSound = 0.5

// found is a concept that a text holds, how surely, and by which word.
type found struct {
	concept int
	weight  float32
	word    string
}

// finds are what a text holds, each concept once, by the surest word.
type finds []found

// of tells where a concept is, or would be.
func (f *finds) of(concept int) (at int, known bool) {
	return slices.BinarySearchFunc(*f, concept, func(f found, c int) int { return cmp.Compare(f.concept, c) })
}

func (f *finds) add(concept int, weight float32, word string) {
	switch at, known := f.of(concept); {
	case !known:
		*f = slices.Insert(*f, at, found{concept, weight, word})
	case weight > (*f)[at].weight:
		(*f)[at] = found{concept, weight, word}
	}
}

type match struct {
	from, to int
	concepts []int
	weight   float32
}

// find looks up every stretch of the text, as written and by sound. A word inside
// a longer one does not count; a word by sound does not count where a written
// word of two or more characters stands.
func (r *Recogniser) find(t []rune) (f finds) {
	var exact, heard []match
	syllables := make([]syllable, len(t))
	for i, c := range t {
		syllables[i] = r.sounds.of(c)
	}
	text := string(t)
	at := make([]int, len(t)+1) // rune → byte offset
	for i, c := range t {
		at[i+1] = at[i] + utf8.RuneLen(c)
	}
	var key []byte
	for i := range t {
		key = key[:0]
		for j, written, sounding := i+1, true, true; j <= len(t) && (written || sounding); j++ {
			var cs []int
			if written {
				if cs, written = r.words[text[at[i]:at[j]]]; cs != nil && whole(t, i, j) {
					exact = append(exact, match{i, j, cs, 1})
				}
			}
			if sounding {
				key = syllables[j-1].append(key)
				if cs, sounding = r.bySound[string(key)]; cs != nil && !slices.Contains(cs, r.noise) && !strings.ContainsAny(text[at[i]:at[j]], functionWords) {
					heard = append(heard, match{i, j, cs, sameSound})
				}
			}
		}
	}
	written := furthest(exact, len(t))
	exact = slices.DeleteFunc(exact, func(m match) bool { return written[m.from] >= m.to || written[m.from+1] > m.to })
	taken := make([]bool, len(t))
	for _, m := range exact {
		for i := m.from; i < m.to && m.to-m.from >= 2; i++ {
			taken[i] = true
		}
	}
	heard = slices.DeleteFunc(heard, func(m match) bool { return slices.Contains(taken[m.from:m.to], true) })
	sounding := furthest(heard, len(t))
	exact = slices.DeleteFunc(exact, func(m match) bool { return sounding[m.from+1] >= m.to })
	for _, m := range append(exact, heard...) {
		for _, c := range m.concepts {
			f.add(c, m.weight, text[at[m.from]:at[m.to]])
		}
	}
	return f
}

// furthest tells for each place how far a match goes that begins before it.
func furthest(ms []match, n int) []int {
	far := make([]int, n+1)
	for _, m := range ms {
		far[m.from+1] = max(far[m.from+1], m.to)
	}
	for i := 1; i <= n; i++ {
		far[i] = max(far[i], far[i-1])
	}
	return far
}

// whole reports whether a word of Latin letters or digits stands alone in t.
func whole(t []rune, i, j int) bool {
	return (i == 0 || !joined(t[i-1], t[i])) && (j == len(t) || !joined(t[j-1], t[j]))
}

func joined(a, b rune) bool {
	return a < 0x80 && b < 0x80 && (unicode.IsLetter(a) && unicode.IsLetter(b) || unicode.IsDigit(a) && unicode.IsDigit(b))
}

// syllable is how a character sounds: number of its pinyin, with and without the
// distinctions that dialects and thumbs drop. 0 = no sound.
type syllable struct{ exact, folded uint16 }

// syllableSize is how long one is in a key.
const syllableSize = 2

func (s syllable) append(key []byte) []byte {
	return binary.BigEndian.AppendUint16(key, s.folded)
}

// sounds knows the sound of the common characters.
type sounds struct {
	table    []syllable // from firstHan
	spelt    []string   // by exact number
	heardAs  []string   // by folded number
	numbers  map[string]uint16
	foldedID map[string]uint16
}

const (
	firstHan = 0x4E00
	lastHan  = 0x9FFF
)

// allSounds is the one table of sounds.
var allSounds = sync.OnceValue(newSounds)

func newSounds() *sounds {
	s := &sounds{
		table: make([]syllable, lastHan-firstHan+1), spelt: []string{""}, heardAs: []string{""},
		numbers: map[string]uint16{}, foldedID: map[string]uint16{},
	}
	for c := firstHan; c <= lastHan; c++ {
		reading, _, _ := strings.Cut(pinyin.PinyinDict[c], ",")
		if reading == "" {
			continue
		}
		p := toneless.Replace(reading)
		id, ok := s.numbers[p]
		if !ok {
			id = uint16(len(s.spelt)) //nolint:gosec // about 400 syllables
			s.numbers[p], s.spelt = id, append(s.spelt, p)
		}
		folded := fold(p)
		fid, ok := s.foldedID[folded]
		if !ok {
			fid = uint16(len(s.foldedID) + 1) //nolint:gosec // fewer still
			s.foldedID[folded], s.heardAs = fid, append(s.heardAs, folded)
		}
		s.table[c-firstHan] = syllable{id, fid}
	}
	return s
}

func (s *sounds) of(c rune) syllable {
	if c < firstHan || c > lastHan {
		return syllable{}
	}
	return s.table[c-firstHan]
}

// word returns the lookup key of w by sound, if every character has one.
func (s *sounds) word(w string) (string, bool) {
	var key []byte
	for _, c := range w {
		y := s.of(c)
		if y.folded == 0 {
			return "", false
		}
		key = y.append(key)
	}
	return string(key), true
}

// spelling returns the syllables of w in pinyin, nil if it is not all characters.
func (s *sounds) spelling(w string) (syllables []string) {
	for _, c := range w {
		y := s.of(c)
		if y.exact == 0 {
			return nil
		}
		syllables = append(syllables, s.spelt[y.exact])
	}
	return syllables
}

var toneless = strings.NewReplacer(
	"ā", "a", "á", "a", "ǎ", "a", "à", "a", "ō", "o", "ó", "o", "ǒ", "o", "ò", "o",
	"ē", "e", "é", "e", "ě", "e", "è", "e", "ī", "i", "í", "i", "ǐ", "i", "ì", "i",
	"ū", "u", "ú", "u", "ǔ", "u", "ù", "u", "ü", "v", "ǖ", "v", "ǘ", "v", "ǚ", "v", "ǜ", "v",
	"ń", "n", "ň", "n", "ǹ", "n", "ḿ", "m",
)

// fold drops what many speakers do not tell apart: zh/z, ch/c, sh/s and -ng/-n.
func fold(p string) string {
	if len(p) > 2 && p[1] == 'h' && (p[0] == 'z' || p[0] == 'c' || p[0] == 's') {
		p = p[:1] + p[2:]
	}
	if strings.HasSuffix(p, "ang") || strings.HasSuffix(p, "eng") || strings.HasSuffix(p, "ing") {
		p = p[:len(p)-1]
	}
	return p
}

// normalise folds full-width and traditional characters and case, and drops what
// carries nothing: white space between characters, emoji, invisible marks.
func normalise(s string) string {
	s = marked(s)
	var b strings.Builder
	b.Grow(len(s))
	var last rune
	space := false
	for _, c := range s {
		switch {
		case c >= 0xFF01 && c <= 0xFF5E:
			c -= 0xFEE0
		case c == 0x3000:
			c = ' '
		}
		if c >= 0x80 {
			if simple, ok := simplified[c]; ok {
				c = simple
			}
		}
		c = unicode.ToLower(c)
		switch {
		case c >= firstHan && c <= lastHan: // most of what people write
		case strings.ContainsRune(spoken, c): // means something, see other.txt and staffCommand
		case unicode.IsSpace(c):
			space = last != 0
			continue
		case unicode.IsControl(c), unicode.Is(unicode.Cf, c), unicode.Is(unicode.So, c), unicode.Is(unicode.Mn, c), unicode.Is(unicode.Sk, c):
			continue
		}
		if space && last < 0x80 && c < 0x80 {
			b.WriteByte(' ')
		}
		space = false
		b.WriteRune(c)
		last = c
	}
	return identity.InDigits(b.String())
}

// minClause is how short what stands between spaces may be, in characters, and still
// be a clause.
const minClause = 3

// marked puts a comma where a space stands for one: 不是解锁 我要吊销.
func marked(s string) string {
	if !strings.ContainsFunc(s, unicode.IsSpace) {
		return s
	}
	clause := func(w string) bool {
		return utf8.RuneCountInString(w) >= minClause && strings.ContainsFunc(w, func(c rune) bool { return unicode.Is(unicode.Han, c) })
	}
	words := strings.Fields(s)
	var b strings.Builder
	b.Grow(len(s))
	for i, w := range words {
		switch {
		case i == 0:
		case clause(words[i-1]) && clause(w):
			b.WriteByte(',')
		default:
			b.WriteByte(' ')
		}
		b.WriteString(w)
	}
	return b.String()
}

// spoken are the pictures that mean something by themselves.
const spoken = "👋👌👍🙏❌📦💰💸🔒🔑🧾🆘🙋"

// simplified maps the traditional characters of our subject.
var simplified = func() map[rune]rune {
	const pairs = "訂订單单證证書书號号碼码發发貨货運运費费錢钱開开關关鎖锁續续審审覈核絕绝過过時时間间幾几還还沒没嗎吗麼么這这個个們们請请問问謝谢見见聯联係系電电話话郵邮遞递檔档標标寫写辦办業业務务營营執执照照圖图印印變变換换綁绑機机帳账戶户轉转賬账賣卖買买價价優优資资料料為为麽么樣样點点選选擇择進进狀状態态類类則则讓让給给從从當当應应驗验載载裝装盤盘識识別别離离職职訴诉"
	m := map[rune]rune{}
	rs := []rune(pairs)
	for i := 0; i+1 < len(rs); i += 2 {
		m[rs[i]] = rs[i+1]
	}
	return m
}()
