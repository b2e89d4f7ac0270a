package sim

import (
	"bytes"
	"embed"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
)

//go:embed web
var web embed.FS

var pages = template.Must(template.ParseFS(web, "web/*.html"))

// personaCookie remembers whose card or chat was tapped last, so that the chooser offers that persona first.
const personaCookie = "sim_persona"

func (s *Server) routePages() {
	assets, err := fs.Sub(web, "web")
	if err != nil {
		panic("sim: " + err.Error()) // the embedded folder is there
	}
	files := http.StripPrefix("/playground/assets/", http.FileServerFS(assets))
	s.mux.Handle("GET /playground/assets/", noCache(files))
	s.mux.HandleFunc("GET /playground/{$}", func(w http.ResponseWriter, _ *http.Request) {
		s.render(w, http.StatusOK, "index.html", map[string]any{
			"Account": s.cfg.WeChat.Name, "Home": s.cfg.PublicURL, "Chats": []string{"申请人", "审核员"}, "Minis": s.miniFrames(),
		})
	})
}

// miniFrames are the phones that show the mini-program's H5 build.
func (s *Server) miniFrames() []string {
	if s.cfg.MiniProgram.AppID == "" {
		return nil
	}
	return []string{"申请人", "法人/审核员"}
}

// choice is one persona of the chooser.
type choice struct {
	Persona
	Initial  string
	RoleName string
	Link     string
	Last     bool
}

var roleNames = map[Role]string{Applicant: "申请人", Reviewer: "审核员", Issuer: "制证员", Shipper: "发货员", Finance: "财务", Admin: "管理员"}

// tapped is the OpenID of the persona whose card, chat or SMS was tapped last.
func tapped(r *http.Request) string {
	c, err := r.Cookie(personaCookie)
	if err != nil {
		return ""
	}
	openID, _ := url.QueryUnescape(c.Value) // what is broken is nobody's
	return openID
}

// renderChooser asks which persona taps "allow". The one whose window the link came from is first.
func (s *Server) renderChooser(w http.ResponseWriter, r *http.Request) {
	last := tapped(r)
	var choices []choice
	for _, p := range s.cfg.Personas {
		q := r.URL.Query()
		q.Set("persona", p.OpenID)
		c := choice{Persona: p, Initial: string([]rune(p.Name)[:1]), RoleName: roleNames[p.Role], Link: r.URL.Path + "?" + q.Encode(), Last: p.OpenID == last}
		if c.Last {
			choices = append([]choice{c}, choices...)
		} else {
			choices = append(choices, c)
		}
	}
	s.render(w, http.StatusOK, "chooser.html", map[string]any{
		"Account": s.cfg.WeChat.Name, "Choices": choices, "QR": r.URL.Query().Get("scope") == "snsapi_login",
	})
}

func (s *Server) renderError(w http.ResponseWriter, message string) {
	s.render(w, http.StatusBadRequest, "error.html", map[string]string{"Message": message})
}

func (s *Server) render(w http.ResponseWriter, status int, page string, data any) {
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, page, data); err != nil {
		s.cfg.Log.Error("simulator page", "page", page, "error", err)
		http.Error(w, "page", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'self'; img-src 'self' data: https:; frame-ancestors 'self'; base-uri 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

func noCache(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-cache")
		next.ServeHTTP(w, r)
	})
}
