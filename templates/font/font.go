// Package font gives the authorisation letter and the watermark one Chinese
// typeface. The WenQuanYi Micro Hei of Debian's fonts-wqy-microhei comes as a
// TrueType collection, which PDF libraries refuse, so its first face is cut out.
package font

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"github.com/go-pdf/fpdf"
	"golang.org/x/image/font"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// Path is where Debian's fonts-wqy-microhei installs the collection.
const Path = "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc"

// Font is one TrueType face.
type Font struct {
	// TTF is the face as a file of its own.
	TTF    []byte
	glyphs *sfnt.Font
	common func() []byte // the face cut to the common characters, once
}

// Load reads a TrueType font or the first face of a collection.
func Load(path string) (*Font, error) {
	raw, err := os.ReadFile(path) //nolint:gosec // the operator names the font
	if err != nil {
		return nil, fmt.Errorf("reading the font (Debian package fonts-wqy-microhei): %w", err)
	}
	ttf, err := firstFace(raw)
	if err != nil {
		return nil, fmt.Errorf("reading the font %s: %w", path, err)
	}
	glyphs, err := sfnt.Parse(ttf)
	if err != nil {
		return nil, fmt.Errorf("parsing the font %s: %w", path, err)
	}
	return &Font{TTF: ttf, glyphs: glyphs, common: sync.OnceValue(func() []byte { return fpdf.UTF8CutFont(ttf, string(commonRunes)) })}, nil
}

// commonRunes are the characters of ASCII and GB 2312, in order: nearly all that
// Chinese documents are written with.
var commonRunes = func() []rune {
	var gb []byte
	for row := byte(0xA1); row <= 0xF7; row++ {
		for cell := byte(0xA1); cell <= 0xFE; cell++ {
			gb = append(gb, row, cell)
		}
	}
	text, _ := simplifiedchinese.GBK.NewDecoder().Bytes(gb) // empty cells become U+FFFD
	runes := []rune(string(text))
	for r := ' '; r <= '~'; r++ {
		runes = append(runes, r)
	}
	slices.Sort(runes)
	return slices.Compact(runes)
}()

// For returns a TrueType file that draws text. The PDF library parses all of a
// face for each document, so it is given the whole one only where the common
// characters do not suffice.
func (f *Font) For(text string) []byte {
	for _, r := range text {
		if _, common := slices.BinarySearch(commonRunes, r); !common {
			return f.TTF
		}
	}
	return f.common()
}

// Missing returns the characters of text that the font cannot draw, each once.
// Characters beyond the Basic Multilingual Plane always count as missing: the
// PDF library cannot write them.
func (f *Font) Missing(text string) []rune {
	var missing []rune
	var buf sfnt.Buffer
	for _, r := range text {
		if i, err := f.glyphs.GlyphIndex(&buf, r); r <= 0xFFFF && err == nil && i != 0 {
			continue
		}
		if !slices.Contains(missing, r) {
			missing = append(missing, r)
		}
	}
	return missing
}

// Face returns the font at a size in pixels. A face has one user at a time.
func (f *Font) Face(pixels float64) (font.Face, error) {
	return opentype.NewFace(f.glyphs, &opentype.FaceOptions{Size: pixels, DPI: 72})
}

var errTruncated = errors.New("the file is truncated")

// firstFace cuts the first face out of a TrueType collection (OpenType 1.9,
// "Font Collections"): its table directory with the tables moved behind it. A
// plain TrueType font is returned as it is.
func firstFace(raw []byte) ([]byte, error) {
	if len(raw) < 16 {
		return nil, errTruncated
	}
	if string(raw[:4]) != "ttcf" {
		return raw, nil
	}
	at := uint64(binary.BigEndian.Uint32(raw[12:]))
	if at+12 > uint64(len(raw)) {
		return nil, errTruncated
	}
	tables := uint64(binary.BigEndian.Uint16(raw[at+4:]))
	end := at + 12 + 16*tables
	if end > uint64(len(raw)) {
		return nil, errTruncated
	}
	out := slices.Clone(raw[at:end])
	for i := range tables {
		record := out[12+16*i : 28+16*i]
		from, size := uint64(binary.BigEndian.Uint32(record[8:])), uint64(binary.BigEndian.Uint32(record[12:]))
		if from+size > uint64(len(raw)) {
			return nil, errTruncated
		}
		binary.BigEndian.PutUint32(record[8:], uint32(len(out))) //nolint:gosec // a part of raw, whose offsets are 32 bits
		out = append(out, raw[from:from+size]...)
		for len(out)%4 != 0 {
			out = append(out, 0)
		}
	}
	return out, nil
}
