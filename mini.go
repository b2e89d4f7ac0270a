package main

import (
	"io/fs"
	"mime"
	"path"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/handlers"
	"github.com/yuncaidun/yuncaidun/miniprogram"
)

// miniPolicy is the content security policy of the H5 build: its framework sets
// styles by itself, and the playground frames it.
const miniPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' blob: data:; font-src 'self' data:; connect-src 'self' blob:; " +
	"frame-ancestors 'self'; base-uri 'none'; form-action 'none'"

// mountMini shows the mini-program's H5 build in the playground. It talks to the
// product like the one in WeChat does, and to the simulator for what WeChat does.
func mountMini(web *handlers.Server) {
	files, ok := miniprogram.H5()
	web.MountAll("/playground/mp", handlers.Plain, func(c *fiber.Ctx) error {
		c.Set("Content-Security-Policy", miniPolicy)
		c.Set("X-Frame-Options", "SAMEORIGIN")
		if !ok {
			return c.SendString("小程序的 H5 版本还没有构建：请执行 make miniprogram 后重新构建并启动。")
		}
		name := strings.Trim(strings.TrimPrefix(path.Clean(c.Path()), "/playground/mp"), "/")
		if name == "" {
			if !strings.HasSuffix(c.Path(), "/") {
				return c.Redirect("/playground/mp/")
			}
			name = "index.html"
		}
		body, err := fs.ReadFile(files, name)
		if err != nil {
			return fiber.ErrNotFound
		}
		c.Set(fiber.HeaderContentType, mime.TypeByExtension(path.Ext(name)))
		c.Set(fiber.HeaderCacheControl, "no-cache")
		if strings.HasPrefix(name, "assets/") { // named by their content
			c.Set(fiber.HeaderCacheControl, "public, max-age=31536000, immutable")
		}
		return c.Send(body)
	})
}
