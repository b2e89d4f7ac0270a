package handlers

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"golang.org/x/net/html"

	"github.com/yuncaidun/yuncaidun/templates"
	"github.com/yuncaidun/yuncaidun/templates/axe"
)

// Every page that any test here is answered with is looked at by axe-core in Chromium,
// 375 px wide with its stylesheet and scripts, when the test ends: what a new test
// opens is looked at too. Only pages are that bring an element which no earlier page
// had, which are few.

func TestMain(m *testing.M) {
	code := m.Run()
	readers.close()
	os.Exit(code)
}

// readers looks at pages.
var readers = &reading{seen: map[string]bool{}}

type reading struct {
	mu    sync.Mutex
	seen  map[string]bool // elements, and orders of headings
	pages sync.Map        // what is shown, by path
	spent time.Duration
	count int

	once  sync.Once
	rules *axe.Rules
	err   error
	tab   context.Context //nolint:containedctx // chromedp keeps a tab in one
	base  string
	ends  []func()
}

// sighting is a page to look at.
type sighting struct{ name, page string }

// saw notes an answer of a test if it is a page with something new in it, to be
// looked at when the test ends.
func (r *reading) saw(t testing.TB, request string, a answer) (sighting, bool) {
	if _, ok := t.(*testing.T); !ok {
		return sighting{}, false
	}
	if _, err := os.Stat("../templates/" + axe.Script); err != nil {
		return sighting{}, false // TestUnreadablePage says so
	}
	if !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") || !strings.Contains(a.Body, "<html") {
		return sighting{}, false
	}
	doc, err := html.Parse(strings.NewReader(a.Body))
	must(t, err)
	r.mu.Lock()
	defer r.mu.Unlock()
	news := false
	headings := ""
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if len(n.Data) == 2 && n.Data[0] == 'h' && n.Data != "hr" && !strings.HasSuffix(headings, n.Data) {
			headings += n.Data
		}
		if sort := elementOf(n.Parent) + ">" + elementOf(n); !r.seen[sort] {
			r.seen[sort], news = true, true
		}
	}
	if !r.seen[headings] {
		r.seen[headings], news = true, true
	}
	return sighting{request, a.Body}, news
}

// elementOf is what a rule may mind of an element.
func elementOf(n *html.Node) string {
	e := n.Data
	for _, a := range n.Attr {
		switch {
		case slices.Contains([]string{"class", "role", "type"}, a.Key):
			e += " " + a.Key + "=" + a.Val
		case slices.Contains([]string{"alt", "for", "id", "title", "tabindex", "disabled"}, a.Key), strings.HasPrefix(a.Key, "aria-"):
			e += " " + a.Key
		}
	}
	return e
}

// look reports what is wrong with a page.
func (r *reading) look(t testing.TB, s sighting) {
	t.Helper()
	r.once.Do(r.start)
	must(t, r.err)
	if faults := r.faults(t, s.page); len(faults) > 0 {
		t.Errorf("%s is not accessible:%s", s.name, axe.Report(faults))
	}
}

func (r *reading) faults(t testing.TB, page string) []axe.Fault {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	began := time.Now()
	path := fmt.Sprintf("/page/%d", r.count)
	r.pages.Store(path, page)
	tab, cancel := context.WithTimeout(r.tab, time.Minute)
	defer cancel()
	must(t, chromedp.Do(tab, chromedp.Navigate(r.base+path)))
	faults, err := r.rules.Faults(tab)
	must(t, err)
	r.spent += time.Since(began)
	r.count++
	return faults
}

// start serves the pages and opens Chromium.
func (r *reading) start() {
	if r.rules, r.err = axe.Load("../templates"); r.err != nil {
		return
	}
	files, err := loadAssets(templates.Static())
	if err != nil {
		r.err = err
		return
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		page, isPage := r.pages.Load(q.URL.Path)
		file, isFile := files.files[q.URL.Path]
		switch {
		case isPage:
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = io.WriteString(w, page.(string))
		case isFile:
			w.Header().Set("Content-Type", file.kind)
			_, _ = w.Write(file.body)
		default:
			w.WriteHeader(http.StatusNoContent) // what the page's scripts ask for changes nothing
		}
	}))
	r.base = server.URL
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), still...)
	r.tab, _ = chromedp.NewContext(ctx)
	r.ends = append(r.ends, cancel, server.Close)
	r.err = chromedp.Do(r.tab, chromedp.EmulateViewport(375, 800))
}

func (r *reading) close() {
	for _, end := range r.ends {
		end()
	}
	if r.count > 0 {
		fmt.Printf("axe-core looked at %d pages in %s\n", r.count, r.spent)
	}
}

// A page with known faults is found out, also in what is folded and in its dialogs.
func TestUnreadablePage(t *testing.T) {
	readers.once.Do(readers.start)
	must(t, readers.err)
	got := axe.Report(readers.faults(t, `<!doctype html><html><head><title>页</title></head><body><main><h1>页</h1>
		<input id="bare"><details><summary>更多</summary><img id="mute" src="x"></details><dialog aria-label="问"><p id="pale" style="color:#bbb">看不清</p></dialog></main></body></html>`))
	wantIn(t, "report", got, "html-has-lang: html", "label: #bare", "image-alt: #mute", "color-contrast: #pale")
}
