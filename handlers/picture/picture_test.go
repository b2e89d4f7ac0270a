package picture

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/image/bmp"

	"github.com/yuncaidun/yuncaidun/templates/font"
)

// scene is a picture with a red seal in its upper left corner.
func scene(w, h int, seal color.Color) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			c := color.Color(color.Gray{Y: uint8(200 + (x+y)%40)})
			if x < w/4 && y < h/4 {
				c = seal
			}
			img.Set(x, y, c)
		}
	}
	return img
}

var red = color.RGBA{R: 200, G: 30, B: 30, A: 255}

func asJPEG(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func asPNG(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// segment puts a JPEG segment right behind the start of the image.
func segment(raw []byte, marker byte, body []byte) []byte {
	head := append([]byte{0xFF, 0xD8, 0xFF, marker}, binary.BigEndian.AppendUint16(nil, uint16(len(body)+2))...)
	return append(append(head, body...), raw[2:]...)
}

// chunk puts a PNG chunk right behind IHDR.
func chunk(raw []byte, kind string, body []byte) []byte {
	c := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	c = append(append(c, kind...), body...)
	c = binary.BigEndian.AppendUint32(c, crc32.ChecksumIEEE(c[4:]))
	const afterIHDR = 8 + 25
	return append(append(bytes.Clone(raw[:afterIHDR]), c...), raw[afterIHDR:]...)
}

// exif is an APP1 body with an orientation and a planted GPS text.
func exif(orientation byte) []byte {
	return append([]byte("Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00"), orientation, 0, 0, 0, 0, 0, 0, 'G', 'P', 'S', '4', '3', '.', '8')
}

func zipped(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.Create("../../etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(make([]byte, 1<<16)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// F34, F35: what is accepted, and with which warnings.
func TestAccept(t *testing.T) {
	photo, still := asJPEG(t, scene(800, 500, red)), asPNG(t, scene(800, 500, red))
	tests := []struct {
		name          string
		raw           []byte
		width, height int
		warnings      []Warning
	}{
		{"jpeg", photo, 800, 500, nil},
		{"png", still, 800, 500, nil},
		{"png with transparency", asPNG(t, image.NewNRGBA(image.Rect(0, 0, 700, 700))), 700, 700, []Warning{Blur, Grey}},
		{"large is shrunk", asJPEG(t, scene(2800, 1400, red)), 2600, 1300, nil},
		{"black and white", asJPEG(t, scene(800, 500, color.Gray{Y: 30})), 800, 500, []Warning{Grey}},
		{"small", asJPEG(t, scene(120, 80, red)), 120, 80, []Warning{Small}},
		{"one pixel high", asJPEG(t, scene(1400, 1, red)), 1400, 1, []Warning{Grey}},
		{"turned", segment(photo, 0xE1, exif(6)), 500, 800, nil},
		{"padding behind", append(bytes.Clone(photo), 0, 0, 0, 0), 800, 500, nil},
		{"gain map behind", append(bytes.Clone(photo), photo...), 800, 500, nil},
		{"live photo", append(bytes.Clone(photo), "\x00\x00\x00\x18ftypmp42........"...), 800, 500, nil},
		{"notes of a Samsung telephone", append(bytes.Clone(photo), "\x00\x00\x01\x0a\x0e\x00\x00\x00Image_UTC_Data1764288000000SEFH\x6b\x00\x00\x00\x01\x00\x00\x00\x00\x00\x01\x0a\x23\x00\x00\x00\x23\x00\x00\x00\x18\x00\x00\x00SEFT"...), 800, 500, nil},
		{"exactly 8 MiB", segmentsUpTo(photo, MaxBytes), 800, 500, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := Accept(tt.raw)
			if err != nil {
				t.Fatal(err)
			}
			if p.Width != tt.width || p.Height != tt.height {
				t.Errorf("size %d×%d, want %d×%d", p.Width, p.Height, tt.width, tt.height)
			}
			if !slices.Equal(p.Warnings, tt.warnings) {
				t.Errorf("warnings %v, want %v", p.Warnings, tt.warnings)
			}
			if bytes.Contains(p.JPEG, []byte("Exif")) || bytes.Contains(p.JPEG, []byte("GPS")) {
				t.Error("metadata survived")
			}
			if _, err := jpeg.Decode(bytes.NewReader(p.JPEG)); err != nil {
				t.Errorf("the kept picture: %v", err)
			}
		})
	}
}

// segmentsUpTo pads a JPEG with application segments to an exact size.
func segmentsUpTo(raw []byte, size int) []byte {
	for size-len(raw) > 4 {
		n := min(size-len(raw)-4, 60000)
		if rest := size - len(raw) - 4 - n; rest > 0 && rest < 5 {
			n -= 5
		}
		raw = segment(raw, 0xEF, make([]byte, n))
	}
	return raw
}

// Reliability 13: forty files that must not get in.
func TestRefused(t *testing.T) {
	photo, still := asJPEG(t, scene(64, 48, red)), asPNG(t, scene(64, 48, red))
	archive := zipped(t)
	var gifFile, bmpFile bytes.Buffer
	if err := gif.Encode(&gifFile, scene(8, 8, red), nil); err != nil {
		t.Fatal(err)
	}
	if err := bmp.Encode(&bmpFile, scene(8, 8, red)); err != nil {
		t.Fatal(err)
	}
	with := func(parts ...any) []byte {
		var out []byte
		for _, p := range parts {
			switch p := p.(type) {
			case string:
				out = append(out, p...)
			case []byte:
				out = append(out, p...)
			}
		}
		return out
	}
	header := func(w, h uint32) []byte { // a PNG that claims a size
		raw := bytes.Clone(still)
		binary.BigEndian.PutUint32(raw[16:], w)
		binary.BigEndian.PutUint32(raw[20:], h)
		binary.BigEndian.PutUint32(raw[29:], crc32.ChecksumIEEE(raw[12:29]))
		return raw
	}
	sof := func(w, h uint16) []byte { // a JPEG that claims a size
		raw := bytes.Clone(photo)
		i := bytes.Index(raw, []byte{0xFF, 0xC0})
		binary.BigEndian.PutUint16(raw[i+5:], h)
		binary.BigEndian.PutUint16(raw[i+7:], w)
		return raw
	}
	tests := []struct {
		name string
		raw  []byte
		want error
	}{
		{"nothing", nil, ErrNotAPicture},
		{"one byte", []byte{0xFF}, ErrNotAPicture},
		{"text", []byte("hello"), ErrNotAPicture},
		{"html", []byte("<html><script>alert(1)</script>"), ErrNotAPicture},
		{"svg", []byte(`<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>`), ErrNotAPicture},
		{"svg behind xml", []byte(`<?xml version="1.0"?><svg/>`), ErrNotAPicture},
		{"pdf", []byte("%PDF-1.7\n"), ErrNotAPicture},
		{"zip", archive, ErrNotAPicture},
		{"gif", gifFile.Bytes(), ErrNotAPicture},
		{"gif with script", with("GIF89a/*", "*/=1;alert(1)"), ErrNotAPicture},
		{"bmp", bmpFile.Bytes(), ErrNotAPicture},
		{"webp", []byte("RIFF\x24\x00\x00\x00WEBPVP8 "), ErrNotAPicture},
		{"tiff", []byte("II*\x00\x08\x00\x00\x00"), ErrNotAPicture},
		{"heic", []byte("\x00\x00\x00\x18ftypheic"), ErrNotAPicture},
		{"avif", []byte("\x00\x00\x00\x18ftypavif"), ErrNotAPicture},
		{"windows program", []byte("MZ\x90\x00"), ErrNotAPicture},
		{"linux program", []byte("\x7fELF\x02\x01"), ErrNotAPicture},
		{"php", []byte("<?php system($_GET[0]);"), ErrNotAPicture},
		{"white space before jpeg", with(" ", photo), ErrNotAPicture},
		{"html before jpeg", with("<html>", photo), ErrNotAPicture},
		{"html before png", with("<html>", still), ErrNotAPicture},
		{"jpeg magic only", []byte{0xFF, 0xD8, 0xFF}, ErrBroken},
		{"png magic only", pngMagic, ErrBroken},
		{"jpeg magic, then php", with([]byte{0xFF, 0xD8, 0xFF, 0xE0}, "<?php system(1);"), ErrBroken},
		{"png magic, then script", with(pngMagic, "<script>alert(1)</script>"), ErrBroken},
		{"jpeg cut short", photo[:len(photo)/2], ErrBroken},
		{"png cut short", still[:len(still)-8], ErrBroken},
		{"png with damaged data", func() []byte { b := bytes.Clone(still); b[len(b)/2] ^= 0xFF; return b }(), ErrBroken},
		{"jpeg, zip behind", with(photo, archive), ErrHidden},
		{"jpeg, script behind", with(photo, "<script>alert(1)</script>"), ErrHidden},
		{"jpeg, text behind", with(photo, "anything at all"), ErrHidden},
		{"jpeg, second jpeg with zip behind", with(photo, photo, archive), ErrHidden},
		{"jpeg, clip with program behind", with(photo, "\x00\x00\x00\x18ftypmp42 This program cannot be run in DOS mode"), ErrHidden},
		{"jpeg, php in comment", segment(photo, 0xFE, []byte("<?PHP eval($_POST[1]);?>")), ErrHidden},
		{"jpeg, svg in xmp", segment(photo, 0xE1, []byte("http://ns.adobe.com/xap/1.0/\x00<svg onload=alert(1)>")), ErrHidden},
		{"jpeg, pdf in comment", segment(photo, 0xFE, []byte("%PDF-1.4 1 0 obj")), ErrHidden},
		{"png, zip behind", with(still, archive), ErrHidden},
		{"png, html behind", with(still, "<html>"), ErrHidden},
		{"png, script in text", chunk(still, "tEXt", []byte("Comment\x00<script>alert(1)</script>")), ErrHidden},
		{"png, zip in private chunk", chunk(still, "prIv", archive), ErrHidden},
		{"png, pixel flood", header(60000, 60000), ErrTooManyPixels},
		{"png, thin pixel flood", header(2_000_000_000, 1), ErrTooManyPixels},
		{"png, no pixels", header(0, 10), ErrBroken},
		{"png, size beyond the integer", header(0xFFFFFFFF, 0xFFFFFFFF), ErrBroken},
		{"jpeg, pixel flood", sof(65000, 65000), ErrTooManyPixels},
		{"jpeg, no pixels", sof(0, 0), ErrBroken},
		{"one byte over 8 MiB", segmentsUpTo(photo, MaxBytes+1), ErrTooLarge},
	}
	if len(tests) < 40 {
		t.Errorf("%d cases, want at least 40", len(tests))
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Accept(tt.raw); !errors.Is(err, tt.want) {
				t.Errorf("Accept = %v, want %v", err, tt.want)
			}
		})
	}
}

// Every EXIF orientation brings the seal back to the upper left corner.
func TestUpright(t *testing.T) {
	want := scene(80, 48, red)
	for orientation := 1; orientation <= 8; orientation++ {
		// Lay the picture down the way the camera would have stored it.
		w, h := 80, 48
		if orientation >= 5 {
			w, h = h, w
		}
		stored := image.NewRGBA(image.Rect(0, 0, w, h))
		for y := range h {
			for x := range w {
				tx, ty := x, y
				if orientation > 1 {
					tx, ty = turned(orientation, x, y, w, h)
				}
				stored.Set(x, y, want.At(tx, ty))
			}
		}
		p, err := Accept(segment(asJPEG(t, stored), 0xE1, exif(byte(orientation))))
		if err != nil {
			t.Fatal(err)
		}
		img, err := jpeg.Decode(bytes.NewReader(p.JPEG))
		if err != nil {
			t.Fatal(err)
		}
		if r, g, _, _ := img.At(5, 5).RGBA(); p.Width != 80 || r>>8 < 150 || g>>8 > 90 {
			t.Errorf("orientation %d: size %d×%d, corner red %d green %d", orientation, p.Width, p.Height, r>>8, g>>8)
		}
	}
}

// rules.md §3.2: every view carries the watermark, and another one for another order.
func TestWatermark(t *testing.T) {
	f, err := font.Load(font.Path)
	if err != nil {
		t.Fatal(err)
	}
	kept := asJPEG(t, scene(800, 500, red))
	one, err := Watermark(f, kept, "仅用于SAAS120261123093000000001订单 2026-11-23", keptSide)
	if err != nil {
		t.Fatal(err)
	}
	two, err := Watermark(f, kept, "仅用于SAAS120261123093000000002订单 2026-11-24", keptSide)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(one, two) || difference(t, kept, one) < 4000 {
		t.Error("the watermark does not show")
	}
	small, err := Watermark(f, kept, "仅用于SAAS120261123093000000001订单 2026-11-23", 360)
	if err != nil {
		t.Fatal(err)
	}
	if cfg, err := jpeg.DecodeConfig(bytes.NewReader(small)); err != nil || cfg.Width != 360 || cfg.Height != 225 {
		t.Errorf("small view %d×%d, %v", cfg.Width, cfg.Height, err)
	}
}

// difference counts pixels whose green changed clearly.
func difference(t *testing.T, a, b []byte) (n int) {
	t.Helper()
	x, err := jpeg.Decode(bytes.NewReader(a))
	if err != nil {
		t.Fatal(err)
	}
	y, err := jpeg.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	for i := range x.Bounds().Dx() {
		for j := range x.Bounds().Dy() {
			_, g, _, _ := x.At(i, j).RGBA()
			_, h, _, _ := y.At(i, j).RGBA()
			if max(g, h)-min(g, h) > 15<<8 {
				n++
			}
		}
	}
	return n
}

// Two photographs are worked on at once: no piece of memory that one takes is more than a
// few bytes for each of its pixels. (Clocks lie in tests; what is allocated does not.)
func TestMemoryOfAPhotograph(t *testing.T) {
	const w, h, most = 3000, 2000, 8
	raw := asJPEG(t, scene(w, h, red))
	before := allocated(t)
	if _, err := Accept(raw); err != nil {
		t.Fatal(err)
	}
	pieces := 0
	for at, now := range allocated(t) {
		objects, bytes := now.AllocObjects-before[at].AllocObjects, now.AllocBytes-before[at].AllocBytes
		if objects == 0 {
			continue
		}
		pieces++
		if bytes/objects > most*w*h {
			frames := runtime.CallersFrames(now.Stack())
			frame, more := frames.Next()
			for more && strings.HasPrefix(frame.Function, "runtime.") {
				frame, more = frames.Next()
			}
			t.Errorf("%s allocates %d bytes for each pixel, want at most %d", frame.Function, bytes/objects/(w*h), most)
		}
	}
	if pieces == 0 {
		t.Error("nothing was recorded")
	}
}

// allocated is what was allocated where. Whatever is larger than the rate of the profile,
// half a megabyte, is in it.
func allocated(t *testing.T) map[[32]uintptr]runtime.MemProfileRecord {
	t.Helper()
	runtime.GC() // the profile tells of what was allocated before the last collection but one
	runtime.GC()
	records := make([]runtime.MemProfileRecord, 10_000)
	n, ok := runtime.MemProfile(records, true)
	if !ok {
		t.Fatalf("%d places allocate", n)
	}
	out := map[[32]uintptr]runtime.MemProfileRecord{}
	for _, r := range records[:n] {
		out[r.Stack0] = r
	}
	return out
}

// FuzzAccept: whatever strangers send is a picture or an error, never a panic,
// and what is kept is a clean JPEG.
func FuzzAccept(f *testing.F) {
	photo, still := asJPEG(f, scene(16, 12, red)), asPNG(f, scene(16, 12, red))
	f.Add(photo)
	f.Add(still)
	f.Add(segment(photo, 0xE1, exif(6)))
	f.Add(append(bytes.Clone(photo), photo...))
	f.Add(chunk(still, "tEXt", []byte("Title\x00x")))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) > 1<<16 {
			return
		}
		if cfg, _, err := image.DecodeConfig(bytes.NewReader(raw)); err == nil && cfg.Width*cfg.Height > 1<<20 {
			return // correct but slow
		}
		p, err := Accept(raw)
		if err != nil {
			return
		}
		if _, err := jpeg.Decode(bytes.NewReader(p.JPEG)); err != nil || active(p.JPEG[:20]) {
			t.Errorf("kept picture: %v", err)
		}
	})
}

func BenchmarkSmallView(b *testing.B) {
	f, err := font.Load(font.Path)
	if err != nil {
		b.Fatal(err)
	}
	p, err := Accept(asJPEG(b, scene(4000, 3000, red)))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Watermark(f, p.JPEG, "仅用于SAAS120261123093000000001订单 2026-11-23", 480); err != nil {
			b.Fatal(err)
		}
	}
}
