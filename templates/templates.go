// Package templates holds what people see and nothing that decides: the HTML of
// portal and staff console, and the static assets. Letters and message texts have
// packages of their own below it.
package templates

import (
	"embed"
	"io/fs"
)

//go:embed html
var html embed.FS

// htmx is named so that a build without it fails; make fetches it with npm.
//
//go:embed all:static static/vendor/htmx.min.js
var static embed.FS

// HTML is the folder of page templates.
func HTML() fs.FS { return below(html, "html") }

// Static is the folder of stylesheets, scripts and pictures.
func Static() fs.FS { return below(static, "static") }

func below(files embed.FS, dir string) fs.FS {
	sub, err := fs.Sub(files, dir)
	if err != nil {
		panic(err) // the name is a constant, so this cannot happen
	}
	return sub
}
