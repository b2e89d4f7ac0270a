package story

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// Browser keeps cookies, follows redirects and sends the forms of the pages it
// was given, with everything they carry. It runs no scripts.
type Browser struct {
	agent  string
	client *http.Client
}

// insideWeChat is the user agent of WeChat's own browser.
const insideWeChat = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 MicroMessenger/8.0.60"

// newBrowser returns a browser without a past.
func newBrowser(agent string) *Browser {
	jar, _ := cookiejar.New(nil) // fails only for options, of which there are none
	return &Browser{agent: agent, client: &http.Client{Jar: jar}}
}

// Page is what a browser shows.
type Page struct {
	Status int
	URL    *url.URL
	Header http.Header
	Body   []byte

	root *html.Node
}

// Get opens an address.
func (b *Browser) Get(ctx context.Context, address string) (*Page, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	return b.do(req)
}

func (b *Browser) do(req *http.Request) (*Page, error) {
	req.Header.Set("User-Agent", b.agent)
	resp, err := b.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	p := &Page{Status: resp.StatusCode, URL: resp.Request.URL, Header: resp.Header}
	if p.Body, err = io.ReadAll(resp.Body); err != nil {
		return nil, err
	}
	p.root, err = html.Parse(bytes.NewReader(p.Body))
	return p, err
}

// Post sends values to a path from a page, as its scripts do.
func (b *Browser) Post(ctx context.Context, from *Page, path string, values url.Values) (*Page, error) {
	return b.post(ctx, from, path, "application/x-www-form-urlencoded", strings.NewReader(values.Encode()))
}

// Upload sends a file to a path from a page, as its scripts do.
func (b *Browser) Upload(ctx context.Context, from *Page, path, name string, content []byte) (*Page, error) {
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	part, err := w.CreateFormFile("file", name)
	if err != nil {
		return nil, err
	}
	_, err = part.Write(content)
	if err := errors.Join(err, w.Close()); err != nil {
		return nil, err
	}
	return b.post(ctx, from, path, w.FormDataContentType(), &body)
}

func (b *Browser) post(ctx context.Context, from *Page, path, kind string, body io.Reader) (*Page, error) {
	to, err := from.URL.Parse(path)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.String(), body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", kind)
	req.Header.Set("Origin", from.URL.Scheme+"://"+from.URL.Host)
	if token := from.csrf(); token != "" {
		req.Header.Set("X-CSRF-Token", token)
	}
	return b.do(req)
}

// Submit sends a form of a page.
func (b *Browser) Submit(ctx context.Context, from *Page, f Form) (*Page, error) {
	return b.Post(ctx, from, f.Action, f.Values)
}

// all are the elements under n that match.
func all(n *html.Node, match func(*html.Node) bool) []*html.Node {
	var out []*html.Node
	for d := range n.Descendants() {
		if d.Type == html.ElementNode && match(d) {
			out = append(out, d)
		}
	}
	return out
}

// first is the first element under n that matches, or nil.
func first(n *html.Node, match func(*html.Node) bool) *html.Node {
	for d := range n.Descendants() {
		if d.Type == html.ElementNode && match(d) {
			return d
		}
	}
	return nil
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, name string) bool {
	return slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == name })
}

// textOf is what people read in an element, without runs of spaces.
func textOf(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode && d.Parent.DataAtom != atom.Script && d.Parent.DataAtom != atom.Style {
			b.WriteString(d.Data + " ")
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// Text is what people read on the page.
func (p *Page) Text() string { return textOf(p.root) }

// Says reports whether people read something on the page.
func (p *Page) Says(what string) bool { return strings.Contains(p.Text(), what) }

// Value is the value of the first input of a name.
func (p *Page) Value(name string) string {
	n := first(p.root, func(n *html.Node) bool { return n.DataAtom == atom.Input && attr(n, "name") == name })
	if n == nil {
		return ""
	}
	return attr(n, "value")
}

// csrf is the token that the page's scripts send.
func (p *Page) csrf() string {
	n := first(p.root, func(n *html.Node) bool { return has(n, "hx-headers") })
	if n == nil {
		return p.Value("_csrf")
	}
	_, token, _ := strings.Cut(attr(n, "hx-headers"), `"X-CSRF-Token":"`)
	token, _, _ = strings.Cut(token, `"`)
	return token
}

// Form is a form as it would be sent.
type Form struct {
	Action string
	Values url.Values
	// Blocked says that its button cannot be pressed.
	Blocked bool
}

// With returns the form with other values.
func (f Form) With(values map[string]string) Form {
	for name, v := range values {
		f.Values.Set(name, v)
	}
	return f
}

// Form finds the first form whose address ends with suffix and that has all the
// given values, written name=value.
func (p *Page) Form(suffix string, given ...string) (Form, error) {
	for _, n := range all(p.root, func(n *html.Node) bool { return n.DataAtom == atom.Form }) {
		f := formOf(n)
		if !strings.HasSuffix(f.Action, suffix) {
			continue
		}
		if !slices.ContainsFunc(given, func(g string) bool {
			name, v, _ := strings.Cut(g, "=")
			return !slices.Contains(f.Values[name], v)
		}) {
			return f, nil
		}
	}
	return Form{}, fmt.Errorf("%s (%d) has no form for …%s %v: %.300s", p.URL.Path, p.Status, suffix, given, p.Text())
}

// formOf reads the successful controls of a form (HTML, "Constructing the entry
// list"), no button pressed.
func formOf(form *html.Node) Form {
	f := Form{Action: attr(form, "action"), Values: url.Values{}}
	for _, n := range all(form, func(*html.Node) bool { return true }) {
		name := attr(n, "name")
		switch {
		case n.DataAtom == atom.Button:
			f.Blocked = f.Blocked || has(n, "disabled")
		case name == "" || has(n, "disabled"):
		case n.DataAtom == atom.Textarea:
			f.Values.Add(name, textOf(n))
		case n.DataAtom == atom.Select:
			f.Values.Add(name, chosen(n))
		case n.DataAtom == atom.Input:
			kind := attr(n, "type")
			if kind == "file" || (kind == "checkbox" || kind == "radio") && !has(n, "checked") {
				continue
			}
			f.Values.Add(name, attr(n, "value"))
		}
	}
	return f
}

// chosen is the value of a select element.
func chosen(sel *html.Node) string {
	options := all(sel, func(n *html.Node) bool { return n.DataAtom == atom.Option })
	i := max(0, slices.IndexFunc(options, func(n *html.Node) bool { return has(n, "selected") }))
	if len(options) == 0 {
		return ""
	}
	return attr(options[i], "value")
}

// Choices are the values that a control of a form offers.
func (p *Page) Choices(name string) []string {
	var out []string
	for _, n := range all(p.root, func(n *html.Node) bool { return attr(n, "name") == name }) {
		if n.DataAtom == atom.Select {
			for _, o := range all(n, func(n *html.Node) bool { return n.DataAtom == atom.Option && attr(n, "value") != "" }) {
				out = append(out, attr(o, "value"))
			}
		} else if has(n, "value") {
			out = append(out, attr(n, "value"))
		}
	}
	return out
}

// Link is the address of the first link that people read as text.
func (p *Page) Link(text string) (string, error) {
	n := first(p.root, func(n *html.Node) bool { return n.DataAtom == atom.A && strings.Contains(textOf(n), text) })
	if n == nil {
		return "", fmt.Errorf("%s has no link %q: %.300s", p.URL.Path, text, p.Text())
	}
	to, err := p.URL.Parse(attr(n, "href"))
	if err != nil {
		return "", err
	}
	return to.String(), nil
}

// Texts are what people read in each element of a class.
func (p *Page) Texts(class string) []string {
	var out []string
	for _, n := range all(p.root, func(n *html.Node) bool { return slices.Contains(strings.Fields(attr(n, "class")), class) }) {
		out = append(out, textOf(n))
	}
	return out
}

// Attribute is an attribute of the element with that id; empty without one.
func (p *Page) Attribute(id, name string) string {
	n := first(p.root, func(n *html.Node) bool { return attr(n, "id") == id })
	if n == nil {
		return ""
	}
	return attr(n, name)
}

// Has reports whether the page has a control of a name.
func (p *Page) Has(name string) bool {
	return first(p.root, func(n *html.Node) bool { return attr(n, "name") == name }) != nil
}
