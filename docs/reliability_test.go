package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	barRow    = regexp.MustCompile(`(?m)^\| (\d+) \|.*$`)
	namedTest = regexp.MustCompile("`([a-z0-9/]+)\\.((?:Test|Fuzz)\\w+)`")
)

// Each of the thirty bars has its row in reliability.md, and every test that a row
// names is there.
func TestReliabilityNamesTests(t *testing.T) {
	page, err := os.ReadFile("reliability.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := barRow.FindAllStringSubmatch(string(page), -1)
	if len(rows) != 30 {
		t.Errorf("%d rows", len(rows))
	}
	for n, row := range rows {
		if row[1] != fmt.Sprint(n+1) {
			t.Errorf("row %d is bar %s", n+1, row[1])
		}
		tests := namedTest.FindAllStringSubmatch(row[0], -1)
		if len(tests) == 0 {
			t.Errorf("bar %s names no test", row[1])
		}
		for _, named := range tests {
			if !declares(t, filepath.Join("..", filepath.FromSlash(named[1])), "func "+named[2]+"(") {
				t.Errorf("bar %s: there is no %s in %s", row[1], named[2], named[1])
			}
		}
	}
}

func declares(t *testing.T, dir, what string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(content), "\n"+what) {
			return true
		}
	}
	return false
}
