// Package miniprogram embeds the H5 build of the WeChat mini-program, which the
// playground shows in a phone frame. The sources beside this file are TypeScript;
// `make miniprogram` builds them.
package miniprogram

import (
	"embed"
	"io/fs"
)

//go:embed h5
var built embed.FS

// H5 returns the H5 build; false when this program was built without it.
func H5() (fs.FS, bool) {
	files, err := fs.Sub(built, "h5")
	if err != nil {
		return nil, false
	}
	if _, err := fs.Stat(files, "index.html"); err != nil {
		return nil, false
	}
	return files, true
}
