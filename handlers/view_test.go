package handlers

import "testing"

// The first requests for a page may come at once: no template waits to be escaped, which
// only one that was not executed yet could be cloned before.
func TestTemplatesAreEscapedBeforeTheFirstRequest(t *testing.T) {
	fresh, err := newEmbedded()
	must(t, err)
	for _, page := range fresh.views.Templates.Templates() {
		if _, err := page.Clone(); err == nil {
			t.Errorf("%s is escaped by whoever needs it first", page.Name())
		}
	}
}
