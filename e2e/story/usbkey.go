package story

import (
	"bytes"
	"cmp"
	"os"
	"path/filepath"
)

// unplug pulls a USBKEY out: the module no longer finds its folder. The answer plugs
// it in again.
func (p *player) unplug(token string) (plugIn func()) {
	objects := must(filepath.Glob(filepath.Join(cmp.Or(p.tokens, p.instance.DataDir), "tokens", "*", "token.object")))
	for _, object := range objects {
		if !bytes.Contains(must(os.ReadFile(object)), []byte(token)) { //nolint:gosec // globbed
			continue
		}
		in, out := filepath.Dir(object), filepath.Join(p.scratch, "unplugged")
		try(os.Rename(in, out))
		return func() { try(os.Rename(out, in)) }
	}
	p.check(false, "UKEY "+token+" is plugged in", objects)
	return nil
}
