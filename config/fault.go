package config

import (
	"fmt"
	"strings"
)

// Fault is one thing wrong with the configuration.
type Fault struct {
	Name    string // the environment variable, or the key of the file
	Problem string // what is wrong and what to do
}

// Faults is every fault found; main prints it and exits 2.
type Faults []Fault

func (fs Faults) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "configuration: %d fault", len(fs))
	if len(fs) > 1 {
		b.WriteByte('s')
	}
	for _, f := range fs {
		fmt.Fprintf(&b, "\n  %s: %s", f.Name, f.Problem)
	}
	return b.String()
}

func (fs *Faults) add(name, format string, args ...any) {
	*fs = append(*fs, Fault{name, fmt.Sprintf(format, args...)})
}

// err is nil when nothing was found, so that callers can compare with nil.
func (fs Faults) err() error {
	if len(fs) == 0 {
		return nil
	}
	return fs
}
