// Package picture accepts the photographs applicants upload: it tells a real
// JPEG or PNG from everything that pretends to be one, turns it upright, drops
// whatever is not pixels (EXIF, GPS, hidden payloads) by encoding it anew, and
// draws the watermark of every view. It stores nothing.
package picture

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"slices"

	"golang.org/x/image/draw"
)

// MaxBytes is the largest upload accepted (F34).
const MaxBytes = 8 << 20

// maxPixels stops a small file from becoming gigabytes of pixels. The largest
// telephone cameras make 50 million.
const maxPixels = 52_000_000

// keptSide is the longer side of what is kept, enough to read every line of a
// licence; smallSide is below what can be read.
const (
	keptSide  = 2600
	smallSide = 600
)

// Reasons why a file is refused.
var (
	ErrTooLarge      = errors.New("the file is too large")
	ErrNotAPicture   = errors.New("the file is neither JPEG nor PNG")
	ErrBroken        = errors.New("the picture is damaged")
	ErrTooManyPixels = errors.New("the picture has too many pixels")
	ErrHidden        = errors.New("the file hides something besides the picture")
)

// Warning is a doubt about an accepted picture, for the applicant and the reviewer.
type Warning string

// The warnings.
const (
	Grey  Warning = "grey"  // F35: colour only; a photocopy is flagged, not refused
	Small Warning = "small" // too few pixels to read
	Blur  Warning = "blur"  // nothing in it is sharp
	Glare Warning = "glare" // a reflection hides a part
	Dark  Warning = "dark"  // badly underexposed
)

// words are a warning in a word, and in a sentence that says what to do.
var words = map[Warning]struct{ label, text string }{
	Grey:  {"疑似黑白", "图片疑似黑白或复印件，请尽量上传彩色原件照片，否则可能审核不通过"},
	Small: {"尺寸过小", "图片尺寸较小，文字可能看不清，建议重新拍摄"},
	Blur:  {"模糊", "照片有些模糊，小字可能看不清。建议对准拿稳后重拍"},
	Glare: {"反光", "照片有反光，被盖住的文字可能看不清。建议避开灯光、换个角度后重拍"},
	Dark:  {"过暗", "照片太暗，文字可能看不清。建议到明亮处重拍，不要遮住光线"},
}

// Label is the warning in a word.
func (w Warning) Label() string { return words[w].label }

// Text is the warning as people read it.
func (w Warning) Text() string { return words[w].text }

// Unreadable reports whether the letters are what is in doubt.
func (w Warning) Unreadable() bool { return w != Grey }

// Picture is an accepted upload.
type Picture struct {
	JPEG          []byte // upright, without metadata
	Width, Height int
	Warnings      []Warning
	SourceSHA256  string // of the file as it came (rules.md §3.2)
}

// Accept checks an uploaded file and encodes it anew.
func Accept(raw []byte) (Picture, error) {
	if len(raw) > MaxBytes {
		return Picture{}, ErrTooLarge
	}
	decoder, orientation, err := inspect(raw)
	if err != nil {
		return Picture{}, err
	}
	cfg, err := decoder.config(bytes.NewReader(raw))
	if err != nil {
		return Picture{}, fmt.Errorf("%w: %w", ErrBroken, err)
	}
	if cfg.Width < 1 || cfg.Height < 1 {
		return Picture{}, ErrBroken
	}
	if cfg.Width*cfg.Height > maxPixels || cfg.Width > 30000 || cfg.Height > 30000 {
		return Picture{}, ErrTooManyPixels
	}
	img, err := decoder.decode(bytes.NewReader(raw))
	if err != nil {
		return Picture{}, fmt.Errorf("%w: %w", ErrBroken, err)
	}
	kept := upright(shrink(img, keptSide), orientation)
	out, err := encode(kept)
	if err != nil {
		return Picture{}, err
	}
	p := Picture{JPEG: out, Width: kept.Bounds().Dx(), Height: kept.Bounds().Dy(), SourceSHA256: fmt.Sprintf("%x", sha256.Sum256(raw))}
	p.Warnings = doubts(kept)
	return p, nil
}

// Warnings tells the doubts about a picture that was accepted before; a page for
// reviewers shows them.
func Warnings(kept []byte) []Warning {
	img, err := jpeg.Decode(bytes.NewReader(kept))
	if err != nil {
		return nil
	}
	return doubts(shrink(img, keptSide))
}

func doubts(img *image.RGBA) (w []Warning) {
	w = defects(img)
	if !slices.Contains(w, Dark) && isGrey(img) { // there is no colour in the dark
		w = append(w, Grey)
	}
	if max(img.Bounds().Dx(), img.Bounds().Dy()) < smallSide {
		w = append(w, Small)
	}
	return w
}

func encode(img image.Image) ([]byte, error) {
	var out bytes.Buffer
	if err := jpeg.Encode(&out, img, &jpeg.Options{Quality: 86}); err != nil {
		return nil, fmt.Errorf("encoding a picture: %w", err)
	}
	return out.Bytes(), nil
}

// shrink returns img on white as RGBA, its longer side at most side pixels.
func shrink(img image.Image, side int) *image.RGBA {
	b := img.Bounds()
	w, h := b.Dx(), b.Dy()
	if longer := max(w, h); longer > side {
		w, h = max(1, w*side/longer), max(1, h*side/longer)
	}
	if b.Dx() > 4*w { // a rough step first: the fine one costs by the pixel
		rough := image.NewRGBA(image.Rect(0, 0, 2*w, 2*h))
		draw.ApproxBiLinear.Scale(rough, rough.Bounds(), img, b, draw.Src, nil)
		img, b = rough, rough.Bounds()
	}
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.Draw(out, out.Bounds(), image.White, image.Point{}, draw.Src)
	if w == b.Dx() && h == b.Dy() {
		draw.Draw(out, out.Bounds(), img, b.Min, draw.Over)
	} else {
		scale(out, img)
	}
	return out
}

// scale draws img over all of out, first across and then down, in strips: what the scaler
// keeps between its two directions, 32 bytes a pixel, would be a quarter of a gigabyte for
// a photograph of twelve megapixels. Where a direction keeps its size, nothing changes.
func scale(out *image.RGBA, img image.Image) {
	const strip = 64
	b, to := img.Bounds(), out.Bounds()
	wide := image.NewRGBA(image.Rect(0, 0, to.Dx(), b.Dy()))
	across := draw.CatmullRom.NewScaler(to.Dx(), strip, b.Dx(), strip) // keeps its memory for the next strip
	for y := 0; y < b.Dy(); y += strip {
		rows := image.Rect(0, y, to.Dx(), min(y+strip, b.Dy()))
		across.Scale(wide, rows, img, image.Rect(b.Min.X, b.Min.Y+rows.Min.Y, b.Max.X, b.Min.Y+rows.Max.Y), draw.Src, nil)
	}
	down := draw.CatmullRom.NewScaler(strip, to.Dy(), strip, b.Dy())
	for x := 0; x < to.Dx(); x += strip {
		columns := image.Rect(x, 0, min(x+strip, to.Dx()), b.Dy())
		down.Scale(out, image.Rect(columns.Min.X, 0, columns.Max.X, to.Dy()), wide.SubImage(columns), columns, draw.Over, nil)
	}
}

// upright applies an EXIF orientation (Exif 2.32 §4.6.4, tag 0x0112).
func upright(img *image.RGBA, orientation int) *image.RGBA {
	if orientation < 2 || orientation > 8 {
		return img
	}
	w, h := img.Bounds().Dx(), img.Bounds().Dy()
	size := image.Rect(0, 0, w, h)
	if orientation >= 5 {
		size = image.Rect(0, 0, h, w)
	}
	out := image.NewRGBA(size)
	for y := range h {
		for x := range w {
			tx, ty := turned(orientation, x, y, w, h)
			out.SetRGBA(tx, ty, img.RGBAAt(x, y))
		}
	}
	return out
}

// turned says where the pixel (x, y) of a w×h picture belongs.
func turned(orientation, x, y, w, h int) (int, int) {
	switch orientation {
	case 2:
		return w - 1 - x, y
	case 3:
		return w - 1 - x, h - 1 - y
	case 4:
		return x, h - 1 - y
	case 5:
		return y, x
	case 6:
		return h - 1 - y, x
	case 7:
		return h - 1 - y, w - 1 - x
	default: // 8
		return y, w - 1 - x
	}
}

// isGrey reports whether fewer than 1 in 500 sampled pixels have a clear colour.
// The red seal or emblem of a genuine document covers far more.
func isGrey(img *image.RGBA) bool {
	const strong, share = 40, 500
	b := img.Bounds()
	step := max(1, max(b.Dx(), b.Dy())/400)
	sampled, coloured := 0, 0
	for y := b.Min.Y; y < b.Max.Y; y += step {
		for x := b.Min.X; x < b.Max.X; x += step {
			if chroma(img.RGBAAt(x, y)) > strong {
				coloured++
			}
			sampled++
		}
	}
	return coloured*share < sampled
}

func chroma(c color.RGBA) int {
	return int(max(c.R, c.G, c.B)) - int(min(c.R, c.G, c.B))
}

var (
	jpegFormat = format{jpeg.DecodeConfig, jpeg.Decode}
	pngFormat  = format{png.DecodeConfig, png.Decode}
)
