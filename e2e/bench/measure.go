package main

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// row is one line of the table: something done again and again by several at
// once.
type row struct {
	name string
	// workers is how many do it at once.
	workers int
	// prepare is what a round needs beforehand, off the clock; may be nil. It
	// returns how often the thing can be done, 0 for without end.
	prepare func() (int, error)
	// do does the thing the n-th time (from 0, counted over all workers) in this
	// round. It is called by one goroutine per worker.
	do func(worker, n int) error
	// after ends what prepare began, off the clock; may be nil.
	after func()
}

// sample is one round of a row.
type sample struct {
	rate     float64 // per second
	p50, p99 time.Duration
	cpu      time.Duration // of this process, each time
}

// measure runs a row for d, or until what was prepared is used up.
func (r row) measure(d time.Duration) (sample, error) {
	limit := 0
	if r.after != nil {
		defer r.after()
	}
	if r.prepare != nil {
		var err error
		if limit, err = r.prepare(); err != nil {
			return sample{}, err
		}
	}
	var (
		next  atomic.Int64
		wg    sync.WaitGroup
		mu    sync.Mutex
		all   []time.Duration
		fault error
	)
	runtime.GC() // nobody pays for the row before, or for what was prepared
	before := cpuTime()
	start := now()
	end := start.Add(d)
	for w := range r.workers {
		wg.Go(func() {
			took := make([]time.Duration, 0, 1<<14)
			var err error
			for t := start; err == nil && t.Before(end); {
				n := int(next.Add(1) - 1)
				if limit > 0 && n >= limit {
					break
				}
				err = r.do(w, n)
				done := now()
				took = append(took, done.Sub(t))
				t = done
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, took...)
			if err != nil {
				fault = err
			}
		})
	}
	wg.Wait()
	elapsed, cpu := now().Sub(start), cpuTime()-before
	if fault != nil {
		return sample{}, fault
	}
	slices.Sort(all)
	return sample{float64(len(all)) / elapsed.Seconds(), percentile(all, 50), percentile(all, 99), cpu / time.Duration(max(1, len(all)))}, nil
}

// cpuTime is what this process has used so far.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// percentile is the smallest of the sorted values that p percent do not exceed.
func percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(0, (len(sorted)*p+99)/100-1)]
}

// median of an odd or even number of values; the values are reordered.
func median[T ~int64 | ~float64](values []T) T {
	slices.Sort(values)
	n := len(values)
	if n == 0 {
		return 0
	}
	return (values[(n-1)/2] + values[n/2]) / 2
}
