package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/yuncaidun/yuncaidun/store"
)

// What audit heads prints is what audit verify takes; anything else is refused with
// the line.
func TestAuditHeadsAreReadAsPrinted(t *testing.T) {
	heads := []store.AuditHead{{Chain: 0, Seq: 7, MAC: []byte{1, 2, 255}}, {Chain: 12, Seq: 1 << 40, MAC: []byte{9}}}
	var b strings.Builder
	if err := printHeads(&b, heads); err != nil {
		t.Fatal(err)
	}
	got, err := readHeads(strings.NewReader(b.String()))
	if err != nil || !cmp.Equal(got, heads) {
		t.Errorf("got %v, %v", got, err)
	}
	for name, text := range map[string]string{
		"nothing": "", "words": "hello\n", "no MAC": "1\t2\t\n", "odd hex": "1\t2\tabc\n", "a line cut": b.String() + "3\t4", "nothing counted": "1\t0\tab\n",
	} {
		if got, err := readHeads(strings.NewReader(text)); err == nil {
			t.Errorf("%s: taken as %v", name, got)
		}
	}
}
