package sim

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// journal is the simulator's memory between runs: one JSON line per row written, the last one of a key counts.
// Opening compacts it. Without a directory it keeps nothing.
type journal struct {
	file   *os.File
	load   map[string]func(key string, row json.RawMessage) error
	dump   []func(write func(kind, key string, row any))
	failed error // the first failed write; reported once by the server
}

type journalLine struct {
	Kind string          `json:"kind"`
	Key  string          `json:"key"`
	Row  json.RawMessage `json:"row"`
}

// table is one kind of row by key, in the order of first arrival. The server's lock guards it.
type table[T any] struct {
	rows  map[string]T
	keys  []string
	write func(key string, row T)
}

// newTable registers a kind with the journal.
func newTable[T any](j *journal, kind string) *table[T] {
	t := &table[T]{rows: map[string]T{}}
	j.load[kind] = func(key string, raw json.RawMessage) error {
		var row T
		if err := json.Unmarshal(raw, &row); err != nil {
			return err
		}
		t.set(key, row)
		return nil
	}
	j.dump = append(j.dump, func(write func(kind, key string, row any)) {
		for _, key := range t.keys {
			write(kind, key, t.rows[key])
		}
	})
	t.write = func(key string, row T) { j.append(kind, key, row) }
	return t
}

func (t *table[T]) set(key string, row T) {
	if _, known := t.rows[key]; !known {
		t.keys = append(t.keys, key)
	}
	t.rows[key] = row
}

// put inserts or replaces a row and writes it down.
func (t *table[T]) put(key string, row T) {
	t.set(key, row)
	t.write(key, row)
}

func (t *table[T]) get(key string) (T, bool) {
	row, ok := t.rows[key]
	return row, ok
}

// find returns the rows that match, oldest first.
func (t *table[T]) find(match func(T) bool) []T {
	found := []T{}
	for _, key := range t.keys {
		if row := t.rows[key]; match == nil || match(row) {
			found = append(found, row)
		}
	}
	return found
}

// newest returns the rows that match, newest first; limit 0 means all.
func (t *table[T]) newest(limit int, match func(T) bool) []T {
	found := []T{}
	for _, key := range slices.Backward(t.keys) {
		if row := t.rows[key]; match == nil || match(row) {
			found = append(found, row)
		}
		if limit > 0 && len(found) == limit {
			break
		}
	}
	return found
}

// keep forgets all but the newest n rows in memory; the next opening forgets them on disk.
func (t *table[T]) keep(n int) {
	for len(t.keys) > n {
		delete(t.rows, t.keys[0])
		t.keys = t.keys[1:]
	}
}

func newJournal() *journal {
	return &journal{load: map[string]func(string, json.RawMessage) error{}}
}

// open reads what an earlier run left in dir, compacts it, and appends from then on.
func (j *journal) open(dir string) error {
	if dir == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	path := filepath.Join(dir, "sim.jsonl")
	if err := j.read(path); err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}

	fresh, err := os.OpenFile(path+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC|os.O_APPEND, 0o600) //nolint:gosec // the configured data folder
	if err != nil {
		return err
	}
	j.file = fresh
	for _, dump := range j.dump {
		dump(func(kind, key string, row any) { j.append(kind, key, row) })
	}
	if j.failed != nil {
		return j.failed
	}
	return os.Rename(path+".new", path)
}

func (j *journal) read(path string) error {
	data, err := os.ReadFile(path) //nolint:gosec // the configured data folder
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, len(data)+1)
	for lines.Scan() {
		var line journalLine
		if json.Unmarshal(lines.Bytes(), &line) != nil {
			continue // the torn last line of a killed run
		}
		if load := j.load[line.Kind]; load != nil {
			if err := load(line.Key, line.Row); err != nil {
				return fmt.Errorf("%s %s: %w", line.Kind, line.Key, err)
			}
		}
	}
	return lines.Err()
}

func (j *journal) append(kind, key string, row any) {
	if j.file == nil || j.failed != nil {
		return
	}
	raw, err := json.Marshal(row)
	if err == nil {
		raw, err = json.Marshal(journalLine{Kind: kind, Key: key, Row: raw})
	}
	if err == nil {
		_, err = j.file.Write(append(raw, '\n'))
	}
	j.failed = err
}

// close may be called again.
func (j *journal) close() error {
	if j.file == nil {
		return j.failed
	}
	err := errors.Join(j.failed, j.file.Close())
	j.file = nil
	return err
}
