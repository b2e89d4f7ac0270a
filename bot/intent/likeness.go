package intent

import (
	"embed"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strings"
	"unicode"
)

// Rules know what they know; examples know how people say it. Likeness is a
// maximum-entropy classifier over what a text shows: its concepts, pairs of them,
// and runs of up to three characters. It learns examples/*.tsv when the program
// starts, in a fifth of a second, so that there is no file of numbers that nobody
// can read.

//go:embed examples/*.tsv
var examples embed.FS

const (
	epochs   = 10
	stepSize = 0.6
	decay    = 3e-4
	// What features count before a text's are scaled to length 1.
	ofConcept, ofPair, ofCharacter, ofRun = 1.6, 0.8, 0.5, 1
)

// likeness holds a weight for each feature and intent.
type likeness struct {
	intents []Intent
	ids     map[feature]int32
	weights []float32 // feature × intent
}

// feature is a concept (b = 0), a pair of concepts (both negative, so that they
// are no characters), or a run of one to three characters.
type feature struct{ a, b, c rune }

func conceptFeature(a, b int) feature { return feature{a: rune(-1 - a), b: rune(-b)} } //nolint:gosec // a few hundred

func (r *Recogniser) describe(f feature) string {
	if f.a >= 0 {
		return strings.ReplaceAll(strings.Trim(string([]rune{f.a, f.b, f.c}), "\x00"), " ", "_")
	}
	s := "#" + r.concepts[-1-f.a]
	if f.b != 0 {
		s += "+#" + r.concepts[-f.b]
	}
	return s
}

// shown is a feature that the examples have too, and how much of the text it is.
type shown struct {
	feature
	id    int32
	value float32
}

// example is one line of examples/*.tsv.
type example struct {
	intent int
	shows  []shown
}

func (r *Recogniser) learn(files fs.FS) error {
	r.likeness = &likeness{intents: All(), ids: map[feature]int32{}}
	names, err := fs.Glob(files, "examples/*.tsv")
	if err != nil {
		return fmt.Errorf("examples: %w", err)
	}
	var lines []example
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return fmt.Errorf("examples: %w", err)
		}
		for line := range dataLines(string(text)) {
			x, err := r.readExample(line)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if x.shows != nil {
				lines = append(lines, x)
			}
		}
	}
	r.likeness.train(lines)
	return nil
}

func (r *Recogniser) readExample(line string) (example, error) {
	f := strings.Split(line, "\t")
	if len(f) < 2 {
		return example{}, fmt.Errorf("no intent in %q", line)
	}
	i := slices.Index(r.likeness.intents, Intent(f[1]))
	if i < 0 {
		return example{}, fmt.Errorf("no such intent in %q", line)
	}
	e := extract(r.asHeard(r.other.plain(normalise(f[0]))))
	if leaked(f[0], e) != "" {
		return example{}, nil // the secret makes the alert, not the words around it
	}
	ids := r.likeness.ids
	for _, x := range r.features(e, r.look(e)) {
		if _, ok := ids[x.feature]; !ok {
			ids[x.feature] = int32(len(ids)) //nolint:gosec // some ten thousand
		}
	}
	shows, _ := r.shows(e, r.look(e))
	return example{i, shows}, nil
}

// train is AdaGrad on the log-likelihood, in an order that looks shuffled and
// is always the same.
func (l *likeness) train(lines []example) {
	l.weights = make([]float32, len(l.ids)*len(l.intents))
	squares := make([]float32, len(l.weights))
	wrong := make([]float32, len(l.intents))
	const stride = 7919 // prime, so that it visits every line
	for epoch := range epochs {
		for k := range lines {
			x := &lines[(k*stride+epoch)%len(lines)]
			l.score(x.shows, wrong)
			softmax(wrong)
			wrong[x.intent]--
			for _, s := range x.shows {
				weights, sums := l.row(l.weights, s.id), l.row(squares, s.id)
				for n, w := range wrong {
					if w < 1e-3 && w > -1e-3 {
						continue
					}
					g := w*s.value + decay*weights[n]
					sums[n] += g * g
					weights[n] -= stepSize * g / float32(math.Sqrt(float64(sums[n])+1e-6))
				}
			}
		}
	}
}

func (l *likeness) row(of []float32, id int32) []float32 {
	n := len(l.intents)
	return of[int(id)*n : int(id+1)*n]
}

// score adds up what the features say for each intent, in nats.
func (l *likeness) score(shows []shown, into []float32) {
	clear(into)
	for _, s := range shows {
		for n, w := range l.row(l.weights, s.id) {
			into[n] += w * s.value
		}
	}
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

// shows lists the features of a text that the examples have, scaled to length 1,
// and how much of the text they are.
func (r *Recogniser) shows(e entities, f *found) (known []shown, share float32) {
	all := r.features(e, f)
	var total, ours float32
	for _, s := range all {
		total += s.value * s.value
		id, ok := r.likeness.ids[s.feature]
		if !ok {
			continue
		}
		s.id = id
		ours += s.value * s.value
		known = append(known, s)
	}
	if total == 0 {
		return nil, 0
	}
	scale := float32(1 / math.Sqrt(float64(total)))
	for n := range known {
		known[n].value *= scale
	}
	return known, ours / total
}

// features lists every feature of a text, each once. All digits are alike.
func (r *Recogniser) features(e entities, f *found) []shown {
	all := make([]shown, 0, 4*len(e.rest)/3+16)
	seen := make(map[feature]struct{}, cap(all))
	add := func(f feature, value float32) {
		if _, again := seen[f]; !again {
			seen[f] = struct{}{}
			all = append(all, shown{feature: f, value: value})
		}
	}
	var concepts []int
	for c, w := range f.weight {
		if w > 0 && c != r.noise {
			concepts = append(concepts, c)
		}
	}
	for n, a := range concepts {
		add(conceptFeature(a, 0), ofConcept)
		for _, b := range concepts[n+1:] {
			add(conceptFeature(a, b), ofPair)
		}
	}
	if strings.IndexFunc(e.rest, unicode.IsLetter) < 0 {
		return all // digits and marks are like anything
	}
	const edge = ' '
	before, last := rune(0), rune(edge)
	for _, c := range e.rest + string(edge) {
		switch {
		case c == edge && last == edge:
			continue
		case unicode.IsDigit(c):
			c = '0'
		}
		if c != edge {
			add(feature{c, 0, 0}, ofCharacter)
		}
		add(feature{last, c, 0}, ofRun)
		if before != 0 {
			add(feature{before, last, c}, ofRun)
		}
		before, last = last, c
	}
	return all
}
