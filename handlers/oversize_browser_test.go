package handlers

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
)

// F34: a server that refuses a body unread hangs up, which tells a person
// nothing; so the page itself says that a picture is too large.
func TestTooLargeAPictureInABrowser(t *testing.T) {
	dir := t.TempDir()
	large, good := filepath.Join(dir, "large.jpg"), filepath.Join(dir, "good.jpg")
	must(t, os.WriteFile(good, photo(t), 0o600))
	must(t, os.WriteFile(large, append(photo(t), make([]byte, 24<<20)...), 0o600))
	b := newWeb(t).browse(t, 375)
	b.goTo("/")
	b.do(chromedp.Click(".offer .btn.main"))
	b.shown("#agent")
	b.do(chromedp.SetUploadFiles("#file-license", []string{large}))
	b.until(`document.querySelector("#shot-license .fault")?.textContent.includes("8M")`)
	b.do(chromedp.SetUploadFiles("#file-license", []string{good}))
	b.shown("#shot-license .thumb")
	if left := b.js(`document.querySelector("#shot-license .fault") === null`); left != "true" {
		t.Error("the complaint outlives its picture")
	}
}
