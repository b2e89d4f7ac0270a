package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// clock is the product's time. In development the playground moves it ahead;
// the offset is kept beside the data, since orders already carry later times.
type clock struct {
	offset atomic.Int64 // nanoseconds
	file   string       // empty: the clock does not move
}

// openClock returns the machine's clock, moved by what dir remembers; without
// dir it never moves.
func openClock(dir string) (*clock, error) {
	c := &clock{}
	if dir == "" {
		return c, nil
	}
	c.file = filepath.Join(dir, "clock-offset")
	b, err := os.ReadFile(c.file)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, err
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("%s must hold the clock's offset in nanoseconds, delete it to begin at the present time: %w", c.file, err)
	}
	c.offset.Store(n)
	return c, nil
}

// Now is the product's time.
func (c *clock) Now() time.Time { return time.Now().Add(time.Duration(c.offset.Load())) }

// Advance moves the clock ahead and remembers it.
func (c *clock) Advance(d time.Duration) error {
	n := c.offset.Add(int64(d))
	return replace(c.file, []byte(strconv.FormatInt(n, 10)))
}

// fixed is the clock with the offset it has now; later advances do not move it.
func (c *clock) fixed() func() time.Time {
	offset := time.Duration(c.offset.Load())
	return func() time.Time { return time.Now().Add(offset) }
}
