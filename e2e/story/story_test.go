package story

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"
)

// The search for personal data finds what is there, also behind zero bytes.
func TestFilesWith(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"db-wal": "\x00\xff17700007069\x00", "clean": "177****7069", "playground/sms": "17700007069"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	found, err := filesWith(dir, []string{"17700007069"})
	if want := []string{filepath.Join(dir, "db-wal") + " holds 17700007069"}; err != nil || !cmp.Equal(found, want) {
		t.Errorf("found %v, %v; want %v", found, err, want)
	}
}

// A missing, a repeated and a foreign notice are all seen.
func TestSame(t *testing.T) {
	a, b := notice{"a", "shipped"}, notice{"b", "shipped"}
	for _, tt := range []struct {
		name      string
		want, got []notice
		same      bool
	}{
		{"each once, in any order", []notice{a, b}, []notice{{"b", "it is shipped"}, a}, true},
		{"one missing", []notice{a, b}, []notice{a}, false},
		{"one twice", []notice{a}, []notice{a, a}, false},
		{"one that nobody expected", []notice{a}, []notice{a, b}, false},
		{"the other person's", []notice{a}, []notice{b}, false},
	} {
		if got := same(tt.want, tt.got); got != tt.same {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

// A form is sent as a browser sends it.
func TestFormOf(t *testing.T) {
	root, err := html.Parse(strings.NewReader(`<form action="/x"><input name="a" value="1"><input name="gone" disabled value="2">
		<input type="radio" name="r" value="x"><input type="radio" name="r" value="y" checked><input type="checkbox" name="c" value="on">
		<select name="s"><option value="">-</option><option value="2" selected>two</option></select><textarea name="t">text</textarea>
		<input type="file" name="f"><button name="do" value="save">save</button></form>`))
	if err != nil {
		t.Fatal(err)
	}
	p := &Page{URL: &url.URL{Path: "/"}, root: root}
	f, err := p.Form("/x", "a=1")
	want := url.Values{"a": {"1"}, "r": {"y"}, "s": {"2"}, "t": {"text"}}
	if err != nil || !cmp.Equal(f.Values, want) {
		t.Errorf("form %v, %v; want %v", f.Values, err, want)
	}
	if _, err := p.Form("/x", "a=2"); err == nil {
		t.Error("a form with another value was found")
	}
}
