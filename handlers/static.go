package handlers

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"path"
	"strings"

	"github.com/gofiber/fiber/v2"
)

// assets are the static files under names that change with their content, so
// that browsers may keep them for ever.
type assets struct {
	hashed map[string]string // app.css → /static/app.1f2e3d4c5b.css
	files  map[string]asset  // by hashed name
}

type asset struct {
	kind string
	body []byte
}

func loadAssets(files fs.FS) (assets, error) {
	a := assets{map[string]string{}, map[string]asset{}}
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), ".") {
			return err
		}
		body, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(body)
		ext := path.Ext(name)
		url := "/static/" + strings.TrimSuffix(name, ext) + "." + hex.EncodeToString(sum[:5]) + ext
		a.hashed[name] = url
		a.files[url] = asset{mime.TypeByExtension(ext), body}
		return nil
	})
	if err != nil {
		return assets{}, fmt.Errorf("reading the static assets: %w", err)
	}
	return a, nil
}

// url is the address of an asset; a page that names a missing one fails loudly.
func (a assets) url(name string) (string, error) {
	if u, ok := a.hashed[name]; ok {
		return u, nil
	}
	return "", fmt.Errorf("no static asset %q (run npm ci in templates/)", name)
}

func (a assets) serve(c *fiber.Ctx) error {
	f, ok := a.files[c.Path()]
	if !ok {
		return fiber.ErrNotFound
	}
	c.Set(fiber.HeaderContentType, f.kind)
	c.Set(fiber.HeaderCacheControl, "public, max-age=31536000, immutable")
	return c.Send(f.body)
}
