package intent

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

const (
	epochs   = 15
	stepSize = 0.6
	decay    = 2e-4
	// rare features, in fewer lines than this, are left out.
	rare = 3
	// dropped is the share of a line's features that it is learnt without, others each
	// time, so that no meaning rests on one of them; a line of few features keeps them.
	dropped = 0.4
	few     = 20
)

// line is a sentence of a set: what it says, what it means, and the way it is written.
type line struct {
	text   string
	intent Intent
	slots  Slots
	way    string // set/way
	shows  []shown
}

// readLines reads the sets that match the patterns.
func readLines(t testing.TB, patterns ...string) (lines []line) {
	t.Helper()
	for _, pattern := range patterns {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			set := strings.TrimSuffix(filepath.Base(file), ".tsv")
			for row := range dataLines(string(text)) {
				f := strings.Split(row, "\t")
				if len(f) < 2 || !slices.Contains(All(), Intent(f[1])) {
					t.Fatalf("%s: no intent in %q", file, row)
				}
				l := line{text: f[0], intent: Intent(f[1]), way: set, slots: Slots{}}
				if len(f) > 2 && f[2] != "" {
					if l.slots, err = readSlots(f[2]); err != nil {
						t.Fatalf("%s: %q: %v", file, row, err)
					}
				}
				if len(f) > 3 {
					l.way += "/" + f[3]
				}
				lines = append(lines, l)
			}
		}
	}
	return lines
}

// trainer learns weights from lines, in an order and with gaps that look random and are
// always the same: AdaGrad on the log-likelihood. Products are rounded before they are added, so
// that every machine comes to the same weights.
type trainer struct {
	r     *Recogniser
	lines []line
}

// newTrainer numbers the features of lines that more than one of them has.
func newTrainer(t testing.TB, lines []line) *trainer {
	t.Helper()
	base, err := compile()
	if err != nil {
		t.Fatal(err)
	}
	r := *base
	tr := &trainer{&r, lines}
	seen, last := map[feature]int{}, map[feature]int{}
	read := func(l *line) entities {
		return extract(r.plain(string(shorten([]rune(normalise(l.text))))))
	}
	var keys []feature
	for i := range lines {
		e := read(&lines[i])
		r.features(e, r.look(e), func(f feature, _ float32) {
			if last[f] == i+1 {
				return
			}
			last[f] = i + 1
			if seen[f]++; seen[f] == rare {
				keys = append(keys, f)
			}
		})
	}
	slices.Sort(keys)
	r.model = &model{intents: All(), ids: map[feature]int32{}}
	for id, f := range keys {
		r.model.ids[f] = int32(id)
		r.model.keys = binary.LittleEndian.AppendUint64(r.model.keys, uint64(f))
	}
	for i := range lines {
		e := read(&lines[i])
		lines[i].shows, _ = r.shows(e, r.look(e))
	}
	return tr
}

// train returns a recogniser that has learnt the lines that learn says. The race detector
// is not asked about its steps, which are billions and touch nothing that others write.
//
//go:norace
func (tr *trainer) train(learn func(*line) bool) *Recogniser {
	r := *tr.r
	m := *r.model
	r.model = &m
	n := len(m.intents)
	weights := make([]float32, len(m.ids)*n)
	squares := make([]float32, len(weights))
	wrong := make([]float32, n)
	var lines []*line
	for i := range tr.lines {
		if l := &tr.lines[i]; learn(l) {
			lines = append(lines, l)
		}
	}
	const stride = 7919 // prime, so that it visits every line
	random := rand.New(rand.NewPCG(1, 2))
	var shows []shown
	for epoch := range epochs {
		for k := range lines {
			l := lines[(k*stride+epoch)%len(lines)]
			clear(wrong)
			shows = shows[:0]
			for _, s := range l.shows {
				if len(l.shows) > few {
					if random.Float64() < dropped {
						continue
					}
					s.value /= 1 - dropped
				}
				shows = append(shows, s)
			}
			for _, s := range shows {
				for i, w := range weights[int(s.id)*n : int(s.id+1)*n] {
					wrong[i] += float32(w * s.value)
				}
			}
			softmax(wrong)
			wrong[slices.Index(m.intents, l.intent)]--
			for _, s := range shows {
				row, sums := weights[int(s.id)*n:int(s.id+1)*n], squares[int(s.id)*n:int(s.id+1)*n]
				for i, w := range wrong {
					if w < 1e-3 && w > -1e-3 {
						continue
					}
					g := float32(w*s.value) + float32(decay*row[i])
					sums[i] += float32(g * g)
					row[i] -= float32(stepSize * g / float32(math.Sqrt(float64(sums[i])+1e-6)))
				}
			}
		}
	}
	m.weights = make([]byte, len(weights))
	for i, w := range weights {
		m.weights[i] = byte(int8(max(-127, min(127, math.RoundToEven(float64(w/step))))))
	}
	return &r
}

// file is weights.bin.
func (m *model) file() []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(m.ids)))
	return append(append(b, m.keys...), m.weights...)
}

// learnt are the sets that weights.bin is trained on.
var learnt = []string{"examples/*.tsv", "testdata/heldout.tsv", "testdata/ways-[a-z].tsv", "testdata/ways-z[abcef].tsv"}

var (
	readLearnt    sync.Once
	learntTrainer *trainer
)

// ofLearnt is the trainer of what is learnt: it has the same features for every test.
func ofLearnt(t *testing.T) *trainer {
	t.Helper()
	readLearnt.Do(func() { learntTrainer = newTrainer(t, readLines(t, learnt...)) })
	if learntTrainer == nil {
		t.Fatal("another test could not read what is learnt")
	}
	return learntTrainer
}

// TestWeights keeps weights.bin in step with the examples.
func TestWeights(t *testing.T) {
	file := ofLearnt(t).train(func(*line) bool { return true }).model.file()
	if *update {
		if err := os.WriteFile("weights.bin", file, 0o600); err != nil {
			t.Fatal(err)
		}
	} else if !bytes.Equal(file, weightsFile) {
		t.Error("weights.bin is not what the examples teach: go test ./bot/intent -run Weights -update")
	}
}

// right counts the lines that a recogniser understands, and whose slots it finds.
func right(r *Recogniser, lines []line, of func(*line) bool) (n, intents, slots int) {
	for i := range lines {
		l := &lines[i]
		if !of(l) {
			continue
		}
		got := r.Recognise(l.text)
		n++
		if got.Intent == l.intent {
			intents++
		}
		if maps.Equal(got.Slots, l.slots) {
			slots++
		}
	}
	return n, intents, slots
}

// TestUnseen: what has learnt everything but the sets of one writer understands them,
// so that the accuracy on them is not mere memory. With -update it also leaves out one
// way of writing after the other, for docs/bot.md.
func TestUnseen(t *testing.T) {
	tr := ofLearnt(t)
	var writers sync.WaitGroup
	for _, writer := range []string{"ways-f ways-g", "ways-h", "ways-i", "ways-j", "ways-k ways-l", "ways-m", "ways-o"} {
		writers.Go(func() {
			of := func(l *line) bool { return strings.Contains(writer, strings.SplitN(l.way, "/", 2)[0]) }
			r := tr.train(func(l *line) bool { return !of(l) })
			if n, intents, slots := right(r, tr.lines, of); n == 0 || float64(intents) < 0.96*float64(n) || float64(slots) < 0.95*float64(n) {
				t.Errorf("%s: of %d unseen sentences %d intents and %d slots are right", writer, n, intents, slots)
			}
		})
	}
	writers.Wait()
	if !*update {
		return
	}
	var b strings.Builder
	b.WriteString("way\tsentences\tintents\tslots\n")
	done := map[string]bool{}
	for i := range tr.lines {
		way := tr.lines[i].way
		if done[way] || !strings.Contains(way, "/") && way != "heldout" {
			continue
		}
		done[way] = true
		of := func(l *line) bool { return l.way == way }
		n, intents, slots := right(tr.train(func(l *line) bool { return !of(l) }), tr.lines, of)
		fmt.Fprintf(&b, "%s\t%d\t%.3f\t%.3f\n", way, n, float64(intents)/float64(n), float64(slots)/float64(n))
	}
	if err := os.WriteFile(crossValidated, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

const crossValidated = "testdata/unseen.tsv"
