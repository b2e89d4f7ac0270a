package intent

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"strings"
)

// Eval measures the recogniser on lines of utterance<TAB>intent<TAB>slots-JSON
// (a header and lines that begin with "# " are skipped, further columns are ignored). It prints each wrong intent
// as line<TAB>utterance<TAB>want<TAB>got, then the slots and the accuracy. A line
// that is not of that form is an error.
func Eval(in io.Reader, out io.Writer) error {
	m, err := measured(in)
	if err != nil {
		return err
	}
	for _, w := range m.wrong {
		if _, err := fmt.Fprintf(out, "%d\t%s\t%s\t%s\n", w.line, w.utterance, w.want, w.got); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(out, "slots %s\naccuracy %s\n", ratio(m.slots, m.n), ratio(m.intents, m.n))
	return err
}

// measurement is how many of n lines have the right intent, and the right slots.
type measurement struct {
	n, intents, slots int
	wrong             []mistake
}

type mistake struct {
	line                 int
	utterance, want, got string
}

func measured(in io.Reader) (m measurement, err error) {
	r, err := New()
	if err != nil {
		return m, err
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for no := 1; lines.Scan(); no++ {
		line := strings.TrimSuffix(strings.TrimPrefix(lines.Text(), "\uFEFF"), "\r")
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "# ") || no == 1 && strings.HasPrefix(line, "utterance\tintent") {
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) < 2 {
			return m, fmt.Errorf("line %d: want utterance, intent and slots, separated by tabs", no)
		}
		want := Slots{}
		if len(f) > 2 && strings.TrimSpace(f[2]) != "" {
			if want, err = readSlots(f[2]); err != nil {
				return m, fmt.Errorf("line %d: slots: %w", no, err)
			}
		}
		got := r.Recognise(f[0])
		m.n++
		if string(got.Intent) == f[1] {
			m.intents++
		} else {
			m.wrong = append(m.wrong, mistake{no, f[0], f[1], string(got.Intent)})
		}
		if maps.Equal(got.Slots, want) {
			m.slots++
		}
	}
	return m, lines.Err()
}

func ratio(k, n int) string {
	if n == 0 {
		return "0.000 (0/0)"
	}
	return fmt.Sprintf("%.3f (%d/%d)", float64(k)/float64(n), k, n)
}

// readSlots reads a JSON object; numbers are as good as strings.
func readSlots(s string) (Slots, error) {
	var m map[Slot]any
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	if err := d.Decode(&m); err != nil {
		return nil, err
	}
	slots := Slots{}
	for k, v := range m {
		slots[k] = fmt.Sprint(v)
	}
	return slots, nil
}
