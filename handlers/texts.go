package handlers

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"regexp"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/order"
)

// legalText is an agreement people accept: its words are named by version and hash.
type legalText struct {
	Name, Title, Version, Hash string
	Body                       template.HTML
}

// textHead is the first line of an agreement's file.
var textHead = regexp.MustCompile(`^<!-- (\S+) (\S+) -->\n`)

// loadTexts reads the agreements. The hash is over the file as it is.
func loadTexts(files fs.FS) ([]legalText, error) {
	var out []legalText
	for _, name := range []string{"service", "privacy"} {
		raw, err := fs.ReadFile(files, "texts/"+name+".html")
		if err != nil {
			return nil, fmt.Errorf("reading an agreement: %w", err)
		}
		head := textHead.FindSubmatch(raw)
		if head == nil {
			return nil, fmt.Errorf("agreement %s: the first line must be <!-- version title -->", name)
		}
		sum := sha256.Sum256(raw)
		out = append(out, legalText{
			Name: name, Version: string(head[1]), Title: string(head[2]), Hash: hex.EncodeToString(sum[:]),
			Body: template.HTML(raw[len(head[0]):]), //nolint:gosec // our own file
		})
	}
	return out, nil
}

func (s *Server) textRoutes() {
	s.get("/texts/:name", Public, func(c *fiber.Ctx) error {
		for _, t := range s.texts {
			if t.Name == c.Params("name") {
				return s.render(c, http.StatusOK, "text", t.Title, t)
			}
		}
		return fiber.ErrNotFound
	})
}

// consent is what a tick under the agreements means: which words, when, from where.
func (s *Server) consent(c *fiber.Ctx) order.Consent {
	var versions []string
	all := sha256.New()
	for _, t := range s.texts {
		versions = append(versions, t.Name+" "+t.Version)
		all.Write([]byte(t.Hash))
	}
	return order.Consent{Version: strings.Join(versions, ", "), Hash: hex.EncodeToString(all.Sum(nil)), At: s.Now(), IP: c.IP()}
}

// agreed names the agreements of a consent as people know them.
func (e embedded) agreed(c order.Consent) string {
	words := []string{", ", "、"}
	for _, t := range e.texts {
		words = append(words, t.Name+" ", "《"+t.Title+"》")
	}
	return strings.NewReplacer(words...).Replace(c.Version)
}
