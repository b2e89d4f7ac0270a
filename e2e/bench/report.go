package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// aim is how the rate of one row must compare with that of another.
type aim struct {
	row, than string
	least     float64 // 0 is shown and not judged
}

// results are the rounds of every row, by name.
type results map[string][]sample

// ratio is the median over the rounds of a row's rate divided by another's. The
// two of one round are neighbours in time, so that noise of the machine hits both.
func (r results) ratio(row, than string) float64 {
	var ratios []float64
	for i, s := range r[row] {
		if than := r[than][i].rate; than > 0 {
			ratios = append(ratios, s.rate/than)
		}
	}
	return median(ratios)
}

func (r results) of(row string, value func(sample) time.Duration) time.Duration {
	var values []time.Duration
	for _, s := range r[row] {
		values = append(values, value(s))
	}
	return median(values)
}

func (r results) rate(row string) float64 {
	var values []float64
	for _, s := range r[row] {
		values = append(values, s.rate)
	}
	return median(values)
}

// printRows prints the medians of each row in order.
func (r results) printRows(w io.Writer, rows []row) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "what\tat once\tper second\tp50\tp99\tCPU\t")
	for _, row := range rows {
		fmt.Fprintf(t, "%s\t%d\t%.0f\t%s\t%s\t%d µs\t\n", row.name, row.workers, r.rate(row.name),
			milliseconds(r.of(row.name, func(s sample) time.Duration { return s.p50 })),
			milliseconds(r.of(row.name, func(s sample) time.Duration { return s.p99 })),
			r.of(row.name, func(s sample) time.Duration { return s.cpu }).Microseconds())
	}
	return t.Flush()
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
}

// verdict is one line of the judgement.
type verdict struct {
	what, value, aim string
	judged, met      bool
}

// judge compares the ratios with their aims.
func (r results) judge(aims []aim) []verdict {
	var out []verdict
	for _, a := range aims {
		ratio := r.ratio(a.row, a.than)
		v := verdict{what: a.row + " / " + a.than, value: fmt.Sprintf("%.3f", ratio)}
		if a.least > 0 {
			v.judged, v.met, v.aim = true, ratio >= a.least, fmt.Sprintf("≥ %.2f", a.least)
		}
		out = append(out, v)
	}
	return out
}

// limit is what a row must reach by itself; with than, twice the p99 of that row is
// enough, too.
type limit struct {
	row  string
	rate float64
	p99  time.Duration
	than string
}

// judgeLimits compares rows that were measured with their limits.
func (r results) judgeLimits(limits []limit) []verdict {
	var out []verdict
	for _, l := range limits {
		if len(r[l.row]) == 0 {
			continue
		}
		late := func(s sample) time.Duration { return s.p99 }
		rate, p99 := r.rate(l.row), r.of(l.row, late)
		if len(r[l.than]) > 0 {
			l.p99 = max(l.p99, 2*r.of(l.than, late))
		}
		if l.rate > 0 {
			out = append(out, verdict{l.row + ", per second", fmt.Sprintf("%.0f", rate), fmt.Sprintf("≥ %.0f", l.rate), true, rate >= l.rate})
		}
		out = append(out, verdict{l.row + ", p99", milliseconds(p99), "< " + milliseconds(l.p99), true, p99 < l.p99})
	}
	return out
}

// judge compares the process with its aims.
func (p process) judge() []verdict {
	return []verdict{
		{"start to ready on existing data", fmt.Sprintf("%.2f s", p.ready.Seconds()), "< 2 s", true, p.ready < 2*time.Second},
		{"idle memory (RSS)", fmt.Sprintf("%.0f MiB", float64(p.idle)/(1<<20)), "< 120 MiB", true, p.idle < 120<<20},
	}
}

// printVerdicts prints the judgement and returns how many aims were missed.
func printVerdicts(w io.Writer, verdicts []verdict) (missed int, err error) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "compared\tfigure\taim\t\t")
	for _, v := range verdicts {
		word := ""
		switch {
		case v.judged && v.met:
			word = "met"
		case v.judged:
			word = "MISSED"
			missed++
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t\n", v.what, v.value, v.aim, word)
	}
	return missed, t.Flush()
}
