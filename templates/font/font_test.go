package font

import (
	"testing"
)

func TestFirstFace(t *testing.T) {
	f, err := Load(Path)
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Missing("云采盾科技 ABC 123 （）"); got != nil {
		t.Errorf("Missing = %q, want none", got)
	}
	// 𬭚 (U+2CB5A) is a rare character of personal names.
	if got := f.Missing("王𬭚𬭚"); string(got) != "𬭚" {
		t.Errorf("Missing = %q, want 𬭚 once", string(got))
	}
	face, err := f.Face(20)
	if err != nil {
		t.Fatal(err)
	}
	if w, ok := face.GlyphAdvance('云'); !ok || w.Round() != 20 {
		t.Errorf("advance of 云 = %v, %v; want 20 pixels", w, ok)
	}
}

// The whole face is for rare characters only.
func TestFor(t *testing.T) {
	f, err := Load(Path)
	if err != nil {
		t.Fatal(err)
	}
	if common := f.For("云采盾科技 ABC 123 （“”）…￥·—"); len(common) == 0 || len(common) > len(f.TTF)/2 {
		t.Errorf("%d bytes for common characters, want less than half of %d", len(common), len(f.TTF))
	}
	if whole := f.For("朱镕喆"); len(whole) != len(f.TTF) { // neither 镕 nor 喆 is in GB 2312
		t.Errorf("%d bytes for rare characters, want all %d", len(whole), len(f.TTF))
	}
}

// FuzzFirstFace: a damaged file is an error or a short font, never a panic.
func FuzzFirstFace(f *testing.F) {
	f.Add([]byte("ttcf\x00\x01\x00\x00\x00\x00\x00\x01\x00\x00\x00\x10\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00"))
	f.Add([]byte("\x00\x01\x00\x00"))
	f.Fuzz(func(_ *testing.T, raw []byte) { _, _ = firstFace(raw) })
}
