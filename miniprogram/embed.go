// Package miniprogram embeds the H5 build of the WeChat mini-program, which the
// playground shows in a phone frame. The sources beside this file are TypeScript;
// `make miniprogram` builds them.
package miniprogram

import (
	"embed"
	"encoding/json"
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

//go:embed src/pages.json
var declared []byte

// Pages are the pages that the mini-program declares, such as pages/home/index:
// WeChat opens no other.
func Pages() []string {
	var of struct {
		Pages []struct {
			Path string `json:"path"`
		} `json:"pages"`
	}
	if err := json.Unmarshal(declared, &of); err != nil {
		panic("miniprogram: src/pages.json: " + err.Error()) // embedded; a build reads it, too
	}
	var paths []string
	for _, p := range of.Pages {
		paths = append(paths, p.Path)
	}
	return paths
}
