package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The clock stays moved over a restart, and a file that says nothing is named.
func TestClockIsRemembered(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		c, err := openClock(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Advance(24 * time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	c, err := openClock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if ahead := time.Until(c.Now()).Round(time.Hour); ahead != 48*time.Hour {
		t.Errorf("the clock is %s ahead", ahead)
	}
	file := filepath.Join(dir, "clock-offset")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openClock(dir); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("an empty file: %v", err)
	}
}
