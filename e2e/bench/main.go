// Command bench measures the product beside its peers in one run and prints
// ratios, which say more than figures of one machine: our routes against a bare
// fiber application, our official-account callback against silenceper's, an
// order against a bare durable INSERT, our certificates against bare signatures
// and against step-ca on the same HSM.
//
// The rows alternate in rounds, so that noise of the machine hits all of them;
// the table shows medians. Clients and servers share this process and talk TCP
// over loopback with keep-alive. `make bench` runs it beside private PostgreSQL
// and Redis servers.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/pprof"
	"slices"
	"syscall"
	"time"
)

// options are what the command line says.
type options struct {
	rounds  int
	length  time.Duration
	binary  string
	only    *regexp.Regexp
	profile string
	strict  bool
	stepCA  string
	scale   int
}

var errMissed = errors.New("aims were missed")

func main() {
	o := options{only: regexp.MustCompile("")}
	flag.IntVar(&o.rounds, "rounds", 5, "rounds of every row")
	flag.DurationVar(&o.length, "length", 2*time.Second, "length of a row in a round")
	flag.StringVar(&o.binary, "binary", "bin/yuncaidun", "the product, for start and memory; empty leaves them out")
	flag.StringVar(&o.profile, "cpuprofile", "", "write a CPU profile of the rounds to this file")
	flag.StringVar(&o.stepCA, "step-ca", "", "the program step-ca, which our issuing is compared with; empty leaves it out")
	flag.BoolVar(&o.strict, "strict", false, "exit 1 when an aim is missed")
	flag.Func("only", "measure only rows whose name matches this expression, and no process", func(s string) (err error) {
		o.only, err = regexp.Compile(s)
		o.binary = ""
		return err
	})
	flag.IntVar(&o.scale, "scale", 0, "measure nothing else than what an order costs, and the sweeps and lists among this many orders")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	measure := run
	if o.scale > 0 {
		measure = scale
	}
	switch err := measure(ctx, o, os.Stdout); {
	case errors.Is(err, errMissed) && !o.strict:
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

// run measures everything and prints it to out. Its folder lies beside the sources: a
// disk like the product's, which /tmp need not be.
func run(ctx context.Context, o options, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("bin", "bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	rows, aims, shut, err := open(ctx, dir, o.stepCA)
	defer func() { err = errors.Join(err, shut()) }()
	if err != nil {
		return err
	}
	rows = slices.DeleteFunc(rows, func(r row) bool { return !o.only.MatchString(r.name) })
	measured, err := alternate(ctx, rows, o)
	if err != nil {
		return err
	}
	aims = slices.DeleteFunc(aims, func(a aim) bool { return measured[a.row] == nil || measured[a.than] == nil })
	fmt.Fprintf(out, "\nMedians of %d rounds of %s; %s, %d CPUs. The clients share the CPUs.\n\n", o.rounds, o.length, runtime.Version(), runtime.NumCPU())
	if err := measured.printRows(out, rows); err != nil {
		return err
	}
	verdicts := append(measured.judge(aims), measured.judgeLimits(limitsOf())...)
	if o.binary != "" {
		p, err := measureProcess(ctx, o.binary, dir, o.rounds)
		if err != nil {
			return err
		}
		verdicts = append(verdicts, p.judge()...)
	}
	fmt.Fprintln(out)
	missed, err := printVerdicts(out, verdicts)
	if err != nil || missed == 0 {
		return err
	}
	fmt.Fprintf(out, "\n%d aims MISSED\n", missed)
	return errMissed
}

// alternate measures every row once per round.
func alternate(ctx context.Context, rows []row, o options) (results, error) {
	if o.profile != "" {
		f, err := os.Create(o.profile)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return nil, err
		}
		defer pprof.StopCPUProfile()
	}
	measured := results{}
	for round := range o.rounds {
		fmt.Fprintf(os.Stderr, "round %d of %d\n", round+1, o.rounds)
		for _, r := range rows {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			s, err := r.measure(o.length)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", r.name, err)
			}
			measured[r.name] = append(measured[r.name], s)
		}
	}
	return measured, nil
}

// open builds the worlds and the rows. shut is never nil.
func open(ctx context.Context, dir, stepCA string) (rows []row, aims []aim, shut func() error, err error) {
	var worlds []*world
	shut = func() error {
		var errs []error
		for _, w := range slices.Backward(worlds) {
			errs = append(errs, w.close())
		}
		return errors.Join(errs...)
	}
	lite, err := embedded(ctx, dir)
	if lite != nil {
		worlds = append(worlds, lite)
	}
	if err != nil {
		return nil, nil, shut, fmt.Errorf("SQLite: %w", err)
	}
	dsn, redisURL := os.Getenv("TEST_POSTGRES_DSN"), os.Getenv("TEST_REDIS_URL")
	if dsn == "" || redisURL == "" {
		return nil, nil, shut, errors.New("TEST_POSTGRES_DSN and TEST_REDIS_URL are not set: run `make bench`, which starts the servers")
	}
	big, err := servers(ctx, dir, dsn, redisURL)
	if big != nil {
		worlds = append(worlds, big)
	}
	if err != nil {
		return nil, nil, shut, fmt.Errorf("PostgreSQL: %w", err)
	}
	rows, err = tableOf(ctx, dir, lite, big, stepCA)
	return rows, aimsOf(), shut, err
}
