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

	"github.com/yuncaidun/yuncaidun/templates/axe"
)

// Every page that any test here is answered with is looked at by axe-core in Chromium,
// 375 px wide with its stylesheet and scripts: what a new test opens is looked at too.
// Only pages are that bring an element which no earlier page had, which are few, and the
// tests go on meanwhile: what is found fails the run at its end.

func TestMain(m *testing.M) {
	code := m.Run()
	if faults := readers.close(); faults != "" {
		fmt.Println("FAIL: not accessible" + faults)
		code = max(code, 1)
	}
	os.Exit(code)
}

// readers looks at pages.
var readers = &reading{seen: map[string]bool{}}

type reading struct {
	mu    sync.Mutex
	seen  map[string]bool // elements, and orders of headings
	found string          // faults
	looks sync.WaitGroup

	one   sync.Mutex // page at a time
	pages sync.Map   // what is shown, by path
	spent time.Duration
	count int

	once  sync.Once
	rules *axe.Rules
	err   error
	tab   context.Context //nolint:containedctx // chromedp keeps a tab in one
	base  string
	ends  []func()
}

// saw has an answer of a test looked at if it is a page with something new in it.
func (r *reading) saw(t testing.TB, request string, a answer) {
	if _, ok := t.(*testing.T); !ok {
		return
	}
	if _, err := os.Stat("../templates/" + axe.Script); err != nil {
		return // TestUnreadablePage says so
	}
	if !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") || !strings.Contains(a.Body, "<html") {
		return
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
	if name := t.Name(); news {
		r.looks.Go(func() { r.look(name+": "+request, a.Body) })
	}
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

// look notes what is wrong with a page.
func (r *reading) look(name, page string) {
	var report string
	if faults, err := r.faults(page); err != nil {
		report = " " + err.Error()
	} else {
		report = axe.Report(faults)
	}
	if report != "" {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.found += "\n" + name + report
	}
}

func (r *reading) faults(page string) ([]axe.Fault, error) {
	r.once.Do(r.start)
	if r.err != nil {
		return nil, r.err
	}
	r.one.Lock()
	defer r.one.Unlock()
	began := time.Now()
	path := fmt.Sprintf("/page/%d", r.count)
	r.pages.Store(path, page)
	defer r.pages.Delete(path)
	tab, cancel := context.WithTimeout(r.tab, time.Minute)
	defer cancel()
	if err := chromedp.Do(tab, chromedp.Navigate(r.base+path)); err != nil {
		return nil, err
	}
	faults, err := r.rules.Faults(tab)
	r.spent += time.Since(began)
	r.count++
	return faults, err
}

// start serves the pages and opens Chromium.
func (r *reading) start() {
	if r.rules, r.err = axe.Load("../templates"); r.err != nil {
		return
	}
	files, err := loadEmbedded()
	if err != nil {
		r.err = err
		return
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		page, isPage := r.pages.Load(q.URL.Path)
		file, isFile := files.assets.files[q.URL.Path]
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

// close waits for what is still to be looked at and tells what was found.
func (r *reading) close() string {
	r.looks.Wait()
	for _, end := range r.ends {
		end()
	}
	if r.count > 0 {
		fmt.Printf("axe-core looked at %d pages in %s\n", r.count, r.spent)
	}
	return r.found
}

// A page with known faults is found out, also in what is folded and in its dialogs.
func TestUnreadablePage(t *testing.T) {
	faults, err := readers.faults(`<!doctype html><html><head><title>页</title></head><body><main><h1>页</h1>
		<input id="bare"><details><summary>更多</summary><img id="mute" src="x"></details><dialog aria-label="问"><p id="pale" style="color:#bbb">看不清</p></dialog></main></body></html>`)
	must(t, err)
	got := axe.Report(faults)
	wantIn(t, "report", got, "html-has-lang: html", "label: #bare", "image-alt: #mute", "color-contrast: #pale")
}
