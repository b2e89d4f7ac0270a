package handlers

import (
	"errors"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/template/html/v2"

	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/templates"
)

// page is what every template gets; Data is the page's own.
type page struct {
	Title    string
	LoggedIn bool
	CSRF     string
	Here     string // path, to mark the current menu entry
	Home     string // where 首页 leads: the project last visited
	Staff    string // name of the member of staff, on console pages
	User     string // masked mobile of who is logged in
	Data     any
}

// embedded is what pages are made of: it comes with the program and is alike for every
// server.
type embedded struct {
	assets assets
	texts  []legalText
	views  *html.Engine
}

// loadEmbedded reads it once: a process with many servers, as tests are, would spend its
// time on templates.
var loadEmbedded = sync.OnceValues(newEmbedded)

func newEmbedded() (e embedded, err error) {
	if e.assets, err = loadAssets(templates.Static()); err != nil {
		return e, err
	}
	if e.texts, err = loadTexts(templates.HTML()); err != nil {
		return e, err
	}
	e.views, err = e.newViews()
	return e, err
}

func (e embedded) newViews() (*html.Engine, error) {
	views := html.NewFileSystem(http.FS(templates.HTML()), ".html")
	views.AddFuncMap(template.FuncMap{
		"asset":   e.assets.url,
		"agreed":  e.agreed,
		"yuan":    yuan,
		"moment":  moment,
		"day":     day,
		"slashed": slashed,
		"dashed":  func(f order.Field) string { return strings.ReplaceAll(string(f), ".", "-") },
		"dict":    dict,
		"termed":  func(b order.Business) bool { return slices.Contains(termed, b) },
		"add":     func(a, b int) int { return a + b },
	})
	if err := views.Load(); err != nil {
		return nil, fmt.Errorf("parsing the templates: %w", err)
	}
	return views, escapeAll(views.Templates)
}

// escapeAll has every template escaped before any is used. A template is escaped by its
// first execution, and the engine copies it meanwhile for another request.
func escapeAll(all *template.Template) error {
	for _, t := range all.Templates() {
		err := t.Execute(io.Discard, nil) // without data it gets no further than that
		if fault, ok := errors.AsType[*template.Error](err); ok {
			return fmt.Errorf("escaping the templates: %w", fault)
		}
	}
	return nil
}

// render answers with a template. A page without a title is a fragment for htmx.
func (s *Server) render(c *fiber.Ctx, status int, name, title string, data any) error {
	v := visitorOf(c)
	c.Set(fiber.HeaderCacheControl, "no-store")
	return c.Status(status).Render(name, page{
		Title: title, LoggedIn: v.PersonID() != "", CSRF: s.csrf(v), Here: c.Path(), Staff: staffOf(c).Name, User: s.user(c, title), Data: data,
	})
}

// user is how the bar of a page names who is logged in (F11); a fragment has no bar.
func (s *Server) user(c *fiber.Ctx, title string) string {
	id := visitorOf(c).PersonID()
	if id == "" || title == "" {
		return ""
	}
	p, err := s.Store.Person(c.UserContext(), id)
	if err != nil {
		s.Log.WarnContext(c.UserContext(), "naming who is logged in", "err", err) // the page matters more
		return ""
	}
	return p.Mobile.Mask()
}

// yuan writes an amount with two decimals (F5).
func yuan(f order.Fen) string { return f.Yuan() }

// moment writes an instant as people in China read it (F91).
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(order.Shanghai).Format("2006-01-02 15:04:05")
}

func day(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(order.Shanghai).Format("2006-01-02")
}

// dict hands several values to a nested template.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("dict: odd number of arguments")
	}
	m := make(map[string]any, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		k, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("dict: key %v is not a string", pairs[i])
		}
		m[k] = pairs[i+1]
	}
	return m, nil
}

// slashed writes a day as certificates show it (F98).
func slashed(t time.Time) string { return t.In(order.Shanghai).Format("2006/01/02") }
