package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/yuncaidun/yuncaidun/e2e/story"
)

// The help of the demonstration lists every story with what it is about, one on a line;
// no other page lists them, so that none can be out of date.
func TestDemoHelpListsTheStories(t *testing.T) {
	var c cli
	var out bytes.Buffer
	parser, err := kong.New(&c, kong.Name("yuncaidun"), kong.Writers(&out, &out), kong.Exit(func(int) {}))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = parser.Parse([]string{"demo", "--help"}) // goes on after what would have been the exit
	lines := strings.Split(out.String(), "\n")
	for _, name := range story.Names() {
		found := false
		for _, l := range lines {
			words := strings.Fields(l)
			found = found || len(words) > 3 && words[0] == name
		}
		if !found {
			t.Errorf("%s is not listed in\n%s", name, out.String())
		}
	}
	for _, page := range []string{"README.md", "Makefile"} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "paid-twice") {
			t.Errorf("%s lists stories: the program's own help is the list", page)
		}
	}
}
