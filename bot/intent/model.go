package intent

import (
	_ "embed"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strings"
	"unicode"
)

// The model is a maximum-entropy classifier over what a text shows: its concepts,
// pairs of them, runs of up to three characters, and runs of two syllables. It was
// trained on the examples (train_test.go); weights.bin holds
// a byte for each feature and intent, so that nothing is learnt when the program
// starts. Explain names the features behind a decision.

//go:embed weights.bin
var weightsFile []byte

// What features count before a text's are scaled to length 1.
const (
	ofConcept   = 2
	ofPair      = 0.4
	ofCharacter = 0.8
	ofRun       = 1
	ofSyllables = 0.7
)

// step is what a weight of 1 in weights.bin stands for.
const step = 1.0 / 16

// model holds a weight for each feature and intent.
type model struct {
	intents []Intent
	ids     map[feature]int32
	keys    []byte // the features by id, 8 bytes each
	weights []byte // feature × intent, each an int8
}

var errWeights = errors.New("weights.bin: of another shape")

// readModel reads weights.bin: the number of features, the features, their weights.
func readModel(file []byte) (*model, error) {
	m := &model{intents: All()}
	if len(file) < 4 {
		return nil, errWeights
	}
	n := int(binary.LittleEndian.Uint32(file))
	if len(file) != 4+n*(8+len(m.intents)) {
		return nil, errWeights
	}
	m.ids = make(map[feature]int32, n)
	m.keys, m.weights = file[4:4+8*n], file[4+8*n:]
	for id := range int32(n) { //nolint:gosec // some ten thousand
		m.ids[m.feature(id)] = id
	}
	return m, nil
}

func (m *model) feature(id int32) feature {
	return feature(binary.LittleEndian.Uint64(m.keys[8*id:]))
}

// feature is up to four symbols: characters, concepts and syllables.
type feature uint64

// Symbols that are no characters.
const (
	firstConcept  = 0xD800
	firstSyllable = 0xE000
	lastSyllable  = 0xEFFF
)

func featureOf(symbols ...uint16) (f feature) {
	for _, s := range symbols {
		f = f<<16 | feature(s)
	}
	return f
}

func (r *Recogniser) describe(f feature) string {
	var b strings.Builder
	for shift := 48; shift >= 0; shift -= 16 {
		switch s := uint16(f >> shift); { //nolint:gosec // a symbol at a time
		case s == 0:
		case s >= firstConcept && s < firstSyllable:
			b.WriteString("#" + r.concepts[s-firstConcept])
		case s >= firstSyllable && s <= lastSyllable:
			b.WriteString("~" + r.sounds.heardAs[s-firstSyllable])
		case s == edge:
			b.WriteByte('_')
		default:
			b.WriteRune(rune(s))
		}
	}
	return b.String()
}

// shown is a feature of a text that the model has, and how much of the text it is.
type shown struct {
	id    int32
	value float32
}

// shows lists the features of a text that the model has, scaled, and how
// much of the text they are.
func (r *Recogniser) shows(e entities, fs finds) (known []shown, share float32) {
	var total, ours float32
	known = make([]shown, 0, 128)
	r.features(e, fs, func(f feature, value float32) {
		total += value * value
		if id, ok := r.model.ids[f]; ok {
			ours += value * value
			known = append(known, shown{id, value})
		}
	})
	if total == 0 {
		return nil, 0
	}
	scale := float32(1 / math.Sqrt(float64(total)))
	for n := range known {
		known[n].value *= scale
	}
	return known, ours / total
}

// row is a feature's weight for each intent.
func (m *model) row(id int32) []byte {
	n := len(m.intents)
	return m.weights[int(id)*n : int(id+1)*n]
}

// score adds up what the features say for each intent, in nats.
func (m *model) score(shows []shown) []float32 {
	sum := make([]float32, len(m.intents))
	for _, s := range shows {
		v := s.value * step
		for n, w := range m.row(s.id) {
			sum[n] += v * float32(int8(w)) //nolint:gosec // stored so
		}
	}
	return sum
}

// softmax turns scores into probabilities.
func softmax(s []float32) {
	top, sum := slices.Max(s), float32(0)
	for n := range s {
		s[n] = float32(math.Exp(float64(s[n] - top)))
		sum += s[n]
	}
	for n := range s {
		s[n] /= sum
	}
}

// likeliest is the greatest of the probabilities that softmax makes of scores.
func likeliest(s []float32) float32 {
	top, sum := slices.Max(s), float32(0)
	for _, score := range s {
		sum += float32(math.Exp(float64(score - top)))
	}
	return 1 / sum
}

// edge stands for the beginning, the end, marks and what patterns took out.
const edge = ' '

// features tells every feature of a text. All digits are alike.
func (r *Recogniser) features(e entities, fs finds, tell func(feature, float32)) {
	symbol := func(f found) uint16 { return uint16(firstConcept + f.concept) } //nolint:gosec // a few hundred concepts
	noConcepts := true
	for n, a := range fs {
		if a.concept == r.noise {
			continue
		}
		noConcepts = false
		tell(featureOf(symbol(a)), ofConcept*a.weight)
		for _, b := range fs[n+1:] {
			if b.concept != r.noise {
				tell(featureOf(symbol(a), symbol(b)), ofPair*a.weight*b.weight)
			}
		}
	}
	if strings.IndexFunc(e.rest, unicode.IsLetter) < 0 {
		if !noConcepts {
			tell(featureOf(edge), ofConcept) // nothing but what patterns took out
		}
		return
	}
	t := append(make([]uint16, 0, len(e.rest)/3+8), edge)
	for _, c := range e.rest {
		switch {
		case c >= firstConcept && c < 0xF900, c > math.MaxUint16:
			continue
		case unicode.IsPunct(c):
			c = edge
		case unicode.IsDigit(c):
			c = '0'
		}
		if symbol := uint16(c); symbol != t[len(t)-1] || c != edge && c != '0' {
			t = append(t, symbol)
		}
	}
	if t[len(t)-1] != edge {
		t = append(t, edge)
	}
	for i, a := range t {
		if a != edge {
			tell(featureOf(a), ofCharacter)
		}
		if i+1 == len(t) {
			break
		}
		b := t[i+1]
		tell(featureOf(a, b), ofRun)
		if b != edge && i+2 < len(t) {
			tell(featureOf(a, b, t[i+2]), ofRun)
		}
		if x, y := r.sounds.of(rune(a)).folded, r.sounds.of(rune(b)).folded; x != 0 && y != 0 {
			tell(featureOf(firstSyllable+x, firstSyllable+y), ofSyllables)
		}
	}
}
