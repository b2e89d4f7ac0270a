package picture

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math"

	"golang.org/x/image/draw"
	"golang.org/x/image/font"
	"golang.org/x/image/math/f64"
	"golang.org/x/image/math/fixed"

	chinese "github.com/yuncaidun/yuncaidun/templates/font"
)

// Watermark returns a view of an accepted picture, its longer side at most side
// pixels, with text drawn across it again and again, so that a copy says what it
// was made for (rules.md §3.2).
func Watermark(f *chinese.Font, kept []byte, text string, side int) ([]byte, error) {
	src, err := jpeg.Decode(bytes.NewReader(kept))
	if err != nil {
		return nil, fmt.Errorf("decoding a kept picture: %w", err)
	}
	img := shrink(src, side)
	tile, err := tileOf(f, text, max(13, float64(max(img.Bounds().Dx(), img.Bounds().Dy()))/42))
	if err != nil {
		return nil, err
	}
	step := tile.Bounds().Size()
	for y := 0; y < img.Bounds().Dy(); y += step.Y {
		for x := 0; x < img.Bounds().Dx(); x += step.X {
			at := image.Rectangle{Max: step}.Add(image.Pt(x, y))
			draw.Draw(img, at, tile, image.Point{}, draw.Over)
		}
	}
	return encode(img)
}

// tileOf draws text once, sloping upwards, white with a dark edge so that it
// shows on any ground.
func tileOf(f *chinese.Font, text string, pixels float64) (*image.RGBA, error) {
	face, err := f.Face(pixels)
	if err != nil {
		return nil, fmt.Errorf("drawing the watermark: %w", err)
	}
	defer face.Close()
	width, height := font.MeasureString(face, text).Ceil(), face.Metrics().Height.Ceil()
	flat := image.NewRGBA(image.Rect(0, 0, width+4, height+4))
	for _, layer := range []struct {
		shift int
		ink   color.RGBA
	}{{1, color.RGBA{A: 70}}, {0, color.RGBA{R: 105, G: 105, B: 105, A: 105}}} {
		d := font.Drawer{Dst: flat, Src: image.NewUniform(layer.ink), Face: face, Dot: fixed.P(1+layer.shift, 1+layer.shift+face.Metrics().Ascent.Ceil())}
		d.DrawString(text)
	}
	sin, cos := math.Sincos(-math.Pi / 9)
	rise := -sin * float64(width)
	tile := image.NewRGBA(image.Rect(0, 0, int(cos*float64(width)+2*pixels), int(rise+4*pixels)))
	turn := f64.Aff3{cos, -sin, pixels, sin, cos, rise + pixels}
	draw.ApproxBiLinear.Transform(tile, turn, flat, flat.Bounds(), draw.Over, nil)
	return tile, nil
}
